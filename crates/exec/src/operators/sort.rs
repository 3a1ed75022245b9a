//! Sort: rows in an order, all of them or the first few.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_expr::Expr;
use ochre_sql::explain::{NodeReport, SortReport};
use ochre_sql::physical::SortKey;
use ochre_types::{Batch, KeyOrder, PhysicalType};

use crate::dependencies::{Dependencies, DependencyValues};
use crate::row_sorter::{RowSorter, SortedRows};
use crate::{BoxOperator, ExecContext, Operator};

/// Reads its input to the end, then gives the rows in order.
pub struct Sort {
    input: BoxOperator,
    types: Vec<PhysicalType>,
    keys: Vec<SortKey>,
    limit: Option<Expr>,
    dependencies: Dependencies,
    computed_with: DependencyValues,
    sorted: Option<SortedRows>,
    /// How the rows were sorted that took the most room.
    report: Option<SortReport>,
}

/// The orders of sort keys.
pub fn key_orders(keys: &[SortKey]) -> Vec<KeyOrder> {
    keys.iter().map(|key| KeyOrder::new(key.expr.ty(), key.descending, key.nulls_first)).collect()
}

impl Sort {
    /// The rows of `input`, which has these dependencies, by `keys`; with `limit` only that many.
    pub fn new(
        input: BoxOperator,
        types: Vec<PhysicalType>,
        keys: Vec<SortKey>,
        limit: Option<Expr>,
        dependencies: Dependencies,
    ) -> Sort {
        Sort {
            input,
            types,
            keys,
            limit,
            dependencies,
            computed_with: DependencyValues::default(),
            sorted: None,
            report: None,
        }
    }

    fn run(&mut self, ctx: &ExecContext<'_>) -> Result<SortedRows> {
        self.computed_with = self.dependencies.values(ctx);
        let bound = match &self.limit {
            Some(limit) => ctx.eval_value(limit)?.as_i64(),
            None => None,
        };
        let bound = bound.map(usize::try_from).transpose().map_err(|_| {
            Error::new(SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, "LIMIT must not be negative")
        })?;
        let orders = key_orders(&self.keys);
        let mut sorter = RowSorter::new(self.types.clone(), orders, bound, ctx.temp(), ctx.work_mem_bytes());
        while let Some(batch) = self.input.next(ctx)? {
            ctx.check_interrupts()?;
            let keys: Vec<Arc<_>> = ctx.eval_all(self.keys.iter().map(|key| &key.expr), &batch)?;
            sorter.add(&batch, &keys)?;
        }
        let report = sorter.report();
        if self.report.is_none_or(|most| (most.on_disk, most.bytes) < (report.on_disk, report.bytes)) {
            self.report = Some(report);
        }
        sorter.finish()
    }
}

impl Operator for Sort {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if self.sorted.is_none() {
            self.sorted = Some(self.run(ctx)?);
        }
        self.sorted.as_mut().expect("made above").next(ctx.batch_rows())
    }

    fn make_ready(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.input.make_ready(ctx)
    }

    fn report(&self, report: &mut NodeReport) {
        report.sort = self.report;
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        // The limit may read slots too, and is no part of the input's dependencies: it is then evaluated anew.
        let same = self.dependencies.unchanged(ctx, &self.computed_with) && self.limit.is_none();
        if let Some(sorted) = &mut self.sorted
            && same
            && sorted.rewind()
        {
            return Ok(());
        }
        if self.sorted.take().is_some() {
            return self.input.rescan(ctx);
        }
        Ok(())
    }
}
