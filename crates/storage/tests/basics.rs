//! The storage layer on simulated files: opening, durability, failures.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::*;
use ochre_base::{Fork, SqlState, Xid};
use ochre_env::Env;
use ochre_env::sim::{CrashMode, Fault, OperationKind, SimFileSystem};
use ochre_storage::*;

fn sim(seed: u64) -> (Arc<SimFileSystem>, Env) {
    let fs = Arc::new(SimFileSystem::with_crashes(seed));
    (fs.clone(), Env { fs, ..Env::os() })
}

fn filled(env: &Env) -> Toy {
    let toy = Toy::open(env, small_config()).unwrap();
    let file = toy.create(Xid(20)).unwrap();
    assert_eq!(file, 1);
    toy.add_page(1).unwrap();
    toy.add_page(1).unwrap();
    let committed = toy.commit(Xid(20), &[1], &[]).unwrap();
    toy.storage.wal().flush_to(committed.end).unwrap();
    toy
}

#[test]
fn a_clean_shutdown_opens_cleanly() {
    let (_, env) = sim(1);
    let toy = filled(&env);
    assert_eq!(toy.storage.open_kind(), OpenKind::Created);
    toy.set(1, 1, 5, 77).unwrap();
    let before = toy.snapshot().unwrap();
    toy.storage.close().unwrap();
    drop(toy);
    let toy = Toy::open(&env, small_config()).unwrap();
    assert_eq!(toy.storage.open_kind(), OpenKind::Clean);
    assert_eq!(toy.snapshot().unwrap(), before);
    drop(toy);
    let toy = Toy::open(&env, small_config()).unwrap();
    assert_eq!(toy.snapshot().unwrap(), before);
}

#[test]
fn what_was_flushed_survives_and_what_was_not_is_gone() {
    let (fs, env) = sim(2);
    let toy = filled(&env);
    let flushed = toy.set(1, 1, 5, 77).unwrap();
    toy.storage.wal().flush_to(flushed.end).unwrap();
    toy.set(1, 1, 5, 78).unwrap();
    fs.crash(CrashMode::DropUnsynced);
    drop(toy);
    let toy = Toy::open(&env, small_config()).unwrap();
    assert_eq!(toy.storage.open_kind(), OpenKind::Recovered);
    assert_eq!(toy.step().unwrap(), 2);
    assert_eq!(toy.snapshot().unwrap().cells[&(1, 1, 5)], 77);
}

#[test]
fn a_second_opener_is_refused() {
    let (_, env) = sim(3);
    let toy = filled(&env);
    let refused = Toy::open(&env, small_config()).map(|_| ()).unwrap_err();
    assert_eq!(refused.sqlstate(), SqlState::OBJECT_IN_USE);
    drop(toy);
    assert!(Toy::open(&env, small_config()).is_ok());
}

#[test]
fn a_failed_sync_of_the_log_poisons() {
    let (fs, env) = sim(4);
    let toy = filled(&env);
    let appended = toy.set(1, 1, 5, 77).unwrap();
    fs.fail_next(OperationKind::Sync, Fault::Io);
    let error = toy.storage.wal().flush_to(appended.end).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::IO_ERROR);
    assert!(toy.storage.wal().flush_to(appended.end).is_err(), "it is not retried as if it had worked");
    assert!(toy.set(1, 1, 5, 78).is_err());
    assert!(toy.storage.checkpoint(CheckpointKind::Fast).is_err());
    assert!(toy.storage.close().is_err());
    fs.crash(CrashMode::DropUnsynced);
    drop(toy);
    let toy = Toy::open(&env, small_config()).unwrap();
    assert!(toy.step().unwrap() <= 2);
}

#[test]
fn a_failed_sync_of_a_relation_poisons() {
    let (fs, env) = sim(5);
    let toy = filled(&env);
    let appended = toy.set(1, 1, 5, 77).unwrap();
    toy.storage.wal().flush_to(appended.end).unwrap();
    fs.fail_next(OperationKind::Sync, Fault::Io);
    assert!(toy.storage.checkpoint(CheckpointKind::Fast).is_err());
    assert!(toy.storage.wal().poisoned().is_some());
    fs.crash(CrashMode::DropUnsynced);
    drop(toy);
    let toy = Toy::open(&env, small_config()).unwrap();
    assert_eq!((toy.step().unwrap(), toy.snapshot().unwrap().cells[&(1, 1, 5)]), (2, 77));
}

