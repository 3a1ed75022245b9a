//! `a LEFT JOIN b ON … WHERE b.x IS NULL` asks for the rows of `a` without a partner: an anti join.
//!
//! # Conditions
//! `x` is NULL in no row of `b` that matches: a constraint says so, or the join's condition is strict in it. Then a row in
//! which it is NULL is one that had no match, and each of those stands there once. What is read of `b` above is NULL.

use ochre_base::{Result, limits};
use ochre_expr::Expr;

use super::not_null::not_null_ids;
use super::outer_join::strict_ids;
use super::{RuleContext, each_query};
use crate::idset::IdSet;
use crate::logical::{ColumnId, Join, JoinKind, Logical, LogicalStatement};
use crate::walk::{Parts, inputs, inputs_mut, mentioned, needed_below, produced};

/// Rewrites every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    let types: Vec<_> = statement.columns.iter().map(|column| column.ty).collect();
    let null = |id: ColumnId| (id, Expr::null(types[id]));
    let column = |id: ColumnId| (id, Expr::Column { index: id, ty: types[id] });
    each_query(statement, &mut |plan, required, parts| {
        rewrite(plan, required, parts, &|kept, nulls| {
            kept.iter().map(column).chain(nulls.iter().map(null)).collect()
        });
    });
    Ok(())
}

/// Makes the items of a projection: columns that are handed on, and columns that are NULL.
type Items<'a> = dyn Fn(&IdSet, &IdSet) -> Vec<(ColumnId, Expr)> + 'a;

fn rewrite(plan: &mut Logical, required: &IdSet, parts: Parts<'_>, items: &Items<'_>) {
    stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
        if let Logical::Filter { input, predicates } = plan
            && let Logical::Join(join) = &mut **input
            && let Some(tested) = tested(join, predicates, parts)
        {
            predicates.remove(tested);
            let mut needed = required.clone();
            predicates.iter().for_each(|predicate| mentioned(predicate, parts, &mut needed));
            let absent = match join.kind {
                JoinKind::Right => produced(&join.left, parts.tables),
                _ => produced(&join.right, parts.tables),
            };
            if join.kind == JoinKind::Right {
                let Join { left, right, .. } = &mut **join;
                std::mem::swap(left, right);
            }
            join.kind = JoinKind::Anti;
            if absent.intersects(&needed) {
                let mut kept = produced(&join.left, parts.tables);
                kept.remove_all(&absent);
                let join = std::mem::replace(&mut **input, Logical::Dummy { row: false });
                **input = Logical::Project { input: Box::new(join), items: items(&kept, &absent) };
            }
            if predicates.is_empty() {
                *plan = std::mem::replace(&mut **input, Logical::Dummy { row: false });
            }
        }
        if inputs(plan).is_empty() {
            return;
        }
        let needed = needed_below(plan, required, parts);
        inputs_mut(plan).into_iter().for_each(|input| rewrite(input, &needed, parts, items));
    });
}

/// The condition above an outer join that only rows without a match satisfy.
fn tested(join: &Join, predicates: &[Expr], parts: Parts<'_>) -> Option<usize> {
    let side = match join.kind {
        JoinKind::Left => &join.right,
        JoinKind::Right if !join.lateral => &join.left,
        _ => return None,
    };
    let is_test = |predicate: &Expr| match predicate {
        Expr::IsNull { arg, negated: false, row: false } => match &**arg {
            Expr::Column { index, .. } => Some(*index),
            _ => None,
        },
        _ => None,
    };
    if join.on.is_empty() || !predicates.iter().any(|predicate| is_test(predicate).is_some()) {
        return None;
    }
    let made = produced(side, parts.tables);
    let mut known = not_null_ids(side, parts.tables);
    join.on.iter().for_each(|on| strict_ids(on, &mut known));
    predicates
        .iter()
        .position(|predicate| is_test(predicate).is_some_and(|id| made.contains(id) && known.contains(id)))
}
