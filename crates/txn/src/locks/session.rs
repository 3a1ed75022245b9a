//! What one session holds.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::mode::{ModeSet, RelationLockMode};
use super::tag::LockTag;
use crate::wait::Interrupt;

/// Relations that a session can lock weakly without the shared table.
const FAST_SLOTS: usize = 16;

/// One session's locks. The session keeps it, so that taking a lock needs no search for the session.
pub struct LockSession {
    process_id: i32,
    /// Names the session, also where it waits for a transaction's end, and tells its transaction.
    interrupt: Arc<Interrupt>,
    pub(super) local: Mutex<Local>,
    /// How many transactions of the session have ended: tells one from the next.
    pub(super) ended: AtomicU64,
}

/// A position in a session's list of locks: what ROLLBACK TO goes back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LockMark(pub(super) usize);

#[derive(Default)]
pub(super) struct Local {
    /// Weak locks that only this session knows of.
    pub(super) fast: [FastSlot; FAST_SLOTS],
    /// Locks in the shared table.
    pub(super) held: HashMap<(LockTag, RelationLockMode), Held>,
    /// Locks of the transaction, fast or not, in the order in which they were taken.
    pub(super) order: Vec<(LockTag, RelationLockMode)>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct FastSlot {
    pub(super) tag: Option<LockTag>,
    pub(super) modes: ModeSet,
}

/// On whose account a lock is held.
#[derive(Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) transaction: bool,
    /// How many times for the session (advisory locks).
    pub(super) session: u32,
}

impl LockSession {
    pub(super) fn new(process_id: i32, interrupt: Arc<Interrupt>) -> LockSession {
        LockSession { process_id, interrupt, local: Mutex::default(), ended: AtomicU64::new(0) }
    }

    /// The number that clients know the session by.
    pub fn process_id(&self) -> i32 {
        self.process_id
    }

    /// How the session is woken and watched.
    pub fn interrupt(&self) -> &Arc<Interrupt> {
        &self.interrupt
    }

    pub(super) fn node(&self) -> usize {
        node_of(&self.interrupt)
    }

    /// Where the transaction's list of locks ends now.
    pub fn mark(&self) -> LockMark {
        LockMark(self.local.lock().order.len())
    }
}

/// How the waits-for graph names a session: the address of its interrupt.
pub(super) fn node_of(interrupt: &Arc<Interrupt>) -> usize {
    Arc::as_ptr(interrupt) as usize
}

impl Local {
    pub(super) fn holds_fast(&self, tag: LockTag, mode: RelationLockMode) -> bool {
        self.fast.iter().any(|slot| slot.tag == Some(tag) && slot.modes.contains(mode))
    }

    /// Takes a weak lock in a slot; false when all slots are taken.
    pub(super) fn take_fast(&mut self, tag: LockTag, mode: RelationLockMode) -> bool {
        let same = self.fast.iter().position(|slot| slot.tag == Some(tag));
        let Some(index) = same.or_else(|| self.fast.iter().position(|slot| slot.tag.is_none())) else {
            return false;
        };
        self.fast[index].tag = Some(tag);
        self.fast[index].modes.add(mode);
        self.order.push((tag, mode));
        true
    }

    /// Gives a weak lock back; false when it is not in a slot (any more).
    pub(super) fn release_fast(&mut self, tag: LockTag, mode: RelationLockMode) -> bool {
        let found = self.fast.iter_mut().find(|slot| slot.tag == Some(tag) && slot.modes.contains(mode));
        let Some(slot) = found else { return false };
        slot.modes.remove(mode);
        if slot.modes.is_empty() {
            slot.tag = None;
        }
        true
    }

    /// Ends the transaction's hold of a lock in the shared table; true when nobody else's account has it.
    pub(super) fn release_held(&mut self, tag: LockTag, mode: RelationLockMode) -> bool {
        let Some(held) = self.held.get_mut(&(tag, mode)) else { return false };
        held.transaction = false;
        let gone = held.session == 0;
        if gone {
            self.held.remove(&(tag, mode));
        }
        gone
    }
}
