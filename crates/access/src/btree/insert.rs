//! Inserting entries and splitting pages.
//!
//! # States of a page
//! whole -(`split`: record Split)-> left half flagged incomplete + right half -(`complete_split`: record
//! ParentEntry)-> two whole pages. A root goes from whole to parent of two whole pages in one record (RootSplit).

use std::sync::atomic::Ordering;

use ochre_base::{BlockNo, Error, Fork, Result, RowId, SqlState, Xid};
use ochre_storage::{BlockFlags, PageWriteGuard};

use super::meta;
use super::node::{self, EntryBuf, EntryRef};
use super::redo::{self, RecordKind};
use super::tree::{BTree, ROOT, with_record};

/// So many rows of one key on a page say that more will come.
const MANY_ROWS: usize = 16;

/// No child: what leaves give to functions that serve branches too.
pub(super) const NO_CHILD: BlockNo = BlockNo(0);

impl BTree {
    /// Adds an entry. False when it was there already, in all its parts.
    ///
    /// # Errors
    /// 54000 when key and payload are too long for an index; 53100 and 58030 before anything changed.
    pub fn insert(&self, xid: Xid, key: &[u8], payload: &[u8], rid: RowId) -> Result<bool> {
        check_size(key, payload)?;
        self.storage.wal().reserve()?;
        let entry = EntryRef::new(key, rid, payload);
        if let Some(guard) = self.try_rightmost(entry)?
            && let Some(inserted) = self.insert_into_leaf(xid, guard, entry)?
        {
            return Ok(inserted);
        }
        loop {
            let guard = self.find_for_write(0, entry)?;
            if let Some(inserted) = self.insert_into_leaf(xid, guard, entry)? {
                return Ok(inserted);
            }
        }
    }

    /// The rightmost leaf, when the entry belongs there as far as can be told without a descent.
    pub(super) fn try_rightmost(&self, entry: EntryRef<'_>) -> Result<Option<PageWriteGuard>> {
        let block = self.rightmost.0.load(Ordering::Relaxed);
        if block == 0 {
            return Ok(None);
        }
        let Some(pinned) = self.storage.pool().fetch_cached(self.relation.main_page(BlockNo(block))) else {
            return Ok(None);
        };
        let guard = pinned.write();
        let page = guard.bytes();
        let is_rightmost_leaf = node::is_leaf(page) && node::right(page).is_none() && !node::is_deleted(page);
        // An entry above the page's first one is in its range.
        if is_rightmost_leaf && node::count(page) > 0 && node::lower_bound(page, entry) > 0 {
            return Ok(Some(guard));
        }
        // Insertions do not come in order now: the latch is not taken in vain again until one is at the end.
        self.rightmost.0.store(0, Ordering::Relaxed);
        Ok(None)
    }

    /// Inserts into the leaf whose range the entry lies in, or makes room: then `None`, and the caller starts again.
    pub(super) fn insert_into_leaf(
        &self,
        xid: Xid,
        mut guard: PageWriteGuard,
        entry: EntryRef<'_>,
    ) -> Result<Option<bool>> {
        if node::is_incomplete(guard.bytes()) {
            self.complete_split(xid, guard)?;
            return Ok(None);
        }
        let page = guard.bytes();
        let index = node::lower_bound(page, entry);
        let count = node::count(page);
        if index < count && node::entry_equals(page, index, entry) {
            return Ok(Some(false));
        }
        if self.should_leave_room(&guard, index) || !node::insert(guard.bytes_mut(), index, entry, NO_CHILD) {
            self.split(xid, guard, index, entry)?;
            return Ok(None);
        }
        with_record(RecordKind::Insert, xid, |record| {
            record.block(BlockFlags::CHANGE);
            redo::put_insert(record, index, entry);
            self.storage.wal().append(record, &mut [&mut guard])
        })?;
        Ok(Some(true))
    }

    /// Whether a leaf that grows at the index's end is as full as it should become. Remembers such a leaf.
    pub(super) fn should_leave_room(&self, leaf: &PageWriteGuard, index: usize) -> bool {
        let page = leaf.bytes();
        let grows_at_end = node::right(page).is_none() && index == node::count(page) && index > 0;
        if grows_at_end && self.rightmost.0.load(Ordering::Relaxed) != leaf.key().block.0 {
            self.rightmost.0.store(leaf.key().block.0, Ordering::Relaxed);
        }
        grows_at_end && node::used_bytes(page) > self.append_limit
    }

