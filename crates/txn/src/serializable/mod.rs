//! SERIALIZABLE: serializable snapshot isolation after Cahill and Ports.
//!
//! # Role
//! Serializable transactions run on a snapshot as under REPEATABLE READ, and block nobody. In addition they remember
//! what they read (SIREAD locks: rows, pages, relations, ranges of index keys), and every *rw-conflict* between two
//! concurrent ones is noted: one read the state before what the other wrote. A cycle of dependencies always contains a
//! *dangerous structure*
//!
//! ```text
//! T1 ──rw──► T2 ──rw──► T3        T3 commits first; T1 and T3 may be the same
//! ```
//!
//! and one of its transactions is made to fail with 40001. Transactions at other levels take no part and pay one test of
//! an `Option`.
//!
//! Readers find writers through versions: a version that the snapshot does not see was written by a concurrent
//! transaction ([`SerialTransaction::met_unseen`]). Writers find readers through locks
//! ([`SerialTransaction::check_row`] and its kin).
//!
//! # Invariants
//! - Z1: a reader takes its lock before it reads, a writer looks at the locks after it has written. One of the two sees
//!   the other, whatever the order of their latches.
//! - Z2: a version whose creator is a serializable transaction that some open serializable snapshot does not see is not
//!   unlinked, however often it has been superseded ([`Serializable::retains`]): a reader may still have to find its
//!   creator, by the row or by an index entry.
//! - Z3: commits of serializable transactions, and their snapshots, are ordered by the graph's mutex as well as by
//!   their positions in the log. So a position says all there is to know about a finished transaction.
//! - Z4: what a committed transaction leaves (its locks, its conflicts) stays until no open serializable snapshot lies
//!   before its bound, or is summarised: merged with that of others, never less.
//!
//! # Concurrency
//! The graph's mutex may be taken under page latches. Under it: the publish mutex, the log's append lock. The mutexes of
//! the lock tables ([`locks`]) are leaves.
//!
//! # Differences
//! - From PostgreSQL: a finished transaction has no edges. What it means for those that still run fits in two positions
//!   of theirs ([`graph`]), so summarising loses nothing but which of several readers held a lock.
//! - From PostgreSQL: the gaps of an index are locked as ranges of keys, not as pages, so splits do not concern them,
//!   and readers of neighbouring keys do not conflict.
//!
//! # References
//! Cahill, Röhm, Fekete: Serializable Isolation for Snapshot Databases (2008). Ports, Grittner: Serializable Snapshot
//! Isolation in PostgreSQL (2012).

mod graph;
mod locks;
mod range;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ochre_base::{BlockNo, Error, Lsn, Result, RowId, SqlState, Xid};
use ochre_env::Waiting;
use ochre_storage::RelationKey;
use parking_lot::{Mutex, MutexGuard};

use crate::registry::{RegistrySlot, SnapshotRegistry};
use crate::wait::Interrupt;
use graph::{Garbage, Graph};
use locks::{Holder, Holders, OwnLocks, PredicateLocks};
pub use range::KeyRange;

/// Files below this one hold the catalogs, whose readers take no SIREAD locks, as in PostgreSQL.
const FIRST_TRACKED_FILE: u64 = 1024;

/// A serializable transaction that is or was tracked. Never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SerialId(u64);

impl SerialId {
    /// Stands for all committed transactions that were summarised.
    const SUMMARY: SerialId = SerialId(0);
}

/// Bounds of what is remembered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Rows of one page that a transaction locks before it locks the page.
    pub(crate) rows_per_page: usize,
    /// Rows and pages of one relation that a transaction locks before it locks the relation.
    pub(crate) granules_per_relation: usize,
    /// Ranges of one index that a transaction locks before it locks the whole index.
    pub(crate) ranges_per_index: usize,
    /// Locks of all transactions; beyond, only relations and whole indexes are locked.
    pub(crate) locks: usize,
    /// Committed transactions that are remembered one by one.
    pub(crate) committed: usize,
    /// Summarised writers that are remembered one by one.
    pub(crate) summarised_writers: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            rows_per_page: 32,
            granules_per_relation: 1024,
            ranges_per_index: 256,
            locks: 1 << 20,
            committed: 4096,
            summarised_writers: 1 << 18,
        }
    }
}

