//! I/O errors that know their file.

use std::fmt;
use std::path::{Path, PathBuf};

use ochre_base::{Error, SqlState};

/// A result whose error names the file.
pub type IoResult<T> = Result<T, IoError>;

/// What kind of reaction a failed operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoErrorKind {
    /// The file or directory does not exist.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// The disk or the quota is full.
    NoSpace,
    /// Another process holds the lock.
    Locked,
    /// The file ended before the bytes asked for.
    UnexpectedEof,
    /// The simulated machine has lost power: nothing works until it is restarted.
    PowerLost,
    /// Everything else: the device, permissions, limits.
    Other,
}

/// A failed file operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IoError {
    /// What kind of reaction it needs.
    pub kind: IoErrorKind,
    /// What was tried, as in `could not <operation> file`.
    pub operation: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// The operating system's words.
    pub reason: String,
}

impl IoError {
    /// An error of a kind.
    #[cold]
    pub fn new(
        kind: IoErrorKind,
        operation: &'static str,
        path: &Path,
        reason: impl Into<String>,
    ) -> IoError {
        IoError { kind, operation, path: path.to_path_buf(), reason: reason.into() }
    }

    /// The operating system's error.
    #[cold]
    pub fn from_os(operation: &'static str, path: &Path, error: std::io::Error) -> IoError {
        use std::io::ErrorKind as K;
        let kind = match error.kind() {
            K::NotFound => IoErrorKind::NotFound,
            K::AlreadyExists => IoErrorKind::AlreadyExists,
            K::StorageFull | K::QuotaExceeded => IoErrorKind::NoSpace,
            K::UnexpectedEof => IoErrorKind::UnexpectedEof,
            K::WouldBlock => IoErrorKind::Locked,
            _ => IoErrorKind::Other,
        };
        // `Display` of std's error appends "(os error N)", which PostgreSQL's messages do not have.
        let text = error.to_string();
        let reason = text.split(" (os error").next().unwrap_or(&text).to_string();
        IoError::new(kind, operation, path, reason)
    }

    /// Whether the file was not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == IoErrorKind::NotFound
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {} file \"{}\": {}", self.operation, self.path.display(), self.reason)
    }
}

impl std::error::Error for IoError {}

impl From<IoError> for Error {
    fn from(error: IoError) -> Error {
        let message = error.to_string();
        match error.kind {
            IoErrorKind::NoSpace => Error::new(SqlState::DISK_FULL, message).hint("Check free disk space."),
            IoErrorKind::NotFound => Error::new(SqlState::UNDEFINED_FILE, message),
            _ => Error::new(SqlState::IO_ERROR, message),
        }
    }
}
