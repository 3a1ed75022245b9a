//! What time it is.

use std::time::Duration;

/// A wall clock and a clock that never goes back.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970-01-01 00:00:00 UTC.
    fn now_unix_micros(&self) -> i64;

    /// Time since some fixed moment; never decreases.
    fn monotonic(&self) -> Duration;
}
