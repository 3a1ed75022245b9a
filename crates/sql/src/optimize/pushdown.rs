//! Predicate push-down: a condition moves to the lowest operator that has the columns it reads.
//!
//! Through projections (by substitution), grouping (when it reads keys only), DISTINCT, sorts, row locks, UNION ALL, and into
//! both sides of joins as far as unmatched rows allow. Not through LIMIT, window functions, sets, and not past anything when the
//! condition is volatile.

use ochre_base::Result;
use ochre_expr::{Expr, Volatility};

use super::{RuleContext, each_root};
use crate::idset::IdSet;
use crate::logical::{Join, JoinKind, Logical, LogicalStatement, TableUse};
use crate::walk::{inputs_mut, produced};

/// Pushes down in every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    each_root(statement, &mut |plan, roots| {
        push_in(plan, roots.tables);
        Ok(())
    })
}

/// Finds the filters of a plan and pushes their conditions.
fn push_in(plan: &mut Logical, tables: &[TableUse]) {
    stacker::maybe_grow(
        ochre_base::limits::STACK_RED_ZONE_BYTES,
        ochre_base::limits::STACK_GROWTH_BYTES,
        || match plan {
            Logical::Filter { .. } => {
                let taken = std::mem::replace(plan, Logical::Dummy { row: false });
                let Logical::Filter { input, predicates } = taken else { return };
                *plan = push(*input, predicates, tables);
                descend(plan, tables);
            }
            Logical::Join(_) => {
                let taken = std::mem::replace(plan, Logical::Dummy { row: false });
                *plan = push(taken, Vec::new(), tables);
                descend(plan, tables);
            }
            _ => descend(plan, tables),
        },
    );
}

/// Goes on below an operator whose own conditions are settled.
fn descend(plan: &mut Logical, tables: &[TableUse]) {
    match plan {
        Logical::Filter { input, .. } => {
            // What stays here cannot go further down; the operator below is another matter.
            match &mut **input {
                Logical::Join(join) => {
                    push_in(&mut join.left, tables);
                    push_in(&mut join.right, tables);
                }
                other => descend(other, tables),
            }
        }
        Logical::Join(join) => {
            push_in(&mut join.left, tables);
            push_in(&mut join.right, tables);
        }
        other => {
            for input in inputs_mut(other) {
                push_in(input, tables);
            }
        }
    }
}

fn filter(plan: Logical, predicates: Vec<Expr>) -> Logical {
    if predicates.is_empty() {
        return plan;
    }
    match plan {
        Logical::Filter { input, predicates: mut inner } => {
            inner.extend(predicates);
            Logical::Filter { input, predicates: inner }
        }
        plan => Logical::Filter { input: Box::new(plan), predicates },
    }
}

fn has_subplan(expr: &Expr) -> bool {
    expr.any(|node| matches!(node, Expr::SubPlan { .. }))
}

fn is_volatile(expr: &Expr) -> bool {
    expr.volatility() == Volatility::Volatile
}

