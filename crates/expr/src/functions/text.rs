//! Strings and byte strings: comparison, taking apart, putting together, quoting, encoding.

use std::cmp::Ordering;

use ochre_base::{Error, Result, SqlState, limits};
use ochre_types::{ArrayValue, Datum, FormatContext, Pace, SqlType, parse_text, to_text};
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::kernels::{Any, Arr, Bytes, Text};
use super::{Implementations, digest};
use crate::CallContext;
use crate::errors::{invalid_parameter, wrong_form};

/// Keywords that `quote_ident` must quote: all that are not unreserved.
const QUOTED_KEYWORDS: &str = include_str!("../../data/quoted_keywords.txt");

pub(super) fn register(r: &mut Implementations) {
    compare(r);
    measure(r);
    cut(r);
    build(r);
    characters(r);
    quote(r);
    bytes(r);
    convert(r);
}

/// What counts of a `bpchar`: everything but trailing blanks.
pub(crate) fn trim_blanks(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| *b != b' ').map_or(0, |last| last + 1);
    &bytes[..end]
}

#[rustfmt::skip]
fn compare(r: &mut Implementations) {
    for source in ["texteq", "byteaeq", "nameeq", "nameeqtext", "texteqname"] {
        r.bytes2(source, |a, b| a == b);
    }
    for source in ["textne", "byteane", "namene", "namenetext", "textnename"] {
        r.bytes2(source, |a, b| a != b);
    }
    for source in ["text_lt", "bytealt", "namelt", "textltname", "namelttext", "text_pattern_lt"] {
        r.bytes2(source, |a, b| a < b);
    }
    for source in ["text_le", "byteale", "namele", "textlename", "nameletext", "text_pattern_le"] {
        r.bytes2(source, |a, b| a <= b);
    }
    for source in ["text_gt", "byteagt", "namegt", "textgtname", "namegttext", "text_pattern_gt"] {
        r.bytes2(source, |a, b| a > b);
    }
    for source in ["text_ge", "byteage", "namege", "textgename", "namegetext", "text_pattern_ge"] {
        r.bytes2(source, |a, b| a >= b);
    }
    for source in ["bttextcmp", "byteacmp", "btnamecmp", "btnametextcmp", "bttextnamecmp", "bttext_pattern_cmp"] {
        r.f2::<Bytes, Bytes, i32>(source, |a, b| Ok(a.cmp(b) as i32));
    }
    r.bytes2("bpchareq", |a, b| trim_blanks(a) == trim_blanks(b));
    r.bytes2("bpcharne", |a, b| trim_blanks(a) != trim_blanks(b));
    for (source, pattern, holds) in [
        ("bpcharlt", "bpchar_pattern_lt", Ordering::is_lt as fn(Ordering) -> bool),
        ("bpcharle", "bpchar_pattern_le", Ordering::is_le),
        ("bpchargt", "bpchar_pattern_gt", Ordering::is_gt),
        ("bpcharge", "bpchar_pattern_ge", Ordering::is_ge),
    ] {
        r.bytes2(source, move |a, b| holds(trim_blanks(a).cmp(trim_blanks(b))));
        r.bytes2(pattern, move |a, b| holds(trim_blanks(a).cmp(trim_blanks(b))));
    }
    for source in ["bpcharcmp", "btbpchar_pattern_cmp"] {
        r.f2::<Bytes, Bytes, i32>(source, |a, b| Ok(trim_blanks(a).cmp(trim_blanks(b)) as i32));
    }
    for source in ["text_larger", "bytea_larger"] {
        r.f2::<Bytes, Bytes, Vec<u8>>(source, |a, b| Ok(a.max(b).to_vec()));
    }
    for source in ["text_smaller", "bytea_smaller"] {
        r.f2::<Bytes, Bytes, Vec<u8>>(source, |a, b| Ok(a.min(b).to_vec()));
    }
    r.f2::<Bytes, Bytes, Vec<u8>>("bpchar_larger", |a, b| Ok(if trim_blanks(a) >= trim_blanks(b) { a } else { b }.to_vec()));
    r.f2::<Bytes, Bytes, Vec<u8>>("bpchar_smaller", |a, b| Ok(if trim_blanks(a) <= trim_blanks(b) { a } else { b }.to_vec()));
    for (source, holds) in [("uuid_eq", Ordering::is_eq as fn(Ordering) -> bool), ("uuid_ne", Ordering::is_ne), ("uuid_lt", Ordering::is_lt), ("uuid_le", Ordering::is_le), ("uuid_gt", Ordering::is_gt), ("uuid_ge", Ordering::is_ge)] {
        r.map2::<[u8; 16], [u8; 16], bool>(source, move |a, b| holds(a.cmp(&b)));
    }
    r.map2::<[u8; 16], [u8; 16], i32>("uuid_cmp", |a, b| a.cmp(&b) as i32);
    r.bytes2("text_starts_with", |a, b| a.starts_with(b));
}

