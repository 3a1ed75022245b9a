//! What the collector does on one block.
//!
//! # Role
//! Goes through the chains of the rows with their home on a block, unlinks versions that nobody sees, frees their large
//! values, removes whole rows with their index entries, and takes the block into the all-visible map.
//!
//! # Invariants
//! - K1: index entries are removed, and logged, before the version that they belong to is unlinked; a version is
//!   unlinked before its large values are freed.
//! - K2: from a chain in which some version carries `KEYS_DIFFER` nothing is unlinked without asking the indexes (H4).
//! - K3: a single version left of such a chain loses the bit: only entries of its own keys are left. Not at once: a scan
//!   may have copied the removed entry from its leaf and come for the row later, and knows by the bit that it has to
//!   compare keys. Such a scan's snapshot was registered before the entry was removed, so it lies before the page's
//!   position in the log; the bit stays while such a snapshot is open. For the same reason a version that takes the
//!   place of one with the bit gets it.
//! - K5: a page is marked all-visible only when no snapshot is open from before its last change: an index-only scan
//!   may hold a copy of an entry that is gone.
//! - K4: a deleted row goes only when its tombstone is durable and no open snapshot lies before it.

use ochre_base::{BlockNo, Lsn, Result, RowId, Xid};
use ochre_storage::{PageKind, PageWriteGuard};
use ochre_txn::Outcome;
use smallvec::SmallVec;

use super::Heap;
use super::chain::{Standing, Walk};
use super::edit::{PAGE_ALL_VISIBLE, kind, unused_slot};
use super::history::version_in;
use super::prune::{Judge, Verdict};
use super::read::damaged_version;
use super::record::{HeapRecord, info};
use super::version::{HOME_BYTES, Info, Link, VersionHeader, VersionRef};
use crate::row::{OverflowReference, overflow_references};

/// What came of visiting a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Collected {
    /// The youngest open snapshot that needs something which stayed; `Lsn::MAX` to come again soon.
    pub(crate) kept_for: Option<Lsn>,
    /// A version of an aborted transaction could not be unlinked.
    pub(crate) left_void: bool,
    /// Versions unlinked.
    pub(crate) versions: u64,
    /// Of those, how many were no tombstones.
    pub(crate) dead: u64,
    /// Rows removed.
    pub(crate) rows: u64,
    /// Whether the block is in the all-visible map now.
    pub(crate) all_visible: bool,
    /// The oldest transaction still running that has written here.
    pub(crate) running: Option<Xid>,
}

impl Collected {
    fn note_running(&mut self, standing: Standing) {
        if let Standing::Running(xid, _) = standing {
            self.running = Some(self.running.map_or(xid, |other| other.min(xid)));
        }
    }
}

/// One version of a chain under judgment.
struct Entry {
    /// Where it lies; nowhere for the first, which lies in the row's slot.
    at: Link,
    header: VersionHeader,
    standing: Standing,
    doomed: bool,
}

impl Heap {
    /// Unlinks what nobody sees from the rows with their home on a block. With `mark`, takes the block into the
    /// all-visible map if it can be.
    pub(crate) fn collect_block(&self, block: BlockNo, mark: bool) -> Result<Collected> {
        let mut collected = Collected::default();
        if block.0 >= self.block_count()? {
            return Ok(collected);
        }
        let mut page = self.write_page(block)?;
        if page.is_unused() || page.kind() != PageKind::HEAP {
            return Ok(collected);
        }
        if page.flags() & PAGE_ALL_VISIBLE != 0 {
            collected.all_visible = true;
            self.free.note(block, page.free_total());
            return Ok(collected);
        }
        let mut judge = Judge::new(self, None);
        let mut changed = page.lsn();
        let mut elsewhere: SmallVec<[RowId; 8]> = SmallVec::new();
        for slot in 0..page.slot_count() {
            let rid = RowId { block, slot };
            match page.slot(slot).flags {
                kind::ROW => {
                    let before = collected.versions;
                    self.collect_row(&mut judge, &mut page, None, slot, rid, changed, &mut collected)?;
                    // What was removed counts as a change; a bit that was cleared does not.
                    if collected.versions > before {
                        changed = page.lsn();
                    }
                }
                kind::FORWARD => elsewhere.push(rid),
                _ => {}
            }
        }
        if mark && elsewhere.is_empty() {
            match self.manager.open_snapshots().youngest_before(changed) {
                None => self.mark_if_all_visible(&mut judge, &mut page, &mut collected)?,
                Some(snapshot) => collected.kept_for = collected.kept_for.max(Some(snapshot)), // K5
            }
        }
        self.free.note(block, page.free_total());
        drop(page);
        for rid in elsewhere {
            if let Some(mut row) = self.latch_row(rid)? {
                let slot = row.slot;
                let (page, home) = match &mut row.away {
                    Some(away) => (away, Some(&mut row.home)),
                    None => (&mut row.home, None),
                };
                let changed = page.lsn();
                self.collect_row(&mut judge, page, home, slot, rid, changed, &mut collected)?;
                self.free.note(page.key().block, page.free_total());
            }
        }
        collected.kept_for = collected.kept_for.max(judge.kept_for);
        Ok(collected)
    }

