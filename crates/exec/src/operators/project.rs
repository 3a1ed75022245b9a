//! Project: expressions over rows.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_types::Batch;

use crate::{BoxOperator, ExecContext, Operator};

/// Computes columns; the selection stays. A plain column is passed on without a copy.
pub struct Project {
    input: BoxOperator,
    exprs: Vec<Expr>,
}

impl Project {
    /// One column for each expression over `input`.
    pub fn new(input: BoxOperator, exprs: Vec<Expr>) -> Project {
        Project { input, exprs }
    }
}

impl Operator for Project {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        let Some(batch) = self.input.next(ctx)? else { return Ok(None) };
        let mut columns = Vec::with_capacity(self.exprs.len());
        for expr in &self.exprs {
            columns.push(match expr {
                Expr::Column { index, .. } => Arc::clone(&batch.columns[*index]),
                expr => ctx.eval(expr, &batch)?,
            });
        }
        Ok(Some(Batch { columns, rows: batch.rows, selection: batch.selection }))
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.input.rescan(ctx)
    }

    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.input.rewind(ctx)
    }
}
