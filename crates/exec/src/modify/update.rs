//! UPDATE, with RETURNING.
//!
//! # How
//! New values, checks and index entries are computed for a whole batch of source rows; then each row is written. A row
//! that a concurrent transaction has changed is looked at again and computed by itself.

use std::sync::Arc;

use ochre_access::heap::{LockOutcome, RowWait, WriteOutcome, serialization_failure};
use ochre_base::{Error, Oid, Result, RowId};
use ochre_expr::Expr;
use ochre_sql::physical::{Assignment, LeavingRows, ReferencedKey, UpdatePlan};
use ochre_txn::{RowLockStrength, Snapshot};
use ochre_types::{Batch, Column, Datum, PhysicalType, store};

use crate::codec::RowDecoder;
use crate::index_entry::{Entry, EntryColumns};
use crate::modify::after::{note_key, note_row};
use crate::modify::delete::RowDeleter;
use crate::modify::insert::{calls_volatile_routine, project, select_rows};
use crate::modify::recheck::Recheck;
use crate::modify::reference::{Reference, ReferenceKeys};
use crate::modify::target::{NewRows, Target, with_row_ids};
use crate::modify::triggers::{TriggerEvent, Triggers, changed_within};
use crate::relation::{IndexAccess, RelationSource, TableAccess};
use crate::{BoxOperator, ExecContext, Operator};

/// Writes new versions of rows and the index entries that they need.
pub struct RowUpdater {
    /// Indexes that a change of the statement's columns may concern.
    indexes: Vec<Arc<IndexAccess>>,
    old: Vec<Entry>,
    new: Vec<Entry>,
    /// For indexes in which a row has several entries, what the new version has and the old one had not.
    added: Vec<Vec<Entry>>,
    /// Foreign keys of the table over columns that the statement changes.
    references: Vec<Arc<Reference>>,
    /// Foreign keys that refer to columns that the statement changes.
    referenced_by: Vec<Arc<ReferencedKey>>,
}

/// A batch of source rows, ready to be written.
pub struct Prepared {
    /// The rows as the source gave them.
    pub source: Batch,
    /// Their old images.
    pub old: Batch,
    /// Their new ones.
    pub new: NewRows,
    entries: Entries,
}

/// What the indexes concerned hold of old and new rows.
struct Entries {
    old: Vec<EntryColumns>,
    new: Vec<EntryColumns>,
    /// For each foreign key concerned what old and new rows refer to.
    references: Vec<(ReferenceKeys, ReferenceKeys)>,
}

impl Prepared {
    /// One of the rows, without what the indexes hold of it.
    fn row(&self, row: usize) -> Prepared {
        let one = |batch: &Batch| {
            let columns = batch.columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect();
            Batch::new(columns, 1)
        };
        Prepared {
            source: one(&self.source),
            old: one(&self.old),
            new: NewRows::sound(one(&self.new.image)),
            entries: Entries { old: Vec::new(), new: Vec::new(), references: Vec::new() },
        }
    }
}

impl RowUpdater {
    /// For changes of these columns (by position).
    pub fn new(target: &Target, changed: Vec<usize>) -> RowUpdater {
        let concerned = |index: &&Arc<IndexAccess>| {
            index.exprs.columns_read().iter().any(|column| changed.contains(column))
        };
        let indexes: Vec<_> = target.table.indexes.iter().filter(concerned).cloned().collect();
        let concerns = |columns: &[usize]| columns.iter().any(|column| changed.contains(column));
        let references = target.references.iter().filter(|reference| concerns(&reference.plan.columns));
        let referenced_by = target.plan.referenced_by.iter().filter(|key| concerns(&key.columns));
        RowUpdater {
            references: references.cloned().collect(),
            referenced_by: referenced_by.cloned().collect(),
            old: vec![Entry::default(); indexes.len()],
            new: vec![Entry::default(); indexes.len()],
            added: vec![Vec::new(); indexes.len()],
            indexes,
        }
    }

