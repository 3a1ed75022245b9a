//! Functions as the binder and the evaluator see them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use ochre_base::{Oid, Result};
use ochre_types::{Column, Datum, Pace, Selection, SqlType};

use crate::{EvalContext, SetCursor};

/// One row of `pg_proc`, with its implementation.
pub struct Function {
    pub oid: Oid,
    pub name: Box<str>,
    pub kind: FunctionKind,
    pub language: Language,
    /// Whether a null argument makes the result null without a call.
    pub strict: bool,
    pub returns_set: bool,
    pub volatility: Volatility,
    /// `s`, `r` or `u`, as in `proparallel`.
    pub parallel: u8,
    pub leakproof: bool,
    pub security_definer: bool,
    /// Input argument types (`proargtypes`); may be polymorphic (anyelement, anyarray …).
    pub arg_types: Box<[Oid]>,
    /// How many trailing input arguments have defaults.
    pub default_count: usize,
    /// The defaults' SQL texts, one for each of the last `default_count` arguments.
    pub defaults: Box<[Box<str>]>,
    pub return_type: Oid,
    /// All arguments with their modes when there are others than input arguments, otherwise empty.
    pub all_arg_types: Box<[Oid]>,
    pub arg_modes: Box<[ParameterMode]>,
    /// Names of all arguments (of the input arguments where there are no others), or empty; a name may be empty.
    pub arg_names: Box<[Box<str>]>,
    /// The element type of the variadic last argument (`any` for VARIADIC "any"), otherwise invalid.
    pub variadic: Oid,
    /// Name of the planner support function, `-` for none.
    pub support: Box<str>,
    pub cost: f32,
    pub rows: f32,
    /// PostgreSQL's internal name; implementations are found by it.
    pub source: Box<str>,
    pub implementation: Implementation,
}

/// `prokind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    Function,
    Aggregate,
    Window,
    Procedure,
}

/// The language that `pg_proc` gives for a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    Internal,
    C,
    Sql,
    PlPgSql,
}

/// How a result may depend on anything but the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Volatility {
    /// The same for the same arguments, for ever: may be folded.
    Immutable,
    /// The same within a statement.
    Stable,
    /// May differ at every call.
    Volatile,
}

/// `proargmodes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParameterMode {
    In,
    Out,
    InOut,
    Variadic,
    Table,
}

/// What a function is called with besides its arguments.
pub struct CallContext<'a, 'e> {
    pub eval: &'a EvalContext<'e>,
    pub function: &'a Function,
    /// The arguments' actual types, as bound.
    pub arg_types: &'a [SqlType],
    /// The result's actual type, as bound.
    pub result: SqlType,
    /// Whether the last argument is an array that was marked VARIADIC in the call of a function on VARIADIC "any".
    pub variadic_array: bool,
}

impl CallContext<'_, '_> {
    /// When to look at whether to go on, for what works on values that may be large.
    #[inline]
    pub(crate) fn pace(&self) -> Pace<'_> {
        Pace::from(self.eval.session.format(), 0)
    }
}

/// Evaluates one row. Arguments of strict functions are never null.
pub type RowFn = Arc<dyn Fn(&CallContext<'_, '_>, &[Datum]) -> Result<Datum> + Send + Sync>;

/// Evaluates a batch of `rows` rows; the result has that length or is constant. Only selected rows may raise an error.
pub type BatchFn = Arc<
    dyn Fn(&CallContext<'_, '_>, &[Arc<Column>], usize, Option<&Selection>) -> Result<Arc<Column>>
        + Send
        + Sync,
>;

/// Opens a set-returning function on one set of arguments.
pub type SetFn = Arc<dyn Fn(&CallContext<'_, '_>, &[Datum]) -> Result<Box<dyn SetCursor>> + Send + Sync>;

/// How a function is carried out.
#[derive(Clone)]
pub enum Implementation {
    /// Known by name only: a call answers 0A000.
    Missing,
    /// Row by row.
    Row(RowFn),
    /// Batch by batch, with a form for single rows.
    Batch { batch: BatchFn, row: RowFn },
    /// Answered by [`crate::SessionContext::call`].
    Session,
    /// A user's function, carried out by [`crate::SessionContext::call_routine`].
    Routine,
    /// A set-returning function.
    Set(SetFn),
    /// An aggregate: see [`crate::aggregate`](fn@crate::aggregate).
    Aggregate,
    /// A window function: the executor implements it by [`Function::source`] (`window_row_number` …).
    Window,
}

impl Function {
    /// Whether others may see that, and in which turn, it is called: it is volatile, and does more than to give values that
    /// differ from call to call.
    pub fn has_effects(&self) -> bool {
        let only_varies = || {
            let name = &*self.name;
            matches!(name, "random" | "random_normal" | "gen_random_uuid" | "uuidv4" | "uuidv7")
                || matches!(name, "clock_timestamp" | "timeofday")
        };
        self.volatility == Volatility::Volatile && !(self.oid < Oid::FIRST_USER && only_varies())
    }

    /// Whether a call can be carried out at all.
    pub fn is_implemented(&self) -> bool {
        !matches!(self.implementation, Implementation::Missing)
    }

    /// Whether a built-in function is of `information_schema`, as those are that its views and drivers need.
    pub fn is_of_information_schema(&self) -> bool {
        self.name.starts_with("_pg_")
    }

    /// Names and types of the result's columns for a function with OUT or TABLE arguments, otherwise empty.
    pub fn output_columns(&self) -> Vec<(&str, Oid)> {
        let outputs = self.arg_modes.iter().enumerate().filter(|(_, mode)| {
            matches!(mode, ParameterMode::Out | ParameterMode::InOut | ParameterMode::Table)
        });
        outputs.map(|(i, _)| (self.arg_names.get(i).map_or("", |name| name), self.all_arg_types[i])).collect()
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.name, self.oid)
    }
}

/// A reference to a function: built-in ones live for ever, others are shared.
#[derive(Clone)]
pub enum FunctionRef {
    Builtin(&'static Function),
    User(Arc<Function>),
}

impl Deref for FunctionRef {
    type Target = Function;

    fn deref(&self) -> &Function {
        match self {
            FunctionRef::Builtin(function) => function,
            FunctionRef::User(function) => function,
        }
    }
}

impl From<&'static Function> for FunctionRef {
    fn from(function: &'static Function) -> FunctionRef {
        FunctionRef::Builtin(function)
    }
}

impl PartialEq for FunctionRef {
    fn eq(&self, other: &FunctionRef) -> bool {
        self.oid == other.oid
    }
}

impl Eq for FunctionRef {}

impl fmt::Debug for FunctionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
