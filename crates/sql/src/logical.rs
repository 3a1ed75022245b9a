//! The logical plan: relational algebra over *column ids*.
//!
//! # Role
//! The binder makes it, the rules of [`crate::optimize`] rewrite it, the physical planner turns it into operators.
//!
//! # Columns
//! Every column that comes into being anywhere in a statement (a table's column in one FROM item, an aggregate, a
//! computed target) has a number of its own, its [`ColumnId`]. In a logical plan `Expr::Column { index }` holds such an id,
//! whatever the nesting of queries: a reference to an outer query is simply an id that the inner plan does not produce.
//! Rewrites move expressions freely; positions are assigned once, when the physical plan is made.
//!
//! # Invariants
//! L1. An id is produced by exactly one leaf, projection, aggregate, window or set operation; operators above pass it on.
//!     Above the nullable side of an outer join (and above grouping sets) the same id stands for the value or NULL.
//! L2. An operator reads only ids that its inputs produce, or ids of an enclosing query or of the left side of a lateral
//!     join.

use std::sync::Arc;

use ochre_base::Oid;
use ochre_catalog::RelationDescriptor;
use ochre_expr::{AggregateRef, Expr, FunctionRef, Volatility};
use ochre_types::SqlType;

use crate::physical::{
    ColumnOrigin, CommandKind, FrameExclusion, FrameMode, MergeMatch, OutputColumn, RelationAccess,
    Requirement, RowLockStrength, RowLockWait, SampleMethod, ScanColumn, SetOpKind,
};

/// A column's number within a statement.
pub type ColumnId = usize;

/// What is known of a column id.
#[derive(Debug, Clone)]
pub struct ColumnInfo {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub ty: SqlType,
    /// The table column that it is.
    pub origin: Option<ColumnOrigin>,
    /// How deeply nested the query is that it belongs to; 0 is the outermost.
    pub depth: u32,
    /// The FROM item that it belongs to, an index of [`LogicalStatement::tables`].
    pub table: Option<TableId>,
}

/// Index of [`LogicalStatement::tables`].
pub type TableId = usize;

/// A table in one FROM item (or as the target of DML).
#[derive(Debug, Clone)]
pub struct TableUse {
    /// The table.
    pub table: Arc<RelationDescriptor>,
    /// Its name in the query.
    pub alias: Arc<str>,
    /// The columns that anything in the statement mentions, with their ids.
    pub columns: Vec<(ScanColumn, ColumnId)>,
    /// Which relations its name stands for.
    pub expansion: Expansion,
    /// The uses of those relations, once [`crate::inherit::expand`] has made them.
    pub members: Vec<TableId>,
    /// Where the statement's requirements tell what of it is read.
    pub requirement: Option<usize>,
}

impl TableUse {
    /// A use of a table alone.
    pub fn new(table: Arc<RelationDescriptor>, alias: Arc<str>) -> TableUse {
        TableUse {
            table,
            alias,
            columns: Vec::new(),
            expansion: Expansion::Own,
            members: Vec::new(),
            requirement: None,
        }
    }
}

/// Which relations a table's name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expansion {
    /// The table.
    Own,
    /// The table, if it has rows of its own, and all that inherit from it.
    Descendants,
    /// None: ONLY of a partitioned table.
    Nothing,
}

/// What a sub-query or view in FROM and its columns are called: EXPLAIN says that of a filter above it.
#[derive(Debug, Clone)]
pub struct FromName {
    /// Its name in the query.
    pub alias: Arc<str>,
    /// Its columns; some under several ids, when it gives them ids of their own.
    pub columns: Vec<(ColumnId, Arc<str>)>,
}

/// TABLESAMPLE.
#[derive(Debug, Clone)]
pub struct SampleGet {
    /// The table.
    pub table: TableId,
    /// How rows are chosen.
    pub method: SampleMethod,
    /// Per cent of the rows: a real.
    pub percent: Expr,
    /// REPEATABLE: a double precision.
    pub seed: Option<Expr>,
}

