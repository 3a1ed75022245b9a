//! Running plans.

use std::sync::Arc;

use ochre_base::Result;
use ochre_env::Waiting;
use ochre_exec::{Execution, StatementContext, Workers};
use ochre_expr::SessionContext;
use ochre_sql::physical::{
    CommandKind, OutputColumn, PhysicalPlan, PlanNode, PlannedStatement, RelationLock, RowLockStrength,
};
use ochre_txn::locks::RelationLockMode;
use ochre_txn::suspension::suspended;
use ochre_txn::{IsolationLevel, Snapshot};
use ochre_types::Datum;

use super::context::StatementSession;
use super::suspended::{Resumption, Suspended};
use super::{Block, Session};
use crate::plan_cache::is_insensitive;
use crate::sink::Sink;
use crate::tag::CommandTag;

/// Plans that are estimated to cost more, some milliseconds, run as something that other sessions need not wait for:
/// the thread that a server's tasks share is not kept from them.
const LONG_COST: f64 = 1000.0;

/// Executions that a session keeps for the next run of the same plan: of statements that hold next to no memory.
#[derive(Default)]
pub(crate) struct IdleExecutions {
    /// With the address of their plan, which each keeps where it is: a search touches nothing else. The one used last
    /// stands last.
    executions: Vec<(usize, Box<Execution>)>,
}

impl IdleExecutions {
    /// How many are kept: the statements of a long transaction.
    const MAX: usize = 128;

    pub(crate) fn take(&mut self, plan: &Arc<PlannedStatement>) -> Option<Box<Execution>> {
        let at = self.executions.iter().rposition(|(known, _)| *known == Arc::as_ptr(plan).addr())?;
        Some(self.executions.remove(at).1)
    }

    pub(crate) fn put(&mut self, execution: Box<Execution>) {
        // A plan that nobody else holds will not come again.
        if !execution.is_light() || Arc::strong_count(execution.plan()) < 3 {
            return;
        }
        if self.executions.len() == IdleExecutions::MAX {
            self.executions.remove(0);
        }
        self.executions.push((Arc::as_ptr(execution.plan()).addr(), execution));
    }
}

impl Session {
    /// Runs a plan to its end; its rows' shape and rows go to the sink.
    pub(crate) fn run_to_sink(
        &mut self,
        plan: &Arc<PlannedStatement>,
        parameters: &[Datum],
        sink: &mut dyn Sink,
    ) -> Result<CommandTag> {
        // A statement that runs again after a suspension has told its shape.
        if plan.returns_rows && self.resumed.is_none() {
            let shape: Arc<[OutputColumn]> = plan.row_shape.as_slice().into();
            sink.row_shape(&shape)?;
        }
        self.run_rows(plan, parameters, sink)
    }

    /// Runs a plan for a caller that can wait for rows without a thread; `None` when it was suspended, and is to run
    /// again after the wait.
    pub(crate) fn run_or_suspend(
        &mut self,
        plan: &Arc<PlannedStatement>,
        run: impl FnOnce(&mut Session) -> Result<CommandTag>,
    ) -> Result<Option<CommandTag>> {
        if self.suspends && is_suspendable(plan) {
            self.txn().allow_suspension();
        }
        let result = run(self);
        let Some(transaction) = &self.transaction else { return result.map(Some) };
        transaction.forbid_suspension();
        if result.is_err() && self.suspended.is_some() {
            return Ok(None);
        }
        transaction.keep_turn(None);
        result.map(Some)
    }

    /// Runs a plan to its end; its rows go to the sink.
    pub(crate) fn run_rows(
        &mut self,
        plan: &Arc<PlannedStatement>,
        parameters: &[Datum],
        sink: &mut dyn Sink,
    ) -> Result<CommandTag> {
        if may_take_long(plan) {
            let wait = self.waiting();
            return wait.run(|| self.run_rows_here(plan, parameters, sink));
        }
        self.run_rows_here(plan, parameters, sink)
    }

    /// How what takes long lets others go on meanwhile: it counts as a wait.
    pub(crate) fn waiting(&self) -> Arc<dyn Waiting> {
        Arc::clone(&self.state.instance.storage().env().wait)
    }

    fn run_rows_here(
        &mut self,
        plan: &Arc<PlannedStatement>,
        parameters: &[Datum],
        sink: &mut dyn Sink,
    ) -> Result<CommandTag> {
        self.begin_plan(plan)?;
        let snapshot = match self.resumed.take() {
            Some(Resumption::Snapshot(snapshot)) => snapshot,
            Some(Resumption::Newest) | None => self.statement_snapshot()?,
        };
        let mut sent = 0;
        let mut idle = self.idle.borrow_mut().take(plan);
        let running = self.state.note_running(plan);
        let result = self.with_context(&snapshot, parameters, |session, context| {
            let execution = match &mut idle {
                Some(execution) => {
                    execution.restart(context)?;
                    execution
                }
                none => none.insert(Box::new(Execution::new(plan, context.relations)?)),
            };
            let format = session.format();
            while let Some(batch) = execution.next(context)? {
                sent += batch.active_rows() as u64;
                if plan.returns_rows {
                    sink.rows(&batch, &plan.row_shape, format)?;
                }
                execution.recycle(batch);
            }
            Ok(execution.rows_changed())
        });
        drop(running);
        if result.is_err()
            && let Some(demand) = self.txn().take_suspension()
        {
            let resumption = match self.txn().isolation() {
                IsolationLevel::ReadCommitted if is_insensitive(plan) => Resumption::Newest,
                _ => Resumption::Snapshot(snapshot),
            };
            self.suspended = Some(Suspended::new(self.txn(), demand, resumption));
            idle.into_iter().for_each(|execution| self.idle.borrow_mut().put(execution));
            return Err(suspended());
        }
        drop(snapshot);
        let changed = result?;
        idle.into_iter().for_each(|execution| self.idle.borrow_mut().put(execution));
        self.end_plan(plan)?;
        let rows = if plan.command == CommandKind::Select { sent } else { changed };
        Ok(CommandTag::of(plan.command, rows))
    }