    /// Splits a page that has no room for an entry before its `index`-th, up to and with its parent's entry.
    pub(super) fn split(
        &self,
        xid: Xid,
        guard: PageWriteGuard,
        index: usize,
        entry: EntryRef<'_>,
    ) -> Result<()> {
        let Some((point, separator)) = choose_split(guard.bytes(), index, entry) else {
            let block = guard.key().block;
            return Err(super::tree::corrupt(self.relation, block, "has entries that are not in order"));
        };
        if guard.key().block == ROOT {
            return self.split_root(xid, guard, point, separator.as_ref());
        }
        let left = self.split_page(xid, guard, point, separator.as_ref())?;
        self.complete_split(xid, left)
    }

    /// Moves the entries from `point` on to a new right sibling. Returns the left half, still latched.
    fn split_page(
        &self,
        xid: Xid,
        mut left: PageWriteGuard,
        point: usize,
        separator: EntryRef<'_>,
    ) -> Result<PageWriteGuard> {
        debug_assert!(!node::is_incomplete(left.bytes()), "a page is whole before it is split");
        let mut new = self.allocate(xid)?;
        let (left_block, new_block) = (left.key().block, new.key().block);
        let level = node::level(left.bytes());
        let old_right = node::right(left.bytes());
        let mut right = old_right.map(|block| self.write_node(block)).transpose()?;

        node::init(&mut new, level);
        node::set_left(new.bytes_mut(), Some(left_block));
        node::set_right(new.bytes_mut(), old_right);
        node::take_upper(new.bytes_mut(), left.bytes(), point);
        node::keep_lower(left.bytes_mut(), point, separator);
        node::set_right(left.bytes_mut(), Some(new_block));
        node::set_incomplete(left.bytes_mut(), true);
        if let Some(right) = &mut right {
            node::set_left(right.bytes_mut(), Some(new_block));
        }
        with_record(RecordKind::Split, xid, |record| {
            record.block(BlockFlags::CHANGE);
            redo::put_split(record, point, new_block, separator);
            record.block(BlockFlags::INIT);
            redo::put_content(record, new.bytes());
            let wal = self.storage.wal();
            match &mut right {
                None => wal.append(record, &mut [&mut left, &mut new]),
                Some(right) => {
                    record.block(BlockFlags::CHANGE);
                    wal.append(record, &mut [&mut left, &mut new, right])
                }
            }
        })?;
        if level == 0 && old_right.is_none() {
            self.rightmost.0.store(new_block.0, Ordering::Relaxed);
        }
        Ok(left)
    }

