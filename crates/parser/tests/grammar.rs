//! PostgreSQL 18's own forms, its errors with their places, and how operators bind.

use ochre_parser::inspect::character_position;
use ochre_parser::{parse, parse_expression, parse_type_name};

#[test]
fn statements_of_postgres_18_are_accepted_and_printed() {
    for sql in include_str!("../testdata/postgres18.sql").lines().filter(|line| !line.starts_with("--")) {
        let statements = parse(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let printed = statements[0].stmt.to_string();
        let again = parse(&printed).unwrap_or_else(|error| panic!("{sql}: printed {printed}: {error}"));
        assert_eq!(again[0].stmt, statements[0].stmt, "{sql}: printed {printed}");
        assert_eq!(again[0].stmt.to_string(), printed);
    }
}

#[test]
fn errors_stand_where_postgres_sees_them() {
    for line in include_str!("../testdata/errors.txt").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.splitn(4, '\t').collect();
        let &[position, sqlstate, message, sql] = fields.as_slice() else {
            panic!("{line:?} has four fields")
        };
        let error = parse(sql).expect_err(sql);
        assert_eq!(error.message(), message, "{sql}");
        assert_eq!(error.sqlstate().as_str(), sqlstate, "{sql}");
        assert_eq!(character_position(sql, &error).unwrap_or(0).to_string(), position, "{sql}");
    }
}

#[test]
fn operators_bind_as_in_postgres() {
    let pairs = [
        ("-2 ^ 2", "(-2) ^ 2"),
        ("2 ^ 3 ^ 2", "(2 ^ 3) ^ 2"),
        ("~1 + 2", "~(1 + 2)"),
        ("~1 || 2", "(~1) || 2"),
        ("- a::int", "-(a::int)"),
        ("- a[1]", "-(a[1])"),
        ("a + b * c - d", "(a + (b * c)) - d"),
        ("a || b + c", "a || (b + c)"),
        ("a < b || c", "a < (b || c)"),
        ("a = b IS NULL", "(a = b) IS NULL"),
        ("a IS NULL = b", "(a IS NULL) = b"),
        ("NOT a = b", "NOT (a = b)"),
        ("NOT a AND b OR c", "((NOT a) AND b) OR c"),
        ("a OR b AND c", "a OR (b AND c)"),
        ("a BETWEEN 1 AND 2 AND b", "(a BETWEEN 1 AND 2) AND b"),
        ("a LIKE b || c", "a LIKE (b || c)"),
        ("a = b LIKE c", "a = (b LIKE c)"),
        ("a NOT IN (1) = b", "(a NOT IN (1)) = b"),
        ("a COLLATE x || b", "(a COLLATE x) || b"),
        ("a AT TIME ZONE b + c", "(a AT TIME ZONE b) + c"),
        ("a + b AT TIME ZONE c", "a + (b AT TIME ZONE c)"),
        ("a OPERATOR(pg_catalog.*) b + c", "a OPERATOR(pg_catalog.*) (b + c)"),
        ("a IS DISTINCT FROM b AND c", "(a IS DISTINCT FROM b) AND c"),
        ("1 * NOT a = b", "1 * (NOT (a = b))"),
        ("a IS NULL ISNULL", "(a IS NULL) IS NULL"),
        ("a NOTNULL", "a IS NOT NULL"),
        ("a != b", "a <> b"),
        ("a::int[]::text", "(a::int[])::text"),
        ("(((a)))", "a"),
        ("((SELECT 1) UNION SELECT 2)", "(SELECT 1 UNION SELECT 2)"),
        ("((SELECT 1) + 1)", "(SELECT 1) + 1"),
        ("a IN ((SELECT 1), 2)", "a IN ((((SELECT 1))), 2)"),
        ("date '2020-01-01'", "'2020-01-01'::date"),
        ("CAST(a AS int)", "a::integer"),
        ("a = SOME (b)", "a = ANY (b)"),
    ];
    for (sql, meaning) in pairs {
        let left = parse_expression(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let right = parse_expression(meaning).unwrap_or_else(|error| panic!("{meaning}: {error}"));
        assert_eq!(left, right, "{sql} means {meaning}");
    }
    for sql in
        ["a < b < c", "a LIKE b LIKE c", "a IS DISTINCT FROM b IS NULL", "a BETWEEN 1 AND 2 BETWEEN 3 AND 4"]
    {
        assert!(parse_expression(sql).is_err(), "{sql} does not associate");
    }
}

#[test]
fn words_of_operators_may_be_labels() {
    for sql in ["SELECT a in", "SELECT a and, b", "SELECT 1 is FROM t", "SELECT (SELECT a at)"] {
        assert!(parse(sql).is_ok(), "{sql}");
    }
    assert_eq!(parse("SELECT a and and b").unwrap_err().message(), "syntax error at or near \"and\"");
}

#[test]
fn types_are_normalised_and_printed_in_sql() {
    let types = [
        ("int", "pg_catalog.int4", "integer"),
        ("varchar(3)[]", "pg_catalog.varchar", "character varying(3)[]"),
        ("char", "pg_catalog.bpchar", "character(1)"),
        ("float(24)", "pg_catalog.float4", "real"),
        ("timestamp(3) with time zone", "pg_catalog.timestamptz", "timestamp(3) with time zone"),
        ("interval day to second(2)", "pg_catalog.interval", "interval day to second(2)"),
        ("dec(10, 2)", "pg_catalog.numeric", "numeric(10, 2)"),
        ("setof s.t array[3]", "s.t", "SETOF s.t[3]"),
        ("\"char\"", "char", "\"char\""),
        ("geometry(Point, 4326)", "geometry", "geometry(point, 4326)"),
    ];
    for (sql, name, printed) in types {
        let parsed = parse_type_name(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let parts: Vec<&str> = parsed.parts.iter().map(|part| part.as_str()).collect();
        assert_eq!(parts.join("."), name);
        assert_eq!(parsed.to_string(), printed);
    }
}

#[test]
fn statements_know_their_place() {
    let sql = "  SELECT 1 ;; -- x\n INSERT INTO t VALUES ('ä')  ;";
    let spans: Vec<&str> = parse(sql)
        .expect("both statements parse")
        .iter()
        .map(|statement| &sql[statement.start..statement.start + statement.len])
        .collect();
    assert_eq!(spans, ["SELECT 1", "INSERT INTO t VALUES ('ä')"]);
    assert!(parse(" ; -- nothing").expect("an empty text parses").is_empty());
}
