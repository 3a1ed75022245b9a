//! SIREAD locks: who has read which rows, pages, relations and ranges of index keys.
//!
//! # How
//! Rows are kept with their page; a transaction that has locked many rows of a page locks the page, one that has locked
//! many rows and pages of a relation locks the relation. Keys that were looked up are kept in a hash table, ranges that
//! were scanned in a list for each index.
//!
//! # Invariants
//! - L1: a coarser lock is entered before the finer ones that it replaces are taken out, and who looks for locks goes
//!   from fine to coarse: it finds one of them.
//! - L2: `OwnLocks` names everything that its transaction has in the tables.
//!
//! # Concurrency
//! The mutexes are leaves; a transaction's own list is locked before them.

use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::{HashMap, HashSet};
use ochre_base::{BlockNo, Lsn, RowId};
use ochre_storage::RelationKey;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use super::range::KeyRange;
use super::{Limits, SavedLock, SerialGranule, SerialId};

const PAGE_SHARDS: usize = 64;
const FILE_SHARDS: usize = 16;

/// Who holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(super) id: SerialId,
    /// Of summarised transactions: the last of their bounds.
    pub(super) until: Lsn,
}

pub(super) type Holders = SmallVec<[Holder; 4]>;

type PageKey = (RelationKey, BlockNo);

#[derive(Default)]
struct PageLocks {
    whole: SmallVec<[Holder; 1]>,
    rows: SmallVec<[(u16, Holder); 2]>,
}

struct RangeLock {
    range: KeyRange,
    holder: Holder,
    number: u32,
    /// The scan goes on, and may give a part of the range back.
    is_open: bool,
}

#[derive(Default)]
struct IndexLocks {
    keys: HashMap<Box<[u8]>, SmallVec<[Holder; 1]>>,
    ranges: Vec<RangeLock>,
}

enum OwnPage {
    Whole,
    Rows(SmallVec<[u16; 4]>),
}

struct OwnRelation {
    relation: RelationKey,
    granules: usize,
    whole: bool,
}

#[derive(Default)]
struct OwnIndex {
    keys: HashSet<Box<[u8]>>,
    ranges: usize,
    whole: bool,
}

/// What one transaction has locked (L2).
#[derive(Default)]
pub(super) struct OwnLocks {
    relations: SmallVec<[OwnRelation; 2]>,
    pages: HashMap<PageKey, OwnPage>,
    indexes: SmallVec<[(RelationKey, OwnIndex); 2]>,
    last_range: u32,
}

impl OwnLocks {
    fn relation(&mut self, relation: RelationKey) -> &mut OwnRelation {
        let at = match self.relations.iter().position(|own| own.relation == relation) {
            Some(at) => at,
            None => {
                self.relations.push(OwnRelation { relation, granules: 0, whole: false });
                self.relations.len() - 1
            }
        };
        &mut self.relations[at]
    }

    fn index(&mut self, index: RelationKey) -> &mut OwnIndex {
        let at = match self.indexes.iter().position(|(own, _)| *own == index) {
            Some(at) => at,
            None => {
                self.indexes.push((index, OwnIndex::default()));
                self.indexes.len() - 1
            }
        };
        &mut self.indexes[at].1
    }
}

/// The locks of all transactions.
pub(super) struct PredicateLocks {
    pages: [Mutex<HashMap<PageKey, PageLocks>>; PAGE_SHARDS],
    relations: [Mutex<HashMap<RelationKey, Holders>>; FILE_SHARDS],
    indexes: [Mutex<HashMap<RelationKey, IndexLocks>>; FILE_SHARDS],
    count: AtomicUsize,
}

