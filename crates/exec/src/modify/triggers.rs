//! Triggers of the table that a statement changes: which fire, when, and what waits for the statement's end.
//!
//! # How
//! A table without triggers costs the look at an empty list when the operator is built. With some, rows are written one by
//! one: those of BEFORE see the row under its lock and may change it or turn the write down; those of AFTER are queued with
//! the old and the new row and fire when the statement's own work is done, foreign keys first. Statement triggers fire once
//! for a table and an event, however often cascades come to it.
//!
//! # Not done
//! INSTEAD OF.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_catalog::{RelationDescriptor, TriggerDescriptor, TriggerTiming};
use ochre_types::{Batch, Column, Datum};
use parking_lot::Mutex;

use crate::ExecContext;
use crate::codec::RowCodec;

/// The live columns of a row.
pub type TriggerRow = Arc<[Datum]>;

/// What a statement does to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerEvent {
    Insert,
    Update,
    Delete,
    Truncate,
}

impl TriggerEvent {
    /// As `TG_OP` gives it.
    pub const fn name(self) -> &'static str {
        match self {
            TriggerEvent::Insert => "INSERT",
            TriggerEvent::Update => "UPDATE",
            TriggerEvent::Delete => "DELETE",
            TriggerEvent::Truncate => "TRUNCATE",
        }
    }
}

/// The rows that a statement changed, for triggers that ask for them all.
#[derive(Debug, Default)]
pub struct TransitionRows {
    pub old: Vec<TriggerRow>,
    pub new: Vec<TriggerRow>,
}

/// Those rows, while more of them may come.
pub type Transitions = Arc<Mutex<TransitionRows>>;

/// A trigger that is about to fire.
#[derive(Debug, Clone)]
pub struct Firing {
    pub table: Arc<RelationDescriptor>,
    pub trigger: Arc<TriggerDescriptor>,
    pub event: TriggerEvent,
    pub old: Option<TriggerRow>,
    pub new: Option<TriggerRow>,
    /// For a trigger with transition tables.
    pub transitions: Option<Transitions>,
}

/// The triggers that a statement's changes of one table fire, by name within each list.
pub struct Triggers {
    table: Arc<RelationDescriptor>,
    event: TriggerEvent,
    /// Positions of the live columns.
    live: Vec<usize>,
    /// Which of the live columns are generated: their values are not there yet before the row is written.
    generated: Vec<usize>,
    before_statement: Vec<Arc<TriggerDescriptor>>,
    before_row: Vec<Arc<TriggerDescriptor>>,
    after_row: Vec<Arc<TriggerDescriptor>>,
    after_statement: Vec<Arc<TriggerDescriptor>>,
    /// Whether some trigger asks for the old rows, or the new ones.
    keeps: (bool, bool),
    begun: bool,
    ended: bool,
}

impl Triggers {
    /// The triggers of an event; of an UPDATE that assigns to the columns at these positions. `None` when there are none.
    pub fn of(
        table: &Arc<RelationDescriptor>,
        event: TriggerEvent,
        changed: &[usize],
    ) -> Option<Box<Triggers>> {
        if table.triggers.is_empty() {
            return None;
        }
        let found = Triggers::all_of(table, event, changed);
        let lists = [&found.before_statement, &found.before_row, &found.after_row, &found.after_statement];
        lists.iter().any(|list| !list.is_empty()).then_some(found)
    }

    /// An event that fires nothing.
    pub fn none(table: &Arc<RelationDescriptor>, event: TriggerEvent) -> Box<Triggers> {
        let mut none = Triggers::all_of(table, event, &[]);
        none.before_statement.clear();
        none.before_row.clear();
        none.after_row.clear();
        none.after_statement.clear();
        none.keeps = (false, false);
        none
    }

