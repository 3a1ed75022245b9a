//! Sets of blocks, as bitmaps: what a transaction left behind and what the collector has to visit.

use hashbrown::HashMap;
use ochre_base::BlockNo;
use ochre_storage::RelationKey;

/// Blocks of one word of a bitmap.
const WORD_BLOCKS: u32 = 64;

/// A set of blocks of one relation: few blocks as a list, many as words of a bitmap by position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockSet {
    words: HashMap<u32, u64>,
}

impl BlockSet {
    /// Adds a block.
    pub fn insert(&mut self, block: BlockNo) {
        *self.words.entry(block.0 / WORD_BLOCKS).or_insert(0) |= 1 << (block.0 % WORD_BLOCKS);
    }

    /// Takes a block out.
    pub fn remove(&mut self, block: BlockNo) {
        if let Some(word) = self.words.get_mut(&(block.0 / WORD_BLOCKS)) {
            *word &= !(1 << (block.0 % WORD_BLOCKS));
            if *word == 0 {
                self.words.remove(&(block.0 / WORD_BLOCKS));
            }
        }
    }

    /// Whether the block is in the set.
    pub fn contains(&self, block: BlockNo) -> bool {
        self.words.get(&(block.0 / WORD_BLOCKS)).is_some_and(|w| w & (1 << (block.0 % WORD_BLOCKS)) != 0)
    }

    /// Adds all blocks of another set.
    pub fn union(&mut self, other: &BlockSet) {
        for (at, word) in &other.words {
            *self.words.entry(*at).or_insert(0) |= word;
        }
    }

    /// How many blocks are in the set.
    pub fn len(&self) -> usize {
        self.words.values().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether no block is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The bitmap's words by position, ascending.
    pub(crate) fn to_words(&self) -> Vec<(u32, u64)> {
        let mut words: Vec<(u32, u64)> = self.words.iter().map(|(at, word)| (*at, *word)).collect();
        words.sort_unstable();
        words
    }

    /// The inverse of [`BlockSet::to_words`].
    pub(crate) fn from_words(words: impl IntoIterator<Item = (u32, u64)>) -> BlockSet {
        BlockSet { words: words.into_iter().collect() }
    }

    /// The blocks in ascending order.
    pub fn to_sorted(&self) -> Vec<BlockNo> {
        let words = self.to_words();
        let mut blocks = Vec::with_capacity(self.len());
        for (at, mut word) in words {
            while word != 0 {
                blocks.push(BlockNo(at * WORD_BLOCKS + word.trailing_zeros()));
                word &= word - 1;
            }
        }
        blocks
    }
}

/// The blocks that one transaction wrote, by relation. Small transactions stay in a list.
#[derive(Debug, Default)]
pub struct WrittenBlocks {
    recent: Vec<(RelationKey, BlockNo)>,
    sets: HashMap<RelationKey, BlockSet>,
}

/// Blocks kept as a list before they become bitmaps.
const LIST_BLOCKS: usize = 32;

impl WrittenBlocks {
    /// Notes that the transaction wrote a block.
    #[inline]
    pub fn note(&mut self, file: RelationKey, block: BlockNo) {
        if self.recent.last() == Some(&(file, block)) {
            return;
        }
        if self.recent.len() >= LIST_BLOCKS {
            self.spill();
        }
        self.recent.push((file, block));
    }

    /// Notes a set of blocks.
    pub(crate) fn note_set(&mut self, file: RelationKey, set: &BlockSet) {
        self.sets.entry(file).or_default().union(set);
    }

    fn spill(&mut self) {
        for (file, block) in self.recent.drain(..) {
            self.sets.entry(file).or_default().insert(block);
        }
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.sets.is_empty()
    }

    /// Adds everything to bitmaps by relation.
    pub fn add_to(&self, sets: &mut HashMap<RelationKey, BlockSet>) {
        for (file, block) in &self.recent {
            sets.entry(*file).or_default().insert(*block);
        }
        for (file, set) in &self.sets {
            sets.entry(*file).or_default().union(set);
        }
    }
}

#[cfg(test)]
mod tests {
    use ochre_base::{FileId, Oid};

    use super::*;

    #[test]
    fn written_blocks_become_sorted_sets() {
        let file = RelationKey::new(Oid(1), FileId(2));
        let mut written = WrittenBlocks::default();
        for i in (0..1000u32).rev() {
            written.note(file, BlockNo(i * 7 % 500));
        }
        let mut sets = HashMap::new();
        written.add_to(&mut sets);
        let blocks = sets[&file].to_sorted();
        assert_eq!(blocks, (0..500).map(BlockNo).collect::<Vec<_>>());
        assert_eq!(sets[&file].len(), 500);
        assert!(sets[&file].contains(BlockNo(499)) && !sets[&file].contains(BlockNo(500)));
    }
}
