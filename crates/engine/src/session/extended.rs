//! The extended protocol: prepared statements and portals.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_parser::ast::{Statement, TransactionStmt};
use ochre_sql::bind::ParamTypes;
use ochre_sql::physical::OutputColumn;
use ochre_types::{Datum, SqlType};
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::cursor::{CursorListing, PreparedListing};
use super::plan::{KeptPlans, QueryParameters};
use super::portal::{ALL_ROWS, CursorOptions, Move, Portal, PortalState};
use super::simple::is_plannable;
use super::suspended::SuspendedStatement;
use super::transaction::failed_block;
use super::utility::Protocol;
use super::{Block, Session};
use crate::sink::Sink;
use crate::tag::CommandTag;

/// A prepared statement.
pub(crate) struct Prepared {
    pub text: Arc<str>,
    /// `None` for an empty text.
    pub statement: Option<Statement>,
    pub parameters: Vec<SqlType>,
    /// The rows' shape; `None` for a statement that returns none.
    pub shape: Option<Arc<[OutputColumn]>>,
    pub plans: Mutex<KeptPlans>,
}

/// A statement's parameters, and what they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameters<'a> {
    pub types: &'a [SqlType],
    pub values: &'a [Datum],
}

impl Parameters<'_> {
    /// None at all.
    pub(crate) const NONE: Parameters<'static> = Parameters { types: &[], values: &[] };

    /// The types' ids.
    pub(crate) fn oids(&self) -> Vec<Oid> {
        self.types.iter().map(|ty| ty.oid).collect()
    }
}

impl QueryParameters for Parameters<'_> {
    fn types(&self) -> ParamTypes {
        ParamTypes::of_types(self.types)
    }

    fn values(&self) -> Vec<Datum> {
        self.values.to_vec()
    }
}

/// What Describe of a statement tells.
#[derive(Debug, Clone)]
pub struct StatementShape {
    pub parameters: Vec<SqlType>,
    pub columns: Option<Arc<[OutputColumn]>>,
}

/// Format codes of result columns: none (all text), one for all, or one each.
pub type ResultFormats = SmallVec<[u16; 8]>;

/// What Describe of a portal tells.
#[derive(Debug, Clone)]
pub struct PortalShape {
    pub columns: Option<Arc<[OutputColumn]>>,
    pub formats: ResultFormats,
}

/// How an Execute ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecuteOutcome {
    /// The statement is done; its tag went to the sink.
    Complete,
    /// The row limit was reached and there is more.
    Suspended,
    /// The statement was empty.
    Empty,
    /// A COPY … FROM STDIN waits for data.
    CopyIn,
    /// The statement waits for a row: see [`Session::allow_suspension`].
    Waiting,
}

impl Session {
    /// Parse.
    ///
    /// # Errors
    /// Those of parsing and binding; 42P05 when the name is taken.
    pub fn parse(&mut self, name: &str, text: &str, parameter_types: &[Oid]) -> Result<()> {
        let result = self.parse_inner(name, text, parameter_types);
        result.inspect_err(|_| self.fail())
    }

