//! A set of row ids that keeps to its memory: exact by page as long as there is room, whole pages beyond.
//!
//! # How
//! A row's id names it for life, so a set of ids gathered from indexes stays right until the rows are fetched. A page with
//! its rows takes a bit for each; when the pages exceed the budget, half of them are kept as one bit each: all rows of
//! such a page must then be looked at again.
//!
//! # Invariants
//! - RB1: a page is in one of the two parts at most.
//! - RB2: sets only ever grow by becoming lossy: no row that was inserted is missing.

use hashbrown::HashMap;
use ochre_base::RowId;

/// Slots that are kept exactly; a page has fewer rows than that.
const SLOTS: usize = 320;
const WORDS: usize = SLOTS / 64;
/// About what a page takes in the table.
const PAGE_BYTES: usize = 72;

/// The rows of one page.
#[derive(Debug, Clone, Copy)]
pub struct PageRows {
    slots: [u64; WORDS],
    /// Not every row need be one that was asked for.
    pub recheck: bool,
}

impl PageRows {
    /// The slots in order.
    pub fn slots(&self) -> impl Iterator<Item = u16> + '_ {
        self.slots.iter().enumerate().flat_map(|(word, bits)| {
            let rest = std::iter::successors(Some(*bits), |bits| Some(bits & bits.wrapping_sub(1)));
            rest.take_while(|bits| *bits != 0)
                .map(move |bits| (word * 64) as u16 + bits.trailing_zeros() as u16)
        })
    }

    fn is_empty(&self) -> bool {
        self.slots.iter().all(|word| *word == 0)
    }
}

/// Blocks, a bit each.
#[derive(Debug, Default)]
struct Blocks {
    words: Vec<u64>,
}

impl Blocks {
    fn insert(&mut self, block: u32) {
        let word = block as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (block % 64);
    }

    fn contains(&self, block: u32) -> bool {
        self.words.get(block as usize / 64).is_some_and(|word| word >> (block % 64) & 1 != 0)
    }

    /// The first block at or after this one.
    fn next(&self, from: u32) -> Option<u32> {
        let mut word = from as usize / 64;
        let mut bits = *self.words.get(word)? & (u64::MAX << (from % 64));
        while bits == 0 {
            word += 1;
            bits = *self.words.get(word)?;
        }
        Some((word * 64) as u32 + bits.trailing_zeros())
    }
}

/// Row ids.
#[derive(Debug)]
pub struct RowBitmap {
    exact: HashMap<u32, PageRows>,
    lossy: Blocks,
    budget_bytes: usize,
}

impl RowBitmap {
    /// An empty set that may take about so many bytes.
    pub fn new(budget_bytes: usize) -> RowBitmap {
        RowBitmap { exact: HashMap::new(), lossy: Blocks::default(), budget_bytes }
    }

    /// Adds a row.
    pub fn insert(&mut self, row: RowId) {
        let block = row.block.0;
        if self.lossy.contains(block) {
            return;
        }
        let slot = usize::from(row.slot);
        if slot >= SLOTS {
            self.exact.remove(&block);
            self.lossy.insert(block);
            return;
        }
        let page = self.exact.entry(block).or_insert(PageRows { slots: [0; WORDS], recheck: false });
        page.slots[slot / 64] |= 1 << (slot % 64);
        self.keep_within_budget();
    }

    fn keep_within_budget(&mut self) {
        if self.exact.len() * PAGE_BYTES <= self.budget_bytes {
            return;
        }
        let mut leave = self.exact.len().div_ceil(2);
        let lossy = &mut self.lossy;
        self.exact.retain(|block, _| {
            if leave == 0 {
                return true;
            }
            leave -= 1;
            lossy.insert(*block);
            false
        });
    }

    /// The rows of either.
    #[must_use]
    pub fn union(mut self, other: RowBitmap) -> RowBitmap {
        for (block, rows) in other.exact {
            if self.lossy.contains(block) {
                continue;
            }
            let page = self.exact.entry(block).or_insert(PageRows { slots: [0; WORDS], recheck: false });
            page.slots.iter_mut().zip(rows.slots).for_each(|(word, more)| *word |= more);
            page.recheck |= rows.recheck;
        }
        let mut from = 0;
        while let Some(block) = other.lossy.next(from) {
            self.exact.remove(&block); // RB1
            self.lossy.insert(block);
            from = block + 1;
        }
        self.keep_within_budget();
        self
    }

