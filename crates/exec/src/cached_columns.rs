//! Columns of blocks that every snapshot sees, kept in a short form for the scans to come.
//!
//! # Role
//! A sequential scan that comes by some blocks a second time, all rows of which every snapshot sees, makes columns of them
//! and leaves them with the table's heap ([`ochre_access::heap::Derived`]), within `column_cache_size`. Later scans find
//! the rows that they want in the columns' short form, and make values of these alone. No page is read, no version looked
//! at. A change of one of the blocks makes the heap forget the columns, so a table that is written all the time costs its
//! scans two looks a run of blocks.
//!
//! # How
//! Rows stand in groups of a batch's size at most, cut where a page ends. Integers, dates and numbers of one scale are kept
//! as differences to the smallest, in as few bytes as the largest asks for; strings of which there are few different ones
//! as numbers of these. All else is kept as it is.
//!
//! # Invariants
//! - CC1: what is kept of a run of blocks was read under the column list that it names; scans that know another one read
//!   pages.
//! - CC2: a group's rows are those of its pages in the order of blocks and slots: what another scan adds to a run later
//!   (columns that the first one did not read) stands in the same groups.
//! - CC3: a test of a column is true of a row, or it is not: NULL is not. So when a scan's filter is tests and nothing else,
//!   nobody has to ask it again.
//!
//! # Differences
//! PostgreSQL has nothing of the kind.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use ochre_access::heap::{Heap, RUN_BLOCKS};
use ochre_base::limits::BATCH_ROWS;
use ochre_base::{BlockNo, Result};
use ochre_env::memory;
use ochre_sql::physical::ScanColumn;
use ochre_storage::ScanRing;
use ochre_types::{Bitmap, BytesValues, Column, ColumnBuilder, ColumnValues, Numeric};

use crate::ExecContext;
use crate::codec::{RowCodec, RowDecoder};

/// More different strings than this are not numbered.
const MAX_DISTINCT: usize = 256;
/// Fewer strings than this are copied rather than shared with all the others.
const SHARED_STRINGS: usize = 64;

/// What is kept of a run of blocks.
#[derive(Debug)]
pub struct CachedRun {
    schema_version: u16,
    /// How many blocks it stands for: all of the run, or as many as there were.
    pub blocks: u32,
    pub groups: Vec<CachedGroup>,
}

/// Rows that stand beside each other.
#[derive(Debug)]
pub struct CachedGroup {
    pub rows: usize,
    /// By position in the table; those that no scan has read are not there.
    columns: Vec<Option<Arc<CachedColumn>>>,
}

/// One column of a group.
#[derive(Debug)]
pub struct CachedColumn {
    form: Form,
    validity: Option<Bitmap>,
}

#[derive(Debug)]
enum Form {
    /// It has values that lie in overflow pages.
    Absent,
    /// Each value less the smallest, and how far the largest is from that.
    Integers {
        least: i64,
        span: u64,
        codes: Codes,
    },
    /// The same of the coefficients of numbers of one scale.
    Numbers {
        scale: u16,
        least: i64,
        span: u64,
        codes: Codes,
    },
    /// Numbers of different strings.
    Few {
        entries: BytesValues,
        codes: Vec<u8>,
    },
    Plain(Column),
}

#[derive(Debug)]
enum Codes {
    Bytes1(Vec<u8>),
    Bytes2(Vec<u16>),
    Bytes4(Vec<u32>),
    Bytes8(Vec<u64>),
}

macro_rules! each_code {
    ($codes:expr, $vector:ident => $body:expr) => {
        match $codes {
            Codes::Bytes1($vector) => $body,
            Codes::Bytes2($vector) => $body,
            Codes::Bytes4($vector) => $body,
            Codes::Bytes8($vector) => $body,
        }
    };
}

impl CachedRun {
    /// What is kept of a run for scans under `codec`.
    pub fn find(heap: &Heap, codec: &RowCodec, run: u32) -> Option<Arc<CachedRun>> {
        let kept = heap.derived().find(run)?.downcast::<CachedRun>().ok()?;
        let width = kept.groups.first().map_or(codec.column_count(), |group| group.columns.len());
        (kept.schema_version == codec.schema_version() && width == codec.column_count()).then_some(kept) // CC1
    }

    /// Whether it is known what there is of these columns.
    pub fn knows(&self, positions: &[usize]) -> bool {
        self.groups.iter().all(|group| positions.iter().all(|at| group.columns[*at].is_some()))
    }

