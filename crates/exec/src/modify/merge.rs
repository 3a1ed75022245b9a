//! MERGE, with RETURNING.
//!
//! # How
//! The source is a join of the target with the rows to merge; what is NULL in a joined row says which kind of row it is.
//! For a whole batch each row gets the first action that fits, and new images are computed action by action; then the
//! rows are gone through in the source's order, by [`RowUpdater`], [`RowDeleter`] and [`Target::insert`], which are those
//! of the other statements. Insertions that follow each other go to the table together.
//!
//! A matched row that a concurrent transaction has changed is read again: if it matches still, the actions for matched
//! rows are tried from the first on; if not, it is a row that nothing matches, and so is what it was joined with.
//!
//! # Differences
//! PostgreSQL locks the newest version before it looks for an action, and keeps the lock when none fits. RETURNING of a row
//! that lost its source row to a concurrent change has NULLs for it; PostgreSQL shows the row that matched before.

use std::sync::Arc;

use ochre_access::heap::{LockOutcome, RowWait, WriteOutcome, serialization_failure};
use ochre_base::{Error, Result, RowId, SqlState};
use ochre_catalog::RelationDescriptor;
use ochre_expr::Expr;
use ochre_sql::explain::{MergeReport, NodeReport};
use ochre_sql::physical::{MergeAction, MergeChange, MergeMatch, MergePlan, MergeSetPart};
use ochre_txn::{RowLockStrength, Snapshot};
use ochre_types::{Batch, Column, ColumnBuilder, Datum, PhysicalType, Selection};

use crate::build::physical_types;
use crate::codec::RowDecoder;
use crate::columns::{builders, null_columns, take_batch};
use crate::modify::delete::RowDeleter;
use crate::modify::recheck::Recheck;
use crate::modify::target::{NewRows, Target};
use crate::modify::triggers::{TriggerEvent, Triggers, changed_within};
use crate::modify::update::{Prepared, RowUpdater, Shown, ShownUpdate};
use crate::operator::Nothing;
use crate::relation::RelationSource;
use crate::{BoxOperator, ExecContext, Operator};

/// Does to each row of its source what the first action that fits says.
pub struct Merge {
    target: Target,
    source: BoxOperator,
    row_id: usize,
    source_present: Option<usize>,
    old_columns: Vec<Option<usize>>,
    actions: Vec<MergeAction>,
    /// For each action that updates.
    updaters: Vec<Option<RowUpdater>>,
    deleter: RowDeleter,
    recheck: Recheck,
    /// For each column of the source whether it comes from the target.
    of_target: Vec<bool>,
    returning: Option<Returning>,
    rows_changed: u64,
    triggers: Option<Box<RowTriggers>>,
    is_root: bool,
    report: MergeReport,
    part: Option<PartState>,
}

/// What the MERGE into a relation of a set knows besides.
struct PartState {
    /// Takes away rows that go to another partition.
    deleter: RowDeleter,
    /// Whether they do.
    moves: bool,
    moved: Vec<MovedRow>,
    /// What was joined with rows that no longer match.
    left: Vec<Batch>,
}

/// A row that has left its partition; images are of one row, in the partition's columns.
pub(super) struct MovedRow {
    pub action: usize,
    pub old: Batch,
    pub new: Batch,
    /// The row of the source.
    pub source: Batch,
}

/// The triggers of a MERGE, by what its actions do.
pub(super) struct MergeTriggers {
    insert: Option<Box<Triggers>>,
    update: Option<Box<Triggers>>,
    delete: Option<Box<Triggers>>,
}

/// A table's triggers, with what rows need that they see before.
struct RowTriggers {
    lists: MergeTriggers,
    shown: ShownUpdate,
    decoder: RowDecoder,
}

impl MergeTriggers {
    fn of(target: &Target, actions: &[MergeAction]) -> Option<Box<RowTriggers>> {
        let table = &target.table.descriptor;
        let generated = target.plan.generated.iter().map(|generated| generated.column);
        let lists = MergeTriggers::of_table(table, actions, generated.collect())?;
        Some(Box::new(RowTriggers {
            lists,
            shown: ShownUpdate::new(target),
            decoder: RowDecoder::all_columns(&target.table.codec),
        }))
    }

