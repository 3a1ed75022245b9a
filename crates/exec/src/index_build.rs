//! Filling a new index from its table: scan, sort, bulk build; or, beside writers, entry by entry.
//!
//! The index gets the rows that the statement's snapshot sees, so it may be used by that snapshot and later ones only
//! (`IndexDescriptor::usable_from`); for the bulk build the table must be locked against writers meanwhile.
//!
//! # Concurrency
//! Of a large table a thread of its own reads the rows while the caller makes entries of them ([`each_batch`]), and
//! another one merges what was sorted while the caller fills pages. Both end with the call that began them.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use ochre_access::btree::{BTreeBuilder, BuildReport, UniqueChecker, UniqueOutcome, UniqueVerdict};
use ochre_access::heap::Heap;
use ochre_access::sort::{EntryBlock, SortConfig, SortEntry, Sorted, Sorter};
use ochre_base::{BlockNo, Result, RowId, limits};
use ochre_sql::physical::ScanColumn;
use ochre_storage::ScanRing;
use ochre_txn::Snapshot;
use ochre_types::{Batch, Column};

use crate::codec::RowDecoder;
use crate::context::{ExecContext, Frame, StatementContext};
use crate::index_entry::{Entry, EntryColumns};
use crate::modify::errors::{TableName, cannot_create_unique};
use crate::modify::unique::HeapUniqueChecker;
use crate::relation::{IndexAccess, TableAccess};
use crate::run_state::RunState;

/// A table of fewer blocks is read by the caller alone.
const PARALLEL_BLOCKS: u32 = 256;
/// Batches, or blocks of entries, that one thread may be ahead of the other.
const QUEUE_LENGTH: usize = 4;
/// A page has fewer rows.
const ROWS_ON_PAGE: usize = 300;

/// Fills an empty index of a table, with `memory_bytes` for the sort (`maintenance_work_mem`).
///
/// # Errors
/// 23505 when a unique index would hold a key twice; those of the index's expressions; errors of storage.
pub fn build_index(
    statement: &StatementContext<'_>,
    table: &TableAccess,
    index: &IndexAccess,
    memory_bytes: usize,
) -> Result<BuildReport> {
    let (sorted, parallel, rows) = sort_entries(statement, table, index, memory_bytes)?;
    let mut builder = BTreeBuilder::new(Arc::clone(&index.tree), statement.txn.assign_xid()?);
    let mut count = 0u64;
    each_entry(sorted, parallel, |next| {
        if count.is_multiple_of(4096) {
            statement.session.check_interrupts()?;
        }
        count += 1;
        let same = builder.add(next.key, next.payload, RowId::from_u64(next.tag))?;
        if same.is_some() && index.descriptor.unique && is_checked(index, next.key)? {
            return Err(duplicate(statement, table, index, next.key));
        }
        Ok(())
    })?;
    // What is known of the table's size comes from here: rows count, however many entries each has.
    builder.finish().map(|report| BuildReport { entries: rows, ..report })
}

/// Looks whether a unique index would hold a key twice, with `memory_bytes` for the sort.
///
/// # Errors
/// As [`build_index`].
pub fn look_for_twins(
    statement: &StatementContext<'_>,
    table: &TableAccess,
    index: &IndexAccess,
    memory_bytes: usize,
) -> Result<()> {
    let (sorted, parallel, _) = sort_entries(statement, table, index, memory_bytes)?;
    let mut last: Option<Vec<u8>> = None;
    let mut count = 0u64;
    each_entry(sorted, parallel, |next| {
        if count.is_multiple_of(4096) {
            statement.session.check_interrupts()?;
        }
        count += 1;
        if last.as_deref() == Some(next.key) && is_checked(index, next.key)? {
            return Err(duplicate(statement, table, index, next.key));
        }
        let last = last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(next.key);
        Ok(())
    })
}

/// Whether a unique index may hold a key once only.
fn is_checked(index: &IndexAccess, key: &[u8]) -> Result<bool> {
    Ok(!index.is_memo(key) && (index.descriptor.nulls_not_distinct || !index.has_null_in_key(key)?))
}

/// The entries of all rows that the statement sees, in order; whether two threads are worth their while for what follows;
/// how many rows have entries.
fn sort_entries(
    statement: &StatementContext<'_>,
    table: &TableAccess,
    index: &IndexAccess,
    memory_bytes: usize,
) -> Result<(Sorted, bool, u64)> {
    let config = SortConfig::new(statement.temp.env(), statement.temp.dir(), memory_bytes);
    let parallel = config.threads > 1;
    let mut sorter = Sorter::new(config);
    let (mut entry, mut several) = (Entry::default(), Vec::new());
    let mut rows = 0;
    each_batch_of(statement, table, &index.exprs.columns_read(), |ctx, image| {
        let columns = ctx.with_eval(|eval| EntryColumns::compute(index, &image, eval))?;
        let ids = image.columns.last().and_then(|column| column.as_i64s()).unwrap_or_default();
        for row in image.active().filter(|row| columns.may_have_entries(index, *row)) {
            rows += 1;
            if !index.has_single_entries() {
                columns.entries(index, row, RowId::from_u64(ids[row] as u64), &mut several)?;
                for entry in &several {
                    sorter.add(&entry.key, ids[row] as u64, &entry.payload)?;
                }
                continue;
            }
            columns.write(index, row, &mut entry)?;
            sorter.add(&entry.key, ids[row] as u64, &entry.payload)?;
        }
        Ok(true)
    })?;
    let sorted = sorter.finish()?;
    let parallel = parallel && sorted.len() > limits::BATCH_ROWS as u64 * 16;
    Ok((sorted, parallel, rows))
}

