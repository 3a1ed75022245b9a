//! Rows as bytes: how the fields of one version are packed, and where large ones go.
//!
//! # Role
//! The executor encodes fields with a [`RowBuffer`] and decodes them from a page with a [`RowView`]. This module knows
//! byte strings only: which SQL type a field has is the business of those above.
//!
//! # On-disk layout
//! ```text
//! [null bitmap, one bit a field, set = null; only when a field is null]
//! [fixed fields that are not null, in order, unaligned, little-endian]
//! [u16 a variable field that is not null: its end in the variable data, bits 14-15 its form]
//! [variable data]
//! [u16 offset of each overflow reference, u16 their count; only when there are any]
//! ```
//! | form | the field's bytes are |
//! |---|---|
//! | 0 | the value |
//! | 1 | u32 length of the value, lz4 block |
//! | 2 | an overflow reference, 16 bytes: u32 length of the value, u32 stored bytes, u64 link to the first piece |
//! | 3 | the same, and what is stored is an lz4 block |
//!
//! Whether there is a null bitmap and whether there are overflow references is said by [`RowFlags`], which the version
//! header keeps.
//!
//! # Invariants
//! - R1: without nulls every fixed field, and every entry of the table of ends, lies at an offset that depends on the
//!   layout alone.
//! - R2: overflow references are found without the layout, so that the collector can free what they name.

use std::sync::Arc;

use ochre_base::limits::MAX_VALUE_BYTES;
use ochre_base::{Error, Result, SqlState};
use smallvec::SmallVec;

/// Rows longer than this have their largest variable fields compressed and then moved to overflow pages.
pub const LARGE_ROW_BYTES: usize = 2000;
/// What fits on a page beside header, slot and version header.
pub const MAX_PAYLOAD_BYTES: usize = 8100;
/// Variable fields shorter than this are never compressed or moved.
const SMALL_FIELD_BYTES: usize = 64;
/// Bytes of an overflow reference.
pub const OVERFLOW_REFERENCE_BYTES: usize = 16;

const END_MASK: u16 = 0x3fff;
const FORM_SHIFT: u32 = 14;
const FORM_COMPRESSED: u16 = 1;
const FORM_OVERFLOW: u16 = 2;

/// How one field is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Always this many bytes, unless null.
    Fixed(u16),
    /// As many bytes as it has.
    Variable,
}

/// What may happen to a variable field of a row that is long: SET STORAGE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldStorage {
    /// It stays as it is.
    Plain,
    /// It may be moved to overflow pages.
    External,
    /// It may be compressed, then moved.
    #[default]
    Extended,
    /// It may be compressed, and is moved when the row does not fit on a page otherwise.
    Main,
}

impl FieldStorage {
    fn compresses(self) -> bool {
        matches!(self, FieldStorage::Extended | FieldStorage::Main)
    }

    fn moves(self) -> bool {
        matches!(self, FieldStorage::Extended | FieldStorage::External)
    }
}

/// The fields of a row, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowLayout {
    fields: Box<[LayoutField]>,
    /// How the fields of new rows are stored, by number; `None` when all are as usual.
    storage: Option<Arc<[FieldStorage]>>,
    /// Bytes of all fixed fields.
    fixed_bytes: usize,
    variable_count: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LayoutField {
    kind: FieldKind,
    /// Without nulls: the offset of a fixed field; the ordinal of a variable one among the variable ones.
    place: u16,
}

impl RowLayout {
    /// The layout of these fields.
    pub fn new(kinds: &[FieldKind]) -> RowLayout {
        let (mut fixed_bytes, mut variable_count) = (0usize, 0usize);
        let fields = kinds
            .iter()
            .map(|kind| match kind {
                FieldKind::Fixed(bytes) => {
                    let place = fixed_bytes as u16;
                    fixed_bytes += *bytes as usize;
                    LayoutField { kind: *kind, place }
                }
                FieldKind::Variable => {
                    variable_count += 1;
                    LayoutField { kind: *kind, place: variable_count as u16 - 1 }
                }
            })
            .collect();
        RowLayout { fields, storage: None, fixed_bytes, variable_count }
    }

    /// The same layout with what may happen to each field in new rows.
    pub fn with_storage(mut self, storage: &[FieldStorage]) -> RowLayout {
        let usual = storage.iter().all(|storage| *storage == FieldStorage::default());
        self.storage = (!usual).then(|| storage.into());
        self
    }

    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether it has no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// How a field is stored.
    pub fn kind(&self, field: usize) -> FieldKind {
        self.fields[field].kind
    }

