//! Rows from elsewhere into a table: COPY, and the rewriting of tables.

use ochre_base::Result;
use ochre_sql::physical::TargetTable;
use ochre_types::Batch;

use crate::context::{ExecContext, Frame, StatementContext};
use crate::modify::after;
use crate::modify::target::Target;
use crate::relation::RelationSource;
use crate::run_state::RunState;

/// Stores batches of complete rows, with all checks and index entries that INSERT has.
pub struct BulkInsert {
    target: Target,
    run: RunState,
    frame: Frame,
}

impl BulkInsert {
    /// Opens the table.
    ///
    /// # Errors
    /// What opening relations fails with.
    pub fn new(plan: &TargetTable, relations: &dyn RelationSource) -> Result<BulkInsert> {
        crate::modify::triggers::refuse_triggers(&plan.table, "COPY into")?;
        Ok(BulkInsert {
            target: Target::open(plan, relations)?,
            run: RunState::empty(),
            frame: Frame::default(),
        })
    }

    /// Makes the rows that follow count as written long ago, for every snapshot to see. The table's file is the
    /// transaction's own, so that nobody meets them should it fail.
    pub fn freeze(&mut self) {
        self.target.freeze();
    }

    /// Inserts the active rows of a batch: one column for each column of the table, in order, with defaults in place;
    /// dropped and generated columns are NULL.
    ///
    /// # Errors
    /// 23502, 23514, 23505; errors of storage.
    pub fn insert(&mut self, statement: &StatementContext<'_>, batch: Batch) -> Result<()> {
        statement.session.check_interrupts()?;
        let ctx = ExecContext::new(statement, &self.run, &self.frame);
        let new = self.target.prepare(&ctx, batch)?;
        self.target.insert(&ctx, &new)?;
        Ok(())
    }

    /// Checks what waits for all rows to be there. Call it after the last batch.
    ///
    /// # Errors
    /// 23503, 23505; errors of storage and of waiting.
    pub fn finish(&mut self, statement: &StatementContext<'_>) -> Result<()> {
        after::finish(&ExecContext::new(statement, &self.run, &self.frame))
    }
}
