//! Removing entries and unlinking leaves that became empty.
//!
//! # States of a leaf
//! in use -(its last entry is removed)-> empty -(`unlink`: record Unlink)-> deleted, on the free list -(allocated for a
//! split)-> in use elsewhere.
//!
//! One record takes the leaf out of its siblings' links and out of the parent, and puts it on the free list. Its range
//! goes to the left sibling, or to the right one when it is the first child of its parent. A leaf stays, empty, when it
//! is the rightmost, the only child of its parent, or next to a split that is not complete.

use ochre_base::{BlockNo, Fork, Result, RowId, Xid};
use ochre_storage::{BlockFlags, PageKind, PageWriteGuard};

use super::node::{self, EntryBuf, EntryRef};
use super::redo::{self, RecordKind};
use super::tree::{BTree, ROOT, with_record};
use super::{insert, meta};

impl BTree {
    /// Removes an entry. False when it was not there, as one that is too long for the index never is.
    ///
    /// # Errors
    /// 53100 and 58030 before anything changed.
    pub fn remove(&self, xid: Xid, key: &[u8], payload: &[u8], rid: RowId) -> Result<bool> {
        if insert::check_size(key, payload).is_err() {
            return Ok(false);
        }
        self.storage.wal().reserve()?;
        let entry = EntryRef::new(key, rid, payload);
        let mut guard = self.find_for_write(0, entry)?;
        let index = node::lower_bound(guard.bytes(), entry);
        if index == node::count(guard.bytes()) || !node::entry_equals(guard.bytes(), index, entry) {
            return Ok(false);
        }
        node::remove(guard.bytes_mut(), index);
        with_record(RecordKind::Remove, xid, |record| {
            record.block(BlockFlags::CHANGE).block_data(&(index as u16).to_le_bytes());
            self.storage.wal().append(record, &mut [&mut guard])
        })?;
        let page = guard.bytes();
        if node::count(page) == 0 && guard.key().block != ROOT && node::right(page).is_some() {
            drop(guard);
            self.unlink(xid, entry)?;
        }
        Ok(true)
    }

    /// Reads the pages that [`BTree::remove`] of this key will need, so that it finds them in memory.
    ///
    /// # Errors
    /// When a page cannot be read.
    pub fn prefetch(&self, key: &[u8], rid: RowId) -> Result<()> {
        self.find_leaf(EntryRef::new(key, rid, &[]).into()).map(drop)
    }

    /// Unlinks the leaf whose range holds `target`, if it is empty and can go now. Says whether it went.
    pub(super) fn unlink(&self, xid: Xid, target: EntryRef<'_>) -> Result<bool> {
        let Some(mut row) = self.latch_row(target)? else { return Ok(false) };
        // Any point of the leaf's range leads to its parent: its lower bound is one.
        let low = row.left.as_ref().and_then(|left| node::high_key(left.bytes())).map(EntryBuf::from);
        let low = low.unwrap_or_default();
        let mut parent = self.find_for_write(1, low.as_ref())?;
        let Some(unlinking) = plan(&row, parent.bytes(), low.as_ref()) else { return Ok(false) };
        let mut meta_page = self.write_node(meta::BLOCK)?;

        let (target_block, right_block) = (row.target.key().block, row.right.key().block);
        let left_block = row.left.as_ref().map(|left| left.key().block);
        let high =
            EntryBuf::from(node::high_key(row.target.bytes()).expect("a leaf with a right sibling has one"));
        let next_free = meta::free_head(&meta_page);
        node::init(&mut row.target, 0);
        node::set_deleted(row.target.bytes_mut(), next_free);
        meta::set_free_head(&mut meta_page, Some(target_block));
        node::set_child(parent.bytes_mut(), unlinking.remove_at - 1, unlinking.heir);
        node::remove(parent.bytes_mut(), unlinking.remove_at);
        node::set_left(row.right.bytes_mut(), left_block);
        if let Some(left) = &mut row.left {
            node::set_right(left.bytes_mut(), Some(right_block));
            if unlinking.to_left {
                node::set_high_key(left.bytes_mut(), Some(high.as_ref()));
            }
        }
        with_record(RecordKind::Unlink, xid, |record| {
            record.block(BlockFlags::INIT).block_data(&redo::block_bytes(next_free));
            record.block(BlockFlags::CHANGE);
            record.block(BlockFlags::CHANGE);
            record.block_data(&(unlinking.remove_at as u16).to_le_bytes());
            record.block_data(&unlinking.heir.0.to_le_bytes());
            record.block(BlockFlags::CHANGE).block_data(&redo::block_bytes(left_block));
            let Row { left, target, right } = &mut row;
            let wal = self.storage.wal();
            match left {
                None => wal.append(record, &mut [target, &mut meta_page, &mut parent, right]),
                Some(left) => {
                    record.block(BlockFlags::CHANGE).block_data(&[u8::from(unlinking.to_left)]);
                    if unlinking.to_left {
                        redo::put_entry(record, high.as_ref());
                    }
                    wal.append(record, &mut [target, &mut meta_page, &mut parent, right, left])
                }
            }
        })?;
        Ok(true)
    }

