//! A directory of every format that was released opens for good: `tests/format/<version>.lz4` holds its files, and
//! `tests/format/<version>.txt` what queries answered when it was made.
//!
//! `cargo test -p ochre-torture --test format -- --ignored` writes those of the present format. That is done once, when a
//! format is new; afterwards they stay as they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ochre_engine::{Instance, NullSink, Session, check};
use ochre_env::sim::SimFileSystem;
use ochre_env::{FileSystem, OpenMode};
use ochre_torture::machine::{Machine, ROOT, Settings, path};
use ochre_torture::text_of;

const SETTINGS: Settings = Settings {
    buffers: 256,
    segment_bytes: 64 << 10,
    wal_buffer_bytes: 8 << 10,
    full_page_writes: true,
    recovery_parts: 2,
};

const MAKE: &[&str] = &[
    "CREATE TABLE items (id int PRIMARY KEY, name text, price numeric(10,2), made timestamptz, tags text[], doc jsonb, \
     gone bool, key uuid, note text)",
    "CREATE UNIQUE INDEX items_name ON items (lower(name)) INCLUDE (price)",
    "CREATE INDEX items_cheap ON items (price DESC NULLS LAST, id) WHERE price < 50",
    "INSERT INTO items SELECT i, 'Name ' || i, i % 97 + 0.50, timestamptz '2026-01-01 00:00+00' + i * interval '1 hour', \
     ARRAY['a', 'b' || i], ('{\"n\": ' || i || '}')::jsonb, true, \
     ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid, NULL FROM generate_series(1, 200) AS i",
    "CREATE TABLE large (id int PRIMARY KEY, body text)",
    "INSERT INTO large SELECT i, (SELECT string_agg(md5((i * 100 + j)::text), '') FROM generate_series(1, 40 * i) AS j) \
     FROM generate_series(1, 6) AS i",
    "INSERT INTO large VALUES (100, repeat('long and dull ', 2000))",
    "CREATE TABLE parents (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int UNIQUE NULLS NOT DISTINCT)",
    "CREATE TABLE children (parent bigint REFERENCES parents ON DELETE CASCADE, CHECK (parent > 0))",
    "INSERT INTO parents (v) VALUES (1), (NULL), (3)",
    "INSERT INTO children VALUES (1), (3)",
    "CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 5",
    "CREATE SEQUENCE numbers START 10 INCREMENT 5",
    "SELECT nextval('numbers')",
    "CREATE SCHEMA other",
    "CREATE TABLE other.empty (a int, b float8 DEFAULT 1.5)",
    "ALTER TABLE items ADD COLUMN extra int DEFAULT 7",
    "ALTER TABLE items DROP COLUMN gone",
    "UPDATE items SET extra = id, price = price + 1 WHERE id % 3 = 0",
    "DELETE FROM items WHERE id % 10 = 0",
    "BEGIN",
    "UPDATE items SET name = 'rolled back ' || id",
    "ROLLBACK",
    "CHECKPOINT",
    "UPDATE items SET note = repeat('n', id * 20) WHERE id % 7 = 0",
    "ALTER TABLE items ALTER COLUMN extra TYPE bigint",
    "CREATE INDEX items_extra ON items (extra)",
    "BEGIN",
    "UPDATE items SET price = 0 WHERE id = 1",
    "SAVEPOINT s",
    "DELETE FROM items WHERE id = 2",
    "ROLLBACK TO s",
    "INSERT INTO items (id, name) VALUES (1000, 'prepared')",
    "PREPARE TRANSACTION 'kept'",
];

const ASK: &[&str] = &[
    "SELECT count(*), sum(price), min(made), max(made), sum(extra), sum(length(note)) FROM items",
    "SELECT id, name, price, tags, doc, key, extra FROM items WHERE id IN (1, 2, 3, 77) ORDER BY id",
    "SELECT id FROM items WHERE lower(name) = 'name 42'",
    "SELECT id FROM items WHERE extra = 99",
    "SELECT id, length(body), md5(body) FROM large ORDER BY id",
    "SELECT * FROM parents ORDER BY id",
    "SELECT * FROM children ORDER BY parent",
    "SELECT count(*), min(name) FROM cheap",
    "SELECT count(*) FROM other.empty",
    "SELECT gid FROM pg_prepared_xacts",
];

/// After `COMMIT PREPARED 'kept'`.
const ASK_AFTERWARDS: &[&str] = &[
    "SELECT id, name, price, extra FROM items WHERE id IN (1, 2, 1000) ORDER BY id",
    "SELECT nextval('numbers')",
];

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/format").join(name)
}

fn session(instance: &Arc<Instance>) -> Session {
    let mut session = instance.session("postgres", "postgres").unwrap();
    session.simple_query("SET TimeZone = 'UTC'", &mut NullSink).unwrap();
    session
}

fn answers(session: &mut Session, questions: &[&str]) -> String {
    questions.iter().map(|sql| format!("{sql}\n{}\n", text_of(session, sql).unwrap())).collect()
}

