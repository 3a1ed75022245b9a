//! Bulk build: fills an empty index from entries in order.
//!
//! Each level has one page in the making, in memory. When it is full it is written and logged, once, as a whole image,
//! and its successor is begun; the parent level gets the bound between them. The last level to have one page only is
//! the root. If the machine stops in between, the file goes with the transaction that made it.

use std::sync::Arc;

use ochre_base::{BlockNo, Error, Fork, Result, RowId, Xid};
use ochre_storage::{BlockFlags, Page, PageWriteGuard, ScanRing, Storage};

use super::insert::{NO_CHILD, check_size};
use super::node::{self, EntryBuf, EntryRef};
use super::redo::RecordKind;
use super::tree::{BTree, ROOT, with_record};

/// What a build made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BuildReport {
    /// Entries in the index.
    pub entries: u64,
    /// Leaves.
    pub leaf_pages: u32,
}

/// Fills an empty index.
pub struct BTreeBuilder {
    tree: Arc<BTree>,
    storage: Arc<Storage>,
    xid: Xid,
    ring: ScanRing,
    /// From the leaves up.
    levels: Vec<Level>,
    last: EntryBuf,
    report: BuildReport,
}

/// The page in the making of one level.
struct Level {
    page: Box<Page>,
    /// Where it will go; the first page of a level has no place until it has a successor: it may be the root.
    place: Option<PageWriteGuard>,
}

impl Level {
    fn new(level: u8) -> Level {
        let mut page = Box::new(Page::zeroed());
        node::init(&mut page, level);
        Level { page, place: None }
    }
}

impl BTreeBuilder {
    /// A build into an index that was just created and that nobody else uses.
    pub fn new(tree: Arc<BTree>, xid: Xid) -> BTreeBuilder {
        BTreeBuilder {
            storage: tree.storage.clone(),
            tree,
            xid,
            ring: ScanRing::bulk_write(),
            levels: vec![Level::new(0)],
            last: EntryBuf::default(),
            report: BuildReport::default(),
        }
    }

    /// Adds the next entry. When the entry before it has the same key, its row id is returned: the caller of a unique
    /// index decides whether that is a violation. An entry that repeats the one before it in all parts is left out.
    ///
    /// # Errors
    /// 54000 when key and payload are too long for an index; XX000 when entries are out of order.
    pub fn add(&mut self, key: &[u8], payload: &[u8], rid: RowId) -> Result<Option<RowId>> {
        check_size(key, payload)?;
        let entry = EntryRef::new(key, rid, payload);
        let mut same_key = None;
        if self.report.entries > 0 {
            let last = self.last.as_ref();
            if last >= entry {
                return if last == entry { Ok(None) } else { Err(out_of_order()) };
            }
            same_key = (last.key == key && last.rid != entry.rid).then(|| RowId::from_u64(last.rid));
        }
        let leaf = self.levels[0].page.bytes_mut();
        let full = node::used_bytes(leaf) > self.tree.append_limit && node::count(leaf) > 1;
        if full || !node::insert(leaf, node::count(leaf), entry, NO_CHILD) {
            self.close_page(0, entry)?;
            let leaf = self.levels[0].page.bytes_mut();
            assert!(node::insert(leaf, node::count(leaf), entry, NO_CHILD), "an entry fits on a new page");
        }
        self.last.set(entry);
        self.report.entries += 1;
        Ok(same_key)
    }

    /// Writes what is left. The index is complete when this returns.
    ///
    /// # Errors
    /// 53100, 58030.
    pub fn finish(mut self) -> Result<BuildReport> {
        let mut level = 0;
        // A level with one page only is the root.
        while let Some(place) = self.levels[level].place.take() {
            self.write_page(level, place)?;
            level += 1;
        }
        assert_eq!(level + 1, self.levels.len(), "each level but the highest has two pages or more");
        let root = self.tree.write_node(ROOT)?;
        if node::count(root.bytes()) != 0 || node::level(root.bytes()) != 0 {
            return Err(Error::internal("bulk build into an index that is not empty"));
        }
        self.report.leaf_pages += u32::from(level == 0);
        self.log_image(level, root)?;
        Ok(self.report)
    }

    /// Ends the page in the making of a level because `entry` does not go there any more.
    fn close_page(&mut self, level: usize, entry: EntryRef<'_>) -> Result<()> {
        self.storage.wal().reserve()?;
        let page = self.levels[level].page.bytes();
        let (point, separator) = self.close_point(page, entry);
        let place = match self.levels[level].place.take() {
            Some(place) => place,
            None => self.allocate()?,
        };
        let next = self.allocate()?;
        let (block, next_block) = (place.key().block, next.key().block);

        let full = &mut self.levels[level].page;
        let mut begun = Box::new(Page::zeroed());
        node::init(&mut begun, level as u8);
        if point < node::count(full.bytes()) {
            node::take_upper(begun.bytes_mut(), full.bytes(), point);
        }
        node::set_left(begun.bytes_mut(), Some(block));
        node::keep_lower(full.bytes_mut(), point, separator.as_ref());
        node::set_right(full.bytes_mut(), Some(next_block));
        self.write_page(level, place)?;
        self.levels[level] = Level { page: begun, place: Some(next) };
        self.add_to_parent(level + 1, block, separator.as_ref(), next_block)
    }

    /// How many entries stay on a page that is closed, and its high key. A leaf keeps all if the high key fits.
    fn close_point(&self, page: &node::Page, entry: EntryRef<'_>) -> (usize, EntryBuf) {
        let count = node::count(page);
        if !node::is_leaf(page) && node::lower_fits(page, count, entry) {
            return (count, entry.into());
        }
        super::insert::choose_split(page, count, entry).expect("entries come in order")
    }

    /// Adds the bound between two pages of a level to the level above.
    fn add_to_parent(
        &mut self,
        level: usize,
        left: BlockNo,
        separator: EntryRef<'_>,
        right: BlockNo,
    ) -> Result<()> {
        if level == self.levels.len() {
            let mut parent = Level::new(level as u8);
            node::insert(parent.page.bytes_mut(), 0, EntryRef::before(&[]), left);
            self.levels.push(parent);
        }
        let page = self.levels[level].page.bytes_mut();
        let count = node::count(page);
        if node::insert(page, count, separator, right) {
            return Ok(());
        }
        self.close_page(level, separator)?;
        let page = self.levels[level].page.bytes_mut();
        let count = node::count(page);
        // The first entry of a branch is minus infinity: its bound is the high key of the page before.
        let entry = if count == 0 { EntryRef::before(&[]) } else { separator };
        assert!(node::insert(page, count, entry, right), "an entry fits on a new page");
        Ok(())
    }

    fn write_page(&mut self, level: usize, place: PageWriteGuard) -> Result<()> {
        self.storage.wal().reserve()?;
        self.report.leaf_pages += u32::from(level == 0);
        self.log_image(level, place)
    }

    fn log_image(&mut self, level: usize, mut place: PageWriteGuard) -> Result<()> {
        *place.bytes_mut() = *self.levels[level].page.bytes();
        with_record(RecordKind::Build, self.xid, |record| {
            record.block(BlockFlags::IMAGE);
            self.storage.wal().append(record, &mut [&mut place])
        })?;
        Ok(())
    }

    fn allocate(&mut self) -> Result<PageWriteGuard> {
        let fork = self.tree.relation.fork(Fork::Main);
        self.storage.pool().allocate_with(fork, &mut self.ring)
    }
}

#[cold]
fn out_of_order() -> Error {
    Error::internal("bulk build of an index got entries out of order")
}
