//! Materialize: keeps its input's rows so that a rescan need not compute them.

use std::sync::Arc;

use ochre_base::Result;
use ochre_sql::explain::NodeReport;
use ochre_types::{Batch, PhysicalType};

use crate::dependencies::{Dependencies, DependencyValues};
use crate::row_store::RowStore;
use crate::{BoxOperator, ExecContext, Operator};

/// Gives its rows again as long as nothing that they depend on has changed.
pub struct Materialize {
    input: BoxOperator,
    types: Arc<[PhysicalType]>,
    dependencies: Dependencies,
    computed_with: DependencyValues,
    store: Option<RowStore>,
    ended: bool,
    next: usize,
}

impl Materialize {
    /// The rows of `input`, which has these dependencies.
    pub fn new(input: BoxOperator, types: Arc<[PhysicalType]>, dependencies: Dependencies) -> Materialize {
        let computed_with = DependencyValues::default();
        Materialize { input, types, dependencies, computed_with, store: None, ended: false, next: 0 }
    }
}

impl Operator for Materialize {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        let store = match &mut self.store {
            Some(store) => store,
            None => {
                self.computed_with = self.dependencies.values(ctx);
                self.store.insert(RowStore::new(Arc::clone(&self.types), ctx.temp(), ctx.work_mem_bytes()))
            }
        };
        if self.next == store.batch_count() && !self.ended {
            match self.input.next(ctx)? {
                Some(batch) => store.append(batch)?,
                None => self.ended = true,
            }
        }
        let batch = store.batch(self.next)?;
        self.next += usize::from(batch.is_some());
        Ok(batch)
    }

    fn report(&self, report: &mut NodeReport) {
        report.storage = self.store.as_ref().map(RowStore::report);
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.next = 0;
        if self.store.is_some() && !self.dependencies.unchanged(ctx, &self.computed_with) {
            self.store = None;
            self.ended = false;
            return self.input.rescan(ctx);
        }
        Ok(())
    }

    fn rewind(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        self.next = 0;
        Ok(())
    }
}
