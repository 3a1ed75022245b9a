//! Prepared transactions: what they hold, and that they survive whatever happens to the server.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::path::Path;
use std::sync::Arc;

use ochre_base::Result;
use ochre_engine::{Instance, InstanceConfig, Session};
use ochre_env::Env;
use ochre_env::sim::CrashMode;
use ochre_storage::StorageConfig;

use common::{Machine, Rows, fails, open, run, table};

/// Opens the machine's directory, with nothing in the background.
fn start(machine: &Machine) -> Result<Arc<Instance>> {
    let config = InstanceConfig {
        storage: StorageConfig {
            shared_buffers_bytes: 256 * 8192,
            wal_segment_bytes: 1 << 20,
            wal_buffer_bytes: 4 << 10,
            background_threads: false,
            ..StorageConfig::default()
        },
        background: false,
        ..InstanceConfig::default()
    };
    Instance::open(machine.env.clone(), Path::new("/data"), config)
}

fn session(instance: &Arc<Instance>) -> Session {
    instance.session("postgres", "postgres").expect("a session")
}

/// Runs statements as a server does: what is said to be done is durable.
fn acknowledged(session: &mut Session, sql: &str) -> Result<()> {
    session.simple_query(sql, &mut Rows::default())?;
    session.instance().transactions().wal().flush_to(session.take_gate())
}

const SETUP: &str = "CREATE TABLE t (id int PRIMARY KEY, v text);
    CREATE TABLE other (x int);
    INSERT INTO t VALUES (1, 'a'), (2, 'b'), (4, 'd');
    INSERT INTO other VALUES (1), (2)";

#[test]
fn a_prepared_transaction_runs_for_everybody() {
    let instance = open(&Env::in_memory());
    let (mut a, mut b) = (session(&instance), session(&instance));
    run(&mut a, SETUP);
    run(&mut a, "BEGIN; INSERT INTO t VALUES (3, 'c'); UPDATE t SET v = 'A' WHERE id = 1");
    run(&mut a, "SELECT * FROM t WHERE id = 4 FOR UPDATE");
    assert_eq!(run(&mut a, "PREPARE TRANSACTION 'one'").tags, ["PREPARE TRANSACTION"]);
    run(&mut b, "SET lock_timeout = '20ms'");
    for session in [&mut a, &mut b] {
        assert_eq!(table(session, "SELECT id, v FROM t ORDER BY id"), ["1|a", "2|b", "4|d"]);
    }
    assert_eq!(fails(&mut b, "UPDATE t SET v = 'x' WHERE id = 1").sqlstate().as_str(), "55P03");
    assert_eq!(fails(&mut b, "UPDATE t SET v = 'x' WHERE id = 4").sqlstate().as_str(), "55P03");
    assert_eq!(fails(&mut b, "INSERT INTO t VALUES (3, 'mine')").sqlstate().as_str(), "55P03");
    assert_eq!(fails(&mut b, "DROP TABLE t").sqlstate().as_str(), "55P03");
    let listed = table(&mut b, "SELECT gid, owner, database FROM pg_prepared_xacts");
    assert_eq!(listed, ["one|postgres|postgres"]);
    assert_eq!(fails(&mut b, "BEGIN; PREPARE TRANSACTION 'one'").sqlstate().as_str(), "42710");
    assert_eq!(fails(&mut b, "COMMIT PREPARED 'two'").sqlstate().as_str(), "42704");
    run(&mut b, "BEGIN");
    assert_eq!(fails(&mut b, "COMMIT PREPARED 'one'").sqlstate().as_str(), "25001");
    run(&mut b, "ROLLBACK");
    // The session that prepared it is gone.
    drop(a);
    assert_eq!(run(&mut b, "COMMIT PREPARED 'one'").tags, ["COMMIT PREPARED"]);
    assert_eq!(table(&mut b, "SELECT id, v FROM t ORDER BY id"), ["1|A", "2|b", "3|c", "4|d"]);
    run(&mut b, "UPDATE t SET v = 'x' WHERE id = 4; DROP TABLE t");
}

