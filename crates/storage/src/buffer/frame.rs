//! Frames: the memory of the pool, pins and latches, and the guards that own them.
//!
//! # States of a frame
//! ```text
//! fresh ──initialize──> claimed ──assign──> loading ──finish_loading──> valid <──mark_dirty/clear_dirty──> dirty
//!                          ^                   │ (load failed: unlinked)   │
//!                          └──────claim────────┴───────────────────────────┘
//! ```
//!
//! # Invariants
//! - F1: a frame's key changes only while it is claimed, and it is claimed only when nobody has it pinned. So a pin
//!   taken on a frame that is not claimed keeps the key.
//! - F2: the page's bytes are read only under the latch, and changed only under the exclusive latch.
//! - F3: a latch is held only by someone who has a pin, and is given back before the pin.
//! - F4: flags change by atomic read-modify-write only, because passers-by pin and unpin claimed frames for an instant.
//! - F5: the memory is freed only when no pin is left; guards that outlive the pool keep (leak) it.
//!
//! # Concurrency
//! A hit is: one probe of the page table, one `fetch_add` (pin), one compare-exchange (latch). Nothing global.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use ochre_base::{BlockNo, FileId, Fork, Oid, PageKey};
use parking_lot::RawRwLock;
use parking_lot::lock_api::{RawRwLock as _, RawRwLockDowngrade as _};

use crate::page::Page;

/// One pin in a frame's state.
const PIN: u32 = 1;
/// The bits of the state that count pins.
const PINS: u32 = (1 << 20) - 1;
/// The page's bytes are there.
pub(super) const VALID: u32 = 1 << 20;
/// The page's bytes are newer than the file's.
pub(super) const DIRTY: u32 = 1 << 21;
/// The frame belongs to whoever claimed it (or to the free list): a pin found with this bit must be given back.
pub(super) const CLAIMED: u32 = 1 << 22;

/// How often the clock's hand must pass before an unused frame is evicted, at most.
const MAX_USAGE: u8 = 5;

/// Bookkeeping of one page's place in memory.
#[repr(align(64))]
pub(super) struct Frame {
    state: AtomicU32,
    /// Next frame of the same bucket of the page table, as index plus one.
    pub(super) next: AtomicU32,
    usage: AtomicU8,
    latch: RawRwLock,
    key: [AtomicU64; 2],
}

/// A page's address in two words, as frames keep it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct PackedKey([u64; 2]);

impl PackedKey {
    pub(super) fn new(key: PageKey) -> PackedKey {
        debug_assert!(key.file.0 < 1 << 62, "file ids stay below 2^62");
        let block = (u64::from(key.database.0) << 32) | u64::from(key.block.0);
        PackedKey([(key.file.0 << 2) | key.fork as u64, block])
    }

    fn unpack(self) -> PageKey {
        PageKey {
            database: Oid((self.0[1] >> 32) as u32),
            file: FileId(self.0[0] >> 2),
            fork: Fork::from_u8((self.0[0] & 3) as u8).expect("two bits name a fork"),
            block: BlockNo(self.0[1] as u32),
        }
    }

    pub(super) fn hash(self) -> u64 {
        let mixed =
            (self.0[0].wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.0[1]).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^ (mixed >> 32)
    }
}