    fn entries(&self, ctx: &ExecContext<'_>, old: &Batch, new: &Batch) -> Result<Entries> {
        let of_old = |index: &Arc<IndexAccess>| ctx.with_eval(|eval| EntryColumns::stored(index, old, eval));
        let of_new = |index: &Arc<IndexAccess>| ctx.with_eval(|eval| EntryColumns::compute(index, new, eval));
        let references = self
            .references
            .iter()
            .map(|reference| Ok((reference.keys(ctx, old)?, reference.keys(ctx, new)?)));
        Ok(Entries {
            old: self.indexes.iter().map(of_old).collect::<Result<_>>()?,
            new: self.indexes.iter().map(of_new).collect::<Result<_>>()?,
            references: references.collect::<Result<_>>()?,
        })
    }

    /// Computes the new images of source rows; `old_columns` says where the source has the table's old values.
    ///
    /// # Errors
    /// Those of the expressions.
    pub fn prepare(
        &self,
        ctx: &ExecContext<'_>,
        target: &Target,
        source: Batch,
        old_columns: &[Option<usize>],
        assignments: &[Assignment],
    ) -> Result<Prepared> {
        let (old, changed) = assigned(ctx, target, &source, old_columns, assignments)?;
        let new = target.prepare(ctx, changed)?;
        let entries = self.entries(ctx, &old, &new.image)?;
        Ok(Prepared { source, old, new, entries })
    }

    /// Writes one of the rows, if nothing is wrong with it and nobody has changed it since the snapshot.
    ///
    /// # Errors
    /// 23502, 23514, 23505; errors of storage, and of waiting.
    #[allow(clippy::too_many_arguments, reason = "the facts of one write")]
    pub fn update_row(
        &mut self,
        ctx: &ExecContext<'_>,
        target: &mut Target,
        prepared: &Prepared,
        row: usize,
        rid: RowId,
        snapshot: &Snapshot,
        wait: &mut RowWait,
    ) -> Result<WriteOutcome> {
        let Prepared { old, new, entries, .. } = prepared;
        target.verify(ctx, new, row)?;
        let outcome = self.write(ctx, target, entries, new, row, rid, snapshot, wait)?;
        if outcome == WriteOutcome::Done && self.has_references() {
            self.note_references(ctx, target, entries, (old, &new.image), row, rid)?;
        }
        Ok(outcome)
    }

    /// Writes row `row` of a new image in place of the same row of the old one.
    #[allow(clippy::too_many_arguments, reason = "the facts of one write")]
    fn write(
        &mut self,
        ctx: &ExecContext<'_>,
        target: &mut Target,
        entries: &Entries,
        new: &NewRows,
        row: usize,
        rid: RowId,
        snapshot: &Snapshot,
        wait: &mut RowWait,
    ) -> Result<WriteOutcome> {
        let mut keys_changed = false;
        let mut strength = RowLockStrength::NoKeyUpdate;
        for (number, index) in self.indexes.iter().enumerate() {
            let (old, new) = (&entries.old[number], &entries.new[number]);
            if !index.has_single_entries() {
                let (mut before, added) = (Vec::new(), &mut self.added[number]);
                old.entries(index, row, rid, &mut before)?;
                if !new.told_entries(index, row, rid, added)? {
                    new.entries(index, row, rid, added)?;
                }
                let known = added.len();
                added.retain(|entry| before.binary_search(entry).is_err());
                // As many as before, all of them known: the same ones.
                keys_changed |= !added.is_empty() || known != before.len();
                continue;
            }
            let (was, is) = (old.is_included(row), new.is_included(row));
            if was {
                old.write(index, row, &mut self.old[number])?;
            }
            if is {
                new.write(index, row, &mut self.new[number])?;
            }
            if was != is || (was && self.old[number] != self.new[number]) {
                keys_changed = true;
                let descriptor = &index.descriptor;
                let key_changed = was != is || self.old[number].key != self.new[number].key;
                let is_key = descriptor.unique && descriptor.immediate;
                let is_plain = descriptor.predicate.is_none() && !descriptor.has_expressions();
                if key_changed && is_key && is_plain {
                    strength = RowLockStrength::Update;
                }
            }
        }
        target.encoder.encode(&target.table.codec, &new.image.columns, row)?;
        let outcome = target.heap.update(
            ctx.statement.txn,
            snapshot,
            rid,
            &mut target.encoder.buffer,
            target.table.codec.schema_version(),
            keys_changed,
            strength,
            wait,
        )?;
        if outcome == WriteOutcome::Done {
            ctx.note_write();
            if keys_changed {
                self.insert_entries(ctx, target, entries, row, rid)?;
            }
            if let Some(serial) = ctx.statement.txn.serial() {
                serial.check_row(target.heap.relation(), rid, wait.wrote_over)?;
            }
        }
        Ok(outcome)
    }

