//! The log of transactions: redo of their records, and what checkpoints save of them.
//!
//! # Recovery
//! Starts from the outcomes that the last checkpoint saved, notes every commit record and every xid that a record
//! carries, and in the end counts as aborted whatever has neither committed nor was settled before.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock, Weak};

use hashbrown::HashMap;
use ochre_base::{Lsn, Result, Xid};
use ochre_storage::{Creator, RedoContext, RelationKey, ResourceManager, RmgrId, WalRecord};
use parking_lot::Mutex;

use crate::manager::Core;
use crate::outcomes::{DeadRange, SavedOutcomes};
use crate::prepared::{PrepareRecord, PreparedRecords};
use crate::record::{self, CommitRecord};

/// Redoes transaction records; make it before [`ochre_storage::Storage::open`] and the
/// [`crate::TransactionManager`] from it afterwards.
#[derive(Default)]
pub struct TransactionLog {
    recovery: Mutex<Recovery>,
    core: OnceLock<Weak<Core>>,
}

#[derive(Default)]
struct Recovery {
    saved: SavedOutcomes,
    /// As the log has them while it is redone, then sorted.
    committed: Vec<Xid>,
    /// What of committed transactions is dead.
    dead: HashMap<Xid, Vec<DeadRange>>,
    aborted: BTreeSet<Xid>,
    forgotten: Vec<(Xid, Xid)>,
    /// Transactions prepared and not ended.
    prepared: PreparedRecords,
    max_seen: Xid,
    end: Lsn,
}

impl TransactionLog {
    /// A log to be given to [`ochre_storage::Storage::open`].
    pub fn new() -> Arc<TransactionLog> {
        Arc::new(TransactionLog::default())
    }

    /// What recovery found, and up to which position.
    pub(crate) fn recovered(&self) -> (SavedOutcomes, Lsn) {
        let recovery = self.recovery.lock();
        (recovery.result(), recovery.end)
    }

    pub(crate) fn attach(&self, core: &Arc<Core>) {
        assert!(self.core.set(Arc::downgrade(core)).is_ok(), "a transaction log has one manager");
    }
}

impl Recovery {
    fn has_committed(&self, xid: Xid) -> bool {
        self.committed.binary_search(&xid).is_ok()
    }

    /// What the outcomes are when redo has ended.
    fn result(&self) -> SavedOutcomes {
        let next = Xid(self.saved.next.0.max(self.max_seen.0 + 1)).max(Xid::FIRST);
        let mut result = SavedOutcomes { next, ..SavedOutcomes::default() };
        let mut aborted = self.saved.aborted.clone();
        let is_aborted = |x: &Xid| !self.has_committed(*x) && !self.prepared.contains_key(x);
        let unfinished = self.saved.running.iter().copied().filter(is_aborted);
        aborted.extend(unfinished.map(|x| (x, x)));
        let mut ended: Vec<Xid> = self.committed.iter().chain(self.prepared.keys()).copied().collect();
        ended.sort();
        let mut first = self.saved.next.max(Xid::FIRST);
        for xid in ended.into_iter().chain([next]).filter(|xid| *xid >= self.saved.next && *xid <= next) {
            if first < xid {
                aborted.push((first, Xid(xid.0 - 1)));
            }
            first = first.max(Xid(xid.0 + 1));
        }
        for (first, last) in &self.forgotten {
            aborted = aborted.into_iter().flat_map(|run| subtract(run, *first, *last)).collect();
        }
        aborted.sort_unstable();
        for (first, last) in aborted {
            match result.aborted.last_mut() {
                Some((_, end)) if first.0 <= end.0 + 1 => *end = (*end).max(last),
                _ => result.aborted.push((first, last)),
            }
        }
        let is_aborted = |x: Xid| result.aborted.iter().any(|(a, b)| *a <= x && x <= *b);
        let is_forgotten = |x: Xid| self.forgotten.iter().any(|(a, b)| *a <= x && x <= *b);
        let mut dead: HashMap<Xid, Vec<DeadRange>> = self.saved.dead.iter().cloned().collect();
        dead.retain(|xid, _| !self.has_committed(*xid));
        dead.extend(self.dead.iter().map(|(xid, ranges)| (*xid, ranges.clone())));
        for (xid, record) in &self.prepared {
            // One that cannot be read stops the start when it is restored.
            let ranges = PrepareRecord::decode(record).map(|prepare| prepare.dead).unwrap_or_default();
            dead.insert(*xid, ranges);
        }
        result.prepared.clone_from(&self.prepared);
        result.dead = dead
            .into_iter()
            .filter(|(xid, ranges)| !ranges.is_empty() && !is_aborted(*xid) && !is_forgotten(*xid))
            .collect();
        result.dead.sort_unstable_by_key(|(xid, _)| *xid);
        result
    }
}