impl Frame {
    fn claimed() -> Frame {
        Frame {
            state: AtomicU32::new(CLAIMED | PIN),
            next: AtomicU32::new(0),
            usage: AtomicU8::new(0),
            latch: RawRwLock::INIT,
            key: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }

    pub(super) fn packed_key(&self) -> PackedKey {
        PackedKey([self.key[0].load(Ordering::Relaxed), self.key[1].load(Ordering::Relaxed)])
    }

    pub(super) fn key(&self) -> PageKey {
        self.packed_key().unpack()
    }

    pub(super) fn state(&self) -> u32 {
        self.state.load(Ordering::Acquire)
    }

    pub(super) fn is_pinned(state: u32) -> bool {
        state & PINS != 0
    }

    /// Counts a use for the clock.
    pub(super) fn touch(&self, limit: u8) {
        let usage = self.usage.load(Ordering::Relaxed);
        if usage < limit.min(MAX_USAGE) {
            self.usage.store(usage + 1, Ordering::Relaxed);
        }
    }

    /// The clock's hand passes: true when the frame has not been used lately.
    pub(super) fn cool_down(&self) -> bool {
        let usage = self.usage.load(Ordering::Relaxed);
        if usage == 0 {
            return true;
        }
        self.usage.store(usage - 1, Ordering::Relaxed);
        false
    }

    pub(super) fn usage(&self) -> u8 {
        self.usage.load(Ordering::Relaxed)
    }
}

/// A frame and its page. Whoever has one got it from an [`Arena`] that is still there, or has a pin (F5).
#[derive(Clone, Copy)]
pub(super) struct FrameRef {
    frame: NonNull<Frame>,
    page: NonNull<UnsafeCell<Page>>,
}

// SAFETY: a FrameRef is only an address. The frame consists of atomics and a raw latch, both usable from any thread
// (parking_lot's raw lock may be released by another thread than the one that took it), and the page's bytes are
// accessed only through guards that hold the latch (F2).
unsafe impl Send for FrameRef {}
// SAFETY: as above.
unsafe impl Sync for FrameRef {}

impl Deref for FrameRef {
    type Target = Frame;

    fn deref(&self) -> &Frame {
        // SAFETY: the arena initialized the frame before handing out a reference, and keeps it while it exists or any
        // pin is left (F5).
        unsafe { self.frame.as_ref() }
    }
}

impl FrameRef {
    /// Pins the frame if it is not claimed; the caller checks the key afterwards (F1).
    pub(super) fn try_pin(self) -> Option<PinnedPage> {
        let old = self.state.fetch_add(PIN, Ordering::Acquire);
        debug_assert!(old & PINS < PINS, "pins overflow");
        if old & CLAIMED != 0 {
            self.unpin();
            return None;
        }
        Some(PinnedPage { frame: self })
    }

    fn unpin(self) {
        self.state.fetch_sub(PIN, Ordering::Release);
    }

    /// Turns the only pin on a clean frame into a claim. Gives the pin back when someone else pins or dirtied it.
    pub(super) fn claim(self, pin: PinnedPage) -> Result<Claim, PinnedPage> {
        debug_assert!(pin.frame.frame == self.frame);
        let state = self.state.load(Ordering::Relaxed);
        if state & PINS != PIN || state & (DIRTY | CLAIMED) != 0 {
            return Err(pin);
        }
        let claimed = CLAIMED | PIN;
        if self.state.compare_exchange(state, claimed, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return Err(pin);
        }
        std::mem::forget(pin);
        Ok(Claim { frame: self })
    }

    /// Turns the only pin into a claim even if the page is dirty: its bytes are to be forgotten.
    pub(super) fn claim_dirty(self, pin: PinnedPage) -> Result<Claim, PinnedPage> {
        let state = self.state.load(Ordering::Relaxed);
        if state & PINS != PIN || state & CLAIMED != 0 {
            return Err(pin);
        }
        if self.state.compare_exchange(state, CLAIMED | PIN, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return Err(pin);
        }
        std::mem::forget(pin);
        Ok(Claim { frame: self })
    }

    /// Takes over a frame from the free list, where it lies claimed and without the owner's pin.
    pub(super) fn reclaim(self) -> Claim {
        let old = self.state.fetch_add(PIN, Ordering::Acquire);
        assert!(old & CLAIMED != 0, "F1: a free frame is claimed");
        Claim { frame: self }
    }

    pub(super) fn clear_dirty(self) {
        self.state.fetch_and(!DIRTY, Ordering::Release);
    }
}

/// The right to give a frame another key. Nobody else uses the frame.
pub(super) struct Claim {
    frame: FrameRef,
}

impl Claim {
    pub(super) fn frame(&self) -> FrameRef {
        self.frame
    }

