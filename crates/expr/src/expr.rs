//! The bound expression: names and types are resolved, every call names its function.

use std::ops::ControlFlow;

use ochre_base::{Error, Result, limits};
use ochre_types::{Datum, SqlType, oids};

use crate::{FunctionRef, Volatility};

/// Where in the client's text an expression stands, for errors. Two always compare equal: expressions are the same wherever
/// they were written, as GROUP BY and ORDER BY rely on.
#[derive(Debug, Clone, Copy, Default)]
pub struct SourcePos(pub Option<usize>);

impl SourcePos {
    /// Nowhere.
    pub const NONE: SourcePos = SourcePos(None);
}

impl PartialEq for SourcePos {
    fn eq(&self, _: &SourcePos) -> bool {
        true
    }
}

/// A bound expression. `sql` builds it, [`crate::eval`] runs it. Boolean connectives follow three-valued logic.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A literal.
    Constant {
        value: Datum,
        ty: SqlType,
    },
    /// Column `index` of the input batch.
    Column {
        index: usize,
        ty: SqlType,
    },
    /// A statement parameter: `$1` has index 0.
    Parameter {
        index: usize,
        ty: SqlType,
    },
    /// A value of an enclosing row, set by the executor in [`crate::EvalContext::correlated`].
    Correlated {
        slot: usize,
        ty: SqlType,
    },
    /// `CURRENT_DATE`, `SESSION_USER` and the like.
    SessionValue {
        kind: SessionValue,
        ty: SqlType,
    },
    /// A function or an operator's function. `args` match the function's arguments one by one, defaults filled in and
    /// casts applied; variadic arguments come as one array, except for VARIADIC "any" (`concat`, `format`), which
    /// receives them as they are (an array marked VARIADIC in the call sets `variadic_array`).
    Call {
        function: FunctionRef,
        args: Vec<Expr>,
        variadic_array: bool,
        ty: SqlType,
        pos: SourcePos,
    },
    /// A conversion of `arg` to `ty`.
    Cast {
        arg: Box<Expr>,
        kind: CastKind,
        ty: SqlType,
        pos: SourcePos,
    },
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    /// `IS [NOT] NULL`. With `row`, the argument is a row value and the test is on all its fields.
    IsNull {
        arg: Box<Expr>,
        negated: bool,
        row: bool,
    },
    /// `IS [NOT] TRUE | FALSE | UNKNOWN`.
    BooleanTest {
        arg: Box<Expr>,
        test: BooleanTest,
    },
    /// `IS [NOT] DISTINCT FROM`, by the equality function.
    IsDistinct {
        equal: FunctionRef,
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
    /// `CASE WHEN condition THEN result … END`; a CASE with an operand has its comparisons spelled out, the operand
    /// being [`Expr::CaseOperand`] in them. Without `otherwise` the result is null.
    Case {
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
        ty: SqlType,
    },
    /// The value of the innermost enclosing CASE's operand.
    CaseOperand {
        ty: SqlType,
    },
    Coalesce {
        args: Vec<Expr>,
        ty: SqlType,
    },
    /// `GREATEST` and `LEAST`, which skip nulls; ordered by the type's own order.
    MinMax {
        greatest: bool,
        args: Vec<Expr>,
        ty: SqlType,
    },
    /// `NULLIF(left, right)`, by the equality function.
    NullIf {
        equal: FunctionRef,
        left: Box<Expr>,
        right: Box<Expr>,
        ty: SqlType,
        pos: SourcePos,
    },
    /// `left op ANY (array)` and `left op ALL (array)`; `IN` and `NOT IN` over lists too.
    ScalarArrayOp {
        function: FunctionRef,
        all: bool,
        left: Box<Expr>,
        array: Box<Expr>,
        pos: SourcePos,
    },
    /// `ARRAY[…]`. With `nested`, the elements are arrays of one dimension less.
    ArrayLiteral {
        elements: Vec<Expr>,
        nested: bool,
        ty: SqlType,
    },
    /// `ROW(…)`.
    Row {
        fields: Vec<Expr>,
        ty: SqlType,
    },
    /// `(a, b) op (c, d)`; one function a column. For `<`, `<=`, `>` and `>=` the functions are the columns' `<` (or
    /// `>`) functions, strict ones, and the comparison is lexicographic; for `=` and `<>` they are equality functions.
    RowCompare {
        op: Comparison,
        functions: Vec<FunctionRef>,
        left: Vec<Expr>,
        right: Vec<Expr>,
    },
    /// Field `index` (from 0) of a record.
    Field {
        record: Box<Expr>,
        index: usize,
        ty: SqlType,
    },
    /// `array[i][j]`; null when outside.
    Subscript {
        array: Box<Expr>,
        indexes: Vec<Expr>,
        ty: SqlType,
    },
    /// `array[a:b][c:d]`; a missing bound is the array's own.
    Slice {
        array: Box<Expr>,
        bounds: Vec<(Option<Expr>, Option<Expr>)>,
        ty: SqlType,
    },
    /// The array with one element or slice replaced: `UPDATE … SET a[1] = …`.
    SubscriptAssign {
        array: Box<Expr>,
        indexes: Vec<(Option<Expr>, Option<Expr>)>,
        slice: bool,
        value: Box<Expr>,
        ty: SqlType,
    },
    /// A subquery, number `plan` of the statement. `args` are evaluated for the outer row and become the subplan's
    /// [`Expr::Correlated`] slots 0, 1 ….
    SubPlan {
        plan: usize,
        kind: SubPlanKind,
        args: Vec<Expr>,
        ty: SqlType,
    },
}

