//! The heap beside a model that keeps every version in memory: random transactions, savepoints, snapshots, collection,
//! checkpoints, power cuts.

mod common;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Once};

use common::*;
use ochre_access::collector::{Collector, HeapSource};
use ochre_access::heap::{Heap, Heaps, IndexCleanup, LockOutcome, RowWait, VersionRef, WriteOutcome};
use ochre_access::row::{RowBuffer, RowView};
use ochre_base::{BlockNo, Result, RowId};
use ochre_env::sim::CrashMode;
use ochre_storage::{CheckpointKind, RelationKey};
use ochre_txn::{IsolationLevel, RowLockStrength, SavepointDepth, Snapshot, Transaction};
use parking_lot::Mutex;

/// An index as the engine would keep it: entries of key and row id, in memory.
#[derive(Default)]
struct ModelIndex(Mutex<BTreeSet<(u32, RowId)>>);

impl IndexCleanup for ModelIndex {
    fn remove_entries(
        &self,
        row: RowId,
        doomed: &[VersionRef<'_>],
        surviving: &[VersionRef<'_>],
    ) -> Result<bool> {
        let layout = layout();
        let key = |v: &VersionRef<'_>| key_of(&RowView::new(&layout, v.payload, v.flags));
        let kept: Vec<u32> = surviving.iter().map(key).collect();
        for doomed in doomed.iter().map(key).filter(|k| !kept.contains(k)) {
            self.0.lock().remove(&(doomed, row));
        }
        Ok(true)
    }
}

struct Source {
    heaps: Arc<Heaps>,
    index: Arc<ModelIndex>,
}

impl HeapSource for Source {
    fn heap(&self, relation: RelationKey) -> Option<Arc<Heap>> {
        let heap = self.heaps.open(relation);
        heap.set_index_cleanup(Some(self.index.clone()));
        Some(heap)
    }
}

type Value = (u32, Vec<u8>);

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Running,
    Aborted,
    Committed(u64),
}

#[derive(Clone, Debug)]
struct Version {
    by: usize,
    cid: u32,
    dead: bool,
    value: Option<Value>,
}

#[derive(Default)]
struct Model {
    states: Vec<State>,
    commits: u64,
    rows: BTreeMap<RowId, Vec<Version>>,
}

#[derive(Clone, Copy)]
struct ModelSnapshot {
    at: u64,
    own: usize,
    cid: u32,
}

impl Model {
    fn is_void(&self, v: &Version) -> bool {
        v.dead || self.states[v.by] == State::Aborted
    }

    fn visible(&self, row: &[Version], s: ModelSnapshot) -> Option<Value> {
        for v in row.iter().rev().filter(|v| !self.is_void(v)) {
            let seen = if v.by == s.own {
                v.cid < s.cid
            } else {
                matches!(self.states[v.by], State::Committed(at) if at <= s.at)
            };
            if seen {
                return v.value.clone();
            }
        }
        None
    }

    fn all_visible(&self, s: ModelSnapshot) -> BTreeMap<RowId, Value> {
        self.rows.iter().filter_map(|(rid, row)| Some((*rid, self.visible(row, s)?))).collect()
    }

    fn current(&self, rid: RowId) -> Option<&Version> {
        self.rows.get(&rid)?.iter().rev().find(|v| !self.is_void(v))
    }
}

/// What a scan that began under a snapshot has copied from the index, and goes to the heap with later.
type Copied = BTreeSet<(u32, RowId)>;

struct Open {
    id: usize,
    transaction: Transaction,
    base: Option<u64>,
    isolation: IsolationLevel,
    savepoints: Vec<(SavepointDepth, u32)>,
    held: Vec<(Snapshot, ModelSnapshot, Copied)>,
}

struct Run {
    random: Random,
    machine: Machine,
    db: Database,
    relation: RelationKey,
    heap: Arc<Heap>,
    index: Arc<ModelIndex>,
    collector: Collector,
    model: Model,
    open: Vec<Open>,
    acknowledged: u64,
}

const NOBODY: usize = usize::MAX;

impl Run {
    fn new(seed: u64) -> Run {
        let machine = Machine::new(seed);
        let db = machine.open().unwrap();
        let heap = db.create_heap().unwrap();
        let relation = heap.relation();
        let index = Arc::new(ModelIndex::default());
        let collector = new_collector(&db, &index);
        heap.set_index_cleanup(Some(index.clone()));
        Run {
            random: Random::new(seed),
            machine,
            db,
            relation,
            heap,
            index,
            collector,
            model: Model::default(),
            open: Vec::new(),
            acknowledged: 0,
        }
    }

