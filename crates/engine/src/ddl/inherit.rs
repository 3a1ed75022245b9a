//! Inheritance: columns and constraints that parents hand down to their children.
//!
//! # How
//! A child has columns and constraints of its own for all that its parents have: with the same names, and with a count of how
//! many parents they come from ([`Origin`]). A change of a parent is carried out on it and then, unless the statement says
//! ONLY, on each of its children, which count it.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::{
    ColumnDescriptor, ConstraintDescriptor, ConstraintKind, Inheritance, Origin, Persistence,
    RelationDescriptor, RelationKind,
};
use ochre_parser::ast::{self, Behavior, ColumnConstraintKind, ColumnDef, ObjectName};
use ochre_txn::locks::RelationLockMode;

use super::create_table::{NewColumns, new_column, plain_constraint, serial_type};
use super::quote_identifier;
use crate::authority::Need;
use crate::errors;
use crate::session::Session;

fn notice(message: String) -> Error {
    Error::with_severity(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
}

fn mismatch(message: impl Into<String>) -> Error {
    Error::new(SqlState::DATATYPE_MISMATCH, message)
}

/// A constraint that a parent hands down.
pub(crate) fn is_handed_down(constraint: &ConstraintDescriptor) -> bool {
    matches!(constraint.kind, ConstraintKind::Check | ConstraintKind::NotNull) && !constraint.no_inherit
}

/// A parent's columns by number as those of a child, which has them by the same names.
pub(crate) fn child_numbers(
    parent: &RelationDescriptor,
    child: &RelationDescriptor,
    numbers: &[i16],
) -> Result<Vec<i16>> {
    let number = |number: &i16| {
        let name = parent.column(*number).map(|column| &*column.name).unwrap_or_default();
        let found = child.column_named(name).map(|column| column.number);
        found.ok_or_else(|| errors::undefined_column(name, &child.name))
    };
    numbers.iter().map(number).collect()
}

impl Session {
    /// What inherits from a relation directly.
    pub(crate) fn children(&self, oid: Oid) -> Vec<Oid> {
        self.state.catalog().children(oid).to_vec()
    }

    /// Locks all that inherits from a relation, which is locked already; the relation stands first.
    pub(crate) fn lock_descendants(&self, oid: Oid, mode: RelationLockMode) -> Result<Vec<Oid>> {
        let mut locked = vec![oid];
        loop {
            let all = self.state.catalog().descendants(oid);
            if all.iter().all(|oid| locked.contains(oid)) {
                return Ok(all);
            }
            for oid in all.iter().filter(|oid| !locked.contains(oid)) {
                self.lock_relation(*oid, mode)?;
            }
            locked.extend(all);
        }
    }

    /// As [`Session::lock_descendants`], without other sessions' temporary relations, whose rows are out of reach, and without
    /// partitions that are being detached.
    pub(crate) fn lock_reachable_descendants(&self, oid: Oid, mode: RelationLockMode) -> Result<Vec<Oid>> {
        let own = self.state.temporary_namespace();
        let mut reached = vec![oid];
        loop {
            let mut all = self.state.catalog().descendants(oid);
            all.retain(|oid| {
                let relation = self.relation(*oid);
                let reachable =
                    relation.persistence != Persistence::Temporary || own == Some(relation.namespace);
                reachable && (relation.inheritance.detaching.is_none() || reached[0] == *oid)
            });
            if all.iter().all(|oid| reached.contains(oid)) {
                return Ok(all);
            }
            for oid in all.iter().filter(|oid| !reached.contains(oid)) {
                self.lock_relation(*oid, mode)?;
            }
            reached.extend(all);
        }
    }

    /// The parents of a new table, locked.
    pub(crate) fn parents_of_new(
        &self,
        names: &[ObjectName],
        persistence: Persistence,
    ) -> Result<Vec<Arc<RelationDescriptor>>> {
        let mut parents: Vec<Arc<RelationDescriptor>> = Vec::with_capacity(names.len());
        for name in names {
            let parent = self.require_and_lock(name, RelationLockMode::ShareUpdateExclusive, Need::Owner)?;
            self.check_parent(&parent, persistence)?;
            if parents.iter().any(|known| known.oid == parent.oid) {
                return Err(Error::new(
                    SqlState::DUPLICATE_TABLE,
                    format!("relation \"{}\" would be inherited from more than once", parent.name),
                ));
            }
            parents.push(parent);
        }
        Ok(parents)
    }

    /// Refuses what nothing can inherit from.
    fn check_parent(&self, parent: &RelationDescriptor, persistence: Persistence) -> Result<()> {
        let wrong = |message: String| Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        self.require_user_relation(parent)?;
        match parent.kind {
            RelationKind::Table => {}
            RelationKind::PartitionedTable => {
                return wrong(format!("cannot inherit from partitioned table \"{}\"", parent.name));
            }
            _ => {
                return wrong(format!(
                    "inherited relation \"{}\" is not a table or foreign table",
                    parent.name
                ));
            }
        }
        if parent.is_partition() {
            return wrong(format!("cannot inherit from partition \"{}\"", parent.name));
        }
        if parent.persistence == Persistence::Temporary && persistence != Persistence::Temporary {
            return wrong(format!("cannot inherit from temporary relation \"{}\"", parent.name));
        }
        Ok(())
    }

    /// The columns and constraints that a new table gets from its parents.
    pub(crate) fn inherit_columns(
        &self,
        parents: &[Arc<RelationDescriptor>],
        new: &mut NewColumns,
    ) -> Result<()> {
        let mut conflicting: Vec<Arc<str>> = Vec::new();
        for parent in parents {
            for column in parent.live_columns() {
                match new.columns.iter().position(|known| known.name == column.name) {
                    Some(position) => {
                        self.state.notice(notice(format!(
                            "merging multiple inherited definitions of column \"{}\"",
                            column.name
                        )));
                        self.merge_inherited(&mut new.columns[position], column, &mut conflicting)?;
                    }
                    None => {
                        let number = new.columns.len() as i16 + 1;
                        let mut own = new_column(number, &column.name, column.ty);
                        own.storage = column.storage;
                        own.collation = column.collation;
                        own.generated = column.generated;
                        own.default =
                            column.default.as_ref().map(|(_, text)| (self.new_oid(), Arc::clone(text)));
                        own.origin = Origin::INHERITED;
                        new.columns.push(own);
                    }
                }
            }
        }
        new.inherited = new.columns.len();
        new.conflicting = conflicting;
        for parent in parents {
            for constraint in parent.constraints.iter().filter(|constraint| is_handed_down(constraint)) {
                self.inherit_constraint(parent, constraint, new)?;
            }
        }
        Ok(())
    }

    /// Adds a further parent's definition to a column that a new table inherits already.
    fn merge_inherited(
        &self,
        own: &mut ColumnDescriptor,
        column: &ColumnDescriptor,
        conflicting: &mut Vec<Arc<str>>,
    ) -> Result<()> {
        if own.ty != column.ty {
            return Err(mismatch(format!("inherited column \"{}\" has a type conflict", column.name))
                .detail(format!("{} versus {}", self.type_text(own.ty), self.type_text(column.ty))));
        }
        if own.generated != column.generated {
            return Err(Error::new(
                SqlState::INVALID_COLUMN_DEFINITION,
                format!("inherited column \"{}\" has a generation conflict", column.name),
            ));
        }
        own.origin.inherited += 1;
        match (&own.default, &column.default) {
            (_, None) => {}
            (None, Some((_, text))) => own.default = Some((self.new_oid(), Arc::clone(text))),
            (Some((_, a)), Some((_, b))) if a == b => {}
            (Some(_), Some(_)) => conflicting.push(Arc::clone(&own.name)),
        }
        Ok(())
    }

    fn inherit_constraint(
        &self,
        parent: &RelationDescriptor,
        constraint: &ConstraintDescriptor,
        new: &mut NewColumns,
    ) -> Result<()> {
        let number = |number: &i16| {
            let name = parent.column(*number).map(|column| Arc::clone(&column.name)).unwrap_or_default();
            new.columns.iter().find(|column| column.name == name).map(|column| column.number)
        };
        let columns: Vec<i16> = constraint.columns.iter().filter_map(number).collect();
        if constraint.kind == ConstraintKind::NotNull {
            for column in &columns {
                new.columns[*column as usize - 1].not_null = true;
            }
        }
        let known = new.handed_down.iter_mut().find(|known| match constraint.kind {
            ConstraintKind::NotNull => known.kind == ConstraintKind::NotNull && known.columns == columns,
            _ => known.kind == constraint.kind && known.name == constraint.name,
        });
        if let Some(known) = known {
            if known.expression != constraint.expression {
                return Err(Error::new(
                    SqlState::DUPLICATE_OBJECT,
                    format!(
                        "check constraint name \"{}\" appears multiple times but with different expressions",
                        constraint.name
                    ),
                ));
            }
            known.origin.inherited += 1;
            return Ok(());
        }
        new.handed_down.push(ConstraintDescriptor {
            columns,
            origin: Origin::INHERITED,
            parent: Oid::INVALID,
            validated: true,
            comment: None,
            ..constraint.clone()
        });
        Ok(())
    }

    /// The constraints that a new table's parents hand down, as its own.
    pub(crate) fn constraints_handed_down(
        &self,
        table: &RelationDescriptor,
        handed_down: Vec<ConstraintDescriptor>,
    ) -> Vec<Arc<ConstraintDescriptor>> {
        let own = |constraint: ConstraintDescriptor| {
            Arc::new(ConstraintDescriptor {
                oid: self.new_oid(),
                table: table.oid,
                namespace: table.namespace,
                ..constraint
            })
        };
        handed_down.into_iter().map(own).collect()
    }

    /// Puts a definition of a new table's own into the place of the column that it inherits.
    pub(crate) fn merge_definition(
        &self,
        new: &mut NewColumns,
        position: usize,
        own: ColumnDescriptor,
        place: usize,
    ) -> Result<()> {
        let inherited = &new.columns[position];
        let name = &inherited.name;
        let partition = new.inheritance.bound.is_some();
        let told = if place == position {
            notice(format!("merging column \"{name}\" with inherited definition"))
        } else {
            notice(format!("moving and merging column \"{name}\" with inherited definition"))
                .detail("User-specified column moved to the position of the inherited column.")
        };
        if !partition {
            self.state.notice(told);
        }
        if inherited.ty != own.ty {
            return Err(mismatch(format!("column \"{name}\" has a type conflict")).detail(format!(
                "{} versus {}",
                self.type_text(inherited.ty),
                self.type_text(own.ty)
            )));
        }
        let has_default = new.defaults.iter().any(|(number, _)| *number as usize == position + 1);
        let wrong = |message: String| Err(Error::new(SqlState::INVALID_COLUMN_DEFINITION, message));
        if inherited.generated.is_some() && own.generated.is_none() {
            if has_default {
                return wrong(format!(
                    "column \"{name}\" inherits from generated column but specifies default"
                ));
            }
            if own.identity.is_some() {
                return wrong(format!(
                    "column \"{name}\" inherits from generated column but specifies identity"
                ));
            }
        }
        if inherited.generated.is_none() && own.generated.is_some() {
            return Err(Error::new(
                SqlState::INVALID_COLUMN_DEFINITION,
                format!("child column \"{name}\" specifies generation expression"),
            )
            .hint("A child table column cannot be generated unless its parent column is."));
        }
        if has_default || own.identity.is_some() {
            let resolved = Arc::clone(name);
            new.conflicting.retain(|conflict| *conflict != resolved);
        }
        let column = &mut new.columns[position];
        column.not_null |= own.not_null;
        column.identity = own.identity;
        if own.generated.is_some() || has_default || own.identity.is_some() {
            column.generated = own.generated;
            column.default = None;
        }
        column.origin.local = true;
        Ok(())
    }

    /// Fails when parents give a column different defaults and the table gives none.
    pub(crate) fn check_conflicts(&self, new: &NewColumns) -> Result<()> {
        let Some(name) = new.conflicting.first() else { return Ok(()) };
        let column = new.columns.iter().find(|column| column.name == *name);
        let generated = column.is_some_and(|column| column.generated.is_some());
        let (what, hint) = if generated {
            ("generation expressions", "To resolve the conflict, specify a generation expression explicitly.")
        } else {
            ("default values", "To resolve the conflict, specify a default explicitly.")
        };
        Err(Error::new(
            SqlState::INVALID_COLUMN_DEFINITION,
            format!("column \"{name}\" inherits conflicting {what}"),
        )
        .hint(hint))
    }

    /// Notes at the parents that they have children.
    pub(crate) fn note_children(&self, parents: &[Oid]) -> Result<()> {
        for parent in parents {
            let parent = self.relation(*parent);
            if !parent.inheritance.has_children {
                let inheritance = Inheritance { has_children: true, ..parent.inheritance.clone() };
                self.put_relation(RelationDescriptor { inheritance, ..(*parent).clone() })?;
            }
        }
        Ok(())
    }

    /// Changes a column's origin.
    fn put_origin(&self, table: Oid, number: i16, origin: Origin) -> Result<()> {
        let mut changed = (*self.relation(table)).clone();
        changed.columns[number as usize - 1].origin = origin;
        self.put_relation(changed)?;
        Ok(())
    }

    /// `ADD COLUMN`, for a table and its children.
    pub(crate) fn add_column_tree(
        &self,
        table: Oid,
        definition: &ColumnDef,
        if_not_exists: bool,
        recurse: bool,
        inherited: bool,
    ) -> Result<()> {
        let relation = self.relation(table);
        if let Some(column) = relation.column_named(&definition.name).filter(|_| inherited) {
            let ty = match &definition.type_name {
                Some(name) => self.bind_type(name)?,
                None => column.ty,
            };
            if column.ty != ty {
                return Err(mismatch(format!(
                    "child table \"{}\" has different type for column \"{}\"",
                    relation.name, column.name
                )));
            }
            self.state.notice(notice(format!(
                "merging definition of column \"{}\" for child \"{}\"",
                column.name, relation.name
            )));
            let origin = Origin { inherited: column.origin.inherited + 1, ..column.origin };
            return self.put_origin(table, column.number, origin);
        }
        let children = self.children(table);
        if !inherited && relation.is_partition() {
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, "cannot add column to a partition"));
        }
        if !recurse && !children.is_empty() {
            return Err(invalid("column must be added to child tables too"));
        }
        let existed = relation.column_named(&definition.name).is_some();
        let later = self.add_column(table, definition, if_not_exists)?;
        if existed {
            return Ok(());
        }
        let number = self.column_of(table, &definition.name)?;
        if inherited {
            self.put_origin(table, number, Origin::INHERITED)?;
            self.count_constraints_of(table, number)?;
        }
        if !children.is_empty() {
            let handed_down = self.definition_for_children(table, number, definition)?;
            for child in children {
                self.add_column_tree(child, &handed_down, false, true, true)?;
            }
        }
        self.add_constraints(table, later, true)
    }

    /// The constraints that came with a column that a parent handed down are the parent's, too.
    fn count_constraints_of(&self, table: Oid, number: i16) -> Result<()> {
        let mut changed = (*self.relation(table)).clone();
        for constraint in &mut changed.constraints {
            if is_handed_down(constraint) && constraint.columns.contains(&number) {
                Arc::make_mut(constraint).origin = Origin::INHERITED;
            }
        }
        self.put_relation(changed)?;
        Ok(())
    }

    /// A column's definition without what children do not get: keys, foreign keys and identities. The sequence of a serial
    /// column is the parent's.
    fn definition_for_children(&self, table: Oid, number: i16, definition: &ColumnDef) -> Result<ColumnDef> {
        use ColumnConstraintKind as Kind;
        let relation = self.relation(table);
        let column = relation.column(number).expect("the column was just added");
        let mut own = definition.clone();
        own.constraints.retain(|constraint| {
            matches!(
                constraint.kind,
                Kind::Null | Kind::NotNull { no_inherit: false } | Kind::Default(_) | Kind::Generated { .. }
            ) || matches!(constraint.kind, Kind::Check { no_inherit: false, .. })
        });
        for constraint in &mut own.constraints {
            // Under the names that they have got at the parent.
            let kind = match constraint.kind {
                Kind::Check { .. } => ConstraintKind::Check,
                Kind::NotNull { .. } => ConstraintKind::NotNull,
                _ => continue,
            };
            let mut named = relation.constraints.iter().filter(|c| c.kind == kind && c.columns == [number]);
            if let Some(found) = named.next() {
                constraint.name = Some(ast::Name::from(&*found.name));
            }
        }
        let plain = |kind: Kind| ast::ColumnConstraint { name: None, kind, pos: ast::Pos::NONE };
        if definition.type_name.as_ref().is_some_and(|name| serial_type(name).is_some()) {
            let ty = ochre_types::typmod::format_type(column.ty.oid, -1);
            own.type_name = Some(ochre_parser::parse_type_name(&ty)?);
            if let Some((_, text)) = &column.default {
                own.constraints.push(plain(Kind::Default(ochre_parser::parse_expression(text)?)));
            }
        }
        let says_not_null = own.constraints.iter().any(|c| matches!(c.kind, Kind::NotNull { .. }));
        if column.not_null && !says_not_null {
            own.constraints.push(plain(Kind::NotNull { no_inherit: false }));
        }
        Ok(own)
    }

    /// `DROP COLUMN`, for a table and its children.
    pub(crate) fn drop_column_tree(
        &self,
        table: Oid,
        name: &str,
        if_exists: bool,
        behavior: Behavior,
        recurse: bool,
        inherited: bool,
    ) -> Result<()> {
        let relation = self.relation(table);
        if let Some(column) = relation.column_named(name) {
            if column.origin.is_inherited() && !inherited {
                return Err(invalid(format!("cannot drop inherited column \"{name}\"")));
            }
            self.refuse_key_column(&relation, column.number, "drop")?;
            let children = self.children(table);
            if !recurse && !children.is_empty() && relation.kind == RelationKind::PartitionedTable {
                return Err(invalid(
                    "cannot drop column from only the partitioned table when partitions exist",
                )
                .hint("Do not specify the ONLY keyword."));
            }
            for child in children {
                let found = self.relation(child);
                let column = found
                    .column_named(name)
                    .ok_or_else(|| Error::internal("a child lacks a column of its parent"))?;
                let origin = Origin { inherited: column.origin.inherited - 1, ..column.origin };
                if recurse && !origin.is_inherited() && !origin.local {
                    self.drop_column_tree(child, name, false, behavior, true, true)?;
                } else {
                    let local = origin.local || !recurse;
                    self.put_origin(child, column.number, Origin { local, ..origin })?;
                }
            }
        }
        self.drop_column(table, name, if_exists, behavior)
    }

    /// `RENAME COLUMN`, for a table and its children.
    pub(crate) fn rename_column_tree(
        &self,
        relation: &Arc<RelationDescriptor>,
        old: &str,
        new: &str,
        recurse: bool,
    ) -> Result<()> {
        let Some(column) = relation.column_named(old) else {
            return self.rename_column(relation, old, new);
        };
        if column.origin.is_inherited() {
            return Err(invalid(format!("cannot rename inherited column \"{old}\"")));
        }
        if !recurse && !self.children(relation.oid).is_empty() {
            return Err(invalid(format!("inherited column \"{old}\" must be renamed in child tables too")));
        }
        let all = self.lock_descendants(relation.oid, RelationLockMode::AccessExclusive)?;
        for oid in all.iter().rev() {
            let table = self.relation(*oid);
            let inside = table.inheritance.parents.iter().filter(|parent| all.contains(parent)).count();
            let inherited = table.column_named(old).map_or(0, |column| column.origin.inherited);
            if *oid != relation.oid && inherited as usize > inside {
                return Err(invalid(format!("cannot rename inherited column \"{old}\"")));
            }
        }
        for oid in all {
            let table = self.relation(oid);
            self.rename_column(&table, old, new)?;
        }
        Ok(())
    }

    /// `ALTER COLUMN TYPE`, for a table and its children.
    pub(crate) fn alter_column_type_tree(
        &self,
        table: Oid,
        name: &str,
        type_name: &ast::TypeName,
        using: Option<&ast::Expr>,
        recurse: bool,
    ) -> Result<()> {
        let relation = self.relation(table);
        if let Some(column) = relation.column_named(name) {
            if column.origin.is_inherited() {
                return Err(invalid(format!("cannot alter inherited column \"{name}\"")));
            }
            self.refuse_key_column(&relation, column.number, "alter")?;
        }
        if !recurse && !self.children(table).is_empty() {
            return Err(invalid(format!(
                "type of inherited column \"{name}\" must be changed in child tables too"
            )));
        }
        let all = self.lock_descendants(table, RelationLockMode::AccessExclusive)?;
        for oid in &all {
            let found = self.relation(*oid);
            let inside = found.inheritance.parents.iter().filter(|parent| all.contains(parent)).count();
            let inherited = found.column_named(name).map_or(0, |column| column.origin.inherited);
            if *oid != table && inherited as usize > inside {
                return Err(invalid(format!("cannot alter inherited column \"{name}\"")));
            }
        }
        all.into_iter().try_for_each(|oid| self.alter_column_type(oid, name, type_name, using))
    }

    /// `SET DEFAULT` and `DROP DEFAULT`, for a table and its children.
    pub(crate) fn set_column_default_tree(
        &self,
        table: Oid,
        name: &str,
        default: Option<&ast::Expr>,
        recurse: bool,
    ) -> Result<()> {
        let all = match recurse {
            true => self.lock_descendants(table, RelationLockMode::AccessExclusive)?,
            false => vec![table],
        };
        all.into_iter().try_for_each(|oid| self.set_column_default(oid, name, default))
    }

    /// Hands the constraints down that a table has got and `before` had not.
    pub(crate) fn hand_down_constraints(
        &self,
        table: Oid,
        before: &RelationDescriptor,
        recurse: bool,
    ) -> Result<()> {
        let children = self.children(table);
        if children.is_empty() {
            return Ok(());
        }
        let relation = self.relation(table);
        let new: Vec<Arc<ConstraintDescriptor>> = relation
            .constraints
            .iter()
            .filter(|constraint| is_handed_down(constraint))
            .filter(|constraint| before.constraints.iter().all(|known| known.oid != constraint.oid))
            .cloned()
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        if !recurse {
            return Err(invalid("constraint must be added to child tables too"));
        }
        for child in children {
            for constraint in &new {
                self.hand_down(&relation, constraint, child)?;
            }
        }
        Ok(())
    }

    /// Gives a child, and its children, a constraint that its parent has got.
    fn hand_down(
        &self,
        parent: &RelationDescriptor,
        constraint: &ConstraintDescriptor,
        child: Oid,
    ) -> Result<()> {
        let table = self.relation(child);
        let columns = child_numbers(parent, &table, &constraint.columns)?;
        let known = table.constraints.iter().position(|known| match constraint.kind {
            ConstraintKind::NotNull => known.kind == ConstraintKind::NotNull && known.columns == columns,
            _ => known.name == constraint.name,
        });
        if let Some(position) = known {
            let mut changed = (*table).clone();
            let merged = Arc::make_mut(&mut changed.constraints[position]);
            if constraint.kind == ConstraintKind::Check {
                check_same(&table, merged, constraint)?;
                self.state.notice(notice(format!(
                    "merging constraint \"{}\" with inherited definition",
                    constraint.name
                )));
            }
            merged.origin.inherited += 1;
            self.put_relation(changed)?;
            return Ok(());
        }
        match constraint.kind {
            ConstraintKind::NotNull => self.check_no_nulls(&table, &columns)?,
            _ if constraint.validated && constraint.enforced => {
                let text = constraint.expression.clone().unwrap_or_default();
                self.check_rows(&table, &constraint.name, &text)?;
            }
            _ => {}
        }
        let mut changed = (*self.relation(child)).clone();
        let taken = changed.constraints.iter().any(|known| known.name == constraint.name);
        let name = match taken {
            true => self.constraint_name(&changed, None, &constraint.name, "not_null")?,
            false => constraint.name.to_string(),
        };
        let mut own = plain_constraint(self.new_oid(), &name, &changed, constraint.kind, columns.clone());
        own.expression.clone_from(&constraint.expression);
        own.validated = constraint.validated;
        own.enforced = constraint.enforced;
        own.origin = Origin::INHERITED;
        if constraint.kind == ConstraintKind::NotNull {
            changed.columns[columns[0] as usize - 1].not_null = true;
        }
        let own = Arc::new(own);
        changed.constraints.push(Arc::clone(&own));
        let changed = self.put_relation(changed)?;
        for grandchild in self.children(child) {
            self.hand_down(&changed, &own, grandchild)?;
        }
        Ok(())
    }

    /// `DROP CONSTRAINT`, for a table and its children.
    pub(crate) fn drop_constraint_tree(
        &self,
        table: Oid,
        name: &str,
        if_exists: bool,
        behavior: Behavior,
        recurse: bool,
    ) -> Result<()> {
        let relation = self.relation(table);
        let found = relation.constraints.iter().find(|constraint| &*constraint.name == name).cloned();
        if let Some(constraint) = found {
            if constraint.origin.is_inherited() || constraint.parent.is_valid() {
                return Err(invalid(format!(
                    "cannot drop inherited constraint \"{name}\" of relation \"{}\"",
                    relation.name
                )));
            }
            if is_handed_down(&constraint) {
                if constraint.kind == ConstraintKind::NotNull {
                    self.require_nullable(&relation, constraint.columns[0])?;
                }
                self.take_back(&relation, &constraint, recurse)?;
            }
            self.drop_constraint_clones(table, constraint.oid)?;
        }
        self.drop_constraint(table, name, if_exists, behavior)
    }

    /// Takes a constraint that a table loses from its children.
    pub(crate) fn take_back(
        &self,
        parent: &RelationDescriptor,
        constraint: &ConstraintDescriptor,
        recurse: bool,
    ) -> Result<()> {
        for child in self.children(parent.oid) {
            let table = self.relation(child);
            let columns = child_numbers(parent, &table, &constraint.columns)?;
            let Some(position) = position_of(&table, constraint, &columns) else { continue };
            let own = Arc::clone(&table.constraints[position]);
            let mut origin = Origin { inherited: (own.origin.inherited - 1).max(0), ..own.origin };
            if recurse && !origin.is_inherited() && !origin.local {
                self.take_back(&table, &own, true)?;
                let mut changed = (*self.relation(child)).clone();
                changed.constraints.retain(|known| known.oid != own.oid);
                if own.kind == ConstraintKind::NotNull {
                    self.require_nullable(&changed, columns[0])?;
                    changed.columns[columns[0] as usize - 1].not_null = false;
                }
                self.put_relation(changed)?;
                continue;
            }
            origin.local |= !recurse;
            let mut changed = (*table).clone();
            Arc::make_mut(&mut changed.constraints[position]).origin = origin;
            self.put_relation(changed)?;
        }
        Ok(())
    }

    /// `RENAME CONSTRAINT`, for a table and its children.
    pub(crate) fn rename_constraint_tree(
        &self,
        relation: &Arc<RelationDescriptor>,
        name: &str,
        new: &str,
        recurse: bool,
    ) -> Result<()> {
        let found = relation.constraints.iter().find(|constraint| &*constraint.name == name).cloned();
        let Some(constraint) = found.filter(|constraint| is_handed_down(constraint)) else {
            return self.rename_constraint(relation, name, new);
        };
        if constraint.origin.is_inherited() {
            return Err(invalid(format!("cannot rename inherited constraint \"{name}\"")));
        }
        if !recurse && !self.children(relation.oid).is_empty() {
            return Err(invalid(format!(
                "inherited constraint \"{name}\" must be renamed in child tables too"
            )));
        }
        for oid in self.lock_descendants(relation.oid, RelationLockMode::AccessExclusive)? {
            let table = self.relation(oid);
            if table.constraints.iter().any(|known| &*known.name == name) {
                self.rename_constraint(&table, name, new)?;
            }
        }
        Ok(())
    }

    /// `INHERIT`.
    pub(crate) fn add_parent(&self, table: Oid, name: &ObjectName) -> Result<()> {
        let child = self.relation(table);
        let wrong = |message: &str| Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        if child.kind == RelationKind::PartitionedTable {
            return wrong("cannot change inheritance of partitioned table");
        }
        if child.is_partition() {
            return wrong("cannot change inheritance of a partition");
        }
        let parent = self.require_and_lock(name, RelationLockMode::ShareUpdateExclusive, Need::Owner)?;
        self.check_parent(&parent, child.persistence)?;
        if child.inheritance.parents.contains(&parent.oid) {
            return Err(Error::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{}\" would be inherited from more than once", parent.name),
            ));
        }
        if self.lock_descendants(table, RelationLockMode::AccessShare)?.contains(&parent.oid) {
            return Err(Error::new(SqlState::DUPLICATE_TABLE, "circular inheritance not allowed")
                .detail(format!("\"{}\" is already a child of \"{}\".", parent.name, child.name)));
        }
        self.attach(&parent, table, None)
    }

    /// Makes a table a child of another: its columns and constraints are found to be what the parent asks for, and counted.
    pub(crate) fn attach(
        &self,
        parent: &Arc<RelationDescriptor>,
        table: Oid,
        bound: Option<Arc<ochre_catalog::PartitionBound>>,
    ) -> Result<()> {
        let child = self.relation(table);
        let mut changed = (*child).clone();
        let quoted = |name: &str| name.to_string();
        for column in parent.live_columns() {
            let Some(own) = child.column_named(&column.name) else {
                return Err(mismatch(format!("child table is missing column \"{}\"", quoted(&column.name))));
            };
            if own.ty != column.ty {
                return Err(mismatch(format!(
                    "child table \"{}\" has different type for column \"{}\"",
                    child.name, column.name
                )));
            }
            if own.collation != column.collation {
                return Err(Error::new(
                    SqlState::new("42P21"),
                    format!(
                        "child table \"{}\" has different collation for column \"{}\"",
                        child.name, column.name
                    ),
                ));
            }
            let hands_not_null = parent.constraints.iter().any(|constraint| {
                constraint.kind == ConstraintKind::NotNull
                    && is_handed_down(constraint)
                    && constraint.columns == [column.number]
            });
            if hands_not_null && !own.not_null {
                return Err(mismatch(format!(
                    "column \"{}\" in child table \"{}\" must be marked NOT NULL",
                    column.name, child.name
                )));
            }
            if column.generated.is_some() && own.generated.is_none() {
                return Err(mismatch(format!(
                    "column \"{}\" in child table must be a generated column",
                    column.name
                )));
            }
            if column.generated.is_none() && own.generated.is_some() {
                return Err(mismatch(format!(
                    "column \"{}\" in child table must not be a generated column",
                    column.name
                )));
            }
            let origin = &mut changed.columns[own.number as usize - 1].origin;
            origin.inherited += 1;
            // A partition's columns are its parent's alone.
            origin.local &= bound.is_none();
        }
        for constraint in parent.constraints.iter().filter(|constraint| is_handed_down(constraint)) {
            let columns = child_numbers(parent, &child, &constraint.columns)?;
            let Some(position) = position_of(&child, constraint, &columns) else {
                return Err(mismatch(format!("child table is missing constraint \"{}\"", constraint.name)));
            };
            let own = Arc::make_mut(&mut changed.constraints[position]);
            if constraint.kind == ConstraintKind::Check && own.expression != constraint.expression {
                return Err(mismatch(format!(
                    "child table \"{}\" has different definition for check constraint \"{}\"",
                    child.name, constraint.name
                )));
            }
            if own.no_inherit {
                return Err(mismatch(format!(
                    "constraint \"{}\" conflicts with non-inherited constraint on child table \"{}\"",
                    own.name, child.name
                )));
            }
            if constraint.validated && !own.validated {
                return Err(mismatch(format!(
                    "constraint \"{}\" conflicts with NOT VALID constraint on child table \"{}\"",
                    own.name, child.name
                )));
            }
            own.origin.inherited += 1;
            own.origin.local &= bound.is_none();
        }
        changed.inheritance.parents.push(parent.oid);
        changed.inheritance.bound = bound;
        self.put_relation(changed)?;
        self.note_children(&[parent.oid])
    }

    /// `NO INHERIT`.
    pub(crate) fn remove_parent(&self, table: Oid, name: &ObjectName) -> Result<()> {
        let child = self.relation(table);
        if child.is_partition() {
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, "cannot change inheritance of a partition"));
        }
        let parent = self.require_and_lock(name, RelationLockMode::AccessShare, Need::CheckedByCaller)?;
        self.detach(&parent, table)
    }

    /// Takes a table from among the children of another: what it inherited is its own from now on.
    pub(crate) fn detach(&self, parent: &RelationDescriptor, table: Oid) -> Result<()> {
        let child = self.relation(table);
        let Some(place) = child.inheritance.parents.iter().position(|oid| *oid == parent.oid) else {
            return Err(Error::new(
                SqlState::UNDEFINED_TABLE,
                if parent.kind == RelationKind::PartitionedTable {
                    format!("relation \"{}\" is not a partition of relation \"{}\"", child.name, parent.name)
                } else {
                    format!("relation \"{}\" is not a parent of relation \"{}\"", parent.name, child.name)
                },
            ));
        };
        let mut changed = (*child).clone();
        changed.inheritance.parents.remove(place);
        changed.inheritance.bound = None;
        changed.inheritance.detaching = None;
        for column in parent.live_columns() {
            let Some(own) = child.column_named(&column.name) else { continue };
            let origin = &mut changed.columns[own.number as usize - 1].origin;
            origin.inherited -= 1;
            origin.local |= !origin.is_inherited();
        }
        for constraint in parent.constraints.iter().filter(|constraint| is_handed_down(constraint)) {
            let columns = child_numbers(parent, &child, &constraint.columns)?;
            let Some(position) = position_of(&child, constraint, &columns) else { continue };
            let origin = &mut Arc::make_mut(&mut changed.constraints[position]).origin;
            origin.inherited = (origin.inherited - 1).max(0);
            origin.local |= !origin.is_inherited();
        }
        self.put_relation(changed)?;
        Ok(())
    }

    /// Refuses changes of a column that a partition key is over.
    pub(crate) fn refuse_key_column(
        &self,
        relation: &RelationDescriptor,
        number: i16,
        verb: &str,
    ) -> Result<()> {
        let Some(key) = &relation.inheritance.key else { return Ok(()) };
        let name = relation.column(number).map(|column| column.name.to_string()).unwrap_or_default();
        if key.columns.iter().any(|column| column.number == number) {
            return Err(invalid(format!(
                "cannot {verb} column \"{name}\" because it is part of the partition key of relation \"{}\"",
                relation.name
            )));
        }
        let quoted = quote_identifier(&name);
        let mentions = |text: &str| {
            text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '"').any(|word| word == quoted)
        };
        if key.columns.iter().filter_map(|column| column.expression.as_deref()).any(mentions) {
            return Err(invalid(format!(
                "cannot {verb} column \"{name}\" because it is part of the partition key of relation \"{}\"",
                relation.name
            )));
        }
        Ok(())
    }
}

/// Where a child has a constraint that its parent hands down.
fn position_of(
    child: &RelationDescriptor,
    constraint: &ConstraintDescriptor,
    columns: &[i16],
) -> Option<usize> {
    child.constraints.iter().position(|known| match constraint.kind {
        ConstraintKind::NotNull => known.kind == ConstraintKind::NotNull && known.columns == columns,
        _ => known.kind == constraint.kind && known.name == constraint.name,
    })
}

/// Fails unless a constraint is what one that is to be merged with it is.
pub(crate) fn check_same(
    table: &RelationDescriptor,
    known: &ConstraintDescriptor,
    new: &ConstraintDescriptor,
) -> Result<()> {
    if known.kind != new.kind || known.expression != new.expression {
        return Err(Error::new(
            SqlState::DUPLICATE_OBJECT,
            format!("constraint \"{}\" for relation \"{}\" already exists", new.name, table.name),
        ));
    }
    if known.no_inherit {
        return Err(Error::new(
            SqlState::INVALID_OBJECT_DEFINITION,
            format!(
                "constraint \"{}\" conflicts with non-inherited constraint on relation \"{}\"",
                new.name, table.name
            ),
        ));
    }
    Ok(())
}
