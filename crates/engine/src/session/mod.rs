//! A session: one client's statements, one after the other, and the transaction they are in.
//!
//! # Role
//! The server owns one for each connection and calls it from that connection's task; the library owns one for each of
//! its connections. Nothing here knows a socket: results go to a [`Sink`], and what a reply has to wait for comes back
//! from [`Session::take_gate`].
//!
//! # States
//! ```text
//!            first statement            BEGIN
//!   Idle ───────────────────▶ Implicit ──────▶ Explicit ──▶ error ──▶ Failed
//!    ▲                           │ end of the     │ COMMIT               │ COMMIT, ROLLBACK
//!    └───────────────────────────┴─ message ──────┴──────────────────────┘   ROLLBACK TO: back to Explicit
//! ```
//! `begin_implicit`, `begin_block`, `end_block` and `fail` make the transitions.
//!
//! # Invariants
//! - N1: there is a transaction in every state but Idle (in Failed it is rolled back, or kept for ROLLBACK TO).
//! - N2: a reply that tells of a commit, a read row or a sequence's number leaves only when the log is durable up to the
//!   gate. [`Session::take_gate`] hands it out before the reply is sent. Inside a transaction block, the tag of a
//!   statement that returns no rows need not wait: what it tells is gone with the block, should a crash take back what
//!   the statement met. A session with `synchronous_commit = off` waits for notifications and for what ends a prepared
//!   transaction, for nothing else.
//! - N3: after an error in the extended protocol the caller skips messages up to Sync.

mod bind_values;
pub(crate) mod catalog;
mod constraints;
pub(crate) mod context;
mod copy;
mod cursor;
mod execute;
mod explain;
pub(crate) mod extended;
mod notify;
pub(crate) mod plan;
mod portal;
mod settings;
mod simple;
mod suspended;
mod transaction;
mod two_phase;
pub(crate) mod utility;
mod worker;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use ochre_base::{Error, Lsn, Oid, Result, SqlState};
use ochre_catalog::authority::{AclKind, Privileges};
use ochre_catalog::{CatalogSnapshot, RelationDescriptor};
use ochre_env::memory::Budget;
use ochre_exec::DeferredChecks;
use ochre_parser::ast::ObjectName;
use ochre_sql::physical::PlannedStatement;
use ochre_txn::locks::{LockSession, LockTag, LockWait, RelationLockMode};
use ochre_txn::{Interrupt, Remains, Transaction};
use ochre_types::{Datum, FormatContext};

use crate::activity::{Activity, ActivityState, ended_by};
use crate::authority::KnownRoles;
use crate::database::Database;
use crate::function_statistics::PendingCalls;
use crate::instance::Instance;
use crate::notify::SessionNotices;
use crate::settings::Settings;
use crate::statistics_view::StatisticsView;
use catalog::CatalogChanges;
pub(crate) use cursor::Listings;
pub(crate) use extended::Prepared;
use portal::Portals;
pub(crate) use portal::Scroll;
pub(crate) use settings::{joined as setting_text, split_dotted, split_names};
pub(crate) use simple::is_plannable;
use transaction::Savepoint;
pub(crate) use utility::option_flag;

pub use extended::{ExecuteOutcome, PortalShape, ResultFormats, StatementShape};
pub use simple::Progress;
pub use suspended::Resumed;

/// What ReadyForQuery tells of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    InBlock,
    Failed,
}

/// Where the session stands with its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Block {
    Idle,
    /// Begun by a statement, ended with the message that held it.
    Implicit,
    /// Begun by BEGIN.
    Explicit,
    /// An error came: only its end, or ROLLBACK TO, is allowed.
    Failed,
}

