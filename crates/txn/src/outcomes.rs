//! Outcomes: what became of each transaction id, kept as exceptions.
//!
//! # Role
//! Every reader asks [`Outcomes::outcome`] about the creator of a version; commit and abort publish here. Nobody else
//! knows whether a transaction committed: pages carry no hint bits.
//!
//! # States
//! ```text
//!            give              publish_commit
//!  (unused) ──────► running ───────────────────► committed at a position in the log
//!                      │ publish_abort
//!                      └───────────────────────► aborted ── forget ──► (counts as committed: no version is left)
//! ```
//! Three regions, by age:
//! ```text
//!  0 ........ settled | middle segments | ring ................. next
//!  exceptions only      positions, or     one atomic word
//!                       collapsed         a transaction
//! ```
//! - *Settled*: every xid committed at or before every open and every future snapshot, but for a sorted list of
//!   exceptions (aborted, or committed with dead ranges of command ids).
//! - *Middle*: segments that left the ring before they settled, because a snapshot or a transaction stayed open. A
//!   segment with no open snapshot between its first and last commit is collapsed to those two positions and its
//!   exceptions.
//! - *Ring*: the newest [`RING_XIDS`], one atomic word each.
//!
//! # Invariants
//! - O1: an xid's word is stored before the newest published position is raised to its commit.
//! - O2: an xid below `next` is settled, or in the ring (at or above `ring_low`), or in exactly one middle segment.
//! - O3: `settled` passes a committed xid only when its position is at or before every registered snapshot, so the
//!   answer "committed at ZERO" is right for every reader.
//!
//! # Concurrency
//! Readers take no lock: the ring is validated by re-reading `ring_low`, the rest is published through `ArcSwap`.
//! All writers hold the manager's publish mutex.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use ochre_base::{CommandId, Lsn, Xid};
use parking_lot::RwLock;

/// Transactions whose outcome is one load away.
pub const RING_XIDS: u64 = 1 << 17;
/// Transactions that leave the ring at a time.
pub const SEGMENT_XIDS: u64 = 1 << 12;

const RUNNING: u64 = 0;
/// Running, with command ids that a ROLLBACK TO SAVEPOINT made dead.
const RUNNING_WITH_DEAD: u64 = 1;
const ABORTED: u64 = u64::MAX;
/// Committed, with dead ranges.
const DEAD_BIT: u64 = 1 << 63;

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It runs, or is prepared. `has_dead` says that some of its command ids were rolled back.
    Running { has_dead: bool },
    /// It rolled back, or the engine stopped while it ran.
    Aborted,
    /// Its commit record ends at `lsn`; [`SETTLED_POSITION`] when that is before every snapshot.
    Committed { lsn: Lsn, has_dead: bool },
}

/// Command ids `first..=last` of a transaction that a ROLLBACK TO SAVEPOINT took back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadRange {
    pub first: CommandId,
    pub last: CommandId,
}

impl DeadRange {
    /// Whether a command's versions are dead by one of the ranges, which ascend and do not overlap.
    pub fn any_contains(ranges: &[DeadRange], cid: CommandId) -> bool {
        let at = ranges.partition_point(|r| r.last < cid);
        ranges.get(at).is_some_and(|r| r.first <= cid)
    }
}

fn decode(word: u64) -> Outcome {
    match word {
        RUNNING => Outcome::Running { has_dead: false },
        RUNNING_WITH_DEAD => Outcome::Running { has_dead: true },
        ABORTED => Outcome::Aborted,
        lsn => Outcome::Committed { lsn: Lsn(lsn & !DEAD_BIT), has_dead: lsn & DEAD_BIT != 0 },
    }
}

/// Xids `first..=last` with the same word; in lists those whose outcome is not "committed long ago".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exception {
    first: u64,
    last: u64,
    word: u64,
}

/// A sorted list of exceptions without overlaps.
#[derive(Debug, Clone, Default)]
struct Exceptions(Vec<Exception>);

impl Exceptions {
    fn first(&self) -> u64 {
        self.0.first().map_or(u64::MAX, |e| e.first)
    }

    fn last(&self) -> u64 {
        self.0.last().map_or(0, |e| e.last)
    }

