//! Bytes as text and back: `encode` and `decode`.

use ochre_base::{Error, Result};
use ochre_types::{Pace, parse_bytea_escape, parse_hex};

use super::large::{PIECE_BYTES, first_character};
use crate::errors::invalid_parameter;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// What stands in [`VALUES`] for a byte that is no symbol.
const NO_SYMBOL: u8 = 0xFF;
/// The value of each symbol of base 64.
const VALUES: [u8; 256] = {
    let mut values = [NO_SYMBOL; 256];
    let mut index = 0;
    while index < 64 {
        values[BASE64[index] as usize] = index as u8;
        index += 1;
    }
    values
};
/// Symbols in a line of base 64, and the bytes that they stand for.
const LINE_SYMBOLS: usize = 76;
const LINE_BYTES: usize = LINE_SYMBOLS / 4 * 3;

fn unknown(format: &str) -> Error {
    invalid_parameter(format!("unrecognized encoding: \"{format}\""))
}

pub(super) fn encode(bytes: &[u8], format: &str, pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match format.to_ascii_lowercase().as_str() {
        "hex" => {
            out.reserve(2 * bytes.len());
            pace.pieces(bytes, &mut out, append_hex)?;
        }
        "base64" => {
            for (number, line) in bytes.chunks(LINE_BYTES).enumerate() {
                if number > 0 {
                    out.push(b'\n');
                }
                append_base64(line, &mut out);
                pace.advance(line.len())?;
            }
        }
        "escape" => pace.pieces(bytes, &mut out, |piece, out| {
            for byte in piece {
                match byte {
                    0 | 128.. => {
                        out.extend([b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)])
                    }
                    b'\\' => out.extend_from_slice(b"\\\\"),
                    _ => out.push(*byte),
                }
            }
        })?,
        _ => return Err(unknown(format)),
    }
    Ok(out)
}

/// Appends two hexadecimal digits a byte.
pub(super) fn append_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
    );
}

fn append_base64(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, byte| (group << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            out.push(if i <= chunk.len() { BASE64[(group >> (18 - 6 * i) & 63) as usize] } else { b'=' });
        }
    }
}

pub(super) fn decode(text: &[u8], format: &str, pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => parse_hex(text, pace),
        "base64" => decode_base64(text, pace),
        "escape" => parse_bytea_escape(text, pace),
        _ => Err(unknown(format)),
    }
}

fn decode_base64(text: &[u8], pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut count, mut padding) = (0u32, 0, 0);
    for (number, piece) in text.chunks(PIECE_BYTES).enumerate() {
        for (at, byte) in piece.iter().enumerate() {
            let value = match (VALUES[usize::from(*byte)], byte) {
                (NO_SYMBOL, b' ' | b'\n' | b'\t' | b'\r') => continue,
                (NO_SYMBOL, b'=') => {
                    if padding == 0 && count < 2 {
                        return Err(invalid_parameter("unexpected \"=\" while decoding base64 sequence"));
                    }
                    padding += 1;
                    0
                }
                (value, _) if value != NO_SYMBOL && padding == 0 => u32::from(value),
                _ => return Err(no_symbol(&text[number * PIECE_BYTES + at..])),
            };
            group = (group << 6) | value;
            count += 1;
            if count == 4 {
                out.extend_from_slice(&group.to_be_bytes()[1..4 - padding.min(2)]);
                (group, count) = (0, 0);
            }
        }
        pace.advance(piece.len())?;
    }
    if count != 0 {
        return Err(invalid_parameter("invalid base64 end sequence")
            .hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
    }
    Ok(out)
}

#[cold]
fn no_symbol(rest: &[u8]) -> Error {
    let c = first_character(rest).unwrap_or(char::REPLACEMENT_CHARACTER);
    invalid_parameter(format!("invalid symbol \"{c}\" found while decoding base64 sequence"))
}
