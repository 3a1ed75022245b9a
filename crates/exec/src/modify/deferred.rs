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

use hashbrown::HashMap;
use ochre_base::{Oid, RowId};
use ochre_catalog::ConstraintDescriptor;
use ochre_types::Datum;

/// When constraints are checked, as SET CONSTRAINTS says.
#[derive(Debug, Clone, Default)]
pub struct ConstraintTiming {
    all: Option<bool>,
    single: HashMap<Oid, bool>,
}

impl ConstraintTiming {
    /// Whether a constraint waits for the end of the transaction.
    pub fn is_deferred(&self, constraint: &ConstraintDescriptor) -> bool {
        constraint.deferrable
            && self.single.get(&constraint.oid).copied().or(self.all).unwrap_or(constraint.initially_deferred)
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
}

impl DeferredChecks {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Whether something waits that a change of a table left.
    pub fn concerns(&self, table: Oid) -> bool {
        self.marks.iter().any(|(_, marks)| marks.table == table)
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