/// A bound statement.
#[derive(Debug)]
pub struct LogicalStatement {
    /// The command.
    pub command: CommandKind,
    /// The query, or the source of rows of a DML statement.
    pub body: LogicalBody,
    /// Everything that column ids stand for.
    pub columns: Vec<ColumnInfo>,
    /// Every use of a table.
    pub tables: Vec<TableUse>,
    /// `Expr::SubPlan { plan }` indexes this list.
    pub subqueries: Vec<Subquery>,
    /// What sub-queries and views in FROM are called, inner ones before those around them.
    pub from_names: Vec<FromName>,
    /// [`Logical::CteScan`] indexes this list.
    pub ctes: Vec<LogicalCte>,
    /// Number of work tables of recursive CTEs.
    pub work_tables: usize,
    /// Relations used: views too, since they are locked and their privileges are checked.
    pub relations: Vec<(Arc<RelationDescriptor>, RelationAccess)>,
    /// What whoever runs it, or the owner of a view in it, must be allowed to.
    pub requirements: Vec<Requirement>,
    /// Namespaces that its text names.
    pub namespaces: Vec<Oid>,
    /// Subqueries that become joins which need not be cheaper.
    pub alternatives: Alternatives,
    /// The tables whose row ids stand behind a cursor's query's columns.
    pub cursor_tables: Vec<Oid>,
}

/// Which rewrites that need not be cheaper are made: the planner makes plans with and without them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alternatives {
    /// How many there could be so far.
    pub met: u32,
    /// Those that are left out, by their numbers in the order in which they are met.
    pub refused: u64,
}

impl Alternatives {
    /// Whether the next one is made.
    pub fn accepts_next(&mut self) -> bool {
        let number = self.met;
        self.met += 1;
        self.refused >> number.min(63) & 1 == 0
    }
}

/// The two kinds of statements.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub enum LogicalBody {
    /// A query.
    Query(Query),
    /// INSERT, UPDATE, DELETE or MERGE.
    Modify(Box<Modify>),
}

/// A plan and which of its columns are the result.
#[derive(Debug, Clone)]
pub struct Query {
    /// The plan.
    pub plan: Logical,
    /// The result's columns, in order.
    pub output: Vec<(ColumnId, OutputColumn)>,
}

/// A query inside an expression.
#[derive(Debug, Clone)]
pub struct Subquery {
    /// The query; it may mention ids of the queries around it.
    pub query: Query,
    /// How deeply nested it is, the main query being 0.
    pub depth: u32,
    /// Its number among the frames of the statement; the main query is 0.
    pub frame: usize,
}

/// A `WITH` entry.
#[derive(Debug)]
pub struct LogicalCte {
    /// Its name.
    pub name: Arc<str>,
    /// The query or data-modifying statement.
    pub body: LogicalBody,
    /// Its columns.
    pub output: Vec<(ColumnId, OutputColumn)>,
    /// How often it is read.
    pub references: usize,
    /// MATERIALIZED or NOT MATERIALIZED, when written.
    pub materialized: Option<bool>,
    /// It refers to itself.
    pub recursive: bool,
    /// The nesting of the query that its WITH stands in.
    pub depth: u32,
    /// The frame that its WITH stands in.
    pub frame: usize,
}

