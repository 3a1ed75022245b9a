//! Structures of conflicts, step by step, without rows: positions in the log are counted by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ochre_base::{FileId, Lsn, Oid, Result, RowId, Xid};
use ochre_storage::RelationKey;

use super::{Begin, KeyRange, Limits, SerialTransaction, Serializable};
use crate::registry::{RegistrySlot, SnapshotRegistry};

const TABLE: RelationKey = RelationKey::new(Oid(5), FileId(2000));
const INDEX: RelationKey = RelationKey::new(Oid(5), FileId(2001));

struct World {
    all: Arc<Serializable>,
    registry: SnapshotRegistry,
    newest: AtomicU64,
    xids: AtomicU64,
}

struct Txn<'a> {
    world: &'a World,
    tracked: Option<Arc<SerialTransaction>>,
    slot: RegistrySlot,
    snapshot: Lsn,
    xid: Xid,
}

impl World {
    fn new(limits: Limits) -> World {
        World {
            all: Arc::new(Serializable::new(limits)),
            registry: SnapshotRegistry::new(),
            newest: AtomicU64::new(100),
            xids: AtomicU64::new(1000),
        }
    }

    fn begin_as(&self, read_only: bool) -> Txn<'_> {
        let begin = Begin {
            registry: &self.registry,
            newest: &self.newest,
            read_only,
            xid: Xid::NONE,
            process_id: 0,
        };
        let (slot, snapshot, tracked) = self.all.begin(&begin).unwrap();
        Txn { world: self, tracked, slot, snapshot, xid: Xid::NONE }
    }

    fn begin(&self) -> Txn<'_> {
        self.begin_as(false)
    }

    fn is_empty(&self) -> bool {
        self.all.lock_count() == 0 && self.all.node_count() == 0
    }
}

impl Txn<'_> {
    fn tracked(&self) -> &Arc<SerialTransaction> {
        self.tracked.as_ref().expect("it is tracked")
    }

    fn reads(&self, row: u16) -> Result<()> {
        self.tracked().read_row(TABLE, RowId::new(0, row))
    }

    fn meets(&self, other: &Txn<'_>, committed: Option<Lsn>) -> Result<()> {
        self.tracked().met_unseen(TABLE, other.xid, committed)
    }

    fn writes(&mut self, row: u16) -> Result<()> {
        self.give_xid();
        self.tracked().check_row(TABLE, RowId::new(0, row), Some((Xid(1), Lsn(1))))
    }

    fn inserts(&mut self, key: &[u8]) -> Result<()> {
        self.give_xid();
        self.tracked().check_key(INDEX, key)
    }

    fn give_xid(&mut self) {
        if !self.xid.is_valid() {
            self.xid = Xid(self.world.xids.fetch_add(1, Ordering::SeqCst));
            self.world.all.note_xid(self.tracked(), self.xid);
        }
    }

    fn commits(mut self) -> Result<Lsn> {
        let world = self.world;
        world.registry.deregister(self.slot);
        let Some(tracked) = self.tracked.take() else { return Ok(self.snapshot) };
        match world.all.pre_commit(&tracked) {
            Ok(committing) => {
                let wrote = u64::from(self.xid.is_valid());
                let lsn = Lsn(world.newest.fetch_add(wrote * 10, Ordering::SeqCst) + wrote * 10);
                committing.committed(lsn);
                Ok(lsn)
            }
            Err(error) => {
                world.all.abort(&tracked);
                Err(error)
            }
        }
    }

    fn aborts(mut self) {
        self.world.registry.deregister(self.slot);
        if let Some(tracked) = self.tracked.take() {
            self.world.all.abort(&tracked);
        }
    }
}

fn reason<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.expect_err("fails").fields().detail.clone().unwrap_or_default().to_string()
}

#[test]
fn write_skew_fails_at_the_second_commit() {
    let world = World::new(Limits::default());
    let (mut a, mut b) = (world.begin(), world.begin());
    a.reads(1).unwrap();
    a.reads(2).unwrap();
    b.reads(1).unwrap();
    b.reads(2).unwrap();
    a.writes(1).unwrap();
    b.writes(2).unwrap();
    a.commits().unwrap();
    assert_eq!(
        reason(b.commits()),
        "Reason code: Canceled on identification as a pivot, during commit attempt."
    );
    assert!(world.is_empty());
}