fn mixed(value: u64) -> usize {
    (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}

/// Adds a holder once; of summarised ones the latest bound counts.
fn add_holder<A: smallvec::Array<Item = Holder>>(holders: &mut SmallVec<A>, holder: Holder) -> usize {
    match holders.iter_mut().find(|h| h.id == holder.id) {
        Some(known) => {
            known.until = known.until.max(holder.until);
            0
        }
        None => {
            holders.push(holder);
            1
        }
    }
}

impl PredicateLocks {
    pub(super) fn new() -> PredicateLocks {
        PredicateLocks {
            pages: std::array::from_fn(|_| Mutex::default()),
            relations: std::array::from_fn(|_| Mutex::default()),
            indexes: std::array::from_fn(|_| Mutex::default()),
            count: AtomicUsize::new(0),
        }
    }

    /// About how many locks there are.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn note(&self, added: usize, removed: usize) {
        self.count.fetch_add(added.wrapping_sub(removed), Ordering::Relaxed);
    }

    fn pages_of(&self, page: PageKey) -> MutexGuard<'_, HashMap<PageKey, PageLocks>> {
        let shard = mixed(page.0.file.0 << 32 ^ u64::from(page.1.0));
        self.pages[shard % PAGE_SHARDS].lock()
    }

    fn relations_of(&self, relation: RelationKey) -> MutexGuard<'_, HashMap<RelationKey, Holders>> {
        self.relations[mixed(relation.file.0) % FILE_SHARDS].lock()
    }

    fn indexes_of(&self, index: RelationKey) -> MutexGuard<'_, HashMap<RelationKey, IndexLocks>> {
        self.indexes[mixed(index.file.0) % FILE_SHARDS].lock()
    }

    // ---- locking ----

    pub(super) fn lock_row(
        &self,
        limits: &Limits,
        holder: Holder,
        own: &mut OwnLocks,
        relation: RelationKey,
        row: RowId,
    ) {
        let of_relation = own.relation(relation);
        if of_relation.whole {
            return;
        }
        if of_relation.granules >= limits.granules_per_relation {
            return self.lock_relation(holder, own, relation);
        }
        let page = (relation, row.block);
        let rows = match own.pages.entry(page).or_insert_with(|| OwnPage::Rows(SmallVec::new())) {
            OwnPage::Whole => return,
            OwnPage::Rows(rows) => rows,
        };
        if rows.contains(&row.slot) {
            return;
        }
        if rows.len() >= limits.rows_per_page {
            let freed = rows.len();
            self.lock_page(holder, page);
            own.pages.insert(page, OwnPage::Whole);
            let of_relation = own.relation(relation);
            of_relation.granules = of_relation.granules + 1 - freed;
            return;
        }
        rows.push(row.slot);
        own.relation(relation).granules += 1;
        self.pages_of(page).entry(page).or_default().rows.push((row.slot, holder));
        self.note(1, 0);
    }

    /// Puts a page in place of its rows.
    fn lock_page(&self, holder: Holder, page: PageKey) {
        let mut pages = self.pages_of(page);
        let locks = pages.entry(page).or_default();
        let added = add_holder(&mut locks.whole, holder);
        let before = locks.rows.len();
        locks.rows.retain(|(_, h)| h.id != holder.id);
        self.note(added, before - locks.rows.len());
    }

    pub(super) fn lock_relation(&self, holder: Holder, own: &mut OwnLocks, relation: RelationKey) {
        if std::mem::replace(&mut own.relation(relation).whole, true) {
            return;
        }
        self.add_relation(relation, holder); // L1
        let finer = own.relation(relation).granules > 0;
        own.relation(relation).granules = 0;
        if finer {
            let pages: Vec<PageKey> =
                own.pages.extract_if(|page, _| page.0 == relation).map(|(p, _)| p).collect();
            pages.into_iter().for_each(|page| self.release_page(holder.id, page));
        }
    }

    /// Enters a lock on a relation that is in no transaction's own list, or is entered there by the caller.
    pub(super) fn add_relation(&self, relation: RelationKey, holder: Holder) {
        let added = add_holder(self.relations_of(relation).entry(relation).or_default(), holder);
        self.note(added, 0);
    }

    pub(super) fn lock_key(
        &self,
        limits: &Limits,
        holder: Holder,
        own: &mut OwnLocks,
        index: RelationKey,
        key: &[u8],
    ) {
        let of_index = own.index(index);
        if of_index.whole || of_index.keys.contains(key) {
            return;
        }
        if of_index.keys.len() + of_index.ranges >= limits.ranges_per_index {
            return self.lock_index(holder, own, index);
        }
        of_index.keys.insert(key.into());
        let mut indexes = self.indexes_of(index);
        let holders = indexes.entry(index).or_default().keys.entry_ref(key).or_default();
        let added = add_holder(holders, holder);
        self.note(added, 0);
    }

    /// Locks a range; its number when the scan may give a part of it back.
    pub(super) fn lock_range(
        &self,
        limits: &Limits,
        holder: Holder,
        own: &mut OwnLocks,
        index: RelationKey,
        range: KeyRange,
    ) -> Option<u32> {
        own.last_range += 1;
        let number = own.last_range;
        let of_index = own.index(index);
        if of_index.whole {
            return None;
        }
        if of_index.keys.len() + of_index.ranges >= limits.ranges_per_index {
            self.lock_index(holder, own, index);
            return None;
        }
        let mut indexes = self.indexes_of(index);
        let locks = indexes.entry(index).or_default();
        // A range that is still open may shrink, so it covers nothing for others.
        if locks.ranges.iter().any(|r| r.holder.id == holder.id && !r.is_open && r.range.covers(&range)) {
            return None;
        }
        locks.ranges.push(RangeLock { range, holder, number, is_open: true });
        of_index.ranges += 1;
        self.note(1, 0);
        Some(number)
    }

    /// A scan has ended; it has read this part of its range, or all of it.
    pub(super) fn settle_range(&self, index: RelationKey, id: SerialId, number: u32, part: Option<KeyRange>) {
        let mut indexes = self.indexes_of(index);
        let Some(locks) = indexes.get_mut(&index) else { return };
        // Not found when it was replaced by a lock on the index, or its transaction has ended.
        if let Some(lock) = locks.ranges.iter_mut().find(|r| r.holder.id == id && r.number == number) {
            lock.is_open = false;
            if let Some(part) = part {
                lock.range = part;
            }
        }
    }

    /// Takes a lock that was saved.
    pub(super) fn restore(&self, limits: &Limits, holder: Holder, own: &mut OwnLocks, lock: &SavedLock) {
        match lock {
            SavedLock::Relation(relation) => self.lock_relation(holder, own, *relation),
            SavedLock::Row(relation, row) => self.lock_row(limits, holder, own, *relation, *row),
            SavedLock::Page(relation, block) => {
                if own.relation(*relation).whole {
                    return;
                }
                self.lock_page(holder, (*relation, *block));
                own.pages.insert((*relation, *block), OwnPage::Whole);
                own.relation(*relation).granules += 1;
            }
            SavedLock::Range(index, range) => {
                if let Some(number) = self.lock_range(limits, holder, own, *index, range.clone()) {
                    self.settle_range(*index, holder.id, number, None);
                }
            }
        }
    }

    /// The locks that a transaction has, the coarse ones first.
    pub(super) fn saved(&self, id: SerialId, own: &OwnLocks) -> Vec<SavedLock> {
        let whole = own.relations.iter().filter(|relation| relation.whole);
        let mut saved: Vec<SavedLock> = whole.map(|own| SavedLock::Relation(own.relation)).collect();
        for (&(relation, block), page) in &own.pages {
            match page {
                OwnPage::Whole => saved.push(SavedLock::Page(relation, block)),
                OwnPage::Rows(rows) => saved
                    .extend(rows.iter().map(|slot| SavedLock::Row(relation, RowId { block, slot: *slot }))),
            }
        }
        for (index, of_index) in &own.indexes {
            for key in &of_index.keys {
                let range = KeyRange { low: key.clone(), high: Some(KeyRange::above(key)) };
                saved.push(SavedLock::Range(*index, range));
            }
            if let Some(locks) = self.indexes_of(*index).get(index) {
                let ranges = locks.ranges.iter().filter(|lock| lock.holder.id == id);
                saved.extend(ranges.map(|lock| SavedLock::Range(*index, lock.range.clone())));
            }
        }
        saved
    }

    /// All locks, for those who watch.
    pub(super) fn list(&self) -> Vec<(SerialId, RelationKey, SerialGranule)> {
        let mut all = Vec::new();
        for shard in &self.relations {
            for (relation, holders) in &*shard.lock() {
                all.extend(holders.iter().map(|h| (h.id, *relation, SerialGranule::Relation)));
            }
        }
        for shard in &self.pages {
            for ((relation, block), locks) in &*shard.lock() {
                let page = SerialGranule::Page(*block);
                all.extend(locks.whole.iter().map(|h| (h.id, *relation, page)));
                all.extend(locks.rows.iter().map(|(slot, h)| {
                    (h.id, *relation, SerialGranule::Row(RowId { block: *block, slot: *slot }))
                }));
            }
        }
        for shard in &self.indexes {
            for (index, locks) in &*shard.lock() {
                let keys = locks.keys.values().flatten().map(|h| (h.id, *index, SerialGranule::Keys));
                all.extend(keys);
                all.extend(locks.ranges.iter().map(|lock| {
                    let whole = lock.range == KeyRange::all();
                    let granule = if whole { SerialGranule::Relation } else { SerialGranule::Keys };
                    (lock.holder.id, *index, granule)
                }));
            }
        }
        all.sort_unstable();
        all
    }

    fn lock_index(&self, holder: Holder, own: &mut OwnLocks, index: RelationKey) {
        let of_index = own.index(index);
        of_index.whole = true;
        let keys = std::mem::take(&mut of_index.keys);
        of_index.ranges = 1;
        let mut indexes = self.indexes_of(index);
        let locks = indexes.entry(index).or_default();
        let before = locks.ranges.len();
        locks.ranges.retain(|r| r.holder.id != holder.id);
        let removed = before - locks.ranges.len() + remove_keys(locks, holder.id, &keys);
        locks.ranges.push(RangeLock { range: KeyRange::all(), holder, number: 0, is_open: false });
        self.note(1, removed);
    }

    // ---- looking ----

    pub(super) fn holders_of_row(&self, relation: RelationKey, row: RowId, out: &mut Holders) {
        let page = (relation, row.block);
        if let Some(locks) = self.pages_of(page).get(&page) {
            out.extend(locks.rows.iter().filter(|(slot, _)| *slot == row.slot).map(|(_, holder)| *holder));
            out.extend(locks.whole.iter().copied());
        }
        self.holders_of_relation(relation, out); // L1: last
    }

    pub(super) fn holders_of_relation(&self, relation: RelationKey, out: &mut Holders) {
        if let Some(holders) = self.relations_of(relation).get(&relation) {
            out.extend(holders.iter().copied());
        }
    }

    pub(super) fn holders_of_key(&self, index: RelationKey, key: &[u8], out: &mut Holders) {
        let indexes = self.indexes_of(index);
        let Some(locks) = indexes.get(&index) else { return };
        if let Some(holders) = locks.keys.get(key) {
            out.extend(holders.iter().copied());
        }
        out.extend(locks.ranges.iter().filter(|r| r.range.contains(key)).map(|r| r.holder));
    }

    /// Who holds a lock on anything of a relation or an index.
    pub(super) fn holders_anywhere(&self, relation: RelationKey, out: &mut Holders) {
        let mut add = |holder: Holder| {
            add_holder(out, holder);
        };
        for shard in &self.pages {
            for (_, locks) in shard.lock().iter().filter(|(page, _)| page.0 == relation) {
                locks.rows.iter().for_each(|(_, holder)| add(*holder));
                locks.whole.iter().for_each(|holder| add(*holder));
            }
        }
        if let Some(locks) = self.indexes_of(relation).get(&relation) {
            locks.keys.values().flatten().for_each(|holder| add(*holder));
            locks.ranges.iter().for_each(|range| add(range.holder));
        }
        self.holders_of_relation(relation, out);
    }

    // ---- releasing ----

    fn release_page(&self, id: SerialId, page: PageKey) {
        let mut pages = self.pages_of(page);
        let Some(locks) = pages.get_mut(&page) else { return };
        let before = locks.rows.len() + locks.whole.len();
        locks.rows.retain(|(_, h)| h.id != id);
        locks.whole.retain(|h| h.id != id);
        let after = locks.rows.len() + locks.whole.len();
        if after == 0 {
            pages.remove(&page);
        }
        self.note(0, before - after);
    }

    fn release_relation(&self, id: SerialId, relation: RelationKey) {
        let mut relations = self.relations_of(relation);
        let Some(holders) = relations.get_mut(&relation) else { return };
        let before = holders.len();
        holders.retain(|h| h.id != id);
        self.note(0, before - holders.len());
        if holders.is_empty() {
            relations.remove(&relation);
        }
    }

    /// Takes all of a transaction's locks out.
    pub(super) fn release(&self, id: SerialId, own: OwnLocks) {
        own.pages.into_keys().for_each(|page| self.release_page(id, page));
        for relation in own.relations.into_iter().filter(|relation| relation.whole) {
            self.release_relation(id, relation.relation);
        }
        for (index, of_index) in own.indexes {
            let mut indexes = self.indexes_of(index);
            let Some(locks) = indexes.get_mut(&index) else { continue };
            let mut removed = remove_keys(locks, id, &of_index.keys);
            if of_index.ranges > 0 {
                let before = locks.ranges.len();
                locks.ranges.retain(|r| r.holder.id != id);
                removed += before - locks.ranges.len();
            }
            if locks.keys.is_empty() && locks.ranges.is_empty() {
                indexes.remove(&index);
            }
            self.note(0, removed);
        }
    }

    /// Gives a committed transaction's locks to all that were summarised.
    pub(super) fn summarise(&self, id: SerialId, own: OwnLocks, until: Lsn) {
        let holder = Holder { id: SerialId::SUMMARY, until };
        for (page, of_page) in &own.pages {
            let mut pages = self.pages_of(*page);
            let locks = pages.entry(*page).or_default();
            let OwnPage::Rows(rows) = of_page else {
                self.note(add_holder(&mut locks.whole, holder), 0);
                continue;
            };
            for slot in rows {
                let known = locks.rows.iter_mut().find(|(s, h)| s == slot && h.id == SerialId::SUMMARY);
                match known {
                    Some((_, known)) => known.until = known.until.max(until),
                    None => {
                        locks.rows.push((*slot, holder));
                        self.note(1, 0);
                    }
                }
            }
        }
        for relation in own.relations.iter().filter(|relation| relation.whole) {
            self.add_relation(relation.relation, holder);
        }
        for (index, of_index) in &own.indexes {
            let mut indexes = self.indexes_of(*index);
            let locks = indexes.entry(*index).or_default();
            for key in &of_index.keys {
                self.note(add_holder(locks.keys.entry_ref(&**key).or_default(), holder), 0);
            }
            let merged = summarise_ranges(locks, id, holder);
            self.note(0, merged);
        }
        self.release(id, own);
    }

    /// Takes out the locks of summarised transactions with bounds up to this.
    pub(super) fn release_summary(&self, until: Lsn) {
        let gone = |h: &Holder| h.id == SerialId::SUMMARY && h.until <= until;
        let mut removed = 0;
        for shard in &self.pages {
            shard.lock().retain(|_, locks| {
                let before = locks.rows.len() + locks.whole.len();
                locks.rows.retain(|(_, h)| !gone(h));
                locks.whole.retain(|h| !gone(h));
                let after = locks.rows.len() + locks.whole.len();
                removed += before - after;
                after > 0
            });
        }
        for shard in &self.relations {
            shard.lock().retain(|_, holders| {
                let before = holders.len();
                holders.retain(|h| !gone(h));
                removed += before - holders.len();
                !holders.is_empty()
            });
        }
        for shard in &self.indexes {
            shard.lock().retain(|_, locks| {
                locks.keys.retain(|_, holders| {
                    let before = holders.len();
                    holders.retain(|h| !gone(h));
                    removed += before - holders.len();
                    !holders.is_empty()
                });
                let before = locks.ranges.len();
                locks.ranges.retain(|r| !gone(&r.holder));
                removed += before - locks.ranges.len();
                !locks.keys.is_empty() || !locks.ranges.is_empty()
            });
        }
        self.note(0, removed);
    }
}

