//! What a chain of versions means for a writer, and for the collector.
//!
//! # Invariants
//! - C1: for the collector nothing is void whose creator still runs, or is just being published: index entries of it may
//!   be in an index that nobody but its creator knows by then.

use ochre_base::{BlockNo, CommandId, Lsn, Result, Xid};
use ochre_storage::Page;
use ochre_txn::{Outcome, Transaction};

use super::Heap;
use super::version::VersionHeader;

/// What became of one version's creator, from a transaction's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody will ever see it: its transaction aborted, or rolled its command back.
    Void,
    /// Written by the asking transaction.
    Own(CommandId),
    /// Written by another transaction that still runs.
    Running(Xid, CommandId),
    Committed(Lsn),
}

/// The newest version of a row that is not void.
#[derive(Debug, Clone, Copy)]
pub(super) struct Current {
    pub(super) header: VersionHeader,
    pub(super) standing: Standing,
    /// Whether it is the first of the chain: no void version lies on top of it.
    pub(super) is_first: bool,
}

impl Heap {
    /// Where a version stands for a transaction, or for the collector.
    pub(super) fn standing(&self, transaction: Option<&Transaction>, header: &VersionHeader) -> Standing {
        if let Some(own) = transaction
            && own.xid() == header.xid
        {
            return if own.is_dead(header.cid) { Standing::Void } else { Standing::Own(header.cid) };
        }
        let outcomes = self.manager.outcomes();
        match outcomes.outcome(header.xid) {
            Outcome::Aborted => Standing::Void,
            Outcome::Running { has_dead: true } if outcomes.is_dead(header.xid, header.cid) => {
                match transaction {
                    Some(_) => Standing::Void,
                    None => Standing::Running(header.xid, header.cid), // C1
                }
            }
            Outcome::Committed { has_dead: true, lsn } if outcomes.is_dead(header.xid, header.cid) => {
                match transaction {
                    None if lsn > self.manager.newest() => Standing::Running(header.xid, header.cid), // C1
                    _ => Standing::Void,
                }
            }
            Outcome::Running { .. } => Standing::Running(header.xid, header.cid),
            Outcome::Committed { lsn, .. } => Standing::Committed(lsn),
        }
    }

    /// The newest version that is not void, in the chain that begins with `first` on a page.
    pub(super) fn current(
        &self,
        transaction: &Transaction,
        page: &Page,
        block: BlockNo,
        first: VersionHeader,
    ) -> Result<Option<Current>> {
        let mut header = first;
        let mut is_first = true;
        loop {
            let standing = self.standing(Some(transaction), &header);
            if standing != Standing::Void {
                return Ok(Some(Current { header, standing, is_first }));
            }
            if header.older.is_none() {
                return Ok(None);
            }
            is_first = false;
            header = self.with_version(page, block, header.older, |header, _| *header)?;
        }
    }
}
