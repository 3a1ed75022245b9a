//! Databases and files that come and go: across crashes, beside sessions that connect, and what they leave on disk.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ochre_engine::{Instance, Session};
use ochre_env::Env;
use ochre_env::sim::CrashMode;

use common::{Machine, Rows, flush, open_alone, run, table};

/// For how long the sessions of a test stay, and stay away.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(2);

fn session(instance: &Arc<Instance>, database: &str) -> Session {
    instance.session(database, "postgres").expect("a session")
}

/// Loses power with everything durable that was done, and starts again.
fn crash(machine: &Machine, instance: Arc<Instance>, mode: CrashMode) -> Arc<Instance> {
    flush(&instance);
    machine.fs.crash(mode);
    std::mem::forget(instance);
    open_alone(&machine.env)
}

#[test]
fn a_database_survives_two_crashes_after_another_was_dropped() {
    for (seed, mode) in
        [CrashMode::DropUnsynced, CrashMode::KeepUnsynced, CrashMode::Random].into_iter().enumerate()
    {
        let machine = Machine::new(seed as u64);
        let instance = open_alone(&machine.env);
        let mut s = session(&instance, "postgres");
        run(&mut s, "CREATE DATABASE d");
        run(&mut session(&instance, "d"), "CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
        run(&mut s, "DROP DATABASE d");
        drop(s);
        let instance = crash(&machine, instance, mode);
        run(&mut session(&instance, "postgres"), "CREATE DATABASE e");
        run(&mut session(&instance, "e"), "CREATE TABLE t (a int); INSERT INTO t VALUES (42)");
        let instance = crash(&machine, instance, mode);
        assert_eq!(table(&mut session(&instance, "e"), "SELECT a FROM t"), ["42"], "{mode:?}");
    }
}

#[test]
fn what_is_dropped_leaves_the_disk_without_a_checkpoint() {
    let machine = Machine::new(1);
    let instance = open_alone(&machine.env);
    let mut s = session(&instance, "postgres");
    let files = |instance: &Instance| instance.storage().files().list().expect("lists").len();
    let before = files(&instance);
    run(&mut s, "CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t VALUES (1, 'x')");
    run(&mut s, "CREATE DATABASE d");
    let oid = table(&mut s, "SELECT oid FROM pg_database WHERE datname = 'd'").remove(0);
    run(&mut session(&instance, "d"), "CREATE TABLE t (a int)");
    run(&mut s, "DROP DATABASE d");
    run(&mut s, "DROP TABLE t");
    flush(&instance);
    instance.collect().expect("collects");
    assert_eq!(files(&instance), before);
    let names = machine.env.fs.list(Path::new("/data/base")).expect("lists");
    assert!(!names.contains(&oid), "{names:?}");
}

#[test]
fn nobody_connects_to_a_database_that_is_being_dropped() {
    let instance = open_alone(&Env::in_memory());
    let mut s = session(&instance, "postgres");
    for round in 0..20 {
        run(&mut s, "CREATE DATABASE d");
        let dropped = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let connecting = scope.spawn(|| {
                while !dropped.load(Ordering::SeqCst) {
                    if let Ok(session) = instance.session("d", "postgres") {
                        std::thread::sleep(PAUSE);
                        assert!(!dropped.load(Ordering::SeqCst), "round {round}: dropped under a session");
                        drop(session);
                    }
                    std::thread::sleep(PAUSE);
                }
            });
            while s.simple_query("DROP DATABASE d", &mut Rows::default()).is_err() {}
            dropped.store(true, Ordering::SeqCst);
            connecting.join().expect("nobody was connected");
        });
        let gone = instance.session("d", "postgres").err().expect("dropped");
        assert_eq!(gone.sqlstate().as_str(), "3D000");
    }
}

#[test]
fn a_database_in_use_is_not_dropped_and_stays_open() {
    let instance = open_alone(&Env::in_memory());
    let mut s = session(&instance, "postgres");
    run(&mut s, "CREATE DATABASE d");
    let mut other = session(&instance, "d");
    run(&mut other, "CREATE TABLE t (a int); BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'p'");
    let used = common::fails(&mut s, "DROP DATABASE d");
    assert_eq!(used.sqlstate().as_str(), "55006");
    assert_eq!(used.fields().detail.as_deref(), Some("There is 1 other session using the database."));
    drop(other);
    assert_eq!(common::fails(&mut s, "DROP DATABASE d").sqlstate().as_str(), "55006");
    run(&mut session(&instance, "d"), "COMMIT PREPARED 'p'");
    run(&mut s, "DROP DATABASE d");
}

#[test]
fn a_database_that_is_opened_misses_no_role() {
    let env = Env::in_memory();
    let databases: Vec<String> = (0..6).map(|n| format!("d{n}")).collect();
    let instance = open_alone(&env);
    let mut s = session(&instance, "postgres");
    for name in &databases {
        run(&mut s, &format!("CREATE DATABASE {name}"));
    }
    drop(s);
    instance.close().expect("closes");
    let instance = open_alone(&env);
    let mut s = session(&instance, "postgres");
    let stop = AtomicBool::new(false);
    let mut sessions = Vec::new();
    let roles = std::thread::scope(|scope| {
        let making = scope.spawn(|| {
            let mut roles = 0;
            while !stop.load(Ordering::Relaxed) {
                run(&mut s, &format!("CREATE ROLE r{roles}"));
                roles += 1;
            }
            roles
        });
        for name in &databases {
            std::thread::sleep(std::time::Duration::from_millis(5));
            sessions.push(session(&instance, name));
        }
        stop.store(true, Ordering::Relaxed);
        making.join().expect("ends")
    });
    for (mut session, name) in sessions.into_iter().zip(&databases) {
        for role in 0..roles {
            let sql = format!("SELECT to_regrole('r{role}') IS NULL");
            assert_eq!(table(&mut session, &sql), ["f"], "{name} knows of r{role}, one of {roles}");
        }
    }
}
