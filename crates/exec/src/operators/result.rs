//! Result and Values: rows of expressions that read no rows.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_types::{Batch, ColumnBuilder, Datum, PhysicalType};

use crate::{ExecContext, Operator};

/// One row of expressions, or none when the condition is not true.
pub struct ResultRow {
    exprs: Vec<Expr>,
    condition: Option<Expr>,
    done: bool,
}

impl ResultRow {
    /// The row of `exprs`, if `condition` holds.
    pub fn new(exprs: Vec<Expr>, condition: Option<Expr>) -> ResultRow {
        ResultRow { exprs, condition, done: false }
    }
}

impl Operator for ResultRow {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        if let Some(condition) = &self.condition
            && ctx.eval_value(condition)?.as_bool() != Some(true)
        {
            return Ok(None);
        }
        // A row of its own without columns: the expressions read none.
        let row = Batch::new(Vec::new(), 1);
        let mut columns = Vec::with_capacity(self.exprs.len());
        for expr in &self.exprs {
            columns.push(ctx.eval(expr, &row)?);
        }
        Ok(Some(Batch::new(columns, 1)))
    }

    fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        self.done = false;
        Ok(())
    }
}

/// A list of rows of expressions.
pub struct Values {
    rows: Vec<Vec<Expr>>,
    types: Vec<PhysicalType>,
    next: usize,
}

impl Values {
    /// The rows, each with one expression for each of `types`.
    pub fn new(rows: Vec<Vec<Expr>>, types: Vec<PhysicalType>) -> Values {
        Values { rows, types, next: 0 }
    }
}

impl Operator for Values {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        let count = (self.rows.len() - self.next).min(ctx.batch_rows());
        if count == 0 {
            return Ok(None);
        }
        ctx.check_interrupts()?;
        let mut builders: Vec<ColumnBuilder> =
            self.types.iter().map(|physical| ColumnBuilder::new(*physical, count)).collect();
        for row in &self.rows[self.next..self.next + count] {
            for (expr, builder) in row.iter().zip(&mut builders) {
                match expr {
                    Expr::Constant { value, .. } => builder.push(value),
                    expr => {
                        let value: Datum = ctx.eval_value(expr)?;
                        builder.push(&value);
                    }
                }
            }
        }
        self.next += count;
        let columns = builders.into_iter().map(|builder| Arc::new(builder.finish())).collect();
        Ok(Some(Batch::new(columns, count)))
    }

    fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        self.next = 0;
        Ok(())
    }
}
