//! Append: the rows of several inputs, one input after the other.

use ochre_base::Result;
use ochre_types::Batch;

use crate::{BoxOperator, ExecContext, Operator};

/// UNION ALL.
pub struct Append {
    inputs: Vec<BoxOperator>,
    current: usize,
}

impl Append {
    /// The rows of `inputs` in their order.
    pub fn new(inputs: Vec<BoxOperator>) -> Append {
        Append { inputs, current: 0 }
    }
}

impl Operator for Append {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        while let Some(input) = self.inputs.get_mut(self.current) {
            if let Some(batch) = input.next(ctx)? {
                return Ok(Some(batch));
            }
            self.current += 1;
        }
        Ok(None)
    }

    fn make_ready(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.inputs.iter_mut().try_for_each(|input| input.make_ready(ctx))
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.current = 0;
        self.inputs.iter_mut().try_for_each(|input| input.rescan(ctx))
    }

    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.current = 0;
        self.inputs.iter_mut().try_for_each(|input| input.rewind(ctx))
    }
}
