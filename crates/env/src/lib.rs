//! The one place that touches files, clocks, randomness and blocking waits.
//!
//! # Role
//! Everything above asks an [`Env`] and never the operating system. [`os`] is the real thing; [`sim`] keeps files in
//! memory, deterministically, for `Database::in_memory()` and for crash tests that drop, keep or tear what was not
//! synced and make any chosen operation fail.
//!
//! # Invariants
//! - E1: what was written and synced ([`File::sync_data`], and [`FileSystem::sync_dir`] for names) survives a crash;
//!   nothing else is promised to.
//! - E2: a write that returned is seen by every later read of the same running process, synced or not.
//! - E3: an operation that fails names its file; [`IoErrorKind::NoSpace`] becomes SQLSTATE 53100, all others 58030.

mod clock;
mod error;
mod file;
pub mod memory;
pub mod os;
mod random;
pub mod sim;
pub mod usage;
mod waiting;

use std::sync::Arc;

pub use clock::Clock;
pub use error::{IoError, IoErrorKind, IoResult};
pub use file::{BLOCK_BYTES, File, FileLock, FileSystem, OpenMode};
pub use random::Random;
pub use waiting::{BlockThread, Waiting};

/// The surroundings of an engine: files, clock, randomness and the way to block. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// Where files live.
    pub fs: Arc<dyn FileSystem>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where random bytes come from.
    pub random: Arc<dyn Random>,
    /// How a thread waits for something slow.
    pub wait: Arc<dyn Waiting>,
}

impl Env {
    /// The operating system's files, clock and randomness; waits block the calling thread. Raises the process's limit
    /// of open files as far as it may go, since every relation in use is an open file or more.
    pub fn os() -> Env {
        os::raise_open_file_limit();
        Env {
            fs: Arc::new(os::OsFileSystem),
            clock: Arc::new(os::OsClock::new()),
            random: Arc::new(os::OsRandom),
            wait: Arc::new(BlockThread),
        }
    }

    /// Files in memory that never fail, with the operating system's clock and randomness.
    pub fn in_memory() -> Env {
        Env { fs: Arc::new(sim::SimFileSystem::new(0)), ..Env::os() }
    }

    /// The same surroundings with another way to wait.
    #[must_use]
    pub fn with_waiting(mut self, wait: Arc<dyn Waiting>) -> Env {
        self.wait = wait;
        self
    }
}
