//! Functions, procedures, aggregates and operators.

use super::{
    DefElem, Expr, Name, NumericValue, ObjectKind, ObjectName, Operator, P, Pos, SetStmt, Statement, TypeName,
};

/// CREATE FUNCTION and PROCEDURE.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateFunctionStmt {
    pub or_replace: bool,
    pub procedure: bool,
    pub name: ObjectName,
    pub params: Vec<FunctionParameter>,
    /// `RETURNS type`; absent for procedures, RETURNS TABLE and functions with only OUT parameters.
    pub returns: Option<TypeName>,
    pub options: Vec<FunctionOption>,
    pub sql_body: Option<SqlBody>,
    pub pos: Pos,
}

/// An SQL-standard body.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlBody {
    /// `RETURN expr`.
    Return(Expr),
    /// `BEGIN ATOMIC …; END`.
    Atomic(Vec<Statement>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct FunctionParameter {
    pub name: Option<Name>,
    pub mode: ParameterMode,
    pub type_name: TypeName,
    pub default: Option<Expr>,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterMode {
    /// Not written: IN.
    Default,
    In,
    Out,
    InOut,
    Variadic,
    /// A column of RETURNS TABLE.
    Table,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FunctionOption {
    pub kind: FunctionOptionKind,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FunctionOptionKind {
    /// `AS 'body'`, or `AS 'file', 'symbol'`.
    As(Box<str>, Option<Box<str>>),
    Language(Name),
    Transform(Vec<TypeName>),
    Window,
    /// STRICT and RETURNS NULL ON NULL INPUT; false for CALLED ON NULL INPUT.
    Strict(bool),
    Volatility(Volatility),
    SecurityDefiner(bool),
    Leakproof(bool),
    Cost(NumericValue),
    Rows(NumericValue),
    Support(ObjectName),
    Set(P<SetStmt>),
    Parallel(Name),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

/// `ALTER FUNCTION f(…) options`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterFunctionStmt {
    /// Function, Procedure or Routine.
    pub kind: ObjectKind,
    pub signature: RoutineSignature,
    pub options: Vec<FunctionOption>,
}

/// A function, procedure or aggregate by name and argument types.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutineSignature {
    pub name: ObjectName,
    /// `None` where no list is given: the name alone must be unique.
    pub args: Option<SignatureArgs>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SignatureArgs {
    Params(Vec<FunctionParameter>),
    /// Of aggregates: `(*)`, `(direct ORDER BY aggregated)`.
    Aggregate(AggregateArgs),
}

#[derive(Debug, Clone, PartialEq)]
pub struct AggregateArgs {
    /// `(*)`.
    pub star: bool,
    pub direct: Vec<FunctionParameter>,
    /// After ORDER BY.
    pub ordered: Option<Vec<FunctionParameter>>,
}

/// An operator by name and operand types; a missing side is NONE.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorSignature {
    pub op: Operator,
    pub left: Option<TypeName>,
    pub right: Option<TypeName>,
}

/// `CREATE kind name (definition)`: aggregates, operators, base types, text search objects, collations.
#[derive(Debug, Clone, PartialEq)]
pub struct DefineStmt {
    pub kind: ObjectKind,
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub name: DefineName,
    /// The argument list of aggregates in the newer syntax.
    pub args: Option<AggregateArgs>,
    /// CREATE AGGREGATE in the older syntax: `(basetype = …)`.
    pub old_style: bool,
    /// `None` for a shell type.
    pub definition: Option<Vec<DefElem>>,
    /// `CREATE COLLATION name FROM other`.
    pub from: Option<ObjectName>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum DefineName {
    Name(ObjectName),
    Operator(Operator),
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterOperatorStmt {
    pub signature: OperatorSignature,
    /// A missing value is NONE.
    pub options: Vec<DefElem>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateOperatorClassStmt {
    pub name: ObjectName,
    pub default: bool,
    pub data_type: TypeName,
    pub method: Name,
    pub family: Option<ObjectName>,
    pub items: Vec<OperatorClassItem>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum OperatorClassItem {
    Operator { number: i32, op: OperatorOrSignature, order_family: Option<ObjectName> },
    Function { number: i32, types: Vec<TypeName>, function: RoutineSignature },
    Storage(TypeName),
}

#[derive(Debug, Clone, PartialEq)]
pub struct OperatorOrSignature {
    pub op: Operator,
    pub types: Option<(Option<TypeName>, Option<TypeName>)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateOperatorFamilyStmt {
    pub name: ObjectName,
    pub method: Name,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterOperatorFamilyStmt {
    pub name: ObjectName,
    pub method: Name,
    pub action: OperatorFamilyAction,
}

#[derive(Debug, Clone, PartialEq)]
pub enum OperatorFamilyAction {
    Add(Vec<OperatorClassItem>),
    Drop(Vec<OperatorFamilyDrop>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct OperatorFamilyDrop {
    /// FUNCTION; otherwise OPERATOR.
    pub function: bool,
    pub number: i32,
    pub types: Vec<TypeName>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateCastStmt {
    pub source: TypeName,
    pub target: TypeName,
    pub method: CastMethod,
    pub context: CastContext,
}

#[derive(Debug, Clone, PartialEq)]
pub enum CastMethod {
    Function(RoutineSignature),
    WithoutFunction,
    InOut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CastContext {
    Explicit,
    Assignment,
    Implicit,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateConversionStmt {
    pub name: ObjectName,
    pub default: bool,
    pub from_encoding: Box<str>,
    pub to_encoding: Box<str>,
    pub function: ObjectName,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateTransformStmt {
    pub or_replace: bool,
    pub type_name: TypeName,
    pub language: Name,
    pub from_sql: Option<RoutineSignature>,
    pub to_sql: Option<RoutineSignature>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateLanguageStmt {
    pub name: Name,
    pub or_replace: bool,
    pub trusted: bool,
    /// Without a handler the statement means CREATE EXTENSION.
    pub handler: Option<ObjectName>,
    pub inline: Option<ObjectName>,
    pub validator: Option<ObjectName>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateAccessMethodStmt {
    pub name: Name,
    /// TABLE; otherwise INDEX.
    pub table: bool,
    pub handler: ObjectName,
}
