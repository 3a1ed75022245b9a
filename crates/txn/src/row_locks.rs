//! Row locks that no version stands for: SELECT FOR UPDATE, FOR SHARE and their kin.
//!
//! # Role
//! An uncommitted version is its row's lock. Locks without a version are kept here, in memory, per page, transaction
//! and strength; writers look here under the page's latch before they change a row.
//!
//! # Concurrency
//! The table's mutexes are leaves: taken under page latches, nothing is taken under them.

use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use ochre_base::{BlockNo, CommandId, Error, Result, RowId, SqlState, Xid};
use ochre_storage::RelationKey;
use parking_lot::Mutex;
use smallvec::SmallVec;

/// Row locks that may be held at once.
pub const MAX_ROW_LOCKS: usize = 4 << 20;

const SHARDS: usize = 64;

/// PostgreSQL's four strengths of row locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowLockStrength {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
}

impl RowLockStrength {
    /// Whether two transactions cannot hold these locks on one row.
    pub const fn conflicts(self, other: RowLockStrength) -> bool {
        use RowLockStrength::{KeyShare, NoKeyUpdate, Share, Update};
        match self {
            KeyShare => matches!(other, Update),
            Share => matches!(other, NoKeyUpdate | Update),
            NoKeyUpdate => matches!(other, Share | NoKeyUpdate | Update),
            Update => true,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct RowLock {
    slot: u16,
    strength: RowLockStrength,
    xid: Xid,
    /// The command that took it: ROLLBACK TO gives back those since the savepoint.
    cid: CommandId,
}

/// A page with row locks on it.
pub(crate) type LockedPage = (RelationKey, BlockNo);

type Shard = HashMap<LockedPage, SmallVec<[RowLock; 2]>>;

/// All row locks without a version.
pub struct RowLocks {
    count: AtomicUsize,
    shards: [Mutex<Shard>; SHARDS],
}

impl Default for RowLocks {
    fn default() -> RowLocks {
        RowLocks { count: AtomicUsize::new(0), shards: std::array::from_fn(|_| Mutex::new(Shard::new())) }
    }
}

impl RowLocks {
    fn shard(&self, page: LockedPage) -> &Mutex<Shard> {
        let mixed = page.0.file.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(page.1.0);
        &self.shards[mixed as usize % SHARDS]
    }

    /// Another transaction whose lock on the row conflicts with a strength. One load when nobody holds row locks.
    #[inline]
    pub fn conflict(
        &self,
        relation: RelationKey,
        row: RowId,
        strength: RowLockStrength,
        own: Xid,
    ) -> Option<Xid> {
        if self.count.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let page = (relation, row.block);
        conflict_in(self.shard(page).lock().get(&page)?, row.slot, strength, own)
    }

    /// Locks a row, or says who is in the way. `Ok(None)` when locked; the flag is whether the page is new to `own`.
    pub(crate) fn lock(
        &self,
        relation: RelationKey,
        row: RowId,
        strength: RowLockStrength,
        own: Xid,
        cid: CommandId,
    ) -> Result<Result<bool, Xid>> {
        let page = (relation, row.block);
        if self.count.fetch_add(1, Ordering::SeqCst) >= MAX_ROW_LOCKS {
            self.count.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::new(SqlState::OUT_OF_MEMORY, "out of shared memory")
                .hint("You might need to lock fewer rows in one transaction."));
        }
        let mut shard = self.shard(page).lock();
        let locks = shard.entry(page).or_default();
        let held = locks.iter().any(|l| l.slot == row.slot && l.xid == own && l.strength >= strength);
        let answer = match conflict_in(locks, row.slot, strength, own) {
            Some(xid) => Err(xid),
            None => Ok(!locks.iter().any(|l| l.xid == own)),
        };
        if answer.is_ok() && !held {
            locks.push(RowLock { slot: row.slot, strength, xid: own, cid });
        } else {
            if locks.is_empty() {
                shard.remove(&page);
            }
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(answer)
    }

    /// The rows that a transaction has locked on a page.
    pub(crate) fn held_by(&self, page: LockedPage, own: Xid) -> Vec<(RowId, RowLockStrength)> {
        let shard = self.shard(page).lock();
        let locks = shard.get(&page).map(|locks| locks.as_slice()).unwrap_or_default();
        let held = locks.iter().filter(|lock| lock.xid == own);
        held.map(|lock| (RowId { block: page.1, slot: lock.slot }, lock.strength)).collect()
    }

    /// Whether a transaction has a lock on a row that conflicts with a strength.
    pub(crate) fn is_held(
        &self,
        relation: RelationKey,
        row: RowId,
        strength: RowLockStrength,
        holder: Xid,
    ) -> bool {
        let page = (relation, row.block);
        let shard = self.shard(page).lock();
        let held = |l: &RowLock| l.slot == row.slot && l.xid == holder && l.strength.conflicts(strength);
        shard.get(&page).is_some_and(|locks| locks.iter().any(held))
    }

    /// Whether a transaction has a lock on a row.
    pub(crate) fn is_held_by(&self, relation: RelationKey, row: RowId, own: Xid) -> bool {
        let page = (relation, row.block);
        let shard = self.shard(page).lock();
        shard.get(&page).is_some_and(|locks| locks.iter().any(|l| l.slot == row.slot && l.xid == own))
    }

    /// Releases a transaction's locks on a page that its commands from `first` on took.
    pub(crate) fn release(&self, page: LockedPage, own: Xid, first: CommandId) {
        let mut shard = self.shard(page).lock();
        let Some(locks) = shard.get_mut(&page) else { return };
        let before = locks.len();
        locks.retain(|l| l.xid != own || l.cid < first);
        self.count.fetch_sub(before - locks.len(), Ordering::SeqCst);
        if locks.is_empty() {
            shard.remove(&page);
        }
    }
}

fn conflict_in(locks: &[RowLock], slot: u16, strength: RowLockStrength, own: Xid) -> Option<Xid> {
    locks.iter().find(|l| l.slot == slot && l.xid != own && l.strength.conflicts(strength)).map(|l| l.xid)
}

#[cfg(test)]
mod tests {
    use ochre_base::{FileId, Oid};

    use super::*;

    #[test]
    fn locks_conflict_as_in_postgresql() {
        use RowLockStrength::{KeyShare, NoKeyUpdate, Share, Update};
        let locks = RowLocks::default();
        let relation = RelationKey::new(Oid(1), FileId(1));
        let row = RowId::new(5, 6);
        assert_eq!(locks.lock(relation, row, Share, Xid(20), CommandId(3)).unwrap(), Ok(true));
        assert_eq!(locks.lock(relation, row, Share, Xid(21), CommandId(3)).unwrap(), Ok(true));
        assert_eq!(locks.lock(relation, row, KeyShare, Xid(20), CommandId(3)).unwrap(), Ok(false));
        assert_eq!(locks.lock(relation, row, NoKeyUpdate, Xid(21), CommandId(3)).unwrap(), Err(Xid(20)));
        assert_eq!(locks.conflict(relation, row, KeyShare, Xid(30)), None);
        assert_eq!(locks.conflict(relation, row, Update, Xid(20)), Some(Xid(21)));
        assert_eq!(locks.conflict(relation, RowId::new(5, 7), Update, Xid(20)), None);
        locks.release((relation, row.block), Xid(21), CommandId(4));
        assert_eq!(
            locks.conflict(relation, row, Update, Xid(20)),
            Some(Xid(21)),
            "taken by an earlier command"
        );
        locks.release((relation, row.block), Xid(20), CommandId::FIRST);
        locks.release((relation, row.block), Xid(21), CommandId::FIRST);
        assert_eq!(locks.count.load(Ordering::SeqCst), 0);
        assert_eq!(locks.conflict(relation, row, Update, Xid(30)), None);
    }
}
