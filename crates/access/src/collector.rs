//! The collector: removes what no snapshot sees any more, block by block, and only from blocks that have some.
//!
//! # Role
//! Each transaction leaves the blocks it wrote behind when it ends. A cycle visits them: garbage goes at once; a block
//! in which something is still needed is parked under the youngest snapshot that needs it, and visited again when that
//! snapshot is gone. Blocks that nobody has written for a while are taken into the all-visible map. A block with nothing
//! but what its next writers prune themselves waits until it is quiet.
//!
//! # States of a block
//! ```text
//!  left behind ──visit──► clean, or prunable ──quiet for a while──► all-visible
//!       ▲                   │
//!       │ snapshot gone     │ something is needed
//!       └──── parked ◄──────┘
//! ```
//!
//! # Invariants
//! - C1: an aborted transaction leaves the lists of exceptions only after every block it wrote was visited and no
//!   version of it is left.
//! - C2: after a start every block that is not all-visible counts as left behind, and after a crash every block that was
//!   redone: how much room they have is not known otherwise.
//! - C3: a transaction that runs since before the start (a prepared one) does not know which blocks it wrote. Blocks with
//!   its versions wait for its end here.
//!
//! # Concurrency
//! One thread runs cycles; `vacuum` may run beside it, since a visit holds the latches it needs. A visit holds a block's
//! write latch while it removes index entries.
//!
//! # Not done
//! Each version in the history fork is unlinked by a record of its own, and empty pages at the end of a relation stay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use ochre_base::{BlockNo, Fork, Lsn, Result, Xid};
use ochre_storage::{PageKind, RelationKey};
use ochre_txn::{BlockSet, Outcome, TransactionManager};
use parking_lot::{Condvar, Mutex};

use crate::heap::{Collected, Heap, RedoneBlocks, is_all_visible};

/// Time between two cycles.
const CYCLE_INTERVAL: Duration = Duration::from_millis(200);
/// How long a block has to be left alone before it is taken into the all-visible map: what is written often would be
/// taken out again at once, at the price of two records.
const QUIET_INTERVAL: Duration = Duration::from_secs(5);

/// Relations by their files.
pub trait HeapSource: Send + Sync {
    /// The handle of a relation, with its index cleanup set; `None` when it is gone or not open yet.
    fn heap(&self, relation: RelationKey) -> Option<Arc<Heap>>;
}

/// What a cycle or a VACUUM has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CollectorStats {
    /// Blocks visited.
    pub blocks: u64,
    /// Versions unlinked.
    pub versions: u64,
    /// Rows removed.
    pub rows: u64,
    /// Rows that stay. Only VACUUM counts them.
    pub live: u64,
    /// Blocks found or made all-visible.
    pub all_visible: u64,
}

impl CollectorStats {
    fn add(&mut self, collected: &Collected) {
        self.blocks += 1;
        self.versions += collected.versions;
        self.rows += collected.rows;
        self.all_visible += u64::from(collected.all_visible);
    }
}

/// In an order, so that the same garbage goes in the same steps.
type Blocks = BTreeMap<RelationKey, BlockSet>;

/// Work at a stretch, and the pause after it.
const STRETCH: Duration = Duration::from_millis(4);
/// With so many blocks to visit there are no pauses: garbage comes faster than it goes.
const FAR_BEHIND_BLOCKS: usize = 1 << 15;

/// How a cycle shares the machine.
enum Pace {
    Fast,
    Paused { worked_since: Instant },
}

impl Pace {
    /// Between two blocks.
    fn rest(&mut self, behind: usize) {
        if let Pace::Paused { worked_since } = self
            && behind < FAR_BEHIND_BLOCKS
            && worked_since.elapsed() >= STRETCH
        {
            std::thread::sleep(STRETCH);
            *worked_since = Instant::now();
        }
    }
}

#[derive(Default)]
struct Queue {
    /// To be visited in the next cycle.
    ready: Blocks,
    /// Under the youngest snapshot that needs something in them.
    parked: BTreeMap<Lsn, Blocks>,
    /// Clean or prunable, but written lately; the older half is visited next, and becomes all-visible if it can.
    quiet_young: Blocks,
    quiet_old: Blocks,
    /// By the clock of the surroundings.
    turned_at: Option<Duration>,
    /// Under a transaction of before the start that still runs and has written in them (C3).
    undecided: BTreeMap<Xid, Blocks>,
    /// Aborted transactions whose blocks have been visited or are in `ready` (C1).
    to_forget: Vec<(Xid, Xid)>,
    /// Redone blocks of history forks, to be looked at for room.
    redone_history: Blocks,
}

