//! CTE scan and work table scan: rows that others have computed and keep.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_sql::explain::{NodeReport, StorageReport};
use ochre_types::Batch;

use crate::row_store::RowStore;
use crate::{ExecContext, Operator};

/// The rows of a `WITH` entry, computed as far as they are asked for.
pub struct CteScan {
    cte: usize,
    columns: Vec<usize>,
    filter: Option<Expr>,
    next: usize,
    removed: u64,
    storage: StorageReport,
}

impl CteScan {
    /// Some columns of the rows of a CTE that satisfy a filter over all its columns.
    pub fn new(cte: usize, columns: Vec<usize>, filter: Option<Expr>) -> CteScan {
        CteScan { cte, columns, filter, next: 0, removed: 0, storage: StorageReport::default() }
    }
}

impl Operator for CteScan {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        while let Some(batch) = ctx.run.cte_batch(ctx, self.cte, self.next)? {
            self.next += 1;
            self.storage = ctx.run.cte_storage(self.cte);
            let rows = batch.active_rows() as u64;
            let kept = ctx.filter_if(self.filter.as_ref(), batch)?;
            self.removed += rows - kept.as_ref().map_or(0, Batch::active_rows) as u64;
            if let Some(batch) = kept {
                return Ok(Some(pick(batch, &self.columns)));
            }
        }
        Ok(None)
    }

    fn report(&self, report: &mut NodeReport) {
        report.removed_by_filter = self.removed;
        report.storage = Some(self.storage);
    }

    fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        self.next = 0;
        Ok(())
    }
}

/// The rows that a recursive CTE found in its last round.
pub struct WorkTableScan {
    work_table: usize,
    columns: Vec<usize>,
    filter: Option<Expr>,
    rows: Option<Arc<RowStore>>,
    next: usize,
    removed: u64,
}

impl WorkTableScan {
    /// Some columns of the rows of a work table that satisfy a filter over all its columns.
    pub fn new(work_table: usize, columns: Vec<usize>, filter: Option<Expr>) -> WorkTableScan {
        WorkTableScan { work_table, columns, filter, rows: None, next: 0, removed: 0 }
    }
}

impl Operator for WorkTableScan {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if self.rows.is_none() {
            self.rows = ctx.run.work_table(self.work_table).borrow().current.clone();
        }
        let Some(rows) = &self.rows else { return Ok(None) };
        while let Some(batch) = rows.batch(self.next)? {
            self.next += 1;
            let rows = batch.active_rows() as u64;
            let kept = ctx.filter_if(self.filter.as_ref(), batch)?;
            self.removed += rows - kept.as_ref().map_or(0, Batch::active_rows) as u64;
            if let Some(batch) = kept {
                return Ok(Some(pick(batch, &self.columns)));
            }
        }
        Ok(None)
    }

    fn report(&self, report: &mut NodeReport) {
        report.removed_by_filter = self.removed;
    }

    fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        self.next = 0;
        self.rows = None;
        Ok(())
    }
}

/// The same rows with some of their columns.
fn pick(batch: Batch, columns: &[usize]) -> Batch {
    let columns = columns.iter().map(|index| Arc::clone(&batch.columns[*index])).collect();
    Batch { columns, ..batch }
}
