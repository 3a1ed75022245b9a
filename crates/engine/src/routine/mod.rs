//! Routines of users: what happens when an expression calls one.
//!
//! # Role
//! Expressions hand calls over by [`ochre_expr::SessionContext::call_routine`]; a routine's statements run as statements of
//! the session within the running one ([`inner`]). What was parsed and planned of a routine is kept by the session.
//!
//! # Invariants
//! - U1: a volatile routine's statements run as commands of their own: each sees what was written before it. Those of stable
//!   and immutable ones see what the calling statement sees.
//! - U2: a statement that has called a volatile routine is not suspended and run again.
//! - U3: only a CALL or DO that is a statement by itself may end the transaction ([`Host::Alone`]); by then nothing of the
//!   session is borrowed, so that its parts of the transaction's time are made anew and not held on to.

mod definition;
mod fire;
pub(crate) mod inner;
mod plpgsql;
pub(crate) mod procedure;
pub(crate) mod sql;

use std::sync::Arc;

use hashbrown::HashMap;
use ochre_base::{Error, Oid, Result, SqlState, limits};
use ochre_catalog::RoutineDescriptor;
use ochre_expr::{CallContext, Function, Language, Volatility};
use ochre_txn::Snapshot;
use ochre_types::{Datum, SqlType};

use crate::function_statistics::counted;
use crate::session::Session;

pub(crate) use fire::{applies, bind_condition, fire};
pub(crate) use plpgsql::PlCode;
pub(crate) use procedure::CallResult;
pub(crate) use sql::{SqlCode, input_names};

/// How deep routines may call each other.
const MAX_DEPTH: usize = 1000;

/// Who carries a routine out.
pub(crate) enum Host<'s> {
    /// Within a statement: the transaction stays.
    Within(&'s Session),
    /// A statement by itself: the routine may end the transaction and begin another.
    Alone(&'s mut Session),
}

impl Host<'_> {
    pub(crate) fn session(&self) -> &Session {
        match self {
            Host::Within(session) => session,
            Host::Alone(session) => session,
        }
    }

    /// For a routine that this one calls.
    pub(crate) fn lend(&mut self) -> Host<'_> {
        match self {
            Host::Within(session) => Host::Within(session),
            Host::Alone(session) => Host::Alone(session),
        }
    }
}

/// A call of a routine.
pub(crate) struct Invocation<'a> {
    pub function: &'a Function,
    /// The arguments' types as called, polymorphic ones resolved.
    pub arg_types: Vec<SqlType>,
    pub result: SqlType,
    /// What the calling statement sees, for routines that see the same.
    pub snapshot: Option<&'a Snapshot>,
}

impl Invocation<'_> {
    /// The snapshot of the routine's statements, unless each has its own (U1).
    pub(crate) fn shared_snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.filter(|_| self.function.volatility != Volatility::Volatile)
    }
}

/// What is kept of a routine.
pub(crate) struct Prepared {
    /// The descriptor's function: another one means that the routine was replaced.
    function: Arc<Function>,
    code: Code,
    surroundings: Option<Surroundings>,
}

impl Prepared {
    fn new(routine: &RoutineDescriptor, code: Code) -> Prepared {
        let surroundings = Surroundings::of(routine);
        Prepared { function: Arc::clone(&routine.function), code, surroundings }
    }

    /// Runs the code with what holds around it, which ends with the transaction: such a routine cannot end it.
    fn surrounded<R>(&self, host: Host<'_>, run: impl FnOnce(Host<'_>) -> Result<R>) -> Result<R> {
        match &self.surroundings {
            None => run(host),
            Some(surroundings) => {
                let session = host.session();
                surroundings.hold(session, || run(Host::Within(session)))
            }
        }
    }
}

pub(crate) enum Code {
    Sql(SqlCode),
    PlPgSql(PlCode),
}

impl Code {
    fn value(&self, host: Host<'_>, invocation: &Invocation<'_>, args: &[Datum]) -> Result<Datum> {
        match self {
            Code::Sql(code) => code.value(host.session(), invocation, args),
            Code::PlPgSql(code) => code.value(host, invocation, args),
        }
    }

    fn rows(&self, host: Host<'_>, invocation: &Invocation<'_>, args: &[Datum]) -> Result<Vec<Vec<Datum>>> {
        match self {
            Code::Sql(code) => code.rows(host.session(), invocation, args),
            Code::PlPgSql(code) => code.rows(host, invocation, args),
        }
    }
}

