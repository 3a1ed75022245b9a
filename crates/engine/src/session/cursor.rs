//! Cursors in SQL: DECLARE, FETCH, MOVE, CLOSE, WHERE CURRENT OF, and what becomes of cursors at a transaction's end.
//!
//! # WHERE CURRENT OF
//! A cursor's query is planned with hidden columns behind its own: the row ids of the tables that it scans alone or
//! locks. An UPDATE or DELETE with WHERE CURRENT OF is planned anew each time, with the row id in the condition's place.
//!
//! # Differences
//! WHERE CURRENT OF under a plan that PostgreSQL would have made otherwise (a sort that an index spares, or not) may be
//! allowed here and refused there, or the other way round.

use std::collections::BTreeMap;
use std::sync::Arc;

use ochre_base::{Error, Oid, Result, RowId, SqlState};
use ochre_parser::ast::{
    CurrentOf, DeclareCursorStmt, Expr, FetchDirection, FetchStmt, LockStrength, SelectStmt, Statement,
};
use ochre_sql::physical::{OutputColumn, PlannedStatement};
use parking_lot::Mutex;

use super::extended::{Parameters, Prepared, ResultFormats};
use super::plan::PlanFor;
use super::portal::{
    ALL_ROWS, CursorOptions, Move, OpenQuery, Portal, PortalState, RowIdColumn, Scroll, can_repeat,
    is_simple_scan,
};
use super::utility::Protocol;
use super::{Block, Session};
use crate::ddl::quote_identifier;
use crate::sink::Sink;
use crate::tag::CommandTag;

/// The depth of a cursor that is held, but whose transaction has not committed yet.
const FRESHLY_HELD: usize = usize::MAX;

/// Rows of `pg_cursors` and `pg_prepared_statements`: kept beside the session's own maps, where functions can read them.
#[derive(Default)]
pub(crate) struct Listings {
    pub cursors: BTreeMap<Box<str>, CursorListing>,
    pub prepared: BTreeMap<Box<str>, PreparedListing>,
}

/// A row of `pg_cursors`.
pub(crate) struct CursorListing {
    pub statement: Arc<str>,
    pub options: CursorOptions,
    pub created: i64,
}

/// A row of `pg_prepared_statements`.
pub(crate) struct PreparedListing {
    pub statement: Arc<str>,
    pub prepared: Arc<Prepared>,
    pub from_sql: bool,
    pub created: i64,
}

/// A statement's condition that names a cursor.
pub(crate) fn current_of(statement: &Statement) -> Option<&CurrentOf> {
    let condition = match statement {
        Statement::Update(update) => &update.where_clause,
        Statement::Delete(delete) => &delete.where_clause,
        _ => return None,
    };
    match condition {
        Some(Expr::CurrentOf(current)) => Some(current),
        _ => None,
    }
}

impl Session {
    /// The text of the whole message that a statement stands in, as PostgreSQL lists it.
    pub(crate) fn source_text(&self, text: &str) -> Arc<str> {
        match &self.pending {
            Some(pending) if !pending.text().is_empty() => Arc::clone(pending.text()),
            _ => text.into(),
        }
    }