    fn all_of(table: &Arc<RelationDescriptor>, event: TriggerEvent, changed: &[usize]) -> Box<Triggers> {
        let fires = |trigger: &&Arc<TriggerDescriptor>| {
            let wanted = match event {
                TriggerEvent::Insert => trigger.insert,
                TriggerEvent::Update => trigger.update,
                TriggerEvent::Delete => trigger.delete,
                TriggerEvent::Truncate => trigger.truncate,
            };
            let concerned = event != TriggerEvent::Update
                || trigger.columns.is_empty()
                || trigger.columns.iter().any(|number| changed.contains(&(*number as usize - 1)));
            wanted && concerned && matches!(trigger.enabled, b'O' | b'A')
        };
        let list = |timing: TriggerTiming, row: bool| -> Vec<Arc<TriggerDescriptor>> {
            let all = table.triggers.iter().filter(fires);
            all.filter(|trigger| trigger.timing == timing && trigger.row == row).cloned().collect()
        };
        let live: Vec<usize> =
            table.columns.iter().enumerate().filter(|(_, c)| !c.dropped).map(|(i, _)| i).collect();
        let generated = live.iter().enumerate().filter(|(_, i)| table.columns[**i].generated.is_some());
        let mut found = Box::new(Triggers {
            before_statement: list(TriggerTiming::Before, false),
            before_row: list(TriggerTiming::Before, true),
            after_row: list(TriggerTiming::After, true),
            after_statement: list(TriggerTiming::After, false),
            generated: generated.map(|(place, _)| place).collect(),
            live,
            table: Arc::clone(table),
            event,
            keeps: (false, false),
            begun: false,
            ended: false,
        });
        for trigger in found.after_row.iter().chain(&found.after_statement) {
            found.keeps.0 |= trigger.old_table.is_some();
            found.keeps.1 |= trigger.new_table.is_some();
        }
        found
    }

    /// Whether rows are shown before they are written.
    pub fn has_before_row(&self) -> bool {
        !self.before_row.is_empty()
    }

    /// Whether rows are shown after they were written, or kept.
    pub fn has_after_row(&self) -> bool {
        !self.after_row.is_empty() || self.keeps != (false, false)
    }

    /// Fires BEFORE … FOR EACH STATEMENT, once.
    ///
    /// # Errors
    /// The triggers'.
    pub fn begin(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        ctx.statement.txn.forbid_suspension();
        if !ctx.run.after.borrow_mut().begin_statement(self.table.oid, self.event) {
            return Ok(());
        }
        for trigger in &self.before_statement {
            self.fire(ctx, trigger, None, None)?;
        }
        Ok(())
    }

    /// As [`Triggers::begin`], for a table that has children or partitions.
    ///
    /// # Errors
    /// 0A000 for transition tables, which would lack the rows of the children; the triggers'.
    pub fn begin_set(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        if self.keeps != (false, false) {
            return Err(Error::unsupported("transition tables of a table with children or partitions"));
        }
        self.begin(ctx)
    }

    /// The operator has come to its end: AFTER … FOR EACH STATEMENT waits for the statement's.
    ///
    /// # Errors
    /// Those of conditions.
    pub fn end(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        for trigger in &self.after_statement {
            let firing = self.firing(ctx, trigger, None, None);
            if ctx.statement.relations.trigger_applies(&firing)? {
                ctx.run.after.borrow_mut().fire_last(firing);
            }
        }
        Ok(())
    }

    /// The operator runs anew.
    pub fn restart(&mut self) {
        self.begun = false;
        self.ended = false;
    }

    fn firing(
        &self,
        ctx: &ExecContext<'_>,
        trigger: &Arc<TriggerDescriptor>,
        old: Option<TriggerRow>,
        new: Option<TriggerRow>,
    ) -> Firing {
        let keeps = trigger.old_table.is_some() || trigger.new_table.is_some();
        let transitions = keeps.then(|| ctx.run.after.borrow_mut().transitions(self.table.oid, self.event));
        let (table, trigger) = (Arc::clone(&self.table), Arc::clone(trigger));
        Firing { table, trigger, event: self.event, old, new, transitions }
    }

