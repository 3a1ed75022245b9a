//! DDL: statements that change the catalog.
//!
//! # Role
//! Each statement builds new descriptors from old ones and puts them into the transaction's catalog changes, which write
//! the stored rows. Files are created at once and dropped when the commit is durable.
//!
//! # Concurrency
//! A statement takes its relations' locks before it looks at them for the last time, and a lock on the name before it
//! takes a name, so that two transactions never publish two objects of one name.

mod aggregate;
mod alter_column;
mod alter_table;
mod comment;
mod concurrently;
mod constraint;
mod create_table;
mod database;
mod detach;
mod drop;
mod expressions;
mod foreign_key;
mod index;
mod inherit;
mod names;
mod namespace;
mod partition;
mod partitioned_index;
mod reference_parts;
mod rewrite;
mod role;
mod routine;
mod row_type;
mod sequence;
mod temporary;
mod trigger;
mod truncate;
mod view;

use std::sync::Arc;

use ochre_base::{Error, FileId, Oid, Result, Severity, SqlState};
use ochre_catalog::{RelationDescriptor, RelationKind, oids};
use ochre_parser::ast::ObjectName;
use ochre_sql::physical::PlannedStatement;
use ochre_txn::Transaction;
use ochre_txn::locks::RelationLockMode;

use crate::authority::Need;
use crate::errors;
use crate::session::Session;

pub(crate) use detach::detached_concurrently;
pub(crate) use ochre_parser::quote_identifier;
pub(crate) use view::{definition as view_definition, named_text, oid_text};

impl Session {
    /// The transaction that the statement runs in.
    pub(crate) fn txn(&self) -> &Transaction {
        self.transaction.as_ref().expect("N1: a statement runs in a transaction")
    }

    /// A new object id.
    pub(crate) fn new_oid(&self) -> Oid {
        self.state.instance.new_oid()
    }

    /// Fails in a read-only transaction.
    pub(crate) fn require_writable(&self, command: &str) -> Result<()> {
        if self.txn().is_read_only() {
            return Err(Error::new(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                format!("cannot execute {command} in a read-only transaction"),
            ));
        }
        Ok(())
    }

    /// Creates an empty relation file that goes if the transaction does not commit.
    pub(crate) fn create_file(&self) -> Result<FileId> {
        let files = Arc::clone(self.state.instance.storage().files());
        let file = self.state.instance.new_file_id();
        let key = self.state.database.file_key(false, file);
        let transaction = self.txn();
        let xid = transaction.assign_xid()?;
        files.create(key, xid)?;
        transaction.note_created(key);
        Ok(file)
    }

    /// Notes that a relation's file goes when the transaction commits.
    pub(crate) fn drop_file(&self, file: FileId) {
        // A partitioned index has none.
        if file.0 == 0 {
            return;
        }
        let key = self.state.database.file_key(false, file);
        self.state.database.forget_sequence(file);
        self.txn().note_dropped(key);
    }

    /// Before a table's rows go: finds serializable transactions that have read any of them.
    pub(crate) fn check_serializable_readers(&self, table: &RelationDescriptor) -> Result<()> {
        let Some(serial) = self.txn().serial() else { return Ok(()) };
        let files = table.file.into_iter().chain(table.indexes.iter().map(|index| index.file));
        files.into_iter().try_for_each(|file| serial.check_whole(self.state.database.file_key(false, file)))
    }

    /// What serializable transactions have read of a file counts for a table from now on: its rows have moved, or an
    /// index of it goes.
    pub(crate) fn transfer_predicate_locks(&self, from: FileId, table: &RelationDescriptor) {
        let Some(to) = table.file else { return };
        let (from, to) = (self.state.database.file_key(false, from), self.state.database.file_key(false, to));
        self.state.instance.transactions().transfer_predicate_locks(self.txn(), from, to);
    }

    /// Adds or changes a relation in this transaction's catalog.
    pub(crate) fn put_relation(&self, relation: RelationDescriptor) -> Result<Arc<RelationDescriptor>> {
        self.guard_row_types(&relation)?;
        let transaction = self.transaction.as_ref().expect("N1: a statement runs in a transaction");
        self.state.catalog.borrow_mut().put_relation(&self.state.database, transaction, relation)
    }

    /// Takes a relation's lock for this transaction.
    ///
    /// # Errors
    /// Those of waiting; 55006 when DDL wants a relation for itself that an open query of this session uses.
    pub(crate) fn lock_relation(&self, oid: Oid, mode: RelationLockMode) -> Result<()> {
        if mode >= RelationLockMode::Share
            && let Some(command) = &*self.state.ddl_command.borrow()
        {
            self.require_unused(oid, command, mode)?;
        }
        self.state.lock_relation(self.txn(), oid, mode)
    }

