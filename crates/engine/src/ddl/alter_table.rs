//! ALTER TABLE and its sisters, and RENAME.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::{ColumnList, Field, RelationDescriptor, RelationKind};
use ochre_parser::ast::{
    AlterObjectSchemaStmt, AlterTableAction, AlterTableStmt, ObjectKind, ObjectRef, RenameStmt, RenameTarget,
    TableConstraintKind,
};
use ochre_txn::locks::RelationLockMode;

use super::constraint::NewConstraint;
use super::require_kind;
use crate::authority::Need;
use crate::errors;
use crate::session::Session;
use crate::tag::CommandTag;

fn tag_of(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Index => "ALTER INDEX",
        ObjectKind::Sequence => "ALTER SEQUENCE",
        ObjectKind::View => "ALTER VIEW",
        ObjectKind::MaterializedView => "ALTER MATERIALIZED VIEW",
        ObjectKind::Type => "ALTER TYPE",
        _ => "ALTER TABLE",
    }
}

fn relation_kind(kind: ObjectKind) -> Option<RelationKind> {
    Some(match kind {
        ObjectKind::Index => RelationKind::Index,
        ObjectKind::Sequence => RelationKind::Sequence,
        ObjectKind::View => RelationKind::View,
        ObjectKind::MaterializedView => RelationKind::MaterializedView,
        ObjectKind::Type => RelationKind::CompositeType,
        _ => return None,
    })
}

/// The lock that an action needs: others may read, or even write, while foreign keys are added and constraints validated.
fn lock_mode(action: &AlterTableAction) -> RelationLockMode {
    match action {
        AlterTableAction::AddConstraint(constraint)
            if matches!(constraint.kind, TableConstraintKind::ForeignKey { .. }) =>
        {
            RelationLockMode::ShareRowExclusive
        }
        AlterTableAction::Trigger { .. } => RelationLockMode::ShareRowExclusive,
        AlterTableAction::ValidateConstraint(_)
        | AlterTableAction::ClusterOn(_)
        | AlterTableAction::SetWithoutCluster
        | AlterTableAction::AttachPartition { .. }
        | AlterTableAction::DetachPartition { finalize: true, .. }
        | AlterTableAction::AttachIndexPartition(_) => RelationLockMode::ShareUpdateExclusive,
        _ => RelationLockMode::AccessExclusive,
    }
}

impl Session {
    /// Notes that a relation is not there, for IF EXISTS.
    pub(crate) fn notice_missing(&self, name: impl std::fmt::Display) {
        self.state.notice(Error::with_severity(
            Severity::Notice,
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist, skipping"),
        ));
    }