    /// The rows of both. Rows of a page that only one knows exactly must be looked at again.
    #[must_use]
    pub fn intersection(self, other: RowBitmap) -> RowBitmap {
        let mut result = RowBitmap::new(self.budget_bytes);
        for (block, rows) in &self.exact {
            if other.lossy.contains(*block) {
                result.exact.insert(*block, PageRows { recheck: true, ..*rows });
            } else if let Some(others) = other.exact.get(block) {
                let mut both = PageRows { recheck: rows.recheck || others.recheck, ..*rows };
                both.slots.iter_mut().zip(others.slots).for_each(|(word, more)| *word &= more);
                if !both.is_empty() {
                    result.exact.insert(*block, both);
                }
            }
        }
        for (block, rows) in other.exact.iter().filter(|(block, _)| self.lossy.contains(**block)) {
            result.exact.insert(*block, PageRows { recheck: true, ..*rows });
        }
        let mut from = 0;
        while let Some(block) = self.lossy.next(from) {
            if other.lossy.contains(block) {
                result.lossy.insert(block);
            }
            from = block + 1;
        }
        result
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.lossy.next(0).is_none()
    }

    /// Whether any page is known as a whole only.
    pub fn is_lossy(&self) -> bool {
        self.lossy.next(0).is_some()
    }

    /// How many pages have rows in the set.
    pub fn page_count(&self) -> usize {
        self.exact.len() + self.lossy.words.iter().map(|word| word.count_ones() as usize).sum::<usize>()
    }

    /// The pages in order.
    pub fn into_pages(self) -> Pages {
        let mut exact: Vec<(u32, PageRows)> = self.exact.into_iter().collect();
        exact.sort_unstable_by_key(|(block, _)| *block);
        Pages { exact: exact.into_iter().peekable(), lossy: self.lossy, from: 0 }
    }
}

/// Gives pages in order, with their rows where those are known.
pub struct Pages {
    exact: std::iter::Peekable<std::vec::IntoIter<(u32, PageRows)>>,
    lossy: Blocks,
    from: u32,
}

impl Iterator for Pages {
    type Item = (u32, Option<PageRows>);

    fn next(&mut self) -> Option<Self::Item> {
        let lossy = self.lossy.next(self.from);
        match (self.exact.peek().map(|(block, _)| *block), lossy) {
            (Some(exact), Some(block)) if block < exact => {
                self.from = block + 1;
                Some((block, None))
            }
            (None, Some(block)) => {
                self.from = block + 1;
                Some((block, None))
            }
            (Some(_), _) => self.exact.next().map(|(block, rows)| (block, Some(rows))),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % bound
        }
    }

    fn random_rows(numbers: &mut Numbers) -> BTreeSet<(u32, u16)> {
        let count = numbers.below(400);
        (0..count).map(|_| (numbers.below(150) as u32, numbers.below(SLOTS as u64 + 5) as u16)).collect()
    }

    fn set_of(rows: &BTreeSet<(u32, u16)>, budget: usize) -> RowBitmap {
        let mut set = RowBitmap::new(budget);
        rows.iter().for_each(|(block, slot)| set.insert(RowId::new(*block, *slot)));
        set
    }

    /// Nothing is missing, and without pressure on memory nothing but rows of pages to be looked at again is too much.
    fn check(set: RowBitmap, rows: &BTreeSet<(u32, u16)>, exact: bool) {
        let pages: Vec<_> = set.into_pages().collect();
        assert!(pages.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (block, slot) in rows {
            let (_, known) = pages.iter().find(|(page, _)| page == block).expect("the page is there");
            assert!(known.is_none_or(|known| known.slots().any(|one| one == *slot)), "{block} {slot}");
        }
        if exact {
            let got: usize = pages.iter().map(|(_, rows)| rows.map_or(0, |rows| rows.slots().count())).sum();
            assert_eq!(
                got,
                rows.iter()
                    .filter(|(block, _)| { pages.iter().any(|(page, rows)| page == block && rows.is_some()) })
                    .count()
            );
        }
    }

    #[test]
    fn sets_are_as_those_of_a_model() {
        let mut numbers = Numbers(0x1234_5678_9abc_def1);
        for _ in 0..200 {
            let (a, b) = (random_rows(&mut numbers), random_rows(&mut numbers));
            for budget in [usize::MAX, 40 * PAGE_BYTES, 0] {
                let exact = budget == usize::MAX;
                check(set_of(&a, budget), &a, exact);
                check(set_of(&a, budget).union(set_of(&b, budget)), &(&a | &b), exact);
                let both = set_of(&a, budget).intersection(set_of(&b, budget));
                check(both, &(&a & &b), false);
            }
        }
    }
}
