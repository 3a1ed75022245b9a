//! Planning, and keeping plans.

use std::sync::Arc;

use ochre_base::{Error, Lsn, Oid, Result, SqlState};
use ochre_parser::ast::Statement;
use ochre_sql::Planner;
use ochre_sql::bind::ParamTypes;
use ochre_sql::physical::PlannedStatement;
use ochre_types::Datum;
use smallvec::SmallVec;

use super::context::StatementSession;
use super::extended::Prepared;
use super::{Session, is_plannable};
use crate::literals::{self, Literal};
use crate::plan_cache::{Cached, KeyRef, is_insensitive};

/// How often a plan is made again because the catalog changed while its locks were awaited.
const MAX_REPLANS: usize = 100;

/// What a query may mention as parameters that is part of a utility.
pub(crate) trait QueryParameters {
    /// What to bind the query with.
    fn types(&self) -> ParamTypes;

    /// The values, once the query is bound.
    fn values(&self) -> Vec<Datum>;
}

/// What a plan was made under.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlanStamp {
    pub(crate) catalog: u64,
    pub(crate) path: Arc<[Oid]>,
    /// The fingerprint of the settings.
    settings: u64,
    /// The transaction's snapshot, when an index may be younger than it.
    pub(crate) snapshot: Option<Lsn>,
}

impl PlanStamp {
    fn key<'a>(&'a self, text: &'a str, parameters: &'a [Oid]) -> KeyRef<'a> {
        KeyRef { text, parameters, path: &self.path, settings: self.settings }
    }
}

