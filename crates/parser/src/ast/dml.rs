//! INSERT, UPDATE, DELETE, MERGE, COPY, TRUNCATE.

use super::{
    AssignTarget, Behavior, DefElem, Expr, FromItem, IndexElem, Name, ObjectName, P, Pos, Relation,
    SelectStmt, Statement, Target, With,
};

#[derive(Debug, Clone, PartialEq)]
pub struct InsertStmt {
    pub with: Option<P<With>>,
    pub table: ObjectName,
    /// `INSERT INTO t AS alias`.
    pub alias: Option<Name>,
    /// Empty where no list is given.
    pub columns: Vec<AssignTarget>,
    pub overriding: Overriding,
    /// `None` for DEFAULT VALUES.
    pub source: Option<P<SelectStmt>>,
    pub on_conflict: Option<P<OnConflict>>,
    pub returning: Option<Returning>,
    pub pos: Pos,
}

/// RETURNING.
#[derive(Debug, Clone, PartialEq)]
pub struct Returning {
    /// `WITH (OLD AS o, NEW AS n)`.
    pub options: Vec<ReturningOption>,
    pub targets: Vec<Target>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReturningOption {
    /// NEW; otherwise OLD.
    pub new: bool,
    pub name: Name,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overriding {
    None,
    User,
    System,
}

#[derive(Debug, Clone, PartialEq)]
pub struct OnConflict {
    pub target: Option<ConflictTarget>,
    pub action: ConflictAction,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ConflictTarget {
    /// `(columns or expressions) [WHERE predicate]`.
    Index { elems: Vec<IndexElem>, predicate: Option<Expr>, pos: Pos },
    /// `ON CONSTRAINT name`.
    Constraint(Name, Pos),
}

#[derive(Debug, Clone, PartialEq)]
pub enum ConflictAction {
    Nothing,
    Update { set: Vec<Assignment>, where_clause: Option<Expr> },
}

/// One item of a SET list.
#[derive(Debug, Clone, PartialEq)]
pub enum Assignment {
    /// `target = value`; the value may be DEFAULT.
    Single { target: AssignTarget, value: Expr },
    /// `(a, b) = source`: a row constructor, a subquery, or any expression of row type.
    Multi { targets: Vec<AssignTarget>, source: Expr, pos: Pos },
}

#[derive(Debug, Clone, PartialEq)]
pub struct UpdateStmt {
    pub with: Option<P<With>>,
    pub table: Relation,
    pub alias: Option<Name>,
    pub set: Vec<Assignment>,
    pub from: Vec<FromItem>,
    /// May be [`Expr::CurrentOf`].
    pub where_clause: Option<Expr>,
    pub returning: Option<Returning>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DeleteStmt {
    pub with: Option<P<With>>,
    pub table: Relation,
    pub alias: Option<Name>,
    pub using: Vec<FromItem>,
    /// May be [`Expr::CurrentOf`].
    pub where_clause: Option<Expr>,
    pub returning: Option<Returning>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MergeStmt {
    pub with: Option<P<With>>,
    pub table: Relation,
    pub alias: Option<Name>,
    pub source: FromItem,
    pub on: Expr,
    pub when: Vec<MergeWhen>,
    pub returning: Option<Returning>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MergeWhen {
    pub kind: MergeMatch,
    pub condition: Option<Expr>,
    pub action: MergeAction,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeMatch {
    Matched,
    NotMatchedBySource,
    /// WHEN NOT MATCHED [BY TARGET].
    NotMatchedByTarget,
}

#[derive(Debug, Clone, PartialEq)]
pub enum MergeAction {
    Nothing,
    Delete,
    Update(Vec<Assignment>),
    /// `values` is `None` for DEFAULT VALUES.
    Insert {
        columns: Vec<AssignTarget>,
        overriding: Overriding,
        values: Option<Vec<Expr>>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct CopyStmt {
    pub source: CopySource,
    /// COPY … FROM; otherwise TO.
    pub from: bool,
    pub target: CopyTarget,
    /// Options of all syntaxes in the form of the newest one.
    pub options: Vec<DefElem>,
    pub where_clause: Option<Expr>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum CopySource {
    Table {
        name: ObjectName,
        columns: Vec<Name>,
    },
    /// `COPY (query) TO`: a SELECT, or a data-changing statement with RETURNING.
    Query(Statement),
}

#[derive(Debug, Clone, PartialEq)]
pub enum CopyTarget {
    /// STDIN or STDOUT.
    Std,
    File(Box<str>),
    Program(Box<str>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct TruncateStmt {
    pub relations: Vec<Relation>,
    pub restart_identity: bool,
    pub behavior: Behavior,
}
