//! Savepoints, many and deep: what is rolled back is gone for its transaction and for all others, with its locks.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::path::Path;
use std::sync::Arc;

use ochre_engine::{Instance, InstanceConfig, Session};
use ochre_env::Env;
use ochre_env::sim::CrashMode;
use ochre_storage::StorageConfig;

use common::{Machine, Rows, fails, open, run, table};

fn session(instance: &Arc<Instance>) -> Session {
    instance.session("postgres", "postgres").expect("a session")
}

#[test]
fn savepoints_nested_two_thousand_deep() {
    const DEPTH: usize = 2000;
    let instance = open(&Env::in_memory());
    let (mut s, mut other) = (session(&instance), session(&instance));
    run(&mut s, "CREATE TABLE t (n int PRIMARY KEY, v int); INSERT INTO t VALUES (-1, 0); SELECT 1");
    run(&mut s, "BEGIN");
    for n in 0..DEPTH {
        run(&mut s, &format!("SAVEPOINT s{n}"));
        run(&mut s, &format!("INSERT INTO t VALUES ({n}, {n})"));
        run(&mut s, "UPDATE t SET v = v + 1 WHERE n = -1");
    }
    assert_eq!(table(&mut s, "SELECT count(*), max(n), min(v) FROM t"), ["2001|1999|0"]);
    assert_eq!(table(&mut s, "SELECT v FROM t WHERE n = -1"), ["2000"]);
    assert_eq!(table(&mut other, "SELECT n, v FROM t"), ["-1|0"]);
    run(&mut s, "ROLLBACK TO s1500");
    assert_eq!(table(&mut s, "SELECT count(*), max(n) FROM t"), ["1501|1499"]);
    assert_eq!(table(&mut s, "SELECT v FROM t WHERE n = -1"), ["1500"]);
    run(&mut s, "INSERT INTO t VALUES (1700, 1)");
    assert_eq!(fails(&mut s, "ROLLBACK TO s1501").sqlstate().as_str(), "3B001");
    run(&mut s, "ROLLBACK TO s1500");
    run(&mut s, "RELEASE s700");
    assert_eq!(fails(&mut s, "RELEASE s701").sqlstate().as_str(), "3B001");
    run(&mut s, "ROLLBACK TO s699");
    assert_eq!(table(&mut s, "SELECT count(*), max(n) FROM t"), ["700|698"]);
    run(&mut s, "INSERT INTO t VALUES (699, 0), (1999, 0)");
    run(&mut s, "COMMIT");
    assert_eq!(table(&mut other, "SELECT count(*), max(n) FROM t"), ["702|1999"]);
    assert_eq!(table(&mut other, "SELECT v FROM t WHERE n = -1"), ["699"]);
    for _ in 0..3 {
        instance.collect().expect("collects");
    }
    assert_eq!(table(&mut other, "SELECT count(*), max(n) FROM t"), ["702|1999"]);
    // By the index, too.
    run(&mut other, "SET enable_seqscan = off");
    assert_eq!(table(&mut other, "SELECT count(*) FROM t WHERE n BETWEEN 690 AND 800"), ["10"]);
}

