//! SQL's order, equality and hashing of values that are not NULL, and of columns' rows.

use std::cmp::Ordering;

use ochre_base::Oid;

use crate::{Column, Datum, KeyOrder, Selection, oids};

/// Which order a type has beyond its physical type. Equality and hashing go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ValueOrder {
    /// The physical type's: numbers by value (NaN above all and equal to itself), bytes as memcmp.
    #[default]
    Natural,
    /// `bpchar`: trailing blanks do not count.
    TrimBlanks,
    /// `bit`, `varbit`: by bits, then length.
    Bits,
    /// `jsonb`.
    Jsonb,
}

impl ValueOrder {
    /// The order of a type.
    pub const fn of(oid: Oid) -> ValueOrder {
        match oid {
            oids::BPCHAR => ValueOrder::TrimBlanks,
            oids::BIT | oids::VARBIT => ValueOrder::Bits,
            oids::JSONB => ValueOrder::Jsonb,
            _ => ValueOrder::Natural,
        }
    }
}

/// Compares two values of one type. NULLs compare equal to each other and above everything else.
///
/// # Panics
/// When the physical types differ.
pub fn compare_datums(a: &Datum, b: &Datum, order: ValueOrder) -> Ordering {
    let _ = (a, b, order);
    Ordering::Equal
}

/// Whether two values of one type are equal in SQL's sense; two NULLs are.
pub fn equal_datums(a: &Datum, b: &Datum, order: ValueOrder) -> bool {
    compare_datums(a, b, order) == Ordering::Equal
}

/// Compares row `i` of one column with row `j` of another of the same type, NULLs included, in the order of a sort key.
///
/// # Panics
/// When the physical types differ.
pub fn compare_rows(a: &Column, i: usize, b: &Column, j: usize, order: KeyOrder) -> Ordering {
    let _ = (i, j, a, b, order);
    Ordering::Equal
}

/// Whether two rows are equal in SQL's sense; two NULLs are, as in GROUP BY.
///
/// # Panics
/// When the physical types differ.
pub fn equal_rows(a: &Column, i: usize, b: &Column, j: usize, order: ValueOrder) -> bool {
    compare_rows(a, i, b, j, KeyOrder { order, ..KeyOrder::ASCENDING }) == Ordering::Equal
}

/// Mixes each selected row's value into `hashes[row]`. Equal values of one type hash alike (numerics of any scale,
/// 0 and -0, bpchar with any number of trailing blanks); all NULLs hash alike. Start with zeros and call it once a key
/// column.
///
/// # Panics
/// When `hashes` is shorter than the column.
pub fn hash_column(column: &Column, selection: Option<&Selection>, order: ValueOrder, hashes: &mut [u64]) {
    let _ = (column, selection, order, hashes);
}

/// Mixes one value into a hash as [`hash_column`] does.
pub fn hash_datum(value: &Datum, order: ValueOrder, hash: u64) -> u64 {
    let _ = (value, order);
    hash
}
