//! Index scan: rows of a table by an index, in index order or against it; index-only where the page is all visible.
//!
//! # How
//! The conditions become spans of keys (see [`crate::bounds`]); each is walked leaf by leaf, and each entry's row is
//! fetched from the heap by its id.
//!
//! # Invariants
//! - IS1: a version whose keys may differ from its neighbours' is compared with the entry that led to it: a row that has
//!   moved in the index is found once, by the entry of the version that the snapshot sees.
//! - IS3: the all-visible map is asked after the leaf was read: what is inserted clears the page's bit before its entry is
//!   there to be read. What an older look said does not count for a leaf that was read later.
//! - IS2: no index latch is held while the heap is read.

use std::sync::Arc;

use ochre_access::btree::{KeyBound as TreeBound, Scan, ScanDirection as TreeDirection, ScanFetch};
use ochre_access::heap::VersionRef;
use ochre_base::{BlockNo, Result, RowId};
use ochre_sql::explain::NodeReport;
use ochre_sql::physical::{IndexBounds, IndexScanPlan, PhysicalPlan, ScanColumn, ScanDirection};
use ochre_txn::{KeyRange, ScannedRange};
use ochre_types::{Batch, ColumnBuilder, PhysicalType};

use crate::bounds::{KeySpan, key_range, key_spans, point_key};
use crate::codec::{ImageDecoder, RowCodec};
use crate::columns::{FIRST_BATCH_ROWS, builders, larger_batch, take_batch};
use crate::index_entry::{Entry, EntryColumns, decode_entry};
use crate::operators::scan::ScanRows;
use crate::relation::{IndexAccess, TableAccess};
use crate::{ExecContext, Operator};

/// The rows of a table by an index.
pub struct IndexScan {
    rows: ScanRows,
    index: Arc<IndexAccess>,
    bounds: IndexBounds,
    direction: ScanDirection,
    index_only: Option<IndexOnly>,
    scan: Scan,
    /// Spans that are still to be walked, the next one last; `None` before the scan is opened.
    spans: Option<Vec<KeySpan>>,
    /// Next entry of the leaf that has been read.
    position: usize,
    batch_rows: usize,
    recheck: KeyRecheck,
    /// For an equality on every column of a unique index: the key and the rows that have it, looked up directly.
    point: Option<Point>,
    /// Of a serializable transaction, the span that is being walked.
    locked: Option<LockedRange>,
    counters: Counters,
}

/// For EXPLAIN ANALYZE.
#[derive(Default)]
struct Counters {
    searches: u64,
    heap_fetches: u64,
    /// Rows whose keys were not those of the entry.
    rechecked: u64,
}

/// A span that is locked against insertions.
struct LockedRange {
    scanned: ScannedRange,
    range: KeyRange,
}

/// The state of a lookup of one key.
#[derive(Default)]
struct Point {
    key: Vec<u8>,
    rows: Vec<RowId>,
    done: bool,
}

/// How fetched columns come from the index itself.
struct IndexOnly {
    /// For each fetched column the index column that has it.
    sources: Vec<usize>,
    entry: Vec<ColumnBuilder>,
    entry_types: Vec<PhysicalType>,
    rows: usize,
    /// The block that was last asked about, and whether it is all visible.
    visible: Option<(BlockNo, bool)>,
}

impl IndexScan {
    /// A scan of an index.
    ///
    /// # Errors
    /// When the table has no such index.
    pub fn new(table: Arc<TableAccess>, node: &IndexScanPlan, plan: &PhysicalPlan) -> Result<IndexScan> {
        let index = Arc::clone(table.index(node.index.oid)?);
        let index_only = if node.index_only { IndexOnly::new(&table, &index, node) } else { None };
        let recheck = KeyRecheck::new(&table);
        let index_has_plain_keys = index.payload.is_empty();
        Ok(IndexScan {
            rows: ScanRows::new(table, &node.source, plan),
            scan: Scan::new(Arc::clone(&index.tree), ScanFetch::Entries),
            index,
            bounds: node.bounds.clone(),
            direction: node.direction,
            index_only,
            spans: None,
            position: 0,
            batch_rows: FIRST_BATCH_ROWS,
            recheck,
            // The payload, which lookups do not read, is needed to tell entries of equal keys apart.
            locked: None,
            counters: Counters::default(),
            point: (node.unique_match && !node.index_only && index_has_plain_keys).then(Point::default),
        })
    }

