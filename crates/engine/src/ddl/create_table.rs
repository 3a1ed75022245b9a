//! CREATE TABLE.

use std::sync::Arc;

use ochre_base::limits::MAX_TABLE_COLUMNS;
use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::authority::{AclKind, Privileges};
use ochre_catalog::{
    ColumnDescriptor, ColumnList, ConstraintDescriptor, ConstraintKind, Field, GeneratedKind, IdentityKind,
    Inheritance, Origin, RelationDescriptor, RelationKind,
};
use ochre_parser::ast::{
    self, ColumnConstraintKind, ColumnDef, CreateTableStmt, OnCommit, SequenceOption, TableElement, TypeName,
    like_option,
};
use ochre_types::{SqlType, type_info};

use super::constraint::NewConstraint;
use crate::authority::Need;
use crate::session::Session;
use crate::tag::CommandTag;

/// A sequence that a column brings along.
pub(crate) struct OwnedSequence {
    pub column: i16,
    pub ty: SqlType,
    pub options: Vec<SequenceOption>,
    pub identity: bool,
}

/// What a list of column definitions amounts to.
#[derive(Default)]
pub(crate) struct NewColumns {
    pub columns: Vec<ColumnDescriptor>,
    pub constraints: Vec<NewConstraint>,
    pub sequences: Vec<OwnedSequence>,
    /// Defaults and generation expressions as written, by column; bound when all columns are known.
    pub defaults: Vec<(i16, ast::Expr)>,
    /// How many of the columns, the first, parents hand down.
    pub inherited: usize,
    /// How many definitions of columns were read.
    pub definitions: usize,
    /// Columns for which parents have different defaults, unless the table gives its own.
    pub conflicting: Vec<Arc<str>>,
    /// The constraints that parents hand down; their ids and tables are yet to be given.
    pub handed_down: Vec<ConstraintDescriptor>,
    pub inheritance: Inheritance,
    /// `PARTITION BY`.
    pub partition_by: Option<ast::PartitionSpec>,
}

