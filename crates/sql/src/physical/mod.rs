//! The physical plan: what the executor instantiates. Plain immutable data, shared behind `Arc`.
//!
//! # Role
//! The planner makes it, `exec` builds operators from it, EXPLAIN prints it. It holds descriptors and bound expressions
//! and no run state.
//!
//! # Rows between nodes
//! A node's output is described by [`PhysicalPlan::columns`]. An expression in a node reads, as `Expr::Column { index }`,
//! its child's output by position; in a join the outer (left) child's columns come first, the inner (right) child's
//! follow. Scans have no child: their expressions read the scan's [`fetch`](ScanSource::fetch) list.
//!
//! # Frames and slots
//! `Expr::Correlated { slot }` reads a slot of the *frame* the expression runs in. The statement's main plan is one
//! frame; every [`SubPlan`] is another, entered anew for each evaluation of its `Expr::SubPlan`. A frame has
//! `slots` slots. In a sub-plan's frame slots `0..args.len()` are filled from the arguments of `Expr::SubPlan`, which
//! are evaluated in the frame *around* it; the others (in the main frame: all) are written by [`NestedLoopJoin`]s of the
//! frame, which copy values of their current outer row there before they rescan their inner side. A CTE belongs to the
//! frame that its `WITH` stands in.
//!
//! # Invariants
//! P1. Every `Column { index }` is below the width of the row it reads, and its type equals that column's type.
//! P2. Every plan node has at least as many columns as its parents read; a node may have zero columns (`count(*)`).
//! P3. A `Correlated { slot }` below a nested loop's inner side is written before the inner side is opened or rescanned.
//! P4. [`PlannedStatement::subplans`] and [`PlannedStatement::ctes`] are ordered so that an entry refers only to
//!     entries of a lower number, except a recursive CTE, which refers to its own work table.
//! P5. What several threads run ([`GatherPlan`]) reads tables that are stored, calls only functions that are parallel safe
//!     and not volatile, and has no sub-plans, CTEs or work tables; the inner side of a shared hash join that the
//!     calling thread runs may have all of that.

mod modify;
mod relational;
mod route;
mod scan;

use std::sync::Arc;

use ochre_base::Oid;
use ochre_catalog::authority::Privileges;
use ochre_expr::Expr;
use ochre_types::SqlType;

use crate::plan::DisabledMethods;

pub use modify::{
    Assignment, CheckExpression, ConflictAction, DeletePlan, ForeignKeyCheck, GeneratedColumn,
    IndexMaintenance, InsertPlan, InsertRouting, KeyPart, LeafInsert, LeavingRows, MergeAction, MergeChange,
    MergeMatch, MergePlan, MergeSet, MergeSetPart, ModifySetPart, ModifySetPlan, OnConflict, PartPlan,
    ReferenceRouting, ReferencedKey, ReferencedLeaf, RowRecheck, SetPart, TargetTable, UpdatePlan,
};
pub use relational::{
    AggregateCall, AggregatePlan, AggregateStage, AggregateStrategy, AppendPlan, CteScanPlan, DistinctPlan,
    FilterPlan, FrameBound, FrameExclusion, FrameMode, GatePlan, GatherPlan, HashJoinPlan, ItemNames,
    JoinType, LimitPlan, LockRowsPlan, MarkedRelation, MarkedSet, MaterializePlan, MemoizePlan,
    MergeJoinPlan, NestedLoopJoin, ProjectItem, ProjectPlan, ProjectSetPlan, RecursiveUnionPlan, ResultPlan,
    RowLockStrength, RowLockWait, SetOpKind, SetOpPlan, SetOpStrategy, SlotAssignment, SortKey, SortPlan,
    UniquePlan, ValuesPlan, WindowCall, WindowFrame, WindowPlan, WorkTableScanPlan,
};
pub use route::{RouteNode, RoutePlace, Routes};
pub use scan::{
    BitmapScanPlan, BitmapSource, BoundConversion, FunctionInScan, FunctionScanPlan, GinCondition,
    GinStrategy, IndexBounds, IndexScanPlan, KeyBound, KeyCondition, KeyRange, KeyValue, MinMaxIndexPlan,
    RowBound, SampleClause, SampleMethod, ScanColumn, ScanDirection, ScanSource, SeqScanPlan, TidCondition,
    TidScanPlan,
};

