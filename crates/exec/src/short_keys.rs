//! Group keys of few bytes as four words: small integers and short strings, compared and hashed without a loop over bytes.
//!
//! # Invariants
//! - SK1: whether a key is short depends on its values alone, so rows of one group are all short or all not.
//! - SK2: equal keys (NULLs equal, `char(n)` without trailing blanks) have equal words, others have not: each value takes
//!   one word (integers of 32 bits) or two (of 64 bits, strings), which are 0 for NULL only.

use std::sync::Arc;

use hashbrown::HashTable;
use ochre_types::{Column, ColumnValues, PhysicalType, SqlType, ValueOrder};

use crate::key_table::hash_word;

/// Words of a key.
const WORDS: usize = 4;
/// The longest string that is short: the last byte of its two words tells how long it is.
const SHORT_BYTES: usize = 15;
const VALID: u64 = 1 << 56;
/// A table of no more keys finds them among so many places, a power of two, by a hash that takes less.
const FEW_KEYS: usize = 16;
const FEW_PLACES: usize = 64;
const EMPTY: u8 = u8::MAX;

type Words = [u64; WORDS];

/// How columns become words.
pub struct ShortLayout {
    columns: Vec<(usize, ValueOrder)>,
}

/// The words of a batch's rows.
#[derive(Default)]
pub struct ShortKeys {
    words: Vec<Words>,
    /// Rows that have a value that is not short.
    long: Vec<bool>,
    /// Whether there is such a row.
    pub any_long: bool,
}

/// Distinct short keys, each with its group.
pub struct ShortTable {
    table: HashTable<u32>,
    keys: Vec<Words>,
    groups: Vec<u32>,
    /// The first few keys' numbers by their places, [`EMPTY`] where there is none.
    few: [u8; FEW_PLACES],
}

impl ShortLayout {
    /// The layout for keys of these types, if all their columns fit into a key's words.
    pub fn new(types: impl IntoIterator<Item = SqlType>) -> Option<ShortLayout> {
        use PhysicalType as P;
        let mut columns = Vec::new();
        let mut at = 0;
        for ty in types {
            let (width, order) = (ty.physical, ty.order());
            let words = match (width, order) {
                (P::Bool | P::Char | P::Int16 | P::Int32 | P::UInt32, _) => 1,
                (P::Int64, _) | (P::Bytes, ValueOrder::Natural | ValueOrder::TrimBlanks) => 2,
                _ => return None,
            };
            columns.push((at, order));
            at += words;
        }
        (at <= WORDS && at > 0).then_some(ShortLayout { columns })
    }

    /// Forms the words of the active rows.
    pub fn encode(
        &self,
        columns: &[Arc<Column>],
        rows: usize,
        active: impl Iterator<Item = usize> + Clone,
        keys: &mut ShortKeys,
    ) {
        keys.words.clear();
        keys.words.resize(rows, [0; WORDS]);
        keys.long.clear();
        keys.long.resize(rows, false);
        keys.any_long = false;
        for (column, (at, order)) in columns.iter().zip(&self.columns) {
            let stride = column.stride();
            // Without NULLs no row is asked whether it is one.
            macro_rules! each_valid {
                (|$row:ident| $body:block) => {
                    if column.validity().is_none() {
                        for $row in active.clone() $body
                    } else {
                        for $row in active.clone().filter(|row| column.is_valid(*row)) $body
                    }
                };
            }
            macro_rules! integers {
                ($vector:expr) => {
                    each_valid!(|row| {
                        keys.words[row][*at] = VALID | u64::from($vector[row * stride] as u32);
                    })
                };
            }
            match column.values() {
                ColumnValues::Bool(v) => integers!(v),
                ColumnValues::Char(v) => integers!(v),
                ColumnValues::Int16(v) => integers!(v),
                ColumnValues::Int32(v) => integers!(v),
                ColumnValues::UInt32(v) => integers!(v),
                ColumnValues::Int64(v) => each_valid!(|row| {
                    keys.words[row][*at] = v[row * stride] as u64;
                    keys.words[row][*at + 1] = VALID;
                }),
                ColumnValues::Bytes(v) => {
                    let (views, trims) = (v.views(), *order == ValueOrder::TrimBlanks);
                    each_valid!(|row| {
                        let view = views[row * stride];
                        let words = match view.inline_words() {
                            Some((low, high)) if !(trims && view.inline_last() == Some(b' ')) => {
                                Some((low, u64::from(high) | (view.len() as u64 + 1) << 56))
                            }
                            _ => words_of(v.get(row * stride), trims),
                        };
                        match words {
                            Some((low, high)) => {
                                keys.words[row][*at] = low;
                                keys.words[row][*at + 1] = high;
                            }
                            None => {
                                keys.long[row] = true;
                                keys.any_long = true;
                            }
                        }
                    });
                }
                other => unreachable!("{:?} is not short", other.physical()),
            }
        }
    }
}

