//! The catalog as one transaction sees it: the published picture, with its own changes on top.

use std::cell::RefCell;
use std::sync::Arc;

use ochre_base::{Oid, Result};
use ochre_catalog::stored::{self, CatalogRow};
use ochre_catalog::{
    CatalogChange, CatalogSnapshot, DatabaseDescriptor, DefaultAclDescriptor, NamespaceDescriptor,
    RelationDescriptor, RoleDescriptor, RoutineDescriptor,
};
use ochre_txn::Transaction;

use crate::database::Database;
use crate::store::RowUndo;

/// A transaction's own changes to the catalog.
#[derive(Debug, Default)]
pub(crate) struct CatalogChanges {
    /// The picture with the changes; `None` when it is to be made.
    own: RefCell<Option<OwnPicture>>,
    changes: Vec<CatalogChange>,
    undo: Vec<RowUndo>,
}

/// The published picture with a transaction's changes on top.
#[derive(Debug)]
struct OwnPicture {
    picture: Arc<CatalogSnapshot>,
    /// The number of the published one.
    base: u64,
}

/// Where the changes stood at a savepoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CatalogMark {
    changes: usize,
    undo: usize,
}

impl CatalogChanges {
    /// The transaction's picture: what others have published by now, with its own changes. What it has changed others
    /// cannot, by the locks that it holds; anything else they can.
    pub(crate) fn picture(&self, database: &Database) -> Arc<CatalogSnapshot> {
        if self.changes.is_empty() {
            return database.catalog();
        }
        let mut own = self.own.borrow_mut();
        if let Some(own) = &*own
            && own.base == database.catalog_version()
        {
            return Arc::clone(&own.picture);
        }
        let published = database.catalog();
        let mut picture = (*published).clone();
        self.changes.iter().for_each(|change| picture.apply(change));
        // A number of its own, so that no plan made before is taken for one made under this picture.
        picture.version = database.instance().next_catalog_version();
        let picture = Arc::new(picture);
        *own = Some(OwnPicture { picture: Arc::clone(&picture), base: published.version });
        picture
    }

    /// Whether nothing was changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes, in order.
    pub(crate) fn list(&self) -> &[CatalogChange] {
        &self.changes
    }

    /// For a savepoint.
    pub(crate) fn mark(&self) -> CatalogMark {
        CatalogMark { changes: self.changes.len(), undo: self.undo.len() }
    }

    /// Goes back to a savepoint.
    pub(crate) fn rollback_to(&mut self, mark: &CatalogMark, database: &Database) {
        if self.changes.len() > mark.changes {
            self.changes.truncate(mark.changes);
            *self.own.get_mut() = None;
        }
        database.store().undo(self.undo.drain(mark.undo..).rev());
    }

    /// The transaction aborted.
    pub(crate) fn abort(&mut self, database: &Database) {
        database.store().undo(self.undo.drain(..).rev());
        *self = CatalogChanges::default();
    }

    /// Hands the changes over for publishing; [`CatalogChanges::committed`] or [`CatalogChanges::abort`] follows.
    pub(crate) fn take(&mut self) -> Vec<CatalogChange> {
        std::mem::take(&mut self.changes)
    }

    /// The changes were published.
    pub(crate) fn committed(&mut self) {
        *self = CatalogChanges::default();
    }

