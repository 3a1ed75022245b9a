//! CREATE INDEX CONCURRENTLY, DROP INDEX CONCURRENTLY, REINDEX.
//!
//! # How an index comes to be beside writers
//! 0. A unique one is put into the catalog, neither valid nor ready; nobody maintains or reads it. After those who write have
//!    ended, its keys are looked through, so that an index which cannot be does not trouble any writer.
//! 1. It is put into the catalog, empty, not valid but ready, and that is committed: who writes from now on maintains it,
//!    and nobody reads it.
//! 2. Every transaction is awaited that may write to the table without knowing the index: those that hold a lock on the
//!    table that excludes SHARE at this moment.
//! 3. Under a snapshot taken now, the entries of all rows are added that have none yet. Versions that this snapshot sees stay
//!    while it is registered; what comes later has its entries from its writer.
//! 4. It is made valid, for this snapshot and later ones.
//!
//! # How an index goes beside users
//! 1. It is made invalid: no query chooses it any more. Whoever may still read it is awaited: all who hold a lock on the
//!    table.
//! 2. It is not ready any more: no writer maintains it. Whoever may still do so is awaited.
//! 3. It is dropped.
//!
//! REINDEX CONCURRENTLY makes a second index in the first way; then the two exchange their files, and the second goes in the
//! second way. The table stays locked in the mode SHARE UPDATE EXCLUSIVE through all of a statement's transactions.
//!
//! # Failure
//! When something fails on the way, an index stays that is neither valid nor ready, until it is dropped or built anew; after
//! a crash one that may be ready, which writers maintain.
//!
//! # Differences
//! - PostgreSQL awaits in a further step who may read rows by an older snapshot; here the index says from which
//!   snapshot on it may be used.
//! - The table is read once to fill the index, and writers fill it too from the start, where PostgreSQL builds it first and
//!   adds in a second pass what came meanwhile.
//! - REINDEX without CONCURRENTLY has the table for itself, where PostgreSQL lets readers of other indexes in.

use std::sync::Arc;

use ochre_base::{Error, Fork, Lsn, Oid, Result, Severity, SqlState};
use ochre_catalog::authority::Privileges;
use ochre_catalog::{ColumnDescriptor, IndexDescriptor, Persistence, RelationDescriptor, RelationKind, oids};
use ochre_exec::{IndexAccess, StatementContext, TableAccess, fill_index, look_for_twins};
use ochre_parser::ast::{
    Behavior, DropStmt, ObjectName, ObjectRef, ReindexKind, ReindexStmt, TransactionModes,
};
use ochre_txn::locks::{LockTag, RelationLockMode};

use super::index::NewIndex;
use super::names;
use crate::authority::Need;
use crate::session::{Session, option_flag};
use crate::tag::CommandTag;

/// What every step holds on the table.
const KEPT_MODE: RelationLockMode = RelationLockMode::ShareUpdateExclusive;

/// How REINDEX goes about it.
#[derive(Clone, Copy, Default)]
struct ReindexOptions {
    concurrently: bool,
    verbose: bool,
}

impl ReindexOptions {
    fn read(statement: &ReindexStmt) -> Result<ReindexOptions> {
        let mut options = ReindexOptions::default();
        for option in &statement.options {
            match option.name.as_str() {
                "concurrently" => options.concurrently = option_flag(option)?,
                "verbose" => options.verbose = option_flag(option)?,
                "tablespace" => return Err(Error::unsupported("tablespaces")),
                other => {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("unrecognized REINDEX option \"{other}\""),
                    ));
                }
            }
        }
        Ok(options)
    }
}

impl Session {
    /// Ends the statement's transaction so far, and begins another for its rest.
    pub(crate) fn commit_and_go_on(&mut self) -> Result<()> {
        self.go_on_with(TransactionModes::default())
    }

    fn relation_tag(&self, relation: Oid) -> LockTag {
        LockTag::Relation { database: self.state.database.oid(), relation }
    }

