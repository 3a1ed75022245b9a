//! Single operations on files fail, each in turn.

use ochre_env::sim::{Fault, OperationKind};
use ochre_torture::faults::{Swept, Target, fill_the_disk, sweep, sweep_kind, sweep_recovery, sweep_spills};

fn expect(result: Result<Swept, String>) -> Swept {
    let swept = result.unwrap_or_else(|what| panic!("{what}"));
    println!("{}", swept.summary());
    swept
}

#[test]
fn every_change_fails_with_eio() {
    let swept = expect(sweep(1, Target::Changes, Fault::Io, 1, 60));
    assert!(swept.fired.len() > 100 && swept.told > 50 && swept.stopped > 10);
}

#[test]
fn every_change_fails_with_enospc() {
    let swept = expect(sweep(5, Target::Changes, Fault::NoSpace, 1, 60));
    assert!(swept.fired.len() > 100 && swept.told > 50);
}

/// Kinds that are rare among the changes: files are made and removed, space is reserved, directories are synced, segments
/// of the log that are needed at once are made by their length.
#[test]
fn rare_changes_fail() {
    for fault in [Fault::Io, Fault::NoSpace] {
        for kind in
            [OperationKind::Name, OperationKind::SyncDir, OperationKind::Create, OperationKind::Preallocate]
        {
            let swept = expect(sweep_kind(2, kind, fault, 6));
            assert!(swept.fired.len() > 3, "{fault:?} {kind:?}: {:?}", swept.fired);
        }
    }
}

#[test]
fn every_read_fails_with_eio() {
    let (mut faults, mut told) = (0, 0);
    for seed in 6..11 {
        let swept = expect(sweep(seed, Target::Reads, Fault::Io, 1, 150));
        assert_eq!(swept.stopped, 0);
        faults += swept.fired.len();
        told += swept.told;
    }
    // Others hit what the free-space map and the collector only look at.
    assert!(faults > 50 && told > 10, "{faults} {told}");
}

#[test]
fn every_operation_of_a_recovery_fails() {
    for (target, fault) in
        [(Target::Changes, Fault::Io), (Target::Changes, Fault::NoSpace), (Target::Reads, Fault::Io)]
    {
        let swept = expect(sweep_recovery(4, target, fault));
        assert!(swept.fired.len() > 5 && swept.told > 3, "{target:?} {fault:?}");
    }
}

#[test]
fn every_operation_of_a_spilling_statement_fails() {
    for (target, fault) in
        [(Target::Changes, Fault::Io), (Target::Changes, Fault::NoSpace), (Target::Reads, Fault::Io)]
    {
        let swept = expect(sweep_spills(target, fault));
        assert_eq!(swept.stopped, 0, "{target:?} {fault:?}");
        assert!(swept.fired.len() > 20 && swept.told > 10, "{target:?} {fault:?}");
    }
}

#[test]
fn a_full_disk_is_survived() {
    for seed in 0..3 {
        let swept = expect(fill_the_disk(seed));
        assert!(swept.told > 0);
    }
}
