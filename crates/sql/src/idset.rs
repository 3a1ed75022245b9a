//! Sets of column ids.

use std::ops::ControlFlow;

use ochre_expr::Expr;
use smallvec::SmallVec;

use crate::logical::ColumnId;

/// A set of column ids, one bit each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IdSet(SmallVec<[u64; 4]>);

impl IdSet {
    /// The set of these ids.
    pub fn of(ids: impl IntoIterator<Item = ColumnId>) -> IdSet {
        let mut set = IdSet::default();
        for id in ids {
            set.insert(id);
        }
        set
    }

    /// Adds an id.
    pub fn insert(&mut self, id: ColumnId) {
        let word = id / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (id % 64);
    }

    /// Whether an id is in the set.
    pub fn contains(&self, id: ColumnId) -> bool {
        self.0.get(id / 64).is_some_and(|word| word & (1 << (id % 64)) != 0)
    }

    /// Adds every id of another set.
    pub fn extend(&mut self, other: &IdSet) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    /// Whether the sets share an id.
    pub fn intersects(&self, other: &IdSet) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    /// Whether every id is in the other set.
    pub fn is_subset(&self, other: &IdSet) -> bool {
        self.0.iter().enumerate().all(|(i, word)| word & !other.0.get(i).copied().unwrap_or(0) == 0)
    }

    /// Whether there is no id.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The ids, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ColumnId> + '_ {
        self.0.iter().enumerate().flat_map(|(i, word)| {
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| i * 64 + bit)
        })
    }

    /// Removes the ids of another set.
    pub fn remove_all(&mut self, other: &IdSet) {
        for (word, less) in self.0.iter_mut().zip(&other.0) {
            *word &= !less;
        }
    }

    /// Adds the ids that an expression mentions itself (not those that its subqueries do).
    pub fn add_expr(&mut self, expr: &Expr) {
        let _ = expr.walk(&mut |node| {
            if let Expr::Column { index, .. } = node {
                self.insert(*index);
            }
            ControlFlow::<()>::Continue(())
        });
    }
}
