//! What the threads of a parallel plan share, and how many threads there may be.
//!
//! # Role
//! [`crate::operators::gather`] runs a plan on several threads. Each has operators of its own; they meet in what is kept
//! here: the pages of a table that nobody has read yet ([`SharedScan`]), the groups that each has made
//! ([`SharedGroups`]), and the word that all are to stop ([`Control`]).
//!
//! # Invariants
//! - PX1: at most as many threads help at one time as the [`WorkerPool`] has places, in all sessions together. Who gets none
//!   does the work alone; nobody waits for a place.
//! - PX2: a morsel is claimed by one thread, which reads all of it unless the statement fails.
//! - PX3: once [`Control::stop`] was called no thread claims another morsel, and helpers fail at their next check.
//!
//! # Memory
//! A statement's threads count what they take together: each adds to [`Control`] what it has taken since its last check,
//! and fails when the sum exceeds what the statement may take. What helpers have taken in the end counts for the calling
//! thread, which goes on with it. What the calling thread takes within one batch is bounded by its own budget only.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use ochre_access::heap::RUN_BLOCKS;
use ochre_base::{Error, Result};
use ochre_env::memory;
use ochre_expr::WorkerWatch;
use ochre_txn::wait::out_of_memory;
use parking_lot::Mutex;

use crate::operators::aggregate::GroupTable;

/// A morsel is this part of what is left for each thread, so that all end at about the same time.
const MORSELS_LEFT: u32 = 16;
/// Pages of a morsel at most: few enough that a cancelled statement ends at once.
const MAX_MORSEL_PAGES: u32 = 64;

/// The places for threads that help with statements, of one instance.
#[derive(Debug)]
pub struct WorkerPool {
    places: usize,
    taken: AtomicUsize,
    /// Places taken since the start.
    served: AtomicU64,
}

impl WorkerPool {
    /// A pool of so many places.
    pub fn new(places: usize) -> WorkerPool {
        WorkerPool { places, taken: AtomicUsize::new(0), served: AtomicU64::new(0) }
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many have been taken since the start.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Takes up to `wanted` places, but none beyond `limit` taken ones (PX1).
    fn take(&self, wanted: usize, limit: usize) -> Places<'_> {
        let most = self.places.min(limit);
        let mut got = 0;
        let _ = self.taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |taken| {
            got = wanted.min(most.saturating_sub(taken));
            Some(taken + got)
        });
        self.served.fetch_add(got as u64, Ordering::Relaxed);
        Places { pool: self, count: got }
    }
}

/// Places of a pool, given back when dropped.
pub(crate) struct Places<'a> {
    pool: &'a WorkerPool,
    pub count: usize,
}

impl Places<'_> {
    /// Gives back what is not needed.
    pub fn give_back(&mut self, count: usize) {
        self.count -= count;
        self.pool.taken.fetch_sub(count, Ordering::AcqRel);
    }
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        self.pool.taken.fetch_sub(self.count, Ordering::AcqRel);
    }
}

/// What a statement may have of the pool.
#[derive(Debug, Clone, Copy)]
pub struct Workers<'a> {
    /// The instance's places.
    pub pool: &'a WorkerPool,
    /// `max_parallel_workers`: no more than so many places may be taken in all.
    pub limit: usize,
    /// `parallel_leader_participation`: whether the calling thread runs a share of its own beside others.
    pub leader_participates: bool,
}

impl<'a> Workers<'a> {
    pub(crate) fn take(&self, wanted: usize) -> Places<'a> {
        self.pool.take(wanted, self.limit)
    }
}

/// What the threads of one gather tell each other.
#[derive(Debug, Default)]
pub(crate) struct Control {
    stopped: AtomicBool,
    paused: AtomicBool,
    /// Rows that this round has given, and how many it is to give.
    rows: AtomicUsize,
    wanted_rows: AtomicUsize,
    /// Bytes of these rows, and how many may wait in memory.
    bytes: AtomicUsize,
    wanted_bytes: AtomicUsize,
    /// So many rows of this round are all that will ever be read.
    last_rows: AtomicUsize,
    /// Bytes that the threads have taken in this round, and may take.
    taken: AtomicI64,
    ceiling: AtomicI64,
    failure: Mutex<Option<Error>>,
}

impl Control {
    /// A round begins, which ends when so many rows or bytes have come, and is the last one when `last_rows` have.
    pub fn begin_round(&self, wanted_rows: usize, wanted_bytes: usize, last_rows: usize) {
        self.last_rows.store(last_rows, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        self.wanted_bytes.store(wanted_bytes, Ordering::Relaxed);
        self.rows.store(0, Ordering::Relaxed);
        self.wanted_rows.store(wanted_rows, Ordering::Relaxed);
        self.taken.store(0, Ordering::Relaxed);
        self.ceiling.store(memory::left().unwrap_or(i64::MAX), Ordering::Relaxed);
        self.paused.store(false, Ordering::Release);
    }

    /// Rows have come.
    pub fn note_rows(&self, rows: usize, bytes: usize) {
        let rows = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if rows >= self.wanted_rows.load(Ordering::Relaxed)
            || bytes >= self.wanted_bytes.load(Ordering::Relaxed)
        {
            self.paused.store(true, Ordering::Release);
        }
        if rows >= self.last_rows.load(Ordering::Relaxed) {
            self.stop();
        }
    }

    /// Rows of this round.
    pub fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// Whether threads are to hold on after the batch in hand.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire) || self.is_stopped()
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// No thread is to go on (PX3).
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// A thread has failed: the first one's error is the statement's.
    pub fn fail(&self, error: Error) {
        let mut failure = self.failure.lock();
        if !self.is_stopped() && failure.is_none() {
            *failure = Some(error);
        }
        self.stop();
    }

    pub fn take_failure(&self) -> Option<Error> {
        self.failure.lock().take()
    }

    /// Bytes that the threads have taken in this round.
    pub fn taken(&self) -> i64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Forgets everything: the plan runs anew.
    pub fn reset(&self) {
        self.stopped.store(false, Ordering::Release);
        *self.failure.lock() = None;
    }

    /// Notes what a thread has taken since `counted`, which is brought up to date.
    fn count(&self, counted: &AtomicI64) -> i64 {
        let now = memory::taken();
        let delta = now - counted.swap(now, Ordering::Relaxed);
        self.taken.fetch_add(delta, Ordering::Relaxed) + delta
    }

    fn check_memory(&self, counted: &AtomicI64) -> Result<()> {
        if self.count(counted) > self.ceiling.load(Ordering::Relaxed) {
            return Err(out_of_memory());
        }
        Ok(())
    }
}

/// A helping thread's view of [`Control`]: its checks fail when the statement is to stop, or has taken too much.
#[derive(Debug)]
pub(crate) struct Watch {
    control: Arc<Control>,
    counted: AtomicI64,
}

impl Watch {
    pub fn new(control: &Arc<Control>) -> Watch {
        Watch { control: Arc::clone(control), counted: AtomicI64::new(0) }
    }