/// An operator of the logical plan.
#[derive(Debug, Clone)]
pub enum Logical {
    /// One row without columns, or no row.
    Dummy {
        /// Whether there is a row.
        row: bool,
    },
    /// A table.
    Get(TableId),
    /// Some rows of a table, chosen by chance.
    Sample(Box<SampleGet>),
    /// Rows of expressions.
    Values { rows: Vec<Vec<Expr>>, columns: Vec<ColumnId>, alias: Arc<str> },
    /// Functions in FROM.
    Function(Box<FunctionGet>),
    /// A `WITH` entry: positions of its columns and the ids they get here.
    CteScan { cte: usize, alias: Arc<str>, columns: Vec<(usize, ColumnId)> },
    /// The rows of the last round of a recursive CTE.
    WorkTable { work_table: usize, alias: Arc<str>, columns: Vec<(usize, ColumnId)>, cte: usize },
    /// Rows for which every predicate is true.
    Filter { input: Box<Logical>, predicates: Vec<Expr> },
    /// Exactly these columns. An item whose expression is its own id passes the column on.
    Project { input: Box<Logical>, items: Vec<(ColumnId, Expr)> },
    /// Computed columns of which some are sets.
    ProjectSet { input: Box<Logical>, items: Vec<(ColumnId, SetItem)> },
    /// A join.
    Join(Box<Join>),
    /// Groups.
    Aggregate(Box<Grouping>),
    /// Window functions over one window.
    Window(Box<WindowStep>),
    /// Distinct rows over these columns, which are all of the input's.
    Distinct { input: Box<Logical>, columns: Vec<ColumnId> },
    /// The first row of each group of equal `on` values, in the order of `sort` (DISTINCT ON).
    DistinctOn { input: Box<Logical>, on: Vec<ColumnId>, sort: Vec<Ordering> },
    /// Order.
    Sort { input: Box<Logical>, keys: Vec<Ordering> },
    /// LIMIT and OFFSET.
    Limit { input: Box<Logical>, limit: Option<Expr>, offset: Option<Expr>, ties: Option<Vec<Ordering>> },
    /// UNION ALL.
    Append(Box<SetInputs>),
    /// INTERSECT and EXCEPT.
    SetOp(SetOpKind, Box<SetInputs>),
    /// WITH RECURSIVE: the initial and the recursive term.
    RecursiveUnion { inputs: Box<SetInputs>, distinct: bool, work_table: usize },
    /// FOR UPDATE and its kin.
    LockRows {
        /// The input.
        input: Box<Logical>,
        /// Which rows.
        locks: Vec<RowLock>,
        /// What every row of the input satisfies, to be looked at again when a row has changed.
        predicates: Vec<Expr>,
        /// A clause of a query around asks for it, too.
        inherited: bool,
    },
}

/// A key of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Ordering {
    /// The value.
    pub expr: Expr,
    /// Largest first.
    pub descending: bool,
    /// Nulls before other values.
    pub nulls_first: bool,
}

/// Inputs of a set operation: column `i` of every input becomes output column `columns[i]`.
#[derive(Debug, Clone)]
pub struct SetInputs {
    /// The ids of the result.
    pub columns: Vec<ColumnId>,
    /// The inputs with the ids of their columns, in order.
    pub inputs: Vec<(Logical, Vec<ColumnId>)>,
    /// The table whose set of relations the inputs are.
    pub set: Option<TableId>,
}

/// An item of a [`Logical::ProjectSet`].
#[derive(Debug, Clone, PartialEq)]
pub enum SetItem {
    /// An ordinary expression.
    Scalar(Expr),
    /// A set.
    Set {
        /// The function.
        function: FunctionRef,
        /// Its arguments.
        args: Vec<Expr>,
        /// The type of an element.
        ty: SqlType,
    },
}

impl SetItem {
    /// Whether its values may differ from one call to the next.
    pub fn is_volatile(&self) -> bool {
        let volatile = |expr: &Expr| expr.volatility() == Volatility::Volatile;
        match self {
            SetItem::Scalar(expr) => volatile(expr),
            SetItem::Set { function, args, .. } => {
                function.volatility == Volatility::Volatile || args.iter().any(volatile)
            }
        }
    }
}

/// Functions in FROM.
#[derive(Debug, Clone)]
pub struct FunctionGet {
    /// The name in the query.
    pub alias: Arc<str>,
    /// The functions, each with the ids of its columns.
    pub functions: Vec<(FunctionCall, Vec<ColumnId>)>,
    /// The id of the row number.
    pub ordinality: Option<ColumnId>,
}

/// A function in FROM.
#[derive(Debug, Clone)]
pub enum FunctionCall {
    /// A set-returning function.
    Set { function: FunctionRef, args: Vec<Expr>, ty: SqlType },
    /// Any other expression.
    Scalar(Expr),
}

/// The kinds of joins of the logical plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    /// Left rows with a partner.
    Semi,
    /// Left rows without a partner.
    Anti,
    /// Left rows for which `NOT IN` is true.
    AntiNullAware,
    /// Left rows with a boolean: has a partner.
    Mark(ColumnId),
}