/// A statement that is ready to run, any number of times, by any number of sessions.
#[derive(Debug, Clone)]
pub struct PlannedStatement {
    /// What kind of command it is, for the command tag.
    pub command: CommandKind,
    /// The root of the main frame.
    pub plan: Arc<PhysicalPlan>,
    /// Slots of the main frame.
    pub slots: usize,
    /// `Expr::SubPlan { plan }` indexes this list.
    pub subplans: Vec<SubPlan>,
    /// [`CteScanPlan::cte`] indexes this list.
    pub ctes: Vec<CteDefinition>,
    /// Number of work tables of recursive CTEs.
    pub work_tables: usize,
    /// The types of `$1`, `$2` …, all decided.
    pub parameters: Vec<SqlType>,
    /// What a client sees of each row: the root's visible columns. Empty for DML without RETURNING.
    pub row_shape: Vec<OutputColumn>,
    /// Whether the statement sends rows to the client: every query, and DML with RETURNING.
    pub returns_rows: bool,
    /// Relations used, with the lock that each must be held under while the plan runs, without duplicates.
    pub relations: Vec<RelationUse>,
    /// What whoever runs it, or the owner of a view in it, must be allowed to: checked at each execution.
    pub requirements: Box<[Requirement]>,
    /// Namespaces that its text names and whoever runs it must be allowed to use.
    pub namespaces: Box<[Oid]>,
    /// No INSERT, UPDATE or DELETE anywhere, and no row locks.
    pub read_only: bool,
    /// The tables whose row ids are the last columns of the rows: only a cursor's query has them.
    pub cursor_tables: Box<[Oid]>,
    /// The methods that were switched off when it was planned, for EXPLAIN.
    pub disabled: DisabledMethods,
    /// The rules of the optimizer that changed it, in order, when it was planned to be told them
    /// ([`crate::PlannerSettings::trace_rules`]).
    pub rules: Box<[&'static str]>,
}

/// The command, as PostgreSQL's command tags name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    /// `SELECT`, `VALUES`, `TABLE`.
    Select,
    /// `INSERT`.
    Insert,
    /// `UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
    /// `MERGE`.
    Merge,
}

/// A relation that a plan reads or writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationUse {
    /// The relation.
    pub oid: Oid,
    /// The lock to take before the plan is revalidated and run.
    pub lock: RelationLock,
    /// What the statement does to it, for the check of privileges.
    pub access: RelationAccess,
}

/// What must be allowed to a role so that a statement may use a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The relation.
    pub relation: Oid,
    /// The owner of the view that uses it; invalid for whoever runs the statement.
    pub checked_as: Oid,
    /// What is done to the relation.
    pub privileges: Privileges,
    /// The columns that are read: 0 for whole rows, below it for system columns. Empty for any.
    pub selected: Vec<i16>,
    /// The columns that new rows are given values for.
    pub inserted: Vec<i16>,
    /// The columns that are changed; row locks need any.
    pub updated: Vec<i16>,
}

/// The relation lock modes that queries and DML use, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RelationLock {
    /// `ACCESS SHARE`: plain reads.
    AccessShare,
    /// `ROW SHARE`: `SELECT … FOR UPDATE` and its kin.
    RowShare,
    /// `ROW EXCLUSIVE`: DML.
    RowExclusive,
}

/// What a statement does to a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RelationAccess {
    /// Reads columns.
    pub select: bool,
    /// Adds rows.
    pub insert: bool,
    /// Changes rows.
    pub update: bool,
    /// Locks rows.
    pub lock: bool,
    /// Removes rows.
    pub delete: bool,
}

/// A plan that an expression runs: a scalar subquery, `EXISTS`, `IN`, `ANY`, `ALL`, `ARRAY(…)`.
#[derive(Debug, Clone)]
pub struct SubPlan {
    /// The root of the sub-plan's frame.
    pub plan: Arc<PhysicalPlan>,
    /// Slots of the frame: the arguments first, nested loops' after them.
    pub slots: usize,
    /// Number of arguments that `Expr::SubPlan` passes.
    pub arguments: usize,
    /// No argument: the result of one run serves the whole statement (PostgreSQL's InitPlan).
    pub run_once: bool,
    /// For `= ANY` without arguments: the executor may load the result into a hash table keyed by the compared
    /// columns and probe it for each outer row (a "hashed SubPlan").
    pub hashed: bool,
    /// PostgreSQL's name in EXPLAIN, for instance `SubPlan 1` or `InitPlan 2`.
    pub name: String,
}

