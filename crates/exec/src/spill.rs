//! Batches as bytes: what operators put into temporary files.
//!
//! # On-disk layout
//! A block of [`crate::temp`] holds one batch, all rows active:
//! ```text
//! rows u32 | for each column: flags u8 | values
//! flags: 1 constant (one entry stands for all rows), 2 there are NULLs (a bitmap follows, one bit an entry, set = valid),
//!        4 numerics of one scale, in 64 bits each: the scale u16, the coefficients i64, of NULLs 0
//! values of fixed width: the entries' stored forms, NULLs as zero bytes
//! other values: for each entry that is not NULL its length u32 and its stored form
//! ```
//! Everything is little endian; the stored forms are those of `ochre_types::store`, which rows on disk have too.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_types::{Batch, Bitmap, Column, ColumnBuilder, ColumnValues, Numeric, PhysicalType, store};

const CONSTANT: u8 = 1;
const HAS_NULLS: u8 = 2;
const ONE_SCALE: u8 = 4;
/// The largest scale of numbers in 128 bits.
const MAX_SCALE: u16 = 38;

macro_rules! each_fixed {
    ($values:expr, $vector:ident => $body:expr, else => $other:expr) => {
        match $values {
            ColumnValues::Int16($vector) => $body,
            ColumnValues::Int32($vector) => $body,
            ColumnValues::UInt32($vector) => $body,
            ColumnValues::Int64($vector) => $body,
            ColumnValues::UInt64($vector) => $body,
            ColumnValues::Float32($vector) => $body,
            ColumnValues::Float64($vector) => $body,
            _ => $other,
        }
    };
}

/// Appends the bytes of a batch's active rows.
pub fn encode_batch(batch: Batch, out: &mut Vec<u8>) {
    let batch = batch.compact();
    out.extend_from_slice(&(batch.rows as u32).to_le_bytes());
    for column in &batch.columns {
        encode_column(column, out);
    }
}

fn encode_column(column: &Column, out: &mut Vec<u8>) {
    let nulls = column.has_nulls();
    let flags = if column.is_constant() { CONSTANT } else { 0 } | if nulls { HAS_NULLS } else { 0 };
    let numbers = coefficients(column);
    out.push(flags | if numbers.is_some() { ONE_SCALE } else { 0 });
    let entries = column.values().len();
    if nulls {
        let mut bits = vec![0u8; entries.div_ceil(8)];
        let validity = column.validity().expect("a column with NULLs has a validity");
        for (i, byte) in bits.iter_mut().enumerate() {
            let word = validity.words()[i / 8];
            *byte = (word >> (i % 8 * 8)) as u8;
        }
        out.extend_from_slice(&bits);
    }
    if let Some((scale, coefficients)) = numbers {
        out.extend_from_slice(&scale.to_le_bytes());
        coefficients.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        return;
    }
    each_fixed!(column.values(), vector => {
        for value in vector {
            out.extend_from_slice(&value.to_le_bytes());
        }
    }, else => encode_others(column, entries, out));
}

/// The scale and the coefficients of numerics that have one, in 64 bits.
fn coefficients(column: &Column) -> Option<(u16, Vec<i64>)> {
    let values = column.as_numerics()?;
    let mut scale = None;
    let coefficient = |(entry, value): (usize, &Numeric)| {
        if column.validity().is_some_and(|validity| !validity.get(entry)) {
            return Some(0);
        }
        let (coefficient, own) = value.narrow()?;
        (*scale.get_or_insert(own) == own).then_some(coefficient)
    };
    let coefficients: Option<Vec<i64>> = values.iter().enumerate().map(coefficient).collect();
    Some((scale.unwrap_or(0), coefficients?))
}

/// Entries of the types that are not plain numbers. A constant column's only entry is read as its row 0.
fn encode_others(column: &Column, entries: usize, out: &mut Vec<u8>) {
    let width = column.physical().stored_width();
    for entry in 0..entries {
        let null = column.validity().is_some_and(|validity| !validity.get(entry));
        match width {
            Some(width) if null => out.resize(out.len() + width as usize, 0),
            Some(_) => encode_entry(column, entry, out),
            None if null => {}
            None => {
                let start = out.len();
                out.extend_from_slice(&[0; 4]);
                encode_entry(column, entry, out);
                let length = (out.len() - start - 4) as u32;
                out[start..start + 4].copy_from_slice(&length.to_le_bytes());
            }
        }
    }
}

fn encode_entry(column: &Column, entry: usize, out: &mut Vec<u8>) {
    match column.values() {
        ColumnValues::Bytes(values) => out.extend_from_slice(values.get(entry)),
        // A constant column has one entry, number 0, whatever its length; a constant of no rows is never asked for.
        _ => store::encode_field_at(column, entry, out),
    }
}

/// Reads a batch whose columns have these physical types.
///
/// # Errors
/// XX001 when the bytes are no such batch.
pub fn decode_batch(types: &[PhysicalType], mut bytes: &[u8]) -> Result<Batch> {
    let rows = u32::from_le_bytes(take(&mut bytes, 4)?.try_into().expect("four bytes")) as usize;
    if rows > ochre_base::limits::BATCH_ROWS {
        return Err(damaged());
    }
    let mut columns = Vec::with_capacity(types.len());
    for physical in types {
        columns.push(Arc::new(decode_column(*physical, rows, &mut bytes)?));
    }
    if !bytes.is_empty() {
        return Err(damaged());
    }
    Ok(Batch::new(columns, rows))
}

