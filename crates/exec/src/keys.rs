//! Turns key columns into the words and bytes that [`crate::key_table`] numbers.
//!
//! # Invariants
//! - Equal values of one type (K1 of the key table) become equal keys: floats have one zero and one NaN, numerics no
//!   scale, `bpchar` no trailing blanks. Integers of different widths, and floats, become keys of the same form.
//! - Keys of several columns are concatenations of self-delimiting parts, so no two different lists coincide.

use std::sync::Arc;

use ochre_base::Result;
use ochre_types::{Column, ColumnValues, KeyOrder, PhysicalType, SqlType, ValueOrder, key};

/// How the keys of an operator are formed; decided once from the key types.
#[derive(Debug, Clone)]
pub struct KeyLayout {
    orders: Vec<(PhysicalType, ValueOrder)>,
    word: bool,
    /// Two integers of at most 32 bits make one word.
    packed: bool,
    /// Columns whose NULLs do not make a key NULL; empty when there are none.
    null_safe: Vec<bool>,
}

/// The keys of one batch's rows. Buffers are reused from batch to batch.
#[derive(Debug, Default)]
pub struct BatchKeys {
    /// Keys by row, with a layout of words.
    pub words: Vec<u64>,
    /// Second halves of packed words.
    second: Vec<u64>,
    /// The key of row `i` is `bytes[ends[i - 1]..ends[i]]`, with a layout of bytes.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// Whether any key column (that is not null-safe) is NULL in the row; empty when none is in any row.
    nulls: Vec<bool>,
}

impl KeyLayout {
    /// The layout for keys of these types.
    pub fn new(types: impl IntoIterator<Item = SqlType>) -> KeyLayout {
        let orders: Vec<_> = types.into_iter().map(|ty| (ty.physical, ty.order())).collect();
        let word = orders.len() == 1 && is_word(orders[0].0);
        KeyLayout { orders, word, packed: false, null_safe: Vec::new() }
    }

    /// The layout for keys of these types where a key with a NULL is looked at no further: more of them are words.
    pub fn without_nulls(types: impl IntoIterator<Item = SqlType>) -> KeyLayout {
        let mut layout = KeyLayout::new(types);
        let half = |physical: PhysicalType| {
            matches!(physical, PhysicalType::Int16 | PhysicalType::Int32 | PhysicalType::UInt32)
        };
        if let [(first, _), (second, _)] = layout.orders.as_slice()
            && half(*first)
            && half(*second)
        {
            layout.word = true;
            layout.packed = true;
        }
        layout
    }

    /// The same keys, as bytes in any case: then NULL has a key of its own.
    #[must_use]
    pub fn into_bytes(self) -> KeyLayout {
        KeyLayout { word: false, packed: false, ..self }
    }

    /// The same keys, where NULLs of the columns marked equal each other: such a NULL does not make the key NULL.
    #[must_use]
    pub fn with_null_safe(self, null_safe: &[bool]) -> KeyLayout {
        if !null_safe.contains(&true) {
            return self;
        }
        KeyLayout { word: false, packed: false, null_safe: null_safe.to_vec(), ..self }
    }

    /// Whether keys are single words; a NULL key then has no word and is known by [`BatchKeys::is_null`] only.
    pub fn is_word(&self) -> bool {
        self.word
    }