#[rustfmt::skip]
fn measure(r: &mut Implementations) {
    r.f1::<Text, i32>("textlen", |s| Ok(s.chars().count() as i32));
    r.f1::<Bytes, i32>("bpcharlen", |s| Ok(String::from_utf8_lossy(trim_blanks(s)).chars().count() as i32));
    r.f1::<Bytes, i32>("textoctetlen", |s| Ok(s.len() as i32));
    r.f1::<Bytes, i32>("bpcharoctetlen", |s| Ok(s.len() as i32));
    r.f1::<Bytes, i32>("byteaoctetlen", |s| Ok(s.len() as i32));
    r.f1::<Bytes, i32>("bit_length(25)", |s| Ok(s.len() as i32 * 8));
    r.f1::<Bytes, i32>("bit_length(17)", |s| Ok(s.len() as i32 * 8));
    r.f2::<Text, Text, i32>("textpos", |s, part| {
        Ok(s.find(part).map_or(0, |at| s[..at].chars().count() as i32 + 1))
    });
    r.f2::<Bytes, Bytes, i32>("byteapos", |s, part| Ok(find_bytes(s, part).map_or(0, |at| at as i32 + 1)));
}

fn find_bytes(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

#[cold]
fn negative_length() -> Error {
    Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed")
}

/// Positions `[from, to)`, counted from 0, that `substring(… from start for length)` names.
pub(super) fn substring_range(start: i32, length: Option<i32>) -> Result<(usize, usize)> {
    let start = i64::from(start);
    let end = match length {
        None => i64::MAX,
        Some(length) if length < 0 => {
            if start + i64::from(length) < start {
                return Err(negative_length());
            }
            start
        }
        Some(length) => start + i64::from(length),
    };
    let from = start.max(1);
    let to = end.max(from);
    Ok((from as usize - 1, if to == i64::MAX { usize::MAX } else { to as usize - 1 }))
}

/// Byte offset of character `index`, or the end.
pub(crate) fn char_offset(text: &str, index: usize) -> usize {
    if text.is_ascii() {
        return index.min(text.len());
    }
    text.char_indices().nth(index).map_or(text.len(), |(at, _)| at)
}

pub(crate) fn substring(text: &str, start: i32, length: Option<i32>) -> Result<&str> {
    let (from, to) = substring_range(start, length)?;
    let begin = char_offset(text, from);
    let rest = &text[begin..];
    let end = if to == usize::MAX { rest.len() } else { char_offset(rest, to - from) };
    Ok(&rest[..end])
}

fn substring_bytes(bytes: &[u8], start: i32, length: Option<i32>) -> Result<&[u8]> {
    let (from, to) = substring_range(start, length)?;
    let from = from.min(bytes.len());
    Ok(&bytes[from..to.clamp(from, bytes.len())])
}

#[rustfmt::skip]
fn cut(r: &mut Implementations) {
    r.f3::<Text, i32, i32, String>("text_substr", |s, start, length| Ok(substring(s, start, Some(length))?.to_owned()));
    r.f2::<Text, i32, String>("text_substr_no_len", |s, start| Ok(substring(s, start, None)?.to_owned()));
    r.f3::<Bytes, i32, i32, Vec<u8>>("bytea_substr", |s, start, length| Ok(substring_bytes(s, start, Some(length))?.to_vec()));
    r.f2::<Bytes, i32, Vec<u8>>("bytea_substr_no_len", |s, start| Ok(substring_bytes(s, start, None)?.to_vec()));
    r.f2::<Text, i32, String>("text_left", |s, n| Ok(first_chars(s, n).to_owned()));
    r.f2::<Text, i32, String>("text_right", |s, n| {
        let count = s.chars().count() as i64;
        let skip = if n < 0 { -i64::from(n) } else { count - i64::from(n) };
        Ok(s[char_offset(s, skip.clamp(0, count) as usize)..].to_owned())
    });
    r.f2::<Text, Text, String>("btrim", |s, set| Ok(s.trim_matches(|c| set.contains(c)).to_owned()));
    r.f2::<Text, Text, String>("ltrim", |s, set| Ok(s.trim_start_matches(|c| set.contains(c)).to_owned()));
    r.f2::<Text, Text, String>("rtrim", |s, set| Ok(s.trim_end_matches(|c| set.contains(c)).to_owned()));
    r.f1::<Text, String>("btrim1", |s| Ok(s.trim_matches(' ').to_owned()));
    r.f1::<Text, String>("ltrim1", |s| Ok(s.trim_start_matches(' ').to_owned()));
    r.f1::<Text, String>("rtrim1", |s| Ok(s.trim_end_matches(' ').to_owned()));
    r.f2::<Bytes, Bytes, Vec<u8>>("byteatrim", |s, set| Ok(trim_bytes(s, set, true, true)));
    r.f2::<Bytes, Bytes, Vec<u8>>("bytealtrim", |s, set| Ok(trim_bytes(s, set, true, false)));
    r.f2::<Bytes, Bytes, Vec<u8>>("byteartrim", |s, set| Ok(trim_bytes(s, set, false, true)));
    r.f3::<Text, Text, i32, String>("split_part", split_part);
    r.f3::<Text, Text, i32, String>("textoverlay_no_len", |s, new, start| overlay(s, new, start, new.chars().count() as i32));
    r.f4::<Text, Text, i32, i32, String>("textoverlay", overlay);
    r.f3::<Bytes, Bytes, i32, Vec<u8>>("byteaoverlay_no_len", |s, new, start| overlay_bytes(s, new, start, new.len() as i32));
    r.f4::<Bytes, Bytes, i32, i32, Vec<u8>>("byteaoverlay", overlay_bytes);
}

fn first_chars(text: &str, n: i32) -> &str {
    let keep = if n < 0 { (text.chars().count() as i64 + i64::from(n)).max(0) } else { i64::from(n) };
    &text[..char_offset(text, keep as usize)]
}

fn trim_bytes(bytes: &[u8], set: &[u8], front: bool, back: bool) -> Vec<u8> {
    let mut rest = bytes;
    while let (true, [first, tail @ ..]) = (front, rest)
        && set.contains(first)
    {
        rest = tail;
    }
    while let (true, [head @ .., last]) = (back, rest)
        && set.contains(last)
    {
        rest = head;
    }
    rest.to_vec()
}

fn split_part(text: &str, delimiter: &str, field: i32) -> Result<String> {
    if field == 0 {
        return Err(invalid_parameter("field position must not be zero"));
    }
    if text.is_empty() {
        return Ok(String::new());
    }
    if delimiter.is_empty() {
        return Ok(if field.unsigned_abs() == 1 { text.to_owned() } else { String::new() });
    }
    let part = if field > 0 {
        text.split(delimiter).nth(field as usize - 1)
    } else {
        let parts: Vec<&str> = text.split(delimiter).collect();
        parts.len().checked_sub(field.unsigned_abs() as usize).map(|index| parts[index])
    };
    Ok(part.unwrap_or_default().to_owned())
}

fn overlay(text: &str, new: &str, start: i32, length: i32) -> Result<String> {
    if start <= 0 {
        return Err(negative_length());
    }
    let after = start.checked_add(length).ok_or_else(super::integer::int4_range)?;
    let head = substring(text, 1, Some(start - 1))?;
    Ok(format!("{head}{new}{}", substring(text, after, None)?))
}

fn overlay_bytes(bytes: &[u8], new: &[u8], start: i32, length: i32) -> Result<Vec<u8>> {
    if start <= 0 {
        return Err(negative_length());
    }
    let after = start.checked_add(length).ok_or_else(super::integer::int4_range)?;
    let head = substring_bytes(bytes, 1, Some(start - 1))?;
    Ok([head, new, substring_bytes(bytes, after, None)?].concat())
}

/// Refuses to make a text longer than values may be.
pub(crate) fn room_for(held: usize, more: usize) -> Result<()> {
    if held.saturating_add(more) <= limits::MAX_VALUE_BYTES { Ok(()) } else { Err(no_room(held, more)) }
}

#[cold]
fn no_room(held: usize, more: usize) -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("string buffer exceeds maximum allowed length ({} bytes)", (1 << 30) - 1),
    )
    .detail(format!("Cannot enlarge string buffer containing {held} bytes by {more} more bytes."))
}

