//! `bytea`: hex and escape forms.

use ochre_base::{Error, Result, SqlState};

use crate::{ByteaOutput, FormatContext, Pace};

/// Reads a `bytea` in either form.
///
/// # Errors
/// 22P02, 22023; as [`Pace::look`].
pub fn parse_bytea(text: &str, pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => parse_hex(digits.as_bytes(), pace),
        None => parse_bytea_escape(text.as_bytes(), pace),
    }
}

/// Characters that are read between two looks at whether to go on.
const READ_AT_A_TIME: usize = 1 << 12;

/// What stands in [`NIBBLES`] for a byte that is no digit.
const NO_DIGIT: u8 = 0xFF;
/// The value of each hexadecimal digit.
const NIBBLES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        values[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// Reads hexadecimal digits, with blanks between pairs, as `bytea` and `decode(…, 'hex')` do.
///
/// # Errors
/// 22023; as [`Pace::look`].
pub fn parse_hex(text: &[u8], pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut rest = text;
    while let [high, behind @ ..] = rest {
        if matches!(high, b' ' | b'\n' | b'\t' | b'\r') {
            rest = behind;
            pace.advance(1)?;
            continue;
        }
        let high = NIBBLES[usize::from(*high)];
        if high == NO_DIGIT {
            return Err(no_digit(rest));
        }
        let [low, after @ ..] = behind else {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "invalid hexadecimal data: odd number of digits",
            ));
        };
        let low = NIBBLES[usize::from(*low)];
        if low == NO_DIGIT {
            return Err(no_digit(behind));
        }
        bytes.push(high << 4 | low);
        rest = after;
        if bytes.len().is_multiple_of(READ_AT_A_TIME) {
            pace.advance(2 * READ_AT_A_TIME)?;
        }
    }
    Ok(bytes)
}

#[cold]
fn no_digit(rest: &[u8]) -> Error {
    let shown = &rest[..rest.len().min(4)];
    let c = shown.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid hexadecimal digit: \"{c}\""))
}

/// Reads the escape form.
///
/// # Errors
/// 22P02; as [`Pace::look`].
pub fn parse_bytea_escape(text: &[u8], pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
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
        if bytes.len().is_multiple_of(READ_AT_A_TIME) {
            pace.advance(READ_AT_A_TIME)?;
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
