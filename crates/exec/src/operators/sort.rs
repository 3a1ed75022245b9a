//! Sort: rows in an order, all of them or the first few.
//!
//! A sort of the first few tells what feeds it how far rows may come behind ([`KeyFilter::range`]), by the first of its keys
//! where that is an integer, so that scans leave most rows where they are.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_expr::Expr;
use ochre_sql::explain::{NodeReport, SortReport};
use ochre_sql::physical::SortKey;
use ochre_types::{Batch, KeyOrder, PhysicalType};

use crate::dependencies::{Dependencies, DependencyValues};
use crate::key_filter::KeyFilter;
use crate::row_sorter::{RowSorter, SortedRows};
use crate::{BoxOperator, Check, ExecContext, Operator, Readiness};

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

/// For each sort key the column of the input that it is.
pub fn key_sources(keys: &[SortKey]) -> Vec<Option<usize>> {
    let source = |key: &SortKey| match key.expr {
        Expr::Column { index, .. } => Some(index),
        _ => None,
    };
    keys.iter().map(source).collect()
}

/// How many rows are asked for; `None` for all.
///
/// # Errors
/// Those of the expression; 2201W for a negative number.
pub fn row_bound(ctx: &ExecContext<'_>, limit: Option<&Expr>) -> Result<Option<usize>> {
    let bound = match limit {
        Some(limit) => ctx.eval_value(limit)?.as_i64(),
        None => None,
    };
    bound
        .map(usize::try_from)
        .transpose()
        .map_err(|_| Error::new(SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, "LIMIT must not be negative"))
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

    /// Gives the input a range of the first key, where it can make use of one.
    fn hand_down(&mut self) -> Option<Arc<KeyFilter>> {
        use PhysicalType as P;
        let key = &self.keys.first()?.expr;
        let Expr::Column { index, ty } = key else { return None };
        if !matches!(ty.physical, P::Int16 | P::Int32 | P::UInt32 | P::Int64) {
            return None;
        }
        let range = Arc::new(KeyFilter::range());
        self.input.narrow(*index, &range).then_some(range)
    }

    fn run(&mut self, ctx: &ExecContext<'_>) -> Result<SortedRows> {
        self.computed_with = self.dependencies.values(ctx);
        let bound = row_bound(ctx, self.limit.as_ref())?;
        let orders = key_orders(&self.keys);
        let range = bound.and_then(|_| self.hand_down());
        let sources = key_sources(&self.keys);
        let (types, budget) = (self.types.clone(), ctx.work_mem_bytes());
        let mut sorter = RowSorter::new(types, orders, &sources, bound, ctx.temp(), budget);
        while let Some(batch) = self.input.next(ctx)? {
            ctx.check_interrupts()?;
            let keys: Vec<Arc<_>> = ctx.eval_all(self.keys.iter().map(|key| &key.expr), &batch)?;
            sorter.add(&batch, &keys)?;
            if let Some(range) = &range
                && let Some(last) = sorter.cutoff(self.keys[0].expr.ty().physical)
            {
                let descending = self.keys[0].descending;
                let (low, high) = if descending { (last, i64::MAX) } else { (i64::MIN, last) };
                range.tighten(low, high);
            }
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

    fn make_ready(&mut self, ctx: &ExecContext<'_>) -> Result<Readiness> {
        self.input.make_ready(ctx)
    }

    fn take_part(&mut self, ctx: &ExecContext<'_>, check: Check<'_>) -> Result<()> {
        self.input.take_part(ctx, check)
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
