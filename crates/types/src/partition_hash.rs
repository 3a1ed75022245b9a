//! The hash by which rows are given to hash partitions: PostgreSQL's, so that a row goes to the same partition in both.
//!
//! # References
//! Bob Jenkins, "lookup3.c" (2006, public domain): the mixing steps. The extended hash functions of PostgreSQL's types, with the
//! seed that partitioning gives them.

use crate::compare::trim_blanks;
use crate::interval::Interval;
use crate::{Datum, Numeric, SqlType, oids};

/// The seed of the hash of each key column.
const SEED: u64 = 0x7A5B_2236_7996_DCFD;

/// What the state of lookup3 begins with, before the length is added.
const INITIAL: u32 = 0x9e37_79b9 + 3_923_095;

struct State {
    a: u32,
    b: u32,
    c: u32,
}

impl State {
    fn new(length: usize, seed: u64) -> State {
        let start = INITIAL.wrapping_add(length as u32);
        let mut state = State { a: start, b: start, c: start };
        if seed != 0 {
            state.a = state.a.wrapping_add((seed >> 32) as u32);
            state.b = state.b.wrapping_add(seed as u32);
            state.mix();
        }
        state
    }

    fn mix(&mut self) {
        let State { a, b, c } = self;
        let step = |x: &mut u32, y: &mut u32, z: &mut u32, rotation: u32| {
            *x = x.wrapping_sub(*y);
            *x ^= y.rotate_left(rotation);
            *y = y.wrapping_add(*z);
        };
        step(a, c, b, 4);
        step(b, a, c, 6);
        step(c, b, a, 8);
        step(a, c, b, 16);
        step(b, a, c, 19);
        step(c, b, a, 4);
    }

    fn finish(mut self) -> u64 {
        let State { a, b, c } = &mut self;
        let step = |x: &mut u32, y: &u32, rotation: u32| {
            *x ^= *y;
            *x = x.wrapping_sub(y.rotate_left(rotation));
        };
        step(c, b, 14);
        step(a, c, 11);
        step(b, a, 25);
        step(c, b, 16);
        step(a, c, 4);
        step(b, a, 14);
        step(c, b, 24);
        u64::from(self.b) << 32 | u64::from(self.c)
    }
}

fn hash_u32(value: u32, seed: u64) -> u64 {
    let mut state = State::new(4, seed);
    state.a = state.a.wrapping_add(value);
    state.finish()
}

fn hash_i64(value: i64, seed: u64) -> u64 {
    let (low, high) = (value as u32, (value >> 32) as u32);
    hash_u32(low ^ if value >= 0 { high } else { !high }, seed)
}

/// Up to four bytes, the first the lowest.
fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// PostgreSQL's hash of bytes; what is on disk rests on it.
pub(crate) fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    let mut state = State::new(bytes.len(), seed);
    let mut blocks = bytes.chunks_exact(12);
    for block in &mut blocks {
        state.a = state.a.wrapping_add(word(&block[..4]));
        state.b = state.b.wrapping_add(word(&block[4..8]));
        state.c = state.c.wrapping_add(word(&block[8..]));
        state.mix();
    }
    let rest = blocks.remainder();
    let part = |from: usize, to: usize| word(rest.get(from..to.min(rest.len())).unwrap_or_default());
    state.a = state.a.wrapping_add(part(0, 4));
    state.b = state.b.wrapping_add(part(4, 8));
    // The lowest byte of the third word is the length's.
    state.c = state.c.wrapping_add(part(8, 11) << 8);
    state.finish()
}

fn hash_f64(value: f64, seed: u64) -> u64 {
    if value == 0.0 {
        return seed;
    }
    let bits = if value.is_nan() { 0x7ff8_0000_0000_0000 } else { value.to_bits() };
    hash_bytes(&bits.to_le_bytes(), seed)
}

