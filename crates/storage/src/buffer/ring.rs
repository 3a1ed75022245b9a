//! Rings: a few frames that a one-pass scan or bulk write reuses.

use super::frame::PackedKey;

/// 256 KiB: what a scan touches fits into the processor's cache, and leaves the pool alone.
const BULK_READ_FRAMES: usize = 32;
/// 4 MiB: pages are dirty, so there must be time for the log to be flushed before a frame comes round again.
const BULK_WRITE_FRAMES: usize = 512;

/// A small set of frames that a one-pass scan or bulk write reuses, so that it does not push everything else out.
pub struct ScanRing {
    capacity: usize,
    frames: Vec<(u32, PackedKey)>,
    next: usize,
    reads: bool,
}

impl ScanRing {
    /// For reading a relation once.
    #[must_use]
    pub fn bulk_read() -> ScanRing {
        ScanRing { capacity: BULK_READ_FRAMES, frames: Vec::new(), next: 0, reads: true }
    }

    /// For writing a relation once (COPY, index builds).
    #[must_use]
    pub fn bulk_write() -> ScanRing {
        ScanRing { capacity: BULK_WRITE_FRAMES, frames: Vec::new(), next: 0, reads: false }
    }

    /// Whether frames that hold nothing are taken before its own: what is read fills the pool as long as that pushes
    /// nothing out.
    pub(super) fn fills_pool(&self) -> bool {
        self.reads
    }

    /// The frame whose turn it is, with the page that it held for us.
    pub(super) fn oldest(&self) -> Option<(u32, PackedKey)> {
        if self.frames.len() < self.capacity { None } else { Some(self.frames[self.next]) }
    }

    /// Notes a frame that now holds a page for us.
    pub(super) fn remember(&mut self, frame: u32, key: PackedKey) {
        if self.frames.len() < self.capacity {
            self.frames.push((frame, key));
            return;
        }
        self.frames[self.next] = (frame, key);
        self.next = (self.next + 1) % self.capacity;
    }
}
