//! Updating, deleting and locking rows.
//!
//! # States
//! ```text
//! latch the row ─► look at its newest version ─► Changed, Deleted, SelfModified: the caller decides
//!       ▲                 │            │
//!       │             in the way     free
//!       └── wait ◄────────┘            ▼
//!                              place the new version:
//!                              on the page · after pruning · after older versions went to history ·
//!                              over the old one, which goes to history · on another page, leaving a stub
//! ```

use ochre_base::{CommandId, Error, Lsn, Result, RowId, SqlState, Xid};
use ochre_storage::{PageKind, PageWriteGuard};
use ochre_txn::locks::RowTurn;
use ochre_txn::suspension::suspended;
use ochre_txn::{Outcome, RowChange, RowDemand, RowLockStrength, RowObstacle, Snapshot, Transaction};
use smallvec::SmallVec;

use super::Heap;
use super::chain::{Current, Standing, Walk};
use super::edit::{EditContext, fits, fits_at_once, kind, unused_slot};
use super::history::{put_history, version_bytes, version_in};
use super::read::{damaged_version, forward_target, split_moved, stub_misleads};
use super::record::{HeapRecord, info};
use super::version::{HOME_BYTES, Info, Link, VERSION_HEADER_BYTES, VersionHeader};
use crate::row::RowBuffer;

/// Free bytes for which a page is compacted to take a tombstone: some twenty find room then.
const COMPACTION_BYTES: usize = 512;

/// How a write to a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It was written.
    Done,
    /// A transaction that the snapshot does not see has changed the row: under READ COMMITTED look at it again with
    /// [`Transaction::newest_snapshot`] and try with that; above, fail with 40001.
    Changed,
    /// The row is gone; by a transaction that the snapshot does not see, if the snapshot saw the row.
    Deleted,
    /// As [`WriteOutcome::Deleted`], since it has moved to another partition.
    Moved,
    /// This command, or a later one of the own transaction, has written the row already.
    SelfModified,
}

/// How an attempt to lock a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockOutcome {
    /// It is locked until the transaction ends.
    Locked,
    /// As [`WriteOutcome::Changed`].
    Changed,
    /// As [`WriteOutcome::Deleted`].
    Deleted,
    /// As [`WriteOutcome::Moved`].
    Moved,
    /// As [`WriteOutcome::SelfModified`].
    SelfModified,
    /// Another transaction is in the way, and the caller did not want to wait.
    WouldBlock,
}

/// A statement's place in the line for a row that others change too. Use one for all attempts at one row, so that the
/// place is kept from the wait to the write.
#[derive(Default)]
pub struct RowWait {
    turn: Option<RowTurn>,
    /// Whether it waited at all: the snapshot may be too old then.
    pub waited: bool,
    /// After `SelfModified`: the command of the own transaction that has written the row.
    pub own_command: Option<CommandId>,
    /// The creator of the version that was written over, and its commit; none when that was the transaction itself.
    pub wrote_over: Option<(Xid, Lsn)>,
}

/// A version to be written.
#[derive(Clone, Copy)]
struct NewVersion<'a> {
    payload: &'a [u8],
    info: Info,
    schema_version: u16,
    record: u8,
}

/// A row's pages, latched.
pub(super) struct LatchedRow {
    pub(super) home: PageWriteGuard,
    /// The page that the row lives on when it has left a stub at home.
    pub(super) away: Option<PageWriteGuard>,
    /// Its slot on the page it lives on.
    pub(super) slot: u16,
}

impl LatchedRow {
    pub(super) fn page(&mut self) -> &mut PageWriteGuard {
        self.away.as_mut().unwrap_or(&mut self.home)
    }

    pub(super) fn first(&mut self) -> Result<VersionHeader> {
        let slot = self.slot;
        let page = self.page();
        let at = RowId { block: page.key().block, slot };
        version_in(page, slot).map(|(h, _)| h).ok_or_else(|| damaged_version(at))
    }
}

