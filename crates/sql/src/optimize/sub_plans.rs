//! Where a statement's subqueries are evaluated: what rules that make joins of them go through.

use crate::logical::{Logical, LogicalBody, LogicalStatement, Query};
use crate::walk::inputs_mut;
use ochre_expr::Expr;

/// Takes an operator's input and the expressions that it computes of each of its rows, in a frame.
pub(super) type Visit<'v> = dyn FnMut(&mut LogicalStatement, usize, &mut Logical, Vec<&mut Expr>) + 'v;

/// Calls `visit` for each filter and each projection of a statement's queries, inner queries first. Not below row locks, and not
/// for the rows that UPDATE and DELETE change: those are looked at again when they have changed, with subqueries as they are. Nor
/// for a projection of rows that were sorted: a join below it would not keep their order.
pub(super) fn each_evaluation(statement: &mut LogicalStatement, visit: &mut Visit<'_>) {
    if statement.subqueries.is_empty() {
        return;
    }
    // A subquery's own subqueries have lower numbers.
    for index in 0..statement.subqueries.len() {
        let frame = statement.subqueries[index].frame;
        let plan = &mut statement.subqueries[index].query.plan;
        let mut plan = std::mem::replace(plan, Logical::Dummy { row: false });
        walk(statement, frame, &mut plan, visit);
        statement.subqueries[index].query.plan = plan;
    }
    let empty = || LogicalBody::Query(Query { plan: Logical::Dummy { row: false }, output: Vec::new() });
    for index in 0..statement.ctes.len() {
        let frame = statement.ctes[index].frame;
        let mut body = std::mem::replace(&mut statement.ctes[index].body, empty());
        walk_body(statement, frame, &mut body, visit);
        statement.ctes[index].body = body;
    }
    let mut body = std::mem::replace(&mut statement.body, empty());
    walk_body(statement, 0, &mut body, visit);
    statement.body = body;
}

fn walk_body(statement: &mut LogicalStatement, frame: usize, body: &mut LogicalBody, visit: &mut Visit<'_>) {
    if let LogicalBody::Query(query) = body {
        walk(statement, frame, &mut query.plan, visit);
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

fn walk(statement: &mut LogicalStatement, frame: usize, plan: &mut Logical, visit: &mut Visit<'_>) {
    stacker::maybe_grow(
        ochre_base::limits::STACK_RED_ZONE_BYTES,
        ochre_base::limits::STACK_GROWTH_BYTES,
        || {
            match plan {
                Logical::LockRows { .. } => return,
                Logical::Filter { input, predicates } => {
                    visit(statement, frame, input, predicates.iter_mut().collect());
                }
                Logical::Project { input, items } if !is_ordered(input) => {
                    visit(statement, frame, input, items.iter_mut().map(|(_, expr)| expr).collect());
                }
                _ => {}
            }
            for input in inputs_mut(plan) {
                walk(statement, frame, input, visit);
            }
        },
    );
}