    /// Forms the keys of all rows for which `active` holds positions; others get unspecified keys.
    ///
    /// # Errors
    /// 0A000 for types without a key form.
    pub fn encode(
        &self,
        columns: &[Arc<Column>],
        rows: usize,
        active: impl Iterator<Item = usize> + Clone,
        keys: &mut BatchKeys,
    ) -> Result<()> {
        keys.clear();
        let is_safe = |i: usize| self.null_safe.get(i) == Some(&true);
        for (_, column) in columns.iter().enumerate().filter(|(i, column)| !is_safe(*i) && column.has_nulls())
        {
            keys.nulls.resize(rows, false);
            for row in active.clone() {
                keys.nulls[row] |= column.is_null(row);
            }
        }
        if self.word {
            encode_words(&columns[0], rows, &mut keys.words);
            if self.packed {
                encode_words(&columns[1], rows, &mut keys.second);
                for (word, second) in keys.words.iter_mut().zip(&keys.second) {
                    *word = *word << 32 | (*second & 0xFFFF_FFFF);
                }
            }
            return Ok(());
        }
        keys.ends.reserve(rows);
        let mut next = 0;
        for row in active {
            keys.ends.resize(keys.ends.len() + (row - next), keys.bytes.len() as u32);
            for (column, (physical, order)) in columns.iter().zip(&self.orders) {
                encode_part(column, row, *physical, *order, &mut keys.bytes)?;
            }
            keys.ends.push(keys.bytes.len() as u32);
            next = row + 1;
        }
        keys.ends.resize(rows, keys.bytes.len() as u32);
        Ok(())
    }
}

impl BatchKeys {
    /// The key of a row, with a layout of bytes.
    #[inline]
    pub fn bytes(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        &self.bytes[start..self.ends[row] as usize]
    }

    /// Whether any key column that is not null-safe is NULL in the row.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        !self.nulls.is_empty() && self.nulls[row]
    }

    /// Whether any row has a NULL in its key.
    pub fn has_nulls(&self) -> bool {
        !self.nulls.is_empty()
    }

    fn clear(&mut self) {
        self.words.clear();
        self.second.clear();
        self.bytes.clear();
        self.ends.clear();
        self.nulls.clear();
    }
}

fn is_word(physical: PhysicalType) -> bool {
    use PhysicalType as P;
    matches!(
        physical,
        P::Bool | P::Char | P::Int16 | P::Int32 | P::UInt32 | P::Int64 | P::UInt64 | P::Float32 | P::Float64
    )
}

/// One zero and one NaN.
#[inline]
fn float_word(value: f64) -> u64 {
    match value {
        v if v.is_nan() => f64::NAN.to_bits(),
        0.0 => 0,
        v => v.to_bits(),
    }
}

fn encode_words(column: &Column, rows: usize, words: &mut Vec<u64>) {
    macro_rules! fill {
        ($vector:expr, $convert:expr) => {{
            let vector = $vector;
            if column.is_constant() {
                words.resize(rows, vector.first().map_or(0, $convert));
            } else {
                words.extend(vector.iter().map($convert));
            }
        }};
    }
    match column.values() {
        ColumnValues::Bool(v) => fill!(v, |x| u64::from(*x)),
        ColumnValues::Char(v) => fill!(v, |x| u64::from(*x)),
        ColumnValues::Int16(v) => fill!(v, |x| i64::from(*x) as u64),
        ColumnValues::Int32(v) => fill!(v, |x| i64::from(*x) as u64),
        ColumnValues::UInt32(v) => fill!(v, |x| u64::from(*x)),
        ColumnValues::Int64(v) => fill!(v, |x| *x as u64),
        ColumnValues::UInt64(v) => fill!(v, |x| *x),
        ColumnValues::Float32(v) => fill!(v, |x| float_word(f64::from(*x))),
        ColumnValues::Float64(v) => fill!(v, |x| float_word(*x)),
        other => unreachable!("{:?} is not a word", other.physical()),
    }
}

