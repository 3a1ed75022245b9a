//! A statement that waits for a row without a thread: the session's side of [`ochre_txn::suspension`].
//!
//! # States
//! ```text
//! simple_query, execute ──Waiting──▶ poll_suspended … ready ──▶ resume ──▶ as simple_query, execute
//! ```

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use ochre_base::{Error, Result};
use ochre_sql::physical::PlannedStatement;
use ochre_txn::{KeptTurn, RowDemand, Snapshot, Suspension, Transaction};
use ochre_types::Datum;

use super::Session;
use super::extended::ExecuteOutcome;
use super::simple::Progress;
use crate::sink::Sink;

/// A suspended statement.
pub(crate) struct Suspended {
    wait: Suspension,
    resumption: Resumption,
    /// How the wait ended.
    ended: Option<Result<Option<KeptTurn>>>,
    /// What is to run again.
    pub(crate) statement: Option<SuspendedStatement>,
}

/// What a statement runs again under.
pub(crate) enum Resumption {
    /// The snapshot of its first run, so that it meets what it met.
    Snapshot(Snapshot),
    /// A new one. What a key says under READ COMMITTED to be the row is looked at in its newest version anyway, so an older
    /// snapshot would only keep versions alive, one for each of those who wait.
    Newest,
}

/// Which call goes on after the wait.
pub(crate) enum SuspendedStatement {
    /// A simple query with a kept plan and the values for it.
    Simple(Arc<PlannedStatement>, Vec<Datum>),
    /// An Execute of this portal for so many rows.
    Portal(Box<str>, u32),
}

/// What a statement that went on has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// Of [`Session::simple_query`].
    Simple(Progress),
    /// Of [`Session::execute`].
    Execute(ExecuteOutcome),
}

impl Suspended {
    pub(crate) fn new(transaction: &Transaction, demand: RowDemand, resumption: Resumption) -> Suspended {
        Suspended { wait: Suspension::new(transaction, demand), resumption, ended: None, statement: None }
    }
}

impl Session {
    /// Lets statements wait for rows without a thread: [`Session::simple_query`] and [`Session::execute`] may then
    /// answer that they wait. The caller polls [`Session::poll_suspended`] until it is ready and calls
    /// [`Session::resume`], before anything else is done with the session.
    pub fn allow_suspension(&mut self) {
        self.suspends = true;
    }

    /// Ready when [`Session::resume`] can be called. To be polled when its task is woken, and at
    /// [`Session::suspended_until`].
    pub fn poll_suspended(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(suspended) = &mut self.suspended else { return Poll::Ready(()) };
        while suspended.ended.is_none() {
            let turn = match suspended.wait.poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(turn)) => turn,
                Poll::Ready(Err(error)) => {
                    suspended.ended = Some(Err(error));
                    break;
                }
            };
            // Who stood in line longer has the row now: it is not run again only to meet them.
            let RowDemand { relation, row, strength, .. } = *suspended.wait.demand();
            let heap = self.state.instance.heaps().open(relation);
            match heap.glance(row, strength, suspended.wait.own()) {
                Ok(Some(obstacle)) => suspended.wait.wait_on(turn, obstacle),
                // What is wrong with the page the statement finds out.
                Ok(None) | Err(_) => suspended.ended = Some(Ok(turn)),
            }
        }
        Poll::Ready(())
    }

    /// When the wait has something to do though nobody wakes its task.
    pub fn suspended_until(&self) -> Option<Instant> {
        self.suspended.as_ref().map(|suspended| suspended.wait.until())
    }

    /// Goes on with the statement that waited.
    ///
    /// # Errors
    /// Those of the wait, and the statement's.
    pub fn resume(&mut self, sink: &mut dyn Sink) -> Result<Resumed> {
        let Some(Suspended { wait, resumption, ended, statement }) = self.suspended.take() else {
            return Err(Error::internal("no statement is suspended"));
        };
        drop(wait);
        let statement = statement.ok_or_else(|| Error::internal("nobody said what was suspended"))?;
        let turn = match ended {
            Some(Ok(turn)) => turn,
            Some(Err(error)) => return self.finish_call(Err(error), sink),
            None => return Err(Error::internal("a suspended statement is still to wait")),
        };
        self.txn().keep_turn(turn);
        self.resumed = Some(resumption);
        match statement {
            SuspendedStatement::Simple(plan, values) => {
                let result = self.run_cached(plan, values, sink);
                self.finish_simple(result, sink).map(Resumed::Simple)
            }
            SuspendedStatement::Portal(name, max_rows) => {
                self.execute_again(&name, max_rows, sink).map(Resumed::Execute)
            }
        }
    }

    /// Notes what is to run again after the wait that has begun.
    pub(crate) fn suspend_statement(&mut self, statement: SuspendedStatement) {
        let suspended = self.suspended.as_mut().expect("called when a statement was suspended");
        suspended.statement = Some(statement);
    }
}
