//! LATERAL sub-queries become joins: `a, LATERAL (SELECT … FROM b WHERE b.k = a.k) s` is `a JOIN b ON b.k = a.k` with the select list
//! above it, and aggregates of each row's partners are aggregates grouped by the key.
//!
//! # How
//! What the sub-query asks of the left side becomes the join's condition ([`super::correlated`]). Its select list is computed
//! above the join, of the pairs that are found; beside a row without partner of a left join its values are NULL. Aggregates
//! without GROUP BY have a row for every left row, so theirs is a left join whatever was written, with counts of 0 where there
//! are no rows; HAVING is then asked above it, and the values of one that was a left join are NULL where its condition is not
//! true.
//!
//! # Conditions
//! The sub-query is not volatile and locks no rows, and the join is an inner or a left one. Nothing is done below row locks, nor
//! to the rows that a statement changes, which are looked at again. Groups and first rows are made for all keys, so they must
//! not fail ([`super::never_fails`]), nor conditions on them, which may go down to where they are made.
//!
//! # Differences
//! PostgreSQL joins what is neither grouped nor cut, and runs the others for each row. That is better for few rows and an
//! index on the key: where no index can be asked from within a join, `unnest_laterals` makes a plan that the planner compares
//! with the one without it. `pull_up_laterals` leaves all choices open and needs none.
//!
//! # Not done
//! Set operations, window functions, OFFSET, and LIMIT of more than one row.

use ochre_base::{Result, limits};
use ochre_expr::Expr;

use super::correlated::{
    Top, any_subplan, detach, detach_aggregates, filtered, makes_groups, of_found, substitute, with_counts,
};
use super::never_fails::never_fails;
use super::sub_plans::Asked;
use super::{RuleContext, each_plan};
use crate::idset::IdSet;
use crate::logical::{ColumnId, Join, JoinKind, Logical, LogicalStatement};
use crate::walk::{Parts, contains_locks, free_columns, inputs, inputs_mut, is_volatile, produced};

/// Joins whose sub-queries are as quickly asked for one row as before.
pub(super) fn pull_up(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    each_lateral(statement, &mut |statement, join, _| {
        let (rewritten, is_open) = rewritten(statement, join)?;
        is_open.then_some(rewritten)
    });
    Ok(())
}

/// The others.
pub(super) fn unnest(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    each_lateral(statement, &mut |statement, join, asked| {
        // Conditions on groups go down to where they are made, with what their columns are computed of.
        let fails = |(id, expr): &(ColumnId, Expr)| {
            asked.by_failing.contains(*id) || asked.by_any.contains(*id) && !never_fails(expr)
        };
        if Top::of(join.right.clone(), statement).items.iter().any(fails) {
            return None;
        }
        let (rewritten, _) = rewritten(statement, join)?;
        statement.alternatives.accepts_next().then_some(rewritten)
    });
    Ok(())
}

/// What a join becomes, if anything, given what conditions read.
type Change<'c> = dyn FnMut(&mut LogicalStatement, &Join, &Asked) -> Option<Logical> + 'c;

fn each_lateral(statement: &mut LogicalStatement, change: &mut Change<'_>) {
    each_plan(statement, &mut |statement, plan, place| {
        if place.output.is_some() && has_lateral(plan) {
            let asked = Asked::of(plan);
            walk(statement, plan, &asked, change);
        }
    });
}

fn has_lateral(plan: &Logical) -> bool {
    matches!(plan, Logical::Join(join) if join.lateral) || inputs(plan).into_iter().any(has_lateral)
}

/// Changes laterals within others first.
fn walk(statement: &mut LogicalStatement, plan: &mut Logical, asked: &Asked, change: &mut Change<'_>) {
    stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
        if matches!(plan, Logical::LockRows { .. }) {
            return;
        }
        inputs_mut(plan).into_iter().for_each(|input| walk(statement, input, asked, change));
        if let Logical::Join(join) = plan
            && join.lateral
            && matches!(join.kind, JoinKind::Inner | JoinKind::Left)
            && let Some(changed) = change(statement, join, asked)
        {
            *plan = changed;
        }
    });
}

/// The join without LATERAL, and whether its right side can still be asked for one row by an index.
fn rewritten(statement: &mut LogicalStatement, join: &Join) -> Option<(Logical, bool)> {
    let left = produced(&join.left, &statement.tables);
    let parts = Parts { tables: &statement.tables, subqueries: &statement.subqueries, ctes: &statement.ctes };
    let depends = free_columns(&join.right, parts).intersects(&left);
    if !depends || is_volatile(&join.right, parts.subqueries) || contains_locks(&join.right) {
        return None;
    }
    let top = Top::of(join.right.clone(), statement);
    match &top.base {
        Logical::Aggregate(grouping) if grouping.keys.is_empty() && grouping.sets.is_none() => {
            Some((aggregates(statement, join, top, &left)?, false))
        }
        Logical::Dummy { row: true } => Some((computed(statement, join, top, &left)?, true)),
        _ => rows(statement, join, top, &left),
    }
}