    /// A statement that changes rows knows the table as it was when it began: neither an index nor a constraint may come.
    fn require_unused(&self, oid: Oid, command: &str, mode: RelationLockMode) -> Result<()> {
        if command == "CREATE TRIGGER" {
            return Ok(());
        }
        let catalog = self.state.catalog();
        let Some(relation) = catalog.relation(oid) else { return Ok(()) };
        let table = relation.index.as_ref().map_or(oid, |index| index.table);
        let wholly = mode == RelationLockMode::AccessExclusive || command == "CREATE INDEX";
        let uses = |plan: &Arc<PlannedStatement>| {
            (wholly || !plan.read_only) && plan.relations.iter().any(|used| used.oid == table)
        };
        let by_portal = wholly && self.is_used_by_portal(table);
        if !by_portal && !self.state.running.borrow().iter().any(uses) {
            return Ok(());
        }
        Err(Error::new(
            SqlState::OBJECT_IN_USE,
            format!(
                "cannot {command} \"{}\" because it is being used by active queries in this session",
                relation.name
            ),
        ))
    }

    /// Finds a relation by name and locks it; looks again after the wait, since it may have gone or changed.
    pub(crate) fn find_and_lock(
        &self,
        name: &ObjectName,
        mode: RelationLockMode,
        need: Need,
    ) -> Result<Option<Arc<RelationDescriptor>>> {
        loop {
            let Some(found) = self.state.find_relation(name)? else {
                return Ok(None);
            };
            // Nobody waits for, or holds up, what he may not touch.
            self.state.require(&found, need)?;
            self.lock_relation(found.oid, mode)?;
            match self.state.find_relation(name)? {
                Some(again) if again.oid == found.oid => {
                    self.state.require(&again, need)?;
                    return Ok(Some(again));
                }
                _ => continue,
            }
        }
    }

    /// [`Session::find_and_lock`] for a relation that must be there.
    pub(crate) fn require_and_lock(
        &self,
        name: &ObjectName,
        mode: RelationLockMode,
        need: Need,
    ) -> Result<Arc<RelationDescriptor>> {
        self.find_and_lock(name, mode, need)?.ok_or_else(|| undefined(name))
    }

    /// The namespace that a new object of this name goes to.
    pub(crate) fn creation_namespace(&self, name: &ObjectName) -> Result<Oid> {
        let catalog = self.state.catalog();
        let namespace = match name.schema() {
            Some(schema) if schema.as_str() == "pg_temp" => self.own_temporary_namespace()?,
            Some(schema) => {
                catalog.namespace_named(schema).ok_or_else(|| errors::undefined_schema(schema))?.oid
            }
            None => self.state.creation_namespace()?,
        };
        self.state.require_creation(namespace)?;
        if [oids::PG_CATALOG, oids::INFORMATION_SCHEMA, oids::PG_TOAST].contains(&namespace) {
            let schema = catalog.namespace(namespace).map(|n| n.name.to_string()).unwrap_or_default();
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied to create \"{schema}.{}\"", name.name()),
            )
            .detail("System catalog modifications are currently disallowed."));
        }
        Ok(namespace)
    }

    /// Takes a name in a namespace for a new relation; `false` when it is taken already.
    pub(crate) fn reserve_relation_name(&self, namespace: Oid, name: &str) -> Result<bool> {
        self.state.instance.locks().lock_name(
            &self.txn().waiter(),
            self.state.process_id,
            namespace,
            name,
        )?;
        Ok(self.state.catalog().relation_in(namespace, name).is_none())
    }

    /// Takes a name for a new relation; `false`, with a notice, when it is taken and the statement says IF NOT EXISTS.
    ///
    /// # Errors
    /// 42P07 when it is taken and the statement does not say so.
    pub(crate) fn take_relation_name(&self, namespace: Oid, name: &str, if_not_exists: bool) -> Result<bool> {
        if self.reserve_relation_name(namespace, name)? {
            return Ok(true);
        }
        if !if_not_exists {
            return Err(errors::duplicate_relation(name));
        }
        self.state.notice(Error::with_severity(
            Severity::Notice,
            SqlState::DUPLICATE_TABLE,
            format!("relation \"{name}\" already exists, skipping"),
        ));
        Ok(false)
    }

    /// Refuses to change what is built in.
    pub(crate) fn require_user_relation(&self, relation: &RelationDescriptor) -> Result<()> {
        if relation.builtin {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: \"{}\" is a system catalog", relation.name),
            ));
        }
        Ok(())
    }
}

/// A relation that is not there, at the name's position.
#[cold]
pub(crate) fn undefined(name: &ObjectName) -> Error {
    let error = errors::undefined_table(name);
    match name.pos.get() {
        Some(position) => error.at(position),
        None => error,
    }
}

/// Refuses a relation of the wrong kind.
pub(crate) fn require_kind(relation: &RelationDescriptor, kind: RelationKind) -> Result<()> {
    let fits = match kind {
        RelationKind::Table => relation.kind.is_table(),
        RelationKind::Index => relation.kind.is_index(),
        kind => relation.kind == kind,
    };
    if fits {
        return Ok(());
    }
    let article = if matches!(kind, RelationKind::Index) { "an" } else { "a" };
    Err(Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("\"{}\" is not {article} {}", relation.name, kind.word()),
    ))
}
