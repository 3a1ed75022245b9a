//! What can be evaluated for rows that nobody may ask it for: expressions and plans that raise no error whatever the values are.
//!
//! A sub-query that becomes a join is evaluated for inner rows that no outer row has as partners, and for outer rows for which CASE,
//! OR or an empty table would have kept it from being run. `1 / x` there raises an error that the statement as written does not.
//!
//! # Rules
//! Built-in functions that PostgreSQL calls leakproof do not fail, nor do comparisons of the types of [`is_plain`], and the
//! functions of [`TOTAL`]. That a value would become too large for any memory, or a sum for its type, is not counted: numeric
//! has room for 131,072 digits, sums of integers are of a wider type, those of floating-point numbers fail beyond 10^308.
//! Functions of users may do anything, integers overflow where they are added.

use ochre_base::Oid;
use ochre_expr::{CastKind, Expr, FunctionRef};
use ochre_types::{Datum, SqlType, oids};

use crate::logical::{AggregateExpr, Logical, LogicalBody, LogicalCte};
use crate::plan::operation_of;
use crate::walk::{each_expr, inputs};

/// Functions by PostgreSQL's internal names that have a result for all values.
const TOTAL: [&str; 14] = [
    "numeric_add",
    "numeric_sub",
    "numeric_mul",
    "numeric_uminus",
    "numeric_abs",
    "textcat",
    "textlen",
    "lower",
    "upper",
    "btrim1",
    "ltrim1",
    "rtrim1",
    "text_larger",
    "text_smaller",
];

/// Aggregates that have a result for all values of plain types.
#[rustfmt::skip]
const TOTAL_AGGREGATES: [&str; 24] = [
    "count", "sum", "avg", "min", "max", "any_value", "bool_and", "bool_or", "every", "bit_and", "bit_or", "bit_xor", "array_agg",
    "string_agg", "json_agg", "jsonb_agg", "stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp", "mode",
    "regr_count",
];

/// Whether an expression has a value for every row.
pub(super) fn never_fails(expr: &Expr) -> bool {
    never_fails_of(expr, &|_| true)
}

/// Whether those parts of an expression never fail that have to do with something.
pub(super) fn never_fails_of(expr: &Expr, relevant: &dyn Fn(&Expr) -> bool) -> bool {
    let own = match expr {
        Expr::Constant { .. }
        | Expr::Column { .. }
        | Expr::Parameter { .. }
        | Expr::Correlated { .. }
        | Expr::SessionValue { .. }
        | Expr::CaseOperand { .. }
        | Expr::And(_)
        | Expr::Or(_)
        | Expr::Not(_)
        | Expr::IsNull { .. }
        | Expr::BooleanTest { .. }
        | Expr::Case { .. }
        | Expr::Coalesce { .. } => true,
        Expr::Call { function, args, .. } => is_total(function) || is_plain_like(function, args),
        Expr::Cast { arg, kind, ty, .. } => match kind {
            CastKind::Relabel => true,
            CastKind::Function { function, .. } => is_total(function),
            CastKind::Io => ty.oid == oids::TEXT && is_plain(arg.ty()),
            _ => false,
        },
        Expr::IsDistinct { equal, .. } | Expr::NullIf { equal, .. } => is_total(equal),
        Expr::MinMax { args, .. } => args.iter().all(|arg| is_plain(arg.ty())),
        Expr::ScalarArrayOp { function, .. } => is_total(function),
        Expr::RowCompare { functions, .. } => functions.iter().all(is_total),
        _ => false,
    };
    own && expr
        .children()
        .into_iter()
        .filter(|child| relevant(child))
        .all(|child| never_fails_of(child, relevant))
}

