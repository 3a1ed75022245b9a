//! Foreign keys: adding, validating, altering and dropping them, and what depends on them.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::authority::Privileges;
use ochre_catalog::{
    ConstraintDescriptor, ConstraintKind, ForeignKey, IndexDescriptor, Persistence, ReferentialAction,
    RelationDescriptor, RelationKind,
};
use ochre_parser::ast::{self, AlterConstraint, Behavior, ConstraintAttributes, References};
use ochre_sql::bind::{foreign_key_check, key_part};
use ochre_txn::locks::RelationLockMode;
use ochre_types::SqlType;

use super::constraint::ColumnRef;
use super::create_table::{is_system_column, plain_constraint};
use crate::authority::Need;
use crate::errors;
use crate::session::Session;
use crate::session::context::StatementSession;

/// A foreign key as it was written.
pub(crate) struct NewForeignKey {
    pub columns: Vec<ColumnRef>,
    pub references: References,
}

/// Something that is dropped together with what it depends on, or that keeps it from being dropped.
pub(crate) struct Dependent {
    pub constraint: Arc<ConstraintDescriptor>,
    /// What the constraint depends on: `table t`.
    pub on: String,
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_FOREIGN_KEY, message)
}

fn action(action: &ast::ReferentialAction) -> ReferentialAction {
    match action {
        ast::ReferentialAction::NoAction => ReferentialAction::NoAction,
        ast::ReferentialAction::Restrict => ReferentialAction::Restrict,
        ast::ReferentialAction::Cascade => ReferentialAction::Cascade,
        ast::ReferentialAction::SetNull(_) => ReferentialAction::SetNull,
        ast::ReferentialAction::SetDefault(_) => ReferentialAction::SetDefault,
    }
}

fn named_column(relation: &RelationDescriptor, name: &str) -> Result<i16> {
    if is_system_column(name) {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "system columns cannot be used in foreign keys",
        ));
    }
    let column = relation.column_named(name).ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{name}\" referenced in foreign key constraint does not exist"),
        )
    })?;
    Ok(column.number)
}

/// Whether an index can be referred to by some columns, in whatever order.
fn covers(index: &IndexDescriptor, numbers: &[i16]) -> bool {
    index.unique
        && index.valid
        && index.predicate.is_none()
        && !index.has_expressions()
        && index.keys.len() == numbers.len()
        && index.keys.iter().all(|key| numbers.contains(&key.number))
}

