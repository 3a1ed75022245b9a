//! Expressions, but for calls.

use ochre_base::{Error, Oid, Result, SqlState, limits};
use ochre_expr::{
    BooleanTest, Comparison, Expr, FunctionRef, SessionValue, SubPlanKind, functions_named, operators_named,
};
use ochre_parser::ast::{self, Pos};
use ochre_types::{ArrayValue, Datum, PhysicalType, SharedBytes, SqlType, oids};

use super::coerce::{CoercionContext, is_polymorphic, resolve_polymorphic};
use super::overload::{Choice, Overloads, choose_operator};
use super::scope::Scope;
use super::{Binder, ParamTypes};
use crate::logical::{ColumnId, Logical, Query, Subquery};
use crate::physical::OutputColumn;

impl Binder<'_> {
    /// Binds an expression. Literals without a type come back as constants of type `unknown`.
    pub(crate) fn bind_expr(&mut self, expr: &ast::Expr, scope: &Scope<'_>) -> Result<Expr> {
        stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            self.bind_expr_inner(expr, scope)
        })
    }

    fn bind_expr_inner(&mut self, expr: &ast::Expr, scope: &Scope<'_>) -> Result<Expr> {
        match expr {
            ast::Expr::Column(column) if column.star => {
                if column.parts.is_empty() {
                    let error = Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"*\"");
                    return Err(self.at(error, column.pos));
                }
                if let [name] = column.parts.as_slice()
                    && let Some(row) = self.variable(&[name.as_str()], column.pos)?
                {
                    return Ok(row);
                }
                // `t.*` as an operand is the row.
                let row = self.bind_whole_row(column, scope)?;
                self.note_column(&row, column.pos);
                Ok(row)
            }
            ast::Expr::Column(column) => {
                let bound = self.bind_column_ref(column, scope)?;
                self.note_column(&bound, column.pos);
                Ok(bound)
            }
            ast::Expr::Literal(literal) => self.bind_literal(literal),
            ast::Expr::Param(param) => self.bind_param(param),
            ast::Expr::Unary(unary) => {
                let arg = self.bind_expr(&unary.expr, scope)?;
                self.bind_operator(&unary.op, None, arg, unary.pos)
            }
            ast::Expr::Binary(binary) => {
                // `row op (SELECT …)` is a row comparison with a subquery of one row.
                if let (ast::Expr::Row(_), ast::Expr::Subquery(query)) = (&binary.left, &binary.right) {
                    return self.bind_row_subquery(&binary.left, &binary.op, &query.query, scope, binary.pos);
                }
                let left = self.bind_expr(&binary.left, scope)?;
                let right = self.bind_expr(&binary.right, scope)?;
                self.bind_operator(&binary.op, Some(left), right, binary.pos)
            }
            ast::Expr::And(list) => Ok(Expr::And(self.bind_booleans(&list.args, "AND", scope)?)),
            ast::Expr::Or(list) => Ok(Expr::Or(self.bind_booleans(&list.args, "OR", scope)?)),
            ast::Expr::Not(not) => {
                let arg = self.bind_expr(&not.expr, scope)?;
                Ok(Expr::Not(Box::new(self.coerce_to_boolean(arg, "NOT", not.expr.pos())?)))
            }
            ast::Expr::NullTest(test) => {
                let arg = self.bind_expr(&test.expr, scope)?;
                let row = arg.ty().physical == PhysicalType::Record;
                let arg = if row { arg } else { self.resolve_unknown(arg, test.pos)? };
                Ok(Expr::IsNull { arg: Box::new(arg), negated: test.negated, row })
            }
            ast::Expr::BooleanTest(test) => {
                let arg = self.bind_expr(&test.expr, scope)?;
                let (kind, clause) = match (test.value, test.negated) {
                    (Some(true), false) => (BooleanTest::True, "IS TRUE"),
                    (Some(true), true) => (BooleanTest::NotTrue, "IS NOT TRUE"),
                    (Some(false), false) => (BooleanTest::False, "IS FALSE"),
                    (Some(false), true) => (BooleanTest::NotFalse, "IS NOT FALSE"),
                    (None, false) => (BooleanTest::Unknown, "IS UNKNOWN"),
                    (None, true) => (BooleanTest::NotUnknown, "IS NOT UNKNOWN"),
                };
                let arg = self.coerce_to_boolean(arg, clause, test.expr.pos())?;
                Ok(Expr::BooleanTest { arg: Box::new(arg), test: kind })
            }
            ast::Expr::Distinct(distinct) => self.bind_distinct(distinct, scope),
            ast::Expr::Like(like) => self.bind_like(like, scope),
            ast::Expr::Between(between) => self.bind_between(between, scope),
            ast::Expr::InList(list) => self.bind_in_list(list, scope),
            ast::Expr::InSubquery(list) => {
                let op = ast::Operator::plain(ast::Name::from_static("="));
                let any = self.bind_any_subquery(&list.expr, &op, false, &list.query, scope, list.pos)?;
                Ok(if list.negated { Expr::Not(Box::new(any)) } else { any })
            }
            ast::Expr::QuantifiedArray(quantified) => {
                let left = self.bind_expr(&quantified.left, scope)?;
                let array = self.bind_expr(&quantified.array, scope)?;
                let all = quantified.quantifier == ast::Quantifier::All;
                let op = quantified_operator(&quantified.op);
                self.bind_scalar_array(&op, all, left, array, quantified.pos)
            }
            ast::Expr::QuantifiedSubquery(quantified) => {
                let all = quantified.quantifier == ast::Quantifier::All;
                let op = quantified_operator(&quantified.op);
                self.bind_any_subquery(&quantified.left, &op, all, &quantified.query, scope, quantified.pos)
            }
            ast::Expr::Subquery(subquery) => {
                let (plan, columns) = self.bind_subquery(&subquery.query, scope, subquery.pos)?;
                let [column] = columns.as_slice() else {
                    let error = Error::new(SqlState::SYNTAX_ERROR, "subquery must return only one column");
                    return Err(self.at(error, subquery.pos));
                };
                Ok(Expr::SubPlan { plan, kind: SubPlanKind::Scalar, args: Vec::new(), ty: column.ty })
            }
            ast::Expr::Exists(subquery) => {
                let (plan, _) = self.bind_subquery(&subquery.query, scope, subquery.pos)?;
                Ok(Expr::SubPlan { plan, kind: SubPlanKind::Exists, args: Vec::new(), ty: SqlType::BOOL })
            }
            ast::Expr::ArraySubquery(subquery) => {
                let (plan, columns) = self.bind_subquery(&subquery.query, scope, subquery.pos)?;
                let [column] = columns.as_slice() else {
                    let error = Error::new(SqlState::SYNTAX_ERROR, "subquery must return only one column");
                    return Err(self.at(error, subquery.pos));
                };
                let of_arrays = self.catalog.array_element(column.ty.oid).is_some();
                let ty = if of_arrays { Some(column.ty) } else { column.ty.array_of() };
                let Some(ty) = ty else { return Err(self.no_array_type(column.ty, subquery.pos)) };
                let kind = SubPlanKind::Array { of_arrays };
                Ok(Expr::SubPlan { plan, kind, args: Vec::new(), ty })
            }
            ast::Expr::Case(case) => self.bind_case(case, scope),
            ast::Expr::Coalesce(list) => {
                let met = self.sets_met();
                let (args, ty) = self.bind_common(&list.args, "COALESCE", scope)?;
                self.refuse_sets_since(met, "set-returning functions are not allowed in COALESCE")?;
                Ok(Expr::Coalesce { args, ty })
            }
            ast::Expr::Greatest(list) => {
                let (args, ty) = self.bind_common(&list.args, "GREATEST", scope)?;
                Ok(Expr::MinMax { greatest: true, args, ty })
            }
            ast::Expr::Least(list) => {
                let (args, ty) = self.bind_common(&list.args, "LEAST", scope)?;
                Ok(Expr::MinMax { greatest: false, args, ty })
            }
            ast::Expr::NullIf(nullif) => {
                let left = self.bind_expr(&nullif.left, scope)?;
                let right = self.bind_expr(&nullif.right, scope)?;
                let op = ast::Operator::plain(ast::Name::from_static("="));
                let (equal, left, right) = self.comparison_function(&op, left, right, nullif.pos)?;
                let ty = left.ty();
                Ok(Expr::NullIf {
                    equal,
                    left: Box::new(left),
                    right: Box::new(right),
                    ty,
                    pos: self.source_pos(nullif.pos),
                })
            }
            ast::Expr::Row(row) => {
                if row.args.len() > limits::MAX_TARGETS {
                    let error = Error::new(
                        SqlState::TOO_MANY_COLUMNS,
                        format!("ROW expressions can have at most {} entries", limits::MAX_TARGETS),
                    );
                    return Err(self.at(error, row.pos));
                }
                let mut fields = Vec::with_capacity(row.args.len());
                for (field, pos) in self.bind_expr_list(&row.args, scope)? {
                    fields.push(self.resolve_unknown_field(field, pos)?);
                }
                let types: Vec<SqlType> = fields.iter().map(Expr::ty).collect();
                Ok(Expr::Row { fields, ty: ochre_types::record_type(&types) })
            }
            ast::Expr::Array(list) => self.bind_array(list, None, scope),
            ast::Expr::Cast(cast) => self.bind_cast(cast, scope),
            ast::Expr::Collate(collate) => {
                let expr = self.bind_expr(&collate.expr, scope)?;
                self.collation(&collate.collation)?;
                let ty = expr.ty();
                let collatable = ochre_types::type_info(ty.oid).is_some_and(|info| info.collation.is_valid());
                if !collatable && ty.oid != oids::UNKNOWN {
                    let message = format!("collations are not supported by type {}", self.type_text(ty));
                    return Err(self.at(Error::new(SqlState::DATATYPE_MISMATCH, message), collate.pos));
                }
                Ok(expr)
            }
            ast::Expr::Func(call) => self.bind_call(call, scope),
            ast::Expr::ValueFunction(value) => self.bind_value_function(value),
            ast::Expr::Grouping(list) => self.bind_grouping(list, scope),
            ast::Expr::Indirection(indirection) => self.bind_indirection(indirection, scope),
            ast::Expr::Default(pos) => {
                let error = Error::new(SqlState::SYNTAX_ERROR, "DEFAULT is not allowed in this context");
                Err(self.at(error, *pos))
            }
            ast::Expr::CurrentOf(current) => {
                Err(self.at(Error::unsupported("WHERE CURRENT OF"), current.pos))
            }
            ast::Expr::Json(json) => Err(self.at(Error::unsupported("this SQL/JSON expression"), json.pos())),
            ast::Expr::Xml(xml) => Err(self.at(Error::unsupported("this XML expression"), xml.pos())),
        }
    }

    /// Binds a list in which `t.*` may stand for several expressions.
    pub(crate) fn bind_expr_list(
        &mut self,
        list: &[ast::Expr],
        scope: &Scope<'_>,
    ) -> Result<Vec<(Expr, Pos)>> {
        let mut bound = Vec::with_capacity(list.len());
        for expr in list {
            match expr {
                ast::Expr::Column(column) if column.star => {
                    for item in self.expand_star(column, scope)? {
                        self.note_column(&item.expr, column.pos);
                        bound.push((item.expr, column.pos));
                    }
                }
                other => bound.push((self.bind_expr(other, scope)?, other.pos())),
            }
        }
        Ok(bound)
    }

    fn resolve_unknown_field(&mut self, field: Expr, pos: Pos) -> Result<Expr> {
        match field {
            // Comparisons with the row decide later what its literals are.
            Expr::Constant { ty, .. } if ty.oid == oids::UNKNOWN => Ok(field),
            Expr::Parameter { ty, .. } if ty.oid == oids::UNKNOWN => Ok(field),
            other => self.resolve_unknown(other, pos),
        }
    }

    fn bind_booleans(&mut self, args: &[ast::Expr], word: &str, scope: &Scope<'_>) -> Result<Vec<Expr>> {
        let mut bound = Vec::with_capacity(args.len());
        for arg in args {
            let expr = self.bind_expr(arg, scope)?;
            bound.push(self.coerce_to_boolean(expr, word, arg.pos())?);
        }
        Ok(bound)
    }

    fn bind_literal(&mut self, literal: &ast::Literal) -> Result<Expr> {
        Ok(match &literal.value {
            ast::LiteralValue::Null => Expr::null(SqlType::UNKNOWN),
            ast::LiteralValue::Bool(value) => Expr::bool(*value),
            ast::LiteralValue::Integer(value) => Expr::constant(Datum::Int32(*value), SqlType::INT4),
            ast::LiteralValue::BigInt(value) => Expr::constant(Datum::Int64(*value), SqlType::INT8),
            ast::LiteralValue::Numeric(text) => {
                let parsed = ochre_types::parse_text(SqlType::NUMERIC, text, self.session.format());
                Expr::constant(self.locate(parsed, literal.pos)?, SqlType::NUMERIC)
            }
            ast::LiteralValue::String(text) => {
                Expr::constant(Datum::Bytes(SharedBytes::new(text.as_bytes())), SqlType::UNKNOWN)
            }
            ast::LiteralValue::BitString(text) => {
                let parsed =
                    ochre_types::parse_text(SqlType::BIT, &format!("b{text}"), self.session.format());
                Expr::constant(self.locate(parsed, literal.pos)?, SqlType::BIT)
            }
            ast::LiteralValue::HexString(text) => {
                let parsed =
                    ochre_types::parse_text(SqlType::BIT, &format!("x{text}"), self.session.format());
                Expr::constant(self.locate(parsed, literal.pos)?, SqlType::BIT)
            }
        })
    }

    fn bind_param(&mut self, param: &ast::Param) -> Result<Expr> {
        if self.params.variables.is_some() {
            let name = format!("${}", param.number);
            if let Some(found) = self.variable(&[&name], param.pos)? {
                return Ok(found);
            }
        }
        let ParamTypes { types, fixed, .. } = &mut *self.params;
        let count = types.len();
        let valid = usize::try_from(param.number).ok().filter(|n| *n >= 1 && *n <= limits::MAX_PARAMETERS);
        let Some(number) = valid.filter(|n| !*fixed || *n <= count) else {
            let error =
                Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${}", param.number));
            return Err(self.at(error, param.pos));
        };
        if number > count {
            types.resize(number, None);
        }
        let index = number - 1;
        let ty = types[index].unwrap_or(SqlType::UNKNOWN);
        Ok(Expr::Parameter { index, ty })
    }

    /// Binds an operator on bound operands.
    pub(crate) fn bind_operator(
        &mut self,
        op: &ast::Operator,
        left: Option<Expr>,
        right: Expr,
        pos: Pos,
    ) -> Result<Expr> {
        if let Some(Expr::Row { .. }) = &left
            && matches!(right, Expr::Row { .. })
            && let Some(comparison) = comparison(&op.name)
            && let (Some(Expr::Row { fields: l, .. }), Expr::Row { fields: r, .. }) =
                (left.clone(), right.clone())
        {
            return self.bind_row_compare(op, comparison, l, r, pos);
        }
        self.check_operator_schema(op, pos)?;
        let found = self.find_operator(&op.name, left.as_ref().map(|l| l.ty()), right.ty(), pos)?;
        let declared: Vec<_> = if left.is_some() { vec![found.left, found.right] } else { vec![found.right] };
        let args: Vec<Expr> = left.into_iter().chain(std::iter::once(right)).collect();
        let (mut args, result) = self.fit_arguments(args, &declared, found.result, pos)?;
        let mut function = found.function;
        // What is put beside a text is cast to text first, which writes some types otherwise than their output functions.
        if matches!(&*function.name, "textanycat" | "anytextcat")
            && let [concatenate] = functions_named("textcat")
        {
            function = concatenate;
            for arg in &mut args {
                let given = std::mem::replace(arg, Expr::null(SqlType::TEXT));
                let ty = given.ty();
                let cast = self.coerce_to(given, SqlType::TEXT, CoercionContext::Explicit, pos)?;
                *arg = cast.ok_or_else(|| self.cannot_cast(ty, SqlType::TEXT, pos))?;
            }
        }
        Ok(Expr::Call {
            function: FunctionRef::Builtin(function),
            args,
            variadic_array: false,
            ty: result,
            pos: self.source_pos(pos),
        })
    }

    fn check_operator_schema(&self, op: &ast::Operator, pos: Pos) -> Result<()> {
        match op.schema.last() {
            Some(schema) if schema.as_str() != "pg_catalog" => {
                let error = Error::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("operator does not exist: {schema}.{}", op.name),
                );
                Err(self.at(error, pos))
            }
            _ => Ok(()),
        }
    }

    /// Converts arguments to declared types, polymorphic ones resolved, and says what the result's type is.
    pub(crate) fn fit_arguments(
        &mut self,
        args: Vec<Expr>,
        declared: &[ochre_base::Oid],
        result: ochre_base::Oid,
        pos: Pos,
    ) -> Result<(Vec<Expr>, SqlType)> {
        let needs = is_polymorphic(result) || declared.iter().any(|ty| is_polymorphic(*ty));
        let polymorphic = if needs {
            let actual: Vec<_> = args.iter().map(|arg| arg.ty().oid).collect();
            resolve_polymorphic(self.catalog, &actual, declared)
        } else {
            None
        };
        if polymorphic.is_some_and(|found| found.undetermined) {
            let message = "could not determine polymorphic type because input has type unknown";
            return Err(self.at(Error::new(SqlState::DATATYPE_MISMATCH, message), pos));
        }
        let mut fitted = Vec::with_capacity(args.len());
        for (arg, wanted) in args.into_iter().zip(declared) {
            let wanted = match polymorphic {
                Some(found) => found.actual(self.catalog, *wanted).unwrap_or(*wanted),
                None => *wanted,
            };
            let wanted = if wanted == oids::ANY { arg.ty().oid } else { wanted };
            fitted.push(if wanted == oids::UNKNOWN || wanted == oids::ANYARRAY {
                arg
            } else if matches!(arg.ty().oid, oids::INT2VECTOR | oids::OIDVECTOR)
                && matches!(wanted, oids::INT2_ARRAY | oids::OID_ARRAY)
            {
                Expr::Cast {
                    arg: Box::new(arg),
                    kind: ochre_expr::CastKind::Relabel,
                    ty: SqlType::new(wanted, -1),
                    pos: ochre_expr::SourcePos::NONE,
                }
            } else {
                self.coerce_implicit(arg, wanted, pos)?
            });
        }
        let result = match polymorphic {
            Some(found) => match found.actual(self.catalog, result) {
                Some(actual) => actual,
                None if result == oids::ANYARRAY => {
                    let element = found.actual(self.catalog, oids::ANYELEMENT).unwrap_or(oids::TEXT);
                    return Err(self.no_array_type(self.sql_type(element), pos));
                }
                None => result,
            },
            None => result,
        };
        Ok((fitted, self.sql_type(result)))
    }

    /// 42704 for what there are no arrays of.
    pub(crate) fn no_array_type(&self, ty: SqlType, pos: Pos) -> Error {
        let text = self.type_text(ty);
        let message = format!("could not find array type for data type {text}");
        self.at(Error::new(SqlState::UNDEFINED_OBJECT, message), pos)
    }

    /// Finds an operator by operand types.
    fn find_operator(
        &self,
        name: &str,
        left: Option<SqlType>,
        right: SqlType,
        pos: Pos,
    ) -> Result<&'static ochre_expr::Operator> {
        let name = if name == "!=" { "<>" } else { name };
        let operators = operators_named(name);
        let describe = || match left {
            Some(left) => format!("{} {name} {}", self.type_text(left), self.type_text(right)),
            None => format!("{name} {}", self.type_text(right)),
        };
        match choose_operator(self.catalog, operators, left.map(|ty| ty.oid), right.oid) {
            Choice::One(operator) => Ok(operator),
            Choice::Ambiguous => {
                let error = Error::new(
                    SqlState::AMBIGUOUS_FUNCTION,
                    format!("operator is not unique: {}", describe()),
                )
                .hint(
                    "Could not choose a best candidate operator. You might need to add explicit type casts.",
                );
                Err(self.at(error, pos))
            }
            Choice::None => {
                let hint = if left.is_some() {
                    "No operator matches the given name and argument types. You might need to add explicit type casts."
                } else {
                    "No operator matches the given name and argument type. You might need to add an explicit type cast."
                };
                let error = Error::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("operator does not exist: {}", describe()),
                )
                .hint(hint);
                Err(self.at(error, pos))
            }
        }
    }

    /// The function of a comparison operator, and the operands converted for it.
    pub(crate) fn comparison_function(
        &mut self,
        op: &ast::Operator,
        left: Expr,
        right: Expr,
        pos: Pos,
    ) -> Result<(FunctionRef, Expr, Expr)> {
        self.check_operator_schema(op, pos)?;
        let found = self.find_operator(&op.name, Some(left.ty()), right.ty(), pos)?;
        let (mut args, _) =
            self.fit_arguments(vec![left, right], &[found.left, found.right], found.result, pos)?;
        let right = args.pop().ok_or_else(|| Error::internal("a binary operator has two operands"))?;
        let left = args.pop().ok_or_else(|| Error::internal("a binary operator has two operands"))?;
        Ok((FunctionRef::Builtin(found.function), left, right))
    }

    /// As [`Binder::comparison_function`], for a column of rows that are compared: an order's function is called with its
    /// operands exchanged, too, so they are of one type.
    fn row_comparison_function(
        &mut self,
        op: &ast::Operator,
        left: Expr,
        right: Expr,
        pos: Pos,
    ) -> Result<(FunctionRef, Expr, Expr)> {
        let found = self.comparison_function(op, left.clone(), right.clone(), pos)?;
        let ordering = matches!(comparison(&op.name), Some(Comparison::Less | Comparison::Greater));
        if !ordering || found.0.arg_types[0] == found.0.arg_types[1] {
            return Ok(found);
        }
        let what = "row comparison";
        let common = self.select_common_type(&[(left.clone(), pos), (right.clone(), pos)], what)?;
        let left = self.coerce_to_common(left, common.with_typmod(-1), what, pos)?;
        let right = self.coerce_to_common(right, common.with_typmod(-1), what, pos)?;
        self.comparison_function(op, left, right, pos)
    }

    fn bind_row_compare(
        &mut self,
        op: &ast::Operator,
        comparison: Comparison,
        left: Vec<Expr>,
        right: Vec<Expr>,
        pos: Pos,
    ) -> Result<Expr> {
        if left.len() != right.len() {
            let error = Error::new(SqlState::SYNTAX_ERROR, "unequal number of entries in row expressions");
            return Err(self.at(error, pos));
        }
        if left.is_empty() {
            let error = Error::new(SqlState::FEATURE_NOT_SUPPORTED, "cannot compare rows of zero length");
            return Err(self.at(error, pos));
        }
        if left.len() == 1 {
            let (mut left, mut right) = (left, right);
            return self.bind_operator(op, Some(left.remove(0)), right.remove(0), pos);
        }
        if left.iter().chain(&right).any(|field| self.returns_set(field)) {
            let message = "row comparison operator must not return a set";
            return Err(self.at(Error::new(SqlState::DATATYPE_MISMATCH, message), pos));
        }
        let strict = column_operator(comparison);
        let (mut functions, mut l, mut r) = (Vec::new(), Vec::new(), Vec::new());
        for (a, b) in left.into_iter().zip(right) {
            let (function, a, b) = self.row_comparison_function(&strict, a, b, pos)?;
            functions.push(function);
            l.push(a);
            r.push(b);
        }
        // Equality of rows is that of all columns, which the planner can split.
        if comparison == Comparison::Equal {
            let parts =
                functions.into_iter().zip(l.into_iter().zip(r)).map(|(function, (a, b))| Expr::Call {
                    function,
                    args: vec![a, b],
                    variadic_array: false,
                    ty: SqlType::BOOL,
                    pos: self.source_pos(pos),
                });
            return Ok(Expr::and(parts.collect::<Vec<_>>()));
        }
        Ok(Expr::RowCompare { op: comparison, functions, left: l, right: r })
    }

    fn bind_distinct(&mut self, distinct: &ast::DistinctExpr, scope: &Scope<'_>) -> Result<Expr> {
        let left = self.bind_expr(&distinct.left, scope)?;
        let right = self.bind_expr(&distinct.right, scope)?;
        let is_null = |expr: &Expr| matches!(expr, Expr::Constant { value: Datum::Null, ty } if ty.oid == oids::UNKNOWN);
        // As PostgreSQL: against a bare NULL it is a null test; a row of NULLs is none.
        if is_null(&right) || is_null(&left) {
            let arg = if is_null(&right) { left } else { right };
            let arg = self.resolve_unknown(arg, distinct.pos)?;
            return Ok(Expr::IsNull { arg: Box::new(arg), negated: !distinct.negated, row: false });
        }
        let op = ast::Operator::plain(ast::Name::from_static("="));
        if let (Expr::Row { fields: l, .. }, Expr::Row { fields: r, .. }) = (&left, &right) {
            if l.len() != r.len() {
                let error =
                    Error::new(SqlState::SYNTAX_ERROR, "unequal number of entries in row expressions");
                return Err(self.at(error, distinct.pos));
            }
            let mut parts = Vec::with_capacity(l.len());
            for (a, b) in l.clone().into_iter().zip(r.clone()) {
                let (equal, a, b) = self.comparison_function(&op, a, b, distinct.pos)?;
                parts.push(Expr::IsDistinct { equal, left: Box::new(a), right: Box::new(b), negated: false });
            }
            let any = Expr::Or(parts);
            return Ok(if distinct.negated { Expr::Not(Box::new(any)) } else { any });
        }
        let (equal, left, right) = self.comparison_function(&op, left, right, distinct.pos)?;
        Ok(Expr::IsDistinct {
            equal,
            left: Box::new(left),
            right: Box::new(right),
            negated: distinct.negated,
        })
    }

    fn bind_like(&mut self, like: &ast::LikeExpr, scope: &Scope<'_>) -> Result<Expr> {
        let expr = self.bind_expr(&like.expr, scope)?;
        let pattern = self.bind_expr(&like.pattern, scope)?;
        let escape = match &like.escape {
            Some(escape) => Some(self.bind_expr(escape, scope)?),
            None => None,
        };
        let operator = match (like.kind, like.negated) {
            (ast::LikeKind::Like, false) => "~~",
            (ast::LikeKind::Like, true) => "!~~",
            (ast::LikeKind::ILike, false) => "~~*",
            (ast::LikeKind::ILike, true) => "!~~*",
            (ast::LikeKind::Similar, false) => "~",
            (ast::LikeKind::Similar, true) => "!~",
        };
        let pattern = match (like.kind, escape) {
            (ast::LikeKind::Similar, escape) => {
                let args = std::iter::once(pattern).chain(escape).collect();
                self.call_builtin("similar_to_escape", args, like.pos)?
            }
            (_, Some(escape)) => self.call_builtin("like_escape", vec![pattern, escape], like.pos)?,
            (_, None) => pattern,
        };
        let op = ast::Operator::plain(ast::Name::from_static(operator));
        self.bind_operator(&op, Some(expr), pattern, like.pos)
    }

    fn bind_between(&mut self, between: &ast::BetweenExpr, scope: &Scope<'_>) -> Result<Expr> {
        let expr = self.bind_expr(&between.expr, scope)?;
        let low = self.bind_expr(&between.low, scope)?;
        let high = self.bind_expr(&between.high, scope)?;
        let ge = ast::Operator::plain(ast::Name::from_static(">="));
        let le = ast::Operator::plain(ast::Name::from_static("<="));
        let pos = between.pos;
        let word = if between.negated { "OR" } else { "AND" };
        let compare = |binder: &mut Self, op: &ast::Operator, bound: &Expr| -> Result<Expr> {
            let compared = binder.bind_operator(op, Some(expr.clone()), bound.clone(), pos)?;
            binder.coerce_to_boolean(compared, word, between.expr.pos())
        };
        let inside = |binder: &mut Self, low: &Expr, high: &Expr| -> Result<Expr> {
            Ok(Expr::And(vec![compare(binder, &ge, low)?, compare(binder, &le, high)?]))
        };
        let mut result = inside(self, &low, &high)?;
        if between.symmetric {
            let swapped = inside(self, &high, &low)?;
            result = Expr::Or(vec![result, swapped]);
        }
        if !between.negated {
            return Ok(result);
        }
        if between.symmetric {
            return Ok(Expr::Not(Box::new(result)));
        }
        let lt = ast::Operator::plain(ast::Name::from_static("<"));
        let gt = ast::Operator::plain(ast::Name::from_static(">"));
        Ok(Expr::Or(vec![compare(self, &lt, &low)?, compare(self, &gt, &high)?]))
    }

    fn bind_in_list(&mut self, list: &ast::InListExpr, scope: &Scope<'_>) -> Result<Expr> {
        let left = self.bind_expr(&list.expr, scope)?;
        let mut items = Vec::with_capacity(list.list.len());
        for item in &list.list {
            items.push((self.bind_expr(item, scope)?, item.pos()));
        }
        let symbol = if list.negated { "<>" } else { "=" };
        let op = ast::Operator::plain(ast::Name::from_static(symbol));
        let combine = |mut parts: Vec<Expr>| match parts.len() {
            1 => parts.remove(0),
            _ if list.negated => Expr::And(parts),
            _ => Expr::Or(parts),
        };
        // Items that read no columns go into one array, if there are several and they have a common type.
        let is_row = matches!(left, Expr::Row { .. });
        let constant =
            |expr: &Expr| !expr.any(|node| matches!(node, Expr::Column { .. } | Expr::SubPlan { .. }));
        let (fixed, varying): (Vec<_>, Vec<_>) = items.iter().cloned().partition(|(item, _)| constant(item));
        if !is_row && fixed.len() > 1 {
            let mut probe: Vec<(Expr, Pos)> = vec![(left.clone(), list.expr.pos())];
            probe.extend(fixed.iter().cloned());
            if let Ok(common) = self.select_common_type(&probe, "IN")
                && common.oid != oids::RECORD
                && let Some(array) = self.catalog.array_over(common.oid)
            {
                let mut elements = Vec::with_capacity(fixed.len());
                for (item, pos) in fixed {
                    elements.push(self.coerce_to_common(item, common.with_typmod(-1), "IN", pos)?);
                }
                let array = literal_array(elements, self.sql_type(array));
                let mut parts =
                    vec![self.bind_scalar_array(&op, list.negated, left.clone(), array, list.pos)?];
                for (item, _) in varying {
                    let part = self.bind_operator(&op, Some(left.clone()), item, list.pos)?;
                    parts.push(self.coerce_to_boolean(part, "IN", list.expr.pos())?);
                }
                return Ok(combine(parts));
            }
        }
        let mut parts = Vec::with_capacity(items.len());
        for (item, _) in items {
            let part = self.bind_operator(&op, Some(left.clone()), item, list.pos)?;
            parts.push(self.coerce_to_boolean(part, "IN", list.expr.pos())?);
        }
        Ok(combine(parts))
    }

    /// `left op ANY | ALL (array)`.
    fn bind_scalar_array(
        &mut self,
        op: &ast::Operator,
        all: bool,
        left: Expr,
        array: Expr,
        pos: Pos,
    ) -> Result<Expr> {
        let array_ty = array.ty();
        let element = if array_ty.oid == oids::UNKNOWN {
            SqlType::UNKNOWN
        } else {
            match array_ty.element() {
                Some(element) => element,
                None => {
                    let error = Error::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        "op ANY/ALL (array) requires array on right side",
                    );
                    return Err(self.at(error, pos));
                }
            }
        };
        self.check_operator_schema(op, pos)?;
        let found = self.find_operator(&op.name, Some(left.ty()), element, pos)?;
        if found.result != oids::BOOL {
            let error = Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                "op ANY/ALL (array) requires operator to yield boolean",
            );
            return Err(self.at(error, pos));
        }
        let actual = [left.ty().oid, element.oid];
        let (mut l, mut r) = (found.left, found.right);
        if is_polymorphic(l) || is_polymorphic(r) {
            let resolved = resolve_polymorphic(self.catalog, &actual, &[l, r]).unwrap_or_default();
            l = resolved.actual(self.catalog, l).unwrap_or(l);
            r = resolved.actual(self.catalog, r).unwrap_or(r);
        }
        let left = self.coerce_implicit(left, l, pos)?;
        let Some(wanted) = self.catalog.array_over(r) else {
            return Err(self.no_array_type(self.sql_type(r), pos));
        };
        let array = if matches!(array_ty.oid, oids::INT2VECTOR | oids::OIDVECTOR) {
            array
        } else {
            let array = self.coerce_implicit(array, wanted, pos)?;
            fold_array(array)
        };
        Ok(Expr::ScalarArrayOp {
            function: FunctionRef::Builtin(found.function),
            all,
            left: Box::new(left),
            array: Box::new(array),
            pos: self.source_pos(pos),
        })
    }

    fn bind_case(&mut self, case: &ast::CaseExpr, scope: &Scope<'_>) -> Result<Expr> {
        let met = self.sets_met();
        let operand = match &case.operand {
            Some(operand) => {
                let bound = self.bind_expr(operand, scope)?;
                Some(self.resolve_unknown(bound, operand.pos())?)
            }
            None => None,
        };
        let op = ast::Operator::plain(ast::Name::from_static("="));
        let mut conditions = Vec::with_capacity(case.branches.len());
        let mut results: Vec<(Expr, Pos)> = Vec::with_capacity(case.branches.len() + 1);
        // PostgreSQL puts the ELSE result first when it looks for the common type.
        let otherwise = match &case.otherwise {
            Some(otherwise) => (self.bind_expr(otherwise, scope)?, otherwise.pos()),
            None => (Expr::null(SqlType::UNKNOWN), case.pos),
        };
        results.push(otherwise);
        for branch in &case.branches {
            let when = self.bind_expr(&branch.when, scope)?;
            let condition = match &operand {
                Some(operand) => {
                    let value = Expr::CaseOperand { ty: operand.ty() };
                    self.bind_operator(&op, Some(value), when, branch.when.pos())?
                }
                None => when,
            };
            conditions.push(self.coerce_to_boolean(condition, "CASE/WHEN", branch.when.pos())?);
            results.push((self.bind_expr(&branch.then, scope)?, branch.then.pos()));
        }
        let ty = self.select_common_type(&results, "CASE")?;
        let mut converted = Vec::with_capacity(results.len());
        for (result, pos) in results {
            converted.push(self.coerce_to_common(result, ty, "CASE", pos)?);
        }
        self.refuse_sets_since(met, "set-returning functions are not allowed in CASE")?;
        let otherwise = converted.remove(0);
        let otherwise = if case.otherwise.is_some() { Some(Box::new(otherwise)) } else { None };
        Ok(Expr::Case {
            operand: operand.map(Box::new),
            branches: conditions.into_iter().zip(converted).collect(),
            otherwise,
            ty,
        })
    }

    /// Arguments brought to a common type.
    fn bind_common(
        &mut self,
        args: &[ast::Expr],
        what: &str,
        scope: &Scope<'_>,
    ) -> Result<(Vec<Expr>, SqlType)> {
        let mut bound = Vec::with_capacity(args.len());
        for arg in args {
            bound.push((self.bind_expr(arg, scope)?, arg.pos()));
        }
        let ty = self.select_common_type(&bound, what)?;
        let mut converted = Vec::with_capacity(bound.len());
        for (arg, pos) in bound {
            converted.push(self.coerce_to_common(arg, ty, what, pos)?);
        }
        Ok((converted, ty))
    }

    /// `ARRAY[…]`, with the element type that a cast around it gives, if any.
    fn bind_array(
        &mut self,
        list: &ast::ListExpr,
        wanted: Option<SqlType>,
        scope: &Scope<'_>,
    ) -> Result<Expr> {
        let mut elements: Vec<(Expr, Pos)> = Vec::with_capacity(list.args.len());
        let mut nested = false;
        for arg in &list.args {
            let element = match arg {
                ast::Expr::Array(inner) => {
                    nested = true;
                    self.bind_array(inner, wanted, scope)?
                }
                other => {
                    let element = self.bind_expr(other, scope)?;
                    nested |= self.catalog.array_element(element.ty().oid).is_some();
                    element
                }
            };
            elements.push((element, arg.pos()));
        }
        if let Some(array) = wanted {
            let element = array.element().unwrap_or(SqlType::TEXT);
            if elements.is_empty() {
                return Ok(self.empty_array(array));
            }
            let target = if nested { array } else { element };
            let mut converted = Vec::with_capacity(elements.len());
            for (item, pos) in elements {
                let source = item.ty();
                match self.coerce_to(item, target, CoercionContext::Explicit, pos)? {
                    Some(item) => converted.push(item),
                    None => return Err(self.cannot_cast(source, target, pos)),
                }
            }
            return Ok(fold_array(Expr::ArrayLiteral { elements: converted, nested, ty: array }));
        }
        if elements.is_empty() {
            let error = Error::new(SqlState::INDETERMINATE_DATATYPE, "cannot determine type of empty array")
                .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[].");
            return Err(self.at(error, list.pos));
        }
        let common = self.select_common_type(&elements, "ARRAY")?;
        let array = if nested && self.catalog.array_element(common.oid).is_some() {
            Some(common.oid)
        } else {
            self.catalog.array_over(common.oid)
        };
        let Some(array) = array else { return Err(self.no_array_type(common, list.pos)) };
        let mut converted = Vec::with_capacity(elements.len());
        for (item, pos) in elements {
            converted.push(self.coerce_to_common(item, common, "ARRAY", pos)?);
        }
        let ty = self.sql_type(array).with_typmod(common.typmod);
        Ok(fold_array(Expr::ArrayLiteral { elements: converted, nested, ty }))
    }

    fn bind_cast(&mut self, cast: &ast::CastExpr, scope: &Scope<'_>) -> Result<Expr> {
        let target = self.bind_type_name(&cast.type_name)?;
        if let ast::Expr::Array(list) = &cast.expr
            && self.catalog.array_element(target.oid).is_some()
        {
            return self.bind_array(list, Some(target), scope);
        }
        let arg = self.bind_expr(&cast.expr, scope)?;
        let source = arg.ty();
        let pos = if cast.pos.get().is_some() { cast.pos } else { cast.expr.pos() };
        // What is wrong with a literal is wrong at the literal.
        let place = if source.oid == oids::UNKNOWN { cast.expr.pos() } else { pos };
        match self.coerce_to(arg, target, CoercionContext::Explicit, place)? {
            Some(expr) => Ok(expr),
            None => Err(self.cannot_cast(source, target, pos)),
        }
    }

    /// The collation of a name.
    pub(crate) fn collation(&self, name: &ast::ObjectName) -> Result<Oid> {
        if let Some(schema) = name.schema()
            && self.catalog.namespace_named(schema).is_none()
        {
            let message = format!("schema \"{schema}\" does not exist");
            return Err(self.at(Error::new(SqlState::INVALID_SCHEMA_NAME, message), name.pos));
        }
        if let Some(oid) = collation_named(name.name()) {
            return Ok(oid);
        }
        let error = Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("collation \"{name}\" for encoding \"UTF8\" does not exist"),
        );
        Err(self.at(error, name.pos))
    }

    fn bind_value_function(&mut self, value: &ast::ValueFunction) -> Result<Expr> {
        use ast::ValueFunctionKind as Kind;
        let precision = value.precision.map(|p| u8::try_from(p.clamp(0, 6)).unwrap_or(6));
        let typmod = precision.map_or(-1, i32::from);
        let (kind, ty) = match value.kind {
            Kind::CurrentDate => (SessionValue::CurrentDate, SqlType::DATE),
            Kind::CurrentTime => (SessionValue::CurrentTime(precision), SqlType::TIMETZ.with_typmod(typmod)),
            Kind::CurrentTimestamp => {
                (SessionValue::CurrentTimestamp(precision), SqlType::TIMESTAMPTZ.with_typmod(typmod))
            }
            Kind::LocalTime => (SessionValue::LocalTime(precision), SqlType::TIME.with_typmod(typmod)),
            Kind::LocalTimestamp => {
                (SessionValue::LocalTimestamp(precision), SqlType::TIMESTAMP.with_typmod(typmod))
            }
            Kind::CurrentRole | Kind::CurrentUser | Kind::User => (SessionValue::CurrentUser, SqlType::NAME),
            Kind::SessionUser => (SessionValue::SessionUser, SqlType::NAME),
            Kind::CurrentCatalog => (SessionValue::CurrentCatalog, SqlType::NAME),
            Kind::CurrentSchema => (SessionValue::CurrentSchema, SqlType::NAME),
        };
        Ok(Expr::SessionValue { kind, ty })
    }

    fn bind_indirection(&mut self, indirection: &ast::IndirectionExpr, scope: &Scope<'_>) -> Result<Expr> {
        let mut expr = self.bind_expr(&indirection.expr, scope)?;
        let mut steps = indirection.steps.as_slice();
        while let Some((first, rest)) = steps.split_first() {
            match first {
                ast::Indirection::Field(name, pos) => {
                    expr = self.bind_field(expr, name, *pos)?;
                    steps = rest;
                }
                ast::Indirection::Star(pos) => {
                    let error = Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "row expansion via \"*\" is not supported here",
                    );
                    return Err(self.at(error, *pos));
                }
                ast::Indirection::Index(_) | ast::Indirection::Slice(..) => {
                    let (subscripts, rest) = steps.split_at(super::parts::leading_subscripts(steps));
                    expr = self.bind_subscripts(expr, subscripts, scope, indirection.pos)?;
                    steps = rest;
                }
            }
        }
        Ok(expr)
    }

    /// A field of a record.
    pub(crate) fn bind_field(&mut self, record: Expr, name: &str, pos: Pos) -> Result<Expr> {
        let ty = record.ty();
        if ty.physical != PhysicalType::Record {
            let error = Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!(
                    "column notation .{name} applied to type {}, which is not a composite type",
                    self.type_text(ty)
                ),
            );
            return Err(self.at(error, pos));
        }
        if let Some(fields) = self.record_fields(ty)
            && let Some(index) = fields.iter().position(|(field, _)| field.as_ref() == name)
        {
            let ty = fields[index].1;
            return Ok(Expr::Field { record: Box::new(record), index, ty });
        }
        let message = match ty.oid {
            oids::RECORD => format!("could not identify column \"{name}\" in record data type"),
            _ => format!("column \"{name}\" not found in data type {}", self.type_text(ty)),
        };
        Err(self.at(Error::new(SqlState::UNDEFINED_COLUMN, message), pos))
    }

    fn bind_subscripts(
        &mut self,
        array: Expr,
        steps: &[ast::Indirection],
        scope: &Scope<'_>,
        pos: Pos,
    ) -> Result<Expr> {
        let ty = array.ty();
        if ty.oid == oids::JSONB {
            return self.json_part(array, steps, scope, pos);
        }
        let element = self.subscripted_element(ty, pos)?;
        let (bounds, is_slice) = self.bind_subscript_steps(steps, scope, pos)?;
        self.check_slice(ty, is_slice, pos)?;
        if is_slice {
            return Ok(Expr::Slice { array: Box::new(array), bounds, ty });
        }
        let indexes = bounds.into_iter().filter_map(|(_, upper)| upper).collect();
        Ok(Expr::Subscript { array: Box::new(array), indexes, ty: element })
    }

    pub(crate) fn bind_subscript(&mut self, index: &ast::Expr, scope: &Scope<'_>) -> Result<Expr> {
        let bound = self.bind_expr(index, scope)?;
        match self.coerce_type(bound, SqlType::INT4, CoercionContext::Assignment, index.pos())? {
            Some(index) => Ok(index),
            None => {
                let error = Error::new(SqlState::DATATYPE_MISMATCH, "array subscript must have type integer");
                Err(self.at(error, index.pos()))
            }
        }
    }

    /// Binds a query in an expression; says its number and the columns it yields.
    pub(crate) fn bind_subquery(
        &mut self,
        query: &ast::SelectStmt,
        scope: &Scope<'_>,
        pos: Pos,
    ) -> Result<(usize, Vec<OutputColumn>)> {
        self.check_subquery_allowed(pos)?;
        let inner = scope.child();
        let frame = self.frames;
        self.frames += 1;
        let around = std::mem::replace(&mut self.frame, frame);
        let query = self.bind_query(query, &inner);
        self.frame = around;
        let query = query?;
        let columns = query.output.iter().map(|(_, column)| column.clone()).collect();
        self.subqueries.push(Some(Subquery { query, depth: inner.depth, frame }));
        Ok((self.subqueries.len() - 1, columns))
    }

    /// `left op ANY | ALL (SELECT …)`, and IN.
    fn bind_any_subquery(
        &mut self,
        left: &ast::Expr,
        op: &ast::Operator,
        all: bool,
        query: &ast::SelectStmt,
        scope: &Scope<'_>,
        pos: Pos,
    ) -> Result<Expr> {
        let left = match left {
            ast::Expr::Row(row) => {
                self.bind_expr_list(&row.args, scope)?.into_iter().map(|(expr, _)| expr).collect()
            }
            other => match self.bind_expr(other, scope)? {
                Expr::Row { fields, .. } => fields,
                expr => vec![expr],
            },
        };
        let (plan, columns) = self.bind_subquery(query, scope, pos)?;
        if left.len() != columns.len() {
            let error = Error::new(
                SqlState::SYNTAX_ERROR,
                if left.len() < columns.len() {
                    "subquery has too many columns"
                } else {
                    "subquery has too few columns"
                },
            );
            return Err(self.at(error, pos));
        }
        let (comparison, each) = match comparison(&op.name) {
            _ if left.len() == 1 => (Comparison::Equal, op.clone()),
            Some(comparison) => (comparison, column_operator(comparison)),
            None => {
                self.find_operator(&op.name, Some(left[0].ty()), columns[0].ty, pos)?;
                let message =
                    format!("could not determine interpretation of row comparison operator {}", op.name);
                return Err(self.at(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message), pos));
            }
        };
        let (left, functions) = self.compare_with_output(left, plan, &each, pos)?;
        Ok(Expr::SubPlan {
            plan,
            kind: SubPlanKind::AnyAll { all, left, functions, op: comparison },
            args: Vec::new(),
            ty: SqlType::BOOL,
        })
    }

    /// Comparison functions of expressions with a subquery's columns, both sides converted; the subquery gets a projection
    /// when its columns need a cast.
    fn compare_with_output(
        &mut self,
        left: Vec<Expr>,
        plan: usize,
        op: &ast::Operator,
        pos: Pos,
    ) -> Result<(Vec<Expr>, Vec<FunctionRef>)> {
        let Some(mut subquery) = self.subqueries[plan].take() else {
            return Err(Error::internal("a subquery was left unbound"));
        };
        let (mut converted, mut functions) = (Vec::new(), Vec::new());
        let mut items: Vec<(ColumnId, Expr)> = Vec::new();
        let mut changed = false;
        let several = left.len() > 1;
        for (expr, (id, column)) in left.into_iter().zip(&subquery.query.output) {
            let right = Expr::Column { index: *id, ty: column.ty };
            let (function, l, r) = match several {
                true => self.row_comparison_function(op, expr, right.clone(), pos)?,
                false => self.comparison_function(op, expr, right.clone(), pos)?,
            };
            if function.return_type != oids::BOOL {
                let error = Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "row comparison operator must yield type boolean, not type {}",
                        self.type_name_text(function.return_type, -1)
                    ),
                );
                return Err(self.at(error, pos));
            }
            converted.push(l);
            functions.push(function);
            if r == right {
                items.push((*id, right));
            } else {
                changed = true;
                let new = self.new_column(std::sync::Arc::clone(&column.name), r.ty(), subquery.depth);
                items.push((new, r));
            }
        }
        if changed {
            let output = items
                .iter()
                .zip(&subquery.query.output)
                .map(|((id, expr), (_, column))| {
                    (*id, OutputColumn { name: column.name.clone(), ty: expr.ty(), origin: None })
                })
                .collect();
            let input = std::mem::replace(&mut subquery.query.plan, Logical::Dummy { row: false });
            subquery.query = Query { plan: Logical::Project { input: Box::new(input), items }, output };
        }
        self.subqueries[plan] = Some(subquery);
        Ok((converted, functions))
    }

    /// `(a, b) op (SELECT x, y …)`: the subquery's only row is compared.
    fn bind_row_subquery(
        &mut self,
        left: &ast::Expr,
        op: &ast::Operator,
        query: &ast::SelectStmt,
        scope: &Scope<'_>,
        pos: Pos,
    ) -> Result<Expr> {
        let left = match self.bind_expr(left, scope)? {
            Expr::Row { fields, .. } => fields,
            expr => vec![expr],
        };
        let (plan, columns) = self.bind_subquery(query, scope, pos)?;
        if left.len() != columns.len() {
            let error = Error::new(
                SqlState::SYNTAX_ERROR,
                if left.len() < columns.len() {
                    "subquery has too many columns"
                } else {
                    "subquery has too few columns"
                },
            );
            return Err(self.at(error, pos));
        }
        let row = Expr::SubPlan { plan, kind: SubPlanKind::Row, args: Vec::new(), ty: SqlType::RECORD };
        let right: Vec<Expr> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| Expr::Field { record: Box::new(row.clone()), index, ty: column.ty })
            .collect();
        let row = Expr::Row { fields: right, ty: SqlType::RECORD };
        self.bind_operator(op, Some(Expr::Row { fields: left, ty: SqlType::RECORD }), row, pos)
    }

    /// A call of a function of `pg_catalog` that syntax stands for.
    pub(crate) fn call_builtin(&mut self, name: &'static str, args: Vec<Expr>, pos: Pos) -> Result<Expr> {
        self.resolve_call(name, &Overloads::Builtin(functions_named(name)), args, &[], false, pos)
    }
}