    /// Rows whose newest version lies on a block and is none that says that they are gone.
    pub(crate) fn count_rows(&self, block: BlockNo) -> Result<u64> {
        let page = self.read_page(block)?;
        if page.is_unused() || page.kind() != PageKind::HEAP {
            return Ok(0);
        }
        let is_there = |slot: &u16| {
            matches!(page.slot(*slot).flags, kind::ROW | kind::MOVED)
                && version_in(&page, *slot).is_some_and(|(version, _)| !version.is_tombstone())
        };
        Ok((0..page.slot_count()).filter(is_there).count() as u64)
    }

    /// Collects one chain. `page` is where its newest version lies; `home`, when that is another, has its stub. The page
    /// was last changed at `changed`, but for bits that were cleared (K3).
    #[allow(clippy::too_many_arguments, reason = "the state of a visit, and where one row lies")]
    fn collect_row(
        &self,
        judge: &mut Judge<'_>,
        page: &mut PageWriteGuard,
        home: Option<&mut PageWriteGuard>,
        slot: u16,
        rid: RowId,
        changed: Lsn,
        collected: &mut Collected,
    ) -> Result<()> {
        let (first, _) = version_in(page, slot).ok_or_else(|| damaged_version(rid))?;
        if first.older.is_none() && !first.is_tombstone() {
            let standing = judge.standing(&first);
            if let Standing::Committed(_) = standing {
                return self.clear_bit_of_single(page, slot, first, changed, collected);
            }
            if standing != Standing::Void {
                collected.note_running(standing);
                return Ok(());
            }
        }
        let chain = self.judged_chain(judge, page, slot, first)?;
        chain.iter().for_each(|entry| collected.note_running(entry.standing));
        if self.row_is_garbage(judge, &chain, collected) {
            return self.remove_row(page, home, slot, rid, chain, collected);
        }
        if !chain.iter().any(|e| e.doomed) {
            return Ok(());
        }
        let keys_differ = chain.iter().any(|e| e.header.info.has(Info::KEYS_DIFFER));
        if keys_differ && !self.clean_indexes(page, slot, rid, &chain, collected)? {
            return Ok(());
        }
        let values = self.values_of_doomed(page, slot, &chain)?;
        self.unlink_doomed(page, slot, &chain, collected)?;
        let stays =
            !chain[0].doomed || self.replace_void_first(page, home, slot, rid, keys_differ, collected)?;
        for reference in values {
            self.free_pieces(rid, Link::from_u64(reference.first))?;
        }
        if !stays {
            // On its new page it is visited again.
            collected.kept_for = Some(Lsn::MAX);
            return Ok(());
        }
        let (first, _) = version_in(page, slot).ok_or_else(|| damaged_version(rid))?;
        if first.older.is_none() && matches!(judge.standing(&first), Standing::Committed(_)) {
            let changed = page.lsn();
            self.clear_bit_of_single(page, slot, first, changed, collected)?;
        }
        Ok(())
    }

