//! A directory in which much has happened is clean; damage that is planted is found, and its place named.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ochre_base::{RowId, Xid};
use ochre_env::{Env, OpenMode};
use ochre_exec::IndexAccess;
use ochre_types::KeyOrder;

use super::{CheckSummary, Problem, check_directory};
use crate::{Instance, InstanceConfig, NullSink, Session};

const ROOT: &str = "/data";

const WORKLOAD: &[&str] = &[
    "CREATE TABLE items (id int PRIMARY KEY, name text, price numeric(10,2), note text, made serial)",
    "CREATE UNIQUE INDEX items_name ON items (lower(name)) INCLUDE (price)",
    "CREATE INDEX items_cheap ON items (price DESC NULLS LAST, id) WHERE price < 50",
    "INSERT INTO items SELECT i, 'Name ' || i, i % 97 + 0.50, repeat('x', i % 40) FROM generate_series(1, 3000) AS i",
    "UPDATE items SET price = price + 20, note = note || 'y' WHERE id % 3 = 0",
    "UPDATE items SET name = 'Other ' || id, note = repeat('long', 400) WHERE id % 5 = 0",
    "DELETE FROM items WHERE id % 11 = 0",
    "BEGIN",
    "UPDATE items SET id = id + 100000 WHERE id % 7 = 0",
    "SAVEPOINT a",
    "DELETE FROM items WHERE id % 2 = 0",
    "ROLLBACK TO a",
    "INSERT INTO items VALUES (200001, 'last', 1.00, NULL)",
    "COMMIT",
    "BEGIN",
    "INSERT INTO items SELECT i, 'gone ' || i FROM generate_series(300001, 300500) AS i",
    "UPDATE items SET name = 'gone too ' || id WHERE id < 500",
    "ROLLBACK",
    "ALTER TABLE items ADD COLUMN extra text DEFAULT 'none'",
    "CREATE INDEX items_extra ON items (extra, id)",
    "UPDATE items SET extra = NULL WHERE id % 13 = 0",
    "CREATE TABLE large (id int PRIMARY KEY, body bytea)",
    "INSERT INTO large SELECT i, (SELECT decode(string_agg(md5((i * 1000 + j)::text), ''), 'hex') \
     FROM generate_series(1, 1000) AS j) FROM generate_series(1, 20) AS i",
    "UPDATE large SET body = body || 'x'::bytea WHERE id < 10",
    "CREATE TABLE calm (id int)",
    "INSERT INTO calm SELECT generate_series(1, 1000)",
    "CREATE TABLE dropped (id int PRIMARY KEY)",
    "DROP TABLE dropped",
    "CREATE SCHEMA other",
    "CREATE TABLE other.items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int UNIQUE NULLS NOT DISTINCT)",
    "INSERT INTO other.items (v) VALUES (1), (NULL), (3)",
    "ANALYZE",
];

fn run(session: &mut Session, sql: &str) {
    if let Err(error) = session.simple_query(sql, &mut NullSink) {
        panic!("{sql}: {error:?}");
    }
}

fn open(env: &Env) -> Arc<Instance> {
    let config = InstanceConfig { background: false, ..InstanceConfig::default() };
    Instance::open(env.clone(), Path::new(ROOT), config).unwrap()
}

/// A directory after the workload.
fn worked_on() -> Env {
    let env = Env::in_memory();
    let instance = open(&env);
    let mut session = instance.session("postgres", "postgres").unwrap();
    WORKLOAD.iter().for_each(|sql| run(&mut session, sql));
    drop(session);
    instance.close().unwrap();
    env
}

fn check(env: &Env) -> (CheckSummary, Vec<String>) {
    let mut problems = Vec::new();
    let mut found = |problem: &Problem| problems.push(problem.to_string());
    let summary = check_directory(env, Path::new(ROOT), InstanceConfig::default(), &mut found).unwrap();
    assert_eq!(summary.problems, problems.len() as u64);
    (summary, problems)
}