/// Visits entries in order; when `parallel`, while another thread merges the next ones.
fn each_entry(
    mut sorted: Sorted,
    parallel: bool,
    mut visit: impl FnMut(SortEntry<'_>) -> Result<()>,
) -> Result<()> {
    if !parallel {
        while let Some(entry) = sorted.next()? {
            visit(entry)?;
        }
        return Ok(());
    }
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Result<EntryBlock>>(QUEUE_LENGTH);
        scope.spawn(move || {
            loop {
                let block = sorted.next_block();
                let ends = block.as_ref().map_or(true, EntryBlock::is_empty);
                // The receiver is gone when an entry was refused.
                if sender.send(block).is_err() || ends {
                    return;
                }
            }
        });
        for block in receiver {
            for entry in block?.entries() {
                visit(entry)?;
            }
        }
        Ok(())
    })
}

#[cold]
fn duplicate(
    statement: &StatementContext<'_>,
    table: &TableAccess,
    index: &IndexAccess,
    key: &[u8],
) -> ochre_base::Error {
    let values = index.decode_key(key);
    let schema = statement.relations.namespace_name(table.descriptor.namespace);
    let name = TableName { schema, table };
    cannot_create_unique(&name, index, &values.unwrap_or_default(), statement.session.format())
}

/// Adds the entries of all rows that the statement sees to an index that writers fill too: CREATE INDEX CONCURRENTLY.
///
/// Every writer knows the index when the snapshot is taken, so what the snapshot does not see has its entries from its
/// writer; an entry that a writer was faster with is left as it is. The snapshot must stay registered until this
/// returns: the collector takes no version away meanwhile whose entry is still to come.
///
/// # Errors
/// 23505 when a row that is there has the key of another; those of the index's expressions; errors of storage.
pub fn fill_index(statement: &StatementContext<'_>, table: &TableAccess, index: &IndexAccess) -> Result<u64> {
    let xid = statement.txn.assign_xid()?;
    let heap = table.heap()?;
    let mut entries = Vec::new();
    let mut count = 0;
    each_batch_of(statement, table, &index.exprs.columns_read(), |ctx, image| {
        let columns = ctx.with_eval(|eval| EntryColumns::compute(index, &image, eval))?;
        let ids = image.columns.last().and_then(|column| column.as_i64s()).unwrap_or_default();
        for row in image.active().filter(|row| columns.may_have_entries(index, *row)) {
            let rid = RowId::from_u64(ids[row] as u64);
            columns.entries(index, row, rid, &mut entries)?;
            index.order_for_insertion(&mut entries);
            count += 1;
            for entry in &entries {
                if !index.descriptor.unique || !is_checked(index, &entry.key)? {
                    index.tree.insert(xid, &entry.key, &entry.payload, rid)?;
                    continue;
                }
                let mut checker = HeapUniqueChecker::new(ctx, table, heap, index, &entry.key);
                let outcome = index.tree.insert_unique(xid, &entry.key, &entry.payload, rid, &mut checker)?;
                if outcome == UniqueOutcome::Inserted {
                    continue;
                }
                if has_key_still(&mut checker, rid)? {
                    return Err(duplicate(statement, table, index, &entry.key));
                }
                // Another row has the key now; this one is in the index for older snapshots only.
                index.tree.insert(xid, &entry.key, &entry.payload, rid)?;
            }
        }
        Ok(true)
    })?;
    Ok(count)
}

/// Whether a row that had a key when it was read has it still, once it is decided.
fn has_key_still(checker: &mut HeapUniqueChecker<'_>, rid: RowId) -> Result<bool> {
    loop {
        match checker.check(rid)? {
            UniqueVerdict::Conflict => return Ok(true),
            UniqueVerdict::Dead => return Ok(false),
            UniqueVerdict::Wait(xid) => checker.wait(xid)?,
        }
    }
}

