//! An index against a sorted set, one thread.

use std::collections::BTreeSet;
use std::sync::Arc;

use ochre_base::{Error, Result, RowId, SqlState, Xid};

use super::node::EntryBuf;
use super::test_support::{Lcg, check_against, collect, int_key, memory_storage, new_tree, tricky_entry};
use super::*;
use crate::sort::{SortConfig, Sorter};

const XID: Xid = Xid(20);

fn insert(tree: &BTree, entry: &EntryBuf) -> bool {
    tree.insert(XID, &entry.key, &entry.payload, RowId::from_u64(entry.rid)).unwrap()
}

fn remove(tree: &BTree, entry: &EntryBuf) -> bool {
    tree.remove(XID, &entry.key, &entry.payload, RowId::from_u64(entry.rid)).unwrap()
}

fn int_entry(number: i64) -> EntryBuf {
    EntryBuf { key: int_key(number), rid: number as u32 as u64, payload: Vec::new() }
}

/// The entries of a model in a range, ascending.
fn in_range(model: &BTreeSet<EntryBuf>, low: KeyBound<'_>, high: KeyBound<'_>) -> Vec<EntryBuf> {
    let above = |key: &[u8]| match low {
        KeyBound::Unbounded => true,
        KeyBound::Included(low) => key >= low,
        KeyBound::Excluded(low) => key > low,
        KeyBound::IncludedPrefix(low) => key >= low,
        KeyBound::ExcludedPrefix(low) => key > low && !key.starts_with(low),
    };
    let below = |key: &[u8]| match high {
        KeyBound::Unbounded => true,
        KeyBound::Included(high) => key <= high,
        KeyBound::Excluded(high) => key < high,
        KeyBound::IncludedPrefix(high) => key < high || key.starts_with(high),
        KeyBound::ExcludedPrefix(high) => key < high,
    };
    model.iter().filter(|entry| above(&entry.key) && below(&entry.key)).cloned().collect()
}

fn random_bound<'a>(random: &mut Lcg, key: &'a [u8]) -> KeyBound<'a> {
    match random.below(5) {
        0 => KeyBound::Unbounded,
        1 => KeyBound::Included(key),
        2 => KeyBound::Excluded(key),
        3 => KeyBound::IncludedPrefix(key),
        _ => KeyBound::ExcludedPrefix(key),
    }
}

fn check_scans(
    tree: &Arc<BTree>,
    model: &BTreeSet<EntryBuf>,
    random: &mut Lcg,
    max_key: usize,
    times: usize,
) {
    let mut scan = Scan::new(tree.clone(), ScanFetch::Entries);
    for _ in 0..times {
        let keys = (tricky_entry(random, max_key).key, tricky_entry(random, max_key).key);
        let (low, high) = (random_bound(random, &keys.0), random_bound(random, &keys.1));
        let mut expected = in_range(model, low, high);
        scan.start(low, high, ScanDirection::Forward);
        assert!(collect(&mut scan) == expected, "forward {low:?} {high:?}");
        expected.reverse();
        scan.start(low, high, ScanDirection::Backward);
        assert!(collect(&mut scan) == expected, "backward {low:?} {high:?}");
        let mut rids = Vec::new();
        tree.lookup_equal(&keys.0, &mut rids).unwrap();
        let equal: Vec<RowId> = model
            .iter()
            .filter(|entry| entry.key == keys.0)
            .map(|entry| RowId::from_u64(entry.rid))
            .collect();
        assert_eq!(rids, equal);
    }
}