/// A routine, its argument types as called, and the rows that a column definition list wants of it: the result's modifier.
type RoutineKey = (Oid, Vec<Oid>, i32);

/// What a session keeps of the routines that it has called.
#[derive(Default)]
pub(crate) struct RoutineCache {
    entries: HashMap<RoutineKey, Arc<Prepared>>,
    /// Trigger functions, by function and table.
    triggers: HashMap<(Oid, Oid), Arc<fire::TriggerCode>>,
    /// WHEN conditions, by trigger.
    conditions: HashMap<Oid, Arc<fire::Condition>>,
}

/// Calls a routine that returns one value.
pub(crate) fn call(
    session: &Session,
    snapshot: Option<&Snapshot>,
    call: &CallContext<'_, '_>,
    args: &[Datum],
) -> Result<Datum> {
    let run = |host: Host<'_>, invocation: &Invocation<'_>, code: &Code| code.value(host, invocation, args);
    carry_out(Host::Within(session), snapshot, &Callee::of(call), run)
}

/// Calls a routine that returns a set.
pub(crate) fn call_set(
    session: &Session,
    snapshot: Option<&Snapshot>,
    call: &CallContext<'_, '_>,
    args: &[Datum],
) -> Result<Vec<Vec<Datum>>> {
    if let Some(rows) = fire::rows_of(session, call.function) {
        return Ok(rows);
    }
    let run = |host: Host<'_>, invocation: &Invocation<'_>, code: &Code| code.rows(host, invocation, args);
    carry_out(Host::Within(session), snapshot, &Callee::of(call), run)
}

/// What is called.
struct Callee<'a> {
    function: &'a Function,
    /// The arguments' types as called.
    arg_types: &'a [SqlType],
    result: SqlType,
}

impl<'a> Callee<'a> {
    fn of(call: &'a CallContext<'_, '_>) -> Callee<'a> {
        Callee { function: call.function, arg_types: call.arg_types, result: call.result }
    }
}

fn carry_out<R>(
    host: Host<'_>,
    snapshot: Option<&Snapshot>,
    call: &Callee<'_>,
    run: impl FnOnce(Host<'_>, &Invocation<'_>, &Code) -> Result<R>,
) -> Result<R> {
    let session = host.session();
    let Some(transaction) = session.transaction.as_ref() else {
        return Err(Error::internal("a routine is called outside a transaction"));
    };
    if call.function.return_type == ochre_types::oids::TRIGGER {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "trigger functions can only be called as triggers",
        ));
    }
    session.state.require_execute(call.function.oid)?;
    if call.function.volatility == Volatility::Volatile {
        transaction.forbid_suspension();
    }
    let declared = call.function.arg_types.iter();
    let types = declared.zip(call.arg_types.iter().map(Some).chain(std::iter::repeat(None)));
    let arg_types =
        types.map(|(declared, actual)| session.argument_type(*declared, actual.copied())).collect();
    // One that is not volatile sees what its caller sees, or what is there by now if that is a volatile routine.
    let own;
    let snapshot = match snapshot {
        None if call.function.volatility != Volatility::Volatile => {
            own = session.inner_snapshot()?;
            Some(&own)
        }
        given => given,
    };
    let invocation = Invocation { function: call.function, arg_types, result: call.result, snapshot };
    enter(host, |host| {
        let prepared = prepared(host.session(), &invocation)?;
        counted(host, call.function, |host| {
            prepared.surrounded(host, |host| run(host, &invocation, &prepared.code))
        })
    })
}

/// What holds while a routine runs besides its code, which few have.
pub(crate) struct Surroundings {
    /// Of SET clauses.
    settings: Arc<[Box<str>]>,
    /// With SECURITY DEFINER, of another role than the session's.
    role: Option<Oid>,
}

impl Surroundings {
    fn of(routine: &RoutineDescriptor) -> Option<Surroundings> {
        let definer = routine.function.security_definer;
        let surroundings =
            Surroundings { settings: Arc::clone(&routine.settings), role: definer.then_some(routine.owner) };
        (!surroundings.settings.is_empty() || surroundings.role.is_some()).then_some(surroundings)
    }

