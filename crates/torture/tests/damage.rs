//! Single flipped bits: whatever file they are in, they are reported with their place and never served.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ochre_base::Error;
use ochre_engine::check::check_directory;
use ochre_env::sim::SimRandom;
use ochre_env::{FileSystem, OpenMode};
use ochre_storage::inspect::find_log_damage;
use ochre_torture::damage::{Scene, scene};
use ochre_torture::machine::{Machine, ROOT, path};

/// Every file of a directory, with its length.
fn files(machine: &Machine, below: &str) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut directories = vec![path(below)];
    while let Some(directory) = directories.pop() {
        for name in machine.fs.list(&directory).unwrap() {
            let path = directory.join(name);
            match machine.fs.open(&path, OpenMode::Existing) {
                Ok(file) => found.push((path, file.len().unwrap())),
                Err(_) => directories.push(path),
            }
        }
    }
    found.retain(|(_, len)| *len > 0);
    found.sort();
    found
}

/// What `ochre check` says of a copy of the machine with one bit changed.
fn check(scene: &Scene, file: &Path, offset: u64, bit: u8) -> Vec<String> {
    let machine = scene.copy();
    machine.fs.damage(file, offset, |bytes| bytes[0] ^= 1 << bit, 1);
    let mut problems = Vec::new();
    check_directory(&machine.env(), Path::new(ROOT), scene.settings.config(), &mut |problem| {
        problems.push(problem.to_string());
    })
    .unwrap();
    problems
}

#[test]
fn a_flipped_bit_of_a_page_is_found_and_never_served() {
    let is_history = |(file, _): &&(PathBuf, u64)| file.extension().is_some_and(|name| name == "hist");
    let scenes = (11..).map(|seed| scene(seed, true));
    let mut with_files = scenes.map(|scene| {
        let files = files(&scene.machine, "base");
        (scene, files)
    });
    let (scene, files) = with_files.find(|(_, files)| files.iter().any(|file| is_history(&file))).unwrap();
    let histories: Vec<_> = files.iter().filter(is_history).cloned().collect();
    let random = SimRandom::new(11);
    let (mut found, mut refused) = (0, 0);
    let mut forks = BTreeSet::new();
    for round in 0..150 {
        let files = if round % 10 == 0 { &histories } else { &files };
        let (file, len) = &files[random.below(files.len() as u64) as usize];
        let (offset, bit) = (random.below(*len), random.below(8) as u8);
        let what = format!("{} byte {offset} bit {bit}", file.display());
        forks.insert(file.extension());
        if file.extension().is_some_and(|extension| extension == "free") {
            // A hint: it is made anew.
            assert_eq!(check(&scene, file, offset, bit), [""; 0], "{what}");
        } else {
            let problems = check(&scene, file, offset, bit);
            let block = format!("block {}", offset / 8192);
            let name = file.strip_prefix(ROOT).unwrap().to_str().unwrap();
            assert!(
                problems.iter().any(|problem| problem.contains(&block) || problem.contains(name)),
                "{what} is not found, or not in its place: {problems:?}"
            );
            found += 1;
        }
        let machine = scene.copy();
        machine.fs.damage(file, offset, |bytes| bytes[0] ^= 1 << bit, 1);
        refused +=
            u64::from(scene.is_never_wrong(&machine).unwrap_or_else(|wrong| panic!("{what}: {wrong}")));
    }
    println!("{found} found by the check, {refused} refused to a reader");
    assert!(found > 50 && refused > 20);
    assert_eq!(forks.len(), 4, "main and history forks and both maps: {forks:?}");
}

#[test]
fn a_flipped_bit_of_the_control_file_is_found() {
    for shut_down in [true, false] {
        let scene = scene(12, shut_down);
        for copy in [0, 4096] {
            for at in 0..76 {
                let problems = check(&scene, &path("CURRENT"), copy + at, (at % 8) as u8);
                assert!(
                    problems.iter().any(|p| p.contains("CURRENT") || p.contains("checkpoint")),
                    "{at}: {problems:?}"
                );
                let machine = scene.copy();
                machine.fs.damage(&path("CURRENT"), copy + at, |bytes| bytes[0] ^= 1 << (at % 8), 1);
                scene
                    .is_never_wrong(&machine)
                    .unwrap_or_else(|wrong| panic!("byte {at} of copy {copy}: {wrong}"));
            }
        }
    }
}

