//! Transactions: ids, outcomes, snapshots, savepoints, waiting. Knows no columns and no pages.
//!
//! # Role
//! The heap asks a [`Snapshot`] which versions it sees and notes in a [`Transaction`] what it wrote; the engine begins
//! and commits through the [`TransactionManager`]; the collector asks which snapshots are open.
//!
//! # A snapshot is a position in the log
//! The end of a transaction's commit record is its commit number. A snapshot is the newest published position, and sees
//! the transactions whose number lies at or before it. See the modules [`outcomes`] (what became of an xid),
//! [`registry`] (which snapshots are open) and [`manager`] (how a commit is published in log order).
//!
//! # Life of a commit
//! 1. The record is appended under the publish mutex; its end is the commit's position.
//! 2. The outcome is stored, the engine's hooks run, the newest position is raised.
//! 3. Who waited for the transaction is woken; blocks it wrote go to the collector.
//! 4. The caller awaits the flush with the [`CommitTicket`].
//!
//! # Not done
//! PREPARE TRANSACTION of SERIALIZABLE transactions.

pub mod blocks;
pub mod locks;
pub mod manager;
pub mod outcomes;
pub mod prepared;
mod record;
mod recovery;
pub mod registry;
pub mod row_locks;
pub mod serializable;
pub mod snapshot;
pub mod suspension;
pub mod transaction;
pub mod wait;

pub use blocks::{BlockSet, RowChange, RowChanges};
pub use manager::{CommitTicket, TransactionManager};
pub use outcomes::{DeadRange, Outcome, Outcomes};
pub use recovery::{TransactionLog, dropped_by};
pub use registry::OpenSnapshots;
pub use row_locks::RowLockStrength;
pub use serializable::{KeyRange, ScannedRange, SerialGranule, SerialLockListing, SerialTransaction};
pub use snapshot::Snapshot;
pub use suspension::{KeptTurn, RowDemand, RowObstacle, Suspension};
pub use transaction::{Ended, IsolationLevel, Remains, SavepointDepth, Transaction, TransactionOptions};
pub use wait::{Interrupt, WaitEvent, WaitNote, Waiter};
