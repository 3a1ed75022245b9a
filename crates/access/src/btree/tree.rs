//! The handle of an index: descents, page access, point lookups.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ochre_base::limits::PAGE_SIZE;
use ochre_base::{BlockNo, Error, Fork, Result, RowId, SqlState, Xid};
use ochre_storage::{
    BlockFlags, PageKind, PageReadGuard, PageWriteGuard, RecordBuilder, RelationKey, RmgrId, Storage,
};
use parking_lot::Mutex;

use super::node::{self, EntryRef, Target};
use super::redo::RecordKind;
use super::{UNIQUE_STRIPES, meta};
use crate::scan_counts::ScanCounts;

/// Where the root is (B3).
pub(crate) const ROOT: BlockNo = BlockNo(1);

/// How full leaves are left when entries come in order.
const DEFAULT_FILLFACTOR: u8 = 90;

/// What can be set about an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BTreeOptions {
    /// How full, in percent, leaves are left by a bulk build and when they grow at the end of the index (10 to 100).
    pub fillfactor: u8,
}

impl Default for BTreeOptions {
    fn default() -> BTreeOptions {
        BTreeOptions { fillfactor: DEFAULT_FILLFACTOR }
    }
}

/// What the planner wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BTreeStats {
    /// Levels above the leaves: 0 when the root is a leaf. A descent reads one page more.
    pub height: u8,
    /// Pages of the file.
    pub pages: u32,
    /// About how many of them are leaves.
    pub leaf_pages: u32,
}

/// One index, shared by all sessions. [`super::BTrees`] hands it out: there must be one handle a file (B5).
pub struct BTree {
    pub(super) storage: Arc<Storage>,
    pub(super) relation: RelationKey,
    /// Counts pages taken from the free list (B5).
    pub(super) recycled: AtomicU64,
    /// The leaf that was the rightmost when last seen, 0: not known.
    pub(super) rightmost: OwnLine<AtomicU32>,
    /// Leaves are left this full when they grow at the end, in bytes.
    pub(super) append_limit: usize,
    pub(super) unique_stripes: [OwnLine<Mutex<()>>; UNIQUE_STRIPES],
    /// Scans for queries, and the entries that they have read.
    pub scans: ScanCounts,
}

/// Something that writers change often, on a cache line of its own: its neighbours are read by every descent.
#[repr(align(64))]
pub(super) struct OwnLine<T>(pub T);

thread_local! {
    /// Saves the allocations of each thread's log records.
    static RECORD: RefCell<RecordBuilder> = RefCell::new(RecordBuilder::new(RmgrId::BTREE, 0, Xid::NONE));
}

/// Runs `build` with this thread's record builder, which may be used by one record at a time.
pub(super) fn with_record<R>(kind: RecordKind, xid: Xid, build: impl FnOnce(&mut RecordBuilder) -> R) -> R {
    RECORD.with(|record| {
        let mut record = record.borrow_mut();
        record.reset(RmgrId::BTREE, kind as u8, xid);
        build(&mut record)
    })
}

impl BTree {
    /// Makes the files and first pages of an empty index, on behalf of `xid`: if that transaction does not commit, they
    /// go again. Sessions get the handle from [`super::BTrees`].
    ///
    /// # Errors
    /// 53100, 58030.
    pub fn create(
        storage: &Arc<Storage>,
        relation: RelationKey,
        xid: Xid,
        options: BTreeOptions,
    ) -> Result<()> {
        storage.wal().reserve()?;
        storage.files().create(relation, xid)?;
        BTree::write_first_pages(storage, relation, xid, options)
    }

    fn write_first_pages(
        storage: &Storage,
        relation: RelationKey,
        xid: Xid,
        options: BTreeOptions,
    ) -> Result<()> {
        let fillfactor = u16::from(options.fillfactor.clamp(10, 100));
        let fork = relation.fork(Fork::Main);
        let mut meta_page = storage.pool().allocate(fork)?;
        let mut root = storage.pool().allocate(fork)?;
        if (meta_page.key().block, root.key().block) != (meta::BLOCK, ROOT) {
            return Err(Error::corrupt(format!("file of new index {} is not empty", relation.file)));
        }
        meta::init(&mut meta_page, fillfactor);
        node::init(&mut root, 0);
        with_record(RecordKind::Create, xid, |record| {
            record.block(BlockFlags::INIT).block_data(&fillfactor.to_le_bytes());
            record.block(BlockFlags::INIT);
            storage.wal().append(record, &mut [&mut meta_page, &mut root])
        })?;
        Ok(())
    }