    /// Where a field lies in rows without NULLs (R1).
    pub fn place(&self, field: usize) -> FieldPlace {
        let LayoutField { kind, place } = self.fields[field];
        match kind {
            FieldKind::Fixed(len) => FieldPlace::Fixed { at: place as usize, len: len as usize },
            FieldKind::Variable => FieldPlace::Variable {
                ends_at: self.fixed_bytes,
                data_at: self.fixed_bytes + 2 * self.variable_count,
                ordinal: place as usize,
            },
        }
    }

    fn bitmap_bytes(&self) -> usize {
        self.fields.len().div_ceil(8)
    }
}

/// Where a field lies in rows without NULLs: found without a look at the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldPlace {
    /// At an offset, so many bytes.
    Fixed { at: usize, len: usize },
    /// Between two entries of the table of ends.
    Variable { ends_at: usize, data_at: usize, ordinal: usize },
}

impl FieldPlace {
    /// The row's bytes from a field on, and how many are the field's. `None` where the value is not there as it is.
    #[inline]
    pub fn find<'a>(&self, payload: &'a [u8]) -> Option<(&'a [u8], usize)> {
        let (start, len) = match *self {
            FieldPlace::Fixed { at, len } => (at, len),
            FieldPlace::Variable { ends_at, data_at, ordinal: 0 } => {
                let end = u16::from_le_bytes(*payload.get(ends_at..)?.first_chunk()?);
                if end > END_MASK {
                    return None;
                }
                (data_at, end as usize)
            }
            FieldPlace::Variable { ends_at, data_at, ordinal } => {
                let ends: &[u8; 4] = payload.get(ends_at + 2 * ordinal - 2..)?.first_chunk()?;
                let start = u16::from_le_bytes([ends[0], ends[1]]) & END_MASK;
                let end = u16::from_le_bytes([ends[2], ends[3]]);
                if end > END_MASK || end < start {
                    return None;
                }
                (data_at + start as usize, (end - start) as usize)
            }
        };
        let rest = payload.get(start..)?;
        (len <= rest.len()).then_some((rest, len))
    }
}

/// What the version header keeps about a row's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowFlags {
    /// There is a null bitmap.
    pub has_nulls: bool,
    /// There are overflow references, and their table at the end.
    pub has_overflow: bool,
}

/// Names a value in overflow pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OverflowReference {
    /// Bytes of the value itself.
    pub value_bytes: u32,
    /// Bytes that are stored: fewer when compressed.
    pub stored_bytes: u32,
    /// Where its first piece lies, in [`crate::heap::Link`]'s form. Zero while the value is still to be written.
    pub first: u64,
    /// Whether what is stored is an lz4 block.
    pub compressed: bool,
}

impl OverflowReference {
    fn encode(&self) -> [u8; OVERFLOW_REFERENCE_BYTES] {
        let mut bytes = [0; OVERFLOW_REFERENCE_BYTES];
        bytes[0..4].copy_from_slice(&self.value_bytes.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.stored_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8], compressed: bool) -> Result<OverflowReference> {
        let bytes: &[u8; OVERFLOW_REFERENCE_BYTES] = bytes.try_into().map_err(|_| damaged())?;
        Ok(OverflowReference {
            value_bytes: u32_at(bytes, 0)?,
            stored_bytes: u32_at(bytes, 4)?,
            first: u64::from(u32_at(bytes, 8)?) | u64::from(u32_at(bytes, 12)?) << 32,
            compressed,
        })
    }
}

