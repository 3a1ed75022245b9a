//! Limits that more than one layer must agree on.

/// Bytes in a page.
pub const PAGE_SIZE: usize = 8192;
/// Bytes in one segment file of a relation: 1 GiB.
pub const SEGMENT_SIZE: u64 = 1 << 30;
/// Pages in one segment file.
pub const PAGES_PER_SEGMENT: u32 = (SEGMENT_SIZE / PAGE_SIZE as u64) as u32;
/// Columns of a table, as in PostgreSQL.
pub const MAX_TABLE_COLUMNS: usize = 1600;
/// Columns of an index.
pub const MAX_INDEX_COLUMNS: usize = 32;
/// Expressions in a select list.
pub const MAX_TARGETS: usize = 1664;
/// Arguments of a function.
pub const MAX_FUNCTION_ARGUMENTS: usize = 100;
/// Bytes of an identifier; longer ones are truncated with a notice.
pub const MAX_IDENTIFIER_BYTES: usize = 63;
/// Rows in a batch of the executor.
pub const BATCH_ROWS: usize = 2048;
/// Bytes of one value: 1 GiB less a header, as in PostgreSQL.
pub const MAX_VALUE_BYTES: usize = (1 << 30) - 5;
/// Parameters of a prepared statement.
pub const MAX_PARAMETERS: usize = 65_535;
/// Stack that recursive passes leave free before they grow it.
pub const STACK_RED_ZONE_BYTES: usize = 128 * 1024;
/// How much the stack grows at a time.
pub const STACK_GROWTH_BYTES: usize = 1024 * 1024;
