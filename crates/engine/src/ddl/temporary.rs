//! Temporary relations: those of a session's own namespace.
//!
//! # Role
//! A temporary relation is a relation of the namespace `pg_temp_N`, N being the session's number, which the session
//! searches first. Only its session names it without that prefix, and the relations go with the session; what a crash
//! leaves behind goes when the database is opened next.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::authority::Privileges;
use ochre_catalog::{NamespaceDescriptor, Persistence, RelationKind, TEMPORARY_PREFIX};
use ochre_parser::ast::{self, Behavior, ObjectName, OnCommit, TransactionModes};
use ochre_txn::locks::RelationLockMode;

use crate::authority::forbidden;
use crate::database::Database;
use crate::instance::Instance;
use crate::session::Session;
use crate::session::catalog::CatalogChanges;

impl Session {
    /// The namespace that a new relation of this name and persistence goes to.
    pub(crate) fn namespace_for(&self, name: &ObjectName, persistence: ast::Persistence) -> Result<Oid> {
        if persistence != ast::Persistence::Temporary {
            return self.creation_namespace(name);
        }
        let own = self.own_temporary_namespace()?;
        if let Some(schema) = name.schema()
            && self.state.namespace_named(&self.state.catalog(), schema) != Some(own)
        {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                "cannot create temporary relation in non-temporary schema",
            ));
        }
        Ok(own)
    }

    /// The session's namespace for temporary relations, made when it is first needed.
    pub(crate) fn own_temporary_namespace(&self) -> Result<Oid> {
        if !self.state.may_in_database(Privileges::TEMPORARY) {
            return Err(forbidden(format!(
                "permission denied to create temporary tables in database \"{}\"",
                self.state.activity.database_name
            )));
        }
        if let Some(own) = self.state.temporary_namespace() {
            return Ok(own);
        }
        let oid = self.new_oid();
        self.put_namespace(NamespaceDescriptor {
            oid,
            name: self.state.temporary_name().into(),
            // Whoever acts in the session may use it.
            owner: ochre_catalog::oids::BOOTSTRAP_ROLE,
            comment: None,
            acl: None,
        })?;
        Ok(oid)
    }

    /// Whether a namespace holds temporary relations.
    pub(crate) fn is_temporary(&self, namespace: Oid) -> bool {
        let catalog = self.state.catalog();
        catalog.namespace(namespace).is_some_and(|namespace| namespace.name.starts_with(TEMPORARY_PREFIX))
    }

    /// The persistence of a relation in a namespace.
    pub(crate) fn persistence_in(&self, namespace: Oid) -> Persistence {
        if self.is_temporary(namespace) { Persistence::Temporary } else { Persistence::Permanent }
    }

    /// Remembers what to do with a temporary table when a transaction commits.
    pub(crate) fn note_on_commit(&self, table: Oid, action: OnCommit) {
        if matches!(action, OnCommit::DeleteRows | OnCommit::Drop) {
            self.state.on_commit.borrow_mut().push((table, action));
        }
    }

    /// Empties and drops what was made with ON COMMIT.
    pub(crate) fn run_on_commit(&self) -> Result<()> {
        let Some(transaction) = &self.transaction else {
            return Ok(());
        };
        let wrote = transaction.xid().is_valid();
        let actions = self.state.on_commit.borrow().clone();
        if wrote {
            self.check_on_commit_references(&actions)?;
        }
        for (table, action) in actions {
            let Some(relation) = self.state.catalog().relation(table).cloned() else {
                self.state.on_commit.borrow_mut().retain(|(known, _)| *known != table);
                continue;
            };
            match action {
                OnCommit::Drop => self.drop_relations(&[table], Behavior::Cascade)?,
                OnCommit::DeleteRows if wrote => {
                    let open = self.state.database.table_in(&relation, || self.state.catalog())?;
                    let filled = match &open.heap {
                        Some(heap) => heap.block_count()? > 0,
                        None => false,
                    };
                    if filled {
                        self.truncate_table(table)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Tables that are emptied must not be referred to by tables that are not.
    fn check_on_commit_references(&self, actions: &[(Oid, OnCommit)]) -> Result<()> {
        let catalog = self.state.catalog();
        let emptied = |table: Oid| actions.contains(&(table, OnCommit::DeleteRows));
        for (table, _) in actions.iter().filter(|(table, _)| emptied(*table)) {
            for constraint in catalog.referencing(*table) {
                if emptied(constraint.table) {
                    continue;
                }
                let name = |oid| catalog.relation(oid).map_or("", |relation| &*relation.name);
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "unsupported ON COMMIT and foreign key combination",
                )
                .detail(format!(
                    "Table \"{}\" references \"{}\", but they do not have the same ON COMMIT setting.",
                    name(constraint.table),
                    name(*table)
                )));
            }
        }
        Ok(())
    }

    /// The session ends: its temporary relations go. What fails is left for the next opening of the database.
    pub(crate) fn drop_temporary(&mut self) {
        let Some(own) = self.state.temporary_namespace() else {
            return;
        };
        self.state.on_commit.borrow_mut().clear();
        self.state.interrupt.clear();
        let dropped = self.begin_own_block().and_then(|()| self.drop_namespace_contents(own));
        if dropped.and_then(|()| self.end_committed()).is_err() {
            self.end_aborted();
        }
    }

    /// DISCARD TEMP: the session's temporary relations go, its namespace stays.
    pub(crate) fn discard_temporary(&self) -> Result<()> {
        match self.state.temporary_namespace() {
            Some(own) => self.drop_relations_in(own),
            None => Ok(()),
        }
    }

    fn begin_own_block(&mut self) -> Result<()> {
        self.begin_transaction(TransactionModes {
            isolation: Some(ast::IsolationLevel::ReadCommitted),
            read_only: Some(false),
            deferrable: None,
        })
    }

    fn drop_relations_in(&self, namespace: Oid) -> Result<()> {
        let catalog = self.state.catalog();
        let inside: Vec<Oid> = catalog
            .relations()
            .filter(|relation| relation.namespace == namespace && relation.kind != RelationKind::Index)
            .map(|relation| relation.oid)
            .collect();
        for relation in &inside {
            self.lock_relation(*relation, RelationLockMode::AccessExclusive)?;
        }
        // What depends on them goes unsaid.
        let said = self.state.notices.borrow().len();
        let dropped = self.drop_relations(&inside, Behavior::Cascade);
        self.state.notices.borrow_mut().truncate(said);
        dropped
    }

    fn drop_namespace_contents(&self, namespace: Oid) -> Result<()> {
        self.drop_relations_in(namespace)?;
        let transaction = self.transaction.as_ref().expect("N1: begun by the caller");
        self.state.catalog.borrow_mut().drop_namespace(&self.state.database, transaction, namespace)
    }
}

impl Instance {
    /// Removes the temporary relations that sessions before a crash left.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn drop_leftover_temporary(&self, database: &Arc<Database>) -> Result<()> {
        let catalog = database.catalog();
        let leftover: Vec<Oid> = catalog
            .namespaces()
            .filter(|namespace| namespace.name.starts_with(TEMPORARY_PREFIX))
            .map(|namespace| namespace.oid)
            .collect();
        if leftover.is_empty() {
            return Ok(());
        }
        let transaction = self.begin_own();
        let mut changes = CatalogChanges::default();
        for relation in catalog.relations().filter(|relation| leftover.contains(&relation.namespace)) {
            changes.drop_relation(database, &transaction, relation.oid)?;
            if let Some(file) = relation.file {
                transaction.note_dropped(database.file_key(false, file));
            }
        }
        for namespace in leftover {
            changes.drop_namespace(database, &transaction, namespace)?;
        }
        self.commit_own(database, transaction, changes)
    }
}