/// What other threads may ask of a transaction without the graph's mutex.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// Another transaction decided that this one must fail.
    doomed: AtomicBool,
    /// Read-only, and nothing can make its snapshot part of an anomaly: it is no longer tracked.
    safe: AtomicBool,
    /// Read-only, and a transaction committed that makes its snapshot one that may be part of an anomaly.
    unsafe_snapshot: AtomicBool,
}

/// The serializable transactions of one open database directory.
pub(crate) struct Serializable {
    graph: Mutex<Graph>,
    locks: PredicateLocks,
    limits: Limits,
    /// Writers that are running or remembered: zero lets the collector go on without a look.
    writers: AtomicUsize,
    /// How often a transaction was summarised.
    summaries: AtomicU64,
    /// Whether conflicts are noted; only tests of the tests switch it off.
    detects: AtomicBool,
}

/// How a serializable transaction is to run.
pub(crate) struct Begin<'a> {
    pub(crate) registry: &'a SnapshotRegistry,
    pub(crate) newest: &'a AtomicU64,
    pub(crate) read_only: bool,
    /// The transaction's xid if it has one already.
    pub(crate) xid: Xid,
    /// Its session.
    pub(crate) process_id: i32,
}

/// What a serializable transaction takes along when it is prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PreparedSerial {
    pub(crate) snapshot: Lsn,
    pub(crate) locks: Vec<SavedLock>,
}

/// A SIREAD lock outside of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SavedLock {
    Relation(RelationKey),
    Page(RelationKey, BlockNo),
    Row(RelationKey, RowId),
    Range(RelationKey, KeyRange),
}

/// A SIREAD lock, for `pg_locks`.
#[derive(Debug, Clone)]
pub struct SerialLockListing {
    /// The session; 0 when the transaction is prepared, or merged with others.
    pub process_id: i32,
    pub relation: RelationKey,
    pub granule: SerialGranule,
}

/// How much a SIREAD lock covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SerialGranule {
    /// A relation, or all of an index.
    Relation,
    Page(BlockNo),
    Row(RowId),
    /// Some keys of an index.
    Keys,
}

/// Where a wait for a safe snapshot can be broken off.
pub(crate) struct SafeWait<'a> {
    pub(crate) waiting: &'a Arc<dyn Waiting>,
    pub(crate) interrupt: &'a Arc<Interrupt>,
}

impl Serializable {
    pub(crate) fn new(limits: Limits) -> Serializable {
        Serializable {
            graph: Mutex::new(Graph::default()),
            locks: PredicateLocks::new(),
            limits,
            writers: AtomicUsize::new(0),
            summaries: AtomicU64::new(0),
            detects: AtomicBool::new(true),
        }
    }

    pub(crate) fn set_detection(&self, on: bool) {
        self.detects.store(on, Ordering::Relaxed);
    }

    /// Registers a snapshot and begins to track its transaction; `None` when the snapshot is safe without.
    pub(crate) fn begin(
        self: &Arc<Serializable>,
        begin: &Begin<'_>,
    ) -> Result<(RegistrySlot, Lsn, Option<Arc<SerialTransaction>>)> {
        let mut graph = self.graph.lock();
        // Z3: under the mutex.
        let (slot, lsn) = begin.registry.register(begin.newest)?;
        let Some((id, flags)) = graph.begin(lsn, begin.read_only, begin.xid, begin.process_id) else {
            return Ok((slot, lsn, None));
        };
        self.count_writers(&graph);
        drop(graph);
        Ok((slot, lsn, Some(self.tracked(id, flags))))
    }

    fn tracked(self: &Arc<Serializable>, id: SerialId, flags: Arc<Flags>) -> Arc<SerialTransaction> {
        let own = Mutex::new(OwnLocks::default());
        Arc::new(SerialTransaction { all: self.clone(), id, flags, own, last_unseen: AtomicU64::new(0) })
    }

