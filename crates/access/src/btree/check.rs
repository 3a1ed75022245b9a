//! Checks the structure of an index, for `ochre check` and tests.
//!
//! Level by level from the root, along the right links: what the parent level says about each page is compared with the
//! page, and each page with its neighbours. Nobody may change the index meanwhile.

use hashbrown::HashSet;
use ochre_base::{BlockNo, Fork, Result, RowId};
use ochre_storage::PageKind;

use super::meta;
use super::node::{self, EntryBuf};
use super::tree::{BTree, ROOT};

/// Something wrong with an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// On which page.
    pub block: BlockNo,
    /// What.
    pub what: String,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// What is wrong; empty for a sound index.
    pub problems: Vec<Problem>,
    /// Levels above the leaves.
    pub height: u8,
    /// Entries in leaves.
    pub entries: u64,
    /// Leaves.
    pub leaf_pages: u32,
    /// Leaves that are empty.
    pub empty_leaves: u32,
    /// Pages above the leaves, the root included.
    pub branch_pages: u32,
    /// Pages on the free list.
    pub free_pages: u32,
    /// Pages that a crash left unused: not wrong, [`BTree::reclaim`] frees them.
    pub lost_pages: u32,
    /// Splits whose parent has no entry yet: not wrong, the next writer adds it.
    pub incomplete_splits: u32,
    /// Bytes of leaves in use, of all they could hold.
    pub leaf_fill_percent: u32,
}

/// What the level above says about a page.
struct Expected {
    block: BlockNo,
    /// The lower bound; the first of a level has none.
    low: Option<EntryBuf>,
}

/// Takes key, row id and payload of an entry.
pub type VisitEntry<'a> = dyn FnMut(&[u8], RowId, &[u8]) + 'a;

struct Checker<'a> {
    tree: &'a BTree,
    visit: &'a mut VisitEntry<'a>,
    report: CheckReport,
    seen: HashSet<BlockNo>,
    leaf_bytes: u64,
}

impl BTree {
    /// Checks the whole index and hands each entry (key, row id, payload), in order, to `visit`.
    ///
    /// # Errors
    /// When a page cannot be read at all; what is wrong with pages that can is in the report.
    pub fn check<'a>(&'a self, visit: &'a mut VisitEntry<'a>) -> Result<CheckReport> {
        let mut checker = Checker {
            tree: self,
            visit,
            report: CheckReport::default(),
            seen: HashSet::new(),
            leaf_bytes: 0,
        };
        checker.check_levels()?;
        checker.check_other_pages()?;
        let mut report = checker.report;
        let capacity = u64::from(report.leaf_pages) * node::CAPACITY as u64;
        report.leaf_fill_percent = (checker.leaf_bytes * 100).checked_div(capacity).unwrap_or(0) as u32;
        Ok(report)
    }
}

