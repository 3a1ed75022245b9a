//! What operators are called with: the statement's surroundings, its shared run state, and the frame they run in.
//!
//! # Role
//! [`StatementContext`] is made by the engine for each call into an [`crate::Execution`] and borrows everything, so
//! that a portal can rest between two messages without holding on to the session. [`ExecContext`] adds what belongs to
//! the execution itself. Operators keep neither.
//!
//! # Invariants
//! - F1: a frame's slots are written only by the nested loops of that frame, while none of its expressions runs; a
//!   CTE's query runs in a copy of its frame, so evaluating an expression never writes the slots it reads.

use std::cell::RefCell;
use std::sync::Arc;

use ochre_access::heap::{Heap, WriteOutcome, serialization_failure};
use ochre_access::scan_counts::ScanCounts;
use ochre_base::{CommandId, Result, RowId};
use ochre_expr::{EvalContext, Expr, SessionContext, SubPlanRunner};
use ochre_txn::{Snapshot, Transaction};
use ochre_types::{Batch, Column, ColumnBuilder, Datum};

use crate::parallel::Workers;
use crate::relation::RelationSource;
use crate::run_state::RunState;
use crate::temp::TempFiles;

/// Everything about a statement that the engine owns.
#[derive(Clone, Copy)]
pub struct StatementContext<'a> {
    /// Values of `$1`, `$2` …, of the types that the plan says.
    pub params: &'a [Datum],
    /// Settings, clock, sequences, catalog functions, and the check for cancellation.
    pub session: &'a dyn SessionContext,
    /// Opens the tables and indexes that the plan names.
    pub relations: &'a dyn RelationSource,
    /// The transaction that the statement is part of. Changes are marked with its current command, which the snapshot
    /// does not see.
    pub txn: &'a Transaction,
    /// What the statement sees.
    pub snapshot: &'a Snapshot,
    /// Where operators spill.
    pub temp: &'a Arc<TempFiles>,
    /// Bytes of memory that one operator may use before it spills.
    pub work_mem_bytes: usize,
    /// The same for hash tables.
    pub hash_mem_bytes: usize,
    /// Rows in a batch at most: 2,048, and less in tests.
    pub batch_rows: usize,
    /// Threads that may help; without it the calling thread does everything.
    pub workers: Option<Workers<'a>>,
}

impl StatementContext<'_> {
    /// A scan begins.
    #[inline]
    pub fn count_scan(&self, counts: &ScanCounts) {
        if self.txn.is_counting() {
            counts.begun();
        }
    }

    /// A scan has read rows, or entries.
    #[inline]
    pub fn count_read(&self, counts: &ScanCounts, rows: usize) {
        if self.txn.is_counting() {
            counts.read(rows);
        }
    }
}

/// The values that `Expr::Correlated` reads, of one run of a plan or sub-plan.
#[derive(Debug, Default)]
pub struct Frame {
    pub(crate) slots: RefCell<Vec<Datum>>,
}

impl Frame {
    /// A frame of so many slots, all NULL.
    pub fn new(slots: usize) -> Frame {
        Frame { slots: RefCell::new(vec![Datum::Null; slots]) }
    }

    /// A frame with the same values.
    pub fn copy(&self) -> Frame {
        Frame { slots: RefCell::new(self.slots.borrow().clone()) }
    }

    /// Writes one slot.
    pub fn set(&self, slot: usize, value: Datum) {
        self.slots.borrow_mut()[slot] = value;
    }

    /// Writes the first slots.
    pub fn set_all(&self, values: &[Datum]) {
        self.slots.borrow_mut()[..values.len()].clone_from_slice(values);
    }

    /// The values of some slots; NULL for one that another frame has.
    pub fn values(&self, slots: &[usize]) -> Vec<Datum> {
        let all = self.slots.borrow();
        slots.iter().map(|slot| all.get(*slot).cloned().unwrap_or(Datum::Null)).collect()
    }
}

/// What operators are called with.
#[derive(Clone, Copy)]
pub struct ExecContext<'a> {
    /// The statement's surroundings.
    pub statement: &'a StatementContext<'a>,
    /// Sub-plans, CTEs and work tables of the execution.
    pub(crate) run: &'a RunState,
    /// The frame that the operator belongs to.
    pub(crate) frame: &'a Frame,
}

impl<'a> ExecContext<'a> {
    pub(crate) fn new(statement: &'a StatementContext<'a>, run: &'a RunState, frame: &'a Frame) -> Self {
        ExecContext { statement, run, frame }
    }

    /// The same execution seen from another frame.
    pub(crate) fn in_frame<'b>(&'b self, frame: &'b Frame) -> ExecContext<'b> {
        ExecContext { statement: self.statement, run: self.run, frame }
    }

    /// Rows in a batch at most.
    pub fn batch_rows(&self) -> usize {
        self.statement.batch_rows
    }

    /// Bytes of memory that one operator may use.
    pub fn work_mem_bytes(&self) -> usize {
        self.statement.work_mem_bytes
    }

    /// Bytes of memory that one hash table may use.
    pub fn hash_mem_bytes(&self) -> usize {
        self.statement.hash_mem_bytes
    }

