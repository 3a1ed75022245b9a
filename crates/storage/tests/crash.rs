//! A seeded workload beside a model, cut at every I/O operation, recovered and compared.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::*;
use ochre_base::{Fork, Lsn, Result, Xid};
use ochre_env::Env;
use ochre_env::sim::{CrashMode, SimFileSystem, SimRandom};
use ochre_storage::*;

/// Seeds from here on may run with torn writes.
const TORN_SEEDS: u64 = 20;
/// Steps of a workload.
const STEPS: u64 = 150;
const FIRST_PAGES: u64 = 24;

/// What is known about a run that was cut.
#[derive(Default)]
struct Run {
    /// The cells after each step; step numbers are positions here.
    history: Vec<BTreeMap<(u64, u32, usize), u64>>,
    /// The last step whose record is known to be durable.
    acknowledged: u64,
    /// Files whose drop is known to be durable, and files whose creation is.
    dropped: Vec<u64>,
    created: Vec<u64>,
    /// A cut of a file that may or may not have happened: its pages from a block on.
    cutting: Option<(u64, u32)>,
    /// Files that must not be there after a restart: their creator never tried to commit.
    never_committed: Vec<u64>,
}

/// Runs the workload until it is done or the power goes.
fn workload(toy: &Toy, run: &mut Run, random: &SimRandom, steps: u64) -> Result<()> {
    let wal = toy.storage.wal();
    let mut xid = 100;
    if run.history.is_empty() {
        run.history.push(BTreeMap::new());
        let first = toy.create(Xid(xid))?;
        assert_eq!(first, 1);
        toy.add_page(1)?;
        let committed = toy.commit(Xid(xid), &[1], &[])?;
        wal.flush_to(committed.end)?;
        run.created.push(1);
        // More pages than frames, so that pages are written at any time.
        for _ in 1..=FIRST_PAGES {
            run.history.push(BTreeMap::new());
            toy.add_page(1)?;
        }
    }
    let mut files: Vec<(u64, u32)> = vec![(1, 1 + FIRST_PAGES as u32)];
    for _ in 0..steps {
        let step = run.history.len() as u64;
        let mut cells = run.history.last().unwrap().clone();
        match random.below(20) {
            0..3 => {
                let which = random.below(files.len() as u64) as usize;
                // The step may become durable although the call fails: its state is known before.
                run.history.push(cells);
                files[which].1 = toy.add_page(files[which].0)? + 1;
            }
            3..14 => {
                let (file, blocks) = files[random.below(files.len() as u64) as usize];
                let block = random.below(u64::from(blocks.max(1))) as u32;
                if file == 1 && block == 0 || blocks == 0 {
                    continue;
                }
                let at = random.below(800) as usize + 1;
                cells.insert((file, block, at), step * 1000);
                run.history.push(cells);
                toy.set(file, block, at, step * 1000)?;
            }
            14..16 => {
                wal.flush_to(wal.position())?;
                run.acknowledged = run.history.len() as u64 - 1;
                toy.storage.files().remove_dropped()?;
            }
            16 => toy.storage.checkpoint(CheckpointKind::Fast)?,
            17 => {
                xid += 1;
                let file = toy.create(Xid(xid))?;
                if random.below(3) == 0 {
                    run.never_committed.push(file);
                    run.history.push(cells);
                    toy.add_page(file)?;
                    if random.below(2) == 0 {
                        toy.storage.files().creation_aborted(relation(file))?;
                    }
                    continue;
                }
                let committed = toy.commit(Xid(xid), &[file], &[])?;
                wal.flush_to(committed.end)?;
                run.acknowledged = run.history.len() as u64 - 1;
                run.created.push(file);
                files.push((file, 0));
                run.history.push(cells);
                files.last_mut().unwrap().1 = toy.add_page(file)? + 1;
            }
            18 if files.len() > 2 => {
                let (file, _) = files.swap_remove(1);
                xid += 1;
                run.created.retain(|other| *other != file);
                let dropping = toy.commit(Xid(xid), &[], &[file])?;
                wal.flush_to(dropping.end)?;
                run.acknowledged = run.history.len() as u64 - 1;
                run.dropped.push(file);
                toy.storage.files().remove_dropped()?;
            }
            _ if files.len() > 1 => {
                let last = files.len() - 1;
                let (file, blocks) = files[last];
                let keep = random.below(u64::from(blocks) + 1) as u32;
                run.cutting = Some((file, keep));
                toy.storage.files().truncate(relation(file).fork(Fork::Main), keep)?;
                run.acknowledged = run.history.len() as u64 - 1;
                run.history.last_mut().unwrap().retain(|(f, block, _), _| *f != file || *block < keep);
                run.cutting = None;
                files[last].1 = keep;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What recovered must be a state that the run went through, at or after the last acknowledged step.
fn check(toy: &Toy, run: &Run, what: &str) {
    if run.created.is_empty() {
        return; // Cut before the first commit was acknowledged.
    }
    let step = toy.step().unwrap_or_else(|e| panic!("{what}: {e:?}"));
    assert!(step >= run.acknowledged, "{what}: step {step} after {} was acknowledged", run.acknowledged);
    let found = toy.snapshot().unwrap_or_else(|e| panic!("{what}: {e:?}"));
    for file in &run.created {
        assert!(found.files.contains_key(file), "{what}: file {file} is lost");
    }
    for file in run.dropped.iter().chain(&run.never_committed) {
        assert!(!found.files.contains_key(file), "{what}: file {file} is there");
    }
    let mut expected = run.history[step as usize].clone();
    let mut found_cells = found.cells;
    if let Some((cut, keep)) = run.cutting {
        for cells in [&mut expected, &mut found_cells] {
            cells.retain(|(file, block, _), _| *file != cut || *block < keep);
        }
    }
    expected.retain(|(file, ..), _| found.files.contains_key(file));
    assert_eq!(found_cells, expected, "{what}: cells after step {step}");
}

fn environment(seed: u64) -> (Arc<SimFileSystem>, Env) {
    let fs = Arc::new(SimFileSystem::with_crashes(seed));
    (fs.clone(), Env { fs, random: Arc::new(SimRandom::new(seed)), ..Env::os() })
}

fn config(seed: u64) -> StorageConfig {
    let mut config = small_config();
    config.shared_buffers_bytes = 16 * 8192;
    // Without images redo must look at each page's LSN; that is safe as long as no page is torn.
    config.full_page_writes = seed >= TORN_SEEDS || seed.is_multiple_of(2);
    config.compress_images = seed.is_multiple_of(3);
    config.wal_segment_bytes = if seed.is_multiple_of(3) { 4 << 10 } else { 32 << 10 };
    config.recovery_parts = 1 + seed as usize % 5;
    config.wal_buffer_bytes = if seed.is_multiple_of(2) { 512 } else { 64 << 10 };
    config
}

/// Opens, works, is cut at operation `cut`, crashes, recovers (perhaps cut again), is compared, works on, crashes once
/// more.
fn one_run(seed: u64, cut: u64, mode: CrashMode) {
    let what = format!("seed {seed} cut {cut} mode {mode:?}");
    let (fs, env) = environment(seed);
    let random = SimRandom::new(seed ^ 0xabcd);
    let mut run = Run::default();
    fs.cut_power_at(cut);
    if let Ok(toy) = Toy::open(&env, config(seed)) {
        let _ = workload(&toy, &mut run, &random, STEPS);
    }
    // Sometimes only the process ends, and the power goes later: what recovery reads is in danger then.
    let again = SimRandom::new(seed ^ cut);
    if again.below(3) == 0 {
        fs.kill();
    } else {
        fs.crash(mode);
    }
    // Sometimes the power goes again while recovery runs.
    if again.below(3) == 0 {
        fs.cut_power_at(again.below(12) + 1);
        drop(Toy::open(&env, config(seed)));
        fs.crash(mode);
    }
    let toy = Toy::open(&env, config(seed)).unwrap_or_else(|e| panic!("{what}: {e:?}"));
    check(&toy, &run, &what);
    if run.created.is_empty() {
        return;
    }
    // What was recovered can be worked on, and survives the next crash.
    let step = toy.step().unwrap() + 1;
    let block = toy.add_page(1).unwrap();
    let appended = toy.set(1, block, 7, 4242).unwrap();
    toy.storage.wal().flush_to(appended.end).unwrap();
    let before = toy.snapshot().unwrap();
    fs.crash(mode);
    drop(toy);
    let toy = Toy::open(&env, config(seed)).unwrap_or_else(|e| panic!("{what}, second crash: {e:?}"));
    assert_eq!(toy.step().unwrap(), step + 1, "{what}, second crash");
    let mut found = toy.snapshot().unwrap();
    // A file may have more pages of zeros before a crash than after it.
    found.files.clear();
    assert_eq!(found, Model { files: BTreeMap::new(), ..before }, "{what}, second crash");
    toy.storage.close().unwrap();
    drop(toy);
    let check = inspect::check_pages(&env, std::path::Path::new("data"), &mut |_, _| {}).unwrap();
    assert_eq!(check.problems, Vec::new(), "{what}");
}

/// Names and pages that were never synced by who made them, and that recovery found in the system's cache: the checkpoint
/// after it moves the redo point past them.
#[test]
fn what_a_killed_process_left_is_synced_by_the_next_checkpoint() {
    let (fs, env) = environment(1);
    let config = config(TORN_SEEDS);
    let toy = Toy::open(&env, config.clone()).unwrap();
    let file = toy.create(Xid(100)).unwrap();
    toy.add_page(file).unwrap();
    let block = toy.add_page(file).unwrap();
    toy.set(file, block, 7, 4242).unwrap();
    // More pages than frames: some are written.
    for _ in 0..40 {
        toy.add_page(file).unwrap();
    }
    let committed = toy.commit(Xid(100), &[file], &[]).unwrap();
    toy.storage.wal().flush_to(committed.end).unwrap();
    fs.kill();
    drop(toy);
    let toy = Toy::open(&env, config.clone()).unwrap();
    toy.storage.checkpoint(CheckpointKind::Fast).unwrap();
    let before = toy.snapshot().unwrap();
    fs.crash(CrashMode::DropUnsynced);
    drop(toy);
    let toy = Toy::open(&env, config).unwrap();
    assert_eq!(toy.snapshot().unwrap().cells, before.cells);
    assert_eq!(before.cells.get(&(file, block, 7)), Some(&4242));
}

fn operations(seed: u64) -> u64 {
    let (fs, env) = environment(seed);
    let toy = Toy::open(&env, config(seed)).unwrap();
    let mut run = Run::default();
    workload(&toy, &mut run, &SimRandom::new(seed ^ 0xabcd), STEPS).unwrap();
    assert!(toy.storage.wal().position() > Lsn(0));
    fs.operations()
}

fn campaign(seeds: std::ops::Range<u64>, mode: CrashMode) {
    for seed in seeds {
        for cut in 1..=operations(seed) {
            one_run(seed, cut, mode);
        }
    }
}

#[test]
fn every_cut_with_unsynced_writes_dropped() {
    campaign(0..4, CrashMode::DropUnsynced);
}

#[test]
fn every_cut_with_unsynced_writes_kept() {
    campaign(10..14, CrashMode::KeepUnsynced);
}

#[test]
fn every_cut_with_unsynced_writes_torn() {
    campaign(TORN_SEEDS..TORN_SEEDS + 12, CrashMode::Random);
}

/// Takes `OCHRE_CRASH_SEEDS=from..to` for a longer campaign: `cargo test -p ochre-storage --test crash -- --ignored`.
#[test]
#[ignore = "long: run it by hand with a range of seeds"]
fn long_campaign() {
    let range = std::env::var("OCHRE_CRASH_SEEDS").unwrap_or_else(|_| "1000..1100".to_string());
    let (from, to) = range.split_once("..").unwrap();
    campaign(from.parse().unwrap()..to.parse().unwrap(), CrashMode::Random);
}
