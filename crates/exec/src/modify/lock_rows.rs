//! Lock rows: FOR UPDATE and its kin.
//!
//! Each row of the input is locked in each of the relations; one that has changed meanwhile is read again and judged
//! again, one that is gone (or no longer fits) is left out.

use std::sync::Arc;

use ochre_access::heap::{LockOutcome, RowWait, WriteOutcome};
use ochre_base::{Error, Oid, Result, RowId, SqlState};
use ochre_sql::physical::{LockRowsPlan, RowLockStrength as PlanStrength, RowLockWait, RowRecheck};
use ochre_txn::RowLockStrength;
use ochre_types::{Batch, Column};

use crate::modify::recheck::Recheck;
use crate::modify::update::join_batches;
use crate::relation::{RelationSource, TableAccess};
use crate::{BoxOperator, ExecContext, Operator};

/// Locks the rows that its input's row ids name.
pub struct LockRows {
    input: BoxOperator,
    /// Rows of the input that were not wanted yet, and the position of the next.
    rest: Option<(Batch, usize)>,
    relations: Vec<Marked>,
    /// A row that nobody asks for must not be locked: what is above may stop after any row.
    one_by_one: bool,
}

struct Marked {
    row_id: usize,
    strength: RowLockStrength,
    wait: RowLockWait,
    /// Position of the row's `tableoid`, when it decides which of the relations it is of.
    table_oid: Option<usize>,
    relations: Vec<Relation>,
}

/// A relation whose rows are locked.
struct Relation {
    table: Arc<TableAccess>,
    recheck: Recheck,
}

impl LockRows {
    /// Locks the rows of `input`.
    ///
    /// # Errors
    /// What opening relations fails with.
    pub fn new(
        plan: &LockRowsPlan,
        input: BoxOperator,
        relations: &dyn RelationSource,
        one_by_one: bool,
    ) -> Result<LockRows> {
        let mut marked = Vec::with_capacity(plan.relations.len());
        for relation in &plan.relations {
            let open = |oid: Oid, recheck: &RowRecheck| {
                let table = relations.table_by_oid(oid)?;
                Ok::<_, Error>(Relation { recheck: Recheck::new(&table.codec, recheck), table })
            };
            marked.push(Marked {
                relations: match &relation.set {
                    None => vec![open(relation.table, &relation.recheck)?],
                    Some(set) => {
                        let members = set.members.iter().map(|(oid, recheck)| open(*oid, recheck));
                        members.collect::<Result<_>>()?
                    }
                },
                table_oid: relation.set.as_ref().map(|set| set.table_oid),
                row_id: relation.row_id,
                strength: match relation.strength {
                    PlanStrength::KeyShare => RowLockStrength::KeyShare,
                    PlanStrength::Share => RowLockStrength::Share,
                    PlanStrength::NoKeyUpdate => RowLockStrength::NoKeyUpdate,
                    PlanStrength::Update => RowLockStrength::Update,
                },
                wait: relation.wait,
            });
        }
        Ok(LockRows { input, rest: None, relations: marked, one_by_one })
    }

    /// Locks one row everywhere; the row as it is now, unless it is left out.
    fn lock(&mut self, ctx: &ExecContext<'_>, row: Batch) -> Result<Option<Batch>> {
        let mut row = row;
        for relation in &mut self.relations {
            let Some(id) = row.columns[relation.row_id].datum(0).as_i64() else { continue };
            match relation.lock(ctx, row, RowId::from_u64(id as u64))? {
                Some(locked) => row = locked,
                None => return Ok(None),
            }
        }
        Ok(Some(row))
    }
}

impl Marked {
    /// The number of the relation that a row is of.
    fn relation_of(&self, row: &Batch) -> Result<usize> {
        let Some(column) = self.table_oid else { return Ok(0) };
        let oid = row.columns[column].datum(0).as_i64().unwrap_or(0);
        let is_it = |relation: &Relation| i64::from(relation.table.descriptor.oid.0) == oid;
        self.relations.iter().position(is_it).ok_or_else(|| Error::internal("a row of an unknown relation"))
    }

    fn lock(&mut self, ctx: &ExecContext<'_>, row: Batch, rid: RowId) -> Result<Option<Batch>> {
        let txn = ctx.statement.txn;
        let number = self.relation_of(&row)?;
        let heap = Arc::clone(self.relations[number].table.heap()?);
        let mut wait = RowWait::default();
        let block = self.wait == RowLockWait::Block;
        let mut outcome = heap.lock_row(txn, ctx.statement.snapshot, rid, self.strength, block, &mut wait)?;
        let mut row = row;
        loop {
            let changed = match outcome {
                LockOutcome::Locked => return Ok(Some(row)),
                // What the transaction has changed since the snapshot is not there for it any more as it was.
                LockOutcome::SelfModified => return Ok(None),
                LockOutcome::WouldBlock if self.wait == RowLockWait::Skip => return Ok(None),
                LockOutcome::WouldBlock => return Err(self.not_available(number)),
                LockOutcome::Changed => WriteOutcome::Changed,
                LockOutcome::Deleted => WriteOutcome::Deleted,
                LockOutcome::Moved => WriteOutcome::Moved,
            };
            ctx.check_interrupts()?;
            let recheck = &mut self.relations[number].recheck;
            let current = recheck.newest(ctx, &heap, &row, 0, rid, changed)?;
            let Some(current) = current else { return Ok(None) };
            row = current.source;
            outcome = heap.lock_row(txn, &current.snapshot, rid, self.strength, block, &mut wait)?;
        }
    }

    #[cold]
    fn not_available(&self, number: usize) -> Error {
        let name = &self.relations[number].table.descriptor.name;
        Error::new(
            SqlState::LOCK_NOT_AVAILABLE,
            format!("could not obtain lock on row in relation \"{name}\""),
        )
    }
}

impl Operator for LockRows {
    /// No more rows than are wanted are locked at a time: a cursor locks what it fetches.
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        loop {
            let (batch, start) = match self.rest.take() {
                Some(rest) => rest,
                None => match self.input.next(ctx)? {
                    Some(batch) => (batch, 0),
                    None => return Ok(None),
                },
            };
            let wanted = if self.one_by_one { 1 } else { ctx.run.wanted_rows.get() };
            let mut rows = Vec::new();
            for position in batch.active() {
                if position < start {
                    continue;
                }
                if rows.len() >= wanted {
                    self.rest = Some((batch.clone(), position));
                    break;
                }
                ctx.check_interrupts()?;
                let columns: Vec<Arc<Column>> =
                    batch.columns.iter().map(|column| Arc::new(column.slice(position, 1))).collect();
                rows.extend(self.lock(ctx, Batch::new(columns, 1))?);
            }
            if !rows.is_empty() {
                return Ok(Some(join_batches(rows)));
            }
        }
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.rest = None;
        self.input.rescan(ctx)
    }
}
