//! Nodes of relational algebra: filters, projections, joins, sorts, aggregates, set operations.

use std::sync::Arc;

use ochre_base::Oid;
use ochre_expr::{AggregateRef, Expr, FunctionRef};
use ochre_types::SqlType;

use super::{PhysicalPlan, PlanNode};

/// One row of expressions that read no columns, or no row at all.
#[derive(Debug, Clone)]
pub struct ResultPlan {
    /// The row's columns.
    pub exprs: Vec<Expr>,
    /// `Some`: the row exists only if this is true ("One-Time Filter"). A constant false makes an empty relation.
    pub condition: Option<Expr>,
}

/// A list of rows of expressions that read no columns.
#[derive(Debug, Clone)]
pub struct ValuesPlan {
    /// The rows, all as wide as the node's columns.
    pub rows: Vec<Vec<Expr>>,
    /// The name in the query, for EXPLAIN.
    pub alias: Arc<str>,
}

/// What an item of FROM and its columns are called, for EXPLAIN.
#[derive(Debug, Clone)]
pub struct ItemNames {
    /// Its name in the query.
    pub alias: Arc<str>,
    /// Names for an operator's columns, as far as they are the item's.
    pub columns: Vec<Option<Arc<str>>>,
}

/// Rows that satisfy a predicate.
#[derive(Debug, Clone)]
pub struct FilterPlan {
    /// The input; the output has the same columns.
    pub input: Arc<PhysicalPlan>,
    /// The predicate over the input.
    pub predicate: Expr,
    /// The sub-query whose columns the predicate reads.
    pub subquery: Option<ItemNames>,
}

/// The rows of the input, if a condition that reads no row of it is true ("One-Time Filter"): it is asked once before the
/// input is read, and again after each rescan.
#[derive(Debug, Clone)]
pub struct GatePlan {
    /// The input; the output has the same columns.
    pub input: Arc<PhysicalPlan>,
    /// The condition, without columns.
    pub condition: Expr,
}

/// Expressions over rows.
#[derive(Debug, Clone)]
pub struct ProjectPlan {
    /// The input.
    pub input: Arc<PhysicalPlan>,
    /// One expression for each output column.
    pub exprs: Vec<Expr>,
}

/// Expressions over rows, some of which return sets: for each input row as many rows as the longest set has; shorter sets
/// are padded with nulls, other expressions repeat. No row when every set is empty.
#[derive(Debug, Clone)]
pub struct ProjectSetPlan {
    /// The input.
    pub input: Arc<PhysicalPlan>,
    /// One for each output column.
    pub items: Vec<ProjectItem>,
}

/// A column of a [`ProjectSetPlan`].
#[derive(Debug, Clone)]
pub enum ProjectItem {
    /// An ordinary expression.
    Scalar(Expr),
    /// A set-returning function whose arguments read the input. One that yields records gives them as one record value.
    Set {
        /// The function.
        function: FunctionRef,
        /// Its arguments.
        args: Vec<Expr>,
        /// The type of one element.
        ty: SqlType,
    },
}

/// How a join treats rows without a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinType {
    /// Only pairs. Output: outer columns, inner columns.
    Inner,
    /// Pairs, and outer rows without a partner beside nulls.
    Left,
    /// Pairs, and inner rows without a partner beside nulls (hash join and merge join only).
    Right,
    /// Pairs, and rows of both sides without a partner (hash join and merge join only).
    Full,
    /// Outer rows with a partner, once each. Output: the outer columns.
    Semi,
    /// Outer rows without a partner. Output: the outer columns.
    Anti,
    /// Like `Anti` with the meaning of NOT IN: an outer row also goes when its key is null and the inner side is not
    /// empty, and every outer row goes when an inner key is null. One key pair, no residual. Output: the outer columns.
    AntiNullAware,
    /// Every outer row once. Output: the outer columns, then a boolean: true when it has a partner. With
    /// `null_aware_mark` the boolean is null where IN would be null.
    Mark,
    /// Inner rows with a partner, once each (hash join only). Output: the inner columns.
    RightSemi,
    /// Inner rows without a partner (hash join only). Output: the inner columns.
    RightAnti,
}

impl JoinType {
    /// Whether the inner side's columns are in the output.
    pub const fn keeps_inner(self) -> bool {
        matches!(self, JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full)
    }
}

