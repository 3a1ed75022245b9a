//! Runs the recorded expressions of `testdata/*.txt` three ways - on single values, on whole batches, on a selection -
//! and compares each answer with PostgreSQL's (see `tools/record-expressions.sh`).
//!
//! The notation is a subset of SQL: `name(expression, …)`, `'literal'::type`, `null::type`, `expression::type`.

use std::fmt::Write;
use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::{
    CastKind, CastMethod, EvalContext, Expr, Function, NoSession, cast, eval, eval_const, functions_named,
};
use ochre_types::{
    Batch, ColumnBuilder, Datum, FormatContext, SqlType, oids, parse_text, to_text, type_info_named, typmod,
};

struct Parser<'a> {
    text: &'a str,
    format: FormatContext,
}

impl Parser<'_> {
    fn expect(&mut self, c: char) {
        self.text = self.text.trim_start();
        assert!(self.text.starts_with(c), "{c} expected at {}", self.text);
        self.text = &self.text[c.len_utf8()..];
    }

    fn eat(&mut self, token: &str) -> bool {
        let rest = self.text.trim_start();
        let found = rest.starts_with(token);
        if found {
            self.text = &rest[token.len()..];
        }
        found
    }

    fn identifier(&mut self) -> String {
        self.text = self.text.trim_start();
        if self.eat("\"") {
            let end = self.text.find('"').expect("a closing quote");
            let name = self.text[..end].to_owned();
            self.text = &self.text[end + 1..];
            return name;
        }
        let end = self.text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.text.len());
        let name = self.text[..end].to_owned();
        self.text = &self.text[end..];
        name
    }

    fn literal(&mut self) -> String {
        let mut out = String::new();
        loop {
            let end = self.text.find('\'').expect("a closing quote");
            out.push_str(&self.text[..end]);
            self.text = &self.text[end + 1..];
            if !self.text.starts_with('\'') {
                return out;
            }
            out.push('\'');
            self.text = &self.text[1..];
        }
    }

    fn ty(&mut self) -> SqlType {
        let name = self.identifier();
        let info = type_info_named(&name).unwrap_or_else(|| panic!("no type {name}"));
        let mut modifier = -1;
        if self.eat("(") {
            let end = self.text.find(')').expect("a closing parenthesis");
            let numbers: Vec<i32> = self.text[..end].split(',').map(|n| n.trim().parse().unwrap()).collect();
            self.text = &self.text[end + 1..];
            modifier = typmod::parse(info.oid, &numbers).expect("a valid modifier");
        }
        SqlType::new(info.oid, modifier)
    }

    fn expression(&mut self) -> Result<Expr> {
        self.text = self.text.trim_start();
        let mut expr = if self.eat("'") {
            let text = self.literal();
            assert!(self.eat("::"), "a literal's type at {}", self.text);
            let ty = self.ty();
            let base = ty.with_typmod(-1);
            // A modifier of an interval or time is applied by its input function; the others' truncate explicitly.
            modified(Expr::constant(parse_text(base, &text, &self.format)?, base), ty)
        } else if self.text.starts_with("null::") {
            self.text = &self.text[6..];
            let ty = self.ty();
            Expr::null(ty)
        } else {
            self.call()?
        };
        while self.eat("::") {
            let ty = self.ty();
            expr = converted(expr, ty);
        }
        Ok(expr)
    }

    fn call(&mut self) -> Result<Expr> {
        let mut name = self.identifier();
        if name == "pg_catalog" {
            self.expect('.');
            name = self.identifier();
        }
        self.expect('(');
        let mut args = Vec::new();
        while !self.eat(")") {
            args.push(self.expression()?);
            self.eat(",");
        }
        let function = functions_named(&name).iter().find(|f| accepts(f, &args)).unwrap_or_else(|| {
            panic!("no function {name} of {:?}", args.iter().map(Expr::ty).collect::<Vec<_>>())
        });
        let ty = result_type(function, &args);
        Ok(Expr::call(*function, args, ty))
    }
}

fn modified(expr: Expr, ty: SqlType) -> Expr {
    if ty.typmod < 0 {
        return expr;
    }
    Expr::Cast {
        arg: Box::new(expr),
        kind: CastKind::Typmod { explicit: true },
        ty,
        pos: ochre_expr::SourcePos::NONE,
    }
}

