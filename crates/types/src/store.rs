//! The form of a value in a stored row.
//!
//! # On-disk layout
//! All little-endian; the number of bytes of variable forms is the row's to keep.
//!
//! | physical type | bytes |
//! |---|---|
//! | bool, "char" | 1 |
//! | int2 | 2 |
//! | int4, date, oid, float4 | 4 |
//! | int8, time, timestamp, xid8, float8 | 8 |
//! | interval | microseconds 8, days 4, months 4 |
//! | uuid | 16 |
//! | numeric | see [`crate::numeric`] |
//! | text, bytea … | the bytes |
//! | array | element type oid 4, typmod 4, physical 1, dimensions 1, each length 4 and lower bound 4, then the elements |
//! | record | number of fields 2, then each field: physical 1 (0xFF: NULL) and, as of elements, length and form |
//!
//! An element is its length + 1 as a varint (0: NULL) and its stored form.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result};
use smallvec::SmallVec;

use crate::array::{ArrayDimension, MAX_DIMENSIONS};
use crate::{
    ArrayValue, Column, ColumnBuilder, ColumnValues, Datum, Interval, Numeric, PhysicalType, SharedBytes,
    SqlType,
};

const NULL_FIELD: u8 = 0xFF;

/// Appends the stored form of a value that is not NULL (NULLs are bits of the row's header and append nothing).
/// Fixed-width types append exactly [`PhysicalType::stored_width`] bytes; others any number, whose count the row keeps.
pub fn encode_field(value: &Datum, out: &mut Vec<u8>) {
    match value {
        Datum::Null => {}
        Datum::Bool(value) => out.push(u8::from(*value)),
        Datum::Char(value) => out.push(*value),
        Datum::Int16(value) => out.extend_from_slice(&value.to_le_bytes()),
        Datum::Int32(value) => out.extend_from_slice(&value.to_le_bytes()),
        Datum::UInt32(value) => out.extend_from_slice(&value.to_le_bytes()),
        Datum::Int64(value) => out.extend_from_slice(&value.to_le_bytes()),
        Datum::UInt64(value) => out.extend_from_slice(&value.to_le_bytes()),
        Datum::Float32(value) => out.extend_from_slice(&value.to_le_bytes()),
        Datum::Float64(value) => out.extend_from_slice(&value.to_le_bytes()),
        Datum::Numeric(value) => value.encode_stored(out),
        Datum::Bytes(value) => out.extend_from_slice(value),
        Datum::Interval(value) => encode_interval(*value, out),
        Datum::Uuid(value) => out.extend_from_slice(value),
        Datum::Array(value) => encode_array(value, out),
        Datum::Record(value) => encode_record(value, out),
    }
}

/// As [`encode_field`], of one row of a column.
pub fn encode_field_at(column: &Column, row: usize, out: &mut Vec<u8>) {
    if column.is_null(row) {
        return;
    }
    let entry = row * column.stride();
    match column.values() {
        ColumnValues::Bool(v) => out.push(u8::from(v[entry])),
        ColumnValues::Char(v) => out.push(v[entry]),
        ColumnValues::Int16(v) => out.extend_from_slice(&v[entry].to_le_bytes()),
        ColumnValues::Int32(v) => out.extend_from_slice(&v[entry].to_le_bytes()),
        ColumnValues::UInt32(v) => out.extend_from_slice(&v[entry].to_le_bytes()),
        ColumnValues::Int64(v) => out.extend_from_slice(&v[entry].to_le_bytes()),
        ColumnValues::UInt64(v) => out.extend_from_slice(&v[entry].to_le_bytes()),
        ColumnValues::Float32(v) => out.extend_from_slice(&v[entry].to_le_bytes()),
        ColumnValues::Float64(v) => out.extend_from_slice(&v[entry].to_le_bytes()),
        ColumnValues::Numeric(v) => v[entry].encode_stored(out),
        ColumnValues::Bytes(v) => out.extend_from_slice(v.get(entry)),
        ColumnValues::Interval(v) => encode_interval(v[entry], out),
        ColumnValues::Uuid(v) => out.extend_from_slice(&v[entry]),
        ColumnValues::Array(v) => encode_array(&v[entry], out),
        ColumnValues::Record(v) => encode_record(&v[entry], out),
    }
}

