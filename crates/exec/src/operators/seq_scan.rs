//! Sequential scan: every row of a table.
//!
//! Pages are read one after the other, each under one latch; their rows are decoded at once and gathered into batches.
//! What the filter says of single fields, and what joins above have no use for, is left out while the page is read.
//! Threads that share a scan claim morsels of pages ([`crate::parallel`]).
//! The first batches are small, so that a LIMIT above stops the scan early. Large tables are read through a ring of
//! frames, so that one pass over them does not empty the buffer pool.

use std::collections::VecDeque;
use std::sync::Arc;

use ochre_access::heap::Heap;
use ochre_base::{BlockNo, Result};
use ochre_sql::explain::NodeReport;
use ochre_sql::physical::{PhysicalPlan, SeqScanPlan};
use ochre_storage::ScanRing;
use ochre_types::{Batch, Selection};

use crate::key_filter::KeyFilter;
use crate::operators::sampler::Sampling;
use crate::operators::scan::{PAGE_ROWS, RING_BLOCKS, ScanRows, split};
use crate::parallel::SharedScan;
use crate::raw_filter::RawFilter;
use crate::relation::TableAccess;
use crate::{ExecContext, Operator};

/// Rows of the first batch; each batch is four times as large as the one before, up to the full size.
const FIRST_BATCH_ROWS: usize = 128;
/// The rows of a table in the order of their ids, after those that are not stored.
pub struct SeqScan {
    rows: ScanRows,
    builtin: Option<std::vec::IntoIter<Batch>>,
    next_block: u32,
    end_block: Option<u32>,
    /// The table's pages go to several threads: the blocks above are a morsel.
    shared: Option<Arc<SharedScan>>,
    ring: Option<ScanRing>,
    batch_rows: usize,
    raw: RawFilter,
    /// Rows that pages held since the last batch.
    looked_at: usize,
    /// Batches that came of one that was larger than the statement's are.
    pending: VecDeque<Batch>,
    sampling: Option<Sampling>,
    /// Rows that are not stored and were looked at.
    numbered: u64,
}

impl SeqScan {
    /// A scan of a table.
    pub fn new(table: Arc<TableAccess>, node: &SeqScanPlan, plan: &PhysicalPlan) -> SeqScan {
        let source = &node.source;
        let raw = RawFilter::new(&table.codec, &source.fetch, source.filter.as_ref());
        SeqScan {
            raw,
            looked_at: 0,
            pending: VecDeque::new(),
            sampling: node.sample.as_deref().map(Sampling::new),
            numbered: 0,
            rows: ScanRows::new(table, source, plan),
            builtin: None,
            next_block: 0,
            end_block: None,
            shared: None,
            ring: None,
            batch_rows: FIRST_BATCH_ROWS,
        }
    }

    /// The part of the rows that other threads' scans of `shared` do not get.
    pub fn sharing(mut self, shared: Arc<SharedScan>) -> SeqScan {
        self.shared = Some(shared);
        self
    }

    /// Sets the blocks to read next; false when there are none.
    fn advance(&mut self, ctx: &ExecContext<'_>, heap: &Heap) -> Result<bool> {
        let begin = || {
            if let Some(serial) = ctx.statement.snapshot.serial() {
                serial.read_relation(heap.relation())?;
            }
            ctx.statement.count_scan(&heap.scans);
            heap.block_count()
        };
        let blocks = match &self.shared {
            None if self.end_block.is_some() => None,
            None => Some(0..begin()?),
            Some(shared) => shared.claim(begin)?,
        };
        let Some(blocks) = blocks else { return Ok(false) };
        if self.ring.is_none() && heap.block_count()? > RING_BLOCKS {
            self.ring = Some(ScanRing::bulk_read());
        }
        self.next_block = blocks.start;
        self.end_block = Some(blocks.end);
        Ok(true)
    }

