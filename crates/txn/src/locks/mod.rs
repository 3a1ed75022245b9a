//! Locks of relations, other objects and numbers that applications choose.
//!
//! # Role
//! Statements lock the relations they use in one of PostgreSQL's eight modes, until their transaction ends; DDL locks
//! names and namespaces; applications take advisory locks. A row's lock is its uncommitted version (or stands in
//! [`crate::row_locks`]); who wants the row stands in line for it here and waits for the end of the transaction that has
//! it. Deadlocks over all of these are found here.
//!
//! # Fast path
//! Weak modes (AccessShare, RowShare, RowExclusive) never conflict with each other. A session notes such a lock in a
//! slot of its own, under its own mutex, and nowhere else, as long as nobody wants a strong mode on a relation of the
//! same hash. Who wants a strong mode says so first, and then moves everyone's slots for that relation to the shared
//! table.
//!
//! # Invariants
//! - LK1: a weak lock is in a slot only if, under the session's mutex, no strong mode was announced for its hash. The
//!   announcement comes before the slots are looked through. So a strong locker sees every weak lock.
//! - LK2: a lock that the shared table says a session holds is in that session's list, or about to be put there by the
//!   session itself, or a row's turn, which a [`RowTurn`] holds.
//! - LK3: an announcement is taken back only with the strong lock itself.
//!
//! # Concurrency
//! Order: the list of sessions, a session's mutex, a partition's mutex; for a look at all waits the partitions by number,
//! then the waits for transactions, then those for holders.
//! No latch may be held by who may have to wait. Waiting goes through [`ochre_env::Waiting`].
//!
//! # Prepared transactions
//! The locks of a transaction that is prepared move to a session of its own, which has a negative number and waits for
//! nothing. They move from hand to hand: nobody is granted a lock in between.

mod deadlock;
mod holders;
mod mode;
mod session;
mod table;
mod tag;

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use ochre_base::{DatabaseId, Error, Oid, Result, RowId, Xid};
use ochre_env::Waiting;
use ochre_storage::RelationKey;
use parking_lot::{Mutex, RwLock};

use self::deadlock::{Finding, Standstill};
use self::holders::HolderWait;
pub use self::mode::RelationLockMode;
use self::session::Local;
pub use self::session::{LockMark, LockSession};
use self::table::{InLine, LockState, Partition, Refusal};
pub use self::tag::{AdvisoryKey, LockTag};
use crate::row_locks::RowLockStrength;
use crate::wait::{Interrupt, Patience, Patient, WaitEvent, Waiter, XidWaits};

const PARTITIONS: usize = 64;
/// Counters of announced strong modes; relations share them by hash.
const STRONG_COUNTERS: usize = 1024;

/// How long an advisory lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockLevel {
    /// Until the transaction ends.
    Transaction,
    /// Until it is unlocked as many times as it was locked, or the session ends.
    Session,
}

/// Whether to wait for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockWait {
    /// Until it is granted.
    Block,
    /// Not at all.
    NoWait,
}

/// A row of `pg_locks`.
#[derive(Debug, Clone)]
pub struct LockListing {
    pub tag: LockTag,
    pub mode: RelationLockMode,
    pub process_id: i32,
    pub granted: bool,
    /// Whether only the session itself knows of it.
    pub fast_path: bool,
    /// How long the session has waited.
    pub waited: Option<Duration>,
}

/// A relation's object id and name, for messages.
pub type RelationName = (Oid, Arc<str>);

type RelationNames = Box<dyn Fn(RelationKey) -> Option<RelationName> + Send + Sync>;

/// All locks of an instance.
pub struct LockManager {
    waiting: Arc<dyn Waiting>,
    hasher: hashbrown::DefaultHashBuilder,
    partitions: Vec<Mutex<Partition>>,
    strong: Vec<AtomicU32>,
    sessions: RwLock<HashMap<i32, Arc<LockSession>>>,
    transactions: XidWaits,
    holder_waits: Mutex<Vec<HolderWait>>,
    relation_names: OnceLock<RelationNames>,
}