impl JoinKind {
    /// Whether the right side's columns are in the output.
    pub fn keeps_right(self) -> bool {
        matches!(self, JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full)
    }
}

/// A join.
#[derive(Debug, Clone)]
pub struct Join {
    /// The kind.
    pub kind: JoinKind,
    /// The left side.
    pub left: Logical,
    /// The right side.
    pub right: Logical,
    /// The condition's conjuncts.
    pub on: Vec<Expr>,
    /// The right side mentions columns of the left one.
    pub lateral: bool,
}

/// Groups and aggregates.
#[derive(Debug, Clone)]
pub struct Grouping {
    /// The input.
    pub input: Logical,
    /// Group keys. A key that is a plain column keeps that column's id.
    pub keys: Vec<(ColumnId, Expr)>,
    /// Aggregates.
    pub aggregates: Vec<(ColumnId, AggregateExpr)>,
    /// Grouping sets as positions of `keys`, and the id of the set's number.
    pub sets: Option<(Vec<Vec<usize>>, ColumnId)>,
}

/// A call of an aggregate.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateExpr {
    /// The aggregate.
    pub function: AggregateFunction,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// Direct arguments of an ordered-set aggregate, over the ids of the group keys.
    pub direct_args: Vec<Expr>,
    /// DISTINCT.
    pub distinct: bool,
    /// ORDER BY.
    pub order_by: Vec<Ordering>,
    /// FILTER.
    pub filter: Option<Expr>,
    /// The result's type.
    pub ty: SqlType,
}

/// The aggregate of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateFunction(pub AggregateRef);

/// Window functions that share a window.
#[derive(Debug, Clone)]
pub struct WindowStep {
    /// The input.
    pub input: Logical,
    /// PARTITION BY.
    pub partition: Vec<Expr>,
    /// ORDER BY.
    pub order: Vec<Ordering>,
    /// The frame.
    pub frame: Frame,
    /// The calls.
    pub calls: Vec<(ColumnId, WindowExpr)>,
    /// Conditions on the calls: behind the first row of a partition of which one is not true there is none that anybody
    /// wants.
    pub run: Vec<Expr>,
}

/// A window's frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// What offsets count.
    pub mode: FrameMode,
    /// The first row.
    pub start: Bound,
    /// The last row.
    pub end: Bound,
    /// EXCLUDE.
    pub exclusion: FrameExclusion,
}

/// One end of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    UnboundedPreceding,
    Preceding(Expr),
    CurrentRow,
    Following(Expr),
    UnboundedFollowing,
}

/// A call over a window.
#[derive(Debug, Clone, PartialEq)]
pub enum WindowExpr {
    /// A window function.
    Function { function: FunctionRef, args: Vec<Expr>, ty: SqlType },
    /// An aggregate.
    Aggregate(AggregateExpr),
}

impl WindowExpr {
    /// Its expressions.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let (args, aggregate) = match self {
            WindowExpr::Function { args, .. } => (Some(args), None),
            WindowExpr::Aggregate(call) => (None, Some(call)),
        };
        let aggregate = aggregate.into_iter().flat_map(crate::walk::each_of_aggregate);
        args.into_iter().flatten().chain(aggregate)
    }

    /// Whether its values may differ from one call to the next.
    pub fn is_volatile(&self) -> bool {
        let volatile = |expr: &Expr| expr.volatility() == Volatility::Volatile;
        match self {
            WindowExpr::Function { args, .. } => args.iter().any(volatile),
            WindowExpr::Aggregate(aggregate) => aggregate.args.iter().chain(&aggregate.filter).any(volatile),
        }
    }
}

/// A table whose rows are locked.
#[derive(Debug, Clone)]
pub struct RowLock {
    /// The table.
    pub table: TableId,
    /// The id of its row id.
    pub row_id: ColumnId,
    /// The id of its `tableoid`, when it stands for a set of relations.
    pub table_oid: Option<ColumnId>,
    /// How strongly.
    pub strength: RowLockStrength,
    /// What to do about a locked row.
    pub wait: RowLockWait,
}