/// A join that runs its inner side for each outer row.
///
/// Join types: `Inner`, `Left`, `Semi`, `Anti`, `Mark`.
#[derive(Debug, Clone)]
pub struct NestedLoopJoin {
    /// What happens to rows without a partner.
    pub join: JoinType,
    /// The outer (left) side.
    pub outer: Arc<PhysicalPlan>,
    /// The inner (right) side.
    pub inner: Arc<PhysicalPlan>,
    /// What the inner side reads of the current outer row. Empty: the inner side gives the same rows each time, and need
    /// run only once when it is a [`MaterializePlan`].
    pub parameters: Vec<SlotAssignment>,
    /// The join condition, over the outer columns followed by the inner columns.
    pub condition: Option<Expr>,
    /// Applied to the joined row after unmatched rows were completed with nulls (WHERE above an outer join). Reads the
    /// same row as `condition`; only with join types that keep the inner columns.
    pub filter: Option<Expr>,
    /// At most one inner row matches each outer row.
    pub inner_unique: bool,
}

/// Copies a value of the outer row to a slot of the frame before the inner side is rescanned.
#[derive(Debug, Clone)]
pub struct SlotAssignment {
    /// The slot, as `Expr::Correlated { slot }` reads it.
    pub slot: usize,
    /// The value, over the outer columns.
    pub value: Expr,
}

/// A join by a hash table of its inner (right, build) side. Every join type.
#[derive(Debug, Clone)]
pub struct HashJoinPlan {
    /// What happens to rows without a partner.
    pub join: JoinType,
    /// The outer (probe) side.
    pub outer: Arc<PhysicalPlan>,
    /// The inner (build) side.
    pub inner: Arc<PhysicalPlan>,
    /// Keys of the outer side, over its columns.
    pub outer_keys: Vec<Expr>,
    /// Keys of the inner side, over its columns; pairwise of the same type as the outer keys. A null key matches nothing
    /// unless `null_safe`.
    pub inner_keys: Vec<Expr>,
    /// For each key: nulls equal each other (IS NOT DISTINCT FROM, set operations).
    pub null_safe: Vec<bool>,
    /// What else a pair must satisfy, over the outer columns followed by the inner columns.
    pub residual: Option<Expr>,
    /// Which of the join type's columns come out, ascending.
    pub output: Vec<usize>,
    /// At most one inner row matches each outer row.
    pub inner_unique: bool,
    /// With [`JoinType::Mark`]: the mark is null where IN would be null.
    pub null_aware_mark: bool,
    /// Below a [`GatherPlan`]: the outer side is a share of the rows, the hash table is common to all.
    pub shared: bool,
    /// With `shared`: the inner side is a share of the rows, too, and all threads make the table together.
    pub shares_inner: bool,
}

/// A join of two inputs that are sorted by the keys. `Inner`, `Left`, `Right`, `Full`, `Semi`, `Anti`.
#[derive(Debug, Clone)]
pub struct MergeJoinPlan {
    /// What happens to rows without a partner.
    pub join: JoinType,
    /// The outer (left) side.
    pub outer: Arc<PhysicalPlan>,
    /// The inner (right) side.
    pub inner: Arc<PhysicalPlan>,
    /// Keys of the outer side.
    pub outer_keys: Vec<Expr>,
    /// Keys of the inner side, pairwise of the same type.
    pub inner_keys: Vec<Expr>,
    /// For each key the order of both inputs: descending, nulls first.
    pub order: Vec<(bool, bool)>,
    /// What else a pair must satisfy.
    pub residual: Option<Expr>,
    /// Applied after unmatched rows were completed, as in [`NestedLoopJoin::filter`].
    pub filter: Option<Expr>,
    /// At most one inner row matches each outer row.
    pub inner_unique: bool,
}

/// The rows of a plan that several threads run side by side, the calling one among them.
///
/// Each thread runs operators of its own for the input; what they share says which of them gets what:
/// - a [`SeqScanPlan`](super::SeqScanPlan) with `parallel` gives each of its rows to one thread;
/// - a [`HashJoinPlan`] with `shared` has one hash table for all. The calling thread reads the inner side before the others
///   begin, or each reads a share of it;
/// - an [`AggregatePlan`] of [`AggregateStage::Partial`] hands its groups to the final one right above the gather, and gives
///   no rows.
///
/// Every other node below is run by each thread for itself, and nothing below may depend on who runs it (P5).
#[derive(Debug, Clone)]
pub struct GatherPlan {
    /// What each thread runs; the output has the same columns.
    pub input: Arc<PhysicalPlan>,
    /// Threads beside the calling one, if so many are free.
    pub workers: usize,
    /// The threads' rows come in this order and are merged. Otherwise they come in any order.
    pub merge: Option<Vec<SortKey>>,
    /// No more rows than this are read. Reads no columns; NULL means all.
    pub limit: Option<Expr>,
}

