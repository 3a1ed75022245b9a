//! Expressions, parenthesised by level.

use super::Printer;
use crate::ast::*;

const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const IS: u8 = 4;
const COMPARE: u8 = 5;
const PATTERN: u8 = 6;
const ESCAPE: u8 = 7;
const OP: u8 = 8;
const ADD: u8 = 9;
const MUL: u8 = 10;
const POW: u8 = 11;
const AT: u8 = 12;
const COLLATE: u8 = 13;
const UMINUS: u8 = 14;
const CAST: u8 = 15;
/// A constant, a name, a call: what never needs parentheses.
const ATOM: u8 = 16;

fn operator_level(op: &Operator) -> u8 {
    if !op.schema.is_empty() {
        return OP;
    }
    match op.name.as_str() {
        "+" | "-" => ADD,
        "*" | "/" | "%" => MUL,
        "^" => POW,
        "<" | ">" | "=" | "<=" | ">=" | "<>" => COMPARE,
        _ => OP,
    }
}

fn quantified_level(op: &QuantifiedOp) -> u8 {
    match op {
        QuantifiedOp::Operator(op) => operator_level(op),
        QuantifiedOp::Like { .. } => PATTERN,
    }
}

fn is_sign(op: &Operator) -> bool {
    op.schema.is_empty() && matches!(op.name.as_str(), "+" | "-")
}

fn is_number(value: &LiteralValue) -> bool {
    matches!(value, LiteralValue::Integer(_) | LiteralValue::BigInt(_) | LiteralValue::Numeric(_))
}

/// The level at which an expression binds.
fn level(expr: &Expr) -> u8 {
    match expr {
        Expr::Or(_) => OR,
        Expr::And(_) => AND,
        Expr::Not(_) => NOT,
        Expr::NullTest(_) | Expr::BooleanTest(_) | Expr::Distinct(_) => IS,
        Expr::Binary(e) => operator_level(&e.op),
        Expr::Unary(e) => {
            if is_sign(&e.op) {
                UMINUS
            } else {
                OP
            }
        }
        Expr::QuantifiedArray(e) => quantified_level(&e.op),
        Expr::QuantifiedSubquery(e) => quantified_level(&e.op),
        Expr::Like(_) | Expr::Between(_) | Expr::InList(_) | Expr::InSubquery(_) => PATTERN,
        Expr::Collate(_) => COLLATE,
        Expr::Cast(_) => CAST,
        Expr::Literal(e) => match &e.value {
            LiteralValue::Integer(value) if *value < 0 => UMINUS,
            LiteralValue::BigInt(value) if *value < 0 => UMINUS,
            LiteralValue::Numeric(text) if text.starts_with('-') => UMINUS,
            _ => ATOM,
        },
        Expr::Func(call) => match call.syntax {
            CallSyntax::AtTimeZone | CallSyntax::AtLocal => AT,
            CallSyntax::IsNormalized => IS,
            CallSyntax::Overlaps => 0,
            _ => ATOM,
        },
        Expr::Json(e) if matches!(&**e, JsonExpr::IsJson { .. }) => IS,
        Expr::Xml(e) if matches!(&**e, XmlExpr::IsDocument { .. }) => IS,
        _ => ATOM,
    }
}

impl Printer {
    pub(super) fn exprs(&mut self, exprs: &[Expr]) {
        self.list(exprs, |p, e| p.expr(e));
    }

    /// An operand that must bind at least as tightly as a level.
    fn operand(&mut self, expr: &Expr, min: u8) {
        if level(expr) < min {
            self.parens(|p| p.expr(expr));
        } else {
            self.expr(expr);
        }
    }

    /// An operand where the grammar takes only b_expr.
    pub(super) fn restricted(&mut self, expr: &Expr) {
        self.operand(expr, UMINUS);
    }

    /// An operand where the grammar takes only c_expr.
    pub(super) fn atom(&mut self, expr: &Expr) {
        self.operand(expr, ATOM);
    }

