//! Project: expressions over rows.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::{Expr, Volatility};
use ochre_types::Batch;

use crate::context::run_in_turn;
use crate::key_filter::KeyFilter;
use crate::{BoxOperator, Check, ExecContext, Operator, Readiness};

/// Computes columns; the selection stays. A plain column is passed on without a copy.
pub struct Project {
    input: BoxOperator,
    exprs: Vec<Expr>,
    /// At the top of a plan: computes no more rows at a time than are wanted.
    is_top: bool,
    /// The expressions are computed row by row.
    in_turn: bool,
    /// Rows of the input that were not wanted yet, and the position of the next.
    rest: Option<(Batch, usize)>,
}

impl Project {
    /// One column for each expression over `input`.
    pub fn new(input: BoxOperator, exprs: Vec<Expr>, is_top: bool) -> Project {
        Project { input, is_top, in_turn: run_in_turn(&exprs), exprs, rest: None }
    }

    /// The input's next rows, a part of a batch when not all of it is wanted.
    fn wanted(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        let wanted = ctx.run.wanted_rows.get();
        let (batch, start) = match self.rest.take() {
            Some(rest) => rest,
            None => match self.input.next(ctx)? {
                Some(batch) if batch.active_rows() <= wanted => return Ok(Some(batch)),
                Some(batch) => (batch.compact(), 0),
                None => return Ok(None),
            },
        };
        let rows = wanted.min(batch.rows - start);
        let columns = batch.columns.iter().map(|column| Arc::new(column.slice(start, rows))).collect();
        if start + rows < batch.rows {
            self.rest = Some((batch, start + rows));
        }
        Ok(Some(Batch::new(columns, rows)))
    }
}

impl Operator for Project {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        let next = if self.is_top { self.wanted(ctx)? } else { self.input.next(ctx)? };
        let Some(batch) = next else { return Ok(None) };
        if self.in_turn {
            let columns = ctx.eval_in_turn(&self.exprs, &batch)?;
            return Ok(Some(Batch { columns, rows: batch.rows, selection: batch.selection }));
        }
        let mut columns = Vec::with_capacity(self.exprs.len());
        for expr in &self.exprs {
            columns.push(match expr {
                Expr::Column { index, .. } => Arc::clone(&batch.columns[*index]),
                expr => ctx.eval(expr, &batch)?,
            });
        }
        Ok(Some(Batch { columns, rows: batch.rows, selection: batch.selection }))
    }

    fn narrow(&mut self, column: usize, keys: &Arc<KeyFilter>) -> bool {
        match self.exprs.get(column) {
            // What a volatile expression does to its surroundings it does for each row.
            Some(Expr::Column { index, .. })
                if self.exprs.iter().all(|expr| expr.volatility() != Volatility::Volatile) =>
            {
                self.input.narrow(*index, keys)
            }
            _ => false,
        }
    }

    fn make_ready(&mut self, ctx: &ExecContext<'_>) -> Result<Readiness> {
        self.input.make_ready(ctx)
    }

    fn take_part(&mut self, ctx: &ExecContext<'_>, check: Check<'_>) -> Result<()> {
        self.input.take_part(ctx, check)
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.rest = None;
        self.input.rescan(ctx)
    }

    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.rest = None;
        self.input.rewind(ctx)
    }
}
