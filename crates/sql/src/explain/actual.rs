//! What operators did when the statement was run, as the executor tells it.

use ochre_base::Usage;

use crate::physical::PhysicalPlan;

/// What an operator did when the statement was run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Actual {
    /// How often it ran.
    pub loops: u64,
    /// Rows of all runs.
    pub rows: u64,
    /// Milliseconds until the first row, of all runs.
    pub startup_ms: f64,
    /// Milliseconds, of all runs.
    pub total_ms: f64,
    /// What it took of pages and log, its inputs included.
    pub usage: Usage,
    /// Threads that a gather had beside the calling one, in its best moment.
    pub workers: u64,
    /// What the operator says of itself.
    pub report: NodeReport,
}

/// What an operator says of its work beside rows and time; counts are of all runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeReport {
    /// Rows that its own filter left out.
    pub removed_by_filter: u64,
    /// Pairs of rows that fitted by their keys and failed the rest of the join's condition.
    pub removed_by_join_filter: u64,
    /// Rows of a scan that a hash join's build side has no key for.
    pub removed_by_join_keys: u64,
    /// Rows of a scan that come too late in an order of which the first rows are wanted.
    pub removed_by_sort_bound: u64,
    /// Rows that it left in memory for the operator above the gather, rather than gave them.
    pub rows_left: u64,
    /// Rows that an index led to and whose keys turned out to be others.
    pub removed_by_recheck: u64,
    /// Descents of the index.
    pub index_searches: u64,
    /// Rows of an index-only scan that had to be looked up in the table.
    pub heap_fetches: u64,
    /// Pages of the table that a bitmap named by their rows.
    pub exact_blocks: u64,
    /// Pages of the table that a bitmap named as wholes.
    pub lossy_blocks: u64,
    /// The bitmaps of a bitmap scan, in the order in which the plan shows them.
    pub bitmaps: Vec<BitmapReport>,
    /// Of sorts.
    pub sort: Option<SortReport>,
    /// Of hash tables of joins.
    pub hash: Option<HashReport>,
    /// Of hash tables of groups.
    pub groups: Option<GroupReport>,
    /// Of operators that keep rows.
    pub storage: Option<StorageReport>,
    /// Of operators that keep rows by what they depend on.
    pub memo: Option<MemoReport>,
    /// Of INSERT … ON CONFLICT.
    pub conflicts: Option<ConflictReport>,
    /// Of MERGE.
    pub merged: Option<MergeReport>,
}

impl NodeReport {
    /// Adds what one of several operators of a node has done since it said `before`.
    pub fn progress(&mut self, before: &NodeReport, now: &NodeReport) {
        self.removed_by_filter += now.removed_by_filter - before.removed_by_filter;
        self.removed_by_join_filter += now.removed_by_join_filter - before.removed_by_join_filter;
        self.removed_by_join_keys += now.removed_by_join_keys - before.removed_by_join_keys;
        self.removed_by_sort_bound += now.removed_by_sort_bound - before.removed_by_sort_bound;
        self.rows_left += now.rows_left - before.rows_left;
        self.removed_by_recheck += now.removed_by_recheck - before.removed_by_recheck;
        self.index_searches += now.index_searches - before.index_searches;
        self.heap_fetches += now.heap_fetches - before.heap_fetches;
        self.exact_blocks += now.exact_blocks - before.exact_blocks;
        self.lossy_blocks += now.lossy_blocks - before.lossy_blocks;
        self.bitmaps.clone_from(&now.bitmaps);
        let size = |report: &SortReport| (report.on_disk, report.bytes);
        self.sort = self.sort.into_iter().chain(now.sort).max_by_key(size);
        self.hash =
            self.hash.into_iter().chain(now.hash).max_by_key(|hash| (hash.batches, hash.memory_bytes));
        self.groups = self
            .groups
            .into_iter()
            .chain(now.groups)
            .max_by_key(|groups| (groups.batches, groups.memory_bytes));
        self.storage = self.storage.into_iter().chain(now.storage).max_by_key(|storage| storage.bytes);
        if let Some(now) = now.memo {
            let (memo, before) = (self.memo.get_or_insert_default(), before.memo.unwrap_or_default());
            memo.hits += now.hits - before.hits;
            memo.misses += now.misses - before.misses;
            memo.evictions += now.evictions - before.evictions;
            memo.overflows += now.overflows - before.overflows;
            memo.memory_bytes = memo.memory_bytes.max(now.memory_bytes);
        }
        self.conflicts = now.conflicts;
        self.merged = now.merged;
    }
}

/// What one bitmap of a bitmap scan came of.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BitmapReport {
    /// How often it was made.
    pub loops: u64,
    /// Rows that the index gave.
    pub rows: u64,
    /// Descents of the index.
    pub searches: u64,
    /// Milliseconds.
    pub total_ms: f64,
    /// What it took of pages.
    pub usage: Usage,
}

/// How rows were sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortReport {
    /// `quicksort`, `top-N heapsort`, `external merge`.
    pub method: &'static str,
    /// Bytes of memory, or of temporary files when `on_disk`.
    pub bytes: u64,
    /// Whether temporary files were used.
    pub on_disk: bool,
    /// Of an incremental sort, how often groups were sorted.
    pub sorts: u64,
}

/// The hash table of a join.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HashReport {
    /// Places in the table.
    pub buckets: u64,
    /// Parts that the rows were divided into; one when all fitted into memory.
    pub batches: u64,
    /// Bytes of memory at most.
    pub memory_bytes: u64,
}

/// The hash table of groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupReport {
    /// Parts that the rows were divided into; one when all groups fitted into memory.
    pub batches: u64,
    /// Bytes of memory at most.
    pub memory_bytes: u64,
    /// Bytes of temporary files.
    pub disk_bytes: u64,
}

/// Where an operator kept rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StorageReport {
    /// Bytes at most.
    pub bytes: u64,
    /// Whether temporary files were used.
    pub on_disk: bool,
}

/// How rows were remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoReport {
    /// Values whose rows were known.
    pub hits: u64,
    /// Values whose rows were not.
    pub misses: u64,
    /// Entries that made room for others.
    pub evictions: u64,
    /// Entries that were larger than all memory there is.
    pub overflows: u64,
    /// Bytes of memory at most.
    pub memory_bytes: u64,
}

/// What became of rows proposed for insertion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConflictReport {
    /// Inserted.
    pub inserted: u64,
    /// Met a row that was there.
    pub conflicting: u64,
    /// Of those, left alone for DO UPDATE's condition.
    pub removed_by_filter: u64,
}

/// What became of the rows of a MERGE.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// Inserted.
    pub inserted: u64,
    /// Updated.
    pub updated: u64,
    /// Deleted.
    pub deleted: u64,
    /// Left alone.
    pub skipped: u64,
}

/// Where EXPLAIN ANALYZE finds what operators did.
pub type Actuals<'a> = &'a dyn Fn(&PhysicalPlan) -> Option<Actual>;