    /// Notes what a row that was written refers to, and that others may refer to what it was.
    fn note_references(
        &self,
        ctx: &ExecContext<'_>,
        target: &Target,
        entries: &Entries,
        (old, new): (&Batch, &Batch),
        row: usize,
        rid: RowId,
    ) -> Result<()> {
        let (mut was, mut is) = (Vec::new(), Vec::new());
        for (reference, (old, new)) in self.references.iter().zip(&entries.references) {
            was.clear();
            is.clear();
            let before = reference.write(old, row, &mut was)?;
            let now = reference.write(new, row, &mut is)?;
            if before != now || was != is {
                note_row(ctx, &mut ctx.run.after.borrow_mut(), reference, now, &is, rid);
            }
        }
        for key in &self.referenced_by {
            note_changed_key(ctx, &target.table, key, (old, new), row)?;
        }
        Ok(())
    }

    /// Whether what it writes may have to be looked at after the statement.
    pub fn has_references(&self) -> bool {
        !self.references.is_empty() || !self.referenced_by.is_empty()
    }

    /// Adds the entries that the new version has and the old one had not.
    fn insert_entries(
        &mut self,
        ctx: &ExecContext<'_>,
        target: &mut Target,
        entries: &Entries,
        row: usize,
        rid: RowId,
    ) -> Result<()> {
        for (number, index) in self.indexes.iter().enumerate() {
            let columns = &entries.new[number];
            if !index.has_single_entries() {
                let added = std::mem::take(&mut self.added[number]);
                if target.try_insert_several(ctx, index, columns, row, rid, added)?.is_some() {
                    return Err(target.duplicate(ctx, index, columns, row));
                }
                continue;
            }
            let was = entries.old[number].is_included(row);
            if !columns.is_included(row) || (was && self.old[number] == self.new[number]) {
                continue;
            }
            std::mem::swap(&mut target.entry, &mut self.new[number]);
            target.insert_entry(ctx, index, columns, row, rid)?;
        }
        Ok(())
    }

    /// Updates a single row; `old` and `new` are images of one row.
    ///
    /// # Errors
    /// 23502, 23514, 23505; errors of storage, and of waiting.
    #[allow(clippy::too_many_arguments, reason = "the facts of one write")]
    pub fn update_one(
        &mut self,
        ctx: &ExecContext<'_>,
        target: &mut Target,
        old: &Batch,
        new: &NewRows,
        rid: RowId,
        snapshot: &Snapshot,
        wait: &mut RowWait,
    ) -> Result<WriteOutcome> {
        target.verify(ctx, new, 0)?;
        let entries = self.entries(ctx, old, &new.image)?;
        let outcome = self.write(ctx, target, &entries, new, 0, rid, snapshot, wait)?;
        if outcome == WriteOutcome::Done && self.has_references() {
            self.note_references(ctx, target, &entries, (old, &new.image), 0, rid)?;
        }
        Ok(outcome)
    }
}

/// Updates the rows of its source.
pub struct Update {
    target: Target,
    source: BoxOperator,
    row_id: usize,
    old_columns: Vec<Option<usize>>,
    assignments: Vec<Assignment>,
    recheck: Recheck,
    returning: Option<Vec<Expr>>,
    updater: RowUpdater,
    triggers: Option<Box<Triggers>>,
    /// With BEFORE triggers.
    shown: Option<ShownUpdate>,
    /// Routines that compute values see the rows that were updated before.
    one_by_one: bool,
    is_root: bool,
    part: Option<PartState>,
}

/// What the UPDATE of a relation of a set knows besides.
struct PartState {
    deleter: RowDeleter,
    /// Whether rows go to another partition when they no longer belong to this one.
    moves: bool,
    /// What a row that goes fires.
    leaving: Option<Box<Triggers>>,
    /// Rows that are deleted here, and belong elsewhere.
    moved: Vec<MovedRow>,
}

/// A row that has left its partition.
pub struct MovedRow {
    /// Its new values, in the partition's columns.
    pub image: Batch,
    done: Prepared,
}

