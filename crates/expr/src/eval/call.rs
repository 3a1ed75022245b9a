//! Calling functions: null handling, dispatch on the implementation.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_types::{Column, ColumnBuilder, Datum, PhysicalType, Selection};

use super::Rows;
use crate::function::{RowFn, Volatility};
use crate::{CallContext, Implementation, errors};

/// Bytes of a value from which on it is worth a look whether the statement may go on.
const LARGE_BYTES: usize = 64 * 1024;

/// Calls a function on single values.
pub(crate) fn call_row(call: &CallContext<'_, '_>, args: &[Datum]) -> Result<Datum> {
    let function = call.function;
    if function.strict && args.iter().any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    let value = match &function.implementation {
        Implementation::Row(row) | Implementation::Batch { row, .. } => row(call, args),
        Implementation::Session => call.eval.session.call(function, args),
        Implementation::Routine => call.eval.session.call_routine(call, args),
        _ => Err(not_scalar(call)),
    }?;
    interrupt_if_large(call, &value)?;
    Ok(value)
}

/// Looks for an interrupt, that of a memory limit above all, behind a value that may be one of many large ones.
#[inline]
fn interrupt_if_large(call: &CallContext<'_, '_>, value: &Datum) -> Result<()> {
    let large = match value {
        Datum::Bytes(bytes) => bytes.as_slice().len() >= LARGE_BYTES,
        Datum::Array(array) => array.elements.len() >= LARGE_BYTES / size_of::<Datum>(),
        _ => false,
    };
    if large { call.eval.session.check_interrupts() } else { Ok(()) }
}

/// Calls a function on columns that are `rows` long.
pub(crate) fn call_batch(
    call: &CallContext<'_, '_>,
    args: &[Arc<Column>],
    rows: usize,
    selection: Option<&Selection>,
) -> Result<Arc<Column>> {
    let function = call.function;
    let physical = call.result.physical;
    if function.strict && args.iter().any(|arg| arg.is_constant() && !arg.is_empty() && arg.is_null(0)) {
        return Ok(Arc::new(Column::nulls(physical, rows)));
    }
    let selected = Rows::new(rows, selection);
    if selected.len() == 0 {
        return Ok(Arc::new(Column::nulls(physical, rows)));
    }
    let once = function.volatility != Volatility::Volatile && args.iter().all(|arg| arg.is_constant());
    if once {
        let values: Vec<Datum> = args.iter().map(|arg| arg.datum(0)).collect();
        let value = checked(call_row(call, &values)?, physical)?;
        return Ok(Arc::new(Column::constant(physical, &value, rows)));
    }
    match &function.implementation {
        Implementation::Batch { batch, .. } => batch(call, args, rows, selection),
        Implementation::Row(row) => by_row(call, args, rows, selected, row),
        Implementation::Session => {
            let session: RowFn = Arc::new(|call, args| call.eval.session.call(call.function, args));
            by_row(call, args, rows, selected, &session)
        }
        Implementation::Routine => {
            let routine: RowFn = Arc::new(|call, args| call.eval.session.call_routine(call, args));
            by_row(call, args, rows, selected, &routine)
        }
        _ => Err(not_scalar(call)),
    }
}

fn by_row(
    call: &CallContext<'_, '_>,
    args: &[Arc<Column>],
    rows: usize,
    selected: Rows<'_>,
    row: &RowFn,
) -> Result<Arc<Column>> {
    let mut values: Vec<Datum> = Vec::with_capacity(args.len());
    build(call.result.physical, rows, selected, |position| {
        values.clear();
        for arg in args {
            let value = arg.datum(position);
            if call.function.strict && value.is_null() {
                return Ok(Datum::Null);
            }
            values.push(value);
        }
        let value = row(call, &values)?;
        interrupt_if_large(call, &value)?;
        // Rows of a function that takes its time may be many milliseconds a batch.
        if position % 64 == 63 {
            call.eval.session.check_interrupts()?;
        }
        Ok(value)
    })
}

/// A column from one value a selected row, null elsewhere.
pub(crate) fn build(
    physical: PhysicalType,
    rows: usize,
    selected: Rows<'_>,
    mut value: impl FnMut(usize) -> Result<Datum>,
) -> Result<Arc<Column>> {
    let mut builder = ColumnBuilder::new(physical, rows);
    selected.try_each(|position| {
        while builder.len() < position {
            builder.push_null();
        }
        builder.push(&checked(value(position)?, physical)?);
        Ok(())
    })?;
    while builder.len() < rows {
        builder.push_null();
    }
    Ok(Arc::new(builder.finish()))
}

/// The value, which must have the physical form of its type.
pub(crate) fn checked(value: Datum, physical: PhysicalType) -> Result<Datum> {
    match value.physical() {
        Some(actual) if actual != physical => {
            Err(Error::internal(format!("a value of {actual:?} where {physical:?} belongs")))
        }
        _ => Ok(value),
    }
}

#[cold]
fn not_scalar(call: &CallContext<'_, '_>) -> Error {
    match call.function.implementation {
        Implementation::Missing | Implementation::Session => errors::missing(call.function),
        _ => Error::internal(format!("{} is no scalar function", call.function.name)),
    }
}
