//! What the collector needs of relations: their handles by file, and the removal of index entries.

use std::sync::{Arc, Weak};

use ochre_access::collector::HeapSource;
use ochre_access::heap::{Heap, IndexCleanup, NoIndexes, VersionRef};
use ochre_base::{FileId, Result, RowId, Xid};
use ochre_catalog::{RelationDescriptor, builtin};
use ochre_exec::{EntryColumns, ImageDecoder};
use ochre_expr::{EvalContext, NoSession};
use ochre_storage::RelationKey;

use crate::database::Database;
use crate::instance::Instance;

/// Finds relations by their files, in whatever database.
pub(crate) struct Relations {
    instance: Weak<Instance>,
}

impl Relations {
    pub(crate) fn new(instance: Weak<Instance>) -> Relations {
        Relations { instance }
    }
}

impl HeapSource for Relations {
    fn heap(&self, relation: RelationKey) -> Option<Arc<Heap>> {
        let instance = self.instance.upgrade()?;
        if builtin::STORED.iter().any(|(_, file)| *file == relation.file) {
            let heap = instance.heaps().open(relation);
            heap.set_index_cleanup(Some(Arc::new(NoIndexes)));
            return Some(heap);
        }
        let database = instance.loaded_database(relation.database)?;
        let descriptor = database.relation_of_file(relation.file)?;
        database.table(&descriptor).ok()?.heap.clone()
    }
}

/// Removes entries from whatever indexes the newest catalog gives the relation.
struct RelationCleanup {
    database: Weak<Database>,
    file: FileId,
}

/// The cleanup of a relation.
pub(crate) fn cleanup(database: &Database, relation: &RelationDescriptor) -> Arc<dyn IndexCleanup> {
    match (relation.builtin, relation.file) {
        (false, Some(file)) => Arc::new(RelationCleanup { database: database.weak(), file }),
        _ => Arc::new(NoIndexes),
    }
}

impl IndexCleanup for RelationCleanup {
    fn remove_entries(
        &self,
        row: RowId,
        doomed: &[VersionRef<'_>],
        surviving: &[VersionRef<'_>],
    ) -> Result<()> {
        let gone = || ochre_base::Error::internal("the relation of a version is gone");
        let database = self.database.upgrade().ok_or_else(gone)?;
        // The newest catalog, not the one the heap was opened under: an index may have come since. A writer that uses an
        // index before its CREATE INDEX commits leaves nothing to collect before that commit either.
        let relation = database.relation_of_file(self.file).ok_or_else(gone)?;
        if relation.indexes.is_empty() {
            return Ok(());
        }
        let table = database.table(&relation)?;
        let mut read: Vec<usize> =
            table.indexes.iter().flat_map(|index| index.exprs.columns_read()).collect();
        read.sort_unstable();
        read.dedup();
        let mut decoder = ImageDecoder::new(&table.codec, &read);
        for version in doomed.iter().chain(surviving) {
            decoder.push(version)?;
        }
        let batch = decoder.take(table.heap()?)?;
        let session = NoSession::default();
        let eval = EvalContext { params: &[], correlated: &[], session: &session, subplans: None };
        for index in &table.indexes {
            let columns = EntryColumns::compute(index, &batch, &eval)?;
            let mut kept = Vec::with_capacity(surviving.len());
            for row in doomed.len()..batch.rows {
                if columns.is_included(row) {
                    kept.push(columns.entry(index, row)?);
                }
            }
            for position in 0..doomed.len() {
                if !columns.is_included(position) {
                    continue;
                }
                let entry = columns.entry(index, position)?;
                if !kept.contains(&entry) {
                    index.tree.remove(Xid::NONE, &entry.key, &entry.payload, row)?;
                }
            }
        }
        Ok(())
    }
}
