//! Sequential scan: every row of a table.
//!
//! Pages are read one after the other, each under one latch; their rows are decoded at once and gathered into batches.
//! What the filter says of single fields, and what joins above have no use for, is left out while the page is read.
//! Where columns of some blocks are kept ([`crate::cached_columns`]), rows come from these instead of pages.
//! Threads that share a scan claim morsels of pages ([`crate::parallel`]).
//! The first batches are small, so that a LIMIT above stops the scan early. Large tables are read through a ring of
//! frames, so that one pass over them does not empty the buffer pool.

use std::collections::VecDeque;
use std::sync::Arc;

use ochre_access::heap::{Heap, RUN_BLOCKS};
use ochre_base::{BlockNo, Result};
use ochre_sql::explain::NodeReport;
use ochre_sql::physical::{PhysicalPlan, ScanColumn, SeqScanPlan};
use ochre_storage::ScanRing;
use ochre_types::{Batch, Selection};

use crate::cached_columns::CachedRun;
use crate::key_filter::KeyFilter;
use crate::operators::sampler::Sampling;
use crate::operators::scan::{PAGE_ROWS, RING_BLOCKS, ScanRows, split};
use crate::parallel::SharedScan;
use crate::raw_filter::RawFilter;
use crate::relation::TableAccess;
use crate::{ExecContext, Operator};

/// Rows of the first batch; each batch is four times as large as the one before, up to the full size.
const FIRST_BATCH_ROWS: usize = 128;
/// Columns are kept of tables with at least so many blocks.
const CACHED_BLOCKS: u32 = 8;
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
    cached: Cached,
}

/// What a scan knows of kept columns.
#[derive(Default)]
struct Cached {
    /// The columns that the scan reads, by position in the table, where it may do with kept ones.
    positions: Option<Vec<usize>>,
    /// Whether the table's heap may keep any; asked when the scan begins.
    allowed: bool,
    /// The run whose rows come next, and the number of the group behind the one in hand.
    run: Option<(Arc<CachedRun>, usize)>,
    /// Wanted rows of the group in hand: from `next` on they are still to come.
    left: Vec<u16>,
    next: usize,
    /// Whether these have passed the whole filter; and whether those that the decoder holds have.
    group_judged: bool,
    judged: bool,
}

impl SeqScan {
    /// A scan of a table.
    pub fn new(table: Arc<TableAccess>, node: &SeqScanPlan, plan: &PhysicalPlan) -> SeqScan {
        let source = &node.source;
        let raw = RawFilter::new(&table.codec, &source.fetch, source.filter.as_ref());
        let position = |column: &ScanColumn| match column {
            ScanColumn::Table(position) => Some(*position),
            _ => None,
        };
        let positions: Option<Vec<usize>> = source.fetch.iter().map(position).collect();
        let mut cached = Cached::default();
        if node.sample.is_none() {
            cached.positions = positions;
        }
        SeqScan {
            cached,
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
        if self.end_block.is_none() && self.cached.positions.is_some() {
            self.cached.allowed = heap.block_count()? >= CACHED_BLOCKS && heap.derived().begin_scan();
        }
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

    /// The run of blocks that comes next, if its columns are kept: those of a run that is passed again are made now.
    fn cached_run(&mut self, ctx: &ExecContext<'_>, heap: &Heap) -> Result<Option<Arc<CachedRun>>> {
        let left = self.end_block.map_or(0, |end| end - self.next_block);
        let blocks = left.min(RUN_BLOCKS);
        let whole = blocks == RUN_BLOCKS || self.shared.is_none();
        let Some(positions) = &self.cached.positions else { return Ok(None) };
        if !self.cached.allowed || !self.next_block.is_multiple_of(RUN_BLOCKS) || !whole {
            return Ok(None);
        }
        let run = self.next_block / RUN_BLOCKS;
        let codec = &self.rows.table.codec;
        let mut kept = CachedRun::find(heap, codec, run).filter(|kept| kept.blocks == blocks);
        if !kept.as_ref().is_some_and(|kept| kept.knows(positions)) && heap.derived().pass(run) {
            let ring = self.ring.as_mut();
            let range = self.next_block..self.next_block + blocks;
            let made = CachedRun::make(ctx, heap, codec, range, positions, kept.as_deref(), ring)?;
            kept = made.or(kept);
        }
        let kept = kept.filter(|kept| kept.has(positions));
        if kept.is_some() {
            heap.derived().count_read();
        }
        Ok(kept)
    }

    /// Takes rows of kept columns; false when the batch has to be given out first.
    fn read_cached(&mut self) -> bool {
        let Cached { run, left, next, group_judged, judged, .. } = &mut self.cached;
        let Some((kept, number)) = run else { return true };
        loop {
            if *next == left.len() {
                let Some(group) = kept.groups.get(*number) else { break };
                *group_judged = self.raw.leave_cached(group, left);
                (*next, *number) = (0, *number + 1);
                self.looked_at += group.rows - left.len();
                continue;
            }
            let held = self.rows.decoder.rows();
            let room = self.batch_rows.saturating_sub(held);
            let is_mixed = held > 0 && *judged != *group_judged;
            let splits = left.len() - *next > room;
            if is_mixed || room == 0 || splits && held > self.batch_rows / 2 {
                return false;
            }
            let group = &kept.groups[*number - 1];
            let some = &left[*next..left.len().min(*next + room)];
            self.rows.push_cached(group, (some.len() < group.rows).then_some(some), *group_judged);
            *judged = *group_judged;
            *next += some.len();
            self.looked_at += some.len();
        }
        *run = None;
        true
    }

    /// Decodes pages until the batch is full or the table ends; false when there was no page left.
    fn read_pages(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        let Some(heap) = self.rows.table.heap.clone() else { return Ok(false) };
        let sampler = self.sampling.as_mut().map(|sampling| sampling.sampler(ctx)).transpose()?;
        let codec = Arc::clone(&self.rows.table.codec);
        let all = self.raw.is_empty();
        let mut read = false;
        loop {
            ctx.check_interrupts()?;
            if self.cached.run.is_some() {
                read = true;
                if !self.read_cached() {
                    break;
                }
            }
            if self.rows.decoder.rows() + PAGE_ROWS > self.batch_rows.max(PAGE_ROWS) {
                break;
            }
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
            if let Some(run) = self.cached_run(ctx, &heap)? {
                self.next_block += run.blocks;
                self.cached.run = Some((run, 0));
                self.cached.left.clear();
                self.cached.next = 0;
                continue;
            }
            if self.rows.decoder.rows() > 0 && self.cached.judged {
                break;
            }
            self.cached.judged = false;
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
            let batch = match std::mem::take(&mut self.cached.judged) {
                true => Some(self.rows.take_judged()),
                false => self.rows.take(ctx, table.heap()?)?,
            };
            if let Some(batch) = batch {
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
        let narrowed = self.raw.narrowed();
        report.removed_by_filter = self.rows.removed - narrowed.by_keys - narrowed.by_range;
        report.removed_by_join_keys = narrowed.by_keys;
        report.removed_by_sort_bound = narrowed.by_range;
    }

    fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        self.raw.forget();
        self.cached.run = None;
        self.cached.left.clear();
        self.cached.next = 0;
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