#[test]
fn a_full_disk_fails_the_statement_and_nothing_else() {
    let (fs, env) = sim(6);
    let toy = filled(&env);
    fs.limit_space(fs.space_used() + 40 * 8192);
    let mut step = 1;
    let error = loop {
        match toy.add_page(1) {
            Ok(_) => step += 1,
            Err(error) => break error,
        }
        assert!(step < 1000, "the disk is never full");
    };
    assert_eq!(error.sqlstate(), SqlState::DISK_FULL);
    assert_eq!(toy.step().unwrap(), step);
    assert_eq!(toy.storage.pool().block_count(relation(1).fork(Fork::Main)).unwrap(), step as u32 + 1);
    fs.heal();
    toy.add_page(1).unwrap();
    toy.storage.close().unwrap();
    drop(toy);
    let toy = Toy::open(&env, small_config()).unwrap();
    assert_eq!(toy.step().unwrap(), step + 1);
}

#[test]
fn a_full_disk_refuses_log_before_anything_changes() {
    let (fs, env) = sim(7);
    let toy = filled(&env);
    fs.limit_space(fs.space_used() + 5 * (64 << 10));
    let mut step = 1;
    let error = loop {
        match toy.set(1, 1, step as usize % 100, step) {
            Ok(_) => step += 1,
            Err(error) => break error,
        }
        assert!(step < 100_000, "the log never fills the disk");
    };
    assert_eq!(error.sqlstate(), SqlState::DISK_FULL);
    assert_eq!(toy.step().unwrap(), step, "reads still work");
    assert!(toy.storage.wal().poisoned().is_none());
    // A checkpoint needs hardly any log and frees much of it.
    toy.storage.checkpoint(CheckpointKind::Fast).unwrap();
    toy.set(1, 1, 5, 5).unwrap();
    fs.heal();
    toy.set(1, 1, 5, 6).unwrap();
}

#[test]
fn a_page_that_cannot_be_read_is_reported_by_name() {
    let (_, env) = sim(8);
    let toy = filled(&env);
    toy.storage.close().unwrap();
    drop(toy);
    let path = Path::new("data/base/5/1");
    let file = env.fs.open(path, ochre_env::OpenMode::Existing).unwrap();
    file.write_at(&[0xee; 3], 8192 + 4000).unwrap();
    let toy = Toy::open(&env, small_config()).unwrap();
    for _ in 0..2 {
        let error = toy.storage.pool().fetch(page_key(1, 1)).map(|_| ()).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::DATA_CORRUPTED);
        assert_eq!(error.message(), "invalid page in block 1 of relation \"base/5/1\"");
    }
    let error = toy.storage.pool().fetch(page_key(1, 9)).map(|_| ()).unwrap_err();
    assert_eq!(error.message(), "could not read block 9 in file \"base/5/1\": it has 2 blocks");
    let reset = toy.storage.pool().fetch_or_reset(page_key(1, 1)).unwrap().read();
    assert!(reset.is_unused());
}

#[test]
fn tables_larger_than_the_pool_work() {
    let (fs, env) = sim(9);
    let toy = filled(&env);
    for step in 2..400 {
        let block = toy.add_page(1).unwrap();
        toy.set(1, block, 3, step).unwrap();
    }
    toy.storage.wal().flush_to(toy.storage.wal().position()).unwrap();
    let check = |toy: &Toy| {
        let mut ring = ScanRing::bulk_read();
        for block in 2..400u32 {
            let page = toy.storage.pool().fetch_with(page_key(1, block), &mut ring).unwrap().read();
            assert_eq!(cell(&page, 3), u64::from(block));
        }
    };
    check(&toy);
    assert!(toy.storage.pool().statistics().evicted_dirty > 0);
    fs.crash(CrashMode::Random);
    drop(toy);
    check(&Toy::open(&env, small_config()).unwrap());
}