/// SQL's functions without parentheses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionValue {
    CurrentDate,
    /// With its precision, as are the next three; a missing one is 6.
    CurrentTime(Option<u8>),
    CurrentTimestamp(Option<u8>),
    LocalTime(Option<u8>),
    LocalTimestamp(Option<u8>),
    /// Also CURRENT_ROLE and USER.
    CurrentUser,
    SessionUser,
    SystemUser,
    CurrentCatalog,
    CurrentSchema,
}

/// How [`Expr::Cast`] converts.
#[derive(Debug, Clone, PartialEq)]
pub enum CastKind {
    /// The value is unchanged.
    Relabel,
    /// Through the text form: the source's output, the target's input function.
    Io,
    /// By a cast function, called with the value and, if it takes them, the target's typmod and `explicit`.
    Function { function: FunctionRef, explicit: bool },
    /// The value already has the type; applies the typmod (`varchar(5)`, `numeric(10,2)` …).
    Typmod { explicit: bool },
    /// Element by element; `element` is the element's target type.
    Array { kind: Box<CastKind>, element: SqlType },
    /// Field by field of a record.
    Record { fields: Vec<(CastKind, SqlType)> },
}

/// The tests of [`Expr::BooleanTest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BooleanTest {
    True,
    NotTrue,
    False,
    NotFalse,
    Unknown,
    NotUnknown,
}

/// The six comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What [`Expr::SubPlan`] makes of the subquery's rows.
#[derive(Debug, Clone, PartialEq)]
pub enum SubPlanKind {
    /// The first column of the only row, null without one; a second row is 21000.
    Scalar,
    /// Whether there is a row.
    Exists,
    /// The first column of all rows, as an array; of arrays, an array of a dimension more.
    Array { of_arrays: bool },
    /// `left op ANY (subquery)`, `left op ALL (subquery)`: one function a column, applied as (left, right). Several columns
    /// are compared as by [`Expr::RowCompare`]; one column's function, of whatever operator, counts as an equality.
    AnyAll { all: bool, left: Vec<Expr>, functions: Vec<FunctionRef>, op: Comparison },
    /// The only row as a record, null without one.
    Row,
}

impl Expr {
    /// A constant.
    pub fn constant(value: Datum, ty: SqlType) -> Expr {
        Expr::Constant { value, ty }
    }

    /// A boolean constant.
    pub fn bool(value: bool) -> Expr {
        Expr::Constant { value: Datum::Bool(value), ty: SqlType::BOOL }
    }

    /// A null constant.
    pub fn null(ty: SqlType) -> Expr {
        Expr::Constant { value: Datum::Null, ty }
    }

    /// A reference to an input column.
    pub fn column(index: usize, ty: SqlType) -> Expr {
        Expr::Column { index, ty }
    }

    /// A call without variadic arguments and position.
    pub fn call(function: impl Into<FunctionRef>, args: Vec<Expr>, ty: SqlType) -> Expr {
        Expr::Call { function: function.into(), args, variadic_array: false, ty, pos: SourcePos::NONE }
    }

