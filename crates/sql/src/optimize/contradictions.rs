//! Conditions that no row satisfies, and what has no rows because of them: nothing is scanned for it.
//!
//! # Conditions
//! `x = 5 AND x = 6` with the type's own equality and two constants that differ; `x IS NULL` of a column that is NULL in no
//! row, or where another condition beside it is strict in it. `x IS NOT NULL` of such a column is always true. An operator
//! has no rows when what decides about its rows has none; an aggregate without keys has one row all the same.

use ochre_base::{Result, limits};
use ochre_expr::{Expr, btree_comparison};
use ochre_types::Datum;
use ochre_types::compare::compare_datums;

use super::not_null::not_null_ids;
use super::outer_join::strict_ids;
use super::{RuleContext, each_root};
use crate::idset::IdSet;
use crate::logical::{ColumnId, JoinKind, Logical, LogicalStatement, TableUse};
use crate::plan::{Operation, comparison_of};
use crate::walk::inputs_mut;

/// Looks for contradictions in every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    each_root(statement, &mut |plan, roots| {
        visit(plan, roots.tables);
        Ok(())
    })
}

fn visit(plan: &mut Logical, tables: &[TableUse]) {
    stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
        inputs_mut(plan).into_iter().for_each(|input| visit(input, tables));
        match plan {
            Logical::Filter { input, predicates } => {
                simplify(predicates, || not_null_ids(input, tables));
                if predicates.is_empty() {
                    *plan = std::mem::replace(&mut **input, Logical::Dummy { row: false });
                }
            }
            Logical::Join(join) if matches!(join.kind, JoinKind::Inner | JoinKind::Semi) => {
                let (left, right) = (&join.left, &join.right);
                simplify(&mut join.on, || {
                    let mut both = not_null_ids(left, tables);
                    both.extend(&not_null_ids(right, tables));
                    both
                });
            }
            _ => {}
        }
        if !is_nothing(plan) && is_made_of_nothing(plan) {
            let input = std::mem::replace(plan, Logical::Dummy { row: false });
            *plan = Logical::Filter { input: Box::new(input), predicates: vec![Expr::bool(false)] };
        }
    });
}

fn never(predicate: &Expr) -> bool {
    matches!(predicate, Expr::Constant { value: Datum::Bool(false) | Datum::Null, .. })
}

fn is_nothing(plan: &Logical) -> bool {
    match plan {
        Logical::Dummy { row } => !row,
        Logical::Filter { predicates, .. } => predicates.iter().any(never),
        _ => false,
    }
}

/// Whether an operator that is not itself a filter has no rows.
fn is_made_of_nothing(plan: &Logical) -> bool {
    match plan {
        Logical::Filter { input, .. }
        | Logical::Project { input, .. }
        | Logical::ProjectSet { input, .. }
        | Logical::Distinct { input, .. }
        | Logical::DistinctOn { input, .. }
        | Logical::Sort { input, .. } => is_nothing(input),
        Logical::Window(window) => is_nothing(&window.input),
        Logical::Aggregate(grouping) => {
            !grouping.keys.is_empty() && grouping.sets.is_none() && is_nothing(&grouping.input)
        }
        Logical::Join(join) => {
            let (left, right) = (is_nothing(&join.left), is_nothing(&join.right));
            match join.kind {
                JoinKind::Inner | JoinKind::Semi => left || right || join.on.iter().any(never),
                JoinKind::Left | JoinKind::Anti | JoinKind::AntiNullAware | JoinKind::Mark(_) => left,
                JoinKind::Right => right,
                JoinKind::Full => left && right,
            }
        }
        _ => false,
    }
}

/// Decides conditions that columns without NULLs decide, and finds those that contradict each other.
fn simplify(predicates: &mut Vec<Expr>, not_null: impl FnOnce() -> IdSet) {
    if predicates.iter().any(|predicate| null_test(predicate).is_some()) {
        let known = not_null();
        predicates
            .retain(|predicate| !matches!(null_test(predicate), Some((id, true)) if known.contains(id)));
        let mut strict = known;
        predicates.iter().for_each(|predicate| strict_ids(predicate, &mut strict));
        for predicate in predicates.iter_mut() {
            if matches!(null_test(predicate), Some((id, false)) if strict.contains(id)) {
                *predicate = Expr::bool(false);
            }
        }
    }
    if has_two_values(predicates) {
        predicates.clear();
        predicates.push(Expr::bool(false));
    }
}

/// The column of a test for NULL, and whether it is one that it is not.
fn null_test(predicate: &Expr) -> Option<(ColumnId, bool)> {
    match predicate {
        Expr::IsNull { arg, negated, row: false } => match &**arg {
            Expr::Column { index, .. } => Some((*index, *negated)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether some column must be equal to two constants that differ.
fn has_two_values(predicates: &[Expr]) -> bool {
    let mut found: Vec<(ColumnId, &Datum)> = Vec::new();
    for predicate in predicates {
        let Some((Operation::Equal, left, right)) = comparison_of(predicate) else { continue };
        let (id, ty, value, of) = match (left, right) {
            (Expr::Column { index, ty }, Expr::Constant { value, ty: of })
            | (Expr::Constant { value, ty: of }, Expr::Column { index, ty }) => (*index, *ty, value, *of),
            _ => continue,
        };
        // Where the type's own equality is meant, it agrees with the type's order.
        let Expr::Call { function, .. } = predicate else { continue };
        let own = btree_comparison(ty.oid).is_some_and(|known| known.equal.function.oid == function.oid);
        if !own || ty.oid != of.oid || value.is_null() {
            continue;
        }
        match found.iter().find(|(known, _)| *known == id) {
            Some((_, other)) if !compare_datums(other, value, ty.order()).is_eq() => return true,
            Some(_) => {}
            None => found.push((id, value)),
        }
    }
    false
}
