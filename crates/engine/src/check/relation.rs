//! Heaps, and the indexes of a table.

use std::sync::Arc;

use ochre_base::{BlockNo, Result, RowId};
use ochre_catalog::RelationDescriptor;
use ochre_exec::{EntryColumns, RowDecoder, TableAccess};
use ochre_expr::{EvalContext, NoSession};
use ochre_storage::RelationKey;
use ochre_txn::Snapshot;

use super::Check;
use super::index::ExpectedEntries;
use crate::database::Database;
use crate::instance::Instance;

/// Rows that are looked at together.
const BATCH_ROWS: usize = 1700;

impl Check<'_> {
    /// A heap's pages and chains.
    pub(super) fn heap(&mut self, instance: &Arc<Instance>, key: RelationKey) {
        if self.unsound.contains(&key) {
            return;
        }
        let name = self.names[&key].clone();
        let problems = instance.heaps().open(key).check();
        for problem in self.attempt(&name, problems).unwrap_or_default() {
            self.unsound.insert(key);
            self.problem(&name, problem.to_string());
        }
    }

    /// A table's indexes, each alone and against the rows.
    pub(super) fn table(
        &mut self,
        instance: &Arc<Instance>,
        database: &Arc<Database>,
        relation: &Arc<RelationDescriptor>,
    ) {
        let Ok(key) = database.relation_key(relation) else { return };
        let index_key = |position: usize| database.file_key(false, relation.indexes[position].file);
        if (0..relation.indexes.len()).any(|position| self.unsound.contains(&index_key(position))) {
            // One index that cannot be opened would keep the others from being looked at: the damage is reported.
            self.unsound.insert(key);
        }
        if self.unsound.contains(&key) {
            return;
        }
        let name = self.names[&key].clone();
        let Some(table) = self.attempt(&name, database.table(relation)) else { return };
        let expected = expected_entries(instance, &table);
        let Some((rows, expected)) = self.attempt(&name, expected) else { return };
        self.summary.rows += rows;
        for (position, expected) in expected.into_iter().enumerate() {
            let index_name = self.names.get(&index_key(position)).cloned().unwrap_or_default();
            self.index(&index_name, &table, &table.indexes[position], expected);
        }
    }
}

/// What every index of a table should hold for the rows that live, and how many these are.
fn expected_entries(instance: &Arc<Instance>, table: &TableAccess) -> Result<(u64, Vec<ExpectedEntries>)> {
    let transaction = instance.begin_own();
    let snapshot = transaction.snapshot()?;
    let result = read_rows(instance, table, &snapshot);
    drop(snapshot);
    instance.transactions().commit(transaction)?;
    result
}

fn read_rows(
    instance: &Arc<Instance>,
    table: &TableAccess,
    snapshot: &Snapshot,
) -> Result<(u64, Vec<ExpectedEntries>)> {
    let heap = table.heap()?;
    let mut expected: Vec<ExpectedEntries> =
        table.indexes.iter().map(|_| ExpectedEntries::new(instance, table.indexes.len())).collect();
    let mut decoder = RowDecoder::all_columns(&table.codec);
    let mut ids: Vec<RowId> = Vec::new();
    let session = NoSession::default();
    let eval = EvalContext { params: &[], correlated: &[], session: &session, subplans: None };
    let mut rows = 0;
    let blocks = heap.block_count()?;
    for block in 0..blocks {
        heap.scan_page(BlockNo(block), snapshot, None, |version| {
            ids.push(version.rid);
            decoder.push(&version)
        })?;
        if ids.len() < BATCH_ROWS && block + 1 < blocks {
            continue;
        }
        rows += ids.len() as u64;
        let batch = decoder.take(heap)?;
        for (index, expected) in table.indexes.iter().zip(&mut expected) {
            let columns = EntryColumns::stored(index, &batch, &eval)?;
            for (row, rid) in ids.iter().enumerate() {
                expected.add(index, &columns, row, *rid)?;
            }
        }
        ids.clear();
    }
    Ok((rows, expected.into_iter().map(ExpectedEntries::finish).collect::<Result<_>>()?))
}
