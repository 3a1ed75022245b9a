//! Bitmap scan: rows of a table by the row ids that indexes give, page after page, each once.
//!
//! # How
//! The ids of each index condition are gathered in a [`RowBitmap`]; those of several are united or intersected. Then the
//! pages are read in order, each under one latch, and of a page the rows that the set names, or all where it names the page
//! only. A table's page is read once, however many of its rows are wanted, and rows that are not wanted are not looked at.
//!
//! # Invariants
//! - BS1: a row that is there by the key of another version than the one the snapshot sees, that a GIN index gave, or that
//!   stands on a page whose rows are not known exactly, is asked the whole condition again ("Recheck Cond").
//! - BS2: a serializable transaction has locked what it reads before it reads it: ranges of keys, then rows; all rows of
//!   the table where the set has lost the rows of a page.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use ochre_access::btree::{KeyBound, Scan, ScanDirection, ScanFetch};
use ochre_access::heap::Heap;
use ochre_base::{BlockNo, Error, Result, RowId};
use ochre_env::usage;
use ochre_expr::Expr;
use ochre_sql::explain::{BitmapReport, NodeReport};
use ochre_sql::physical::{BitmapScanPlan, BitmapSource, GinCondition, IndexBounds, PhysicalPlan};
use ochre_storage::ScanRing;
use ochre_types::{Batch, Selection};

use crate::bounds::{key_range, key_spans};
use crate::gin::{GinQuery, gin_query};
use crate::operators::scan::{PAGE_ROWS, RING_BLOCKS, ScanRows, split};
use crate::relation::{IndexAccess, TableAccess};
use crate::row_bitmap::{PageRows, Pages, RowBitmap};
use crate::{ExecContext, Operator};

/// Rows of the first batch; each batch is four times as large as the one before, up to the full size.
const FIRST_BATCH_ROWS: usize = 128;

/// Rows by a set of row ids.
pub struct BitmapScan {
    rows: ScanRows,
    bitmap: BitmapSource,
    recheck: Option<Expr>,
    pages: Option<Pages>,
    ring: Option<ScanRing>,
    batch_rows: usize,
    /// Rows of the decoder that BS1 is about.
    doubtful: Vec<usize>,
    /// A GIN index gave rows.
    inexact: bool,
    pending: VecDeque<Batch>,
    report: NodeReport,
}

impl BitmapScan {
    /// A scan of a table by bitmaps.
    pub fn new(table: Arc<TableAccess>, node: &BitmapScanPlan, plan: &PhysicalPlan) -> BitmapScan {
        BitmapScan {
            rows: ScanRows::new(table, &node.source, plan),
            bitmap: node.bitmap.clone(),
            recheck: node.recheck.clone(),
            pages: None,
            ring: None,
            batch_rows: FIRST_BATCH_ROWS,
            doubtful: Vec::new(),
            inexact: false,
            pending: VecDeque::new(),
            report: NodeReport::default(),
        }
    }

    fn gather(&mut self, ctx: &ExecContext<'_>, heap: &Heap) -> Result<Pages> {
        let mut reports = std::mem::take(&mut self.report.bitmaps);
        let mut gathering =
            Gathering { ctx, table: &self.rows.table, reports: &mut reports, next: 0, inexact: false };
        let set = gathering.rows(&self.bitmap)?;
        self.inexact = gathering.inexact;
        self.report.bitmaps = reports;
        if let (true, Some(serial)) = (set.is_lossy(), ctx.statement.snapshot.serial()) {
            serial.read_relation(heap.relation())?; // BS2
        }
        self.ring = (set.page_count() > RING_BLOCKS as usize).then(ScanRing::bulk_read);
        Ok(set.into_pages())
    }

    /// Decodes the wanted rows of a page.
    fn read_page(
        &mut self,
        ctx: &ExecContext<'_>,
        heap: &Heap,
        block: u32,
        known: Option<&PageRows>,
    ) -> Result<()> {
        match known {
            Some(known) => {
                self.report.exact_blocks += 1;
                if let Some(serial) = ctx.statement.snapshot.serial() {
                    for slot in known.slots() {
                        serial.read_row(heap.relation(), RowId::new(block, slot))?; // BS2
                    }
                }
            }
            None => self.report.lossy_blocks += 1,
        }
        let decoder = &mut self.rows.decoder;
        let doubtful = &mut self.doubtful;
        let inexact = self.inexact;
        let (block, snapshot, ring) = (BlockNo(block), ctx.statement.snapshot, self.ring.as_mut());
        let Some(known) = known else {
            return heap.scan_page_together(block, snapshot, ring, |versions| {
                doubtful.extend(decoder.rows()..decoder.rows() + versions.len());
                decoder.push_many(versions)
            });
        };
        heap.read_rows_together(block, snapshot, ring, known.slots(), |versions| {
            let first = decoder.rows();
            let asked = versions
                .iter()
                .enumerate()
                .filter(|(_, version)| inexact || known.recheck || version.recheck_keys);
            doubtful.extend(asked.map(|(i, _)| first + i));
            decoder.push_many(versions)
        })
    }