    /// Latches the leaf whose range holds `target` and its siblings, from left to right. `None` when it cannot go.
    fn latch_row(&self, target: EntryRef<'_>) -> Result<Option<Row>> {
        let guard = self.find_for_write(0, target)?;
        if !may_go(&guard) {
            return Ok(None);
        }
        let (block, left_block) = (guard.key().block, node::left(guard.bytes()));
        // The left sibling comes first in latch order.
        drop(guard);
        let left = match left_block {
            None => None,
            Some(left_block) => {
                let left = self.write_node(left_block)?;
                let page = left.bytes();
                if node::is_deleted(page) || !node::is_leaf(page) || node::right(page) != Some(block) {
                    return Ok(None); // it was split or unlinked meanwhile
                }
                Some(left)
            }
        };
        let target = self.write_node(block)?;
        if !may_go(&target) || node::left(target.bytes()) != left_block {
            return Ok(None);
        }
        let right_block = self.right_sibling(target.bytes(), block)?;
        if left_block == Some(right_block) {
            return Err(super::tree::corrupt(self.relation, block, "has one page on both sides"));
        }
        let right = self.write_node(right_block)?;
        Ok(Some(Row { left, target, right }))
    }

    /// Puts pages that were lost to a crash (taken from the free list or the file's end and never used) on the free
    /// list, and unlinks leaves that are empty. Returns how many pages became free. For VACUUM; others may use the
    /// index meanwhile.
    ///
    /// # Errors
    /// When pages cannot be read or written.
    pub fn reclaim(&self, xid: Xid) -> Result<u32> {
        let mut reclaimed = self.unlink_empty_leaves(xid)?;
        let free = self.free_blocks()?;
        let blocks = self.storage.pool().block_count(self.relation.fork(Fork::Main))?;
        for block in (ROOT.0 + 1..blocks).map(BlockNo) {
            self.storage.wal().reserve()?;
            if !free.contains(&block) && self.free_if_lost(xid, block)? {
                reclaimed += 1;
            }
        }
        Ok(reclaimed)
    }

    fn unlink_empty_leaves(&self, xid: Xid) -> Result<u32> {
        let mut unlinked = 0;
        let mut next = Some(EntryBuf::default());
        while let Some(target) = next.take() {
            self.storage.wal().reserve()?;
            let (guard, _) = self.find_leaf(target.as_ref().into())?;
            let empty = node::count(guard.bytes()) == 0 && guard.key().block != ROOT;
            next = node::high_key(guard.bytes()).map(EntryBuf::from);
            drop(guard);
            if empty && next.is_some() && self.unlink(xid, target.as_ref())? {
                unlinked += 1;
            }
        }
        Ok(unlinked)
    }

