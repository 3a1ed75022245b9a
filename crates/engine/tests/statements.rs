//! Statements through a session, over files in memory.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use ochre_env::Env;

use common::{Rows, fails, open, run, table};

#[test]
fn rows_come_back() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(
        &mut session,
        "CREATE TABLE employees (id INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, department VARCHAR(50), \
         salary INTEGER, active BOOLEAN DEFAULT true)",
    );
    let rows = run(
        &mut session,
        "INSERT INTO employees VALUES (1,'Alice Johnson','Engineering',95000,true),\
         (2,'Bob Smith','Sales',65000,true),(3,'Charlie Brown','Engineering',85000,false)",
    );
    assert_eq!(rows.tags, ["INSERT 0 3"]);
    assert_eq!(
        table(
            &mut session,
            "SELECT name, salary FROM employees WHERE department = 'Engineering' AND active ORDER BY salary DESC"
        ),
        ["Alice Johnson|95000"]
    );
    let error = fails(&mut session, "INSERT INTO employees VALUES (1, 'x')");
    assert_eq!(error.sqlstate().as_str(), "23505");
    assert_eq!(error.fields().constraint.as_deref(), Some("employees_pkey"));
    assert_eq!(
        table(&mut session, "UPDATE employees SET salary = salary + 1 WHERE id = 2 RETURNING salary"),
        ["65001"]
    );
    assert_eq!(run(&mut session, "DELETE FROM employees WHERE NOT active").tags, ["DELETE 1"]);
    assert_eq!(table(&mut session, "SELECT count(*), sum(salary) FROM employees"), ["2|160001"]);
}

#[test]
fn a_directory_opens_again_with_what_was_committed() {
    let env = Env::in_memory();
    {
        let instance = open(&env);
        let mut session = instance.session("postgres", "postgres").expect("a session");
        run(&mut session, "CREATE TABLE t (a serial, b text DEFAULT 'x' CHECK (b <> ''), UNIQUE (b))");
        run(&mut session, "INSERT INTO t (b) VALUES ('one'), ('two')");
        run(&mut session, "BEGIN; INSERT INTO t (b) VALUES ('three'); CREATE TABLE gone (x int); ROLLBACK");
        drop(session);
        instance.close().expect("closes");
    }
    let instance = open(&env);
    let mut session = instance.session("postgres", "postgres").expect("a session");
    assert_eq!(table(&mut session, "SELECT * FROM t ORDER BY a"), ["1|one", "2|two"]);
    assert_eq!(fails(&mut session, "SELECT * FROM gone").sqlstate().as_str(), "42P01");
    assert_eq!(fails(&mut session, "INSERT INTO t (b) VALUES ('')").sqlstate().as_str(), "23514");
    assert_eq!(fails(&mut session, "INSERT INTO t (b) VALUES ('one')").sqlstate().as_str(), "23505");
    run(&mut session, "INSERT INTO t DEFAULT VALUES");
    assert_eq!(table(&mut session, "SELECT b FROM t WHERE a > 2"), ["x"]);
}

#[test]
fn ddl_is_transactional_and_savepoints_take_it_back() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    run(&mut session, "BEGIN; ALTER TABLE t ADD COLUMN b int DEFAULT 7; SAVEPOINT s; DROP TABLE t");
    let mut other = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, "ROLLBACK TO s; INSERT INTO t VALUES (2, 3); COMMIT");
    assert_eq!(table(&mut other, "SELECT * FROM t ORDER BY a"), ["1|7", "2|3"]);
    run(&mut session, "ALTER TABLE t DROP COLUMN a");
    assert_eq!(table(&mut other, "SELECT * FROM t ORDER BY b"), ["3", "7"]);
    run(&mut session, "ALTER TABLE t ALTER COLUMN b TYPE text USING 'v' || b");
    assert_eq!(table(&mut other, "SELECT * FROM t ORDER BY b"), ["v3", "v7"]);
}

#[test]
fn every_builtin_relation_can_be_read() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    let mut failures = Vec::new();
    for relation in ochre_catalog::builtin::relations() {
        let namespace = if relation.namespace == ochre_catalog::oids::PG_CATALOG {
            "pg_catalog"
        } else {
            "information_schema"
        };
        let sql = format!("SELECT * FROM {namespace}.{} LIMIT 3", relation.name);
        if let Err(error) = session.simple_query(&sql, &mut Rows::default()) {
            failures.push(format!("{sql}: {error:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn an_error_fails_the_block() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, "BEGIN");
    assert_eq!(fails(&mut session, "SELECT 1/0").sqlstate().as_str(), "22012");
    assert_eq!(fails(&mut session, "SELECT 1").sqlstate().as_str(), "25P02");
    assert_eq!(run(&mut session, "COMMIT").tags, ["ROLLBACK"]);
    assert_eq!(table(&mut session, "SELECT 1"), ["1"]);
}

#[test]
fn copy_goes_both_ways() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, "CREATE TABLE t (a int, b text)");
    run(&mut session, "COPY t FROM STDIN");
    session.copy_data(b"1\tone\n2\t").expect("data");
    session.copy_data(b"\\N\n").expect("data");
    let mut rows = Rows::default();
    session.copy_done(&mut rows).expect("done");
    assert_eq!(rows.tags, ["COPY 2"]);
    let rows = run(&mut session, "COPY t TO STDOUT (FORMAT csv, HEADER)");
    assert_eq!(String::from_utf8_lossy(&rows.copied), "a,b\n1,one\n2,\n");
}
