//! Expressions.
//!
//! # Shape
//! [`Expr`] is flat: one variant a form, large forms boxed. Operators that are operators in the catalog (`+`, `=`,
//! `||`, `~`) are [`Expr::Unary`] and [`Expr::Binary`]; forms with a grammar of their own (LIKE, BETWEEN, IN …) keep it.
//! Function-like syntax that PostgreSQL turns into a call (`EXTRACT`, `SUBSTRING … FROM`, `AT TIME ZONE`, `OVERLAPS`)
//! is an [`Expr::Func`] whose [`CallSyntax`] remembers the spelling.

use super::{
    JsonExpr, Name, NameParts, ObjectName, P, Pos, SelectStmt, SortItem, TypeName, WindowSpec, XmlExpr,
};

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `a`, `t.a`, `s.t.a`, `t.*`, `*`.
    Column(ColumnRef),
    /// A constant without type, or with the type its spelling gives it.
    Literal(Literal),
    /// `$1`.
    Param(Param),
    /// A prefix operator.
    Unary(P<UnaryExpr>),
    /// An infix operator.
    Binary(P<BinaryExpr>),
    /// `a AND b AND c`: two or more operands, nested ANDs of the left side flattened.
    And(P<BoolExpr>),
    /// `a OR b OR c`, flattened likewise.
    Or(P<BoolExpr>),
    Not(P<NotExpr>),
    /// `x IS [NOT] NULL`.
    NullTest(P<NullTest>),
    /// `x IS [NOT] TRUE | FALSE | UNKNOWN`.
    BooleanTest(P<BooleanTest>),
    /// `a IS [NOT] DISTINCT FROM b`.
    Distinct(P<DistinctExpr>),
    /// `x [NOT] LIKE | ILIKE | SIMILAR TO pattern [ESCAPE e]`.
    Like(P<LikeExpr>),
    /// `x [NOT] BETWEEN [SYMMETRIC] low AND high`.
    Between(P<BetweenExpr>),
    /// `x [NOT] IN (a, b, c)`.
    InList(P<InListExpr>),
    /// `x [NOT] IN (SELECT …)`.
    InSubquery(P<InSubqueryExpr>),
    /// `x op ANY | ALL (array)`.
    QuantifiedArray(P<QuantifiedArrayExpr>),
    /// `x op ANY | ALL (SELECT …)`.
    QuantifiedSubquery(P<QuantifiedSubqueryExpr>),
    /// `(SELECT …)` as a value.
    Subquery(P<SubqueryExpr>),
    /// `EXISTS (SELECT …)`.
    Exists(P<SubqueryExpr>),
    /// `ARRAY(SELECT …)`.
    ArraySubquery(P<SubqueryExpr>),
    Case(P<CaseExpr>),
    Coalesce(P<ListExpr>),
    Greatest(P<ListExpr>),
    Least(P<ListExpr>),
    NullIf(P<NullIfExpr>),
    /// `ROW(a, b)` or `(a, b)`.
    Row(P<RowExpr>),
    /// `ARRAY[a, b]`, also nested `[a, b]` inside one.
    Array(P<ListExpr>),
    /// `CAST(x AS t)`, `x::t`, `t 'text'`.
    Cast(P<CastExpr>),
    /// `x COLLATE c`.
    Collate(P<CollateExpr>),
    /// A function call in any spelling.
    Func(P<FuncCall>),
    /// `CURRENT_DATE`, `USER` and their kind: function calls without parentheses.
    ValueFunction(ValueFunction),
    /// `GROUPING(a, b)`.
    Grouping(P<ListExpr>),
    /// Subscripts and field selections after an expression: `x[1]`, `(x).f`, `(x).*`.
    Indirection(P<IndirectionExpr>),
    /// `DEFAULT`, where the grammar allows it: VALUES of an INSERT, SET of an UPDATE.
    Default(Pos),
    /// `WHERE CURRENT OF cursor`.
    CurrentOf(P<CurrentOf>),
    Json(P<JsonExpr>),
    Xml(P<XmlExpr>),
}

