//! Splits rows by the hash of their keys into temporary files, so that each part fits into memory.
//!
//! # Invariants
//! - PA1: rows with equal keys go to the same partition, on both sides of a join.
//! - PA2: each level of splitting uses other bits of the hash, so a partition that is too large falls apart further.

use std::sync::Arc;

use ochre_base::Result;
use ochre_base::limits::BATCH_ROWS;
use ochre_types::{Batch, ColumnBuilder, PhysicalType};

use crate::columns::{builders, take_batch};
use crate::key_table::{hash_bytes, hash_word};
use crate::keys::{BatchKeys, KeyLayout};
use crate::row_store::RowStore;
use crate::temp::TempFiles;

/// Partitions of one level: each has a write buffer and a file.
pub const FAN_OUT: usize = 32;
const FAN_OUT_BITS: u32 = 5;
/// A partition that is still too large after so many levels holds many rows of one key; splitting does not help.
pub const MAX_DEPTH: u32 = 6;
/// Rows gathered for a partition before they are written, at most; and at least, where memory is short.
const BLOCK_ROWS: usize = 1024;
const LEAST_BLOCK_ROWS: usize = 128;
/// What a value of variable length takes in a column, beside its bytes.
const VALUE_BYTES: usize = 24;
/// What rows gathered for all partitions, and the first of each that stay in memory, take of `work_mem` at most, but for the
/// last row of each.
const BLOCKS_SHARE: usize = 2;

/// The hash of row `row`'s key: the same on both sides of a join.
#[inline]
pub fn key_hash(layout: &KeyLayout, keys: &BatchKeys, row: usize) -> u64 {
    match () {
        () if keys.is_null(row) && layout.is_word() => 0,
        () if layout.is_word() => hash_word(keys.words[row]),
        () => hash_bytes(keys.bytes(row)),
    }
}

/// Which partition of a level a hash belongs to.
#[inline]
pub fn partition_of(hash: u64, depth: u32) -> usize {
    (hash >> (24 + depth * FAN_OUT_BITS)) as usize % FAN_OUT
}

/// Takes rows and writes each to its partition.
pub struct Partitioner {
    depth: u32,
    /// Bytes of values of variable length that a partition gathers.
    block_bytes: usize,
    /// Rows that it gathers.
    block_rows: usize,
    parts: Vec<Part>,
}

struct Part {
    store: RowStore,
    builders: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
    /// Rows of the batch in hand that are to be added.
    waiting: Vec<u16>,
}

/// Whether no value takes more than some bytes; a large numeric may, and takes a file's share of the memory at most.
fn is_small(physical: PhysicalType) -> bool {
    physical.stored_width().is_some() || physical == PhysicalType::Numeric
}

impl Partitioner {
    /// Empty partitions of rows of `types`, at a level of splitting.
    pub fn new(
        types: &Arc<[PhysicalType]>,
        depth: u32,
        temp: &Arc<TempFiles>,
        work_mem_bytes: usize,
    ) -> Partitioner {
        let part = |_| Part {
            store: RowStore::new(Arc::clone(types), temp, 0),
            builders: builders(types, 0),
            rows: 0,
            bytes: 0,
            waiting: Vec::new(),
        };
        let block_bytes = work_mem_bytes / BLOCKS_SHARE / FAN_OUT;
        let width = |ty: &PhysicalType| ty.stored_width().map_or(VALUE_BYTES, usize::from);
        let row_bytes: usize = types.iter().map(width).sum();
        let block_rows = (block_bytes / row_bytes.max(1)).clamp(LEAST_BLOCK_ROWS, BLOCK_ROWS);
        Partitioner { depth, block_bytes, block_rows, parts: (0..FAN_OUT).map(part).collect() }
    }

    /// Adds one row of a batch by the hash of its key.
    pub fn add(&mut self, batch: &Batch, row: usize, hash: u64) -> Result<()> {
        let part = &mut self.parts[partition_of(hash, self.depth)];
        for (builder, column) in part.builders.iter_mut().zip(&batch.columns) {
            builder.push_from(column, row);
            part.bytes += column.as_bytes().map_or(0, |values| values.get(row * column.stride()).len());
        }
        part.rows += 1;
        if part.rows >= self.block_rows || part.bytes > self.block_bytes {
            part.flush()?;
        }
        Ok(())
    }

    /// Adds rows of a batch by the hashes of their keys: column by column, where no value can be large.
    pub fn add_rows(&mut self, batch: &Batch, rows: impl Iterator<Item = (usize, u64)>) -> Result<()> {
        if batch.columns.iter().any(|column| !is_small(column.physical())) {
            for (row, hash) in rows {
                self.add(batch, row, hash)?;
            }
            return Ok(());
        }
        for (row, hash) in rows {
            self.parts[partition_of(hash, self.depth)].waiting.push(row as u16);
        }
        for part in self.parts.iter_mut().filter(|part| !part.waiting.is_empty()) {
            if part.rows + part.waiting.len() > BATCH_ROWS {
                part.flush()?;
            }
            let rows = part.waiting.iter().map(|row| usize::from(*row));
            for (builder, column) in part.builders.iter_mut().zip(&batch.columns) {
                builder.extend_from(column, rows.clone());
            }
            part.rows += part.waiting.len();
            part.waiting.clear();
            if part.rows >= self.block_rows {
                part.flush()?;
            }
        }
        Ok(())
    }

    /// The partitions, those without rows too.
    pub fn finish(mut self) -> Result<Vec<RowStore>> {
        for part in &mut self.parts {
            part.flush()?;
        }
        Ok(self.parts.into_iter().map(|part| part.store).collect())
    }
}

impl Part {
    fn flush(&mut self) -> Result<()> {
        if self.rows > 0 {
            let rows = std::mem::take(&mut self.rows);
            self.bytes = 0;
            self.store.append(take_batch(&mut self.builders, rows))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ochre_types::{Column, Datum};

    use super::*;
    use crate::row_store::tests::temp_files;

    #[test]
    fn wide_rows_are_written_before_they_fill_memory() {
        const WORK_MEM: usize = 1 << 20;
        const WIDE: usize = 8 << 10;
        let types: Arc<[PhysicalType]> = Arc::from([PhysicalType::Bytes]);
        let wide = Datum::text("x".repeat(WIDE));
        let batch = Batch::new(vec![Arc::new(Column::constant(PhysicalType::Bytes, &wide, 1))], 1);
        let mut parts = Partitioner::new(&types, 0, &temp_files(), WORK_MEM);
        for row in 0..FAN_OUT as u64 * 500 {
            parts.add(&batch, 0, row << 24).unwrap();
            let gathered: usize = parts.parts.iter().map(|part| part.rows * WIDE).sum();
            assert!(gathered <= WORK_MEM / BLOCKS_SHARE + FAN_OUT * WIDE, "{gathered} bytes wait");
        }
        for store in parts.finish().unwrap() {
            assert_eq!(store.rows(), 500);
            assert!(store.batch(0).unwrap().unwrap().rows * WIDE <= WORK_MEM / FAN_OUT);
            assert!(store.has_spilled());
        }
    }
}
