//! Statements that wait for a row without a thread.
//!
//! # Role
//! A statement that meets a row which another transaction has changed blocks its thread until that transaction ends. A
//! caller that serves many sessions with few threads may rather have it back: it allows a suspension, and the statement
//! then fails at its first obstacle with [`Transaction::take_suspension`] telling what it met. The caller awaits the
//! [`Suspension`] and runs the statement again, *under the snapshot of the first run*, so that it meets the row as it
//! would have, had it blocked.
//!
//! # States
//! ```text
//! asked for ──enter──▶ in line for the row ──turn──▶ waits for the holder ──end──▶ over: the turn goes to the transaction
//!                 └── holds a lock on the row itself ──▲
//! ```
//!
//! # Invariants
//! - P1: a statement is suspended only before it has changed or locked a row, so running it again changes nothing twice.
//! - P2: the waits are entered where blocking ones are, so deadlocks are found and `pg_locks` shows them alike.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use ochre_base::{CommandId, Error, Result, RowId, Xid};
use ochre_storage::RelationKey;

use crate::locks::{RowPlace, RowTurn};
use crate::manager::TransactionManager;
use crate::outcomes::Outcome;
use crate::row_locks::RowLockStrength;
use crate::transaction::Transaction;
use crate::wait::{Patience, Patient, WaitEvent, Waiter};

/// What a writer met on a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowObstacle {
    /// A version that a command of a running transaction wrote.
    Version(Xid, CommandId),
    /// A lock that a running transaction has.
    Lock(Xid),
}

/// A row that a statement wants, and what is in the way.
#[derive(Debug, Clone)]
pub struct RowDemand {
    pub relation: RelationKey,
    pub row: RowId,
    pub strength: RowLockStrength,
    pub obstacle: RowObstacle,
    /// `updating`, `deleting` or `locking`, for the context of errors.
    pub doing: &'static str,
}

/// The wait of a suspended statement. Poll it when woken, and at [`Suspension::until`]; dropped, it gives the wait up.
pub struct Suspension {
    manager: Arc<TransactionManager>,
    waiter: Waiter,
    own: Xid,
    demand: RowDemand,
    stage: Stage,
    patience: Patience,
}

enum Stage {
    Asked,
    InLine(RowPlace),
    /// From before.
    HasTurn(RowTurn),
    /// With the turn, unless the session had a lock on the row before.
    Waits(Option<RowTurn>),
}

impl Suspension {
    /// The wait of a transaction's statement.
    pub fn new(transaction: &Transaction, demand: RowDemand) -> Suspension {
        let waiter = transaction.waiter();
        Suspension {
            manager: Arc::clone(transaction.manager()),
            own: transaction.xid(),
            patience: Patience::new(&waiter),
            waiter,
            stage: match transaction.take_turn(demand.relation, demand.row) {
                Some(turn) => Stage::HasTurn(turn),
                None => Stage::Asked,
            },
            demand,
        }
    }

    /// What the statement wants.
    pub fn demand(&self) -> &RowDemand {
        &self.demand
    }

    /// Whose statement it is: the xid that it had when it was suspended.
    pub fn own(&self) -> Xid {
        self.own
    }

    /// Waits on, with the turn, for another that has come before the statement could run again.
    pub fn wait_on(&mut self, turn: Option<KeptTurn>, obstacle: RowObstacle) {
        self.leave();
        self.demand.obstacle = obstacle;
        self.stage = turn.map_or(Stage::Asked, |kept| Stage::HasTurn(kept.turn));
    }

    /// When to poll though nobody woke the task.
    pub fn until(&self) -> Instant {
        self.patience.until()
    }

