//! Order-preserving key form: bytes whose memcmp order is SQL's order, row-wise concatenable.
//!
//! # On-disk layout
//! A value is one byte (0x80 present; NULL is 0x00 with NULLS FIRST and 0xFF with NULLS LAST) and, if present, by
//! physical type:
//!
//! | type | bytes |
//! |---|---|
//! | bool, "char" | the byte |
//! | int2, int4, int8, date, time, timestamp … | big-endian, sign bit flipped |
//! | oid, xid8 | big-endian |
//! | float4, float8 | big-endian bits; positive: sign bit flipped, negative: all flipped; -0 as 0, one NaN |
//! | numeric | see [`crate::numeric`] |
//! | text, bytea … | the bytes with 0x00 as 0x00 0xFF, then 0x00 0x00; bpchar without trailing blanks |
//! | jsonb | see [`crate::jsonb::JsonRef::encode_key`] |
//! | bit | the bits as bytes, then the number of bits, 4 bytes big-endian |
//! | interval | its value in microseconds as 16 bytes big-endian, sign bit flipped |
//! | uuid | 16 bytes |
//! | array | each element as a value of its own (NULLs last), 0x00, then dimensions (1 byte), each length and lower bound (4 + 4 bytes, sign flipped) |
//! | record | each field as a value of its own, 0x00 |
//!
//! Descending columns complement everything after the first byte. A hashed column has, in place of the value's bytes, their
//! 64-bit hash, big-endian: equal values stay equal, and nothing else is kept of them.
//!
//! # Invariants
//! - K1: no key is a proper prefix of another of the same type, so concatenation preserves order.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use smallvec::SmallVec;

use crate::array::{ArrayDimension, MAX_DIMENSIONS};
use crate::compare::trim_blanks;
use crate::jsonb::{self, JsonRef};
use crate::partition_hash::hash_bytes;
use crate::{
    ArrayValue, Column, ColumnValues, Datum, Interval, Numeric, PhysicalType, SharedBytes, SqlType,
    ValueOrder, oids,
};

const PRESENT: u8 = 0x80;
const NULL_FIRST: u8 = 0x00;
const NULL_LAST: u8 = 0xFF;
const END: u8 = 0x00;

/// How one key column sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyOrder {
    pub descending: bool,
    pub nulls_first: bool,
    pub order: ValueOrder,
    /// Only equality counts: the key is a hash of the value's.
    pub hashed: bool,
}

impl KeyOrder {
    /// Ascending, NULLs last, natural order.
    pub const ASCENDING: KeyOrder =
        KeyOrder { descending: false, nulls_first: false, order: ValueOrder::Natural, hashed: false };

    /// The key order of a column of type `ty`.
    pub fn new(ty: SqlType, descending: bool, nulls_first: bool) -> KeyOrder {
        KeyOrder { descending, nulls_first, order: ty.order(), hashed: false }
    }

    /// That of a hashed column of type `ty`.
    pub fn hashed(ty: SqlType) -> KeyOrder {
        KeyOrder { hashed: true, ..KeyOrder::new(ty, false, false) }
    }

    const fn null_byte(self) -> u8 {
        if self.nulls_first { NULL_FIRST } else { NULL_LAST }
    }
}

/// Appends the key of one value.
///
/// # Errors
/// 0A000 for types without a key form.
pub fn encode_key(value: &Datum, order: KeyOrder, out: &mut Vec<u8>) -> Result<()> {
    if value.is_null() {
        out.push(order.null_byte());
        return Ok(());
    }
    out.push(PRESENT);
    let start = out.len();
    encode_value(value, order.order, out)?;
    finish(order, start, out);
    Ok(())
}