#[test]
fn an_index_behaves_as_a_sorted_set() {
    for seed in 0..12 {
        println!("seed {seed}");
        let mut random = Lcg::new(seed);
        let storage = memory_storage();
        let tree = new_tree(&storage, BTreeOptions::default());
        let mut model = BTreeSet::new();
        let max_key = [8, 40, 300, 2400][seed as usize % 4];
        for round in 0..6 {
            // Growing, shrinking, growing again.
            let inserts_in_ten = [9, 5, 2, 1, 8, 3][round];
            for _ in 0..1500 {
                if random.below(10) < inserts_in_ten {
                    let entry = tricky_entry(&mut random, max_key);
                    assert_eq!(insert(&tree, &entry), model.insert(entry));
                } else if let Some(entry) = model.range(tricky_entry(&mut random, max_key)..).next().cloned()
                {
                    assert!(remove(&tree, &entry));
                    assert!(!remove(&tree, &entry));
                    model.remove(&entry);
                }
            }
            check_against(&tree, &model);
            check_scans(&tree, &model, &mut random, max_key, 30);
        }
        for entry in std::mem::take(&mut model) {
            assert!(remove(&tree, &entry));
        }
        let report = check_against(&tree, &model);
        assert!(report.free_pages > 0, "emptied leaves are free: {report:?}");
        assert_eq!(report.lost_pages, 0);
    }
}

#[test]
fn ascending_keys_fill_pages_to_the_fillfactor() {
    for (fillfactor, least) in [(90, 85), (100, 97), (50, 45)] {
        let tree = new_tree(&memory_storage(), BTreeOptions { fillfactor });
        let mut model = BTreeSet::new();
        for number in 0..40_000 {
            let entry = int_entry(number);
            assert!(insert(&tree, &entry));
            model.insert(entry);
        }
        let report = check_against(&tree, &model);
        assert!((least..=u32::from(fillfactor) + 1).contains(&report.leaf_fill_percent), "{report:?}");
    }
}

#[test]
fn descending_and_random_keys_leave_pages_at_least_half_full() {
    let mut random = Lcg::new(1);
    for descending in [true, false] {
        let tree = new_tree(&memory_storage(), BTreeOptions::default());
        let mut model = BTreeSet::new();
        for number in (0..30_000).rev() {
            let entry = int_entry(if descending { number } else { random.next() as i64 });
            assert_eq!(insert(&tree, &entry), model.insert(entry));
        }
        let report = check_against(&tree, &model);
        assert!(report.leaf_fill_percent >= 48, "{report:?}");
        assert_eq!(tree.stats().unwrap().height, report.height);
    }
}

#[test]
fn a_queue_reuses_its_pages() {
    let tree = new_tree(&memory_storage(), BTreeOptions::default());
    let mut model = BTreeSet::new();
    let mut pages = Vec::new();
    for number in 0..60_000 {
        let entry = int_entry(number);
        insert(&tree, &entry);
        model.insert(entry);
        if number >= 5000 {
            let oldest = model.pop_first().unwrap();
            assert!(remove(&tree, &oldest));
        }
        if number % 20_000 == 19_999 {
            pages.push(tree.stats().unwrap().pages);
            check_against(&tree, &model);
        }
    }
    assert!(pages[2] <= pages[0] + 4, "the file grows: {pages:?}");
}

#[test]
fn many_rows_under_one_key() {
    let tree = new_tree(&memory_storage(), BTreeOptions::default());
    let mut model = BTreeSet::new();
    for key in [1, 2, 3] {
        for rid in (0..5000u64).rev() {
            let entry = EntryBuf { key: int_key(key), rid, payload: Vec::new() };
            assert!(insert(&tree, &entry));
            model.insert(entry);
        }
    }
    check_against(&tree, &model);
    let mut rids = Vec::new();
    tree.lookup_equal(&int_key(2), &mut rids).unwrap();
    assert_eq!(rids, (0..5000).map(RowId::from_u64).collect::<Vec<_>>());
}

#[test]
fn rows_of_few_keys_that_come_in_order_fill_pages() {
    let tree = new_tree(&memory_storage(), BTreeOptions::default());
    let mut model = BTreeSet::new();
    let mut random = Lcg::new(3);
    for rid in 0..60_000 {
        let entry = EntryBuf { key: int_key(random.below(10) as i64), rid, payload: Vec::new() };
        assert!(insert(&tree, &entry));
        model.insert(entry);
    }
    let report = check_against(&tree, &model);
    assert!(report.leaf_fill_percent > 80, "{report:?}");
}