impl Session {
    /// Adds a foreign key to a table; `existing` rows are checked.
    pub(crate) fn add_foreign_key(
        &self,
        table: Oid,
        name: Option<&str>,
        new: &NewForeignKey,
        attributes: ConstraintAttributes,
        existing: bool,
    ) -> Result<()> {
        let references = &new.references;
        if references.period {
            return Err(Error::unsupported("PERIOD in FOREIGN KEY constraints"));
        }
        let parent = self
            .find_and_lock(&references.table, RelationLockMode::ShareRowExclusive, Need::CheckedByCaller)?
            .ok_or_else(|| errors::undefined_table(&references.table))?;
        if !parent.kind.is_table() {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("referenced relation \"{}\" is not a table", parent.name),
            ));
        }
        self.require_user_relation(&parent)?;
        if parent.kind == RelationKind::PartitionedTable {
            self.lock_descendants(parent.oid, RelationLockMode::ShareRowExclusive)?;
        }
        let parent = self.relation(parent.oid);
        let relation = self.relation(table);
        check_persistence(&relation, &parent)?;
        let mut columns = Vec::with_capacity(new.columns.len());
        for column in &new.columns {
            columns.push(match column {
                ColumnRef::Number(number) => *number,
                ColumnRef::Name(name) => named_column(&relation, name)?,
            });
        }
        let delete_columns = self.delete_columns(&relation, &columns, references)?;
        let (index, referenced) = referenced_key(&parent, references)?;
        check_generated(&relation, &columns, references)?;
        if referenced.len() != columns.len() {
            return Err(invalid("number of referencing and referenced columns for foreign key disagree"));
        }
        self.state.require_on_columns(&parent, Privileges::REFERENCES, &referenced)?;
        let middle = super::index::joined_names(&relation, &columns);
        let name = self.constraint_name(&relation, name, &middle, "fkey")?;
        let mut constraint =
            plain_constraint(self.new_oid(), &name, &relation, ConstraintKind::ForeignKey, columns);
        constraint.index = index;
        constraint.foreign = Some(ForeignKey {
            table: parent.oid,
            columns: referenced,
            on_update: action(&references.on_update),
            on_delete: action(&references.on_delete),
            match_full: references.match_type == ast::MatchType::Full,
            delete_columns,
        });
        constraint.deferrable = attributes.deferrable;
        constraint.initially_deferred = attributes.initially_deferred;
        constraint.enforced = attributes.enforced;
        constraint.validated = attributes.enforced && !(existing && attributes.not_valid);
        let partitioned = relation.kind == RelationKind::PartitionedTable;
        constraint.no_inherit = !partitioned;
        self.check_key_types(&constraint)?;
        let validate = existing && constraint.validated && !partitioned;
        let constraint = Arc::new(constraint);
        let mut changed = (*relation).clone();
        changed.constraints.push(Arc::clone(&constraint));
        changed.has_triggers |= constraint.enforced;
        self.put_relation(changed)?;
        self.note_triggers(&constraint)?;
        self.add_reference_parts(&constraint)?;
        let changed = self.relation(table);
        for partition in self.children(table).into_iter().filter(|_| partitioned) {
            self.clone_foreign_key(&changed, &constraint, partition)?;
        }
        if validate {
            self.check_foreign_key(&constraint)?;
        }
        Ok(())
    }

    /// `relhastriggers` of the table that an enforced foreign key refers to.
    pub(crate) fn note_triggers(&self, constraint: &ConstraintDescriptor) -> Result<()> {
        let Some(foreign) = constraint.foreign.as_ref().filter(|_| constraint.enforced) else {
            return Ok(());
        };
        let parent = self.relation(foreign.table);
        if !parent.has_triggers {
            let mut parent = (*parent).clone();
            parent.has_triggers = true;
            self.put_relation(parent)?;
        }
        Ok(())
    }

    /// The columns of ON DELETE SET NULL and SET DEFAULT.
    fn delete_columns(
        &self,
        relation: &RelationDescriptor,
        columns: &[i16],
        references: &References,
    ) -> Result<Vec<i16>> {
        let (ast::ReferentialAction::SetNull(names) | ast::ReferentialAction::SetDefault(names)) =
            &references.on_delete
        else {
            return Ok(Vec::new());
        };
        let mut numbers = Vec::with_capacity(names.len());
        for name in names {
            let number = named_column(relation, name)?;
            if !columns.contains(&number) {
                return Err(Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!(
                        "column \"{name}\" referenced in ON DELETE SET action must be part of foreign key"
                    ),
                ));
            }
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    /// Fails when columns cannot be compared with those that they refer to.
    fn check_key_types(&self, constraint: &ConstraintDescriptor) -> Result<()> {
        let Some(foreign) = &constraint.foreign else { return Ok(()) };
        let (table, parent) = (self.relation(constraint.table), self.relation(foreign.table));
        let catalog = self.state.catalog();
        let session = StatementSession::new(self);
        for (own, other) in constraint.columns.iter().zip(&foreign.columns) {
            let (Some(own), Some(other)) = (table.column(*own), parent.column(*other)) else { continue };
            if key_part(&catalog, &session, own.number as usize - 1, own.ty, other.ty)?.is_some() {
                continue;
            }
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("foreign key constraint \"{}\" cannot be implemented", constraint.name),
            )
            .detail(format!(
                "Key columns \"{}\" of the referencing table and \"{}\" of the referenced table are of incompatible \
                 types: {} and {}.",
                own.name,
                other.name,
                self.type_text(SqlType::new(own.ty.oid, -1)),
                self.type_text(SqlType::new(other.ty.oid, -1))
            )));
        }
        Ok(())
    }

    /// Checks the rows of a table that has a foreign key. The table must be locked.
    pub(crate) fn check_foreign_key(&self, constraint: &Arc<ConstraintDescriptor>) -> Result<()> {
        if self.relation(constraint.table).kind == RelationKind::PartitionedTable {
            for partition in self.children(constraint.table) {
                let partition = self.relation(partition);
                for part in partition.constraints.iter().filter(|part| part.parent == constraint.oid) {
                    self.check_foreign_key(part)?;
                }
            }
            return Ok(());
        }
        let plan = {
            let catalog = self.state.catalog();
            let session = StatementSession::new(self);
            foreign_key_check(&catalog, &session, constraint)?
        };
        let plan = plan.ok_or_else(|| Error::internal("a foreign key cannot be checked"))?;
        // What this statement wrote counts, too.
        self.txn().advance_command()?;
        let snapshot = self.txn().newest_snapshot()?;
        self.with_context(&snapshot, &[], |_, context| {
            ochre_exec::validate_foreign_key(context, &Arc::new(plan))
        })
    }

    /// VALIDATE CONSTRAINT of a foreign key.
    pub(crate) fn validate_foreign_key(&self, constraint: &Arc<ConstraintDescriptor>) -> Result<()> {
        if let Some(foreign) = &constraint.foreign {
            self.lock_relation(foreign.table, RelationLockMode::RowShare)?;
            if self.relation(foreign.table).kind == RelationKind::PartitionedTable {
                self.lock_descendants(foreign.table, RelationLockMode::RowShare)?;
            }
        }
        self.check_foreign_key(constraint)
    }

    /// `ALTER CONSTRAINT`.
    pub(crate) fn alter_constraint(&self, table: Oid, alter: &AlterConstraint) -> Result<()> {
        let relation = self.relation(table);
        let table_name = Arc::clone(&relation.name);
        let name = alter.name.as_str();
        let Some(position) = relation.constraints.iter().position(|c| &*c.name == name) else {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("constraint \"{name}\" of relation \"{table_name}\" does not exist"),
            ));
        };
        let wrong = |message: String| Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        let constraint = &relation.constraints[position];
        let is_foreign = constraint.kind == ConstraintKind::ForeignKey;
        let timing = alter.deferrable.is_some() || alter.initially_deferred.is_some();
        if timing && !is_foreign {
            return wrong(format!(
                "constraint \"{name}\" of relation \"{table_name}\" is not a foreign key constraint"
            ));
        }
        if alter.enforced.is_some() && !is_foreign {
            return wrong(format!(
                "cannot alter enforceability of constraint \"{name}\" of relation \"{table_name}\""
            ));
        }
        if alter.inherit.is_some() {
            if constraint.kind != ConstraintKind::NotNull {
                return wrong(format!(
                    "constraint \"{name}\" of relation \"{table_name}\" is not a not-null constraint"
                ));
            }
            return Err(Error::unsupported("ALTER CONSTRAINT … INHERIT"));
        }
        self.refuse_derived(&relation, constraint)?;
        let foreign = constraint.foreign.as_ref().map(|foreign| foreign.table);
        if let Some(parent) = foreign {
            self.lock_relation(parent, RelationLockMode::ShareRowExclusive)?;
            self.lock_descendants(parent, RelationLockMode::ShareRowExclusive)?;
        }
        let (oid, was_enforced) = (constraint.oid, constraint.enforced);
        let becomes_enforced = alter.enforced == Some(true) && !was_enforced;
        self.change_constraint_tree(table, oid, &|constraint| {
            if timing {
                let deferred = alter.initially_deferred.unwrap_or(false);
                constraint.deferrable = alter.deferrable.unwrap_or(deferred);
                constraint.initially_deferred = deferred;
            }
            if let Some(enforced) = alter.enforced {
                if enforced != constraint.enforced {
                    constraint.validated = enforced;
                }
                constraint.enforced = enforced;
            }
        })?;
        let changed = self.relation(table).constraints.iter().find(|known| known.oid == oid).cloned();
        if let Some(constraint) = changed.filter(|_| becomes_enforced) {
            self.check_foreign_key(&constraint)?;
        }
        Ok(())
    }

    /// A column's type has changed: foreign keys over it must still be possible, and satisfied.
    pub(crate) fn recheck_foreign_keys(&self, table: Oid, column: i16) -> Result<()> {
        let relation = self.relation(table);
        let own = relation.constraints.iter().filter(|c| c.foreign.is_some() && c.columns.contains(&column));
        let catalog = self.state.catalog();
        let others = catalog
            .referencing(table)
            .iter()
            .filter(|c| c.foreign.as_ref().is_some_and(|foreign| foreign.columns.contains(&column)));
        let whole = |c: &&Arc<ConstraintDescriptor>| catalog.whole_reference(c).is_none();
        let concerned: Vec<_> = own.chain(others).filter(whole).cloned().collect();
        for constraint in concerned {
            self.lock_relation(constraint.table, RelationLockMode::AccessExclusive)?;
            self.check_key_types(&constraint)?;
            if constraint.enforced && constraint.validated {
                self.check_foreign_key(&constraint)?;
            }
        }
        Ok(())
    }

    /// The foreign keys of other tables that refer to a table, over certain columns or by a certain index.
    pub(crate) fn dependents(
        &self,
        table: Oid,
        on: &str,
        concerns: impl Fn(&ConstraintDescriptor) -> bool,
    ) -> Vec<Dependent> {
        let catalog = self.state.catalog();
        // Those of partitions are their tables'.
        let own = catalog.referencing(table).iter().filter(|constraint| !catalog.is_of_partition(constraint));
        let referencing = own.filter(|constraint| concerns(constraint));
        referencing
            .map(|constraint| Dependent { constraint: self.whole_of(constraint), on: on.to_string() })
            .collect()
    }

    /// Drops foreign keys whose objects are about to go, or refuses.
    ///
    /// # Errors
    /// 2BP01 with RESTRICT.
    pub(crate) fn drop_dependents(
        &self,
        object: &str,
        dependents: Vec<Dependent>,
        behavior: Behavior,
    ) -> Result<()> {
        let mut known: Vec<Oid> = Vec::new();
        let mut dependents = dependents;
        dependents.retain(|dependent| {
            let is_new = !known.contains(&dependent.constraint.oid);
            known.push(dependent.constraint.oid);
            is_new
        });
        if dependents.is_empty() {
            return Ok(());
        }
        let describe = |session: &Session, dependent: &Dependent| {
            let table = session.relation(dependent.constraint.table);
            format!("constraint {} on table {}", dependent.constraint.name, session.relation_text(&table))
        };
        if behavior == Behavior::Restrict {
            let lines: Vec<String> = dependents
                .iter()
                .map(|dependent| format!("{} depends on {}", describe(self, dependent), dependent.on))
                .collect();
            let them = if object == "desired object(s)" { "them" } else { "it" };
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop {object} because other objects depend on {them}"),
            )
            .detail(lines.join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        let lines: Vec<String> = dependents
            .iter()
            .map(|dependent| format!("drop cascades to {}", describe(self, dependent)))
            .collect();
        let notice = |message: String| {
            Error::with_severity(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message)
        };
        self.state.notice(match lines.as_slice() {
            [line] => notice(line.clone()),
            lines => {
                notice(format!("drop cascades to {} other objects", lines.len())).detail(lines.join("\n"))
            }
        });
        for dependent in dependents {
            self.remove_foreign_key(&dependent.constraint)?;
        }
        Ok(())
    }

    /// Takes a foreign key from the table that has it.
    pub(crate) fn remove_foreign_key(&self, constraint: &ConstraintDescriptor) -> Result<()> {
        self.lock_relation(constraint.table, RelationLockMode::AccessExclusive)?;
        self.lock_referenced(constraint)?;
        self.drop_reference_parts(constraint.table, constraint.oid)?;
        if self.relation(constraint.table).kind == RelationKind::PartitionedTable {
            self.lock_descendants(constraint.table, RelationLockMode::AccessExclusive)?;
            self.drop_constraint_clones(constraint.table, constraint.oid)?;
        }
        let mut table = (*self.relation(constraint.table)).clone();
        table.constraints.retain(|known| known.oid != constraint.oid);
        self.put_relation(table)?;
        Ok(())
    }

    /// Locks the table that a foreign key refers to, so that nobody changes it with the constraint in mind.
    pub(crate) fn lock_referenced(&self, constraint: &ConstraintDescriptor) -> Result<()> {
        match &constraint.foreign {
            Some(foreign) => self.lock_relation(foreign.table, RelationLockMode::AccessExclusive),
            None => Ok(()),
        }
    }

    /// A relation's name as messages about dependencies show it.
    pub(crate) fn relation_text(&self, relation: &RelationDescriptor) -> String {
        self.state.catalog_names().relation(relation)
    }

    /// Refuses to change or remove a table while something of it is still to be checked.
    ///
    /// # Errors
    /// 55006.
    pub(crate) fn require_nothing_pending(&self, relation: &RelationDescriptor, command: &str) -> Result<()> {
        if !self.state.deferred.borrow().concerns(relation.oid) {
            return Ok(());
        }
        Err(Error::new(
            SqlState::OBJECT_IN_USE,
            format!("cannot {command} \"{}\" because it has pending trigger events", relation.name),
        ))
    }
}