    /// Whether the values of these columns are there.
    pub fn has(&self, positions: &[usize]) -> bool {
        let is_there = |column: &Option<Arc<CachedColumn>>| {
            column.as_ref().is_some_and(|column| !matches!(column.form, Form::Absent))
        };
        self.groups.iter().all(|group| positions.iter().all(|at| is_there(&group.columns[*at])))
    }

    /// Reads the blocks of a run, and keeps these columns beside those that are kept already; `None` when a block has rows that
    /// not every snapshot sees.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged, and when the statement is cancelled.
    pub fn make(
        ctx: &ExecContext<'_>,
        heap: &Heap,
        codec: &Arc<RowCodec>,
        blocks: Range<u32>,
        positions: &[usize],
        before: Option<&CachedRun>,
        mut ring: Option<&mut ScanRing>,
    ) -> Result<Option<Arc<CachedRun>>> {
        if !blocks.clone().all(|block| heap.is_all_visible(BlockNo(block))) {
            return Ok(None);
        }
        let count = blocks.end - blocks.start;
        let taken = memory::taken();
        let ticket = heap.derived().begin(blocks.start / RUN_BLOCKS);
        let before = before.filter(|before| before.blocks == count);
        let missing: Vec<usize> =
            positions.iter().copied().filter(|at| !before.is_some_and(|run| run.knows(&[*at]))).collect();
        let fetch: Vec<ScanColumn> = missing.iter().map(|at| ScanColumn::Table(*at)).collect();
        let mut decoder = RowDecoder::new(codec, &fetch);
        let mut groups: Vec<CachedGroup> = Vec::new();
        let mut finish = |decoder: &mut RowDecoder| {
            let rows = decoder.rows();
            let old = before.and_then(|before| before.groups.get(groups.len()));
            let mut columns = match old {
                Some(old) => old.columns.clone(),
                None => vec![None; codec.column_count()],
            };
            for (at, column) in missing.iter().zip(decoder.take_inline()) {
                columns[*at] = Some(Arc::new(CachedColumn::of(column)));
            }
            let fits = old.is_none_or(|old| old.rows == rows);
            groups.push(CachedGroup { rows, columns });
            fits
        };
        let mut fits = true;
        for block in blocks {
            ctx.check_interrupts()?;
            let visible = heap.read_all_visible(BlockNo(block), ring.as_deref_mut(), |versions| {
                if decoder.rows() + versions.len() > BATCH_ROWS {
                    fits &= finish(&mut decoder);
                }
                decoder.push_many(versions)
            })?;
            if !visible {
                return Ok(None);
            }
        }
        if decoder.rows() > 0 {
            fits &= finish(&mut decoder);
        }
        // CC2. That it does not fit cannot be: nothing has changed since.
        if !fits || before.is_some_and(|before| before.groups.len() != groups.len()) {
            return Ok(None);
        }
        drop(decoder);
        let made = Arc::new(CachedRun { schema_version: codec.schema_version(), blocks: count, groups });
        if heap.derived().keep(&ticket, Arc::clone(&made) as _, made.memory_bytes()) {
            // It is not the statement's.
            memory::adopt(taken - memory::taken());
        }
        Ok(Some(made))
    }

    fn memory_bytes(&self) -> usize {
        let columns = self.groups.iter().flat_map(|group| &group.columns);
        let held: usize = columns.map(|column| 8 + column.as_ref().map_or(0, |c| c.memory_bytes())).sum();
        size_of::<CachedRun>() + held
    }
}

impl CachedGroup {
    /// A column that is there.
    pub fn column(&self, position: usize) -> &CachedColumn {
        self.columns[position].as_ref().expect("the scan has asked whether the run has it")
    }
}

impl CachedColumn {
    fn of(column: Option<Column>) -> CachedColumn {
        let Some(column) = column else { return CachedColumn { form: Form::Absent, validity: None } };
        let validity = column.validity().filter(|validity| !validity.all()).cloned();
        let valid = |row: usize| validity.as_ref().is_none_or(|validity| validity.get(row));
        macro_rules! integers {
            ($vector:expr) => {{
                let values = $vector.iter().map(|value| i64::from(*value));
                let (least, span, codes) = differences(values, valid);
                Some(Form::Integers { least, span, codes })
            }};
        }
        let form = match column.values() {
            ColumnValues::Int16(v) => integers!(v),
            ColumnValues::Int32(v) => integers!(v),
            ColumnValues::UInt32(v) => integers!(v),
            ColumnValues::Int64(v) => integers!(v),
            ColumnValues::Numeric(v) => numbers(v, valid),
            ColumnValues::Bytes(v) => few_strings(v, valid),
            _ => None,
        };
        let form = match form {
            Some(form) => form,
            None => Form::Plain(match column.values() {
                ColumnValues::Bytes(v) => Column::new(ColumnValues::Bytes(v.compacted()), None),
                _ => Column::new(column.values().clone(), None),
            }),
        };
        CachedColumn { form, validity }
    }

