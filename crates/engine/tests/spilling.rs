//! Operators beyond `work_mem`: the answers are those of operators with room, temporary files were used, and the memory
//! that the statement took stayed small.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::sync::Arc;

use ochre_engine::{Instance, InstanceConfig, Session};
use ochre_env::Env;
use ochre_env::memory::Counting;

use common::{fails, run, table};

#[global_allocator]
static ALLOCATOR: Counting<std::alloc::System> = Counting(std::alloc::System);

/// Runs `test` with a database in real files: those in memory would count as the statement's.
fn with_database(name: &str, test: impl FnOnce(&Arc<Instance>, &mut Session)) {
    let directory = std::env::temp_dir().join(format!("ochre-spilling-{name}-{}", std::process::id()));
    {
        let instance = Instance::open(Env::os(), &directory, InstanceConfig::default()).expect("opens");
        let mut session = instance.session("postgres", "postgres").expect("a session");
        test(&instance, &mut session);
        drop(session);
        instance.close().expect("closes");
    }
    std::fs::remove_dir_all(&directory).expect("the directory is ours");
}

/// A query's rows with much memory, and with little: then it must spill so many bytes, and may not take more than
/// `limit_kb` in all.
fn check(instance: &Instance, session: &mut Session, sql: &str, least_spilled: u64, limit_kb: u32) {
    run(session, "SET work_mem = '1GB'; SET query_memory_limit = 0");
    let before = instance.temp_bytes_written();
    let expected = table(session, sql);
    assert_eq!(instance.temp_bytes_written(), before, "with much memory nothing is spilled: {sql}");
    run(
        session,
        &format!("SET work_mem = '64kB'; SET hash_mem_multiplier = 1; SET query_memory_limit = {limit_kb}"),
    );
    let answer = {
        let _budget = session.memory_budget();
        table(session, sql)
    };
    let spilled = instance.temp_bytes_written() - before;
    assert_eq!(answer, expected, "{sql}");
    assert!(spilled >= least_spilled, "{spilled} bytes were spilled by {sql}");
    assert!(spilled <= 16 * least_spilled.max(MB), "{spilled} bytes were spilled by {sql}");
    run(session, "RESET work_mem; RESET query_memory_limit; RESET hash_mem_multiplier");
}

const MB: u64 = 1 << 20;

#[test]
fn the_hash_table_of_a_sub_plan() {
    with_database("subplan", |instance, session| {
        run(session, "CREATE TABLE probe (a int, b int)");
        run(session, "INSERT INTO probe SELECT i * 7, i FROM generate_series(1, 2000) i");
        run(session, "INSERT INTO probe VALUES (NULL, 1)");
        let keys = "generate_series(1, 200000) i";
        // A condition beside it keeps it a sub-plan.
        for sql in [
            format!("SELECT count(*) FROM probe WHERE a IN (SELECT i FROM {keys}) OR b < 0"),
            format!(
                "SELECT count(*), sum(a) FROM probe WHERE NOT (a IN (SELECT i * 2 FROM {keys})) OR b < 0"
            ),
            format!("SELECT count(*) FROM probe WHERE a NOT IN (SELECT i * 2 FROM {keys}) OR b < 0"),
            format!("SELECT count(*) FROM probe WHERE (a = ANY (SELECT i || '' FROM {keys})::int) OR b < 0")
                .replace("a = ANY (SELECT i || '' FROM", "a::text = ANY (SELECT i || '' FROM")
                .replace(")::int)", "))"),
            format!(
                "SELECT (a, b) IN (SELECT i, i / 7 FROM {keys}) AS x, count(*) FROM probe GROUP BY 1 ORDER BY 1"
            ),
            // A NULL among the keys makes what is not found unknown.
            format!(
                "SELECT a IN (SELECT NULLIF(i * 2, 77778) FROM {keys}) AS x, count(*) FROM probe GROUP BY 1 ORDER BY 1"
            ),
            format!(
                "SELECT (a, b) IN (SELECT NULLIF(i, 700), i / 7 FROM {keys}) AS x, count(*) \
                 FROM probe WHERE b <= 300 GROUP BY 1 ORDER BY 1"
            ),
        ] {
            check(instance, session, &sql, MB / 2, 4096);
        }
    });
}

