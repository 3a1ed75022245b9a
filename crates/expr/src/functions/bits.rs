//! Functions of bit strings: `bit` and `varbit` alike, held as the number of bits (4 bytes, big-endian) and the bits.

use std::cmp::Ordering;

use ochre_base::{Error, Result, SqlState};
use ochre_types::compare::compare_bytes;
use ochre_types::{Pace, ValueOrder};

use super::Implementations;
use super::kernels::Bytes;
use super::large::Search;
use crate::CallContext;
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

    /// The eight bits from `index` on; what lies outside is zero.
    #[inline]
    fn eight(&self, index: i64) -> u8 {
        let byte = |at: i64| usize::try_from(at).ok().and_then(|at| self.bytes.get(at)).copied().unwrap_or(0);
        let (at, behind) = (index.div_euclid(8), index.rem_euclid(8));
        if behind == 0 { byte(at) } else { byte(at) << behind | byte(at + 1) >> (8 - behind) }
    }

    /// The bits of a range, as a held value.
    fn part(&self, range: std::ops::Range<usize>, pace: &mut Pace<'_>) -> Result<Vec<u8>> {
        held(range.len(), pace, |index| self.eight((range.start + index) as i64))
    }
}

/// A held value of so many bits; `eight` gives those from an index on, those past the end do not count.
fn held(length: usize, pace: &mut Pace<'_>, eight: impl Fn(usize) -> u8) -> Result<Vec<u8>> {
    let mut value = Vec::with_capacity(4 + length.div_ceil(8));
    value.extend_from_slice(&(length as u32).to_be_bytes());
    let count = length.div_ceil(8);
    for first in (0..count).step_by(BYTES_AT_A_TIME) {
        let last = (first + BYTES_AT_A_TIME).min(count);
        value.extend((first..last).map(|byte| eight(8 * byte)));
        pace.advance(last - first)?;
    }
    if !length.is_multiple_of(8)
        && let Some(last) = value.last_mut()
    {
        *last &= 0xFF << (8 - length % 8);
    }
    Ok(value)
}

/// Bytes that are made between two looks at whether to go on.
const BYTES_AT_A_TIME: usize = 1 << 12;

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
    r.c1::<Bytes, Vec<u8>>("bitnot", |call, a| {
        let a = Bits::of(a);
        held(a.length, &mut call.pace(), |index| !a.eight(index as i64))
    });
    r.c2::<Bytes, i32, Vec<u8>>("bitshiftleft", |call, a, n| shift_left(a, n.into(), &mut call.pace()));
    r.c2::<Bytes, i32, Vec<u8>>("bitshiftright", |call, a, n| shift_left(a, -i64::from(n), &mut call.pace()));
    r.c2::<Bytes, Bytes, Vec<u8>>("bitcat", |call, a, b| concatenate(a, b, &mut call.pace()));
    r.f1::<Bytes, i32>("bitlength", |a| Ok(Bits::of(a).length as i32));
    r.f1::<Bytes, i32>("bit_length(1560)", |a| Ok(Bits::of(a).length as i32));
    r.f1::<Bytes, i32>("bitoctetlength", |a| Ok(Bits::of(a).length.div_ceil(8) as i32));
    r.f1::<Bytes, i64>("bit_bit_count", |a| Ok(Bits::of(a).bytes.iter().map(|byte| i64::from(byte.count_ones())).sum()));
    r.c3::<Bytes, i32, i32, Vec<u8>>("bitsubstr", |call, a, start, length| substring(a, start, Some(length), &mut call.pace()));
    r.c2::<Bytes, i32, Vec<u8>>("bitsubstr_no_len", |call, a, start| substring(a, start, None, &mut call.pace()));
    r.c2::<Bytes, Bytes, i32>("bitposition", |call, a, part| {
        let place = position(&Bits::of(a), &Bits::of(part), &mut call.pace())?;
        Ok(place.map_or(0, |at| at as i32 + 1))
    });
    r.c4::<Bytes, Bytes, i32, i32, Vec<u8>>("bitoverlay", overlay);
    r.c3::<Bytes, Bytes, i32, Vec<u8>>("bitoverlay_no_len", |call, a, new, start| overlay(call, a, new, start, Bits::of(new).length as i32));
    r.f2::<Bytes, i32, i32>("bitgetbit", |a, n| {
        let a = Bits::of(a);
        Ok(a.bit(checked_index(&a, n)?).into())
    });
    r.f3::<Bytes, i32, i32, Vec<u8>>("bitsetbit", |held, n, value| {
        let at = checked_index(&Bits::of(held), n)?;
        if value != 0 && value != 1 {
            return Err(invalid_parameter("new bit must be 0 or 1"));
        }
        let mut changed = held.to_vec();
        let (byte, bit) = (4 + at / 8, 7 - at % 8);
        changed[byte] = changed[byte] & !(1 << bit) | (value as u8) << bit;
        Ok(changed)
    });
    r.c2::<i32, i32, Vec<u8>>("bitfromint4", |call, value, length| of_integer(value.into(), length, &mut call.pace()));
    r.c2::<i64, i32, Vec<u8>>("bitfromint8", |call, value, length| of_integer(value, length, &mut call.pace()));
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
fn shift_left(a: &[u8], n: i64, pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let a = Bits::of(a);
    held(a.length, pace, |index| a.eight(index as i64 + n))
}

