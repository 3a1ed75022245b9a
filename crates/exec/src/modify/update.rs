//! UPDATE, with RETURNING.
//!
//! # How
//! New values, checks and index entries are computed for a whole batch of source rows; then each row is written. A row
//! that a concurrent transaction has changed is looked at again and computed by itself.

use std::sync::Arc;

use ochre_access::heap::{LockOutcome, RowWait, WriteOutcome, serialization_failure};
use ochre_base::{Oid, Result, RowId};
use ochre_expr::Expr;
use ochre_sql::physical::{Assignment, ReferencedKey, UpdatePlan};
use ochre_txn::{RowLockStrength, Snapshot};
use ochre_types::{Batch, Column, Datum, PhysicalType, store};

use crate::codec::RowDecoder;
use crate::index_entry::{Entry, EntryColumns};
use crate::modify::after::{note_key, note_row};
use crate::modify::delete::RowDeleter;
use crate::modify::insert::{project, select_rows};
use crate::modify::recheck::Recheck;
use crate::modify::reference::{Reference, ReferenceKeys};
use crate::modify::target::{NewRows, Target, with_row_ids};
use crate::modify::triggers::{TriggerEvent, Triggers, changed_by_trigger};
use crate::relation::{IndexAccess, RelationSource};
use crate::{BoxOperator, ExecContext, Operator};

