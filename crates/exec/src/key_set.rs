//! A set of keys that may outgrow memory: which rows a recursive UNION has seen, what an `IN (SELECT …)` gave.
//!
//! # How
//! New keys go to a [`KeyTable`]. When it has used its share of the budget, its keys are written to a temporary file, a
//! *run*, in the order of their hashes, and it starts anew. A run is a sequence of blocks; the first hash of each stays in
//! memory, so looking a key up reads one block of each run, and however long keys are, what is kept of them is short. A
//! Bloom filter over all runs spares that for most keys that are not there, and blocks that were read lately are kept.
//!
//! Eight runs of one level are merged into one of the next, so there are never many.
//!
//! # Invariants
//! - KS1: with [`KeySet::insert`] alone a key is in one place only; [`KeySet::add`] may leave it in several.
//! - KS2: the filter passes every key of every run.
//! - KS3: keys of one hash are in one block.

use std::sync::Arc;

use ochre_base::{Error, Result};

use crate::key_table::{KeyTable, hash_bytes, hash_word};
use crate::temp::{TempFile, TempFiles};

/// Bytes of keys in a block, about: few enough that searching one costs no more than reading it.
const BLOCK_BYTES: usize = 4096;
/// Runs of one level that are merged into one of the next.
const MERGED_RUNS: usize = 8;

/// A key as [`crate::keys`] makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    Word(u64),
    Bytes(&'a [u8]),
}

/// Distinct keys, in memory and in temporary files.
pub struct KeySet {
    temp: Arc<TempFiles>,
    budget_bytes: usize,
    words: bool,
    recent: KeyTable,
    runs: Vec<Run>,
    filter: Vec<u64>,
    cache: Vec<CachedBlock>,
    next_run: u64,
}

/// Keys in the order of their hashes, each once, in a file.
struct Run {
    id: u64,
    level: u32,
    file: TempFile,
    /// For each block its first hash and its offset.
    blocks: Vec<(u64, u64)>,
}

#[derive(Default)]
struct CachedBlock {
    run: u64,
    offset: u64,
    bytes: Vec<u8>,
}

impl KeySet {
    /// An empty set of words, or of keys of bytes.
    pub fn new(words: bool, temp: &Arc<TempFiles>, budget_bytes: usize) -> KeySet {
        KeySet {
            temp: Arc::clone(temp),
            budget_bytes,
            words,
            recent: if words { KeyTable::words() } else { KeyTable::bytes() },
            runs: Vec::new(),
            filter: Vec::new(),
            cache: Vec::new(),
            next_run: 1,
        }
    }

    /// Adds a key; whether it is new.
    ///
    /// # Errors
    /// Errors of temporary files.
    pub fn insert(&mut self, key: Key<'_>) -> Result<bool> {
        if !self.runs.is_empty() && self.is_in_runs(key)? {
            return Ok(false);
        }
        let new = self.insert_recent(key);
        if new {
            self.keep_within_budget()?;
        }
        Ok(new)
    }

    /// Adds a key that may be there already: cheaper than [`KeySet::insert`] where nobody asks.
    ///
    /// # Errors
    /// Errors of temporary files.
    pub fn add(&mut self, key: Key<'_>) -> Result<()> {
        if self.insert_recent(key) {
            self.keep_within_budget()?;
        }
        Ok(())
    }

    /// Whether a key is in the set.
    ///
    /// # Errors
    /// Errors of temporary files.
    pub fn contains(&mut self, key: Key<'_>) -> Result<bool> {
        let recent = match key {
            Key::Word(word) => self.recent.find_word(word),
            Key::Bytes(bytes) => self.recent.find_bytes(bytes),
        };
        Ok(recent.is_some() || (!self.runs.is_empty() && self.is_in_runs(key)?))
    }

