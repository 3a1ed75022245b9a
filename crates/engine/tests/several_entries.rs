//! Indexes in which a row has several entries (GIN, and those on functions of users), while rows change, changes are rolled
//! back and the collector goes round: whatever a snapshot sees, it finds by the index as without it, and nothing else.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ochre_engine::{Instance, Session, check};
use ochre_fuzzing::Random;

use common::{Machine, flush, open, run, table};

const ROWS: usize = 60;
const WRITERS: usize = 3;
const TRANSACTIONS: usize = 250;
const LOOKS: usize = 120;

const MADE: [&str; 9] = [
    "CREATE FUNCTION folded(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
         $$ BEGIN IF $1 = 'w7' THEN RAISE EXCEPTION 'no seven'; END IF; RETURN substr($1, 2) || 'f'; END $$",
    "CREATE FUNCTION small(int[]) RETURNS int[] IMMUTABLE LANGUAGE sql AS
         'SELECT coalesce(array_agg(e), ''{}'') FROM unnest($1) e WHERE e < 6'",
    "CREATE TABLE t (id int PRIMARY KEY, a int[], j jsonb, s text, n int)",
    "CREATE INDEX t_a ON t USING gin (a)",
    "CREATE INDEX t_aj ON t USING gin (a, j) WHERE n < 8",
    "CREATE INDEX t_p ON t USING gin (j jsonb_path_ops)",
    "CREATE INDEX t_s ON t (folded(s))",
    "CREATE INDEX t_small ON t USING gin (small(a))",
    "CREATE UNIQUE INDEX t_u ON t (folded(s), id) WHERE n > 2",
];

fn session(instance: &Arc<Instance>) -> Session {
    instance.session("postgres", "postgres").expect("a session")
}

fn array(random: &mut Random) -> String {
    let element = |random: &mut Random| match random.below(13) {
        12 => "NULL".to_string(),
        number => number.to_string(),
    };
    let elements: Vec<String> = (0..random.below(6)).map(|_| element(random)).collect();
    format!("'{{{}}}'", elements.join(","))
}

fn document(random: &mut Random) -> String {
    let (key, value, tag) = (random.below(4), random.below(5), random.below(4));
    match random.below(4) {
        0 => "'{}'".to_string(),
        1 => "NULL".to_string(),
        2 => format!("'{{\"k{key}\": {value}, \"tags\": [\"x{tag}\", {value}]}}'"),
        _ => format!("'{{\"k{key}\": {{\"k{tag}\": \"x{value}\"}}}}'"),
    }
}

/// Changes rows of its own.
fn write(instance: &Arc<Instance>, writer: usize) {
    let mut session = session(instance);
    let mut random = Random::new(writer as u64 * 7919 + 1);
    for _ in 0..TRANSACTIONS {
        run(&mut session, "BEGIN");
        for _ in 0..1 + random.below(4) {
            let id = random.below(ROWS) * WRITERS + writer;
            let (array, document, n) = (array(&mut random), document(&mut random), random.below(12));
            // One that the function refuses is written, and taken back.
            let word = random.below(9);
            let statement = match random.below(7) {
                0 => format!("DELETE FROM t WHERE id = {id}"),
                1 | 2 => format!(
                    "INSERT INTO t VALUES ({id}, {array}, {document}, 'w{word}', {n}) ON CONFLICT (id) DO UPDATE
                     SET a = excluded.a, s = excluded.s"
                ),
                3 => format!("UPDATE t SET a = {array} WHERE id = {id}"),
                4 => format!("UPDATE t SET a = a || {n}, j = {document} WHERE id = {id}"),
                5 => format!("UPDATE t SET n = {n}, s = 'w{word}' WHERE id = {id}"),
                _ => format!("UPDATE t SET a = {array} WHERE id = {id}; UPDATE t SET a = '{{1,2}}' WHERE id = {id}"),
            };
            run(&mut session, "SAVEPOINT s");
            let mut rows = common::Rows::default();
            if session.simple_query(&statement, &mut rows).is_err() || random.below(6) == 0 {
                run(&mut session, "ROLLBACK TO s");
            }
        }
        run(&mut session, if random.below(4) == 0 { "ROLLBACK" } else { "COMMIT" });
    }
}

