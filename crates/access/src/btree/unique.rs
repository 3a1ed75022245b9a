//! Unique insertion.

use ochre_base::{Result, RowId, Xid};

use super::insert::check_size;
use super::node::{self, EntryRef};
use super::tree::BTree;

/// Mutexes of one index, over which keys are spread.
pub(crate) const UNIQUE_STRIPES: usize = 32;

/// What the heap says about a row that has the key of an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueVerdict {
    /// The row has the key and is there: the insertion fails.
    Conflict,
    /// Whether it has depends on a transaction that still runs.
    Wait(Xid),
    /// No version of the row with this key is or may become live.
    Dead,
}

/// Asked about each row that an index lists under the key of an insertion.
pub trait UniqueChecker {
    /// Looks at the row. May latch heap pages; no index latch is held.
    ///
    /// # Errors
    /// Ends the insertion.
    fn check(&mut self, rid: RowId) -> Result<UniqueVerdict>;

    /// Waits until the transaction has ended. Nothing is held.
    ///
    /// # Errors
    /// Ends the insertion: a deadlock, a timeout, a cancelled statement.
    fn wait(&mut self, xid: Xid) -> Result<()>;
}

/// How a unique insertion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueOutcome {
    /// The entry is there and no other row has its key.
    Inserted,
    /// This row has the key. Nothing was inserted.
    Conflict(RowId),
}

impl BTree {
    /// Adds an entry unless another row has its key. Waits, through the checker, for transactions that decide about it.
    ///
    /// For keys that are never equal to another (a NULL among them, unless NULLS NOT DISTINCT) call
    /// [`BTree::insert`].
    ///
    /// # Errors
    /// As [`BTree::insert`], and what the checker returns.
    pub fn insert_unique(
        &self,
        xid: Xid,
        key: &[u8],
        payload: &[u8],
        rid: RowId,
        checker: &mut dyn UniqueChecker,
    ) -> Result<UniqueOutcome> {
        check_size(key, payload)?;
        let entry = EntryRef::new(key, rid, payload);
        let mut others = Vec::new();
        loop {
            let stripe = self.unique_stripes[stripe_of(key)].0.lock();
            if self.insert_if_alone(xid, entry)? {
                return Ok(UniqueOutcome::Inserted);
            }
            others.clear();
            self.lookup_equal(key, &mut others)?;
            match verdict(checker, &others, rid)? {
                Found::Conflict(other) => return Ok(UniqueOutcome::Conflict(other)),
                Found::Nothing => {
                    self.insert(xid, key, payload, rid)?;
                    return Ok(UniqueOutcome::Inserted);
                }
                Found::Running(other) => {
                    drop(stripe);
                    checker.wait(other)?;
                }
            }
        }
    }

    /// Inserts with one descent when no entry has the key; false when there may be one.
    fn insert_if_alone(&self, xid: Xid, entry: EntryRef<'_>) -> Result<bool> {
        self.storage.wal().reserve()?;
        let first = EntryRef::before(entry.key);
        // When the page's first entry is below all entries of the key, they begin on this page.
        let mut guard = self.try_rightmost(first)?;
        loop {
            let leaf = match guard.take() {
                Some(leaf) => leaf,
                None => self.find_for_write(0, first)?,
            };
            let page = leaf.bytes();
            let index = node::lower_bound(page, first);
            if node::may_hold_key(page, index, entry.key) {
                return Ok(false);
            }
            if self.insert_into_leaf(xid, leaf, entry)?.is_some() {
                return Ok(true);
            }
        }
    }
}

enum Found {
    Nothing,
    Conflict(RowId),
    Running(Xid),
}

/// Asks about all rows: a conflict that is certain counts before one that must be waited for.
fn verdict(checker: &mut dyn UniqueChecker, others: &[RowId], own: RowId) -> Result<Found> {
    let mut found = Found::Nothing;
    let mut last = None;
    for &other in others {
        if other == own || last.replace(other) == Some(other) {
            continue; // the row's own older entry; one row under several payloads
        }
        match checker.check(other)? {
            UniqueVerdict::Conflict => return Ok(Found::Conflict(other)),
            UniqueVerdict::Wait(xid) => found = Found::Running(xid),
            UniqueVerdict::Dead => {}
        }
    }
    Ok(found)
}

/// Which mutex goes with a key.
pub(super) fn stripe_of(key: &[u8]) -> usize {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash >> 32) ^ hash) as usize % UNIQUE_STRIPES
}