    /// The row of the key, if there is one.
    fn look_up(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        let point = self.point.as_mut().expect("called for a lookup");
        if std::mem::replace(&mut point.done, true)
            || !point_key(ctx, &self.index, &self.bounds, &mut point.key)?
        {
            return Ok(None);
        }
        point.rows.clear();
        ctx.statement.count_scan(&self.index.tree.scans);
        self.counters.searches += 1;
        let serial = ctx.statement.snapshot.serial();
        if let Some(serial) = serial {
            serial.read_key(self.index.tree.relation(), &point.key)?;
        }
        self.index.tree.lookup_equal(&point.key, &mut point.rows)?;
        let table = Arc::clone(&self.rows.table);
        let heap = table.heap()?;
        for rid in &point.rows {
            let decoder = &mut self.rows.decoder;
            let recheck = &mut self.recheck;
            recheck.needed = false;
            if let Some(serial) = serial {
                serial.read_row(heap.relation(), *rid)?;
            }
            let seen = heap.fetch(ctx.statement.snapshot, *rid, |version| {
                if version.recheck_keys {
                    recheck.keep(&version);
                    return Ok(());
                }
                decoder.push(&version)
            })?;
            let Some(pushed) = seen else { continue };
            pushed?;
            if recheck.needed {
                if !recheck.matches(ctx, heap, &self.index, *rid, (&point.key, &[]))? {
                    self.counters.rechecked += 1;
                    continue;
                }
                decoder.push(&recheck.version(*rid))?;
            }
            ctx.statement.count_read(&self.index.tree.scans, 1);
            ctx.statement.count_read(&heap.fetches, 1);
            return self.rows.take(ctx, heap);
        }
        Ok(None)
    }

    /// Moves to an entry; false at the end of the last span.
    fn advance(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        loop {
            if self.position < self.scan.len() {
                return Ok(true);
            }
            self.position = 0;
            if self.scan.next_leaf()? {
                // IS3
                if let Some(only) = &mut self.index_only {
                    only.visible = None;
                }
                ctx.check_interrupts()?;
                continue;
            }
            let spans = match &mut self.spans {
                Some(spans) => spans,
                None => {
                    let mut spans = key_spans(ctx, &self.index, &self.bounds)?;
                    if self.direction == ScanDirection::Forward {
                        spans.reverse();
                    }
                    ctx.statement.count_scan(&self.index.tree.scans);
                    self.spans.insert(spans)
                }
            };
            if let Some(locked) = self.locked.take() {
                locked.scanned.read_all();
            }
            let Some(span) = spans.pop() else { return Ok(false) };
            let (low, high) = span.bounds();
            if let Some(serial) = ctx.statement.snapshot.serial() {
                let range = key_range(low, high);
                let scanned = serial.read_range(self.index.tree.relation(), range.clone())?;
                self.locked = scanned.map(|scanned| LockedRange { scanned, range });
            }
            let direction = match self.direction {
                ScanDirection::Forward => TreeDirection::Forward,
                ScanDirection::Backward => TreeDirection::Backward,
            };
            self.scan.start(low, high, direction);
            self.counters.searches += 1;
        }
    }

    /// Adds the row of the current entry to the batch, if the snapshot sees it.
    fn take_entry(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        let rid = self.scan.rids()[self.position];
        let heap = self.rows.table.heap()?;
        let serial = ctx.statement.snapshot.serial();
        if let Some(serial) = serial {
            serial.read_row(heap.relation(), rid)?;
        }
        if let Some(only) = &mut self.index_only {
            if serial.is_some() {
                // What was true of the page before this row was locked says nothing about it now.
                only.visible = None;
            }
            // Rows of both kinds would come out of order: what the heap must be asked about goes through the same
            // columns as what the index knows.
            if only.is_visible(heap, rid) {
                let (key, payload) = (self.scan.key(self.position), self.scan.payload(self.position));
                only.push(&self.index, key, payload)?;
                return Ok(());
            }
            self.counters.heap_fetches += 1;
        }
        let decoder = &mut self.rows.decoder;
        let recheck = &mut self.recheck;
        let index = &self.index;
        recheck.needed = false;
        let seen = heap.fetch(ctx.statement.snapshot, rid, |version| {
            if version.recheck_keys {
                recheck.keep(&version);
                return Ok(());
            }
            decoder.push(&version)
        })?;
        let Some(pushed) = seen else { return Ok(()) };
        pushed?;
        // IS1: judged after the page's latch is released.
        if recheck.needed {
            let entry = (self.scan.key(self.position), self.scan.payload(self.position));
            if !recheck.matches(ctx, heap, index, rid, entry)? {
                self.counters.rechecked += 1;
                return Ok(());
            }
            decoder.push(&recheck.version(rid))?;
        }
        if let Some(only) = &mut self.index_only {
            only.push_row(&mut self.rows, ctx)?;
        }
        Ok(())
    }