#[cold]
fn too_long() -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

/// Bytes of a large text that are looked at between two checks for cancellation.
const PIECE_BYTES: usize = 1 << 20;

#[rustfmt::skip]
fn build(r: &mut Implementations) {
    r.f2::<Bytes, Bytes, Vec<u8>>("textcat", |a, b| {
        room_for(a.len(), b.len())?;
        Ok([a, b].concat())
    });
    r.f2::<Bytes, Bytes, Vec<u8>>("byteacat", |a, b| {
        room_for(a.len(), b.len())?;
        Ok([a, b].concat())
    });
    r.c2::<Text, Any, String>("textanycat(25 2776)", |call, a, b| Ok(format!("{a}{}", text_of(call, 1, &b)?)));
    r.c2::<Any, Text, String>("anytextcat(2776 25)", |call, a, b| Ok(format!("{}{b}", text_of(call, 0, &a)?)));
    r.f2::<Text, i32, String>("repeat", |s, n| {
        let times = n.max(0) as usize;
        if s.len().checked_mul(times).is_none_or(|bytes| bytes > limits::MAX_VALUE_BYTES) { return Err(too_long()); }
        Ok(s.repeat(times))
    });
    r.f1::<Text, String>("text_reverse", |s| Ok(s.chars().rev().collect()));
    r.c3::<Text, Text, Text, String>("replace_text", replace);
    r.c3::<Text, Text, Text, String>("translate", |call, s, from, to| {
        let to: Vec<char> = to.chars().collect();
        let from: Vec<char> = from.chars().collect();
        by_pieces(call, s, |piece, out| out.extend(piece.chars().filter_map(|c| match from.iter().position(|f| *f == c) {
            Some(index) => to.get(index).copied(),
            None => Some(c),
        })))
    });
    r.f3::<Text, i32, Text, String>("lpad", |s, n, fill| pad(s, n, fill, true));
    r.f3::<Text, i32, Text, String>("rpad", |s, n, fill| pad(s, n, fill, false));
    r.f2::<Text, i32, String>("lpad(25 23)", |s, n| pad(s, n, " ", true));
    r.f2::<Text, i32, String>("rpad(25 23)", |s, n| pad(s, n, " ", false));
    r.row("text_concat", |call, args| Ok(Datum::text(concat(call, args, 0, "")?.unwrap_or_default())));
    r.row("text_concat_ws", |call, args| {
        let Some(separator) = args[0].as_str() else { return Ok(Datum::Null) };
        Ok(concat(call, &args[1..], 1, separator)?.map_or(Datum::Null, Datum::text))
    });
    r.row("text_format", format);
    r.row("text_format_nv", format);
    r.row("text_to_array", |_, args| string_to_array(&args[0], &args[1], None));
    r.row("text_to_array_null", |_, args| string_to_array(&args[0], &args[1], args[2].as_str()));
    r.c2::<Arr, Text, Option<String>>("array_to_text", |call, array, delimiter| array_to_string(call, array, delimiter, None).map(Some));
    r.row("array_to_text_null", |call, args| {
        let (Datum::Array(array), Some(delimiter)) = (&args[0], args[1].as_str()) else { return Ok(Datum::Null) };
        Ok(Datum::text(array_to_string(call, array, delimiter, args[2].as_str())?))
    });
}

