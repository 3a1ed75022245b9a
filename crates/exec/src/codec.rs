//! Rows of a table between their stored form and columns.
//!
//! # Role
//! A [`RowCodec`] is made once from a table's descriptor and shared; it knows every column list (schema version) that a
//! stored row may have been written under. [`RowEncoder`] writes rows under the newest list. [`RowDecoder`] reads the
//! wanted columns of versions straight into column builders, under whatever list they were written.
//!
//! # Invariants
//! - RC1: a row of an older list is brought up to date when it is read: columns that it lacks get their stored default,
//!   dropped ones are passed over, widened types are converted.
//! - RC2: values in overflow pages are read after the page's latch is released: until then their place in the column is
//!   a NULL, remembered in `large`.

use std::sync::Arc;

use ochre_access::heap::{Heap, VersionRef};
use ochre_access::row::{
    Field, FieldKind, FieldPlace, FieldStorage, OverflowReference, RowBuffer, RowLayout, RowView, decompress,
};
use ochre_base::{Error, Oid, Result, RowId};
use ochre_catalog::{ColumnList, RelationDescriptor};
use ochre_sql::physical::ScanColumn;
use ochre_types::{Batch, Column, ColumnBuilder, ColumnValues, Datum, Numeric, PhysicalType, SqlType, store};

use crate::cached_columns::CachedGroup;

/// How a table's rows are stored, under each of its column lists.
#[derive(Debug)]
pub struct RowCodec {
    table: Oid,
    columns: Vec<CodecColumn>,
    lists: Vec<ListCodec>,
    /// Which list new rows are written under.
    current: usize,
}

#[derive(Debug)]
struct CodecColumn {
    ty: SqlType,
    dropped: bool,
    missing: Datum,
}

/// One column list.
#[derive(Debug)]
struct ListCodec {
    version: u16,
    layout: RowLayout,
    /// For each field the position of its column in the table, and the type it is stored with.
    fields: Vec<(usize, SqlType)>,
    /// For each column of the table its field in this list.
    places: Vec<Option<usize>>,
}

impl ListCodec {
    fn new(version: u16, fields: Vec<(usize, SqlType)>, columns: usize) -> ListCodec {
        let kinds: Vec<FieldKind> = fields
            .iter()
            .map(|(_, ty)| ty.physical.stored_width().map_or(FieldKind::Variable, FieldKind::Fixed))
            .collect();
        let mut places = vec![None; columns];
        for (field, (column, _)) in fields.iter().enumerate() {
            if let Some(place) = places.get_mut(*column) {
                *place = Some(field);
            }
        }
        ListCodec { version, layout: RowLayout::new(&kinds), fields, places }
    }
}

/// What the letter of `pg_attribute.attstorage` stands for.
fn field_storage(letter: Option<u8>) -> FieldStorage {
    match letter {
        Some(b'p') => FieldStorage::Plain,
        Some(b'e') => FieldStorage::External,
        Some(b'm') => FieldStorage::Main,
        _ => FieldStorage::Extended,
    }
}

impl RowCodec {
    /// The codec of a table.
    pub fn new(table: &RelationDescriptor) -> RowCodec {
        RowCodec::with_lists(table, &table.column_lists)
    }

    /// The codec of a table in which rows may lie that were written under any of these lists: those of a change of the
    /// table that was rolled back stay among them.
    pub fn with_lists(table: &RelationDescriptor, lists: &[Arc<ColumnList>]) -> RowCodec {
        let columns: Vec<CodecColumn> = table
            .columns
            .iter()
            .map(|column| CodecColumn {
                ty: column.ty,
                dropped: column.dropped,
                missing: column.missing.clone().unwrap_or(Datum::Null),
            })
            .collect();
        let mut lists: Vec<ListCodec> = lists
            .iter()
            .map(|list| {
                let fields = list.fields.iter().map(|field| (field.number as usize - 1, field.ty)).collect();
                ListCodec::new(list.version, fields, columns.len())
            })
            .collect();
        let current = match lists.iter().position(|list| list.version == table.schema_version) {
            Some(current) => current,
            None => {
                // A relation whose rows were never stored has no list yet.
                let live = columns.iter().enumerate().filter(|(_, column)| !column.dropped);
                let fields = live.map(|(position, column)| (position, column.ty)).collect();
                lists.push(ListCodec::new(table.schema_version, fields, columns.len()));
                lists.len() - 1
            }
        };
        if table.columns.iter().any(|column| column.storage.is_some()) {
            let list = &mut lists[current];
            let storage: Vec<FieldStorage> = list
                .fields
                .iter()
                .map(|(position, _)| field_storage(table.columns[*position].storage))
                .collect();
            list.layout = list.layout.clone().with_storage(&storage);
        }
        RowCodec { table: table.oid, columns, lists, current }
    }