    pub(super) fn open(storage: Arc<Storage>, relation: RelationKey) -> Result<BTree> {
        let fillfactor = {
            let page = storage.pool().read(relation.main_page(meta::BLOCK))?;
            if !meta::is_valid(&page) {
                return Err(corrupt(relation, meta::BLOCK, "is not the meta page of an index"));
            }
            meta::fillfactor(&page)
        };
        Ok(BTree {
            storage,
            relation,
            recycled: AtomicU64::new(0),
            rightmost: OwnLine(AtomicU32::new(0)),
            append_limit: usize::from(fillfactor) * PAGE_SIZE / 100,
            unique_stripes: [const { OwnLine(Mutex::new(())) }; UNIQUE_STRIPES],
            scans: ScanCounts::default(),
        })
    }

    /// Which file this is.
    pub fn relation(&self) -> RelationKey {
        self.relation
    }

    /// Appends the row ids of all entries with exactly this key to `rids`, in order.
    ///
    /// # Errors
    /// XX001, XX002 and 58030 when a page cannot be read.
    pub fn lookup_equal(&self, key: &[u8], rids: &mut Vec<RowId>) -> Result<()> {
        let first = Target::from(EntryRef::before(key));
        let (mut guard, mut index) = self.find_leaf(first)?;
        loop {
            let page = guard.bytes();
            let count = node::count(page);
            while index < count && node::key_equals(page, index, first) {
                rids.push(node::rid_at(page, index));
                index += 1;
            }
            // Only when this page's range ends within the key can there be more of it.
            let more = index == count && node::high_key(page).is_some_and(|high| high.key == key);
            if !more {
                return Ok(());
            }
            let last = rids.last().map_or(0, |rid| rid.to_u64());
            let high = node::EntryBuf::from(node::high_key(page).expect("checked above"));
            drop(guard);
            debug_assert!(last <= high.rid, "N1");
            (guard, index) = self.find_leaf(high.as_ref().into())?;
        }
    }

    /// Height and size, from one page and the file's length.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn stats(&self) -> Result<BTreeStats> {
        let height = node::level(self.read_node(ROOT)?.bytes());
        let pages = self.storage.pool().block_count(self.relation.fork(Fork::Main))?;
        // Of a tree with branches, one page in some hundred is a branch.
        let others = 1 + if height > 0 { 1 + pages / 256 } else { 0 };
        Ok(BTreeStats { height, pages, leaf_pages: pages.saturating_sub(others).max(1) })
    }

    // ---- pages ----

    #[inline]
    pub(super) fn read_node(&self, block: BlockNo) -> Result<PageReadGuard> {
        let guard = self.storage.pool().read(self.relation.main_page(block))?;
        if guard.kind() != PageKind::BTREE {
            return Err(corrupt(self.relation, block, "is not a page of an index"));
        }
        Ok(guard)
    }

    #[inline]
    pub(super) fn write_node(&self, block: BlockNo) -> Result<PageWriteGuard> {
        let guard = self.storage.pool().write(self.relation.main_page(block))?;
        if guard.kind() != PageKind::BTREE {
            return Err(corrupt(self.relation, block, "is not a page of an index"));
        }
        Ok(guard)
    }

    #[inline]
    pub(super) fn recycled(&self) -> u64 {
        self.recycled.load(Ordering::Acquire)
    }

    // ---- descents ----

    /// The leaf whose range holds the target, latched for reading, and the first entry there at or above it.
    #[inline]
    pub(super) fn find_leaf(&self, target: Target<'_>) -> Result<(PageReadGuard, usize)> {
        let mut journey = Journey::default();
        loop {
            if let Some(found) = self.try_find_leaf(&target, &mut journey)? {
                return Ok(found);
            }
        }
    }

    /// `None`: a page on the way was unlinked or recycled; start again.
    #[inline]
    fn try_find_leaf(
        &self,
        target: &Target<'_>,
        journey: &mut Journey,
    ) -> Result<Option<(PageReadGuard, usize)>> {
        let recycled = self.recycled();
        let mut block = ROOT;
        loop {
            journey.visit(self, recycled, block)?;
            let guard = self.read_node(block)?;
            if recycled != self.recycled() {
                return Ok(None); // B5
            }
            match self.step(guard.bytes(), block, target)? {
                Step::Here(index) => return Ok(Some((guard, index))),
                Step::Down(next) | Step::Right(next) => block = next,
                Step::Restart => return Ok(None),
            }
        }
    }

    /// Where a search for the target goes from this page: a place in this leaf, its right sibling, or a child.
    #[inline(always)]
    fn step(&self, page: &node::Page, block: BlockNo, target: &Target<'_>) -> Result<Step> {
        if node::is_deleted(page) {
            return Ok(Step::Restart); // B4
        }
        let count = node::count(page);
        if node::is_leaf(page) {
            let index = node::lower_bound(page, *target);
            // Below an entry is below the high key.
            if index == count && is_beyond(page, target.entry) {
                return self.right_of(page, block);
            }
            return Ok(Step::Here(index));
        }
        if count == 0 {
            return Err(corrupt(self.relation, block, "is a branch without children"));
        }
        let index = node::child_index(page, *target);
        if index + 1 == count && is_beyond(page, target.entry) {
            return self.right_of(page, block);
        }
        Ok(Step::Down(node::child_at(page, index)))
    }

    fn right_of(&self, page: &node::Page, block: BlockNo) -> Result<Step> {
        self.right_sibling(page, block).map(Step::Right)
    }

    /// The right sibling of a page that has a high key.
    pub(super) fn right_sibling(&self, page: &node::Page, block: BlockNo) -> Result<BlockNo> {
        node::right(page).ok_or_else(|| corrupt(self.relation, block, "has a high key and no right sibling"))
    }

    /// The page of a level whose range holds the target, latched for writing. The caller may hold latches of pages at
    /// lower levels. Going right, a latch is released before the next is waited for.
    pub(super) fn find_for_write(&self, level: u8, target: EntryRef<'_>) -> Result<PageWriteGuard> {
        let target = Target::from(target);
        let mut journey = Journey::default();
        'restart: loop {
            let recycled = self.recycled();
            let mut block = ROOT;
            loop {
                journey.visit(self, recycled, block)?;
                let guard = self.read_node(block)?;
                if recycled != self.recycled() {
                    continue 'restart; // B5
                }
                let page = guard.bytes();
                if node::level(page) == level {
                    drop(guard);
                    break;
                }
                if node::level(page) < level {
                    return Err(corrupt(
                        self.relation,
                        block,
                        "is lower than the page whose parent is sought",
                    ));
                }
                let at_parent = node::level(page) == level + 1;
                match self.step(page, block, &target)? {
                    Step::Right(next) => block = next,
                    Step::Down(next) => {
                        block = next;
                        if at_parent {
                            break;
                        }
                    }
                    Step::Restart => continue 'restart,
                    Step::Here(_) => unreachable!("a leaf has level 0, which is not above {level}"),
                }
            }
            // `block` is of the level, or was when its parent was read.
            loop {
                journey.visit(self, recycled, block)?;
                let guard = self.write_node(block)?;
                let page = guard.bytes();
                if recycled != self.recycled() || node::is_deleted(page) || node::level(page) != level {
                    continue 'restart; // B4, B5; or the root has grown
                }
                if !is_beyond(page, target.entry) {
                    return Ok(guard);
                }
                block = self.right_sibling(page, block)?;
            }
        }
    }
}

