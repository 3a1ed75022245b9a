//! Unique checks: what the heap says about rows that an index lists under a key.

use std::sync::Arc;

use ochre_access::btree::{UniqueChecker, UniqueVerdict};
use ochre_access::heap::{Heap, Liveness, VersionRef};
use ochre_access::row::RowFlags;
use ochre_base::{CommandId, Result, RowId, Xid};

use crate::ExecContext;
use crate::codec::ImageDecoder;
use crate::index_entry::{Entry, EntryColumns};
use crate::relation::{IndexAccess, TableAccess};

/// Stands for the whole transaction where no single command is known to be in the way.
const WHOLE_TRANSACTION: CommandId = CommandId(u32::MAX);

/// Compares the versions of rows that may be live with a key.
pub struct HeapUniqueChecker<'a> {
    ctx: &'a ExecContext<'a>,
    heap: &'a Heap,
    index: &'a IndexAccess,
    key: &'a [u8],
    /// Of what the index is made of only: no snapshot protects large values of versions that may go.
    decoder: ImageDecoder,
    versions: Vec<KeptVersion>,
    entry: Entry,
    /// Whose command the last [`UniqueVerdict::Wait`] was about.
    waits_for: CommandId,
    /// The conflicting row was written by the running command itself.
    pub own_conflict: bool,
}

/// A version kept beyond its page's latch.
struct KeptVersion {
    payload: Vec<u8>,
    xid: Xid,
    cid: CommandId,
    schema_version: u16,
    flags: RowFlags,
    liveness: Liveness,
}

impl<'a> HeapUniqueChecker<'a> {
    /// A checker for one key of an index.
    pub fn new(
        ctx: &'a ExecContext<'a>,
        table: &'a TableAccess,
        heap: &'a Arc<Heap>,
        index: &'a IndexAccess,
        key: &'a [u8],
    ) -> Self {
        HeapUniqueChecker {
            ctx,
            heap,
            index,
            key,
            decoder: ImageDecoder::new(&table.codec, &index.exprs.columns_read()),
            versions: Vec::new(),
            entry: Entry::default(),
            waits_for: WHOLE_TRANSACTION,
            own_conflict: false,
        }
    }

    /// Whether a version has the key, and its entry is in the index.
    fn has_key(&mut self, rid: RowId, number: usize) -> Result<bool> {
        let kept = &self.versions[number];
        let version = VersionRef {
            rid,
            xid: kept.xid,
            cid: kept.cid,
            schema_version: kept.schema_version,
            recheck_keys: true,
            flags: kept.flags,
            payload: &kept.payload,
        };
        self.decoder.push(&version)?;
        let batch = self.decoder.take(self.heap)?;
        let columns = self.ctx.with_eval(|eval| EntryColumns::stored(self.index, &batch, eval))?;
        if !self.index.has_single_entries() {
            return columns.has_entry(self.index, 0, rid, self.key, None);
        }
        if !columns.is_included(0) {
            return Ok(false);
        }
        columns.write(self.index, 0, &mut self.entry)?;
        Ok(self.entry.key == self.key)
    }

    /// How many of `rows` are live and have the key; `None` after waiting for a transaction that decides about one.
    pub fn count_live(&mut self, rows: &[RowId]) -> Result<Option<usize>> {
        let mut live = 0;
        for rid in rows {
            match self.check(*rid)? {
                UniqueVerdict::Conflict => live += 1,
                UniqueVerdict::Wait(xid) => {
                    self.wait(xid)?;
                    return Ok(None);
                }
                UniqueVerdict::Dead => {}
            }
        }
        Ok(Some(live))
    }

    /// The first of `rows` that conflicts, after waiting for transactions that decide about one.
    pub fn find_conflict(&mut self, rows: &[RowId]) -> Result<Found> {
        for rid in rows {
            match self.check(*rid)? {
                UniqueVerdict::Conflict => return Ok(Found::Conflict(*rid)),
                UniqueVerdict::Wait(xid) => {
                    self.wait(xid)?;
                    return Ok(Found::Waited);
                }
                UniqueVerdict::Dead => {}
            }
        }
        Ok(Found::Nothing)
    }
}

/// What [`HeapUniqueChecker::find_conflict`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Nothing,
    Conflict(RowId),
    /// A transaction was waited for: look again.
    Waited,
}

impl UniqueChecker for HeapUniqueChecker<'_> {
    fn check(&mut self, rid: RowId) -> Result<UniqueVerdict> {
        let txn = self.ctx.statement.txn;
        self.versions.clear();
        let versions = &mut self.versions;
        self.heap.live_versions(txn, rid, |version, liveness| {
            versions.push(KeptVersion {
                payload: version.payload.to_vec(),
                xid: version.xid,
                cid: version.cid,
                schema_version: version.schema_version,
                flags: version.flags,
                liveness,
            });
            Ok(())
        })?;
        let mut verdict = UniqueVerdict::Dead;
        for number in 0..self.versions.len() {
            if !self.has_key(rid, number)? {
                continue;
            }
            let kept = &self.versions[number];
            match kept.liveness {
                Liveness::Live => {
                    self.own_conflict =
                        kept.xid == txn.xid() && kept.cid >= self.ctx.statement.snapshot.cid();
                    return Ok(UniqueVerdict::Conflict);
                }
                Liveness::Depends(xid) => {
                    self.waits_for = if kept.xid == xid { kept.cid } else { WHOLE_TRANSACTION };
                    verdict = UniqueVerdict::Wait(xid);
                }
            }
        }
        Ok(verdict)
    }

    fn wait(&mut self, xid: Xid) -> Result<()> {
        let txn = self.ctx.statement.txn;
        txn.manager().wait_for_version(txn, xid, self.waits_for)
    }
}
