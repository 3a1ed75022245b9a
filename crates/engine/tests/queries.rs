//! Queries with the answers of PostgreSQL: `testdata/queries/*.expected` holds statements, each followed by what PostgreSQL 15
//! answered in psql's unaligned form (NULL as `\N`), or by its error.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_engine::{CommandTag, Instance, InstanceConfig, OutputColumn, Session, Sink};
use ochre_env::Env;
use ochre_types::{Batch, FormatContext, print_text_at};

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
            for (i, column) in columns.iter().enumerate() {
                if i > 0 {
                    self.text.push('|');
                }
                if batch.columns[i].is_null(row) {
                    self.text.push_str("\\N");
                } else {
                    let mut text = Vec::new();
                    print_text_at(column.ty, &batch.columns[i], row, format, &mut text);
                    self.text.push_str(&String::from_utf8(text).expect("text forms are UTF-8"));
                }
            }
            self.text.push('\n');
        }
        Ok(())
    }
    fn complete(&mut self, _tag: CommandTag) {}
    fn empty(&mut self) {}
    fn notice(&mut self, _notice: &Error) {}
    fn setting(&mut self, _name: &str, _value: &str) {}
    fn copy_in(&mut self, _columns: usize) {}
    fn copy_out(&mut self, _columns: usize) {}
    fn copy_data(&mut self, _data: &[u8]) -> Result<()> {
        Ok(())
    }
    fn copy_out_done(&mut self) {}
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