/// The first place among those who want to change or lock a row; the next in line moves up when this is dropped.
pub struct RowTurn {
    locks: Arc<LockManager>,
    session: Arc<LockSession>,
    tag: LockTag,
    mode: RelationLockMode,
}

impl Drop for RowTurn {
    fn drop(&mut self) {
        self.locks.release(&self.session, self.tag, self.mode);
    }
}

impl LockManager {
    /// No locks.
    pub fn new(waiting: Arc<dyn Waiting>) -> LockManager {
        LockManager {
            waiting,
            hasher: hashbrown::DefaultHashBuilder::default(),
            partitions: (0..PARTITIONS).map(|_| Mutex::default()).collect(),
            strong: (0..STRONG_COUNTERS).map(|_| AtomicU32::new(0)).collect(),
            sessions: RwLock::default(),
            transactions: XidWaits::default(),
            holder_waits: Mutex::default(),
            relation_names: OnceLock::new(),
        }
    }

    /// Says how to find the name of the relation that a row belongs to.
    pub fn set_relation_names(
        &self,
        names: impl Fn(RelationKey) -> Option<RelationName> + Send + Sync + 'static,
    ) {
        // The first one stays: an instance has one catalog.
        let _ = self.relation_names.set(Box::new(names));
    }

    /// The relation that rows of a file belong to.
    pub fn relation_name(&self, relation: RelationKey) -> Option<RelationName> {
        self.relation_names.get().and_then(|names| names(relation))
    }

    /// Makes a session known, with how it is woken.
    pub fn register_session(&self, process_id: i32, interrupt: &Arc<Interrupt>) -> Arc<LockSession> {
        interrupt.set_process_id(process_id);
        let session = Arc::new(LockSession::new(process_id, Arc::clone(interrupt)));
        self.sessions.write().insert(process_id, Arc::clone(&session));
        session
    }

    /// The session of this number; one that nobody registered is a new one. Keep it: the methods that take a process id
    /// look it up each time.
    pub fn session(&self, process_id: i32) -> Arc<LockSession> {
        if let Some(session) = self.sessions.read().get(&process_id) {
            return Arc::clone(session);
        }
        let mut sessions = self.sessions.write();
        Arc::clone(sessions.entry(process_id).or_insert_with(|| {
            let interrupt = Arc::new(Interrupt::new());
            interrupt.set_process_id(process_id);
            Arc::new(LockSession::new(process_id, interrupt))
        }))
    }

    /// Releases everything that a session holds, also for itself, and forgets it.
    pub fn end_session(&self, process_id: i32) {
        let Some(session) = self.sessions.read().get(&process_id).cloned() else { return };
        self.release_transaction(&session);
        self.unlock_all_advisory(&session);
        self.sessions.write().remove(&process_id);
    }

    /// Locks a relation until the transaction ends.
    ///
    /// # Errors
    /// 40P01, 55P03 after `lock_timeout`, and what the waiter's interrupt was raised with.
    pub fn lock_relation(
        &self,
        waiter: &Waiter,
        process_id: i32,
        database: DatabaseId,
        relation: Oid,
        mode: RelationLockMode,
    ) -> Result<()> {
        let session = self.session(process_id);
        self.lock(&session, waiter, LockTag::Relation { database, relation }, mode, LockWait::Block)?;
        Ok(())
    }

    /// Locks the name that a relation is about to get, until the transaction ends.
    ///
    /// # Errors
    /// As [`LockManager::lock_relation`].
    pub fn lock_name(&self, waiter: &Waiter, process_id: i32, namespace: Oid, name: &str) -> Result<()> {
        let session = self.session(process_id);
        let tag = LockTag::name(namespace, name);
        self.lock(&session, waiter, tag, RelationLockMode::Exclusive, LockWait::Block)?;
        Ok(())
    }

