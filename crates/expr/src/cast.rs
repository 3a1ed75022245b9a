//! Casts between types.

use ochre_base::Oid;
use ochre_types::{Column, ColumnValues, Datum, PhysicalType};

use crate::Function;

/// One row of `pg_cast`, or an I/O cast that every pair with a string type has.
#[derive(Debug, Clone, Copy)]
pub struct CastInfo {
    /// Invalid for the casts that have no row in `pg_cast`.
    pub oid: Oid,
    pub source: Oid,
    pub target: Oid,
    pub context: CastContext,
    pub method: CastMethod,
}

/// Where a cast may be applied without being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    /// In expressions.
    Implicit,
    /// When a value is assigned to a column, and where implicit casts are.
    Assignment,
    /// Only when written.
    Explicit,
}

/// How a cast is carried out.
#[derive(Debug, Clone, Copy)]
pub enum CastMethod {
    /// By a function of the value and, when it takes them, the target's typmod and whether the cast is explicit.
    Function(&'static Function),
    /// The value is the same; only the type changes.
    Relabel,
    /// Through the text form.
    Io,
}

/// A value under another type. `int4` and the types of object ids keep the same 32 bits, and differ in their sign.
pub fn relabel(value: Datum, physical: PhysicalType) -> Datum {
    match (value, physical) {
        (Datum::Int32(value), PhysicalType::UInt32) => Datum::UInt32(value as u32),
        (Datum::UInt32(value), PhysicalType::Int32) => Datum::Int32(value as i32),
        (value, _) => value,
    }
}

/// As [`relabel`], of a column; `None` when it stays as it is.
pub(crate) fn relabel_column(column: &Column, physical: PhysicalType) -> Option<Column> {
    if column.physical() == physical {
        return None;
    }
    match (column.values(), physical) {
        (ColumnValues::Int32(_), PhysicalType::UInt32) | (ColumnValues::UInt32(_), PhysicalType::Int32) => {}
        _ => return None,
    }
    let values: Vec<Datum> = (0..column.len()).map(|row| relabel(column.datum(row), physical)).collect();
    Some(Column::from_datums(physical, &values))
}
