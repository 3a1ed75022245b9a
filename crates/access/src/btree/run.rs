//! Inserting many entries: those that go to the same leaf share a descent, a latch and a log record.
//!
//! Made for COPY and INSERT of many rows. Entries are taken in the order given, so that the first conflict met is the
//! first in that order; sorting a run first lets more of them share a leaf.

use ochre_base::{Error, Result, RowId, Xid};
use ochre_storage::{BlockFlags, PageWriteGuard};

use super::insert::{NO_CHILD, check_size};
use super::node::{self, EntryRef};
use super::redo::{self, RecordKind};
use super::tree::{BTree, is_beyond, with_record};
use super::unique::stripe_of;

/// A record gets no more entries once its data is this long.
const RECORD_LIMIT_BYTES: usize = 16 * 1024;

/// Entries to be inserted, in the order in which their rows were.
#[derive(Debug, Default)]
pub struct EntryRun {
    bytes: Vec<u8>,
    entries: Vec<NewEntry>,
}

#[derive(Debug, Clone, Copy)]
struct NewEntry {
    start: usize,
    key_len: usize,
    payload_len: usize,
    rid: RowId,
    unique: bool,
    number: usize,
}

impl EntryRun {
    /// Forgets all entries and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Adds an entry. With `unique` it is inserted only while no other entry has its key. The `number` is the caller's.
    pub fn push(&mut self, key: &[u8], payload: &[u8], rid: RowId, unique: bool, number: usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(payload);
        let (key_len, payload_len) = (key.len(), payload.len());
        self.entries.push(NewEntry { start, key_len, payload_len, rid, unique, number });
    }

    /// Puts the entries in the order of their keys, equal ones in that of their numbers: fewer leaves are visited.
    pub fn sort(&mut self) {
        let key = |entry: &NewEntry| &self.bytes[entry.start..][..entry.key_len];
        let order = |a: &NewEntry, b: &NewEntry| key(a).cmp(key(b)).then(a.number.cmp(&b.number));
        self.entries.sort_unstable_by(order);
    }

    /// The number that an entry was given.
    ///
    /// # Panics
    /// When there is no such entry.
    pub fn number(&self, index: usize) -> usize {
        self.entries[index].number
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Key, payload and row of an entry.
    ///
    /// # Panics
    /// When there is no such entry.
    pub fn entry(&self, index: usize) -> (&[u8], &[u8], RowId) {
        let entry = self.entry_ref(index);
        (entry.key, entry.payload, self.entries[index].rid)
    }

    fn entry_ref(&self, index: usize) -> EntryRef<'_> {
        let entry = &self.entries[index];
        let (key, rest) = self.bytes[entry.start..].split_at(entry.key_len);
        EntryRef::new(key, entry.rid, &rest[..entry.payload_len])
    }

    /// Where the search for an entry's place begins: a unique one must see all that have its key.
    fn target(&self, index: usize) -> EntryRef<'_> {
        let entry = self.entry_ref(index);
        if self.entries[index].unique { EntryRef::before(entry.key) } else { entry }
    }
}

/// Why the work on a leaf ended.
enum LeafEnd {
    /// The next entry goes to another leaf, or the record is long enough.
    Next,
    /// The leaf has no room for the next entry, which would come before its so-many-th.
    Full(usize),
    /// Another entry may have the next one's key.
    Conflict,
}

