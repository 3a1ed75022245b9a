//! Snapshots: which versions a statement sees.
//!
//! # Invariants
//! - S1: a snapshot sees exactly the transactions whose commit record lies at or before its position, and of its own
//!   transaction the commands before its own that were not rolled back.
//! - S2: it is registered from before its position is read until it is dropped, so nothing it can see is collected.
//! - S3: the newest commit it met that was not durable when it was taken is noted in its transaction: the reply gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ochre_base::{CommandId, Lsn, Result, Xid};
use ochre_storage::RelationKey;

use crate::outcomes::Outcome;
use crate::registry::RegistrySlot;
use crate::serializable::SerialTransaction;
use crate::transaction::Shared;

/// A registered position; dropping it gives the slot back.
pub(crate) struct Registration {
    shared: Arc<crate::manager::Core>,
    slot: RegistrySlot,
    pub(crate) lsn: Lsn,
}

impl Registration {
    pub(crate) fn new(shared: Arc<crate::manager::Core>, slot: RegistrySlot, lsn: Lsn) -> Registration {
        Registration { shared, slot, lsn }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.registry.deregister(self.slot);
    }
}

/// How a snapshot stays registered.
pub(crate) enum Hold {
    /// By a slot of its own.
    Slot(RegistrySlot),
    /// By its transaction's, which all its statements share.
    Shared(#[allow(dead_code, reason = "held for its drop")] Arc<Registration>),
}

/// A position in the log, seen from one command of one transaction.
pub struct Snapshot {
    lsn: Lsn,
    own: Xid,
    cid: CommandId,
    /// The log was durable up to here when the snapshot was taken.
    durable: Lsn,
    /// The last xid asked about and the answer: `xid << 1 | seen`.
    last: AtomicU64,
    hold: Hold,
    shared: Arc<Shared>,
    serial: Option<Arc<SerialTransaction>>,
}

impl Snapshot {
    pub(crate) fn new(
        lsn: Lsn,
        cid: CommandId,
        durable: Lsn,
        hold: Hold,
        shared: Arc<Shared>,
        serial: Option<Arc<SerialTransaction>>,
    ) -> Snapshot {
        let own = shared.xid();
        shared.hold_position(cid);
        Snapshot { lsn, own, cid, durable, last: AtomicU64::new(0), hold, shared, serial }
    }

    /// The same snapshot for another thread that works on the statement: it keeps its own note of the xid asked about
    /// last, and may outlive this one.
    ///
    /// # Errors
    /// 53400 when too many snapshots are open.
    pub fn for_worker(&self) -> Result<Snapshot> {
        let hold = match &self.hold {
            Hold::Shared(registration) => Hold::Shared(Arc::clone(registration)),
            Hold::Slot(_) => Hold::Slot(self.shared.core().registry.register_copy(self.lsn)?),
        };
        self.shared.hold_position(self.cid);
        Ok(Snapshot {
            lsn: self.lsn,
            own: self.own,
            cid: self.cid,
            durable: self.durable,
            last: AtomicU64::new(0),
            hold,
            shared: Arc::clone(&self.shared),
            serial: self.serial.clone(),
        })
    }

    /// What has to be told of reads with this snapshot: set for the snapshots of a serializable transaction's
    /// statements, unless they are safe without.
    #[inline]
    pub fn serial(&self) -> Option<&Arc<SerialTransaction>> {
        self.serial.as_ref().filter(|serial| !serial.is_safe())
    }

    /// Called for each version of a relation that a reader meets and this snapshot does not see.
    ///
    /// # Errors
    /// 40001 when a serializable reader must fail.
    #[inline]
    pub fn met_unseen(&self, relation: RelationKey, xid: Xid, cid: CommandId) -> Result<()> {
        match &self.serial {
            None => Ok(()),
            Some(serial) => self.tell_unseen(serial, relation, xid, cid),
        }
    }

    #[cold]
    fn tell_unseen(
        &self,
        serial: &SerialTransaction,
        relation: RelationKey,
        xid: Xid,
        cid: CommandId,
    ) -> Result<()> {
        if xid == self.shared.xid() {
            return Ok(());
        }
        let outcomes = &self.shared.core().outcomes;
        match outcomes.outcome(xid) {
            Outcome::Aborted => Ok(()),
            Outcome::Running { has_dead: true } | Outcome::Committed { has_dead: true, .. }
                if outcomes.is_dead(xid, cid) =>
            {
                Ok(())
            }
            Outcome::Running { .. } => serial.met_unseen(relation, xid, None),
            Outcome::Committed { lsn, .. } => serial.met_unseen(relation, xid, Some(lsn)),
        }
    }

    /// The position.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// The owner's xid; none when it had not written when the snapshot was taken.
    pub fn own(&self) -> Xid {
        self.own
    }

    /// The command that looks: it sees what earlier commands of its transaction wrote.
    pub fn cid(&self) -> CommandId {
        self.cid
    }

    /// Whether it sees what a command of a transaction wrote (S1).
    #[inline]
    pub fn sees(&self, xid: Xid, cid: CommandId) -> bool {
        let outcomes = &self.shared.core().outcomes;
        // Settled transactions are durable, so there is nothing to note for the gate.
        if outcomes.is_settled_commit(xid) {
            return true;
        }
        let last = self.last.load(Ordering::Relaxed);
        if last >> 1 == xid.0 && last != 0 {
            return last & 1 != 0;
        }
        self.look_up(xid, cid)
    }

    fn look_up(&self, xid: Xid, cid: CommandId) -> bool {
        if xid == self.own {
            return cid < self.cid && !self.shared.is_dead(cid);
        }
        let outcomes = &self.shared.core().outcomes;
        let seen = match outcomes.outcome(xid) {
            Outcome::Committed { lsn, has_dead } => {
                let seen = lsn <= self.lsn;
                if seen && lsn > self.durable {
                    self.shared.note_met(lsn);
                }
                if has_dead {
                    return seen && !outcomes.is_dead(xid, cid);
                }
                seen
            }
            // What runs now commits behind this snapshot, so the answer stays.
            Outcome::Running { .. } | Outcome::Aborted => false,
        };
        self.last.store(xid.0 << 1 | u64::from(seen), Ordering::Relaxed);
        seen
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.shared.release_position(self.cid);
        if let Hold::Slot(slot) = self.hold {
            self.shared.core().registry.deregister(slot);
        }
    }
}