/// The text form of argument `index`.
fn text_of(call: &CallContext<'_, '_>, index: usize, value: &Datum) -> Result<String> {
    let ty = call.arg_types.get(index).copied().unwrap_or(SqlType::TEXT);
    to_text(ty, value, call.eval.session.format())
}

/// All values that are not null, joined. A single array marked VARIADIC stands for its elements; a null one gives null.
fn concat(
    call: &CallContext<'_, '_>,
    args: &[Datum],
    offset: usize,
    separator: &str,
) -> Result<Option<String>> {
    let mut out = String::new();
    let mut first = true;
    let mut add = |text: &str| -> Result<()> {
        room_for(out.len(), separator.len() + text.len())?;
        if !first {
            out.push_str(separator);
        }
        first = false;
        out.push_str(text);
        Ok(())
    };
    for (i, value) in args.iter().enumerate().filter(|(_, value)| !value.is_null()) {
        match value {
            Datum::Array(array) if call.variadic_array => {
                for element in array.elements.iter().filter(|element| !element.is_null()) {
                    add(&to_text(array.element, element, call.eval.session.format())?)?;
                }
            }
            _ => add(&text_of(call, offset + i, value)?)?,
        }
    }
    if call.variadic_array && args.iter().any(Datum::is_null) {
        return Ok(None);
    }
    Ok(Some(out))
}

fn pad(text: &str, width: i32, fill: &str, left: bool) -> Result<String> {
    let width = width.max(0) as usize;
    if width > limits::MAX_VALUE_BYTES / 4 {
        return Err(too_long());
    }
    let length = text.chars().count();
    if length >= width || fill.is_empty() {
        return Ok(text[..char_offset(text, width)].to_owned());
    }
    let padding: String = fill.chars().cycle().take(width - length).collect();
    Ok(if left { padding + text } else { text.to_owned() + &padding })
}

fn string_to_array(text: &Datum, delimiter: &Datum, null: Option<&str>) -> Result<Datum> {
    let Some(text) = text.as_str() else { return Ok(Datum::Null) };
    let elements = split_fields(text, delimiter.as_str(), null);
    Ok(Datum::Array(ArrayValue::vector(SqlType::TEXT, elements).into()))
}

/// The fields of a text: at a delimiter, whole at an empty one, single characters without one.
pub(crate) fn split_fields(text: &str, delimiter: Option<&str>, null: Option<&str>) -> Vec<Datum> {
    let field = |part: &str| if Some(part) == null { Datum::Null } else { Datum::text(part) };
    if text.is_empty() {
        return Vec::new();
    }
    match delimiter {
        None => text.chars().map(|c| field(c.encode_utf8(&mut [0; 4]))).collect(),
        Some("") => vec![field(text)],
        Some(delimiter) => text.split(delimiter).map(field).collect(),
    }
}

