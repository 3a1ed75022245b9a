//! What tokens mean: the text of strings, folded identifiers, the values of numbers.

use ochre_base::limits::MAX_IDENTIFIER_BYTES;
use ochre_base::{Error, Result, SqlState};

use crate::ast::{LiteralValue, Name};
use crate::lexer::{Tok, Token, continuation, lex, near};

/// The name of an unquoted identifier: lower case (ASCII letters only, as in PostgreSQL with UTF-8), truncated.
pub fn fold_identifier(raw: &str) -> Name {
    let raw = truncate(raw);
    let mut text: Box<str> = raw.into();
    text.make_ascii_lowercase();
    Name::from(text)
}

/// Cuts an identifier at 63 bytes without splitting a character.
fn truncate(text: &str) -> &str {
    if text.len() <= MAX_IDENTIFIER_BYTES {
        return text;
    }
    let mut end = MAX_IDENTIFIER_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whether a text may have an identifier that is truncated: a long word, or a quoted text as long.
pub fn has_long_word(sql: &str) -> bool {
    if sql.len() <= MAX_IDENTIFIER_BYTES {
        return false;
    }
    let mut run = 0;
    let mut quoted = false;
    sql.bytes().any(|byte| {
        let goes_on = match byte {
            b'"' => {
                quoted = !quoted;
                false
            }
            _ => quoted || byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..),
        };
        run = if goes_on { run + 1 } else { 0 };
        run > MAX_IDENTIFIER_BYTES
    })
}

/// The identifiers of a text that are truncated, in its order: as written, and what becomes of them.
pub fn truncated_identifiers(sql: &str) -> Vec<(String, Name)> {
    let written = |token: &Token| {
        let raw = &sql[token.start as usize..token.end as usize];
        let whole = match token.tok {
            Tok::Ident => raw.to_ascii_lowercase(),
            Tok::QuotedIdent => raw[1..raw.len() - 1].replace("\"\"", "\""),
            Tok::UnicodeIdent => unicode_name(sql, *token).ok()?,
            _ => return None,
        };
        let name = Name::from(truncate(&whole));
        (whole.len() > MAX_IDENTIFIER_BYTES).then_some((whole, name))
    };
    lex(sql).tokens.iter().filter_map(written).collect()
}

/// The name in double quotes, whole token given.
pub fn quoted_identifier(raw: &str) -> Name {
    let inner = &raw[1..raw.len() - 1];
    if inner.contains('"') {
        let text = inner.replace("\"\"", "\"");
        Name::from(truncate(&text))
    } else {
        Name::from(truncate(inner))
    }
}

/// The name of a `U&"…"` token with its UESCAPE.
pub fn unicode_identifier(sql: &str, token: Token) -> Result<Name> {
    unicode_name(sql, token).map(|text| Name::from(truncate(&text)))
}

fn unicode_name(sql: &str, token: Token) -> Result<String> {
    let raw = &sql[token.start as usize..token.end as usize];
    let close = 3 + closing_quote(&raw.as_bytes()[3..], b'"');
    let body = raw[3..close].replace("\"\"", "\"");
    let text = unicode_escapes(&body, uescape(&raw[close + 1..]), token.start as usize + 3)?;
    if text.is_empty() {
        return Err(near(sql, "zero-length delimited identifier", token.start as usize, token.end as usize));
    }
    Ok(text)
}

/// The offset of the quote that ends a quoted text; doubled quotes are part of it.
fn closing_quote(bytes: &[u8], quote: u8) -> usize {
    let mut pos = 0;
    loop {
        match bytes.get(pos) {
            None => return bytes.len(),
            Some(b) if *b == quote && bytes.get(pos + 1) == Some(&quote) => pos += 2,
            Some(b) if *b == quote => return pos,
            Some(_) => pos += 1,
        }
    }
}

/// The escape character of what follows a Unicode string: `UESCAPE 'c'`, or the default.
fn uescape(rest: &str) -> char {
    let mut chars = rest.chars().rev();
    match (chars.next(), chars.next()) {
        (Some('\''), Some(c)) => c,
        _ => '\\',
    }
}

/// The text of a string token of any form.
pub fn string(sql: &str, token: Token) -> Result<Box<str>> {
    let (start, end) = (token.start as usize, token.end as usize);
    let raw = &sql[start..end];
    match token.tok {
        Tok::String => Ok(plain(raw)),
        Tok::DollarString => {
            let tag = raw[1..].find('$').expect("the lexer saw the tag's end") + 2;
            Ok(raw[tag..raw.len() - tag].into())
        }
        Tok::BitString | Tok::HexString => Ok(plain(&raw[1..])),
        Tok::EscapeString => escape_string(sql, start + 1, end),
        _ => {
            let (body, rest) = unicode_pieces(&raw[2..]);
            Ok(unicode_escapes(&body, uescape(rest), start + 3)?.into_boxed_str())
        }
    }
}