fn condition(random: &mut Random) -> String {
    let (array, key, value) = (array(random), random.below(4), random.below(5));
    match random.below(13) {
        0 => format!("a @> {array}"),
        1 => format!("a && {array}"),
        2 => format!("a <@ {array}"),
        3 => format!("a = {array}"),
        4 => format!("a @> '{{{value}}}' AND j ? 'k{key}' AND n < 8"),
        5 => format!("j @> '{{\"k{key}\": {value}}}'"),
        6 => format!("j @> '{{\"tags\": [\"x{key}\"]}}'"),
        7 => format!("j ?| '{{k{key},tags}}' AND n < 8"),
        8 => format!("j ?& '{{k{key},tags}}' AND n < 8"),
        9 => format!("folded(s) = '{value}f'"),
        10 => format!("folded(s) BETWEEN '2f' AND '{value}f' AND n > 2"),
        11 => format!("small(a) @> '{{{value}}}'"),
        _ => format!("a @> '{{{value}}}' OR j @> '{{\"k{key}\": {{}}}}'"),
    }
}

/// Asks the same twice within a snapshot.
fn look(session: &mut Session, random: &mut Random) {
    run(session, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    for _ in 0..4 {
        let condition = condition(random);
        let query = format!("SELECT id, a, j, s FROM t WHERE {condition} ORDER BY id");
        run(session, "SET enable_seqscan = off; SET enable_indexscan = on");
        let by_index = table(session, &query);
        run(session, "SET enable_seqscan = on; SET enable_bitmapscan = off; SET enable_indexscan = off");
        let without = table(session, &query);
        run(session, "RESET enable_bitmapscan");
        assert_eq!(by_index, without, "{query}");
    }
    run(session, "COMMIT");
}

#[test]
fn readers_find_what_they_see() {
    let machine = Machine::new(3);
    let instance = open(&machine.env);
    let mut setup = session(&instance);
    MADE.iter().for_each(|statement| {
        run(&mut setup, statement);
    });
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let instance = &instance;
                scope.spawn(move || write(instance, writer))
            })
            .collect();
        for reader in 0..2 {
            let instance = &instance;
            scope.spawn(move || {
                let mut session = session(instance);
                let mut random = Random::new(reader + 100);
                (0..LOOKS).for_each(|_| look(&mut session, &mut random));
            });
        }
        scope.spawn(|| {
            let mut session = session(&instance);
            while !stop.load(Ordering::Relaxed) {
                instance.collect().expect("collects");
                run(&mut session, "VACUUM t");
            }
        });
        for writer in writers {
            writer.join().expect("writes");
        }
        stop.store(true, Ordering::Relaxed);
    });
    let mut random = Random::new(5);
    (0..50).for_each(|_| look(&mut setup, &mut random));
    run(&mut setup, "VACUUM t");
    sound(&instance);
}

fn sound(instance: &Arc<Instance>) {
    let mut problems = Vec::new();
    check::check_instance(instance, &mut |problem| problems.push(problem.to_string()));
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn an_index_is_as_large_as_its_rows_when_they_have_changed() {
    let machine = Machine::new(4);
    let instance = open(&machine.env);
    let mut session = session(&instance);
    MADE.iter().for_each(|statement| {
        run(&mut session, statement);
    });
    run(
        &mut session,
        "INSERT INTO t SELECT i, ARRAY[i % 10, 5], '{}', 'w' || i % 5, i % 10 FROM generate_series(1, 200) i",
    );
    for round in 0..5 {
        run(&mut session, &format!("UPDATE t SET a = ARRAY[{round}, id], s = s || '{round}'"));
        run(&mut session, "BEGIN; UPDATE t SET a = '{1000}', s = 'none'; ROLLBACK");
    }
    run(&mut session, "DELETE FROM t WHERE id > 50");
    // A deleted row goes when that is durable.
    flush(&instance);
    for _ in 0..3 {
        instance.collect().expect("collects");
        run(&mut session, "VACUUM t");
    }
    let entries = || check::check_instance(&instance, &mut |problem| panic!("{problem}")).index_entries;
    let before = entries();
    run(&mut session, "REINDEX TABLE t");
    assert_eq!(before, entries(), "entries of versions that are gone are still there");
}
