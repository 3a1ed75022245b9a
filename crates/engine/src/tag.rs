//! Command tags: what a client is told when a command is done.

use std::fmt;

use ochre_sql::physical::CommandKind;

/// A command tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandTag {
    /// A fixed text such as `CREATE TABLE`.
    Plain(&'static str),
    /// A command and the rows it was about.
    Rows(&'static str, u64),
    /// `INSERT 0 n`.
    Insert(u64),
}

impl CommandTag {
    /// The tag of a plan's command.
    pub fn of(command: CommandKind, rows: u64) -> CommandTag {
        match command {
            CommandKind::Select => CommandTag::Rows("SELECT", rows),
            CommandKind::Insert => CommandTag::Insert(rows),
            CommandKind::Update => CommandTag::Rows("UPDATE", rows),
            CommandKind::Delete => CommandTag::Rows("DELETE", rows),
            CommandKind::Merge => CommandTag::Rows("MERGE", rows),
        }
    }

    /// The rows that the command was about, for callers of the library.
    pub fn rows(self) -> u64 {
        match self {
            CommandTag::Plain(_) => 0,
            CommandTag::Rows(_, rows) | CommandTag::Insert(rows) => rows,
        }
    }
}

impl fmt::Display for CommandTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandTag::Plain(text) => f.write_str(text),
            CommandTag::Rows(command, rows) => write!(f, "{command} {rows}"),
            CommandTag::Insert(rows) => write!(f, "INSERT 0 {rows}"),
        }
    }
}
