//! A directory of every format that was released opens for good: `tests/format/<name>.lz4` holds its files, and
//! `tests/format/<name>.txt` what queries answered when it was made. Names begin with the format's version; another directory of
//! the same version has what that version had not been used for before.
//!
//! `OCHRE_FORMAT=<name> cargo test -p ochre-torture --test format -- --ignored` writes a directory. That is done once, when it is
//! new; afterwards it stays as it is.

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

/// A directory: how it was made, and what is asked of it.
struct Directory {
    name: &'static str,
    made: &'static [&'static str],
    asked: &'static [&'static str],
    then: Then,
}

/// What is done with a directory once it has answered.
struct Then {
    committed: &'static [&'static str],
    asked: &'static [&'static str],
    done: &'static [&'static str],
    asked_again: &'static [&'static str],
}

const DIRECTORIES: &[Directory] = &[
    Directory {
        name: "1",
        made: MAKE,
        asked: ASK,
        then: Then {
            committed: &["COMMIT PREPARED 'kept'"],
            asked: ASK_AFTERWARDS,
            done: &[
                "DELETE FROM parents WHERE v = 1",
                "INSERT INTO large VALUES (7, 'x')",
                "DROP VIEW cheap",
            ],
            asked_again: &["SELECT count(*) FROM children"],
        },
    },
    Directory {
        name: "1-roles-partitions-gin",
        made: MAKE_MORE,
        asked: ASK_MORE,
        then: Then {
            committed: &["COMMIT PREPARED 'made'", "ROLLBACK PREPARED 'undone'"],
            asked: ASK_MORE_AFTERWARDS,
            done: DO_MORE,
            asked_again: ASK_MORE_AGAIN,
        },
    },
];

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

