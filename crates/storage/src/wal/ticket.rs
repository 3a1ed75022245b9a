//! A wait for the log's durability that need not block a thread.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ochre_base::{Lsn, Result};

use super::Wal;

/// A wait for the log's durability. A `Future`; [`DurabilityTicket::wait`] blocks instead. Dropping it gives the wait
/// up; the flush happens all the same.
#[must_use = "the commit is durable only once the ticket says so"]
pub struct DurabilityTicket {
    wal: Arc<Wal>,
    lsn: Lsn,
    registered: Option<Waker>,
}

impl DurabilityTicket {
    pub(super) fn new(wal: Arc<Wal>, lsn: Lsn) -> DurabilityTicket {
        DurabilityTicket { wal, lsn, registered: None }
    }

    /// What it waits for.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Whether it is durable already.
    pub fn is_durable(&self) -> bool {
        self.wal.flushed() >= self.lsn
    }

    /// Blocks until it is durable, flushing on the calling thread if nobody else does.
    ///
    /// # Errors
    /// As [`Wal::flush_to`].
    pub fn wait(&self) -> Result<()> {
        self.wal.flush_to(self.lsn)
    }
}

impl Future for DurabilityTicket {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        if self.is_durable() {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = self.wal.poisoned() {
            return Poll::Ready(Err(error));
        }
        let waker = context.waker();
        if self.registered.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return Poll::Pending;
        }
        if !self.wal.register(self.lsn, waker) {
            return Poll::Ready(self.wait());
        }
        self.registered = Some(waker.clone());
        Poll::Pending
    }
}
