//! The reply gate: locks and versions of a commit are free before the log is flushed, and whoever answers on the ground of
//! such a commit waits for the flush. Each test cuts the power between publish and flush: what was answered up to then with
//! its gate passed must be true afterwards.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::path::Path;
use std::sync::Arc;

use ochre_base::Lsn;
use ochre_engine::{Instance, InstanceConfig, Session};
use ochre_env::Env;
use ochre_env::sim::{CrashMode, SimClock, SimFileSystem, SimRandom};
use ochre_storage::StorageConfig;

use common::{Rows, fails, run, table};

struct Machine {
    fs: Arc<SimFileSystem>,
    env: Env,
}

impl Machine {
    fn new() -> Machine {
        let fs = Arc::new(SimFileSystem::with_crashes(1));
        let env = Env {
            fs: fs.clone(),
            clock: Arc::new(SimClock::new()),
            random: Arc::new(SimRandom::new(1)),
            ..Env::os()
        };
        Machine { fs, env }
    }

    fn open(&self) -> Arc<Instance> {
        let storage = StorageConfig { background_threads: false, ..StorageConfig::default() };
        let config = InstanceConfig { storage, background: false, ..InstanceConfig::default() };
        Instance::open(self.env.clone(), Path::new("/data"), config).expect("opens")
    }

    /// A database with a table that is durable.
    fn prepared(&self, sql: &str) -> Arc<Instance> {
        let instance = self.open();
        let mut session = session(&instance);
        run(&mut session, sql);
        pass(&session);
        instance
    }
}

fn session(instance: &Arc<Instance>) -> Session {
    instance.session("postgres", "postgres").expect("a session")
}

/// What the server does before it sends a reply.
fn pass(session: &Session) {
    let gate = session.take_gate();
    session.instance().transactions().wal().flush_to(gate).expect("flushes");
}

/// Whether a reply would have to wait now.
fn waits(session: &Session) -> bool {
    let gate = session.take_gate();
    gate > session.instance().transactions().wal().flushed()
}

/// A writer commits without a flush; a reader answers on that ground. Its reply has to wait; and when the power goes before
/// it, the commit is gone.
fn nothing_is_told(setup: &str, write: &str, read: &str, after: &str, expected: &[&str]) {
    let machine = Machine::new();
    let instance = machine.prepared(setup);
    let (mut writer, mut reader) = (session(&instance), session(&instance));
    assert_eq!(reader.take_gate(), Lsn::ZERO);
    run(&mut writer, write);
    assert!(writer.take_gate() > instance.transactions().wal().flushed(), "{write}: its own commit");
    let _ = reader.simple_query(read, &mut Rows::default());
    assert!(waits(&reader), "{read} after {write}: the reply tells what a crash takes back");
    machine.fs.crash(CrashMode::DropUnsynced);
    drop((writer, reader));
    std::mem::forget(instance);
    let instance = machine.open();
    assert_eq!(table(&mut session(&instance), after), expected, "{after} after {write} was lost");
}

const TABLE: &str = "CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t VALUES (1, 1)";

#[test]
fn a_select_waits_for_what_it_has_seen() {
    let all = "SELECT * FROM t ORDER BY a";
    nothing_is_told(TABLE, "INSERT INTO t VALUES (2, 2)", "SELECT * FROM t", all, &["1|1"]);
    nothing_is_told(TABLE, "UPDATE t SET b = 2", "SELECT b FROM t WHERE a = 1", all, &["1|1"]);
    nothing_is_told(TABLE, "DELETE FROM t", "SELECT count(*) FROM t", all, &["1|1"]);
    nothing_is_told(TABLE, "DELETE FROM t", "SELECT * FROM t WHERE a = 1", all, &["1|1"]);
}

#[test]
fn writes_that_find_something_or_nothing_wait() {
    let all = "SELECT * FROM t ORDER BY a";
    nothing_is_told(TABLE, "DELETE FROM t", "UPDATE t SET b = 5 WHERE a = 1", all, &["1|1"]);
    nothing_is_told(TABLE, "UPDATE t SET b = 2", "DELETE FROM t WHERE b = 1", all, &["1|1"]);
    nothing_is_told(TABLE, "UPDATE t SET b = 2", "UPDATE t SET b = b + 1 RETURNING b", all, &["1|1"]);
    nothing_is_told(TABLE, "UPDATE t SET b = 2", "BEGIN; UPDATE t SET b = b + 1 RETURNING b", all, &["1|1"]);
    nothing_is_told(TABLE, "DELETE FROM t", "SELECT * FROM t FOR UPDATE", all, &["1|1"]);
}

