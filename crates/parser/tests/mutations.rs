//! Statements of the corpus with random changes: no panic, no error outside the text, and what is accepted prints as SQL
//! that parses to the same tree.

use ochre_base::SqlState;
use ochre_fuzzing::{Campaign, Random};
use ochre_parser::{Kw, parse};

fn statements() -> Vec<String> {
    let packed = include_bytes!("../testdata/corpus.lz4");
    let bytes = lz4_flex::decompress_size_prepended(packed).expect("the corpus is well packed");
    let text = String::from_utf8(bytes).expect("the corpus is UTF-8");
    text.lines()
        .filter_map(|line| line.splitn(3, '\t').nth(2))
        .map(|sql| sql.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\"))
        .filter(|sql| sql.len() < 2000)
        .collect()
}

/// The pieces of a text: words, and single characters between them.
fn pieces(sql: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut previous_is_word = false;
    for (i, c) in sql.char_indices() {
        if i > start && !(word(c) && previous_is_word) {
            pieces.push(&sql[start..i]);
            start = i;
        }
        previous_is_word = word(c);
    }
    pieces.push(&sql[start..]);
    pieces
}

fn mutate(random: &mut Random, statements: &[String]) -> String {
    let pick = |random: &mut Random| &statements[random.below(statements.len())];
    let base = pick(random);
    let mut parts: Vec<String> = pieces(base).into_iter().map(String::from).collect();
    for _ in 0..=random.below(3) {
        let at = random.below(parts.len());
        match random.below(7) {
            0 => parts[at].clear(),
            1 => parts[at] = parts[at].repeat(2 + random.below(3)),
            2 => {
                let other = random.below(parts.len());
                parts.swap(at, other);
            }
            3 => {
                let donor = pieces(pick(random));
                parts[at] = format!(" {} ", donor[random.below(donor.len())]);
            }
            4 => parts[at] = format!(" {} ", Kw::ALL[random.below(Kw::ALL.len())].as_str()),
            5 => {
                let odd = [
                    "'",
                    "\"",
                    "$$",
                    "E'\\",
                    "U&'\\00",
                    "/*",
                    "--",
                    "0x",
                    "(",
                    ")",
                    "[",
                    "ä",
                    "\u{1F600}",
                    "::",
                    "\0",
                ];
                parts[at].push_str(odd[random.below(odd.len())]);
            }
            _ => parts.truncate(at.max(1)),
        }
    }
    parts.concat()
}

fn check(sql: &str) {
    match parse(sql) {
        Err(error) => {
            assert_ne!(error.sqlstate(), SqlState::INTERNAL_ERROR, "{error}");
            let position = error.fields().position.unwrap_or(0);
            assert!(position <= sql.len() && sql.is_char_boundary(position), "{error} at {position}");
        }
        Ok(statements) => {
            for statement in statements {
                assert!(sql.get(statement.start..statement.start + statement.len).is_some());
                let printed = statement.stmt.to_string();
                let again = parse(&printed).unwrap_or_else(|error| panic!("printed {printed:?}: {error}"));
                assert!(again.len() == 1 && again[0].stmt == statement.stmt, "printed {printed:?}");
            }
        }
    }
}

#[test]
fn changed_statements_never_panic() {
    let statements = statements();
    Campaign::new(100_000).run(|random| mutate(random, &statements), |sql| check(sql));
}
