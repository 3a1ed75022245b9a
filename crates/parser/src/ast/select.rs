//! Queries: SELECT, VALUES, TABLE, set operations, FROM items, windows.

use super::{
    ColumnDef, Expr, FuncCall, Indirection, JsonTable, Name, ObjectName, Operator, P, Pos, Statement,
    TypeName, XmlTable,
};

/// A query with everything that may surround its body.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectStmt {
    pub with: Option<P<With>>,
    pub body: SelectBody,
    pub order_by: Vec<SortItem>,
    pub limit: Option<P<Limit>>,
    pub locking: Vec<LockingClause>,
    pub pos: Pos,
}

/// The body of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum SelectBody {
    Select(P<SelectCore>),
    /// `VALUES (…), (…)`; all rows are checked for equal length by the binder.
    Values(Vec<Vec<Expr>>),
    /// `TABLE name` is kept as `SELECT * FROM name`; only UNION, INTERSECT and EXCEPT are here.
    SetOp(P<SetOperation>),
}

/// `SELECT … FROM … WHERE … GROUP BY … HAVING … WINDOW …`.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectCore {
    pub distinct: Distinct,
    pub targets: Vec<Target>,
    pub into: Option<P<IntoClause>>,
    /// The comma-separated items, joins nested within.
    pub from: Vec<FromItem>,
    pub where_clause: Option<Expr>,
    pub group_by: Vec<GroupItem>,
    /// `GROUP BY DISTINCT`.
    pub group_distinct: bool,
    pub having: Option<Expr>,
    pub windows: Vec<WindowSpec>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Distinct {
    All,
    Distinct,
    On(Vec<Expr>),
}

/// An output column: of a select list or of RETURNING.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub expr: Expr,
    /// `AS alias` or a bare label.
    pub alias: Option<Name>,
    pub pos: Pos,
}

/// The table of `SELECT … INTO` and of `CREATE TABLE AS`.
#[derive(Debug, Clone, PartialEq)]
pub struct IntoClause {
    pub name: ObjectName,
    pub persistence: Persistence,
}

/// How long a relation lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    Permanent,
    Unlogged,
    Temporary,
}

