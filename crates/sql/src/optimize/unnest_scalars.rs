//! Correlated scalar subqueries without aggregate become left joins: `SELECT (SELECT b.x FROM b WHERE b.k = a.k) FROM a`.
//!
//! # How
//! Where a key says that there is one row at most, the join is with the table. Otherwise it is with groups: of each key the
//! columns of a row and how many there are, and [`ochre_expr::single_value_function`] raises 21000 where the subquery stood, for
//! rows that would have asked it. Without FROM the subquery is its select list.
//!
//! # Conditions
//! The select list is computed where the subquery stood, so it fails for no other row than before. What is read of rows
//! that nobody asks for cannot fail ([`super::never_fails`]); nothing is volatile; groups are made by equalities only.
//!
//! # Differences
//! PostgreSQL runs such a subquery for each row, which is better for few outer rows and an index: the planner makes both plans and
//! takes the cheaper one ([`crate::logical::Alternatives`]).

use ochre_base::Result;
use ochre_expr::{AggregateRef, Expr, SubPlanKind, functions_named, single_value_function};
use ochre_types::SqlType;

use super::RuleContext;
use super::correlated::{any_subplan, detach, keys_of, new_column, of_found, substitute};
use super::never_fails::{never_fails, plan_never_fails};
use super::sub_plans::{
    Evaluated, correlated_scalar, each_evaluation, put_left_join, replace, subqueries_of,
};
use super::uniqueness::Uniqueness;
use crate::idset::IdSet;
use crate::logical::{AggregateExpr, AggregateFunction, ColumnId, Grouping, Logical, LogicalStatement};
use crate::walk::produced;

/// Unnests in every query of a statement, inner ones first.
pub(super) fn apply(statement: &mut LogicalStatement, context: &RuleContext<'_>) -> Result<()> {
    each_evaluation(statement, &mut |statement, frame, input, exprs| {
        for index in subqueries_of(exprs, &|kind| matches!(kind, SubPlanKind::Scalar)) {
            unnest(statement, frame, input, exprs, index, context);
        }
    });
    Ok(())
}

/// Puts a join below the expressions in place of a subquery, if it can be one.
fn unnest(
    statement: &mut LogicalStatement,
    frame: usize,
    input: &mut Logical,
    exprs: &mut [Evaluated<'_>],
    index: usize,
    context: &RuleContext<'_>,
) -> Option<()> {
    let outer = produced(input, &statement.tables);
    let (mut top, mut value) = correlated_scalar(statement, index, &outer)?;
    if matches!(top.base, Logical::Dummy { row: true }) {
        if !top.conditions.is_empty() {
            let ty = value.ty();
            let branches = vec![(Expr::and(top.conditions), value)];
            value = Expr::Case { operand: None, branches, otherwise: None, ty };
        }
        replace(exprs, index, &value, &IdSet::default());
        return Some(());
    }
    if any_subplan([&value]) {
        return None;
    }
    let (mut right, mut on) = detach(top.rows(), &outer, statement)?;
    if !plan_never_fails(&right, &statement.ctes) || !on.iter().all(never_fails) {
        return None;
    }
    let uniqueness = Uniqueness { tables: &statement.tables, settings: context.settings };
    if uniqueness.has_one_match(&right, &on) {
        value = of_found(value, &on, &produced(&right, &statement.tables))?;
    } else {
        let keys;
        (keys, on) = keys_of(on, &outer, statement)?;
        (right, value) = single(statement, right, keys, value, &on)?;
    }
    put_left_join(statement, (frame, input, exprs), index, (right, on, &value))
}

/// The rows of each key as one, and the value that raises 21000 where they are more.
fn single(
    statement: &mut LogicalStatement,
    rows: Logical,
    keys: Vec<(ColumnId, Expr)>,
    mut value: Expr,
    on: &[Expr],
) -> Option<(Logical, Expr)> {
    let made = produced(&rows, &statement.tables);
    let mut read = Vec::new();
    let _ = value.walk(&mut |node| {
        if let Expr::Column { index, .. } = node
            && made.contains(*index)
            && !read.contains(node)
        {
            read.push(node.clone());
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    let mut aggregates = Vec::new();
    let mut values = Vec::new();
    for column in read {
        let Expr::Column { index, ty } = column else { continue };
        // Of rows with one key it is the same in all.
        if keys.iter().any(|(_, key)| *key == column) {
            continue;
        }
        let id = new_column(statement, "any_value", ty);
        aggregates.push((id, call("any_value", vec![column], ty)?));
        values.push((index, Expr::Column { index: id, ty }));
    }
    let count = new_column(statement, "count", SqlType::INT8);
    aggregates.push((count, call("count", Vec::new(), SqlType::INT8)?));
    let grouped = Logical::Aggregate(Box::new(Grouping { input: rows, keys, aggregates, sets: None }));
    substitute(&mut value, &values);
    let value = of_found(value, on, &produced(&grouped, &statement.tables))?;
    let ty = value.ty();
    let count = Expr::Column { index: count, ty: SqlType::INT8 };
    Some((grouped, Expr::call(single_value_function(), vec![value, count], ty)))
}

/// A call of a built-in aggregate.
fn call(name: &str, args: Vec<Expr>, ty: SqlType) -> Option<AggregateExpr> {
    let functions = functions_named(name).iter();
    let function = functions.filter(|function| function.arg_types.len() == args.len());
    let aggregate = function.filter_map(|function| ochre_expr::aggregate(function.oid)).next()?;
    Some(AggregateExpr {
        function: AggregateFunction(AggregateRef::Builtin(aggregate)),
        args,
        direct_args: Vec::new(),
        distinct: false,
        order_by: Vec::new(),
        filter: None,
        ty,
    })
}