/// What came after the first directory: roles and privileges, partitions and children, GIN and hash indexes, indexes on
/// functions of users, composite types, triggers, generated and range values, storage of columns, statistics, comments.
const MAKE_MORE: &[&str] = &[
    "CREATE ROLE staff",
    "CREATE ROLE reader LOGIN CONNECTION LIMIT 5 VALID UNTIL '2040-01-01 00:00+00'",
    "CREATE ROLE keeper CREATEROLE NOINHERIT",
    "GRANT staff TO reader WITH ADMIN OPTION",
    "GRANT pg_read_all_data TO keeper",
    "CREATE SCHEMA books AUTHORIZATION keeper",
    "GRANT USAGE ON SCHEMA books TO staff",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA books GRANT SELECT ON TABLES TO staff",
    "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
    "CREATE TYPE place AS (street text, number int)",
    "CREATE TYPE stay AS (at place, nights int)",
    "CREATE FUNCTION spelled(int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN 'n' || $1; END $$",
    "CREATE TABLE guests (id int PRIMARY KEY, name text NOT NULL, home place, last stay, tags int[], doc jsonb, \
     during int4range, doubled int GENERATED ALWAYS AS (id * 2) STORED, photo text)",
    "CREATE FUNCTION secret() RETURNS bigint STABLE LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM guests'",
    "ALTER TABLE guests ALTER COLUMN photo SET STORAGE EXTERNAL",
    "INSERT INTO guests (id, name, home, last, tags, doc, during, photo) SELECT i, 'Guest ' || i, ROW('Street ' || i % 5, i)::place, \
     ROW(ROW('Way', i)::place, i % 7)::stay, ARRAY[i % 10, i % 3, i], \
     jsonb_build_object('n', i, 'list', jsonb_build_array(i % 4, 'x' || i % 6), 'in', jsonb_build_object('k', i % 2 = 0)), \
     int4range(i, i + 10), repeat('photo' || i, i % 13 * 100) FROM generate_series(1, 240) AS i",
    "CREATE INDEX guests_tags ON guests USING gin (tags)",
    "CREATE INDEX guests_doc ON guests USING gin (doc)",
    "CREATE INDEX guests_path ON guests USING gin (doc jsonb_path_ops) WHERE id > 20",
    "CREATE INDEX guests_name ON guests USING hash (name)",
    "CREATE INDEX guests_spelled ON guests (spelled(id))",
    "GRANT SELECT (id, name), UPDATE (name) ON guests TO reader WITH GRANT OPTION",
    "GRANT ALL ON guests TO keeper",
    "REVOKE DELETE ON guests FROM keeper",
    "COMMENT ON TABLE guests IS 'who was here'",
    "COMMENT ON COLUMN guests.home IS 'where from'",
    "CREATE TABLE books.ledger (day date, branch text, amount numeric(12,2), id bigint, PRIMARY KEY (day, branch, id)) \
     PARTITION BY RANGE (day)",
    "CREATE TABLE books.early PARTITION OF books.ledger FOR VALUES FROM (MINVALUE) TO ('2026-02-01')",
    "CREATE TABLE books.late PARTITION OF books.ledger FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') \
     PARTITION BY LIST (branch)",
    "CREATE TABLE books.late_ab PARTITION OF books.late FOR VALUES IN ('a', 'b')",
    "CREATE TABLE books.late_rest PARTITION OF books.late DEFAULT",
    "CREATE TABLE books.other (id bigint, gone text, day date NOT NULL, amount numeric(12,2), branch text NOT NULL)",
    "ALTER TABLE books.other DROP COLUMN gone",
    "ALTER TABLE books.other ALTER COLUMN id SET NOT NULL",
    "ALTER TABLE books.ledger ATTACH PARTITION books.other DEFAULT",
    "CREATE INDEX ledger_amount ON books.ledger (amount)",
    "INSERT INTO books.ledger SELECT date '2026-01-10' + i % 60, chr(97 + i % 4), i * 0.25, i FROM generate_series(1, 300) AS i",
    "CREATE TABLE books.notes (day date, branch text, id bigint, note text, \
     FOREIGN KEY (day, branch, id) REFERENCES books.ledger DEFERRABLE INITIALLY DEFERRED)",
    "INSERT INTO books.notes SELECT day, branch, id, 'note ' || id FROM books.ledger WHERE id % 25 = 0",
    "UPDATE books.ledger SET day = day + 30 WHERE id % 50 = 1",
    "CREATE TABLE hashed (k int, v text) PARTITION BY HASH (k)",
    "CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
    "CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
    "INSERT INTO hashed SELECT i, 'v' || i FROM generate_series(1, 50) AS i",
    "CREATE TABLE animals (name text, legs int DEFAULT 4, CHECK (legs >= 0))",
    "CREATE TABLE birds (wings int) INHERITS (animals)",
    "INSERT INTO animals VALUES ('cat')",
    "INSERT INTO birds VALUES ('crow', 2, 2)",
    "CREATE TABLE journal (at int GENERATED BY DEFAULT AS IDENTITY, what text)",
    "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
     INSERT INTO journal (what) VALUES (TG_OP || ' ' || NEW.name); RETURN NEW; END $$",
    "CREATE TRIGGER guests_noted AFTER UPDATE OF name ON guests FOR EACH ROW WHEN (NEW.id < 10) EXECUTE FUNCTION noted()",
    "CREATE PROCEDURE rename(int) LANGUAGE sql AS $$ UPDATE guests SET name = 'Renamed ' || id WHERE id = $1 $$",
    "CALL rename(3)",
    "CREATE VIEW even AS SELECT id, name FROM guests WHERE id % 2 = 0 WITH CHECK OPTION",
    "ALTER VIEW even OWNER TO keeper",
    "BEGIN",
    "INSERT INTO journal (what) VALUES ('kept')",
    "SAVEPOINT s",
    "INSERT INTO journal (what) VALUES ('taken back')",
    "ROLLBACK TO s",
    "INSERT INTO journal (what) VALUES ('kept, too')",
    "COMMIT",
    "ANALYZE",
    "CHECKPOINT",
    "UPDATE guests SET tags = tags || 77, doc = doc || '{\"new\": [1, {\"deep\": true}]}' WHERE id % 9 = 0",
    "DELETE FROM guests WHERE id % 20 = 0",
    "CALL rename(5)",
    "UPDATE guests SET home = ROW((home).street, 1000)::place WHERE id = 7",
    "INSERT INTO books.ledger VALUES ('2026-02-10', 'a', 99.00, 1000)",
    "REVOKE UPDATE (name) ON guests FROM reader CASCADE",
    "BEGIN",
    "CREATE TABLE born (id int PRIMARY KEY, tags int[])",
    "CREATE INDEX ON born USING gin (tags)",
    "INSERT INTO born VALUES (1, '{1,2}')",
    "SAVEPOINT s",
    "INSERT INTO born VALUES (2, '{2,3}')",
    "ROLLBACK TO s",
    "INSERT INTO books.ledger VALUES ('2026-02-11', 'b', 1.00, 1001)",
    "PREPARE TRANSACTION 'made'",
    "BEGIN ISOLATION LEVEL SERIALIZABLE",
    "UPDATE guests SET name = 'undone' WHERE id = 11",
    "CREATE TABLE unborn (id int)",
    "PREPARE TRANSACTION 'undone'",
];