/// The file of a relation, found by its name.
fn file_of(env: &Env, relation: &str, suffix: &str) -> PathBuf {
    let instance = open(env);
    let (key, _) = crate::inspect::relation(&instance, "postgres", relation).unwrap();
    instance.close().unwrap();
    Path::new(ROOT).join(format!("base/{}/{}{suffix}", key.database, key.file))
}

fn flip(env: &Env, path: &Path, offset: u64) {
    let file = env.fs.open(path, OpenMode::Existing).unwrap();
    let mut byte = [0];
    assert_eq!(file.read_at(&mut byte, offset).unwrap(), 1, "{} has a byte at {offset}", path.display());
    file.write_at(&[byte[0] ^ 0x10], offset).unwrap();
}

#[test]
fn a_directory_in_which_much_has_happened_is_clean() {
    let env = worked_on();
    let (summary, problems) = check(&env);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(summary.databases, 3);
    assert!(summary.rows > 3700 && summary.index_entries > 4 * 2700, "{summary:?}");
    // The same with what the collector leaves.
    let instance = open(&env);
    let mut session = instance.session("postgres", "postgres").unwrap();
    run(&mut session, "VACUUM");
    drop(session);
    instance.close().unwrap();
    assert_eq!(check(&env).1, Vec::<String>::new());
}

/// Transactions that are prepared still have files of their own, rows and entries that nobody sees.
#[test]
fn what_is_prepared_is_no_problem() {
    let env = worked_on();
    let instance = open(&env);
    let mut session = instance.session("postgres", "postgres").unwrap();
    for sql in [
        "BEGIN",
        "CREATE TABLE fresh (id int PRIMARY KEY, body text, s serial)",
        "INSERT INTO fresh SELECT i, repeat('x', i % 50) FROM generate_series(1, 500) AS i",
        "CREATE INDEX fresh_body ON fresh (body)",
        "UPDATE items SET id = id + 1000000, name = 'moved ' || id WHERE id % 4 = 0",
        "DELETE FROM items WHERE id % 4 = 1",
        "PREPARE TRANSACTION 'one'",
        "BEGIN",
        "DROP TABLE calm",
        "ALTER TABLE large ADD COLUMN more int DEFAULT 5",
        "CREATE UNIQUE INDEX large_more ON large (more, id)",
        "PREPARE TRANSACTION 'two'",
    ] {
        run(&mut session, sql);
    }
    drop(session);
    instance.close().unwrap();
    assert_eq!(check(&env).1, Vec::<String>::new());
    for (first, second) in [("COMMIT", "ROLLBACK"), ("", "")] {
        if !first.is_empty() {
            let instance = open(&env);
            let mut session = instance.session("postgres", "postgres").unwrap();
            run(&mut session, &format!("{first} PREPARED 'one'"));
            run(&mut session, &format!("{second} PREPARED 'two'"));
            run(&mut session, "VACUUM");
            drop(session);
            instance.close().unwrap();
        }
        assert_eq!(check(&env).1, Vec::<String>::new());
    }
}

#[test]
fn a_flipped_byte_is_found_in_each_kind_of_file() {
    for (relation, suffix) in [
        ("public.items", ""),
        ("public.items", ".hist"),
        ("large", ".hist"),
        ("items_name", ""),
        ("items_made_seq", ""),
        ("pg_catalog.pg_class", ""),
    ] {
        let env = worked_on();
        let file = file_of(&env, relation, suffix);
        flip(&env, &file, 300);
        let (_, problems) = check(&env);
        let own = problems.iter().find(|problem| problem.contains("checksum")).expect(relation);
        let name = file.strip_prefix(ROOT).unwrap().with_extension("");
        assert!(own.contains(&format!("{} ", name.display())), "{own}");
        if relation != "pg_catalog.pg_class" {
            assert_eq!(problems.len(), 1, "{relation}{suffix}: {problems:?}");
        }
    }
    let env = worked_on();
    flip(&env, &Path::new(ROOT).join("CURRENT"), 30);
    let (_, problems) = check(&env);
    assert_eq!(problems, ["/data/CURRENT: copy 0 is damaged"]);
}

