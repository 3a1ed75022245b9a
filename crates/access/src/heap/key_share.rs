//! Locking the row that a foreign key refers to.
//!
//! # Differences
//! [`Heap::lock_row`] locks the version that a snapshot sees. A referenced row is wanted as it is now: whoever changes
//! anything but its key, committed or not, is not in the way.

use ochre_base::{Result, RowId};
use ochre_storage::PageWriteGuard;
use ochre_txn::{RowLockStrength, Transaction};

use super::Heap;
use super::chain::{Standing, Walk};
use super::history::version_in;
use super::read::damaged_version;
use super::version::{Info, VersionHeader, VersionRef};
use super::write::{Obstacle, RowWait};

/// How an attempt to lock a referenced row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyShare<R> {
    /// It is locked FOR KEY SHARE until the transaction ends; what was found out about it.
    Locked(R),
    /// There is no such row, or it has been deleted, or whoever inserted it has not committed.
    Gone,
    /// As [`KeyShare::Gone`], since it has moved to another partition.
    Moved,
    /// A running transaction is in the way, and the caller did not want to wait; what was found out about the row as it
    /// is if that transaction fails.
    Contended(R),
}

const STRENGTH: RowLockStrength = RowLockStrength::KeyShare;

impl Heap {
    /// Locks a row FOR KEY SHARE as it is now, whatever snapshot, and calls `look` with its version: quickly, and
    /// without touching the heap. With `block` it waits for transactions that delete the row or change its key. The row's
    /// id may come from an index without the protection of a snapshot, so compare keys.
    ///
    /// # Errors
    /// 25006, 40P01, 55P03, cancellation, 53200, 58030.
    pub fn lock_key_share<R>(
        &self,
        transaction: &Transaction,
        rid: RowId,
        block: bool,
        wait: &mut RowWait,
        look: impl FnOnce(VersionRef<'_>) -> R,
    ) -> Result<KeyShare<R>> {
        transaction.assign_xid()?;
        loop {
            let Some(mut row) = self.latch_row(rid)? else { return Ok(KeyShare::Gone) };
            let first = row.first()?;
            let slot = row.slot;
            let page = row.page();
            let Some(current) = self.current(transaction, page, page.key().block, first)? else {
                return Ok(KeyShare::Gone);
            };
            let gone = current.header.is_tombstone();
            let mut obstacle = None;
            match current.standing {
                Standing::Running(xid, cid) if gone || current.header.locks_key() => {
                    obstacle = Some(Obstacle::Version(xid, cid));
                }
                Standing::Committed(lsn) => transaction.note_met(lsn),
                _ => {}
            }
            if obstacle.is_none() {
                if gone {
                    let moved = current.header.info.has(Info::MOVED);
                    return Ok(if moved { KeyShare::Moved } else { KeyShare::Gone });
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
                let is_there = |standing| standing != Standing::Void;
                let found = self.look_at(transaction, page, slot, rid, is_there, look)?;
                return Ok(found.map_or(KeyShare::Gone, KeyShare::Locked));
            };
            if !block {
                let stays = |standing| matches!(standing, Standing::Own(_) | Standing::Committed(_));
                let found = self.look_at(transaction, page, slot, rid, stays, look)?;
                return Ok(found.map_or(KeyShare::Gone, KeyShare::Contended));
            }
            drop(row);
            self.wait(transaction, rid, STRENGTH, &obstacle, "locking", wait)?;
        }
    }

    /// Looks at a row's newest version whose standing counts; `None` when there is none, or it is a tombstone.
    fn look_at<R>(
        &self,
        transaction: &Transaction,
        page: &PageWriteGuard,
        slot: u16,
        rid: RowId,
        counts: impl Fn(Standing) -> bool,
        look: impl FnOnce(VersionRef<'_>) -> R,
    ) -> Result<Option<R>> {
        let mut look = Some(look);
        // Versions on top that do not count may have had other keys.
        let mut visit = |header: &VersionHeader, payload: &[u8], recheck: bool| {
            if !counts(self.standing(Some(transaction), header)) {
                return Err(header.older);
            }
            let look = look.take().expect("one version is looked at");
            Ok((!header.is_tombstone()).then(|| look(VersionRef::new(rid, header, payload, recheck))))
        };
        let (header, payload) = version_in(page, slot).ok_or_else(|| damaged_version(rid))?;
        let mut step = visit(&header, payload, header.info.has(Info::KEYS_DIFFER));
        let mut walk = Walk::default();
        loop {
            match step {
                Ok(found) => return Ok(found),
                Err(older) if older.is_none() => return Ok(None),
                Err(older) => {
                    walk.pass(older)?;
                    let block = page.key().block;
                    step = self
                        .with_version(page, block, older, |header, payload| visit(header, payload, true))?;
                }
            }
        }
    }
}