    /// Ready when the statement may run again; it keeps the turn for the row, if there was a line.
    ///
    /// # Errors
    /// 40P01, 55P03, and what the session's interrupt was raised with.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<KeptTurn>>> {
        // Before anything is looked at, so that no wake-up is missed.
        self.waiter.interrupt.set_task(context.waker());
        match self.advance() {
            Ok(None) => Poll::Pending,
            Ok(Some(turn)) => {
                let RowDemand { relation, row, .. } = self.demand;
                Poll::Ready(Ok(turn.map(|turn| KeptTurn { relation, row, turn })))
            }
            Err(error) => Poll::Ready(Err(self.explain(error))),
        }
    }

    /// `None` while it is to wait on.
    fn advance(&mut self) -> Result<Option<Option<RowTurn>>> {
        self.waiter.interrupt.check()?;
        let holder = self.holder();
        if let Stage::HasTurn(_) = self.stage
            && let Stage::HasTurn(turn) = std::mem::replace(&mut self.stage, Stage::Asked)
        {
            self.wait_for(holder, Some(turn));
        }
        if let Stage::Asked = self.stage {
            let RowDemand { relation, row, strength, .. } = self.demand;
            if self.manager.core.row_locks.is_held_by(relation, row, self.own) {
                self.wait_for(holder, None);
            } else {
                let place = self.manager.core.locks.enter_row_line(&self.waiter, relation, row, strength)?;
                self.waiter.interrupt.note_wait(Some(WaitEvent::Tuple));
                self.stage = Stage::InLine(place);
            }
        }
        if let Stage::InLine(place) = &mut self.stage
            && let Some(turn) = place.take_turn()
        {
            self.wait_for(holder, Some(turn));
        }
        if let Stage::Waits(turn) = &mut self.stage
            && !stands(&self.manager, &self.demand)
        {
            return Ok(Some(turn.take()));
        }
        if self.patience.look_at_clock()? == Patient::LookForDeadlock {
            match &mut self.stage {
                Stage::Asked | Stage::HasTurn(_) => {}
                Stage::InLine(place) => place.look_for_deadlock(&self.waiter)?,
                Stage::Waits(_) => self.manager.core.locks.look_for_deadlock_of(&self.waiter, holder)?,
            }
        }
        Ok(None)
    }

    fn holder(&self) -> Xid {
        match self.demand.obstacle {
            RowObstacle::Version(xid, _) | RowObstacle::Lock(xid) => xid,
        }
    }

    fn wait_for(&mut self, holder: Xid, turn: Option<RowTurn>) {
        self.stage = Stage::Waits(turn);
        self.manager.core.locks.begin_waiting(&self.waiter.interrupt, holder);
        self.waiter.interrupt.note_wait(Some(WaitEvent::Transaction));
    }

    fn explain(&self, error: Error) -> Error {
        explain(&self.manager, &self.demand, error)
    }
}

impl Suspension {
    fn leave(&self) {
        if let Stage::Waits(_) = self.stage {
            self.manager.core.locks.stop_waiting(&self.waiter.interrupt, self.holder());
        }
        self.waiter.interrupt.note_wait(None);
    }
}

impl Drop for Suspension {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A turn for a row, kept for the statement that runs again.
pub struct KeptTurn {
    pub(crate) relation: RelationKey,
    pub(crate) row: RowId,
    pub(crate) turn: RowTurn,
}

/// Whether an obstacle is still there.
fn stands(manager: &TransactionManager, demand: &RowDemand) -> bool {
    let core = &manager.core;
    match demand.obstacle {
        RowObstacle::Version(xid, cid) => match core.outcomes.outcome(xid) {
            Outcome::Running { has_dead } => !(has_dead && core.outcomes.is_dead(xid, cid)),
            _ => false,
        },
        RowObstacle::Lock(xid) => core.row_locks.is_held(demand.relation, demand.row, demand.strength, xid),
    }
}

/// Says in the context of an error which row was waited for.
fn explain(manager: &TransactionManager, demand: &RowDemand, error: Error) -> Error {
    match manager.locks().relation_name(demand.relation) {
        Some((_, name)) => {
            error.context(format!("while {} tuple {} in relation \"{name}\"", demand.doing, demand.row))
        }
        None => error,
    }
}

impl TransactionManager {
    /// Blocks until what is in the way of a row has gone, standing in line for the row first unless `turn` is one.
    ///
    /// # Errors
    /// As [`Suspension::poll`].
    pub fn wait_for_row(
        &self,
        transaction: &Transaction,
        demand: &RowDemand,
        turn: &mut Option<RowTurn>,
    ) -> Result<()> {
        self.wait_for_row_here(transaction, demand, turn).map_err(|error| explain(self, demand, error))
    }

    fn wait_for_row_here(
        &self,
        transaction: &Transaction,
        demand: &RowDemand,
        turn: &mut Option<RowTurn>,
    ) -> Result<()> {
        let RowDemand { relation, row, strength, obstacle, .. } = *demand;
        if turn.is_none() {
            *turn = self.queue_for_row(transaction, relation, row, strength)?;
        }
        match obstacle {
            RowObstacle::Version(xid, cid) => self.wait_for_version(transaction, xid, cid),
            RowObstacle::Lock(xid) => self.wait_for_row_lock(transaction, xid, relation, row, strength),
        }
    }
}

/// What a statement fails with that is suspended. Callers that allowed it look for the suspension; nobody else sees it.
#[cold]
pub fn suspended() -> Error {
    Error::internal("a statement was suspended where nobody allowed it")
}
