//! `bit` and `varbit`: held as the number of bits (4 bytes big-endian), then the bits, the last byte zero-padded.

use ochre_base::{Error, Result, SqlState};

use crate::Pace;

/// Digits that are read or printed between two looks at whether to go on.
const DIGITS_AT_A_TIME: usize = 1 << 12;

/// Reads bits from text: `101`, `b101` or `x1f`.
pub(super) fn parse(text: &str, pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let (radix, digits) = match text.as_bytes() {
        [b'b' | b'B', ..] => (2, &text[1..]),
        [b'x' | b'X', ..] => (16, &text[1..]),
        _ => (2, text),
    };
    let width = if radix == 2 { 1 } else { 4 };
    let mut count = 0;
    for piece in digits.as_bytes().chunks(DIGITS_AT_A_TIME) {
        count += piece.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        pace.advance(piece.len())?;
    }
    let length = count * width;
    let mut bytes = vec![0u8; 4 + length.div_ceil(8)];
    bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
    for (index, c) in digits.chars().enumerate() {
        let Some(digit) = c.to_digit(radix) else {
            let kind = if radix == 2 { "binary" } else { "hexadecimal" };
            return Err(Error::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("\"{c}\" is not a valid {kind} digit"),
            ));
        };
        if index % DIGITS_AT_A_TIME == DIGITS_AT_A_TIME - 1 {
            pace.advance(DIGITS_AT_A_TIME)?;
        }
        let bit = index * width;
        bytes[4 + bit / 8] |= (digit as u8) << (8 - width - bit % 8);
    }
    Ok(bytes)
}

/// The number of bits of a held value.
pub(crate) fn bit_length(value: &[u8]) -> usize {
    value.first_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length) as usize)
}

pub(super) fn print(value: &[u8], pace: &mut Pace<'_>, out: &mut Vec<u8>) -> Result<()> {
    let bits = value.get(4..).unwrap_or_default();
    let length = bit_length(value).min(bits.len() * 8);
    for first in (0..length).step_by(DIGITS_AT_A_TIME) {
        let last = (first + DIGITS_AT_A_TIME).min(length);
        out.extend((first..last).map(|bit| b'0' + (bits[bit / 8] >> (7 - bit % 8) & 1)));
        pace.advance(last - first)?;
    }
    Ok(())
}

/// The value cut or zero-padded to `length` bits.
pub(crate) fn resize(value: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = value.to_vec();
    bytes.resize(4 + length.div_ceil(8), 0);
    bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
    if !length.is_multiple_of(8)
        && let Some(last) = bytes.get_mut(4 + length / 8)
    {
        *last &= 0xFFu8 << (8 - length % 8);
    }
    bytes
}