fn converted(expr: Expr, ty: SqlType) -> Expr {
    let source = expr.ty();
    let base = ty.with_typmod(-1);
    if source.oid == ty.oid {
        return modified(expr, ty);
    }
    let info = cast(source.oid, ty.oid);
    let kind = match info.map(|info| info.method) {
        Some(CastMethod::Relabel) => CastKind::Relabel,
        Some(CastMethod::Function(function)) => {
            CastKind::Function { function: function.into(), explicit: true }
        }
        Some(CastMethod::Io) => CastKind::Io,
        None if source.oid == oids::TEXT || ty.oid == oids::TEXT => CastKind::Io,
        None => panic!("no cast from {} to {}", source.name(), ty.name()),
    };
    modified(Expr::Cast { arg: Box::new(expr), kind, ty: base, pos: ochre_expr::SourcePos::NONE }, ty)
}

fn accepts(function: &Function, args: &[Expr]) -> bool {
    let variadic_any = function.variadic == oids::ANY;
    let wanted = &function.arg_types;
    if variadic_any {
        if args.len() + 1 < wanted.len() {
            return false;
        }
    } else if wanted.len() != args.len() {
        return false;
    }
    args.iter().enumerate().all(|(i, arg)| {
        let actual = arg.ty();
        let wanted = wanted.get(i).copied().unwrap_or(oids::ANY);
        match wanted {
            oids::ANY | oids::ANYELEMENT | oids::ANYCOMPATIBLE => true,
            oids::ANYARRAY | oids::ANYCOMPATIBLEARRAY => actual.element().is_some(),
            wanted => wanted == actual.oid,
        }
    })
}

fn result_type(function: &Function, args: &[Expr]) -> SqlType {
    let array = args.iter().map(Expr::ty).find(|ty| ty.element().is_some());
    match function.return_type {
        oids::ANYARRAY | oids::ANYCOMPATIBLEARRAY => {
            array.or_else(|| args[0].ty().array_of()).expect("an array argument")
        }
        oids::ANYELEMENT | oids::ANYCOMPATIBLE => {
            array.and_then(SqlType::element).unwrap_or_else(|| args[0].ty())
        }
        oid => SqlType::new(oid, -1),
    }
}

fn shown(result: Result<Datum>, ty: SqlType) -> String {
    match result {
        Ok(Datum::Null) => "NULL".to_owned(),
        Ok(value) => to_text(ty, &value, &FormatContext::default())
            .unwrap()
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('\r', "\\r"),
        Err(error) => format!("ERROR {} {}", error.sqlstate(), error.message().replace('\n', "\\n")),
    }
}

/// The expression with its constants as columns of a batch, whose rows 1 and 3 hold them; the others are NULL.
fn as_batch(expr: &Expr) -> (Expr, Batch) {
    let mut columns = Vec::new();
    let on_columns = expr.clone().transform(&mut |node| match node {
        Expr::Constant { value, ty } => {
            let mut builder = ColumnBuilder::new(ty.physical, 4);
            for row in 0..4 {
                if row % 2 == 1 { builder.push(&value) } else { builder.push_null() }
            }
            columns.push(Arc::new(builder.finish()));
            Expr::column(columns.len() - 1, ty)
        }
        other => other,
    });
    (on_columns, Batch::new(columns, 4))
}

/// The answers of all three ways; one text when they agree.
fn answer(text: &str) -> String {
    let session = NoSession::default();
    let ctx = EvalContext::new(&session);
    let mut parser = Parser { text, format: FormatContext::default() };
    let expr = match parser.expression() {
        Ok(expr) => expr,
        Err(error) => return shown(Err(error), SqlType::TEXT),
    };
    assert!(parser.text.is_empty(), "left over: {}", parser.text);
    let ty = expr.ty();
    let single = shown(eval_const(&expr, &ctx), ty);
    let constant = Batch::new(Vec::new(), 3);
    let folded = shown(eval(&expr, &constant, None, &ctx).map(|column| column.datum(2)), ty);
    let (on_columns, batch) = as_batch(&expr);
    let selection = ochre_types::Selection::new(vec![1u16, 3]);
    let columnar = shown(eval(&on_columns, &batch, Some(&selection), &ctx).map(|column| column.datum(3)), ty);
    if single == folded && single == columnar {
        single
    } else {
        format!("{single} (row) {folded} (constant batch) {columnar} (batch)")
    }
}

#[test]
fn recorded_expressions() {
    let mut failures = String::new();
    let (mut passed, mut failed) = (0, 0);
    let mut files: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata"))
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "txt")) {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let Some((text, expected)) = line.split_once(" ⇒ ") else { continue };
            let outcome = std::panic::catch_unwind(|| answer(text));
            let actual = outcome.unwrap_or_else(|_| "PANIC".to_owned());
            if actual == expected {
                passed += 1;
            } else {
                failed += 1;
                writeln!(failures, "{text}\n    expected {expected}\n    got      {actual}").unwrap();
            }
        }
    }
    assert!(failed == 0, "{passed} passed, {failed} failed:\n{failures}");
}
