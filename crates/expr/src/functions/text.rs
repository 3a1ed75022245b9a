//! Strings and byte strings: comparison, taking apart, putting together, quoting, encoding.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use ochre_base::{Error, Result, SqlState, limits};
use ochre_types::{ArrayValue, Datum, FormatContext, Pace, SqlType, parse_text, print_text, to_text};
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::kernels::{Any, Arr, Bytes, Text};
use super::large::{
    Characters, Fields, PIECE_BYTES, Search, append_repeated, begins_character, character_offset, copied,
    count_characters, each_piece, find, first_character,
};
use super::{Implementations, digest, encoding};
use crate::CallContext;
use crate::errors::{invalid_parameter, wrong_form};
use crate::eval::is_plain_text;

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
        r.c2::<Bytes, Bytes, Vec<u8>>(source, |call, a, b| copied(a.max(b), &mut call.pace()));
    }
    for source in ["text_smaller", "bytea_smaller"] {
        r.c2::<Bytes, Bytes, Vec<u8>>(source, |call, a, b| copied(a.min(b), &mut call.pace()));
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
    r.c1::<Bytes, i32>("textlen", |call, s| Ok(count_characters(s, &mut call.pace())? as i32));
    r.c1::<Bytes, i32>("bpcharlen", |call, s| Ok(count_characters(trim_blanks(s), &mut call.pace())? as i32));
    r.f1::<Bytes, i32>("textoctetlen", |s| Ok(s.len() as i32));
    r.f1::<Bytes, i32>("bpcharoctetlen", |s| Ok(s.len() as i32));
    r.f1::<Bytes, i32>("byteaoctetlen", |s| Ok(s.len() as i32));
    r.f1::<Bytes, i32>("bit_length(25)", |s| Ok(s.len() as i32 * 8));
    r.f1::<Bytes, i32>("bit_length(17)", |s| Ok(s.len() as i32 * 8));
    r.c2::<Bytes, Bytes, i32>("textpos", |call, s, part| {
        let pace = &mut call.pace();
        let found = find(s, part, pace)?;
        found.map_or(Ok(0), |at| Ok(count_characters(&s[..at], pace)? as i32 + 1))
    });
    r.c2::<Bytes, Bytes, i32>("byteapos", |call, s, part| Ok(find(s, part, &mut call.pace())?.map_or(0, |at| at as i32 + 1)));
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

/// What `substring(… from start for length)` names of a text.
fn substring<'t>(text: &'t [u8], start: i32, length: Option<i32>, pace: &mut Pace<'_>) -> Result<&'t [u8]> {
    let (from, to) = substring_range(start, length)?;
    let rest = &text[character_offset(text, from, pace)?..];
    let end = if to == usize::MAX { rest.len() } else { character_offset(rest, to - from, pace)? };
    Ok(&rest[..end])
}

fn substring_bytes(bytes: &[u8], start: i32, length: Option<i32>) -> Result<&[u8]> {
    let (from, to) = substring_range(start, length)?;
    let from = from.min(bytes.len());
    Ok(&bytes[from..to.clamp(from, bytes.len())])
}

#[rustfmt::skip]
fn cut(r: &mut Implementations) {
    r.c3::<Bytes, i32, i32, Vec<u8>>("text_substr", |call, s, start, length| {
        let pace = &mut call.pace();
        copied(substring(s, start, Some(length), pace)?, pace)
    });
    r.c2::<Bytes, i32, Vec<u8>>("text_substr_no_len", |call, s, start| {
        let pace = &mut call.pace();
        copied(substring(s, start, None, pace)?, pace)
    });
    r.c3::<Bytes, i32, i32, Vec<u8>>("bytea_substr", |call, s, start, length| copied(substring_bytes(s, start, Some(length))?, &mut call.pace()));
    r.c2::<Bytes, i32, Vec<u8>>("bytea_substr_no_len", |call, s, start| copied(substring_bytes(s, start, None)?, &mut call.pace()));
    r.c2::<Bytes, i32, Vec<u8>>("text_left", |call, s, n| {
        let pace = &mut call.pace();
        let keep = if n < 0 { (count_characters(s, pace)? as i64 + i64::from(n)).max(0) } else { i64::from(n) };
        copied(&s[..character_offset(s, keep as usize, pace)?], pace)
    });
    r.c2::<Bytes, i32, Vec<u8>>("text_right", |call, s, n| {
        let pace = &mut call.pace();
        let skip = if n < 0 { -i64::from(n) } else { (count_characters(s, pace)? as i64 - i64::from(n)).max(0) };
        copied(&s[character_offset(s, skip as usize, pace)?..], pace)
    });
    for (source, front, back) in [("btrim", true, true), ("ltrim", true, false), ("rtrim", false, true)] {
        r.c2::<Bytes, Bytes, Vec<u8>>(source, move |call, s, set| trim(call, s, set, front, back));
    }
    for (source, front, back) in [("btrim1", true, true), ("ltrim1", true, false), ("rtrim1", false, true)] {
        r.c1::<Bytes, Vec<u8>>(source, move |call, s| trim(call, s, b" ", front, back));
    }
    for (source, front, back) in [("byteatrim", true, true), ("bytealtrim", true, false), ("byteartrim", false, true)] {
        r.c2::<Bytes, Bytes, Vec<u8>>(source, move |call, s, set| trim_bytes(call, s, set, front, back));
    }
    r.c3::<Bytes, Bytes, i32, Vec<u8>>("split_part", split_part);
    r.c3::<Bytes, Bytes, i32, Vec<u8>>("textoverlay_no_len", |call, s, new, start| {
        let length = count_characters(new, &mut call.pace())?;
        overlay(call, s, new, start, length as i32)
    });
    r.c4::<Bytes, Bytes, i32, i32, Vec<u8>>("textoverlay", overlay);
    r.c3::<Bytes, Bytes, i32, Vec<u8>>("byteaoverlay_no_len", |call, s, new, start| overlay_bytes(call, s, new, start, new.len() as i32));
    r.c4::<Bytes, Bytes, i32, i32, Vec<u8>>("byteaoverlay", overlay_bytes);
}

fn trim(call: &CallContext<'_, '_>, text: &[u8], set: &[u8], front: bool, back: bool) -> Result<Vec<u8>> {
    let pace = &mut call.pace();
    let set = Characters::of(set, pace)?;
    let mut rest = text;
    if front {
        rest = set.trim_start(rest, pace)?;
    }
    if back {
        rest = set.trim_end(rest, pace)?;
    }
    copied(rest, pace)
}

fn trim_bytes(
    call: &CallContext<'_, '_>,
    bytes: &[u8],
    set: &[u8],
    front: bool,
    back: bool,
) -> Result<Vec<u8>> {
    let pace = &mut call.pace();
    let mut goes = [false; 256];
    for piece in set.chunks(PIECE_BYTES) {
        piece.iter().for_each(|byte| goes[usize::from(*byte)] = true);
        pace.advance(piece.len())?;
    }
    let mut rest = bytes;
    while let (true, [first, tail @ ..]) = (front, rest)
        && goes[usize::from(*first)]
    {
        rest = tail;
        pace.advance(1)?;
    }
    while let (true, [head @ .., last]) = (back, rest)
        && goes[usize::from(*last)]
    {
        rest = head;
        pace.advance(1)?;
    }
    copied(rest, pace)
}

fn split_part(call: &CallContext<'_, '_>, text: &[u8], delimiter: &[u8], field: i32) -> Result<Vec<u8>> {
    if field == 0 {
        return Err(invalid_parameter("field position must not be zero"));
    }
    let pace = &mut call.pace();
    if text.is_empty() || delimiter.is_empty() {
        return if field.unsigned_abs() == 1 { copied(text, pace) } else { Ok(Vec::new()) };
    }
    let search = Search::new(delimiter, pace)?;
    let wanted = if field > 0 {
        field as usize - 1
    } else {
        // From the end: the fields are counted first.
        let (mut rest, mut delimiters) = (text, 0);
        while let Some(at) = search.find(rest, pace)? {
            delimiters += 1;
            rest = &rest[at + delimiter.len()..];
            pace.advance(delimiter.len())?;
        }
        match (delimiters + 1_usize).checked_sub(field.unsigned_abs() as usize) {
            Some(wanted) => wanted,
            None => return Ok(Vec::new()),
        }
    };
    let mut rest = text;
    for _ in 0..wanted {
        let Some(at) = search.find(rest, pace)? else { return Ok(Vec::new()) };
        rest = &rest[at + delimiter.len()..];
        pace.advance(delimiter.len())?;
    }
    let end = search.find(rest, pace)?.unwrap_or(rest.len());
    copied(&rest[..end], pace)
}

fn overlay(call: &CallContext<'_, '_>, text: &[u8], new: &[u8], start: i32, length: i32) -> Result<Vec<u8>> {
    if start <= 0 {
        return Err(negative_length());
    }
    let after = start.checked_add(length).ok_or_else(super::integer::int4_range)?;
    let pace = &mut call.pace();
    let head = substring(text, 1, Some(start - 1), pace)?;
    joined(&[head, new, substring(text, after, None, pace)?], pace)
}

fn overlay_bytes(
    call: &CallContext<'_, '_>,
    bytes: &[u8],
    new: &[u8],
    start: i32,
    length: i32,
) -> Result<Vec<u8>> {
    if start <= 0 {
        return Err(negative_length());
    }
    let after = start.checked_add(length).ok_or_else(super::integer::int4_range)?;
    let head = substring_bytes(bytes, 1, Some(start - 1))?;
    joined(&[head, new, substring_bytes(bytes, after, None)?], &mut call.pace())
}

/// Strings one behind the other.
fn joined(parts: &[&[u8]], pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().try_for_each(|part| pace.append(part, &mut out))?;
    Ok(out)
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

#[rustfmt::skip]
fn build(r: &mut Implementations) {
    for source in ["textcat", "byteacat"] {
        r.c2::<Bytes, Bytes, Vec<u8>>(source, |call, a, b| {
            room_for(a.len(), b.len())?;
            joined(&[a, b], &mut call.pace())
        });
    }
    r.c2::<Bytes, Any, Vec<u8>>("textanycat(25 2776)", |call, a, b| joined(&[a, &text_of(call, 1, &b)?], &mut call.pace()));
    r.c2::<Any, Bytes, Vec<u8>>("anytextcat(2776 25)", |call, a, b| joined(&[&text_of(call, 0, &a)?, b], &mut call.pace()));
    r.c2::<Bytes, i32, Vec<u8>>("repeat", |call, s, n| {
        let times = n.max(0) as usize;
        if s.len().checked_mul(times).is_none_or(|bytes| bytes > limits::MAX_VALUE_BYTES) { return Err(too_long()); }
        let mut out = Vec::new();
        append_repeated(s, times, &mut call.pace(), &mut out)?;
        Ok(out)
    });
    r.c1::<Bytes, Vec<u8>>("text_reverse", |call, s| {
        let pace = &mut call.pace();
        let mut out = Vec::with_capacity(s.len());
        let mut rest = s;
        while let Some(last) = rest.iter().rposition(|byte| begins_character(*byte)) {
            out.extend_from_slice(&rest[last..]);
            pace.advance(rest.len() - last)?;
            rest = &rest[..last];
        }
        Ok(out)
    });
    r.c3::<Bytes, Bytes, Bytes, Vec<u8>>("replace_text", replace);
    r.c3::<Bytes, Text, Text, Vec<u8>>("translate", |call, s, from, to| {
        // The first place of a character counts.
        let mut map: HashMap<char, Option<char>> = HashMap::new();
        let mut to = to.chars();
        let pace = &mut call.pace();
        for c in from.chars() {
            let new = to.next();
            map.entry(c).or_insert(new);
            pace.advance(1)?;
        }
        by_pieces(call, s, |piece, out| out.extend(piece.chars().filter_map(|c| map.get(&c).copied().unwrap_or(Some(c)))))
    });
    r.c3::<Bytes, i32, Bytes, Vec<u8>>("lpad", |call, s, n, fill| pad(call, s, n, fill, true));
    r.c3::<Bytes, i32, Bytes, Vec<u8>>("rpad", |call, s, n, fill| pad(call, s, n, fill, false));
    r.c2::<Bytes, i32, Vec<u8>>("lpad(25 23)", |call, s, n| pad(call, s, n, b" ", true));
    r.c2::<Bytes, i32, Vec<u8>>("rpad(25 23)", |call, s, n| pad(call, s, n, b" ", false));
    r.row("text_concat", |call, args| Ok(Datum::text(concat(call, args, 0, b"")?.unwrap_or_default())));
    r.row("text_concat_ws", |call, args| {
        let Some(separator) = args[0].as_bytes() else { return Ok(Datum::Null) };
        Ok(concat(call, &args[1..], 1, separator)?.map_or(Datum::Null, Datum::text))
    });
    r.row("text_format", format);
    r.row("text_format_nv", format);
    r.row("text_to_array", |call, args| string_to_array(call, &args[0], &args[1], None));
    r.row("text_to_array_null", |call, args| string_to_array(call, &args[0], &args[1], Some(&args[2])));
    r.c2::<Arr, Bytes, Vec<u8>>("array_to_text", |call, array, delimiter| array_to_string(call, array, delimiter, None));
    r.row("array_to_text_null", |call, args| {
        let (Datum::Array(array), Some(delimiter)) = (&args[0], args[1].as_bytes()) else { return Ok(Datum::Null) };
        Ok(Datum::text(array_to_string(call, array, delimiter, args[2].as_bytes())?))
    });
}

/// The text form of argument `index`.
fn text_of<'v>(call: &CallContext<'_, '_>, index: usize, value: &'v Datum) -> Result<Cow<'v, [u8]>> {
    let ty = call.arg_types.get(index).copied().unwrap_or(SqlType::TEXT);
    text_form(ty, value, call.eval.session.format())
}

