//! What breaks designs that keep the newest version in place, as scripts: versions, index entries and snapshots that meet in
//! unlucky orders. The collector runs when a test says so.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ochre_engine::{Instance, InstanceConfig, Session};
use ochre_env::Env;
use ochre_env::sim::CrashMode;
use ochre_storage::StorageConfig;

use common::{Machine, Rows, fails, table};

/// Runs statements one by one, as a client does that sends them so: together they would be one transaction.
fn run(session: &mut Session, sql: &str) {
    sql.split("; ").for_each(|statement| drop(common::run(session, statement)));
}

fn quiet(env: &Env) -> Arc<Instance> {
    let storage = StorageConfig { background_threads: false, ..StorageConfig::default() };
    let config = InstanceConfig { storage, background: false, ..InstanceConfig::default() };
    Instance::open(env.clone(), Path::new("/data"), config).expect("opens")
}

fn database() -> Arc<Instance> {
    quiet(&Env::in_memory())
}

fn session(instance: &Arc<Instance>) -> Session {
    instance.session("postgres", "postgres").expect("a session")
}

fn collect(instance: &Instance) {
    for _ in 0..3 {
        instance.collect().expect("collects");
    }
}

/// Both ways to the rows give the same.
fn by_index_and_scan(session: &mut Session, sql: &str) -> Vec<String> {
    run(session, "SET enable_indexscan = on; SET enable_seqscan = off");
    let by_index = table(session, sql);
    run(session, "SET enable_seqscan = on; SET enable_indexscan = off");
    assert_eq!(by_index, table(session, sql), "{sql} by index, and by scan");
    run(session, "RESET enable_seqscan; RESET enable_indexscan");
    by_index
}

/// Waits until a session blocks on another, or its thread has ended.
fn until_waiting(instance: &Instance, thread: &std::thread::ScopedJoinHandle<'_, impl Sized>) {
    let begun = Instant::now();
    while instance.transactions().waiting() == 0 && !thread.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn an_aborted_update_that_added_an_index_entry() {
    let instance = database();
    let mut s = session(&instance);
    run(&mut s, "CREATE TABLE t (a int, b text); CREATE INDEX t_a ON t (a); INSERT INTO t VALUES (1, 'x')");
    run(&mut s, "BEGIN; UPDATE t SET a = 2; ROLLBACK");
    assert_eq!(by_index_and_scan(&mut s, "SELECT * FROM t WHERE a = 2"), [""; 0]);
    assert_eq!(by_index_and_scan(&mut s, "SELECT * FROM t WHERE a = 1"), ["1|x"]);
    let stats = instance.collect().expect("collects");
    assert!(stats.versions > 0, "the aborted version");
    collect(&instance);
    run(&mut s, "VACUUM t");
    for bound in ["a = 2", "a BETWEEN 0 AND 9"] {
        let expected: &[&str] = if bound == "a = 2" { &[] } else { &["1|x"] };
        assert_eq!(by_index_and_scan(&mut s, &format!("SELECT * FROM t WHERE {bound}")), expected);
        assert_eq!(
            by_index_and_scan(&mut s, &format!("SELECT a FROM t WHERE {bound}")).len(),
            expected.len()
        );
    }
    // An update to the same key by somebody else, on top of the aborted version.
    run(&mut s, "BEGIN; UPDATE t SET a = 3; ROLLBACK; UPDATE t SET a = 3");
    collect(&instance);
    assert_eq!(by_index_and_scan(&mut s, "SELECT * FROM t WHERE a > 0"), ["3|x"]);
    run(&mut s, "BEGIN; SAVEPOINT p; UPDATE t SET a = 4; ROLLBACK TO p; UPDATE t SET b = 'y'; COMMIT");
    collect(&instance);
    assert_eq!(by_index_and_scan(&mut s, "SELECT * FROM t WHERE a > 0"), ["3|y"]);
}

#[test]
fn two_inserters_of_one_key() {
    for (end, expected) in [("ROLLBACK", "2"), ("COMMIT", "1")] {
        let instance = database();
        let mut first = session(&instance);
        run(&mut first, "CREATE TABLE t (a int PRIMARY KEY, b int); BEGIN; INSERT INTO t VALUES (7, 1)");
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let mut second = session(&instance);
                second.simple_query("INSERT INTO t VALUES (7, 2)", &mut Rows::default()).err()
            });
            until_waiting(&instance, &second);
            assert!(!second.is_finished());
            run(&mut first, end);
            let error = second.join().expect("ends");
            assert_eq!(
                error.map(|e| e.sqlstate().to_string()),
                (end == "COMMIT").then(|| "23505".to_string())
            );
        });
        assert_eq!(table(&mut first, "SELECT b FROM t"), [expected]);
    }
}

