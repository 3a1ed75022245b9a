//! The one error that users see, with PostgreSQL's fields.

use std::fmt;

use crate::SqlState;

/// A result whose error has PostgreSQL's fields.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How serious a message is; the words are PostgreSQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Debug,
    Log,
    Info,
    Notice,
    Warning,
    Error,
    Fatal,
    Panic,
}

impl Severity {
    /// The word in messages, for instance `ERROR`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Debug => "DEBUG",
            Severity::Log => "LOG",
            Severity::Info => "INFO",
            Severity::Notice => "NOTICE",
            Severity::Warning => "WARNING",
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
            Severity::Panic => "PANIC",
        }
    }
}

/// The fields of an error or notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorFields {
    pub severity: Severity,
    pub sqlstate: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Byte offset into the statement's text; the session turns it into PostgreSQL's 1-based character position.
    pub position: Option<usize>,
    pub context: Option<String>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub datatype: Option<String>,
    pub constraint: Option<String>,
}

/// An error or notice for a user. One pointer wide, so that `Result` stays small.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<ErrorFields>);

impl Error {
    /// An error with a message; everything else is added with the builder methods.
    #[cold]
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Error {
        Error::with_severity(Severity::Error, sqlstate, message)
    }

    /// A notice, warning or fatal error.
    #[cold]
    pub fn with_severity(severity: Severity, sqlstate: SqlState, message: impl Into<String>) -> Error {
        Error(Box::new(ErrorFields {
            severity,
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            context: None,
            schema: None,
            table: None,
            column: None,
            datatype: None,
            constraint: None,
        }))
    }

    /// A feature that exists in PostgreSQL and not here: SQLSTATE 0A000, naming it.
    #[cold]
    pub fn unsupported(feature: impl fmt::Display) -> Error {
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{feature} is not supported"))
    }

    /// A broken invariant that was contained: SQLSTATE XX000.
    #[cold]
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(SqlState::INTERNAL_ERROR, message)
    }

    /// Data that failed its check when read back: SQLSTATE XX001.
    #[cold]
    pub fn corrupt(message: impl Into<String>) -> Error {
        Error::new(SqlState::DATA_CORRUPTED, message)
    }

    /// Adds the DETAIL field.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Error {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds the HINT field.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the byte offset at which the statement is wrong, unless one is known already.
    #[must_use]
    pub fn at(mut self, byte_offset: usize) -> Error {
        self.0.position.get_or_insert(byte_offset);
        self
    }

    /// Adds a line of context (the WHERE field).
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Error {
        self.0.context = Some(context.into());
        self
    }

    /// Names the table concerned.
    #[must_use]
    pub fn table(mut self, schema: impl Into<String>, table: impl Into<String>) -> Error {
        self.0.schema = Some(schema.into());
        self.0.table = Some(table.into());
        self
    }

    /// Names the column concerned.
    #[must_use]
    pub fn column(mut self, column: impl Into<String>) -> Error {
        self.0.column = Some(column.into());
        self
    }

    /// Names the constraint concerned.
    #[must_use]
    pub fn constraint(mut self, constraint: impl Into<String>) -> Error {
        self.0.constraint = Some(constraint.into());
        self
    }

    /// All fields.
    pub fn fields(&self) -> &ErrorFields {
        &self.0
    }

    /// All fields, to be changed.
    pub fn fields_mut(&mut self) -> &mut ErrorFields {
        &mut self.0
    }

    /// The SQLSTATE.
    pub fn sqlstate(&self) -> SqlState {
        self.0.sqlstate
    }

    /// The primary message.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        if let Some(detail) = &self.0.detail {
            write!(f, " DETAIL: {detail}")?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, " HINT: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.0.severity.as_str(), self.0.message, self.0.sqlstate)
    }
}

impl std::error::Error for Error {}