    /// Locks a namespace against being dropped, or for dropping it, until the transaction ends.
    ///
    /// # Errors
    /// As [`LockManager::lock_relation`].
    pub fn lock_namespace(
        &self,
        waiter: &Waiter,
        process_id: i32,
        namespace: Oid,
        exclusive: bool,
    ) -> Result<()> {
        /// `pg_namespace`.
        const CLASS: Oid = Oid(2615);
        let tag = LockTag::Object { database: Oid::INVALID, class: CLASS, object: namespace };
        let mode = if exclusive { RelationLockMode::AccessExclusive } else { RelationLockMode::AccessShare };
        self.lock(&self.session(process_id), waiter, tag, mode, LockWait::Block)?;
        Ok(())
    }

    /// Takes a lock until the transaction ends; false when it would have to wait and must not. Weak locks on relations
    /// cost one uncontended mutex.
    ///
    /// # Errors
    /// As [`LockManager::lock_relation`].
    pub fn lock(
        &self,
        session: &Arc<LockSession>,
        waiter: &Waiter,
        tag: LockTag,
        mode: RelationLockMode,
        wait: LockWait,
    ) -> Result<bool> {
        {
            let mut local = session.local.lock();
            if self.is_held_for_transaction(&mut local, tag, mode) {
                return Ok(true);
            }
            let fast = mode.is_weak() && matches!(tag, LockTag::Relation { .. });
            // LK1: looked at under the session's mutex.
            if fast && self.strong_counter(tag).load(Ordering::SeqCst) == 0 && local.take_fast(tag, mode) {
                return Ok(true);
            }
        }
        if !self.acquire(session, waiter, tag, mode, wait)? {
            return Ok(false);
        }
        let mut local = session.local.lock();
        local.held.entry((tag, mode)).or_default().transaction = true;
        local.order.push((tag, mode));
        Ok(true)
    }

    fn is_held_for_transaction(&self, local: &mut Local, tag: LockTag, mode: RelationLockMode) -> bool {
        if local.holds_fast(tag, mode) {
            return true;
        }
        let Some(held) = local.held.get_mut(&(tag, mode)) else { return false };
        if !held.transaction {
            held.transaction = true;
            local.order.push((tag, mode));
        }
        true
    }

    /// Takes an advisory lock; false when it would have to wait and must not.
    ///
    /// # Errors
    /// As [`LockManager::lock_relation`].
    pub fn lock_advisory(
        &self,
        session: &Arc<LockSession>,
        waiter: &Waiter,
        tag: LockTag,
        exclusive: bool,
        level: LockLevel,
        wait: LockWait,
    ) -> Result<bool> {
        let mode = advisory_mode(exclusive);
        if level == LockLevel::Transaction {
            return self.lock(session, waiter, tag, mode, wait);
        }
        let known = session.local.lock().held.get_mut(&(tag, mode)).map(|held| held.session += 1).is_some();
        if known {
            return Ok(true);
        }
        if !self.acquire(session, waiter, tag, mode, wait)? {
            return Ok(false);
        }
        session.local.lock().held.entry((tag, mode)).or_default().session += 1;
        Ok(true)
    }

    /// Gives back an advisory lock of the session; false when it holds none (PostgreSQL warns then:
    /// `you don't own a lock of type ExclusiveLock`).
    pub fn unlock_advisory(&self, session: &Arc<LockSession>, tag: LockTag, exclusive: bool) -> bool {
        self.give_back(session, tag, advisory_mode(exclusive))
    }

    /// Gives back a lock that the session holds for itself; false when it holds none.
    pub fn give_back(&self, session: &Arc<LockSession>, tag: LockTag, mode: RelationLockMode) -> bool {
        let mut local = session.local.lock();
        let Some(held) = local.held.get_mut(&(tag, mode)) else { return false };
        if held.session == 0 {
            return false;
        }
        held.session -= 1;
        if held.session > 0 || held.transaction {
            return true;
        }
        local.held.remove(&(tag, mode));
        drop(local);
        self.release(session, tag, mode);
        true
    }