    fn next_builtin(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        let descriptor = &self.rows.table.descriptor;
        if !descriptor.builtin && descriptor.sequence.is_none() {
            return Ok(None);
        }
        let rows = match &mut self.builtin {
            Some(rows) => rows,
            None => {
                let rows = ctx.statement.relations.builtin_rows(&self.rows.table, ctx.statement)?;
                self.builtin.insert(rows.into_iter())
            }
        };
        let sampler = self.sampling.as_mut().map(|sampling| sampling.sampler(ctx)).transpose()?;
        for batch in rows {
            let mut batch = self.rows.fetch_builtin(&batch);
            if let Some(sampler) = sampler {
                let first = self.numbered;
                let taken: Vec<u16> = (0..batch.rows)
                    .filter(|row| sampler.wants_number(first + *row as u64))
                    .map(|row| row as u16)
                    .collect();
                self.numbered += batch.rows as u64;
                batch = batch.with_selection(Selection::new(taken));
            }
            if batch.is_empty() {
                continue;
            }
            if let Some(batch) = self.rows.finish(ctx, batch)? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Decodes pages until the batch is full or the table ends; false when there was no page left.
    fn read_pages(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        let Some(heap) = self.rows.table.heap.clone() else { return Ok(false) };
        let sampler = self.sampling.as_mut().map(|sampling| sampling.sampler(ctx)).transpose()?;
        let codec = Arc::clone(&self.rows.table.codec);
        let all = self.raw.is_empty();
        let mut read = false;
        while self.rows.decoder.rows() + PAGE_ROWS <= self.batch_rows.max(PAGE_ROWS) {
            ctx.check_interrupts()?;
            if self.end_block.is_none_or(|end| self.next_block >= end) {
                if !self.advance(ctx, &heap)? {
                    break;
                }
                continue;
            }
            if sampler.is_some_and(|sampler| !sampler.wants_block(self.next_block)) {
                self.next_block += 1;
                read = true;
                continue;
            }
            let decoder = &mut self.rows.decoder;
            let (raw, looked_at) = (&mut self.raw, &mut self.looked_at);
            heap.scan_page_together(
                BlockNo(self.next_block),
                ctx.statement.snapshot,
                self.ring.as_mut(),
                |versions| {
                    if let Some(sampler) = sampler {
                        versions.retain(|version| sampler.wants_row(version.rid));
                    }
                    *looked_at += versions.len();
                    if !all {
                        raw.retain(&codec, versions);
                    }
                    decoder.push_many(versions)
                },
            )?;
            self.next_block += 1;
            read = true;
            if self.rows.decoder.rows() >= self.batch_rows {
                break;
            }
        }
        Ok(read || self.rows.decoder.rows() > 0)
    }
}

impl Operator for SeqScan {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if let Some(batch) = self.pending.pop_front() {
            return Ok(Some(batch));
        }
        if let Some(batch) = self.next_builtin(ctx)? {
            return Ok(Some(batch));
        }
        while self.read_pages(ctx)? {
            self.batch_rows = (self.batch_rows * 4).min(ochre_base::limits::BATCH_ROWS);
            let table = Arc::clone(&self.rows.table);
            let looked_at = std::mem::take(&mut self.looked_at);
            ctx.statement.count_read(&table.heap()?.scans, looked_at);
            self.rows.removed += (looked_at - self.rows.decoder.rows()) as u64;
            if self.rows.decoder.rows() == 0 {
                continue;
            }
            if let Some(batch) = self.rows.take(ctx, table.heap()?)? {
                if batch.active_rows() <= ctx.batch_rows().max(PAGE_ROWS) && ctx.batch_rows() >= PAGE_ROWS {
                    return Ok(Some(batch));
                }
                split(batch, ctx.batch_rows(), &mut self.pending);
                return Ok(self.pending.pop_front());
            }
        }
        Ok(None)
    }

    fn narrow(&mut self, column: usize, keys: &Arc<KeyFilter>) -> bool {
        let Some(fetched) = self.rows.source.fetch.get(column) else { return false };
        self.raw.hand(&self.rows.table.codec, *fetched, keys)
    }

    fn report(&self, report: &mut NodeReport) {
        report.removed_by_filter = self.rows.removed - self.raw.narrowed();
    }

    fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        self.raw.forget();
        self.pending.clear();
        if let Some(sampling) = &mut self.sampling {
            sampling.restart();
        }
        self.numbered = 0;
        self.builtin = None;
        self.next_block = 0;
        self.end_block = None;
        self.batch_rows = FIRST_BATCH_ROWS;
        Ok(())
    }
}
