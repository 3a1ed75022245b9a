//! How often a table or an index was scanned, and how many rows that gave: for statistics.
//!
//! Counted once a scan or a batch, never once a row.

use std::sync::atomic::{AtomicU64, Ordering};

/// Scans of one relation since the start.
#[derive(Debug, Default)]
pub struct ScanCounts {
    scans: AtomicU64,
    rows: AtomicU64,
}

impl ScanCounts {
    /// A scan begins.
    #[inline]
    pub fn begun(&self) {
        self.scans.fetch_add(1, Ordering::Relaxed);
    }

    /// A scan has read rows, or entries.
    #[inline]
    pub fn read(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Goes on from what was counted of the file that this one takes the place of.
    pub fn go_on_from(&self, before: &ScanCounts) {
        let (scans, rows) = before.totals();
        self.scans.fetch_add(scans, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Scans, and what they have read.
    pub fn totals(&self) -> (u64, u64) {
        (self.scans.load(Ordering::Relaxed), self.rows.load(Ordering::Relaxed))
    }
}