#[test]
fn it_is_refused_where_postgresql_refuses_it() {
    let instance = open(&Env::in_memory());
    let mut a = session(&instance);
    run(&mut a, SETUP);
    assert_eq!(run(&mut a, "PREPARE TRANSACTION 'none'").tags, ["ROLLBACK"]);
    run(&mut a, "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1");
    assert_eq!(fails(&mut a, "PREPARE TRANSACTION 'held'").sqlstate().as_str(), "0A000");
    run(&mut a, "SELECT 1");
    run(&mut a, "BEGIN");
    fails(&mut a, "SELECT 1 / 0");
    assert_eq!(run(&mut a, "PREPARE TRANSACTION 'failed'").tags, ["ROLLBACK"]);
    run(&mut a, "BEGIN");
    let long = "x".repeat(200);
    let error = fails(&mut a, &format!("PREPARE TRANSACTION '{long}'"));
    assert_eq!(error.sqlstate().as_str(), "22023");
    run(&mut a, "BEGIN; SELECT pg_advisory_lock(7); SELECT pg_advisory_xact_lock(7)");
    assert_eq!(fails(&mut a, "PREPARE TRANSACTION 'twice'").sqlstate().as_str(), "0A000");
    assert_eq!(table(&mut a, "SELECT count(*) FROM pg_prepared_xacts"), ["0"]);
    // A transaction that only read can be prepared, too.
    run(&mut a, "BEGIN READ ONLY; SELECT * FROM t; PREPARE TRANSACTION 'reader'");
    run(&mut a, "ROLLBACK PREPARED 'reader'");
    run(&mut a, "BEGIN; INSERT INTO t VALUES (9, 'i'); PREPARE TRANSACTION 'back'");
    run(&mut a, "ROLLBACK PREPARED 'back'");
    assert_eq!(table(&mut a, "SELECT count(*) FROM t"), ["3"]);
    run(&mut a, "INSERT INTO t VALUES (9, 'i')");
}

#[test]
fn it_holds_its_locks_after_a_crash() {
    let machine = Machine::new(7);
    {
        let instance = start(&machine).expect("opens");
        let mut a = session(&instance);
        acknowledged(&mut a, SETUP).unwrap();
        let work = "BEGIN;
            SAVEPOINT s; INSERT INTO t VALUES (5, 'rolled back'); ROLLBACK TO s;
            INSERT INTO t VALUES (3, 'c'); UPDATE t SET v = 'A' WHERE id = 1; DELETE FROM t WHERE id = 2;
            CREATE TABLE made (x int PRIMARY KEY); INSERT INTO made VALUES (42)";
        acknowledged(&mut a, work).unwrap();
        acknowledged(&mut a, "SELECT * FROM t WHERE id = 4 FOR SHARE").unwrap();
        acknowledged(&mut a, "PREPARE TRANSACTION 'one'").unwrap();
        machine.fs.kill();
    }
    for round in 0..3 {
        let instance = start(&machine).expect("recovers");
        let mut b = session(&instance);
        run(&mut b, "SET lock_timeout = '20ms'");
        assert_eq!(table(&mut b, "SELECT id, v FROM t ORDER BY id"), ["1|a", "2|b", "4|d"], "round {round}");
        for waits in [
            "UPDATE t SET v = 'x' WHERE id = 1",
            "UPDATE t SET v = 'x' WHERE id = 2",
            "UPDATE t SET v = 'x' WHERE id = 4",
            "INSERT INTO t VALUES (3, 'mine')",
            "LOCK TABLE t IN SHARE MODE",
            "CREATE TABLE made (y text)",
        ] {
            run(&mut b, "BEGIN");
            assert_eq!(fails(&mut b, waits).sqlstate().as_str(), "55P03", "round {round}: {waits}");
            run(&mut b, "ROLLBACK");
        }
        assert_eq!(fails(&mut b, "SELECT * FROM made").sqlstate().as_str(), "42P01");
        run(
            &mut b,
            "INSERT INTO t VALUES (5, 'free'); DELETE FROM t WHERE id = 5; SELECT * FROM t FOR SHARE SKIP LOCKED",
        );
        match round {
            // From the log; then from a checkpoint; then from that of a clean end.
            0 => instance.checkpoint().unwrap(),
            1 => instance.close().unwrap(),
            _ => {
                acknowledged(&mut b, "COMMIT PREPARED 'one'").unwrap();
                assert_eq!(table(&mut b, "SELECT id, v FROM t ORDER BY id"), ["1|A", "3|c", "4|d"]);
                assert_eq!(table(&mut b, "SELECT x FROM made WHERE x = 42"), ["42"]);
                run(&mut b, "ALTER TABLE made ADD COLUMN y int DEFAULT 7; INSERT INTO made VALUES (43)");
                run(&mut b, "CREATE TABLE after_it (z int)");
            }
        }
        if round != 1 {
            machine.fs.kill();
        }
    }
    let instance = start(&machine).expect("recovers");
    let mut b = session(&instance);
    assert_eq!(table(&mut b, "SELECT id, v FROM t ORDER BY id"), ["1|A", "3|c", "4|d"]);
    assert_eq!(table(&mut b, "SELECT count(*) FROM pg_prepared_xacts"), ["0"]);
    assert!(table(&mut b, "SELECT x FROM made").contains(&"42".to_string()));
}

