//! Transactions: xid, commands, savepoints, what they wrote.
//!
//! # States
//! ```text
//! begin ──► open ──► commit / abort (by value: a finished transaction is gone)
//!             │  savepoint, release, rollback_to
//! ```
//! A transaction that is dropped without either aborts.
//!
//! # Invariants
//! - T1: the xid is given at the first write, under the publish mutex.
//! - T2: command ids never repeat: ROLLBACK TO makes those since the savepoint dead and goes on behind them.
//! - T3: a version of its own that a position in `positions` may see is not unlinked at once (cursors, running
//!   commands, savepoints hold positions).

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use hashbrown::HashMap;
use ochre_base::{BlockNo, CommandId, Error, Lsn, Result, RowId, SqlState, Xid};
use ochre_storage::RelationKey;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use crate::blocks::{BlockSet, ChangeMark, RowChange, WrittenBlocks};
use crate::locks::RowTurn;
use crate::manager::{Core, TransactionManager};
use crate::outcomes::DeadRange;
use crate::prepared::PrepareRecord;
use crate::row_locks::LockedPage;
use crate::serializable::{Begin, SafeWait, SerialTransaction};
use crate::snapshot::{Hold, Registration, Snapshot};
use crate::suspension::{KeptTurn, RowDemand};
use crate::wait::{Interrupt, Waiter};

/// How much of other transactions' work a transaction sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IsolationLevel {
    /// Runs as READ COMMITTED, as in PostgreSQL.
    ReadUncommitted,
    /// A snapshot a statement.
    #[default]
    ReadCommitted,
    /// One snapshot; 40001 on a write conflict.
    RepeatableRead,
    /// Serializable snapshot isolation.
    Serializable,
}

impl IsolationLevel {
    /// Whether all statements share one snapshot.
    pub const fn uses_transaction_snapshot(self) -> bool {
        matches!(self, IsolationLevel::RepeatableRead | IsolationLevel::Serializable)
    }

    /// PostgreSQL's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            IsolationLevel::ReadUncommitted => "read uncommitted",
            IsolationLevel::ReadCommitted => "read committed",
            IsolationLevel::RepeatableRead => "repeatable read",
            IsolationLevel::Serializable => "serializable",
        }
    }
}

/// What a transaction begins with.
#[derive(Debug, Clone, Default)]
pub struct TransactionOptions {
    pub isolation: IsolationLevel,
    pub read_only: bool,
    /// READ ONLY and SERIALIZABLE, its first snapshot is one that needs no tracking, and is waited for.
    pub deferrable: bool,
    /// Cancels its waits; one of its own when none is given.
    pub interrupt: Option<Arc<Interrupt>>,
    /// `lock_timeout`.
    pub lock_timeout: Option<Duration>,
    /// Of the session's last transaction: its memory is used again.
    pub remains: Option<Remains>,
}

/// Memory of a transaction that has ended or is about to, for the next one of its session.
#[derive(Clone)]
pub struct Remains(Arc<Shared>);

impl std::fmt::Debug for Remains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Remains").field(&self.0.xid()).finish()
    }
}

/// How a transaction ended, for those who registered for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its commit record ends here; not durable yet. `None` when it wrote nothing.
    Committed(Option<Lsn>),
    /// It rolled back.
    Aborted,
}

/// What the snapshots of a transaction share with it.
pub(crate) struct Shared {
    core: Arc<Core>,
    xid: AtomicU64,
    met: AtomicU64,
    current: AtomicU32,
    has_dead: AtomicBool,
    dead: RwLock<Vec<DeadRange>>,
    /// Command ids of open snapshots of this transaction.
    positions: Mutex<SmallVec<[CommandId; 4]>>,
}

