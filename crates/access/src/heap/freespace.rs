//! The free-space map: which blocks have room. A hint: it never decides whether something fits.
//!
//! # Role
//! Blocks come in when pruning or the collector has made room on them, and go out when an insert takes them.
//!
//! # On-disk layout
//! The free-space fork: pages of kind [`PageKind::FREE_SPACE`], one byte a block behind the header: 0, or one more than the
//! block's class. Even pages are about the main fork, odd ones about the history fork; there bit 7 tells pages of large
//! values from pages of older versions.
//!
//! # Recovery
//! Not logged. A checkpoint writes the bytes of blocks whose room has changed ([`super::HeapLog`]); they are read when room is
//! sought for the first time after a start. Blocks that were changed after the last checkpoint are those that redo
//! touches: the collector looks at them. So what is known after a crash is what was known before it, but for the few
//! pages that inserts went to; what is out of date costs a look at a page.
//!
//! # Failure
//! A page that cannot be read or written is as if nothing was known; no statement fails for it.

use hashbrown::{HashMap, HashSet};
use ochre_base::limits::PAGE_SIZE;
use ochre_base::{BlockNo, Fork, Result};
use ochre_storage::page::PAGE_HEADER_BYTES;
use ochre_storage::{PageKind, PageWriteGuard};
use parking_lot::Mutex;

use super::Heap;

/// Room below this is not worth remembering.
const MIN_FREE_BYTES: usize = 512;
/// Blocks are remembered by multiples of this.
const CLASS_BYTES: usize = 512;
const CLASSES: usize = 16;
/// Blocks that one page of the fork tells of.
const BLOCKS_PER_PAGE: u32 = (PAGE_SIZE - PAGE_HEADER_BYTES) as u32;
/// Marks the bytes of pages of large values.
const OVERFLOW: u8 = 0x80;

/// Blocks by how much room they have.
#[derive(Default)]
pub(crate) struct FreeSpace {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    classes: [Vec<BlockNo>; CLASSES],
    /// The class that a block is in; entries of the lists that do not agree are stale.
    class_of: HashMap<BlockNo, u8>,
    /// Blocks whose class is not as the fork has it.
    changed: HashSet<BlockNo>,
}

impl FreeSpace {
    /// Notes how many bytes a block has free.
    pub(crate) fn note(&self, block: BlockNo, free_bytes: usize) {
        let mut inner = self.inner.lock();
        if free_bytes < MIN_FREE_BYTES {
            if inner.class_of.remove(&block).is_some() {
                inner.changed.insert(block);
            }
            return;
        }
        let class = (free_bytes / CLASS_BYTES).min(CLASSES) - 1;
        if inner.class_of.insert(block, class as u8) != Some(class as u8) {
            inner.classes[class].push(block);
            inner.changed.insert(block);
        }
    }

    fn has_changed(&self) -> bool {
        !self.inner.lock().changed.is_empty()
    }

    /// Notes what the fork says about a block, unless more is known.
    fn note_saved(&self, block: BlockNo, class: u8) {
        let mut inner = self.inner.lock();
        if usize::from(class) < CLASSES
            && !inner.class_of.contains_key(&block)
            && !inner.changed.contains(&block)
        {
            inner.class_of.insert(block, class);
            inner.classes[usize::from(class)].push(block);
        }
    }

    /// The blocks whose bytes are to be written, with these.
    fn take_changed(&self) -> Vec<(BlockNo, u8)> {
        let mut inner = self.inner.lock();
        let changed = std::mem::take(&mut inner.changed);
        changed
            .into_iter()
            .map(|block| (block, inner.class_of.get(&block).map_or(0, |class| class + 1)))
            .collect()
    }

    /// Takes a block that has at least `bytes` free, as far as is known.
    pub(crate) fn take(&self, bytes: usize) -> Option<BlockNo> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        // The lowest class may have a little less; whoever asks looks.
        let lowest = (bytes / CLASS_BYTES).max(1) - 1;
        for class in lowest..CLASSES {
            while let Some(block) = inner.classes[class].pop() {
                if inner.class_of.get(&block) == Some(&(class as u8)) {
                    inner.class_of.remove(&block);
                    inner.changed.insert(block);
                    return Some(block);
                }
            }
        }
        None
    }
}

