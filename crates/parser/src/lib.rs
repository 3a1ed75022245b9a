//! PostgreSQL 18's grammar by hand: text in, a typed tree with byte positions out.
//!
//! [`parse`] reads a text of any number of statements, [`parse_expression`] and [`parse_type_name`] the texts that the
//! catalogs keep. Nothing here knows a catalog: names stay names, and `int` is `pg_catalog.int4` because the grammar
//! says so. Errors are PostgreSQL's, with SQLSTATE and byte position.

pub mod ast;
pub mod inspect;
mod keywords;
mod lexer;
mod literal;
mod parser;
mod print;

/// The scanner, for languages that share it.
pub mod scan {
    pub use crate::lexer::{Lexed, Tok, Token, lex};
    pub use crate::literal::{fold_identifier, quoted_identifier, string, unicode_identifier};
}

use ochre_base::Result;

pub use keywords::{Class, Kw};
use parser::Parser;
pub use print::{quote_identifier, quote_string, view_definition};

/// Parses a text of statements separated by semicolons; empty statements leave nothing.
///
/// # Errors
/// 42601 and the other errors of PostgreSQL's grammar, with the byte offset in the whole text.
pub fn parse(sql: &str) -> Result<Vec<ast::RawStatement>> {
    Parser::new(sql).statements()
}

/// The identifiers of a text that are longer than 63 bytes, with what [`parse`] makes of them. Nearly every text has none,
/// and is passed over in one look at its bytes.
pub fn truncated_identifiers(sql: &str) -> Vec<(String, ast::Name)> {
    if literal::has_long_word(sql) { literal::truncated_identifiers(sql) } else { Vec::new() }
}

/// Parses one expression, for instance a column default or the predicate of a check constraint.
///
/// # Errors
/// As [`parse`].
pub fn parse_expression(sql: &str) -> Result<ast::Expr> {
    Parser::new(sql).only_expression()
}

/// Parses the name of a type as it may stand after `::`, for instance `numeric(10,2)[]`.
///
/// # Errors
/// As [`parse`].
pub fn parse_type_name(sql: &str) -> Result<ast::TypeName> {
    Parser::new(sql).only_type_name()
}
