//! Checks that wait for the end of the transaction.
//!
//! # Role
//! A session owns one [`DeferredChecks`]; statements leave marks in it, COMMIT and SET CONSTRAINTS work them off with
//! [`run_deferred`](crate::modify::after::run_deferred).
//!
//! # Invariants
//! - DC1: a mark says where to look, not what is wrong: a row that has a foreign key, a key that a row had, a key of a
//!   unique index. Looking twice, or at something that a savepoint took back, is harmless, so nothing is done about
//!   marks when a savepoint is rolled back, and they are kept while there is one.
//! - DC2: a constraint trigger fires once for a row: what a savepoint takes back is known by its command.

use hashbrown::HashMap;
use ochre_base::{CommandId, Oid, RowId};
use ochre_catalog::{ConstraintDescriptor, TriggerDescriptor};
use ochre_types::Datum;

use crate::modify::triggers::Firing;

/// When constraints are checked, as SET CONSTRAINTS says.
#[derive(Debug, Clone, Default)]
pub struct ConstraintTiming {
    all: Option<bool>,
    single: HashMap<Oid, bool>,
}

impl ConstraintTiming {
    /// Whether a constraint waits for the end of the transaction.
    pub fn is_deferred(&self, constraint: &ConstraintDescriptor) -> bool {
        constraint.deferrable && self.defers(constraint.oid, constraint.initially_deferred)
    }

    /// Whether a constraint trigger waits for the end of the transaction.
    pub fn is_deferred_trigger(&self, trigger: &TriggerDescriptor) -> bool {
        trigger.deferrable && self.defers(trigger.constraint, trigger.initially_deferred)
    }

    fn defers(&self, constraint: Oid, initially: bool) -> bool {
        self.single.get(&constraint).copied().or(self.all).unwrap_or(initially)
    }

    /// SET CONSTRAINTS ALL.
    pub fn set_all(&mut self, deferred: bool) {
        self.single.clear();
        self.all = Some(deferred);
    }

    /// SET CONSTRAINTS of one.
    pub fn set(&mut self, constraint: Oid, deferred: bool) {
        self.single.insert(constraint, deferred);
    }
}

/// Marks of one constraint.
#[derive(Debug, Default)]
pub struct Marks {
    /// The table whose change left them.
    pub table: Oid,
    /// Rows to look up what they refer to.
    pub rows: Vec<RowId>,
    /// Keys that rows had, in the constraint's order, with whether an update (not a delete) took them away.
    pub keys: Vec<(bool, Vec<Datum>)>,
    /// Keys of a unique index, in its form.
    pub index_keys: Vec<Vec<u8>>,
}

/// What a transaction has still to check.
#[derive(Debug, Default)]
pub struct DeferredChecks {
    /// When constraints are checked.
    pub timing: ConstraintTiming,
    /// Marks by constraint and table.
    marks: Vec<(Oid, Marks)>,
    /// Constraint triggers, in the order of what they fire for.
    firings: Vec<DeferredFiring>,
}

/// A constraint trigger that waits.
#[derive(Debug)]
struct DeferredFiring {
    firing: Firing,
    /// The command that queued it.
    queued: CommandId,
    /// The command under which it has fired: a savepoint may take that back.
    fired: Option<CommandId>,
}

impl DeferredChecks {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.firings.iter().all(|waiting| waiting.fired.is_some())
    }

    /// Whether something waits that a change of a table left.
    pub fn concerns(&self, table: Oid) -> bool {
        let fires = |waiting: &DeferredFiring| waiting.fired.is_none() && waiting.firing.table.oid == table;
        self.marks.iter().any(|(_, marks)| marks.table == table) || self.firings.iter().any(fires)
    }

    /// Queues a constraint trigger.
    pub fn fire_later(&mut self, firing: Firing, command: CommandId) {
        self.firings.push(DeferredFiring { firing, queued: command, fired: None });
    }

    /// The next constraint trigger that a test selects, which fires now.
    pub fn next_firing(&mut self, due: impl Fn(Oid) -> bool, command: CommandId) -> Option<Firing> {
        let is_due =
            |waiting: &&mut DeferredFiring| waiting.fired.is_none() && due(waiting.firing.trigger.constraint);
        let next = self.firings.iter_mut().find(is_due)?;
        next.fired = Some(command);
        Some(next.firing.clone())
    }

    /// Takes back what was queued and fired from a command on.
    pub fn roll_back(&mut self, command: CommandId) {
        self.firings.retain(|waiting| waiting.queued < command);
        for waiting in &mut self.firings {
            waiting.fired = waiting.fired.filter(|fired| *fired < command);
        }
    }

    /// The marks of a constraint that changes of a table left.
    pub fn marks(&mut self, constraint: Oid, table: Oid) -> &mut Marks {
        let found = self.marks.iter().position(|(oid, marks)| *oid == constraint && marks.table == table);
        let at = found.unwrap_or_else(|| {
            self.marks.push((constraint, Marks { table, ..Marks::default() }));
            self.marks.len() - 1
        });
        &mut self.marks[at].1
    }

    /// Takes out what a test selects.
    pub fn take(&mut self, due: impl Fn(Oid) -> bool) -> Vec<(Oid, Marks)> {
        let (taken, left) = std::mem::take(&mut self.marks).into_iter().partition(|(oid, _)| due(*oid));
        self.marks = left;
        taken
    }

    /// Puts marks back that were looked at, because a savepoint may take back what satisfied them (DC1).
    pub fn put_back(&mut self, marks: Vec<(Oid, Marks)>) {
        for (oid, old) in marks {
            let known = self.marks(oid, old.table);
            known.rows.extend(old.rows);
            known.keys.extend(old.keys);
            known.index_keys.extend(old.index_keys);
        }
    }
}
