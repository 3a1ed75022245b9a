//! Waiting for another transaction to finish, one waiter woken at a time.
//!
//! # Role
//! An uncommitted version is its row's lock: who wants the row waits for the version's transaction. [`XidWaits`]
//! holds those waiters. [`RowQueues`] puts the waiters for one row in line, so that the end of a transaction wakes one
//! of them, not all.
//!
//! # Invariants
//! - W1: a waiter is counted and entered before it looks at the outcome for the last time; a finishing transaction
//!   publishes its outcome before it looks at the count. One of the two sees the other.
//! - W2: a transaction waits for at most one other at a time, so the waits-for relation is a function and a deadlock is
//!   a cycle in it. It is checked when a wait begins, under one mutex, so the waiter that closes a cycle sees it.
//!
//! # Concurrency
//! No latch may be held by a caller. Blocking goes through [`ochre_env::Waiting`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use ochre_base::{Error, Result, RowId, SqlState, Xid};
use ochre_env::Waiting;
use ochre_storage::RelationKey;
use parking_lot::{Condvar, Mutex};

use crate::locks::TransactionWait;

/// How a session is told to stop waiting or running: shared by the session and whoever cancels it.
#[derive(Debug, Default)]
pub struct Interrupt {
    raised: AtomicBool,
    mutex: Mutex<bool>,
    condvar: Condvar,
    reason: Mutex<Option<Error>>,
}

impl Interrupt {
    /// An interrupt that nobody raised.
    pub fn new() -> Interrupt {
        Interrupt::default()
    }

    /// Makes the session's statement, or its wait, fail with an error.
    pub fn raise(&self, error: Error) {
        *self.reason.lock() = Some(error);
        self.raised.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Forgets a raised interrupt, as at the start of a statement.
    pub fn clear(&self) {
        self.raised.store(false, Ordering::SeqCst);
        *self.reason.lock() = None;
    }

    /// Fails when the interrupt was raised. One load when it was not.
    ///
    /// # Errors
    /// What [`Interrupt::raise`] was given.
    #[inline]
    pub fn check(&self) -> Result<()> {
        if self.raised.load(Ordering::Relaxed) { Err(self.error()) } else { Ok(()) }
    }

    #[cold]
    fn error(&self) -> Error {
        self.reason.lock().clone().unwrap_or_else(|| {
            Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
        })
    }

    /// Wakes the session's thread if it waits.
    pub fn wake(&self) {
        *self.mutex.lock() = true;
        self.condvar.notify_one();
    }

    /// Forgets a wake-up that came before.
    pub fn prepare_wait(&self) {
        *self.mutex.lock() = false;
    }

    /// Blocks until woken or until a moment has come; returns whether woken.
    pub fn wait_until(&self, waiting: &Arc<dyn Waiting>, deadline: Option<Instant>) -> bool {
        waiting.run(|| {
            let mut woken = self.mutex.lock();
            while !*woken {
                match deadline {
                    None => self.condvar.wait(&mut woken),
                    Some(deadline) => {
                        if self.condvar.wait_until(&mut woken, deadline).timed_out() {
                            break;
                        }
                    }
                }
            }
            std::mem::take(&mut *woken)
        })
    }
}

/// Who waits: its own transaction, if it has written, and how it is woken.
#[derive(Clone)]
pub struct Waiter {
    pub xid: Xid,
    pub interrupt: Arc<Interrupt>,
    /// `lock_timeout`: how long one wait may take.
    pub lock_timeout: Option<Duration>,
}

impl Waiter {
    fn deadline(&self) -> Option<Instant> {
        self.lock_timeout.map(|t| Instant::now() + t)
    }

    fn timeout_error() -> Error {
        Error::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")
    }
}

/// Waiters for the ends of transactions.
#[derive(Default)]
pub struct XidWaits {
    count: AtomicUsize,
    inner: Mutex<Waits>,
}

#[derive(Default)]
struct Waits {
    waiters: HashMap<Xid, Vec<Arc<Interrupt>>>,
    /// Whom each waiting transaction waits for (W2).
    waits_for: HashMap<Xid, (Xid, Arc<Interrupt>)>,
}

impl Waits {
    fn closes_cycle(&self, waiter: Xid, holder: Xid) -> bool {
        let mut at = holder;
        while let Some((next, _)) = self.waits_for.get(&at) {
            if *next == waiter {
                return true;
            }
            at = *next;
        }
        at == waiter
    }

    fn leave(&mut self, waiter: &Waiter, holder: Xid) {
        if waiter.xid.is_valid() {
            self.waits_for.remove(&waiter.xid);
        }
        if let Some(list) = self.waiters.get_mut(&holder) {
            list.retain(|i| !Arc::ptr_eq(i, &waiter.interrupt));
            if list.is_empty() {
                self.waiters.remove(&holder);
            }
        }
    }
}

impl XidWaits {
    /// Blocks while `still_running()`; that is asked again at each wake-up.
    ///
    /// # Errors
    /// 40P01 when the wait would close a cycle, 55P03 after `lock_timeout`, and what an interrupt was raised with.
    pub fn wait(
        &self,
        waiting: &Arc<dyn Waiting>,
        waiter: &Waiter,
        holder: Xid,
        still_running: &dyn Fn() -> bool,
    ) -> Result<()> {
        let deadline = waiter.deadline();
        while still_running() {
            waiter.interrupt.check()?;
            waiter.interrupt.prepare_wait();
            self.count.fetch_add(1, Ordering::SeqCst);
            let entered = self.enter(waiter, holder);
            let mut woken = true;
            if entered.is_ok() && still_running() && waiter.interrupt.check().is_ok() {
                woken = waiter.interrupt.wait_until(waiting, deadline);
            }
            if entered.is_ok() {
                self.inner.lock().leave(waiter, holder);
            }
            self.count.fetch_sub(1, Ordering::SeqCst);
            entered?;
            waiter.interrupt.check()?;
            if !woken && still_running() {
                return Err(Waiter::timeout_error());
            }
        }
        Ok(())
    }