    /// Gives back all advisory locks of the session, but not those of its transaction.
    pub fn unlock_all_advisory(&self, session: &Arc<LockSession>) {
        let mut gone = Vec::new();
        session.local.lock().held.retain(|(tag, mode), held| {
            held.session = 0;
            if !held.transaction {
                gone.push((*tag, *mode));
            }
            held.transaction
        });
        for (tag, mode) in gone {
            self.release(session, tag, mode);
        }
    }

    /// The locks of a session's transaction, in the order in which they were taken; `None` when one of them is also
    /// held by the session itself (an advisory lock on both accounts), which PREPARE TRANSACTION refuses.
    pub fn transaction_locks(&self, process_id: i32) -> Option<Vec<(LockTag, RelationLockMode)>> {
        let session = self.session(process_id);
        let local = session.local.lock();
        let both = |held: &session::Held| held.transaction && held.session > 0;
        (!local.held.values().any(both)).then(|| local.order.clone())
    }

    /// Moves the locks of a session's transaction to another session.
    pub fn move_transaction(&self, from: i32, to: i32) {
        let (from, to) = (self.session(from), self.session(to));
        let mut source = from.local.lock();
        let order = std::mem::take(&mut source.order);
        for (tag, mode) in &order {
            // A weak lock goes to the shared table: a strong locker looks there after it has looked through slots, so it
            // finds the lock in one of the two places (LK1).
            let fast = source.release_fast(*tag, *mode);
            let mut partition = self.partition(*tag).lock();
            let state = partition.entry(*tag).or_default();
            state.add_holder(&to, *mode);
            if !fast && source.release_held(*tag, *mode) {
                state.remove_holder(&from, *mode);
            }
        }
        drop(source);
        let mut target = to.local.lock();
        for (tag, mode) in order {
            target.held.entry((tag, mode)).or_default().transaction = true;
            target.order.push((tag, mode));
        }
    }

    /// Takes the locks of a prepared transaction again, when nobody else holds any.
    ///
    /// # Errors
    /// XX000 when one of them cannot be had at once.
    pub fn restore_transaction(
        &self,
        process_id: i32,
        waiter: &Waiter,
        locks: &[(LockTag, RelationLockMode)],
    ) -> Result<()> {
        let session = self.session(process_id);
        for (tag, mode) in locks {
            if !self.lock(&session, waiter, *tag, *mode, LockWait::NoWait)? {
                return Err(Error::internal(format!("a prepared transaction's lock on {tag} is taken")));
            }
        }
        Ok(())
    }

    /// Where a session's list of locks ends now.
    pub fn mark(&self, process_id: i32) -> LockMark {
        self.session(process_id).mark()
    }

    /// Releases all locks of the transaction. Cheap when they are all in slots.
    pub fn release_transaction(&self, session: &Arc<LockSession>) {
        self.release_transaction_to(session, LockMark(0));
    }

    /// Releases the transaction's locks that were taken since a mark.
    pub fn release_transaction_to(&self, session: &Arc<LockSession>, mark: LockMark) {
        let mut shared: smallvec::SmallVec<[(LockTag, RelationLockMode); 8]> = smallvec::SmallVec::new();
        {
            let mut local = session.local.lock();
            if mark.0 == 0 {
                session.ended.fetch_add(1, Ordering::Release);
            }
            while local.order.len() > mark.0 {
                let (tag, mode) = local.order.pop().expect("the list is longer than the mark");
                if !local.release_fast(tag, mode) && local.release_held(tag, mode) {
                    shared.push((tag, mode));
                }
            }
        }
        for (tag, mode) in shared {
            self.release(session, tag, mode);
        }
    }

    fn hash(&self, tag: LockTag) -> usize {
        self.hasher.hash_one(tag) as usize
    }

    fn partition(&self, tag: LockTag) -> &Mutex<Partition> {
        &self.partitions[self.hash(tag) % PARTITIONS]
    }

    fn strong_counter(&self, tag: LockTag) -> &AtomicU32 {
        &self.strong[self.hash(tag) % STRONG_COUNTERS]
    }