    /// Those of a table, of which these columns change besides those that the actions assign to.
    pub fn of_table(
        table: &Arc<RelationDescriptor>,
        actions: &[MergeAction],
        generated: Vec<usize>,
    ) -> Option<MergeTriggers> {
        if table.triggers.is_empty() {
            return None;
        }
        let has = |wanted: fn(&MergeChange) -> bool| actions.iter().any(|action| wanted(&action.change));
        let assigned = actions.iter().flat_map(|action| match &action.change {
            MergeChange::Update(assignments) => assignments.as_slice(),
            _ => &[],
        });
        let changed: Vec<usize> = assigned.map(|assignment| assignment.column).chain(generated).collect();
        let of = |fires: bool, event| if fires { Triggers::of(table, event, &changed) } else { None };
        Some(MergeTriggers {
            insert: of(has(|change| matches!(change, MergeChange::Insert(_))), TriggerEvent::Insert),
            update: of(has(|change| matches!(change, MergeChange::Update(_))), TriggerEvent::Update),
            delete: of(has(|change| matches!(change, MergeChange::Delete)), TriggerEvent::Delete),
        })
    }

    /// The operator of a set of relations begins: BEFORE … FOR EACH STATEMENT of the table that is named.
    ///
    /// # Errors
    /// 0A000 for transition tables; the triggers'.
    pub fn begin_set(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        let lists = [&mut self.insert, &mut self.update, &mut self.delete];
        lists.into_iter().flatten().try_for_each(|triggers| triggers.begin_set(ctx))
    }

    fn begin(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        let lists = [&mut self.insert, &mut self.update, &mut self.delete];
        lists.into_iter().flatten().try_for_each(|triggers| triggers.begin(ctx))
    }

    pub fn end(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        let lists = [&mut self.delete, &mut self.update, &mut self.insert];
        lists.into_iter().flatten().try_for_each(|triggers| triggers.end(ctx))
    }

    pub fn restart(&mut self) {
        let lists = [&mut self.insert, &mut self.update, &mut self.delete];
        lists.into_iter().flatten().for_each(|triggers| triggers.restart());
    }
}

/// Rows of the source with the action for each and what it needs.
struct Work {
    source: Batch,
    /// By position in the batch.
    actions: Vec<Option<usize>>,
    /// By action.
    changes: Vec<Change>,
}

enum Change {
    None,
    Update(Prepared),
    Insert(NewRows),
}

/// Gathers what RETURNING reads, in the order of the rows.
struct Returning {
    exprs: Vec<Expr>,
    types: Vec<PhysicalType>,
    /// Columns of a target image.
    width: usize,
    gathered: Vec<ColumnBuilder>,
    rows: usize,
}

impl Returning {
    /// Adds a row: the image after the change, or before a deletion.
    fn push(&mut self, action: &MergeChange, image: &Batch, rid: RowId, source: &Batch, row: usize) {
        let name = match action {
            MergeChange::Insert(_) => "INSERT",
            MergeChange::Delete => "DELETE",
            _ => "UPDATE",
        };
        let is_new = !matches!(action, MergeChange::Delete);
        let (images, rest) = self.gathered.split_at_mut(2 * self.width);
        for (number, part) in images.chunks_mut(self.width).enumerate() {
            if number == 1 && !is_new {
                part.iter_mut().for_each(ColumnBuilder::push_null);
                continue;
            }
            let (columns, id) = part.split_at_mut(self.width - 1);
            for (builder, column) in columns.iter_mut().zip(&image.columns) {
                builder.push_from(column, row);
            }
            id[0].push(&Datum::Int64(rid.to_u64() as i64));
        }
        let (action, columns) = rest.split_at_mut(1);
        action[0].push_bytes(name.as_bytes());
        for (builder, column) in columns.iter_mut().zip(&source.columns) {
            builder.push_from(column, row);
        }
        self.rows += 1;
    }

    /// RETURNING of the rows gathered.
    fn take(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return Ok(None);
        }
        let batch = take_batch(&mut self.gathered, rows);
        self.gathered = builders(&self.types, 0);
        Ok(Some(Batch::new(ctx.eval_all(&self.exprs, &batch)?, rows)))
    }
}