/// Appends the key of one row of a column.
///
/// # Errors
/// As [`encode_key`].
pub fn encode_key_at(column: &Column, row: usize, order: KeyOrder, out: &mut Vec<u8>) -> Result<()> {
    if column.is_null(row) {
        out.push(order.null_byte());
        return Ok(());
    }
    out.push(PRESENT);
    let start = out.len();
    let entry = row * column.stride();
    match column.values() {
        ColumnValues::Bool(v) => out.push(u8::from(v[entry])),
        ColumnValues::Char(v) => out.push(v[entry]),
        ColumnValues::Int16(v) => push_i16(v[entry], out),
        ColumnValues::Int32(v) => push_i32(v[entry], out),
        ColumnValues::UInt32(v) => out.extend_from_slice(&v[entry].to_be_bytes()),
        ColumnValues::Int64(v) => push_i64(v[entry], out),
        ColumnValues::UInt64(v) => out.extend_from_slice(&v[entry].to_be_bytes()),
        ColumnValues::Float32(v) => push_f32(v[entry], out),
        ColumnValues::Float64(v) => push_f64(v[entry], out),
        ColumnValues::Numeric(v) => v[entry].encode_key(out),
        ColumnValues::Bytes(v) => encode_bytes(v.get(entry), order.order, out),
        ColumnValues::Interval(v) => push_interval(v[entry], out),
        ColumnValues::Uuid(v) => out.extend_from_slice(&v[entry]),
        ColumnValues::Array(v) => encode_array(&v[entry], out)?,
        ColumnValues::Record(v) => encode_record(&v[entry], out)?,
    }
    finish(order, start, out);
    Ok(())
}

/// A digest of bytes that tells different ones apart in all likelihood. It is kept on disk.
pub fn fingerprint(bytes: &[u8]) -> [u8; 16] {
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&hash_bytes(bytes, 0).to_be_bytes());
    digest[8..].copy_from_slice(&hash_bytes(bytes, u64::from_be_bytes(*b"a digest")).to_be_bytes());
    digest
}

/// Gives the bytes of an ascending value the form that the column's order asks for.
fn finish(order: KeyOrder, start: usize, out: &mut Vec<u8>) {
    if order.hashed {
        let hash = hash_bytes(&out[start..], 0);
        out.truncate(start);
        out.extend_from_slice(&hash.to_be_bytes());
    }
    if order.descending {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

fn encode_value(value: &Datum, order: ValueOrder, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Datum::Null => return Err(Error::internal("a NULL has no key value")),
        Datum::Bool(value) => out.push(u8::from(*value)),
        Datum::Char(value) => out.push(*value),
        Datum::Int16(value) => push_i16(*value, out),
        Datum::Int32(value) => push_i32(*value, out),
        Datum::UInt32(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Int64(value) => push_i64(*value, out),
        Datum::UInt64(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Float32(value) => push_f32(*value, out),
        Datum::Float64(value) => push_f64(*value, out),
        Datum::Numeric(value) => value.encode_key(out),
        Datum::Bytes(value) => encode_bytes(value, order, out),
        Datum::Interval(value) => push_interval(*value, out),
        Datum::Uuid(value) => out.extend_from_slice(value),
        Datum::Array(value) => encode_array(value, out)?,
        Datum::Record(value) => encode_record(value, out)?,
    }
    Ok(())
}

fn push_i16(value: i16, out: &mut Vec<u8>) {
    out.extend_from_slice(&((value as u16) ^ (1 << 15)).to_be_bytes());
}

fn push_i32(value: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(&((value as u32) ^ (1 << 31)).to_be_bytes());
}

fn push_i64(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&((value as u64) ^ (1 << 63)).to_be_bytes());
}

fn push_f32(value: f32, out: &mut Vec<u8>) {
    let value = if value == 0.0 { 0.0 } else { value };
    let bits = if value.is_nan() { f32::NAN.to_bits() & !(1 << 31) } else { value.to_bits() };
    let flipped = if bits >> 31 != 0 { !bits } else { bits ^ (1 << 31) };
    out.extend_from_slice(&flipped.to_be_bytes());
}

fn push_f64(value: f64, out: &mut Vec<u8>) {
    let value = if value == 0.0 { 0.0 } else { value };
    let bits = if value.is_nan() { f64::NAN.to_bits() & !(1 << 63) } else { value.to_bits() };
    let flipped = if bits >> 63 != 0 { !bits } else { bits ^ (1 << 63) };
    out.extend_from_slice(&flipped.to_be_bytes());
}

fn push_interval(value: Interval, out: &mut Vec<u8>) {
    out.extend_from_slice(&((value.comparison_value() as u128) ^ (1 << 127)).to_be_bytes());
}

fn encode_bytes(bytes: &[u8], order: ValueOrder, out: &mut Vec<u8>) {
    match order {
        ValueOrder::Natural => push_escaped(bytes, out),
        ValueOrder::TrimBlanks => push_escaped(trim_blanks(bytes), out),
        ValueOrder::Bits => {
            let (length, bits) = bytes.split_at_checked(4).unwrap_or((&[0; 4], &[]));
            push_escaped(bits, out);
            out.extend_from_slice(length);
        }
        ValueOrder::Jsonb => JsonRef::new(bytes).encode_key(out),
        ValueOrder::Range => push_escaped(crate::range::order_key(bytes), out),
    }
}

pub(crate) fn push_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(zero) = rest.iter().position(|byte| *byte == 0) {
        out.extend_from_slice(&rest[..zero]);
        out.extend_from_slice(&[0x00, 0xFF]);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0x00, 0x00]);
}