/// The text between simple quotes, continuations joined.
fn plain(raw: &str) -> Box<str> {
    let inner = &raw[1..raw.len() - 1];
    if !inner.as_bytes().contains(&b'\'') {
        return inner.into();
    }
    unicode_pieces(raw).0.into_boxed_str()
}

/// Joins the pieces of a simple string and gives the text behind it.
fn unicode_pieces(raw: &str) -> (String, &str) {
    let bytes = raw.as_bytes();
    let mut text = String::with_capacity(raw.len());
    let mut pos = 1;
    loop {
        let close = pos + closing_quote(&bytes[pos..], b'\'');
        let piece = &raw[pos..close];
        if piece.contains('\'') {
            text.push_str(&piece.replace("''", "'"));
        } else {
            text.push_str(piece);
        }
        match continuation(bytes, close + 1) {
            Some(quote) => pos = quote + 1,
            None => return (text, raw.get(close + 1..).unwrap_or("")),
        }
    }
}

/// The text of `E'…'` whose first quote stands at `start`.
fn escape_string(sql: &str, start: usize, end: usize) -> Result<Box<str>> {
    let bytes = sql.as_bytes();
    let mut out: Vec<u8> = Vec::with_capacity(end - start);
    let mut pos = start + 1;
    let mut raw_bytes = false;
    while pos < end {
        match bytes[pos] {
            b'\'' if bytes.get(pos + 1) == Some(&b'\'') && pos + 1 < end => {
                out.push(b'\'');
                pos += 2;
            }
            b'\'' => match continuation(&bytes[..end], pos + 1) {
                Some(quote) => pos = quote + 1,
                None => break,
            },
            b'\\' => pos = escape(sql, pos, end, &mut out, &mut raw_bytes)?,
            byte => {
                out.push(byte);
                pos += 1;
            }
        }
    }
    if raw_bytes && out.contains(&0) {
        return Err(invalid_bytes(&[0], start));
    }
    match String::from_utf8(out) {
        Ok(text) => Ok(text.into_boxed_str()),
        Err(error) => {
            let from = error.utf8_error().valid_up_to();
            let bytes = error.into_bytes();
            let len = match bytes[from] {
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf7 => 4,
                _ => 1,
            };
            Err(invalid_bytes(&bytes[from..bytes.len().min(from + len)], start))
        }
    }
}

#[cold]
fn invalid_bytes(bytes: &[u8], _start: usize) -> Error {
    let list: Vec<String> = bytes.iter().map(|b| format!("0x{b:02x}")).collect();
    Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", list.join(" ")),
    )
}

/// Resolves one backslash escape at `pos`; gives the position behind it.
fn escape(sql: &str, pos: usize, end: usize, out: &mut Vec<u8>, raw_bytes: &mut bool) -> Result<usize> {
    let bytes = &sql.as_bytes()[..end];
    let take = |from: usize, max: usize, digit: fn(&u8) -> bool| {
        bytes[from..].iter().take(max).take_while(|b| digit(b)).count()
    };
    let kind = bytes[pos + 1];
    match kind {
        b'b' => out.push(0x08),
        b'f' => out.push(0x0c),
        b'n' => out.push(b'\n'),
        b'r' => out.push(b'\r'),
        b't' => out.push(b'\t'),
        b'v' => out.push(0x0b),
        b'0'..=b'7' => {
            let len = take(pos + 1, 3, |b| (b'0'..=b'7').contains(b));
            let value = bytes[pos + 1..pos + 1 + len].iter().fold(0u32, |v, b| v * 8 + u32::from(b - b'0'));
            out.push(value as u8);
            *raw_bytes = true;
            return Ok(pos + 1 + len);
        }
        b'x' => {
            let len = take(pos + 2, 2, u8::is_ascii_hexdigit);
            if len == 0 {
                out.push(b'x');
            } else {
                out.push(hex(&bytes[pos + 2..pos + 2 + len]) as u8);
                *raw_bytes = true;
            }
            return Ok(pos + 2 + len);
        }
        b'u' | b'U' => return unicode_in_escape_string(sql, pos, end, out),
        _ => {
            let c = sql[pos + 1..].chars().next().expect("a character follows the backslash");
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(pos + 1 + c.len_utf8());
        }
    }
    Ok(pos + 2)
}

fn hex(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |v, b| v * 16 + (*b as char).to_digit(16).unwrap_or(0))
}

