//! Page table: finds the frame of a page.
//!
//! Buckets hold the index of a frame, frames of one bucket are chained. Whoever changes a chain holds its shard's
//! mutex. Looking up takes no mutex: a reader that is led astray by a change either meets a frame with another key, or
//! a claimed one, or the end of a chain, and then looks again under the mutex.
//!
//! # Invariants
//! - T1: under a shard's mutex, every frame in its chains is not claimed, and each key is there at most once.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::frame::{Arena, FrameRef, PackedKey, PinnedPage};

const SHARDS: usize = 128;
/// A reader without the mutex gives up after so many frames: it may have been led into a circle.
const MAX_STEPS: usize = 64;

pub(super) struct PageTable {
    buckets: Box<[AtomicU32]>,
    shards: Box<[Mutex<()>]>,
}

/// The right to change the chains of one shard.
pub(super) struct LockedShard<'a> {
    table: &'a PageTable,
    _shard: MutexGuard<'a, ()>,
}

impl PageTable {
    pub(super) fn new(frames: usize) -> PageTable {
        let buckets = (frames * 2).next_power_of_two().max(SHARDS);
        PageTable {
            buckets: (0..buckets).map(|_| AtomicU32::new(0)).collect(),
            shards: (0..SHARDS).map(|_| Mutex::new(())).collect(),
        }
    }

    fn bucket(&self, key: PackedKey) -> usize {
        key.hash() as usize & (self.buckets.len() - 1)
    }

    pub(super) fn lock(&self, key: PackedKey) -> LockedShard<'_> {
        LockedShard { table: self, _shard: self.shards[self.bucket(key) % SHARDS].lock() }
    }

    /// Pins the frame of a page if a glance finds it. `None` says nothing.
    #[inline]
    pub(super) fn pin_at_a_glance(&self, arena: &Arena, key: PackedKey) -> Option<PinnedPage> {
        let mut at = self.buckets[self.bucket(key)].load(Ordering::Acquire);
        for _ in 0..MAX_STEPS {
            if at == 0 {
                return None;
            }
            let frame = arena.frame(at as usize - 1);
            if frame.packed_key() == key {
                // F1: the key is looked at again once it cannot change.
                return frame.try_pin().filter(|_| frame.packed_key() == key);
            }
            at = frame.next.load(Ordering::Acquire);
        }
        None
    }
}

impl LockedShard<'_> {
    /// Pins the frame of a page if there is one.
    pub(super) fn pin(&self, arena: &Arena, key: PackedKey) -> Option<PinnedPage> {
        let mut at = self.table.buckets[self.table.bucket(key)].load(Ordering::Relaxed);
        while at != 0 {
            let frame = arena.frame(at as usize - 1);
            if frame.packed_key() == key {
                return Some(frame.try_pin().expect("T1: a frame in a chain is not claimed"));
            }
            at = frame.next.load(Ordering::Relaxed);
        }
        None
    }

    /// Puts a frame, which has this key already, into its chain.
    pub(super) fn link(&self, arena: &Arena, key: PackedKey, frame: FrameRef) {
        let head = &self.table.buckets[self.table.bucket(key)];
        frame.next.store(head.load(Ordering::Relaxed), Ordering::Relaxed);
        head.store(arena.index_of(frame) as u32 + 1, Ordering::Release);
    }

    /// Takes a frame out of its chain; false when it was not in it.
    pub(super) fn unlink(&self, arena: &Arena, key: PackedKey, frame: FrameRef) -> bool {
        let wanted = arena.index_of(frame) as u32 + 1;
        let head = &self.table.buckets[self.table.bucket(key)];
        let after = frame.next.load(Ordering::Relaxed);
        let mut at = head.load(Ordering::Relaxed);
        if at == wanted {
            head.store(after, Ordering::Release);
            return true;
        }
        while at != 0 {
            let here = arena.frame(at as usize - 1);
            at = here.next.load(Ordering::Relaxed);
            if at == wanted {
                here.next.store(after, Ordering::Release);
                return true;
            }
        }
        false
    }
}