fn encode_array(array: &ArrayValue, out: &mut Vec<u8>) -> Result<()> {
    let order = KeyOrder { order: array.element.order(), ..KeyOrder::ASCENDING };
    array.elements.iter().try_for_each(|element| encode_key(element, order, out))?;
    out.push(END);
    out.push(array.dimensions.len() as u8);
    for dimension in &array.dimensions {
        push_i32(dimension.length, out);
    }
    for dimension in &array.dimensions {
        push_i32(dimension.lower, out);
    }
    Ok(())
}

fn encode_record(fields: &[Datum], out: &mut Vec<u8>) -> Result<()> {
    fields.iter().try_for_each(|field| encode_key(field, KeyOrder::ASCENDING, out))?;
    out.push(END);
    Ok(())
}

/// Whether [`decode_key`] gives back the very value for this type, so that an index-only scan needs no stored copy.
pub fn is_lossless(ty: SqlType) -> bool {
    match ty.physical {
        PhysicalType::Float32 | PhysicalType::Float64 | PhysicalType::Numeric => false,
        PhysicalType::Interval | PhysicalType::Record => false,
        PhysicalType::Bytes => match ty.order() {
            // With a length, the blanks can be put back.
            ValueOrder::TrimBlanks => ty.typmod > 4,
            ValueOrder::Jsonb | ValueOrder::Range => false,
            ValueOrder::Natural | ValueOrder::Bits => true,
        },
        PhysicalType::Array => ty.element().is_some_and(is_lossless),
        _ => true,
    }
}

/// Takes an integer off the front of a key; `None` for NULL.
///
/// # Errors
/// XX001 when there is none.
#[inline]
pub fn decode_integer(physical: PhysicalType, order: KeyOrder, key: &mut &[u8]) -> Result<Option<i64>> {
    let (head, rest) = key.split_first().ok_or_else(damaged)?;
    if *head != PRESENT {
        *key = rest;
        return Ok(None);
    }
    let flip = if order.descending { u64::MAX } else { 0 };
    macro_rules! of {
        ($bytes:literal $unsigned:ty, $signed:ty, $sign:expr) => {{
            let (bytes, rest) = rest.split_first_chunk::<$bytes>().ok_or_else(damaged)?;
            *key = rest;
            i64::from((<$unsigned>::from_be_bytes(*bytes) ^ flip as $unsigned ^ $sign) as $signed)
        }};
    }
    Ok(Some(match physical {
        PhysicalType::Int16 => of!(2 u16, i16, 1 << 15),
        PhysicalType::Int32 => of!(4 u32, i32, 1 << 31),
        PhysicalType::UInt32 => of!(4 u32, u32, 0),
        PhysicalType::Int64 => of!(8 u64, i64, 1 << 63),
        _ => return Err(Error::internal("no key of an integer")),
    }))
}

