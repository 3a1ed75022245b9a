//! Looking a referenced key up, and locking its row.
//!
//! # How
//! One descent of the referenced index and one look at the row, without a plan. Under READ COMMITTED the row counts as it
//! is now; above, it must be one that the transaction's snapshot sees, and still be that.

use std::sync::Arc;

use ochre_access::heap::{Heap, KeyShare, RowWait, VersionRef, WriteOutcome, serialization_failure};
use ochre_base::{Error, Result, RowId};
use ochre_txn::Snapshot;

use crate::ExecContext;
use crate::codec::RowDecoder;
use crate::index_entry::{Entry, EntryColumns};
use crate::modify::recheck::moved_away;
use crate::modify::reference::Reference;

/// Whether the rows that are found are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// FOR KEY SHARE; with `as_seen` only rows that the transaction's snapshot sees count, where it has one.
    KeyShare { as_seen: bool },
    /// Not at all: the table is locked against changes.
    Nothing,
}

/// Looks up keys of one index.
pub struct Probe<'a> {
    reference: &'a Reference,
    heap: &'a Arc<Heap>,
    /// The transaction's own snapshot, when a row must be seen by it.
    strict: Option<Snapshot>,
    locks: bool,
    rows: Vec<RowId>,
    /// Made when a row's key must be compared.
    decoder: Option<RowDecoder>,
    entry: Entry,
}

impl<'a> Probe<'a> {
    /// A probe of the index that a foreign key refers to.
    ///
    /// # Errors
    /// 53400 when too many snapshots are open.
    pub fn new(ctx: &ExecContext<'_>, reference: &'a Reference, hold: Hold) -> Result<Probe<'a>> {
        let txn = ctx.statement.txn;
        let strict = match hold {
            Hold::KeyShare { as_seen: true } if txn.isolation().uses_transaction_snapshot() => {
                Some(txn.current_snapshot()?)
            }
            Hold::KeyShare { .. } => None,
            Hold::Nothing => Some(txn.newest_snapshot()?),
        };
        Ok(Probe {
            reference,
            heap: reference.parent.heap()?,
            strict,
            locks: hold != Hold::Nothing,
            rows: Vec::new(),
            decoder: None,
            entry: Entry::default(),
        })
    }

    /// Whether there is a row with a key.
    ///
    /// # Errors
    /// 40001 when the transaction's snapshot sees one that has gone or changed its key since; errors of waiting.
    pub fn find(&mut self, ctx: &ExecContext<'_>, key: &[u8]) -> Result<bool> {
        loop {
            self.rows.clear();
            self.reference.index.tree.lookup_equal(key, &mut self.rows)?;
            let mut waited = false;
            for number in 0..self.rows.len() {
                if self.check(ctx, key, self.rows[number], &mut waited)? {
                    return Ok(true);
                }
            }
            // Who was waited for may have put another row in the place of the one that went.
            if !waited {
                return Ok(false);
            }
        }
    }

    fn check(&mut self, ctx: &ExecContext<'_>, key: &[u8], rid: RowId, waited: &mut bool) -> Result<bool> {
        if let Some(snapshot) = &self.strict {
            let (reference, decoder) = (self.reference, &mut self.decoder);
            let seen = self
                .heap
                .fetch(snapshot, rid, |version| keep(reference, decoder, &version, !version.recheck_keys))?;
            match seen.transpose()? {
                None => return Ok(false),
                Some(false) if !self.has_key(ctx, key)? => return Ok(false),
                Some(_) => {}
            }
        }
        if !self.locks {
            return Ok(true);
        }
        let strict = self.strict.is_some();
        let mut wait = RowWait::default();
        let mut outcome = self.lock(ctx, rid, strict, &mut wait)?;
        if let KeyShare::Contended(known) = outcome {
            // Whoever gives a row this key is not waited for, only who takes it from one.
            if !known? && !self.has_key(ctx, key)? {
                return Ok(false);
            }
            outcome = self.lock(ctx, rid, true, &mut wait)?;
        }
        *waited |= wait.waited;
        match outcome {
            KeyShare::Contended(_) => Err(Error::internal("a wait for a row ended while the row is changed")),
            KeyShare::Gone | KeyShare::Moved if strict => Err(serialization_failure(WriteOutcome::Changed)),
            // It was there when the wait began.
            KeyShare::Moved if wait.waited => Err(moved_away()),
            KeyShare::Gone | KeyShare::Moved => Ok(false),
            KeyShare::Locked(known) => {
                if known? || self.has_key(ctx, key)? {
                    return Ok(true);
                }
                if strict { Err(serialization_failure(WriteOutcome::Changed)) } else { Ok(false) }
            }
        }
    }

    /// Locks a row; tells whether it is known to be the one that the index named, else it is decoded.
    fn lock(
        &mut self,
        ctx: &ExecContext<'_>,
        rid: RowId,
        block: bool,
        wait: &mut RowWait,
    ) -> Result<KeyShare<Result<bool>>> {
        let (reference, decoder) = (self.reference, &mut self.decoder);
        // What the statement's snapshot sees is the row that the index named: its slot was not given to another since.
        let snapshot = ctx.statement.snapshot;
        self.heap.lock_key_share(ctx.statement.txn, rid, block, wait, |version| {
            let known = !version.recheck_keys && snapshot.sees(version.xid, version.cid);
            keep(reference, decoder, &version, known)
        })
    }

    /// Whether the row that was decoded has a key.
    fn has_key(&mut self, ctx: &ExecContext<'_>, key: &[u8]) -> Result<bool> {
        let Some(decoder) = &mut self.decoder else { return Ok(false) };
        let batch = decoder.take(self.heap)?;
        let index = &self.reference.index;
        let columns = ctx.with_eval(|eval| EntryColumns::compute(index, &batch, eval))?;
        columns.write(index, 0, &mut self.entry)?;
        Ok(columns.is_included(0) && self.entry.key == key)
    }
}

/// Keeps a version for a comparison of keys, unless its key is known; tells whether it is.
fn keep(
    reference: &Reference,
    decoder: &mut Option<RowDecoder>,
    version: &VersionRef<'_>,
    known: bool,
) -> Result<bool> {
    if !known {
        let decoder = decoder.get_or_insert_with(|| RowDecoder::all_columns(&reference.parent.codec));
        decoder.push(version)?;
    }
    Ok(known)
}
