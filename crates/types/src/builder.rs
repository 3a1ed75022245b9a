//! Building a column row by row.

#![allow(clippy::clone_on_copy)] // the macros over all vectors clone what is Copy for some

use std::sync::Arc;

use ochre_base::Result;

use crate::column::ByteView;
use crate::{
    ArrayValue, Bitmap, BytesValues, Column, ColumnValues, Datum, Interval, Numeric, PhysicalType, store,
};

/// An open buffer is closed at this size, so that offsets stay within 32 bits and appends stay cheap.
const BUFFER_BYTES: usize = 1 << 20;

/// A column that grows at its end.
#[derive(Debug, Clone)]
pub struct ColumnBuilder {
    values: ColumnValues,
    /// Where long strings are appended; it becomes buffer number `buffers.len()` of the bytes values.
    open: Vec<u8>,
    closed: Vec<Arc<Vec<u8>>>,
    /// What the next closed buffer is put in, if it is there.
    shell: Option<Arc<Vec<u8>>>,
    validity: Option<Bitmap>,
}

impl ColumnBuilder {
    /// A builder with room for `capacity` rows.
    pub fn new(physical: PhysicalType, capacity: usize) -> ColumnBuilder {
        let values = match physical {
            PhysicalType::Bool => ColumnValues::Bool(Vec::with_capacity(capacity)),
            PhysicalType::Char => ColumnValues::Char(Vec::with_capacity(capacity)),
            PhysicalType::Int16 => ColumnValues::Int16(Vec::with_capacity(capacity)),
            PhysicalType::Int32 => ColumnValues::Int32(Vec::with_capacity(capacity)),
            PhysicalType::UInt32 => ColumnValues::UInt32(Vec::with_capacity(capacity)),
            PhysicalType::Int64 => ColumnValues::Int64(Vec::with_capacity(capacity)),
            PhysicalType::UInt64 => ColumnValues::UInt64(Vec::with_capacity(capacity)),
            PhysicalType::Float32 => ColumnValues::Float32(Vec::with_capacity(capacity)),
            PhysicalType::Float64 => ColumnValues::Float64(Vec::with_capacity(capacity)),
            PhysicalType::Numeric => ColumnValues::Numeric(Vec::with_capacity(capacity)),
            PhysicalType::Bytes => {
                ColumnValues::Bytes(BytesValues::from_parts(Vec::with_capacity(capacity), Vec::new()))
            }
            PhysicalType::Interval => ColumnValues::Interval(Vec::with_capacity(capacity)),
            PhysicalType::Uuid => ColumnValues::Uuid(Vec::with_capacity(capacity)),
            PhysicalType::Array => ColumnValues::Array(Vec::with_capacity(capacity)),
            PhysicalType::Record => ColumnValues::Record(Vec::with_capacity(capacity)),
        };
        ColumnBuilder { values, open: Vec::new(), closed: Vec::new(), shell: None, validity: None }
    }

    /// Adds a value.
    ///
    /// # Panics
    /// When the value is of another physical type.
    pub fn push(&mut self, value: &Datum) {
        match value {
            Datum::Null => self.push_null(),
            Datum::Bool(value) => self.push_bool(*value),
            Datum::Char(value) => self.push_char(*value),
            Datum::Int16(value) => self.push_i16(*value),
            Datum::Int32(value) => self.push_i32(*value),
            Datum::UInt32(value) => self.push_u32(*value),
            Datum::Int64(value) => self.push_i64(*value),
            Datum::UInt64(value) => self.push_u64(*value),
            Datum::Float32(value) => self.push_f32(*value),
            Datum::Float64(value) => self.push_f64(*value),
            Datum::Numeric(value) => self.push_numeric(value.clone()),
            Datum::Bytes(value) => match value.as_shared() {
                None => self.push_bytes(value),
                Some((buffer, offset, length)) => self.push_shared(buffer, offset, length),
            },
            Datum::Interval(value) => self.push_interval(*value),
            Datum::Uuid(value) => self.push_uuid(*value),
            Datum::Array(value) => self.push_array(value.clone()),
            Datum::Record(value) => self.push_record(value.clone()),
        }
    }

