//! Waiting for the log: group commit.
//!
//! # States
//! At any moment at most one thread leads: it takes what is in the buffer, writes it and syncs. Who comes meanwhile
//! becomes a waiter and rides on the next flush.
//!
//! - Who blocks ([`crate::Wal::flush_to`]) and finds no leader leads itself: a lone client pays no hand-over.
//! - When a leader that is a client has finished and waiters are left, the flusher thread (or, without one, the
//!   longest waiting client) leads next, and goes on while there are waiters.
//! - Who does not block (a ticket that is polled) never leads while there is a flusher thread.
//!
//! # Why a thread of its own
//! A server's thread that leads keeps its other sessions waiting for the time of a flush. Leading by threads that had
//! just run out of work spares two switches a flush, but with eight clients of five statements a transaction on two
//! cores it left a fifth of the machine idle: 8,300 transactions a second, 10,000 with the flusher thread.
//!
//! # Invariants
//! - C1: a waiter is either in the list, or woken after `flushed` passed its position or the engine was poisoned, or
//!   woken to lead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::thread::Thread;

use ochre_base::Lsn;
use parking_lot::{Condvar, Mutex};

/// Who waits.
pub(super) enum Waiter {
    Blocked(Arc<Blocked>),
    Task(Waker),
}

/// A thread that waits for its turn.
pub(super) struct Blocked {
    thread: Thread,
    woken: AtomicBool,
}

impl Blocked {
    pub(super) fn new() -> Arc<Blocked> {
        Arc::new(Blocked { thread: std::thread::current(), woken: AtomicBool::new(false) })
    }

    pub(super) fn wait(&self) {
        while !self.woken.load(Ordering::Acquire) {
            std::thread::park();
        }
    }
}

impl Waiter {
    fn wake(self) {
        match self {
            Waiter::Blocked(blocked) => {
                blocked.woken.store(true, Ordering::Release);
                blocked.thread.unpark();
            }
            Waiter::Task(waker) => waker.wake(),
        }
    }
}

#[derive(Default)]
pub(super) struct FlushState {
    pub(super) leading: bool,
    waiters: Vec<(Lsn, Waiter)>,
    /// Whether a flusher thread runs.
    pub(super) has_flusher: bool,
    /// The flusher is to lead as soon as it can.
    pub(super) summoned: bool,
    pub(super) stopping: bool,
}

/// Who leads, who waits.
#[derive(Default)]
pub(super) struct FlushQueue {
    pub(super) state: Mutex<FlushState>,
    pub(super) flusher: Condvar,
}

impl FlushState {
    pub(super) fn push(&mut self, lsn: Lsn, waiter: Waiter) {
        self.waiters.push((lsn, waiter));
    }

    pub(super) fn has_waiters(&self) -> bool {
        !self.waiters.is_empty()
    }

    /// Takes those who wait for nothing beyond `flushed`.
    pub(super) fn take_satisfied(&mut self, flushed: Lsn) -> Woken {
        let mut woken = Vec::new();
        let mut index = 0;
        while index < self.waiters.len() {
            if self.waiters[index].0 <= flushed {
                woken.push(self.waiters.swap_remove(index).1);
            } else {
                index += 1;
            }
        }
        Woken(woken)
    }

    /// Takes everybody.
    pub(super) fn take_all(&mut self) -> Woken {
        Woken(self.waiters.drain(..).map(|(_, waiter)| waiter).collect())
    }

    /// Takes a blocked thread, to lead; tasks only if there is none, since each of them flushes when polled.
    pub(super) fn take_successor(&mut self) -> Woken {
        match self.waiters.iter().position(|(_, waiter)| matches!(waiter, Waiter::Blocked(_))) {
            Some(index) => Woken(vec![self.waiters.swap_remove(index).1]),
            None => self.take_all(),
        }
    }
}

/// Waiters to be woken once the mutex is released.
#[must_use]
pub(super) struct Woken(Vec<Waiter>);

impl Woken {
    pub(super) fn wake(self) {
        for waiter in self.0 {
            waiter.wake();
        }
    }
}
