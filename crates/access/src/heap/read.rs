//! Reading rows: by id, by page, and for unique checks.

use ochre_base::{BlockNo, Error, Result, RowId, Xid};
use ochre_storage::{Page, ScanRing, Slot};
use ochre_txn::{Outcome, Snapshot, Transaction};
use smallvec::{SmallVec, smallvec};

use super::Heap;
use super::chain::Walk;
use super::edit::{PAGE_ALL_VISIBLE, kind};
use super::version::{HOME_BYTES, Info, Link, VersionHeader, VersionRef};

/// What memory hands out at a time.
const CACHE_LINE_BYTES: usize = 64;
/// Versions of a page that a scan collects without asking the allocator.
const KEPT_ROWS: usize = 128;

/// Versions on one page.
pub type PageVersions<'a> = SmallVec<[VersionRef<'a>; KEPT_ROWS]>;

/// Whether a version counts for a unique check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It is the row's newest committed version, or the transaction's own.
    Live,
    /// It is or becomes live depending on how this transaction ends.
    Depends(Xid),
}

impl<'a> VersionRef<'a> {
    #[inline]
    pub(crate) fn new(
        rid: RowId,
        header: &VersionHeader,
        payload: &'a [u8],
        recheck_keys: bool,
    ) -> VersionRef<'a> {
        VersionRef {
            rid,
            xid: header.xid,
            cid: header.cid,
            schema_version: header.schema_version,
            recheck_keys,
            flags: header.info.row_flags(),
            payload,
        }
    }
}

#[cold]
pub(super) fn damaged_version(at: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("a version at {at} is damaged"))
}

/// The newest version of a row that lies on its page: its bytes, and their parts.
#[inline]
fn first_version(page: &Page, slot: Slot, rid: RowId) -> Result<(&[u8], VersionHeader, &[u8])> {
    let item = page.row_of(slot).ok_or_else(|| damaged_version(rid))?;
    let (header, payload) = VersionHeader::decode(item).ok_or_else(|| damaged_version(rid))?;
    Ok((item, header, payload))
}

/// Where a stub leads.
pub(super) fn forward_target(stub: &[u8]) -> Result<RowId> {
    let raw: &[u8; 8] = stub.first_chunk().ok_or_else(|| Error::corrupt("a forwarding stub is too short"))?;
    Ok(Link::from_u64(u64::from_le_bytes(*raw)).at())
}

#[cold]
pub(super) fn stub_misleads(rid: RowId, target: RowId) -> Error {
    Error::corrupt(format!("row {rid} is not where its stub leads, {target}"))
}

/// The home that a moved row's item begins with, and the version.
pub(super) fn split_moved(item: &[u8]) -> Result<(RowId, &[u8])> {
    let (home, version) =
        item.split_first_chunk::<HOME_BYTES>().ok_or_else(|| Error::corrupt("a moved row is too short"))?;
    Ok((RowId::from_u64(u64::from_le_bytes(*home)), version))
}