    /// The version that new rows are written under.
    pub fn schema_version(&self) -> u16 {
        self.lists[self.current].version
    }

    /// How many columns the table has, dropped ones included.
    pub fn column_count(&self) -> usize {
        self.columns.len()
    }

    /// The type of a column by its position.
    pub fn column_type(&self, position: usize) -> SqlType {
        self.columns[position].ty
    }

    /// The physical types of all columns, dropped ones included.
    pub fn physical_types(&self) -> Vec<PhysicalType> {
        self.columns.iter().map(|column| column.ty.physical).collect()
    }

    /// The type of what a scan reads.
    pub fn scan_column_type(&self, column: ScanColumn) -> PhysicalType {
        match column {
            ScanColumn::Table(position) => self.columns[position].ty.physical,
            ScanColumn::RowId => PhysicalType::Int64,
            ScanColumn::TableOid
            | ScanColumn::Xmin
            | ScanColumn::Xmax
            | ScanColumn::Cmin
            | ScanColumn::Cmax => PhysicalType::UInt32,
            ScanColumn::WholeRow => PhysicalType::Record,
        }
    }

    /// A version's fields, when it was written under the newest list.
    #[inline]
    pub(crate) fn view<'a>(&'a self, version: &VersionRef<'a>) -> Option<RowView<'a>> {
        let list = &self.lists[self.current];
        (list.version == version.schema_version)
            .then(|| RowView::new(&list.layout, version.payload, version.flags))
    }

    /// Whether a version was written under the newest list, without NULLs.
    #[inline]
    pub(crate) fn is_plain(&self, version: &VersionRef<'_>) -> bool {
        version.schema_version == self.lists[self.current].version && !version.flags.has_nulls
    }

    /// Where a field of the newest list lies in plain versions.
    pub(crate) fn place_of(&self, field: usize) -> FieldPlace {
        self.lists[self.current].layout.place(field)
    }

    /// The field of a column in the newest list.
    #[inline]
    pub(crate) fn field_of(&self, position: usize) -> Option<(usize, PhysicalType)> {
        let list = &self.lists[self.current];
        list.places[position].map(|field| (field, list.fields[field].1.physical))
    }

    fn list(&self, version: u16) -> Result<&ListCodec> {
        let current = &self.lists[self.current];
        if current.version == version {
            return Ok(current);
        }
        self.lists.iter().find(|list| list.version == version).ok_or_else(|| {
            Error::corrupt(format!(
                "a row of relation {} has the unknown schema version {version}",
                self.table
            ))
        })
    }
}

/// Encodes rows, one after the other, into memory that it keeps.
#[derive(Debug, Default)]
pub struct RowEncoder {
    /// The row encoded last.
    pub buffer: RowBuffer,
    scratch: Vec<u8>,
}

impl RowEncoder {
    /// Encodes row `row` of columns that stand for the table's, by position.
    ///
    /// # Errors
    /// 54000 when the row is too large.
    pub fn encode(&mut self, codec: &RowCodec, columns: &[Arc<Column>], row: usize) -> Result<()> {
        let list = &codec.lists[codec.current];
        self.buffer.start(&list.layout);
        for (position, _) in &list.fields {
            let column = &columns[*position];
            if column.is_null(row) {
                self.buffer.push_null();
                continue;
            }
            let entry = row * column.stride();
            match column.values() {
                ColumnValues::Int32(v) => self.buffer.push_fixed(&v[entry].to_le_bytes()),
                ColumnValues::Int64(v) => self.buffer.push_fixed(&v[entry].to_le_bytes()),
                ColumnValues::Bytes(v) => self.buffer.push_variable(v.get(entry)),
                values => {
                    self.scratch.clear();
                    store::encode_field_at(column, row, &mut self.scratch);
                    match values.physical().stored_width() {
                        Some(_) => self.buffer.push_fixed(&self.scratch),
                        None => self.buffer.push_variable(&self.scratch),
                    }
                }
            }
        }
        self.buffer.finish()
    }

