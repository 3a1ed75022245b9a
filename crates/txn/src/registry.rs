//! Registered snapshots: what the collector and the outcomes must keep.
//!
//! # Role
//! Every snapshot occupies a slot here from before it reads its position until it is dropped. The collector lists the
//! slots to learn which versions nobody can see any more.
//!
//! # Invariants
//! - R1: a slot holds a lower bound (the newest published position of a moment before) *before* the snapshot's own
//!   position is read. A snapshot that a listing misses was registered after the listing's stamp was taken, so its
//!   position is at or after the stamp.
//! - R2: a slot that holds only a lower bound stands for every position from it to the stamp: a listing reports it as
//!   a *range*.
//! - R3: a copy of a registered position is in its slot, and counted, before the original may go. A listing that passed
//!   the copy's slot too early and the original's too late finds the count changed, and is taken again.
//!
//! # Concurrency
//! Slots are atomic words; claiming one is a compare-and-swap that begins where this thread succeeded last, on a cache
//! line that other threads rarely touch. All
//! operations are sequentially consistent, since R1 orders a store before a load.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ochre_base::{Error, Lsn, Result, SqlState};

/// Snapshots that can be open at once.
pub const MAX_SNAPSHOTS: usize = 1 << 15;

/// Marks a slot that holds a lower bound only.
const PENDING: u64 = 1 << 63;
const FREE: u64 = 0;

/// Slots of one cache line: those of one thread, as long as it needs no more, so that a listing reads few lines.
const LINE_SLOTS: usize = 8;
/// Threads begin on lines of their own among the first so many.
const SPREAD_LINES: usize = 32;

#[repr(align(64))]
struct Line([AtomicU64; LINE_SLOTS]);

thread_local! {
    static HINT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// All open snapshots.
pub struct SnapshotRegistry {
    lines: Box<[Line]>,
    /// One past the highest line ever used.
    used: AtomicUsize,
    /// Where the next thread begins.
    spread: AtomicUsize,
    /// How many copies were registered: a listing that one came in during is taken again.
    copies: AtomicU64,
}

/// A place in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrySlot(u32);

/// The snapshots open at a stamp: what the interval rule is computed from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenSnapshots {
    /// Positions of open snapshots, ascending, without duplicates.
    positions: Vec<Lsn>,
    /// From here to the stamp every position counts as an open snapshot (R2).
    pending_from: Option<Lsn>,
    /// The newest published position of before the slots were read. Every snapshot not listed lies at or after it.
    stamp: Lsn,
}

impl OpenSnapshots {
    /// Open snapshots at these positions and a stamp.
    pub fn new(mut positions: Vec<Lsn>, stamp: Lsn) -> OpenSnapshots {
        positions.sort_unstable();
        positions.dedup();
        OpenSnapshots { positions, pending_from: None, stamp }
    }

    /// The stamp: every snapshot not listed lies at or after it.
    pub fn stamp(&self) -> Lsn {
        self.stamp
    }

    /// The position at or after which every snapshot, open or future, lies.
    pub fn oldest(&self) -> Lsn {
        let first = self.positions.first().copied().unwrap_or(self.stamp).min(self.stamp);
        self.pending_from.map_or(first, |p| p.min(first))
    }

    /// Whether some snapshot, open or future, may lie at or after `from` and before `to`: whether it may see a
    /// version committed at `from` and superseded at `to`.
    pub fn any_in(&self, from: Lsn, to: Lsn) -> bool {
        self.youngest_in(from, to).is_some()
    }

    /// The youngest snapshot at or after `from` and before `to`; `Some(Lsn::MAX)` when it is a future one or one whose
    /// position is not known yet.
    pub fn youngest_in(&self, from: Lsn, to: Lsn) -> Option<Lsn> {
        if to > self.stamp || self.pending_from.is_some_and(|p| to > p) {
            return Some(Lsn::MAX);
        }
        let at = self.positions.partition_point(|s| *s < to);
        let youngest = *self.positions.get(at.checked_sub(1)?)?;
        (youngest >= from).then_some(youngest)
    }

    /// The youngest open snapshot before a position; none counts that was not yet registered when the list was made.
    /// Whoever read an index before the log reached `position`, and may still act on what it read, holds one of these.
    pub fn youngest_before(&self, position: Lsn) -> Option<Lsn> {
        let at = self.positions.partition_point(|s| *s < position);
        self.positions.get(at.checked_sub(1)?).copied()
    }

