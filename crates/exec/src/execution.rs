//! One run, or several one after the other, of a planned statement.

use std::cell::RefCell;
use std::sync::Arc;

use ochre_base::Result;
use ochre_sql::physical::{CommandKind, PhysicalPlan, PlanNode, PlannedStatement};
use ochre_txn::Snapshot;
use ochre_types::Batch;

use crate::build::{Builder, physical_types};
use crate::context::{ExecContext, StatementContext};
use crate::explain::Instrumentation;
use crate::modify::after::{self, AfterStatement};
use crate::operator::BoxOperator;
use crate::relation::RelationSource;
use crate::row_store::RowStore;
use crate::run_state::RunState;

/// A statement's operators with their state. Owns everything, so that a portal can keep it between messages; what it
/// borrows comes with each call.
///
/// # States
/// ```text
/// new ──next──► … ──next──► ended      restart: back to new, keeping the operators and their buffers
/// ```
/// After an error only drop it (or [`Execution::restart`] it in another transaction).
pub struct Execution {
    run: RunState,
    root: BoxOperator,
    instrumentation: Option<Arc<Instrumentation>>,
    /// What RETURNING, or a query with changes in WITH, gave, and which batch of it comes next.
    returned: Option<(RowStore, usize)>,
    ended: bool,
    started: bool,
    is_light: bool,
    /// Whether WITH entries change rows.
    changes_in_with: bool,
    /// Whether it runs within another statement.
    is_nested: bool,
}

impl Execution {
    /// Makes the operators of a statement. Opens its relations; reads nothing.
    ///
    /// # Errors
    /// 0A000 for what is not implemented; what opening relations fails with.
    pub fn new(plan: &Arc<PlannedStatement>, relations: &dyn RelationSource) -> Result<Execution> {
        Execution::build(plan, relations, None)
    }

    /// As [`Execution::new`], counting what each node does.
    ///
    /// # Errors
    /// As [`Execution::new`].
    pub fn instrumented(plan: &Arc<PlannedStatement>, relations: &dyn RelationSource) -> Result<Execution> {
        Execution::build(plan, relations, Some(Arc::default()))
    }

    fn build(
        plan: &Arc<PlannedStatement>,
        relations: &dyn RelationSource,
        instrumentation: Option<Arc<Instrumentation>>,
    ) -> Result<Execution> {
        let builder = Builder::new(plan, relations, instrumentation.clone());
        let root = builder.build(&plan.plan)?;
        let run = RunState::new(plan, &builder)?;
        Ok(Execution {
            root,
            changes_in_with: run.has_data_modifying(),
            run,
            instrumentation,
            returned: None,
            ended: false,
            started: false,
            is_nested: false,
            is_light: plan.subplans.is_empty() && plan.ctes.is_empty() && is_light(&plan.plan),
        })
    }

    /// The statement.
    pub fn plan(&self) -> &Arc<PlannedStatement> {
        &self.run.plan
    }

    /// The next rows, never an empty batch; `None` at the end. For INSERT, UPDATE and DELETE without RETURNING the
    /// first call does everything and gives `None`; with RETURNING it does everything, too, before it gives rows, and so it
    /// does for a query with WITH entries that change rows: these run to their ends when the main query has ended.
    ///
    /// # Errors
    /// The statement's.
    pub fn next(&mut self, statement: &StatementContext<'_>) -> Result<Option<Batch>> {
        if self.ended {
            return Ok(None);
        }
        let ctx = ExecContext::new(statement, &self.run, &self.run.main);
        self.started = true;
        if self.run.plan.command == CommandKind::Select && !self.changes_in_with {
            let batch = self.root.next(&ctx)?;
            self.ended = batch.is_none();
            return Ok(batch);
        }
        if !self.run.plan.returns_rows {
            let batch = self.root.next(&ctx)?;
            self.ended = batch.is_none();
            if self.ended {
                self.finish_changes(&ctx)?;
            }
            return Ok(batch);
        }
        if self.returned.is_none() {
            let types = physical_types(&self.run.plan.plan).into();
            let mut store = RowStore::new(types, ctx.temp(), ctx.work_mem_bytes());
            while let Some(batch) = self.root.next(&ctx)? {
                store.append(batch)?;
            }
            self.finish_changes(&ctx)?;
            self.returned = Some((store, 0));
        }
        let (store, next) = self.returned.as_mut().expect("made above");
        let batch = store.batch(*next)?;
        *next += 1;
        self.ended = batch.is_none();
        Ok(batch)
    }

