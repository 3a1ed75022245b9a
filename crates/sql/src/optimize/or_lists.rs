//! `a = 1 OR a = 2` becomes `a = ANY ('{1,2}')`, which an index can answer.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::{Expr, FunctionRef};
use ochre_types::{ArrayValue, Datum, SqlType};

use super::{RuleContext, each_root};
use crate::logical::{Logical, LogicalStatement};
use crate::plan::{Operation, comparison_of, operation_of};
use crate::walk::each_node_mut;

/// Rewrites the filters of every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    each_root(statement, &mut |plan, _| {
        each_node_mut(plan, &mut |node| {
            let Logical::Filter { predicates, .. } = node else { return };
            for predicate in predicates {
                if let Expr::Or(parts) = predicate
                    && let Some(list) = as_list(parts)
                {
                    *predicate = list;
                }
            }
        });
        Ok(())
    })
}

/// The alternatives as one list, when they all compare one expression with constants for equality.
fn as_list(parts: &[Expr]) -> Option<Expr> {
    let mut found: Option<(&Expr, FunctionRef, SqlType)> = None;
    let mut values: Vec<Datum> = Vec::with_capacity(parts.len());
    for part in parts {
        let (left, function, ty) = match part {
            Expr::Call { function, .. } => {
                let (Operation::Equal, left, Expr::Constant { value, ty }) = comparison_of(part)? else {
                    return None;
                };
                values.push(value.clone());
                (left, function.clone(), *ty)
            }
            Expr::ScalarArrayOp { function, all: false, left, array, .. }
                if operation_of(function.oid) == Some(Operation::Equal) =>
            {
                let Expr::Constant { value: Datum::Array(array), .. } = &**array else { return None };
                if array.dimensions.len() > 1 {
                    return None;
                }
                values.extend(array.elements.iter().cloned());
                (&**left, function.clone(), array.element)
            }
            _ => return None,
        };
        match &found {
            None => found = Some((left, function, ty)),
            Some((known, same, element)) if *known == left && *same == function && element.oid == ty.oid => {}
            Some(_) => return None,
        }
    }
    let (left, function, element) = found?;
    // Parts may be volatile or costly: only plain columns.
    if !matches!(crate::plan::strip_relabel(left), Expr::Column { .. }) {
        return None;
    }
    let element = element.with_typmod(-1);
    let array = element.array_of()?;
    let list = Expr::constant(Datum::Array(Arc::new(ArrayValue::vector(element, values))), array);
    Some(Expr::ScalarArrayOp {
        function,
        all: false,
        left: Box::new(left.clone()),
        array: Box::new(list),
        pos: ochre_expr::SourcePos::NONE,
    })
}
