//! Merging sorted sources with a tree of losers.
//!
//! The tree has one inner node a source; each holds the source that lost there, the winner stands at node 0. After the
//! winner has stepped on, one comparison a level finds the next. A comparison looks at twelve bytes of the key first, and
//! at the tag when those are all.

use ochre_base::Result;

use super::SortEntry;
use super::memory::{MemoryCursor, SetMemory, front_of};
use super::run::RunReader;

enum Source {
    Memory(MemoryCursor),
    Run(RunReader),
}

impl Source {
    /// Steps to the next entry.
    #[inline]
    fn advance(&mut self, shared: usize) -> Result<Front> {
        Ok(match self {
            Source::Memory(cursor) => {
                if cursor.advance() {
                    cursor.front()
                } else {
                    Front::ENDED
                }
            }
            Source::Run(reader) => {
                if reader.advance()? {
                    front_of(reader.current(), shared)
                } else {
                    Front::ENDED
                }
            }
        })
    }

    #[inline]
    fn current(&self) -> SortEntry<'_> {
        match self {
            Source::Memory(cursor) => cursor.current(),
            Source::Run(reader) => reader.current(),
        }
    }
}

/// What is known of a source without looking at its entry.
#[derive(Clone, Copy)]
pub(super) struct Front {
    /// Twelve bytes of the current key behind what all keys share, and behind them, when that is the whole key, its
    /// length: two such fronts are equal when their keys are.
    key: u128,
    /// The current tag, of a whole key.
    tag: u64,
    whole: bool,
    ended: bool,
}

impl Front {
    /// Of an entry whose key has no more than these twelve bytes (as the lower 96 bits) behind what all share.
    #[inline]
    pub(super) fn exact(head: u128, key_len: usize, tag: u64) -> Front {
        Front { key: head << 32 | key_len as u128, tag, whole: true, ended: false }
    }

    /// Of an entry whose key goes on.
    #[inline]
    pub(super) fn of_head(head: u128) -> Front {
        Front { key: head << 32, tag: 0, whole: false, ended: false }
    }

    const ENDED: Front = Front { key: 0, tag: 0, whole: false, ended: true };
}

/// Gives the entries of several sorted sources in order.
pub(super) struct Merge {
    shared: usize,
    sources: Vec<Source>,
    fronts: Vec<Front>,
    /// `tree[0]` is the source with the least entry, the others are the losers of their nodes.
    tree: Vec<u32>,
    /// Whether the winner's entry has been handed out and it must step on first.
    taken: bool,
}

impl Merge {
    /// A merge of no sources; all keys share `shared` bytes at their start.
    pub(super) fn new(shared: usize) -> Merge {
        Merge { shared, sources: Vec::new(), fronts: Vec::new(), tree: Vec::new(), taken: false }
    }

    pub(super) fn add_memory(&mut self, mut cursor: MemoryCursor) {
        cursor.join_merge(self.shared);
        let mut source = Source::Memory(cursor);
        self.fronts.push(source.advance(self.shared).expect("memory is read without an error"));
        self.sources.push(source);
    }

    pub(super) fn add_run(&mut self, reader: RunReader) -> Result<()> {
        let mut source = Source::Run(reader);
        self.fronts.push(source.advance(self.shared)?);
        self.sources.push(source);
        Ok(())
    }

    /// Plays the first round, once all sources are added.
    pub(super) fn start(&mut self) {
        let count = self.sources.len();
        self.tree = vec![0; count.max(1)];
        // Winners of the nodes from the leaves (count..2*count) up.
        let mut winners: Vec<u32> =
            (0..2 * count as u32).map(|node| node.saturating_sub(count as u32)).collect();
        for node in (1..count).rev() {
            let (a, b) = (winners[2 * node], winners[2 * node + 1]);
            let (winner, loser) = if self.less(a, b) { (a, b) } else { (b, a) };
            winners[node] = winner;
            self.tree[node] = loser;
        }
        if count > 0 {
            self.tree[0] = winners[1];
        }
        if count == 1 {
            self.tree[0] = 0;
        }
    }

    /// The next entry.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<SortEntry<'_>>> {
        if self.sources.is_empty() {
            return Ok(None);
        }
        if self.taken {
            self.step()?;
        }
        let winner = self.tree[0] as usize;
        if self.fronts[winner].ended {
            self.taken = false;
            return Ok(None);
        }
        self.taken = true;
        Ok(Some(self.sources[winner].current()))
    }

    #[inline]
    fn step(&mut self) -> Result<()> {
        let mut winner = self.tree[0];
        let index = winner as usize;
        self.fronts[index] = self.sources[index].advance(self.shared)?;
        let mut node = (index + self.sources.len()) / 2;
        while node > 0 {
            let other = self.tree[node];
            if self.less(other, winner) {
                self.tree[node] = winner;
                winner = other;
            }
            node /= 2;
        }
        self.tree[0] = winner;
        Ok(())
    }

    #[inline]
    fn less(&self, a: u32, b: u32) -> bool {
        let (front_a, front_b) = (&self.fronts[a as usize], &self.fronts[b as usize]);
        if front_a.ended || front_b.ended {
            return !front_a.ended;
        }
        if front_a.key >> 32 != front_b.key >> 32 {
            return front_a.key < front_b.key;
        }
        if front_a.whole && front_b.whole && front_a.key == front_b.key && front_a.tag != front_b.tag {
            return front_a.tag < front_b.tag;
        }
        self.sources[a as usize].current() < self.sources[b as usize].current()
    }

    /// The memory of the sets that were read.
    pub(super) fn into_memory(self) -> impl Iterator<Item = SetMemory> {
        self.sources.into_iter().filter_map(|source| match source {
            Source::Memory(cursor) => Some(cursor.into_memory()),
            Source::Run(_) => None,
        })
    }
}