impl Session {
    pub(crate) fn create_table(&self, statement: &CreateTableStmt) -> Result<CommandTag> {
        refuse_unsupported(statement)?;
        super::index::check_options(&statement.options)?;
        let tag = CommandTag::Plain("CREATE TABLE");
        let namespace = self.namespace_for(&statement.name, statement.persistence)?;
        let name = statement.name.name();
        if statement.on_commit != OnCommit::Noop && !self.is_temporary(namespace) {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                "ON COMMIT can only be used on temporary tables",
            ));
        }
        if !self.take_relation_name(namespace, name, statement.if_not_exists)? {
            return Ok(tag);
        }
        let columns = statement.elements.iter().filter(|element| matches!(element, TableElement::Column(_)));
        check_column_count(columns.count())?;
        let mut new = NewColumns::default();
        let persistence = self.persistence_in(namespace);
        let mut parents = self.parents_of_new(&statement.inherits, persistence)?;
        if let Some((parent, _)) = &statement.partition_of {
            parents.push(self.parent_of_partition(parent, persistence)?);
        }
        self.inherit_columns(&parents, &mut new)?;
        new.inheritance.parents = parents.iter().map(|parent| parent.oid).collect();
        if let Some((_, bound)) = &statement.partition_of {
            self.become_partition(&parents[0], name, bound, &mut new)?;
        }
        new.partition_by.clone_from(&statement.partition_by);
        for element in &statement.elements {
            match element {
                TableElement::Column(column) => self.add_column_definition(column, &mut new)?,
                TableElement::Constraint(constraint) => {
                    new.constraints.push(NewConstraint::table(constraint)?)
                }
                TableElement::Like(like) => self.add_like(like, &mut new)?,
            }
        }
        self.check_conflicts(&new)?;
        let kind = match &statement.partition_by {
            Some(_) => RelationKind::PartitionedTable,
            None => RelationKind::Table,
        };
        let table = self.create_table_from(namespace, name, new, kind)?;
        self.note_on_commit(table.oid, statement.on_commit);
        Ok(tag)
    }

    /// Makes a table of columns and constraints that are read already.
    pub(crate) fn create_table_from(
        &self,
        namespace: Oid,
        name: &str,
        new: NewColumns,
        kind: RelationKind,
    ) -> Result<Arc<RelationDescriptor>> {
        check_column_count(new.columns.len())?;
        let file = match kind {
            RelationKind::PartitionedTable => None,
            _ => Some(self.create_file()?),
        };
        let fields =
            new.columns.iter().map(|column| Field { number: column.number, ty: column.ty }).collect();
        let (row_type, array_type) = self.state.instance.new_oid_pair();
        let mut table = RelationDescriptor {
            oid: self.new_oid(),
            namespace,
            name: name.into(),
            kind,
            persistence: self.persistence_in(namespace),
            owner: self.state.user_oid(),
            acl: self.initial_acl(AclKind::Relation, namespace),
            shared: false,
            builtin: false,
            file,
            columns: new.columns,
            column_lists: vec![Arc::new(ColumnList { version: 1, fields })],
            schema_version: 1,
            indexes: Vec::new(),
            constraints: Vec::new(),
            view_query: None,
            has_triggers: false,
            populated: true,
            has_indexes: false,
            triggers: Vec::new(),
            inheritance: new.inheritance,
            sequence: None,
            index: None,
            row_type,
            array_type,
            row_estimate: -1.0,
            page_estimate: 0,
            comment: None,
            options: Vec::new(),
        };
        let oid = table.oid;
        self.lock_relation(oid, ochre_txn::locks::RelationLockMode::AccessExclusive)?;
        table.constraints = self.constraints_handed_down(&table, new.handed_down);
        self.write_first_column_list(&table)?;
        let parents = table.inheritance.parents.clone();
        let is_default = table.inheritance.bound.as_ref().is_some_and(|bound| bound.is_default());
        let is_partition = table.is_partition();
        self.put_relation(table)?;
        self.note_children(&parents)?;
        for sequence in new.sequences {
            self.create_owned_sequence(oid, sequence)?;
        }
        self.bind_defaults(oid, new.defaults)?;
        if let Some(spec) = &new.partition_by {
            self.set_partition_key(oid, spec)?;
        }
        self.add_constraints(oid, new.constraints, false)?;
        if is_partition {
            let parent = self.relation(parents[0]);
            self.check_default_partition(&parent, oid)?;
            if is_default {
                self.note_default(parent.oid, oid)?;
            }
            self.attach_parts(parent.oid, oid)?;
        }
        Ok(self.relation(oid))
    }

    /// A relation that this statement knows to be there.
    pub(crate) fn relation(&self, oid: Oid) -> Arc<RelationDescriptor> {
        Arc::clone(self.state.catalog().relation(oid).expect("the statement holds the relation's lock"))
    }

    /// Reads one column definition.
    pub(crate) fn add_column_definition(&self, definition: &ColumnDef, new: &mut NewColumns) -> Result<()> {
        let name = &definition.name;
        let at = |error: Error| match definition.pos.get() {
            Some(position) => error.at(position),
            None => error,
        };
        let known = new.columns.iter().position(|column| *column.name == **name);
        if known.is_some_and(|at| at >= new.inherited || new.columns[at].origin.local) {
            return Err(Error::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
        check_column_name(name)?;
        if !definition.fdw_options.is_empty() {
            return Err(Error::unsupported("OPTIONS of a column"));
        }
        if definition.compression.as_ref().is_some_and(|c| !matches!(c.as_str(), "lz4" | "default")) {
            return Err(at(Error::unsupported("COMPRESSION other than lz4")));
        }
        if definition.type_name.is_none() && new.inheritance.bound.is_some() {
            return self.add_column_options(definition, known, new);
        }
        let type_name = definition
            .type_name
            .as_ref()
            .ok_or_else(|| Error::new(SqlState::SYNTAX_ERROR, format!("column \"{name}\" has no type")))?;
        let number = known.unwrap_or(new.columns.len()) as i16 + 1;
        let serial = serial_type(type_name);
        let ty = match serial {
            Some(ty) => ty,
            None => self.bind_type(type_name)?,
        };
        check_column_type(name, ty)?;
        let collation = self.column_collation(definition.collation.as_ref(), ty)?;
        let mut column = new_column(number, name, ty);
        column.collation = collation;
        if let Some(storage) = &definition.storage {
            column.storage = super::alter_column::storage_letter(storage, ty)?;
        }
        if serial.is_some() {
            column.not_null = true;
            new.constraints.push(NewConstraint::not_null(number, None));
            new.sequences.push(OwnedSequence { column: number, ty, options: Vec::new(), identity: false });
        }
        self.add_column_constraints(definition, serial.is_some(), column, new)
    }

    /// The options of a partition's column, whose definition is its parent's.
    fn add_column_options(
        &self,
        definition: &ColumnDef,
        known: Option<usize>,
        new: &mut NewColumns,
    ) -> Result<()> {
        let name = &definition.name;
        let Some(position) = known else {
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist")));
        };
        let inherited = &new.columns[position];
        let mut column = new_column(inherited.number, &inherited.name, inherited.ty);
        column.collation = inherited.collation;
        column.storage = match &definition.storage {
            Some(storage) => super::alter_column::storage_letter(storage, inherited.ty)?,
            None => inherited.storage,
        };
        self.add_column_constraints(definition, false, column, new)?;
        // The definition is still the parent's.
        new.columns[position].origin.local = false;
        Ok(())
    }

    fn add_column_constraints(
        &self,
        definition: &ColumnDef,
        serial: bool,
        mut column: ColumnDescriptor,
        new: &mut NewColumns,
    ) -> Result<()> {
        let number = column.number;
        let name = &definition.name;
        let mut null_said = false;
        let mut default_said = serial;
        let conflicting = |what: &str| {
            Error::new(
                SqlState::SYNTAX_ERROR,
                format!("conflicting {what} declarations for column \"{name}\""),
            )
        };
        let multiple_defaults = || {
            Error::new(
                SqlState::SYNTAX_ERROR,
                format!("multiple default values specified for column \"{name}\""),
            )
        };
        let mut last: Option<&ColumnConstraintKind> = None;
        let mut said = SaidAttributes::default();
        for constraint in &definition.constraints {
            if is_attribute(&constraint.kind) {
                said.apply(constraint, last, new.constraints.last_mut())?;
                continue;
            }
            last = Some(&constraint.kind);
            said = SaidAttributes::default();
            let given = constraint.name.as_ref().map(|name| name.as_str());
            match &constraint.kind {
                ColumnConstraintKind::Null if column.not_null => return Err(conflicting("NULL/NOT NULL")),
                ColumnConstraintKind::Null => null_said = true,
                ColumnConstraintKind::NotNull { .. } if null_said => {
                    return Err(conflicting("NULL/NOT NULL"));
                }
                ColumnConstraintKind::NotNull { .. } => {
                    if !column.not_null {
                        column.not_null = true;
                        new.constraints.push(NewConstraint::not_null(number, given));
                    }
                }
                ColumnConstraintKind::Default(_) if default_said => return Err(multiple_defaults()),
                ColumnConstraintKind::Default(expr) => {
                    default_said = true;
                    new.defaults.push((number, expr.clone()));
                }
                ColumnConstraintKind::Identity { .. } if default_said => {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("both default and identity specified for column \"{name}\""),
                    ));
                }
                ColumnConstraintKind::Identity { always, options } => {
                    default_said = true;
                    if !matches!(column.ty, SqlType::INT2 | SqlType::INT4 | SqlType::INT8) {
                        return Err(Error::new(
                            SqlState::INVALID_PARAMETER_VALUE,
                            "identity column type must be smallint, integer, or bigint",
                        ));
                    }
                    column.identity =
                        Some(if *always { IdentityKind::Always } else { IdentityKind::ByDefault });
                    if !column.not_null {
                        column.not_null = true;
                        new.constraints.push(NewConstraint::not_null(number, None));
                    }
                    new.sequences.push(OwnedSequence {
                        column: number,
                        ty: column.ty,
                        options: options.clone(),
                        identity: true,
                    });
                }
                ColumnConstraintKind::Generated { .. } if default_said => return Err(multiple_defaults()),
                ColumnConstraintKind::Generated { stored: false, .. } => {
                    return Err(Error::unsupported("VIRTUAL generated columns"));
                }
                ColumnConstraintKind::Generated { expr, stored: true } => {
                    default_said = true;
                    column.generated = Some(GeneratedKind::Stored);
                    new.defaults.push((number, expr.clone()));
                }
                other => NewConstraint::column(other, number, given, &mut new.constraints)?,
            }
        }
        let (position, place) = (number as usize - 1, new.definitions);
        new.definitions += 1;
        if position < new.columns.len() {
            return self.merge_definition(new, position, column, place);
        }
        new.columns.push(column);
        Ok(())
    }

    /// The collation of a column: only byte order exists, under its several names.
    pub(crate) fn column_collation(&self, given: Option<&ast::ObjectName>, ty: SqlType) -> Result<Oid> {
        let default = type_info(ty.element().unwrap_or(ty).oid).map_or(Oid::INVALID, |info| info.collation);
        let Some(name) = given else {
            return Ok(default);
        };
        if !default.is_valid() {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("collations are not supported by type {}", self.type_text(ty)),
            ));
        }
        match name.name().as_str() {
            "default" => Ok(default),
            other => ochre_sql::collation_named(other).ok_or_else(|| {
                let message = format!("collation \"{other}\" for encoding \"UTF8\" does not exist");
                Error::new(SqlState::UNDEFINED_OBJECT, message)
            }),
        }
    }

    fn add_like(&self, like: &ast::LikeClause, new: &mut NewColumns) -> Result<()> {
        let source = self.require_and_lock(
            &like.table,
            ochre_txn::locks::RelationLockMode::AccessShare,
            Need::Privileges(Privileges::SELECT),
        )?;
        let known =
            like_option::DEFAULTS | like_option::COMMENTS | like_option::STORAGE | like_option::COMPRESSION;
        if like.options != 0 && like.options != like_option::ALL && like.options & !known != 0 {
            return Err(Error::unsupported("LIKE INCLUDING other than DEFAULTS and COMMENTS"));
        }
        if like.options == like_option::ALL {
            return Err(Error::unsupported("LIKE INCLUDING ALL"));
        }
        for column in source.live_columns() {
            if new.columns.iter().any(|known| known.name == column.name) {
                return Err(Error::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{}\" specified more than once", column.name),
                ));
            }
            let number = new.columns.len() as i16 + 1;
            let mut copy = new_column(number, &column.name, column.ty);
            if like.options & like_option::STORAGE != 0 {
                copy.storage = column.storage;
            }
            copy.collation = column.collation;
            copy.not_null = column.not_null;
            if column.not_null {
                new.constraints.push(NewConstraint::not_null(number, None));
            }
            if like.options & like_option::COMMENTS != 0 {
                copy.comment.clone_from(&column.comment);
            }
            if like.options & like_option::DEFAULTS != 0
                && column.generated.is_none()
                && let Some((_, text)) = &column.default
            {
                new.defaults.push((number, ochre_parser::parse_expression(text)?));
            }
            new.columns.push(copy);
        }
        Ok(())
    }
}

