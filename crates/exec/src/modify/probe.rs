//! Looking a referenced key up, and locking its row.
//!
//! # How
//! One descent of the referenced index and one look at the row, without a plan. Under READ COMMITTED the row counts as it
//! is now; above, it must be one that the transaction's snapshot sees, and still be that. A key of a partitioned table is
//! looked up in the partition that takes rows with it.
//!
//! # Differences
//! Rows of partitioned tables count as they are now at every level, as PostgreSQL has it: it looks them up under a new
//! snapshot, so that partitions that are being detached are not seen.

use std::sync::Arc;

use ochre_access::heap::{Heap, KeyShare, RowWait, VersionRef, WriteOutcome, serialization_failure};
use ochre_base::{Error, Result, RowId};
use ochre_sql::physical::ReferenceRouting;
use ochre_txn::Snapshot;
use ochre_types::Datum;
use ochre_types::key::decode_key;

use crate::ExecContext;
use crate::codec::RowDecoder;
use crate::index_entry::{Entry, EntryColumns};
use crate::modify::recheck::moved_away;
use crate::modify::reference::Reference;
use crate::relation::{IndexAccess, TableAccess};

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
    /// Where the key is that is looked for.
    place: Option<Place>,
    /// The partition that it is of, by its number.
    leaf: usize,
    /// The transaction's own snapshot, when a row must be seen by it.
    strict: Option<Snapshot>,
    /// Whether a row that went while it was waited for fails the transaction.
    serializes: bool,
    locks: bool,
    rows: Vec<RowId>,
    entry: Entry,
}

/// A table with rows, and the index to look into.
struct Place {
    table: Arc<TableAccess>,
    heap: Arc<Heap>,
    index: Arc<IndexAccess>,
    /// Made when a row's key must be compared.
    decoder: Option<RowDecoder>,
}

impl Place {
    fn new(table: Arc<TableAccess>, index: Arc<IndexAccess>) -> Result<Place> {
        let heap = Arc::clone(table.heap()?);
        Ok(Place { table, heap, index, decoder: None })
    }
}