impl MovedRow {
    /// Its old values, in the partition's columns.
    pub fn old(&self) -> &Batch {
        &self.done.old
    }
}

/// What an UPDATE of rows needs that BEFORE triggers see.
pub struct ShownUpdate {
    /// For rows that triggers may have changed anywhere.
    updater: RowUpdater,
    decoder: RowDecoder,
    /// Whether rows that come to belong to another partition are refused.
    refuses_moves: bool,
}

/// A row that was shown to triggers and written.
pub struct Shown {
    pub old: Batch,
    pub new: NewRows,
}

impl ShownUpdate {
    /// For rows of a table.
    pub fn new(target: &Target) -> ShownUpdate {
        let all = (0..target.table.codec.column_count()).collect();
        ShownUpdate {
            updater: RowUpdater::new(target, all),
            decoder: RowDecoder::all_columns(&target.table.codec),
            refuses_moves: false,
        }
    }

    /// Refuses rows that leave their partition.
    pub fn that_may_move(self) -> ShownUpdate {
        ShownUpdate { refuses_moves: true, ..self }
    }

    /// Shows a row that is locked in the version that `snapshot` sees to the triggers, and writes what they leave of the
    /// change; `None` when they leave nothing. `proposed` is an image with the row's new values at `row`.
    ///
    /// # Errors
    /// The triggers'; 27000 when they have changed the row themselves; those of writing.
    #[allow(clippy::too_many_arguments, reason = "the facts of one write")]
    pub fn write(
        &mut self,
        ctx: &ExecContext<'_>,
        target: &mut Target,
        triggers: &Triggers,
        proposed: (&Batch, usize),
        rid: RowId,
        snapshot: &Snapshot,
        wait: &mut RowWait,
    ) -> Result<Option<Shown>> {
        let written = self.write_or_move(ctx, target, triggers, proposed, None, rid, snapshot, wait)?;
        Ok(written.map(|(shown, _)| shown))
    }

    /// As [`ShownUpdate::write`]; a row that belongs to another partition of `part` is taken away here, which is told.
    #[allow(clippy::too_many_arguments, reason = "the facts of one write")]
    fn write_or_move(
        &mut self,
        ctx: &ExecContext<'_>,
        target: &mut Target,
        triggers: &Triggers,
        (proposed, row): (&Batch, usize),
        part: Option<&mut PartState>,
        rid: RowId,
        snapshot: &Snapshot,
        wait: &mut RowWait,
    ) -> Result<Option<(Shown, bool)>> {
        let heap = Arc::clone(&target.heap);
        let decoder = &mut self.decoder;
        let seen = heap.fetch(snapshot, rid, |version| decoder.push(&version))?;
        seen.unwrap_or(Ok(()))?;
        let old = self.decoder.take(&heap)?;
        if old.rows == 0 {
            return Ok(None);
        }
        let old_row = triggers.row(&old, 0);
        let proposed = triggers.row(proposed, row);
        let Some(new_row) = triggers.before(ctx, Some(&old_row), Some(proposed))? else {
            return Ok(None);
        };
        let new = target.prepare(ctx, triggers.image(&target.table.codec, &new_row))?;
        let leaves = (self.refuses_moves || part.is_some()) && target.leaves_partition(&new, 0);
        if leaves {
            let Some(part) = part else { return Err(moves_beside_triggers()) };
            if let Some(leaving) = &part.leaving
                && leaving.before(ctx, Some(&old_row), None)?.is_none()
            {
                return Ok(None);
            }
            written(part.deleter.move_row(ctx, target, rid, snapshot, wait)?)?;
            if let Some(leaving) = part.leaving.as_ref().filter(|leaving| leaving.has_after_row()) {
                leaving.after(ctx, Some(&old_row), None)?;
            }
        } else {
            written(self.updater.update_one(ctx, target, &old, &new, rid, snapshot, wait)?)?;
            if triggers.has_after_row() {
                triggers.after(ctx, Some(&old_row), Some(&triggers.row(&new.image, 0)))?;
            }
        }
        Ok(Some((Shown { old, new }, leaves)))
    }
}

