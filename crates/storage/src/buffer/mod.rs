//! Buffer pool: caches pages in frames and decides which to evict.
//!
//! # Role
//! Access methods fetch pages here and change them under latches. The pool reads from and writes to relation files and
//! asks the log to be flushed before it writes a page. Frames, pins and latches are in `frame`, the page table in
//! `table`.
//!
//! # Eviction
//! A clock: the hand passes over frames and takes one that is not pinned and was not used since it passed last.
//! Frequently used pages survive up to five rounds. Scans of large relations bring a [`ScanRing`] and reuse its frames.
//! The background writer keeps frames ahead of the hand clean.
//!
//! # Invariants
//! - B1: a page is written only under its (shared) latch, from a copy that carries the checksum, after the log up to
//!   its LSN is durable (W1).
//! - B2: the dirty mark goes only under that latch, after the file is written and noted as unsynced. So a checkpoint
//!   that meets a page without the mark finds its file in the list to sync.
//! - B3: bytes that failed their check are never valid. The check is of the checksum, the header, the LSN (no
//!   flush would reach one beyond the log's end), and what the page's kind asks for
//!   ([`crate::ResourceManager::page_check`]): who fetches a page relies on that.
//! - B4: a fork's size covers a new page only once its frame can be found.
//! - B5: who brings a page into memory looks at the fork's size again once the frame can be found. So after a fork was
//!   retired (its size is zero then) and its pages were looked for and forgotten, none is or comes into memory.
//!
//! # Concurrency
//! Page latch, then shard mutex. A shard mutex is never held across I/O or a latch wait. The latch of a page that is
//! being read is held across the read: others who want the page wait for it there.
//!
//! # Failure
//! A page that cannot be read is an error of whoever fetched it (XX001, 58030); the frame is given up. A page that
//! cannot be written stays dirty, and is an error of whoever needed the frame.

mod frame;
mod ring;
mod table;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use ochre_base::limits::PAGE_SIZE;
use ochre_base::{BlockNo, Error, Fork, PageKey, Result, SqlState};
use ochre_env::{Env, usage};
use parking_lot::Mutex;

use self::frame::{Arena, Claim, DIRTY, Frame, FrameRef, PackedKey};
pub use self::frame::{PageReadGuard, PageWriteGuard, PinnedPage};
pub use self::ring::ScanRing;
use self::table::PageTable;
use crate::background::Signal;
use crate::files::{FileStore, ForkFile, ForkKey, RelationKey};
use crate::page::{Page, PageChecks};
use crate::wal::Wal;

/// The smallest pool: enough for the pages that a few operations have latched at once.
const MIN_FRAMES: usize = 16;
/// Uses that a page of a scan's ring counts at most, so that it stays easy to evict.
const RING_USAGE: u8 = 1;
/// Uses that any other page counts at most.
const NORMAL_USAGE: u8 = 5;
/// How often a thread that waits for a pin to go yields before it sleeps.
const YIELDS: u32 = 100;
/// How many dirty pages a search for a frame passes over, in the hope of a clean one.
const DIRTY_SKIPPED: usize = 32;

/// Fresh frames that a thread of recovery puts aside at a time: as many as a huge page of memory has, so that threads
/// do not wait for each other, or do the same twice, when the system fills that memory with zeros.
const FRESH_RUN_FRAMES: usize = (2 << 20) / PAGE_SIZE;
/// No run is a larger part of the pool.
const FRESH_RUN_SHARE: usize = 64;

/// Fresh frames that a thread has put aside for itself.
#[derive(Default)]
pub(crate) struct FrameStash {
    frames: Range<usize>,
}

/// What the pool did, for statistics views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStatistics {
    /// Pages read from files.
    pub reads: u64,
    /// Pages written because a frame was needed.
    pub evicted_dirty: u64,
    /// Pages written by the background writer and checkpoints.
    pub cleaned: u64,
}

/// Caches pages.
pub struct BufferPool {
    env: Env,
    arena: Arena,
    table: PageTable,
    store: Arc<FileStore>,
    wal: Arc<Wal>,
    checks: PageChecks,
    hand: AtomicUsize,
    free: Mutex<Vec<u32>>,
    reads: AtomicU64,
    evicted_dirty: AtomicU64,
    cleaned: AtomicU64,
    /// Wakes the background writer when eviction met many dirty pages.
    pub(crate) writer_needed: Signal,
}

