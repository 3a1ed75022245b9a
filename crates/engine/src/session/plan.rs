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
use crate::settings::PlanChoice;

/// How often a plan is made again because the catalog changed while its locks were awaited.
const MAX_REPLANS: usize = 100;

/// How a plan is to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlanFor {
    /// Several threads may run it.
    pub may_be_parallel: bool,
    /// It is to tell which rules of the optimizer changed it.
    pub trace_rules: bool,
    /// WHERE CURRENT OF may mean one of its rows.
    pub for_cursor: bool,
}

impl PlanFor {
    /// To be run from the first row to the last.
    pub(crate) const ALL_ROWS: PlanFor =
        PlanFor { may_be_parallel: true, trace_rules: false, for_cursor: false };
    /// To be asked for its rows bit by bit, or within another statement.
    pub(crate) const ONE_THREAD: PlanFor = PlanFor { may_be_parallel: false, ..PlanFor::ALL_ROWS };
    /// To be asked for its rows bit by bit, of which WHERE CURRENT OF may mean one.
    pub(crate) const CURSOR: PlanFor = PlanFor { for_cursor: true, ..PlanFor::ONE_THREAD };
}

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
        KeyRef { text, parameters, path: &self.path, settings: self.settings, prepared: false }
    }

    fn prepared_key<'a>(&'a self, text: &'a str, parameters: &'a [Oid]) -> KeyRef<'a> {
        KeyRef { prepared: true, ..self.key(text, parameters) }
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
        wanted: PlanFor,
    ) -> Result<(PlanStamp, Arc<PlannedStatement>)> {
        let stamp = self.stamp();
        let catalog = self.state.catalog();
        let mut settings = self.state.settings.borrow().parsed().planner.clone();
        settings.snapshot = stamp.snapshot;
        settings.trace_rules = wanted.trace_rules;
        if !wanted.may_be_parallel {
            settings.max_parallel_workers_per_gather = 0;
        }
        let session = StatementSession::new(self);
        let mut planner = Planner::new(&catalog, &stamp.path, &session, &settings);
        planner.for_cursor = wanted.for_cursor;
        let plan = Arc::new(planner.plan(statement, &mut parameters)?);
        Ok((stamp, plan))
    }

    /// Plans a statement and takes its locks.
    pub(crate) fn plan_parameterised(
        &self,
        statement: &Statement,
        parameter_types: &[Oid],
    ) -> Result<(PlanStamp, Arc<PlannedStatement>)> {
        self.plan_and_lock(
            statement,
            &|| ParamTypes::new(&self.state.catalog(), parameter_types),
            PlanFor::ALL_ROWS,
        )
    }

    /// As [`Session::plan_parameterised`], for a query that is asked for its rows bit by bit, and perhaps backwards.
    pub(crate) fn plan_for_cursor(
        &self,
        statement: &Statement,
        parameter_types: &[Oid],
        wanted: PlanFor,
    ) -> Result<Arc<PlannedStatement>> {
        self.plan_and_lock(statement, &|| ParamTypes::new(&self.state.catalog(), parameter_types), wanted)
            .map(|(_, plan)| plan)
    }

    /// Plans a statement with such parameters and takes its locks. Names are resolved in the newest catalog: if that changes
    /// while a lock is awaited, the plan is made again.
    pub(crate) fn plan_and_lock(
        &self,
        statement: &Statement,
        parameters: &dyn Fn() -> ParamTypes,
        wanted: PlanFor,
    ) -> Result<(PlanStamp, Arc<PlannedStatement>)> {
        for _ in 0..MAX_REPLANS {
            let (stamp, plan) = self.plan_once(statement, parameters(), wanted)?;
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
        if !self.may_share(&stamp) || !plan.parameters.is_empty() {
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
        let (made_under, plan) = self
            .plan_once(&raw.stmt, ParamTypes::new(&self.state.catalog(), types), PlanFor::ALL_ROWS)
            .ok()?;
        let usable = made_under == *stamp && plan.parameters.len() == types.len() && is_insensitive(&plan);
        usable.then_some(plan)
    }

    /// The plan of a text that was planned before, with its locks taken and the values of its parameters; `None` when
    /// there is none.
    pub(crate) fn cached_plan(&mut self, text: &str) -> Result<Option<(Arc<PlannedStatement>, Vec<Datum>)>> {
        let stamp = self.stamp();
        if !self.may_share(&stamp) {
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

    /// The plan that a prepared statement runs with for some values: for all values, or for these alone. Its locks are
    /// taken. See [`KeptPlans`].
    pub(crate) fn valid_plan(&self, prepared: &Prepared, values: &[Datum]) -> Result<Arc<PlannedStatement>> {
        self.plan_prepared(prepared, values, PlanFor::ALL_ROWS)
    }

    /// As [`Session::valid_plan`]; a plan that is to tell of its rules is made anew.
    pub(crate) fn plan_prepared(
        &self,
        prepared: &Prepared,
        values: &[Datum],
        wanted: PlanFor,
    ) -> Result<Arc<PlannedStatement>> {
        let statement = prepared.statement.as_ref().expect("only plannable statements have plans");
        if let Some(resolved) = self.resolve_current_of(statement)? {
            let (_, plan) = self.plan_parameterised(&resolved, &prepared.parameter_oids())?;
            return prepared.check_shape(plan);
        }
        let generic = self.generic_plan(prepared, statement)?;
        let (choice, operator_cost) = {
            let settings = self.state.settings.borrow();
            let parsed = settings.parsed();
            (parsed.plan_choice, parsed.planner.cpu_operator_cost)
        };
        let choice = if values.is_empty() { PlanChoice::Generic } else { choice };
        let is_generic = prepared.plans.lock().choose_generic(choice);
        if is_generic && !wanted.trace_rules {
            return Ok(generic);
        }
        let oids = prepared.parameter_oids();
        let values = if is_generic { &[] } else { values };
        let types = || ParamTypes::new(&self.state.catalog(), &oids).with_values(values);
        let plan = prepared.check_shape(self.plan_and_lock(statement, &types, wanted)?.1)?;
        if !is_generic {
            prepared.plans.lock().note_custom(&plan, operator_cost);
        }
        Ok(plan)
    }

    /// A prepared statement's plan for all values, made again if the catalog, the path or a setting has changed, with its
    /// locks taken.
    fn generic_plan(&self, prepared: &Prepared, statement: &Statement) -> Result<Arc<PlannedStatement>> {
        let stamp = self.stamp();
        let kept = prepared.plans.lock().valid(&stamp);
        if let Some(plan) = kept {
            self.lock_plan(&plan)?;
            if self.state.catalog_version() == stamp.catalog {
                return Ok(plan);
            }
        }
        let generic = self.shared_plan(statement, &prepared.text, &prepared.parameter_oids())?;
        let plan = prepared.check_shape(Arc::clone(&generic.plan))?;
        prepared.plans.lock().replace(generic);
        Ok(plan)
    }

    /// The plan for all values of the parameters of a statement that is prepared, which another session may have made, with
    /// its locks taken.
    pub(crate) fn shared_plan(
        &self,
        statement: &Statement,
        text: &str,
        parameters: &[Oid],
    ) -> Result<GenericPlan> {
        let plans = &self.state.database.plans;
        let stamp = self.stamp();
        if self.may_share(&stamp)
            && let Cached::Plan(plan) = plans.find(stamp.prepared_key(text, parameters), stamp.catalog)
        {
            self.lock_plan(&plan)?;
            if self.state.catalog_version() == stamp.catalog {
                return Ok(GenericPlan::new(stamp, plan));
            }
        }
        let (stamp, plan) = self.plan_parameterised(statement, parameters)?;
        if self.may_share(&stamp) && plans.is_repeated(text) {
            plans.insert(stamp.prepared_key(text, parameters), stamp.catalog, Some(&plan));
        }
        Ok(GenericPlan::new(stamp, plan))
    }

    /// Whether others can use what is planned under a stamp: neither a change of the catalog that only this transaction
    /// sees nor its old snapshot is in it.
    fn may_share(&self, stamp: &PlanStamp) -> bool {
        self.state.catalog.borrow().is_empty() && stamp.snapshot.is_none()
    }
}

impl Prepared {
    fn parameter_oids(&self) -> SmallVec<[Oid; 8]> {
        self.parameters.iter().map(|ty| ty.oid).collect()
    }

    /// A plan that was made later than clients were told the rows' shape.
    fn check_shape(&self, plan: Arc<PlannedStatement>) -> Result<Arc<PlannedStatement>> {
        let same = match &self.shape {
            Some(shape) => {
                plan.returns_rows
                    && shape.len() == plan.row_shape.len()
                    && shape.iter().zip(&plan.row_shape).all(|(a, b)| a.name == b.name && a.ty == b.ty)
            }
            None => !plan.returns_rows,
        };
        if same {
            return Ok(plan);
        }
        Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "cached plan must not change result type"))
    }
}

/// How often a statement is planned for its values before it is asked whether that pays.
const FIRST_CUSTOM_PLANS: u64 = 5;

/// A prepared statement's plans: the one for all values of its parameters, and what is known of those for single values,
/// which are not kept.
///
/// The choice is PostgreSQL's: the first executions are planned for their values; then the plan for all values serves
/// while it is expected to cost less than those did on average, their planning included. A plan that no value could have
/// made better ([`is_insensitive`]) serves from the beginning.
#[derive(Debug, Default)]
pub(crate) struct KeptPlans {
    generic: Option<GenericPlan>,
    /// What the plans for single values were expected to cost, all together.
    custom_cost: f64,
    customs: u64,
    generics: u64,
}

/// A plan for all values.
#[derive(Debug)]
pub(crate) struct GenericPlan {
    stamp: PlanStamp,
    plan: Arc<PlannedStatement>,
    is_insensitive: bool,
}

impl GenericPlan {
    fn new(stamp: PlanStamp, plan: Arc<PlannedStatement>) -> GenericPlan {
        GenericPlan { is_insensitive: is_insensitive(&plan), stamp, plan }
    }

    pub(crate) fn plan(&self) -> &Arc<PlannedStatement> {
        &self.plan
    }
}

impl KeptPlans {
    pub(crate) fn replace(&mut self, generic: GenericPlan) {
        self.generic = Some(generic);
    }

    /// How many executions had a plan for all values, and one for their own.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.generics, self.customs)
    }

    fn valid(&self, stamp: &PlanStamp) -> Option<Arc<PlannedStatement>> {
        let generic = self.generic.as_ref().filter(|generic| generic.stamp == *stamp)?;
        Some(Arc::clone(&generic.plan))
    }

    /// Whether the next execution has the plan for all values; counts it if so.
    fn choose_generic(&mut self, choice: PlanChoice) -> bool {
        let generic = self.generic.as_ref().expect("made before it is chosen");
        let chosen = match choice {
            PlanChoice::Generic => true,
            PlanChoice::Custom => false,
            PlanChoice::Cheaper => {
                let cost = generic.plan.plan.estimate.total_cost;
                generic.is_insensitive
                    || self.customs >= FIRST_CUSTOM_PLANS && cost < self.custom_cost / self.customs as f64
            }
        };
        self.generics += u64::from(chosen);
        chosen
    }

    fn note_custom(&mut self, plan: &PlannedStatement, operator_cost: f64) {
        self.customs += 1;
        // Planning takes longer the more relations there are.
        let planning = 1000.0 * operator_cost * (plan.relations.len() + 1) as f64;
        self.custom_cost += plan.plan.estimate.total_cost + planning;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ochre_env::Env;
    use ochre_types::Datum;

    use super::*;
    use crate::sink::NullSink;
    use crate::{Instance, InstanceConfig};

    const TEXT: &str = "SELECT count(*) FROM t WHERE a = $1";

    fn prepared_plan(session: &mut Session) -> Arc<PlannedStatement> {
        session.parse("", TEXT, &[]).expect("parses");
        let prepared = Arc::clone(&session.statements[""]);
        session.sync(&mut NullSink).expect("ends");
        let plans = prepared.plans.lock();
        Arc::clone(plans.generic.as_ref().expect("planned").plan())
    }

    /// The same text gives several sessions one plan, until the catalog changes; a temporary table of one is its own.
    #[test]
    fn sessions_share_plans_for_all_values() {
        let instance = Instance::open(Env::in_memory(), Path::new("/data"), InstanceConfig::default());
        let instance = instance.expect("opens");
        let mut sessions: Vec<Session> =
            (0..3).map(|_| instance.session("postgres", "postgres").expect("a session")).collect();
        let run = |session: &mut Session, text: &str| {
            session.simple_query(text, &mut NullSink).expect("runs");
        };
        run(
            &mut sessions[0],
            "CREATE TABLE t (a int); INSERT INTO t SELECT i % 10 FROM generate_series(1, 1000) i",
        );
        let mut last = prepared_plan(&mut sessions[0]);
        for change in ["SELECT 1", "ANALYZE t", "CREATE INDEX ON t (a)"] {
            run(&mut sessions[1], change);
            let plans: Vec<_> = sessions.iter_mut().map(prepared_plan).collect();
            assert!(Arc::ptr_eq(&plans[1], &plans[2]), "after {change}");
            assert!(!Arc::ptr_eq(&plans[1], &last), "after {change}");
            last = Arc::clone(&plans[1]);
        }
        run(&mut sessions[2], "CREATE TEMPORARY TABLE t (a int)");
        assert!(!Arc::ptr_eq(&prepared_plan(&mut sessions[2]), &prepared_plan(&mut sessions[1])));
        run(&mut sessions[1], "BEGIN; ALTER TABLE t ADD COLUMN b int");
        let own = prepared_plan(&mut sessions[1]);
        assert!(!Arc::ptr_eq(&own, &prepared_plan(&mut sessions[1])), "others cannot use it");
        run(&mut sessions[1], "ROLLBACK");
        assert!(!Arc::ptr_eq(&own, &prepared_plan(&mut sessions[0])));
    }

    /// Five plans for values; then the one for all values, where it costs no more.
    #[test]
    fn values_decide_until_the_general_plan_is_as_good() {
        let instance = Instance::open(Env::in_memory(), Path::new("/data"), InstanceConfig::default());
        let mut session = instance.expect("opens").session("postgres", "postgres").expect("a session");
        let setup = "CREATE TABLE t (id int PRIMARY KEY, a int); \
                     INSERT INTO t SELECT i, i % 10 FROM generate_series(1, 1000) i; ANALYZE t";
        session.simple_query(setup, &mut NullSink).expect("runs");
        for (text, expected) in [(TEXT, (3, 5)), ("SELECT a FROM t WHERE id = $1", (8, 0))] {
            session.parse("s", text, &[]).expect("parses");
            for value in 0..8 {
                session.bind_values("", "s", vec![Datum::Int32(value)]).expect("binds");
                session.execute("", 0, &mut NullSink).expect("runs");
                session.sync(&mut NullSink).expect("ends");
            }
            assert_eq!(session.statements["s"].plans.lock().counts(), expected, "{text}");
            session.close_statement("s");
        }
    }
}
