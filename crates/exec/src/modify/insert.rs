//! INSERT, with ON CONFLICT and RETURNING.

use std::sync::Arc;

use ochre_access::heap::{LockOutcome, RowWait, WriteOutcome, serialization_failure};
use ochre_base::{Error, Result, RowId};
use ochre_expr::{Expr, Implementation, Volatility};
use ochre_sql::explain::{ConflictReport, NodeReport};
use ochre_sql::physical::{Assignment, ConflictAction, InsertPlan, OnConflict, PhysicalPlan, PlanNode};
use ochre_txn::{RowLockStrength, Snapshot};
use ochre_types::{Batch, Column, Selection};

use crate::codec::RowDecoder;
use crate::columns::null_columns;
use crate::index_entry::EntryColumns;
use crate::modify::errors::{conflict_moves, conflict_twice, deferrable_arbiter};
use crate::modify::target::{NewRows, Target, is_checked, with_row_ids};
use crate::modify::triggers::{TriggerEvent, Triggers};
use crate::modify::unique::{Found, HeapUniqueChecker};
use crate::modify::update::{RowUpdater, Shown, ShownUpdate};
use crate::relation::IndexAccess;
use crate::relation::RelationSource;
use crate::{BoxOperator, ExecContext, Operator};

/// Inserts the rows of its source.
pub struct Insert {
    target: Target,
    source: BoxOperator,
    on_conflict: Option<Conflict>,
    returning: Option<Vec<Expr>>,
    triggers: Option<Box<Triggers>>,
    /// Routines that compute rows see those that were inserted before.
    one_by_one: bool,
    /// Whether its rows count for the command tag.
    is_root: bool,
}

/// ON CONFLICT at run time.
struct Conflict {
    plan: OnConflict,
    updater: RowUpdater,
    decoder: RowDecoder,
    report: ConflictReport,
    /// Of DO UPDATE.
    triggers: Option<Box<Triggers>>,
    shown: Option<ShownUpdate>,
}

/// What became of a proposed row.
enum Placed {
    Inserted(RowId),
    /// DO UPDATE changed the row that was there: its new image and its old one.
    Updated(Batch, Batch),
    Skipped,
}

impl Insert {
    /// Inserts what `source` gives.
    ///
    /// # Errors
    /// What opening relations fails with.
    pub fn new(
        plan: &InsertPlan,
        source: BoxOperator,
        relations: &dyn RelationSource,
        is_root: bool,
    ) -> Result<Insert> {
        let target = Target::open(&plan.target, relations)?;
        let on_conflict = plan.on_conflict.as_ref().map(|on_conflict| {
            let changed = changed_columns(&target, &on_conflict.action);
            let triggers = match on_conflict.updates() {
                true => Triggers::of(&target.table.descriptor, TriggerEvent::Update, &changed),
                false => None,
            };
            let shown = triggers.as_ref().filter(|triggers| triggers.has_before_row());
            Conflict {
                plan: on_conflict.clone(),
                updater: RowUpdater::new(&target, changed),
                decoder: RowDecoder::all_columns(&target.table.codec),
                shown: shown.map(|_| ShownUpdate::new(&target).that_may_move()),
                triggers,
                report: ConflictReport::default(),
            }
        });
        let triggers = Triggers::of(&target.table.descriptor, TriggerEvent::Insert, &[]);
        Ok(Insert {
            target,
            source,
            on_conflict,
            returning: plan.returning.clone(),
            triggers,
            one_by_one: computes_by_routines(&plan.source),
            is_root,
        })
    }

    /// The triggers of ON CONFLICT DO UPDATE.
    fn update_triggers(&mut self) -> Option<&mut Triggers> {
        self.on_conflict.as_mut().and_then(|conflict| conflict.triggers.as_deref_mut())
    }

    fn count(&self, ctx: &ExecContext<'_>, rows: usize) {
        if self.is_root {
            ctx.run.rows_changed.set(ctx.run.rows_changed.get() + rows as u64);
        }
    }

    /// The next rows to insert.
    fn next_source(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if !self.one_by_one {
            return self.source.next(ctx);
        }
        let wanted = ctx.run.wanted_rows.replace(1);
        let batch = self.source.next(ctx);
        ctx.run.wanted_rows.set(wanted);
        batch
    }

    /// Inserts one batch; RETURNING's rows.
    ///
    /// # Errors
    /// 23502, 23514, 23505; errors of storage, and of waiting.
    pub fn insert_batch(&mut self, ctx: &ExecContext<'_>, batch: Batch) -> Result<Option<Batch>> {
        if self.triggers.as_ref().is_some_and(|triggers| triggers.has_before_row()) {
            return self.insert_shown(ctx, batch);
        }
        let new = self.target.prepare(ctx, batch)?;
        if self.on_conflict.is_some() {
            return self.insert_with_conflicts(ctx, &new);
        }
        self.insert_prepared(ctx, new)
    }