#[test]
fn an_inserter_whose_competitor_moved_away_from_the_key() {
    for (end, expected) in [("ROLLBACK", &["7|1"][..]), ("COMMIT", &["7|2", "8|1"])] {
        let instance = database();
        let mut first = session(&instance);
        run(&mut first, "CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t VALUES (7, 1)");
        run(&mut first, "BEGIN; UPDATE t SET a = 8");
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let mut second = session(&instance);
                second.simple_query("INSERT INTO t VALUES (7, 2)", &mut Rows::default()).err()
            });
            until_waiting(&instance, &second);
            assert!(!second.is_finished(), "whether the key is free is not known yet");
            run(&mut first, end);
            let error = second.join().expect("ends");
            assert_eq!(
                error.map(|e| e.sqlstate().to_string()),
                (end == "ROLLBACK").then(|| "23505".to_string())
            );
        });
        collect(&instance);
        assert_eq!(by_index_and_scan(&mut first, "SELECT * FROM t WHERE a > 0 ORDER BY a"), expected);
    }
}

#[test]
fn equal_numbers_of_different_scale_under_an_index_only_scan() {
    let instance = database();
    let (mut s, mut old) = (session(&instance), session(&instance));
    run(&mut s, "CREATE TABLE t (n numeric, b int); CREATE INDEX t_n ON t (n)");
    run(&mut s, "INSERT INTO t SELECT 1.0, g FROM generate_series(1, 50) g; VACUUM t");
    run(&mut s, "SET enable_seqscan = off");
    let distinct = "SELECT n::text, count(*) FROM t WHERE n = 1 GROUP BY 1 ORDER BY 1";
    assert_eq!(table(&mut s, distinct), ["1.0|50"]);
    run(&mut old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL enable_seqscan = off; SELECT 1 FROM t");
    run(&mut s, "UPDATE t SET n = 1.00 WHERE b > 20");
    assert_eq!(table(&mut s, distinct), ["1.0|20", "1.00|30"]);
    assert_eq!(table(&mut old, distinct), ["1.0|50"]);
    collect(&instance);
    run(&mut s, "VACUUM t");
    assert_eq!(table(&mut s, distinct), ["1.0|20", "1.00|30"]);
    assert_eq!(table(&mut old, distinct), ["1.0|50"]);
    run(&mut old, "COMMIT");
    run(&mut s, "VACUUM t");
    assert_eq!(table(&mut s, distinct), ["1.0|20", "1.00|30"]);
    run(&mut s, "BEGIN; UPDATE t SET n = 1.000; ROLLBACK; VACUUM t");
    assert_eq!(table(&mut s, distinct), ["1.0|20", "1.00|30"]);
}

#[test]
fn a_column_list_added_by_an_aborted_alter() {
    let instance = database();
    let mut s = session(&instance);
    run(&mut s, "CREATE TABLE t (a int, b text); CREATE INDEX t_a ON t (a)");
    run(&mut s, "INSERT INTO t VALUES (1, 'one'), (2, 'two')");
    run(
        &mut s,
        "BEGIN; ALTER TABLE t ADD COLUMN c int DEFAULT 5; INSERT INTO t VALUES (3, 'three', 33); \
         UPDATE t SET a = a + 10; ROLLBACK",
    );
    // The next list must not be taken for the one that was rolled back: the collector still reads versions under that.
    run(&mut s, "ALTER TABLE t ADD COLUMN c text DEFAULT 'later'");
    run(&mut s, "INSERT INTO t VALUES (4, 'four', 'own')");
    let all = "SELECT * FROM t WHERE a > 0 ORDER BY a";
    let expected = ["1|one|later", "2|two|later", "4|four|own"];
    assert_eq!(by_index_and_scan(&mut s, all), expected);
    collect(&instance);
    run(&mut s, "VACUUM t");
    assert_eq!(by_index_and_scan(&mut s, all), expected);
    run(&mut s, "UPDATE t SET a = a + 10; VACUUM t");
    assert_eq!(by_index_and_scan(&mut s, all), ["11|one|later", "12|two|later", "14|four|own"]);
}

#[test]
fn an_overflow_value_shared_by_a_version_and_its_successor() {
    let instance = database();
    let (mut s, mut old) = (session(&instance), session(&instance));
    run(&mut s, "CREATE TABLE t (a int PRIMARY KEY, b int, c text)");
    let value = "(SELECT string_agg(md5(g::text), '') FROM generate_series(1, 1000) g)";
    run(&mut s, &format!("INSERT INTO t VALUES (1, 0, {value})"));
    let sum = "SELECT b, length(c), md5(c) FROM t";
    let before = table(&mut s, sum);
    run(&mut old, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_eq!(table(&mut old, sum), before);
    run(&mut s, "UPDATE t SET b = 1; BEGIN; UPDATE t SET b = 2; ROLLBACK");
    collect(&instance);
    assert_eq!(table(&mut old, sum), before, "the old version's value went with the aborted one");
    run(&mut s, "UPDATE t SET c = c || 'x'; UPDATE t SET b = 5");
    collect(&instance);
    assert_eq!(table(&mut old, sum), before);
    run(&mut old, "COMMIT");
    collect(&instance);
    run(&mut s, "VACUUM t");
    assert_eq!(table(&mut s, "SELECT b, length(c) FROM t"), ["5|32001"]);
    assert_eq!(table(&mut s, &format!("SELECT c = {value} || 'x' FROM t")), ["t"]);
    // Freed values' room is used again.
    let size = || {
        let mut s = session(&instance);
        table(&mut s, "SELECT pg_table_size('t')")[0].parse::<i64>().expect("a size")
    };
    run(&mut s, "UPDATE t SET c = c || 'y'");
    collect(&instance);
    let first = size();
    for _ in 0..50 {
        run(&mut s, "UPDATE t SET c = c || 'y'");
        collect(&instance);
    }
    assert!(size() <= first + 16 * 8192, "{} after {first}", size());
}

#[test]
fn an_index_made_while_an_older_repeatable_read_snapshot_is_open() {
    let instance = database();
    let (mut s, mut old) = (session(&instance), session(&instance));
    run(&mut s, "CREATE TABLE t (a int, b int); INSERT INTO t SELECT g, g FROM generate_series(1, 500) g");
    run(&mut old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL enable_seqscan = off");
    let one = "SELECT a, b FROM t WHERE a = 77";
    assert_eq!(table(&mut old, one), ["77|77"]);
    run(&mut old, &format!("PREPARE p AS {one}"));
    run(&mut s, "UPDATE t SET a = a + 1000 WHERE b = 77; DELETE FROM t WHERE b = 78");
    run(&mut s, "CREATE INDEX t_a ON t (a); ANALYZE t");
    // The index has what the build saw: neither row is in it as the old snapshot sees it.
    assert_eq!(table(&mut old, one), ["77|77"]);
    assert_eq!(table(&mut old, "EXECUTE p"), ["77|77"]);
    assert_eq!(table(&mut old, "SELECT a FROM t WHERE a = 78"), ["78"]);
    assert_eq!(table(&mut old, "SELECT max(a) FROM t"), ["500"]);
    run(&mut s, "SET enable_seqscan = off");
    // A plan that others made and keep for all is not for the old snapshot either.
    for _ in 0..4 {
        assert_eq!(table(&mut s, "SELECT a, b FROM t WHERE a = 1077"), ["1077|77"]);
        assert_eq!(table(&mut s, one), [""; 0]);
        assert_eq!(table(&mut old, one), ["77|77"]);
    }
    collect(&instance);
    assert_eq!(table(&mut old, one), ["77|77"]);
    run(&mut old, "COMMIT");
    assert_eq!(table(&mut old, one), [""; 0]);
    assert_eq!(table(&mut old, "SELECT a FROM t WHERE a = 1077"), ["1077"]);
}

/// A unique check looks at versions that no snapshot protects; their large values may go at any time.
#[test]
fn a_unique_check_reads_no_large_values() {
    let instance = database();
    let mut s = session(&instance);
    run(&mut s, "CREATE TABLE t (a int PRIMARY KEY, c text)");
    let value = "(SELECT string_agg(md5(g::text), '') FROM generate_series(1, 500) g)";
    run(
        &mut s,
        &format!("INSERT INTO t VALUES (1, {value}); BEGIN; UPDATE t SET a = 2, c = c || 'z'; ROLLBACK"),
    );
    assert_eq!(fails(&mut s, "INSERT INTO t VALUES (1, 'x')").sqlstate().as_str(), "23505");
    run(&mut s, "INSERT INTO t VALUES (2, 'x')");
}

fn commit_durably(session: &mut Session, sql: &str) -> bool {
    let done = session.simple_query(sql, &mut Rows::default()).is_ok();
    done && session.instance().transactions().wal().flush_to(session.take_gate()).is_ok()
}

/// The files of user relations.
fn files(instance: &Instance) -> usize {
    let first = ochre_base::FileId(1024);
    let all = instance.storage().files().list().expect("a list");
    all.into_iter().filter(|key| key.file >= first).count()
}

/// Runs a statement with the power cut at its first, second, third … operation on files, until it is not cut any more.
fn cut_at_every_step(sql: &str, mode: CrashMode, check: impl Fn(&mut Session, &Instance, bool)) {
    for step in 1.. {
        let machine = Machine::new(step);
        let instance = quiet(&machine.env);
        let mut s = session(&instance);
        assert!(commit_durably(
            &mut s,
            "CREATE TABLE t (a int PRIMARY KEY, b text); CREATE INDEX t_b ON t (b); \
             INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 300) g"
        ));
        machine.fs.cut_power_at(step);
        let mut acknowledged = commit_durably(&mut s, sql);
        // Dropped files are unlinked after the flush, by whoever comes by; a checkpoint does.
        acknowledged &= instance.checkpoint().is_ok() || acknowledged;
        let cut = machine.fs.power_lost();
        machine.fs.crash(mode);
        drop(s);
        std::mem::forget(instance);
        let instance = quiet(&machine.env);
        let mut s = session(&instance);
        check(&mut s, &instance, acknowledged);
        // It goes on working, and a second recovery finds the same.
        run(&mut s, "CREATE TABLE IF NOT EXISTS t (a int PRIMARY KEY, b text)");
        run(&mut s, "INSERT INTO t VALUES (1000, 'later'); DELETE FROM t WHERE a = 1000");
        collect(&instance);
        if !cut {
            assert!(step > 3, "the statement touches files");
            return;
        }
    }
}

const MODES: [CrashMode; 3] = [CrashMode::DropUnsynced, CrashMode::KeepUnsynced, CrashMode::Random];

#[test]
fn drop_table_cut_by_a_crash_at_every_step() {
    for mode in MODES {
        cut_at_every_step("DROP TABLE t", mode, |s, instance, acknowledged| {
            let exists = table(s, "SELECT to_regclass('t') IS NOT NULL") == ["t"];
            assert!(!(acknowledged && exists), "an acknowledged DROP came back");
            if exists {
                assert_eq!(table(s, "SELECT count(*), min(b), max(a) FROM t"), ["300|row 1|300"]);
                assert_eq!(by_index_and_scan(s, "SELECT a FROM t WHERE b = 'row 77'"), ["77"]);
            }
            assert_eq!(
                files(instance),
                if exists { 3 } else { 0 },
                "files of a table and two indexes, or none"
            );
        });
    }
}

#[test]
fn truncate_cut_by_a_crash_at_every_step() {
    for mode in MODES {
        cut_at_every_step("TRUNCATE t", mode, |s, instance, acknowledged| {
            let rows = table(s, "SELECT count(*) FROM t");
            assert!(rows == ["0"] || (!acknowledged && rows == ["300"]), "{rows:?} after a TRUNCATE");
            let by_index = by_index_and_scan(s, "SELECT a FROM t WHERE b = 'row 77'");
            assert_eq!(by_index.len(), usize::from(rows == ["300"]));
            assert_eq!(files(instance), 3, "files of one table and two indexes");
        });
    }
}

#[test]
fn rolling_back_a_million_rows_takes_no_time() {
    let instance = database();
    let mut s = session(&instance);
    let rows = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    run(
        &mut s,
        &format!(
            "CREATE TABLE t (a int, b int); INSERT INTO t SELECT g, 0 FROM generate_series(1, {rows}) g"
        ),
    );
    run(&mut s, "BEGIN; UPDATE t SET b = 1");
    let begun = Instant::now();
    run(&mut s, "ROLLBACK");
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(10), "{took:?}");
    assert_eq!(table(&mut s, "SELECT sum(b) FROM t"), ["0"]);
}

fn number(session: &mut Session, sql: &str) -> i64 {
    table(session, sql)[0].parse().expect("a number")
}

#[test]
fn statistics_of_tables_tell_what_happened() {
    let instance = database();
    let mut s = session(&instance);
    let counts = "SELECT n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del, n_live_tup, n_dead_tup \
                  FROM pg_stat_user_tables WHERE relname = 't'";
    run(&mut s, "CREATE TABLE t (a int PRIMARY KEY, b int)");
    run(&mut s, "INSERT INTO t SELECT g, 0 FROM generate_series(1, 100) g");
    assert_eq!(table(&mut s, counts), ["100|0|0|0|100|0"]);
    run(
        &mut s,
        "UPDATE t SET b = 1 WHERE a <= 10; UPDATE t SET a = a + 1000 WHERE a <= 5; DELETE FROM t WHERE a = 50",
    );
    assert_eq!(table(&mut s, counts), ["100|15|10|1|99|16"]);
    run(&mut s, "BEGIN; UPDATE t SET b = 2; INSERT INTO t VALUES (5000, 0); ROLLBACK");
    assert_eq!(table(&mut s, counts), ["101|114|109|1|99|116"]);
    run(
        &mut s,
        "BEGIN; SAVEPOINT p; DELETE FROM t WHERE a = 60; ROLLBACK TO p; DELETE FROM t WHERE a = 61; COMMIT",
    );
    // Writers that are short of room may have unlinked some by now.
    let dead = |s: &mut Session| number(s, "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 't'");
    let now = dead(&mut s);
    assert!((100..=117).contains(&now), "{now}");
    assert_eq!(table(&mut s, counts), [format!("101|114|109|3|98|{now}")]);
    collect(&instance);
    instance.transactions().wal().flush_to(instance.transactions().newest()).expect("flushes");
    collect(&instance);
    assert_eq!(table(&mut s, counts), ["101|114|109|3|98|0"], "the garbage is gone without VACUUM");
    let scans =
        "SELECT seq_scan, seq_tup_read, idx_scan, idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 't'";
    let before = table(&mut s, scans);
    run(&mut s, "SELECT count(*) FROM t WHERE b = 1");
    run(&mut s, "SELECT * FROM t WHERE a = 7");
    let after = table(&mut s, scans);
    let parse = |row: &[String]| row[0].split('|').map(|v| v.parse().expect("a count")).collect::<Vec<i64>>();
    let difference: Vec<i64> = parse(&after).iter().zip(parse(&before)).map(|(a, b)| a - b).collect();
    assert_eq!(difference, [1, 98, 1, 1]);
    let times = "SELECT last_vacuum IS NOT NULL, last_analyze IS NOT NULL, vacuum_count, analyze_count, \
                 n_mod_since_analyze, n_ins_since_vacuum FROM pg_stat_all_tables WHERE relname = 't'";
    assert_eq!(table(&mut s, times), ["f|f|0|0|218|101"]);
    run(&mut s, "VACUUM ANALYZE t");
    assert_eq!(table(&mut s, times), ["t|t|1|1|0|0"]);
    assert_eq!(table(&mut s, "SELECT reltuples FROM pg_class WHERE relname = 't'"), ["98"]);
    run(&mut s, "INSERT INTO t SELECT g, 0 FROM generate_series(10000, 10099) g");
    assert_eq!(instance.analyze_changed().expect("analyzes"), 1);
    assert_eq!(instance.analyze_changed().expect("analyzes"), 0);
    let own = "SELECT autoanalyze_count, n_live_tup FROM pg_stat_user_tables WHERE relname = 't'";
    assert_eq!(table(&mut s, own), ["1|198"]);
    assert_eq!(table(&mut s, "SELECT reltuples FROM pg_class WHERE relname = 't'"), ["198"]);
    run(&mut s, "TRUNCATE t");
    assert_eq!(
        number(&mut s, "SELECT n_live_tup + n_dead_tup FROM pg_stat_user_tables WHERE relname = 't'"),
        0
    );
}

#[test]
fn vacuum_full_gives_the_space_back() {
    let instance = database();
    let (mut s, mut old) = (session(&instance), session(&instance));
    run(&mut s, "CREATE TABLE t (a int PRIMARY KEY, b text); CREATE INDEX t_b ON t (b)");
    run(
        &mut s,
        "INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 5000) g; DELETE FROM t WHERE a % 10 > 0",
    );
    let before = number(&mut s, "SELECT pg_total_relation_size('t')");
    run(&mut old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    run(&mut s, "UPDATE t SET b = 'new' WHERE a = 10");
    assert_eq!(fails(&mut s, "VACUUM FULL t").sqlstate().as_str(), "0A000");
    run(&mut old, "COMMIT");
    run(&mut s, "VACUUM (FULL, ANALYZE) t");
    let after = number(&mut s, "SELECT pg_total_relation_size('t')");
    assert!(after * 3 < before, "{after} of {before}");
    assert_eq!(table(&mut s, "SELECT count(*), min(a), max(a) FROM t"), ["500|10|5000"]);
    assert_eq!(by_index_and_scan(&mut s, "SELECT a FROM t WHERE b = 'new'"), ["10"]);
    assert_eq!(fails(&mut s, "INSERT INTO t VALUES (10, '')").sqlstate().as_str(), "23505");
}

#[test]
fn entries_of_an_index_that_is_not_committed_when_its_rows_are_rolled_back() {
    let instance = database();
    let (mut one, mut two) = (session(&instance), session(&instance));
    run(
        &mut one,
        "CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 1), (2, 2); DELETE FROM t WHERE a = 2",
    );
    run(
        &mut one,
        "BEGIN; CREATE INDEX t_b ON t (b); SAVEPOINT s; INSERT INTO t VALUES (3, 7); \
         UPDATE t SET b = 8 WHERE a = 1; ROLLBACK TO s",
    );
    instance.transactions().wal().flush_to(instance.transactions().wal().position()).expect("flushes");
    collect(&instance);
    run(&mut one, "COMMIT");
    run(&mut two, "INSERT INTO t VALUES (4, 9), (5, 9), (6, 9)");
    for (key, expected) in [(7, 0), (8, 0), (9, 3), (1, 1)] {
        let found = by_index_and_scan(&mut two, &format!("SELECT a, b FROM t WHERE b = {key}"));
        assert_eq!(found.len(), expected, "{key}: {found:?}");
    }
    collect(&instance);
    run(&mut two, "VACUUM t; INSERT INTO t VALUES (7, 9)");
    for (key, expected) in [(7, 0), (8, 0), (9, 4), (1, 1)] {
        let found = by_index_and_scan(&mut two, &format!("SELECT a, b FROM t WHERE b = {key}"));
        assert_eq!(found.len(), expected, "{key}: {found:?}");
    }
}

/// Whoever proposes a row for a key never changes a row of another key, however quickly the row that had it moves away.
#[test]
fn the_row_of_a_conflict_that_moves_to_another_key() {
    let instance = database();
    let mut s = session(&instance);
    run(&mut s, "CREATE TABLE t (k int PRIMARY KEY, wrong int); CREATE SEQUENCE q START 10");
    let rounds = 8000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut s = session(&instance);
            for _ in 0..rounds {
                run(&mut s, "UPDATE t SET k = nextval('q') WHERE k = 1");
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut s = session(&instance);
                for _ in 0..rounds {
                    run(
                        &mut s,
                        "INSERT INTO t VALUES (1, 0) ON CONFLICT (k) DO UPDATE \
                         SET wrong = t.wrong + (t.k <> excluded.k)::int",
                    );
                }
            });
        }
    });
    assert_eq!(table(&mut s, "SELECT k, wrong FROM t WHERE wrong > 0"), [""; 0]);
}

