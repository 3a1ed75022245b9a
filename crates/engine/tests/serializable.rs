//! SERIALIZABLE through sessions: scenarios that go beyond what one version or one index entry tells.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ochre_engine::{Instance, Session};
use ochre_env::Env;

use common::{fails, open, run, table};

fn session(instance: &Arc<Instance>) -> Session {
    instance.session("postgres", "postgres").expect("a session")
}

fn fails_to_serialize(session: &mut Session, sql: &str) {
    let error = fails(session, sql);
    assert_eq!(error.sqlstate().as_str(), "40001", "{sql}: {error:?}");
    assert!(error.message().contains("read/write dependencies"), "{error:?}");
}

/// T2 has read what T3 wrote over, and T3 has committed; then a reader begins, and T2 moves the row from group 0 to group
/// 2 and commits. Who reads the row's place before or after the move must fail, although another transaction has moved
/// the row on since and no snapshot sees T2's version.
fn reads_what_was_superseded_twice(read: &str, settings: &str, mover: &str) {
    let instance = open(&Env::in_memory());
    let (mut t2, mut t3, mut reader, mut other) =
        (session(&instance), session(&instance), session(&instance), session(&instance));
    run(&mut t2, "CREATE TABLE t (k int PRIMARY KEY, g int, h int)");
    run(&mut t2, "CREATE INDEX ON t (g)");
    run(&mut t2, "CREATE TABLE x (k int PRIMARY KEY, v int)");
    run(&mut t2, "INSERT INTO t SELECT i, i * 10, 0 FROM generate_series(0, 50) i");
    run(&mut t2, "INSERT INTO x VALUES (1, 1)");
    run(&mut reader, settings);

    run(&mut t2, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    run(&mut t2, "SELECT v FROM x WHERE k = 1");
    run(&mut t3, "BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE x SET v = 2 WHERE k = 1; COMMIT");
    run(&mut reader, "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY");
    assert_eq!(table(&mut reader, "SELECT v FROM x"), ["2"]);
    run(&mut t2, "UPDATE t SET g = 2, h = 2 WHERE k = 0");
    run(&mut t2, "COMMIT");
    run(&mut other, &format!("BEGIN ISOLATION LEVEL {mover}; UPDATE t SET g = 3, h = 3 WHERE k = 0; COMMIT"));
    run(&mut other, &format!("BEGIN ISOLATION LEVEL {mover}; UPDATE t SET g = 4, h = 4 WHERE k = 0; COMMIT"));
    run(&mut other, "VACUUM t");

    fails_to_serialize(&mut reader, read);
    run(&mut reader, "ROLLBACK");
    // Nobody needs the versions in between any more.
    run(&mut other, "VACUUM t");
    assert_eq!(table(&mut reader, "SELECT k, g FROM t WHERE g < 10"), ["0|4"]);
}

#[test]
fn a_reader_finds_a_writer_whose_version_was_superseded_twice() {
    for mover in ["READ COMMITTED", "SERIALIZABLE"] {
        reads_what_was_superseded_twice("SELECT h FROM t WHERE k = 0", "SET enable_seqscan = off", mover);
        reads_what_was_superseded_twice("SELECT k FROM t WHERE g = 0", "SET enable_seqscan = off", mover);
        reads_what_was_superseded_twice("SELECT k FROM t WHERE g = 2", "SET enable_seqscan = off", mover);
        reads_what_was_superseded_twice("SELECT k FROM t WHERE h = 2", "SET enable_indexscan = off", mover);
    }
}

/// The reader's predicate does not fit what another level wrote in between, but what a serializable writer made of that.
#[test]
fn a_writer_in_between_at_another_level_hides_nothing() {
    let instance = open(&Env::in_memory());
    let (mut reader, mut writer, mut first, mut other) =
        (session(&instance), session(&instance), session(&instance), session(&instance));
    run(&mut other, "CREATE TABLE t (k int PRIMARY KEY, h int); INSERT INTO t VALUES (0, 0)");
    run(&mut other, "CREATE TABLE x (v int); INSERT INTO x VALUES (1)");
    run(&mut other, "CREATE TABLE y (v int); INSERT INTO y VALUES (1)");
    run(&mut reader, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    assert!(table(&mut reader, "SELECT k FROM t WHERE h = 2").is_empty());
    run(&mut other, "UPDATE t SET h = 1");
    run(&mut writer, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    run(&mut writer, "SELECT v FROM x");
    run(&mut first, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    run(&mut first, "SELECT v FROM y");
    run(&mut first, "UPDATE x SET v = 2");
    run(&mut first, "COMMIT");
    run(&mut reader, "UPDATE y SET v = 2");
    fails_to_serialize(&mut writer, "UPDATE t SET h = 2");
    run(&mut reader, "COMMIT");
}

#[test]
fn a_deferrable_reader_waits_for_a_safe_snapshot() {
    let instance = open(&Env::in_memory());
    let mut writer = session(&instance);
    run(&mut writer, "CREATE TABLE t (k int PRIMARY KEY, v int)");
    run(&mut writer, "INSERT INTO t VALUES (1, 1)");
    run(&mut writer, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    run(&mut writer, "UPDATE t SET v = 2");
    let waits = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reader = session(&instance);
            run(&mut reader, "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE");
            let rows = table(&mut reader, "SELECT v FROM t");
            waits.store(false, Ordering::SeqCst);
            run(&mut reader, "COMMIT");
            rows
        });
        std::thread::sleep(Duration::from_millis(100));
        assert!(waits.load(Ordering::SeqCst), "the writer runs still");
        run(&mut writer, "COMMIT");
        assert_eq!(
            reader.join().expect("the reader's thread"),
            ["1"],
            "the snapshot of before the wait is safe"
        );
    });
}

#[test]
fn a_commit_that_fails_takes_its_ddl_back() {
    let instance = open(&Env::in_memory());
    let (mut a, mut b) = (session(&instance), session(&instance));
    run(&mut a, "CREATE TABLE t (k int PRIMARY KEY, v int)");
    run(&mut a, "INSERT INTO t VALUES (1, 1), (2, 2)");
    for session in [&mut a, &mut b] {
        run(session, "BEGIN ISOLATION LEVEL SERIALIZABLE");
        run(session, "SELECT sum(v) FROM t");
    }
    run(&mut a, "UPDATE t SET v = 0 WHERE k = 1");
    run(&mut b, "CREATE TABLE gone (k int)");
    run(&mut b, "UPDATE t SET v = 0 WHERE k = 2");
    run(&mut a, "COMMIT");
    fails_to_serialize(&mut b, "COMMIT");
    assert_eq!(fails(&mut b, "SELECT * FROM gone").sqlstate().as_str(), "42P01");
    run(&mut b, "CREATE TABLE gone (k int)");
    assert_eq!(table(&mut b, "SELECT v FROM t ORDER BY k"), ["0", "2"]);
}

/// What was read of a table or an index that is written anew or dropped still counts.
#[test]
fn reads_survive_the_files_they_were_read_from() {
    let change = ["ALTER TABLE t ALTER v TYPE bigint", "DROP INDEX t_v_idx"];
    for change in change {
        let instance = open(&Env::in_memory());
        let (mut a, mut b, mut other) = (session(&instance), session(&instance), session(&instance));
        run(
            &mut a,
            "CREATE TABLE t (k int PRIMARY KEY, v int); CREATE INDEX ON t (v); CREATE TABLE x (k int)",
        );
        run(&mut a, "INSERT INTO t SELECT i, i FROM generate_series(1, 9) i");
        for session in [&mut a, &mut b] {
            run(session, "SET enable_seqscan = off");
            run(session, "BEGIN ISOLATION LEVEL SERIALIZABLE");
        }
        // `b` takes its snapshot before `a` commits, and has no lock on the table yet.
        run(&mut b, "SELECT count(*) FROM x");
        run(&mut a, "SELECT k FROM t WHERE v BETWEEN 20 AND 30");
        run(&mut a, "INSERT INTO x VALUES (1)");
        run(&mut a, "COMMIT");
        run(&mut other, change);
        fails_to_serialize(&mut b, "INSERT INTO t VALUES (25, 25)");
    }
}
