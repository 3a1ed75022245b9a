//! Waiting for another transaction to finish, and how a session is woken, cancelled and watched meanwhile.
//!
//! # Role
//! An uncommitted version is its row's lock: who wants the row waits for the version's transaction. [`XidWaits`]
//! holds those waiters; [`crate::locks`] lets them wait, looks for deadlocks and puts those who want one row in line.
//!
//! # Invariants
//! - W1: a waiter is counted and entered before it looks at the outcome for the last time; a finishing transaction
//!   publishes its outcome before it looks at the count. One of the two sees the other.
//! - W2: a session waits for at most one transaction at a time.
//! - W3: a transaction that has ended is no longer its session's before those who wait for it are woken. So a path of
//!   waits never leads through a transaction that is over.
//!
//! # Concurrency
//! No latch may be held by a caller. Blocking goes through [`ochre_env::Waiting`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use ochre_base::{Error, Result, SqlState, Xid};
use ochre_env::{Waiting, memory};
use parking_lot::{Condvar, Mutex, MutexGuard};

/// How a session is told to stop waiting or running: shared by the session and whoever cancels it.
///
/// It also tells others which session this is, in which transaction, and what it waits for.
#[derive(Debug)]
pub struct Interrupt {
    raised: AtomicBool,
    /// The session is to end: what was raised stays.
    lasting: AtomicBool,
    mutex: Mutex<bool>,
    condvar: Condvar,
    reason: Mutex<Option<Error>>,
    process_id: AtomicI32,
    xid: AtomicU64,
    wait_event: AtomicU8,
    deadlock_timeout_ms: AtomicU32,
    /// The task of a statement that is suspended.
    task: Mutex<Option<Waker>>,
}

/// What a session waits for (`pg_stat_activity.wait_event`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum WaitEvent {
    Relation = 1,
    Tuple,
    Transaction,
    Object,
    Advisory,
    Sleep,
    VirtualTransaction,
}

impl WaitEvent {
    const ALL: [WaitEvent; 7] = [
        WaitEvent::Relation,
        WaitEvent::Tuple,
        WaitEvent::Transaction,
        WaitEvent::Object,
        WaitEvent::Advisory,
        WaitEvent::Sleep,
        WaitEvent::VirtualTransaction,
    ];

    /// PostgreSQL's `wait_event_type` and `wait_event`.
    pub const fn names(self) -> (&'static str, &'static str) {
        match self {
            WaitEvent::Relation => ("Lock", "relation"),
            WaitEvent::Tuple => ("Lock", "tuple"),
            WaitEvent::Transaction => ("Lock", "transactionid"),
            WaitEvent::Object => ("Lock", "object"),
            WaitEvent::Advisory => ("Lock", "advisory"),
            WaitEvent::Sleep => ("Timeout", "PgSleep"),
            WaitEvent::VirtualTransaction => ("Lock", "virtualxid"),
        }
    }
}

/// `deadlock_timeout` of who has not said otherwise.
const DEFAULT_DEADLOCK_TIMEOUT_MS: u32 = 1000;

impl Default for Interrupt {
    fn default() -> Interrupt {
        Interrupt {
            raised: AtomicBool::new(false),
            lasting: AtomicBool::new(false),
            mutex: Mutex::new(false),
            condvar: Condvar::new(),
            reason: Mutex::new(None),
            process_id: AtomicI32::new(0),
            xid: AtomicU64::new(0),
            wait_event: AtomicU8::new(0),
            deadlock_timeout_ms: AtomicU32::new(DEFAULT_DEADLOCK_TIMEOUT_MS),
            task: Mutex::new(None),
        }
    }
}

impl Interrupt {
    /// An interrupt that nobody raised.
    pub fn new() -> Interrupt {
        Interrupt::default()
    }

    /// The number that clients know the session by; 0 for work of the instance's own.
    pub fn process_id(&self) -> i32 {
        self.process_id.load(Ordering::Relaxed)
    }

    /// Says whose it is.
    pub fn set_process_id(&self, process_id: i32) {
        self.process_id.store(process_id, Ordering::Relaxed);
    }

    /// The session's transaction, if it has written.
    pub fn xid(&self) -> Xid {
        Xid(self.xid.load(Ordering::Acquire))
    }

    pub(crate) fn set_xid(&self, xid: Xid) {
        self.xid.store(xid.0, Ordering::Release);
    }