/// A column without anything.
pub(crate) fn new_column(number: i16, name: &str, ty: SqlType) -> ColumnDescriptor {
    ColumnDescriptor {
        acl: None,
        number,
        name: name.into(),
        ty,
        collation: type_info(ty.oid).map_or(Oid::INVALID, |info| info.collation),
        not_null: false,
        dropped: false,
        default: None,
        identity: None,
        generated: None,
        missing: None,
        comment: None,
        statistics: None,
        storage: None,
        origin: Origin::LOCAL,
    }
}

/// The integer type of `serial` and its sisters.
pub(crate) fn serial_type(name: &TypeName) -> Option<SqlType> {
    if name.parts.len() != 1 || !name.array_bounds.is_empty() || !name.typmods.is_empty() {
        return None;
    }
    match name.name().as_str() {
        "serial" | "serial4" => Some(SqlType::INT4),
        "bigserial" | "serial8" => Some(SqlType::INT8),
        "smallserial" | "serial2" => Some(SqlType::INT2),
        _ => None,
    }
}

/// Which attributes of one constraint of a column were written already.
#[derive(Default)]
struct SaidAttributes {
    deferrability: bool,
    initially: bool,
    enforcement: bool,
}

fn is_attribute(kind: &ColumnConstraintKind) -> bool {
    matches!(
        kind,
        ColumnConstraintKind::Deferrable
            | ColumnConstraintKind::NotDeferrable
            | ColumnConstraintKind::InitiallyDeferred
            | ColumnConstraintKind::InitiallyImmediate
            | ColumnConstraintKind::Enforced
            | ColumnConstraintKind::NotEnforced
    )
}