impl Shared {
    fn new(core: Arc<Core>) -> Shared {
        Shared {
            core,
            xid: AtomicU64::new(0),
            met: AtomicU64::new(0),
            current: AtomicU32::new(0),
            has_dead: AtomicBool::new(false),
            dead: RwLock::new(Vec::new()),
            positions: Mutex::new(SmallVec::new()),
        }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn xid(&self) -> Xid {
        Xid(self.xid.load(Ordering::Acquire))
    }

    pub(crate) fn note_met(&self, lsn: Lsn) {
        self.met.fetch_max(lsn.0, Ordering::Relaxed);
    }

    pub(crate) fn is_dead(&self, cid: CommandId) -> bool {
        self.has_dead.load(Ordering::Relaxed) && DeadRange::any_contains(&self.dead.read(), cid)
    }

    pub(crate) fn hold_position(&self, cid: CommandId) {
        self.positions.lock().push(cid);
    }

    pub(crate) fn release_position(&self, cid: CommandId) {
        let mut positions = self.positions.lock();
        if let Some(at) = positions.iter().rposition(|p| *p == cid) {
            positions.swap_remove(at);
        }
    }
}

/// A named or nameless point to roll back to.
#[derive(Debug, Clone)]
struct SavepointState {
    /// The first command after it.
    cid: CommandId,
    /// Nothing was written between the last rollback to a savepoint and this one.
    follows_rollback: bool,
    created: usize,
    dropped: usize,
    changes: ChangeMark,
}

/// Which savepoint: its depth, the outermost being 0. Names are the session's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SavepointDepth(pub usize);

type PublishHook = Box<dyn FnOnce(Lsn) + Send>;
type EndHook = Box<dyn FnOnce(Ended) + Send>;

/// One running transaction.
///
/// What heap operations need works through `&self`, so that the workers of a parallel statement can share it.
pub struct Transaction {
    manager: Arc<TransactionManager>,
    shared: Arc<Shared>,
    isolation: IsolationLevel,
    read_only: bool,
    deferrable: bool,
    lock_timeout: Option<Duration>,
    interrupt: Arc<Interrupt>,
    /// What it takes part in with other serializable transactions, from its snapshot on.
    serial: OnceLock<Arc<SerialTransaction>>,
    /// The snapshot of all statements, when the isolation level wants one.
    base: OnceLock<Arc<Registration>>,
    /// Whether a statement has had a snapshot.
    has_queried: AtomicBool,
    /// Snapshots that others may take over while this transaction runs.
    exported: Mutex<Vec<ExportedSnapshot>>,
    savepoints: Mutex<Vec<SavepointState>>,
    /// What had been changed when commands were rolled back last.
    rolled_back: Mutex<Option<ChangeMark>>,
    savepoint_cids: Mutex<SmallVec<[CommandId; 4]>>,
    written: Mutex<WrittenBlocks>,
    /// `track_counts`.
    counting: AtomicBool,
    locked_pages: Mutex<Vec<LockedPage>>,
    created: Mutex<Vec<RelationKey>>,
    dropped: Mutex<Vec<RelationKey>>,
    note: Vec<u8>,
    /// Hooks are called by the thread that ends the transaction; the mutexes only let threads share it before.
    at_publish: Mutex<Vec<PublishHook>>,
    at_end: Mutex<Vec<EndHook>>,
    /// Whether the running statement may be suspended, and what it met when it was.
    may_suspend: AtomicBool,
    suspension: Mutex<Option<RowDemand>>,
    /// The turn of a statement that was suspended and runs again.
    turn: Mutex<Option<KeptTurn>>,
    pub(crate) finished: bool,
    /// Its end is somebody else's business: dropping it does not roll it back.
    prepared: bool,
}

impl Transaction {
    pub(crate) fn new(manager: Arc<TransactionManager>, options: TransactionOptions) -> Transaction {
        let fresh = Shared::new(Arc::clone(&manager.core));
        let shared = match options.remains {
            Some(Remains(mut shared)) => match Arc::get_mut(&mut shared) {
                Some(old) => {
                    *old = fresh;
                    shared
                }
                // A snapshot outlives its transaction.
                None => Arc::new(fresh),
            },
            None => Arc::new(fresh),
        };
        Transaction {
            manager,
            shared,
            isolation: options.isolation,
            read_only: options.read_only,
            deferrable: options.deferrable,
            serial: OnceLock::new(),
            lock_timeout: options.lock_timeout,
            interrupt: options.interrupt.unwrap_or_default(),
            base: OnceLock::new(),
            has_queried: AtomicBool::new(false),
            exported: Mutex::new(Vec::new()),
            savepoints: Mutex::new(Vec::new()),
            rolled_back: Mutex::new(None),
            savepoint_cids: Mutex::new(SmallVec::new()),
            written: Mutex::new(WrittenBlocks::default()),
            counting: AtomicBool::new(true),
            locked_pages: Mutex::new(Vec::new()),
            created: Mutex::new(Vec::new()),
            dropped: Mutex::new(Vec::new()),
            note: Vec::new(),
            at_publish: Mutex::new(Vec::new()),
            at_end: Mutex::new(Vec::new()),
            may_suspend: AtomicBool::new(false),
            suspension: Mutex::new(None),
            turn: Mutex::new(None),
            finished: false,
            prepared: false,
        }
    }