    /// Begins to track a transaction on the snapshot of another one; `None` when none with it runs any more.
    pub(crate) fn begin_imported(
        self: &Arc<Serializable>,
        snapshot: Lsn,
        begin: &Begin<'_>,
    ) -> Option<Arc<SerialTransaction>> {
        let mut graph = self.graph.lock();
        let (id, flags) = graph.begin_imported(snapshot, begin.read_only, begin.xid, begin.process_id)?;
        self.count_writers(&graph);
        drop(graph);
        Some(self.tracked(id, flags))
    }

    /// Puts a prepared transaction back, with what it has read.
    pub(crate) fn restore(
        self: &Arc<Serializable>,
        xid: Xid,
        prepared: &PreparedSerial,
    ) -> Arc<SerialTransaction> {
        let mut graph = self.graph.lock();
        let (id, flags) = graph.restore(prepared.snapshot, xid);
        self.count_writers(&graph);
        drop(graph);
        let tracked = self.tracked(id, flags);
        let (holder, mut own) = (tracked.holder(), tracked.own.lock());
        for lock in &prepared.locks {
            self.locks.restore(&self.limits, holder, &mut own, lock);
        }
        drop(own);
        tracked
    }

    /// All SIREAD locks.
    pub(crate) fn list(&self) -> Vec<SerialLockListing> {
        let held = self.locks.list();
        let graph = self.graph.lock();
        held.into_iter()
            .map(|(id, relation, granule)| SerialLockListing {
                process_id: graph.process_id(id),
                relation,
                granule,
            })
            .collect()
    }

    /// As [`Serializable::begin`], of a read-only transaction, but waits for a snapshot that is safe.
    pub(crate) fn begin_deferrable(
        self: &Arc<Serializable>,
        begin: &Begin<'_>,
        wait: &SafeWait<'_>,
    ) -> Result<(RegistrySlot, Lsn)> {
        loop {
            let (slot, lsn, tracked) = self.begin(begin)?;
            let Some(tracked) = tracked else { return Ok((slot, lsn)) };
            let outcome = tracked.wait_until_decided(wait);
            self.abort(&tracked);
            match outcome {
                Ok(true) => return Ok((slot, lsn)),
                Ok(false) => begin.registry.deregister(slot),
                Err(error) => {
                    begin.registry.deregister(slot);
                    return Err(error);
                }
            }
        }
    }

    /// Notes the xid that a tracked transaction has been given, before it writes anything.
    pub(crate) fn note_xid(&self, tracked: &SerialTransaction, xid: Xid) {
        let mut graph = self.graph.lock();
        graph.note_xid(tracked.id, xid);
        self.count_writers(&graph);
    }

    /// The check before a commit; the commit itself is then reported to the guard, so that nothing comes between (Z3).
    pub(crate) fn pre_commit<'a>(&'a self, tracked: &'a SerialTransaction) -> Result<Committing<'a>> {
        let mut graph = self.graph.lock();
        if self.detects.load(Ordering::Relaxed) {
            graph.pre_commit(tracked.id)?;
        }
        Ok(Committing { all: self, graph, tracked })
    }

    /// The commit of a prepared transaction, which is past its check.
    pub(crate) fn commit_prepared<'a>(&'a self, tracked: &'a SerialTransaction) -> Committing<'a> {
        Committing { all: self, graph: self.graph.lock(), tracked }
    }

    /// A transaction that rolled back, or needs no tracking any more.
    pub(crate) fn abort(&self, tracked: &SerialTransaction) {
        let garbage = {
            let mut graph = self.graph.lock();
            graph.abort(tracked.id);
            let garbage = graph.sweep();
            self.count_writers(&graph);
            garbage
        };
        let own = std::mem::take(&mut *tracked.own.lock());
        self.locks.release(tracked.id, own);
        self.discard(garbage);
    }

    fn discard(&self, garbage: Garbage) {
        for (id, own) in garbage.released {
            self.locks.release(id, own);
        }
        if let Some(until) = garbage.summary {
            self.locks.release_summary(until);
        }
    }

