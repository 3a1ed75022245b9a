//! What the shell talks to: a database in this process, or a server. Everything else in the shell knows only this.

use ochre_base::{Error, Result};
use ochre_engine::TransactionStatus;

/// A session that runs statements.
pub(crate) trait Client {
    /// Runs the text of one statement to its end. `output` gets what it yields, in order; `copy` is asked for the data
    /// of COPY … FROM STDIN until it has no more.
    ///
    /// # Errors
    /// The statement's. One with the severity FATAL has ended the session.
    fn run(&mut self, sql: &str, output: &mut dyn Output, copy: &mut CopySource<'_>) -> Result<()>;

    /// Where the session stands with its transaction.
    fn status(&self) -> TransactionStatus;

    /// Begins a new session on another database, in place of this one.
    ///
    /// # Errors
    /// When there is none of that name; this session goes on then.
    fn switch_database(&mut self, database: &str) -> Result<()>;

    /// The database and user of the session.
    fn names(&self) -> (&str, &str);

    /// Ends the session.
    ///
    /// # Errors
    /// When a database of this process cannot be closed cleanly.
    fn close(self: Box<Self>) -> Result<()>;
}

/// The next bytes for COPY … FROM STDIN: whole lines, `None` at the end.
pub(crate) type CopySource<'a> = dyn FnMut() -> Result<Option<Vec<u8>>> + 'a;

/// Receives what a statement yields.
pub(crate) trait Output {
    /// The columns of the rows that follow: their names, and whether their values are numbers.
    fn columns(&mut self, columns: Vec<(String, bool)>);
    /// One row, in text form.
    fn row(&mut self, row: Vec<Option<String>>);
    /// The end of a command.
    fn complete(&mut self, tag: &str);
    /// A notice or warning.
    fn notice(&mut self, notice: &Error);
    /// Bytes of COPY … TO STDOUT.
    ///
    /// # Errors
    /// When they cannot be written.
    fn copy_data(&mut self, data: &[u8]) -> Result<()>;
}

/// Whether values of a type stand right in tables.
pub(crate) fn is_numeric(type_id: ochre_base::Oid) -> bool {
    ochre_types::type_info(type_id).is_some_and(|info| info.category == b'N')
}
