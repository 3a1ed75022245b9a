//! Seeds of the campaign that run with the other tests. `ochre torture` runs more of them.

use ochre_torture::{Campaign, Outcome};

/// `OCHRE_TORTURE_SEEDS=from..to` chooses others.
fn seeds() -> std::ops::Range<u64> {
    let Ok(range) = std::env::var("OCHRE_TORTURE_SEEDS") else { return 0..10 };
    let (from, to) = range.split_once("..").expect("from..to");
    from.parse().expect("a number")..to.parse().expect("a number")
}

#[test]
fn nothing_acknowledged_is_lost() {
    let mut all = Outcome::default();
    for seed in seeds() {
        let began = std::time::Instant::now();
        match (Campaign { short: true, ..Campaign::default() }).run(seed) {
            Ok(outcome) => {
                println!("seed {seed}: {outcome}; {:?}", began.elapsed());
                all.add(&outcome);
            }
            Err(failure) if std::env::var_os("OCHRE_TORTURE_ALL").is_some() => println!("FAILED {failure}"),
            Err(failure) => panic!("{failure}"),
        }
    }
    println!("{all}");
    assert!(all.cuts > 50, "{all}");
    assert!(all.done.kept_runs > 100, "{all}");
}

#[test]
fn a_seed_is_one_run() {
    let run = || {
        Campaign { short: true, ..Campaign::default() }.run(1).unwrap_or_else(|failure| panic!("{failure}"))
    };
    assert_eq!(run(), run());
}

#[test]
fn a_directory_that_was_never_finished_is_made_anew() {
    let cuts = ochre_torture::campaign::cut_creation(1).unwrap_or_else(|what| panic!("{what}"));
    println!("{cuts} cuts");
    assert!(cuts > 50, "{cuts}");
}