    fn count_writers(&self, graph: &Graph) {
        self.writers.store(graph.writers(), Ordering::SeqCst);
    }

    /// Whether a transaction's versions must stay although no snapshot sees them (Z2): then an open serializable
    /// snapshot that may have to find them.
    pub(crate) fn retains(&self, xid: Xid) -> Option<Lsn> {
        if self.writers.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.graph.lock().retains(xid)
    }

    /// Makes all locks on a relation or index locks on a whole relation as well: its rows have moved there, or it was
    /// an index of that relation and is going. The caller keeps others from reading or writing it meanwhile; `own` is
    /// its own transaction, when that is tracked.
    pub(crate) fn transfer(&self, from: RelationKey, to: RelationKey, own: Option<&SerialTransaction>) {
        let mut holders = Holders::new();
        self.locks.holders_anywhere(from, &mut holders);
        for holder in holders {
            if let Some(own) = own.filter(|own| own.id == holder.id) {
                self.locks.lock_relation(holder, &mut own.own.lock(), to);
                continue;
            }
            // Others are in no state to have one more lock in their lists.
            if let Some(until) = self.graph.lock().bound_for_summary(holder) {
                self.locks.add_relation(to, Holder { id: SerialId::SUMMARY, until });
            }
        }
    }

    #[cfg(test)]
    fn lock_count(&self) -> usize {
        self.locks.count()
    }

    #[cfg(test)]
    fn node_count(&self) -> usize {
        self.graph.lock().len()
    }
}

/// A serializable transaction that has passed its check and is about to commit. Dropping it without more leaves the
/// transaction as it was.
pub(crate) struct Committing<'a> {
    all: &'a Serializable,
    graph: MutexGuard<'a, Graph>,
    tracked: &'a SerialTransaction,
}

impl Committing<'_> {
    /// The transaction committed at a position; for one that wrote nothing, the newest one of others.
    pub(crate) fn committed(mut self, lsn: Lsn) {
        let own = std::mem::take(&mut *self.tracked.own.lock());
        let all = self.all;
        let leftover = self.graph.commit(self.tracked.id, lsn, own);
        let mut garbage = self.graph.sweep();
        garbage.released.extend(leftover);
        let summarised = self.graph.summarise_beyond(all.limits.committed, all.limits.summarised_writers);
        // While the graph is held, and counted: a writer that found their locks before looks again.
        for (id, own, until) in summarised {
            all.summaries.fetch_add(1, Ordering::SeqCst);
            all.locks.summarise(id, own, until);
        }
        all.count_writers(&self.graph);
        drop(self.graph);
        all.discard(garbage);
    }

    /// The transaction is prepared: it can no longer be made to fail.
    pub(crate) fn prepared(mut self, lsn: Lsn) {
        self.graph.prepare(self.tracked.id, lsn);
    }
}

/// One serializable transaction, as those who read and write for it know it.
pub struct SerialTransaction {
    all: Arc<Serializable>,
    id: SerialId,
    flags: Arc<Flags>,
    own: Mutex<OwnLocks>,
    /// The writer met last, so that a scan over many rows of one writer asks once.
    last_unseen: AtomicU64,
}

/// A range of an index that is being scanned. When the scan ends early, what it has not read is given back.
pub struct ScannedRange {
    tracked: Arc<SerialTransaction>,
    index: RelationKey,
    number: u32,
}

impl ScannedRange {
    /// The scan has read all of the range.
    pub fn read_all(self) {
        self.tracked.all.locks.settle_range(self.index, self.tracked.id, self.number, None);
    }

    /// The scan ends and has read only this part of the range.
    pub fn read_only_to(self, part: KeyRange) {
        self.tracked.all.locks.settle_range(self.index, self.tracked.id, self.number, Some(part));
    }
}

impl SerialTransaction {
    /// Whether reads and writes need no looking after any more.
    #[inline]
    pub fn is_safe(&self) -> bool {
        self.flags.safe.load(Ordering::Relaxed)
    }

