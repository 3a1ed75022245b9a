//! The form of a value in a stored row.

use ochre_base::{Error, Result};

use crate::{Column, ColumnBuilder, Datum, PhysicalType};

/// Appends the stored form of a value that is not NULL (NULLs are bits of the row's header). Fixed-width types append
/// exactly [`PhysicalType::stored_width`] bytes; others any number, whose count the row keeps.
pub fn encode_field(value: &Datum, out: &mut Vec<u8>) {
    let _ = (value, out);
}

/// As [`encode_field`], of one row of a column.
pub fn encode_field_at(column: &Column, row: usize, out: &mut Vec<u8>) {
    encode_field(&column.datum(row), out);
}

/// Bytes that [`encode_field`] appends.
pub fn encoded_len(value: &Datum) -> usize {
    let mut out = Vec::new();
    encode_field(value, &mut out);
    out.len()
}

/// Reads a value from its stored form.
///
/// # Errors
/// XX001 when the bytes are no value of that physical type.
pub fn decode_field(physical: PhysicalType, bytes: &[u8]) -> Result<Datum> {
    let _ = (physical, bytes);
    Err(Error::corrupt("stored value"))
}

/// Reads a value from its stored form onto a builder's end.
///
/// # Errors
/// XX001 when the bytes are no value of the builder's physical type.
pub fn decode_into(builder: &mut ColumnBuilder, bytes: &[u8]) -> Result<()> {
    let value = decode_field(builder.physical(), bytes)?;
    builder.push(&value);
    Ok(())
}