fn declared_types(literals: &[Literal<'_>]) -> SmallVec<[Oid; 8]> {
    literals.iter().map(|literal| literal.declared_type()).collect()
}

/// The one statement of a text that the engine wrote, or has parsed before.
///
/// # Errors
/// What the parser says, and XX000 for a text without a statement.
pub(crate) fn own_statement(text: &str) -> Result<Statement> {
    let statement = ochre_parser::parse(text)?.pop();
    Ok(statement.ok_or_else(|| Error::internal("a text of the engine's own holds no statement"))?.stmt)
}

impl Session {
    /// A statement arrives: the clock stops for it, and an interrupt meant for the one before is forgotten.
    pub(crate) fn start_statement(&mut self) {
        let now = self.state.instance.now();
        self.state.statement_time.set(now);
        self.state.interrupt.clear();
        let (statement_timeout, lock_timeout) = {
            let settings = self.state.settings.borrow();
            let parsed = settings.parsed();
            (parsed.statement_timeout, parsed.lock_timeout)
        };
        if let Some(transaction) = &mut self.transaction {
            transaction.set_lock_timeout(lock_timeout);
        }
        self.state.activity.statement_began(now, statement_timeout);
    }

    pub(crate) fn stamp(&self) -> PlanStamp {
        PlanStamp {
            catalog: self.state.catalog_version(),
            path: self.state.search_path(),
            settings: self.state.settings.borrow().parsed().plan_fingerprint,
            snapshot: self.old_snapshot(),
        }
    }

    /// The position of the transaction's snapshot, if some index was built since.
    fn old_snapshot(&self) -> Option<Lsn> {
        let position = self.transaction.as_ref()?.snapshot_position()?;
        (position < self.state.database.newest_index()).then_some(position)
    }

    fn plan_once(
        &self,
        statement: &Statement,
        mut parameters: ParamTypes,
        may_be_parallel: bool,
    ) -> Result<(PlanStamp, Arc<PlannedStatement>)> {
        let stamp = self.stamp();
        let catalog = self.state.catalog();
        let mut settings = self.state.settings.borrow().parsed().planner.clone();
        settings.snapshot = stamp.snapshot;
        if !may_be_parallel {
            settings.max_parallel_workers_per_gather = 0;
        }
        let session = StatementSession::new(self);
        let planner = Planner::new(&catalog, &stamp.path, &session, &settings);
        let plan = Arc::new(planner.plan(statement, &mut parameters)?);
        Ok((stamp, plan))
    }

    /// Plans a statement and takes its locks.
    pub(crate) fn plan_parameterised(
        &self,
        statement: &Statement,
        parameter_types: &[Oid],
    ) -> Result<(PlanStamp, Arc<PlannedStatement>)> {
        self.plan_and_lock(statement, &|| ParamTypes::new(&self.state.catalog(), parameter_types), true)
    }

    /// As [`Session::plan_parameterised`], for a query that is asked for its rows bit by bit, and perhaps backwards.
    pub(crate) fn plan_for_cursor(
        &self,
        statement: &Statement,
        parameter_types: &[Oid],
    ) -> Result<Arc<PlannedStatement>> {
        self.plan_and_lock(statement, &|| ParamTypes::new(&self.state.catalog(), parameter_types), false)
            .map(|(_, plan)| plan)
    }

    /// Plans a statement with such parameters and takes its locks. Names are resolved in the newest catalog: if that changes
    /// while a lock is awaited, the plan is made again.
    pub(crate) fn plan_and_lock(
        &self,
        statement: &Statement,
        parameters: &dyn Fn() -> ParamTypes,
        may_be_parallel: bool,
    ) -> Result<(PlanStamp, Arc<PlannedStatement>)> {
        for _ in 0..MAX_REPLANS {
            let (stamp, plan) = self.plan_once(statement, parameters(), may_be_parallel)?;
            self.lock_plan(&plan)?;
            if self.state.catalog_version() == stamp.catalog {
                return Ok((stamp, plan));
            }
        }
        Err(Error::internal("the catalog changes faster than a statement can be planned"))
    }

    /// Plans the only statement of a simple query, and keeps the plan when the text, or one that differs only in its
    /// literals, came before.
    pub(crate) fn plan_statement(
        &mut self,
        statement: &Statement,
        text: &str,
    ) -> Result<Arc<PlannedStatement>> {
        let (stamp, plan) = self.plan_parameterised(statement, &[])?;
        let own = !self.state.catalog.borrow().is_empty() || stamp.snapshot.is_some();
        if own || !plan.parameters.is_empty() {
            return Ok(plan);
        }
        let plans = &self.state.database.plans;
        let mut shape = std::mem::take(&mut self.shape);
        let literals = literals::extract(text, &mut shape).unwrap_or_default();
        let mut is_general = false;
        if !literals.is_empty() && plans.is_repeated(&shape) {
            let types = declared_types(&literals);
            let key = stamp.key(&shape, &types);
            is_general = match plans.find(key, stamp.catalog) {
                Cached::Plan(_) => true,
                Cached::Sensitive => false,
                Cached::Unknown => {
                    let general =
                        if is_insensitive(&plan) { self.plan_shape(&shape, &types, &stamp) } else { None };
                    plans.insert(key, stamp.catalog, general.as_ref());
                    general.is_some()
                }
            };
        }
        if !is_general && plans.is_repeated(text) {
            plans.insert(stamp.key(text, &[]), stamp.catalog, Some(&plan));
        }
        self.shape = shape;
        Ok(plan)
    }

    /// The plan for all values of a text's literals, if there is one such plan.
    fn plan_shape(&self, shape: &str, types: &[Oid], stamp: &PlanStamp) -> Option<Arc<PlannedStatement>> {
        let mut statements = ochre_parser::parse(shape).ok()?;
        let raw = statements.pop().filter(|raw| statements.is_empty() && is_plannable(&raw.stmt))?;
        let (made_under, plan) =
            self.plan_once(&raw.stmt, ParamTypes::new(&self.state.catalog(), types), true).ok()?;
        let usable = made_under == *stamp && plan.parameters.len() == types.len() && is_insensitive(&plan);
        usable.then_some(plan)
    }

    /// The plan of a text that was planned before, with its locks taken and the values of its parameters; `None` when
    /// there is none.
    pub(crate) fn cached_plan(&mut self, text: &str) -> Result<Option<(Arc<PlannedStatement>, Vec<Datum>)>> {
        if !self.state.catalog.borrow().is_empty() {
            return Ok(None);
        }
        let stamp = self.stamp();
        if stamp.snapshot.is_some() {
            return Ok(None);
        }
        let mut shape = std::mem::take(&mut self.shape);
        let found = self.find_cached(text, &mut shape, &stamp);
        self.shape = shape;
        let Some(found) = found else { return Ok(None) };
        self.begin_implicit()?;
        self.lock_plan(&found.0)?;
        // Something changed while a lock was awaited: the statement goes the long way.
        Ok((self.state.catalog_version() == stamp.catalog).then_some(found))
    }

    fn find_cached(
        &self,
        text: &str,
        shape: &mut String,
        stamp: &PlanStamp,
    ) -> Option<(Arc<PlannedStatement>, Vec<Datum>)> {
        let plans = &self.state.database.plans;
        if let Some(literals) = literals::extract(text, shape)
            && !literals.is_empty()
            && let Cached::Plan(plan) =
                plans.find(stamp.key(shape, &declared_types(&literals)), stamp.catalog)
        {
            // A value that its type does not take: the long way finds the error and its place.
            let values = self.read_literals(&plan.parameters, &literals)?;
            return Some((plan, values));
        }
        match plans.has_seen(text).then(|| plans.find(stamp.key(text, &[]), stamp.catalog)) {
            Some(Cached::Plan(plan)) => Some((plan, Vec::new())),
            _ => None,
        }
    }

    /// A prepared statement's plan, made again if the catalog, the path or a setting has changed, with its locks taken.
    pub(crate) fn valid_plan(&self, prepared: &Prepared) -> Result<Arc<PlannedStatement>> {
        let kept = prepared.plan.lock().clone();
        let statement = prepared.statement.as_ref().expect("only plannable statements have plans");
        let resolved = self.resolve_current_of(statement)?;
        if resolved.is_none()
            && let Some((stamp, plan)) = kept
            && stamp == self.stamp()
        {
            self.lock_plan(&plan)?;
            if self.state.catalog_version() == stamp.catalog {
                return Ok(plan);
            }
        }
        let statement = resolved.as_ref().unwrap_or(statement);
        let types: Vec<Oid> = prepared.parameters.iter().map(|ty| ty.oid).collect();
        let (stamp, plan) = self.plan_parameterised(statement, &types)?;
        let same_shape = match &prepared.shape {
            Some(shape) => {
                plan.returns_rows
                    && shape.len() == plan.row_shape.len()
                    && shape.iter().zip(&plan.row_shape).all(|(a, b)| a.name == b.name && a.ty == b.ty)
            }
            None => !plan.returns_rows,
        };
        if !same_shape {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cached plan must not change result type",
            ));
        }
        *prepared.plan.lock() = Some((stamp, Arc::clone(&plan)));
        Ok(plan)
    }
}