/// Keeps its input's rows: a rescan with unchanged slots reads them again.
#[derive(Debug, Clone)]
pub struct MaterializePlan {
    /// The input; the output has the same columns.
    pub input: Arc<PhysicalPlan>,
}

/// Keeps the rows that its input gave for each set of values in the slots that it reads, within the memory of a hash table.
#[derive(Debug, Clone)]
pub struct MemoizePlan {
    /// The input, which gives the same rows for the same values; the output has the same columns.
    pub input: Arc<PhysicalPlan>,
    /// The slots that the nested loop above writes, for EXPLAIN.
    pub keys: Vec<Expr>,
    /// The input gives at most one row, so that an entry is complete when that was read.
    pub single_row: bool,
    /// The values are looked at as a whole and not only compared with keys of the input, for EXPLAIN.
    pub binary: bool,
}

/// One key of a sort.
#[derive(Debug, Clone)]
pub struct SortKey {
    /// The value, over the input's columns.
    pub expr: Expr,
    /// Largest first.
    pub descending: bool,
    /// Nulls before other values.
    pub nulls_first: bool,
}

/// Rows in an order.
#[derive(Debug, Clone)]
pub struct SortPlan {
    /// The input; the output has the same columns.
    pub input: Arc<PhysicalPlan>,
    /// The keys, most significant first. Not empty.
    pub keys: Vec<SortKey>,
    /// How many leading keys the input is sorted by already (incremental sort); the executor may ignore it.
    pub presorted: usize,
    /// Only the first rows are needed, a [`LimitPlan`] above asks for no more: LIMIT plus OFFSET. Reads no columns. NULL
    /// means all. The executor keeps a heap of that many rows.
    pub limit: Option<Expr>,
}

/// LIMIT and OFFSET; both bigint and without columns. NULL means no limit, no offset.
///
/// A negative LIMIT is 2201W, `LIMIT must not be negative`; a negative OFFSET 2201X, `OFFSET must not be negative`.
#[derive(Debug, Clone)]
pub struct LimitPlan {
    /// The input; the output has the same columns.
    pub input: Arc<PhysicalPlan>,
    /// How many rows.
    pub limit: Option<Expr>,
    /// How many to leave out before.
    pub offset: Option<Expr>,
    /// WITH TIES: also the rows that are equal, by these keys, to the last one.
    pub ties: Option<Vec<SortKey>>,
}

/// Groups and aggregates. Output: the group keys, the aggregates, and, with grouping sets, one integer for each set key
/// bitmap (`grouping`).
#[derive(Debug, Clone)]
pub struct AggregatePlan {
    /// The input.
    pub input: Arc<PhysicalPlan>,
    /// How groups are found.
    pub strategy: AggregateStrategy,
    /// Group keys over the input's columns. Nulls equal each other.
    pub keys: Vec<Expr>,
    /// The aggregates.
    pub aggregates: Vec<AggregateCall>,
    /// GROUPING SETS, ROLLUP, CUBE: for each set the positions in `keys` that it groups by; the others are null in its
    /// rows. `None`: one set with all keys. The output then has one more column, int4: the index of the set.
    pub grouping_sets: Option<Vec<Vec<usize>>>,
    /// HAVING, over the node's output.
    pub having: Option<Expr>,
    /// The positions in `keys` that tell groups apart: they determine the other keys. With grouping sets, all.
    pub telling: Vec<usize>,
    /// Whether it does all of the work.
    pub stage: AggregateStage,
}

impl AggregatePlan {
    /// What the keys and the arguments read: the input, but of a final stage that of its partial stage.
    pub fn source(&self) -> &Arc<PhysicalPlan> {
        if self.stage == AggregateStage::Final
            && let PlanNode::Gather(gather) = &self.input.node
            && let PlanNode::Aggregate(partial) = &gather.input.node
        {
            return &partial.input;
        }
        &self.input
    }
}

/// Which part of the work an [`AggregatePlan`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateStage {
    /// All of it.
    Complete,
    /// Groups a share of the rows, right below a [`GatherPlan`].
    Partial,
    /// Joins the groups of the partial stage, which is the input of the [`GatherPlan`] that is its own input. Keys and
    /// arguments read the partial stage's input ([`AggregatePlan::source`]).
    Final,
}

