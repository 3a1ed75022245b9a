//! Functions of bit strings: `bit` and `varbit` alike, held as the number of bits (4 bytes, big-endian) and the bits.

use std::cmp::Ordering;

use ochre_base::{Error, Result, SqlState};
use ochre_types::ValueOrder;
use ochre_types::compare::compare_bytes;

use super::Implementations;
use super::kernels::Bytes;
use crate::errors::{invalid_parameter, out_of_range};

/// The longest bit string, in bits.
const MAX_BITS: i64 = 83_886_080;

/// A bit string taken apart: the last byte is padded with zeros.
struct Bits<'a> {
    length: usize,
    bytes: &'a [u8],
}

impl<'a> Bits<'a> {
    fn of(value: &'a [u8]) -> Bits<'a> {
        match value.split_first_chunk::<4>() {
            Some((length, bytes)) => Bits { length: u32::from_be_bytes(*length) as usize, bytes },
            None => Bits { length: 0, bytes: &[] },
        }
    }

    fn bit(&self, index: usize) -> bool {
        self.bytes.get(index / 8).is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1)
    }

    /// The bits of a range, as a held value.
    fn part(&self, range: std::ops::Range<usize>) -> Vec<u8> {
        held(range.len(), range.map(|index| self.bit(index)))
    }
}

/// A held value of so many bits.
fn held(length: usize, bits: impl Iterator<Item = bool>) -> Vec<u8> {
    let mut value = vec![0u8; 4 + length.div_ceil(8)];
    value[..4].copy_from_slice(&(length as u32).to_be_bytes());
    for (index, bit) in bits.take(length).enumerate() {
        value[4 + index / 8] |= u8::from(bit) << (7 - index % 8);
    }
    value
}

#[rustfmt::skip]
pub(super) fn register(r: &mut Implementations) {
    for (source, holds) in [
        ("biteq", Ordering::is_eq as fn(Ordering) -> bool), ("bitne", Ordering::is_ne), ("bitlt", Ordering::is_lt),
        ("bitle", Ordering::is_le), ("bitgt", Ordering::is_gt), ("bitge", Ordering::is_ge),
    ] {
        r.f2::<Bytes, Bytes, bool>(source, move |a, b| Ok(holds(compare_bytes(a, b, ValueOrder::Bits))));
    }
    r.f2::<Bytes, Bytes, i32>("bitcmp", |a, b| Ok(compare_bytes(a, b, ValueOrder::Bits) as i32));
    r.f2::<Bytes, Bytes, Vec<u8>>("bit_and", |a, b| combine(a, b, "AND", |a, b| a & b));
    r.f2::<Bytes, Bytes, Vec<u8>>("bit_or", |a, b| combine(a, b, "OR", |a, b| a | b));
    r.f2::<Bytes, Bytes, Vec<u8>>("bitxor", |a, b| combine(a, b, "XOR", |a, b| a ^ b));
    r.f1::<Bytes, Vec<u8>>("bitnot", |a| {
        let a = Bits::of(a);
        Ok(held(a.length, (0..a.length).map(|index| !a.bit(index))))
    });
    r.f2::<Bytes, i32, Vec<u8>>("bitshiftleft", |a, n| Ok(shift_left(a, n.into())));
    r.f2::<Bytes, i32, Vec<u8>>("bitshiftright", |a, n| Ok(shift_left(a, -i64::from(n))));
    r.f2::<Bytes, Bytes, Vec<u8>>("bitcat", concatenate);
    r.f1::<Bytes, i32>("bitlength", |a| Ok(Bits::of(a).length as i32));
    r.f1::<Bytes, i32>("bit_length(1560)", |a| Ok(Bits::of(a).length as i32));
    r.f1::<Bytes, i32>("bitoctetlength", |a| Ok(Bits::of(a).length.div_ceil(8) as i32));
    r.f1::<Bytes, i64>("bit_bit_count", |a| Ok(Bits::of(a).bytes.iter().map(|byte| i64::from(byte.count_ones())).sum()));
    r.f3::<Bytes, i32, i32, Vec<u8>>("bitsubstr", |a, start, length| substring(a, start, Some(length)));
    r.f2::<Bytes, i32, Vec<u8>>("bitsubstr_no_len", |a, start| substring(a, start, None));
    r.f2::<Bytes, Bytes, i32>("bitposition", |a, part| Ok(position(&Bits::of(a), &Bits::of(part))));
    r.f4::<Bytes, Bytes, i32, i32, Vec<u8>>("bitoverlay", overlay);
    r.f3::<Bytes, Bytes, i32, Vec<u8>>("bitoverlay_no_len", |a, new, start| overlay(a, new, start, Bits::of(new).length as i32));
    r.f2::<Bytes, i32, i32>("bitgetbit", |a, n| {
        let a = Bits::of(a);
        Ok(a.bit(checked_index(&a, n)?).into())
    });
    r.f3::<Bytes, i32, i32, Vec<u8>>("bitsetbit", |a, n, value| {
        let a = Bits::of(a);
        let at = checked_index(&a, n)?;
        if value != 0 && value != 1 {
            return Err(invalid_parameter("new bit must be 0 or 1"));
        }
        Ok(held(a.length, (0..a.length).map(|index| if index == at { value == 1 } else { a.bit(index) })))
    });
    r.f2::<i32, i32, Vec<u8>>("bitfromint4", |value, length| Ok(of_integer(value.into(), length)));
    r.f2::<i64, i32, Vec<u8>>("bitfromint8", |value, length| Ok(of_integer(value, length)));
    r.f1::<Bytes, i32>("bittoint4", |a| match Bits::of(a) {
        a if a.length > 32 => Err(out_of_range("integer")),
        a => Ok(number(&a) as u32 as i32),
    });
    r.f1::<Bytes, i64>("bittoint8", |a| match Bits::of(a) {
        a if a.length > 64 => Err(out_of_range("bigint")),
        a => Ok(number(&a) as i64),
    });
}