/// The words of a string, if it is short.
#[inline(never)]
fn words_of(mut bytes: &[u8], trims: bool) -> Option<(u64, u64)> {
    if trims {
        let end = bytes.iter().rposition(|byte| *byte != b' ');
        bytes = &bytes[..end.map_or(0, |last| last + 1)];
    }
    if bytes.len() > SHORT_BYTES {
        return None;
    }
    let mut both = [0u8; 16];
    both[..bytes.len()].copy_from_slice(bytes);
    both[15] = bytes.len() as u8 + 1;
    let both = u128::from_le_bytes(both);
    Some((both as u64, (both >> 64) as u64))
}

impl ShortKeys {
    /// Whether a row's key is not short.
    #[inline]
    pub fn is_long(&self, row: usize) -> bool {
        self.any_long && self.long[row]
    }

    /// The hash of a row's short key.
    #[inline]
    pub fn hash(&self, row: usize) -> u64 {
        hash(&self.words[row])
    }
}

#[inline]
fn hash(words: &Words) -> u64 {
    let first = hash_word(words[0] ^ words[1].rotate_left(29));
    hash_word(first ^ words[2] ^ words[3].rotate_left(29))
}

/// Where a key is looked for first while there are few.
#[inline]
fn first_place(words: &Words) -> usize {
    let mixed = words[0] ^ words[1].rotate_left(16) ^ words[2].rotate_left(32) ^ words[3].rotate_left(48);
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - FEW_PLACES.ilog2())) as usize
}

impl Default for ShortTable {
    fn default() -> ShortTable {
        ShortTable { table: HashTable::new(), keys: Vec::new(), groups: Vec::new(), few: [EMPTY; FEW_PLACES] }
    }
}

impl ShortTable {
    /// The group of a row's key; a new key gets `next`. And whether it was new.
    #[inline]
    pub fn insert(&mut self, keys: &ShortKeys, row: usize, next: u32) -> (u32, bool) {
        let words = &keys.words[row];
        if self.keys.len() > FEW_KEYS {
            return self.look_up(words, next);
        }
        let mut place = first_place(words);
        // There is always an empty place.
        while self.few[place] != EMPTY {
            let number = usize::from(self.few[place]);
            if self.keys[number] == *words {
                return (self.groups[number], false);
            }
            place = (place + 1) % FEW_PLACES;
        }
        self.few[place] = self.keys.len() as u8;
        self.look_up(words, next)
    }

    fn look_up(&mut self, words: &Words, next: u32) -> (u32, bool) {
        let ShortTable { table, keys: known, groups, .. } = self;
        let entry = table.entry(hash(words), |i| known[*i as usize] == *words, |i| hash(&known[*i as usize]));
        match entry {
            hashbrown::hash_table::Entry::Occupied(found) => (groups[*found.get() as usize], false),
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                vacant.insert(known.len() as u32);
                known.push(*words);
                groups.push(next);
                (next, true)
            }
        }
    }

    /// The group of a row's key, if it is there.
    #[inline]
    pub fn find(&self, keys: &ShortKeys, row: usize) -> Option<u32> {
        let words = &keys.words[row];
        let found = self.table.find(hash(words), |i| self.keys[*i as usize] == *words)?;
        Some(self.groups[*found as usize])
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<Words>() + self.groups.capacity() * 4 + self.table.capacity() * 5
    }
}

#[cfg(test)]
mod tests {
    use ochre_types::Datum;