    /// Whether a snapshot at exactly this position is open.
    pub fn contains(&self, position: Lsn) -> bool {
        self.positions.binary_search(&position).is_ok()
            || self.pending_from.is_some_and(|p| p <= position)
            || position > self.stamp
    }

    /// The listed positions and the stamp, ascending: what [`crate::outcomes::Outcomes`] settles by.
    pub(crate) fn for_settling(&self) -> Vec<Lsn> {
        let bound = self.pending_from.unwrap_or(self.stamp).min(self.stamp);
        let mut list: Vec<Lsn> = self.positions.iter().copied().filter(|p| *p < bound).collect();
        list.push(bound);
        list
    }
}

impl SnapshotRegistry {
    /// An empty registry.
    pub fn new() -> SnapshotRegistry {
        SnapshotRegistry {
            lines: (0..MAX_SNAPSHOTS / LINE_SLOTS).map(|_| Line(Default::default())).collect(),
            used: AtomicUsize::new(0),
            spread: AtomicUsize::new(0),
            copies: AtomicU64::new(0),
        }
    }

    /// Claims a slot and reads a position under its protection: first a lower bound, then the position itself.
    ///
    /// # Errors
    /// 53400 when [`MAX_SNAPSHOTS`] are open.
    #[inline]
    pub fn register(&self, newest: &AtomicU64) -> Result<(RegistrySlot, Lsn)> {
        let bound = newest.load(Ordering::SeqCst) | PENDING;
        let start = HINT.get();
        // The hint may be from another registry of the process, and beyond what this one lists.
        let is_listed = start / LINE_SLOTS < self.used.load(Ordering::Relaxed);
        let slot = if is_listed && self.take(start, bound) { start } else { self.claim(bound)? };
        // R1: the lower bound is in place before the position is read.
        let lsn = newest.load(Ordering::SeqCst);
        self.slot(slot).store(lsn.max(1), Ordering::SeqCst);
        Ok((RegistrySlot(slot as u32), Lsn(lsn)))
    }

    fn slot(&self, at: usize) -> &AtomicU64 {
        &self.lines[at / LINE_SLOTS].0[at % LINE_SLOTS]
    }