    /// What the transaction takes along when it is prepared; nothing when it needs no looking after any more.
    pub(crate) fn saved(&self) -> Option<PreparedSerial> {
        let snapshot = self.all.graph.lock().snapshot(self.id)?;
        let own = self.own.lock();
        Some(PreparedSerial { snapshot, locks: self.all.locks.saved(self.id, &own) })
    }

    fn tracks(relation: RelationKey) -> bool {
        relation.file.0 >= FIRST_TRACKED_FILE
    }

    /// Fails when another transaction decided that this one must.
    fn check_doomed(&self, when: &str) -> Result<()> {
        if self.flags.doomed.load(Ordering::Relaxed) {
            return Err(failure(&format!("Canceled on identification as a pivot, during {when}.")));
        }
        Ok(())
    }

    fn before_read(&self, relation: RelationKey) -> Result<bool> {
        if !Self::tracks(relation) || self.is_safe() {
            return Ok(false);
        }
        self.check_doomed("conflict out checking")?;
        Ok(true)
    }

    /// Locks a row that is about to be read, whether it is there or not.
    ///
    /// # Errors
    /// 40001 when another transaction decided that this one must fail.
    pub fn read_row(&self, relation: RelationKey, row: RowId) -> Result<()> {
        if self.before_read(relation)? {
            let limits = self.limits_now();
            self.all.locks.lock_row(&limits, self.holder(), &mut self.own.lock(), relation, row);
        }
        Ok(())
    }

    /// Locks all rows of a relation that is about to be read, and those that others may insert.
    ///
    /// # Errors
    /// As [`SerialTransaction::read_row`].
    pub fn read_relation(&self, relation: RelationKey) -> Result<()> {
        if self.before_read(relation)? {
            self.all.locks.lock_relation(self.holder(), &mut self.own.lock(), relation);
        }
        Ok(())
    }

    /// Locks one key of an index that is about to be looked up.
    ///
    /// # Errors
    /// As [`SerialTransaction::read_row`].
    pub fn read_key(&self, index: RelationKey, key: &[u8]) -> Result<()> {
        if self.before_read(index)? {
            let limits = self.limits_now();
            self.all.locks.lock_key(&limits, self.holder(), &mut self.own.lock(), index, key);
        }
        Ok(())
    }

    /// Locks a range of keys of an index that is about to be scanned. `None` when nothing is to be given back.
    ///
    /// # Errors
    /// As [`SerialTransaction::read_row`].
    pub fn read_range(
        self: &Arc<SerialTransaction>,
        index: RelationKey,
        range: KeyRange,
    ) -> Result<Option<ScannedRange>> {
        if !self.before_read(index)? {
            return Ok(None);
        }
        let limits = self.limits_now();
        let locks = &self.all.locks;
        let number = locks.lock_range(&limits, self.holder(), &mut self.own.lock(), index, range);
        Ok(number.map(|number| ScannedRange { tracked: self.clone(), index, number }))
    }

    fn holder(&self) -> Holder {
        Holder { id: self.id, until: Lsn::ZERO }
    }

    /// The limits, or none of fine locks when memory is short.
    fn limits_now(&self) -> Limits {
        let limits = self.all.limits;
        if self.all.locks.count() < limits.locks {
            return limits;
        }
        Limits { rows_per_page: 0, granules_per_relation: 0, ranges_per_index: 0, ..limits }
    }

    /// Notes that the snapshot does not see a version of a relation that another transaction wrote; committed at a
    /// position, if it did.
    ///
    /// # Errors
    /// 40001 when the reader must fail.
    #[inline]
    pub fn met_unseen(&self, relation: RelationKey, writer: Xid, committed: Option<Lsn>) -> Result<()> {
        // The outcome is a part of what was asked: once running, once committed.
        let word = writer.0 << 1 | u64::from(committed.is_some());
        if self.last_unseen.load(Ordering::Relaxed) == word {
            return Ok(());
        }
        self.met_new(relation, writer, committed, word)
    }

