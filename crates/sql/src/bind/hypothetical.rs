//! Hypothetical-set aggregates: what rank a row would have in a group that it is not in.
//!
//! # How
//! They are counts of the rows that would come before it: `rank` is one more than how many there are, `dense_rank` one more
//! than how many different ones, `percent_rank` and `cume_dist` their share. So no order is computed.

use ochre_base::{Error, Result, SqlState};
use ochre_expr::{AggregateKind, AggregateRef, Expr, Function, functions_named};
use ochre_parser::ast;
use ochre_types::{SqlType, oids, record_type};

use super::Binder;
use super::overload::Overloads;
use super::scope::Scope;
use crate::logical::{AggregateExpr, AggregateFunction, Ordering};

/// The four of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HypotheticalSet {
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
}

/// A key of WITHIN GROUP with the value that the row would have.
struct Key {
    order: Ordering,
    value: Expr,
}

impl HypotheticalSet {
    /// What a name stands for before WITHIN GROUP.
    pub(super) fn of(functions: &Overloads) -> Option<HypotheticalSet> {
        let is_hypothetical = |function: &Function| {
            ochre_expr::aggregate(function.oid).is_some_and(|a| a.kind == AggregateKind::HypotheticalSet)
        };
        if !functions.any(is_hypothetical) {
            return None;
        }
        match &*functions.first()?.name {
            "rank" => Some(HypotheticalSet::Rank),
            "dense_rank" => Some(HypotheticalSet::DenseRank),
            "percent_rank" => Some(HypotheticalSet::PercentRank),
            "cume_dist" => Some(HypotheticalSet::CumeDist),
            _ => None,
        }
    }
}