#[test]
fn entries_too_long_are_refused() {
    let tree = new_tree(&memory_storage(), BTreeOptions::default());
    let error = tree.insert(XID, &[7; 2700], &[], RowId::new(0, 0)).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::PROGRAM_LIMIT_EXCEEDED);
}

/// Answers by a table; waiting changes it.
#[derive(Default)]
struct TestChecker {
    live: Vec<RowId>,
    running: Vec<(RowId, Xid)>,
    /// What rows turn out to be live once their transaction has ended.
    commits: bool,
    waits: Vec<Xid>,
}

impl UniqueChecker for TestChecker {
    fn check(&mut self, rid: RowId) -> Result<UniqueVerdict> {
        if let Some((_, xid)) = self.running.iter().find(|(row, _)| *row == rid) {
            return Ok(UniqueVerdict::Wait(*xid));
        }
        Ok(if self.live.contains(&rid) { UniqueVerdict::Conflict } else { UniqueVerdict::Dead })
    }

    fn wait(&mut self, xid: Xid) -> Result<()> {
        self.waits.push(xid);
        if xid == Xid(99) {
            return Err(Error::new(SqlState::DEADLOCK_DETECTED, "deadlock detected"));
        }
        for (rid, _) in self.running.extract_if(.., |(_, running)| *running == xid) {
            if self.commits {
                self.live.push(rid);
            }
        }
        Ok(())
    }
}

#[test]
fn unique_insertion_asks_about_every_row_of_the_key_and_waits() {
    let tree = new_tree(&memory_storage(), BTreeOptions::default());
    let row = |number| RowId::new(number, 0);
    let key = int_key(1);
    let insert = |number, checker: &mut TestChecker| tree.insert_unique(XID, &key, &[], row(number), checker);
    let mut checker = TestChecker::default();
    assert_eq!(insert(1, &mut checker).unwrap(), UniqueOutcome::Inserted);
    assert_eq!(insert(2, &mut checker).unwrap(), UniqueOutcome::Inserted, "row 1 is dead");
    assert_eq!(
        insert(2, &mut checker).unwrap(),
        UniqueOutcome::Inserted,
        "a row does not conflict with itself"
    );

    checker.live = vec![row(2)];
    assert_eq!(insert(3, &mut checker).unwrap(), UniqueOutcome::Conflict(row(2)));

    checker = TestChecker { running: vec![(row(1), Xid(50)), (row(2), Xid(51))], ..TestChecker::default() };
    assert_eq!(insert(4, &mut checker).unwrap(), UniqueOutcome::Inserted);
    checker.waits.sort();
    assert_eq!(checker.waits, [Xid(50), Xid(51)]);

    checker = TestChecker { running: vec![(row(4), Xid(52))], commits: true, ..TestChecker::default() };
    assert_eq!(insert(5, &mut checker).unwrap(), UniqueOutcome::Conflict(row(4)));

    checker = TestChecker { running: vec![(row(4), Xid(99))], ..TestChecker::default() };
    assert_eq!(insert(5, &mut checker).unwrap_err().sqlstate(), SqlState::DEADLOCK_DETECTED);
    let mut rids = Vec::new();
    tree.lookup_equal(&key, &mut rids).unwrap();
    assert_eq!(rids, [row(1), row(2), row(4)]);
}

#[test]
fn unique_insertion_sees_a_key_that_spans_leaves() {
    let tree = new_tree(&memory_storage(), BTreeOptions::default());
    let key = int_key(5);
    for rid in 0..3000 {
        tree.insert(XID, &key, &[], RowId::new(rid, 3)).unwrap();
        tree.insert(XID, &int_key(i64::from(rid % 10)), &[], RowId::new(rid, 4)).unwrap();
    }
    for live in [0, 1500, 2999] {
        let mut checker = TestChecker { live: vec![RowId::new(live, 3)], ..TestChecker::default() };
        for own in [0, 1500, 5000] {
            let outcome = tree.insert_unique(XID, &key, &[], RowId::new(own, 7), &mut checker).unwrap();
            assert_eq!(outcome, UniqueOutcome::Conflict(RowId::new(live, 3)));
        }
    }
}