    fn find(&self, xid: u64) -> Option<u64> {
        let at = self.0.partition_point(|e| e.last < xid);
        self.0.get(at).filter(|e| e.first <= xid).map(|e| e.word)
    }

    /// Adds an exception behind all others.
    fn push(&mut self, run: Exception) {
        if let Some(last) = self.0.last_mut() {
            debug_assert!(last.last < run.first, "exceptions are added in order");
            if last.last + 1 == run.first && last.word == run.word && run.word == ABORTED {
                last.last = run.last;
                return;
            }
        }
        self.0.push(run);
    }

    /// Removes `first..=last` from the list.
    fn remove(&mut self, first: u64, last: u64) {
        let mut kept = Vec::with_capacity(self.0.len() + 1);
        for e in &self.0 {
            if e.last < first || e.first > last {
                kept.push(*e);
                continue;
            }
            if e.first < first {
                kept.push(Exception { last: first - 1, ..*e });
            }
            if e.last > last {
                kept.push(Exception { first: last + 1, ..*e });
            }
        }
        self.0 = kept;
    }

    /// Takes out what lies at or behind an xid.
    fn split_off(&mut self, first: u64) -> Exceptions {
        let mut later = Vec::new();
        for e in &self.0 {
            if e.last >= first {
                later.push(Exception { first: e.first.max(first), ..*e });
            }
        }
        self.remove(first, u64::MAX);
        Exceptions(later)
    }

    fn set(&mut self, xid: u64, word: u64) {
        self.remove(xid, xid);
        let at = self.0.partition_point(|e| e.first < xid);
        self.0.insert(at, Exception { first: xid, last: xid, word });
    }
}

/// Consecutive xids that left the ring.
#[derive(Debug)]
struct Segment {
    /// First xid.
    first: u64,
    /// One past the last xid.
    end: u64,
    first_commit: u64,
    last_commit: u64,
    /// One word an xid; empty when collapsed.
    words: Vec<u64>,
    /// When collapsed: what does not count as committed at `last_commit`.
    exceptions: Exceptions,
}

impl Segment {
    fn word(&self, xid: u64) -> u64 {
        match self.words.get((xid - self.first) as usize) {
            Some(word) => *word,
            None => self.exceptions.find(xid).unwrap_or(self.last_commit),
        }
    }