    /// Where operators spill.
    pub fn temp(&self) -> &'a Arc<TempFiles> {
        self.statement.temp
    }

    /// Fails when the statement has been cancelled. Operators call it at least every few thousand rows.
    #[inline]
    pub fn check_interrupts(&self) -> Result<()> {
        self.statement.session.check_interrupts()
    }

    /// Notes that the statement has written a row under the current command.
    #[inline]
    pub(crate) fn note_write(&self) {
        let current = self.statement.txn.current_cid();
        let mut commands = self.run.commands.borrow_mut();
        if commands.last() != Some(&current) {
            commands.push(current);
        }
    }

    /// Whether a row that this transaction has written since the snapshot was written by the statement itself, and not by
    /// something that it called.
    pub(crate) fn wrote(&self, command: Option<CommandId>) -> bool {
        let Some(command) = command else { return true };
        let first = self.statement.snapshot.cid();
        command == first || self.run.commands.borrow().binary_search(&command).is_ok()
    }

    /// Fails when an action of a foreign key is about to change a row that the transaction's snapshot does not see as it is.
    ///
    /// # Errors
    /// 40001.
    pub(crate) fn cross_check(&self, heap: &Heap, rid: RowId) -> Result<()> {
        let crosscheck = self.run.crosscheck.borrow();
        let Some(crosscheck) = crosscheck.as_ref() else { return Ok(()) };
        let sees = |version: ochre_access::heap::VersionRef<'_>| crosscheck.sees(version.xid, version.cid);
        match heap.fetch(self.statement.snapshot, rid, sees)? {
            Some(false) => Err(serialization_failure(WriteOutcome::Changed)),
            _ => Ok(()),
        }
    }

    /// Runs `f` with what expressions need.
    pub fn with_eval<R>(&self, f: impl FnOnce(&EvalContext<'_>) -> R) -> R {
        let slots = self.frame.slots.borrow();
        let eval = EvalContext {
            params: self.statement.params,
            correlated: &slots,
            session: self.statement.session,
            subplans: Some(self as &dyn SubPlanRunner),
        };
        f(&eval)
    }

    /// An expression over a batch; values outside the batch's selection are unspecified.
    pub fn eval(&self, expr: &Expr, batch: &Batch) -> Result<Arc<Column>> {
        self.with_eval(|eval| ochre_expr::eval(expr, batch, batch.selection.as_ref(), eval))
    }

    /// Several expressions over a batch.
    pub fn eval_all<'e>(
        &self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        batch: &Batch,
    ) -> Result<Vec<Arc<Column>>> {
        exprs.into_iter().map(|expr| self.eval(expr, batch)).collect()
    }

    /// As [`ExecContext::eval_all`], all expressions for one row after the other, as [`run_in_turn`] asks for.
    pub fn eval_in_turn(&self, exprs: &[Expr], batch: &Batch) -> Result<Vec<Arc<Column>>> {
        let new = |expr: &Expr| ColumnBuilder::new(expr.ty().physical, batch.rows);
        let mut columns: Vec<ColumnBuilder> = exprs.iter().map(new).collect();
        let mut active = batch.active().peekable();
        for row in 0..batch.rows {
            if active.next_if_eq(&row).is_none() {
                columns.iter_mut().for_each(ColumnBuilder::push_null);
                continue;
            }
            let of_row = batch.columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect();
            let of_row = Batch::new(of_row, 1);
            for (expr, column) in exprs.iter().zip(&mut columns) {
                column.push_from(&*self.eval(expr, &of_row)?, 0);
            }
        }
        Ok(columns.into_iter().map(|column| Arc::new(column.finish())).collect())
    }

    /// An expression that reads no columns.
    pub fn eval_value(&self, expr: &Expr) -> Result<Datum> {
        match expr {
            Expr::Constant { value, .. } => Ok(value.clone()),
            Expr::Parameter { index, .. } => Ok(self.statement.params[*index].clone()),
            expr => self.with_eval(|eval| ochre_expr::eval_const(expr, eval)),
        }
    }

    /// The rows of a batch for which a predicate is true; `None` when there are none.
    pub fn filter(&self, predicate: &Expr, batch: Batch) -> Result<Option<Batch>> {
        let selection = self.with_eval(|eval| {
            ochre_expr::eval_predicate(predicate, &batch, batch.selection.as_ref(), eval)
        })?;
        Ok(match selection.len() {
            0 => None,
            len if len == batch.rows => Some(Batch { selection: None, ..batch }),
            _ => Some(Batch { selection: Some(selection), ..batch }),
        })
    }

    /// [`ExecContext::filter`] with an optional predicate.
    pub fn filter_if(&self, predicate: Option<&Expr>, batch: Batch) -> Result<Option<Batch>> {
        match predicate {
            Some(predicate) => self.filter(predicate, batch),
            None if batch.is_empty() => Ok(None),
            None => Ok(Some(batch)),
        }
    }
}

/// Whether it can be seen in which order expressions over several rows are computed: they make several calls with effects,
/// such as of `nextval`.
pub(crate) fn run_in_turn<'e>(exprs: impl IntoIterator<Item = &'e Expr>) -> bool {
    let mut calls = 0;
    for expr in exprs {
        let _ = expr.walk(&mut |node| {
            calls += usize::from(matches!(node, Expr::Call { function, .. } if function.has_effects()));
            std::ops::ControlFlow::<()>::Continue(())
        });
    }
    calls > 1
}
