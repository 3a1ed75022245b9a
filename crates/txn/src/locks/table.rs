//! The shared lock table: who holds what, and who stands in line.
//!
//! # Invariants
//! - Q1: a line is served from the front: nobody is granted a mode that conflicts with what someone ahead waits for,
//!   except a session that already holds something the one ahead must wait for anyway (it would wait for itself).
//! - Q2: whoever takes a holder or a waiter away serves the line before the mutex is released.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::mode::{ModeSet, RelationLockMode};
use super::session::LockSession;
use super::tag::LockTag;

pub(super) type Partition = HashMap<LockTag, LockState>;

#[derive(Default)]
pub(super) struct LockState {
    pub(super) holders: SmallVec<[Holder; 2]>,
    pub(super) line: VecDeque<InLine>,
}

pub(super) struct Holder {
    pub(super) session: Arc<LockSession>,
    pub(super) modes: ModeSet,
}

/// Why a mode is not granted at once.
pub(super) enum Refusal {
    /// Others are before the session, which has to wait at this place in line.
    Wait { place: usize },
    /// One who waits must wait for the session, and the session for it.
    Deadlock { other: Arc<LockSession>, waits_for: RelationLockMode },
}

pub(super) struct InLine {
    pub(super) session: Arc<LockSession>,
    pub(super) mode: RelationLockMode,
    pub(super) granted: Arc<AtomicBool>,
    pub(super) since: Instant,
}

impl LockState {
    pub(super) fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.line.is_empty()
    }

    /// What others than this session hold.
    fn held_by_others(&self, session: &LockSession) -> ModeSet {
        let mut modes = ModeSet::EMPTY;
        for holder in self.holders.iter().filter(|holder| !std::ptr::eq(&*holder.session, session)) {
            modes.add_all(holder.modes);
        }
        modes
    }

    fn held_by(&self, session: &LockSession) -> ModeSet {
        let own = self.holders.iter().find(|holder| std::ptr::eq(&*holder.session, session));
        own.map_or(ModeSet::EMPTY, |holder| holder.modes)
    }

    pub(super) fn add_holder(&mut self, session: &Arc<LockSession>, mode: RelationLockMode) {
        match self.holders.iter_mut().find(|holder| Arc::ptr_eq(&holder.session, session)) {
            Some(holder) => holder.modes.add(mode),
            None => {
                let mut modes = ModeSet::EMPTY;
                modes.add(mode);
                self.holders.push(Holder { session: Arc::clone(session), modes });
            }
        }
    }

    pub(super) fn remove_holder(&mut self, session: &LockSession, mode: RelationLockMode) {
        let found = self.holders.iter().position(|holder| std::ptr::eq(&*holder.session, session));
        let Some(index) = found else { return };
        self.holders[index].modes.remove(mode);
        if self.holders[index].modes.is_empty() {
            self.holders.swap_remove(index);
        }
    }

    /// Grants a mode now, or says why not (Q1).
    pub(super) fn grant_or_place(
        &mut self,
        session: &Arc<LockSession>,
        mode: RelationLockMode,
    ) -> Result<(), Refusal> {
        let own = self.held_by(session);
        let conflicting = mode.conflicting();
        let mut place = self.line.len();
        let mut ahead = ModeSet::EMPTY;
        for (index, waiter) in self.line.iter().enumerate() {
            if waiter.mode.conflicting().intersects(own) {
                if conflicting.intersects(self.held_by(&waiter.session)) {
                    return Err(Refusal::Deadlock {
                        other: Arc::clone(&waiter.session),
                        waits_for: waiter.mode,
                    });
                }
                place = index;
                break;
            }
            ahead.add(waiter.mode);
        }
        if conflicting.intersects(self.held_by_others(session)) || conflicting.intersects(ahead) {
            return Err(Refusal::Wait { place });
        }
        self.add_holder(session, mode);
        Ok(())
    }

    /// Grants what can be granted now, from the front of the line (Q1).
    pub(super) fn serve(&mut self) {
        let mut ahead = ModeSet::EMPTY;
        let mut index = 0;
        while index < self.line.len() {
            let (mode, session) = (self.line[index].mode, Arc::clone(&self.line[index].session));
            let conflicting = mode.conflicting();
            if conflicting.intersects(self.held_by_others(&session)) || conflicting.intersects(ahead) {
                ahead.add(mode);
                index += 1;
                continue;
            }
            self.add_holder(&session, mode);
            let served = self.line.remove(index).expect("the index is below the length");
            served.granted.store(true, Ordering::Release);
            served.session.interrupt().wake();
        }
    }

    /// Leaves the line; false when the lock was granted before.
    pub(super) fn leave(&mut self, granted: &Arc<AtomicBool>) -> bool {
        match self.line.iter().position(|waiter| Arc::ptr_eq(&waiter.granted, granted)) {
            Some(index) => {
                self.line.remove(index);
                true
            }
            None => false,
        }
    }
}