impl Merge {
    /// Merges what `source` gives.
    ///
    /// # Errors
    /// What opening relations fails with.
    pub fn new(
        plan: &MergePlan,
        source: BoxOperator,
        relations: &dyn RelationSource,
        is_root: bool,
    ) -> Result<Merge> {
        let target = Target::open(&plan.target, relations)?;
        let triggers = MergeTriggers::of(&target, &plan.actions);
        let updater = |action: &MergeAction| match &action.change {
            MergeChange::Update(assignments) => {
                let generated = target.plan.generated.iter().map(|generated| generated.column);
                let changed = assignments.iter().map(|assignment| assignment.column).chain(generated);
                Some(RowUpdater::new(&target, changed.collect()))
            }
            _ => None,
        };
        let source_types = physical_types(&plan.source);
        let mut of_target = vec![false; source_types.len()];
        let own = plan.recheck.columns.iter().filter(|(position, _)| *position < source_types.len());
        own.for_each(|(position, _)| of_target[*position] = true);
        let returning = plan.returning.as_ref().map(|exprs| {
            let codec = &target.table.codec;
            let mut image: Vec<PhysicalType> =
                (0..codec.column_count()).map(|position| codec.column_type(position).physical).collect();
            image.push(PhysicalType::Int64);
            let mut types = image.clone();
            types.extend(&image);
            types.push(PhysicalType::Bytes);
            types.extend(&source_types);
            Returning {
                exprs: exprs.clone(),
                width: image.len(),
                gathered: builders(&types, 0),
                types,
                rows: 0,
            }
        });
        Ok(Merge {
            triggers,
            updaters: plan.actions.iter().map(updater).collect(),
            deleter: RowDeleter::new(&target),
            recheck: Recheck::new(&target.table.codec, &plan.recheck),
            target,
            source,
            row_id: plan.row_id,
            source_present: plan.source_present,
            old_columns: plan.old_columns.clone(),
            actions: plan.actions.clone(),
            of_target,
            returning,
            rows_changed: 0,
            is_root,
            report: MergeReport::default(),
            part: None,
        })
    }

    /// Merges into one relation of a set what [`Merge::merge_batch`] and [`Merge::insert_rows`] give. With `moves`, rows that
    /// belong to other partitions are deleted and handed out.
    ///
    /// # Errors
    /// As [`Merge::new`].
    pub(super) fn of_part(part: &MergeSetPart, relations: &dyn RelationSource, moves: bool) -> Result<Merge> {
        let mut merge = Merge::new(&part.plan, Box::new(Nothing), relations, false)?;
        merge.of_target.extend(part.fetch.iter().map(|_| true));
        part.plan.recheck.columns.iter().for_each(|(position, _)| merge.of_target[*position] = true);
        let deleter = RowDeleter::of_keys(&merge.target, &part.leaving.keys);
        merge.part = Some(PartState { deleter, moves, moved: Vec::new(), left: Vec::new() });
        Ok(merge)
    }

    /// The rows that have left the partition since the last call.
    pub(super) fn take_moved(&mut self) -> Vec<MovedRow> {
        self.part.as_mut().map(|part| std::mem::take(&mut part.moved)).unwrap_or_default()
    }

    /// What was joined with rows that no longer match, since the last call.
    pub(super) fn take_left(&mut self) -> Vec<Batch> {
        self.part.as_mut().map(|part| std::mem::take(&mut part.left)).unwrap_or_default()
    }

    /// The number of rows changed since the last call.
    pub(super) fn take_changed(&mut self) -> u64 {
        std::mem::take(&mut self.rows_changed)
    }

    /// RETURNING of the rows changed since the last call.
    ///
    /// # Errors
    /// Those of the expressions.
    pub(super) fn take_returned(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        match &mut self.returning {
            Some(returning) => returning.take(ctx),
            None => Ok(None),
        }
    }

    /// RETURNING shows a row that has come from another partition.
    pub(super) fn return_moved(&mut self, action: usize, image: &Batch, rid: RowId, source: &Batch) {
        if let Some(returning) = &mut self.returning {
            returning.push(&self.actions[action].change, image, rid, source, 0);
        }
    }

    /// What was done so far.
    pub(super) fn counts(&self) -> MergeReport {
        self.report
    }

    /// Inserts rows of the relation's columns, for an action; `rows` are those of `source` that they are made of.
    ///
    /// # Errors
    /// As INSERT.
    pub(super) fn insert_rows(
        &mut self,
        ctx: &ExecContext<'_>,
        source: &Batch,
        action: usize,
        given: Batch,
        rows: &[u16],
    ) -> Result<()> {
        let new = self.target.prepare(ctx, given)?;
        self.insert(ctx, source, action, &new, rows)
    }

