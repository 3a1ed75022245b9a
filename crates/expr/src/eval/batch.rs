//! Evaluation over batches.

use std::sync::Arc;

use ochre_base::{Result, limits};
use ochre_types::{
    Batch, Bitmap, Column, ColumnBuilder, ColumnValues, Datum, Pace, PhysicalType, Selection, SqlType,
};
use smallvec::SmallVec;

use super::call::{build, call_batch};
use super::row::{self, RowEvaluator};
use super::{Rows, array_op};
use crate::{BooleanTest, CallContext, CastKind, EvalContext, Expr, FunctionRef, SubPlanKind};

/// Evaluates expressions over one batch.
pub(super) struct Evaluator<'a, 'e> {
    batch: &'a Batch,
    ctx: &'a EvalContext<'e>,
    /// The operand of the innermost CASE.
    case: Option<&'a Arc<Column>>,
}

impl<'a, 'e> Evaluator<'a, 'e> {
    pub(super) fn new(batch: &'a Batch, ctx: &'a EvalContext<'e>) -> Evaluator<'a, 'e> {
        Evaluator { batch, ctx, case: None }
    }

    fn rows(&self) -> usize {
        self.batch.rows
    }

    pub(super) fn eval(&self, expr: &Expr, selection: Option<&Selection>) -> Result<Arc<Column>> {
        match expr {
            Expr::Column { index, .. } => Ok(self.batch.columns[*index].clone()),
            Expr::Constant { value, ty } => Ok(self.constant(value, *ty)),
            Expr::Parameter { index, ty } => Ok(self.constant(&row::parameter(self.ctx, *index)?, *ty)),
            Expr::Correlated { slot, ty } => Ok(self.constant(&row::correlated(self.ctx, *slot)?, *ty)),
            Expr::SessionValue { kind, ty } => {
                Ok(self.constant(&row::session_value(*kind, *ty, self.ctx)?, *ty))
            }
            _ => stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
                self.node(expr, selection)
            }),
        }
    }

    fn node(&self, expr: &Expr, selection: Option<&Selection>) -> Result<Arc<Column>> {
        match expr {
            Expr::Call { function, args, variadic_array, ty, .. } => {
                self.call(function, args, *variadic_array, *ty, selection)
            }
            Expr::Cast { arg, kind, ty, .. } => self.cast(arg, kind, *ty, selection),
            Expr::And(parts) => self.connective(parts, false, selection),
            Expr::Or(parts) => self.connective(parts, true, selection),
            Expr::Not(arg) => {
                let arg = self.eval(arg, selection)?;
                Ok(map_bools(&arg, |value| !value))
            }
            Expr::IsNull { arg, negated, row: false } => {
                Ok(self.null_test(&*self.eval(arg, selection)?, *negated))
            }
            Expr::BooleanTest { arg, test } => {
                let arg = self.eval(arg, selection)?;
                Ok(self.boolean_test(&arg, *test))
            }
            Expr::Case { operand, branches, otherwise, ty } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref(), *ty, selection)
            }
            Expr::CaseOperand { .. } if self.case.is_some() => Ok(self.case.expect("just tested").clone()),
            Expr::Coalesce { args, ty } => self.coalesce(args, *ty, selection),
            Expr::ScalarArrayOp { function, all, left, array, .. } => {
                if let Expr::Constant { value: Datum::Array(array), .. } = &**array {
                    let column = self.eval(left, selection)?;
                    let pace = &mut Pace::from(self.ctx.session.format(), 0);
                    if let Some(found) =
                        array_op::search(function, *all, &column, array, self.rows(), selection, pace)?
                    {
                        return Ok(found);
                    }
                }
                self.by_row(expr, selection)
            }
            Expr::SubPlan { plan, kind, args, ty } => self.subplan(*plan, kind, args, *ty, expr, selection),
            _ => self.by_row(expr, selection),
        }
    }

    fn constant(&self, value: &Datum, ty: SqlType) -> Arc<Column> {
        Arc::new(Column::constant(ty.physical, value, self.rows()))
    }

    /// Any node, one row after the other.
    fn by_row(&self, expr: &Expr, selection: Option<&Selection>) -> Result<Arc<Column>> {
        build(expr.ty().physical, self.rows(), Rows::new(self.rows(), selection), |position| {
            let operand = self.case.map(|case| case.datum(position));
            let row = (self.batch, position);
            RowEvaluator { row: &row, ctx: self.ctx, case: operand.as_ref() }.eval(expr)
        })
    }

    fn call(
        &self,
        function: &FunctionRef,
        args: &[Expr],
        variadic_array: bool,
        ty: SqlType,
        selection: Option<&Selection>,
    ) -> Result<Arc<Column>> {
        let mut columns: SmallVec<[Arc<Column>; 4]> = SmallVec::new();
        let mut types: SmallVec<[SqlType; 4]> = SmallVec::new();
        for arg in args {
            columns.push(self.eval(arg, selection)?);
            types.push(arg.ty());
        }
        let call = CallContext { eval: self.ctx, function, arg_types: &types, result: ty, variadic_array };
        call_batch(&call, &columns, self.rows(), selection)
    }

    fn cast(
        &self,
        arg: &Expr,
        kind: &CastKind,
        ty: SqlType,
        selection: Option<&Selection>,
    ) -> Result<Arc<Column>> {
        let column = self.eval(arg, selection)?;
        let source = arg.ty();
        match kind {
            CastKind::Relabel => {
                let relabelled = crate::cast::relabel_column(&column, ty.physical);
                return Ok(relabelled.map_or(column, Arc::new));
            }
            CastKind::Function { function, .. } if function.arg_types.len() == 1 => {
                let call = CallContext {
                    eval: self.ctx,
                    function,
                    arg_types: &[source],
                    result: ty,
                    variadic_array: false,
                };
                return call_batch(&call, &[column], self.rows(), selection);
            }
            CastKind::Io if row::is_plain_text(source) && row::takes_any_text(ty) && ty.typmod < 0 => {
                return Ok(column);
            }
            _ => {}
        }
        if column.is_constant() && self.rows() > 0 {
            let value = row::cast_value(column.datum(0), source, kind, ty, self.ctx)?;
            return Ok(self.constant(&value, ty));
        }
        build(ty.physical, self.rows(), Rows::new(self.rows(), selection), |position| {
            row::cast_value(column.datum(position), source, kind, ty, self.ctx)
        })
    }

    /// AND (`stop` false) and OR (`stop` true): a row is done at the first part that equals `stop`.
    fn connective(&self, parts: &[Expr], stop: bool, selection: Option<&Selection>) -> Result<Arc<Column>> {
        let rows = self.rows();
        let mut values = vec![!stop; rows];
        let mut unknown: Option<Vec<bool>> = None;
        let mut remaining = selection.cloned();
        for part in parts {
            let column = self.eval(part, remaining.as_ref())?;
            let mut rest: Vec<u16> = Vec::with_capacity(rows);
            Rows::new(rows, remaining.as_ref()).each(|position| match bool_at(&column, position) {
                Some(value) if value == stop => values[position] = stop,
                Some(_) => rest.push(position as u16),
                None => {
                    unknown.get_or_insert_with(|| vec![false; rows])[position] = true;
                    rest.push(position as u16);
                }
            });
            if rest.is_empty() {
                break;
            }
            let before = remaining.as_ref().map_or(rows, Selection::len);
            if rest.len() < before {
                remaining = Some(Selection::new(rest));
            }
        }
        let validity = unknown.map(|unknown| {
            Bitmap::from_bools(unknown.iter().zip(&values).map(|(unknown, value)| !unknown || *value == stop))
        });
        Ok(Arc::new(Column::new(ColumnValues::Bool(values), validity)))
    }

    pub(super) fn predicate(&self, expr: &Expr, selection: Option<&Selection>) -> Result<Selection> {
        if let Expr::And(parts) = expr {
            let mut remaining = selection.cloned();
            for part in parts {
                let next = self.predicate(part, remaining.as_ref())?;
                if next.is_empty() {
                    return Ok(next);
                }
                remaining = Some(next);
            }
            return Ok(remaining.unwrap_or_else(|| Selection::all(self.rows())));
        }
        let column = self.eval(expr, selection)?;
        Ok(true_rows(&column, self.rows(), selection))
    }

    fn null_test(&self, column: &Column, negated: bool) -> Arc<Column> {
        if column.is_constant() || column.validity().is_none() {
            let null = self.rows() > 0 && column.is_null(0);
            return self.constant(&Datum::Bool(null != negated), SqlType::BOOL);
        }
        let values: Vec<bool> =
            (0..self.rows()).map(|position| column.is_null(position) != negated).collect();
        Arc::new(Column::from(values))
    }

    fn boolean_test(&self, column: &Column, test: BooleanTest) -> Arc<Column> {
        let values: Vec<bool> =
            (0..self.rows()).map(|position| row::boolean_test(bool_at(column, position), test)).collect();
        Arc::new(Column::from(values))
    }

    fn case(
        &self,
        operand: Option<&Expr>,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        ty: SqlType,
        selection: Option<&Selection>,
    ) -> Result<Arc<Column>> {
        let rows = self.rows();
        let operand = operand.map(|operand| self.eval(operand, selection)).transpose()?;
        let inner = Evaluator { case: operand.as_ref().or(self.case), ..*self };
        let mut choice = Choice::new(ty.physical, rows);
        let mut remaining = selection.cloned().unwrap_or_else(|| Selection::all(rows));
        for (condition, result) in branches {
            if remaining.is_empty() {
                break;
            }
            let chosen = inner.predicate(condition, Some(&remaining))?;
            if chosen.is_empty() {
                continue;
            }
            choice.take(&chosen, self.eval(result, Some(&chosen))?);
            remaining = remaining.difference(&chosen);
        }
        if let Some(otherwise) = otherwise
            && !remaining.is_empty()
        {
            choice.take(&remaining, self.eval(otherwise, Some(&remaining))?);
        }
        Ok(choice.finish())
    }

    fn coalesce(&self, args: &[Expr], ty: SqlType, selection: Option<&Selection>) -> Result<Arc<Column>> {
        let rows = self.rows();
        let mut choice = Choice::new(ty.physical, rows);
        let mut remaining = selection.cloned();
        for (i, arg) in args.iter().enumerate() {
            let column = self.eval(arg, remaining.as_ref())?;
            if i == 0 && column.validity().is_none() {
                return Ok(column);
            }
            let (mut chosen, mut rest) = (Vec::new(), Vec::new());
            Rows::new(rows, remaining.as_ref()).each(|position| {
                if column.is_null(position) { &mut rest } else { &mut chosen }.push(position as u16);
            });
            choice.take(&Selection::new(chosen), column);
            if rest.is_empty() {
                break;
            }
            remaining = Some(Selection::new(rest));
        }
        Ok(choice.finish())
    }

    fn subplan(
        &self,
        plan: usize,
        kind: &SubPlanKind,
        args: &[Expr],
        ty: SqlType,
        expr: &Expr,
        selection: Option<&Selection>,
    ) -> Result<Arc<Column>> {
        let uncorrelated = args.is_empty() && !matches!(kind, SubPlanKind::AnyAll { .. });
        if uncorrelated && Rows::new(self.rows(), selection).len() > 0 {
            let value = row::run_subplan(self.ctx, plan, kind, &[], &[], ty)?;
            return Ok(self.constant(&value, ty));
        }
        self.by_row(expr, selection)
    }
}

