//! Foreign keys between sessions: who waits for whom, and what each is told.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ochre_base::Error;
use ochre_engine::{Instance, Session};
use ochre_env::Env;

use common::{Rows, fails, open, run, table};

/// Long enough for a statement that does not wait.
const SOON: Duration = Duration::from_secs(20);
/// Long enough to tell that a statement waits.
const A_WHILE: Duration = Duration::from_millis(150);

type Answer = Result<Vec<String>, Error>;

/// A session on a thread of its own.
struct Client {
    statements: Option<Sender<String>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    fn new(instance: &Arc<Instance>) -> Client {
        let (statements, to_run) = channel::<String>();
        let (answer, answers) = channel();
        let instance = Arc::clone(instance);
        let thread = std::thread::spawn(move || {
            let mut session = instance.session("postgres", "postgres").expect("a session");
            for sql in to_run {
                let mut rows = Rows::default();
                let outcome = session.simple_query(&sql, &mut rows).map(|_| rows.tags);
                if answer.send(outcome).is_err() {
                    return;
                }
            }
        });
        Client { statements: Some(statements), answers, thread: Some(thread) }
    }

    fn send(&self, sql: &str) {
        self.statements.as_ref().expect("open").send(sql.to_string()).expect("the thread runs");
    }

    /// A statement's answer, which comes without waiting for anybody.
    fn answer(&self) -> Answer {
        self.answers.recv_timeout(SOON).expect("an answer comes")
    }

    fn run(&self, sql: &str) {
        self.send(sql);
        if let Err(error) = self.answer() {
            panic!("{sql}: {error:?}");
        }
    }

    fn fails(&self, sql: &str) -> Error {
        self.send(sql);
        self.answer().expect_err(sql)
    }

