//! DETACH PARTITION.
//!
//! # How a partition is detached beside users of its table
//! 1. It is marked, and that is committed: who takes a snapshot from now on sees the table without it. Foreign keys do not find
//!    it any more, and no row refers to it.
//! 2. Every transaction is awaited that holds a lock on the table at this moment: it may have a plan that names the partition.
//! 3. The partition is locked and leaves its table.
//!
//! The table stays locked in the mode SHARE UPDATE EXCLUSIVE through both transactions. A transaction with a snapshot from
//! before the mark goes on seeing the partition in its table until the third step; it awaits that when it uses the table.
//!
//! # Failure
//! What fails, or is cancelled, in the second step leaves the mark: FINALIZE does the rest.
//!
//! # Differences
//! FINALIZE does not await older snapshots: whoever has read the partition holds a lock on it.

use std::sync::Arc;

use ochre_base::{Error, Lsn, Oid, Result, Severity, SqlState};
use ochre_catalog::{RelationDescriptor, RelationKind};
use ochre_parser::ast::{AlterTableAction, AlterTableStmt, ObjectName};
use ochre_txn::locks::{LockTag, RelationLockMode};

use crate::authority::Need;
use crate::session::Session;
use crate::tag::CommandTag;

/// What helps with a partition that is half detached.
pub(crate) const FINALIZE_HINT: &str =
    "Use ALTER TABLE ... DETACH PARTITION ... FINALIZE to complete the pending detach operation.";

/// What the table is kept locked in.
const KEPT_MODE: RelationLockMode = RelationLockMode::ShareUpdateExclusive;

fn not_ready(message: impl Into<String>) -> Error {
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

/// The partition that a statement detaches concurrently.
pub(crate) fn detached_concurrently(statement: &AlterTableStmt) -> Option<&ObjectName> {
    statement.commands.iter().find_map(|command| match &command.action {
        AlterTableAction::DetachPartition { partition, concurrently: true, .. } => Some(partition),
        _ => None,
    })
}

fn require_partitioned(table: &RelationDescriptor) -> Result<()> {
    if table.kind == RelationKind::PartitionedTable {
        return Ok(());
    }
    let message = format!("ALTER action DETACH PARTITION cannot be performed on relation \"{}\"", table.name);
    let detail = format!("This operation is not supported for {}.", table.kind.plural());
    Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).detail(detail))
}

impl Session {
    /// `DETACH PARTITION`, and `FINALIZE`.
    pub(crate) fn detach_partition(
        &self,
        table: Oid,
        name: &ObjectName,
        concurrently: bool,
        finalize: bool,
    ) -> Result<()> {
        if concurrently {
            return Err(crate::errors::not_from_a_function("ALTER TABLE ... DETACH CONCURRENTLY"));
        }
        let parent = self.relation(table);
        require_partitioned(&parent)?;
        let default = parent.inheritance.key.as_ref().map_or(Oid::INVALID, |key| key.default);
        if default.is_valid() && !finalize {
            self.lock_relation(default, RelationLockMode::AccessExclusive)?;
        }
        let child = self.require_and_lock(name, RelationLockMode::AccessExclusive, Need::CheckedByCaller)?;
        for oid in self.lock_descendants(child.oid, RelationLockMode::AccessExclusive)? {
            self.require_nothing_pending(&self.relation(oid), "ALTER TABLE")?;
        }
        let child = self.relation(child.oid);
        let is_part = child.inheritance.parents.contains(&parent.oid);
        let pending = child.inheritance.detaching.is_some();
        if is_part && finalize && !pending {
            return Err(not_ready(format!("cannot complete detaching partition \"{}\"", child.name))
                .detail("There's no pending concurrent detach."));
        }
        if is_part && pending && !finalize {
            return Err(not_ready(format!("cannot detach partition \"{}\"", child.name))
                .detail("The partition is being detached concurrently or has an unfinished detach.")
                .hint(FINALIZE_HINT));
        }
        if is_part && !pending {
            self.check_unreferenced(parent.oid, child.oid)?;
        }
        self.finish_detaching(&parent, child.oid)
    }

    /// A partition that is locked leaves its table.
    fn finish_detaching(&self, parent: &Arc<RelationDescriptor>, child: Oid) -> Result<()> {
        self.detach(parent, child)?;
        self.detach_parts(parent, child)?;
        let default = parent.inheritance.key.as_ref().map_or(Oid::INVALID, |key| key.default);
        if default == child {
            self.note_default(parent.oid, Oid::INVALID)?;
        }
        Ok(())
    }

