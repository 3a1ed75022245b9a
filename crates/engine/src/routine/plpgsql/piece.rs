//! Pieces of SQL in a body, prepared: bound once with the variables as parameters.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_parser::ast::{Distinct, SelectBody, Statement};
use ochre_plpgsql::ast::Conflict;
use ochre_sql::bind::{ParamTypes, Variables, bind_typed_expression};
use ochre_sql::physical::PlannedStatement;
use ochre_types::Datum;
use parking_lot::Mutex;

use super::variables::{Names, Scope, Shape, Source, Variable};
use crate::routine::inner::InnerPlan;
use crate::session::Session;
use crate::session::context::StatementSession;
use crate::session::plan::PlanStamp;

/// A prepared piece.
pub(super) struct Piece {
    names: Arc<Names>,
    plan: InnerPlan,
    /// An expression that needs no plan; the inner `None` says that it needs one.
    simple: Mutex<Option<(PlanStamp, Option<Arc<Expr>>)>>,
    /// The shapes of the rows that are visible, as they were when the piece was bound.
    shapes: Vec<(usize, Option<Shape>)>,
}

impl Piece {
    pub(super) fn new(scopes: &[Scope], variables: &[Variable], conflict: Conflict) -> Piece {
        let visible = scopes.iter().flat_map(|scope| &scope.names).map(|(_, slot)| *slot);
        let records = visible.filter(|slot| variables[*slot].is_record());
        let shapes = records.map(|slot| (slot, variables[slot].shape.clone())).collect();
        Piece {
            names: Arc::new(Names::new(scopes, variables, conflict)),
            plan: InnerPlan::default(),
            simple: Mutex::default(),
            shapes,
        }
    }

    /// Whether it can be used with the variables as they are (V2).
    pub(super) fn fits(&self, variables: &[Variable]) -> bool {
        if self.shapes.is_empty() {
            return true;
        }
        let uses = self.names.uses();
        self.shapes.iter().all(|(slot, shape)| {
            let now = &variables[*slot].shape;
            same_shape(shape.as_ref(), now.as_ref())
                || shape.is_some() && uses.iter().all(|(source, _)| source.slot() != *slot)
        })
    }

    pub(super) fn parameters(&self) -> ParamTypes {
        let types: Vec<_> = self.names.uses().iter().map(|(_, ty)| *ty).collect();
        ParamTypes::of_routine(&types, Arc::clone(&self.names) as Arc<dyn Variables>)
    }

    /// The plan with its locks taken.
    pub(super) fn plan(&self, session: &Session, statement: &Statement) -> Result<Arc<PlannedStatement>> {
        Ok(self.plan.get(session, statement, || self.parameters())?.0)
    }

    /// The values of the parameters.
    pub(super) fn values(&self, variables: &[Variable]) -> Vec<Datum> {
        let value = |(source, _): (Source, _)| match source {
            Source::Whole(slot) => variables[slot].value.clone(),
            Source::Field(slot, field) => variables[slot].field(field),
        };
        self.names.uses().into_iter().map(value).collect()
    }

    /// The piece as an expression that needs no plan.
    pub(super) fn simple(&self, session: &Session, statement: &Statement) -> Option<Arc<Expr>> {
        let stamp = session.stamp();
        let mut kept = self.simple.lock();
        if let Some((known, expr)) = &*kept
            && *known == stamp
        {
            return expr.clone();
        }
        let expr = self.bind_simple(session, statement, &stamp);
        *kept = Some((stamp, expr.clone()));
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
