//! What the collector needs of relations: their handles by file, and the removal of index entries.

use std::sync::{Arc, Weak};

use hashbrown::HashSet;
use ochre_access::collector::HeapSource;
use ochre_access::heap::{Heap, IndexCleanup, NoIndexes, VersionRef};
use ochre_base::{FileId, Result, RowId, Xid};
use ochre_catalog::{RelationDescriptor, builtin};
use ochre_exec::{Entry, EntryColumns, ImageDecoder, IndexAccess};
use ochre_expr::{EvalContext, NoSession};
use ochre_storage::RelationKey;
use ochre_types::Batch;

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
    ) -> Result<bool> {
        // What is gone with its relation, or its whole database, is nobody's to clean.
        let Some(database) = self.database.upgrade() else { return Ok(false) };
        // The newest catalog, not the one the heap was opened under: an index may have come since. A writer that uses an
        // index before its CREATE INDEX commits leaves nothing to collect before that commit either.
        let Some(relation) = database.relation_of_file(self.file) else { return Ok(false) };
        if relation.indexes.is_empty() {
            return Ok(true);
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
        let mut entries = Vec::new();
        let remembers = |index: &&Arc<IndexAccess>| index.remembered_inputs.is_some();
        for index in table.indexes.iter().filter(remembers) {
            for position in doomed.len()..batch.rows {
                let columns = batch.columns.iter().map(|column| Arc::new(column.slice(position, 1)));
                // A condition that fails has failed for the writer, too.
                let version = Batch::new(columns.collect(), 1);
                let Ok(columns) = EntryColumns::stored(index, &version, &eval) else { continue };
                columns.entries(index, 0, row, &mut entries)?;
                if columns.is_untold(index, 0, &entries) {
                    return Ok(false);
                }
            }
        }
        for index in &table.indexes {
            // In most cases no row fails, and the expressions of all are computed together.
            let together = EntryColumns::stored(index, &batch, &eval).ok();
            // A GIN index may have many for each version.
            let mut kept: HashSet<Entry> = HashSet::new();
            for position in doomed.len()..batch.rows {
                entries_of(index, &batch, position, together.as_ref(), row, &eval, &mut entries)?;
                kept.extend(entries.drain(..));
            }
            for position in 0..doomed.len() {
                entries_of(index, &batch, position, together.as_ref(), row, &eval, &mut entries)?;
                // What is inserted last goes first: a memo tells of an entry as long as there is one.
                for entry in entries.iter().rev().filter(|entry| !kept.contains(*entry)) {
                    index.tree.remove(Xid::NONE, &entry.key, &entry.payload, row)?;
                }
            }
        }
        Ok(true)
    }
}

/// The entries of one version. One whose expressions fail has none: its writer failed on them as well, after the version was
/// stored.
fn entries_of(
    index: &IndexAccess,
    batch: &Batch,
    position: usize,
    together: Option<&EntryColumns>,
    row: RowId,
    eval: &EvalContext<'_>,
    entries: &mut Vec<Entry>,
) -> Result<()> {
    let found = match together {
        Some(columns) => columns.entries(index, position, row, entries),
        None => {
            let columns = batch.columns.iter().map(|column| Arc::new(column.slice(position, 1))).collect();
            EntryColumns::stored(index, &Batch::new(columns, 1), eval)
                .and_then(|columns| columns.entries(index, 0, row, entries))
        }
    };
    match found {
        Err(error) if is_of_the_value(&error) => {
            entries.clear();
            Ok(())
        }
        found => found,
    }
}

/// Whether an error comes of the values that an expression was given, so that it comes each time.
fn is_of_the_value(error: &ochre_base::Error) -> bool {
    let class = error.sqlstate();
    let class = &class.as_str()[..2];
    // Out of something, cancelled, trouble of the system, damage: it may well have worked before.
    !["53", "57", "58", "XX"].contains(&class)
}
