//! JSON made of SQL values.

use ochre_base::{Error, Result, SqlState};
use ochre_types::jsonb::{Json, JsonRef, print_long_string, print_string};
use ochre_types::{
    ArrayValue, Datum, FormatContext, Pace, SqlType, check_known, oids, record_fields, record_names, to_text,
    type_info,
};

use crate::CallContext;
use crate::errors::invalid_parameter;
use crate::functions::Implementations;
use crate::functions::array::array;
use crate::functions::text::text_form;

/// Appends a value as JSON text.
pub(crate) fn append_json(
    value: &Datum,
    ty: SqlType,
    format: &FormatContext,
    out: &mut Vec<u8>,
) -> Result<()> {
    match (value, ty.oid) {
        (Datum::Null, _) => out.extend_from_slice(b"null"),
        (Datum::Bool(value), _) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        (Datum::Bytes(text), oids::JSON) => Pace::from(format, 0).append(text, out)?,
        (Datum::Bytes(bytes), oids::JSONB) => JsonRef::new(bytes).print(format, out)?,
        (Datum::Array(array), _) if type_info(ty.oid).is_none_or(|info| info.is_array()) => {
            append_array(
                array,
                array.dimensions.len(),
                &mut 0,
                format,
                &mut Pace::from(format, out.len()),
                out,
            )?;
        }
        (Datum::Record(fields), _) => {
            check_known(ty)?;
            let session = format.names.as_ref();
            let types = record_fields(ty).or_else(|| session.and_then(|session| session.record_fields(ty)));
            let names = record_names(ty).or_else(|| session.and_then(|session| session.record_names(ty)));
            out.push(b'{');
            for (i, field) in fields.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                match names.as_ref().and_then(|names| names.get(i)) {
                    Some(name) => print_string(name, out),
                    None => print_string(&format!("f{}", i + 1), out),
                }
                out.push(b':');
                let known = types.as_ref().and_then(|types| types.get(i).copied());
                append_json(field, known.unwrap_or_else(|| field_type(field)), format, out)?;
            }
            out.push(b'}');
        }
        (value, oid) if is_number(oid) => {
            let text = to_text(ty, value, format)?;
            // NaN and infinities are no JSON numbers.
            if text.bytes().any(|b| b.is_ascii_digit()) {
                out.extend_from_slice(text.as_bytes());
            } else {
                print_string(&text, out);
            }
        }
        (value, oids::DATE | oids::TIMESTAMP | oids::TIMESTAMPTZ) => {
            print_string(&iso(value, ty, format)?, out)
        }
        (value, _) => {
            let text = text_form(ty, value, format)?;
            let mut pace = Pace::from(format, out.len());
            print_long_string(&text, &mut pace, out)?;
        }
    }
    Ok(())
}

/// A value as a JSON tree.
pub(crate) fn json_of(value: &Datum, ty: SqlType, format: &FormatContext) -> Result<Json> {
    Ok(match (value, ty.oid) {
        (Datum::Null, _) => Json::Null,
        (Datum::Bytes(bytes), oids::JSONB) => JsonRef::new(bytes).to_json_within(format)?,
        (Datum::Numeric(number), _) if !number.is_nan() && !number.is_infinite() => {
            Json::Number(number.clone())
        }
        (value, _) => {
            let mut text = Vec::new();
            append_json(value, ty, format, &mut text)?;
            Json::parse(&String::from_utf8_lossy(&text), format)?
        }
    })
}

fn is_number(oid: ochre_base::Oid) -> bool {
    matches!(oid, oids::INT2 | oids::INT4 | oids::INT8 | oids::FLOAT4 | oids::FLOAT8 | oids::NUMERIC)
}

/// A date or timestamp as ISO 8601, whatever DateStyle says.
fn iso(value: &Datum, ty: SqlType, format: &FormatContext) -> Result<String> {
    let iso = FormatContext { date_style: ochre_types::DateStyle::Iso, ..format.clone() };
    let text = to_text(ty, value, &iso)?;
    if ty.oid == oids::DATE {
        return Ok(text);
    }
    let mut text = text.replacen(' ', "T", 1);
    if ty.oid == oids::TIMESTAMPTZ {
        // JSON's offsets have minutes.
        let bytes = text.as_bytes();
        if bytes.len() > 3 && matches!(bytes[bytes.len() - 3], b'+' | b'-') {
            text.push_str(":00");
        }
    }
    Ok(text)
}

