//! Many threads on one storage, with its background threads, on real files.

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::*;
use ochre_base::{BlockNo, Xid};
use ochre_env::Env;
use ochre_storage::*;

/// A directory that goes with the value.
struct TempDirectory(PathBuf);

impl TempDirectory {
    fn new(name: &str) -> TempDirectory {
        let path = std::env::temp_dir().join(format!("ochre-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        TempDirectory(path)
    }
}

impl Drop for TempDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(directory: &TempDirectory, config: StorageConfig) -> Toy {
    let manager = Arc::new(ToyManager::default());
    let storage = Storage::open(Env::os(), &directory.0, config, vec![manager.clone()]).unwrap();
    Toy { storage, manager }
}

fn config() -> StorageConfig {
    StorageConfig {
        shared_buffers_bytes: 128 * 8192,
        wal_segment_bytes: 1 << 20,
        max_wal_bytes: 4 << 20,
        ..StorageConfig::default()
    }
}

const PAGES: u64 = 300;

/// Threads move amounts between pages, each move one record, while pages are evicted and checkpoints run. The process
/// "ends" in the middle of a checkpoint, several times; the sum is the same after each recovery.
#[test]
fn transfers_keep_the_sum() {
    let directory = TempDirectory::new("transfers");
    let toy = open(&directory, config());
    let file = toy.create(Xid(20)).unwrap();
    for _ in 0..=PAGES {
        let block = toy.add_page(file).unwrap();
        if block > 0 {
            toy.set(file, block, 1, 1000).unwrap();
        }
    }
    toy.commit(Xid(20), &[file], &[]).unwrap();
    toy.storage.close().unwrap();
    drop(toy);
    for round in 0..8u64 {
        let toy = Arc::new(open(&directory, config()));
        assert_eq!(sum(&toy, file), PAGES * 1000, "round {round}");
        let stop = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..6u64)
            .map(|number| {
                let (toy, stop) = (toy.clone(), stop.clone());
                std::thread::spawn(move || transfer_at_random(&toy, file, round * 10 + number, &stop))
            })
            .collect();
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(100) {
            toy.storage.checkpoint(CheckpointKind::Fast).unwrap();
        }
        let last = toy.clone();
        let last = std::thread::spawn(move || last.storage.checkpoint(CheckpointKind::Fast).unwrap());
        std::thread::sleep(Duration::from_micros(round * 300));
        stop.store(true, Ordering::Relaxed);
        let moves: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        last.join().unwrap();
        assert!(moves > 100, "{moves} transfers");
        assert!(toy.storage.pool().statistics().evicted_dirty > 0, "the pool was too large to test eviction");
        toy.storage.wal().flush_to(toy.storage.wal().position()).unwrap();
        // Dropped without a shutdown checkpoint: the next start recovers.
    }
    let toy = open(&directory, config());
    assert_eq!(toy.storage.open_kind(), OpenKind::Recovered);
    assert_eq!(sum(&toy, file), PAGES * 1000);
    toy.storage.close().unwrap();
    drop(toy);
    let check = inspect::check_pages(&Env::os(), &directory.0, &mut |_, _| {}).unwrap();
    assert_eq!(check.problems, Vec::new());
}

fn sum(toy: &Toy, file: u64) -> u64 {
    let page = |block| toy.storage.pool().read(relation(file).main_page(BlockNo(block))).unwrap();
    (1..=PAGES as u32).map(|block| cell(&page(block), 1)).fold(0, u64::wrapping_add)
}

fn transfer_at_random(toy: &Toy, file: u64, seed: u64, stop: &AtomicBool) -> u64 {
    let mut state = seed + 1;
    let mut moves = 0;
    while !stop.load(Ordering::Relaxed) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (a, b) = ((state >> 33) % PAGES + 1, (state >> 13) % PAGES + 1);
        if a == b {
            continue;
        }
        let end = transfer(toy, file, a.min(b) as u32, a.max(b) as u32);
        moves += 1;
        if moves % 64 == 0 {
            toy.storage.wal().flush_to(end).unwrap();
        }
    }
    moves
}

fn transfer(toy: &Toy, file: u64, low: u32, high: u32) -> ochre_base::Lsn {
    toy.storage.wal().reserve().unwrap();
    let pool = toy.storage.pool();
    let mut from = pool.write(relation(file).main_page(BlockNo(low))).unwrap();
    let mut to = pool.write(relation(file).main_page(BlockNo(high))).unwrap();
    let (a, b) = (cell(&from, 1).wrapping_sub(1), cell(&to, 1).wrapping_add(1));
    let mut record = RecordBuilder::new(TOY, 2, Xid::NONE);
    record.block(BlockFlags::CHANGE).block_data(&set_cell(&mut from, 1, a));
    record.block(BlockFlags::CHANGE).block_data(&set_cell(&mut to, 1, b));
    toy.storage.wal().append(&record, &mut [&mut from, &mut to]).unwrap().end
}

