//! Inserting rows.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use ochre_base::{BlockNo, Fork, Result, RowId, Xid};
use ochre_storage::{PageKind, PageWriteGuard};
use ochre_txn::{RowChange, Transaction};

use super::edit::{fits, unused_slot};
use super::record::{HeapRecord, info};
use super::version::{Info, VERSION_HEADER_BYTES};
use super::{Heap, INSERT_TARGETS, NO_BLOCK};
use crate::row::{PendingValue, RowBuffer, RowFlags};

/// Room that inserts leave on a page for newer versions of its rows, so that the first updates stay on it.
const RESERVE_BYTES: usize = 400;
/// Rows longer than this do not leave room: it would be too little for them anyway.
const RESERVE_FOR_ROWS_BELOW: usize = 400;

/// Many rows to be inserted together.
#[derive(Debug, Default)]
pub struct RowBatch {
    bytes: Vec<u8>,
    rows: Vec<BatchRow>,
    frozen: bool,
}

#[derive(Debug)]
struct BatchRow {
    start: usize,
    end: usize,
    flags: RowFlags,
    pending: Vec<PendingValue>,
}

impl RowBatch {
    /// Adds a finished row.
    pub fn push(&mut self, row: &RowBuffer) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(row.payload());
        let pending = if row.pending.is_empty() { Vec::new() } else { row.pending.clone() };
        self.rows.push(BatchRow { start, end: self.bytes.len(), flags: row.flags(), pending });
    }

    /// Makes the rows, and those of later fillings, count as written long ago: every snapshot sees them. For files that
    /// the inserting transaction has made, which nobody else meets should it fail.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of all rows.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes all rows out.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
    }
}

thread_local! {
    static TARGET: Cell<usize> = const { Cell::new(usize::MAX) };
}
static NEXT_TARGET: AtomicUsize = AtomicUsize::new(0);

/// Which of the insertion targets this thread uses.
fn thread_target() -> usize {
    TARGET.with(|t| {
        if t.get() == usize::MAX {
            t.set(NEXT_TARGET.fetch_add(1, Ordering::Relaxed) % INSERT_TARGETS);
        }
        t.get()
    })
}

impl Heap {
    /// Inserts a row. Index entries are the caller's business; they are inserted after the row.
    ///
    /// # Errors
    /// 25006 in a read-only transaction, 53100 and 58030 from storage: nothing was inserted then.
    pub fn insert(
        &self,
        transaction: &Transaction,
        row: &mut RowBuffer,
        schema_version: u16,
    ) -> Result<RowId> {
        let xid = transaction.assign_xid()?;
        self.storage.wal().reserve()?;
        let len = VERSION_HEADER_BYTES + row.payload().len();
        let mut page = self.page_with_room(len)?;
        let slot = if page.is_unused() { 0 } else { unused_slot(&page) };
        let rid = RowId { block: page.key().block, slot };
        if !row.pending.is_empty() {
            let pending = std::mem::take(&mut row.pending);
            self.store_pending(transaction, rid, &pending, row.payload_mut())?;
            self.storage.wal().reserve()?;
        }
        let mut record = HeapRecord::of(info::INSERT, transaction, xid, schema_version);
        let mut vis = self.clear_all_visible(&mut record, &mut page, 0, 1)?;
        let mut edit = record.edit(0, &mut page);
        if edit.page().is_unused() {
            edit.format(PageKind::HEAP);
        }
        edit.insert(slot, Info::of_row(row.flags()), row.payload());
        match &mut vis {
            None => record.append(&self.storage, &mut [&mut page])?,
            Some(vis) => record.append(&self.storage, &mut [&mut page, vis])?,
        };
        transaction.note_change(self.relation, rid.block, RowChange::Inserted(1));
        Ok(rid)
    }

    /// Inserts many rows, a page at a time with one latch and one record, and appends their ids to `rids`.
    ///
    /// # Errors
    /// As [`Heap::insert`]. Rows whose ids are in `rids` are inserted.
    pub fn insert_many(
        &self,
        transaction: &Transaction,
        batch: &mut RowBatch,
        schema_version: u16,
        rids: &mut Vec<RowId>,
    ) -> Result<()> {
        let own = transaction.assign_xid()?;
        let xid = if batch.frozen { Xid::FROZEN } else { own };
        let mut next = 0;
        while next < batch.rows.len() {
            self.storage.wal().reserve()?;
            let first = &batch.rows[next];
            let mut page = self.page_with_room(VERSION_HEADER_BYTES + first.end - first.start)?;
            let block = page.key().block;
            let mut failed = None;
            let before = rids.len();
            let mut record = HeapRecord::of(info::INSERT, transaction, xid, schema_version);
            let mut vis = self.clear_all_visible(&mut record, &mut page, 0, 1)?;
            if page.is_unused() {
                record.edit(0, &mut page).format(PageKind::HEAP);
            }
            while let Some(row) = batch.rows.get_mut(next) {
                let len = VERSION_HEADER_BYTES + row.end - row.start;
                if !has_insert_room(&page, len) {
                    break;
                }
                let slot = unused_slot(&page);
                let payload = &mut batch.bytes[row.start..row.end];
                if !row.pending.is_empty() {
                    let pending = std::mem::take(&mut row.pending);
                    let rid = RowId { block, slot };
                    // An own record; what this one holds so far is on its latched page only. That must be logged
                    // whatever happens here.
                    failed = self.store_pending(transaction, rid, &pending, payload).err();
                    if failed.is_some() {
                        break;
                    }
                }
                record.edit(0, &mut page).insert(slot, Info::of_row(row.flags), payload);
                rids.push(RowId { block, slot });
                next += 1;
            }
            if !record.has_edits(0) {
                failed.map_or(Ok(()), Err)?;
                continue;
            }
            match &mut vis {
                None => record.append(&self.storage, &mut [&mut page])?,
                Some(vis) => record.append(&self.storage, &mut [&mut page, vis])?,
            };
            let inserted = (rids.len() - before) as u64;
            transaction.note_change(self.relation, block, RowChange::Inserted(inserted));
            failed.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// A latched page of the main fork with room for an item of `len` bytes; it may be unused.
    pub(super) fn page_with_room(&self, len: usize) -> Result<PageWriteGuard> {
        let target = &self.targets[thread_target()];
        let mut block = target.load(Ordering::Relaxed);
        if block == NO_BLOCK {
            block = self.block_count()?.wrapping_sub(1);
        }
        // The map's blocks may have less room than it says; after a few the file grows.
        for _ in 0..4 {
            if block == NO_BLOCK {
                break;
            }
            let page = self.write_page(BlockNo(block))?;
            if page.is_unused() || has_insert_room(&page, len) {
                target.store(block, Ordering::Relaxed);
                return Ok(page);
            }
            self.load_free_space();
            block = self.free.take(len + reserve_for(len)).map_or(NO_BLOCK, |b| b.0);
        }
        let page = self.storage.pool().allocate(self.relation.fork(Fork::Main))?;
        target.store(page.key().block.0, Ordering::Relaxed);
        Ok(page)
    }
}

fn reserve_for(len: usize) -> usize {
    if len < RESERVE_FOR_ROWS_BELOW { RESERVE_BYTES } else { 0 }
}

/// Whether an insert may put an item of `len` bytes here.
fn has_insert_room(page: &ochre_storage::Page, len: usize) -> bool {
    fits(page, len + reserve_for(len))
}