    fn enter(&self, waiter: &Waiter, holder: Xid) -> Result<()> {
        let mut inner = self.inner.lock();
        if waiter.xid.is_valid() {
            if inner.closes_cycle(waiter.xid, holder) {
                return Err(Error::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
                    .detail(format!(
                        "Transaction {} waits for transaction {holder}, which waits for it in turn.",
                        waiter.xid
                    ))
                    .hint("See server log for query details."));
            }
            inner.waits_for.insert(waiter.xid, (holder, waiter.interrupt.clone()));
        }
        inner.waiters.entry(holder).or_default().push(waiter.interrupt.clone());
        Ok(())
    }

    /// Wakes those who wait for a transaction. Its outcome is published (W1).
    #[inline]
    pub fn finished(&self, xid: Xid) {
        if self.count.load(Ordering::SeqCst) != 0 {
            self.wake(xid);
        }
    }

    #[cold]
    fn wake(&self, xid: Xid) {
        let list = self.inner.lock().waiters.get(&xid).cloned();
        for interrupt in list.into_iter().flatten() {
            interrupt.wake();
        }
    }

    /// Who waits for whom, for the search for deadlocks that lead over other locks too.
    pub fn list(&self) -> Vec<TransactionWait> {
        let inner = self.inner.lock();
        let waits = inner.waits_for.iter().map(|(waiter, (holder, interrupt))| TransactionWait {
            waiter: *waiter,
            session: Arc::as_ptr(interrupt) as usize,
            holder: *holder,
        });
        waits.collect()
    }

    /// How many sessions wait at this moment.
    pub fn waiting(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// How long a session stands in a row's line before it waits for the row's transaction itself.
const MAX_IN_LINE: Duration = Duration::from_secs(1);

/// Those who want one row, the first in line at the front.
type Line = VecDeque<Arc<Interrupt>>;

/// Lines of sessions that want the same row.
#[derive(Default)]
pub struct RowQueues {
    count: AtomicUsize,
    inner: Mutex<HashMap<(RelationKey, RowId), Line>>,
}

/// The first place in a row's line; the next in line moves up when this is dropped.
pub struct RowTurn {
    queues: Arc<RowQueues>,
    key: (RelationKey, RowId),
    interrupt: Arc<Interrupt>,
}

impl RowQueues {
    /// Enters a row's line and blocks until it is this session's turn, or for [`MAX_IN_LINE`]: who leaves the line
    /// without a turn waits for the row's transaction directly, where deadlocks are seen (W2).
    ///
    /// # Errors
    /// 55P03 after `lock_timeout`, and what an interrupt was raised with.
    pub fn enter(
        self: &Arc<RowQueues>,
        waiting: &Arc<dyn Waiting>,
        waiter: &Waiter,
        file: RelationKey,
        row: RowId,
    ) -> Result<Option<RowTurn>> {
        let key = (file, row);
        waiter.interrupt.prepare_wait();
        {
            let mut inner = self.inner.lock();
            inner.entry(key).or_default().push_back(waiter.interrupt.clone());
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        let turn = RowTurn { queues: self.clone(), key, interrupt: waiter.interrupt.clone() };
        let in_line_until = Instant::now() + MAX_IN_LINE;
        let deadline = waiter.deadline();
        loop {
            if self.is_first(&turn) {
                return Ok(Some(turn));
            }
            waiter.interrupt.check()?;
            let until = deadline.map_or(in_line_until, |d| d.min(in_line_until));
            let woken = waiter.interrupt.wait_until(waiting, Some(until));
            waiter.interrupt.check()?;
            if woken || self.is_first(&turn) {
                continue;
            }
            return if until == in_line_until { Ok(None) } else { Err(Waiter::timeout_error()) };
        }
    }

    fn is_first(&self, turn: &RowTurn) -> bool {
        let inner = self.inner.lock();
        inner.get(&turn.key).and_then(|q| q.front()).is_some_and(|i| Arc::ptr_eq(i, &turn.interrupt))
    }
}

impl Drop for RowTurn {
    fn drop(&mut self) {
        let mut inner = self.queues.inner.lock();
        let Some(queue) = inner.get_mut(&self.key) else { return };
        let was_first = queue.front().is_some_and(|i| Arc::ptr_eq(i, &self.interrupt));
        if let Some(at) = queue.iter().position(|i| Arc::ptr_eq(i, &self.interrupt)) {
            queue.remove(at);
        }
        let next = queue.front().cloned();
        if next.is_none() {
            inner.remove(&self.key);
        }
        self.queues.count.fetch_sub(1, Ordering::Relaxed);
        drop(inner);
        if let Some(next) = next.filter(|_| was_first) {
            next.wake();
        }
    }
}