/// More threads than frames can serve at ease: pages are read, changed, evicted and read again, relations come and go,
/// and every page is always the one that was asked for.
#[test]
fn a_tiny_pool_never_mixes_pages_up() {
    const BLOCKS: u32 = 64;
    let directory = TempDirectory::new("tiny");
    let config = StorageConfig { shared_buffers_bytes: 24 * 8192, ..config() };
    let toy = Arc::new(open(&directory, config));
    let file = toy.create(Xid(20)).unwrap();
    toy.add_page(file).unwrap();
    for block in 1..BLOCKS {
        toy.add_page(file).unwrap();
        toy.set(file, block, 2, u64::from(block) + 1).unwrap();
    }
    toy.commit(Xid(20), &[file], &[]).unwrap();
    let threads: Vec<_> = (0..6u64)
        .map(|number| {
            let toy = toy.clone();
            std::thread::spawn(move || {
                let mut state = number + 77;
                let mut ring = ScanRing::bulk_read();
                for round in 0..4000u32 {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let block = (state >> 33) as u32 % (BLOCKS - 1) + 1;
                    let key = relation(file).main_page(BlockNo(block));
                    let pool = toy.storage.pool();
                    let pin = if round % 3 == 0 { pool.fetch_with(key, &mut ring) } else { pool.fetch(key) }
                        .unwrap();
                    let again = pin.clone();
                    if round % 5 == 0 {
                        let mut page = pin.write();
                        let value = cell(&page, 3) + 1;
                        let data = set_cell(&mut page, 3, value);
                        let mut record = RecordBuilder::new(TOY, 2, Xid::NONE);
                        record.block(BlockFlags::CHANGE).block_data(&data);
                        toy.storage.wal().append(&record, &mut [&mut page]).unwrap();
                        assert_eq!(cell(&page.downgrade(), 2), u64::from(block) + 1, "F1");
                    } else {
                        let page = pin.read();
                        assert_eq!((cell(&page, 2), page.key()), (u64::from(block) + 1, key), "F1");
                    }
                    drop(again);
                    if number == 0 && round % 100 == 0 {
                        come_and_go(&toy, 1000 + u64::from(round));
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let pages = (1..BLOCKS).map(|b| toy.storage.pool().read(relation(file).main_page(BlockNo(b))).unwrap());
    let changes: u64 = pages.map(|page| cell(&page, 3)).sum();
    assert_eq!(changes, 6 * 800, "no change was lost to an eviction");
}

/// Creates a relation, fills it, cuts it and drops it.
fn come_and_go(toy: &Toy, xid: u64) {
    let file = toy.create(Xid(xid)).unwrap();
    for _ in 0..10 {
        toy.add_page(file).unwrap();
    }
    toy.storage.files().truncate(relation(file).fork(ochre_base::Fork::Main), 3).unwrap();
    assert_eq!(toy.add_page(file).unwrap(), 3);
    if xid.is_multiple_of(200) {
        toy.storage.files().creation_aborted(relation(file)).unwrap();
    } else {
        let end = toy.commit(Xid(xid), &[file], &[file]).unwrap().end;
        toy.storage.wal().flush_to(end).unwrap();
        toy.storage.files().remove_dropped().unwrap();
    }
    assert!(!toy.storage.files().exists(relation(file)).unwrap());
}

/// Committers that block and tasks that poll tickets are all woken, and nobody before the flush has passed.
#[test]
fn group_commit_wakes_everybody() {
    let directory = TempDirectory::new("group");
    let toy = Arc::new(open(&directory, config()));
    let threads: Vec<_> = (0..16u64)
        .map(|number| {
            let toy = toy.clone();
            std::thread::spawn(move || {
                for round in 0..100 {
                    let mut record = RecordBuilder::new(TOY, 3, Xid(100 + number));
                    record.main(&[0; 40][..(round % 5) * 8]);
                    let end = toy.storage.wal().append(&record, &mut []).unwrap().end;
                    if number % 2 == 0 {
                        toy.storage.wal().flush_to(end).unwrap();
                    } else {
                        block_on(toy.storage.wal().ticket(end)).unwrap();
                    }
                    assert!(toy.storage.wal().flushed() >= end);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let end = toy.storage.wal().append(&RecordBuilder::new(TOY, 3, Xid(99)), &mut []).unwrap().end;
    let started = Instant::now();
    while toy.storage.wal().flushed() < end {
        assert!(started.elapsed() < Duration::from_secs(10), "the window of asynchronous commits is bounded");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

/// Prints how fast a directory opens and how many commits a second become durable. `--ignored --nocapture`, in release.
#[test]
#[ignore = "a measurement"]
fn measure() {
    let directory = TempDirectory::new("measure");
    let started = Instant::now();
    let toy = open(&directory, StorageConfig { shared_buffers_bytes: 1 << 30, ..StorageConfig::default() });
    println!("create: {:?}", started.elapsed());
    toy.storage.close().unwrap();
    drop(toy);
    let started = Instant::now();
    let toy = Arc::new(open(
        &directory,
        StorageConfig { shared_buffers_bytes: 1 << 30, ..StorageConfig::default() },
    ));
    println!("open: {:?}", started.elapsed());
    let file = toy.create(Xid(20)).unwrap();
    for _ in 0..=64 {
        toy.add_page(file).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    for clients in [1, 2, 8, 32, 128] {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads: Vec<_> = (0..clients)
            .map(|number| {
                let (toy, stop, count) = (toy.clone(), stop.clone(), count.clone());
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let block = number % 32 * 2;
                        let end = transfer(&toy, file, block, block + 1);
                        toy.storage.wal().flush_to(end).unwrap();
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_secs(3));
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        println!("{clients} clients: {} commits/s", count.load(Ordering::Relaxed) / 3);
    }
    let started = Instant::now();
    for _ in 0..200_000 {
        transfer(&toy, file, 2, 3);
    }
    println!("append with two pages: {:?}", started.elapsed() / 200_000);
    let started = Instant::now();
    for n in 0..2_000_000u32 {
        drop(toy.storage.pool().read(relation(file).main_page(BlockNo(n % 64))).unwrap());
    }
    println!("fetch and latch: {:?}", started.elapsed() / 2_000_000);
}
