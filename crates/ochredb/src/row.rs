//! Rows of a result.

use std::sync::Arc;

use ochre_engine::OutputColumn;
use ochre_types::Datum;

use crate::{Error, FromValue, Result, SqlState};

/// A column of a result.
///
/// ```
/// let mut connection = ochredb::Database::in_memory()?.connect()?;
/// let rows = connection.query("SELECT 1 AS one", &[])?;
/// let column = rows[0].columns().next().unwrap();
/// assert_eq!((column.name(), column.type_name()), ("one", "int4"));
/// # Ok::<(), ochredb::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Column<'a>(&'a OutputColumn);

impl<'a> Column<'a> {
    /// Its name.
    pub fn name(&self) -> &'a str {
        &self.0.name
    }

    /// Its type's name in `pg_type`.
    pub fn type_name(&self) -> &'static str {
        self.0.ty.name()
    }
}

/// A row of a result.
///
/// ```
/// let mut connection = ochredb::Database::in_memory()?.connect()?;
/// let rows = connection.query("SELECT 7 AS a, 'x' AS b", &[])?;
/// assert_eq!(rows[0].get_named::<String>("b")?, "x");
/// assert_eq!(rows[0].len(), 2);
/// # Ok::<(), ochredb::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Row {
    shape: Arc<[OutputColumn]>,
    values: Vec<Datum>,
}

impl Row {
    pub(crate) fn new(shape: Arc<[OutputColumn]>, values: Vec<Datum>) -> Row {
        Row { shape, values }
    }

    /// How many columns it has.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it has no columns.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Its columns.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = Column<'_>> {
        self.shape.iter().map(Column)
    }

    /// The value of a column by its position from 0.
    ///
    /// # Errors
    /// 42703 when there is no such column; those of [`FromValue`].
    pub fn get<T: FromValue>(&self, index: usize) -> Result<T> {
        let value = self.values.get(index).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_COLUMN, format!("the row has no column at position {index}"))
        })?;
        T::from_value(value, self.shape[index].ty)
    }

    /// The value of a column by its name.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn get_named<T: FromValue>(&self, name: &str) -> Result<T> {
        let index = self.shape.iter().position(|column| *column.name == *name).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_COLUMN, format!("the row has no column \"{name}\""))
        })?;
        self.get(index)
    }
}