/// What expressions and statements of a session share. Changed through cells, since a running plan holds it.
pub(crate) struct State {
    pub instance: Arc<Instance>,
    pub database: Arc<Database>,
    /// The role that has connected.
    pub login: Oid,
    /// The roles of SET SESSION AUTHORIZATION and SET ROLE, as the settings say them; the second is the first without one.
    pub set_roles: Cell<(Oid, Oid)>,
    /// The roles that values of those settings meant when they were set.
    pub role_ids: RefCell<HashMap<Box<str>, Oid>>,
    pub known_roles: RefCell<KnownRoles>,
    pub process_id: i32,
    /// The session in the lock manager.
    pub locks: Arc<LockSession>,
    pub settings: RefCell<Settings>,
    pub catalog: RefCell<CatalogChanges>,
    pub format: RefCell<FormatContext>,
    /// The names that text forms were given last.
    pub names: RefCell<Option<Arc<context::CatalogNames>>>,
    /// The settings' generation that `format` and `path` were made from.
    pub settings_seen: Cell<u64>,
    /// The settings' generation that clients were told of.
    pub reported_generation: Cell<u64>,
    /// The namespaces searched, with the catalog version and the role that they were looked up for.
    pub path: RefCell<(u64, Oid, Arc<[Oid]>)>,
    pub interrupt: Arc<Interrupt>,
    pub gate: Cell<Lsn>,
    pub notices: RefCell<Vec<Error>>,
    /// Sequence values last drawn, and the sequence drawn from last.
    pub sequence_values: RefCell<HashMap<Oid, i64>>,
    pub last_sequence: Cell<Option<Oid>>,
    pub transaction_time: Cell<i64>,
    pub statement_time: Cell<i64>,
    pub random_seed: Cell<Option<u64>>,
    /// Temporary tables with something to do at the end of a transaction.
    pub on_commit: RefCell<Vec<(Oid, ochre_parser::ast::OnCommit)>>,
    pub activity: Arc<Activity>,
    /// What is checked at the end of the transaction.
    pub deferred: RefCell<DeferredChecks>,
    /// Plans of foreign keys' actions.
    pub referential_plans: RefCell<Vec<constraints::ReferentialPlan>>,
    /// Named cursors and prepared statements, for the functions that list them.
    pub listings: RefCell<Listings>,
    /// What the transaction wants to say and hear, and what the session listens to; nothing for nearly every session.
    pub notices_heard: RefCell<SessionNotices>,
    /// Whether it listens to anything.
    pub listens: Cell<bool>,
    /// The DDL statement that runs while portals or statements around it are open, by its name.
    pub ddl_command: RefCell<Option<String>>,
    /// The statements that are being carried out, one within the other.
    pub running: RefCell<Vec<Arc<PlannedStatement>>>,
    /// The role that a routine acts as, where that is not the session's.
    pub acting: Cell<Option<Oid>>,
    /// The transition tables of triggers that are firing, by trigger, innermost last.
    pub transitions: RefCell<Vec<(Oid, ochre_exec::Transitions)>>,
    /// What was prepared of the routines that the session has called.
    pub routines: RefCell<crate::routine::RoutineCache>,
    /// How many routines are being carried out, one within the other.
    pub routine_depth: Cell<usize>,
    /// Calls of functions that the transaction has counted.
    pub pending_calls: PendingCalls,
    /// The statistics that the transaction has read.
    pub statistics_view: RefCell<StatisticsView>,
}

