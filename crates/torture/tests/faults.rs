//! Single operations on files fail, each in turn.

use ochre_env::sim::Fault;
use ochre_torture::faults::{Target, fill_the_disk, sweep, sweep_recovery};

fn expect<T>(result: Result<T, String>) -> T {
    result.unwrap_or_else(|what| panic!("{what}"))
}

#[test]
fn every_change_fails_with_eio() {
    let swept = expect(sweep(1, Target::Changes, Fault::Io, 1, 60));
    println!("{swept:?}");
    assert!(swept.faults > 100 && swept.told > 50 && swept.stopped > 10, "{swept:?}");
}

#[test]
fn every_change_fails_with_enospc() {
    let swept = expect(sweep(5, Target::Changes, Fault::NoSpace, 1, 60));
    println!("{swept:?}");
    assert!(swept.faults > 100 && swept.told > 50, "{swept:?}");
}

#[test]
fn every_read_fails_with_eio() {
    let mut all = (0, 0);
    for seed in 6..11 {
        let swept = expect(sweep(seed, Target::Reads, Fault::Io, 1, 150));
        println!("{swept:?}");
        assert_eq!(swept.stopped, 0);
        all = (all.0 + swept.faults, all.1 + swept.told);
    }
    // Others hit what the free-space map and the collector only look at.
    assert!(all.0 > 50 && all.1 > 10, "{all:?}");
}

#[test]
fn every_operation_of_a_recovery_fails() {
    for (target, fault) in
        [(Target::Changes, Fault::Io), (Target::Changes, Fault::NoSpace), (Target::Reads, Fault::Io)]
    {
        let swept = expect(sweep_recovery(4, target, fault));
        println!("{target:?} {fault:?}: {swept:?}");
        assert!(swept.faults > 5 && swept.told > 3, "{swept:?}");
    }
}

#[test]
fn a_full_disk_is_survived() {
    for seed in 0..3 {
        let swept = expect(fill_the_disk(seed));
        println!("{swept:?}");
        assert!(swept.told > 0, "{swept:?}");
    }
}