    pub(crate) fn alter_table(&self, statement: &AlterTableStmt) -> Result<CommandTag> {
        let tag = CommandTag::Plain(tag_of(statement.kind));
        let name = &statement.relation.name;
        let mode = statement.commands.iter().map(|command| lock_mode(&command.action)).max();
        let Some(relation) =
            self.find_and_lock(name, mode.unwrap_or(RelationLockMode::AccessExclusive), Need::Owner)?
        else {
            if !statement.if_exists {
                return Err(super::undefined(name));
            }
            self.notice_missing(name);
            return Ok(tag);
        };
        self.require_user_relation(&relation)?;
        match relation_kind(statement.kind) {
            Some(kind) => require_kind(&relation, kind)?,
            None if statement.kind != ObjectKind::Table => {
                return Err(Error::unsupported(format!("ALTER {}", statement.kind.as_sql())));
            }
            None => {}
        }
        self.require_nothing_pending(&relation, "ALTER TABLE")?;
        if relation.inheritance.detaching.is_some() {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("cannot alter partition \"{}\" with an incomplete detach", relation.name),
            )
            .hint(super::detach::FINALIZE_HINT));
        }
        let recurse = !statement.relation.only;
        let partitions = |command: &ochre_parser::ast::AlterTableCommand| {
            matches!(
                command.action,
                AlterTableAction::AttachPartition { .. } | AlterTableAction::DetachPartition { .. }
            )
        };
        if recurse && relation.inheritance.has_children && !statement.commands.iter().any(partitions) {
            let catalog = self.state.catalog();
            for child in catalog.descendants(relation.oid).iter().filter_map(|oid| catalog.relation(*oid)) {
                self.state.require(child, Need::Owner)?;
            }
            self.lock_descendants(relation.oid, mode.unwrap_or(RelationLockMode::AccessExclusive))?;
        }
        for command in &statement.commands {
            self.alter_table_action(relation.oid, &command.action, recurse)?;
        }
        Ok(tag)
    }

    fn alter_table_action(&self, oid: Oid, action: &AlterTableAction, recurse: bool) -> Result<()> {
        let relation = self.relation(oid);
        if let AlterTableAction::AttachIndexPartition(name) = action {
            return self.attach_index(oid, name);
        }
        if relation.index.is_some() {
            match action {
                AlterTableAction::SetOptions(options) => {
                    return self.set_index_options(&relation, options, false);
                }
                AlterTableAction::ResetOptions(options) => {
                    return self.set_index_options(&relation, options, true);
                }
                _ => {}
            }
        }
        if relation.kind == RelationKind::View {
            match action {
                AlterTableAction::SetOptions(options) => {
                    return self.set_view_options(&relation, options, false);
                }
                AlterTableAction::ResetOptions(options) => {
                    return self.set_view_options(&relation, options, true);
                }
                _ => {}
            }
        }
        let owner_only = matches!(action, AlterTableAction::Owner(_));
        let of_views = matches!(action, AlterTableAction::ClusterOn(_) | AlterTableAction::SetWithoutCluster)
            && relation.kind == RelationKind::MaterializedView;
        let of_view_columns =
            matches!(action, AlterTableAction::ColumnDefault { .. }) && relation.kind == RelationKind::View;
        if !owner_only && !of_views && !of_view_columns && !relation.kind.is_table() {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("ALTER action cannot be performed on relation \"{}\"", relation.name),
            )
            .detail(format!("This operation is not supported for {}.", relation.kind.plural())));
        }
        match action {
            AlterTableAction::AddColumn { column, if_not_exists, .. } => {
                self.add_column_tree(oid, column, *if_not_exists, recurse, false)
            }
            AlterTableAction::DropColumn { name, if_exists, behavior } => {
                self.drop_column_tree(oid, name, *if_exists, *behavior, recurse, false)
            }
            AlterTableAction::ColumnDefault { name, default } => {
                self.set_column_default_tree(oid, name, default.as_ref(), recurse)
            }
            AlterTableAction::SetNotNull(name) => {
                let column = self.column_of(oid, name)?;
                self.add_not_null(oid, column, None, true)?;
                self.hand_down_constraints(oid, &relation, recurse)
            }
            AlterTableAction::DropNotNull(name) => self.drop_not_null_tree(oid, name, recurse),
            AlterTableAction::SetStorage { name, storage } => {
                let mut targets = vec![oid];
                if recurse {
                    targets = self.lock_descendants(oid, RelationLockMode::AccessExclusive)?;
                }
                targets.into_iter().try_for_each(|table| self.set_storage(table, name, storage))
            }
            AlterTableAction::AlterColumnType { name, type_name, collation, using, .. } => {
                if collation.is_some() {
                    return Err(Error::unsupported("COLLATE in ALTER COLUMN TYPE"));
                }
                self.alter_column_type_tree(oid, name, type_name, using.as_ref(), recurse)
            }
            AlterTableAction::AddIdentity { name, always, options } => {
                self.add_identity(oid, name, *always, options)
            }
            AlterTableAction::SetIdentity { name, options } => self.set_identity(oid, name, options),
            AlterTableAction::DropIdentity { name, if_exists } => self.drop_identity(oid, name, *if_exists),
            AlterTableAction::AddConstraint(constraint) => {
                let new = NewConstraint::table(constraint)?.alone(!recurse);
                // A primary key makes columns NOT NULL in what inherits them, too, unless that is for who writes ONLY.
                let primary = new.primary_key().is_some();
                if let Some(columns) = new.primary_key().filter(|_| !recurse) {
                    self.check_not_null_below(oid, columns)?;
                }
                self.add_constraints(oid, vec![new], true)?;
                self.hand_down_constraints(oid, &relation, recurse || primary)
            }
            AlterTableAction::DropConstraint { name, if_exists, behavior } => {
                self.drop_constraint_tree(oid, name, *if_exists, *behavior, recurse)
            }
            AlterTableAction::AlterConstraint(alter) => self.alter_constraint(oid, alter),
            AlterTableAction::ValidateConstraint(name) => self.validate_constraint(oid, name),
            AlterTableAction::Inherit(parent) => self.add_parent(oid, parent),
            AlterTableAction::NoInherit(parent) => self.remove_parent(oid, parent),
            AlterTableAction::AttachPartition { partition, bound } => {
                self.attach_partition(oid, partition, bound)
            }
            AlterTableAction::DetachPartition { partition, concurrently, finalize } => {
                self.detach_partition(oid, partition, *concurrently, *finalize)
            }
            AlterTableAction::Owner(role) => {
                let owner = self.role_of(role)?;
                self.set_relation_owner(&relation, owner)
            }
            AlterTableAction::Trigger { which, mode } => self.enable_triggers(oid, which, *mode),
            AlterTableAction::ClusterOn(name) => self.set_clustered(&relation, Some(name)),
            AlterTableAction::SetWithoutCluster => self.set_clustered(&relation, None),
            AlterTableAction::SetOptions(options) | AlterTableAction::ResetOptions(options) => {
                super::index::check_options(options)
            }
            other => Err(Error::unsupported(format!("ALTER TABLE {}", action_words(other)))),
        }
    }

    /// The number of a live column.
    pub(crate) fn column_of(&self, table: Oid, name: &str) -> Result<i16> {
        let relation = self.relation(table);
        let column = relation.column_named(name);
        Ok(column.ok_or_else(|| errors::undefined_column(name, &relation.name))?.number)
    }

    fn validate_constraint(&self, table: Oid, name: &str) -> Result<()> {
        let relation = self.relation(table);
        let Some(position) = relation.constraints.iter().position(|c| &*c.name == name) else {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("constraint \"{name}\" of relation \"{}\" does not exist", relation.name),
            ));
        };
        if relation.constraints[position].validated {
            return Ok(());
        }
        if !relation.constraints[position].enforced {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "cannot validate NOT ENFORCED constraint",
            ));
        }
        let constraint = Arc::clone(&relation.constraints[position]);
        if constraint.foreign.is_some() {
            self.validate_foreign_key(&constraint)?;
        } else {
            let text = constraint.expression.clone().unwrap_or_default();
            self.check_rows(&relation, name, &text)?;
        }
        if constraint.foreign.is_some() {
            return self
                .change_constraint_tree(table, constraint.oid, &|constraint| constraint.validated = true);
        }
        let mut relation = (*relation).clone();
        Arc::make_mut(&mut relation.constraints[position]).validated = true;
        self.put_relation(relation)?;
        Ok(())
    }

    /// Makes a column list for new rows. It is written in a transaction of its own, so that its number is never given to
    /// another list, whatever becomes of this statement.
    pub(crate) fn new_column_list(&self, relation: &mut RelationDescriptor) -> Result<()> {
        let fields = relation
            .columns
            .iter()
            .filter(|column| !column.dropped)
            .map(|column| Field { number: column.number, ty: column.ty })
            .collect();
        let list = self.state.database.store().add_column_list(&self.state.instance, relation.oid, fields)?;
        relation.schema_version = list.version;
        relation.column_lists = self.state.database.store().column_lists(relation.oid);
        Ok(())
    }

    /// Writes the first column list of a new relation, in this transaction: if it aborts, so does the relation.
    pub(crate) fn write_first_column_list(&self, relation: &RelationDescriptor) -> Result<()> {
        let list: &ColumnList = &relation.column_lists[0];
        let transaction = self.transaction.as_ref().expect("N1: a statement runs in a transaction");
        self.state.database.store().write_first_column_list(
            &self.state.instance,
            transaction,
            relation.oid,
            list,
        )
    }

    pub(crate) fn rename(&self, statement: &RenameStmt) -> Result<CommandTag> {
        match &statement.target {
            RenameTarget::Relation { kind, relation } => {
                let tag = CommandTag::Plain(tag_of(*kind));
                let Some(found) =
                    self.find_and_lock(&relation.name, RelationLockMode::AccessExclusive, Need::Owner)?
                else {
                    if !statement.if_exists {
                        return Err(super::undefined(&relation.name));
                    }
                    self.notice_missing(&relation.name);
                    return Ok(tag);
                };
                if let Some(kind) = relation_kind(*kind) {
                    require_kind(&found, kind)?;
                }
                self.state.require_creation(found.namespace)?;
                self.rename_relation(&found, &statement.new_name)?;
                Ok(tag)
            }
            RenameTarget::Column { kind, relation, column } => {
                let tag = CommandTag::Plain(tag_of(*kind));
                let Some(found) =
                    self.find_and_lock(&relation.name, RelationLockMode::AccessExclusive, Need::Owner)?
                else {
                    if !statement.if_exists {
                        return Err(super::undefined(&relation.name));
                    }
                    self.notice_missing(&relation.name);
                    return Ok(tag);
                };
                self.rename_column_tree(&found, column, &statement.new_name, !relation.only)?;
                Ok(tag)
            }
            RenameTarget::TableConstraint { relation, constraint } => {
                let found =
                    self.require_and_lock(&relation.name, RelationLockMode::AccessExclusive, Need::Owner)?;
                self.rename_constraint_tree(&found, constraint, &statement.new_name, !relation.only)?;
                Ok(CommandTag::Plain("ALTER TABLE"))
            }
            RenameTarget::Object(ObjectRef::Routine { kind, signature }) => {
                self.rename_routine(*kind, signature, &statement.new_name)
            }
            RenameTarget::Object(ObjectRef::Named { kind: ObjectKind::Schema, name }) => {
                self.rename_schema(name.name(), &statement.new_name)
            }
            RenameTarget::Object(ObjectRef::Named { kind: ObjectKind::Database, name }) => {
                self.rename_database(name.name(), &statement.new_name)
            }
            RenameTarget::Object(ObjectRef::Named { kind: ObjectKind::Role, name }) => {
                self.rename_role(name.name(), &statement.new_name)
            }
            RenameTarget::Object(ObjectRef::OnTable { kind: ObjectKind::Trigger, name, table }) => {
                self.rename_trigger(name, table, &statement.new_name)
            }
            RenameTarget::Object(ObjectRef::Type { kind: ObjectKind::Type, type_name }) => {
                let found = self.require_composite(type_name)?;
                self.rename_relation(&found, &statement.new_name)?;
                Ok(CommandTag::Plain("ALTER TYPE"))
            }
            _ => Err(Error::unsupported("renaming objects of this kind")),
        }
    }

    fn rename_relation(&self, relation: &Arc<RelationDescriptor>, new_name: &str) -> Result<()> {
        self.require_user_relation(relation)?;
        if !self.reserve_relation_name(relation.namespace, new_name)? {
            return Err(errors::duplicate_relation(new_name));
        }
        if let Some(index) = &relation.index {
            let mut index = (**index).clone();
            index.name = new_name.into();
            if let Some(constraint) = index.constraint {
                let mut table = (*self.relation(index.table)).clone();
                for slot in table.constraints.iter_mut().filter(|c| c.oid == constraint) {
                    Arc::make_mut(slot).name = new_name.into();
                }
                self.put_relation(table)?;
            }
            return self.replace_index(index);
        }
        let mut relation = (**relation).clone();
        relation.name = new_name.into();
        self.put_relation(relation)?;
        Ok(())
    }

    pub(crate) fn rename_constraint(
        &self,
        relation: &Arc<RelationDescriptor>,
        name: &str,
        new: &str,
    ) -> Result<()> {
        self.require_user_relation(relation)?;
        self.state.require(relation, Need::Owner)?;
        let Some(constraint) = relation.constraints.iter().find(|c| &*c.name == name) else {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("constraint \"{name}\" for table \"{}\" does not exist", relation.name),
            ));
        };
        if relation.constraints.iter().any(|c| &*c.name == new) {
            return Err(Error::new(
                SqlState::DUPLICATE_OBJECT,
                format!("constraint \"{new}\" for relation \"{}\" already exists", relation.name),
            ));
        }
        if constraint.index.is_valid() && constraint.foreign.is_none() {
            let index = self.relation(constraint.index);
            return self.rename_relation(&index, new);
        }
        let oid = constraint.oid;
        let mut relation = (**relation).clone();
        for slot in relation.constraints.iter_mut().filter(|c| c.oid == oid) {
            Arc::make_mut(slot).name = new.into();
        }
        self.put_relation(relation)?;
        Ok(())
    }

    pub(crate) fn set_schema(&self, statement: &AlterObjectSchemaStmt) -> Result<CommandTag> {
        if let ObjectRef::Routine { kind, signature } = &statement.object {
            let catalog = self.state.catalog();
            let namespace = catalog.namespace_named(&statement.schema);
            let namespace = namespace.ok_or_else(|| errors::undefined_schema(&statement.schema))?.oid;
            self.state.require_namespace(namespace)?;
            return self.move_routine(*kind, signature, namespace);
        }
        if let ObjectRef::Type { kind: ObjectKind::Type, type_name } = &statement.object {
            let found = self.require_composite(type_name)?;
            let catalog = self.state.catalog();
            let namespace = catalog.namespace_named(&statement.schema);
            let namespace = namespace.ok_or_else(|| errors::undefined_schema(&statement.schema))?.oid;
            self.move_relation(&found, namespace)?;
            return Ok(CommandTag::Plain("ALTER TYPE"));
        }
        let ObjectRef::Named { kind, name } = &statement.object else {
            return Err(Error::unsupported("SET SCHEMA for objects of this kind"));
        };
        let tag = CommandTag::Plain(tag_of(*kind));
        let Some(relation) = self.find_and_lock(name, RelationLockMode::AccessExclusive, Need::Owner)? else {
            if !statement.if_exists {
                return Err(super::undefined(name));
            }
            self.notice_missing(name);
            return Ok(tag);
        };
        self.require_user_relation(&relation)?;
        let catalog = self.state.catalog();
        let namespace = catalog
            .namespace_named(&statement.schema)
            .ok_or_else(|| errors::undefined_schema(&statement.schema))?
            .oid;
        self.state.require_creation(namespace)?;
        self.move_relation(&relation, namespace)?;
        Ok(tag)
    }

    fn move_relation(&self, relation: &Arc<RelationDescriptor>, namespace: Oid) -> Result<()> {
        if relation.namespace == namespace {
            return Ok(());
        }
        if !self.reserve_relation_name(namespace, &relation.name)? {
            return Err(errors::duplicate_relation(&relation.name));
        }
        let mut moved = (**relation).clone();
        moved.namespace = namespace;
        for constraint in &mut moved.constraints {
            Arc::make_mut(constraint).namespace = namespace;
        }
        let indexes = moved.indexes.clone();
        self.put_relation(moved)?;
        for index in indexes {
            let mut index = (*index).clone();
            index.namespace = namespace;
            self.replace_index(index)?;
        }
        for sequence in self.owned_sequences(relation.oid, None) {
            self.move_relation(&sequence, namespace)?;
        }
        Ok(())
    }
}

/// A few words for an action that does not exist here.
fn action_words(action: &AlterTableAction) -> String {
    let debug = format!("{action:?}");
    let end = debug.find(|c: char| !c.is_alphanumeric()).unwrap_or(debug.len());
    let mut words = String::new();
    for c in debug[..end].chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_uppercase());
    }
    words
}
