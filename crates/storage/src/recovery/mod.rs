//! Recovery: redoes the log from the redo point.
//!
//! # Role
//! One thread reads the log and redoes here what records say besides their pages; pages are redone in [`pages`].
//!
//! # Invariants
//! - Y1: everything that is read from the log is durable before a page that depends on it is written: segments are
//!   synced first.
//! - Y2: a page that a record refers to is there, unless a later record drops its file or cuts it off. What is
//!   missing is remembered, and is corruption if it stays unexplained. A page that a record makes is missing, too, when it
//!   lies far behind the end of its file: pages come one after the other, and what made those between is in the file or
//!   in the log.
//! - Y3: redoing twice is redoing once: a crash during recovery or right after it begins again at the same point.
//! - Y4: files come and go where the log says so, so that one of an id that was given again is not taken for the other.
//! - Y5: what the process before wrote to files, and which it made, may be nowhere but in the system's cache: the first
//!   checkpoint syncs all files and directories, whether recovery changed them or not.

mod pages;

use std::collections::BTreeSet;
use std::sync::Arc;

use ochre_base::{Error, Lsn, Result, Xid};

use self::pages::{PageQueue, PageRedo, while_redoing};
use crate::buffer::BufferPool;
use crate::checkpoint::CheckpointData;
use crate::config::StorageConfig;
use crate::files::{Files, ForkKey, RelationKey};
use crate::records::{self, Fields};
use crate::storage::ResourceManager;
use crate::wal::{RmgrId, WalReader, WalRecord};

/// What the redo of a record besides its pages may use.
pub struct RedoContext<'a> {
    files: &'a Files,
    pages: &'a PageRedo<'a>,
    queue: PageQueue<'a>,
}

impl RedoContext<'_> {
    /// The record drops a relation: its files go.
    pub fn drop_relation(&mut self, relation: RelationKey) -> Result<()> {
        self.queue.settle()?; // P2
        self.pages.missing.lock().retain(|(fork, _)| fork.relation != relation); // Y2
        self.files.redo_drop(relation) // Y4
    }

    fn redo(&mut self, record: &WalRecord<'_>) -> Result<()> {
        match self.pages.manager(record.rmgr) {
            _ if record.rmgr == RmgrId::STORAGE => self.redo_own(record),
            Some(manager) => manager.redo(self, record),
            None => Err(Error::corrupt(format!("unknown resource manager {}", record.rmgr.0))),
        }
    }

    fn redo_own(&mut self, record: &WalRecord<'_>) -> Result<()> {
        let mut fields = Fields(record.main);
        match record.info {
            records::FILE_CREATE => {
                let relation = fields.relation()?;
                self.queue.settle()?; // P2
                self.files.redo_create(relation, record.xid)
            }
            records::FILE_DROP => self.drop_relation(fields.relation()?),
            records::FILE_TRUNCATE => {
                let (fork, blocks) = (fields.fork()?, fields.u32()?);
                self.queue.settle()?; // P2
                self.pages.missing.lock().retain(|(other, block)| *other != fork || *block < blocks);
                if self.files.exists(fork.relation)? {
                    self.files.truncate_now(fork, blocks)?;
                }
                Ok(())
            }
            records::PAGES | records::CHECKPOINT | records::RESUME => Ok(()),
            other => Err(Error::corrupt(format!("unknown record {other} of the storage layer"))),
        }
    }
}

/// What redo found.
pub(crate) struct Redone {
    /// The log's end.
    pub(crate) end: Lsn,
    /// Records after the redo point besides the checkpoint's own.
    pub(crate) records: u64,
    missing: BTreeSet<(ForkKey, u32)>,
}

impl Redone {
    /// Y2.
    pub(crate) fn check_missing(&self, gone: &BTreeSet<RelationKey>) -> Result<()> {
        match self.missing.iter().find(|(fork, _)| !gone.contains(&fork.relation)) {
            Some((fork, block)) => {
                let key = fork.page(ochre_base::BlockNo(*block));
                Err(Error::corrupt(format!("the log changes {key}, and the file ends before it")))
            }
            None => Ok(()),
        }
    }
}

/// What is known of the log's end before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnownEnd {
    Nothing,
    /// After a clean end nobody has written behind the checkpoint's record.
    Clean,
    /// It shall end here, whatever is behind.
    Damaged(Lsn),
}

/// Restores what the checkpoint at `checkpoint` says and redoes everything from its redo point on.
#[expect(clippy::too_many_arguments, reason = "called once, with all that there is")]
pub(crate) fn redo(
    mut reader: WalReader<'_>,
    checkpoint: Lsn,
    end: KnownEnd,
    data: &CheckpointData,
    pool: &BufferPool,
    files: &Files,
    managers: &[Arc<dyn ResourceManager>],
    config: &StorageConfig,
) -> Result<Redone> {
    files.store().raise_next_id(data.next_file_id);
    files.restore_pending(data.pending.clone());
    for manager in managers {
        if let Some(payload) = data.payloads.get(&manager.rmgr()) {
            manager.checkpoint_restore(data.redo, payload)?;
        }
    }
    let pages = PageRedo::new(pool, files.store(), managers);
    let (records, youngest) = std::thread::scope(|scope| {
        let queue = PageQueue::new(&pages, config.recovery_parts, config.background_threads, scope)?;
        let mut context = RedoContext { files, pages: &pages, queue };
        let done = redo_records(&mut reader, checkpoint, &mut context);
        // An error of an earlier record's page is the one to tell.
        context.queue.settle()?;
        done
    })?;
    let found = reader.position();
    if found <= checkpoint {
        return Err(damaged_log(format!(
            "the log is damaged at {:016x}, before the checkpoint record at {:016x}",
            found.0, checkpoint.0
        )));
    }
    let is_known = end == KnownEnd::Clean || end == KnownEnd::Damaged(found);
    if !is_known && let Some(proof) = reader.find_proof_of_damage()? {
        return Err(damaged_log(format!(
            "the log is damaged at {:016x}: the record at {:016x} tells that it was whole there",
            found.0, proof.0
        )));
    }
    for manager in managers {
        manager.note_youngest(youngest);
    }
    Ok(Redone { end: found, records, missing: pages.missing.into_inner() })
}

/// Redoes records up to the log's end. Returns how many there are besides the checkpoint's, and the youngest transaction.
fn redo_records(
    reader: &mut WalReader<'_>,
    checkpoint: Lsn,
    context: &mut RedoContext<'_>,
) -> Result<(u64, Xid)> {
    let mut records = 0;
    let mut youngest = Xid::NONE;
    while let Some(placed) = reader.next_placed()? {
        let record = &placed.record;
        if record.xid > Xid::HIGHEST {
            let message =
                format!("the log record at {:016x} is of transaction {}", record.start.0, record.xid);
            return Err(Error::corrupt(message));
        }
        if record.start != checkpoint {
            records += 1;
        }
        youngest = youngest.max(record.xid);
        context.redo(record).map_err(|error| while_redoing(record.start, error))?;
        if !record.blocks.is_empty() {
            context.queue.push(record, placed.window, placed.offset)?;
        }
    }
    Ok((records, youngest))
}

/// What was committed behind the damage is lost with it, so nobody goes on from there unasked.
fn damaged_log(message: String) -> Error {
    Error::corrupt(message)
        .detail("What was committed behind that place cannot be recovered.")
        .hint(
            "Restore a backup. \"ochre inspect wal\" prints the log up to the damage, and \"ochre end-log\" says whether \
             the directory can go on from there without the rest.",
        )
}
