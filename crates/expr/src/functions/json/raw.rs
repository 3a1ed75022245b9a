//! JSON text that is known to be valid, taken apart without copying: `json` keeps its text as written.

use ochre_base::Result;
use ochre_types::Pace;

use crate::functions::large::{PIECE_BYTES, copied};

/// A value's text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a>(pub &'a str);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RawKind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl RawKind {
    pub(super) fn word(self) -> &'static str {
        match self {
            RawKind::Null => "null",
            RawKind::Bool => "boolean",
            RawKind::Number => "number",
            RawKind::String => "string",
            RawKind::Array => "array",
            RawKind::Object => "object",
        }
    }
}

impl<'a> Raw<'a> {
    pub(super) fn new(text: &'a str) -> Raw<'a> {
        Raw(text.trim_matches([' ', '\t', '\n', '\r']))
    }

    pub(super) fn kind(self) -> RawKind {
        match self.0.as_bytes().first() {
            Some(b'{') => RawKind::Object,
            Some(b'[') => RawKind::Array,
            Some(b'"') => RawKind::String,
            Some(b't' | b'f') => RawKind::Bool,
            Some(b'n') => RawKind::Null,
            _ => RawKind::Number,
        }
    }

    /// The value as SQL text: a string without quotes and escapes, null as nothing.
    pub(super) fn as_text(self, pace: &mut Pace<'_>) -> Result<Option<Vec<u8>>> {
        Ok(match self.kind() {
            RawKind::Null => None,
            RawKind::String => Some(unescape(&self.0[1..self.0.len() - 1], pace)?.into_bytes()),
            _ => Some(self.copied(pace)?),
        })
    }

    /// The value's text as it is.
    pub(super) fn copied(self, pace: &mut Pace<'_>) -> Result<Vec<u8>> {
        copied(self.0.as_bytes(), pace)
    }

    /// The elements of an array, one after the other.
    pub(super) fn elements(self) -> Elements<'a> {
        Elements { rest: skip_blanks(&self.0[1..]) }
    }

    /// The members of an object, one after the other, equal keys all of them.
    pub(super) fn members(self) -> Members<'a> {
        Members { rest: skip_blanks(&self.0[1..]) }
    }

    /// The last member with this key.
    pub(super) fn get(self, key: &str, pace: &mut Pace<'_>) -> Result<Option<Raw<'a>>> {
        let mut found = None;
        if self.kind() == RawKind::Object {
            let mut members = self.members();
            while let Some((name, value)) = members.next(pace)? {
                if name == key {
                    found = Some(value);
                }
            }
        }
        Ok(found)
    }

    /// How many elements an array has.
    pub(super) fn count(self, pace: &mut Pace<'_>) -> Result<usize> {
        let mut elements = self.elements();
        let mut count = 0;
        while elements.next(pace)?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    pub(super) fn element(self, index: i64, pace: &mut Pace<'_>) -> Result<Option<Raw<'a>>> {
        if self.kind() != RawKind::Array {
            return Ok(None);
        }
        let wanted = match usize::try_from(index) {
            Ok(index) => index,
            // From the end.
            Err(_) => match super::position(index, self.count(pace)?) {
                Some(index) => index,
                None => return Ok(None),
            },
        };
        let mut elements = self.elements();
        for _ in 0..wanted {
            if elements.next(pace)?.is_none() {
                return Ok(None);
            }
        }
        elements.next(pace)
    }
}

/// What is left of an array.
pub(super) struct Elements<'a> {
    rest: &'a str,
}

impl<'a> Elements<'a> {
    pub(super) fn next(&mut self, pace: &mut Pace<'_>) -> Result<Option<Raw<'a>>> {
        if self.rest.is_empty() || self.rest.starts_with(']') {
            return Ok(None);
        }
        let (value, after) = take_value(self.rest, pace)?;
        self.rest = skip_comma(after);
        Ok(Some(Raw(value)))
    }
}

/// What is left of an object.
pub(super) struct Members<'a> {
    rest: &'a str,
}

impl<'a> Members<'a> {
    pub(super) fn next(&mut self, pace: &mut Pace<'_>) -> Result<Option<(String, Raw<'a>)>> {
        if self.rest.is_empty() || self.rest.starts_with('}') {
            return Ok(None);
        }
        let (key, after) = take_value(self.rest, pace)?;
        let rest = skip_blanks(after);
        let (value, after) = take_value(skip_blanks(rest.strip_prefix(':').unwrap_or(rest)), pace)?;
        self.rest = skip_comma(after);
        Ok(Some((unescape(&key[1..key.len() - 1], pace)?, Raw(value))))
    }
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

fn skip_comma(text: &str) -> &str {
    let rest = skip_blanks(text);
    skip_blanks(rest.strip_prefix(',').unwrap_or(rest))
}

/// The value that the text begins with, and what follows it.
fn take_value<'a>(text: &'a str, pace: &mut Pace<'_>) -> Result<(&'a str, &'a str)> {
    let bytes = text.as_bytes();
    let (mut depth, mut in_string, mut at) = (0usize, false, 0);
    pace.advance(1)?;
    let mut looked = 0;
    while at < bytes.len() {
        if at - looked >= PIECE_BYTES {
            pace.advance(at - looked)?;
            looked = at;
        }
        match bytes[at] {
            b'\\' if in_string => at += 1,
            b'"' => {
                in_string = !in_string;
                if !in_string && depth == 0 {
                    return Ok(text.split_at(at + 1));
                }
            }
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return Ok(text.split_at(at + 1));
                }
            }
            b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => {
                return Ok(text.split_at(at));
            }
            _ => {}
        }
        at += 1;
    }
    Ok((text, ""))
}

/// A string's characters; escapes are known to be valid but for surrogates, which become U+FFFD.
fn unescape(text: &str, pace: &mut Pace<'_>) -> Result<String> {
    if !pace.any_piece(text.as_bytes(), |piece| piece.contains(&b'\\'))? {
        return Ok(text.to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    let mut high: Option<u32> = None;
    while let Some(c) = chars.next() {
        pace.advance(1)?;
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\x08'),
            Some('f') => out.push('\x0c'),
            Some('u') => {
                let hex: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&hex, 16).unwrap_or(0xFFFD);
                match (high.take(), code) {
                    (None, 0xD800..0xDC00) => high = Some(code),
                    (Some(high), 0xDC00..0xE000) => {
                        out.extend(char::from_u32(0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)));
                    }
                    (_, code) => out.push(char::from_u32(code).unwrap_or('\u{FFFD}')),
                }
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    Ok(out)
}