    /// Gives the frame a key and its bytes a value to come; others may find it from now on but wait for the latch.
    /// `link` puts it into the page table, whose shard the caller has locked.
    pub(super) fn assign(self, key: PackedKey, link: impl FnOnce(FrameRef)) -> PageWriteGuard {
        let frame = self.frame;
        assert!(frame.latch.try_lock_exclusive(), "F3: the latch of a claimed frame is free");
        frame.key[0].store(key.0[0], Ordering::Relaxed);
        frame.key[1].store(key.0[1], Ordering::Relaxed);
        frame.usage.store(1, Ordering::Relaxed);
        link(frame);
        let old = frame.state.fetch_and(!(CLAIMED | VALID | DIRTY), Ordering::Release);
        assert!(old & CLAIMED != 0, "F1: only a claimed frame gets a key");
        PageWriteGuard { pin: ManuallyDrop::new(PinnedPage { frame }) }
    }

    /// Leaves the frame, still claimed, to the free list.
    pub(super) fn release(self) -> FrameRef {
        self.frame.usage.store(0, Ordering::Relaxed);
        self.frame.unpin();
        self.frame
    }
}

/// The memory of all frames. Pages and frames are touched only when first used, so a large pool costs nothing to make.
pub(super) struct Arena {
    frames: NonNull<Frame>,
    pages: NonNull<UnsafeCell<Page>>,
    /// Where the two allocations begin, to give them back.
    allocations: [(NonNull<u8>, Layout); 2],
    capacity: usize,
    initialized: AtomicUsize,
    growing: parking_lot::Mutex<()>,
}

// SAFETY: see FrameRef; `initialized` and the mutex order the making of frames.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    pub(super) fn new(capacity: usize) -> Arena {
        assert!(capacity > 0 && capacity < u32::MAX as usize, "a pool has between one and 2^32 - 2 frames");
        let (frames, frame_allocation) = allocate::<Frame>(capacity, align_of::<Frame>());
        let (pages, page_allocation) = allocate::<UnsafeCell<Page>>(capacity, page_alignment(capacity));
        Arena {
            frames,
            pages,
            allocations: [frame_allocation, page_allocation],
            capacity,
            initialized: AtomicUsize::new(0),
            growing: parking_lot::Mutex::new(()),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many frames have been used at least once.
    pub(super) fn len(&self) -> usize {
        self.initialized.load(Ordering::Acquire)
    }

    /// A frame that was never used, if there is one.
    pub(super) fn take_fresh(&self) -> Option<Claim> {
        if self.len() == self.capacity {
            return None;
        }
        let _growing = self.growing.lock();
        let index = self.len();
        if index == self.capacity {
            return None;
        }
        // SAFETY: index < capacity, the memory is ours and no reference to this frame exists before `initialized`
        // covers it.
        unsafe { self.frames.add(index).write(Frame::claimed()) };
        self.initialized.store(index + 1, Ordering::Release);
        Some(Claim { frame: self.frame(index) })
    }

    /// Frames that were never used, `count` or fewer, to be [reclaimed](FrameRef::reclaim) one by one.
    pub(super) fn take_fresh_run(&self, count: usize) -> Range<usize> {
        let _growing = self.growing.lock();
        let start = self.len();
        let end = (start + count).min(self.capacity);
        for index in start..end {
            let frame = Frame::claimed();
            frame.state.store(CLAIMED, Ordering::Relaxed);
            // SAFETY: index < capacity, the memory is ours and no reference to this frame exists before `initialized`
            // covers it.
            unsafe { self.frames.add(index).write(frame) };
        }
        self.initialized.store(end, Ordering::Release);
        start..end
    }

    /// The frame with this index.
    pub(super) fn frame(&self, index: usize) -> FrameRef {
        assert!(index < self.len(), "frame {index} is not in use yet");
        // SAFETY: index < capacity, so both addresses lie in their allocations.
        unsafe { FrameRef { frame: self.frames.add(index), page: self.pages.add(index) } }
    }

    pub(super) fn index_of(&self, frame: FrameRef) -> usize {
        (frame.frame.as_ptr() as usize - self.frames.as_ptr() as usize) / size_of::<Frame>()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let pinned = (0..self.len()).any(|i| Frame::is_pinned(self.frame(i).state()));
        if pinned {
            return; // F5
        }
        for (start, layout) in self.allocations {
            // SAFETY: allocated with this layout; no pin is left, and without a pin nobody can make a new one since
            // the pool, which owns the arena, is gone. Frames need no drop: they are atomics and a raw latch.
            unsafe { dealloc(start.as_ptr(), layout) };
        }
    }
}

/// Where pages begin: in a pool of some size with a huge page of memory.
fn page_alignment(capacity: usize) -> usize {
    if capacity < 4096 { 4096 } else { 2 << 20 }
}

/// Memory of zeros for `count` values, the first at a multiple of `align`, and the allocation that it lies in.
///
/// The allocation itself asks for the smallest alignment: with a larger one the standard allocator fills the memory
/// with zeros by hand (half a second for a GiB) instead of taking it untouched from the system.
fn allocate<T>(count: usize, align: usize) -> (NonNull<T>, (NonNull<u8>, Layout)) {
    let bytes = count.checked_mul(size_of::<T>()).expect("the pool fits into the address space");
    let layout = Layout::from_size_align(bytes + align, 16).expect("the pool fits into the address space");
    // SAFETY: the layout is not empty, since `align` is not zero.
    let Some(start) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
    let padding = start.as_ptr().addr().next_multiple_of(align) - start.as_ptr().addr();
    // SAFETY: padding < align, so `bytes` bytes are left behind it in the allocation.
    let first = unsafe { start.add(padding) };
    (first.cast(), (start, layout))
}

/// A page that cannot be evicted while this lives. It is not latched: its bytes may change.
/// Owns its pin, borrows nothing, and may move between threads.
pub struct PinnedPage {
    frame: FrameRef,
}

/// A page latched for reading: nobody changes it. Owns its pin.
pub struct PageReadGuard {
    pin: ManuallyDrop<PinnedPage>,
}

/// A page latched for writing: nobody else sees it. Owns its pin.
pub struct PageWriteGuard {
    pin: ManuallyDrop<PinnedPage>,
}

impl PinnedPage {
    /// The page's address.
    pub fn key(&self) -> PageKey {
        self.frame.key()
    }