    fn memory_bytes(&self) -> usize {
        let form = match &self.form {
            Form::Absent => 0,
            Form::Integers { codes, .. } | Form::Numbers { codes, .. } => {
                each_code!(codes, v => size_of_val(&v[..]))
            }
            Form::Few { entries, codes } => {
                codes.len() + entries.len() * 16 + entries.buffers().iter().map(|b| b.len()).sum::<usize>()
            }
            Form::Plain(column) => column.memory_bytes(),
        };
        size_of::<CachedColumn>() + form + self.validity.as_ref().map_or(0, Bitmap::memory_bytes)
    }

    #[inline]
    fn is_valid(&self, row: usize) -> bool {
        self.validity.as_ref().is_none_or(|validity| validity.get(row))
    }

    /// Whether some row is NULL.
    pub fn has_nulls(&self) -> bool {
        self.validity.is_some()
    }

    /// Leaves those of some rows whose integer lies within bounds; false when it is no column of integers.
    pub fn leave_between(&self, left: &mut Vec<u16>, low: i64, high: i64) -> bool {
        let Form::Integers { least, span, codes } = &self.form else { return false };
        self.leave_codes(left, *least, *span, codes, low, high);
        true
    }

    /// Leaves the rows whose code stands for a value within bounds.
    fn leave_codes(&self, left: &mut Vec<u16>, least: i64, span: u64, codes: &Codes, low: i64, high: i64) {
        let most = least.wrapping_add(span as i64);
        if low > most || high < least || low > high {
            return left.clear();
        }
        let from = low.max(least).wrapping_sub(least) as u64;
        let width = (high.min(most).wrapping_sub(least) as u64) - from;
        if width == span && self.validity.is_none() {
            return;
        }
        each_code!(codes, v => match &self.validity {
            None => leave(left, |row| (v[row] as i64 as u64).wrapping_sub(from) <= width),
            Some(valid) => leave(left, |row| valid.get(row) & ((v[row] as i64 as u64).wrapping_sub(from) <= width)),
        });
    }

    /// As [`CachedColumn::leave_between`], by any test.
    pub fn leave_integers(&self, left: &mut Vec<u16>, passes: impl Fn(i64) -> bool) -> bool {
        let Form::Integers { least, codes, .. } = &self.form else { return false };
        each_code!(codes, v => match &self.validity {
            None => leave(left, |row| passes(least.wrapping_add(v[row] as i64))),
            Some(valid) => leave(left, |row| valid.get(row) && passes(least.wrapping_add(v[row] as i64))),
        });
        true
    }

    /// Leaves those of some rows whose numbers pass: by bounds of their coefficients where `bounds` knows some for their
    /// scale, else one by one.
    pub fn leave_numbers(
        &self,
        left: &mut Vec<u16>,
        bounds: impl Fn(u16) -> Option<(i64, i64)>,
        passes: impl Fn(&Numeric) -> bool,
    ) -> bool {
        match &self.form {
            Form::Numbers { scale, least, span, codes } => match bounds(*scale) {
                Some((low, high)) => self.leave_codes(left, *least, *span, codes, low, high),
                None => each_code!(codes, v => leave(left, |row| {
                    let value = least.wrapping_add(v[row] as i64);
                    self.is_valid(row) && passes(&Numeric::from_narrow(value, *scale))
                })),
            },
            Form::Plain(column) => {
                let Some(values) = column.as_numerics() else { return false };
                leave(left, |row| self.is_valid(row) && passes(&values[row]));
            }
            _ => return false,
        }
        true
    }