#[test]
fn what_a_recursive_union_has_seen() {
    with_database("recursive", |instance, session| {
        // Each number is met from two others.
        let sql = "WITH RECURSIVE t(n) AS (VALUES (1) UNION \
                   SELECT m FROM t, LATERAL (VALUES (2 * n), (2 * n + 1), (n / 2)) v(m) WHERE m < 60000) \
                   SELECT count(*), sum(n), max(n) FROM t";
        check(instance, session, sql, MB, 4096);
        let sql = "WITH RECURSIVE t(n, x) AS (SELECT i, repeat('x', 40) FROM generate_series(1, 20000) i \
                   UNION ALL SELECT n + 20000, x FROM t WHERE n <= 60000) SELECT count(*), sum(n) FROM t";
        check(instance, session, sql, MB / 4, 4096);
    });
}

#[test]
fn a_run_of_equal_keys_in_a_merge_join() {
    with_database("merge", |instance, session| {
        run(session, "CREATE TABLE a (k int, v int); CREATE TABLE b (k int, w text)");
        run(session, "INSERT INTO a VALUES (0, 0), (1, 1), (2, 2), (2, 3), (2, 120001), (3, 4), (NULL, 5)");
        run(session, "INSERT INTO b SELECT 2, i || repeat('x', 60) FROM generate_series(1, 120000) i");
        run(session, "INSERT INTO b VALUES (1, 'one'), (4, 'four'), (4, 'vier'), (NULL, 'none')");
        run(session, "SET enable_hashjoin = off; SET enable_nestloop = off");
        for condition in ["", " AND length(b.w) + a.v > 120060"] {
            let sql = format!(
                "SELECT count(*), count(a.v), count(b.w), sum(a.v), sum(length(b.w)) \
                 FROM a JOIN b ON a.k = b.k{condition}"
            );
            assert!(table(session, &format!("EXPLAIN {sql}")).iter().any(|line| line.contains("Merge Join")));
            check(instance, session, &sql, MB, 8192);
        }
    });
}

/// Rows of one key do not fall apart into partitions, and one outer row may have more partners than memory holds.
#[test]
fn a_hash_join_of_few_keys() {
    with_database("hash", |instance, session| {
        run(session, "CREATE TABLE a (k int, v int); CREATE TABLE b (k int, w text, n int)");
        run(
            session,
            "INSERT INTO a SELECT i % 20, i FROM generate_series(1, 60) i; INSERT INTO a VALUES (NULL, 5)",
        );
        run(session, "INSERT INTO b SELECT i % 3, i || repeat('x', 80), i FROM generate_series(1, 60000) i");
        run(session, "INSERT INTO b SELECT 100 + i, 'other', i FROM generate_series(1, 3000) i");
        run(session, "SET enable_mergejoin = off; SET enable_nestloop = off");
        let some = "SELECT count(*), count(a.v), count(b.w), sum(a.v), sum(length(b.w)) FROM";
        for sql in [
            format!("{some} a JOIN b ON a.k = b.k"),
            format!("{some} a LEFT JOIN b ON a.k = b.k AND a.v + b.n > 60050"),
            format!("{some} a RIGHT JOIN b ON a.k = b.k AND a.v + b.n > 60050"),
            format!("{some} a FULL JOIN b ON a.k = b.k AND a.v + b.n > 60050"),
            "SELECT count(*), sum(v) FROM a WHERE EXISTS (SELECT FROM b WHERE b.k = a.k AND a.v + b.n > 60050)".into(),
            "SELECT count(*), sum(v) FROM a WHERE NOT EXISTS (SELECT FROM b WHERE b.k = a.k AND a.v + b.n > 60050)".into(),
            "SELECT count(*), sum(n) FROM b WHERE EXISTS (SELECT FROM a WHERE b.k = a.k AND a.v + b.n > 60050)".into(),
            "SELECT count(*), sum(n) FROM b WHERE NOT EXISTS (SELECT FROM a WHERE b.k = a.k AND a.v + b.n > 60050)".into(),
        ] {
            check(instance, session, &sql, 0, 8192);
        }
        // What was spilled above depends on which side the planner builds from; here it is the large one.
        run(session, "CREATE TABLE c AS SELECT k, w || '!' AS w, n FROM b; ANALYZE a, b, c");
        let sql = format!("{some} (SELECT k, n AS v FROM c WHERE n < 200) a FULL JOIN b ON a.k = b.k");
        check(instance, session, &sql, MB, 12288);
    });
}

