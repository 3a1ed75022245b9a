//! Compares trees: each valid statement of the corpus is parsed and printed by ochre-parser, and PostgreSQL's parser
//! must give the printed text the fingerprint of the original.
//!
//! `cargo run --release --manifest-path tools/parser-differential/Cargo.toml` (with libclang-dev installed; constants do
//! not take part in fingerprints). With `--deparse`, PostgreSQL's deparsed forms are compared instead, constants and all.

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                _ => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

/// What PostgreSQL's parser makes of a text, in a form that can be compared.
fn reference(sql: &str, deparse: bool) -> Result<String, String> {
    if deparse {
        let parsed = pg_query::parse(sql).map_err(|error| error.to_string())?;
        parsed.deparse().map_err(|error| error.to_string())
    } else {
        pg_query::fingerprint(sql).map(|print| print.hex).map_err(|error| error.to_string())
    }
}

fn main() {
    let deparse = std::env::args().any(|arg| arg == "--deparse");
    let packed = include_bytes!("../../../crates/parser/testdata/corpus.lz4");
    let bytes = lz4_flex::decompress_size_prepended(packed).expect("the corpus is well packed");
    let text = String::from_utf8(bytes).expect("the corpus is UTF-8");
    let (mut total, mut same) = (0usize, 0usize);
    for line in text.lines() {
        let mut fields = line.splitn(3, '\t');
        let count: usize = fields.next().and_then(|n| n.parse().ok()).expect("a count");
        let valid = fields.next().is_some_and(str::is_empty);
        let sql = unescape(fields.next().expect("a statement"));
        let Ok(expected) = reference(&sql, deparse) else { continue };
        if !valid {
            continue;
        }
        total += count;
        let printed = match ochre_parser::parse(&sql) {
            Ok(statements) => {
                statements.iter().map(|statement| statement.stmt.to_string()).collect::<Vec<_>>().join("; ")
            }
            Err(error) => {
                println!("{sql:?}\n  {error}");
                continue;
            }
        };
        match reference(&printed, deparse) {
            Ok(actual) if actual == expected => same += count,
            Ok(actual) if deparse => println!("{sql:?}\n  printed {printed:?}\n  {expected:?}\n  {actual:?}"),
            Ok(_) => println!("{sql:?}\n  printed {printed:?}\n  another fingerprint"),
            Err(error) => println!("{sql:?}\n  printed {printed:?}\n  {error}"),
        }
    }
    println!("{same} of {total} statements agree ({:.3} %)", same as f64 * 100.0 / total as f64);
}