impl Binder<'_> {
    /// Binds `f(values) WITHIN GROUP (ORDER BY keys)`.
    pub(super) fn bind_hypothetical(
        &mut self,
        call: &ast::FuncCall,
        set: HypotheticalSet,
        scope: &Scope<'_>,
    ) -> Result<Expr> {
        // The values are the group's, not the rows': they may mention what the query groups by.
        let mut values = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            values.push(self.bind_expr(&arg.value, scope)?);
        }
        self.level()?.direct_args.extend_from_slice(&values);
        let outer = std::mem::replace(&mut self.level()?.in_aggregate, true);
        let aggregated = self.bind_hypothetical_keys(call, values, scope);
        self.level()?.in_aggregate = outer;
        let (keys, filter) = aggregated?;
        let count = |binder: &mut Self, condition: Option<Expr>, distinct: bool| -> Result<Expr> {
            let conditions = filter.iter().cloned().chain(condition);
            let all: Vec<Expr> = conditions.collect();
            let args = match distinct {
                true => {
                    let fields: Vec<Expr> = keys.iter().map(|key| key.order.expr.clone()).collect();
                    let types: Vec<SqlType> = fields.iter().map(Expr::ty).collect();
                    vec![Expr::Row { fields, ty: record_type(&types) }]
                }
                false => Vec::new(),
            };
            let function = functions_named("count").iter().find(|f| f.arg_types.len() == args.len());
            let Some(aggregate) = function.and_then(|function| ochre_expr::aggregate(function.oid)) else {
                return Err(Error::internal("count is not built in"));
            };
            let aggregate = AggregateExpr {
                function: AggregateFunction(AggregateRef::Builtin(aggregate)),
                args,
                direct_args: Vec::new(),
                distinct,
                order_by: Vec::new(),
                filter: (!all.is_empty()).then(|| Expr::and(all)),
                ty: SqlType::INT8,
            };
            binder.add_aggregate(aggregate, scope, call.pos)
        };
        let operator = |symbol: &'static str| ast::Operator::plain(ast::Name::from_static(symbol));
        let one = Binder::bigint(1);
        let before = self.comes_before(&keys, set == HypotheticalSet::CumeDist, call)?;
        let ahead = count(self, Some(before), set == HypotheticalSet::DenseRank)?;
        let pos = call.pos;
        if matches!(set, HypotheticalSet::Rank | HypotheticalSet::DenseRank) {
            return self.bind_operator(&operator("+"), Some(ahead), one, pos);
        }
        let total = count(self, None, false)?;
        let (ahead, total) = match set {
            HypotheticalSet::CumeDist => (
                self.bind_operator(&operator("+"), Some(ahead), one.clone(), pos)?,
                self.bind_operator(&operator("+"), Some(total), one, pos)?,
            ),
            _ => (ahead, total),
        };
        let empty = self.bind_operator(&operator("="), Some(total.clone()), Binder::bigint(0), pos)?;
        let ahead = self.coerce_implicit(ahead, oids::FLOAT8, pos)?;
        let total = self.coerce_implicit(total, oids::FLOAT8, pos)?;
        let share = self.bind_operator(&operator("/"), Some(ahead), total, pos)?;
        let nothing = Expr::constant(ochre_types::Datum::Float64(0.0), SqlType::FLOAT8);
        Ok(Expr::Case {
            operand: None,
            branches: vec![(empty, nothing)],
            otherwise: Some(Box::new(share)),
            ty: SqlType::FLOAT8,
        })
    }

    fn bind_hypothetical_keys(
        &mut self,
        call: &ast::FuncCall,
        values: Vec<Expr>,
        scope: &Scope<'_>,
    ) -> Result<(Vec<Key>, Option<Expr>)> {
        let mut bound = Vec::with_capacity(call.order_by.len());
        for item in &call.order_by {
            bound.push(self.bind_expr(&item.expr, scope)?);
        }
        if bound.len() != values.len() {
            let types: Vec<String> = values.iter().chain(&bound).map(|e| self.type_text(e.ty())).collect();
            let name = &call.name;
            let error = Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name}({}) does not exist", types.join(", ")),
            )
            .hint(format!(
                "To use the hypothetical-set aggregate {name}, the number of hypothetical direct arguments (here {}) must match the number of ordering columns (here {}).",
                values.len(),
                bound.len()
            ));
            return Err(self.at(error, call.pos));
        }
        let mut keys = Vec::with_capacity(bound.len());
        for (((item, expr), value), arg) in call.order_by.iter().zip(bound).zip(values).zip(&call.args) {
            let pair = [(expr, item.expr.pos()), (value, arg.value.pos())];
            let ty = self.select_common_type(&pair, "WITHIN GROUP")?;
            let [(expr, expr_pos), (value, value_pos)] = pair;
            let expr = self.coerce_to_common(expr, ty, "WITHIN GROUP", expr_pos)?;
            let value = self.coerce_to_common(value, ty, "WITHIN GROUP", value_pos)?;
            keys.push(Key { order: self.sort_key(item, expr)?, value });
        }
        let filter = match &call.filter {
            Some(filter) => Some(self.bind_filter(filter, scope)?),
            None => None,
        };
        Ok((keys, filter))
    }

    /// Whether a row comes before the hypothetical one, or with `or_equal` beside it.
    fn comes_before(&mut self, keys: &[Key], or_equal: bool, call: &ast::FuncCall) -> Result<Expr> {
        let mut verdict = Expr::bool(or_equal);
        for Key { order, value } in keys.iter().rev() {
            let is_null =
                |expr: &Expr| Expr::IsNull { arg: Box::new(expr.clone()), negated: false, row: false };
            let symbol = if order.descending { ">" } else { "<" };
            let symbol = ast::Operator::plain(ast::Name::from_static(symbol));
            let equal = ast::Operator::plain(ast::Name::from_static("="));
            let expr = &order.expr;
            let less = self.bind_operator(&symbol, Some(expr.clone()), value.clone(), call.pos)?;
            let same = self.bind_operator(&equal, Some(expr.clone()), value.clone(), call.pos)?;
            let both = Expr::And(vec![is_null(expr), is_null(value)]);
            verdict = Expr::Case {
                operand: None,
                branches: vec![
                    (Expr::Or(vec![both, same]), verdict),
                    (is_null(expr), Expr::bool(order.nulls_first)),
                    (is_null(value), Expr::bool(!order.nulls_first)),
                ],
                otherwise: Some(Box::new(less)),
                ty: SqlType::BOOL,
            };
        }
        Ok(verdict)
    }
}