    /// What the session waits for at this moment.
    pub fn wait_event(&self) -> Option<WaitEvent> {
        let event = self.wait_event.load(Ordering::Relaxed);
        WaitEvent::ALL.into_iter().find(|known| *known as u8 == event)
    }

    /// How long the session waits before it looks for a deadlock (`deadlock_timeout`).
    pub fn set_deadlock_timeout(&self, timeout: Duration) {
        let millis = timeout.as_millis().clamp(1, u128::from(u32::MAX)) as u32;
        self.deadlock_timeout_ms.store(millis, Ordering::Relaxed);
    }

    pub(crate) fn deadlock_timeout(&self) -> Duration {
        Duration::from_millis(self.deadlock_timeout_ms.load(Ordering::Relaxed).into())
    }

    /// Tells others what the session waits for until the guard is dropped.
    pub fn waits_for(&self, event: WaitEvent) -> WaitNote<'_> {
        self.note_wait(Some(event));
        WaitNote(self)
    }

    pub(crate) fn note_wait(&self, event: Option<WaitEvent>) {
        self.wait_event.store(event.map_or(0, |event| event as u8), Ordering::Relaxed);
    }

    /// Makes this and all later statements of the session fail with an error. The first one stays.
    pub fn raise_for_good(&self, error: Error) {
        let mut reason = self.reason.lock();
        if self.lasting.swap(true, Ordering::SeqCst) {
            return;
        }
        *reason = Some(error);
        drop(reason);
        self.raised.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// What was raised for good.
    #[inline]
    pub fn lasting_error(&self) -> Option<Error> {
        if self.lasting.load(Ordering::Relaxed) { Some(self.error()) } else { None }
    }

    /// Makes the session's statement, or its wait, fail with an error.
    pub fn raise(&self, error: Error) {
        {
            let mut reason = self.reason.lock();
            if self.lasting.load(Ordering::SeqCst) {
                return;
            }
            *reason = Some(error);
        }
        self.raised.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Forgets a raised interrupt, as at the start of a statement.
    pub fn clear(&self) {
        if !self.raised.load(Ordering::SeqCst) || self.lasting.load(Ordering::SeqCst) {
            return;
        }
        self.raised.store(false, Ordering::SeqCst);
        *self.reason.lock() = None;
    }

    /// Fails when the interrupt was raised, or when the thread has taken more memory than its work may. Three loads when
    /// neither is the case.
    ///
    /// # Errors
    /// What [`Interrupt::raise`] was given; 53200.
    #[inline]
    pub fn check(&self) -> Result<()> {
        if self.raised.load(Ordering::Relaxed) {
            return Err(self.error());
        }
        if memory::exceeded() { Err(out_of_memory()) } else { Ok(()) }
    }

    #[cold]
    fn error(&self) -> Error {
        self.reason.lock().clone().unwrap_or_else(|| {
            Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
        })
    }

    /// Wakes the session's thread, or its task, if it waits.
    pub fn wake(&self) {
        *self.mutex.lock() = true;
        self.condvar.notify_one();
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Says which task the next wake-up is for.
    pub(crate) fn set_task(&self, waker: &Waker) {
        let mut task = self.task.lock();
        if !task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
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

/// Says what a session waits for while it is there.
pub struct WaitNote<'a>(&'a Interrupt);

impl Drop for WaitNote<'_> {
    fn drop(&mut self) {
        self.0.note_wait(None);
    }
}

/// Who waits: how it is woken, and for how long it waits.
#[derive(Clone)]
pub struct Waiter {
    pub interrupt: Arc<Interrupt>,
    /// `lock_timeout`: how long one wait may take.
    pub lock_timeout: Option<Duration>,
}

/// When a wait looks for a deadlock, and when it ends.
pub(crate) struct Patience {
    ends_at: Option<Instant>,
    check_at: Instant,
    pause: Duration,
}

/// What a wait does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patient {
    Wait,
    LookForDeadlock,
}

impl Patience {
    pub(crate) fn new(waiter: &Waiter) -> Patience {
        let now = Instant::now();
        let pause = waiter.interrupt.deadlock_timeout();
        Patience { ends_at: waiter.lock_timeout.map(|timeout| now + timeout), check_at: now + pause, pause }
    }

    /// When something is to be done though nobody woke the waiter.
    pub(crate) fn until(&self) -> Instant {
        self.ends_at.map_or(self.check_at, |at| at.min(self.check_at))
    }

    /// Blocks until woken, or until something else is to be done.
    ///
    /// # Errors
    /// 55P03 after `lock_timeout`.
    pub(crate) fn wait(&mut self, waiting: &Arc<dyn Waiting>, waiter: &Waiter) -> Result<Patient> {
        if waiter.interrupt.wait_until(waiting, Some(self.until())) {
            return Ok(Patient::Wait);
        }
        self.look_at_clock()
    }

    /// What is to be done at this moment.
    ///
    /// # Errors
    /// As [`Patience::wait`].
    pub(crate) fn look_at_clock(&mut self) -> Result<Patient> {
        let now = Instant::now();
        if self.ends_at.is_some_and(|at| now >= at) {
            return Err(lock_timeout());
        }
        if now < self.check_at {
            return Ok(Patient::Wait);
        }
        // A wait that closes a cycle may begin later.
        self.pause *= 2;
        self.check_at = now + self.pause;
        Ok(Patient::LookForDeadlock)
    }
}

#[cold]
fn lock_timeout() -> Error {
    Error::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")
}

/// Who waits for the ends of transactions.
#[derive(Default)]
pub(crate) struct XidWaits {
    count: AtomicUsize,
    waits: Mutex<XidWaitList>,
}

/// Those who wait, by the transaction.
pub(crate) type XidWaitList = HashMap<Xid, Vec<XidWait>>;

/// A session that waits for a transaction's end.
pub(crate) struct XidWait {
    pub(crate) interrupt: Arc<Interrupt>,
    pub(crate) since: Instant,
}

/// Keeps a session among those who wait for a transaction.
pub(crate) struct Entered<'a> {
    waits: &'a XidWaits,
    interrupt: &'a Arc<Interrupt>,
    holder: Xid,
}