/// Visits target images (the table's columns by position, then the row id) of all rows that the statement sees, until
/// `visit` answers false. For validating constraints and rewriting tables.
///
/// # Errors
/// What `visit` returns; errors of storage.
pub fn each_batch(
    statement: &StatementContext<'_>,
    table: &TableAccess,
    visit: impl FnMut(&ExecContext<'_>, Batch) -> Result<bool>,
) -> Result<()> {
    let all: Vec<usize> = (0..table.codec.column_count()).collect();
    each_batch_of(statement, table, &all, visit)
}

/// As [`each_batch`], with the values of some columns only, by position; the others are NULL.
fn each_batch_of(
    statement: &StatementContext<'_>,
    table: &TableAccess,
    wanted: &[usize],
    mut visit: impl FnMut(&ExecContext<'_>, Batch) -> Result<bool>,
) -> Result<()> {
    let (run, frame) = (RunState::empty(), Frame::default());
    let ctx = ExecContext::new(statement, &run, &frame);
    let mut visit = |image| {
        statement.session.check_interrupts()?;
        visit(&ctx, image)
    };
    let heap = table.heap()?;
    let reader = TableReader { heap, table, snapshot: statement.snapshot, wanted };
    let blocks = heap.block_count()?;
    let threads = SortConfig::new(statement.temp.env(), statement.temp.dir(), 0).threads;
    if blocks < PARALLEL_BLOCKS || threads == 1 {
        return reader.read(0..blocks, || true, visit);
    }
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(QUEUE_LENGTH);
        scope.spawn(move || {
            // Who receives has gone when it wants no more.
            if let Err(error) = reader.read(0..blocks, || true, |image| Ok(sender.send(Ok(image)).is_ok())) {
                let _ = sender.send(Err(error));
            }
        });
        for image in receiver {
            if !visit(image?)? {
                break;
            }
        }
        Ok(())
    })
}

/// Who chooses rows of a table and takes them.
pub trait RowSampler {
    /// Whether the next row is wanted.
    fn wants(&mut self) -> bool;

    /// Takes the rows wanted since the last call, as target images.
    fn take(&mut self, image: Batch) -> Result<()>;
}

/// Shows a sampler the rows on some blocks of a table, which ascend: those that it does not want are not decoded.
///
/// # Errors
/// What the sampler returns, 57014 when cancelled, errors of storage.
pub fn sample_blocks(
    statement: &StatementContext<'_>,
    table: &TableAccess,
    blocks: &[u32],
    sampler: &mut dyn RowSampler,
) -> Result<()> {
    let wanted: Vec<usize> = (0..table.codec.column_count()).collect();
    let reader = TableReader { heap: table.heap()?, table, snapshot: statement.snapshot, wanted: &wanted };
    // Both ends of the reader ask it, never at the same time.
    let sampler = RefCell::new(sampler);
    let blocks = blocks.iter().copied();
    let mut asked = 0u32;
    let mut interrupted = Ok(());
    let wants = || {
        asked += 1;
        if asked.is_multiple_of(4096) && interrupted.is_ok() {
            interrupted = statement.session.check_interrupts();
        }
        interrupted.is_ok() && sampler.borrow_mut().wants()
    };
    reader.read(blocks, wants, |image| {
        statement.session.check_interrupts()?;
        sampler.borrow_mut().take(image).map(|()| true)
    })?;
    interrupted
}

/// Reads blocks of a table.
struct TableReader<'a> {
    heap: &'a Heap,
    table: &'a TableAccess,
    snapshot: &'a Snapshot,
    wanted: &'a [usize],
}

impl TableReader<'_> {
    /// Gives target images of the rows that `keep` wants to `give` until it answers false.
    fn read(
        &self,
        blocks: impl Iterator<Item = u32>,
        mut keep: impl FnMut() -> bool,
        mut give: impl FnMut(Batch) -> Result<bool>,
    ) -> Result<()> {
        let codec = &self.table.codec;
        let fetch: Vec<ScanColumn> =
            self.wanted.iter().map(|position| ScanColumn::Table(*position)).collect();
        let mut decoder = RowDecoder::new(codec, &fetch);
        let mut ids: Vec<i64> = Vec::with_capacity(limits::BATCH_ROWS);
        let mut ring = ScanRing::bulk_read();
        let mut blocks = blocks.peekable();
        while let Some(block) = blocks.next() {
            self.heap.scan_page(BlockNo(block), self.snapshot, Some(&mut ring), |version| {
                if !keep() {
                    return Ok(());
                }
                ids.push(version.rid.to_u64() as i64);
                decoder.push(&version)
            })?;
            if ids.len() + ROWS_ON_PAGE <= limits::BATCH_ROWS && blocks.peek().is_some() {
                continue;
            }
            let decoded = decoder.take(self.heap)?;
            let rows = decoded.rows;
            let mut columns: Vec<Arc<Column>> = (0..codec.column_count())
                .map(|position| Arc::new(Column::nulls(codec.column_type(position).physical, rows)))
                .collect();
            for (position, column) in self.wanted.iter().zip(decoded.columns) {
                columns[*position] = column;
            }
            let next = Vec::with_capacity(limits::BATCH_ROWS);
            columns.push(Arc::new(Column::from(std::mem::replace(&mut ids, next))));
            if rows > 0 && !give(Batch::new(columns, rows))? {
                return Ok(());
            }
        }
        Ok(())
    }
}