/// One field of a row, as read from it or to be put into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// NULL.
    Null,
    /// The value.
    Inline(&'a [u8]),
    /// The value is `value_bytes` long when `block` is decompressed.
    Compressed { value_bytes: u32, block: &'a [u8] },
    /// The value lies in overflow pages.
    Overflow(OverflowReference),
}

impl<'a> Field<'a> {
    /// The value, if it is there as it is.
    #[inline]
    pub fn inline(self) -> Option<&'a [u8]> {
        match self {
            Field::Inline(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Bytes that one byte of a compressed block stands for at most.
const MOST_COMPRESSED: usize = 255;

/// Decompresses a value.
///
/// # Errors
/// XX001 when it is damaged.
pub fn decompress(value_bytes: u32, block: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    // No room is made for what the block cannot hold.
    if value_bytes as usize > block.len().saturating_mul(MOST_COMPRESSED).min(MAX_VALUE_BYTES) {
        return Err(Error::corrupt("compressed data is corrupt"));
    }
    out.resize(value_bytes as usize, 0);
    match lz4_flex::block::decompress_into(block, out) {
        Ok(n) if n == value_bytes as usize => Ok(()),
        _ => Err(Error::corrupt("compressed data is corrupt")),
    }
}

/// The bytes of a version, seen through the layout it was written under.
#[derive(Debug, Clone, Copy)]
pub struct RowView<'a> {
    layout: &'a RowLayout,
    bytes: &'a [u8],
    flags: RowFlags,
}

impl<'a> RowView<'a> {
    /// A view of a payload.
    #[inline]
    pub fn new(layout: &'a RowLayout, payload: &'a [u8], flags: RowFlags) -> RowView<'a> {
        RowView { layout, bytes: payload, flags }
    }

    /// The layout.
    pub fn layout(&self) -> &'a RowLayout {
        self.layout
    }

    /// One field. Constant time in a row without nulls.
    ///
    /// # Errors
    /// XX001 when the bytes do not fit the layout.
    #[inline]
    pub fn field(&self, index: usize) -> Result<Field<'a>> {
        let field = self.layout.fields[index];
        if !self.flags.has_nulls {
            return match field.kind {
                FieldKind::Fixed(len) => self.fixed(field.place as usize, len as usize),
                FieldKind::Variable => {
                    self.variable(self.layout.fixed_bytes, self.layout.variable_count, field.place as usize)
                }
            };
        }
        self.field_among_nulls(index)
    }

    fn field_among_nulls(&self, index: usize) -> Result<Field<'a>> {
        let mut cursor = self.cursor()?;
        for _ in 0..index {
            cursor.skip()?;
        }
        cursor.next_field()
    }

    /// Whether a field is null.
    ///
    /// # Errors
    /// XX001 when the bytes do not fit the layout.
    #[inline]
    pub fn is_null(&self, index: usize) -> Result<bool> {
        if !self.flags.has_nulls {
            return Ok(false);
        }
        let byte = self.bytes.get(index / 8).ok_or_else(damaged)?;
        Ok(byte & (1 << (index % 8)) != 0)
    }

    /// All fields in order, in constant time each.
    ///
    /// # Errors
    /// XX001 when the bytes do not fit the layout.
    #[inline]
    pub fn cursor(&self) -> Result<RowCursor<'a>> {
        let layout = self.layout;
        if !self.flags.has_nulls {
            return Ok(RowCursor {
                view: *self,
                index: 0,
                fixed_at: 0,
                ordinal: 0,
                ends_at: layout.fixed_bytes,
                variable_count: layout.variable_count,
            });
        }
        let start = layout.bitmap_bytes();
        let (mut ends_at, mut variable_count) = (start, 0);
        for (index, field) in layout.fields.iter().enumerate() {
            if !self.is_null(index)? {
                match field.kind {
                    FieldKind::Fixed(len) => ends_at += len as usize,
                    FieldKind::Variable => variable_count += 1,
                }
            }
        }
        Ok(RowCursor { view: *self, index: 0, fixed_at: start, ordinal: 0, ends_at, variable_count })
    }

    #[inline]
    fn fixed(&self, at: usize, len: usize) -> Result<Field<'a>> {
        self.bytes.get(at..at + len).map(Field::Inline).ok_or_else(damaged)
    }

    #[inline]
    fn variable(&self, ends_at: usize, count: usize, ordinal: usize) -> Result<Field<'a>> {
        let entry = u16_at(self.bytes, ends_at + 2 * ordinal)?;
        let start = match ordinal {
            0 => 0,
            _ => u16_at(self.bytes, ends_at + 2 * ordinal - 2)? & END_MASK,
        };
        let data = ends_at + 2 * count;
        let bytes =
            self.bytes.get(data + start as usize..data + (entry & END_MASK) as usize).ok_or_else(damaged)?;
        let form = entry >> FORM_SHIFT;
        if form == 0 {
            return Ok(Field::Inline(bytes));
        }
        large_form(form, bytes)
    }
}

