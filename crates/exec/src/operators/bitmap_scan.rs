//! Bitmap scan: rows of a table by the row ids that indexes give, in page order, each once.
//!
//! The ids of each index condition are gathered, sorted and combined. The set is kept in memory: eight bytes a row.

use std::sync::Arc;

use ochre_access::btree::{Scan, ScanDirection, ScanFetch};
use ochre_base::{Result, RowId};
use ochre_expr::Expr;
use ochre_sql::physical::{BitmapScanPlan, BitmapSource, PhysicalPlan};
use ochre_types::Selection;

use crate::bounds::{key_range, key_spans};
use crate::operators::scan::ScanRows;
use crate::relation::TableAccess;
use crate::{ExecContext, Operator};

/// Rows by a set of row ids.
pub struct BitmapScan {
    rows: ScanRows,
    bitmap: BitmapSource,
    recheck: Option<Expr>,
    ids: Option<Vec<u64>>,
    next: usize,
}

impl BitmapScan {
    /// A scan of a table by bitmaps.
    pub fn new(table: Arc<TableAccess>, node: &BitmapScanPlan, plan: &PhysicalPlan) -> BitmapScan {
        BitmapScan {
            rows: ScanRows::new(table, &node.source, plan),
            bitmap: node.bitmap.clone(),
            recheck: node.recheck.clone(),
            ids: None,
            next: 0,
        }
    }
}

/// The row ids of a source, sorted, each once.
fn row_ids(ctx: &ExecContext<'_>, table: &TableAccess, source: &BitmapSource) -> Result<Vec<u64>> {
    match source {
        BitmapSource::Index { index, bounds, .. } => {
            let index = table.index(index.oid)?;
            index.tree.scans.begun();
            let mut scan = Scan::new(Arc::clone(&index.tree), ScanFetch::RowIds);
            let mut ids = Vec::new();
            for span in key_spans(ctx, index, bounds)? {
                let (low, high) = span.bounds();
                let locked = match ctx.statement.snapshot.serial() {
                    Some(serial) => serial.read_range(index.tree.relation(), key_range(low, high))?,
                    None => None,
                };
                scan.start(low, high, ScanDirection::Forward);
                while scan.next_leaf()? {
                    ctx.check_interrupts()?;
                    ids.extend(scan.rids().iter().map(|rid| rid.to_u64()));
                }
                if let Some(locked) = locked {
                    locked.read_all();
                }
            }
            ids.sort_unstable();
            ids.dedup();
            Ok(ids)
        }
        BitmapSource::And(parts) => {
            let mut parts = parts.iter();
            let mut ids = match parts.next() {
                Some(part) => row_ids(ctx, table, part)?,
                None => return Ok(Vec::new()),
            };
            for part in parts {
                let other = row_ids(ctx, table, part)?;
                ids.retain(|id| other.binary_search(id).is_ok());
            }
            Ok(ids)
        }
        BitmapSource::Or(parts) => {
            let mut ids = Vec::new();
            for part in parts {
                ids.extend(row_ids(ctx, table, part)?);
            }
            ids.sort_unstable();
            ids.dedup();
            Ok(ids)
        }
    }
}

impl Operator for BitmapScan {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<ochre_types::Batch>> {
        let table = Arc::clone(&self.rows.table);
        let heap = table.heap()?;
        if self.ids.is_none() {
            self.ids = Some(row_ids(ctx, &table, &self.bitmap)?);
        }
        let ids = self.ids.as_ref().expect("made above");
        while self.next < ids.len() {
            ctx.check_interrupts()?;
            // Rows whose versions have other keys than their neighbours may be here by another version's key.
            let mut doubtful = Vec::new();
            let decoder = &mut self.rows.decoder;
            while self.next < ids.len() && decoder.rows() < ctx.batch_rows() {
                let rid = RowId::from_u64(ids[self.next]);
                self.next += 1;
                let row = decoder.rows();
                if let Some(serial) = ctx.statement.snapshot.serial() {
                    serial.read_row(heap.relation(), rid)?;
                }
                let seen = heap.fetch(ctx.statement.snapshot, rid, |version| {
                    if version.recheck_keys {
                        doubtful.push(row);
                    }
                    decoder.push(&version)
                })?;
                seen.transpose()?;
            }
            heap.fetches.read(decoder.rows());
            let mut batch = decoder.take(heap)?;
            if let Some(recheck) = &self.recheck
                && !doubtful.is_empty()
            {
                let fits = ctx.filter(recheck, batch.clone())?;
                let fits: Vec<usize> = fits.iter().flat_map(|batch| batch.active()).collect();
                let rows: Vec<u16> = (0..batch.rows)
                    .filter(|row| doubtful.binary_search(row).is_err() || fits.binary_search(row).is_ok())
                    .map(|row| row as u16)
                    .collect();
                batch = batch.with_selection(Selection::new(rows));
            }
            if let Some(batch) = self.rows.finish(ctx, batch)? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        self.ids = None;
        self.next = 0;
        Ok(())
    }
}