    fn kind_of(&self, source: &Batch, row: usize) -> MergeMatch {
        if source.columns[self.row_id].is_null(row) {
            MergeMatch::NotMatchedByTarget
        } else if self.source_present.is_some_and(|column| source.columns[column].is_null(row)) {
            MergeMatch::NotMatchedBySource
        } else {
            MergeMatch::Matched
        }
    }

    /// Chooses the action for each row and computes new images.
    fn prepare(&self, ctx: &ExecContext<'_>, source: Batch) -> Result<Work> {
        let mut rows: Vec<(u16, MergeMatch)> =
            source.active().map(|row| (row as u16, self.kind_of(&source, row))).collect();
        let mut actions = vec![None; source.rows];
        let mut changes = Vec::with_capacity(self.actions.len());
        for (number, action) in self.actions.iter().enumerate() {
            if self.part.is_some() && action.matched == MergeMatch::NotMatchedByTarget {
                changes.push(Change::None);
                continue;
            }
            let of_kind = rows.iter().filter(|(_, kind)| *kind == action.matched).map(|(row, _)| *row);
            let candidates = source.clone().with_selection(Selection::new(of_kind.collect::<Vec<u16>>()));
            let chosen = match ctx.filter_if(action.condition.as_ref(), candidates)? {
                Some(chosen) => chosen,
                None => {
                    changes.push(Change::None);
                    continue;
                }
            };
            chosen.active().for_each(|row| actions[row] = Some(number));
            rows.retain(|(row, _)| actions[*row as usize].is_none());
            changes.push(match (&action.change, &self.updaters[number]) {
                (MergeChange::Update(assignments), Some(updater)) => Change::Update(updater.prepare(
                    ctx,
                    &self.target,
                    chosen,
                    &self.old_columns,
                    assignments,
                )?),
                (MergeChange::Insert(values), _) => {
                    let columns = ctx.eval_all(values, &chosen)?;
                    let given = Batch { columns, rows: chosen.rows, selection: chosen.selection };
                    Change::Insert(self.target.prepare(ctx, given)?)
                }
                _ => Change::None,
            });
        }
        Ok(Work { source, actions, changes })
    }

    /// Does a whole batch.
    ///
    /// # Errors
    /// As UPDATE, DELETE and INSERT; 21000.
    pub(super) fn merge_batch(&mut self, ctx: &ExecContext<'_>, source: Batch) -> Result<()> {
        let work = self.prepare(ctx, source)?;
        let acted: Vec<u16> =
            work.source.active().filter(|row| work.actions[*row].is_some()).map(|row| row as u16).collect();
        self.report.skipped += (work.source.active_rows() - acted.len()) as u64;
        let mut rest = acted.as_slice();
        let mut number = 0_usize;
        while let Some(first) = rest.first() {
            if number.is_multiple_of(64) {
                ctx.check_interrupts()?;
            }
            number += 1;
            let action = work.actions[*first as usize].expect("only rows with an action are left");
            if let Change::Insert(new) = &work.changes[action] {
                let same = |row: &&u16| work.actions[**row as usize] == Some(action);
                let (run, others) = rest.split_at(rest.iter().take_while(same).count());
                self.insert(ctx, &work.source, action, new, run)?;
                rest = others;
                continue;
            }
            rest = &rest[1..];
            self.change_or_look_again(ctx, &work, *first as usize)?;
        }
        self.deleter.note_keys(ctx, &self.target)?;
        if let Some(part) = &mut self.part {
            part.deleter.note_keys(ctx, &self.target)?;
        }
        if self.updaters.iter().flatten().any(RowUpdater::has_references) {
            ctx.run.after.borrow_mut().relieve(ctx)?;
        }
        Ok(())
    }