/// A client's session.
pub struct Session {
    pub(crate) state: State,
    pub(crate) transaction: Option<Transaction>,
    /// Of the last transaction, for the next one.
    pub(crate) remains: Option<Remains>,
    pub(crate) block: Block,
    pub(crate) savepoints: Vec<Savepoint>,
    pub(crate) statements: HashMap<Box<str>, Arc<Prepared>>,
    pub(crate) portals: Portals,
    pub(crate) pending: Option<simple::Pending>,
    /// Executions kept for the next run of their plans.
    pub(crate) idle: RefCell<execute::IdleExecutions>,
    /// Whether the caller can wait for rows without a thread.
    pub(crate) suspends: bool,
    pub(crate) suspended: Option<suspended::Suspended>,
    /// Of the statement that runs again after a suspension.
    pub(crate) resumed: Option<suspended::Resumption>,
    /// Room for a text with its literals taken out.
    pub(crate) shape: String,
    /// Values of settings that clients follow, as they were told last.
    pub(crate) reported: Vec<(&'static str, String)>,
}

/// The settings whose changes clients are told of.
pub const REPORTED_SETTINGS: [&str; 15] = [
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "scram_iterations",
    "search_path",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
];

impl Session {
    /// A session of a role in a database.
    ///
    /// # Errors
    /// 28000 for an unknown role, 3D000 for an unknown database, 53300 when there are too many sessions.
    pub fn new(instance: &Arc<Instance>, database: &str, user: &str, settings: Settings) -> Result<Session> {
        let role = instance.role_named(user)?;
        let role = role.ok_or_else(|| refused(format!("role \"{user}\" does not exist")))?;
        if !role.can_login {
            return Err(refused(format!("role \"{user}\" is not permitted to log in")));
        }
        let name = database;
        let database = instance.open_database(name)?;
        refuse_connection(&database, &role, name)?;
        let interrupt = Arc::new(Interrupt::new());
        let activity = instance.register_session(&database, &role.name, &interrupt)?;
        let mut settings = settings;
        settings.report("is_superuser", if role.superuser { "on" } else { "off" });
        settings.report("session_authorization", &role.name);
        let now = instance.now();
        let state = State {
            instance: Arc::clone(instance),
            login: role.oid,
            set_roles: Cell::new((role.oid, role.oid)),
            role_ids: RefCell::default(),
            known_roles: RefCell::default(),
            process_id: activity.process_id,
            locks: instance.locks().session(activity.process_id),
            settings: RefCell::new(settings),
            catalog: RefCell::default(),
            format: RefCell::default(),
            names: RefCell::default(),
            settings_seen: Cell::new(u64::MAX),
            reported_generation: Cell::new(0),
            path: RefCell::new((u64::MAX, Oid::INVALID, Arc::from([]))),
            interrupt,
            gate: Cell::new(Lsn::ZERO),
            notices: RefCell::default(),
            sequence_values: RefCell::default(),
            last_sequence: Cell::new(None),
            transaction_time: Cell::new(now),
            statement_time: Cell::new(now),
            random_seed: Cell::new(None),
            on_commit: RefCell::default(),
            activity,
            listings: RefCell::default(),
            notices_heard: RefCell::default(),
            listens: Cell::new(false),
            ddl_command: RefCell::default(),
            running: RefCell::default(),
            acting: Cell::new(None),
            transitions: RefCell::default(),
            routines: RefCell::default(),
            routine_depth: Cell::new(0),
            pending_calls: PendingCalls::default(),
            statistics_view: RefCell::default(),
            database,
            deferred: RefCell::default(),
            referential_plans: RefCell::default(),
        };
        let first_role = state.settings.borrow().text("role").to_owned();
        if first_role != "none" {
            // What the packet or the configuration asks for, as SET ROLE would.
            state
                .set_setting("role", &first_role, false)
                .map_err(|error| refused(error.message().to_owned()))?;
        }
        state.refresh_settings();
        let mut session = Session {
            state,
            transaction: None,
            remains: None,
            block: Block::Idle,
            savepoints: Vec::new(),
            statements: HashMap::new(),
            portals: Portals::default(),
            pending: None,
            idle: RefCell::default(),
            suspends: false,
            suspended: None,
            resumed: None,
            shape: String::new(),
            reported: Vec::new(),
        };
        session.reported = session.reported_values();
        Ok(session)
    }

    /// The instance it runs on.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.state.instance
    }

    /// What a client passes to cancel a statement of this session.
    pub fn cancel_key(&self) -> (i32, [u8; 32]) {
        (self.state.process_id, self.state.activity.secret)
    }

    /// What ReadyForQuery tells.
    pub fn status(&self) -> TransactionStatus {
        match self.block {
            Block::Idle | Block::Implicit => TransactionStatus::Idle,
            Block::Explicit => TransactionStatus::InBlock,
            Block::Failed => TransactionStatus::Failed,
        }
    }

    /// The log position that must be durable before what was said so far may be sent (N2), once, when that is nothing but
    /// acknowledgements and the tags of statements that return no rows.
    pub fn take_gate_of_tags(&self) -> Lsn {
        self.state.gate.replace(Lsn::ZERO)
    }