/// Whether an error tells where the log is damaged, and how to go on.
fn tells_of_damage_at(error: &Error, record: u64) {
    assert_eq!(error.sqlstate().as_str(), "XX001", "{error:?}");
    assert!(error.message().contains("log"), "{error:?}");
    assert!(error.message().contains(&format!("at {record:016x}")), "{error:?} for {record:016x}");
    let hint = error.fields().hint.as_deref().unwrap_or_default();
    assert!(hint.contains("Restore a backup"), "{error:?}");
}

/// The log of a directory that has to be recovered: a bit in what was durable is an error, and in the last flush it ends
/// the log before.
#[test]
fn a_flipped_bit_of_the_log_is_an_error_or_its_end() {
    let (mut errors, mut ends) = (0, 0);
    for seed in 13..16 {
        let scene = scene(seed, false);
        let records = scene.records();
        let (first, last) = (records[0].0.start, records[records.len() - 1].0.end);
        let random = SimRandom::new(seed);
        for round in 0..60 {
            // The end is tried more often than it would be by chance.
            let from = if round % 3 == 0 { last.saturating_sub(300).max(first) } else { first };
            let at = from + random.below(last - from);
            let machine = scene.with_flipped_log_bit(at, random.below(8));
            match scene.recovers_to_a_state(&machine) {
                Ok(()) => ends += 1,
                Err(error) => {
                    let (record, _) = records.iter().rfind(|(range, _)| range.start <= at).unwrap();
                    tells_of_damage_at(&error, record.start);
                    errors += 1;
                }
            }
        }
    }
    println!("{errors} errors, {ends} ends");
    assert!(errors > 20 && ends > 5, "{errors} errors, {ends} ends");
}

/// The outcomes of transactions are in the checkpoint's record: without it a directory is not opened.
#[test]
fn a_flipped_bit_of_the_outcomes_is_an_error() {
    for shut_down in [true, false] {
        let scene = scene(23, shut_down);
        let records = scene.records();
        let (checkpoint, _) = records.iter().find(|(_, is_checkpoint)| *is_checkpoint).unwrap();
        for at in checkpoint.clone().step_by(3) {
            let machine = scene.with_flipped_log_bit(at, at % 8);
            let mut problems = Vec::new();
            let checked =
                check_directory(&machine.env(), Path::new(ROOT), scene.settings.config(), &mut |problem| {
                    problems.push(problem.to_string());
                });
            let is_told = |text: &str| text.contains(&format!("{:016x}", checkpoint.start));
            let is_found =
                checked.is_err_and(|error| is_told(error.message())) || problems.iter().any(|p| is_told(p));
            assert!(is_found, "byte {}: {problems:?}", at - checkpoint.start);
            tells_of_damage_at(&scene.recovers_to_a_state(&machine).unwrap_err(), checkpoint.start);
        }
    }
}

/// Where no page is ahead of the damage, the log can end there: what is left is a state that the directory went through.
#[test]
fn a_damaged_log_ends_there_on_request() {
    let (mut ended, mut refused) = (0, 0);
    for seed in 16..22 {
        let scene = scene(seed, false);
        let records = scene.records();
        let (first, last) = (records[0].0.start, records[records.len() - 1].0.end);
        let random = SimRandom::new(seed);
        for _ in 0..20 {
            let machine = scene.with_flipped_log_bit(first + random.below(last - first), random.below(8));
            let found = find_log_damage(&machine.env(), Path::new(ROOT), &ochre_txn::dropped_by);
            let Ok(Some(damage)) = found else { continue };
            if damage.pages_ahead.is_empty() && damage.files_gone.is_empty() {
                scene.recovers_when_ended(&machine, Some(damage.at)).unwrap();
                ended += 1;
            } else {
                refused += 1;
            }
        }
    }
    println!("{ended} ended, {refused} refused");
    assert!(ended > 5, "{ended} ended, {refused} refused");
}