/// Ranges of one index that are kept for summarised transactions before they become one.
const SUMMARY_RANGES: usize = 64;

/// Gives a transaction's ranges to the summary; many become one around all of them. How many fewer there are.
fn summarise_ranges(locks: &mut IndexLocks, id: SerialId, holder: Holder) -> usize {
    for lock in locks.ranges.iter_mut().filter(|r| r.holder.id == id) {
        lock.holder = holder;
        lock.number = 0;
        lock.is_open = false;
    }
    let is_summary = |r: &RangeLock| r.holder.id == SerialId::SUMMARY;
    let count = locks.ranges.iter().filter(|r| is_summary(r)).count();
    if count <= SUMMARY_RANGES {
        return 0;
    }
    let until = locks.ranges.iter().filter(|r| is_summary(r)).map(|r| r.holder.until).max();
    let low = locks.ranges.iter().filter(|r| is_summary(r)).map(|r| r.range.low.clone()).min();
    // `None` is above all others here.
    let highs = || locks.ranges.iter().filter(|r| is_summary(r)).map(|r| r.range.high.clone());
    let high = if highs().any(|high| high.is_none()) { None } else { highs().flatten().max() };
    locks.ranges.retain(|r| !is_summary(r));
    locks.ranges.push(RangeLock {
        range: KeyRange { low: low.unwrap_or_default(), high },
        holder: Holder { id: SerialId::SUMMARY, until: until.unwrap_or(holder.until) },
        number: 0,
        is_open: false,
    });
    count - 1
}

fn remove_keys(locks: &mut IndexLocks, id: SerialId, keys: &HashSet<Box<[u8]>>) -> usize {
    let mut removed = 0;
    for key in keys {
        if let Some(holders) = locks.keys.get_mut(key) {
            let before = holders.len();
            holders.retain(|h| h.id != id);
            removed += before - holders.len();
            if holders.is_empty() {
                locks.keys.remove(key);
            }
        }
    }
    removed
}