    /// Inserts the only row of a batch, which comes from another partition; its id, unless a trigger turns it down.
    ///
    /// # Errors
    /// As [`Insert::insert_batch`].
    pub fn insert_moved(&mut self, ctx: &ExecContext<'_>, batch: Batch) -> Result<Option<RowId>> {
        let mut batch = batch;
        if let Some(triggers) = self.triggers.as_ref().filter(|triggers| triggers.has_before_row()) {
            let proposed = triggers.row(&batch, 0);
            let Some(shown) = triggers.before(ctx, None, Some(proposed))? else { return Ok(None) };
            batch = triggers.image(&self.target.table.codec, &shown);
        }
        let new = self.target.prepare(ctx, batch)?;
        let ids = self.target.insert(ctx, &new)?;
        self.queue_triggers(ctx, &new.image)?;
        Ok(ids.first().copied())
    }

    fn insert_prepared(&mut self, ctx: &ExecContext<'_>, new: NewRows) -> Result<Option<Batch>> {
        let ids = self.target.insert_in_turn(ctx, &new)?;
        self.count(ctx, new.image.active_rows());
        self.queue_triggers(ctx, &new.image)?;
        let Some(returning) = &self.returning else { return Ok(None) };
        let image = with_row_ids(new.image, &ids);
        project(ctx, returning, image).map(Some)
    }

    /// Queues the AFTER triggers for rows that were written.
    fn queue_triggers(&self, ctx: &ExecContext<'_>, image: &Batch) -> Result<()> {
        let Some(triggers) = &self.triggers else { return Ok(()) };
        image.active().try_for_each(|row| triggers.after_insert(ctx, image, row))
    }

    /// Inserts rows one by one, each shown to the BEFORE triggers first.
    fn insert_shown(&mut self, ctx: &ExecContext<'_>, batch: Batch) -> Result<Option<Batch>> {
        let mut results = Vec::new();
        for row in batch.active() {
            ctx.check_interrupts()?;
            let triggers = self.triggers.as_ref().expect("called with triggers");
            let proposed = triggers.row(&batch, row);
            let Some(shown) = triggers.before(ctx, None, Some(proposed))? else { continue };
            let image = triggers.image(&self.target.table.codec, &shown);
            let new = self.target.prepare(ctx, image)?;
            let result = match self.on_conflict.is_some() {
                true => self.insert_with_conflicts(ctx, &new)?,
                false => self.insert_prepared(ctx, new)?,
            };
            results.extend(result);
        }
        Ok((!results.is_empty()).then(|| crate::modify::update::join_batches(results)))
    }

    fn insert_with_conflicts(&mut self, ctx: &ExecContext<'_>, new: &NewRows) -> Result<Option<Batch>> {
        let mut results: Vec<Batch> = Vec::new();
        let entries = self.entry_columns(ctx, &new.image)?;
        let mut types: Vec<_> = new.image.columns.iter().map(|column| column.physical()).collect();
        let updates = self.on_conflict.as_ref().is_some_and(|conflict| conflict.plan.updates());
        for row in new.image.active() {
            ctx.check_interrupts()?;
            let one = || {
                let columns = new.image.columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect();
                Batch::new(columns, 1)
            };
            let placed = self.place(ctx, new, &entries, row)?;
            if let Some(Conflict { report, .. }) = &mut self.on_conflict {
                match placed {
                    Placed::Inserted(_) => report.inserted += 1,
                    Placed::Updated(..) | Placed::Skipped => report.conflicting += 1,
                }
            }
            match placed {
                Placed::Skipped => continue,
                Placed::Inserted(id) => {
                    self.queue_triggers(ctx, &one())?;
                    let mut image = with_row_ids(one(), &[id]);
                    if updates {
                        image.columns.extend(null_columns(&types, 1));
                    }
                    results.push(image);
                }
                Placed::Updated(mut image, old) => {
                    image.columns.extend(old.columns);
                    results.push(image);
                }
            }
            self.count(ctx, 1);
        }
        let (Some(returning), false) = (&self.returning, results.is_empty()) else { return Ok(None) };
        if updates {
            types.extend(types.clone());
        }
        let rows = results.len();
        let image = Batch::new(crate::columns::concat_batches(&types, &results), rows);
        project(ctx, returning, image).map(Some)
    }

