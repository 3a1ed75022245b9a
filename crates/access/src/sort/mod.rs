//! External sort: entries in key order under a memory budget, spilling sorted runs to temporary files.
//!
//! # Role
//! The bulk build of a B+tree ([`crate::btree::BTreeBuilder`]) and every operator that sorts rows by order-preserving
//! byte keys. An entry is a key, a 64-bit tag (the row id of an index entry, the position of a row whose order among
//! equals must stay) and a payload; entries come out ascending by (key, tag, payload).
//!
//! # How
//! Entries are gathered in *sets* of a sixteenth of the budget. A set is an arena of bytes beside an array of 16-byte
//! items: twelve bytes of the key behind what all keys so far share, and the entry's offset; sorting compares the
//! twelve bytes as a number and follows the offset only on a tie. A full set is sorted at once, by another thread if
//! one is free. When the sets reach the budget, they are merged and written as a *run*; with more than one thread, one
//! does that while the caller goes on adding, and each has half the budget from then on. The last step merges the runs
//! and what is in memory with a tree of losers; more runs than fit the fan-in are merged to longer ones first.
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use ochre_base::{Error, Result};
use ochre_env::{Env, FileSystem};

use memory::{MemoryCursor, MemorySet, SetMemory};
use merge::Merge;
use run::{Run, RunReader};

/// Runs merged at a time at most; each has a read buffer.
const MAX_FAN_IN: usize = 256;
/// The least memory for the buffer of a run that is read or written.
const MIN_RUN_BUFFER_BYTES: usize = 32 * 1024;
const MAX_RUN_BUFFER_BYTES: usize = 1024 * 1024;
/// A set's share of the budget, and its bounds: small ones make wide merges, large ones miss the processor's caches.
const SETS_IN_BUDGET: usize = 16;
const MIN_SET_BYTES: usize = 1024 * 1024;
const MAX_SET_BYTES: usize = 64 * 1024 * 1024;
/// A set of fewer entries is sorted by the caller: a thread would cost more.
const PARALLEL_ENTRIES: usize = 20_000;
/// Bytes of entries handed over together.
const ENTRY_BLOCK_BYTES: usize = 64 * 1024;
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
    /// What is being added to.
    set: MemorySet,
    set_limit_bytes: usize,
    /// Full sets.
    sorted: Vec<SortedSet>,
    sorted_bytes: usize,
    sorted_entries: usize,
    /// Sets in memory may grow to this: half the budget when the other half may be being written meanwhile.
    memory_limit_bytes: usize,
    /// Memory of sets that were written.
    unused: Vec<SetMemory>,
    runs: Vec<Run>,
    spilling: Option<Spilling>,
    /// Entries in `runs`.
    spilled: u64,
    spilled_bytes: u64,
}

/// A full set.
enum SortedSet {
    Done(MemoryCursor),
    Running(JoinHandle<MemoryCursor>),
}

impl SortedSet {
    fn wait(self) -> MemoryCursor {
        match self {
            SortedSet::Done(cursor) => cursor,
            SortedSet::Running(thread) => {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
        }
    }
}

/// A run that is being written. Who gives it up waits for the thread, which stops soon: nothing is left behind then.
struct Spilling {
    thread: Option<JoinHandle<Result<Spilled>>>,
    stop: Arc<AtomicBool>,
}

impl Spilling {
    fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(|thread| thread.is_finished())
    }

    fn wait(mut self) -> Result<Spilled> {
        let thread = self.thread.take().expect("only waited for or dropped");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Spilling {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.stop.store(true, Ordering::Relaxed);
            // What it has to tell concerns nobody any more.
            let _ = thread.join();
        }
    }
}

/// A written run, and the memory that it was written from.
struct Spilled {
    run: Run,
    memory: Vec<SetMemory>,
}

