//! READ COMMITTED's second look at a row that a concurrent transaction changed.

use std::sync::Arc;

use ochre_access::heap::{Heap, WriteOutcome, serialization_failure};
use ochre_base::{Error, Result, RowId, SqlState};
use ochre_sql::physical::{RowRecheck, ScanColumn};
use ochre_txn::Snapshot;
use ochre_types::{Batch, Column};

use crate::ExecContext;
use crate::codec::{RowCodec, RowDecoder};

/// Brings source rows up to date.
pub struct Recheck {
    plan: RowRecheck,
    decoder: RowDecoder,
}

/// A row as it is now.
pub struct CurrentRow {
    /// The source row with the newest version's values, as a batch of one row.
    pub source: Batch,
    /// The snapshot that saw that version.
    pub snapshot: Snapshot,
}

impl Recheck {
    /// For rows of a table.
    pub fn new(codec: &Arc<RowCodec>, plan: &RowRecheck) -> Recheck {
        let fetch: Vec<ScanColumn> = plan.columns.iter().map(|(_, column)| *column).collect();
        Recheck { plan: plan.clone(), decoder: RowDecoder::new(codec, &fetch) }
    }

    /// The newest version of a row that has changed since the statement's snapshot; `None` when it is gone or no longer
    /// satisfies the query's conditions.
    ///
    /// # Errors
    /// 40001 above READ COMMITTED.
    pub fn newest(
        &mut self,
        ctx: &ExecContext<'_>,
        heap: &Heap,
        source: &Batch,
        row: usize,
        rid: RowId,
        outcome: WriteOutcome,
    ) -> Result<Option<CurrentRow>> {
        match self.reread(ctx, heap, source, row, rid, outcome)? {
            Some(current) => Ok(self.fits(ctx, &current.source)?.then_some(current)),
            None => Ok(None),
        }
    }

    /// Whether a row satisfies the query's conditions.
    ///
    /// # Errors
    /// Those of the conditions.
    pub fn fits(&self, ctx: &ExecContext<'_>, source: &Batch) -> Result<bool> {
        Ok(ctx.filter_if(self.plan.predicate.as_ref(), source.clone())?.is_some())
    }

    /// As [`Recheck::newest`], whatever the row satisfies now; `None` when it is gone.
    ///
    /// # Errors
    /// 40001 above READ COMMITTED.
    pub fn reread(
        &mut self,
        ctx: &ExecContext<'_>,
        heap: &Heap,
        source: &Batch,
        row: usize,
        rid: RowId,
        outcome: WriteOutcome,
    ) -> Result<Option<CurrentRow>> {
        let txn = ctx.statement.txn;
        if txn.isolation().uses_transaction_snapshot() {
            return Err(serialization_failure(outcome));
        }
        match outcome {
            WriteOutcome::Deleted => return Ok(None),
            WriteOutcome::Moved => return Err(moved_away()),
            _ => {}
        }
        let snapshot = txn.newest_snapshot()?;
        let decoder = &mut self.decoder;
        let seen = heap.fetch(&snapshot, rid, |version| decoder.push(&version))?;
        match seen {
            None => return Ok(None),
            Some(pushed) => pushed?,
        }
        let values = self.decoder.take(heap)?;
        let mut columns: Vec<Arc<Column>> =
            source.columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect();
        for ((position, _), column) in self.plan.columns.iter().zip(values.columns) {
            columns[*position] = column;
        }
        Ok(Some(CurrentRow { source: Batch::new(columns, 1), snapshot }))
    }
}

/// 40001 for a row that has gone to another partition.
#[cold]
pub fn moved_away() -> Error {
    Error::new(
        SqlState::SERIALIZATION_FAILURE,
        "tuple to be locked was already moved to another partition due to concurrent update",
    )
}
