//! Relation files: creation, removal, names and sizes.
//!
//! # On-disk layout
//! `base/<database>/<file id>` with the suffixes `.hist`, `.free` and `.vis` for the other forks, in segments of 1 GiB
//! whose second and later ones end in `.1`, `.2` …. File ids are 64-bit and never reused, but for those of the stored
//! catalogs, which are the same in every database (L6).
//!
//! # Life of a relation's files
//! ```text
//! create ──> pending creation (owner's xid) ──creation_committed──> ordinary ──schedule_drop──> pending drop ──> gone
//!                     └──creation_aborted──> gone
//! ```
//!
//! # Invariants
//! - L1: a creation is in the list of pending ones before its file is made, so every redo point lies before its record or
//!   every checkpoint from it on carries the creation.
//! - L2: the same holds for scheduled drops and the commit record that drops.
//! - L3: a file goes only when the commit that drops it is durable.
//! - L4: a file whose id was given out after the last checkpoint, and whose creation is not in the log, was made in an
//!   instant before a crash: recovery removes it. When an id is older than that and its file is made only now, the
//!   record is durable before the file is there.
//! - L5: before a relation's pages are forgotten and its files removed, its forks are retired: no page of it enters the
//!   pool any more, and none is written. A file of a relation is made anew only by [`Files::create`] or while the first
//!   one is there, and that one goes first. So when a drop is no longer pending, every record about the relation is in
//!   the log, before any later redo point, and nothing makes its files again.
//! - L6: redo removes files where the log says so, not at its end: the catalogs of databases have fixed file ids, and a
//!   database's id may be that of one that was dropped before a crash.
//!
//! # Not done
//! Open files are not closed before they are removed; the limit of open files bounds the number of relations in use.

mod fork;
mod names;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ochre_base::{BlockNo, DatabaseId, Error, FileId, Fork, Lsn, PageKey, Result, Xid};
use parking_lot::{Mutex, RwLock};

pub(crate) use fork::ForkFile;
pub(crate) use names::{locate_file, main_file, unknown_names};
pub(crate) use store::FileStore;

use crate::buffer::BufferPool;
use crate::records;
use crate::wal::Wal;

/// A relation's files: all forks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelationKey {
    /// Whose it is; zero for what databases share.
    pub database: DatabaseId,
    /// The file's id.
    pub file: FileId,
}

/// One fork of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForkKey {
    /// The relation.
    pub relation: RelationKey,
    /// Which of its files.
    pub fork: Fork,
}

impl RelationKey {
    /// A relation's key from its parts.
    pub const fn new(database: DatabaseId, file: FileId) -> RelationKey {
        RelationKey { database, file }
    }

    /// One of its forks.
    pub const fn fork(self, fork: Fork) -> ForkKey {
        ForkKey { relation: self, fork }
    }

    /// A page of its main fork.
    pub const fn main_page(self, block: BlockNo) -> PageKey {
        self.fork(Fork::Main).page(block)
    }
}

impl ForkKey {
    /// The fork that a page belongs to.
    pub const fn of(page: PageKey) -> ForkKey {
        ForkKey { relation: RelationKey { database: page.database, file: page.file }, fork: page.fork }
    }

    /// A page of this fork.
    pub const fn page(self, block: BlockNo) -> PageKey {
        PageKey { database: self.relation.database, file: self.relation.file, fork: self.fork, block }
    }
}

/// What became of a transaction that created files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creator {
    /// It did not commit.
    Gone,
    /// It committed.
    Committed,
    /// It is prepared.
    Prepared,
}

/// Ids below this are chosen by the layer above, for files that come with a directory or a database.
pub const CHOSEN_FILE_IDS: u64 = 1024;

/// All relation files of a data directory.
pub struct Files {
    store: Arc<FileStore>,
    wal: Arc<Wal>,
    pool: Arc<BufferPool>,
    pending: Mutex<Pending>,
    /// Ids below this were given out before the last checkpoint (L4).
    checkpointed_ids: AtomicU64,
    /// One at a time removes dropped relations: who finds no drop pending knows that the files are gone.
    removing: Mutex<()>,
    /// Held while a file is cut, from before the record is appended until after; closed while the redo point moves.
    gate: RwLock<()>,
}

/// What a checkpoint must carry about files.
#[derive(Default, Clone)]
pub(crate) struct Pending {
    /// Relations whose creators have not ended, as far as we were told.
    pub(crate) creations: BTreeMap<RelationKey, Xid>,
    /// Relations whose dropping commit ends at the position.
    pub(crate) drops: BTreeMap<RelationKey, Lsn>,
}