/// Notes that others may refer to the key that a row had, when it has changed.
///
/// # Errors
/// Errors of temporary files.
pub fn note_changed_key(
    ctx: &ExecContext<'_>,
    table: &TableAccess,
    key: &Arc<ReferencedKey>,
    (old, new): (&Batch, &Batch),
    row: usize,
) -> Result<()> {
    let (mut was, mut is) = (Vec::new(), Vec::new());
    let mut same = true;
    for column in &key.columns {
        was.clear();
        is.clear();
        store::encode_field_at(&old.columns[*column], row, &mut was);
        store::encode_field_at(&new.columns[*column], row, &mut is);
        same &= was == is && old.columns[*column].is_null(row) == new.columns[*column].is_null(row);
    }
    if same {
        return Ok(());
    }
    let values = |batch: &Batch| {
        key.columns.iter().map(|column| batch.columns[*column].datum(row)).collect::<Vec<_>>()
    };
    note_key(ctx, table, key, values(old), values(new))
}

/// That a row which was locked and shown to triggers is written.
fn written(outcome: WriteOutcome) -> Result<()> {
    match outcome {
        WriteOutcome::Done => Ok(()),
        WriteOutcome::SelfModified => Err(changed_within("updated")),
        other => Err(serialization_failure(other)),
    }
}

/// The old images of source rows, and those with the new values, generated columns not yet computed.
///
/// # Errors
/// Those of the expressions.
pub fn assigned(
    ctx: &ExecContext<'_>,
    target: &Target,
    source: &Batch,
    old_columns: &[Option<usize>],
    assignments: &[Assignment],
) -> Result<(Batch, Batch)> {
    let old = target.old_image(source, old_columns);
    let mut changed = old.clone();
    for Assignment { column, value } in assignments {
        changed.columns[*column] = ctx.eval(value, source)?;
    }
    Ok((old, changed))
}

impl Update {
    /// Updates what `source` gives.
    ///
    /// # Errors
    /// What opening relations fails with.
    pub fn new(
        plan: &UpdatePlan,
        source: BoxOperator,
        relations: &dyn RelationSource,
        is_root: bool,
    ) -> Result<Update> {
        let target = Target::open(&plan.target, relations)?;
        let generated = target.plan.generated.iter().map(|generated| generated.column);
        let changed: Vec<usize> =
            plan.assignments.iter().map(|assignment| assignment.column).chain(generated).collect();
        let triggers = Triggers::of(&target.table.descriptor, TriggerEvent::Update, &changed);
        let shown = triggers.as_ref().filter(|triggers| triggers.has_before_row());
        let shown = shown.map(|_| ShownUpdate::new(&target));
        Ok(Update {
            shown,
            triggers,
            one_by_one: plan.assignments.iter().any(|assignment| calls_volatile_routine(&assignment.value)),
            recheck: Recheck::new(&target.table.codec, &plan.recheck),
            updater: RowUpdater::new(&target, changed),
            target,
            source,
            row_id: plan.row_id,
            old_columns: plan.old_columns.clone(),
            assignments: plan.assignments.clone(),
            returning: plan.returning.clone(),
            is_root,
            part: None,
        })
    }

    /// Updates rows of one relation of a set. With `rows_leave`, rows that belong to other partitions are deleted and handed out by
    /// [`Update::take_moved`].
    ///
    /// # Errors
    /// As [`Update::new`].
    pub fn of_part(
        plan: &UpdatePlan,
        source: BoxOperator,
        relations: &dyn RelationSource,
        is_root: bool,
        rows_leave: Option<&LeavingRows>,
    ) -> Result<Update> {
        let moves = rows_leave.is_some();
        let mut update = Update::new(plan, source, relations, is_root)?;
        let keys = rows_leave.map_or(&[][..], |rows| &rows.keys);
        let deleter = RowDeleter::of_keys(&update.target, keys);
        let table = &update.target.table.descriptor;
        let leaving = Triggers::of(table, TriggerEvent::Delete, &[]).filter(|_| moves);
        if leaving.is_some() && update.shown.is_none() {
            // Each row is looked at before it is written, even where no UPDATE fires anything.
            update.triggers.get_or_insert_with(|| Triggers::none(table, TriggerEvent::Update));
            update.shown = Some(ShownUpdate::new(&update.target));
        }
        update.part = Some(PartState { deleter, moves, leaving, moved: Vec::new() });
        Ok(update)
    }

    /// The rows that have left the relation since the last call.
    pub fn take_moved(&mut self) -> Vec<MovedRow> {
        self.part.as_mut().map(|part| std::mem::take(&mut part.moved)).unwrap_or_default()
    }

