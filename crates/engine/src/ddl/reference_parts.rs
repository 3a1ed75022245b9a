//! Foreign keys that refer to partitioned tables.
//!
//! # How
//! Beside the foreign key to a partitioned table, the table that has it has one to each partition, a part of it: `parent` says
//! of which. Rows are checked by the whole key, whose index entry is looked for in the partition that takes it; what happens to
//! rows of a partition, the part to that partition acts on. A partition of the table that has the foreign key has a copy of the
//! whole one, and no parts.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::{ConstraintDescriptor, ForeignKey, Origin, RelationDescriptor, RelationKind};
use ochre_sql::bind::foreign_key_check;
use ochre_txn::locks::RelationLockMode;

use super::inherit::child_numbers;
use super::names;
use crate::session::Session;
use crate::session::context::StatementSession;

impl Session {
    /// Gives a table the parts of its foreign key to a partitioned table.
    pub(crate) fn add_reference_parts(&self, whole: &ConstraintDescriptor) -> Result<()> {
        let Some(foreign) = &whole.foreign else { return Ok(()) };
        for partition in self.partitions(foreign.table) {
            self.add_reference_part(whole.table, whole.oid, &whole.name, partition)?;
        }
        Ok(())
    }

    /// The partitions of a partitioned table; nothing for other tables.
    fn partitions(&self, table: Oid) -> Vec<Oid> {
        match self.relation(table).kind {
            RelationKind::PartitionedTable => self.children(table),
            _ => Vec::new(),
        }
    }

    /// Gives a table the part of its foreign key that refers to a partition, and those to what is below.
    fn add_reference_part(&self, table: Oid, whole: Oid, name: &str, partition: Oid) -> Result<()> {
        let mut relation = (*self.relation(table)).clone();
        let known = relation.constraints.iter().find(|constraint| constraint.oid == whole).cloned();
        let whole = known.ok_or_else(|| Error::internal("a foreign key has gone"))?;
        let Some(foreign) = &whole.foreign else { return Ok(()) };
        let (parent, child) = (self.relation(foreign.table), self.relation(partition));
        let of_whole = |oid: Oid| self.relation(oid).inheritance.parents.contains(&whole.index);
        let index = child.indexes.iter().find(|index| of_whole(index.oid)).ok_or_else(|| {
            Error::internal(format!("index for {} not found in partition {}", whole.index, child.name))
        })?;
        let catalog = self.state.catalog();
        let others = catalog.constraints().filter(|known| known.namespace == relation.namespace);
        let names: hashbrown::HashSet<&str> = others.map(|known| &*known.name).collect();
        let taken = |name: &str| names.contains(name);
        let part = ConstraintDescriptor {
            oid: self.new_oid(),
            name: names::choose(name, "", "", taken).into(),
            index: index.oid,
            foreign: Some(ForeignKey {
                table: partition,
                columns: child_numbers(&parent, &child, &foreign.columns)?,
                ..foreign.clone()
            }),
            no_inherit: false,
            origin: Origin::INHERITED,
            parent: whole.oid,
            comment: None,
            ..(*whole).clone()
        };
        let oid = part.oid;
        relation.constraints.push(Arc::new(part.clone()));
        self.put_relation(relation)?;
        self.note_triggers(&part)?;
        for below in self.partitions(partition) {
            self.add_reference_part(table, oid, name, below)?;
        }
        Ok(())
    }

    /// Takes the parts of a foreign key away.
    pub(crate) fn drop_reference_parts(&self, table: Oid, whole: Oid) -> Result<()> {
        let relation = self.relation(table);
        let parts = parts_of(&relation, whole);
        if parts.is_empty() {
            return Ok(());
        }
        for part in relation.constraints.iter().filter(|known| parts.contains(&known.oid)) {
            self.lock_referenced(part)?;
        }
        let mut changed = (*self.relation(table)).clone();
        changed.constraints.retain(|known| !parts.contains(&known.oid));
        self.put_relation(changed)?;
        Ok(())
    }

    /// Foreign keys that refer to a partitioned table refer to its new partition, too.
    pub(crate) fn refer_to_partition(&self, table: Oid, partition: Oid) -> Result<()> {
        let catalog = self.state.catalog();
        let referencing = catalog.referencing(table).iter();
        let whole: Vec<_> = referencing.filter(|known| !catalog.is_of_partition(known)).cloned().collect();
        drop(catalog);
        for constraint in whole {
            self.lock_relation(constraint.table, RelationLockMode::ShareRowExclusive)?;
            self.add_reference_part(constraint.table, constraint.oid, &constraint.name, partition)?;
        }
        Ok(())
    }

    /// The parts of foreign keys that refer to a partition because they refer to its table.
    fn parts_referring_to(&self, table: Oid, partition: Oid) -> Vec<Arc<ConstraintDescriptor>> {
        let catalog = self.state.catalog();
        let is_part = |constraint: &&Arc<ConstraintDescriptor>| {
            let whole = catalog.whole_reference(constraint).and_then(|whole| whole.foreign.as_ref());
            whole.is_some_and(|foreign| foreign.table == table)
        };
        catalog.referencing(partition).iter().filter(is_part).cloned().collect()
    }

