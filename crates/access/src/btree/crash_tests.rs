//! An index on files that lose power.
//!
//! A workload runs until the power goes at a chosen operation. After recovery the index must be sound and hold what the
//! model held after some prefix of the operations, none missing that was flushed before.

use std::collections::BTreeSet;
use std::sync::Arc;

use ochre_base::{Oid, Result, RowId, Xid};
use ochre_env::Env;
use ochre_env::sim::{CrashMode, Fault, SimClock, SimFileSystem, SimRandom};
use ochre_storage::{CheckpointKind, Creator, RelationKey, ResourceManager, RmgrId, Storage, StorageConfig};

use super::node::EntryBuf;
use super::test_support::{Lcg, check_against, far_digits_entry};
use super::*;

const NUMBERS: usize = 800;

/// Stands for the transaction layer: every creator of files has committed.
struct AllCommitted;

impl ResourceManager for AllCommitted {
    fn rmgr(&self) -> RmgrId {
        RmgrId::TXN
    }

    fn name(&self) -> &'static str {
        "test"
    }

    fn creator_of_files(&self, _creator: Xid) -> Option<Creator> {
        Some(Creator::Committed)
    }
}

/// One insertion or, of an entry that is there, removal.
type Operation = EntryBuf;

struct Machine {
    seed: u64,
    fs: Arc<SimFileSystem>,
    env: Env,
}

impl Machine {
    fn new(seed: u64) -> Machine {
        let fs = Arc::new(SimFileSystem::with_crashes(seed));
        let env = Env {
            fs: fs.clone(),
            clock: Arc::new(SimClock::new()),
            random: Arc::new(SimRandom::new(seed)),
            ..Env::os()
        };
        Machine { seed, fs, env }
    }

    fn open(&self) -> Result<Arc<Storage>> {
        let config = StorageConfig {
            shared_buffers_bytes: 64 * 8192,
            wal_segment_bytes: 1 << 20,
            wal_buffer_bytes: 4 << 10,
            background_threads: false,
            recovery_parts: 1 + self.seed as usize % 3,
            ..StorageConfig::default()
        };
        Storage::open(
            self.env.clone(),
            "/data".as_ref(),
            config,
            vec![Arc::new(BTreeManager), Arc::new(AllCommitted)],
        )
    }
}

/// Does what an operation says, to the model and then to the index.
fn run(tree: &BTree, model: &mut BTreeSet<EntryBuf>, entry: &Operation) -> Result<()> {
    let rid = RowId::from_u64(entry.rid);
    let changed = if model.remove(entry) {
        tree.remove(Xid(20), &entry.key, &entry.payload, rid)?
    } else {
        model.insert(entry.clone());
        let mut run = EntryRun::default();
        run.push(&entry.key, &entry.payload, rid, true, 0);
        tree.insert_run(Xid(20), &run, 0)? == 1
    };
    assert!(changed);
    Ok(())
}

/// Works until the power goes. Returns the model as of the last flush, and the operations begun since.
fn work(
    storage: &Storage,
    tree: &BTree,
    random: &mut Lcg,
    flushed: &mut BTreeSet<EntryBuf>,
    since: &mut Vec<Operation>,
) -> Result<()> {
    let mut model = flushed.clone();
    loop {
        // Stretches up or down, so that pages split and become empty.
        let (from, len) = (random.below(NUMBERS), random.below(120));
        for number in from..(from + len).min(NUMBERS) {
            let entry = far_digits_entry(number as u64);
            since.push(entry.clone());
            run(tree, &mut model, &entry)?;
            if random.below(150) == 0 {
                storage.wal().flush_to(storage.wal().position())?;
                flushed.clone_from(&model);
                since.clear();
            }
        }
        if random.below(10) == 0 {
            storage.checkpoint(CheckpointKind::Fast)?;
        }
        if random.below(10) == 0 {
            tree.reclaim(Xid(20))?;
        }
    }
}

