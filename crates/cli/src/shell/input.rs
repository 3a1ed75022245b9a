//! Where lines come from, and where a statement ends: semicolons outside quotes, comments and dollar quotes.

use std::io::BufRead;
use std::path::PathBuf;

use ochre_base::Result;
use ochre_engine::TransactionStatus;
use rustyline::Editor;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;

use super::completion::Completion;
use super::unreadable;

/// Where lines come from.
pub(super) enum Input {
    Terminal { editor: Box<Editor<Completion, DefaultHistory>>, history: Option<PathBuf> },
    Lines(Box<dyn BufRead>),
}

/// What stands before the line that somebody types.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prompt {
    /// A statement has begun and not ended.
    pub(super) continued: bool,
    pub(super) status: TransactionStatus,
}

impl Prompt {
    fn text(self) -> &'static str {
        match (self.continued, self.status) {
            (true, _) => "  ...> ",
            (false, TransactionStatus::Idle) => "ochre> ",
            (false, TransactionStatus::InBlock) => "ochre*> ",
            (false, TransactionStatus::Failed) => "ochre!> ",
        }
    }
}

impl Input {
    /// A terminal, with the history of earlier shells.
    pub(super) fn terminal(completion: Completion, history: Option<PathBuf>) -> Result<Input> {
        let config = rustyline::Config::builder()
            .completion_type(rustyline::CompletionType::List)
            .max_history_size(10_000)
            .map_err(|error| unreadable(&error))?
            .build();
        let mut editor = Editor::with_config(config).map_err(|error| unreadable(&error))?;
        editor.set_helper(Some(completion));
        if let Some(history) = &history {
            // There is none before the first shell ends.
            let _ = editor.load_history(history);
        }
        Ok(Input::Terminal { editor: Box::new(editor), history })
    }

    /// A text.
    pub(super) fn text(text: String) -> Input {
        Input::Lines(Box::new(std::io::Cursor::new(text)))
    }

    /// Standard input.
    pub(super) fn standard() -> Input {
        Input::Lines(Box::new(std::io::BufReader::new(std::io::stdin())))
    }

    /// The next line; `None` at the end, `Some(None)` when somebody interrupted it.
    pub(super) fn line(&mut self, prompt: Prompt) -> Result<Option<Option<String>>> {
        match self {
            Input::Terminal { editor, .. } => match editor.readline(prompt.text()) {
                Ok(line) => Ok(Some(Some(line))),
                Err(ReadlineError::Interrupted) => Ok(Some(None)),
                Err(ReadlineError::Eof) => Ok(None),
                Err(error) => Err(unreadable(&error)),
            },
            Input::Lines(reader) => {
                let mut line = String::new();
                match reader.read_line(&mut line) {
                    Ok(0) => Ok(None),
                    Ok(_) => Ok(Some(Some(line.trim_end_matches(['\n', '\r']).to_string()))),
                    Err(error) => Err(unreadable(&error)),
                }
            }
        }
    }

    /// The next line of a COPY's data, with its end; `None` after `\.`, at the end, or when somebody interrupts.
    pub(super) fn copy_line(&mut self, status: TransactionStatus) -> Result<Option<Vec<u8>>> {
        let line = self.line(Prompt { continued: true, status })?.flatten();
        Ok(line.filter(|line| line != "\\.").map(|line| (line + "\n").into_bytes()))
    }

    /// Adds an entry to the history.
    pub(super) fn remember(&mut self, entry: &str) {
        if let Input::Terminal { editor, .. } = self {
            let _ = editor.add_history_entry(entry);
        }
    }

    /// Keeps the history for later shells, if there is somewhere to keep it.
    pub(super) fn save_history(&mut self) {
        if let Input::Terminal { editor, history: Some(history) } = self {
            let _ = editor.save_history(history);
        }
    }
}

/// Whether a text has nothing but white space, comments and semicolons.
pub(super) fn is_blank(text: &str) -> bool {
    let mut rest = text.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    loop {
        let after = if rest.starts_with("--") {
            rest.find('\n').map(|end| &rest[end..]).unwrap_or_default()
        } else if rest.starts_with("/*") {
            match skip_comment(rest.as_bytes(), 0) {
                Some(end) => &rest[end..],
                None => return false,
            }
        } else {
            return rest.is_empty();
        };
        rest = after.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    }
}

/// Splits the first complete statement off a text: its length with the semicolon, or `None` when it goes on.
pub(super) fn statement_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut i = 0;
    let mut depth = 0_usize;
    while i < bytes.len() {
        let rest = &text[i..];
        match bytes[i] {
            b'\'' => i = skip_quoted(bytes, i, b'\'', is_escape_string(bytes, i))?,
            b'"' => i = skip_quoted(bytes, i, b'"', false)?,
            b'-' if rest.starts_with("--") => i += rest.find('\n')? + 1,
            b'/' if rest.starts_with("/*") => i = skip_comment(bytes, i)?,
            b'$' if i == 0 || !(bytes[i - 1].is_ascii_alphanumeric() || bytes[i - 1] == b'_') => {
                match dollar_tag(rest) {
                    Some(tag) => i += tag.len() + rest[tag.len()..].find(tag)? + tag.len(),
                    None => i += 1,
                }
            }
            b'(' => {
                depth += 1;
                i += 1;
            }
            b')' => {
                depth = depth.saturating_sub(1);
                i += 1;
            }
            b';' if depth == 0 => return Some(i + 1),
            _ => i += 1,
        }
    }
    None
}

fn is_escape_string(bytes: &[u8], quote: usize) -> bool {
    let letter = quote.checked_sub(1).map(|i| bytes[i]);
    let before = quote.checked_sub(2).map(|i| bytes[i]);
    matches!(letter, Some(b'e' | b'E')) && !before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn skip_quoted(bytes: &[u8], start: usize, quote: u8, escapes: bool) -> Option<usize> {
    let mut i = start + 1;
    while i < bytes.len() {
        if escapes && bytes[i] == b'\\' {
            i += 2;
        } else if bytes[i] == quote {
            return Some(i + 1);
        } else {
            i += 1;
        }
    }
    None
}

fn skip_comment(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut i = start;
    while i + 1 < bytes.len() {
        match &bytes[i..i + 2] {
            b"/*" => {
                depth += 1;
                i += 2;
            }
            b"*/" => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => i += 1,
        }
    }
    None
}

fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 2;
    let inner = &text[1..end - 1];
    let valid = inner.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !inner.starts_with(|c: char| c.is_ascii_digit());
    valid.then_some(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_semicolon_outside_everything_ends_a_statement() {
        for whole in
            ["select ';';", "select $a$;$a$;", "/* ; /* ; */ */ x;", "select \"a;b\";", "e'\\';';", "(;);"]
        {
            assert_eq!(statement_end(whole), Some(whole.len()), "{whole}");
        }
        for open in ["select 1", "select ';", "-- x;", "/* ;", "$$ ; $", ""] {
            assert_eq!(statement_end(open), None, "{open}");
        }
        assert_eq!(statement_end("a; b;"), Some(2));
    }

    #[test]
    fn comments_alone_are_no_statement() {
        for blank in ["", " \n", "-- x", "-- x\n ; ", "/* a /* b */ */ -- c\n", ";;"] {
            assert!(is_blank(blank), "{blank}");
        }
        for text in ["a", "-- x\na", "/* open", "/* a */ b", "- x"] {
            assert!(!is_blank(text), "{text}");
        }
    }
}
