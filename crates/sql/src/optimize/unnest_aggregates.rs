//! Correlated scalar aggregates become joins: `x < (SELECT avg(y) FROM t WHERE t.k = o.k)` reads the averages of all `k` at
//! once, grouped, and joins them with `o`.
//!
//! # How
//! The subquery's equalities with outer columns become the group keys on one side and the join's condition on the other.
//! The join is a left one: a row without partner has the aggregates of no rows, NULL, and 0 for counts. Where the condition
//! rejects NULL, the rule about outer joins makes it an inner one.
//!
//! # Differences
//! PostgreSQL runs such a subquery for each row. That is better for few outer rows and an index on the key, so the
//! planner makes both plans and takes the cheaper one ([`LogicalStatement::has_alternative`]).
//!
//! # Not done
//! Subqueries with HAVING, or that mention outer columns elsewhere than in an equality.
//!
//! # References
//! Galindo-Legaria and Joshi, "Orthogonal Optimization of Subqueries and Aggregation" (2001).

use ochre_base::Result;
use ochre_expr::{Expr, SubPlanKind, Volatility};

use super::RuleContext;
use super::sub_plans::each_evaluation;
use super::unnest::{has_subplan, is_outer_condition, pass_through, pull_filters};
use crate::idset::IdSet;
use crate::logical::{ColumnId, ColumnInfo, Grouping, Join, JoinKind, Logical, LogicalStatement};
use crate::plan::{Operation, comparison_of};
use crate::walk::{Parts, free_columns, is_volatile, produced};

/// Unnests in every query of a statement, inner ones first.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    each_evaluation(statement, &mut unnest_all);
    Ok(())
}

/// Unnests what an operator's expressions have.
fn unnest_all(
    statement: &mut LogicalStatement,
    frame: usize,
    input: &mut Logical,
    mut exprs: Vec<&mut Expr>,
) {
    let mut found = Vec::new();
    exprs.iter().for_each(|expr| scalars(expr, &mut found));
    for index in found {
        unnest(statement, frame, input, &mut exprs, index);
    }
}

/// Scalar subqueries that are run whatever the rest of the expression gives.
fn scalars(expr: &Expr, found: &mut Vec<usize>) {
    match expr {
        Expr::SubPlan { plan, kind: SubPlanKind::Scalar, .. } if !found.contains(plan) => found.push(*plan),
        Expr::Call { args, .. } => args.iter().for_each(|arg| scalars(arg, found)),
        Expr::Cast { arg, .. } | Expr::Not(arg) | Expr::IsNull { arg, .. } => scalars(arg, found),
        _ => {}
    }
}

