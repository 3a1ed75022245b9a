//! Times the external sort: `cargo bench -p ochre-access --bench sort -- [entries] [budget MiB]`.

use std::time::Instant;

use ochre_access::sort::{SortConfig, Sorter};
use ochre_env::Env;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let entries: u64 = numbers.next().unwrap_or(1_000_000);
    let budget: u64 = numbers.next().unwrap_or(64);
    let mut random = 1u64;
    let mut next = move || {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        random >> 20
    };
    measure("random integers", entries, budget, |_, key| {
        key.push(1);
        key.extend_from_slice(&((next() % (10 * entries)) | 1 << 63).to_be_bytes());
    });
    measure("sequential integers", entries, budget, |number, key| {
        key.push(1);
        key.extend_from_slice(&(number | 1 << 63).to_be_bytes());
    });
    let mut random = 7u64;
    measure("texts of 32 hex digits", entries, budget, |_, key| {
        key.push(1);
        for _ in 0..2 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let mixed = (random ^ (random >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            for nibble in 0..16 {
                key.push(b"0123456789abcdef"[(mixed >> (nibble * 4)) as usize & 15]);
            }
        }
        key.push(0);
    });
}

fn measure(what: &str, entries: u64, budget_mib: u64, mut make: impl FnMut(u64, &mut Vec<u8>)) {
    let env = Env::os();
    let directory = std::env::temp_dir().join(format!("ochre-sort-bench-{}", std::process::id()));
    env.fs.create_dir_all(&directory).expect("a directory for temporary files");
    let mut sorter = Sorter::new(SortConfig::new(&env, &directory, (budget_mib << 20) as usize));
    let start = Instant::now();
    let mut key = Vec::new();
    for number in 0..entries {
        key.clear();
        make(number, &mut key);
        sorter.add(&key, number, &[]).expect("the sort takes an entry");
    }
    let added = start.elapsed();
    let mut sorted = sorter.finish().expect("the sort ends");
    let ready = start.elapsed();
    let mut bytes = 0;
    while let Some(entry) = sorted.next().expect("the sort gives an entry") {
        bytes += entry.key.len();
    }
    let all = start.elapsed();
    println!(
        "{what}: {entries} entries, {budget_mib} MiB: added {added:.2?}, ready {ready:.2?}, read {all:.2?}, \
         {} MiB of keys, {} MiB spilled",
        bytes >> 20,
        sorted.spilled_bytes() >> 20
    );
    std::fs::remove_dir_all(&directory).expect("the directory is ours");
}