fn array_to_string(
    call: &CallContext<'_, '_>,
    array: &ArrayValue,
    delimiter: &str,
    null: Option<&str>,
) -> Result<String> {
    let mut pace = Pace::from(call.eval.session.format(), 0);
    let mut out = String::new();
    let mut first = true;
    for element in &array.elements {
        let text = match (element.is_null(), null) {
            (true, None) => continue,
            (true, Some(null)) => null.to_owned(),
            (false, _) => to_text(array.element, element, call.eval.session.format())?,
        };
        if !first {
            out.push_str(delimiter);
        }
        first = false;
        out.push_str(&text);
        pace.look(out.len())?;
    }
    Ok(out)
}

/// `format(text, …)`: `%s`, `%I`, `%L`, `%%`, with position, `-` flag and width.
fn format(call: &CallContext<'_, '_>, args: &[Datum]) -> Result<Datum> {
    let Some(template) = args[0].as_str() else { return Ok(Datum::Null) };
    let values: Vec<(Datum, SqlType)> = match args.get(1) {
        Some(Datum::Array(array)) if call.variadic_array => {
            array.elements.iter().map(|element| (element.clone(), array.element)).collect()
        }
        Some(Datum::Null) if call.variadic_array => Vec::new(),
        _ => args[1..].iter().zip(&call.arg_types[1..]).map(|(value, ty)| (value.clone(), *ty)).collect(),
    };
    let unterminated =
        || invalid_parameter("unterminated format() type specifier").hint("For a single \"%\" use \"%%\".");
    let too_few = || invalid_parameter("too few arguments for format()");
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    let mut next_value = 0usize;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut number = take_number(&mut chars)?;
        let mut position = None;
        if number.is_some() && chars.next_if_eq(&'$').is_some() {
            position = number.take();
            if position == Some(0) {
                return Err(invalid_parameter(
                    "format specifies argument 0, but arguments are numbered from 1",
                ));
            }
        }
        let mut left = false;
        if number.is_none() {
            while chars.next_if_eq(&'-').is_some() {
                left = true;
            }
            if chars.next_if_eq(&'*').is_some() {
                let index = match take_number(&mut chars)? {
                    Some(index) => {
                        if chars.next_if_eq(&'$').is_none() {
                            return Err(invalid_parameter("width argument position must be ended by \"$\""));
                        }
                        if index == 0 {
                            return Err(invalid_parameter(
                                "format specifies argument 0, but arguments are numbered from 1",
                            ));
                        }
                        index as usize - 1
                    }
                    None => next_value,
                };
                let (value, ty) = values.get(index).ok_or_else(too_few)?;
                next_value = index + 1;
                let width = width_of(value, *ty, call.eval.session.format())?;
                left |= width < 0;
                number = Some(i32::try_from(width.abs()).map_err(|_| super::integer::int4_range())?);
            } else {
                number = take_number(&mut chars)?;
            }
        }
        let conversion = chars.next().ok_or_else(unterminated)?;
        if !matches!(conversion, 's' | 'I' | 'L') {
            return Err(invalid_parameter(format!("unrecognized format() type specifier \"{conversion}\""))
                .hint("For a single \"%\" use \"%%\"."));
        }
        let index = position.map_or(next_value, |position| position as usize - 1);
        let (value, ty) = values.get(index).ok_or_else(too_few)?;
        next_value = index + 1;
        let text = (!value.is_null()).then(|| to_text(*ty, value, call.eval.session.format())).transpose()?;
        let text = match (conversion, text) {
            ('s', text) => text.unwrap_or_default(),
            ('I', None) => {
                return Err(Error::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            ('I', Some(text)) => quote_ident(&text),
            (_, None) => "NULL".to_owned(),
            (_, Some(text)) => quote_literal(&text),
        };
        let missing = (number.unwrap_or(0) as usize).saturating_sub(text.chars().count());
        room_for(out.len(), missing + text.len())?;
        if !left {
            out.extend(std::iter::repeat_n(' ', missing));
        }
        out.push_str(&text);
        if left {
            out.extend(std::iter::repeat_n(' ', missing));
        }
    }
    Ok(Datum::text(out))
}

/// A width that is an argument: a value of any type whose text is that of an integer.
fn width_of(value: &Datum, ty: SqlType, context: &FormatContext) -> Result<i64> {
    let number = match value {
        Datum::Null => Datum::Int32(0),
        Datum::Int16(_) | Datum::Int32(_) => value.clone(),
        _ => parse_text(SqlType::INT4, &to_text(ty, value, context)?, context)?,
    };
    number.as_i64().ok_or_else(|| wrong_form("an integer"))
}

fn take_number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<i32>> {
    let mut number: Option<i32> = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        number =
            Some(
                number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(digit as i32)).ok_or_else(
                    || Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "number is out of range"),
                )?,
            );
    }
    Ok(number)
}

