//! What a transaction left behind: blocks, as bitmaps, for the collector to visit, and counts of rows for statistics.
//!
//! Counts are kept by the transaction and added to the relation's when it ends, so that rows of hot tables share no
//! counter.

use hashbrown::HashMap;
use ochre_base::{BlockNo, Error, Result};
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

    /// Whether the block is in the set.
    pub fn contains(&self, block: BlockNo) -> bool {
        self.words.get(&(block.0 / WORD_BLOCKS)).is_some_and(|w| w & (1 << (block.0 % WORD_BLOCKS)) != 0)
    }

    /// Takes all blocks of another set out.
    pub fn subtract(&mut self, other: &BlockSet) {
        for (at, word) in &other.words {
            if let Some(own) = self.words.get_mut(at) {
                *own &= !word;
                if *own == 0 {
                    self.words.remove(at);
                }
            }
        }
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

    /// A word's position as it was read from disk.
    pub(crate) fn position(at: u32) -> Result<u32> {
        let holds_blocks = at <= u32::MAX / WORD_BLOCKS;
        if holds_blocks { Ok(at) } else { Err(Error::corrupt(format!("set of blocks with a word at {at}"))) }
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

impl FromIterator<BlockNo> for BlockSet {
    fn from_iter<I: IntoIterator<Item = BlockNo>>(blocks: I) -> BlockSet {
        let mut set = BlockSet::default();
        blocks.into_iter().for_each(|block| set.insert(block));
        set
    }
}

/// A change of a row, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowChange {
    /// So many rows were inserted.
    Inserted(u64),
    /// A row got a new version; `same_keys` when no index entry had to be added, `prunable` when the next writer who is
    /// short of room on its page can unlink the old one.
    Updated { same_keys: bool, prunable: bool },
    /// A row got a tombstone.
    Deleted,
    /// So many versions that nobody sees were unlinked by the writer.
    Unlinked(u64),
    /// So many of the inserted rows were the table's before, in another file.
    Moved(u64),
}

impl RowChange {
    /// Whether the collector may take its time about the block, unless the change is rolled back.
    fn is_patient(self) -> bool {
        match self {
            RowChange::Inserted(_) | RowChange::Unlinked(_) | RowChange::Moved(_) => true,
            RowChange::Updated { prunable, .. } => prunable,
            RowChange::Deleted => false,
        }
    }
}

/// What finished transactions did to the rows of one relation since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowChanges {
    /// Rows inserted, updated and deleted, by aborted transactions too.
    pub inserted: u64,
    pub updated: u64,
    pub updated_same_keys: u64,
    pub deleted: u64,
    /// Rows more or less than at the start.
    pub live: i64,
    /// Versions that wait for being unlinked.
    pub dead: i64,
}

impl RowChanges {
    pub(crate) fn add(&mut self, other: &RowChanges) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.updated_same_keys += other.updated_same_keys;
        self.deleted += other.deleted;
        self.live += other.live;
        // Garbage of before the start is unlinked too.
        self.dead = (self.dead + other.dead).max(0);
    }
}

/// What one transaction did to the rows of one relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct OwnChanges {
    inserted: u64,
    updated: u64,
    updated_same_keys: u64,
    deleted: u64,
    unlinked: u64,
    /// Of the inserted rows, those that were the table's before.
    moved: u64,
    /// Of those, what was rolled back to a savepoint.
    undone: [u64; 3],
}

impl OwnChanges {
    fn note(&mut self, change: RowChange) {
        match change {
            RowChange::Inserted(rows) => self.inserted += rows,
            RowChange::Updated { same_keys, .. } => {
                self.updated += 1;
                self.updated_same_keys += u64::from(same_keys);
            }
            RowChange::Deleted => self.deleted += 1,
            RowChange::Unlinked(versions) => self.unlinked += versions,
            RowChange::Moved(rows) => self.moved += rows,
        }
    }

