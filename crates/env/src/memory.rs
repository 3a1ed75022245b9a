//! How much memory a thread's work takes, and where it has to stop.
//!
//! # Role
//! A statement runs on one thread, or on some that add up what each has taken ([`taken`], [`left`], [`adopt`]). The
//! binary's allocator is wrapped in [`Counting`], which adds up what the thread has taken and given back. Whoever starts a
//! piece of work says how much more it may take ([`Budget::begin`]); whoever does it asks now and then whether it is
//! beyond that ([`exceeded`]): the same places that look for a cancelled statement. So a query that gathers without bound,
//! wherever it does so, fails by itself before the process does.
//!
//! # Invariants
//! - A1: the counters are plain thread-local cells without a destructor, so that the allocator may touch them at any time
//!   in a thread's life.
//!
//! # Differences
//! Memory that one thread takes and another gives back counts for the first until its budget ends; buffers shared by all
//! sessions are taken before. A library's user who has another allocator has no limit here.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

thread_local! {
    /// Bytes taken less bytes given back by this thread.
    static TAKEN: Cell<i64> = const { Cell::new(0) };
    /// What `TAKEN` may rise to.
    static CEILING: Cell<i64> = const { Cell::new(i64::MAX) };
}

/// An allocator that counts for each thread.
#[derive(Debug)]
pub struct Counting<A>(pub A);

#[inline]
fn count(bytes: i64) {
    TAKEN.set(TAKEN.get().wrapping_add(bytes));
}

// SAFETY: every call goes to the inner allocator unchanged; counting neither allocates nor unwinds (A1).
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are those of the inner allocator.
        unsafe { self.0.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { self.0.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as above.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { self.0.realloc(block, layout, new_size) }
    }
}

/// What a piece of work may take on this thread, from its beginning to the drop of this value.
#[derive(Debug)]
pub struct Budget {
    before: i64,
}

impl Budget {
    /// The thread may take `bytes` more; without a number, as much as it likes. An outer budget goes on to hold.
    #[inline]
    pub fn begin(bytes: Option<u64>) -> Budget {
        let before = CEILING.get();
        if let Some(bytes) = bytes {
            let own = TAKEN.get().saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
            CEILING.set(own.min(before));
        }
        Budget { before }
    }
}

impl Drop for Budget {
    #[inline]
    fn drop(&mut self) {
        CEILING.set(self.before);
    }
}

#[cfg(feature = "mimalloc")]
mod allocator {
    // Linked even where nothing else names it.
    use mimalloc as _;

    // SAFETY: mimalloc's own declaration; it may be called by any thread at any time.
    unsafe extern "C" {
        pub(super) safe fn mi_collect(force: bool);
    }
}

/// Gives the memory that nobody uses back to the system. An allocator that knows how does so by itself only after a while,
/// and only while somebody asks it for more: for after the moments when much has become free at once. Takes as long as
/// the system needs for what is free.
pub fn give_back() {
    #[cfg(feature = "mimalloc")]
    allocator::mi_collect(true);
}

/// Whether this thread has taken more than it may.
#[inline]
pub fn exceeded() -> bool {
    TAKEN.get() > CEILING.get()
}

/// Bytes that this thread has taken less those it has given back: only differences mean something.
#[inline]
pub fn taken() -> i64 {
    TAKEN.get()
}

/// How much more this thread may take; `None` without a budget.
pub fn left() -> Option<i64> {
    let ceiling = CEILING.get();
    (ceiling != i64::MAX).then(|| ceiling.saturating_sub(TAKEN.get()))
}

/// Bytes that other threads have taken count for this one from now on: it will give them back.
pub fn adopt(bytes: i64) {
    TAKEN.set(TAKEN.get().wrapping_add(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_nest_and_end() {
        let allocator = Counting(std::alloc::System);
        let layout = Layout::from_size_align(1 << 20, 8).unwrap();
        let outer = Budget::begin(Some(3 << 20));
        // SAFETY: the blocks are given back below with the layout they were taken with.
        let blocks: Vec<*mut u8> = (0..2).map(|_| unsafe { allocator.alloc(layout) }).collect();
        assert!(!exceeded());
        {
            let _inner = Budget::begin(Some(1 << 10));
            assert!(!exceeded());
            // SAFETY: as above.
            let block = unsafe { allocator.alloc_zeroed(layout) };
            assert!(exceeded());
            // SAFETY: as above.
            let block = unsafe { allocator.realloc(block, layout, 8) };
            assert!(!exceeded());
            // SAFETY: the block has this layout since it was reallocated.
            unsafe { allocator.dealloc(block, Layout::from_size_align(8, 8).unwrap()) };
        }
        // SAFETY: as above.
        let more = [unsafe { allocator.alloc(layout) }, unsafe { allocator.alloc(layout) }];
        assert!(exceeded());
        assert_eq!(left(), Some(-(1 << 20)));
        adopt(-(2 << 20));
        assert!(!exceeded());
        assert_eq!(left(), Some(1 << 20));
        adopt(2 << 20);
        assert!(exceeded());
        drop(outer);
        assert!(!exceeded());
        for block in blocks.into_iter().chain(more) {
            // SAFETY: as above.
            unsafe { allocator.dealloc(block, layout) };
        }
    }
}
