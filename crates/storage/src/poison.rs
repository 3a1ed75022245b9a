//! Remembers the failure that ended all writing.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use ochre_base::{Error, SqlState};

/// Set once a write to the log or a sync has failed: what is on disk is unknown then, and nothing is retried as if it
/// had worked. Only a restart, which recovers from what the disk really holds, ends it.
#[derive(Default)]
pub(crate) struct Poison {
    set: AtomicBool,
    cause: OnceLock<Error>,
}

impl Poison {
    /// Ends all writing because of `cause`; the first cause stays.
    #[cold]
    pub(crate) fn set(&self, cause: &Error) -> Error {
        let error = self.cause.get_or_init(|| {
            Error::new(SqlState::IO_ERROR, format!("the database has stopped writing: {}", cause.message()))
                .hint("Restart it: what was committed is recovered from the log.")
        });
        self.set.store(true, Ordering::Release);
        error.clone()
    }

    /// One load.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.set.load(Ordering::Acquire) {
            Err(self.error().expect("a poison has a cause"))
        } else {
            Ok(())
        }
    }

    pub(crate) fn error(&self) -> Option<Error> {
        self.cause.get().cloned()
    }
}
