//! The printer: tree to SQL text that parses to the same tree.
//!
//! Text is built of words with one space between them. Operands are parenthesised by the levels of the grammar, and
//! where the grammar takes only a restricted expression, by anything that is not atomic.

mod ddl;
mod dml;
mod expr;
mod json;
mod object;
mod role;
mod routine;
mod select;
mod table;
mod types;
mod utility;

use std::fmt;

use ochre_base::limits::{STACK_GROWTH_BYTES, STACK_RED_ZONE_BYTES};

use crate::ast::*;
use crate::keywords::{Class, Kw};

/// The text being written.
pub(crate) struct Printer {
    out: String,
    /// The next word follows without a space.
    glue: bool,
}

impl Printer {
    fn new() -> Printer {
        Printer { out: String::new(), glue: true }
    }

    /// A word with a space before it.
    fn word(&mut self, text: &str) {
        if !self.glue {
            self.out.push(' ');
        }
        self.glue = false;
        self.out.push_str(text);
    }

    /// Words if a condition holds.
    fn word_if(&mut self, condition: bool, text: &str) {
        if condition {
            self.word(text);
        }
    }

    /// Text directly behind what stands there.
    fn tight(&mut self, text: &str) {
        self.out.push_str(text);
        self.glue = false;
    }

    /// Text directly behind what stands there, the next word directly behind it.
    fn joint(&mut self, text: &str) {
        self.out.push_str(text);
        self.glue = true;
    }

    /// An opening parenthesis behind a space.
    fn open(&mut self) {
        self.word("(");
        self.glue = true;
    }

    fn close(&mut self) {
        self.tight(")");
    }

    /// `( … )` behind a space.
    fn parens(&mut self, inner: impl FnOnce(&mut Self)) {
        self.open();
        inner(self);
        self.close();
    }

    /// `( … )` directly behind what stands there.
    fn call_parens(&mut self, inner: impl FnOnce(&mut Self)) {
        self.joint("(");
        inner(self);
        self.close();
    }

    /// Items with commas between them.
    fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        for (i, value) in items.iter().enumerate() {
            if i > 0 {
                self.tight(",");
            }
            item(self, value);
        }
    }

    /// `(a, b)`, or nothing for no items.
    fn optional_parens<T>(&mut self, items: &[T], item: impl FnMut(&mut Self, &T)) {
        if !items.is_empty() {
            self.parens(|p| p.list(items, item));
        }
    }

    fn name(&mut self, name: &str) {
        let quoted = quote_identifier(name);
        self.word(&quoted);
    }

    fn names(&mut self, names: &[Name]) {
        self.list(names, |p, name| p.name(name));
    }

    fn column_list(&mut self, names: &[Name]) {
        self.optional_parens(names, |p, name| p.name(name));
    }

    fn parts(&mut self, parts: &[Name]) {
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                self.joint(".");
            }
            self.name(part);
        }
    }

    fn object_name(&mut self, name: &ObjectName) {
        self.parts(&name.parts);
    }

    fn object_names(&mut self, names: &[ObjectName]) {
        self.list(names, |p, name| p.object_name(name));
    }

    fn string(&mut self, text: &str) {
        let quoted = quote_string(text);
        self.word(&quoted);
    }

    fn strings(&mut self, texts: &[Box<str>]) {
        self.list(texts, |p, text| p.string(text));
    }

    /// Runs a recursive step with enough stack.
    fn nested(&mut self, run: impl FnOnce(&mut Self)) {
        stacker::maybe_grow(STACK_RED_ZONE_BYTES, STACK_GROWTH_BYTES, || run(self));
    }
}

/// An identifier, in double quotes where it needs them.
pub fn quote_identifier(name: &str) -> String {
    let plain = name.bytes().enumerate().all(|(i, b)| match b {
        b'a'..=b'z' | b'_' => true,
        b'0'..=b'9' | b'$' => i > 0,
        _ => false,
    });
    let keyword = Kw::lookup(name.as_bytes()).is_some_and(|kw| kw.class() != Class::Unreserved);
    if plain && !name.is_empty() && !keyword {
        return name.to_string();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant in simple quotes.
pub fn quote_string(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A view's query with a line for each clause, as `pg_get_viewdef` shows it; `columns` are the view's names for its columns.
pub fn view_definition(query: &SelectStmt, columns: &[&str]) -> String {
    print(|p| p.view_query(query, columns))
}

fn print(run: impl FnOnce(&mut Printer)) -> String {
    let mut printer = Printer::new();
    run(&mut printer);
    printer.out
}

impl fmt::Display for Statement {
    /// SQL that parses to this statement.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(|p| p.statement(self)))
    }
}

impl fmt::Display for SelectStmt {
    /// SQL that parses to this query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(|p| p.select(self)))
    }
}

impl fmt::Display for Expr {
    /// SQL that parses to this expression.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(|p| p.expr(self)))
    }
}

impl fmt::Display for TypeName {
    /// SQL that parses to this type name, in SQL's own spelling where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(|p| p.type_name(self)))
    }
}
