//! Texts of SQL that the catalogs keep: views' queries, defaults, checks, keys and predicates of indexes. Somebody has parsed
//! each of them before it was stored, so one that is no SQL any more was damaged.

use ochre_base::{Error, Result, SqlState};
use ochre_catalog::RelationDescriptor;
use ochre_parser::ast;

/// A stored expression.
///
/// # Errors
/// XX001 for what is none.
pub(crate) fn expression(text: &str) -> Result<ast::Expr> {
    ochre_parser::parse_expression(text).map_err(|error| unreadable("expression", error))
}

/// A view's query.
///
/// # Errors
/// XX001 for what is none.
pub(super) fn view_query(view: &RelationDescriptor) -> Result<ast::P<ast::SelectStmt>> {
    let text = view.view_query.as_deref().unwrap_or_default();
    let mut statements = ochre_parser::parse(text).map_err(|error| unreadable("query", error))?;
    match statements.pop().map(|raw| raw.stmt) {
        Some(ast::Statement::Select(select)) if statements.is_empty() => Ok(select),
        _ => Err(Error::corrupt(format!("view \"{}\" has no query", view.name))),
    }
}

#[cold]
fn unreadable(what: &str, error: Error) -> Error {
    if error.sqlstate() == SqlState::SYNTAX_ERROR {
        Error::corrupt(format!("a stored {what} cannot be read")).detail(error.message().to_owned())
    } else {
        error
    }
}
