//! Filling a new index from its table: scan, sort, bulk build.
//!
//! The index gets the rows that the statement's snapshot sees, so it may be used by that snapshot and later ones only
//! (`IndexDescriptor::usable_from`); the table must be locked against writers meanwhile.

use std::sync::Arc;

use ochre_access::btree::{BTreeBuilder, BuildReport};
use ochre_access::sort::{SortConfig, Sorter};
use ochre_base::{BlockNo, Result, RowId, limits};
use ochre_storage::ScanRing;
use ochre_types::{Batch, Column, key};

use crate::codec::RowDecoder;
use crate::context::{ExecContext, Frame, StatementContext};
use crate::index_entry::{Entry, EntryColumns};
use crate::modify::errors::{TableName, cannot_create_unique};
use crate::relation::{IndexAccess, TableAccess};
use crate::run_state::RunState;

/// Fills an empty index of a table, with `memory_bytes` for the sort (`maintenance_work_mem`).
///
/// # Errors
/// 23505 when a unique index would hold a key twice; those of the index's expressions; errors of storage.
pub fn build_index(
    statement: &StatementContext<'_>,
    table: &TableAccess,
    index: &IndexAccess,
    memory_bytes: usize,
) -> Result<BuildReport> {
    let config = SortConfig::new(statement.temp.env(), statement.temp.dir(), memory_bytes);
    let mut sorter = Sorter::new(config);
    let mut entry = Entry::default();
    each_batch(statement, table, |ctx, image| {
        let columns = ctx.with_eval(|eval| EntryColumns::compute(index, &image, eval))?;
        let ids = image.columns.last().and_then(|column| column.as_i64s()).unwrap_or_default();
        for row in image.active().filter(|row| columns.is_included(*row)) {
            columns.write(index, row, &mut entry)?;
            sorter.add(&entry.key, ids[row] as u64, &entry.payload)?;
        }
        Ok(true)
    })?;
    let mut sorted = sorter.finish()?;
    let mut builder = BTreeBuilder::new(Arc::clone(&index.tree), statement.txn.assign_xid()?);
    let mut count = 0u64;
    while let Some(next) = sorted.next()? {
        if count.is_multiple_of(4096) {
            statement.session.check_interrupts()?;
        }
        count += 1;
        let same = builder.add(next.key, next.payload, RowId::from_u64(next.tag))?;
        if same.is_some()
            && index.descriptor.unique
            && (index.descriptor.nulls_not_distinct || !index.has_null_in_key(next.key)?)
        {
            return Err(duplicate(statement, table, index, next.key));
        }
    }
    builder.finish()
}

#[cold]
fn duplicate(
    statement: &StatementContext<'_>,
    table: &TableAccess,
    index: &IndexAccess,
    key: &[u8],
) -> ochre_base::Error {
    let mut rest = key;
    let values: Result<Vec<_>> =
        index.keys.iter().map(|(ty, order)| key::decode_key(*ty, *order, &mut rest)).collect();
    let schema = statement.relations.namespace_name(table.descriptor.namespace);
    let name = TableName { schema, table };
    cannot_create_unique(&name, index, &values.unwrap_or_default(), statement.session.format())
}

/// Visits target images (the table's columns by position, then the row id) of all rows that the statement sees, until
/// `visit` answers false. For validating constraints and rewriting tables.
///
/// # Errors
/// What `visit` returns; errors of storage.
pub fn each_batch(
    statement: &StatementContext<'_>,
    table: &TableAccess,
    mut visit: impl FnMut(&ExecContext<'_>, Batch) -> Result<bool>,
) -> Result<()> {
    let heap = table.heap()?;
    let mut decoder = RowDecoder::all_columns(&table.codec);
    let mut ids: Vec<i64> = Vec::new();
    let (run, frame) = (RunState::empty(), Frame::default());
    let ctx = ExecContext::new(statement, &run, &frame);
    let mut ring = ScanRing::bulk_read();
    let blocks = heap.block_count()?;
    for block in 0..blocks {
        heap.scan_page(BlockNo(block), statement.snapshot, Some(&mut ring), |version| {
            ids.push(version.rid.to_u64() as i64);
            decoder.push(&version)
        })?;
        // A page has fewer than 300 rows.
        if ids.len() + 300 > limits::BATCH_ROWS || block + 1 == blocks {
            statement.session.check_interrupts()?;
            let mut image = decoder.take(heap)?;
            image.columns.push(Arc::new(Column::from(std::mem::take(&mut ids))));
            if !image.is_empty() && !visit(&ctx, image)? {
                return Ok(());
            }
        }
    }
    Ok(())
}