/// How an [`AggregatePlan`] finds its groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateStrategy {
    /// No keys: one group, and one row even when the input is empty.
    Plain,
    /// The input is sorted by the keys.
    Sorted,
    /// A hash table.
    Hashed,
}

/// One aggregate of an [`AggregatePlan`].
#[derive(Debug, Clone)]
pub struct AggregateCall {
    /// Which aggregate.
    pub function: AggregateRef,
    /// Arguments over the input's columns; none for `count(*)`. For ordered-set aggregates the aggregated arguments (those
    /// in WITHIN GROUP).
    pub args: Vec<Expr>,
    /// Direct arguments of ordered-set aggregates, over the group keys.
    pub direct_args: Vec<Expr>,
    /// Only distinct argument rows.
    pub distinct: bool,
    /// ORDER BY inside the call (or WITHIN GROUP), over the input's columns.
    pub order_by: Vec<SortKey>,
    /// FILTER (WHERE …), over the input's columns.
    pub filter: Option<Expr>,
    /// The result's type.
    pub ty: SqlType,
}

/// Window functions over one window. The input is sorted by `partition` and then `order`. Output: the input's columns, then
/// one column for each call.
#[derive(Debug, Clone)]
pub struct WindowPlan {
    /// The input.
    pub input: Arc<PhysicalPlan>,
    /// PARTITION BY.
    pub partition: Vec<Expr>,
    /// ORDER BY.
    pub order: Vec<SortKey>,
    /// The frame.
    pub frame: WindowFrame,
    /// The functions.
    pub calls: Vec<WindowCall>,
    /// Over the input's columns and the functions': rows of a partition from the first on of which it is not true are not
    /// wanted.
    pub run: Option<Expr>,
}

/// One function over a window.
#[derive(Debug, Clone)]
pub enum WindowCall {
    /// A true window function such as `row_number` or `lag`.
    Function {
        /// The function.
        function: FunctionRef,
        /// Its arguments.
        args: Vec<Expr>,
        /// The result's type.
        ty: SqlType,
    },
    /// An aggregate over the frame.
    Aggregate(AggregateCall),
}

/// The rows around the current row that a window function sees.
#[derive(Debug, Clone)]
pub struct WindowFrame {
    /// What the offsets count.
    pub mode: FrameMode,
    /// The first row.
    pub start: FrameBound,
    /// The last row.
    pub end: FrameBound,
    /// What is left out.
    pub exclusion: FrameExclusion,
}

/// What the offsets of a frame count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameMode {
    /// Rows.
    Rows,
    /// Distances of the ORDER BY value.
    Range,
    /// Groups of peers.
    Groups,
}

/// One end of a frame. Offsets read no columns.
#[derive(Debug, Clone)]
pub enum FrameBound {
    /// The partition's first row.
    UnboundedPreceding,
    /// Before the current row.
    Preceding(Expr),
    /// The current row (or its peers).
    CurrentRow,
    /// After the current row.
    Following(Expr),
    /// The partition's last row.
    UnboundedFollowing,
}

/// EXCLUDE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameExclusion {
    /// Nothing.
    NoOthers,
    /// The current row.
    CurrentRow,
    /// The current row and its peers.
    Group,
    /// The peers but not the row itself.
    Ties,
}

/// Distinct rows by hashing all columns of the input. Nulls equal each other.
#[derive(Debug, Clone)]
pub struct DistinctPlan {
    /// The input; the output has the same columns.
    pub input: Arc<PhysicalPlan>,
}

/// The first row of each run of equal keys (DISTINCT on a sorted input, DISTINCT ON).
#[derive(Debug, Clone)]
pub struct UniquePlan {
    /// The input, sorted by the keys; the output has the same columns.
    pub input: Arc<PhysicalPlan>,
    /// Positions of the input's columns that are compared.
    pub keys: Vec<usize>,
}

/// INTERSECT and EXCEPT. Both inputs have the same types; the output has the left one's columns.
#[derive(Debug, Clone)]
pub struct SetOpPlan {
    /// Which.
    pub kind: SetOpKind,
    /// How.
    pub strategy: SetOpStrategy,
    /// The left input.
    pub left: Arc<PhysicalPlan>,
    /// The right input.
    pub right: Arc<PhysicalPlan>,
}

/// Which set operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetOpKind {
    /// Rows in both, once each.
    Intersect,
    /// Rows in both, as often as in the one that has fewer.
    IntersectAll,
    /// Rows of the left that are not in the right, once each.
    Except,
    /// Rows of the left, less as often as they are in the right.
    ExceptAll,
}

