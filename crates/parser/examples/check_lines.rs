//! Reads statements, one to a line with `\n` and `\\` escaped, and answers each with `ok` or its error.

use std::io::{BufRead, Write};

fn main() {
    let stdin = std::io::stdin().lock();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in stdin.lines() {
        let line = line.expect("standard input is readable");
        let mut sql = String::new();
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => sql.push(if chars.next() == Some('n') { '\n' } else { '\\' }),
                c => sql.push(c),
            }
        }
        let answer = match ochre_parser::parse(&sql) {
            Ok(_) => "ok".to_string(),
            Err(error) => error.message().replace('\n', " "),
        };
        writeln!(out, "{answer}").expect("standard output is writable");
    }
}
