//! Set-returning functions.

use std::sync::Arc;

use ochre_base::{Result, limits};
use ochre_types::{Batch, Column, ColumnBuilder, Datum, PhysicalType, SqlType};

use crate::{CallContext, EvalContext, Function, Implementation, errors};

/// The rows of one call of a set-returning function.
pub trait SetCursor: Send {
    /// Up to `max_rows` more rows (at most a batch); `None` at the end. A function with OUT columns gives one column
    /// each, any other one column.
    fn next_batch(&mut self, max_rows: usize, ctx: &EvalContext<'_>) -> Result<Option<Batch>>;
}

/// Calls a set-returning function.
///
/// # Errors
/// The function's own; 0A000 when it is not implemented.
pub fn open_set(
    function: &Function,
    args: &[Datum],
    arg_types: &[SqlType],
    result: SqlType,
    ctx: &EvalContext<'_>,
) -> Result<Box<dyn SetCursor>> {
    if function.strict && args.iter().any(Datum::is_null) {
        return Ok(Box::new(RowSet::new(output_types(function, result), Vec::new())));
    }
    let call = CallContext { eval: ctx, function, arg_types, result, variadic_array: false };
    match &function.implementation {
        Implementation::Set(open) => open(&call, args),
        Implementation::Session => {
            let rows = ctx.session.call_set(function, args)?;
            Ok(Box::new(RowSet::new(output_types(function, result), rows)))
        }
        Implementation::Routine if function.returns_set => {
            let rows = ctx.session.call_routine_set(&call, args)?;
            let types = match rows.first() {
                // One record a row, or a column each.
                Some(row) if row.len() != output_types(function, result).len() => vec![result.physical],
                _ => output_types(function, result),
            };
            Ok(Box::new(RowSet::new(types, rows)))
        }
        Implementation::Routine => {
            let value = ctx.session.call_routine(&call, args)?;
            Ok(Box::new(RowSet::new(vec![result.physical], vec![vec![value]])))
        }
        Implementation::Row(row) | Implementation::Batch { row, .. } => {
            let value = row(&call, args)?;
            Ok(Box::new(RowSet::new(vec![result.physical], vec![vec![value]])))
        }
        _ => Err(errors::missing(function)),
    }
}

/// The physical types of a set-returning function's columns.
pub(crate) fn output_types(function: &Function, result: SqlType) -> Vec<PhysicalType> {
    let columns = function.output_columns();
    if columns.len() < 2 {
        return vec![result.physical];
    }
    match ochre_types::record_fields(result) {
        Some(fields) if fields.len() == columns.len() => fields.iter().map(|ty| ty.physical).collect(),
        _ => columns.iter().map(|(_, oid)| SqlType::new(*oid, -1).physical).collect(),
    }
}

/// Rows that were made all at once.
pub(crate) struct RowSet {
    types: Vec<PhysicalType>,
    rows: std::vec::IntoIter<Vec<Datum>>,
}

impl RowSet {
    pub(crate) fn new(types: Vec<PhysicalType>, rows: Vec<Vec<Datum>>) -> RowSet {
        RowSet { types, rows: rows.into_iter() }
    }
}

impl SetCursor for RowSet {
    fn next_batch(&mut self, max_rows: usize, _ctx: &EvalContext<'_>) -> Result<Option<Batch>> {
        let max_rows = max_rows.min(limits::BATCH_ROWS);
        let mut builders: Vec<ColumnBuilder> =
            self.types.iter().map(|physical| ColumnBuilder::new(*physical, 0)).collect();
        let mut count = 0;
        for row in self.rows.by_ref().take(max_rows) {
            builders.iter_mut().zip(&row).for_each(|(builder, value)| builder.push(value));
            count += 1;
        }
        if count == 0 {
            return Ok(None);
        }
        let columns: Vec<Arc<Column>> = builders.into_iter().map(|b| Arc::new(b.finish())).collect();
        Ok(Some(Batch::new(columns, count)))
    }
}

/// One column of values from an iterator, drawn as needed.
pub(crate) struct DatumSet<I> {
    physical: PhysicalType,
    values: I,
}

impl<I: Iterator<Item = Result<Datum>> + Send> DatumSet<I> {
    pub(crate) fn new(physical: PhysicalType, values: I) -> DatumSet<I> {
        DatumSet { physical, values }
    }
}

impl<I: Iterator<Item = Result<Datum>> + Send> SetCursor for DatumSet<I> {
    fn next_batch(&mut self, max_rows: usize, ctx: &EvalContext<'_>) -> Result<Option<Batch>> {
        ctx.session.check_interrupts()?;
        let max_rows = max_rows.min(limits::BATCH_ROWS);
        let mut builder = ColumnBuilder::new(self.physical, max_rows);
        for value in self.values.by_ref().take(max_rows) {
            builder.push(&value?);
        }
        let rows = builder.len();
        Ok((rows > 0).then(|| Batch::new(vec![Arc::new(builder.finish())], rows)))
    }
}
