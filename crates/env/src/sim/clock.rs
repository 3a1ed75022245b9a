//! A clock that moves only when told to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Clock;

/// Starts at 2026-01-01 00:00:00 UTC.
const START_UNIX_MICROS: i64 = 1_767_225_600_000_000;

/// A clock that moves only when told to.
#[derive(Debug, Default)]
pub struct SimClock {
    elapsed_micros: AtomicU64,
}

impl SimClock {
    /// A clock at its start.
    #[must_use]
    pub fn new() -> SimClock {
        SimClock::default()
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.elapsed_micros.fetch_add(by.as_micros() as u64, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now_unix_micros(&self) -> i64 {
        START_UNIX_MICROS + self.elapsed_micros.load(Ordering::Relaxed) as i64
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.elapsed_micros.load(Ordering::Relaxed))
    }
}
