//! Simulated surroundings: files in memory that can lose power, tear writes and fail on demand; a clock that is set;
//! randomness from a seed.
//!
//! # Role
//! `Database::in_memory()` runs on [`SimFileSystem::new`], which only stores bytes. Crash tests run on
//! [`SimFileSystem::with_crashes`], which besides remembers what was synced.
//!
//! # What survives a power cut
//! - A file's bytes as of its last successful `sync_data`. Each later write survives, is lost or is torn at sectors of
//!   512 bytes, one independent of the other, as [`CrashMode`] and the seed say.
//! - A directory's names as of its last `sync_dir`, plus a prefix of the later changes to that directory.
//! - After a `sync_data` that failed, what it should have made durable stays in doubt for ever: a later one that
//!   succeeds does not vouch for it. That is what Linux does.
//!
//! # States that are kept
//! A copy of the files costs little, so a run can leave one after each operation ([`SimFileSystem::keep_states`]), and
//! each can be cut from power and recovered without running again what led there.
//!
//! # Invariants
//! - X1: with the same seed and the same sequence of calls, everything is the same.
//! - X2: a handle or lock from before a power cut answers [`IoErrorKind::PowerLost`](crate::IoErrorKind) for ever.

mod clock;
mod content;
mod faults;
mod files;
mod names;
mod random;

pub use clock::SimClock;
pub use faults::{Fault, Fired, OperationKind};
pub use files::{CrashMode, SimFileSystem};
pub use random::SimRandom;
