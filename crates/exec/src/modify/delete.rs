//! DELETE, with RETURNING.

use std::sync::Arc;

use ochre_access::heap::{LockOutcome, RowWait, WriteOutcome, serialization_failure};
use ochre_base::{Result, RowId};
use ochre_expr::Expr;
use ochre_sql::physical::{DeletePlan, ReferencedKey, ScanColumn};
use ochre_txn::{RowLockStrength, Snapshot};
use ochre_types::Batch;

use crate::codec::RowDecoder;
use crate::modify::after::note_key;
use crate::modify::insert::{project, select_rows};
use crate::modify::recheck::{CurrentRow, Recheck};
use crate::modify::target::Target;
use crate::modify::triggers::{TriggerEvent, Triggers, changed_within};
use crate::modify::update::join_batches;
use crate::relation::RelationSource;
use crate::{BoxOperator, ExecContext, Operator};

/// Deletes rows and notes what may refer to them.
pub struct RowDeleter {
    /// Reads the keys of deleted rows that others may refer to.
    keys: Option<RowDecoder>,
    /// Positions of the columns that it reads, sorted.
    columns: Vec<usize>,
    referenced_by: Vec<Arc<ReferencedKey>>,
}

impl RowDeleter {
    /// For rows of a table.
    pub fn new(target: &Target) -> RowDeleter {
        RowDeleter::of_keys(target, &target.plan.referenced_by)
    }

    /// For rows of a table that only these foreign keys refer to.
    pub fn of_keys(target: &Target, referenced_by: &[Arc<ReferencedKey>]) -> RowDeleter {
        let mut columns: Vec<usize> =
            referenced_by.iter().flat_map(|key| key.columns.iter().copied()).collect();
        columns.sort_unstable();
        columns.dedup();
        let fetch: Vec<ScanColumn> = columns.iter().copied().map(ScanColumn::Table).collect();
        let keys = (!fetch.is_empty()).then(|| RowDecoder::new(&target.table.codec, &fetch));
        RowDeleter { keys, columns, referenced_by: referenced_by.to_vec() }
    }

    /// Deletes a row, if nobody has changed it since the snapshot.
    ///
    /// # Errors
    /// Errors of storage, and of waiting.
    pub fn delete_row(
        &mut self,
        ctx: &ExecContext<'_>,
        target: &Target,
        rid: RowId,
        snapshot: &Snapshot,
        wait: &mut RowWait,
    ) -> Result<WriteOutcome> {
        let outcome = target.heap.delete(ctx.statement.txn, snapshot, rid, wait)?;
        self.note_end(ctx, target, rid, snapshot, wait, outcome)
    }

    /// As [`RowDeleter::delete_row`], for a row that goes to another partition.
    ///
    /// # Errors
    /// Errors of storage, and of waiting.
    pub fn move_row(
        &mut self,
        ctx: &ExecContext<'_>,
        target: &Target,
        rid: RowId,
        snapshot: &Snapshot,
        wait: &mut RowWait,
    ) -> Result<WriteOutcome> {
        let outcome = target.heap.delete_moved(ctx.statement.txn, snapshot, rid, wait)?;
        self.note_end(ctx, target, rid, snapshot, wait, outcome)
    }

    fn note_end(
        &mut self,
        ctx: &ExecContext<'_>,
        target: &Target,
        rid: RowId,
        snapshot: &Snapshot,
        wait: &RowWait,
        outcome: WriteOutcome,
    ) -> Result<WriteOutcome> {
        if outcome != WriteOutcome::Done {
            return Ok(outcome);
        }
        ctx.note_write();
        if let Some(serial) = ctx.statement.txn.serial() {
            serial.check_row(target.heap.relation(), rid, wait.wrote_over)?;
        }
        if let Some(decoder) = &mut self.keys {
            let seen = target.heap.fetch(snapshot, rid, |version| decoder.push(&version))?;
            seen.unwrap_or(Ok(()))?;
        }
        Ok(outcome)
    }

