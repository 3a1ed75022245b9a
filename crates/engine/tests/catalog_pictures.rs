//! What one transaction changes of the catalog beside what others commit meanwhile, and what it leaves when it is rolled
//! back. The simulated crashes of `ochre-torture` found these.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::path::Path;
use std::sync::Arc;

use ochre_engine::{Instance, InstanceConfig, Session};
use ochre_env::Env;
use ochre_storage::StorageConfig;

use common::{fails, run, table};

fn database() -> Arc<Instance> {
    database_on(Env::in_memory())
}

fn database_on(env: Env) -> Arc<Instance> {
    let storage = StorageConfig { background_threads: false, ..StorageConfig::default() };
    let config = InstanceConfig { storage, background: false, ..InstanceConfig::default() };
    Instance::open(env, Path::new("/data"), config).expect("opens")
}

fn session(instance: &Arc<Instance>) -> Session {
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, "SET lock_timeout = '10ms'");
    session
}

fn is_sound(instance: &Arc<Instance>) {
    let mut problems = Vec::new();
    ochre_engine::check::check_instance(instance, &mut |problem| problems.push(problem.to_string()));
    assert_eq!(problems, [""; 0]);
}

#[test]
fn a_transaction_with_ddl_sees_what_others_commit() {
    let instance = database();
    let (mut a, mut b) = (session(&instance), session(&instance));
    run(&mut b, "CREATE TABLE old (x int); CREATE TABLE gone (x int)");
    run(&mut a, "BEGIN");
    run(&mut a, "CREATE TABLE own (x int)");
    run(&mut b, "CREATE TABLE new (x int PRIMARY KEY)");
    run(&mut b, "CREATE INDEX old_x ON old (x)");
    run(&mut b, "DROP TABLE gone");
    run(&mut a, "INSERT INTO new VALUES (1)");
    run(&mut a, "SAVEPOINT p");
    run(&mut a, "CREATE TABLE own_too (x int)");
    run(&mut a, "ROLLBACK TO p");
    run(&mut b, "TRUNCATE old");
    // Into the file and the index that are there now.
    run(&mut a, "INSERT INTO old VALUES (7)");
    assert_eq!(table(&mut a, "SELECT to_regclass('gone') IS NULL, to_regclass('own_too') IS NULL"), ["t|t"]);
    run(&mut a, "INSERT INTO own VALUES (3)");
    run(&mut a, "COMMIT");
    run(&mut b, "SET enable_seqscan = off");
    assert_eq!(table(&mut b, "SELECT x FROM old WHERE x = 7"), ["7"]);
    assert_eq!(table(&mut b, "SELECT * FROM own"), ["3"]);
    is_sound(&instance);
}

#[test]
fn garbage_of_a_change_that_was_rolled_back_is_collected() {
    let instance = database();
    let mut s = session(&instance);
    run(&mut s, "CREATE TABLE t (id int PRIMARY KEY, n int, s text); CREATE INDEX t_n ON t (n)");
    run(&mut s, "INSERT INTO t SELECT g, g, 'row ' || g FROM generate_series(1, 50) AS g");
    for change in [
        "ALTER TABLE t DROP COLUMN s",
        "ALTER TABLE t ADD COLUMN c text DEFAULT 'c'",
        "ALTER TABLE t ALTER COLUMN n TYPE bigint",
    ] {
        run(&mut s, "BEGIN");
        run(&mut s, change);
        run(&mut s, "INSERT INTO t (id, n) SELECT g, g FROM generate_series(100, 150) AS g");
        run(&mut s, "UPDATE t SET n = n + 1000 WHERE id < 20");
        run(&mut s, "ROLLBACK");
        for _ in 0..3 {
            instance.collect().expect("collects");
        }
    }
    // The same number for a column of another type.
    run(&mut s, "ALTER TABLE t ADD COLUMN d int");
    run(&mut s, "CREATE INDEX t_d ON t (d)");
    run(&mut s, "BEGIN; UPDATE t SET d = id; ROLLBACK");
    run(&mut s, "UPDATE t SET d = 1 WHERE id < 10");
    instance.collect().expect("collects");
    assert_eq!(table(&mut s, "SELECT count(*), sum(n), sum(d) FROM t"), ["50|1275|9"]);
    is_sound(&instance);
}

