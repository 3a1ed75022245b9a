//! What a chain of versions means for a writer, and for the collector.
//!
//! # Invariants
//! - C1: for the collector nothing is void whose creator still runs, or is just being published: index entries of it may
//!   be in an index that nobody but its creator knows by then.

use ochre_base::{BlockNo, CommandId, Error, Lsn, Result, Xid};
use ochre_storage::Page;
use ochre_txn::{Outcome, Transaction};

use super::Heap;
use super::version::{Link, VersionHeader};

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

/// A walk along a chain: one that goes in a circle is damaged, and must end (Brent's algorithm).
#[derive(Debug, Default)]
pub(super) struct Walk {
    mark: Link,
    steps: u32,
    /// Steps at which the mark is set anew.
    next_mark: u32,
}

impl Walk {
    /// Goes along a link that leads somewhere.
    ///
    /// # Errors
    /// XX001 when it was here before, sooner or later.
    pub(super) fn pass(&mut self, link: Link) -> Result<()> {
        if link == self.mark {
            return Err(Error::corrupt(format!("the versions of a row at {} link in a circle", link.at())));
        }
        if self.steps >= self.next_mark {
            (self.mark, self.next_mark) = (link, self.steps.saturating_mul(2).saturating_add(1));
        }
        self.steps = self.steps.saturating_add(1);
        Ok(())
    }
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
        let mut walk = Walk::default();
        loop {
            let standing = self.standing(Some(transaction), &header);
            if standing != Standing::Void {
                return Ok(Some(Current { header, standing, is_first }));
            }
            if header.older.is_none() {
                return Ok(None);
            }
            is_first = false;
            walk.pass(header.older)?;
            header = self.with_version(page, block, header.older, |header, _| *header)?;
        }
    }
}
