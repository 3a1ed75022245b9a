//! Each operation of the heap by itself.

mod common;

use std::sync::Arc;

use common::*;
use ochre_access::collector::{Collector, HeapSource};
use ochre_access::heap::{Heap, Heaps, LockOutcome, NoIndexes, RowBatch, RowWait, WriteOutcome};
use ochre_access::row::{RowBuffer, RowView};
use ochre_base::{BlockNo, RowId};
use ochre_env::sim::CrashMode;
use ochre_storage::RelationKey;
use ochre_txn::{IsolationLevel, RowLockStrength, Snapshot, Transaction};

struct AllHeaps(Arc<Heaps>);

impl HeapSource for AllHeaps {
    fn heap(&self, relation: RelationKey) -> Option<Arc<Heap>> {
        let heap = self.0.open(relation);
        heap.set_index_cleanup(Some(Arc::new(NoIndexes)));
        Some(heap)
    }
}

fn collector(db: &Database) -> Collector {
    Collector::new(db.manager.clone(), Arc::new(AllHeaps(db.heaps.clone())))
}

fn insert(heap: &Heap, transaction: &Transaction, key: u32, text: &[u8]) -> RowId {
    let mut row = RowBuffer::default();
    encode(&mut row, key, text);
    heap.insert(transaction, &mut row, 1).unwrap()
}

fn update(heap: &Heap, transaction: &mut Transaction, rid: RowId, key: u32, text: &[u8]) -> WriteOutcome {
    let snapshot = transaction.snapshot().unwrap();
    let mut row = RowBuffer::default();
    encode(&mut row, key, text);
    let strength = RowLockStrength::NoKeyUpdate;
    let mut wait = RowWait::default();
    let outcome = heap.update(transaction, &snapshot, rid, &mut row, 1, false, strength, &mut wait).unwrap();
    transaction.advance_command().unwrap();
    outcome
}

fn delete(heap: &Heap, transaction: &mut Transaction, rid: RowId) -> WriteOutcome {
    let snapshot = transaction.snapshot().unwrap();
    let outcome = heap.delete(transaction, &snapshot, rid, &mut RowWait::default()).unwrap();
    transaction.advance_command().unwrap();
    outcome
}

fn read(heap: &Heap, snapshot: &Snapshot, rid: RowId) -> Option<(u32, Vec<u8>)> {
    let layout = layout();
    heap.fetch(snapshot, rid, |v| {
        let view = RowView::new(&layout, v.payload, v.flags);
        let mut text = Vec::new();
        heap.read_value(rid, view.field(1).unwrap(), &mut text).unwrap();
        (key_of(&view), text)
    })
    .unwrap()
}

fn scan(heap: &Heap, snapshot: &Snapshot) -> Vec<u32> {
    let layout = layout();
    let mut keys = Vec::new();
    for block in 0..heap.block_count().unwrap() {
        heap.scan_page(BlockNo(block), snapshot, None, |v| {
            keys.push(key_of(&RowView::new(&layout, v.payload, v.flags)));
            Ok(())
        })
        .unwrap();
    }
    keys
}

#[test]
fn a_snapshot_sees_what_was_committed_before_it() {
    let db = Database::in_memory();
    let heap = db.create_heap().unwrap();
    let writer = db.begin(IsolationLevel::ReadCommitted);
    let rid = insert(&heap, &writer, 1, b"one");
    writer.advance_command().unwrap();
    let reader = db.begin(IsolationLevel::RepeatableRead);
    assert_eq!(read(&heap, &reader.snapshot().unwrap(), rid), None);
    assert_eq!(read(&heap, &writer.snapshot().unwrap(), rid), Some((1, b"one".to_vec())));
    let ticket = db.manager.commit(writer).unwrap();
    assert_eq!(read(&heap, &reader.snapshot().unwrap(), rid), None, "its snapshot stays");
    let later = db.begin(IsolationLevel::ReadCommitted);
    let snapshot = later.snapshot().unwrap();
    assert_eq!(read(&heap, &snapshot, rid), Some((1, b"one".to_vec())));
    assert_eq!(later.gate_lsn(), ticket.lsn, "the reply waits for the commit it met");
    ticket.wait().unwrap();
    assert!(ticket.is_durable());
    assert!(heap.check().unwrap().is_empty());
}

