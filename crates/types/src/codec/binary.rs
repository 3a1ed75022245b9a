//! The binary wire forms.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use smallvec::SmallVec;

use super::{arrays, bits, network, records};
use crate::array::{ArrayDimension, MAX_DIMENSIONS};
use crate::context::unsupported_form;
use crate::datetime::{self, TimeTz};
use crate::json;
use crate::jsonb::{Json, JsonRef};
use crate::{
    ArrayValue, Column, ColumnValues, Datum, FormatContext, Interval, Numeric, Pace, PhysicalType, SqlType,
    oids, typmod,
};

/// Reads a value from its binary wire form as the type's receive function does.
///
/// # Errors
/// 22P03, 08P01 and the type's own.
pub fn decode_binary(ty: SqlType, bytes: &[u8], context: &FormatContext) -> Result<Datum> {
    let mut rest = bytes;
    let value = decode(ty, &mut rest, context)?;
    if !rest.is_empty() {
        return Err(Error::new(SqlState::INVALID_BINARY_REPRESENTATION, "incorrect binary data format"));
    }
    match ty.typmod {
        -1 => Ok(value),
        _ => typmod::apply(value, ty, false),
    }
}

fn decode(ty: SqlType, bytes: &mut &[u8], context: &FormatContext) -> Result<Datum> {
    Ok(match ty.physical {
        PhysicalType::Bool => Datum::Bool(take::<1>(bytes)?[0] != 0),
        PhysicalType::Char => Datum::Char(take::<1>(bytes)?[0]),
        PhysicalType::Int16 => Datum::Int16(i16::from_be_bytes(take(bytes)?)),
        PhysicalType::Int32 => {
            let value = i32::from_be_bytes(take(bytes)?);
            if ty.oid == oids::DATE {
                datetime::check_date(value)?;
            }
            Datum::Int32(value)
        }
        PhysicalType::UInt32 => Datum::UInt32(u32::from_be_bytes(take(bytes)?)),
        PhysicalType::Int64 if ty.oid == oids::TID => {
            let block = u32::from_be_bytes(take(bytes)?);
            let slot = u16::from_be_bytes(take(bytes)?);
            Datum::Int64(ochre_base::RowId::new(block, slot.wrapping_sub(1)).to_u64() as i64)
        }
        PhysicalType::Int64 => {
            let value = i64::from_be_bytes(take(bytes)?);
            match ty.oid {
                oids::TIMESTAMP | oids::TIMESTAMPTZ => datetime::check_timestamp(value)?,
                oids::TIME if !(0..=datetime::USECS_PER_DAY).contains(&value) => {
                    return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"));
                }
                _ => {}
            }
            Datum::Int64(value)
        }
        PhysicalType::UInt64 => Datum::UInt64(u64::from_be_bytes(take(bytes)?)),
        PhysicalType::Float32 => Datum::Float32(f32::from_be_bytes(take(bytes)?)),
        PhysicalType::Float64 => Datum::Float64(f64::from_be_bytes(take(bytes)?)),
        PhysicalType::Numeric => Datum::Numeric(Numeric::decode_binary(all(bytes))?),
        PhysicalType::Interval => {
            let micros = i64::from_be_bytes(take(bytes)?);
            let days = i32::from_be_bytes(take(bytes)?);
            let months = i32::from_be_bytes(take(bytes)?);
            Datum::Interval(Interval { months, days, micros })
        }
        PhysicalType::Uuid => Datum::Uuid(take(bytes)?),
        PhysicalType::Array => Datum::Array(Arc::new(decode_array(ty, bytes, context)?)),
        PhysicalType::Record => decode_record(ty, bytes, context)?,
        PhysicalType::Bytes => return decode_bytes(ty, bytes, context),
    })
}

fn decode_bytes(ty: SqlType, bytes: &mut &[u8], context: &FormatContext) -> Result<Datum> {
    Ok(match ty.oid {
        oids::BYTEA => Datum::Bytes(all(bytes).into()),
        oids::TEXT
        | oids::VARCHAR
        | oids::BPCHAR
        | oids::NAME
        | oids::UNKNOWN
        | oids::CSTRING
        | oids::REFCURSOR => Datum::text(utf8(all(bytes))?),
        oids::JSON => {
            let text = utf8(all(bytes))?;
            json::check(text, context)?;
            Datum::text(text)
        }
        oids::JSONB => {
            let [version] = take(bytes)?;
            if version != 1 {
                return Err(Error::internal(format!("unsupported jsonb version number {version}")));
            }
            Datum::Bytes(Json::parse(utf8(all(bytes))?, context)?.to_bytes_within(context)?.into())
        }
        oids::TIMETZ => {
            let micros = i64::from_be_bytes(take(bytes)?);
            let zone = i32::from_be_bytes(take(bytes)?);
            if !(0..=datetime::USECS_PER_DAY).contains(&micros) {
                return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"));
            }
            Datum::Bytes(TimeTz { micros, zone }.to_bytes().as_slice().into())
        }
        oids::BIT | oids::VARBIT => {
            let length = u32::from_be_bytes(take(bytes)?);
            let bits = all(bytes);
            if bits.len() != (length as usize).div_ceil(8) {
                return Err(insufficient());
            }
            let mut value = length.to_be_bytes().to_vec();
            value.extend_from_slice(bits);
            Datum::Bytes(bits::resize(&value, length as usize).into())
        }
        oids::INET | oids::CIDR => Datum::Bytes(network::decode(all(bytes), ty.oid == oids::CIDR)?.into()),
        oids::MACADDR => Datum::Bytes(take::<6>(bytes)?.as_slice().into()),
        oids::VOID => Datum::text(""),
        oid if super::geometry::is_geometric(oid) => {
            Datum::Bytes(super::geometry::decode(oid, all(bytes))?.into())
        }
        _ => return Err(unsupported_form("binary", ty.name())),
    })
}

