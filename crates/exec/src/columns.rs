//! Small helpers over columns and batches that several operators share.

use std::sync::Arc;

use ochre_types::{Batch, Column, ColumnBuilder, PhysicalType};

/// Rows of the first batch of an operator whose rows a limit above may not want all.
pub const FIRST_BATCH_ROWS: usize = 32;

/// How large the next batch is after one of so many rows.
pub fn larger_batch(rows: usize) -> usize {
    (rows * 4).min(ochre_base::limits::BATCH_ROWS)
}

/// All active rows of several batches as one column each.
///
/// Byte strings are copied into a few large buffers: a column that refers to the buffers of thousands of batches would
/// make every later gather carry them all.
pub fn concat_batches(types: &[PhysicalType], batches: &[Batch]) -> Vec<Arc<Column>> {
    let rows = batches.iter().map(Batch::active_rows).sum();
    types
        .iter()
        .enumerate()
        .map(|(i, physical)| {
            let mut builder = ColumnBuilder::new(*physical, rows);
            for batch in batches {
                append_active(&mut builder, batch, i);
            }
            Arc::new(builder.finish())
        })
        .collect()
}

/// Appends the active rows of column `index` of a batch to a builder.
pub fn append_active(builder: &mut ColumnBuilder, batch: &Batch, index: usize) {
    let column = &batch.columns[index];
    if batch.selection.is_none() && builder.physical() != PhysicalType::Bytes {
        builder.append(column);
        return;
    }
    for row in batch.active() {
        builder.push_from(column, row);
    }
}

/// The rows of `columns` at `positions`, as a batch. No more than a batch's worth of positions.
pub fn gather(columns: &[Arc<Column>], positions: &[u32]) -> Vec<Arc<Column>> {
    columns
        .iter()
        .map(|column| Arc::new(column.gather(positions.iter().map(|position| *position as usize))))
        .collect()
}

/// Stands for "no row" in [`gather_optional`].
pub const NO_ROW: u32 = u32::MAX;

/// As [`gather`], with NULLs where the position is [`NO_ROW`].
pub fn gather_optional(columns: &[Arc<Column>], positions: &[u32]) -> Vec<Arc<Column>> {
    if !positions.contains(&NO_ROW) {
        return gather(columns, positions);
    }
    columns
        .iter()
        .map(|column| {
            let mut builder = ColumnBuilder::new(column.physical(), positions.len());
            for position in positions {
                match *position {
                    NO_ROW => builder.push_null(),
                    position => builder.push_from(column, position as usize),
                }
            }
            Arc::new(builder.finish())
        })
        .collect()
}

/// `rows` NULLs for each type.
pub fn null_columns(types: &[PhysicalType], rows: usize) -> Vec<Arc<Column>> {
    types.iter().map(|physical| Arc::new(Column::nulls(*physical, rows))).collect()
}

/// An empty builder for each type.
pub fn builders(types: &[PhysicalType], capacity: usize) -> Vec<ColumnBuilder> {
    types.iter().map(|physical| ColumnBuilder::new(*physical, capacity)).collect()
}

/// The batch that builders hold; they start anew.
pub fn take_batch(builders: &mut [ColumnBuilder], rows: usize) -> Batch {
    Batch::new(builders.iter_mut().map(|builder| Arc::new(builder.take())).collect(), rows)
}

/// About how many bytes the active rows of a batch take when they are copied elsewhere. Unlike
/// [`Batch::memory_bytes`] it does not count what only other rows use.
pub fn active_bytes(batch: &Batch) -> usize {
    let rows = batch.active_rows();
    batch
        .columns
        .iter()
        .map(|column| match (column.physical().stored_width(), column.as_bytes()) {
            (Some(width), _) => width as usize * rows,
            (None, Some(_)) => batch.active().map(|row| 16 + column.bytes(row).len()).sum(),
            (None, None) => column.memory_bytes() * rows / batch.rows.max(1),
        })
        .sum()
}