impl Heap {
    /// Looks at the version of a row that a snapshot sees, on its latched page: `look` must be quick and must not
    /// touch the heap. `None` when the snapshot sees no version.
    ///
    /// # Errors
    /// XX001 and 58030 when a page cannot be read.
    pub fn fetch<R>(
        &self,
        snapshot: &Snapshot,
        rid: RowId,
        look: impl FnOnce(VersionRef<'_>) -> R,
    ) -> Result<Option<R>> {
        let page = self.read_page(rid.block)?;
        match page.slot(rid.slot).flags {
            kind::ROW => {
                let item = page.row(rid.slot).ok_or_else(|| damaged_version(rid))?;
                self.see(&page, rid.block, snapshot, rid, item, look)
            }
            kind::FORWARD => {
                drop(page);
                self.fetch_moved(rid, |page, block, item| self.see(page, block, snapshot, rid, item, look))
                    .map(Option::flatten)
            }
            _ => Ok(None),
        }
    }

    /// Calls `look` with the page, block and newest version of a row that may live away from its home; follows it if
    /// it moves meanwhile. `None` when there is no such row.
    fn fetch_moved<R>(
        &self,
        rid: RowId,
        look: impl FnOnce(&Page, BlockNo, &[u8]) -> Result<R>,
    ) -> Result<Option<R>> {
        let mut in_vain = None;
        loop {
            let home = self.read_page(rid.block)?;
            let target = match home.slot(rid.slot).flags {
                kind::ROW => {
                    let item = home.row(rid.slot).ok_or_else(|| damaged_version(rid))?;
                    return look(&home, rid.block, item).map(Some);
                }
                kind::FORWARD => forward_target(home.row(rid.slot).unwrap_or_default())?,
                _ => return Ok(None),
            };
            // Who moves a row changes its stub by the same record.
            if in_vain.replace((target, home.lsn())) == Some((target, home.lsn())) {
                return Err(stub_misleads(rid, target));
            }
            // Two latches of heap pages would have to be taken in the order of their blocks. The row's id in the item
            // tells whether it is still there.
            drop(home);
            let away = self.read_page(target.block)?;
            if away.slot(target.slot).flags == kind::MOVED {
                let (home, version) = split_moved(away.row(target.slot).unwrap_or_default())?;
                if home == rid {
                    return look(&away, target.block, version).map(Some);
                }
            }
        }
    }

    /// Finds the version that a snapshot sees in the chain that begins with `newest`, on `page`.
    #[inline]
    fn see<R>(
        &self,
        page: &Page,
        block: BlockNo,
        snapshot: &Snapshot,
        rid: RowId,
        newest: &[u8],
        look: impl FnOnce(VersionRef<'_>) -> R,
    ) -> Result<Option<R>> {
        let (header, payload) = VersionHeader::decode(newest).ok_or_else(|| damaged_version(rid))?;
        let recheck = header.info.has(Info::KEYS_DIFFER);
        if snapshot.sees(header.xid, header.cid) {
            if header.is_tombstone() {
                return Ok(None);
            }
            return Ok(Some(look(VersionRef::new(rid, &header, payload, recheck))));
        }
        snapshot.met_unseen(self.relation, header.xid, header.cid)?;
        if header.older.is_none() {
            return Ok(None);
        }
        self.see_older(page, block, snapshot, rid, header.older, recheck, look)
    }

    #[cold]
    #[allow(clippy::too_many_arguments, reason = "the state of a walk, split off from its hot first step")]
    fn see_older<R>(
        &self,
        page: &Page,
        block: BlockNo,
        snapshot: &Snapshot,
        rid: RowId,
        mut link: Link,
        mut recheck: bool,
        look: impl FnOnce(VersionRef<'_>) -> R,
    ) -> Result<Option<R>> {
        let mut look = Some(look);
        let mut walk = Walk::default();
        while !link.is_none() {
            walk.pass(link)?;
            let found = self.with_version(page, block, link, |header, payload| {
                recheck |= header.info.has(Info::KEYS_DIFFER);
                if !snapshot.sees(header.xid, header.cid) {
                    return Err(*header);
                }
                if header.is_tombstone() {
                    return Ok(None);
                }
                let look = look.take().expect("one version is seen");
                Ok(Some(look(VersionRef::new(rid, header, payload, recheck))))
            })?;
            match found {
                Ok(answer) => return Ok(answer),
                Err(unseen) => {
                    snapshot.met_unseen(self.relation, unseen.xid, unseen.cid)?;
                    link = unseen.older;
                }
            }
        }
        Ok(None)
    }

    /// Looks at an older version, on the page of the newest one or in the history fork (H2).
    pub(super) fn with_version<R>(
        &self,
        page: &Page,
        block: BlockNo,
        link: Link,
        look: impl FnOnce(&VersionHeader, &[u8]) -> R,
    ) -> Result<R> {
        let at = link.at();
        if link.is_history() {
            let history = self.read_history(at.block)?;
            let item = history.row(at.slot).filter(|_| history.slot(at.slot).flags == kind::OLDER);
            let (header, payload) =
                item.and_then(VersionHeader::decode).ok_or_else(|| self.broken_link(link))?;
            return Ok(look(&header, payload));
        }
        let item = page.row(at.slot).filter(|_| at.block == block && page.slot(at.slot).flags == kind::OLDER);
        let (header, payload) = item.and_then(VersionHeader::decode).ok_or_else(|| self.broken_link(link))?;
        Ok(look(&header, payload))
    }

    #[cold]
    pub(super) fn broken_link(&self, link: Link) -> Error {
        let fork = if link.is_history() { "history " } else { "" };
        Error::corrupt(format!(
            "no older version at {fork}{} of base/{}/{}",
            link.at(),
            self.relation.database,
            self.relation.file
        ))
    }

    /// Visits the version that a snapshot sees of every row with its home on a block, on its latched page: `visit`
    /// must be quick and must not touch the heap. Rows come in the order of their slots, those that live elsewhere
    /// last.
    ///
    /// # Errors
    /// XX001 and 58030 when a page cannot be read, and what `visit` returns.
    pub fn scan_page(
        &self,
        block: BlockNo,
        snapshot: &Snapshot,
        ring: Option<&mut ScanRing>,
        mut visit: impl FnMut(VersionRef<'_>) -> Result<()>,
    ) -> Result<()> {
        let page = self.scanned_page(block, ring)?;
        let all_visible = page.flags() & PAGE_ALL_VISIBLE != 0;
        let mut elsewhere: Vec<RowId> = Vec::new();
        for slot in 0..page.slot_count() {
            let rid = RowId { block, slot };
            match page.slot(slot).flags {
                kind::ROW => {
                    let item = page.row(slot).ok_or_else(|| damaged_version(rid))?;
                    if all_visible {
                        let (header, payload) =
                            VersionHeader::decode(item).ok_or_else(|| damaged_version(rid))?;
                        let recheck = header.info.has(Info::KEYS_DIFFER);
                        visit(VersionRef::new(rid, &header, payload, recheck))?;
                    } else {
                        self.see(&page, block, snapshot, rid, item, &mut visit)?.unwrap_or(Ok(()))?;
                    }
                }
                kind::FORWARD => elsewhere.push(rid),
                _ => {}
            }
        }
        drop(page);
        for rid in elsewhere {
            self.fetch(snapshot, rid, &mut visit)?.unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    /// As [`Heap::scan_page`], many versions at a time, of which `visit` may take some away.
    ///
    /// # Errors
    /// As [`Heap::scan_page`].
    pub fn scan_page_together(
        &self,
        block: BlockNo,
        snapshot: &Snapshot,
        ring: Option<&mut ScanRing>,
        mut visit: impl FnMut(&mut PageVersions<'_>) -> Result<()>,
    ) -> Result<()> {
        let page = self.scanned_page(block, ring)?;
        // One load a cache line, none of which waits for another: the page is near when its rows are looked at.
        std::hint::black_box(page.bytes().iter().step_by(CACHE_LINE_BYTES).fold(0u8, |all, byte| all | byte));
        let slots = (0..).zip(page.slots());
        let elsewhere = self.visit_together(&page, block, snapshot, slots, &mut visit)?;
        drop(page);
        self.visit_elsewhere(snapshot, elsewhere, visit)
    }

    /// Visits the versions that a snapshot sees of some rows with their homes on a block, many at a time: as
    /// [`Heap::scan_page_together`], without a look at the block's other rows. The slots are those of row ids that an
    /// index gave under the snapshot.
    ///
    /// # Errors
    /// As [`Heap::scan_page`].
    pub fn read_rows_together(
        &self,
        block: BlockNo,
        snapshot: &Snapshot,
        ring: Option<&mut ScanRing>,
        slots: impl Iterator<Item = u16>,
        mut visit: impl FnMut(&mut PageVersions<'_>) -> Result<()>,
    ) -> Result<()> {
        let page = self.scanned_page(block, ring)?;
        let slots = slots.map(|number| (number, page.slot(number)));
        let elsewhere = self.visit_together(&page, block, snapshot, slots, &mut visit)?;
        drop(page);
        self.visit_elsewhere(snapshot, elsewhere, visit)
    }

    /// Visits all rows of a block that every snapshot sees; false, without a visit, for any other block.
    ///
    /// # Errors
    /// As [`Heap::scan_page`].
    pub fn read_all_visible(
        &self,
        block: BlockNo,
        ring: Option<&mut ScanRing>,
        visit: impl FnOnce(&PageVersions<'_>) -> Result<()>,
    ) -> Result<bool> {
        let page = self.scanned_page(block, ring)?;
        if page.flags() & PAGE_ALL_VISIBLE == 0 {
            return Ok(false);
        }
        let mut versions: PageVersions<'_> = SmallVec::new();
        for (number, slot) in (0..).zip(page.slots()) {
            let rid = RowId { block, slot: number };
            match slot.flags {
                kind::ROW => {
                    let (_, header, payload) = first_version(&page, slot, rid)?;
                    versions.push(VersionRef::new(rid, &header, payload, header.info.has(Info::KEYS_DIFFER)));
                }
                kind::FORWARD => return Ok(false),
                _ => {}
            }
        }
        visit(&versions)?;
        Ok(true)
    }

    /// Visits rows that lie on their page; gives those that do not.
    #[inline]
    fn visit_together<'p>(
        &self,
        page: &'p Page,
        block: BlockNo,
        snapshot: &Snapshot,
        slots: impl Iterator<Item = (u16, Slot)>,
        visit: &mut impl FnMut(&mut PageVersions<'_>) -> Result<()>,
    ) -> Result<Vec<RowId>> {
        let all_visible = page.flags() & PAGE_ALL_VISIBLE != 0;
        let mut kept: PageVersions<'p> = SmallVec::new();
        let mut elsewhere: Vec<RowId> = Vec::new();
        for (number, slot) in slots {
            let rid = RowId { block, slot: number };
            match slot.flags {
                kind::ROW => {
                    let (item, header, payload) = first_version(page, slot, rid)?;
                    if all_visible || snapshot.sees(header.xid, header.cid) && !header.is_tombstone() {
                        kept.push(VersionRef::new(rid, &header, payload, header.info.has(Info::KEYS_DIFFER)));
                        continue;
                    }
                    // In the order of the slots.
                    if !kept.is_empty() {
                        visit(&mut kept)?;
                        kept.clear();
                    }
                    let look = |version: VersionRef<'_>| visit(&mut smallvec![version]);
                    self.see(page, block, snapshot, rid, item, look)?.unwrap_or(Ok(()))?;
                }
                kind::FORWARD => elsewhere.push(rid),
                _ => {}
            }
        }
        if !kept.is_empty() {
            visit(&mut kept)?;
        }
        Ok(elsewhere)
    }

    fn visit_elsewhere(
        &self,
        snapshot: &Snapshot,
        rows: Vec<RowId>,
        mut visit: impl FnMut(&mut PageVersions<'_>) -> Result<()>,
    ) -> Result<()> {
        for rid in rows {
            let look = |version: VersionRef<'_>| visit(&mut smallvec![version]);
            self.fetch(snapshot, rid, look)?.unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    /// Visits every version of a row that is or may become live, whatever snapshot: for unique checks. The row's id
    /// comes from an index without the protection of a snapshot, so compare keys: it may name another row by now.
    ///
    /// # Errors
    /// XX001 and 58030 when a page cannot be read, and what `visit` returns.
    pub fn live_versions(
        &self,
        transaction: &Transaction,
        rid: RowId,
        mut visit: impl FnMut(VersionRef<'_>, Liveness) -> Result<()>,
    ) -> Result<()> {
        if rid.block.0 >= self.block_count()? {
            return Ok(());
        }
        let visited = self.fetch_moved(rid, |page, block, newest| {
            let (header, payload) = VersionHeader::decode(newest).ok_or_else(|| damaged_version(rid))?;
            let mut liveness = Liveness::Live;
            let mut older = self.visit_live(transaction, rid, &header, payload, &mut liveness, &mut visit)?;
            let mut walk = Walk::default();
            while let Some(link) = older.filter(|link| !link.is_none()) {
                walk.pass(link)?;
                older = self.with_version(page, block, link, |header, payload| {
                    self.visit_live(transaction, rid, header, payload, &mut liveness, &mut visit)
                })??;
            }
            Ok(())
        })?;
        debug_assert!(visited.is_none_or(|()| true));
        Ok(())
    }

    /// Visits every version of a row, the newest first, whatever became of their creators; tombstones are passed over.
    /// For checks: nobody may write meanwhile.
    ///
    /// # Errors
    /// XX001 and 58030 when a page cannot be read, and what `visit` returns.
    pub fn each_version(
        &self,
        rid: RowId,
        mut visit: impl FnMut(VersionRef<'_>) -> Result<()>,
    ) -> Result<()> {
        if rid.block.0 >= self.block_count()? {
            return Ok(());
        }
        let visited = self.fetch_moved(rid, |page, block, newest| {
            let (header, payload) = VersionHeader::decode(newest).ok_or_else(|| damaged_version(rid))?;
            let mut step = |header: &VersionHeader, payload: &[u8]| {
                if !header.is_tombstone() {
                    visit(VersionRef::new(rid, header, payload, true))?;
                }
                Ok::<Link, Error>(header.older)
            };
            let mut link = step(&header, payload)?;
            let mut walk = Walk::default();
            while !link.is_none() {
                walk.pass(link)?;
                link = self.with_version(page, block, link, &mut step)??;
            }
            Ok(())
        })?;
        debug_assert!(visited.is_none_or(|()| true));
        Ok(())
    }

    /// One step of [`Heap::live_versions`]; where to go on.
    fn visit_live(
        &self,
        transaction: &Transaction,
        rid: RowId,
        header: &VersionHeader,
        payload: &[u8],
        liveness: &mut Liveness,
        visit: &mut impl FnMut(VersionRef<'_>, Liveness) -> Result<()>,
    ) -> Result<Option<Link>> {
        let version = VersionRef::new(rid, header, payload, true);
        if header.xid == transaction.xid() {
            if transaction.is_dead(header.cid) {
                return Ok(Some(header.older));
            }
            if !header.is_tombstone() {
                visit(version, *liveness)?;
            }
            return Ok(None);
        }
        let outcomes = self.manager.outcomes();
        match outcomes.outcome(header.xid) {
            Outcome::Aborted => Ok(Some(header.older)),
            Outcome::Running { has_dead } | Outcome::Committed { has_dead, .. }
                if has_dead && outcomes.is_dead(header.xid, header.cid) =>
            {
                Ok(Some(header.older))
            }
            Outcome::Running { .. } => {
                *liveness = Liveness::Depends(header.xid);
                if !header.is_tombstone() {
                    visit(version, *liveness)?;
                }
                Ok(Some(header.older))
            }
            Outcome::Committed { lsn, .. } => {
                transaction.note_met(lsn);
                if !header.is_tombstone() {
                    visit(version, *liveness)?;
                }
                Ok(None)
            }
        }
    }
}
