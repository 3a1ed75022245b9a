//! Directories that have a bit of everything on disk, for tests that change bytes of it as one who knows the formats could,
//! and what is done with them afterwards.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ochre_base::{Error, Lsn, Result};
use ochre_engine::check::check_directory;
use ochre_engine::{Instance, Session};
use ochre_env::sim::CrashMode;
use ochre_env::{FileSystem, OpenMode};
use ochre_storage::inspect;

use crate::client::{acknowledge, connect, query};
use crate::machine::{Machine, ROOT, Settings, path};

const SETTINGS: Settings = Settings {
    buffers: 256,
    segment_bytes: 256 << 10,
    wal_buffer_bytes: 8 << 10,
    full_page_writes: true,
    recovery_parts: 2,
};

/// What is there when a snapshot is taken that stays open.
const MADE: [&str; 29] = [
    "CREATE TABLE t (id int PRIMARY KEY, k int, v text, n numeric, w timestamptz, a int[], j jsonb, big text)",
    "INSERT INTO t SELECT i, i * 7 % 100, repeat('v', i % 40), i * 1.50, '2020-01-01'::timestamptz + i * interval '1 hour',
         array[i, NULL, i + 1], jsonb_build_object('i', i), NULL FROM generate_series(1, 200) AS i",
    "CREATE INDEX t_k ON t (k) INCLUDE (v)",
    "CREATE UNIQUE INDEX t_n ON t (n, v)",
    "CREATE INDEX t_e ON t (length(v), k DESC) WHERE v IS NOT NULL",
    "CREATE INDEX t_a ON t USING gin (a, j)",
    "CREATE FUNCTION backwards(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN reverse($1); END $$",
    "CREATE INDEX t_f ON t (backwards(v))",
    "CREATE TABLE wide (key text PRIMARY KEY, n int)",
    "INSERT INTO wide SELECT repeat(chr(97 + i % 26), 300) || i, i FROM generate_series(1, 300) AS i",
    "UPDATE t SET big = (SELECT string_agg(md5((id * 1000 + g)::text), '') FROM generate_series(1, 500) AS g)
         WHERE id % 20 = 0",
    "UPDATE t SET big = repeat('compressed', 2000) WHERE id % 20 = 1",
    "CREATE TABLE child (id serial PRIMARY KEY, t int REFERENCES t, c varchar(10) CHECK (c <> ''))",
    "INSERT INTO child (t, c) SELECT i % 50 + 1, 'c' || i FROM generate_series(1, 100) AS i",
    "CREATE VIEW shown AS SELECT t.id, c FROM t JOIN child ON child.t = t.id",
    "CREATE SEQUENCE numbers",
    "SELECT nextval('numbers') FROM generate_series(1, 40)",
    "CREATE INDEX wide_h ON wide USING hash (n)",
    "CREATE TYPE pair AS (x int, y text)",
    "CREATE TABLE parted (k int PRIMARY KEY, p pair, CHECK ((p).x > 0)) PARTITION BY RANGE (k)",
    "CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100)",
    "CREATE TABLE parted_rest PARTITION OF parted DEFAULT",
    "INSERT INTO parted SELECT i, row(i, 'y' || i)::pair FROM generate_series(1, 200) AS i",
    "CREATE ROLE reader",
    "GRANT SELECT ON t, parted TO reader",
    "CREATE TABLE still AS SELECT i, i % 7 AS n, repeat('s', 200) AS s FROM generate_series(1, 500) AS i",
    "ANALYZE t",
    "CHECKPOINT",
    "VACUUM still",
];

