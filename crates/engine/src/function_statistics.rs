//! Cumulative statistics of users' functions: the functions behind `pg_stat_user_functions`.
//!
//! # How
//! With `track_functions` a session counts its calls and adds them to the database's counts when its transaction ends, however
//! that ends. What belongs to functions that have been dropped meanwhile is forgotten.
//!
//! # Differences
//! PostgreSQL holds counts back for a second, unless `pg_stat_force_next_flush` is called. It does not count SQL functions that
//! it inlines; here none is.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use ochre_base::{Oid, Result};
use ochre_expr::{Function, Language};
use ochre_types::Datum;
use parking_lot::Mutex;

use crate::routine::Host;
use crate::session::State;
use crate::session::context::StatementSession;
use crate::statistics_view::Consistency;

/// Which functions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tracked {
    None,
    /// Those of procedural languages.
    Procedural,
    All,
}

/// Calls of one function that have come to their end.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Calls {
    count: u64,
    /// With the functions that it called.
    total: Duration,
    /// Without them.
    own: Duration,
}

impl Calls {
    fn add(&mut self, other: &Calls) {
        self.count += other.count;
        self.total += other.total;
        self.own += other.own;
    }
}

/// The counts of one database.
#[derive(Debug, Default)]
pub(crate) struct FunctionStatistics {
    functions: Mutex<HashMap<Oid, Calls>>,
}

impl FunctionStatistics {
    /// The calls of a function.
    pub(crate) fn of(&self, oid: Oid) -> Option<Calls> {
        self.functions.lock().get(&oid).copied()
    }

    /// The calls of all functions.
    pub(crate) fn all(&self) -> HashMap<Oid, Calls> {
        self.functions.lock().clone()
    }

    fn reset(&self, which: impl Fn(Oid) -> bool) {
        let mut functions = self.functions.lock();
        functions.iter_mut().filter(|(oid, _)| which(**oid)).for_each(|(_, calls)| *calls = Calls::default());
    }
}

/// What a session has counted and not handed over.
#[derive(Debug, Default)]
pub(crate) struct PendingCalls {
    functions: RefCell<HashMap<Oid, Calls>>,
    /// What the functions took that the one which is running has called.
    inner: Cell<Duration>,
}

/// Runs a function, and counts the call if the session does that.
pub(crate) fn counted<R>(
    mut host: Host<'_>,
    function: &Function,
    run: impl FnOnce(Host<'_>) -> Result<R>,
) -> Result<R> {
    let state = &host.session().state;
    let tracked = state.settings.borrow().parsed().track_functions;
    if tracked == Tracked::None || (tracked == Tracked::Procedural && function.language == Language::Sql) {
        return run(host);
    }
    let pending = &state.pending_calls;
    let before = pending.functions.borrow().get(&function.oid).map_or(Duration::ZERO, |calls| calls.total);
    let around = pending.inner.replace(Duration::ZERO);
    let began = Instant::now();
    let result = run(host.lend());
    let took = began.elapsed();
    let pending = &host.session().state.pending_calls;
    let inner = pending.inner.replace(around + took);
    let mut functions = pending.functions.borrow_mut();
    let calls = functions.entry(function.oid).or_default();
    if result.is_ok() {
        calls.count += 1;
        // One that calls itself takes the time of its outermost call.
        calls.total = before + took;
        calls.own += took.saturating_sub(inner);
    }
    result
}

impl State {
    /// Hands over what was counted in a transaction that has ended.
    pub(crate) fn hand_over_calls(&self) {
        if self.pending_calls.functions.borrow().is_empty() {
            return;
        }
        let catalog = self.database.catalog();
        let mut functions = self.database.functions.functions.lock();
        functions.retain(|oid, _| catalog.routine(*oid).is_some());
        for (oid, calls) in self.pending_calls.functions.take() {
            if catalog.routine(oid).is_some() {
                functions.entry(oid).or_default().add(&calls);
            }
        }
    }
}

/// Calls one of the functions about statistics of functions; `None` for others.
pub(crate) fn call(session: &StatementSession<'_>, name: &str, oid: Oid) -> Option<Datum> {
    let state = &session.state;
    match name {
        "pg_stat_reset_single_function_counters" => {
            state.database.functions.reset(|function| function == oid);
            return Some(Datum::text(""));
        }
        "pg_stat_force_next_flush" => return Some(Datum::text("")),
        "pg_stat_clear_snapshot" => {
            state.statistics_view.take();
            return Some(Datum::text(""));
        }
        _ => {}
    }
    let what = name.strip_prefix("pg_stat_get_")?;
    let (calls, what) = match what.strip_prefix("xact_function_") {
        Some(what) => (state.pending_calls.functions.borrow().get(&oid).copied(), what),
        None => (calls_of(state, oid), what.strip_prefix("function_")?),
    };
    let milliseconds = |time: Duration| Datum::Float64(time.as_secs_f64() * 1000.0);
    let Some(calls) = calls else { return Some(Datum::Null) };
    Some(match what {
        "calls" => Datum::Int64(calls.count as i64),
        "total_time" => milliseconds(calls.total),
        "self_time" => milliseconds(calls.own),
        _ => return None,
    })
}

/// The counts of a function, as the session is to see them.
fn calls_of(state: &State, oid: Oid) -> Option<Calls> {
    let newest = || {
        // Who drops a function drops its counts, when that is committed.
        let known = state.database.catalog().routine(oid).is_some();
        state.database.functions.of(oid).filter(|_| known)
    };
    match state.statistics_consistency() {
        Consistency::None => newest(),
        Consistency::Cache => *state.statistics_view.borrow_mut().functions.entry(oid).or_insert_with(newest),
        Consistency::Snapshot => {
            state.take_statistics();
            state.statistics_view.borrow().functions.get(&oid).copied().flatten()
        }
    }
}

/// Begins all counts of functions anew.
pub(crate) fn reset_all(state: &State) {
    state.database.functions.reset(|_| true);
}
