//! One attribute of a batch's rows as a typed vector.
//!
//! # Invariants
//! - C1: `values` holds `len` entries, or one when the column is constant; so does `validity` when there is one.
//! - C2: the entry of a NULL is unspecified but initialised, so kernels may compute on it as long as they cannot fail.
//! - C3: a view of [`BytesValues`] with more than [`ByteView::INLINE`] bytes lies within its buffer.

#![allow(clippy::clone_on_copy)] // the macros over all vectors clone what is Copy for some

use std::sync::Arc;

use crate::{
    ArrayValue, Bitmap, ColumnBuilder, Datum, Interval, Numeric, PhysicalType, Selection, SharedBytes,
};

/// Gathered strings are copied when they are less than this fraction of the buffers they lie in.
const COPY_BELOW: usize = 4;

/// The largest buffer that a cleared column keeps.
const KEPT_BUFFER_BYTES: usize = 1 << 13;

/// A vector per physical type.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum ColumnValues {
    Bool(Vec<bool>),
    Char(Vec<u8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    UInt32(Vec<u32>),
    Int64(Vec<i64>),
    UInt64(Vec<u64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Numeric(Vec<Numeric>),
    Bytes(BytesValues),
    Interval(Vec<Interval>),
    Uuid(Vec<[u8; 16]>),
    Array(Vec<Arc<ArrayValue>>),
    Record(Vec<Arc<[Datum]>>),
}

/// Runs `$body` with `$vector` bound to the vector of whatever variant `$values` is, bytes excepted.
macro_rules! each_vector {
    ($values:expr, $vector:ident => $body:expr, bytes $bytes:ident => $bytes_body:expr) => {
        match $values {
            $crate::ColumnValues::Bool($vector) => $body,
            $crate::ColumnValues::Char($vector) => $body,
            $crate::ColumnValues::Int16($vector) => $body,
            $crate::ColumnValues::Int32($vector) => $body,
            $crate::ColumnValues::UInt32($vector) => $body,
            $crate::ColumnValues::Int64($vector) => $body,
            $crate::ColumnValues::UInt64($vector) => $body,
            $crate::ColumnValues::Float32($vector) => $body,
            $crate::ColumnValues::Float64($vector) => $body,
            $crate::ColumnValues::Numeric($vector) => $body,
            $crate::ColumnValues::Bytes($bytes) => $bytes_body,
            $crate::ColumnValues::Interval($vector) => $body,
            $crate::ColumnValues::Uuid($vector) => $body,
            $crate::ColumnValues::Array($vector) => $body,
            $crate::ColumnValues::Record($vector) => $body,
        }
    };
}

/// As [`each_vector`], rebuilding the same variant from what `$body` gives.
macro_rules! map_vector {
    ($values:expr, $vector:ident => $body:expr, bytes $bytes:ident => $bytes_body:expr) => {
        match $values {
            $crate::ColumnValues::Bool($vector) => $crate::ColumnValues::Bool($body),
            $crate::ColumnValues::Char($vector) => $crate::ColumnValues::Char($body),
            $crate::ColumnValues::Int16($vector) => $crate::ColumnValues::Int16($body),
            $crate::ColumnValues::Int32($vector) => $crate::ColumnValues::Int32($body),
            $crate::ColumnValues::UInt32($vector) => $crate::ColumnValues::UInt32($body),
            $crate::ColumnValues::Int64($vector) => $crate::ColumnValues::Int64($body),
            $crate::ColumnValues::UInt64($vector) => $crate::ColumnValues::UInt64($body),
            $crate::ColumnValues::Float32($vector) => $crate::ColumnValues::Float32($body),
            $crate::ColumnValues::Float64($vector) => $crate::ColumnValues::Float64($body),
            $crate::ColumnValues::Numeric($vector) => $crate::ColumnValues::Numeric($body),
            $crate::ColumnValues::Bytes($bytes) => $crate::ColumnValues::Bytes($bytes_body),
            $crate::ColumnValues::Interval($vector) => $crate::ColumnValues::Interval($body),
            $crate::ColumnValues::Uuid($vector) => $crate::ColumnValues::Uuid($body),
            $crate::ColumnValues::Array($vector) => $crate::ColumnValues::Array($body),
            $crate::ColumnValues::Record($vector) => $crate::ColumnValues::Record($body),
        }
    };
}

impl ColumnValues {
    /// The number of stored entries.
    pub fn len(&self) -> usize {
        each_vector!(self, vector => vector.len(), bytes bytes => bytes.len())
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which variant this is.
    pub fn physical(&self) -> PhysicalType {
        match self {
            ColumnValues::Bool(_) => PhysicalType::Bool,
            ColumnValues::Char(_) => PhysicalType::Char,
            ColumnValues::Int16(_) => PhysicalType::Int16,
            ColumnValues::Int32(_) => PhysicalType::Int32,
            ColumnValues::UInt32(_) => PhysicalType::UInt32,
            ColumnValues::Int64(_) => PhysicalType::Int64,
            ColumnValues::UInt64(_) => PhysicalType::UInt64,
            ColumnValues::Float32(_) => PhysicalType::Float32,
            ColumnValues::Float64(_) => PhysicalType::Float64,
            ColumnValues::Numeric(_) => PhysicalType::Numeric,
            ColumnValues::Bytes(_) => PhysicalType::Bytes,
            ColumnValues::Interval(_) => PhysicalType::Interval,
            ColumnValues::Uuid(_) => PhysicalType::Uuid,
            ColumnValues::Array(_) => PhysicalType::Array,
            ColumnValues::Record(_) => PhysicalType::Record,
        }
    }

    /// Entry `index` as a value; validity is the caller's concern.
    fn datum(&self, index: usize) -> Datum {
        match self {
            ColumnValues::Bool(v) => Datum::Bool(v[index]),
            ColumnValues::Char(v) => Datum::Char(v[index]),
            ColumnValues::Int16(v) => Datum::Int16(v[index]),
            ColumnValues::Int32(v) => Datum::Int32(v[index]),
            ColumnValues::UInt32(v) => Datum::UInt32(v[index]),
            ColumnValues::Int64(v) => Datum::Int64(v[index]),
            ColumnValues::UInt64(v) => Datum::UInt64(v[index]),
            ColumnValues::Float32(v) => Datum::Float32(v[index]),
            ColumnValues::Float64(v) => Datum::Float64(v[index]),
            ColumnValues::Numeric(v) => Datum::Numeric(v[index].clone()),
            ColumnValues::Bytes(v) => Datum::Bytes(v.shared(index)),
            ColumnValues::Interval(v) => Datum::Interval(v[index]),
            ColumnValues::Uuid(v) => Datum::Uuid(v[index]),
            ColumnValues::Array(v) => Datum::Array(v[index].clone()),
            ColumnValues::Record(v) => Datum::Record(v[index].clone()),
        }
    }
}

/// A byte string of a column: up to 12 bytes inline, else the first four bytes, a buffer's number and an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct ByteView {
    length: u32,
    data: [u8; 12],
}

impl ByteView {
    /// The longest string that needs no buffer.
    pub const INLINE: usize = 12;

    /// A view of a string of at most [`ByteView::INLINE`] bytes.
    pub(crate) fn inline(bytes: &[u8]) -> ByteView {
        let mut data = [0; 12];
        data[..bytes.len()].copy_from_slice(bytes);
        ByteView { length: bytes.len() as u32, data }
    }

    /// A view of the first `len` of some bytes, at most [`ByteView::INLINE`].
    #[inline]
    pub(crate) fn inline_within(bytes: &[u8], len: usize) -> ByteView {
        let Some(all) = bytes.first_chunk::<{ ByteView::INLINE }>() else {
            return ByteView::inline(&bytes[..len]);
        };
        // What lies behind the string is masked out: no loop over its bytes.
        let [low @ .., _, _, _, _] = all;
        let [_, _, _, _, _, _, _, _, high @ ..] = all;
        let mask = |kept: usize| if kept >= 8 { u64::MAX } else { (1u64 << (8 * kept)) - 1 };
        let low = u64::from_le_bytes(*low) & mask(len);
        let high = u32::from_le_bytes(*high) & mask(len.saturating_sub(8)) as u32;
        let mut data = [0; 12];
        data[..8].copy_from_slice(&low.to_le_bytes());
        data[8..].copy_from_slice(&high.to_le_bytes());
        ByteView { length: len as u32, data }
    }

    /// A view of a longer string that lies in a buffer.
    pub(crate) fn outside(bytes: &[u8], buffer: u32, offset: u32) -> ByteView {
        let mut data = [0; 12];
        data[..4].copy_from_slice(&bytes[..4]);
        data[4..8].copy_from_slice(&buffer.to_le_bytes());
        data[8..].copy_from_slice(&offset.to_le_bytes());
        ByteView { length: bytes.len() as u32, data }
    }

    /// Bytes of the string.
    pub const fn len(self) -> usize {
        self.length as usize
    }

    /// Whether the string is empty.
    pub const fn is_empty(self) -> bool {
        self.length == 0
    }

    /// Whether the string is in the view itself.
    pub const fn is_inline(self) -> bool {
        self.length as usize <= ByteView::INLINE
    }

    /// The bytes of a string that is in the view itself, zero-padded, as two little-endian numbers.
    #[inline]
    pub fn inline_words(self) -> Option<(u64, u32)> {
        let [low @ .., _, _, _, _] = self.data;
        let [_, _, _, _, _, _, _, _, high @ ..] = self.data;
        self.is_inline().then(|| (u64::from_le_bytes(low), u32::from_le_bytes(high)))
    }

    /// The last byte of a string that is not empty and in the view itself. Of numbers, as [`ByteView::inline_words`] gives
    /// them: to index the bytes would take as long as all else that is done with such a string.
    #[inline]
    pub fn inline_last(self) -> Option<u8> {
        let (low, high) = self.inline_words()?;
        let (bytes, word) = match self.len() {
            0 => return None,
            len @ ..=8 => (len, low),
            len => (len - 8, u64::from(high)),
        };
        Some((word >> (8 * (bytes - 1))) as u8)
    }

    /// The first four bytes of the string, zero-padded: unequal prefixes order as their strings do.
    pub fn prefix(self) -> u32 {
        u32::from_be_bytes([self.data[0], self.data[1], self.data[2], self.data[3]])
    }

    /// The buffer's number and the offset in it of a string that is not inline.
    pub fn location(self) -> (u32, u32) {
        let [_, _, _, _, b0, b1, b2, b3, o0, o1, o2, o3] = self.data;
        (u32::from_le_bytes([b0, b1, b2, b3]), u32::from_le_bytes([o0, o1, o2, o3]))
    }

    /// The same string when `base` buffers were put in front.
    pub(crate) fn shifted(self, base: u32) -> ByteView {
        if base == 0 || self.is_inline() {
            return self;
        }
        let mut view = self;
        view.data[4..8].copy_from_slice(&(self.location().0 + base).to_le_bytes());
        view
    }
}

/// Byte strings as views over shared buffers.
#[derive(Debug, Clone, Default)]
pub struct BytesValues {
    views: Vec<ByteView>,
    buffers: Vec<Arc<Vec<u8>>>,
}

impl BytesValues {
    pub(crate) fn from_parts(views: Vec<ByteView>, buffers: Vec<Arc<Vec<u8>>>) -> BytesValues {
        BytesValues { views, buffers }
    }

    /// Takes all strings out; one buffer is kept, if nobody else reads it and it is small.
    fn clear(&mut self) {
        self.views.clear();
        self.buffers.truncate(1);
        self.buffers.retain_mut(|buffer| match Arc::get_mut(buffer) {
            Some(bytes) if bytes.capacity() <= KEPT_BUFFER_BYTES => {
                bytes.clear();
                true
            }
            _ => false,
        });
    }

    pub(crate) fn into_parts(self) -> (Vec<ByteView>, Vec<Arc<Vec<u8>>>) {
        (self.views, self.buffers)
    }

    #[inline]
    pub(crate) fn push_view(&mut self, view: ByteView) {
        self.views.push(view);
    }

    /// How many strings.
    pub fn len(&self) -> usize {
        self.views.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// The views, for kernels that look at lengths and prefixes first.
    pub fn views(&self) -> &[ByteView] {
        &self.views
    }

    /// The buffers behind the views.
    pub fn buffers(&self) -> &[Arc<Vec<u8>>] {
        &self.buffers
    }

    /// String `index`.
    #[inline]
    pub fn get(&self, index: usize) -> &[u8] {
        let view = &self.views[index];
        if view.length as usize <= ByteView::INLINE {
            return &view.data[..view.length as usize];
        }
        let (buffer, offset) = view.location();
        &self.buffers[buffer as usize][offset as usize..][..view.length as usize]
    }

    /// String `index` as text; empty should it not be UTF-8, which text columns never hold.
    #[inline]
    pub fn text(&self, index: usize) -> &str {
        std::str::from_utf8(self.get(index)).unwrap_or_default()
    }

    /// String `index` as a value of its own that shares the buffer.
    pub fn shared(&self, index: usize) -> SharedBytes {
        let view = self.views[index];
        if view.is_inline() {
            return SharedBytes::new(self.get(index));
        }
        let (buffer, offset) = view.location();
        SharedBytes::from_shared(&self.buffers[buffer as usize], offset, view.length)
    }

    /// All strings, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The same strings in a buffer of their own that has no room to spare.
    #[must_use]
    pub fn compacted(&self) -> BytesValues {
        let mut views = self.views.clone();
        views.shrink_to_fit();
        let outside = || self.views.iter().filter(|view| !view.is_inline());
        let mut buffer = Vec::with_capacity(outside().map(|view| view.len()).sum());
        for (at, view) in views.iter_mut().enumerate().filter(|(_, view)| !view.is_inline()) {
            let bytes = self.get(at);
            *view = ByteView::outside(bytes, 0, buffer.len() as u32);
            buffer.extend_from_slice(bytes);
        }
        let buffers = if buffer.is_empty() { Vec::new() } else { vec![Arc::new(buffer)] };
        BytesValues { views, buffers }
    }

    /// The views at `positions`, over the same buffers; or over a new one, when the old ones would mostly hold what
    /// nobody looks at any more.
    fn gathered(&self, positions: impl Iterator<Item = usize>) -> BytesValues {
        let mut views: Vec<ByteView> = positions.map(|position| self.views[position]).collect();
        if self.buffers.is_empty() {
            return BytesValues { views, buffers: Vec::new() };
        }
        let used: usize = views.iter().filter(|view| !view.is_inline()).map(|view| view.len()).sum();
        let held: usize = self.buffers.iter().map(|buffer| buffer.len()).sum();
        if used > held / COPY_BELOW {
            return BytesValues { views, buffers: self.buffers.clone() };
        }
        let mut buffer = Vec::with_capacity(used);
        for view in views.iter_mut().filter(|view| !view.is_inline()) {
            let (number, offset) = view.location();
            let bytes = &self.buffers[number as usize][offset as usize..][..view.len()];
            *view = ByteView::outside(bytes, 0, buffer.len() as u32);
            buffer.extend_from_slice(bytes);
        }
        let buffers = if buffer.is_empty() { Vec::new() } else { vec![Arc::new(buffer)] };
        BytesValues { views, buffers }
    }
}

/// Values of one attribute for a number of rows.
#[derive(Debug, Clone)]
pub struct Column {
    values: ColumnValues,
    validity: Option<Bitmap>,
    len: usize,
    constant: bool,
}

impl Column {
    /// The entries.
    pub(crate) fn into_values(self) -> ColumnValues {
        self.values
    }

    /// Takes all rows out and keeps the memory, for [`ColumnBuilder::take_into`].
    pub fn clear(&mut self) {
        each_vector!(&mut self.values, vector => vector.clear(), bytes values => values.clear());
        self.validity = None;
        self.len = 0;
        self.constant = false;
    }

    /// A column of one entry a row.
    ///
    /// # Panics
    /// When the validity has another length than the values (C1).
    pub fn new(values: ColumnValues, validity: Option<Bitmap>) -> Column {
        let len = values.len();
        assert!(validity.as_ref().is_none_or(|v| v.len() == len), "C1: validity for {len} rows");
        Column { values, validity, len, constant: false }
    }

    /// One value that stands for `len` rows.
    ///
    /// # Panics
    /// When the value is of another physical type.
    pub fn constant(physical: PhysicalType, value: &Datum, len: usize) -> Column {
        let mut builder = ColumnBuilder::new(physical, 1);
        builder.push(value);
        let mut column = builder.finish();
        column.len = len;
        column.constant = true;
        column
    }

    /// `len` NULLs.
    pub fn nulls(physical: PhysicalType, len: usize) -> Column {
        Column::constant(physical, &Datum::Null, len)
    }

    /// A column of single values.
    ///
    /// # Panics
    /// When a value is of another physical type.
    pub fn from_datums<'a>(physical: PhysicalType, values: impl IntoIterator<Item = &'a Datum>) -> Column {
        let values = values.into_iter();
        let mut builder = ColumnBuilder::new(physical, values.size_hint().0);
        values.for_each(|value| builder.push(value));
        builder.finish()
    }

    /// Rows the column stands for.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it stands for no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The stored entries: one a row, or a single one when [`Column::is_constant`].
    pub fn values(&self) -> &ColumnValues {
        &self.values
    }

    /// Which stored entries are not NULL; `None` when all are not. Has one bit when [`Column::is_constant`].
    pub fn validity(&self) -> Option<&Bitmap> {
        self.validity.as_ref()
    }

    /// Both parts, for kernels that work in place.
    pub fn into_parts(self) -> (ColumnValues, Option<Bitmap>) {
        (self.values, self.validity)
    }

    /// Whether one stored entry stands for all rows.
    pub fn is_constant(&self) -> bool {
        self.constant
    }

    /// What to multiply a row's number with to find its entry: 0 for constants, else 1.
    #[inline]
    pub fn stride(&self) -> usize {
        usize::from(!self.constant)
    }

    /// The physical type.
    pub fn physical(&self) -> PhysicalType {
        self.values.physical()
    }

    /// Whether row `row` is NULL.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        match &self.validity {
            None => false,
            Some(validity) => !validity.get(row * self.stride()),
        }
    }

    /// Whether row `row` is not NULL.
    #[inline]
    pub fn is_valid(&self, row: usize) -> bool {
        !self.is_null(row)
    }

    /// Whether any stored entry is NULL.
    pub fn has_nulls(&self) -> bool {
        self.validity.as_ref().is_some_and(|validity| !validity.all())
    }

    /// The value of row `row`.
    pub fn datum(&self, row: usize) -> Datum {
        debug_assert!(row < self.len);
        if self.is_null(row) { Datum::Null } else { self.values.datum(row * self.stride()) }
    }

    /// The bytes of row `row` of a bytes column.
    ///
    /// # Panics
    /// When the column is of another physical type.
    #[inline]
    pub fn bytes(&self, row: usize) -> &[u8] {
        match &self.values {
            ColumnValues::Bytes(values) => values.get(row * self.stride()),
            other => panic!("a column of {:?} has no bytes", other.physical()),
        }
    }

    /// The rows at `positions`, in that order.
    #[must_use]
    pub fn gather(&self, positions: impl ExactSizeIterator<Item = usize> + Clone) -> Column {
        if self.constant {
            return Column { len: positions.len(), ..self.clone() };
        }
        let validity =
            self.validity.as_ref().map(|v| Bitmap::from_bools(positions.clone().map(|p| v.get(p))));
        let values = map_vector!(
            &self.values,
            vector => positions.map(|position| vector[position].clone()).collect(),
            bytes bytes => bytes.gathered(positions)
        );
        Column::new(values, validity)
    }

    /// The active rows only.
    #[must_use]
    pub fn select(&self, selection: &Selection) -> Column {
        self.gather(selection.iter())
    }

    /// `len` rows from `start`.
    ///
    /// # Panics
    /// Past the end.
    #[must_use]
    pub fn slice(&self, start: usize, len: usize) -> Column {
        assert!(start + len <= self.len, "rows {start}+{len} of {}", self.len);
        if self.constant {
            return Column { len, ..self.clone() };
        }
        if start == 0 && len == self.len {
            return self.clone();
        }
        let range = start..start + len;
        let validity = self.validity.as_ref().map(|v| Bitmap::from_bools(range.clone().map(|i| v.get(i))));
        let values = map_vector!(
            &self.values,
            vector => vector[range].to_vec(),
            bytes bytes => bytes.gathered(range)
        );
        Column::new(values, validity)
    }

    /// The rows of several columns of one physical type, one after the other.
    ///
    /// # Panics
    /// When the physical types differ.
    #[must_use]
    pub fn concat(physical: PhysicalType, columns: &[&Column]) -> Column {
        let mut builder = ColumnBuilder::new(physical, columns.iter().map(|column| column.len).sum());
        columns.iter().for_each(|column| builder.append(column));
        builder.finish()
    }

    /// The same rows with one stored entry each.
    #[must_use]
    pub fn expanded(&self) -> Column {
        if !self.constant {
            return self.clone();
        }
        let values = map_vector!(
            &self.values,
            vector => vec![vector[0].clone(); self.len],
            bytes bytes => bytes.gathered(std::iter::repeat_n(0, self.len))
        );
        let validity = self.validity.as_ref().map(|v| Bitmap::filled(self.len, v.get(0)));
        Column::new(values, validity)
    }

    /// The same entries with another validity of the same length as the entries.
    #[must_use]
    pub fn with_validity(mut self, validity: Option<Bitmap>) -> Column {
        let stored = self.values.len();
        assert!(validity.as_ref().is_none_or(|v| v.len() == stored), "C1: validity for {stored} entries");
        self.validity = validity;
        self
    }

    /// About how many bytes the column holds, shared buffers included.
    pub fn memory_bytes(&self) -> usize {
        fn of<T>(vector: &[T]) -> usize {
            std::mem::size_of_val(vector)
        }
        let validity = self.validity.as_ref().map_or(0, Bitmap::memory_bytes);
        let values = match &self.values {
            ColumnValues::Bytes(bytes) => {
                of(bytes.views()) + bytes.buffers.iter().map(|b| b.capacity()).sum::<usize>()
            }
            ColumnValues::Array(arrays) => arrays.iter().map(|array| array.memory_bytes()).sum(),
            ColumnValues::Record(records) => records.iter().map(|record| of(record) + 16).sum(),
            other => each_vector!(other, vector => of(vector), bytes bytes => of(bytes.views())),
        };
        values + validity
    }
}

