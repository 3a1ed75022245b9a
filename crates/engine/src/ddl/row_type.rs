//! Types of rows: CREATE TYPE … AS, and what keeps the row types of relations as their users know them.
//!
//! # Role
//! A composite type is a relation without rows. Every relation that has rows gives its name to a type, too, and columns and
//! routines use either kind alike.
//!
//! # Invariant
//! A stored value of a row type has the fields that the type had when it was written, so the columns of a relation stay as
//! they are while a table has a column of its row type ([`Session::guard_row_types`]).
//!
//! # Not done
//! ALTER TYPE but for its name, schema and owner; a column more or less of a table whose row type a column has, which
//! PostgreSQL allows.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::{ColumnDescriptor, RelationDescriptor, RelationKind, RoutineDescriptor};
use ochre_parser::ast::{self, ColumnDef, CreateTypeKind, CreateTypeStmt, ObjectName, TypeName};
use ochre_txn::locks::RelationLockMode;

use super::create_table::{check_column_count, check_column_type, new_column};
use crate::authority::Need;
use crate::session::Session;
use crate::tag::CommandTag;

/// A column or a routine that a row type is part of.
pub(super) enum RowTypeUse {
    Column(Arc<RelationDescriptor>, Arc<str>),
    Routine(Arc<RoutineDescriptor>),
}

impl Session {
    pub(crate) fn create_type(&self, statement: &CreateTypeStmt) -> Result<CommandTag> {
        let columns = match &statement.kind {
            CreateTypeKind::Composite(columns) => columns,
            CreateTypeKind::Enum(_) => return Err(Error::unsupported("CREATE TYPE AS ENUM")),
            CreateTypeKind::Range(_) => return Err(Error::unsupported("CREATE TYPE AS RANGE")),
        };
        check_column_count(columns.len())?;
        let namespace = self.namespace_for(&statement.name, ast::Persistence::Permanent)?;
        let name = statement.name.name();
        if !self.reserve_relation_name(namespace, name)? {
            let catalog = self.state.catalog();
            let taken = catalog.relation_in(namespace, name);
            return Err(match taken.is_some_and(|known| known.kind == RelationKind::CompositeType) {
                true => Error::new(SqlState::DUPLICATE_OBJECT, format!("type \"{name}\" already exists")),
                false => crate::errors::duplicate_relation(name),
            });
        }
        let columns = self.attributes(columns)?;
        let (row_type, array_type) = self.state.instance.new_oid_pair();
        let relation = RelationDescriptor {
            oid: self.new_oid(),
            namespace,
            name: name.as_str().into(),
            kind: RelationKind::CompositeType,
            persistence: self.persistence_in(namespace),
            owner: self.state.user_oid(),
            shared: false,
            builtin: false,
            file: None,
            columns,
            column_lists: Vec::new(),
            schema_version: 1,
            indexes: Vec::new(),
            constraints: Vec::new(),
            view_query: None,
            has_triggers: false,
            populated: true,
            has_indexes: false,
            triggers: Vec::new(),
            inheritance: ochre_catalog::Inheritance::default(),
            sequence: None,
            index: None,
            row_type,
            array_type,
            row_estimate: 0.0,
            page_estimate: 0,
            comment: None,
            options: Vec::new(),
            acl: None,
        };
        self.lock_relation(relation.oid, RelationLockMode::AccessExclusive)?;
        self.put_relation(relation)?;
        Ok(CommandTag::Plain("CREATE TYPE"))
    }

