//! Waiting for everybody who holds a lock at one moment, without standing in its line.
//!
//! # Role
//! CREATE INDEX CONCURRENTLY and its kin wait for the transactions that may not know of a change of the catalog yet. Who comes
//! later knows it and is neither waited for nor kept waiting.
//!
//! # Invariants
//! - HW1: who waits is in the list of such waits, one holder at a time, so that the search for deadlocks goes through it.
//!
//! # Differences
//! PostgreSQL waits for virtual transactions and is woken by their end. Here the wait looks for that every few
//! milliseconds: ends of transactions stay as cheap as they are.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ochre_base::Result;

use super::mode::RelationLockMode;
use super::session::LockSession;
use super::table::LockState;
use super::tag::LockTag;
use super::{LockListing, LockManager};
use crate::wait::{Interrupt, Patience, Patient, WaitEvent, Waiter};

/// How often it is looked whether a transaction has ended.
const POLL: Duration = Duration::from_millis(5);

/// A session that waits for the end of another one's transaction.
pub(super) struct HolderWait {
    pub(super) interrupt: Arc<Interrupt>,
    pub(super) holder: Arc<LockSession>,
    /// How many transactions of the holder had ended before the one that is awaited.
    ended: u64,
    tag: LockTag,
    mode: RelationLockMode,
    since: Instant,
}

impl HolderWait {
    /// Whether what is waited for has happened, though who waits may not have seen it yet.
    pub(super) fn is_over(&self, state: Option<&LockState>) -> bool {
        self.holder.ended.load(Ordering::Acquire) != self.ended
            || !state.is_some_and(|state| holds_against(state, &self.holder, self.mode))
    }

    pub(super) const fn tag(&self) -> LockTag {
        self.tag
    }

    pub(super) fn listing(&self) -> LockListing {
        LockListing {
            tag: LockTag::VirtualTransaction { process_id: self.holder.process_id() },
            mode: RelationLockMode::Share,
            process_id: self.interrupt.process_id(),
            granted: false,
            fast_path: false,
            waited: Some(self.since.elapsed()),
        }
    }
}

fn leave(waits: &mut Vec<HolderWait>, interrupt: &Arc<Interrupt>) {
    waits.retain(|wait| !Arc::ptr_eq(&wait.interrupt, interrupt));
}

/// Takes a wait out of the list when it is over.
struct Entered<'a> {
    locks: &'a LockManager,
    interrupt: &'a Arc<Interrupt>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        leave(&mut self.locks.holder_waits.lock(), self.interrupt);
    }
}

impl LockManager {
    /// Waits until every transaction has ended that holds a lock at this moment which excludes a mode; those that come
    /// later are not waited for. `own` is not, either.
    ///
    /// # Errors
    /// 40P01, 55P03 after `lock_timeout`, and what the waiter's interrupt was raised with.
    pub fn wait_for_holders(
        &self,
        own: &Arc<LockSession>,
        waiter: &Waiter,
        tag: LockTag,
        mode: RelationLockMode,
    ) -> Result<()> {
        for holder in self.holders_against(own, tag, mode) {
            self.wait_for_holder(waiter, holder, tag, mode)?;
        }
        // One of them may have been prepared meanwhile: it runs on under another number.
        for holder in self.holders_against(own, tag, mode) {
            if holder.0.process_id() < 0 {
                self.wait_for_holder(waiter, holder, tag, mode)?;
            }
        }
        Ok(())
    }

    fn wait_for_holder(
        &self,
        waiter: &Waiter,
        (holder, ended): (Arc<LockSession>, u64),
        tag: LockTag,
        mode: RelationLockMode,
    ) -> Result<()> {
        let is_over = || {
            holder.ended.load(Ordering::Acquire) != ended
                || !self
                    .partition(tag)
                    .lock()
                    .get(&tag)
                    .is_some_and(|state| holds_against(state, &holder, mode))
        };
        if is_over() {
            return Ok(());
        }
        let interrupt = &waiter.interrupt;
        let wait = HolderWait {
            interrupt: Arc::clone(interrupt),
            holder: Arc::clone(&holder),
            ended,
            tag,
            mode,
            since: Instant::now(),
        };
        self.holder_waits.lock().push(wait); // HW1
        let _entered = Entered { locks: self, interrupt };
        let _note = interrupt.waits_for(WaitEvent::VirtualTransaction);
        let mut patience = Patience::new(waiter);
        while !is_over() {
            interrupt.prepare_wait();
            interrupt.check()?;
            interrupt.wait_until(&self.waiting, Some(Instant::now() + POLL));
            interrupt.check()?;
            if is_over() {
                break;
            }
            if patience.look_at_clock()? == Patient::LookForDeadlock {
                let mut all = self.standstill();
                self.look_for_deadlock(&mut all, waiter)
                    .inspect_err(|_| leave(&mut all.holder_waits, interrupt))?;
            }
        }
        Ok(())
    }

    /// Who holds something that excludes a mode, and how many transactions of that session had ended by then.
    fn holders_against(
        &self,
        own: &Arc<LockSession>,
        tag: LockTag,
        mode: RelationLockMode,
    ) -> Vec<(Arc<LockSession>, u64)> {
        self.collect_fast_locks(tag);
        let sessions: Vec<Arc<LockSession>> = {
            let partition = self.partition(tag).lock();
            let holders = partition.get(&tag).map(|state| state.holders.as_slice()).unwrap_or_default();
            let against = holders.iter().filter(|holder| mode.conflicting().intersects(holder.modes));
            against.map(|holder| Arc::clone(&holder.session)).collect()
        };
        let others = sessions.into_iter().filter(|session| !Arc::ptr_eq(session, own));
        others
            .map(|session| {
                let ended = session.ended.load(Ordering::Acquire);
                (session, ended)
            })
            .collect()
    }

    /// Keeps a lock that the session's transaction holds beyond its end, until [`LockManager::give_back`]. Not for weak
    /// locks on relations.
    pub fn keep(&self, session: &LockSession, tag: LockTag, mode: RelationLockMode) {
        let mut local = session.local.lock();
        let held =
            local.held.get_mut(&(tag, mode)).expect("the transaction holds the lock in the shared table");
        held.session += 1;
    }
}

fn holds_against(state: &LockState, session: &Arc<LockSession>, mode: RelationLockMode) -> bool {
    state
        .holders
        .iter()
        .any(|holder| Arc::ptr_eq(&holder.session, session) && mode.conflicting().intersects(holder.modes))
}
