//! Types whose forms take a few lines: bool, "char", name, uuid, tid, pg_lsn.

use ochre_base::limits::MAX_IDENTIFIER_BYTES;
use ochre_base::{Result, RowId};

use super::{invalid_syntax, print_u64};
use crate::numeric::is_space;

/// Reads a `bool`: any unambiguous beginning of true, false, yes, no, on, off; 1 and 0.
///
/// # Errors
/// 22P02.
pub fn parse_bool(text: &str) -> Result<bool> {
    let word = text.trim_matches(is_space);
    let starts = |full: &str, least: usize| {
        word.len() >= least && word.len() <= full.len() && full[..word.len()].eq_ignore_ascii_case(word)
    };
    if !word.is_ascii() {
        return Err(invalid_syntax("boolean", text));
    }
    if starts("true", 1) || starts("yes", 1) || starts("on", 2) || word == "1" {
        Ok(true)
    } else if starts("false", 1) || starts("no", 1) || starts("off", 2) || word == "0" {
        Ok(false)
    } else {
        Err(invalid_syntax("boolean", text))
    }
}

/// A name's text, cut to 63 bytes at a character's end.
pub(super) fn truncate_name(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_IDENTIFIER_BYTES)]
}

/// Reads a `"char"`: the first byte, or a byte above 127 as `\ooo`.
pub(super) fn parse_char(text: &str) -> u8 {
    match text.as_bytes() {
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
            (a - b'0') * 64 + (b - b'0') * 8 + (c - b'0')
        }
        bytes => bytes.first().copied().unwrap_or(0),
    }
}

pub(super) fn print_char(value: u8, out: &mut Vec<u8>) {
    match value {
        0 => {}
        0x80.. => {
            out.extend_from_slice(&[b'\\', b'0' + (value >> 6), b'0' + (value >> 3 & 7), b'0' + (value & 7)])
        }
        plain => out.push(plain),
    }
}

/// Reads a `uuid`: 32 hexadecimal digits, hyphens after any group of four, braces around.
///
/// # Errors
/// 22P02.
pub fn parse_uuid(text: &str) -> Result<[u8; 16]> {
    let invalid = || invalid_syntax("uuid", text);
    let mut body = text.as_bytes();
    if let [b'{', inner @ ..] = body {
        body = inner.strip_suffix(b"}").ok_or_else(invalid)?;
    }
    let mut uuid = [0u8; 16];
    for (index, byte) in uuid.iter_mut().enumerate() {
        let [high, low, rest @ ..] = body else { return Err(invalid()) };
        let digit = |hex: u8| (hex as char).to_digit(16).map(|digit| digit as u8).ok_or_else(invalid);
        *byte = digit(*high)? << 4 | digit(*low)?;
        body = rest;
        if index % 2 == 1
            && index < 15
            && let [b'-', rest @ ..] = body
        {
            body = rest;
        }
    }
    if body.is_empty() { Ok(uuid) } else { Err(invalid()) }
}

/// Appends a `uuid`'s text.
pub fn print_uuid(uuid: &[u8; 16], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (index, byte) in uuid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&[DIGITS[(byte >> 4) as usize], DIGITS[(byte & 15) as usize]]);
    }
}

/// Reads a `tid`: `(block,slot)` with slots counted from 1.
pub(super) fn parse_tid(text: &str) -> Result<i64> {
    let parts = text
        .trim_matches(is_space)
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .and_then(|inner| inner.split_once(','))
        .and_then(|(block, slot)| {
            Some((block.trim_start().parse::<u32>().ok()?, slot.trim_start().parse::<u16>().ok()?))
        });
    let (block, slot) = parts.ok_or_else(|| invalid_syntax("tid", text))?;
    // Slot 0 names no row: it is kept as the address that is past every row of the block.
    Ok(RowId::new(block, slot.wrapping_sub(1)).to_u64() as i64)
}

pub(super) fn print_tid(value: i64, out: &mut Vec<u8>) {
    let row = RowId::from_u64(value as u64);
    out.push(b'(');
    print_u64(u64::from(row.block.0), out);
    out.push(b',');
    print_u64(u64::from(row.slot.wrapping_add(1)), out);
    out.push(b')');
}

/// Reads a `pg_lsn`.
pub(super) fn parse_lsn(text: &str) -> Result<u64> {
    let part = |half: &str| {
        let valid = (1..=8).contains(&half.len()) && half.bytes().all(|byte| byte.is_ascii_hexdigit());
        valid.then(|| u32::from_str_radix(half, 16).ok()).flatten()
    };
    text.split_once('/')
        .and_then(|(high, low)| Some((u64::from(part(high)?) << 32) | u64::from(part(low)?)))
        .ok_or_else(|| invalid_syntax("pg_lsn", text))
}

pub(super) fn print_lsn(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{:X}/{:X}", value >> 32, value as u32).as_bytes());
}
