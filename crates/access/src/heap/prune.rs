//! Pruning: a writer short of space unlinks what nobody sees from the page it holds.
//!
//! # Role
//! Only versions on the page itself, only chains whose keys do not differ (H4), and no version with large values: the
//! collector does the rest.

use std::sync::atomic::Ordering;

use ochre_base::Result;
use ochre_storage::PageWriteGuard;
use ochre_txn::{OpenSnapshots, Transaction};
use smallvec::SmallVec;

use super::chain::Standing;
use super::edit::{PAGE_HAS_OLDER, kind};
use super::history::{OnPage, on_page_chain};
use super::record::{HeapRecord, info};
use super::version::{Info, Link, VersionHeader};
use super::{FRUITLESS_PRUNES, Heap};

/// Decides about versions for one pass over a page.
pub(super) struct Judge<'a> {
    heap: &'a Heap,
    transaction: Option<&'a Transaction>,
    open: Option<OpenSnapshots>,
    /// The youngest open snapshot that needs something which was kept.
    pub(super) kept_for: Option<ochre_base::Lsn>,
}

/// What a judge says about a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// Nobody sees it. The position is of the commit that ended it, if one did.
    Garbage(Option<ochre_base::Lsn>),
}

impl<'a> Judge<'a> {
    pub(super) fn new(heap: &'a Heap, transaction: Option<&'a Transaction>) -> Judge<'a> {
        Judge { heap, transaction, open: None, kept_for: None }
    }

    pub(super) fn open(&mut self) -> &OpenSnapshots {
        let manager = &self.heap.manager;
        self.open.get_or_insert_with(|| manager.open_snapshots())
    }

    pub(super) fn standing(&self, header: &VersionHeader) -> Standing {
        self.heap.standing(self.transaction, header)
    }

    /// Whether somebody may see a version that `successor` superseded: the interval rule.
    pub(super) fn judge(
        &mut self,
        version: (&VersionHeader, Standing),
        successor: (&VersionHeader, Standing),
    ) -> Verdict {
        if version.1 == Standing::Void {
            return Verdict::Garbage(None);
        }
        if successor.0.is_tombstone() {
            return Verdict::Keep; // H5
        }
        match (version.1, successor.1) {
            (Standing::Committed(from), Standing::Committed(to)) => match self.open().youngest_in(from, to) {
                None => match self.retained_by(version.0, successor.0) {
                    None => Verdict::Garbage(Some(to)),
                    Some(snapshot) => {
                        self.kept_for = self.kept_for.max(Some(snapshot));
                        Verdict::Keep
                    }
                },
                Some(snapshot) => {
                    self.kept_for = self.kept_for.max(Some(snapshot));
                    Verdict::Keep
                }
            },
            (Standing::Own(from), Standing::Own(to)) => {
                let needed = self.transaction.is_none_or(|t| t.needs_own_version(from, to));
                if needed { Verdict::Keep } else { Verdict::Garbage(None) }
            }
            _ => Verdict::Keep,
        }
    }

    /// A serializable snapshot for which a version must stay that nobody sees: who reads the row, or the place of its
    /// key in an index, has to find its creator.
    fn retained_by(&self, version: &VersionHeader, successor: &VersionHeader) -> Option<ochre_base::Lsn> {
        // A transaction's own last version tells of it as well.
        let is_last = version.xid != successor.xid;
        is_last.then(|| self.heap.manager.serializable_retains(version.xid)).flatten()
    }
}

enum Step {
    Free(u16),
    SetLink(u16, Link),
    Promote { from: u16, to: u16 },
}