    /// A transaction that was prepared before the engine stopped.
    pub(crate) fn restore(
        manager: Arc<TransactionManager>,
        xid: Xid,
        record: PrepareRecord,
    ) -> Result<Transaction> {
        let mut transaction = Transaction::new(manager, TransactionOptions::default());
        let shared = &transaction.shared;
        shared.xid.store(xid.0, Ordering::Release);
        shared.current.store(record.next_command.0, Ordering::Relaxed);
        shared.has_dead.store(!record.dead.is_empty(), Ordering::Relaxed);
        *shared.dead.write() = record.dead;
        for (relation, row, strength) in record.row_locks {
            if let Ok(true) =
                transaction.manager.core.row_locks.lock(relation, row, strength, xid, CommandId::FIRST)?
            {
                transaction.locked_pages.get_mut().push((relation, row.block));
            }
        }
        for (relation, words) in record.written {
            transaction.written.get_mut().note_set(relation, &BlockSet::from_words(words));
        }
        *transaction.created.get_mut() = record.created;
        *transaction.dropped.get_mut() = record.dropped;
        if let Some(serial) = record.serial {
            let restored = transaction.manager.core.serializable.restore(xid, &serial);
            transaction.serial = OnceLock::from(restored);
        }
        transaction.prepared = true;
        transaction.interrupt.set_xid(xid);
        Ok(transaction)
    }

    /// What a crash must not take from it once it is prepared.
    pub(crate) fn prepare_record(&self, payload: &[u8]) -> PrepareRecord {
        let mut written = hashbrown::HashMap::new();
        self.written.lock().add_to(&mut written);
        let pages = self.locked_pages.lock().clone();
        PrepareRecord {
            dead: self.shared.dead.read().clone(),
            dropped: self.dropped.lock().clone(),
            created: self.created.lock().clone(),
            row_locks: pages
                .into_iter()
                .flat_map(|page| self.manager.held_row_locks(page, self.xid()))
                .collect(),
            written: crate::prepared::sorted_words(written),
            next_command: CommandId(self.current_cid().0 + 1),
            payload: payload.to_vec(),
            serial: None,
        }
    }

    /// It is prepared: nothing of its session holds anything back any more.
    pub(crate) fn become_prepared(&mut self) {
        self.prepared = true;
        self.base = OnceLock::new();
        self.savepoints.get_mut().clear();
        self.savepoint_cids.get_mut().clear();
        // The session goes on without it (W3).
        self.interrupt.set_xid(Xid::NONE);
        self.interrupt = Arc::default();
        self.interrupt.set_xid(self.shared.xid());
    }

    /// What the session's next transaction can begin with once this one is gone; nothing that would keep much until then.
    pub fn remains(&self) -> Option<Remains> {
        (!self.shared.has_dead.load(Ordering::Relaxed)).then(|| Remains(Arc::clone(&self.shared)))
    }

    /// Whether it is prepared.
    pub fn is_prepared(&self) -> bool {
        self.prepared
    }

    /// Lets the statement that begins be suspended at its first obstacle (P1 of [`crate::suspension`]).
    pub fn allow_suspension(&self) {
        self.may_suspend.store(true, Ordering::Relaxed);
    }

    /// The statement has changed or locked a row, or is over.
    #[inline]
    pub fn forbid_suspension(&self) {
        self.may_suspend.store(false, Ordering::Relaxed);
    }