/// The query of a `WITH` entry.
#[derive(Debug, Clone)]
pub struct CteDefinition {
    /// The name in the `WITH` list.
    pub name: String,
    /// The query; runs in the frame that its `WITH` stands in.
    pub plan: Arc<PhysicalPlan>,
    /// The frame that its `WITH` stands in: that of this sub-plan, or the statement's main frame.
    pub frame: Option<usize>,
    /// The query reads `Correlated` slots of its frame, so a rescan of the frame must compute it anew. Otherwise one run
    /// serves the whole statement.
    pub correlated: bool,
    /// INSERT, UPDATE or DELETE: runs to its end exactly once, even when nothing reads it; its changes are not seen by
    /// the rest of the statement.
    pub modifies: bool,
}

/// A node of a plan.
#[derive(Debug, Clone)]
pub struct PhysicalPlan {
    /// What the node does.
    pub node: PlanNode,
    /// The columns of its output.
    pub columns: Vec<OutputColumn>,
    /// What the planner expects of it.
    pub estimate: Estimate,
}

/// A column of a node's output.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputColumn {
    /// The name a client sees, and the one that EXPLAIN VERBOSE shows.
    pub name: Arc<str>,
    /// The type with its modifier.
    pub ty: SqlType,
    /// The table column that it is a plain copy of, for the RowDescription message.
    pub origin: Option<ColumnOrigin>,
}

/// Where an output column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnOrigin {
    /// The table.
    pub table: Oid,
    /// The column's number as `pg_attribute.attnum` has it (from 1).
    pub attribute: i16,
}

/// What the planner expects of a node; costs in PostgreSQL's units (one sequential page read = 1).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// Cost until the first row.
    pub startup_cost: f64,
    /// Cost until the last row.
    pub total_cost: f64,
    /// Rows.
    pub rows: f64,
    /// Bytes in a row, on average.
    pub width: u32,
}

/// What a plan node does.
#[derive(Debug, Clone)]
pub enum PlanNode {
    /// Rows computed from nothing: one row of expressions, or none.
    Result(ResultPlan),
    /// A list of rows of expressions.
    Values(ValuesPlan),
    /// Every row of a table.
    SeqScan(SeqScanPlan),
    /// Rows of a table by an index, in index order.
    IndexScan(IndexScanPlan),
    /// Rows of a table by bitmaps made from indexes, in page order.
    BitmapScan(BitmapScanPlan),
    /// Rows of a table by row id.
    TidScan(TidScanPlan),
    /// The first non-null key of an index.
    MinMaxIndex(MinMaxIndexPlan),
    /// Set-returning functions in FROM.
    FunctionScan(FunctionScanPlan),
    /// The rows of a `WITH` entry.
    CteScan(CteScanPlan),
    /// The rows that a recursive CTE found in its last round.
    WorkTableScan(WorkTableScanPlan),
    /// Rows that satisfy a predicate.
    Filter(FilterPlan),
    /// Rows of its input, if a condition without columns is true.
    Gate(GatePlan),
    /// Expressions over rows.
    Project(ProjectPlan),
    /// Expressions over rows, some of which return sets.
    ProjectSet(ProjectSetPlan),
    /// A join that runs its inner side for each outer row.
    NestedLoop(NestedLoopJoin),
    /// A join by a hash table of its inner side.
    HashJoin(HashJoinPlan),
    /// A join of two sides sorted by the join keys.
    MergeJoin(MergeJoinPlan),
    /// Keeps its input's rows so that a rescan need not compute them.
    Materialize(MaterializePlan),
    /// Keeps its input's rows by the values that they depend on.
    Memoize(MemoizePlan),
    /// The rows of a plan that several threads run.
    Gather(GatherPlan),
    /// Rows in an order; with a limit: a top-N heap.
    Sort(SortPlan),
    /// LIMIT and OFFSET.
    Limit(LimitPlan),
    /// Groups and aggregates.
    Aggregate(AggregatePlan),
    /// Window functions.
    Window(WindowPlan),
    /// Distinct rows by hashing.
    Distinct(DistinctPlan),
    /// Distinct rows of a sorted input.
    Unique(UniquePlan),
    /// INTERSECT and EXCEPT, with or without ALL.
    SetOp(SetOpPlan),
    /// The rows of several inputs, one after the other (UNION ALL).
    Append(AppendPlan),
    /// WITH RECURSIVE.
    RecursiveUnion(RecursiveUnionPlan),
    /// FOR UPDATE and its kin.
    LockRows(LockRowsPlan),
    /// INSERT.
    Insert(Box<InsertPlan>),
    /// UPDATE.
    Update(Box<UpdatePlan>),
    /// DELETE.
    Delete(Box<DeletePlan>),
    /// MERGE.
    Merge(Box<MergePlan>),
    /// UPDATE and DELETE of the rows of a set of relations.
    ModifySet(Box<ModifySetPlan>),
}

