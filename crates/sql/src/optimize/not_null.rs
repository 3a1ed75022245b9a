//! Which columns of a plan are never NULL.

use ochre_expr::Expr;

use super::outer_join::strict_ids;
use crate::idset::IdSet;
use crate::logical::{JoinKind, Logical, TableUse};
use crate::physical::ScanColumn;

/// The columns that are NULL in no row that comes out of a plan: by a constraint, or because a condition on them is strict.
pub(super) fn not_null_ids(plan: &Logical, tables: &[TableUse]) -> IdSet {
    let with = |mut ids: IdSet, predicates: &[Expr]| {
        predicates.iter().for_each(|predicate| strict_ids(predicate, &mut ids));
        ids
    };
    match plan {
        Logical::Get(table) => of_table(&tables[*table]),
        Logical::Sample(sample) => of_table(&tables[sample.table]),
        Logical::Filter { input, predicates } => with(not_null_ids(input, tables), predicates),
        Logical::Project { input, items } => {
            let below = not_null_ids(input, tables);
            let known = items.iter().filter(|(_, expr)| match expr {
                Expr::Column { index, .. } => below.contains(*index),
                Expr::Constant { value, .. } => !value.is_null(),
                _ => false,
            });
            IdSet::of(known.map(|(id, _)| *id))
        }
        Logical::Join(join) => {
            let side = |plan| not_null_ids(plan, tables);
            match join.kind {
                JoinKind::Inner => {
                    let mut both = side(&join.left);
                    both.extend(&side(&join.right));
                    with(both, &join.on)
                }
                JoinKind::Semi => with(side(&join.left), &join.on),
                JoinKind::Left | JoinKind::Anti | JoinKind::AntiNullAware | JoinKind::Mark(_) => {
                    side(&join.left)
                }
                JoinKind::Right => side(&join.right),
                JoinKind::Full => IdSet::default(),
            }
        }
        Logical::Window(window) => not_null_ids(&window.input, tables),
        Logical::Distinct { input, .. }
        | Logical::DistinctOn { input, .. }
        | Logical::Sort { input, .. }
        | Logical::Limit { input, .. }
        | Logical::LockRows { input, .. } => not_null_ids(input, tables),
        Logical::Aggregate(grouping) if grouping.sets.is_none() => {
            let below = not_null_ids(&grouping.input, tables);
            let known = grouping
                .keys
                .iter()
                .filter(|(_, key)| matches!(key, Expr::Column { index, .. } if below.contains(*index)));
            IdSet::of(known.map(|(id, _)| *id))
        }
        Logical::Append(set) => {
            let inputs: Vec<IdSet> = set.inputs.iter().map(|(plan, _)| not_null_ids(plan, tables)).collect();
            let known = set.columns.iter().enumerate().filter(|(at, _)| {
                inputs.iter().zip(&set.inputs).all(|(known, (_, ids))| known.contains(ids[*at]))
            });
            IdSet::of(known.map(|(_, id)| *id))
        }
        _ => IdSet::default(),
    }
}

fn of_table(used: &TableUse) -> IdSet {
    let known = used.columns.iter().filter(|(column, _)| match column {
        ScanColumn::Table(position) => used.table.columns[*position].not_null,
        ScanColumn::RowId => true,
        _ => false,
    });
    IdSet::of(known.map(|(_, id)| *id))
}
