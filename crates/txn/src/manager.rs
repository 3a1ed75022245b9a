//! The transaction manager: begin, commit, abort; newest position; what is left for the collector.
//!
//! # Invariants
//! - M1: the commit record is appended, the outcome stored and the newest position raised as one step under the
//!   publish mutex, in log order. A snapshot at a position therefore sees every commit at or before it.
//! - M2: an outcome is published before those who wait for it are woken.
//!
//! # Concurrency
//! The publish mutex is taken with no page latch held. Under it: the log's append lock, the engine's publish hooks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use ochre_base::{CommandId, Error, Lsn, Result, RowId, Xid};
use ochre_storage::{DurabilityTicket, RecordBuilder, RelationKey, RmgrId, Storage, Wal};
use parking_lot::Mutex;

use crate::blocks::{BlockSet, LeftBehind, RowChanges};
use crate::locks::{LockManager, RowTurn};
use crate::outcomes::{Outcome, Outcomes, SETTLED_POSITION, SavedOutcomes};
use crate::prepared::PreparedRecords;
use crate::record::{self, CommitRecord};
use crate::recovery::TransactionLog;
use crate::registry::{OpenSnapshots, SnapshotRegistry};
use crate::row_locks::{RowLockStrength, RowLocks};
use crate::serializable::{Limits, SerialLockListing, Serializable};
use crate::transaction::{EndOfTransaction, Ended, ExportedSnapshots, Transaction, TransactionOptions};

type DroppedHook = Box<dyn Fn(RelationKey) + Send + Sync>;

/// What snapshots and transactions share with the manager.
pub(crate) struct Core {
    pub(crate) storage: Arc<Storage>,
    pub(crate) wal: Arc<Wal>,
    pub(crate) outcomes: Outcomes,
    pub(crate) registry: SnapshotRegistry,
    /// The newest published commit.
    pub(crate) newest: AtomicU64,
    pub(crate) publish: Mutex<()>,
    pub(crate) locks: Arc<LockManager>,
    pub(crate) row_locks: RowLocks,
    pub(crate) exported: ExportedSnapshots,
    pub(crate) serializable: Arc<Serializable>,
    left_behind: Mutex<LeftBehind>,
    on_dropped: OnceLock<DroppedHook>,
    /// See [`crate::prepared`], PT1.
    pub(crate) prepared: Mutex<PreparedRecords>,
    /// Aborted transactions and those with dead ranges whose blocks the collector has yet to go through.
    aborted: Mutex<Vec<Xid>>,
}

impl Core {
    pub(crate) fn flushed(&self) -> Lsn {
        self.wal.flushed()
    }

    /// The positions that outcomes settle by. What is not durable does not settle, so that the reply gate meets it.
    pub(crate) fn settling_list(&self) -> Vec<Lsn> {
        let flushed = self.flushed();
        let mut list = self.registry.list(&self.newest).for_settling();
        let bound = list.last().copied().unwrap_or(flushed).min(flushed);
        list.retain(|lsn| *lsn < bound);
        list.push(bound);
        list
    }

    pub(crate) fn save_outcomes(&self) -> SavedOutcomes {
        let _publish = self.publish.lock();
        SavedOutcomes { prepared: self.prepared.lock().clone(), ..self.outcomes.save() }
    }
}

/// The transactions of one open database directory.
pub struct TransactionManager {
    pub(crate) core: Arc<Core>,
}

/// A commit that is published; durable when its ticket says so.
pub struct CommitTicket {
    /// The end of its commit record, or of the newest commit it met; [`Lsn::ZERO`] when there is nothing to await.
    pub lsn: Lsn,
    wal: Arc<Wal>,
}

impl CommitTicket {
    pub(crate) fn at(lsn: Lsn, wal: Arc<Wal>) -> CommitTicket {
        CommitTicket { lsn, wal }
    }

    /// Whether the reply may leave at once.
    pub fn is_durable(&self) -> bool {
        self.lsn <= self.wal.flushed()
    }

    /// A future for the server to await.
    pub fn subscribe(&self) -> DurabilityTicket {
        self.wal.ticket(self.lsn)
    }

    /// Blocks until it is durable.
    ///
    /// # Errors
    /// 58030 when the engine is poisoned: it is unknown whether the commit survives.
    pub fn wait(&self) -> Result<()> {
        if self.is_durable() { Ok(()) } else { self.wal.flush_to(self.lsn) }
    }
}

