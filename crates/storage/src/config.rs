//! What can be set about storage.

use std::time::Duration;

use ochre_base::Lsn;

/// Settings of one [`crate::Storage`].
#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// Memory for pages (`shared_buffers`).
    pub shared_buffers_bytes: usize,
    /// Bytes of one log segment; fixed when the directory is made.
    pub wal_segment_bytes: u64,
    /// Log bytes that may wait in memory before an append writes them out.
    pub wal_buffer_bytes: usize,
    /// Log bytes since the last redo point at which a checkpoint begins (`max_wal_size`).
    pub max_wal_bytes: u64,
    /// Time between checkpoints (`checkpoint_timeout`).
    pub checkpoint_timeout: Duration,
    /// Part of the time between two checkpoints over which one is spread (`checkpoint_completion_target`).
    pub checkpoint_completion_target: f64,
    /// Whether the first change of a page after a checkpoint logs the whole page (`full_page_writes`).
    pub full_page_writes: bool,
    /// Whether such pages are compressed in the log (`wal_compression`): less to write, at several times the work.
    pub compress_images: bool,
    /// Whether to wait for the disk at all (`fsync`). Without it a crash of the machine can lose everything.
    pub fsync: bool,
    /// How long a commit that does not wait may stay in memory (`wal_writer_delay`).
    pub wal_writer_delay: Duration,
    /// Recovery takes this position for the log's end though there is proof of more behind it, once somebody has been told
    /// what is lost ([`crate::inspect::find_log_damage`]).
    pub end_damaged_log_at: Option<Lsn>,
    /// Parts that recovery divides pages into, each redone by a thread of its own if threads may run. A constant, so
    /// that the same log is redone in the same way on every machine.
    pub recovery_parts: usize,
    /// Whether threads for checkpoints, page writing, log flushing and recovery run. Without them a caller that waits for the
    /// log flushes it itself, and checkpoints run only when asked for: what deterministic tests need.
    pub background_threads: bool,
}

impl Default for StorageConfig {
    fn default() -> StorageConfig {
        StorageConfig {
            shared_buffers_bytes: 64 << 20,
            wal_segment_bytes: 16 << 20,
            wal_buffer_bytes: 4 << 20,
            max_wal_bytes: 1 << 30,
            checkpoint_timeout: Duration::from_secs(300),
            checkpoint_completion_target: 0.9,
            full_page_writes: true,
            compress_images: false,
            fsync: true,
            wal_writer_delay: Duration::from_millis(200),
            end_damaged_log_at: None,
            recovery_parts: 4,
            background_threads: true,
        }
    }
}