    fn insert(
        &mut self,
        ctx: &ExecContext<'_>,
        source: &Batch,
        action: usize,
        new: &NewRows,
        rows: &[u16],
    ) -> Result<()> {
        let part;
        let new = if rows.len() == new.image.active_rows() {
            new
        } else {
            part = new.of_rows(rows.to_vec());
            &part
        };
        let shows =
            |triggers: &RowTriggers| triggers.lists.insert.as_ref().is_some_and(|t| t.has_before_row());
        if self.triggers.as_deref().is_some_and(shows) {
            return self.insert_shown(ctx, source, action, new, rows);
        }
        let ids = self.target.insert(ctx, new)?;
        self.rows_changed += rows.len() as u64;
        self.report.inserted += rows.len() as u64;
        if let Some(triggers) = self.triggers.as_ref().and_then(|triggers| triggers.lists.insert.as_ref()) {
            rows.iter().try_for_each(|row| triggers.after_insert(ctx, &new.image, *row as usize))?;
        }
        if let Some(returning) = &mut self.returning {
            for row in rows.iter().map(|row| *row as usize) {
                returning.push(&self.actions[action].change, &new.image, ids[row], source, row);
            }
        }
        Ok(())
    }

    /// Inserts rows one by one, each shown to the BEFORE triggers.
    fn insert_shown(
        &mut self,
        ctx: &ExecContext<'_>,
        source: &Batch,
        action: usize,
        new: &NewRows,
        rows: &[u16],
    ) -> Result<()> {
        let Some(triggers) = self.triggers.as_ref().and_then(|triggers| triggers.lists.insert.as_ref())
        else {
            return Err(Error::internal("a row is shown to no triggers"));
        };
        for row in rows.iter().map(|row| *row as usize) {
            let Some(shown) = triggers.before(ctx, None, Some(triggers.row(&new.image, row)))? else {
                continue;
            };
            let new = self.target.prepare(ctx, triggers.image(&self.target.table.codec, &shown))?;
            let ids = self.target.insert(ctx, &new)?;
            self.rows_changed += 1;
            self.report.inserted += 1;
            triggers.after_insert(ctx, &new.image, 0)?;
            if let Some(returning) = &mut self.returning {
                let one = slice(source, row);
                returning.push(&self.actions[action].change, &new.image, ids[0], &one, 0);
            }
        }
        Ok(())
    }

    /// Whether the change of a row has triggers that see the row before.
    fn shows(&self, change: &MergeChange) -> bool {
        let Some(RowTriggers { lists: triggers, .. }) = self.triggers.as_deref() else { return false };
        match change {
            MergeChange::Update(_) => triggers.update.as_ref().is_some_and(|t| t.has_before_row()),
            MergeChange::Delete => {
                triggers.delete.as_ref().is_some_and(|t| t.has_before_row() || t.has_after_row())
            }
            _ => false,
        }
    }

    /// Updates or deletes a row that triggers see before.
    fn change_shown(
        &mut self,
        ctx: &ExecContext<'_>,
        work: &Work,
        row: usize,
        rid: RowId,
        snapshot: &Snapshot,
        wait: &mut RowWait,
    ) -> Result<WriteOutcome> {
        let Some(number) = work.actions[row] else { return Ok(WriteOutcome::Done) };
        let heap = Arc::clone(&self.target.heap);
        let updates = matches!(self.actions[number].change, MergeChange::Update(_));
        let strength = if updates { RowLockStrength::NoKeyUpdate } else { RowLockStrength::Update };
        match heap.lock_row(ctx.statement.txn, snapshot, rid, strength, true, wait)? {
            LockOutcome::Locked => {}
            LockOutcome::SelfModified if ctx.wrote(wait.own_command) => return Err(affected_twice()),
            LockOutcome::SelfModified => {
                return Err(changed_within(if updates { "updated" } else { "deleted" }));
            }
            LockOutcome::Changed | LockOutcome::WouldBlock => return Ok(WriteOutcome::Changed),
            LockOutcome::Deleted => return Ok(WriteOutcome::Deleted),
            LockOutcome::Moved => return Ok(WriteOutcome::Moved),
        }
        let Some(triggers) = &mut self.triggers else {
            return Err(Error::internal("a row is shown to no triggers"));
        };
        let image = match (&work.changes[number], &triggers.lists.update, &triggers.lists.delete) {
            (Change::Update(prepared), Some(list), _) => {
                let (target, shown) = (&mut self.target, &mut triggers.shown);
                let proposed = (&prepared.new.image, row);
                match shown.write(ctx, target, list, proposed, rid, snapshot, wait)? {
                    Some(Shown { new, .. }) => new.image,
                    None => return Ok(WriteOutcome::Done),
                }
            }
            (_, _, Some(list)) => {
                let decoder = &mut triggers.decoder;
                let seen = heap.fetch(snapshot, rid, |version| decoder.push(&version))?;
                seen.unwrap_or(Ok(()))?;
                let old = decoder.take(&heap)?;
                let old_row = list.row(&old, 0);
                if list.before(ctx, Some(&old_row), None)?.is_none() {
                    return Ok(WriteOutcome::Done);
                }
                match self.deleter.delete_row(ctx, &self.target, rid, snapshot, wait)? {
                    WriteOutcome::Done => {}
                    WriteOutcome::SelfModified => return Err(changed_within("deleted")),
                    other => return Err(serialization_failure(other)),
                }
                list.after(ctx, Some(&old_row), None)?;
                old
            }
            _ => return Err(Error::internal("a row is shown to no triggers")),
        };
        self.rows_changed += 1;
        match updates {
            true => self.report.updated += 1,
            false => self.report.deleted += 1,
        }
        if let Some(returning) = &mut self.returning {
            let one = slice(&work.source, row);
            returning.push(&self.actions[number].change, &image, rid, &one, 0);
        }
        Ok(WriteOutcome::Done)
    }