    pub(super) fn expr(&mut self, expr: &Expr) {
        self.nested(|p| p.expr_unguarded(expr));
    }

    fn expr_unguarded(&mut self, expr: &Expr) {
        match expr {
            Expr::Column(e) => self.column(e),
            Expr::Literal(e) => self.literal(&e.value),
            Expr::Param(e) => self.word(&format!("${}", e.number)),
            Expr::Unary(e) => {
                self.prefix_operator(e);
                self.operand(&e.expr, if is_sign(&e.op) { UMINUS } else { ADD });
            }
            Expr::Binary(e) => {
                let level = operator_level(&e.op);
                let left = if level == COMPARE { level + 1 } else { level };
                self.operand(&e.left, left);
                self.operator(&e.op);
                self.operand(&e.right, level + 1);
            }
            Expr::And(e) => self.bool_list(e, "AND", AND),
            Expr::Or(e) => self.bool_list(e, "OR", OR),
            Expr::Not(e) => {
                self.word("NOT");
                self.operand(&e.expr, NOT);
            }
            Expr::NullTest(e) => {
                self.operand(&e.expr, IS + 1);
                self.word(if e.negated { "IS NOT NULL" } else { "IS NULL" });
            }
            Expr::BooleanTest(e) => self.boolean_test(e),
            Expr::Distinct(e) => {
                self.operand(&e.left, IS + 1);
                self.word(if e.negated { "IS NOT DISTINCT FROM" } else { "IS DISTINCT FROM" });
                self.operand(&e.right, IS + 1);
            }
            Expr::Like(e) => self.like(e),
            Expr::Between(e) => self.between(e),
            Expr::InList(e) => {
                self.operand(&e.expr, PATTERN + 1);
                self.word(if e.negated { "NOT IN" } else { "IN" });
                self.parens(|p| p.exprs(&e.list));
            }
            Expr::InSubquery(e) => {
                self.operand(&e.expr, PATTERN + 1);
                self.word(if e.negated { "NOT IN" } else { "IN" });
                self.parens(|p| p.select(&e.query));
            }
            Expr::QuantifiedArray(e) => {
                self.quantified(&e.left, &e.op, e.quantifier);
                self.parens(|p| p.expr(&e.array));
            }
            Expr::QuantifiedSubquery(e) => {
                self.quantified(&e.left, &e.op, e.quantifier);
                self.parens(|p| p.select(&e.query));
            }
            Expr::Subquery(e) => self.parens(|p| p.select(&e.query)),
            Expr::Exists(e) => {
                self.word("EXISTS");
                self.parens(|p| p.select(&e.query));
            }
            Expr::ArraySubquery(e) => {
                self.word("ARRAY");
                self.call_parens(|p| p.select(&e.query));
            }
            Expr::Case(e) => self.case(e),
            Expr::Coalesce(e) => self.call_of("COALESCE", &e.args),
            Expr::Greatest(e) => self.call_of("GREATEST", &e.args),
            Expr::Least(e) => self.call_of("LEAST", &e.args),
            Expr::Grouping(e) => self.call_of("GROUPING", &e.args),
            Expr::NullIf(e) => {
                self.word("NULLIF");
                self.call_parens(|p| {
                    p.expr(&e.left);
                    p.tight(",");
                    p.expr(&e.right);
                });
            }
            Expr::Row(e) => self.row(e),
            Expr::Array(e) => {
                self.word("ARRAY");
                self.array_elements(&e.args);
            }
            Expr::Cast(e) => {
                self.operand(&e.expr, CAST);
                self.joint("::");
                self.type_name(&e.type_name);
            }
            Expr::Collate(e) => {
                self.operand(&e.expr, COLLATE);
                self.word("COLLATE");
                self.object_name(&e.collation);
            }
            Expr::Func(e) => self.func(e),
            Expr::ValueFunction(e) => self.value_function(e),
            Expr::Indirection(e) => self.indirection_expr(e),
            Expr::Default(_) => self.word("DEFAULT"),
            Expr::CurrentOf(e) => {
                self.word("CURRENT OF");
                self.name(&e.cursor);
            }
            Expr::Json(e) => self.json(e),
            Expr::Xml(e) => self.xml(e),
        }
    }