fn decode_array(ty: SqlType, bytes: &mut &[u8], context: &FormatContext) -> Result<ArrayValue> {
    let invalid = |message: String| Error::new(SqlState::INVALID_BINARY_REPRESENTATION, message);
    let count = i32::from_be_bytes(take(bytes)?);
    if count < 0 {
        return Err(invalid(format!("invalid number of dimensions: {count}")));
    }
    if count as usize > MAX_DIMENSIONS {
        return Err(arrays::too_many_dimensions(count as usize));
    }
    let flags = i32::from_be_bytes(take(bytes)?);
    if flags != 0 && flags != 1 {
        return Err(invalid(format!("invalid array flags: {flags}")));
    }
    let oid = Oid(u32::from_be_bytes(take(bytes)?));
    let element = ty.element().unwrap_or_else(|| SqlType::new(oid, -1));
    if oid != element.oid {
        return Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "binary data has array element type {oid} ({}) instead of expected {} ({})",
                SqlType::new(oid, -1).name(),
                element.oid,
                element.name()
            ),
        ));
    }
    let mut dimensions: SmallVec<[ArrayDimension; 1]> = SmallVec::new();
    let mut total = usize::from(count > 0);
    for _ in 0..count {
        let length = i32::from_be_bytes(take(bytes)?);
        let lower = i32::from_be_bytes(take(bytes)?);
        total = usize::try_from(length)
            .ok()
            .and_then(|length| total.checked_mul(length))
            .ok_or_else(|| invalid(format!("invalid array size: {length}")))?;
        dimensions.push(ArrayDimension { length, lower });
    }
    // Every element takes its length's four bytes at least.
    if total > bytes.len() / 4 {
        return Err(insufficient());
    }
    let (whole, mut pace) = (bytes.len(), Pace::from(context, 0));
    let next = |_| {
        pace.look(whole - bytes.len())?;
        decode_element(element, bytes, context)
    };
    let elements = (0..total).map(next).collect::<Result<Vec<_>>>()?;
    if elements.is_empty() && !matches!(ty.oid, oids::INT2VECTOR | oids::OIDVECTOR) {
        dimensions.clear();
    }
    Ok(ArrayValue { element, dimensions, elements })
}

fn decode_element(ty: SqlType, bytes: &mut &[u8], context: &FormatContext) -> Result<Datum> {
    let length = i32::from_be_bytes(take(bytes)?);
    if length == -1 {
        return Ok(Datum::Null);
    }
    let length = usize::try_from(length).map_err(|_| insufficient())?;
    let (element, rest) = bytes.split_at_checked(length).ok_or_else(insufficient)?;
    *bytes = rest;
    decode_binary(ty, element, context)
}

fn decode_record(ty: SqlType, bytes: &mut &[u8], context: &FormatContext) -> Result<Datum> {
    let Some(types) = records::field_types(ty, context) else {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "input of anonymous composite types is not implemented",
        ));
    };
    let count = i32::from_be_bytes(take(bytes)?);
    if count as usize != types.len() {
        return Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!("wrong number of columns: {count}, expected {}", types.len()),
        ));
    }
    let fields = types
        .iter()
        .map(|ty| {
            let _oid: [u8; 4] = take(bytes)?;
            decode_element(*ty, bytes, context)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Datum::Record(fields.into()))
}

