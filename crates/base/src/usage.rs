//! What a piece of work took of pages, log and temporary files.

/// Counts of pages and log records; differences of two of them tell what happened between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Pages found in the buffer pool.
    pub pages_hit: u64,
    /// Pages read from files.
    pub pages_read: u64,
    /// Pages that were clean and were changed.
    pub pages_dirtied: u64,
    /// Pages written to make room for others.
    pub pages_written: u64,
    /// Bytes read of temporary files.
    pub temp_read_bytes: u64,
    /// Bytes put into temporary files.
    pub temp_written_bytes: u64,
    /// Log records.
    pub wal_records: u64,
    /// Images of whole pages in them.
    pub wal_images: u64,
    /// Bytes of log.
    pub wal_bytes: u64,
    /// How often the log had to be written out because its buffer was full.
    pub wal_buffers_full: u64,
}

impl Usage {
    /// What came after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Usage) -> Usage {
        self.combined(earlier, u64::wrapping_sub)
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Usage) -> Usage {
        self.combined(other, u64::wrapping_add)
    }

    fn combined(self, other: Usage, with: impl Fn(u64, u64) -> u64) -> Usage {
        Usage {
            pages_hit: with(self.pages_hit, other.pages_hit),
            pages_read: with(self.pages_read, other.pages_read),
            pages_dirtied: with(self.pages_dirtied, other.pages_dirtied),
            pages_written: with(self.pages_written, other.pages_written),
            temp_read_bytes: with(self.temp_read_bytes, other.temp_read_bytes),
            temp_written_bytes: with(self.temp_written_bytes, other.temp_written_bytes),
            wal_records: with(self.wal_records, other.wal_records),
            wal_images: with(self.wal_images, other.wal_images),
            wal_bytes: with(self.wal_bytes, other.wal_bytes),
            wal_buffers_full: with(self.wal_buffers_full, other.wal_buffers_full),
        }
    }
}
