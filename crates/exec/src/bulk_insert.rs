//! Rows from elsewhere into a table: COPY, and the rewriting of tables.

use ochre_base::Result;
use ochre_sql::physical::InsertPlan;
use ochre_types::Batch;

use crate::context::{ExecContext, Frame, StatementContext};
use crate::modify::after;
use crate::modify::routed_insert::Router;
use crate::modify::target::Target;
use crate::modify::triggers::refuse_triggers;
use crate::relation::RelationSource;
use crate::run_state::RunState;

/// Stores batches of complete rows, with all checks and index entries that INSERT has.
pub struct BulkInsert {
    into: Into,
    run: RunState,
    frame: Frame,
}

/// Where the rows go.
enum Into {
    Table(Box<Target>),
    /// To the partitions of a table.
    Partitions(Router),
}

impl BulkInsert {
    /// Opens the table of an INSERT.
    ///
    /// # Errors
    /// What opening relations fails with.
    pub fn new(plan: &InsertPlan, relations: &dyn RelationSource) -> Result<BulkInsert> {
        refuse_triggers(&plan.target.table, "COPY into")?;
        let into = match &plan.routing {
            None => Into::Table(Box::new(Target::open(&plan.target, relations)?)),
            Some(routing) => {
                let leaves = routing.leaves.iter().map(|leaf| &leaf.plan.target.table);
                leaves.into_iter().try_for_each(|table| refuse_triggers(table, "COPY into"))?;
                Into::Partitions(Router::new(routing, false))
            }
        };
        Ok(BulkInsert { into, run: RunState::empty(), frame: Frame::default() })
    }

    /// Makes the rows that follow count as written long ago, for every snapshot to see. The table's file is the
    /// transaction's own, so that nobody meets them should it fail.
    pub fn freeze(&mut self) {
        if let Into::Table(target) = &mut self.into {
            target.freeze();
        }
    }

    /// Inserts the active rows of a batch: one column for each column of the table, in order, with defaults in place;
    /// dropped and generated columns are NULL.
    ///
    /// # Errors
    /// 23502, 23514, 23505; errors of storage.
    pub fn insert(&mut self, statement: &StatementContext<'_>, batch: Batch) -> Result<()> {
        statement.session.check_interrupts()?;
        let ctx = ExecContext::new(statement, &self.run, &self.frame);
        match &mut self.into {
            Into::Table(target) => {
                let new = target.prepare(&ctx, batch)?;
                target.insert(&ctx, &new)?;
            }
            Into::Partitions(router) => {
                router.insert(&ctx, &batch)?;
            }
        }
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