    /// DECLARE.
    ///
    /// # Errors
    /// 25P01 outside a block without WITH HOLD, 42P03 for a name in use, 0A000 and 42P11 for options that exclude each
    /// other, and those of the query.
    pub(crate) fn declare_cursor(
        &mut self,
        declare: &DeclareCursorStmt,
        text: &str,
        parameters: Parameters<'_>,
    ) -> Result<CommandTag> {
        check_options(declare)?;
        let several = self.pending.as_ref().is_some_and(super::simple::Pending::is_multiple);
        if !declare.hold && self.block != Block::Explicit && !several {
            return Err(Error::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "DECLARE CURSOR can only be used in transaction blocks",
            ));
        }
        let name: &str = &declare.name;
        if name.is_empty() {
            return Err(Error::new(SqlState::INVALID_CURSOR_NAME, "invalid cursor name: must not be empty"));
        }
        if self.portals.contains(name) {
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists")));
        }
        let (plan, row_ids, locks) = self.plan_cursor(&declare.query, &parameters.oids())?;
        if plan.ctes.iter().any(|cte| cte.modifies) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "DECLARE CURSOR must not contain data-modifying statements in WITH",
            ));
        }
        let repeatable = plan.read_only && can_repeat(&plan.plan);
        let scroll = match declare.scroll {
            Some(false) => Scroll::No,
            Some(true) if repeatable => Scroll::ByRepetition,
            Some(true) => Scroll::ByKeptRows,
            None if repeatable && !locks => Scroll::ByRepetition,
            None => Scroll::No,
        };
        let query = self.open_query(Arc::clone(&plan), scroll, row_ids)?;
        let statement = self.source_text(text);
        let options = CursorOptions { scroll, hold: declare.hold, binary: declare.binary };
        let portal = Portal {
            prepared: Arc::new(Prepared {
                text: Arc::clone(&statement),
                statement: None,
                parameters: plan.parameters.clone(),
                shape: Some(Arc::clone(&query.shape)),
                plans: Mutex::default(),
            }),
            parameters: parameters.values.to_vec(),
            formats: ResultFormats::new(),
            options,
            depth: self.savepoints.len(),
            held: false,
            state: PortalState::Open(Box::new(query)),
        };
        self.portals.insert(name, portal);
        let created = self.state.statement_time.get();
        let listing = CursorListing { statement, options, created };
        self.state.listings.borrow_mut().cursors.insert(name.into(), listing);
        Ok(CommandTag::Plain("DECLARE CURSOR"))
    }

    /// Plans a cursor's query, with the row ids of the tables that WHERE CURRENT OF could mean as hidden columns at the
    /// end; and tells whether it locks rows.
    fn plan_cursor(
        &mut self,
        query: &SelectStmt,
        types: &[Oid],
    ) -> Result<(Arc<PlannedStatement>, Vec<RowIdColumn>, bool)> {
        let locks = !query.locking.is_empty();
        let statement = Statement::Select(query.clone().into());
        let plan = self.plan_for_cursor(&statement, types, PlanFor::CURSOR)?;
        if !plan.cursor_tables.is_empty() && !locks && !is_simple_scan(&plan.plan) {
            let plan = self.plan_for_cursor(&statement, types, PlanFor::ONE_THREAD)?;
            return Ok((plan, Vec::new(), locks));
        }
        let visible = plan.row_shape.len() - plan.cursor_tables.len();
        let tables = plan.cursor_tables.iter().enumerate();
        let row_ids = tables.map(|(i, table)| RowIdColumn { table: *table, column: visible + i }).collect();
        Ok((plan, row_ids, locks))
    }

    /// The shape of what a FETCH sends; `None` for MOVE, and while there is no such cursor.
    pub(crate) fn fetch_shape(&self, fetch: &FetchStmt) -> Option<Arc<[OutputColumn]>> {
        let name: &str = &fetch.cursor;
        let portal = self.portals.get(name).filter(|_| !fetch.is_move)?;
        portal.prepared.shape.clone()
    }

    /// FETCH and MOVE.
    ///
    /// # Errors
    /// 34000 for an unknown cursor, 55000 for a move that it does not allow, and those of its query.
    pub(crate) fn fetch(
        &mut self,
        fetch: &FetchStmt,
        protocol: Protocol,
        sink: &mut dyn Sink,
    ) -> Result<CommandTag> {
        let name: &str = &fetch.cursor;
        let mut portal = self.portals.remove(name).ok_or_else(|| undefined_cursor(name))?;
        let result = self.fetch_from(&mut portal, fetch, name, protocol, sink);
        if result.is_err() {
            portal.state = PortalState::Failed;
        }
        self.portals.insert(name, portal);
        let rows = result?;
        Ok(CommandTag::Rows(if fetch.is_move { "MOVE" } else { "FETCH" }, rows))
    }

    fn fetch_from(
        &mut self,
        portal: &mut Portal,
        fetch: &FetchStmt,
        name: &str,
        protocol: Protocol,
        sink: &mut dyn Sink,
    ) -> Result<u64> {
        if let PortalState::Ready = portal.state {
            self.open_portal(portal)?;
        }
        let show = !fetch.is_move;
        if show && protocol == Protocol::Simple {
            let shape = portal.prepared.shape.clone().ok_or_else(|| not_a_query(name))?;
            sink.binary_rows(portal.options.binary);
            sink.row_shape(&shape)?;
        }
        let result = match &mut portal.state {
            PortalState::Open(query) => {
                let sink: Option<&mut dyn Sink> = if show { Some(&mut *sink) } else { None };
                self.move_query(query, &portal.parameters, direction(fetch.direction), sink)
            }
            PortalState::Failed => Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("portal \"{name}\" cannot be run"),
            )),
            PortalState::Done | PortalState::Ready => Ok(0),
        };
        if show && protocol == Protocol::Simple {
            sink.binary_rows(false);
        }
        result
    }

    /// Begins the query of a portal that was bound and not executed.
    fn open_portal(&mut self, portal: &mut Portal) -> Result<()> {
        let prepared = Arc::clone(&portal.prepared);
        if !prepared.statement.as_ref().is_some_and(super::is_plannable) {
            return Ok(());
        }
        let plan = self.valid_plan(&prepared, &portal.parameters)?;
        if plan.returns_rows {
            let query = self.open_query(plan, portal.options.scroll, Vec::new())?;
            portal.state = PortalState::Open(Box::new(query));
        }
        Ok(())
    }

    /// CLOSE.
    ///
    /// # Errors
    /// 34000 for an unknown cursor.
    pub(crate) fn close_cursor(&mut self, name: Option<&str>) -> Result<CommandTag> {
        match name {
            None => {
                self.portals.clear();
                self.state.listings.borrow_mut().cursors.clear();
                Ok(CommandTag::Plain("CLOSE CURSOR ALL"))
            }
            Some(name) => {
                self.portals.remove(name).ok_or_else(|| undefined_cursor(name))?;
                self.state.listings.borrow_mut().cursors.remove(name);
                Ok(CommandTag::Plain("CLOSE CURSOR"))
            }
        }
    }

    /// Computes what WITH HOLD promises of the transaction's cursors. Called before its commit.
    ///
    /// # Errors
    /// Those of the queries.
    pub(crate) fn hold_cursors(&mut self) -> Result<()> {
        let held: Vec<Box<str>> = self
            .portals
            .iter()
            .filter(|(_, portal)| portal.options.hold && !portal.held)
            .map(|(name, _)| name.into())
            .collect();
        for name in held {
            let Some(mut portal) = self.portals.remove(&name) else { continue };
            let held = match &mut portal.state {
                PortalState::Open(query) => self.hold_query(query, &portal.parameters),
                _ => Ok(()),
            };
            if held.is_ok() {
                portal.depth = FRESHLY_HELD;
                portal.held = true;
            }
            self.portals.insert(&name, portal);
            held?;
        }
        Ok(())
    }

    /// The transaction that cursors were held for has committed.
    pub(crate) fn settle_held_cursors(&mut self) {
        for portal in self.portals.values_mut().filter(|portal| portal.depth == FRESHLY_HELD) {
            portal.depth = 0;
        }
    }

    /// The commit of the transaction that cursors were held for has failed.
    pub(crate) fn drop_fresh_held_cursors(&mut self) {
        if !self.portals.is_empty() {
            self.retain_portals(|portal| portal.depth != FRESHLY_HELD);
        }
    }

    /// Whether the transaction made a cursor that is to outlive it.
    pub(crate) fn has_new_held_cursor(&self) -> bool {
        self.portals.iter().any(|(_, portal)| portal.options.hold && !portal.held)
    }

    /// Removes the portals that end with the transaction.
    pub(crate) fn close_transaction_portals(&mut self) {
        if !self.portals.is_empty() {
            self.retain_portals(|portal| portal.held);
        }
    }

    /// Removes the portals that were made since a savepoint, which is the one of this number.
    pub(crate) fn close_portals_since(&mut self, savepoint: usize) {
        if !self.portals.is_empty() {
            self.retain_portals(|portal| portal.depth <= savepoint);
        }
    }

    /// A savepoint is released: what was made since then belongs to what is around it.
    pub(crate) fn release_portals(&mut self, savepoint: usize) {
        for portal in self.portals.values_mut() {
            portal.depth = portal.depth.min(savepoint);
        }
    }

    fn retain_portals(&mut self, stays: impl Fn(&Portal) -> bool) {
        self.portals.retain(stays);
        let portals = &self.portals;
        self.state.listings.borrow_mut().cursors.retain(|name, _| portals.contains(name));
    }

    /// Whether a query of this session that is not at its end uses a relation.
    pub(crate) fn is_used_by_portal(&self, relation: Oid) -> bool {
        self.portals.iter().any(|(_, portal)| match &portal.state {
            PortalState::Open(query) => {
                query.plan().is_some_and(|plan| plan.relations.iter().any(|used| used.oid == relation))
            }
            _ => false,
        })
    }

    /// A statement with WHERE CURRENT OF, with the cursor's row in the condition's place. `None` for all others.
    ///
    /// # Errors
    /// 34000 for an unknown cursor, 24000 for one that stands on no row of the table.
    pub(crate) fn resolve_current_of(&self, statement: &Statement) -> Result<Option<Statement>> {
        let Some(current) = current_of(statement) else { return Ok(None) };
        let (name, relation) = match statement {
            Statement::Update(update) => (&current.cursor, &update.table),
            Statement::Delete(delete) => (&current.cursor, &delete.table),
            _ => return Ok(None),
        };
        let table = self.state.find_relation(&relation.name)?;
        let table = table.ok_or_else(|| crate::ddl::undefined(&relation.name))?;
        let row = self.current_row(name, table.oid, &table.name)?;
        with_row_condition(statement, row).map(Some)
    }

    /// The row of a table that a cursor stands on; `None` when its current row has no part from that table.
    fn current_row(&self, cursor: &str, table: Oid, table_name: &str) -> Result<Option<RowId>> {
        let wrong = |message: String| Error::new(SqlState::INVALID_CURSOR_STATE, message);
        let portal = self.portals.get(cursor).ok_or_else(|| undefined_cursor(cursor))?;
        let query: &OpenQuery = match &portal.state {
            PortalState::Open(query) if query.command == ochre_sql::physical::CommandKind::Select => query,
            _ => return Err(wrong(format!("cursor \"{cursor}\" is not a SELECT query"))),
        };
        let Some(plan) = query.plan() else {
            return Err(wrong(format!("cursor \"{cursor}\" is held from a previous transaction")));
        };
        let mut found = query.row_ids.iter().enumerate().filter(|(_, id)| id.table == table);
        let Some((number, _)) = found.next() else {
            return Err(wrong(if plan.read_only {
                format!("cursor \"{cursor}\" is not a simply updatable scan of table \"{table_name}\"")
            } else {
                format!(
                    "cursor \"{cursor}\" does not have a FOR UPDATE/SHARE reference to table \"{table_name}\""
                )
            }));
        };
        if found.next().is_some() {
            return Err(wrong(format!(
                "cursor \"{cursor}\" has multiple FOR UPDATE/SHARE references to table \"{table_name}\""
            )));
        }
        if !query.is_on_row() {
            return Err(wrong(format!("cursor \"{cursor}\" is not positioned on a row")));
        }
        Ok(query.current_row_id(number))
    }
}