    fn take(&self, at: usize, word: u64) -> bool {
        self.slot(at).compare_exchange(FREE, word, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// Registers a second holder of a position that is registered already, and stays so until this returns (R3).
    pub fn register_copy(&self, lsn: Lsn) -> Result<RegistrySlot> {
        let slot = self.claim(lsn.0.max(1))?;
        self.copies.fetch_add(1, Ordering::SeqCst);
        Ok(RegistrySlot(slot as u32))
    }

    #[cold]
    fn claim(&self, word: u64) -> Result<usize> {
        let n = MAX_SNAPSHOTS;
        let start = match HINT.get() {
            usize::MAX => self.spread.fetch_add(1, Ordering::Relaxed) % SPREAD_LINES * LINE_SLOTS,
            // A thread that has several keeps to its line.
            hint => hint / LINE_SLOTS * LINE_SLOTS,
        };
        for i in 0..n {
            let at = (start + i) % n;
            if self.take(at, word) {
                HINT.set(at);
                // A listing reads `used` after its stamp; SeqCst orders this before the position is read.
                self.used.fetch_max(at / LINE_SLOTS + 1, Ordering::SeqCst);
                return Ok(at);
            }
        }
        Err(Error::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, "too many snapshots are open"))
    }

    /// Gives a slot back.
    #[inline]
    pub fn deregister(&self, slot: RegistrySlot) {
        self.slot(slot.0 as usize).store(FREE, Ordering::SeqCst);
    }

    /// Lists the open snapshots.
    pub fn list(&self, newest: &AtomicU64) -> OpenSnapshots {
        loop {
            let copies = self.copies.load(Ordering::SeqCst);
            let open = self.list_once(newest);
            if copies == self.copies.load(Ordering::SeqCst) {
                return open;
            }
        }
    }

    fn list_once(&self, newest: &AtomicU64) -> OpenSnapshots {
        let stamp = Lsn(newest.load(Ordering::SeqCst));
        let mut open = OpenSnapshots { positions: Vec::new(), pending_from: None, stamp };
        for slot in self.lines[..self.used.load(Ordering::SeqCst)].iter().flat_map(|line| &line.0) {
            let word = slot.load(Ordering::SeqCst);
            if word == FREE {
                continue;
            }
            let lsn = Lsn(word & !PENDING);
            if word & PENDING == 0 {
                open.positions.push(lsn);
            } else {
                open.pending_from = Some(open.pending_from.map_or(lsn, |p| p.min(lsn)));
            }
        }
        open.positions.sort_unstable();
        open.positions.dedup();
        open
    }
}

impl Default for SnapshotRegistry {
    fn default() -> SnapshotRegistry {
        SnapshotRegistry::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listing_reports_what_is_open() {
        let registry = SnapshotRegistry::new();
        let newest = AtomicU64::new(100);
        let (a, at_a) = registry.register(&newest).unwrap();
        newest.store(200, Ordering::SeqCst);
        let (b, _) = registry.register(&newest).unwrap();
        newest.store(300, Ordering::SeqCst);
        assert_eq!(at_a, Lsn(100));
        let open = registry.list(&newest);
        assert_eq!(open.oldest(), Lsn(100));
        assert!(open.any_in(Lsn(50), Lsn(101)));
        assert!(!open.any_in(Lsn(101), Lsn(200)), "a snapshot at 200 does not see what ended at 200");
        assert!(open.any_in(Lsn(150), Lsn(250)));
        assert!(!open.any_in(Lsn(201), Lsn(300)));
        assert!(open.any_in(Lsn(201), Lsn(301)), "future snapshots lie at or after the stamp");
        registry.deregister(a);
        assert_eq!(registry.list(&newest).oldest(), Lsn(200));
        registry.deregister(b);
        assert_eq!(registry.list(&newest).oldest(), Lsn(300));
    }

    #[test]
    fn every_registry_of_a_process_lists_its_own() {
        let newest = AtomicU64::new(100);
        let first = SnapshotRegistry::new();
        let _ = first.register(&newest).unwrap();
        let second = SnapshotRegistry::new();
        let (_, at) = second.register(&newest).unwrap();
        assert!(second.list(&newest).positions == [at], "the thread's hint is from the first registry");
    }

    /// A reader stands between its two steps: it has read a position, or is about to, and its slot holds the bound.
    #[test]
    fn a_reader_that_has_read_its_position_but_not_stored_it_is_counted() {
        let registry = SnapshotRegistry::new();
        let newest = AtomicU64::new(100);
        // First half of `register`.
        let slot = registry.claim(newest.load(Ordering::SeqCst) | PENDING).unwrap();
        let read = newest.load(Ordering::SeqCst);
        for commit in [200, 300] {
            newest.store(commit, Ordering::SeqCst);
            let open = registry.list(&newest);
            assert!(open.any_in(Lsn(50), Lsn(150)), "it may see what ended after 100");
            assert!(open.any_in(Lsn(100), Lsn(200)));
            assert!(!open.any_in(Lsn(50), Lsn(100)), "nobody sees what ended before its bound");
            assert_eq!(open.oldest(), Lsn(100));
            assert_eq!(open.for_settling(), [Lsn(100)], "nothing settles past it");
        }
        // Second half.
        registry.slot(slot).store(read, Ordering::SeqCst);
        let open = registry.list(&newest);
        assert!(open.any_in(Lsn(100), Lsn(200)) && !open.any_in(Lsn(101), Lsn(300)));
        assert!(open.contains(Lsn(100)));
    }

    #[test]
    fn a_position_handed_from_slot_to_slot_is_in_every_listing() {
        let registry = SnapshotRegistry::new();
        let newest = AtomicU64::new(100);
        let (first, at) = registry.register(&newest).unwrap();
        newest.store(200, Ordering::SeqCst);
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut held = first;
                while !stop.load(Ordering::Relaxed) {
                    HINT.set(0);
                    let copy = registry.register_copy(at).unwrap();
                    registry.deregister(held);
                    held = copy;
                }
            });
            let lost = (0..20_000).find(|_| !registry.list(&newest).contains(at));
            stop.store(true, Ordering::Relaxed);
            assert_eq!(lost, None, "the position was missing from a listing");
        });
    }

    #[test]
    fn a_lower_bound_counts_as_all_that_follows() {
        let open = OpenSnapshots { positions: vec![Lsn(10)], pending_from: Some(Lsn(50)), stamp: Lsn(100) };
        assert!(!open.any_in(Lsn(20), Lsn(50)));
        assert!(open.any_in(Lsn(20), Lsn(51)));
        assert_eq!(open.youngest_in(Lsn(5), Lsn(40)), Some(Lsn(10)));
        assert_eq!(open.for_settling(), [Lsn(10), Lsn(50)]);
    }
}
