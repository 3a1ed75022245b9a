//! The session as threads see it that work on a part of its statement.
//!
//! It is a copy, made when the statement runs: what parallel safe functions ask of a session does not change meanwhile.
//! Everything else (sequences, routines, the catalog's own functions) stays with the session's thread; the planner
//! sees to it that nobody asks.

use std::sync::Arc;

use ochre_base::{Oid, Result, SqlState};
use ochre_expr::{SessionContext, WorkerWatch};
use ochre_txn::Interrupt;
use ochre_types::FormatContext;

use super::context::{CatalogNames, StatementSession};
use crate::settings::Settings;

/// What a helping thread has as its session.
pub(crate) struct WorkerSession {
    format: FormatContext,
    names: Arc<CatalogNames>,
    transaction_time: i64,
    statement_time: i64,
    /// Who acts, and who has connected.
    users: [String; 2],
    database: String,
    paths: [Vec<String>; 2],
    settings: Settings,
    process_id: i32,
    interrupt: Arc<Interrupt>,
    watch: Arc<dyn WorkerWatch>,
}

impl WorkerSession {
    pub(crate) fn new(session: &StatementSession<'_>, watch: Arc<dyn WorkerWatch>) -> WorkerSession {
        WorkerSession {
            format: session.format().clone(),
            names: session.state.catalog_names(),
            transaction_time: session.transaction_timestamp(),
            statement_time: session.statement_timestamp(),
            users: [session.current_user().to_owned(), session.session_user().to_owned()],
            database: session.database().to_owned(),
            paths: [session.search_path(false), session.search_path(true)],
            settings: session.state.settings.borrow().clone(),
            process_id: session.backend_pid(),
            interrupt: Arc::clone(&session.state.interrupt),
            watch,
        }
    }
}

impl SessionContext for WorkerSession {
    fn format(&self) -> &FormatContext {
        &self.format
    }

    fn transaction_timestamp(&self) -> i64 {
        self.transaction_time
    }

    fn statement_timestamp(&self) -> i64 {
        self.statement_time
    }

    fn current_user(&self) -> &str {
        &self.users[0]
    }

    fn session_user(&self) -> &str {
        &self.users[1]
    }

    fn database(&self) -> &str {
        &self.database
    }

    fn search_path(&self, implicit: bool) -> Vec<String> {
        self.paths[usize::from(implicit)].clone()
    }

    fn version(&self) -> String {
        crate::version()
    }

    fn setting(&self, name: &str) -> Result<Option<String>> {
        match self.settings.show(name) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.sqlstate() == SqlState::UNDEFINED_OBJECT => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn user_type_name(&self, oid: Oid, _typmod: i32) -> Option<String> {
        self.names.user_type(oid)
    }

    fn role_name(&self, oid: Oid) -> Option<String> {
        self.names.role(oid)
    }

    fn check_interrupts(&self) -> Result<()> {
        self.interrupt.check()?;
        self.watch.check()
    }

    fn backend_pid(&self) -> i32 {
        self.process_id
    }
}
