//! The actions of ALTER TABLE that are about one column.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::{ConstraintKind, IdentityKind, RelationDescriptor, RelationKind};
use ochre_parser::ast::{
    self, AlterIdentityOption, Behavior, ColumnDef, SequenceOption, SequenceOptionKind, TypeName,
};
use ochre_types::{Datum, SqlType};

use super::constraint::NewConstraint;
use super::create_table::{
    NewColumns, OwnedSequence, check_column_count, check_column_name, check_column_type,
};
use crate::errors;
use crate::session::Session;

impl Session {
    /// Adds a column. What is left are the keys and foreign keys of a partitioned table: they come when its partitions have the
    /// column.
    pub(crate) fn add_column(
        &self,
        table: Oid,
        definition: &ColumnDef,
        if_not_exists: bool,
    ) -> Result<Vec<NewConstraint>> {
        let relation = self.relation(table);
        if relation.column_named(&definition.name).is_some() {
            let message =
                format!("column \"{}\" of relation \"{}\" already exists", definition.name, relation.name);
            if !if_not_exists {
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
            self.state.notice(Error::with_severity(
                Severity::Notice,
                SqlState::DUPLICATE_COLUMN,
                format!("{message}, skipping"),
            ));
            return Ok(Vec::new());
        }
        check_column_count(relation.columns.len() + 1)?;
        let mut new = NewColumns { columns: relation.columns.clone(), ..NewColumns::default() };
        self.add_column_definition(definition, &mut new)?;
        let number = new.columns.len() as i16;
        let mut changed = (*relation).clone();
        changed.columns = new.columns;
        self.new_column_list(&mut changed)?;
        self.put_relation(changed)?;
        for sequence in new.sequences {
            self.create_owned_sequence(table, sequence)?;
        }
        self.bind_defaults(table, new.defaults)?;
        self.fill_new_column(table, number)?;
        let partitioned = relation.kind == RelationKind::PartitionedTable;
        let (later, now) = new.constraints.into_iter().partition(|c| partitioned && c.concerns_partitions());
        self.add_constraints(table, now, true)?;
        Ok(later)
    }

    /// Gives rows that are there the new column's default: a constant is kept with the column and touches no row, anything
    /// else is written into the rows.
    fn fill_new_column(&self, table: Oid, number: i16) -> Result<()> {
        let relation = self.relation(table);
        let column = relation.column(number).expect("the column was just added");
        if column.default.is_none() && column.identity.is_none() {
            if column.not_null && !self.table_is_empty(&relation)? {
                return Err(Error::new(
                    SqlState::NOT_NULL_VIOLATION,
                    format!(
                        "column \"{}\" of relation \"{}\" contains null values",
                        column.name, relation.name
                    ),
                )
                .table(self.namespace_name(relation.namespace), &*relation.name)
                .column(&*column.name));
            }
            return Ok(());
        }
        if column.generated.is_none()
            && column.identity.is_none()
            && let Some(value) = self.constant_default(&relation, number)?
        {
            if value != Datum::Null {
                let mut changed = (*relation).clone();
                changed.columns[number as usize - 1].missing = Some(value);
                self.put_relation(changed)?;
            }
            return Ok(());
        }
        self.rewrite_column(&relation, number)
    }

    /// ALTER COLUMN … SET STORAGE, for one table.
    pub(crate) fn set_storage(&self, table: Oid, name: &str, storage: &str) -> Result<()> {
        let mut relation = (*self.relation(table)).clone();
        let number =
            relation.column_named(name).ok_or_else(|| errors::undefined_column(name, &relation.name))?.number;
        let column = &mut relation.columns[number as usize - 1];
        column.storage = storage_letter(storage, column.ty)?;
        self.put_relation(relation)?;
        Ok(())
    }

    pub(crate) fn drop_column(
        &self,
        table: Oid,
        name: &str,
        if_exists: bool,
        behavior: Behavior,
    ) -> Result<()> {
        let relation = self.relation(table);
        let Some(column) = relation.column_named(name) else {
            if !if_exists {
                return Err(errors::undefined_column(name, &relation.name));
            }
            self.state.notice(Error::with_severity(
                Severity::Notice,
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{name}\" of relation \"{}\" does not exist, skipping", relation.name),
            ));
            return Ok(());
        };
        let number = column.number;
        self.drop_views_of_column(&relation, number, behavior)?;
        self.drop_triggers_of_column(table, number, behavior)?;
        let relation = self.relation(table);
        // A check over several columns goes only with CASCADE; keys and checks of this column alone go with it.
        for constraint in &relation.constraints {
            let others = constraint.columns.iter().any(|column| *column != number);
            if constraint.columns.contains(&number)
                && constraint.kind == ConstraintKind::Check
                && others
                && behavior == Behavior::Restrict
            {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!(
                        "cannot drop column {name} of table {} because other objects depend on it",
                        relation.name
                    ),
                )
                .detail(format!(
                    "constraint {} on table {} depends on column {name} of table {}",
                    constraint.name, relation.name, relation.name
                ))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
            }
        }
        let on = format!("column {name} of table {}", relation.name);
        let dependents = self.dependents(table, &on, |constraint| {
            constraint.foreign.as_ref().is_some_and(|foreign| foreign.columns.contains(&number))
        });
        self.drop_dependents(&on, dependents, behavior)?;
        for (name, kind) in Session::constraints_of_column(&relation, number) {
            // The column is about to go, so NOT NULL has nothing left to protect.
            if kind != ConstraintKind::NotNull {
                self.drop_constraint(table, &name, false, Behavior::Cascade)?;
            }
        }
        for index in self.relation(table).indexes.clone() {
            if !self.index_reads_column(&index, table, number)? {
                continue;
            }
            // A key goes with a column that its index only includes.
            let relation = self.relation(table);
            match relation.constraints.iter().find(|constraint| Some(constraint.oid) == index.constraint) {
                Some(key) => self.drop_constraint(table, &key.name, false, Behavior::Cascade)?,
                None => self.remove_index(index.oid)?,
            }
        }
        for sequence in self.owned_sequences(table, Some(number)) {
            self.remove_relation_rows(sequence.oid)?;
            if let Some(file) = sequence.file {
                self.drop_file(file);
            }
        }
        let mut changed = (*self.relation(table)).clone();
        changed.constraints.retain(|constraint| !constraint.columns.contains(&number));
        let column = &mut changed.columns[number as usize - 1];
        column.dropped = true;
        column.name = format!("........pg.dropped.{number}........").into();
        column.not_null = false;
        column.default = None;
        column.identity = None;
        column.generated = None;
        column.missing = None;
        column.comment = None;
        column.statistics = None;
        self.new_column_list(&mut changed)?;
        self.put_relation(changed)?;
        Ok(())
    }

    pub(crate) fn set_column_default(
        &self,
        table: Oid,
        name: &str,
        default: Option<&ast::Expr>,
    ) -> Result<()> {
        let number = self.column_of(table, name)?;
        let relation = self.relation(table);
        let column = relation.column(number).expect("found by name");
        if column.identity.is_some() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("column \"{name}\" of relation \"{}\" is an identity column", relation.name),
            )
            .hint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead."));
        }
        if column.generated.is_some() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("column \"{name}\" of relation \"{}\" is a generated column", relation.name),
            ));
        }
        let mut changed = (*relation).clone();
        changed.columns[number as usize - 1].default = None;
        self.put_relation(changed)?;
        match default {
            Some(expr) => self.bind_defaults(table, vec![(number, expr.clone())]),
            None => Ok(()),
        }
    }

    pub(crate) fn drop_not_null(&self, table: Oid, name: &str) -> Result<()> {
        let number = self.column_of(table, name)?;
        let mut relation = (*self.relation(table)).clone();
        if !relation.columns[number as usize - 1].not_null {
            return Ok(());
        }
        self.require_nullable(&relation, number)?;
        relation.columns[number as usize - 1].not_null = false;
        relation.constraints.retain(|c| !(c.kind == ConstraintKind::NotNull && c.columns == [number]));
        self.put_relation(relation)?;
        Ok(())
    }

    /// `DROP NOT NULL`, for a table and its children.
    pub(crate) fn drop_not_null_tree(&self, table: Oid, name: &str, recurse: bool) -> Result<()> {
        let number = self.column_of(table, name)?;
        let relation = self.relation(table);
        let found = relation
            .constraints
            .iter()
            .find(|c| c.kind == ConstraintKind::NotNull && c.columns == [number])
            .cloned();
        if let Some(constraint) = found {
            if constraint.origin.is_inherited() {
                return Err(Error::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    format!(
                        "cannot drop inherited constraint \"{}\" of relation \"{}\"",
                        constraint.name, relation.name
                    ),
                ));
            }
            self.require_nullable(&relation, number)?;
            self.take_back(&relation, &constraint, recurse)?;
        }
        self.drop_not_null(table, name)
    }

    pub(crate) fn alter_column_type(
        &self,
        table: Oid,
        name: &str,
        type_name: &TypeName,
        using: Option<&ast::Expr>,
    ) -> Result<()> {
        let number = self.column_of(table, name)?;
        let relation = self.relation(table);
        let column = relation.column(number).expect("found by name");
        let ty = self.bind_type(type_name)?;
        check_column_type(name, ty)?;
        if column.generated.is_some() {
            return Err(Error::unsupported("changing the type of a generated column"));
        }
        let old = column.ty;
        if using.is_none() && old == ty {
            return Ok(());
        }
        if let Some(view) = self.views_using_column(table, number)?.first() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot alter type of a column used by a view or rule",
            )
            .detail(format!("rule _RETURN on view {} depends on column \"{name}\"", view.name)));
        }
        if let Some(trigger) = self.triggers_of_column(&relation, number).first() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot alter type of a column used in a trigger definition",
            )
            .detail(format!("trigger {trigger} on table {} depends on column \"{name}\"", relation.name)));
        }
        let in_place = using.is_none() && is_widening(old, ty);
        let conversion =
            if in_place { None } else { Some(self.bind_conversion(&relation, number, ty, using)?) };
        let default = column.default.clone();
        let indexed = relation.indexes.clone();
        let mut changed = (*relation).clone();
        let descriptor = &mut changed.columns[number as usize - 1];
        descriptor.ty = ty;
        descriptor.collation = ochre_types::type_info(ty.oid).map_or(Oid::INVALID, |info| info.collation);
        descriptor.statistics = None;
        if let Some(value) = descriptor.missing.take() {
            descriptor.missing = Some(self.convert_value(value, old, ty)?);
        }
        self.new_column_list(&mut changed)?;
        self.put_relation(changed)?;
        if let Some((_, text)) = default {
            let expr = ochre_parser::parse_expression(&text)?;
            self.bind_defaults(table, vec![(number, expr)]).map_err(|error| {
                Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "default for column \"{name}\" cannot be cast automatically to type {}",
                        self.type_text(ty)
                    ),
                )
                .detail(error.message().to_string())
            })?;
        }
        if let Some(conversion) = conversion {
            self.rewrite_table(&relation, Some((number, conversion)))?;
        } else {
            for index in indexed {
                if self.index_reads_column(&index, table, number)? {
                    self.rebuild_index(index.oid)?;
                }
            }
        }
        self.recheck_constraints_of_column(table, number)?;
        self.recheck_foreign_keys(table, number)
    }

    pub(crate) fn add_identity(
        &self,
        table: Oid,
        name: &str,
        always: bool,
        options: &[SequenceOption],
    ) -> Result<()> {
        let number = self.column_of(table, name)?;
        let mut relation = (*self.relation(table)).clone();
        let relation_name = Arc::clone(&relation.name);
        let column = &mut relation.columns[number as usize - 1];
        let refuse = |code, what: &str| {
            Err(Error::new(code, format!("column \"{name}\" of relation \"{relation_name}\" {what}")))
        };
        if !column.not_null {
            return refuse(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "must be declared NOT NULL before identity can be added",
            );
        }
        if column.identity.is_some() {
            return refuse(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "is already an identity column");
        }
        if column.default.is_some() {
            return refuse(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "already has a default value");
        }
        if !matches!(column.ty, SqlType::INT2 | SqlType::INT4 | SqlType::INT8) {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "identity column type must be smallint, integer, or bigint",
            ));
        }
        column.identity = Some(if always { IdentityKind::Always } else { IdentityKind::ByDefault });
        let ty = column.ty;
        self.put_relation(relation)?;
        let sequence = OwnedSequence { column: number, ty, options: options.to_vec(), identity: true };
        self.create_owned_sequence(table, sequence)
    }

    pub(crate) fn set_identity(&self, table: Oid, name: &str, options: &[AlterIdentityOption]) -> Result<()> {
        let number = self.column_of(table, name)?;
        let mut relation = (*self.relation(table)).clone();
        let column = &mut relation.columns[number as usize - 1];
        if column.identity.is_none() {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("column \"{name}\" of relation \"{}\" is not an identity column", relation.name),
            ));
        }
        let mut sequence_options = Vec::new();
        for option in options {
            match option {
                AlterIdentityOption::Generated { always } => {
                    column.identity =
                        Some(if *always { IdentityKind::Always } else { IdentityKind::ByDefault });
                }
                AlterIdentityOption::Sequence(option) => {
                    if matches!(option.kind, SequenceOptionKind::OwnedBy(_) | SequenceOptionKind::As(_)) {
                        return Err(Error::new(SqlState::SYNTAX_ERROR, "sequence option not supported here"));
                    }
                    sequence_options.push(option.clone());
                }
            }
        }
        self.put_relation(relation)?;
        if !sequence_options.is_empty() {
            for sequence in self.owned_sequences(table, Some(number)) {
                self.change_sequence(&sequence, &sequence_options)?;
            }
        }
        Ok(())
    }

    pub(crate) fn drop_identity(&self, table: Oid, name: &str, if_exists: bool) -> Result<()> {
        let number = self.column_of(table, name)?;
        let mut relation = (*self.relation(table)).clone();
        if relation.columns[number as usize - 1].identity.take().is_none() {
            let message =
                format!("column \"{name}\" of relation \"{}\" is not an identity column", relation.name);
            if !if_exists {
                return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
            }
            self.state.notice(Error::with_severity(
                Severity::Notice,
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{message}, skipping"),
            ));
            return Ok(());
        }
        self.put_relation(relation)?;
        for sequence in self.owned_sequences(table, Some(number)) {
            self.remove_relation_rows(sequence.oid)?;
            if let Some(file) = sequence.file {
                self.drop_file(file);
            }
        }
        Ok(())
    }

    pub(crate) fn rename_column(
        &self,
        relation: &Arc<RelationDescriptor>,
        old: &str,
        new: &str,
    ) -> Result<()> {
        self.require_user_relation(relation)?;
        self.state.require(relation, crate::authority::Need::Owner)?;
        let column = relation.column_named(old).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{old}\" does not exist"))
        })?;
        if relation.column_named(new).is_some() {
            return Err(Error::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{new}\" of relation \"{}\" already exists", relation.name),
            ));
        }
        if relation.kind.is_table() || relation.kind == RelationKind::MaterializedView {
            check_column_name(new)?;
        }
        let number = column.number;
        if !self.views_using_column(relation.oid, number)?.is_empty() {
            return Err(Error::unsupported("renaming a column that a view uses"));
        }
        let mut changed = (**relation).clone();
        changed.columns[number as usize - 1].name = new.into();
        // Stored expressions name columns, so each that does is written again with the new name.
        self.rename_in_expressions(relation, &mut changed)?;
        self.rename_in_triggers(&mut changed, old, new);
        let changed = self.put_relation(changed)?;
        for index in changed.indexes.clone() {
            let mut index = (*index).clone();
            let mut touched = self.rename_in_index(relation, &changed, &mut index)?;
            for (position, name) in index.column_names.iter_mut().enumerate() {
                let source = match index.keys.get(position) {
                    Some(key) => key.number,
                    None => index.included[position - index.keys.len()],
                };
                if source == number {
                    *name = new.into();
                    touched = true;
                }
            }
            if touched {
                self.replace_index(index)?;
            }
        }
        Ok(())
    }
}

