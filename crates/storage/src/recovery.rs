//! Recovery: redoes the log from the redo point.
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

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use ochre_base::limits::PAGES_PER_SEGMENT;
use ochre_base::{Error, Lsn, PageKey, Result, Xid};
use parking_lot::Mutex;

use crate::buffer::{BufferPool, PageReadGuard, PageWriteGuard};
use crate::checkpoint::CheckpointData;
use crate::files::{Files, ForkKey, RelationKey};
use crate::records::{self, Fields};
use crate::storage::ResourceManager;
use crate::wal::{BlockFlags, RmgrId, WalReader, WalRecord};

/// Pages that can lie between the end of a fork and one that a record makes: sessions may have got them, and were stopped
/// before they logged what they did with them.
const MAX_GAP: u32 = PAGES_PER_SEGMENT;

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
    pool: &'a BufferPool,
    files: &'a Files,
    missing: Mutex<BTreeSet<(ForkKey, u32)>>,
}

impl RedoContext<'_> {
    /// The `index`-th page of the record, brought to the state that the record's change starts from (W4). Latch the
    /// pages of one record in any order: redo is alone.
    ///
    /// # Errors
    /// XX001 when the page is needed and damaged.
    pub fn page(&self, record: &WalRecord<'_>, index: usize) -> Result<RedoPage> {
        let block = record.blocks.get(index).ok_or_else(|| {
            Error::corrupt(format!("the log record at {:016x} has no page {index}", record.start.0))
        })?;
        let fork = ForkKey::of(block.key);
        if !self.files.exists(fork.relation)? {
            return Ok(self.missing(block.key));
        }
        let made_anew = block.has_image || block.flags == BlockFlags::INIT;
        let gap = if made_anew { MAX_GAP } else { 0 };
        if block.key.block.0 >= self.pool.block_count(fork)?.saturating_add(gap) {
            return Ok(self.missing(block.key));
        }
        if made_anew {
            let mut page = self.pool.fetch_blank(block.key)?;
            if !block.has_image {
                page.clear();
            } else if !block.restore(&mut page) {
                return Err(Error::corrupt(format!("the image of {} in the log is damaged", block.key)));
            }
            if block.has_image
                && let Err(what) = self.pool.check_restored(block.key, &page)
            {
                let image = format!("the image of {} in the log is damaged", block.key);
                return Err(Error::corrupt(image).detail(format!("The {what}.")));
            }
            prepare(&mut page, record.end);
            return Ok(if block.has_image { RedoPage::Restored(page) } else { RedoPage::Apply(page) });
        }
        let mut page = self.pool.write(block.key)?;
        if page.lsn() >= record.end {
            return Ok(RedoPage::Done(page.downgrade()));
        }
        prepare(&mut page, record.end);
        Ok(RedoPage::Apply(page))
    }

    /// The record drops a relation: its files go.
    pub fn drop_relation(&self, relation: RelationKey) -> Result<()> {
        self.missing.lock().retain(|(fork, _)| fork.relation != relation); // Y2
        self.files.redo_drop(relation) // Y4
    }

    /// The buffer pool, for pages that a record implies without naming them (maps that are hints).
    pub fn pool(&self) -> &BufferPool {
        self.pool
    }

    fn missing(&self, key: PageKey) -> RedoPage {
        self.missing.lock().insert((ForkKey::of(key), key.block.0)); // Y2
        RedoPage::Missing
    }
}

fn prepare(page: &mut PageWriteGuard, end: Lsn) {
    page.mark_dirty();
    page.set_lsn(end);
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
pub(crate) fn redo(
    mut reader: WalReader<'_>,
    checkpoint: Lsn,
    end: KnownEnd,
    data: &CheckpointData,
    pool: &BufferPool,
    files: &Files,
    managers: &[Arc<dyn ResourceManager>],
) -> Result<Redone> {
    files.store().raise_next_id(data.next_file_id);
    files.restore_pending(data.pending.clone());
    for manager in managers {
        if let Some(payload) = data.payloads.get(&manager.rmgr()) {
            manager.checkpoint_restore(data.redo, payload)?;
        }
    }
    let by_id: HashMap<RmgrId, &Arc<dyn ResourceManager>> = managers.iter().map(|m| (m.rmgr(), m)).collect();
    let context = RedoContext { pool, files, missing: Mutex::default() };
    let mut records = 0;
    let mut youngest = Xid::NONE;
    while let Some(record) = reader.next()? {
        if record.xid > Xid::HIGHEST {
            let message =
                format!("the log record at {:016x} is of transaction {}", record.start.0, record.xid);
            return Err(Error::corrupt(message));
        }
        if record.start != checkpoint {
            records += 1;
        }
        youngest = youngest.max(record.xid);
        let result = match by_id.get(&record.rmgr) {
            _ if record.rmgr == RmgrId::STORAGE => redo_own(&context, &record),
            Some(manager) => manager.redo(&context, &record),
            None => Err(Error::corrupt(format!("unknown resource manager {}", record.rmgr.0))),
        };
        result.map_err(|error| {
            error.context(format!("while redoing the log record at {:016x}", record.start.0))
        })?;
    }
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
    Ok(Redone { end: found, records, missing: context.missing.into_inner() })
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

fn redo_own(context: &RedoContext<'_>, record: &WalRecord<'_>) -> Result<()> {
    let mut fields = Fields(record.main);
    match record.info {
        records::FILE_CREATE => {
            context.files.redo_create(fields.relation()?, record.xid)?;
        }
        records::FILE_DROP => context.drop_relation(fields.relation()?)?,
        records::FILE_TRUNCATE => {
            let (fork, blocks) = (fields.fork()?, fields.u32()?);
            context.missing.lock().retain(|(other, block)| *other != fork || *block < blocks);
            if context.files.exists(fork.relation)? {
                context.files.truncate_now(fork, blocks)?;
            }
        }
        records::PAGES => {
            for index in 0..record.blocks.len() {
                context.page(record, index)?;
            }
        }
        records::CHECKPOINT | records::RESUME => {}
        other => return Err(Error::corrupt(format!("unknown record {other} of the storage layer"))),
    }
    Ok(())
}