#[test]
fn a_scan_with_a_ring_leaves_the_pool_alone() {
    let (_, env) = sim(10);
    let toy = filled(&env);
    for _ in 2..300 {
        toy.add_page(1).unwrap();
    }
    toy.storage.checkpoint(CheckpointKind::Fast).unwrap();
    let pool = toy.storage.pool();
    for _ in 0..6 {
        for block in 0..20 {
            drop(pool.read(page_key(1, block)).unwrap());
        }
    }
    let mut ring = ScanRing::bulk_read();
    for block in 0..300 {
        drop(pool.fetch_with(page_key(1, block), &mut ring).unwrap());
    }
    let before = pool.statistics().reads;
    for block in 0..20 {
        drop(pool.read(page_key(1, block)).unwrap());
    }
    assert_eq!(pool.statistics().reads, before, "hot pages stayed");
}

#[test]
fn log_is_recycled_behind_the_redo_point() {
    let (_, env) = sim(11);
    let toy = filled(&env);
    for round in 0..20u64 {
        for step in 0..200 {
            toy.set(1, 1, step, round * 200 + step as u64).unwrap();
        }
        toy.storage.checkpoint(CheckpointKind::Fast).unwrap();
    }
    let segments = env.fs.list(Path::new("data/wal")).unwrap();
    assert!(segments.len() < 6, "{segments:?}");
    toy.storage.close().unwrap();
}