impl PhysicalPlan {
    /// A node without estimates.
    pub fn new(node: PlanNode, columns: Vec<OutputColumn>) -> PhysicalPlan {
        PhysicalPlan { node, columns, estimate: Estimate::default() }
    }

    /// The node's inputs, in the order in which EXPLAIN shows them.
    pub fn children(&self) -> Vec<&Arc<PhysicalPlan>> {
        match &self.node {
            PlanNode::Values(_)
            | PlanNode::SeqScan(_)
            | PlanNode::IndexScan(_)
            | PlanNode::BitmapScan(_)
            | PlanNode::TidScan(_)
            | PlanNode::MinMaxIndex(_)
            | PlanNode::FunctionScan(_)
            | PlanNode::CteScan(_)
            | PlanNode::WorkTableScan(_) => Vec::new(),
            PlanNode::Result(_) => Vec::new(),
            PlanNode::Filter(node) => vec![&node.input],
            PlanNode::Gate(node) => vec![&node.input],
            PlanNode::Project(node) => vec![&node.input],
            PlanNode::ProjectSet(node) => vec![&node.input],
            PlanNode::NestedLoop(node) => vec![&node.outer, &node.inner],
            PlanNode::HashJoin(node) => vec![&node.outer, &node.inner],
            PlanNode::MergeJoin(node) => vec![&node.outer, &node.inner],
            PlanNode::Materialize(node) => vec![&node.input],
            PlanNode::Memoize(node) => vec![&node.input],
            PlanNode::Gather(node) => vec![&node.input],
            PlanNode::Sort(node) => vec![&node.input],
            PlanNode::Limit(node) => vec![&node.input],
            PlanNode::Aggregate(node) => vec![&node.input],
            PlanNode::Window(node) => vec![&node.input],
            PlanNode::Distinct(node) => vec![&node.input],
            PlanNode::Unique(node) => vec![&node.input],
            PlanNode::SetOp(node) => vec![&node.left, &node.right],
            PlanNode::Append(node) => node.inputs.iter().collect(),
            PlanNode::RecursiveUnion(node) => vec![&node.initial, &node.recursive],
            PlanNode::LockRows(node) => vec![&node.input],
            PlanNode::Insert(node) => vec![&node.source],
            PlanNode::Update(node) => vec![&node.source],
            PlanNode::Delete(node) => vec![&node.source],
            PlanNode::Merge(node) => vec![&node.source],
            PlanNode::ModifySet(node) => vec![&node.source],
        }
    }