    /// Bytes of memory held.
    #[cfg(test)]
    fn memory_bytes(&self) -> usize {
        let cached: usize = self.cache.iter().map(|block| block.bytes.capacity()).sum();
        let runs: usize = self.runs.iter().map(|run| run.blocks.capacity() * 16).sum();
        self.recent.memory_bytes() + self.filter.len() * 8 + cached + runs
    }

    fn insert_recent(&mut self, key: Key<'_>) -> bool {
        match key {
            Key::Word(word) => self.recent.insert_word(word).1,
            Key::Bytes(bytes) => self.recent.insert_bytes(bytes).1,
        }
    }

    fn keep_within_budget(&mut self) -> Result<()> {
        let limit = if self.runs.is_empty() { self.budget_bytes } else { self.budget_bytes / 2 };
        // Without any memory the first key makes a run: tests ask for that.
        let forced = self.budget_bytes == 0 && self.runs.is_empty();
        let limit = if forced { 0 } else { limit.max(2 * BLOCK_BYTES) };
        if self.recent.memory_bytes() > limit { self.write_run() } else { Ok(()) }
    }

    /// Moves the recent keys to a run.
    fn write_run(&mut self) -> Result<()> {
        if self.filter.is_empty() {
            let words = (self.budget_bytes / 4 / 8).max(64);
            self.filter = vec![0; 1 << words.ilog2()];
            let slots = (self.budget_bytes / 4 / BLOCK_BYTES).max(4);
            self.cache.resize_with(slots, CachedBlock::default);
        }
        // A new table, since what the old one has grown to may be all of its share.
        let fresh = if self.words { KeyTable::words() } else { KeyTable::bytes() };
        let recent = std::mem::replace(&mut self.recent, fresh);
        let mut writer = RunWriter::new(&self.temp)?;
        let mut order: Vec<(u64, u32)> = (0..recent.len() as u32)
            .map(|number| {
                let hash = match self.words {
                    true => hash_bytes(&recent.word_at(number).to_be_bytes()),
                    false => hash_bytes(recent.bytes_at(number)),
                };
                (hash, number)
            })
            .collect();
        let bytes_at = |number| if self.words { &[][..] } else { recent.bytes_at(number) };
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| bytes_at(a.1).cmp(bytes_at(b.1))));
        for (hash, number) in order {
            self.filter_add(hash);
            if self.words {
                writer.push(hash, &recent.word_at(number).to_be_bytes())?;
            } else {
                writer.push(hash, recent.bytes_at(number))?;
            }
        }
        let run = writer.finish(self.take_run_id(), 0)?;
        self.runs.push(run);
        self.merge()
    }

    fn take_run_id(&mut self) -> u64 {
        self.next_run += 1;
        self.next_run - 1
    }

    /// Merges the runs of a level as soon as there are enough of them. Levels fall along `runs`.
    fn merge(&mut self) -> Result<()> {
        loop {
            let Some(level) = self.runs.last().map(|run| run.level) else { return Ok(()) };
            let first = self.runs.iter().position(|run| run.level == level).expect("the last one is of it");
            if self.runs.len() - first < MERGED_RUNS {
                return Ok(());
            }
            let mut writer = RunWriter::new(&self.temp)?;
            let mut readers = Vec::new();
            for run in &self.runs[first..] {
                readers.push(RunReader::new(run)?);
            }
            while let Some(least) = least(&readers) {
                // A key that several runs have (KS1) is written once.
                let (hash, key) = readers[least].key().expect("it was the least");
                let key = key.to_vec();
                writer.push(hash, &key)?;
                for reader in &mut readers {
                    if reader.key() == Some((hash, &key)) {
                        reader.advance()?;
                    }
                }
            }
            drop(readers);
            let merged = writer.finish(self.take_run_id(), level + 1)?;
            self.runs.truncate(first);
            self.runs.push(merged);
        }
    }

    fn is_in_runs(&mut self, key: Key<'_>) -> Result<bool> {
        let word;
        let bytes = match key {
            Key::Word(value) => {
                word = value.to_be_bytes();
                &word[..]
            }
            Key::Bytes(bytes) => bytes,
        };
        let hash = hash_bytes(bytes);
        if !self.filter_passes(hash) {
            return Ok(false);
        }
        for run in self.runs.iter().rev() {
            let behind = run.blocks.partition_point(|(first, _)| *first <= hash);
            let Some((_, offset)) = behind.checked_sub(1).map(|block| run.blocks[block]) else { continue };
            let slot = (hash_word(run.id << 40 ^ offset) as usize) % self.cache.len();
            let block = &mut self.cache[slot];
            if (block.run, block.offset) != (run.id, offset) {
                block.run = 0;
                run.file.read(offset, &mut block.bytes)?;
                (block.run, block.offset) = (run.id, offset);
            }
            if block_contains(&block.bytes, bytes)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn filter_add(&mut self, hash: u64) {
        let (word, bits) = filter_place(hash, self.filter.len());
        self.filter[word] |= bits;
    }

    fn filter_passes(&self, hash: u64) -> bool {
        let (word, bits) = filter_place(hash, self.filter.len());
        self.filter[word] & bits == bits
    }
}

/// A key's word in a Bloom filter of so many (a power of two), and its four bits there.
fn filter_place(hash: u64, words: usize) -> (usize, u64) {
    // Hashes of bytes end in a mix of few bits of the last word; a second mix spreads them.
    let hash = hash_word(hash);
    let bit = |shift: u32| 1u64 << (hash >> shift & 63);
    ((hash >> 24) as usize & (words - 1), bit(0) | bit(6) | bit(12) | bit(18))
}

/// The reader that stands on the key that comes first.
fn least(readers: &[RunReader<'_>]) -> Option<usize> {
    let keys = readers.iter().enumerate().filter_map(|(i, reader)| Some((reader.key()?, i)));
    keys.min().map(|(_, i)| i)
}

fn block_contains(mut block: &[u8], wanted: &[u8]) -> Result<bool> {
    while let Some(key) = next_key(&mut block)? {
        if key == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes the next key off a block: its length (u32, little endian) and its bytes.
fn next_key<'b>(block: &mut &'b [u8]) -> Result<Option<&'b [u8]>> {
    if block.is_empty() {
        return Ok(None);
    }
    let damaged = || Error::corrupt("invalid keys in a temporary file");
    let (length, rest) = block.split_first_chunk::<4>().ok_or_else(damaged)?;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
    *block = rest;
    Ok(Some(key))
}

/// Writes keys that come in order.
struct RunWriter {
    file: TempFile,
    blocks: Vec<(u64, u64)>,
    block: Vec<u8>,
    /// The first hash of the block, and the newest.
    first: u64,
    last: u64,
}

impl RunWriter {
    fn new(temp: &Arc<TempFiles>) -> Result<RunWriter> {
        Ok(RunWriter {
            file: temp.create()?,
            blocks: Vec::new(),
            block: Vec::with_capacity(BLOCK_BYTES + 256),
            first: 0,
            last: 0,
        })
    }

    fn push(&mut self, hash: u64, key: &[u8]) -> Result<()> {
        if self.block.len() >= BLOCK_BYTES && hash != self.last {
            self.flush()?; // KS3
        }
        if self.block.is_empty() {
            self.first = hash;
        }
        self.block.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.block.extend_from_slice(key);
        self.last = hash;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let offset = self.file.append(&self.block)?;
        self.blocks.push((self.first, offset));
        self.block.clear();
        Ok(())
    }

    fn finish(mut self, id: u64, level: u32) -> Result<Run> {
        self.flush()?;
        self.file.finish()?;
        Ok(Run { id, level, file: self.file, blocks: self.blocks })
    }
}

/// Reads a run's keys in order.
struct RunReader<'r> {
    run: &'r Run,
    next_block: usize,
    block: Vec<u8>,
    /// Where the current key begins (behind its length) and ends.
    key: Option<(usize, usize)>,
    hash: u64,
}

impl<'r> RunReader<'r> {
    fn new(run: &'r Run) -> Result<RunReader<'r>> {
        let mut reader = RunReader { run, next_block: 0, block: Vec::new(), key: Some((0, 0)), hash: 0 };
        reader.advance()?;
        Ok(reader)
    }

    /// The current key behind its hash.
    fn key(&self) -> Option<(u64, &[u8])> {
        self.key.map(|(start, end)| (self.hash, &self.block[start..end]))
    }

    fn advance(&mut self) -> Result<()> {
        let Some((_, mut at)) = self.key else { return Ok(()) };
        if at == self.block.len() {
            let Some((_, offset)) = self.run.blocks.get(self.next_block) else {
                self.key = None;
                return Ok(());
            };
            self.run.file.read(*offset, &mut self.block)?;
            self.next_block += 1;
            at = 0;
        }
        let key = next_key(&mut &self.block[at..])?;
        self.hash = key.map_or(0, hash_bytes);
        self.key = key.map(|key| (at + 4, at + 4 + key.len()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row_store::tests::temp_files;

    #[test]
    fn it_knows_what_was_put_in_whatever_the_budget() {
        for budget in [0, 30_000, 200_000, usize::MAX / 2] {
            let temp = temp_files();
            let mut words = KeySet::new(true, &temp, budget);
            let mut strings = KeySet::new(false, &temp, budget);
            // A permutation of 0..20011, twice.
            for i in 0..40_022u64 {
                let value = i * 7919 % 20_011;
                let text = format!("the key of {value}");
                assert_eq!(words.insert(Key::Word(value)).unwrap(), i < 20_011, "{i}");
                assert_eq!(strings.insert(Key::Bytes(text.as_bytes())).unwrap(), i < 20_011, "{i}");
            }
            assert_eq!(temp.bytes_written() == 0, budget > 1 << 30);
            for value in (0..30_000u64).step_by(11) {
                let text = format!("the key of {value}");
                assert_eq!(words.contains(Key::Word(value)).unwrap(), value < 20_011);
                assert_eq!(strings.contains(Key::Bytes(text.as_bytes())).unwrap(), value < 20_011);
            }
            let allowed = budget.max(64 << 10).saturating_mul(3);
            assert!(words.memory_bytes() < allowed && strings.memory_bytes() < allowed);
        }
    }

    #[test]
    fn long_keys_that_begin_alike_take_no_memory_once_written() {
        let temp = temp_files();
        let mut set = KeySet::new(false, &temp, 64 << 10);
        let key = |i: u32| format!("{}{i}", "x".repeat(6000));
        for i in 0..2000 {
            assert!(set.insert(Key::Bytes(key(i).as_bytes())).unwrap());
        }
        assert!(set.memory_bytes() < 400 << 10, "{}", set.memory_bytes());
        assert!((0..2100).all(|i| set.contains(Key::Bytes(key(i).as_bytes())).unwrap() == (i < 2000)));
    }

    #[test]
    fn keys_that_are_added_unasked_are_merged() {
        let temp = temp_files();
        let mut set = KeySet::new(false, &temp, 0);
        for i in 0..60_000u32 {
            set.add(Key::Bytes(&(i % 3000).to_le_bytes())).unwrap();
        }
        set.add(Key::Bytes(b"")).unwrap();
        assert!(set.runs.len() < 3 * MERGED_RUNS);
        for i in 0..6000u32 {
            assert_eq!(set.contains(Key::Bytes(&i.to_le_bytes())).unwrap(), i < 3000);
        }
        assert!(set.contains(Key::Bytes(b"")).unwrap());
        assert!(!set.contains(Key::Bytes(b"x")).unwrap());
    }
}