#[test]
fn distinct_values_of_an_aggregate() {
    with_database("distinct", |instance, session| {
        run(
            session,
            "CREATE TABLE t AS SELECT i % 3 AS g, (i * 7919) % 50000 AS v FROM generate_series(1, 100000) i",
        );
        for sql in [
            "SELECT count(DISTINCT v), sum(DISTINCT v), avg(DISTINCT v) FROM t",
            "SELECT g, count(DISTINCT v), sum(DISTINCT v), count(*) FROM t GROUP BY g ORDER BY g",
            "SELECT g, count(DISTINCT v::text || 'x') FILTER (WHERE v > 7) FROM t GROUP BY ROLLUP (g) ORDER BY g",
        ] {
            check(instance, session, sql, MB, 8192);
        }
        // Results in the order of their values, whatever the order in which they came.
        for sql in [
            "SELECT md5(string_agg(DISTINCT v::text, ',')), md5(string_agg(v::text, ',' ORDER BY v DESC)) FROM t",
            "SELECT g, md5(array_agg(DISTINCT v ORDER BY v DESC)::text) FROM t GROUP BY g ORDER BY g",
            "SELECT md5(array_agg(DISTINCT v)::text) = md5((SELECT array_agg(i)::text FROM generate_series(0, 49999) i)) \
             FROM t",
        ] {
            check(instance, session, sql, MB / 2, 32768);
        }
        assert_eq!(
            table(
                session,
                "SELECT array_agg(DISTINCT x), string_agg(DISTINCT x::text, '+') FROM (VALUES (3), (1), (NULL), (2), (3)) v(x)"
            ),
            ["{1,2,3,NULL}|1+2+3"]
        );
    });
}

#[test]
fn what_is_kept_to_be_read_again() {
    with_database("kept", |instance, session| {
        run(
            session,
            "CREATE TABLE t AS SELECT i AS a, repeat('y', 50) || i AS b FROM generate_series(1, 30000) i",
        );
        let sql = "WITH c AS MATERIALIZED (SELECT * FROM t) \
                   SELECT count(*), sum(x.a), max(y.b) FROM c x, c y WHERE x.a = y.a + 1";
        check(instance, session, sql, MB, 8192);
        run(session, "SET enable_hashjoin = off; SET enable_mergejoin = off");
        let sql = "SELECT count(*), min(x.b) FROM (VALUES (1), (2), (3)) v(i) \
                   LEFT JOIN (SELECT a % 1000 AS a, b FROM t WHERE a % 3 <> 0 OFFSET 0) x ON x.a + i = 4";
        check(instance, session, sql, MB, 8192);
        run(session, "RESET enable_hashjoin; RESET enable_mergejoin");
        // Cursors that go back, and those that outlive their transaction.
        run(session, "SET work_mem = '64kB'");
        let before = instance.temp_bytes_written();
        run(session, "BEGIN; DECLARE s SCROLL CURSOR FOR SELECT a, b FROM t ORDER BY a + 0");
        run(session, "SET LOCAL query_memory_limit = 8192; MOVE ALL IN s");
        assert_eq!(table(session, "FETCH ABSOLUTE 15000 IN s"), [format!("15000|{}15000", "y".repeat(50))]);
        run(session, "DECLARE h CURSOR WITH HOLD FOR SELECT a, b FROM t; COMMIT");
        assert_eq!(run(session, "MOVE 29999 IN h").tags, ["MOVE 29999"]);
        assert_eq!(table(session, "FETCH ALL IN h"), [format!("30000|{}30000", "y".repeat(50))]);
        let spilled = instance.temp_bytes_written() - before;
        assert!(spilled > MB, "{spilled} bytes were spilled");
    });
}