impl Sorter {
    /// An empty sort.
    pub fn new(mut config: SortConfig) -> Sorter {
        config.budget_bytes = config.budget_bytes.max(MIN_BUDGET_BYTES);
        let share = config.budget_bytes / SETS_IN_BUDGET;
        Sorter {
            set: MemorySet::default(),
            set_limit_bytes: share.clamp(MIN_SET_BYTES.min(config.budget_bytes / 2), MAX_SET_BYTES),
            sorted: Vec::new(),
            sorted_bytes: 0,
            sorted_entries: 0,
            memory_limit_bytes: config.budget_bytes,
            unused: Vec::new(),
            config,
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
        if self.set.used_bytes() + memory::entry_bytes(key, payload) > self.set_limit_bytes
            && !self.set.is_empty()
        {
            self.end_set()?;
        }
        self.set.push(key, tag, payload);
        Ok(())
    }

    /// Sorts what was added and begins the next set; spills when there is no memory for one.
    #[cold]
    fn end_set(&mut self) -> Result<()> {
        self.sort_set();
        if self.sorted_bytes + self.set_limit_bytes > self.memory_limit_bytes {
            self.spill()?;
        }
        Ok(())
    }

    fn sort_set(&mut self) {
        let memory = self.unused.pop().unwrap_or_else(|| self.set.new_memory());
        let next = self.set.emptied_like(memory);
        let set = std::mem::replace(&mut self.set, next);
        self.sorted_bytes += set.used_bytes();
        self.sorted_entries += set.len();
        let running = |set: &SortedSet| matches!(set, SortedSet::Running(thread) if !thread.is_finished());
        let busy = self.sorted.iter().filter(|set| running(set)).count()
            + usize::from(self.spilling.as_ref().is_some_and(|spilling| !spilling.is_finished()));
        self.sorted.push(if set.len() >= PARALLEL_ENTRIES && busy + 1 < self.config.threads {
            SortedSet::Running(std::thread::spawn(move || set.into_sorted()))
        } else {
            SortedSet::Done(set.into_sorted())
        });
    }

    /// How many entries were added.
    pub fn len(&self) -> u64 {
        self.spilled + (self.sorted_entries + self.set.len()) as u64
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
        self.sorted_bytes + self.set.used_bytes()
    }

    /// Ends the adding and begins the reading.
    ///
    /// # Errors
    /// When runs cannot be merged.
    pub fn finish(mut self) -> Result<Sorted> {
        let len = self.len();
        let shared = self.set.shared_bytes();
        self.unused.clear();
        if !self.set.is_empty() {
            let set = std::mem::take(&mut self.set);
            self.sorted.push(SortedSet::Done(set.into_sorted()));
        }
        self.join_spill()?;
        self.unused.clear();
        while self.runs.len() > self.fan_in() {
            self.merge_some_runs(shared)?;
        }
        let mut merge = Merge::new(shared);
        let buffer_bytes = self.run_buffer_bytes(self.runs.len());
        for run in std::mem::take(&mut self.runs) {
            merge.add_run(RunReader::new(run, buffer_bytes))?;
        }
        let spilled_bytes = self.spilled_bytes;
        for set in self.sorted {
            merge.add_memory(set.wait());
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

    /// Writes the full sets as a run, on a thread of its own while the next entries come in.
    fn spill(&mut self) -> Result<()> {
        self.join_spill()?;
        let sets = std::mem::take(&mut self.sorted);
        self.spilled += std::mem::take(&mut self.sorted_entries) as u64;
        self.sorted_bytes = 0;
        let config = self.config.clone();
        let shared = self.set.shared_bytes();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let write = move || {
            let mut merge = Merge::new(shared);
            for set in sets {
                merge.add_memory(set.wait());
            }
            merge.start();
            let run = write_run(&config, &mut merge, &stopped)?;
            Ok(Spilled { run, memory: merge.into_memory().collect() })
        };
        if self.config.threads > 1 {
            self.memory_limit_bytes = self.config.budget_bytes / 2;
            self.spilling = Some(Spilling { thread: Some(std::thread::spawn(write)), stop });
        } else {
            self.add_spilled(write()?);
        }
        Ok(())
    }

    /// Waits for the run that is being written.
    fn join_spill(&mut self) -> Result<()> {
        if let Some(spilling) = self.spilling.take() {
            self.add_spilled(spilling.wait()?);
        }
        Ok(())
    }

    fn add_spilled(&mut self, spilled: Spilled) {
        self.unused = spilled.memory;
        self.unused.truncate(self.memory_limit_bytes / self.set_limit_bytes);
        self.add_run(spilled.run);
    }

    fn add_run(&mut self, run: Run) {
        self.spilled_bytes += run.bytes();
        self.runs.push(run);
    }

    /// Merges the oldest runs to one.
    fn merge_some_runs(&mut self, shared: usize) -> Result<()> {
        let fan_in = self.fan_in();
        let mut merge = Merge::new(shared);
        let rest = self.runs.split_off(fan_in);
        let buffer_bytes = self.run_buffer_bytes(fan_in);
        for run in std::mem::replace(&mut self.runs, rest) {
            merge.add_run(RunReader::new(run, buffer_bytes))?;
        }
        merge.start();
        let run = write_run(&self.config, &mut merge, &AtomicBool::new(false))?;
        self.add_run(run);
        Ok(())
    }
}

/// Writes a run, unless it is told to stop.
fn write_run(config: &SortConfig, merge: &mut Merge, stop: &AtomicBool) -> Result<Run> {
    let mut writer = run::RunWriter::create(&*config.fs, &config.directory)?;
    while let Some(entry) = merge.next()? {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::internal("a run that nobody waits for is given up"));
        }
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

    /// The next entries, some tens of thousands of bytes of them, in memory of their own; none at the end. For reading
    /// on another thread than the one that makes use of them.
    ///
    /// # Errors
    /// As [`Sorted::next`].
    pub fn next_block(&mut self) -> Result<EntryBlock> {
        let mut block = EntryBlock { bytes: Vec::with_capacity(ENTRY_BLOCK_BYTES) };
        while block.bytes.len() + ENTRY_BLOCK_BYTES / 16 < ENTRY_BLOCK_BYTES {
            let Some(entry) = self.merge.next()? else { break };
            memory::encode(&mut block.bytes, entry);
        }
        Ok(block)
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

/// Entries in order.
pub struct EntryBlock {
    /// As in a run.
    bytes: Vec<u8>,
}

impl EntryBlock {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = SortEntry<'_>> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (header, key, payload) = memory::lengths(rest)?;
            let (entry, others) = rest.split_at(header + key + payload);
            rest = others;
            Some(memory::decode(entry))
        })
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
    fn what_keys_share_may_shrink_from_set_to_set() {
        for (budget, threads) in [(1 << 25, 1), (1 << 25, 3), (0, 1), (0, 2)] {
            let mut random = Lcg(budget as u64);
            // The first sets share more than the later ones; ties are decided behind the first twelve bytes.
            let mut entries: Vec<Owned> = (0..90_000u64)
                .map(|i| {
                    let mut key = (i / 3).to_be_bytes().to_vec();
                    key.extend([random.next() as u8 & 1; 12]);
                    key.push(random.next() as u8);
                    (key, random.next() % 3, vec![1; random.next() as usize % 3])
                })
                .collect();
            if threads == 1 {
                entries.reverse();
            }
            let (got, _) = sort(&entries, config(budget, threads));
            entries.sort();
            assert!(got == entries, "budget {budget} threads {threads}");
        }
    }

    #[test]
    fn blocks_hold_what_single_steps_give() {
        let mut random = Lcg(3);
        let entries = random_entries(&mut random, 20_000);
        let mut sorter = Sorter::new(config(0, 2));
        for (key, tag, payload) in &entries {
            sorter.add(key, *tag, payload).unwrap();
        }
        sorter.add(&[b'z'; 200_000], 1, &[]).unwrap();
        let mut sorted = sorter.finish().unwrap();
        let mut got: Vec<Owned> = Vec::new();
        loop {
            let block = sorted.next_block().unwrap();
            if block.is_empty() {
                break;
            }
            got.extend(block.entries().map(|e| (e.key.to_vec(), e.tag, e.payload.to_vec())));
        }
        let mut expected = entries;
        expected.sort();
        expected.push((vec![b'z'; 200_000], 1, vec![]));
        assert!(got == expected);
    }

    #[test]
    fn empty() {
        assert_eq!(sort(&[], config(0, 1)).0, []);
    }
}
