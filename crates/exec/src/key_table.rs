//! Numbers distinct keys: the hash table under joins, aggregation, DISTINCT and set operations.
//!
//! # Role
//! A key is either one 64-bit word (the fast path: a single column of fixed width) or a string of bytes (everything
//! else; see [`crate::keys`] for how columns become either). Each distinct key gets the next number, from 0, so that
//! what belongs to a key lives in plain vectors beside the table.
//!
//! # Invariants
//! - K1: keys are equal exactly when SQL's equality (with NULLs equal) holds for the values they were made from.
//! - K2: numbers have no gaps: `len()` distinct keys have the numbers `0..len()`.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Distinct keys, numbered in the order of their arrival.
pub struct KeyTable {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    keys: Keys,
}

/// What an emptied table keeps at most.
const KEPT_BYTES: usize = 16 << 10;

enum Keys {
    Words(Vec<u64>),
    /// The bytes of key `i` are `arena[ends[i - 1]..ends[i]]`, its hash is `hashes[i]`.
    Bytes {
        arena: Vec<u8>,
        ends: Vec<usize>,
        hashes: Vec<u64>,
    },
}

/// A 64-bit mixer: multiplication and folding spread all bits of a word over the result.
#[inline]
pub fn hash_word(word: u64) -> u64 {
    let product = u128::from(word ^ 0x9E37_79B9_7F4A_7C15) * u128::from(0xE703_7ED1_A0B4_28DB_u64);
    (product as u64) ^ ((product >> 64) as u64)
}

/// A hash of bytes that is the same in every table and run of the process: partitions of both sides of a join agree.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = (bytes.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        hash = hash_word(hash.rotate_left(23) ^ word);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut last = [0u8; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = hash_word(hash.rotate_left(23) ^ u64::from_le_bytes(last));
    }
    hash
}

impl KeyTable {
    /// A table of 64-bit keys.
    pub fn words() -> KeyTable {
        KeyTable {
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            keys: Keys::Words(Vec::new()),
        }
    }

    /// A table of keys of bytes.
    pub fn bytes() -> KeyTable {
        let keys = Keys::Bytes { arena: Vec::new(), ends: Vec::new(), hashes: Vec::new() };
        KeyTable { table: HashTable::new(), hasher: DefaultHashBuilder::default(), keys }
    }

    /// How many distinct keys there are.
    pub fn len(&self) -> usize {
        match &self.keys {
            Keys::Words(words) => words.len(),
            Keys::Bytes { ends, .. } => ends.len(),
        }
    }

    /// The word with a number.
    pub fn word_at(&self, number: u32) -> u64 {
        let Keys::Words(words) = &self.keys else { unreachable!("a table of words") };
        words[number as usize]
    }

    /// The key of bytes with a number.
    pub fn bytes_at(&self, number: u32) -> &[u8] {
        let Keys::Bytes { arena, ends, .. } = &self.keys else { unreachable!("a table of bytes") };
        key_at(arena, ends, number)
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        let keys = match &self.keys {
            Keys::Words(words) => words.capacity() * 8,
            Keys::Bytes { arena, ends, hashes } => {
                arena.capacity() + (ends.capacity() + hashes.capacity()) * 8
            }
        };
        keys + self.table.capacity() * 5
    }

    /// Forgets all keys. Little memory is kept for the next ones; much is given back, since whoever counts it would take
    /// an empty table for a full one.
    pub fn clear(&mut self) {
        if self.memory_bytes() > KEPT_BYTES {
            *self = match self.keys {
                Keys::Words(_) => KeyTable::words(),
                Keys::Bytes { .. } => KeyTable::bytes(),
            };
            return;
        }
        self.table.clear();
        match &mut self.keys {
            Keys::Words(words) => words.clear(),
            Keys::Bytes { arena, ends, hashes } => {
                arena.clear();
                ends.clear();
                hashes.clear();
            }
        }
    }

    /// The number of a word, which is added when it is new; and whether it was.
    #[inline]
    pub fn insert_word(&mut self, word: u64) -> (u32, bool) {
        let Keys::Words(words) = &mut self.keys else { unreachable!("a table of words") };
        let hash = hash_word(word);
        let entry = self.table.entry(hash, |i| words[*i as usize] == word, |i| hash_word(words[*i as usize]));
        match entry {
            hashbrown::hash_table::Entry::Occupied(found) => (*found.get(), false),
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                let number = words.len() as u32;
                vacant.insert(number);
                words.push(word);
                (number, true)
            }
        }
    }

    /// The number of a word, if it is there.
    #[inline]
    pub fn find_word(&self, word: u64) -> Option<u32> {
        let Keys::Words(words) = &self.keys else { unreachable!("a table of words") };
        self.table.find(hash_word(word), |i| words[*i as usize] == word).copied()
    }

    /// The number of a key, which is added when it is new; and whether it was.
    #[inline]
    pub fn insert_bytes(&mut self, key: &[u8]) -> (u32, bool) {
        let hash = self.hasher.hash_one(key);
        let Keys::Bytes { arena, ends, hashes } = &mut self.keys else { unreachable!("a table of bytes") };
        let same = |i: &u32| hashes[*i as usize] == hash && key_at(arena, ends, *i) == key;
        match self.table.entry(hash, same, |i| hashes[*i as usize]) {
            hashbrown::hash_table::Entry::Occupied(found) => (*found.get(), false),
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                let number = ends.len() as u32;
                vacant.insert(number);
                arena.extend_from_slice(key);
                ends.push(arena.len());
                hashes.push(hash);
                (number, true)
            }
        }
    }

    /// The number of a key, if it is there.
    #[inline]
    pub fn find_bytes(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        let Keys::Bytes { arena, ends, hashes } = &self.keys else { unreachable!("a table of bytes") };
        self.table.find(hash, |i| hashes[*i as usize] == hash && key_at(arena, ends, *i) == key).copied()
    }
}

#[inline]
fn key_at<'a>(arena: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let i = number as usize;
    let start = if i == 0 { 0 } else { ends[i - 1] };
    &arena[start..ends[i]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_stable() {
        let mut words = KeyTable::words();
        let mut bytes = KeyTable::bytes();
        for i in 0..10_000u64 {
            let key = i % 1234;
            let new = i < 1234;
            assert_eq!(words.insert_word(key * 8), (key as u32, new));
            assert_eq!(bytes.insert_bytes(format!("key {key}").as_bytes()), (key as u32, new));
        }
        assert_eq!(words.len(), 1234);
        assert_eq!(bytes.len(), 1234);
        assert_eq!(words.find_word(80), Some(10));
        assert_eq!(words.find_word(81), None);
        assert_eq!(bytes.find_bytes(b"key 1233"), Some(1233));
        assert_eq!(bytes.find_bytes(b"key 1234"), None);
        bytes.clear();
        assert_eq!(bytes.find_bytes(b"key 0"), None);
        assert_eq!(bytes.len(), 0);
    }

    #[test]
    fn hashes_spread_over_partitions() {
        let mut counts = [0usize; 16];
        for i in 0..16_000u64 {
            counts[(hash_word(i) >> 60) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        let mut counts = [0usize; 16];
        for i in 0..16_000u64 {
            counts[(hash_bytes(format!("row {i}").as_bytes()) >> 60) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