/// Appends a value's binary wire form, without length. NULL appends nothing.
///
/// # Errors
/// 0A000 for types without a binary form; those of [`FormatContext::check_interrupts`] within a large value.
pub fn encode_binary(ty: SqlType, value: &Datum, context: &FormatContext, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Datum::Null => {}
        Datum::Bool(value) => out.push(u8::from(*value)),
        Datum::Char(value) => out.push(*value),
        Datum::Int16(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Int32(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::UInt32(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Int64(value) => encode_i64(ty, *value, out),
        Datum::UInt64(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Float32(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Float64(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Numeric(value) => value.encode_binary(out),
        Datum::Bytes(value) => return encode_bytes(ty, value, context, out),
        Datum::Interval(value) => encode_interval(*value, out),
        Datum::Uuid(value) => out.extend_from_slice(value),
        Datum::Array(value) => return encode_array(value, context, out),
        Datum::Record(_) => return Err(unsupported_form("binary", "record")),
    }
    Ok(())
}

/// As [`encode_binary`], of one row of a column.
///
/// # Errors
/// As [`encode_binary`].
pub fn encode_binary_at(
    ty: SqlType,
    column: &Column,
    row: usize,
    context: &FormatContext,
    out: &mut Vec<u8>,
) -> Result<()> {
    if column.is_null(row) {
        return Ok(());
    }
    let entry = row * column.stride();
    match column.values() {
        ColumnValues::Bool(v) => out.push(u8::from(v[entry])),
        ColumnValues::Char(v) => out.push(v[entry]),
        ColumnValues::Int16(v) => out.extend_from_slice(&v[entry].to_be_bytes()),
        ColumnValues::Int32(v) => out.extend_from_slice(&v[entry].to_be_bytes()),
        ColumnValues::UInt32(v) => out.extend_from_slice(&v[entry].to_be_bytes()),
        ColumnValues::Int64(v) => encode_i64(ty, v[entry], out),
        ColumnValues::UInt64(v) => out.extend_from_slice(&v[entry].to_be_bytes()),
        ColumnValues::Float32(v) => out.extend_from_slice(&v[entry].to_be_bytes()),
        ColumnValues::Float64(v) => out.extend_from_slice(&v[entry].to_be_bytes()),
        ColumnValues::Numeric(v) => v[entry].encode_binary(out),
        ColumnValues::Bytes(v) => return encode_bytes(ty, v.get(entry), context, out),
        ColumnValues::Interval(v) => encode_interval(v[entry], out),
        ColumnValues::Uuid(v) => out.extend_from_slice(&v[entry]),
        ColumnValues::Array(v) => return encode_array(&v[entry], context, out),
        ColumnValues::Record(_) => return Err(unsupported_form("binary", "record")),
    }
    Ok(())
}

fn encode_i64(ty: SqlType, value: i64, out: &mut Vec<u8>) {
    if ty.oid == oids::TID {
        let row = ochre_base::RowId::from_u64(value as u64);
        out.extend_from_slice(&row.block.0.to_be_bytes());
        out.extend_from_slice(&row.slot.wrapping_add(1).to_be_bytes());
    } else {
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn encode_interval(value: Interval, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.micros.to_be_bytes());
    out.extend_from_slice(&value.days.to_be_bytes());
    out.extend_from_slice(&value.months.to_be_bytes());
}

fn encode_bytes(ty: SqlType, bytes: &[u8], context: &FormatContext, out: &mut Vec<u8>) -> Result<()> {
    match ty.oid {
        oids::TIMETZ => {
            let time = TimeTz::from_bytes(bytes).ok_or_else(|| Error::internal("a timetz has 12 bytes"))?;
            out.extend_from_slice(&time.micros.to_be_bytes());
            out.extend_from_slice(&time.zone.to_be_bytes());
        }
        oid if super::geometry::is_geometric(oid) => super::geometry::encode(oid, bytes, out),
        oids::INET | oids::CIDR => network::encode(bytes, ty.oid == oids::CIDR, out),
        oids::JSONB => {
            // The version of the form, then text.
            out.push(1);
            JsonRef::new(bytes).print(context, out)?;
        }
        _ => out.extend_from_slice(bytes),
    }
    Ok(())
}

fn encode_array(array: &ArrayValue, context: &FormatContext, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&(array.dimensions.len() as i32).to_be_bytes());
    out.extend_from_slice(&i32::from(array.has_nulls()).to_be_bytes());
    out.extend_from_slice(&array.element.oid.0.to_be_bytes());
    for dimension in &array.dimensions {
        out.extend_from_slice(&dimension.length.to_be_bytes());
        out.extend_from_slice(&dimension.lower.to_be_bytes());
    }
    let mut pace = Pace::from(context, out.len());
    for element in &array.elements {
        pace.look(out.len())?;
        if element.is_null() {
            out.extend_from_slice(&(-1i32).to_be_bytes());
            continue;
        }
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        encode_binary(array.element, element, context, out)?;
        let length = (out.len() - at - 4) as i32;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
    let (front, rest) = bytes.split_first_chunk::<N>().ok_or_else(insufficient)?;
    *bytes = rest;
    Ok(*front)
}

fn all<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    std::mem::take(bytes)
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let bad = &bytes[error.valid_up_to()..];
        invalid_utf8(&bad[..bad.len().min(error.error_len().unwrap_or(4).max(1))])
    })?;
    if text.contains('\0') { Err(invalid_utf8(&[0])) } else { Ok(text) }
}

#[cold]
fn invalid_utf8(bytes: &[u8]) -> Error {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02x}")).collect();
    Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", hex.join(" ")),
    )
}

#[cold]
fn insufficient() -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message")
}