#[test]
fn a_rollback_after_a_crash_leaves_nothing() {
    let machine = Machine::new(8);
    let files;
    {
        let instance = start(&machine).expect("opens");
        let mut a = session(&instance);
        acknowledged(&mut a, SETUP).unwrap();
        files = instance.storage().files().list().unwrap();
        acknowledged(&mut a, "BEGIN; CREATE TABLE made (x int PRIMARY KEY); TRUNCATE other; INSERT INTO t VALUES (3, 'c'); PREPARE TRANSACTION 'one'").unwrap();
        machine.fs.kill();
    }
    let instance = start(&machine).expect("recovers");
    let mut b = session(&instance);
    acknowledged(&mut b, "ROLLBACK PREPARED 'one'").unwrap();
    assert_eq!(table(&mut b, "SELECT x FROM other ORDER BY x"), ["1", "2"]);
    run(&mut b, "INSERT INTO t VALUES (3, 'mine'); CREATE TABLE made (y text); DROP TABLE made");
    instance.close().unwrap();
    drop(b);
    drop(instance);
    let instance = start(&machine).expect("opens");
    assert_eq!(instance.storage().files().list().unwrap(), files);
    let mut b = session(&instance);
    assert_eq!(table(&mut b, "SELECT id FROM t ORDER BY id"), ["1", "2", "3", "4"]);
}

/// How many cuts a run of the test makes.
const CUTS: u64 = 12;

/// The steps of the sweep, each said to be done only when it is durable.
const STEPS: [&str; 8] = [
    "BEGIN; INSERT INTO t VALUES (3, 'c'); UPDATE t SET v = 'A' WHERE id = 1; DELETE FROM t WHERE id = 2;
     CREATE TABLE made (x int PRIMARY KEY); INSERT INTO made VALUES (42); PREPARE TRANSACTION 'one'",
    "BEGIN; TRUNCATE other; CREATE INDEX ON other (x); INSERT INTO other VALUES (9); PREPARE TRANSACTION 'two'",
    "CHECKPOINT",
    "ROLLBACK PREPARED 'two'",
    "COMMIT PREPARED 'one'",
    "BEGIN; INSERT INTO t VALUES (6, 'f'); PREPARE TRANSACTION 'three'",
    "CHECKPOINT",
    "COMMIT PREPARED 'three'",
];

/// What there is to see of the database: prepared names, rows, tables.
fn state(session: &mut Session) -> String {
    let mut see = |sql: &str| table(session, sql).join(",");
    let names = see("SELECT gid FROM pg_prepared_xacts ORDER BY gid");
    let rows = see("SELECT id, v FROM t ORDER BY id");
    let made = see("SELECT count(*) FROM pg_class WHERE relname = 'made'");
    let held = names.contains("two");
    let other = if held { "locked".to_string() } else { see("SELECT x FROM other ORDER BY x") };
    format!("{names} / {rows} / {made} / {other}")
}

fn steps(session: &mut Session, mut after: impl FnMut(&mut Session)) -> usize {
    for (done, step) in STEPS.iter().enumerate() {
        for statement in step.split(';') {
            if acknowledged(session, statement).is_err() {
                return done;
            }
        }
        after(session);
    }
    STEPS.len()
}