    /// The whole chain with a verdict on each version.
    fn judged_chain(
        &self,
        judge: &mut Judge<'_>,
        page: &PageWriteGuard,
        slot: u16,
        first: VersionHeader,
    ) -> Result<Vec<Entry>> {
        let block = page.key().block;
        debug_assert!(slot < page.slot_count());
        let mut chain: Vec<Entry> = Vec::new();
        let mut successor: Option<(VersionHeader, Standing)> = None;
        let (mut at, mut header) = (Link::NONE, first);
        let mut walk = Walk::default();
        loop {
            let standing = judge.standing(&header);
            let doomed = match &successor {
                None => standing == Standing::Void,
                Some((newer, newer_standing)) => {
                    judge.judge((&header, standing), (newer, *newer_standing)) != Verdict::Keep
                }
            };
            if standing != Standing::Void {
                successor = Some((header, standing));
            }
            chain.push(Entry { at, header, standing, doomed });
            if header.older.is_none() {
                return Ok(chain);
            }
            at = header.older;
            walk.pass(at)?;
            header = self.with_version(page, block, at, |header, _| *header)?;
        }
    }

    /// Whether nobody will ever see the row again (K4).
    fn row_is_garbage(&self, judge: &mut Judge<'_>, chain: &[Entry], collected: &mut Collected) -> bool {
        let Some(current) = chain.iter().find(|e| e.standing != Standing::Void) else { return true };
        let Standing::Committed(lsn) = current.standing else { return false };
        if !current.header.is_tombstone() {
            return false;
        }
        if lsn > self.storage.wal().flushed() {
            collected.kept_for = Some(Lsn::MAX);
            return false;
        }
        match judge.open().youngest_in(Lsn::ZERO, lsn) {
            None => true,
            Some(snapshot) => {
                collected.kept_for = collected.kept_for.max(Some(snapshot));
                false
            }
        }
    }

