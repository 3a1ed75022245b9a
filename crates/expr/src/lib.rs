//! Bound expressions and what they call: the registry of functions, operators, casts and aggregates with PostgreSQL's
//! object ids, and the evaluator that runs expressions over batches of typed columns.
//!
//! # Role
//! `sql` looks names up here ([`functions_named`], [`operators_named`], [`cast`]) and builds [`Expr`] trees; `exec`
//! runs them ([`eval`], [`eval_predicate`], [`eval_row`]), opens set-returning functions ([`open_set`]) and keeps
//! [`AggregateState`]s. `catalog` derives the rows of `pg_proc`, `pg_operator`, `pg_cast`, `pg_aggregate` and the
//! operator classes from the same tables. The crate is pure: what depends on the session, the clock, randomness or the
//! catalog goes through [`SessionContext`].
//!
//! # Invariants
//! E1. A column that `eval` returns is as long as the batch; values outside the selection are initialised, unspecified.
//! E2. An error in a row that is not selected never surfaces: AND, OR, CASE and COALESCE narrow the selection.
//! E3. A strict function is never called with a null argument.

mod aggregate;
mod aggregates;
mod cast;
mod context;
mod display;
mod errors;
mod eval;
mod expr;
mod function;
mod functions;
mod operator;
mod registry;
mod session;

pub use aggregate::{Aggregate, AggregateKind, AggregateRef, AggregateState, CalledAggregate, Groups};
pub use cast::{CastContext, CastInfo, CastMethod, relabel};
pub use context::{EvalContext, SubPlanRunner};
pub use display::ColumnNames;
pub use eval::{RowSource, SetCursor, eval, eval_const, eval_predicate, eval_row, eval_row_bool, open_set};
pub use expr::{BooleanTest, CastKind, Comparison, Expr, SessionValue, SourcePos, SubPlanKind};
pub use function::{
    CallContext, Function, FunctionKind, FunctionRef, Implementation, Language, ParameterMode, Volatility,
};
pub use operator::{Operator, OperatorClass, OperatorClassMember, OperatorFamilyFunction};
pub use registry::{
    BtreeComparison, Strategy, aggregate, aggregates, btree_comparison, btree_strategy, cast, casts,
    function, functions, functions_named, identity_function, operator, operator_classes,
    operator_family_functions, operator_family_members, operator_of_function, operators, operators_named,
    single_value_function,
};
pub use session::{NoSession, SessionContext, WorkerWatch};