    /// Encodes a row of single values that stand for the table's columns, by position.
    ///
    /// # Errors
    /// 54000 when the row is too large.
    pub fn encode_values(&mut self, codec: &RowCodec, values: &[Datum]) -> Result<()> {
        let list = &codec.lists[codec.current];
        self.buffer.start(&list.layout);
        for (position, ty) in &list.fields {
            match &values[*position] {
                Datum::Null => self.buffer.push_null(),
                Datum::Int32(value) => self.buffer.push_fixed(&value.to_le_bytes()),
                Datum::Int64(value) => self.buffer.push_fixed(&value.to_le_bytes()),
                Datum::Bytes(bytes) => self.buffer.push_variable(bytes),
                value => {
                    self.scratch.clear();
                    store::encode_field(value, &mut self.scratch);
                    match ty.physical.stored_width() {
                        Some(_) => self.buffer.push_fixed(&self.scratch),
                        None => self.buffer.push_variable(&self.scratch),
                    }
                }
            }
        }
        self.buffer.finish()
    }
}

/// A value that lies in overflow pages and is still to be read.
#[derive(Debug, Clone, Copy)]
struct LargeValue {
    target: usize,
    row: usize,
    rid: RowId,
    reference: OverflowReference,
}

/// Where a version's fields go.
struct Place<'a> {
    row: usize,
    rid: RowId,
    large: &'a mut Vec<LargeValue>,
    scratch: &'a mut Vec<u8>,
}

impl Place<'_> {
    /// Adds a field to a target's builder.
    #[inline]
    fn put(&mut self, builder: &mut ColumnBuilder, target: usize, field: Field<'_>) -> Result<()> {
        match field {
            Field::Inline(bytes) => store::decode_into(builder, bytes)?,
            Field::Null => builder.push_null(),
            Field::Compressed { value_bytes, block } => {
                decompress(value_bytes, block, self.scratch)?;
                store::decode_into(builder, self.scratch)?;
            }
            Field::Overflow(reference) => {
                builder.push_null();
                self.large.push(LargeValue { target, row: self.row, rid: self.rid, reference });
            }
        }
        Ok(())
    }
}

/// Decodes versions into columns.
pub struct RowDecoder {
    codec: Arc<RowCodec>,
    targets: Vec<ScanColumn>,
    /// Targets that callers see; behind them stand the columns that whole rows are made of.
    visible: usize,
    /// For the current list: fields in order, with the target that each goes to.
    steps: Vec<(usize, usize)>,
    /// Targets that are no fields.
    others: Vec<usize>,
    builders: Vec<ColumnBuilder>,
    /// Columns that were given back, cleared.
    spare: Vec<Arc<Column>>,
    rows: usize,
    large: Vec<LargeValue>,
    scratch: Vec<u8>,
    /// Whether it serves an [`ImageDecoder`].
    images: bool,
}

impl RowDecoder {
    /// A decoder of what a scan reads.
    pub fn new(codec: &Arc<RowCodec>, fetch: &[ScanColumn]) -> RowDecoder {
        let mut targets = fetch.to_vec();
        let visible = targets.len();
        if fetch.contains(&ScanColumn::WholeRow) {
            let live = codec.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
            targets.extend(live.map(|(position, _)| ScanColumn::Table(position)));
        }
        let list = &codec.lists[codec.current];
        let (mut steps, mut others) = (Vec::new(), Vec::new());
        for (target, column) in targets.iter().enumerate() {
            match column {
                ScanColumn::Table(position) => match list.places[*position] {
                    Some(field) => steps.push((field, target)),
                    None => others.push(target),
                },
                ScanColumn::WholeRow => {}
                _ => others.push(target),
            }
        }
        steps.sort_unstable();
        let builders =
            targets.iter().map(|column| ColumnBuilder::new(codec.scan_column_type(*column), 0)).collect();
        RowDecoder {
            codec: Arc::clone(codec),
            targets,
            visible,
            steps,
            others,
            builders,
            spare: Vec::new(),
            rows: 0,
            large: Vec::new(),
            scratch: Vec::new(),
            images: false,
        }
    }

