//! Errors that more than one part raises.

use ochre_base::{Error, SqlState};

use crate::Function;

#[cold]
pub(crate) fn out_of_range(what: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{what} out of range"))
}

#[cold]
pub(crate) fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

#[cold]
pub(crate) fn more_than_one_row() -> Error {
    Error::new(
        SqlState::CARDINALITY_VIOLATION,
        "more than one row returned by a subquery used as an expression",
    )
}

#[cold]
pub(crate) fn missing(function: &Function) -> Error {
    Error::unsupported(format_args!("function {}", crate::display::signature(function)))
}

#[cold]
pub(crate) fn invalid_parameter(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// A value that does not have the physical form of its type: the binder or a kernel is wrong.
#[cold]
pub(crate) fn wrong_form(what: &str) -> Error {
    Error::internal(format!("value is not in the form of {what}"))
}