#[test]
fn older_versions_stay_for_older_snapshots() {
    let db = Database::in_memory();
    let heap = db.create_heap().unwrap();
    let first = db.begin(IsolationLevel::ReadCommitted);
    let rid = insert(&heap, &first, 1, b"version 0");
    db.manager.commit(first).unwrap();
    let mut readers = Vec::new();
    for n in 0..200u32 {
        let reader = db.begin(IsolationLevel::RepeatableRead);
        let snapshot = reader.snapshot().unwrap();
        readers.push((n, reader, snapshot));
        let mut writer = db.begin(IsolationLevel::ReadCommitted);
        let text = format!("version {} {}", n + 1, "x".repeat(n as usize));
        assert_eq!(update(&heap, &mut writer, rid, n + 2, text.as_bytes()), WriteOutcome::Done);
        db.manager.commit(writer).unwrap();
    }
    for (n, _, snapshot) in &readers {
        assert_eq!(read(&heap, snapshot, rid).unwrap().0, n + 1);
        assert_eq!(scan(&heap, snapshot), [n + 1]);
    }
    assert_eq!(heap.check().unwrap(), []);
    let collector = collector(&db);
    collector.cycle().unwrap();
    for (n, _, snapshot) in &readers {
        assert_eq!(read(&heap, snapshot, rid).unwrap().0, n + 1, "nothing that is seen is collected");
    }
    // An old snapshot keeps its own version and not those since.
    readers.truncate(1);
    db.storage.wal().flush_to(db.storage.wal().position()).unwrap();
    collector.cycle().unwrap();
    let stats = collector.cycle().unwrap();
    let _ = stats;
    assert_eq!(read(&heap, &readers[0].2, rid).unwrap().0, 1);
    assert_eq!(heap.check().unwrap(), []);
    assert_eq!(collector.parked_blocks(), 1);
    readers.clear();
    collector.cycle().unwrap();
    assert_eq!(collector.parked_blocks(), 0);
    let vacuumed = collector.vacuum(&heap).unwrap();
    assert_eq!((vacuumed.versions, vacuumed.all_visible), (0, 1), "one version is left, seen by all");
    assert!(heap.is_all_visible(BlockNo(0)));
    assert_eq!(heap.check().unwrap(), []);
}

#[test]
fn aborted_and_rolled_back_versions_are_skipped_and_go() {
    let db = Database::in_memory();
    let heap = db.create_heap().unwrap();
    let setup = db.begin(IsolationLevel::ReadCommitted);
    let rid = insert(&heap, &setup, 1, b"kept");
    db.manager.commit(setup).unwrap();

    let mut aborted = db.begin(IsolationLevel::ReadCommitted);
    assert_eq!(update(&heap, &mut aborted, rid, 2, b"lost"), WriteOutcome::Done);
    let gone = insert(&heap, &aborted, 3, b"lost too");
    db.manager.abort(aborted);

    let mut partly = db.begin(IsolationLevel::ReadCommitted);
    assert_eq!(update(&heap, &mut partly, rid, 4, b"before the savepoint"), WriteOutcome::Done);
    let savepoint = partly.savepoint().unwrap();
    assert_eq!(delete(&heap, &mut partly, rid), WriteOutcome::Done);
    assert_eq!(read(&heap, &partly.snapshot().unwrap(), rid), None);
    partly.rollback_to(savepoint).unwrap();
    assert_eq!(read(&heap, &partly.snapshot().unwrap(), rid), Some((4, b"before the savepoint".to_vec())));
    db.manager.commit(partly).unwrap();

    let reader = db.begin(IsolationLevel::ReadCommitted);
    let snapshot = reader.snapshot().unwrap();
    assert_eq!(read(&heap, &snapshot, rid), Some((4, b"before the savepoint".to_vec())));
    assert_eq!(read(&heap, &snapshot, gone), None);
    assert_eq!(scan(&heap, &snapshot), [4]);
    drop(snapshot);
    db.manager.commit(reader).unwrap().wait().unwrap();
    let collector = collector(&db);
    let stats = collector.cycle().unwrap();
    assert!(stats.rows == 1 && stats.versions >= 3, "{stats:?}");
    collector.cycle().unwrap();
    assert_eq!(db.manager.aborted_runs(), [], "nothing of the aborted transaction is left");
    let reader = db.begin(IsolationLevel::ReadCommitted);
    assert_eq!(scan(&heap, &reader.snapshot().unwrap()), [4]);
    assert_eq!(heap.check().unwrap(), []);
}

