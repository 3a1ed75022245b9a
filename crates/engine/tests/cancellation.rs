//! A cancelled statement ends, whatever it is doing: each of these would take minutes or for ever.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ochre_engine::{Instance, InstanceConfig};
use ochre_env::Env;

use common::{Rows, run, table};

const STATEMENTS: &[&str] = &[
    // Operators.
    "SELECT count(*) FROM (SELECT a.t || b.t AS t FROM big a, big b ORDER BY 1 OFFSET 1) x",
    "SELECT count(*) FROM (SELECT a.a * 100000 + b.a FROM big a, big b GROUP BY 1) x",
    "SELECT count(DISTINCT a.a * 100000 + b.a) FROM big a, big b",
    "SELECT count(*) FROM big a JOIN (SELECT x.a * 100000 + y.a AS k FROM big x, big y) b ON a.a = b.k",
    "SELECT sum(r) FROM (SELECT sum(a.a) OVER (ORDER BY a.a + b.a) AS r FROM big a, big b) x",
    "SELECT sum(r) FROM (SELECT ntile(3) OVER () AS r FROM big a, big b) x",
    "SELECT sum(r) FROM (SELECT max(a) OVER (ORDER BY a ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS r \
     FROM (SELECT a.a FROM big a, generate_series(1, 50) i) y) x",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION SELECT n % 1000000000 + 1 FROM t) SELECT count(*) FROM t",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT 1 FROM t) SELECT count(*) FROM t",
    "SELECT count(*) FROM big x, big y, big z WHERE x.a + y.a + z.a < 0",
    "SELECT count(*) FROM big x WHERE EXISTS (SELECT FROM big y, big z WHERE x.a + y.a + z.a < 0)",
    "SELECT count(*) FROM (SELECT a.a FROM big a, big b INTERSECT ALL SELECT a.a FROM big a, big b) x",
    "SELECT a.a FROM big a, big b, big c OFFSET 9000000000",
    "SELECT count(*) FROM big x WHERE x.a NOT IN (SELECT y.a FROM big y, big z) OR x.t IS NULL",
    // Changes.
    "INSERT INTO other SELECT a.a, b.t FROM big a, big b",
    "CREATE TABLE made AS SELECT a.a, b.t FROM big a, big b",
    "UPDATE big SET t = t WHERE a < (SELECT count(*) FROM big x, big y, big z)",
    "DELETE FROM big WHERE a < (SELECT count(*) FROM big x, big y, big z)",
    "CREATE INDEX ON big (md5(repeat(t, 3000)))",
    // Set-returning functions.
    "SELECT count(*) FROM generate_series(1, 100000000000)",
    "SELECT count(*) FROM generate_series(1::numeric, 1e11)",
    "SELECT count(*) FROM (SELECT generate_series(1, 100000000000)) x",
    "SELECT count(*) FROM regexp_split_to_table(repeat('a,', 20000000), ',')",
    // Functions.
    "SELECT count(md5(repeat(t, 20000))) FROM big",
    "SELECT length(regexp_replace(repeat('ab', 20000000), 'a(b)', '\\1\\1', 'g'))",
    "SELECT sum(length(replace(repeat('ab', 5000000 + a), 'a', 'cc'))) FROM big",
    "SELECT sum(length(translate(repeat('abc', 5000000 + a), 'abc', 'xyz'))) FROM big",
    "SELECT sum(length(upper(repeat('a\u{df}', 5000000 + a)))) FROM big",
    "SELECT sum(length(factorial(10000 + a)::text)) FROM big",
    "SELECT sum(length(((repeat('9', 20000) || a)::numeric / repeat('7', 9999)::numeric)::text)) FROM big",
];

#[test]
fn every_operator_and_function_looks() {
    let instance =
        Instance::open(Env::in_memory(), "/data".as_ref(), InstanceConfig::default()).expect("opens");
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(
        &mut session,
        "CREATE TABLE big AS SELECT i AS a, md5(i::text) AS t FROM generate_series(1, 20000) i",
    );
    run(&mut session, "CREATE TABLE other (a int, t text)");
    let (process_id, secret) = session.cancel_key();
    let on_one_thread = STATEMENTS.iter().map(|sql| (sql, "off"));
    for (sql, parallel) in on_one_thread.chain(STATEMENTS.iter().map(|sql| (sql, "on"))) {
        run(&mut session, &format!("SET debug_parallel_query = {parallel}"));
        let ended = AtomicBool::new(false);
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                // Again and again: the first may come before the statement has begun.
                while !ended.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(30));
                    instance.cancel(process_id, &secret);
                }
            });
            let result = session.simple_query(sql, &mut Rows::default());
            ended.store(true, Ordering::Relaxed);
            result
        });
        let error = result.expect_err(sql);
        assert_eq!(error.sqlstate().as_str(), "57014", "{sql}: {error:?}");
    }
    assert!(instance.workers().served() > 0, "nobody was helped");
    assert_eq!(instance.workers().taken(), 0);
    assert_eq!(table(&mut session, "SELECT count(*) FROM big"), ["20000"]);
}