    fn parse_inner(&mut self, name: &str, text: &str, parameter_types: &[Oid]) -> Result<()> {
        self.start_statement();
        if !name.is_empty() && self.statements.contains_key(name) {
            return Err(Error::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        let mut statements = ochre_parser::parse(text)?;
        self.state.note_truncated_identifiers(text);
        if statements.len() > 1 {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        let statement = statements.pop().map(|raw| raw.stmt);
        let prepared = Arc::new(self.prepare(text, statement, parameter_types)?);
        if !name.is_empty() {
            self.list_prepared(name, &prepared, Arc::clone(&prepared.text), false);
        }
        self.statements.insert(name.into(), prepared);
        Ok(())
    }

    /// Lists a named statement in `pg_prepared_statements`.
    pub(crate) fn list_prepared(
        &self,
        name: &str,
        prepared: &Arc<Prepared>,
        statement: Arc<str>,
        from_sql: bool,
    ) {
        let created = self.state.statement_time.get();
        let listing = PreparedListing { statement, prepared: Arc::clone(prepared), from_sql, created };
        self.state.listings.borrow_mut().prepared.insert(name.into(), listing);
    }

    /// Binds a statement's names and parameter types.
    pub(crate) fn prepare(
        &mut self,
        text: &str,
        statement: Option<Statement>,
        parameter_types: &[Oid],
    ) -> Result<Prepared> {
        let mut prepared = Prepared {
            text: text.into(),
            statement: None,
            parameters: Vec::new(),
            shape: None,
            plans: Mutex::default(),
        };
        let Some(statement) = statement else {
            return Ok(prepared);
        };
        if self.block == Block::Failed && !ends_block(&statement) {
            return Err(failed_block());
        }
        if is_plannable(&statement) {
            self.begin_implicit()?;
            if self.txn().isolation().uses_transaction_snapshot() {
                // What it is planned for is what the transaction sees from now on.
                self.statement_snapshot()?;
            }
            let described = super::cursor::without_cursor(&statement)?;
            let described = described.as_ref().unwrap_or(&statement);
            let generic = self.shared_plan(described, text, parameter_types)?;
            let plan = generic.plan();
            prepared.parameters.clone_from(&plan.parameters);
            prepared.shape = plan.returns_rows.then(|| plan.row_shape.as_slice().into());
            prepared.plans.get_mut().replace(generic);
        } else {
            let known = self.utility_interface(&statement, parameter_types)?;
            (prepared.parameters, prepared.shape) = (known.parameters, known.columns);
        }
        prepared.statement = Some(statement);
        Ok(prepared)
    }

    fn statement(&self, name: &str) -> Result<&Arc<Prepared>> {
        self.statements.get(name).ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_string()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, message)
        })
    }

    /// Describe of a statement.
    ///
    /// # Errors
    /// 26000 when there is none of that name.
    pub fn describe_statement(&mut self, name: &str) -> Result<StatementShape> {
        let prepared = self.statement(name).cloned().inspect_err(|_| self.fail())?;
        Ok(StatementShape { parameters: prepared.parameters.clone(), columns: prepared.shape.clone() })
    }

    /// The parameters' types of a statement, for reading the values of a Bind.
    ///
    /// # Errors
    /// 26000 when there is none of that name.
    pub fn parameter_types(&mut self, name: &str) -> Result<Vec<SqlType>> {
        let prepared = self.statement(name).cloned().inspect_err(|_| self.fail())?;
        Ok(prepared.parameters.clone())
    }

    /// Bind: makes a portal. `values` are the parameters' bytes, `formats` tells for each whether it is binary.
    ///
    /// # Errors
    /// 08P01 for the wrong number of parameters, 22P02 and others for values, 42P03 when the name is taken.
    pub fn bind<'v>(
        &mut self,
        portal: &str,
        statement: &str,
        values: impl ExactSizeIterator<Item = (bool, Option<&'v [u8]>)>,
        formats: ResultFormats,
    ) -> Result<()> {
        let result = self.bind_inner(portal, statement, values, formats);
        result.inspect_err(|_| self.fail())
    }

    /// Bind with values that are of the parameters' types already, and results as they are.
    ///
    /// # Errors
    /// As [`Session::bind`].
    pub fn bind_values(&mut self, portal: &str, statement: &str, values: Vec<Datum>) -> Result<()> {
        let result = self.bind_values_inner(portal, statement, values);
        result.inspect_err(|_| self.fail())
    }

    fn bind_values_inner(&mut self, portal: &str, statement: &str, values: Vec<Datum>) -> Result<()> {
        let prepared = Arc::clone(self.statement(statement)?);
        if self.block == Block::Failed && !prepared.statement.as_ref().is_none_or(ends_block) {
            return Err(failed_block());
        }
        self.add_portal(portal, prepared, values, ResultFormats::new());
        Ok(())
    }