#[test]
fn writers_of_one_row_learn_of_each_other() {
    let db = Database::in_memory();
    let heap = db.create_heap().unwrap();
    let setup = db.begin(IsolationLevel::ReadCommitted);
    let rid = insert(&heap, &setup, 1, b"one");
    db.manager.commit(setup).unwrap();

    let mut a = db.begin(IsolationLevel::RepeatableRead);
    let snapshot = a.snapshot().unwrap();
    let mut b = db.begin(IsolationLevel::ReadCommitted);
    assert_eq!(update(&heap, &mut b, rid, 2, b"two"), WriteOutcome::Done);
    let locked =
        heap.lock_row(&a, &snapshot, rid, RowLockStrength::Share, false, &mut RowWait::default()).unwrap();
    assert_eq!(locked, LockOutcome::WouldBlock);
    let key_share =
        heap.lock_row(&a, &snapshot, rid, RowLockStrength::KeyShare, false, &mut RowWait::default()).unwrap();
    assert_eq!(key_share, LockOutcome::Locked, "an update of no key lets FOR KEY SHARE pass");
    db.manager.commit(b).unwrap();
    assert_eq!(update(&heap, &mut a, rid, 3, b"three"), WriteOutcome::Changed);
    db.manager.abort(a);

    let mut c = db.begin(IsolationLevel::RepeatableRead);
    let old = c.snapshot().unwrap();
    let mut d = db.begin(IsolationLevel::ReadCommitted);
    assert_eq!(delete(&heap, &mut d, rid), WriteOutcome::Done);
    assert_eq!(delete(&heap, &mut d, rid), WriteOutcome::Deleted);
    db.manager.commit(d).unwrap();
    assert_eq!(update(&heap, &mut c, rid, 4, b"four"), WriteOutcome::Deleted);
    assert_eq!(read(&heap, &old, rid), Some((2, b"two".to_vec())));
}

#[test]
fn a_row_lock_blocks_writers_until_its_transaction_ends() {
    let db = Database::in_memory();
    let heap = db.create_heap().unwrap();
    let setup = db.begin(IsolationLevel::ReadCommitted);
    let rid = insert(&heap, &setup, 1, b"one");
    db.manager.commit(setup).unwrap();
    let a = db.begin(IsolationLevel::ReadCommitted);
    let snapshot = a.snapshot().unwrap();
    let lock = RowLockStrength::Update;
    let mut wait = RowWait::default();
    assert_eq!(heap.lock_row(&a, &snapshot, rid, lock, true, &mut wait).unwrap(), LockOutcome::Locked);
    drop(snapshot);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut b = db.begin(IsolationLevel::ReadCommitted);
            let outcome = update(&heap, &mut b, rid, 2, b"two");
            db.manager.commit(b).unwrap();
            outcome
        });
        while db.manager.waiting() == 0 {
            std::thread::yield_now();
        }
        db.manager.commit(a).unwrap();
        assert_eq!(writer.join().unwrap(), WriteOutcome::Done);
    });
}

