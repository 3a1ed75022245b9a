//! A session, and its rows as text.

use std::sync::Arc;

use ochre_base::Result;
use ochre_engine::{CommandTag, Instance, OutputColumn, Session, Sink, text_row};
use ochre_types::{Batch, FormatContext};

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
            self.rows.push(text_row(batch, row, columns, format)?);
        }
        Ok(())
    }
    fn complete(&mut self, tag: CommandTag) {
        self.tag = tag.to_string();
    }
    fn copy_data(&mut self, _data: &[u8]) -> Result<()> {
        Ok(())
    }
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
