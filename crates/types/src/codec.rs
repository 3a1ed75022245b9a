//! Text and binary forms of every type: PostgreSQL's input, output, receive and send functions.
//!
//! # Not done
//! The text and binary forms of multirange, text search, `macaddr8` and `xml` types: they answer 0A000.

mod arrays;
mod binary;
mod bits;
mod bytea;
mod floats;
pub mod geometry;
mod integers;
mod money;
mod network;

mod records;
mod regtype;
mod simple;

use ochre_base::{Error, Result, SqlState};

use crate::acl::AclItem;
use crate::context::unsupported_form;
use crate::datetime::{self, TimeTz};
use crate::json;
use crate::jsonb::{Json, JsonRef};
use crate::range::{Range, range_subtype};
use crate::{
    Column, ColumnBuilder, ColumnValues, Datum, FormatContext, Numeric, Pace, PhysicalType, SqlType, oids,
    typmod,
};

pub use binary::{decode_binary, encode_binary, encode_binary_at};
pub(crate) use bits::{bit_length, resize as resize_bits};
pub use bytea::{parse_bytea, parse_bytea_escape, parse_hex, print_bytea};
pub use floats::{parse_f32, parse_f64, print_f32, print_f64};
pub(crate) use integers::print_padded;
pub use integers::{parse_i16, parse_i32, parse_i64, print_i64, print_u64};
pub use regtype::parse_type_name;
pub use simple::{parse_bool, parse_uuid, print_uuid};

/// Reads a value from text as the type's input function does, modifier included (a `varchar(3)` refuses `'abcd'`).
///
/// # Errors
/// PostgreSQL's for the type, usually 22P02, 22003, 22007, 22008 or 22001.
pub fn parse_text(ty: SqlType, text: &str, context: &FormatContext) -> Result<Datum> {
    let value = match ty.oid {
        oids::BOOL => return simple::parse_bool(text).map(Datum::Bool),
        oids::INT2 => return integers::parse_i16(text).map(Datum::Int16),
        oids::INT4 => return integers::parse_i32(text).map(Datum::Int32),
        oids::INT8 => return integers::parse_i64(text).map(Datum::Int64),
        oids::FLOAT4 => return floats::parse_f32(text).map(Datum::Float32),
        oids::FLOAT8 => return floats::parse_f64(text).map(Datum::Float64),
        oids::TEXT | oids::UNKNOWN | oids::CSTRING | oids::REFCURSOR => return Ok(Datum::text(text)),
        oids::NUMERIC => Datum::Numeric(Numeric::parse_with(text, || context.check_interrupts())?),
        oids::VARCHAR | oids::BPCHAR => Datum::text(text),
        oids::NAME => return Ok(Datum::text(simple::truncate_name(text))),
        oids::CHAR => return Ok(Datum::Char(simple::parse_char(text))),
        oids::BYTEA => {
            let pace = &mut Pace::from(context, 0);
            return bytea::parse_bytea(text, pace).map(|bytes| Datum::Bytes(bytes.into()));
        }
        oids::UUID => return simple::parse_uuid(text).map(Datum::Uuid),
        oids::DATE => return datetime::parse_date(text, context).map(Datum::Int32),
        oids::TIME => Datum::Int64(datetime::parse_time(text, context)?),
        oids::TIMETZ => Datum::Bytes(datetime::parse_timetz(text, context)?.to_bytes().as_slice().into()),
        oids::TIMESTAMP => Datum::Int64(datetime::parse_timestamp(text, context)?),
        oids::TIMESTAMPTZ => Datum::Int64(datetime::parse_timestamptz(text, context)?),
        oids::INTERVAL => Datum::Interval(datetime::parse_interval(text, ty.typmod, context)?),
        oids::JSON => return json::check(text, context).map(|()| Datum::text(text)),
        oids::JSONB => {
            return Ok(Datum::Bytes(Json::parse(text, context)?.to_bytes_within(context)?.into()));
        }
        oids::BIT | oids::VARBIT => Datum::Bytes(bits::parse(text, &mut Pace::from(context, 0))?.into()),
        oids::INET | oids::CIDR => {
            return network::parse(text, ty.oid == oids::CIDR).map(|bytes| Datum::Bytes(bytes.into()));
        }
        oids::MACADDR => return network::parse_mac(text).map(|mac| Datum::Bytes(mac.as_slice().into())),
        oids::MONEY => return money::parse(text).map(Datum::Int64),
        oids::OID => return integers::parse_u32(text, "oid").map(Datum::UInt32),
        oids::XID => return integers::parse_u32(text, "xid").map(Datum::UInt32),
        oids::CID => return integers::parse_u32(text, "cid").map(Datum::UInt32),
        oids::XID8 => return integers::parse_u64(text, "xid8").map(Datum::UInt64),
        oids::TID => return simple::parse_tid(text).map(Datum::Int64),
        oids::PG_LSN => return simple::parse_lsn(text).map(Datum::UInt64),
        oids::ACLITEM => {
            return AclItem::parse(text, context).map(|item| Datum::Bytes(item.to_bytes().as_slice().into()));
        }
        oids::INT2VECTOR | oids::OIDVECTOR => return arrays::parse_vector(ty, text).map(Datum::Array),
        oids::VOID => return Ok(Datum::text("")),
        _ if geometry::is_geometric(ty.oid) => {
            return geometry::parse(ty.oid, text).map(|bytes| Datum::Bytes(bytes.into()));
        }
        _ if range_subtype(ty.oid).is_some() => {
            return Ok(Datum::Bytes(Range::parse(ty.oid, text, context)?.to_bytes()?.into()));
        }
        _ if ty.physical == PhysicalType::Array && ty.element().is_some() => {
            return arrays::parse(ty, text, context).map(Datum::Array);
        }
        _ if ty.physical == PhysicalType::UInt32 => {
            return match (text.parse::<u32>(), &context.names) {
                (Ok(number), _) if ty.info().is_some() => Ok(Datum::UInt32(number)),
                _ if text == "-" && ty.info().is_some() => Ok(Datum::UInt32(0)),
                _ if ty.oid == oids::REGTYPE
                    && let Some(oid) = parse_type_name(text) =>
                {
                    Ok(Datum::UInt32(oid.0))
                }
                (_, Some(names)) => names.parse(ty.oid, text).map(|oid| Datum::UInt32(oid.0)),
                (Ok(number), None) => Ok(Datum::UInt32(number)),
                (Err(_), None) => Err(invalid_syntax(ty.name(), text)),
            };
        }
        _ if ty.physical == PhysicalType::Record => return records::parse(ty, text, context),
        _ => return Err(no_text_form(ty, "accept")),
    };
    typmod::apply(value, ty, false)
}