fn concatenate(a: &[u8], b: &[u8], pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let (a, b) = (Bits::of(a), Bits::of(b));
    let length = a.length + b.length;
    if length as i64 > MAX_BITS {
        let message = format!("bit string length exceeds the maximum allowed ({MAX_BITS})");
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    held(length, pace, |index| a.eight(index as i64) | b.eight(index as i64 - a.length as i64))
}

fn substring(a: &[u8], start: i32, length: Option<i32>, pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let a = Bits::of(a);
    let (from, to) = super::text::substring_range(start, length)?;
    let from = from.min(a.length);
    a.part(from..to.clamp(from, a.length), pace)
}

/// Where a bit string occurs first, counted from 0.
///
/// Each way to lie across bytes is a search for bytes: those that a place of this kind has to itself. Its bits in the bytes
/// before and behind are compared where these are found.
fn position(a: &Bits<'_>, part: &Bits<'_>, pace: &mut Pace<'_>) -> Result<Option<usize>> {
    let Some(last) = a.length.checked_sub(part.length) else { return Ok(None) };
    let same =
        |at: usize, range: std::ops::Range<usize>| range.into_iter().all(|i| a.bit(at + i) == part.bit(i));
    if part.length < 16 {
        for at in 0..=last {
            if same(at, 0..part.length) {
                return Ok(Some(at));
            }
            pace.advance(part.length)?;
        }
        return Ok(None);
    }
    let mut best: Option<usize> = None;
    for head in 0..8 {
        let whole = (part.length - head) / 8;
        let inner = part.part(head..head + 8 * whole, pace)?;
        let search = Search::new(&inner[4..], pace)?;
        // The first byte of all that a place may have to itself; the head lies in the byte before.
        let mut from = usize::from(head > 0);
        while let Some(found) = search.find(a.bytes.get(from..).unwrap_or_default(), pace)? {
            let at = 8 * (from + found) - head;
            if at > last || best.is_some_and(|best| at >= best) {
                break;
            }
            if same(at, 0..head) && same(at, head + 8 * whole..part.length) {
                best = Some(at);
                break;
            }
            pace.advance(8)?;
            from += found + 1;
        }
    }
    Ok(best)
}

fn overlay(call: &CallContext<'_, '_>, a: &[u8], new: &[u8], start: i32, length: i32) -> Result<Vec<u8>> {
    if start <= 0 {
        return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let behind = start.checked_add(length).ok_or_else(|| out_of_range("integer"))?;
    let pace = &mut call.pace();
    let front = substring(a, 1, Some(start - 1), pace)?;
    concatenate(&concatenate(&front, new, pace)?, &substring(a, behind, None, pace)?, pace)
}

fn checked_index(a: &Bits<'_>, n: i32) -> Result<usize> {
    usize::try_from(n).ok().filter(|n| *n < a.length).ok_or_else(|| {
        let message = format!("bit index {n} out of valid range (0..{})", a.length as i64 - 1);
        Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
    })
}

/// The last bits of a number, as many as the length says; its sign stands before them where there are more.
fn of_integer(value: i64, length: i32, pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let length =
        usize::try_from(length).ok().filter(|length| (1..=MAX_BITS as usize).contains(length)).unwrap_or(1);
    held(length, pace, |index| {
        // As if more zeros followed.
        (0..8).fold(0, |eight, bit| {
            let place = (length - 1).checked_sub(index + bit);
            eight << 1 | place.map_or(0, |place| (value >> place.min(63) & 1) as u8)
        })
    })
}

/// The number that at most 64 bits are.
fn number(a: &Bits<'_>) -> u64 {
    (0..a.length).fold(0, |number, index| number << 1 | u64::from(a.bit(index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bits: &str) -> Vec<u8> {
        let eight = |index: usize| {
            let digits = bits.bytes().skip(index).chain(std::iter::repeat(b'0')).take(8);
            digits.fold(0, |eight, digit| eight << 1 | (digit - b'0'))
        };
        held(bits.len(), &mut Pace::never(), eight).unwrap()
    }

    fn text(value: &[u8]) -> String {
        let bits = Bits::of(value);
        (0..bits.length).map(|index| if bits.bit(index) { '1' } else { '0' }).collect()
    }

    #[test]
    fn bits_are_moved_and_found_as_texts_are() {
        let pace = &mut Pace::never();
        let mut state = 3u64;
        let mut random = |limit: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % limit
        };
        for _ in 0..3000 {
            // Few ones, so that long parts occur more than once.
            let mut digits = |limit: usize, sparse: usize| -> String {
                (0..random(limit)).map(|_| if random(sparse) == 0 { '1' } else { '0' }).collect()
            };
            let (a, b) = (digits(120, 12), digits(50, 12));
            let (va, vb) = (value(&a), value(&b));
            assert_eq!(text(&va), a);
            assert_eq!(text(&concatenate(&va, &vb, pace).unwrap()), format!("{a}{b}"));
            assert_eq!(position(&Bits::of(&va), &Bits::of(&vb), pace).unwrap(), a.find(&b), "{b} in {a}");
            if !a.is_empty() {
                let from = random(a.len());
                let to = from + random(a.len() - from + 1);
                let part = Bits::of(&va).part(from..to, pace).unwrap();
                assert_eq!(text(&part), a[from..to]);
                assert_eq!(position(&Bits::of(&va), &Bits::of(&part), pace).unwrap(), a.find(&a[from..to]));
                let n = random(a.len() + 3);
                let left = format!("{}{}", a.get(n..).unwrap_or(""), "0".repeat(n.min(a.len())));
                assert_eq!(text(&shift_left(&va, n as i64, pace).unwrap()), left);
                let right = format!("{}{}", "0".repeat(n.min(a.len())), &a[..a.len().saturating_sub(n)]);
                assert_eq!(text(&shift_left(&va, -(n as i64), pace).unwrap()), right);
            }
        }
        assert_eq!(text(&of_integer(-3, 70, pace).unwrap()), "1".repeat(68) + "01");
        assert_eq!(text(&of_integer(5, 2, pace).unwrap()), "01");
    }
}
