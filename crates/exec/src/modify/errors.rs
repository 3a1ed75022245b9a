//! Errors of violated constraints, with PostgreSQL's fields.

use ochre_base::{Error, SqlState};
use ochre_catalog::ConstraintDescriptor;
use ochre_types::{Datum, FormatContext, SqlType, to_text};

use crate::relation::{IndexAccess, TableAccess};

/// Longer values are cut in DETAIL.
const MAX_VALUE_BYTES: usize = 64;

/// Where messages find the name of a table's namespace.
pub struct TableName<'a> {
    pub schema: String,
    pub table: &'a TableAccess,
}

impl TableName<'_> {
    fn name(&self) -> &str {
        &self.table.descriptor.name
    }
}

/// XX001: a foreign key whose types do not compare, or whose tables or columns are not there. DDL leaves none.
#[cold]
pub fn misfit_foreign_key(constraint: &ConstraintDescriptor) -> Error {
    Error::corrupt(format!("foreign key \"{}\" does not fit its tables", constraint.name))
}

/// 23502.
#[cold]
pub fn not_null_violation(
    table: &TableName<'_>,
    column: usize,
    row: &[Datum],
    format: &FormatContext,
) -> Error {
    let column = &table.table.descriptor.columns[column].name;
    Error::new(
        SqlState::NOT_NULL_VIOLATION,
        format!(
            "null value in column \"{column}\" of relation \"{}\" violates not-null constraint",
            table.name()
        ),
    )
    .detail(format!("Failing row contains {}.", row_text(table.table, row, format)))
    .table(&*table.schema, table.name())
    .column(&**column)
}

/// 23514.
#[cold]
pub fn check_violation(
    table: &TableName<'_>,
    constraint: &str,
    row: &[Datum],
    format: &FormatContext,
) -> Error {
    Error::new(
        SqlState::CHECK_VIOLATION,
        format!("new row for relation \"{}\" violates check constraint \"{constraint}\"", table.name()),
    )
    .detail(format!("Failing row contains {}.", row_text(table.table, row, format)))
    .table(&*table.schema, table.name())
    .constraint(constraint)
}

/// 44000.
#[cold]
pub fn view_check_violation(
    table: &TableName<'_>,
    view: &str,
    row: &[Datum],
    format: &FormatContext,
) -> Error {
    Error::new(
        SqlState::WITH_CHECK_OPTION_VIOLATION,
        format!("new row violates check option for view \"{view}\""),
    )
    .detail(format!("Failing row contains {}.", row_text(table.table, row, format)))
}

/// 23505.
#[cold]
pub fn unique_violation(
    table: &TableName<'_>,
    index: &IndexAccess,
    key: &[Datum],
    format: &FormatContext,
) -> Error {
    let name = &index.descriptor.name;
    Error::new(
        SqlState::UNIQUE_VIOLATION,
        format!("duplicate key value violates unique constraint \"{name}\""),
    )
    .detail(format!("Key {} already exists.", key_text(table.table, index, key, format)))
    .table(&*table.schema, table.name())
    .constraint(&**name)
}

/// 23503: a row refers to nothing.
#[cold]
pub fn foreign_key_violation(
    table: &TableName<'_>,
    constraint: &ConstraintDescriptor,
    parent: &str,
    values: &[Datum],
    format: &FormatContext,
) -> Error {
    let key = columns_text(table.table, &constraint.columns, values, format);
    Error::new(SqlState::FOREIGN_KEY_VIOLATION, refers_message(table, constraint))
        .detail(format!("Key {key} is not present in table \"{parent}\"."))
        .table(&*table.schema, table.name())
        .constraint(&*constraint.name)
}

/// 23503: MATCH FULL.
#[cold]
pub fn mixed_key_violation(table: &TableName<'_>, constraint: &ConstraintDescriptor) -> Error {
    Error::new(SqlState::FOREIGN_KEY_VIOLATION, refers_message(table, constraint))
        .detail("MATCH FULL does not allow mixing of null and nonnull key values.")
        .table(&*table.schema, table.name())
        .constraint(&*constraint.name)
}

fn refers_message(table: &TableName<'_>, constraint: &ConstraintDescriptor) -> String {
    format!(
        "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
        table.name(),
        constraint.name
    )
}

/// 23503 or, for RESTRICT, 23001: a key that went is referred to by rows of `table`.
#[cold]
pub fn still_referenced(
    table: &TableName<'_>,
    constraint: &ConstraintDescriptor,
    parent: &TableAccess,
    values: &[Datum],
    restrict: bool,
    format: &FormatContext,
) -> Error {
    let columns = constraint.foreign.as_ref().map_or(&[][..], |foreign| &foreign.columns);
    let key = columns_text(parent, columns, values, format);
    let (code, violates, still) = if restrict {
        (SqlState::RESTRICT_VIOLATION, "RESTRICT setting of foreign key constraint", "")
    } else {
        (SqlState::FOREIGN_KEY_VIOLATION, "foreign key constraint", "still ")
    };
    Error::new(
        code,
        format!(
            "update or delete on table \"{}\" violates {violates} \"{}\" on table \"{}\"",
            parent.descriptor.name,
            constraint.name,
            table.name()
        ),
    )
    .detail(format!("Key {key} is {still}referenced from table \"{}\".", table.name()))
    .table(&*table.schema, table.name())
    .constraint(&*constraint.name)
}