/// What stands between a writer and a row.
pub(super) enum Obstacle {
    Outcome(WriteOutcome),
    /// A version that the own transaction has written since the snapshot.
    OwnCommand(CommandId),
    /// A version that a command of a running transaction wrote.
    Version(Xid, CommandId),
    /// A lock that a running transaction has.
    Lock(Xid),
}

impl Heap {
    /// Puts a new version in place of the one that the snapshot sees. Waits for transactions that are in the way.
    ///
    /// `keys_changed` says that some index's key or payload of the new version differs from the old one's: then the
    /// caller inserts entries into those indexes afterwards. `strength` is [`RowLockStrength::Update`] when a key that
    /// others may refer to changes, else [`RowLockStrength::NoKeyUpdate`].
    ///
    /// # Errors
    /// 25006, 40P01, 55P03, cancellation, 53100, 58030.
    #[allow(clippy::too_many_arguments, reason = "the facts of an update; none has a natural companion")]
    pub fn update(
        &self,
        transaction: &Transaction,
        snapshot: &Snapshot,
        rid: RowId,
        row: &mut RowBuffer,
        schema_version: u16,
        keys_changed: bool,
        strength: RowLockStrength,
        wait: &mut RowWait,
    ) -> Result<WriteOutcome> {
        let pending = std::mem::take(&mut row.pending);
        if !pending.is_empty() {
            self.store_pending(transaction, rid, &pending, row.payload_mut())?;
        }
        let info = Info::of_row(row.flags())
            .with(Info::KEYS_DIFFER, keys_changed)
            .with(Info::LOCKS_KEY, strength == RowLockStrength::Update);
        let new = NewVersion { payload: row.payload(), info, schema_version, record: info::UPDATE };
        let outcome = self.write(transaction, snapshot, rid, &new, strength, wait);
        if !pending.is_empty() && !matches!(outcome, Ok(WriteOutcome::Done)) {
            self.free_pending(rid, row.payload(), &pending);
            row.pending = pending;
        }
        outcome
    }

    /// Deletes the row that the snapshot sees. Waits for transactions that are in the way.
    ///
    /// # Errors
    /// As [`Heap::update`].
    pub fn delete(
        &self,
        transaction: &Transaction,
        snapshot: &Snapshot,
        rid: RowId,
        wait: &mut RowWait,
    ) -> Result<WriteOutcome> {
        self.end_row(transaction, snapshot, rid, Info::TOMBSTONE | Info::LOCKS_KEY, wait)
    }

    /// Deletes a row that goes to another partition of its table: who meets its end is told so.
    ///
    /// # Errors
    /// As [`Heap::update`].
    pub fn delete_moved(
        &self,
        transaction: &Transaction,
        snapshot: &Snapshot,
        rid: RowId,
        wait: &mut RowWait,
    ) -> Result<WriteOutcome> {
        self.end_row(transaction, snapshot, rid, Info::TOMBSTONE | Info::LOCKS_KEY | Info::MOVED, wait)
    }

    fn end_row(
        &self,
        transaction: &Transaction,
        snapshot: &Snapshot,
        rid: RowId,
        info: u8,
        wait: &mut RowWait,
    ) -> Result<WriteOutcome> {
        let new = NewVersion { payload: &[], info: Info(info), schema_version: 0, record: info::DELETE };
        self.write(transaction, snapshot, rid, &new, RowLockStrength::Update, wait)
    }

