//! Rows of built-in relations, filled by column names.

use std::sync::Arc;

use ochre_base::Oid;
use ochre_types::{ArrayDimension, ArrayValue, Datum, SqlType};

use super::{CatalogRow, RowKey};
use crate::builtin;
use crate::descriptor::RelationDescriptor;

/// Fills a row by column names; what is not set is NULL.
pub(crate) struct RowWriter {
    relation: &'static Arc<RelationDescriptor>,
    values: Vec<Datum>,
}

impl RowWriter {
    /// An all-NULL row of a built-in relation.
    pub(crate) fn new(catalog: Oid) -> RowWriter {
        let relation = builtin::relation(catalog).expect("catalogs are built in");
        RowWriter { relation, values: vec![Datum::Null; relation.columns.len()] }
    }

    /// Sets one column.
    pub(crate) fn set(mut self, column: &str, value: impl Into<Cell>) -> RowWriter {
        let number = self.relation.column_named(column).expect("catalog columns are known").number;
        self.values[number as usize - 1] = value.into().0;
        self
    }

    /// The row's values.
    pub(crate) fn values(self) -> Vec<Datum> {
        self.values
    }

    pub(super) fn row(self, key: RowKey) -> CatalogRow {
        CatalogRow { catalog: self.relation.oid, key, values: self.values }
    }
}

/// A catalog column's value, from whatever the code has at hand.
pub(crate) struct Cell(pub(crate) Datum);

impl From<Datum> for Cell {
    fn from(value: Datum) -> Cell {
        Cell(value)
    }
}
impl From<bool> for Cell {
    fn from(value: bool) -> Cell {
        Cell(Datum::Bool(value))
    }
}
impl From<Oid> for Cell {
    fn from(value: Oid) -> Cell {
        Cell(Datum::UInt32(value.0))
    }
}
impl From<u32> for Cell {
    fn from(value: u32) -> Cell {
        Cell(Datum::UInt32(value))
    }
}
impl From<u8> for Cell {
    fn from(value: u8) -> Cell {
        Cell(Datum::Char(value))
    }
}
impl From<i16> for Cell {
    fn from(value: i16) -> Cell {
        Cell(Datum::Int16(value))
    }
}
impl From<i32> for Cell {
    fn from(value: i32) -> Cell {
        Cell(Datum::Int32(value))
    }
}
impl From<i64> for Cell {
    fn from(value: i64) -> Cell {
        Cell(Datum::Int64(value))
    }
}
impl From<f32> for Cell {
    fn from(value: f32) -> Cell {
        Cell(Datum::Float32(value))
    }
}
impl From<&str> for Cell {
    fn from(value: &str) -> Cell {
        Cell(Datum::text(value))
    }
}
impl From<&Arc<str>> for Cell {
    fn from(value: &Arc<str>) -> Cell {
        Cell(Datum::text(&**value))
    }
}
impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell(Datum::Null), Into::into)
    }
}

/// An array of one dimension whose first element has this subscript: vectors of catalogs count from 0.
pub(crate) fn vector(element: SqlType, lower: i32, elements: Vec<Datum>) -> Datum {
    let mut array = ArrayValue::vector(element, elements);
    if let [dimension] = array.dimensions.as_mut_slice() {
        *dimension = ArrayDimension { lower, ..*dimension };
    }
    Datum::Array(Arc::new(array))
}