/// As [`parse_text`], onto the end of a column.
///
/// # Errors
/// As [`parse_text`]; nothing is added then.
pub fn parse_text_into(
    ty: SqlType,
    text: &str,
    context: &FormatContext,
    column: &mut ColumnBuilder,
) -> Result<()> {
    match ty.oid {
        oids::INT4 => column.push_i32(integers::parse_i32(text)?),
        oids::INT8 => column.push_i64(integers::parse_i64(text)?),
        oids::FLOAT8 => column.push_f64(floats::parse_f64(text)?),
        oids::TEXT | oids::REFCURSOR => column.push_str(text),
        _ => column.push(&parse_text(ty, text, context)?),
    }
    Ok(())
}

/// Appends a value's text as the type's output function gives it. NULL appends nothing: callers mark NULLs themselves.
///
/// # Errors
/// Those of [`FormatContext::check_interrupts`] within a large value, of which a part has been appended then.
pub fn print_text(ty: SqlType, value: &Datum, context: &FormatContext, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Datum::Null => {}
        Datum::Bool(value) => out.push(if *value { b't' } else { b'f' }),
        Datum::Char(value) => simple::print_char(*value, out),
        Datum::Int16(value) => print_i64(i64::from(*value), out),
        Datum::Int32(value) => print_int32(ty, *value, context, out),
        Datum::UInt32(value) => print_uint32(ty, *value, context, out),
        Datum::Int64(value) => print_int64(ty, *value, context, out),
        Datum::UInt64(value) => print_uint64(ty, *value, out),
        Datum::Float32(value) => print_f32(*value, context.extra_float_digits, out),
        Datum::Float64(value) => print_f64(*value, context.extra_float_digits, out),
        Datum::Numeric(value) => value.print(out),
        Datum::Bytes(value) => return print_byte_string(ty, value, context, out),
        Datum::Interval(value) => datetime::print_interval(*value, context.interval_style, out),
        Datum::Uuid(value) => print_uuid(value, out),
        Datum::Array(value) => return arrays::print(ty, value, context, out),
        Datum::Record(value) => return records::print(ty, value, context, out),
    }
    Ok(())
}

/// As [`print_text`], of one row of a column.
///
/// # Errors
/// As [`print_text`].
pub fn print_text_at(
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
        ColumnValues::Bool(v) => out.push(if v[entry] { b't' } else { b'f' }),
        ColumnValues::Char(v) => simple::print_char(v[entry], out),
        ColumnValues::Int16(v) => print_i64(i64::from(v[entry]), out),
        ColumnValues::Int32(v) => print_int32(ty, v[entry], context, out),
        ColumnValues::UInt32(v) => print_uint32(ty, v[entry], context, out),
        ColumnValues::Int64(v) => print_int64(ty, v[entry], context, out),
        ColumnValues::UInt64(v) => print_uint64(ty, v[entry], out),
        ColumnValues::Float32(v) => print_f32(v[entry], context.extra_float_digits, out),
        ColumnValues::Float64(v) => print_f64(v[entry], context.extra_float_digits, out),
        ColumnValues::Numeric(v) => v[entry].print(out),
        ColumnValues::Bytes(v) => return print_byte_string(ty, v.get(entry), context, out),
        ColumnValues::Interval(v) => datetime::print_interval(v[entry], context.interval_style, out),
        ColumnValues::Uuid(v) => print_uuid(&v[entry], out),
        ColumnValues::Array(v) => return arrays::print(ty, &v[entry], context, out),
        ColumnValues::Record(v) => return records::print(ty, &v[entry], context, out),
    }
    Ok(())
}