/// The pages that a search comes to: one that comes to more of them than there are goes in a circle.
#[derive(Default)]
pub(super) struct Journey {
    steps: u32,
    recycled: u64,
}

impl Journey {
    /// So many steps nobody asks about.
    const FREE_STEPS: u32 = 1000;

    /// Counts a page, under the number of recycled pages with which the search began.
    ///
    /// # Errors
    /// XX002 when the search does not come to an end.
    #[inline]
    pub(super) fn visit(&mut self, tree: &BTree, recycled: u64, block: BlockNo) -> Result<()> {
        self.steps += 1;
        if self.steps < Journey::FREE_STEPS { Ok(()) } else { self.look_up(tree, recycled, block) }
    }

    #[cold]
    fn look_up(&mut self, tree: &BTree, recycled: u64, block: BlockNo) -> Result<()> {
        if std::mem::replace(&mut self.recycled, recycled) != recycled {
            // Others change the tree, so that searches start again.
            self.steps = 0;
        }
        let blocks = tree.storage.pool().block_count(tree.relation.fork(Fork::Main))?;
        if self.steps / 2 > blocks.saturating_add(Journey::FREE_STEPS) {
            return Err(corrupt(tree.relation, block, "is on a way that goes in a circle"));
        }
        Ok(())
    }
}

/// What a search does next.
enum Step {
    /// It has arrived, before this entry of the leaf.
    Here(usize),
    /// It goes on at the right sibling.
    Right(BlockNo),
    /// It goes on at a child.
    Down(BlockNo),
    /// The page is no longer part of the tree.
    Restart,
}

/// Whether the target lies at or above the page's high key.
#[inline]
pub(super) fn is_beyond(page: &node::Page, target: EntryRef<'_>) -> bool {
    node::high_key(page).is_some_and(|high| target >= high)
}

/// A page that breaks an invariant of the index: SQLSTATE XX002.
#[cold]
pub(super) fn corrupt(relation: RelationKey, block: BlockNo, what: &str) -> Error {
    Error::new(
        SqlState::INDEX_CORRUPTED,
        format!("index page base/{}/{} block {block} {what}", relation.database, relation.file),
    )
    .hint("Please REINDEX it.")
}