    /// What a statement sees that is planned: no less than the catalog tells of that its plan was made under. A commit shows
    /// its catalog a moment before its rows.
    #[inline]
    pub(crate) fn statement_snapshot(&self) -> Result<Snapshot> {
        self.state.instance.transactions().await_published(self.state.database.published_at());
        self.txn().snapshot()
    }

    /// Takes a plan's locks and checks that the transaction may run it.
    pub(crate) fn begin_plan(&self, plan: &PlannedStatement) -> Result<()> {
        self.state.check_plan(plan)?;
        if !plan.read_only {
            let command = match plan.command {
                CommandKind::Select => select_name(&plan.plan),
                CommandKind::Insert => "INSERT",
                CommandKind::Update => "UPDATE",
                CommandKind::Delete => "DELETE",
                CommandKind::Merge => "MERGE",
            };
            self.require_writable(command)?;
        }
        Ok(())
    }

    /// Locks the relations of a plan.
    pub(crate) fn lock_plan(&self, plan: &PlannedStatement) -> Result<()> {
        for relation in &plan.relations {
            let mode = match relation.lock {
                RelationLock::AccessShare => RelationLockMode::AccessShare,
                RelationLock::RowShare => RelationLockMode::RowShare,
                RelationLock::RowExclusive => RelationLockMode::RowExclusive,
            };
            self.lock_relation(relation.oid, mode)?;
        }
        Ok(())
    }

    /// What a statement wrote is seen by the next one; what it met decides when its reply may leave.
    pub(crate) fn end_plan(&self, plan: &PlannedStatement) -> Result<()> {
        let transaction = self.txn();
        if !plan.read_only {
            transaction.advance_command()?;
        }
        // A block's tags tell nothing that outlives the block's own end, which waits for all that it met (N2).
        if plan.returns_rows || self.block != Block::Explicit {
            self.state.note_met(transaction.gate_lsn());
        }
        Ok(())
    }

    /// Calls `run` with what the executor needs.
    pub(crate) fn with_context<R>(
        &self,
        snapshot: &Snapshot,
        parameters: &[Datum],
        run: impl FnOnce(&StatementSession<'_>, &StatementContext<'_>) -> Result<R>,
    ) -> Result<R> {
        let transaction = self.txn();
        let session = StatementSession::new(self).seeing(snapshot);
        let pool = self.state.instance.workers();
        let (work_mem_bytes, hash_mem_bytes, batch_rows, workers) = {
            let settings = self.state.settings.borrow();
            let parsed = settings.parsed();
            let (limit, leader_participates) = (parsed.max_parallel_workers, parsed.leader_participates);
            let workers = Workers { pool, limit, leader_participates };
            transaction.set_counting(parsed.track_counts);
            (parsed.work_mem_bytes, parsed.hash_mem_bytes, parsed.batch_rows, workers)
        };
        let context = StatementContext {
            params: parameters,
            session: &session,
            relations: &session,
            txn: transaction,
            snapshot,
            temp: self.state.instance.temp(),
            work_mem_bytes,
            hash_mem_bytes,
            batch_rows,
            workers: Some(workers),
        };
        run(&session, &context)
    }
}

/// What a query that writes or locks is called.
fn select_name(plan: &PhysicalPlan) -> &'static str {
    match (&plan.node, plan.children().first()) {
        (PlanNode::LockRows(node), _) => match node.relations.first().map(|relation| relation.strength) {
            Some(RowLockStrength::KeyShare) => "SELECT FOR KEY SHARE",
            Some(RowLockStrength::Share) => "SELECT FOR SHARE",
            Some(RowLockStrength::NoKeyUpdate) => "SELECT FOR NO KEY UPDATE",
            Some(RowLockStrength::Update) | None => "SELECT FOR UPDATE",
        },
        (PlanNode::Project(_) | PlanNode::Limit(_) | PlanNode::ProjectSet(_), Some(input)) => {
            select_name(input)
        }
        _ => "SELECT",
    }
}

/// Whether a plan costs next to nothing to run again up to its first change: one that begins with a change or a row
/// lock, and whose sub-plans do nothing.
fn is_suspendable(plan: &PlannedStatement) -> bool {
    let root = match &plan.plan.node {
        PlanNode::Project(project) => &project.input.node,
        node => node,
    };
    matches!(root, PlanNode::Update(_) | PlanNode::Delete(_) | PlanNode::LockRows(_))
        && plan.ctes.is_empty()
        && plan.subplans.is_empty()
        && !may_take_long(plan)
}

pub(crate) fn may_take_long(plan: &PlannedStatement) -> bool {
    plan.plan.estimate.total_cost > LONG_COST
}
