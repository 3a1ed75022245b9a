//! Distinct: distinct rows by hashing all columns.
//!
//! New rows go up as they come. When the table exceeds the memory budget, rows that are not in it are split by hash into
//! partitions on disk and looked at one partition after the other.

use std::sync::Arc;

use ochre_base::Result;
use ochre_sql::explain::{GroupReport, NodeReport};
use ochre_types::{Batch, PhysicalType, Selection, SqlType};

use crate::key_table::KeyTable;
use crate::keys::{BatchKeys, KeyLayout};
use crate::partition::{MAX_DEPTH, Partitioner, key_hash};
use crate::row_store::RowStore;
use crate::{BoxOperator, Check, ExecContext, Operator, Readiness};

/// Rows that differ from all rows before; NULLs equal each other.
pub struct Distinct {
    input: BoxOperator,
    types: Arc<[PhysicalType]>,
    layout: KeyLayout,
    seen: KeyTable,
    keys: BatchKeys,
    spill: Option<Partitioner>,
    depth: u32,
    /// Partitions to look at; the first one being read, from this batch on.
    jobs: Vec<(RowStore, u32)>,
    reading: Option<(RowStore, usize)>,
    input_ended: bool,
    /// For EXPLAIN ANALYZE: rounds, bytes of memory at most, bytes put aside.
    report: GroupReport,
}

impl Distinct {
    /// The distinct rows of `input`, which has columns of these types.
    pub fn new(input: BoxOperator, types: &[SqlType]) -> Distinct {
        Distinct {
            input,
            types: types.iter().map(|ty| ty.physical).collect(),
            layout: KeyLayout::new(types.iter().copied()).into_bytes(),
            seen: KeyTable::bytes(),
            keys: BatchKeys::default(),
            spill: None,
            depth: 0,
            jobs: Vec::new(),
            reading: None,
            input_ended: false,
            report: GroupReport { batches: 1, ..GroupReport::default() },
        }
    }

    fn next_input(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        loop {
            if !self.input_ended {
                match self.input.next(ctx)? {
                    Some(batch) => return Ok(Some(batch)),
                    None => self.input_ended = true,
                }
            }
            if let Some((rows, number)) = &mut self.reading {
                if let Some(batch) = rows.batch(*number)? {
                    *number += 1;
                    return Ok(Some(batch));
                }
                self.reading = None;
            }
            // A round has ended: what it put aside makes new jobs, and the next one starts with an empty table.
            if let Some(spill) = self.spill.take() {
                let parts = spill.finish()?.into_iter().filter(|part| !part.is_empty());
                let report = &mut self.report;
                let parts = parts.inspect(|part| report.disk_bytes += part.report().bytes);
                let depth = self.depth + 1;
                self.jobs.extend(parts.map(|part| (part, depth)));
            }
            let Some((rows, depth)) = self.jobs.pop() else { return Ok(None) };
            self.seen.clear();
            self.report.batches += 1;
            self.depth = depth;
            self.reading = Some((rows, 0));
        }
    }

    fn reset(&mut self) {
        self.seen.clear();
        self.spill = None;
        self.jobs.clear();
        self.reading = None;
        self.depth = 0;
        self.input_ended = false;
    }
}

impl Operator for Distinct {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        while let Some(batch) = self.next_input(ctx)? {
            ctx.check_interrupts()?;
            self.layout.encode(&batch.columns, batch.rows, batch.active(), &mut self.keys)?;
            // Without any memory the first row goes aside, too: tests ask for that.
            let forced = ctx.work_mem_bytes() == 0 && self.depth == 0;
            let full = self.spill.is_some()
                || forced
                || (self.seen.memory_bytes() > ctx.work_mem_bytes() && self.depth < MAX_DEPTH);
            self.report.memory_bytes = self.report.memory_bytes.max(self.seen.memory_bytes() as u64);
            let mut fresh: Vec<u16> = Vec::new();
            for row in batch.active() {
                let key = self.keys.bytes(row);
                if !full {
                    if self.seen.insert_bytes(key).1 {
                        fresh.push(row as u16);
                    }
                } else if self.seen.find_bytes(key).is_none() {
                    let hash = key_hash(&self.layout, &self.keys, row);
                    let depth = self.depth;
                    self.spill
                        .get_or_insert_with(|| {
                            Partitioner::new(&self.types, depth, ctx.temp(), ctx.work_mem_bytes())
                        })
                        .add(&batch, row, hash)?;
                }
            }
            if !fresh.is_empty() {
                return Ok(Some(batch.with_selection(Selection::new(fresh))));
            }
        }
        Ok(None)
    }

    fn make_ready(&mut self, ctx: &ExecContext<'_>) -> Result<Readiness> {
        self.input.make_ready(ctx)
    }

    fn take_part(&mut self, ctx: &ExecContext<'_>, check: Check<'_>) -> Result<()> {
        self.input.take_part(ctx, check)
    }

    fn report(&self, report: &mut NodeReport) {
        report.groups = Some(self.report);
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.reset();
        self.input.rescan(ctx)
    }

    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.reset();
        self.input.rewind(ctx)
    }
}