    /// A decoder of all columns of the table by position; dropped ones are NULL.
    pub fn all_columns(codec: &Arc<RowCodec>) -> RowDecoder {
        let fetch: Vec<ScanColumn> = (0..codec.column_count()).map(ScanColumn::Table).collect();
        RowDecoder::new(codec, &fetch)
    }

    /// Rows decoded since the last batch was taken.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a version.
    ///
    /// # Errors
    /// XX001 when it is damaged.
    pub fn push(&mut self, version: &VersionRef<'_>) -> Result<()> {
        let RowDecoder { codec, steps, builders, rows, large, scratch, .. } = self;
        let list = &codec.lists[codec.current];
        if list.version != version.schema_version {
            let codec = Arc::clone(codec);
            return self.push_old(&codec, version);
        }
        let mut place = Place { row: *rows, rid: version.rid, large, scratch };
        let view = RowView::new(&list.layout, version.payload, version.flags);
        if version.flags.has_nulls {
            let mut cursor = view.cursor()?;
            let mut at = 0;
            for (field, target) in steps.iter() {
                // A column that is fetched twice: its field is read again.
                if *field < at {
                    place.put(&mut builders[*target], *target, view.field(*field)?)?;
                    continue;
                }
                while at < *field {
                    cursor.skip()?;
                    at += 1;
                }
                at += 1;
                place.put(&mut builders[*target], *target, cursor.next_field()?)?;
            }
        } else {
            for (field, target) in steps.iter() {
                place.put(&mut builders[*target], *target, view.field(*field)?)?;
            }
        }
        for i in 0..self.others.len() {
            self.push_other(self.others[i], version);
        }
        self.rows += 1;
        Ok(())
    }