/// Values that come from several columns, each giving some of the rows.
struct Choice {
    physical: PhysicalType,
    rows: usize,
    sources: Vec<Arc<Column>>,
    /// Per row the number of its source, or none.
    source_of: Vec<u16>,
}

const NO_SOURCE: u16 = u16::MAX;

impl Choice {
    fn new(physical: PhysicalType, rows: usize) -> Choice {
        Choice { physical, rows, sources: Vec::new(), source_of: vec![NO_SOURCE; rows] }
    }

    fn take(&mut self, chosen: &Selection, column: Arc<Column>) {
        let number = self.sources.len() as u16;
        chosen.iter().for_each(|position| self.source_of[position] = number);
        self.sources.push(column);
    }

    fn finish(self) -> Arc<Column> {
        let mut builder = ColumnBuilder::new(self.physical, self.rows);
        for (position, source) in self.source_of.iter().enumerate() {
            match self.sources.get(*source as usize) {
                Some(column) => builder.push_from(column, position),
                None => builder.push_null(),
            }
        }
        Arc::new(builder.finish())
    }
}

#[inline]
fn bool_at(column: &Column, position: usize) -> Option<bool> {
    if column.is_null(position) {
        return None;
    }
    column.as_bools().map(|values| values[position * column.stride()])
}

