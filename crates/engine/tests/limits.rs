//! Limits of what one statement can say and make: PostgreSQL 18's errors, but for nesting, where PostgreSQL's parser runs
//! out of memory (42601) before its stack does.
//!
//! Messages and statements that are too large, connections, and the memory of a query have their tests where sockets and
//! operators are tested.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use ochre_env::Env;

use common::{fails, open, run, table};

fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(", ")
}

fn ones(count: usize) -> String {
    list(count, |_| "1".to_string())
}

fn columns(count: usize) -> String {
    list(count, |i| format!("c{i} int"))
}

/// Statements with the error that each ends in; a session goes on after all of them.
fn check(cases: &[(String, &str, &str)]) {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    for (statement, code, message) in cases {
        let error = fails(&mut session, statement);
        let shown: String = statement.chars().take(80).collect();
        assert_eq!((error.sqlstate().as_str(), error.message()), (*code, *message), "{shown}");
    }
    assert_eq!(table(&mut session, "SELECT 'goes on'"), ["goes on"]);
}

#[test]
fn columns_arguments_and_entries_are_limited() {
    let in_table = "tables can have at most 1600 columns";
    let in_target = "target lists can have at most 1664 entries";
    let in_index = "cannot use more than 32 columns in an index";
    let of_function = "cannot pass more than 100 arguments to a function";
    let names = |count| list(count, |i| format!("c{i}"));
    check(&[
        (format!("CREATE TABLE t ({})", columns(1601)), "54011", in_table),
        (format!("CREATE TABLE t AS SELECT {}", list(1601, |i| format!("{i} AS c{i}"))), "54011", in_table),
        // Their number counts before their names.
        (format!("CREATE TABLE t AS SELECT {}", ones(1601)), "54011", in_table),
        (format!("CREATE TABLE t ({})", list(1601, |_| "a int".to_string())), "54011", in_table),
        (format!("CREATE VIEW v AS SELECT {}", list(1601, |i| format!("{i} AS c{i}"))), "54011", in_table),
        (format!("CREATE TABLE t ({}, PRIMARY KEY ({}))", columns(40), names(33)), "54011", in_index),
        (
            format!("CREATE TABLE t ({}, UNIQUE ({}) INCLUDE (c39))", columns(40), names(32)),
            "54011",
            in_index,
        ),
        (format!("SELECT {}", ones(1665)), "54011", in_target),
        (format!("SELECT 1 FROM (SELECT {}) AS s", ones(1665)), "54011", in_target),
        (format!("VALUES ({})", ones(1665)), "54011", in_target),
        (format!("SELECT ROW({})", ones(1665)), "54011", "ROW expressions can have at most 1664 entries"),
        (format!("SELECT concat({})", ones(101)), "54023", of_function),
        (format!("SELECT no_such_function({})", ones(101)), "54023", of_function),
        (format!("SELECT count({})", ones(101)), "54023", of_function),
    ]);
}

#[test]
fn what_is_just_within_the_limits_works() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, &format!("CREATE TABLE t ({})", columns(1600)));
    assert_eq!(fails(&mut session, "ALTER TABLE t ADD COLUMN more int").sqlstate().as_str(), "54011");
    run(&mut session, &format!("CREATE UNIQUE INDEX ON t ({})", list(32, |i| format!("c{i}"))));
    let beyond = format!("CREATE INDEX ON t ({})", list(33, |i| format!("c{i}")));
    assert_eq!(fails(&mut session, &beyond).sqlstate().as_str(), "54011");
    run(&mut session, &format!("SELECT {}", ones(1664)));
    assert_eq!(table(&mut session, &format!("SELECT length(concat({}))", ones(100))), ["100"]);
    assert_eq!(table(&mut session, "SELECT array_ndims('{{{{{{1}}}}}}'::int[])"), ["6"]);
    assert_eq!(table(&mut session, "SELECT length((1::numeric(1000))::text)"), ["1"]);
    let star = fails(&mut session, "SELECT * FROM t AS a, t AS b");
    assert_eq!(star.message(), "target lists can have at most 1664 entries");
    assert_eq!(table(&mut session, "SELECT count(a.c1) FROM t AS a, t AS b"), ["0"]);
}

