//! Text form of expressions, close to SQL: for EXPLAIN, tests and messages.

use std::fmt;

use ochre_types::{Datum, FormatContext, SqlType, oids, to_text, typmod};

use crate::{BooleanTest, CastKind, Comparison, Expr, Function, Operator, SubPlanKind, registry};

/// `name(type, type)`, as PostgreSQL names a function in messages.
pub(crate) fn signature(function: &Function) -> String {
    let types: Vec<String> = function.arg_types.iter().map(|oid| typmod::format_type(*oid, -1)).collect();
    format!("{}({})", function.name, types.join(", "))
}

/// How columns and outer values are named in an expression's text.
pub trait ColumnNames {
    /// The name of input column `index`.
    fn column(&self, index: usize) -> String;

    /// What a user's function is written as, where its name alone does not do.
    fn function(&self, _function: &Function) -> Option<String> {
        None
    }

    /// What a type is written as; the name of one that is not built in is not known here.
    fn type_name(&self, ty: SqlType) -> String {
        typmod::format_type(ty.oid, ty.typmod)
    }

    /// What field `index` of a row type is called, where it has a name.
    fn field(&self, _record: SqlType, _index: usize) -> Option<String> {
        None
    }

    /// What sub-plan `plan` is called, and whether it runs once, so that its result is mentioned like a value.
    fn subplan(&self, plan: usize) -> (String, bool) {
        (format!("SubPlan {}", plan + 1), false)
    }

    /// What the texts of constants depend on.
    fn format(&self) -> FormatContext {
        FormatContext::default()
    }

    /// The name of outer value `slot`.
    fn correlated(&self, slot: usize) -> String {
        format!("${slot}")
    }
}

/// Names columns `#0`, `#1` ….
struct Positions;

impl ColumnNames for Positions {
    fn column(&self, index: usize) -> String {
        format!("#{index}")
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_sql(&Positions))
    }
}

impl Expr {
    /// The expression as SQL, in the form that PostgreSQL's EXPLAIN and pg_get_expr give it.
    pub fn to_sql(&self, names: &dyn ColumnNames) -> String {
        let mut out = String::new();
        Printer { names, out: &mut out }.expr(self, false);
        out
    }
}

struct Printer<'a> {
    names: &'a dyn ColumnNames,
    out: &'a mut String,
}