    fn begin(&mut self) {
        let isolation = *self.random.pick(&[IsolationLevel::ReadCommitted, IsolationLevel::RepeatableRead]);
        let transaction = self.db.begin(isolation);
        let id = self.model.states.len();
        self.model.states.push(State::Running);
        let (savepoints, held) = (Vec::new(), Vec::new());
        self.open.push(Open { id, transaction, base: None, isolation, savepoints, held });
    }

    fn snapshot(&mut self, n: usize) -> (Snapshot, ModelSnapshot) {
        let open = &mut self.open[n];
        let snapshot = open.transaction.snapshot().unwrap();
        let mut at = self.model.commits;
        if open.isolation == IsolationLevel::RepeatableRead {
            at = *open.base.get_or_insert(at);
        }
        (snapshot, ModelSnapshot { at, own: open.id, cid: open.transaction.current_cid().0 })
    }

    fn value(&mut self) -> Value {
        let len = match self.random.below(40) {
            0 => 2500 + self.random.below(20_000),
            1..=3 => 500 + self.random.below(1600),
            _ => self.random.below(120),
        };
        let mut text = vec![self.random.next() as u8; len as usize];
        if self.random.chance(70) {
            text.iter_mut().for_each(|b| *b = self.random.next() as u8);
        }
        (self.random.below(8) as u32, text)
    }

    fn step(&mut self) {
        if self.open.is_empty() || (self.open.len() < 5 && self.random.chance(10)) {
            return self.begin();
        }
        let n = self.random.below(self.open.len() as u64) as usize;
        match self.random.below(100) {
            0..=24 => self.insert(n),
            25..=64 => self.change(n),
            65..=69 => self.savepoint(n),
            70..=72 => self.rollback_to(n),
            73..=76 => {
                let (snapshot, at) = self.snapshot(n);
                let copied = self.index.0.lock().clone();
                self.open[n].held.push((snapshot, at, copied));
            }
            77..=79 => {
                self.check_snapshots(n);
                self.open[n].held.clear();
            }
            80..=89 => self.commit(n),
            90..=92 => {
                let open = self.open.swap_remove(n);
                self.model.states[open.id] = State::Aborted;
                self.db.manager.abort(open.transaction);
            }
            93..=97 => {
                self.collector.cycle().unwrap();
            }
            98 => {
                self.collector.vacuum(&self.heap).unwrap();
            }
            _ => self.check_snapshots(n),
        }
    }

    fn insert(&mut self, n: usize) {
        let (key, text) = self.value();
        let mut row = RowBuffer::default();
        encode(&mut row, key, &text);
        let open = &self.open[n];
        let cid = open.transaction.current_cid().0;
        let rid = self.heap.insert(&open.transaction, &mut row, 3).unwrap();
        self.index.0.lock().insert((key, rid));
        let version = Version { by: open.id, cid, dead: false, value: Some((key, text)) };
        if let Some(old) = self.model.rows.get(&rid) {
            // The id was given away again: nobody may see the old row any more.
            for open in &self.open {
                for (_, snapshot, _) in &open.held {
                    assert_eq!(self.model.visible(old, *snapshot), None, "row {rid} was still seen");
                }
            }
            assert!(self.model.current(rid).is_none_or(|v| v.value.is_none()), "row {rid} is in use");
        }
        self.model.rows.insert(rid, vec![version]);
        self.open[n].transaction.advance_command().unwrap();
    }

