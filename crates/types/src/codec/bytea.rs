//! `bytea`: hex and escape forms.

use ochre_base::{Error, Result, SqlState};

use crate::{ByteaOutput, FormatContext, Pace};

/// Reads a `bytea` in either form.
///
/// # Errors
/// 22P02, 22023.
pub fn parse_bytea(text: &str) -> Result<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => parse_hex(digits),
        None => parse_escape(text),
    }
}

/// Reads hexadecimal digits, with blanks between pairs, as `bytea` and `decode(…, 'hex')` do.
///
/// # Errors
/// 22023.
pub fn parse_hex(text: &str) -> Result<Vec<u8>> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut chars = text.chars();
    while let Some(high) = chars.next() {
        if matches!(high, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let digit =
            |c: char| c.to_digit(16).ok_or_else(|| invalid(format!("invalid hexadecimal digit: \"{c}\"")));
        let high = digit(high)?;
        let low = chars
            .next()
            .ok_or_else(|| invalid("invalid hexadecimal data: odd number of digits".to_owned()))?;
        bytes.push((high << 4 | digit(low)?) as u8);
    }
    Ok(bytes)
}

fn parse_escape(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        match rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', tail @ ..] => {
                bytes.push(b'\\');
                rest = tail;
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = tail;
            }
            [b'\\', ..] => {
                return Err(Error::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    "invalid input syntax for type bytea",
                ));
            }
            [byte, tail @ ..] => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
}

/// Appends a `bytea`'s text.
pub fn print_bytea(bytes: &[u8], form: ByteaOutput, out: &mut Vec<u8>) {
    begin(bytes, form, out);
    print_piece(bytes, form, out);
}

/// As [`print_bytea`], for as long as the statement may go on.
pub(super) fn print(bytes: &[u8], context: &FormatContext, out: &mut Vec<u8>) -> Result<()> {
    let form = context.bytea_output;
    begin(bytes, form, out);
    Pace::from(context, out.len()).pieces(bytes, out, |piece, out| print_piece(piece, form, out))
}

fn begin(bytes: &[u8], form: ByteaOutput, out: &mut Vec<u8>) {
    if form == ByteaOutput::Hex {
        out.reserve(2 + bytes.len() * 2);
        out.extend_from_slice(b"\\x");
    }
}

fn print_piece(bytes: &[u8], form: ByteaOutput, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    match form {
        ByteaOutput::Hex => out.extend(
            bytes.iter().flat_map(|byte| [DIGITS[(byte >> 4) as usize], DIGITS[(byte & 15) as usize]]),
        ),
        ByteaOutput::Escape => {
            for byte in bytes {
                match byte {
                    b'\\' => out.extend_from_slice(b"\\\\"),
                    0x20..=0x7e => out.push(*byte),
                    _ => out.extend_from_slice(&[
                        b'\\',
                        b'0' + (byte >> 6),
                        b'0' + (byte >> 3 & 7),
                        b'0' + (byte & 7),
                    ]),
                }
            }
        }
    }
}
