//! Kept columns of tables that are scanned again and again: the answers are those of the pages, whatever is done to the
//! rows in between, and by whom.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::sync::Arc;

use ochre_engine::settings::{Settings, Source};
use ochre_engine::{Instance, InstanceConfig, Session};
use ochre_env::Env;
use ochre_fuzzing::Random;

use common::{flush, run, table};

fn open(cache: &str) -> Arc<Instance> {
    let mut settings = Settings::new();
    settings.configure("column_cache_size", cache, Source::Configuration).expect("a size");
    let config = InstanceConfig { background: false, settings, ..InstanceConfig::default() };
    Instance::open(Env::in_memory(), "/data".as_ref(), config).expect("a new directory")
}

fn session(instance: &Arc<Instance>) -> Session {
    instance.session("postgres", "postgres").expect("a session")
}

/// Makes the pages known as seen by every snapshot whose rows are, which asks for durable commits.
fn vacuum(instance: &Instance, session: &mut Session, name: &str) {
    flush(instance);
    run(session, &format!("VACUUM {name}"));
}

const COLUMNS: &str = "id, small, int, big, amount, flag, kind, word, day, rate";

/// A table with some thousand rows on some dozen pages.
fn create(instance: &Instance, session: &mut Session) {
    run(
        session,
        "CREATE TABLE t (id int, small smallint, int int, big bigint, amount numeric, flag bool, kind char(10),
             word text, day date, rate float8);
         INSERT INTO t SELECT i, i % 100, i * 7919 % 10007, i::bigint * 1000000007, (i % 1000)::numeric / 100,
             i % 3 = 0, 'kind ' || i % 5, 'the word of ' || i * 31 % 1000, date '2000-01-01' + i % 365, i * 0.5
             FROM generate_series(1, 4000) i;
         UPDATE t SET small = NULL WHERE id % 17 = 0;
         UPDATE t SET int = NULL, kind = NULL WHERE id % 19 = 0;
         UPDATE t SET amount = NULL, word = NULL WHERE id % 23 = 0;
         UPDATE t SET amount = 12345678901234567890123.45 WHERE id % 501 = 0;
         CREATE TABLE keys (k int, w text); INSERT INTO keys SELECT i * 3, 'key ' || i FROM generate_series(1, 300) i;
         INSERT INTO keys VALUES (NULL, 'none'); ANALYZE t; ANALYZE keys",
    );
    vacuum(instance, session, "t");
}

/// Conditions that a scan asks of columns in every form, and some that it cannot.
const CONDITIONS: [&str; 24] = [
    "true",
    "small < 10",
    "small >= 90 AND int <> 77",
    "int BETWEEN 100 AND 5000",
    "int = 7919",
    "int > 20000",
    "big > 1000000007000",
    "small < int",
    "int >= small AND big > 0",
    "amount < 1.5",
    "amount >= 9.9 AND amount <> 9.95",
    "amount > 1e10",
    "kind = 'kind 3'",
    "kind <> 'kind 3' AND small < 50",
    "kind IN ('kind 1', 'kind 4', NULL)",
    "word = 'the word of 93'",
    "word > 'the word of 9' AND day < '2000-03-01'",
    "word LIKE '%9' AND small < 50",
    "day IN ('2000-02-29', '2000-12-30')",
    "int IN (7919, 5831, 3743)",
    "int IS NULL",
    "NOT flag OR rate > 1000",
    "flag",
    "rate < 100 AND small > 10",
];

/// Asks both ways: with the row's place, which only a page tells, and without it.
fn check(session: &mut Session, condition: &str) {
    let from_pages = format!("SELECT {COLUMNS} FROM t WHERE ({condition}) AND ctid IS NOT NULL");
    let cached = format!("SELECT {COLUMNS} FROM t WHERE {condition}");
    assert_eq!(table(session, &cached), table(session, &from_pages), "{condition}");
    let few = format!("SELECT big, kind FROM t WHERE {condition}");
    let few_from_pages = format!("SELECT big, kind FROM t WHERE ({condition}) AND ctid IS NOT NULL");
    assert_eq!(table(session, &few), table(session, &few_from_pages), "{condition}");
}

fn check_all(session: &mut Session) {
    for _ in 0..3 {
        CONDITIONS.iter().for_each(|condition| check(session, condition));
    }
}