#[test]
fn the_tags_of_a_block_do_not_wait_but_its_rows_and_its_end_do() {
    let machine = Machine::new();
    let instance = machine.prepared(TABLE);
    let (mut writer, mut second) = (session(&instance), session(&instance));
    let flushed = || instance.transactions().wal().flushed();
    run(&mut writer, "UPDATE t SET b = 2");
    assert!(writer.take_gate_of_tags() > flushed(), "a commit of its own");
    for tag in ["BEGIN", "UPDATE t SET b = b + 1", "INSERT INTO t VALUES (2, 2)", "DELETE FROM t WHERE a = 2"]
    {
        run(&mut second, tag);
        assert!(second.take_gate_of_tags() <= flushed(), "{tag}");
    }
    assert!(waits(&second), "an error or a notice would tell what they met");
    for rows in ["UPDATE t SET b = b + 1 RETURNING 1", "SELECT 1 FROM t WHERE false", "SELECT b FROM t"] {
        run(&mut second, rows);
        assert!(second.take_gate_of_tags() > flushed(), "{rows}");
    }
    run(&mut second, "ROLLBACK; UPDATE t SET b = b + 1");
    assert!(second.take_gate_of_tags() > flushed(), "a tag outside a block");
    run(&mut second, "BEGIN; UPDATE t SET b = b + 1; COMMIT; BEGIN");
    assert!(second.take_gate_of_tags() > flushed(), "the block's end, whatever follows it");
}

#[test]
fn conflicts_of_keys_wait() {
    let all = "SELECT * FROM t ORDER BY a";
    let insert = "INSERT INTO t VALUES (2, 2)";
    nothing_is_told(TABLE, insert, "INSERT INTO t VALUES (2, 3)", all, &["1|1"]);
    nothing_is_told(TABLE, insert, "INSERT INTO t VALUES (2, 3) ON CONFLICT DO NOTHING", all, &["1|1"]);
    nothing_is_told(
        TABLE,
        insert,
        "INSERT INTO t VALUES (2, 3) ON CONFLICT (a) DO UPDATE SET b = t.b + 10 RETURNING b",
        all,
        &["1|1"],
    );
    // In a block, where nothing is committed by the reader.
    nothing_is_told(TABLE, insert, "BEGIN; INSERT INTO t VALUES (2, 3)", all, &["1|1"]);
    nothing_is_told(TABLE, "UPDATE t SET a = 2", "BEGIN; INSERT INTO t VALUES (2, 3)", all, &["1|1"]);
}

#[test]
fn errors_that_tell_of_values_wait() {
    let all = "SELECT * FROM t ORDER BY a";
    nothing_is_told(TABLE, "UPDATE t SET b = 0", "SELECT 1 / b FROM t", all, &["1|1"]);
    nothing_is_told(TABLE, "UPDATE t SET b = 0", "BEGIN; SELECT 1 / b FROM t", all, &["1|1"]);
}

#[test]
fn sequences_wait() {
    let machine = Machine::new();
    let instance = machine.prepared("CREATE SEQUENCE s");
    let (mut first, mut second) = (session(&instance), session(&instance));
    run(&mut first, "SELECT nextval('s')");
    assert!(waits(&first), "a number that a crash could give again");
    run(&mut second, "SELECT nextval('s')");
    assert!(waits(&second), "covered by the same record");
    run(&mut second, "SELECT last_value FROM s");
    assert!(waits(&second));
    run(&mut second, "SELECT setval('s', 100)");
    assert!(waits(&second));
    run(&mut second, "BEGIN; SELECT nextval('s'); ROLLBACK");
    assert!(waits(&second), "numbers are not rolled back");
    pass(&first);
    run(&mut second, "SELECT nextval('s')");
    pass(&second);
    machine.fs.crash(CrashMode::DropUnsynced);
    drop((first, second));
    std::mem::forget(instance);
    let instance = machine.open();
    let next: i64 = table(&mut session(&instance), "SELECT nextval('s')")[0].parse().expect("a number");
    assert!(next > 102, "{next} was given before");
}

#[test]
fn names_wait() {
    let exists = "SELECT to_regclass('t') IS NULL";
    nothing_is_told("SELECT 1", "CREATE TABLE t (a int)", "SELECT * FROM t", exists, &["t"]);
    nothing_is_told("CREATE TABLE t (a int)", "DROP TABLE t", "SELECT * FROM t", exists, &["f"]);
    nothing_is_told("CREATE TABLE t (a int)", "ALTER TABLE t RENAME TO u", "SELECT * FROM u", exists, &["f"]);
    nothing_is_told("CREATE TABLE t (a int)", "DROP TABLE t", "SELECT to_regclass('t')", exists, &["f"]);
}