/// Random savepoints, rollbacks and errors beside a model, cut by a crash after the commit, and read by others meanwhile.
#[test]
fn savepoints_agree_with_a_model() {
    for seed in 1..12_u64 {
        let machine = Machine::new(seed);
        let start = || {
            let storage = StorageConfig { background_threads: false, ..StorageConfig::default() };
            let config = InstanceConfig { storage, background: false, ..InstanceConfig::default() };
            Instance::open(machine.env.clone(), Path::new("/data"), config).expect("opens")
        };
        let instance = start();
        let (mut s, mut other) = (session(&instance), session(&instance));
        run(&mut s, "CREATE TABLE t (n int PRIMARY KEY, v int)");
        run(&mut s, "INSERT INTO t SELECT g, 0 FROM generate_series(0, 19) g");
        let mut state = seed;
        let mut random = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let mut committed: Vec<Option<i64>> = vec![Some(0); 20];
        for _ in 0..8 {
            run(&mut s, "BEGIN");
            let mut now = committed.clone();
            let mut marks: Vec<(u64, Vec<Option<i64>>)> = Vec::new();
            for _ in 0..40 {
                let n = random(20) as usize;
                match random(9) {
                    0 | 1 => {
                        let name = random(4);
                        run(&mut s, &format!("SAVEPOINT p{name}"));
                        marks.push((name, now.clone()));
                    }
                    2 if !marks.is_empty() => {
                        let (name, _) = marks[random(marks.len() as u64) as usize];
                        let at = marks.iter().rposition(|mark| mark.0 == name).expect("it is there");
                        run(&mut s, &format!("ROLLBACK TO p{name}"));
                        now = marks[at].1.clone();
                        marks.truncate(at + 1);
                    }
                    3 if !marks.is_empty() => {
                        let (name, _) = marks[random(marks.len() as u64) as usize];
                        let at = marks.iter().rposition(|mark| mark.0 == name).expect("it is there");
                        run(&mut s, &format!("RELEASE p{name}"));
                        marks.truncate(at);
                    }
                    4 if !marks.is_empty() => {
                        // An error takes the block back to the newest savepoint.
                        assert_eq!(fails(&mut s, "SELECT 1 / 0").sqlstate().as_str(), "22012");
                        let (name, then) = marks.last().expect("looked at").clone();
                        run(&mut s, &format!("ROLLBACK TO p{name}"));
                        now = then;
                    }
                    5 => {
                        run(&mut s, &format!("DELETE FROM t WHERE n = {n}"));
                        now[n] = None;
                    }
                    6 => {
                        let v = random(100) as i64;
                        run(
                            &mut s,
                            &format!("INSERT INTO t VALUES ({n}, {v}) ON CONFLICT (n) DO UPDATE SET v = {v}"),
                        );
                        now[n] = Some(v);
                    }
                    _ => {
                        run(&mut s, &format!("UPDATE t SET v = v + 1 WHERE n = {n}"));
                        now[n] = now[n].map(|v| v + 1);
                    }
                }
            }
            let text = |rows: &[Option<i64>]| -> Vec<String> {
                rows.iter().enumerate().filter_map(|(n, v)| v.map(|v| format!("{n}|{v}"))).collect()
            };
            let all = "SELECT * FROM t ORDER BY n";
            assert_eq!(table(&mut s, all), text(&now), "seed {seed}");
            assert_eq!(table(&mut other, all), text(&committed), "seed {seed}: seen by others");
            if random(4) == 0 {
                run(&mut s, "ROLLBACK");
            } else {
                run(&mut s, "COMMIT");
                committed = now;
            }
            if random(3) == 0 {
                instance.collect().expect("collects");
            }
            assert_eq!(table(&mut other, all), text(&committed), "seed {seed}");
        }
        let wal = instance.transactions().wal();
        wal.flush_to(wal.position()).expect("flushes");
        machine.fs.crash(CrashMode::DropUnsynced);
        drop((s, other));
        std::mem::forget(instance);
        let instance = start();
        let expected: Vec<String> =
            committed.iter().enumerate().filter_map(|(n, v)| v.map(|v| format!("{n}|{v}"))).collect();
        let mut s = session(&instance);
        assert_eq!(table(&mut s, "SELECT * FROM t ORDER BY n"), expected, "seed {seed}: after a crash");
        run(&mut s, "VACUUM t");
        assert_eq!(table(&mut s, "SELECT * FROM t ORDER BY n"), expected, "seed {seed}: after VACUUM");
    }
}

/// What a referential check looks at it does not write.
#[test]
fn a_child_writes_nothing_to_its_parent() {
    let instance = open(&Env::in_memory());
    let mut s = session(&instance);
    run(&mut s, "CREATE TABLE parent (id int PRIMARY KEY, v int); INSERT INTO parent VALUES (1, 1)");
    run(&mut s, "CREATE TABLE child (id int REFERENCES parent (id)); CREATE TABLE orphan (id int); SELECT 1");
    let wal = instance.transactions().wal().clone();
    let written = |session: &mut Session, sql: &str| {
        let before = wal.position();
        session.simple_query(sql, &mut Rows::default()).expect("succeeds");
        wal.position().0 - before.0
    };
    // The first of each writes whole pages.
    for table in ["child", "orphan"] {
        for _ in 0..3 {
            written(&mut s, &format!("INSERT INTO {table} VALUES (1)"));
        }
    }
    let (checked, unchecked) =
        (written(&mut s, "INSERT INTO child VALUES (1)"), written(&mut s, "INSERT INTO orphan VALUES (1)"));
    assert_eq!(checked, unchecked, "bytes of the log with a referential check and without");
    assert_eq!(table(&mut s, "SELECT xmax FROM parent"), ["0"]);
}
