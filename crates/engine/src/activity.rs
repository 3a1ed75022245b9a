//! What others may know of a session, and how they cancel or end it.
//!
//! # Concurrency
//! The session writes, everyone reads: single values are atomic, the statement's text is behind a mutex that nobody
//! holds for longer than it takes to copy it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use ochre_base::{Error, Oid, Severity, SqlState};
use ochre_txn::Interrupt;
use parking_lot::Mutex;

/// Bytes of a statement's text that others see (`track_activity_query_size`).
const SHOWN_QUERY_BYTES: usize = 1024;

/// What a session is doing (`pg_stat_activity.state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ActivityState {
    Idle,
    Active,
    IdleInTransaction,
    IdleInFailedTransaction,
}

impl ActivityState {
    /// PostgreSQL's words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            ActivityState::Idle => "idle",
            ActivityState::Active => "active",
            ActivityState::IdleInTransaction => "idle in transaction",
            ActivityState::IdleInFailedTransaction => "idle in transaction (aborted)",
        }
    }
}

/// What others may know of a session. Moments are microseconds since 2000.
pub struct Activity {
    pub process_id: i32,
    pub secret: [u8; 32],
    pub database: Oid,
    pub database_name: Arc<str>,
    pub user: Arc<str>,
    pub started: i64,
    interrupt: Arc<Interrupt>,
    running: AtomicBool,
    state: AtomicU8,
    statement_started: AtomicI64,
    state_changed: AtomicI64,
    /// When the transaction began; 0 outside one.
    transaction_started: AtomicI64,
    transactions: AtomicU64,
    /// `statement_timeout` of the statement that runs, in microseconds; 0 is none.
    timeout: AtomicU64,
    /// `transaction_timeout` of the transaction, in the same way.
    transaction_timeout: AtomicU64,
    query: Mutex<String>,
    application_name: Mutex<String>,
    /// Wakes the task that waits for the client's next message.
    waker: Mutex<Option<Waker>>,
    /// How it is found out whether the client is still there while a statement runs.
    probe: Mutex<Option<Probe>>,
}

/// `client_connection_check_interval`: what to ask, how often, and when it was asked last.
struct Probe {
    is_connected: Box<dyn Fn() -> bool + Send>,
    interval_micros: i64,
    last: i64,
}

impl Activity {
    pub(crate) fn new(
        process_id: i32,
        secret: [u8; 32],
        (database, database_name): (Oid, Arc<str>),
        user: &Arc<str>,
        now: i64,
        interrupt: &Arc<Interrupt>,
    ) -> Activity {
        Activity {
            process_id,
            secret,
            database,
            database_name,
            user: Arc::clone(user),
            started: now,
            interrupt: Arc::clone(interrupt),
            running: AtomicBool::new(false),
            state: AtomicU8::new(ActivityState::Idle as u8),
            statement_started: AtomicI64::new(now),
            state_changed: AtomicI64::new(now),
            transaction_started: AtomicI64::new(0),
            transactions: AtomicU64::new(0),
            timeout: AtomicU64::new(0),
            transaction_timeout: AtomicU64::new(0),
            query: Mutex::default(),
            application_name: Mutex::default(),
            waker: Mutex::default(),
            probe: Mutex::default(),
        }
    }

    /// A statement begins, with the time it may take.
    pub(crate) fn statement_began(&self, now: i64, timeout: Option<Duration>) {
        self.statement_started.store(now, Ordering::Relaxed);
        self.state_changed.store(now, Ordering::Relaxed);
        self.timeout.store(timeout.map_or(0, |timeout| timeout.as_micros() as u64), Ordering::Relaxed);
        self.state.store(ActivityState::Active as u8, Ordering::Relaxed);
        self.running.store(true, Ordering::Release);
    }

    /// The text of the statement that begins.
    pub(crate) fn note_query(&self, text: &str) {
        let shown = &text[..text.floor_char_boundary(SHOWN_QUERY_BYTES)];
        let mut query = self.query.lock();
        query.clear();
        query.push_str(shown);
    }

    pub(crate) fn statement_ended(&self, now: i64, state: ActivityState) {
        self.running.store(false, Ordering::Release);
        self.state.store(state as u8, Ordering::Relaxed);
        self.state_changed.store(now, Ordering::Relaxed);
    }