    /// Waits for everybody who holds a lock on a table at this moment that excludes a mode.
    fn wait_for_holders(&self, table: Oid, mode: RelationLockMode) -> Result<()> {
        let tag = self.relation_tag(table);
        self.state.instance.locks().wait_for_holders(&self.state.locks, &self.txn().waiter(), tag, mode)
    }

    /// Does something in several transactions, with a table kept from others of its kind and from being changed.
    fn beside_writers<R>(&mut self, table: Oid, work: impl FnOnce(&mut Session) -> Result<R>) -> Result<R> {
        self.lock_relation(table, KEPT_MODE)?;
        let (locks, tag) = (Arc::clone(self.state.instance.locks()), self.relation_tag(table));
        locks.keep(&self.state.locks, tag, KEPT_MODE);
        let outcome = work(self);
        locks.give_back(&self.state.locks, tag, KEPT_MODE);
        outcome
    }

    /// An index and its table as they are now.
    fn require_index(&self, oid: Oid) -> Result<(Arc<RelationDescriptor>, Arc<IndexDescriptor>)> {
        let catalog = self.state.catalog();
        let index = catalog.relation(oid).and_then(|relation| relation.index.clone());
        let table = index.as_ref().and_then(|index| catalog.relation(index.table)).cloned();
        match (table, index) {
            (Some(table), Some(index)) => Ok((table, index)),
            _ => Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("the index with OID {oid} was dropped while it was worked on"),
            )),
        }
    }

    /// CREATE INDEX CONCURRENTLY, of a table that is locked.
    pub(crate) fn create_index_beside_writers(&mut self, table: Oid, new: NewIndex) -> Result<()> {
        self.beside_writers(table, |session| {
            let (mut index, columns) = session.new_index(table, new)?;
            index.valid = false;
            index.file = session.new_tree()?;
            let filled = session.build_beside_writers(table, index, columns, true)?;
            session.replace_index(filled)
        })
    }

    /// Steps 0 to 3 for an index that is not valid and has an empty tree. As it is to be, valid.
    fn build_beside_writers(
        &mut self,
        table: Oid,
        mut index: IndexDescriptor,
        columns: Vec<ColumnDescriptor>,
        keys_may_be_twice: bool,
    ) -> Result<IndexDescriptor> {
        let oid = index.oid;
        let looks_first = index.unique && keys_may_be_twice;
        index.ready = !looks_first;
        self.add_index(&self.relation(table), index, columns)?;
        if looks_first {
            self.commit_and_go_on()?;
            self.wait_for_holders(table, RelationLockMode::Share)?;
            let memory = self.state.settings.borrow().integer("maintenance_work_mem") as usize * 1024;
            self.read_for_index(oid, |context, table, index| look_for_twins(context, table, index, memory))?;
            let (_, index) = self.require_index(oid)?;
            self.replace_index(IndexDescriptor { ready: true, ..(*index).clone() })?;
        }
        self.commit_and_go_on()?;
        let filled = self.fill_beside_writers(oid);
        if filled.is_err() {
            self.give_index_up(oid);
        }
        filled
    }

    /// Steps 2 and 3.
    fn fill_beside_writers(&mut self, oid: Oid) -> Result<IndexDescriptor> {
        let (table, _) = self.require_index(oid)?;
        self.wait_for_holders(table.oid, RelationLockMode::Share)?;
        let (entries, usable_from) = self.read_for_index(oid, fill_index)?;
        let database = Arc::clone(&self.state.database);
        database.note_index(usable_from);
        let (_, index) = self.require_index(oid)?;
        let fork = database.file_key(false, index.file).fork(Fork::Main);
        let page_estimate = self.state.instance.storage().files().block_count(fork)?;
        Ok(IndexDescriptor {
            valid: true,
            usable_from,
            row_estimate: entries as f64,
            page_estimate,
            ..(*index).clone()
        })
    }

    /// Reads the table of an index under a snapshot that is taken now; also, the snapshot's position.
    fn read_for_index<R>(
        &mut self,
        oid: Oid,
        read: impl FnOnce(&StatementContext<'_>, &TableAccess, &IndexAccess) -> Result<R>,
    ) -> Result<(R, Lsn)> {
        let (relation, index) = self.require_index(oid)?;
        let database = Arc::clone(&self.state.database);
        let table = database.table_in(&relation, || self.state.catalog())?;
        let tree = self.state.instance.btrees().open(database.file_key(false, index.file))?;
        let access = database.index_access(&self.state.catalog(), &relation, &index, tree)?;
        let snapshot = self.txn().newest_snapshot()?;
        let read = self.with_context(&snapshot, &[], |_, context| read(context, &table, &access))?;
        Ok((read, snapshot.lsn()))
    }

    /// Spares writers an index that could not be built. What comes in the way leaves it ready.
    fn give_index_up(&mut self, oid: Oid) {
        self.end_aborted();
        let mut work = || -> Result<()> {
            self.begin_implicit()?;
            let (_, index) = self.require_index(oid)?;
            self.replace_index(IndexDescriptor { ready: false, ..(*index).clone() })?;
            self.commit_and_go_on()
        };
        // The statement fails for another reason already.
        let _ = work();
    }

    /// Takes an index away from its users, then from the catalog.
    fn retire_index(&mut self, oid: Oid) -> Result<()> {
        let (table, index) = self.require_index(oid)?;
        if index.valid {
            self.replace_index(IndexDescriptor { valid: false, ..(*index).clone() })?;
        }
        self.commit_and_go_on()?;
        self.wait_for_holders(table.oid, RelationLockMode::AccessExclusive)?;
        let (table, index) = self.require_index(oid)?;
        // Writers are about to pass by what serializable transactions have read in it.
        self.transfer_predicate_locks(index.file, &table);
        self.replace_index(IndexDescriptor { valid: false, ready: false, ..(*index).clone() })?;
        self.commit_and_go_on()?;
        self.wait_for_holders(table.oid, RelationLockMode::AccessExclusive)?;
        self.require_index(oid)?;
        self.remove_index(oid)
    }

    /// DROP INDEX CONCURRENTLY.
    ///
    /// # Errors
    /// 25001 in a block; 0A000 for several indexes and for CASCADE; those of DROP INDEX.
    pub(crate) fn drop_index_concurrently(&mut self, statement: &DropStmt) -> Result<CommandTag> {
        let unsupported = |message: &str| Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        if statement.objects.len() > 1 {
            return unsupported("DROP INDEX CONCURRENTLY does not support dropping multiple objects");
        }
        if statement.behavior == Behavior::Cascade {
            return unsupported("DROP INDEX CONCURRENTLY does not support CASCADE");
        }
        self.prevent_in_block("DROP INDEX CONCURRENTLY")?;
        let plain = DropStmt { concurrently: false, ..statement.clone() };
        let [ObjectRef::Named { name, .. }] = statement.objects.as_slice() else {
            return Err(Error::internal("a relation is dropped by its name"));
        };
        let found = self.state.find_relation(name)?;
        let Some(found) = found.filter(|found| found.index.is_some() && !found.builtin) else {
            return self.drop_objects(&plain);
        };
        if found.persistence == Persistence::Temporary {
            return self.drop_objects(&plain);
        }
        self.state.require(&found, Need::OwnerToDrop)?;
        let (_, index) = self.require_index(found.oid)?;
        self.beside_writers(index.table, |session| {
            let (_, index) = session.require_index(index.oid)?;
            session.refuse_index_of_constraint(&index)?;
            session.drop_foreign_keys_of(&[index.oid], Behavior::Restrict)?;
            session.retire_index(index.oid)
        })?;
        Ok(CommandTag::Plain("DROP INDEX"))
    }

    /// REINDEX.
    ///
    /// # Errors
    /// 25001 in a block where PostgreSQL has it; those of building.
    pub(crate) fn reindex(&mut self, statement: &ReindexStmt) -> Result<CommandTag> {
        let options = ReindexOptions::read(statement)?;
        if options.concurrently {
            self.prevent_in_block("REINDEX CONCURRENTLY")?;
        }
        let find = |name: &ObjectName| {
            let found = self.state.find_relation(name)?.ok_or_else(|| super::undefined(name))?;
            self.state.require(&found, Need::Privileges(Privileges::MAINTAIN))?;
            Ok::<_, Error>(found)
        };
        match (statement.kind, &statement.name) {
            (ReindexKind::Index, Some(name)) => {
                let found = find(name)?;
                if found.index.is_none() && !(found.builtin && found.kind == RelationKind::Index) {
                    return Err(Error::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!("\"{}\" is not an index", found.name),
                    ));
                }
                self.reindex_one(&found, options)?;
            }
            (ReindexKind::Table, Some(name)) => {
                let found = find(name)?;
                if !matches!(found.kind, RelationKind::Table | RelationKind::MaterializedView) {
                    return Err(Error::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!("\"{}\" is not a table or materialized view", found.name),
                    ));
                }
                if !self.reindex_table(&found, options)? {
                    let none = match options.concurrently {
                        true => "has no indexes that can be reindexed concurrently",
                        false => "has no indexes to reindex",
                    };
                    self.state.notice(Error::with_severity(
                        Severity::Notice,
                        SqlState::SUCCESSFUL_COMPLETION,
                        format!("table \"{}\" {none}", found.name),
                    ));
                }
            }
            (ReindexKind::Schema, Some(name)) => {
                self.prevent_in_block("REINDEX SCHEMA")?;
                let schema = name.name();
                let catalog = self.state.catalog();
                let namespace = catalog.namespace_named(schema);
                let namespace = Arc::clone(namespace.ok_or_else(|| crate::errors::undefined_schema(schema))?);
                if !self.state.roles().has_role(oids::PG_MAINTAIN) {
                    self.require_owner_of_namespace(&namespace)?;
                }
                let namespace = namespace.oid;
                self.reindex_tables(|table| table.namespace == namespace, options)?;
            }
            (ReindexKind::Database, name) => {
                self.prevent_in_block("REINDEX DATABASE")?;
                let own = &*self.state.activity.database_name;
                if name.as_ref().is_some_and(|name| **name.name() != *own) {
                    return Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "can only reindex the currently open database",
                    ));
                }
                self.require_to_reindex_database()?;
                self.reindex_tables(|_| true, options)?;
            }
            _ => {
                self.prevent_in_block("REINDEX SYSTEM")?;
                self.require_to_reindex_database()?;
                if options.concurrently {
                    return Err(system_catalogs());
                }
                // The system's catalogs have no indexes here that could be built anew.
            }
        }
        Ok(CommandTag::Plain("REINDEX"))
    }

    fn require_to_reindex_database(&self) -> Result<()> {
        if self.state.roles().has_role(oids::PG_MAINTAIN) {
            return Ok(());
        }
        let catalog = self.state.catalog();
        let own = catalog.database(self.state.database.oid());
        own.map_or(Ok(()), |database| self.require_owner_of_database(database))
    }

    /// The indexes of all tables that are wanted, each table in a transaction of its own.
    fn reindex_tables(
        &mut self,
        wanted: impl Fn(&RelationDescriptor) -> bool,
        options: ReindexOptions,
    ) -> Result<()> {
        let catalog = self.state.catalog();
        let is_table = |r: &RelationDescriptor| {
            !r.builtin && matches!(r.kind, RelationKind::Table | RelationKind::MaterializedView)
        };
        let mut tables: Vec<Oid> =
            catalog.relations().filter(|r| is_table(r) && wanted(r)).map(|r| r.oid).collect();
        tables.sort_unstable();
        for oid in tables {
            // It may have been dropped while others were worked on; other sessions' temporary tables are theirs.
            let Some(table) = self.state.catalog().relation(oid).cloned() else { continue };
            if table.persistence == Persistence::Temporary
                && self.state.temporary_namespace() != Some(table.namespace)
            {
                continue;
            }
            if self.state.require(&table, Need::Privileges(Privileges::MAINTAIN)).is_err() {
                continue;
            }
            self.reindex_table(&table, options)?;
            self.commit_and_go_on()?;
        }
        Ok(())
    }

    /// All indexes of a table; whether there are any.
    fn reindex_table(&mut self, table: &Arc<RelationDescriptor>, options: ReindexOptions) -> Result<bool> {
        if table.builtin {
            return if options.concurrently { Err(system_catalogs()) } else { Ok(true) };
        }
        let concurrently = options.concurrently && table.persistence != Persistence::Temporary;
        if !concurrently {
            self.lock_relation(table.oid, RelationLockMode::AccessExclusive)?;
        }
        let Some(table) = self.state.catalog().relation(table.oid).cloned() else { return Ok(true) };
        let mut any = false;
        for index in &table.indexes {
            if concurrently && !index.valid {
                let name = format!("{}.{}", self.namespace_name(index.namespace), index.name);
                let message = format!("skipping reindex of invalid index \"{name}\"");
                let code = SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;
                self.state.notice(
                    Error::with_severity(Severity::Warning, code, message)
                        .hint("Use DROP INDEX or REINDEX INDEX."),
                );
                continue;
            }
            any = true;
            // Several transactions may have gone by since the list was made.
            if let Some(own) = self.state.catalog().relation(index.oid).cloned() {
                self.reindex_one(&own, options)?;
            }
        }
        Ok(any)
    }

    fn reindex_one(&mut self, own: &Arc<RelationDescriptor>, options: ReindexOptions) -> Result<()> {
        if own.builtin {
            return if options.concurrently { Err(system_catalogs()) } else { Ok(()) };
        }
        let (table, _) = self.require_index(own.oid)?;
        if options.concurrently && own.persistence != Persistence::Temporary {
            self.beside_writers(table.oid, |session| session.reindex_beside_writers(own.oid))?;
        } else {
            self.lock_relation(table.oid, RelationLockMode::AccessExclusive)?;
            let (_, index) = self.require_index(own.oid)?;
            if !index.valid {
                self.replace_index(IndexDescriptor { valid: true, ready: true, ..(*index).clone() })?;
            }
            self.state.acting_as(table.owner, || self.rebuild_index(own.oid))?;
        }
        if options.verbose {
            self.state.notice(Error::with_severity(
                Severity::Info,
                SqlState::SUCCESSFUL_COMPLETION,
                format!("index \"{}\" was reindexed", own.name),
            ));
        }
        Ok(())
    }

    /// A second index beside the first, then the first with the file of the second.
    fn reindex_beside_writers(&mut self, oid: Oid) -> Result<()> {
        let (table, old) = self.require_index(oid)?;
        let columns = self.relation(oid).columns.clone();
        let name = names::choose_relation(&self.state.catalog(), table.namespace, &old.name, "", "ccnew");
        self.reserve_relation_name(table.namespace, &name)?;
        let copy = IndexDescriptor {
            oid: self.new_oid(),
            name: name.as_str().into(),
            file: self.new_tree()?,
            valid: false,
            primary: false,
            constraint: None,
            comment: None,
            ..(*old).clone()
        };
        let second = copy.oid;
        let filled = self.build_beside_writers(table.oid, copy, columns, !old.valid)?;
        // The exchange. Who knows only the old descriptors finds the old file maintained until nobody is left who does.
        let (_, old) = self.require_index(oid)?;
        self.replace_index(IndexDescriptor {
            file: filled.file,
            valid: true,
            ready: true,
            usable_from: filled.usable_from,
            row_estimate: filled.row_estimate,
            page_estimate: filled.page_estimate,
            ..(*old).clone()
        })?;
        self.replace_index(IndexDescriptor { file: old.file, valid: false, ..filled })?;
        self.retire_index(second)?;
        self.commit_and_go_on()
    }
}

fn system_catalogs() -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, "cannot reindex system catalogs concurrently")
}
