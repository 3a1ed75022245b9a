//! The write-ahead log: appending, flushing, waiting.
//!
//! # Role
//! Access methods and transactions append records; sessions wait for durability; the buffer pool waits before it
//! writes a page. Bytes go to a [`LogSink`], by default local segment files.
//!
//! # Path of a record
//! Encoded and summed without a lock; then, under the append mutex, given its position, its header sealed, copied to
//! the end of the buffer, and published. A flush takes the whole buffer away, writes it and syncs. The records' layout
//! is in `record`, that of segments in `sink`.
//!
//! # Invariants
//! - A1: positions are given, and `publish` closures run, in the order of the log.
//! - A2: the buffer holds exactly the bytes from `buffer_start` to `position`; what was taken from it is written
//!   before anything newer is.
//! - A3: whether a record carries a page's image is decided against the redo point that holds when its position is
//!   given (W3): if the redo point moved since the record was encoded, it is encoded again.
//! - A4: `flushed` never passes a byte that is not durable, and never moves again once the engine is poisoned.
//!
//! # Concurrency
//! Order: page latches, then `writing`, then `insert`. The flush queue's mutex is never held together with another.
//!
//! # Failure
//! A write or sync of the log that fails poisons the engine: all waiters and all later appends get 58030.
//!
//! # Differences
//! CRC32 (as zlib's) rather than CRC32C: crc32fast runs at 31-42 GB/s, five times what the crate crc32c reaches.

mod flush;
mod reader;
mod record;
mod sink;
mod ticket;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use ochre_base::{Error, Lsn, Result};
use ochre_env::{Env, usage};
use parking_lot::Mutex;

pub(crate) use reader::WalReader;
use record::Images;
pub(crate) use record::reseal;
pub use record::{BlockView, MAX_BLOCKS, RecordBuilder, WalRecord};
pub use sink::LogSink;
pub(crate) use sink::{SegmentFiles, WAL_DIRECTORY};
pub use ticket::DurabilityTicket;

use self::flush::{Blocked, FlushQueue, Waiter};
use crate::buffer::PageWriteGuard;
use crate::poison::Poison;

/// Whose a log record is: says which [`crate::ResourceManager`] redoes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RmgrId(pub u8);

impl RmgrId {
    /// This crate's own records: files, checkpoints, page images.
    pub const STORAGE: RmgrId = RmgrId(0);
    /// Transactions: commit, abort, prepare.
    pub const TXN: RmgrId = RmgrId(1);
    /// Heap, history and overflow pages, all-visible map.
    pub const HEAP: RmgrId = RmgrId(2);
    /// B+trees.
    pub const BTREE: RmgrId = RmgrId(3);
    /// Sequences.
    pub const SEQUENCE: RmgrId = RmgrId(4);
}

/// How a page takes part in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockFlags(pub u8);

impl BlockFlags {
    /// A change to what the page held before: redo needs the page, so an image goes along when W3 asks for it.
    pub const CHANGE: BlockFlags = BlockFlags(0);
    /// The record says all of what the page holds: redo starts from a page of zeros and never reads the old one.
    pub const INIT: BlockFlags = BlockFlags(1);
    /// A whole image always goes along (bulk builds).
    pub const IMAGE: BlockFlags = BlockFlags(2);
}

/// Where a record came to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its first byte.
    pub start: Lsn,
    /// Behind its last byte, where the next record begins. Durable when the log is flushed to here; the LSN of the
    /// pages it changed.
    pub end: Lsn,
}

/// Space that [`Wal::reserve`] promises, unless a quarter of a segment is less.
const RESERVE_BYTES: u64 = 2 << 20;

/// A flush that takes longer is left to the flusher thread: a thread that serves clients could not answer meanwhile.
const SLOW_FLUSH_NANOS: u64 = 500_000;

/// The end of the log, where records are added.
struct Insert {
    position: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
}

