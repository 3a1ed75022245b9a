//! Random statements over a schema with every type: calls of every function and operator with values at the edges, and
//! the corpus of PostgreSQL's statements with changes. Whatever they answer, it is no internal error and no panic.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::time::{Duration, Instant};

use ochre_base::{Error, SqlState};
use ochre_engine::Session;
use ochre_env::Env;
use ochre_fuzzing::{Campaign, Random};

use common::{Rows, open, run, table};

/// What a statement may take before it is cancelled, and when it is one that nothing cancels (a busy machine is slow).
const TIMEOUT: Duration = Duration::from_secs(5);
const HANGS_AFTER: Duration = Duration::from_secs(60);

const SCHEMA: &str = "
    CREATE TABLE numbers (id serial PRIMARY KEY, i2 int2, i4 int4, i8 int8, n numeric, f4 float4, f8 float8, b bool, o oid);
    CREATE TABLE texts (id int PRIMARY KEY, t text, v varchar(20), c char(5), ba bytea, u uuid, j json, jb jsonb, ia int[]);
    CREATE TABLE times (id int PRIMARY KEY, d date, t time, tt timetz, ts timestamp, tz timestamptz, iv interval, r int4range);
    INSERT INTO numbers (i2, i4, i8, n, f4, f8, b, o)
        SELECT i, i * 1000, i * 1000000000000, i / 7.0, i, i, i % 2 = 0, i FROM generate_series(-20, 20) AS i;
    INSERT INTO texts SELECT i, 'text ' || i, repeat('v', i), 'c', '\\x00ff', md5(i::text)::uuid, '[1]', '{\"a\": 1}', ARRAY[i, NULL]
        FROM generate_series(1, 20) AS i;
    INSERT INTO times SELECT i, date '2020-01-01' + i, '12:00', '12:00+02', now(), now(), i * interval '1 day', int4range(i, 99)
        FROM generate_series(1, 20) AS i;
    CREATE INDEX ON numbers (i4, n DESC);
    CREATE INDEX ON texts (lower(t));
    CREATE VIEW v AS SELECT numbers.id, t, count(*) OVER (PARTITION BY b) AS k FROM numbers LEFT JOIN texts USING (id);
    ANALYZE";

