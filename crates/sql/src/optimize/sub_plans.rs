//! Where a statement's subqueries are evaluated: what rules that make joins of them go through.

use ochre_expr::{Expr, SubPlanKind};

use super::correlated::Top;
use super::each_plan;
use super::never_fails::{never_fails, never_fails_of};
use crate::idset::IdSet;
use crate::logical::{ColumnId, Grouping, Join, JoinKind, Logical, LogicalStatement};
use crate::walk::{Parts, contains_locks, each_node_mut, free_columns, inputs_mut, is_volatile, produced};

/// Takes an operator's input and the expressions that it computes of each of its rows, in a frame.
pub(super) type Visit<'v> = dyn FnMut(&mut LogicalStatement, usize, &mut Logical, &mut [Evaluated<'_>]) + 'v;

/// An expression that an operator computes.
pub(super) struct Evaluated<'e> {
    pub expr: &'e mut Expr,
    /// Nobody tells NULL from false.
    pub is_condition: bool,
    /// A condition above reads it that may fail.
    pub is_risky: bool,
}

/// What the conditions of a plan read.
#[derive(Default)]
pub(super) struct Asked {
    pub by_any: IdSet,
    /// By those that may fail for some values.
    pub by_failing: IdSet,
}

impl Asked {
    /// Of a plan with all that it has below.
    pub fn of(plan: &mut Logical) -> Asked {
        let mut asked = Asked::default();
        // From the top: what an item is that is asked for, is asked for.
        each_node_mut(plan, &mut |node| match node {
            Logical::Filter { predicates, .. } => predicates.iter().for_each(|on| asked.add(on)),
            Logical::Join(join) => join.on.iter().for_each(|on| asked.add(on)),
            Logical::Project { items, .. } => {
                for (id, expr) in items {
                    if asked.by_any.contains(*id) {
                        asked.by_any.add_expr(expr);
                    }
                    if asked.by_failing.contains(*id) || asked.by_any.contains(*id) && !never_fails(expr) {
                        asked.by_failing.add_expr(expr);
                    }
                }
            }
            _ => {}
        });
        asked
    }

    fn add(&mut self, condition: &Expr) {
        self.by_any.add_expr(condition);
        if !never_fails(condition) {
            self.by_failing.add_expr(condition);
        }
    }
}

/// Calls `visit` for each filter, projection and grouping of a statement's queries, inner queries first. Not below row locks, and not
/// for the rows that UPDATE and DELETE change: those are looked at again when they have changed, with subqueries as they are. Nor
/// for a projection or grouping of rows that were sorted: a join below it would not keep their order.
pub(super) fn each_evaluation(statement: &mut LogicalStatement, visit: &mut Visit<'_>) {
    if statement.subqueries.is_empty() {
        return;
    }
    each_plan(statement, &mut |statement, plan, place| {
        if place.output.is_some() {
            let risky = Asked::of(plan).by_failing;
            walk(statement, place.frame, plan, &risky, visit);
        }
    });
}

