//! Threads that move amounts between rows while others add them up: the sum never changes.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::*;
use ochre_access::collector::{Collector, HeapSource};
use ochre_access::heap::{Heap, Heaps, NoIndexes, RowWait, WriteOutcome};
use ochre_access::row::{RowBuffer, RowView};
use ochre_base::{BlockNo, RowId, SqlState};
use ochre_env::Env;
use ochre_storage::{RelationKey, StorageConfig};
use ochre_txn::{IsolationLevel, RowLockStrength, Snapshot, Transaction};

const ACCOUNTS: u32 = 40;
const BALANCE: u32 = 1000;

struct AllHeaps(Arc<Heaps>);

impl HeapSource for AllHeaps {
    fn heap(&self, relation: RelationKey) -> Option<Arc<Heap>> {
        let heap = self.0.open(relation);
        heap.set_index_cleanup(Some(Arc::new(NoIndexes)));
        Some(heap)
    }
}

fn balance(heap: &Heap, snapshot: &Snapshot, rid: RowId) -> Option<u32> {
    let layout = layout();
    heap.fetch(snapshot, rid, |v| key_of(&RowView::new(&layout, v.payload, v.flags))).unwrap()
}

/// Adds `amount` to an account; false when the transaction has to be given up.
fn add(
    heap: &Heap,
    transaction: &mut Transaction,
    rid: RowId,
    amount: i64,
    random: &mut Random,
) -> ochre_base::Result<bool> {
    let mut wait = RowWait::default();
    let mut snapshot = transaction.snapshot()?;
    loop {
        let before = balance(heap, &snapshot, rid).expect("accounts are never deleted");
        let mut row = RowBuffer::default();
        let text = vec![b'x'; random.below(200) as usize];
        encode(&mut row, (i64::from(before) + amount) as u32, &text);
        let strength = RowLockStrength::NoKeyUpdate;
        let outcome = heap.update(transaction, &snapshot, rid, &mut row, 1, false, strength, &mut wait)?;
        match outcome {
            WriteOutcome::Done => {
                transaction.advance_command()?;
                return Ok(true);
            }
            WriteOutcome::Changed if transaction.isolation() == IsolationLevel::ReadCommitted => {
                snapshot = transaction.newest_snapshot()?;
            }
            WriteOutcome::Changed => return Ok(false),
            other => panic!("{other:?} of an account"),
        }
    }
}

fn sum(heap: &Heap, snapshot: &Snapshot) -> (u32, u64) {
    let layout = layout();
    let (mut rows, mut total) = (0, 0);
    for block in 0..heap.block_count().unwrap() {
        heap.scan_page(BlockNo(block), snapshot, None, |v| {
            rows += 1;
            total += u64::from(key_of(&RowView::new(&layout, v.payload, v.flags)));
            Ok(())
        })
        .unwrap();
    }
    (rows, total)
}

fn transfers(isolation: IsolationLevel, seed: u64) {
    let config = StorageConfig { background_threads: true, ..StorageConfig::default() };
    let db = Database::open(Env::in_memory(), config).unwrap();
    let heap = db.create_heap().unwrap();
    let setup = db.begin(IsolationLevel::ReadCommitted);
    let mut row = RowBuffer::default();
    let rows: Vec<RowId> = (0..ACCOUNTS)
        .map(|_| {
            encode(&mut row, BALANCE, &[b'x'; 100]);
            heap.insert(&setup, &mut row, 1).unwrap()
        })
        .collect();
    db.manager.commit(setup).unwrap();
    let collector = Collector::new(db.manager.clone(), Arc::new(AllHeaps(db.heaps.clone())));
    let done = AtomicBool::new(false);
    let (committed, given_up) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (db, heap, rows, done, collector) = (&db, &heap, &rows, &done, &collector);
        let (committed, given_up) = (&committed, &given_up);
        let writers: Vec<_> = (0..4u64)
            .map(|n| {
                scope.spawn(move || {
                    let mut random = Random::new(seed * 100 + n);
                    for _ in 0..1500 {
                        let mut t = db.begin(isolation);
                        let (from, to) = (*random.pick(rows), *random.pick(rows));
                        let amount = random.below(5) as i64;
                        let result = add(heap, &mut t, from, -amount, &mut random)
                            .and_then(|moved| Ok(moved && add(heap, &mut t, to, amount, &mut random)?));
                        match result {
                            Ok(true) if !random.chance(5) => {
                                db.manager.commit(t).unwrap();
                                committed.fetch_add(1, Ordering::Relaxed);
                            }
                            Ok(_) => {
                                db.manager.abort(t);
                                given_up.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => {
                                assert_eq!(error.sqlstate(), SqlState::DEADLOCK_DETECTED, "{error:?}");
                                db.manager.abort(t);
                                given_up.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        let t = db.begin(IsolationLevel::RepeatableRead);
                        let snapshot = t.snapshot().unwrap();
                        for _ in 0..3 {
                            let expected = (ACCOUNTS, u64::from(ACCOUNTS * BALANCE));
                            assert_eq!(sum(heap, &snapshot), expected);
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let collecting = scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                collector.cycle().unwrap();
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        // The flag is set even when a writer fails, so that the others end.
        let results: Vec<_> = writers.into_iter().map(|w| w.join()).collect();
        done.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|r| r.join().unwrap());
        collecting.join().unwrap();
        results.into_iter().for_each(|r| r.unwrap());
    });
    assert!(committed.load(Ordering::Relaxed) > 1000, "{committed:?} committed, {given_up:?} given up");
    let t = db.begin(IsolationLevel::ReadCommitted);
    assert_eq!(sum(&heap, &t.snapshot().unwrap()), (ACCOUNTS, u64::from(ACCOUNTS * BALANCE)));
    assert_eq!(heap.check().unwrap(), []);
}

#[test]
fn transfers_under_read_committed_keep_the_sum() {
    transfers(IsolationLevel::ReadCommitted, 1);
}

#[test]
fn transfers_under_repeatable_read_keep_the_sum() {
    transfers(IsolationLevel::RepeatableRead, 2);
}
