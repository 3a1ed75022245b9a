//! What readers have made of blocks that every snapshot sees, kept until one of the blocks changes.
//!
//! # Role
//! A scan that finds every row of some blocks seen by everybody may keep what it has made of them (the executor keeps
//! columns) for the scans to come, which then read no page. This module knows runs of blocks only, and how many bytes
//! there may be; what is kept is the keeper's business.
//!
//! # Invariants
//! - D1: what is kept of a run was read from blocks with the all-visible flag, none of which has changed since: who takes
//!   a block's flag away forgets the run first, under the block's latch, before he changes anything.
//! - D2: so who finds something kept, after he has taken his snapshot, sees all its rows and no others: they were seen by
//!   every snapshot when the flag was set, and a change after the look is none that his snapshot sees.
//!
//! # Concurrency
//! A keeper says that he begins ([`Derived::begin`]) before he reads the first block. A change in between is noticed by the
//! run's count of changes: nothing is kept then (D1). Writers pay a load while nothing is kept of their relation.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use ochre_base::BlockNo;
use parking_lot::{Mutex, RwLock};

/// Blocks of a run.
pub const RUN_BLOCKS: u32 = 32;
/// Counts of changes: runs share them.
const COUNTS: usize = 16;
/// Runs that would take less than this each, if all were kept, are not looked at: what is noted of them takes memory, too.
const LEAST_RUN_BYTES: usize = 1024;
/// What has served none of so many scans makes room for others.
const IDLE_SCANS: u64 = 64;

/// How much may be kept of all relations together.
#[derive(Debug, Default)]
pub struct DerivedBudget {
    limit_bytes: AtomicUsize,
    used_bytes: AtomicUsize,
    /// Scans that have asked so far.
    scans: AtomicU64,
    /// Runs that scans have read from what is kept.
    runs_read: AtomicU64,
    owners: Mutex<Vec<Weak<Derived>>>,
}

impl DerivedBudget {
    /// So many bytes may be kept; with 0 nothing is.
    pub fn set_limit(&self, bytes: usize) {
        self.limit_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bytes that are kept.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// How many runs scans have read from what is kept instead of pages, so far.
    pub fn runs_read(&self) -> u64 {
        self.runs_read.load(Ordering::Relaxed)
    }

    fn has_room(&self) -> bool {
        self.used_bytes() < self.limit_bytes.load(Ordering::Relaxed)
    }

    /// Forgets what no scan has used for long.
    fn make_room(&self) {
        let now = self.scans.load(Ordering::Relaxed);
        let mut owners = self.owners.lock();
        owners.retain(|owner| owner.strong_count() > 0);
        let idle = |owner: &Arc<Derived>| now - owner.last_scan.load(Ordering::Relaxed).min(now) > IDLE_SCANS;
        let idle: Vec<Arc<Derived>> = owners.iter().filter_map(Weak::upgrade).filter(idle).collect();
        drop(owners);
        idle.iter().for_each(|owner| owner.forget_all());
    }
}

/// What is kept of one relation.
#[derive(Debug)]
pub struct Derived {
    budget: Arc<DerivedBudget>,
    /// Whether a writer has to look whether something is kept.
    watched: AtomicBool,
    /// Changes of runs, by number modulo their count.
    changes: [AtomicU64; COUNTS],
    last_scan: AtomicU64,
    runs: RwLock<Vec<Run>>,
}

#[derive(Debug, Default)]
struct Run {
    /// A scan has passed since the last change.
    passed: bool,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    value: Arc<dyn Any + Send + Sync>,
    bytes: usize,
}

/// A run that a keeper is about to read.
#[derive(Debug)]
pub struct RunTicket {
    run: u32,
    changes: u64,
}

impl Derived {
    pub(super) fn new(budget: &Arc<DerivedBudget>) -> Arc<Derived> {
        let derived = Arc::new(Derived {
            budget: Arc::clone(budget),
            watched: AtomicBool::new(false),
            changes: [const { AtomicU64::new(0) }; COUNTS],
            last_scan: AtomicU64::new(0),
            runs: RwLock::default(),
        });
        let mut owners = budget.owners.lock();
        // Those that are gone go before the list grows.
        if owners.len() == owners.capacity() {
            owners.retain(|owner| owner.strong_count() > 0);
        }
        owners.push(Arc::downgrade(&derived));
        drop(owners);
        derived
    }

    /// A scan begins; whether anything may be kept at all.
    pub fn begin_scan(&self) -> bool {
        if self.budget.limit_bytes.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let now = self.budget.scans.fetch_add(1, Ordering::Relaxed) + 1;
        self.last_scan.store(now, Ordering::Relaxed);
        if !self.budget.has_room() {
            self.budget.make_room();
        }
        true
    }

    /// What is kept of a run.
    pub fn find(&self, run: u32) -> Option<Arc<dyn Any + Send + Sync>> {
        let runs = self.runs.read();
        runs.get(run as usize)?.kept.as_ref().map(|kept| Arc::clone(&kept.value))
    }