    /// Suspends the statement that wants a row, if it may be: then the caller fails with
    /// [`crate::suspension::suspended`].
    pub fn suspend(&self, demand: &RowDemand) -> bool {
        let may = self.may_suspend.swap(false, Ordering::Relaxed);
        if may {
            *self.suspension.lock() = Some(demand.clone());
        }
        may
    }

    /// What the statement that has just failed was suspended at; `None` when it really failed.
    pub fn take_suspension(&self) -> Option<RowDemand> {
        self.suspension.lock().take()
    }

    /// Keeps a suspended statement's turn while the statement runs again; `None` lets it go.
    pub fn keep_turn(&self, turn: Option<KeptTurn>) {
        *self.turn.lock() = turn;
    }

    /// The turn for a row, if it was kept.
    pub fn take_turn(&self, relation: RelationKey, row: RowId) -> Option<RowTurn> {
        let mut turn = self.turn.lock();
        turn.take_if(|kept| kept.relation == relation && kept.row == row).map(|kept| kept.turn)
    }

    /// Whose transaction it is.
    pub fn manager(&self) -> &Arc<TransactionManager> {
        &self.manager
    }

    /// Its xid; none before the first write.
    pub fn xid(&self) -> Xid {
        self.shared.xid()
    }

    /// Its xid, given now if it has none.
    ///
    /// # Errors
    /// 25006 in a read-only transaction: callers that may write anyway (temporary tables) do not exist yet.
    #[inline]
    pub fn assign_xid(&self) -> Result<Xid> {
        let xid = self.shared.xid();
        if xid.is_valid() { Ok(xid) } else { self.first_write() }
    }

    #[cold]
    fn first_write(&self) -> Result<Xid> {
        let xid = self.give_xid()?;
        if let Some(serial) = self.serial.get() {
            self.manager.core.serializable.note_xid(serial, xid);
        }
        Ok(xid)
    }

    fn give_xid(&self) -> Result<Xid> {
        if self.read_only {
            return Err(Error::new(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                "cannot write in a read-only transaction",
            ));
        }
        Ok(self.force_xid())
    }

    /// Its xid, given now if it has none, also to one that only reads.
    pub(crate) fn force_xid(&self) -> Xid {
        let core = &self.manager.core;
        let _publish = core.publish.lock();
        // Two workers of one statement may arrive together.
        let xid = self.shared.xid();
        if xid.is_valid() {
            return xid;
        }
        let xid = core.outcomes.give(&|| core.settling_list());
        self.shared.xid.store(xid.0, Ordering::Release);
        self.interrupt.set_xid(xid);
        xid
    }

    /// The isolation level.
    pub fn isolation(&self) -> IsolationLevel {
        self.isolation
    }

    /// Changes the isolation level; the caller checks when that is allowed.
    pub fn set_isolation(&mut self, isolation: IsolationLevel) {
        self.isolation = isolation;
    }

    /// Whether a statement has had a snapshot: some modes cannot be changed then.
    pub fn has_queried(&self) -> bool {
        self.has_queried.load(Ordering::Relaxed)
    }

    /// Lets others see what this transaction sees now, as long as it runs; the name to ask for it by.
    ///
    /// # Errors
    /// 53400 when too many snapshots are open.
    pub fn export_snapshot(&self) -> Result<String> {
        let core = &self.manager.core;
        let registration = match self.base.get() {
            Some(base) => Arc::clone(base),
            None => {
                let (slot, lsn) = core.registry.register(&core.newest)?;
                Arc::new(Registration::new(core.clone(), slot, lsn))
            }
        };
        let name = core.exported.add(self.interrupt.process_id(), &registration, self);
        let exported =
            ExportedSnapshot { core: core.clone(), name: name.clone(), _registration: registration };
        self.exported.lock().push(exported);
        Ok(name)
    }