impl<'a> Probe<'a> {
    /// A probe of the index that a foreign key refers to.
    ///
    /// # Errors
    /// 53400 when too many snapshots are open.
    pub fn new(ctx: &ExecContext<'_>, reference: &'a Reference, hold: Hold) -> Result<Probe<'a>> {
        let txn = ctx.statement.txn;
        let has_snapshot = txn.isolation().uses_transaction_snapshot();
        let routed = reference.plan.routing.is_some();
        let strict = match hold {
            Hold::KeyShare { as_seen: true } if has_snapshot && !routed => Some(txn.current_snapshot()?),
            Hold::KeyShare { .. } => None,
            Hold::Nothing => Some(txn.newest_snapshot()?),
        };
        let place = match &reference.index {
            Some(index) => Some(Place::new(Arc::clone(&reference.parent), Arc::clone(index))?),
            None => None,
        };
        Ok(Probe {
            reference,
            place,
            leaf: usize::MAX,
            serializes: strict.is_some() || (has_snapshot && hold == Hold::KeyShare { as_seen: true }),
            strict,
            locks: hold != Hold::Nothing,
            rows: Vec::new(),
            entry: Entry::default(),
        })
    }

    /// Whether there is a row with a key.
    ///
    /// # Errors
    /// 40001 when the transaction's snapshot sees one that has gone or changed its key since; errors of waiting.
    pub fn find(&mut self, ctx: &ExecContext<'_>, key: &[u8]) -> Result<bool> {
        if let Some(routing) = &self.reference.plan.routing
            && !self.enter_partition(ctx, routing, key)?
        {
            return Ok(false);
        }
        let Some(mut place) = self.place.take() else { return Ok(false) };
        let found = self.find_in(ctx, &mut place, key);
        self.place = Some(place);
        found
    }

    /// Goes to the partition that takes rows with a key; whether there is one.
    fn enter_partition(
        &mut self,
        ctx: &ExecContext<'_>,
        routing: &ReferenceRouting,
        mut key: &[u8],
    ) -> Result<bool> {
        let mut values: Vec<Datum> = Vec::with_capacity(self.reference.keys.len());
        for (ty, order) in &self.reference.keys {
            values.push(decode_key(*ty, *order, &mut key)?);
        }
        let value = |column: usize| {
            let place = routing.columns.iter().position(|known| *known == column)?;
            values.get(place).cloned()
        };
        let Some(number) = routing.root.find_leaf(&value)? else { return Ok(false) };
        if self.leaf != number || self.place.is_none() {
            let leaf = routing.leaves[number];
            let table = ctx.statement.relations.table_by_oid(leaf.table)?;
            let index = Arc::clone(table.index(leaf.index)?);
            self.place = Some(Place::new(table, index)?);
            self.leaf = number;
        }
        Ok(true)
    }

    fn find_in(&mut self, ctx: &ExecContext<'_>, place: &mut Place, key: &[u8]) -> Result<bool> {
        loop {
            self.rows.clear();
            place.index.tree.lookup_equal(key, &mut self.rows)?;
            let mut waited = false;
            for number in 0..self.rows.len() {
                if self.check(ctx, place, key, self.rows[number], &mut waited)? {
                    return Ok(true);
                }
            }
            // Who was waited for may have put another row in the place of the one that went.
            if !waited {
                return Ok(false);
            }
        }
    }

    fn check(
        &mut self,
        ctx: &ExecContext<'_>,
        place: &mut Place,
        key: &[u8],
        rid: RowId,
        waited: &mut bool,
    ) -> Result<bool> {
        if let Some(snapshot) = &self.strict {
            let (table, decoder) = (&place.table, &mut place.decoder);
            let seen = place
                .heap
                .fetch(snapshot, rid, |version| keep(table, decoder, &version, !version.recheck_keys))?;
            match seen.transpose()? {
                None => return Ok(false),
                Some(false) if !self.has_key(ctx, place, key)? => return Ok(false),
                Some(_) => {}
            }
        }
        if !self.locks {
            return Ok(true);
        }
        let strict = self.strict.is_some();
        let mut wait = RowWait::default();
        let mut outcome = lock(ctx, place, rid, strict, &mut wait)?;
        if let KeyShare::Contended(known) = outcome {
            // Whoever gives a row this key is not waited for, only who takes it from one.
            if !known? && !self.has_key(ctx, place, key)? {
                return Ok(false);
            }
            outcome = lock(ctx, place, rid, true, &mut wait)?;
        }
        *waited |= wait.waited;
        // Where rows count as they are now, one that went before it was looked for was not there.
        let fails = strict || (self.serializes && wait.waited);
        match outcome {
            KeyShare::Contended(_) => Err(Error::internal("a wait for a row ended while the row is changed")),
            KeyShare::Gone | KeyShare::Moved if fails => Err(serialization_failure(WriteOutcome::Changed)),
            // It was there when the wait began.
            KeyShare::Moved if wait.waited => Err(moved_away()),
            KeyShare::Gone | KeyShare::Moved => Ok(false),
            KeyShare::Locked(known) => {
                if known? || self.has_key(ctx, place, key)? {
                    return Ok(true);
                }
                if fails { Err(serialization_failure(WriteOutcome::Changed)) } else { Ok(false) }
            }
        }
    }

    /// Whether the row that was decoded has a key.
    fn has_key(&mut self, ctx: &ExecContext<'_>, place: &mut Place, key: &[u8]) -> Result<bool> {
        let Some(decoder) = &mut place.decoder else { return Ok(false) };
        let batch = decoder.take(&place.heap)?;
        let index = &place.index;
        let columns = ctx.with_eval(|eval| EntryColumns::compute(index, &batch, eval))?;
        columns.write(index, 0, &mut self.entry)?;
        Ok(columns.is_included(0) && self.entry.key == key)
    }
}

/// Locks a row; tells whether it is known to be the one that the index named, else it is decoded.
fn lock(
    ctx: &ExecContext<'_>,
    place: &mut Place,
    rid: RowId,
    block: bool,
    wait: &mut RowWait,
) -> Result<KeyShare<Result<bool>>> {
    let (table, decoder) = (&place.table, &mut place.decoder);
    // What the statement's snapshot sees is the row that the index named: its slot was not given to another since.
    let snapshot = ctx.statement.snapshot;
    place.heap.lock_key_share(ctx.statement.txn, rid, block, wait, |version| {
        let known = !version.recheck_keys && snapshot.sees(version.xid, version.cid);
        keep(table, decoder, &version, known)
    })
}

/// Keeps a version for a comparison of keys, unless its key is known; tells whether it is.
fn keep(
    table: &TableAccess,
    decoder: &mut Option<RowDecoder>,
    version: &VersionRef<'_>,
    known: bool,
) -> Result<bool> {
    if !known {
        let decoder = decoder.get_or_insert_with(|| RowDecoder::all_columns(&table.codec));
        decoder.push(version)?;
    }
    Ok(known)
}