impl Printer<'_> {
    fn expr(&mut self, expr: &Expr, _inner: bool) {
        match expr {
            Expr::Constant { value, ty } => self.constant(value, *ty),
            Expr::Column { index, .. } => {
                let name = self.names.column(*index);
                self.out.push_str(&name);
            }
            Expr::Parameter { index, .. } => self.out.push_str(&format!("${}", index + 1)),
            Expr::Correlated { slot, .. } => {
                let name = self.names.correlated(*slot);
                self.out.push_str(&name);
            }
            Expr::SessionValue { kind, .. } => self.session_value(*kind),
            Expr::Call { function, args, .. } => self.call(function, args),
            Expr::Cast { arg, kind, ty, .. } => self.cast(arg, kind, *ty),
            Expr::And(parts) => self.joined(parts, " AND "),
            Expr::Or(parts) => self.joined(parts, " OR "),
            Expr::Not(arg) => {
                self.out.push_str("(NOT ");
                self.expr(arg, true);
                self.out.push(')');
            }
            Expr::IsNull { arg, negated, .. } => {
                self.postfix(arg, if *negated { " IS NOT NULL" } else { " IS NULL" });
            }
            Expr::BooleanTest { arg, test } => self.postfix(
                arg,
                match test {
                    BooleanTest::True => " IS TRUE",
                    BooleanTest::NotTrue => " IS NOT TRUE",
                    BooleanTest::False => " IS FALSE",
                    BooleanTest::NotFalse => " IS NOT FALSE",
                    BooleanTest::Unknown => " IS UNKNOWN",
                    BooleanTest::NotUnknown => " IS NOT UNKNOWN",
                },
            ),
            Expr::IsDistinct { left, right, negated, .. } => {
                self.infix(left, if *negated { "IS NOT DISTINCT FROM" } else { "IS DISTINCT FROM" }, right);
            }
            Expr::Case { operand, branches, otherwise, .. } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref());
            }
            Expr::CaseOperand { .. } => self.out.push_str("CASE_TEST_EXPR"),
            Expr::Coalesce { args, .. } => self.function("COALESCE", args),
            Expr::MinMax { greatest, args, .. } => {
                self.function(if *greatest { "GREATEST" } else { "LEAST" }, args)
            }
            Expr::NullIf { left, right, .. } => {
                self.out.push_str("NULLIF(");
                self.expr(left, false);
                self.out.push_str(", ");
                self.expr(right, false);
                self.out.push(')');
            }
            Expr::ScalarArrayOp { function, all, left, array, .. } => {
                self.out.push('(');
                self.expr(left, true);
                let symbol = operator_of(function).map_or("=", |operator| &*operator.name);
                self.out.push_str(&format!(" {symbol} {} (", if *all { "ALL" } else { "ANY" }));
                self.expr(array, false);
                self.out.push_str("))");
            }
            Expr::ArrayLiteral { elements, .. } => {
                self.out.push_str("ARRAY[");
                self.list(elements);
                self.out.push(']');
            }
            Expr::Row { fields, ty } => {
                self.function("ROW", fields);
                if ty.oid != oids::RECORD {
                    self.type_suffix(*ty);
                }
            }
            Expr::RowCompare { op, left, right, .. } => {
                self.out.push('(');
                self.function("ROW", left);
                self.out.push_str(&format!(" {} ", op.symbol()));
                self.function("ROW", right);
                self.out.push(')');
            }
            Expr::Field { record, index, .. } => {
                self.out.push('(');
                self.expr(record, false);
                let field = self.names.field(record.ty(), *index);
                self.out.push_str(&format!(").{}", field.unwrap_or_else(|| format!("f{}", index + 1))));
            }
            Expr::Subscript { array, indexes, .. } => {
                self.subscripted(array);
                for index in indexes {
                    self.out.push('[');
                    self.expr(index, false);
                    self.out.push(']');
                }
            }
            Expr::Slice { array, bounds, .. } => {
                self.subscripted(array);
                self.bounds(bounds);
            }
            Expr::SubscriptAssign { array, indexes, value, .. } => {
                self.subscripted(array);
                self.bounds(indexes);
                self.out.push_str(" := ");
                self.expr(value, false);
            }
            Expr::SubPlan { plan, kind, .. } => self.subplan(*plan, kind),
        }
    }

    fn constant(&mut self, value: &Datum, ty: SqlType) {
        if value.is_null() {
            self.out.push_str("NULL");
            return self.type_suffix(ty);
        }
        let text = to_text(ty, value, &self.names.format()).expect("nobody is asked");
        match ty.oid {
            oids::BOOL => self.out.push_str(if text == "t" { "true" } else { "false" }),
            oids::INT4 if text.starts_with('-') => self.out.push_str(&format!("'{text}'::integer")),
            oids::INT4 => self.out.push_str(&text),
            oids::NUMERIC if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.contains('.') => {
                self.out.push_str(&text)
            }
            oids::UNKNOWN => self.out.push_str(&format!("'{}'", text.replace('\'', "''"))),
            _ => {
                self.out.push_str(&format!("'{}'", text.replace('\'', "''")));
                self.type_suffix(ty);
            }
        }
    }

    fn type_suffix(&mut self, ty: SqlType) {
        let name = self.names.type_name(ty);
        self.out.push_str("::");
        self.out.push_str(&name);
    }

    fn session_value(&mut self, kind: crate::SessionValue) {
        use crate::SessionValue as Value;
        let (name, precision) = match kind {
            Value::CurrentDate => ("CURRENT_DATE", None),
            Value::CurrentTime(p) => ("CURRENT_TIME", p),
            Value::CurrentTimestamp(p) => ("CURRENT_TIMESTAMP", p),
            Value::LocalTime(p) => ("LOCALTIME", p),
            Value::LocalTimestamp(p) => ("LOCALTIMESTAMP", p),
            Value::CurrentUser => ("CURRENT_USER", None),
            Value::SessionUser => ("SESSION_USER", None),
            Value::SystemUser => ("SYSTEM_USER", None),
            Value::CurrentCatalog => ("CURRENT_CATALOG", None),
            Value::CurrentSchema => ("CURRENT_SCHEMA", None),
        };
        self.out.push_str(name);
        if let Some(precision) = precision {
            self.out.push_str(&format!("({precision})"));
        }
    }

    fn call(&mut self, function: &Function, args: &[Expr]) {
        match (operator_of(function), args) {
            (Some(operator), [left, right]) => self.infix(left, &operator.name, right),
            (Some(operator), [right]) => {
                self.out.push_str(&format!("({} ", operator.name));
                self.expr(right, true);
                self.out.push(')');
            }
            _ => match self.names.function(function) {
                Some(name) => self.function(&name, args),
                None => self.function(&function.name, args),
            },
        }
    }

    fn cast(&mut self, arg: &Expr, kind: &CastKind, ty: SqlType) {
        let simple = matches!(
            arg,
            Expr::Column { .. } | Expr::Parameter { .. } | Expr::Correlated { .. } | Expr::Call { .. }
        );
        if matches!(kind, CastKind::Relabel) && arg.ty().oid == ty.oid {
            return self.expr(arg, true);
        }
        if simple && matches!(arg, Expr::Column { .. } | Expr::Correlated { .. } | Expr::Parameter { .. }) {
            self.out.push('(');
            self.expr(arg, true);
            self.out.push(')');
        } else {
            self.expr(arg, true);
        }
        self.type_suffix(ty);
    }

    fn case(&mut self, operand: Option<&Expr>, branches: &[(Expr, Expr)], otherwise: Option<&Expr>) {
        self.out.push_str("CASE");
        if let Some(operand) = operand {
            self.out.push(' ');
            self.expr(operand, false);
        }
        for (condition, result) in branches {
            self.out.push_str(" WHEN ");
            match condition {
                Expr::Call { args, .. }
                    if operand.is_some()
                        && args.len() == 2
                        && matches!(args[0], Expr::CaseOperand { .. }) =>
                {
                    self.expr(&args[1], false);
                }
                _ => self.expr(condition, false),
            }
            self.out.push_str(" THEN ");
            self.expr(result, false);
        }
        if let Some(otherwise) = otherwise {
            self.out.push_str(" ELSE ");
            self.expr(otherwise, false);
        }
        self.out.push_str(" END");
    }

    fn subplan(&mut self, plan: usize, kind: &SubPlanKind) {
        let (name, once) = self.names.subplan(plan);
        match kind {
            SubPlanKind::Exists | SubPlanKind::Array { .. } | SubPlanKind::Scalar if once => {
                self.out.push_str(&format!("({name}).col1"));
            }
            SubPlanKind::Exists => self.out.push_str(&format!("EXISTS({name})")),
            SubPlanKind::Array { .. } => self.out.push_str(&format!("ARRAY({name})")),
            SubPlanKind::Scalar | SubPlanKind::Row => self.out.push_str(&format!("({name})")),
            SubPlanKind::AnyAll { all, left, functions, op } => {
                self.out.push_str(if *all { "(ALL (" } else { "(ANY (" });
                if left.len() > 1 && *op != Comparison::Equal && *op != Comparison::NotEqual {
                    self.function("ROW", left);
                    self.out.push_str(&format!(" {} ", op.symbol()));
                    let columns: Vec<String> =
                        (1..=left.len()).map(|number| format!("({name}).col{number}")).collect();
                    self.out.push_str(&format!("ROW({})))", columns.join(", ")));
                    return;
                }
                for (i, part) in left.iter().enumerate() {
                    if i > 0 {
                        self.out.push_str(" AND ");
                    }
                    self.expr(part, true);
                    let symbol = functions.get(i).and_then(|f| operator_of(f)).map_or("=", |o| &*o.name);
                    self.out
                        .push_str(&format!(" {} ", if *op == Comparison::NotEqual { "<>" } else { symbol }));
                    self.out.push_str(&format!("({name}).col{}", i + 1));
                }
                self.out.push_str("))");
            }
        }
    }

    fn joined(&mut self, parts: &[Expr], separator: &str) {
        self.out.push('(');
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                self.out.push_str(separator);
            }
            self.expr(part, true);
        }
        self.out.push(')');
    }

    fn postfix(&mut self, arg: &Expr, text: &str) {
        self.out.push('(');
        self.expr(arg, true);
        self.out.push_str(text);
        self.out.push(')');
    }

    fn infix(&mut self, left: &Expr, symbol: &str, right: &Expr) {
        self.out.push('(');
        self.expr(left, true);
        self.out.push_str(&format!(" {symbol} "));
        self.expr(right, true);
        self.out.push(')');
    }

    fn function(&mut self, name: &str, args: &[Expr]) {
        self.out.push_str(name);
        self.out.push('(');
        self.list(args);
        self.out.push(')');
    }

    fn list(&mut self, args: &[Expr]) {
        for (i, arg) in args.iter().enumerate() {
            if i > 0 {
                self.out.push_str(", ");
            }
            self.expr(arg, false);
        }
    }

    fn subscripted(&mut self, array: &Expr) {
        if matches!(array, Expr::Column { .. } | Expr::Parameter { .. }) {
            self.expr(array, false);
        } else {
            self.out.push('(');
            self.expr(array, false);
            self.out.push(')');
        }
    }

    fn bounds(&mut self, bounds: &[(Option<Expr>, Option<Expr>)]) {
        for (lower, upper) in bounds {
            self.out.push('[');
            lower.iter().for_each(|bound| self.expr(bound, false));
            self.out.push(':');
            upper.iter().for_each(|bound| self.expr(bound, false));
            self.out.push(']');
        }
    }
}

/// The operator that a function carries out, if it is one's.
fn operator_of(function: &Function) -> Option<&'static Operator> {
    registry::operator_of_function(function.oid)
}
