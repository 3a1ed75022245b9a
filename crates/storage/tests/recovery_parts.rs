//! Recovery divides pages into parts, redone by several threads or by one: what comes out is the same.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use common::*;
use ochre_base::{Fork, Xid};
use ochre_env::Env;
use ochre_env::sim::{CrashMode, SimFileSystem, SimRandom};
use ochre_storage::*;

const PAGES: u64 = 40;
const CHANGES: u64 = 8000;
/// The parts, and whether threads redo them.
const WAYS: [(usize, bool); 7] =
    [(1, false), (1, true), (2, false), (2, true), (3, true), (5, false), (5, true)];

fn open(fs: &SimFileSystem, (recovery_parts, background_threads): (usize, bool)) -> ochre_base::Result<Toy> {
    let env = Env { fs: Arc::new(fs.fork(7)), ..Env::os() };
    Toy::open(&env, StorageConfig { recovery_parts, background_threads, ..small_config() })
}

/// What a crash left: thousands of changes of a few pages, files made, cut and dropped between them.
struct Crashed {
    fs: Arc<SimFileSystem>,
    model: Model,
    /// Files that were dropped.
    dropped: Vec<u64>,
    /// Where the records with special values are.
    special: Vec<Appended>,
}

/// `special` values come after so many changes, each on a page of its own.
fn crashed(special: &[(u64, u64)]) -> Crashed {
    let fs = Arc::new(SimFileSystem::with_crashes(7));
    // No page is written before the crash, so that recovery has it all to do.
    let config = StorageConfig { shared_buffers_bytes: 512 * 8192, ..small_config() };
    let toy = Toy::open(&Env { fs: fs.clone(), ..Env::os() }, config).unwrap();
    let random = SimRandom::new(11);
    let file = toy.create(Xid(20)).unwrap();
    for _ in 0..=PAGES {
        toy.add_page(file).unwrap();
    }
    toy.commit(Xid(20), &[file], &[]).unwrap();
    let mut dropped = Vec::new();
    let mut records = Vec::new();
    for change in 0..CHANGES {
        if change % 1000 == 500 {
            let xid = Xid(100 + change);
            let other = toy.create(xid).unwrap();
            for _ in 0..3 {
                toy.add_page(other).unwrap();
            }
            toy.set(other, 2, 5, change).unwrap();
            toy.storage.files().truncate(relation(other).fork(Fork::Main), 2).unwrap();
            toy.set(other, 1, 6, change).unwrap();
            toy.commit(xid, &[other], &[]).unwrap();
            if change % 2000 == 500 {
                toy.commit(Xid(101 + change), &[], &[other]).unwrap();
                dropped.push(other);
            }
        }
        let block = 1 + random.below(PAGES) as u32;
        toy.set(file, block, random.below(800) as usize, change).unwrap();
        for (number, (_, value)) in special.iter().enumerate().filter(|(_, (at, _))| *at == change) {
            records.push(toy.set(file, 1 + number as u32, 850, *value).unwrap());
        }
    }
    toy.storage.wal().flush_to(toy.storage.wal().position()).unwrap();
    let model = toy.snapshot().unwrap();
    drop(toy);
    fs.crash(CrashMode::KeepUnsynced);
    Crashed { fs, model, dropped, special: records }
}

#[test]
fn parts_make_the_same_of_a_log() {
    let Crashed { fs, mut model, dropped, .. } = crashed(&[]);
    assert!(!dropped.is_empty());
    model.cells.retain(|(file, ..), _| !dropped.contains(file));
    model.files.retain(|file, _| !dropped.contains(file));
    for way in WAYS {
        let toy = open(&fs, way).unwrap();
        assert_eq!(toy.storage.open_kind(), OpenKind::Recovered);
        assert!(toy.snapshot().unwrap() == model, "{way:?}");
    }
}

#[test]
fn of_several_records_that_cannot_be_redone_the_first_is_told() {
    let broken: Vec<(u64, u64)> = (0..12).map(|n| (4000 + n, BROKEN)).collect();
    let Crashed { fs, special, .. } = crashed(&broken);
    for way in WAYS {
        let error = open(&fs, way).err().unwrap();
        let place = format!("{:016x}", special[0].start.0);
        let context = error.fields().context.as_deref().unwrap_or_default();
        assert!(context.ends_with(&place), "{way:?}: {context} and not {place}");
    }
}

#[test]
fn a_panic_in_one_part_ends_recovery() {
    let Crashed { fs, .. } = crashed(&[(10, PANICS), (5000, BROKEN)]);
    for way in WAYS {
        let opened = catch_unwind(AssertUnwindSafe(|| drop(open(&fs, way))));
        assert!(opened.is_err(), "{way:?}");
    }
}
