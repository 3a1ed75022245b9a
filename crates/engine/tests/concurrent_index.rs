//! Indexes made while others write: every row is found by them afterwards, and no other.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ochre_engine::{Instance, InstanceConfig, Session};
use ochre_env::Env;
use ochre_env::sim::CrashMode;
use ochre_storage::StorageConfig;

use common::{Machine, Rows, fails, open, run, table};

const ROWS: u64 = 300;
const WRITERS: u64 = 3;

fn session(instance: &Arc<Instance>) -> Session {
    instance.session("postgres", "postgres").expect("a session")
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 17
}

/// Changes rows of its own, by transactions of which some are rolled back, until told to stop.
fn write(instance: &Arc<Instance>, writer: u64, stop: &AtomicBool, written: &AtomicU64) {
    let mut session = session(instance);
    let mut random = writer * 1_000_003 + 7;
    let mut fresh = 1_000_000 * (writer + 1);
    while !stop.load(Ordering::Relaxed) {
        run(&mut session, "BEGIN");
        for _ in 0..1 + next(&mut random) % 4 {
            let id = next(&mut random) % ROWS * WRITERS + writer;
            let value = next(&mut random) % 50;
            fresh += 1;
            let statement = match next(&mut random) % 5 {
                0 => format!("DELETE FROM t WHERE id = {id}"),
                1 => format!("INSERT INTO t VALUES ({id}, {value}, {fresh}) ON CONFLICT (id) DO NOTHING"),
                2 => format!("UPDATE t SET u = {fresh} WHERE id = {id}"),
                3 => format!("UPDATE t SET v = {value} WHERE id = {id}; UPDATE t SET v = 1 WHERE id = {id}"),
                _ => format!("UPDATE t SET v = {value}, u = {fresh} WHERE id = {id}"),
            };
            run(&mut session, &statement);
        }
        run(&mut session, if next(&mut random).is_multiple_of(4) { "ROLLBACK" } else { "COMMIT" });
        written.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes rows that others write too, each in a transaction of its own: nobody ever meets an error.
fn compete(instance: &Arc<Instance>, seed: u64, stop: &AtomicBool) {
    let mut session = session(instance);
    let mut random = seed;
    while !stop.load(Ordering::Relaxed) {
        let id = 100_000 + next(&mut random) % 10;
        let statement = match next(&mut random) % 4 {
            0 => format!("DELETE FROM t WHERE id = {id}"),
            1 => format!("INSERT INTO t VALUES ({id}, 3, -{id}) ON CONFLICT DO NOTHING"),
            2 => format!("INSERT INTO t VALUES ({id}, 4, -{id}) ON CONFLICT (id) DO NOTHING"),
            _ => format!(
                "INSERT INTO t VALUES ({id}, 5, -{id}) ON CONFLICT ON CONSTRAINT t_pkey DO UPDATE SET v = t.v + 1"
            ),
        };
        run(&mut session, &statement);
    }
}

#[test]
fn an_index_made_beside_writers_has_every_row() {
    let instance = open(&Env::in_memory());
    let mut a = session(&instance);
    run(&mut a, "CREATE TABLE t (id int PRIMARY KEY, v int, u int)");
    run(
        &mut a,
        &format!("INSERT INTO t SELECT i, i % 50, i FROM generate_series(0, {}) i", ROWS * WRITERS - 1),
    );
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (instance, stop, written) = (Arc::clone(&instance), Arc::clone(&stop), Arc::clone(&written));
            std::thread::spawn(move || write(&instance, writer, &stop, &written))
        })
        .collect();
    let competitors: Vec<_> = (1..3)
        .map(|seed| {
            let (instance, stop) = (Arc::clone(&instance), Arc::clone(&stop));
            std::thread::spawn(move || compete(&instance, seed, &stop))
        })
        .collect();
    let started = Instant::now();
    let mut rounds = 0;
    while rounds < 4 || started.elapsed() < Duration::from_secs(2) {
        let before = written.load(Ordering::Relaxed);
        run(&mut a, "CREATE INDEX CONCURRENTLY by_v ON t (v)");
        run(&mut a, "CREATE INDEX CONCURRENTLY by_u ON t (u) INCLUDE (v)");
        run(&mut a, "REINDEX INDEX CONCURRENTLY t_pkey");
        let valid = "SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND indisvalid";
        assert_eq!(table(&mut a, valid), ["3"]);
        while written.load(Ordering::Relaxed) < before + 20 {
            std::thread::yield_now();
        }
        run(&mut a, "BEGIN ISOLATION LEVEL REPEATABLE READ");
        run(&mut a, "SET LOCAL enable_seqscan = off");
        let by_v: Vec<String> =
            (0..1000).flat_map(|v| table(&mut a, &format!("SELECT id, v, u FROM t WHERE v = {v}"))).collect();
        let by_u = table(&mut a, "SELECT id, v, u FROM t WHERE u > -1000000 ORDER BY u");
        let by_id = table(&mut a, "SELECT id, v, u FROM t WHERE id >= 0 ORDER BY id");
        run(&mut a, "SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = off");
        run(&mut a, "SET LOCAL enable_indexonlyscan = off");
        let scanned = table(&mut a, "SELECT id, v, u FROM t");
        run(&mut a, "COMMIT");
        let sorted = |mut rows: Vec<String>| {
            rows.sort();
            rows
        };
        let scanned = sorted(scanned);
        for (name, rows) in [("by_v", by_v), ("by_u", by_u), ("t_pkey", by_id)] {
            assert_eq!(sorted(rows), scanned, "round {rounds}: {name} and the table differ");
        }
        run(&mut a, "DROP INDEX CONCURRENTLY by_v");
        run(&mut a, "DROP INDEX CONCURRENTLY by_u");
        rounds += 1;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers.into_iter().chain(competitors) {
        writer.join().expect("a writer ends without a panic");
    }
}

#[test]
fn it_waits_for_who_may_not_know_it_and_for_nobody_else() {
    let instance = open(&Env::in_memory());
    let (mut a, mut b) = (session(&instance), session(&instance));
    run(
        &mut a,
        "CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 100); CREATE TABLE other (x int)",
    );
    run(&mut b, "BEGIN; INSERT INTO t VALUES (1000)");
    run(&mut b, "SELECT count(*) FROM other");
    let thread = {
        let instance = Arc::clone(&instance);
        std::thread::spawn(move || {
            let mut c = session(&instance);
            run(&mut c, "CREATE INDEX CONCURRENTLY t_id ON t (id)");
        })
    };
    let listed = "SELECT indisvalid FROM pg_index WHERE indrelid = 't'::regclass";
    let started = Instant::now();
    while table(&mut a, listed).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(10), "the index does not appear");
        std::thread::sleep(Duration::from_millis(5));
    }
    // It waits for the writer, and other writers go on meanwhile.
    run(&mut a, "INSERT INTO t VALUES (2000); UPDATE t SET id = 3000 WHERE id = 50");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(table(&mut a, listed), ["f"]);
    run(&mut b, "COMMIT");
    thread.join().expect("the index is made");
    assert_eq!(table(&mut a, listed), ["t"]);
    run(&mut a, "SET enable_seqscan = off");
    for (id, count) in [(1000, "1"), (2000, "1"), (3000, "1"), (50, "0"), (51, "1")] {
        assert_eq!(table(&mut a, &format!("SELECT count(*) FROM t WHERE id = {id}")), [count], "{id}");
    }
}

