//! B+tree indexes, after Lehman and Yao.
//!
//! # Role
//! An index is a set of entries, each an order-preserving key, a row id, and optionally a *payload*: INCLUDE columns,
//! and original values where equal values can differ (1.0 and 1.00). Entries are ordered by (key, row id, payload) and
//! each is there once. The layer above makes keys from rows, decides what a NULL means for uniqueness, and visits the
//! heap: nothing here knows about visibility.
//!
//! # On-disk layout
//! One file: block 0 is the meta page ([`meta`]), block 1 the root, which never moves: when it is full its content
//! goes to two new pages and it becomes their parent. Pages are described in [`node`].
//!
//! # How it stays right while it changes
//! Every page but the rightmost of its level has a *high key*, the bound that all it holds lies below, and a link to
//! its right sibling. A search that comes to a page whose high key is not above what it looks for goes right. So a split
//! needs no latch above: the left page gets the high key and the link in the same record that makes the right page, and
//! is flagged until the parent has an entry for the new page; until then the page is found through the link. Any writer
//! that meets the flag adds the entry.
//!
//! # Invariants
//! - B1: what lies in a page's range and was in the tree stays reachable from every page that a descent may have
//!   reached meanwhile: through right links, or, if that page was unlinked, by a new descent.
//! - B2: the range of a child is [its entry in the parent, the next entry or the parent's high key), or less when the
//!   child's split is incomplete.
//! - B3: the root is block 1, is never unlinked, and has no siblings.
//! - B4: a page that was unlinked holds no entries and no links into the tree. Who reaches it starts again.
//! - B5: a page is taken from the free list under its latch, and the tree's count of recycled pages is raised before
//!   that latch is released. A descent that latches a page and finds the count as it was when it began therefore
//!   stands on the page that the link meant, or on a deleted one.
//! - B6: an entry is inserted and removed only under the write latch of the leaf whose range it lies in.
//!
//! # Concurrency
//! Readers hold one latch at a time; the next page is latched after the last was released (B5 makes that safe). Writers
//! that need several latch them in this order, so that nobody waits in a circle: within a level from left to right,
//! then a level up, the meta page last. Going right or down without need of the former page, they let go of it first.
//! No latch is held when a method returns, and none while heap pages are visited.
//!
//! A unique check holds a mutex of (index, key), one of [`UNIQUE_STRIPES`], from the check to the insertion, and gives
//! it back while it waits for another transaction. It is taken before latches; a run of entries ([`EntryRun`]) only
//! tries it under the leaf's latch, and leaves the entry to a single insertion when it is not free.
//!
//! # Recovery
//! Each record is one atomic change: insert, remove, split, parent entry, unlink. What is between a split and its
//! parent entry when the machine stops stays flagged and is finished by the next writer. A page taken from the free
//! list and not yet used when the machine stops is lost until [`BTree::reclaim`] finds it.
//!
//! # Differences
//! - From Lehman and Yao: pages are latched for reading too, as in PostgreSQL.
//! - From PostgreSQL: the root stays where it is; an emptied leaf is unlinked by one record with its parent entry, and
//!   its range goes to the left sibling, or to the right one if it is its parent's first child; recycling is detected by
//!   a counter and not prevented by waiting; keys are plain bytes with a shared prefix a page.
//!
//! # Not done
//! - A branch is never unlinked: when all its leaves are empty, one stays.
//!
//! # References
//! Lehman, Yao: Efficient Locking for Concurrent Operations on B-Trees (1981). Graefe: Modern B-Tree Techniques (2011),
//! for heads, prefixes and suffix truncation. PostgreSQL's nbtree/README.

mod build;
mod check;
mod delete;
mod dump;
mod insert;
pub(crate) mod meta;
pub(crate) mod node;
mod redo;
mod registry;
mod run;
mod scan;
mod tree;
mod unique;

pub use build::{BTreeBuilder, BuildReport};
pub use check::{CheckReport, Problem, VisitEntry};
pub use dump::{dump_page, dump_tree};
pub use redo::BTreeManager;
pub use registry::BTrees;
pub use run::EntryRun;
pub use scan::{KeyBound, Scan, ScanDirection, ScanFetch};
pub use tree::{BTree, BTreeOptions, BTreeStats};
pub use unique::{UniqueChecker, UniqueOutcome, UniqueVerdict};

pub(crate) use unique::UNIQUE_STRIPES;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod node_tests;
#[cfg(test)]
mod stress_tests;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tree_tests;
