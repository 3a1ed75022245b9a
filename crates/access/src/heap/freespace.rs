//! The free-space map: which blocks have room. A hint: it never decides whether something fits.
//!
//! # Role
//! Blocks come in when pruning or the collector has made room on them, and go out when an insert takes them.
//!
//! # Not done
//! The map lives in memory. After a start blocks come in as the collector visits them, so space on blocks that nobody
//! touches again waits for a VACUUM.

use hashbrown::HashMap;
use ochre_base::BlockNo;
use parking_lot::Mutex;

/// Room below this is not worth remembering.
const MIN_FREE_BYTES: usize = 512;
/// Blocks are remembered by multiples of this.
const CLASS_BYTES: usize = 512;
const CLASSES: usize = 16;

/// Blocks by how much room they have.
#[derive(Default)]
pub(crate) struct FreeSpace {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    classes: [Vec<BlockNo>; CLASSES],
    /// The class that a block is in; entries of the lists that do not agree are stale.
    class_of: HashMap<BlockNo, u8>,
}

impl FreeSpace {
    /// Notes how many bytes a block has free.
    pub(crate) fn note(&self, block: BlockNo, free_bytes: usize) {
        let mut inner = self.inner.lock();
        if free_bytes < MIN_FREE_BYTES {
            inner.class_of.remove(&block);
            return;
        }
        let class = (free_bytes / CLASS_BYTES).min(CLASSES) - 1;
        if inner.class_of.insert(block, class as u8) != Some(class as u8) {
            inner.classes[class].push(block);
        }
    }

    /// Takes a block that has at least `bytes` free, as far as is known.
    pub(crate) fn take(&self, bytes: usize) -> Option<BlockNo> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        // The lowest class may have a little less; whoever asks looks.
        let lowest = (bytes / CLASS_BYTES).max(1) - 1;
        for class in lowest..CLASSES {
            while let Some(block) = inner.classes[class].pop() {
                if inner.class_of.get(&block) == Some(&(class as u8)) {
                    inner.class_of.remove(&block);
                    return Some(block);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_taken_by_the_room_they_have() {
        let free = FreeSpace::default();
        free.note(BlockNo(1), 600);
        free.note(BlockNo(2), 3000);
        free.note(BlockNo(3), 100);
        assert_eq!(free.take(4100), None);
        assert_eq!(free.take(2500), Some(BlockNo(2)));
        assert_eq!(free.take(500), Some(BlockNo(1)));
        assert_eq!(free.take(1), None);
        free.note(BlockNo(4), 8000);
        free.note(BlockNo(4), 200);
        assert_eq!(free.take(200), None, "the newest note counts");
    }
}