/// A type that prints a field of an anonymous row by its physical form.
fn field_type(value: &Datum) -> SqlType {
    match value {
        Datum::Bool(_) => SqlType::BOOL,
        Datum::Int16(_) => SqlType::INT2,
        Datum::Int32(_) => SqlType::INT4,
        Datum::Int64(_) => SqlType::INT8,
        Datum::Float32(_) => SqlType::FLOAT4,
        Datum::Float64(_) => SqlType::FLOAT8,
        Datum::Numeric(_) => SqlType::NUMERIC,
        Datum::UInt32(_) => SqlType::OID,
        Datum::Interval(_) => SqlType::INTERVAL,
        Datum::Uuid(_) => SqlType::UUID,
        Datum::Record(_) => SqlType::RECORD,
        Datum::Array(array) => array.element.array_of().unwrap_or(SqlType::TEXT_ARRAY),
        _ => SqlType::TEXT,
    }
}

fn append_array(
    array: &ArrayValue,
    depth: usize,
    next: &mut usize,
    format: &FormatContext,
    pace: &mut Pace<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    out.push(b'[');
    let length = array
        .dimensions
        .len()
        .checked_sub(depth)
        .and_then(|d| array.dimensions.get(d))
        .map_or(0, |d| d.length);
    for i in 0..length {
        if i > 0 {
            out.push(b',');
        }
        if depth > 1 {
            append_array(array, depth - 1, next, format, pace, out)?;
        } else {
            append_json(&array.elements[*next], array.element, format, out)?;
            *next += 1;
            pace.look(out.len())?;
        }
    }
    out.push(b']');
    Ok(())
}

/// A value as an object's key.
///
/// # Errors
/// 22004 for null, 22023 for what is no scalar.
pub(crate) fn key_text(value: &Datum, ty: SqlType, format: &FormatContext) -> Result<String> {
    match value {
        Datum::Null => {
            Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "null value not allowed for object key"))
        }
        Datum::Array(_) | Datum::Record(_) => {
            Err(invalid_parameter("key value must be scalar, not array, composite, or json"))
        }
        _ if matches!(ty.oid, oids::JSON | oids::JSONB) => {
            Err(invalid_parameter("key value must be scalar, not array, composite, or json"))
        }
        Datum::Bool(value) => Ok(value.to_string()),
        value => to_text(ty, value, format),
    }
}

/// The arguments with their types; a VARIADIC array's elements stand for themselves.
fn arguments<'v>(
    call: &CallContext<'_, '_>,
    args: &'v [Datum],
    pace: &mut Pace<'_>,
) -> Result<Vec<(&'v Datum, SqlType)>> {
    Ok(match args {
        [Datum::Array(array)] if call.variadic_array => {
            let mut arguments = Vec::with_capacity(array.len());
            for element in &array.elements {
                pace.advance(size_of::<Datum>())?;
                arguments.push((element, array.element));
            }
            arguments
        }
        [Datum::Null] if call.variadic_array => Vec::new(),
        args => args.iter().zip(call.arg_types.iter().copied()).collect(),
    })
}

fn even(count: usize) -> Result<()> {
    if count.is_multiple_of(2) {
        return Ok(());
    }
    Err(invalid_parameter("argument list must have even number of elements")
        .hint("The arguments of json_build_object() must consist of alternating keys and values."))
}

fn argument_key(number: usize, value: &Datum, ty: SqlType, format: &FormatContext) -> Result<String> {
    if value.is_null() {
        return Err(Error::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            format!("null value not allowed for object key at argument {number}"),
        ));
    }
    key_text(value, ty, format)
}