    fn attributes(&self, definitions: &[ColumnDef]) -> Result<Vec<ColumnDescriptor>> {
        let mut columns: Vec<ColumnDescriptor> = Vec::with_capacity(definitions.len());
        for (definition, number) in definitions.iter().zip(1..) {
            let name = definition.name.as_str();
            if columns.iter().any(|column| &*column.name == name) {
                return Err(Error::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{name}\" specified more than once"),
                ));
            }
            let type_name = definition.type_name.as_ref();
            let type_name = type_name.ok_or_else(|| Error::internal("an attribute has no type"))?;
            let ty = self.bind_type(type_name)?;
            check_column_type(name, ty)?;
            let mut column = new_column(number, name, ty);
            column.collation = self.column_collation(definition.collation.as_ref(), ty)?;
            columns.push(column);
        }
        Ok(columns)
    }

    /// The name of the relation that stands for a composite type, for DROP TYPE and the like.
    pub(super) fn composite_name(&self, name: &TypeName) -> Result<ObjectName> {
        if !name.array_bounds.is_empty() {
            return Err(Error::unsupported("naming an array's type here"));
        }
        if let Ok(ty) = self.bind_type(name)
            && ochre_types::type_info(ty.oid).is_some()
        {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop type {} because it is required by the database system",
                    self.type_text(ty)
                ),
            ));
        }
        Ok(ObjectName { parts: name.parts.clone(), pos: name.pos })
    }

    /// The composite type of a name, for ALTER TYPE.
    pub(super) fn require_composite(&self, name: &TypeName) -> Result<Arc<RelationDescriptor>> {
        let name = self.composite_name(name)?;
        match self.find_and_lock(&name, RelationLockMode::AccessExclusive, Need::Owner)? {
            Some(found) if found.kind == RelationKind::CompositeType => Ok(found),
            Some(found) if found.row_type.is_valid() => {
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("{} is a table's row type", found.name))
                    .hint("Use ALTER TABLE instead."))
            }
            _ => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))),
        }
    }

    /// Checks, and locks, what a relation's new descriptor means for row types: those of its columns are to be there, and its
    /// own is to stay as it is while values of it are stored.
    pub(super) fn guard_row_types(&self, after: &RelationDescriptor) -> Result<()> {
        let before = self.state.catalog().relation(after.oid).cloned();
        let shape = |relation: &RelationDescriptor| -> Vec<_> {
            relation.live_columns().map(|column| (column.number, column.ty)).collect()
        };
        let known = before.as_deref().map(shape).unwrap_or_default();
        let new = shape(after);
        if known == new {
            return Ok(());
        }
        for (number, ty) in new.iter().filter(|column| !known.contains(column)) {
            let of = self.state.catalog().relation_of_type(ty.oid).map(|relation| relation.oid);
            let Some(oid) = of.filter(|oid| *oid != after.oid) else { continue };
            self.lock_relation(oid, RelationLockMode::AccessShare)?;
            if self.state.catalog().relation(oid).is_none() {
                let column = after.column(*number).map(|column| column.name.to_string()).unwrap_or_default();
                return Err(Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("the type of column \"{column}\" was dropped meanwhile"),
                ));
            }
        }
        let Some(before) = before.filter(|before| before.row_type.is_valid()) else { return Ok(()) };
        match self.stored_use(&before, 0) {
            None => Ok(()),
            Some((table, column)) => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "cannot alter {} \"{}\" because column \"{}.{column}\" uses its row type",
                    before.kind.word(),
                    before.name,
                    table.name
                ),
            )),
        }
    }

    /// A table's column that holds values of a relation's row type, by itself or within another row.
    fn stored_use(
        &self,
        of: &RelationDescriptor,
        depth: usize,
    ) -> Option<(Arc<RelationDescriptor>, Arc<str>)> {
        // A type cannot contain itself, so this ends.
        for used in self.uses_of_row_type(of) {
            let RowTypeUse::Column(relation, column) = used else { continue };
            match relation.kind {
                RelationKind::View => {}
                RelationKind::CompositeType if depth < ochre_base::limits::MAX_TABLE_COLUMNS => {
                    if let Some(found) = self.stored_use(&relation, depth + 1) {
                        return Some(found);
                    }
                }
                _ => return Some((relation, column)),
            }
        }
        None
    }

    /// The columns and routines that a relation's row type is part of.
    pub(super) fn uses_of_row_type(&self, of: &RelationDescriptor) -> Vec<RowTypeUse> {
        if !of.row_type.is_valid() {
            return Vec::new();
        }
        let catalog = self.state.catalog();
        let is_it = |oid: Oid| oid == of.row_type || (of.array_type.is_valid() && oid == of.array_type);
        let mut uses = Vec::new();
        for relation in catalog.relations().filter(|relation| !relation.builtin && relation.oid != of.oid) {
            if relation.kind == RelationKind::View {
                // A view's columns are what its query gives; the query itself names what it depends on.
                continue;
            }
            for column in relation.live_columns().filter(|column| is_it(column.ty.oid)) {
                uses.push(RowTypeUse::Column(Arc::clone(relation), Arc::clone(&column.name)));
            }
        }
        for routine in catalog.routines() {
            let function = &routine.function;
            let mut types = function.arg_types.iter().chain(&function.all_arg_types);
            let state = routine.aggregate.as_ref().map_or(Oid::INVALID, |aggregate| aggregate.state);
            if is_it(function.return_type) || is_it(state) || types.any(|oid| is_it(*oid)) {
                uses.push(RowTypeUse::Routine(Arc::clone(routine)));
            }
        }
        uses
    }
}