/// Values at the edges of a type; any type has NULL.
fn edges(ty: &str) -> &'static [&'static str] {
    match ty {
        "int2" => &["0", "1", "-1", "32767", "-32768"],
        "int4" => &["0", "1", "-1", "7", "2147483647", "-2147483648"],
        "int8" => &["0", "1", "-1", "9223372036854775807", "-9223372036854775808"],
        "numeric" => &[
            "0",
            "1",
            "-1.5",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e100",
            "1e-100",
            "99999999999999999999999999999999999999",
        ],
        "float4" => &["0", "-0", "1.5", "NaN", "Infinity", "-Infinity", "3.4e38", "1e-45"],
        "float8" => &["0", "-0", "-1.5", "NaN", "Infinity", "-Infinity", "1.7e308", "4.9e-324"],
        "bool" => &["t", "f"],
        "oid" | "xid" | "cid" | "regclass" | "regtype" | "regproc" => &["0", "1", "23", "1259", "4294967295"],
        "text" | "varchar" | "bpchar" | "name" | "cstring" | "\"char\"" | "char" => &[
            "",
            " ",
            "a",
            "abc",
            "ä€",
            "%_\\",
            "(",
            "1",
            "YYYY-MM-DD HH24:MI",
            "{1,2}",
            "$.a[*]",
            "year",
            "UTC",
            "UTF8",
            "now",
        ],
        "bytea" => &["", "\\x00", "\\xff00", "abc"],
        "date" => &["2000-01-01", "infinity", "-infinity", "4714-11-24 BC", "5874897-12-31"],
        "time" => &["00:00", "23:59:59.999999", "24:00"],
        "timetz" => &["00:00+15:59", "24:00-15:59"],
        "timestamp" => {
            &["2000-01-01", "infinity", "-infinity", "4714-11-24 BC", "294276-12-31 23:59:59.999999"]
        }
        "timestamptz" => &["2000-01-01Z", "infinity", "-infinity", "4714-11-25 BC", "294276-12-31 00:00Z"],
        "interval" => {
            &["0", "1 month", "-1 day 1 us", "infinity", "-infinity", "178956970 years", "-2147483648 days"]
        }
        "uuid" => &["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
        "json" | "jsonb" => {
            &["null", "[]", "{}", "1e1000", "\"a\"", "[1,[2,{\"a\":null}]]", "{\"a\":{\"b\":[]}}"]
        }
        "jsonpath" => &["$", "$.a", "$[*]", "lax $.**{2}"],
        "bit" | "varbit" => &["", "0", "1", "10101010101"],
        "inet" | "cidr" => &["0.0.0.0", "10.0.0.0/8", "::", "::1/128"],
        "macaddr" => &["08:00:2b:01:02:03"],
        "money" => &["0", "92233720368547758.07", "-92233720368547758.08"],
        "int4range" | "int8range" | "numrange" => &["empty", "(,)", "[1,5)", "(,3]", "[7,7]"],
        "daterange" | "tsrange" | "tstzrange" => &["empty", "(,)", "[2000-01-01,infinity]", "(,-infinity)"],
        "_int4" | "_int8" | "_int2" | "_numeric" | "_float8" | "anyarray" => {
            &["{}", "{1}", "{1,NULL}", "{{1,2},{3,4}}", "[5:6]={1,2}"]
        }
        "_text" | "_varchar" | "_name" => &["{}", "{a}", "{NULL,\"\"}", "{{a,b}}"],
        "pg_lsn" => &["0/0", "FFFFFFFF/FFFFFFFF"],
        "tid" => &["(0,0)", "(4294967295,65535)"],
        _ => &[],
    }
}

/// An argument of a type: an edge, NULL, or a column.
fn argument(random: &mut Random, ty: &str) -> String {
    let ty = match ty {
        "any" | "anyelement" | "anynonarray" | "anycompatible" | "anycompatiblenonarray" => {
            *random.pick(&["int4", "text", "numeric", "date"])
        }
        "anyarray" | "anycompatiblearray" => "_int4",
        "anyrange" | "anycompatiblerange" => "int4range",
        other => other,
    };
    let values = edges(ty);
    if values.is_empty() || random.below(12) == 0 {
        return format!("NULL::{ty}");
    }
    format!("'{}'::{ty}", random.pick(values).replace('\'', "''"))
}

/// What must not be called: it waits, stops something, or touches what others use.
fn is_left_out(name: &str) -> bool {
    let parts = [
        "sleep",
        "lock",
        "terminate",
        "cancel",
        "backup",
        "switch",
        "promote",
        "reload",
        "import",
        "file",
        "ls_",
        "lo_",
        "setval",
    ];
    parts.iter().any(|part| name.contains(part))
}

/// Runs random statements, and fails with a list of those that broke something.
fn fuzz(session: &mut Session, usual: u64, mut next: impl FnMut(&mut Random) -> String) {
    let mut campaign = Campaign::new(usual);
    let mut fine = 0u64;
    let mut broken: Vec<String> = Vec::new();
    while broken.len() < 20 && campaign.goes_on() {
        let sql = next(&mut campaign.random);
        let began = Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            session.simple_query(&sql, &mut Rows::default())
        }));
        let wrong = match result {
            Ok(Ok(_)) => {
                fine += 1;
                None
            }
            Ok(Err(error)) => told(&error),
            Err(panic) => Some(format!("panic {:?}", panic.downcast_ref::<String>())),
        };
        session.reset_transaction();
        let hangs = (began.elapsed() > HANGS_AFTER).then(|| "takes too long".to_string());
        if let Some(wrong) = wrong.or(hangs) {
            println!("{wrong}: {sql};");
            broken.push(wrong);
        }
    }
    println!("{campaign}, {fine} of them fine");
    assert!(broken.is_empty(), "{} statements broke something, {campaign}", broken.len());
}

fn told(error: &Error) -> Option<String> {
    matches!(error.sqlstate(), SqlState::INTERNAL_ERROR | SqlState::DATA_CORRUPTED).then(|| error.to_string())
}

