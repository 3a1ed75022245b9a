//! Incremental sort: rows that come in the order of the leading keys, brought into that of all keys.
//!
//! # How
//! Rows with equal leading keys are a group, and groups come one after the other. Whole groups are sorted and given before
//! the next ones are read: as many at once as end within a batch of the input, so that small groups do not each cost a
//! sort. The batches of an index scan begin small, and a limit above stops the whole after the first few.
//!
//! # Invariants
//! - IN1: what is sorted together begins where a group begins and ends where one ends: `pending` holds what was read of the
//!   group behind.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_sql::explain::{NodeReport, SortReport};
use ochre_sql::physical::SortKey;
use ochre_types::{Batch, KeyOrder, PhysicalType, key};

use crate::operators::sort::{key_orders, key_sources, row_bound};
use crate::row_sorter::{RowSorter, SortedRows};
use crate::{BoxOperator, ExecContext, Operator};

/// Sorts its input group by group.
pub struct IncrementalSort {
    input: BoxOperator,
    types: Vec<PhysicalType>,
    keys: Vec<SortKey>,
    orders: Vec<KeyOrder>,
    /// How many leading keys the input is sorted by.
    presorted: usize,
    limit: Option<Expr>,
    /// How many rows are still asked for; unknown before the first run.
    left: Option<Option<usize>>,
    /// The groups that are being given.
    current: Option<SortedRows>,
    /// The first rows of the group behind them.
    pending: Option<Batch>,
    /// The leading keys of the last row that was read.
    last: Option<Vec<u8>>,
    ended: bool,
    report: Option<SortReport>,
}

impl IncrementalSort {
    /// The rows of `input`, which is sorted by the first `presorted` of `keys`, by all of them; with `limit` only that many.
    pub fn new(
        input: BoxOperator,
        types: Vec<PhysicalType>,
        keys: Vec<SortKey>,
        presorted: usize,
        limit: Option<Expr>,
    ) -> IncrementalSort {
        IncrementalSort {
            input,
            types,
            orders: key_orders(&keys),
            keys,
            presorted,
            limit,
            left: None,
            current: None,
            pending: None,
            last: None,
            ended: false,
            report: None,
        }
    }

    /// Sorts the next groups; none at the end.
    fn sort_groups(&mut self, ctx: &ExecContext<'_>) -> Result<Option<SortedRows>> {
        let bound = self.left.flatten();
        let sources = key_sources(&self.keys);
        let (types, orders) = (self.types.clone(), self.orders.clone());
        let mut sorter = RowSorter::new(types, orders, &sources, bound, ctx.temp(), ctx.work_mem_bytes());
        let mut is_empty = true;
        if let Some(batch) = self.pending.take() {
            self.add(ctx, &mut sorter, &batch)?;
            is_empty = false;
        }
        loop {
            ctx.check_interrupts()?;
            let Some(batch) = self.input.next(ctx)? else {
                self.ended = true;
                break;
            };
            let batch = batch.compact();
            match self.last_group(ctx, &batch)? {
                // IN1
                Some(start) => {
                    if start > 0 {
                        self.add(ctx, &mut sorter, &slice(&batch, 0, start))?;
                        is_empty = false;
                    }
                    self.pending = Some(slice(&batch, start, batch.rows - start));
                    if !is_empty {
                        break;
                    }
                }
                None => {
                    self.add(ctx, &mut sorter, &batch)?;
                    is_empty = false;
                }
            }
        }
        if is_empty {
            return Ok(None);
        }
        let report = sorter.report();
        let (most, sorts) = match self.report {
            Some(most) if (most.on_disk, most.bytes) >= (report.on_disk, report.bytes) => (most, most.sorts),
            known => (report, known.map_or(0, |known| known.sorts)),
        };
        self.report = Some(SortReport { sorts: sorts + 1, ..most });
        sorter.finish().map(Some)
    }

    fn add(&self, ctx: &ExecContext<'_>, sorter: &mut RowSorter, batch: &Batch) -> Result<()> {
        let keys = ctx.eval_all(self.keys.iter().map(|key| &key.expr), batch)?;
        sorter.add(batch, &keys)
    }

    /// Where the last group begins that begins in a batch.
    fn last_group(&mut self, ctx: &ExecContext<'_>, batch: &Batch) -> Result<Option<usize>> {
        let columns = ctx.eval_all(self.keys[..self.presorted].iter().map(|key| &key.expr), batch)?;
        let key_of = |row: usize, bytes: &mut Vec<u8>| -> Result<()> {
            bytes.clear();
            for (column, order) in columns.iter().zip(&self.orders) {
                key::encode_key_at(column, row, *order, bytes)?;
            }
            Ok(())
        };
        let (mut last, mut other) = (Vec::new(), Vec::new());
        key_of(batch.rows - 1, &mut last)?;
        // Keys come in order, so those of the last group are the end of the batch.
        let (mut low, mut high) = (0, batch.rows - 1);
        while low < high {
            let middle = low + (high - low) / 2;
            key_of(middle, &mut other)?;
            if other == last { high = middle } else { low = middle + 1 }
        }
        let begins = low > 0 || self.last.as_ref().is_some_and(|known| *known != last);
        self.last = Some(last);
        Ok(begins.then_some(low))
    }
}

fn slice(batch: &Batch, start: usize, rows: usize) -> Batch {
    let columns = batch.columns.iter().map(|column| Arc::new(column.slice(start, rows))).collect();
    Batch::new(columns, rows)
}

impl Operator for IncrementalSort {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if self.left.is_none() {
            self.left = Some(row_bound(ctx, self.limit.as_ref())?);
        }
        loop {
            if self.left == Some(Some(0)) {
                return Ok(None);
            }
            if let Some(sorted) = &mut self.current {
                if let Some(batch) = sorted.next(ctx.batch_rows())? {
                    if let Some(Some(left)) = &mut self.left {
                        *left = left.saturating_sub(batch.active_rows());
                    }
                    return Ok(Some(batch));
                }
                self.current = None;
            }
            if self.ended && self.pending.is_none() {
                return Ok(None);
            }
            self.current = self.sort_groups(ctx)?;
        }
    }

    fn report(&self, report: &mut NodeReport) {
        report.sort = self.report;
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.left = None;
        self.current = None;
        self.pending = None;
        self.last = None;
        self.ended = false;
        self.input.rescan(ctx)
    }
}