    /// `DETACH PARTITION … CONCURRENTLY`.
    ///
    /// # Errors
    /// 25001 in a block; 55000 beside a default partition and when another partition is half detached; 23503.
    pub(crate) fn detach_concurrently(
        &mut self,
        statement: &AlterTableStmt,
        name: &ObjectName,
    ) -> Result<CommandTag> {
        let tag = CommandTag::Plain("ALTER TABLE");
        self.prevent_in_block("ALTER TABLE ... DETACH CONCURRENTLY")?;
        let Some(parent) = self.find_and_lock(&statement.relation.name, KEPT_MODE, Need::Owner)? else {
            if statement.if_exists {
                self.notice_missing(&statement.relation.name);
                return Ok(tag);
            }
            return Err(super::undefined(&statement.relation.name));
        };
        self.require_user_relation(&parent)?;
        require_partitioned(&parent)?;
        let child = self.mark_detaching(&parent, name)?;
        let (locks, database) = (Arc::clone(self.state.instance.locks()), self.state.database.oid());
        let lock = LockTag::Relation { database, relation: parent.oid };
        locks.keep(&self.state.locks, lock, KEPT_MODE);
        let outcome = self.detach_marked(parent.oid, child, lock);
        locks.give_back(&self.state.locks, lock, KEPT_MODE);
        outcome.map(|()| tag)
    }

    /// The first step.
    fn mark_detaching(&self, parent: &Arc<RelationDescriptor>, name: &ObjectName) -> Result<Oid> {
        if parent.inheritance.key.as_ref().is_some_and(|key| key.default.is_valid()) {
            return Err(not_ready("cannot detach partitions concurrently when a default partition exists"));
        }
        let child = self.require_and_lock(name, KEPT_MODE, Need::CheckedByCaller)?;
        if !child.inheritance.parents.contains(&parent.oid) {
            let message =
                format!("relation \"{}\" is not a partition of relation \"{}\"", child.name, parent.name);
            return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
        }
        self.check_unreferenced(parent.oid, child.oid)?;
        let members = self.children(parent.oid).into_iter().map(|oid| self.relation(oid));
        if let Some(pending) = members.into_iter().find(|member| member.inheritance.detaching.is_some()) {
            let schema = self.namespace_name(parent.namespace);
            return Err(not_ready(format!(
                "partition \"{}\" already pending detach in partitioned table \"{schema}.{}\"",
                pending.name, parent.name
            ))
            .hint(FINALIZE_HINT));
        }
        self.keep_bound_as_check(&child)?;
        let mut marked = (*self.relation(child.oid)).clone();
        // Publishing says from when on.
        marked.inheritance.detaching = Some(Lsn(0));
        self.put_relation(marked)?;
        Ok(child.oid)
    }

    /// What the bound says of the partition's rows becomes a constraint of its own: while it is marked others may rely on either.
    fn keep_bound_as_check(&self, child: &Arc<RelationDescriptor>) -> Result<()> {
        let text = crate::definitions::partition_constraint(&self.state.catalog(), child)?;
        let Some(text) = text else { return Ok(()) };
        let known = |constraint: &Arc<ochre_catalog::ConstraintDescriptor>| {
            constraint.expression.as_deref() == Some(text.as_str())
        };
        if child.constraints.iter().any(known) {
            return Ok(());
        }
        self.add_check_of_text(child.oid, &text)
    }

    /// The second and the third step.
    fn detach_marked(&mut self, parent: Oid, child: Oid, lock: LockTag) -> Result<()> {
        self.commit_and_go_on()?;
        let locks = Arc::clone(self.state.instance.locks());
        let mode = RelationLockMode::AccessExclusive;
        locks.wait_for_holders(&self.state.locks, &self.txn().waiter(), lock, mode)?;
        let name = self.state.catalog().relation(child).map(|child| child.name.to_string());
        self.lock_relation(parent, KEPT_MODE)?;
        self.lock_relation(child, mode)?;
        let catalog = self.state.catalog();
        let Some(table) = catalog.relation(parent).cloned() else {
            return Err(Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("partitioned table with OID {parent} was removed concurrently"),
            ));
        };
        let marked = catalog.relation(child).is_some_and(|child| {
            child.inheritance.detaching.is_some() && child.inheritance.parents.contains(&parent)
        });
        drop(catalog);
        if !marked {
            let name = name.unwrap_or_else(|| child.to_string());
            self.state.notice(Error::with_severity(
                Severity::Warning,
                SqlState::UNDEFINED_TABLE,
                format!("partition \"{name}\" was removed concurrently"),
            ));
            return Ok(());
        }
        self.lock_descendants(child, mode)?;
        self.finish_detaching(&table, child)
    }
}
