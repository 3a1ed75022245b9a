//! Changing rows: INSERT, UPDATE, DELETE, MERGE, and what they share with COPY and DDL.

pub mod after;
pub mod deferred;
pub mod delete;
pub mod errors;
pub mod insert;
pub mod lock_rows;
pub mod merge;
pub mod merge_set;
mod probe;
pub mod recheck;
pub mod reference;
pub mod relation_set;
pub mod routed_insert;
pub mod target;
pub mod triggers;
pub mod unique;
pub mod update;
