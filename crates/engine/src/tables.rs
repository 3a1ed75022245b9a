//! Open tables: a relation's heap, codecs and indexes behind one handle, kept beside its descriptor.

use std::sync::Arc;

use hashbrown::HashMap;
use ochre_access::btree::BTree;
use ochre_base::{FileId, Oid, Result};
use ochre_catalog::{CatalogSnapshot, IndexDescriptor, RelationDescriptor, RelationKind};
use ochre_exec::{IndexAccess, IndexExpressions, RowCodec, TableAccess};
use ochre_expr::NoSession;
use ochre_sql::bind::{RowExpression, RowExpressionBinder};
use parking_lot::RwLock;

use crate::database::Database;

/// The open tables of a database, by object id.
#[derive(Default)]
pub(crate) struct OpenTables {
    tables: RwLock<HashMap<Oid, Arc<TableAccess>>>,
    /// Which relation a file belongs to, for the collector.
    files: RwLock<HashMap<FileId, Oid>>,
}

impl Database {
    /// The table of a descriptor, opened once for each new descriptor.
    ///
    /// # Errors
    /// As opening indexes.
    pub(crate) fn table(&self, descriptor: &Arc<RelationDescriptor>) -> Result<Arc<TableAccess>> {
        self.table_in(descriptor, || self.catalog())
    }

    /// As [`Database::table`], by a transaction with a catalog of its own, which may know functions that others do not.
    ///
    /// # Errors
    /// As opening indexes.
    pub(crate) fn table_in(
        &self,
        descriptor: &Arc<RelationDescriptor>,
        catalog: impl FnOnce() -> Arc<CatalogSnapshot>,
    ) -> Result<Arc<TableAccess>> {
        if let Some(open) = self.open.tables.read().get(&descriptor.oid)
            && Arc::ptr_eq(&open.descriptor, descriptor)
        {
            return Ok(Arc::clone(open));
        }
        let opened = Arc::new(self.open_table(descriptor, &catalog())?);
        if let Some(file) = descriptor.file {
            self.open.files.write().insert(file, descriptor.oid);
        }
        self.open.tables.write().insert(descriptor.oid, Arc::clone(&opened));
        Ok(opened)
    }

    fn open_table(
        &self,
        descriptor: &Arc<RelationDescriptor>,
        catalog: &Arc<CatalogSnapshot>,
    ) -> Result<TableAccess> {
        let instance = self.instance();
        let heap = match (descriptor.kind, descriptor.file) {
            (RelationKind::Table | RelationKind::MaterializedView, Some(_)) => {
                let heap = instance.heaps().open(self.relation_key(descriptor)?);
                heap.set_index_cleanup(Some(crate::cleanup::cleanup(self, descriptor)));
                Some(heap)
            }
            _ => None,
        };
        let mut ready: Vec<&Arc<IndexDescriptor>> =
            descriptor.indexes.iter().filter(|index| index.ready && index.file != FileId(0)).collect();
        if ready.len() < descriptor.indexes.len() || ready.iter().any(|index| !index.valid) {
            // While two indexes exchange their files, some writers know them as they were before: all go through the files
            // in the same order, so that no two wait for each other over one key.
            ready.sort_unstable_by_key(|index| index.file);
        }
        let mut indexes = Vec::with_capacity(ready.len());
        for index in ready {
            let tree = instance.btrees().open(self.file_key(descriptor.shared, index.file))?;
            indexes.push(Arc::new(self.index_access(catalog, descriptor, index, tree)?));
        }
        // The collector meets rows of changes that were rolled back: their lists are in the store, not in the descriptor.
        let lists = self.store().column_lists(descriptor.oid);
        let lists = if lists.is_empty() { &descriptor.column_lists } else { &lists };
        Ok(TableAccess::with_codec(descriptor, RowCodec::with_lists(descriptor, lists), heap, indexes))
    }

    /// An index of a table, its expressions bound.
    ///
    /// # Errors
    /// Those of binding, which succeeded when the index was made.
    pub(crate) fn index_access(
        &self,
        catalog: &Arc<CatalogSnapshot>,
        table: &Arc<RelationDescriptor>,
        index: &Arc<IndexDescriptor>,
        tree: Arc<BTree>,
    ) -> Result<IndexAccess> {
        let exprs = match IndexExpressions::plain(table, index) {
            Some(plain) => plain,
            None => bind_index(catalog, table, index)?,
        };
        Ok(IndexAccess::new(table, index, tree, exprs))
    }

    /// Forgets the table that a file was dropped from, unless it has got another one.
    pub(crate) fn forget_file(&self, file: FileId) {
        let Some(oid) = self.open.files.write().remove(&file) else { return };
        self.open.tables.write().retain(|known, table| *known != oid || table.descriptor.file != Some(file));
        if self.catalog().relation(oid).is_none() {
            self.statistics.forget(oid);
        }
    }

    /// The relation that a file belongs to, if it is known.
    pub(crate) fn relation_of_file(&self, file: FileId) -> Option<Arc<RelationDescriptor>> {
        let known = self.open.files.read().get(&file).copied();
        let catalog = self.catalog();
        if let Some(relation) = known.and_then(|oid| catalog.relation(oid))
            && relation.file == Some(file)
        {
            return Some(Arc::clone(relation));
        }
        catalog.relations().find(|relation| relation.file == Some(file)).cloned()
    }
}

/// Binds the texts of an index.
fn bind_index(
    catalog: &Arc<CatalogSnapshot>,
    table: &Arc<RelationDescriptor>,
    index: &IndexDescriptor,
) -> Result<IndexExpressions> {
    let session = NoSession::default();
    // Stored texts name everything outside pg_catalog with its namespace.
    let path = ochre_catalog::IMPLICIT_NAMESPACES;
    let binder = RowExpressionBinder::new(catalog, &path, &session, table);
    let mut columns = Vec::with_capacity(index.keys.len() + index.included.len());
    for key in &index.keys {
        columns.push(match &key.expression {
            Some(text) => binder.bind_text(text, RowExpression::IndexKey, None)?,
            None => ochre_expr::Expr::column(key.number as usize - 1, key.ty),
        });
    }
    for number in &index.included {
        let ty = table.column(*number).map(|column| column.ty);
        let ty =
            ty.ok_or_else(|| ochre_base::Error::internal("an index includes a column that is not there"))?;
        columns.push(ochre_expr::Expr::column(*number as usize - 1, ty));
    }
    let predicate = match &index.predicate {
        Some(text) => Some(binder.bind_text(text, RowExpression::IndexPredicate, None)?),
        None => None,
    };
    Ok(IndexExpressions { columns, predicate })
}