#[test]
fn functions_and_operators_bear_values_at_the_edges() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, SCHEMA);
    run(&mut session, &format!("SET statement_timeout = {}", TIMEOUT.as_millis()));
    let functions: Vec<(String, Vec<String>, bool)> = table(
        &mut session,
        "SELECT proname, array_to_string(ARRAY(SELECT format_type(t, NULL) FROM unnest(proargtypes) WITH ORDINALITY AS a (t, n) ORDER BY n), ','),
            array_to_string(ARRAY(SELECT typname FROM unnest(proargtypes) WITH ORDINALITY AS a (t, n) JOIN pg_type ON pg_type.oid = t ORDER BY n), ','),
            prokind
         FROM pg_proc WHERE prokind IN ('f', 'a', 'w') AND NOT 2281 = ANY (proargtypes::oid[])",
    )
    .into_iter()
    .filter_map(|row| {
        let mut fields = row.split('|');
        let (name, _, types, kind) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let types = types.split(',').filter(|ty| !ty.is_empty()).map(String::from).collect();
        (!is_left_out(name)).then(|| (name.to_string(), types, kind == "w"))
    })
    .collect();
    let operators: Vec<(String, String, String)> = table(
        &mut session,
        "SELECT oprname, COALESCE(l.typname, ''), r.typname FROM pg_operator LEFT JOIN pg_type AS l ON l.oid = oprleft JOIN pg_type AS r ON r.oid = oprright",
    )
    .into_iter()
    .filter_map(|row| {
        // An operator's name may hold a bar, the types' names do not.
        let (rest, right) = row.rsplit_once('|')?;
        let (name, left) = rest.rsplit_once('|')?;
        Some((name.to_string(), left.to_string(), right.to_string()))
    })
    .collect();
    assert!(functions.len() > 1000 && operators.len() > 500);
    fuzz(&mut session, 2_000, |random| {
        if random.below(3) == 0 {
            let (name, left, right) = random.pick(&operators).clone();
            let right = argument(random, &right);
            return match left.as_str() {
                "" => format!("SELECT {name} {right}"),
                left => format!("SELECT {} {name} {right}", argument(random, left)),
            };
        }
        let (name, types, window) = random.pick(&functions).clone();
        let arguments: Vec<String> = types.iter().map(|ty| argument(random, ty)).collect();
        let call = format!("{name}({})", arguments.join(", "));
        match random.below(4) {
            _ if window => format!("SELECT {call} OVER (ORDER BY id) FROM numbers LIMIT 5"),
            0 => format!("SELECT {call} FROM numbers WHERE id < 4"),
            1 => format!("SELECT * FROM {call} LIMIT 100"),
            _ => format!("SELECT {call} LIMIT 100"),
        }
    });
}

/// Names that stand for those in the corpus.
const NAMES: [&str; 30] = [
    "numbers", "texts", "times", "v", "id", "i2", "i4", "i8", "n", "f4", "f8", "b", "o", "t", "c", "ba", "u",
    "j", "jb", "ia", "d", "tt", "ts", "tz", "iv", "r", "k", "1", "'x'", "NULL",
];

fn corpus() -> Vec<String> {
    let packed = include_bytes!("../../parser/testdata/corpus.lz4");
    let bytes = lz4_flex::decompress_size_prepended(packed).expect("the corpus is well packed");
    let text = String::from_utf8(bytes).expect("the corpus is UTF-8");
    let wanted = ["select", "with", "values", "insert", "update", "delete", "explain", "table"];
    text.lines()
        .filter_map(|line| line.splitn(3, '\t').nth(2))
        .map(|sql| sql.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\"))
        .filter(|sql| {
            sql.len() < 1000
                && wanted.iter().any(|word| sql.trim_start().to_ascii_lowercase().starts_with(word))
        })
        .filter(|sql| !is_left_out(sql))
        .collect()
}

/// The words of a statement and what stands between them.
fn pieces(sql: &str) -> Vec<String> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut pieces: Vec<String> = Vec::new();
    let mut in_word = false;
    for c in sql.chars() {
        match pieces.last_mut() {
            Some(last) if word(c) && in_word => last.push(c),
            _ => pieces.push(c.to_string()),
        }
        in_word = word(c);
    }
    pieces
}

#[test]
fn changed_statements_bear_a_schema() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, SCHEMA);
    run(&mut session, &format!("SET statement_timeout = {}", TIMEOUT.as_millis()));
    let corpus = corpus();
    assert!(corpus.len() > 5000);
    fuzz(&mut session, 2_000, |random| {
        let mut parts = pieces(random.pick::<String>(&corpus));
        let keyword = |part: &str| {
            const KEPT: &[&str] = &[
                "select",
                "from",
                "where",
                "and",
                "or",
                "not",
                "in",
                "as",
                "on",
                "join",
                "left",
                "right",
                "full",
                "order",
                "group",
                "by",
                "having",
                "limit",
                "with",
                "values",
                "insert",
                "into",
                "update",
                "set",
                "delete",
                "explain",
                "table",
                "union",
                "all",
                "except",
                "intersect",
                "distinct",
                "case",
                "when",
                "then",
                "else",
                "end",
                "is",
                "null",
                "between",
                "over",
                "partition",
                "exists",
                "any",
                "array",
                "row",
                "rows",
                "lateral",
                "recursive",
                "using",
                "returning",
                "default",
                "like",
                "desc",
                "asc",
            ];
            KEPT.contains(&part.to_ascii_lowercase().as_str())
        };
        // Most names become ones that exist, so that the statement gets past the names.
        for part in &mut parts {
            let is_name = part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if is_name && !keyword(part) && random.below(2) == 0 {
                *part = random.pick(&NAMES).to_string();
            }
        }
        for _ in 0..random.below(3) {
            let at = random.below(parts.len());
            let donor = pieces(random.pick::<String>(&corpus));
            parts[at] = format!(" {} ", random.pick(&donor));
        }
        let sql = parts.concat();
        if random.below(2) == 0 { format!("EXPLAIN {sql}") } else { sql }
    });
}