    /// Locks the row that the snapshot sees until the transaction ends. With `block` false it does not wait.
    ///
    /// # Errors
    /// As [`Heap::update`]; 53200 when too many rows are locked.
    pub fn lock_row(
        &self,
        transaction: &Transaction,
        snapshot: &Snapshot,
        rid: RowId,
        strength: RowLockStrength,
        block: bool,
        wait: &mut RowWait,
    ) -> Result<LockOutcome> {
        transaction.assign_xid()?;
        loop {
            let Some(mut row) = self.latch_row(rid)? else { return Ok(LockOutcome::Deleted) };
            let first = row.first()?;
            let key = row.page().key();
            let obstacle =
                match self.obstacle(transaction, snapshot, row.page(), key.block, first, rid, strength)? {
                    Ok(_) => {
                        self.manager.lock_row(transaction, self.relation, rid, strength)?.map(Obstacle::Lock)
                    }
                    Err(obstacle) => Some(obstacle),
                };
            drop(row);
            match obstacle {
                None => {
                    transaction.forbid_suspension();
                    return Ok(LockOutcome::Locked);
                }
                Some(Obstacle::Outcome(outcome)) => {
                    return Ok(match outcome {
                        WriteOutcome::Done => LockOutcome::Locked,
                        WriteOutcome::Changed => LockOutcome::Changed,
                        WriteOutcome::Deleted => LockOutcome::Deleted,
                        WriteOutcome::Moved => LockOutcome::Moved,
                        WriteOutcome::SelfModified => LockOutcome::SelfModified,
                    });
                }
                Some(Obstacle::OwnCommand(cid)) => {
                    wait.own_command = Some(cid);
                    return Ok(LockOutcome::SelfModified);
                }
                Some(_) if !block => return Ok(LockOutcome::WouldBlock),
                Some(obstacle) => self.wait(transaction, rid, strength, &obstacle, "locking", wait)?,
            }
        }
    }

    fn write(
        &self,
        transaction: &Transaction,
        snapshot: &Snapshot,
        rid: RowId,
        new: &NewVersion<'_>,
        strength: RowLockStrength,
        wait: &mut RowWait,
    ) -> Result<WriteOutcome> {
        let xid = transaction.assign_xid()?;
        loop {
            self.storage.wal().reserve()?;
            let Some(mut row) = self.latch_row(rid)? else { return Ok(WriteOutcome::Deleted) };
            let first = row.first()?;
            let block = row.page().key().block;
            match self.obstacle(transaction, snapshot, row.page(), block, first, rid, strength)? {
                Ok(current) => {
                    wait.wrote_over = match current.standing {
                        Standing::Committed(lsn) => Some((current.header.xid, lsn)),
                        _ => None,
                    };
                    // What hides a version of the same transaction stands for its lock on the key as well.
                    let own = matches!(current.standing, Standing::Own(_));
                    let keeps = own && current.header.locks_key();
                    let new = &NewVersion { info: new.info.with(Info::LOCKS_KEY, keeps), ..*new };
                    let prunable = self.place(transaction, xid, rid, row, first, current, new)?;
                    transaction.forbid_suspension();
                    let change = if new.info.has(Info::TOMBSTONE) {
                        RowChange::Deleted
                    } else {
                        RowChange::Updated { same_keys: !new.info.has(Info::KEYS_DIFFER), prunable }
                    };
                    transaction.note_change(self.relation, rid.block, change);
                    return Ok(WriteOutcome::Done);
                }
                Err(Obstacle::Outcome(outcome)) => return Ok(outcome),
                Err(Obstacle::OwnCommand(cid)) => {
                    wait.own_command = Some(cid);
                    return Ok(WriteOutcome::SelfModified);
                }
                Err(obstacle) => {
                    drop(row);
                    let doing = if new.record == info::DELETE { "deleting" } else { "updating" };
                    self.wait(transaction, rid, strength, &obstacle, doing, wait)?;
                }
            }
        }
    }