/// A value's text as a string of its own.
///
/// # Errors
/// As [`print_text`].
pub fn to_text(ty: SqlType, value: &Datum, context: &FormatContext) -> Result<String> {
    let mut out = Vec::new();
    print_text(ty, value, context, &mut out)?;
    Ok(String::from_utf8(out).unwrap_or_default())
}

#[inline]
fn print_int32(ty: SqlType, value: i32, context: &FormatContext, out: &mut Vec<u8>) {
    if ty.oid == oids::DATE {
        datetime::print_date(value, context, out);
    } else {
        print_i64(i64::from(value), out);
    }
}

#[inline]
fn print_uint32(ty: SqlType, value: u32, context: &FormatContext, out: &mut Vec<u8>) {
    if matches!(ty.oid, oids::OID | oids::XID | oids::CID) {
        return print_u64(u64::from(value), out);
    }
    if ty.oid == oids::REGTYPE
        && let Some(name) = regtype::print(ochre_base::Oid(value))
    {
        return out.extend_from_slice(name.as_bytes());
    }
    match context
        .names
        .as_ref()
        .filter(|_| value != 0)
        .and_then(|names| names.print(ty.oid, ochre_base::Oid(value)))
    {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        // A `reg…` value of 0 names nothing.
        None if value == 0 && !matches!(ty.oid, oids::REGOPER | oids::REGOPERATOR) => out.push(b'-'),
        None => print_u64(u64::from(value), out),
    }
}

#[inline]
fn print_uint64(ty: SqlType, value: u64, out: &mut Vec<u8>) {
    if ty.oid == oids::PG_LSN { simple::print_lsn(value, out) } else { print_u64(value, out) }
}

#[inline]
fn print_int64(ty: SqlType, value: i64, context: &FormatContext, out: &mut Vec<u8>) {
    match ty.oid {
        oids::TIMESTAMP => datetime::print_timestamp(value, context, out),
        oids::TIMESTAMPTZ => datetime::print_timestamptz(value, context, out),
        oids::TIME => datetime::print_time(value, out),
        oids::TID => simple::print_tid(value, out),
        oids::MONEY => money::print(value, out),

        _ => print_i64(value, out),
    }
}

#[inline]
fn print_byte_string(ty: SqlType, bytes: &[u8], context: &FormatContext, out: &mut Vec<u8>) -> Result<()> {
    match ty.oid {
        oids::BYTEA => return bytea::print(bytes, context, out),
        oids::JSONB => return JsonRef::new(bytes).print(context, out),
        oids::TIMETZ => {
            if let Some(time) = TimeTz::from_bytes(bytes) {
                datetime::print_timetz(time, out);
            }
        }
        oids::BIT | oids::VARBIT => return bits::print(bytes, &mut Pace::from(context, 0), out),
        oids::INET | oids::CIDR => network::print(bytes, ty.oid == oids::CIDR, out),
        oids::MACADDR => network::print_mac(bytes, out),
        oids::ACLITEM => {
            if let Some(item) = AclItem::from_bytes(bytes) {
                item.print(context, out);
            }
        }
        _ if geometry::is_geometric(ty.oid) => geometry::print(ty.oid, bytes, context, out),
        _ if range_subtype(ty.oid).is_some() => {
            if let Ok(range) = Range::from_bytes(bytes) {
                range.print(context, out)?;
            }
        }
        _ => return Pace::from(context, 0).append(bytes, out),
    }
    Ok(())
}

/// `invalid input syntax for type …` (22P02).
#[cold]
pub(crate) fn invalid_syntax(type_name: &str, text: &str) -> Error {
    Error::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {type_name}: \"{text}\""),
    )
}

/// `value "…" is out of range for type …` (22003).
#[cold]
pub(crate) fn value_out_of_range(type_name: &str, text: &str) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value \"{text}\" is out of range for type {type_name}"),
    )
}

/// The error of a type without text form here; pseudo-types have PostgreSQL's words.
#[cold]
fn no_text_form(ty: SqlType, verb: &str) -> Error {
    match ty.info() {
        Some(info) if info.kind == b'p' => Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot {verb} a value of type {}", info.name),
        ),
        _ => unsupported_form("text", ty.name()),
    }
}