#[test]
fn a_write_after_the_other_has_committed_fails_at_once() {
    let world = World::new(Limits::default());
    let (mut a, mut b) = (world.begin(), world.begin());
    a.reads(1).unwrap();
    b.reads(2).unwrap();
    a.writes(2).unwrap();
    a.commits().unwrap();
    let message = reason(b.writes(1));
    assert_eq!(message, "Reason code: Canceled on identification as a pivot, during write.");
    b.aborts();
    assert!(world.is_empty());
}

#[test]
fn a_single_conflict_harms_nobody() {
    let world = World::new(Limits::default());
    let (mut a, mut b) = (world.begin(), world.begin());
    a.reads(1).unwrap();
    b.writes(1).unwrap();
    b.commits().unwrap();
    a.writes(7).unwrap();
    a.commits().unwrap();
    assert!(world.is_empty());
}

/// The anomaly of a reader that sees T3 and not T2, on which T2 depends.
#[test]
fn a_reader_completes_a_structure() {
    for committed_first in [false, true] {
        let world = World::new(Limits::default());
        let (mut pivot, mut out) = (world.begin(), world.begin());
        pivot.reads(1).unwrap();
        out.writes(1).unwrap();
        out.commits().unwrap();
        let reader = world.begin();
        pivot.writes(2).unwrap();
        if committed_first {
            let bystander = world.begin();
            let xid = pivot.xid;
            let lsn = pivot.commits().unwrap();
            reader.reads(2).unwrap();
            let met = reader.tracked().met_unseen(TABLE, xid, Some(lsn));
            assert_eq!(
                reason(met),
                format!("Reason code: Canceled on conflict out to pivot {xid}, during read.")
            );
            reader.aborts();
            bystander.aborts();
        } else {
            reader.reads(2).unwrap();
            reader.meets(&pivot, None).unwrap();
            reader.commits().unwrap();
            assert!(pivot.commits().is_err(), "a reader that wrote nothing may have read too early");
        }
        assert!(world.is_empty());
    }
}

/// A read-only transaction that began before T3 committed can have run before all of them.
#[test]
fn a_read_only_reader_with_an_older_snapshot_is_no_danger() {
    let world = World::new(Limits::default());
    let (mut pivot, mut out) = (world.begin(), world.begin());
    let reader = world.begin_as(true);
    pivot.reads(1).unwrap();
    out.writes(1).unwrap();
    out.commits().unwrap();
    pivot.writes(2).unwrap();
    reader.reads(2).unwrap();
    reader.meets(&pivot, None).unwrap();
    pivot.commits().unwrap();
    reader.commits().unwrap();
    assert!(world.is_empty());
}

#[test]
fn gaps_are_locked() {
    let world = World::new(Limits::default());
    let (mut a, mut b) = (world.begin(), world.begin());
    let range = KeyRange { low: [5].into(), high: Some([9].into()) };
    let scan = a.tracked().read_range(INDEX, range).unwrap().expect("locked");
    b.tracked().read_key(INDEX, &[20]).unwrap();
    scan.read_only_to(KeyRange { low: [5].into(), high: Some([7].into()) });
    b.inserts(&[8]).unwrap(); // given back
    b.inserts(&[6]).unwrap();
    a.inserts(&[20]).unwrap();
    a.commits().unwrap();
    b.commits().expect_err("each inserted where the other had looked");
    assert!(world.is_empty());
}

/// Who wrote over a version later than the one that was read is no successor of the reader's.
#[test]
fn only_readers_of_what_was_written_over_count() {
    let world = World::new(Limits::default());
    let (mut reader, mut second) = (world.begin(), world.begin());
    reader.reads(1).unwrap();
    second.writes(1).unwrap();
    let xid = second.xid;
    let commit = second.commits().unwrap();
    let (mut third, mut fourth) = (world.begin(), world.begin());
    third.give_xid();
    third.tracked().check_row(TABLE, RowId::new(0, 1), Some((xid, commit))).unwrap();
    third.reads(2).unwrap();
    fourth.writes(2).unwrap();
    fourth.reads(3).unwrap();
    fourth.commits().unwrap();
    third.commits().unwrap();
    assert!(
        reader.writes(3).is_err(),
        "T4 read what the reader writes over, and the reader what T2 wrote over"
    );
    reader.aborts();
    assert!(world.is_empty());
}