#[test]
fn a_file_whose_creator_did_not_commit_goes() {
    let (fs, env) = sim(12);
    let toy = filled(&env);
    let lost = toy.create(Xid(21)).unwrap();
    toy.add_page(lost).unwrap();
    let kept = toy.create(Xid(22)).unwrap();
    toy.commit(Xid(22), &[kept], &[]).unwrap();
    toy.storage.checkpoint(CheckpointKind::Fast).unwrap();
    fs.crash(CrashMode::KeepUnsynced);
    drop(toy);
    let toy = Toy::open(&env, small_config()).unwrap();
    assert_eq!(toy.snapshot().unwrap().files.into_keys().collect::<Vec<_>>(), [1, kept]);
    let aborted = toy.create(Xid(23)).unwrap();
    assert!(aborted > kept, "ids are not reused");
    toy.add_page(aborted).unwrap();
    toy.storage.files().creation_aborted(relation(aborted)).unwrap();
    toy.commit(Xid(24), &[], &[kept]).unwrap();
    assert!(toy.storage.files().exists(relation(kept)).unwrap());
    toy.storage.wal().flush_to(toy.storage.wal().position()).unwrap();
    toy.storage.files().remove_dropped().unwrap();
    assert_eq!(toy.snapshot().unwrap().files.into_keys().collect::<Vec<_>>(), [1]);
    fs.crash(CrashMode::DropUnsynced);
    drop(toy);
    let toy = Toy::open(&env, small_config()).unwrap();
    assert_eq!(toy.snapshot().unwrap().files.into_keys().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_dropped_relation_cannot_be_loaded_again_while_it_is_removed() {
    let (fs, env) = sim(13);
    let toy = Arc::new(filled(&env));
    let file = toy.create(Xid(21)).unwrap();
    for _ in 0..3 {
        toy.add_page(file).unwrap();
    }
    toy.commit(Xid(21), &[file], &[]).unwrap();
    // Who meets the pages again would find them in the file.
    toy.storage.checkpoint(CheckpointKind::Fast).unwrap();
    let pool = toy.storage.pool();
    let last = pool.fetch(page_key(file, 2)).unwrap();
    let end = toy.commit(Xid(22), &[], &[file]).unwrap().end;
    toy.storage.wal().flush_to(end).unwrap();
    let remover = {
        let toy = Arc::clone(&toy);
        std::thread::spawn(move || toy.storage.files().remove_dropped().unwrap())
    };
    while pool.fetch_cached(page_key(file, 0)).is_some() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(!remover.is_finished(), "a page is pinned");
    assert!(toy.set(file, 0, 5, 7).is_err(), "L5");
    assert!(toy.add_page(file).is_err(), "L5");
    drop(last);
    remover.join().unwrap();
    for fork in Fork::ALL {
        assert!(pool.allocate(relation(file).fork(fork)).is_err(), "L5: {fork:?}");
    }
    toy.storage.checkpoint(CheckpointKind::Fast).unwrap();
    fs.crash(CrashMode::DropUnsynced);
    drop(toy);
    let toy = Toy::open(&env, small_config()).unwrap();
    assert_eq!(toy.snapshot().unwrap().files.into_keys().collect::<Vec<_>>(), [1]);
}

/// Creates a relation under an id that is given, with a cell set in each of its pages; all of that is durable.
fn take_place(toy: &Toy, file: u64, xid: u64, blocks: u32, commits: bool) {
    toy.storage.files().create(relation(file), Xid(xid)).unwrap();
    for block in 0..blocks {
        toy.add_page(file).unwrap();
        toy.set(file, block, 5, xid).unwrap();
    }
    if commits {
        toy.commit(Xid(xid), &[file], &[]).unwrap();
    }
    toy.storage.wal().flush_to(toy.storage.wal().position()).unwrap();
}

/// Stored catalogs have fixed file ids, and a database's id may be given again after a crash.
#[test]
fn a_relation_in_the_place_of_another_survives_the_next_crash() {
    for (seed, mode) in
        [CrashMode::DropUnsynced, CrashMode::KeepUnsynced, CrashMode::Random].into_iter().enumerate()
    {
        let (fs, env) = sim(14 + seed as u64);
        let crash = |toy: Toy| {
            fs.crash(mode);
            drop(toy);
            Toy::open(&env, small_config()).unwrap()
        };
        let toy = filled(&env);
        let file = 77;
        take_place(&toy, file, 21, 4, true);
        let end = toy.commit(Xid(22), &[], &[file]).unwrap().end;
        toy.storage.wal().flush_to(end).unwrap();
        let toy = crash(toy);
        assert!(!toy.storage.files().exists(relation(file)).unwrap());
        take_place(&toy, file, 23, 2, false);
        let toy = crash(toy);
        assert!(!toy.storage.files().exists(relation(file)).unwrap());
        take_place(&toy, file, 24, 1, true);
        let toy = crash(crash(toy));
        let model = toy.snapshot().unwrap();
        assert_eq!(model.files.get(&file), Some(&1), "L6, {mode:?}");
        let cells: Vec<_> = model.cells.iter().filter(|((f, ..), _)| *f == file).collect();
        assert_eq!(cells, [(&(file, 0, 5), &24)], "L6, {mode:?}");
    }
}

#[test]
fn dumps_are_readable() {
    let (_, env) = sim(13);
    let toy = filled(&env);
    toy.set(1, 1, 5, 77).unwrap();
    toy.storage.close().unwrap();
    drop(toy);
    let root = Path::new("data");
    let mut dump = String::new();
    let manager = ToyManager::default();
    inspect::read_wal(&env, root, Some(ochre_base::Lsn(64 << 10)), &mut |record| {
        dump += &inspect::print_record(record, &[&manager]);
        true
    })
    .unwrap();
    assert!(dump.contains("storage: create base/5/1"), "{dump}");
    assert!(dump.contains("xid 20, toy: info 3"), "{dump}");
    assert!(dump.contains("page 0: base/5/1 fork Main block 1 data 0 bytes init"), "{dump}");
    let page = inspect::read_page(&env, root, page_key(1, 1)).unwrap();
    assert!(
        inspect::print_page(&page, &|_, row| inspect::hexadecimal(row, 8)).starts_with("heap page, layout 1")
    );
    let check = inspect::check_pages(&env, root, &mut |_, _| {}).unwrap();
    assert_eq!((check.pages, check.problems.len()), (2, 0));
    assert!(inspect::print_current(&env, root).unwrap().contains("state shut down"));
}

/// A record is torn and the next one, whole, begins exactly where the first record of the next run ends.
#[test]
fn a_stale_record_behind_a_cut_tail_does_not_count() {
    let (fs, env) = sim(14);
    let toy = filled(&env);
    let wal = toy.storage.wal();
    // As long as the record that a run begins with.
    let torn = wal.append(&RecordBuilder::new(TOY, 3, Xid::NONE), &mut []).unwrap();
    let stale = toy.set(1, 1, 5, 77).unwrap();
    assert_eq!((torn.end.0 - torn.start.0, stale.start), (32, torn.end));
    wal.flush_to(stale.end).unwrap();
    drop(toy);
    fs.crash(CrashMode::KeepUnsynced);
    let segment = torn.start.0 / (64 << 10) * (64 << 10);
    let path = format!("data/wal/{segment:016x}");
    let file = env.fs.open(Path::new(&path), ochre_env::OpenMode::Existing).unwrap();
    file.write_at(&[0; 16], torn.start.0 - segment).unwrap();
    let toy = Toy::open(&env, small_config()).unwrap();
    assert_eq!(toy.step().unwrap(), 1);
    assert_eq!(toy.storage.wal().position(), stale.start);
    toy.storage.wal().flush_to(stale.start).unwrap();
    drop(toy);
    fs.crash(CrashMode::KeepUnsynced);
    let toy = Toy::open(&env, small_config()).unwrap();
    assert_eq!(toy.step().unwrap(), 1, "the stale record is of an older run");
}

/// A record of a page that is nowhere near its file's end: damage, unless the file was cut later.
#[test]
fn a_page_far_behind_the_end_of_its_file_is_not_made() {
    const FAR: u32 = 3_000_000_000;
    for cut in [false, true] {
        let (fs, env) = sim(15);
        let toy = filled(&env);
        {
            let mut page = toy.storage.pool().fetch_or_reset(page_key(1, FAR)).unwrap().write();
            page.format(PageKind::HEAP, 8168);
            let mut record = RecordBuilder::new(TOY, 1, Xid::NONE);
            record.block(BlockFlags::INIT);
            toy.storage.wal().append(&record, &mut [&mut page]).unwrap();
        }
        if cut {
            toy.storage.files().truncate(relation(1).fork(Fork::Main), 2).unwrap();
        }
        toy.storage.wal().flush_to(toy.storage.wal().position()).unwrap();
        drop(toy);
        fs.crash(CrashMode::KeepUnsynced);
        match Toy::open(&env, small_config()) {
            Ok(toy) => {
                assert!(cut);
                assert_eq!(toy.storage.pool().block_count(relation(1).fork(Fork::Main)).unwrap(), 2);
            }
            Err(error) => {
                assert!(!cut, "{error:?}");
                assert_eq!(error.sqlstate().as_str(), "XX001");
                assert!(error.message().contains(&format!("base/5/1 fork Main block {FAR}")), "{error:?}");
            }
        }
    }
}

/// No flush reaches such an LSN: the page could never be written again, and who waited for that would wait for ever.
#[test]
fn a_page_that_is_younger_than_the_log_is_damaged() {
    let (_, env) = sim(16);
    let toy = filled(&env);
    toy.storage.close().unwrap();
    let end = toy.storage.wal().position();
    drop(toy);
    let file = env.fs.open(Path::new("data/base/5/1"), ochre_env::OpenMode::Existing).unwrap();
    for (lsn, is_damaged) in [(end.0 + 4096, true), (end.0 - 8, false)] {
        let mut page = Page::zeroed();
        file.read_at(page.bytes_mut(), 8192).unwrap();
        page.set_lsn(ochre_base::Lsn(lsn));
        page.seal(page_key(1, 1));
        file.write_at(page.bytes(), 8192).unwrap();
        let toy = Toy::open(&env, small_config()).unwrap();
        let read = toy.storage.pool().read(page_key(1, 1));
        assert_eq!(read.is_err(), is_damaged, "{lsn:x}");
        if let Err(error) = read {
            assert_eq!(error.sqlstate(), SqlState::DATA_CORRUPTED);
            assert!(error.fields().detail.as_deref().unwrap_or_default().contains("beyond the log's end"));
        }
    }
}