/// INSERT, UPDATE, DELETE or MERGE.
#[derive(Debug)]
pub struct Modify {
    /// The command.
    pub command: CommandKind,
    /// The target. Its ids mean the rows of the source (UPDATE, DELETE, MERGE), or the existing row in DO UPDATE.
    pub target: TableId,
    /// The rows: of an INSERT complete rows in `source.output`, one column for each of the table's; of UPDATE and DELETE
    /// the rows that qualify, with at least the target's ids; of MERGE the join of target and source.
    pub source: Query,
    /// The row id among the source's columns (UPDATE, DELETE, MERGE).
    pub row_id: Option<ColumnId>,
    /// The row's `tableoid`, when the target stands for a set of relations.
    pub table_oid: Option<ColumnId>,
    /// What every row of the source satisfies, to be looked at again when a row has changed.
    pub predicates: Vec<Expr>,
    /// New values by column position (UPDATE).
    pub assignments: Vec<(usize, Expr)>,
    /// ON CONFLICT (INSERT).
    pub on_conflict: Option<LogicalConflict>,
    /// RETURNING, over the ids of `image` and of the source.
    pub returning: Option<Vec<(Expr, OutputColumn)>>,
    /// A use of the target whose ids mean the row as it is after the statement; of a DELETE the same as `target`.
    pub image: TableId,
    /// A use of the target whose ids mean in RETURNING the row that a kind of change does not have: OLD of an INSERT, NEW of
    /// DELETE and MERGE.
    pub counterpart: Option<TableId>,
    /// The actions of a MERGE.
    pub merge: Option<LogicalMerge>,
    /// A use of the target whose ids mean `excluded`.
    pub excluded: Option<TableId>,
    /// What a new row must satisfy.
    pub rules: TargetRules,
}

/// What a MERGE does with the rows of its source.
#[derive(Debug)]
pub struct LogicalMerge {
    /// WHEN clauses, in order.
    pub actions: Vec<LogicalMergeAction>,
    /// A column of the source that is NULL in a target row that nothing matches.
    pub source_present: Option<ColumnId>,
    /// What `merge_action()` stands for.
    pub action_name: ColumnId,
}

/// A WHEN clause.
#[derive(Debug)]
pub struct LogicalMergeAction {
    /// Which rows it is for.
    pub matched: MergeMatch,
    /// Whether it is for this row.
    pub condition: Option<Expr>,
    /// What to do.
    pub change: LogicalMergeChange,
}

/// What a WHEN clause does.
#[derive(Debug)]
pub enum LogicalMergeChange {
    Nothing,
    Delete,
    /// New values by column position.
    Update(Vec<(usize, Expr)>),
    /// A complete row.
    Insert(Vec<Expr>),
}

impl LogicalMergeAction {
    /// The action's expressions.
    pub fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let values: Vec<&mut Expr> = match &mut self.change {
            LogicalMergeChange::Nothing | LogicalMergeChange::Delete => Vec::new(),
            LogicalMergeChange::Update(assignments) => assignments.iter_mut().map(|(_, v)| v).collect(),
            LogicalMergeChange::Insert(values) => values.iter_mut().collect(),
        };
        self.condition.iter_mut().chain(values).collect()
    }
}

/// ON CONFLICT with everything bound.
#[derive(Debug)]
pub struct LogicalConflict {
    /// The arbiter indexes.
    pub arbiters: Vec<Oid>,
    /// `None`: DO NOTHING. Otherwise assignments by column position, and WHERE.
    pub update: Option<ConflictUpdate>,
}

/// What a new row must satisfy; `Expr::Column { index }` is the position of a column in the table.
#[derive(Debug, Default)]
pub struct TargetRules {
    /// Columns that must not be null.
    pub not_null: Vec<usize>,
    /// Generated columns.
    pub generated: Vec<(usize, Expr)>,
    /// CHECK constraints.
    pub checks: Vec<(Arc<str>, Expr)>,
    /// CHECK OPTION of views, by their names.
    pub view_checks: Vec<(Arc<str>, Expr)>,
}

/// DO UPDATE: assignments by column position, and WHERE.
pub type ConflictUpdate = (Vec<(usize, Expr)>, Option<Expr>);