    /// Sees from now on what another transaction exported.
    ///
    /// # Errors
    /// 42704 when there is no such snapshot (any more), 0A000 when a serializable transaction cannot have it.
    pub fn import_snapshot(&mut self, name: &str) -> Result<()> {
        let unsupported = |message: &str| Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        let core = &self.manager.core;
        let Some(exported) = core.exported.find(name) else {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("snapshot \"{name}\" does not exist"),
            ));
        };
        if self.isolation == IsolationLevel::Serializable {
            if exported.isolation != IsolationLevel::Serializable {
                return unsupported(
                    "a serializable transaction cannot import a snapshot from a non-serializable transaction",
                );
            }
            if exported.read_only && !self.read_only {
                return unsupported(
                    "a non-read-only serializable transaction cannot import a snapshot from a read-only transaction",
                );
            }
            if self.read_only && self.deferrable {
                return unsupported("a snapshot-importing transaction must not be READ ONLY DEFERRABLE");
            }
            // A safe snapshot is safe for all who only read.
            let is_safe = exported.serial.as_ref().is_none_or(|serial| serial.is_safe());
            if !is_safe {
                let tracked =
                    core.serializable.begin_imported(exported.registration.lsn, &self.serial_begin());
                let gone = || {
                    Error::new(
                        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                        "could not import the requested snapshot",
                    )
                    .detail("The source transaction is not running anymore.")
                };
                self.serial = OnceLock::from(tracked.ok_or_else(gone)?);
            }
        }
        self.base = OnceLock::from(exported.registration);
        self.has_queried.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The files that it has made.
    pub fn created_files(&self) -> Vec<RelationKey> {
        self.created.lock().clone()
    }

    /// Whether other transactions may take over its snapshot.
    pub fn has_exported(&self) -> bool {
        !self.exported.lock().is_empty()
    }

    /// Whether it may not write.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Makes it read-only or not; the caller checks when that is allowed.
    pub fn set_read_only(&mut self, read_only: bool) {
        self.read_only = read_only;
    }

    /// Sets `lock_timeout` for the waits that follow.
    pub fn set_lock_timeout(&mut self, timeout: Option<Duration>) {
        self.lock_timeout = timeout;
    }

    /// How its statements are cancelled.
    pub fn interrupt(&self) -> &Arc<Interrupt> {
        &self.interrupt
    }

    /// The command that runs: versions written now carry it.
    #[inline]
    pub fn current_cid(&self) -> CommandId {
        CommandId(self.shared.current.load(Ordering::Relaxed))
    }