fn hash_interval(value: &Interval, seed: u64) -> u64 {
    let days = i128::from(value.months) * 30 + i128::from(value.days);
    let span = i128::from(value.micros) + days * 86_400_000_000;
    hash_i64(span as i64, seed)
}

/// A numeric's digits in base 10,000 without zeros at the ends, and the weight of the first.
fn hash_numeric(value: &Numeric, seed: u64) -> u64 {
    let text = value.to_string();
    let text = text.trim_start_matches('-');
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return seed;
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut padded = "0".repeat((4 - whole.len() % 4) % 4);
    padded.push_str(whole);
    let mut weight = (padded.len() / 4) as i64 - 1;
    padded.push_str(fraction);
    padded.push_str(&"0".repeat((4 - padded.len() % 4) % 4));
    let digits: Vec<i16> = padded
        .as_bytes()
        .chunks(4)
        .map(|four| four.iter().fold(0, |n, d| n * 10 + i16::from(d - b'0')))
        .collect();
    let Some(first) = digits.iter().position(|digit| *digit != 0) else { return seed.wrapping_sub(1) };
    let last = digits.iter().rposition(|digit| *digit != 0).unwrap_or(first);
    weight -= first as i64;
    let bytes: Vec<u8> = digits[first..=last].iter().flat_map(|digit| digit.to_le_bytes()).collect();
    hash_bytes(&bytes, seed) ^ weight as u64
}

/// The hash of one value of a type; `None` for types that have none here.
fn hash_value(ty: SqlType, value: &Datum) -> Option<u64> {
    Some(match value {
        Datum::Bool(value) => hash_u32(u32::from(*value), SEED),
        Datum::Char(value) => hash_u32(i32::from(*value as i8) as u32, SEED),
        Datum::Int16(value) => hash_u32(i32::from(*value) as u32, SEED),
        Datum::Int32(value) => hash_u32(*value as u32, SEED),
        Datum::UInt32(value) => hash_u32(*value, SEED),
        Datum::Int64(value) if ty.oid != oids::TID => hash_i64(*value, SEED),
        Datum::Float32(value) => hash_f64(f64::from(*value), SEED),
        Datum::Float64(value) => hash_f64(*value, SEED),
        Datum::Numeric(value) => hash_numeric(value, SEED),
        Datum::Uuid(value) => hash_bytes(value, SEED),
        Datum::Interval(value) => hash_interval(value, SEED),
        Datum::Bytes(value) => match ty.oid {
            oids::TEXT | oids::VARCHAR | oids::NAME | oids::BYTEA => hash_bytes(value, SEED),
            oids::BPCHAR => hash_bytes(trim_blanks(value), SEED),
            _ => return None,
        },
        _ => return None,
    })
}

/// Whether values of a type can be hashed for partitioning.
pub fn has_partition_hash(ty: SqlType) -> bool {
    use crate::PhysicalType as P;
    match ty.physical {
        P::Bytes => {
            matches!(ty.oid, oids::TEXT | oids::VARCHAR | oids::NAME | oids::BYTEA | oids::BPCHAR)
        }
        P::Int64 => !matches!(ty.oid, oids::TID | oids::MONEY),
        P::Bool | P::Char | P::Int16 | P::Int32 | P::UInt32 | P::Float32 | P::Float64 => true,
        P::Numeric | P::Uuid | P::Interval => true,
        _ => false,
    }
}

/// The hash of a partition key; `None` when a type has none here.
pub fn partition_hash(types: &[SqlType], values: &[Datum]) -> Option<u64> {
    let mut hash = 0_u64;
    for (ty, value) in types.iter().zip(values) {
        if value.is_null() {
            continue;
        }
        let next = hash_value(*ty, value)?;
        let mixed = next.wrapping_add(0x49a0_f4dd_15e5_a8e3).wrapping_add(hash << 54).wrapping_add(hash >> 7);
        hash ^= mixed;
    }
    Some(hash)
}