impl Files {
    pub(crate) fn new(store: Arc<FileStore>, wal: Arc<Wal>, pool: Arc<BufferPool>) -> Files {
        let (pending, removing) = (Mutex::default(), Mutex::default());
        let checkpointed_ids = AtomicU64::new(0);
        Files { store, wal, pool, pending, checkpointed_ids, removing, gate: RwLock::default() }
    }

    /// A file id that nothing has used or will use.
    pub fn next_file_id(&self) -> FileId {
        self.store.allocate_id()
    }

    /// Creates an empty relation on behalf of a transaction, logged. If that transaction turns out neither committed
    /// nor prepared after a crash, recovery removes the files. The file exists when this returns.
    ///
    /// # Errors
    /// 53100, 58030; nothing is left behind then.
    pub fn create(&self, relation: RelationKey, creator: Xid) -> Result<()> {
        self.wal.reserve()?;
        self.pending.lock().creations.insert(relation, creator); // L1
        let record = records::file_create(relation, creator);
        let logged_before = relation.file.0 < self.checkpointed_ids.load(Ordering::SeqCst);
        // An id that the layer above has chosen counts as given out, too.
        self.store.raise_next_id(relation.file.0.saturating_add(1));
        let created = (|| {
            if logged_before {
                let appended = self.wal.append(&record, &mut [])?; // L4
                self.wal.flush_to(appended.end)?;
            }
            self.store.create(relation)
        })();
        if let Err(error) = created {
            // What the failure left, if anything, must not stay; the first error is the one that counts.
            let _ = self.erase(relation);
            if logged_before {
                // The creator may go on and commit.
                let _ = self.wal.append(&records::file_drop(relation), &mut []);
            }
            self.pending.lock().creations.remove(&relation);
            return Err(error);
        }
        if !logged_before {
            self.wal.append(&record, &mut [])?;
        }
        Ok(())
    }

    /// Says that the creator has committed: call it after its commit record is appended.
    pub fn creation_committed(&self, relation: RelationKey) {
        self.pending.lock().creations.remove(&relation);
    }

    /// Removes a relation whose creator aborted: its pages in memory at once, then its files. The removal is logged,
    /// so that recovery does not wonder where pages of later records are.
    pub fn creation_aborted(&self, relation: RelationKey) -> Result<()> {
        let appended = self.wal.append(&records::file_drop(relation), &mut [])?;
        self.wal.flush_to(appended.end)?;
        self.erase(relation)?;
        self.pending.lock().creations.remove(&relation);
        Ok(())
    }

    /// Removes a relation's pages and files (L5).
    fn erase(&self, relation: RelationKey) -> Result<()> {
        let blocks = self.store.retire(relation)?;
        self.pool.forget_relation(relation, blocks);
        self.store.remove(relation)
    }

    /// Notes that a relation was dropped by the transaction whose commit record ends at `commit`. Called under the
    /// append lock (from the closure of [`crate::Wal::append_with`]) so that no checkpoint can fall between (L2); the
    /// files are removed by [`Files::remove_dropped`] or by recovery.
    pub fn schedule_drop(&self, relation: RelationKey, commit: Lsn) {
        self.pending.lock().drops.insert(relation, commit);
    }

    /// Removes the files of scheduled drops whose commit is durable (L3), and the directories that they leave empty.
    /// Called now and then, and by checkpoints.
    ///
    /// # Errors
    /// 58030; what is left is tried again the next time.
    pub fn remove_dropped(&self) -> Result<()> {
        if self.pending.lock().drops.is_empty() {
            return Ok(());
        }
        let _removing = self.removing.lock();
        let flushed = self.wal.flushed();
        let mut due: Vec<RelationKey> = {
            let pending = self.pending.lock();
            pending.drops.iter().filter(|(_, commit)| **commit <= flushed).map(|(key, _)| *key).collect()
        };
        for relation in &due {
            self.erase(*relation)?;
            self.pending.lock().drops.remove(relation);
        }
        due.dedup_by_key(|relation| relation.database);
        due.iter().try_for_each(|relation| self.store.remove_empty_directory(relation.database))
    }

    /// In redo: a relation that a transaction creates begins empty, whatever of an earlier one of this name is there (L6).
    pub(crate) fn redo_create(&self, relation: RelationKey, creator: Xid) -> Result<()> {
        if relation.file > FileId::HIGHEST {
            return Err(Error::corrupt(format!("the log creates file {}", relation.file)));
        }
        self.store.raise_next_id(relation.file.0 + 1);
        let known = {
            let mut pending = self.pending.lock();
            let dropped = pending.drops.remove(&relation).is_some();
            pending.creations.insert(relation, creator).is_some() || dropped
        };
        if known {
            self.erase(relation)?;
        }
        self.store.create(relation)
    }

