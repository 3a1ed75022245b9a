//! Which keys a join has on its build side: handed down to the scans of the other side, which leave other rows out.
//!
//! # How
//! Keys are integers. When they lie close together there is one bit for each value between the smallest and the largest;
//! otherwise a Bloom filter with two bits a key in one word, which lets a few more through. A sort that keeps the first rows
//! hands down the range of what may still be among them, which shrinks while the scans run.
//!
//! # Invariants
//! - KF1: a key that was put in always passes. A row that passes need not have a partner.
//! - KF2: NULL is no key of a join's set, but passes a range, whatever that is.

use std::sync::atomic::{AtomicI64, Ordering};

use ochre_types::{Column, ColumnValues};

use crate::key_table::hash_word;

/// More values than this between the smallest and the largest key are not given a bit each.
const MAX_DIRECT_BITS: u64 = 1 << 26;

/// A set of integers.
#[derive(Debug)]
pub struct KeyFilter {
    low: i64,
    high: i64,
    bits: Bits,
}

#[derive(Debug)]
enum Bits {
    Direct(Vec<u64>),
    Bloom {
        words: Vec<u64>,
        shift: u32,
    },
    /// Everything between two values.
    Range {
        low: AtomicI64,
        high: AtomicI64,
    },
}

impl KeyFilter {
    /// The integers of a column; `None` for a column of anything else.
    pub fn of(column: &Column) -> Option<KeyFilter> {
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        each_integer(column, &mut |value| {
            low = low.min(value);
            high = high.max(value);
        })?;
        if low > high {
            return Some(KeyFilter { low: 1, high: 0, bits: Bits::Direct(Vec::new()) });
        }
        let span = high.wrapping_sub(low) as u64;
        let rows = column.len() as u64;
        let mut filter = if span < MAX_DIRECT_BITS && span / 64 <= rows * 4 + 256 {
            KeyFilter { low, high, bits: Bits::Direct(vec![0; span as usize / 64 + 1]) }
        } else {
            let words = (rows / 4).next_power_of_two().max(16);
            let shift = 64 - words.trailing_zeros();
            KeyFilter { low, high, bits: Bits::Bloom { words: vec![0; words as usize], shift } }
        };
        each_integer(column, &mut |value| filter.insert(value))?;
        Some(filter)
    }

    /// All integers, and NULL, until [`KeyFilter::tighten`] says otherwise.
    pub fn range() -> KeyFilter {
        let bits = Bits::Range { low: AtomicI64::new(i64::MIN), high: AtomicI64::new(i64::MAX) };
        KeyFilter { low: i64::MIN, high: i64::MAX, bits }
    }

    /// Takes integers out of a range, those outside of these bounds.
    pub fn tighten(&self, low: i64, high: i64) {
        if let Bits::Range { low: from, high: to } = &self.bits {
            from.fetch_max(low, Ordering::Relaxed);
            to.fetch_min(high, Ordering::Relaxed);
        }
    }

    /// The bounds of a range, both inclusive.
    pub fn bounds(&self) -> Option<(i64, i64)> {
        match &self.bits {
            Bits::Range { low, high } => Some((low.load(Ordering::Relaxed), high.load(Ordering::Relaxed))),
            _ => None,
        }
    }

    fn insert(&mut self, value: i64) {
        match &mut self.bits {
            Bits::Range { .. } => unreachable!("a range is not made of keys"),
            Bits::Direct(words) => {
                let at = value.wrapping_sub(self.low) as u64;
                words[at as usize / 64] |= 1 << (at % 64);
            }
            Bits::Bloom { words, shift } => {
                let hash = hash_word(value as u64);
                words[(hash >> *shift) as usize] |= pattern(hash);
            }
        }
    }

    /// Whether a key may be in the set.
    #[inline]
    pub fn passes(&self, value: i64) -> bool {
        if value < self.low || value > self.high {
            return false;
        }
        match &self.bits {
            Bits::Range { low, high } => {
                value >= low.load(Ordering::Relaxed) && value <= high.load(Ordering::Relaxed)
            }
            Bits::Direct(words) => {
                let at = value.wrapping_sub(self.low) as u64;
                words[at as usize / 64] >> (at % 64) & 1 != 0
            }
            Bits::Bloom { words, shift } => {
                let hash = hash_word(value as u64);
                let wanted = pattern(hash);
                words[(hash >> *shift) as usize] & wanted == wanted
            }
        }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        match &self.bits {
            Bits::Direct(words) | Bits::Bloom { words, .. } => words.len() * 8,
            Bits::Range { .. } => 0,
        }
    }
}

/// The bits of a key within its word.
#[inline]
fn pattern(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63)
}

/// Calls `visit` with each integer that is not NULL.
fn each_integer(column: &Column, visit: &mut impl FnMut(i64)) -> Option<()> {
    macro_rules! each {
        ($vector:expr) => {
            match column.validity() {
                None => $vector.iter().for_each(|value| visit(i64::from(*value))),
                Some(validity) => $vector.iter().enumerate().for_each(|(i, value)| {
                    if validity.get(i) {
                        visit(i64::from(*value));
                    }
                }),
            }
        };
    }
    match column.values() {
        ColumnValues::Int16(v) => each!(v),
        ColumnValues::Int32(v) => each!(v),
        ColumnValues::UInt32(v) => each!(v),
        ColumnValues::Int64(v) => each!(v),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_passes() {
        for step in [1i64, 3, 1_000_003, i64::MAX / 70_000] {
            let values: Vec<i64> = (-30_000..30_000).map(|i| i * step).collect();
            let filter = KeyFilter::of(&Column::from(values.clone())).unwrap();
            assert!(values.iter().all(|value| filter.passes(*value)), "step {step}");
            if step > 1 {
                let others = values.iter().filter(|value| filter.passes(**value + 1)).count();
                assert!(others < values.len() / 4, "step {step}: {others} others pass");
            }
            assert!(!filter.passes(i64::MAX) && !filter.passes(i64::MIN));
        }
        let range = KeyFilter::range();
        assert!(range.passes(i64::MIN) && range.passes(i64::MAX));
        range.tighten(i64::MIN, 10);
        range.tighten(-5, 20);
        assert!(range.passes(-5) && range.passes(10) && !range.passes(-6) && !range.passes(11));
        let none = KeyFilter::of(&Column::from(Vec::<i32>::new())).unwrap();
        assert!(!none.passes(0) && !none.passes(1));
        assert!(KeyFilter::of(&Column::from(vec![1.5f64])).is_none());
    }
}
