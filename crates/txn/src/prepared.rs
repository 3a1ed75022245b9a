//! Prepared transactions: PREPARE TRANSACTION, and what makes of one a commit or a rollback.
//!
//! # States
//! ```text
//! open ──prepare──► prepared ──commit_prepared──► committed
//!                      │ ▲ └───abort_prepared───► aborted
//!                    crash │
//!                      └───┘ take_recovered
//! ```
//! A prepared [`Transaction`] stays what it was: its xid runs for everybody, its versions are its rows' locks. Dropping
//! it ends nothing.
//!
//! # On-disk layout
//! The prepare record: format (u8) · dead ranges · dropped relations · created relations · row locks · written blocks ·
//! next command (u32) · the engine's own bytes · of a serializable transaction, as a list of one, its snapshot and its SIREAD
//! locks, each list with its length (u32) before it, little endian. Checkpoints
//! carry the records of the transactions that are prepared.
//!
//! # Invariants
//! - PT1: the list of prepared transactions changes with the append of their records, under the publish mutex, so
//!   every redo point lies before the record or the checkpoint carries it.
//! - PT2: a record that ends a prepared transaction is appended or the transaction is prepared still: nothing is taken
//!   from it before.
//! - PT3: what recovery found is restored, with its row locks, before the manager begins any other transaction.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use ochre_base::{BlockNo, CommandId, Error, Lsn, Result, RowId, Xid};
use ochre_storage::{RecordBuilder, RelationKey, RmgrId};

use crate::blocks::BlockSet;
use crate::manager::{CommitTicket, TransactionManager};
use crate::outcomes::DeadRange;
use crate::record::{self, CommitRecord, Reader};
use crate::row_locks::RowLockStrength;
use crate::serializable::{KeyRange, PreparedSerial, SavedLock};
use crate::transaction::Transaction;

/// The records of prepared transactions, by xid.
pub(crate) type PreparedRecords = BTreeMap<Xid, Arc<[u8]>>;

/// A row lock that no version stands for.
pub(crate) type HeldRowLock = (RelationKey, RowId, RowLockStrength);

/// What a prepare record says besides its xid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PrepareRecord {
    pub dead: Vec<DeadRange>,
    pub dropped: Vec<RelationKey>,
    pub created: Vec<RelationKey>,
    pub row_locks: Vec<HeldRowLock>,
    pub written: Vec<(RelationKey, Vec<(u32, u64)>)>,
    pub next_command: CommandId,
    pub payload: Vec<u8>,
    pub serial: Option<PreparedSerial>,
}

impl PrepareRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![record::FORMAT];
        let count = |out: &mut Vec<u8>, n: usize| out.extend_from_slice(&(n as u32).to_le_bytes());
        let relation = |out: &mut Vec<u8>, key: &RelationKey| {
            out.extend_from_slice(&key.database.0.to_le_bytes());
            out.extend_from_slice(&key.file.0.to_le_bytes());
        };
        count(&mut out, self.dead.len());
        for range in &self.dead {
            out.extend_from_slice(&range.first.0.to_le_bytes());
            out.extend_from_slice(&range.last.0.to_le_bytes());
        }
        for list in [&self.dropped, &self.created] {
            count(&mut out, list.len());
            list.iter().for_each(|key| relation(&mut out, key));
        }
        count(&mut out, self.row_locks.len());
        for (key, row, strength) in &self.row_locks {
            relation(&mut out, key);
            out.extend_from_slice(&row.to_u64().to_le_bytes());
            out.extend_from_slice(&(*strength as u32).to_le_bytes());
        }
        count(&mut out, self.written.len());
        for (key, words) in &self.written {
            relation(&mut out, key);
            count(&mut out, words.len());
            for (position, word) in words {
                out.extend_from_slice(&position.to_le_bytes());
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
        out.extend_from_slice(&self.next_command.0.to_le_bytes());
        count(&mut out, self.payload.len());
        out.extend_from_slice(&self.payload);
        count(&mut out, usize::from(self.serial.is_some()));
        if let Some(serial) = &self.serial {
            out.extend_from_slice(&serial.snapshot.0.to_le_bytes());
            count(&mut out, serial.locks.len());
            serial.locks.iter().for_each(|lock| encode_lock(lock, &mut out));
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<PrepareRecord> {
        let mut r = Reader::new(bytes)?;
        let mut prepare = PrepareRecord { dead: r.ranges()?, ..PrepareRecord::default() };
        for list in [&mut prepare.dropped, &mut prepare.created] {
            for _ in 0..r.u32()? {
                list.push(r.relation()?);
            }
        }
        for _ in 0..r.u32()? {
            let (key, row) = (r.relation()?, RowId::from_u64(r.u64()?));
            prepare.row_locks.push((key, row, strength(r.u32()?)?));
        }
        for _ in 0..r.u32()? {
            let key = r.relation()?;
            let mut words = Vec::new();
            for _ in 0..r.u32()? {
                words.push((BlockSet::position(r.u32()?)?, r.u64()?));
            }
            prepare.written.push((key, words));
        }
        prepare.next_command = CommandId(r.u32()?);
        let length = r.u32()? as usize;
        prepare.payload = r.bytes(length)?.to_vec();
        for _ in 0..r.u32()? {
            let snapshot = Lsn(r.u64()?);
            let mut locks = Vec::new();
            for _ in 0..r.u32()? {
                locks.push(decode_lock(&mut r)?);
            }
            prepare.serial = Some(PreparedSerial { snapshot, locks });
        }
        Ok(prepare)
    }
}

fn encode_lock(lock: &SavedLock, out: &mut Vec<u8>) {
    let mut begin = |kind: u32, key: &RelationKey| {
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&key.database.0.to_le_bytes());
        out.extend_from_slice(&key.file.0.to_le_bytes());
    };
    match lock {
        SavedLock::Relation(relation) => begin(0, relation),
        SavedLock::Page(relation, block) => {
            begin(1, relation);
            out.extend_from_slice(&block.0.to_le_bytes());
        }
        SavedLock::Row(relation, row) => {
            begin(2, relation);
            out.extend_from_slice(&row.to_u64().to_le_bytes());
        }
        SavedLock::Range(index, range) => {
            begin(if range.high.is_some() { 4 } else { 3 }, index);
            for bound in std::iter::once(&range.low).chain(&range.high) {
                out.extend_from_slice(&(bound.len() as u32).to_le_bytes());
                out.extend_from_slice(bound);
            }
        }
    }
}

fn decode_lock(r: &mut Reader<'_>) -> Result<SavedLock> {
    let (kind, relation) = (r.u32()?, r.relation()?);
    let bound = |r: &mut Reader<'_>| -> Result<Box<[u8]>> {
        let length = r.u32()? as usize;
        Ok(r.bytes(length)?.into())
    };
    Ok(match kind {
        0 => SavedLock::Relation(relation),
        1 => SavedLock::Page(relation, BlockNo(r.u32()?)),
        2 => SavedLock::Row(relation, RowId::from_u64(r.u64()?)),
        3 => SavedLock::Range(relation, KeyRange { low: bound(r)?, high: None }),
        4 => SavedLock::Range(relation, KeyRange { low: bound(r)?, high: Some(bound(r)?) }),
        other => return Err(Error::corrupt(format!("prepare record with a SIREAD lock of kind {other}"))),
    })
}

