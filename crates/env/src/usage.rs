//! What each thread has taken of pages, log and temporary files, for EXPLAIN.
//!
//! # Role
//! A statement runs on one thread, so what it took is the difference of two readings ([`now`]). Counting is an addition to
//! a thread-local cell without a destructor: cheap enough to be always on.

use std::cell::Cell;

use ochre_base::Usage;

#[derive(Debug)]
struct Counters {
    pages_hit: Cell<u64>,
    pages_read: Cell<u64>,
    pages_dirtied: Cell<u64>,
    pages_written: Cell<u64>,
    temp_read_bytes: Cell<u64>,
    temp_written_bytes: Cell<u64>,
    wal_records: Cell<u64>,
    wal_images: Cell<u64>,
    wal_bytes: Cell<u64>,
    wal_buffers_full: Cell<u64>,
}

thread_local! {
    static COUNTERS: Counters = const {
        Counters {
            pages_hit: Cell::new(0),
            pages_read: Cell::new(0),
            pages_dirtied: Cell::new(0),
            pages_written: Cell::new(0),
            temp_read_bytes: Cell::new(0),
            temp_written_bytes: Cell::new(0),
            wal_records: Cell::new(0),
            wal_images: Cell::new(0),
            wal_bytes: Cell::new(0),
            wal_buffers_full: Cell::new(0),
        }
    };
}

#[inline]
fn add(counter: &Cell<u64>, by: u64) {
    counter.set(counter.get().wrapping_add(by));
}

/// A page was found in the pool.
#[inline]
pub fn page_hit() {
    COUNTERS.with(|counters| add(&counters.pages_hit, 1));
}

/// A page was read from its file.
pub fn page_read() {
    COUNTERS.with(|counters| add(&counters.pages_read, 1));
}

/// A clean page is about to change.
#[inline]
pub fn page_dirtied() {
    COUNTERS.with(|counters| add(&counters.pages_dirtied, 1));
}

/// A page was written so that its frame could be used.
pub fn page_written() {
    COUNTERS.with(|counters| add(&counters.pages_written, 1));
}

/// So many bytes were read of a temporary file.
pub fn temp_read(bytes: u64) {
    COUNTERS.with(|counters| add(&counters.temp_read_bytes, bytes));
}

/// So many bytes were put into a temporary file.
pub fn temp_written(bytes: u64) {
    COUNTERS.with(|counters| add(&counters.temp_written_bytes, bytes));
}

/// A record was added to the log.
#[inline]
pub fn wal_record(bytes: u64, images: u32) {
    COUNTERS.with(|counters| {
        add(&counters.wal_records, 1);
        add(&counters.wal_bytes, bytes);
        add(&counters.wal_images, u64::from(images));
    });
}

/// The log's buffer was full.
pub fn wal_buffers_full() {
    COUNTERS.with(|counters| add(&counters.wal_buffers_full, 1));
}

/// What this thread has taken since it began.
pub fn now() -> Usage {
    COUNTERS.with(|counters| Usage {
        pages_hit: counters.pages_hit.get(),
        pages_read: counters.pages_read.get(),
        pages_dirtied: counters.pages_dirtied.get(),
        pages_written: counters.pages_written.get(),
        temp_read_bytes: counters.temp_read_bytes.get(),
        temp_written_bytes: counters.temp_written_bytes.get(),
        wal_records: counters.wal_records.get(),
        wal_images: counters.wal_images.get(),
        wal_bytes: counters.wal_bytes.get(),
        wal_buffers_full: counters.wal_buffers_full.get(),
    })
}