#[rustfmt::skip]
fn characters(r: &mut Implementations) {
    r.c1::<Text, String>("lower", |call, s| if s.is_ascii() { Ok(s.to_ascii_lowercase()) } else { simple_case(call, s, false) });
    r.c1::<Text, String>("upper", |call, s| if s.is_ascii() { Ok(s.to_ascii_uppercase()) } else { simple_case(call, s, true) });
    r.f1::<Text, String>("casefold", |s| Ok(s.to_lowercase()));
    r.f1::<Text, String>("initcap", |s| {
        let mut inside = false;
        Ok(s.chars().map(|c| {
            let mapped = if inside { one_to_one(c, false) } else { one_to_one(c, true) };
            inside = c.is_alphanumeric();
            mapped
        }).collect())
    });
    r.f1::<Text, i32>("ascii", |s| Ok(s.chars().next().map_or(0, |c| c as i32)));
    r.f1::<i32, String>("chr", |code| {
        let limit = |message: String| Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        match code {
            0 => limit("null character not permitted".to_owned()),
            i32::MIN..0 => Err(invalid_parameter("character number must be positive")),
            _ => match char::from_u32(code as u32) {
                Some(c) => Ok(c.to_string()),
                None if code > 0x10FFFF => limit(format!("requested character too large for encoding: {code}")),
                None => limit(format!("requested character not valid for encoding: {code}")),
            },
        }
    });
    r.f1::<Text, String>("unistr", unistr);
}

/// Case mapping character by character, as the C.UTF-8 locale does: no character becomes several.
fn simple_case(call: &CallContext<'_, '_>, text: &str, upper: bool) -> Result<String> {
    by_pieces(call, text, |piece, out| out.extend(piece.chars().map(|c| one_to_one(c, upper))))
}

/// Makes a text of another piece by piece: a large one can be cancelled.
fn by_pieces(
    call: &CallContext<'_, '_>,
    text: &str,
    mut add: impl FnMut(&str, &mut String),
) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
        add(piece, &mut out);
        rest = behind;
        if !rest.is_empty() {
            call.eval.session.check_interrupts()?;
        }
    }
    Ok(out)
}