    fn total(&self, committed: bool) -> RowChanges {
        let all = [self.inserted, self.updated, self.deleted];
        let undone = if committed { self.undone } else { all };
        let [inserted, updated, deleted] = [0, 1, 2].map(|i| (all[i] - undone[i]) as i64);
        RowChanges {
            inserted: self.inserted.saturating_sub(self.moved),
            updated: self.updated,
            updated_same_keys: self.updated_same_keys,
            deleted: self.deleted,
            live: inserted - deleted,
            // A tombstone is no version of a row.
            dead: updated + deleted + (undone[0] + undone[1]) as i64 - self.unlinked as i64,
        }
    }
}

/// How much had been changed when a savepoint was set.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ChangeMark(Vec<(RelationKey, OwnChanges)>);

/// What finished transactions left behind.
#[derive(Debug, Default)]
pub(crate) struct LeftBehind {
    /// Blocks with something that only the collector removes.
    pub blocks: HashMap<RelationKey, BlockSet>,
    /// Blocks of which writers take care themselves.
    pub patient: HashMap<RelationKey, BlockSet>,
    pub changes: HashMap<RelationKey, RowChanges>,
}

impl LeftBehind {
    /// Adds what a transaction has left. All of its blocks have to be visited when a part of it is void.
    pub(crate) fn add(&mut self, written: &WrittenBlocks, committed: bool, has_dead: bool) {
        match committed && !has_dead {
            true => written.add_apart(&mut self.blocks, &mut self.patient),
            false => written.add_to(&mut self.blocks),
        }
        for (relation, own) in &written.changes {
            self.changes.entry(*relation).or_default().add(&own.total(committed));
        }
    }

    pub(crate) fn unlinked(&mut self, relation: RelationKey, versions: u64) {
        let change = RowChanges { dead: -(versions as i64), ..RowChanges::default() };
        self.changes.entry(relation).or_default().add(&change);
    }
}

/// The blocks that one transaction wrote, by relation. Small transactions stay in a list.
#[derive(Debug, Default)]
pub struct WrittenBlocks {
    /// The last of them, and whether what was done there is patient.
    recent: Vec<(RelationKey, BlockNo, bool)>,
    sets: HashMap<RelationKey, BlockSet>,
    patient: HashMap<RelationKey, BlockSet>,
    changes: Vec<(RelationKey, OwnChanges)>,
}

/// Blocks kept as a list before they become bitmaps.
const LIST_BLOCKS: usize = 32;

impl WrittenBlocks {
    /// Notes a change of rows that have their home on a block.
    #[inline]
    pub fn note(&mut self, file: RelationKey, block: BlockNo, change: RowChange) {
        self.note_change(file, change);
        self.note_block(file, block, change);
    }

    /// As [`WrittenBlocks::note`], for the collector only: the change is not counted.
    #[inline]
    pub(crate) fn note_block(&mut self, file: RelationKey, block: BlockNo, change: RowChange) {
        let noted = (file, block, change.is_patient());
        if self.recent.last() == Some(&noted) {
            return;
        }
        if self.recent.len() >= LIST_BLOCKS {
            self.spill();
        }
        self.recent.push(noted);
    }

    /// Notes a set of blocks.
    pub(crate) fn note_set(&mut self, file: RelationKey, set: &BlockSet) {
        self.sets.entry(file).or_default().union(set);
    }

    /// Notes what it did to a relation's rows.
    #[inline]
    pub fn note_change(&mut self, relation: RelationKey, change: RowChange) {
        match self.changes.iter_mut().find(|(known, _)| *known == relation) {
            Some((_, own)) => own.note(change),
            None => {
                let mut own = OwnChanges::default();
                own.note(change);
                self.changes.push((relation, own));
            }
        }
    }

    pub(crate) fn mark(&self) -> ChangeMark {
        ChangeMark(self.changes.clone())
    }

    /// What was done since a mark is rolled back; nested ranges of it may be so already.
    pub(crate) fn undo_since(&mut self, mark: &ChangeMark) {
        for (relation, own) in &mut self.changes {
            let then =
                mark.0.iter().find(|(known, _)| known == relation).map_or(OwnChanges::default(), |(_, c)| *c);
            own.undone = [
                then.undone[0] + own.inserted - then.inserted,
                then.undone[1] + own.updated - then.updated,
                then.undone[2] + own.deleted - then.deleted,
            ];
        }
    }