    pub(super) fn is_test_operand(&mut self, expr: &Expr) {
        self.operand(expr, IS + 1);
    }

    pub(super) fn column(&mut self, column: &ColumnRef) {
        if column.parts.is_empty() {
            self.word("*");
            return;
        }
        self.parts(&column.parts);
        if column.star {
            self.tight(".*");
        }
    }

    pub(super) fn literal(&mut self, value: &LiteralValue) {
        match value {
            LiteralValue::Null => self.word("NULL"),
            LiteralValue::Bool(true) => self.word("TRUE"),
            LiteralValue::Bool(false) => self.word("FALSE"),
            LiteralValue::Integer(value) => self.word(&value.to_string()),
            LiteralValue::BigInt(value) => self.word(&value.to_string()),
            LiteralValue::Numeric(text) => self.word(text),
            LiteralValue::String(text) => self.string(text),
            LiteralValue::BitString(digits) => self.word(&format!("B{}", super::quote_string(digits))),
            LiteralValue::HexString(digits) => self.word(&format!("X{}", super::quote_string(digits))),
        }
    }

    /// An operator, in its OPERATOR form where it has a schema.
    pub(super) fn operator(&mut self, op: &Operator) {
        if op.schema.is_empty() {
            self.word(&op.name);
            return;
        }
        self.word("OPERATOR");
        self.call_parens(|p| p.bare_operator(op));
    }

    /// A prefix operator. Those that are no prefix operators in the grammar, and a minus that would be folded into the
    /// number behind it, need their OPERATOR form.
    fn prefix_operator(&mut self, e: &UnaryExpr) {
        let folded =
            e.op.name == "-" && matches!(&e.expr, Expr::Literal(literal) if is_number(&literal.value));
        let foreign = !is_sign(&e.op) && operator_level(&e.op) != OP;
        if e.op.schema.is_empty() && (folded || foreign) {
            self.word("OPERATOR");
            self.call_parens(|p| p.bare_operator(&e.op));
        } else {
            self.operator(&e.op);
        }
    }

    /// An operator as any_operator.
    pub(super) fn bare_operator(&mut self, op: &Operator) {
        for schema in &op.schema {
            self.name(schema);
            self.joint(".");
        }
        self.word(&op.name);
    }

    fn bool_list(&mut self, list: &BoolExpr, word: &str, level: u8) {
        for (i, arg) in list.args.iter().enumerate() {
            self.word_if(i > 0, word);
            self.operand(arg, level + 1);
        }
    }

    fn boolean_test(&mut self, test: &BooleanTest) {
        self.operand(&test.expr, IS + 1);
        self.word(if test.negated { "IS NOT" } else { "IS" });
        self.word(match test.value {
            Some(true) => "TRUE",
            Some(false) => "FALSE",
            None => "UNKNOWN",
        });
    }

    fn like(&mut self, like: &LikeExpr) {
        self.operand(&like.expr, PATTERN + 1);
        self.word_if(like.negated, "NOT");
        self.word(match like.kind {
            LikeKind::Like => "LIKE",
            LikeKind::ILike => "ILIKE",
            LikeKind::Similar => "SIMILAR TO",
        });
        self.operand(&like.pattern, ESCAPE + 1);
        if let Some(escape) = &like.escape {
            self.word("ESCAPE");
            self.operand(escape, ESCAPE + 1);
        }
    }

    fn between(&mut self, between: &BetweenExpr) {
        self.operand(&between.expr, PATTERN + 1);
        self.word(if between.negated { "NOT BETWEEN" } else { "BETWEEN" });
        self.word_if(between.symmetric, "SYMMETRIC");
        self.restricted(&between.low);
        self.word("AND");
        self.operand(&between.high, PATTERN + 1);
    }

