//! The one interface through which the synchronous engine blocks.

/// How a thread waits for something slow: a lock, a page read, a log flush.
///
/// The server implements it with tokio's `block_in_place`, so that other sessions go on; a program that embeds the
/// engine simply blocks. Latches, which are held for microseconds, do not go through it.
pub trait Waiting: Send + Sync {
    /// Runs `wait`, which blocks, once and returns when it has returned.
    fn block(&self, wait: &mut dyn FnMut());
}

/// Blocks the calling thread and tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct BlockThread;

impl Waiting for BlockThread {
    fn block(&self, wait: &mut dyn FnMut()) {
        wait();
    }
}

impl dyn Waiting {
    /// Runs `wait`, which blocks, and hands on what it returned.
    pub fn run<R>(&self, wait: impl FnOnce() -> R) -> R {
        let mut wait = Some(wait);
        let mut answer = None;
        self.block(&mut || {
            if let Some(wait) = wait.take() {
                answer = Some(wait());
            }
        });
        answer.expect("an implementation of Waiting runs what it is given")
    }
}
