//! Plans that run on several threads: their answers, their errors, and that no thread stays behind.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ochre_base::{Error, SqlState};
use ochre_engine::settings::{Settings, Source};
use ochre_engine::{Instance, InstanceConfig, Session};
use ochre_env::Env;

use common::Rows;

/// Rows of the large table: many pages, so that every thread gets some.
const ROWS: i64 = 60_000;

fn open(workers: &str) -> Arc<Instance> {
    let mut settings = Settings::new();
    settings.configure("max_worker_processes", workers, Source::Configuration).expect("a number");
    let config = InstanceConfig { background: false, settings, ..InstanceConfig::default() };
    Instance::open(Env::in_memory(), "/data".as_ref(), config).expect("a new directory")
}

fn session(instance: &Arc<Instance>) -> Session {
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, "SET debug_parallel_query = on");
    session
}

/// `big` with a row for each number up to [`ROWS`], and `groups` with one for each remainder.
fn with_tables(workers: &str) -> Arc<Instance> {
    let instance = open(workers);
    let mut session = session(&instance);
    run(
        &mut session,
        &format!(
            "CREATE TABLE big (id int PRIMARY KEY, kind int, name text);
             INSERT INTO big SELECT i, i % 7, 'name ' || i FROM generate_series(1, {ROWS}) i;
             CREATE TABLE groups (kind int, title text);
             INSERT INTO groups SELECT i, 'title ' || i FROM generate_series(0, 5) i;
             ANALYZE big; ANALYZE groups"
        ),
    );
    instance
}

fn try_run(session: &mut Session, sql: &str) -> Result<Vec<String>, Error> {
    let mut rows = Rows::default();
    session.simple_query(sql, &mut rows)?;
    let text = |row: &Vec<Option<String>>| {
        row.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join("|")
    };
    Ok(rows.rows.iter().map(text).collect())
}

