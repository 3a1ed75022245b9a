//! Predicate push-down: a condition moves to the lowest operator that has the columns it reads.
//!
//! Through projections (by substitution), grouping (when it reads keys only), DISTINCT, sorts, row locks, UNION ALL, and into
//! both sides of joins as far as unmatched rows allow. Through window functions when it reads columns that they all are
//! partitioned by, since it takes or leaves whole partitions; through DISTINCT ON when it reads the columns that make the
//! groups; past sets when it reads none of them. Into INTERSECT and EXCEPT when it reads columns whose equal values are
//! the same: then it takes or leaves all rows that are counted as one. Not through LIMIT, and not past anything when the
//! condition is volatile.

use ochre_base::Result;
use ochre_expr::{Expr, Volatility};
use ochre_types::{SqlType, oids};

use super::{RuleContext, each_root};
use crate::idset::IdSet;
use crate::logical::{Join, JoinKind, Logical, LogicalStatement, SetInputs, SetItem, TableUse};
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
            let value =
                |id: usize| items.iter().find(|(known, _)| *known == id).map(|(_, expr)| expr.clone());
            let moved: Vec<Expr> = movable.into_iter().map(|predicate| replaced(predicate, &value)).collect();
            let input = if moved.is_empty() { *input } else { push(*input, moved, tables) };
            filter(Logical::Project { input: Box::new(input), items }, stay)
        }
        Logical::Join(join) => push_join(*join, predicates, tables),
        Logical::Aggregate(mut grouping) if grouping.sets.is_none() && !grouping.keys.is_empty() => {
            let keys = &grouping.keys;
            let value = |id: usize| keys.iter().find(|(key, _)| *key == id).map(|(_, expr)| expr.clone());
            let plain = |id: usize| value(id).is_some_and(|expr| !is_volatile(&expr) && !has_subplan(&expr));
            let (movable, stay) = split(predicates, &plain);
            let moved: Vec<Expr> = movable.into_iter().map(|predicate| replaced(predicate, &value)).collect();
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
                push_into_inputs(&mut inputs, &movable, tables);
            }
            filter(Logical::Append(inputs), stay)
        }
        Logical::Window(mut window) => {
            let through = |id: usize| {
                window.partition.iter().any(|key| matches!(key, Expr::Column { index, .. } if *index == id))
            };
            let (movable, stay) = split(predicates, &through);
            if !movable.is_empty() {
                let input = std::mem::replace(&mut window.input, Logical::Dummy { row: false });
                window.input = push(input, movable, tables);
            }
            filter(Logical::Window(window), stay)
        }
        Logical::DistinctOn { input, on, sort } => {
            let (movable, stay) = split(predicates, &|id| on.contains(&id));
            let input = if movable.is_empty() { *input } else { push(*input, movable, tables) };
            filter(Logical::DistinctOn { input: Box::new(input), on, sort }, stay)
        }
        Logical::SetOp(kind, mut inputs) => {
            let (movable, stay) = split(predicates, &|id| inputs.columns.contains(&id));
            let exact = |node: &Expr| matches!(node, Expr::Column { ty, .. } if !is_exact(*ty));
            let (movable, inexact): (Vec<_>, Vec<_>) = movable.into_iter().partition(|p| !p.any(exact));
            if !movable.is_empty() {
                push_into_inputs(&mut inputs, &movable, tables);
            }
            let mut all = stay;
            all.extend(inexact);
            filter(Logical::SetOp(kind, inputs), all)
        }
        Logical::ProjectSet { input, items } => {
            let plain = |id: usize| match items.iter().find(|(known, _)| *known == id) {
                None => true,
                Some((_, SetItem::Scalar(expr))) => !is_volatile(expr) && !has_subplan(expr),
                Some((_, SetItem::Set { .. })) => false,
            };
            let (movable, stay) = split(predicates, &plain);
            let value = |id: usize| {
                items.iter().find_map(|(known, item)| match item {
                    SetItem::Scalar(expr) if *known == id => Some(expr.clone()),
                    _ => None,
                })
            };
            let moved: Vec<Expr> = movable.into_iter().map(|predicate| replaced(predicate, &value)).collect();
            let input = if moved.is_empty() { *input } else { push(*input, moved, tables) };
            filter(Logical::ProjectSet { input: Box::new(input), items }, stay)
        }
        other => filter(other, predicates),
    }
}

/// The conditions that read columns, and only such as may go through, and the others.
fn split(predicates: Vec<Expr>, through: &dyn Fn(usize) -> bool) -> (Vec<Expr>, Vec<Expr>) {
    predicates.into_iter().partition(|predicate| {
        let columns = predicate.columns();
        !columns.is_empty()
            && !is_volatile(predicate)
            && !has_subplan(predicate)
            && columns.into_iter().all(through)
    })
}

/// A condition with the values of columns in their places.
fn replaced(predicate: Expr, value: &dyn Fn(usize) -> Option<Expr>) -> Expr {
    predicate.transform(&mut |node| match node {
        Expr::Column { index, ty } => value(index).unwrap_or(Expr::Column { index, ty }),
        other => other,
    })
}

/// Applies conditions on the columns of a set operation to each of its inputs.
fn push_into_inputs(set: &mut SetInputs, predicates: &[Expr], tables: &[TableUse]) {
    for (plan, ids) in &mut set.inputs {
        let renamed = |predicate: &Expr| {
            predicate.clone().transform(&mut |node| match node {
                Expr::Column { index, ty } => {
                    let position = set.columns.iter().position(|id| *id == index);
                    Expr::Column { index: position.map_or(index, |position| ids[position]), ty }
                }
                other => other,
            })
        };
        let renamed = predicates.iter().map(renamed).collect();
        let taken = std::mem::replace(plan, Logical::Dummy { row: false });
        *plan = push(taken, renamed, tables);
    }
}

/// Whether equal values of a type are the same: numbers of different scale, intervals of different units, zeros of
/// different signs and texts padded with spaces are not.
fn is_exact(ty: SqlType) -> bool {
    matches!(
        ty.oid,
        oids::BOOL
            | oids::INT2
            | oids::INT4
            | oids::INT8
            | oids::OID
            | oids::TEXT
            | oids::VARCHAR
            | oids::DATE
            | oids::TIMESTAMP
            | oids::TIMESTAMPTZ
            | oids::UUID
            | oids::BYTEA
    )
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