/// The write-ahead log: appending, flushing, waiting.
pub struct Wal {
    env: Env,
    sink: Arc<dyn LogSink>,
    poison: Arc<Poison>,
    full_page_writes: bool,
    compress_images: bool,
    fsync: bool,
    buffer_limit: usize,
    crc_seed: u32,
    incarnation: AtomicU32,
    insert: Mutex<Insert>,
    /// A copy of `insert.position` for those who only look.
    position: AtomicU64,
    redo: AtomicU64,
    flushed: AtomicU64,
    /// A spare buffer; held while what was taken from `insert` is written (A2).
    writing: Mutex<Vec<u8>>,
    queue: FlushQueue,
    /// What a flush takes, in nanoseconds: a moving average.
    flush_nanos: AtomicU64,
    /// Wakes whoever prepares segments.
    pub(crate) space_needed: crate::background::Signal,
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Wal {
    /// A log that cannot be appended to yet: recovery reads, and pages with any LSN may be written.
    pub(crate) fn new(
        env: Env,
        sink: Arc<dyn LogSink>,
        poison: Arc<Poison>,
        config: &crate::StorageConfig,
        system_identifier: u64,
    ) -> Wal {
        Wal {
            env,
            sink,
            poison,
            full_page_writes: config.full_page_writes,
            compress_images: config.compress_images,
            fsync: config.fsync,
            buffer_limit: config.wal_buffer_bytes,
            crc_seed: crc_seed(system_identifier),
            incarnation: AtomicU32::new(0),
            insert: Mutex::new(Insert { position: 0, buffer: Vec::new(), buffer_start: 0 }),
            position: AtomicU64::new(0),
            redo: AtomicU64::new(u64::MAX),
            flushed: AtomicU64::new(u64::MAX),
            writing: Mutex::default(),
            queue: FlushQueue::default(),
            flush_nanos: AtomicU64::new(SLOW_FLUSH_NANOS),
            space_needed: crate::background::Signal::default(),
        }
    }

    /// Opens the log for appending at `position`, behind everything that recovery found.
    pub(crate) fn start_at(&self, position: Lsn, redo: Lsn, incarnation: u32) {
        let mut insert = self.insert.lock();
        insert.position = position.0;
        insert.buffer_start = position.0;
        self.incarnation.store(incarnation, Ordering::Release);
        self.redo.store(redo.0, Ordering::Release);
        self.position.store(position.0, Ordering::Release);
        self.flushed.store(position.0, Ordering::Release);
    }

    /// Makes sure that records up to some hundred KiB can be appended without asking the disk for space.
    /// Call it before the first page of an operation changes. Nearly always two atomic loads.
    ///
    /// # Errors
    /// 53100 when there is no space for more log, 58030 when the engine is poisoned.
    #[inline]
    pub fn reserve(&self) -> Result<()> {
        self.poison.check()?;
        let slack = RESERVE_BYTES.min(self.sink.segment_bytes() / 4);
        if self.position().0 + slack > self.sink.prepared().0 {
            return self.make_space(slack);
        }
        Ok(())
    }

    /// Makes sure that a checkpoint's record can be appended. It may use up what [`Wal::reserve`] keeps free, since it
    /// is what gives space back when the disk is full.
    pub(crate) fn reserve_for_checkpoint(&self, record: &RecordBuilder) -> Result<()> {
        self.make_space(record.len_at_most() as u64)
    }

    #[cold]
    fn make_space(&self, bytes: u64) -> Result<()> {
        while self.position().0 + bytes > self.sink.prepared().0 {
            let prepared = self.env.wait.run(|| self.sink.prepare(true));
            prepared.inspect_err(|_| self.space_needed.raise())?;
        }
        Ok(())
    }

    /// Appends a record about `pages`, which are changed already and stay latched. Marks them dirty before (W2),
    /// decides about images (W3) and sets their LSN to the record's end.
    ///
    /// # Errors
    /// Only when the engine is poisoned: then nothing that was changed can reach disk, and no commit succeeds.
    ///
    /// # Panics
    /// When `pages` are not as many as the builder has blocks.
    pub fn append(&self, record: &RecordBuilder, pages: &mut [&mut PageWriteGuard]) -> Result<Appended> {
        Ok(self.append_with(record, pages, |_| ())?.0)
    }

    /// Like [`Wal::append`], and runs `publish` under the append lock as soon as the position is known, so that
    /// what it publishes is published in log order (A1). It must be short and must not append.
    pub fn append_with<R>(
        &self,
        record: &RecordBuilder,
        pages: &mut [&mut PageWriteGuard],
        publish: impl FnOnce(Appended) -> R,
    ) -> Result<(Appended, R)> {
        assert_eq!(record.block_count(), pages.len(), "a record is about as many pages as are given");
        self.poison.check()?;
        for page in pages.iter() {
            page.mark_dirty(); // W2
        }
        let (appended, answer, buffered, images) = SCRATCH.with_borrow_mut(|bytes| {
            loop {
                let redo = self.redo.load(Ordering::Acquire);
                let images = self.images(record, pages, redo);
                record.encode(|n| (pages[n].key(), &**pages[n]), images, bytes);
                let body_crc = record::body_crc(bytes, self.crc_seed);
                let mut insert = self.insert.lock();
                if self.redo.load(Ordering::Acquire) != redo {
                    continue; // A3
                }
                let start = Lsn(insert.position);
                let unflushed =
                    self.fsync.then(|| start.0.saturating_sub(self.flushed.load(Ordering::Relaxed)));
                record::seal(bytes, body_crc, start, self.incarnation.load(Ordering::Relaxed), unflushed);
                let appended = insert.push(bytes);
                self.position.store(appended.end.0, Ordering::Release);
                let answer = publish(appended);
                break (appended, answer, insert.buffer.len(), images);
            }
        });
        usage::wal_record(appended.end.0 - appended.start.0, images.pages.count_ones());
        for page in pages.iter_mut() {
            page.set_lsn(appended.end);
        }
        self.after_append(appended, buffered)?;
        Ok((appended, answer))
    }

    /// Which pages go along whole.
    fn images(&self, record: &RecordBuilder, pages: &[&mut PageWriteGuard], redo: u64) -> Images {
        let mut images = Images { pages: 0, compressed: self.compress_images };
        for (index, page) in pages.iter().enumerate() {
            let whole = match record.block_flags(index) {
                BlockFlags::INIT => false,
                BlockFlags::IMAGE => true,
                _ => self.full_page_writes && page.lsn().0 <= redo, // W3
            };
            images.pages |= u32::from(whole) << index;
        }
        images
    }

    fn after_append(&self, appended: Appended, buffered: usize) -> Result<()> {
        let segment = self.sink.segment_bytes();
        if appended.start.0 / segment != appended.end.0 / segment {
            self.space_needed.raise();
        }
        if buffered > self.buffer_limit {
            usage::wal_buffers_full();
            self.env.wait.run(|| self.write_out())?;
        }
        Ok(())
    }

    /// Where the next record will begin.
    pub fn position(&self) -> Lsn {
        Lsn(self.position.load(Ordering::Acquire))
    }

    /// Whether a page's LSN is beyond the log's end. Never while the end is not known yet.
    pub(crate) fn is_beyond_end(&self, lsn: Lsn) -> bool {
        lsn > self.flushed() && lsn > self.position()
    }

    /// Everything before this position is durable. One atomic load.
    pub fn flushed(&self) -> Lsn {
        Lsn(self.flushed.load(Ordering::Acquire))
    }

    /// The redo point: recovery would begin here or earlier.
    pub fn redo_point(&self) -> Lsn {
        Lsn(self.redo.load(Ordering::Acquire))
    }

    /// Moves the redo point to the log's end (the start of a checkpoint) and returns it.
    pub(crate) fn advance_redo_point(&self) -> Lsn {
        let insert = self.insert.lock();
        self.redo.store(insert.position, Ordering::Release);
        Lsn(insert.position)
    }

    /// The error that ended all writing, if there was one.
    pub fn poisoned(&self) -> Option<Error> {
        self.poison.error()
    }

    /// Waits until everything before `lsn` is durable. Whoever finds no flush running flushes for all.
    ///
    /// # Errors
    /// 58030 when the engine is poisoned: it is unknown whether the record survives.
    pub fn flush_to(&self, lsn: Lsn) -> Result<()> {
        while self.flushed() < lsn {
            self.poison.check()?;
            debug_assert!(lsn <= self.position(), "nobody waits for what is not appended");
            let mut state = self.queue.state.lock();
            if self.flushed() >= lsn {
                break;
            }
            if state.leading {
                let blocked = Blocked::new();
                state.push(lsn, Waiter::Blocked(Arc::clone(&blocked)));
                drop(state);
                self.env.wait.run(|| blocked.wait());
            } else {
                state.leading = true;
                drop(state);
                self.env.wait.run(|| self.lead(false));
            }
        }
        Ok(())
    }

    /// A future (and more) that is ready when everything before `lsn` is durable.
    pub fn ticket(self: &Arc<Self>, lsn: Lsn) -> DurabilityTicket {
        DurabilityTicket::new(Arc::clone(self), lsn)
    }

    /// Flushes while leading, then finds someone to lead if waiters are left. `is_flusher` says that the flusher
    /// thread itself leads, and will come again.
    fn lead(&self, is_flusher: bool) {
        let result = self.write_and_sync();
        let mut state = self.queue.state.lock();
        state.leading = false;
        let woken = match result {
            Ok(()) => state.take_satisfied(self.flushed()),
            Err(_) => state.take_all(),
        };
        let mut successor = None;
        if state.has_waiters() && !state.has_flusher {
            successor = Some(state.take_successor());
        } else if state.has_waiters() && !is_flusher {
            state.summoned = true;
            self.queue.flusher.notify_one();
        }
        drop(state);
        woken.wake();
        if let Some(successor) = successor {
            successor.wake();
        }
    }

    /// Writes what is buffered and makes it durable.
    fn write_and_sync(&self) -> Result<()> {
        let mut spare = self.writing.lock();
        self.poison.check()?;
        let began = self.env.clock.monotonic();
        let end = self.write_taken(&mut spare, self.fsync)?;
        self.note_flush_time(self.env.clock.monotonic().saturating_sub(began));
        self.flushed.fetch_max(end.0, Ordering::AcqRel);
        Ok(())
    }

    /// Writes what is buffered without making it durable, so that the buffer does not grow without bound.
    fn write_out(&self) -> Result<()> {
        let mut spare = self.writing.lock();
        if self.insert.lock().buffer.len() <= self.buffer_limit {
            return Ok(()); // Someone else wrote it while we waited.
        }
        self.poison.check()?;
        self.write_taken(&mut spare, false)?;
        Ok(())
    }

    /// Takes what is buffered and writes it; with `durably` it is durable then, with all that was written before.
    fn write_taken(&self, spare: &mut Vec<u8>, durably: bool) -> Result<Lsn> {
        let (start, end) = self.insert.lock().take(spare);
        if durably || !spare.is_empty() {
            let written = self.write_at(start, spare, end, durably);
            spare.clear();
            written.map_err(|error| self.poison.set(&error))?;
        }
        Ok(end)
    }

    fn write_at(&self, start: Lsn, bytes: &[u8], end: Lsn, durably: bool) -> Result<()> {
        // Appends that overran what `reserve` promised: rare, and no statement can be refused any more.
        while self.sink.prepared() < end {
            self.sink.prepare(true)?;
        }
        if durably { self.sink.write_durably(start, bytes) } else { self.sink.write(start, bytes) }
    }

    fn note_flush_time(&self, taken: Duration) {
        let before = self.flush_nanos.load(Ordering::Relaxed);
        let taken = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX);
        self.flush_nanos.store(before - before / 8 + taken / 8, Ordering::Relaxed);
    }