    /// RETURNING of a row that has moved to another relation.
    ///
    /// # Errors
    /// Those of the expressions.
    pub fn returned_moved(
        &self,
        ctx: &ExecContext<'_>,
        moved: MovedRow,
        relation: Oid,
        rid: RowId,
    ) -> Result<Option<Batch>> {
        if self.returning.is_none() {
            return Ok(None);
        }
        self.returned_as(ctx, moved.done, vec![0], &[rid], relation).map(Some)
    }

    /// Writes a row, or takes it away when it belongs to another partition.
    #[allow(clippy::too_many_arguments, reason = "the facts of one write")]
    fn write_row(
        &mut self,
        ctx: &ExecContext<'_>,
        prepared: &Prepared,
        row: usize,
        rid: RowId,
        snapshot: &Snapshot,
        wait: &mut RowWait,
    ) -> Result<(WriteOutcome, bool)> {
        if let Some(part) = self.part.as_mut().filter(|part| part.moves)
            && self.target.leaves_partition(&prepared.new, row)
        {
            let outcome = part.deleter.move_row(ctx, &self.target, rid, snapshot, wait)?;
            return Ok((outcome, true));
        }
        let (updater, target) = (&mut self.updater, &mut self.target);
        updater.update_row(ctx, target, prepared, row, rid, snapshot, wait).map(|outcome| (outcome, false))
    }

    fn prepare(&self, ctx: &ExecContext<'_>, source: Batch) -> Result<Prepared> {
        self.updater.prepare(ctx, &self.target, source, &self.old_columns, &self.assignments)
    }

    /// Writes one row; `Some` holds the row as it was computed anew, when it was.
    fn update_row(
        &mut self,
        ctx: &ExecContext<'_>,
        prepared: &Prepared,
        row: usize,
        rid: RowId,
    ) -> Result<Written> {
        let mut wait = RowWait::default();
        let snapshot = ctx.statement.snapshot;
        let (mut outcome, mut moves) = self.write_row(ctx, prepared, row, rid, snapshot, &mut wait)?;
        let mut again: Option<Prepared> = None;
        loop {
            match outcome {
                WriteOutcome::Done if moves => {
                    let done = match again {
                        Some(anew) => anew,
                        None => prepared.row(row),
                    };
                    self.note_moved(done);
                    return Ok(Written::Moved);
                }
                WriteOutcome::Done => return Ok(Written::Yes(again)),
                WriteOutcome::SelfModified if ctx.wrote(wait.own_command) => return Ok(Written::No),
                WriteOutcome::SelfModified => return Err(changed_within("updated")),
                WriteOutcome::Changed | WriteOutcome::Deleted | WriteOutcome::Moved => {}
            }
            ctx.check_interrupts()?;
            let heap = Arc::clone(&self.target.heap);
            let current = self.recheck.newest(ctx, &heap, &prepared.source, row, rid, outcome)?;
            let Some(current) = current else { return Ok(Written::No) };
            let anew = self.prepare(ctx, current.source)?;
            (outcome, moves) = self.write_row(ctx, &anew, 0, rid, &current.snapshot, &mut wait)?;
            again = Some(anew);
        }
    }

    fn note_moved(&mut self, done: Prepared) {
        let mut image = done.new.image.clone();
        image.columns.pop();
        if let Some(part) = &mut self.part {
            part.moved.push(MovedRow { image, done });
        }
    }

