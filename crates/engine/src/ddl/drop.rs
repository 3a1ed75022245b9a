//! DROP of relations and namespaces.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::{
    ConstraintDescriptor, ConstraintKind, IndexDescriptor, RelationDescriptor, RelationKind,
};
use ochre_parser::ast::{Behavior, DropStmt, ObjectKind, ObjectName, ObjectRef};
use ochre_txn::locks::RelationLockMode;

use super::routine::Dependent;
use super::row_type::RowTypeUse;
use crate::authority::Need;
use crate::session::Session;
use crate::tag::CommandTag;

impl Session {
    pub(crate) fn drop_objects(&self, statement: &DropStmt) -> Result<CommandTag> {
        let (kind, tag) = match statement.kind {
            ObjectKind::Table => (RelationKind::Table, "DROP TABLE"),
            ObjectKind::Index => (RelationKind::Index, "DROP INDEX"),
            ObjectKind::Sequence => (RelationKind::Sequence, "DROP SEQUENCE"),
            ObjectKind::View => (RelationKind::View, "DROP VIEW"),
            ObjectKind::MaterializedView => (RelationKind::MaterializedView, "DROP MATERIALIZED VIEW"),
            ObjectKind::Type => (RelationKind::CompositeType, "DROP TYPE"),
            ObjectKind::Schema => return self.drop_schemas(statement),
            ObjectKind::Trigger => return self.drop_triggers(statement),
            ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine | ObjectKind::Aggregate => {
                return self.drop_routines(statement);
            }
            other => return Err(Error::unsupported(format!("DROP {}", other.as_sql()))),
        };
        if statement.concurrently {
            return Err(crate::errors::not_from_a_function("DROP INDEX CONCURRENTLY"));
        }
        let mut doomed = Vec::new();
        for object in &statement.objects {
            let of_type;
            let name = match object {
                ObjectRef::Named { name, .. } => name,
                ObjectRef::Type { type_name, .. } => {
                    of_type = self.composite_name(type_name)?;
                    &of_type
                }
                _ => return Err(Error::internal("a relation is dropped by its name")),
            };
            if let Some(relation) = self.find_to_drop(name, kind, statement.if_exists)? {
                doomed.push(relation.oid);
            }
        }
        self.drop_foreign_keys_of(&doomed, statement.behavior)?;
        self.drop_relations(&doomed, statement.behavior)?;
        Ok(CommandTag::Plain(tag))
    }