/// A block and the newest commit in one word, for the memory of fruitless attempts.
fn attempt(page: &PageWriteGuard, newest: ochre_base::Lsn) -> u64 {
    (u64::from(page.key().block.0) << 32) ^ newest.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Heap {
    /// Whether pruning a page may find something: there are older versions, and since the last attempt in vain a
    /// transaction has committed.
    pub(super) fn prune_may_help(&self, page: &PageWriteGuard) -> bool {
        page.flags() & PAGE_HAS_OLDER != 0
            && self.fruitless_prunes[page.key().block.0 as usize % FRUITLESS_PRUNES].load(Ordering::Relaxed)
                != attempt(page, self.manager.newest())
    }

    /// Remembers that pruning a page did not make room.
    pub(super) fn note_fruitless_prune(&self, page: &PageWriteGuard) {
        let word = attempt(page, self.manager.newest());
        self.fruitless_prunes[page.key().block.0 as usize % FRUITLESS_PRUNES].store(word, Ordering::Relaxed);
    }

    /// Unlinks garbage from a page. One record, or none.
    pub(super) fn prune(&self, page: &mut PageWriteGuard, transaction: Option<&Transaction>) -> Result<()> {
        if page.flags() & PAGE_HAS_OLDER == 0 {
            return Ok(());
        }
        let mut judge = Judge::new(self, transaction);
        let mut record = HeapRecord::maintenance(info::PRUNE);
        let mut steps: SmallVec<[Step; 16]> = SmallVec::new();
        let mut older_left = false;
        for slot in 0..page.slot_count() {
            if !matches!(page.slot(slot).flags, kind::ROW | kind::MOVED) {
                continue;
            }
            let chain = on_page_chain(page, page.key().block, slot)?;
            if chain.len() < 2 {
                continue;
            }
            let is_row = page.slot(slot).flags == kind::ROW;
            let kept = plan_chain(&mut judge, &mut record, &chain, is_row, &mut steps);
            older_left |= kept > 1;
        }
        if steps.is_empty() && older_left {
            return Ok(());
        }
        self.storage.wal().reserve()?;
        let mut edit = record.edit(0, page);
        for step in &steps {
            match *step {
                Step::Free(slot) => edit.free(slot),
                Step::SetLink(slot, link) => edit.set_link(slot, link),
                Step::Promote { from, to } => edit.move_item(from, to, kind::ROW),
            }
        }
        if !older_left {
            let flags = edit.page().flags() & !PAGE_HAS_OLDER;
            edit.set_flags(flags);
        }
        record.append(&self.storage, &mut [page])?;
        let gone = steps.iter().filter(|step| !matches!(step, Step::SetLink(..))).count() as u64;
        match transaction {
            Some(transaction) => transaction.note_unlinked(self.relation, gone),
            None => self.manager.note_unlinked(self.relation, gone),
        }
        Ok(())
    }
}

/// Plans what to unlink from one chain; how many of its versions stay on the page.
fn plan_chain(
    judge: &mut Judge<'_>,
    record: &mut HeapRecord,
    chain: &OnPage,
    is_row: bool,
    steps: &mut SmallVec<[Step; 16]>,
) -> usize {
    if chain.iter().any(|(_, h)| h.info.has(Info::KEYS_DIFFER)) {
        return chain.len(); // H4
    }
    let tail = chain[chain.len() - 1].1.older;
    let mut kept: SmallVec<[(u16, VersionHeader); 8]> = SmallVec::new();
    let mut freed: SmallVec<[u16; 8]> = SmallVec::new();
    let mut successor: Option<(VersionHeader, Standing)> = None;
    for (slot, header) in chain {
        let standing = judge.standing(header);
        let verdict = match &successor {
            // What lies below nothing but void versions is the row itself; the first stays for its slot.
            None => Verdict::Keep,
            Some((newer, newer_standing)) => judge.judge((header, standing), (newer, *newer_standing)),
        };
        let removable = !header.info.has(Info::HAS_OVERFLOW) && !kept.is_empty();
        match verdict {
            Verdict::Garbage(until) if removable => {
                if let Some(lsn) = until {
                    record.removes_until(lsn);
                }
                freed.push(*slot);
            }
            _ => kept.push((*slot, *header)),
        }
        if standing != Standing::Void {
            successor = Some((*header, standing));
        }
    }
    // A void version on top of one that stays on the page gives it its slot.
    let first = kept[0];
    let promote = is_row
        && kept.len() > 1
        && judge.standing(&first.1) == Standing::Void
        && !first.1.info.has(Info::HAS_OVERFLOW);
    for pair in kept.windows(2) {
        let link_now = pair[0].1.older;
        let next = pair[1].0;
        if link_now.is_history() || link_now.at().slot != next {
            let block = link_now.at().block;
            steps.push(Step::SetLink(pair[0].0, Link::main(ochre_base::RowId { block, slot: next })));
        }
    }
    let last = kept[kept.len() - 1];
    if last.1.older != tail {
        steps.push(Step::SetLink(last.0, tail));
    }
    steps.extend(freed.into_iter().map(Step::Free));
    if promote {
        steps.push(Step::Promote { from: kept[1].0, to: first.0 });
        return kept.len() - 1;
    }
    kept.len()
}