    /// Locks the newest version of a row, shows it to the triggers, and writes what they leave of the change.
    fn update_shown(
        &mut self,
        ctx: &ExecContext<'_>,
        (source, changed): (&Batch, &Batch),
        row: usize,
        rid: RowId,
    ) -> Result<Option<(Batch, Shown, bool)>> {
        let txn = ctx.statement.txn;
        let heap = Arc::clone(&self.target.heap);
        let mut wait = RowWait::default();
        let mut anew: Option<(Batch, Batch, Snapshot)> = None;
        let strength = RowLockStrength::NoKeyUpdate;
        loop {
            let snapshot = anew.as_ref().map_or(ctx.statement.snapshot, |(.., snapshot)| snapshot);
            let outcome = match heap.lock_row(txn, snapshot, rid, strength, true, &mut wait)? {
                LockOutcome::Locked => break,
                LockOutcome::SelfModified if ctx.wrote(wait.own_command) => return Ok(None),
                LockOutcome::SelfModified => return Err(changed_within("updated")),
                LockOutcome::Changed | LockOutcome::WouldBlock => WriteOutcome::Changed,
                LockOutcome::Deleted => WriteOutcome::Deleted,
                LockOutcome::Moved => WriteOutcome::Moved,
            };
            ctx.check_interrupts()?;
            let current = self.recheck.newest(ctx, &heap, source, row, rid, outcome)?;
            let Some(current) = current else { return Ok(None) };
            let (_, changed) =
                assigned(ctx, &self.target, &current.source, &self.old_columns, &self.assignments)?;
            anew = Some((current.source, changed, current.snapshot));
        }
        let (source, changed, row, snapshot) = match &anew {
            None => (source, changed, row, ctx.statement.snapshot),
            Some((source, changed, snapshot)) => (source, changed, 0, snapshot),
        };
        let (Some(triggers), Some(shown)) = (&self.triggers, &mut self.shown) else {
            return Err(Error::internal("a row is shown to no triggers"));
        };
        let target = &mut self.target;
        let part = self.part.as_mut().filter(|part| part.moves);
        let written =
            shown.write_or_move(ctx, target, triggers, (changed, row), part, rid, snapshot, &mut wait)?;
        let columns = || source.columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect();
        Ok(written.map(|(written, moved)| (Batch::new(columns(), 1), written, moved)))
    }

    /// Updates rows one by one, each shown to the BEFORE triggers.
    fn update_batch_shown(&mut self, ctx: &ExecContext<'_>, source: Batch) -> Result<Vec<Batch>> {
        let (_, changed) = assigned(ctx, &self.target, &source, &self.old_columns, &self.assignments)?;
        let ids = Arc::clone(&source.columns[self.row_id]);
        let mut results = Vec::new();
        for row in source.active() {
            ctx.check_interrupts()?;
            let Some(id) = ids.datum(row).as_i64() else { continue };
            let rid = RowId::from_u64(id as u64);
            ctx.cross_check(&self.target.heap, rid)?;
            let written = self.update_shown(ctx, (&source, &changed), row, rid)?;
            let Some((source, Shown { old, new }, moved)) = written else { continue };
            self.count(ctx, 1);
            let entries = Entries { old: Vec::new(), new: Vec::new(), references: Vec::new() };
            let done = Prepared { source, old, new, entries };
            if moved {
                self.note_moved(done);
            } else if self.returning.is_some() {
                results.push(self.returned(ctx, done, vec![0], &[rid])?);
            }
        }
        if let Some(part) = &mut self.part {
            part.deleter.note_keys(ctx, &self.target)?;
        }
        ctx.run.after.borrow_mut().relieve(ctx)?;
        Ok(results)
    }

    fn count(&self, ctx: &ExecContext<'_>, rows: u64) {
        if self.is_root {
            ctx.run.rows_changed.set(ctx.run.rows_changed.get() + rows);
        }
    }

    /// Queues the AFTER triggers for a row that was written.
    fn queue_triggers(&self, ctx: &ExecContext<'_>, done: &Prepared, row: usize) -> Result<()> {
        match &self.triggers {
            Some(triggers) if triggers.has_after_row() => {
                let (old, new) = (triggers.row(&done.old, row), triggers.row(&done.new.image, row));
                triggers.after(ctx, Some(&old), Some(&new))
            }
            _ => Ok(()),
        }
    }

    /// Updates the rows of a batch one after the other.
    fn update_each(&mut self, ctx: &ExecContext<'_>, source: &Batch) -> Result<Vec<Batch>> {
        let mut results = Vec::new();
        for row in source.active() {
            let columns = source.columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect();
            results.extend(self.update_batch(ctx, Batch::new(columns, 1))?);
        }
        Ok(results)
    }