#[test]
fn a_bulk_build_makes_the_same_index_as_insertions() {
    for seed in 0..8 {
        println!("seed {seed}");
        let mut random = Lcg::new(seed);
        let storage = memory_storage();
        let max_key = [8, 40, 300, 2500][seed as usize % 4];
        let count = [0, 1, 300, 5000, 20_000][random.below(5)];
        let mut model = BTreeSet::new();
        storage.env().fs.create_dir_all("/spill".as_ref()).unwrap();
        let mut sorter = Sorter::new(SortConfig::new(storage.env(), "/spill", 0));
        for _ in 0..count {
            let entry = tricky_entry(&mut random, max_key);
            sorter.add(&entry.key, entry.rid, &entry.payload).unwrap();
            model.insert(entry);
        }
        let keys: BTreeSet<(&[u8], u64)> = model.iter().map(|entry| (&entry.key[..], entry.rid)).collect();
        let distinct: BTreeSet<&[u8]> = keys.iter().map(|(key, _)| *key).collect();
        let mut equal = 0;
        let trees = BTrees::new(storage.clone());
        let relation = ochre_storage::RelationKey::new(ochre_base::Oid(5), storage.files().next_file_id());
        let (tree, report) = trees
            .build(relation, XID, BTreeOptions::default(), sorter.finish().unwrap(), |_, a, b| {
                assert!(a < b);
                equal += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(equal, keys.len() - distinct.len());
        assert_eq!(report.entries, model.len() as u64);
        let checked = check_against(&tree, &model);
        assert_eq!(report.leaf_pages, checked.leaf_pages);
        check_scans(&tree, &model, &mut random, max_key, 10);
        // It goes on as any other index.
        for _ in 0..500 {
            let entry = tricky_entry(&mut random, max_key);
            assert_eq!(insert(&tree, &entry), model.insert(entry));
        }
        check_against(&tree, &model);
    }
}

#[test]
fn a_build_refuses_entries_out_of_order() {
    let tree = new_tree(&memory_storage(), BTreeOptions::default());
    let mut builder = BTreeBuilder::new(tree, XID);
    builder.add(b"b", &[], RowId::new(1, 1)).unwrap();
    assert_eq!(builder.add(b"b", &[], RowId::new(1, 1)).unwrap(), None, "the same entry again");
    assert_eq!(builder.add(b"b", &[], RowId::new(1, 2)).unwrap(), Some(RowId::new(1, 1)));
    assert!(builder.add(b"a", &[], RowId::new(1, 1)).is_err());
}

#[test]
fn handles_are_shared() {
    let storage = memory_storage();
    let trees = BTrees::new(storage.clone());
    let relation = ochre_storage::RelationKey::new(ochre_base::Oid(5), storage.files().next_file_id());
    let a = trees.create(relation, XID, BTreeOptions::default()).unwrap();
    let b = trees.open(relation).unwrap();
    assert!(Arc::ptr_eq(&a, &b), "B5");
}

#[test]
fn runs_insert_as_single_insertions_do() {
    for seed in 0..8 {
        println!("seed {seed}");
        let mut random = Lcg::new(seed);
        let tree = new_tree(&memory_storage(), BTreeOptions::default());
        let mut model = BTreeSet::new();
        let mut run = EntryRun::default();
        let max_key = [8, 40, 300, 2000][seed as usize % 4];
        for round in 0..60 {
            run.clear();
            let mut entries: Vec<EntryBuf> =
                (0..random.below(400)).map(|_| tricky_entry(&mut random, max_key)).collect();
            if round % 3 == 0 {
                entries = (0..500).map(|number| int_entry(i64::from(round) * 500 + number)).collect();
            } else if round % 3 == 1 {
                entries.sort();
            }
            for (number, entry) in entries.iter().enumerate() {
                run.push(&entry.key, &entry.payload, RowId::from_u64(entry.rid), false, number);
            }
            if random.below(2) == 0 {
                run.sort();
                assert!((1..run.len()).all(|i| run.entry(i - 1).0 <= run.entry(i).0));
                assert!((0..run.len()).all(|i| run.entry(i).0 == entries[run.number(i)].key));
            }
            assert_eq!(tree.insert_run(XID, &run, 0).unwrap(), run.len());
            model.extend(entries);
        }
        check_against(&tree, &model);
    }
}

#[test]
fn a_run_stops_at_the_first_key_that_is_there() {
    let tree = new_tree(&memory_storage(), BTreeOptions::default());
    let mut run = EntryRun::default();
    for number in [5, 7, 6, 7, 5, 9] {
        run.push(&int_key(number), &[], RowId::new(run.len() as u32, 0), true, 0);
    }
    assert_eq!(tree.insert_run(XID, &run, 0).unwrap(), 3, "7 is there");
    assert_eq!(run.entry(3), (&int_key(7)[..], &[][..], RowId::new(3, 0)));
    assert_eq!(tree.insert_run(XID, &run, 4).unwrap(), 4, "5 is there");
    assert_eq!(tree.insert_run(XID, &run, 5).unwrap(), 6);
    let mut checker = TestChecker { live: vec![RowId::new(1, 0)], ..TestChecker::default() };
    let outcome = tree.insert_unique(XID, &int_key(7), &[], RowId::new(3, 0), &mut checker).unwrap();
    assert_eq!(outcome, UniqueOutcome::Conflict(RowId::new(1, 0)));
}

#[test]
fn dumps_are_readable() {
    let tree = new_tree(&memory_storage(), BTreeOptions { fillfactor: 70 });
    tree.insert(XID, b"abc", b"", RowId::new(3, 0)).unwrap();
    tree.insert(XID, b"abd", b"p", RowId::new(3, 1)).unwrap();
    let dump = dump_tree(&tree).unwrap();
    assert_eq!(
        dump,
        "block 0: meta, format 1, fillfactor 70, free list none\n\
         block 1: leaf, 2 entries, 8097 bytes free, left none, right none, prefix '', high key none\n"
    );
    let page = tree.read_node(super::tree::ROOT).unwrap();
    let lines: Vec<String> = dump_page(&page).lines().skip(1).map(str::to_string).collect();
    assert_eq!(lines, ["  0: 616263 (3,1)", "  1: 616264 (3,2) payload 70"]);
}

#[test]
fn the_checker_reports_what_is_wrong() {
    type Damage = fn(&mut super::node::Page);
    let damages: [(Damage, &str); 5] = [
        (|page| super::node::remove(page, 0), ""),
        (|page| super::node::set_right(page, None), "high key or a right sibling"),
        (|page| super::node::set_left(page, Some(ochre_base::BlockNo(77))), "left link"),
        (|page| super::node::set_incomplete(page, true), ""),
        (|page| page[70] ^= 0xff, ""),
    ];
    for (number, (damage, what)) in damages.into_iter().enumerate() {
        let tree = new_tree(&memory_storage(), BTreeOptions::default());
        for number in 0..3000 {
            insert(&tree, &int_entry(number));
        }
        let block = super::node::child_at(tree.read_node(super::tree::ROOT).unwrap().bytes(), 2);
        damage(tree.write_node(block).unwrap().bytes_mut());
        let mut entries = 0;
        let report = tree.check(&mut |_, _, _| entries += 1).unwrap();
        let found: Vec<&str> = report.problems.iter().map(|problem| &problem.what[..]).collect();
        match number {
            0 => assert_eq!((entries, report.problems.len()), (2999, 0), "the caller compares with the heap"),
            3 => assert_eq!(report.incomplete_splits, 1),
            _ => assert!(found.iter().any(|found| found.contains(what)), "damage {number}: {found:?}"),
        }
    }
}