    /// Gives back what was locked of the span and not read.
    fn unlock_rest(&mut self) {
        let Some(LockedRange { scanned, mut range }) = self.locked.take() else { return };
        let Some(rest) = self.scan.rest() else { return scanned.read_all() };
        match self.direction {
            ScanDirection::Forward => range.high = Some(KeyRange::above(rest)),
            ScanDirection::Backward => range.low = rest.into(),
        }
        scanned.read_only_to(range);
    }

    fn decoded_rows(&self) -> usize {
        self.index_only.as_ref().map_or(self.rows.decoder.rows(), |only| only.rows)
    }
}

impl Drop for IndexScan {
    fn drop(&mut self) {
        self.unlock_rest();
    }
}

impl IndexOnly {
    fn new(table: &TableAccess, index: &IndexAccess, node: &IndexScanPlan) -> Option<IndexOnly> {
        let columns = index_columns(index);
        let mut sources = Vec::with_capacity(node.source.fetch.len());
        for fetch in &node.source.fetch {
            let ScanColumn::Table(position) = fetch else { return None };
            sources.push(columns.iter().position(|column| *column == Some(*position))?);
        }
        let entry_types: Vec<PhysicalType> = columns
            .iter()
            .enumerate()
            .map(|(i, column)| match (index.keys.get(i), column) {
                (Some((ty, _)), _) => ty.physical,
                (None, Some(position)) => table.codec.column_type(*position).physical,
                (None, None) => PhysicalType::Bytes,
            })
            .collect();
        Some(IndexOnly { sources, entry: builders(&entry_types, 0), entry_types, rows: 0, visible: None })
    }

    fn is_visible(&mut self, heap: &ochre_access::heap::Heap, rid: RowId) -> bool {
        match self.visible {
            Some((block, visible)) if block == rid.block => visible,
            _ => {
                let visible = heap.is_all_visible(rid.block);
                self.visible = Some((rid.block, visible));
                visible
            }
        }
    }

    fn push(&mut self, index: &IndexAccess, key: &[u8], payload: &[u8]) -> Result<()> {
        // count(*) asks for no column.
        if !self.sources.is_empty() {
            decode_entry(index, key, payload, &mut self.entry)?;
        }
        self.rows += 1;
        Ok(())
    }

    /// Takes the one row that the heap was asked about.
    fn push_row(&mut self, rows: &mut ScanRows, _ctx: &ExecContext<'_>) -> Result<()> {
        let table = Arc::clone(&rows.table);
        let batch = rows.decoder.take(table.heap()?)?;
        let wanted = self.entry.iter_mut().enumerate().filter(|_| !self.sources.is_empty());
        for (column, builder) in wanted {
            match self.sources.iter().position(|source| *source == column) {
                Some(fetched) => builder.push_from(&batch.columns[fetched], 0),
                None => builder.push_null(),
            }
        }
        self.rows += 1;
        Ok(())
    }

    fn take(&mut self) -> Batch {
        let rows = std::mem::take(&mut self.rows);
        if self.sources.is_empty() {
            return Batch::new(Vec::new(), rows);
        }
        let batch = take_batch(&mut self.entry, rows);
        let columns = self.sources.iter().map(|source| Arc::clone(&batch.columns[*source])).collect();
        debug_assert_eq!(self.entry.len(), self.entry_types.len());
        Batch::new(columns, rows)
    }
}

/// The table column (by position) that each of an index's columns is, where it is a plain column.
fn index_columns(index: &IndexAccess) -> Vec<Option<usize>> {
    let plain = |number: i16| usize::try_from(number - 1).ok();
    let keys = index.descriptor.keys.iter().map(|key| plain(key.number));
    keys.chain(index.descriptor.included.iter().map(|number| plain(*number))).collect()
}

