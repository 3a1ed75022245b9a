//! Filter: rows that satisfy a predicate.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::{Expr, Volatility};
use ochre_types::Batch;

use crate::key_filter::KeyFilter;
use crate::{BoxOperator, Check, ExecContext, Operator, Readiness};

/// Narrows the selection of its input's batches; copies nothing.
pub struct Filter {
    input: BoxOperator,
    predicate: Expr,
}

impl Filter {
    /// Rows of `input` for which `predicate` is true.
    pub fn new(input: BoxOperator, predicate: Expr) -> Filter {
        Filter { input, predicate }
    }
}

impl Operator for Filter {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        while let Some(batch) = self.input.next(ctx)? {
            if let Some(batch) = ctx.filter(&self.predicate, batch)? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn narrow(&mut self, column: usize, keys: &Arc<KeyFilter>) -> bool {
        self.predicate.volatility() != Volatility::Volatile && self.input.narrow(column, keys)
    }

    fn make_ready(&mut self, ctx: &ExecContext<'_>) -> Result<Readiness> {
        self.input.make_ready(ctx)
    }

    fn take_part(&mut self, ctx: &ExecContext<'_>, check: Check<'_>) -> Result<()> {
        self.input.take_part(ctx, check)
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.input.rescan(ctx)
    }

    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.input.rewind(ctx)
    }
}
