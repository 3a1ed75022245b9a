//! Constraints: reading them, naming them, adding and dropping them.

use std::collections::HashSet;
use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::{ConstraintKind, IndexMethod, RelationDescriptor, RelationKind};
use ochre_parser::ast::{
    self, Behavior, ColumnConstraintKind, ConstraintAttributes, IndexParameters, TableConstraint,
    TableConstraintKind,
};

use super::create_table::plain_constraint;
use super::foreign_key::NewForeignKey;
use super::index::{NewIndex, NewIndexKey};
use super::names;
use crate::errors;
use crate::session::Session;

/// A constraint as it was written, its columns by name or number.
pub(crate) struct NewConstraint {
    name: Option<Box<str>>,
    kind: NewConstraintKind,
    attributes: ConstraintAttributes,
    /// ONLY for a table that may have partitions.
    alone: bool,
}

enum NewConstraintKind {
    NotNull(ColumnRef),
    Check { expr: ast::Expr, column: Option<i16> },
    Key { primary: bool, columns: Vec<ColumnRef>, include: Vec<Box<str>>, nulls_not_distinct: bool },
    Foreign(Box<NewForeignKey>),
}

pub(crate) enum ColumnRef {
    Number(i16),
    Name(Box<str>),
}

impl NewConstraint {
    fn new(name: Option<&str>, kind: NewConstraintKind) -> NewConstraint {
        NewConstraint {
            name: name.map(Box::from),
            kind,
            attributes: ConstraintAttributes::default(),
            alone: false,
        }
    }

    /// NOT NULL of a column.
    pub(crate) fn not_null(column: i16, name: Option<&str>) -> NewConstraint {
        NewConstraint::new(name, NewConstraintKind::NotNull(ColumnRef::Number(column)))
    }

    /// A constraint among a table's elements.
    ///
    /// # Errors
    /// 0A000 for kinds and attributes that do not exist here.
    pub(crate) fn table(constraint: &TableConstraint) -> Result<NewConstraint> {
        let name = constraint.name.as_ref().map(|name| name.as_str());
        let kind = match &constraint.kind {
            TableConstraintKind::Check(expr) => NewConstraintKind::Check { expr: expr.clone(), column: None },
            TableConstraintKind::NotNull(column) => {
                NewConstraintKind::NotNull(ColumnRef::Name(column.as_str().into()))
            }
            TableConstraintKind::PrimaryKey { columns, without_overlaps, index } => {
                key(true, columns, *without_overlaps, index, false)?
            }
            TableConstraintKind::Unique { columns, nulls_not_distinct, without_overlaps, index } => {
                key(false, columns, *without_overlaps, index, *nulls_not_distinct)?
            }
            TableConstraintKind::PrimaryKeyUsingIndex(_) | TableConstraintKind::UniqueUsingIndex(_) => {
                return Err(Error::unsupported("ADD CONSTRAINT … USING INDEX"));
            }
            TableConstraintKind::Exclude(_) => return Err(Error::unsupported("EXCLUDE constraints")),
            TableConstraintKind::ForeignKey { period: true, .. } => {
                return Err(Error::unsupported("PERIOD in FOREIGN KEY constraints"));
            }
            TableConstraintKind::ForeignKey { columns, references, .. } => {
                NewConstraintKind::Foreign(Box::new(NewForeignKey {
                    columns: columns.iter().map(|name| ColumnRef::Name(name.as_str().into())).collect(),
                    references: (**references).clone(),
                }))
            }
        };
        Ok(NewConstraint { name: name.map(Box::from), kind, attributes: constraint.attributes, alone: false })
    }

