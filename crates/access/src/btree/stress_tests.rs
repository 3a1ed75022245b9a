//! An index under many threads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ochre_base::{Result, RowId, Xid};
use ochre_storage::Storage;

use super::node::EntryBuf;
use super::test_support::{
    Lcg, check_against, collect, far_digits_entry as entry, int_key, memory_storage, new_tree, tiny_storage,
};
use super::*;

const WRITERS: u64 = 4;
const NUMBERS: u64 = 6000;

fn insert(tree: &BTree, entry: &EntryBuf) {
    assert!(tree.insert(Xid(20), &entry.key, &entry.payload, RowId::from_u64(entry.rid)).unwrap());
}

fn remove(tree: &BTree, entry: &EntryBuf) {
    assert!(tree.remove(Xid(20), &entry.key, &entry.payload, RowId::from_u64(entry.rid)).unwrap());
}

/// Whether a number is there from the start and stays. Between them are stretches that can become empty.
fn stays_there(number: u64) -> bool {
    number.is_multiple_of(16) && (number / 600).is_multiple_of(2)
}

#[test]
fn scans_return_what_stays_once_while_pages_split_and_go() {
    scans_return_what_stays_once(&memory_storage());
}

#[test]
fn scans_return_what_stays_once_while_pages_are_evicted() {
    scans_return_what_stays_once(&tiny_storage());
}

/// Each writer owns the numbers that leave its remainder and knows which of them it has inserted. Every scan must return
/// each of those that stay exactly once.
fn scans_return_what_stays_once(storage: &Arc<Storage>) {
    let tree = new_tree(storage, BTreeOptions::default());
    let stays: BTreeSet<EntryBuf> = (0..NUMBERS).filter(|number| stays_there(*number)).map(entry).collect();
    stays.iter().for_each(|entry| insert(&tree, entry));
    let stop = AtomicBool::new(false);
    let scans = AtomicU64::new(0);
    let mut model = stays.clone();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let tree = &tree;
                    move || write(tree, writer)
                })
            })
            .collect();
        for direction in [ScanDirection::Forward, ScanDirection::Backward] {
            let (tree, stays, stop, scans) = (&tree, &stays, &stop, &scans);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    check_scan(tree, stays, direction);
                    scans.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            let mut rids = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                for entry in &stays {
                    rids.clear();
                    tree.lookup_equal(&entry.key, &mut rids).unwrap();
                    assert!(rids.contains(&RowId::from_u64(entry.rid)));
                }
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                tree.reclaim(Xid(20)).unwrap();
            }
        });
        for writer in writers {
            model.extend(writer.join().unwrap());
        }
        stop.store(true, Ordering::Relaxed);
    });
    let report = check_against(&tree, &model);
    assert_eq!((report.incomplete_splits, report.lost_pages), (0, 0));
    assert!(tree.recycled() > 0, "pages were reused");
    println!("{} scans, {} recycled, {report:?}", scans.load(Ordering::Relaxed), tree.recycled());
}

/// Inserts and removes stretches of a writer's own numbers; returns what is left.
fn write(tree: &BTree, writer: u64) -> BTreeSet<EntryBuf> {
    let mut random = Lcg::new(writer);
    let own: Vec<u64> =
        (0..NUMBERS).filter(|number| !stays_there(*number) && number % WRITERS == writer).collect();
    let mut there = BTreeSet::new();
    for _ in 0..40 {
        let from = random.below(own.len());
        let to = (from + random.below(own.len())).min(own.len());
        let fill = random.below(2) == 0;
        for number in &own[from..to] {
            let entry = entry(*number);
            if fill && !there.contains(&entry) {
                insert(tree, &entry);
                there.insert(entry);
            } else if !fill && there.remove(&entry) {
                remove(tree, &entry);
            }
        }
    }
    there
}

fn check_scan(tree: &Arc<BTree>, stays: &BTreeSet<EntryBuf>, direction: ScanDirection) {
    let mut scan = Scan::new(tree.clone(), ScanFetch::Entries);
    scan.start(KeyBound::Unbounded, KeyBound::Unbounded, direction);
    let mut found = collect(&mut scan);
    if direction == ScanDirection::Backward {
        found.reverse();
    }
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "C1: each entry once, in order");
    let found: BTreeSet<EntryBuf> = found.into_iter().collect();
    assert!(stays.is_subset(&found), "C1: what stays is found");
}

#[test]
fn appends_by_many_threads() {
    let tree = new_tree(&memory_storage(), BTreeOptions::default());
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= 40_000 {
                        return;
                    }
                    let key = int_key(number as i64);
                    assert!(tree.insert(Xid(20), &key, &[], RowId::from_u64(number)).unwrap());
                }
            });
        }
    });
    let model = (0..40_000)
        .map(|number| EntryBuf { key: int_key(number as i64), rid: number, payload: Vec::new() })
        .collect();
    let report = check_against(&tree, &model);
    assert!(report.leaf_fill_percent > 80, "{report:?}");
}

/// Rows are live from the moment that they are inserted.
struct AllLive;

impl UniqueChecker for AllLive {
    fn check(&mut self, _rid: RowId) -> Result<UniqueVerdict> {
        Ok(UniqueVerdict::Conflict)
    }

    fn wait(&mut self, _xid: Xid) -> Result<()> {
        unreachable!("nobody is said to run")
    }
}

#[test]
fn one_of_many_threads_wins_a_unique_key() {
    let tree = new_tree(&memory_storage(), BTreeOptions::default());
    let won = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..WRITERS {
            let (tree, won) = (&tree, &won);
            scope.spawn(move || {
                let mut random = Lcg::new(thread);
                let mut run = EntryRun::default();
                for turn in 0..5000 {
                    let key = int_key(random.below(3000) as i64);
                    let rid = RowId::new(turn, thread as u16);
                    if turn % 2 == 0 {
                        run.clear();
                        run.push(&key, &[], rid, true, 0);
                        if tree.insert_run(Xid(20), &run, 0).unwrap() == 1 {
                            won.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                    }
                    if tree.insert_unique(Xid(20), &key, &[], rid, &mut AllLive).unwrap()
                        == UniqueOutcome::Inserted
                    {
                        won.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut keys = BTreeSet::new();
    let report = tree
        .check(&mut |key: &[u8], _: RowId, _: &[u8]| {
            assert!(keys.insert(key.to_vec()), "a key is there twice")
        })
        .unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(report.entries, won.load(Ordering::Relaxed));
}