    /// Takes a lock in the shared table, announcing strong modes (LK3).
    fn acquire(
        &self,
        session: &Arc<LockSession>,
        waiter: &Waiter,
        tag: LockTag,
        mode: RelationLockMode,
        wait: LockWait,
    ) -> Result<bool> {
        let strong = mode.is_strong() && matches!(tag, LockTag::Relation { .. });
        if strong {
            self.strong_counter(tag).fetch_add(1, Ordering::SeqCst);
            self.collect_fast_locks(tag);
        }
        let granted = self.acquire_shared(session, waiter, tag, mode, wait);
        if strong && !matches!(granted, Ok(true)) {
            self.strong_counter(tag).fetch_sub(1, Ordering::SeqCst);
        }
        granted
    }

    /// Moves all sessions' slots for a relation to the shared table (LK1).
    fn collect_fast_locks(&self, tag: LockTag) {
        for session in self.sessions.read().values() {
            let mut local = session.local.lock();
            let Some(slot) = local.fast.iter_mut().find(|slot| slot.tag == Some(tag)) else { continue };
            let moved = std::mem::take(slot);
            let mut partition = self.partition(tag).lock();
            let state = partition.entry(tag).or_default();
            for mode in moved.modes.iter() {
                state.add_holder(session, mode);
                local.held.entry((tag, mode)).or_default().transaction = true;
            }
        }
    }

    fn acquire_shared(
        &self,
        session: &Arc<LockSession>,
        waiter: &Waiter,
        tag: LockTag,
        mode: RelationLockMode,
        wait: LockWait,
    ) -> Result<bool> {
        let Some(granted) = self.grant_or_enter(session, tag, mode, wait)? else { return Ok(true) };
        if wait == LockWait::NoWait {
            return Ok(false);
        }
        let _note = waiter.interrupt.waits_for(tag.wait_event());
        match self.stand_in_line(waiter, tag, &granted) {
            Ok(()) => Ok(true),
            Err(GaveUp::Out(error)) => Err(error),
            Err(GaveUp::InLine(error)) => {
                self.give_up(session, tag, mode, &granted);
                Err(error)
            }
        }
    }

    /// Grants a lock, or, unless it must not wait, enters its line: then what tells when it is granted is returned.
    fn grant_or_enter(
        &self,
        session: &Arc<LockSession>,
        tag: LockTag,
        mode: RelationLockMode,
        wait: LockWait,
    ) -> Result<Option<Arc<AtomicBool>>> {
        let granted = Arc::new(AtomicBool::new(false));
        let mut partition = self.partition(tag).lock();
        let state = partition.entry(tag).or_default();
        let Err(refusal) = state.grant_or_place(session, mode) else { return Ok(None) };
        if wait == LockWait::NoWait {
            return Ok(Some(granted));
        }
        let place = match refusal {
            Refusal::Wait { place } => place,
            Refusal::Deadlock { other, waits_for } => {
                drop(partition);
                return Err(deadlock::of_two(session, mode, &other, waits_for, &self.describe(tag)));
            }
        };
        session.interrupt().prepare_wait();
        let in_line = InLine {
            session: Arc::clone(session),
            mode,
            granted: Arc::clone(&granted),
            since: Instant::now(),
        };
        state.line.insert(place, in_line);
        Ok(Some(granted))
    }

    fn stand_in_line(&self, waiter: &Waiter, tag: LockTag, granted: &Arc<AtomicBool>) -> Result<(), GaveUp> {
        let mut patience = Patience::new(waiter);
        while !granted.load(Ordering::Acquire) {
            waiter.interrupt.check().map_err(GaveUp::InLine)?;
            let next = patience.wait(&self.waiting, waiter);
            if granted.load(Ordering::Acquire) {
                break;
            }
            waiter.interrupt.check().map_err(GaveUp::InLine)?;
            if next.map_err(GaveUp::InLine)? == Patient::LookForDeadlock {
                self.leave_deadlock(waiter, tag, granted).map_err(GaveUp::Out)?;
            }
        }
        Ok(())
    }

