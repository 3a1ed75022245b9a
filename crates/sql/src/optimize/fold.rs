//! Constant folding: immutable calls of constants become constants; AND, OR, NOT and CASE lose what is decided. NOT goes down
//! to the comparisons, which become their opposites.

use ochre_base::Result;
use ochre_expr::{
    CastKind, EvalContext, Expr, FunctionRef, Volatility, btree_comparison, eval_const, operator_of_function,
};
use ochre_types::{Datum, SqlType, oids};

use super::{RuleContext, each_modify_expr, each_root};
use crate::logical::{Logical, LogicalStatement};
use crate::plan::{Operation, comparison_of};
use crate::walk::{each_expr_mut, each_node_mut};

/// Folds every expression of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, context: &RuleContext<'_>) -> Result<()> {
    let context = EvalContext::new(context.session);
    each_root(statement, &mut |plan, _| {
        each_node_mut(plan, &mut |node| fold_operator(node, &context));
        Ok(())
    })?;
    each_modify_expr(statement, &mut |expr| fold(expr, &context));
    Ok(())
}

fn fold_operator(plan: &mut Logical, context: &EvalContext<'_>) {
    each_expr_mut(plan, &mut |expr| fold(expr, context));
    if let Logical::Filter { predicates, .. } = plan {
        simplify_predicates(predicates);
    }
    if let Logical::Join(join) = plan {
        simplify_predicates(&mut join.on);
    }
}

/// Splits conjunctions that folding brought to the top and drops what is always true.
fn simplify_predicates(predicates: &mut Vec<Expr>) {
    let needs = predicates.iter().any(|p| matches!(p, Expr::And(_) | Expr::Constant { .. }));
    if needs {
        let taken = std::mem::take(predicates);
        predicates.extend(taken.into_iter().flat_map(Expr::conjuncts));
    }
}

/// Folds an expression in place.
pub(crate) fn fold(expr: &mut Expr, context: &EvalContext<'_>) {
    if matches!(expr, Expr::Constant { .. } | Expr::Column { .. } | Expr::Parameter { .. }) {
        return;
    }
    if let Expr::Case { operand: Some(_), .. } = expr {
        // Comparisons with the operand are no constants whatever their other side is.
        return;
    }
    expr.transform_in_place(&mut |node| fold_node(node, context));
}

fn fold_node(node: Expr, context: &EvalContext<'_>) -> Expr {
    match node {
        Expr::And(parts) => fold_and(parts),
        Expr::Or(parts) => fold_or(parts),
        Expr::Not(inner) => match *inner {
            Expr::Constant { value: Datum::Bool(value), .. } => Expr::bool(!value),
            Expr::Constant { value: Datum::Null, .. } => Expr::null(SqlType::BOOL),
            Expr::Not(inner) => *inner,
            Expr::And(parts) => fold_or(parts.into_iter().map(|part| fold_not(part, context)).collect()),
            Expr::Or(parts) => fold_and(parts.into_iter().map(|part| fold_not(part, context)).collect()),
            Expr::Call { function, args, variadic_array, ty, pos } => match negator(&function) {
                Some(function) => Expr::Call { function, args, variadic_array, ty, pos },
                None => Expr::Not(Box::new(Expr::Call { function, args, variadic_array, ty, pos })),
            },
            Expr::IsNull { arg, negated, row: false } => Expr::IsNull { arg, negated: !negated, row: false },
            Expr::IsDistinct { equal, left, right, negated } => {
                Expr::IsDistinct { equal, left, right, negated: !negated }
            }
            other => Expr::Not(Box::new(other)),
        },
        Expr::Call { ref function, ref args, ty, .. } => {
            if !args.iter().all(is_constant) || function.returns_set {
                // A strict function of NULL is NULL.
                if function.strict
                    && function.volatility != Volatility::Volatile
                    && !function.returns_set
                    && args.iter().any(|arg| matches!(arg, Expr::Constant { value: Datum::Null, .. }))
                {
                    return Expr::null(ty);
                }
                return date_bound(&node).unwrap_or(node);
            }
            if function.volatility != Volatility::Immutable {
                return node;
            }
            evaluate(node, context)
        }
        Expr::Cast { ref arg, ref kind, ref ty, .. } if is_constant(arg) => {
            let plain = match kind {
                CastKind::Io => node.volatility() == Volatility::Immutable,
                CastKind::Array { .. } | CastKind::Record { .. } => {
                    node.volatility() == Volatility::Immutable
                }
                CastKind::Function { function, .. } => function.volatility == Volatility::Immutable,
                CastKind::Relabel | CastKind::Typmod { .. } => true,
            };
            let _ = ty;
            if plain { evaluate(node, context) } else { node }
        }
        Expr::ArrayLiteral { ref elements, .. } if elements.iter().all(is_constant) => {
            evaluate(node, context)
        }
        Expr::IsNull { ref arg, row: false, negated } => match &**arg {
            Expr::Constant { value, .. } => Expr::bool(value.is_null() != negated),
            _ => node,
        },
        Expr::Coalesce { mut args, ty } => {
            args.retain(|arg| !matches!(arg, Expr::Constant { value: Datum::Null, .. }));
            match args.first() {
                None => Expr::null(ty),
                Some(Expr::Constant { .. }) => args.remove(0),
                Some(_) if args.len() == 1 => args.remove(0),
                _ => Expr::Coalesce { args, ty },
            }
        }
        Expr::Case { operand: None, branches, otherwise, ty } => fold_case(branches, otherwise, ty),
        other => other,
    }
}