impl BTree {
    /// Inserts the entries of a run from the `from`-th on. Returns the number of the first entry that was not inserted:
    /// the run's length when all were. One that was not may have a key that is there already; the caller gives it to
    /// [`BTree::insert_unique`], which asks the heap and waits, and goes on behind it.
    ///
    /// # Errors
    /// As [`BTree::insert`]. Entries before the one concerned are inserted.
    pub fn insert_run(&self, xid: Xid, run: &EntryRun, from: usize) -> Result<usize> {
        let mut next = from;
        while next < run.len() {
            let entry = run.entry_ref(next);
            check_size(entry.key, entry.payload)?;
            self.storage.wal().reserve()?;
            let target = run.target(next);
            let leaf = match self.try_rightmost(target)? {
                Some(leaf) => leaf,
                None => self.find_for_write(0, target)?,
            };
            if node::is_incomplete(leaf.bytes()) {
                self.complete_split(xid, leaf)?;
                continue;
            }
            let (leaf, end) = self.insert_run_into_leaf(xid, leaf, run, &mut next)?;
            match end {
                LeafEnd::Next => {}
                LeafEnd::Full(index) => self.split(xid, leaf, index, run.entry_ref(next))?,
                LeafEnd::Conflict => return Ok(next),
            }
        }
        Ok(next)
    }

    /// Inserts what of the run belongs on this leaf, where the next entry does. Moves `next` on.
    fn insert_run_into_leaf(
        &self,
        xid: Xid,
        mut leaf: PageWriteGuard,
        run: &EntryRun,
        next: &mut usize,
    ) -> Result<(PageWriteGuard, LeafEnd)> {
        let first = *next;
        let end = with_record(RecordKind::Insert, xid, |record| {
            record.block(BlockFlags::CHANGE);
            let mut inserted = false;
            let mut logged_bytes = 0;
            let end = loop {
                if *next == run.len() || logged_bytes > RECORD_LIMIT_BYTES {
                    break LeafEnd::Next;
                }
                let entry = run.entry_ref(*next);
                let target = run.target(*next);
                let page = leaf.bytes();
                let index = node::lower_bound(page, target);
                // Above the first one, or above an entry of this page, is above the page's lower bound.
                let in_range = *next == first || index > 0 || target >= run.target(first);
                if !in_range
                    || (index == node::count(page) && is_beyond(page, target))
                    || check_size(entry.key, entry.payload).is_err()
                {
                    break LeafEnd::Next;
                }
                match self.place_on_leaf(&mut leaf, index, entry, run.entries[*next].unique) {
                    Place::Inserted => {
                        redo::put_insert(record, index, entry);
                        logged_bytes += redo::INSERT_HEADER_BYTES + entry.key.len() + entry.payload.len();
                        inserted = true;
                    }
                    Place::Present => {}
                    Place::Full => break LeafEnd::Full(index),
                    Place::Taken => break LeafEnd::Conflict,
                }
                *next += 1;
            };
            if inserted {
                self.storage.wal().append(record, &mut [&mut leaf])?;
            }
            Ok::<_, Error>(end)
        })?;
        Ok((leaf, end))
    }

    /// Puts one entry on the leaf where it belongs, before the `index`-th.
    fn place_on_leaf(
        &self,
        leaf: &mut PageWriteGuard,
        index: usize,
        entry: EntryRef<'_>,
        unique: bool,
    ) -> Place {
        // Not waited for: the stripe comes before the latch. Held until the entry is on the page, it makes sure that
        // nobody who has seen other entries of this key goes on without this one.
        let stripe = match unique.then(|| self.unique_stripes[stripe_of(entry.key)].0.try_lock()) {
            None => None,
            Some(Some(stripe)) => Some(stripe),
            Some(None) => return Place::Taken,
        };
        let page = leaf.bytes();
        if unique && node::may_hold_key(page, index, entry.key) {
            return Place::Taken;
        }
        let count = node::count(page);
        if !unique && index < count && node::entry_equals(page, index, entry) {
            return Place::Present;
        }
        if self.should_leave_room(leaf, index) || !node::insert(leaf.bytes_mut(), index, entry, NO_CHILD) {
            return Place::Full;
        }
        drop(stripe);
        Place::Inserted
    }
}

/// What became of an entry on a leaf.
enum Place {
    Inserted,
    Present,
    Full,
    /// Another entry has the key or may have it.
    Taken,
}
