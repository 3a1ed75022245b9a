//! Relation files: creation, removal, names and sizes.
//!
//! # On-disk layout
//! `base/<database>/<file id>` with the suffixes `.hist`, `.free` and `.vis` for the other forks, in segments of 1 GiB
//! whose second and later ones end in `.1`, `.2` …. File ids are 64-bit and never reused, so a stale log record can
//! never touch a newer file.

use ochre_base::{BlockNo, DatabaseId, FileId, Fork, Lsn, PageKey, Result, Xid};

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

/// All relation files of a data directory.
pub struct Files {}

#[allow(unused_variables)]
impl Files {
    /// A file id that nothing has used or will use.
    pub fn next_file_id(&self) -> FileId {
        unimplemented!()
    }

    /// Creates an empty relation on behalf of a transaction, logged. If that transaction turns out neither committed
    /// nor prepared after a crash, recovery removes the files. The file exists when this returns.
    ///
    /// # Errors
    /// 53100, 58030; nothing is left behind then.
    pub fn create(&self, relation: RelationKey, creator: Xid) -> Result<()> {
        unimplemented!()
    }

    /// Says that the creator has committed: call it after its commit record is appended.
    pub fn creation_committed(&self, relation: RelationKey) {
        unimplemented!()
    }

    /// Removes a relation whose creator aborted: its pages in memory at once, then its files.
    pub fn creation_aborted(&self, relation: RelationKey) -> Result<()> {
        unimplemented!()
    }

    /// Notes that a relation was dropped by the transaction whose commit record ends at `commit`. Called under the
    /// append lock (from the closure of [`crate::Wal::append_with`]) so that no checkpoint can fall between; the files
    /// are removed by [`Files::remove_dropped`] or by recovery.
    pub fn schedule_drop(&self, relation: RelationKey, commit: Lsn) {
        unimplemented!()
    }

    /// Removes the files of scheduled drops whose commit is durable. Called after the flush and by checkpoints.
    pub fn remove_dropped(&self) -> Result<()> {
        unimplemented!()
    }

    /// In redo of a commit record: the relation's files go when recovery has ended.
    pub fn drop_at_recovery_end(&self, relation: RelationKey) {
        unimplemented!()
    }

    /// Cuts a fork to `blocks` pages, logged and durable before the file shrinks.
    /// The caller makes sure that nobody uses the pages that go.
    pub fn truncate(&self, fork: ForkKey, blocks: u32) -> Result<()> {
        unimplemented!()
    }

    /// Removes a whole database's directory; the caller has dropped its relations.
    pub fn remove_database(&self, database: DatabaseId) -> Result<()> {
        unimplemented!()
    }

    /// How many pages a fork has; zero when it has no file.
    pub fn block_count(&self, fork: ForkKey) -> Result<u32> {
        unimplemented!()
    }

    /// Whether the relation's main file exists.
    pub fn exists(&self, relation: RelationKey) -> Result<bool> {
        unimplemented!()
    }

    /// Every relation that has a file on disk, sorted.
    pub fn list(&self) -> Result<Vec<RelationKey>> {
        unimplemented!()
    }
}