/// The interval rule: what lies between two open snapshots, and is seen by neither, goes while they are open.
#[test]
fn hot_rows_stay_bounded_while_a_snapshot_is_open() {
    let instance = database();
    let (mut s, mut old) = (session(&instance), session(&instance));
    run(&mut s, "CREATE TABLE t (a int PRIMARY KEY, b int, c text); CREATE INDEX t_b ON t (b)");
    run(&mut s, "INSERT INTO t SELECT g, g, repeat('x', 50) FROM generate_series(1, 20000) g");
    let size = "SELECT pg_total_relation_size('t')";
    let before = number(&mut s, size);
    run(&mut old, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_eq!(table(&mut old, "SELECT sum(b) FROM t"), ["200010000"]);
    for round in 0..300 {
        // Every third round changes keys, and every tenth is rolled back.
        let set = if round % 3 == 0 { "b = b + 100000" } else { "c = c || 'y'" };
        let end = if round % 10 == 9 { "ROLLBACK" } else { "COMMIT" };
        run(&mut s, &format!("BEGIN; UPDATE t SET {set} WHERE a % 1000 = 7; {end}"));
        instance.collect().expect("collects");
    }
    let after = number(&mut s, size);
    assert!(after * 10 <= before * 13, "{after} after {before}");
    assert_eq!(table(&mut old, "SELECT sum(b) FROM t"), ["200010000"]);
    assert_eq!(table(&mut old, "SELECT a, b FROM t WHERE b = 1007"), ["1007|1007"]);
    run(&mut old, "COMMIT");
    collect(&instance);
    run(&mut s, "SET enable_seqscan = off");
    assert_eq!(table(&mut s, "SELECT count(*) FROM t WHERE b = 1007"), ["0"]);
    assert_eq!(number(&mut s, "SELECT count(*) FROM t WHERE b > 100000"), 20);
    assert_eq!(number(&mut s, "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 't'"), 0);
}

/// Transactions beyond 2^32: one is begun near there, and the work goes on across it.
#[test]
fn transaction_ids_beyond_four_billion() {
    let first = (1_u64 << 32) - 40;
    let machine = Machine::new(1);
    let open = || {
        let storage = StorageConfig { background_threads: false, ..StorageConfig::default() };
        let first_xid = Some(ochre_base::Xid(first));
        let config = InstanceConfig { storage, background: false, first_xid, ..InstanceConfig::default() };
        Instance::open(machine.env.clone(), Path::new("/data"), config).expect("opens")
    };
    let instance = open();
    let mut s = session(&instance);
    run(&mut s, "CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t VALUES (1, 0), (2, 0)");
    let mut seen = 0;
    for round in 1..=100 {
        run(&mut s, "BEGIN; UPDATE t SET b = b + 1 WHERE a = 1");
        let full: u64 = table(&mut s, "SELECT pg_current_xact_id()")[0].parse().expect("an xid");
        assert!(full >= first && full > seen, "{full}");
        seen = full;
        assert_eq!(table(&mut s, "SELECT txid_current()"), [full.to_string()]);
        let short = (full as u32).to_string();
        assert_eq!(table(&mut s, "SELECT xmin FROM t WHERE a = 1"), std::slice::from_ref(&short));
        assert_eq!(table(&mut s, "SELECT pg_current_xact_id()::xid"), [short]);
        run(&mut s, if round % 4 == 0 { "ROLLBACK" } else { "COMMIT" });
        if round == 50 {
            run(&mut s, "CHECKPOINT");
        }
    }
    assert!(seen > 1 << 32);
    collect(&instance);
    assert_eq!(table(&mut s, "SELECT * FROM t ORDER BY a"), ["1|75", "2|0"]);
    run(&mut s, "BEGIN; UPDATE t SET b = 1000");
    instance.transactions().wal().flush_to(instance.transactions().wal().position()).expect("flushes");
    machine.fs.crash(CrashMode::KeepUnsynced);
    std::mem::forget((s, instance));
    let instance = open();
    let mut s = session(&instance);
    assert_eq!(table(&mut s, "SELECT * FROM t ORDER BY a"), ["1|75", "2|0"]);
    run(&mut s, "UPDATE t SET b = -1 WHERE a = 2; VACUUM t");
    let next: u64 = table(&mut s, "SELECT pg_current_xact_id()")[0].parse().expect("an xid");
    assert!(next > seen);
    assert_eq!(table(&mut s, "SELECT * FROM t ORDER BY a"), ["1|75", "2|-1"]);
}

/// An update touches only the indexes whose key changed: counted in entries and in bytes of the log.
#[test]
fn an_update_touches_only_indexes_whose_key_changed() {
    let instance = database();
    let mut s = session(&instance);
    let columns = (1..=8).map(|i| format!("c{i} int")).collect::<Vec<_>>().join(", ");
    let zeros = (1..=8).map(|i| format!("g + {i}")).collect::<Vec<_>>().join(", ");
    run(&mut s, &format!("CREATE TABLE t (a int PRIMARY KEY, b int, {columns})"));
    (1..=8).for_each(|i| run(&mut s, &format!("CREATE INDEX t_c{i} ON t (c{i})")));
    run(&mut s, &format!("INSERT INTO t SELECT g, 0, {zeros} FROM generate_series(1, 1000) g"));
    // Pages have their images in the log before it is measured.
    run(&mut s, "UPDATE t SET b = 1, c1 = c1 + 1, c2 = c2 + 1, c3 = c3 + 1, c4 = c4 + 1");
    let bytes = |s: &mut Session, sql: &str| {
        let before = instance.transactions().wal().position();
        (1..=200).for_each(|a| run(s, &sql.replace('?', &a.to_string())));
        (instance.transactions().wal().position().0 - before.0) / 200
    };
    let none = bytes(&mut s, "UPDATE t SET b = b + 1 WHERE a = ?");
    let one = bytes(&mut s, "UPDATE t SET b = b + 1, c8 = c8 + 5000 WHERE a = ?");
    let all = bytes(
        &mut s,
        "UPDATE t SET c1 = c1 + 9999, c2 = c2 + 9999, c3 = c3 + 9999, c4 = c4 + 9999, c5 = c5 + 9999, c6 = c6 + 9999, \
         c7 = c7 + 9999, c8 = c8 + 9999 WHERE a = ?",
    );
    println!("bytes of the log an update: no key {none}, one key {one}, eight keys {all}");
    assert!(none < 300, "{none}");
    assert!(one > none + 20 && one < none + 150, "{one} for one index, {none} for none");
    assert!(all > none + 7 * (one - none) / 2, "{all} for eight indexes");
}