fn strength(number: u32) -> Result<RowLockStrength> {
    use RowLockStrength::{KeyShare, NoKeyUpdate, Share, Update};
    [KeyShare, Share, NoKeyUpdate, Update]
        .into_iter()
        .find(|strength| *strength as u32 == number)
        .ok_or_else(|| Error::corrupt(format!("prepare record with a row lock of strength {number}")))
}

impl TransactionManager {
    /// Prepares a transaction: from the moment that the ticket is durable it survives a crash, with everything that it
    /// wrote and every row that it locked. `payload` comes back from [`TransactionManager::take_recovered`].
    ///
    /// # Errors
    /// When the log takes no more records, and 40001 for a serializable transaction that is part of an anomaly; the
    /// transaction is as it was then.
    pub fn prepare(&self, transaction: &mut Transaction, payload: &[u8]) -> Result<CommitTicket> {
        let core = &self.core;
        let met = transaction.gate_lsn();
        let xid = transaction.force_xid();
        core.wal.reserve()?;
        let tracked = transaction.serial().filter(|serial| !serial.is_safe()).cloned();
        let mut contents = transaction.prepare_record(payload);
        contents.serial = tracked.as_ref().and_then(|tracked| tracked.saved());
        let bytes: Arc<[u8]> = contents.encode().into();
        // From here on the transaction can no longer be made to fail by others, who fail in its place.
        let committing = tracked.as_deref().map(|t| core.serializable.pre_commit(t)).transpose()?;
        let mut record = RecordBuilder::new(RmgrId::TXN, record::PREPARE, xid);
        record.main(&bytes);
        let lsn = {
            let _publish = core.publish.lock();
            // PT1.
            let (appended, _) = core.wal.append_with(&record, &mut [], |_| {
                core.prepared.lock().insert(xid, Arc::clone(&bytes));
            })?;
            appended.end
        };
        if let Some(committing) = committing {
            committing.prepared(lsn);
        }
        transaction.become_prepared();
        Ok(CommitTicket::new(lsn.max(met), &core.wal))
    }