    /// The conjunction of predicates: nothing is true, one stands for itself, nested ones are flattened.
    pub fn and(predicates: impl IntoIterator<Item = Expr>) -> Expr {
        let mut all = Vec::new();
        for predicate in predicates {
            match predicate {
                Expr::And(inner) => all.extend(inner),
                Expr::Constant { value: Datum::Bool(true), .. } => {}
                other => all.push(other),
            }
        }
        match all.len() {
            0 => Expr::bool(true),
            1 => all.remove(0),
            _ => Expr::And(all),
        }
    }

    /// The parts that must all be true.
    pub fn conjuncts(self) -> Vec<Expr> {
        match self {
            Expr::And(parts) => parts.into_iter().flat_map(Expr::conjuncts).collect(),
            Expr::Constant { value: Datum::Bool(true), .. } => Vec::new(),
            other => vec![other],
        }
    }

    /// The result's type.
    pub fn ty(&self) -> SqlType {
        match self {
            Expr::Constant { ty, .. }
            | Expr::Column { ty, .. }
            | Expr::Parameter { ty, .. }
            | Expr::Correlated { ty, .. }
            | Expr::SessionValue { ty, .. }
            | Expr::Call { ty, .. }
            | Expr::Cast { ty, .. }
            | Expr::Case { ty, .. }
            | Expr::CaseOperand { ty }
            | Expr::Coalesce { ty, .. }
            | Expr::MinMax { ty, .. }
            | Expr::NullIf { ty, .. }
            | Expr::ArrayLiteral { ty, .. }
            | Expr::Row { ty, .. }
            | Expr::Field { ty, .. }
            | Expr::Subscript { ty, .. }
            | Expr::Slice { ty, .. }
            | Expr::SubscriptAssign { ty, .. }
            | Expr::SubPlan { ty, .. } => *ty,
            Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull { .. }
            | Expr::BooleanTest { .. }
            | Expr::IsDistinct { .. }
            | Expr::ScalarArrayOp { .. }
            | Expr::RowCompare { .. } => SqlType::BOOL,
        }
    }

