//! JSON text that is known to be valid, taken apart without copying: `json` keeps its text as written.

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
    pub(super) fn as_text(self) -> Option<String> {
        match self.kind() {
            RawKind::Null => None,
            RawKind::String => Some(unescape(&self.0[1..self.0.len() - 1])),
            _ => Some(self.0.to_owned()),
        }
    }

    /// Elements of an array.
    pub(super) fn elements(self) -> Vec<Raw<'a>> {
        let mut out = Vec::new();
        let mut rest = skip_blanks(&self.0[1..]);
        while !rest.is_empty() && !rest.starts_with(']') {
            let (value, after) = take_value(rest);
            out.push(Raw(value));
            rest = skip_blanks(after);
            rest = skip_blanks(rest.strip_prefix(',').unwrap_or(rest));
        }
        out
    }

    /// Members of an object, in order, equal keys all of them.
    pub(super) fn members(self) -> Vec<(String, Raw<'a>)> {
        let mut out = Vec::new();
        let mut rest = skip_blanks(&self.0[1..]);
        while !rest.is_empty() && !rest.starts_with('}') {
            let (key, after) = take_value(rest);
            rest = skip_blanks(after);
            rest = skip_blanks(rest.strip_prefix(':').unwrap_or(rest));
            let (value, after) = take_value(rest);
            out.push((unescape(&key[1..key.len() - 1]), Raw(value)));
            rest = skip_blanks(after);
            rest = skip_blanks(rest.strip_prefix(',').unwrap_or(rest));
        }
        out
    }

    /// The last member with this key.
    pub(super) fn get(self, key: &str) -> Option<Raw<'a>> {
        if self.kind() != RawKind::Object {
            return None;
        }
        self.members().into_iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(super) fn element(self, index: i64) -> Option<Raw<'a>> {
        if self.kind() != RawKind::Array {
            return None;
        }
        let elements = self.elements();
        super::position(index, elements.len()).map(|index| elements[index])
    }
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

/// The value that the text begins with, and what follows it.
fn take_value(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let (mut depth, mut in_string, mut at) = (0usize, false, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => at += 1,
            b'"' => {
                in_string = !in_string;
                if !in_string && depth == 0 {
                    return text.split_at(at + 1);
                }
            }
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return text.split_at(at + 1);
                }
            }
            b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => {
                return text.split_at(at);
            }
            _ => {}
        }
        at += 1;
    }
    (text, "")
}

/// A string's characters; escapes are known to be valid but for surrogates, which become U+FFFD.
fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    let mut high: Option<u32> = None;
    while let Some(c) = chars.next() {
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
    out
}