    /// Fails when rows refer to a partition that is about to leave its table.
    ///
    /// # Errors
    /// 23503.
    pub(crate) fn check_unreferenced(&self, table: Oid, partition: Oid) -> Result<()> {
        for part in self.parts_referring_to(table, partition) {
            if !part.enforced {
                continue;
            }
            self.lock_relation(part.table, RelationLockMode::Share)?;
            let named = self.relation(part.table);
            for oid in self.lock_descendants(part.table, RelationLockMode::Share)? {
                let member = self.relation(oid);
                let is_of_key = oid == part.table || named.kind == RelationKind::PartitionedTable;
                if member.kind == RelationKind::Table && is_of_key {
                    self.check_member_unreferenced(&part, &named, &member)?;
                }
            }
        }
        Ok(())
    }

    fn check_member_unreferenced(
        &self,
        part: &ConstraintDescriptor,
        named: &RelationDescriptor,
        member: &RelationDescriptor,
    ) -> Result<()> {
        let own = ConstraintDescriptor {
            table: member.oid,
            columns: child_numbers(named, member, &part.columns)?,
            ..part.clone()
        };
        let plan = foreign_key_check(&self.state.catalog(), &StatementSession::new(self), &Arc::new(own))?;
        let plan = Arc::new(plan.ok_or_else(|| Error::internal("a foreign key cannot be checked"))?);
        self.txn().advance_command()?;
        let snapshot = self.txn().newest_snapshot()?;
        self.with_context(&snapshot, &[], |_, context| {
            ochre_exec::check_partition_unreferenced(context, &plan, named.oid)
        })
    }

    /// Takes away the parts of foreign keys that refer to a partition which has left its table.
    pub(crate) fn forget_references(&self, table: Oid, partition: Oid) -> Result<()> {
        for part in self.parts_referring_to(table, partition) {
            self.lock_relation(part.table, RelationLockMode::ShareRowExclusive)?;
            self.drop_reference_parts(part.table, part.oid)?;
            let mut changed = (*self.relation(part.table)).clone();
            changed.constraints.retain(|known| known.oid != part.oid);
            self.put_relation(changed)?;
        }
        Ok(())
    }

    /// The foreign key that a part of one belongs to in the end, in the same table.
    pub(crate) fn whole_of(&self, constraint: &Arc<ConstraintDescriptor>) -> Arc<ConstraintDescriptor> {
        let catalog = self.state.catalog();
        let mut whole = constraint;
        while let Some(above) = catalog.whole_reference(whole) {
            whole = above;
        }
        Arc::clone(whole)
    }

    /// Changes a constraint, its parts, and what partitions have of it.
    pub(crate) fn change_constraint_tree(
        &self,
        table: Oid,
        constraint: Oid,
        change: &dyn Fn(&mut ConstraintDescriptor),
    ) -> Result<()> {
        let mut relation = (*self.relation(table)).clone();
        let parts = parts_of(&relation, constraint);
        for known in &mut relation.constraints {
            if known.oid == constraint || parts.contains(&known.oid) {
                change(Arc::make_mut(known));
            }
        }
        relation.has_triggers |= relation.constraints.iter().any(|c| c.foreign.is_some() && c.enforced);
        let relation = self.put_relation(relation)?;
        for known in &relation.constraints {
            if known.oid == constraint || parts.contains(&known.oid) {
                self.note_triggers(known)?;
            }
        }
        if relation.kind == RelationKind::PartitionedTable {
            for partition in self.children(table) {
                let child = self.relation(partition);
                if let Some(own) = child.constraints.iter().find(|known| known.parent == constraint) {
                    self.lock_relation(partition, RelationLockMode::ShareRowExclusive)?;
                    self.change_constraint_tree(partition, own.oid, change)?;
                }
            }
        }
        Ok(())
    }

    /// Refuses to alter what another constraint's alteration changes.
    ///
    /// # Errors
    /// 55000.
    pub(crate) fn refuse_derived(
        &self,
        relation: &RelationDescriptor,
        constraint: &ConstraintDescriptor,
    ) -> Result<()> {
        let catalog = self.state.catalog();
        let mut above = constraint.parent;
        let mut topmost = None;
        while let Some(known) = catalog.constraint(above).filter(|_| above.is_valid()) {
            topmost = Some(known);
            above = known.parent;
        }
        let Some(topmost) = topmost else { return Ok(()) };
        let table = catalog.relation(topmost.table).map(|table| table.name.to_string()).unwrap_or_default();
        Err(Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("cannot alter constraint \"{}\" on relation \"{}\"", constraint.name, relation.name),
        )
        .detail(format!(
            "Constraint \"{}\" is derived from constraint \"{}\" of relation \"{table}\".",
            constraint.name, topmost.name
        ))
        .hint("You may alter the constraint it derives from instead."))
    }
}

/// The parts of a foreign key, and theirs.
fn parts_of(relation: &RelationDescriptor, whole: Oid) -> Vec<Oid> {
    let mut found = vec![whole];
    let mut next = 0;
    while next < found.len() {
        let above = found[next];
        found
            .extend(relation.constraints.iter().filter(|known| known.parent == above).map(|known| known.oid));
        next += 1;
    }
    found.remove(0);
    found
}