/// `replace`.
fn replace(call: &CallContext<'_, '_>, text: &str, from: &str, to: &str) -> Result<String> {
    if from.is_empty() {
        return Ok(text.to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let (mut copied, mut checked) = (0, 0);
    for (at, _) in text.match_indices(from) {
        room_for(out.len(), at - copied + to.len())?;
        out.push_str(&text[copied..at]);
        out.push_str(to);
        copied = at + from.len();
        if out.len() - checked > PIECE_BYTES {
            call.eval.session.check_interrupts()?;
            checked = out.len();
        }
    }
    out.push_str(&text[copied..]);
    Ok(out)
}

fn one_to_one(c: char, upper: bool) -> char {
    let (first, rest) = if upper {
        let mut mapped = c.to_uppercase();
        (mapped.next(), mapped.next())
    } else {
        let mut mapped = c.to_lowercase();
        (mapped.next(), mapped.next())
    };
    match (first, rest) {
        (Some(mapped), None) => mapped,
        _ => c,
    }
}

/// Replaces `\XXXX`, `\+XXXXXX`, `\uXXXX`, `\UXXXXXXXX` by the characters they name.
fn unistr(text: &str) -> Result<String> {
    let invalid = || {
        Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape")
            .hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    };
    let mut out = String::new();
    let mut rest = text;
    let mut high: Option<u32> = None;
    while let Some(c) = rest.chars().next() {
        if c != '\\' {
            if high.is_some() {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode surrogate pair"));
            }
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        if rest[1..].starts_with('\\') {
            out.push('\\');
            rest = &rest[2..];
            continue;
        }
        let (skip, digits) = match rest[1..].chars().next() {
            Some('+') => (2, 6),
            Some('u') => (2, 4),
            Some('U') => (2, 8),
            _ => (1, 4),
        };
        let hex = rest.get(skip..skip + digits).ok_or_else(invalid)?;
        let code = u32::from_str_radix(hex, 16).map_err(|_| invalid())?;
        rest = &rest[skip + digits..];
        match (high.take(), code) {
            (None, 0xD800..0xDC00) => high = Some(code),
            (Some(high), 0xDC00..0xE000) => {
                let joined = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00);
                out.extend(char::from_u32(joined));
            }
            (None, code) => match char::from_u32(code) {
                Some(c) if code != 0 => out.push(c),
                _ => {
                    return Err(invalid_parameter(format!("invalid Unicode code point: {code:04X}")));
                }
            },
            (Some(_), _) => {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode surrogate pair"));
            }
        }
    }
    if high.is_some() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode surrogate pair"));
    }
    Ok(out)
}

#[rustfmt::skip]
fn quote(r: &mut Implementations) {
    r.f1::<Text, String>("quote_ident", |s| Ok(quote_ident(s)));
    r.f1::<Text, String>("quote_literal", |s| Ok(quote_literal(s)));
    r.row("quote_nullable", |_, args| Ok(Datum::text(args[0].as_str().map_or("NULL".to_owned(), quote_literal))));
    r.c1::<Any, String>("quote_literal(2283)", |call, value| Ok(quote_literal(&text_of(call, 0, &value)?)));
    r.row("quote_nullable(2283)", |call, args| Ok(Datum::text(match &args[0] {
        Datum::Null => "NULL".to_owned(),
        value => quote_literal(&text_of(call, 0, value)?),
    })));
}

/// An identifier as SQL reads it back, quoted when it must be.
pub(crate) fn quote_ident(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let safe = name.bytes().all(plain)
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
        && !QUOTED_KEYWORDS.split_ascii_whitespace().any(|keyword| keyword == name);
    if safe { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A string as a literal; with backslashes, as an escape string.
pub(crate) fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[rustfmt::skip]
fn bytes(r: &mut Implementations) {
    r.f2::<Bytes, Text, String>("binary_encode", encode);
    r.f2::<Text, Text, Vec<u8>>("binary_decode", decode);
    r.c1::<Bytes, String>("md5_text", |call, s| Ok(hex(&digest::md5(s, || call.eval.session.check_interrupts())?)));
    r.c1::<Bytes, String>("md5_bytea", |call, s| Ok(hex(&digest::md5(s, || call.eval.session.check_interrupts())?)));
    r.c1::<Bytes, Vec<u8>>("sha224_bytea", |call, s| digest::sha2::<Sha224>(s, || call.eval.session.check_interrupts()));
    r.c1::<Bytes, Vec<u8>>("sha256_bytea", |call, s| digest::sha2::<Sha256>(s, || call.eval.session.check_interrupts()));
    r.c1::<Bytes, Vec<u8>>("sha384_bytea", |call, s| digest::sha2::<Sha384>(s, || call.eval.session.check_interrupts()));
    r.c1::<Bytes, Vec<u8>>("sha512_bytea", |call, s| digest::sha2::<Sha512>(s, || call.eval.session.check_interrupts()));
    r.c1::<Bytes, i64>("crc32_bytea", |call, s| Ok(digest::crc(s, 0xEDB8_8320, || call.eval.session.check_interrupts())?.into()));
    r.c1::<Bytes, i64>("crc32c_bytea", |call, s| Ok(digest::crc(s, 0x82F6_3B78, || call.eval.session.check_interrupts())?.into()));
    r.f1::<Bytes, i64>("bytea_bit_count", |s| Ok(s.iter().map(|b| i64::from(b.count_ones())).sum()));
    r.f1::<Bytes, Vec<u8>>("bytea_reverse", |s| Ok(s.iter().rev().copied().collect()));
    r.f2::<Bytes, i32, i32>("byteaGetByte", |s, n| Ok(s[byte_index(s, n.into(), s.len())?].into()));
    r.f2::<Bytes, i64, i32>("byteaGetBit", |s, n| {
        let at = byte_index(s, n, s.len() * 8)?;
        Ok((s[at / 8] >> (at % 8) & 1).into())
    });
    r.f3::<Bytes, i32, i32, Vec<u8>>("byteaSetByte", |s, n, value| {
        let at = byte_index(s, n.into(), s.len())?;
        let mut copy = s.to_vec();
        copy[at] = value as u8;
        Ok(copy)
    });
    r.f3::<Bytes, i64, i32, Vec<u8>>("byteaSetBit", |s, n, value| {
        let at = byte_index(s, n, s.len() * 8)?;
        if value != 0 && value != 1 { return Err(invalid_parameter("new bit must be 0 or 1")); }
        let mut copy = s.to_vec();
        copy[at / 8] = copy[at / 8] & !(1 << (at % 8)) | (value as u8) << (at % 8);
        Ok(copy)
    });
}

fn byte_index(_bytes: &[u8], index: i64, count: usize) -> Result<usize> {
    if index < 0 || index >= count as i64 {
        let message = format!("index {index} out of valid range, 0..{}", count as i64 - 1);
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
    }
    Ok(index as usize)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(bytes: &[u8], format: &str) -> Result<String> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => Ok(hex(bytes)),
        "base64" => Ok(base64(bytes)),
        "escape" => {
            let mut out = String::new();
            for byte in bytes {
                match byte {
                    0 | 128.. => out.push_str(&format!("\\{byte:03o}")),
                    b'\\' => out.push_str("\\\\"),
                    _ => out.push(char::from(*byte)),
                }
            }
            Ok(out)
        }
        _ => Err(invalid_parameter(format!("unrecognized encoding: \"{format}\""))),
    }
}

/// Base64 in lines of 76 characters.
fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut line = 0;
    for chunk in bytes.chunks(3) {
        if line == 76 {
            out.push('\n');
            line = 0;
        }
        let group =
            chunk.iter().fold(0u32, |group, byte| (group << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(char::from(BASE64[(group >> (18 - 6 * i) & 63) as usize]));
            } else {
                out.push('=');
            }
        }
        line += 4;
    }
    out
}

fn decode(text: &str, format: &str) -> Result<Vec<u8>> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => decode_hex(text),
        "base64" => decode_base64(text),
        "escape" => {
            let bytes = text.as_bytes();
            let invalid =
                || Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea");
            let mut out = Vec::with_capacity(bytes.len());
            let mut i = 0;
            while i < bytes.len() {
                match &bytes[i..] {
                    [b'\\', b'\\', ..] => {
                        out.push(b'\\');
                        i += 2;
                    }
                    [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                        out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                        i += 4;
                    }
                    [b'\\', ..] => return Err(invalid()),
                    rest => {
                        out.push(rest[0]);
                        i += 1;
                    }
                }
            }
            Ok(out)
        }
        _ => Err(invalid_parameter(format!("unrecognized encoding: \"{format}\""))),
    }
}

