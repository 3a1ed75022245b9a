//! A correlated EXISTS within a condition or a select list, under OR or NOT say, becomes a join that marks each row with its answer:
//! `a OR EXISTS (SELECT FROM t WHERE t.k = o.k)` reads `t` once.
//!
//! # How
//! As [`super::unnest`] does with an EXISTS that is a condition of its own: what the subquery asks of the outer row becomes the
//! join's condition. The subquery is then evaluated though the rest of the expression may not need it, so this is left to those
//! that compare columns, which cannot fail, and to places that are not guarded by CASE or COALESCE.
//!
//! # Differences
//! PostgreSQL runs such a subquery for each row, or all of it into a hash table: the planner makes both plans here and takes the
//! cheaper one ([`LogicalStatement::has_alternative`]).

use ochre_base::Result;
use ochre_expr::{Expr, SubPlanKind};
use ochre_types::SqlType;

use super::RuleContext;
use super::sub_plans::each_evaluation;
use super::unnest::exists_join;
use crate::logical::{ColumnInfo, Join, JoinKind, Logical, LogicalStatement};
use crate::plan::{Operation, comparison_of, strip_relabel};
use crate::walk::produced;

/// Makes joins in every query of a statement, inner ones first.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    each_evaluation(statement, &mut |statement, frame, input, mut exprs| {
        let mut found = Vec::new();
        exprs.iter().for_each(|expr| questions(expr, &mut found));
        for index in found {
            mark(statement, frame, input, &mut exprs, index);
        }
    });
    Ok(())
}

/// The EXISTS that an expression may evaluate of any row.
fn questions(expr: &Expr, found: &mut Vec<usize>) {
    match expr {
        Expr::SubPlan { plan, kind: SubPlanKind::Exists, .. } if !found.contains(plan) => found.push(*plan),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| questions(part, found)),
        Expr::Call { args, .. } => args.iter().for_each(|arg| questions(arg, found)),
        Expr::Cast { arg, .. } | Expr::Not(arg) | Expr::IsNull { arg, .. } => questions(arg, found),
        _ => {}
    }
}

/// Puts a join below the expressions in place of an EXISTS, if it can be one.
fn mark(
    statement: &mut LogicalStatement,
    frame: usize,
    input: &mut Logical,
    exprs: &mut [&mut Expr],
    index: usize,
) -> Option<()> {
    let outer = produced(input, &statement.tables);
    let depth = statement.columns[outer.iter().next()?].depth;
    let is_column = |expr: &Expr| matches!(strip_relabel(expr), Expr::Column { .. });
    let cannot_fail = |on: &Expr| {
        comparison_of(on).is_some_and(|(operation, left, right)| {
            operation == Operation::Equal && is_column(left) && is_column(right)
        })
    };
    let (right, on) = exists_join(statement, frame, index, &outer, &|on| on.iter().all(cannot_fail))?;
    let info = ColumnInfo { name: "exists".into(), ty: SqlType::BOOL, origin: None, depth, table: None };
    statement.columns.push(info);
    let id = statement.columns.len() - 1;
    // The mark is NULL where IN would be: EXISTS is false there.
    let column = Expr::Column { index: id, ty: SqlType::BOOL };
    let answer = Expr::Coalesce { args: vec![column, Expr::bool(false)], ty: SqlType::BOOL };
    for expr in exprs {
        let taken = std::mem::replace(&mut **expr, Expr::bool(true));
        **expr = taken.transform(&mut |node| match node {
            Expr::SubPlan { plan, kind: SubPlanKind::Exists, .. } if plan == index => answer.clone(),
            other => other,
        });
    }
    let left = std::mem::replace(input, Logical::Dummy { row: false });
    *input = Logical::Join(Box::new(Join { kind: JoinKind::Mark(id), left, right, on, lateral: false }));
    statement.has_alternative = true;
    Some(())
}