    /// Latches for reading, waiting for a writer. Latches are fair, so a thread that latches a page twice may wait for
    /// itself, even if both times for reading.
    pub fn read(self) -> PageReadGuard {
        self.frame.latch.lock_shared();
        PageReadGuard { pin: ManuallyDrop::new(self) }
    }

    /// Latches for writing, waiting for readers and a writer.
    pub fn write(self) -> PageWriteGuard {
        self.frame.latch.lock_exclusive();
        PageWriteGuard { pin: ManuallyDrop::new(self) }
    }

    /// Latches for reading if no writer is there; gives the pin back otherwise.
    pub fn try_read(self) -> Result<PageReadGuard, PinnedPage> {
        if self.frame.latch.try_lock_shared() {
            return Ok(PageReadGuard { pin: ManuallyDrop::new(self) });
        }
        Err(self)
    }

    /// Latches for writing if nobody is there; gives the pin back otherwise.
    pub fn try_write(self) -> Result<PageWriteGuard, PinnedPage> {
        if self.frame.latch.try_lock_exclusive() {
            return Ok(PageWriteGuard { pin: ManuallyDrop::new(self) });
        }
        Err(self)
    }

    pub(super) fn frame(&self) -> FrameRef {
        self.frame
    }

    pub(super) fn is_valid(&self) -> bool {
        self.frame.state() & VALID != 0
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.frame.state() & DIRTY != 0
    }
}

impl Clone for PinnedPage {
    fn clone(&self) -> PinnedPage {
        // F1: there is a pin already, so the frame is not claimed.
        self.frame.state.fetch_add(PIN, Ordering::Relaxed);
        PinnedPage { frame: self.frame }
    }
}

impl Drop for PinnedPage {
    fn drop(&mut self) {
        self.frame.unpin();
    }
}

impl PageReadGuard {
    /// The page's address.
    pub fn key(&self) -> PageKey {
        self.pin.key()
    }

