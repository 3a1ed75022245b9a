//! The all-visible map: blocks whose every row is one version that every snapshot sees.
//!
//! # On-disk layout
//! The visibility fork: pages of kind [`PageKind::VISIBILITY`] with one bit a block of the main fork behind the header.
//!
//! # Recovery
//! Logged. A bit is set by a record of its own and cleared inside the record that changes the heap page (H6).
//!
//! # Failure
//! A map page that cannot be read is treated as all zeros: index-only scans then visit the heap.

use ochre_base::limits::PAGE_SIZE;
use ochre_base::{BlockNo, Fork, Result};
use ochre_storage::page::PAGE_HEADER_BYTES;
use ochre_storage::{PageKind, PageWriteGuard, RelationKey, Storage};

use super::Heap;
use super::edit::PAGE_ALL_VISIBLE;
use super::record::{HeapRecord, info};

/// Blocks that one map page covers.
const BLOCKS_PER_PAGE: u32 = ((PAGE_SIZE - PAGE_HEADER_BYTES) * 8) as u32;

const fn place(block: BlockNo) -> (BlockNo, u16) {
    (BlockNo(block.0 / BLOCKS_PER_PAGE), (block.0 % BLOCKS_PER_PAGE) as u16)
}

/// Whether the map of a relation has a block.
pub(crate) fn is_all_visible(storage: &Storage, relation: RelationKey, block: BlockNo) -> bool {
    let fork = relation.fork(Fork::Visibility);
    let (map_block, bit) = place(block);
    let pool = storage.pool();
    if pool.block_count(fork).unwrap_or(0) <= map_block.0 {
        return false;
    }
    let Ok(page) = pool.read(fork.page(map_block)) else { return false };
    let byte = page.bytes()[PAGE_HEADER_BYTES + bit as usize / 8];
    byte & (1 << (bit % 8)) != 0
}

impl Heap {
    /// Whether every row of a block is seen by every snapshot, so that an index entry alone answers for its row.
    pub fn is_all_visible(&self, block: BlockNo) -> bool {
        is_all_visible(&self.storage, self.relation, block)
    }

    /// Clears a page's flag and bit as a part of `record`, in which the heap page is number `at` and the map's page is
    /// number `map_at`. The map's page, when the record has to name it.
    pub(super) fn clear_all_visible(
        &self,
        record: &mut HeapRecord,
        page: &mut PageWriteGuard,
        at: usize,
        map_at: usize,
    ) -> Result<Option<PageWriteGuard>> {
        if page.flags() & PAGE_ALL_VISIBLE == 0 {
            return Ok(None);
        }
        self.derived.forget(page.key().block);
        let (map_block, bit) = place(page.key().block);
        let key = self.relation.fork(Fork::Visibility).page(map_block);
        let mut map = self.storage.pool().fetch_or_reset(key)?.write();
        let flags = page.flags() & !PAGE_ALL_VISIBLE;
        record.edit(at, page).set_flags(flags);
        let mut edit = record.edit(map_at, &mut map);
        if edit.page().is_unused() {
            edit.format(PageKind::VISIBILITY);
        }
        edit.set_bit(bit, false);
        Ok(Some(map))
    }

    /// Clears a page's flag and bit by a record of its own.
    pub(super) fn clear_all_visible_alone(&self, page: &mut PageWriteGuard) -> Result<()> {
        let mut record = HeapRecord::maintenance(info::VISIBLE);
        if let Some(mut map) = self.clear_all_visible(&mut record, page, 0, 1)? {
            record.append(&self.storage, &mut [page, &mut map])?;
        }
        Ok(())
    }

    /// Sets a page's flag and its bit. The caller has checked that every version on it is seen by every snapshot.
    pub(super) fn set_all_visible(&self, page: &mut PageWriteGuard) -> Result<()> {
        if page.flags() & PAGE_ALL_VISIBLE != 0 {
            return Ok(());
        }
        self.storage.wal().reserve()?;
        let fork = self.relation.fork(Fork::Visibility);
        let (map_block, bit) = place(page.key().block);
        let pool = self.storage.pool();
        while pool.block_count(fork)? <= map_block.0 {
            drop(pool.allocate(fork)?);
        }
        let mut map = pool.fetch_or_reset(fork.page(map_block))?.write();
        let mut record = HeapRecord::maintenance(info::VISIBLE);
        let flags = page.flags() | PAGE_ALL_VISIBLE;
        record.edit(0, page).set_flags(flags);
        let mut edit = record.edit(1, &mut map);
        if edit.page().is_unused() {
            edit.format(PageKind::VISIBILITY);
        }
        edit.set_bit(bit, true);
        record.append(&self.storage, &mut [page, &mut map])?;
        Ok(())
    }
}