/// The subqueries of a kind, each once, wherever in the expressions they stand.
pub(super) fn subqueries_of(exprs: &[Evaluated<'_>], wanted: &dyn Fn(&SubPlanKind) -> bool) -> Vec<usize> {
    let mut found = Vec::new();
    for Evaluated { expr, .. } in exprs {
        let _ = expr.walk(&mut |node| {
            if let Expr::SubPlan { plan, kind, .. } = node
                && wanted(kind)
                && !found.contains(plan)
            {
                found.push(*plan);
            }
            std::ops::ControlFlow::<()>::Continue(())
        });
    }
    found
}

/// A scalar subquery that reads rows with these columns, taken apart, and its value. `None` when it does not read them, is
/// volatile or locks rows.
pub(super) fn correlated_scalar(
    statement: &LogicalStatement,
    index: usize,
    outer: &IdSet,
) -> Option<(Top, Expr)> {
    let query = &statement.subqueries[index].query;
    let parts = Parts { tables: &statement.tables, subqueries: &statement.subqueries, ctes: &statement.ctes };
    if !free_columns(&query.plan, parts).intersects(outer)
        || is_volatile(&query.plan, parts.subqueries)
        || contains_locks(&query.plan)
    {
        return None;
    }
    let [(result, _)] = query.output.as_slice() else { return None };
    let top = Top::of(query.plan.clone(), statement);
    let value = top.item(*result)?.clone();
    Some((top, value))
}

/// Puts a left join below expressions, and a value over columns of its right side in the places of a subquery, if that may be.
pub(super) fn put_left_join(
    statement: &mut LogicalStatement,
    (frame, input, exprs): (usize, &mut Logical, &mut [Evaluated<'_>]),
    index: usize,
    (right, on, value): (Logical, Vec<Expr>, &Expr),
) -> Option<()> {
    if !statement.alternatives.accepts_next() {
        return None;
    }
    replace(exprs, index, value, &produced(&right, &statement.tables));
    let left = std::mem::replace(input, Logical::Dummy { row: false });
    *input = Logical::Join(Box::new(Join { kind: JoinKind::Left, left, right, on, lateral: false }));
    adopt(statement, index, frame);
    Some(())
}

/// Puts a value over columns of a left join's right side in the places of a subquery. A condition that is false of NULL makes an
/// inner join, and is asked of right rows that have no partner then. One that may fail is kept from that: it does not see
/// through COALESCE.
pub(super) fn replace(exprs: &mut [Evaluated<'_>], index: usize, value: &Expr, right: &IdSet) {
    let reads = |expr: &Expr| IdSet::of(expr.columns()).intersects(right);
    let fails = |evaluated: &Evaluated<'_>| {
        let mut replaced = (*evaluated.expr).clone();
        replace_in(&mut replaced, index, value);
        reads(&replaced) && (evaluated.is_risky || !never_fails_of(&replaced, &reads))
    };
    let guarded = Expr::Coalesce { args: vec![value.clone()], ty: value.ty() };
    let value = if exprs.iter().any(fails) { &guarded } else { value };
    exprs.iter_mut().for_each(|Evaluated { expr, .. }| replace_in(expr, index, value));
}

fn replace_in(expr: &mut Expr, index: usize, value: &Expr) {
    expr.transform_in_place(&mut |node| match node {
        Expr::SubPlan { plan, .. } if plan == index => value.clone(),
        other => other,
    });
}

/// WITH entries of a subquery that has become a part of another query's frame.
pub(super) fn adopt(statement: &mut LogicalStatement, index: usize, frame: usize) {
    let from = statement.subqueries[index].frame;
    for cte in statement.ctes.iter_mut().filter(|cte| cte.frame == from) {
        cte.frame = frame;
    }
}

/// Whether rows come in an order, or one by one, that whoever reads them counts on.
fn is_ordered(plan: &Logical) -> bool {
    match plan {
        Logical::Sort { .. } | Logical::LockRows { .. } => true,
        Logical::Filter { input, .. } | Logical::Project { input, .. } | Logical::Limit { input, .. } => {
            is_ordered(input)
        }
        _ => false,
    }
}

fn walk(
    statement: &mut LogicalStatement,
    frame: usize,
    plan: &mut Logical,
    risky: &IdSet,
    visit: &mut Visit<'_>,
) {
    stacker::maybe_grow(
        ochre_base::limits::STACK_RED_ZONE_BYTES,
        ochre_base::limits::STACK_GROWTH_BYTES,
        || {
            fn item<'e>((id, expr): &'e mut (ColumnId, Expr), risky: &IdSet) -> Evaluated<'e> {
                Evaluated { expr, is_condition: false, is_risky: risky.contains(*id) }
            }
            match plan {
                Logical::LockRows { .. } => return,
                Logical::Filter { input, predicates } => {
                    let condition = |expr| Evaluated { expr, is_condition: true, is_risky: false };
                    visit(
                        statement,
                        frame,
                        input,
                        &mut predicates.iter_mut().map(condition).collect::<Vec<_>>(),
                    );
                }
                Logical::Project { input, items } if !is_ordered(input) => {
                    visit(
                        statement,
                        frame,
                        input,
                        &mut items.iter_mut().map(|key| item(key, risky)).collect::<Vec<_>>(),
                    );
                }
                Logical::Aggregate(grouping) if !is_ordered(&grouping.input) => {
                    let Grouping { input, keys, aggregates, .. } = &mut **grouping;
                    let arg = |expr| Evaluated { expr, is_condition: false, is_risky: false };
                    let args = aggregates.iter_mut().flat_map(|(_, call)| &mut call.args).map(arg);
                    visit(
                        statement,
                        frame,
                        input,
                        &mut keys.iter_mut().map(|key| item(key, risky)).chain(args).collect::<Vec<_>>(),
                    );
                }
                _ => {}
            }
            for input in inputs_mut(plan) {
                walk(statement, frame, input, risky, visit);
            }
        },
    );
}