    /// Ends the command: what it wrote is seen by snapshots taken from now on. Call it after every statement that
    /// may have written.
    ///
    /// # Errors
    /// 54000 after four billion commands.
    pub fn advance_command(&self) -> Result<()> {
        if self.shared.current.fetch_add(1, Ordering::Relaxed) == u32::MAX - 1 {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "cannot have more than 2^32-2 commands in a transaction",
            ));
        }
        Ok(())
    }

    /// The snapshot for a statement: a new one, or under REPEATABLE READ and above the transaction's own, seen from
    /// the current command.
    ///
    /// # Errors
    /// 53400 when too many snapshots are open.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.has_queried.store(true, Ordering::Relaxed);
        if !self.isolation.uses_transaction_snapshot() {
            return self.newest_snapshot();
        }
        let base = match self.base.get() {
            Some(base) => base.clone(),
            None => {
                let core = self.manager.core.clone();
                let (slot, lsn) = self.register_base()?;
                let base = Arc::new(Registration::new(core.clone(), slot, lsn));
                self.base.set(base.clone()).ok();
                base
            }
        };
        let lsn = base.lsn;
        Ok(Snapshot::new(
            lsn,
            self.current_cid(),
            self.manager.core.flushed(),
            Hold::Shared(base),
            self.shared.clone(),
            self.serial.get().cloned(),
        ))
    }

    /// Registers the snapshot of all statements; of a serializable transaction, begins to track it.
    fn register_base(&self) -> Result<(crate::registry::RegistrySlot, Lsn)> {
        let core = &self.manager.core;
        if self.isolation != IsolationLevel::Serializable {
            return core.registry.register(&core.newest);
        }
        let begin = self.serial_begin();
        if begin.read_only && self.deferrable {
            let wait = SafeWait { waiting: &core.storage.env().wait, interrupt: &self.interrupt };
            return core.serializable.begin_deferrable(&begin, &wait);
        }
        let (slot, lsn, serial) = core.serializable.begin(&begin)?;
        if let Some(serial) = serial {
            self.serial.set(serial).ok();
        }
        Ok((slot, lsn))
    }

    fn serial_begin(&self) -> Begin<'_> {
        let core = &self.manager.core;
        Begin {
            registry: &core.registry,
            newest: &core.newest,
            read_only: self.read_only && !self.xid().is_valid(),
            xid: self.xid(),
            process_id: self.interrupt.process_id(),
        }
    }

    /// Its part in SERIALIZABLE, from its first snapshot on: what it writes has to be checked with it. What it reads is
    /// noted by way of [`Snapshot::serial`].
    #[inline]
    pub fn serial(&self) -> Option<&Arc<SerialTransaction>> {
        self.serial.get()
    }

    pub(crate) fn take_serial(&mut self) -> Option<Arc<SerialTransaction>> {
        self.serial.take()
    }

    /// Whether it waits for a safe snapshot.
    pub fn is_deferrable(&self) -> bool {
        self.deferrable
    }

    /// Makes it DEFERRABLE or not; the caller checks when that is allowed.
    pub fn set_deferrable(&mut self, deferrable: bool) {
        self.deferrable = deferrable;
    }

    /// The position of the snapshot that all statements share, once there is one.
    pub fn snapshot_position(&self) -> Option<Lsn> {
        self.base.get().map(|base| base.lsn)
    }

    /// A snapshot at the newest published commit whatever the isolation level: for referential checks, and to look
    /// again at a row that was changed concurrently.
    ///
    /// # Errors
    /// 53400 when too many snapshots are open.
    #[inline]
    pub fn newest_snapshot(&self) -> Result<Snapshot> {
        let core = &self.manager.core;
        let durable = core.flushed();
        let (slot, lsn) = core.registry.register(&core.newest)?;
        Ok(Snapshot::new(lsn, self.current_cid(), durable, Hold::Slot(slot), self.shared.clone(), None))
    }

    /// What a further query of the running statement sees: the changes of earlier commands, and of other transactions
    /// what the isolation level shows now.
    ///
    /// # Errors
    /// 53400 when too many snapshots are open.
    pub fn current_snapshot(&self) -> Result<Snapshot> {
        let Some(base) = self.base.get().filter(|_| self.isolation.uses_transaction_snapshot()) else {
            return self.newest_snapshot();
        };
        Ok(Snapshot::new(
            base.lsn,
            self.current_cid(),
            self.manager.core.flushed(),
            Hold::Shared(base.clone()),
            self.shared.clone(),
            self.serial.get().cloned(),
        ))
    }

    /// The reply gate: a reply about what this transaction has read must not leave before the log is durable up to
    /// here. [`Lsn::ZERO`] when nothing is to be awaited.
    pub fn gate_lsn(&self) -> Lsn {
        Lsn(self.shared.met.load(Ordering::Relaxed))
    }

    /// Notes that a commit or sequence record was met whose durability a reply depends on.
    pub fn note_met(&self, lsn: Lsn) {
        if lsn > self.manager.core.flushed() {
            self.shared.note_met(lsn);
        }
    }

    /// Whether a command of this transaction was rolled back to a savepoint.
    #[inline]
    pub fn is_dead(&self, cid: CommandId) -> bool {
        self.shared.is_dead(cid)
    }

    /// Whether a version of its own written by command `from` and superseded by command `to` may still be looked at
    /// (T3). The current command counts as looking.
    pub fn needs_own_version(&self, from: CommandId, to: CommandId) -> bool {
        let between = |p: &CommandId| from < *p && *p <= to;
        between(&self.current_cid())
            || self.shared.positions.lock().iter().any(between)
            || self.savepoint_cids.lock().iter().any(between)
    }

    /// Notes a change of rows in a block, which the collector has to visit.
    #[inline]
    pub fn note_change(&self, relation: RelationKey, block: BlockNo, change: RowChange) {
        match self.is_counting() {
            true => self.written.lock().note(relation, block, change),
            false => self.written.lock().note_block(relation, block, change),
        }
    }

    /// Notes that so many of the rows inserted into a new file were the table's before.
    pub fn note_moved(&self, relation: RelationKey, rows: u64) {
        if rows > 0 && self.is_counting() {
            self.written.lock().note_change(relation, RowChange::Moved(rows));
        }
    }

    /// Says whether what follows is counted for statistics.
    pub fn set_counting(&self, on: bool) {
        self.counting.store(on, Ordering::Relaxed);
    }

    /// Whether scans and changes are counted for statistics.
    #[inline]
    pub fn is_counting(&self) -> bool {
        self.counting.load(Ordering::Relaxed)
    }

    /// Notes that versions which nobody sees were unlinked.
    pub fn note_unlinked(&self, relation: RelationKey, versions: u64) {
        if versions > 0 {
            self.written.lock().note_change(relation, RowChange::Unlinked(versions));
        }
    }

    pub(crate) fn note_locked_page(&self, page: LockedPage) {
        self.locked_pages.lock().push(page);
    }

    /// Sets a savepoint.
    ///
    /// # Errors
    /// 54000 after four billion commands.
    pub fn savepoint(&self) -> Result<SavepointDepth> {
        self.advance_command()?;
        let cid = self.current_cid();
        let changes = self.written.lock().mark();
        let state = SavepointState {
            cid,
            follows_rollback: self.rolled_back.lock().as_ref() == Some(&changes),
            created: self.created.lock().len(),
            dropped: self.dropped.lock().len(),
            changes,
        };
        self.savepoint_cids.lock().push(cid);
        let mut savepoints = self.savepoints.lock();
        savepoints.push(state);
        Ok(SavepointDepth(savepoints.len() - 1))
    }

    /// How many savepoints are set.
    pub fn savepoint_count(&self) -> usize {
        self.savepoints.lock().len()
    }

    /// Takes a savepoint and those within it away, keeping what was done.
    pub fn release(&self, savepoint: SavepointDepth) {
        self.savepoints.lock().truncate(savepoint.0);
        self.savepoint_cids.lock().truncate(savepoint.0);
    }

    /// Takes back what was done since a savepoint; it stays set. Costs the same whatever was done.
    ///
    /// # Errors
    /// 54000 after four billion commands.
    pub fn rollback_to(&self, savepoint: SavepointDepth) -> Result<()> {
        let state = self.savepoints.lock().get(savepoint.0).cloned();
        let state = state.ok_or_else(|| Error::internal("rollback to no savepoint"))?;
        self.written.lock().undo_since(&state.changes);
        self.savepoints.lock().truncate(savepoint.0 + 1);
        self.savepoint_cids.lock().truncate(savepoint.0 + 1);
        let range = DeadRange { first: state.cid, last: self.current_cid() };
        self.advance_command()?;
        let made: Vec<RelationKey> = self.created.lock().drain(state.created..).collect();
        for relation in made {
            self.manager.core.storage.files().creation_aborted(relation)?;
            self.manager.forget_relation(relation);
        }
        self.dropped.lock().truncate(state.dropped);
        let xid = self.xid();
        if !xid.is_valid() {
            return Ok(());
        }
        {
            let core = &self.manager.core;
            let mut dead = self.shared.dead.write();
            // A range around earlier ones takes their place.
            dead.retain(|r| r.first < range.first);
            match dead.last_mut() {
                // Nothing was written between the two.
                Some(last) if state.follows_rollback => last.last = range.last,
                _ => dead.push(range),
            }
            self.shared.has_dead.store(true, Ordering::SeqCst);
            let _publish = core.publish.lock();
            core.outcomes.publish_dead(xid, &dead);
        }
        // Rows that the dead commands had changed or locked are free for others.
        for page in self.locked_pages.lock().iter() {
            self.manager.core.row_locks.release(*page, xid, state.cid);
        }
        self.manager.locks().transaction_finished(xid);
        *self.rolled_back.lock() = Some(self.written.lock().mark());
        Ok(())
    }

    /// Notes a relation file created on behalf of this transaction ([`ochre_storage::Files::create`] was called): an
    /// abort removes it.
    pub fn note_created(&self, relation: RelationKey) {
        self.created.lock().push(relation);
    }

    /// Notes a relation that goes when this transaction has committed and that is durable.
    pub fn note_dropped(&self, relation: RelationKey) {
        self.dropped.lock().push(relation);
    }

    /// Bytes of the engine's own that go into the commit record.
    pub fn set_commit_note(&mut self, note: Vec<u8>) {
        self.note = note;
    }

    /// Registers what is to be done under the publish mutex when the commit record's position is known and before any
    /// snapshot sees it, as publishing a catalog. It must be short and must neither block nor append. Not run when
    /// the transaction aborts, or has written nothing.
    pub fn at_publish(&mut self, hook: impl FnOnce(Lsn) + Send + 'static) {
        self.at_publish.get_mut().push(Box::new(hook));
    }

    /// Registers what is to be done after the transaction has ended, with no mutex held; in order of registration.
    pub fn at_end(&mut self, hook: impl FnOnce(Ended) + Send + 'static) {
        self.at_end.get_mut().push(Box::new(hook));
    }

    /// Who waits, for waits on behalf of this transaction.
    pub fn waiter(&self) -> Waiter {
        Waiter { interrupt: self.interrupt.clone(), lock_timeout: self.lock_timeout }
    }

    pub(crate) fn take_end(&mut self) -> EndOfTransaction {
        EndOfTransaction {
            dead: self.shared.dead.read().clone(),
            created: std::mem::take(self.created.get_mut()),
            dropped: std::mem::take(self.dropped.get_mut()),
            note: std::mem::take(&mut self.note),
            at_publish: std::mem::take(self.at_publish.get_mut()),
            at_end: std::mem::take(self.at_end.get_mut()),
            written: std::mem::take(self.written.get_mut()),
            locked_pages: std::mem::take(self.locked_pages.get_mut()),
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.finished && !self.prepared {
            self.manager.clone().abort_in_place(self);
        }
    }
}