    fn fire(
        &self,
        ctx: &ExecContext<'_>,
        trigger: &Arc<TriggerDescriptor>,
        old: Option<TriggerRow>,
        new: Option<TriggerRow>,
    ) -> Result<Option<TriggerRow>> {
        let firing = self.firing(ctx, trigger, old, new);
        let relations = ctx.statement.relations;
        if !relations.trigger_applies(&firing)? {
            return Ok(firing.new.or(firing.old));
        }
        relations.fire_trigger(&firing)
    }

    /// Shows a row to the BEFORE triggers: the row that is to be written, of a DELETE the old one; `None` to leave it.
    ///
    /// # Errors
    /// The triggers'.
    pub fn before(
        &self,
        ctx: &ExecContext<'_>,
        old: Option<&TriggerRow>,
        new: Option<TriggerRow>,
    ) -> Result<Option<TriggerRow>> {
        let mut current = new.map(|row| self.without_generated(row));
        for trigger in &self.before_row {
            match self.fire(ctx, trigger, old.cloned(), current.clone())? {
                None => return Ok(None),
                Some(row) if current.is_some() => current = Some(self.without_generated(row)),
                Some(_) => {}
            }
        }
        Ok(current.or_else(|| old.cloned()))
    }

    fn without_generated(&self, row: TriggerRow) -> TriggerRow {
        if self.generated.iter().all(|place| row.get(*place).is_none_or(Datum::is_null)) {
            return row;
        }
        let mut values = row.to_vec();
        self.generated.iter().for_each(|place| values[*place] = Datum::Null);
        values.into()
    }

    /// Queues the AFTER triggers for a row that was written.
    ///
    /// # Errors
    /// Those of their conditions.
    pub fn after(
        &self,
        ctx: &ExecContext<'_>,
        old: Option<&TriggerRow>,
        new: Option<&TriggerRow>,
    ) -> Result<()> {
        if self.keeps != (false, false) {
            let transitions = ctx.run.after.borrow_mut().transitions(self.table.oid, self.event);
            let mut rows = transitions.lock();
            rows.old.extend(old.filter(|_| self.keeps.0).cloned());
            rows.new.extend(new.filter(|_| self.keeps.1).cloned());
        }
        for trigger in &self.after_row {
            let firing = self.firing(ctx, trigger, old.cloned(), new.cloned());
            if !ctx.statement.relations.trigger_applies(&firing)? {
                continue;
            }
            if let Some(deferred) = ctx.statement.relations.deferred().filter(|_| trigger.deferrable)
                && deferred.borrow().timing.is_deferred_trigger(trigger)
            {
                deferred.borrow_mut().fire_later(firing, ctx.statement.txn.current_cid());
                continue;
            }
            ctx.run.after.borrow_mut().fire_later(firing);
        }
        Ok(())
    }

    /// As [`Triggers::after`] for a row of an image.
    ///
    /// # Errors
    /// Those of conditions.
    pub fn after_insert(&self, ctx: &ExecContext<'_>, image: &Batch, row: usize) -> Result<()> {
        if !self.has_after_row() {
            return Ok(());
        }
        self.after(ctx, None, Some(&self.row(image, row)))
    }

    /// The live columns of a row of an image.
    pub fn row(&self, image: &Batch, row: usize) -> TriggerRow {
        self.live.iter().map(|position| image.columns[*position].datum(row).detached()).collect()
    }

    /// A row as an image of all columns; dropped ones are NULL.
    pub fn image(&self, codec: &RowCodec, row: &TriggerRow) -> Batch {
        let mut values = row.iter();
        let mut live = self.live.iter().peekable();
        let columns = (0..codec.column_count())
            .map(|position| {
                let value = match live.next_if(|next| **next == position) {
                    Some(_) => values.next().cloned().unwrap_or(Datum::Null),
                    None => Datum::Null,
                };
                Arc::new(Column::from_datums(codec.column_type(position).physical, [&value]))
            })
            .collect();
        Batch::new(columns, 1)
    }
}

/// 27000: what a statement is about to change was changed by a trigger or a function that the statement has called.
#[cold]
pub fn changed_within(verb: &str) -> Error {
    Error::new(
        SqlState::new("27000"),
        format!("tuple to be {verb} was already modified by an operation triggered by the current command"),
    )
    .hint("Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other rows.")
}
