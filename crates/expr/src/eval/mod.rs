//! Evaluation of expressions: over batches of columns, and over single rows.
//!
//! # Role
//! [`batch`] runs the nodes that matter for speed over typed vectors and hands the others to [`row`], row by row.
//! [`row`] runs every node on single values: INSERT … VALUES, point lookups, folding of constants.

mod array_op;
mod batch;
mod call;
mod row;
mod rows;
mod set;
mod subscript;

use std::sync::Arc;

use ochre_base::Result;
use ochre_types::{Batch, Column, Datum, Selection};

use crate::{EvalContext, Expr};

pub(crate) use call::{call_row, checked};
pub(crate) use row::is_plain_text;
pub(crate) use rows::Rows;
pub(crate) use set::{DatumSet, RowSet};
pub use set::{SetCursor, open_set};

/// Evaluates an expression for the selected rows of a batch (the batch's own selection where none is given). The
/// result is as long as the batch; what it holds for other rows is unspecified.
///
/// # Errors
/// Those of the functions called, for selected rows only.
pub fn eval(
    expr: &Expr,
    batch: &Batch,
    selection: Option<&Selection>,
    ctx: &EvalContext<'_>,
) -> Result<Arc<Column>> {
    batch::Evaluator::new(batch, ctx).eval(expr, selection.or(batch.selection.as_ref()))
}

/// The selected rows for which a boolean expression is true.
///
/// # Errors
/// As [`eval`].
pub fn eval_predicate(
    expr: &Expr,
    batch: &Batch,
    selection: Option<&Selection>,
    ctx: &EvalContext<'_>,
) -> Result<Selection> {
    batch::Evaluator::new(batch, ctx).predicate(expr, selection.or(batch.selection.as_ref()))
}

/// Evaluates an expression for one row.
///
/// # Errors
/// Those of the functions called.
pub fn eval_row(expr: &Expr, row: &dyn RowSource, ctx: &EvalContext<'_>) -> Result<Datum> {
    row::RowEvaluator { row, ctx, case: None }.eval(expr)
}

/// Evaluates a boolean expression for one row; `None` is unknown.
///
/// # Errors
/// As [`eval_row`].
pub fn eval_row_bool(expr: &Expr, row: &dyn RowSource, ctx: &EvalContext<'_>) -> Result<Option<bool>> {
    Ok(eval_row(expr, row, ctx)?.as_bool())
}

/// Evaluates an expression that refers to no input column.
///
/// # Errors
/// As [`eval_row`].
pub fn eval_const(expr: &Expr, ctx: &EvalContext<'_>) -> Result<Datum> {
    eval_row(expr, &NoRow, ctx)
}

/// A row to evaluate on.
pub trait RowSource {
    /// The value of input column `index`.
    fn value(&self, index: usize) -> Datum;
}

impl RowSource for &[Datum] {
    fn value(&self, index: usize) -> Datum {
        self[index].clone()
    }
}

impl RowSource for Vec<Datum> {
    fn value(&self, index: usize) -> Datum {
        self[index].clone()
    }
}

/// Row number `.1` of a batch.
impl RowSource for (&Batch, usize) {
    fn value(&self, index: usize) -> Datum {
        self.0.columns[index].datum(self.1)
    }
}

/// A row without columns.
struct NoRow;

impl RowSource for NoRow {
    fn value(&self, _index: usize) -> Datum {
        Datum::Null
    }
}