/// How a set operation finds equal rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetOpStrategy {
    /// A hash table of the left input with counters.
    Hashed,
}

/// The rows of several inputs of the same types, one input after the other.
#[derive(Debug, Clone)]
pub struct AppendPlan {
    /// The inputs.
    pub inputs: Vec<Arc<PhysicalPlan>>,
    /// For each input a condition without columns, if there is one: unless it is true, the input has no rows. Empty when no
    /// input has one.
    pub guards: Vec<Option<Expr>>,
    /// The inputs all come in this order, and their rows are merged into it (Merge Append). The keys read the columns of an
    /// input.
    pub merge: Option<Vec<SortKey>>,
    /// The table whose set of relations the inputs are.
    pub parent: Option<ItemNames>,
}

/// The rows of a `WITH` entry.
#[derive(Debug, Clone)]
pub struct CteScanPlan {
    /// Index of `PlannedStatement::ctes`.
    pub cte: usize,
    /// The name in the query.
    pub alias: Arc<str>,
    /// Which of the CTE's columns are the output, by position.
    pub columns: Vec<usize>,
    /// Over all columns of the CTE.
    pub filter: Option<Expr>,
}

/// WITH RECURSIVE: `initial` once, then `recursive` until it yields nothing, each round reading the rows of the last one
/// through [`WorkTableScanPlan`].
#[derive(Debug, Clone)]
pub struct RecursiveUnionPlan {
    /// The non-recursive term.
    pub initial: Arc<PhysicalPlan>,
    /// The recursive term.
    pub recursive: Arc<PhysicalPlan>,
    /// UNION and not UNION ALL: a row that came before is dropped.
    pub distinct: bool,
    /// The work table.
    pub work_table: usize,
}

/// The rows that a recursive CTE found in its last round.
#[derive(Debug, Clone)]
pub struct WorkTableScanPlan {
    /// The work table, as in [`RecursiveUnionPlan::work_table`].
    pub work_table: usize,
    /// The name in the query.
    pub alias: Arc<str>,
    /// Which of its columns are the output, by position.
    pub columns: Vec<usize>,
    /// Over all columns of the work table.
    pub filter: Option<Expr>,
}

/// FOR UPDATE and its kin: locks the rows that its input's row ids name, and re-checks rows that changed meanwhile.
#[derive(Debug, Clone)]
pub struct LockRowsPlan {
    /// The input; the output has the same columns.
    pub input: Arc<PhysicalPlan>,
    /// Which rows.
    pub relations: Vec<MarkedRelation>,
}

/// A relation of [`LockRowsPlan`].
#[derive(Debug, Clone)]
pub struct MarkedRelation {
    /// The table.
    pub table: Oid,
    /// Position in the input of the row id (null on the null side of an outer join: nothing to lock).
    pub row_id: usize,
    /// How strongly.
    pub strength: RowLockStrength,
    /// What to do about a row that another transaction has locked.
    pub wait: RowLockWait,
    /// How to bring the row up to date when it changed.
    pub recheck: super::RowRecheck,
    /// When the rows are those of a set of relations, of which `table` is the one named.
    pub set: Option<MarkedSet>,
}

/// The relations whose rows a [`MarkedRelation`] stands for.
#[derive(Debug, Clone)]
pub struct MarkedSet {
    /// Position in the input of the row's `tableoid`.
    pub table_oid: usize,
    /// The relations, each with how its rows are brought up to date.
    pub members: Vec<(Oid, super::RowRecheck)>,
}

/// The four row lock strengths, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowLockStrength {
    /// FOR KEY SHARE.
    KeyShare,
    /// FOR SHARE.
    Share,
    /// FOR NO KEY UPDATE.
    NoKeyUpdate,
    /// FOR UPDATE.
    Update,
}

impl RowLockStrength {
    /// As clauses say it.
    pub fn name(self) -> &'static str {
        match self {
            RowLockStrength::KeyShare => "FOR KEY SHARE",
            RowLockStrength::Share => "FOR SHARE",
            RowLockStrength::NoKeyUpdate => "FOR NO KEY UPDATE",
            RowLockStrength::Update => "FOR UPDATE",
        }
    }
}

/// What to do about a row that another transaction has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowLockWait {
    /// Wait.
    Block,
    /// NOWAIT: 55P03.
    Error,
    /// SKIP LOCKED.
    Skip,
}