fn decode_hex(text: &str) -> Result<Vec<u8>> {
    let mut nibbles = Vec::with_capacity(text.len());
    for c in text.chars().filter(|c| !matches!(c, ' ' | '\n' | '\t' | '\r')) {
        let digit =
            c.to_digit(16).ok_or_else(|| invalid_parameter(format!("invalid hexadecimal digit: \"{c}\"")))?;
        nibbles.push(digit as u8);
    }
    if nibbles.len() % 2 != 0 {
        return Err(invalid_parameter("invalid hexadecimal data: odd number of digits"));
    }
    Ok(nibbles.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut count, mut padding) = (0u32, 0, 0);
    for c in text.chars().filter(|c| !matches!(c, ' ' | '\n' | '\t' | '\r')) {
        let value = if c == '=' {
            if padding == 0 && count < 2 {
                return Err(invalid_parameter("unexpected \"=\" while decoding base64 sequence"));
            }
            padding += 1;
            0
        } else {
            match BASE64.iter().position(|known| char::from(*known) == c) {
                Some(value) if padding == 0 => value as u32,
                _ => {
                    return Err(invalid_parameter(format!(
                        "invalid symbol \"{c}\" found while decoding base64 sequence"
                    )));
                }
            }
        };
        group = (group << 6) | value;
        count += 1;
        if count == 4 {
            let bytes = group.to_be_bytes();
            out.extend_from_slice(&bytes[1..4 - padding.min(2)]);
            (group, count) = (0, 0);
        }
    }
    if count != 0 {
        return Err(invalid_parameter("invalid base64 end sequence")
            .hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
    }
    Ok(out)
}

#[rustfmt::skip]
fn convert(r: &mut Implementations) {
    r.f1::<Text, String>("text_name", |s| Ok(truncate_name(s).to_owned()));
    r.f1::<Text, String>("bpchar_name", |s| Ok(truncate_name(s.trim_end_matches(' ')).to_owned()));
    r.f1::<Text, String>("name_text", |s| Ok(s.to_owned()));
    r.f1::<Text, String>("name_bpchar", |s| Ok(s.to_owned()));
    for source in ["varchar", "bpchar"] {
        r.row(source, |call, args| {
            let oid = call.function.return_type;
            let typmod = args[1].as_i64().ok_or_else(|| wrong_form("an integer"))? as i32;
            ochre_types::typmod::apply(args[0].clone(), SqlType::new(oid, typmod), args[2] == Datum::Bool(true))
        });
    }
    r.f2::<Bytes, Text, String>("pg_convert_from", |bytes, encoding| {
        super::system::require_utf8(encoding, "source ")?;
        String::from_utf8(bytes.to_vec()).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let shown: Vec<String> = bytes[at..].iter().take(1).map(|b| format!("0x{b:02x}")).collect();
            Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")))
        })
    });
    r.f2::<Text, Text, Vec<u8>>("pg_convert_to", |text, encoding| {
        super::system::require_utf8(encoding, "destination ")?;
        Ok(text.as_bytes().to_vec())
    });
    r.f2::<Bytes, Text, i32>("length_in_encoding", |bytes, encoding| {
        super::system::require_utf8(encoding, "")?;
        Ok(String::from_utf8_lossy(bytes).chars().count() as i32)
    });
    r.row("getdatabaseencoding", |_, _| Ok(Datum::text("UTF8")));
    r.row("pg_client_encoding", |_, _| Ok(Datum::text("UTF8")));
}

/// A name is cut at 63 bytes, between characters.
pub(crate) fn truncate_name(text: &str) -> &str {
    if text.len() <= limits::MAX_IDENTIFIER_BYTES {
        return text;
    }
    let end = (0..=limits::MAX_IDENTIFIER_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}