/// The code unit of `\uXXXX` or `\UXXXXXXXX` at `pos` and the position behind it.
fn unicode_unit(sql: &str, pos: usize, end: usize) -> Result<(u32, usize)> {
    let bytes = &sql.as_bytes()[..end];
    let len = if bytes[pos + 1] == b'u' { 4 } else { 8 };
    let digits = bytes.get(pos + 2..pos + 2 + len).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
    match digits {
        Some(digits) => Ok((hex(digits), pos + 2 + len)),
        None => Err(Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid Unicode escape")
            .hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.")
            .at(pos)),
    }
}

fn unicode_in_escape_string(sql: &str, pos: usize, end: usize, out: &mut Vec<u8>) -> Result<usize> {
    let (unit, mut next) = unicode_unit(sql, pos, end)?;
    let mut value = unit;
    if (0xd800..0xdc00).contains(&unit) {
        let bytes = sql.as_bytes();
        let pair_error = |from: usize, to: usize| near(sql, "invalid Unicode surrogate pair", from, to);
        if bytes[next] != b'\\' || !matches!(bytes[next + 1], b'u' | b'U') {
            let width = sql[next..].chars().next().map_or(1, char::len_utf8);
            return Err(pair_error(next, next + width));
        }
        let (low, after) = unicode_unit(sql, next, end)?;
        if !(0xdc00..0xe000).contains(&low) {
            return Err(pair_error(next, after));
        }
        value = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        next = after;
    } else if (0xdc00..0xe000).contains(&unit) {
        return Err(near(sql, "invalid Unicode surrogate pair", pos, next));
    }
    match char::from_u32(value) {
        Some(c) if value != 0 => {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            Ok(next)
        }
        _ => Err(near(sql, "invalid Unicode escape value", pos, next)),
    }
}

/// Resolves `\XXXX` and `\+XXXXXX` with a given escape character; `base` is the text's byte offset.
fn unicode_escapes(body: &str, escape: char, base: usize) -> Result<String> {
    if !body.contains(escape) {
        return Ok(body.to_string());
    }
    let error = |message: &str, at: usize| Error::new(SqlState::SYNTAX_ERROR, message).at(base + at);
    let mut out = String::with_capacity(body.len());
    let mut pending: Option<u32> = None;
    let mut pos = 0;
    while pos < body.len() {
        let c = body[pos..].chars().next().expect("the position lies on a character");
        let rest = &body[pos + c.len_utf8()..];
        if c != escape || rest.starts_with(escape) {
            if pending.is_some() {
                return Err(error("invalid Unicode surrogate pair", pos));
            }
            out.push(c);
            pos += if c == escape { 2 * c.len_utf8() } else { c.len_utf8() };
            continue;
        }
        let (skip, len) = if rest.starts_with('+') { (1, 6) } else { (0, 4) };
        let digits =
            rest.as_bytes().get(skip..skip + len).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else {
            return Err(
                error("invalid Unicode escape", pos).hint("Unicode escapes must be \\XXXX or \\+XXXXXX.")
            );
        };
        let mut value = hex(digits);
        match pending.take() {
            Some(high) if (0xdc00..0xe000).contains(&value) => {
                value = 0x10000 + ((high - 0xd800) << 10) + (value - 0xdc00);
            }
            Some(_) => return Err(error("invalid Unicode surrogate pair", pos)),
            None if (0xdc00..0xe000).contains(&value) => {
                return Err(error("invalid Unicode surrogate pair", pos));
            }
            None => {}
        }
        if (0xd800..0xdc00).contains(&value) {
            pending = Some(value);
        } else {
            match char::from_u32(value) {
                Some(c) if value != 0 => out.push(c),
                _ => return Err(error("invalid Unicode escape value", pos)),
            }
        }
        pos += c.len_utf8() + skip + len;
    }
    if pending.is_some() {
        return Err(error("invalid Unicode surrogate pair", pos));
    }
    Ok(out)
}

/// The value of a number token.
pub fn number(raw: &str, tok: Tok) -> LiteralValue {
    let bytes = raw.as_bytes();
    if tok == Tok::Integer {
        if bytes.len() <= 9 && bytes.iter().all(u8::is_ascii_digit) {
            return LiteralValue::Integer(bytes.iter().fold(0, |v, b| v * 10 + i32::from(b - b'0')));
        }
        let (radix, digits) = match bytes.get(1).map(|b| b | 0x20) {
            Some(b'x') if bytes[0] == b'0' => (16, &raw[2..]),
            Some(b'o') if bytes[0] == b'0' => (8, &raw[2..]),
            Some(b'b') if bytes[0] == b'0' => (2, &raw[2..]),
            _ => (10, raw),
        };
        return integer(&digits.replace('_', ""), radix);
    }
    LiteralValue::Numeric(raw.replace('_', "").into_boxed_str())
}