/// Combines two bit strings of one length bit by bit.
///
/// # Errors
/// 22026 for two lengths; `verb` is what the error says cannot be done.
pub(crate) fn combine(a: &[u8], b: &[u8], verb: &str, of: impl Fn(u8, u8) -> u8) -> Result<Vec<u8>> {
    if a.get(..4) != b.get(..4) {
        let message = format!("cannot {verb} bit strings of different sizes");
        return Err(Error::new(SqlState::STRING_DATA_LENGTH_MISMATCH, message));
    }
    let head = a.len().min(4);
    let bits = a[head..].iter().zip(&b[head..]).map(|(a, b)| of(*a, *b));
    Ok(a[..head].iter().copied().chain(bits).collect())
}

/// The bits moved to the front by `n` places, or to the end where that is negative.
fn shift_left(a: &[u8], n: i64) -> Vec<u8> {
    let a = Bits::of(a);
    let from = |index: usize| usize::try_from(index as i64 + n).ok().filter(|from| *from < a.length);
    held(a.length, (0..a.length).map(|index| from(index).is_some_and(|from| a.bit(from))))
}

fn concatenate(a: &[u8], b: &[u8]) -> Result<Vec<u8>> {
    let (a, b) = (Bits::of(a), Bits::of(b));
    let length = a.length + b.length;
    if length as i64 > MAX_BITS {
        let message = format!("bit string length exceeds the maximum allowed ({MAX_BITS})");
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    let bits = (0..a.length).map(|index| a.bit(index)).chain((0..b.length).map(|index| b.bit(index)));
    Ok(held(length, bits))
}

fn substring(a: &[u8], start: i32, length: Option<i32>) -> Result<Vec<u8>> {
    let a = Bits::of(a);
    let (from, to) = super::text::substring_range(start, length)?;
    let from = from.min(a.length);
    Ok(a.part(from..to.clamp(from, a.length)))
}

/// Where a bit string occurs first, counted from 1; 0: nowhere.
fn position(a: &Bits<'_>, part: &Bits<'_>) -> i32 {
    let Some(last) = a.length.checked_sub(part.length) else { return 0 };
    let fits = |at: &usize| (0..part.length).all(|index| a.bit(at + index) == part.bit(index));
    (0..=last).find(fits).map_or(0, |at| at as i32 + 1)
}

fn overlay(a: &[u8], new: &[u8], start: i32, length: i32) -> Result<Vec<u8>> {
    if start <= 0 {
        return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let behind = start.checked_add(length).ok_or_else(|| out_of_range("integer"))?;
    let front = substring(a, 1, Some(start - 1))?;
    concatenate(&concatenate(&front, new)?, &substring(a, behind, None)?)
}

fn checked_index(a: &Bits<'_>, n: i32) -> Result<usize> {
    usize::try_from(n).ok().filter(|n| *n < a.length).ok_or_else(|| {
        let message = format!("bit index {n} out of valid range (0..{})", a.length as i64 - 1);
        Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
    })
}

/// The last bits of a number, as many as the length says; its sign stands before them where there are more.
fn of_integer(value: i64, length: i32) -> Vec<u8> {
    let length =
        usize::try_from(length).ok().filter(|length| (1..=MAX_BITS as usize).contains(length)).unwrap_or(1);
    held(length, (0..length).map(|index| value >> (length - 1 - index).min(63) & 1 == 1))
}

/// The number that at most 64 bits are.
fn number(a: &Bits<'_>) -> u64 {
    (0..a.length).fold(0, |number, index| number << 1 | u64::from(a.bit(index)))
}
