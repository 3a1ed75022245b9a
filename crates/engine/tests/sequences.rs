//! Sequences give each number once, whatever happens to them and to the server.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::sync::Arc;

use ochre_engine::{Instance, Session};
use ochre_env::sim::CrashMode;
use ochre_storage::OpenKind;

use common::{Machine, flush, open_alone, run, table};

fn session(instance: &Arc<Instance>) -> Session {
    instance.session("postgres", "postgres").expect("a session")
}

fn next(session: &mut Session) -> i64 {
    table(session, "SELECT nextval('s')")[0].parse().expect("a number")
}

#[test]
fn numbers_under_another_increment_are_not_given_again_after_a_crash() {
    for (change, back) in [("INCREMENT 2", false), ("INCREMENT 1000", false), ("INCREMENT 7", true)] {
        let machine = Machine::new(1);
        let instance = open_alone(&machine.env);
        let mut s = session(&instance);
        run(&mut s, "CREATE SEQUENCE s");
        next(&mut s);
        if back {
            run(&mut s, &format!("BEGIN; ALTER SEQUENCE s {change}"));
            for _ in 0..10 {
                next(&mut s);
            }
            run(&mut s, "ROLLBACK");
        } else {
            run(&mut s, &format!("ALTER SEQUENCE s {change}"));
        }
        let mut given: Vec<i64> = (0..32).map(|_| next(&mut s)).collect();
        flush(&instance);
        machine.fs.crash(CrashMode::KeepUnsynced);
        std::mem::forget((s, instance));
        let instance = open_alone(&machine.env);
        let mut s = session(&instance);
        given.extend((0..32).map(|_| next(&mut s)));
        assert!(given.is_sorted_by(|a, b| a < b), "{change}: {given:?}");
    }
}

#[test]
fn a_sequence_that_turns_round_goes_on_where_it_was_after_a_crash() {
    let machine = Machine::new(1);
    let instance = open_alone(&machine.env);
    let mut s = session(&instance);
    run(&mut s, "CREATE SEQUENCE s START 100");
    (100..=110).for_each(|n| assert_eq!(next(&mut s), n));
    run(&mut s, "ALTER SEQUENCE s INCREMENT -1");
    flush(&instance);
    machine.fs.crash(CrashMode::DropUnsynced);
    std::mem::forget((s, instance));
    let instance = open_alone(&machine.env);
    assert_eq!(next(&mut session(&instance)), 109);
}

#[test]
fn a_clean_end_does_not_mind_sequences_that_are_gone() {
    for take_away in [
        "BEGIN; CREATE TABLE u (id serial); INSERT INTO u DEFAULT VALUES; ROLLBACK",
        "BEGIN; SAVEPOINT a; CREATE TABLE u (id serial); INSERT INTO u DEFAULT VALUES; ROLLBACK TO a; COMMIT",
        "TRUNCATE t RESTART IDENTITY",
        "ALTER SEQUENCE t_id_seq RESTART",
        "DROP TABLE t; CREATE TABLE t (id serial); INSERT INTO t DEFAULT VALUES",
    ] {
        let machine = Machine::new(1);
        let instance = open_alone(&machine.env);
        let mut s = session(&instance);
        run(&mut s, "CREATE TABLE t (id serial); INSERT INTO t DEFAULT VALUES");
        run(&mut s, take_away);
        run(&mut s, "INSERT INTO t DEFAULT VALUES; CHECKPOINT");
        let last = table(&mut s, "SELECT currval('t_id_seq')");
        drop(s);
        instance.close().unwrap_or_else(|error| panic!("{take_away}: {error:?}"));
        drop(instance);
        let instance = open_alone(&machine.env);
        assert_eq!(instance.storage().open_kind(), OpenKind::Clean, "{take_away}");
        let next: i64 =
            table(&mut session(&instance), "SELECT nextval('t_id_seq')")[0].parse().expect("a number");
        assert_eq!(last, [(next - 1).to_string()], "{take_away}: no number is skipped");
    }
}
