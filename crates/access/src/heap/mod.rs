//! The heap: rows on slotted pages, newest version in place, older ones behind it.
//!
//! # Role
//! The executor inserts, updates, deletes, fetches and scans rows through a [`Heap`], one handle a relation, shared by
//! all sessions ([`Heaps`]). The [collector](crate::collector) removes versions that nobody sees any more.
//!
//! # On-disk layout
//! Slotted pages ([`ochre_storage::slots`]). A slot's flags say what it holds: a row's newest version, an older version,
//! a forwarding stub, the newest version of a row whose id is on another page, a piece of a large value. Versions are
//! described in [`version`], the records of their changes in [`edit`].
//!
//! ```text
//! main fork, block 7                         history fork
//! slot 0 ROW   ── newest ──► slot 3 OLDER ──► slot 9 OLDER
//! slot 1 FORWARD ─► block 12 slot 4 MOVED ─► …
//! ```
//!
//! # Invariants
//! - H1: a row's id (block, slot) never changes while any snapshot sees the row or any index entry names it.
//! - H2: a chain of versions runs from its newest version over older ones on the same page, then through the history
//!   fork, and never back to the main fork. So whoever holds the latch of the newest version's page holds the chain:
//!   no version of it is added, unlinked or moved without that latch, taken for writing.
//! - H3: versions in a chain are in the order of their commits, but for those that aborted.
//! - H4: a chain in which a version has [`version::Info::KEYS_DIFFER`] is unlinked from only by the collector, after the
//!   index entries of what goes are removed. Each version inherits the bit from the one it supersedes.
//! - H5: the version right below a tombstone stays until the whole row goes: the row's index entries are found by it.
//! - H6: a page with the all-visible flag has its bit set in the map; both are cleared by the record that changes the
//!   page. What readers keep of such pages ([`Derived`]) is forgotten first.
//!
//! # Concurrency
//! Latch order: heap pages by block number (a page beyond the order only by trying, or fresh from the end of the file),
//! then history pages, overflow pages, the visibility map. A reader that follows a chain into the history fork keeps
//! the latch of the newest version's page (H2), so a history slot can be reused as soon as it is unlinked. No latch is
//! held while waiting for a transaction, nor when calling into an index but for the collector.
//!
//! # Recovery
//! Redo only. A version whose transaction did not commit is skipped by readers, and unlinked by the next writer or the
//! collector.
//!
//! # Differences
//! The bit that says that keys differ is kept on the newer version and inherited, so an update never has to write to
//! the version it supersedes, and a reader learns from the versions it passes whether to compare keys.

mod chain;
mod check;
mod collect;
mod derived;
mod dump;
mod edit;
mod freespace;
mod history;
mod insert;
mod key_share;
mod overflow;
mod page_check;
mod prune;
mod read;
mod record;
mod redo;
pub mod version;
mod visibility;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use hashbrown::HashMap;
use ochre_base::{BlockNo, Error, Fork, PageKey, Result, RowId};
use ochre_storage::{Page, PageKind, PageReadGuard, PageWriteGuard, RelationKey, ScanRing, Storage};
use ochre_txn::{Transaction, TransactionManager};
use parking_lot::RwLock;

pub use check::HeapProblem;
pub(crate) use collect::Collected;
pub use derived::{Derived, DerivedBudget, RUN_BLOCKS, RunTicket};
pub use dump::dump_page;
pub use insert::RowBatch;
pub use key_share::KeyShare;
pub use read::{Liveness, PageVersions};
pub use redo::{HeapLog, RedoneBlocks};
pub use version::{Link, VersionRef};
pub(crate) use visibility::is_all_visible;
pub use write::{LockOutcome, RowWait, WriteOutcome, serialization_failure};

use crate::scan_counts::ScanCounts;
use freespace::FreeSpace;

/// Pages whose last attempt at pruning is remembered.
const FRUITLESS_PRUNES: usize = 64;
/// Sessions are spread over this many pages to insert into.
const INSERT_TARGETS: usize = 8;