    /// In redo: the relation goes (L6). Until recovery ends, what later records say of it is of no interest.
    pub(crate) fn redo_drop(&self, relation: RelationKey) -> Result<()> {
        {
            let mut pending = self.pending.lock();
            pending.creations.remove(&relation);
            pending.drops.insert(relation, Lsn::ZERO);
        }
        self.erase(relation)
    }

    /// Cuts a fork to `blocks` pages, logged and durable before the file shrinks.
    /// The caller makes sure that nobody uses the pages that go.
    pub fn truncate(&self, fork: ForkKey, blocks: u32) -> Result<()> {
        self.wal.reserve()?;
        let record = records::file_truncate(fork, blocks);
        let _gate = self.gate.read();
        let appended = self.wal.append(&record, &mut [])?;
        self.wal.flush_to(appended.end)?;
        self.truncate_now(fork, blocks)
    }

    pub(crate) fn truncate_now(&self, fork: ForkKey, blocks: u32) -> Result<()> {
        self.pool.forget_pages(fork, blocks);
        self.store.fork(fork)?.truncate(blocks)
    }

    /// How many pages a fork has; zero when it has no file.
    pub fn block_count(&self, fork: ForkKey) -> Result<u32> {
        Ok(self.store.fork(fork)?.blocks())
    }

    /// Whether the relation's main file exists.
    pub fn exists(&self, relation: RelationKey) -> Result<bool> {
        self.store.exists(relation)
    }

    /// Whether the relation's creator has not ended, or its drop is not carried out.
    pub fn is_pending(&self, relation: RelationKey) -> bool {
        let pending = self.pending.lock();
        pending.creations.contains_key(&relation) || pending.drops.contains_key(&relation)
    }

    /// Every relation that has a file on disk, sorted.
    pub fn list(&self) -> Result<Vec<RelationKey>> {
        self.store.list()
    }

    /// Runs `move_redo_point` while no file is being cut.
    pub(crate) fn with_closed_gate<R>(&self, move_redo_point: impl FnOnce() -> R) -> R {
        let _gate = self.gate.write();
        move_redo_point()
    }

    pub(crate) fn store(&self) -> &Arc<FileStore> {
        &self.store
    }

    /// What a checkpoint whose redo point is fixed says about files: from which id on files are known by the log alone
    /// (L4), and what is pending.
    pub(crate) fn checkpoint(&self) -> (u64, Pending) {
        let next_id = self.store.next_id();
        // Before the list is looked at: who is not in it yet sees that his id is an old one.
        self.checkpointed_ids.store(next_id, Ordering::SeqCst);
        (next_id, self.pending.lock().clone())
    }

    pub(crate) fn restore_pending(&self, pending: Pending) {
        *self.pending.lock() = pending;
    }

    /// At the end of recovery: removes files that were dropped, whose creator did not commit, or of which nobody knows
    /// (L4): those from `checkpointed_id` on that the log does not have. Returns what went.
    /// After a clean shutdown nobody can have left an unknown file.
    pub(crate) fn settle_after_recovery(
        &self,
        clean: bool,
        checkpointed_id: u64,
        became: impl Fn(Xid) -> Creator,
    ) -> Result<BTreeSet<RelationKey>> {
        let mut pending = std::mem::take(&mut *self.pending.lock());
        let mut gone: BTreeSet<RelationKey> = pending.drops.into_keys().collect();
        if !clean {
            let known = |relation: &RelationKey| pending.creations.contains_key(relation);
            // Checkpoints once did not count chosen ids as given out. While no other was given out either, their files
            // were made in a start that was cut short.
            let chosen = self.store.next_id() <= CHOSEN_FILE_IDS;
            let younger = |relation: &RelationKey| {
                relation.file.0 >= checkpointed_id && (relation.file.0 >= CHOSEN_FILE_IDS || chosen)
            };
            gone.extend(self.store.list()?.into_iter().filter(|found| younger(found) && !known(found)));
        }
        pending.creations.retain(|relation, creator| match became(*creator) {
            // It ends later.
            Creator::Prepared => true,
            Creator::Committed => false,
            Creator::Gone => {
                gone.insert(*relation);
                false
            }
        });
        for relation in &gone {
            self.erase(*relation)?;
        }
        let databases: BTreeSet<DatabaseId> = gone.iter().map(|relation| relation.database).collect();
        databases.into_iter().try_for_each(|database| self.store.remove_empty_directory(database))?;
        pending.creations.retain(|relation, _| !gone.contains(relation));
        self.pending.lock().creations = pending.creations;
        Ok(gone)
    }
}