    /// Stands in line for the row, then waits for whoever is in the way.
    #[cold]
    pub(super) fn wait(
        &self,
        transaction: &Transaction,
        rid: RowId,
        strength: RowLockStrength,
        obstacle: &Obstacle,
        doing: &'static str,
        wait: &mut RowWait,
    ) -> Result<()> {
        let obstacle = match obstacle {
            Obstacle::Version(xid, cid) => RowObstacle::Version(*xid, *cid),
            Obstacle::Lock(xid) => RowObstacle::Lock(*xid),
            Obstacle::Outcome(_) | Obstacle::OwnCommand(_) => return Ok(()),
        };
        let demand = RowDemand { relation: self.relation, row: rid, strength, obstacle, doing };
        if !wait.waited && transaction.suspend(&demand) {
            return Err(suspended());
        }
        wait.waited = true;
        if wait.turn.is_none() {
            wait.turn = transaction.take_turn(self.relation, rid);
        }
        self.manager.wait_for_row(transaction, &demand, &mut wait.turn)
    }

    /// What is in the way of whoever wants a row, as far as a glance at it tells: `None` may be wrong, an obstacle is
    /// there.
    ///
    /// # Errors
    /// Those of reading the page.
    pub fn glance(&self, rid: RowId, strength: RowLockStrength, own: Xid) -> Result<Option<RowObstacle>> {
        let page = self.read_page(rid.block)?;
        if page.slot(rid.slot).flags != kind::ROW {
            return Ok(None);
        }
        let Some((newest, _)) = version_in(&page, rid.slot) else { return Ok(None) };
        let changes = strength != RowLockStrength::KeyShare || newest.locks_key();
        if changes
            && newest.xid != own
            && let Outcome::Running { has_dead: false } = self.manager.outcome(newest.xid)
        {
            return Ok(Some(RowObstacle::Version(newest.xid, newest.cid)));
        }
        Ok(self.manager.row_locks().conflict(self.relation, rid, strength, own).map(RowObstacle::Lock))
    }

    /// Latches the pages of a row for writing, in the order of their blocks. `None` when there is no such row.
    pub(super) fn latch_row(&self, rid: RowId) -> Result<Option<LatchedRow>> {
        if rid.block.0 >= self.block_count()? {
            return Ok(None);
        }
        loop {
            let home = self.write_page(rid.block)?;
            let target = match home.slot(rid.slot).flags {
                kind::ROW => return Ok(Some(LatchedRow { home, away: None, slot: rid.slot })),
                kind::FORWARD => forward_target(home.row(rid.slot).unwrap_or_default())?,
                _ => return Ok(None),
            };
            if target.block == rid.block {
                return Err(stub_misleads(rid, target));
            }
            let (home, away) = if target.block > rid.block {
                let away = self.write_page(target.block)?;
                (home, away)
            } else {
                drop(home);
                let away = self.write_page(target.block)?;
                let home = self.write_page(rid.block)?;
                let stub = home.row(rid.slot).unwrap_or_default();
                if home.slot(rid.slot).flags != kind::FORWARD || forward_target(stub)? != target {
                    continue;
                }
                (home, away)
            };
            let item = away.row(target.slot).filter(|_| away.slot(target.slot).flags == kind::MOVED);
            let (owner, _) = split_moved(item.unwrap_or_default())?;
            if owner != rid {
                return Err(stub_misleads(rid, target));
            }
            return Ok(Some(LatchedRow { home, away: Some(away), slot: target.slot }));
        }
    }

