//! Packs a corpus of statements for the tests: `cargo run --example pack_corpus < corpus.txt > testdata/corpus.lz4`.
//!
//! A line is `count TAB error TAB statement`, with `\\`, `\n`, `\t` and `\r` escaped; the error is empty where
//! PostgreSQL accepts the statement.

use std::io::{Read, Write};

fn main() -> std::io::Result<()> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text)?;
    std::io::stdout().write_all(&lz4_flex::compress_prepend_size(&text))
}
