//! One open data directory.

use std::path::Path;
use std::sync::Arc;

use ochre_base::{Lsn, Result, Xid};
use ochre_env::{Env, File};

use crate::buffer::{BufferPool, PageReadGuard, PageWriteGuard};
use crate::config::StorageConfig;
use crate::files::Files;
use crate::wal::{RmgrId, Wal, WalRecord};

/// Redoes the log records of one layer and takes part in checkpoints. Registered at [`Storage::open`].
#[allow(unused_variables)]
pub trait ResourceManager: Send + Sync {
    /// Whose records it redoes.
    fn rmgr(&self) -> RmgrId;

    /// Its name in dumps.
    fn name(&self) -> &'static str;

    /// Redoes one record. Called in log order, by one thread, while nobody else uses the storage. May meet effects of
    /// later records on pages ([`RedoPage::Done`]) and in what [`ResourceManager::checkpoint_restore`] gave.
    fn redo(&self, context: &RedoContext<'_>, record: &WalRecord<'_>) -> Result<()>;

    /// Says in a few words what a record does.
    fn describe(&self, record: &WalRecord<'_>) -> String {
        format!("info {} main {} bytes", record.info, record.main.len())
    }

    /// What recovery needs besides records from `redo` on. Called while others run, after the redo point is fixed:
    /// everything appended and published before `redo` must be in it, and later things may be.
    fn checkpoint_save(&self, redo: Lsn) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// The last checkpoint's payload, before redo begins. Not called on a new directory.
    fn checkpoint_restore(&self, redo: Lsn, payload: &[u8]) -> Result<()> {
        Ok(())
    }

    /// The log has been redone up to `end`. Called also after a clean start and on a new directory, before
    /// [`Storage::open`] returns and before anything is appended.
    fn recovery_finished(&self, end: Lsn) -> Result<()> {
        Ok(())
    }

    /// Whether files that this transaction created stay after recovery: true when it committed or is prepared.
    /// `None` from managers that know nothing of transactions; when all say so, the files go.
    fn keeps_created_files(&self, creator: Xid) -> Option<bool> {
        None
    }
}

/// What a record does to a page in redo.
pub enum RedoPage {
    /// The handler applies the change. LSN and dirty mark are set already.
    Apply(PageWriteGuard),
    /// The whole page came from an image in the record: nothing to do.
    Restored(PageWriteGuard),
    /// The page has this change or a later one already.
    Done(PageReadGuard),
    /// The file is gone (or was cut): a later record drops it.
    Missing,
}

impl RedoPage {
    /// The page, if the change is to be applied.
    pub fn to_apply(self) -> Option<PageWriteGuard> {
        match self {
            RedoPage::Apply(page) => Some(page),
            _ => None,
        }
    }
}

/// What redo may use.
pub struct RedoContext<'a> {
    storage: &'a Storage,
}

#[allow(unused_variables)]
impl RedoContext<'_> {
    /// The `index`-th page of the record, brought to the state that the record's change starts from. Latch the pages
    /// of one record in any order: redo is alone.
    pub fn page(&self, record: &WalRecord<'_>, index: usize) -> Result<RedoPage> {
        unimplemented!()
    }

    /// Relation files, for what commit records say about them.
    pub fn files(&self) -> &Files {
        self.storage.files()
    }
}

/// How the directory was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenKind {
    /// Made anew: whoever opened it fills it.
    Created,
    /// Shut down cleanly.
    Clean,
    /// Recovered from its log.
    Recovered,
}

/// How a checkpoint goes about its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointKind {
    /// As fast as the disk writes (CHECKPOINT).
    Fast,
    /// Spread over time.
    Paced,
}

/// One open data directory: files, buffer pool and log.
pub struct Storage {}

#[allow(unused_variables)]
impl Storage {
    /// Opens a data directory, making it if it is empty or not there, and recovers it if it was not shut down cleanly.
    ///
    /// # Errors
    /// 55006 when another process has it open, XX001 when it cannot be recovered.
    pub fn open(
        env: Env,
        path: &Path,
        config: StorageConfig,
        managers: Vec<Arc<dyn ResourceManager>>,
    ) -> Result<Arc<Storage>> {
        unimplemented!()
    }

    /// How the directory was found.
    pub fn open_kind(&self) -> OpenKind {
        unimplemented!()
    }

    /// Files, clock, randomness, waiting.
    pub fn env(&self) -> &Env {
        unimplemented!()
    }

    /// The settings.
    pub fn config(&self) -> &StorageConfig {
        unimplemented!()
    }

    /// The buffer pool.
    pub fn pool(&self) -> &Arc<BufferPool> {
        unimplemented!()
    }

    /// The log.
    pub fn wal(&self) -> &Arc<Wal> {
        unimplemented!()
    }

    /// Relation files.
    pub fn files(&self) -> &Arc<Files> {
        unimplemented!()
    }

    /// A number that is this directory's own since it was made.
    pub fn system_identifier(&self) -> u64 {
        unimplemented!()
    }

    /// A new empty file for spilled data, removed when the last handle is dropped.
    pub fn create_temp_file(&self) -> Result<Arc<dyn File>> {
        unimplemented!()
    }

    /// Writes all changed pages and moves the redo point; returns when it is done.
    pub fn checkpoint(&self, kind: CheckpointKind) -> Result<()> {
        unimplemented!()
    }

    /// Stops background threads, writes a final checkpoint and closes the directory. Later writes fail.
    pub fn close(&self) -> Result<()> {
        unimplemented!()
    }
}