impl Heap {
    /// Reads the fork, once.
    pub(super) fn load_free_space(&self) {
        if self.free_space_loaded.swap(true, std::sync::atomic::Ordering::AcqRel) {
            return;
        }
        let fork = self.relation.fork(Fork::FreeSpace);
        let pool = self.storage.pool();
        for number in 0..pool.block_count(fork).unwrap_or(0) {
            let Ok(page) = pool.fetch_or_reset(fork.page(BlockNo(number))) else { continue };
            let page = page.read();
            if page.kind() != PageKind::FREE_SPACE {
                continue;
            }
            let first = number / 2 * BLOCKS_PER_PAGE;
            for (block, byte) in (first..).map(BlockNo).zip(&page.bytes()[PAGE_HEADER_BYTES..]) {
                let Some(class) = (byte & !OVERFLOW).checked_sub(1) else { continue };
                let map = match (number % 2, byte & OVERFLOW) {
                    (0, _) => &self.free,
                    (_, 0) => &self.history_free,
                    _ => &self.overflow_free,
                };
                map.note_saved(block, class);
            }
        }
    }

    /// Looks at a page for how much room it has. What cannot be read has none.
    pub(crate) fn note_room_of(&self, fork: Fork, block: BlockNo) {
        if block.0 >= self.storage.pool().block_count(self.relation.fork(fork)).unwrap_or(0) {
            return;
        }
        let Ok(page) = self.storage.pool().read(self.relation.fork(fork).page(block)) else { return };
        let map = match page.kind() {
            PageKind::HEAP => &self.free,
            PageKind::HISTORY => &self.history_free,
            PageKind::OVERFLOW => &self.overflow_free,
            _ => return,
        };
        map.note(block, page.free_total());
    }

    /// Writes what has changed since the last time.
    pub(crate) fn save_free_space(&self) -> Result<()> {
        let changed =
            [&self.free, &self.history_free, &self.overflow_free].iter().any(|map| map.has_changed());
        if !changed || !self.storage.files().exists(self.relation)? {
            return Ok(());
        }
        // What the fork knows and this handle does not is not to be overwritten piece by piece.
        self.load_free_space();
        let main = self.free.take_changed().into_iter().map(|(block, byte)| (block, byte, 0));
        let history = self.history_free.take_changed().into_iter().map(|(block, byte)| (block, byte, 1));
        let large = self.overflow_free.take_changed().into_iter();
        let large = large.map(|(block, byte)| (block, if byte == 0 { 0 } else { byte | OVERFLOW }, 1));
        let mut changed: Vec<(BlockNo, u8, u32)> = main.chain(history).chain(large).collect();
        changed.sort_unstable_by_key(|(block, byte, odd)| (block.0 / BLOCKS_PER_PAGE, *odd, *block, *byte));
        let fork = self.relation.fork(Fork::FreeSpace);
        let mut page: Option<PageWriteGuard> = None;
        for (block, byte, odd) in changed {
            let number = BlockNo(block.0 / BLOCKS_PER_PAGE * 2 + odd);
            if page.as_ref().is_none_or(|page| page.key().block != number) {
                drop(page.take());
                let mut next = self.storage.pool().fetch_or_reset(fork.page(number))?.write();
                if next.kind() != PageKind::FREE_SPACE {
                    next.format(PageKind::FREE_SPACE, PAGE_SIZE - PAGE_HEADER_BYTES);
                }
                next.mark_dirty_unlogged();
                page = Some(next);
            }
            let page = page.as_mut().expect("latched above");
            page.bytes_mut()[PAGE_HEADER_BYTES + (block.0 % BLOCKS_PER_PAGE) as usize] = byte;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_taken_by_the_room_they_have() {
        let free = FreeSpace::default();
        free.note(BlockNo(1), 600);
        free.note(BlockNo(2), 3000);
        free.note(BlockNo(3), 100);
        assert_eq!(free.take(4100), None);
        assert_eq!(free.take(2500), Some(BlockNo(2)));
        assert_eq!(free.take(500), Some(BlockNo(1)));
        assert_eq!(free.take(1), None);
        free.note(BlockNo(4), 8000);
        free.note(BlockNo(4), 200);
        assert_eq!(free.take(200), None, "the newest note counts");
    }
}
