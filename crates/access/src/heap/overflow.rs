//! Values too large for their row, in pieces on pages of the history fork.
//!
//! # On-disk layout
//! A page of kind [`PageKind::OVERFLOW`] holds pieces as slotted items: the row's id u64, a link u64 to the next piece
//! (zero in the last), the bytes. The row's payload keeps length and first link ([`crate::row::OverflowReference`]).
//!
//! # Invariants
//! - V1: a value belongs to one row. Versions of that row may share it; it is freed when the last version that has it
//!   is unlinked.
//! - V2: pieces are written last to first, each by its own record, before the version that names them; and freed after
//!   the version was unlinked. A reader that has the version therefore finds all of them.
//!
//! # Not done
//! When the machine stops between the pieces and their version, or between unlinking and freeing, pieces stay that
//! nothing names. They cost room and nothing else.

use std::sync::atomic::Ordering;

use ochre_base::{BlockNo, Error, Fork, Result, RowId, Xid};
use ochre_storage::{PageKind, PageWriteGuard};
use ochre_txn::Transaction;

use super::edit::{fits, kind, unused_slot};
use super::record::{HeapRecord, info};
use super::version::Link;
use super::{Heap, NO_BLOCK};
use crate::row::{Field, OverflowReference, PendingValue, decompress};

/// Bytes of a piece before its data.
pub(super) const PIECE_HEADER_BYTES: usize = 16;
/// Data of the largest piece: it fills a page.
const MAX_PIECE_BYTES: usize = 8192 - 24 - 4 - PIECE_HEADER_BYTES;
/// Where an overflow reference keeps its link.
const REFERENCE_LINK: std::ops::Range<usize> = 8..16;