fn map_bools(column: &Arc<Column>, f: impl Fn(bool) -> bool) -> Arc<Column> {
    let Some(values) = column.as_bools() else { return column.clone() };
    if column.is_constant() {
        let value = if column.is_null(0) { Datum::Null } else { Datum::Bool(f(values[0])) };
        return Arc::new(Column::constant(PhysicalType::Bool, &value, column.len()));
    }
    let mapped = values.iter().map(|value| f(*value)).collect();
    Arc::new(Column::new(ColumnValues::Bool(mapped), column.validity().cloned()))
}

/// The selected rows at which a boolean column is true.
fn true_rows(column: &Column, rows: usize, selection: Option<&Selection>) -> Selection {
    let Some(values) = column.as_bools() else { return Selection::empty() };
    if column.is_constant() {
        let holds = rows > 0 && !column.is_null(0) && values[0];
        return match (holds, selection) {
            (false, _) => Selection::empty(),
            (true, Some(selection)) => selection.clone(),
            (true, None) => Selection::all(rows),
        };
    }
    // Written without a branch on the value: whether a row passes is not predictable.
    let mut positions = [0u16; limits::BATCH_ROWS];
    let mut count = 0;
    let mut push = |position: usize, holds: bool| {
        positions[count] = position as u16;
        count += usize::from(holds);
    };
    match (selection, column.validity()) {
        (None, None) => values.iter().enumerate().for_each(|(i, value)| push(i, *value)),
        (None, Some(validity)) => {
            values.iter().enumerate().for_each(|(i, value)| push(i, *value & validity.get(i)));
        }
        (Some(selection), None) => selection.iter().for_each(|i| push(i, values[i])),
        (Some(selection), Some(validity)) => {
            selection.iter().for_each(|i| push(i, values[i] & validity.get(i)));
        }
    }
    Selection::new(&positions[..count])
}
