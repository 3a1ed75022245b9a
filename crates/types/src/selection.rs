//! Which rows of a batch are active.

use std::sync::Arc;

/// Ascending positions of a batch's active rows. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection(Arc<[u16]>);

impl Selection {
    /// From ascending positions.
    pub fn new(positions: impl Into<Arc<[u16]>>) -> Selection {
        let positions = positions.into();
        debug_assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "positions ascend");
        Selection(positions)
    }

    /// The first `rows` positions.
    pub fn all(rows: usize) -> Selection {
        Selection((0..rows as u16).collect())
    }

    /// No row.
    pub fn empty() -> Selection {
        Selection(Arc::from([]))
    }

    /// The positions, ascending.
    pub fn positions(&self) -> &[u16] {
        &self.0
    }

    /// How many rows are active.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no row is active.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The positions as indices, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = usize> + Clone + '_ {
        self.0.iter().map(|position| *position as usize)
    }

    /// Positions of this selection that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Selection) -> Selection {
        let mut rest = other.0.iter().copied().peekable();
        let kept: Vec<u16> = self
            .0
            .iter()
            .copied()
            .filter(|position| {
                while rest.next_if(|o| o < position).is_some() {}
                rest.peek() != Some(position)
            })
            .collect();
        Selection(kept.into())
    }

    /// Positions of either selection.
    #[must_use]
    pub fn union(&self, other: &Selection) -> Selection {
        let mut merged: Vec<u16> = Vec::with_capacity(self.len() + other.len());
        let (mut a, mut b) = (self.0.as_ref(), other.0.as_ref());
        while let (Some(x), Some(y)) = (a.first(), b.first()) {
            merged.push(*x.min(y));
            if x <= y {
                a = &a[1..];
            }
            if y <= merged.last().expect("pushed above") {
                b = &b[1..];
            }
        }
        merged.extend_from_slice(a);
        merged.extend_from_slice(b);
        merged.dedup();
        Selection(merged.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        let a = Selection::new([1, 3, 5, 9]);
        let b = Selection::new([0, 3, 6, 9]);
        assert_eq!(a.difference(&b).positions(), [1, 5]);
        assert_eq!(a.union(&b).positions(), [0, 1, 3, 5, 6, 9]);
        assert_eq!(Selection::all(3).difference(&Selection::empty()).len(), 3);
        assert_eq!(Selection::empty().union(&b), b);
    }
}
