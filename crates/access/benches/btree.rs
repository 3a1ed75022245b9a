//! Times the operations of an index: `cargo bench -p ochre-access --bench btree -- [entries] [section]`,
//! the section being `inserts`, `reads`, `unique` or `builds`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ochre_access::btree::{
    BTree, BTreeManager, BTreeOptions, BTrees, EntryRun, KeyBound, Scan, ScanDirection, ScanFetch,
    UniqueChecker, UniqueVerdict,
};
use ochre_access::sort::{SortConfig, Sorter};
use ochre_base::{Oid, Result, RowId, Xid};
use ochre_env::Env;
use ochre_storage::{RelationKey, Storage, StorageConfig};

const XID: Xid = Xid(20);

const SECTIONS: [&str; 4] = ["reads", "inserts", "unique", "builds"];

struct Bench {
    storage: Arc<Storage>,
    trees: BTrees,
    directory: PathBuf,
    entries: u64,
}

/// Every row is dead.
struct AllDead;

impl UniqueChecker for AllDead {
    fn check(&mut self, _rid: RowId) -> Result<UniqueVerdict> {
        Ok(UniqueVerdict::Dead)
    }

    fn wait(&mut self, _xid: Xid) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let entries = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let directory = std::env::temp_dir().join(format!("ochre-btree-bench-{}", std::process::id()));
    let config = StorageConfig { shared_buffers_bytes: 1 << 30, ..StorageConfig::default() };
    let storage = Storage::open(Env::os(), &directory.join("data"), config, vec![Arc::new(BTreeManager)])
        .expect("a new data directory");
    Env::os().fs.create_dir_all(&directory.join("spill")).expect("a directory for temporary files");
    let bench = Bench { trees: BTrees::new(storage.clone()), storage, directory, entries };
    let section = std::env::args().skip(1).find(|argument| SECTIONS.contains(&&argument[..]));
    for name in SECTIONS {
        if section.as_deref().is_none_or(|section| section == name) {
            bench.run(name);
        }
    }
    bench.storage.close().expect("a clean end");
    std::fs::remove_dir_all(&bench.directory).expect("the directory is ours");
}

impl Bench {
    fn run(&self, section: &str) {
        match section {
            "reads" => {
                let tree = self.new_tree();
                self.insert("insert, ascending", &tree, |number| number);
                self.report(&tree);
                self.lookups(&tree, 1);
                self.lookups(&tree, 2);
                self.scans(&tree);
            }
            "inserts" => {
                let tree = self.new_tree();
                self.insert("insert, random", &tree, scatter);
                self.report(&tree);
                self.remove(&tree);
            }
            "unique" => {
                self.insert_unique("insert unique, ascending", |number| number);
                self.insert_unique("insert unique, random", scatter);
                self.insert_run("insert runs unique, ascending", |number| number);
                self.insert_run("insert runs unique, random", scatter);
            }
            _ => {
                self.build("build, random integers", |number| int_key(scatter(number)));
                self.build("build, texts of 32 hex digits", |number| {
                    format!("{:016x}{:016x}\0", scatter(number), scatter(number ^ 0xffff))
                });
            }
        }
    }

    fn insert_unique(&self, what: &str, number_of: impl Fn(u64) -> u64) {
        let tree = self.new_tree();
        self.time(what, self.entries, || {
            for number in 0..self.entries {
                let (key, rid) = (int_key(number_of(number)), RowId::from_u64(number));
                tree.insert_unique(XID, &key, &[], rid, &mut AllDead).expect("an insertion");
            }
        });
    }

    fn insert_run(&self, what: &str, number_of: impl Fn(u64) -> u64) {
        let tree = self.new_tree();
        let mut run = EntryRun::default();
        self.time(what, self.entries, || {
            for from in (0..self.entries).step_by(1000) {
                run.clear();
                for number in from..(from + 1000).min(self.entries) {
                    run.push(&int_key(number_of(number)), &[], RowId::from_u64(number), true, 0);
                }
                run.sort();
                assert_eq!(tree.insert_run(XID, &run, 0).expect("an insertion"), run.len());
            }
        });
    }

    fn new_tree(&self) -> Arc<BTree> {
        let relation = RelationKey::new(Oid(5), self.storage.files().next_file_id());
        self.trees.create(relation, XID, BTreeOptions::default()).expect("a new index")
    }