    /// Drops relations, and with CASCADE the views that use them.
    pub(crate) fn drop_relations(&self, doomed: &[Oid], behavior: Behavior) -> Result<()> {
        let mut all: Vec<Oid> = doomed.to_vec();
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut typed: Vec<RowTypeUse> = Vec::new();
        let mut next = 0;
        while next < all.len() {
            let used = self.relation(all[next]);
            next += 1;
            for child in self.children(used.oid) {
                if all.contains(&child) {
                    continue;
                }
                all.push(child);
                let child = self.relation(child);
                self.lock_relation(child.oid, RelationLockMode::AccessExclusive)?;
                // A partition is a part of its table; a child is a table of its own.
                if !child.is_partition() {
                    let child = self.shown_name(&child);
                    lines.push((format!("{child} depends on {}", self.shown_name(&used)), child));
                }
            }
            for view in self.views_using(used.oid) {
                if !all.contains(&view.oid) {
                    all.push(view.oid);
                    let view = self.shown_name(&view);
                    lines.push((format!("{view} depends on {}", self.shown_name(&used)), view));
                }
            }
            for user in self.uses_of_row_type(&used) {
                let shown = match &user {
                    RowTypeUse::Column(relation, _) if all.contains(&relation.oid) => continue,
                    RowTypeUse::Column(relation, column) => {
                        format!("column {column} of {}", self.shown_name(relation))
                    }
                    RowTypeUse::Routine(routine) => self.routine_shown(routine),
                };
                if lines.iter().all(|(_, known)| *known != shown) {
                    let ty = self.type_name_text(self.sql_type(used.row_type));
                    lines.push((format!("{shown} depends on type {ty}"), shown));
                    typed.push(user);
                }
            }
        }
        // Expressions that name a row type. What belongs to a relation that goes goes with it.
        let mut texts = Vec::new();
        for oid in &all {
            let used = self.relation(*oid);
            if !used.row_type.is_valid() {
                continue;
            }
            for (shown, dependent) in self.dependents_by_text(*oid) {
                let goes = match &dependent {
                    Dependent::Relation(oid) => {
                        let table = self.relation(*oid).index.as_ref().map_or(*oid, |index| index.table);
                        all.contains(oid) || all.contains(&table)
                    }
                    // A column of the type takes its default along.
                    Dependent::Default(table, number) => {
                        let is_it = |user: &RowTypeUse| match user {
                            RowTypeUse::Column(relation, column) => {
                                relation.oid == *table
                                    && relation.column(*number).is_some_and(|known| *known.name == **column)
                            }
                            RowTypeUse::Routine(_) => false,
                        };
                        all.contains(table) || typed.iter().any(is_it)
                    }
                    Dependent::Constraint(table, _) | Dependent::Trigger(table, _) => all.contains(table),
                    Dependent::Routine(_) => false,
                };
                if !goes && lines.iter().all(|(_, known)| *known != shown) {
                    let ty = self.type_name_text(self.sql_type(used.row_type));
                    lines.push((format!("{shown} depends on type {ty}"), shown));
                    texts.push(dependent);
                }
            }
        }
        self.report_dependents(doomed, lines, behavior)?;
        texts.into_iter().try_for_each(|dependent| self.drop_dependent(dependent))?;
        for user in typed {
            match user {
                RowTypeUse::Column(relation, _) if all.contains(&relation.oid) => {}
                RowTypeUse::Column(relation, column) => {
                    self.lock_relation(relation.oid, RelationLockMode::AccessExclusive)?;
                    self.drop_column_tree(relation.oid, &column, true, Behavior::Cascade, true, true)?;
                }
                RowTypeUse::Routine(routine) => self.drop_routine(routine.oid, Behavior::Cascade)?,
            }
        }
        for oid in all.iter().rev() {
            // One of the list may have taken another along.
            if self.state.catalog().relation(*oid).is_some() {
                self.drop_relation(*oid, behavior)?;
            }
        }
        Ok(())
    }

    /// What a drop takes along: refused without CASCADE, told otherwise.
    fn report_dependents(
        &self,
        doomed: &[Oid],
        lines: Vec<(String, String)>,
        behavior: Behavior,
    ) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        if behavior == Behavior::Restrict {
            let message = match doomed {
                [one] => format!(
                    "cannot drop {} because other objects depend on it",
                    self.shown_name(&self.relation(*one))
                ),
                _ => "cannot drop desired object(s) because other objects depend on them".to_string(),
            };
            let detail: Vec<String> = lines.into_iter().map(|(line, _)| line).collect();
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .detail(detail.join("\n"))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        let told: Vec<String> =
            lines.into_iter().map(|(_, view)| format!("drop cascades to {view}")).collect();
        let notice = |message: String| {
            Error::with_severity(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message)
        };
        self.state.notice(match told.as_slice() {
            [one] => notice(one.clone()),
            more => notice(format!("drop cascades to {} other objects", more.len())).detail(more.join("\n")),
        });
        Ok(())
    }

