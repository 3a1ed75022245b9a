//! Constructors of errors that several parts of the engine raise.

use ochre_base::{Error, Severity, SqlState};

/// Bytes that are not UTF-8 from `at` on.
#[cold]
pub(crate) fn bad_utf8(bytes: &[u8], at: usize) -> Error {
    let wrong: Vec<String> = bytes[at..].iter().take(4).map(|byte| format!("0x{byte:02x}")).collect();
    Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", wrong.join(" ")),
    )
}

/// Whether a message is at least as serious as `client_min_messages`.
pub(crate) fn at_least(severity: Severity, least: &str) -> bool {
    let least = match least {
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        "notice" => Severity::Notice,
        "log" => Severity::Log,
        _ => Severity::Debug,
    };
    // INFO is what a command was asked to tell, so it always goes.
    severity == Severity::Info || severity >= least
}

/// A relation that is not there.
#[cold]
pub(crate) fn undefined_table(name: impl std::fmt::Display) -> Error {
    Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
}

/// A column that is not there.
#[cold]
pub(crate) fn undefined_column(column: &str, table: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_COLUMN,
        format!("column \"{column}\" of relation \"{table}\" does not exist"),
    )
}

/// A namespace that is not there.
#[cold]
pub(crate) fn undefined_schema(name: &str) -> Error {
    Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))
}

/// A relation that is there already.
#[cold]
pub(crate) fn duplicate_relation(name: &str) -> Error {
    Error::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists"))
}

/// A database that is not there.
#[cold]
pub(crate) fn undefined_database(name: &str) -> Error {
    Error::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
}

/// A statement that ends transactions, within a routine.
#[cold]
pub(crate) fn not_from_a_function(statement: &str) -> Error {
    Error::new(SqlState::ACTIVE_SQL_TRANSACTION, format!("{statement} cannot be executed from a function"))
}

/// A row whose columns nobody knows before it is made, where they have to be certain ones.
#[cold]
pub(crate) fn rows_of_unknown_columns() -> Error {
    Error::unsupported("a result of type record whose columns are known only once it is made")
}