impl Checker<'_> {
    fn problem(&mut self, block: BlockNo, what: impl Into<String>) {
        self.report.problems.push(Problem { block, what: what.into() });
    }

    fn check_levels(&mut self) -> Result<()> {
        let level = node::level(self.tree.read_node(ROOT)?.bytes());
        self.report.height = level;
        let mut expected = vec![Expected { block: ROOT, low: None }];
        for level in (0..=level).rev() {
            expected = self.check_level(level, &expected)?;
            if !self.report.problems.is_empty() {
                // Below a page that is wrong everything would seem wrong.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Checks the pages of a level from left to right; returns what they say about the level below.
    fn check_level(&mut self, level: u8, expected: &[Expected]) -> Result<Vec<Expected>> {
        let mut below = Vec::new();
        let mut next_expected = expected.iter().peekable();
        let mut left: Option<BlockNo> = None;
        let mut low: Option<EntryBuf> = None;
        let mut incomplete = false;
        let mut next = expected.first().map(|first| first.block);
        while let Some(block) = next {
            if !self.seen.insert(block) {
                self.problem(block, "is linked twice");
                return Ok(below);
            }
            let guard = self.tree.read_node(block)?;
            let page = guard.bytes();
            if let Err(what) = node::validate(page) {
                self.problem(block, what);
                return Ok(below);
            }
            if node::is_deleted(page) || node::level(page) != level {
                self.problem(block, format!("is not a live page of level {level}"));
                return Ok(below);
            }
            if node::left(page) != left {
                self.problem(block, format!("has left link {:?} after {left:?}", node::left(page)));
            }
            match next_expected.peek() {
                Some(parent) if parent.block == block => {
                    if parent.low != low && parent.low.is_some() {
                        self.problem(
                            block,
                            "has another lower bound in its parent than its left sibling's high key",
                        );
                    }
                    next_expected.next();
                }
                _ if incomplete => {}
                _ => self.problem(block, "has no entry in its parent"),
            }
            let high = node::high_key(page).map(EntryBuf::from);
            self.check_entries(block, page, low.as_ref(), high.as_ref());
            if high.is_some() != node::right(page).is_some() {
                self.problem(block, "has a high key or a right sibling without the other");
            }
            if level > 0 {
                below.extend((0..node::count(page)).map(|index| Expected {
                    block: node::child_at(page, index),
                    low: if index == 0 { low.clone() } else { Some(node::entry_at(page, index)) },
                }));
            }
            self.count_page(page);
            incomplete = node::is_incomplete(page);
            (left, low, next) = (Some(block), high, node::right(page));
        }
        if let Some(parent) = next_expected.next() {
            self.problem(parent.block, "is a child that no sibling links to");
        }
        if incomplete {
            self.problem(left.unwrap_or(ROOT), "is flagged as split and has no right sibling");
        }
        Ok(below)
    }

    /// N1.
    fn check_entries(
        &mut self,
        block: BlockNo,
        page: &node::Page,
        low: Option<&EntryBuf>,
        high: Option<&EntryBuf>,
    ) {
        let leaf = node::is_leaf(page);
        let mut before = low.cloned();
        for index in usize::from(!leaf)..node::count(page) {
            let entry = node::entry_at(page, index);
            let strictly = !leaf || index > 0;
            let ascends = before
                .as_ref()
                .is_none_or(|before| if strictly { before < &entry } else { before <= &entry });
            if !ascends {
                self.problem(block, format!("entry {index} is not above what is before it"));
            }
            if high.is_some_and(|high| &entry >= high) {
                self.problem(block, format!("entry {index} is not below the high key"));
            }
            let found = if leaf {
                node::lower_bound(page, entry.as_ref())
            } else {
                node::child_index(page, entry.as_ref())
            };
            if found != index {
                self.problem(block, format!("a search for entry {index} finds {found}"));
            }
            if leaf {
                (self.visit)(&entry.key, RowId::from_u64(entry.rid), &entry.payload);
            }
            before = Some(entry);
        }
    }

    fn count_page(&mut self, page: &node::Page) {
        let report = &mut self.report;
        report.incomplete_splits += u32::from(node::is_incomplete(page));
        if node::is_leaf(page) {
            report.leaf_pages += 1;
            report.entries += node::count(page) as u64;
            report.empty_leaves += u32::from(node::count(page) == 0);
            self.leaf_bytes += node::used_bytes(page) as u64;
        } else {
            report.branch_pages += 1;
        }
    }

    /// Every page that is not in the tree must be free or unused.
    fn check_other_pages(&mut self) -> Result<()> {
        let free = match self.tree.free_blocks() {
            Ok(free) => free,
            Err(error) => {
                self.problem(meta::BLOCK, error.message());
                return Ok(());
            }
        };
        self.report.free_pages = free.len() as u32;
        let blocks = self.tree.storage.pool().block_count(self.tree.relation.fork(Fork::Main))?;
        for block in (ROOT.0..blocks).map(BlockNo) {
            let guard = self.tree.storage.pool().read(self.tree.relation.main_page(block))?;
            let deleted = guard.kind() == PageKind::BTREE && node::is_deleted(guard.bytes());
            match (self.seen.contains(&block), free.contains(&block)) {
                (true, true) => self.problem(block, "is in the tree and on the free list"),
                (true, false) => {}
                (false, true) if deleted => {}
                (false, true) => self.problem(block, "is on the free list and not deleted"),
                (false, false) if deleted || guard.is_unused() => self.report.lost_pages += 1,
                (false, false) if self.report.problems.is_empty() => {
                    self.problem(block, "is in use and not in the tree");
                }
                (false, false) => {}
            }
        }
        Ok(())
    }
}