    /// The node's inputs in the order of [`PhysicalPlan::children`], to be replaced; none of nodes that change rows.
    pub(crate) fn children_mut(&mut self) -> Vec<&mut Arc<PhysicalPlan>> {
        match &mut self.node {
            PlanNode::Values(_)
            | PlanNode::SeqScan(_)
            | PlanNode::IndexScan(_)
            | PlanNode::BitmapScan(_)
            | PlanNode::TidScan(_)
            | PlanNode::MinMaxIndex(_)
            | PlanNode::FunctionScan(_)
            | PlanNode::CteScan(_)
            | PlanNode::WorkTableScan(_)
            | PlanNode::Result(_)
            | PlanNode::LockRows(_)
            | PlanNode::Insert(_)
            | PlanNode::Update(_)
            | PlanNode::Delete(_)
            | PlanNode::Merge(_)
            | PlanNode::ModifySet(_) => Vec::new(),
            PlanNode::Filter(node) => vec![&mut node.input],
            PlanNode::Gate(node) => vec![&mut node.input],
            PlanNode::Project(node) => vec![&mut node.input],
            PlanNode::ProjectSet(node) => vec![&mut node.input],
            PlanNode::NestedLoop(node) => vec![&mut node.outer, &mut node.inner],
            PlanNode::HashJoin(node) => vec![&mut node.outer, &mut node.inner],
            PlanNode::MergeJoin(node) => vec![&mut node.outer, &mut node.inner],
            PlanNode::Materialize(node) => vec![&mut node.input],
            PlanNode::Memoize(node) => vec![&mut node.input],
            PlanNode::Gather(node) => vec![&mut node.input],
            PlanNode::Sort(node) => vec![&mut node.input],
            PlanNode::Limit(node) => vec![&mut node.input],
            PlanNode::Aggregate(node) => vec![&mut node.input],
            PlanNode::Window(node) => vec![&mut node.input],
            PlanNode::Distinct(node) => vec![&mut node.input],
            PlanNode::Unique(node) => vec![&mut node.input],
            PlanNode::SetOp(node) => vec![&mut node.left, &mut node.right],
            PlanNode::Append(node) => node.inputs.iter_mut().collect(),
            PlanNode::RecursiveUnion(node) => vec![&mut node.initial, &mut node.recursive],
        }
    }
}