/// Reads one value off the front of `key`, advancing it. For types that are not [`is_lossless`], the value is equal to
/// the one that was encoded, but need not be the same (`1.0` for `1.00`).
///
/// # Errors
/// XX002 when the bytes are no key of that type, 0A000 where decoding is not possible.
pub fn decode_key(ty: SqlType, order: KeyOrder, key: &mut &[u8]) -> Result<Datum> {
    let (first, rest) = key.split_first().ok_or_else(damaged)?;
    *key = rest;
    match *first {
        PRESENT => {}
        NULL_FIRST | NULL_LAST => return Ok(Datum::Null),
        _ => return Err(damaged()),
    }
    if order.hashed {
        return Err(Error::internal("the value of a hashed key is not known"));
    }
    let mut reader = Reader { key, mask: if order.descending { 0xFF } else { 0 } };
    reader.value(ty, order.order)
}

/// Moves `key` past one value without decoding it.
///
/// # Errors
/// As [`decode_key`].
pub fn skip_key(ty: SqlType, order: KeyOrder, key: &mut &[u8]) -> Result<()> {
    let width = match (ty.physical, key.first()) {
        (_, Some(&(NULL_FIRST | NULL_LAST))) => Some(0),
        _ if order.hashed => Some(size_of::<u64>() as u16),
        (physical, _) => physical.stored_width(),
    };
    match width {
        Some(width) => {
            *key = key.get(1 + usize::from(width)..).ok_or_else(damaged)?;
            Ok(())
        }
        None => decode_key(ty, order, key).map(|_| ()),
    }
}

/// Reads a key's bytes, complemented when the column is descending.
struct Reader<'a, 'b> {
    key: &'a mut &'b [u8],
    mask: u8,
}

impl Reader<'_, '_> {
    fn byte(&mut self) -> Result<u8> {
        let (byte, rest) = self.key.split_first().ok_or_else(damaged)?;
        *self.key = rest;
        Ok(byte ^ self.mask)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.key.split_at_checked(N).ok_or_else(damaged)?;
        *self.key = rest;
        let mut result: [u8; N] = bytes.try_into().map_err(|_| damaged())?;
        result.iter_mut().for_each(|byte| *byte ^= self.mask);
        Ok(result)
    }

    fn escaped(&mut self) -> Result<Vec<u8>> {
        let mut result = Vec::new();
        loop {
            match self.byte()? {
                0 => match self.byte()? {
                    0 => return Ok(result),
                    0xFF => result.push(0),
                    _ => return Err(damaged()),
                },
                byte => result.push(byte),
            }
        }
    }

    fn i32(&mut self) -> Result<i32> {
        Ok((u32::from_be_bytes(self.bytes()?) ^ (1 << 31)) as i32)
    }

    fn value(&mut self, ty: SqlType, order: ValueOrder) -> Result<Datum> {
        Ok(match ty.physical {
            PhysicalType::Bool => Datum::Bool(self.byte()? != 0),
            PhysicalType::Char => Datum::Char(self.byte()?),
            PhysicalType::Int16 => Datum::Int16((u16::from_be_bytes(self.bytes()?) ^ (1 << 15)) as i16),
            PhysicalType::Int32 => Datum::Int32(self.i32()?),
            PhysicalType::UInt32 => Datum::UInt32(u32::from_be_bytes(self.bytes()?)),
            PhysicalType::Int64 => Datum::Int64((u64::from_be_bytes(self.bytes()?) ^ (1 << 63)) as i64),
            PhysicalType::UInt64 => Datum::UInt64(u64::from_be_bytes(self.bytes()?)),
            PhysicalType::Float32 => {
                let bits = u32::from_be_bytes(self.bytes()?);
                Datum::Float32(f32::from_bits(if bits >> 31 != 0 { bits ^ (1 << 31) } else { !bits }))
            }
            PhysicalType::Float64 => {
                let bits = u64::from_be_bytes(self.bytes()?);
                Datum::Float64(f64::from_bits(if bits >> 63 != 0 { bits ^ (1 << 63) } else { !bits }))
            }
            PhysicalType::Numeric => Datum::Numeric(self.numeric()?),
            PhysicalType::Bytes => Datum::Bytes(self.byte_string(ty, order)?),
            PhysicalType::Interval => {
                let micros = (u128::from_be_bytes(self.bytes()?) ^ (1 << 127)) as i128;
                Datum::Interval(interval_of(micros))
            }
            PhysicalType::Uuid => Datum::Uuid(self.bytes()?),
            PhysicalType::Array => Datum::Array(Arc::new(self.array(ty)?)),
            PhysicalType::Record => return Err(Error::unsupported("reading an index key of a row type")),
        })
    }