    /// What stands between the transaction and the row, or its newest version that counts.
    #[allow(clippy::too_many_arguments, reason = "one question about a latched row")]
    fn obstacle(
        &self,
        transaction: &Transaction,
        snapshot: &Snapshot,
        page: &PageWriteGuard,
        block: ochre_base::BlockNo,
        first: VersionHeader,
        rid: RowId,
        strength: RowLockStrength,
    ) -> Result<Result<Current, Obstacle>> {
        use WriteOutcome::{Changed, Deleted};
        let Some(current) = self.current(transaction, page, block, first)? else {
            return Ok(Err(Obstacle::Outcome(Deleted)));
        };
        let gone = current.header.is_tombstone();
        let end = if current.header.info.has(Info::MOVED) { WriteOutcome::Moved } else { Deleted };
        let shares = strength == RowLockStrength::KeyShare && !gone;
        let outcome = match current.standing {
            Standing::Running(xid, cid) if !shares || current.header.locks_key() => {
                return Ok(Err(Obstacle::Version(xid, cid)));
            }
            Standing::Running(..) => {
                self.key_changed(transaction, snapshot, page, block, current)?.then_some(Changed)
            }
            Standing::Own(cid) if cid >= snapshot.cid() => return Ok(Err(Obstacle::OwnCommand(cid))),
            Standing::Own(_) => gone.then_some(end),
            Standing::Committed(lsn) => {
                if lsn > snapshot.lsn() {
                    transaction.note_met(lsn);
                    let passes = shares && !self.key_changed(transaction, snapshot, page, block, current)?;
                    if gone { Some(end) } else { (!passes).then_some(Changed) }
                } else {
                    gone.then_some(end)
                }
            }
            Standing::Void => unreachable!("the current version is not void"),
        };
        if let Some(outcome) = outcome {
            return Ok(Err(Obstacle::Outcome(outcome)));
        }
        let locks = self.manager.row_locks();
        if let Some(holder) = locks.conflict(self.relation, rid, strength, transaction.xid()) {
            return Ok(Err(Obstacle::Lock(holder)));
        }
        Ok(Ok(current))
    }

    /// Whether a transaction that the snapshot does not see has changed the row's key. Who only wants the key to stay
    /// takes no notice of other changes.
    fn key_changed(
        &self,
        transaction: &Transaction,
        snapshot: &Snapshot,
        page: &PageWriteGuard,
        block: ochre_base::BlockNo,
        current: Current,
    ) -> Result<bool> {
        let mut header = current.header;
        let mut walk = Walk::default();
        loop {
            match self.standing(Some(transaction), &header) {
                Standing::Own(_) => return Ok(false),
                Standing::Committed(lsn) if lsn <= snapshot.lsn() => return Ok(false),
                // An insert too: a row that the snapshot does not see at all.
                Standing::Committed(_) | Standing::Running(..) if header.locks_key() => return Ok(true),
                Standing::Committed(_) | Standing::Running(..) | Standing::Void => {}
            }
            if header.older.is_none() {
                return Ok(true);
            }
            walk.pass(header.older)?;
            header = self.with_version(page, block, header.older, |header, _| *header)?;
        }
    }

