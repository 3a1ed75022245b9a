//! What all table scans share: decoding, filtering, cutting to the output columns.

use std::collections::VecDeque;
use std::sync::Arc;

use ochre_access::heap::Heap;
use ochre_base::{Result, RowId};
use ochre_sql::physical::{PhysicalPlan, ScanColumn, ScanSource};
use ochre_types::{Batch, Column, ColumnBuilder, Datum, PhysicalType};

use crate::ExecContext;
use crate::cached_columns::CachedGroup;
use crate::codec::RowDecoder;
use crate::relation::TableAccess;

/// Tables of more blocks are read through a ring of frames.
pub const RING_BLOCKS: u32 = 2048;
/// Rows that fit on a page at most: a batch is given out while it has room for fewer.
pub const PAGE_ROWS: usize = 300;

/// Puts a page's rows out in smaller batches than the page has rows: tests ask for that.
pub fn split(batch: Batch, rows: usize, parts: &mut VecDeque<Batch>) {
    let batch = batch.compact();
    for start in (0..batch.rows).step_by(rows) {
        let count = rows.min(batch.rows - start);
        let columns = batch.columns.iter().map(|column| Arc::new(column.slice(start, count)));
        parts.push_back(Batch::new(columns.collect(), count));
    }
}

/// A table scan's table, what it reads of a row, and its filter.
pub struct ScanRows {
    pub table: Arc<TableAccess>,
    pub source: ScanSource,
    pub decoder: RowDecoder,
    /// How many of the fetched columns are the output.
    width: usize,
    /// Rows that the filter left out.
    pub removed: u64,
}

impl ScanRows {
    /// The rows of `source`, of which the plan's node outputs the first columns.
    pub fn new(table: Arc<TableAccess>, source: &ScanSource, plan: &PhysicalPlan) -> ScanRows {
        let decoder = RowDecoder::new(&table.codec, &source.fetch);
        ScanRows { table, source: source.clone(), decoder, width: plan.columns.len(), removed: 0 }
    }

    /// Filters a batch of fetched columns and cuts it to the output.
    pub fn finish(&mut self, ctx: &ExecContext<'_>, batch: Batch) -> Result<Option<Batch>> {
        let rows = batch.active_rows();
        let kept = ctx.filter_if(self.source.filter.as_ref(), batch)?;
        self.removed += (rows - kept.as_ref().map_or(0, Batch::active_rows)) as u64;
        let Some(mut batch) = kept else { return Ok(None) };
        batch.columns.truncate(self.width);
        Ok(Some(batch))
    }

    /// The decoded rows, filtered and cut.
    pub fn take(&mut self, ctx: &ExecContext<'_>, heap: &Heap) -> Result<Option<Batch>> {
        let batch = self.decoder.take(heap)?;
        self.finish(ctx, batch)
    }

    /// The decoded rows, cut, of which the filter has been asked already: all come from cached groups.
    pub fn take_judged(&mut self) -> Batch {
        self.decoder.take_first(self.width)
    }

    /// Adds rows of a cached group; those that are judged need no columns but the output's.
    pub fn push_cached(&mut self, group: &CachedGroup, rows: Option<&[u16]>, judged: bool) {
        let targets = if judged { self.width } else { self.source.fetch.len() };
        self.decoder.push_cached(group, rows, targets);
    }

    /// Rows that are in the binary or computed: table columns by position become fetched columns.
    pub fn fetch_builtin(&self, rows: &Batch) -> Batch {
        let columns = self
            .source
            .fetch
            .iter()
            .map(|fetch| match fetch {
                ScanColumn::Table(position) => Arc::clone(&rows.columns[*position]),
                ScanColumn::RowId => {
                    constant(Datum::Int64(BUILTIN_ROW as i64), PhysicalType::Int64, rows.rows)
                }
                ScanColumn::TableOid => {
                    let oid = self.table.descriptor.oid.0;
                    constant(Datum::UInt32(oid), PhysicalType::UInt32, rows.rows)
                }
                ScanColumn::Xmin => constant(Datum::UInt32(1), PhysicalType::UInt32, rows.rows),
                ScanColumn::Xmax | ScanColumn::Cmin | ScanColumn::Cmax => {
                    constant(Datum::UInt32(0), PhysicalType::UInt32, rows.rows)
                }
                ScanColumn::WholeRow => {
                    let mut builder = ColumnBuilder::new(PhysicalType::Record, rows.rows);
                    for row in 0..rows.rows {
                        let live = rows.columns.iter().zip(&self.table.descriptor.columns);
                        let live = live.filter(|(_, column)| !column.dropped);
                        builder.push_record(live.map(|(column, _)| column.datum(row)).collect());
                    }
                    Arc::new(builder.finish())
                }
            })
            .collect();
        Batch { columns, rows: rows.rows, selection: rows.selection.clone() }
    }
}

/// The row id of rows that are not stored: no stored row can have it.
pub const BUILTIN_ROW: u64 = RowId::new(u32::MAX, u16::MAX).to_u64();

fn constant(value: Datum, physical: PhysicalType, rows: usize) -> Arc<Column> {
    Arc::new(Column::constant(physical, &value, rows))
}