/// What becomes of a page that fails its check or is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnDamage {
    Fail,
    Reset,
}

impl BufferPool {
    pub(crate) fn new(
        env: Env,
        bytes: usize,
        store: Arc<FileStore>,
        wal: Arc<Wal>,
        checks: PageChecks,
    ) -> BufferPool {
        let frames = (bytes / PAGE_SIZE).max(MIN_FRAMES);
        BufferPool {
            env,
            arena: Arena::new(frames),
            table: PageTable::new(frames),
            store,
            wal,
            checks,
            hand: AtomicUsize::new(0),
            free: Mutex::default(),
            reads: AtomicU64::new(0),
            evicted_dirty: AtomicU64::new(0),
            cleaned: AtomicU64::new(0),
            writer_needed: Signal::default(),
        }
    }

    /// Pins a page, reading it from disk when it is not in memory.
    ///
    /// # Errors
    /// XX001 when the page fails its check or lies behind the end of its file, 58030 when the device fails.
    #[inline]
    pub fn fetch(&self, key: PageKey) -> Result<PinnedPage> {
        let packed = PackedKey::new(key);
        if let Some(pin) = self.table.pin_at_a_glance(&self.arena, packed)
            && pin.is_valid()
        {
            pin.frame().touch(NORMAL_USAGE);
            usage::page_hit();
            return Ok(pin);
        }
        self.fetch_slowly(key, None, OnDamage::Fail)
    }

    /// Like [`BufferPool::fetch`], for a scan that reads a relation once.
    pub fn fetch_with(&self, key: PageKey, ring: &mut ScanRing) -> Result<PinnedPage> {
        let packed = PackedKey::new(key);
        if let Some(pin) = self.table.pin_at_a_glance(&self.arena, packed)
            && pin.is_valid()
        {
            pin.frame().touch(RING_USAGE);
            usage::page_hit();
            return Ok(pin);
        }
        self.fetch_slowly(key, Some(ring), OnDamage::Fail)
    }

    /// Like [`BufferPool::fetch`], but a page that fails its check or lies behind the end of its file comes back as
    /// zeros, and the file grows: for maps that are hints.
    pub fn fetch_or_reset(&self, key: PageKey) -> Result<PinnedPage> {
        let fork = self.store.fork(ForkKey::of(key))?;
        if fork.blocks() <= key.block.0 {
            fork.extend_to(key.block.0 + 1)?;
        }
        self.fetch_slowly(key, None, OnDamage::Reset)
    }

    /// In redo: latches a page whose old bytes do not matter, without reading it. The fork grows where needed.
    pub(crate) fn fetch_blank(
        &self,
        key: PageKey,
        fork: &ForkFile,
        stash: &mut FrameStash,
    ) -> Result<PageWriteGuard> {
        if fork.blocks() <= key.block.0 {
            fork.extend_to(key.block.0 + 1)?;
        }
        let packed = PackedKey::new(key);
        loop {
            let found = self.table.lock(packed).pin(&self.arena, packed);
            let pin = match found {
                Some(pin) => pin,
                None => match self.install_claimed(packed, self.find_frame_with(stash)?, None) {
                    Installed::Ours(page) => {
                        page.finish_loading();
                        return Ok(page);
                    }
                    Installed::Theirs(pin) => pin,
                },
            };
            let page = pin.write();
            if page.pin().is_valid() {
                return Ok(page);
            }
        }
    }

    /// A frame from those put aside, or any.
    fn find_frame_with(&self, stash: &mut FrameStash) -> Result<Claim> {
        if stash.frames.is_empty() {
            stash.frames = self.arena.take_fresh_run(FRESH_RUN_FRAMES.min(self.capacity() / FRESH_RUN_SHARE));
        }
        match stash.frames.next() {
            Some(index) => Ok(self.arena.frame(index).reclaim()),
            None => self.find_frame(None),
        }
    }

    /// Gives back frames that were put aside and not used.
    pub(crate) fn give_back(&self, stash: &mut FrameStash) {
        self.free.lock().extend(std::mem::take(&mut stash.frames).map(|index| index as u32));
    }

