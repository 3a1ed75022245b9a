//! What the tests of this module share.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ochre_base::{Oid, RowId, Xid};
use ochre_env::Env;
use ochre_storage::{RelationKey, Storage, StorageConfig};

use super::node::EntryBuf;
use super::{BTree, BTreeManager, BTreeOptions, BTrees, CheckReport, Scan};

/// A small generator of pseudo-random numbers, so that a printed seed repeats a test.
pub(super) struct Lcg(u64);

impl Lcg {
    pub(super) fn new(seed: u64) -> Lcg {
        Lcg(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = self.0 ^ (self.0 >> 33);
        x.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 8
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// An integer's key, as the layer above makes it: a byte for NULL, then the number with its sign turned.
pub(super) fn int_key(number: i64) -> Vec<u8> {
    let mut key = vec![1];
    key.extend_from_slice(&((number as u64) ^ (1 << 63)).to_be_bytes());
    key
}

/// The digits of a number far apart: pages hold few entries, bounds are long, and the tree is high.
pub(super) fn far_digits_entry(number: u64) -> EntryBuf {
    let mut key = Vec::new();
    for power in [729, 81, 9, 1] {
        key.push((number / power % 9) as u8);
        key.extend_from_slice(&[b'k'; 150]);
    }
    EntryBuf { key, rid: number, payload: Vec::new() }
}

/// Keys in whose bytes zeros, shared beginnings, equal keys and lengths from 0 on are common.
pub(super) fn tricky_entry(random: &mut Lcg, max_key: usize) -> EntryBuf {
    let len = random.below(max_key + 1);
    let mut key = if random.below(3) == 0 { b"common beginning".to_vec() } else { Vec::new() };
    key.extend((0..len).map(|_| [0u8, 0, 1, 7, 255][random.below(5)]));
    let payload = vec![3; [0, 0, 0, 1, 40][random.below(5)]];
    EntryBuf { key, rid: random.next() % 5, payload }
}

/// A storage in memory without threads of its own.
pub(super) fn memory_storage() -> Arc<Storage> {
    storage_with(64 << 20)
}

/// The same with so little memory for pages that they are evicted all the time.
pub(super) fn tiny_storage() -> Arc<Storage> {
    storage_with(100 * 8192)
}

fn storage_with(shared_buffers_bytes: usize) -> Arc<Storage> {
    let config =
        StorageConfig { background_threads: false, shared_buffers_bytes, ..StorageConfig::default() };
    Storage::open(Env::in_memory(), Path::new("/data"), config, vec![Arc::new(BTreeManager)]).unwrap()
}

/// An empty index in a storage.
pub(super) fn new_tree(storage: &Arc<Storage>, options: BTreeOptions) -> Arc<BTree> {
    let relation = RelationKey::new(Oid(5), storage.files().next_file_id());
    BTrees::new(storage.clone()).create(relation, Xid::FIRST, options).unwrap()
}

/// Checks the structure and compares the entries with a model's.
pub(super) fn check_against(tree: &BTree, model: &BTreeSet<EntryBuf>) -> CheckReport {
    let mut expected = model.iter();
    let report = {
        let mut visit = |key: &[u8], rid: RowId, payload: &[u8]| {
            let entry = EntryBuf { key: key.to_vec(), rid: rid.to_u64(), payload: payload.to_vec() };
            assert_eq!(Some(&entry), expected.next(), "the next entry of the model");
        };
        tree.check(&mut visit).unwrap()
    };
    assert_eq!(report.problems, [], "{}", super::dump_tree(tree).unwrap());
    assert_eq!(expected.next(), None, "an entry of the model that is not in the index");
    report
}

/// All entries that a scan returns.
pub(super) fn collect(scan: &mut Scan) -> Vec<EntryBuf> {
    let mut entries = Vec::new();
    while scan.next_leaf().unwrap() {
        for (index, rid) in scan.rids().iter().enumerate() {
            let (key, payload) = (scan.key(index).to_vec(), scan.payload(index).to_vec());
            entries.push(EntryBuf { key, rid: rid.to_u64(), payload });
        }
    }
    entries
}