#[test]
fn locks_are_promoted_and_still_found() {
    let limits =
        Limits { rows_per_page: 2, granules_per_relation: 3, ranges_per_index: 2, ..Limits::default() };
    let world = World::new(limits);
    let (a, mut b) = (world.begin(), world.begin());
    for block in 0..9 {
        for slot in 0..3 {
            a.tracked().read_row(TABLE, RowId::new(block, slot)).unwrap();
        }
        a.tracked().read_key(INDEX, &[block as u8]).unwrap();
    }
    assert_eq!(world.all.lock_count(), 2, "the relation and the index");
    b.tracked().read_row(TABLE, RowId::new(77, 0)).unwrap();
    b.inserts(&[100]).unwrap();
    let mut a = a;
    a.give_xid();
    a.tracked().check_row(TABLE, RowId::new(77, 0), Some((Xid(1), Lsn(1)))).unwrap();
    b.commits().unwrap();
    a.commits().expect_err("a pivot");
    assert!(world.is_empty());
}

#[test]
fn summarised_transactions_are_still_met() {
    let limits = Limits { committed: 2, summarised_writers: 3, ..Limits::default() };
    let world = World::new(limits);
    let mut old = world.begin();
    old.reads(500).unwrap();
    let mut first = Xid::NONE;
    let mut first_commit = Lsn::ZERO;
    for row in 0..20 {
        let mut other = world.begin();
        other.reads(row).unwrap();
        other.tracked().read_key(INDEX, &[row as u8]).unwrap();
        other.writes(100 + row).unwrap();
        let xid = other.xid;
        let commit = other.commits().unwrap();
        if row == 0 {
            (first, first_commit) = (xid, commit);
        }
    }
    assert!(world.all.node_count() < 5);
    assert!(world.all.retains(first).is_some());
    // old -rw-> first (it does not see what that wrote), and first -rw-> old.
    old.tracked().met_unseen(TABLE, first, Some(first_commit)).unwrap();
    let message = reason(old.writes(0));
    assert_eq!(message, "Reason code: Canceled on identification as a pivot, during write.");
    old.aborts();
    assert!(world.is_empty());
}

#[test]
fn snapshots_become_safe() {
    let world = World::new(Limits::default());
    assert!(world.begin_as(true).tracked.is_none(), "nobody runs");
    let mut a = world.begin();
    let reader = world.begin_as(true);
    reader.reads(1).unwrap();
    a.writes(1).unwrap();
    reader.meets(&a, None).unwrap();
    a.commits().unwrap();
    assert!(reader.tracked().is_safe());
    reader.commits().unwrap();
    assert!(world.is_empty());

    // Not when one commits that conflicts out to one that had committed before the snapshot.
    let (mut pivot, mut out) = (world.begin(), world.begin());
    pivot.reads(1).unwrap();
    out.writes(1).unwrap();
    out.commits().unwrap();
    let reader = world.begin_as(true);
    pivot.writes(2).unwrap();
    pivot.commits().unwrap();
    assert!(!reader.tracked().is_safe());
    assert!(reader.tracked().flags.unsafe_snapshot.load(Ordering::SeqCst));
    reader.commits().unwrap();
    assert!(world.is_empty());
}

#[test]
fn a_prepared_pivot_makes_the_others_fail() {
    let world = World::new(Limits::default());
    let (mut a, mut b) = (world.begin(), world.begin());
    a.reads(1).unwrap();
    b.reads(2).unwrap();
    a.writes(2).unwrap();
    b.writes(1).unwrap();
    world.all.pre_commit(a.tracked()).unwrap().prepared(Lsn(100));
    assert!(b.commits().is_err());
    a.commits().unwrap();
    assert!(world.is_empty());
}