    fn change(&mut self, n: usize) {
        let rids: Vec<RowId> = self.model.rows.keys().copied().collect();
        if rids.is_empty() {
            return;
        }
        let rid = *self.random.pick(&rids);
        let (snapshot, at) = self.snapshot(n);
        let seen = self.model.visible(&self.model.rows[&rid], at);
        let Some(before) = seen else { return };
        let current = self.model.current(rid).expect("somebody sees it").clone();
        let open = &self.open[n];
        let mut wait = RowWait::default();
        if current.by != open.id && self.model.states[current.by] == State::Running {
            let strength = RowLockStrength::NoKeyUpdate;
            let outcome =
                self.heap.lock_row(&open.transaction, &snapshot, rid, strength, false, &mut wait).unwrap();
            assert_eq!(outcome, LockOutcome::WouldBlock, "row {rid}");
            return;
        }
        let newer = match self.model.states[current.by] {
            State::Committed(commit) => commit > at.at,
            _ => false,
        };
        let expected = match (&current.value, newer) {
            (_, false) => WriteOutcome::Done,
            (Some(_), true) => WriteOutcome::Changed,
            (None, true) => WriteOutcome::Deleted,
        };
        let cid = open.transaction.current_cid().0;
        let delete = self.random.chance(25);
        let (outcome, value) = if delete {
            (self.heap.delete(&open.transaction, &snapshot, rid, &mut wait).unwrap(), None)
        } else {
            let (mut key, text) = self.value();
            if self.random.chance(60) {
                key = before.0;
            }
            let open = &self.open[n];
            let mut row = RowBuffer::default();
            encode(&mut row, key, &text);
            let strength = RowLockStrength::NoKeyUpdate;
            let changed = key != before.0;
            let outcome = self
                .heap
                .update(&open.transaction, &snapshot, rid, &mut row, 3, changed, strength, &mut wait)
                .unwrap();
            if changed && outcome == WriteOutcome::Done {
                self.index.0.lock().insert((key, rid));
            }
            (outcome, Some((key, text)))
        };
        assert_eq!(outcome, expected, "row {rid}");
        if outcome == WriteOutcome::Done {
            let version = Version { by: self.open[n].id, cid, dead: false, value };
            self.model.rows.get_mut(&rid).unwrap().push(version);
            drop(snapshot);
            if self.random.chance(90) {
                self.open[n].transaction.advance_command().unwrap();
            } else {
                // A second write by the same command.
                self.same_command(n, rid);
                self.open[n].transaction.advance_command().unwrap();
            }
        }
    }

    fn same_command(&mut self, n: usize, rid: RowId) {
        let (snapshot, _) = self.snapshot(n);
        let transaction = &self.open[n].transaction;
        let outcome = self.heap.delete(transaction, &snapshot, rid, &mut RowWait::default()).unwrap();
        assert_eq!(outcome, WriteOutcome::SelfModified);
    }

    fn savepoint(&mut self, n: usize) {
        let open = &mut self.open[n];
        let savepoint = open.transaction.savepoint().unwrap();
        open.savepoints.push((savepoint, open.transaction.current_cid().0));
    }

    fn rollback_to(&mut self, n: usize) {
        let open = &mut self.open[n];
        if open.savepoints.is_empty() {
            return;
        }
        let at = self.random.below(open.savepoints.len() as u64) as usize;
        let (savepoint, cid) = open.savepoints[at];
        open.savepoints.truncate(at + 1);
        // Cursors opened since the savepoint go with it.
        open.held.retain(|(_, s, _)| s.cid <= cid);
        open.transaction.rollback_to(savepoint).unwrap();
        for row in self.model.rows.values_mut() {
            for v in row.iter_mut().filter(|v| v.by == open.id && v.cid >= cid) {
                v.dead = true;
            }
        }
    }

    fn commit(&mut self, n: usize) {
        self.check_snapshots(n);
        let open = self.open.swap_remove(n);
        drop(open.held);
        // When the power goes meanwhile, it may have been committed.
        let has_written = open.transaction.xid().is_valid();
        if has_written {
            self.model.commits += 1;
            self.model.states[open.id] = State::Committed(self.model.commits);
        } else {
            self.model.states[open.id] = State::Aborted;
        }
        let ticket = self.db.manager.commit(open.transaction).unwrap();
        if self.random.chance(40) {
            ticket.wait().unwrap();
            // Who has only read waits for what it has seen: its snapshot may be older than the newest commits.
            if has_written {
                self.acknowledged = self.model.commits;
            }
        }
    }