impl TransactionManager {
    /// The manager of an open directory, from what the log's redo found.
    pub fn new(storage: Arc<Storage>, log: &TransactionLog) -> Arc<TransactionManager> {
        let (saved, end) = log.recovered();
        let locks = Arc::new(LockManager::new(Arc::clone(&storage.env().wait)));
        let core = Arc::new(Core {
            wal: storage.wal().clone(),
            storage,
            outcomes: Outcomes::restore(&saved),
            registry: SnapshotRegistry::new(),
            // Every snapshot sees what settled long ago, whatever the log's first position is.
            newest: AtomicU64::new(end.0.max(SETTLED_POSITION.0)),
            publish: Mutex::new(()),
            locks,
            row_locks: RowLocks::default(),
            exported: ExportedSnapshots::default(),
            serializable: Arc::new(Serializable::new(Limits::default())),
            left_behind: Mutex::default(),
            on_dropped: OnceLock::new(),
            prepared: Mutex::new(saved.prepared.clone()),
            aborted: Mutex::new(Vec::new()),
        });
        log.attach(&core);
        Arc::new(TransactionManager { core })
    }

    /// Sets what is called for each relation whose drop has committed or whose creation is taken back, so that handles of
    /// it are not kept. Once.
    pub fn on_dropped(&self, forget: impl Fn(RelationKey) + Send + Sync + 'static) {
        let _ = self.core.on_dropped.set(Box::new(forget));
    }

    pub(crate) fn forget_relation(&self, relation: RelationKey) {
        self.core.left_behind.lock().changes.remove(&relation);
        if let Some(forget) = self.core.on_dropped.get() {
            forget(relation);
        }
    }

    /// Begins a transaction. Nothing is written and no xid is given.
    pub fn begin(self: &Arc<TransactionManager>, options: TransactionOptions) -> Transaction {
        Transaction::new(self.clone(), options)
    }

    /// Commits: appends the record, publishes, wakes who waits. Durable when the ticket says so.
    ///
    /// # Errors
    /// When the log takes no more records (53100, 58030), and 40001 for a serializable transaction that is part of an
    /// anomaly; the transaction is aborted then.
    pub fn commit(&self, mut transaction: Transaction) -> Result<CommitTicket> {
        let met = transaction.gate_lsn();
        let xid = transaction.xid();
        let tracked = transaction.serial().cloned();
        // Dropped on an error, the transaction aborts.
        let committing = tracked.as_deref().map(|t| self.core.serializable.pre_commit(t)).transpose()?;
        if !xid.is_valid() {
            transaction.finished = true;
            if let Some(committing) = committing {
                committing.committed(self.newest());
            }
            let end = transaction.take_end();
            for hook in end.at_end {
                hook(Ended::Committed(None));
            }
            return Ok(CommitTicket { lsn: met, wal: self.core.wal.clone() });
        }
        if let Err(error) = self.core.wal.reserve() {
            drop(committing);
            return Err(error);
        }
        let mut end = transaction.take_end();
        match self.append_commit(xid, &mut end) {
            Ok(lsn) => {
                transaction.finished = true;
                transaction.interrupt().set_xid(Xid::NONE);
                if let Some(committing) = committing {
                    committing.committed(lsn);
                }
                self.after_commit(xid, lsn, end);
                Ok(CommitTicket { lsn: lsn.max(met), wal: self.core.wal.clone() })
            }
            Err(error) => {
                drop(committing);
                transaction.finished = true;
                transaction.interrupt().set_xid(Xid::NONE);
                self.forget_serial(&mut transaction);
                self.publish_abort(xid, end);
                Err(error)
            }
        }
    }

    /// M1.
    fn append_commit(&self, xid: Xid, end: &mut EndOfTransaction) -> Result<Lsn> {
        let core = &self.core;
        let mut record = RecordBuilder::new(RmgrId::TXN, record::COMMIT, xid);
        CommitRecord::encode(&end.dead, &end.dropped, &end.note, &mut |bytes| {
            record.main(bytes);
        });
        let files = core.storage.files();
        let dropped = &end.dropped;
        let hooks = std::mem::take(&mut end.at_publish);
        let _publish = core.publish.lock();
        let (appended, ()) = core.wal.append_with(&record, &mut [], |appended| {
            for relation in dropped {
                files.schedule_drop(*relation, appended.end);
            }
            core.outcomes.publish_commit(xid, appended.end, &end.dead);
        })?;
        for hook in hooks {
            hook(appended.end);
        }
        core.newest.store(appended.end.0, Ordering::SeqCst);
        Ok(appended.end)
    }

