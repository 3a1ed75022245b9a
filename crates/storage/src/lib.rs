//! Pages, buffer pool, write-ahead log, checkpoints and recovery: the floor that everything durable stands on.
//!
//! # Role
//! Pages are bytes here: this crate knows no rows, no SQL and no transactions. Those above register a
//! [`ResourceManager`] for their log records; it redoes them and takes part in checkpoints.
//!
//! # Life of a change
//! 1. [`Wal::reserve`]: log space is there, or the statement fails before anything changed (53100).
//! 2. [`BufferPool::fetch`] the pages (or [`BufferPool::allocate`] a new one) and latch them for writing.
//! 3. Change the bytes of the pages.
//! 4. [`Wal::append`] one record that names the pages. It marks them dirty first, decides whether whole images go
//!    along, and sets their LSN.
//! 5. Drop the guards.
//!
//! A change becomes durable when [`Wal::flush_to`] has passed the record's end; a page reaches disk only after that.
//!
//! # Invariants
//! - W1 (write-ahead): no page reaches disk before the log up to its LSN is durable.
//! - W2: a page is marked dirty, under its latch, before the record that describes its change is appended.
//! - W3: a page whose LSN is at or before the redo point goes into its next record whole, unless the record makes the
//!   page anew.
//! - W4: redo applies a record to a page exactly when the page's LSN is before the record's end.

mod background;
pub mod buffer;
mod checkpoint;
pub mod config;
mod current;
pub mod files;
pub mod inspect;
pub mod page;
mod poison;
mod records;
mod recovery;
pub mod slots;
mod storage;
pub mod wal;

pub use buffer::{BufferPool, PageReadGuard, PageWriteGuard, PinnedPage, PoolStatistics, ScanRing};
pub use config::StorageConfig;
pub use files::{CHOSEN_FILE_IDS, Creator, Files, ForkKey, RelationKey};
pub use page::{Page, PageCheck, PageKind};
pub use recovery::RedoContext;
pub use slots::Slot;
pub use storage::{CheckpointKind, OpenKind, OpenTimes, ResourceManager, Storage};
pub use wal::{
    Appended, BlockFlags, BlockView, DurabilityTicket, LogSink, RecordBuilder, RmgrId, Wal, WalRecord,
};