/// Bytes that [`encode_field`] appends.
pub fn encoded_len(value: &Datum) -> usize {
    match value {
        Datum::Null => 0,
        Datum::Bytes(value) => value.len(),
        Datum::Numeric(_) | Datum::Array(_) | Datum::Record(_) => {
            let mut out = Vec::new();
            encode_field(value, &mut out);
            out.len()
        }
        fixed => usize::from(fixed.physical().and_then(PhysicalType::stored_width).unwrap_or(0)),
    }
}

fn encode_interval(value: Interval, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.micros.to_le_bytes());
    out.extend_from_slice(&value.days.to_le_bytes());
    out.extend_from_slice(&value.months.to_le_bytes());
}

fn encode_array(array: &ArrayValue, out: &mut Vec<u8>) {
    out.extend_from_slice(&array.element.oid.0.to_le_bytes());
    out.extend_from_slice(&array.element.typmod.to_le_bytes());
    out.push(array.element.physical as u8);
    out.push(array.dimensions.len() as u8);
    for dimension in &array.dimensions {
        out.extend_from_slice(&dimension.length.to_le_bytes());
        out.extend_from_slice(&dimension.lower.to_le_bytes());
    }
    let mut form = Vec::new();
    array.elements.iter().for_each(|element| encode_element(element, &mut form, out));
}

fn encode_record(fields: &[Datum], out: &mut Vec<u8>) {
    out.extend_from_slice(&(fields.len() as u16).to_le_bytes());
    let mut form = Vec::new();
    for field in fields {
        out.push(field.physical().map_or(NULL_FIELD, |physical| physical as u8));
        encode_element(field, &mut form, out);
    }
}

fn encode_element(element: &Datum, form: &mut Vec<u8>, out: &mut Vec<u8>) {
    if element.is_null() {
        return push_varint(0, out);
    }
    form.clear();
    encode_field(element, form);
    push_varint(form.len() as u64 + 1, out);
    out.extend_from_slice(form);
}

fn push_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a value from its stored form.
///
/// # Errors
/// XX001 when the bytes are no value of that physical type.
pub fn decode_field(physical: PhysicalType, bytes: &[u8]) -> Result<Datum> {
    Ok(match physical {
        PhysicalType::Bool => Datum::Bool(fixed::<1>(bytes)?[0] != 0),
        PhysicalType::Char => Datum::Char(fixed::<1>(bytes)?[0]),
        PhysicalType::Int16 => Datum::Int16(i16::from_le_bytes(fixed(bytes)?)),
        PhysicalType::Int32 => Datum::Int32(i32::from_le_bytes(fixed(bytes)?)),
        PhysicalType::UInt32 => Datum::UInt32(u32::from_le_bytes(fixed(bytes)?)),
        PhysicalType::Int64 => Datum::Int64(i64::from_le_bytes(fixed(bytes)?)),
        PhysicalType::UInt64 => Datum::UInt64(u64::from_le_bytes(fixed(bytes)?)),
        PhysicalType::Float32 => Datum::Float32(f32::from_le_bytes(fixed(bytes)?)),
        PhysicalType::Float64 => Datum::Float64(f64::from_le_bytes(fixed(bytes)?)),
        PhysicalType::Numeric => Datum::Numeric(Numeric::decode_stored(bytes).ok_or_else(damaged)?),
        PhysicalType::Bytes => Datum::Bytes(SharedBytes::new(bytes)),
        PhysicalType::Interval => Datum::Interval(decode_interval(bytes)?),
        PhysicalType::Uuid => Datum::Uuid(fixed(bytes)?),
        PhysicalType::Array => Datum::Array(Arc::new(decode_array(bytes)?)),
        PhysicalType::Record => Datum::Record(decode_record(bytes)?),
    })
}