    fn time(&self, what: &str, operations: u64, run: impl FnOnce()) {
        let start = Instant::now();
        run();
        let took = start.elapsed();
        println!("{what:<34} {took:>9.2?}, {:>7.0} ns each", per_operation(took, operations));
    }

    fn report(&self, tree: &BTree) {
        let report = tree.check(&mut |_, _, _| {}).expect("a sound index");
        assert_eq!(report.problems, []);
        println!(
            "    height {}, {} leaves, {} % full",
            report.height, report.leaf_pages, report.leaf_fill_percent
        );
    }

    fn insert(&self, what: &str, tree: &BTree, number_of: impl Fn(u64) -> u64) {
        self.time(what, self.entries, || {
            for number in 0..self.entries {
                let key = int_key(number_of(number));
                tree.insert(XID, &key, &[], RowId::from_u64(number)).expect("an insertion");
            }
        });
    }

    fn remove(&self, tree: &BTree) {
        self.time("remove, random", self.entries, || {
            for number in 0..self.entries {
                tree.remove(XID, &int_key(scatter(number)), &[], RowId::from_u64(number)).expect("a removal");
            }
        });
    }

    fn lookups(&self, tree: &BTree, threads: u64) {
        for (what, entries) in [("all", self.entries), ("10,000 hot", 10_000)] {
            self.time(&format!("lookup, {what}, {threads} threads"), self.entries, || {
                std::thread::scope(|scope| {
                    for thread in 0..threads {
                        scope.spawn(move || {
                            let mut rids = Vec::new();
                            for number in 0..self.entries {
                                let number = scatter(number + thread) % entries;
                                rids.clear();
                                tree.lookup_equal(&int_key(number), &mut rids).expect("a lookup");
                                assert_eq!(rids, [RowId::from_u64(number)]);
                            }
                        });
                    }
                });
            });
        }
    }

    fn scans(&self, tree: &Arc<BTree>) {
        for direction in [ScanDirection::Forward, ScanDirection::Backward] {
            for fetch in [ScanFetch::RowIds, ScanFetch::Entries] {
                self.time(&format!("scan {direction:?}, {fetch:?}"), self.entries, || {
                    let mut scan = Scan::new(tree.clone(), fetch);
                    scan.start(KeyBound::Unbounded, KeyBound::Unbounded, direction);
                    let mut count = 0;
                    while scan.next_leaf().expect("a scan") {
                        count += scan.len() as u64;
                    }
                    assert_eq!(count, self.entries);
                });
            }
        }
        let mut scan = Scan::new(tree.clone(), ScanFetch::RowIds);
        self.time("range of 10", self.entries, || {
            for number in 0..self.entries {
                let from = scatter(number) % (self.entries - 10);
                let (low, high) = (int_key(from), int_key(from + 10));
                scan.start(KeyBound::Included(&low), KeyBound::Excluded(&high), ScanDirection::Forward);
                let mut count = 0;
                while scan.next_leaf().expect("a scan") {
                    count += scan.len();
                }
                assert_eq!(count, 10);
            }
        });
    }

    fn build<K: AsRef<[u8]>>(&self, what: &str, key_of: impl Fn(u64) -> K) {
        let start = Instant::now();
        let config = SortConfig::new(self.storage.env(), self.directory.join("spill"), 64 << 20);
        let mut sorter = Sorter::new(config);
        for number in 0..self.entries {
            sorter.add(key_of(number).as_ref(), number, &[]).expect("the sort takes an entry");
        }
        let added = start.elapsed();
        let relation = RelationKey::new(Oid(5), self.storage.files().next_file_id());
        let sorted = sorter.finish().expect("the sort ends");
        let (tree, _) = self
            .trees
            .build(relation, XID, BTreeOptions::default(), sorted, |_, _, _| Ok(()))
            .expect("a build");
        self.storage.wal().flush_to(self.storage.wal().position()).expect("a flush");
        println!("{what:<34} {:>9.2?}, of which {added:.2?} until all were added", start.elapsed());
        self.report(&tree);
    }
}

fn per_operation(took: Duration, operations: u64) -> f64 {
    took.as_nanos() as f64 / operations as f64
}

fn int_key(number: u64) -> [u8; 9] {
    let mut key = [1; 9];
    key[1..].copy_from_slice(&(number | 1 << 63).to_be_bytes());
    key
}

/// A number for each number, all over the range.
fn scatter(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 8
}