    /// Takes back rows that were sent; the next ones may be made in their memory.
    pub fn recycle(&mut self, batch: Batch) {
        self.root.recycle(batch);
    }

    /// What is left to do when the main query has ended.
    fn finish_changes(&self, ctx: &ExecContext<'_>) -> Result<()> {
        if self.changes_in_with {
            self.run.finish_data_modifying(ctx)?;
        }
        if self.is_nested { Ok(()) } else { after::finish(ctx) }
    }

    /// As [`Execution::next`], for at most about `rows` rows: expressions of the select list are computed, and rows locked,
    /// for no more than those. A batch can still be larger where neither is done.
    ///
    /// # Errors
    /// The statement's.
    pub fn next_rows(&mut self, statement: &StatementContext<'_>, rows: usize) -> Result<Option<Batch>> {
        self.run.wanted_rows.set(rows);
        let batch = self.next(statement);
        self.run.wanted_rows.set(usize::MAX);
        batch
    }

    /// Runs to the end and throws rows away.
    ///
    /// # Errors
    /// The statement's.
    pub fn run(&mut self, statement: &StatementContext<'_>) -> Result<u64> {
        while self.next(statement)?.is_some() {}
        Ok(self.rows_changed())
    }

    /// Runs to the end within another statement, in whose list it leaves what is left to do; the number of rows that it gave
    /// or changed. Rows that `crosscheck` does not see are not changed: 40001.
    pub(crate) fn run_nested(
        &mut self,
        statement: &StatementContext<'_>,
        crosscheck: Option<Snapshot>,
        after: &RefCell<AfterStatement>,
    ) -> Result<u64> {
        self.is_nested = true;
        self.run.after.swap(after);
        self.run.crosscheck.replace(crosscheck);
        let mut given = 0;
        while let Some(batch) = self.next(statement)? {
            given += batch.active_rows() as u64;
        }
        self.run.crosscheck.take();
        self.run.after.swap(after);
        Ok(given + self.rows_changed())
    }

    /// Rows that the INSERT, UPDATE or DELETE at the top of the plan has changed so far, for the command tag.
    pub fn rows_changed(&self) -> u64 {
        self.run.rows_changed.get()
    }

    /// Whether all rows have been given.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Makes the statement ready to run again, perhaps with other parameters and another snapshot. The relations'
    /// descriptors must be those that it was built with.
    ///
    /// # Errors
    /// Errors of temporary files.
    pub fn restart(&mut self, statement: &StatementContext<'_>) -> Result<()> {
        self.run.reset();
        self.returned = None;
        if std::mem::take(&mut self.started) {
            self.root.rescan(&ExecContext::new(statement, &self.run, &self.run.main))?;
        }
        self.ended = false;
        Ok(())
    }

    /// Whether it holds next to no memory between runs, so that a session may keep it for the next run of the same plan:
    /// lookups and changes of single rows.
    pub fn is_light(&self) -> bool {
        self.is_light
    }

    /// What each node has done, when made by [`Execution::instrumented`].
    pub fn instrumentation(&self) -> Option<&Arc<Instrumentation>> {
        self.instrumentation.as_ref()
    }
}

/// Whether no node of a plan keeps rows.
fn is_light(plan: &PhysicalPlan) -> bool {
    let keeps_nothing = matches!(
        plan.node,
        PlanNode::Result(_)
            | PlanNode::Values(_)
            | PlanNode::IndexScan(_)
            | PlanNode::TidScan(_)
            | PlanNode::MinMaxIndex(_)
            | PlanNode::Filter(_)
            | PlanNode::Gate(_)
            | PlanNode::Project(_)
            | PlanNode::Limit(_)
            | PlanNode::LockRows(_)
            | PlanNode::Insert(_)
            | PlanNode::Update(_)
            | PlanNode::Delete(_)
    );
    keeps_nothing && plan.children().into_iter().all(|child| is_light(child))
}
