//! The threads that run sessions.
//!
//! # Why
//! Each worker is a runtime with one thread and an event queue of its own, and a session stays with its worker. Under a
//! runtime of several threads, each batch of ready sockets wakes the other threads to take a share of it: with two
//! threads and eight clients that spend their time on single-row lookups, this cost a futex call for every eleventh
//! message, and as much system time again as the messages themselves.
//!
//! # Invariants
//! - W1: a session that blocks or computes for long does so in `block_in_place`, which hands the worker's other sessions
//!   to a thread of its own; so no session keeps the others of its worker waiting.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::reclaim::Reclaim;

/// The workers.
pub(crate) struct Workers {
    runtimes: Vec<Runtime>,
    placement: Placement,
}

/// Where sessions are placed.
#[derive(Clone)]
pub(crate) struct Placement {
    workers: Arc<[Worker]>,
    reclaim: Arc<Reclaim>,
}

struct Worker {
    handle: Handle,
    sessions: AtomicUsize,
}

impl Workers {
    /// So many threads, of which each can hand over to as many as `max_sessions`.
    pub(crate) fn start(count: usize, max_sessions: usize) -> io::Result<Workers> {
        let runtimes = (0..count)
            .map(|_| {
                Builder::new_multi_thread()
                    .worker_threads(1)
                    // A worker that blocks in a statement needs a thread to take its place.
                    .max_blocking_threads(max_sessions + 64)
                    .thread_name("ochre-worker")
                    .enable_all()
                    .build()
            })
            .collect::<io::Result<Vec<Runtime>>>()?;
        let workers = runtimes
            .iter()
            .map(|runtime| Worker { handle: runtime.handle().clone(), sessions: AtomicUsize::new(0) });
        let placement = Placement { workers: workers.collect(), reclaim: Arc::default() };
        Ok(Workers { runtimes, placement })
    }

    pub(crate) fn placement(&self) -> Placement {
        self.placement.clone()
    }

    /// Runs a future on the calling thread.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtimes[0].block_on(future)
    }

    /// Ends the threads; what does not end within the time is left alone.
    pub(crate) fn shut_down(self, timeout: Duration) {
        for runtime in self.runtimes {
            runtime.shutdown_timeout(timeout);
        }
    }
}

impl Placement {
    /// Gives a session to the worker that has the fewest.
    pub(crate) fn spawn(&self, session: impl Future<Output = ()> + Send + 'static) {
        let fewest = |(_, worker): &(usize, &Worker)| worker.sessions.load(Ordering::Relaxed);
        let (index, worker) =
            self.workers.iter().enumerate().min_by_key(fewest).expect("there is at least one worker");
        worker.sessions.fetch_add(1, Ordering::Relaxed);
        let leave = Leave { placement: self.clone(), index };
        worker.handle.spawn(async move {
            session.await;
            leave.placement.reclaim.note_end();
            drop(leave);
        });
    }
}

/// Takes a session off its worker's count, however it ends.
struct Leave {
    placement: Placement,
    index: usize,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.placement.workers[self.index].sessions.fetch_sub(1, Ordering::Relaxed);
    }
}