#[test]
fn power_may_go_at_any_moment() {
    // What each step makes of the database, without a cut.
    let machine = Machine::new(1);
    let mut states = Vec::new();
    let operations = {
        let instance = start(&machine).expect("opens");
        let mut a = session(&instance);
        acknowledged(&mut a, SETUP).unwrap();
        states.push(state(&mut a));
        let before = machine.fs.operations();
        assert_eq!(steps(&mut a, |session| states.push(state(session))), STEPS.len());
        machine.fs.operations() - before
    };
    assert_eq!(states.last().unwrap(), " / 1|A,3|c,4|d,6|f / 1 / 1,2");
    let mut seed = 100;
    // Each cut opens a directory three times, which takes a while.
    let stride = operations.div_ceil(CUTS);
    for cut in (1..=operations).step_by(stride as usize) {
        seed += 1;
        let machine = Machine::new(seed);
        let done = {
            let instance = start(&machine).expect("opens");
            let mut a = session(&instance);
            acknowledged(&mut a, SETUP).unwrap();
            machine.fs.cut_power_at(machine.fs.operations() + cut);
            steps(&mut a, |_| {})
        };
        let modes = [CrashMode::DropUnsynced, CrashMode::KeepUnsynced, CrashMode::Random];
        machine.fs.crash(modes[cut as usize % modes.len()]);
        let instance = start(&machine).unwrap_or_else(|error| panic!("seed {seed}, cut {cut}: {error:?}"));
        let mut b = session(&instance);
        let found = state(&mut b);
        let allowed = &states[done..(done + 2).min(states.len())];
        assert!(
            allowed.contains(&found),
            "seed {seed}, cut {cut}, {done} done: {found} is none of {allowed:?}"
        );
        // Whatever is prepared can be ended, and what was locked is free then.
        if found.contains("two") {
            acknowledged(&mut b, "ROLLBACK PREPARED 'two'").unwrap();
        }
        for name in ["one", "three"] {
            if found.contains(name) {
                acknowledged(&mut b, &format!("COMMIT PREPARED '{name}'")).unwrap();
            }
        }
        let problem = format!("seed {seed}, cut {cut}");
        run(
            &mut b,
            "SET lock_timeout = '1s'; UPDATE t SET v = v || '!'; INSERT INTO t VALUES (7, 'g'); TRUNCATE other",
        );
        if table(&mut b, "SELECT count(*) FROM pg_class WHERE relname = 'made'") == ["1"] {
            assert_eq!(table(&mut b, "SELECT x FROM made WHERE x = 42"), ["42"], "{problem}");
            assert_eq!(
                table(&mut b, "SELECT id, v FROM t WHERE id < 4 ORDER BY id"),
                ["1|A!", "3|c!"],
                "{problem}"
            );
        } else {
            assert_eq!(
                table(&mut b, "SELECT id, v FROM t WHERE id < 4 ORDER BY id"),
                ["1|a!", "2|b!"],
                "{problem}"
            );
        }
    }
}

/// Two transactions that read what the other writes; one is prepared first, and so the other has to fail.
#[test]
fn a_prepared_serializable_transaction_is_not_the_one_to_fail() {
    for (crash, finish) in [(false, "COMMIT"), (false, "ROLLBACK"), (true, "COMMIT"), (true, "ROLLBACK")] {
        let machine = Machine::new(7);
        let mut instance = start(&machine).expect("opens");
        let mut a = session(&instance);
        run(&mut a, "CREATE TABLE doctors (id int PRIMARY KEY, on_call bool)");
        run(&mut a, "INSERT INTO doctors VALUES (1, true), (2, true)");
        run(&mut a, "CREATE TABLE notes (n int); CREATE TABLE sums (s int PRIMARY KEY); SELECT 1");
        run(&mut a, "BEGIN ISOLATION LEVEL SERIALIZABLE");
        assert_eq!(table(&mut a, "SELECT count(*) FROM doctors WHERE on_call"), ["2"]);
        assert_eq!(table(&mut a, "SELECT s FROM sums WHERE s = 5"), [""; 0]);
        run(&mut a, "UPDATE doctors SET on_call = false WHERE id = 1");
        let locks = "SELECT count(*) > 1 FROM pg_locks WHERE mode = 'SIReadLock' AND pid = pg_backend_pid()";
        assert_eq!(table(&mut a, locks), ["t"]);
        let relations =
            "SELECT DISTINCT relation::regclass FROM pg_locks WHERE mode = 'SIReadLock' ORDER BY 1";
        let held = table(&mut a, relations);
        assert!(held.iter().any(|name| name.starts_with("doctors")), "{held:?}");
        acknowledged(&mut a, "PREPARE TRANSACTION 'leave'").expect("is prepared");
        if crash {
            machine.fs.crash(CrashMode::DropUnsynced);
            std::mem::forget((a, instance));
            instance = start(&machine).expect("opens");
            a = session(&instance);
        }
        assert_eq!(table(&mut a, relations), held, "what it has read, after a crash: {crash}");
        // Writes what the prepared one has read, and reads what it has written.
        let mut b = session(&instance);
        run(&mut b, "BEGIN ISOLATION LEVEL SERIALIZABLE");
        let outcome = (|| {
            let rows = &mut Rows::default();
            b.simple_query("SELECT count(*) FROM doctors WHERE on_call", rows)?;
            b.simple_query("UPDATE doctors SET on_call = false WHERE id = 2", rows)?;
            b.simple_query("COMMIT", rows).map(|_| ())
        })();
        assert_eq!(outcome.expect_err("it fails").sqlstate().as_str(), "40001", "crash: {crash}");
        run(&mut b, "ROLLBACK");
        // Who has nothing to do with it does not fail.
        run(
            &mut b,
            "BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO notes SELECT count(*) FROM notes; COMMIT",
        );
        run(&mut b, &format!("{finish} PREPARED 'leave'"));
        let left = if finish == "COMMIT" { "1" } else { "2" };
        run(&mut b, "BEGIN ISOLATION LEVEL SERIALIZABLE");
        assert_eq!(table(&mut b, "SELECT count(*) FROM doctors WHERE on_call"), [left]);
        run(&mut b, "UPDATE doctors SET on_call = false WHERE id = 2; COMMIT");
        assert_eq!(table(&mut b, "SELECT count(*) FROM pg_locks WHERE mode = 'SIReadLock'"), ["0"]);
        run(&mut b, "SELECT 1");
    }
}

