//! CLUSTER: a table written anew in the order of one of its indexes.
//!
//! # Differences
//! As VACUUM FULL, it holds every row that the newest snapshot sees, and refuses while an older snapshot is open. The rows
//! come by whatever plan gives them in order: by the index, or sorted.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::authority::Privileges;
use ochre_catalog::{IndexDescriptor, RelationDescriptor, RelationKind};
use ochre_exec::Execution;
use ochre_parser::ast::{ClusterStmt, Name};
use ochre_txn::locks::RelationLockMode;

use crate::authority::Need;
use crate::ddl::quote_identifier;
use crate::definitions;
use crate::session::Session;
use crate::session::option_flag;
use crate::session::plan::own_statement;
use crate::tag::CommandTag;

#[cold]
fn unsupported(message: String) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

impl Session {
    /// CLUSTER.
    ///
    /// # Errors
    /// 42704 for an index that is not there, 25001 in a block for more than one table, those of writing.
    pub(crate) fn cluster(&mut self, statement: &ClusterStmt) -> Result<CommandTag> {
        let tag = CommandTag::Plain("CLUSTER");
        for option in &statement.options {
            if option.name.as_str() != "verbose" {
                let message = format!("unrecognized CLUSTER option \"{}\"", option.name);
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
            option_flag(option)?;
        }
        let Some(name) = &statement.table else {
            self.prevent_in_block("CLUSTER")?;
            self.cluster_all()?;
            return Ok(tag);
        };
        let table = self.require_and_lock(
            name,
            RelationLockMode::AccessExclusive,
            Need::Privileges(Privileges::MAINTAIN),
        )?;
        self.require_user_relation(&table)?;
        if !table.kind.is_table() && table.kind != RelationKind::MaterializedView {
            let message = format!("\"{}\" is not a table or materialized view", table.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        let index = self.index_to_cluster(&table, statement.index.as_ref())?;
        if table.kind != RelationKind::PartitionedTable {
            self.cluster_table(&table, &index)?;
            return Ok(tag);
        }
        self.prevent_in_block("CLUSTER")?;
        let parts = self.parts_to_cluster(index.oid);
        for (table, index) in parts {
            self.commit_and_go_on()?;
            self.cluster_again(table, index, false)?;
        }
        Ok(tag)
    }

    /// The index that a statement says, or that the table was clustered by before.
    fn index_to_cluster(
        &self,
        table: &RelationDescriptor,
        name: Option<&Name>,
    ) -> Result<Arc<IndexDescriptor>> {
        let undefined = |message: String| Error::new(SqlState::UNDEFINED_OBJECT, message);
        let Some(name) = name else {
            let marked = table.indexes.iter().find(|index| index.clustered);
            return marked.cloned().ok_or_else(|| {
                undefined(format!("there is no previously clustered index for table \"{}\"", table.name))
            });
        };
        let catalog = self.state.catalog();
        let found = catalog.relation_in(table.namespace, name).ok_or_else(|| {
            undefined(format!("index \"{name}\" for table \"{}\" does not exist", table.name))
        })?;
        let index = found.index.as_ref().filter(|index| index.table == table.oid).ok_or_else(|| {
            let message = format!("\"{name}\" is not an index for table \"{}\"", table.name);
            Error::new(SqlState::WRONG_OBJECT_TYPE, message)
        })?;
        if !index.is_ordered() {
            return Err(unsupported(format!(
                "cannot cluster on index \"{name}\" because access method does not support clustering"
            )));
        }
        if index.predicate.is_some() {
            return Err(unsupported(format!("cannot cluster on partial index \"{name}\"")));
        }
        if !index.valid {
            return Err(unsupported(format!("cannot cluster on invalid index \"{name}\"")));
        }
        Ok(Arc::clone(index))
    }

    /// The tables that were clustered before, each in a transaction of its own.
    fn cluster_all(&mut self) -> Result<()> {
        let catalog = self.state.catalog();
        let marked = catalog.relations().filter_map(|relation| relation.index.as_ref());
        let mut tables: Vec<(Oid, Oid)> =
            marked.filter(|index| index.clustered).map(|index| (index.table, index.oid)).collect();
        tables.sort_unstable();
        tables.retain(|(table, _)| {
            catalog.relation(*table).is_some_and(|table| self.may_maintain(table, "cluster"))
        });
        for (table, index) in tables {
            self.commit_and_go_on()?;
            self.cluster_again(table, index, true)?;
        }
        Ok(())
    }

    /// The partitions' own indexes below an index, with their tables, that the acting role may cluster.
    fn parts_to_cluster(&self, index: Oid) -> Vec<(Oid, Oid)> {
        let catalog = self.state.catalog();
        let below = catalog.descendants(index).into_iter();
        let own = below.filter_map(|oid| {
            let relation = catalog.relation(oid)?;
            let index = relation.index.as_ref().filter(|_| relation.kind == RelationKind::Index)?;
            let table = catalog.relation(index.table)?;
            self.may_maintain(table, "cluster").then_some((table.oid, index.oid))
        });
        own.collect()
    }

    /// Clusters a table in a new transaction, if it is still what it was.
    fn cluster_again(&self, table: Oid, index: Oid, marked: bool) -> Result<()> {
        let catalog = self.state.catalog();
        let is_others = |table: &RelationDescriptor| {
            table.persistence == ochre_catalog::Persistence::Temporary
                && self.state.temporary_namespace() != Some(table.namespace)
        };
        if catalog.relation(table).is_none_or(|table| is_others(table)) {
            return Ok(());
        }
        self.lock_relation(table, RelationLockMode::AccessExclusive)?;
        let catalog = self.state.catalog();
        let Some(table) = catalog.relation(table) else { return Ok(()) };
        let found = table.indexes.iter().find(|known| known.oid == index && (known.clustered || !marked));
        match found {
            Some(index) if self.may_maintain(table, "cluster") => self.cluster_table(table, index),
            _ => Ok(()),
        }
    }

    /// Writes a locked table anew in the order of an index, and remembers the index.
    fn cluster_table(&self, table: &Arc<RelationDescriptor>, index: &Arc<IndexDescriptor>) -> Result<()> {
        self.require_nothing_pending(table, "CLUSTER")?;
        self.await_older_snapshots("CLUSTER")?;
        // The functions of its indexes are the owner's.
        self.state.acting_as(table.owner, || self.rewrite_in_order(table, index))?;
        self.mark_clustered(table.oid, Some(index.oid))
    }

    fn rewrite_in_order(&self, old: &Arc<RelationDescriptor>, index: &IndexDescriptor) -> Result<()> {
        let kept = old.live_columns().filter(|column| column.generated.is_none());
        let kept: Vec<(i16, String)> =
            kept.map(|column| (column.number, quote_identifier(&column.name))).collect();
        let (numbers, names): (Vec<i16>, Vec<String>) = kept.into_iter().unzip();
        let catalog = self.state.catalog();
        let mut order = Vec::with_capacity(index.keys.len());
        for (place, key) in index.keys.iter().enumerate() {
            let text = definitions::index(&catalog, index, place + 1)
                .ok_or_else(|| Error::internal("an index without a key's text"))?;
            let direction = if key.descending { "DESC" } else { "ASC" };
            let nulls = if key.nulls_first { "FIRST" } else { "LAST" };
            order.push(format!("{text} {direction} NULLS {nulls}"));
        }
        let text = format!(
            "SELECT {} FROM ONLY {} AS {} ORDER BY {}",
            names.join(", "),
            crate::ddl::oid_text(old.oid),
            quote_identifier(&old.name),
            order.join(", ")
        );
        let statement = own_statement(&text)?;
        let (_, plan) = self.plan_parameterised(&statement, &[])?;
        let indexes = old.indexes.clone();
        self.new_table_file(old.oid)?;
        let table = self.relation(old.oid);
        if let Some(file) = old.file {
            self.transfer_predicate_locks(file, &table);
        }
        let mut loader = self.table_rewriter(&table, &numbers)?;
        loader.freeze();
        self.txn().advance_command()?;
        let snapshot = self.txn().newest_snapshot()?;
        self.with_context(&snapshot, &[], |_, context| {
            let mut execution = Execution::new(&plan, context.relations)?;
            while let Some(mut batch) = execution.next(context)? {
                batch.columns.truncate(numbers.len());
                loader.store(context, &batch)?;
            }
            Ok(())
        })?;
        drop(snapshot);
        indexes.iter().try_for_each(|index| self.rebuild_index(index.oid))
    }

    /// `indisclustered`: of one index of a table, or of none.
    fn mark_clustered(&self, table: Oid, index: Option<Oid>) -> Result<()> {
        for known in self.relation(table).indexes.clone() {
            let clustered = index == Some(known.oid);
            if known.clustered != clustered {
                self.replace_index(IndexDescriptor { clustered, ..(*known).clone() })?;
            }
        }
        Ok(())
    }

    /// ALTER TABLE … CLUSTER ON and SET WITHOUT CLUSTER.
    pub(crate) fn set_clustered(&self, table: &RelationDescriptor, index: Option<&Name>) -> Result<()> {
        let index = match index {
            Some(name) => Some(self.index_to_cluster(table, Some(name))?.oid),
            None => None,
        };
        if table.kind == RelationKind::PartitionedTable {
            return Err(unsupported("cannot mark index clustered in partitioned table".to_owned()));
        }
        self.mark_clustered(table.oid, index)
    }
}