const ASK_MORE: &[&str] = &[
    "SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcanlogin, rolconnlimit, rolvaliduntil FROM pg_roles \
     WHERE rolname NOT LIKE 'pg\\_%' ORDER BY 1",
    "SELECT roleid::regrole, member::regrole, admin_option, inherit_option, set_option FROM pg_auth_members \
     WHERE member::regrole::text IN ('reader', 'keeper') ORDER BY 1, 2",
    "SELECT relname, relkind, relowner::regrole, relacl FROM pg_class \
     WHERE relnamespace IN ('public'::regnamespace, 'books'::regnamespace) ORDER BY 1",
    "SELECT attname, attstorage, attstattarget, attacl FROM pg_attribute WHERE attrelid = 'guests'::regclass AND attnum > 0 \
     ORDER BY attnum",
    "SELECT defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl FROM pg_default_acl ORDER BY 3",
    "SELECT proname, prosecdef, proacl FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
    "SELECT has_column_privilege('reader', 'guests', 'name', 'SELECT'), has_table_privilege('reader', 'guests', 'SELECT'), \
     has_table_privilege('keeper', 'guests', 'DELETE'), has_table_privilege('staff', 'books.early', 'SELECT')",
    "SELECT indexdef FROM pg_indexes WHERE schemaname IN ('public', 'books') ORDER BY 1",
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'books'::regnamespace ORDER BY 1, 2",
    "SELECT inhrelid::regclass, pg_get_expr(relpartbound, inhrelid) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid \
     WHERE relkind = 'r' ORDER BY 1",
    "SELECT count(*), count(*) FILTER (WHERE id % 2 = 0), sum(doubled), sum(length(photo)), max(upper(during)) FROM guests",
    "SELECT id, name, home, (home).number, last, ((last).at).street, tags, doc, during, doubled FROM guests WHERE id IN (3, 5, 7, 9, 11) ORDER BY id",
    "SELECT md5(string_agg(photo || doc::text || home::text, ',' ORDER BY id)) FROM guests",
    "SELECT tableoid::regclass, count(*), sum(amount), min(day), max(day) FROM books.ledger GROUP BY 1 ORDER BY 1",
    "SELECT count(*), min(note) FROM books.notes JOIN books.ledger USING (day, branch, id)",
    "SELECT tableoid::regclass, count(*), sum(k) FROM hashed GROUP BY 1 ORDER BY 1",
    "SELECT tableoid::regclass, * FROM animals ORDER BY name",
    "SELECT * FROM journal ORDER BY at",
    "SELECT count(*), max(id) FROM even",
    "SELECT spelled(5), secret()",
    "SELECT obj_description('guests'::regclass), col_description('guests'::regclass, 3)",
    "SELECT attname, n_distinct FROM pg_stats WHERE tablename = 'guests' AND attname IN ('id', 'name') ORDER BY 1",
    "SELECT gid, owner FROM pg_prepared_xacts ORDER BY 1",
    "SET enable_seqscan = off",
    "SELECT count(*), sum(id) FROM guests WHERE tags @> '{77}'",
    "SELECT count(*), sum(id) FROM guests WHERE tags && '{2,5}'",
    "SELECT count(*), sum(id) FROM guests WHERE doc ? 'new'",
    "SELECT count(*), sum(id) FROM guests WHERE doc @> '{\"in\": {\"k\": true}}' AND id > 20",
    "SELECT id FROM guests WHERE name = 'Renamed 5'",
    "SELECT id FROM guests WHERE spelled(id) = 'n42'",
    "SELECT id FROM guests WHERE home = ROW('Street 3', 13)::place",
    "SELECT id, day FROM books.ledger WHERE amount = 12.75 ORDER BY id",
    "RESET enable_seqscan",
    "SET ROLE reader",
    "SELECT count(name) FROM guests",
    "SELECT sum(amount) FROM books.early",
    "RESET ROLE",
];