    /// Adds versions, column by column where they allow it.
    ///
    /// # Errors
    /// XX001 when one is damaged.
    pub fn push_many(&mut self, versions: &[VersionRef<'_>]) -> Result<()> {
        let codec = Arc::clone(&self.codec);
        let list = &codec.lists[codec.current];
        let simple = self.others.is_empty()
            && versions.len() > 1
            && versions.iter().all(|version| {
                version.schema_version == list.version
                    && !version.flags.has_nulls
                    && !version.flags.has_overflow
            });
        if !simple {
            return versions.iter().try_for_each(|version| self.push(version));
        }
        for i in 0..self.steps.len() {
            let (field, target) = self.steps[i];
            let place = list.layout.place(field);
            let mut done = 0;
            loop {
                let found = versions[done..].iter().map(|version| place.find(version.payload));
                done += self.builders[target].extend_stored(found)?;
                let Some(version) = versions.get(done) else { break };
                // It is compressed.
                let view = RowView::new(&list.layout, version.payload, version.flags);
                let RowDecoder { builders, rows, large, scratch, .. } = self;
                let mut place = Place { row: *rows + done, rid: version.rid, large, scratch };
                place.put(&mut builders[target], target, view.field(field)?)?;
                done += 1;
            }
        }
        self.rows += versions.len();
        Ok(())
    }

    /// Adds what is no field of the current list.
    fn push_other(&mut self, target: usize, version: &VersionRef<'_>) {
        let builder = &mut self.builders[target];
        match self.targets[target] {
            ScanColumn::Table(position) => builder.push(&self.codec.columns[position].missing),
            ScanColumn::RowId => builder.push_i64(version.rid.to_u64() as i64),
            ScanColumn::TableOid => builder.push_u32(self.codec.table.0),
            ScanColumn::Xmin => builder.push_u32(version.xid.0 as u32),
            ScanColumn::Xmax | ScanColumn::Cmax => builder.push_u32(0),
            ScanColumn::Cmin => builder.push_u32(version.cid.0),
            ScanColumn::WholeRow => unreachable!("made of other columns when the batch is taken"),
        }
    }

    /// Adds a version that was written under another list (RC1).
    #[cold]
    fn push_old(&mut self, codec: &RowCodec, version: &VersionRef<'_>) -> Result<()> {
        let list = codec.list(version.schema_version)?;
        let view = RowView::new(&list.layout, version.payload, version.flags);
        for target in 0..self.targets.len() {
            match self.targets[target] {
                ScanColumn::WholeRow => {}
                ScanColumn::Table(position) if codec.columns[position].dropped => {
                    self.builders[target].push_null();
                }
                ScanColumn::Table(position) => match list.places[position] {
                    None => self.push_other(target, version),
                    Some(field) => {
                        let stored = list.fields[field].1.physical;
                        let wanted = codec.columns[position].ty.physical;
                        let value = view.field(field)?;
                        if stored == wanted {
                            let RowDecoder { builders, rows, large, scratch, .. } = self;
                            let mut place = Place { row: *rows, rid: version.rid, large, scratch };
                            place.put(&mut builders[target], target, value)?;
                        } else {
                            let value = match value {
                                Field::Null => Ok(Datum::Null),
                                Field::Inline(bytes) => widen(store::decode_field(stored, bytes)?, wanted),
                                _ => Err(unwidenable()),
                            };
                            let value = if self.images { value.unwrap_or(Datum::Null) } else { value? };
                            self.builders[target].push(&value);
                        }
                    }
                },
                _ => self.push_other(target, version),
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// The decoded rows as a batch; the decoder starts anew. No page of the heap may be latched.
    ///
    /// # Errors
    /// When a large value cannot be read.
    pub fn take(&mut self, heap: &Heap) -> Result<Batch> {
        let rows = std::mem::take(&mut self.rows);
        let mut columns = std::mem::take(&mut self.spare);
        columns.truncate(self.builders.len());
        columns.reserve_exact(self.builders.len() - columns.len());
        for (target, builder) in self.builders.iter_mut().enumerate() {
            match columns.get_mut(target).map(Arc::get_mut) {
                Some(Some(column)) => builder.take_into(column),
                Some(None) => columns[target] = Arc::new(builder.take()),
                None => columns.push(Arc::new(builder.take())),
            }
        }
        // A whole row has no values of its own: its column is made below.
        if !self.large.is_empty() {
            self.read_large(heap, &mut columns)?;
        }
        if columns.len() > self.visible {
            self.make_whole_rows(&mut columns, rows);
        }
        Ok(Batch::new(columns, rows))
    }

    /// Takes back what [`RowDecoder::take`] gave, or the first columns of it, for the next rows.
    pub(crate) fn recycle(&mut self, batch: Batch) {
        self.spare = batch.columns;
        self.spare.iter_mut().filter_map(Arc::get_mut).for_each(Column::clear);
    }

    /// The decoded rows by target; `None` for one of which some value lies in overflow pages. The decoder starts anew.
    pub(crate) fn take_inline(&mut self) -> Vec<Option<Column>> {
        self.rows = 0;
        let large = std::mem::take(&mut self.large);
        let is_inline = |target: usize| large.iter().all(|value| value.target != target);
        let columns = self.builders.iter_mut().enumerate();
        columns.map(|(target, builder)| Some(builder.take()).filter(|_| is_inline(target))).collect()
    }

    /// Adds some rows of a cached group (all, without `rows`) to the first `targets`, which are columns of the table.
    pub(crate) fn push_cached(&mut self, group: &CachedGroup, rows: Option<&[u16]>, targets: usize) {
        for (builder, target) in self.builders.iter_mut().zip(&self.targets[..targets]) {
            let ScanColumn::Table(position) = target else { unreachable!("only columns are cached") };
            group.column(*position).extend(builder, rows);
        }
        self.rows += rows.map_or(group.rows, <[u16]>::len);
    }

    /// The first targets of the decoded rows, which are all from cached groups; the decoder starts anew.
    pub(crate) fn take_first(&mut self, targets: usize) -> Batch {
        let rows = std::mem::take(&mut self.rows);
        let columns = self.builders[..targets].iter_mut().map(|builder| Arc::new(builder.take()));
        Batch::new(columns.collect(), rows)
    }

    /// RC2.
    #[cold]
    fn read_large(&mut self, heap: &Heap, columns: &mut [Arc<Column>]) -> Result<()> {
        let mut large = std::mem::take(&mut self.large);
        large.sort_unstable_by_key(|value| (value.target, value.row));
        let mut bytes = Vec::new();
        for values in large.chunk_by(|a, b| a.target == b.target) {
            let target = values[0].target;
            let column = &columns[target];
            let mut builder = ColumnBuilder::new(column.physical(), column.len());
            let mut next = values.iter().peekable();
            for row in 0..column.len() {
                match next.next_if(|value| value.row == row) {
                    None => builder.push_from(column, row),
                    Some(value) => {
                        heap.read_value(value.rid, Field::Overflow(value.reference), &mut bytes)?;
                        store::decode_into(&mut builder, &bytes)?;
                    }
                }
            }
            columns[target] = Arc::new(builder.finish());
        }
        Ok(())
    }

    fn make_whole_rows(&self, columns: &mut Vec<Arc<Column>>, rows: usize) {
        let parts = columns.split_off(self.visible);
        let mut builder = ColumnBuilder::new(PhysicalType::Record, rows);
        for row in 0..rows {
            builder.push_record(parts.iter().map(|column| column.datum(row)).collect());
        }
        let whole = Arc::new(builder.finish());
        for (target, column) in self.targets[..self.visible].iter().zip(columns) {
            if *target == ScanColumn::WholeRow {
                *column = Arc::clone(&whole);
            }
        }
    }
}

/// Decodes versions into target images (the table's columns by position) in which only some columns have their values, as
/// those that an index is made of. The others are NULL; large values of theirs are not read, nor need they still be there.
/// A value that cannot be one of its column's type is NULL, too: it was written under a change of the table that was rolled
/// back, and its entries went with the indexes of that change.
pub struct ImageDecoder {
    decoder: RowDecoder,
    /// For each column of the table its place among what is decoded.
    places: Vec<Option<usize>>,
}

impl ImageDecoder {
    /// For columns by position, sorted.
    pub fn new(codec: &Arc<RowCodec>, columns: &[usize]) -> ImageDecoder {
        let fetch: Vec<ScanColumn> = columns.iter().map(|column| ScanColumn::Table(*column)).collect();
        let places = (0..codec.column_count()).map(|column| columns.binary_search(&column).ok()).collect();
        let decoder = RowDecoder { images: true, ..RowDecoder::new(codec, &fetch) };
        ImageDecoder { decoder, places }
    }

    /// Adds a version.
    ///
    /// # Errors
    /// XX001 when it is damaged.
    pub fn push(&mut self, version: &VersionRef<'_>) -> Result<()> {
        self.decoder.push(version)
    }

    /// The images; the decoder starts anew.
    ///
    /// # Errors
    /// As [`RowDecoder::take`].
    pub fn take(&mut self, heap: &Heap) -> Result<Batch> {
        let decoded = self.decoder.take(heap)?;
        let codec = &self.decoder.codec;
        let columns = self.places.iter().enumerate().map(|(position, place)| match place {
            Some(place) => Arc::clone(&decoded.columns[*place]),
            None => Arc::new(Column::nulls(codec.column_type(position).physical, decoded.rows)),
        });
        Ok(Batch::new(columns.collect(), decoded.rows))
    }
}

/// A value of a type that a column had before it was widened.
fn widen(value: Datum, wanted: PhysicalType) -> Result<Datum> {
    Ok(match (value, wanted) {
        (Datum::Int16(value), PhysicalType::Int32) => Datum::Int32(i32::from(value)),
        (Datum::Int16(value), PhysicalType::Int64) => Datum::Int64(i64::from(value)),
        (Datum::Int32(value), PhysicalType::Int64) => Datum::Int64(i64::from(value)),
        (Datum::Float32(value), PhysicalType::Float64) => Datum::Float64(f64::from(value)),
        (Datum::Int16(value), PhysicalType::Numeric) => Datum::Numeric(Numeric::from_i128(value.into(), 0)),
        (Datum::Int32(value), PhysicalType::Numeric) => Datum::Numeric(Numeric::from_i128(value.into(), 0)),
        (Datum::Int64(value), PhysicalType::Numeric) => Datum::Numeric(Numeric::from_i128(value.into(), 0)),
        _ => return Err(unwidenable()),
    })
}

#[cold]
fn unwidenable() -> Error {
    Error::internal("a column was given a type that its stored values cannot be widened to")
}