    pub(super) fn pin(&self) -> &PinnedPage {
        &self.pin
    }

    /// Gives the latch back and keeps the pin.
    pub fn unlatch(self) -> PinnedPage {
        // SAFETY: this guard holds the shared latch, and being forgotten does not give it back again.
        unsafe { self.pin.frame.latch.unlock_shared() };
        let mut guard = ManuallyDrop::new(self);
        // SAFETY: the guard is never used or dropped again.
        unsafe { ManuallyDrop::take(&mut guard.pin) }
    }
}

impl PageWriteGuard {
    /// The page's address.
    pub fn key(&self) -> PageKey {
        self.pin.key()
    }

    /// Gives the latch back and keeps the pin.
    pub fn unlatch(self) -> PinnedPage {
        // SAFETY: this guard holds the exclusive latch, and being forgotten does not give it back again.
        unsafe { self.pin.frame.latch.unlock_exclusive() };
        self.into_pin()
    }

    /// Lets other readers in and goes on as a reader.
    pub fn downgrade(self) -> PageReadGuard {
        // SAFETY: this guard holds the exclusive latch; the new one gives back the shared one.
        unsafe { self.pin.frame.latch.downgrade() };
        PageReadGuard { pin: ManuallyDrop::new(self.into_pin()) }
    }

    /// Marks a page dirty whose change is not logged: only for maps that are hints. [`crate::Wal::append`] marks the
    /// pages of its record itself.
    pub fn mark_dirty_unlogged(&mut self) {
        self.mark_dirty();
    }

    pub(crate) fn mark_dirty(&self) {
        // A hot page is dirty already: look before taking the cache line for writing.
        if self.pin.frame.state.load(Ordering::Relaxed) & DIRTY == 0 {
            self.pin.frame.state.fetch_or(DIRTY, Ordering::AcqRel);
            ochre_env::usage::page_dirtied();
        }
    }

    /// The bytes are there: those who wait for the latch may use them.
    pub(super) fn finish_loading(&self) {
        self.pin.frame.state.fetch_or(VALID, Ordering::Release);
    }

    pub(super) fn frame(&self) -> FrameRef {
        self.pin.frame
    }

    pub(super) fn pin(&self) -> &PinnedPage {
        &self.pin
    }

    fn into_pin(self) -> PinnedPage {
        let mut guard = ManuallyDrop::new(self);
        // SAFETY: the guard is never used or dropped again.
        unsafe { ManuallyDrop::take(&mut guard.pin) }
    }
}

impl Deref for PageReadGuard {
    type Target = Page;

    fn deref(&self) -> &Page {
        // SAFETY: the shared latch keeps writers away (F2); the pin keeps the memory (F5).
        unsafe { &*self.pin.frame.page.as_ref().get() }
    }
}

impl Deref for PageWriteGuard {
    type Target = Page;

    fn deref(&self) -> &Page {
        // SAFETY: the exclusive latch keeps all others away (F2); the pin keeps the memory (F5).
        unsafe { &*self.pin.frame.page.as_ref().get() }
    }
}

impl DerefMut for PageWriteGuard {
    fn deref_mut(&mut self) -> &mut Page {
        // SAFETY: the exclusive latch keeps all others away (F2), and `&mut self` other uses of this guard.
        unsafe { &mut *self.pin.frame.page.as_ref().get() }
    }
}

impl Drop for PageReadGuard {
    fn drop(&mut self) {
        // SAFETY: this guard holds the shared latch; the pin goes after it (F3) and is not used again.
        unsafe {
            self.pin.frame.latch.unlock_shared();
            ManuallyDrop::drop(&mut self.pin);
        }
    }
}

impl Drop for PageWriteGuard {
    fn drop(&mut self) {
        // SAFETY: this guard holds the exclusive latch; the pin goes after it (F3) and is not used again.
        unsafe {
            self.pin.frame.latch.unlock_exclusive();
            ManuallyDrop::drop(&mut self.pin);
        }
    }
}