/// After the prepared transactions have ended.
const ASK_MORE_AFTERWARDS: &[&str] = &[
    "SELECT * FROM born WHERE tags @> '{2}'",
    "SELECT name FROM guests WHERE id = 11",
    "SELECT to_regclass('unborn'), count(*), sum(amount) FROM books.ledger WHERE id > 1000",
];

const DO_MORE: &[&str] = &[
    "DELETE FROM books.notes WHERE id = 25",
    "DELETE FROM books.ledger WHERE id = 25",
    "UPDATE guests SET name = name || '!' WHERE id < 5",
    "INSERT INTO guests SELECT i, 'Late ' || i, NULL, NULL, ARRAY[77, i], '{\"new\": 1}' FROM generate_series(500, 540) AS i",
    "ALTER TABLE hashed DETACH PARTITION hashed_1",
    "GRANT UPDATE ON born TO staff",
    "REVOKE staff FROM reader CASCADE",
    "VACUUM",
];

const ASK_MORE_AGAIN: &[&str] = &[
    "SELECT * FROM journal ORDER BY at",
    "SELECT count(*), sum(id) FROM guests WHERE tags @> '{77}'",
    "SELECT count(*), sum(amount) FROM books.ledger",
    "SELECT count(*) FROM hashed",
    "SELECT relacl FROM pg_class WHERE relname = 'born'",
    "SELECT count(*) FROM pg_auth_members WHERE member = 'reader'::regrole",
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
    questions
        .iter()
        .map(|sql| {
            format!("{sql}\n{}\n", text_of(session, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}")))
        })
        .collect()
}

fn run(session: &mut Session, statements: &[&str]) {
    for sql in statements {
        session.simple_query(sql, &mut NullSink).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

fn assert_sound(instance: &Arc<Instance>) {
    let mut problems = Vec::new();
    check::check_instance(instance, &mut |problem| problems.push(problem.to_string()));
    assert_eq!(problems, [""; 0]);
}

/// All that is asked of a directory, which is left closed.
fn interview(machine: &Machine, directory: &Directory) -> String {
    let instance = machine.open(SETTINGS).unwrap();
    let mut s = session(&instance);
    let mut said = answers(&mut s, directory.asked);
    assert_sound(&instance);
    run(&mut s, directory.then.committed);
    said.push_str(&answers(&mut s, directory.then.asked));
    run(&mut s, directory.then.done);
    drop(s);
    instance.close().unwrap();
    drop(instance);
    let instance = machine.open(SETTINGS).unwrap();
    said.push_str(&answers(&mut session(&instance), directory.then.asked_again));
    assert_sound(&instance);
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
#[ignore = "writes the files of a new directory, once"]
fn write_a_directory() {
    let name = std::env::var("OCHRE_FORMAT").expect("OCHRE_FORMAT names the directory to write");
    let directory = DIRECTORIES.iter().find(|directory| directory.name == name).expect("one of the known");
    let machine = Machine::empty(1);
    let instance = machine.open(SETTINGS).unwrap();
    let mut s = session(&instance);
    run(&mut s, directory.made);
    let wal = instance.transactions().wal();
    wal.flush_to(wal.position()).unwrap();
    let packed = pack(&machine.fs);
    machine.fs.cut_power();
    drop((s, instance));
    let machine = Machine::over(unpack(&packed), 1);
    let said = interview(&machine, directory);
    std::fs::create_dir_all(place("")).unwrap();
    std::fs::write(place(&format!("{name}.lz4")), packed).unwrap();
    std::fs::write(place(&format!("{name}.txt")), said).unwrap();
}

#[test]
fn released_formats_open() {
    for directory in DIRECTORIES {
        let file = place(&format!("{}.lz4", directory.name));
        let machine = Machine::over(unpack(&std::fs::read(&file).unwrap()), 1);
        let expected = std::fs::read_to_string(file.with_extension("txt")).unwrap();
        assert_eq!(interview(&machine, directory), expected, "{}", file.display());
    }
    let there = std::fs::read_dir(place("")).unwrap().map(|entry| entry.unwrap().path());
    let packed = there.filter(|path| path.extension().is_some_and(|extension| extension == "lz4"));
    assert_eq!(packed.count(), DIRECTORIES.len(), "each directory is asked");
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