/// A unique index built while rows come and go under its keys.
#[test]
fn a_unique_index_beside_writers_of_its_keys() {
    let instance = open(&Env::in_memory());
    let mut a = session(&instance);
    run(&mut a, "CREATE TABLE t (k int, n int)");
    run(&mut a, "INSERT INTO t SELECT i, i FROM generate_series(1, 2000) i");
    let stop = Arc::new(AtomicBool::new(false));
    // Each key moves from row to row, but no two rows ever have the same.
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (instance, stop) = (Arc::clone(&instance), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut session = session(&instance);
                let mut random = writer + 99;
                while !stop.load(Ordering::Relaxed) {
                    let key = (next(&mut random) % 1000) * 2 + writer + 1;
                    run(
                        &mut session,
                        &format!(
                            "BEGIN; DELETE FROM t WHERE k = {key}; INSERT INTO t VALUES ({key}, 0); COMMIT"
                        ),
                    );
                    run(&mut session, &format!("UPDATE t SET k = -k WHERE k = {key}"));
                    run(&mut session, &format!("UPDATE t SET k = -k WHERE k = -{key}"));
                }
            })
        })
        .collect();
    for round in 0..6 {
        run(&mut a, "CREATE UNIQUE INDEX CONCURRENTLY t_k ON t (k)");
        let by_index = {
            run(&mut a, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL enable_seqscan = off");
            table(&mut a, "SELECT k FROM t WHERE k BETWEEN -5000 AND 5000 ORDER BY k")
        };
        run(
            &mut a,
            "SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off",
        );
        assert_eq!(table(&mut a, "SELECT k FROM t ORDER BY k"), by_index, "round {round}");
        assert_eq!(by_index.len(), 2000);
        run(&mut a, "COMMIT");
        run(&mut a, "DROP INDEX CONCURRENTLY t_k");
    }
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().expect("a writer meets no error"));
    // And one that cannot be: two rows of a key, one of which comes while it is built.
    run(&mut a, "INSERT INTO t VALUES (77, 1)");
    let error = fails(&mut a, "CREATE UNIQUE INDEX CONCURRENTLY t_k ON t (k)");
    assert_eq!(error.sqlstate().as_str(), "23505");
    assert_eq!(error.message(), "could not create unique index \"t_k\"");
    assert_eq!(table(&mut a, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_k'::regclass"), ["f"]);
}

#[test]
fn who_waits_for_writers_is_found_in_deadlocks() {
    let instance = open(&Env::in_memory());
    let (mut a, mut b) = (session(&instance), session(&instance));
    run(&mut a, "CREATE TABLE t (id int)");
    run(&mut a, "SELECT pg_advisory_lock(1)");
    run(&mut b, "SET deadlock_timeout = '50ms'");
    run(&mut b, "BEGIN");
    run(&mut b, "INSERT INTO t VALUES (1)");
    let pid = a.cancel_key().0;
    std::thread::scope(|scope| {
        let builder = scope.spawn(|| {
            let outcome = a.simple_query("CREATE INDEX CONCURRENTLY t_id ON t (id)", &mut Rows::default());
            (outcome.err(), a)
        });
        let blocked = format!(
            "SELECT wait_event, pg_blocking_pids(pid) = ARRAY[pg_backend_pid()], (SELECT count(*) FROM pg_locks \
             WHERE locktype = 'virtualxid' AND NOT granted AND pid = {pid} AND virtualxid IS NOT NULL) \
             FROM pg_stat_activity WHERE pid = {pid}"
        );
        let started = Instant::now();
        while table(&mut b, &blocked) != ["virtualxid|t|1"] {
            assert!(started.elapsed() < Duration::from_secs(20), "{:?}", table(&mut b, &blocked));
            std::thread::sleep(Duration::from_millis(5));
        }
        let error = fails(&mut b, "SELECT pg_advisory_lock(1)");
        assert_eq!(error.sqlstate().as_str(), "40P01");
        run(&mut b, "ROLLBACK");
        let (error, mut a) = builder.join().expect("the builder ends");
        assert!(error.is_none(), "{error:?}");
        // Its own patience ends, too.
        run(&mut b, "BEGIN");
        run(&mut b, "INSERT INTO t VALUES (2)");
        run(&mut a, "SET lock_timeout = '30ms'");
        assert_eq!(fails(&mut a, "REINDEX INDEX CONCURRENTLY t_id").sqlstate().as_str(), "55P03");
        run(&mut b, "COMMIT");
        assert_eq!(
            table(
                &mut b,
                "SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 't'::regclass ORDER BY indexrelid::regclass::text"
            ),
            ["t_id|t", "t_id_ccnew|f"]
        );
        // Nothing of its locks is left.
        run(&mut b, "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE NOWAIT; COMMIT");
        run(&mut b, "DROP INDEX t_id_ccnew");
        assert_eq!(table(&mut b, "SELECT count(*) FROM t WHERE id = 2"), ["1"]);
    });
}

/// The power is cut at the first, second, third … operation on files, until the statement comes to its end.
fn cut_at_every_step(mode: CrashMode, before: &str, statement: &str, check: impl Fn(&mut Session, bool)) {
    let quiet = |env: &Env| {
        let storage = StorageConfig { background_threads: false, ..StorageConfig::default() };
        let config = InstanceConfig { storage, background: false, ..InstanceConfig::default() };
        Instance::open(env.clone(), Path::new("/data"), config).expect("opens")
    };
    for step in 1.. {
        let machine = Machine::new(step);
        let instance = quiet(&machine.env);
        let mut s = session(&instance);
        run(&mut s, "CREATE TABLE t (a int PRIMARY KEY, b text)");
        run(&mut s, "INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 300) g");
        run(&mut s, before);
        let wal = instance.transactions().wal();
        wal.flush_to(wal.position()).expect("flushes");
        machine.fs.cut_power_at(step);
        let mut acknowledged = s.simple_query(statement, &mut Rows::default()).is_ok();
        acknowledged &= instance.transactions().wal().flush_to(s.take_gate()).is_ok();
        // Dropped files are unlinked after the flush, by whoever comes by; a checkpoint does.
        let _ = instance.checkpoint();
        let cut = machine.fs.power_lost();
        machine.fs.crash(mode);
        std::mem::forget((s, instance));
        let instance = quiet(&machine.env);
        let mut s = session(&instance);
        check(&mut s, acknowledged);
        run(&mut s, "INSERT INTO t VALUES (1000, 'later')");
        run(&mut s, "DELETE FROM t WHERE a = 1000");
        for _ in 0..3 {
            instance.collect().expect("collects");
        }
        assert_eq!(table(&mut s, "SELECT count(*), sum(a) FROM t"), ["300|45150"]);
        drop(s);
        // What was dropped is unlinked when the commit is durable, by whoever comes by.
        let wal = instance.transactions().wal();
        wal.flush_to(wal.position()).expect("flushes");
        instance.checkpoint().expect("writes a checkpoint");
        let files = instance.storage().files().list().expect("a list");
        let own = files.iter().filter(|key| key.file >= ochre_base::FileId(1024)).count();
        let mut s = session(&instance);
        let known = table(
            &mut s,
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')",
        );
        assert_eq!(known, [own.to_string()], "files and relations after a cut at step {step}");
        if !cut {
            assert!(step > 3, "the statement touches files");
            return;
        }
    }
}

const MODES: [CrashMode; 3] = [CrashMode::DropUnsynced, CrashMode::KeepUnsynced, CrashMode::Random];
const VALID: &str = "SELECT indisvalid, indisready FROM pg_index WHERE indexrelid = to_regclass('t_b')";
const BY_INDEX: &str = "SELECT a FROM t WHERE b = 'row 77'";

#[test]
fn create_index_concurrently_cut_by_a_crash_at_every_step() {
    for mode in MODES {
        cut_at_every_step(mode, "SELECT 1", "CREATE INDEX CONCURRENTLY t_b ON t (b)", |s, acknowledged| {
            let state = table(s, VALID);
            assert!(!acknowledged || state == ["t|t"], "an acknowledged index is not there: {state:?}");
            run(s, "SET enable_seqscan = off");
            assert_eq!(table(s, BY_INDEX), ["77"]);
            if state == ["f|t"] {
                run(s, "REINDEX INDEX t_b");
                assert_eq!(table(s, VALID), ["t|t"]);
                assert_eq!(table(s, BY_INDEX), ["77"]);
            }
        });
    }
}

#[test]
fn drop_index_concurrently_cut_by_a_crash_at_every_step() {
    for mode in MODES {
        cut_at_every_step(
            mode,
            "CREATE INDEX t_b ON t (b)",
            "DROP INDEX CONCURRENTLY t_b",
            |s, acknowledged| {
                let state = table(s, VALID);
                assert!(!acknowledged || state.is_empty(), "an acknowledged DROP came back");
                run(s, "SET enable_seqscan = off");
                assert_eq!(table(s, BY_INDEX), ["77"]);
                if state == ["f|f"] {
                    // It was not maintained since.
                    run(s, "UPDATE t SET b = 'other' WHERE a = 77");
                    run(s, "UPDATE t SET b = 'row 77' WHERE a = 77");
                }
                if !state.is_empty() {
                    run(s, "DROP INDEX t_b");
                    assert_eq!(table(s, BY_INDEX), ["77"]);
                }
            },
        );
    }
}

#[test]
fn reindex_concurrently_cut_by_a_crash_at_every_step() {
    for mode in MODES {
        let before = "CREATE INDEX t_b ON t (b)";
        cut_at_every_step(mode, before, "REINDEX TABLE CONCURRENTLY t", |s, _| {
            assert_eq!(table(s, VALID), ["t|t"]);
            run(s, "SET enable_seqscan = off");
            assert_eq!(table(s, BY_INDEX), ["77"]);
            assert_eq!(table(s, "SELECT b FROM t WHERE a = 99"), ["row 99"]);
            assert_eq!(fails(s, "INSERT INTO t VALUES (5, '')").sqlstate().as_str(), "23505");
            let extra = table(
                s,
                "SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 't'::regclass AND NOT indisvalid",
            );
            assert!(extra.len() <= 1, "{extra:?}");
            for name in extra {
                run(s, &format!("DROP INDEX {name}"));
            }
        });
    }
}

#[test]
fn ddl_is_seen_by_nobody_before_its_commit() {
    let instance = open(&Env::in_memory());
    let (mut a, mut b) = (session(&instance), session(&instance));
    run(&mut a, "CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'a')");
    run(&mut b, "SET lock_timeout = '20ms'");
    // Kept plans of the other session, before and after.
    run(&mut b, "PREPARE everything AS SELECT * FROM t; PREPARE ids AS SELECT id FROM t");
    for end in ["ROLLBACK", "COMMIT"] {
        run(
            &mut a,
            "BEGIN; CREATE TABLE made (x int); INSERT INTO made VALUES (1); ALTER TABLE t ADD COLUMN w int",
        );
        run(&mut a, "CREATE INDEX t_id ON t (id); CREATE SEQUENCE s; CREATE SCHEMA inner_schema");
        assert_eq!(table(&mut a, "SELECT * FROM t"), ["1|a|NULL"]);
        for name in ["made", "t_id", "s"] {
            let seen = format!("SELECT count(*) FROM pg_class WHERE relname = '{name}'");
            assert_eq!(table(&mut a, &seen), ["1"]);
            assert_eq!(table(&mut b, &seen), ["0"], "{name} is seen before its commit");
        }
        assert_eq!(fails(&mut b, "SELECT * FROM made").sqlstate().as_str(), "42P01");
        assert_eq!(fails(&mut b, "EXECUTE ids").sqlstate().as_str(), "55P03");
        run(&mut a, end);
        assert_eq!(table(&mut b, "EXECUTE ids"), ["1"]);
        match end {
            "ROLLBACK" => {
                assert_eq!(table(&mut b, "EXECUTE everything"), ["1|a"]);
                assert_eq!(fails(&mut b, "SELECT * FROM made").sqlstate().as_str(), "42P01");
            }
            _ => {
                let error = fails(&mut b, "EXECUTE everything");
                assert_eq!(error.sqlstate().as_str(), "0A000");
                assert_eq!(error.message(), "cached plan must not change result type");
                assert_eq!(table(&mut b, "SELECT * FROM t"), ["1|a|NULL"]);
                assert_eq!(table(&mut b, "SELECT * FROM made"), ["1"]);
            }
        }
    }
    run(&mut a, "BEGIN; DROP TABLE made");
    assert_eq!(fails(&mut b, "SELECT * FROM made").sqlstate().as_str(), "55P03");
    assert_eq!(fails(&mut a, "SELECT * FROM made").sqlstate().as_str(), "42P01");
    run(&mut a, "ROLLBACK");
    assert_eq!(table(&mut b, "SELECT * FROM made"), ["1"]);
    // Two transactions that make the same name: the second waits for the first.
    run(&mut a, "BEGIN; CREATE TABLE twice (x int)");
    assert_eq!(fails(&mut b, "CREATE TABLE twice (y int)").sqlstate().as_str(), "55P03");
    run(&mut a, "COMMIT");
    assert_eq!(fails(&mut b, "CREATE TABLE twice (y int)").sqlstate().as_str(), "42P07");
}