    /// A constraint of a column definition.
    ///
    /// # Errors
    /// 0A000 for kinds that do not exist here.
    pub(crate) fn column(
        constraint: &ColumnConstraintKind,
        column: i16,
        name: Option<&str>,
        list: &mut Vec<NewConstraint>,
    ) -> Result<()> {
        let column_key = |primary, index: &IndexParameters, nulls_not_distinct| {
            check_index_parameters(index)?;
            Ok::<_, Error>(NewConstraintKind::Key {
                primary,
                columns: vec![ColumnRef::Number(column)],
                include: Vec::new(),
                nulls_not_distinct,
            })
        };
        let kind = match constraint {
            ColumnConstraintKind::Check { expr, .. } => {
                NewConstraintKind::Check { expr: expr.clone(), column: Some(column) }
            }
            ColumnConstraintKind::PrimaryKey { index } => column_key(true, index, false)?,
            ColumnConstraintKind::Unique { nulls_not_distinct, index } => {
                column_key(false, index, *nulls_not_distinct)?
            }
            ColumnConstraintKind::References(references) => {
                NewConstraintKind::Foreign(Box::new(NewForeignKey {
                    columns: vec![ColumnRef::Number(column)],
                    references: (**references).clone(),
                }))
            }
            _ => return Err(Error::internal("a column attribute was taken for a constraint")),
        };
        let mut new = NewConstraint::new(name, kind);
        new.attributes.no_inherit =
            matches!(constraint, ColumnConstraintKind::Check { no_inherit: true, .. });
        list.push(new);
        Ok(())
    }

    /// The same, of this table and none of its partitions.
    pub(crate) fn alone(mut self, alone: bool) -> NewConstraint {
        self.alone = alone;
        self
    }

    /// Whether partitions get an index or a constraint of their own for it.
    pub(crate) fn concerns_partitions(&self) -> bool {
        matches!(self.kind, NewConstraintKind::Key { .. } | NewConstraintKind::Foreign(_))
    }

    /// The columns of a primary key.
    pub(crate) fn primary_key(&self) -> Option<&[ColumnRef]> {
        match &self.kind {
            NewConstraintKind::Key { primary: true, columns, .. } => Some(columns),
            _ => None,
        }
    }

    /// The attributes, for clauses that follow the constraint of a column.
    pub(crate) fn attributes_mut(&mut self) -> &mut ConstraintAttributes {
        &mut self.attributes
    }
}

fn key(
    primary: bool,
    columns: &[ast::Name],
    without_overlaps: bool,
    index: &IndexParameters,
    nulls_not_distinct: bool,
) -> Result<NewConstraintKind> {
    if without_overlaps {
        return Err(Error::unsupported("WITHOUT OVERLAPS"));
    }
    check_index_parameters(index)?;
    Ok(NewConstraintKind::Key {
        primary,
        columns: columns.iter().map(|name| ColumnRef::Name(name.as_str().into())).collect(),
        include: index.include.iter().map(|name| name.as_str().into()).collect(),
        nulls_not_distinct,
    })
}

fn check_index_parameters(index: &IndexParameters) -> Result<()> {
    super::index::check_options(&index.options)?;
    if index.tablespace.as_ref().is_some_and(|name| *name != "pg_default") {
        return Err(Error::unsupported("tablespaces"));
    }
    Ok(())
}