    fn numeric(&mut self) -> Result<Numeric> {
        if self.mask == 0 {
            return Numeric::decode_key(self.key).ok_or_else(damaged);
        }
        let plain: Vec<u8> = self.key.iter().map(|byte| !byte).collect();
        let mut rest = plain.as_slice();
        let number = Numeric::decode_key(&mut rest).ok_or_else(damaged)?;
        *self.key = &self.key[plain.len() - rest.len()..];
        Ok(number)
    }

    fn byte_string(&mut self, ty: SqlType, order: ValueOrder) -> Result<SharedBytes> {
        if order == ValueOrder::Jsonb {
            let json = jsonb::decode_key(self.key, self.mask, 0).ok_or_else(damaged)?;
            return Ok(json.to_bytes().into());
        }
        let mut bytes = self.escaped()?;
        match order {
            ValueOrder::TrimBlanks if ty.oid == oids::BPCHAR && ty.typmod > 4 => {
                let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
                let missing = (ty.typmod - 4) as usize - text.chars().count().min((ty.typmod - 4) as usize);
                bytes.resize(bytes.len() + missing, b' ');
            }
            ValueOrder::Bits => {
                let length: [u8; 4] = self.bytes()?;
                bytes.splice(..0, length);
            }
            ValueOrder::Range => bytes = crate::range::Range::from_key(ty.oid, &bytes)?.to_bytes()?,
            ValueOrder::Natural | ValueOrder::TrimBlanks | ValueOrder::Jsonb => {}
        }
        Ok(SharedBytes::from_vec(bytes))
    }

    fn array(&mut self, ty: SqlType) -> Result<ArrayValue> {
        let element =
            ty.element().ok_or_else(|| Error::unsupported("reading an index key of this array type"))?;
        let mut elements = Vec::new();
        loop {
            match self.byte()? {
                END => break,
                NULL_LAST => elements.push(Datum::Null),
                PRESENT => elements.push(self.value(element, element.order())?),
                _ => return Err(damaged()),
            }
        }
        let count = usize::from(self.byte()?);
        if count > MAX_DIMENSIONS {
            return Err(damaged());
        }
        let mut dimensions: SmallVec<[ArrayDimension; 1]> = SmallVec::new();
        for _ in 0..count {
            dimensions.push(ArrayDimension { length: self.i32()?, lower: 1 });
        }
        for dimension in &mut dimensions {
            dimension.lower = self.i32()?;
        }
        Ok(ArrayValue { element, dimensions, elements })
    }
}

/// An interval that compares as so many microseconds: days and time where that suffices, else months too.
fn interval_of(micros: i128) -> Interval {
    const DAY: i128 = 86_400_000_000;
    let clamp = |value: i128| value.clamp(i128::from(i32::MIN), i128::from(i32::MAX)) as i32;
    let days = micros / DAY;
    let months = if i32::try_from(days).is_ok() { 0 } else { clamp(days / 30) };
    let days = clamp(days - i128::from(months) * 30);
    let rest = micros - (i128::from(months) * 30 + i128::from(days)) * DAY;
    Interval { months, days, micros: rest as i64 }
}

#[cold]
fn damaged() -> Error {
    Error::new(SqlState::INDEX_CORRUPTED, "index entry has a damaged key")
}
