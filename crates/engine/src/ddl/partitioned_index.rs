//! What a partition gets from its table besides columns and constraints: indexes with the keys that they implement, foreign
//! keys, and row triggers.
//!
//! # How
//! A partitioned table's index is a relation without entries; each partition has an index like it, whose parent it is. An index
//! that is there already and is like it becomes the partition's; where there is none, one is made.

use std::sync::Arc;

use ochre_base::{Error, FileId, Oid, Result, SqlState};
use ochre_catalog::{
    ConstraintDescriptor, ConstraintKind, IndexDescriptor, Inheritance, Origin, RelationDescriptor,
    RelationKind, TriggerDescriptor,
};
use ochre_parser::ast::ObjectName;
use ochre_txn::locks::RelationLockMode;

use super::constraint::ColumnRef;
use super::create_table::plain_constraint;
use super::index::{NewIndex, NewIndexKey};
use super::inherit::child_numbers;
use super::names;
use crate::authority::Need;
use crate::session::Session;

impl Session {
    /// Fails for a unique index of a partitioned table that does not hold its partition key.
    pub(crate) fn check_partitioned_key(&self, table: &RelationDescriptor, new: &NewIndex) -> Result<()> {
        let Some(key) = &table.inheritance.key else { return Ok(()) };
        if !new.unique {
            return Ok(());
        }
        let kind = if new.primary { "PRIMARY KEY" } else { "UNIQUE" };
        for column in &key.columns {
            if column.number == 0 {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("unsupported {kind} constraint with partition key definition"),
                )
                .detail(format!(
                    "{kind} constraints cannot be used when partition keys include expressions."
                )));
            }
            if new.keys.iter().any(|own| own.number == column.number) {
                continue;
            }
            let name = table.column(column.number).map(|column| column.name.to_string()).unwrap_or_default();
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "unique constraint on partitioned table must include all partitioning columns",
            )
            .detail(format!(
                "{kind} constraint on table \"{}\" lacks column \"{name}\" which is part of the partition key.",
                table.name
            )));
        }
        Ok(())
    }

    /// Gives the partitions of a table what its new index asks for.
    pub(crate) fn index_partitions(&self, table: Oid, index: Oid) -> Result<()> {
        for partition in self.children(table) {
            self.lock_relation(partition, RelationLockMode::Share)?;
            self.index_partition(partition, index)?;
        }
        Ok(())
    }

    /// Finds or makes a partition's index for one of its table.
    fn index_partition(&self, partition: Oid, index: Oid) -> Result<()> {
        let parent = self.relation(index);
        let model = parent.index.clone().ok_or_else(|| Error::internal("an index has no descriptor"))?;
        let (table, child) = (self.relation(model.table), self.relation(partition));
        let keys = self.keys_in_partition(&table, &child, &model)?;
        let included = child_numbers(&table, &child, &model.included)?;
        let constraint = self.constraint_of(&table, &model);
        for known in child.indexes.clone() {
            let free = self.relation(known.oid).inheritance.parents.is_empty();
            let own = self.constraint_of(&child, &known);
            let fits = match (&constraint, &own) {
                (Some(wanted), Some(own)) => wanted.kind == own.kind && wanted.deferrable == own.deferrable,
                (Some(_), None) => false,
                (None, _) => true,
            };
            let usable = known.valid && known.ready;
            if free && fits && usable && is_alike(&known, &model, &keys, &included) {
                return self.adopt_index(index, known.oid, constraint.as_deref(), own.as_deref());
            }
        }
        let middle = keys.iter().map(|key| &*key.name).collect::<Vec<_>>().join("_");
        let catalog = self.state.catalog();
        let (middle, label) = match (&constraint, model.primary) {
            (_, true) => (String::new(), "pkey"),
            (Some(_), false) => (middle, "key"),
            (None, false) => (middle, "idx"),
        };
        let name = names::choose_relation(&catalog, child.namespace, &child.name, &middle, label);
        drop(catalog);
        let own = constraint.as_ref().map(|_| self.new_oid());
        if model.primary {
            if child.primary_key().is_some() {
                return Err(Error::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    format!("multiple primary keys for table \"{}\" are not allowed", child.name),
                ));
            }
            for key in &keys {
                if !self.relation(partition).column(key.number).is_some_and(|column| column.not_null) {
                    self.add_not_null(partition, key.number, None, true)?;
                }
            }
        }
        let numbers: Vec<i16> = keys.iter().map(|key| key.number).collect();
        let new = NewIndex {
            name: name.clone(),
            method: model.method,
            keys,
            included,
            unique: model.unique,
            primary: model.primary,
            nulls_not_distinct: model.nulls_not_distinct,
            predicate: model.predicate.clone(),
            constraint: own,
            immediate: model.immediate,
            options: model.options.clone(),
            alone: false,
        };
        if !self.reserve_relation_name(child.namespace, &name)? {
            return Err(crate::errors::duplicate_relation(&name));
        }
        let made = self.create_index_on(partition, new)?;
        if let (Some(constraint), Some(oid)) = (&constraint, own) {
            let mut changed = (*self.relation(partition)).clone();
            let mut copy = plain_constraint(oid, &name, &changed, constraint.kind, numbers);
            copy.index = made;
            copy.deferrable = constraint.deferrable;
            copy.initially_deferred = constraint.initially_deferred;
            copy.no_inherit = constraint.no_inherit;
            copy.origin = Origin::INHERITED;
            copy.parent = constraint.oid;
            changed.constraints.push(Arc::new(copy));
            self.put_relation(changed)?;
            // Now that there is a constraint for theirs to be part of.
            self.index_partitions(partition, made)?;
        }
        self.set_index_parent(made, Some(index))
    }

    /// `ALTER INDEX … ATTACH PARTITION`.
    pub(crate) fn attach_index(&self, parent: Oid, name: &ObjectName) -> Result<()> {
        let whole = self.relation(parent);
        if whole.kind != RelationKind::PartitionedIndex {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("ALTER action ATTACH PARTITION cannot be performed on relation \"{}\"", whole.name),
            )
            .detail(format!("This operation is not supported for {}.", whole.kind.plural())));
        }
        let part = self.require_and_lock(name, RelationLockMode::AccessExclusive, Need::CheckedByCaller)?;
        let invalid = |message: String| Error::new(SqlState::INVALID_OBJECT_DEFINITION, message);
        let (Some(model), Some(own)) = (whole.index.clone(), part.index.clone()) else {
            return Err(invalid(format!("\"{}\" is not an index", part.name)));
        };
        if part.inheritance.parents.contains(&parent) {
            return Ok(());
        }
        let refused = |state: SqlState, detail: String| {
            let message =
                format!("cannot attach index \"{}\" as a partition of index \"{}\"", part.name, whole.name);
            Err(Error::new(state, message).detail(detail))
        };
        let (state, definition) =
            (SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, SqlState::INVALID_OBJECT_DEFINITION);
        let (table, child) = (self.relation(model.table), self.relation(own.table));
        let rival = self.children(parent).into_iter().map(|oid| self.relation(oid));
        if let Some(rival) =
            rival.into_iter().find(|other| other.index.as_ref().is_some_and(|i| i.table == child.oid))
        {
            return refused(
                state,
                format!(
                    "Another index \"{}\" is already attached for partition \"{}\".",
                    rival.name, child.name
                ),
            );
        }
        if !part.inheritance.parents.is_empty() {
            return refused(state, format!("Index \"{}\" is already attached to another index.", part.name));
        }
        if !child.inheritance.parents.contains(&table.oid) || !child.is_partition() {
            return refused(
                state,
                format!(
                    "Index \"{}\" is not an index on any partition of table \"{}\".",
                    part.name, table.name
                ),
            );
        }
        let keys = self.keys_in_partition(&table, &child, &model)?;
        let included = child_numbers(&table, &child, &model.included)?;
        if !is_alike(&own, &model, &keys, &included) {
            return refused(definition, "The index definitions do not match.".to_owned());
        }
        let constraint = self.constraint_of(&table, &model);
        let known = self.constraint_of(&child, &own);
        if constraint.is_some() && known.is_none() {
            return refused(
                definition,
                format!(
                    "The index \"{}\" belongs to a constraint in table \"{}\" but no constraint exists for index \"{}\".",
                    whole.name, table.name, part.name
                ),
            );
        }
        if model.primary {
            let nullable =
                keys.iter().filter_map(|key| child.column(key.number)).find(|column| !column.not_null);
            if let Some(column) = nullable {
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, "invalid primary key definition")
                    .detail(format!(
                        "Column \"{}\" of relation \"{}\" is not marked NOT NULL.",
                        column.name, child.name
                    )));
            }
        }
        self.adopt_index(parent, part.oid, constraint.as_deref(), known.as_deref())?;
        self.validate_partitioned_index(parent)
    }

    /// A partitioned index whose partitions all have theirs is valid.
    fn validate_partitioned_index(&self, oid: Oid) -> Result<()> {
        let own = self.relation(oid);
        let Some(index) = own.index.as_ref().filter(|index| !index.valid) else { return Ok(()) };
        let parts = self.children(oid).into_iter().map(|part| self.relation(part));
        let valid = parts.filter(|part| part.index.as_ref().is_some_and(|index| index.valid)).count();
        if valid < self.children(index.table).len() {
            return Ok(());
        }
        self.replace_index(IndexDescriptor { valid: true, ..(**index).clone() })?;
        for above in &own.inheritance.parents {
            self.validate_partitioned_index(*above)?;
        }
        Ok(())
    }

    /// Fails for columns of children that may be NULL.
    pub(crate) fn check_not_null_below(&self, table: Oid, columns: &[ColumnRef]) -> Result<()> {
        let parent = self.relation(table);
        for child in self.children(table) {
            let child = self.relation(child);
            for column in columns {
                let number = child_numbers(&parent, &child, &[self.column_number(table, column)?])?[0];
                if let Some(column) = child.column(number).filter(|column| !column.not_null) {
                    return Err(Error::internal(format!(
                        "column \"{}\" of table \"{}\" is not marked NOT NULL",
                        column.name, child.name
                    )));
                }
            }
        }
        Ok(())
    }

    /// Makes an index that is there a part of one of the partitioned table.
    fn adopt_index(
        &self,
        parent: Oid,
        own: Oid,
        constraint: Option<&ConstraintDescriptor>,
        known: Option<&ConstraintDescriptor>,
    ) -> Result<()> {
        if let (Some(constraint), Some(known)) = (constraint, known) {
            self.put_constraint_parent(known.table, known.oid, Some(constraint.oid))?;
        }
        self.set_index_parent(own, Some(parent))
    }

    fn put_constraint_parent(&self, table: Oid, constraint: Oid, parent: Option<Oid>) -> Result<()> {
        let mut changed = (*self.relation(table)).clone();
        for slot in changed.constraints.iter_mut().filter(|known| known.oid == constraint) {
            let own = Arc::make_mut(slot);
            own.origin = if parent.is_some() { Origin::INHERITED } else { Origin::LOCAL };
            own.parent = parent.unwrap_or(Oid::INVALID);
        }
        self.put_relation(changed)?;
        Ok(())
    }

    fn set_index_parent(&self, index: Oid, parent: Option<Oid>) -> Result<()> {
        let mut changed = (*self.relation(index)).clone();
        changed.inheritance = Inheritance { parents: parent.into_iter().collect(), ..changed.inheritance };
        self.put_relation(changed)?;
        match parent {
            Some(parent) => self.note_children(&[parent]),
            None => Ok(()),
        }
    }

    fn constraint_of(
        &self,
        table: &RelationDescriptor,
        index: &IndexDescriptor,
    ) -> Option<Arc<ConstraintDescriptor>> {
        let is_key = |c: &&Arc<ConstraintDescriptor>| {
            matches!(c.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique) && c.index == index.oid
        };
        table.constraints.iter().find(is_key).cloned()
    }

    /// An index's keys over the columns of a partition.
    fn keys_in_partition(
        &self,
        table: &RelationDescriptor,
        partition: &RelationDescriptor,
        model: &IndexDescriptor,
    ) -> Result<Vec<NewIndexKey>> {
        let mut keys = Vec::with_capacity(model.keys.len());
        for (key, name) in model.keys.iter().zip(&model.column_names) {
            let number = match key.number {
                0 => 0,
                number => child_numbers(table, partition, &[number])?[0],
            };
            keys.push(NewIndexKey {
                number,
                expression: key.expression.clone(),
                name: Arc::clone(name),
                ty: key.ty,
                collation: key.collation,
                operator_class: Some(key.operator_class),
                descending: key.descending,
                nulls_first: key.nulls_first,
            });
        }
        Ok(keys)
    }

    /// Gives a new partition what its table has: indexes, foreign keys, row triggers.
    pub(crate) fn attach_parts(&self, table: Oid, partition: Oid) -> Result<()> {
        let parent = self.relation(table);
        for index in &parent.indexes {
            self.index_partition(partition, index.oid)?;
        }
        let is_part = |c: &ConstraintDescriptor| parent.constraints.iter().any(|known| known.oid == c.parent);
        let foreign = parent.constraints.iter().filter(|c| c.foreign.is_some() && !is_part(c));
        for constraint in foreign {
            self.clone_foreign_key(&parent, constraint, partition)?;
        }
        self.refer_to_partition(table, partition)?;
        for trigger in parent.triggers.iter().filter(|trigger| trigger.row) {
            self.clone_trigger(&parent, trigger, partition)?;
        }
        Ok(())
    }

    /// Makes what a partition has got from its table its own, or takes it away.
    pub(crate) fn detach_parts(&self, table: &RelationDescriptor, partition: Oid) -> Result<()> {
        let child = self.relation(partition);
        for index in &child.indexes {
            self.set_index_parent(index.oid, None)?;
        }
        let of_table = |parent: Oid| {
            table.constraints.iter().any(|known| known.oid == parent)
                || table.triggers.iter().any(|known| known.oid == parent)
        };
        self.forget_references(table.oid, partition)?;
        for constraint in child.constraints.iter().filter(|known| of_table(known.parent)) {
            // Who has deleted a row that is referred to has looked into the table, and would not find the partition there.
            if let Some(foreign) = &constraint.foreign {
                self.lock_relation(foreign.table, RelationLockMode::ShareRowExclusive)?;
                if self.relation(foreign.table).kind == RelationKind::PartitionedTable {
                    self.lock_descendants(foreign.table, RelationLockMode::ShareRowExclusive)?;
                }
            }
        }
        let mut changed = (*self.relation(partition)).clone();
        let mut freed = Vec::new();
        for slot in &mut changed.constraints {
            if slot.parent.is_valid() && of_table(slot.parent) {
                let own = Arc::make_mut(slot);
                own.parent = Oid::INVALID;
                own.origin = Origin::LOCAL;
                freed.extend(own.foreign.is_some().then(|| Arc::clone(slot)));
            }
        }
        let gone: Vec<Oid> = changed
            .triggers
            .iter()
            .filter(|trigger| trigger.parent.is_valid() && of_table(trigger.parent))
            .map(|trigger| trigger.oid)
            .collect();
        changed.triggers.retain(|trigger| !gone.contains(&trigger.oid));
        self.put_relation(changed)?;
        for constraint in freed {
            self.add_reference_parts(&constraint)?;
        }
        self.drop_clones(partition, &gone)
    }

    /// Drops the triggers of partitions that stand for these.
    pub(crate) fn drop_clones(&self, table: Oid, triggers: &[Oid]) -> Result<()> {
        if triggers.is_empty() {
            return Ok(());
        }
        for partition in self.children(table) {
            let mut changed = (*self.relation(partition)).clone();
            let own: Vec<Oid> = changed
                .triggers
                .iter()
                .filter(|trigger| triggers.contains(&trigger.parent))
                .map(|trigger| trigger.oid)
                .collect();
            changed.triggers.retain(|trigger| !own.contains(&trigger.oid));
            self.put_relation(changed)?;
            self.drop_clones(partition, &own)?;
        }
        Ok(())
    }

    /// Gives a partition, and what is below it, a row trigger of its table.
    pub(crate) fn clone_trigger(
        &self,
        table: &RelationDescriptor,
        trigger: &Arc<TriggerDescriptor>,
        partition: Oid,
    ) -> Result<()> {
        let child = self.relation(partition);
        if let Some(known) = child.triggers.iter().find(|known| known.name == trigger.name) {
            if known.parent == trigger.oid {
                return Ok(());
            }
            return Err(Error::new(
                SqlState::DUPLICATE_OBJECT,
                format!("trigger \"{}\" for relation \"{}\" already exists", trigger.name, child.name),
            ));
        }
        let copy = Arc::new(TriggerDescriptor {
            oid: self.new_oid(),
            table: partition,
            columns: child_numbers(table, &child, &trigger.columns)?,
            parent: trigger.oid,
            comment: None,
            ..(**trigger).clone()
        });
        let mut changed = (*child).clone();
        changed.triggers.push(Arc::clone(&copy));
        changed.triggers.sort_by(|a, b| a.name.cmp(&b.name));
        changed.has_triggers = true;
        let changed = self.put_relation(changed)?;
        for below in self.children(partition) {
            self.clone_trigger(&changed, &copy, below)?;
        }
        Ok(())
    }

    /// Gives a partition, and what is below it, a foreign key of its table.
    pub(crate) fn clone_foreign_key(
        &self,
        table: &RelationDescriptor,
        constraint: &Arc<ConstraintDescriptor>,
        partition: Oid,
    ) -> Result<()> {
        let child = self.relation(partition);
        let columns = child_numbers(table, &child, &constraint.columns)?;
        let Some(foreign) = &constraint.foreign else { return Ok(()) };
        let delete_columns = child_numbers(table, &child, &foreign.delete_columns)?;
        let same = child.constraints.iter().find(|known| {
            known.columns == columns
                && !known.parent.is_valid()
                && known.enforced == constraint.enforced
                && known.validated
                && known.deferrable == constraint.deferrable
                && known.initially_deferred == constraint.initially_deferred
                && known.foreign.as_ref().is_some_and(|own| {
                    own.table == foreign.table
                        && own.columns == foreign.columns
                        && own.on_update == foreign.on_update
                        && own.on_delete == foreign.on_delete
                        && own.match_full == foreign.match_full
                })
        });
        if let Some(known) = same.cloned() {
            // The whole key's parts act for all partitions.
            self.drop_reference_parts(partition, known.oid)?;
            return self.put_constraint_parent(partition, known.oid, Some(constraint.oid));
        }
        self.lock_relation(foreign.table, RelationLockMode::ShareRowExclusive)?;
        if self.relation(foreign.table).kind == RelationKind::PartitionedTable {
            self.lock_descendants(foreign.table, RelationLockMode::ShareRowExclusive)?;
        }
        let taken = child.constraints.iter().any(|known| known.name == constraint.name);
        let name = match taken {
            true => {
                let middle = super::index::joined_names(&child, &columns);
                self.constraint_name(&child, None, &middle, "fkey")?
            }
            false => constraint.name.to_string(),
        };
        let copy = Arc::new(ConstraintDescriptor {
            oid: self.new_oid(),
            name: name.into(),
            table: partition,
            namespace: child.namespace,
            columns,
            foreign: Some(ochre_catalog::ForeignKey { delete_columns, ..foreign.clone() }),
            origin: Origin::INHERITED,
            parent: constraint.oid,
            comment: None,
            ..(**constraint).clone()
        });
        let mut changed = (*child).clone();
        changed.constraints.push(Arc::clone(&copy));
        changed.has_triggers |= copy.enforced;
        let changed = self.put_relation(changed)?;
        if copy.enforced && copy.validated && changed.kind == RelationKind::Table {
            self.check_foreign_key(&copy)?;
        }
        for below in self.children(partition) {
            self.clone_foreign_key(&changed, &copy, below)?;
        }
        Ok(())
    }

    /// Drops the constraints of partitions that stand for one of their table, with their indexes.
    pub(crate) fn drop_constraint_clones(&self, table: Oid, constraint: Oid) -> Result<()> {
        for partition in self.children(table) {
            let child = self.relation(partition);
            let own = child.constraints.iter().find(|known| known.parent == constraint).cloned();
            let Some(own) = own else { continue };
            self.drop_constraint_clones(partition, own.oid)?;
            let mut changed = (*self.relation(partition)).clone();
            changed.constraints.retain(|known| known.oid != own.oid);
            self.put_relation(changed)?;
            if matches!(own.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique) {
                self.remove_index(own.index)?;
            }
        }
        Ok(())
    }
}

/// Whether an index of a partition is what an index of its table asks for.
fn is_alike(
    known: &IndexDescriptor,
    model: &IndexDescriptor,
    keys: &[NewIndexKey],
    included: &[i16],
) -> bool {
    let same = |(own, key): (&ochre_catalog::IndexKey, &NewIndexKey)| {
        own.number == key.number
            && own.expression == key.expression
            && own.collation == key.collation
            && Some(own.operator_class) == key.operator_class
            && own.descending == key.descending
            && own.nulls_first == key.nulls_first
    };
    known.method == model.method
        && known.keys.len() == keys.len()
        && known.keys.iter().zip(keys).all(same)
        && known.included == included
        && known.unique == model.unique
        && known.nulls_not_distinct == model.nulls_not_distinct
        && known.predicate == model.predicate
}

/// The file of an index without entries.
pub(crate) const NO_FILE: FileId = FileId(0);
