//! A set of keys that may outgrow memory: which rows a recursive UNION has seen, what an `IN (SELECT …)` gave.
//!
//! # How
//! New keys go to a [`KeyTable`]. When it has used its share of the budget, its keys are written in their order to a
//! temporary file, a *run*, and it starts anew. A run is a sequence of blocks; for each the shortest string that parts it
//! from the block before stays in memory, so looking a key up reads one block of each run. A Bloom filter over all runs
//! spares that for most keys that are not there, and blocks that were read lately are kept.
//!
//! Eight runs of one level are merged into one of the next, so there are never many.
//!
//! # Invariants
//! - KS1: with [`KeySet::insert`] alone a key is in one place only; [`KeySet::add`] may leave it in several.
//! - KS2: the filter passes every key of every run.

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

/// Keys in order, each once, in a file.
struct Run {
    id: u64,
    level: u32,
    file: TempFile,
    /// For each block what parts it from the one before (nothing for the first), and its offset.
    blocks: Vec<(Box<[u8]>, u64)>,
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
        let separators = |run: &Run| run.blocks.iter().map(|(key, _)| 24 + key.len()).sum::<usize>();
        let cached: usize = self.cache.iter().map(|block| block.bytes.capacity()).sum();
        let runs: usize = self.runs.iter().map(separators).sum();
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
        if self.recent.memory_bytes() > limit.max(2 * BLOCK_BYTES) { self.write_run() } else { Ok(()) }
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
        let mut numbers: Vec<u32> = (0..recent.len() as u32).collect();
        let mut writer = RunWriter::new(&self.temp)?;
        if self.words {
            numbers.sort_unstable_by_key(|number| recent.word_at(*number));
            for number in numbers {
                let word = recent.word_at(number);
                self.filter_add(hash_word(word));
                writer.push(&word.to_be_bytes())?;
            }
        } else {
            numbers.sort_unstable_by(|a, b| recent.bytes_at(*a).cmp(recent.bytes_at(*b)));
            for number in numbers {
                let key = recent.bytes_at(number);
                self.filter_add(hash_bytes(key));
                writer.push(key)?;
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
                let key = readers[least].key().expect("it was the least").to_vec();
                writer.push(&key)?;
                for reader in &mut readers {
                    if reader.key() == Some(&key) {
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
        let (hash, bytes) = match key {
            Key::Word(value) => {
                word = value.to_be_bytes();
                (hash_word(value), &word[..])
            }
            Key::Bytes(bytes) => (hash_bytes(bytes), bytes),
        };
        if !self.filter_passes(hash) {
            return Ok(false);
        }
        for run in self.runs.iter().rev() {
            let behind = run.blocks.partition_point(|(separator, _)| **separator <= *bytes);
            let offset = run.blocks[behind.saturating_sub(1)].1;
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

/// The reader that stands on the least key.
fn least(readers: &[RunReader<'_>]) -> Option<usize> {
    let keys = readers.iter().enumerate().filter_map(|(i, reader)| Some((reader.key()?, i)));
    keys.min().map(|(_, i)| i)
}

fn block_contains(mut block: &[u8], wanted: &[u8]) -> Result<bool> {
    while let Some(key) = next_key(&mut block)? {
        match key.cmp(wanted) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => return Ok(true),
            std::cmp::Ordering::Greater => return Ok(false),
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
    blocks: Vec<(Box<[u8]>, u64)>,
    block: Vec<u8>,
    separator: Box<[u8]>,
    last: Vec<u8>,
}

impl RunWriter {
    fn new(temp: &Arc<TempFiles>) -> Result<RunWriter> {
        Ok(RunWriter {
            file: temp.create()?,
            blocks: Vec::new(),
            block: Vec::with_capacity(BLOCK_BYTES + 256),
            separator: Box::default(),
            last: Vec::new(),
        })
    }

    fn push(&mut self, key: &[u8]) -> Result<()> {
        if self.block.len() >= BLOCK_BYTES {
            self.flush()?;
            let common = key.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
            self.separator = key[..(common + 1).min(key.len())].into();
        }
        self.block.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.block.extend_from_slice(key);
        self.last.clear();
        self.last.extend_from_slice(key);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let offset = self.file.append(&self.block)?;
        self.blocks.push((std::mem::take(&mut self.separator), offset));
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
}

impl<'r> RunReader<'r> {
    fn new(run: &'r Run) -> Result<RunReader<'r>> {
        let mut reader = RunReader { run, next_block: 0, block: Vec::new(), key: Some((0, 0)) };
        reader.advance()?;
        Ok(reader)
    }

    fn key(&self) -> Option<&[u8]> {
        self.key.map(|(start, end)| &self.block[start..end])
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
        let length = next_key(&mut &self.block[at..])?.map(<[u8]>::len);
        self.key = length.map(|length| (at + 4, at + 4 + length));
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
