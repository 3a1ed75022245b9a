//! The statements of PostgreSQL's regression suite and of psql's own queries, against what PostgreSQL's grammar says.

use std::collections::BTreeSet;
use std::time::Instant;

use ochre_parser::parse;

struct Sample {
    /// How often the statement stands in the suite.
    count: usize,
    /// PostgreSQL's error; empty where it accepts the statement.
    error: String,
    sql: String,
}

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

fn corpus() -> Vec<Sample> {
    let packed = include_bytes!("../testdata/corpus.lz4");
    let bytes = lz4_flex::decompress_size_prepended(packed).expect("the corpus is well packed");
    let text = String::from_utf8(bytes).expect("the corpus is UTF-8");
    text.lines()
        .map(|line| {
            let mut fields = line.splitn(3, '\t');
            let count = fields.next().and_then(|n| n.parse().ok()).expect("a count");
            let error = unescape(fields.next().expect("an error"));
            let sql = unescape(fields.next().expect("a statement"));
            Sample { count, error, sql }
        })
        .collect()
}

/// Statements on which the two grammars are known to differ, each below a line `# reason`.
fn known_differences() -> BTreeSet<String> {
    include_str!("../testdata/differences.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(unescape)
        .collect()
}

#[test]
fn accepts_and_refuses_as_postgres_does() {
    let corpus = corpus();
    let known = known_differences();
    let start = Instant::now();
    let answers: Vec<_> = corpus.iter().map(|sample| parse(&sample.sql)).collect();
    let elapsed = start.elapsed();

    let total: usize = corpus.iter().map(|sample| sample.count).sum();
    let mut differing = 0;
    let mut unlisted = Vec::new();
    for (sample, answer) in corpus.iter().zip(&answers) {
        let expected = sample.error.is_empty();
        if answer.is_ok() != expected {
            differing += sample.count;
            if !known.contains(&sample.sql) {
                unlisted.push(format!(
                    "{:?}: {:?} here, {:?} there",
                    sample.sql,
                    answer.as_ref().err(),
                    sample.error
                ));
            }
        }
    }
    assert!(unlisted.is_empty(), "{} differences are not listed:\n{}", unlisted.len(), unlisted.join("\n"));
    assert!(differing * 1000 <= total, "{differing} of {total} statements differ");
    println!("{total} statements, {differing} differ, {elapsed:?} for the distinct ones");
}

#[test]
fn errors_are_worded_as_postgres_words_them() {
    let mut wrong = Vec::new();
    for sample in corpus().iter().filter(|sample| !sample.error.is_empty()) {
        if let Err(error) = parse(&sample.sql)
            && error.message() != sample.error
        {
            wrong.push(format!("{:?}: {:?} here, {:?} there", sample.sql, error.message(), sample.error));
        }
    }
    assert!(wrong.is_empty(), "{} errors differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn printing_and_parsing_again_gives_the_same_tree() {
    let mut wrong = Vec::new();
    for sample in corpus() {
        let Ok(statements) = parse(&sample.sql) else { continue };
        for statement in statements {
            let printed = statement.stmt.to_string();
            match parse(&printed) {
                Err(error) => wrong.push(format!("{:?}\n  printed {printed:?}\n  {error}", sample.sql)),
                Ok(again) => {
                    if again.len() != 1 || again[0].stmt != statement.stmt {
                        wrong.push(format!("{:?}\n  printed {printed:?}\n  another tree", sample.sql));
                    } else if again[0].stmt.to_string() != printed {
                        wrong.push(format!("{:?}\n  printed {printed:?}\n  prints differently", sample.sql));
                    }
                }
            }
        }
    }
    let shown: Vec<_> = wrong.iter().take(40).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} trees change:\n{}", wrong.len(), shown.join("\n"));
}