/// 23503: a partition is about to go, with a row that is referred to.
#[cold]
pub fn partition_referenced(
    table: &TableName<'_>,
    constraint: &ConstraintDescriptor,
    partition: &TableAccess,
    values: &[Datum],
    format: &FormatContext,
) -> Error {
    let columns = constraint.foreign.as_ref().map_or(&[][..], |foreign| &foreign.columns);
    let key = columns_text(partition, columns, values, format);
    Error::new(
        SqlState::FOREIGN_KEY_VIOLATION,
        format!(
            "removing partition \"{}\" violates foreign key constraint \"{}\"",
            partition.descriptor.name, constraint.name
        ),
    )
    .detail(format!("Key {key} is still referenced from table \"{}\".", table.name()))
    .table(&*table.schema, table.name())
    .constraint(&*constraint.name)
}

/// `(a, b)=(1, x)` of a table's columns.
fn columns_text(table: &TableAccess, numbers: &[i16], values: &[Datum], format: &FormatContext) -> String {
    let columns = || numbers.iter().filter_map(|number| table.descriptor.column(*number));
    let names: Vec<&str> = columns().map(|column| &*column.name).collect();
    let values: Vec<String> =
        columns().zip(values).map(|(column, value)| value_text(column.ty, value, format)).collect();
    format!("({})=({})", names.join(", "), values.join(", "))
}

/// 23514: a row does not belong to a partition.
#[cold]
pub fn partition_violation(table: &TableName<'_>, row: &[Datum], format: &FormatContext) -> Error {
    Error::new(
        SqlState::CHECK_VIOLATION,
        format!("new row for relation \"{}\" violates partition constraint", table.name()),
    )
    .detail(format!("Failing row contains {}.", row_text(table.table, row, format)))
    .table(&*table.schema, table.name())
}

/// 23514: no partition takes a row; `key` are the key's columns as text, `values` its values with their types.
#[cold]
pub fn no_partition(
    schema: String,
    table: &str,
    key: &str,
    values: &[(SqlType, Datum)],
    format: &FormatContext,
) -> Error {
    let texts: Vec<String> = values.iter().map(|(ty, value)| value_text(*ty, value, format)).collect();
    Error::new(SqlState::CHECK_VIOLATION, format!("no partition of relation \"{table}\" found for row"))
        .detail(format!("Partition key of the failing row contains ({key}) = ({}).", texts.join(", ")))
        .table(schema, table)
}

/// 0A000: DO UPDATE would move a row to another partition.
#[cold]
pub fn conflict_moves() -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, "invalid ON UPDATE specification")
        .detail("The result tuple would appear in a different partition than the original tuple.")
}

/// 55000.
#[cold]
pub fn deferrable_arbiter(table: &TableName<'_>, index: &IndexAccess) -> Error {
    Error::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters",
    )
    .table(&*table.schema, table.name())
    .constraint(&*index.descriptor.name)
}

/// 23505, for an index that is being built.
#[cold]
pub fn cannot_create_unique(
    table: &TableName<'_>,
    index: &IndexAccess,
    key: &[Datum],
    format: &FormatContext,
) -> Error {
    let name = &index.descriptor.name;
    Error::new(SqlState::UNIQUE_VIOLATION, format!("could not create unique index \"{name}\""))
        .detail(format!("Key {} is duplicated.", key_text(table.table, index, key, format)))
        .table(&*table.schema, table.name())
        .constraint(&**name)
}

/// 21000.
#[cold]
pub fn conflict_twice() -> Error {
    Error::new(
        SqlState::CARDINALITY_VIOLATION,
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
    )
    .hint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")
}

/// `(id, lower(name))=(1, x)`.
fn key_text(table: &TableAccess, index: &IndexAccess, key: &[Datum], format: &FormatContext) -> String {
    let names: Vec<&str> = index
        .descriptor
        .keys
        .iter()
        .map(|key| match table.descriptor.column(key.number) {
            Some(column) if key.number > 0 => &*column.name,
            _ => key.expression.as_deref().unwrap_or("?"),
        })
        .collect();
    let values: Vec<String> =
        index.keys.iter().zip(key).map(|((ty, _), value)| value_text(*ty, value, format)).collect();
    format!("({})=({})", names.join(", "), values.join(", "))
}

/// `(1, abc, null)`: the live columns of a target image.
pub fn row_text(table: &TableAccess, row: &[Datum], format: &FormatContext) -> String {
    let live = table.descriptor.columns.iter().zip(row).filter(|(column, _)| !column.dropped);
    let values: Vec<String> = live.map(|(column, value)| cut(value_text(column.ty, value, format))).collect();
    format!("({})", values.join(", "))
}

fn value_text(ty: SqlType, value: &Datum, format: &FormatContext) -> String {
    // The error is told without a value that nobody waits for.
    if value.is_null() { "null".to_owned() } else { to_text(ty, value, format).unwrap_or_default() }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_VALUE_BYTES {
        let mut end = MAX_VALUE_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("...");
    }
    text
}
