//! Planning, and keeping plans.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_parser::ast::Statement;
use ochre_sql::Planner;
use ochre_sql::bind::ParamTypes;
use ochre_sql::physical::PlannedStatement;

use super::Session;
use super::context::StatementSession;
use super::extended::Prepared;
use crate::plan_cache::PlanKey;

/// How often a plan is made again because the catalog changed while its locks were awaited.
const MAX_REPLANS: usize = 100;

/// What a plan was made under.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlanStamp {
    catalog: u64,
    path: Arc<[Oid]>,
    /// The fingerprint of the settings.
    settings: u64,
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

    fn stamp(&self) -> PlanStamp {
        PlanStamp {
            catalog: self.state.catalog_version(),
            path: self.state.search_path(),
            settings: self.state.settings.borrow().parsed().plan_fingerprint,
        }
    }

    fn plan_once(
        &self,
        statement: &Statement,
        parameter_types: &[Oid],
    ) -> Result<(PlanStamp, Arc<PlannedStatement>)> {
        let stamp = self.stamp();
        let catalog = self.state.catalog();
        let settings = self.state.settings.borrow().parsed().planner.clone();
        let session = StatementSession::new(&self.state, self.transaction.as_ref());
        let mut parameters = ParamTypes::new(parameter_types);
        let planner = Planner::new(&catalog, &stamp.path, &session, &settings);
        let plan = Arc::new(planner.plan(statement, &mut parameters)?);
        Ok((stamp, plan))
    }

    /// Plans a statement and takes its locks. Names are resolved in the newest catalog: if that changes while a lock is
    /// awaited, the plan is made again.
    pub(crate) fn plan_parameterised(
        &mut self,
        statement: &Statement,
        _text: &str,
        parameter_types: &[Oid],
    ) -> Result<(PlanStamp, Arc<PlannedStatement>)> {
        for _ in 0..MAX_REPLANS {
            let (stamp, plan) = self.plan_once(statement, parameter_types)?;
            self.lock_plan(&plan)?;
            if self.state.catalog_version() == stamp.catalog {
                return Ok((stamp, plan));
            }
        }
        Err(Error::internal("the catalog changes faster than a statement can be planned"))
    }

    /// Plans a statement of a simple query, through the cache when its text came before.
    pub(crate) fn plan_statement(
        &mut self,
        statement: &Statement,
        text: &str,
        parameter_types: &[Oid],
    ) -> Result<Arc<PlannedStatement>> {
        let (stamp, plan) = self.plan_parameterised(statement, text, parameter_types)?;
        if self.state.catalog.borrow().is_empty() && self.state.database.plans.is_repeated(text) {
            let key = self.cache_key(text, &stamp);
            self.state.database.plans.insert(key, stamp.catalog, &plan);
        }
        Ok(plan)
    }

    fn cache_key(&self, text: &str, stamp: &PlanStamp) -> PlanKey {
        PlanKey {
            text: text.into(),
            parameters: Box::default(),
            path: Arc::clone(&stamp.path),
            settings: stamp.settings,
        }
    }

    /// The plan of a text that was planned before, with its locks taken; `None` when there is none.
    pub(crate) fn cached_plan(&mut self, text: &str) -> Result<Option<Arc<PlannedStatement>>> {
        if !self.state.catalog.borrow().is_empty() || !self.state.database.plans.has_seen(text) {
            return Ok(None);
        }
        let stamp = self.stamp();
        let key = self.cache_key(text, &stamp);
        let Some(plan) = self.state.database.plans.find(&key, stamp.catalog) else {
            return Ok(None);
        };
        self.begin_implicit()?;
        self.lock_plan(&plan)?;
        // Something changed while a lock was awaited: the statement goes the long way.
        Ok((self.state.catalog_version() == stamp.catalog).then_some(plan))
    }

    /// A prepared statement's plan, made again if the catalog, the path or a setting has changed, with its locks taken.
    pub(crate) fn valid_plan(&mut self, prepared: &Prepared) -> Result<Arc<PlannedStatement>> {
        let kept = prepared.plan.lock().clone();
        if let Some((stamp, plan)) = kept
            && stamp == self.stamp()
        {
            self.lock_plan(&plan)?;
            if self.state.catalog_version() == stamp.catalog {
                return Ok(plan);
            }
        }
        let statement = prepared.statement.as_ref().expect("only plannable statements have plans");
        let types: Vec<Oid> = prepared.parameters.iter().map(|ty| ty.oid).collect();
        let (stamp, plan) = self.plan_parameterised(statement, &prepared.text, &types)?;
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
