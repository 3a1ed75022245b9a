//! What several expressions over the same rows have in common, computed once for all of them.
//!
//! # How
//! `sum(price * (1 - discount))` and `sum(price * (1 - discount) * (1 + tax))` share a product. Each such part becomes a
//! column behind those of the batch, and the expressions read it there.
//!
//! # Invariants
//! - CE1: only parts that each evaluation of their expression computes are shared, as arguments of functions and casts: what
//!   stands in a branch of CASE or behind AND may fail for rows that never get there.
//! - CE2: volatile parts are not shared: each occurrence has a value of its own.

use std::borrow::Cow;

use ochre_base::Result;
use ochre_expr::{Expr, Volatility};
use ochre_types::Batch;

use crate::ExecContext;

/// Expressions with more different parts than this are left as they are: looking for equal ones compares each with all.
const MAX_PARTS: usize = 200;

/// The parts that have become columns, in the order in which they are computed: a later one may read an earlier one.
#[derive(Default)]
pub(crate) struct CommonExprs {
    parts: Vec<Expr>,
}

/// A part of an expression and whether it was met again.
struct Met<'e> {
    part: &'e Expr,
    again: bool,
}

impl CommonExprs {
    /// Finds what the expressions share and has them read it behind the `width` columns of their rows.
    pub(crate) fn take_from(exprs: &mut [&mut Expr], width: usize) -> CommonExprs {
        let mut met: Vec<Met<'_>> = Vec::new();
        for expr in exprs.iter() {
            meet(expr, &mut met);
        }
        if met.len() > MAX_PARTS {
            return CommonExprs::default();
        }
        let shared: Vec<Expr> = met.iter().filter(|met| met.again).map(|met| met.part.clone()).collect();
        // What is met inside of another part comes after it, and is computed before it. (A part that was met by itself first is
        // computed once for itself and once within the other.)
        let mut parts: Vec<Expr> = Vec::with_capacity(shared.len());
        for (number, part) in shared.iter().enumerate().rev() {
            let mut part = part.clone();
            for child in part.children_mut() {
                replace(child, &shared[number + 1..], width);
            }
            parts.push(part);
        }
        for expr in exprs {
            replace(expr, &shared, width);
        }
        CommonExprs { parts }
    }

    /// The batch with the shared parts as columns.
    pub(crate) fn extend<'b>(&self, ctx: &ExecContext<'_>, batch: &'b Batch) -> Result<Cow<'b, Batch>> {
        if self.parts.is_empty() {
            return Ok(Cow::Borrowed(batch));
        }
        let mut batch = batch.clone();
        for part in &self.parts {
            let column = ctx.eval(part, &batch)?;
            batch.columns.push(column);
        }
        Ok(Cow::Owned(batch))
    }
}

/// What an expression always evaluates together with itself.
fn operands(expr: &Expr) -> &[Expr] {
    match expr {
        Expr::Call { args, .. } => args,
        Expr::Cast { arg, .. } => std::slice::from_ref(&**arg),
        _ => &[],
    }
}

/// Whether an expression's value may be computed apart from it.
fn is_shareable(expr: &Expr) -> bool {
    let depends_on_place = |node: &Expr| matches!(node, Expr::CaseOperand { .. } | Expr::SubPlan { .. });
    !operands(expr).is_empty()
        && expr.any(|node| matches!(node, Expr::Column { .. }))
        && !expr.any(depends_on_place)
        && expr.volatility() != Volatility::Volatile
}

/// Notes an expression and its operands. Of one that is met again the operands are not: they are shared with it.
fn meet<'e>(expr: &'e Expr, met: &mut Vec<Met<'e>>) {
    if met.len() > MAX_PARTS || operands(expr).is_empty() {
        return;
    }
    if is_shareable(expr) {
        if let Some(known) = met.iter_mut().find(|known| known.part == expr) {
            known.again = true;
            return;
        }
        met.push(Met { part: expr, again: false });
    }
    for operand in operands(expr) {
        meet(operand, met);
    }
}

/// Has an expression read the shared parts that it computes, of which the last is the first column behind `width` others.
fn replace(expr: &mut Expr, shared: &[Expr], width: usize) {
    if let Some(number) = shared.iter().position(|part| part == expr) {
        *expr = Expr::Column { index: width + shared.len() - 1 - number, ty: expr.ty() };
        return;
    }
    match expr {
        Expr::Call { args, .. } => args.iter_mut().for_each(|arg| replace(arg, shared, width)),
        Expr::Cast { arg, .. } => replace(arg, shared, width),
        _ => {}
    }
}