#[test]
fn an_index_goes_only_when_nobody_changes_its_table() {
    let instance = database();
    let (mut a, mut b) = (session(&instance), session(&instance));
    run(&mut a, "CREATE TABLE t (id int PRIMARY KEY, n int); CREATE INDEX t_n ON t (n)");
    run(&mut a, "BEGIN");
    run(&mut a, "ALTER TABLE t ADD COLUMN c int");
    for refused in ["DROP INDEX t_n", "CREATE INDEX t_m ON t (n)"] {
        assert_eq!(fails(&mut b, refused).sqlstate().as_str(), "55P03", "{refused}");
    }
    run(&mut a, "COMMIT");
    run(&mut a, "BEGIN");
    run(&mut a, "INSERT INTO t VALUES (1, 1, 1)");
    assert_eq!(fails(&mut b, "DROP INDEX t_n").sqlstate().as_str(), "55P03");
    run(&mut a, "COMMIT");
    run(&mut a, "BEGIN");
    run(&mut a, "CREATE INDEX t_a ON t (n, c)");
    run(&mut b, "CREATE INDEX t_b ON t (c)");
    run(&mut a, "COMMIT");
    run(&mut b, "DROP INDEX t_n");
    run(&mut b, "INSERT INTO t VALUES (2, 2, 2)");
    is_sound(&instance);
}

#[test]
fn statistics_of_one_kind_of_number_beside_another() {
    let instance = database();
    let mut s = session(&instance);
    run(&mut s, "CREATE TABLE t (id int PRIMARY KEY, n bigint, f float8)");
    run(&mut s, "INSERT INTO t SELECT g, g % 5, g % 3 FROM generate_series(1, 1000) AS g");
    run(&mut s, "ANALYZE t");
    assert_eq!(table(&mut s, "SELECT count(*) FROM t WHERE n = 3"), ["200"]);
    assert_eq!(table(&mut s, "SELECT count(*) FROM t WHERE n < 3 AND f > 1"), ["200"]);
}

#[test]
fn columns_of_row_types_stay_what_they_are() {
    let env = Env::in_memory();
    let instance = database_on(env.clone());
    let mut s = session(&instance);
    run(&mut s, "CREATE TYPE place AS (street text, number int); CREATE TYPE gone AS (a int, b text)");
    run(&mut s, "CREATE TABLE made (a int, b text)");
    run(&mut s, "CREATE TABLE t (id int, p place, g gone, m made, after text)");
    run(&mut s, "INSERT INTO t VALUES (1, ROW('x', 2), ROW(3, 'y'), ROW(4, 'z'), 'after')");
    run(&mut s, "ALTER TABLE t ADD COLUMN late place");
    run(&mut s, "DROP TYPE gone CASCADE");
    run(&mut s, "INSERT INTO t VALUES (2, NULL, ROW(5, NULL), 'later', ROW('late', 6))");
    let all = "SELECT id, p, (p).number, m, (m).b, after, late FROM t ORDER BY id";
    let rows = ["1|(x,2)|2|(4,z)|z|after|NULL", "2|NULL|NULL|(5,)|NULL|later|(late,6)"];
    assert_eq!(table(&mut s, all), rows);
    // The picture is made from the rows anew.
    run(&mut s, "BEGIN; SAVEPOINT s; CREATE TABLE other (p place); ROLLBACK TO s");
    assert_eq!(table(&mut s, all), rows);
    run(&mut s, "COMMIT");
    assert_eq!(table(&mut s, all), rows);
    run(&mut s, "ANALYZE t");
    drop(s);
    instance.close().expect("closes");
    drop(instance);
    let instance = database_on(env);
    let mut s = session(&instance);
    assert_eq!(table(&mut s, all), rows);
    run(&mut s, "UPDATE t SET after = after || '!'");
    run(&mut s, "INSERT INTO t (id, p) VALUES (3, ROW('new', 7)::place)");
    assert_eq!(
        table(&mut s, all),
        [
            "1|(x,2)|2|(4,z)|z|after!|NULL",
            "2|NULL|NULL|(5,)|NULL|later!|(late,6)",
            "3|(new,7)|7|NULL|NULL|NULL|NULL"
        ]
    );
    is_sound(&instance);
}
