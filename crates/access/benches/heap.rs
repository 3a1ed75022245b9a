//! What the heap's operations cost: `cargo bench -p ochre-access --bench heap`.

use std::sync::Arc;
use std::time::Instant;

use ochre_access::collector::{Collector, HeapSource};
use ochre_access::heap::{Heap, HeapLog, Heaps, NoIndexes, RowBatch, RowWait};
use ochre_access::row::{Field, FieldKind, RowBuffer, RowLayout};
use ochre_base::{BlockNo, Oid, RowId};
use ochre_env::Env;
use ochre_storage::{RelationKey, ResourceManager, Storage, StorageConfig};
use ochre_txn::{IsolationLevel, RowLockStrength, Transaction, TransactionLog, TransactionManager};

const ROWS: u32 = 1_000_000;

struct AllHeaps(Arc<Heaps>);

impl HeapSource for AllHeaps {
    fn heap(&self, relation: RelationKey) -> Option<Arc<Heap>> {
        let heap = self.0.open(relation);
        heap.set_index_cleanup(Some(Arc::new(NoIndexes)));
        Some(heap)
    }
}

fn begin(manager: &Arc<TransactionManager>) -> Transaction {
    manager.begin(ochre_txn::TransactionOptions {
        isolation: IsolationLevel::ReadCommitted,
        ..Default::default()
    })
}

fn measure(what: &str, times: u32, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    let elapsed = start.elapsed();
    println!(
        "{what:40} {:8.1} ns each, {:6.2} s",
        elapsed.as_nanos() as f64 / f64::from(times),
        elapsed.as_secs_f64()
    );
}

fn main() {
    let config = StorageConfig {
        shared_buffers_bytes: 1 << 30,
        background_threads: true,
        max_wal_bytes: 8 << 30,
        ..StorageConfig::default()
    };
    let log = TransactionLog::new();
    let managers: Vec<Arc<dyn ResourceManager>> = vec![log.clone(), HeapLog::new()];
    let storage = Storage::open(Env::in_memory(), "/data".as_ref(), config, managers).unwrap();
    let manager = TransactionManager::new(storage.clone(), &log);
    let heaps = Arc::new(Heaps::new(manager.clone()));
    let relation = RelationKey::new(Oid(5), storage.files().next_file_id());
    let t = begin(&manager);
    Heap::create(&t, relation).unwrap();
    manager.commit(t).unwrap();
    let heap = heaps.open(relation);
    let collector = Collector::new(manager.clone(), Arc::new(AllHeaps(heaps.clone())));

    let layout =
        RowLayout::new(&[FieldKind::Fixed(4), FieldKind::Fixed(4), FieldKind::Fixed(4), FieldKind::Variable]);
    let mut row = RowBuffer::default();
    let encode = |row: &mut RowBuffer, id: u32, balance: u32| {
        row.encode(
            &layout,
            &[
                Field::Inline(&id.to_le_bytes()),
                Field::Inline(&1u32.to_le_bytes()),
                Field::Inline(&balance.to_le_bytes()),
                Field::Inline(b"filler filler filler filler filler filler filler filler filler filler fille"),
            ],
        )
        .unwrap();
    };
    measure("encode a row", ROWS, || {
        for id in 0..ROWS {
            encode(&mut row, id, 0);
        }
    });

    let mut rids: Vec<RowId> = Vec::new();
    measure("insert_many, with encoding", ROWS, || {
        let t = begin(&manager);
        let mut batch = RowBatch::default();
        for id in 0..ROWS {
            encode(&mut row, id, 0);
            batch.push(&row);
            if batch.len() == 1000 {
                heap.insert_many(&t, &mut batch, 1, &mut rids).unwrap();
                batch.clear();
            }
        }
        manager.commit(t).unwrap();
    });

    let scan = |what: &str| {
        let t = begin(&manager);
        let snapshot = t.snapshot().unwrap();
        let mut seen = 0u64;
        measure(what, ROWS, || {
            for block in 0..heap.block_count().unwrap() {
                heap.scan_page(BlockNo(block), &snapshot, None, |v| {
                    seen += u64::from(v.payload[0] != 255);
                    Ok(())
                })
                .unwrap();
            }
        });
        assert!(seen > 0);
    };
    scan("scan, one recent creator");
    storage.wal().flush_to(storage.wal().position()).unwrap();
    manager.settle();
    scan("scan, settled");
    measure("vacuum (marks all-visible)", ROWS, || {
        collector.vacuum(&heap).unwrap();
    });
    scan("scan, all-visible");

    let random = |i: u32| (i.wrapping_mul(2_654_435_761) >> 4) as usize % ROWS as usize;
    {
        let t = begin(&manager);
        let snapshot = t.snapshot().unwrap();
        measure("fetch at random", ROWS, || {
            let mut sum = 0u64;
            for i in 0..ROWS {
                sum += heap.fetch(&snapshot, rids[random(i)], |v| u64::from(v.payload[0])).unwrap().unwrap();
            }
            assert!(sum > 0);
        });
    }
    measure("begin, snapshot, commit (reading)", ROWS, || {
        for _ in 0..ROWS {
            let t = begin(&manager);
            let snapshot = t.snapshot().unwrap();
            assert!(snapshot.lsn().0 > 0);
            drop(snapshot);
            manager.commit(t).unwrap();
        }
    });

    let strength = RowLockStrength::NoKeyUpdate;
    let one = 200_000;
    measure("transaction of one update at random", one, || {
        for i in 0..one {
            let t = begin(&manager);
            let snapshot = t.snapshot().unwrap();
            let at = random(i);
            encode(&mut row, at as u32, i);
            let mut wait = RowWait::default();
            heap.update(&t, &snapshot, rids[at], &mut row, 1, false, strength, &mut wait).unwrap();
            drop(snapshot);
            manager.commit(t).unwrap();
        }
    });
    measure("collector cycle after them", one, || {
        storage.wal().flush_to(storage.wal().position()).unwrap();
        println!("{:?}", collector.cycle().unwrap());
    });
    measure("update of all rows", ROWS, || {
        let t = begin(&manager);
        let snapshot = t.snapshot().unwrap();
        for (id, rid) in rids.iter().enumerate() {
            encode(&mut row, id as u32, 7);
            let mut wait = RowWait::default();
            heap.update(&t, &snapshot, *rid, &mut row, 1, false, strength, &mut wait).unwrap();
        }
        drop(snapshot);
        manager.commit(t).unwrap();
    });
    measure("collector cycle after it", ROWS, || {
        storage.wal().flush_to(storage.wal().position()).unwrap();
        println!("{:?}", collector.cycle().unwrap());
    });
    scan("scan after it");
    println!(
        "blocks {} history {}",
        heap.block_count().unwrap(),
        storage.pool().block_count(relation.fork(ochre_base::Fork::History)).unwrap()
    );
    storage.close().unwrap();
}