    /// Takes a row away that an update sends to another partition; how that ended.
    #[allow(clippy::too_many_arguments, reason = "the facts of one write")]
    fn take_away(
        &mut self,
        ctx: &ExecContext<'_>,
        work: &Work,
        number: usize,
        row: usize,
        rid: RowId,
        snapshot: &Snapshot,
        wait: &mut RowWait,
    ) -> Result<WriteOutcome> {
        let (Some(part), Change::Update(prepared)) = (&mut self.part, &work.changes[number]) else {
            return Err(Error::internal("a row leaves a relation that is no partition"));
        };
        if self.target.table.descriptor.triggers.iter().any(|trigger| trigger.row) {
            return Err(Error::unsupported("MERGE that moves a row out of a partition with triggers"));
        }
        match part.deleter.move_row(ctx, &self.target, rid, snapshot, wait)? {
            WriteOutcome::Done => {}
            WriteOutcome::SelfModified if ctx.wrote(wait.own_command) => return Err(affected_twice()),
            WriteOutcome::SelfModified => return Err(changed_within("updated")),
            outcome => return Ok(outcome),
        }
        let mut new = slice(&prepared.new.image, row);
        new.columns.pop();
        let (old, source) = (slice(&prepared.old, row), slice(&work.source, row));
        part.moved.push(MovedRow { action: number, old, new, source });
        self.rows_changed += 1;
        self.report.updated += 1;
        Ok(WriteOutcome::Done)
    }

    /// Updates or deletes a row; how that ended.
    fn change(
        &mut self,
        ctx: &ExecContext<'_>,
        work: &Work,
        row: usize,
        rid: RowId,
        snapshot: &Snapshot,
        wait: &mut RowWait,
    ) -> Result<WriteOutcome> {
        let Some(number) = work.actions[row] else { return Ok(WriteOutcome::Done) };
        if let Change::Update(prepared) = &work.changes[number]
            && self.part.as_ref().is_some_and(|part| part.moves)
            && self.target.leaves_partition(&prepared.new, row)
        {
            return self.take_away(ctx, work, number, row, rid, snapshot, wait);
        }
        if self.shows(&self.actions[number].change) {
            return self.change_shown(ctx, work, row, rid, snapshot, wait);
        }
        let action = &self.actions[number].change;
        let outcome = match (action, &work.changes[number], &mut self.updaters[number]) {
            (MergeChange::Delete, ..) => self.deleter.delete_row(ctx, &self.target, rid, snapshot, wait)?,
            (_, Change::Update(prepared), Some(updater)) => {
                updater.update_row(ctx, &mut self.target, prepared, row, rid, snapshot, wait)?
            }
            _ => return Ok(WriteOutcome::Done),
        };
        match outcome {
            WriteOutcome::Done => {
                self.rows_changed += 1;
                match action {
                    MergeChange::Delete => self.report.deleted += 1,
                    _ => self.report.updated += 1,
                }
                if let (Change::Update(prepared), Some(triggers)) = (
                    &work.changes[number],
                    self.triggers.as_ref().and_then(|triggers| triggers.lists.update.as_ref()),
                ) && triggers.has_after_row()
                {
                    let old = triggers.row(&prepared.old, row);
                    triggers.after(ctx, Some(&old), Some(&triggers.row(&prepared.new.image, row)))?;
                }
                if let Some(returning) = &mut self.returning {
                    match &work.changes[number] {
                        Change::Update(prepared) => {
                            returning.push(action, &prepared.new.image, rid, &work.source, row);
                        }
                        _ => {
                            let old = self.target.old_image(&work.source, &self.old_columns);
                            returning.push(action, &old, rid, &work.source, row);
                        }
                    }
                }
                Ok(outcome)
            }
            WriteOutcome::SelfModified if ctx.wrote(wait.own_command) => Err(affected_twice()),
            WriteOutcome::SelfModified => Err(changed_within(match action {
                MergeChange::Delete => "deleted",
                _ => "updated",
            })),
            outcome => Ok(outcome),
        }
    }