    /// Puts the new version on top of the row's chain; says whether a writer can prune what it lies on.
    #[allow(clippy::too_many_arguments, reason = "the facts of one write, all known by now")]
    fn place(
        &self,
        transaction: &Transaction,
        xid: Xid,
        rid: RowId,
        mut row: LatchedRow,
        first: VersionHeader,
        current: Current,
        new: &NewVersion<'_>,
    ) -> Result<bool> {
        let slot = row.slot;
        let page = row.page();
        let home_bytes = if page.slot(slot).flags == kind::MOVED { HOME_BYTES } else { 0 };
        let len = home_bytes + VERSION_HEADER_BYTES + new.payload.len();
        // H4: inherited from what it lies on.
        let info = new.info.with(Info::KEYS_DIFFER, first.info.has(Info::KEYS_DIFFER));
        let context = EditContext { xid, cid: transaction.current_cid(), schema_version: new.schema_version };

        let plain = !first.info.has(Info::KEYS_DIFFER) && !first.info.has(Info::HAS_OVERFLOW);
        if !current.is_first && plain && page.slot(slot).len as usize + page.free_total() >= len {
            // A void version goes at once; the new one lies on what that lay on.
            let inherited = current.header.info.has(Info::KEYS_DIFFER);
            let info = new.info.with(Info::KEYS_DIFFER, inherited);
            transaction.note_unlinked(self.relation, u64::from(!first.is_tombstone()));
            self.replace_first(rid, row, context, info, first.older, new, None)?;
            return Ok(false);
        }
        let mut room = fits(page, len);
        if !room && self.prune_may_help(page) {
            self.prune(page, Some(transaction))?;
            room = fits(page, len);
            if !room {
                self.note_fruitless_prune(page);
            }
        }
        // Pruning may have given the row's slot to another version.
        let first = row.first()?;
        let page = row.page();
        let is_alone = first.older.is_none() || first.older.is_history();
        let in_place = is_alone && len <= page.slot(slot).len as usize;
        // A tombstone that fits after a compaction only waits for one that serves many: the holes that those in place
        // of their rows leave add up.
        if room && in_place && new.info.has(Info::TOMBSTONE) && !fits_at_once(page, len) {
            room = page.free_total() >= COMPACTION_BYTES;
        }
        if !room && in_place {
            // In place of the old one, without moving anything else.
            self.replace_first(rid, row, context, info, first.older, new, Some(()))?;
            return Ok(false);
        }
        if !room {
            self.spill_until_fits(page, len)?;
            room = fits(page, len);
        }
        let first = row.first()?;
        self.storage.wal().reserve()?;
        let page = row.page();
        if room {
            let mut record = HeapRecord::new(new.record, context);
            let mut map = self.clear_all_visible(&mut record, page, 0, 1)?;
            let older = unused_slot(page);
            record.edit(0, page).update(slot, older, info, new.payload);
            match &mut map {
                None => record.append(&self.storage, &mut [page])?,
                Some(map) => record.append(&self.storage, &mut [page, map])?,
            };
            let is_home = row.away.is_none();
            return Ok(is_home && !info.has(Info::KEYS_DIFFER) && !first.info.has(Info::HAS_OVERFLOW));
        }
        // The page holds newest versions only by now, so this one's older part is in the history fork already.
        if page.slot(slot).len as usize + page.free_total() >= len {
            self.replace_first(rid, row, context, info, first.older, new, Some(()))?;
        } else {
            self.move_away(rid, row, context, info, new)?;
        }
        Ok(false)
    }

    /// Puts the new version over the first of the chain; that goes to the history fork when `keep_old`.
    #[allow(clippy::too_many_arguments, reason = "a step of `place`")]
    fn replace_first(
        &self,
        rid: RowId,
        mut row: LatchedRow,
        context: EditContext,
        info: Info,
        older: Link,
        new: &NewVersion<'_>,
        keep_old: Option<()>,
    ) -> Result<()> {
        let slot = row.slot;
        let page = row.page();
        let flags = page.slot(slot).flags;
        let old: SmallVec<[u8; 512]> = version_bytes(page, slot).ok_or_else(|| damaged_version(rid))?.into();
        let mut history = match keep_old {
            Some(()) => Some(self.history_page_with_room(old.len())?),
            None => None,
        };
        let mut record = HeapRecord::new(new.record, context);
        let map_at = if history.is_some() { 2 } else { 1 };
        let mut map = self.clear_all_visible(&mut record, page, 0, map_at)?;
        let older = match &mut history {
            Some(history) => put_history(&mut record, 1, history, &old),
            None => older,
        };
        let item = item(context, info, older, (flags == kind::MOVED).then_some(rid), new.payload);
        record.edit(0, page).replace(slot, flags, &item);
        let mut pages: SmallVec<[&mut PageWriteGuard; 3]> = SmallVec::new();
        pages.push(page);
        pages.extend(history.as_mut());
        pages.extend(map.as_mut());
        record.append(&self.storage, &mut pages)?;
        Ok(())
    }

