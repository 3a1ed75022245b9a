//! Bugs that are planted in the simulated disk, or by a setting, are found: what the campaign can see.

use ochre_torture::{Campaign, Planted};

/// Seeds until one fails.
fn is_found(planted: Planted, most: u64) {
    let campaign = Campaign { planted: Some(planted), short: true };
    for seed in 0..most {
        if let Err(failure) = campaign.run(seed) {
            println!("{planted:?} is found by seed {seed}: {}", failure.what);
            let told = failure.to_string();
            let place = format!("seed {seed} generation {} step {}", failure.generation, failure.step);
            assert!(told.starts_with(&place), "{told}");
            let again = campaign.run(seed).expect_err("a seed is one run").to_string();
            assert_eq!(again, told, "a seed is one run");
            return;
        }
    }
    panic!("{planted:?} is not found by {most} seeds");
}

#[test]
fn a_page_written_before_its_log() {
    is_found(Planted::PageBeforeLog, 80);
}

#[test]
fn a_missing_page_image() {
    is_found(Planted::NoPageImages, 40);
}

#[test]
fn a_commit_acknowledged_before_its_flush() {
    is_found(Planted::CommitBeforeFlush, 10);
}

#[test]
fn a_log_directory_that_is_not_synced() {
    is_found(Planted::LogDirectoryNotSynced, 20);
}

#[test]
fn a_directory_of_relations_that_is_not_synced() {
    is_found(Planted::RelationDirectoryNotSynced, 40);
}