    /// Sends a statement that waits for another transaction.
    fn waits(&self, sql: &str) {
        self.send(sql);
        assert!(
            matches!(self.answers.recv_timeout(A_WHILE), Err(RecvTimeoutError::Timeout)),
            "{sql} does not wait"
        );
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.statements.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn session(instance: &Arc<Instance>) -> Session {
    instance.session("postgres", "postgres").expect("a session")
}

/// Two clients over a parent with keys 1 and 2 and a child that refers to it.
fn two_clients(action: &str) -> (Arc<Instance>, Client, Client) {
    let instance = open(&Env::in_memory());
    run(
        &mut session(&instance),
        &format!(
            "CREATE TABLE p (a int PRIMARY KEY, v int); CREATE TABLE c (x int REFERENCES p {action}, w int); \
             INSERT INTO p VALUES (1, 0), (2, 0)"
        ),
    );
    let (one, two) = (Client::new(&instance), Client::new(&instance));
    (instance, one, two)
}

fn code(error: &Error) -> String {
    error.sqlstate().as_str().to_string()
}

#[test]
fn messages_tell_what_is_wrong_and_where() {
    let instance = open(&Env::in_memory());
    let mut s = session(&instance);
    run(
        &mut s,
        "CREATE SCHEMA far; CREATE TABLE far.parent (a int, b text, PRIMARY KEY (a, b)); \
         CREATE TABLE far.child (x int, y text, FOREIGN KEY (x, y) REFERENCES far.parent MATCH FULL); \
         INSERT INTO far.parent VALUES (1, 'one'); INSERT INTO far.child VALUES (1, 'one')",
    );
    let error = fails(&mut s, "INSERT INTO far.child VALUES (2, 'two')");
    let fields = error.fields();
    assert_eq!(
        error.message(),
        "insert or update on table \"child\" violates foreign key constraint \"child_x_y_fkey\""
    );
    assert_eq!(fields.detail.as_deref(), Some("Key (x, y)=(2, two) is not present in table \"parent\"."));
    assert_eq!(
        (fields.schema.as_deref(), fields.table.as_deref(), fields.constraint.as_deref()),
        (Some("far"), Some("child"), Some("child_x_y_fkey"))
    );
    let error = fails(&mut s, "INSERT INTO far.child VALUES (NULL, 'two')");
    assert_eq!(
        error.fields().detail.as_deref(),
        Some("MATCH FULL does not allow mixing of null and nonnull key values.")
    );
    let error = fails(&mut s, "DELETE FROM far.parent");
    assert_eq!(
        error.message(),
        "update or delete on table \"parent\" violates foreign key constraint \"child_x_y_fkey\" on table \"child\""
    );
    let fields = error.fields();
    assert_eq!(
        fields.detail.as_deref(),
        Some("Key (a, b)=(1, one) is still referenced from table \"child\".")
    );
    assert_eq!(
        (fields.schema.as_deref(), fields.table.as_deref(), fields.constraint.as_deref()),
        (Some("far"), Some("child"), Some("child_x_y_fkey"))
    );
    let error = fails(&mut s, "DROP TABLE far.parent");
    assert_eq!(error.message(), "cannot drop table far.parent because other objects depend on it");
    assert_eq!(
        error.fields().detail.as_deref(),
        Some("constraint child_x_y_fkey on table far.child depends on table far.parent")
    );
    let rows = run(&mut s, "DROP TABLE far.parent CASCADE");
    assert_eq!(rows.notices, ["drop cascades to constraint child_x_y_fkey on table far.child"]);
    run(&mut s, "INSERT INTO far.child VALUES (7, 'x')");
    run(&mut s, "CREATE TABLE far.other (a int PRIMARY KEY); CREATE TABLE near (x int REFERENCES far.other)");
    let error = fails(&mut s, "DROP SCHEMA far");
    let detail = error.fields().detail.clone().unwrap_or_default();
    assert!(detail.contains("constraint near_x_fkey on table near depends on table far.other"), "{detail}");
    let rows = run(&mut s, "DROP SCHEMA far CASCADE");
    assert!(rows.notices.contains(&"drop cascades to constraint near_x_fkey on table near".to_string()));
    run(&mut s, "INSERT INTO near VALUES (7)");
}

#[test]
fn constraints_are_there_after_a_restart() {
    let env = Env::in_memory();
    {
        let instance = open(&env);
        let mut s = session(&instance);
        run(
            &mut s,
            "CREATE TABLE p (a int PRIMARY KEY); \
             CREATE TABLE c (x int CONSTRAINT f REFERENCES p ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED); \
             INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (1), (2)",
        );
        drop(s);
        instance.close().expect("closes");
    }
    let instance = open(&env);
    let mut s = session(&instance);
    let text = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'f'";
    assert_eq!(
        table(&mut s, text),
        ["FOREIGN KEY (x) REFERENCES p(a) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"]
    );
    run(&mut s, "DELETE FROM p WHERE a = 1");
    assert_eq!(table(&mut s, "SELECT x FROM c"), ["2"]);
    assert_eq!(code(&fails(&mut s, "INSERT INTO c VALUES (1)")), "23503");
}

#[test]
fn a_child_waits_for_a_parent_that_is_being_deleted() {
    let (instance, one, two) = two_clients("");
    one.run("BEGIN; DELETE FROM p WHERE a = 1");
    two.waits("INSERT INTO c VALUES (1)");
    one.run("COMMIT");
    assert_eq!(code(&two.answer().expect_err("its parent is gone")), "23503");
    one.run("BEGIN; DELETE FROM p WHERE a = 2");
    two.waits("INSERT INTO c VALUES (2)");
    one.run("ROLLBACK");
    two.answer().expect("its parent stays");
    assert_eq!(table(&mut session(&instance), "SELECT x FROM c"), ["2"]);
}

#[test]
fn a_parent_waits_for_a_child_that_is_being_inserted() {
    let (instance, one, two) = two_clients("");
    one.run("BEGIN; INSERT INTO c VALUES (1)");
    two.waits("DELETE FROM p WHERE a = 1");
    one.run("COMMIT");
    assert_eq!(code(&two.answer().expect_err("it has a child")), "23503");
    one.run("BEGIN; INSERT INTO c VALUES (2)");
    two.waits("UPDATE p SET a = 3 WHERE a = 2");
    one.run("ROLLBACK");
    two.answer().expect("it has no child");
    assert_eq!(table(&mut session(&instance), "SELECT a FROM p ORDER BY a"), ["1", "3"]);
}

#[test]
fn changes_beside_the_key_are_in_nobodys_way() {
    let (instance, one, two) = two_clients("");
    one.run("BEGIN; UPDATE p SET v = v + 1 WHERE a = 1");
    two.run("BEGIN; INSERT INTO c VALUES (1)");
    one.run("UPDATE p SET v = v + 1 WHERE a = 1; COMMIT");
    two.run("INSERT INTO c VALUES (1); COMMIT");
    two.run("BEGIN; INSERT INTO c VALUES (1)");
    one.run("UPDATE p SET v = v + 1 WHERE a = 1");
    two.run("COMMIT");
    let mut s = session(&instance);
    assert_eq!(table(&mut s, "SELECT v FROM p WHERE a = 1"), ["3"]);
    assert_eq!(table(&mut s, "SELECT count(*) FROM c"), ["3"]);
}

#[test]
fn a_key_that_changes_is_in_the_way() {
    let (instance, one, two) = two_clients("ON UPDATE CASCADE");
    one.run("BEGIN; UPDATE p SET a = 10 WHERE a = 1");
    two.waits("INSERT INTO c VALUES (1)");
    one.run("COMMIT");
    assert_eq!(code(&two.answer().expect_err("its parent has another key")), "23503");
    two.run("INSERT INTO c VALUES (10)");
    one.run("BEGIN; UPDATE p SET a = 11 WHERE a = 10");
    two.waits("UPDATE c SET w = 1");
    one.run("COMMIT");
    two.answer().expect("the row is still there");
    assert_eq!(table(&mut session(&instance), "SELECT * FROM c"), ["11|1"]);
}

#[test]
fn repeatable_read_checks_what_it_sees() {
    let (_instance, one, two) = two_clients("");
    two.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM p");
    one.run("INSERT INTO p VALUES (3, 0); DELETE FROM p WHERE a = 1; UPDATE p SET v = 1 WHERE a = 2");
    two.run("INSERT INTO c VALUES (2); SAVEPOINT s");
    // A key that came later is none for this snapshot; one that went is a conflict.
    assert_eq!(code(&two.fails("INSERT INTO c VALUES (3)")), "23503");
    two.run("ROLLBACK TO s");
    assert_eq!(code(&two.fails("INSERT INTO c VALUES (1)")), "40001");
    two.run("ROLLBACK");
}

#[test]
fn repeatable_read_does_not_touch_rows_that_it_does_not_see() {
    for action in ["ON DELETE CASCADE", "ON DELETE SET NULL"] {
        let (_instance, one, two) = two_clients(action);
        two.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM p");
        one.run("INSERT INTO c VALUES (1)");
        assert_eq!(code(&two.fails("DELETE FROM p WHERE a = 1")), "40001", "{action}");
        two.run("ROLLBACK");
    }
    let (_instance, one, two) = two_clients("");
    two.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM p");
    one.run("INSERT INTO c VALUES (1)");
    assert_eq!(code(&two.fails("DELETE FROM p WHERE a = 1")), "23503");
}

#[test]
fn two_inserters_of_a_deferrable_key_are_found_out() {
    let instance = open(&Env::in_memory());
    run(&mut session(&instance), "CREATE TABLE t (k int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    let (one, two) = (Client::new(&instance), Client::new(&instance));
    one.run("BEGIN; INSERT INTO t VALUES (1)");
    two.run("BEGIN; INSERT INTO t VALUES (1)");
    two.waits("COMMIT");
    one.run("COMMIT");
    assert_eq!(code(&two.answer().expect_err("the key is taken")), "23505");
    one.run("BEGIN; INSERT INTO t VALUES (2)");
    two.run("BEGIN; INSERT INTO t VALUES (2)");
    two.waits("COMMIT");
    one.run("ROLLBACK");
    two.answer().expect("the key is free");
    assert_eq!(table(&mut session(&instance), "SELECT k FROM t ORDER BY k"), ["1", "2"]);
}

#[test]
fn rows_in_bulk_are_checked_at_the_end() {
    let instance = open(&Env::in_memory());
    let mut s = session(&instance);
    run(
        &mut s,
        "CREATE TABLE p (a int PRIMARY KEY); CREATE TABLE c (x int REFERENCES p, up int UNIQUE); \
         ALTER TABLE c ADD FOREIGN KEY (x) REFERENCES c (up); CREATE INDEX ON c (x); \
         INSERT INTO p SELECT g FROM generate_series(0, 999) g",
    );
    // More than are checked at a time; each refers to one that comes later.
    run(&mut s, "INSERT INTO c SELECT (g + 1) % 1000, g FROM generate_series(0, 99999) g");
    assert_eq!(table(&mut s, "SELECT count(*), count(DISTINCT x) FROM c"), ["100000|1000"]);
    let error =
        fails(&mut s, "INSERT INTO c SELECT 1000 + g % 3, 200000 + g FROM generate_series(0, 49999) g");
    assert_eq!(error.fields().detail.as_deref(), Some("Key (x)=(1000) is not present in table \"p\"."));
    run(
        &mut s,
        "WITH new AS (INSERT INTO p SELECT g FROM generate_series(1000, 80000) g RETURNING a) \
                 INSERT INTO c SELECT 1, a + 500000 FROM new",
    );
    run(&mut s, "DELETE FROM p WHERE a > 5000");
    assert_eq!(code(&fails(&mut s, "DELETE FROM p WHERE a > 500")), "23503");
}