impl Heap {
    /// The value of a field, whatever its form, in `out`.
    ///
    /// # Errors
    /// XX001 when the value is damaged, 58030 when a page cannot be read.
    pub fn read_value(&self, row: RowId, field: Field<'_>, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        match field {
            Field::Null => Ok(()),
            Field::Inline(bytes) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Field::Compressed { value_bytes, block } => decompress(value_bytes, block, out),
            Field::Overflow(reference) if reference.compressed => {
                let mut stored = Vec::new();
                self.read_pieces(row, &reference, &mut stored)?;
                decompress(reference.value_bytes, &stored, out)
            }
            Field::Overflow(reference) => self.read_pieces(row, &reference, out),
        }
    }

    fn read_pieces(&self, row: RowId, reference: &OverflowReference, out: &mut Vec<u8>) -> Result<()> {
        let expected = reference.stored_bytes as usize;
        let mut link = Link::from_u64(reference.first);
        while !link.is_none() && out.len() <= expected {
            let page = self.read_history(link.at().block)?;
            let (owner, next, data) = piece(&page, link).ok_or_else(|| self.broken_value(row, link))?;
            if owner != row {
                return Err(self.broken_value(row, link));
            }
            out.extend_from_slice(data);
            link = next;
        }
        if out.len() == expected { Ok(()) } else { Err(self.broken_value(row, link)) }
    }

    #[cold]
    fn broken_value(&self, row: RowId, link: Link) -> Error {
        Error::corrupt(format!(
            "missing piece at {} of a large value of row {row} in base/{}/{}",
            link.at(),
            self.relation.database,
            self.relation.file
        ))
    }

    /// Stores the values that a row buffer left pending and enters their links into the payload.
    pub(super) fn store_pending(
        &self,
        transaction: &Transaction,
        row: RowId,
        pending: &[PendingValue],
        payload: &mut [u8],
    ) -> Result<()> {
        let xid = transaction.assign_xid()?;
        let mut stored: Vec<Link> = Vec::new();
        for value in pending {
            let link = match self.store_value(xid, row, &value.stored) {
                Ok(link) => link,
                Err(error) => {
                    // Best effort: what cannot be freed now is room lost.
                    for link in stored {
                        let _ = self.free_pieces(row, link);
                    }
                    return Err(error);
                }
            };
            stored.push(link);
            let reference = &mut payload[value.reference_at..];
            reference[REFERENCE_LINK].copy_from_slice(&link.to_u64().to_le_bytes());
        }
        Ok(())
    }

    fn store_value(&self, xid: Xid, row: RowId, value: &[u8]) -> Result<Link> {
        let mut next = Link::NONE;
        let mut item = Vec::new();
        let last_start = value.len().saturating_sub(1) / MAX_PIECE_BYTES * MAX_PIECE_BYTES;
        for start in (0..=last_start).rev().step_by(MAX_PIECE_BYTES) {
            let data = &value[start..value.len().min(start + MAX_PIECE_BYTES)];
            item.clear();
            item.extend_from_slice(&row.to_u64().to_le_bytes());
            item.extend_from_slice(&next.to_u64().to_le_bytes());
            item.extend_from_slice(data);
            self.storage.wal().reserve()?;
            let mut page = self.overflow_page_with_room(item.len())?;
            let slot = if page.is_unused() { 0 } else { unused_slot(&page) };
            next = Link::history(RowId { block: page.key().block, slot });
            let mut record = HeapRecord::maintenance(info::OVERFLOW);
            record.on_behalf_of(xid);
            let mut edit = record.edit(0, &mut page);
            if edit.page().is_unused() {
                edit.format(PageKind::OVERFLOW);
            }
            edit.put(slot, kind::PIECE, &item);
            record.append(&self.storage, &mut [&mut page])?;
        }
        Ok(next)
    }

    fn overflow_page_with_room(&self, len: usize) -> Result<PageWriteGuard> {
        let mut block = self.overflow_target.load(Ordering::Relaxed);
        if block == NO_BLOCK {
            self.load_free_space();
            block = self.overflow_free.take(len).map_or(NO_BLOCK, |b| b.0);
        }
        for _ in 0..3 {
            if block == NO_BLOCK {
                break;
            }
            let page = self.write_history(BlockNo(block))?;
            if page.is_unused() || (page.kind() == PageKind::OVERFLOW && fits(&page, len)) {
                self.overflow_target.store(block, Ordering::Relaxed);
                return Ok(page);
            }
            block = self.overflow_free.take(len).map_or(NO_BLOCK, |b| b.0);
        }
        let page = self.storage.pool().allocate(self.relation.fork(Fork::History))?;
        self.overflow_target.store(page.key().block.0, Ordering::Relaxed);
        Ok(page)
    }

    /// Frees a value's pieces (V2: no version names it any more).
    pub(crate) fn free_pieces(&self, row: RowId, first: Link) -> Result<()> {
        let mut link = first;
        while !link.is_none() {
            self.storage.wal().reserve()?;
            let mut page = self.write_history(link.at().block)?;
            let (owner, next, _) = piece(&page, link).ok_or_else(|| self.broken_value(row, link))?;
            if owner != row {
                return Err(self.broken_value(row, link));
            }
            let mut record = HeapRecord::maintenance(info::FREE_OVERFLOW);
            record.edit(0, &mut page).free(link.at().slot);
            record.append(&self.storage, &mut [&mut page])?;
            self.overflow_free.note(link.at().block, page.free_total());
            link = next;
        }
        Ok(())
    }
}

/// A piece: its row, the next piece, its data.
pub(super) fn piece(page: &ochre_storage::Page, link: Link) -> Option<(RowId, Link, &[u8])> {
    let slot = link.at().slot;
    if page.slot(slot).flags != kind::PIECE {
        return None;
    }
    let (owner, rest) = page.row(slot)?.split_first_chunk::<8>()?;
    let (next, data) = rest.split_first_chunk::<8>()?;
    Some((RowId::from_u64(u64::from_le_bytes(*owner)), Link::from_u64(u64::from_le_bytes(*next)), data))
}