/// `left UNION | INTERSECT | EXCEPT [ALL] right`.
#[derive(Debug, Clone, PartialEq)]
pub struct SetOperation {
    pub op: SetOp,
    pub all: bool,
    pub left: P<SelectStmt>,
    pub right: P<SelectStmt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetOp {
    Union,
    Intersect,
    Except,
}

/// WITH.
#[derive(Debug, Clone, PartialEq)]
pub struct With {
    pub recursive: bool,
    pub ctes: Vec<Cte>,
    pub pos: Pos,
}

/// One common table expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Cte {
    pub name: Name,
    pub columns: Vec<Name>,
    /// `Some(true)` for MATERIALIZED, `Some(false)` for NOT MATERIALIZED.
    pub materialized: Option<bool>,
    /// A SELECT, INSERT, UPDATE, DELETE or MERGE.
    pub query: Statement,
    pub search: Option<P<CteSearch>>,
    pub cycle: Option<P<CteCycle>>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CteSearch {
    pub breadth_first: bool,
    pub columns: Vec<Name>,
    pub sequence_column: Name,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CteCycle {
    pub columns: Vec<Name>,
    pub mark_column: Name,
    /// `TO value DEFAULT default`; booleans where not given.
    pub mark_value: Option<Expr>,
    pub mark_default: Option<Expr>,
    pub path_column: Name,
    pub pos: Pos,
}

/// One key of ORDER BY.
#[derive(Debug, Clone, PartialEq)]
pub struct SortItem {
    pub expr: Expr,
    pub direction: SortDirection,
    pub nulls: NullsOrder,
    /// The operator of USING, or the key.
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SortDirection {
    Default,
    Asc,
    Desc,
    Using(Operator),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullsOrder {
    Default,
    First,
    Last,
}

/// LIMIT, OFFSET and FETCH FIRST.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// `None` where not given; LIMIT ALL is a NULL literal, as in PostgreSQL.
    pub count: Option<Expr>,
    pub offset: Option<Expr>,
    pub with_ties: bool,
    /// LIMIT, FETCH or OFFSET, whichever decides an error.
    pub pos: Pos,
}

/// `FOR UPDATE OF a, b NOWAIT`.
#[derive(Debug, Clone, PartialEq)]
pub struct LockingClause {
    pub strength: LockStrength,
    /// Empty: all relations of the query.
    pub relations: Vec<ObjectName>,
    pub wait: LockWait,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockStrength {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockWait {
    Block,
    SkipLocked,
    NoWait,
}

/// One item of GROUP BY.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupItem {
    Expr(Expr),
    /// `()`.
    Empty(Pos),
    Rollup(Vec<Expr>, Pos),
    Cube(Vec<Expr>, Pos),
    Sets(P<Vec<GroupItem>>, Pos),
}

/// An item of FROM.
#[derive(Debug, Clone, PartialEq)]
pub enum FromItem {
    Table(P<FromTable>),
    Subquery(P<FromSubquery>),
    Function(P<FromFunction>),
    Join(P<Join>),
    XmlTable(P<XmlTable>),
    JsonTable(P<JsonTable>),
}

/// A relation where the descendants may be excluded: `[ONLY] name`.
#[derive(Debug, Clone, PartialEq)]
pub struct Relation {
    pub name: ObjectName,
    /// Written with ONLY: descendants do not take part.
    pub only: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FromTable {
    pub relation: Relation,
    pub alias: Option<Alias>,
    pub sample: Option<TableSample>,
    pub pos: Pos,
}

/// TABLESAMPLE.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSample {
    pub method: ObjectName,
    pub args: Vec<Expr>,
    pub repeatable: Option<Expr>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FromSubquery {
    pub lateral: bool,
    pub query: P<SelectStmt>,
    pub alias: Option<Alias>,
    pub pos: Pos,
}

/// `f(x)`, or `ROWS FROM (f(x), g(y))`.
#[derive(Debug, Clone, PartialEq)]
pub struct FromFunction {
    pub lateral: bool,
    /// Exactly one without ROWS FROM.
    pub functions: Vec<RowsFunction>,
    pub rows_from: bool,
    pub ordinality: bool,
    pub alias: Option<Alias>,
    /// `AS (a int, b text)`.
    pub columns: Vec<ColumnDef>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RowsFunction {
    /// A [`FuncCall`] or another of the function-like expressions.
    pub call: Expr,
    pub columns: Vec<ColumnDef>,
}

impl RowsFunction {
    /// The call, if it is an ordinary function.
    pub fn func(&self) -> Option<&FuncCall> {
        match &self.call {
            Expr::Func(call) => Some(call),
            _ => None,
        }
    }
}

/// `AS name (columns)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Alias {
    pub name: Name,
    pub columns: Vec<Name>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    pub kind: JoinKind,
    pub natural: bool,
    pub left: FromItem,
    pub right: FromItem,
    pub constraint: JoinConstraint,
    /// `(a JOIN b …) AS alias`.
    pub alias: Option<Alias>,
    /// The JOIN keyword's clause.
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    /// Inner without condition, written CROSS JOIN.
    Cross,
}

#[derive(Debug, Clone, PartialEq)]
pub enum JoinConstraint {
    /// CROSS or NATURAL.
    None,
    On(Expr),
    Using {
        columns: Vec<Name>,
        /// `USING (…) AS alias`.
        alias: Option<Name>,
    },
}

/// A window: in the WINDOW clause with a name, or in OVER.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowSpec {
    /// Its own name in the WINDOW clause.
    pub name: Option<Name>,
    /// The window it copies from.
    pub base: Option<Name>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortItem>,
    pub frame: Option<P<WindowFrame>>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct WindowFrame {
    pub unit: FrameUnit,
    pub start: FrameBound,
    /// `None` without BETWEEN: CURRENT ROW.
    pub end: Option<FrameBound>,
    pub exclude: FrameExclude,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameUnit {
    Range,
    Rows,
    Groups,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Expr),
    CurrentRow,
    Following(Expr),
    UnboundedFollowing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameExclude {
    NoOthers,
    CurrentRow,
    Group,
    Ties,
}

/// `name.field[sub]` on the left of an assignment: the column and what follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct AssignTarget {
    pub column: Name,
    pub indirection: Vec<Indirection>,
    pub pos: Pos,
}

/// A type with the name of a column, as in lists of function results.
#[derive(Debug, Clone, PartialEq)]
pub struct TypedName {
    pub name: Name,
    pub type_name: TypeName,
}
