//! External sort: entries in key order under a memory budget, spilling sorted runs to temporary files.
//!
//! # Role
//! The bulk build of a B+tree ([`crate::btree::BTreeBuilder`]) and every operator that sorts rows by order-preserving
//! byte keys. An entry is a key, a 64-bit tag (the row id of an index entry, the position of a row whose order among
//! equals must stay) and a payload; entries come out ascending by (key, tag, payload).
//!
//! # How
//! Entries are appended to one arena. Beside it stands an array of 16-byte items: twelve bytes of the key behind what
//! all keys so far share, and the entry's offset. Sorting compares the twelve bytes as a number and follows the offset
//! only on a tie; large arrays are sorted in parts by several threads. When arena and items reach the budget, they are
//! written in order as a *run*; with more than one thread, one does that while the caller goes on adding, and each has
//! half the budget from then on. The last step merges the runs and what is in memory with a tree of losers;
//! more runs than fit the fan-in are merged to longer ones first.
//!
//! # On-disk layout
//! A run is entries one after the other: length of the key and of the payload (LEB128), the tag (8, little-endian), the
//! key, the payload. It is read by the process that wrote it, once, and its name is removed while it is open.
//!
//! # Invariants
//! - S1: all keys share their first `shared` bytes with the first key that was added. `shared` only shrinks, and is
//!   the same for all runs when they are merged.
//! - S2: the order is total up to entries that are the same in all parts, so neither threads nor spilling change it.
//!
//! # Failure
//! An I/O error ends the sort; its files have no names and vanish with it.

mod memory;
mod merge;
mod run;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use ochre_base::Result;
use ochre_env::{Env, FileSystem};

use memory::MemorySet;
use merge::Merge;
use run::{Run, RunReader};

/// Runs merged at a time at most; each has a read buffer.
const MAX_FAN_IN: usize = 256;
/// The least memory for the buffer of a run that is read or written.
const MIN_RUN_BUFFER_BYTES: usize = 64 * 1024;
const MAX_RUN_BUFFER_BYTES: usize = 1024 * 1024;
/// With less than this a sort would spill runs of a few hundred entries.
const MIN_BUDGET_BYTES: usize = 256 * 1024;

/// An entry as it comes out of a sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortEntry<'a> {
    /// What is sorted by first, compared as bytes.
    pub key: &'a [u8],
    /// What is sorted by second.
    pub tag: u64,
    /// What is sorted by last.
    pub payload: &'a [u8],
}

/// How a sort may use the machine.
#[derive(Clone)]
pub struct SortConfig {
    /// Where runs are spilled.
    pub fs: Arc<dyn FileSystem>,
    /// In which directory; it exists (`tmp/` of the data directory).
    pub directory: PathBuf,
    /// Bytes of memory (`work_mem`, `maintenance_work_mem`).
    pub budget_bytes: usize,
    /// Threads that may sort at a time.
    pub threads: usize,
}

impl SortConfig {
    /// A sort that spills into a directory, with as many threads as there are processors, at most four; with one when
    /// files are in memory, where writing a run waits for nothing.
    pub fn new(env: &Env, directory: impl Into<PathBuf>, budget_bytes: usize) -> SortConfig {
        let threads = if env.fs.is_durable() {
            std::thread::available_parallelism().map_or(1, |n| n.get().min(4))
        } else {
            1
        };
        SortConfig { fs: env.fs.clone(), directory: directory.into(), budget_bytes, threads }
    }
}

/// Takes entries in any order.
pub struct Sorter {
    config: SortConfig,
    set: MemorySet,
    /// What is in memory may grow to this: half the budget when the other half may be being written meanwhile.
    set_limit_bytes: usize,
    runs: Vec<Run>,
    spilling: Option<JoinHandle<Result<Run>>>,
    /// Entries in `runs`.
    spilled: u64,
    spilled_bytes: u64,
}

