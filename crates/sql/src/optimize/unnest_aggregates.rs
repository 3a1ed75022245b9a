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
//! planner makes both plans and takes the cheaper one ([`crate::logical::Alternatives`]).
//!
//! # Conditions
//! What is read for keys that no outer row has cannot fail, nor what is read for rows for which CASE, COALESCE or OR would not
//! have asked ([`super::never_fails`]): `sum(1 / x)` stays a subquery. What stands above the aggregates, HAVING among it, is
//! computed where the subquery stood. Nothing is volatile.
//!
//! # Not done
//! Subqueries that mention outer columns below the aggregates elsewhere than in an equality.
//!
//! # References
//! Galindo-Legaria and Joshi, "Orthogonal Optimization of Subqueries and Aggregation" (2001).

use ochre_base::Result;
use ochre_expr::{Expr, SubPlanKind};

use super::RuleContext;
use super::correlated::{Top, any_subplan, detach_aggregates, with_counts};
use super::sub_plans::{Evaluated, correlated_scalar, each_evaluation, put_left_join, subqueries_of};
use crate::logical::{Logical, LogicalStatement};
use crate::walk::produced;

/// Unnests in every query of a statement, inner ones first.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    each_evaluation(statement, &mut |statement, frame, input, exprs| {
        for index in subqueries_of(exprs, &|kind| matches!(kind, SubPlanKind::Scalar)) {
            unnest(statement, frame, input, exprs, index);
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
) -> Option<()> {
    let outer = produced(input, &statement.tables);
    let (Top { conditions, base, .. }, value) = correlated_scalar(statement, index, &outer)?;
    let Logical::Aggregate(grouping) = base else { return None };
    if !grouping.keys.is_empty() || grouping.sets.is_some() || any_subplan(conditions.iter().chain([&value]))
    {
        return None;
    }
    let mut value = with_counts(value, &grouping);
    if !conditions.is_empty() {
        let having = with_counts(Expr::and(conditions), &grouping);
        let ty = value.ty();
        value = Expr::Case { operand: None, branches: vec![(having, value)], otherwise: None, ty };
    }
    let (right, on) = detach_aggregates(grouping, &outer, statement)?;
    put_left_join(statement, (frame, input, exprs), index, (right, on, &value))
}