/// What is done beside that snapshot.
const CHANGED: [&str; 23] = [
    "UPDATE t SET v = v || 'x' WHERE id % 2 = 0",
    "UPDATE t SET k = k + 1 WHERE id % 3 = 0",
    "UPDATE t SET v = v || 'y', big = NULL WHERE id % 4 = 0",
    "UPDATE t SET v = (SELECT string_agg(md5((id + g)::text), '') FROM generate_series(1, 40) AS g) WHERE id % 5 = 0",
    "DELETE FROM t WHERE id > 180",
    "ALTER TABLE t ADD COLUMN added int DEFAULT 5",
    "INSERT INTO t (id, v) SELECT i, 'late' FROM generate_series(300, 320) AS i",
    "BEGIN; INSERT INTO t (id) VALUES (400); SAVEPOINT s; UPDATE t SET k = 0; ROLLBACK TO s;
     INSERT INTO t (id) VALUES (401); COMMIT",
    "BEGIN; UPDATE t SET k = -1, v = v || 'aborted' WHERE id < 50; ROLLBACK",
    "BEGIN; INSERT INTO t (id) VALUES (500); SAVEPOINT s; INSERT INTO wide VALUES ('gone', 1); ROLLBACK TO s;
     CREATE TABLE unborn (id int PRIMARY KEY); PREPARE TRANSACTION 'one'",
    "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM wide WHERE n < 20; UPDATE wide SET n = 1000 WHERE n = 77;
     PREPARE TRANSACTION 'two'",
    "CHECKPOINT",
    "UPDATE t SET v = left(v, 5) || 'z' WHERE id % 6 = 0 AND id < 300",
    "UPDATE t SET a = a || 7, j = '{}' WHERE id % 9 = 0",
    "DELETE FROM wide WHERE n BETWEEN 100 AND 180",
    "INSERT INTO wide SELECT repeat('b', 299) || i, i + 2000 FROM generate_series(1, 60) AS i",
    "VACUUM wide",
    "SELECT setval('numbers', 500)",
    "CREATE TABLE short AS SELECT i FROM generate_series(1, 500) AS i",
    "CREATE INDEX ON short (i)",
    "TRUNCATE short",
    "DROP VIEW shown",
    "BEGIN; UPDATE t SET big = repeat('more', 3000) WHERE id = 7; COMMIT",
];

/// What is tried on a changed directory.
const TRIED: [&str; 44] = [
    "SELECT count(*), count(nspname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace",
    "SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attnum > 0",
    "SELECT pg_get_indexdef(indexrelid) FROM pg_index",
    "SELECT pg_get_constraintdef(oid) FROM pg_constraint",
    "SELECT * FROM pg_prepared_xacts",
    "SELECT * FROM t",
    "SELECT * FROM wide",
    "SELECT * FROM child",
    "SELECT * FROM shown",
    "SELECT * FROM parted",
    "SELECT count(*), sum(n), min(s) FROM still WHERE n < 5",
    "SELECT count(*), sum(n), min(s) FROM still WHERE n < 5",
    // From the columns that the second time has kept.
    "SELECT count(*), sum(n), min(s) FROM still WHERE n < 5",
    "SELECT relname FROM pg_class WHERE has_table_privilege('reader', oid, 'SELECT')",
    "SET enable_seqscan = off",
    "SELECT id, length(big) FROM t WHERE k BETWEEN 3 AND 20",
    "SELECT count(*) FROM t WHERE a && '{3,4,100}' AND j ? 'i'",
    "SELECT count(*) FROM t WHERE a @> '{}'",
    "SELECT count(*) FROM t WHERE backwards(v) > 'v'",
    "SELECT v FROM t ORDER BY n, v",
    "SELECT * FROM t WHERE length(v) = 7 ORDER BY k",
    "SELECT key FROM wide ORDER BY key DESC",
    "SELECT count(k), min(v) FROM t WHERE k > 50",
    "SELECT key FROM wide WHERE n = 33",
    "RESET enable_seqscan",
    "COMMIT PREPARED 'one'",
    "ROLLBACK PREPARED 'two'",
    "SELECT nextval('numbers')",
    "INSERT INTO t (id, k, v, n) SELECT i, i, repeat('new', i % 30), i FROM generate_series(600, 640) AS i",
    "INSERT INTO wide SELECT repeat(chr(97 + i % 26), 200) || i, i FROM generate_series(1, 80) AS i",
    "UPDATE t SET k = k + 7, v = v || 'tried' WHERE id % 2 = 1",
    "UPDATE t SET big = repeat(md5(id::text), 200) WHERE id % 7 = 1",
    "UPDATE wide SET n = n + 1",
    "UPDATE parted SET k = k + 90, p.y = 'moved' WHERE k < 50",
    "UPDATE still SET n = n + 1 WHERE i % 3 = 0",
    "DELETE FROM t WHERE id % 3 = 0",
    "DELETE FROM wide WHERE n < 250",
    "VACUUM t",
    "VACUUM",
    "ALTER TABLE t ALTER COLUMN k TYPE bigint",
    "CREATE INDEX again ON t (v)",
    "CHECKPOINT",
    "DROP TABLE t, wide, parted CASCADE",
    "CREATE TABLE after_all AS SELECT i FROM generate_series(1, 10) AS i",
];

/// A directory to be changed.
pub struct Sample {
    pub machine: Machine,
    /// Records of its log from the redo point on: where each is, and its bytes without padding.
    pub records: Vec<(Lsn, usize)>,
}