    /// In redo: checks a page that an image in the log has made.
    pub(crate) fn check_restored(&self, key: PageKey, page: &Page) -> std::result::Result<(), String> {
        self.checks.verify_restored(key, page)
    }

    /// Pins a page if it is in memory.
    pub fn fetch_cached(&self, key: PageKey) -> Option<PinnedPage> {
        self.table.pin_at_a_glance(&self.arena, PackedKey::new(key)).filter(PinnedPage::is_valid)
    }

    /// Fetches and latches for reading.
    #[inline]
    pub fn read(&self, key: PageKey) -> Result<PageReadGuard> {
        Ok(self.fetch(key)?.read())
    }

    /// Fetches and latches for writing.
    #[inline]
    pub fn write(&self, key: PageKey) -> Result<PageWriteGuard> {
        Ok(self.fetch(key)?.write())
    }

    /// Adds a page of zeros at the end of a fork, with space for it reserved on disk, latched for writing.
    /// The block number is in the guard's key. The fork's file is created when it is not there.
    ///
    /// # Errors
    /// 53100 before anything has changed.
    pub fn allocate(&self, fork: ForkKey) -> Result<PageWriteGuard> {
        self.allocate_page(fork, None)
    }

    /// Like [`BufferPool::allocate`], for a bulk write.
    pub fn allocate_with(&self, fork: ForkKey, ring: &mut ScanRing) -> Result<PageWriteGuard> {
        self.allocate_page(fork, Some(ring))
    }

    /// How many pages a fork has; zero when it has no file.
    pub fn block_count(&self, fork: ForkKey) -> Result<u32> {
        Ok(self.store.fork(fork)?.blocks())
    }

    /// How many pages the pool can hold.
    pub fn capacity(&self) -> usize {
        self.arena.capacity()
    }

    /// What the pool did since it was made.
    pub fn statistics(&self) -> PoolStatistics {
        PoolStatistics {
            reads: self.reads.load(Ordering::Relaxed),
            evicted_dirty: self.evicted_dirty.load(Ordering::Relaxed),
            cleaned: self.cleaned.load(Ordering::Relaxed),
        }
    }

    #[cold]
    fn fetch_slowly(
        &self,
        key: PageKey,
        mut ring: Option<&mut ScanRing>,
        on_damage: OnDamage,
    ) -> Result<PinnedPage> {
        let packed = PackedKey::new(key);
        loop {
            let found = self.table.lock(packed).pin(&self.arena, packed);
            let Some(pin) = found else {
                let fork = self.store.fork(ForkKey::of(key))?;
                if key.block.0 >= fork.blocks() {
                    return Err(behind_the_end(key, &fork));
                }
                match self.install(packed, ring.as_deref_mut())? {
                    Installed::Ours(page) => {
                        fence(Ordering::SeqCst);
                        if key.block.0 >= fork.blocks() {
                            self.give_up(page); // B5
                            return Err(behind_the_end(key, &fork));
                        }
                        return self.load(page, &fork, on_damage);
                    }
                    Installed::Theirs(pin) => {
                        if let Some(pin) = self.await_loaded(pin) {
                            usage::page_hit();
                            return Ok(pin);
                        }
                        continue;
                    }
                }
            };
            if let Some(pin) = self.await_loaded(pin) {
                pin.frame().touch(if ring.is_some() { RING_USAGE } else { NORMAL_USAGE });
                usage::page_hit();
                return Ok(pin);
            }
        }
    }

    /// Waits while someone else reads the page; `None` when that failed, and whoever wants it must try for himself.
    fn await_loaded(&self, pin: PinnedPage) -> Option<PinnedPage> {
        if pin.is_valid() {
            return Some(pin);
        }
        let pin = match pin.try_read() {
            Ok(page) => page.unlatch(),
            Err(pin) => self.env.wait.run(move || pin.read().unlatch()),
        };
        pin.is_valid().then_some(pin)
    }