    pub(crate) fn after_commit(&self, xid: Xid, lsn: Lsn, end: EndOfTransaction) {
        self.release_row_locks(xid, &end);
        self.core.locks.transaction_finished(xid);
        self.leave_behind(&end, true);
        for relation in end.created {
            self.core.storage.files().creation_committed(relation);
        }
        end.dropped.iter().for_each(|relation| self.forget_relation(*relation));
        if !end.dead.is_empty() {
            self.core.aborted.lock().push(xid);
        }
        for hook in end.at_end {
            hook(Ended::Committed(Some(lsn)));
        }
    }

    /// Rolls back. Its versions stay where they are; nobody sees them.
    pub fn abort(&self, mut transaction: Transaction) {
        self.abort_in_place(&mut transaction);
    }

    pub(crate) fn abort_in_place(&self, transaction: &mut Transaction) {
        transaction.finished = true;
        let xid = transaction.xid();
        if xid.is_valid() {
            transaction.interrupt().set_xid(Xid::NONE);
        }
        let end = transaction.take_end();
        self.publish_abort(xid, end);
        self.forget_serial(transaction);
    }

    pub(crate) fn forget_serial(&self, transaction: &mut Transaction) {
        if let Some(tracked) = transaction.take_serial() {
            self.core.serializable.abort(&tracked);
        }
    }

    /// Whether a version must stay although no open snapshot sees it, because its creator is serializable and an open
    /// serializable snapshot may have to find it; then the position of such a snapshot.
    #[inline]
    pub fn serializable_retains(&self, creator: Xid) -> Option<Lsn> {
        self.core.serializable.retains(creator)
    }

    /// What serializable transactions have read, as long as that matters.
    pub fn serializable_locks(&self) -> Vec<SerialLockListing> {
        self.core.serializable.list()
    }

    /// Makes what serializable transactions have read of a relation or an index count for all of `to`: the rows have
    /// moved there, or `from` is an index of it that is going. The caller holds ACCESS EXCLUSIVE on both.
    pub fn transfer_predicate_locks(&self, transaction: &Transaction, from: RelationKey, to: RelationKey) {
        self.core.serializable.transfer(from, to, transaction.serial().map(|tracked| &**tracked));
    }

    /// Switches the search for rw-conflicts off or on: for tests that show that the checker of histories finds what
    /// SERIALIZABLE is there to prevent.
    #[doc(hidden)]
    pub fn set_conflict_detection(&self, on: bool) {
        self.core.serializable.set_detection(on);
    }

    fn publish_abort(&self, xid: Xid, end: EndOfTransaction) {
        let core = &self.core;
        if xid.is_valid() {
            // The record spares a replica from waiting for a commit that never comes. Recovery does without it, so a
            // log that takes no more records does not matter here.
            let record = RecordBuilder::new(RmgrId::TXN, record::ABORT, xid);
            {
                let _publish = core.publish.lock();
                if core.wal.reserve().is_ok() {
                    let _ = core.wal.append(&record, &mut []);
                }
                core.outcomes.publish_abort(xid);
            }
        }
        self.after_abort(xid, end);
    }

    /// What is left to do when the rollback is published.
    pub(crate) fn after_abort(&self, xid: Xid, end: EndOfTransaction) {
        let core = &self.core;
        if xid.is_valid() {
            self.release_row_locks(xid, &end);
            core.locks.transaction_finished(xid);
        }
        self.leave_behind(&end, false);
        if xid.is_valid() {
            // After its blocks: who takes the xid from the list finds them all.
            core.aborted.lock().push(xid);
        }
        for relation in end.created {
            // A file that cannot be removed now is removed by the next recovery.
            let _ = core.storage.files().creation_aborted(relation);
            self.forget_relation(relation);
        }
        for hook in end.at_end {
            hook(Ended::Aborted);
        }
    }

    fn release_row_locks(&self, xid: Xid, end: &EndOfTransaction) {
        for page in &end.locked_pages {
            self.core.row_locks.release(*page, xid, CommandId::FIRST);
        }
    }

    /// Row locks that no version stands for.
    pub fn row_locks(&self) -> &RowLocks {
        &self.core.row_locks
    }

    /// Locks a row until the transaction ends; `Some` names a transaction that is in the way. The caller holds the
    /// page's latch.
    ///
    /// # Errors
    /// 53200 when too many rows are locked.
    pub fn lock_row(
        &self,
        transaction: &Transaction,
        relation: RelationKey,
        row: RowId,
        strength: RowLockStrength,
    ) -> Result<Option<Xid>> {
        let xid = transaction.assign_xid()?;
        match self.core.row_locks.lock(relation, row, strength, xid, transaction.current_cid())? {
            Ok(page_is_new) => {
                if page_is_new {
                    transaction.note_locked_page((relation, row.block));
                }
                Ok(None)
            }
            Err(holder) => Ok(Some(holder)),
        }
    }