/// Removes index entries of versions that are about to go. The engine implements it over a relation's indexes.
pub trait IndexCleanup: Send + Sync {
    /// Removes, from every index of the relation, the entries of `row` that belong to a `doomed` version and to no
    /// `surviving` one: entries with equal keys (and payloads) are shared by all versions of the row. Called with the
    /// latch of the row's page held, so index latches may be taken and heap latches may not. Entries that are not
    /// there are no error. False, with nothing removed, when an index cannot tell yet what entries a surviving version has
    /// whose writer is at work: the versions stay until the next visit.
    ///
    /// # Errors
    /// When an index cannot be read or changed; the versions stay then.
    fn remove_entries(
        &self,
        row: RowId,
        doomed: &[VersionRef<'_>],
        surviving: &[VersionRef<'_>],
    ) -> Result<bool>;
}

/// One relation's rows.
pub struct Heap {
    relation: RelationKey,
    storage: Arc<Storage>,
    manager: Arc<TransactionManager>,
    targets: [AtomicU32; INSERT_TARGETS],
    free: FreeSpace,
    /// Whether the free-space fork was read.
    free_space_loaded: AtomicBool,
    /// Pages where pruning did not make room lately, and the newest commit of then: a hint.
    fruitless_prunes: [AtomicU64; FRUITLESS_PRUNES],
    history_target: AtomicU32,
    history_free: FreeSpace,
    overflow_target: AtomicU32,
    overflow_free: FreeSpace,
    cleanup: RwLock<Option<Arc<dyn IndexCleanup>>>,
    derived: Arc<Derived>,
    /// Sequential scans.
    pub scans: ScanCounts,
    /// Rows fetched by index scans.
    pub fetches: ScanCounts,
}

/// No block.
const NO_BLOCK: u32 = u32::MAX;

impl Heap {
    /// Creates the relation's files on behalf of a transaction; they go if it does not commit.
    ///
    /// # Errors
    /// 53100, 58030.
    pub fn create(transaction: &Transaction, relation: RelationKey) -> Result<()> {
        let xid = transaction.assign_xid()?;
        transaction.manager().storage().files().create(relation, xid)?;
        transaction.note_created(relation);
        Ok(())
    }

    fn new(manager: Arc<TransactionManager>, relation: RelationKey, budget: &Arc<DerivedBudget>) -> Heap {
        Heap {
            relation,
            storage: manager.storage().clone(),
            manager,
            targets: [const { AtomicU32::new(NO_BLOCK) }; INSERT_TARGETS],
            free: FreeSpace::default(),
            free_space_loaded: AtomicBool::new(false),
            fruitless_prunes: [const { AtomicU64::new(0) }; FRUITLESS_PRUNES],
            history_target: AtomicU32::new(NO_BLOCK),
            history_free: FreeSpace::default(),
            overflow_target: AtomicU32::new(NO_BLOCK),
            overflow_free: FreeSpace::default(),
            cleanup: RwLock::new(None),
            derived: Derived::new(budget),
            scans: ScanCounts::default(),
            fetches: ScanCounts::default(),
        }
    }

    /// Which files these are.
    pub fn relation(&self) -> RelationKey {
        self.relation
    }

    /// The transaction manager that decides what is seen.
    pub fn manager(&self) -> &Arc<TransactionManager> {
        &self.manager
    }

    /// What readers keep of blocks that every snapshot sees.
    pub fn derived(&self) -> &Derived {
        &self.derived
    }

    /// How index entries of removed versions are removed. Without one the collector removes no whole row and no
    /// version whose keys may differ; give [`NoIndexes`] for a relation that has none.
    pub fn set_index_cleanup(&self, cleanup: Option<Arc<dyn IndexCleanup>>) {
        *self.cleanup.write() = cleanup;
    }

    pub(crate) fn index_cleanup(&self) -> Option<Arc<dyn IndexCleanup>> {
        self.cleanup.read().clone()
    }

    /// How many blocks the relation has.
    ///
    /// # Errors
    /// When the file's length cannot be read, and when it was dropped: that is no empty table.
    pub fn block_count(&self) -> Result<u32> {
        let blocks = self.storage.pool().block_count(self.relation.fork(Fork::Main))?;
        if blocks == 0 && !self.storage.files().exists(self.relation)? {
            let RelationKey { database, file } = self.relation;
            return Err(Error::corrupt(format!("file \"base/{database}/{file}\" does not exist")));
        }
        Ok(blocks)
    }

    /// Gives back the pages that inserts go to, before the last checkpoint: what room they have left is known to nobody
    /// after a start.
    pub fn release_targets(&self) {
        let targets = self.targets.iter().map(|target| (target, Fork::Main));
        for (target, fork) in
            targets.chain([(&self.history_target, Fork::History), (&self.overflow_target, Fork::History)])
        {
            let block = target.swap(NO_BLOCK, Ordering::Relaxed);
            if block != NO_BLOCK {
                self.note_room_of(fork, BlockNo(block));
            }
        }
    }

    fn read_page(&self, block: BlockNo) -> Result<PageReadGuard> {
        self.scanned_page(block, None)
    }

    /// A page for a scan, which leaves the pool as it was where it brings a ring of its own.
    #[inline]
    fn scanned_page(&self, block: BlockNo, ring: Option<&mut ScanRing>) -> Result<PageReadGuard> {
        let (pool, key) = (self.storage.pool(), self.relation.main_page(block));
        let page = match ring {
            Some(ring) => pool.fetch_with(key, ring)?.read(),
            None => pool.read(key)?,
        };
        if is_heap(&page) { Ok(page) } else { Err(wrong_kind(&page, key)) }
    }

    fn write_page(&self, block: BlockNo) -> Result<PageWriteGuard> {
        let page = self.storage.pool().write(self.relation.main_page(block))?;
        if is_heap(&page) { Ok(page) } else { Err(wrong_kind(&page, page.key())) }
    }

    fn read_history(&self, block: BlockNo) -> Result<PageReadGuard> {
        let page = self.storage.pool().read(self.relation.fork(Fork::History).page(block))?;
        if is_history(&page) { Ok(page) } else { Err(wrong_kind(&page, page.key())) }
    }

    fn write_history(&self, block: BlockNo) -> Result<PageWriteGuard> {
        let page = self.storage.pool().write(self.relation.fork(Fork::History).page(block))?;
        if is_history(&page) { Ok(page) } else { Err(wrong_kind(&page, page.key())) }
    }
}

/// Whether a page of the main fork is what a heap has there.
#[inline]
fn is_heap(page: &Page) -> bool {
    page.kind() == PageKind::HEAP || page.is_unused()
}

/// Whether a page of the history fork is what a heap has there.
fn is_history(page: &Page) -> bool {
    matches!(page.kind(), PageKind::HISTORY | PageKind::OVERFLOW) || page.is_unused()
}

#[cold]
fn wrong_kind(page: &Page, key: PageKey) -> Error {
    Error::corrupt(format!("{key} is of kind {}, which no table has there", page.kind().name()))
}

/// For relations without indexes: there is nothing to remove.
pub struct NoIndexes;

impl IndexCleanup for NoIndexes {
    fn remove_entries(&self, _: RowId, _: &[VersionRef<'_>], _: &[VersionRef<'_>]) -> Result<bool> {
        Ok(true)
    }
}

/// The handles of all relations in use.
pub struct Heaps {
    manager: Arc<TransactionManager>,
    open: RwLock<HashMap<RelationKey, Arc<Heap>>>,
    derived: Arc<DerivedBudget>,
}

impl Heaps {
    /// No handles yet.
    pub fn new(manager: Arc<TransactionManager>) -> Heaps {
        Heaps { manager, open: RwLock::new(HashMap::new()), derived: Arc::default() }
    }

    /// The relation's handle, the same for all callers.
    pub fn open(&self, relation: RelationKey) -> Arc<Heap> {
        if let Some(heap) = self.open.read().get(&relation) {
            return heap.clone();
        }
        let mut open = self.open.write();
        let make = || Arc::new(Heap::new(self.manager.clone(), relation, &self.derived));
        open.entry(relation).or_insert_with(make).clone()
    }

    /// How much readers may keep of what they have made of blocks ([`Heap::derived`]).
    pub fn derived(&self) -> &DerivedBudget {
        &self.derived
    }

    /// The handles that are open.
    pub fn all(&self) -> Vec<Arc<Heap>> {
        let mut all: Vec<Arc<Heap>> = self.open.read().values().cloned().collect();
        // In one order, so that the same work does the same operations on files.
        all.sort_unstable_by_key(|heap| heap.relation);
        all
    }

    /// Forgets a relation that was dropped.
    pub fn forget(&self, relation: RelationKey) {
        self.open.write().remove(&relation);
    }
}
