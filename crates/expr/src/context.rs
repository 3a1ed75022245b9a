//! What evaluation needs besides rows: parameters, outer rows, the session, subplans.

use ochre_base::Result;
use ochre_types::Datum;

use crate::SessionContext;

/// Everything an evaluation may refer to. Cheap to build for each statement or outer row.
#[derive(Clone, Copy)]
pub struct EvalContext<'a> {
    /// Values of `$1`, `$2` ….
    pub params: &'a [Datum],
    /// Values of enclosing rows ([`crate::Expr::Correlated`]).
    pub correlated: &'a [Datum],
    pub session: &'a dyn SessionContext,
    /// Runs subqueries; without one a subplan is an internal error.
    pub subplans: Option<&'a dyn SubPlanRunner>,
}

impl<'a> EvalContext<'a> {
    /// A context without parameters, outer rows and subplans.
    pub fn new(session: &'a dyn SessionContext) -> EvalContext<'a> {
        EvalContext { params: &[], correlated: &[], session, subplans: None }
    }

    /// The same with these parameters.
    #[must_use]
    pub fn with_params(self, params: &'a [Datum]) -> EvalContext<'a> {
        EvalContext { params, ..self }
    }

    /// The same with these values of enclosing rows.
    #[must_use]
    pub fn with_correlated(self, correlated: &'a [Datum]) -> EvalContext<'a> {
        EvalContext { correlated, ..self }
    }

    /// The same with a runner of subplans.
    #[must_use]
    pub fn with_subplans(self, subplans: &'a dyn SubPlanRunner) -> EvalContext<'a> {
        EvalContext { subplans: Some(subplans), ..self }
    }
}

/// Runs the subqueries of a plan. The executor implements it, with interior mutability, and may keep results of
/// uncorrelated subplans.
pub trait SubPlanRunner {
    /// Runs subplan `plan` with these values in its [`crate::Expr::Correlated`] slots and hands each row to `each`
    /// until it answers false.
    fn run(
        &self,
        plan: usize,
        correlated: &[Datum],
        each: &mut dyn FnMut(&[Datum]) -> Result<bool>,
    ) -> Result<()>;

    /// Whether some row equals `left` by the columns' own equality, where the runner keeps a hash table of the
    /// subplan's rows; `None` when it does not. The inner answer is SQL's: null when unknown.
    fn any_equal(
        &self,
        _plan: usize,
        _correlated: &[Datum],
        _left: &[Datum],
    ) -> Option<Result<Option<bool>>> {
        None
    }
}