/// Calls `visit` with every expression of one node (not of its inputs).
pub fn each_expr<'p>(plan: &'p PhysicalPlan, visit: &mut dyn FnMut(&'p Expr)) {
    fn aggregate<'p>(call: &'p AggregateCall, visit: &mut dyn FnMut(&'p Expr)) {
        call.args.iter().chain(&call.direct_args).chain(&call.filter).for_each(&mut *visit);
        call.order_by.iter().for_each(|key| visit(&key.expr));
    }
    fn keys<'p>(keys: &'p [SortKey], visit: &mut dyn FnMut(&'p Expr)) {
        keys.iter().for_each(|key| visit(&key.expr));
    }
    fn bounds<'p>(bounds: &'p IndexBounds, visit: &mut dyn FnMut(&'p Expr)) {
        bounds.gin.iter().for_each(|condition| visit(&condition.value));
        for key in &bounds.keys {
            if let KeyCondition::Equal(value) | KeyCondition::Any(value) = key {
                visit(&value.expr);
            }
        }
        if let Some(range) = &bounds.range {
            range.lower.iter().chain(&range.upper).for_each(|bound| visit(&bound.value.expr));
        }
        bounds.row.iter().flat_map(|row| &row.values).for_each(|value| visit(&value.expr));
    }
    fn bitmap<'p>(source: &'p BitmapSource, visit: &mut dyn FnMut(&'p Expr)) {
        match source {
            BitmapSource::Index { bounds: range, .. } => bounds(range, visit),
            BitmapSource::And(parts) | BitmapSource::Or(parts) => {
                parts.iter().for_each(|part| bitmap(part, visit));
            }
        }
    }
    match &plan.node {
        PlanNode::Result(node) => node.exprs.iter().chain(&node.condition).for_each(visit),
        PlanNode::Values(node) => node.rows.iter().flatten().for_each(visit),
        PlanNode::SeqScan(node) => {
            if let Some(sample) = &node.sample {
                visit(&sample.percent);
                sample.seed.iter().for_each(&mut *visit);
            }
            node.source.filter.iter().for_each(visit);
        }
        PlanNode::IndexScan(node) => {
            bounds(&node.bounds, visit);
            node.source.filter.iter().for_each(visit);
        }
        PlanNode::BitmapScan(node) => {
            bitmap(&node.bitmap, visit);
            node.recheck.iter().chain(&node.source.filter).for_each(visit);
        }
        PlanNode::TidScan(node) => {
            let (TidCondition::Equal(expr) | TidCondition::Any(expr)) = &node.condition;
            visit(expr);
            node.source.filter.iter().for_each(visit);
        }
        PlanNode::MinMaxIndex(node) => {
            bounds(&node.scan.bounds, visit);
            node.scan.source.filter.iter().for_each(visit);
        }
        PlanNode::FunctionScan(node) => {
            for function in &node.functions {
                match function {
                    FunctionInScan::Set { args, .. } => args.iter().for_each(&mut *visit),
                    FunctionInScan::Scalar { expr, .. } => visit(expr),
                }
            }
            node.filter.iter().for_each(visit);
        }
        PlanNode::CteScan(node) => node.filter.iter().for_each(visit),
        PlanNode::WorkTableScan(node) => node.filter.iter().for_each(visit),
        PlanNode::Filter(node) => visit(&node.predicate),
        PlanNode::Gate(node) => visit(&node.condition),
        PlanNode::Project(node) => node.exprs.iter().for_each(visit),
        PlanNode::ProjectSet(node) => {
            for item in &node.items {
                match item {
                    ProjectItem::Scalar(expr) => visit(expr),
                    ProjectItem::Set { args, .. } => args.iter().for_each(&mut *visit),
                }
            }
        }
        PlanNode::NestedLoop(node) => {
            node.parameters.iter().for_each(|parameter| visit(&parameter.value));
            node.condition.iter().chain(&node.filter).for_each(visit);
        }
        PlanNode::HashJoin(node) => {
            node.outer_keys.iter().chain(&node.inner_keys).for_each(&mut *visit);
            node.residual.iter().for_each(visit);
        }
        PlanNode::MergeJoin(node) => {
            node.outer_keys.iter().chain(&node.inner_keys).for_each(&mut *visit);
            node.residual.iter().chain(&node.filter).for_each(visit);
        }
        PlanNode::Sort(node) => {
            keys(&node.keys, visit);
            node.limit.iter().for_each(visit);
        }
        PlanNode::Gather(node) => {
            node.limit.iter().for_each(&mut *visit);
            node.merge.iter().for_each(|merge| keys(merge, visit));
        }
        PlanNode::Limit(node) => {
            node.limit.iter().chain(&node.offset).for_each(&mut *visit);
            node.ties.iter().for_each(|ties| keys(ties, visit));
        }
        PlanNode::Aggregate(node) => {
            node.keys.iter().chain(&node.having).for_each(&mut *visit);
            node.aggregates.iter().for_each(|call| aggregate(call, visit));
        }
        PlanNode::Window(node) => {
            node.partition.iter().chain(&node.run).for_each(&mut *visit);
            keys(&node.order, visit);
            for bound in [&node.frame.start, &node.frame.end] {
                if let FrameBound::Preceding(expr) | FrameBound::Following(expr) = bound {
                    visit(expr);
                }
            }
            for call in &node.calls {
                match call {
                    WindowCall::Function { args, .. } => args.iter().for_each(&mut *visit),
                    WindowCall::Aggregate(call) => aggregate(call, visit),
                }
            }
        }
        PlanNode::Insert(node) => {
            node.returning.iter().flatten().for_each(&mut *visit);
            // Those of the partitions ask the same sub-plans.
            if let Some(leaf) = node.routing.as_ref().and_then(|routing| routing.leaves.first()) {
                leaf.plan.returning.iter().flatten().for_each(visit);
            }
        }
        PlanNode::Update(node) => {
            node.assignments.iter().for_each(|assignment| visit(&assignment.value));
            node.returning.iter().flatten().for_each(visit);
        }
        PlanNode::Delete(node) => node.returning.iter().flatten().for_each(visit),
        PlanNode::Merge(node) => {
            node.exprs().into_iter().for_each(visit);
        }
        PlanNode::Memoize(node) => node.keys.iter().for_each(visit),
        PlanNode::Append(node) => {
            node.guards.iter().flatten().for_each(&mut *visit);
            node.merge.iter().for_each(|merge| keys(merge, visit));
        }
        PlanNode::ModifySet(node) => node.exprs().into_iter().for_each(visit),
        PlanNode::LockRows(node) => {
            node.relations.iter().flat_map(|relation| &relation.recheck.predicate).for_each(visit);
        }
        PlanNode::Materialize(_)
        | PlanNode::Distinct(_)
        | PlanNode::Unique(_)
        | PlanNode::SetOp(_)
        | PlanNode::RecursiveUnion(_) => {}
    }
}
