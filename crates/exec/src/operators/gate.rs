//! Gate: the rows of its input, if a condition that reads none of them holds.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_types::Batch;

use crate::key_filter::KeyFilter;
use crate::{BoxOperator, Check, ExecContext, Operator, Readiness};

/// Asks its condition once before each run of the input.
pub struct Gate {
    input: BoxOperator,
    condition: Expr,
    /// What the condition was in this run.
    open: Option<bool>,
}

impl Gate {
    /// The rows of `input` if `condition`, which has no columns, is true.
    pub fn new(input: BoxOperator, condition: Expr) -> Gate {
        Gate { input, condition, open: None }
    }

    fn is_open(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        if let Some(open) = self.open {
            return Ok(open);
        }
        let open = ctx.eval_value(&self.condition)?.as_bool() == Some(true);
        self.open = Some(open);
        Ok(open)
    }
}

impl Operator for Gate {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if self.is_open(ctx)? { self.input.next(ctx) } else { Ok(None) }
    }

    fn narrow(&mut self, column: usize, keys: &Arc<KeyFilter>) -> bool {
        self.input.narrow(column, keys)
    }

    fn make_ready(&mut self, ctx: &ExecContext<'_>) -> Result<Readiness> {
        if self.is_open(ctx)? { self.input.make_ready(ctx) } else { Ok(Readiness::Ready) }
    }

    fn take_part(&mut self, ctx: &ExecContext<'_>, check: Check<'_>) -> Result<()> {
        self.input.take_part(ctx, check)
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.open = None;
        self.input.rescan(ctx)
    }

    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.open = None;
        self.input.rewind(ctx)
    }
}