    /// The log position that must be durable before what was said so far may be sent (N2), once.
    pub fn take_gate(&self) -> Lsn {
        let met = self.state.gate.replace(Lsn::ZERO);
        if !self.state.waits_for_log() {
            return met;
        }
        // Whatever was said about names and shapes came from this catalog or an older one; and a query whose rows were
        // fetched in part may never come to its end.
        let catalog = self.state.database.published_at();
        let more = self.transaction.as_ref().map_or(catalog, |own| own.gate_lsn().max(catalog));
        if more > self.state.instance.transactions().wal().flushed() { met.max(more) } else { met }
    }

    /// Notices since the last call.
    pub fn take_notices(&self) -> Vec<Error> {
        std::mem::take(&mut *self.state.notices.borrow_mut())
    }

    /// Every setting that clients follow, with its value, for the session's start.
    pub fn reported_values(&self) -> Vec<(&'static str, String)> {
        self.state.refresh_settings();
        let settings = self.state.settings.borrow();
        REPORTED_SETTINGS
            .iter()
            .map(|name| (*name, settings.show(name).expect("reported settings are in the table")))
            .collect()
    }

    /// The settings that clients follow and that changed since they were told last.
    pub(crate) fn changed_settings(&mut self) -> Vec<(&'static str, String)> {
        let now = self.reported_values();
        let changed = now
            .iter()
            .zip(&self.reported)
            .filter(|(new, old)| new.1 != old.1)
            .map(|(new, _)| new.clone())
            .collect();
        self.reported = now;
        changed
    }

    /// A setting's current value as SHOW prints it.
    ///
    /// # Errors
    /// 42704 for an unknown name.
    pub fn show(&self, name: &str) -> Result<String> {
        self.state.settings.borrow().show(name)
    }

    /// Bounds what the calling thread may take for the session's work, by `query_memory_limit`, until the value is dropped.
    /// Work beyond it fails with 53200. It counts where the program's allocator is [`ochre_env::memory::Counting`].
    pub fn memory_budget(&self) -> Budget {
        Budget::begin(self.state.settings.borrow().parsed().query_memory_bytes)
    }

    /// How often a caller is to look whether its client is still there while a statement runs
    /// (`client_connection_check_interval`), for [`Activity::probe_client`].
    pub fn client_check_interval(&self) -> Option<Duration> {
        self.state.settings.borrow().parsed().client_check_interval
    }

    /// Aborts the statement that a caller could not finish, for instance because it panicked or its message was broken:
    /// as after any error, a block is failed then and an implicit transaction rolled back.
    pub fn abort_statement(&mut self) {
        self.pending = None;
        // Whatever was being carried out is not any more.
        self.state.running.borrow_mut().clear();
        self.state.transitions.borrow_mut().clear();
        self.state.acting.set(None);
        self.state.ddl_command.replace(None);
        self.state.routine_depth.set(0);
        self.fail();
        self.end_statement();
    }

    /// A call has ended: others see what the session is waiting for now.
    pub(crate) fn end_statement(&self) {
        let state = match self.block {
            Block::Idle | Block::Implicit => ActivityState::Idle,
            Block::Explicit => ActivityState::IdleInTransaction,
            Block::Failed => ActivityState::IdleInFailedTransaction,
        };
        self.state.activity.statement_ended(self.state.instance.now(), state);
    }

    /// How long the client may stay without a word.
    pub fn patience(&self) -> Option<Duration> {
        let settings = self.state.settings.borrow();
        let parsed = settings.parsed();
        match self.status() {
            TransactionStatus::Idle => parsed.idle_session_timeout,
            TransactionStatus::InBlock | TransactionStatus::Failed => {
                parsed.idle_in_transaction_session_timeout
            }
        }
    }

    /// What the session ends with when that has passed.
    pub fn out_of_patience(&self) -> Error {
        match self.status() {
            TransactionStatus::Idle => ended_by(SqlState::IDLE_SESSION_TIMEOUT, "idle-session timeout"),
            TransactionStatus::InBlock | TransactionStatus::Failed => {
                ended_by(SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT, "idle-in-transaction timeout")
            }
        }
    }

    /// What others know of the session; also how it is told to end.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.state.activity
    }

    /// Rolls back what is open; the session can go on.
    pub fn reset_transaction(&mut self) {
        self.pending = None;
        self.end_aborted();
        self.portals.clear();
        self.state.listings.borrow_mut().cursors.clear();
    }
}

