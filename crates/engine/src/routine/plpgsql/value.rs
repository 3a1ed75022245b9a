//! Values of expressions, and conversions.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_expr::{EvalContext, Expr, SourcePos, eval_const};
use ochre_plpgsql::ast::Fragment;
use ochre_sql::physical::PlannedStatement;
use ochre_types::{Datum, SqlType};

use super::piece::Piece;
use super::run::Run;
use super::variables::{Scope, Source, Use};
use crate::routine::sql::cast_to;
use crate::session::context::StatementSession;

impl<'a, 's> Run<'a, 's> {
    /// What was prepared of a piece at this place of the text.
    pub(super) fn piece(&self, fragment: &'a Fragment) -> Arc<Piece> {
        self.piece_among(fragment, 0, &self.scopes)
    }

    /// What was prepared of a piece that sees these scopes; those of one place differ by `slot` alone.
    pub(super) fn piece_among(
        &self,
        fragment: &'a Fragment,
        slot: usize,
        scopes: &[Scope<'a>],
    ) -> Arc<Piece> {
        let key = (std::ptr::from_ref(fragment) as usize, slot);
        let mut pieces = self.code.pieces.lock();
        if let Some(piece) = pieces.get(&key)
            && piece.fits(&self.variables)
        {
            return Arc::clone(piece);
        }
        let row_sets = self.trigger.map(|call| Arc::clone(&call.row_sets)).unwrap_or_default();
        let piece = Arc::new(Piece::new(scopes, &self.variables, self.code.body.conflict, row_sets));
        pieces.insert(key, Arc::clone(&piece));
        piece
    }

    pub(super) fn plan(&self, fragment: &Fragment, piece: &Piece) -> Result<Arc<PlannedStatement>> {
        piece.plan(self.session(), &fragment.statement)
    }

    /// The values of a piece's parameters.
    pub(super) fn values(&self, piece: &Piece) -> Vec<Datum> {
        let value = |used: &Use| match used.source {
            Source::Whole(slot) => self.variable_value(slot),
            Source::Field(slot, field) => self.variables[slot].field(field),
        };
        piece.uses().iter().map(value).collect()
    }

    /// The value of an expression.
    pub(super) fn eval(&mut self, fragment: &'a Fragment) -> Result<(Datum, SqlType)> {
        let session = self.session();
        let piece = self.piece(fragment);
        if let Some(expr) = piece.simple(session, &fragment.statement) {
            let values = self.values(&piece);
            let mut context = StatementSession::new(session);
            if let Some(snapshot) = self.invocation.shared_snapshot() {
                context = context.seeing(snapshot);
            }
            let eval = EvalContext::new(&context).with_params(&values);
            return Ok((eval_const(&expr, &eval)?, expr.ty()));
        }
        let plan = self.plan(fragment, &piece)?;
        let [column] = plan.row_shape.as_slice() else {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("query returned {} columns", plan.row_shape.len()),
            ));
        };
        let ty = column.ty;
        let values = self.values(&piece);
        let (mut rows, _) = session.inner_rows(&plan, &values, self.invocation.shared_snapshot(), 2)?;
        if rows.len() > 1 {
            return Err(Error::new(SqlState::CARDINALITY_VIOLATION, "query returned more than one row"));
        }
        let value = rows.pop().and_then(|row| row.into_iter().next()).unwrap_or(Datum::Null);
        Ok((value, ty))
    }

    pub(super) fn holds(&mut self, fragment: &'a Fragment) -> Result<bool> {
        let (value, ty) = self.eval(fragment)?;
        Ok(self.cast(value, ty, SqlType::BOOL)? == Datum::Bool(true))
    }

    /// A value's text form.
    pub(super) fn text_of(&self, value: &Datum, ty: SqlType) -> Result<String> {
        let format = self.session().state.format_context();
        ochre_types::to_text(ty, value, &format)
    }

    /// A value of one type as one of another, as an assignment converts it, or through its text.
    pub(super) fn cast(&self, value: Datum, from: SqlType, to: SqlType) -> Result<Datum> {
        // A literal of no type yet is text.
        let from = if from.oid == SqlType::UNKNOWN.oid { SqlType::TEXT } else { from };
        if from.oid == to.oid && (to.typmod < 0 || from.typmod == to.typmod) || value.is_null() {
            return Ok(value);
        }
        let session = self.session();
        let known = self.code.casts.lock().get(&(from, to)).cloned();
        let cast = match known {
            Some(cast) => cast,
            None => {
                let cast = match cast_to(session, from, to)? {
                    Some(cast) => cast,
                    None => Some(Expr::Cast {
                        arg: Box::new(Expr::Parameter { index: 0, ty: from }),
                        kind: ochre_expr::CastKind::Io,
                        ty: to,
                        pos: SourcePos::NONE,
                    }),
                };
                let cast = Arc::new(cast);
                self.code.casts.lock().insert((from, to), Arc::clone(&cast));
                cast
            }
        };
        let context = StatementSession::new(session);
        crate::routine::sql::convert(value, (*cast).as_ref(), &context)
    }
}