    /// Compares what a transaction's snapshots see: by scan, by id, and by index.
    fn check_snapshots(&mut self, n: usize) {
        let mut snapshots = std::mem::take(&mut self.open[n].held);
        let (snapshot, at) = self.snapshot(n);
        snapshots.push((snapshot, at, self.index.0.lock().clone()));
        for (snapshot, at, copied) in &snapshots {
            let expected = self.model.all_visible(*at);
            assert_eq!(scan(&self.heap, snapshot), expected, "a scan");
            for rid in self.model.rows.keys() {
                let found = fetch(&self.heap, snapshot, *rid);
                assert_eq!(found.as_ref().map(|f| &f.0), expected.get(rid), "a fetch of {rid}");
            }
            let mut by_index = BTreeMap::new();
            for (key, rid) in self.index.0.lock().iter() {
                if let Some((value, recheck)) = fetch(&self.heap, snapshot, *rid) {
                    if value.0 == *key {
                        by_index.insert(*rid, value);
                    } else {
                        assert!(recheck, "row {rid} has key {} and an index entry of {key}", value.0);
                    }
                }
            }
            assert_eq!(by_index, expected, "an index scan");
            for (key, rid) in copied {
                // Entries that have been removed since still lead to rows, and say what pages that are all visible hold.
                if let Some((value, recheck)) = fetch(&self.heap, snapshot, *rid) {
                    assert!(
                        value.0 == *key || recheck,
                        "row {rid} has key {} and had an entry {key}",
                        value.0
                    );
                }
                if self.heap.is_all_visible(rid.block) {
                    assert_eq!(expected.get(rid).map(|v| v.0), Some(*key), "{rid} is on an all-visible page");
                }
            }
        }
        snapshots.pop();
        self.open[n].held = snapshots;
    }

    fn check_pages(&self) {
        assert_eq!(self.heap.check().unwrap(), []);
    }

    /// Everything of the model that is not committed goes, as in a crash that kept the first `kept` commits.
    fn cut_model(&mut self, kept: u64) {
        for state in &mut self.model.states {
            if !matches!(*state, State::Committed(at) if at <= kept) {
                *state = State::Aborted;
            }
        }
        self.model.commits = kept;
        let void: Vec<bool> = self.model.states.iter().map(|s| *s == State::Aborted).collect();
        for row in self.model.rows.values_mut() {
            row.retain(|v| !void[v.by] && !v.dead);
        }
        self.model.rows.retain(|_, row| !row.is_empty());
    }

    fn reopen(&mut self) {
        self.db = self.machine.open().unwrap();
        self.heap = self.db.heaps.open(self.relation);
        self.collector = new_collector(&self.db, &self.index);
        self.heap.set_index_cleanup(Some(self.index.clone()));
    }

    fn crash(&mut self, mode: CrashMode) {
        for open in self.open.drain(..) {
            drop(open.held);
            // The transaction's end must not reach the files.
            std::mem::forget(open.transaction);
        }
        self.machine.fs.crash(mode);
        self.reopen();
        let reader = self.db.begin(IsolationLevel::ReadCommitted);
        let found = scan(&self.heap, &reader.snapshot().unwrap());
        drop(reader);
        let kept = (self.acknowledged..=self.model.commits).rev().find(|kept| {
            let snapshot = ModelSnapshot { at: *kept, own: NOBODY, cid: 0 };
            self.model.all_visible(snapshot) == found
        });
        let Some(kept) = kept else {
            panic!(
                "what survived is no prefix of the commits {}..={}",
                self.acknowledged, self.model.commits
            );
        };
        self.cut_model(kept);
        self.acknowledged = kept;
        self.check_pages();
        self.rebuild_index();
    }