    /// As [`CachedColumn::leave_integers`], of strings.
    pub fn leave_strings(&self, left: &mut Vec<u16>, passes: impl Fn(&[u8]) -> bool) -> bool {
        match &self.form {
            Form::Few { entries, codes } => {
                let mut passing = [false; MAX_DISTINCT];
                entries.iter().zip(&mut passing).for_each(|(entry, passing)| *passing = passes(entry));
                if passing[..entries.len()].iter().any(|passing| *passing) {
                    leave(left, |row| passing[usize::from(codes[row])] & self.is_valid(row));
                } else {
                    left.clear();
                }
            }
            Form::Plain(column) => {
                let Some(values) = column.as_bytes() else { return false };
                leave(left, |row| self.is_valid(row) && passes(values.get(row)));
            }
            _ => return false,
        }
        true
    }

    /// Leaves the rows for whose integers in two columns `passes` is true.
    pub fn leave_pairs(
        &self,
        other: &CachedColumn,
        left: &mut Vec<u16>,
        passes: impl Fn(i64, i64) -> bool,
    ) -> bool {
        let (Form::Integers { least, codes, .. }, Form::Integers { .. }) = (&self.form, &other.form) else {
            return false;
        };
        let mut values: Vec<i64> = Vec::new();
        each_code!(codes, v => values.extend(v.iter().map(|code| least.wrapping_add(*code as i64))));
        let Form::Integers { least, codes, .. } = &other.form else { return false };
        each_code!(codes, v => leave(left, |row| {
            passes(values[row], least.wrapping_add(v[row] as i64)) & self.is_valid(row) & other.is_valid(row)
        }));
        true
    }

    /// Adds the values of some rows to a builder; without `rows` all.
    pub fn extend(&self, builder: &mut ColumnBuilder, rows: Option<&[u16]>) {
        let valid = self.validity.as_ref().map(|validity| {
            let all = rows.map_or(0..validity.len(), |_| 0..0);
            all.chain(places(rows)).map(|row| validity.get(row))
        });
        match &self.form {
            Form::Absent => unreachable!("the scan has asked whether the run has it"),
            Form::Integers { least, codes, .. } => each_code!(codes, v => match rows {
                None => builder.extend_integers(v.iter().map(|code| least.wrapping_add(*code as i64)), valid),
                Some(_) => {
                    let values = places(rows).map(|row| least.wrapping_add(v[row] as i64));
                    builder.extend_integers(values, valid);
                }
            }),
            Form::Numbers { scale, least, codes, .. } => each_code!(codes, v => match rows {
                None => {
                    let values = v.iter().map(|code| least.wrapping_add(*code as i64));
                    builder.extend_numerics(values, *scale, valid);
                }
                Some(_) => {
                    let values = places(rows).map(|row| least.wrapping_add(v[row] as i64));
                    builder.extend_numerics(values, *scale, valid);
                }
            }),
            Form::Few { entries, codes } => match rows {
                None => builder.extend_shared(entries, codes.iter().map(|code| usize::from(*code)), valid),
                Some(some) if some.len() >= SHARED_STRINGS || entries.buffers().is_empty() => {
                    builder.extend_shared(entries, places(rows).map(|row| usize::from(codes[row])), valid);
                }
                Some(_) => places(rows).for_each(|row| {
                    if self.is_valid(row) {
                        builder.push_bytes(entries.get(usize::from(codes[row])));
                    } else {
                        builder.push_null();
                    }
                }),
            },
            Form::Plain(column) => match (column.values(), rows) {
                (ColumnValues::Bytes(values), None) => {
                    builder.extend_shared(values, 0..values.len(), valid);
                }
                _ => {
                    let all = rows.map_or(0..column.len(), |_| 0..0);
                    for row in all.chain(places(rows)) {
                        if self.is_valid(row) {
                            builder.push_from(column, row);
                        } else {
                            builder.push_null();
                        }
                    }
                }
            },
        }
    }
}

/// The rows as positions; none when all are meant.
fn places(rows: Option<&[u16]>) -> impl ExactSizeIterator<Item = usize> + '_ {
    rows.unwrap_or_default().iter().map(|row| usize::from(*row))
}

/// Leaves the rows that pass, without a branch on whether they do.
#[inline]
fn leave(left: &mut Vec<u16>, passes: impl Fn(usize) -> bool) {
    let mut count = 0;
    for at in 0..left.len() {
        let row = left[at];
        left[count] = row;
        count += usize::from(passes(usize::from(row)));
    }
    left.truncate(count);
}

