//! The index of a join's build rows by their keys.
//!
//! # How
//! Keys that are words have one place each: in a vector by value when they lie close together, otherwise in an open table
//! of (word, first row) with linear probing, so that a look-up touches one cache line. Other keys are numbered by a
//! [`KeyTable`]. The rows of one key form a chain in the order of their arrival.
//!
//! # Invariants
//! - JT1: a row whose key is NULL is in no chain.

use crate::columns::NO_ROW;
use crate::key_table::{KeyTable, hash_word};
use crate::keys::{BatchKeys, KeyLayout};

/// A vector by value has at most so many places for each row.
const DIRECT_SPREAD: u64 = 8;

/// Keys of build rows as they arrive.
pub struct JoinKeys {
    word: bool,
    words: Vec<u64>,
    /// Rows whose key is NULL; empty as long as there is none.
    nulls: Vec<bool>,
    /// With keys of bytes: the keys, and the number of each row's.
    table: KeyTable,
    numbers: Vec<u32>,
    rows: usize,
    /// Whether there are two different keys.
    varied: bool,
}

/// Finds the build rows of a key.
pub struct JoinIndex {
    places: Places,
    /// The row after each row in its chain; empty when no key has two rows.
    next: Vec<u32>,
}

enum Places {
    Direct { low: u64, heads: Vec<u32> },
    Words { slots: Vec<(u64, u32)>, shift: u32 },
    Bytes { table: KeyTable, heads: Vec<u32> },
}

impl JoinKeys {
    pub fn new(layout: &KeyLayout) -> JoinKeys {
        JoinKeys {
            word: layout.is_word(),
            words: Vec::new(),
            nulls: Vec::new(),
            table: KeyTable::bytes(),
            numbers: Vec::new(),
            rows: 0,
            varied: false,
        }
    }

    /// Adds the keys of rows.
    pub fn add(&mut self, keys: &BatchKeys, active: impl Iterator<Item = usize>) {
        for row in active {
            let null = keys.is_null(row);
            if null && self.nulls.is_empty() {
                self.nulls.resize(self.rows, false);
            }
            if !self.nulls.is_empty() || null {
                self.nulls.push(null);
            }
            if self.word {
                let word = keys.words[row];
                self.varied |= self.words.last().is_some_and(|last| *last != word);
                self.words.push(word);
            } else {
                let number = if null { 0 } else { self.table.insert_bytes(keys.bytes(row)).0 };
                self.varied |= self.table.len() > 1;
                self.numbers.push(number);
            }
            self.rows += 1;
        }
    }

    /// Whether splitting the rows by their keys can make parts.
    pub fn are_varied(&self) -> bool {
        self.varied
    }

    /// About how many bytes the finished index will hold.
    pub fn memory_bytes(&self) -> usize {
        if self.word { self.rows * 28 } else { self.table.memory_bytes() + self.rows * 12 }
    }

    pub fn finish(self) -> JoinIndex {
        let JoinKeys { word, words, nulls, table, numbers, rows, .. } = self;
        let mut next: Vec<u32> = Vec::new();
        let is_null = |row: usize| !nulls.is_empty() && nulls[row];
        // Back to front, so that chains come out in the order of arrival.
        let link = |next: &mut Vec<u32>, head: &mut u32, row: usize| {
            if *head != NO_ROW {
                if next.is_empty() {
                    next.resize(rows, NO_ROW);
                }
                next[row] = *head;
            }
            *head = row as u32;
        };
        let places = if !word {
            let mut heads = vec![NO_ROW; table.len()];
            for row in (0..rows).rev().filter(|row| !is_null(*row)) {
                link(&mut next, &mut heads[numbers[row] as usize], row);
            }
            Places::Bytes { table, heads }
        } else {
            let signed = |word: u64| word as i64;
            let (mut low, mut high) = (i64::MAX, i64::MIN);
            for row in (0..rows).filter(|row| !is_null(*row)) {
                low = low.min(signed(words[row]));
                high = high.max(signed(words[row]));
            }
            let span = if low > high { 0 } else { high.wrapping_sub(low) as u64 };
            if span < (rows as u64).saturating_mul(DIRECT_SPREAD).max(1024) {
                let mut heads = vec![NO_ROW; span as usize + 1];
                for row in (0..rows).rev().filter(|row| !is_null(*row)) {
                    link(&mut next, &mut heads[words[row].wrapping_sub(low as u64) as usize], row);
                }
                Places::Direct { low: low as u64, heads }
            } else {
                let size = (rows * 2).next_power_of_two().max(16);
                let shift = 64 - size.trailing_zeros();
                let mut slots = vec![(0u64, NO_ROW); size];
                for row in (0..rows).rev().filter(|row| !is_null(*row)) {
                    let at = place(&slots, shift, words[row]);
                    slots[at].0 = words[row];
                    link(&mut next, &mut slots[at].1, row);
                }
                Places::Words { slots, shift }
            }
        };
        JoinIndex { places, next }
    }
}