/// Appends one part of a key: a tag for NULL or not, and what identifies the value.
fn encode_part(
    column: &Column,
    row: usize,
    physical: PhysicalType,
    order: ValueOrder,
    out: &mut Vec<u8>,
) -> Result<()> {
    if column.is_null(row) {
        out.push(0);
        return Ok(());
    }
    out.push(1);
    let entry = row * column.stride();
    match column.values() {
        ColumnValues::Bool(v) => out.push(u8::from(v[entry])),
        ColumnValues::Char(v) => out.push(v[entry]),
        ColumnValues::Int16(v) => out.extend_from_slice(&i64::from(v[entry]).to_le_bytes()),
        ColumnValues::Int32(v) => out.extend_from_slice(&i64::from(v[entry]).to_le_bytes()),
        ColumnValues::UInt32(v) => out.extend_from_slice(&i64::from(v[entry]).to_le_bytes()),
        ColumnValues::Int64(v) => out.extend_from_slice(&v[entry].to_le_bytes()),
        ColumnValues::UInt64(v) => out.extend_from_slice(&v[entry].to_le_bytes()),
        ColumnValues::Float32(v) => out.extend_from_slice(&float_word(f64::from(v[entry])).to_le_bytes()),
        ColumnValues::Float64(v) => out.extend_from_slice(&float_word(v[entry]).to_le_bytes()),
        ColumnValues::Uuid(v) => out.extend_from_slice(&v[entry]),
        ColumnValues::Bytes(v) if order == ValueOrder::Natural => {
            let bytes = v.get(entry);
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(bytes);
        }
        ColumnValues::Bytes(v) if order == ValueOrder::TrimBlanks => {
            let bytes = v.get(entry);
            let len = bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
            out.extend_from_slice(&(len as u32).to_le_bytes());
            out.extend_from_slice(&bytes[..len]);
        }
        _ => {
            let order = KeyOrder { order, ..KeyOrder::ASCENDING };
            debug_assert_eq!(physical, column.physical());
            key::encode_key_at(column, row, order, out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ochre_types::Datum;

    use super::*;

    fn encode(types: &[SqlType], columns: &[Arc<Column>], rows: usize) -> BatchKeys {
        let mut keys = BatchKeys::default();
        KeyLayout::new(types.iter().copied()).encode(columns, rows, 0..rows, &mut keys).unwrap();
        keys
    }

    #[test]
    fn floats_have_one_zero_and_one_nan() {
        let column = Arc::new(Column::from(vec![0.0f64, -0.0, f64::NAN, -f64::NAN, 1.5]));
        let keys = encode(&[SqlType::FLOAT8], &[column], 5);
        assert_eq!(keys.words[0], keys.words[1]);
        assert_eq!(keys.words[2], keys.words[3]);
        assert_ne!(keys.words[0], keys.words[4]);
    }

    #[test]
    fn integers_of_all_widths_agree() {
        let narrow = encode(&[SqlType::INT2], &[Arc::new(Column::from(vec![-5i16, 7]))], 2);
        let wide = encode(&[SqlType::INT8], &[Arc::new(Column::from(vec![-5i64, 7]))], 2);
        assert_eq!(narrow.words, wide.words);
    }

    #[test]
    fn parts_do_not_run_together() {
        let a = Arc::new(Column::from_datums(
            PhysicalType::Bytes,
            &[Datum::text("ab"), Datum::text("a"), Datum::Null],
        ));
        let b = Arc::new(Column::from_datums(
            PhysicalType::Bytes,
            &[Datum::text("c"), Datum::text("bc"), Datum::Null],
        ));
        let types = [SqlType::TEXT, SqlType::TEXT];
        let keys = encode(&types, &[a, b], 3);
        assert_ne!(keys.bytes(0), keys.bytes(1));
        assert!(keys.is_null(2) && !keys.is_null(0));
    }

    #[test]
    fn inactive_rows_are_skipped() {
        let a = Arc::new(Column::from_datums(
            PhysicalType::Bytes,
            &[Datum::text("x"), Datum::text("y"), Datum::text("z")],
        ));
        let mut keys = BatchKeys::default();
        let layout = KeyLayout::new([SqlType::TEXT]);
        layout.encode(&[a], 3, [0usize, 2].into_iter(), &mut keys).unwrap();
        assert!(keys.bytes(0).ends_with(b"x") && keys.bytes(2).ends_with(b"z"));
    }
}