#[cold]
fn large_form(form: u16, bytes: &[u8]) -> Result<Field<'_>> {
    if form & FORM_OVERFLOW != 0 {
        return Ok(Field::Overflow(OverflowReference::decode(bytes, form & FORM_COMPRESSED != 0)?));
    }
    let value_bytes = u32_at(bytes, 0)?;
    Ok(Field::Compressed { value_bytes, block: &bytes[4..] })
}

/// Goes through the fields of a row in order.
#[derive(Debug, Clone)]
pub struct RowCursor<'a> {
    view: RowView<'a>,
    index: usize,
    fixed_at: usize,
    ordinal: usize,
    ends_at: usize,
    variable_count: usize,
}

impl<'a> RowCursor<'a> {
    /// The next field.
    ///
    /// # Errors
    /// XX001 when the bytes do not fit the layout.
    ///
    /// # Panics
    /// Behind the last field.
    #[inline]
    pub fn next_field(&mut self) -> Result<Field<'a>> {
        let index = self.index;
        self.index += 1;
        if self.view.is_null(index)? {
            return Ok(Field::Null);
        }
        match self.view.layout.fields[index].kind {
            FieldKind::Fixed(len) => {
                let at = self.fixed_at;
                self.fixed_at += len as usize;
                self.view.fixed(at, len as usize)
            }
            FieldKind::Variable => {
                self.ordinal += 1;
                self.view.variable(self.ends_at, self.variable_count, self.ordinal - 1)
            }
        }
    }

    /// Passes over the next field.
    ///
    /// # Errors
    /// XX001 when the bytes do not fit the layout.
    #[inline]
    pub fn skip(&mut self) -> Result<()> {
        let index = self.index;
        self.index += 1;
        if !self.view.is_null(index)? {
            match self.view.layout.fields[index].kind {
                FieldKind::Fixed(len) => self.fixed_at += len as usize,
                FieldKind::Variable => self.ordinal += 1,
            }
        }
        Ok(())
    }
}

/// The overflow references of a payload, found without its layout (R2).
///
/// # Errors
/// XX001 when the table is damaged.
pub fn overflow_references(payload: &[u8], flags: RowFlags) -> Result<SmallVec<[OverflowReference; 4]>> {
    let mut references = SmallVec::new();
    if !flags.has_overflow {
        return Ok(references);
    }
    let count_at = payload.len().checked_sub(2).ok_or_else(damaged)?;
    let count = u16_at(payload, count_at)? as usize;
    let table = count_at.checked_sub(2 * count).ok_or_else(damaged)?;
    for i in 0..count {
        let entry = u16_at(payload, table + 2 * i)?;
        let at = (entry & END_MASK) as usize;
        let bytes = payload.get(at..at + OVERFLOW_REFERENCE_BYTES).ok_or_else(damaged)?;
        references.push(OverflowReference::decode(bytes, entry >> FORM_SHIFT & FORM_COMPRESSED != 0)?);
    }
    Ok(references)
}

/// A value that is to be moved to overflow pages when the row is stored.
#[derive(Debug, Clone)]
pub(crate) struct PendingValue {
    /// Where in the payload its reference lies.
    pub(crate) reference_at: usize,
    /// What is to be stored.
    pub(crate) stored: Vec<u8>,
}

/// A variable field in the making.
#[derive(Debug, Clone, Copy)]
struct VariableField {
    start: usize,
    end: usize,
    form: u16,
    /// Its number among all fields.
    number: u16,
}

/// Encodes rows, one after the other, into memory that it keeps.
///
/// ```
/// use ochre_access::row::{Field, FieldKind, RowBuffer, RowLayout, RowView};
/// let layout = RowLayout::new(&[FieldKind::Fixed(4), FieldKind::Variable]);
/// let mut row = RowBuffer::default();
/// row.start(&layout);
/// row.push_fixed(&7u32.to_le_bytes());
/// row.push_variable(b"seven");
/// row.finish().unwrap();
/// let view = RowView::new(&layout, row.payload(), row.flags());
/// assert_eq!(view.field(1).unwrap(), Field::Inline(b"seven"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct RowBuffer {
    bytes: Vec<u8>,
    flags: RowFlags,
    fixed: Vec<u8>,
    nulls: Vec<u8>,
    variable: Vec<u8>,
    ends: Vec<VariableField>,
    field_count: usize,
    pushed: usize,
    storage: Option<Arc<[FieldStorage]>>,
    pub(crate) pending: Vec<PendingValue>,
}