    /// Adds or changes a relation. Its index and sequence descriptors travel with it; an index's relation is put by a
    /// call of its own.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn put_relation(
        &mut self,
        database: &Database,
        transaction: &Transaction,
        mut relation: RelationDescriptor,
    ) -> Result<Arc<RelationDescriptor>> {
        let picture = self.picture(database);
        let old = picture.relation(relation.oid);
        relation.has_indexes |= old.is_some_and(|old| old.has_indexes);
        let relation = Arc::new(relation);
        let before = old.map(|old| stored::relation_rows(old));
        let after = stored::relation_rows(&relation);
        self.write(database, transaction, &before.unwrap_or_default(), &after)?;
        self.apply(database, CatalogChange::PutRelation(Arc::clone(&relation)));
        Ok(relation)
    }

    /// Notes how many rows a table has, as who made an index of it has counted them: it is not stored, which is left to
    /// ANALYZE.
    pub(crate) fn estimate_rows(&mut self, database: &Database, table: Oid, rows: f64) {
        let picture = self.picture(database);
        if let Some(table) = picture.relation(table).filter(|table| rows > 0.0 && table.row_estimate != rows)
        {
            let table = RelationDescriptor { row_estimate: rows, ..(**table).clone() };
            self.apply(database, CatalogChange::PutRelation(Arc::new(table)));
        }
    }

    /// Removes a relation's rows. The caller has removed what depends on it.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn drop_relation(
        &mut self,
        database: &Database,
        transaction: &Transaction,
        oid: Oid,
    ) -> Result<()> {
        if let Some(old) = self.picture(database).relation(oid) {
            let mut before = stored::relation_rows(old);
            let lists = database.store().column_lists(oid);
            before.extend(lists.iter().map(|list| stored::column_list_row(oid, list)));
            self.write(database, transaction, &before, &[])?;
        }
        self.apply(database, CatalogChange::DropRelation(oid));
        Ok(())
    }

    /// Adds or changes a namespace.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn put_namespace(
        &mut self,
        database: &Database,
        transaction: &Transaction,
        namespace: NamespaceDescriptor,
    ) -> Result<()> {
        let before = self.picture(database).namespace(namespace.oid).map(|old| stored::namespace_rows(old));
        let after = stored::namespace_rows(&namespace);
        self.write(database, transaction, &before.unwrap_or_default(), &after)?;
        self.apply(database, CatalogChange::PutNamespace(Arc::new(namespace)));
        Ok(())
    }

    /// Removes a namespace.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn drop_namespace(
        &mut self,
        database: &Database,
        transaction: &Transaction,
        oid: Oid,
    ) -> Result<()> {
        if let Some(old) = self.picture(database).namespace(oid) {
            self.write(database, transaction, &stored::namespace_rows(old), &[])?;
        }
        self.apply(database, CatalogChange::DropNamespace(oid));
        Ok(())
    }

    /// Adds or changes a routine.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn put_routine(
        &mut self,
        database: &Database,
        transaction: &Transaction,
        routine: RoutineDescriptor,
    ) -> Result<()> {
        let before = self.picture(database).routine(routine.oid).map(|old| stored::routine_rows(old));
        let after = stored::routine_rows(&routine);
        self.write(database, transaction, &before.unwrap_or_default(), &after)?;
        self.apply(database, CatalogChange::PutRoutine(Arc::new(routine)));
        Ok(())
    }

    /// Removes a routine.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn drop_routine(
        &mut self,
        database: &Database,
        transaction: &Transaction,
        oid: Oid,
    ) -> Result<()> {
        if let Some(old) = self.picture(database).routine(oid) {
            self.write(database, transaction, &stored::routine_rows(old), &[])?;
        }
        self.apply(database, CatalogChange::DropRoutine(oid));
        Ok(())
    }

    /// Adds or changes a role.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn put_role(
        &mut self,
        database: &Database,
        transaction: &Transaction,
        role: RoleDescriptor,
    ) -> Result<()> {
        let before = self.picture(database).role(role.oid).map(|old| stored::role_rows(old));
        let after = stored::role_rows(&role);
        self.write(database, transaction, &before.unwrap_or_default(), &after)?;
        self.apply(database, CatalogChange::PutRole(Arc::new(role)));
        Ok(())
    }

    /// Removes a role.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn drop_role(
        &mut self,
        database: &Database,
        transaction: &Transaction,
        oid: Oid,
    ) -> Result<()> {
        if let Some(old) = self.picture(database).role(oid) {
            self.write(database, transaction, &stored::role_rows(old), &[])?;
        }
        self.apply(database, CatalogChange::DropRole(oid));
        Ok(())
    }

    /// Adds or changes a database.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn put_database(
        &mut self,
        database: &Database,
        transaction: &Transaction,
        descriptor: DatabaseDescriptor,
    ) -> Result<()> {
        let before = self.picture(database).database(descriptor.oid).map(|old| stored::database_rows(old));
        let after = stored::database_rows(&descriptor);
        self.write(database, transaction, &before.unwrap_or_default(), &after)?;
        self.apply(database, CatalogChange::PutDatabase(Arc::new(descriptor)));
        Ok(())
    }

    /// Removes a database.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn drop_database(
        &mut self,
        database: &Database,
        transaction: &Transaction,
        oid: Oid,
    ) -> Result<()> {
        if let Some(old) = self.picture(database).database(oid) {
            self.write(database, transaction, &stored::database_rows(old), &[])?;
        }
        self.apply(database, CatalogChange::DropDatabase(oid));
        Ok(())
    }

    /// Adds or changes what ALTER DEFAULT PRIVILEGES has laid down.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn put_default_acl(
        &mut self,
        database: &Database,
        transaction: &Transaction,
        default: DefaultAclDescriptor,
    ) -> Result<()> {
        let before = self.default_acl_rows(database, default.oid);
        self.write(database, transaction, &before, &stored::default_acl_rows(&default))?;
        self.apply(database, CatalogChange::PutDefaultAcl(Arc::new(default)));
        Ok(())
    }

    /// Removes what ALTER DEFAULT PRIVILEGES has laid down.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn drop_default_acl(
        &mut self,
        database: &Database,
        transaction: &Transaction,
        oid: Oid,
    ) -> Result<()> {
        let before = self.default_acl_rows(database, oid);
        self.write(database, transaction, &before, &[])?;
        self.apply(database, CatalogChange::DropDefaultAcl(oid));
        Ok(())
    }

    fn default_acl_rows(&self, database: &Database, oid: Oid) -> Vec<CatalogRow> {
        let picture = self.picture(database);
        let known = picture.default_acls().find(|known| known.oid == oid);
        known.map(|known| stored::default_acl_rows(known)).unwrap_or_default()
    }

    fn write(
        &mut self,
        database: &Database,
        transaction: &Transaction,
        before: &[CatalogRow],
        after: &[CatalogRow],
    ) -> Result<()> {
        database.store().write_difference(database.instance(), transaction, before, after, &mut self.undo)
    }

    fn apply(&mut self, database: &Database, change: CatalogChange) {
        let own = self.own.get_mut();
        match own {
            Some(own) if own.base == database.catalog_version() => {
                let picture = Arc::make_mut(&mut own.picture);
                picture.apply(&change);
                // No plan made before is taken for one made under this picture.
                picture.version = database.instance().next_catalog_version();
            }
            _ => *own = None,
        }
        self.changes.push(change);
    }
}
