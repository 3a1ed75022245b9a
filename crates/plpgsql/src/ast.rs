//! The tree of a routine's body.

use ochre_parser::ast as sql;

/// A routine's body.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    pub block: Block,
    /// `#variable_conflict`.
    pub conflict: Conflict,
}

/// What a name means that is both a variable and a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    Error,
    UseVariable,
    UseColumn,
}

/// `[DECLARE …] BEGIN … [EXCEPTION …] END`.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub label: Option<String>,
    pub declarations: Vec<Declaration>,
    pub body: Vec<Statement>,
    pub handlers: Vec<Handler>,
}

/// A line of DECLARE.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    pub name: String,
    pub line: u32,
    pub kind: DeclarationKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum DeclarationKind {
    Variable {
        constant: bool,
        ty: VariableType,
        not_null: bool,
        default: Option<Fragment>,
    },
    /// `ALIAS FOR name`; `$1` too.
    Alias(Vec<String>),
    Cursor {
        scroll: Option<bool>,
        arguments: Vec<(String, VariableType)>,
        query: Fragment,
    },
}

/// A variable's type.
#[derive(Debug, Clone, PartialEq)]
pub enum VariableType {
    Named(sql::TypeName),
    /// `name%TYPE`, a variable's or a column's; with how many `[]` behind it.
    TypeOf(Vec<String>, bool),
    /// `table%ROWTYPE`.
    RowOf(Vec<String>),
    Record,
}

/// A piece of SQL, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Fragment {
    pub text: String,
    pub line: u32,
    /// An expression is a SELECT of it.
    pub statement: Box<sql::Statement>,
}

/// `WHEN condition OR … THEN …`.
#[derive(Debug, Clone, PartialEq)]
pub struct Handler {
    pub conditions: Vec<Condition>,
    pub body: Vec<Statement>,
    pub line: u32,
}

/// What a handler catches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Others,
    Name(String),
    State(String),
}

/// A statement with the line it begins on.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub line: u32,
    pub kind: StatementKind,
}

/// Where a value goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub name: Vec<String>,
    /// Subscripts: upper bound or element, and the lower bound of a slice.
    pub subscripts: Vec<Subscript>,
    pub line: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Subscript {
    pub lower: Option<Fragment>,
    pub upper: Option<Fragment>,
    pub slice: bool,
}

/// `INTO [STRICT] target, …`.
#[derive(Debug, Clone, PartialEq)]
pub struct Into {
    pub strict: bool,
    pub targets: Vec<Target>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum StatementKind {
    Block(Block),
    Assign {
        target: Target,
        value: Fragment,
    },
    If {
        branches: Vec<(Fragment, Vec<Statement>)>,
        otherwise: Vec<Statement>,
    },
    Case {
        operand: Option<Fragment>,
        branches: Vec<CaseBranch>,
        otherwise: Option<Vec<Statement>>,
    },
    Loop {
        label: Option<String>,
        body: Vec<Statement>,
    },
    While {
        label: Option<String>,
        condition: Fragment,
        body: Vec<Statement>,
    },
    ForInteger {
        label: Option<String>,
        variable: String,
        reverse: bool,
        lower: Fragment,
        upper: Fragment,
        step: Option<Fragment>,
        body: Vec<Statement>,
    },
    ForQuery {
        label: Option<String>,
        targets: Vec<Target>,
        source: RowSource,
        body: Vec<Statement>,
    },
    Foreach {
        label: Option<String>,
        targets: Vec<Target>,
        slice: i32,
        array: Fragment,
        body: Vec<Statement>,
    },
    /// EXIT, or CONTINUE.
    Exit {
        is_continue: bool,
        label: Option<String>,
        condition: Option<Fragment>,
    },
    Return(Option<Fragment>),
    ReturnNext(Option<Fragment>),
    ReturnQuery(RowSource),
    Raise(Raise),
    Assert {
        condition: Fragment,
        message: Option<Fragment>,
    },
    /// A statement of SQL.
    Sql {
        fragment: Fragment,
        into: Option<Into>,
    },
    Perform(Fragment),
    Call(Fragment),
    Execute {
        text: Fragment,
        into: Option<Into>,
        using: Vec<Fragment>,
    },
    GetDiagnostics {
        stacked: bool,
        items: Vec<(Target, String)>,
    },
    Open {
        cursor: Target,
        scroll: Option<bool>,
        source: OpenSource,
    },
    /// FETCH, or MOVE without targets.
    Fetch {
        cursor: Target,
        direction: FetchDirection,
        into: Option<Into>,
    },
    Close(Target),
    Null,
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
}

/// The rows of a loop or of RETURN QUERY.
#[derive(Debug, Clone, PartialEq)]
pub enum RowSource {
    Query(Fragment),
    Dynamic { text: Fragment, using: Vec<Fragment> },
    Cursor { name: String, arguments: Vec<(Option<String>, Fragment)> },
}

/// What OPEN opens.
#[derive(Debug, Clone, PartialEq)]
pub enum OpenSource {
    /// A bound cursor with its arguments.
    Bound(Vec<(Option<String>, Fragment)>),
    Query(Fragment),
    Dynamic {
        text: Fragment,
        using: Vec<Fragment>,
    },
}

/// How a FETCH moves.
#[derive(Debug, Clone, PartialEq)]
pub enum FetchDirection {
    Next,
    Prior,
    First,
    Last,
    Absolute(Fragment),
    Relative(Fragment),
    /// Of MOVE: FORWARD and BACKWARD with a count, `None` for ALL.
    Forward(Option<Fragment>),
    Backward(Option<Fragment>),
}

/// What the operand of a CASE is called in the conditions of its branches.
pub const CASE_VARIABLE: &str = "__Case__Variable__";

/// `WHEN a, b THEN …`.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseBranch {
    /// Of a CASE with an operand `"__Case__Variable__" IN (a, b)`.
    pub condition: Fragment,
    pub body: Vec<Statement>,
}

/// RAISE.
#[derive(Debug, Clone, PartialEq)]
pub struct Raise {
    pub level: RaiseLevel,
    /// Without anything else the error being handled is raised again.
    pub condition: Option<Condition>,
    pub format: Option<String>,
    pub arguments: Vec<Fragment>,
    pub options: Vec<(RaiseOption, Fragment)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RaiseLevel {
    Debug,
    Log,
    Info,
    Notice,
    Warning,
    Exception,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RaiseOption {
    Errcode,
    Message,
    Detail,
    Hint,
    Column,
    Constraint,
    Datatype,
    Table,
    Schema,
}