    /// The rows that were decoded, without those that BS1 leaves out.
    fn take(&mut self, ctx: &ExecContext<'_>, heap: &Heap) -> Result<Option<Batch>> {
        ctx.statement.count_read(&heap.fetches, self.rows.decoder.rows());
        let mut batch = self.rows.decoder.take(heap)?;
        let doubtful = std::mem::take(&mut self.doubtful);
        if let Some(recheck) = &self.recheck
            && !doubtful.is_empty()
        {
            let asked: Vec<u16> = doubtful.iter().map(|row| *row as u16).collect();
            let fits = ctx.filter(recheck, batch.clone().with_selection(Selection::new(asked)))?;
            let fits: Vec<usize> = fits.iter().flat_map(Batch::active).collect();
            self.report.removed_by_recheck += (doubtful.len() - fits.len()) as u64;
            let rows: Vec<u16> = (0..batch.rows)
                .filter(|row| doubtful.binary_search(row).is_err() || fits.binary_search(row).is_ok())
                .map(|row| row as u16)
                .collect();
            if rows.is_empty() {
                return Ok(None);
            }
            batch = batch.with_selection(Selection::new(rows));
        }
        self.rows.finish(ctx, batch)
    }
}

/// Makes the set of a source.
struct Gathering<'g, 'c> {
    ctx: &'g ExecContext<'c>,
    table: &'g TableAccess,
    /// One for each source, in the order in which the plan shows them.
    reports: &'g mut Vec<BitmapReport>,
    next: usize,
    /// Not every row need satisfy what was asked.
    inexact: bool,
}

impl Gathering<'_, '_> {
    fn rows(&mut self, source: &BitmapSource) -> Result<RowBitmap> {
        let number = self.next;
        self.next += 1;
        if self.reports.len() < self.next {
            self.reports.push(BitmapReport::default());
        }
        let (begun, taken) = (Instant::now(), usage::now());
        let set = match source {
            BitmapSource::Index { index, bounds, .. } => {
                let index = Arc::clone(self.table.index(index.oid)?);
                self.of_index(&index, bounds, number)?
            }
            BitmapSource::And(parts) => self.combined(parts, RowBitmap::intersection)?,
            BitmapSource::Or(parts) => self.combined(parts, RowBitmap::union)?,
        };
        let report = &mut self.reports[number];
        report.loops += 1;
        report.total_ms += begun.elapsed().as_secs_f64() * 1000.0;
        report.usage = report.usage.and(usage::now().since(taken));
        Ok(set)
    }

    fn combined(
        &mut self,
        parts: &[BitmapSource],
        combine: impl Fn(RowBitmap, RowBitmap) -> RowBitmap,
    ) -> Result<RowBitmap> {
        let mut set: Option<RowBitmap> = None;
        for part in parts {
            let rows = self.rows(part)?;
            set = Some(match set {
                Some(before) => combine(before, rows),
                None => rows,
            });
        }
        Ok(set.unwrap_or_else(|| RowBitmap::new(self.ctx.work_mem_bytes())))
    }

    fn of_index(
        &mut self,
        index: &Arc<IndexAccess>,
        bounds: &IndexBounds,
        number: usize,
    ) -> Result<RowBitmap> {
        let ctx = self.ctx;
        ctx.statement.count_scan(&index.tree.scans);
        if let Some(classes) = &index.gin {
            self.inexact = true;
            if let (true, Some(serial)) =
                (index.descriptor.is_locked_as_a_whole(), ctx.statement.snapshot.serial())
            {
                let all = key_range(KeyBound::Unbounded, KeyBound::Unbounded);
                if let Some(locked) = serial.read_range(index.tree.relation(), all)? {
                    locked.read_all();
                }
            }
            let mut set: Option<RowBitmap> = None;
            for GinCondition { column, strategy, value } in &bounds.gin {
                let query = gin_query(classes[*column], *column, *strategy, &ctx.eval_value(value)?)?;
                let rows = self.of_query(index, &query, number)?;
                set = Some(match set {
                    Some(before) => before.intersection(rows),
                    None => rows,
                });
            }
            return set.ok_or_else(|| Error::internal("a GIN index is asked for nothing"));
        }
        let mut scan = Scan::new(Arc::clone(&index.tree), ScanFetch::RowIds);
        let mut set = RowBitmap::new(ctx.work_mem_bytes());
        for span in key_spans(ctx, index, bounds)? {
            let (low, high) = span.bounds();
            self.add_range(index, &mut scan, low, high, &mut set, number)?;
        }
        Ok(set)
    }

