//! Locking the row that a foreign key refers to.
//!
//! # Differences
//! [`Heap::lock_row`] locks the version that a snapshot sees. A referenced row is wanted as it is now: whoever changes
//! anything but its key, committed or not, is not in the way.

use ochre_base::{Result, RowId};
use ochre_txn::{RowLockStrength, Transaction};

use super::Heap;
use super::chain::Standing;
use super::read::damaged_version;
use super::version::{Info, VersionRef};
use super::write::{Obstacle, RowWait};

/// How an attempt to lock a referenced row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyShare<R> {
    /// It is locked FOR KEY SHARE until the transaction ends; what was found out about it.
    Locked(R),
    /// There is no such row, or it has been deleted.
    Gone,
}

const STRENGTH: RowLockStrength = RowLockStrength::KeyShare;

impl Heap {
    /// Locks a row FOR KEY SHARE as it is now, whatever snapshot, and calls `look` with its version: quickly, and
    /// without touching the heap. Waits for transactions that delete it or change its key. The row's id may come from an
    /// index without the protection of a snapshot, so compare keys.
    ///
    /// # Errors
    /// 25006, 40P01, 55P03, cancellation, 53200, 58030.
    pub fn lock_key_share<R>(
        &self,
        transaction: &Transaction,
        rid: RowId,
        wait: &mut RowWait,
        mut look: impl FnMut(VersionRef<'_>) -> R,
    ) -> Result<KeyShare<R>> {
        transaction.assign_xid()?;
        loop {
            let Some(mut row) = self.latch_row(rid)? else { return Ok(KeyShare::Gone) };
            let first = row.first()?;
            let slot = row.slot;
            let page = row.page();
            let block = page.key().block;
            let Some(current) = self.current(transaction, page, block, first)? else {
                return Ok(KeyShare::Gone);
            };
            let gone = current.header.is_tombstone();
            let mut obstacle = None;
            match current.standing {
                Standing::Running(xid, cid) if gone || current.header.info.has(Info::LOCKS_KEY) => {
                    obstacle = Some(Obstacle::Version(xid, cid));
                }
                Standing::Committed(lsn) => transaction.note_met(lsn),
                _ => {}
            }
            if obstacle.is_none() {
                if gone {
                    return Ok(KeyShare::Gone);
                }
                let locks = self.manager.row_locks();
                obstacle =
                    locks.conflict(self.relation, rid, STRENGTH, transaction.xid()).map(Obstacle::Lock);
                if obstacle.is_none() {
                    let holder = self.manager.lock_row(transaction, self.relation, rid, STRENGTH)?;
                    obstacle = holder.map(Obstacle::Lock);
                }
            }
            let Some(obstacle) = obstacle else {
                let found = if current.is_first {
                    let (header, payload) =
                        super::history::version_in(page, slot).ok_or_else(|| damaged_version(rid))?;
                    look(VersionRef::new(rid, &header, payload, header.info.has(Info::KEYS_DIFFER)))
                } else {
                    // Void versions on top may have had other keys.
                    self.newest_sound(transaction, page, block, first, rid, &mut look)?
                };
                return Ok(KeyShare::Locked(found));
            };
            drop(row);
            self.wait(transaction, rid, STRENGTH, &obstacle, "locking", wait)?;
        }
    }

    /// Looks at the newest version that is not void, behind those that are.
    fn newest_sound<R>(
        &self,
        transaction: &Transaction,
        page: &ochre_storage::PageWriteGuard,
        block: ochre_base::BlockNo,
        first: super::version::VersionHeader,
        rid: RowId,
        look: &mut impl FnMut(VersionRef<'_>) -> R,
    ) -> Result<R> {
        let mut link = first.older;
        loop {
            let step = self.with_version(page, block, link, |header, payload| {
                if self.standing(Some(transaction), header) == Standing::Void {
                    Err(header.older)
                } else {
                    Ok(look(VersionRef::new(rid, header, payload, true)))
                }
            })?;
            match step {
                Ok(found) => return Ok(found),
                Err(older) => link = older,
            }
        }
    }
}