impl XidWaits {
    /// Enters a session; it leaves when the guard is dropped (W1).
    pub(crate) fn enter<'a>(&'a self, interrupt: &'a Arc<Interrupt>, holder: Xid) -> Entered<'a> {
        self.add(interrupt, holder);
        Entered { waits: self, interrupt, holder }
    }

    /// As [`XidWaits::enter`]; the caller calls [`XidWaits::remove`].
    pub(crate) fn add(&self, interrupt: &Arc<Interrupt>, holder: Xid) {
        interrupt.prepare_wait();
        self.count.fetch_add(1, Ordering::SeqCst);
        let wait = XidWait { interrupt: Arc::clone(interrupt), since: Instant::now() };
        self.waits.lock().entry(holder).or_default().push(wait);
    }

    /// The end of a wait that [`XidWaits::add`] began.
    pub(crate) fn remove(&self, interrupt: &Arc<Interrupt>, holder: Xid) {
        leave(&mut self.waits.lock(), interrupt, holder);
        self.count.fetch_sub(1, Ordering::SeqCst);
    }

    /// Wakes those who wait for a transaction. Its outcome is published (W1).
    #[inline]
    pub(crate) fn finished(&self, xid: Xid) {
        if self.count.load(Ordering::SeqCst) != 0 {
            self.wake(xid);
        }
    }

    #[cold]
    fn wake(&self, xid: Xid) {
        let waits = self.waits.lock();
        for wait in waits.get(&xid).into_iter().flatten() {
            wait.interrupt.wake();
        }
    }

    /// All who wait, kept as they are meanwhile.
    pub(crate) fn list(&self) -> MutexGuard<'_, XidWaitList> {
        self.waits.lock()
    }

    /// How many sessions wait at this moment.
    pub(crate) fn waiting(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Entered<'_> {
    /// Leaves a list that is locked already.
    pub(crate) fn leave(&self, waits: &mut XidWaitList) {
        leave(waits, self.interrupt, self.holder);
    }
}

pub(crate) fn leave(waits: &mut XidWaitList, interrupt: &Arc<Interrupt>, holder: Xid) {
    let Some(list) = waits.get_mut(&holder) else { return };
    list.retain(|wait| !Arc::ptr_eq(&wait.interrupt, interrupt));
    if list.is_empty() {
        waits.remove(&holder);
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.waits.remove(self.interrupt, self.holder);
    }
}

/// What a statement fails with that takes more memory than it may.
#[cold]
pub fn out_of_memory() -> Error {
    Error::new(SqlState::OUT_OF_MEMORY, "out of memory")
        .detail("The statement took more memory than \"query_memory_limit\" allows.")
}