/// A statement with WHERE CURRENT OF whose cursor is not looked at yet: it is only described.
///
/// # Errors
/// None that a statement of the parser's making could cause.
pub(crate) fn without_cursor(statement: &Statement) -> Result<Option<Statement>> {
    match current_of(statement) {
        None => Ok(None),
        Some(_) => with_row_condition(statement, None).map(Some),
    }
}

/// Puts a row id in the place of WHERE CURRENT OF.
fn with_row_condition(statement: &Statement, row: Option<RowId>) -> Result<Statement> {
    let condition = |alias: &str| {
        let row = row.map_or("NULL".to_string(), |row| format!("'{row}'"));
        ochre_parser::parse_expression(&format!("{}.ctid = {row}::pg_catalog.tid", quote_identifier(alias)))
    };
    let mut statement = statement.clone();
    match &mut statement {
        Statement::Update(update) => {
            let alias = update.alias.as_deref().unwrap_or_else(|| update.table.name.name());
            update.where_clause = Some(condition(alias)?);
        }
        Statement::Delete(delete) => {
            let alias = delete.alias.as_deref().unwrap_or_else(|| delete.table.name.name());
            delete.where_clause = Some(condition(alias)?);
        }
        _ => {}
    }
    Ok(statement)
}

fn check_options(declare: &DeclareCursorStmt) -> Result<()> {
    let both = match declare.opposed {
        opposed if opposed.scroll => Some("SCROLL and NO SCROLL"),
        opposed if opposed.insensitive => Some("ASENSITIVE and INSENSITIVE"),
        _ => None,
    };
    if let Some(both) = both {
        let message = format!("cannot specify both {both}");
        return Err(Error::new(SqlState::INVALID_CURSOR_DEFINITION, message));
    }
    let Some(strength) = declare.query.locking.iter().map(|clause| clause.strength).max() else {
        return Ok(());
    };
    let strength = match strength {
        LockStrength::KeyShare => "FOR KEY SHARE",
        LockStrength::Share => "FOR SHARE",
        LockStrength::NoKeyUpdate => "FOR NO KEY UPDATE",
        LockStrength::Update => "FOR UPDATE",
    };
    let unsupported = |what: &str, detail: &str| {
        let message = format!("DECLARE {what} ... {strength} is not supported");
        Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(detail))
    };
    if declare.hold {
        return unsupported("CURSOR WITH HOLD", "Holdable cursors must be READ ONLY.");
    }
    if declare.scroll == Some(true) {
        return unsupported("SCROLL CURSOR", "Scrollable cursors must be READ ONLY.");
    }
    if declare.insensitive == Some(true) {
        let message = format!("DECLARE INSENSITIVE CURSOR ... {strength} is not valid");
        return Err(Error::new(SqlState::INVALID_CURSOR_DEFINITION, message)
            .detail("Insensitive cursors must be READ ONLY."));
    }
    Ok(())
}

fn direction(direction: FetchDirection) -> Move {
    let count = |rows: i64| if rows == FetchDirection::ALL { ALL_ROWS } else { rows.unsigned_abs() };
    match direction {
        FetchDirection::Forward(rows) if rows < 0 => Move::Backward(rows.unsigned_abs()),
        FetchDirection::Forward(rows) => Move::Forward(count(rows)),
        FetchDirection::Backward(rows) if rows < 0 => Move::Forward(rows.unsigned_abs()),
        FetchDirection::Backward(rows) => Move::Backward(count(rows)),
        FetchDirection::Absolute(row) => Move::Absolute(row),
        FetchDirection::Relative(rows) => Move::Relative(rows),
    }
}

#[cold]
fn undefined_cursor(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}

#[cold]
fn not_a_query(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_STATE, format!("cursor \"{name}\" is not a SELECT query"))
}