impl SaidAttributes {
    /// Applies an attribute clause to the constraint before it.
    fn apply(
        &mut self,
        clause: &ast::ColumnConstraint,
        last: Option<&ColumnConstraintKind>,
        constraint: Option<&mut NewConstraint>,
    ) -> Result<()> {
        use ColumnConstraintKind as Kind;
        let error = |message: String| {
            let error = Error::new(SqlState::SYNTAX_ERROR, message);
            Err(clause.pos.get().map_or(error.clone(), |position| error.at(position)))
        };
        let enforcement = matches!(clause.kind, Kind::Enforced | Kind::NotEnforced);
        let fits = match last {
            Some(Kind::References(_)) => true,
            Some(Kind::PrimaryKey { .. } | Kind::Unique { .. }) => !enforcement,
            Some(Kind::Check { .. }) => enforcement,
            _ => false,
        };
        let (word, group, was_said) = match clause.kind {
            Kind::Deferrable => ("DEFERRABLE", "DEFERRABLE/NOT DEFERRABLE", &mut self.deferrability),
            Kind::NotDeferrable => ("NOT DEFERRABLE", "DEFERRABLE/NOT DEFERRABLE", &mut self.deferrability),
            Kind::InitiallyDeferred => {
                ("INITIALLY DEFERRED", "INITIALLY IMMEDIATE/DEFERRED", &mut self.initially)
            }
            Kind::InitiallyImmediate => {
                ("INITIALLY IMMEDIATE", "INITIALLY IMMEDIATE/DEFERRED", &mut self.initially)
            }
            Kind::Enforced => ("ENFORCED", "ENFORCED/NOT ENFORCED", &mut self.enforcement),
            _ => ("NOT ENFORCED", "ENFORCED/NOT ENFORCED", &mut self.enforcement),
        };
        let Some(constraint) = constraint.filter(|_| fits) else {
            return error(format!("misplaced {word} clause"));
        };
        if std::mem::replace(was_said, true) {
            return error(format!("multiple {group} clauses not allowed"));
        }
        let attributes = constraint.attributes_mut();
        let contradiction = "constraint declared INITIALLY DEFERRED must be DEFERRABLE".to_string();
        match clause.kind {
            Kind::Deferrable => attributes.deferrable = true,
            Kind::NotDeferrable if attributes.initially_deferred => return error(contradiction),
            Kind::NotDeferrable => attributes.deferrable = false,
            Kind::InitiallyDeferred if self.deferrability && !attributes.deferrable => {
                return error(contradiction);
            }
            Kind::InitiallyDeferred => {
                attributes.deferrable = true;
                attributes.initially_deferred = true;
            }
            Kind::NotEnforced => attributes.enforced = false,
            _ => {}
        }
        Ok(())
    }
}