#[test]
fn kept_columns_give_what_the_pages_give() {
    let instance = open("64MB");
    let mut session = session(&instance);
    create(&instance, &mut session);
    check_all(&mut session);
    let kept = instance.column_cache_bytes();
    assert!(kept > 50_000, "{kept} bytes are kept");
    for sql in [
        "SELECT count(*) FROM t",
        "SELECT count(*), sum(int), sum(amount) FROM t WHERE ID",
        "SELECT k, w, count(*) FROM t JOIN keys ON k = int ID GROUP BY 1, 2 ORDER BY 1",
        "SELECT k, count(int) FROM keys LEFT JOIN t ON k = int ID GROUP BY 1 ORDER BY 1",
        "SELECT count(*), sum(int) FROM t WHERE int IN (SELECT k FROM keys) AND ID",
        "SELECT count(*), sum(int) FROM t WHERE NOT EXISTS (SELECT FROM keys WHERE k = int) AND ID",
        "SELECT int, id FROM t WHERE ID ORDER BY int LIMIT 20",
        "SELECT int, id FROM t WHERE ID ORDER BY int DESC, id LIMIT 250",
        "SELECT small, id FROM t WHERE ID ORDER BY small NULLS FIRST, id LIMIT 300",
        "SELECT day, id FROM t WHERE ID ORDER BY day DESC NULLS LAST, id DESC LIMIT 30 OFFSET 100",
    ] {
        let from_pages = sql.replace(
            "ID",
            if sql.contains("ON k") { "AND t.ctid IS NOT NULL" } else { "t.ctid IS NOT NULL" },
        );
        let cached = sql.replace("ID", if sql.contains("ON k") { "" } else { "true" });
        for _ in 0..3 {
            assert_eq!(table(&mut session, &cached), table(&mut session, &from_pages), "{cached}");
        }
    }
    run(&mut session, "DROP TABLE t");
    assert!(instance.column_cache_bytes() < kept / 10, "a table takes its columns along");
}

#[test]
fn without_room_nothing_is_kept() {
    let instance = open("0");
    let mut session = session(&instance);
    create(&instance, &mut session);
    check_all(&mut session);
    assert_eq!(instance.column_cache_bytes(), 0);
}

#[test]
fn columns_are_kept_within_bounds() {
    let instance = open("64kB");
    let mut session = session(&instance);
    create(&instance, &mut session);
    check_all(&mut session);
    let kept = instance.column_cache_bytes();
    assert!(kept > 0 && kept < 1 << 20, "{kept} bytes are kept");
}