impl Expr {
    /// Where an error about this expression points, as PostgreSQL's `exprLocation`: the leftmost token for most
    /// forms of one operand, the operator for operators.
    pub fn pos(&self) -> Pos {
        match self {
            Expr::Column(e) => e.pos,
            Expr::Literal(e) => e.pos,
            Expr::Param(e) => e.pos,
            Expr::Unary(e) => e.pos,
            Expr::Binary(e) => e.pos,
            Expr::And(e) | Expr::Or(e) => e.pos,
            Expr::Not(e) => e.pos,
            Expr::NullTest(e) => e.pos,
            Expr::BooleanTest(e) => e.pos,
            Expr::Distinct(e) => e.pos,
            Expr::Like(e) => e.pos,
            Expr::Between(e) => e.pos,
            Expr::InList(e) => e.pos,
            Expr::InSubquery(e) => e.pos,
            Expr::QuantifiedArray(e) => e.pos,
            Expr::QuantifiedSubquery(e) => e.pos,
            Expr::Subquery(e) | Expr::Exists(e) | Expr::ArraySubquery(e) => e.pos,
            Expr::Case(e) => e.pos,
            Expr::Coalesce(e) | Expr::Greatest(e) | Expr::Least(e) | Expr::Array(e) | Expr::Grouping(e) => {
                e.pos
            }
            Expr::NullIf(e) => e.pos,
            Expr::Row(e) => e.pos,
            Expr::Cast(e) => e.pos,
            Expr::Collate(e) => e.pos,
            Expr::Func(e) => e.pos,
            Expr::ValueFunction(e) => e.pos,
            Expr::Indirection(e) => e.pos,
            Expr::Default(pos) => *pos,
            Expr::CurrentOf(e) => e.pos,
            Expr::Json(e) => e.pos(),
            Expr::Xml(e) => e.pos(),
        }
    }

    /// Where the text of this expression begins: the leftmost position in the tree along its left edge.
    pub fn start_pos(&self) -> Pos {
        let mut expr = self;
        loop {
            let left = match expr {
                Expr::Binary(e) => &e.left,
                Expr::And(e) | Expr::Or(e) => match e.args.first() {
                    Some(first) => first,
                    None => return e.pos,
                },
                Expr::NullTest(e) => &e.expr,
                Expr::BooleanTest(e) => &e.expr,
                Expr::Distinct(e) => &e.left,
                Expr::Like(e) => &e.expr,
                Expr::Between(e) => &e.expr,
                Expr::InList(e) => &e.expr,
                Expr::InSubquery(e) => &e.expr,
                Expr::QuantifiedArray(e) => &e.left,
                Expr::QuantifiedSubquery(e) => &e.left,
                Expr::Collate(e) => &e.expr,
                Expr::Indirection(e) => &e.expr,
                Expr::Cast(e) => return min_pos(e.expr.pos(), e.pos, e.type_name.pos),
                other => return other.pos(),
            };
            expr = left;
        }
    }
}

fn min_pos(a: Pos, b: Pos, c: Pos) -> Pos {
    [a, b, c].into_iter().filter_map(Pos::get).min().map_or(Pos::NONE, Pos::new)
}

/// A reference to a column or a whole row, as written; which part is a table is for the binder to find out.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnRef {
    /// The dotted names; empty for a bare `*`.
    pub parts: NameParts,
    /// Whether `*` or `.*` follows.
    pub star: bool,
    pub pos: Pos,
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal {
    pub value: LiteralValue,
    pub pos: Pos,
}

/// The value of a constant. A minus sign directly before a number is folded into it, as PostgreSQL does.
#[derive(Debug, Clone, PartialEq)]
pub enum LiteralValue {
    Null,
    Bool(bool),
    /// A number that fits `int4`.
    Integer(i32),
    /// A number without fraction that fits `int8` and not `int4`.
    BigInt(i64),
    /// Any other number, as decimal text without underscores: the type is `numeric`.
    Numeric(Box<str>),
    /// A string in any of the quoted forms, escapes resolved: the type is `unknown`.
    String(Box<str>),
    /// `B'101'`: the digits. The type is `bit`.
    BitString(Box<str>),
    /// `X'1F'`: the hexadecimal digits. The type is `bit`.
    HexString(Box<str>),
}

/// `$n`.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Counted from 1; 0 is written as `$0` and is an error for the binder.
    pub number: i32,
    pub pos: Pos,
}

/// An operator's name; `schema` is given by `OPERATOR(schema.op)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    /// Empty in nearly all cases.
    pub schema: Vec<Name>,
    pub name: Name,
}

