//! Range scans, a leaf at a time, in both directions.
//!
//! A scan copies what it needs of a leaf and lets go of it, so that no index latch is held while the heap is visited,
//! and remembers the bound of what it has seen: the leaf's high key going forward, its lower bound going back. The next
//! leaf is found by a descent to that bound. Going forward the right link is tried first: while no page was recycled
//! since (B5) it leads to the page that the bound begins, or to one that was unlinked. The first leaf is taken in small
//! portions, for those who want only the first rows.
//!
//! # Invariants
//! - C1: everything below the bound (above, going back) that was in the tree during the whole scan has been returned
//!   once, and nothing else has been returned twice: bounds only move on.

use std::sync::Arc;

use ochre_base::{BlockNo, Result, RowId};
use ochre_storage::PageReadGuard;

use super::node::{self, EntryBuf, EntryRef};
use super::tree::{BTree, Journey, ROOT, corrupt};

/// Entries that a scan copies at first.
const FIRST_LIMIT: usize = 16;

/// One end of a range of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyBound<'a> {
    /// No bound.
    Unbounded,
    /// Keys equal to this are in the range.
    Included(&'a [u8]),
    /// Keys equal to this are not in the range.
    Excluded(&'a [u8]),
    /// Keys that start with this are in the range: the key's leading columns.
    IncludedPrefix(&'a [u8]),
    /// Keys that start with this are not in the range.
    ExcludedPrefix(&'a [u8]),
}

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanDirection {
    /// Ascending.
    Forward,
    /// Descending.
    Backward,
}

/// What a scan copies from the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanFetch {
    /// Row ids alone.
    RowIds,
    /// Keys and payloads too, for index-only scans.
    Entries,
}

/// A point between entries; `None` is the end of the order at that side.
type Point = Option<EntryBuf>;

/// A scan's state and the entries of the leaf it has read last.
///
/// ```text
/// let mut scan = Scan::new(tree, ScanFetch::RowIds);
/// scan.start(KeyBound::Included(a), KeyBound::Excluded(b), ScanDirection::Forward);
/// while scan.next_leaf()? { for rid in scan.rids() { … } }
/// ```
pub struct Scan {
    tree: Arc<BTree>,
    fetch: ScanFetch,
    direction: ScanDirection,
    /// What has not been scanned: from here …
    low: Point,
    /// … to here.
    high: Point,
    /// Where the rest begins, if a page has said so.
    hint: Option<Hint>,
    done: bool,
    /// Entries that the next leaf may give: few at first, for those who want only the first rows.
    limit: usize,
    rids: Vec<RowId>,
    /// Where each entry's key and payload are in `bytes`: start, length of the key, end.
    parts: Vec<(u32, u16, u32)>,
    bytes: Vec<u8>,
}

/// A right link or the same page again, and the count of recycled pages from before it was read.
struct Hint {
    block: BlockNo,
    recycled: u64,
}

impl Scan {
    /// A scan of nothing; [`Scan::start`] gives it a range.
    pub fn new(tree: Arc<BTree>, fetch: ScanFetch) -> Scan {
        Scan {
            tree,
            fetch,
            direction: ScanDirection::Forward,
            low: None,
            high: None,
            hint: None,
            done: true,
            limit: FIRST_LIMIT,
            rids: Vec::new(),
            parts: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Begins a range, from its low end or its high end as the direction says. Buffers are used again.
    pub fn start(&mut self, low: KeyBound<'_>, high: KeyBound<'_>, direction: ScanDirection) {
        self.direction = direction;
        self.hint = None;
        self.limit = FIRST_LIMIT;
        self.clear_batch();
        let some_low = set_low(&mut self.low, low);
        let some_high = set_high(&mut self.high, high);
        let crossed = matches!((&self.low, &self.high), (Some(low), Some(high)) if low >= high);
        self.done = !some_low || !some_high || crossed;
    }

    /// Reads on: false when the range is exhausted. The next entries, of one leaf and at least one, are then at hand.
    ///
    /// # Errors
    /// XX001, XX002 and 58030 when a page cannot be read.
    pub fn next_leaf(&mut self) -> Result<bool> {
        self.clear_batch();
        while !self.done {
            match self.direction {
                ScanDirection::Forward => self.read_forward()?,
                ScanDirection::Backward => self.read_backward()?,
            }
            if !self.rids.is_empty() {
                self.limit = self.limit.saturating_mul(4);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The row ids of the leaf read last, in scan order.
    pub fn rids(&self) -> &[RowId] {
        &self.rids
    }

    /// How many entries the leaf read last had in the range.
    pub fn len(&self) -> usize {
        self.rids.len()
    }

    /// Whether it had none.
    pub fn is_empty(&self) -> bool {
        self.rids.is_empty()
    }

    /// The key of the `index`-th entry, if entries are fetched.
    ///
    /// # Panics
    /// When only row ids are fetched, or there is no such entry; so does [`Scan::payload`].
    pub fn key(&self, index: usize) -> &[u8] {
        let (start, key_len, _) = self.parts[index];
        &self.bytes[start as usize..][..key_len as usize]
    }

    /// The payload of the `index`-th entry, if entries are fetched.
    pub fn payload(&self, index: usize) -> &[u8] {
        let (start, key_len, end) = self.parts[index];
        &self.bytes[start as usize + key_len as usize..end as usize]
    }

    /// The key at which that begins what has not been read of the range, in scan order; entries with this key may have
    /// been read. `None` when all was read, or nothing.
    pub fn rest(&self) -> Option<&[u8]> {
        let rest = match self.direction {
            ScanDirection::Forward => &self.low,
            ScanDirection::Backward => &self.high,
        };
        rest.as_ref().filter(|_| !self.done).map(|entry| entry.as_ref().key)
    }

    /// The index that is scanned.
    pub fn tree(&self) -> &Arc<BTree> {
        &self.tree
    }

    fn clear_batch(&mut self) {
        self.rids.clear();
        self.parts.clear();
        self.bytes.clear();
    }

    fn read_forward(&mut self) -> Result<()> {
        let recycled = self.tree.recycled();
        let start = match &self.low {
            Some(low) => low.as_ref(),
            None => EntryRef::before(&[]),
        };
        let hinted = match self.hint.take() {
            Some(hint) => self.tree.follow_hint(&hint, start)?,
            None => None,
        };
        let (guard, from) = match hinted {
            Some(found) => found,
            None => self.tree.find_leaf(start.into())?,
        };
        let page = guard.bytes();
        let to = match &self.high {
            Some(high) => node::lower_bound(page, high.as_ref()),
            None => node::count(page),
        };
        if to.saturating_sub(from) > self.limit {
            let to = from + self.limit;
            self.low.get_or_insert_default().set(node::entry_at(page, to).as_ref());
            self.hint = Some(Hint { block: guard.key().block, recycled });
            copy_entries(page, from..to, self.fetch, &mut self.rids, &mut self.parts, &mut self.bytes);
            return Ok(());
        }
        // An entry at or above the range's end says as much as the high key, and is nearer.
        let ends_here = to < node::count(page);
        let next = if ends_here { None } else { node::high_key(page) };
        self.done = match (next, &self.high) {
            (None, _) => true,
            (Some(next), Some(high)) => next >= high.as_ref(),
            (Some(_), None) => false,
        };
        if let (Some(next), false) = (next, self.done) {
            self.low.get_or_insert_default().set(next);
            self.hint = node::right(page).map(|block| Hint { block, recycled });
        }
        copy_entries(page, from..to.max(from), self.fetch, &mut self.rids, &mut self.parts, &mut self.bytes);
        Ok(())
    }

    fn read_backward(&mut self) -> Result<()> {
        let (guard, bound) = self.tree.find_leaf_before(self.high.as_ref().map(EntryBuf::as_ref))?;
        let page = guard.bytes();
        let to = match &self.high {
            Some(high) => node::lower_bound(page, high.as_ref()),
            None => node::count(page),
        };
        let from = match &self.low {
            Some(low) => node::lower_bound(page, low.as_ref()),
            None => 0,
        };
        if to.saturating_sub(from) > self.limit {
            let from = to - self.limit;
            copy_entries(
                page,
                (from..to).rev(),
                self.fetch,
                &mut self.rids,
                &mut self.parts,
                &mut self.bytes,
            );
            self.high.get_or_insert_default().set(node::entry_at(page, from).as_ref());
            return Ok(());
        }
        self.done = match (&bound, &self.low) {
            (None, _) => true,
            (Some(bound), Some(low)) => bound <= low,
            (Some(_), None) => false,
        };
        copy_entries(
            page,
            (from..to.max(from)).rev(),
            self.fetch,
            &mut self.rids,
            &mut self.parts,
            &mut self.bytes,
        );
        self.high = bound;
        Ok(())
    }
}

/// Copies entries out of a latched page.
fn copy_entries(
    page: &node::Page,
    entries: impl Iterator<Item = usize>,
    fetch: ScanFetch,
    rids: &mut Vec<RowId>,
    parts: &mut Vec<(u32, u16, u32)>,
    bytes: &mut Vec<u8>,
) {
    for index in entries {
        if fetch == ScanFetch::RowIds {
            rids.push(node::rid_at(page, index));
            continue;
        }
        let start = bytes.len();
        node::append_key(page, index, bytes);
        let key_len = bytes.len() - start;
        let (rid, payload) = node::identity_at(page, index);
        bytes.extend_from_slice(payload);
        rids.push(RowId::from_u64(rid));
        parts.push((start as u32, key_len as u16, bytes.len() as u32));
    }
}

impl BTree {
    /// The leaf behind a right link, if it still is the one in which `start` lies.
    fn follow_hint(&self, hint: &Hint, start: EntryRef<'_>) -> Result<Option<(PageReadGuard, usize)>> {
        let guard = self.read_node(hint.block)?;
        let page = guard.bytes();
        if hint.recycled != self.recycled() || node::is_deleted(page) || !node::is_leaf(page) {
            return Ok(None);
        }
        let index = node::lower_bound(page, start);
        if index == node::count(page) && super::tree::is_beyond(page, start) {
            return Ok(None);
        }
        Ok(Some((guard, index)))
    }

    /// The leaf that holds what lies directly before `target` (`None`: the last leaf), latched for reading, and its
    /// lower bound (`None`: it is the first leaf).
    fn find_leaf_before(&self, target: Option<EntryRef<'_>>) -> Result<(PageReadGuard, Point)> {
        let mut journey = Journey::default();
        'restart: loop {
            let recycled = self.recycled();
            let mut block = ROOT;
            let mut bound: Point = None;
            loop {
                journey.visit(self, recycled, block)?;
                let guard = self.read_node(block)?;
                let page = guard.bytes();
                if recycled != self.recycled() || node::is_deleted(page) {
                    continue 'restart; // B4, B5
                }
                let beyond = match (node::high_key(page), target) {
                    (None, _) => false,
                    (Some(_), None) => true,
                    (Some(high), Some(target)) => target > high,
                };
                if beyond {
                    bound.get_or_insert_default().set(node::high_key(page).expect("it is beyond one"));
                    block = self.right_sibling(page, block)?;
                    continue;
                }
                if node::is_leaf(page) {
                    return Ok((guard, bound));
                }
                let count = node::count(page);
                if count == 0 {
                    return Err(corrupt(self.relation(), block, "is a branch without children"));
                }
                let index = match target {
                    Some(target) => node::child_index_before(page, target),
                    None => count - 1,
                };
                if index > 0 {
                    bound.get_or_insert_default().set(node::entry_at(page, index).as_ref());
                }
                block = node::child_at(page, index);
            }
        }
    }
}

/// Sets the point that a range begins at; false when it is behind everything.
fn set_low(point: &mut Point, bound: KeyBound<'_>) -> bool {
    match bound {
        KeyBound::Unbounded => *point = None,
        KeyBound::Included(key) | KeyBound::IncludedPrefix(key) => set(point, EntryRef::before(key)),
        KeyBound::Excluded(key) => set(point, EntryRef::after(key)),
        KeyBound::ExcludedPrefix(key) => return set_after_prefix(point, key),
    }
    true
}

/// Sets the point that a range ends at; false when it is before everything.
fn set_high(point: &mut Point, bound: KeyBound<'_>) -> bool {
    match bound {
        KeyBound::Unbounded => *point = None,
        KeyBound::Excluded(key) | KeyBound::ExcludedPrefix(key) => set(point, EntryRef::before(key)),
        KeyBound::Included(key) => set(point, EntryRef::after(key)),
        KeyBound::IncludedPrefix(key) => {
            if !set_after_prefix(point, key) {
                *point = None;
            }
        }
    }
    true
}

fn set(point: &mut Point, to: EntryRef<'_>) {
    point.get_or_insert_default().set(to);
}

/// Sets the point behind all keys with a prefix; false when nothing can be behind them.
fn set_after_prefix(point: &mut Point, prefix: &[u8]) -> bool {
    let Some(last) = prefix.iter().rposition(|byte| *byte != 0xff) else { return false };
    set(point, EntryRef::before(&prefix[..=last]));
    point.as_mut().expect("set above").key[last] += 1;
    true
}