impl RowBuffer {
    /// Begins a row.
    pub fn start(&mut self, layout: &RowLayout) {
        self.bytes.clear();
        self.fixed.clear();
        self.variable.clear();
        self.ends.clear();
        self.pending.clear();
        self.nulls.clear();
        self.nulls.resize(layout.bitmap_bytes(), 0);
        self.flags = RowFlags::default();
        self.field_count = layout.len();
        self.pushed = 0;
        if self.storage.is_some() || layout.storage.is_some() {
            self.storage.clone_from(&layout.storage);
        }
    }

    /// Adds a fixed field.
    #[inline]
    pub fn push_fixed(&mut self, bytes: &[u8]) {
        self.fixed.extend_from_slice(bytes);
        self.pushed += 1;
    }

    /// Adds a null.
    #[inline]
    pub fn push_null(&mut self) {
        self.nulls[self.pushed / 8] |= 1 << (self.pushed % 8);
        self.flags.has_nulls = true;
        self.pushed += 1;
    }

    /// Adds a variable field.
    #[inline]
    pub fn push_variable(&mut self, bytes: &[u8]) {
        self.push_form(0, &[], bytes);
    }

    fn push_form(&mut self, form: u16, head: &[u8], bytes: &[u8]) {
        let start = self.variable.len();
        self.variable.extend_from_slice(head);
        self.variable.extend_from_slice(bytes);
        self.ends.push(VariableField { start, end: self.variable.len(), form, number: self.pushed as u16 });
        self.pushed += 1;
    }

    /// Adds a field that is stored in a certain form, for instance as it was read from an older version of the same
    /// row: compressed values and overflow references are kept as they are. A row takes references from its own
    /// older version only.
    pub fn push_as(&mut self, kind: FieldKind, field: Field<'_>) {
        match (kind, field) {
            (_, Field::Null) => self.push_null(),
            (FieldKind::Fixed(_), Field::Inline(bytes)) => self.push_fixed(bytes),
            (FieldKind::Variable, Field::Inline(bytes)) => self.push_variable(bytes),
            (_, Field::Compressed { value_bytes, block }) => {
                self.push_form(FORM_COMPRESSED, &value_bytes.to_le_bytes(), block);
            }
            (_, Field::Overflow(reference)) => {
                let form = FORM_OVERFLOW | (u16::from(reference.compressed) * FORM_COMPRESSED);
                self.push_form(form, &[], &reference.encode());
            }
        }
    }