/// A key that a prepared transaction has looked for in vain comes; it has written what the other reads.
#[test]
fn the_gaps_that_a_prepared_transaction_has_read_survive_a_crash() {
    for crash in [false, true] {
        let machine = Machine::new(8);
        let mut instance = start(&machine).expect("opens");
        let mut a = session(&instance);
        run(
            &mut a,
            "CREATE TABLE k (id int PRIMARY KEY); INSERT INTO k SELECT g * 10 FROM generate_series(1, 100) g",
        );
        run(&mut a, "CREATE TABLE seen (n int PRIMARY KEY); INSERT INTO seen VALUES (0)");
        run(&mut a, "SET enable_seqscan = off");
        run(&mut a, "BEGIN ISOLATION LEVEL SERIALIZABLE");
        assert_eq!(table(&mut a, "SELECT count(*) FROM k WHERE id BETWEEN 51 AND 59"), ["0"]);
        run(&mut a, "UPDATE seen SET n = 1");
        acknowledged(&mut a, "PREPARE TRANSACTION 'p'").expect("is prepared");
        if crash {
            machine.fs.crash(CrashMode::KeepUnsynced);
            std::mem::forget((a, instance));
            instance = start(&machine).expect("opens");
            a = session(&instance);
        }
        let attempt = |session: &mut Session, id: i32| -> Result<()> {
            let rows = &mut Rows::default();
            session.simple_query("SET enable_seqscan = off", rows)?;
            session.simple_query("BEGIN ISOLATION LEVEL SERIALIZABLE", rows)?;
            session.simple_query("SELECT n FROM seen WHERE n = 0", rows)?;
            session.simple_query(&format!("INSERT INTO k VALUES ({id})"), rows)?;
            session.simple_query("COMMIT", rows).map(|_| ())
        };
        let mut b = session(&instance);
        assert_eq!(attempt(&mut b, 55).expect_err("a cycle").sqlstate().as_str(), "40001");
        run(&mut b, "ROLLBACK");
        if !crash {
            // After a crash it counts as if somebody had written over what it read and committed.
            attempt(&mut b, 995).expect("another gap");
        }
        run(&mut a, "COMMIT PREPARED 'p'");
        attempt(&mut b, 56).expect("nothing stands against it any more");
    }
}

