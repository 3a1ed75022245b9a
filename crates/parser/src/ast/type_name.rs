//! Type names as written in casts, column definitions and signatures.

use super::{Expr, Name, NameParts, ObjectName, Pos};

/// The name of a type with modifiers, array bounds and SETOF.
///
/// SQL's own spellings are normalised as PostgreSQL does: `int` is `pg_catalog.int4`, `varchar(3)` is
/// `pg_catalog.varchar` with the modifier 3, `char` is `pg_catalog.bpchar` with the modifier 1, `timestamp(3) with time
/// zone` is `pg_catalog.timestamptz` with 3. Intervals with fields carry the mask of [`interval_mask`] as first modifier.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeName {
    /// At least one part, unless `percent_type` where at least two.
    pub parts: NameParts,
    /// The expressions between parentheses after the name.
    pub typmods: Vec<Expr>,
    /// One entry a dimension: its bound, or `None` for `[]`.
    pub array_bounds: Vec<Option<i32>>,
    pub setof: bool,
    /// `relation.column%TYPE`.
    pub percent_type: bool,
    pub pos: Pos,
}

impl TypeName {
    /// A type of `pg_catalog` without modifiers.
    pub fn system(name: &'static str, pos: Pos) -> TypeName {
        TypeName {
            parts: ObjectName::system(name, pos).parts,
            typmods: Vec::new(),
            array_bounds: Vec::new(),
            setof: false,
            percent_type: false,
            pos,
        }
    }

    /// The last part of the name.
    pub fn name(&self) -> &Name {
        self.parts.last().expect("a type name has at least one part")
    }

    /// The schema, if the name is qualified.
    pub fn schema(&self) -> Option<&Name> {
        self.parts.len().checked_sub(2).map(|i| &self.parts[i])
    }

    /// The name in `pg_catalog`, if the type is explicitly qualified with it.
    pub fn system_name(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [schema, name] if schema == "pg_catalog" => Some(name),
            _ => None,
        }
    }
}

/// The bits of an interval's fields, as in PostgreSQL's type modifiers.
pub mod interval_mask {
    pub const MONTH: i32 = 1 << 1;
    pub const YEAR: i32 = 1 << 2;
    pub const DAY: i32 = 1 << 3;
    pub const HOUR: i32 = 1 << 10;
    pub const MINUTE: i32 = 1 << 11;
    pub const SECOND: i32 = 1 << 12;
    /// No restriction; stands before a bare precision.
    pub const FULL_RANGE: i32 = 0x7FFF;
}