    /// Moves the root's entries to two new pages and makes it their parent (B3).
    fn split_root(
        &self,
        xid: Xid,
        mut root: PageWriteGuard,
        point: usize,
        separator: EntryRef<'_>,
    ) -> Result<()> {
        let mut left = self.allocate(xid)?;
        let mut right = self.allocate(xid)?;
        let (left_block, right_block) = (left.key().block, right.key().block);
        let level = node::level(root.bytes());

        node::init(&mut left, level);
        node::set_right(left.bytes_mut(), Some(right_block));
        node::take_lower(left.bytes_mut(), root.bytes(), point, separator);
        node::init(&mut right, level);
        node::set_left(right.bytes_mut(), Some(left_block));
        node::take_upper(right.bytes_mut(), root.bytes(), point);
        node::init(&mut root, level + 1);
        let first = node::insert(root.bytes_mut(), 0, EntryRef::before(&[]), left_block);
        let second = node::insert(root.bytes_mut(), 1, separator, right_block);
        assert!(first && second, "two entries fit on an empty page");
        with_record(RecordKind::RootSplit, xid, |record| {
            for page in [&root, &left, &right] {
                record.block(BlockFlags::INIT);
                redo::put_content(record, page.bytes());
            }
            self.storage.wal().append(record, &mut [&mut root, &mut left, &mut right])
        })?;
        if level == 0 {
            self.rightmost.0.store(right_block.0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Adds the entry for the right half of a split to the parent and takes the flag from the left half.
    pub(super) fn complete_split(&self, xid: Xid, mut left: PageWriteGuard) -> Result<()> {
        let page = left.bytes();
        let block = left.key().block;
        let level = node::level(page);
        let right = self.right_sibling(page, block)?;
        let separator = match node::high_key(page) {
            Some(high) => EntryBuf::from(high),
            None => {
                return Err(super::tree::corrupt(
                    self.relation,
                    block,
                    "is half of a split without a high key",
                ));
            }
        };
        loop {
            let mut parent = self.find_for_write(level + 1, separator.as_ref())?;
            if node::is_incomplete(parent.bytes()) {
                self.complete_split(xid, parent)?;
                continue;
            }
            let index = node::child_index(parent.bytes(), separator.as_ref()) + 1;
            if index > 1 && node::compare(parent.bytes(), index - 1, separator.as_ref()).is_eq() {
                return Err(super::tree::corrupt(
                    self.relation,
                    block,
                    "is flagged as split, and its parent knows",
                ));
            }
            if !node::insert(parent.bytes_mut(), index, separator.as_ref(), right) {
                self.split(xid, parent, index, separator.as_ref())?;
                continue;
            }
            node::set_incomplete(left.bytes_mut(), false);
            with_record(RecordKind::ParentEntry, xid, |record| {
                record.block(BlockFlags::CHANGE);
                redo::put_parent_entry(record, index, right, separator.as_ref());
                record.block(BlockFlags::CHANGE);
                self.storage.wal().append(record, &mut [&mut parent, &mut left])
            })?;
            return Ok(());
        }
    }

    /// A page that nothing links to, latched: from the free list, or at the end of the file.
    fn allocate(&self, xid: Xid) -> Result<PageWriteGuard> {
        let mut meta_page = self.write_node(meta::BLOCK)?;
        let Some(block) = meta::free_head(&meta_page) else {
            drop(meta_page);
            return self.storage.pool().allocate(self.relation.fork(Fork::Main));
        };
        let page = self.write_node(block)?;
        if !node::is_deleted(page.bytes()) {
            return Err(super::tree::corrupt(self.relation, block, "is on the free list and in use"));
        }
        let next = node::left(page.bytes());
        self.recycled.fetch_add(1, Ordering::AcqRel); // B5: before the latch is released
        meta::set_free_head(&mut meta_page, next);
        with_record(RecordKind::Allocate, xid, |record| {
            record.block(BlockFlags::CHANGE).block_data(&redo::block_bytes(next));
            self.storage.wal().append(record, &mut [&mut meta_page])
        })?;
        Ok(page)
    }
}

/// How many entries stay when a page is split because of an entry before its `index`-th, and the bound between the
/// halves, which fits on the left half as its high key; none where the entries are not in order.
pub(super) fn choose_split(
    page: &node::Page,
    index: usize,
    entry: EntryRef<'_>,
) -> Option<(usize, EntryBuf)> {
    let mut point = node::split_point(page, index);
    if ends_many_rows(page, index, entry) {
        point = index;
    } else if node::is_leaf(page) && (1..node::count(page)).contains(&point) {
        point = shortest_bound_near(page, point);
    }
    loop {
        let separator = split_separator(page, point, entry)?;
        if point <= 1 || node::lower_fits(page, point, separator.as_ref()) {
            return Some((point, separator));
        }
        point -= 1;
    }
}

/// Whether the entry comes behind many rows of its key and before the next key. Rows often come in order: split there,
/// this key's last page is filled to its end.
fn ends_many_rows(page: &node::Page, index: usize, entry: EntryRef<'_>) -> bool {
    let same = |index: usize| node::key_equals(page, index, EntryRef::before(entry.key));
    node::is_leaf(page)
        && (MANY_ROWS..node::count(page)).contains(&index)
        && same(index - MANY_ROWS)
        && !same(index)
}

/// The place near `point` where the bound between the halves of a leaf is shortest: between two keys rather than within
/// the rows of one, so that a key's rows come to lie on pages of their own.
fn shortest_bound_near(page: &node::Page, point: usize) -> usize {
    let window = (node::count(page) / 16).min(16);
    let places = point.saturating_sub(window).max(1)..(point + window + 1).min(node::count(page));
    places.min_by_key(|place| (node::separator_size(page, *place), place.abs_diff(point))).unwrap_or(point)
}

/// The bound between the halves of a page that is split because of an entry; none where there is no order between them.
fn split_separator(page: &node::Page, point: usize, entry: EntryRef<'_>) -> Option<EntryBuf> {
    let count = node::count(page);
    if !node::is_leaf(page) {
        // A branch's entry is a bound already; it moves up.
        return Some(node::entry_at(page, point));
    }
    if point == count {
        let last = node::entry_at(page, count - 1);
        return node::separator(last.as_ref(), entry).map(EntryBuf::from);
    }
    let first = node::entry_at(page, point);
    if point == 0 {
        return node::separator(entry, first.as_ref()).map(EntryBuf::from);
    }
    node::separator(node::entry_at(page, point - 1).as_ref(), first.as_ref()).map(EntryBuf::from)
}

/// Refuses what could not be split any more.
pub(super) fn check_size(key: &[u8], payload: &[u8]) -> Result<()> {
    let size = key.len() + payload.len();
    if size > node::MAX_ENTRY_BYTES {
        return Err(too_long(size));
    }
    Ok(())
}

#[cold]
fn too_long(size: usize) -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("index row size {size} exceeds btree maximum {}", node::MAX_ENTRY_BYTES),
    )
    .hint(
        "Values larger than 1/3 of a buffer page cannot be indexed.\nConsider a function index of an MD5 hash of \
         the value, or use full text indexing.",
    )
}