    /// The views that use a column go with it, or keep it.
    pub(crate) fn drop_views_of_column(
        &self,
        relation: &Arc<RelationDescriptor>,
        number: i16,
        behavior: Behavior,
    ) -> Result<()> {
        let views = self.views_using_column(relation.oid, number)?;
        if views.is_empty() {
            return Ok(());
        }
        let name = relation.column(number).map(|column| column.name.to_string()).unwrap_or_default();
        let column = format!("column {name} of {}", self.shown_name(relation));
        if behavior == Behavior::Restrict {
            let detail: Vec<String> =
                views.iter().map(|view| format!("{} depends on {column}", self.shown_name(view))).collect();
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop {column} because other objects depend on it"),
            )
            .detail(detail.join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        for view in views {
            if self.state.catalog().relation(view.oid).is_some() {
                self.state.notice(Error::with_severity(
                    Severity::Notice,
                    SqlState::SUCCESSFUL_COMPLETION,
                    format!("drop cascades to {}", self.shown_name(&view)),
                ));
                self.drop_relations(&[view.oid], Behavior::Cascade)?;
            }
        }
        Ok(())
    }

    /// `table t`, with the namespace where the path does not lead to it.
    pub(crate) fn shown_name(&self, relation: &RelationDescriptor) -> String {
        let catalog = self.state.catalog();
        let visible = catalog
            .find_relation(&self.state.search_path(), &relation.name)
            .is_some_and(|found| found.oid == relation.oid);
        let word = relation.kind.word();
        if visible {
            format!("{word} {}", relation.name)
        } else {
            format!("{word} {}.{}", self.namespace_name(relation.namespace), relation.name)
        }
    }

    /// Drops the foreign keys that refer to relations that are about to go, or refuses.
    pub(crate) fn drop_foreign_keys_of(&self, doomed: &[Oid], behavior: Behavior) -> Result<()> {
        // What partitions are referred to by goes with them.
        let mut all: Vec<Oid> = doomed.to_vec();
        let mut next = 0;
        while next < all.len() {
            let below = self.children(all[next]);
            let below = below.into_iter().filter(|oid| self.relation(*oid).is_partition());
            let new: Vec<Oid> = below.filter(|oid| !all.contains(oid)).collect();
            all.extend(new);
            next += 1;
        }
        let named = doomed;
        let doomed = all.as_slice();
        let mut dependents = Vec::new();
        for oid in doomed {
            let relation = self.relation(*oid);
            if relation.index.as_ref().is_some_and(|index| index.constraint.is_some()) {
                // The constraint is what is in the way.
                continue;
            }
            self.require_nothing_pending(
                &relation,
                &format!("DROP {}", relation.kind.word().to_uppercase()),
            )?;
            let on = format!("{} {}", relation.kind.word(), self.relation_text(&relation));
            let table = relation.index.as_ref().map_or(*oid, |index| index.table);
            dependents.extend(self.dependents(table, &on, |constraint| {
                !doomed.contains(&constraint.table) && (table == *oid || constraint.index == *oid)
            }));
        }
        let object = match named {
            [only] => {
                let relation = self.relation(*only);
                format!("{} {}", relation.kind.word(), self.relation_text(&relation))
            }
            _ => "desired object(s)".to_string(),
        };
        self.drop_dependents(&object, dependents, behavior)
    }

    fn find_to_drop(
        &self,
        name: &ObjectName,
        kind: RelationKind,
        if_exists: bool,
    ) -> Result<Option<Arc<RelationDescriptor>>> {
        if kind == RelationKind::Index
            && let Some(found) = self.state.find_relation(name)?
            && let Some(index) = &found.index
        {
            // Who uses the table uses its indexes without a lock of theirs.
            self.lock_relation(index.table, RelationLockMode::AccessExclusive)?;
        }
        if kind == RelationKind::Table
            && let Some(found) = self.state.find_relation(name)?
            && let Some(parent) = found.inheritance.parents.first().filter(|_| found.is_partition())
        {
            self.state.require(&found, Need::OwnerToDrop)?;
            // Who reads or divides the table's rows knows its partitions.
            self.lock_relation(*parent, RelationLockMode::AccessExclusive)?;
        }
        let Some(relation) =
            self.find_and_lock(name, RelationLockMode::AccessExclusive, Need::OwnerToDrop)?
        else {
            let missing_schema =
                name.schema().filter(|schema| self.state.catalog().namespace_named(schema).is_none());
            if !if_exists {
                return Err(match missing_schema {
                    Some(schema) => crate::errors::undefined_schema(schema),
                    None => Error::new(
                        if matches!(kind, RelationKind::Index | RelationKind::CompositeType) {
                            SqlState::UNDEFINED_OBJECT
                        } else {
                            SqlState::UNDEFINED_TABLE
                        },
                        format!("{} \"{name}\" does not exist", kind.word()),
                    ),
                });
            }
            let (code, message) = match missing_schema {
                Some(schema) => {
                    (SqlState::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist, skipping"))
                }
                None => (
                    SqlState::UNDEFINED_TABLE,
                    format!("{} \"{}\" does not exist, skipping", kind.word(), name.name()),
                ),
            };
            self.state.notice(Error::with_severity(Severity::Notice, code, message));
            return Ok(None);
        };
        self.require_user_relation(&relation)?;
        let fits = match kind {
            RelationKind::Table => relation.kind.is_table(),
            RelationKind::Index => relation.kind.is_index(),
            _ => relation.kind == kind,
        };
        if !fits && kind == RelationKind::CompositeType && relation.row_type.is_valid() {
            let shown = self.shown_name(&relation);
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop type {} because {shown} requires it", relation.name),
            )
            .hint(format!("You can drop {shown} instead.")));
        }
        if !fits {
            let article = if matches!(kind, RelationKind::Index) { "an" } else { "a" };
            let hint = match relation.kind {
                RelationKind::Table | RelationKind::PartitionedTable => "Use DROP TABLE to remove a table.",
                RelationKind::Index | RelationKind::PartitionedIndex => "Use DROP INDEX to remove an index.",
                RelationKind::Sequence => "Use DROP SEQUENCE to remove a sequence.",
                RelationKind::View => "Use DROP VIEW to remove a view.",
                RelationKind::CompositeType => "Use DROP TYPE to remove a type.",
                RelationKind::MaterializedView => "Use DROP MATERIALIZED VIEW to remove a materialized view.",
            };
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not {article} {}", relation.name, kind.word()),
            )
            .hint(hint));
        }
        if let Some(parent) = relation.inheritance.parents.first().filter(|_| relation.kind.is_index()) {
            let parent = self.relation(*parent);
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop index {} because index {} requires it", relation.name, parent.name),
            )
            .hint(format!("You can drop index {} instead.", parent.name)));
        }
        Ok(Some(relation))
    }

    /// Drops one relation and what belongs to it.
    pub(crate) fn drop_relation(&self, oid: Oid, behavior: Behavior) -> Result<()> {
        self.lock_relation(oid, RelationLockMode::AccessExclusive)?;
        let relation = self.relation(oid);
        if let Some(index) = &relation.index {
            self.refuse_index_of_constraint(index)?;
            return self.remove_index(oid);
        }
        if let Some((table, column)) = relation.sequence.as_ref().and_then(|sequence| sequence.owned_by) {
            self.release_owned_sequence(&relation, table, column, behavior)?;
        }
        self.check_serializable_readers(&relation)?;
        for constraint in self.state.catalog().referencing(oid).to_vec() {
            if constraint.table != oid && self.state.catalog().relation(constraint.table).is_some() {
                self.remove_foreign_key(&self.whole_of(&constraint))?;
            }
        }
        for constraint in &relation.constraints {
            self.lock_referenced(constraint)?;
        }
        for index in relation.indexes.clone() {
            self.lock_relation(index.oid, RelationLockMode::AccessExclusive)?;
            self.remove_relation_rows(index.oid)?;
            self.drop_file(index.file);
        }
        for sequence in self.owned_sequences(oid, None) {
            self.lock_relation(sequence.oid, RelationLockMode::AccessExclusive)?;
            self.remove_relation_rows(sequence.oid)?;
            if let Some(file) = sequence.file {
                self.drop_file(file);
            }
        }
        self.remove_relation_rows(oid)?;
        if let Some(file) = relation.file {
            self.drop_file(file);
        }
        if relation.inheritance.bound.as_ref().is_some_and(|bound| bound.is_default())
            && let Some(parent) = relation.inheritance.parents.first()
            && self.state.catalog().relation(*parent).is_some()
        {
            self.note_default(*parent, Oid::INVALID)?;
        }
        Ok(())
    }

    /// An index that implements a constraint goes with that only.
    pub(crate) fn refuse_index_of_constraint(&self, index: &IndexDescriptor) -> Result<()> {
        let Some(constraint) = index.constraint else { return Ok(()) };
        let table = self.relation(index.table);
        let found = table.constraints.iter().find(|c| c.oid == constraint);
        let name = found.map(|c| c.name.to_string()).unwrap_or_default();
        Err(Error::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!(
                "cannot drop index {} because constraint {name} on table {} requires it",
                index.name, table.name
            ),
        )
        .hint(format!("You can drop constraint {name} on table {} instead.", table.name)))
    }

    /// An owned sequence goes: its column loses its default, or refuses.
    fn release_owned_sequence(
        &self,
        sequence: &RelationDescriptor,
        table: Oid,
        column: i16,
        behavior: Behavior,
    ) -> Result<()> {
        let owner = self.relation(table);
        let Some(descriptor) = owner.column(column) else {
            return Ok(());
        };
        let needs = descriptor.identity.is_some()
            || descriptor
                .default
                .as_ref()
                .is_some_and(|(_, text)| text.contains(&format!("'{}'", sequence.oid)));
        if !needs {
            return Ok(());
        }
        if descriptor.identity.is_some() {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop sequence {} because column {} of table {} requires it",
                    sequence.name, descriptor.name, owner.name
                ),
            )
            .hint(format!("You can drop column {} of table {} instead.", descriptor.name, owner.name)));
        }
        if behavior == Behavior::Restrict {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop sequence {} because other objects depend on it", sequence.name),
            )
            .detail(format!(
                "default value for column {} of {} {} depends on sequence {}",
                descriptor.name,
                owner.kind.word(),
                owner.name,
                sequence.name
            ))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        let mut changed = (*owner).clone();
        changed.columns[column as usize - 1].default = None;
        self.put_relation(changed)?;
        Ok(())
    }

    /// Removes a relation's rows from the catalogs.
    pub(crate) fn remove_relation_rows(&self, oid: Oid) -> Result<()> {
        let transaction = self.transaction.as_ref().expect("N1: a statement runs in a transaction");
        self.state.catalog.borrow_mut().drop_relation(&self.state.database, transaction, oid)
    }

    fn drop_schemas(&self, statement: &DropStmt) -> Result<CommandTag> {
        for object in &statement.objects {
            let ObjectRef::Named { name, .. } = object else {
                return Err(Error::internal("a schema is dropped by its name"));
            };
            self.drop_schema(name.name(), statement)?;
        }
        Ok(CommandTag::Plain("DROP SCHEMA"))
    }

    pub(crate) fn drop_schema(&self, name: &str, statement: &DropStmt) -> Result<()> {
        let catalog = self.state.catalog();
        let Some(namespace) = catalog.namespace_named(name).cloned() else {
            if !statement.if_exists {
                return Err(crate::errors::undefined_schema(name));
            }
            self.state.notice(Error::with_severity(
                Severity::Notice,
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{name}\" does not exist, skipping"),
            ));
            return Ok(());
        };
        self.require_owner_of_namespace(&namespace)?;
        if ochre_catalog::builtin::namespaces().iter().any(|builtin| builtin.oid == namespace.oid) {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop schema {name} because it is required by the database system"),
            ));
        }
        let process = self.state.process_id;
        self.state.instance.locks().lock_namespace(&self.txn().waiter(), process, namespace.oid, true)?;
        let catalog = self.state.catalog();
        let mut inside: Vec<_> = catalog
            .relations()
            .filter(|relation| relation.namespace == namespace.oid && relation.kind != RelationKind::Index)
            .cloned()
            .collect();
        inside.sort_by_key(|relation| relation.oid);
        let routines = self.routines_in(namespace.oid);
        if (!inside.is_empty() || !routines.is_empty()) && statement.behavior == Behavior::Restrict {
            let mut lines: Vec<String> = inside
                .iter()
                .filter(|r| r.sequence.as_ref().is_none_or(|sequence| sequence.owned_by.is_none()))
                .map(|r| format!("{} {name}.{} depends on schema {name}", r.kind.word(), r.name))
                .collect();
            for relation in &inside {
                let on = format!("{} {}", relation.kind.word(), self.relation_text(relation));
                for constraint in self.foreign_keys_from_outside(relation) {
                    let table = self.relation_text(&self.relation(constraint.table));
                    lines.push(format!("constraint {} on table {table} depends on {on}", constraint.name));
                }
            }
            lines.extend(routines.iter().map(|(what, _)| format!("{what} depends on schema {name}")));
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop schema {name} because other objects depend on it"),
            )
            .detail(lines.join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        // Tables before sequences: those that they own go along.
        inside.sort_by_key(|relation| {
            let views_first = relation.view_query.is_none();
            (relation.kind == RelationKind::Sequence, views_first, std::cmp::Reverse(relation.oid))
        });
        for relation in inside {
            if self.state.catalog().relation(relation.oid).is_some() {
                if relation.sequence.as_ref().is_none_or(|sequence| sequence.owned_by.is_none()) {
                    self.state.notice(Error::with_severity(
                        Severity::Notice,
                        SqlState::SUCCESSFUL_COMPLETION,
                        format!("drop cascades to {} {name}.{}", relation.kind.word(), relation.name),
                    ));
                }
                for constraint in self.foreign_keys_from_outside(&relation) {
                    let table = self.relation_text(&self.relation(constraint.table));
                    self.state.notice(Error::with_severity(
                        Severity::Notice,
                        SqlState::SUCCESSFUL_COMPLETION,
                        format!("drop cascades to constraint {} on table {table}", constraint.name),
                    ));
                }
                self.drop_relations(&[relation.oid], Behavior::Cascade)?;
            }
        }
        for (what, oid) in routines {
            if self.routine(oid).is_some() {
                self.state.notice(Error::with_severity(
                    Severity::Notice,
                    SqlState::SUCCESSFUL_COMPLETION,
                    format!("drop cascades to {what}"),
                ));
                self.drop_routine(oid, Behavior::Cascade)?;
            }
        }
        let transaction = self.transaction.as_ref().expect("N1: a statement runs in a transaction");
        self.state.catalog.borrow_mut().drop_namespace(&self.state.database, transaction, namespace.oid)
    }

    /// The foreign keys of other namespaces' tables that refer to a relation.
    fn foreign_keys_from_outside(&self, relation: &RelationDescriptor) -> Vec<Arc<ConstraintDescriptor>> {
        let catalog = self.state.catalog();
        let referencing = catalog.referencing(relation.oid).iter();
        let whole = referencing.filter(|constraint| catalog.whole_reference(constraint).is_none());
        whole.filter(|constraint| constraint.namespace != relation.namespace).cloned().collect()
    }

    /// Whether a constraint of the table needs a column.
    pub(crate) fn constraints_of_column(
        relation: &RelationDescriptor,
        column: i16,
    ) -> Vec<(Arc<str>, ConstraintKind)> {
        relation
            .constraints
            .iter()
            .filter(|constraint| constraint.columns.contains(&column))
            // Parts of foreign keys go with the whole.
            .filter(|constraint| relation.constraints.iter().all(|known| known.oid != constraint.parent))
            .map(|constraint| (Arc::clone(&constraint.name), constraint.kind))
            .collect()
    }
}