    /// Encodes a whole row.
    ///
    /// # Errors
    /// As [`RowBuffer::finish`].
    pub fn encode(&mut self, layout: &RowLayout, fields: &[Field<'_>]) -> Result<()> {
        self.start(layout);
        for (index, field) in fields.iter().enumerate() {
            self.push_as(layout.kind(index), *field);
        }
        self.finish()
    }

    /// Ends the row: compresses and moves large fields when it is long.
    ///
    /// # Errors
    /// 54000 when it does not fit on a page even so.
    ///
    /// # Panics
    /// When not every field of the layout was pushed.
    pub fn finish(&mut self) -> Result<()> {
        assert_eq!(self.pushed, self.field_count, "every field of the layout is pushed once");
        if self.encoded_bytes() > LARGE_ROW_BYTES {
            self.shrink()?;
        }
        self.assemble();
        Ok(())
    }

    /// The bytes of the finished row.
    pub fn payload(&self) -> &[u8] {
        &self.bytes
    }

    /// What the version header keeps about them.
    pub fn flags(&self) -> RowFlags {
        self.flags
    }

    pub(crate) fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    fn encoded_bytes(&self) -> usize {
        let overflow = self.ends.iter().filter(|f| f.form & FORM_OVERFLOW != 0).count();
        let table = if overflow > 0 { 2 * overflow + 2 } else { 0 };
        let bitmap = if self.flags.has_nulls { self.nulls.len() } else { 0 };
        let variable: usize = self.ends.iter().map(|f| f.end - f.start).sum();
        bitmap + self.fixed.len() + 2 * self.ends.len() + variable + table
    }

    fn assemble(&mut self) {
        self.bytes.clear();
        if self.flags.has_nulls {
            self.bytes.extend_from_slice(&self.nulls);
        }
        self.bytes.extend_from_slice(&self.fixed);
        let mut end = 0;
        for field in &self.ends {
            end += (field.end - field.start) as u16;
            self.bytes.extend_from_slice(&(end | field.form << FORM_SHIFT).to_le_bytes());
        }
        let data = self.bytes.len();
        let has_overflow = self.ends.iter().any(|f| f.form & FORM_OVERFLOW != 0);
        if !has_overflow {
            self.bytes.extend_from_slice(&self.variable);
            debug_assert_eq!(self.bytes.len() - data, end as usize, "fields lie one behind the other");
            return;
        }
        self.flags.has_overflow = true;
        let mut table: SmallVec<[u16; 8]> = SmallVec::new();
        for field in &self.ends {
            if field.form & FORM_OVERFLOW != 0 {
                table.push(self.bytes.len() as u16 | (field.form & FORM_COMPRESSED) << FORM_SHIFT);
            }
            self.bytes.extend_from_slice(&self.variable[field.start..field.end]);
        }
        for entry in &table {
            self.bytes.extend_from_slice(&entry.to_le_bytes());
        }
        self.bytes.extend_from_slice(&(table.len() as u16).to_le_bytes());
        // References of values still to be written are told by their order among all references.
        for pending in &mut self.pending {
            let ordinal =
                self.ends[..=pending.reference_at].iter().filter(|f| f.form & FORM_OVERFLOW != 0).count();
            pending.reference_at = (table[ordinal - 1] & END_MASK) as usize;
        }
    }

    /// Compresses, then moves, the largest fields until the row is short enough.
    #[cold]
    fn shrink(&mut self) -> Result<()> {
        let mut values: Vec<Vec<u8>> =
            self.ends.iter().map(|f| self.variable[f.start..f.end].to_vec()).collect();
        let storage: Vec<FieldStorage> = match &self.storage {
            None => vec![FieldStorage::default(); values.len()],
            Some(storage) => self.ends.iter().map(|f| storage[f.number as usize]).collect(),
        };
        let mut tried: Vec<bool> =
            self.ends.iter().zip(&storage).map(|(f, storage)| f.form != 0 || !storage.compresses()).collect();
        let mut total = self.encoded_bytes();
        while total > LARGE_ROW_BYTES {
            let Some(i) = largest(&values, |i| !tried[i]) else { break };
            tried[i] = true;
            let block = lz4_flex::block::compress(&values[i]);
            // Compression that gains less than an eighth is not worth a decompression at each read.
            if block.len() + 4 < values[i].len() - values[i].len() / 8 {
                let mut stored = (values[i].len() as u32).to_le_bytes().to_vec();
                stored.extend_from_slice(&block);
                total = total - values[i].len() + stored.len();
                values[i] = stored;
                self.ends[i].form = FORM_COMPRESSED;
            }
        }
        // What should stay with the row is moved when it does not fit otherwise.
        for (long, last) in [(LARGE_ROW_BYTES, false), (MAX_PAYLOAD_BYTES, true)] {
            while total > long {
                let may_move = |i: usize| {
                    let wanted = storage[i].moves() || last && storage[i] == FieldStorage::Main;
                    wanted && self.ends[i].form & FORM_OVERFLOW == 0
                };
                let Some(i) = largest(&values, may_move) else { break };
                let compressed = self.ends[i].form == FORM_COMPRESSED;
                let value = std::mem::take(&mut values[i]);
                let (value_bytes, stored) = if compressed {
                    (u32_at(&value, 0)?, value[4..].to_vec())
                } else {
                    (value.len() as u32, value)
                };
                let stored_bytes = stored.len() as u32;
                let reference = OverflowReference { value_bytes, stored_bytes, first: 0, compressed };
                values[i] = reference.encode().to_vec();
                self.ends[i].form |= FORM_OVERFLOW;
                // The field's number for the moment; `assemble` turns it into an offset.
                self.pending.push(PendingValue { reference_at: i, stored });
                total = total - if compressed { stored_bytes as usize + 4 } else { stored_bytes as usize }
                    + OVERFLOW_REFERENCE_BYTES
                    + 4;
            }
        }
        self.variable.clear();
        for (field, value) in self.ends.iter_mut().zip(&values) {
            field.start = self.variable.len();
            self.variable.extend_from_slice(value);
            field.end = self.variable.len();
        }
        let bytes = self.encoded_bytes();
        if bytes > MAX_PAYLOAD_BYTES {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("row is too big: size {bytes}, maximum size {MAX_PAYLOAD_BYTES}"),
            ));
        }
        Ok(())
    }
}