    /// Reads and checks the page of a frame that we have just given this key.
    fn load(&self, mut page: PageWriteGuard, fork: &ForkFile, on_damage: OnDamage) -> Result<PinnedPage> {
        let key = page.key();
        self.reads.fetch_add(1, Ordering::Relaxed);
        usage::page_read();
        let mut result = fork.read(key.block.0, &mut page);
        if result.is_ok()
            && let Err(what) = self.checks.verify(key, &page).and_then(|()| self.verify_lsn(&page))
        {
            if on_damage == OnDamage::Reset {
                page.clear();
            } else {
                result = Err(invalid_page(key, fork, &what)); // B3
            }
        }
        match result {
            Ok(()) => {
                page.finish_loading();
                Ok(page.unlatch())
            }
            Err(error) => {
                self.give_up(page);
                Err(error)
            }
        }
    }

    /// A page that nobody could have logged would never be written: the log cannot be flushed so far.
    fn verify_lsn(&self, page: &Page) -> std::result::Result<(), String> {
        match self.wal.is_beyond_end(page.lsn()) {
            true => Err(format!("page has LSN {:016x}, beyond the log's end", page.lsn().0)),
            false => Ok(()),
        }
    }

    /// Takes a page that could not be loaded out of the table. Those who wait for it find it invalid.
    fn give_up(&self, page: PageWriteGuard) {
        let packed = page.frame().packed_key();
        let unlinked = self.table.lock(packed).unlink(&self.arena, packed, page.frame());
        assert!(unlinked, "F1: a pinned page stays in the table");
    }

    fn allocate_page(&self, fork: ForkKey, mut ring: Option<&mut ScanRing>) -> Result<PageWriteGuard> {
        let file = self.store.fork(fork)?;
        // The frame is found before the fork's growth is locked: eviction may have to wait for the log.
        let claim = self.find_frame(ring.as_deref_mut())?;
        let mut claim = Some(claim);
        let allocated = file.extend(|key| {
            let packed = PackedKey::new(key);
            let claim = claim.take().expect("a fork is extended once");
            match self.install_claimed(packed, claim, ring) {
                Installed::Ours(mut page) => {
                    page.clear();
                    page.finish_loading();
                    Ok(page)
                }
                // B4 keeps others from looking, and what a truncation cut off was forgotten.
                Installed::Theirs(_) => Err(Error::internal(format!("{key} is in memory before it exists"))),
            }
        });
        if let Some(claim) = claim {
            self.put_back(claim);
        }
        allocated
    }

    /// Finds a frame and gives it this key, unless another was quicker.
    fn install(&self, packed: PackedKey, mut ring: Option<&mut ScanRing>) -> Result<Installed> {
        let claim = self.find_frame(ring.as_deref_mut())?;
        Ok(self.install_claimed(packed, claim, ring))
    }

    fn install_claimed(&self, packed: PackedKey, claim: Claim, ring: Option<&mut ScanRing>) -> Installed {
        let shard = self.table.lock(packed);
        if let Some(pin) = shard.pin(&self.arena, packed) {
            drop(shard);
            self.put_back(claim);
            return Installed::Theirs(pin);
        }
        if let Some(ring) = ring {
            ring.remember(self.arena.index_of(claim.frame()) as u32, packed);
        }
        Installed::Ours(claim.assign(packed, |frame| shard.link(&self.arena, packed, frame)))
    }

    fn put_back(&self, claim: Claim) {
        let frame = claim.release();
        self.free.lock().push(self.arena.index_of(frame) as u32);
    }

    /// A frame that is ours to give a key: one of the ring's, a free one, a fresh one, or an evicted one.
    fn find_frame(&self, ring: Option<&mut ScanRing>) -> Result<Claim> {
        let fills = ring.as_ref().is_none_or(|ring| ring.fills_pool());
        if fills && let Some(claim) = self.find_unused() {
            return Ok(claim);
        }
        if let Some(claim) = ring.and_then(|ring| self.reuse(ring)) {
            return Ok(claim);
        }
        if !fills && let Some(claim) = self.find_unused() {
            return Ok(claim);
        }
        self.evict()
    }

    /// A frame that holds no page.
    fn find_unused(&self) -> Option<Claim> {
        let free = self.free.lock().pop();
        if let Some(index) = free {
            return Some(self.arena.frame(index as usize).reclaim());
        }
        self.arena.take_fresh()
    }