fn run(session: &mut Session, sql: &str) -> Vec<String> {
    try_run(session, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

/// The same answer with and without other threads.
fn check(session: &mut Session, sql: &str) {
    let plan = run(session, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n");
    assert!(plan.contains("Gather"), "{sql}\n{plan}");
    let mut parallel = run(session, sql);
    run(session, "SET max_parallel_workers_per_gather = 0");
    let mut serial = run(session, sql);
    run(session, "RESET max_parallel_workers_per_gather");
    if !sql.contains("ORDER BY") {
        parallel.sort();
        serial.sort();
    }
    assert_eq!(parallel, serial, "{sql}");
}

#[test]
fn several_threads_give_the_answers_of_one() {
    let instance = with_tables("8");
    let mut session = session(&instance);
    for setup in [
        "",
        "SET work_mem = '64kB'",
        "SET parallel_leader_participation = off",
        "SET max_parallel_workers = 0",
    ] {
        run(&mut session, setup);
        for sql in [
            "SELECT count(*), sum(id), min(name), max(name) FROM big",
            "SELECT kind, count(*), avg(id), count(*) FILTER (WHERE id % 2 = 0) FROM big GROUP BY kind",
            "SELECT name, count(*) FROM big GROUP BY name HAVING count(*) = 1",
            "SELECT kind, id % 3, count(*) FROM big GROUP BY ROLLUP (kind, id % 3)",
            "SELECT id + 1 FROM big WHERE kind = 3",
            "SELECT DISTINCT kind FROM big",
            "SELECT title, count(*) FROM big JOIN groups USING (kind) GROUP BY title",
            "SELECT count(*), count(title) FROM big LEFT JOIN groups USING (kind)",
            "SELECT count(*) FROM big WHERE kind IN (SELECT kind FROM groups)",
            "SELECT count(*) FROM big WHERE NOT EXISTS (SELECT FROM groups WHERE groups.kind = big.kind)",
            "SELECT count(*) FROM big a JOIN big b ON a.id = b.id + 1 WHERE a.kind < 3",
            "SELECT id, name FROM big ORDER BY name DESC LIMIT 20",
            "SELECT id FROM big WHERE kind = 2 ORDER BY id",
            "SELECT count(*) FROM (SELECT id FROM big UNION ALL SELECT id FROM big WHERE kind = 1) x",
            "WITH x AS MATERIALIZED (SELECT kind, count(*) n FROM big GROUP BY kind) SELECT a.n, b.n FROM x a JOIN x b USING (kind)",
            "SELECT sum(n) FROM groups JOIN (SELECT kind, count(*) n FROM big GROUP BY kind) x USING (kind)",
            "SELECT kind FROM big GROUP BY kind HAVING count(*) > (SELECT count(*) / 7 FROM big)",
        ] {
            check(&mut session, sql);
        }
    }
    assert_eq!(instance.workers().taken(), 0);
}

#[test]
fn plans_show_who_does_what() {
    let instance = with_tables("8");
    let mut session = session(&instance);
    let plan =
        run(&mut session, "EXPLAIN (COSTS OFF) SELECT kind, count(*) FROM big WHERE id > 5 GROUP BY kind");
    assert_eq!(
        plan,
        [
            "Finalize HashAggregate",
            "  Group Key: kind",
            "  ->  Gather",
            "        Workers Planned: 2",
            "        ->  Partial HashAggregate",
            "              Group Key: kind",
            "              ->  Parallel Seq Scan on big",
            "                    Filter: (id > 5)",
        ]
    );
    let plan =
        run(&mut session, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT count(*) FROM big");
    assert!(plan[0].starts_with("Finalize Aggregate (actual rows=1.00 loops=1)"), "{plan:#?}");
    assert!(plan.iter().any(|line| line.contains("Workers Launched: 2")), "{plan:#?}");
    // What partial aggregates leave to the final one counts as their rows.
    for shown in ["Gather (actual rows=3.00 loops=1)", "Partial Aggregate (actual rows=1.00 loops=3)"] {
        assert!(plan.iter().any(|line| line.contains(shown)), "{plan:#?}");
    }
    let plan = run(&mut session, "EXPLAIN (COSTS OFF, VERBOSE) SELECT count(*), sum(id) FROM big");
    assert_eq!(
        plan,
        [
            "Finalize Aggregate",
            "  Output: count(*), sum(id)",
            "  ->  Gather",
            "        Output: (PARTIAL count(*)), (PARTIAL sum(id))",
            "        Workers Planned: 2",
            "        ->  Partial Aggregate",
            "              Output: PARTIAL count(*), PARTIAL sum(id)",
            "              ->  Parallel Seq Scan on public.big",
            "                    Output: id",
        ]
    );
    // What a join looks for reaches the scans of all threads.
    let plan = run(
        &mut session,
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
         SELECT sum(n) FROM groups JOIN (SELECT id, count(*) n FROM big GROUP BY id) x ON x.id = groups.kind
         WHERE title = 'title 3'",
    );
    let scan = plan.iter().find(|line| line.contains("Parallel Seq Scan on big"));
    assert!(scan.is_some_and(|line| line.contains("rows=0.33 loops=3")), "{plan:#?}");
    assert!(plan.iter().any(|line| line.contains("Rows Removed by Join Keys: ")), "{plan:#?}");
    let plan = run(&mut session, "EXPLAIN (COSTS OFF) SELECT id FROM big ORDER BY name");
    assert!(plan.iter().any(|line| line.contains("Gather Merge")), "{plan:#?}");
    run(&mut session, "RESET debug_parallel_query");
    let plan = run(&mut session, "EXPLAIN SELECT count(*) FROM big");
    assert!(!plan.iter().any(|line| line.contains("Gather")), "a table of few pages: {plan:#?}");
    run(&mut session, "SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0");
    let plan = run(&mut session, "EXPLAIN SELECT count(*) FROM big");
    assert!(plan.iter().any(|line| line.contains("Workers Planned: 2")), "{plan:#?}");
}

#[test]
fn what_is_not_safe_stays_on_its_thread() {
    let instance = with_tables("8");
    let mut session = session(&instance);
    run(
        &mut session,
        "CREATE SEQUENCE s; CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT $1 * 2'",
    );
    // Nothing of it, or only what is below the function.
    for (sql, word) in [
        ("SELECT count(*) FROM big WHERE random() >= 0", "Gather"),
        ("SELECT array_agg(id) FROM big WHERE twice(id) = 4", "Gather"),
        ("SELECT id FROM big WHERE kind = 1 FOR UPDATE", "Gather"),
        ("DELETE FROM big WHERE kind = 100", "Gather"),
        ("INSERT INTO groups SELECT kind, name FROM big WHERE kind = 100", "Gather"),
        ("SELECT count(nextval('s')) FROM big", "Partial"),
        ("SELECT sum(twice(id)) FROM big", "Partial"),
        ("SELECT array_agg(id) FROM big", "Partial"),
        ("SELECT count(DISTINCT kind) FROM big", "Partial"),
        (
            "SELECT sum((SELECT count(*) FROM groups WHERE groups.kind + big.kind = 3)) FROM big WHERE id < 10",
            "Partial",
        ),
    ] {
        let plan = run(&mut session, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n");
        assert!(!plan.contains(word), "{sql}\n{plan}");
        run(&mut session, "BEGIN");
        run(&mut session, sql);
        run(&mut session, "ROLLBACK");
    }
    // Beside serializable transactions the reads stay in their order.
    run(&mut session, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    let plan =
        run(&mut session, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT count(*) FROM big");
    assert!(plan.iter().any(|line| line.contains("Workers Launched: 0")), "{plan:#?}");
    run(&mut session, "COMMIT");
}

#[test]
fn threads_see_what_the_statement_sees() {
    let instance = with_tables("8");
    let (mut session, mut other) = (session(&instance), session(&instance));
    let count =
        |session: &mut Session| run(session, "SELECT count(*), sum(id) FROM big WHERE name <> ''").remove(0);
    let before = count(&mut session);
    run(
        &mut session,
        "BEGIN; DELETE FROM big WHERE id > 100; SAVEPOINT a; INSERT INTO big VALUES (-1, 0, 'x')",
    );
    assert_eq!(count(&mut session), "101|5049");
    assert_eq!(count(&mut other), before);
    run(&mut session, "ROLLBACK TO a");
    assert_eq!(count(&mut session), "100|5050");
    run(&mut session, "ROLLBACK");
    assert_eq!(count(&mut session), before);
    run(&mut session, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_eq!(count(&mut session), before);
    run(&mut other, "UPDATE big SET id = -id WHERE id <= 1000");
    assert_eq!(count(&mut session), before);
    run(&mut session, "COMMIT");
    assert_ne!(count(&mut session), before);
}

#[test]
fn an_error_of_any_thread_is_the_statements() {
    let instance = with_tables("8");
    let mut session = session(&instance);
    for row in [1, 29_000, ROWS] {
        for sql in [
            format!("SELECT sum(1 / (id - {row})) FROM big"),
            format!("SELECT id FROM big WHERE 1 / (id - {row}) > 1"),
            format!("SELECT id FROM big ORDER BY 1 / (id - {row})"),
        ] {
            let error = try_run(&mut session, &sql).expect_err("a division by zero");
            assert_eq!(error.sqlstate(), SqlState::DIVISION_BY_ZERO, "{sql}: {error:?}");
            assert_eq!(instance.workers().taken(), 0);
        }
    }
    assert_eq!(run(&mut session, "SELECT count(*) FROM big"), [ROWS.to_string()]);
}

/// A statement is cancelled while several threads run it, and ends though its rows would keep them for hours.
#[test]
fn all_threads_end_when_a_statement_is_cancelled() {
    let instance = with_tables("8");
    let mut session = session(&instance);
    let sql = "SELECT count(*) FROM big a JOIN big b ON a.kind = b.kind JOIN big c ON b.kind = c.kind
               WHERE a.id + b.id + c.id < 0";
    run(&mut session, "SET enable_mergejoin = off");
    let plan = run(&mut session, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n");
    assert!(plan.contains("Partial Aggregate"), "{plan}");
    let (process_id, secret) = session.cancel_key();
    for _ in 0..3 {
        let done = AtomicBool::new(false);
        let error = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut helped = false;
                while !done.load(Ordering::Acquire) {
                    // From the first moment on at which others help, until it has ended.
                    helped |= instance.workers().taken() > 0;
                    if helped {
                        instance.cancel(process_id, &secret);
                    }
                    std::thread::yield_now();
                }
            });
            let result = try_run(&mut session, sql);
            done.store(true, Ordering::Release);
            result.expect_err("it is cancelled")
        });
        assert_eq!(error.sqlstate(), SqlState::QUERY_CANCELED, "{error:?}");
        assert_eq!(instance.workers().taken(), 0);
    }
}

/// Tables of joins that all threads read and put together, of every join type, in memory and in files, with as many
/// threads as there are, one, or none.
#[test]
fn threads_make_hash_tables_together() {
    for workers in ["8", "1"] {
        let instance = with_tables(workers);
        let mut session = session(&instance);
        run(
            &mut session,
            "CREATE TABLE other (id int, kind int, name text);
             INSERT INTO other SELECT i * 3, CASE WHEN i % 10 > 0 THEN i % 5 + 3 END, 'name ' || i * 2 FROM generate_series(1, 35000) i;
             ANALYZE other",
        );
        for setup in [
            "",
            "SET work_mem = '64kB'; SET hash_mem_multiplier = 1",
            "SET parallel_leader_participation = off",
            "RESET ALL; SET debug_parallel_query = on; SET max_parallel_workers = 0",
            "RESET max_parallel_workers; SET enable_parallel_hash = off",
            "SET work_mem = '64kB'; SET hash_mem_multiplier = 1; SET enable_parallel_hash = off",
        ] {
            run(&mut session, setup);
            for (join, columns) in [
                ("JOIN other b USING (id)", "sum(b.kind), min(b.name)"),
                ("LEFT JOIN other b USING (id)", "sum(b.kind), count(b.name)"),
                ("RIGHT JOIN other b USING (id)", "sum(b.kind), count(a.name)"),
                ("FULL JOIN other b USING (id)", "sum(a.kind), sum(b.kind)"),
                ("FULL JOIN other b ON a.name = b.name AND a.id = b.id - 3", "sum(a.id), sum(b.id)"),
                ("FULL JOIN other b ON a.name = b.name AND a.kind < b.kind", "sum(a.id), sum(b.id)"),
                ("JOIN other b USING (id) JOIN big c ON c.name = b.name", "sum(c.id), sum(b.id)"),
                ("FULL JOIN other b USING (id) FULL JOIN big c ON c.name = b.name", "sum(c.id), sum(b.id)"),
            ] {
                let sql = format!("SELECT count(*), {columns} FROM big a {join}");
                check(&mut session, &sql);
                let plan = run(&mut session, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n");
                let together = plan.contains("Parallel Hash");
                assert_eq!(together, !setup.contains("enable_parallel_hash"), "{setup}: {sql}\n{plan}");
            }
            for sql in [
                "SELECT count(*), sum(id) FROM big a WHERE EXISTS (SELECT FROM other b WHERE a.name = b.name AND a.kind <> b.kind)",
                "SELECT count(*), sum(id) FROM big a WHERE NOT EXISTS (SELECT FROM other b WHERE a.id = b.id)",
                "SELECT count(*), sum(id) FROM other a WHERE NOT EXISTS (SELECT FROM big b WHERE a.id = b.id)",
                "SELECT count(*), sum(id) FROM other a WHERE EXISTS (SELECT FROM big b WHERE a.name = b.name)",
                "SELECT a.id, b.id FROM big a RIGHT JOIN other b USING (id) ORDER BY b.id DESC, a.id LIMIT 9",
                "SELECT kind, count(*) FROM (SELECT a.kind FROM big a RIGHT JOIN other b USING (id)) x GROUP BY kind",
            ] {
                check(&mut session, sql);
            }
            assert_eq!(
                run(&mut session, "SELECT a.id FROM big a FULL JOIN other b USING (id) LIMIT 5").len(),
                5
            );
            assert_eq!(instance.workers().taken(), 0);
        }
    }
}

/// A statement that is cancelled, or fails, while its threads read a build side or put a table together.
#[test]
fn hash_tables_in_the_making_are_given_up() {
    let instance = with_tables("8");
    let mut session = session(&instance);
    let error = try_run(
        &mut session,
        "SELECT count(*) FROM big a JOIN big b ON a.id = b.id WHERE 1 / (b.id - 59000) < 5 AND b.kind >= 0",
    )
    .expect_err("a division by zero");
    assert_eq!(error.sqlstate(), SqlState::DIVISION_BY_ZERO, "{error:?}");
    assert_eq!(instance.workers().taken(), 0);
    for setup in ["", "SET work_mem = '64kB'; SET hash_mem_multiplier = 1"] {
        run(&mut session, setup);
        let sql = "SELECT count(*) FROM (SELECT a.* FROM big a FULL JOIN big b ON a.name = b.name) x
                   FULL JOIN (SELECT a.* FROM big a FULL JOIN big b ON a.id = b.id) y ON x.name = y.name AND x.id = y.id";
        let (process_id, secret) = session.cancel_key();
        for delay_us in (0..40u64).map(|step| step * 1500) {
            let done = AtomicBool::new(false);
            let result = std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(std::time::Duration::from_micros(delay_us));
                    if !done.load(Ordering::Acquire) {
                        instance.cancel(process_id, &secret);
                    }
                });
                let result = try_run(&mut session, sql);
                done.store(true, Ordering::Release);
                result
            });
            match result {
                Ok(rows) => assert_eq!(rows, [ROWS.to_string()]),
                Err(error) => assert_eq!(error.sqlstate(), SqlState::QUERY_CANCELED, "{error:?}"),
            }
            assert_eq!(instance.workers().taken(), 0);
        }
        // A request that came when the statement had ended is of no account.
        let _ = try_run(&mut session, "SELECT 1");
    }
}

/// Rows that nobody wants are not computed: who has enough stops the others.
#[test]
fn a_limit_stops_all_threads() {
    let instance = with_tables("8");
    let mut session = session(&instance);
    let rows = run(&mut session, "SELECT name FROM big WHERE kind = 3 LIMIT 5");
    assert_eq!(rows.len(), 5);
    assert_eq!(run(&mut session, "SELECT id FROM big LIMIT 0").len(), 0);
    assert_eq!(run(&mut session, "SELECT id FROM big OFFSET 59990").len(), 10);
    assert_eq!(run(&mut session, "SELECT id FROM big WHERE id > 59000 LIMIT 3 OFFSET 998").len(), 2);
    let error = try_run(&mut session, "SELECT id FROM big LIMIT -1").expect_err("a negative limit");
    assert_eq!(error.sqlstate().as_str(), "2201W");
}

/// A build row comes without a partner only where there is none, also when a limit stops threads that would have found one.
#[test]
fn rows_of_a_limit_are_rows_of_the_whole() {
    let instance = with_tables("8");
    let mut session = session(&instance);
    run(
        &mut session,
        "CREATE TABLE few (id int); INSERT INTO few SELECT i * 1500 FROM generate_series(1, 40) i; ANALYZE few;
         SET work_mem = '64kB'; SET hash_mem_multiplier = 1; SET enable_mergejoin = off; SET enable_nestloop = off",
    );
    for limit in (1..=40).chain(1..=40) {
        let sql = format!(
            "SELECT x.id, few.id FROM (SELECT a.id FROM big a JOIN big b ON a.name = b.name) x
             RIGHT JOIN few USING (id) LIMIT {limit}"
        );
        let rows = run(&mut session, &sql);
        assert_eq!(rows.len(), limit);
        assert!(!rows.iter().any(|row| row.starts_with("NULL")), "LIMIT {limit}: {rows:?}");
    }
}

/// Many sessions share two helpers: each gets the right answer, with help or without, and there are never more.
#[test]
fn many_sessions_share_few_helpers() {
    let instance = with_tables("2");
    let served = instance.workers().served();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let instance = &instance;
                scope.spawn(move || {
                    let mut session = session(instance);
                    for round in 0..6 {
                        let kind = (number + round) % 7;
                        let sql =
                            format!("SELECT count(*) FROM big WHERE kind = {kind} AND name LIKE 'name%'");
                        let expected = (1..=ROWS).filter(|id| id % 7 == kind).count();
                        assert_eq!(run(&mut session, &sql), [expected.to_string()]);
                        let rows =
                            run(&mut session, &format!("SELECT id FROM big WHERE kind = {kind} ORDER BY id"));
                        assert_eq!(rows.len(), expected);
                        assert!(
                            rows.windows(2)
                                .all(|pair| pair[0].parse::<i64>().ok() < pair[1].parse::<i64>().ok())
                        );
                    }
                })
            })
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            assert!(instance.workers().taken() <= 2);
            std::thread::yield_now();
        }
    });
    assert_eq!(instance.workers().taken(), 0);
    assert!(instance.workers().served() > served, "nobody was helped");
}

/// A portal that is asked for some rows at a time gets them all, and rests without threads.
#[test]
fn cursors_run_on_one_thread() {
    let instance = with_tables("8");
    let mut session = session(&instance);
    run(&mut session, "BEGIN; DECLARE c CURSOR FOR SELECT id FROM big");
    for _ in 0..3 {
        assert_eq!(run(&mut session, "FETCH 100 FROM c").len(), 100);
        assert_eq!(instance.workers().taken(), 0);
    }
    assert_eq!(run(&mut session, "FETCH ALL FROM c").len() as i64, ROWS - 300);
    run(&mut session, "COMMIT");
}
