//! Integers: decimal, hexadecimal, octal and binary text with underscores, as PostgreSQL 16 and later read it.

use ochre_base::Result;

use super::{invalid_syntax, value_out_of_range};
use crate::numeric::is_space;

/// Reads an `int2`.
///
/// # Errors
/// 22P02, 22003.
pub fn parse_i16(text: &str) -> Result<i16> {
    narrow(text, "smallint")
}

/// Reads an `int4`.
///
/// # Errors
/// 22P02, 22003.
pub fn parse_i32(text: &str) -> Result<i32> {
    narrow(text, "integer")
}

/// Reads an `int8`.
///
/// # Errors
/// 22P02, 22003.
pub fn parse_i64(text: &str) -> Result<i64> {
    narrow(text, "bigint")
}

fn narrow<T: TryFrom<i128>>(text: &str, type_name: &str) -> Result<T> {
    let value = match plain(text.as_bytes()) {
        Some(value) => i128::from(value),
        None => match parse(text) {
            Parsed::Value(value) => value,
            Parsed::Syntax => return Err(invalid_syntax(type_name, text)),
            Parsed::Range => return Err(value_out_of_range(type_name, text)),
        },
    };
    T::try_from(value).map_err(|_| value_out_of_range(type_name, text))
}

/// The common case: an optional minus and up to 18 digits.
#[inline]
fn plain(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 || digits[0] == b'0' && digits.len() > 1 {
        return None;
    }
    let mut value = 0i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

enum Parsed {
    Value(i128),
    Syntax,
    Range,
}

fn parse(text: &str) -> Parsed {
    let trimmed = text.trim_matches(is_space);
    let (negative, body) = match trimmed.as_bytes() {
        [b'-', ..] => (true, &trimmed[1..]),
        [b'+', ..] => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let (radix, digits) = match body.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &body[2..]),
        [b'0', b'o' | b'O', ..] => (8, &body[2..]),
        [b'0', b'b' | b'B', ..] => (2, &body[2..]),
        _ => (10, body),
    };
    let bytes = digits.as_bytes();
    if bytes.is_empty() {
        return Parsed::Syntax;
    }
    let mut value: i128 = 0;
    let mut overflow = false;
    for (index, byte) in bytes.iter().enumerate() {
        if *byte == b'_' {
            // Between digits; after a radix prefix also in front.
            let before = index > 0 && bytes[index - 1] != b'_' || index == 0 && radix != 10;
            let after = bytes.get(index + 1).is_some_and(|next| (*next as char).is_digit(radix));
            if !before || !after {
                return Parsed::Syntax;
            }
            continue;
        }
        let Some(digit) = (*byte as char).to_digit(radix) else { return Parsed::Syntax };
        value = value * i128::from(radix) + i128::from(digit);
        if value > i128::from(u64::MAX) {
            overflow = true;
            value = i128::from(u64::MAX);
        }
    }
    if overflow { Parsed::Range } else { Parsed::Value(if negative { -value } else { value }) }
}

/// Reads `oid`, `xid` or `cid`: unsigned, where a minus wraps around as in C.
pub(super) fn parse_u32(text: &str, type_name: &str) -> Result<u32> {
    let value = unsigned(text, type_name)?;
    // Both an unsigned 32-bit value and a negative one that fits are taken.
    u32::try_from(value)
        .ok()
        .or_else(|| i32::try_from(value).ok().map(|value| value as u32))
        .ok_or_else(|| value_out_of_range(type_name, text))
}

/// Reads `xid8`.
pub(super) fn parse_u64(text: &str, type_name: &str) -> Result<u64> {
    let value = unsigned(text, type_name)?;
    u64::try_from(value)
        .ok()
        .or_else(|| i64::try_from(value).ok().map(|value| value as u64))
        .ok_or_else(|| value_out_of_range(type_name, text))
}

/// As C's strtoul with base 0: hexadecimal and octal prefixes, an optional sign.
fn unsigned(text: &str, type_name: &str) -> Result<i128> {
    let trimmed = text.trim_matches(is_space);
    let (negative, body) = match trimmed.as_bytes() {
        [b'-', ..] => (true, &trimmed[1..]),
        [b'+', ..] => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let (radix, digits) = match body.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &body[2..]),
        [b'0', _, ..] => (8, &body[1..]),
        _ => (10, body),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(invalid_syntax(type_name, text));
    }
    let value = i128::from_str_radix(digits, radix).map_err(|_| value_out_of_range(type_name, text))?;
    Ok(if negative { -value } else { value })
}

/// Two digits at a time halve the divisions.
const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Appends a signed integer's decimal text.
#[inline]
pub fn print_i64(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    print_u64(value.unsigned_abs(), out);
}

/// Appends an unsigned integer's decimal text.
#[inline]
pub fn print_u64(mut value: u64, out: &mut Vec<u8>) {
    let mut buffer = [0u8; 20];
    let mut start = buffer.len();
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        start -= 2;
        buffer[start..start + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        start -= 2;
        buffer[start..start + 2].copy_from_slice(&PAIRS[value as usize * 2..value as usize * 2 + 2]);
    } else {
        start -= 1;
        buffer[start] = b'0' + value as u8;
    }
    out.extend_from_slice(&buffer[start..]);
}

/// Appends `value` with at least `width` digits, zero-padded; at most 20.
pub(crate) fn print_padded(mut value: u64, width: usize, out: &mut Vec<u8>) {
    if width == 4 && value < 10_000 {
        let (high, low) = ((value / 100) as usize * 2, (value % 100) as usize * 2);
        out.extend_from_slice(&[PAIRS[high], PAIRS[high + 1], PAIRS[low], PAIRS[low + 1]]);
        return;
    }
    let mut buffer = [b'0'; 20];
    let mut start = buffer.len();
    while value > 0 {
        start -= 1;
        buffer[start] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    let printed = buffer.len() - start;
    out.extend_from_slice(&buffer[buffer.len() - printed.max(width)..]);
}