    /// The ring's oldest frame, if only the ring uses it and its page can be written without waiting for the log.
    fn reuse(&self, ring: &ScanRing) -> Option<Claim> {
        let (index, packed) = ring.oldest()?;
        let frame = self.arena.frame(index as usize);
        if frame.packed_key() != packed || frame.usage() > RING_USAGE || Frame::is_pinned(frame.state()) {
            return None;
        }
        let pin = frame.try_pin()?;
        if pin.is_dirty() {
            let page = pin.try_read().ok()?;
            if page.lsn() > self.wal.flushed() {
                return None;
            }
            self.write_latched(&page).ok()?;
            return self.claim(page.unlatch());
        }
        self.claim(pin)
    }

    /// Runs the clock until a frame can be claimed.
    fn evict(&self) -> Result<Claim> {
        let frames = self.arena.len();
        let mut dirty_skipped = 0;
        let mut last_error = None;
        // Five rounds cool every frame down, the sixth finds one, unless all are pinned; a few more for bad luck.
        for _ in 0..frames * 12 {
            let frame = self.arena.frame(self.hand.fetch_add(1, Ordering::Relaxed) % frames);
            let state = frame.state();
            if Frame::is_pinned(state) || state & frame::CLAIMED != 0 || !frame.cool_down() {
                continue;
            }
            if state & DIRTY != 0 && dirty_skipped < DIRTY_SKIPPED.min(frames / 4) {
                dirty_skipped += 1;
                if dirty_skipped == DIRTY_SKIPPED / 2 {
                    self.writer_needed.raise();
                }
                continue;
            }
            match self.evict_frame(frame) {
                Ok(Some(claim)) => return Ok(claim),
                Ok(None) => {}
                Err(error) => last_error = Some(error),
            }
            // A frame may have come free meanwhile.
            let free = self.free.lock().pop();
            if let Some(index) = free {
                return Ok(self.arena.frame(index as usize).reclaim());
            }
        }
        Err(last_error.unwrap_or_else(|| {
            let message = format!("no unpinned buffers available among {frames}");
            Error::new(SqlState::INSUFFICIENT_RESOURCES, message).hint("Raise shared_buffers.")
        }))
    }

    fn evict_frame(&self, frame: FrameRef) -> Result<Option<Claim>> {
        let Some(pin) = frame.try_pin() else { return Ok(None) };
        if !pin.is_dirty() {
            return Ok(self.claim(pin));
        }
        // Waiting for a latch here could close a circle with someone who waits for a frame: pass on instead.
        let Ok(page) = pin.try_read() else { return Ok(None) };
        self.evicted_dirty.fetch_add(1, Ordering::Relaxed);
        usage::page_written();
        self.write_latched(&page)?;
        Ok(self.claim(page.unlatch()))
    }

    /// Takes a clean page that only we have pinned out of the table.
    fn claim(&self, pin: PinnedPage) -> Option<Claim> {
        let frame = pin.frame();
        let packed = frame.packed_key();
        let shard = self.table.lock(packed);
        let claim = frame.claim(pin).ok()?;
        // Not there when its load failed.
        shard.unlink(&self.arena, packed, frame);
        Some(claim)
    }

    /// Writes a page that is latched (B1) and takes its dirty mark (B2).
    fn write_latched(&self, page: &PageReadGuard) -> Result<()> {
        let pin: &PinnedPage = page.pin();
        if !pin.is_dirty() {
            return Ok(());
        }
        let key = page.key();
        self.wal.flush_to(page.lsn())?; // W1
        let mut copy = Page::clone(page);
        copy.seal(key);
        self.store.fork(ForkKey::of(key))?.write(key.block.0, &copy)?;
        pin.frame().clear_dirty();
        Ok(())
    }

    /// The dirty pages, in the order of their files, for a checkpoint.
    pub(crate) fn dirty_pages(&self) -> Vec<PageKey> {
        let mut keys = Vec::new();
        for index in 0..self.arena.len() {
            let frame = self.arena.frame(index);
            if frame.state() & DIRTY == 0 {
                continue;
            }
            if let Some(pin) = frame.try_pin()
                && pin.is_dirty()
            {
                keys.push(pin.key());
            }
        }
        keys.sort_unstable();
        keys
    }