    /// All waits of this moment.
    fn standstill(&self) -> Standstill<'_> {
        let partitions = self.partitions.iter().map(|partition| partition.lock()).collect();
        let transactions = self.transactions.list();
        Standstill { partitions, transactions, holder_waits: self.holder_waits.lock() }
    }

    /// Looks for a cycle of waits, with nobody moving meanwhile (D1).
    fn look_for_deadlock(&self, all: &mut Standstill<'_>, waiter: &Waiter) -> Result<()> {
        let partition_of = |tag| self.hash(tag) % PARTITIONS;
        match all.look(session::node_of(&waiter.interrupt), &partition_of, &|tag| self.describe(tag)) {
            Finding::NoCycle => Ok(()),
            Finding::Reordered(tags) => {
                for tag in tags {
                    serve_and_tidy(&mut all.partitions[partition_of(tag)], tag);
                }
                Ok(())
            }
            Finding::Deadlock(error) => Err(error),
        }
    }

    /// A lock's name in the detail of a deadlock.
    fn describe(&self, tag: LockTag) -> String {
        match tag {
            LockTag::Row { relation, row } => {
                let oid = self.relation_name(relation).map_or(Oid::INVALID, |(oid, _)| oid);
                format!("tuple {row} of relation {oid} of database {}", relation.database)
            }
            tag => tag.to_string(),
        }
    }

    /// Leaves the line with 40P01 if the wait is part of a cycle (D1).
    fn leave_deadlock(&self, waiter: &Waiter, tag: LockTag, granted: &Arc<AtomicBool>) -> Result<()> {
        let mut all = self.standstill();
        if granted.load(Ordering::Acquire) {
            return Ok(());
        }
        let found = self.look_for_deadlock(&mut all, waiter);
        if found.is_err() {
            let partition = &mut all.partitions[self.hash(tag) % PARTITIONS];
            if let Some(state) = partition.get_mut(&tag) {
                state.leave(granted);
            }
            serve_and_tidy(partition, tag);
        }
        found
    }

    /// Blocks while `still_running()`; that is asked again at each wake-up.
    ///
    /// # Errors
    /// 40P01, 55P03 after `lock_timeout`, and what an interrupt was raised with.
    pub(crate) fn wait_for_transaction(
        &self,
        waiter: &Waiter,
        holder: Xid,
        still_running: &dyn Fn() -> bool,
    ) -> Result<()> {
        let mut patience = Patience::new(waiter);
        let entered = self.transactions.enter(&waiter.interrupt, holder);
        let _note = waiter.interrupt.waits_for(WaitEvent::Transaction);
        while still_running() {
            waiter.interrupt.check()?;
            let next = patience.wait(&self.waiting, waiter);
            waiter.interrupt.check()?;
            if !still_running() {
                break;
            }
            if next? == Patient::LookForDeadlock {
                let mut all = self.standstill();
                self.look_for_deadlock(&mut all, waiter)
                    .inspect_err(|_| entered.leave(&mut all.transactions))?;
            }
        }
        Ok(())
    }

    /// Wakes those who wait for a transaction. Its outcome is published.
    #[inline]
    pub(crate) fn transaction_finished(&self, xid: Xid) {
        self.transactions.finished(xid);
    }

    /// How many sessions wait for a transaction at this moment.
    pub(crate) fn waiting_for_transactions(&self) -> usize {
        self.transactions.waiting()
    }

    /// Stands in line for a row until it is this session's turn.
    ///
    /// # Errors
    /// As [`LockManager::lock_relation`].
    pub(crate) fn queue_for_row(
        self: &Arc<LockManager>,
        waiter: &Waiter,
        relation: RelationKey,
        row: RowId,
        strength: RowLockStrength,
    ) -> Result<RowTurn> {
        let (session, tag, mode) = self.row_line(waiter, relation, row, strength);
        self.acquire_shared(&session, waiter, tag, mode, LockWait::Block)?;
        Ok(RowTurn { locks: Arc::clone(self), session, tag, mode })
    }

    /// As [`LockManager::queue_for_row`], without waiting.
    ///
    /// # Errors
    /// 40P01 when somebody ahead waits for this session already.
    pub(crate) fn enter_row_line(
        self: &Arc<LockManager>,
        waiter: &Waiter,
        relation: RelationKey,
        row: RowId,
        strength: RowLockStrength,
    ) -> Result<RowPlace> {
        let (session, tag, mode) = self.row_line(waiter, relation, row, strength);
        let granted = self.grant_or_enter(&session, tag, mode, LockWait::Block)?;
        Ok(RowPlace { locks: Arc::clone(self), session, tag, mode, granted, is_over: false })
    }

    fn row_line(
        &self,
        waiter: &Waiter,
        relation: RelationKey,
        row: RowId,
        strength: RowLockStrength,
    ) -> (Arc<LockSession>, LockTag, RelationLockMode) {
        let mode = match strength {
            RowLockStrength::KeyShare => RelationLockMode::AccessShare,
            RowLockStrength::Share => RelationLockMode::RowShare,
            RowLockStrength::NoKeyUpdate => RelationLockMode::Exclusive,
            RowLockStrength::Update => RelationLockMode::AccessExclusive,
        };
        let session = match self.sessions.read().get(&waiter.interrupt.process_id()) {
            Some(session) if Arc::ptr_eq(session.interrupt(), &waiter.interrupt) => Arc::clone(session),
            // Work of the instance's own, and of transactions without a session.
            _ => Arc::new(LockSession::new(0, Arc::clone(&waiter.interrupt))),
        };
        (session, LockTag::Row { relation, row }, mode)
    }

    /// Enters a session among those who wait for a transaction, until [`LockManager::stop_waiting`].
    pub(crate) fn begin_waiting(&self, interrupt: &Arc<Interrupt>, holder: Xid) {
        self.transactions.add(interrupt, holder);
    }

    pub(crate) fn stop_waiting(&self, interrupt: &Arc<Interrupt>, holder: Xid) {
        self.transactions.remove(interrupt, holder);
    }

    /// Looks whether a session that waits for a transaction does so in a cycle.
    ///
    /// # Errors
    /// 40P01; the session does not count as waiting any more, but is still to call [`LockManager::stop_waiting`].
    pub(crate) fn look_for_deadlock_of(&self, waiter: &Waiter, holder: Xid) -> Result<()> {
        let mut all = self.standstill();
        self.look_for_deadlock(&mut all, waiter)
            .inspect_err(|_| crate::wait::leave(&mut all.transactions, &waiter.interrupt, holder))
    }

    /// Leaves the line, or gives back what was granted in the last instant.
    fn give_up(
        &self,
        session: &Arc<LockSession>,
        tag: LockTag,
        mode: RelationLockMode,
        granted: &Arc<AtomicBool>,
    ) {
        let mut partition = self.partition(tag).lock();
        let Some(state) = partition.get_mut(&tag) else { return };
        if !state.leave(granted) {
            state.remove_holder(session, mode);
        }
        serve_and_tidy(&mut partition, tag);
    }

    /// Takes a lock out of the shared table.
    fn release(&self, session: &Arc<LockSession>, tag: LockTag, mode: RelationLockMode) {
        {
            let mut partition = self.partition(tag).lock();
            if let Some(state) = partition.get_mut(&tag) {
                state.remove_holder(session, mode);
                serve_and_tidy(&mut partition, tag);
            }
        }
        if mode.is_strong() && matches!(tag, LockTag::Relation { .. }) {
            self.strong_counter(tag).fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The rows of `pg_locks`.
    pub fn list(&self) -> Vec<LockListing> {
        let mut rows = Vec::new();
        let row = |tag, mode, process_id| LockListing {
            tag,
            mode,
            process_id,
            granted: true,
            fast_path: false,
            waited: None,
        };
        for session in self.sessions.read().values() {
            let local = session.local.lock();
            for slot in &local.fast {
                let Some(tag) = slot.tag else { continue };
                let held = slot.modes.iter().map(|mode| row(tag, mode, session.process_id()));
                rows.extend(held.map(|row| LockListing { fast_path: true, ..row }));
            }
        }
        for partition in &self.partitions {
            for (tag, state) in &*partition.lock() {
                for holder in &state.holders {
                    rows.extend(holder.modes.iter().map(|mode| row(*tag, mode, holder.session.process_id())));
                }
                let waiting = state.line.iter().map(|waiter| LockListing {
                    granted: false,
                    waited: Some(waiter.since.elapsed()),
                    ..row(*tag, waiter.mode, waiter.session.process_id())
                });
                rows.extend(waiting);
            }
        }
        for (holder, waits) in &*self.transactions.list() {
            rows.extend(waits.iter().map(|wait| LockListing {
                granted: false,
                waited: Some(wait.since.elapsed()),
                ..row(LockTag::Transaction(*holder), RelationLockMode::Share, wait.interrupt.process_id())
            }));
        }
        rows.extend(self.holder_waits.lock().iter().map(HolderWait::listing));
        rows.extend(self.running().into_iter().map(|(xid, _, process_id)| {
            row(LockTag::Transaction(xid), RelationLockMode::Exclusive, process_id)
        }));
        rows
    }

    /// The sessions that are in a transaction that has written, with the addresses of their interrupts.
    fn running(&self) -> Vec<(Xid, usize, i32)> {
        let sessions = self.sessions.read();
        let all = sessions
            .values()
            .map(|session| (session.interrupt().xid(), session.node(), session.process_id()));
        all.filter(|(xid, ..)| xid.is_valid()).collect()
    }

    /// `pg_blocking_pids`: the sessions that one waits for.
    pub fn blocking_process_ids(&self, process_id: i32) -> Vec<i32> {
        let running = self.running();
        self.standstill().blockers(process_id, &running)
    }
}

/// A place in the line for a row; dropped before its turn was taken, it is given up.
pub(crate) struct RowPlace {
    locks: Arc<LockManager>,
    session: Arc<LockSession>,
    tag: LockTag,
    mode: RelationLockMode,
    /// `None` when it was granted at once.
    granted: Option<Arc<AtomicBool>>,
    /// The turn was taken, or the place was lost.
    is_over: bool,
}

impl RowPlace {
    /// The turn, when it has come.
    pub(crate) fn take_turn(&mut self) -> Option<RowTurn> {
        let granted = self.granted.as_ref().is_none_or(|granted| granted.load(Ordering::Acquire));
        if !granted || std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        let (locks, session) = (Arc::clone(&self.locks), Arc::clone(&self.session));
        Some(RowTurn { locks, session, tag: self.tag, mode: self.mode })
    }

    /// Looks whether the wait is part of a cycle.
    ///
    /// # Errors
    /// 40P01; the place is lost then.
    pub(crate) fn look_for_deadlock(&mut self, waiter: &Waiter) -> Result<()> {
        let Some(granted) = &self.granted else { return Ok(()) };
        let looked = self.locks.leave_deadlock(waiter, self.tag, granted);
        self.is_over |= looked.is_err();
        looked
    }
}

impl Drop for RowPlace {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        match &self.granted {
            Some(granted) => self.locks.give_up(&self.session, self.tag, self.mode, granted),
            None => self.locks.release(&self.session, self.tag, self.mode),
        }
    }
}

/// How a wait failed.
enum GaveUp {
    /// The session stands in line still, or was granted the lock in the last instant.
    InLine(Error),
    /// It has left the line.
    Out(Error),
}

/// Grants what can be granted now, and forgets the lock if nobody has it (Q2).
fn serve_and_tidy(partition: &mut Partition, tag: LockTag) {
    let Some(state) = partition.get_mut(&tag) else { return };
    state.serve();
    if LockState::is_empty(state) {
        partition.remove(&tag);
    }
}

const fn advisory_mode(exclusive: bool) -> RelationLockMode {
    if exclusive { RelationLockMode::Exclusive } else { RelationLockMode::Share }
}

#[cfg(test)]
mod tests;
