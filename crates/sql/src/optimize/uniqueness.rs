//! Whether rows of a logical plan can be alike: what rules about joins ask before they count on a single partner.
//!
//! A unique index answers where it holds for every row that the plan's snapshot sees: it is valid, old enough, not partial,
//! and checked with each row rather than at the end of the transaction. NULLs do not matter: the equalities that are asked
//! about are strict. A plan that counts on an index is made again when the catalog changes.

use ochre_expr::{CastKind, Expr};
use ochre_types::oids;

use crate::idset::IdSet;
use crate::logical::{ColumnId, Join, JoinKind, Logical, TableId, TableUse};
use crate::physical::{ScanColumn, SetOpKind};
use crate::plan::{Operation, PlannerSettings, comparison_of};
use crate::walk::produced;

/// What is needed to tell.
#[derive(Clone, Copy)]
pub(super) struct Uniqueness<'a> {
    pub tables: &'a [TableUse],
    pub settings: &'a PlannerSettings,
}

impl Uniqueness<'_> {
    /// Whether each row of the left side of a join has at most one partner on the right.
    pub fn has_one_partner(self, join: &Join) -> bool {
        self.has_one_match(&join.right, &join.on)
    }

    /// Whether at most one row of a plan satisfies these conditions for any one row of another.
    pub fn has_one_match(self, plan: &Logical, on: &[Expr]) -> bool {
        has_one_row(plan) || self.is_unique(plan, &equated(on, &produced(plan, self.tables)))
    }

    /// Whether no two rows of a plan have equal values, none of them NULL, in these columns.
    fn is_unique(self, plan: &Logical, ids: &[ColumnId]) -> bool {
        if ids.is_empty() {
            return false;
        }
        match plan {
            Logical::Get(table) => self.is_unique_in_table(*table, ids),
            Logical::Filter { input, .. } | Logical::Sort { input, .. } | Logical::Limit { input, .. } => {
                self.is_unique(input, ids)
            }
            Logical::Window(window) => self.is_unique(&window.input, ids),
            Logical::Project { input, items } => {
                let below: Vec<ColumnId> = items
                    .iter()
                    .filter(|(id, _)| ids.contains(id))
                    .filter_map(|(_, expr)| match expr {
                        Expr::Column { index, .. } => Some(*index),
                        _ => None,
                    })
                    .collect();
                self.is_unique(input, &below)
            }
            Logical::Aggregate(grouping) => {
                grouping.sets.is_none()
                    && !grouping.keys.is_empty()
                    && grouping.keys.iter().all(|(id, _)| ids.contains(id))
            }
            Logical::Distinct { input, columns } => {
                columns.iter().all(|id| ids.contains(id)) || self.is_unique(input, ids)
            }
            Logical::DistinctOn { input, on, .. } => {
                on.iter().all(|id| ids.contains(id)) || self.is_unique(input, ids)
            }
            Logical::SetOp(SetOpKind::Intersect | SetOpKind::Except, set) => {
                set.columns.iter().all(|id| ids.contains(id))
            }
            Logical::Join(join) => match join.kind {
                // Each row of the left side comes out once, or never.
                JoinKind::Semi | JoinKind::Anti | JoinKind::AntiNullAware | JoinKind::Mark(_) => {
                    self.is_unique(&join.left, ids)
                }
                JoinKind::Inner | JoinKind::Left => {
                    self.is_unique(&join.left, ids)
                        && (self.has_one_partner(join) || self.is_unique(&join.right, ids))
                }
                JoinKind::Right | JoinKind::Full => false,
            },
            _ => false,
        }
    }

    fn is_unique_in_table(self, table: TableId, ids: &[ColumnId]) -> bool {
        self.unique_keys(table).any(|keys| keys.iter().all(|key| ids.contains(key)))
    }

    /// The columns of each unique index of a table, as far as the statement mentions all of them.
    pub fn unique_keys(self, table: TableId) -> impl Iterator<Item = Vec<ColumnId>> {
        let used = &self.tables[table];
        let id_of = |number: i16| {
            used.columns.iter().find_map(|(column, id)| match column {
                ScanColumn::Table(at) if *at as i64 + 1 == i64::from(number) => Some(*id),
                _ => None,
            })
        };
        let usable = used.table.indexes.iter().filter(move |index| {
            index.unique && index.immediate && index.predicate.is_none() && self.settings.may_use(index)
        });
        usable.filter_map(move |index| index.keys.iter().map(|key| id_of(key.number)).collect())
    }
}

/// The columns among these that conditions equate with something that reads none of them.
fn equated(on: &[Expr], own: &IdSet) -> Vec<ColumnId> {
    let column = |expr: &Expr, other: &Expr| {
        let foreign = !other.columns().into_iter().any(|id| own.contains(id));
        column_of(expr).filter(|id| foreign && own.contains(*id))
    };
    on.iter()
        .filter_map(|condition| match comparison_of(condition)? {
            (Operation::Equal, left, right) => column(left, right).or_else(|| column(right, left)),
            _ => None,
        })
        .collect()
}

/// The column that an expression is, perhaps as text: values that are equal as text are equal.
pub(super) fn column_of(expr: &Expr) -> Option<ColumnId> {
    match expr {
        Expr::Column { index, .. } => Some(*index),
        Expr::Cast { arg, kind: CastKind::Relabel, ty, .. }
            if ty.oid == oids::TEXT && arg.ty().oid == oids::VARCHAR =>
        {
            column_of(arg)
        }
        _ => None,
    }
}

/// Whether a plan never has a second row.
fn has_one_row(plan: &Logical) -> bool {
    match plan {
        Logical::Dummy { .. } => true,
        Logical::Values { rows, .. } => rows.len() <= 1,
        Logical::Aggregate(grouping) => grouping.keys.is_empty() && grouping.sets.is_none(),
        Logical::Limit { input, limit, ties, .. } => {
            let number = match limit {
                Some(Expr::Constant { value, .. }) => value.as_i64(),
                _ => None,
            };
            ties.is_none() && number.is_some_and(|rows| rows <= 1) || has_one_row(input)
        }
        Logical::Filter { input, .. }
        | Logical::Project { input, .. }
        | Logical::Sort { input, .. }
        | Logical::Distinct { input, .. }
        | Logical::DistinctOn { input, .. } => has_one_row(input),
        Logical::Window(window) => has_one_row(&window.input),
        Logical::Join(join) => match join.kind {
            JoinKind::Inner | JoinKind::Left | JoinKind::Right => {
                has_one_row(&join.left) && has_one_row(&join.right)
            }
            JoinKind::Full => false,
            _ => has_one_row(&join.left),
        },
        _ => false,
    }
}
