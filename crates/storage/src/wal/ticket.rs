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
        // Who was woken because nobody flushes any more finds no flusher here, and flushes.
        if self.registered.as_ref().is_some_and(|known| known.will_wake(waker)) && self.wal.has_flusher() {
            return Poll::Pending;
        }
        if !self.wal.register(self.lsn, waker) {
            return Poll::Ready(self.wait());
        }
        self.registered = Some(waker.clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::task::Wake;

    use ochre_base::Xid;
    use ochre_env::Env;

    use super::*;
    use crate::wal::{RecordBuilder, RmgrId};
    use crate::{Storage, StorageConfig};

    struct Nothing;

    impl Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn a_task_that_the_flusher_left_behind_flushes() {
        let config = StorageConfig { background_threads: false, ..StorageConfig::default() };
        let storage = Storage::open(Env::in_memory(), Path::new("data"), config, Vec::new()).unwrap();
        let wal = storage.wal();
        wal.announce_flusher();
        let record = RecordBuilder::new(RmgrId::STORAGE, crate::records::RESUME, Xid::NONE);
        let mut ticket = std::pin::pin!(wal.ticket(wal.append(&record, &mut []).unwrap().end));
        let waker = Arc::new(Nothing).into();
        let mut context = Context::from_waker(&waker);
        for _ in 0..2 {
            assert!(ticket.as_mut().poll(&mut context).is_pending(), "the flusher would lead");
        }
        wal.stop_flusher();
        assert!(matches!(ticket.as_mut().poll(&mut context), Poll::Ready(Ok(()))));
    }
}