/// Whether a plan gives its rows whatever is stored.
pub(super) fn plan_never_fails(plan: &Logical, ctes: &[LogicalCte]) -> bool {
    let own = match plan {
        Logical::Dummy { .. }
        | Logical::Get(_)
        | Logical::Values { .. }
        | Logical::Filter { .. }
        | Logical::Project { .. }
        | Logical::Join(_)
        | Logical::Distinct { .. }
        | Logical::Append(_)
        | Logical::SetOp(..) => true,
        Logical::CteScan { cte, .. } => match ctes.get(*cte) {
            Some(LogicalCte { body: LogicalBody::Query(query), recursive: false, .. }) => {
                plan_never_fails(&query.plan, ctes)
            }
            _ => false,
        },
        Logical::Aggregate(grouping) => {
            grouping.keys.iter().all(|(_, key)| is_plain(key.ty()))
                && grouping.aggregates.iter().all(|(_, call)| is_total_aggregate(call))
        }
        Logical::DistinctOn { sort: keys, .. } | Logical::Sort { keys, .. } => {
            keys.iter().all(|key| is_plain(key.expr.ty()))
        }
        Logical::Limit { limit, offset: None, .. } => match limit {
            None => true,
            Some(Expr::Constant { value, .. }) => value.as_i64().is_none_or(|rows| rows >= 0),
            Some(_) => false,
        },
        _ => false,
    };
    let mut total = own;
    each_expr(plan, &mut |expr| total &= never_fails(expr));
    total && inputs(plan).into_iter().all(|input| plan_never_fails(input, ctes))
}

/// Types whose values all compare, in time that does not depend on anything else.
pub(super) fn is_plain(ty: SqlType) -> bool {
    is_plain_oid(ty.oid)
}

fn is_plain_oid(oid: Oid) -> bool {
    matches!(
        oid,
        oids::BOOL
            | oids::CHAR
            | oids::INT2
            | oids::INT4
            | oids::INT8
            | oids::OID
            | oids::FLOAT4
            | oids::FLOAT8
            | oids::NUMERIC
            | oids::TEXT
            | oids::VARCHAR
            | oids::BPCHAR
            | oids::NAME
            | oids::BYTEA
            | oids::UUID
            | oids::DATE
            | oids::TIME
            | oids::TIMESTAMP
            | oids::TIMESTAMPTZ
            | oids::INTERVAL
    )
}

fn is_total(function: &FunctionRef) -> bool {
    let FunctionRef::Builtin(function) = function else { return false };
    let compares =
        operation_of(function.oid).is_some() && function.arg_types.iter().all(|ty| is_plain_oid(*ty));
    !function.returns_set && (function.leakproof || compares || TOTAL.contains(&&*function.source))
}

/// LIKE with a pattern that is known: one that ends with its escape character fails.
fn is_plain_like(function: &FunctionRef, args: &[Expr]) -> bool {
    let known = |arg: &Expr| match arg {
        Expr::Constant { value, .. } => value.as_str().is_some_and(|pattern| !pattern.contains('\\')),
        _ => false,
    };
    matches!(function, FunctionRef::Builtin(_))
        && matches!(&*function.source, "textlike" | "textnlike" | "bpcharlike" | "bpcharnlike")
        && args.get(1).is_some_and(known)
}

fn is_total_aggregate(call: &AggregateExpr) -> bool {
    let name = &*call.function.0.function.name;
    let share = |expr: &Expr| matches!(expr, Expr::Constant { value: Datum::Float64(share), .. } if (0.0..=1.0).contains(share));
    let takes = |ty: SqlType| is_plain(ty) && (ty.oid != oids::INTERVAL || !matches!(name, "sum" | "avg"));
    let known = match name {
        "percentile_cont" | "percentile_disc" => call.direct_args.iter().all(share),
        _ => call.direct_args.is_empty() && TOTAL_AGGREGATES.contains(&name),
    };
    known
        && call.function.0.called.is_none()
        && call.args.iter().all(|arg| takes(arg.ty()))
        && call.order_by.iter().all(|key| is_plain(key.expr.ty()))
}
