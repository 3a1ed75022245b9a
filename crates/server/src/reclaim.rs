//! Gives memory back to the system after many sessions have ended.
//!
//! # Why
//! The allocator keeps what becomes free for a while, and looks at it again only when it is asked for more. When three
//! thousand sessions that took 120 MiB were killed at once, 130 MiB were left a second later, and as much as long as nothing else
//! happened; 10 MiB when the allocator gave back what was free.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ochre_env::memory;

/// So many sessions have memory worth the trouble (some megabytes).
const MANY_SESSIONS: usize = 128;
/// No other session has ended for so long: what goes has gone. Where sessions come and go all the time, the next ones take
/// the memory.
const QUIET: Duration = Duration::from_millis(100);

/// Counts the sessions that have ended since memory was given back.
#[derive(Default)]
pub(crate) struct Reclaim {
    ended: AtomicUsize,
    waiting: AtomicBool,
}

impl Reclaim {
    /// Notes that a session has ended and its memory is free. Called within a runtime.
    pub(crate) fn note_end(self: &Arc<Self>) {
        let ended = self.ended.fetch_add(1, Ordering::Relaxed) + 1;
        if ended >= MANY_SESSIONS && !self.waiting.swap(true, Ordering::Relaxed) {
            tokio::spawn(Arc::clone(self).give_back_when_quiet());
        }
    }

    async fn give_back_when_quiet(self: Arc<Self>) {
        loop {
            let before = self.ended.load(Ordering::Relaxed);
            tokio::time::sleep(QUIET).await;
            if self.ended.load(Ordering::Relaxed) != before {
                continue;
            }
            self.ended.store(0, Ordering::Relaxed);
            // An error says that the server stops.
            let _ = tokio::task::spawn_blocking(memory::give_back).await;
            self.waiting.store(false, Ordering::Relaxed);
            // Many may have ended meanwhile.
            if self.ended.load(Ordering::Relaxed) < MANY_SESSIONS
                || self.waiting.swap(true, Ordering::Relaxed)
            {
                return;
            }
        }
    }
}