impl Queue {
    /// The blocks were written or cleaned just now.
    fn await_quiet(&mut self, relation: RelationKey, blocks: &BlockSet) {
        self.quiet_young.entry(relation).or_default().union(blocks);
        if let Some(old) = self.quiet_old.get_mut(&relation) {
            old.subtract(blocks);
        }
    }
}

/// Collects garbage of all relations.
pub struct Collector {
    manager: Arc<TransactionManager>,
    source: Arc<dyn HeapSource>,
    queue: Mutex<Queue>,
    /// Whether the first cycle has queued what was there at the start.
    started: AtomicBool,
    /// Transactions below this one began before the start.
    first_xid: Xid,
    stop: Mutex<bool>,
    wake: Condvar,
}

impl Collector {
    /// A collector over the relations that a source knows. Its first cycle begins with all blocks that are not
    /// all-visible (C2).
    pub fn new(manager: Arc<TransactionManager>, source: Arc<dyn HeapSource>) -> Collector {
        let to_forget = manager.aborted_runs();
        let first_xid = manager.outcomes().next();
        Collector {
            first_xid,
            manager,
            source,
            queue: Mutex::new(Queue { to_forget, ..Queue::default() }),
            started: AtomicBool::new(false),
            stop: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    /// Queues what redo has touched (C2).
    pub fn queue_redone(&self, redone: HashMap<RelationKey, RedoneBlocks>) {
        let mut queue = self.queue.lock();
        for (relation, blocks) in redone {
            queue.ready.entry(relation).or_default().union(&blocks.main);
            if !blocks.history.is_empty() {
                queue.redone_history.entry(relation).or_default().union(&blocks.history);
            }
        }
    }

    /// Looks at the redone blocks of relations that can be opened.
    fn look_for_room(&self) {
        let redone = std::mem::take(&mut self.queue.lock().redone_history);
        for (relation, set) in redone {
            match self.source.heap(relation) {
                Some(heap) => {
                    set.to_sorted().into_iter().for_each(|block| heap.note_room_of(Fork::History, block));
                }
                None if !self.is_gone(relation) => {
                    self.queue.lock().redone_history.insert(relation, set);
                }
                None => {}
            }
        }
    }

    /// Whether a relation has no files any more, or is losing them.
    fn is_gone(&self, relation: RelationKey) -> bool {
        !self.manager.storage().files().exists(relation).unwrap_or(true)
    }

    /// Queues every block of every heap that is not all-visible (C2).
    fn enqueue_all(&self) -> Result<()> {
        let storage = self.manager.storage();
        for relation in storage.files().list()? {
            let blocks = storage.pool().block_count(relation.fork(Fork::Main))?;
            // Files of indexes and sequences are told by their first page. One that is damaged is reported by its users.
            let is_heap = (0..blocks).find_map(|block| {
                let page = storage.pool().read(relation.main_page(BlockNo(block))).ok()?;
                (!page.is_unused()).then(|| page.kind() == PageKind::HEAP)
            });
            if is_heap != Some(true) {
                continue;
            }
            let mut set = BlockSet::default();
            let open = (0..blocks).map(BlockNo).filter(|b| !is_all_visible(storage, relation, *b));
            open.for_each(|block| set.insert(block));
            if !set.is_empty() {
                self.queue.lock().ready.entry(relation).or_default().union(&set);
            }
        }
        Ok(())
    }

    /// Runs cycles until [`Collector::stop`] is called: the body of the collector's thread. Errors of a cycle are
    /// handed to `report`, and the cycle's blocks are visited again.
    pub fn run(&self, report: &dyn Fn(ochre_base::Error)) {
        loop {
            let mut stop = self.stop.lock();
            if !*stop {
                self.wake.wait_for(&mut stop, CYCLE_INTERVAL);
            }
            if *stop {
                return;
            }
            drop(stop);
            if let Err(error) = self.cycle() {
                report(error);
            }
        }
    }

    /// Ends [`Collector::run`].
    pub fn stop(&self) {
        *self.stop.lock() = true;
        self.wake.notify_all();
    }

    /// Visits every block that has something to collect.
    ///
    /// # Errors
    /// The first that a visit met; the other blocks are visited all the same.
    pub fn cycle(&self) -> Result<CollectorStats> {
        self.cycle_with(&mut Pace::Fast)
    }

    /// As [`Collector::cycle`], with pauses that leave the machine to others, unless it falls behind.
    ///
    /// # Errors
    /// As [`Collector::cycle`].
    pub fn cycle_paced(&self) -> Result<CollectorStats> {
        self.cycle_with(&mut Pace::Paused { worked_since: Instant::now() })
    }

    fn cycle_with(&self, pace: &mut Pace) -> Result<CollectorStats> {
        if !self.started.load(Ordering::Acquire) {
            self.enqueue_all()?;
            self.started.store(true, Ordering::Release);
        }
        self.manager.storage().files().remove_dropped()?;
        self.look_for_room();
        self.manager.settle();
        // C1: the xids first; their blocks were left behind before.
        let aborted = self.manager.take_aborted();
        let (mut fresh, patient) = self.manager.take_left_behind();
        for (relation, set) in patient {
            match pace {
                Pace::Fast => fresh.entry(relation).or_default().union(&set),
                Pace::Paused { .. } => self.await_quiet(relation, &set),
            }
        }
        let mut ready = {
            let mut queue = self.queue.lock();
            queue.to_forget.extend(aborted.iter().map(|x| (*x, *x)));
            self.unpark(&mut queue);
            self.take_decided(&mut queue);
            std::mem::take(&mut queue.ready)
        };
        for (relation, set) in &fresh {
            ready.entry(*relation).or_default().union(set);
        }
        let mut stats = CollectorStats::default();
        let mut error = None;
        let mut left_void = false;
        let mut behind: usize = ready.values().map(BlockSet::len).sum();
        for (relation, set) in ready {
            let mut dead = 0;
            let Some(heap) = self.source.heap(relation) else {
                // A relation that nobody has opened since the start, or that is being dropped: gone when its file is.
                if !self.is_gone(relation) {
                    left_void = true;
                    self.queue.lock().ready.entry(relation).or_default().union(&set);
                }
                continue;
            };
            for block in set.to_sorted() {
                match heap.collect_block(block, false) {
                    Ok(collected) => {
                        stats.add(&collected);
                        dead += collected.dead;
                        left_void |= collected.left_void;
                        self.file(relation, block, &collected);
                    }
                    // It was dropped, and its files are being removed.
                    Err(_) if self.is_gone(relation) => {}
                    Err(e) => {
                        left_void = true;
                        self.queue.lock().ready.entry(relation).or_default().insert(block);
                        error.get_or_insert(e);
                    }
                }
                behind -= 1;
                pace.rest(behind);
                if *self.stop.lock() {
                    // What was not visited is found again after the next start (C2).
                    return error.map_or(Ok(stats), Err);
                }
            }
            self.manager.note_unlinked(relation, dead);
        }
        if !left_void {
            self.forget()?;
        }
        self.mark_quiet_blocks(pace, &mut stats)?;
        error.map_or(Ok(stats), Err)
    }

    /// Visits every block of one relation now: VACUUM.
    ///
    /// # Errors
    /// When a page cannot be read or changed.
    pub fn vacuum(&self, heap: &Heap) -> Result<CollectorStats> {
        self.vacuum_with(heap, &mut || Ok(()))
    }

    /// As [`Collector::vacuum`]; asks `go_on` before each block.
    ///
    /// # Errors
    /// As [`Collector::vacuum`], and what `go_on` returns.
    pub fn vacuum_with(&self, heap: &Heap, go_on: &mut dyn FnMut() -> Result<()>) -> Result<CollectorStats> {
        self.manager.settle();
        let mut stats = CollectorStats::default();
        for block in (0..heap.block_count()?).map(BlockNo) {
            go_on()?;
            let collected = heap.collect_block(block, true)?;
            stats.add(&collected);
            stats.live += heap.count_rows(block)?;
            self.manager.note_unlinked(heap.relation(), collected.dead);
            if collected.kept_for.is_some() || collected.running.is_some() {
                self.file(heap.relation(), block, &collected);
            }
        }
        Ok(stats)
    }

    /// Blocks that wait for a snapshot to close, for those who watch.
    pub fn parked_blocks(&self) -> usize {
        let queue = self.queue.lock();
        queue.parked.values().flat_map(|blocks| blocks.values()).map(BlockSet::len).sum()
    }

    /// Puts a visited block where it belongs.
    fn file(&self, relation: RelationKey, block: BlockNo, collected: &Collected) {
        let mut queue = self.queue.lock();
        if let Some(xid) = collected.running.filter(|xid| *xid < self.first_xid) {
            queue.undecided.entry(xid).or_default().entry(relation).or_default().insert(block);
        }
        match collected.kept_for {
            // C1
            _ if collected.left_void => queue.ready.entry(relation).or_default().insert(block),
            Some(Lsn::MAX) => queue.ready.entry(relation).or_default().insert(block),
            Some(snapshot) => {
                queue.parked.entry(snapshot).or_default().entry(relation).or_default().insert(block);
            }
            None if collected.all_visible => {}
            None => queue.await_quiet(relation, &BlockSet::from_iter([block])),
        }
    }

    fn await_quiet(&self, relation: RelationKey, blocks: &BlockSet) {
        self.queue.lock().await_quiet(relation, blocks);
    }

    /// Moves blocks whose snapshot is gone to those to be visited.
    fn unpark(&self, queue: &mut Queue) {
        if queue.parked.is_empty() {
            return;
        }
        let open = self.manager.open_snapshots();
        let gone: Vec<Lsn> = queue.parked.keys().copied().filter(|s| !open.contains(*s)).collect();
        for snapshot in gone {
            for (relation, set) in queue.parked.remove(&snapshot).unwrap_or_default() {
                queue.ready.entry(relation).or_default().union(&set);
            }
        }
    }

    /// Moves blocks whose transaction of before the start has ended to those to be visited (C3).
    fn take_decided(&self, queue: &mut Queue) {
        let runs = |xid: &Xid| matches!(self.manager.outcome(*xid), Outcome::Running { .. });
        let decided: Vec<Xid> = queue.undecided.keys().copied().filter(|xid| !runs(xid)).collect();
        for xid in decided {
            for (relation, set) in queue.undecided.remove(&xid).unwrap_or_default() {
                queue.ready.entry(relation).or_default().union(&set);
            }
        }
    }

    /// C1: every block has been visited, and nothing of the aborted transactions is left.
    fn forget(&self) -> Result<()> {
        let mut runs = {
            let mut queue = self.queue.lock();
            if queue.to_forget.is_empty() {
                return Ok(());
            }
            std::mem::take(&mut queue.to_forget)
        };
        runs.sort_unstable();
        let settled = self.manager.outcomes().settled();
        // What has not settled is not on the list yet that it is to leave.
        let (now, later): (Vec<_>, Vec<_>) = runs.into_iter().partition(|(_, last)| *last < settled);
        self.queue.lock().to_forget.extend(later);
        self.manager.forget(&now)
    }

    fn mark_quiet_blocks(&self, pace: &mut Pace, stats: &mut CollectorStats) -> Result<()> {
        let due = {
            let now = self.manager.storage().env().clock.monotonic();
            let mut queue = self.queue.lock();
            if queue.turned_at.is_some_and(|at| now.saturating_sub(at) < QUIET_INTERVAL) {
                return Ok(());
            }
            queue.turned_at = Some(now);
            let young = std::mem::take(&mut queue.quiet_young);
            std::mem::replace(&mut queue.quiet_old, young)
        };
        let mut error = None;
        for (relation, set) in due {
            let Some(heap) = self.source.heap(relation) else {
                if !self.is_gone(relation) {
                    self.await_quiet(relation, &set);
                }
                continue;
            };
            for block in set.to_sorted() {
                match heap.collect_block(block, true) {
                    Ok(collected) => {
                        stats.add(&collected);
                        let undecided = collected.running.is_some_and(|xid| xid < self.first_xid);
                        if collected.kept_for.is_some() || undecided {
                            self.file(relation, block, &collected);
                        }
                        self.manager.note_unlinked(relation, collected.dead);
                    }
                    Err(_) if self.is_gone(relation) => break,
                    Err(e) => {
                        self.await_quiet(relation, &BlockSet::from_iter([block]));
                        error.get_or_insert(e);
                    }
                }
                pace.rest(0);
                if *self.stop.lock() {
                    return Ok(());
                }
            }
        }
        error.map_or(Ok(()), Err)
    }
}