/// The plan with the conditions applied as far down as they go.
fn push(plan: Logical, predicates: Vec<Expr>, tables: &[TableUse]) -> Logical {
    match plan {
        Logical::Filter { input, predicates: inner } => {
            let mut all = inner;
            all.extend(predicates);
            push(*input, all, tables)
        }
        Logical::Project { input, items } => {
            // A condition on computed columns becomes one on what they are computed from.
            let cheap = |id: usize| {
                items
                    .iter()
                    .find(|(known, _)| *known == id)
                    .is_none_or(|(_, expr)| !is_volatile(expr) && !has_subplan(expr))
            };
            let (movable, stay): (Vec<_>, Vec<_>) = predicates
                .into_iter()
                .partition(|p| !is_volatile(p) && !has_subplan(p) && p.columns().into_iter().all(cheap));
            let moved: Vec<Expr> = movable
                .into_iter()
                .map(|predicate| {
                    predicate.transform(&mut |node| match node {
                        Expr::Column { index, ty } => match items.iter().find(|(id, _)| *id == index) {
                            Some((_, expr)) => expr.clone(),
                            None => Expr::Column { index, ty },
                        },
                        other => other,
                    })
                })
                .collect();
            let input = if moved.is_empty() { *input } else { push(*input, moved, tables) };
            filter(Logical::Project { input: Box::new(input), items }, stay)
        }
        Logical::Join(join) => push_join(*join, predicates, tables),
        Logical::Aggregate(mut grouping) if grouping.sets.is_none() && !grouping.keys.is_empty() => {
            let keys = &grouping.keys;
            let on_keys = |p: &Expr| {
                let columns = p.columns();
                !columns.is_empty()
                    && !is_volatile(p)
                    && !has_subplan(p)
                    && columns.iter().all(|id| keys.iter().any(|(key, _)| key == id))
            };
            let (movable, stay): (Vec<_>, Vec<_>) = predicates.into_iter().partition(|p| on_keys(p));
            let moved: Vec<Expr> = movable
                .into_iter()
                .map(|predicate| {
                    predicate.transform(&mut |node| match node {
                        Expr::Column { index, ty } => match keys.iter().find(|(id, _)| *id == index) {
                            Some((_, expr)) => expr.clone(),
                            None => Expr::Column { index, ty },
                        },
                        other => other,
                    })
                })
                .collect();
            if !moved.is_empty() {
                let input = std::mem::replace(&mut grouping.input, Logical::Dummy { row: false });
                grouping.input = push(input, moved, tables);
            }
            filter(Logical::Aggregate(grouping), stay)
        }
        Logical::Sort { input, keys } => {
            let (movable, stay): (Vec<_>, Vec<_>) = predicates.into_iter().partition(|p| !is_volatile(p));
            let input = if movable.is_empty() { *input } else { push(*input, movable, tables) };
            filter(Logical::Sort { input: Box::new(input), keys }, stay)
        }
        // Rows that fail are not locked, as in PostgreSQL; a row that has changed meanwhile is asked again.
        Logical::LockRows { input, locks, predicates: mut known, inherited } => {
            let (movable, stay): (Vec<_>, Vec<_>) =
                predicates.into_iter().partition(|p| !is_volatile(p) && !has_subplan(p));
            known.extend(movable.iter().cloned());
            let input = if movable.is_empty() { *input } else { push(*input, movable, tables) };
            let locked = Logical::LockRows { input: Box::new(input), locks, predicates: known, inherited };
            filter(locked, stay)
        }
        Logical::Distinct { input, columns } => {
            let (movable, stay): (Vec<_>, Vec<_>) =
                predicates.into_iter().partition(|p| !is_volatile(p) && !has_subplan(p));
            let input = if movable.is_empty() { *input } else { push(*input, movable, tables) };
            filter(Logical::Distinct { input: Box::new(input), columns }, stay)
        }
        Logical::Append(mut inputs) => {
            let (movable, stay): (Vec<_>, Vec<_>) =
                predicates.into_iter().partition(|p| !is_volatile(p) && !has_subplan(p));
            if !movable.is_empty() {
                let columns = inputs.columns.clone();
                for (plan, ids) in &mut inputs.inputs {
                    let renamed: Vec<Expr> = movable
                        .iter()
                        .map(|predicate| {
                            predicate.clone().transform(&mut |node| match node {
                                Expr::Column { index, ty } => {
                                    match columns.iter().position(|id| *id == index) {
                                        Some(position) => Expr::Column { index: ids[position], ty },
                                        None => Expr::Column { index, ty },
                                    }
                                }
                                other => other,
                            })
                        })
                        .collect();
                    let taken = std::mem::replace(plan, Logical::Dummy { row: false });
                    *plan = push(taken, renamed, tables);
                }
            }
            filter(Logical::Append(inputs), stay)
        }
        other => filter(other, predicates),
    }
}

fn push_join(mut join: Join, predicates: Vec<Expr>, tables: &[TableUse]) -> Logical {
    let left_ids = produced(&join.left, tables);
    let right_ids = produced(&join.right, tables);
    let reads = |p: &Expr| {
        let ids = IdSet::of(p.columns());
        (ids.intersects(&left_ids), ids.intersects(&right_ids))
    };
    let movable = |p: &Expr| !is_volatile(p) && !has_subplan(p);
    let (mut to_left, mut to_right, mut stay) = (Vec::new(), Vec::new(), Vec::new());
    // Conditions above the join.
    for predicate in predicates {
        if !movable(&predicate) {
            stay.push(predicate);
            continue;
        }
        match (join.kind, reads(&predicate)) {
            (JoinKind::Inner, (true, false)) => to_left.push(predicate),
            (JoinKind::Inner, (false, true)) => to_right.push(predicate),
            (JoinKind::Inner, (true, true)) => join.on.push(predicate),
            (
                JoinKind::Left
                | JoinKind::Semi
                | JoinKind::Anti
                | JoinKind::AntiNullAware
                | JoinKind::Mark(_),
                (true, false),
            ) => {
                // A mark is made by the join itself.
                let made = match join.kind {
                    JoinKind::Mark(id) => predicate.columns().contains(&id),
                    _ => false,
                };
                if made { stay.push(predicate) } else { to_left.push(predicate) }
            }
            (JoinKind::Right, (false, true)) => to_right.push(predicate),
            _ => stay.push(predicate),
        }
    }
    // Conditions of the join that read one side.
    let mut on = Vec::with_capacity(join.on.len());
    for predicate in std::mem::take(&mut join.on) {
        if !movable(&predicate) {
            on.push(predicate);
            continue;
        }
        match (join.kind, reads(&predicate)) {
            (JoinKind::Inner | JoinKind::Right | JoinKind::Semi, (true, false)) => to_left.push(predicate),
            (JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti, (false, true)) => {
                to_right.push(predicate);
            }
            _ => on.push(predicate),
        }
    }
    join.on = on;
    if !to_left.is_empty() {
        let left = std::mem::replace(&mut join.left, Logical::Dummy { row: false });
        join.left = push(left, to_left, tables);
    }
    if !to_right.is_empty() {
        let right = std::mem::replace(&mut join.right, Logical::Dummy { row: false });
        join.right = push(right, to_right, tables);
    }
    filter(Logical::Join(Box::new(join)), stay)
}