    /// Adds the rows that have entries between two bounds.
    fn add_range(
        &mut self,
        index: &IndexAccess,
        scan: &mut Scan,
        low: KeyBound<'_>,
        high: KeyBound<'_>,
        set: &mut RowBitmap,
        number: usize,
    ) -> Result<()> {
        let ctx = self.ctx;
        let locked = match ctx.statement.snapshot.serial() {
            Some(serial) => serial.read_range(index.tree.relation(), key_range(low, high))?,
            None => None,
        };
        scan.start(low, high, ScanDirection::Forward);
        self.reports[number].searches += 1;
        while scan.next_leaf()? {
            ctx.check_interrupts()?;
            scan.rids().iter().for_each(|rid| set.insert(*rid));
            self.reports[number].rows += scan.rids().len() as u64;
            ctx.statement.count_read(&index.tree.scans, scan.rids().len());
        }
        if let Some(locked) = locked {
            locked.read_all();
        }
        Ok(())
    }

    /// The rows that a GIN index has for a query.
    fn of_query(&mut self, index: &IndexAccess, query: &GinQuery, number: usize) -> Result<RowBitmap> {
        let budget = self.ctx.work_mem_bytes();
        let mut scan = Scan::new(Arc::clone(&index.tree), ScanFetch::RowIds);
        let mut set = RowBitmap::new(budget);
        match query {
            GinQuery::Nothing => {}
            GinQuery::NotNull(low, high) => {
                let (low, high) = (KeyBound::IncludedPrefix(low), KeyBound::IncludedPrefix(high));
                self.add_range(index, &mut scan, low, high, &mut set, number)?;
            }
            GinQuery::Any(keys) => {
                for key in keys {
                    let key = KeyBound::Included(key);
                    self.add_range(index, &mut scan, key, key, &mut set, number)?;
                }
            }
            GinQuery::Every(keys) => {
                for (position, key) in keys.iter().enumerate() {
                    let key = KeyBound::Included(key);
                    let mut own = RowBitmap::new(budget);
                    self.add_range(index, &mut scan, key, key, &mut own, number)?;
                    set = if position == 0 { own } else { set.intersection(own) };
                    // No row can have them all: the others need not be read, nor locked.
                    if set.is_empty() {
                        break;
                    }
                }
            }
        }
        Ok(set)
    }
}

impl Operator for BitmapScan {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if let Some(batch) = self.pending.pop_front() {
            return Ok(Some(batch));
        }
        let table = Arc::clone(&self.rows.table);
        let heap = table.heap()?;
        let mut pages = match self.pages.take() {
            Some(pages) => pages,
            None => self.gather(ctx, heap)?,
        };
        let end = heap.block_count()?;
        loop {
            let mut ended = true;
            while self.rows.decoder.rows() + PAGE_ROWS <= self.batch_rows.max(PAGE_ROWS) {
                ctx.check_interrupts()?;
                let Some((block, known)) = pages.next() else { break };
                ended = false;
                if block < end {
                    self.read_page(ctx, heap, block, known.as_ref())?;
                }
            }
            if ended && self.rows.decoder.rows() == 0 {
                self.pages = Some(pages);
                return Ok(None);
            }
            self.batch_rows = (self.batch_rows * 4).min(ochre_base::limits::BATCH_ROWS);
            if self.rows.decoder.rows() == 0 {
                continue;
            }
            if let Some(batch) = self.take(ctx, heap)? {
                self.pages = Some(pages);
                if batch.active_rows() <= ctx.batch_rows().max(PAGE_ROWS) && ctx.batch_rows() >= PAGE_ROWS {
                    return Ok(Some(batch));
                }
                split(batch, ctx.batch_rows(), &mut self.pending);
                return Ok(self.pending.pop_front());
            }
        }
    }

    fn report(&self, report: &mut NodeReport) {
        *report = self.report.clone();
        report.removed_by_filter = self.rows.removed;
    }

    fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        self.pages = None;
        self.pending.clear();
        self.batch_rows = FIRST_BATCH_ROWS;
        Ok(())
    }
}