/// A join with rows of the sub-query.
fn rows(
    statement: &mut LogicalStatement,
    join: &Join,
    mut top: Top,
    left: &IdSet,
) -> Option<(Logical, bool)> {
    let (right, mut on) = detach(top.rows(), left, statement)?;
    let made = produced(&right, &statement.tables);
    let is_open = is_open(&right, join.kind);
    let handed_on = top
        .items
        .iter()
        .all(|(id, expr)| matches!(expr, Expr::Column { index, .. } if index == id && made.contains(*id)));
    if join.kind == JoinKind::Inner {
        let input = |on| joined(join, JoinKind::Inner, right, on);
        if handed_on {
            on.extend(join.on.iter().cloned());
            return Some((input(on), is_open));
        }
        let plan = projected(statement, input(on), left, top.items);
        return Some((filtered(plan, join.on.clone()), is_open));
    }
    if any_subplan(&join.on) || join.on.iter().any(|on| reads_subplan(on, &top.items)) {
        return None;
    }
    let mut written = join.on.clone();
    written.iter_mut().for_each(|on| substitute(on, &top.items));
    on.extend(written);
    if !handed_on {
        for (_, expr) in &mut top.items {
            *expr = of_found(expr.clone(), &on, &made)?;
        }
    }
    let plan = joined(join, JoinKind::Left, right, on);
    Some((if handed_on { plan } else { projected(statement, plan, left, top.items) }, is_open))
}

/// A left join with the aggregates of all rows.
fn aggregates(statement: &mut LogicalStatement, join: &Join, top: Top, left: &IdSet) -> Option<Logical> {
    let Top { mut items, conditions, base } = top;
    let Logical::Aggregate(grouping) = base else { return None };
    let mut asked = conditions;
    if join.kind == JoinKind::Left {
        asked.extend(join.on.iter().cloned());
        asked.iter_mut().for_each(|condition| substitute(condition, &items));
        if any_subplan(&asked) {
            return None;
        }
    }
    let asked: Vec<Expr> = asked.into_iter().map(|condition| with_counts(condition, &grouping)).collect();
    items.iter_mut().for_each(|(_, expr)| *expr = with_counts(expr.clone(), &grouping));
    let (right, on) = detach_aggregates(grouping, left, statement)?;
    let plan = joined(join, JoinKind::Left, right, on);
    if join.kind == JoinKind::Inner {
        return Some(filtered(projected(statement, filtered(plan, asked), left, items), join.on.clone()));
    }
    if !is_true(&asked) {
        for (_, expr) in &mut items {
            let ty = expr.ty();
            let branches = vec![(Expr::and(asked.iter().cloned()), expr.clone())];
            *expr = Expr::Case { operand: None, branches, otherwise: None, ty };
        }
    }
    Some(projected(statement, plan, left, items))
}

/// A select list without FROM: values of the left row.
fn computed(statement: &mut LogicalStatement, join: &Join, top: Top, left: &IdSet) -> Option<Logical> {
    let cuts = !(is_true(&join.on) && top.conditions.is_empty());
    if cuts && join.kind == JoinKind::Left {
        return None;
    }
    let plan = projected(statement, filtered(join.left.clone(), top.conditions), left, top.items);
    Some(filtered(plan, join.on.clone()))
}

fn is_true(on: &[Expr]) -> bool {
    on.iter().all(|on| *on == Expr::bool(true))
}

/// Whether a condition reads what a subquery computes.
fn reads_subplan(on: &Expr, items: &[(ColumnId, Expr)]) -> bool {
    let ids = on.columns();
    any_subplan(items.iter().filter(|(id, _)| ids.contains(id)).map(|(_, expr)| expr))
}

fn joined(join: &Join, kind: JoinKind, right: Logical, on: Vec<Expr>) -> Logical {
    Logical::Join(Box::new(Join { kind, left: join.left.clone(), right, on, lateral: false }))
}

/// The columns of the left side, and these.
fn projected(
    statement: &LogicalStatement,
    input: Logical,
    left: &IdSet,
    items: Vec<(ColumnId, Expr)>,
) -> Logical {
    let column = |id: ColumnId| (id, Expr::Column { index: id, ty: statement.columns[id].ty });
    let own = items.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    let kept = left.iter().filter(|id| !own.contains(id)).map(column);
    Logical::Project { input: Box::new(input), items: kept.chain(items).collect() }
}

/// Whether a join's right side can be asked for one row's partners by an index.
fn is_open(right: &Logical, kind: JoinKind) -> bool {
    match right {
        Logical::Get(_) => true,
        Logical::Filter { input, .. } => !makes_groups(input) && is_open(input, kind),
        Logical::Join(join) => {
            kind == JoinKind::Inner
                && join.kind == JoinKind::Inner
                && is_open(&join.left, kind)
                && is_open(&join.right, kind)
        }
        _ => false,
    }
}