#[test]
fn what_is_durable_makes_nobody_wait() {
    let machine = Machine::new();
    let instance = machine.prepared(TABLE);
    let (mut writer, mut reader) = (session(&instance), session(&instance));
    run(&mut writer, "UPDATE t SET b = 2");
    pass(&writer);
    run(&mut reader, "SELECT * FROM t");
    assert!(!waits(&reader));
    // What the snapshot does not see, nobody tells.
    run(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM t");
    run(&mut writer, "UPDATE t SET b = 3; INSERT INTO t VALUES (5, 5)");
    assert_eq!(table(&mut reader, "SELECT * FROM t"), ["1|2"]);
    assert!(!waits(&reader));
    assert_eq!(fails(&mut reader, "UPDATE t SET b = 4").sqlstate().as_str(), "40001");
    assert!(waits(&reader), "the conflict tells of the commit");
}

/// The collector removes rows only when their end is durable: a crash must find them again.
#[test]
fn the_collector_waits_for_the_flush_of_a_delete() {
    let machine = Machine::new();
    let instance = machine.prepared(TABLE);
    let mut writer = session(&instance);
    run(&mut writer, "UPDATE t SET b = 2; DELETE FROM t");
    for _ in 0..3 {
        instance.collect().expect("collects");
    }
    // Pages may reach the files meanwhile, and the log with them as far as they need it.
    machine.fs.crash(CrashMode::DropUnsynced);
    drop(writer);
    std::mem::forget(instance);
    let instance = machine.open();
    assert_eq!(table(&mut session(&instance), "SELECT * FROM t"), ["1|1"]);
}

#[test]
fn who_does_not_want_to_wait_does_not() {
    let machine = Machine::new();
    let instance = machine.prepared("CREATE TABLE t (a int PRIMARY KEY); CREATE SEQUENCE s");
    let (mut writer, mut reader) = (session(&instance), session(&instance));
    run(&mut writer, "SET synchronous_commit = off");
    pass(&writer);
    for sql in [
        "INSERT INTO t VALUES (1)",
        "SELECT nextval('s')",
        "BEGIN; UPDATE t SET a = 2; COMMIT",
        "CREATE TABLE other (a int)",
        "SELECT * FROM t",
    ] {
        run(&mut writer, sql);
        assert!(!waits(&writer), "{sql}");
    }
    run(&mut reader, "SELECT * FROM t");
    assert!(waits(&reader), "another session tells of it");
    run(&mut writer, "BEGIN; INSERT INTO t VALUES (3); PREPARE TRANSACTION 'p'");
    assert!(waits(&writer), "a prepared transaction is there after a crash");
    run(&mut writer, "COMMIT PREPARED 'p'");
    assert!(waits(&writer), "and so is its end");

    pass(&reader);
    run(&mut reader, "BEGIN; SET LOCAL synchronous_commit = off; INSERT INTO t VALUES (4)");
    assert!(!waits(&reader));
    run(&mut reader, "COMMIT");
    assert!(!waits(&reader), "by the setting of the transaction");
    run(&mut reader, "INSERT INTO t VALUES (5)");
    assert!(waits(&reader), "which ended with it");
}

#[test]
fn notifications_wait() {
    let machine = Machine::new();
    let instance = machine.prepared(TABLE);
    let (mut writer, mut listener) = (session(&instance), session(&instance));
    run(&mut listener, "LISTEN news");
    pass(&listener);
    for write in
        ["BEGIN; INSERT INTO t VALUES (2, 2); NOTIFY news, 'two'; COMMIT", "NOTIFY news, 'nothing written'"]
    {
        run(&mut writer, write);
        assert!(waits(&writer) || write.starts_with("NOTIFY"), "its own commit");
        let heard = listener.take_notifications();
        assert_eq!(heard.len(), 1, "{write}");
        assert!(waits(&listener), "it tells of a commit that a crash takes back: {write}");
    }
    machine.fs.crash(CrashMode::DropUnsynced);
    drop((writer, listener));
    std::mem::forget(instance);
    let instance = machine.open();
    assert_eq!(table(&mut session(&instance), "SELECT * FROM t"), ["1|1"]);
}

/// Locks are free before the flush, and everything that was committed is seen by then: whoever gets the lock finds as many
/// rows as the counter says.
#[test]
fn who_gets_a_lock_sees_all_that_its_holder_committed() {
    for lock in [
        "SELECT v FROM counter WHERE id = 1 FOR UPDATE",
        "UPDATE counter SET v = v WHERE id = 1 RETURNING v",
        "SELECT pg_advisory_xact_lock(9)",
        "LOCK TABLE counter IN EXCLUSIVE MODE",
    ] {
        let instance =
            Instance::open(Env::in_memory(), Path::new("/data"), InstanceConfig::default()).expect("opens");
        run(
            &mut session(&instance),
            "CREATE TABLE counter (id int PRIMARY KEY, v int); INSERT INTO counter VALUES (1, 0)",
        );
        run(&mut session(&instance), "CREATE TABLE entries (n int PRIMARY KEY)");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut s = session(&instance);
                    for _ in 0..100 {
                        run(&mut s, "BEGIN");
                        run(&mut s, lock);
                        let both = table(
                            &mut s,
                            "SELECT (SELECT v FROM counter WHERE id = 1), (SELECT count(*) FROM entries)",
                        );
                        let (counter, entries) = both[0].split_once('|').expect("two");
                        assert_eq!(counter, entries, "after {lock}");
                        run(&mut s, &format!("INSERT INTO entries VALUES ({counter})"));
                        run(&mut s, "UPDATE counter SET v = v + 1 WHERE id = 1");
                        run(&mut s, "COMMIT");
                    }
                });
            }
        });
        assert_eq!(table(&mut session(&instance), "SELECT v FROM counter"), ["400"]);
    }
}