#[test]
fn the_limit_counts() {
    with_database("limit", |_, session| {
        run(session, "SET query_memory_limit = 8192");
        let _budget = session.memory_budget();
        let error = fails(
            session,
            "SELECT length(string_agg(repeat('x', 100), ',')) FROM generate_series(1, 300000)",
        );
        assert_eq!(error.sqlstate().as_str(), "53200");
    });
}

#[test]
fn a_large_partition_of_a_window() {
    with_database("window", |instance, session| {
        // One partition of 40,000 rows and many small ones, with ties and NULLs among the order keys.
        run(
            session,
            "CREATE TABLE t AS SELECT CASE WHEN i <= 40000 THEN 0 ELSE i / 7 END AS p, \
             NULLIF((i * 7919) % 10007, 5) AS k, i AS v, repeat('z', i % 50) AS s FROM generate_series(1, 50000) i",
        );
        // What needs the whole partition spills.
        for call in [
            "percent_rank() OVER (PARTITION BY p ORDER BY k)::numeric(10,8)",
            "ntile(7) OVER (PARTITION BY p ORDER BY k, v)",
            "sum(v) OVER (PARTITION BY p)",
            "last_value(v) OVER (PARTITION BY p ORDER BY k, v ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)",
            "lead(v, v % 1000) OVER (PARTITION BY p ORDER BY v)",
            "nth_value(s, 20000) OVER (PARTITION BY p ORDER BY v ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
        ] {
            let sql = format!(
                "SELECT count(x), sum(v * (length(x::text) + ascii(right(x::text, 1)) * 7 + ascii(right(x::text, 3)))) FROM (SELECT v, {call} AS x FROM t) q"
            );
            check(instance, session, &sql, MB / 4, 8192);
        }
        // What streams spills no more than its sort, and takes no more memory.
        for call in [
            "row_number() OVER (PARTITION BY p ORDER BY k, v)",
            "dense_rank() OVER (PARTITION BY p ORDER BY k)",
            "sum(v) OVER (PARTITION BY p ORDER BY k)",
            "sum(v) FILTER (WHERE v % 3 = 0) OVER (PARTITION BY p ORDER BY k NULLS FIRST RANGE BETWEEN 2 PRECEDING AND 5 FOLLOWING)",
            "array_agg(v) OVER (PARTITION BY p ORDER BY k DESC, v GROUPS BETWEEN 2 PRECEDING AND 1 FOLLOWING EXCLUDE TIES)",
            "first_value(s) OVER (PARTITION BY p ORDER BY v ROWS BETWEEN 700 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW)",
            "lag(s, 3000) OVER (PARTITION BY p ORDER BY v DESC)",
        ] {
            let sql = format!(
                "SELECT count(x), sum(v * (length(x::text) + ascii(right(x::text, 1)) * 7 + ascii(right(x::text, 3)))) FROM (SELECT v, {call} AS x FROM t) q"
            );
            check(instance, session, &sql, 0, 8192);
        }
    });
}

/// What is read or made in one go looks at the limit as it goes.
#[test]
fn one_large_value_ends_at_the_limit() {
    with_database("value", |_, session| {
        run(session, "SET query_memory_limit = '100MB'");
        let list = |open: &str, close: &str| format!("('{open}' || repeat('1,', 8000000) || '1{close}')");
        for value in [
            format!("{}::jsonb", list("[", "]")),
            format!("{}::int[]", list("{", "}")),
            "string_to_array(repeat('a,', 8000000), ',')".to_string(),
            "regexp_split_to_array(repeat('a,', 8000000), ',')".to_string(),
            "array_fill(1, ARRAY[20000000])".to_string(),
            "array_cat(array_fill(1, ARRAY[2000000]), array_fill(1, ARRAY[2000000]))".to_string(),
            "(SELECT array_agg(i) FROM generate_series(1, 8000000) AS i)".to_string(),
            "repeat('x', 200000000)".to_string(),
        ] {
            let _budget = session.memory_budget();
            let error = fails(session, &format!("SELECT pg_column_size({value})"));
            assert_eq!(error.sqlstate().as_str(), "53200", "{value}: {error:?}");
        }
        assert_eq!(table(session, "SELECT 'goes on'"), ["goes on"]);
    });
}