#[rustfmt::skip]
pub(super) fn register(r: &mut Implementations) {
    for source in ["to_json", "row_to_json", "array_to_json"] {
        r.row(source, |call, args| one(call, &args[0]));
    }
    for source in ["row_to_json_pretty", "array_to_json_pretty"] {
        r.row(source, |call, args| {
            if args[1] == Datum::Bool(true) { return Err(Error::unsupported("line feeds between JSON elements")); }
            one(call, &args[0])
        });
    }
    r.row("to_jsonb", |call, args| {
        let format = call.eval.session.format();
        Ok(Datum::text(json_of(&args[0], call.arg_types[0], format)?.to_bytes_within(format)?))
    });
    for source in ["json_build_array", "json_build_array_noargs"] {
        r.row(source, |call, args| {
            let pace = &mut call.pace();
            let mut out = vec![b'['];
            for (i, (value, ty)) in arguments(call, args, pace)?.into_iter().enumerate() {
                pace.advance(value.weight())?;
                if i > 0 { out.extend_from_slice(b", "); }
                append_json(value, ty, call.eval.session.format(), &mut out)?;
            }
            out.push(b']');
            Ok(Datum::text(out))
        });
    }
    for source in ["json_build_object", "json_build_object_noargs"] {
        r.row(source, |call, args| {
            let format = call.eval.session.format();
            let pace = &mut call.pace();
            let values = arguments(call, args, pace)?;
            even(values.len())?;
            let mut out = vec![b'{'];
            for (i, pair) in values.chunks_exact(2).enumerate() {
                pace.advance(pair[0].0.weight() + pair[1].0.weight())?;
                if i > 0 { out.extend_from_slice(b", "); }
                let key = match pair[0].0 {
                    Datum::Null => return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "null value not allowed for object key")),
                    value => key_text(value, pair[0].1, format)?,
                };
                print_string(&key, &mut out);
                out.extend_from_slice(b" : ");
                append_json(pair[1].0, pair[1].1, format, &mut out)?;
            }
            out.push(b'}');
            Ok(Datum::text(out))
        });
    }
    for source in ["jsonb_build_array", "jsonb_build_array_noargs"] {
        r.row(source, |call, args| {
            let format = call.eval.session.format();
            let pace = &mut call.pace();
            let arguments = arguments(call, args, pace)?;
            let element = |(value, ty): (&Datum, SqlType)| {
                pace.advance(value.weight())?;
                json_of(value, ty, format)
            };
            let elements = arguments.into_iter().map(element).collect::<Result<_>>()?;
            Ok(Datum::text(Json::Array(elements).to_bytes_within(format)?))
        });
    }
    for source in ["jsonb_build_object", "jsonb_build_object_noargs"] {
        r.row(source, |call, args| {
            let format = call.eval.session.format();
            let pace = &mut call.pace();
            let values = arguments(call, args, pace)?;
            even(values.len())?;
            let member = |(i, pair): (usize, &[(&Datum, SqlType)])| -> Result<(String, Json)> {
                pace.advance(pair[0].0.weight() + pair[1].0.weight())?;
                if pair[0].0.is_null() {
                    return Err(invalid_parameter(format!("argument {}: key must not be null", 2 * i + 1)));
                }
                Ok((argument_key(2 * i + 1, pair[0].0, pair[0].1, format)?, json_of(pair[1].0, pair[1].1, format)?))
            };
            let members = values.chunks_exact(2).enumerate().map(member).collect::<Result<_>>()?;
            Ok(Datum::text(Json::Object(members).to_bytes_within(format)?))
        });
    }
    for (source, two, binary) in [("json_object", false, false), ("json_object_two_arg", true, false), ("jsonb_object", false, true), ("jsonb_object_two_arg", true, true)] {
        r.row(source, move |call, args| object_of_texts(call, args, two, binary));
    }
}

fn one(call: &CallContext<'_, '_>, value: &Datum) -> Result<Datum> {
    let mut out = Vec::new();
    append_json(value, call.arg_types[0], call.eval.session.format(), &mut out)?;
    Ok(Datum::text(out))
}

/// `json_object` of keys and values in one array or in two.
fn object_of_texts(call: &CallContext<'_, '_>, args: &[Datum], two: bool, binary: bool) -> Result<Datum> {
    let subscripts = |message: &str| Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
    let first = array(&args[0])?;
    let pairs: Vec<(&Datum, &Datum)> = if two {
        let second = array(&args[1])?;
        if first.dimensions.len() > 1 || second.dimensions.len() > 1 {
            return subscripts("wrong number of array subscripts");
        }
        if first.len() != second.len() {
            return subscripts("mismatched array dimensions");
        }
        first.elements.iter().zip(&second.elements).collect()
    } else {
        match first.dimensions.as_slice() {
            [] => {}
            [_] if first.len() % 2 != 0 => return subscripts("array must have even number of elements"),
            [_] => {}
            [_, inner] if inner.length != 2 => return subscripts("array must have two columns"),
            [_, _] => {}
            _ => return subscripts("wrong number of array subscripts"),
        }
        first.elements.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect()
    };
    let pace = &mut call.pace();
    let mut members = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        pace.advance(key.weight() + value.weight())?;
        let Some(key) = key.as_str() else {
            return Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "null value not allowed for object key",
            ));
        };
        members
            .push((key.to_owned(), value.as_str().map_or(Json::Null, |text| Json::String(text.to_owned()))));
    }
    if binary {
        return Ok(Datum::text(Json::Object(members).to_bytes_within(call.eval.session.format())?));
    }
    let mut out = vec![b'{'];
    for (i, (key, value)) in members.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        pace.advance(size_of::<Datum>())?;
        print_long_string(key.as_bytes(), pace, &mut out)?;
        out.extend_from_slice(b" : ");
        match value {
            Json::String(text) => print_long_string(text.as_bytes(), pace, &mut out)?,
            _ => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    Ok(Datum::text(out))
}