#[test]
fn a_deadlock_is_found() {
    let db = Database::in_memory();
    let heap = db.create_heap().unwrap();
    let setup = db.begin(IsolationLevel::ReadCommitted);
    let rows = [insert(&heap, &setup, 1, b"one"), insert(&heap, &setup, 2, b"two")];
    db.manager.commit(setup).unwrap();
    let barrier = std::sync::Barrier::new(2);
    let outcomes: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|n| {
                let (db, heap, barrier) = (&db, &heap, &barrier);
                scope.spawn(move || {
                    let mut t = db.begin(IsolationLevel::ReadCommitted);
                    assert_eq!(update(heap, &mut t, rows[n], 7, b"mine"), WriteOutcome::Done);
                    barrier.wait();
                    let snapshot = t.snapshot().unwrap();
                    let result = heap.delete(&t, &snapshot, rows[1 - n], &mut RowWait::default());
                    drop(snapshot);
                    match result {
                        Err(error) => {
                            assert_eq!(error.sqlstate(), ochre_base::SqlState::DEADLOCK_DETECTED);
                            db.manager.abort(t);
                            false
                        }
                        Ok(_) => {
                            db.manager.commit(t).unwrap();
                            true
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|committed| **committed).count(), 1);
}

#[test]
fn a_row_that_outgrows_its_page_keeps_its_id() {
    let db = Database::in_memory();
    let heap = db.create_heap().unwrap();
    let setup = db.begin(IsolationLevel::ReadCommitted);
    let rows: Vec<RowId> = (0..60).map(|n| insert(&heap, &setup, n, &[b'a'; 100])).collect();
    db.manager.commit(setup).unwrap();
    let old = db.begin(IsolationLevel::RepeatableRead);
    let before = old.snapshot().unwrap();
    let noise: Vec<u8> = {
        let mut random = Random::new(1);
        (0..1900).map(|_| random.next() as u8).collect()
    };
    for round in 0..3u32 {
        let mut writer = db.begin(IsolationLevel::ReadCommitted);
        for rid in &rows {
            let size = 600 + 500 * round as usize;
            let outcome = update(&heap, &mut writer, *rid, 1000 + round, &noise[..size]);
            assert_eq!(outcome, WriteOutcome::Done);
        }
        db.manager.commit(writer).unwrap();
        let reader = db.begin(IsolationLevel::ReadCommitted);
        let now = reader.snapshot().unwrap();
        assert_eq!(scan(&heap, &now), vec![1000 + round; 60]);
        for (n, rid) in rows.iter().enumerate() {
            assert_eq!(read(&heap, &now, *rid).unwrap().1.len(), 600 + 500 * round as usize);
            assert_eq!(read(&heap, &before, *rid).unwrap().0, n as u32);
        }
        assert_eq!(heap.check().unwrap(), []);
    }
    let mut keys = scan(&heap, &before);
    keys.sort_unstable();
    assert_eq!(keys, (0..60).collect::<Vec<_>>());
    drop(before);
    drop(old);
    db.storage.wal().flush_to(db.storage.wal().position()).unwrap();
    let collector = collector(&db);
    collector.cycle().unwrap();
    assert_eq!(heap.check().unwrap(), []);
    let mut last = db.begin(IsolationLevel::ReadCommitted);
    for rid in &rows {
        assert_eq!(delete(&heap, &mut last, *rid), WriteOutcome::Done);
    }
    db.manager.commit(last).unwrap().wait().unwrap();
    let stats = collector.cycle().unwrap();
    assert_eq!(stats.rows, 60);
    assert_eq!(heap.check().unwrap(), []);
}

#[test]
fn large_values_are_shared_by_versions_and_freed_with_the_last() {
    let db = Database::in_memory();
    let heap = db.create_heap().unwrap();
    let mut random = Random::new(2);
    let value: Vec<u8> = (0..100_000).map(|_| random.next() as u8).collect();
    let t = db.begin(IsolationLevel::ReadCommitted);
    let rid = insert(&heap, &t, 1, &value);
    t.advance_command().unwrap();
    assert_eq!(read(&heap, &t.snapshot().unwrap(), rid), Some((1, value.clone())));
    db.manager.commit(t).unwrap();

    // The next version takes the value over by its reference.
    let t = db.begin(IsolationLevel::ReadCommitted);
    let snapshot = t.snapshot().unwrap();
    let layout = layout();
    let mut row = RowBuffer::default();
    heap.fetch(&snapshot, rid, |v| {
        let view = RowView::new(&layout, v.payload, v.flags);
        row.start(&layout);
        row.push_fixed(&2u32.to_le_bytes());
        row.push_as(layout.kind(1), view.field(1).unwrap());
        row.finish().unwrap();
    })
    .unwrap();
    let strength = RowLockStrength::NoKeyUpdate;
    heap.update(&t, &snapshot, rid, &mut row, 1, false, strength, &mut RowWait::default()).unwrap();
    drop(snapshot);
    db.manager.commit(t).unwrap().wait().unwrap();
    let collector = collector(&db);
    assert_eq!(collector.cycle().unwrap().versions, 1);
    let mut t = db.begin(IsolationLevel::ReadCommitted);
    assert_eq!(read(&heap, &t.snapshot().unwrap(), rid), Some((2, value)));
    assert_eq!(heap.check().unwrap(), []);

    assert_eq!(update(&heap, &mut t, rid, 3, b"small"), WriteOutcome::Done);
    db.manager.commit(t).unwrap().wait().unwrap();
    assert_eq!(collector.cycle().unwrap().versions, 1);
    let t = db.begin(IsolationLevel::ReadCommitted);
    let blocks = db.storage.pool().block_count(heap.relation().fork(ochre_base::Fork::History)).unwrap();
    let value: Vec<u8> = (0..100_000).map(|_| random.next() as u8).collect();
    insert(&heap, &t, 4, &value);
    let after = db.storage.pool().block_count(heap.relation().fork(ochre_base::Fork::History)).unwrap();
    assert!(after <= blocks + 1, "the freed pages are used again: {blocks} before, {after} after");
}

#[test]
fn many_rows_go_in_page_by_page() {
    let db = Database::in_memory();
    let heap = db.create_heap().unwrap();
    let t = db.begin(IsolationLevel::ReadCommitted);
    let mut batch = RowBatch::default();
    let mut row = RowBuffer::default();
    for n in 0..5000 {
        encode(&mut row, n, format!("row number {n}").as_bytes());
        batch.push(&row);
    }
    let mut rids = Vec::new();
    heap.insert_many(&t, &mut batch, 1, &mut rids).unwrap();
    assert_eq!(rids.len(), 5000);
    db.manager.commit(t).unwrap();
    let t = db.begin(IsolationLevel::ReadCommitted);
    let snapshot = t.snapshot().unwrap();
    assert_eq!(scan(&heap, &snapshot), (0..5000).collect::<Vec<_>>());
    assert_eq!(read(&heap, &snapshot, rids[4321]).unwrap().1, b"row number 4321");
    assert!(heap.block_count().unwrap() < 45, "{} blocks", heap.block_count().unwrap());
    assert_eq!(heap.check().unwrap(), []);
}

/// A row that leaves its page while a scan is between pages comes once, from its home.
#[test]
fn a_row_forwarded_during_a_scan_comes_once() {
    let db = Database::in_memory();
    let heap = db.create_heap().unwrap();
    let transaction = db.begin(IsolationLevel::ReadCommitted);
    let rids: Vec<RowId> = (0..400).map(|i| insert(&heap, &transaction, i, &[1; 60])).collect();
    db.manager.commit(transaction).unwrap();
    let reader = db.begin(IsolationLevel::RepeatableRead);
    let newer = db.begin(IsolationLevel::ReadCommitted);
    let old = reader.snapshot().unwrap();
    let layout = layout();
    let blocks = heap.block_count().unwrap();
    assert!(blocks >= 4);
    for moved_at in 0..blocks {
        let mut seen = Vec::new();
        let mut both = Vec::new();
        let end = heap.block_count().unwrap();
        for block in 0..end {
            if block == moved_at {
                // Rows of the first and of the last page outgrow them, behind and before the scan.
                let mut writer = db.begin(IsolationLevel::ReadCommitted);
                for rid in rids.iter().filter(|r| r.block.0 == 0 || r.block.0 + 1 == blocks).step_by(3) {
                    update(&heap, &mut writer, *rid, 9999, &vec![2; 700 + moved_at as usize * 300]);
                }
                db.manager.commit(writer).unwrap();
            }
            let see = |v: ochre_access::heap::VersionRef<'_>, seen: &mut Vec<(RowId, u32)>| {
                seen.push((v.rid, key_of(&RowView::new(&layout, v.payload, v.flags))));
                Ok(())
            };
            heap.scan_page(BlockNo(block), &old, None, |v| see(v, &mut seen)).unwrap();
            let newest = newer.snapshot().unwrap();
            heap.scan_page(BlockNo(block), &newest, None, |v| see(v, &mut both)).unwrap();
        }
        let expected: Vec<(RowId, u32)> = rids.iter().copied().zip(0..).collect();
        seen.sort_unstable();
        assert_eq!(seen, expected, "as the old snapshot sees it, moved at block {moved_at}");
        both.sort_unstable();
        both.dedup_by_key(|(rid, _)| *rid);
        assert_eq!(both.len(), rids.len(), "each row once, whatever version");
    }
}

/// A reader stands on a version, here or in the history fork, while the collector wants it away: it waits.
#[test]
fn a_reader_on_a_version_that_is_unlinked_reads_it_to_the_end() {
    let db = Database::in_memory();
    let heap = db.create_heap().unwrap();
    let transaction = db.begin(IsolationLevel::ReadCommitted);
    let rid = insert(&heap, &transaction, 1, b"first");
    db.manager.commit(transaction).unwrap();
    // Nobody's snapshot needs the aborted version; a unique check looks at it all the same.
    let mut writer = db.begin(IsolationLevel::ReadCommitted);
    update(&heap, &mut writer, rid, 2, &[3; 5000]);
    let checker = db.begin(IsolationLevel::ReadCommitted);
    let collector = collector(&db);
    let mut found = Vec::new();
    let mut writer = Some(writer);
    std::thread::scope(|scope| {
        let mut thread = None;
        heap.live_versions(&checker, rid, |version, _| {
            let before = version.payload.to_vec();
            if let Some(writer) = writer.take() {
                db.manager.abort(writer);
                thread = Some(scope.spawn(|| collector.cycle().unwrap()));
                std::thread::sleep(std::time::Duration::from_millis(50));
                assert!(!thread.as_ref().unwrap().is_finished(), "the collector went past a reader's latch");
            }
            assert_eq!(before, version.payload);
            found.push(key_of(&RowView::new(&layout(), version.payload, version.flags)));
            Ok(())
        })
        .unwrap();
        assert!(thread.unwrap().join().unwrap().versions >= 1);
    });
    assert_eq!(found, [2, 1], "the version that was running, and the one below it");
}

/// A transaction that is known by what it did to files or indexes alone is not mistaken for a later one.
#[test]
fn the_xid_of_a_record_about_a_file_is_not_given_again() {
    let machine = Machine::new(1);
    let db = machine.open().unwrap();
    let transaction = db.begin(IsolationLevel::ReadCommitted);
    let xid = transaction.assign_xid().unwrap();
    let relation = RelationKey::new(ochre_base::Oid(5), db.storage.files().next_file_id());
    db.storage.files().create(relation, xid).unwrap();
    db.storage.wal().flush_to(db.storage.wal().position()).unwrap();
    machine.fs.crash(CrashMode::DropUnsynced);
    std::mem::forget((transaction, db));
    let db = machine.open().unwrap();
    let next = db.begin(IsolationLevel::ReadCommitted).assign_xid().unwrap();
    assert!(next > xid, "{next} after {xid}");
    assert!(!db.storage.files().exists(relation).unwrap());
}