    fn met_new(&self, relation: RelationKey, writer: Xid, committed: Option<Lsn>, word: u64) -> Result<()> {
        if !self.before_read(relation)? {
            return Ok(());
        }
        if self.all.detects.load(Ordering::Relaxed) {
            self.all.graph.lock().conflict_out(self.id, writer, committed)?;
        }
        self.last_unseen.store(word, Ordering::Relaxed);
        Ok(())
    }

    /// After a row was updated or deleted: finds those who have read the version that was written over, whose creator
    /// committed at a position. When that was the transaction itself, they were found before.
    ///
    /// # Errors
    /// 40001 when the writer must fail.
    pub fn check_row(&self, relation: RelationKey, row: RowId, wrote_over: Option<(Xid, Lsn)>) -> Result<()> {
        if wrote_over.is_none() {
            return Ok(());
        }
        self.check(relation, wrote_over, |locks, holders| locks.holders_of_row(relation, row, holders))
    }

    /// After rows were inserted: finds those who have read all of the relation.
    ///
    /// # Errors
    /// As [`SerialTransaction::check_row`].
    pub fn check_insert(&self, relation: RelationKey) -> Result<()> {
        self.check(relation, None, |locks, holders| locks.holders_of_relation(relation, holders))
    }

    /// After a row got an entry in an index, whether that was there before or not: finds those who have read the key's
    /// place.
    ///
    /// # Errors
    /// As [`SerialTransaction::check_row`].
    pub fn check_key(&self, index: RelationKey, key: &[u8]) -> Result<()> {
        self.check(index, None, |locks, holders| locks.holders_of_key(index, key, holders))
    }

    /// Before a relation is emptied or goes: finds those who have read anything of it.
    ///
    /// # Errors
    /// As [`SerialTransaction::check_row`].
    pub fn check_whole(&self, relation: RelationKey) -> Result<()> {
        self.check(relation, None, |locks, holders| locks.holders_anywhere(relation, holders))
    }

    /// Finds readers. Those whose snapshots lie before what was written over have read what was there before that, and
    /// conflict with who wrote it, who came before this one: that says as much, if that one is serializable too.
    fn check(
        &self,
        relation: RelationKey,
        wrote_over: Option<(Xid, Lsn)>,
        find: impl Fn(&PredicateLocks, &mut Holders),
    ) -> Result<()> {
        if !Self::tracks(relation) {
            return Ok(());
        }
        self.check_doomed("conflict in checking")?;
        loop {
            let summaries = self.all.summaries.load(Ordering::SeqCst);
            let mut holders = Holders::new();
            find(&self.all.locks, &mut holders);
            holders.retain(|holder| holder.id != self.id);
            if holders.is_empty() || !self.all.detects.load(Ordering::Relaxed) {
                return Ok(());
            }
            let mut graph = self.all.graph.lock();
            if summaries == self.all.summaries.load(Ordering::SeqCst) {
                let since = wrote_over.filter(|(xid, _)| graph.knows(*xid)).map_or(Lsn::ZERO, |(_, lsn)| lsn);
                return holders.iter().try_for_each(|holder| graph.conflict_in(self.id, *holder, since));
            }
        }
    }

    /// Waits until it is known whether this read-only transaction's snapshot is safe.
    fn wait_until_decided(&self, wait: &SafeWait<'_>) -> Result<bool> {
        loop {
            wait.interrupt.check()?;
            wait.interrupt.prepare_wait();
            self.all.graph.lock().wake_when_decided(self.id, wait.interrupt.clone());
            if self.flags.safe.load(Ordering::SeqCst) {
                return Ok(true);
            }
            if self.flags.unsafe_snapshot.load(Ordering::SeqCst) {
                return Ok(false);
            }
            wait.interrupt.wait_until(wait.waiting, None);
        }
    }
}

/// 40001 with a reason.
#[cold]
fn failure(reason: &str) -> Error {
    Error::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to read/write dependencies among transactions",
    )
    .detail(format!("Reason code: {reason}"))
    .hint("The transaction might succeed if retried.")
}
