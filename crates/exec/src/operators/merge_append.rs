//! Merge Append: the rows of several inputs that come in one order, merged into that order.

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_sql::physical::SortKey;
use ochre_types::{Batch, Datum};

use crate::operators::merge_streams::{Merger, Streams};
use crate::{BoxOperator, ExecContext, Operator};

/// Inputs in the same order.
pub struct MergeAppend {
    inputs: Vec<Input>,
    merger: Merger,
}

struct Input {
    operator: BoxOperator,
    /// A condition without columns: unless it is true, the input has no rows.
    guard: Option<Expr>,
    /// What the guard was in this run.
    open: Option<bool>,
}

/// The inputs while one call runs.
struct InputStreams<'a, 'c> {
    ctx: &'a ExecContext<'c>,
    inputs: &'a mut [Input],
}

impl Streams for InputStreams<'_, '_> {
    fn next(&mut self, stream: usize) -> Result<Option<Batch>> {
        let input = &mut self.inputs[stream];
        let open = match (input.open, &input.guard) {
            (Some(open), _) => open,
            (None, None) => true,
            (None, Some(guard)) => self.ctx.eval_value(guard)? == Datum::Bool(true),
        };
        input.open = Some(open);
        if open { input.operator.next(self.ctx) } else { Ok(None) }
    }
}

impl MergeAppend {
    /// The rows of `inputs`, each of which is sorted by `keys`; those left out whose guard is not true.
    pub fn new(inputs: Vec<BoxOperator>, guards: &[Option<Expr>], keys: &[SortKey]) -> MergeAppend {
        let merger = Merger::new(keys, inputs.len());
        let with_guard =
            |(i, operator)| Input { operator, guard: guards.get(i).cloned().flatten(), open: None };
        MergeAppend { inputs: inputs.into_iter().enumerate().map(with_guard).collect(), merger }
    }

    fn restart(&mut self) {
        self.merger.reset();
        self.inputs.iter_mut().for_each(|input| input.open = None);
    }
}

impl Operator for MergeAppend {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        self.merger.next(ctx, &mut InputStreams { ctx, inputs: &mut self.inputs })
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.restart();
        self.inputs.iter_mut().try_for_each(|input| input.operator.rescan(ctx))
    }

    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.restart();
        self.inputs.iter_mut().try_for_each(|input| input.operator.rewind(ctx))
    }
}