    fn bind_inner<'v>(
        &mut self,
        portal: &str,
        statement: &str,
        values: impl ExactSizeIterator<Item = (bool, Option<&'v [u8]>)>,
        formats: ResultFormats,
    ) -> Result<()> {
        let prepared = Arc::clone(self.statement(statement)?);
        if values.len() != prepared.parameters.len() {
            return Err(Error::new(
                SqlState::PROTOCOL_VIOLATION,
                format!(
                    "bind message supplies {} parameters, but prepared statement \"{statement}\" requires {}",
                    values.len(),
                    prepared.parameters.len()
                ),
            ));
        }
        if self.block == Block::Failed && !prepared.statement.as_ref().is_none_or(ends_block) {
            return Err(failed_block());
        }
        if !portal.is_empty() && self.portals.contains(portal) {
            return Err(Error::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{portal}\" already exists"),
            ));
        }
        if self.block == Block::Idle && prepared.statement.as_ref().is_some_and(is_plannable) {
            self.start_statement();
            self.begin_implicit()?;
        }
        let list = self.portals.parameter_list();
        let parameters = self.read_parameters(&prepared.parameters, values, list)?;
        if let Some(columns) = &prepared.shape
            && formats.len() > 1
            && formats.len() != columns.len()
        {
            return Err(Error::new(
                SqlState::PROTOCOL_VIOLATION,
                format!(
                    "bind message has {} result formats but query has {} columns",
                    formats.len(),
                    columns.len()
                ),
            ));
        }
        self.add_portal(portal, prepared, parameters, formats);
        Ok(())
    }

    fn add_portal(
        &mut self,
        name: &str,
        prepared: Arc<Prepared>,
        parameters: Vec<Datum>,
        formats: ResultFormats,
    ) {
        if !name.is_empty() {
            let listing = CursorListing {
                statement: Arc::clone(&prepared.text),
                options: CursorOptions::PROTOCOL,
                created: self.state.statement_time.get(),
            };
            self.state.listings.borrow_mut().cursors.insert(name.into(), listing);
        }
        let portal = Portal {
            prepared,
            parameters,
            formats,
            options: CursorOptions::PROTOCOL,
            depth: self.savepoints.len(),
            held: false,
            state: PortalState::Ready,
        };
        self.portals.insert(name, portal);
    }

    fn portal(&self, name: &str) -> Result<&Portal> {
        self.portals.get(name).ok_or_else(|| {
            Error::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
        })
    }

    /// Describe of a portal.
    ///
    /// # Errors
    /// 34000 when there is none of that name.
    pub fn describe_portal(&mut self, name: &str) -> Result<PortalShape> {
        let shape = self.portal(name).map(|portal| PortalShape {
            columns: portal.prepared.shape.clone(),
            formats: portal.formats.clone(),
        });
        shape.inspect_err(|_| self.fail())
    }

    /// Execute, for at most `max_rows` rows (0 is no limit). Rows go to the sink in the portal's formats, which
    /// [`Session::describe_portal`] tells.
    ///
    /// # Errors
    /// The statement's.
    pub fn execute(&mut self, name: &str, max_rows: u32, sink: &mut dyn Sink) -> Result<ExecuteOutcome> {
        self.start_statement();
        self.execute_again(name, max_rows, sink)
    }

    /// [`Session::execute`], within a statement that has begun: the first time, or after a suspension.
    pub(crate) fn execute_again(
        &mut self,
        name: &str,
        max_rows: u32,
        sink: &mut dyn Sink,
    ) -> Result<ExecuteOutcome> {
        let result = self.execute_inner(name, max_rows, sink);
        if let Ok(ExecuteOutcome::Waiting) = result {
            self.suspend_statement(SuspendedStatement::Portal(name.into(), max_rows));
            return result;
        }
        self.finish_call(result, sink)
    }

    fn execute_inner(&mut self, name: &str, max_rows: u32, sink: &mut dyn Sink) -> Result<ExecuteOutcome> {
        let mut portal = match self.portals.remove(name) {
            Some(portal) => portal,
            None => return Err(self.portal(name).map(|_| ()).expect_err("it was not found")),
        };
        self.state.activity.note_query(&portal.prepared.text);
        let outcome = self.execute_portal(&mut portal, max_rows, sink);
        // A portal survives its execution, but not its transaction; after an error only a savepoint saves it.
        if outcome.is_err() {
            portal.state = PortalState::Failed;
        }
        if self.block != Block::Idle && (outcome.is_ok() || !self.savepoints.is_empty()) {
            self.portals.insert(name, portal);
        } else if !name.is_empty() {
            self.state.listings.borrow_mut().cursors.remove(name);
        }
        outcome
    }

    fn execute_portal(
        &mut self,
        portal: &mut Portal,
        max_rows: u32,
        sink: &mut dyn Sink,
    ) -> Result<ExecuteOutcome> {
        let prepared = Arc::clone(&portal.prepared);
        if let PortalState::Open(_) | PortalState::Failed = portal.state {
            if self.block == Block::Failed {
                return Err(failed_block());
            }
            self.begin_implicit()?;
            return self.execute_plan(portal, max_rows, sink);
        }
        let Some(statement) = &prepared.statement else {
            sink.empty();
            return Ok(ExecuteOutcome::Empty);
        };
        if let Statement::Transaction(statement) = statement {
            let tag = self.transaction_statement(statement)?;
            sink.complete(tag);
            return Ok(ExecuteOutcome::Complete);
        }
        if self.block == Block::Failed {
            return Err(failed_block());
        }
        self.begin_implicit()?;
        if !is_plannable(statement) {
            let values = std::mem::take(&mut portal.parameters);
            let parameters = Parameters { types: &prepared.parameters, values: &values };
            return match self.run_utility(statement, &prepared.text, parameters, Protocol::Extended, sink)? {
                Some(tag) => {
                    portal.state = PortalState::Done;
                    self.flush_notices(sink);
                    sink.complete(tag);
                    Ok(ExecuteOutcome::Complete)
                }
                None => Ok(ExecuteOutcome::CopyIn),
            };
        }
        self.execute_plan(portal, max_rows, sink)
    }

    fn execute_plan(
        &mut self,
        portal: &mut Portal,
        max_rows: u32,
        sink: &mut dyn Sink,
    ) -> Result<ExecuteOutcome> {
        if let PortalState::Ready = portal.state {
            let plan = self.valid_plan(&portal.prepared, &portal.parameters)?;
            // Without a limit the whole statement runs at once.
            if max_rows == 0 || !plan.returns_rows {
                let parameters = &portal.parameters;
                let done = self.run_or_suspend(&plan, |session| session.run_rows(&plan, parameters, sink))?;
                let Some(tag) = done else { return Ok(ExecuteOutcome::Waiting) };
                portal.state = PortalState::Done;
                self.flush_notices(sink);
                sink.complete(tag);
                return Ok(ExecuteOutcome::Complete);
            }
            portal.state =
                PortalState::Open(Box::new(self.open_query(plan, portal.options.scroll, Vec::new())?));
        }
        let query = match &mut portal.state {
            PortalState::Open(query) => query,
            PortalState::Failed => {
                return Err(Error::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "a portal that has failed cannot be run",
                ));
            }
            PortalState::Ready | PortalState::Done => {
                sink.complete(CommandTag::Rows("SELECT", 0));
                return Ok(ExecuteOutcome::Complete);
            }
        };
        let limit = if max_rows == 0 { ALL_ROWS } else { u64::from(max_rows) };
        let rows = self.move_query(query, &portal.parameters, Move::Forward(limit), Some(&mut *sink))?;
        if rows == limit {
            return Ok(ExecuteOutcome::Suspended);
        }
        let tag = CommandTag::of(query.command, rows);
        self.flush_notices(sink);
        sink.complete(tag);
        Ok(ExecuteOutcome::Complete)
    }

    /// Close of a statement; one that is not there is fine.
    pub fn close_statement(&mut self, name: &str) {
        self.statements.remove(name);
        self.state.listings.borrow_mut().prepared.remove(name);
    }

    /// Close of a portal; one that is not there is fine.
    pub fn close_portal(&mut self, name: &str) {
        if self.portals.remove(name).is_some() && !name.is_empty() {
            self.state.listings.borrow_mut().cursors.remove(name);
        }
    }

    /// Sync: an implicit transaction ends.
    ///
    /// # Errors
    /// When the commit fails.
    pub fn sync(&mut self, sink: &mut dyn Sink) -> Result<()> {
        let result = self.end_implicit();
        self.pending = None;
        self.finish_call(result, sink)
    }
}

/// Whether a statement is allowed in a failed block.
fn ends_block(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Transaction(transaction)
            if matches!(
                **transaction,
                TransactionStmt::Commit { .. } | TransactionStmt::Rollback { .. } | TransactionStmt::RollbackTo(..)
            )
    )
}