    /// The blocks of the free list.
    pub(super) fn free_blocks(&self) -> Result<hashbrown::HashSet<BlockNo>> {
        let meta_page = self.read_node(meta::BLOCK)?;
        let mut free = hashbrown::HashSet::new();
        let mut next = meta::free_head(&meta_page);
        while let Some(block) = next {
            if !free.insert(block) {
                return Err(super::tree::corrupt(self.relation, block, "is twice on the free list"));
            }
            next = node::left(self.read_node(block)?.bytes());
        }
        Ok(free)
    }

    /// Puts a page on the free list that is deleted or was never used, and is on no list.
    ///
    /// Only a page that was lost by a crash looks so while its latch and the meta page's can both be had: a page being
    /// allocated is latched from the moment that it leaves the list or the file's end until it is in use. The meta page
    /// is latched first, as allocation does it, and the page only if nobody holds it.
    fn free_if_lost(&self, xid: Xid, block: BlockNo) -> Result<bool> {
        let pinned = self.storage.pool().fetch(self.relation.main_page(block))?;
        let mut meta_page = self.write_node(meta::BLOCK)?;
        let Ok(mut page) = pinned.try_write() else { return Ok(false) };
        let deleted = page.kind() == PageKind::BTREE && node::is_deleted(page.bytes());
        let lost = page.is_unused() || (deleted && !self.is_listed(&meta_page, block)?);
        if !lost {
            return Ok(false);
        }
        let next = meta::free_head(&meta_page);
        node::init(&mut page, 0);
        node::set_deleted(page.bytes_mut(), next);
        meta::set_free_head(&mut meta_page, Some(block));
        with_record(RecordKind::Free, xid, |record| {
            record.block(BlockFlags::INIT).block_data(&redo::block_bytes(next));
            record.block(BlockFlags::CHANGE);
            self.storage.wal().append(record, &mut [&mut page, &mut meta_page])
        })?;
        Ok(true)
    }

    /// Whether a block is on the free list, whose head the caller has latched: nothing leaves or joins it.
    fn is_listed(&self, meta_page: &ochre_storage::Page, block: BlockNo) -> Result<bool> {
        let mut next = meta::free_head(meta_page);
        while let Some(listed) = next {
            if listed == block {
                return Ok(true);
            }
            next = node::left(self.read_node(listed)?.bytes());
        }
        Ok(false)
    }
}

/// A leaf and its siblings, latched.
struct Row {
    left: Option<PageWriteGuard>,
    target: PageWriteGuard,
    right: PageWriteGuard,
}

/// How a leaf leaves its parent.
struct Unlinking {
    /// Which of the parent's entries goes.
    remove_at: usize,
    /// The child of the entry before that.
    heir: BlockNo,
    /// Whether the left sibling takes over the range.
    to_left: bool,
}

/// Whether a leaf by itself could be unlinked.
fn may_go(guard: &PageWriteGuard) -> bool {
    let page = guard.bytes();
    node::is_leaf(page)
        && node::count(page) == 0
        && node::right(page).is_some()
        && !node::is_deleted(page)
        && !node::is_incomplete(page)
        && guard.key().block != ROOT
}

/// Finds the leaf in its parent; `None` when it is not there or has no sibling there to take its range.
fn plan(row: &Row, parent: &node::Page, low: EntryRef<'_>) -> Option<Unlinking> {
    let index = node::child_index(parent, low);
    if node::child_at(parent, index) != row.target.key().block {
        return None;
    }
    if index > 0 {
        let left = row.left.as_ref()?;
        let high = node::high_key(row.target.bytes())?;
        let same_parent = node::child_at(parent, index - 1) == left.key().block;
        (same_parent && node::high_key_fits(left.bytes(), high)).then_some(Unlinking {
            remove_at: index,
            heir: left.key().block,
            to_left: true,
        })
    } else {
        let same_parent = node::count(parent) > 1 && node::child_at(parent, 1) == row.right.key().block;
        same_parent.then_some(Unlinking { remove_at: 1, heir: row.right.key().block, to_left: false })
    }
}
