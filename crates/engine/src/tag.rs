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

impl CommandTag {
    /// Appends the tag's text: every statement's answer has one, so it is put together by hand.
    pub fn append_to(self, out: &mut String) {
        let (command, rows) = match self {
            CommandTag::Plain(text) => return out.push_str(text),
            CommandTag::Rows(command, rows) => (command, rows),
            CommandTag::Insert(rows) => ("INSERT 0", rows),
        };
        out.push_str(command);
        out.push(' ');
        let start = out.len();
        let mut rest = rows;
        loop {
            out.insert(start, char::from(b'0' + (rest % 10) as u8));
            rest /= 10;
            if rest == 0 {
                return;
            }
        }
    }
}

impl fmt::Display for CommandTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.append_to(&mut text);
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_told_as_postgresql_tells_them() {
        assert_eq!(CommandTag::Plain("BEGIN").to_string(), "BEGIN");
        assert_eq!(CommandTag::Rows("SELECT", 0).to_string(), "SELECT 0");
        assert_eq!(CommandTag::Rows("UPDATE", 1_203_040).to_string(), "UPDATE 1203040");
        assert_eq!(CommandTag::Insert(7).to_string(), "INSERT 0 7");
    }
}