/// Where a word is, or would be.
#[inline]
fn place(slots: &[(u64, u32)], shift: u32, word: u64) -> usize {
    let mut at = (hash_word(word) >> shift) as usize;
    while slots[at].1 != NO_ROW && slots[at].0 != word {
        at = (at + 1) & (slots.len() - 1);
    }
    at
}

impl JoinIndex {
    /// How many places for keys there are.
    pub fn places(&self) -> usize {
        match &self.places {
            Places::Direct { heads, .. } | Places::Bytes { heads, .. } => heads.len(),
            Places::Words { slots, .. } => slots.len(),
        }
    }

    /// Whether no two rows have one key.
    pub fn is_unique(&self) -> bool {
        self.next.is_empty()
    }

    /// The row after a row in its chain.
    #[inline]
    pub fn after(&self, row: u32) -> u32 {
        self.next.get(row as usize).copied().unwrap_or(NO_ROW)
    }

    /// For each active row that has a partner, the row and the first of them.
    pub fn find(
        &self,
        keys: &BatchKeys,
        active: impl Iterator<Item = usize>,
        outer: &mut Vec<u32>,
        first: &mut Vec<u32>,
    ) {
        match &self.places {
            Places::Direct { low, heads } => {
                for row in active {
                    let at = keys.words[row].wrapping_sub(*low) as usize;
                    let head = heads.get(at).copied().unwrap_or(NO_ROW);
                    if head != NO_ROW && !keys.is_null(row) {
                        outer.push(row as u32);
                        first.push(head);
                    }
                }
            }
            Places::Words { slots, shift } => {
                for row in active {
                    let head = slots[place(slots, *shift, keys.words[row])].1;
                    if head != NO_ROW && !keys.is_null(row) {
                        outer.push(row as u32);
                        first.push(head);
                    }
                }
            }
            Places::Bytes { table, heads } => {
                for row in active.filter(|row| !keys.is_null(*row)) {
                    if let Some(number) = table.find_bytes(keys.bytes(row)) {
                        outer.push(row as u32);
                        first.push(heads[number as usize]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ochre_types::{Column, Datum, PhysicalType, SqlType};

    use super::*;

    /// The chains of every key by the index and by looking at all rows.
    fn check(values: Vec<Option<i64>>) {
        let datums: Vec<Datum> = values.iter().map(|v| v.map_or(Datum::Null, Datum::Int64)).collect();
        let column = Arc::new(Column::from_datums(PhysicalType::Int64, &datums));
        let one = [column.clone()];
        let two = [column.clone(), column];
        let layouts = [
            (KeyLayout::without_nulls([SqlType::INT8]), &one[..]),
            (KeyLayout::without_nulls([SqlType::INT8, SqlType::INT8]), &two[..]),
        ];
        for (layout, columns) in layouts {
            let mut keys = BatchKeys::default();
            layout.encode(columns, values.len(), 0..values.len(), &mut keys).unwrap();
            let mut build = JoinKeys::new(&layout);
            build.add(&keys, 0..values.len());
            let index = build.finish();
            let (mut outer, mut first) = (Vec::new(), Vec::new());
            index.find(&keys, 0..values.len(), &mut outer, &mut first);
            let expected: Vec<u32> =
                (0..values.len() as u32).filter(|i| values[*i as usize].is_some()).collect();
            assert_eq!(outer, expected);
            for (row, first) in outer.iter().zip(first) {
                let mut chain = Vec::new();
                let mut at = first;
                while at != NO_ROW {
                    chain.push(at as usize);
                    at = index.after(at);
                }
                let all: Vec<usize> =
                    (0..values.len()).filter(|i| values[*i] == values[*row as usize]).collect();
                assert_eq!(chain, all);
            }
        }
    }

    #[test]
    fn chains_hold_the_rows_of_a_key_in_order() {
        check(vec![]);
        check(vec![None, None]);
        check((0..100).map(|i| Some(i % 7 - 3)).collect());
        check((0..100).map(|i| (i % 5 != 0).then_some(i * 1_000_003)).collect());
        check(vec![Some(i64::MIN), Some(i64::MAX), Some(0), Some(i64::MIN), None, Some(-1)]);
    }
}