/// Refuses a connection that the role may not make.
fn refuse_connection(database: &Database, role: &ochre_catalog::RoleDescriptor, name: &str) -> Result<()> {
    let catalog = database.catalog();
    let roles = catalog.role_set(role.oid);
    let connect = Privileges::CONNECT;
    let allowed = catalog.database(database.oid()).is_some_and(|descriptor| {
        !roles.allowed(descriptor.acl.as_ref(), AclKind::Database, descriptor.owner, connect).is_empty()
    });
    if allowed {
        let instance = database.instance();
        let of_role = || instance.sessions().iter().filter(|other| other.user == role.name).count();
        let limit = usize::try_from(role.connection_limit).ok().filter(|_| !role.superuser);
        if limit.is_some_and(|limit| of_role() >= limit) {
            return Err(Error::with_severity(
                ochre_base::Severity::Fatal,
                SqlState::TOO_MANY_CONNECTIONS,
                format!("too many connections for role \"{}\"", role.name),
            ));
        }
        return Ok(());
    }
    let error = Error::with_severity(
        ochre_base::Severity::Fatal,
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("permission denied for database \"{name}\""),
    );
    Err(error.detail("User does not have CONNECT privilege."))
}

#[cold]
fn refused(message: String) -> Error {
    Error::with_severity(ochre_base::Severity::Fatal, SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message)
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end_aborted();
        self.drop_temporary();
        let database = self.state.database.oid();
        self.state.notices_heard.borrow_mut().close(self.state.instance.notifications(), database);
        self.state.instance.forget_session(&self.state.activity);
    }
}

/// Keeps a statement among those that are being carried out.
pub(crate) struct Running<'a>(&'a RefCell<Vec<Arc<PlannedStatement>>>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().pop();
    }
}

