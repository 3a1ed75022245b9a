//! Background threads and how they are told.

use std::time::{Duration, Instant};

use ochre_base::{Error, SqlState};
use parking_lot::{Condvar, Mutex};

/// Wakes one thread that sleeps for a while otherwise.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Default)]
struct SignalState {
    raised: bool,
    stopped: bool,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wakeup {
    Raised,
    Elapsed,
    Stopped,
}

impl Signal {
    /// Wakes the thread, or makes its next wait return at once.
    pub(crate) fn raise(&self) {
        let mut state = self.state.lock();
        if !state.raised {
            state.raised = true;
            self.changed.notify_all();
        }
    }

    /// Ends this and all later waits.
    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Sleeps until raised, stopped or the time is over.
    pub(crate) fn wait(&self, at_most: Duration) -> Wakeup {
        let deadline = Instant::now() + at_most;
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return Wakeup::Stopped;
            }
            if std::mem::take(&mut state.raised) {
                return Wakeup::Raised;
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return Wakeup::Elapsed;
            }
        }
    }
}

/// What is said when the system gives no thread.
pub(crate) fn no_thread(error: std::io::Error) -> Error {
    Error::new(SqlState::INSUFFICIENT_RESOURCES, format!("could not start a thread: {error}"))
}