macro_rules! typed_access {
    ($($(#[$doc:meta])* $name:ident $variant:ident $type:ty;)*) => {
        /// Typed vectors. Each gives the stored entries (one a row, or a single one when constant), or `None` for
        /// another physical type.
        impl Column {
            $(
                #[allow(missing_docs)]
                pub fn $name(&self) -> Option<&[$type]> {
                    if let ColumnValues::$variant(vector) = &self.values { Some(vector) } else { None }
                }
            )*

            /// The byte strings of a bytes column.
            pub fn as_bytes(&self) -> Option<&BytesValues> {
                if let ColumnValues::Bytes(values) = &self.values { Some(values) } else { None }
            }
        }

        $(
            impl From<Vec<$type>> for Column {
                fn from(vector: Vec<$type>) -> Column {
                    Column::new(ColumnValues::$variant(vector), None)
                }
            }
        )*
    };
}

typed_access! {
    as_bools Bool bool;
    as_chars Char u8;
    as_i16s Int16 i16;
    as_i32s Int32 i32;
    as_u32s UInt32 u32;
    as_i64s Int64 i64;
    as_u64s UInt64 u64;
    as_f32s Float32 f32;
    as_f64s Float64 f64;
    as_numerics Numeric Numeric;
    as_intervals Interval Interval;
    as_uuids Uuid [u8; 16];
    as_arrays Array Arc<ArrayValue>;
    as_records Record Arc<[Datum]>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(index: usize) -> String {
        format!("a string that is longer than a view {index}")
    }

    fn column() -> Column {
        let mut builder = ColumnBuilder::new(PhysicalType::Bytes, 100);
        for index in 0..100 {
            match index % 3 {
                0 => builder.push_str(&long(index)),
                1 => builder.push_str("short"),
                _ => builder.push_null(),
            }
        }
        builder.finish()
    }

    #[test]
    fn stored_strings_are_taken_from_among_other_bytes() {
        let bytes: Vec<u8> = (1..40).collect();
        for len in 0..=20 {
            for rest in [len, len + 1, 12, 13, 39] {
                let rest = rest.max(len).min(bytes.len());
                let mut builder = ColumnBuilder::new(PhysicalType::Bytes, 0);
                let stored = [Some((&bytes[..rest], len)), None, Some((&bytes[..1], 1))];
                assert_eq!(builder.extend_stored(stored.into_iter()).unwrap(), 1);
                let (one, other) = (
                    builder.finish(),
                    Column::from_datums(
                        PhysicalType::Bytes,
                        &[Datum::Bytes(crate::SharedBytes::new(&bytes[..len]))],
                    ),
                );
                assert_eq!(one.as_bytes().unwrap().views(), other.as_bytes().unwrap().views());
                assert_eq!(one.bytes(0), &bytes[..len]);
            }
        }
    }

    #[test]
    fn gathering_few_strings_lets_go_of_the_rest() {
        let column = column();
        let few = column.gather([99usize, 2, 1, 0].into_iter());
        assert_eq!(few.datum(0), Datum::text(long(99)));
        assert!(few.is_null(1));
        assert_eq!(few.datum(2), Datum::text("short"));
        assert_eq!(few.datum(3), Datum::text(long(0)));
        assert!(few.memory_bytes() < column.memory_bytes() / 10);
        let many = column.gather((0..100).rev());
        assert!((0..100).all(|row| many.datum(99 - row) == column.datum(row)));
    }

    #[test]
    fn parts_make_the_whole_again() {
        let whole = column();
        let parts = [whole.slice(0, 40), whole.slice(40, 1), whole.slice(41, 59)];
        let joined = Column::concat(PhysicalType::Bytes, &parts.iter().collect::<Vec<_>>());
        let mut copied = ColumnBuilder::new(PhysicalType::Bytes, 0);
        copied.extend_from(&whole, 0..50);
        (50..100).for_each(|row| copied.push_from(&whole, row));
        let copied = copied.finish();
        for row in 0..100 {
            assert_eq!(joined.datum(row), whole.datum(row));
            assert_eq!(copied.datum(row), whole.datum(row));
        }
    }

    #[test]
    fn constants_stand_for_all_rows() {
        let column = Column::constant(PhysicalType::Int32, &Datum::Int32(7), 5);
        assert_eq!((column.len(), column.values().len(), column.datum(4)), (5, 1, Datum::Int32(7)));
        assert_eq!(column.expanded().as_i32s().unwrap(), [7; 5]);
        assert_eq!(column.gather([4usize, 0].into_iter()).len(), 2);
        let nulls = Column::nulls(PhysicalType::Array, 3);
        assert!((0..3).all(|row| nulls.is_null(row)) && nulls.expanded().is_null(2));
        let both = Column::concat(PhysicalType::Int32, &[&column, &Column::nulls(PhysicalType::Int32, 2)]);
        assert_eq!((both.len(), both.datum(4), both.datum(6)), (7, Datum::Int32(7), Datum::Null));
    }
}