    fn quantified(&mut self, left: &Expr, op: &QuantifiedOp, quantifier: Quantifier) {
        let level = quantified_level(op);
        self.operand(left, level + 1);
        match op {
            QuantifiedOp::Operator(op) => self.operator(op),
            QuantifiedOp::Like { kind, negated } => {
                self.word_if(*negated, "NOT");
                self.word(if *kind == LikeKind::ILike { "ILIKE" } else { "LIKE" });
            }
        }
        self.word(if quantifier == Quantifier::All { "ALL" } else { "ANY" });
    }

    fn case(&mut self, case: &CaseExpr) {
        self.word("CASE");
        if let Some(operand) = &case.operand {
            self.expr(operand);
        }
        for branch in &case.branches {
            self.word("WHEN");
            self.expr(&branch.when);
            self.word("THEN");
            self.expr(&branch.then);
        }
        if let Some(otherwise) = &case.otherwise {
            self.word("ELSE");
            self.expr(otherwise);
        }
        self.word("END");
    }

    fn call_of(&mut self, name: &str, args: &[Expr]) {
        self.word(name);
        self.call_parens(|p| p.exprs(args));
    }

    fn row(&mut self, row: &RowExpr) {
        if row.explicit {
            self.call_of("ROW", &row.args);
        } else {
            self.parens(|p| p.exprs(&row.args));
        }
    }

    /// `[a, b]`; elements that are arrays in turn are written as brackets only where all are, as the grammar wants.
    fn array_elements(&mut self, args: &[Expr]) {
        let nested = !args.is_empty() && args.iter().all(|arg| matches!(arg, Expr::Array(_)));
        self.joint("[");
        self.list(args, |p, arg| match arg {
            Expr::Array(inner) if nested => {
                p.word("");
                p.nested(|p| p.array_elements(&inner.args));
            }
            arg => p.expr(arg),
        });
        self.tight("]");
    }

    fn indirection_expr(&mut self, e: &IndirectionExpr) {
        let subscript_first = matches!(e.steps.first(), Some(Indirection::Index(_) | Indirection::Slice(..)));
        match &e.expr {
            Expr::Column(column) if subscript_first && !column.star => self.column(column),
            Expr::Param(_) | Expr::Subquery(_) => self.expr(&e.expr),
            base => self.parens(|p| p.expr(base)),
        }
        self.indirection(&e.steps);
    }

    pub(super) fn indirection(&mut self, steps: &[Indirection]) {
        for step in steps {
            match step {
                Indirection::Field(name, _) => {
                    self.joint(".");
                    self.name(name);
                }
                Indirection::Star(_) => self.tight(".*"),
                Indirection::Index(index) => {
                    self.joint("[");
                    self.expr(index);
                    self.tight("]");
                }
                Indirection::Slice(lower, upper) => {
                    self.joint("[");
                    if let Some(lower) = lower {
                        self.expr(lower);
                    }
                    self.joint(":");
                    if let Some(upper) = upper {
                        self.expr(upper);
                    }
                    self.tight("]");
                }
            }
        }
    }

    fn value_function(&mut self, function: &ValueFunction) {
        use ValueFunctionKind as V;
        self.word(match function.kind {
            V::CurrentDate => "CURRENT_DATE",
            V::CurrentTime => "CURRENT_TIME",
            V::CurrentTimestamp => "CURRENT_TIMESTAMP",
            V::LocalTime => "LOCALTIME",
            V::LocalTimestamp => "LOCALTIMESTAMP",
            V::CurrentRole => "CURRENT_ROLE",
            V::CurrentUser => "CURRENT_USER",
            V::SessionUser => "SESSION_USER",
            V::User => "USER",
            V::CurrentCatalog => "CURRENT_CATALOG",
            V::CurrentSchema => "CURRENT_SCHEMA",
        });
        if let Some(precision) = function.precision {
            self.tight(&format!("({precision})"));
        }
    }