    /// The calling thread begins to work on the statement.
    pub fn begin(&self) {
        self.counted.store(memory::taken(), Ordering::Relaxed);
    }

    /// Adds what the thread has taken since.
    pub fn count(&self) {
        self.control.count(&self.counted);
    }
}

impl WorkerWatch for Watch {
    #[inline]
    fn check(&self) -> Result<()> {
        if self.control.is_stopped() {
            return Err(stopped());
        }
        self.control.check_memory(&self.counted)
    }
}

/// What a helper fails with when it is not needed any more: nobody sees it.
#[cold]
fn stopped() -> Error {
    Error::internal("the statement has stopped")
}

/// The pages of a table that no thread has claimed.
#[derive(Debug)]
pub struct SharedScan {
    control: Arc<Control>,
    threads: u32,
    pages: Mutex<Option<Range<u32>>>,
}

impl SharedScan {
    pub(crate) fn new(control: &Arc<Control>, threads: usize) -> SharedScan {
        let threads = u32::try_from(threads.max(1)).unwrap_or(u32::MAX);
        SharedScan { control: Arc::clone(control), threads, pages: Mutex::new(None) }
    }

    /// The next pages for the calling thread; `None` when there are no more. Who asks first says how many pages there are.
    pub(crate) fn claim(&self, pages: impl FnOnce() -> Result<u32>) -> Result<Option<Range<u32>>> {
        if self.control.is_stopped() {
            return Ok(None);
        }
        let mut left = self.pages.lock();
        let left = match &mut *left {
            Some(left) => left,
            none => none.insert(0..pages()?),
        };
        if left.start >= left.end {
            return Ok(None);
        }
        let size = (left.end - left.start) / self.threads / MORSELS_LEFT;
        let mut size = size.clamp(1, MAX_MORSEL_PAGES);
        // As long as there are many, morsels end where runs of blocks do, of which columns may be kept.
        if left.end - left.start >= 2 * self.threads * RUN_BLOCKS {
            size = (size / RUN_BLOCKS * RUN_BLOCKS).max(RUN_BLOCKS);
        }
        let end = left.end.min(left.start + size);
        Ok(Some(std::mem::replace(&mut left.start, end)..end))
    }

    /// The table is read anew.
    pub(crate) fn reset(&self) {
        *self.pages.lock() = None;
    }
}

/// The groups that the threads of a partial aggregation have made: for each thread one table a grouping set.
#[derive(Default)]
pub struct SharedGroups {
    tables: Mutex<Vec<Vec<GroupTable>>>,
}

impl SharedGroups {
    pub(crate) fn put(&self, tables: Vec<GroupTable>) {
        self.tables.lock().push(tables);
    }

    pub(crate) fn take(&self) -> Vec<Vec<GroupTable>> {
        std::mem::take(&mut *self.tables.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let pool = WorkerPool::new(3);
        let first = pool.take(2, 8);
        let second = pool.take(2, 8);
        assert_eq!((first.count, second.count, pool.taken()), (2, 1, 3));
        assert_eq!(pool.take(1, 8).count, 0);
        drop(first);
        assert_eq!(pool.take(5, 2).count, 1);
        assert_eq!(pool.taken(), 1);
        drop(second);
        assert_eq!(pool.taken(), 0);
        assert_eq!(pool.take(1, 0).count, 0);
    }

    #[test]
    fn every_page_is_claimed_once() {
        let scan = SharedScan::new(&Arc::default(), 3);
        let claimed = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Some(pages) = scan.claim(|| Ok(5000)).unwrap() {
                        assert!(!pages.is_empty() && (pages.end - pages.start) <= MAX_MORSEL_PAGES);
                        claimed.lock().extend(pages);
                    }
                });
            }
        });
        let mut claimed = claimed.into_inner();
        claimed.sort_unstable();
        assert!(claimed.into_iter().eq(0..5000));
    }

    #[test]
    fn nothing_is_claimed_after_a_stop() {
        let control = Arc::new(Control::default());
        let scan = SharedScan::new(&control, 2);
        assert!(scan.claim(|| Ok(10)).unwrap().is_some());
        control.fail(Error::internal("first"));
        control.fail(Error::internal("second"));
        assert!(scan.claim(|| Ok(10)).unwrap().is_none());
        assert!(Watch::new(&control).check().is_err());
        assert_eq!(control.take_failure().unwrap().message(), "first");
    }
}