#[test]
fn changes_are_seen_by_whom_they_concern() {
    let instance = open("64MB");
    let (mut one, mut other) = (session(&instance), session(&instance));
    create(&instance, &mut one);
    let sum = "SELECT count(*), sum(id), sum(int), max(word) FROM t";
    for _ in 0..3 {
        table(&mut one, sum);
    }
    assert!(instance.column_cache_bytes() > 0);
    let before = table(&mut one, sum);
    // Somebody's changes, before and after his commit, for himself, for others, and for an older snapshot.
    run(&mut other, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_eq!(table(&mut other, sum), before);
    run(&mut one, "BEGIN; UPDATE t SET int = 5, word = 'zzz' WHERE id = 2000; DELETE FROM t WHERE id = 1");
    let after = table(&mut one, sum);
    assert_ne!(after, before);
    assert_eq!(table(&mut other, sum), before);
    run(&mut one, "COMMIT");
    for _ in 0..3 {
        assert_eq!(table(&mut other, sum), before);
        assert_eq!(table(&mut one, sum), after);
    }
    run(&mut other, "COMMIT");
    assert_eq!(table(&mut other, sum), after);
    vacuum(&instance, &mut one, "t");
    for _ in 0..3 {
        assert_eq!(table(&mut other, sum), after);
    }
    // Changes that are taken back.
    run(&mut one, "BEGIN; SAVEPOINT s; DELETE FROM t WHERE id % 2 = 0; INSERT INTO t (id) VALUES (100000)");
    assert_ne!(table(&mut one, sum), after);
    run(&mut one, "ROLLBACK TO s");
    assert_eq!(table(&mut one, sum), after);
    run(&mut one, "ROLLBACK");
    vacuum(&instance, &mut one, "t");
    for _ in 0..3 {
        assert_eq!(table(&mut one, sum), after);
    }
    // A cursor goes on with what it began with.
    run(&mut one, "BEGIN; DECLARE c CURSOR FOR SELECT id FROM t; MOVE 10 IN c");
    run(&mut other, "DELETE FROM t WHERE id > 1000");
    assert_eq!(run(&mut one, "MOVE ALL IN c; COMMIT").tags[0], "MOVE 3989");
    assert_eq!(table(&mut one, "SELECT count(*) FROM t"), ["999"]);
    run(&mut one, "TRUNCATE t");
    assert_eq!(table(&mut one, "SELECT count(*) FROM t"), ["0"]);
}

#[test]
fn columns_that_come_go_and_widen() {
    let instance = open("64MB");
    let mut session = session(&instance);
    create(&instance, &mut session);
    check_all(&mut session);
    run(&mut session, "ALTER TABLE t ADD COLUMN more int DEFAULT 42");
    for _ in 0..3 {
        assert_eq!(table(&mut session, "SELECT sum(more), count(*) FROM t WHERE more = 42"), ["168000|4000"]);
    }
    // A column that never came to be, and another one in its place.
    run(&mut session, "BEGIN; ALTER TABLE t ADD COLUMN other int DEFAULT 7");
    for _ in 0..3 {
        assert_eq!(table(&mut session, "SELECT sum(other) FROM t"), ["28000"]);
    }
    run(&mut session, "ROLLBACK; ALTER TABLE t ADD COLUMN other bigint DEFAULT 8");
    for _ in 0..3 {
        assert_eq!(table(&mut session, "SELECT sum(other), sum(more) FROM t"), ["32000|168000"]);
    }
    run(&mut session, "ALTER TABLE t DROP COLUMN more; ALTER TABLE t ALTER COLUMN small TYPE bigint");
    for _ in 0..3 {
        assert_eq!(
            table(&mut session, "SELECT sum(other), count(small) FROM t WHERE other > 7"),
            ["32000|3765"]
        );
    }
    check_all(&mut session);
}

#[test]
fn random_changes_between_scans() {
    let instance = open("64MB");
    let (mut one, mut other) = (session(&instance), session(&instance));
    create(&instance, &mut one);
    let mut random = Random::new(7);
    let mut kept = 0;
    for round in 0..60 {
        // A row that has moved keeps its run from being kept for good.
        if round % 10 == 9 {
            run(&mut one, "DROP TABLE t; DROP TABLE keys");
            create(&instance, &mut one);
        }
        let from = random.below(4200);
        let to = from + random.below(120);
        let statement = match random.below(7) {
            0 => format!("DELETE FROM t WHERE id BETWEEN {from} AND {to}"),
            1 => format!("UPDATE t SET small = small + 1, word = 'w' || id WHERE id BETWEEN {from} AND {to}"),
            2 => format!("UPDATE t SET int = NULL, amount = amount * 1.001 WHERE id BETWEEN {from} AND {to}"),
            3 => format!("UPDATE t SET word = repeat(word, 90) WHERE id = {from}"),
            4 => format!("BEGIN; UPDATE t SET int = 1 WHERE id BETWEEN {from} AND {to}; ROLLBACK"),
            5 => "VACUUM t".to_string(),
            _ => format!(
                "INSERT INTO t SELECT i, i % 90, i, i, i / 10.0, true, 'kind new', 'new', '2001-01-01', 1 \
                 FROM generate_series({from}, {to}) i"
            ),
        };
        run(if round % 2 == 0 { &mut one } else { &mut other }, &statement);
        if random.below(2) == 0 {
            vacuum(&instance, &mut other, "t");
        }
        for _ in 0..3 {
            let condition = random.pick(&CONDITIONS);
            check(&mut one, condition);
            check(&mut other, condition);
        }
        kept += usize::from(instance.column_cache_bytes() > 0);
    }
    assert!(kept > 10, "columns were kept in {kept} of 60 rounds");
}

#[test]
fn several_threads_share_kept_columns() {
    let instance = open("64MB");
    let mut session = session(&instance);
    run(
        &mut session,
        "CREATE TABLE wide (id int, k int, filler text);
         INSERT INTO wide SELECT i, i % 1000, repeat('x', 150) FROM generate_series(1, 30000) i;
         ANALYZE wide; SET debug_parallel_query = on; SET max_parallel_workers_per_gather = 2",
    );
    vacuum(&instance, &mut session, "wide");
    for _ in 0..4 {
        assert_eq!(
            table(
                &mut session,
                "SELECT count(*), sum(id), min(k), max(length(filler)) FROM wide WHERE k < 500"
            ),
            ["15000|221272500|0|150"]
        );
    }
    assert!(instance.column_cache_bytes() > 0);
}
