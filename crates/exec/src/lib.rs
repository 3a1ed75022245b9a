//! The executor: runs physical plans over tables and indexes, in batches of typed columns.
//!
//! # Role
//! `sql` plans, `access` stores; this crate is where they meet. The engine calls it, and implements [`RelationSource`].
//!
//! # How to run a statement
//! ```text
//! let mut execution = Execution::new(&planned_statement, &relations)?;       // opens relations, reads nothing
//! let statement = StatementContext { params, session, relations, txn, snapshot, temp, work_mem_bytes, batch_rows, workers };
//! while let Some(batch) = execution.next(&statement)? { … }                  // a batch has active rows, never none
//! execution.rows_changed()                                                    // of INSERT, UPDATE, DELETE
//! ```
//! - The snapshot is taken before the first call and kept for all of them; under READ COMMITTED it is new for each
//!   statement. Changes carry the transaction's current command, which the snapshot does not see: call
//!   `Transaction::advance_command` after a statement that may have written.
//! - An [`Execution`] owns its state and is `Send`: a portal keeps it between messages, with its snapshot, parameters and
//!   transaction. [`Execution::restart`] makes it ready for another run of the same prepared statement; throw it away
//!   when the descriptors of its relations have changed.
//! - A batch's columns are the root node's; the client sees the first `row_shape.len()` of them.
//! - INSERT, UPDATE and DELETE with RETURNING run to their end at the first call; without RETURNING too, and give no
//!   batch.
//! - EXPLAIN ANALYZE: [`Execution::instrumented`], run it, then ask [`explain::Instrumentation::counters`] by node.
//! - A prepared lookup by a unique key: [`PointLookup::new`] says whether a statement is one; its `run` gives the row.
//!
//! # How to implement [`RelationSource`]
//! Keep for each relation descriptor one [`TableAccess`], made by [`TableAccess::new`] from the heap's handle and the
//! [`IndexAccess`]es of those of its indexes that are ready. An [`IndexAccess`] needs the index's expressions over the
//! target image: [`IndexExpressions::plain`] makes them for plain columns, others are bound from their SQL texts.
//!
//! # For COPY and DDL
//! [`BulkInsert`] stores batches of complete rows with all checks; [`build_index`] fills a new index; [`each_batch`] visits
//! all rows of a table (validating a constraint, rewriting a table), [`sample_blocks`] some (ANALYZE); [`RowEncoder`] and [`RowDecoder`] read and write rows
//! one by one, as the catalog's store does; [`EntryColumns`] gives the index entries of rows, as the removal of entries
//! by the collector needs them.
//!
//! # Not done
//! Window functions other than those of [`operators::window`] and ordered-set aggregates of users answer 0A000.

mod bounds;
pub mod build;
mod bulk_insert;
mod cached_columns;
mod codec;
mod columns;
mod common_exprs;
mod context;
pub mod dependencies;
mod execution;
pub mod explain;
mod gin;
mod index_build;
mod index_entry;
mod join_table;
mod key_filter;
mod key_set;
mod key_table;
mod keys;
pub mod modify;
mod operator;
pub mod operators;
mod parallel;
mod partition;
mod point_lookup;
mod raw_filter;
mod relation;
mod row_bitmap;
mod row_bytes;
mod row_sorter;
mod row_store;
mod run_state;
mod short_keys;
mod spill;
mod temp;

pub use bulk_insert::BulkInsert;
pub use codec::{ImageDecoder, RowCodec, RowDecoder, RowEncoder};
pub use context::{ExecContext, Frame, StatementContext};
pub use execution::Execution;
pub use index_build::{RowSampler, build_index, each_batch, fill_index, look_for_twins, sample_blocks};
pub use index_entry::{Entry, EntryColumns};
pub use modify::after::{check_partition_unreferenced, run_deferred, validate_foreign_key};
pub use modify::deferred::{ConstraintTiming, DeferredChecks};
pub use modify::triggers::{Firing, TransitionRows, Transitions, TriggerEvent, TriggerRow};
pub use operator::{BoxOperator, Check, Operator, Readiness};
pub use operators::scan::BUILTIN_ROW;
pub use parallel::{WorkerPool, Workers};
pub use point_lookup::PointLookup;
pub use relation::{
    IndexAccess, IndexExpressions, PayloadColumn, ReferentialQuery, RelationSource, TableAccess,
};
pub use row_store::RowStore;
pub use temp::{TempFile, TempFiles};
