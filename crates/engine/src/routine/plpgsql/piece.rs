//! Pieces of SQL in a body, prepared: bound once with the variables as parameters.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_parser::ast::{Distinct, SelectBody, Statement};
use ochre_plpgsql::ast::Conflict;
use ochre_sql::bind::{ParamTypes, RowSets, Variables, bind_typed_expression};
use ochre_sql::physical::PlannedStatement;
use parking_lot::Mutex;

use super::variables::{Names, Scope, Shape, Use, Variable};
use crate::routine::inner::InnerPlan;
use crate::session::Session;
use crate::session::context::StatementSession;
use crate::session::plan::PlanStamp;

/// A prepared piece.
pub(super) struct Piece {
    names: Arc<Names>,
    row_sets: RowSets,
    plan: InnerPlan,
    bound: Mutex<Bound>,
    /// The types and shapes of the rows that are visible, as they were when the piece was bound.
    rows: Vec<(usize, Option<Shape>)>,
}

/// What binding found.
#[derive(Default)]
struct Bound {
    /// The parameters; `None` until something was bound.
    uses: Option<Arc<[Use]>>,
    /// An expression that needs no plan; the inner `None` says that it needs one.
    simple: Option<(PlanStamp, Option<Arc<Expr>>)>,
}

impl Piece {
    pub(super) fn new(
        scopes: &[Scope<'_>],
        variables: &[Variable<'_>],
        conflict: Conflict,
        row_sets: RowSets,
    ) -> Piece {
        let visible = scopes.iter().flat_map(|scope| &scope.names).map(|(_, slot)| *slot);
        let rows = visible.filter(|slot| variables[*slot].is_row());
        let rows = rows.map(|slot| (slot, variables[slot].shape.clone())).collect();
        Piece {
            names: Arc::new(Names::new(scopes, variables, conflict)),
            row_sets,
            plan: InnerPlan::default(),
            bound: Mutex::default(),
            rows,
        }
    }

    /// Whether it can be used with the variables as they are (V2): what it reads has the types that it was bound with. One
    /// that could not be bound is good for nothing.
    pub(super) fn fits(&self, variables: &[Variable<'_>]) -> bool {
        let bound = self.bound.lock();
        let Some(uses) = &bound.uses else { return false };
        uses.iter().all(|used| {
            let slot = used.source.slot();
            let variable = &variables[slot];
            if !variable.is_row() {
                return variable.ty == used.ty;
            }
            let was = self.rows.iter().find(|(row, _)| *row == slot);
            was.is_some_and(|(_, shape)| same_shape(shape.as_ref(), variable.shape.as_ref()))
        })
    }

    pub(super) fn parameters(&self) -> ParamTypes {
        let types: Vec<_> = self.names.uses().iter().map(|used| used.ty).collect();
        let parameters = ParamTypes::of_routine(&types, Arc::clone(&self.names) as Arc<dyn Variables>);
        parameters.with_row_sets(&self.row_sets)
    }

    /// Notes that it was bound, by whomever.
    fn note_bound(&self) {
        self.bound.lock().uses = Some(self.names.uses());
    }

    /// The plan with its locks taken.
    pub(super) fn plan(&self, session: &Session, statement: &Statement) -> Result<Arc<PlannedStatement>> {
        let (plan, fresh) = self.plan.get(session, statement, || self.parameters())?;
        if fresh {
            self.note_bound();
        }
        Ok(plan)
    }

    /// The parameters.
    pub(super) fn uses(&self) -> Arc<[Use]> {
        match &self.bound.lock().uses {
            Some(uses) => Arc::clone(uses),
            None => self.names.uses(),
        }
    }

    /// The piece as an expression that needs no plan.
    pub(super) fn simple(&self, session: &Session, statement: &Statement) -> Option<Arc<Expr>> {
        let stamp = session.stamp();
        let mut bound = self.bound.lock();
        if let Some((known, expr)) = &bound.simple
            && *known == stamp
        {
            return expr.clone();
        }
        let expr = self.bind_simple(session, statement, &stamp);
        if expr.is_some() {
            bound.uses = Some(self.names.uses());
        }
        bound.simple = Some((stamp, expr.clone()));
        expr
    }

    fn bind_simple(&self, session: &Session, statement: &Statement, stamp: &PlanStamp) -> Option<Arc<Expr>> {
        let Statement::Select(select) = statement else { return None };
        let SelectBody::Select(core) = &select.body else { return None };
        let plain = select.with.is_none()
            && select.order_by.is_empty()
            && select.limit.is_none()
            && select.locking.is_empty()
            && matches!(core.distinct, Distinct::All)
            && core.into.is_none()
            && core.from.is_empty()
            && core.where_clause.is_none()
            && core.group_by.is_empty()
            && core.having.is_none()
            && core.targets.len() == 1;
        if !plain {
            return None;
        }
        let context = StatementSession::new(session);
        let catalog = session.state.catalog();
        let mut parameters = self.parameters();
        let target = &core.targets[0].expr;
        let bound =
            bind_typed_expression(&catalog, &stamp.path, &context, &mut parameters, target, None).ok()?;
        let needs_plan = bound.any(|node| matches!(node, Expr::SubPlan { .. } | Expr::Column { .. }));
        (!needs_plan).then(|| Arc::new(bound))
    }
}

fn same_shape(a: Option<&Shape>, b: Option<&Shape>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
        _ => false,
    }
}