    /// Whether the disk is fast enough for a thread that serves clients to wait for a flush.
    pub fn flushes_fast(&self) -> bool {
        self.flush_nanos.load(Ordering::Relaxed) < SLOW_FLUSH_NANOS
    }

    /// The flusher thread: leads when it is called, or when waiters are left standing, and flushes what nobody waits
    /// for every `tick`.
    pub(crate) fn run_flusher(&self, tick: Duration) {
        let mut state = self.queue.state.lock();
        while !state.stopping {
            let timed_out = !state.summoned && self.queue.flusher.wait_for(&mut state, tick).timed_out();
            state.summoned = false;
            if state.stopping || state.leading {
                continue;
            }
            let unflushed = timed_out && self.flushed() < self.position() && self.poison.check().is_ok();
            if !state.has_waiters() && !unflushed {
                continue;
            }
            state.leading = true;
            drop(state);
            self.lead(true);
            state = self.queue.state.lock();
            // Those who came during the flush are led for at once.
            state.summoned |= state.has_waiters();
        }
    }

    /// Says, before the flusher thread starts, that it will.
    pub(crate) fn announce_flusher(&self) {
        self.queue.state.lock().has_flusher = true;
    }

    pub(crate) fn stop_flusher(&self) {
        let mut state = self.queue.state.lock();
        state.stopping = true;
        state.has_flusher = false;
        let orphans = if state.leading { None } else { Some(state.take_all()) };
        drop(state);
        self.queue.flusher.notify_all();
        // Blocked ones lead themselves, tasks flush when polled again.
        if let Some(orphans) = orphans {
            orphans.wake();
        }
    }