/// The collation with a name.
pub fn collation_named(name: &str) -> Option<Oid> {
    Some(match name {
        "default" => Oid(100),
        "C" => ochre_catalog::oids::C_COLLATION,
        "POSIX" => Oid(951),
        "ucs_basic" => Oid(962),
        "pg_c_utf8" | "C.UTF-8" | "C.utf8" => Oid(811),
        _ => return None,
    })
}

/// The comparison that an operator's name means for rows.
pub(crate) fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        "=" => Comparison::Equal,
        "<>" | "!=" => Comparison::NotEqual,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

/// The operator between columns of rows that are compared: the strict one of an order, or equality.
fn column_operator(comparison: Comparison) -> ast::Operator {
    ast::Operator::plain(ast::Name::from_static(match comparison {
        Comparison::Equal | Comparison::NotEqual => "=",
        Comparison::Less | Comparison::LessOrEqual => "<",
        Comparison::Greater | Comparison::GreaterOrEqual => ">",
    }))
}

fn quantified_operator(op: &ast::QuantifiedOp) -> ast::Operator {
    match op {
        ast::QuantifiedOp::Operator(op) => op.clone(),
        like => ast::Operator::plain(ast::Name::from(like.operator_name())),
    }
}

/// An array of expressions, at once a constant if they all are.
fn literal_array(elements: Vec<Expr>, ty: SqlType) -> Expr {
    fold_array(Expr::ArrayLiteral { elements, nested: false, ty })
}

/// A one-dimensional array of constants becomes a constant.
fn fold_array(array: Expr) -> Expr {
    match array {
        Expr::ArrayLiteral { elements, nested: false, ty }
            if elements.iter().all(|element| matches!(element, Expr::Constant { .. })) =>
        {
            let element = ty.element().unwrap_or(SqlType::TEXT);
            let values = elements
                .into_iter()
                .map(|element| match element {
                    Expr::Constant { value, .. } => value,
                    _ => Datum::Null,
                })
                .collect();
            Expr::constant(Datum::Array(std::sync::Arc::new(ArrayValue::vector(element, values))), ty)
        }
        other => other,
    }
}