    /// What indexes make entries of, without calling functions of users: these are called when the entry is needed.
    fn entry_columns(&self, ctx: &ExecContext<'_>, image: &Batch) -> Result<Vec<EntryColumns>> {
        let indexes = &self.target.table.indexes;
        indexes.iter().map(|index| ctx.with_eval(|eval| EntryColumns::stored(index, image, eval))).collect()
    }

    /// Inserts one row, or deals with the one that is there.
    fn place(
        &mut self,
        ctx: &ExecContext<'_>,
        new: &NewRows,
        entries: &[EntryColumns],
        row: usize,
    ) -> Result<Placed> {
        loop {
            match self.find_conflict(ctx, new, entries, row)? {
                Some(conflict) => {
                    if let Some(placed) = self.resolve(ctx, new, row, conflict)? {
                        return Ok(placed);
                    }
                    // The row went, or got another key, while it was looked at.
                }
                None => {
                    if let Some(id) = self.insert_row(ctx, new, entries, row)? {
                        return Ok(Placed::Inserted(id));
                    }
                    // Another transaction was quicker between the look and the insertion.
                }
            }
        }
    }

    fn is_arbiter(&self, number: usize) -> bool {
        let index = &self.target.table.indexes[number].descriptor;
        let arbiters = self.on_conflict.as_ref().map_or(&[][..], |conflict| &conflict.plan.arbiters);
        index.unique && (arbiters.is_empty() || arbiters.contains(&index.oid))
    }