    /// Commits a prepared transaction. `publish` is called as [`Transaction::at_publish`] says.
    ///
    /// # Errors
    /// When the log takes no more records; it is prepared still (PT2), and `publish` was not called.
    pub fn commit_prepared(
        &self,
        transaction: &mut Transaction,
        publish: impl FnOnce(Lsn),
    ) -> Result<CommitTicket> {
        let core = &self.core;
        let xid = transaction.xid();
        core.wal.reserve()?;
        let mut record = RecordBuilder::new(RmgrId::TXN, record::COMMIT, xid);
        let end = transaction.take_end();
        let tracked = transaction.serial().cloned();
        let committing = tracked.as_deref().map(|tracked| core.serializable.commit_prepared(tracked));
        CommitRecord::encode(&end.dead, &end.dropped, &end.note, &mut |bytes| {
            record.main(bytes);
        });
        let files = core.storage.files();
        let lsn = {
            let _publish = core.publish.lock();
            let (appended, ()) = core.wal.append_with(&record, &mut [], |appended| {
                for relation in &end.dropped {
                    files.schedule_drop(*relation, appended.end);
                }
                core.prepared.lock().remove(&xid);
                core.outcomes.publish_commit(xid, appended.end, &end.dead);
            })?;
            publish(appended.end);
            core.newest.store(appended.end.0, Ordering::SeqCst);
            appended.end
        };
        if let Some(committing) = committing {
            committing.committed(lsn);
        }
        transaction.finished = true;
        self.after_commit(xid, lsn, end);
        Ok(CommitTicket::new(lsn, &core.wal))
    }

    /// Rolls a prepared transaction back. Unlike another's, this rollback is a promise: the ticket says when it is
    /// durable.
    ///
    /// # Errors
    /// When the log takes no more records; it is prepared still (PT2).
    pub fn abort_prepared(&self, transaction: &mut Transaction) -> Result<CommitTicket> {
        let core = &self.core;
        let xid = transaction.xid();
        core.wal.reserve()?;
        let record = RecordBuilder::new(RmgrId::TXN, record::ABORT, xid);
        let lsn = {
            let _publish = core.publish.lock();
            let (appended, ()) = core.wal.append_with(&record, &mut [], |_| {
                core.prepared.lock().remove(&xid);
                core.outcomes.publish_abort(xid);
            })?;
            appended.end
        };
        transaction.finished = true;
        self.forget_serial(transaction);
        let end = transaction.take_end();
        self.after_abort(xid, end);
        Ok(CommitTicket::new(lsn, &core.wal))
    }

    /// The transactions that were prepared when the engine stopped, each with the payload it was prepared with. Once,
    /// before anything else is begun (PT3).
    ///
    /// # Errors
    /// XX001 for a record that cannot be read.
    pub fn take_recovered(self: &Arc<TransactionManager>) -> Result<Vec<(Transaction, Vec<u8>)>> {
        let records = self.core.prepared.lock().clone();
        let mut found = Vec::with_capacity(records.len());
        for (xid, bytes) in records {
            let prepare = PrepareRecord::decode(&bytes)?;
            let payload = prepare.payload.clone();
            found.push((Transaction::restore(Arc::clone(self), xid, prepare)?, payload));
        }
        Ok(found)
    }

    /// The rows that a transaction has locked on a page without writing a version.
    pub(crate) fn held_row_locks(&self, page: (RelationKey, BlockNo), xid: Xid) -> Vec<HeldRowLock> {
        let locks = self.core.row_locks.held_by(page, xid);
        locks.into_iter().map(|(row, strength)| (page.0, row, strength)).collect()
    }
}

impl CommitTicket {
    fn new(lsn: Lsn, wal: &Arc<ochre_storage::Wal>) -> CommitTicket {
        CommitTicket::at(lsn, Arc::clone(wal))
    }
}

/// Bitmaps of blocks in the form of the record, in a fixed order.
pub(crate) fn sorted_words(sets: HashMap<RelationKey, BlockSet>) -> Vec<(RelationKey, Vec<(u32, u64)>)> {
    let mut written: Vec<_> = sets.into_iter().map(|(key, set)| (key, set.to_words())).collect();
    written.sort_unstable_by_key(|(key, _)| *key);
    written
}

#[cfg(test)]
mod tests {
    use ochre_base::{FileId, Oid};

    use super::*;

    #[test]
    fn records_round_trip() {
        let key = RelationKey::new(Oid(5), FileId(1 << 33));
        let prepare = PrepareRecord {
            dead: vec![DeadRange { first: CommandId(3), last: CommandId(9) }],
            dropped: vec![key],
            created: vec![RelationKey::new(Oid(5), FileId(7)), key],
            row_locks: vec![
                (key, RowId::new(7, 3), RowLockStrength::KeyShare),
                (key, RowId::new(70_000, 9), RowLockStrength::Update),
            ],
            written: vec![(key, vec![(0, 5), (9, u64::MAX)])],
            next_command: CommandId(17),
            payload: b"gid".to_vec(),
            serial: Some(PreparedSerial {
                snapshot: Lsn(77),
                locks: vec![
                    SavedLock::Relation(key),
                    SavedLock::Page(key, BlockNo(3)),
                    SavedLock::Row(key, RowId::new(4, 5)),
                    SavedLock::Range(key, KeyRange::all()),
                    SavedLock::Range(key, KeyRange { low: [1, 2].into(), high: Some([9].into()) }),
                ],
            }),
        };
        let bytes = prepare.encode();
        assert_eq!(PrepareRecord::decode(&bytes).unwrap(), prepare);
        for cut in 0..bytes.len() {
            assert!(PrepareRecord::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
