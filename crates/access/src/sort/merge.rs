//! Merging sorted sources with a tree of losers.
//!
//! The tree has one inner node a source; each holds the source that lost there, the winner stands at node 0. After the
//! winner has stepped on, one comparison a level finds the next. A comparison looks at twelve bytes of the key first, and
//! at the tag when those are all. Sources of which each ends before the next one begins, as those of sorted input do, are
//! read one after the other instead, without comparing.

use std::cmp::Ordering;

use ochre_base::Result;

use super::SortEntry;
use super::memory::{MemoryCursor, SetMemory, front_of};
use super::run::RunReader;

enum Source {
    Memory(MemoryCursor),
    Run(RunReader),
}

impl Source {
    /// Steps to the next entry; false at the end.
    #[inline]
    fn advance(&mut self) -> Result<bool> {
        match self {
            Source::Memory(cursor) => Ok(cursor.advance()),
            Source::Run(reader) => reader.advance(),
        }
    }

    /// Steps to the next entry, for the tree to compare.
    #[inline]
    fn advance_front(&mut self, shared: usize) -> Result<Front> {
        if !self.advance()? {
            return Ok(Front::ENDED);
        }
        Ok(match self {
            Source::Memory(cursor) => cursor.front(),
            Source::Run(reader) => front_of(reader.current(), shared),
        })
    }

    #[inline]
    fn current(&self) -> SortEntry<'_> {
        match self {
            Source::Memory(cursor) => cursor.current(),
            Source::Run(reader) => reader.current(),
        }
    }

    /// Whether the last entry is at most `other`.
    fn ends_before(&self, other: SortEntry<'_>) -> bool {
        match self {
            Source::Memory(cursor) => cursor.ends_before(other),
            Source::Run(reader) => reader.ends_before(other),
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
    /// The sources after `tree[0]`, the next one last, when each ends before the next one begins; the tree is not used.
    chain: Option<Vec<u32>>,
    /// Whether the winner's entry has been handed out and it must step on first.
    taken: bool,
}

impl Merge {
    /// A merge of no sources; all keys share `shared` bytes at their start.
    pub(super) fn new(shared: usize) -> Merge {
        Merge { shared, sources: Vec::new(), fronts: Vec::new(), tree: Vec::new(), chain: None, taken: false }
    }

    pub(super) fn add_memory(&mut self, mut cursor: MemoryCursor) {
        cursor.join_merge(self.shared);
        let mut source = Source::Memory(cursor);
        self.fronts.push(source.advance_front(self.shared).expect("memory is read without an error"));
        self.sources.push(source);
    }

    pub(super) fn add_run(&mut self, reader: RunReader) -> Result<()> {
        let mut source = Source::Run(reader);
        self.fronts.push(source.advance_front(self.shared)?);
        self.sources.push(source);
        Ok(())
    }

    /// Plays the first round, once all sources are added.
    pub(super) fn start(&mut self) {
        let count = self.sources.len();
        self.tree = vec![0; count.max(1)];
        self.chain = self.chain_of_sources();
        if let Some(chain) = &mut self.chain {
            self.tree[0] = chain.pop().unwrap_or(0);
            return;
        }
        // Winners of the nodes from the leaves (count..2*count) up.
        let mut winners: Vec<u32> =
            (0..2 * count as u32).map(|node| node.saturating_sub(count as u32)).collect();
        for node in (1..count).rev() {
            let (a, b) = (winners[2 * node], winners[2 * node + 1]);
            let (winner, loser) = if self.less(a, b) { (a, b) } else { (b, a) };
            winners[node] = winner;
            self.tree[node] = loser;
        }
        self.tree[0] = winners[1];
    }

    /// The sources in descending order, if each ends before the one that begins next.
    fn chain_of_sources(&self) -> Option<Vec<u32>> {
        let mut chain: Vec<u32> = (0..self.sources.len() as u32).collect();
        chain.sort_unstable_by(|a, b| {
            if self.less(*a, *b) {
                Ordering::Greater
            } else if self.less(*b, *a) {
                Ordering::Less
            } else {
                Ordering::Equal
            }
        });
        let follows = |next: u32, one: u32| {
            let (next, one) = (next as usize, one as usize);
            self.fronts[next].ended || self.sources[one].ends_before(self.sources[next].current())
        };
        chain.windows(2).all(|pair| follows(pair[0], pair[1])).then_some(chain)
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
        if let Some(chain) = &mut self.chain {
            if !self.sources[index].advance()? {
                self.fronts[index] = Front::ENDED;
                self.tree[0] = chain.pop().unwrap_or(winner);
            }
            return Ok(());
        }
        self.fronts[index] = self.sources[index].advance_front(self.shared)?;
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
