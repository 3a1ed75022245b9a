//! Min/max by index: the first non-null key of an index, as one row.

use std::sync::Arc;

use ochre_base::Result;
use ochre_sql::explain::NodeReport;
use ochre_types::{Batch, Column, PhysicalType};

use crate::operators::index_scan::IndexScan;
use crate::{ExecContext, Operator};

/// The value that an index scan meets first, or NULL.
pub struct MinMaxIndex {
    scan: IndexScan,
    physical: PhysicalType,
    done: bool,
}

impl MinMaxIndex {
    /// The first value of a scan of one column.
    pub fn new(scan: IndexScan, physical: PhysicalType) -> MinMaxIndex {
        MinMaxIndex { scan, physical, done: false }
    }
}

impl Operator for MinMaxIndex {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        while let Some(batch) = self.scan.next(ctx)? {
            let column = &batch.columns[0];
            if let Some(row) = batch.active().find(|row| column.is_valid(*row)) {
                return Ok(Some(Batch::new(vec![Arc::new(column.slice(row, 1))], 1)));
            }
        }
        Ok(Some(Batch::new(vec![Arc::new(Column::nulls(self.physical, 1))], 1)))
    }

    fn report(&self, report: &mut NodeReport) {
        self.scan.report(report);
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.done = false;
        self.scan.rescan(ctx)
    }
}
