//! Queries with the answers of PostgreSQL: `testdata/queries/*.expected` holds statements, each followed by what PostgreSQL 15
//! answered in psql's unaligned form (NULL as `\N`), or by its error.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ochre_base::Result;
use ochre_engine::{CommandTag, Instance, InstanceConfig, OutputColumn, Session, Sink, text_row};
use ochre_env::Env;
use ochre_types::{Batch, FormatContext};

/// Collects rows as text.
#[derive(Default)]
struct Rows {
    text: String,
}

impl Sink for Rows {
    fn row_shape(&mut self, _columns: &Arc<[OutputColumn]>) -> Result<()> {
        Ok(())
    }
    fn rows(&mut self, batch: &Batch, columns: &[OutputColumn], format: &FormatContext) -> Result<()> {
        for row in batch.active() {
            let values = text_row(batch, row, columns, format)?;
            let values: Vec<&str> = values.iter().map(|value| value.as_deref().unwrap_or("\\N")).collect();
            self.text.push_str(&values.join("|"));
            self.text.push('\n');
        }
        Ok(())
    }
    fn complete(&mut self, _tag: CommandTag) {}
    fn copy_data(&mut self, _data: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// What a statement answers.
fn answer(session: &mut Session, sql: &str) -> String {
    let mut rows = Rows::default();
    match session.simple_query(sql, &mut rows) {
        Ok(_) => rows.text,
        Err(error) => format!("ERROR {}: {}\n", error.sqlstate(), error.message()),
    }
}

#[test]
fn answers_are_postgresqls() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/queries");
    let mut failures = String::new();
    let (mut count, mut failed) = (0, 0);
    for entry in std::fs::read_dir(folder).expect("test data") {
        let file = entry.expect("an entry").path();
        if file.extension().is_none_or(|extension| extension != "expected") {
            continue;
        }
        let env = Env::in_memory();
        let instance =
            Instance::open(env.clone(), Path::new("/data"), InstanceConfig::default()).expect("opens");
        let mut session = instance.session("postgres", "postgres").expect("a session");
        let text = std::fs::read_to_string(&file).expect("a readable file");
        for block in text.split("\n\n") {
            let Some((sql, expected)) = block.split_once("\n----") else { continue };
            count += 1;
            let got = answer(&mut session, sql.trim());
            if got.trim() != expected.trim() {
                failed += 1;
                let _ = writeln!(failures, "{sql}\nexpected:\n{}\ngot:\n{}\n", expected.trim(), got.trim());
            }
        }
    }
    assert!(count > 0, "no statements");
    assert!(failed == 0, "{failed} of {count} differ\n{failures}");
}
