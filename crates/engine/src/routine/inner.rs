//! Statements within a statement: those of routines.

use std::sync::Arc;

use ochre_base::Result;
use ochre_exec::Execution;
use ochre_parser::ast::Statement;
use ochre_sql::bind::ParamTypes;
use ochre_sql::physical::{CommandKind, PlannedStatement};
use ochre_txn::Snapshot;
use ochre_types::{Batch, Datum};
use parking_lot::Mutex;

use crate::session::Session;
use crate::session::plan::{PlanFor, PlanStamp};

/// A statement of a routine with its plan.
#[derive(Default)]
pub(crate) struct InnerPlan {
    kept: Mutex<Option<(PlanStamp, Arc<PlannedStatement>)>>,
}

impl InnerPlan {
    /// The plan with its locks taken, and whether it was made anew; `parameters` are those to bind with.
    pub(crate) fn get(
        &self,
        session: &Session,
        statement: &Statement,
        parameters: impl Fn() -> ParamTypes,
    ) -> Result<(Arc<PlannedStatement>, bool)> {
        let kept = self.kept.lock().clone();
        if let Some((stamp, plan)) = kept
            && stamp == session.stamp()
        {
            session.lock_plan(&plan)?;
            if session.state.catalog_version() == stamp.catalog {
                return Ok((plan, false));
            }
        }
        let (stamp, plan) = session.plan_inner(statement, parameters)?;
        *self.kept.lock() = Some((stamp, Arc::clone(&plan)));
        Ok((plan, true))
    }
}

impl Session {
    /// Plans a statement of a routine and takes its locks.
    pub(crate) fn plan_inner(
        &self,
        statement: &Statement,
        parameters: impl Fn() -> ParamTypes,
    ) -> Result<(PlanStamp, Arc<PlannedStatement>)> {
        // It may be asked for its rows bit by bit.
        self.plan_and_lock(statement, &parameters, PlanFor::ONE_THREAD)
    }

    /// Runs a plan within the running statement, under `snapshot` or, without one, as a command of its own; rows go to
    /// `each` until it answers false, and no more than about `wanted` are computed at a time. How many rows were given or
    /// changed.
    ///
    /// # Errors
    /// The statement's; 0A000 for a change under the snapshot of a routine that is not volatile.
    pub(crate) fn run_inner(
        &self,
        plan: &Arc<PlannedStatement>,
        parameters: &[Datum],
        snapshot: Option<&Snapshot>,
        wanted: usize,
        each: &mut dyn FnMut(&Batch) -> Result<bool>,
    ) -> Result<u64> {
        self.begin_plan(plan)?;
        if snapshot.is_some() && !plan.read_only {
            return Err(super::sql::not_allowed(plan));
        }
        let transaction = self.txn();
        transaction.forbid_suspension();
        let own;
        let snapshot = match snapshot {
            Some(snapshot) => snapshot,
            None => {
                own = self.inner_snapshot()?;
                &own
            }
        };
        let mut given = 0;
        let _running = self.state.note_running(plan);
        let mut idle = self.idle.borrow_mut().take(plan);
        let changed = self.with_context(snapshot, parameters, |_, context| {
            let execution = match &mut idle {
                Some(execution) => {
                    execution.restart(context)?;
                    execution
                }
                none => none.insert(Box::new(Execution::new(plan, context.relations)?)),
            };
            while let Some(batch) = execution.next_rows(context, wanted)? {
                given += batch.active_rows() as u64;
                if !each(&batch)? {
                    break;
                }
            }
            Ok(execution.rows_changed())
        })?;
        idle.into_iter().for_each(|execution| self.idle.borrow_mut().put(execution));
        if !plan.read_only {
            transaction.advance_command()?;
        }
        self.state.note_met(transaction.gate_lsn());
        Ok(if plan.command == CommandKind::Select { given } else { changed })
    }

    /// What a command within the running statement sees.
    pub(crate) fn inner_snapshot(&self) -> Result<Snapshot> {
        let transaction = self.txn();
        transaction.advance_command()?;
        self.state.instance.transactions().await_published(self.state.database.published_at());
        transaction.snapshot()
    }

    /// All rows of a plan.
    pub(crate) fn inner_rows(
        &self,
        plan: &Arc<PlannedStatement>,
        parameters: &[Datum],
        snapshot: Option<&Snapshot>,
        most: usize,
    ) -> Result<(Vec<Vec<Datum>>, u64)> {
        let mut rows = Vec::new();
        let visible = plan.row_shape.len();
        let changed = self.run_inner(plan, parameters, snapshot, most, &mut |batch| {
            for position in batch.active() {
                if rows.len() >= most {
                    return Ok(plan.command != CommandKind::Select);
                }
                rows.push(batch.columns[..visible].iter().map(|column| column.datum(position)).collect());
            }
            Ok(rows.len() < most || plan.command != CommandKind::Select)
        })?;
        Ok((rows, changed))
    }
}
