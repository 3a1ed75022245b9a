//! Changing rows: INSERT, UPDATE, DELETE, and what they share with COPY and DDL.

pub mod delete;
pub mod errors;
pub mod insert;
pub mod lock_rows;
pub mod recheck;
pub mod target;
pub mod unique;
pub mod update;