    fn spill(&mut self) {
        for (file, block, patient) in self.recent.drain(..) {
            let sets = if patient { &mut self.patient } else { &mut self.sets };
            sets.entry(file).or_default().insert(block);
        }
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.sets.is_empty() && self.patient.is_empty() && self.changes.is_empty()
    }

    /// Adds everything to bitmaps by relation.
    pub fn add_to(&self, sets: &mut HashMap<RelationKey, BlockSet>) {
        for (file, block, _) in &self.recent {
            sets.entry(*file).or_default().insert(*block);
        }
        for (file, set) in self.sets.iter().chain(&self.patient) {
            sets.entry(*file).or_default().union(set);
        }
    }

    /// Adds the blocks of patient changes to one collection of bitmaps, all others to another. A block can be in both.
    fn add_apart(
        &self,
        urgent: &mut HashMap<RelationKey, BlockSet>,
        patient: &mut HashMap<RelationKey, BlockSet>,
    ) {
        for (file, block, is_patient) in &self.recent {
            let sets = if *is_patient { &mut *patient } else { &mut *urgent };
            sets.entry(*file).or_default().insert(*block);
        }
        for (sets, from) in [(urgent, &self.sets), (patient, &self.patient)] {
            from.iter().for_each(|(file, set)| sets.entry(*file).or_default().union(set));
        }
    }
}

#[cfg(test)]
mod tests {
    use ochre_base::{FileId, Oid};

    use super::*;

    #[test]
    fn rows_are_counted_by_what_became_of_them() {
        let file = RelationKey::new(Oid(1), FileId(2));
        let mut written = WrittenBlocks::default();
        let updated = RowChange::Updated { same_keys: true, prunable: true };
        written.note_change(file, RowChange::Inserted(10));
        let outer = written.mark();
        written.note_change(file, updated);
        written.note_change(file, RowChange::Deleted);
        let inner = written.mark();
        written.note_change(file, updated);
        written.note_change(file, RowChange::Inserted(5));
        written.undo_since(&inner);
        let mut left = LeftBehind::default();
        left.add(&written, true, true);
        let after = left.changes[&file];
        assert_eq!((after.inserted, after.updated, after.deleted), (15, 2, 1));
        assert_eq!((after.live, after.dead), (9, 1 + 1 + 1 + 5));
        written.undo_since(&outer);
        let mut left = LeftBehind::default();
        left.add(&written, true, true);
        assert_eq!((left.changes[&file].live, left.changes[&file].dead), (10, 2 + 5));
        let mut left = LeftBehind::default();
        left.add(&written, false, false);
        assert_eq!((left.changes[&file].live, left.changes[&file].dead), (0, 15 + 2));
        left.unlinked(file, 100);
        assert_eq!(left.changes[&file].dead, 0);
    }

    #[test]
    fn written_blocks_become_sorted_sets() {
        let file = RelationKey::new(Oid(1), FileId(2));
        let mut written = WrittenBlocks::default();
        for i in (0..1000u32).rev() {
            written.note(file, BlockNo(i * 7 % 500), RowChange::Deleted);
        }
        let mut sets = HashMap::new();
        written.add_to(&mut sets);
        let blocks = sets[&file].to_sorted();
        assert_eq!(blocks, (0..500).map(BlockNo).collect::<Vec<_>>());
        assert_eq!(sets[&file].len(), 500);
        assert!(sets[&file].contains(BlockNo(499)) && !sets[&file].contains(BlockNo(500)));
    }

    #[test]
    fn patient_blocks_are_told_apart_unless_something_is_void() {
        let file = RelationKey::new(Oid(1), FileId(2));
        let mut written = WrittenBlocks::default();
        for i in 0..200u32 {
            written.note(file, BlockNo(i), RowChange::Inserted(1));
            let prunable = i % 2 == 0;
            written.note(file, BlockNo(i), RowChange::Updated { same_keys: prunable, prunable });
        }
        let mut left = LeftBehind::default();
        left.add(&written, true, false);
        assert_eq!((left.blocks[&file].len(), left.patient[&file].len()), (100, 200));
        for (committed, has_dead) in [(true, true), (false, false)] {
            let mut left = LeftBehind::default();
            left.add(&written, committed, has_dead);
            assert_eq!((left.blocks[&file].len(), left.patient.len()), (200, 0));
        }
    }
}
