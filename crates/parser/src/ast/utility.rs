//! Transactions, settings, prepared statements, cursors, maintenance, COMMENT and options.

use super::{
    Expr, Name, NumericValue, ObjectName, ObjectRef, Operator, P, Pos, Relation, SelectStmt, Statement,
    TypeName,
};

/// An option in one of the general lists: `WITH (name = value)`, `(ANALYZE, FORMAT json)`, COPY's and others.
#[derive(Debug, Clone, PartialEq)]
pub struct DefElem {
    /// `toast.` of storage parameters.
    pub namespace: Option<Name>,
    pub name: Name,
    pub value: Option<DefValue>,
    pub pos: Pos,
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq)]
pub enum DefValue {
    /// A quoted string.
    String(Box<str>),
    /// A bare word: an identifier that is not a type name here, a keyword (`on`, `true`, `none`).
    Word(Name),
    Number(NumericValue),
    Bool(bool),
    /// A name that may be a type: also every plain identifier in lists of `CREATE OPERATOR` and its kind.
    Type(P<TypeName>),
    Operator(Operator),
    List(Vec<DefValue>),
    /// `*`.
    Star,
    /// A list of names between parentheses, as COPY's options have it.
    Columns(Vec<Name>),
}

impl DefValue {
    /// The value as text, in the way in which PostgreSQL reads an option as a string.
    pub fn as_text(&self) -> String {
        match self {
            DefValue::String(text) => text.to_string(),
            DefValue::Word(name) => name.to_string(),
            DefValue::Number(NumericValue::Integer(value)) => value.to_string(),
            DefValue::Number(NumericValue::Other(text)) => text.to_string(),
            DefValue::Bool(value) => value.to_string(),
            DefValue::Type(name) => name.parts.iter().map(Name::as_str).collect::<Vec<_>>().join("."),
            DefValue::Operator(op) => op.name.to_string(),
            DefValue::List(items) => items.iter().map(DefValue::as_text).collect::<Vec<_>>().join(", "),
            DefValue::Star => "*".to_string(),
            DefValue::Columns(names) => names.iter().map(Name::as_str).collect::<Vec<_>>().join(", "),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum TransactionStmt {
    /// BEGIN in every spelling.
    Begin(TransactionModes),
    /// `START TRANSACTION`.
    Start(TransactionModes),
    /// COMMIT, END; `chain` for AND CHAIN.
    Commit {
        chain: bool,
    },
    /// ROLLBACK, ABORT.
    Rollback {
        chain: bool,
    },
    Savepoint(Name, Pos),
    Release(Name, Pos),
    RollbackTo(Name, Pos),
    Prepare(Box<str>, Pos),
    CommitPrepared(Box<str>, Pos),
    RollbackPrepared(Box<str>, Pos),
}

/// The modes of a transaction; `None` where not given, the last one counts where given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransactionModes {
    pub isolation: Option<IsolationLevel>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
}

impl TransactionModes {
    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        *self == TransactionModes::default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl IsolationLevel {
    /// The text of the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            IsolationLevel::ReadUncommitted => "read uncommitted",
            IsolationLevel::ReadCommitted => "read committed",
            IsolationLevel::RepeatableRead => "repeatable read",
            IsolationLevel::Serializable => "serializable",
        }
    }
}

/// SET and RESET in every spelling, also inside ALTER ROLE, ALTER DATABASE, ALTER SYSTEM and CREATE FUNCTION.
#[derive(Debug, Clone, PartialEq)]
pub struct SetStmt {
    pub scope: SetScope,
    pub action: SetAction,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetScope {
    /// Neither word, or SESSION.
    Session,
    Local,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SetAction {
    /// `name = value, …`. `SET TIME ZONE`, `SCHEMA`, `NAMES`, `ROLE`, `SESSION AUTHORIZATION` and `XML OPTION` become
    /// the settings `timezone`, `search_path`, `client_encoding`, `role`, `session_authorization`, `xmloption`.
    Value {
        name: Name,
        values: Vec<SetValue>,
    },
    /// `name TO DEFAULT`, and `TIME ZONE LOCAL | DEFAULT`.
    Default {
        name: Name,
    },
    /// `name FROM CURRENT`.
    FromCurrent {
        name: Name,
    },
    /// `SET TRANSACTION modes`.
    Transaction(TransactionModes),
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION modes`.
    SessionCharacteristics(TransactionModes),
    /// `SET TRANSACTION SNAPSHOT 'id'`.
    TransactionSnapshot(Box<str>),
    /// `RESET name`.
    Reset {
        name: Name,
    },
    ResetAll,
}

/// One value of SET.
#[derive(Debug, Clone, PartialEq)]
pub struct SetValue {
    pub value: SetValueKind,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SetValueKind {
    /// A quoted string, or a word (`on`, `off`, `true`, an identifier), which mean the same.
    String(Box<str>),
    Number(NumericValue),
    /// `INTERVAL 'x' fields` of SET TIME ZONE.
    Interval(P<super::CastExpr>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum ShowStmt {
    /// With the setting's canonical name: `SHOW TIME ZONE` is `timezone`.
    Name(Name, Pos),
    All,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ExplainStmt {
    /// `EXPLAIN ANALYZE VERBOSE` gives the same options as `EXPLAIN (ANALYZE, VERBOSE)`.
    pub options: Vec<DefElem>,
    pub query: Statement,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PrepareStmt {
    pub name: Name,
    pub types: Vec<TypeName>,
    pub query: Statement,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ExecuteStmt {
    pub name: Name,
    pub params: Vec<Expr>,
    pub pos: Pos,
}

/// `DEALLOCATE name`, or ALL (`None`).
#[derive(Debug, Clone, PartialEq)]
pub struct DeallocateStmt {
    pub name: Option<Name>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DeclareCursorStmt {
    pub name: Name,
    pub binary: bool,
    /// `Some(false)` for NO SCROLL.
    pub scroll: Option<bool>,
    /// `Some(false)` for ASENSITIVE, `Some(true)` for INSENSITIVE.
    pub insensitive: Option<bool>,
    /// Options that were written beside their opposites, the others being the ones above.
    pub opposed: OpposedOptions,
    pub hold: bool,
    pub query: P<SelectStmt>,
    pub pos: Pos,
}

/// Options of a cursor that exclude each other.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OpposedOptions {
    /// SCROLL and NO SCROLL.
    pub scroll: bool,
    /// ASENSITIVE and INSENSITIVE.
    pub insensitive: bool,
}

/// FETCH and MOVE.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchStmt {
    pub is_move: bool,
    pub direction: FetchDirection,
    pub cursor: Name,
    pub pos: Pos,
}

/// How far a cursor moves. NEXT is Forward(1), ALL is Forward(i64::MAX), FIRST is Absolute(1), LAST is Absolute(-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchDirection {
    Forward(i64),
    Backward(i64),
    Absolute(i64),
    Relative(i64),
}

impl FetchDirection {
    /// The count of ALL.
    pub const ALL: i64 = i64::MAX;
}

/// `CLOSE name`, or ALL (`None`).
#[derive(Debug, Clone, PartialEq)]
pub struct ClosePortalStmt {
    pub name: Option<Name>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscardTarget {
    All,
    Plans,
    Sequences,
    Temp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LockStmt {
    pub relations: Vec<Relation>,
    pub mode: LockMode,
    pub nowait: bool,
}

/// The eight modes of relation locks, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockMode {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NotifyStmt {
    pub channel: Name,
    pub payload: Option<Box<str>>,
}

/// VACUUM and ANALYZE.
#[derive(Debug, Clone, PartialEq)]
pub struct VacuumStmt {
    /// ANALYZE without VACUUM.
    pub analyze_only: bool,
    /// The old spelling `VACUUM FULL FREEZE VERBOSE ANALYZE` gives the same options as the list.
    pub options: Vec<DefElem>,
    pub relations: Vec<VacuumRelation>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct VacuumRelation {
    pub relation: Relation,
    pub columns: Vec<Name>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ClusterStmt {
    pub table: Option<ObjectName>,
    pub index: Option<Name>,
    pub options: Vec<DefElem>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReindexStmt {
    pub kind: ReindexKind,
    /// A relation's name, or the namespace's or database's; absent for the current database.
    pub name: Option<ObjectName>,
    /// CONCURRENTLY is an option of that name.
    pub options: Vec<DefElem>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReindexKind {
    Index,
    Table,
    Schema,
    System,
    Database,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SetConstraintsStmt {
    /// Empty for ALL.
    pub constraints: Vec<ObjectName>,
    pub deferred: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DoStmt {
    pub language: Option<Name>,
    pub body: Box<str>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CommentStmt {
    pub object: ObjectRef,
    /// `None` for NULL.
    pub comment: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SecurityLabelStmt {
    pub provider: Option<Name>,
    pub object: ObjectRef,
    pub label: Option<Box<str>>,
}