fn fold_not(part: Expr, context: &EvalContext<'_>) -> Expr {
    fold_node(Expr::Not(Box::new(part)), context)
}

/// The function with the opposite answer, of which both are NULL for the same arguments: those of an operator and its negator
/// when both are strict.
fn negator(function: &FunctionRef) -> Option<FunctionRef> {
    let operator = operator_of_function(function.oid)?;
    let negator = ochre_expr::operator(operator.negator)?;
    let same = negator.left == operator.left && negator.right == operator.right;
    let plain = function.strict && negator.function.strict && !function.returns_set;
    let as_lasting = negator.function.volatility == function.volatility;
    (same && plain && as_lasting).then(|| FunctionRef::from(negator.function))
}

/// A date compared with a moment, as `d < date '…' + interval '…'` gives it: the same question asked of dates, which the
/// statistics and an index know.
fn date_bound(node: &Expr) -> Option<Expr> {
    let (operation, left, right) = comparison_of(node)?;
    let (column, value, operation) = match (left, right) {
        (column, Expr::Constant { value, ty }) if ty.oid == oids::TIMESTAMP => (column, value, operation),
        (Expr::Constant { value, ty }, column) if ty.oid == oids::TIMESTAMP => {
            (column, value, operation.commuted())
        }
        _ => return None,
    };
    let Datum::Int64(moment) = value else { return None };
    if column.ty().oid != oids::DATE || matches!(*moment, i64::MIN | i64::MAX) {
        return None;
    }
    const DAY_MICROS: i64 = 86_400_000_000;
    let day = i32::try_from(moment.div_euclid(DAY_MICROS)).ok()?;
    let dates = btree_comparison(oids::DATE)?;
    let midnight = moment.rem_euclid(DAY_MICROS) == 0;
    // Within a day all of it lies before the moment: its date is the last one that does.
    let operator = match operation {
        Operation::Equal if midnight => dates.equal,
        Operation::Less if midnight => dates.less,
        Operation::GreaterOrEqual if midnight => dates.greater_or_equal,
        Operation::Less | Operation::LessOrEqual => dates.less_or_equal,
        Operation::Greater | Operation::GreaterOrEqual => dates.greater,
        _ => return None,
    };
    let bound = Expr::constant(Datum::Int32(day), SqlType::DATE);
    Some(Expr::call(operator.function, vec![column.clone(), bound], SqlType::BOOL))
}

fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Constant { .. })
}

fn evaluate(node: Expr, context: &EvalContext<'_>) -> Expr {
    // An error belongs to the moment of execution, if the expression is reached at all.
    match eval_const(&node, context) {
        Ok(value) => Expr::Constant { value, ty: node.ty() },
        Err(_) => node,
    }
}

fn fold_and(parts: Vec<Expr>) -> Expr {
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Expr::Constant { value: Datum::Bool(true), .. } => {}
            Expr::Constant { value: Datum::Bool(false), .. } => return Expr::bool(false),
            Expr::And(inner) => kept.extend(inner),
            other => kept.push(other),
        }
    }
    match kept.len() {
        0 => Expr::bool(true),
        1 => kept.remove(0),
        _ => Expr::And(kept),
    }
}

fn fold_or(parts: Vec<Expr>) -> Expr {
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Expr::Constant { value: Datum::Bool(false), .. } => {}
            Expr::Constant { value: Datum::Bool(true), .. } => return Expr::bool(true),
            Expr::Or(inner) => kept.extend(inner),
            other => kept.push(other),
        }
    }
    match kept.len() {
        0 => Expr::bool(false),
        1 => kept.remove(0),
        _ => Expr::Or(kept),
    }
}

fn fold_case(branches: Vec<(Expr, Expr)>, otherwise: Option<Box<Expr>>, ty: SqlType) -> Expr {
    let mut kept = Vec::with_capacity(branches.len());
    for (condition, result) in branches {
        match condition {
            Expr::Constant { value: Datum::Bool(true), .. } => {
                if kept.is_empty() {
                    return result;
                }
                return Expr::Case { operand: None, branches: kept, otherwise: Some(Box::new(result)), ty };
            }
            Expr::Constant { .. } => {}
            condition => kept.push((condition, result)),
        }
    }
    if kept.is_empty() {
        return otherwise.map_or_else(|| Expr::null(ty), |otherwise| *otherwise);
    }
    Expr::Case { operand: None, branches: kept, otherwise, ty }
}
