//! Append: the rows of several inputs, one input after the other.

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_types::{Batch, Datum};

use crate::{BoxOperator, Check, ExecContext, Operator, Readiness};

/// UNION ALL, and the relations of a set.
pub struct Append {
    inputs: Vec<BoxOperator>,
    /// Conditions without columns under which inputs have rows; none when no input has one.
    guards: Vec<Option<Expr>>,
    current: usize,
    /// Whether the current input's guard was asked.
    asked: bool,
}

impl Append {
    /// The rows of `inputs` in their order, those left out whose guard is not true.
    pub fn new(inputs: Vec<BoxOperator>, guards: Vec<Option<Expr>>) -> Append {
        Append { inputs, guards, current: 0, asked: false }
    }

    /// Whether the current input is to be read.
    fn is_open(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        if std::mem::replace(&mut self.asked, true) {
            return Ok(true);
        }
        let Some(Some(guard)) = self.guards.get(self.current) else { return Ok(true) };
        let verdict = ctx.eval(guard, &Batch::new(Vec::new(), 1))?;
        Ok(verdict.datum(0) == Datum::Bool(true))
    }

    fn restart(&mut self) {
        self.current = 0;
        self.asked = false;
    }
}

impl Operator for Append {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        while self.current < self.inputs.len() {
            if self.is_open(ctx)?
                && let Some(batch) = self.inputs[self.current].next(ctx)?
            {
                return Ok(Some(batch));
            }
            self.current += 1;
            self.asked = false;
        }
        Ok(None)
    }

    fn make_ready(&mut self, ctx: &ExecContext<'_>) -> Result<Readiness> {
        for input in &mut self.inputs {
            // Those before are ready and say so again.
            if input.make_ready(ctx)? == Readiness::Together {
                return Ok(Readiness::Together);
            }
        }
        Ok(Readiness::Ready)
    }

    fn take_part(&mut self, ctx: &ExecContext<'_>, check: Check<'_>) -> Result<()> {
        self.inputs.iter_mut().try_for_each(|input| input.take_part(ctx, check))
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.restart();
        self.inputs.iter_mut().try_for_each(|input| input.rescan(ctx))
    }

    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.restart();
        self.inputs.iter_mut().try_for_each(|input| input.rewind(ctx))
    }
}