    /// Asks the indexes to remove entries of what is doomed (K1); false when the relation's indexes are not known, or one
    /// cannot tell yet.
    fn clean_indexes(
        &self,
        page: &PageWriteGuard,
        slot: u16,
        rid: RowId,
        chain: &[Entry],
        collected: &mut Collected,
    ) -> Result<bool> {
        let Some(cleanup) = self.index_cleanup() else {
            collected.left_void |= chain.iter().any(|e| e.doomed && e.standing == Standing::Void);
            return Ok(false);
        };
        let mut payloads: Vec<Vec<u8>> = Vec::with_capacity(chain.len());
        for entry in chain {
            payloads.push(self.payload_of(page, slot, entry)?);
        }
        let versions = |doomed: bool| -> Vec<VersionRef<'_>> {
            chain
                .iter()
                .zip(&payloads)
                .filter(|(e, _)| e.doomed == doomed && !e.header.is_tombstone())
                .map(|(e, payload)| VersionRef::new(rid, &e.header, payload, true))
                .collect()
        };
        if !cleanup.remove_entries(rid, &versions(true), &versions(false))? {
            collected.left_void |= chain.iter().any(|e| e.doomed && e.standing == Standing::Void);
            collected.kept_for = Some(Lsn::MAX);
            return Ok(false);
        }
        self.storage.wal().reserve()?;
        Ok(true)
    }

    fn payload_of(&self, page: &PageWriteGuard, slot: u16, entry: &Entry) -> Result<Vec<u8>> {
        if entry.at.is_none() {
            let at = RowId { block: page.key().block, slot };
            return version_in(page, slot).map(|(_, p)| p.to_vec()).ok_or_else(|| damaged_version(at));
        }
        self.with_version(page, page.key().block, entry.at, |_, payload| payload.to_vec())
    }

    /// The large values that only doomed versions have.
    fn values_of_doomed(
        &self,
        page: &PageWriteGuard,
        slot: u16,
        chain: &[Entry],
    ) -> Result<Vec<OverflowReference>> {
        if !chain.iter().any(|e| e.doomed && e.header.info.has(Info::HAS_OVERFLOW)) {
            return Ok(Vec::new());
        }
        let mut lost: Vec<OverflowReference> = Vec::new();
        let mut kept: Vec<OverflowReference> = Vec::new();
        for entry in chain.iter().filter(|e| e.header.info.has(Info::HAS_OVERFLOW)) {
            let payload = self.payload_of(page, slot, entry)?;
            let references = overflow_references(&payload, entry.header.info.row_flags())?;
            if entry.doomed { &mut lost } else { &mut kept }.extend(references);
        }
        lost.retain(|r| r.first != 0 && !kept.iter().any(|k| k.first == r.first));
        lost.sort_unstable_by_key(|r| r.first);
        lost.dedup_by_key(|r| r.first);
        Ok(lost)
    }

    /// Unlinks the doomed versions but the first: those in the history fork one record each, those on the page together.
    fn unlink_doomed(
        &self,
        page: &mut PageWriteGuard,
        slot: u16,
        chain: &[Entry],
        collected: &mut Collected,
    ) -> Result<()> {
        // Oldest first, so that what a link leads to is known.
        let mut next = Link::NONE;
        let mut page_steps: SmallVec<[(u16, Option<Link>); 8]> = SmallVec::new();
        for index in (1..chain.len()).rev() {
            let entry = &chain[index];
            let newer = &chain[index - 1];
            if !entry.doomed {
                next = entry.at;
                continue;
            }
            collected.versions += 1;
            collected.dead += u64::from(!entry.header.is_tombstone());
            if entry.at.is_history() {
                self.unlink_history(page, slot, newer.at, entry, next)?;
            } else {
                page_steps.push((entry.at.at().slot, None));
                let newer_slot = if newer.at.is_none() { slot } else { newer.at.at().slot };
                page_steps.push((newer_slot, Some(next)));
            }
        }
        self.storage.wal().reserve()?;
        if !page_steps.is_empty() {
            let mut record = HeapRecord::maintenance(info::PRUNE);
            note_removed(&mut record, chain);
            let mut edit = record.edit(0, page);
            // Links first: a slot that is freed may have been given one by a step about an older version.
            for (slot, link) in &page_steps {
                if let Some(link) = link {
                    edit.set_link(*slot, *link);
                }
            }
            for (slot, link) in &page_steps {
                if link.is_none() {
                    edit.free(*slot);
                }
            }
            record.append(&self.storage, &mut [page])?;
        }
        Ok(())
    }

    /// Unlinks one version in the history fork: its newer neighbour links to `next`.
    fn unlink_history(
        &self,
        page: &mut PageWriteGuard,
        slot: u16,
        newer: Link,
        entry: &Entry,
        next: Link,
    ) -> Result<()> {
        self.storage.wal().reserve()?;
        let mut record = HeapRecord::maintenance(info::UNLINK);
        if let Standing::Committed(lsn) = entry.standing {
            record.removes_until(lsn);
        }
        let at = entry.at.at();
        if !newer.is_history() {
            let newer_slot = if newer.is_none() { slot } else { newer.at().slot };
            let mut history = self.write_history(at.block)?;
            record.edit(0, page).set_link(newer_slot, next);
            record.edit(1, &mut history).free(at.slot);
            record.append(&self.storage, &mut [page, &mut history])?;
            self.note_history_room(&history);
            return Ok(());
        }
        let newer = newer.at();
        if newer.block == at.block {
            let mut history = self.write_history(at.block)?;
            let mut edit = record.edit(0, &mut history);
            edit.set_link(newer.slot, next);
            edit.free(at.slot);
            record.append(&self.storage, &mut [&mut history])?;
            self.note_history_room(&history);
            return Ok(());
        }
        // Two history pages, in the order of their blocks.
        let (mut low, mut high) = if newer.block < at.block {
            let low = self.write_history(newer.block)?;
            (low, self.write_history(at.block)?)
        } else {
            let low = self.write_history(at.block)?;
            (low, self.write_history(newer.block)?)
        };
        let (newer_page, old_page) =
            if newer.block < at.block { (&mut low, &mut high) } else { (&mut high, &mut low) };
        record.edit(0, newer_page).set_link(newer.slot, next);
        record.edit(1, old_page).free(at.slot);
        record.append(&self.storage, &mut [newer_page, old_page])?;
        self.note_history_room(old_page);
        Ok(())
    }

    /// Gives the row's slot, whose version is void, to the next older version. When that does not fit, the row leaves the
    /// page; false then.
    fn replace_void_first(
        &self,
        page: &mut PageWriteGuard,
        home: Option<&mut PageWriteGuard>,
        slot: u16,
        rid: RowId,
        keys_differ: bool,
        collected: &mut Collected,
    ) -> Result<bool> {
        let (void, _) = version_in(page, slot).ok_or_else(|| damaged_version(rid))?;
        collected.versions += 1;
        collected.dead += u64::from(!void.is_tombstone());
        let link = void.older;
        let flags = page.slot(slot).flags;
        if !link.is_history() && flags == kind::ROW {
            let older = version_in(page, link.at().slot).ok_or_else(|| self.broken_link(link))?.0.info;
            let mut record = HeapRecord::maintenance(info::PRUNE);
            let mut edit = record.edit(0, page);
            edit.move_item(link.at().slot, slot, kind::ROW);
            if keys_differ {
                edit.set_info(slot, older.with(Info::KEYS_DIFFER, true)); // K3
            }
            record.append(&self.storage, &mut [page])?;
            return Ok(true);
        }
        // A version on the page of a moved row lacks the bytes of its home: it takes the way over the history fork.
        self.spill_chain(page, slot)?;
        self.storage.wal().reserve()?;
        let link = version_in(page, slot).ok_or_else(|| damaged_version(rid))?.0.older;
        let home_bytes = if flags == kind::MOVED { HOME_BYTES } else { 0 };
        let older = self.read_history(link.at().block)?;
        let len = older.row(link.at().slot).ok_or_else(|| self.broken_link(link))?.len();
        drop(older);
        if page.slot(slot).len as usize + page.free_total() < home_bytes + len {
            self.forward_older(page, home, slot, rid, link, len, keys_differ)?;
            return Ok(false);
        }
        let mut history = self.write_history(link.at().block)?;
        let mut item: Vec<u8> = Vec::new();
        if flags == kind::MOVED {
            item.extend_from_slice(&rid.to_u64().to_le_bytes());
        }
        let at = item.len();
        item.extend_from_slice(history.row(link.at().slot).ok_or_else(|| self.broken_link(link))?);
        VersionHeader::set_keys_differ(&mut item[at..], keys_differ); // K3
        let mut record = HeapRecord::maintenance(info::PRUNE);
        record.edit(0, page).replace(slot, flags, &item);
        record.edit(1, &mut history).free(link.at().slot);
        record.append(&self.storage, &mut [page, &mut history])?;
        self.note_history_room(&history);
        Ok(true)
    }

    /// Puts a version of the history fork on a page with room, as the newest of its row, in place of a void one.
    #[allow(clippy::too_many_arguments, reason = "a step of `replace_void_first`")]
    fn forward_older(
        &self,
        page: &mut PageWriteGuard,
        home: Option<&mut PageWriteGuard>,
        slot: u16,
        rid: RowId,
        link: Link,
        len: usize,
        keys_differ: bool,
    ) -> Result<()> {
        let mut target = self.other_page_with_room(HOME_BYTES + len)?;
        self.clear_all_visible_alone(&mut target)?;
        self.storage.wal().reserve()?;
        let mut history = self.write_history(link.at().block)?;
        let mut item = rid.to_u64().to_le_bytes().to_vec();
        item.extend_from_slice(history.row(link.at().slot).ok_or_else(|| self.broken_link(link))?);
        VersionHeader::set_keys_differ(&mut item[HOME_BYTES..], keys_differ); // K3
        let mut record = HeapRecord::maintenance(info::MOVE);
        record.edit(0, &mut history).free(link.at().slot);
        let mut edit = record.edit(1, &mut target);
        if edit.page().is_unused() {
            edit.format(PageKind::HEAP);
        }
        let to_slot = unused_slot(edit.page());
        edit.put(to_slot, kind::MOVED, &item);
        let to = Link::main(RowId { block: target.key().block, slot: to_slot });
        let stub = to.to_u64().to_le_bytes();
        match home {
            None => {
                record.edit(2, page).replace(slot, kind::FORWARD, &stub);
                record.append(&self.storage, &mut [&mut history, &mut target, page])?;
            }
            Some(home) => {
                record.edit(2, page).free(slot);
                record.edit(3, home).replace(rid.slot, kind::FORWARD, &stub);
                record.append(&self.storage, &mut [&mut history, &mut target, page, home])?;
            }
        }
        self.note_history_room(&history);
        Ok(())
    }

    /// Removes a row: its index entries, then its versions from the oldest on, at last its slot.
    fn remove_row(
        &self,
        page: &mut PageWriteGuard,
        home: Option<&mut PageWriteGuard>,
        slot: u16,
        rid: RowId,
        mut chain: Vec<Entry>,
        collected: &mut Collected,
    ) -> Result<()> {
        chain.iter_mut().for_each(|e| e.doomed = true);
        if !self.clean_indexes(page, slot, rid, &chain, collected)? {
            return Ok(());
        }
        let values = self.values_of_doomed(page, slot, &chain)?;
        for index in (1..chain.len()).rev() {
            if chain[index].at.is_history() {
                self.unlink_history(page, slot, chain[index - 1].at, &chain[index], Link::NONE)?;
            }
        }
        self.storage.wal().reserve()?;
        let mut record = HeapRecord::maintenance(info::REMOVE_ROW);
        note_removed(&mut record, &chain);
        let mut edit = record.edit(0, page);
        edit.free(slot);
        for entry in chain[1..].iter().filter(|e| !e.at.is_history()) {
            edit.free(entry.at.at().slot);
        }
        edit.trim();
        match home {
            None => record.append(&self.storage, &mut [page])?,
            Some(home) => {
                record.edit(1, home).free(rid.slot);
                record.append(&self.storage, &mut [page, home])?
            }
        };
        collected.rows += 1;
        collected.versions += chain.len() as u64;
        collected.dead += chain.iter().filter(|e| !e.header.is_tombstone()).count() as u64;
        for reference in values {
            self.free_pieces(rid, Link::from_u64(reference.first))?;
        }
        Ok(())
    }

    /// K3.
    fn clear_bit_of_single(
        &self,
        page: &mut PageWriteGuard,
        slot: u16,
        first: VersionHeader,
        changed: Lsn,
        collected: &mut Collected,
    ) -> Result<()> {
        if !first.info.has(Info::KEYS_DIFFER) || first.is_tombstone() {
            return Ok(());
        }
        if let Some(snapshot) = self.manager.open_snapshots().youngest_before(changed) {
            collected.kept_for = collected.kept_for.max(Some(snapshot));
            return Ok(());
        }
        self.storage.wal().reserve()?;
        let mut record = HeapRecord::maintenance(info::PRUNE);
        record.edit(0, page).set_info(slot, Info(first.info.0 & !Info::KEYS_DIFFER));
        record.append(&self.storage, &mut [page])?;
        Ok(())
    }

    fn mark_if_all_visible(
        &self,
        judge: &mut Judge<'_>,
        page: &mut PageWriteGuard,
        collected: &mut Collected,
    ) -> Result<()> {
        let outcomes = self.manager.outcomes();
        let flushed = self.storage.wal().flushed();
        for slot in 0..page.slot_count() {
            match page.slot(slot).flags {
                0 => {}
                kind::ROW => {
                    let at = RowId { block: page.key().block, slot };
                    let (header, _) = version_in(page, slot).ok_or_else(|| damaged_version(at))?;
                    let lingers = header.info.has(Info::KEYS_DIFFER);
                    if !header.older.is_none() || header.is_tombstone() || lingers {
                        return Ok(());
                    }
                    // A reader of an all-visible page notes no commit for its reply's gate.
                    let waits_for = match outcomes.outcome(header.xid) {
                        Outcome::Committed { lsn, has_dead: false } if lsn <= flushed => {
                            judge.open().youngest_in(Lsn::ZERO, lsn)
                        }
                        Outcome::Committed { has_dead: false, .. } => Some(Lsn::MAX),
                        _ => return Ok(()),
                    };
                    if waits_for.is_some() {
                        collected.kept_for = collected.kept_for.max(waits_for);
                        return Ok(());
                    }
                }
                _ => return Ok(()),
            }
        }
        self.set_all_visible(page)?;
        collected.all_visible = true;
        Ok(())
    }
}

/// Notes the newest commit that ended a version which a record removes.
fn note_removed(record: &mut HeapRecord, chain: &[Entry]) {
    let newest = chain.iter().find_map(|e| match e.standing {
        Standing::Committed(lsn) => Some(lsn),
        _ => None,
    });
    if let Some(lsn) = newest {
        record.removes_until(lsn);
    }
}