    fn hold<R>(&self, session: &Session, run: impl FnOnce() -> Result<R>) -> Result<R> {
        let state = &session.state;
        let mark = state.settings.borrow().mark();
        let pairs = self.settings.iter().filter_map(|setting| setting.split_once('='));
        let sets_role = pairs.clone().any(|(name, _)| crate::authority::is_role_setting(name));
        if sets_role && (self.role.is_some() || state.acting.get().is_some()) {
            return Err(crate::authority::forbidden(
                "cannot set parameter \"role\" within security-definer function",
            ));
        }
        for (name, value) in pairs.clone() {
            if let Err(error) = state.set_setting(name, value, true) {
                state.settings.borrow_mut().rollback_to(mark);
                return Err(error);
            }
        }
        let outer = self.role.map(|role| state.acting.replace(Some(role)));
        let result = run();
        if let Some(outer) = outer {
            state.acting.set(outer);
        }
        if result.is_ok() && !self.settings.is_empty() {
            let names: Vec<&str> = pairs.map(|(name, _)| name).collect();
            state.settings.borrow_mut().leave_routine(mark, &names);
        } else if !self.settings.is_empty() {
            // Whoever catches the error goes on with the settings of before.
            state.settings.borrow_mut().rollback_to(mark);
        }
        if sets_role {
            state.refresh_settings();
        }
        result
    }
}

/// Runs a routine's code one level deeper.
pub(crate) fn enter<R>(mut host: Host<'_>, run: impl FnOnce(Host<'_>) -> Result<R>) -> Result<R> {
    let state = &host.session().state;
    let depth = state.routine_depth.get();
    if depth >= MAX_DEPTH {
        return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded").hint(
            "Increase the configuration parameter \"max_stack_depth\" (currently 2048kB), after ensuring the platform's stack depth limit is adequate.",
        ));
    }
    state.interrupt.check()?;
    state.routine_depth.set(depth + 1);
    let lent = host.lend();
    let result = stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || run(lent));
    host.session().state.routine_depth.set(depth);
    result
}

fn prepared(session: &Session, invocation: &Invocation<'_>) -> Result<Arc<Prepared>> {
    let function = invocation.function;
    let catalog = session.state.catalog();
    let routine = catalog.routine(function.oid).ok_or_else(|| {
        Error::new(SqlState::UNDEFINED_FUNCTION, format!("function with OID {} does not exist", function.oid))
    })?;
    let types: Vec<Oid> = invocation.arg_types.iter().map(|ty| ty.oid).collect();
    let key = (function.oid, types, invocation.result.typmod);
    if let Some(kept) = session.state.routines.borrow().entries.get(&key)
        && Arc::ptr_eq(&kept.function, &routine.function)
    {
        return Ok(Arc::clone(kept));
    }
    let code = match routine.function.language {
        Language::PlPgSql => Code::PlPgSql(PlCode::new(session, &routine.function)?),
        _ => Code::Sql(SqlCode::new(session, routine, &invocation.arg_types, invocation.result)?),
    };
    let prepared = Arc::new(Prepared::new(routine, code));
    session.state.routines.borrow_mut().entries.insert(key, Arc::clone(&prepared));
    Ok(prepared)
}

impl Session {
    /// The type of an argument: as declared, or as called where that is polymorphic.
    pub(crate) fn argument_type(&self, declared: Oid, actual: Option<SqlType>) -> SqlType {
        match actual {
            Some(actual) if is_pseudo(declared) => actual,
            Some(actual) if actual.oid == declared => actual.with_typmod(-1),
            _ => self.sql_type(declared),
        }
    }

    /// A type by its id; row types are records.
    pub(crate) fn sql_type(&self, oid: Oid) -> SqlType {
        self.state.catalog().sql_type(oid)
    }
}

fn is_pseudo(oid: Oid) -> bool {
    ochre_types::type_info(oid).is_some_and(|info| info.kind == b'p')
}

/// `name(type, type)` as CONTEXT names a routine.
pub(crate) fn signature(session: &Session, function: &Function) -> String {
    let types: Vec<String> =
        function.arg_types.iter().map(|oid| session.type_name_text(session.sql_type(*oid))).collect();
    format!("{}({})", function.name, types.join(","))
}

/// Adds a line to an error's CONTEXT.
pub(crate) fn with_context(mut error: Error, line: impl Into<String>) -> Error {
    let line = line.into();
    let fields = error.fields_mut();
    fields.context = Some(match fields.context.take() {
        Some(inner) => format!("{inner}\n{line}"),
        None => line,
    });
    error
}
