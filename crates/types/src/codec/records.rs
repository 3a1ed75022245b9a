//! Rows as text: `(1,"a b",)`.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};

use super::{parse_text, print_text};
use crate::{Datum, FormatContext, Pace, PhysicalType, SqlType};

/// The types of a row's fields: the catalog's, or guessed from the values.
fn field_type(types: Option<&Arc<[SqlType]>>, index: usize, value: &Datum) -> SqlType {
    if let Some(ty) = types.and_then(|types| types.get(index)) {
        return *ty;
    }
    match value.physical() {
        Some(PhysicalType::Bool) => SqlType::BOOL,
        Some(PhysicalType::Char) => SqlType::CHAR,
        Some(PhysicalType::Int16) => SqlType::INT2,
        Some(PhysicalType::Int32) => SqlType::INT4,
        Some(PhysicalType::UInt32) => SqlType::OID,
        Some(PhysicalType::Int64) => SqlType::INT8,
        Some(PhysicalType::UInt64) => SqlType::XID8,
        Some(PhysicalType::Float32) => SqlType::FLOAT4,
        Some(PhysicalType::Float64) => SqlType::FLOAT8,
        Some(PhysicalType::Numeric) => SqlType::NUMERIC,
        Some(PhysicalType::Interval) => SqlType::INTERVAL,
        Some(PhysicalType::Uuid) => SqlType::UUID,
        Some(PhysicalType::Record) => SqlType::RECORD,
        Some(PhysicalType::Array) => match value {
            Datum::Array(array) => array.element.array_of().unwrap_or(SqlType::TEXT_ARRAY),
            _ => SqlType::TEXT_ARRAY,
        },
        Some(PhysicalType::Bytes) | None => SqlType::TEXT,
    }
}

pub(super) fn field_types(ty: SqlType, context: &FormatContext) -> Option<Arc<[SqlType]>> {
    crate::record_fields(ty).or_else(|| context.names.as_ref().and_then(|names| names.record_fields(ty)))
}

pub(super) fn print(ty: SqlType, fields: &[Datum], context: &FormatContext, out: &mut Vec<u8>) -> Result<()> {
    crate::row_shape::check_known(ty)?;
    let types = field_types(ty, context);
    out.push(b'(');
    let mut text = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if field.is_null() {
            continue;
        }
        text.clear();
        print_text(field_type(types.as_ref(), index, field), field, context, &mut text)?;
        let special = |byte: &u8| {
            matches!(byte, b'"' | b'\\' | b'(' | b')' | b',') || byte.is_ascii_whitespace() || *byte == 0x0b
        };
        let mut pace = Pace::from(context, out.len());
        if !text.is_empty() && !pace.any_piece(&text, |piece| piece.iter().any(special))? {
            pace.append(&text, out)?;
            continue;
        }
        out.push(b'"');
        pace.pieces(&text, out, |piece, out| {
            for byte in piece {
                if matches!(byte, b'"' | b'\\') {
                    out.push(*byte);
                }
                out.push(*byte);
            }
        })?;
        out.push(b'"');
    }
    out.push(b')');
    Ok(())
}

pub(super) fn parse(ty: SqlType, text: &str, context: &FormatContext) -> Result<Datum> {
    let types = field_types(ty, context).ok_or_else(|| {
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, "input of anonymous composite types is not implemented")
    })?;
    let malformed = |detail: &str| {
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed record literal: \"{text}\""))
            .detail(detail)
    };
    let body = text.trim_ascii();
    let mut chars = body.strip_prefix('(').ok_or_else(|| malformed("Missing left parenthesis."))?.chars();
    let mut fields = Vec::with_capacity(types.len());
    let mut ended = false;
    let pace = &mut Pace::from(context, 0);
    for (index, field) in types.iter().enumerate() {
        if ended {
            return Err(malformed("Too few columns."));
        }
        let (value, last) =
            field_text(&mut chars, pace)?.ok_or_else(|| malformed("Unexpected end of input."))?;
        fields.push(match value {
            None => Datum::Null,
            Some(value) => parse_text(*field, &value, context)?,
        });
        ended = last;
        if index + 1 == types.len() && !ended {
            return Err(malformed("Too many columns."));
        }
    }
    if !chars.as_str().is_empty() {
        return Err(malformed("Junk after right parenthesis."));
    }
    Ok(Datum::Record(fields.into()))
}

/// The text of a field (`None`: NULL) and whether it was the last.
type FieldText = (Option<String>, bool);

/// What the next field says; `None` where the text ends before the row.
fn field_text(chars: &mut std::str::Chars<'_>, pace: &mut Pace<'_>) -> Result<Option<FieldText>> {
    let mut value = String::new();
    let mut quoted = false;
    let mut seen = false;
    while let Some(c) = chars.next() {
        pace.advance(1)?;
        match c {
            '"' if quoted => {
                if chars.as_str().starts_with('"') {
                    chars.next();
                    value.push('"');
                } else {
                    quoted = false;
                }
            }
            '"' => {
                quoted = true;
                seen = true;
            }
            '\\' => match chars.next() {
                Some(escaped) => value.push(escaped),
                None => return Ok(None),
            },
            end @ (',' | ')') if !quoted => {
                let present = seen || !value.is_empty();
                return Ok(Some((present.then_some(value), end == ')')));
            }
            c => value.push(c),
        }
    }
    Ok(None)
}
