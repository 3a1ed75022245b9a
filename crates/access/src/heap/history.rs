//! Moving older versions to the history fork.
//!
//! # On-disk layout
//! Slotted pages of kind [`PageKind::HISTORY`]; each item is one version as it lay on its heap page, flagged as an older
//! one. Slots are reused one by one.
//!
//! # Concurrency
//! A history slot is written and freed by whoever holds the write latch of the page of its chain's newest version
//! (H2), so a reader with that latch never meets a reused slot.

use std::sync::atomic::Ordering;

use ochre_base::{BlockNo, Fork, Result, RowId};
use ochre_storage::{Page, PageKind, PageWriteGuard};
use smallvec::SmallVec;

use super::edit::{PAGE_HAS_OLDER, fits, kind, unused_slot};
use super::read::damaged_version;
use super::record::{HeapRecord, info};
use super::version::{HOME_BYTES, Link, VersionHeader};
use super::{Heap, NO_BLOCK};

/// Versions of one row on one page, newest first: slot and header.
pub(super) type OnPage = SmallVec<[(u16, VersionHeader); 8]>;

/// The versions of a row that lie on the page of its newest one.
pub(super) fn on_page_chain(page: &Page, block: BlockNo, slot: u16) -> Result<OnPage> {
    let mut chain = OnPage::new();
    let damaged = || damaged_version(RowId { block, slot });
    let mut at = slot;
    loop {
        // A chain longer than the page has slots runs in a circle.
        if chain.len() > page.slot_count() as usize {
            return Err(damaged());
        }
        let (header, _) = version_in(page, at).ok_or_else(damaged)?;
        chain.push((at, header));
        let link = header.older;
        if link.is_none() || link.is_history() {
            return Ok(chain);
        }
        if link.at().block != block || page.slot(link.at().slot).flags != kind::OLDER {
            return Err(damaged());
        }
        at = link.at().slot;
    }
}

/// The version in a slot, without the home that a moved row's item begins with.
pub(super) fn version_in(page: &Page, slot: u16) -> Option<(VersionHeader, &[u8])> {
    VersionHeader::decode(version_bytes(page, slot)?)
}

pub(super) fn version_bytes(page: &Page, slot: u16) -> Option<&[u8]> {
    let home = if page.slot(slot).flags == kind::MOVED { HOME_BYTES } else { 0 };
    page.row(slot)?.get(home..)
}

impl Heap {
    /// A latched history page with room for a version of `len` bytes; it may be unused.
    pub(super) fn history_page_with_room(&self, len: usize) -> Result<PageWriteGuard> {
        let mut block = self.history_target.load(Ordering::Relaxed);
        if block == NO_BLOCK {
            self.load_free_space();
            block = self.history_free.take(len).map_or(NO_BLOCK, |b| b.0);
        }
        for _ in 0..3 {
            if block == NO_BLOCK {
                break;
            }
            let page = self.write_history(BlockNo(block))?;
            if page.is_unused() || (page.kind() == PageKind::HISTORY && fits(&page, len)) {
                self.history_target.store(block, Ordering::Relaxed);
                return Ok(page);
            }
            block = self.history_free.take(len).map_or(NO_BLOCK, |b| b.0);
        }
        let page = self.storage.pool().allocate(self.relation.fork(Fork::History))?;
        self.history_target.store(page.key().block.0, Ordering::Relaxed);
        Ok(page)
    }

    /// Notes that a history page has got room.
    pub(super) fn note_history_room(&self, page: &PageWriteGuard) {
        self.history_free.note(page.key().block, page.free_total());
    }

    /// Moves older versions of a page's rows to the history fork, oldest first, until an item of `len` bytes fits or
    /// none is left. Each is one record.
    pub(super) fn spill_until_fits(&self, page: &mut PageWriteGuard, len: usize) -> Result<()> {
        if page.flags() & PAGE_HAS_OLDER == 0 {
            return Ok(());
        }
        for slot in 0..page.slot_count() {
            if !matches!(page.slot(slot).flags, kind::ROW | kind::MOVED) {
                continue;
            }
            if fits(page, len) {
                return Ok(());
            }
            self.spill_chain(page, slot)?;
        }
        Ok(())
    }

    /// Moves all older versions of one row to the history fork, oldest first.
    pub(super) fn spill_chain(&self, page: &mut PageWriteGuard, slot: u16) -> Result<()> {
        let chain = on_page_chain(page, page.key().block, slot)?;
        for (at, newer) in chain[1..].iter().zip(&chain).rev() {
            self.storage.wal().reserve()?;
            let bytes = version_bytes(page, at.0).expect("the chain was just followed").to_vec();
            let mut history = self.history_page_with_room(bytes.len())?;
            let mut record = HeapRecord::maintenance(info::TO_HISTORY);
            let to = put_history(&mut record, 1, &mut history, &bytes);
            let mut edit = record.edit(0, page);
            edit.set_link(newer.0, to);
            edit.free(at.0);
            record.append(&self.storage, &mut [page, &mut history])?;
        }
        Ok(())
    }
}

/// Puts a version on a history page as a part of a record; where it lies.
pub(super) fn put_history(
    record: &mut HeapRecord,
    number: usize,
    history: &mut PageWriteGuard,
    version: &[u8],
) -> Link {
    let block = history.key().block;
    let mut edit = record.edit(number, history);
    if edit.page().is_unused() {
        edit.format(PageKind::HISTORY);
    }
    let slot = unused_slot(edit.page());
    edit.put(slot, kind::OLDER, version);
    Link::history(RowId { block, slot })
}