/// The smallest of the values, how far the largest is from it, and how far each is.
fn differences(
    values: impl Iterator<Item = i64> + Clone,
    valid: impl Fn(usize) -> bool,
) -> (i64, u64, Codes) {
    let (mut least, mut most) = (i64::MAX, i64::MIN);
    for (_, value) in values.clone().enumerate().filter(|(row, _)| valid(*row)) {
        least = least.min(value);
        most = most.max(value);
    }
    if least > most {
        (least, most) = (0, 0);
    }
    let span = most.wrapping_sub(least) as u64;
    let codes = values.enumerate().map(|(row, value)| match valid(row) {
        true => value.wrapping_sub(least) as u64,
        false => 0,
    });
    let codes = match span {
        0..=0xFF => Codes::Bytes1(codes.map(|code| code as u8).collect()),
        0x100..=0xFFFF => Codes::Bytes2(codes.map(|code| code as u16).collect()),
        0x1_0000..=0xFFFF_FFFF => Codes::Bytes4(codes.map(|code| code as u32).collect()),
        _ => Codes::Bytes8(codes.collect()),
    };
    (least, span, codes)
}

/// Numbers of one scale whose coefficients have at most 64 bits.
fn numbers(values: &[Numeric], valid: impl Fn(usize) -> bool) -> Option<Form> {
    let first = values.iter().enumerate().find(|(row, _)| valid(*row));
    let (_, scale) = first.map_or(Some((0, 0)), |(_, value)| value.narrow())?;
    let mut coefficients: Vec<i64> = Vec::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        coefficients.push(match value.narrow() {
            _ if !valid(row) => 0,
            Some((coefficient, at)) if at == scale => coefficient,
            _ => return None,
        });
    }
    let (least, span, codes) = differences(coefficients.into_iter(), valid);
    Some(Form::Numbers { scale, least, span, codes })
}

fn few_strings(values: &BytesValues, valid: impl Fn(usize) -> bool) -> Option<Form> {
    let mut numbers: HashMap<&[u8], u8> = HashMap::new();
    let mut entries = ColumnBuilder::new(ochre_types::PhysicalType::Bytes, 0);
    let mut codes: Vec<u8> = Vec::with_capacity(values.len());
    for row in 0..values.len() {
        if !valid(row) {
            codes.push(0);
            continue;
        }
        let value = values.get(row);
        let next = numbers.len();
        let number = match numbers.get(value) {
            Some(number) => *number,
            None if next == MAX_DISTINCT => return None,
            None => {
                entries.push_bytes(value);
                numbers.insert(value, next as u8);
                next as u8
            }
        };
        codes.push(number);
    }
    // A code of a NULL stands for an entry, too.
    if entries.is_empty() {
        entries.push_bytes(b"");
    }
    let entries = entries.finish().as_bytes()?.compacted();
    Some(Form::Few { entries, codes })
}

#[cfg(test)]
mod tests {
    use ochre_types::{Datum, PhysicalType};

    use super::*;

    fn columns() -> Vec<Column> {
        let rows = 0..300i64;
        let ints = |step: i64| rows.clone().map(move |i| Datum::Int64((i - 100).wrapping_mul(step)));
        let with_nulls = |values: Vec<Datum>| {
            let null = |(i, value)| if i % 7 == 3 { Datum::Null } else { value };
            values.into_iter().enumerate().map(null).collect::<Vec<Datum>>()
        };
        let numeric = |text: String| Datum::Numeric(Numeric::parse(&text).unwrap());
        let mut all: Vec<(PhysicalType, Vec<Datum>)> = Vec::new();
        for step in [0, 1, 300, 100_000_000, i64::MAX / 100] {
            all.push((PhysicalType::Int64, ints(step).collect()));
        }
        all.push((
            PhysicalType::Int64,
            vec![Datum::Int64(i64::MIN), Datum::Int64(i64::MAX), Datum::Int64(0)],
        ));
        all.push((PhysicalType::Int32, rows.clone().map(|i| Datum::Int32(i as i32 * -7)).collect()));
        all.push((PhysicalType::Int16, rows.clone().map(|i| Datum::Int16(i as i16)).collect()));
        all.push((PhysicalType::UInt32, rows.clone().map(|i| Datum::UInt32(u32::MAX - i as u32)).collect()));
        all.push((PhysicalType::Numeric, rows.clone().map(|i| numeric(format!("{}.25", i - 150))).collect()));
        all.push((PhysicalType::Numeric, rows.clone().map(|i| numeric(format!("{i}.{i}"))).collect()));
        all.push((PhysicalType::Numeric, rows.clone().map(|i| numeric(format!("{i}e30"))).collect()));
        all.push((PhysicalType::Bytes, rows.clone().map(|i| Datum::text(format!("{}", i % 3))).collect()));
        all.push((
            PhysicalType::Bytes,
            rows.clone().map(|i| Datum::text(format!("a longer text {}", i % 9))).collect(),
        ));
        all.push((
            PhysicalType::Bytes,
            rows.clone().map(|i| Datum::text(format!("text number {i} of many"))).collect(),
        ));
        all.push((PhysicalType::Bool, rows.clone().map(|i| Datum::Bool(i % 2 == 0)).collect()));
        all.push((PhysicalType::Float64, rows.map(|i| Datum::Float64(i as f64 / 3.0)).collect()));
        let nulls: Vec<_> = all.iter().map(|(ty, values)| (*ty, with_nulls(values.clone()))).collect();
        let only_nulls = all.iter().map(|(ty, values)| (*ty, vec![Datum::Null; values.len()]));
        let all = all.iter().cloned().chain(nulls).chain(only_nulls.collect::<Vec<_>>());
        all.map(|(ty, values)| Column::from_datums(ty, &values)).collect()
    }