fn integer(digits: &str, radix: u32) -> LiteralValue {
    match i64::from_str_radix(digits, radix) {
        Ok(value) => i32::try_from(value).map_or(LiteralValue::BigInt(value), LiteralValue::Integer),
        Err(_) if radix == 10 => LiteralValue::Numeric(digits.into()),
        Err(_) => LiteralValue::Numeric(to_decimal(digits, radix).into_boxed_str()),
    }
}

/// Converts digits of any radix to decimal text, however many there are.
fn to_decimal(digits: &str, radix: u32) -> String {
    // Limbs of nine decimal digits, least significant first.
    let mut limbs: Vec<u64> = vec![0];
    for digit in digits.chars().filter_map(|c| c.to_digit(radix)) {
        let mut carry = u64::from(digit);
        for limb in &mut limbs {
            let value = *limb * u64::from(radix) + carry;
            *limb = value % 1_000_000_000;
            carry = value / 1_000_000_000;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let mut text = limbs.pop().unwrap_or(0).to_string();
    for limb in limbs.iter().rev() {
        text.push_str(&format!("{limb:09}"));
    }
    text
}

/// A number with its sign turned.
pub fn negate(value: LiteralValue) -> LiteralValue {
    match value {
        LiteralValue::Integer(v) => {
            v.checked_neg().map_or(LiteralValue::BigInt(-i64::from(v)), LiteralValue::Integer)
        }
        LiteralValue::BigInt(v) => match v.checked_neg() {
            Some(v) => i32::try_from(v).map_or(LiteralValue::BigInt(v), LiteralValue::Integer),
            None => LiteralValue::Numeric("9223372036854775808".into()),
        },
        LiteralValue::Numeric(text) => match text.strip_prefix('-') {
            Some(positive) => LiteralValue::Numeric(positive.into()),
            None if &*text == "9223372036854775808" => LiteralValue::BigInt(i64::MIN),
            None => LiteralValue::Numeric(format!("-{text}").into_boxed_str()),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer::lex;

    fn text(sql: &str) -> Result<Box<str>> {
        string(sql, lex(sql).tokens[0])
    }

    #[test]
    fn strings_of_every_form() {
        assert_eq!(&*text("'it''s'").unwrap(), "it's");
        assert_eq!(&*text("'a'\n  'b'").unwrap(), "ab");
        assert_eq!(&*text(r"E'\x41\101\n\u00e4\U0001F600\q'").unwrap(), "AA\nä😀q");
        assert_eq!(&*text(r"E'\ud83d\ude00'").unwrap(), "😀");
        assert_eq!(&*text(r"U&'d\0061t\+000061'").unwrap(), "data");
        assert_eq!(&*text(r"U&'d!0061!!' UESCAPE '!'").unwrap(), "da!");
        assert_eq!(&*text("$x$a $$ 'b'$x$").unwrap(), "a $$ 'b'");
        assert_eq!(&*text("B'101'").unwrap(), "101");
    }

    #[test]
    fn broken_escapes() {
        assert_eq!(text(r"E'\u061'").unwrap_err().message(), "invalid Unicode escape");
        assert_eq!(
            text(r"E'\udb99'").unwrap_err().message(),
            "invalid Unicode surrogate pair at or near \"'\""
        );
        assert_eq!(text(r"U&'\+2FFFFF'").unwrap_err().message(), "invalid Unicode escape value");
        assert_eq!(text(r"E'\377'").unwrap_err().sqlstate(), SqlState::CHARACTER_NOT_IN_REPERTOIRE);
    }

    #[test]
    fn numbers_keep_their_value() {
        let number = |raw: &str| number(raw, lex(raw).tokens[0].tok);
        assert_eq!(number("2147483647"), LiteralValue::Integer(i32::MAX));
        assert_eq!(number("2147483648"), LiteralValue::BigInt(2147483648));
        assert_eq!(negate(number("2147483648")), LiteralValue::Integer(i32::MIN));
        assert_eq!(negate(number("9223372036854775808")), LiteralValue::BigInt(i64::MIN));
        assert_eq!(number("0x1_F"), LiteralValue::Integer(31));
        assert_eq!(
            number("0xffffffffffffffffffff"),
            LiteralValue::Numeric("1208925819614629174706175".into())
        );
        assert_eq!(number("1_000.5e1"), LiteralValue::Numeric("1000.5e1".into()));
    }
}