/// A directory with a bit of everything, and with transactions that are prepared: shut down, or killed.
///
/// # Panics
/// When making it fails.
pub fn sample(shut_down: bool) -> Sample {
    let machine = Machine::with_database(SETTINGS, 1).expect("a new directory");
    let instance = machine.open(SETTINGS).expect("opens");
    let mut sessions = [connect(&instance).expect("a session"), connect(&instance).expect("a session")];
    let [writer, reader] = &mut sessions;
    run(writer, &MADE);
    run(reader, &["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM pg_class"]);
    run(writer, &CHANGED);
    acknowledge(writer).expect("the log is flushed");
    if shut_down {
        run(reader, &["ROLLBACK"]);
        drop(sessions);
        instance.close().expect("closes");
    }
    let files = machine.fs.fork(1);
    machine.fs.cut_power();
    drop(instance);
    files.crash(CrashMode::KeepUnsynced);
    let machine = Machine::over(files, 1);
    let mut records = Vec::new();
    inspect::read_wal(&machine.env(), Path::new(ROOT), None, &mut |record| {
        records.push((record.start, record.length));
        true
    })
    .expect("the log is sound");
    Sample { machine, records }
}

fn run(session: &mut Session, statements: &[&str]) {
    for statement in statements {
        query(session, statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}

impl Sample {
    /// Another machine with the same files.
    pub fn copy(&self) -> Machine {
        Machine::over(self.machine.fs.fork(1), 1)
    }

    /// The pages below a directory of it: file and number in the file.
    ///
    /// # Panics
    /// When the files cannot be listed.
    pub fn pages(&self, below: &str) -> Vec<(PathBuf, u32)> {
        let mut found = Vec::new();
        let mut directories = vec![path(below)];
        while let Some(directory) = directories.pop() {
            for name in self.machine.fs.list(&directory).expect("it can be listed") {
                let path = directory.join(name);
                match self.machine.fs.open(&path, OpenMode::Existing) {
                    Ok(file) => {
                        let blocks =
                            file.len().expect("it has a length") / ochre_base::limits::PAGE_SIZE as u64;
                        found.extend((0..blocks as u32).map(|block| (path.clone(), block)));
                    }
                    Err(_) => directories.push(path),
                }
            }
        }
        found.sort();
        found
    }

    /// The file that holds a position of the log, and where.
    pub fn log_file(&self, at: u64) -> (PathBuf, u64) {
        let segment = SETTINGS.segment_bytes;
        (path(&format!("wal/{:016x}", at / segment * segment)), at % segment)
    }
}

/// What was made of a changed directory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tried {
    /// Problems that the check found.
    pub problems: u64,
    /// Whether it was not opened.
    pub refused: bool,
    /// Statements that failed, for whatever reason.
    pub failed: u64,
    /// Those of them that failed for a damage that was noticed.
    pub corrupt: u64,
}

/// Checks a copy of a changed directory, opens another and does a bit of everything with it.
///
/// # Errors
/// What tells of a fault of ours (XX000).
pub fn try_out(machine: &Machine) -> std::result::Result<Tried, String> {
    let mut tried = Tried::default();
    let copy = Machine::over(machine.fs.fork(2), 2);
    let checked =
        check_directory(&copy.env(), Path::new(ROOT), SETTINGS.config(), &mut |_| tried.problems += 1);
    match checked {
        Ok(_) => {}
        Err(error) => not_ours("the check", error)?,
    }
    let instance = match machine.open(SETTINGS) {
        Ok(instance) => instance,
        Err(error) => {
            not_ours("opening", error)?;
            tried.refused = true;
            return Ok(tried);
        }
    };
    let result = try_statements(&instance, &mut tried);
    machine.fs.cut_power();
    result.map(|()| tried)
}

fn try_statements(instance: &Arc<Instance>, tried: &mut Tried) -> std::result::Result<(), String> {
    let mut session = match connect(instance) {
        Ok(session) => session,
        Err(error) => return not_ours("connecting", error),
    };
    for statement in TRIED {
        if let Err(error) = query(&mut session, statement) {
            tried.failed += 1;
            tried.corrupt += u64::from(matches!(error.sqlstate().as_str(), "XX001" | "XX002"));
            not_ours(statement, error)?;
        }
    }
    drop(session);
    instance.close().or_else(|error| not_ours("closing", error))
}

fn not_ours(what: &str, error: Error) -> std::result::Result<(), String> {
    if error.sqlstate().as_str() == "XX000" { Err(format!("{what}: {error:?}")) } else { Ok(()) }
}

/// The bytes of a file from an offset on.
///
/// # Errors
/// 58030.
pub fn read(machine: &Machine, file: &Path, offset: u64, bytes: &mut [u8]) -> Result<()> {
    machine.fs.open(file, OpenMode::Existing)?.read_at(bytes, offset)?;
    Ok(())
}