/// Reads a value from its stored form onto a builder's end.
///
/// # Errors
/// XX001 when the bytes are no value of the builder's physical type.
#[inline]
pub fn decode_into(builder: &mut ColumnBuilder, bytes: &[u8]) -> Result<()> {
    builder
        .push_decoded(|values| {
            match values {
                ColumnValues::Bool(v) => v.push(fixed::<1>(bytes)?[0] != 0),
                ColumnValues::Char(v) => v.push(fixed::<1>(bytes)?[0]),
                ColumnValues::Int16(v) => v.push(i16::from_le_bytes(fixed(bytes)?)),
                ColumnValues::Int32(v) => v.push(i32::from_le_bytes(fixed(bytes)?)),
                ColumnValues::UInt32(v) => v.push(u32::from_le_bytes(fixed(bytes)?)),
                ColumnValues::Int64(v) => v.push(i64::from_le_bytes(fixed(bytes)?)),
                ColumnValues::UInt64(v) => v.push(u64::from_le_bytes(fixed(bytes)?)),
                ColumnValues::Float32(v) => v.push(f32::from_le_bytes(fixed(bytes)?)),
                ColumnValues::Float64(v) => v.push(f64::from_le_bytes(fixed(bytes)?)),
                ColumnValues::Numeric(v) => v.push(Numeric::decode_stored(bytes).ok_or_else(damaged)?),
                // The builder's own: it keeps the buffers.
                ColumnValues::Bytes(_) => return Ok(false),
                ColumnValues::Interval(v) => v.push(decode_interval(bytes)?),
                ColumnValues::Uuid(v) => v.push(fixed(bytes)?),
                ColumnValues::Array(v) => v.push(Arc::new(decode_array(bytes)?)),
                ColumnValues::Record(v) => v.push(decode_record(bytes)?),
            }
            Ok(true)
        })
        .map(|done| {
            if !done {
                builder.push_bytes(bytes);
            }
        })
}

#[inline]
fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| damaged())
}

fn decode_interval(bytes: &[u8]) -> Result<Interval> {
    let bytes: [u8; 16] = fixed(bytes)?;
    let word = |at: usize| i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Ok(Interval { micros: i64::from_le_bytes(fixed(&bytes[..8])?), days: word(8), months: word(12) })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
    let (front, rest) = bytes.split_at_checked(N).ok_or_else(damaged)?;
    *bytes = rest;
    fixed(front)
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let [byte] = take(bytes)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged())
}

fn take_element(physical: PhysicalType, bytes: &mut &[u8]) -> Result<Datum> {
    let Some(length) = take_varint(bytes)?.checked_sub(1) else { return Ok(Datum::Null) };
    let (form, rest) = bytes.split_at_checked(length as usize).ok_or_else(damaged)?;
    *bytes = rest;
    decode_field(physical, form)
}

fn decode_array(mut bytes: &[u8]) -> Result<ArrayValue> {
    let bytes = &mut bytes;
    let oid = Oid(u32::from_le_bytes(take(bytes)?));
    let typmod = i32::from_le_bytes(take(bytes)?);
    let [physical, count] = take(bytes)?;
    let physical = PhysicalType::from_u8(physical).ok_or_else(damaged)?;
    if usize::from(count) > MAX_DIMENSIONS {
        return Err(damaged());
    }
    let mut dimensions = SmallVec::new();
    let mut total = usize::from(count > 0);
    for _ in 0..count {
        let length = i32::from_le_bytes(take(bytes)?);
        let lower = i32::from_le_bytes(take(bytes)?);
        total =
            usize::try_from(length).ok().and_then(|length| total.checked_mul(length)).ok_or_else(damaged)?;
        dimensions.push(ArrayDimension { length, lower });
    }
    // Every element takes a byte at least.
    if total > bytes.len() {
        return Err(damaged());
    }
    let elements = (0..total).map(|_| take_element(physical, bytes)).collect::<Result<_>>()?;
    Ok(ArrayValue { element: SqlType::with_physical(oid, typmod, physical), dimensions, elements })
}

fn decode_record(mut bytes: &[u8]) -> Result<Arc<[Datum]>> {
    let bytes = &mut bytes;
    let count = u16::from_le_bytes(take(bytes)?);
    (0..count)
        .map(|_| {
            let [physical] = take(bytes)?;
            if physical == NULL_FIELD {
                let [_] = take(bytes)?;
                return Ok(Datum::Null);
            }
            take_element(PhysicalType::from_u8(physical).ok_or_else(damaged)?, bytes)
        })
        .collect()
}

#[cold]
pub(crate) fn damaged() -> Error {
    Error::corrupt("stored value has a damaged form")
}