    fn func(&mut self, call: &FuncCall) {
        if call.syntax == CallSyntax::Ordinary {
            self.plain_call(call);
        } else {
            self.special_call(call);
        }
    }

    /// A call as func_expr_windowless, for FROM.
    pub(super) fn table_function(&mut self, expr: &Expr) {
        if let Expr::Cast(cast) = expr {
            self.word("CAST");
            self.call_parens(|p| {
                p.expr(&cast.expr);
                p.word("AS");
                p.type_name(&cast.type_name);
            });
        } else {
            self.expr(expr);
        }
    }

    fn func_name(&mut self, name: &ObjectName) {
        match name.parts.as_slice() {
            [only] => self.function_word(only),
            parts => self.parts(parts),
        }
    }

    /// A bare function name. Words that the grammar knows in other roles are quoted, all but the commonest.
    fn function_word(&mut self, name: &str) {
        match name {
            "left" | "right" => self.word(name),
            // `operator(` begins the name of an operator.
            "operator" => self.word("\"operator\""),
            _ => self.name(name),
        }
    }

    pub(super) fn plain_call(&mut self, call: &FuncCall) {
        self.func_name(&call.name);
        self.call_parens(|p| {
            if call.star {
                p.word("*");
            }
            p.word_if(call.distinct, "DISTINCT");
            let last = call.args.len().saturating_sub(1);
            for (i, arg) in call.args.iter().enumerate() {
                if i > 0 {
                    p.tight(",");
                }
                p.word_if(call.variadic && i == last, "VARIADIC");
                if let Some(name) = &arg.name {
                    p.function_word(name);
                    p.word("=>");
                }
                p.expr(&arg.value);
            }
            if !call.within_group {
                p.order_by(&call.order_by);
            }
        });
        if call.within_group {
            self.word("WITHIN GROUP");
            self.parens(|p| p.order_by(&call.order_by));
        }
        self.filter_and_over(call.filter.as_ref(), call.over.as_ref());
    }

    pub(super) fn filter_and_over(&mut self, filter: Option<&Expr>, over: Option<&Over>) {
        if let Some(filter) = filter {
            self.word("FILTER");
            self.parens(|p| {
                p.word("WHERE");
                p.expr(filter);
            });
        }
        match over {
            Some(Over::Named(name, _)) => {
                self.word("OVER");
                self.name(name);
            }
            Some(Over::Spec(spec)) => {
                self.word("OVER");
                self.window(spec);
            }
            None => {}
        }
    }

