//! A WITH entry that is read once, and is neither recursive nor MATERIALIZED nor volatile, is put where it is read.

use ochre_base::Result;
use ochre_expr::Expr;

use super::RuleContext;
use crate::logical::{Logical, LogicalBody, LogicalStatement, Query};
use crate::walk::{contains_locks, inputs_mut, is_volatile};

/// Inlines in every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    for index in 0..statement.ctes.len() {
        let cte = &statement.ctes[index];
        if cte.references != 1 || cte.recursive || cte.materialized == Some(true) {
            continue;
        }
        let LogicalBody::Query(query) = &cte.body else { continue };
        if is_volatile(&query.plan, &statement.subqueries) || contains_locks(&query.plan) {
            continue;
        }
        let query = query.clone();
        let mut put = |plan: &mut Logical| replace(plan, index, &query);
        let LogicalStatement { body, subqueries, ctes, .. } = &mut *statement;
        let done = visit_body(body, &mut put)
            || subqueries.iter_mut().any(|subquery| put(&mut subquery.query.plan))
            || ctes
                .iter_mut()
                .enumerate()
                .any(|(i, other)| i != index && visit_body(&mut other.body, &mut put));
        if done {
            statement.ctes[index].references = 0;
        }
    }
    Ok(())
}

fn visit_body(body: &mut LogicalBody, put: &mut dyn FnMut(&mut Logical) -> bool) -> bool {
    match body {
        LogicalBody::Query(query) => put(&mut query.plan),
        LogicalBody::Modify(modify) => put(&mut modify.source.plan),
    }
}

/// Puts the query in the place of its scan; says whether it was there.
fn replace(plan: &mut Logical, index: usize, query: &Query) -> bool {
    if let Logical::CteScan { cte, columns, .. } = plan {
        if *cte != index {
            return false;
        }
        let items = columns
            .iter()
            .map(|(position, id)| {
                let (source, column) = &query.output[*position];
                (*id, Expr::Column { index: *source, ty: column.ty })
            })
            .collect();
        *plan = Logical::Project { input: Box::new(query.plan.clone()), items };
        return true;
    }
    inputs_mut(plan).into_iter().any(|input| replace(input, index, query))
}
