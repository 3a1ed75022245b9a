//! A semi-join whose right side has at most one partner for each row is an inner join, which can be reordered.

use ochre_base::Result;
use ochre_expr::{Expr, SessionContext};

use super::each_root;
use crate::logical::{ColumnId, Join, JoinKind, Logical, LogicalStatement, TableUse};
use crate::physical::ScanColumn;
use crate::plan::{Operation, comparison_of};
use crate::walk::{each_node_mut, produced};

/// Rewrites the semi-joins of every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, _session: &dyn SessionContext) -> Result<()> {
    each_root(statement, &mut |plan, roots| {
        each_node_mut(plan, &mut |node| {
            if let Logical::Join(join) = node
                && join.kind == JoinKind::Semi
                && has_one_partner(join, roots.tables)
            {
                join.kind = JoinKind::Inner;
            }
        });
        Ok(())
    })
}

/// Whether each row of the left side has at most one partner on the right.
fn has_one_partner(join: &Join, tables: &[TableUse]) -> bool {
    let right = produced(&join.right, tables);
    let equated: Vec<ColumnId> = join
        .on
        .iter()
        .filter_map(|condition| match comparison_of(condition)? {
            (Operation::Equal, Expr::Column { index, .. }, other)
            | (Operation::Equal, other, Expr::Column { index, .. })
                if right.contains(*index) && !other.columns().into_iter().any(|id| right.contains(id)) =>
            {
                Some(*index)
            }
            _ => None,
        })
        .collect();
    is_unique(&join.right, &equated, tables)
}

/// Whether no two rows of a plan have equal values, none of them NULL, in these columns.
fn is_unique(plan: &Logical, ids: &[ColumnId], tables: &[TableUse]) -> bool {
    if ids.is_empty() {
        return false;
    }
    match plan {
        Logical::Get(table) => {
            let used = &tables[*table];
            let has = |number: i16| {
                used.columns.iter().any(|(column, id)| {
                    matches!(column, ScanColumn::Table(at) if *at as i64 + 1 == i64::from(number))
                        && ids.contains(id)
                })
            };
            used.table.indexes.iter().any(|index| {
                index.unique
                    && index.immediate
                    && index.valid
                    && index.predicate.is_none()
                    && index.keys.iter().all(|key| key.number > 0 && has(key.number))
            })
        }
        Logical::Filter { input, .. } | Logical::Sort { input, .. } | Logical::Limit { input, .. } => {
            is_unique(input, ids, tables)
        }
        Logical::Project { input, items } => {
            let below: Vec<ColumnId> = items
                .iter()
                .filter(|(id, _)| ids.contains(id))
                .filter_map(|(_, expr)| match expr {
                    Expr::Column { index, .. } => Some(*index),
                    _ => None,
                })
                .collect();
            is_unique(input, &below, tables)
        }
        Logical::Aggregate(grouping) => {
            grouping.sets.is_none()
                && !grouping.keys.is_empty()
                && grouping.keys.iter().all(|(id, _)| ids.contains(id))
        }
        Logical::Distinct { columns, .. } => columns.iter().all(|id| ids.contains(id)),
        Logical::Join(join) if !join.kind.keeps_right() => is_unique(&join.left, ids, tables),
        _ => false,
    }
}
