//! One row as bytes: the payload of entries in a spilling sort.
//!
//! # On-disk layout
//! A bitmap of NULLs (one bit a column, set = NULL), then for each column that is not NULL its stored form, with its
//! length (u32, little endian) in front where the type has no fixed width.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_types::{Column, ColumnBuilder, PhysicalType, store};

/// Appends a row of `columns`.
pub fn encode_row(columns: &[Arc<Column>], row: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + columns.len().div_ceil(8), 0);
    for (i, column) in columns.iter().enumerate() {
        if column.is_null(row) {
            out[start + i / 8] |= 1 << (i % 8);
            continue;
        }
        if column.physical().stored_width().is_some() {
            store::encode_field_at(column, row, out);
            continue;
        }
        let length_at = out.len();
        out.extend_from_slice(&[0; 4]);
        if column.physical() == PhysicalType::Bytes {
            out.extend_from_slice(column.bytes(row));
        } else {
            store::encode_field_at(column, row, out);
        }
        let length = (out.len() - length_at - 4) as u32;
        out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// Reads a row onto the ends of builders, one a column.
///
/// # Errors
/// XX001 when the bytes are no such row.
pub fn decode_row(bytes: &[u8], builders: &mut [ColumnBuilder]) -> Result<()> {
    let (nulls, mut rest) = bytes.split_at_checked(builders.len().div_ceil(8)).ok_or_else(damaged)?;
    for (i, builder) in builders.iter_mut().enumerate() {
        if nulls[i / 8] >> (i % 8) & 1 != 0 {
            builder.push_null();
            continue;
        }
        let physical = builder.physical();
        let width = match physical.stored_width() {
            Some(width) => width as usize,
            None => {
                let length = take(&mut rest, 4)?;
                u32::from_le_bytes(length.try_into().expect("four bytes")) as usize
            }
        };
        let value = take(&mut rest, width)?;
        if physical == PhysicalType::Bytes {
            builder.push_bytes(value);
        } else {
            builder.push_stored(value)?;
        }
    }
    Ok(())
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count).ok_or_else(damaged)?;
    *bytes = rest;
    Ok(head)
}

#[cold]
fn damaged() -> Error {
    Error::corrupt("invalid row in a temporary file")
}