    /// Updates the rows of a batch of the source's; RETURNING's rows.
    ///
    /// # Errors
    /// 23502, 23514, 23505; errors of storage, and of waiting.
    pub fn update_batch(&mut self, ctx: &ExecContext<'_>, source: Batch) -> Result<Vec<Batch>> {
        if self.shown.is_some() {
            return self.update_batch_shown(ctx, source);
        }
        if self.one_by_one && source.active_rows() > 1 {
            return self.update_each(ctx, &source);
        }
        let prepared = self.prepare(ctx, source)?;
        let ids = Arc::clone(&prepared.source.columns[self.row_id]);
        let mut written: Vec<u16> = Vec::new();
        let mut results = Vec::new();
        let mut count = 0;
        for (number, row) in prepared.source.active().enumerate() {
            if number % 64 == 0 {
                ctx.check_interrupts()?;
            }
            // NULL on the null side of a join: there is no row.
            let Some(id) = ids.datum(row).as_i64() else { continue };
            let rid = RowId::from_u64(id as u64);
            ctx.cross_check(&self.target.heap, rid)?;
            match self.update_row(ctx, &prepared, row, rid)? {
                Written::No => continue,
                Written::Moved => {}
                Written::Yes(None) => {
                    self.queue_triggers(ctx, &prepared, row)?;
                    written.push(row as u16);
                }
                Written::Yes(Some(anew)) => {
                    self.queue_triggers(ctx, &anew, 0)?;
                    if self.returning.is_some() {
                        results.push(self.returned(ctx, anew, vec![0], &[rid])?);
                    }
                }
            }
            count += 1;
        }
        if let Some(part) = &mut self.part {
            part.deleter.note_keys(ctx, &self.target)?;
        }
        if self.updater.has_references() {
            ctx.run.after.borrow_mut().relieve(ctx)?;
        }
        self.count(ctx, count);
        if self.returning.is_some() && !written.is_empty() {
            let rids: Vec<RowId> = (0..prepared.source.rows)
                .map(|row| RowId::from_u64(ids.datum(row).as_i64().unwrap_or(0) as u64))
                .collect();
            results.insert(0, self.returned(ctx, prepared, written, &rids)?);
        }
        Ok(results)
    }

    /// RETURNING of some rows.
    fn returned(
        &self,
        ctx: &ExecContext<'_>,
        done: Prepared,
        rows: Vec<u16>,
        ids: &[RowId],
    ) -> Result<Batch> {
        self.returned_as(ctx, done, rows, ids, self.target.table.descriptor.oid)
    }

    /// RETURNING of some rows that are another relation's now.
    fn returned_as(
        &self,
        ctx: &ExecContext<'_>,
        done: Prepared,
        rows: Vec<u16>,
        ids: &[RowId],
        relation: Oid,
    ) -> Result<Batch> {
        let mut image = with_row_ids(done.new.image, ids);
        image.columns.extend(done.source.columns);
        if self.part.is_some() {
            let relation = Datum::UInt32(relation.0);
            image.columns.push(Arc::new(Column::constant(PhysicalType::UInt32, &relation, image.rows)));
        }
        debug_assert_eq!(done.old.rows, image.rows);
        image.selection = None;
        let returning = self.returning.as_deref().unwrap_or_default();
        project(ctx, returning, select_rows(image, rows))
    }
}

#[cold]
fn moves_beside_triggers() -> Error {
    Error::unsupported("moving a row out of a partition with triggers")
}

/// Whether a row was written.
#[allow(clippy::large_enum_variant, reason = "short-lived")]
enum Written {
    No,
    /// It has left the relation.
    Moved,
    /// With the row as it was computed anew, when it had changed.
    Yes(Option<Prepared>),
}

impl Operator for Update {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if let Some(triggers) = &mut self.triggers {
            triggers.begin(ctx)?;
        }
        while let Some(batch) = self.source.next(ctx)? {
            let results = self.update_batch(ctx, batch)?;
            if !results.is_empty() {
                return Ok(Some(join_batches(results)));
            }
        }
        if let Some(triggers) = &mut self.triggers {
            triggers.end(ctx)?;
        }
        Ok(None)
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        if let Some(triggers) = &mut self.triggers {
            triggers.restart();
        }
        self.source.rescan(ctx)
    }
}

/// Several small batches of the same columns as one.
pub fn join_batches(mut batches: Vec<Batch>) -> Batch {
    if batches.len() == 1 {
        return batches.remove(0);
    }
    let types: Vec<_> = batches[0].columns.iter().map(|column| column.physical()).collect();
    let rows = batches.iter().map(Batch::active_rows).sum();
    Batch::new(crate::columns::concat_batches(&types, &batches), rows)
}
