//! Checks of a heap's pages, for `ochre check`.

use std::fmt;

use hashbrown::{HashMap, HashSet};
use ochre_base::{BlockNo, Fork, Result, RowId};
use ochre_storage::{Page, PageKind};

use super::Heap;
use super::edit::{PAGE_ALL_VISIBLE, kind};
use super::history::version_in;
use super::overflow::piece;
use super::read::{forward_target, split_moved};
use super::version::Link;
use crate::row::overflow_references;

/// Something wrong with a heap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeapProblem {
    /// Where.
    pub at: RowId,
    /// In the history fork rather than in the main one.
    pub in_history: bool,
    /// What.
    pub what: String,
}

impl fmt::Display for HeapProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fork = if self.in_history { "history " } else { "" };
        write!(f, "{fork}{}: {}", self.at, self.what)
    }
}

struct Check<'a> {
    heap: &'a Heap,
    problems: Vec<HeapProblem>,
    /// Slots of the history fork that a chain or a value has come to.
    reached: HashSet<RowId>,
    /// Where rows that have left home are said to live.
    moved: HashMap<RowId, RowId>,
}

impl Heap {
    /// Checks every page of the relation: slots, chains, stubs, large values, the visibility map. Nobody may write
    /// meanwhile. What it finds wrong is in the answer.
    ///
    /// # Errors
    /// When a page cannot be read at all.
    pub fn check(&self) -> Result<Vec<HeapProblem>> {
        let mut check =
            Check { heap: self, problems: Vec::new(), reached: HashSet::new(), moved: HashMap::new() };
        let blocks = self.block_count()?;
        for block in 0..blocks {
            check.stubs(BlockNo(block))?;
        }
        for block in 0..blocks {
            check.page(BlockNo(block))?;
        }
        for (away, home) in std::mem::take(&mut check.moved) {
            check.say(home, format!("its stub leads to {away}, where it is not"));
        }
        check.history()?;
        Ok(check.problems)
    }
}

impl Check<'_> {
    fn say(&mut self, at: RowId, what: impl Into<String>) {
        self.problems.push(HeapProblem { at, in_history: false, what: what.into() });
    }

    fn stubs(&mut self, block: BlockNo) -> Result<()> {
        let page = self.heap.read_page(block)?;
        for slot in 0..page.slot_count() {
            if page.slot(slot).flags == kind::FORWARD {
                let home = RowId { block, slot };
                let away = forward_target(page.row(slot).unwrap_or_default())?;
                if self.moved.insert(away, home).is_some() {
                    self.say(home, format!("another stub leads to {away} too"));
                }
            }
        }
        Ok(())
    }

    fn page(&mut self, block: BlockNo) -> Result<()> {
        let page = self.heap.read_page(block)?;
        let at = |slot| RowId { block, slot };
        if page.is_unused() {
            return Ok(());
        }
        if page.kind() != PageKind::HEAP {
            self.say(at(0), format!("the page is of kind {}", page.kind().name()));
            return Ok(());
        }
        if let Err(what) = page.verify_slots() {
            self.say(at(0), what);
            return Ok(());
        }
        let unused = (0..page.slot_count()).filter(|n| page.slot(*n).is_unused()).count();
        if unused != page.kind_number() as usize {
            self.say(at(0), format!("{unused} unused slots, where {} are counted", page.kind_number()));
        }
        let mut older: HashSet<u16> =
            (0..page.slot_count()).filter(|n| page.slot(*n).flags == kind::OLDER).collect();
        let mut simple = true;
        for slot in 0..page.slot_count() {
            match page.slot(slot).flags {
                kind::ROW => {
                    simple &=
                        version_in(&page, slot).is_some_and(|(h, _)| h.older.is_none() && !h.is_tombstone());
                    self.chain(&page, block, slot, at(slot), &mut older)?;
                }
                kind::MOVED => {
                    simple = false;
                    let home = split_moved(page.row(slot).unwrap_or_default())?.0;
                    if self.moved.remove(&at(slot)) != Some(home) {
                        self.say(at(slot), format!("no stub of row {home} leads here"));
                    }
                    self.chain(&page, block, slot, home, &mut older)?;
                }
                kind::FORWARD => simple = false,
                kind::OLDER => simple = false,
                0 if page.slot(slot).is_unused() => {}
                other => self.say(at(slot), format!("a slot of unknown kind {other}")),
            }
        }
        for slot in older {
            self.say(at(slot), "an older version that no chain comes to");
        }
        let flag = page.flags() & PAGE_ALL_VISIBLE != 0;
        drop(page);
        if flag && !simple {
            self.say(at(0), "the page is marked all-visible and is not");
        }
        if flag != self.heap.is_all_visible(block) {
            self.say(at(0), format!("the page's all-visible flag is {flag}, the map says otherwise"));
        }
        Ok(())
    }

    fn chain(
        &mut self,
        page: &Page,
        block: BlockNo,
        slot: u16,
        row: RowId,
        older: &mut HashSet<u16>,
    ) -> Result<()> {
        let Some((header, payload)) = version_in(page, slot) else {
            self.say(row, "its newest version is too short");
            return Ok(());
        };
        self.values(row, &header, payload)?;
        let mut link = header.older;
        let mut in_history = false;
        while !link.is_none() {
            let fresh = if link.is_history() {
                in_history = true;
                self.reached.insert(link.at())
            } else {
                !in_history && link.at().block == block && older.remove(&link.at().slot)
            };
            if !fresh {
                self.say(row, format!("its chain goes to {} where it cannot", link.at()));
                return Ok(());
            }
            let next = self.heap.with_version(page, block, link, |h, payload| (*h, payload.to_vec()));
            let (header, payload) = match next {
                Ok(next) => next,
                Err(error) => {
                    self.say(row, error.message());
                    return Ok(());
                }
            };
            self.values(row, &header, &payload)?;
            link = header.older;
        }
        Ok(())
    }

    fn values(&mut self, row: RowId, header: &super::version::VersionHeader, payload: &[u8]) -> Result<()> {
        for reference in overflow_references(payload, header.info.row_flags())? {
            let mut value = Vec::new();
            if let Err(error) = self.heap.read_value(row, crate::row::Field::Overflow(reference), &mut value)
            {
                self.say(row, error.message());
            }
            let mut link = Link::from_u64(reference.first);
            while !link.is_none() && self.reached.insert(link.at()) {
                let page = self.heap.read_history(link.at().block)?;
                link = piece(&page, link).map_or(Link::NONE, |(_, next, _)| next);
            }
        }
        Ok(())
    }

    fn history(&mut self) -> Result<()> {
        let fork = self.heap.relation.fork(Fork::History);
        for block in 0..self.heap.storage.pool().block_count(fork)? {
            let page = self.heap.read_history(BlockNo(block))?;
            if page.is_unused() {
                continue;
            }
            let mut problems = Vec::new();
            if let Err(what) = page.verify_slots() {
                problems.push((0, what));
            }
            for slot in 0..page.slot_count() {
                let at = RowId { block: BlockNo(block), slot };
                // Pieces that nothing names are what an interrupted statement leaves: room lost, nothing wrong.
                if page.slot(slot).flags == kind::OLDER && !self.reached.contains(&at) {
                    problems.push((slot, "an older version that no chain comes to".to_string()));
                }
            }
            for (slot, what) in problems {
                let at = RowId { block: BlockNo(block), slot };
                self.problems.push(HeapProblem { at, in_history: true, what });
            }
        }
        Ok(())
    }
}