impl Session {
    /// Adds constraints to a table. `existing` rows are checked.
    pub(crate) fn add_constraints(
        &self,
        table: Oid,
        constraints: Vec<NewConstraint>,
        existing: bool,
    ) -> Result<()> {
        // Foreign keys last: they may refer to a key of their own table.
        let (foreign, constraints): (Vec<_>, Vec<_>) = constraints
            .into_iter()
            .partition(|constraint| matches!(constraint.kind, NewConstraintKind::Foreign(_)));
        // Keys first: a primary key says which columns are not null.
        let (keys, others): (Vec<_>, Vec<_>) = constraints
            .into_iter()
            .partition(|constraint| matches!(constraint.kind, NewConstraintKind::Key { .. }));
        let primaries =
            keys.iter().filter(|key| matches!(key.kind, NewConstraintKind::Key { primary: true, .. }));
        let relation = self.relation(table);
        if primaries.count() + usize::from(relation.primary_key().is_some()) > 1 {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("multiple primary keys for table \"{}\" are not allowed", relation.name),
            ));
        }
        for constraint in others.into_iter().chain(keys).chain(foreign) {
            let (attributes, alone) = (constraint.attributes, constraint.alone);
            match constraint.kind {
                NewConstraintKind::Foreign(key) => {
                    self.add_foreign_key(table, constraint.name.as_deref(), &key, attributes, existing)?;
                }
                NewConstraintKind::NotNull(column) => {
                    let number = self.column_number(table, &column)?;
                    self.add_not_null(table, number, constraint.name.as_deref(), existing)?;
                }
                NewConstraintKind::Check { expr, column } => {
                    let check = NewCheck {
                        name: constraint.name.as_deref(),
                        column,
                        validate: existing && !attributes.not_valid && attributes.enforced,
                        not_valid: attributes.not_valid || !attributes.enforced,
                        no_inherit: attributes.no_inherit,
                        enforced: attributes.enforced,
                    };
                    self.add_check(table, &expr, &check)?;
                }
                NewConstraintKind::Key { primary, columns, include, nulls_not_distinct } => {
                    let key = NewKey { primary, columns, include, nulls_not_distinct, attributes, alone };
                    self.add_key(table, constraint.name.as_deref(), key, existing)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn column_number(&self, table: Oid, column: &ColumnRef) -> Result<i16> {
        match column {
            ColumnRef::Number(number) => Ok(*number),
            ColumnRef::Name(name) => {
                let relation = self.relation(table);
                let column = relation.column_named(name).ok_or_else(|| {
                    Error::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("column \"{name}\" named in key does not exist"),
                    )
                })?;
                Ok(column.number)
            }
        }
    }

    /// A constraint's name: given and free, or made up.
    pub(crate) fn constraint_name(
        &self,
        table: &RelationDescriptor,
        given: Option<&str>,
        middle: &str,
        label: &str,
    ) -> Result<String> {
        let taken: HashSet<&str> = table.constraints.iter().map(|c| &*c.name).collect();
        match given {
            Some(name) if taken.contains(name) => Err(Error::new(
                SqlState::DUPLICATE_OBJECT,
                format!("constraint \"{name}\" for relation \"{}\" already exists", table.name),
            )),
            Some(name) => Ok(name.to_string()),
            None => Ok(names::choose(&table.name, middle, label, |name| taken.contains(name))),
        }
    }

    /// Makes a column NOT NULL, with its constraint.
    pub(crate) fn add_not_null(
        &self,
        table: Oid,
        column: i16,
        name: Option<&str>,
        existing: bool,
    ) -> Result<()> {
        let mut relation = (*self.relation(table)).clone();
        let has = relation
            .constraints
            .iter()
            .position(|c| c.kind == ConstraintKind::NotNull && c.columns == [column]);
        if let Some(at) = has {
            if !relation.constraints[at].origin.local {
                let constraint = Arc::make_mut(&mut relation.constraints[at]);
                constraint.origin.local = true;
                if let Some(name) = name.filter(|_| !existing) {
                    constraint.name = name.into();
                }
                self.put_relation(relation)?;
            }
            return Ok(());
        }
        let position = column as usize - 1;
        if existing && !relation.columns[position].not_null {
            self.check_no_nulls(&relation, &[column])?;
        }
        let middle = Arc::clone(&relation.columns[position].name);
        let name = self.constraint_name(&relation, name, &middle, "not_null")?;
        relation.columns[position].not_null = true;
        let constraint =
            plain_constraint(self.new_oid(), &name, &relation, ConstraintKind::NotNull, vec![column]);
        relation.constraints.push(Arc::new(constraint));
        self.put_relation(relation)?;
        Ok(())
    }

    fn add_check(&self, table: Oid, expr: &ast::Expr, check: &NewCheck<'_>) -> Result<()> {
        let relation = self.relation(table);
        let bound = self.bind_check(&relation, expr)?;
        let mut columns = bound.columns;
        columns.sort_unstable();
        let middle = match (check.column, columns.as_slice()) {
            (Some(number), _) => Some(number),
            (None, [number]) => Some(*number),
            _ => None,
        };
        let middle = middle.and_then(|number| relation.column(number)).map(|column| &*column.name);
        let merged = relation.constraints.iter().position(|known| {
            Some(&*known.name) == check.name && known.origin.is_inherited() && !known.origin.local
        });
        if let Some(position) = merged {
            return self.merge_check(&relation, position, &bound.text, check);
        }
        let name = self.constraint_name(&relation, check.name, middle.unwrap_or_default(), "check")?;
        if check.validate {
            self.check_rows(&relation, &name, &bound.text)?;
        }
        let mut relation = (*relation).clone();
        let mut constraint =
            plain_constraint(self.new_oid(), &name, &relation, ConstraintKind::Check, columns);
        constraint.expression = Some(bound.text.into());
        constraint.no_inherit = check.no_inherit;
        constraint.validated = !check.not_valid;
        constraint.enforced = check.enforced;
        relation.constraints.push(Arc::new(constraint));
        self.put_relation(relation)?;
        Ok(())
    }

    /// Adds a check that all rows are known to satisfy.
    pub(crate) fn add_check_of_text(&self, table: Oid, text: &str) -> Result<()> {
        let expr = ochre_parser::parse_expression(text)?;
        let known = NewCheck {
            name: None,
            column: None,
            validate: false,
            not_valid: false,
            no_inherit: false,
            enforced: true,
        };
        self.add_check(table, &expr, &known)
    }

    /// Makes a check that is inherited the table's own, too.
    fn merge_check(
        &self,
        relation: &RelationDescriptor,
        position: usize,
        text: &str,
        check: &NewCheck<'_>,
    ) -> Result<()> {
        let known = &relation.constraints[position];
        let name = &known.name;
        if known.kind != ConstraintKind::Check || known.expression.as_deref() != Some(text) {
            return Err(Error::new(
                SqlState::DUPLICATE_OBJECT,
                format!("constraint \"{name}\" for relation \"{}\" already exists", relation.name),
            ));
        }
        if check.no_inherit {
            return Err(Error::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!(
                    "constraint \"{name}\" conflicts with inherited constraint on relation \"{}\"",
                    relation.name
                ),
            ));
        }
        self.state.notice(Error::with_severity(
            ochre_base::Severity::Notice,
            SqlState::SUCCESSFUL_COMPLETION,
            format!("merging constraint \"{name}\" with inherited definition"),
        ));
        let mut changed = relation.clone();
        Arc::make_mut(&mut changed.constraints[position]).origin.local = true;
        self.put_relation(changed)?;
        Ok(())
    }

    fn add_key(&self, table: Oid, name: Option<&str>, key: NewKey, existing: bool) -> Result<()> {
        let mut numbers = Vec::with_capacity(key.columns.len());
        for column in &key.columns {
            let number = self.column_number(table, column)?;
            if numbers.contains(&number) {
                let relation = self.relation(table);
                let column = relation.column(number).map(|c| c.name.to_string()).unwrap_or_default();
                let kind = if key.primary { "primary key" } else { "unique" };
                return Err(Error::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{column}\" appears twice in {kind} constraint"),
                ));
            }
            numbers.push(number);
        }
        if key.primary {
            for number in &numbers {
                self.add_not_null(table, *number, None, existing)?;
            }
        }
        let relation = self.relation(table);
        let mut included = Vec::with_capacity(key.include.len());
        for name in &key.include {
            let column =
                relation.column_named(name).ok_or_else(|| errors::undefined_column(name, &relation.name))?;
            included.push(column.number);
        }
        super::index::check_column_count(numbers.len() + included.len())?;
        let middle =
            if key.primary { String::new() } else { super::index::joined_names(&relation, &numbers) };
        let label = if key.primary { "pkey" } else { "key" };
        // The index and the constraint share one name, so it must be free for both.
        let taken: HashSet<&str> = relation.constraints.iter().map(|c| &*c.name).collect();
        let catalog = self.state.catalog();
        let name = match name {
            Some(name) => name.to_string(),
            None => names::choose(&relation.name, &middle, label, |name| {
                taken.contains(name) || catalog.relation_in(relation.namespace, name).is_some()
            }),
        };
        if !self.reserve_relation_name(relation.namespace, &name)? {
            return Err(errors::duplicate_relation(&name));
        }
        let constraint_oid = self.new_oid();
        let index = self.create_index_on(
            table,
            NewIndex {
                name: name.clone(),
                method: IndexMethod::BTree,
                keys: numbers.iter().map(|number| NewIndexKey::column(&relation, *number)).collect(),
                included,
                unique: true,
                primary: key.primary,
                nulls_not_distinct: key.nulls_not_distinct,
                predicate: None,
                constraint: Some(constraint_oid),
                immediate: !key.attributes.deferrable,
                options: Vec::new(),
                alone: key.alone,
            },
        )?;
        let mut relation = (*self.relation(table)).clone();
        let kind = if key.primary { ConstraintKind::PrimaryKey } else { ConstraintKind::Unique };
        let mut constraint = plain_constraint(constraint_oid, &name, &relation, kind, numbers);
        constraint.index = index;
        constraint.deferrable = key.attributes.deferrable;
        constraint.initially_deferred = key.attributes.initially_deferred;
        constraint.no_inherit = relation.kind == RelationKind::Table;
        let partitioned = relation.kind == RelationKind::PartitionedTable;
        relation.constraints.push(Arc::new(constraint));
        self.put_relation(relation)?;
        if partitioned && !key.alone {
            self.index_partitions(table, index)?;
        }
        Ok(())
    }

    /// `DROP CONSTRAINT`.
    pub(crate) fn drop_constraint(
        &self,
        table: Oid,
        name: &str,
        if_exists: bool,
        behavior: Behavior,
    ) -> Result<()> {
        let mut relation = (*self.relation(table)).clone();
        let Some(position) = relation.constraints.iter().position(|c| &*c.name == name) else {
            let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", relation.name);
            if !if_exists {
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
            }
            self.state.notice(Error::with_severity(
                ochre_base::Severity::Notice,
                SqlState::UNDEFINED_OBJECT,
                format!("{message}, skipping"),
            ));
            return Ok(());
        };
        let constraint = Arc::clone(&relation.constraints[position]);
        self.lock_referenced(&constraint)?;
        if let Some(foreign) = &constraint.foreign {
            self.require_nothing_pending(&self.relation(foreign.table), "ALTER TABLE")?;
            self.drop_reference_parts(table, constraint.oid)?;
            relation = (*self.relation(table)).clone();
        }
        if matches!(constraint.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique) {
            let index = constraint.index;
            let on = format!("index {}", self.relation(index).name);
            let dependents = self.dependents(table, &on, |other| other.index == index);
            let object = format!("constraint {name} on table {}", relation.name);
            self.drop_dependents(&object, dependents, behavior)?;
            relation = (*self.relation(table)).clone();
        }
        relation.constraints.retain(|known| known.oid != constraint.oid);
        if constraint.kind == ConstraintKind::NotNull {
            let column = constraint.columns[0];
            self.require_nullable(&relation, column)?;
            relation.columns[column as usize - 1].not_null = false;
        }
        self.put_relation(relation)?;
        if matches!(constraint.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique) {
            self.remove_index(constraint.index)?;
        }
        Ok(())
    }

    /// Refuses to make a column nullable that a key or identity needs.
    pub(crate) fn require_nullable(&self, relation: &RelationDescriptor, column: i16) -> Result<()> {
        let descriptor = relation.column(column).expect("the caller found the column");
        if relation.primary_key().is_some_and(|key| key.keys.iter().any(|k| k.number == column)) {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("column \"{}\" is in a primary key", descriptor.name),
            ));
        }
        if descriptor.identity.is_some() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!(
                    "column \"{}\" of relation \"{}\" is an identity column",
                    descriptor.name, relation.name
                ),
            ));
        }
        Ok(())
    }
}

struct NewCheck<'a> {
    name: Option<&'a str>,
    column: Option<i16>,
    /// Whether rows that are there are checked.
    validate: bool,
    not_valid: bool,
    no_inherit: bool,
    enforced: bool,
}

struct NewKey {
    primary: bool,
    columns: Vec<ColumnRef>,
    include: Vec<Box<str>>,
    nulls_not_distinct: bool,
    attributes: ConstraintAttributes,
    alone: bool,
}