/// Three serializable transactions on one snapshot, and one on a snapshot that nobody has any more.
#[test]
fn a_serializable_transaction_imports_the_snapshot_of_another() {
    let instance = open(&Env::in_memory());
    let (mut a, mut b, mut c) = (session(&instance), session(&instance), session(&instance));
    run(&mut a, "CREATE TABLE t (id int PRIMARY KEY, v int)");
    run(&mut a, "INSERT INTO t VALUES (1, 10), (2, 20)");
    let export = |session: &mut Session| table(session, "SELECT pg_export_snapshot()").remove(0);
    run(&mut a, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    let name = export(&mut a);
    run(&mut c, "UPDATE t SET v = 11 WHERE id = 1");
    run(&mut c, "UPDATE t SET v = 21 WHERE id = 2");
    run(&mut b, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    run(&mut b, &format!("SET TRANSACTION SNAPSHOT '{name}'"));
    assert_eq!(table(&mut b, "SELECT sum(v) FROM t"), ["30"]);
    assert_eq!(table(&mut a, "SELECT sum(v) FROM t"), ["30"]);
    // Each writes what the other has read: one of them fails.
    run(&mut a, "INSERT INTO t VALUES (3, 30)");
    let mut failed = 0;
    let mut attempt = |session: &mut Session, sql: &str| {
        if let Err(error) = session.simple_query(sql, &mut Rows::default()) {
            assert_eq!(error.sqlstate().as_str(), "40001");
            failed += 1;
        }
    };
    attempt(&mut b, "INSERT INTO t VALUES (4, 40)");
    attempt(&mut a, "COMMIT");
    attempt(&mut b, "COMMIT");
    assert!(failed >= 1, "write skew between two on one snapshot");
    run(&mut a, "ROLLBACK");
    run(&mut b, "ROLLBACK");
    // Its owner has ended.
    run(&mut b, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    let error = fails(&mut b, &format!("SET TRANSACTION SNAPSHOT '{name}'"));
    assert_eq!(error.sqlstate().as_str(), "42704");
    run(&mut b, "ROLLBACK");
    for (exporter, importer, message) in [
        (
            "REPEATABLE READ",
            "SERIALIZABLE",
            "a serializable transaction cannot import a snapshot from a non-serializable transaction",
        ),
        (
            "SERIALIZABLE READ ONLY",
            "SERIALIZABLE",
            "a non-read-only serializable transaction cannot import a snapshot from a read-only transaction",
        ),
        (
            "SERIALIZABLE",
            "SERIALIZABLE READ ONLY, DEFERRABLE",
            "a snapshot-importing transaction must not be READ ONLY DEFERRABLE",
        ),
    ] {
        run(&mut a, &format!("BEGIN ISOLATION LEVEL {exporter}"));
        let name = export(&mut a);
        run(&mut b, &format!("BEGIN ISOLATION LEVEL {importer}"));
        let error = fails(&mut b, &format!("SET TRANSACTION SNAPSHOT '{name}'"));
        assert_eq!((error.sqlstate().as_str(), error.message()), ("0A000", message));
        run(&mut b, "ROLLBACK");
        // One that only reads may have it.
        run(&mut b, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
        run(&mut b, &format!("SET TRANSACTION SNAPSHOT '{name}'"));
        assert_eq!(fails(&mut a, "PREPARE TRANSACTION 'x'").sqlstate().as_str(), "0A000");
        run(&mut b, "COMMIT");
        run(&mut a, "ROLLBACK");
    }
}

/// The anomaly of a reader that only reads, on a snapshot that it has imported.
#[test]
fn a_reader_on_an_imported_snapshot_takes_part() {
    let instance = open(&Env::in_memory());
    let (mut a, mut b, mut reader) = (session(&instance), session(&instance), session(&instance));
    run(&mut a, "CREATE TABLE t (id int PRIMARY KEY, v int)");
    run(&mut a, "INSERT INTO t VALUES (1, 0), (2, 0)");
    run(&mut a, "SET enable_seqscan = off");
    run(&mut reader, "SET enable_seqscan = off");
    // T2 has read the savings before T3's deposit, and T3 commits.
    run(&mut a, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    assert_eq!(table(&mut a, "SELECT v FROM t WHERE id = 2"), ["0"]);
    run(&mut b, "BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE t SET v = 20 WHERE id = 2; COMMIT");
    // A snapshot in between, which the reader takes over.
    run(&mut b, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    let name = table(&mut b, "SELECT pg_export_snapshot()").remove(0);
    run(&mut reader, "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY");
    run(&mut reader, &format!("SET TRANSACTION SNAPSHOT '{name}'"));
    run(&mut a, "UPDATE t SET v = -11 WHERE id = 1");
    run(&mut a, "COMMIT");
    run(&mut b, "COMMIT");
    assert_eq!(table(&mut reader, "SELECT v FROM t WHERE id = 2"), ["20"]);
    let error = fails(&mut reader, "SELECT v FROM t WHERE id = 1");
    assert_eq!(error.sqlstate().as_str(), "40001");
}