impl State {
    /// Notes that a statement is being carried out, until the value is dropped.
    pub(crate) fn note_running(&self, plan: &Arc<PlannedStatement>) -> Running<'_> {
        self.running.borrow_mut().push(Arc::clone(plan));
        Running(&self.running)
    }

    /// The catalog as the current transaction sees it.
    pub(crate) fn catalog(&self) -> Arc<CatalogSnapshot> {
        self.catalog.borrow().picture(&self.database)
    }

    /// The number of that catalog.
    pub(crate) fn catalog_version(&self) -> u64 {
        let catalog = self.catalog.borrow();
        if catalog.is_empty() {
            self.database.catalog_version()
        } else {
            catalog.picture(&self.database).version
        }
    }

    /// The role of SET SESSION AUTHORIZATION, which is the one that connected unless it was set.
    pub(crate) fn session_role(&self) -> Oid {
        self.refresh_settings();
        self.set_roles.get().0
    }

    /// The role of SET ROLE, or of the session.
    pub(crate) fn current_role(&self) -> Oid {
        self.refresh_settings();
        self.set_roles.get().1
    }

    /// The role that acts: the session's, or the owner of a routine with SECURITY DEFINER.
    pub(crate) fn user_oid(&self) -> Oid {
        match self.acting.get() {
            Some(acting) => acting,
            None => self.current_role(),
        }
    }

    /// The namespace of a name; `pg_temp` is the session's own.
    pub(crate) fn namespace_named(&self, catalog: &CatalogSnapshot, name: &str) -> Option<Oid> {
        if name == "pg_temp" {
            return self.temporary_namespace();
        }
        catalog.namespace_named(name).map(|namespace| namespace.oid)
    }

    /// The namespace of the session's temporary relations, once it has any.
    pub(crate) fn temporary_namespace(&self) -> Option<Oid> {
        self.catalog().namespace_named(&self.temporary_name()).map(|namespace| namespace.oid)
    }

    /// That namespace's name.
    pub(crate) fn temporary_name(&self) -> String {
        format!("{}{}", ochre_catalog::TEMPORARY_PREFIX, self.process_id)
    }

    /// The relation that a name means, along the search path.
    pub(crate) fn find_relation(&self, name: &ObjectName) -> Result<Option<Arc<RelationDescriptor>>> {
        if let Some(database) = name.catalog()
            && **database != *self.activity.database_name
        {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cross-database references are not implemented: \"{name}\""),
            ));
        }
        let catalog = self.catalog();
        Ok(match name.schema() {
            Some(schema) => self.relation_in(&catalog, schema, name.name())?,
            None => catalog.find_relation(&self.search_path(), name.name()).cloned(),
        })
    }

    /// The relation of a name that says its namespace, which must be one that the acting role may use.
    fn relation_in(
        &self,
        catalog: &CatalogSnapshot,
        schema: &str,
        name: &str,
    ) -> Result<Option<Arc<RelationDescriptor>>> {
        let Some(namespace) = self.namespace_named(catalog, schema) else { return Ok(None) };
        self.require_namespace(namespace)?;
        Ok(catalog.relation_in(namespace, name).cloned())
    }

    /// The relation that the parts of a dotted name mean.
    pub(crate) fn find_by_parts(&self, parts: &[String]) -> Result<Option<Arc<RelationDescriptor>>> {
        let catalog = self.catalog();
        Ok(match parts {
            [name] => catalog.find_relation(&self.search_path(), name).cloned(),
            [.., schema, name] => self.relation_in(&catalog, schema, name)?,
            [] => None,
        })
    }

    /// Takes a relation's lock for a transaction.
    pub(crate) fn lock_relation(
        &self,
        transaction: &Transaction,
        oid: Oid,
        mode: RelationLockMode,
    ) -> Result<()> {
        self.lock_relation_or(transaction, oid, mode, LockWait::Block).map(|_| ())
    }

    /// Takes a relation's lock if nobody is in the way.
    pub(crate) fn try_lock_relation(
        &self,
        transaction: &Transaction,
        oid: Oid,
        mode: RelationLockMode,
    ) -> Result<bool> {
        self.lock_relation_or(transaction, oid, mode, LockWait::NoWait)
    }

    fn lock_relation_or(
        &self,
        transaction: &Transaction,
        relation: Oid,
        mode: RelationLockMode,
        wait: LockWait,
    ) -> Result<bool> {
        let tag = LockTag::Relation { database: self.database.oid(), relation };
        self.instance.locks().lock(&self.locks, &transaction.waiter(), tag, mode, wait)
    }

    /// Works with what the session says and hears by NOTIFY and LISTEN.
    pub(crate) fn notices_of_session<R>(&self, work: impl FnOnce(&mut SessionNotices) -> R) -> R {
        work(&mut self.notices_heard.borrow_mut())
    }

    /// Says which identifiers of a text were truncated.
    pub(crate) fn note_truncated_identifiers(&self, text: &str) {
        for (written, name) in ochre_parser::truncated_identifiers(text) {
            self.notice(Error::with_severity(
                ochre_base::Severity::Notice,
                SqlState::NAME_TOO_LONG,
                format!("identifier \"{written}\" will be truncated to \"{name}\""),
            ));
        }
    }

    /// Adds a notice for the client, if it wants that level.
    pub(crate) fn notice(&self, notice: Error) {
        let wanted = {
            let settings = self.settings.borrow();
            let least = settings.text("client_min_messages");
            crate::errors::at_least(notice.fields().severity, least)
        };
        if wanted {
            self.notices.borrow_mut().push(notice);
        }
    }

    /// Whether replies wait for the log.
    fn waits_for_log(&self) -> bool {
        self.settings.borrow().parsed().synchronous_commit
    }

    /// Raises the gate (N2), unless the session does not wait for the log.
    pub(crate) fn note_met(&self, lsn: Lsn) {
        if lsn > self.gate.get() && self.waits_for_log() {
            self.gate.set(lsn);
        }
    }

    /// Raises the gate whether or not the session waits for the log.
    pub(crate) fn require_durable(&self, lsn: Lsn) {
        self.gate.set(self.gate.get().max(lsn));
    }

    /// A NULL or text datum.
    pub(crate) fn text_datum(text: Option<impl AsRef<str>>) -> Datum {
        text.map_or(Datum::Null, |text| Datum::text(text.as_ref()))
    }
}