    /// Whether a flusher thread leads for tasks that wait.
    fn has_flusher(&self) -> bool {
        self.queue.state.lock().has_flusher
    }

    /// Registers a task for [`DurabilityTicket`]; false when it must flush itself, since nobody else will.
    fn register(&self, lsn: Lsn, waker: &std::task::Waker) -> bool {
        let mut state = self.queue.state.lock();
        if !state.has_flusher {
            return false;
        }
        if self.flushed() >= lsn || self.poison.check().is_err() {
            waker.wake_by_ref();
            return true;
        }
        let idle = !state.leading && !state.has_waiters();
        state.push(lsn, Waiter::Task(waker.clone()));
        state.summoned |= idle;
        drop(state);
        if idle {
            self.queue.flusher.notify_one();
        }
        true
    }

    /// Whether less than a segment of prepared space is ahead.
    pub(crate) fn wants_space(&self) -> bool {
        self.position().0 + self.sink.segment_bytes() > self.sink.prepared().0
    }

    pub(crate) fn sink(&self) -> &dyn LogSink {
        &*self.sink
    }
}

impl Insert {
    /// Adds a sealed record with its padding.
    fn push(&mut self, record: &[u8]) -> Appended {
        let start = self.position;
        let end = record::aligned_end(start, record.len());
        self.buffer.extend_from_slice(record);
        self.buffer.resize((end - self.buffer_start) as usize, 0);
        self.position = end;
        Appended { start: Lsn(start), end: Lsn(end) }
    }

    /// Exchanges the buffer for an empty one; returns where its bytes begin and end.
    fn take(&mut self, spare: &mut Vec<u8>) -> (Lsn, Lsn) {
        debug_assert!(spare.is_empty(), "A2: what was taken before is written");
        std::mem::swap(&mut self.buffer, spare);
        let start = std::mem::replace(&mut self.buffer_start, self.position);
        (Lsn(start), Lsn(self.position))
    }
}

/// The start value of every record's CRC: a record of another cluster never validates.
pub(crate) fn crc_seed(system_identifier: u64) -> u32 {
    (system_identifier ^ (system_identifier >> 32)) as u32
}