    /// Shows the words from an xid on, as [`Outcomes::visit_unsettled`] does.
    fn visit(&self, from: u64, show: &mut impl FnMut(Exception) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut at = from.max(self.first);
        if !self.words.is_empty() {
            let words = &self.words[(at - self.first) as usize..];
            return (at..)
                .zip(words)
                .try_for_each(|(xid, word)| show(Exception { first: xid, last: xid, word: *word }));
        }
        for run in self.exceptions.0.iter().filter(|run| run.last >= from) {
            if at < run.first {
                show(Exception { first: at, last: run.first - 1, word: self.last_commit })?;
            }
            show(Exception { first: run.first.max(at), ..*run })?;
            at = run.last + 1;
        }
        if at < self.end {
            show(Exception { first: at, last: self.end - 1, word: self.last_commit })
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// The outcomes of all transactions.
pub struct Outcomes {
    ring: Box<[AtomicU64]>,
    ring_low: AtomicU64,
    next: AtomicU64,
    oldest_running: AtomicU64,
    settled: AtomicU64,
    /// First and last exception of the settled region; `u64::MAX` and 0 when there is none.
    first_exception: AtomicU64,
    last_exception: AtomicU64,
    settled_exceptions: ArcSwap<Exceptions>,
    middle: ArcSwap<Vec<Arc<Segment>>>,
    /// Dead ranges of running and of committed transactions.
    dead: RwLock<HashMap<u64, Arc<[DeadRange]>>>,
    /// How often a running transaction rolled commands back.
    dead_changes: AtomicU64,
}

/// What a checkpoint saves and recovery starts from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedOutcomes {
    /// The next xid to be given.
    pub next: Xid,
    /// Aborted transactions of which versions may be left: first and last of each run.
    pub aborted: Vec<(Xid, Xid)>,
    /// Transactions that were running.
    pub running: Vec<Xid>,
    /// Dead ranges of running and committed transactions.
    pub dead: Vec<(Xid, Vec<DeadRange>)>,
    /// The records of prepared transactions, which run still; see [`crate::prepared`].
    pub prepared: std::collections::BTreeMap<Xid, Arc<[u8]>>,
}

impl Outcomes {
    /// Outcomes in which every transaction before `saved.next` committed but for those listed. All that were running
    /// count as aborted, but for those prepared, which run.
    pub fn restore(saved: &SavedOutcomes) -> Outcomes {
        let next = saved.next.max(Xid::FIRST).0;
        let is_prepared = |xid: &Xid| saved.prepared.contains_key(xid);
        let mut list: Vec<(u64, u64)> = saved.aborted.iter().map(|(a, b)| (a.0, b.0)).collect();
        list.extend(saved.running.iter().filter(|x| !is_prepared(x)).map(|x| (x.0, x.0)));
        list.sort_unstable();
        let mut runs: Vec<Exception> = Vec::new();
        for (first, last) in list {
            match runs.last_mut() {
                Some(run) if first <= run.last + 1 => run.last = run.last.max(last),
                _ => runs.push(Exception { first, last, word: ABORTED }),
            }
        }
        let mut exceptions = Exceptions(runs);
        let mut dead: HashMap<u64, Arc<[DeadRange]>> = HashMap::new();
        for (xid, ranges) in &saved.dead {
            if exceptions.find(xid.0).is_none() && !ranges.is_empty() {
                let word = if is_prepared(xid) { RUNNING_WITH_DEAD } else { DEAD_BIT | SETTLED_WORD };
                exceptions.set(xid.0, word);
                dead.insert(xid.0, ranges.as_slice().into());
            }
        }
        for xid in saved.prepared.keys().filter(|xid| exceptions.find(xid.0).is_none()).collect::<Vec<_>>() {
            exceptions.set(xid.0, RUNNING);
        }
        // Nothing settles beyond the first that runs: it and what follows lies in a segment without words.
        let settled = saved.prepared.keys().next().map_or(next, |xid| xid.0);
        let mut middle = Vec::new();
        if settled < next {
            let later = exceptions.split_off(settled);
            middle.push(Arc::new(Segment {
                first: settled,
                end: next,
                first_commit: SETTLED_WORD,
                last_commit: SETTLED_WORD,
                words: Vec::new(),
                exceptions: later,
            }));
        }
        Outcomes {
            ring: (0..RING_XIDS).map(|_| AtomicU64::new(RUNNING)).collect(),
            ring_low: AtomicU64::new(next),
            next: AtomicU64::new(next),
            oldest_running: AtomicU64::new(settled),
            settled: AtomicU64::new(settled),
            first_exception: AtomicU64::new(exceptions.first()),
            last_exception: AtomicU64::new(exceptions.last()),
            settled_exceptions: ArcSwap::from_pointee(exceptions),
            middle: ArcSwap::from_pointee(middle),
            dead: RwLock::new(dead),
            dead_changes: AtomicU64::new(0),
        }
    }

    /// The next xid to be given.
    pub fn next(&self) -> Xid {
        Xid(self.next.load(Ordering::Acquire))
    }

    /// No transaction below this one runs.
    pub fn oldest_running(&self) -> Xid {
        Xid(self.oldest_running.load(Ordering::Acquire))
    }

    /// Every transaction below this one has finished and, unless excepted, is seen by every snapshot.
    pub fn settled(&self) -> Xid {
        Xid(self.settled.load(Ordering::Acquire))
    }

    /// Whether a transaction is known, without looking any further, to be seen by every snapshot.
    #[inline]
    pub fn is_settled_commit(&self, xid: Xid) -> bool {
        // `settled` first: exceptions are published before it is raised past them.
        xid.0 < self.settled.load(Ordering::Acquire) && !self.may_be_exception(xid.0)
    }

    fn may_be_exception(&self, xid: u64) -> bool {
        xid >= self.first_exception.load(Ordering::Acquire)
            && xid <= self.last_exception.load(Ordering::Acquire)
    }

    fn publish_exceptions(&self, exceptions: Exceptions) {
        // Between the stores the range is wider than before or after, never narrower than what is listed: a list grows
        // at its end, and shrinks only by what no page holds any more.
        let (first, last) = (exceptions.first(), exceptions.last());
        self.settled_exceptions.store(Arc::new(exceptions));
        self.first_exception.fetch_min(first, Ordering::AcqRel);
        self.last_exception.store(last, Ordering::Release);
        self.first_exception.store(first, Ordering::Release);
    }

    /// What became of a transaction.
    pub fn outcome(&self, xid: Xid) -> Outcome {
        decode(self.word(xid.0))
    }

    /// Whether a version's command was rolled back to a savepoint. Asked only when the outcome says so.
    pub fn is_dead(&self, xid: Xid, cid: CommandId) -> bool {
        self.dead.read().get(&xid.0).is_some_and(|ranges| DeadRange::any_contains(ranges, cid))
    }

    fn word(&self, xid: u64) -> u64 {
        if xid < Xid::FIRST.0 {
            return if xid == Xid::NONE.0 { ABORTED } else { SETTLED_WORD };
        }
        loop {
            if xid < self.settled.load(Ordering::Acquire) {
                if !self.may_be_exception(xid) {
                    return SETTLED_WORD;
                }
                return self.settled_exceptions.load().find(xid).unwrap_or(SETTLED_WORD);
            }
            if xid >= self.ring_low.load(Ordering::Acquire) {
                let word = self.ring[(xid % RING_XIDS) as usize].load(Ordering::Acquire);
                // A word that was reused was zeroed after `ring_low` had passed it.
                if xid >= self.ring_low.load(Ordering::Acquire) {
                    return word;
                }
                continue;
            }
            let middle = self.middle.load();
            let at = middle.partition_point(|s| s.end <= xid);
            if let Some(segment) = middle.get(at).filter(|s| s.first <= xid) {
                return segment.word(xid);
            }
            // It settled in between.
        }
    }

    /// Gives an xid. The caller holds the publish mutex.
    pub(crate) fn give(&self, horizon: &dyn Fn() -> Vec<Lsn>) -> Xid {
        let xid = self.next.load(Ordering::Relaxed);
        if xid + 1 - self.ring_low.load(Ordering::Relaxed) >= RING_XIDS {
            self.make_room(&horizon());
        }
        self.next.store(xid + 1, Ordering::SeqCst);
        Xid(xid)
    }

    /// Goes on with `xid`, when everything before has settled. The caller holds the publish mutex.
    pub(crate) fn skip_to(&self, xid: Xid) {
        assert!(self.settled() == self.next() && xid >= self.next(), "O2");
        self.ring.iter().for_each(|word| word.store(RUNNING, Ordering::Release));
        self.ring_low.store(xid.0, Ordering::SeqCst);
        self.next.store(xid.0, Ordering::SeqCst);
        self.oldest_running.store(xid.0, Ordering::SeqCst);
        self.settled.store(xid.0, Ordering::SeqCst);
    }

    /// Publishes a commit. The caller holds the publish mutex and raises the newest position afterwards (O1).
    pub(crate) fn publish_commit(&self, xid: Xid, lsn: Lsn, dead: &[DeadRange]) {
        let mut word = lsn.0;
        if !dead.is_empty() {
            self.dead.write().insert(xid.0, dead.into());
            word |= DEAD_BIT;
        }
        self.finish(xid, word);
    }

    /// Publishes an abort. The caller holds the publish mutex.
    pub(crate) fn publish_abort(&self, xid: Xid) {
        self.finish(xid, ABORTED);
        self.dead.write().remove(&xid.0);
    }

    /// Publishes that a running transaction rolled commands back. The caller holds the publish mutex.
    pub(crate) fn publish_dead(&self, xid: Xid, dead: &[DeadRange]) {
        self.dead.write().insert(xid.0, dead.into());
        self.store(xid, RUNNING_WITH_DEAD);
        self.dead_changes.fetch_add(1, Ordering::SeqCst);
    }

    /// How often a running transaction rolled commands back.
    pub(crate) fn dead_changes(&self) -> u64 {
        self.dead_changes.load(Ordering::SeqCst)
    }

    fn finish(&self, xid: Xid, word: u64) {
        self.store(xid, word);
        if self.oldest_running.load(Ordering::Relaxed) == xid.0 {
            let mut oldest = self.next.load(Ordering::Relaxed);
            let _ = self.visit_unsettled(xid.0 + 1, |run| match decode(run.word) {
                Outcome::Running { .. } => {
                    oldest = run.first;
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            });
            self.oldest_running.store(oldest, Ordering::Release);
        }
    }

    /// Shows the words of the xids from `from` on, none of which has settled, in their order until `show` has seen enough.
    /// What was collapsed comes in runs, so that the work does not grow with the xids that have passed beside a
    /// transaction that stays open. The caller holds the publish mutex.
    fn visit_unsettled(
        &self,
        from: u64,
        mut show: impl FnMut(Exception) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let low = self.ring_low.load(Ordering::Relaxed);
        if from < low {
            self.middle.load().iter().filter(|s| s.end > from).try_for_each(|s| s.visit(from, &mut show))?;
        }
        (from.max(low)..self.next.load(Ordering::Relaxed)).try_for_each(|xid| {
            let word = self.ring[(xid % RING_XIDS) as usize].load(Ordering::Relaxed);
            show(Exception { first: xid, last: xid, word })
        })
    }

    fn store(&self, xid: Xid, word: u64) {
        if xid.0 >= self.ring_low.load(Ordering::Relaxed) {
            self.ring[(xid.0 % RING_XIDS) as usize].store(word, Ordering::Release);
            return;
        }
        let middle = self.middle.load_full();
        let at = middle.partition_point(|s| s.end <= xid.0);
        let old = middle.get(at).expect("O2: an unfinished transaction lies in the ring or in the middle");
        let mut segment = Segment {
            first: old.first,
            end: old.end,
            first_commit: old.first_commit,
            last_commit: old.last_commit,
            words: old.words.clone(),
            exceptions: old.exceptions.clone(),
        };
        if segment.words.is_empty() {
            segment.exceptions.set(xid.0, word);
        } else {
            segment.words[(xid.0 - segment.first) as usize] = word;
            segment.note_commit(word);
        }
        let mut changed = (*middle).clone();
        changed[at] = Arc::new(segment);
        self.middle.store(Arc::new(changed));
    }

    /// Moves what all snapshots see into the settled region. `snapshots` are the open ones, ascending, with the newest
    /// published position of before they were listed as the last. The caller holds the publish mutex.
    pub(crate) fn settle(&self, snapshots: &[Lsn]) {
        let oldest = snapshots.first().copied().unwrap_or(Lsn::ZERO);
        self.collapse_middle(snapshots);
        let from = self.settled.load(Ordering::Relaxed);
        let mut to = from;
        let mut exceptions: Option<Exceptions> = None;
        let _ = self.visit_unsettled(from, |run| {
            let word = match decode(run.word) {
                Outcome::Running { .. } => return ControlFlow::Break(()),
                Outcome::Committed { lsn, .. } if lsn > oldest => return ControlFlow::Break(()),
                Outcome::Committed { has_dead: false, .. } => None,
                Outcome::Committed { has_dead: true, .. } => Some(DEAD_BIT | SETTLED_WORD),
                Outcome::Aborted => Some(ABORTED),
            };
            if let Some(word) = word {
                exceptions
                    .get_or_insert_with(|| (**self.settled_exceptions.load()).clone())
                    .push(Exception { word, ..run });
            }
            to = run.last + 1;
            ControlFlow::Continue(())
        });
        if let Some(exceptions) = exceptions {
            self.publish_exceptions(exceptions);
        }
        if to > from {
            self.settled.store(to, Ordering::Release);
        }
        let middle = self.middle.load();
        if middle.first().is_some_and(|s| s.end <= to) {
            let kept: Vec<_> = middle.iter().filter(|s| s.end > to).cloned().collect();
            self.middle.store(Arc::new(kept));
        }
    }

    /// Makes room in the ring for another segment.
    fn make_room(&self, snapshots: &[Lsn]) {
        self.settle(snapshots);
        let low = self.ring_low.load(Ordering::Relaxed);
        let end = (low / SEGMENT_XIDS + 1) * SEGMENT_XIDS;
        let settled = self.settled.load(Ordering::Relaxed);
        if settled < end {
            let mut segment = Segment {
                first: low,
                end,
                first_commit: u64::MAX,
                last_commit: 0,
                words: Vec::with_capacity((end - low) as usize),
                exceptions: Exceptions::default(),
            };
            for xid in low..end {
                let word = self.ring[(xid % RING_XIDS) as usize].load(Ordering::Relaxed);
                segment.words.push(word);
                segment.note_commit(word);
            }
            let mut middle = (**self.middle.load()).clone();
            middle.push(Arc::new(segment));
            self.middle.store(Arc::new(middle));
        }
        self.ring_low.store(end, Ordering::SeqCst);
        for xid in low..end {
            self.ring[(xid % RING_XIDS) as usize].store(RUNNING, Ordering::Release);
        }
    }

    fn collapse_middle(&self, snapshots: &[Lsn]) {
        let middle = self.middle.load();
        if middle.iter().all(|s| s.words.is_empty()) {
            return;
        }
        let collapsed = middle
            .iter()
            .map(|s| if s.can_collapse(snapshots) { Arc::new(s.collapsed()) } else { s.clone() })
            .collect();
        self.middle.store(Arc::new(collapsed));
    }

    /// Takes aborted transactions, and those with dead ranges, off the lists: no version of theirs is left. The caller
    /// holds the publish mutex.
    pub(crate) fn forget(&self, first: Xid, last: Xid) {
        let mut exceptions = (**self.settled_exceptions.load()).clone();
        let settled = self.settled.load(Ordering::Relaxed);
        let last = last.0.min(settled.saturating_sub(1));
        if first.0 > last {
            return;
        }
        exceptions.remove(first.0, last);
        self.publish_exceptions(exceptions);
        self.dead.write().retain(|xid, _| *xid < first.0 || *xid > last);
    }

    /// What a checkpoint saves. The caller holds the publish mutex.
    pub(crate) fn save(&self) -> SavedOutcomes {
        let mut saved = SavedOutcomes { next: self.next(), ..SavedOutcomes::default() };
        let settled = self.settled.load(Ordering::Relaxed);
        for e in &self.settled_exceptions.load().0 {
            if e.word == ABORTED {
                saved.aborted.push((Xid(e.first), Xid(e.last)));
            }
        }
        let _ = self.visit_unsettled(settled, |run| {
            let (first, last) = (Xid(run.first), Xid(run.last));
            match decode(run.word) {
                Outcome::Running { .. } => saved.running.extend((run.first..=run.last).map(Xid)),
                Outcome::Aborted => match saved.aborted.last_mut() {
                    Some((_, end)) if end.0 + 1 == first.0 => *end = last,
                    _ => saved.aborted.push((first, last)),
                },
                Outcome::Committed { .. } => {}
            }
            ControlFlow::Continue(())
        });
        saved.dead = self.dead.read().iter().map(|(xid, ranges)| (Xid(*xid), ranges.to_vec())).collect();
        saved.dead.sort_unstable_by_key(|(xid, _)| *xid);
        saved
    }
}

/// The commit position of what settled long ago: no snapshot lies before it.
pub const SETTLED_POSITION: Lsn = Lsn(2);
const SETTLED_WORD: u64 = SETTLED_POSITION.0;

impl Segment {
    fn note_commit(&mut self, word: u64) {
        if let Outcome::Committed { lsn, .. } = decode(word) {
            self.first_commit = self.first_commit.min(lsn.0);
            self.last_commit = self.last_commit.max(lsn.0);
        }
    }

    /// Whether no snapshot tells the first commit of the segment from the last.
    fn can_collapse(&self, snapshots: &[Lsn]) -> bool {
        if self.words.is_empty() {
            return false;
        }
        let at = snapshots.partition_point(|s| s.0 < self.first_commit);
        let newest = snapshots.last().map_or(0, |s| s.0);
        self.last_commit <= newest && snapshots.get(at).is_none_or(|s| s.0 >= self.last_commit)
    }

    fn collapsed(&self) -> Segment {
        let mut exceptions = Exceptions::default();
        for (xid, word) in (self.first..).zip(&self.words) {
            match decode(*word) {
                Outcome::Committed { has_dead: false, .. } => {}
                _ => exceptions.push(Exception { first: xid, last: xid, word: *word }),
            }
        }
        Segment {
            first: self.first,
            end: self.end,
            first_commit: self.first_commit,
            last_commit: self.last_commit.max(SETTLED_WORD),
            words: Vec::new(),
            exceptions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Outcomes {
        Outcomes::restore(&SavedOutcomes::default())
    }

    fn committed(lsn: u64) -> Outcome {
        Outcome::Committed { lsn: Lsn(lsn), has_dead: false }
    }

    #[test]
    fn a_commit_is_found_by_its_position() {
        let outcomes = fresh();
        let a = outcomes.give(&Vec::new);
        let b = outcomes.give(&Vec::new);
        assert_eq!(outcomes.outcome(a), Outcome::Running { has_dead: false });
        outcomes.publish_commit(b, Lsn(100), &[]);
        assert_eq!(outcomes.oldest_running(), a);
        outcomes.publish_abort(a);
        assert_eq!(outcomes.oldest_running(), outcomes.next());
        assert_eq!(outcomes.outcome(a), Outcome::Aborted);
        assert_eq!(outcomes.outcome(b), committed(100));
    }

    #[test]
    fn settling_keeps_exceptions_and_saves_them() {
        let outcomes = fresh();
        let xids: Vec<Xid> = (0..10).map(|_| outcomes.give(&Vec::new)).collect();
        for (i, xid) in xids.iter().enumerate() {
            match i {
                3 => outcomes.publish_abort(*xid),
                5 => {
                    let dead = [DeadRange { first: CommandId(1), last: CommandId(2) }];
                    outcomes.publish_commit(*xid, Lsn(100 + i as u64), &dead);
                }
                9 => {}
                _ => outcomes.publish_commit(*xid, Lsn(100 + i as u64), &[]),
            }
        }
        outcomes.settle(&[Lsn(107), Lsn(200)]);
        assert_eq!(outcomes.settled(), xids[8]);
        assert_eq!(outcomes.outcome(xids[3]), Outcome::Aborted);
        assert!(matches!(outcomes.outcome(xids[5]), Outcome::Committed { has_dead: true, .. }));
        assert!(outcomes.is_dead(xids[5], CommandId(2)) && !outcomes.is_dead(xids[5], CommandId(3)));
        assert_eq!(outcomes.outcome(xids[8]), committed(108));

        let saved = outcomes.save();
        assert_eq!(saved.running, [xids[9]]);
        let restored = Outcomes::restore(&saved);
        assert_eq!(restored.outcome(xids[3]), Outcome::Aborted);
        assert_eq!(restored.outcome(xids[9]), Outcome::Aborted);
        assert!(restored.is_dead(xids[5], CommandId(1)));
        assert!(matches!(restored.outcome(xids[8]), Outcome::Committed { .. }));
        restored.forget(xids[0], xids[9]);
        assert!(matches!(restored.outcome(xids[3]), Outcome::Committed { has_dead: false, .. }));
    }

    #[test]
    fn prepared_transactions_run_on_after_a_restart() {
        let outcomes = fresh();
        let xids: Vec<Xid> = (0..8).map(|_| outcomes.give(&Vec::new)).collect();
        outcomes.publish_abort(xids[0]);
        outcomes.publish_abort(xids[1]);
        outcomes.publish_commit(xids[3], Lsn(100), &[]);
        outcomes.publish_abort(xids[4]);
        outcomes.publish_dead(xids[5], &[DeadRange { first: CommandId(1), last: CommandId(2) }]);
        let mut saved = outcomes.save();
        for xid in [xids[2], xids[5]] {
            saved.prepared.insert(xid, b"record".as_slice().into());
        }
        let restored = Outcomes::restore(&saved);
        assert_eq!(restored.oldest_running(), xids[2]);
        assert_eq!(restored.outcome(xids[1]), Outcome::Aborted);
        assert_eq!(restored.outcome(xids[2]), Outcome::Running { has_dead: false });
        assert!(matches!(restored.outcome(xids[3]), Outcome::Committed { .. }));
        assert_eq!(restored.outcome(xids[4]), Outcome::Aborted);
        assert_eq!(restored.outcome(xids[5]), Outcome::Running { has_dead: true });
        assert!(restored.is_dead(xids[5], CommandId(1)));
        assert_eq!(restored.outcome(xids[6]), Outcome::Aborted, "it ran and was not prepared");
        restored.settle(&[Lsn(500)]);
        assert_eq!(restored.settled(), xids[2]);
        assert_eq!(restored.save().running, [xids[2], xids[5]]);
        let later = restored.give(&Vec::new);
        restored.publish_commit(later, Lsn(600), &[]);
        restored.publish_commit(xids[2], Lsn(700), &[]);
        assert_eq!(restored.oldest_running(), xids[5]);
        assert_eq!(restored.outcome(xids[2]), committed(700));
        restored.settle(&[Lsn(650), Lsn(800)]);
        assert_eq!(restored.outcome(xids[2]), committed(700), "a snapshot before it is open");
        restored.publish_abort(xids[5]);
        restored.settle(&[Lsn(800)]);
        assert_eq!(restored.settled(), restored.next());
        assert!(restored.middle.load().is_empty());
        assert_eq!(restored.outcome(xids[0]), Outcome::Aborted);
        assert_eq!(restored.outcome(xids[5]), Outcome::Aborted);
        assert!(matches!(restored.outcome(xids[2]), Outcome::Committed { has_dead: false, .. }));
    }

    /// With a look at each number in between, this would take years.
    #[test]
    fn a_transaction_that_stays_open_costs_nothing_for_each_that_passes() {
        let (old, aborted, next) = (Xid(100), Xid(1 << 50), Xid(1 << 59));
        let saved = SavedOutcomes {
            next,
            aborted: vec![(aborted, Xid(aborted.0 + (1 << 40)))],
            prepared: [(old, b"record".as_slice().into())].into(),
            ..SavedOutcomes::default()
        };
        let restored = Outcomes::restore(&saved);
        restored.settle(&[Lsn(500)]);
        assert_eq!((restored.settled(), restored.oldest_running()), (old, old));
        let again = restored.save();
        assert_eq!((again.running, again.aborted), (vec![old], saved.aborted.clone()));
        let young = restored.give(&Vec::new);
        restored.publish_commit(young, Lsn(600), &[]);
        restored.publish_commit(old, Lsn(700), &[]);
        assert_eq!(restored.oldest_running(), restored.next());
        restored.settle(&[Lsn(700)]);
        assert_eq!(restored.settled(), restored.next());
        assert_eq!(restored.outcome(aborted), Outcome::Aborted);
        assert_eq!(restored.save().aborted, saved.aborted);
        assert!(restored.middle.load().is_empty());
    }

    /// A transaction that stays open while the ring goes round several times, beside a snapshot that stays open.
    #[test]
    fn old_transactions_survive_the_ring() {
        let outcomes = fresh();
        let old = outcomes.give(&Vec::new);
        let rounds = 3 * RING_XIDS;
        let snapshot = Lsn(1_000 + rounds / 2);
        let mut newest = Lsn(0);
        for i in 0..rounds {
            let horizon = || if newest > snapshot { vec![snapshot, newest] } else { vec![newest] };
            let xid = outcomes.give(&horizon);
            if i % 1000 == 7 {
                outcomes.publish_abort(xid);
            } else {
                newest = Lsn(1_000 + i);
                outcomes.publish_commit(xid, newest, &[]);
            }
        }
        assert_eq!(outcomes.oldest_running(), old);
        assert_eq!(outcomes.outcome(old), Outcome::Running { has_dead: false });
        for i in 0..rounds {
            let xid = Xid(old.0 + 1 + i);
            match outcomes.outcome(xid) {
                Outcome::Aborted => assert_eq!(i % 1000, 7),
                Outcome::Committed { lsn, .. } => {
                    assert_ne!(i % 1000, 7);
                    assert_eq!(lsn <= snapshot, Lsn(1_000 + i) <= snapshot, "{xid}");
                }
                Outcome::Running { .. } => panic!("{xid} is finished"),
            }
        }
        newest = Lsn(10_000_000);
        outcomes.publish_commit(old, newest, &[]);
        assert_eq!(outcomes.outcome(old), Outcome::Committed { lsn: newest, has_dead: false });
        outcomes.settle(&[newest]);
        assert_eq!(outcomes.settled(), outcomes.next());
        assert!(outcomes.middle.load().is_empty());
        assert!(matches!(outcomes.outcome(old), Outcome::Committed { .. }));
    }
}
