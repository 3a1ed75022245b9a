//! Window functions that only grow (or only shrink) along a partition, and a condition above that the first row to fail decides
//! for all behind it: `row_number() OVER (…) AS n … WHERE n <= 5`. The window passes over the rest of the partition, and
//! ends where it has only one.
//!
//! # Conditions
//! The filter stands directly above the window's operator, so that nothing else sees the rows that are passed over, and
//! stays there. It compares the function with something that is the same for all rows. No function of the window is
//! volatile, and no row is locked below.
//!
//! `row_number`, `rank`, `dense_rank`, `ntile`, `percent_rank` and `cume_dist` grow whatever the frame; `count` grows when its
//! frame begins with the partition, and shrinks when it ends with it.

use ochre_base::Result;
use ochre_expr::{Expr, Volatility, operator_of_function, operators_named};

use super::unnest::has_subplan;
use super::{RuleContext, each_query};
use crate::logical::{Bound, ColumnId, Logical, LogicalStatement, WindowExpr, WindowStep};
use crate::physical::FrameExclusion;
use crate::plan::{Operation, comparison_of};
use crate::walk::{Parts, contains_locks, each_node_mut, has_effects, produced};

/// Finds them in every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    each_query(statement, &mut |plan, _, parts| {
        each_node_mut(plan, &mut |node| {
            if let Logical::Filter { input, predicates } = node
                && let Logical::Window(window) = &mut **input
            {
                let found = run_conditions(window, predicates, parts);
                window.run = found;
            }
        });
    });
    Ok(())
}

/// The values of a call along a partition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    Grows,
    Shrinks,
}

fn run_conditions(window: &WindowStep, predicates: &[Expr], parts: Parts<'_>) -> Vec<Expr> {
    let candidates: Vec<Expr> =
        predicates.iter().filter_map(|predicate| run_condition(window, predicate, parts)).collect();
    let acts = |(_, call): &(ColumnId, WindowExpr)| call.exprs().any(|expr| has_effects(expr, parts));
    if candidates.is_empty() || window.calls.iter().any(acts) || contains_locks(&window.input) {
        return Vec::new();
    }
    candidates
}

/// What is true of the rows of a partition up to some one, wherever this is true of any.
fn run_condition(window: &WindowStep, predicate: &Expr, parts: Parts<'_>) -> Option<Expr> {
    let (mut operation, left, right) = comparison_of(predicate)?;
    let call = |expr: &Expr| match expr {
        Expr::Column { index, .. } => window.calls.iter().find(|(id, _)| id == index),
        _ => None,
    };
    let is_left = call(left).is_some();
    let (of, value) = if is_left { (left, right) } else { (right, left) };
    let (_, call) = call(of)?;
    if !is_left {
        operation = operation.commuted();
    }
    let made = produced(&Logical::Window(Box::new(window.clone())), parts.tables);
    let same = !value.columns().into_iter().any(|id| made.contains(id));
    if !same || value.volatility() == Volatility::Volatile || has_subplan(value) {
        return None;
    }
    match (course(window, call)?, operation) {
        (Course::Grows, Operation::Less | Operation::LessOrEqual)
        | (Course::Shrinks, Operation::Greater | Operation::GreaterOrEqual) => Some(predicate.clone()),
        // Up to the value, and behind it no more: the rows before it are the filter's to drop.
        (Course::Grows, Operation::Equal) => with_operator(predicate, if is_left { "<=" } else { ">=" }),
        (Course::Shrinks, Operation::Equal) => with_operator(predicate, if is_left { ">=" } else { "<=" }),
        _ => None,
    }
}

/// The comparison of the same operands by another operator.
fn with_operator(predicate: &Expr, name: &str) -> Option<Expr> {
    let Expr::Call { function, args, .. } = predicate else { return None };
    let equal = operator_of_function(function.oid)?;
    let other = operators_named(name).iter().find(|known| {
        known.left == equal.left && known.right == equal.right && known.result == equal.result
    })?;
    Some(Expr::call(other.function, args.clone(), ochre_types::SqlType::BOOL))
}

fn course(window: &WindowStep, call: &WindowExpr) -> Option<Course> {
    match call {
        WindowExpr::Function { function, .. } => matches!(
            &*function.name,
            "row_number" | "rank" | "dense_rank" | "ntile" | "percent_rank" | "cume_dist"
        )
        .then_some(Course::Grows),
        WindowExpr::Aggregate(call) => {
            let frame = &window.frame;
            let counts = &*call.function.0.function.name == "count" && call.function.0.called.is_none();
            if !counts || call.distinct || frame.exclusion != FrameExclusion::NoOthers {
                return None;
            }
            match (&frame.start, &frame.end) {
                (Bound::UnboundedPreceding, _) => Some(Course::Grows),
                (_, Bound::UnboundedFollowing) => Some(Course::Shrinks),
                _ => None,
            }
        }
    }
}