impl Operator {
    /// An operator without schema.
    pub fn plain(name: Name) -> Operator {
        Operator { schema: Vec::new(), name }
    }
}

/// `op x`; also prefix operators given by `OPERATOR(…)`.
#[derive(Debug, Clone, PartialEq)]
pub struct UnaryExpr {
    pub op: Operator,
    pub expr: Expr,
    /// The operator.
    pub pos: Pos,
}

/// `left op right`; `!=` is `<>` as in PostgreSQL.
#[derive(Debug, Clone, PartialEq)]
pub struct BinaryExpr {
    pub op: Operator,
    pub left: Expr,
    pub right: Expr,
    /// The operator.
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct BoolExpr {
    pub args: Vec<Expr>,
    /// The first AND or OR.
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NotExpr {
    pub expr: Expr,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NullTest {
    pub expr: Expr,
    pub negated: bool,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct BooleanTest {
    pub expr: Expr,
    pub negated: bool,
    /// TRUE, FALSE, or UNKNOWN (`None`).
    pub value: Option<bool>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DistinctExpr {
    pub left: Expr,
    pub right: Expr,
    /// IS NOT DISTINCT FROM.
    pub negated: bool,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LikeKind {
    /// Operators `~~` and `!~~`.
    Like,
    /// Operators `~~*` and `!~~*`.
    ILike,
    /// Operators `~` and `!~` on `similar_to_escape(pattern)`.
    Similar,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LikeExpr {
    pub kind: LikeKind,
    pub expr: Expr,
    pub pattern: Expr,
    pub escape: Option<Expr>,
    pub negated: bool,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct BetweenExpr {
    pub expr: Expr,
    pub low: Expr,
    pub high: Expr,
    pub negated: bool,
    pub symmetric: bool,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct InListExpr {
    pub expr: Expr,
    pub list: Vec<Expr>,
    pub negated: bool,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct InSubqueryExpr {
    pub expr: Expr,
    pub query: P<SelectStmt>,
    pub negated: bool,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// ANY and SOME.
    Any,
    All,
}

/// The operator before ANY or ALL.
#[derive(Debug, Clone, PartialEq)]
pub enum QuantifiedOp {
    Operator(Operator),
    /// `[NOT] LIKE`, `[NOT] ILIKE`.
    Like {
        kind: LikeKind,
        negated: bool,
    },
}

impl QuantifiedOp {
    /// The operator's name in the catalog: `~~` for LIKE and so on.
    pub fn operator_name(&self) -> &str {
        match self {
            QuantifiedOp::Operator(op) => &op.name,
            QuantifiedOp::Like { kind: LikeKind::ILike, negated: false } => "~~*",
            QuantifiedOp::Like { kind: LikeKind::ILike, negated: true } => "!~~*",
            QuantifiedOp::Like { negated: false, .. } => "~~",
            QuantifiedOp::Like { negated: true, .. } => "!~~",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct QuantifiedArrayExpr {
    pub left: Expr,
    pub op: QuantifiedOp,
    pub quantifier: Quantifier,
    pub array: Expr,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct QuantifiedSubqueryExpr {
    pub left: Expr,
    pub op: QuantifiedOp,
    pub quantifier: Quantifier,
    pub query: P<SelectStmt>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SubqueryExpr {
    pub query: P<SelectStmt>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CaseExpr {
    /// `CASE operand WHEN …`.
    pub operand: Option<Expr>,
    pub branches: Vec<CaseBranch>,
    pub otherwise: Option<Expr>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CaseBranch {
    pub when: Expr,
    pub then: Expr,
    pub pos: Pos,
}

/// A list of expressions: COALESCE, GREATEST, LEAST, GROUPING, ARRAY.
#[derive(Debug, Clone, PartialEq)]
pub struct ListExpr {
    pub args: Vec<Expr>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NullIfExpr {
    pub left: Expr,
    pub right: Expr,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RowExpr {
    pub args: Vec<Expr>,
    /// Written with the word ROW.
    pub explicit: bool,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CastExpr {
    pub expr: Expr,
    pub type_name: TypeName,
    /// `CAST` or `::`; none for `type 'text'`.
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CollateExpr {
    pub expr: Expr,
    pub collation: ObjectName,
    pub pos: Pos,
}

/// How a function call was spelled; the catalog function and its arguments are in the call either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallSyntax {
    /// `name(args)`.
    Ordinary,
    /// `EXTRACT(field FROM x)`: `pg_catalog.extract('field', x)`.
    Extract,
    /// `NORMALIZE(x [, form])`: `pg_catalog.normalize`.
    Normalize,
    /// `x IS [form] NORMALIZED`: `pg_catalog.is_normalized`. Its negation is a NOT around it.
    IsNormalized,
    /// `OVERLAY(x PLACING y FROM n [FOR m])`: `pg_catalog.overlay`.
    Overlay,
    /// `POSITION(a IN b)`: `pg_catalog.position(b, a)`.
    Position,
    /// `SUBSTRING(x FROM n [FOR m])`: `pg_catalog.substring`.
    Substring,
    /// `SUBSTRING(x FOR m)`: `pg_catalog.substring(x, 1, m::int4)`.
    SubstringFor,
    /// `SUBSTRING(x SIMILAR p ESCAPE e)`: `pg_catalog.substring`.
    SubstringSimilar,
    /// `TRIM([BOTH] [chars] FROM x)`: `pg_catalog.btrim`.
    TrimBoth,
    /// `pg_catalog.ltrim`.
    TrimLeading,
    /// `pg_catalog.rtrim`.
    TrimTrailing,
    /// `x AT TIME ZONE z`: `pg_catalog.timezone(z, x)`.
    AtTimeZone,
    /// `x AT LOCAL`: `pg_catalog.timezone(x)`.
    AtLocal,
    /// `(a, b) OVERLAPS (c, d)`: `pg_catalog.overlaps(a, b, c, d)`.
    Overlaps,
    /// `COLLATION FOR (x)`: `pg_catalog.pg_collation_for`.
    CollationFor,
    /// `TREAT(x AS type)`: a call of the function named like the type.
    Treat,
    /// `SYSTEM_USER`: `pg_catalog.system_user()`.
    SystemUser,
    /// `XMLEXISTS(x PASSING y)`: `pg_catalog.xmlexists`.
    XmlExists,
    /// `MERGE_ACTION()`, which only RETURNING of a MERGE knows.
    MergeAction,
}

/// A function call.
#[derive(Debug, Clone, PartialEq)]
pub struct FuncCall {
    pub name: ObjectName,
    pub args: Vec<FuncArg>,
    /// `f(*)`.
    pub star: bool,
    /// The last argument is marked VARIADIC.
    pub variadic: bool,
    pub distinct: bool,
    /// ORDER BY among the arguments, or that of WITHIN GROUP.
    pub order_by: Vec<SortItem>,
    /// The ordering was given by WITHIN GROUP.
    pub within_group: bool,
    pub filter: Option<Expr>,
    pub over: Option<Over>,
    pub syntax: CallSyntax,
    pub pos: Pos,
}

/// An argument, named (`name => value`) or not.
#[derive(Debug, Clone, PartialEq)]
pub struct FuncArg {
    pub name: Option<Name>,
    pub value: Expr,
    /// The argument's first token.
    pub pos: Pos,
}

/// OVER.
#[derive(Debug, Clone, PartialEq)]
pub enum Over {
    /// `OVER name`.
    Named(Name, Pos),
    /// `OVER (…)`.
    Spec(P<WindowSpec>),
}

/// A function that is written without parentheses.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueFunction {
    pub kind: ValueFunctionKind,
    /// The precision of CURRENT_TIME and its kind.
    pub precision: Option<i32>,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueFunctionKind {
    CurrentDate,
    CurrentTime,
    CurrentTimestamp,
    LocalTime,
    LocalTimestamp,
    CurrentRole,
    CurrentUser,
    SessionUser,
    User,
    CurrentCatalog,
    CurrentSchema,
}

/// Subscripts and fields after an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct IndirectionExpr {
    pub expr: Expr,
    /// At least one step.
    pub steps: Vec<Indirection>,
    pub pos: Pos,
}

/// One step of an indirection.
#[derive(Debug, Clone, PartialEq)]
pub enum Indirection {
    /// `.name`
    Field(Name, Pos),
    /// `.*`
    Star(Pos),
    /// `[i]`
    Index(Expr),
    /// `[a:b]`, either bound optional.
    Slice(Option<Expr>, Option<Expr>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct CurrentOf {
    pub cursor: Name,
    pub pos: Pos,
}
