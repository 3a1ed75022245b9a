//! What every operator is.

use std::sync::Arc;

use ochre_base::Result;
use ochre_sql::explain::NodeReport;
use ochre_types::Batch;

use crate::ExecContext;
use crate::key_filter::KeyFilter;

/// A running node of a plan: it owns its inputs and its run state, and gives batches when asked.
///
/// # States
/// ```text
/// built ──next──► running ──next──► … ──next──► ended (None, for ever)
///   ▲                │                 rescan
///   └────────────────┴────────────────────────┘
/// ```
/// An operator does no work before the first `next`. After an error it is only dropped.
pub trait Operator: Send {
    /// The next rows, never an empty batch; `None` at the end.
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>>;

    /// Starts anew, reading what the frame's slots hold now. Rows kept from the last run may be given again as long as
    /// they depend on no slot that has changed.
    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()>;

    /// Starts anew with the guarantee that no slot has changed since the last run began.
    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.rescan(ctx)
    }

    /// Makes ready what this operator, or one below it, shares with other threads' operators for the same plan nodes; called
    /// by the thread that runs the statement, before any of them runs. Where all threads have to do a part of that, each
    /// takes its part ([`Operator::take_part`]), and this is called again.
    fn make_ready(&mut self, _ctx: &ExecContext<'_>) -> Result<Readiness> {
        Ok(Readiness::Ready)
    }

    /// Does this thread's part of what [`Operator::make_ready`] has asked for. `check` fails when the thread is to stop.
    fn take_part(&mut self, _ctx: &ExecContext<'_>, _check: Check<'_>) -> Result<()> {
        Ok(())
    }

    /// Rows whose output column `column` is not among the keys need not be given: whoever asks throws them away. Says
    /// whether anything below makes use of it. Valid until the next rescan or rewind, which forget it; called before the
    /// first `next` after one.
    fn narrow(&mut self, _column: usize, _keys: &Arc<KeyFilter>) -> bool {
        false
    }

    /// Takes back a batch that it gave, from a caller that has done with it: the next one can be made in its memory.
    fn recycle(&mut self, _batch: Batch) {}

    /// Adds what the operator has done since it was made, beside rows and time, for EXPLAIN ANALYZE. Asked after each
    /// `next`, of instrumented executions only.
    fn report(&self, _report: &mut NodeReport) {}
}

/// What has to be done before threads run a plan side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing more.
    Ready,
    /// Something that all of them do together.
    Together,
}

/// Whether a thread may go on.
pub type Check<'a> = &'a dyn Fn() -> Result<()>;

/// No rows.
pub(crate) struct Nothing;

impl Operator for Nothing {
    fn next(&mut self, _ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        Ok(None)
    }

    fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// An operator of any kind.
pub type BoxOperator = Box<dyn Operator>;