/// The longest value worth moving among those that qualify.
fn largest(values: &[Vec<u8>], qualifies: impl Fn(usize) -> bool) -> Option<usize> {
    (0..values.len())
        .filter(|i| qualifies(*i) && values[*i].len() >= SMALL_FIELD_BYTES)
        .max_by_key(|i| values[*i].len())
}

#[cold]
fn damaged() -> Error {
    Error::corrupt("a row's bytes do not fit its layout")
}

#[inline]
fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u16::from_le_bytes(*b)).ok_or_else(damaged)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u32::from_le_bytes(*b)).ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> RowLayout {
        use FieldKind::{Fixed, Variable};
        RowLayout::new(&[Fixed(4), Variable, Fixed(8), Variable, Fixed(1)])
    }

    #[test]
    fn rows_with_and_without_nulls_round_trip() {
        let layout = layout();
        let mut row = RowBuffer::default();
        for nulls in 0..32u32 {
            let fields: Vec<Field<'_>> = (0..5)
                .map(|i| match i {
                    _ if nulls & (1 << i) != 0 => Field::Null,
                    0 => Field::Inline(&[1, 2, 3, 4]),
                    1 => Field::Inline(b""),
                    2 => Field::Inline(&[9; 8]),
                    3 => Field::Inline(b"text"),
                    _ => Field::Inline(&[7]),
                })
                .collect();
            row.encode(&layout, &fields).unwrap();
            assert_eq!(row.flags().has_nulls, nulls != 0);
            let view = RowView::new(&layout, row.payload(), row.flags());
            let mut cursor = view.cursor().unwrap();
            for (i, field) in fields.iter().enumerate() {
                assert_eq!(view.field(i).unwrap(), *field, "field {i} with nulls {nulls:b}");
                assert_eq!(cursor.next_field().unwrap(), *field);
            }
            if nulls == 0 {
                for (i, field) in fields.iter().enumerate() {
                    let (rest, len) = layout.place(i).find(row.payload()).unwrap();
                    assert_eq!(Field::Inline(&rest[..len]), *field, "field {i}");
                }
            }
            for n in 0..row.payload().len() {
                (0..5).for_each(|i| {
                    let _ = layout.place(i).find(&row.payload()[..n]);
                });
                let cut = RowView::new(&layout, &row.payload()[..n], row.flags());
                for i in 0..5 {
                    let _ = cut.field(i);
                }
            }
        }
    }

    #[test]
    fn long_fields_are_compressed_or_marked_for_overflow() {
        let layout = layout();
        let mut row = RowBuffer::default();
        let even = vec![b'a'; 5000];
        let mut seed = 1u32;
        let noise: Vec<u8> = (0..5000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect();
        let fields = [
            Field::Inline(&[0; 4]),
            Field::Inline(&even),
            Field::Inline(&[0; 8]),
            Field::Inline(&noise),
            Field::Inline(&[0]),
        ];
        row.encode(&layout, &fields).unwrap();
        let there: Vec<bool> = (0..5).map(|i| layout.place(i).find(row.payload()).is_some()).collect();
        assert_eq!(there, [true, false, true, false, true]);
        assert!(row.payload().len() <= LARGE_ROW_BYTES && row.flags().has_overflow);
        let view = RowView::new(&layout, row.payload(), row.flags());
        let Field::Compressed { value_bytes, block } = view.field(1).unwrap() else {
            panic!("an even value is compressed");
        };
        let mut out = Vec::new();
        decompress(value_bytes, block, &mut out).unwrap();
        assert_eq!(out, even);
        let Field::Overflow(reference) = view.field(3).unwrap() else { panic!("noise is moved") };
        assert_eq!((reference.value_bytes, reference.compressed), (5000, false));
        assert_eq!(row.pending.len(), 1);
        assert_eq!(row.pending[0].stored, noise);
        assert_eq!(overflow_references(row.payload(), row.flags()).unwrap()[..], [reference]);
        let at = row.pending[0].reference_at;
        assert_eq!(row.payload()[at..at + 4], 5000u32.to_le_bytes());
    }

    #[test]
    fn a_row_of_too_many_fixed_fields_is_refused() {
        let layout = RowLayout::new(&[FieldKind::Fixed(1000); 9]);
        let mut row = RowBuffer::default();
        let error = row.encode(&layout, &[Field::Inline(&[0; 1000]); 9]).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::PROGRAM_LIMIT_EXCEEDED);
    }
}