    /// The model index is not durable: it gets the entries of what snapshots can see from now on.
    fn rebuild_index(&mut self) {
        let snapshot = ModelSnapshot { at: self.model.commits, own: NOBODY, cid: 0 };
        let rows = self.model.all_visible(snapshot);
        *self.index.0.lock() = rows.iter().map(|(rid, value)| (value.0, *rid)).collect();
    }
}

fn new_collector(db: &Database, index: &Arc<ModelIndex>) -> Collector {
    let source = Source { heaps: db.heaps.clone(), index: index.clone() };
    Collector::new(db.manager.clone(), Arc::new(source))
}

fn decode(heap: &Heap, v: &VersionRef<'_>) -> Value {
    let layout = layout();
    let view = RowView::new(&layout, v.payload, v.flags);
    let mut text = Vec::new();
    heap.read_value(v.rid, view.field(1).unwrap(), &mut text).unwrap();
    (key_of(&view), text)
}

fn fetch(heap: &Heap, snapshot: &Snapshot, rid: RowId) -> Option<(Value, bool)> {
    if rid.block.0 >= heap.block_count().unwrap() {
        return None;
    }
    heap.fetch(snapshot, rid, |v| (decode(heap, &v), v.recheck_keys)).unwrap()
}

fn scan(heap: &Heap, snapshot: &Snapshot) -> BTreeMap<RowId, Value> {
    let mut rows = BTreeMap::new();
    for block in 0..heap.block_count().unwrap() {
        heap.scan_page(BlockNo(block), snapshot, None, |v| {
            assert!(rows.insert(v.rid, decode(heap, &v)).is_none(), "row {} came twice", v.rid);
            Ok(())
        })
        .unwrap();
    }
    rows
}

struct PrintSeed(u64);

impl Drop for PrintSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

/// The seeds of a test: its own, or what `OCHRE_SEED` names, one (`7`) or a range (`100..900`).
fn seeds(default: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let Ok(named) = std::env::var("OCHRE_SEED") else { return default };
    match named.split_once("..") {
        Some((first, end)) => first.parse().unwrap()..end.parse().unwrap(),
        None => named.parse().map(|seed| seed..seed + 1).unwrap(),
    }
}

#[test]
fn random_transactions_agree_with_the_model() {
    for seed in seeds(1..13) {
        let _print = PrintSeed(seed);
        let mut run = Run::new(seed);
        for step in 0..1200 {
            run.step();
            if step % 100 == 99 {
                run.check_pages();
            }
        }
        // At the end nothing is left but one version a row.
        for open in run.open.drain(..) {
            run.model.states[open.id] = State::Aborted;
            drop(open.held);
            run.db.manager.abort(open.transaction);
        }
        run.db.storage.wal().flush_to(run.db.storage.wal().position()).unwrap();
        for _ in 0..3 {
            run.collector.cycle().unwrap();
        }
        assert_eq!(run.collector.parked_blocks(), 0);
        run.begin();
        run.check_snapshots(0);
        run.check_pages();
        let snapshot = ModelSnapshot { at: run.model.commits, own: NOBODY, cid: 0 };
        let left = run.model.all_visible(snapshot);
        let entries: BTreeSet<(u32, RowId)> = left.iter().map(|(rid, v)| (v.0, *rid)).collect();
        assert_eq!(*run.index.0.lock(), entries, "index entries of what is gone are gone");
        assert_eq!(run.db.manager.aborted_runs(), [], "nothing of aborted transactions is left");
    }
}

thread_local! {
    /// Whether a panic on this thread is expected: what fails because the power is gone.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

fn silence_expected_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                hook(info);
            }
        }));
    });
}

#[test]
fn power_cuts_within_an_operation_leave_it_whole_or_undone() {
    silence_expected_panics();
    for seed in seeds(100..140) {
        let _print = PrintSeed(seed);
        let mut run = Run::new(seed);
        for _ in 0..5 {
            for _ in 0..run.random.below(200) {
                run.step();
            }
            let at = 1 + run.random.below(60);
            run.machine.fs.cut_power_at(at);
            let mut steps = 0;
            while !run.machine.fs.power_lost() && steps < 1000 {
                steps += 1;
                QUIET.set(true);
                let result = catch_unwind(AssertUnwindSafe(|| {
                    run.step();
                    if run.random.chance(3) {
                        run.db.storage.checkpoint(CheckpointKind::Fast).unwrap();
                    }
                }));
                QUIET.set(false);
                if let Err(panic) = result
                    && !run.machine.fs.power_lost()
                {
                    resume_unwind(panic);
                }
            }
            let mode = *run.random.pick(&[
                CrashMode::DropUnsynced,
                CrashMode::KeepUnsynced,
                CrashMode::Random,
                CrashMode::Random,
            ]);
            run.crash(mode);
        }
    }
}

#[test]
fn what_was_acknowledged_survives_power_cuts() {
    for seed in seeds(1..25) {
        let _print = PrintSeed(seed);
        let mut run = Run::new(seed);
        for _ in 0..6 {
            for _ in 0..run.random.below(400) {
                run.step();
                if run.random.chance(2) {
                    run.db.storage.checkpoint(CheckpointKind::Fast).unwrap();
                }
            }
            let mode = match run.random.below(3) {
                0 => CrashMode::DropUnsynced,
                1 => CrashMode::KeepUnsynced,
                _ => CrashMode::Random,
            };
            run.crash(mode);
        }
        for _ in 0..100 {
            run.step();
        }
        run.check_pages();
    }
}