/// Writes new versions of rows and the index entries that they need.
pub struct RowUpdater {
    /// Indexes that a change of the statement's columns may concern.
    indexes: Vec<Arc<IndexAccess>>,
    old: Vec<Entry>,
    new: Vec<Entry>,
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
            indexes,
        }
    }

    fn entries(&self, ctx: &ExecContext<'_>, old: &Batch, new: &Batch) -> Result<Entries> {
        let compute = |image: &Batch| -> Result<Vec<EntryColumns>> {
            let each =
                |index: &Arc<IndexAccess>| ctx.with_eval(|eval| EntryColumns::compute(index, image, eval));
            self.indexes.iter().map(each).collect()
        };
        let references = self
            .references
            .iter()
            .map(|reference| Ok((reference.keys(ctx, old)?, reference.keys(ctx, new)?)));
        Ok(Entries { old: compute(old)?, new: compute(new)?, references: references.collect::<Result<_>>()? })
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
        let old = target.old_image(&source, old_columns);
        let mut changed = old.clone();
        for Assignment { column, value } in assignments {
            changed.columns[*column] = ctx.eval(value, &source)?;
        }
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
            let mut same = true;
            for column in &key.columns {
                was.clear();
                is.clear();
                store::encode_field_at(&old.columns[*column], row, &mut was);
                store::encode_field_at(&new.columns[*column], row, &mut is);
                same &= was == is && old.columns[*column].is_null(row) == new.columns[*column].is_null(row);
            }
            if !same {
                let values = |batch: &Batch| {
                    key.columns.iter().map(|column| batch.columns[*column].datum(row)).collect::<Vec<_>>()
                };
                note_key(ctx, &target.table, key, values(old), values(new))?;
            }
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
    /// The columns that may change, by position.
    changed: Vec<usize>,
    triggers: Option<Shown>,
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

/// What an UPDATE of a table with triggers needs.
struct Shown {
    triggers: Box<Triggers>,
    /// For rows that triggers may have changed anywhere.
    updater: RowUpdater,
    decoder: RowDecoder,
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
        let all: Vec<usize> = (0..target.table.codec.column_count()).collect();
        let triggers =
            Triggers::of(&target.table.descriptor, TriggerEvent::Update, &changed).map(|triggers| Shown {
                updater: RowUpdater::new(
                    &target,
                    if triggers.has_before_row() { all } else { changed.clone() },
                ),
                decoder: RowDecoder::all_columns(&target.table.codec),
                triggers,
            });
        Ok(Update {
            triggers,
            recheck: Recheck::new(&target.table.codec, &plan.recheck),
            updater: RowUpdater::new(&target, changed.clone()),
            changed,
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

    /// Updates rows of one relation of a set. With `moves`, rows that belong to other partitions are deleted and handed out by
    /// [`Update::take_moved`].
    ///
    /// # Errors
    /// As [`Update::new`].
    pub fn of_part(
        plan: &UpdatePlan,
        source: BoxOperator,
        relations: &dyn RelationSource,
        is_root: bool,
        moves: bool,
    ) -> Result<Update> {
        let mut update = Update::new(plan, source, relations, is_root)?;
        let deleter = RowDeleter::new(&update.target);
        let table = &update.target.table;
        let leaving = Triggers::of(&table.descriptor, TriggerEvent::Delete, &[]).filter(|_| moves);
        if leaving.is_some() && update.triggers.is_none() {
            // Each row is looked at before it is written, though no UPDATE fires anything.
            let changed = update.changed.clone();
            update.triggers = Some(Shown {
                updater: RowUpdater::new(&update.target, changed),
                decoder: RowDecoder::all_columns(&table.codec),
                triggers: Triggers::none(&table.descriptor, TriggerEvent::Update),
            });
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
                WriteOutcome::SelfModified => return Ok(Written::No),
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
        prepared: &Prepared,
        row: usize,
        rid: RowId,
    ) -> Result<Written> {
        let txn = ctx.statement.txn;
        let heap = Arc::clone(&self.target.heap);
        let mut wait = RowWait::default();
        let mut anew: Option<(Prepared, Snapshot)> = None;
        let strength = RowLockStrength::NoKeyUpdate;
        loop {
            let snapshot = anew.as_ref().map_or(ctx.statement.snapshot, |(_, snapshot)| snapshot);
            let outcome = match heap.lock_row(txn, snapshot, rid, strength, true, &mut wait)? {
                LockOutcome::Locked => break,
                LockOutcome::SelfModified => return Ok(Written::No),
                LockOutcome::Changed | LockOutcome::WouldBlock => WriteOutcome::Changed,
                LockOutcome::Deleted => WriteOutcome::Deleted,
                LockOutcome::Moved => WriteOutcome::Moved,
            };
            ctx.check_interrupts()?;
            let current = self.recheck.newest(ctx, &heap, &prepared.source, row, rid, outcome)?;
            let Some(current) = current else { return Ok(Written::No) };
            anew = Some((self.prepare(ctx, current.source)?, current.snapshot));
        }
        let (done, row, snapshot) = match &anew {
            None => (prepared, row, ctx.statement.snapshot),
            Some((done, snapshot)) => (done, 0, snapshot),
        };
        let shown = self.triggers.as_mut().expect("called with triggers");
        let decoder = &mut shown.decoder;
        let seen = heap.fetch(snapshot, rid, |version| decoder.push(&version))?;
        seen.unwrap_or(Ok(()))?;
        let old = decoder.take(&heap)?;
        if old.rows == 0 {
            return Ok(Written::No);
        }
        let old_row = shown.triggers.row(&old, 0);
        let proposed = shown.triggers.row(&done.new.image, row);
        let Some(new_row) = shown.triggers.before(ctx, Some(&old_row), Some(proposed))? else {
            return Ok(Written::No);
        };
        let image = shown.triggers.image(&self.target.table.codec, &new_row);
        let new = self.target.prepare(ctx, image)?;
        let leaves =
            self.part.as_ref().is_some_and(|part| part.moves) && self.target.leaves_partition(&new, 0);
        let outcome = match self.part.as_mut().filter(|_| leaves) {
            Some(part) => {
                if let Some(leaving) = &part.leaving
                    && leaving.before(ctx, Some(&old_row), None)?.is_none()
                {
                    return Ok(Written::No);
                }
                part.deleter.move_row(ctx, &self.target, rid, snapshot, &mut wait)?
            }
            None => shown.updater.update_one(ctx, &mut self.target, &old, &new, rid, snapshot, &mut wait)?,
        };
        if outcome != WriteOutcome::Done {
            return Err(match outcome {
                WriteOutcome::SelfModified => changed_by_trigger("updated"),
                other => serialization_failure(other),
            });
        }
        let columns = done.source.columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect();
        let written = Prepared {
            source: Batch::new(columns, 1),
            old,
            new,
            entries: Entries { old: Vec::new(), new: Vec::new(), references: Vec::new() },
        };
        if leaves {
            if let Some(leaving) = self.part.as_ref().and_then(|part| part.leaving.as_ref()) {
                leaving.after(ctx, Some(&old_row), None)?;
            }
            self.note_moved(written);
            return Ok(Written::Moved);
        }
        let new_row = shown.triggers.row(&written.new.image, 0);
        shown.triggers.after(ctx, Some(&old_row), Some(&new_row))?;
        Ok(Written::Yes(Some(written)))
    }

    /// Updates the rows of a batch of the source's; RETURNING's rows.
    ///
    /// # Errors
    /// 23502, 23514, 23505; errors of storage, and of waiting.
    pub fn update_batch(&mut self, ctx: &ExecContext<'_>, source: Batch) -> Result<Vec<Batch>> {
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
            let outcome = match self.triggers.is_some() {
                true => self.update_shown(ctx, &prepared, row, rid)?,
                false => self.update_row(ctx, &prepared, row, rid)?,
            };
            match outcome {
                Written::No => continue,
                Written::Moved => {}
                Written::Yes(None) => written.push(row as u16),
                Written::Yes(Some(anew)) => {
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
        if self.is_root {
            ctx.run.rows_changed.set(ctx.run.rows_changed.get() + count);
        }
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
        if let Some(shown) = &mut self.triggers {
            shown.triggers.begin(ctx)?;
        }
        while let Some(batch) = self.source.next(ctx)? {
            let results = self.update_batch(ctx, batch)?;
            if !results.is_empty() {
                return Ok(Some(join_batches(results)));
            }
        }
        if let Some(shown) = &mut self.triggers {
            shown.triggers.end(ctx);
        }
        Ok(None)
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        if let Some(shown) = &mut self.triggers {
            shown.triggers.restart();
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