    fn special_call(&mut self, call: &FuncCall) {
        let arg = |i: usize| call.args.get(i).map(|arg| &arg.value);
        let Some(first) = arg(0) else {
            match call.syntax {
                CallSyntax::SystemUser => self.word("SYSTEM_USER"),
                _ => self.word("MERGE_ACTION()"),
            }
            return;
        };
        let second = arg(1);
        match call.syntax {
            CallSyntax::Extract => {
                self.word("EXTRACT");
                self.call_parens(|p| p.joined(&[(None, Some(first)), (Some("FROM"), second)]));
            }
            CallSyntax::Normalize => {
                self.word("NORMALIZE");
                self.call_parens(|p| {
                    p.expr(first);
                    if let Some(form) = second {
                        p.tight(",");
                        p.word_of(form);
                    }
                });
            }
            CallSyntax::IsNormalized => {
                self.operand(first, IS + 1);
                self.word("IS");
                if let Some(form) = second {
                    self.word_of(form);
                }
                self.word("NORMALIZED");
            }
            CallSyntax::Overlay => {
                self.word("OVERLAY");
                self.call_parens(|p| {
                    p.joined(&[
                        (None, Some(first)),
                        (Some("PLACING"), second),
                        (Some("FROM"), arg(2)),
                        (Some("FOR"), arg(3)),
                    ]);
                });
            }
            CallSyntax::Position => {
                self.word("POSITION");
                self.call_parens(|p| {
                    if let Some(needle) = second {
                        p.restricted(needle);
                    }
                    p.word("IN");
                    p.restricted(first);
                });
            }
            CallSyntax::Substring => {
                self.word("SUBSTRING");
                self.call_parens(|p| {
                    p.joined(&[(None, Some(first)), (Some("FROM"), second), (Some("FOR"), arg(2))]);
                });
            }
            CallSyntax::SubstringFor => {
                self.word("SUBSTRING");
                let length = match arg(2) {
                    Some(Expr::Cast(cast)) => Some(&cast.expr),
                    other => other,
                };
                self.call_parens(|p| p.joined(&[(None, Some(first)), (Some("FOR"), length)]));
            }
            CallSyntax::SubstringSimilar => {
                self.word("SUBSTRING");
                self.call_parens(|p| {
                    p.joined(&[(None, Some(first)), (Some("SIMILAR"), second), (Some("ESCAPE"), arg(2))]);
                });
            }
            CallSyntax::TrimBoth | CallSyntax::TrimLeading | CallSyntax::TrimTrailing => self.trim(call),
            CallSyntax::AtTimeZone => {
                if let Some(value) = second {
                    self.operand(value, AT);
                }
                self.word("AT TIME ZONE");
                self.operand(first, AT + 1);
            }
            CallSyntax::AtLocal => {
                self.operand(first, AT);
                self.word("AT LOCAL");
            }
            CallSyntax::Overlaps => {
                self.parens(|p| p.list(&call.args[..call.args.len().min(2)], |p, arg| p.expr(&arg.value)));
                self.word("OVERLAPS");
                self.parens(|p| p.list(&call.args[call.args.len().min(2)..], |p, arg| p.expr(&arg.value)));
            }
            CallSyntax::CollationFor => {
                self.word("COLLATION FOR");
                self.parens(|p| p.expr(first));
            }
            CallSyntax::Treat => {
                self.word("TREAT");
                self.call_parens(|p| {
                    p.expr(first);
                    p.word("AS");
                    p.name(call.name.name());
                });
            }
            CallSyntax::XmlExists => {
                self.word("XMLEXISTS");
                self.call_parens(|p| {
                    p.atom(first);
                    p.word("PASSING");
                    if let Some(document) = second {
                        p.atom(document);
                    }
                });
            }
            CallSyntax::Ordinary | CallSyntax::SystemUser | CallSyntax::MergeAction => self.plain_call(call),
        }
    }

    /// Expressions with words before them; absent ones leave out their word too.
    fn joined(&mut self, parts: &[(Option<&str>, Option<&Expr>)]) {
        for (word, expr) in parts {
            if let Some(expr) = expr {
                if let Some(word) = word {
                    self.word(word);
                }
                // LIKE … ESCAPE and SIMILAR TO would swallow the words of the form.
                self.operand(expr, PATTERN + 1);
            }
        }
    }

    /// A string constant that stands for a keyword.
    fn word_of(&mut self, expr: &Expr) {
        if let Expr::Literal(Literal { value: LiteralValue::String(text), .. }) = expr {
            self.word(text);
        }
    }

    fn trim(&mut self, call: &FuncCall) {
        self.word("TRIM");
        self.call_parens(|p| {
            p.word(match call.syntax {
                CallSyntax::TrimLeading => "LEADING",
                CallSyntax::TrimTrailing => "TRAILING",
                _ => "BOTH",
            });
            if let [text, chars] = call.args.as_slice() {
                p.operand(&chars.value, PATTERN + 1);
                p.word("FROM");
                p.expr(&text.value);
                return;
            }
            p.word("FROM");
            p.list(&call.args, |p, arg| p.expr(&arg.value));
        });
    }
}