    /// Notes that others may refer to the keys of the rows deleted so far.
    ///
    /// # Errors
    /// Errors of storage.
    pub fn note_keys(&mut self, ctx: &ExecContext<'_>, target: &Target) -> Result<()> {
        let Some(decoder) = &mut self.keys else { return Ok(()) };
        let batch = decoder.take(&target.heap)?;
        for row in 0..batch.rows {
            for key in &self.referenced_by {
                let value = |column: &usize| {
                    let at = self.columns.binary_search(column).expect("all referenced columns are read");
                    batch.columns[at].datum(row)
                };
                let old = key.columns.iter().map(value).collect();
                note_key(ctx, &target.table, key, old, Vec::new())?;
            }
        }
        Ok(())
    }
}

/// Deletes the rows of its source.
pub struct Delete {
    target: Target,
    source: BoxOperator,
    row_id: usize,
    recheck: Recheck,
    /// For each column of the table the source's column that has its old value.
    old_columns: Vec<Option<usize>>,
    returning: Option<Vec<Expr>>,
    deleter: RowDeleter,
    triggers: Option<(Box<Triggers>, RowDecoder)>,
    is_root: bool,
}

impl Delete {
    /// Deletes what `source` gives.
    ///
    /// # Errors
    /// What opening relations fails with.
    pub fn new(
        plan: &DeletePlan,
        source: BoxOperator,
        relations: &dyn RelationSource,
        is_root: bool,
    ) -> Result<Delete> {
        let target = Target::open(&plan.target, relations)?;
        let mut old_columns = vec![None; target.table.codec.column_count()];
        for (position, column) in &plan.recheck.columns {
            if let ScanColumn::Table(column) = column {
                old_columns[*column] = Some(*position);
            }
        }
        Ok(Delete {
            recheck: Recheck::new(&target.table.codec, &plan.recheck),
            deleter: RowDeleter::new(&target),
            triggers: Triggers::of(&target.table.descriptor, TriggerEvent::Delete, &[])
                .map(|triggers| (triggers, RowDecoder::all_columns(&target.table.codec))),
            target,
            source,
            row_id: plan.row_id,
            old_columns,
            returning: plan.returning.clone(),
            is_root,
        })
    }

    /// Deletes one row; whether it did, and the source row as it was read again, when it had changed.
    fn delete_row(
        &mut self,
        ctx: &ExecContext<'_>,
        source: &Batch,
        row: usize,
        rid: RowId,
    ) -> Result<(bool, Option<Batch>)> {
        let mut wait = RowWait::default();
        let snapshot = ctx.statement.snapshot;
        let mut outcome = self.deleter.delete_row(ctx, &self.target, rid, snapshot, &mut wait)?;
        let mut again = None;
        loop {
            match outcome {
                WriteOutcome::Done => return Ok((true, again)),
                WriteOutcome::SelfModified if ctx.wrote(wait.own_command) => return Ok((false, None)),
                WriteOutcome::SelfModified => return Err(changed_within("deleted")),
                WriteOutcome::Changed | WriteOutcome::Deleted | WriteOutcome::Moved => {}
            }
            ctx.check_interrupts()?;
            let current = self.recheck.newest(ctx, &self.target.heap, source, row, rid, outcome)?;
            let Some(current) = current else { return Ok((false, None)) };
            outcome = self.deleter.delete_row(ctx, &self.target, rid, &current.snapshot, &mut wait)?;
            again = Some(current.source);
        }
    }

