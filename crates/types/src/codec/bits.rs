//! `bit` and `varbit`: held as the number of bits (4 bytes big-endian), then the bits, the last byte zero-padded.

use ochre_base::{Error, Result, SqlState};

/// Reads bits from text: `101`, `b101` or `x1f`.
pub(super) fn parse(text: &str, fixed: bool) -> Result<Vec<u8>> {
    let _ = fixed;
    let (radix, digits) = match text.as_bytes() {
        [b'b' | b'B', ..] => (2, &text[1..]),
        [b'x' | b'X', ..] => (16, &text[1..]),
        _ => (2, text),
    };
    let width = if radix == 2 { 1 } else { 4 };
    let length = digits.chars().count() * width;
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
        let bit = index * width;
        bytes[4 + bit / 8] |= (digit as u8) << (8 - width - bit % 8);
    }
    Ok(bytes)
}

/// The number of bits of a held value.
pub(crate) fn bit_length(value: &[u8]) -> usize {
    value.first_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length) as usize)
}

pub(super) fn print(value: &[u8], out: &mut Vec<u8>) {
    let bits = value.get(4..).unwrap_or_default();
    out.extend(
        (0..bit_length(value).min(bits.len() * 8)).map(|bit| b'0' + (bits[bit / 8] >> (7 - bit % 8) & 1)),
    );
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
