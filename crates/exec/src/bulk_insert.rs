//! Rows from elsewhere into a table: COPY, and the rewriting of tables.

use ochre_base::{Error, Result};
use ochre_sql::physical::InsertPlan;
use ochre_types::Batch;

use crate::context::{ExecContext, Frame, StatementContext};
use crate::modify::after;
use crate::modify::routed_insert::Router;
use crate::modify::target::Target;
use crate::modify::triggers::{TriggerEvent, Triggers};
use crate::relation::RelationSource;
use crate::run_state::RunState;

/// Stores batches of complete rows, with all checks and index entries that INSERT has.
pub struct BulkInsert {
    into: Into,
    run: RunState,
    frame: Frame,
    triggers: Option<Box<Triggers>>,
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
        let (run, frame) = (RunState::empty(), Frame::default());
        let Some(routing) = &plan.routing else {
            let triggers = Triggers::of(&plan.target.table, TriggerEvent::Insert, &[]);
            let into = Into::Table(Box::new(Target::open(&plan.target, relations)?));
            return Ok(BulkInsert { into, run, frame, triggers });
        };
        let mut tables =
            routing.leaves.iter().map(|leaf| &leaf.plan.target.table).chain([&plan.target.table]);
        if tables.any(|table| Triggers::of(table, TriggerEvent::Insert, &[]).is_some()) {
            return Err(Error::unsupported("COPY into a partitioned table with triggers"));
        }
        Ok(BulkInsert { into: Into::Partitions(Router::new(routing, false)), run, frame, triggers: None })
    }

    /// Makes the rows that follow count as written long ago, for every snapshot to see. The table's file is the
    /// transaction's own, so that nobody meets them should it fail.
    pub fn freeze(&mut self) {
        if let Into::Table(target) = &mut self.into {
            target.freeze();
        }
    }

    /// Inserts the active rows of a batch: one column for each column of the table, in order, with defaults in place;
    /// dropped and generated columns are NULL. How many were inserted: triggers can turn rows down.
    ///
    /// # Errors
    /// 23502, 23514, 23505; errors of storage.
    pub fn insert(&mut self, statement: &StatementContext<'_>, batch: Batch) -> Result<u64> {
        statement.session.check_interrupts()?;
        let ctx = ExecContext::new(statement, &self.run, &self.frame);
        let target = match &mut self.into {
            Into::Table(target) => target,
            Into::Partitions(router) => {
                router.insert(&ctx, &batch)?;
                return Ok(batch.active_rows() as u64);
            }
        };
        let Some(triggers) = &mut self.triggers else {
            let new = target.prepare(&ctx, batch)?;
            target.insert(&ctx, &new)?;
            return Ok(new.image.active_rows() as u64);
        };
        triggers.begin(&ctx)?;
        if !triggers.has_before_row() {
            let new = target.prepare(&ctx, batch)?;
            target.insert(&ctx, &new)?;
            new.image.active().try_for_each(|row| triggers.after_insert(&ctx, &new.image, row))?;
            return Ok(new.image.active_rows() as u64);
        }
        let mut inserted = 0;
        for row in batch.active() {
            ctx.check_interrupts()?;
            let Some(shown) = triggers.before(&ctx, None, Some(triggers.row(&batch, row)))? else { continue };
            let new = target.prepare(&ctx, triggers.image(&target.table.codec, &shown))?;
            target.insert(&ctx, &new)?;
            triggers.after_insert(&ctx, &new.image, 0)?;
            inserted += 1;
        }
        Ok(inserted)
    }

    /// Fires the AFTER triggers and checks what waits for all rows to be there. Call it after the last batch.
    ///
    /// # Errors
    /// 23503, 23505; errors of storage and of waiting.
    pub fn finish(&mut self, statement: &StatementContext<'_>) -> Result<()> {
        let ctx = ExecContext::new(statement, &self.run, &self.frame);
        if let Some(triggers) = &mut self.triggers {
            triggers.begin(&ctx)?;
            triggers.end(&ctx)?;
        }
        after::finish(&ctx)
    }
}