/// All that is asked of a directory, which is left closed.
fn interview(machine: &Machine) -> String {
    let instance = machine.open(SETTINGS).unwrap();
    let mut s = session(&instance);
    let mut said = answers(&mut s, ASK);
    let mut problems = Vec::new();
    check::check_instance(&instance, &mut |problem| problems.push(problem.to_string()));
    assert_eq!(problems, [""; 0]);
    s.simple_query("COMMIT PREPARED 'kept'", &mut NullSink).unwrap();
    said.push_str(&answers(&mut s, ASK_AFTERWARDS));
    s.simple_query(
        "DELETE FROM parents WHERE v = 1; INSERT INTO large VALUES (7, 'x'); DROP VIEW cheap",
        &mut NullSink,
    )
    .unwrap();
    drop(s);
    instance.close().unwrap();
    drop(instance);
    let instance = machine.open(SETTINGS).unwrap();
    assert_eq!(text_of(&mut session(&instance), "SELECT count(*) FROM children").unwrap(), "1\n");
    check::check_instance(&instance, &mut |problem| problems.push(problem.to_string()));
    assert_eq!(problems, [""; 0]);
    instance.close().unwrap();
    said
}

/// The files of a directory, one after the other: length of the name, name, length, bytes.
fn pack(fs: &SimFileSystem) -> Vec<u8> {
    fn walk(fs: &SimFileSystem, directory: &Path, out: &mut Vec<u8>) {
        for name in fs.list(directory).unwrap() {
            let path = directory.join(&name);
            let Ok(file) = fs.open(&path, OpenMode::Existing) else {
                walk(fs, &path, out);
                continue;
            };
            let mut bytes = vec![0; file.len().unwrap() as usize];
            assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
            let name = path.strip_prefix(ROOT).unwrap().to_str().unwrap();
            out.extend_from_slice(&(name.len() as u32).to_le_bytes());
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(&bytes);
        }
    }
    let mut out = Vec::new();
    walk(fs, Path::new(ROOT), &mut out);
    lz4_flex::block::compress_prepend_size(&out)
}

fn unpack(packed: &[u8]) -> SimFileSystem {
    let all = lz4_flex::block::decompress_size_prepended(packed).unwrap();
    let mut rest = &all[..];
    let mut take = || -> Option<Vec<u8>> {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (bytes, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        rest = behind;
        Some(bytes.to_vec())
    };
    let fs = SimFileSystem::with_crashes(1);
    while let Some(name) = take() {
        let path = path(std::str::from_utf8(&name).unwrap());
        let bytes = take().unwrap();
        fs.create_dir_all(path.parent().unwrap()).unwrap();
        let file = fs.open(&path, OpenMode::New).unwrap();
        file.write_at(&bytes, 0).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
    }
    fs
}

#[test]
#[ignore = "writes the files of the present format, once"]
fn write_the_present_format() {
    let machine = Machine::empty(1);
    let instance = machine.open(SETTINGS).unwrap();
    let mut s = session(&instance);
    for sql in MAKE {
        s.simple_query(sql, &mut NullSink).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let wal = instance.transactions().wal();
    wal.flush_to(wal.position()).unwrap();
    let packed = pack(&machine.fs);
    machine.fs.cut_power();
    drop((s, instance));
    let machine = Machine::over(unpack(&packed), 1);
    let said = interview(&machine);
    std::fs::create_dir_all(place("")).unwrap();
    std::fs::write(place("1.lz4"), packed).unwrap();
    std::fs::write(place("1.txt"), said).unwrap();
}

#[test]
fn released_formats_open() {
    let mut versions = 0;
    for entry in std::fs::read_dir(place("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "lz4") {
            let machine = Machine::over(unpack(&std::fs::read(&path).unwrap()), 1);
            let expected = std::fs::read_to_string(path.with_extension("txt")).unwrap();
            assert_eq!(interview(&machine), expected, "{}", path.display());
            versions += 1;
        }
    }
    assert!(versions > 0);
}

#[test]
fn a_newer_format_is_refused() {
    let machine = Machine::with_database(SETTINGS, 1).unwrap();
    for copy in [0, 4096] {
        machine.fs.damage(&path("CURRENT"), copy, newer, 76);
    }
    let error = machine.open(SETTINGS).map(drop).unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "XX001");
    assert_eq!(error.message(), "the data directory has format version 2, and this release reads version 1");
    assert_eq!(
        error.fields().hint.as_deref(),
        Some("Open it with the release that wrote it, or a newer one.")
    );
    // It was not touched: nothing of a log was begun.
    let again = machine.open(SETTINGS).map(drop).unwrap_err();
    assert_eq!(again.message(), error.message());
}

fn newer(copy: &mut [u8]) {
    if copy.iter().all(|byte| *byte == 0) {
        return;
    }
    copy[8..12].copy_from_slice(&2_u32.to_le_bytes());
    let crc = crc32fast::hash(&copy[..72]);
    copy[72..76].copy_from_slice(&crc.to_le_bytes());
}