fn decode_column(physical: PhysicalType, rows: usize, bytes: &mut &[u8]) -> Result<Column> {
    let flags = take(bytes, 1)?[0];
    let constant = flags & CONSTANT != 0;
    let entries = if constant { 1 } else { rows };
    let mut validity = None;
    if flags & HAS_NULLS != 0 {
        let bits = take(bytes, entries.div_ceil(8))?;
        validity = Some(Bitmap::from_bools((0..entries).map(|i| bits[i / 8] >> (i % 8) & 1 != 0)));
    }
    macro_rules! fixed {
        ($variant:ident $type:ty) => {{
            let raw = take(bytes, entries * size_of::<$type>())?;
            let values = raw
                .chunks_exact(size_of::<$type>())
                .map(|chunk| <$type>::from_le_bytes(chunk.try_into().expect("a chunk of that size")))
                .collect();
            Column::new(ColumnValues::$variant(values), validity)
        }};
    }
    let column = match physical {
        PhysicalType::Int16 => fixed!(Int16 i16),
        PhysicalType::Int32 => fixed!(Int32 i32),
        PhysicalType::UInt32 => fixed!(UInt32 u32),
        PhysicalType::Int64 => fixed!(Int64 i64),
        PhysicalType::UInt64 => fixed!(UInt64 u64),
        PhysicalType::Float32 => fixed!(Float32 f32),
        PhysicalType::Float64 => fixed!(Float64 f64),
        PhysicalType::Numeric if flags & ONE_SCALE != 0 => {
            let scale = u16::from_le_bytes(take(bytes, 2)?.try_into().expect("two bytes"));
            if scale > MAX_SCALE {
                return Err(damaged());
            }
            let raw = take(bytes, entries * 8)?;
            let values = raw.chunks_exact(8).map(|chunk| {
                Numeric::from_narrow(i64::from_le_bytes(chunk.try_into().expect("eight bytes")), scale)
            });
            Column::new(ColumnValues::Numeric(values.collect()), validity)
        }
        _ => decode_others(physical, entries, validity.as_ref(), bytes)?,
    };
    Ok(if constant { Column::constant(physical, &column.datum(0), rows) } else { column })
}

fn decode_others(
    physical: PhysicalType,
    entries: usize,
    validity: Option<&Bitmap>,
    bytes: &mut &[u8],
) -> Result<Column> {
    let mut builder = ColumnBuilder::new(physical, entries);
    for entry in 0..entries {
        let null = validity.is_some_and(|validity| !validity.get(entry));
        let value = match physical.stored_width() {
            Some(width) => take(bytes, width as usize)?,
            None if null => &[],
            None => {
                let length = u32::from_le_bytes(take(bytes, 4)?.try_into().expect("four bytes"));
                take(bytes, length as usize)?
            }
        };
        match () {
            () if null => builder.push_null(),
            () if physical == PhysicalType::Bytes => builder.push_bytes(value),
            () => builder.push_stored(value)?,
        }
    }
    Ok(builder.finish())
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count).ok_or_else(damaged)?;
    *bytes = rest;
    Ok(head)
}

#[cold]
fn damaged() -> Error {
    Error::corrupt("invalid batch in a temporary file")
}

#[cfg(test)]
mod tests {
    use ochre_types::{Datum, Selection};

    use super::*;

    #[test]
    fn batches_come_back() {
        let ints = Column::from_datums(
            PhysicalType::Int32,
            &[Datum::Int32(1), Datum::Null, Datum::Int32(-3), Datum::Int32(i32::MAX)],
        );
        let texts = Column::from_datums(
            PhysicalType::Bytes,
            &[
                Datum::text("a"),
                Datum::text("a rather long text that is not inline"),
                Datum::Null,
                Datum::text(""),
            ],
        );
        let constant = Column::constant(PhysicalType::Int64, &Datum::Int64(7), 4);
        let nulls = Column::nulls(PhysicalType::Float64, 4);
        let bools = Column::from(vec![true, false, true, false]);
        let number = |text: &str| Datum::Numeric(Numeric::parse(text).unwrap());
        let numbers = [number("1.50"), Datum::Null, number("-3.25"), number("0.01")];
        let alike = Column::from_datums(PhysicalType::Numeric, &numbers);
        let numbers = [number("1.5"), number("NaN"), number("-3.25"), number("1e40")];
        let others = Column::from_datums(PhysicalType::Numeric, &numbers);
        let columns: Vec<Arc<Column>> =
            [ints, texts, constant, nulls, bools, alike, others].into_iter().map(Arc::new).collect();
        let types: Vec<PhysicalType> = columns.iter().map(|column| column.physical()).collect();
        let batch = Batch::new(columns, 4);
        let mut bytes = Vec::new();
        encode_batch(batch.clone(), &mut bytes);
        let back = decode_batch(&types, &bytes).unwrap();
        for row in 0..4 {
            assert_eq!(back.row(row), batch.row(row));
        }
        bytes.clear();
        encode_batch(batch.clone().with_selection(Selection::new([1, 3])), &mut bytes);
        let back = decode_batch(&types, &bytes).unwrap();
        assert_eq!(back.rows, 2);
        assert_eq!(back.row(0), batch.row(1));
        assert_eq!(back.row(1), batch.row(3));
        for cut in 0..bytes.len() {
            assert!(decode_batch(&types, &bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_batch_without_columns_has_rows() {
        let mut bytes = Vec::new();
        encode_batch(Batch::new(Vec::new(), 17), &mut bytes);
        assert_eq!(decode_batch(&[], &bytes).unwrap().rows, 17);
    }
}