/// The text form of a value; a text is its own.
pub(crate) fn text_form<'v>(ty: SqlType, value: &'v Datum, context: &FormatContext) -> Result<Cow<'v, [u8]>> {
    if let (Datum::Bytes(bytes), true) = (value, is_plain_text(ty)) {
        return Ok(Cow::Borrowed(bytes.as_slice()));
    }
    let mut out = Vec::new();
    print_text(ty, value, context, &mut out)?;
    Ok(Cow::Owned(out))
}

/// All values that are not null, joined. A single array marked VARIADIC stands for its elements; a null one gives null.
fn concat(
    call: &CallContext<'_, '_>,
    args: &[Datum],
    offset: usize,
    separator: &[u8],
) -> Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    let mut first = true;
    let pace = &mut call.pace();
    let mut add = |text: &[u8]| -> Result<()> {
        room_for(out.len(), separator.len() + text.len())?;
        if !first {
            pace.append(separator, &mut out)?;
        }
        first = false;
        pace.append(text, &mut out)?;
        pace.advance(size_of::<Datum>())
    };
    for (i, value) in args.iter().enumerate().filter(|(_, value)| !value.is_null()) {
        match value {
            Datum::Array(array) if call.variadic_array => {
                for element in array.elements.iter().filter(|element| !element.is_null()) {
                    add(&text_form(array.element, element, call.eval.session.format())?)?;
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

fn pad(call: &CallContext<'_, '_>, text: &[u8], width: i32, fill: &[u8], left: bool) -> Result<Vec<u8>> {
    let width = width.max(0) as usize;
    if width > limits::MAX_VALUE_BYTES / 4 {
        return Err(too_long());
    }
    let pace = &mut call.pace();
    let length = count_characters(text, pace)?;
    if length >= width || fill.is_empty() {
        return copied(&text[..character_offset(text, width, pace)?], pace);
    }
    let fill_length = count_characters(fill, pace)?.max(1);
    let (times, rest) = ((width - length) / fill_length, (width - length) % fill_length);
    let rest = &fill[..character_offset(fill, rest, pace)?];
    let mut out = Vec::with_capacity(text.len() + times * fill.len() + rest.len());
    if !left {
        pace.append(text, &mut out)?;
    }
    append_repeated(fill, times, pace, &mut out)?;
    pace.append(rest, &mut out)?;
    if left {
        pace.append(text, &mut out)?;
    }
    Ok(out)
}

fn string_to_array(
    call: &CallContext<'_, '_>,
    text: &Datum,
    delimiter: &Datum,
    null: Option<&Datum>,
) -> Result<Datum> {
    let pace = &mut call.pace();
    let Some(fields) = fields(text, delimiter, null, pace)? else { return Ok(Datum::Null) };
    Ok(Datum::Array(ArrayValue::vector(SqlType::TEXT, fields.all(pace)?).into()))
}

/// The fields of a text; of none there are none.
pub(crate) fn fields(
    text: &Datum,
    delimiter: &Datum,
    null: Option<&Datum>,
    pace: &mut Pace<'_>,
) -> Result<Option<Fields>> {
    let Datum::Bytes(text) = text else { return Ok(None) };
    let null = null.and_then(|null| if let Datum::Bytes(null) = null { Some(null.clone()) } else { None });
    Fields::new(text.clone(), delimiter.as_bytes(), null, pace).map(Some)
}

fn array_to_string(
    call: &CallContext<'_, '_>,
    array: &ArrayValue,
    delimiter: &[u8],
    null: Option<&[u8]>,
) -> Result<Vec<u8>> {
    let pace = &mut call.pace();
    let mut out = Vec::new();
    let mut first = true;
    for element in &array.elements {
        pace.advance(size_of::<Datum>())?;
        let text = match (element.is_null(), null) {
            (true, None) => continue,
            (true, Some(null)) => Cow::Borrowed(null),
            (false, _) => text_form(array.element, element, call.eval.session.format())?,
        };
        if !first {
            pace.append(delimiter, &mut out)?;
        }
        first = false;
        pace.append(&text, &mut out)?;
    }
    Ok(out)
}

/// `format(text, …)`: `%s`, `%I`, `%L`, `%%`, with position, `-` flag and width.
fn format(call: &CallContext<'_, '_>, args: &[Datum]) -> Result<Datum> {
    let Some(template) = args[0].as_bytes() else { return Ok(Datum::Null) };
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
    let pace = &mut call.pace();
    let mut out: Vec<u8> = Vec::new();
    let mut rest = template;
    let mut next_value = 0usize;
    loop {
        let plain = find(rest, b"%", pace)?.unwrap_or(rest.len());
        room_for(out.len(), plain)?;
        pace.append(&rest[..plain], &mut out)?;
        rest = &rest[plain..];
        let Some((_, specifier)) = rest.split_first() else { break };
        if let Some(behind) = specifier.strip_prefix(b"%") {
            out.push(b'%');
            rest = behind;
            continue;
        }
        // A specifier is short: what is read of it as characters is not the whole rest.
        let shown = specifier.iter().position(|byte| !byte.is_ascii_digit() && !b"-*$".contains(byte));
        let end = shown
            .map_or(specifier.len(), |at| at + first_character(&specifier[at..]).map_or(1, char::len_utf8));
        let specifier_text = std::str::from_utf8(&specifier[..end]).unwrap_or_default();
        rest = &specifier[end..];
        let mut chars = specifier_text.chars().peekable();
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
        let text =
            (!value.is_null()).then(|| text_form(*ty, value, call.eval.session.format())).transpose()?;
        let text = match (conversion, text) {
            ('s', text) => text.unwrap_or_default(),
            ('I', None) => {
                return Err(Error::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            ('I', Some(text)) => Cow::Owned(quote_ident(&text, pace)?),
            (_, None) => Cow::Borrowed(&b"NULL"[..]),
            (_, Some(text)) => Cow::Owned(quote_literal(&text, pace)?),
        };
        let missing = match number.unwrap_or(0) as usize {
            0 => 0,
            width => width.saturating_sub(count_characters(&text, pace)?),
        };
        room_for(out.len(), missing + text.len())?;
        if !left {
            append_repeated(b" ", missing, pace, &mut out)?;
        }
        pace.append(&text, &mut out)?;
        if left {
            append_repeated(b" ", missing, pace, &mut out)?;
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
    r.c1::<Bytes, Vec<u8>>("lower", |call, s| simple_case(call, s, false));
    r.c1::<Bytes, Vec<u8>>("upper", |call, s| simple_case(call, s, true));
    r.c1::<Bytes, Vec<u8>>("casefold", |call, s| simple_case(call, s, false));
    r.c1::<Bytes, Vec<u8>>("initcap", |call, s| {
        let mut inside = false;
        by_pieces(call, s, |piece, out| out.extend(piece.chars().map(|c| {
            let mapped = one_to_one(c, !inside);
            inside = c.is_alphanumeric();
            mapped
        })))
    });
    r.f1::<Bytes, i32>("ascii", |s| Ok(first_character(s).map_or(0, |c| c as i32)));
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
    r.c1::<Text, String>("unistr", |call, s| unistr(s, &mut call.pace()));
}

/// Case mapping character by character, as the C.UTF-8 locale does: no character becomes several.
fn simple_case(call: &CallContext<'_, '_>, text: &[u8], upper: bool) -> Result<Vec<u8>> {
    by_pieces(call, text, |piece, out| {
        if !piece.is_ascii() {
            return out.extend(piece.chars().map(|c| one_to_one(c, upper)));
        }
        let from = out.len();
        out.push_str(piece);
        let part = &mut out[from..];
        if upper { part.make_ascii_uppercase() } else { part.make_ascii_lowercase() }
    })
}

/// Makes a text of another piece by piece: a large one can be cancelled.
fn by_pieces(
    call: &CallContext<'_, '_>,
    text: &[u8],
    mut add: impl FnMut(&str, &mut String),
) -> Result<Vec<u8>> {
    let mut out = String::with_capacity(text.len());
    each_piece(text, &mut call.pace(), |piece| {
        add(piece, &mut out);
        Ok(())
    })?;
    Ok(out.into_bytes())
}

/// `replace`.
fn replace(call: &CallContext<'_, '_>, text: &[u8], from: &[u8], to: &[u8]) -> Result<Vec<u8>> {
    let pace = &mut call.pace();
    if from.is_empty() {
        return copied(text, pace);
    }
    let search = Search::new(from, pace)?;
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = search.find(rest, pace)? {
        room_for(out.len(), at + to.len())?;
        pace.append(&rest[..at], &mut out)?;
        pace.append(to, &mut out)?;
        pace.advance(from.len())?;
        rest = &rest[at + from.len()..];
    }
    pace.append(rest, &mut out)?;
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
fn unistr(text: &str, pace: &mut Pace<'_>) -> Result<String> {
    let invalid = || {
        Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape")
            .hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    };
    let mut out = String::new();
    let mut rest = text;
    let mut high: Option<u32> = None;
    while let Some(c) = rest.chars().next() {
        pace.advance(1)?;
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
    r.c1::<Bytes, Vec<u8>>("quote_ident", |call, s| quote_ident(s, &mut call.pace()));
    r.c1::<Bytes, Vec<u8>>("quote_literal", |call, s| quote_literal(s, &mut call.pace()));
    r.c1::<Any, Vec<u8>>("quote_literal(2283)", |call, value| quote_literal(&text_of(call, 0, &value)?, &mut call.pace()));
    for source in ["quote_nullable", "quote_nullable(2283)"] {
        r.row(source, |call, args| Ok(match &args[0] {
            Datum::Null => Datum::text("NULL"),
            value => Datum::text(quote_literal(&text_of(call, 0, value)?, &mut call.pace())?),
        }));
    }
}

/// An identifier as SQL reads it back, quoted when it must be.
fn quote_ident(name: &[u8], pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_';
    let special = pace.any_piece(name, |piece| !piece.iter().all(plain))?;
    let safe = !special
        && name.first().is_some_and(|first| !first.is_ascii_digit())
        && !QUOTED_KEYWORDS.split_ascii_whitespace().any(|keyword| keyword.as_bytes() == name);
    if safe {
        return copied(name, pace);
    }
    let mut out = Vec::with_capacity(name.len() + 2);
    out.push(b'"');
    append_doubled(name, |byte| byte == b'"', pace, &mut out)?;
    out.push(b'"');
    Ok(out)
}

/// A string as a literal; with backslashes, as an escape string.
fn quote_literal(text: &[u8], pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() + 3);
    if pace.any_piece(text, |piece| piece.contains(&b'\\'))? {
        out.push(b'E');
    }
    out.push(b'\'');
    append_doubled(text, |byte| matches!(byte, b'\'' | b'\\'), pace, &mut out)?;
    out.push(b'\'');
    Ok(out)
}

/// Appends bytes, some of them twice.
fn append_doubled(
    bytes: &[u8],
    twice: impl Fn(u8) -> bool,
    pace: &mut Pace<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    pace.pieces(bytes, out, |piece, out| {
        for byte in piece {
            if twice(*byte) {
                out.push(*byte);
            }
            out.push(*byte);
        }
    })
}

#[rustfmt::skip]
fn bytes(r: &mut Implementations) {
    r.c2::<Bytes, Text, Vec<u8>>("binary_encode", |call, bytes, format| encoding::encode(bytes, format, &mut call.pace()));
    r.c2::<Bytes, Text, Vec<u8>>("binary_decode", |call, text, format| encoding::decode(text, format, &mut call.pace()));
    r.c1::<Bytes, String>("md5_text", |call, s| Ok(hex(&digest::md5(s, || call.eval.session.check_interrupts())?)));
    r.c1::<Bytes, String>("md5_bytea", |call, s| Ok(hex(&digest::md5(s, || call.eval.session.check_interrupts())?)));
    r.c1::<Bytes, Vec<u8>>("sha224_bytea", |call, s| digest::sha2::<Sha224>(s, || call.eval.session.check_interrupts()));
    r.c1::<Bytes, Vec<u8>>("sha256_bytea", |call, s| digest::sha2::<Sha256>(s, || call.eval.session.check_interrupts()));
    r.c1::<Bytes, Vec<u8>>("sha384_bytea", |call, s| digest::sha2::<Sha384>(s, || call.eval.session.check_interrupts()));
    r.c1::<Bytes, Vec<u8>>("sha512_bytea", |call, s| digest::sha2::<Sha512>(s, || call.eval.session.check_interrupts()));
    r.c1::<Bytes, i64>("crc32_bytea", |call, s| Ok(digest::crc(s, 0xEDB8_8320, || call.eval.session.check_interrupts())?.into()));
    r.c1::<Bytes, i64>("crc32c_bytea", |call, s| Ok(digest::crc(s, 0x82F6_3B78, || call.eval.session.check_interrupts())?.into()));
    r.c1::<Bytes, i64>("bytea_bit_count", |call, s| {
        let pace = &mut call.pace();
        s.chunks(PIECE_BYTES).try_fold(0, |count, piece| {
            pace.advance(piece.len())?;
            Ok(count + piece.iter().map(|b| i64::from(b.count_ones())).sum::<i64>())
        })
    });
    r.c1::<Bytes, Vec<u8>>("bytea_reverse", |call, s| {
        let pace = &mut call.pace();
        let mut out = Vec::with_capacity(s.len());
        for piece in s.rchunks(PIECE_BYTES) {
            out.extend(piece.iter().rev());
            pace.advance(piece.len())?;
        }
        Ok(out)
    });
    r.f2::<Bytes, i32, i32>("byteaGetByte", |s, n| Ok(s[byte_index(s, n.into(), s.len())?].into()));
    r.f2::<Bytes, i64, i32>("byteaGetBit", |s, n| {
        let at = byte_index(s, n, s.len() * 8)?;
        Ok((s[at / 8] >> (at % 8) & 1).into())
    });
    r.c3::<Bytes, i32, i32, Vec<u8>>("byteaSetByte", |call, s, n, value| {
        let at = byte_index(s, n.into(), s.len())?;
        let mut copy = copied(s, &mut call.pace())?;
        copy[at] = value as u8;
        Ok(copy)
    });
    r.c3::<Bytes, i64, i32, Vec<u8>>("byteaSetBit", |call, s, n, value| {
        let at = byte_index(s, n, s.len() * 8)?;
        if value != 0 && value != 1 { return Err(invalid_parameter("new bit must be 0 or 1")); }
        let mut copy = copied(s, &mut call.pace())?;
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

/// Two hexadecimal digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(2 * bytes.len());
    encoding::append_hex(bytes, &mut out);
    String::from_utf8(out).unwrap_or_default()
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
    r.c2::<Bytes, Text, Vec<u8>>("pg_convert_from", |call, bytes, encoding| {
        super::system::require_utf8(encoding, "source ")?;
        let pace = &mut call.pace();
        if let Some(at) = first_flaw(bytes, pace)? {
            let message = format!("invalid byte sequence for encoding \"UTF8\": 0x{:02x}", bytes[at]);
            return Err(Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message));
        }
        copied(bytes, pace)
    });
    r.c2::<Bytes, Text, Vec<u8>>("pg_convert_to", |call, text, encoding| {
        super::system::require_utf8(encoding, "destination ")?;
        copied(text, &mut call.pace())
    });
    r.c2::<Bytes, Text, i32>("length_in_encoding", |call, bytes, encoding| {
        super::system::require_utf8(encoding, "")?;
        let pace = &mut call.pace();
        match first_flaw(bytes, pace)? {
            None => Ok(count_characters(bytes, pace)? as i32),
            Some(_) => Ok(String::from_utf8_lossy(bytes).chars().count() as i32),
        }
    });
    r.row("getdatabaseencoding", |_, _| Ok(Datum::text("UTF8")));
    r.row("pg_client_encoding", |_, _| Ok(Datum::text("UTF8")));
}

/// Where bytes stop being UTF-8.
fn first_flaw(bytes: &[u8], pace: &mut Pace<'_>) -> Result<Option<usize>> {
    let mut at = 0;
    while at < bytes.len() {
        let piece = &bytes[at..bytes.len().min(at + PIECE_BYTES)];
        at += match std::str::from_utf8(piece) {
            Ok(_) => piece.len(),
            // A character may end in the next piece.
            Err(error) if error.error_len().is_none() && at + piece.len() < bytes.len() => {
                error.valid_up_to()
            }
            Err(error) => return Ok(Some(at + error.valid_up_to())),
        };
        pace.advance(piece.len())?;
    }
    Ok(None)
}

/// A name is cut at 63 bytes, between characters.
pub(crate) fn truncate_name(text: &str) -> &str {
    if text.len() <= limits::MAX_IDENTIFIER_BYTES {
        return text;
    }
    let end = (0..=limits::MAX_IDENTIFIER_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}