/// Whether a stored value of the old type is a value of the new one, perhaps after widening it as it is read.
fn is_widening(old: SqlType, new: SqlType) -> bool {
    match (old, new) {
        _ if old.oid == new.oid => typmod_widens(old, new),
        (SqlType::INT2, SqlType::INT4 | SqlType::INT8) | (SqlType::INT4, SqlType::INT8) => true,
        (SqlType::FLOAT4, SqlType::FLOAT8) => true,
        (SqlType { oid: ochre_types::oids::VARCHAR, .. }, SqlType::TEXT) => true,
        (SqlType::TEXT, SqlType { oid: ochre_types::oids::VARCHAR, typmod: -1, .. }) => true,
        _ => false,
    }
}

fn typmod_widens(old: SqlType, new: SqlType) -> bool {
    if new.typmod == -1 {
        // Padding is part of a char(n)'s stored value.
        return old.oid != ochre_types::oids::BPCHAR;
    }
    old.oid == ochre_types::oids::VARCHAR && old.typmod != -1 && old.typmod <= new.typmod
}

/// The letter of a storage word for a column of a type; `None` for the type's own.
///
/// # Errors
/// 22023 for no such word, 0A000 when the type's values have one length.
pub(crate) fn storage_letter(word: &str, ty: SqlType) -> Result<Option<u8>> {
    let own = ochre_types::type_info(ty.oid).map_or(b'x', |info| info.storage);
    let letter = match word.to_ascii_lowercase().as_str() {
        "plain" => b'p',
        "external" => b'e',
        "extended" => b'x',
        "main" => b'm',
        "default" => own,
        _ => {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid storage type \"{word}\""),
            ));
        }
    };
    if letter != b'p' && ty.physical.stored_width().is_some() {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "column data type {} can only have storage PLAIN",
                ochre_types::typmod::format_type(ty.oid, -1)
            ),
        ));
    }
    Ok((letter != own).then_some(letter))
}
