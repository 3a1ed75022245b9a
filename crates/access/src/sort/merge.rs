//! Merging sorted sources with a tree of losers.
//!
//! The tree has one inner node a source; each holds the source that lost there, the winner stands at node 0. After the
//! winner has stepped on, one comparison a level finds the next. A comparison looks at eight bytes of the key first.

use ochre_base::Result;

use super::SortEntry;
use super::memory::MemoryCursor;
use super::run::RunReader;

enum Source {
    Memory(MemoryCursor),
    Run(RunReader),
}

impl Source {
    #[inline]
    fn advance(&mut self) -> Result<bool> {
        match self {
            Source::Memory(cursor) => Ok(cursor.advance()),
            Source::Run(reader) => reader.advance(),
        }
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
struct Front {
    /// Eight bytes of the current key behind what all keys share.
    prefix: u64,
    ended: bool,
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
        let ended = !cursor.advance();
        self.sources.push(Source::Memory(cursor));
        self.fronts.push(Front { prefix: 0, ended });
    }

    pub(super) fn add_run(&mut self, mut reader: RunReader) -> Result<()> {
        let ended = !reader.advance()?;
        self.sources.push(Source::Run(reader));
        self.fronts.push(Front { prefix: 0, ended });
        Ok(())
    }

    /// Plays the first round, once all sources are added.
    pub(super) fn start(&mut self) {
        let count = self.sources.len();
        for index in 0..count {
            if !self.fronts[index].ended {
                self.fronts[index].prefix = self.prefix_of(index);
            }
        }
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
        if self.sources[index].advance()? {
            self.fronts[index].prefix = self.prefix_of(index);
        } else {
            self.fronts[index].ended = true;
        }
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
    fn prefix_of(&self, index: usize) -> u64 {
        match &self.sources[index] {
            Source::Memory(cursor) => cursor.current_prefix(),
            Source::Run(reader) => {
                let suffix = &reader.current().key[self.shared..];
                if let Some(bytes) = suffix.first_chunk::<8>() {
                    return u64::from_be_bytes(*bytes);
                }
                let mut bytes = [0; 8];
                bytes[..suffix.len()].copy_from_slice(suffix);
                u64::from_be_bytes(bytes)
            }
        }
    }

    #[inline]
    fn less(&self, a: u32, b: u32) -> bool {
        let (front_a, front_b) = (self.fronts[a as usize], self.fronts[b as usize]);
        if front_a.ended || front_b.ended {
            return !front_a.ended;
        }
        if front_a.prefix != front_b.prefix {
            return front_a.prefix < front_b.prefix;
        }
        self.sources[a as usize].current() < self.sources[b as usize].current()
    }
}
