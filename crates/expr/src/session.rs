//! The session as expressions see it.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result};
use ochre_types::{Datum, FormatContext};

use crate::{CallContext, Function};

/// What functions ask of the session, the catalog and the system. The engine implements it; every method has a default
/// that answers 0A000 or something harmless, so that expressions can be tested without an engine.
///
/// Times are microseconds since 2000-01-01 00:00 UTC.
pub trait SessionContext {
    /// Styles, time zone and names of catalog objects for text forms.
    fn format(&self) -> &FormatContext;

    /// When the current transaction began: `now()`.
    fn transaction_timestamp(&self) -> i64 {
        0
    }

    /// When the current statement arrived.
    fn statement_timestamp(&self) -> i64 {
        self.transaction_timestamp()
    }

    /// The time at this moment.
    fn clock_timestamp(&self) -> i64 {
        self.statement_timestamp()
    }

    /// `current_user`.
    fn current_user(&self) -> &str {
        "postgres"
    }

    /// `session_user`.
    fn session_user(&self) -> &str {
        self.current_user()
    }

    /// `current_database()`.
    fn database(&self) -> &str {
        "postgres"
    }

    /// Whether the role that acts may use a namespace that a name says.
    fn may_use_namespace(&self, _namespace: Oid) -> bool {
        true
    }

    /// The namespaces of the search path that exist; with `implicit`, also pg_catalog and pg_temp where searched.
    fn search_path(&self, _implicit: bool) -> Vec<String> {
        vec!["public".to_owned()]
    }

    /// `version()`.
    fn version(&self) -> String {
        format!("PostgreSQL 18.0 (OchreDB {})", env!("CARGO_PKG_VERSION"))
    }

    /// A setting's value as SHOW prints it; `None` when there is no such setting.
    fn setting(&self, _name: &str) -> Result<Option<String>> {
        Ok(None)
    }

    /// Changes a setting, until the end of the transaction when `local`; returns the value as SHOW prints it.
    fn set_setting(&self, name: &str, _value: Option<&str>, _local: bool) -> Result<String> {
        Err(Error::unsupported(format_args!("changing the setting \"{name}\" here")))
    }

    /// Advances a sequence.
    fn nextval(&self, _sequence: Oid) -> Result<i64> {
        Err(Error::unsupported("nextval"))
    }

    /// Advances the sequence of an identity column, which needs no privilege besides those on the table.
    fn next_identity(&self, sequence: Oid) -> Result<i64> {
        self.nextval(sequence)
    }

    /// The sequence's value last drawn by this session.
    fn currval(&self, _sequence: Oid) -> Result<i64> {
        Err(Error::unsupported("currval"))
    }

    /// Sets a sequence's value.
    fn setval(&self, _sequence: Oid, _value: i64, _is_called: bool) -> Result<i64> {
        Err(Error::unsupported("setval"))
    }

    /// The value last drawn from any sequence by this session.
    fn lastval(&self) -> Result<i64> {
        Err(Error::unsupported("lastval"))
    }

    /// `format_type` for a type that is not built in; `None` when there is none.
    fn user_type_name(&self, _oid: Oid, _typmod: i32) -> Option<String> {
        None
    }

    /// `pg_get_userbyid`.
    fn role_name(&self, _oid: Oid) -> Option<String> {
        None
    }

    /// Calls a function whose implementation is [`crate::Implementation::Session`]: catalog, privilege, statistics and
    /// backend functions. `function.source` tells them apart (`pg_get_indexdef`, `has_table_privilege_name_id` …).
    fn call(&self, function: &Function, _args: &[Datum]) -> Result<Datum> {
        Err(Error::unsupported(format_args!("function {}", function.name)))
    }

    /// Calls a set-returning function of the same kind; each inner vector is a row.
    fn call_set(&self, function: &Function, _args: &[Datum]) -> Result<Vec<Vec<Datum>>> {
        Err(Error::unsupported(format_args!("function {}", function.name)))
    }

    /// Calls a user's function, of [`crate::Implementation::Routine`].
    fn call_routine(&self, call: &CallContext<'_, '_>, _args: &[Datum]) -> Result<Datum> {
        Err(Error::unsupported(format_args!("function {} here", call.function.name)))
    }

    /// Calls a user's function that returns a set; each inner vector is a row.
    fn call_routine_set(&self, call: &CallContext<'_, '_>, _args: &[Datum]) -> Result<Vec<Vec<Datum>>> {
        Err(Error::unsupported(format_args!("function {} here", call.function.name)))
    }

    /// 57014 when the statement has been cancelled; called now and then by long loops.
    fn check_interrupts(&self) -> Result<()> {
        Ok(())
    }

    /// 64 random bits, good enough for keys.
    fn random_bits(&self) -> u64 {
        0
    }

    /// A number in [0, 1) of the session's own series, which `set_random_seed` restarts.
    fn random(&self) -> f64 {
        (self.random_bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `setseed`.
    fn set_random_seed(&self, _seed: f64) -> Result<()> {
        Err(Error::unsupported("setseed"))
    }

    /// Waits, interruptibly.
    fn sleep(&self, _micros: i64) -> Result<()> {
        Err(Error::unsupported("pg_sleep"))
    }

    /// `pg_backend_pid()`.
    fn backend_pid(&self) -> i32 {
        0
    }

    /// The current transaction's id, given now if it has none yet.
    fn transaction_id(&self) -> Result<u64> {
        Err(Error::unsupported("transaction ids here"))
    }

    /// The current transaction's id, if it has one.
    fn transaction_id_if_assigned(&self) -> Option<u64> {
        None
    }

    /// What another thread that works on the same statement has as its session: it answers what parallel safe functions
    /// ask, as this one would now, and its [`SessionContext::check_interrupts`] asks `watch`, too. `None` when the
    /// statement has to stay on this thread.
    fn for_worker(&self, _watch: Arc<dyn WorkerWatch>) -> Option<Box<dyn SessionContext + Send>> {
        None
    }
}

/// Tells a thread that works on another one's statement when to stop.
pub trait WorkerWatch: Send + Sync {
    /// Fails when it is to stop.
    fn check(&self) -> Result<()>;
}

/// A session with default settings and no catalog, for tests and for folding constants without a session.
#[derive(Default)]
pub struct NoSession {
    format: FormatContext,
}

impl SessionContext for NoSession {
    fn format(&self) -> &FormatContext {
        &self.format
    }
}