    /// Writes a page if it is in memory and dirty; says whether it did.
    pub(crate) fn clean(&self, key: PageKey) -> Result<bool> {
        let packed = PackedKey::new(key);
        let found = self.table.lock(packed).pin(&self.arena, packed);
        let Some(pin) = found else { return Ok(false) };
        if !pin.is_dirty() {
            return Ok(false);
        }
        self.write_latched(&pin.read())?;
        self.cleaned.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    /// The background writer's round: cleans up to `limit` pages that the hand will meet soon and that are unused.
    pub(crate) fn clean_ahead(&self, limit: usize) -> Result<usize> {
        let frames = self.arena.len();
        if frames < self.arena.capacity() {
            return Ok(0); // Nothing is evicted yet.
        }
        let mut cleaned = 0;
        let hand = self.hand.load(Ordering::Relaxed);
        for ahead in 0..(frames / 4).min(limit * 8) {
            let frame = self.arena.frame((hand + ahead) % frames);
            let state = frame.state();
            if state & DIRTY == 0 || Frame::is_pinned(state) || frame.usage() > 0 {
                continue;
            }
            let Some(pin) = frame.try_pin() else { continue };
            let Ok(page) = pin.try_read() else { continue };
            self.write_latched(&page)?;
            self.cleaned.fetch_add(1, Ordering::Relaxed);
            cleaned += 1;
            if cleaned == limit {
                break;
            }
        }
        Ok(cleaned)
    }

    /// Forgets all pages of a relation that is retired, changed or not (B5). `sizes` says how many its forks had.
    pub(crate) fn forget_relation(&self, relation: RelationKey, sizes: [u32; 4]) {
        // Pairs with the fence of who has just found a frame for a page.
        fence(Ordering::SeqCst);
        let forks = Fork::ALL.map(|fork| relation.fork(fork));
        let total = sizes.iter().fold(0, |sum: u32, blocks| sum.saturating_add(*blocks));
        if total as usize > self.arena.len() / 8 {
            return self.forget(|key| ForkKey::of(key).relation == relation);
        }
        // B4: nothing beyond the forks' sizes is in memory.
        for (fork, blocks) in forks.into_iter().zip(sizes) {
            for block in 0..blocks {
                self.forget_page(fork.page(BlockNo(block)));
            }
        }
    }

    /// Forgets the pages of a fork from `first` on.
    pub(crate) fn forget_pages(&self, fork: ForkKey, first: u32) {
        self.forget(|key| ForkKey::of(key) == fork && key.block >= BlockNo(first));
    }

    fn forget(&self, concerned: impl Fn(PageKey) -> bool) {
        for index in 0..self.arena.len() {
            let frame = self.arena.frame(index);
            if frame.state() & frame::CLAIMED == 0 && concerned(frame.key()) {
                self.forget_page(frame.key());
            }
        }
    }

    /// Forgets a page. Waits for those who have it pinned: they write it back or are about to look away.
    fn forget_page(&self, key: PageKey) {
        let packed = PackedKey::new(key);
        let mut attempts = 0;
        loop {
            let shard = self.table.lock(packed);
            let Some(pin) = shard.pin(&self.arena, packed) else { return };
            let frame = pin.frame();
            match frame.claim_dirty(pin) {
                Ok(claim) => {
                    shard.unlink(&self.arena, packed, frame);
                    drop(shard);
                    return self.put_back(claim);
                }
                Err(pin) => {
                    drop(shard);
                    drop(pin);
                }
            }
            attempts += 1;
            if attempts < YIELDS {
                std::thread::yield_now();
            } else {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
}

enum Installed {
    Ours(PageWriteGuard),
    Theirs(PinnedPage),
}

#[cold]
fn behind_the_end(key: PageKey, fork: &ForkFile) -> Error {
    Error::corrupt(format!(
        "could not read block {} in file \"{}\": it has {} blocks",
        key.block,
        fork.name(),
        fork.blocks()
    ))
}

#[cold]
fn invalid_page(key: PageKey, fork: &ForkFile, what: &str) -> Error {
    Error::corrupt(format!("invalid page in block {} of relation \"{}\"", key.block, fork.name()))
        .detail(format!("The {what}."))
}