impl Sorter {
    /// An empty sort.
    pub fn new(mut config: SortConfig) -> Sorter {
        config.budget_bytes = config.budget_bytes.max(MIN_BUDGET_BYTES);
        Sorter {
            set_limit_bytes: config.budget_bytes.min(memory::MAX_BYTES),
            config,
            set: MemorySet::default(),
            runs: Vec::new(),
            spilling: None,
            spilled: 0,
            spilled_bytes: 0,
        }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// When a run cannot be written.
    #[inline]
    pub fn add(&mut self, key: &[u8], tag: u64, payload: &[u8]) -> Result<()> {
        if self.set.used_bytes() + memory::entry_bytes(key, payload)
            > self.config.budget_bytes.min(memory::MAX_BYTES)
            && !self.set.is_empty()
        {
            self.spill()?;
        }
        self.set.push(key, tag, payload);
        Ok(())
    }

    /// How many entries were added.
    pub fn len(&self) -> u64 {
        self.spilled + self.set.len() as u64
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes written to temporary files so far, for EXPLAIN.
    pub fn spilled_bytes(&self) -> u64 {
        self.spilled_bytes
    }

    /// Bytes of memory in use, for EXPLAIN.
    pub fn memory_bytes(&self) -> usize {
        self.set.used_bytes()
    }

    /// Ends the adding and begins the reading.
    ///
    /// # Errors
    /// When runs cannot be merged.
    pub fn finish(mut self) -> Result<Sorted> {
        let len = self.len();
        self.join_spill()?;
        while self.runs.len() > self.fan_in() {
            self.merge_some_runs()?;
        }
        let mut merge = Merge::new(self.set.shared_bytes());
        let buffer_bytes = self.run_buffer_bytes(self.runs.len());
        for run in std::mem::take(&mut self.runs) {
            merge.add_run(RunReader::new(run, buffer_bytes))?;
        }
        let spilled_bytes = self.spilled_bytes;
        for part in self.set.into_sorted_parts(self.config.threads) {
            merge.add_memory(part);
        }
        merge.start();
        Ok(Sorted { merge, len, spilled_bytes })
    }

    fn fan_in(&self) -> usize {
        (self.config.budget_bytes / MIN_RUN_BUFFER_BYTES).clamp(2, MAX_FAN_IN)
    }

    fn run_buffer_bytes(&self, runs: usize) -> usize {
        (self.config.budget_bytes / (runs + 1)).clamp(MIN_RUN_BUFFER_BYTES, MAX_RUN_BUFFER_BYTES)
    }

    /// Writes what is in memory as a run, on a thread of its own while the next entries come in.
    fn spill(&mut self) -> Result<()> {
        self.join_spill()?;
        let set = std::mem::take(&mut self.set);
        self.spilled += set.len() as u64;
        self.set = set.emptied_like();
        if self.config.threads > 1 {
            self.set_limit_bytes = (self.config.budget_bytes / 2).min(memory::MAX_BYTES);
        }
        let config = self.config.clone();
        let write = move || {
            let mut merge = Merge::new(set.shared_bytes());
            for part in set.into_sorted_parts(config.threads) {
                merge.add_memory(part);
            }
            merge.start();
            write_run(&config, &mut merge)
        };
        if self.config.threads > 1 {
            self.spilling = Some(std::thread::spawn(write));
        } else {
            self.add_run(write()?);
        }
        Ok(())
    }

    /// Waits for the run that is being written.
    fn join_spill(&mut self) -> Result<()> {
        if let Some(spilling) = self.spilling.take() {
            let run = spilling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            self.add_run(run);
        }
        Ok(())
    }

    fn add_run(&mut self, run: Run) {
        self.spilled_bytes += run.bytes();
        self.runs.push(run);
    }

    /// Merges the oldest runs to one.
    fn merge_some_runs(&mut self) -> Result<()> {
        let fan_in = self.fan_in();
        let mut merge = Merge::new(self.set.shared_bytes());
        let rest = self.runs.split_off(fan_in);
        let buffer_bytes = self.run_buffer_bytes(fan_in);
        for run in std::mem::replace(&mut self.runs, rest) {
            merge.add_run(RunReader::new(run, buffer_bytes))?;
        }
        merge.start();
        let run = write_run(&self.config, &mut merge)?;
        self.add_run(run);
        Ok(())
    }
}

fn write_run(config: &SortConfig, merge: &mut Merge) -> Result<Run> {
    let mut writer = run::RunWriter::create(&*config.fs, &config.directory)?;
    while let Some(entry) = merge.next()? {
        writer.write(entry)?;
    }
    writer.finish()
}

/// Gives entries in order.
pub struct Sorted {
    merge: Merge,
    len: u64,
    spilled_bytes: u64,
}

impl Sorted {
    /// The next entry, valid until the next call.
    ///
    /// # Errors
    /// When a run cannot be read.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Result<Option<SortEntry<'_>>> {
        self.merge.next()
    }

    /// How many entries there are in all.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no entries at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes written to temporary files, for EXPLAIN.
    pub fn spilled_bytes(&self) -> u64 {
        self.spilled_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator of pseudo-random numbers, so that a printed seed repeats a test.
    struct Lcg(u64);

    impl Lcg {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            self.0 >> 17
        }
    }

    type Owned = (Vec<u8>, u64, Vec<u8>);

    fn config(budget_bytes: usize, threads: usize) -> SortConfig {
        let env = Env::in_memory();
        env.fs.create_dir_all("/tmp".as_ref()).unwrap();
        SortConfig { threads, ..SortConfig::new(&env, "/tmp", budget_bytes) }
    }

    fn sort(entries: &[Owned], config: SortConfig) -> (Vec<Owned>, u64) {
        let mut sorter = Sorter::new(config);
        for (key, tag, payload) in entries {
            sorter.add(key, *tag, payload).unwrap();
        }
        let mut sorted = sorter.finish().unwrap();
        assert_eq!(sorted.len(), entries.len() as u64);
        let mut out = Vec::new();
        while let Some(entry) = sorted.next().unwrap() {
            out.push((entry.key.to_vec(), entry.tag, entry.payload.to_vec()));
        }
        (out, sorted.spilled_bytes())
    }

    fn random_entries(random: &mut Lcg, count: usize) -> Vec<Owned> {
        (0..count)
            .map(|_| {
                let len = random.next() as usize % 24;
                // Few distinct bytes, zeros among them: shared prefixes, padding and equal keys all occur.
                let mut key = b"shared".to_vec();
                key.extend((0..len).map(|_| [0u8, 1, 255][random.next() as usize % 3]));
                let payload = vec![random.next() as u8; random.next() as usize % 5];
                (key, random.next() % 7, payload)
            })
            .collect()
    }

    #[test]
    fn order_does_not_depend_on_budget_or_threads() {
        for seed in 0..8 {
            println!("seed {seed}");
            let mut random = Lcg(seed);
            let entries = random_entries(&mut random, 30_000);
            let mut expected = entries.clone();
            expected.sort();
            for (budget, threads) in [(1 << 30, 1), (1 << 30, 2), (0, 1), (0, 3)] {
                let (got, spilled) = sort(&entries, config(budget, threads));
                assert!(got == expected, "budget {budget} threads {threads}");
                assert_eq!(spilled > 0, budget == 0);
            }
        }
    }

    #[test]
    fn more_runs_than_the_fan_in_are_merged_in_passes() {
        let mut random = Lcg(1);
        let entries: Vec<Owned> =
            (0..60_000).map(|i| (random.next().to_be_bytes().to_vec(), i, vec![7; 40])).collect();
        let mut expected = entries.clone();
        expected.sort();
        let (got, spilled) = sort(&entries, config(0, 2));
        assert!(got == expected);
        assert!(spilled > 60_000 * 58 * 3 / 2, "the runs were merged more than once: {spilled}");
    }

    #[test]
    fn an_entry_larger_than_every_buffer() {
        let mut entries: Vec<Owned> =
            (0..40u64).map(|i| (vec![(i * 7 % 40) as u8], i, vec![i as u8; 1_500_000])).collect();
        let (got, _) = sort(&entries, config(0, 1));
        entries.sort();
        assert!(got == entries);
    }

    #[test]
    fn short_entries_stay_in_order_when_longer_ones_join_them() {
        for seed in 0..20 {
            println!("seed {seed}");
            let mut random = Lcg(seed);
            let len = random.next() as usize % 11;
            let mut entries: Vec<Owned> = (0..40_000)
                .map(|_| {
                    let mut key = random.next().to_be_bytes().to_vec();
                    key.extend([7, 7]);
                    key.truncate(len);
                    // Few distinct bytes, and a shared beginning of any length.
                    key.iter_mut().for_each(|byte| *byte &= 3);
                    key[..len.min(seed as usize % 5)].fill(1);
                    (key, random.next() % 9, Vec::new())
                })
                .collect();
            if seed % 2 == 0 {
                let late = entries.len() - 1 - random.next() as usize % 1000;
                entries[late] = match random.next() % 3 {
                    0 => (vec![1; len + 1], 3, Vec::new()),
                    1 => (vec![1; len], 1 << 50, Vec::new()),
                    _ => (vec![1; len], 3, vec![9]),
                };
            }
            let mut expected = entries.clone();
            expected.sort();
            for (budget, threads) in [(1 << 30, 2), (0, 1), (0, 3)] {
                let (got, _) = sort(&entries, config(budget, threads));
                assert!(got == expected, "budget {budget} threads {threads}");
            }
        }
    }

    #[test]
    fn empty() {
        assert_eq!(sort(&[], config(0, 1)).0, []);
    }
}