    fn leave_behind(&self, end: &EndOfTransaction, committed: bool) {
        if !end.written.is_empty() {
            self.core.left_behind.lock().add(&end.written, committed, !end.dead.is_empty());
        }
    }

    /// Adds blocks to what the collector has to visit.
    pub fn enqueue_blocks(&self, relation: RelationKey, blocks: &BlockSet) {
        self.core.left_behind.lock().blocks.entry(relation).or_default().union(blocks);
    }

    /// The blocks in which finished transactions left something since the last call, for the collector: first those to
    /// be visited soon, then those whose garbage the next writers can remove.
    pub fn take_left_behind(&self) -> (HashMap<RelationKey, BlockSet>, HashMap<RelationKey, BlockSet>) {
        let mut left = self.core.left_behind.lock();
        (std::mem::take(&mut left.blocks), std::mem::take(&mut left.patient))
    }

    /// Makes what was done to the rows of one file count for the one that takes its place. How many rows there are begins anew.
    pub fn go_on_counting(&self, before: RelationKey, after: RelationKey) {
        let mut left = self.core.left_behind.lock();
        if let Some(changes) = left.changes.get(&before).copied() {
            let done = RowChanges { live: 0, dead: 0, ..changes };
            left.changes.entry(after).or_default().add(&done);
        }
    }

    /// What finished transactions did to a relation's rows since the start.
    pub fn row_changes(&self, relation: RelationKey) -> RowChanges {
        self.core.left_behind.lock().changes.get(&relation).copied().unwrap_or_default()
    }

    /// What finished transactions did to all relations since the start.
    pub fn all_row_changes(&self) -> Vec<(RelationKey, RowChanges)> {
        self.core.left_behind.lock().changes.iter().map(|(relation, changes)| (*relation, *changes)).collect()
    }

    /// Notes that the collector has unlinked versions of a relation's rows.
    pub fn note_unlinked(&self, relation: RelationKey, versions: u64) {
        if versions > 0 {
            self.core.left_behind.lock().unlinked(relation, versions);
        }
    }

    /// The transactions that aborted, or committed with rolled-back commands, since the last call. Their blocks were
    /// left behind before ([`TransactionManager::take_left_behind`]); call this first.
    pub fn take_aborted(&self) -> Vec<Xid> {
        std::mem::take(&mut self.core.aborted.lock())
    }

    /// Takes transactions off the lists of exceptions, logged: no page holds a version of theirs that is not to be
    /// seen. Runs are first and last xid.
    ///
    /// # Errors
    /// When the log takes no more records.
    pub fn forget(&self, runs: &[(Xid, Xid)]) -> Result<()> {
        if runs.is_empty() {
            return Ok(());
        }
        let core = &self.core;
        core.wal.reserve()?;
        let mut record = RecordBuilder::new(RmgrId::TXN, record::FORGET, Xid::NONE);
        record.main(&record::encode_runs(runs));
        let _publish = core.publish.lock();
        core.wal.append(&record, &mut [])?;
        for (first, last) in runs {
            core.outcomes.forget(*first, *last);
        }
        Ok(())
    }

    /// Gives no xid below `xid` from now on. For tests of large ones, in a new directory where no transaction runs; a
    /// checkpoint has to follow.
    ///
    /// # Errors
    /// XX000 when a transaction runs; 58030.
    pub fn skip_to(&self, xid: Xid) -> Result<()> {
        let core = &self.core;
        core.wal.flush_to(self.newest())?;
        let list = core.settling_list();
        let _publish = core.publish.lock();
        core.outcomes.settle(&list);
        if core.outcomes.settled() != core.outcomes.next() || xid < core.outcomes.next() {
            return Err(Error::internal("transaction ids can be skipped only while none is in use"));
        }
        core.outcomes.skip_to(xid);
        Ok(())
    }

    /// Aborted transactions of before this start, as runs: to be forgotten when the collector has been through every
    /// block that was not all-visible at the start.
    pub fn aborted_runs(&self) -> Vec<(Xid, Xid)> {
        self.core.save_outcomes().aborted
    }

    /// The open snapshots, for the interval rule.
    pub fn open_snapshots(&self) -> OpenSnapshots {
        self.core.registry.list(&self.core.newest)
    }