/// A run of xids without those of another.
fn subtract(run: (Xid, Xid), first: Xid, last: Xid) -> Vec<(Xid, Xid)> {
    let mut rest = Vec::new();
    if run.1 < first || run.0 > last {
        return vec![run];
    }
    if run.0 < first {
        rest.push((run.0, Xid(first.0 - 1)));
    }
    if run.1 > last {
        rest.push((Xid(last.0 + 1), run.1));
    }
    rest
}

/// The relations that a record drops: a commit's.
pub fn dropped_by(record: &WalRecord<'_>) -> Vec<RelationKey> {
    if record.rmgr != RmgrId::TXN || record.info != record::COMMIT {
        return Vec::new();
    }
    CommitRecord::decode(record.main).map_or_else(|_| Vec::new(), |commit| commit.dropped)
}

impl ResourceManager for TransactionLog {
    fn rmgr(&self) -> RmgrId {
        RmgrId::TXN
    }

    fn name(&self) -> &'static str {
        "transaction"
    }

    fn redo(&self, context: &mut RedoContext<'_>, record: &WalRecord<'_>) -> Result<()> {
        let mut recovery = self.recovery.lock();
        if record.xid < Xid::FIRST && record.info != record::FORGET {
            return Err(ochre_base::Error::corrupt("transaction record without a transaction"));
        }
        match record.info {
            record::COMMIT => {
                let commit = CommitRecord::decode(record.main)?;
                for relation in &commit.dropped {
                    context.drop_relation(*relation)?;
                }
                recovery.prepared.remove(&record.xid);
                recovery.committed.push(record.xid);
                match commit.dead.is_empty() {
                    true => recovery.dead.remove(&record.xid),
                    false => recovery.dead.insert(record.xid, commit.dead),
                };
            }
            record::ABORT => {
                recovery.prepared.remove(&record.xid);
                recovery.aborted.insert(record.xid);
            }
            record::FORGET => recovery.forgotten.extend(record::decode_runs(record.main)?),
            record::PREPARE => {
                // Damage is found here, not when the transaction is restored.
                PrepareRecord::decode(record.main)?;
                recovery.prepared.insert(record.xid, record.main.into());
            }
            info => {
                return Err(ochre_base::Error::corrupt(format!("transaction record of unknown kind {info}")));
            }
        }
        Ok(())
    }

    fn describe(&self, record: &WalRecord<'_>) -> String {
        match record.info {
            record::COMMIT => match CommitRecord::decode(record.main) {
                Ok(commit) => {
                    format!(
                        "commit, {} dead ranges, {} relations dropped",
                        commit.dead.len(),
                        commit.dropped.len()
                    )
                }
                Err(error) => format!("commit, damaged: {}", error.message()),
            },
            record::ABORT => "abort".to_string(),
            record::PREPARE => match PrepareRecord::decode(record.main) {
                Ok(prepare) => format!(
                    "prepare, {} row locks, {} relations created, {} dropped",
                    prepare.row_locks.len(),
                    prepare.created.len(),
                    prepare.dropped.len()
                ),
                Err(error) => format!("prepare, damaged: {}", error.message()),
            },
            record::FORGET => "forget".to_string(),
            info => format!("unknown kind {info}"),
        }
    }

    fn checkpoint_save(&self, _redo: Lsn) -> Result<Vec<u8>> {
        match self.core.get().and_then(Weak::upgrade) {
            // Appending and publishing are one step under the publish mutex, and so is saving: everything before the
            // redo point is published by now.
            Some(core) => Ok(core.save_outcomes().encode()),
            None => Ok(self.recovery.lock().result().encode()),
        }
    }

    fn checkpoint_restore(&self, _redo: Lsn, payload: &[u8]) -> Result<()> {
        let saved = SavedOutcomes::decode(payload)?;
        let mut recovery = self.recovery.lock();
        recovery.prepared.clone_from(&saved.prepared);
        recovery.saved = saved;
        Ok(())
    }

    fn note_youngest(&self, xid: Xid) {
        self.recovery.lock().max_seen = xid;
    }

    fn recovery_finished(&self, end: Lsn) -> Result<()> {
        let mut recovery = self.recovery.lock();
        recovery.committed.sort_unstable();
        recovery.end = end;
        Ok(())
    }

    fn creator_of_files(&self, creator: Xid) -> Option<Creator> {
        let recovery = self.recovery.lock();
        if recovery.prepared.contains_key(&creator) {
            return Some(Creator::Prepared);
        }
        if recovery.has_committed(creator) {
            return Some(Creator::Committed);
        }
        let saved = &recovery.saved;
        let finished_before = creator < saved.next
            && !saved.running.contains(&creator)
            && !saved.aborted.iter().any(|(a, b)| *a <= creator && creator <= *b);
        let committed = finished_before && !recovery.aborted.contains(&creator);
        Some(if committed { Creator::Committed } else { Creator::Gone })
    }
}
