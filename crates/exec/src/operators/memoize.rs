//! Memoize: keeps what its input gave for each set of values that it depends on, and gives it again when they come back.
//!
//! # How
//! The inner side of a nested loop is rescanned for each outer row. The values in the slots that it reads, byte by byte, are
//! the key of an entry that holds the rows; when memory is short the entries that were not asked for the longest go.
//!
//! # Invariants
//! - ME1: an entry is complete: it is made only of an input that was read to its end, or that gives one row at most.
//! - ME2: the input gives the same rows for the same values as long as the statement runs: the planner sees to that.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use ochre_base::Result;
use ochre_sql::explain::{MemoReport, NodeReport};
use ochre_types::{Batch, Column};

use crate::dependencies::Dependencies;
use crate::row_bytes::encode_row;
use crate::{BoxOperator, ExecContext, Operator};

/// What an entry takes beside its rows and its key.
const ENTRY_BYTES: usize = 160;

/// Remembers the rows of its input by what they depend on.
pub struct Memoize {
    input: BoxOperator,
    dependencies: Dependencies,
    /// The input gives one row at most, so whoever reads it may stop there.
    single_row: bool,
    entries: HashMap<Vec<u8>, Entry>,
    /// Keys by when they were asked for last.
    used: BTreeMap<u64, Vec<u8>>,
    clock: u64,
    memory_bytes: usize,
    input_started: bool,
    state: State,
    report: MemoReport,
}

struct Entry {
    batches: Arc<[Batch]>,
    bytes: usize,
    used: u64,
}

enum State {
    /// Nothing was asked for since the last rescan.
    New,
    /// An entry is being given, from this batch on.
    Known(Arc<[Batch]>, usize),
    /// The input is being read for an entry.
    Reading {
        key: Vec<u8>,
        batches: Vec<Batch>,
        bytes: usize,
    },
    /// The input is being read for nobody else: the entry would be too large.
    Passing,
    Ended,
}

impl Memoize {
    /// The rows of `input`, which has these dependencies.
    pub fn new(input: BoxOperator, dependencies: Dependencies, single_row: bool) -> Memoize {
        Memoize {
            input,
            dependencies,
            single_row,
            entries: HashMap::new(),
            used: BTreeMap::new(),
            clock: 0,
            memory_bytes: 0,
            input_started: false,
            state: State::New,
            report: MemoReport::default(),
        }
    }

    /// Looks for the entry of the slots' values, or begins to make it.
    fn begin(&mut self, ctx: &ExecContext<'_>) -> Result<State> {
        let mut key = Vec::new();
        for value in self.dependencies.slot_values(ctx) {
            match value.physical() {
                Some(physical) => {
                    key.push(1);
                    encode_row(&[Arc::new(Column::constant(physical, &value, 1))], 0, &mut key);
                }
                None => key.push(0),
            }
        }
        self.clock += 1;
        if let Some(entry) = self.entries.get_mut(&key) {
            self.report.hits += 1;
            self.used.remove(&entry.used);
            entry.used = self.clock;
            self.used.insert(self.clock, key);
            return Ok(State::Known(Arc::clone(&entry.batches), 0));
        }
        self.report.misses += 1;
        if std::mem::replace(&mut self.input_started, true) {
            self.input.rescan(ctx)?;
        }
        let bytes = ENTRY_BYTES + 2 * key.len();
        Ok(State::Reading { key, batches: Vec::new(), bytes })
    }

    /// Keeps a complete entry (ME1).
    fn keep(&mut self, ctx: &ExecContext<'_>, key: Vec<u8>, batches: Vec<Batch>, bytes: usize) {
        let budget = ctx.hash_mem_bytes();
        while self.memory_bytes + bytes > budget {
            let Some((_, oldest)) = self.used.pop_first() else { break };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.memory_bytes -= entry.bytes;
                self.report.evictions += 1;
            }
        }
        self.memory_bytes += bytes;
        self.report.memory_bytes = self.report.memory_bytes.max(self.memory_bytes as u64);
        self.used.insert(self.clock, key.clone());
        self.entries.insert(key, Entry { batches: batches.into(), bytes, used: self.clock });
    }
}

impl Operator for Memoize {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if matches!(self.state, State::New) {
            self.state = self.begin(ctx)?;
        }
        match &mut self.state {
            State::Known(batches, next) => {
                let batch = batches.get(*next).cloned();
                *next += 1;
                Ok(batch)
            }
            State::Reading { batches, bytes, .. } => {
                let Some(batch) = self.input.next(ctx)? else {
                    if let State::Reading { key, batches, bytes } =
                        std::mem::replace(&mut self.state, State::Ended)
                    {
                        self.keep(ctx, key, batches, bytes);
                    }
                    return Ok(None);
                };
                let batch = batch.compact();
                *bytes += batch.memory_bytes();
                if *bytes > ctx.hash_mem_bytes() {
                    self.report.overflows += 1;
                    self.state = State::Passing;
                    return Ok(Some(batch));
                }
                batches.push(batch.clone());
                if self.single_row
                    && let State::Reading { key, batches, bytes } =
                        std::mem::replace(&mut self.state, State::Ended)
                {
                    self.keep(ctx, key, batches, bytes);
                }
                Ok(Some(batch))
            }
            State::Passing => self.input.next(ctx),
            State::New | State::Ended => Ok(None),
        }
    }

    fn report(&self, report: &mut NodeReport) {
        report.memo = Some(self.report);
    }

    fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        self.state = State::New;
        Ok(())
    }
}