    /// The operands, in order of evaluation.
    pub fn children(&self) -> Vec<&Expr> {
        fn bounds<'a>(out: &mut Vec<&'a Expr>, all: &'a [(Option<Expr>, Option<Expr>)]) {
            for (lower, upper) in all {
                out.extend(lower.iter().chain(upper.iter()));
            }
        }
        let mut out: Vec<&Expr> = Vec::new();
        match self {
            Expr::Constant { .. }
            | Expr::Column { .. }
            | Expr::Parameter { .. }
            | Expr::Correlated { .. }
            | Expr::SessionValue { .. }
            | Expr::CaseOperand { .. } => {}
            Expr::Call { args, .. }
            | Expr::Coalesce { args, .. }
            | Expr::MinMax { args, .. }
            | Expr::And(args)
            | Expr::Or(args)
            | Expr::ArrayLiteral { elements: args, .. }
            | Expr::Row { fields: args, .. } => out.extend(args),
            Expr::Cast { arg, .. }
            | Expr::Not(arg)
            | Expr::IsNull { arg, .. }
            | Expr::BooleanTest { arg, .. }
            | Expr::Field { record: arg, .. } => out.push(arg),
            Expr::IsDistinct { left, right, .. } | Expr::NullIf { left, right, .. } => {
                out.extend([&**left, &**right]);
            }
            Expr::ScalarArrayOp { left, array, .. } => out.extend([&**left, &**array]),
            Expr::Case { operand, branches, otherwise, .. } => {
                out.extend(operand.as_deref());
                for (condition, result) in branches {
                    out.extend([condition, result]);
                }
                out.extend(otherwise.as_deref());
            }
            Expr::RowCompare { left, right, .. } => out.extend(left.iter().chain(right)),
            Expr::Subscript { array, indexes, .. } => {
                out.push(array);
                out.extend(indexes);
            }
            Expr::Slice { array, bounds: all, .. } => {
                out.push(array);
                bounds(&mut out, all);
            }
            Expr::SubscriptAssign { array, indexes, value, .. } => {
                out.push(array);
                bounds(&mut out, indexes);
                out.push(value);
            }
            Expr::SubPlan { kind, args, .. } => {
                out.extend(args);
                if let SubPlanKind::AnyAll { left, .. } = kind {
                    out.extend(left);
                }
            }
        }
        out
    }

    /// The operands, to be changed.
    pub fn children_mut(&mut self) -> Vec<&mut Expr> {
        fn bounds<'a>(out: &mut Vec<&'a mut Expr>, all: &'a mut [(Option<Expr>, Option<Expr>)]) {
            for (lower, upper) in all {
                out.extend(lower.iter_mut().chain(upper.iter_mut()));
            }
        }
        let mut out: Vec<&mut Expr> = Vec::new();
        match self {
            Expr::Constant { .. }
            | Expr::Column { .. }
            | Expr::Parameter { .. }
            | Expr::Correlated { .. }
            | Expr::SessionValue { .. }
            | Expr::CaseOperand { .. } => {}
            Expr::Call { args, .. }
            | Expr::Coalesce { args, .. }
            | Expr::MinMax { args, .. }
            | Expr::And(args)
            | Expr::Or(args)
            | Expr::ArrayLiteral { elements: args, .. }
            | Expr::Row { fields: args, .. } => out.extend(args),
            Expr::Cast { arg, .. }
            | Expr::Not(arg)
            | Expr::IsNull { arg, .. }
            | Expr::BooleanTest { arg, .. }
            | Expr::Field { record: arg, .. } => out.push(arg),
            Expr::IsDistinct { left, right, .. } | Expr::NullIf { left, right, .. } => {
                out.extend([&mut **left, &mut **right]);
            }
            Expr::ScalarArrayOp { left, array, .. } => out.extend([&mut **left, &mut **array]),
            Expr::Case { operand, branches, otherwise, .. } => {
                out.extend(operand.as_deref_mut());
                for (condition, result) in branches {
                    out.extend([condition, result]);
                }
                out.extend(otherwise.as_deref_mut());
            }
            Expr::RowCompare { left, right, .. } => out.extend(left.iter_mut().chain(right)),
            Expr::Subscript { array, indexes, .. } => {
                out.push(array);
                out.extend(indexes);
            }
            Expr::Slice { array, bounds: all, .. } => {
                out.push(array);
                bounds(&mut out, all);
            }
            Expr::SubscriptAssign { array, indexes, value, .. } => {
                out.push(array);
                bounds(&mut out, indexes);
                out.push(value);
            }
            Expr::SubPlan { kind, args, .. } => {
                out.extend(args);
                if let SubPlanKind::AnyAll { left, .. } = kind {
                    out.extend(left);
                }
            }
        }
        out
    }

    /// Visits the tree from the root down until `visit` breaks.
    pub fn walk<B>(&self, visit: &mut impl FnMut(&Expr) -> ControlFlow<B>) -> ControlFlow<B> {
        stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            visit(self)?;
            for child in self.children() {
                child.walk(visit)?;
            }
            ControlFlow::Continue(())
        })
    }

    /// Whether `test` holds for some node.
    pub fn any(&self, mut test: impl FnMut(&Expr) -> bool) -> bool {
        let mut visit =
            |node: &Expr| if test(node) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        self.walk(&mut visit).is_break()
    }

    /// The tree rebuilt from the leaves up: `change` gets each node after its operands.
    pub fn transform(mut self, change: &mut impl FnMut(Expr) -> Expr) -> Expr {
        self.transform_in_place(change);
        self
    }

    /// As [`Expr::transform`], in place.
    pub fn transform_in_place(&mut self, change: &mut impl FnMut(Expr) -> Expr) {
        stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            for child in self.children_mut() {
                child.transform_in_place(change);
            }
            let taken = std::mem::replace(self, Expr::And(Vec::new()));
            *self = change(taken);
        });
    }

    /// As [`Expr::transform`], for changes that may fail.
    pub fn try_transform(mut self, change: &mut impl FnMut(Expr) -> Result<Expr>) -> Result<Expr> {
        let mut failure: Option<Error> = None;
        self.transform_in_place(&mut |node| {
            if failure.is_some() {
                return node;
            }
            let copy = node.ty();
            change(node).unwrap_or_else(|error| {
                failure = Some(error);
                Expr::null(copy)
            })
        });
        failure.map_or(Ok(self), Err)
    }

    /// The greatest volatility of anything in the tree.
    pub fn volatility(&self) -> Volatility {
        let mut worst = Volatility::Immutable;
        let _ = self.walk(&mut |node| {
            worst = worst.max(node.own_volatility());
            if worst == Volatility::Volatile { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        worst
    }

    fn own_volatility(&self) -> Volatility {
        match self {
            Expr::Call { function, .. } => function.volatility,
            Expr::Cast { kind, ty, arg, .. } => cast_volatility(kind, arg.ty(), *ty),
            Expr::IsDistinct { equal, .. } | Expr::NullIf { equal, .. } => equal.volatility,
            Expr::ScalarArrayOp { function, .. } => function.volatility,
            Expr::RowCompare { functions, .. } => {
                functions.iter().map(|f| f.volatility).max().unwrap_or(Volatility::Immutable)
            }
            Expr::SessionValue { .. } | Expr::SubPlan { .. } => Volatility::Stable,
            _ => Volatility::Immutable,
        }
    }

    /// Whether the value depends on no row, parameter or subquery, so that it may be folded when also immutable.
    pub fn is_constant(&self) -> bool {
        !self.any(|node| {
            matches!(
                node,
                Expr::Column { .. }
                    | Expr::Parameter { .. }
                    | Expr::Correlated { .. }
                    | Expr::CaseOperand { .. }
                    | Expr::SubPlan { .. }
            )
        })
    }

    /// Whether the value depends on no input row (parameters and outer rows are known when an operator opens).
    pub fn is_row_independent(&self) -> bool {
        !self
            .any(|node| matches!(node, Expr::Column { .. } | Expr::SubPlan { .. } | Expr::CaseOperand { .. }))
            && self.volatility() != Volatility::Volatile
    }

    /// The constant's value, if it is one.
    pub fn as_constant(&self) -> Option<&Datum> {
        match self {
            Expr::Constant { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Positions of the input columns in the tree, sorted, each once.
    pub fn columns(&self) -> Vec<usize> {
        let mut found = Vec::new();
        let _ = self.walk(&mut |node| {
            if let Expr::Column { index, .. } = node {
                found.push(*index);
            }
            ControlFlow::<()>::Continue(())
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The tree with each input column `i` replaced by column `map(i)`.
    pub fn map_columns(self, mut map: impl FnMut(usize) -> usize) -> Expr {
        self.transform(&mut |node| match node {
            Expr::Column { index, ty } => Expr::Column { index: map(index), ty },
            other => other,
        })
    }

    /// Where the expression stands in the statement's text, where known.
    pub fn position(&self) -> Option<usize> {
        match self {
            Expr::Call { pos, .. }
            | Expr::Cast { pos, .. }
            | Expr::NullIf { pos, .. }
            | Expr::ScalarArrayOp { pos, .. } => pos.0,
            _ => None,
        }
    }
}

impl Comparison {
    /// The operator's name.
    pub const fn symbol(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

/// Text forms of dates and catalog names depend on the session, those of numbers and strings do not.
fn cast_volatility(kind: &CastKind, source: SqlType, target: SqlType) -> Volatility {
    let depends = |oid| {
        matches!(
            oid,
            oids::DATE
                | oids::TIME
                | oids::TIMETZ
                | oids::TIMESTAMP
                | oids::TIMESTAMPTZ
                | oids::INTERVAL
                | oids::REGCLASS
                | oids::REGPROC
                | oids::REGPROCEDURE
                | oids::REGOPER
                | oids::REGOPERATOR
                | oids::REGTYPE
                | oids::REGNAMESPACE
                | oids::REGROLE
                | oids::REGCONFIG
                | oids::REGDICTIONARY
                | oids::REGCOLLATION
                | oids::BYTEA
                | oids::FLOAT4
                | oids::FLOAT8
                | oids::MONEY
        )
    };
    match kind {
        CastKind::Relabel | CastKind::Typmod { .. } => Volatility::Immutable,
        CastKind::Function { function, .. } => function.volatility,
        CastKind::Io if depends(source.oid) || depends(target.oid) => Volatility::Stable,
        CastKind::Io => Volatility::Immutable,
        CastKind::Array { kind, element } => cast_volatility(kind, source, *element),
        CastKind::Record { .. } => Volatility::Stable,
    }
}