    fn datums(column: &Column) -> Vec<Datum> {
        (0..column.len()).map(|row| column.datum(row)).collect()
    }

    #[test]
    fn values_come_back() {
        for column in columns() {
            let cached = CachedColumn::of(Some(column.clone()));
            let all = datums(&column);
            for step in [1, 2, 50] {
                let some: Vec<u16> = (0..column.len() as u16).step_by(step).collect();
                let mut builder = ColumnBuilder::new(column.physical(), 0);
                builder.push(&all[0]);
                cached.extend(&mut builder, Some(&some));
                cached.extend(&mut builder, None);
                let back = datums(&builder.finish());
                let mut expected = vec![all[0].clone()];
                expected.extend(some.iter().map(|row| all[usize::from(*row)].clone()));
                expected.extend(all.iter().cloned());
                assert_eq!(back, expected);
            }
        }
    }

    #[test]
    fn tests_leave_the_rows_that_pass() {
        let mut tested = 0;
        for column in columns() {
            let cached = CachedColumn::of(Some(column.clone()));
            let all = datums(&column);
            let start: Vec<u16> = (0..column.len() as u16).filter(|row| row % 5 != 4).collect();
            let expected = |passes: &dyn Fn(&Datum) -> bool| -> Vec<u16> {
                start.iter().copied().filter(|row| passes(&all[usize::from(*row)])).collect()
            };
            let integer = |value: &Datum| value.as_i64();
            for (low, high) in
                [(i64::MIN, i64::MAX), (-50, 50), (3, 3), (10, 9), (i64::MIN, -1), (20_000, i64::MAX)]
            {
                let mut left = start.clone();
                if cached.leave_between(&mut left, low, high) {
                    tested += 1;
                    let within = |value: &Datum| integer(value).is_some_and(|v| v >= low && v <= high);
                    assert_eq!(left, expected(&within), "{low}..={high}");
                    let mut left = start.clone();
                    assert!(cached.leave_integers(&mut left, |v| v >= low && v <= high));
                    assert_eq!(left, expected(&within));
                }
            }
            let bound = Numeric::parse("12.25").unwrap();
            let mut left = start.clone();
            let range = |scale: u16| (scale == 2).then_some((i64::MIN, 1225));
            let at_most = |value: &Numeric| value.compare(&bound).is_le();
            if cached.leave_numbers(&mut left, range, at_most) {
                tested += 1;
                let passes = |value: &Datum| matches!(value, Datum::Numeric(value) if at_most(value));
                assert_eq!(left, expected(&passes));
            }
            let mut left = start.clone();
            let passes = |bytes: &[u8]| bytes.ends_with(b"1") || bytes.ends_with(b"many");
            if cached.leave_strings(&mut left, passes) {
                tested += 1;
                assert_eq!(left, expected(&|value| value.as_bytes().is_some_and(passes)));
            }
            let mut left = start.clone();
            if cached.leave_pairs(&cached, &mut left, |a, b| a == b && a % 2 == 0) {
                tested += 1;
                assert_eq!(left, expected(&|value| integer(value).is_some_and(|value| value % 2 == 0)));
            }
        }
        assert!(tested > 100, "{tested} tests were possible");
    }
}