    /// A live row with the key of the proposed one in an index that counts.
    fn find_conflict(
        &mut self,
        ctx: &ExecContext<'_>,
        new: &NewRows,
        entries: &[EntryColumns],
        row: usize,
    ) -> Result<Option<ConflictingRow>> {
        let mut rows = Vec::new();
        for (number, columns) in entries.iter().enumerate() {
            let index = Arc::clone(&self.target.table.indexes[number]);
            if !self.is_arbiter(number) {
                continue;
            }
            let own = self.own_columns(ctx, &index, new, row)?;
            let (columns, row) = own.as_ref().map_or((columns, row), |own| (own, 0));
            if !columns.is_included(row) || !is_checked(&index, columns, row) {
                continue;
            }
            if !index.descriptor.immediate {
                return Err(deferrable_arbiter(&self.target.name(ctx), &index));
            }
            columns.write(&index, row, &mut self.target.entry)?;
            loop {
                rows.clear();
                index.tree.lookup_equal(&self.target.entry.key, &mut rows)?;
                if rows.is_empty() {
                    break;
                }
                let key = &self.target.entry.key;
                let mut checker =
                    HeapUniqueChecker::new(ctx, &self.target.table, &self.target.heap, &index, key);
                match checker.find_conflict(&rows)? {
                    Found::Nothing => break,
                    Found::Waited => {}
                    Found::Conflict(rid) => {
                        let (own, key) = (checker.own_conflict, key.clone());
                        return Ok(Some(ConflictingRow { rid, number, key, own }));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The columns of an index that remembers, for one row alone: its functions are called now.
    fn own_columns(
        &self,
        ctx: &ExecContext<'_>,
        index: &IndexAccess,
        new: &NewRows,
        row: usize,
    ) -> Result<Option<EntryColumns>> {
        if index.remembered_inputs.is_none() {
            return Ok(None);
        }
        let columns = new.image.columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect();
        let image = Batch::new(columns, 1);
        ctx.with_eval(|eval| EntryColumns::compute(index, &image, eval)).map(Some)
    }

    /// Inserts a row that conflicted with nothing; `None` when meanwhile another row has its key. What was inserted
    /// is then taken back.
    fn insert_row(
        &mut self,
        ctx: &ExecContext<'_>,
        new: &NewRows,
        entries: &[EntryColumns],
        row: usize,
    ) -> Result<Option<RowId>> {
        let txn = ctx.statement.txn;
        self.target.verify(ctx, new, row)?;
        self.target.encoder.encode(&self.target.table.codec, &new.image.columns, row)?;
        let version = self.target.table.codec.schema_version();
        let rid = self.target.heap.insert(txn, &mut self.target.encoder.buffer, version)?;
        ctx.note_write();
        for (number, columns) in entries.iter().enumerate() {
            let index = Arc::clone(&self.target.table.indexes[number]);
            let own = self.own_columns(ctx, &index, new, row)?;
            let (columns, row) = own.as_ref().map_or((columns, row), |own| (own, 0));
            if !columns.may_have_entries(&index, row) {
                continue;
            }
            if self.is_arbiter(number) && !index.descriptor.immediate {
                return Err(deferrable_arbiter(&self.target.name(ctx), &index));
            }
            let other = if index.has_single_entries() {
                columns.write(&index, row, &mut self.target.entry)?;
                self.target.try_insert_entry(ctx, &index, columns, row, rid)?
            } else {
                let mut several = Vec::new();
                columns.entries(&index, row, rid, &mut several)?;
                self.target.try_insert_several(ctx, &index, columns, row, rid, several)?
            };
            if other.is_none() {
                continue;
            }
            if !self.is_arbiter(number) {
                return Err(self.target.duplicate(ctx, &index, columns, row));
            }
            // A command sees only what earlier ones wrote: the row is taken back by a command of its own.
            txn.advance_command()?;
            let snapshot = txn.newest_snapshot()?;
            let outcome = self.target.heap.delete(txn, &snapshot, rid, &mut RowWait::default())?;
            if outcome != WriteOutcome::Done {
                return Err(Error::internal("a row that was just inserted cannot be taken back"));
            }
            return Ok(None);
        }
        if let Some(serial) = txn.serial() {
            serial.check_insert(self.target.heap.relation())?;
        }
        if !self.target.references.is_empty() {
            let columns = new.image.columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect();
            self.target.check_references(ctx, &Batch::new(columns, 1), &[rid])?;
        }
        Ok(Some(rid))
    }

    /// Does what ON CONFLICT says with the row that is there; `None` when it went or got another key.
    fn resolve(
        &mut self,
        ctx: &ExecContext<'_>,
        new: &NewRows,
        row: usize,
        ConflictingRow { rid, number, key, own }: ConflictingRow,
    ) -> Result<Option<Placed>> {
        let txn = ctx.statement.txn;
        let serializable = txn.isolation().uses_transaction_snapshot();
        let conflict = self.on_conflict.as_mut().expect("called with ON CONFLICT");
        let seen = |snapshot: &Snapshot, decoder: &mut RowDecoder| -> Result<bool> {
            if let Some(serial) = snapshot.serial() {
                serial.read_row(self.target.heap.relation(), rid)?;
            }
            Ok(self
                .target
                .heap
                .fetch(snapshot, rid, |version| decoder.push(&version))?
                .transpose()?
                .is_some())
        };
        let ConflictAction::Update { assignments, filter } = &conflict.plan.action else {
            if serializable && !own {
                let visible = seen(ctx.statement.snapshot, &mut conflict.decoder)?;
                conflict.decoder.take(&self.target.heap)?;
                if !visible {
                    return Err(serialization_failure(WriteOutcome::Changed));
                }
            }
            return Ok(Some(Placed::Skipped));
        };
        if own {
            return Err(conflict_twice());
        }
        let newest;
        let snapshot = if serializable {
            ctx.statement.snapshot
        } else {
            newest = txn.newest_snapshot()?;
            &newest
        };
        let mut wait = RowWait::default();
        let strength = RowLockStrength::NoKeyUpdate;
        match self.target.heap.lock_row(txn, snapshot, rid, strength, true, &mut wait)? {
            LockOutcome::Locked => {}
            LockOutcome::SelfModified => return Err(conflict_twice()),
            LockOutcome::Changed | LockOutcome::WouldBlock if serializable => {
                return Err(serialization_failure(WriteOutcome::Changed));
            }
            LockOutcome::Deleted | LockOutcome::Moved if serializable => {
                return Err(serialization_failure(WriteOutcome::Deleted));
            }
            LockOutcome::Changed | LockOutcome::Deleted | LockOutcome::Moved | LockOutcome::WouldBlock => {
                return Ok(None);
            }
        }
        if !seen(snapshot, &mut conflict.decoder)? {
            if serializable {
                return Err(serialization_failure(WriteOutcome::Changed));
            }
            return Ok(None);
        }
        let old = conflict.decoder.take(&self.target.heap)?;
        if !serializable {
            // It was found before the snapshot was taken that it is locked under.
            let index = &self.target.table.indexes[number];
            let columns = ctx.with_eval(|eval| EntryColumns::stored(index, &old, eval))?;
            if !columns.has_entry(index, 0, rid, &key, None)? {
                return Ok(None);
            }
        }
        let mut image = old.columns.clone();
        image.push(Arc::new(Column::from(vec![rid.to_u64() as i64])));
        let excluded = &new.image.columns[..old.columns.len()];
        image.extend(excluded.iter().map(|column| Arc::new(column.slice(row, 1))));
        let source = Batch::new(image, 1);
        let Some(source) = ctx.filter_if(filter.as_ref(), source)? else {
            conflict.report.removed_by_filter += 1;
            return Ok(Some(Placed::Skipped));
        };
        let mut columns = old.columns.clone();
        for Assignment { column, value } in assignments {
            columns[*column] = ctx.eval(value, &source)?;
        }
        if let (Some(shown), Some(triggers)) = (&mut conflict.shown, &conflict.triggers) {
            let (target, changed) = (&mut self.target, Batch::new(columns, 1));
            let written = shown.write(ctx, target, triggers, (&changed, 0), rid, snapshot, &mut wait)?;
            let Some(Shown { mut old, new }) = written else { return Ok(Some(Placed::Skipped)) };
            old.columns.push(Arc::new(Column::from(vec![rid.to_u64() as i64])));
            return Ok(Some(Placed::Updated(with_row_ids(new.image, &[rid]), old)));
        }
        let changed = self.target.prepare(ctx, Batch::new(columns, 1))?;
        if self.target.leaves_partition(&changed, 0) {
            return Err(conflict_moves());
        }
        let updater = &mut conflict.updater;
        let outcome = updater.update_one(ctx, &mut self.target, &old, &changed, rid, snapshot, &mut wait)?;
        Ok(match outcome {
            WriteOutcome::Done => {
                if let Some(triggers) = &conflict.triggers
                    && triggers.has_after_row()
                {
                    let (old, new) = (triggers.row(&old, 0), triggers.row(&changed.image, 0));
                    triggers.after(ctx, Some(&old), Some(&new))?;
                }
                let mut old = old;
                old.columns.push(Arc::new(Column::from(vec![rid.to_u64() as i64])));
                Some(Placed::Updated(with_row_ids(changed.image, &[rid]), old))
            }
            WriteOutcome::SelfModified => return Err(conflict_twice()),
            outcome if serializable => return Err(serialization_failure(outcome)),
            _ => None,
        })
    }
}

/// A row that is in the way of a proposed one.
struct ConflictingRow {
    rid: RowId,
    /// The index that says so, by its number.
    number: usize,
    /// The key that both have.
    key: Vec<u8>,
    /// This command wrote it.
    own: bool,
}

/// The columns that DO UPDATE changes, generated ones included.
fn changed_columns(target: &Target, action: &ConflictAction) -> Vec<usize> {
    match action {
        ConflictAction::Nothing => Vec::new(),
        ConflictAction::Update { assignments, .. } => {
            let generated = target.plan.generated.iter().map(|generated| generated.column);
            assignments.iter().map(|assignment| assignment.column).chain(generated).collect()
        }
    }
}

/// Whether an expression calls a user's function that may see what the statement has done so far.
pub fn calls_volatile_routine(expr: &Expr) -> bool {
    expr.any(|node| match node {
        Expr::Call { function, .. } => {
            matches!(function.implementation, Implementation::Routine)
                && function.volatility == Volatility::Volatile
        }
        _ => false,
    })
}

/// Whether the top of a plan computes rows by such functions.
fn computes_by_routines(plan: &PhysicalPlan) -> bool {
    match &plan.node {
        PlanNode::Project(node) => node.exprs.iter().any(calls_volatile_routine),
        _ => false,
    }
}

/// RETURNING over an image.
pub fn project(ctx: &ExecContext<'_>, exprs: &[Expr], image: Batch) -> Result<Batch> {
    let columns = ctx.eval_all(exprs, &image)?;
    Ok(Batch { columns, rows: image.rows, selection: image.selection })
}

/// The rows of a batch at these positions.
pub fn select_rows(batch: Batch, rows: Vec<u16>) -> Batch {
    if rows.len() == batch.rows { batch } else { batch.with_selection(Selection::new(rows)) }
}

impl Operator for Insert {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if let Some(triggers) = &mut self.triggers {
            triggers.begin(ctx)?;
        }
        if let Some(triggers) = self.update_triggers() {
            triggers.begin(ctx)?;
        }
        while let Some(batch) = self.next_source(ctx)? {
            ctx.check_interrupts()?;
            if let Some(batch) = self.insert_batch(ctx, batch)? {
                return Ok(Some(batch));
            }
        }
        if let Some(triggers) = self.update_triggers() {
            triggers.end(ctx)?;
        }
        if let Some(triggers) = &mut self.triggers {
            triggers.end(ctx)?;
        }
        Ok(None)
    }

    fn report(&self, report: &mut NodeReport) {
        report.conflicts = self.on_conflict.as_ref().map(|conflict| conflict.report);
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        if let Some(triggers) = &mut self.triggers {
            triggers.restart();
        }
        if let Some(triggers) = self.update_triggers() {
            triggers.restart();
        }
        self.source.rescan(ctx)
    }
}
