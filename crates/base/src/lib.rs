//! The vocabulary that every crate of OchreDB shares: identifiers, errors and limits. No I/O.

mod error;
mod ids;
pub mod limits;
mod sqlstate;
mod usage;

pub use error::{Error, ErrorFields, Result, Severity};
pub use ids::{BlockNo, CommandId, DatabaseId, FileId, Fork, Lsn, Oid, PageKey, RowId, Xid};
pub use sqlstate::SqlState;
pub use usage::Usage;