    use super::*;

    #[test]
    fn equal_values_share_a_group_and_others_do_not() {
        let texts = ["", "a", "a ", "b", "fifteen bytes..", "sixteen bytes ..", "a\0"];
        let datums: Vec<Datum> =
            texts.iter().map(|text| Datum::text(*text)).chain([Datum::Null, Datum::text("a")]).collect();
        let numbers: Vec<Datum> =
            (0..datums.len()).map(|i| Datum::Int32(if i == 3 { -1 } else { 0 })).collect();
        let columns = [
            Arc::new(Column::from_datums(PhysicalType::Bytes, &datums)),
            Arc::new(Column::from_datums(PhysicalType::Int32, &numbers)),
        ];
        let layout = ShortLayout::new([SqlType::TEXT, SqlType::INT4]).unwrap();
        let mut keys = ShortKeys::default();
        layout.encode(&columns, datums.len(), 0..datums.len(), &mut keys);
        let mut table = ShortTable::default();
        let mut groups = Vec::new();
        for row in 0..datums.len() {
            assert_eq!(keys.is_long(row), row == 5);
            if row != 5 {
                let next = groups.len() as u32;
                let (group, _) = table.insert(&keys, row, next);
                assert_eq!(table.find(&keys, row), Some(group));
                groups.push(group);
            }
        }
        assert_eq!(groups, [0, 1, 2, 3, 4, 5, 6, 1]);
        assert!(ShortLayout::new([SqlType::TEXT, SqlType::TEXT, SqlType::INT4]).is_none());
        assert!(ShortLayout::new([SqlType::NUMERIC]).is_none());
        let datums: Vec<Datum> = [None, Some(0), Some(1), Some(-1), Some(i64::MAX), Some(0), None]
            .map(|value| value.map_or(Datum::Null, Datum::Int64))
            .into();
        let column = [Arc::new(Column::from_datums(PhysicalType::Int64, &datums))];
        let layout = ShortLayout::new([SqlType::INT8]).unwrap();
        layout.encode(&column, datums.len(), 0..datums.len(), &mut keys);
        let mut table = ShortTable::default();
        let mut groups = 0;
        let numbers: Vec<u32> = (0..datums.len())
            .map(|row| {
                let (group, new) = table.insert(&keys, row, groups);
                groups += u32::from(new);
                group
            })
            .collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 1, 0]);
    }

    #[test]
    fn blanks_at_the_end_of_padded_strings_tell_nothing_apart() {
        let texts =
            ["a", "a ", "", "  ", "eightbyt", "eightbyt ", "twelve bytes", "eleven byt ", "eleven byt", " a"];
        let datums: Vec<Datum> = texts.iter().map(|text| Datum::text(*text)).collect();
        let column = [Arc::new(Column::from_datums(PhysicalType::Bytes, &datums))];
        let layout = ShortLayout::new([SqlType::BPCHAR]).unwrap();
        let mut keys = ShortKeys::default();
        layout.encode(&column, datums.len(), 0..datums.len(), &mut keys);
        let mut table = ShortTable::default();
        let mut next = 0;
        let groups: Vec<u32> = (0..datums.len())
            .map(|row| {
                let (group, new) = table.insert(&keys, row, next);
                next += u32::from(new);
                group
            })
            .collect();
        assert_eq!(groups, [0, 0, 1, 1, 2, 2, 3, 4, 4, 5]);
    }

    #[test]
    fn keys_stay_themselves_when_there_are_no_longer_few() {
        let datums: Vec<Datum> = (0..100).map(|i| Datum::Int32(i % 50)).collect();
        let column = [Arc::new(Column::from_datums(PhysicalType::Int32, &datums))];
        let layout = ShortLayout::new([SqlType::INT4]).unwrap();
        let mut keys = ShortKeys::default();
        layout.encode(&column, datums.len(), 0..datums.len(), &mut keys);
        let mut table = ShortTable::default();
        for row in 0..datums.len() {
            let expected = (row % 50) as u32;
            assert_eq!(table.insert(&keys, row, expected), (expected, row < 50));
            assert_eq!(table.insert(&keys, row, 99), (expected, false));
        }
    }
}