/// The first prefix of the operations after which the model is what the index holds.
fn recovered_model(tree: &BTree, flushed: &BTreeSet<EntryBuf>, since: &[Operation]) -> BTreeSet<EntryBuf> {
    let mut found = BTreeSet::new();
    let report = {
        let mut visit = |key: &[u8], rid: RowId, payload: &[u8]| {
            found.insert(EntryBuf { key: key.to_vec(), rid: rid.to_u64(), payload: payload.to_vec() });
        };
        tree.check(&mut visit).unwrap()
    };
    assert_eq!(report.problems, [], "{}", dump_tree(tree).unwrap());
    let mut model = flushed.clone();
    for entry in since {
        if model == found {
            return model;
        }
        if !model.remove(entry) {
            model.insert(entry.clone());
        }
    }
    assert!(model == found, "no prefix of the operations gives {} entries", found.len());
    model
}

#[test]
fn a_power_cut_leaves_a_sound_index_with_all_that_was_flushed() {
    let (mut incomplete, mut lost, mut free) = (0, 0, 0);
    for seed in 0..60 {
        println!("seed {seed}");
        let mut random = Lcg::new(seed);
        let machine = Machine::new(seed);
        let storage = machine.open().unwrap();
        let relation = RelationKey::new(Oid(5), storage.files().next_file_id());
        BTree::create(&storage, relation, Xid(20), BTreeOptions::default()).unwrap();
        storage.wal().flush_to(storage.wal().position()).unwrap();
        drop(storage);
        machine.fs.crash(CrashMode::DropUnsynced);
        let (mut flushed, mut since) = (BTreeSet::new(), Vec::new());
        for _ in 0..4 {
            let storage = machine.open().unwrap();
            let tree = BTrees::new(storage.clone()).open(relation).unwrap();
            flushed = recovered_model(&tree, &flushed, &since);
            since.clear();
            let report = check_against(&tree, &flushed);
            incomplete += report.incomplete_splits;
            lost += report.lost_pages;
            free += report.free_pages;
            machine.fs.cut_power_at(1 + random.below(150) as u64);
            work(&storage, &tree, &mut random, &mut flushed, &mut since).unwrap_err();
            assert!(machine.fs.power_lost());
            drop((tree, storage));
            let mode =
                [CrashMode::DropUnsynced, CrashMode::KeepUnsynced, CrashMode::Random][random.below(5).min(2)];
            machine.fs.crash(mode);
        }
        // The survivors are finished by those who write next.
        let storage = machine.open().unwrap();
        let tree = BTrees::new(storage.clone()).open(relation).unwrap();
        let mut model = recovered_model(&tree, &flushed, &since);
        for number in 0..NUMBERS as u64 {
            run(&tree, &mut model, &far_digits_entry(number)).unwrap();
        }
        tree.reclaim(Xid(20)).unwrap();
        let report = check_against(&tree, &model);
        assert_eq!(report.lost_pages, 0);
    }
    println!("{incomplete} incomplete splits, {lost} lost pages, {free} free pages seen after crashes");
    assert!(incomplete > 0, "no cut fell between a split and its parent's entry");
    assert!(free > 0, "no page was unlinked");
}

#[test]
fn a_full_or_failing_disk_leaves_a_sound_index() {
    let (mut refused, mut poisoned) = (0, 0);
    for seed in 0..60 {
        println!("seed {seed}");
        let mut random = Lcg::new(seed);
        let machine = Machine::new(seed);
        let mut storage = machine.open().unwrap();
        let relation = RelationKey::new(Oid(5), storage.files().next_file_id());
        BTree::create(&storage, relation, Xid(20), BTreeOptions::default()).unwrap();
        let mut tree = BTrees::new(storage.clone()).open(relation).unwrap();
        let (mut flushed, mut since) = (BTreeSet::new(), Vec::new());
        storage.wal().flush_to(storage.wal().position()).unwrap();
        for _ in 0..6 {
            let fault = [Fault::NoSpace, Fault::Io][random.below(2)];
            machine.fs.fail_operation(1 + random.below(60) as u64, fault);
            work(&storage, &tree, &mut random, &mut flushed, &mut since).unwrap_err();
            machine.fs.heal();
            if storage.wal().poisoned().is_some() {
                poisoned += 1;
                drop((tree, storage));
                machine.fs.crash(CrashMode::Random);
                storage = machine.open().unwrap();
                tree = BTrees::new(storage.clone()).open(relation).unwrap();
            } else {
                refused += 1;
            }
            flushed = recovered_model(&tree, &flushed, &since);
            since.clear();
            storage.wal().flush_to(storage.wal().position()).unwrap();
        }
    }
    println!("{refused} operations refused, {poisoned} engines poisoned");
    assert!(refused > 0 && poisoned > 0);
}
