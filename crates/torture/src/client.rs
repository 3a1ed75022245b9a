//! A session, and its rows as text.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_engine::{CommandTag, Instance, OutputColumn, Session, Sink};
use ochre_types::{Batch, FormatContext, print_text_at};

/// A row as text.
pub(crate) type TextRow = Vec<Option<String>>;

/// What a statement answered.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<TextRow>,
    pub(crate) tag: String,
}

impl Answer {
    /// The number at the end of the command tag.
    pub(crate) fn count(&self) -> usize {
        self.tag.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
    }
}

impl Sink for Answer {
    fn row_shape(&mut self, _columns: &Arc<[OutputColumn]>) -> Result<()> {
        Ok(())
    }
    fn rows(&mut self, batch: &Batch, columns: &[OutputColumn], format: &FormatContext) -> Result<()> {
        for row in batch.active() {
            let values = columns.iter().enumerate().map(|(index, column)| {
                (!batch.columns[index].is_null(row)).then(|| {
                    let mut text = Vec::new();
                    print_text_at(column.ty, &batch.columns[index], row, format, &mut text);
                    String::from_utf8_lossy(&text).into_owned()
                })
            });
            self.rows.push(values.collect());
        }
        Ok(())
    }
    fn complete(&mut self, tag: CommandTag) {
        self.tag = tag.to_string();
    }
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

/// Runs one statement.
///
/// # Errors
/// The statement's.
pub(crate) fn query(session: &mut Session, sql: &str) -> Result<Answer> {
    let mut answer = Answer::default();
    session.simple_query(sql, &mut answer)?;
    Ok(answer)
}

/// A session that does not wait for others: nobody can end what it waits for.
///
/// # Errors
/// As making one.
pub(crate) fn connect(instance: &Arc<Instance>) -> Result<Session> {
    let mut session = instance.session("postgres", "postgres")?;
    query(&mut session, "SET lock_timeout = '1ms'")?;
    Ok(session)
}

/// Does what a server does before it sends an answer: what the answer tells of becomes durable.
///
/// # Errors
/// 58030.
pub(crate) fn acknowledge(session: &Session) -> Result<()> {
    let gate = session.take_gate();
    session.instance().transactions().wal().flush_to(gate)
}

/// A query's rows, a line each, their values joined by bars.
///
/// # Errors
/// The query's.
pub fn text_of(session: &mut Session, sql: &str) -> Result<String> {
    let line = |row: TextRow| {
        let values: Vec<String> = row.into_iter().map(|value| value.unwrap_or("NULL".into())).collect();
        values.join("|") + "\n"
    };
    Ok(query(session, sql)?.rows.into_iter().map(line).collect())
}
