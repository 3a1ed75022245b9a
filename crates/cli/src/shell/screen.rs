//! What the shell shows: results, tags, notices, errors.

use std::io::Write;

use ochre_base::{Error, Result, SqlState};

use super::client::Output;
use super::table::Table;

/// Shows what statements yield, on standard output; notices and errors on standard error.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// A line a value.
    pub(crate) expanded: bool,
    /// The time of each statement.
    pub(crate) timing: bool,
    table: Option<Table>,
    /// COPY … TO STDOUT has shown data.
    copied: bool,
}

impl Output for Screen {
    fn columns(&mut self, columns: Vec<(String, bool)>) {
        let (names, numeric) = columns.into_iter().unzip();
        self.table = Some(Table { names, numeric, rows: Vec::new() });
    }

    fn row(&mut self, row: Vec<Option<String>>) {
        if let Some(table) = &mut self.table {
            table.rows.push(row);
        }
    }

    fn complete(&mut self, tag: &str) {
        let table = self.table.take();
        if let Some(table) = &table {
            show(&if self.expanded { table.draw_expanded() } else { table.draw() });
        }
        let changes = ["INSERT", "UPDATE", "DELETE", "MERGE"].iter().any(|word| tag.starts_with(word));
        // After rows, the tag says no more than their count does.
        if !std::mem::take(&mut self.copied) && (table.is_none() || changes) {
            show(&format!("{tag}\n"));
        }
    }

    fn notice(&mut self, notice: &Error) {
        show_error(notice, "");
    }

    fn copy_data(&mut self, data: &[u8]) -> Result<()> {
        self.copied = true;
        let written = std::io::stdout().write_all(data);
        written.map_err(|error| Error::new(SqlState::IO_ERROR, format!("could not write to stdout: {error}")))
    }
}

impl Screen {
    /// Forgets what a statement that failed has left.
    pub(crate) fn clear(&mut self) {
        self.table = None;
        self.copied = false;
    }
}

/// Writes to standard output; one that is closed is noticed by whoever closed it.
pub(crate) fn show(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Shows an error as psql does, with the line it is in.
pub(crate) fn show_error(error: &Error, sql: &str) {
    let fields = error.fields();
    eprintln!("{}:  {}", fields.severity.as_str(), fields.message);
    let inside = |position: &usize| *position <= sql.len() && sql.is_char_boundary(*position);
    if let Some(position) = fields.position.filter(inside).filter(|_| !sql.is_empty()) {
        let start = sql[..position].rfind('\n').map_or(0, |i| i + 1);
        let line = sql[start..].lines().next().unwrap_or_default();
        let number = sql[..start].matches('\n').count() + 1;
        let prefix = format!("LINE {number}: ");
        eprintln!("{prefix}{line}");
        eprintln!("{}^", " ".repeat(prefix.len() + sql[start..position].chars().count()));
    }
    for (label, text) in [("DETAIL", &fields.detail), ("HINT", &fields.hint), ("CONTEXT", &fields.context)] {
        if let Some(text) = text {
            eprintln!("{label}:  {text}");
        }
    }
}

/// Keeps rows for the shell itself.
#[derive(Debug, Default)]
pub(crate) struct Rows(pub(crate) Vec<Vec<Option<String>>>);

impl Output for Rows {
    fn columns(&mut self, _columns: Vec<(String, bool)>) {}

    fn row(&mut self, row: Vec<Option<String>>) {
        self.0.push(row);
    }

    fn complete(&mut self, _tag: &str) {}

    fn notice(&mut self, _notice: &Error) {}

    fn copy_data(&mut self, _data: &[u8]) -> Result<()> {
        Ok(())
    }
}