/// A snapshot that others may take over; it goes with its transaction.
struct ExportedSnapshot {
    core: Arc<Core>,
    name: String,
    _registration: Arc<Registration>,
}

impl Drop for ExportedSnapshot {
    fn drop(&mut self) {
        self.core.exported.remove(&self.name);
    }
}

/// What is known of an exported snapshot.
struct Exported {
    registration: Weak<Registration>,
    isolation: IsolationLevel,
    read_only: bool,
    serial: Option<Arc<SerialTransaction>>,
}

/// An exported snapshot that is registered.
struct FoundSnapshot {
    registration: Arc<Registration>,
    isolation: IsolationLevel,
    read_only: bool,
    serial: Option<Arc<SerialTransaction>>,
}

/// The exported snapshots of all transactions, by name.
#[derive(Default)]
pub(crate) struct ExportedSnapshots {
    count: AtomicU32,
    names: Mutex<HashMap<String, Exported>>,
}

impl ExportedSnapshots {
    fn add(&self, process_id: i32, registration: &Arc<Registration>, owner: &Transaction) -> String {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{process_id:08X}-{number:08X}-1");
        let exported = Exported {
            registration: Arc::downgrade(registration),
            isolation: owner.isolation,
            read_only: owner.read_only,
            serial: owner.serial.get().cloned(),
        };
        self.names.lock().insert(name.clone(), exported);
        name
    }

    fn find(&self, name: &str) -> Option<FoundSnapshot> {
        let names = self.names.lock();
        let exported = names.get(name)?;
        Some(FoundSnapshot {
            registration: exported.registration.upgrade()?,
            isolation: exported.isolation,
            read_only: exported.read_only,
            serial: exported.serial.clone(),
        })
    }

    fn remove(&self, name: &str) {
        self.names.lock().remove(name);
    }
}

/// What is left to do when a transaction ends.
pub(crate) struct EndOfTransaction {
    pub dead: Vec<DeadRange>,
    pub created: Vec<RelationKey>,
    pub dropped: Vec<RelationKey>,
    pub note: Vec<u8>,
    pub at_publish: Vec<PublishHook>,
    pub at_end: Vec<EndHook>,
    pub written: WrittenBlocks,
    pub locked_pages: Vec<LockedPage>,
}