    pub(crate) fn transaction_began(&self, now: i64, timeout: Option<Duration>) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        let timeout = timeout.map_or(0, |timeout| timeout.as_micros() as u64);
        self.transaction_timeout.store(timeout, Ordering::Relaxed);
        self.transaction_started.store(now, Ordering::Relaxed);
    }

    pub(crate) fn transaction_ended(&self) {
        self.transaction_started.store(0, Ordering::Relaxed);
    }

    pub(crate) fn note_application_name(&self, name: &str) {
        let mut known = self.application_name.lock();
        if *known != name {
            name.clone_into(&mut known);
        }
    }

    /// Whether a statement runs at this moment.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    pub(crate) fn state(&self) -> ActivityState {
        let states =
            [ActivityState::Idle, ActivityState::IdleInTransaction, ActivityState::IdleInFailedTransaction];
        let state = self.state.load(Ordering::Relaxed);
        states.into_iter().find(|known| *known as u8 == state).unwrap_or(ActivityState::Active)
    }

    pub(crate) fn query(&self) -> String {
        self.query.lock().clone()
    }

    pub(crate) fn application_name(&self) -> String {
        self.application_name.lock().clone()
    }

    pub(crate) fn statement_started(&self) -> i64 {
        self.statement_started.load(Ordering::Relaxed)
    }

    pub(crate) fn state_changed(&self) -> i64 {
        self.state_changed.load(Ordering::Relaxed)
    }

    /// When the transaction began, if there is one.
    pub(crate) fn transaction_started(&self) -> Option<i64> {
        Some(self.transaction_started.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }

    /// How PostgreSQL names a running transaction that may have no id.
    pub(crate) fn virtual_transaction(&self) -> String {
        format!("{}/{}", self.process_id, self.transactions.load(Ordering::Relaxed))
    }

    /// Makes the running statement fail.
    pub(crate) fn cancel(&self, reason: Error) {
        if self.is_running() {
            self.interrupt.raise(reason);
        }
    }

    /// Ends the session: its statement fails, and if none runs, whoever waits for the next one is woken.
    pub(crate) fn terminate(&self, reason: Error) {
        self.interrupt.raise_for_good(reason);
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }

    /// Who is to be woken when the session has to end.
    pub fn watch_termination(&self, waker: &Waker) {
        *self.waker.lock() = Some(waker.clone());
    }

    /// While statements run, `is_connected` is asked this often from another thread, and the session ends when it says no.
    pub fn probe_client(&self, interval: Duration, is_connected: impl Fn() -> bool + Send + 'static) {
        let interval_micros = interval.as_micros() as i64;
        *self.probe.lock() = Some(Probe { is_connected: Box::new(is_connected), interval_micros, last: 0 });
    }

    /// The client is not asked for any more.
    pub fn forget_probe(&self) {
        *self.probe.lock() = None;
    }

    fn is_abandoned(&self, now: i64) -> bool {
        match &mut *self.probe.lock() {
            Some(probe) if now.saturating_sub(probe.last) >= probe.interval_micros => {
                probe.last = now;
                !(probe.is_connected)()
            }
            _ => false,
        }
    }

    /// Why the session has to end, if it has: asked while nothing runs.
    #[inline]
    pub fn termination(&self) -> Option<Error> {
        self.interrupt.lasting_error()
    }

    /// Cancels a statement, or ends a transaction with its session, that has run for longer than it may.
    pub(crate) fn stop_if_overdue(&self, now: i64) {
        let is_over = |started: i64, timeout: &AtomicU64| {
            let timeout = timeout.load(Ordering::Relaxed);
            timeout > 0 && now.saturating_sub(started).unsigned_abs() > timeout && now > started
        };
        if self.transaction_started().is_some_and(|started| is_over(started, &self.transaction_timeout)) {
            self.terminate(ended_by(SqlState::TRANSACTION_TIMEOUT, "transaction timeout"));
        }
        if self.is_running() && self.is_abandoned(now) {
            let reason = "connection to client lost";
            self.terminate(Error::with_severity(Severity::Fatal, SqlState::CONNECTION_FAILURE, reason));
        }
        if self.is_running() && is_over(self.statement_started(), &self.timeout) {
            self.cancel(Error::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout"));
        }
    }
}

/// The session ends for this reason.
#[cold]
pub(crate) fn ended_by(sqlstate: SqlState, reason: &str) -> Error {
    Error::with_severity(Severity::Fatal, sqlstate, format!("terminating connection due to {reason}"))
}