/// Compares the key of a version with that of the entry that led to it (IS1).
pub struct KeyRecheck {
    codec: Arc<RowCodec>,
    /// Made when it is needed first: most scans meet no such version.
    decoder: Option<ImageDecoder>,
    needed: bool,
    payload: Vec<u8>,
    header: Option<VersionHead>,
    entry: Entry,
}

/// A version's header, kept beyond its page's latch.
#[derive(Clone, Copy)]
struct VersionHead {
    xid: ochre_base::Xid,
    cid: ochre_base::CommandId,
    schema_version: u16,
    flags: ochre_access::row::RowFlags,
}

impl KeyRecheck {
    /// For entries of a table's indexes.
    pub fn new(table: &TableAccess) -> KeyRecheck {
        KeyRecheck {
            codec: Arc::clone(&table.codec),
            decoder: None,
            needed: false,
            payload: Vec::new(),
            header: None,
            entry: Entry::default(),
        }
    }

    fn keep(&mut self, version: &VersionRef<'_>) {
        self.needed = true;
        self.payload.clear();
        self.payload.extend_from_slice(version.payload);
        self.header = Some(VersionHead {
            xid: version.xid,
            cid: version.cid,
            schema_version: version.schema_version,
            flags: version.flags,
        });
    }

    fn version(&self, rid: RowId) -> VersionRef<'_> {
        let head = self.header.expect("kept before");
        VersionRef {
            rid,
            xid: head.xid,
            cid: head.cid,
            schema_version: head.schema_version,
            recheck_keys: true,
            flags: head.flags,
            payload: &self.payload,
        }
    }

    fn matches(
        &mut self,
        ctx: &ExecContext<'_>,
        heap: &ochre_access::heap::Heap,
        index: &IndexAccess,
        rid: RowId,
        (key, payload): (&[u8], &[u8]),
    ) -> Result<bool> {
        let make = || ImageDecoder::new(&self.codec, &index.exprs.columns_read());
        let mut decoder = self.decoder.take().unwrap_or_else(make);
        // A large value that the key is computed from belongs to the row, so the row's own id matters.
        decoder.push(&self.version(rid))?;
        let batch = decoder.take(heap)?;
        self.decoder = Some(decoder);
        let columns = ctx.with_eval(|eval| EntryColumns::stored(index, &batch, eval))?;
        if !index.has_single_entries() {
            return columns.has_entry(index, 0, rid, key, Some(payload));
        }
        if !columns.is_included(0) {
            return Ok(false);
        }
        columns.write(index, 0, &mut self.entry)?;
        Ok(self.entry.key == key && self.entry.payload == payload)
    }
}

impl Operator for IndexScan {
    fn recycle(&mut self, batch: Batch) {
        if self.point.is_some() {
            self.rows.decoder.recycle(batch);
        }
    }

    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if self.point.is_some() {
            return self.look_up(ctx);
        }
        loop {
            let target = self.batch_rows.min(ctx.batch_rows());
            let mut ended = true;
            while self.advance(ctx)? {
                self.take_entry(ctx)?;
                self.position += 1;
                if self.decoded_rows() >= target {
                    ended = false;
                    break;
                }
            }
            self.batch_rows = larger_batch(self.batch_rows);
            if self.decoded_rows() > 0 {
                ctx.statement.count_read(&self.index.tree.scans, self.decoded_rows());
                ctx.statement.count_read(&self.rows.table.heap()?.fetches, self.decoded_rows());
                let batch = match &mut self.index_only {
                    Some(only) => {
                        let batch = only.take();
                        self.rows.finish(ctx, batch)?
                    }
                    None => {
                        let table = Arc::clone(&self.rows.table);
                        self.rows.take(ctx, table.heap()?)?
                    }
                };
                if batch.is_some() {
                    return Ok(batch);
                }
            }
            if ended {
                return Ok(None);
            }
        }
    }

    fn report(&self, report: &mut NodeReport) {
        report.removed_by_filter = self.rows.removed;
        report.removed_by_recheck = self.counters.rechecked;
        report.index_searches = self.counters.searches;
        report.heap_fetches = self.counters.heap_fetches;
    }

    fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        if let Some(point) = &mut self.point {
            point.done = false;
            return Ok(());
        }
        self.unlock_rest();
        self.spans = None;
        self.position = 0;
        self.batch_rows = FIRST_BATCH_ROWS;
        // A scan of nothing, until the spans are known.
        self.scan.start(TreeBound::Excluded(&[]), TreeBound::Excluded(&[]), TreeDirection::Forward);
        Ok(())
    }
}