/// Refuses a table's column that is called like a system column.
pub(crate) fn check_column_name(name: &str) -> Result<()> {
    if is_system_column(name) {
        return Err(Error::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column name \"{name}\" conflicts with a system column name"),
        ));
    }
    Ok(())
}

pub(crate) fn is_system_column(name: &str) -> bool {
    matches!(name, "ctid" | "xmin" | "cmin" | "xmax" | "cmax" | "tableoid")
}

/// The columns of a relation that is made from a query's, under the names that the statement gives to the first of them.
///
/// # Errors
/// 42701; 42P16 for what no column can hold.
pub(super) fn columns_of_query<'q>(
    columns: impl ExactSizeIterator<Item = (&'q str, SqlType)>,
    names: &[impl AsRef<str>],
) -> Result<NewColumns> {
    check_column_count(columns.len())?;
    let mut new = NewColumns::default();
    for (i, (own_name, ty)) in columns.enumerate() {
        let name = names.get(i).map_or(own_name, |name| name.as_ref());
        if new.columns.iter().any(|other| *other.name == *name) {
            return Err(Error::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
        let ty = if ty == SqlType::UNKNOWN { SqlType::TEXT } else { ty };
        check_column_type(name, ty)?;
        new.columns.push(new_column(i as i16 + 1, name, ty));
    }
    Ok(new)
}

/// Refuses more columns than a table or view may have.
pub(crate) fn check_column_count(count: usize) -> Result<()> {
    if count > MAX_TABLE_COLUMNS {
        return Err(Error::new(
            SqlState::TOO_MANY_COLUMNS,
            format!("tables can have at most {MAX_TABLE_COLUMNS} columns"),
        ));
    }
    Ok(())
}

/// Refuses pseudo-types as columns.
pub(crate) fn check_column_type(name: &str, ty: SqlType) -> Result<()> {
    let Some(info) = type_info(ty.oid) else {
        return Ok(());
    };
    if info.kind == b'p' {
        return Err(Error::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("column \"{name}\" has pseudo-type {}", info.name),
        ));
    }
    Ok(())
}

fn refuse_unsupported(statement: &CreateTableStmt) -> Result<()> {
    let feature = match statement {
        _ if statement.persistence == ast::Persistence::Unlogged => "CREATE UNLOGGED TABLE",
        _ if statement.of_type.is_some() => "CREATE TABLE … OF",
        _ if statement.foreign.is_some() => "CREATE FOREIGN TABLE",
        _ => {
            if let Some(method) = statement.access_method.as_ref().filter(|method| **method != "heap") {
                return Err(Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("access method \"{method}\" does not exist"),
                ));
            }
            if let Some(tablespace) = statement.tablespace.as_ref().filter(|name| **name != "pg_default") {
                return Err(Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("tablespace \"{tablespace}\" does not exist"),
                ));
            }
            return Ok(());
        }
    };
    Err(Error::unsupported(feature))
}

/// A constraint's descriptor with the usual values.
pub(crate) fn plain_constraint(
    oid: Oid,
    name: &str,
    table: &RelationDescriptor,
    kind: ConstraintKind,
    columns: Vec<i16>,
) -> ConstraintDescriptor {
    ConstraintDescriptor {
        oid,
        name: name.into(),
        namespace: table.namespace,
        table: table.oid,
        kind,
        columns,
        index: Oid::INVALID,
        expression: None,
        foreign: None,
        deferrable: false,
        initially_deferred: false,
        enforced: true,
        validated: true,
        no_inherit: false,
        origin: Origin::LOCAL,
        parent: Oid::INVALID,
        comment: None,
    }
}