#[test]
fn a_damaged_visibility_map_is_found() {
    let env = worked_on();
    let instance = open(&env);
    let mut session = instance.session("postgres", "postgres").unwrap();
    run(&mut session, "VACUUM calm");
    drop(session);
    instance.close().unwrap();
    flip(&env, &file_of(&env, "calm", ".vis"), 100);
    let (_, problems) = check(&env);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("Visibility block 0): page checksum"), "{problems:?}");
}

/// Changes an index of `items` behind the table's back.
fn change_index(env: &Env, name: &str, change: impl FnOnce(&IndexAccess)) {
    let instance = open(env);
    let database = instance.open_database("postgres").unwrap();
    let catalog = database.catalog();
    let items =
        catalog.relations().find(|r| &*r.name == "items" && r.namespace == ochre_catalog::oids::PUBLIC);
    let table = database.table(items.unwrap()).unwrap();
    change(table.indexes.iter().find(|index| &*index.descriptor.name == name).unwrap());
    instance.close().unwrap();
}

fn key_of(id: i32) -> Vec<u8> {
    let ty = ochre_types::SqlType::INT4;
    let mut key = Vec::new();
    let column = ochre_types::Column::from(vec![id]);
    ochre_types::key::encode_key_at(&column, 0, KeyOrder::new(ty, false, false), &mut key).unwrap();
    key
}

#[test]
fn an_index_entry_too_few_or_too_many_is_found() {
    let env = worked_on();
    let mut row = RowId { block: ochre_base::BlockNo(0), slot: 0 };
    change_index(&env, "items_pkey", |index| {
        let mut rids = Vec::new();
        index.tree.lookup_equal(&key_of(2), &mut rids).unwrap();
        row = rids[0];
        assert!(index.tree.remove(Xid::NONE, &key_of(2), &[], row).unwrap());
    });
    let (_, problems) = check(&env);
    assert_eq!(problems, [format!("postgres: index public.items_pkey: row {row} has no entry")]);

    change_index(&env, "items_pkey", |index| {
        assert!(index.tree.insert(Xid::NONE, &key_of(2), &[], row).unwrap());
        assert!(index.tree.insert(Xid::NONE, &key_of(-5), &[], row).unwrap());
    });
    let (_, problems) = check(&env);
    assert_eq!(
        problems,
        [format!(
            "postgres: index public.items_pkey: an entry leads to row {row}, no version of which has its key"
        )]
    );
}

#[test]
fn files_and_catalog_are_compared() {
    let env = worked_on();
    let gone = file_of(&env, "items_cheap", "");
    env.fs.remove(&gone).unwrap();
    let (_, problems) = check(&env);
    let name = gone.strip_prefix(ROOT).unwrap().display().to_string();
    assert_eq!(problems, [format!("postgres: index public.items_cheap: its file {name} is missing")]);

    let env = worked_on();
    for stray in ["base/5/1900", "base/5/notes.txt"] {
        env.fs.open(&Path::new(ROOT).join(stray), OpenMode::New).unwrap();
    }
    let (_, problems) = check(&env);
    assert_eq!(
        problems,
        [
            "base/5/1900: no relation of the catalog has this file",
            "/data/base/5/notes.txt: a name that no file of a relation has"
        ]
    );
}

#[test]
fn what_is_no_data_directory_or_in_use_is_refused() {
    let env = Env::in_memory();
    let mut found = |_: &Problem| {};
    let error = check_directory(&env, Path::new(ROOT), InstanceConfig::default(), &mut found).unwrap_err();
    assert_eq!(error.message(), "\"/data\" is not a data directory");
    let instance = open(&env);
    let error = check_directory(&env, Path::new(ROOT), InstanceConfig::default(), &mut found).unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "55006");
    instance.close().unwrap();
}