    /// Locks the newest version of a row, shows it to the triggers, and deletes it if they let it.
    fn delete_shown(
        &mut self,
        ctx: &ExecContext<'_>,
        source: &Batch,
        row: usize,
        rid: RowId,
    ) -> Result<(bool, Option<Batch>)> {
        let txn = ctx.statement.txn;
        let heap = Arc::clone(&self.target.heap);
        let mut wait = RowWait::default();
        let mut current: Option<CurrentRow> = None;
        loop {
            let snapshot = current.as_ref().map_or(ctx.statement.snapshot, |current| &current.snapshot);
            let strength = RowLockStrength::Update;
            let outcome = match heap.lock_row(txn, snapshot, rid, strength, true, &mut wait)? {
                LockOutcome::Locked => break,
                LockOutcome::SelfModified if ctx.wrote(wait.own_command) => return Ok((false, None)),
                LockOutcome::SelfModified => return Err(changed_within("deleted")),
                LockOutcome::Changed | LockOutcome::WouldBlock => WriteOutcome::Changed,
                LockOutcome::Deleted => WriteOutcome::Deleted,
                LockOutcome::Moved => WriteOutcome::Moved,
            };
            ctx.check_interrupts()?;
            current = self.recheck.newest(ctx, &heap, source, row, rid, outcome)?;
            if current.is_none() {
                return Ok((false, None));
            }
        }
        let snapshot = current.as_ref().map_or(ctx.statement.snapshot, |current| &current.snapshot);
        let (triggers, decoder) = self.triggers.as_mut().expect("called with triggers");
        let seen = heap.fetch(snapshot, rid, |version| decoder.push(&version))?;
        seen.unwrap_or(Ok(()))?;
        let old = decoder.take(&heap)?;
        if old.rows == 0 {
            return Ok((false, None));
        }
        let old = triggers.row(&old, 0);
        if triggers.before(ctx, Some(&old), None)?.is_none() {
            return Ok((false, None));
        }
        match self.deleter.delete_row(ctx, &self.target, rid, snapshot, &mut wait)? {
            WriteOutcome::Done => {}
            WriteOutcome::SelfModified => return Err(changed_within("deleted")),
            other => return Err(serialization_failure(other)),
        }
        triggers.after(ctx, Some(&old), None)?;
        Ok((true, current.map(|current| current.source)))
    }

    /// Deletes the rows of a batch of the source's; RETURNING's rows.
    ///
    /// # Errors
    /// Errors of storage, and of waiting.
    pub fn delete_batch(&mut self, ctx: &ExecContext<'_>, source: Batch) -> Result<Vec<Batch>> {
        let ids = Arc::clone(&source.columns[self.row_id]);
        let mut deleted: Vec<u16> = Vec::new();
        let mut results = Vec::new();
        let mut count = 0;
        for (number, row) in source.active().enumerate() {
            if number % 64 == 0 {
                ctx.check_interrupts()?;
            }
            let Some(id) = ids.datum(row).as_i64() else { continue };
            let rid = RowId::from_u64(id as u64);
            ctx.cross_check(&self.target.heap, rid)?;
            let (done, again) = match self.triggers.is_some() {
                true => self.delete_shown(ctx, &source, row, rid)?,
                false => self.delete_row(ctx, &source, row, rid)?,
            };
            if !done {
                continue;
            }
            count += 1;
            match again {
                None => deleted.push(row as u16),
                Some(current) if self.returning.is_some() => {
                    results.push(self.returned(ctx, current, vec![0])?);
                }
                Some(_) => {}
            }
        }
        self.deleter.note_keys(ctx, &self.target)?;
        if self.is_root {
            ctx.run.rows_changed.set(ctx.run.rows_changed.get() + count);
        }
        if self.returning.is_some() && !deleted.is_empty() {
            results.insert(0, self.returned(ctx, source, deleted)?);
        }
        Ok(results)
    }

    /// RETURNING of some rows.
    fn returned(&self, ctx: &ExecContext<'_>, source: Batch, rows: Vec<u16>) -> Result<Batch> {
        let mut columns = self.target.old_image(&source, &self.old_columns).columns;
        columns.push(Arc::clone(&source.columns[self.row_id]));
        columns.extend(source.columns);
        let image = Batch::new(columns, source.rows);
        let returning = self.returning.as_deref().unwrap_or_default();
        project(ctx, returning, select_rows(image, rows))
    }
}

impl Operator for Delete {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if let Some((triggers, _)) = &mut self.triggers {
            triggers.begin(ctx)?;
        }
        while let Some(batch) = self.source.next(ctx)? {
            let results = self.delete_batch(ctx, batch)?;
            if !results.is_empty() {
                return Ok(Some(join_batches(results)));
            }
        }
        if let Some((triggers, _)) = &mut self.triggers {
            triggers.end(ctx)?;
        }
        Ok(None)
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        if let Some((triggers, _)) = &mut self.triggers {
            triggers.restart();
        }
        self.source.rescan(ctx)
    }
}
