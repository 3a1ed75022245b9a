//! Executor.

mod bounds;
pub mod build;
mod codec;
mod columns;
mod context;
pub mod dependencies;
mod execution;
pub mod explain;
mod index_entry;
mod key_table;
mod keys;
pub mod modify;
mod operator;
pub mod operators;
mod partition;
mod relation;
mod row_bytes;
mod row_sorter;
mod row_store;
mod run_state;
mod spill;
mod temp;

pub use codec::{RowCodec, RowDecoder, RowEncoder};
pub use context::{ExecContext, Frame, StatementContext};
pub use execution::Execution;
pub use operator::{BoxOperator, Operator};
pub use relation::{IndexAccess, IndexExpressions, RelationSource, TableAccess};
pub use row_store::RowStore;
pub use temp::{TempFile, TempFiles};
