//! Tid scan: rows of a table by row id (`WHERE ctid = …`).

use std::sync::Arc;

use ochre_base::{Result, RowId};
use ochre_sql::explain::NodeReport;
use ochre_sql::physical::{PhysicalPlan, TidCondition, TidScanPlan};
use ochre_types::{Batch, Datum};

use crate::operators::scan::ScanRows;
use crate::relation::TableAccess;
use crate::{ExecContext, Operator};

/// Rows by their ids.
pub struct TidScan {
    rows: ScanRows,
    condition: TidCondition,
    ids: Option<Vec<i64>>,
    next: usize,
}

impl TidScan {
    /// A scan of a table by row ids.
    pub fn new(table: Arc<TableAccess>, node: &TidScanPlan, plan: &PhysicalPlan) -> TidScan {
        TidScan {
            rows: ScanRows::new(table, &node.source, plan),
            condition: node.condition.clone(),
            ids: None,
            next: 0,
        }
    }

    fn row_ids(&self, ctx: &ExecContext<'_>) -> Result<Vec<i64>> {
        let mut ids: Vec<i64> = match &self.condition {
            TidCondition::Equal(expr) => ctx.eval_value(expr)?.as_i64().into_iter().collect(),
            TidCondition::Any(expr) => match ctx.eval_value(expr)? {
                Datum::Array(array) => array.elements.iter().filter_map(Datum::as_i64).collect(),
                _ => Vec::new(),
            },
        };
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}

impl Operator for TidScan {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        let table = Arc::clone(&self.rows.table);
        let heap = table.heap()?;
        if self.ids.is_none() {
            self.ids = Some(self.row_ids(ctx)?);
        }
        let ids = self.ids.as_ref().expect("made above");
        let blocks = heap.block_count()?;
        while self.next < ids.len() {
            ctx.check_interrupts()?;
            let decoder = &mut self.rows.decoder;
            while self.next < ids.len() && decoder.rows() < ctx.batch_rows() {
                let rid = RowId::from_u64(ids[self.next] as u64);
                self.next += 1;
                if let Some(serial) = ctx.statement.snapshot.serial() {
                    serial.read_row(heap.relation(), rid)?;
                }
                if rid.block.0 < blocks {
                    heap.fetch(ctx.statement.snapshot, rid, |version| decoder.push(&version))?.transpose()?;
                }
            }
            if decoder.rows() > 0
                && let Some(batch) = self.rows.take(ctx, heap)?
            {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn report(&self, report: &mut NodeReport) {
        report.removed_by_filter = self.rows.removed;
    }

    fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        self.ids = None;
        self.next = 0;
        Ok(())
    }
}