    /// A scan reads a run from what is kept.
    pub fn count_read(&self) {
        self.budget.runs_read.fetch_add(1, Ordering::Relaxed);
    }

    /// A scan passes a run of which nothing is kept: whether it is worth keeping something, since it is not the first one.
    pub fn pass(&self, run: u32) -> bool {
        let limit = self.budget.limit_bytes.load(Ordering::Relaxed);
        if !self.budget.has_room() || run as usize >= limit / LEAST_RUN_BYTES {
            return false;
        }
        let mut runs = self.runs.write();
        if runs.len() <= run as usize {
            runs.resize_with(run as usize + 1, Run::default);
        }
        self.watched.store(true, Ordering::SeqCst);
        std::mem::replace(&mut runs[run as usize].passed, true)
    }

    /// Somebody is going to read a run and keep what he makes of it.
    pub fn begin(&self, run: u32) -> RunTicket {
        self.watched.store(true, Ordering::SeqCst);
        RunTicket { run, changes: self.changes[run as usize % COUNTS].load(Ordering::SeqCst) }
    }

    /// Keeps what was made of a run, unless a block of it has changed meanwhile; whether it did.
    pub fn keep(&self, ticket: &RunTicket, value: Arc<dyn Any + Send + Sync>, bytes: usize) -> bool {
        let mut runs = self.runs.write();
        let number = ticket.run as usize;
        if self.changes[number % COUNTS].load(Ordering::SeqCst) != ticket.changes {
            return false;
        }
        if runs.len() <= number {
            runs.resize_with(number + 1, Run::default);
        }
        self.budget.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        let before = runs[number].kept.replace(Kept { value, bytes });
        self.release(before);
        true
    }

    /// A block is about to change, whose latch the caller holds for writing (D1).
    pub(super) fn forget(&self, block: BlockNo) {
        let run = (block.0 / RUN_BLOCKS) as usize;
        self.changes[run % COUNTS].fetch_add(1, Ordering::SeqCst);
        if !self.watched.load(Ordering::SeqCst) {
            return;
        }
        let before = self.runs.write().get_mut(run).and_then(|run| std::mem::take(run).kept);
        self.release(before);
    }

    fn forget_all(&self) {
        let runs = std::mem::take(&mut *self.runs.write());
        runs.into_iter().for_each(|run| self.release(run.kept));
    }

    fn release(&self, kept: Option<Kept>) {
        if let Some(kept) = kept {
            self.budget.used_bytes.fetch_sub(kept.bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Derived {
    fn drop(&mut self) {
        self.forget_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(limit: usize) -> (Arc<DerivedBudget>, Arc<Derived>) {
        let budget = Arc::new(DerivedBudget::default());
        budget.set_limit(limit);
        let derived = Derived::new(&budget);
        (budget, derived)
    }

    #[test]
    fn what_was_made_of_a_run_goes_with_a_change_of_its_blocks() {
        let (budget, derived) = derived(100_000);
        assert!(derived.begin_scan());
        assert!(!derived.pass(3) && derived.pass(3));
        assert!(derived.keep(&derived.begin(3), Arc::new(7u32), 100));
        assert_eq!(derived.find(3).unwrap().downcast_ref(), Some(&7u32));
        assert!(derived.find(2).is_none() && derived.find(4).is_none());
        derived.forget(BlockNo(4 * RUN_BLOCKS));
        derived.forget(BlockNo(3 * RUN_BLOCKS - 1));
        assert!(derived.find(3).is_some());
        derived.forget(BlockNo(4 * RUN_BLOCKS - 1));
        assert!(derived.find(3).is_none());
        assert_eq!(budget.used_bytes(), 0);
        assert!(!derived.pass(3), "it has to prove its worth anew");
    }

    #[test]
    fn nothing_is_kept_of_blocks_that_changed_meanwhile() {
        let (budget, derived) = derived(100_000);
        let ticket = derived.begin(3);
        derived.forget(BlockNo(3 * RUN_BLOCKS));
        assert!(!derived.keep(&ticket, Arc::new(7u32), 100));
        assert!(derived.find(3).is_none());
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn what_nobody_scans_makes_room() {
        let (budget, old) = derived(100_000);
        let other = Derived::new(&budget);
        assert!(old.begin_scan());
        assert!(old.keep(&old.begin(0), Arc::new(1u32), 100_000));
        for scan in 0..IDLE_SCANS {
            assert!(other.begin_scan());
            assert!(!other.pass(scan as u32) && !other.pass(scan as u32), "there is no room");
            assert!(old.find(0).is_some());
        }
        assert!(other.begin_scan());
        assert!(old.find(0).is_none());
        assert!(!other.pass(0) && other.pass(0));
        assert!(other.keep(&other.begin(0), Arc::new(1u32), 60_000));
        drop(other);
        assert_eq!(budget.used_bytes(), 0);
        budget.set_limit(0);
        assert!(!old.begin_scan());
    }
}