#[test]
fn nesting_is_limited() {
    let too_deep = "stack depth limit exceeded";
    let nested = |open: &str, middle: &str, close: &str, depth: usize| {
        format!("SELECT {}{middle}{}", open.repeat(depth), close.repeat(depth))
    };
    let cases: Vec<(String, &str, &str)> = [
        nested("(", "1", ")", 50_000),
        nested("1 + ", "1", "", 100_000),
        nested("- ", "1", "", 100_000),
        nested("NOT ", "true", "", 100_000),
        nested("", "1", "::int", 100_000),
        nested("CASE WHEN true THEN ", "1", " END", 20_000),
        nested("(SELECT ", "1", ")", 20_000),
        nested("1 FROM (SELECT ", "1", ") AS s", 20_000),
        nested("abs(", "1", ")", 50_000),
        nested("ROW(", "1", ")", 50_000),
        nested("ARRAY[", "1", "]", 50_000),
        nested("'a' || ", "'a'", "", 100_000),
        format!("{}SELECT 1{}", "(".repeat(20_000), " UNION ALL SELECT 1)".repeat(20_000)),
        format!("CREATE TABLE t (i int DEFAULT {}1{})", "(".repeat(50_000), ")".repeat(50_000)),
        format!("SELECT ('{}{}')::jsonb", "[".repeat(100_000), "]".repeat(100_000)),
    ]
    .into_iter()
    .map(|statement| (statement, "54001", too_deep))
    .collect();
    check(&cases);
}

#[test]
fn values_are_limited() {
    let dimensions = "number of array dimensions exceeds the maximum allowed (6)";
    let size = "array size exceeds the maximum allowed (134217727)";
    let buffer = "string buffer exceeds maximum allowed length (1073741823 bytes)";
    let length = "requested length too large";
    let case = |statement: &str, code, message| (format!("SELECT {statement}"), code, message);
    check(&[
        case("'{{{{{{{1}}}}}}}'::int[]", "54000", dimensions),
        case("array_fill(0, array[100000, 100000])", "54000", size),
        case("'[2147483647:2147483647]={1}'::int[]", "54000", "array upper bound is too large: 2147483647"),
        case("repeat('x', 1073741824)", "54000", length),
        case("lpad('x', 1073741824)", "54000", length),
        case("bpchar('a'::bpchar, 2147483647, false)", "54000", length),
        case("format('%2147483647s', 'a')", "54000", buffer),
        case("replace(repeat('x', 20000000), 'x', repeat('y', 100))", "54000", buffer),
        case("1::numeric(1001)", "22023", "NUMERIC precision 1001 must be between 1 and 1000"),
        case("'1e200000'::numeric", "22003", "value overflows numeric format"),
        case("10::numeric ^ 200000", "22003", "value overflows numeric format"),
        case("'a'::varchar(10485761)", "22023", "length for type varchar cannot exceed 10485760"),
        case("2147483647 + 1", "22003", "integer out of range"),
    ]);
}

#[test]
fn rows_and_keys_are_limited() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, &format!("CREATE TABLE wide ({})", list(1000, |i| format!("c{i} uuid"))));
    let id = "'00000000-0000-0000-0000-000000000000'";
    let error = fails(&mut session, &format!("INSERT INTO wide VALUES ({})", list(1000, |_| id.to_string())));
    assert_eq!(error.sqlstate().as_str(), "54000");
    assert!(error.message().starts_with("row is too big: size "), "{error:?}");
    run(&mut session, "CREATE TABLE long (t text); CREATE INDEX ON long (t)");
    let key = "INSERT INTO long SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) AS i";
    let error = fails(&mut session, key);
    assert_eq!(error.sqlstate().as_str(), "54000");
    assert!(error.message().starts_with("index row "), "{error:?}");
    assert_eq!(table(&mut session, "SELECT count(*) FROM long"), ["0"]);
}

#[test]
fn long_identifiers_are_truncated_with_a_notice() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    let (long, kept) = ("A".repeat(70), "a".repeat(63));
    let notices = run(&mut session, &format!("SELECT 1 AS {long}")).notices;
    let told =
        |written: &str, kept: &str| format!("identifier \"{written}\" will be truncated to \"{kept}\"");
    assert_eq!(notices, [told(&long.to_lowercase(), &kept)]);
    let (long, kept) = ("ä".repeat(40), "ä".repeat(31));
    let rows =
        run(&mut session, &format!("CREATE TABLE \"{long}\" (i int); SELECT count(*) FROM \"{kept}\""));
    assert_eq!(rows.notices, [told(&long, &kept)]);
    // Neither long texts nor names of just the longest length.
    let fits = "b".repeat(63);
    let rows =
        run(&mut session, &format!("SELECT '{}' AS {fits}, $${}$$ AS \"x\"", "c".repeat(90), "d".repeat(90)));
    assert_eq!(rows.notices, [""; 0]);
}
