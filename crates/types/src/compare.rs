//! SQL's order, equality and hashing of values and of columns' rows.

use std::cmp::Ordering;

use ochre_base::{Error, Oid, Result, SqlState};

use crate::column::ByteView;
use crate::jsonb::JsonRef;
use crate::range::{order_key, range_subtype};
use crate::{ArrayValue, BytesValues, Column, ColumnValues, Datum, KeyOrder, PhysicalType, Selection, oids};

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
    /// Ranges.
    Range,
}

impl ValueOrder {
    /// The order of a type.
    pub const fn of(oid: Oid) -> ValueOrder {
        match oid {
            oids::BPCHAR => ValueOrder::TrimBlanks,
            oids::BIT | oids::VARBIT => ValueOrder::Bits,
            oids::JSONB => ValueOrder::Jsonb,
            _ if range_subtype(oid).is_some() => ValueOrder::Range,
            _ => ValueOrder::Natural,
        }
    }
}

/// Without the trailing blanks that `bpchar` does not count.
pub fn trim_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().rev().take_while(|byte| **byte == b' ').count();
    &bytes[..bytes.len() - blanks]
}

/// Compares two byte strings of one type.
pub fn compare_bytes(a: &[u8], b: &[u8], order: ValueOrder) -> Ordering {
    match order {
        ValueOrder::Natural => a.cmp(b),
        ValueOrder::TrimBlanks => trim_blanks(a).cmp(trim_blanks(b)),
        // The first four bytes count the bits.
        ValueOrder::Bits => match (a.split_at_checked(4), b.split_at_checked(4)) {
            (Some((a_len, a_bits)), Some((b_len, b_bits))) => {
                a_bits.cmp(b_bits).then_with(|| a_len.cmp(b_len))
            }
            _ => a.cmp(b),
        },
        ValueOrder::Jsonb => JsonRef::new(a).compare(JsonRef::new(b)),
        ValueOrder::Range => order_key(a).cmp(order_key(b)),
    }
}

