//! Room that rows have left on pages is used again, after a clean restart and after a crash too.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::sync::Arc;

use ochre_engine::{Instance, Session};
use ochre_env::Env;
use ochre_env::sim::CrashMode;

use common::{Machine, flush, open_alone, run, table};

fn open(env: &Env) -> (Arc<Instance>, Session) {
    let instance = open_alone(env);
    let session = instance.session("postgres", "postgres").expect("a session");
    (instance, session)
}

/// Bytes of rows, and of large values with the maps.
fn size(session: &mut Session) -> (i64, i64) {
    let sizes = table(session, "SELECT pg_relation_size('t'), pg_table_size('t') - pg_relation_size('t')");
    let (main, large) = sizes[0].split_once('|').expect("two");
    (main.parse().expect("a size"), large.parse().expect("a size"))
}

/// Small rows, and some with values that compression leaves large.
const INSERT: &str = "INSERT INTO t SELECT g, CASE WHEN g % 50 > 0 THEN repeat('x', 100) ELSE \
    (SELECT string_agg(md5((g * 1000 + i)::text), '') FROM generate_series(1, 150) i) END FROM generate_series(1, 5000) g";

/// What happens between the deletion of rows and the restart.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Before {
    Nothing,
    Collected,
    Vacuumed,
    CheckpointOfCollected,
    CheckpointOfVacuumed,
    VacuumedAfterCheckpoint,
}

const CASES: [Before; 6] = [
    Before::Nothing,
    Before::Collected,
    Before::Vacuumed,
    Before::CheckpointOfCollected,
    Before::CheckpointOfVacuumed,
    Before::VacuumedAfterCheckpoint,
];

fn delete_and_restart(machine: &Machine, before: Before, restart: impl Fn(Arc<Instance>, Session)) {
    let (instance, mut s) = open(&machine.env);
    run(&mut s, "CREATE TABLE t (a int, b text)");
    run(&mut s, INSERT);
    run(&mut s, "VACUUM t");
    run(&mut s, "DELETE FROM t");
    let collect = || {
        for _ in 0..3 {
            instance.collect().expect("collects");
        }
    };
    match before {
        Before::Nothing => {}
        Before::Collected | Before::CheckpointOfCollected => collect(),
        Before::VacuumedAfterCheckpoint => {
            run(&mut s, "CHECKPOINT");
            run(&mut s, "VACUUM t");
        }
        _ => drop(run(&mut s, "VACUUM t")),
    }
    if matches!(before, Before::CheckpointOfCollected | Before::CheckpointOfVacuumed) {
        run(&mut s, "CHECKPOINT");
    }
    let full = size(&mut s);
    flush(&instance);
    restart(instance, s);
    let (instance, mut s) = open(&machine.env);
    for _ in 0..3 {
        instance.collect().expect("collects");
    }
    run(&mut s, INSERT);
    assert_eq!(table(&mut s, "SELECT count(*), sum(a) FROM t"), ["5000|12502500"], "{before:?}");
    let after = size(&mut s);
    // What a session held to insert into may be forgotten; there are two pages of the map.
    assert!(full.1 > 40 * 8192, "large values");
    assert!(after.0 <= full.0 + 2 * 8192, "{before:?}: {after:?} after {full:?}");
    assert!(after.1 <= full.1 + 4 * 8192, "{before:?}: {after:?} after {full:?}");
    run(&mut s, "DELETE FROM t WHERE a % 2 = 0");
    run(&mut s, "VACUUM t");
    assert_eq!(table(&mut s, "SELECT count(*) FROM t"), ["2500"], "{before:?}");
}

#[test]
fn inserts_do_not_grow_a_table_with_deleted_rows_after_a_restart() {
    for before in CASES {
        delete_and_restart(&Machine::new(1), before, |instance, session| {
            drop(session);
            instance.close().expect("closes");
        });
    }
}

#[test]
fn inserts_do_not_grow_a_table_with_deleted_rows_after_a_crash() {
    for (seed, before) in CASES.into_iter().enumerate() {
        for mode in [CrashMode::DropUnsynced, CrashMode::KeepUnsynced, CrashMode::Random] {
            let machine = Machine::new(seed as u64);
            delete_and_restart(&machine, before, |instance, session| {
                machine.fs.crash(mode);
                std::mem::forget((session, instance));
            });
        }
    }
}