    /// Moves what every snapshot sees out of the way of lookups. Called by the collector now and then.
    pub fn settle(&self) {
        let core = &self.core;
        let list = core.settling_list();
        let _publish = core.publish.lock();
        core.outcomes.settle(&list);
    }

    /// The newest published commit.
    pub fn newest(&self) -> Lsn {
        Lsn(self.core.newest.load(Ordering::SeqCst))
    }

    /// Waits until a commit that is being published, and has told its position already, is seen by new snapshots.
    #[inline]
    pub fn await_published(&self, commit: Lsn) {
        if self.newest() < commit {
            self.await_publisher();
        }
    }

    #[cold]
    fn await_publisher(&self) {
        drop(self.core.publish.lock());
    }

    /// What became of a transaction.
    #[inline]
    pub fn outcome(&self, xid: Xid) -> Outcome {
        self.core.outcomes.outcome(xid)
    }

    /// Outcomes of all transactions.
    pub fn outcomes(&self) -> &Outcomes {
        &self.core.outcomes
    }

    /// The storage that it works on.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.core.storage
    }

    /// The log.
    pub fn wal(&self) -> &Arc<Wal> {
        &self.core.wal
    }

    /// How many sessions wait for a transaction at this moment.
    pub fn waiting(&self) -> usize {
        self.core.locks.waiting_for_transactions()
    }

    /// Blocks until the version that command `cid` of transaction `xid` wrote is committed or taken back: until the
    /// transaction has finished, or has rolled that command back to a savepoint.
    ///
    /// # Errors
    /// 40P01, 55P03, and what the waiter's interrupt was raised with.
    pub fn wait_for_version(&self, waiter: &Transaction, xid: Xid, cid: CommandId) -> Result<()> {
        if xid == waiter.xid() {
            return Err(Error::internal("a transaction waits for itself"));
        }
        let core = &self.core;
        let still = || match core.outcomes.outcome(xid) {
            Outcome::Running { has_dead } => !(has_dead && core.outcomes.is_dead(xid, cid)),
            Outcome::Committed { .. } | Outcome::Aborted => false,
        };
        core.locks.wait_for_transaction(&waiter.waiter(), xid, &still)
    }

    /// Blocks until a transaction has finished, or has rolled commands back to a savepoint since this was called. For
    /// callers that know no version ([`TransactionManager::wait_for_version`] is more exact).
    ///
    /// # Errors
    /// 40P01, 55P03, and what the waiter's interrupt was raised with.
    pub fn wait_for_xid(&self, waiter: &Transaction, xid: Xid) -> Result<()> {
        if xid == waiter.xid() {
            return Err(Error::internal("a transaction waits for itself"));
        }
        let core = &self.core;
        let at_start = core.outcomes.dead_changes();
        let still = || {
            matches!(core.outcomes.outcome(xid), Outcome::Running { .. })
                && core.outcomes.dead_changes() == at_start
        };
        core.locks.wait_for_transaction(&waiter.waiter(), xid, &still)
    }

    /// Blocks until a transaction has no lock on a row that conflicts with a strength.
    ///
    /// # Errors
    /// 40P01, 55P03, and what the waiter's interrupt was raised with.
    pub fn wait_for_row_lock(
        &self,
        waiter: &Transaction,
        holder: Xid,
        relation: RelationKey,
        row: RowId,
        strength: RowLockStrength,
    ) -> Result<()> {
        let core = &self.core;
        let still = || core.row_locks.is_held(relation, row, strength, holder);
        core.locks.wait_for_transaction(&waiter.waiter(), holder, &still)
    }

    /// Stands in line for a row that another transaction has changed or locked. The first in line gets a turn, and
    /// keeps it while it waits for the others' transactions and changes or locks the row. Who has a lock on the row
    /// already does not stand in line: those ahead might wait for it.
    ///
    /// # Errors
    /// 40P01, 55P03, and what the waiter's interrupt was raised with.
    pub fn queue_for_row(
        &self,
        waiter: &Transaction,
        relation: RelationKey,
        row: RowId,
        strength: RowLockStrength,
    ) -> Result<Option<RowTurn>> {
        let core = &self.core;
        if core.row_locks.is_held_by(relation, row, waiter.xid()) {
            return Ok(None);
        }
        core.locks.queue_for_row(&waiter.waiter(), relation, row, strength).map(Some)
    }

    /// Locks of relations and of what applications name, and who waits for what.
    pub fn locks(&self) -> &Arc<LockManager> {
        &self.core.locks
    }
}