    /// Adds a NULL.
    pub fn push_null(&mut self) {
        let len = self.len();
        self.validity.get_or_insert_with(|| Bitmap::filled(len, true)).push(false);
        match &mut self.values {
            ColumnValues::Bool(v) => v.push(false),
            ColumnValues::Char(v) => v.push(0),
            ColumnValues::Int16(v) => v.push(0),
            ColumnValues::Int32(v) => v.push(0),
            ColumnValues::UInt32(v) => v.push(0),
            ColumnValues::Int64(v) => v.push(0),
            ColumnValues::UInt64(v) => v.push(0),
            ColumnValues::Float32(v) => v.push(0.0),
            ColumnValues::Float64(v) => v.push(0.0),
            ColumnValues::Numeric(v) => v.push(Numeric::ZERO),
            ColumnValues::Bytes(v) => v.push_view(ByteView::default()),
            ColumnValues::Interval(v) => v.push(Interval::ZERO),
            ColumnValues::Uuid(v) => v.push([0; 16]),
            ColumnValues::Array(v) => v.push(ArrayValue::placeholder()),
            ColumnValues::Record(v) => v.push(Arc::from([])),
        }
    }

    /// Adds a byte string, copying it.
    ///
    /// # Panics
    /// When the column is not one of bytes.
    #[inline]
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        let view = if bytes.len() <= ByteView::INLINE {
            ByteView::inline(bytes)
        } else {
            if self.open.len() + bytes.len() > BUFFER_BYTES && !self.open.is_empty() {
                self.close_buffer();
            }
            let offset = self.open.len() as u32;
            self.open.extend_from_slice(bytes);
            ByteView::outside(bytes, self.closed.len() as u32, offset)
        };
        self.push_view(view);
    }

    /// Adds a text, copying it.
    #[inline]
    pub fn push_str(&mut self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    /// Adds a window into a shared buffer without copying it, unless it is short.
    pub fn push_shared(&mut self, buffer: &Arc<Vec<u8>>, offset: u32, length: u32) {
        let bytes = &buffer[offset as usize..][..length as usize];
        // A buffer costs a slot and a reference count: short strings are cheaper to copy.
        if bytes.len() < 1024 {
            return self.push_bytes(bytes);
        }
        // Neighbouring rows share buffers; looking further back would cost more than it saves.
        let first = self.closed.len().saturating_sub(4);
        let number = match (first..self.closed.len())
            .rev()
            .find(|number| Arc::ptr_eq(&self.closed[*number], buffer))
        {
            Some(number) => number,
            None => {
                self.close_buffer();
                self.closed.push(buffer.clone());
                self.closed.len() - 1
            }
        };
        self.push_view(ByteView::outside(bytes, number as u32, offset));
    }

    /// How many buffers of long byte strings have been filled: a measure of growth that costs nothing to ask for.
    #[inline]
    pub fn full_buffers(&self) -> usize {
        self.closed.len()
    }

    fn close_buffer(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let open = std::mem::take(&mut self.open);
        let buffer = match self.shell.take() {
            Some(mut shell) => match Arc::get_mut(&mut shell) {
                Some(bytes) => {
                    *bytes = open;
                    shell
                }
                None => Arc::new(open),
            },
            None => Arc::new(open),
        };
        self.closed.push(buffer);
    }

    #[inline]
    fn push_view(&mut self, view: ByteView) {
        match &mut self.values {
            ColumnValues::Bytes(values) => values.push_view(view),
            other => panic!("bytes pushed to a column of {:?}", other.physical()),
        }
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
    }

    /// Adds a value from its stored form (see [`store`]).
    ///
    /// # Errors
    /// XX001 when the bytes are no value of the column's physical type.
    pub fn push_stored(&mut self, bytes: &[u8]) -> Result<()> {
        store::decode_into(self, bytes)
    }

    /// Adds values from their stored forms, of which none is NULL, up to the first that is not there as it is; says how
    /// many were added. Each is given by bytes that begin with it, and its length.
    ///
    /// # Errors
    /// As [`ColumnBuilder::push_stored`].
    pub fn extend_stored<'a>(
        &mut self,
        mut stored: impl Iterator<Item = Option<(&'a [u8], usize)>>,
    ) -> Result<usize> {
        let before = self.len();
        macro_rules! fixed {
            ($vector:expr, $type:ty) => {{
                $vector.reserve(stored.size_hint().0);
                while let Some(Some((bytes, _))) = stored.next() {
                    let bytes = bytes.first_chunk().ok_or_else(store::damaged)?;
                    $vector.push(<$type>::from_le_bytes(*bytes));
                }
            }};
        }
        match &mut self.values {
            ColumnValues::Int16(v) => fixed!(v, i16),
            ColumnValues::Int32(v) => fixed!(v, i32),
            ColumnValues::UInt32(v) => fixed!(v, u32),
            ColumnValues::Int64(v) => fixed!(v, i64),
            ColumnValues::Float64(v) => fixed!(v, f64),
            ColumnValues::Numeric(v) => {
                v.reserve(stored.size_hint().0);
                while let Some(Some((bytes, len))) = stored.next() {
                    v.push(Numeric::decode_stored_within(bytes, len).ok_or_else(store::damaged)?);
                }
            }
            ColumnValues::Bytes(_) => {
                while let Some(Some((bytes, len))) = stored.next() {
                    if len <= ByteView::INLINE {
                        self.push_view(ByteView::inline_within(bytes, len));
                    } else {
                        self.push_bytes(&bytes[..len]);
                    }
                }
                return Ok(self.len() - before);
            }
            _ => {
                while let Some(Some((bytes, len))) = stored.next() {
                    store::decode_into(self, &bytes[..len])?;
                }
                return Ok(self.len() - before);
            }
        }
        let added = self.len() - before;
        if let Some(validity) = &mut self.validity {
            validity.extend_with(added, true);
        }
        Ok(added)
    }

    /// Adds integers that fit the column's type; rows that are not `valid` are NULL, whatever their integer is.
    ///
    /// # Panics
    /// When the column is not one of integers.
    pub fn extend_integers(
        &mut self,
        values: impl Iterator<Item = i64>,
        valid: Option<impl Iterator<Item = bool>>,
    ) {
        let before = self.len();
        match &mut self.values {
            ColumnValues::Int16(v) => v.extend(values.map(|value| value as i16)),
            ColumnValues::Int32(v) => v.extend(values.map(|value| value as i32)),
            ColumnValues::UInt32(v) => v.extend(values.map(|value| value as u32)),
            ColumnValues::Int64(v) => v.extend(values),
            other => panic!("integers added to a column of {:?}", other.physical()),
        }
        self.extend_validity(before, valid);
    }

    /// Adds an integer that fits the column's type, or NULL.
    ///
    /// # Panics
    /// When the column is not one of integers.
    #[inline]
    pub fn push_integer(&mut self, value: Option<i64>) {
        let Some(value) = value else { return self.push_null() };
        match &mut self.values {
            ColumnValues::Int16(v) => v.push(value as i16),
            ColumnValues::Int32(v) => v.push(value as i32),
            ColumnValues::UInt32(v) => v.push(value as u32),
            ColumnValues::Int64(v) => v.push(value),
            other => panic!("an integer pushed to a column of {:?}", other.physical()),
        }
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
    }

    /// Adds numbers of one scale by their coefficients; rows that are not `valid` are NULL.
    ///
    /// # Panics
    /// When the column is not one of numerics.
    pub fn extend_numerics(
        &mut self,
        coefficients: impl Iterator<Item = i64>,
        scale: u16,
        valid: Option<impl Iterator<Item = bool>>,
    ) {
        let before = self.len();
        match &mut self.values {
            ColumnValues::Numeric(v) => {
                v.extend(coefficients.map(|value| Numeric::from_narrow(value, scale)))
            }
            other => panic!("numbers added to a column of {:?}", other.physical()),
        }
        self.extend_validity(before, valid);
    }

    /// Adds some of the strings of `from`, which may be there many times, without copying them; rows that are not `valid`
    /// are NULL.
    ///
    /// # Panics
    /// When the column is not one of bytes.
    pub fn extend_shared(
        &mut self,
        from: &BytesValues,
        entries: impl Iterator<Item = usize>,
        valid: Option<impl Iterator<Item = bool>>,
    ) {
        let before = self.len();
        let mut base = 0;
        if !from.buffers().is_empty() {
            self.close_buffer();
            base = self.closed.len() as u32;
            self.closed.extend_from_slice(from.buffers());
        }
        let views = from.views();
        match &mut self.values {
            ColumnValues::Bytes(to) => entries.for_each(|entry| to.push_view(views[entry].shifted(base))),
            other => panic!("strings added to a column of {:?}", other.physical()),
        }
        self.extend_validity(before, valid);
    }

    fn extend_validity(&mut self, before: usize, valid: Option<impl Iterator<Item = bool>>) {
        let added = self.len() - before;
        match (&mut self.validity, valid) {
            (None, None) => {}
            (Some(validity), None) => validity.extend_with(added, true),
            (validity, Some(valid)) => {
                let validity = validity.get_or_insert_with(|| Bitmap::filled(before, true));
                valid.for_each(|valid| validity.push(valid));
            }
        }
    }

    /// Lets `push` add one value to the vector; whether it did, is its answer.
    #[inline]
    pub(crate) fn push_decoded(
        &mut self,
        push: impl FnOnce(&mut ColumnValues) -> Result<bool>,
    ) -> Result<bool> {
        let done = push(&mut self.values)?;
        if done && let Some(validity) = &mut self.validity {
            validity.push(true);
        }
        Ok(done)
    }

    /// Adds row `row` of a column of the same physical type.
    ///
    /// # Panics
    /// When the physical types differ.
    #[inline]
    pub fn push_from(&mut self, column: &Column, row: usize) {
        if column.is_null(row) {
            return self.push_null();
        }
        let entry = row * column.stride();
        match (&mut self.values, column.values()) {
            (ColumnValues::Bool(to), ColumnValues::Bool(from)) => to.push(from[entry]),
            (ColumnValues::Char(to), ColumnValues::Char(from)) => to.push(from[entry]),
            (ColumnValues::Int16(to), ColumnValues::Int16(from)) => to.push(from[entry]),
            (ColumnValues::Int32(to), ColumnValues::Int32(from)) => to.push(from[entry]),
            (ColumnValues::UInt32(to), ColumnValues::UInt32(from)) => to.push(from[entry]),
            (ColumnValues::Int64(to), ColumnValues::Int64(from)) => to.push(from[entry]),
            (ColumnValues::UInt64(to), ColumnValues::UInt64(from)) => to.push(from[entry]),
            (ColumnValues::Float32(to), ColumnValues::Float32(from)) => to.push(from[entry]),
            (ColumnValues::Float64(to), ColumnValues::Float64(from)) => to.push(from[entry]),
            (ColumnValues::Numeric(to), ColumnValues::Numeric(from)) => to.push(from[entry].clone()),
            (ColumnValues::Bytes(_), ColumnValues::Bytes(from)) => return self.push_bytes(from.get(entry)),
            (ColumnValues::Interval(to), ColumnValues::Interval(from)) => to.push(from[entry]),
            (ColumnValues::Uuid(to), ColumnValues::Uuid(from)) => to.push(from[entry]),
            (ColumnValues::Array(to), ColumnValues::Array(from)) => to.push(from[entry].clone()),
            (ColumnValues::Record(to), ColumnValues::Record(from)) => to.push(from[entry].clone()),
            (to, from) => panic!("row of {:?} pushed to a column of {:?}", from.physical(), to.physical()),
        }
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
    }

    /// Adds the given rows of a column of the same physical type, in that order.
    ///
    /// # Panics
    /// When the physical types differ.
    pub fn extend_from(&mut self, column: &Column, rows: impl Iterator<Item = usize> + Clone) {
        if matches!(self.values, ColumnValues::Bytes(_)) || column.is_constant() {
            return rows.for_each(|row| self.push_from(column, row));
        }
        let before = self.len();
        macro_rules! extend {
            ($($variant:ident)*) => {
                match (&mut self.values, column.values()) {
                    $((ColumnValues::$variant(to), ColumnValues::$variant(from)) => {
                        to.extend(rows.clone().map(|row| from[row].clone()));
                    })*
                    (to, from) => {
                        panic!("rows of {:?} added to a column of {:?}", from.physical(), to.physical())
                    }
                }
            };
        }
        extend!(Bool Char Int16 Int32 UInt32 Int64 UInt64 Float32 Float64 Numeric Interval Uuid Array Record);
        let added = self.len() - before;
        match (&mut self.validity, column.validity()) {
            (None, None) => {}
            (Some(validity), None) => validity.extend_with(added, true),
            (validity, Some(from)) => {
                let validity = validity.get_or_insert_with(|| Bitmap::filled(before, true));
                rows.for_each(|row| validity.push(from.get(row)));
            }
        }
    }

    /// Adds all rows of a column of the same physical type.
    ///
    /// # Panics
    /// When the physical types differ.
    pub fn append(&mut self, column: &Column) {
        if column.is_constant() {
            return self.append(&column.expanded());
        }
        let before = self.len();
        match (&mut self.values, column.values()) {
            (ColumnValues::Bool(to), ColumnValues::Bool(from)) => to.extend_from_slice(from),
            (ColumnValues::Char(to), ColumnValues::Char(from)) => to.extend_from_slice(from),
            (ColumnValues::Int16(to), ColumnValues::Int16(from)) => to.extend_from_slice(from),
            (ColumnValues::Int32(to), ColumnValues::Int32(from)) => to.extend_from_slice(from),
            (ColumnValues::UInt32(to), ColumnValues::UInt32(from)) => to.extend_from_slice(from),
            (ColumnValues::Int64(to), ColumnValues::Int64(from)) => to.extend_from_slice(from),
            (ColumnValues::UInt64(to), ColumnValues::UInt64(from)) => to.extend_from_slice(from),
            (ColumnValues::Float32(to), ColumnValues::Float32(from)) => to.extend_from_slice(from),
            (ColumnValues::Float64(to), ColumnValues::Float64(from)) => to.extend_from_slice(from),
            (ColumnValues::Numeric(to), ColumnValues::Numeric(from)) => to.extend_from_slice(from),
            (ColumnValues::Bytes(to), ColumnValues::Bytes(from)) => {
                if !from.buffers().is_empty() {
                    if !self.open.is_empty() {
                        self.closed.push(Arc::new(std::mem::take(&mut self.open)));
                    }
                    let base = self.closed.len() as u32;
                    self.closed.extend_from_slice(from.buffers());
                    from.views().iter().for_each(|view| to.push_view(view.shifted(base)));
                } else {
                    from.views().iter().for_each(|view| to.push_view(*view));
                }
            }
            (ColumnValues::Interval(to), ColumnValues::Interval(from)) => to.extend_from_slice(from),
            (ColumnValues::Uuid(to), ColumnValues::Uuid(from)) => to.extend_from_slice(from),
            (ColumnValues::Array(to), ColumnValues::Array(from)) => to.extend_from_slice(from),
            (ColumnValues::Record(to), ColumnValues::Record(from)) => to.extend_from_slice(from),
            (to, from) => panic!("rows of {:?} appended to a column of {:?}", from.physical(), to.physical()),
        }
        match (&mut self.validity, column.validity()) {
            (None, None) => {}
            (Some(validity), None) => validity.extend_with(column.len(), true),
            (validity, Some(added)) => {
                validity.get_or_insert_with(|| Bitmap::filled(before, true)).extend(added);
            }
        }
    }

    /// The finished column.
    pub fn finish(mut self) -> Column {
        self.close_buffer();
        self.into_column()
    }

    fn into_column(self) -> Column {
        let ColumnBuilder { mut values, closed, validity, .. } = self;
        if let ColumnValues::Bytes(bytes) = &mut values {
            let (views, _) = std::mem::take(bytes).into_parts();
            *bytes = BytesValues::from_parts(views, closed);
        }
        Column::new(values, validity)
    }

    /// The column so far; the builder starts anew, with the same physical type.
    pub fn take(&mut self) -> Column {
        // The next batch will likely be as large.
        let mut fresh = ColumnBuilder::new(self.values.physical(), self.len());
        fresh.open.reserve(self.open.len());
        self.close_buffer();
        std::mem::replace(self, fresh).into_column()
    }

    /// As [`ColumnBuilder::take`], in exchange for a cleared column (see [`Column::clear`]), whose memory the next rows get.
    pub fn take_into(&mut self, column: &mut Column) {
        if column.physical() != self.physical() || !column.is_empty() {
            *column = self.take();
            return;
        }
        let empty = Column::new(ColumnValues::Bool(Vec::new()), None);
        let mut fresh = ColumnBuilder {
            values: std::mem::replace(column, empty).into_values(),
            open: Vec::new(),
            closed: Vec::new(),
            shell: None,
            validity: None,
        };
        if let ColumnValues::Bytes(bytes) = &mut fresh.values {
            let (views, mut buffers) = std::mem::take(bytes).into_parts();
            fresh.shell = buffers.pop();
            fresh.open = fresh.shell.as_mut().and_then(Arc::get_mut).map(std::mem::take).unwrap_or_default();
            fresh.closed = buffers;
            *bytes = BytesValues::from_parts(views, Vec::new());
        }
        self.close_buffer();
        *column = std::mem::replace(self, fresh).into_column();
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no rows yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The physical type.
    pub fn physical(&self) -> PhysicalType {
        self.values.physical()
    }
}

macro_rules! typed_push {
    ($($name:ident $variant:ident $type:ty;)*) => {
        /// Typed pushes; each panics on a column of another physical type.
        #[allow(missing_docs)]
        impl ColumnBuilder {
            $(
                #[inline]
                pub fn $name(&mut self, value: $type) {
                    match &mut self.values {
                        ColumnValues::$variant(vector) => vector.push(value),
                        other => panic!(
                            concat!(stringify!($variant), " pushed to a column of {:?}"),
                            other.physical()
                        ),
                    }
                    if let Some(validity) = &mut self.validity {
                        validity.push(true);
                    }
                }
            )*
        }
    };
}

typed_push! {
    push_bool Bool bool;
    push_char Char u8;
    push_i16 Int16 i16;
    push_i32 Int32 i32;
    push_u32 UInt32 u32;
    push_i64 Int64 i64;
    push_u64 UInt64 u64;
    push_f32 Float32 f32;
    push_f64 Float64 f64;
    push_numeric Numeric Numeric;
    push_interval Interval Interval;
    push_uuid Uuid [u8; 16];
    push_array Array Arc<ArrayValue>;
    push_record Record Arc<[Datum]>;
}