    /// Puts the new version on another page and leaves a stub at the row's home.
    fn move_away(
        &self,
        rid: RowId,
        mut row: LatchedRow,
        context: EditContext,
        info: Info,
        new: &NewVersion<'_>,
    ) -> Result<()> {
        let slot = row.slot;
        let old: Vec<u8> = version_bytes(row.page(), slot).ok_or_else(|| damaged_version(rid))?.to_vec();
        let mut target = self.other_page_with_room(HOME_BYTES + VERSION_HEADER_BYTES + new.payload.len())?;
        self.clear_all_visible_alone(&mut target)?;
        self.storage.wal().reserve()?;
        let mut history = self.history_page_with_room(old.len())?;
        let mut record = HeapRecord::new(info::MOVE, context);
        // Pages by number: home, target, history, then away and the map's page as there are any.
        let away_at = 3;
        let home_map_at = if row.away.is_some() { 4 } else { 3 };
        let mut home_map = self.clear_all_visible(&mut record, &mut row.home, 0, home_map_at)?;
        let older = put_history(&mut record, 2, &mut history, &old);
        let mut edit = record.edit(1, &mut target);
        if edit.page().is_unused() {
            edit.format(PageKind::HEAP);
        }
        let to_slot = unused_slot(edit.page());
        edit.put(to_slot, kind::MOVED, &item(context, info, older, Some(rid), new.payload));
        let to = RowId { block: target.key().block, slot: to_slot };
        if let Some(away) = &mut row.away {
            record.edit(away_at, away).free(slot);
        }
        record.edit(0, &mut row.home).replace(
            rid.slot,
            kind::FORWARD,
            &Link::main(to).to_u64().to_le_bytes(),
        );
        let mut pages: SmallVec<[&mut PageWriteGuard; 6]> = SmallVec::new();
        pages.push(&mut row.home);
        pages.push(&mut target);
        pages.push(&mut history);
        pages.extend(row.away.as_mut());
        pages.extend(home_map.as_mut());
        record.append(&self.storage, &mut pages)?;
        Ok(())
    }

    /// A page for a row that has outgrown its own, while that is latched: only by trying, or fresh from the file's end.
    pub(super) fn other_page_with_room(&self, len: usize) -> Result<PageWriteGuard> {
        let pool = self.storage.pool();
        for _ in 0..4 {
            self.load_free_space();
            let Some(block) = self.free.take(len) else { break };
            let pinned = pool.fetch(self.relation.main_page(block))?;
            if let Ok(page) = pinned.try_write()
                && (page.is_unused() || (page.kind() == PageKind::HEAP && fits(&page, len)))
            {
                self.free.note(block, page.free_total().saturating_sub(len + 4));
                return Ok(page);
            }
        }
        let page = pool.allocate(self.relation.fork(ochre_base::Fork::Main))?;
        self.free.note(page.key().block, ochre_base::limits::PAGE_SIZE - 64 - len.min(8000));
        Ok(page)
    }

    /// Frees values that were stored for a version that was not written.
    fn free_pending(&self, rid: RowId, payload: &[u8], pending: &[crate::row::PendingValue]) {
        for value in pending {
            let at = value.reference_at + 8;
            if let Some(raw) = payload.get(at..).and_then(|b| b.first_chunk::<8>()) {
                // Room lost, at worst.
                let _ = self.free_pieces(rid, Link::from_u64(u64::from_le_bytes(*raw)));
            }
        }
    }
}

/// An item of the main fork: the home of a moved row, header, payload.
fn item(
    context: EditContext,
    info: Info,
    older: Link,
    home: Option<RowId>,
    payload: &[u8],
) -> SmallVec<[u8; 512]> {
    let header = VersionHeader {
        xid: context.xid,
        older,
        cid: context.cid,
        schema_version: context.schema_version,
        info,
    };
    let mut item = SmallVec::new();
    if let Some(home) = home {
        item.extend_from_slice(&home.to_u64().to_le_bytes());
    }
    item.extend_from_slice(&header.encode());
    item.extend_from_slice(payload);
    item
}

/// The error for a row that changed under REPEATABLE READ or SERIALIZABLE.
pub fn serialization_failure(outcome: WriteOutcome) -> Error {
    let what = if outcome == WriteOutcome::Deleted { "delete" } else { "update" };
    Error::new(
        SqlState::SERIALIZATION_FAILURE,
        format!("could not serialize access due to concurrent {what}"),
    )
}