/// Puts a join below the expressions in place of a subquery, if it can be one.
fn unnest(
    statement: &mut LogicalStatement,
    frame: usize,
    input: &mut Logical,
    exprs: &mut [&mut Expr],
    index: usize,
) -> Option<()> {
    let outer = produced(input, &statement.tables);
    let query = statement.subqueries[index].query.clone();
    let parts = Parts { tables: &statement.tables, subqueries: &statement.subqueries, ctes: &statement.ctes };
    if !free_columns(&query.plan, parts).intersects(&outer) {
        return None;
    }
    let [(result, _)] = query.output.as_slice() else { return None };
    let result_ty = query.output[0].1.ty;
    let (mut grouping, value) = aggregate_of(query.plan, Expr::Column { index: *result, ty: result_ty })?;
    if !grouping.keys.is_empty() || grouping.sets.is_some() || has_subplan(&value) {
        return None;
    }
    if value.volatility() == Volatility::Volatile || is_volatile(&grouping.input, parts.subqueries) {
        return None;
    }
    // What a user's aggregate makes of no rows is for its functions to say.
    if grouping.aggregates.iter().any(|(_, call)| call.function.0.called.is_some()) {
        return None;
    }
    let mut pulled = Vec::new();
    pull_filters(&mut grouping.input, &mut pulled, &is_outer_condition(&outer, parts));
    let plan = Logical::Aggregate(grouping);
    if pulled.is_empty() || free_columns(&plan, parts).intersects(&outer) {
        return None;
    }
    let Logical::Aggregate(mut grouping) = plan else { return None };
    let inner = produced(&grouping.input, &statement.tables);
    let depth = statement.columns[grouping.aggregates.first()?.0].depth;
    let mut on = Vec::with_capacity(pulled.len());
    for predicate in pulled {
        let (Operation::Equal, left, right) = comparison_of(&predicate)? else { return None };
        let side = |expr: &Expr| {
            let ids = IdSet::of(expr.columns());
            match (ids.is_empty(), ids.is_subset(&outer), ids.intersects(&outer)) {
                (false, true, _) => Some(true),
                (false, _, false) => Some(false),
                _ => None,
            }
        };
        let inner_is_left = match (side(left)?, side(right)?) {
            (false, true) => true,
            (true, false) => false,
            _ => return None,
        };
        let key = if inner_is_left { left } else { right };
        for id in key.columns() {
            if !inner.contains(id) && !pass_through(&mut grouping.input, id, &statement.tables) {
                return None;
            }
        }
        let id = match key {
            Expr::Column { index, .. } => *index,
            _ => {
                let info =
                    ColumnInfo { name: "?column?".into(), ty: key.ty(), origin: None, depth, table: None };
                statement.columns.push(info);
                statement.columns.len() - 1
            }
        };
        let column = Expr::Column { index: id, ty: key.ty() };
        if !grouping.keys.iter().any(|(known, _)| *known == id) {
            grouping.keys.push((id, key.clone()));
        }
        let Expr::Call { function, args, variadic_array, ty, pos } = predicate.clone() else { return None };
        let [left, right]: [Expr; 2] = args.try_into().ok()?;
        let args = if inner_is_left { vec![column, right] } else { vec![left, column] };
        on.push(Expr::Call { function, args, variadic_array, ty, pos });
    }
    // What the aggregates of no rows are: NULL, or 0.
    let counts: Vec<ColumnId> = grouping
        .aggregates
        .iter()
        .filter(|(_, call)| matches!(&*call.function.0.function.name, "count" | "regr_count"))
        .map(|(id, _)| *id)
        .collect();
    let value = value.transform(&mut |node| match node {
        Expr::Column { index, ty } if counts.contains(&index) => Expr::Coalesce {
            args: vec![Expr::Column { index, ty }, Expr::constant(ochre_types::Datum::Int64(0), ty)],
            ty,
        },
        other => other,
    });
    for expr in exprs {
        let taken = std::mem::replace(&mut **expr, Expr::bool(true));
        **expr = taken.transform(&mut |node| match node {
            Expr::SubPlan { plan, kind: SubPlanKind::Scalar, .. } if plan == index => value.clone(),
            other => other,
        });
    }
    let left = std::mem::replace(input, Logical::Dummy { row: false });
    let right = Logical::Aggregate(grouping);
    *input = Logical::Join(Box::new(Join { kind: JoinKind::Left, left, right, on, lateral: false }));
    let from = statement.subqueries[index].frame;
    for cte in statement.ctes.iter_mut().filter(|cte| cte.frame == from) {
        cte.frame = frame;
    }
    statement.has_alternative = true;
    Some(())
}

/// The aggregation below projections, and the value over its results.
fn aggregate_of(plan: Logical, value: Expr) -> Option<(Box<Grouping>, Expr)> {
    match plan {
        Logical::Aggregate(grouping) => Some((grouping, value)),
        Logical::Project { input, items } => {
            let value = value.transform(&mut |node| match node {
                Expr::Column { index, ty } => match items.iter().find(|(id, _)| *id == index) {
                    Some((_, expr)) => expr.clone(),
                    None => Expr::Column { index, ty },
                },
                other => other,
            });
            aggregate_of(*input, value)
        }
        _ => None,
    }
}
