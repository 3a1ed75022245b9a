//! Text and binary forms of every type: PostgreSQL's input, output, receive and send functions.

use ochre_base::Result;

use crate::context::unsupported_form;
use crate::{Column, Datum, FormatContext, SqlType};

/// Reads a value from text as the type's input function does, modifier included (a `varchar(3)` refuses `'abcd'`).
///
/// # Errors
/// PostgreSQL's for the type, usually 22P02, 22003, 22007, 22008 or 22001.
pub fn parse_text(ty: SqlType, text: &str, context: &FormatContext) -> Result<Datum> {
    let _ = (text, context);
    Err(unsupported_form("text", ty.name()))
}

/// Appends a value's text as the type's output function gives it. NULL appends nothing: callers mark NULLs themselves.
pub fn print_text(ty: SqlType, value: &Datum, context: &FormatContext, out: &mut Vec<u8>) {
    let _ = (ty, value, context, out);
}

/// As [`print_text`], of one row of a column.
pub fn print_text_at(ty: SqlType, column: &Column, row: usize, context: &FormatContext, out: &mut Vec<u8>) {
    print_text(ty, &column.datum(row), context, out);
}

/// A value's text as a string of its own.
pub fn to_text(ty: SqlType, value: &Datum, context: &FormatContext) -> String {
    let mut out = Vec::new();
    print_text(ty, value, context, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Reads a value from its binary wire form as the type's receive function does.
///
/// # Errors
/// 22P03 and the type's own.
pub fn decode_binary(ty: SqlType, bytes: &[u8], context: &FormatContext) -> Result<Datum> {
    let _ = (bytes, context);
    Err(unsupported_form("binary", ty.name()))
}

/// Appends a value's binary wire form, without length. NULL appends nothing.
///
/// # Errors
/// 0A000 for types without a binary form.
pub fn encode_binary(ty: SqlType, value: &Datum, out: &mut Vec<u8>) -> Result<()> {
    let _ = (value, out);
    Err(unsupported_form("binary", ty.name()))
}

/// As [`encode_binary`], of one row of a column.
///
/// # Errors
/// As [`encode_binary`].
pub fn encode_binary_at(ty: SqlType, column: &Column, row: usize, out: &mut Vec<u8>) -> Result<()> {
    encode_binary(ty, &column.datum(row), out)
}