/// Compares floats as SQL does: NaN above all and equal to itself, both zeros equal.
#[inline]
pub fn compare_f64(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// As [`compare_f64`].
#[inline]
pub fn compare_f32(a: f32, b: f32) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Compares arrays: elements first, then their number, dimensions and, last, lower bounds.
pub fn compare_arrays(a: &ArrayValue, b: &ArrayValue) -> Ordering {
    let order = a.element.order();
    let elements = a.elements.iter().zip(&b.elements).map(|(a, b)| compare_datums(a, b, order));
    elements
        .into_iter()
        .find(|ordering| ordering.is_ne())
        .unwrap_or(Ordering::Equal)
        .then_with(|| compare_shapes(a, b))
}

/// As [`compare_arrays`] where the elements tell no difference.
pub fn compare_shapes(a: &ArrayValue, b: &ArrayValue) -> Ordering {
    (a.elements.len().cmp(&b.elements.len()))
        .then_with(|| a.dimensions.len().cmp(&b.dimensions.len()))
        .then_with(|| {
            let lengths = |array: &ArrayValue| array.dimensions.iter().map(|d| d.length).collect::<Vec<_>>();
            lengths(a).cmp(&lengths(b))
        })
        .then_with(|| {
            let lowers = |array: &ArrayValue| array.dimensions.iter().map(|d| d.lower).collect::<Vec<_>>();
            lowers(a).cmp(&lowers(b))
        })
}

/// Compares two values of one type. NULLs compare equal to each other and above everything else. Values of different
/// types, which only records can bring together, are in the order of their types; [`try_compare`] refuses them.
pub fn compare_datums(a: &Datum, b: &Datum, order: ValueOrder) -> Ordering {
    match (a, b) {
        (Datum::Null, Datum::Null) => Ordering::Equal,
        (Datum::Null, _) => Ordering::Greater,
        (_, Datum::Null) => Ordering::Less,
        (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
        (Datum::Char(a), Datum::Char(b)) => a.cmp(b),
        (Datum::Int16(a), Datum::Int16(b)) => a.cmp(b),
        (Datum::Int32(a), Datum::Int32(b)) => a.cmp(b),
        (Datum::UInt32(a), Datum::UInt32(b)) => a.cmp(b),
        (Datum::Int64(a), Datum::Int64(b)) => a.cmp(b),
        (Datum::UInt64(a), Datum::UInt64(b)) => a.cmp(b),
        (Datum::Float32(a), Datum::Float32(b)) => compare_f32(*a, *b),
        (Datum::Float64(a), Datum::Float64(b)) => compare_f64(*a, *b),
        (Datum::Numeric(a), Datum::Numeric(b)) => a.compare(b),
        (Datum::Bytes(a), Datum::Bytes(b)) => compare_bytes(a, b, order),
        (Datum::Interval(a), Datum::Interval(b)) => a.comparison_value().cmp(&b.comparison_value()),
        (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
        (Datum::Array(a), Datum::Array(b)) => compare_arrays(a, b),
        (Datum::Record(a), Datum::Record(b)) => compare_records(a, b),
        (a, b) => type_number(a).cmp(&type_number(b)),
    }
}

fn type_number(value: &Datum) -> Option<u8> {
    Datum::physical(value).map(|physical| physical as u8)
}

/// As [`compare_datums`], for values that SQL compares directly: records must have the same shape as far as they are
/// looked at.
///
/// # Errors
/// 42804 when fields of records differ in type or number.
pub fn try_compare(a: &Datum, b: &Datum) -> Result<Ordering> {
    match (a, b) {
        (Datum::Record(a), Datum::Record(b)) => {
            for (position, (a, b)) in a.iter().zip(b.iter()).enumerate() {
                if let (Some(one), Some(other)) = (a.physical(), b.physical())
                    && one != other
                {
                    return Err(dissimilar(one, other, position + 1));
                }
                let ordering = try_compare(a, b)?;
                if ordering.is_ne() {
                    return Ok(ordering);
                }
            }
            if a.len() == b.len() { Ok(Ordering::Equal) } else { Err(different_lengths()) }
        }
        (Datum::Array(x), Datum::Array(y)) if x.element.physical == PhysicalType::Record => {
            for (a, b) in x.elements.iter().zip(&y.elements) {
                let ordering = try_compare(a, b)?;
                if ordering.is_ne() {
                    return Ok(ordering);
                }
            }
            Ok(compare_arrays(x, y))
        }
        _ => Ok(compare_datums(a, b, ValueOrder::Natural)),
    }
}

#[cold]
fn dissimilar(one: PhysicalType, other: PhysicalType, position: usize) -> Error {
    let name = |physical: PhysicalType| match physical {
        PhysicalType::Bool => "boolean",
        PhysicalType::Char => "\"char\"",
        PhysicalType::Int16 => "smallint",
        PhysicalType::Int32 => "integer",
        PhysicalType::UInt32 => "oid",
        PhysicalType::Int64 => "bigint",
        PhysicalType::UInt64 => "xid8",
        PhysicalType::Float32 => "real",
        PhysicalType::Float64 => "double precision",
        PhysicalType::Numeric => "numeric",
        PhysicalType::Bytes => "text",
        PhysicalType::Interval => "interval",
        PhysicalType::Uuid => "uuid",
        PhysicalType::Array => "anyarray",
        PhysicalType::Record => "record",
    };
    Error::new(
        SqlState::DATATYPE_MISMATCH,
        format!(
            "cannot compare dissimilar column types {} and {} at record column {position}",
            name(one),
            name(other)
        ),
    )
}

#[cold]
fn different_lengths() -> Error {
    Error::new(SqlState::DATATYPE_MISMATCH, "cannot compare record types with different numbers of columns")
}

/// Compares records field by field.
pub fn compare_records(a: &[Datum], b: &[Datum]) -> Ordering {
    let fields = a.iter().zip(b).map(|(a, b)| compare_datums(a, b, ValueOrder::Natural));
    fields.into_iter().find(|ordering| ordering.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
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
    match (a.is_null(i), b.is_null(j)) {
        (false, false) => {
            let ordering = compare_entries(a, i, b, j, order.order);
            if order.descending { ordering.reverse() } else { ordering }
        }
        (true, true) => Ordering::Equal,
        (true, false) => {
            if order.nulls_first {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
        (false, true) => {
            if order.nulls_first {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
    }
}

/// Compares two rows that are not NULL.
///
/// # Panics
/// When the physical types differ.
#[inline]
pub fn compare_entries(a: &Column, i: usize, b: &Column, j: usize, order: ValueOrder) -> Ordering {
    let (i, j) = (i * a.stride(), j * b.stride());
    match (a.values(), b.values()) {
        (ColumnValues::Bool(a), ColumnValues::Bool(b)) => a[i].cmp(&b[j]),
        (ColumnValues::Char(a), ColumnValues::Char(b)) => a[i].cmp(&b[j]),
        (ColumnValues::Int16(a), ColumnValues::Int16(b)) => a[i].cmp(&b[j]),
        (ColumnValues::Int32(a), ColumnValues::Int32(b)) => a[i].cmp(&b[j]),
        (ColumnValues::UInt32(a), ColumnValues::UInt32(b)) => a[i].cmp(&b[j]),
        (ColumnValues::Int64(a), ColumnValues::Int64(b)) => a[i].cmp(&b[j]),
        (ColumnValues::UInt64(a), ColumnValues::UInt64(b)) => a[i].cmp(&b[j]),
        (ColumnValues::Float32(a), ColumnValues::Float32(b)) => compare_f32(a[i], b[j]),
        (ColumnValues::Float64(a), ColumnValues::Float64(b)) => compare_f64(a[i], b[j]),
        (ColumnValues::Numeric(a), ColumnValues::Numeric(b)) => a[i].compare(&b[j]),
        (ColumnValues::Bytes(a), ColumnValues::Bytes(b)) => compare_views(a, i, b, j, order),
        (ColumnValues::Interval(a), ColumnValues::Interval(b)) => {
            a[i].comparison_value().cmp(&b[j].comparison_value())
        }
        (ColumnValues::Uuid(a), ColumnValues::Uuid(b)) => a[i].cmp(&b[j]),
        (ColumnValues::Array(a), ColumnValues::Array(b)) => compare_arrays(&a[i], &b[j]),
        (ColumnValues::Record(a), ColumnValues::Record(b)) => compare_records(&a[i], &b[j]),
        (a, b) => panic!("{:?} compared with {:?}", a.physical(), b.physical()),
    }
}

#[inline]
fn compare_views(a: &BytesValues, i: usize, b: &BytesValues, j: usize, order: ValueOrder) -> Ordering {
    if order == ValueOrder::Natural {
        // Prefixes are zero-padded: unequal ones decide.
        let (x, y) = (a.views()[i].prefix(), b.views()[j].prefix());
        if x != y {
            return x.cmp(&y);
        }
    }
    compare_bytes(a.get(i), b.get(j), order)
}

/// Whether two rows are equal in SQL's sense; two NULLs are, as in GROUP BY.
///
/// # Panics
/// When the physical types differ.
#[inline]
pub fn equal_rows(a: &Column, i: usize, b: &Column, j: usize, order: ValueOrder) -> bool {
    match (a.is_null(i), b.is_null(j)) {
        (false, false) => equal_entries(a, i, b, j, order),
        (a, b) => a == b,
    }
}

/// Whether two rows that are not NULL are equal.
///
/// # Panics
/// When the physical types differ.
#[inline]
pub fn equal_entries(a: &Column, i: usize, b: &Column, j: usize, order: ValueOrder) -> bool {
    if let (ColumnValues::Bytes(x), ColumnValues::Bytes(y), ValueOrder::Natural) =
        (a.values(), b.values(), order)
    {
        let (i, j) = (i * a.stride(), j * b.stride());
        let (left, right): (ByteView, ByteView) = (x.views()[i], y.views()[j]);
        if left.len() != right.len() || left.prefix() != right.prefix() {
            return false;
        }
        return if left.is_inline() { left == right } else { x.get(i) == y.get(j) };
    }
    compare_entries(a, i, b, j, order) == Ordering::Equal
}

/// Keeps those pairs of rows whose values are equal, for a join's or grouping's candidates: `left[k]` is a row of `a`,
/// `right[k]` one of `b`, and `keep[k]` is cleared when they differ. NULLs equal each other only if `nulls_equal`.
///
/// # Panics
/// When the physical types differ.
pub fn match_pairs(
    a: &Column,
    left: &[u32],
    b: &Column,
    right: &[u32],
    order: ValueOrder,
    nulls_equal: bool,
    keep: &mut [bool],
) {
    macro_rules! fixed {
        ($a:expr, $b:expr) => {{
            for ((keep, i), j) in keep.iter_mut().zip(left).zip(right) {
                *keep &= $a[*i as usize] == $b[*j as usize];
            }
        }};
    }
    let plain = !a.has_nulls() && !b.has_nulls() && !a.is_constant() && !b.is_constant();
    match (a.values(), b.values()) {
        (ColumnValues::Int32(a), ColumnValues::Int32(b)) if plain => fixed!(a, b),
        (ColumnValues::Int64(a), ColumnValues::Int64(b)) if plain => fixed!(a, b),
        _ => {
            for ((keep, i), j) in keep.iter_mut().zip(left).zip(right) {
                let (i, j) = (*i as usize, *j as usize);
                *keep = *keep
                    && match (a.is_null(i), b.is_null(j)) {
                        (false, false) => equal_entries(a, i, b, j, order),
                        (true, true) => nulls_equal,
                        _ => false,
                    };
            }
        }
    }
}

/// What a NULL mixes into a hash.
const NULL_HASH: u64 = 0x6e75_6c6c_6e75_6c6c;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Folds a word into a hash: a full 128-bit product, halves xored, so that every input bit reaches every output bit.
#[inline]
fn mix(hash: u64, word: u64) -> u64 {
    let product =
        u128::from(hash ^ word ^ 0x2d35_8dcc_aa6c_78a5) * u128::from(MULTIPLIER ^ hash.rotate_left(23));
    (product as u64) ^ (product >> 64) as u64
}

/// Mixes a byte string into a hash.
#[inline]
pub fn hash_bytes(bytes: &[u8], hash: u64) -> u64 {
    let mut hash = mix(hash, bytes.len() as u64);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        hash = mix(hash, u64::from_le_bytes(chunk.try_into().expect("chunks of 8 bytes")));
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = mix(hash, u64::from_le_bytes(last));
    }
    hash
}

#[inline]
fn hash_f64(value: f64, hash: u64) -> u64 {
    // Both zeros are one value, and so are all NaNs.
    let bits = if value == 0.0 {
        0
    } else if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    };
    mix(hash, bits)
}

#[inline]
fn hash_ordered_bytes(bytes: &[u8], order: ValueOrder, hash: u64) -> u64 {
    match order {
        ValueOrder::TrimBlanks => hash_bytes(trim_blanks(bytes), hash),
        ValueOrder::Range => hash_bytes(order_key(bytes), hash),
        ValueOrder::Jsonb => {
            // Equal values have one key, whatever their numbers' scales.
            let mut key = Vec::with_capacity(bytes.len());
            JsonRef::new(bytes).encode_key(&mut key);
            hash_bytes(&key, hash)
        }
        _ => hash_bytes(bytes, hash),
    }
}

/// Mixes each selected row's value into `hashes[row]`. Equal values of one type hash alike (numerics of any scale,
/// 0 and -0, bpchar with any number of trailing blanks), and so do equal integers of different widths; all NULLs hash
/// alike. Start with zeros and call it once a key column.
///
/// # Panics
/// When `hashes` is shorter than the column.
pub fn hash_column(column: &Column, selection: Option<&Selection>, order: ValueOrder, hashes: &mut [u64]) {
    let hashes = &mut hashes[..column.len()];
    macro_rules! each {
        ($values:expr, $value:ident, $hash:ident => $body:expr) => {{
            let values = $values;
            let stride = column.stride();
            let mut one = |row: usize| {
                let $hash = hashes[row];
                hashes[row] = if column.is_null(row) {
                    mix($hash, NULL_HASH)
                } else {
                    let $value = &values[row * stride];
                    $body
                };
            };
            match selection {
                None => (0..column.len()).for_each(&mut one),
                Some(selection) => selection.iter().for_each(&mut one),
            }
        }};
    }
    macro_rules! word {
        ($values:expr, $value:ident => $word:expr) => {
            if selection.is_none() && !column.is_constant() && !column.has_nulls() {
                for (hash, $value) in hashes.iter_mut().zip($values) {
                    *hash = mix(*hash, $word);
                }
            } else {
                each!($values, $value, hash => mix(hash, $word))
            }
        };
    }
    match column.values() {
        ColumnValues::Bool(v) => word!(v, x => u64::from(*x)),
        ColumnValues::Char(v) => word!(v, x => u64::from(*x)),
        ColumnValues::Int16(v) => word!(v, x => i64::from(*x) as u64),
        ColumnValues::Int32(v) => word!(v, x => i64::from(*x) as u64),
        ColumnValues::UInt32(v) => word!(v, x => u64::from(*x)),
        ColumnValues::Int64(v) => word!(v, x => *x as u64),
        ColumnValues::UInt64(v) => word!(v, x => *x),
        ColumnValues::Float32(v) => each!(v, x, hash => hash_f64(f64::from(*x), hash)),
        ColumnValues::Float64(v) => each!(v, x, hash => hash_f64(*x, hash)),
        ColumnValues::Numeric(v) => each!(v, x, hash => x.hash_value(mix, hash)),
        ColumnValues::Bytes(v) => {
            let stride = column.stride();
            let mut one = |row: usize| {
                hashes[row] = if column.is_null(row) {
                    mix(hashes[row], NULL_HASH)
                } else {
                    hash_ordered_bytes(v.get(row * stride), order, hashes[row])
                };
            };
            match selection {
                None => (0..column.len()).for_each(&mut one),
                Some(selection) => selection.iter().for_each(&mut one),
            }
        }
        ColumnValues::Interval(v) => each!(v, x, hash => hash_i128(x.comparison_value(), hash)),
        ColumnValues::Uuid(v) => each!(v, x, hash => hash_bytes(x, hash)),
        ColumnValues::Array(v) => each!(v, x, hash => hash_array(x, hash)),
        ColumnValues::Record(v) => each!(v, x, hash => hash_record(x, hash)),
    }
}

fn hash_i128(value: i128, hash: u64) -> u64 {
    mix(mix(hash, value as u64), (value >> 64) as u64)
}

fn hash_array(array: &ArrayValue, hash: u64) -> u64 {
    let order = array.element.order();
    array.elements.iter().fold(mix(hash, array.elements.len() as u64), |hash, e| hash_datum(e, order, hash))
}

fn hash_record(record: &[Datum], hash: u64) -> u64 {
    record.iter().fold(hash, |hash, field| hash_datum(field, ValueOrder::Natural, hash))
}

/// Mixes one value into a hash as [`hash_column`] does.
pub fn hash_datum(value: &Datum, order: ValueOrder, hash: u64) -> u64 {
    match value {
        Datum::Null => mix(hash, NULL_HASH),
        Datum::Bool(value) => mix(hash, u64::from(*value)),
        Datum::Char(value) => mix(hash, u64::from(*value)),
        Datum::Int16(value) => mix(hash, i64::from(*value) as u64),
        Datum::Int32(value) => mix(hash, i64::from(*value) as u64),
        Datum::UInt32(value) => mix(hash, u64::from(*value)),
        Datum::Int64(value) => mix(hash, *value as u64),
        Datum::UInt64(value) => mix(hash, *value),
        Datum::Float32(value) => hash_f64(f64::from(*value), hash),
        Datum::Float64(value) => hash_f64(*value, hash),
        Datum::Numeric(value) => value.hash_value(mix, hash),
        Datum::Bytes(value) => hash_ordered_bytes(value, order, hash),
        Datum::Interval(value) => hash_i128(value.comparison_value(), hash),
        Datum::Uuid(value) => hash_bytes(value, hash),
        Datum::Array(value) => hash_array(value, hash),
        Datum::Record(value) => hash_record(value, hash),
    }
}