fn check_persistence(table: &RelationDescriptor, parent: &RelationDescriptor) -> Result<()> {
    let message = match (table.persistence, parent.persistence) {
        (Persistence::Permanent, Persistence::Temporary) => {
            "constraints on permanent tables may reference only permanent tables"
        }
        (Persistence::Temporary, Persistence::Permanent) => {
            "constraints on temporary tables may reference only temporary tables"
        }
        _ => return Ok(()),
    };
    Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message))
}

/// The index and the columns that a foreign key refers to.
fn referenced_key(parent: &RelationDescriptor, references: &References) -> Result<(Oid, Vec<i16>)> {
    let wrong_state = |kind: &str| {
        Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("cannot use a deferrable {kind} for referenced table \"{}\"", parent.name),
        )
    };
    if references.columns.is_empty() {
        let Some(key) = parent.primary_key() else {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("there is no primary key for referenced table \"{}\"", parent.name),
            ));
        };
        if !key.immediate {
            return Err(wrong_state("primary key"));
        }
        return Ok((key.oid, key.keys.iter().map(|key| key.number).collect()));
    }
    let mut numbers = Vec::with_capacity(references.columns.len());
    for name in &references.columns {
        numbers.push(named_column(parent, name)?);
    }
    let has_duplicates = (1..numbers.len()).any(|i| numbers[..i].contains(&numbers[i]));
    if has_duplicates {
        return Err(invalid("foreign key referenced-columns list must not contain duplicates"));
    }
    let mut candidates: Vec<_> = parent.indexes.iter().filter(|index| covers(index, &numbers)).collect();
    candidates.sort_by_key(|index| index.oid);
    match candidates.iter().find(|index| index.immediate) {
        Some(index) => Ok((index.oid, numbers)),
        None if !candidates.is_empty() => Err(wrong_state("unique constraint")),
        None => Err(invalid(format!(
            "there is no unique constraint matching given keys for referenced table \"{}\"",
            parent.name
        ))),
    }
}

/// Generated columns cannot be set by an action.
fn check_generated(relation: &RelationDescriptor, columns: &[i16], references: &References) -> Result<()> {
    let generated = |number: &i16| relation.column(*number).is_some_and(|column| column.generated.is_some());
    if !columns.iter().any(generated) {
        return Ok(());
    }
    use ReferentialAction::{Cascade, SetDefault, SetNull};
    let invalid = |what: &str| {
        Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("invalid {what} action for foreign key constraint containing generated column"),
        ))
    };
    if matches!(action(&references.on_update), SetNull | SetDefault | Cascade) {
        return invalid("ON UPDATE");
    }
    if matches!(action(&references.on_delete), SetNull | SetDefault) {
        return invalid("ON DELETE");
    }
    Ok(())
}
