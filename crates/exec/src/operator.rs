//! What every operator is.

use ochre_base::Result;
use ochre_types::Batch;

use crate::ExecContext;

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
}

/// An operator of any kind.
pub type BoxOperator = Box<dyn Operator>;