    /// Updates or deletes a row, or, when it has changed meanwhile, does what is to be done with it as it is now.
    fn change_or_look_again(&mut self, ctx: &ExecContext<'_>, work: &Work, row: usize) -> Result<()> {
        let rid = RowId::from_u64(work.source.columns[self.row_id].datum(row).as_i64().unwrap_or(0) as u64);
        let mut wait = RowWait::default();
        ctx.cross_check(&self.target.heap, rid)?;
        let mut outcome = self.change(ctx, work, row, rid, ctx.statement.snapshot, &mut wait)?;
        let mut source = slice(&work.source, row);
        let mut rest = None;
        while outcome != WriteOutcome::Done {
            ctx.check_interrupts()?;
            let matched = self.kind_of(&source, 0) == MergeMatch::Matched;
            let heap = Arc::clone(&self.target.heap);
            let Some(current) = self.recheck.reread(ctx, &heap, &source, 0, rid, outcome)? else {
                if matched {
                    rest = Some(self.without(&source, true));
                }
                break;
            };
            source = current.source;
            if matched && !self.recheck.fits(ctx, &source)? {
                rest = Some(self.without(&source, true));
                if self.source_present.is_none() {
                    break;
                }
                source = self.without(&source, false);
            }
            let anew = self.prepare(ctx, source.clone())?;
            outcome = self.change(ctx, &anew, 0, rid, &current.snapshot, &mut wait)?;
        }
        // What the row was joined with has no partner now.
        if let (Some(part), Some(source)) = (&mut self.part, &rest) {
            part.left.push(source.clone());
        } else if let Some(source) = rest {
            let work = self.prepare(ctx, source)?;
            if let Some(action) = work.actions[0]
                && let Change::Insert(new) = &work.changes[action]
            {
                self.insert(ctx, &work.source, action, new, &[0])?;
            }
        }
        Ok(())
    }

    /// A source row without the target's columns, or with those alone.
    fn without(&self, source: &Batch, target: bool) -> Batch {
        let column = |(column, of_target): (&Arc<Column>, &bool)| {
            if *of_target == target {
                null_columns(&[column.physical()], 1).remove(0)
            } else {
                Arc::clone(column)
            }
        };
        Batch::new(source.columns.iter().zip(&self.of_target).map(column).collect(), 1)
    }
}

/// One row of a batch.
fn slice(source: &Batch, row: usize) -> Batch {
    Batch::new(source.columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect(), 1)
}

#[cold]
fn affected_twice() -> Error {
    Error::new(SqlState::CARDINALITY_VIOLATION, "MERGE command cannot affect row a second time")
        .hint("Ensure that not more than one source row matches any one target row.")
}

impl Operator for Merge {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if let Some(triggers) = &mut self.triggers {
            triggers.lists.begin(ctx)?;
        }
        while let Some(batch) = self.source.next(ctx)? {
            self.merge_batch(ctx, batch)?;
            let changed = std::mem::take(&mut self.rows_changed);
            if self.is_root {
                ctx.run.rows_changed.set(ctx.run.rows_changed.get() + changed);
            }
            if let Some(returning) = &mut self.returning
                && let Some(rows) = returning.take(ctx)?
            {
                return Ok(Some(rows));
            }
        }
        if let Some(triggers) = &mut self.triggers {
            triggers.lists.end(ctx)?;
        }
        Ok(None)
    }

    fn report(&self, report: &mut NodeReport) {
        report.merged = Some(self.report);
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        if let Some(triggers) = &mut self.triggers {
            triggers.lists.restart();
        }
        self.source.rescan(ctx)
    }
}
