//! A correlated EXISTS, ANY or ALL within an expression, under OR or in a select list say, becomes joins that mark each row with
//! their answer: `a OR EXISTS (SELECT FROM t WHERE t.k = o.k)` reads `t` once.
//!
//! # How
//! As [`super::unnest`] does with a condition of its own: what the subquery asks of the outer row becomes the join's condition,
//! and the mark says whether there is a partner. `x op ANY (SELECT y …)` is true if there is one with `x op y`; else NULL if there
//! is one for which that is NULL, for which there is a second mark; else false. Where nobody tells NULL from false, or where no
//! value can be NULL, one mark is enough. `x op ALL` asks for one for which `x op y` is false, and is the opposite.
//!
//! # Conditions
//! The subquery is then evaluated though the rest of the expression may not need it, so nothing of it may fail
//! ([`super::never_fails`]) or be volatile.
//!
//! # Differences
//! PostgreSQL runs such a subquery for each row, or all of it into a hash table: the planner makes both plans here and takes the
//! cheaper one ([`crate::logical::Alternatives`]).

use ochre_base::Result;
use ochre_expr::{BooleanTest, Comparison, Expr, FunctionRef, SubPlanKind};
use ochre_types::SqlType;

use super::RuleContext;
use super::correlated::{any_subplan, new_column};
use super::never_fails::{never_fails, plan_never_fails};
use super::not_null::not_null_ids;
use super::sub_plans::{Evaluated, adopt, each_evaluation};
use super::unnest::marked_join;
use crate::idset::IdSet;
use crate::logical::{Join, JoinKind, Logical, LogicalStatement, TableUse};
use crate::plan::{Operation, operation_of, strip_relabel};
use crate::walk::produced;

/// Makes joins in every query of a statement, inner ones first.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    each_evaluation(statement, &mut |statement, frame, input, exprs| {
        let mut marker = Marker { statement, frame, input, known: Vec::new() };
        for Evaluated { expr, is_condition, .. } in exprs.iter_mut() {
            let sense = if *is_condition { Sense::Truth } else { Sense::Exact };
            marker.mark_all(expr, sense);
        }
    });
    Ok(())
}

/// What the place of a boolean tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    /// Whether it is true.
    Truth,
    /// Whether it is false.
    Falsity,
    Exact,
}

impl Sense {
    fn negated(self) -> Sense {
        match self {
            Sense::Truth => Sense::Falsity,
            Sense::Falsity => Sense::Truth,
            Sense::Exact => Sense::Exact,
        }
    }
}

/// Puts joins below the expressions of an operator.
struct Marker<'a> {
    statement: &'a mut LogicalStatement,
    frame: usize,
    /// The operator's input.
    input: &'a mut Logical,
    /// Answers by subquery and what is told apart.
    known: Vec<(usize, Sense, Expr)>,
}

impl Marker<'_> {
    /// Puts marks in the places of subqueries that can be joins.
    fn mark_all(&mut self, expr: &mut Expr, sense: Sense) {
        if let Expr::SubPlan { plan, kind, .. } = &*expr {
            let plan = *plan;
            let known = self.known.iter().find(|(index, known, _)| (*index, *known) == (plan, sense));
            let answer = match kind {
                _ if known.is_some() => known.map(|(.., answer)| answer.clone()),
                SubPlanKind::Exists => self.exists(plan),
                SubPlanKind::AnyAll { all, left, functions, op } => Compared::of(*all, left, functions, *op)
                    .and_then(|asked| self.compared(plan, &asked, sense)),
                _ => None,
            };
            if let Some(answer) = answer {
                self.known.push((plan, sense, answer.clone()));
                *expr = answer;
                return;
            }
        }
        match expr {
            Expr::And(parts) | Expr::Or(parts) => {
                parts.iter_mut().for_each(|part| self.mark_all(part, sense))
            }
            Expr::Not(arg) => self.mark_all(arg, sense.negated()),
            Expr::BooleanTest { arg, test: BooleanTest::True | BooleanTest::NotTrue } => {
                self.mark_all(arg, Sense::Truth);
            }
            Expr::BooleanTest { arg, test: BooleanTest::False | BooleanTest::NotFalse } => {
                self.mark_all(arg, Sense::Falsity);
            }
            Expr::Case { operand: None, branches, otherwise, .. } => {
                for (condition, result) in branches {
                    self.mark_all(condition, Sense::Truth);
                    self.mark_all(result, sense);
                }
                otherwise.iter_mut().for_each(|result| self.mark_all(result, sense));
            }
            other => other.children_mut().into_iter().for_each(|child| self.mark_all(child, Sense::Exact)),
        }
    }

    /// The answer of an EXISTS.
    fn exists(&mut self, index: usize) -> Option<Expr> {
        let outer = produced(self.input, &self.statement.tables);
        let (right, on) = marked_join(self.statement, index, &outer, true)?;
        self.check(&right, &on)?;
        if !self.statement.alternatives.accepts_next() {
            return None;
        }
        adopt(self.statement, index, self.frame);
        Some(self.join(right, on, "exists"))
    }

    /// The answer of ANY or ALL.
    fn compared(&mut self, index: usize, asked: &Compared<'_>, sense: Sense) -> Option<Expr> {
        let outer = produced(self.input, &self.statement.tables);
        let own = |part: &Expr| IdSet::of(part.columns()).is_subset(&outer);
        if !asked.left.iter().all(own) || any_subplan(asked.left) {
            return None;
        }
        let output = &self.statement.subqueries[index].query.output;
        let output: Vec<Expr> =
            output.iter().map(|(id, column)| Expr::Column { index: *id, ty: column.ty }).collect();
        let (right, on) = marked_join(self.statement, index, &outer, false)?;
        let comparison = asked.comparison(&output);
        self.check(&right, &on)?;
        if !never_fails(&comparison) || !self.statement.alternatives.accepts_next() {
            return None;
        }
        let two_valued = asked.is_two_valued(self.input, &right, &output, &self.statement.tables);
        let sense = if two_valued { Sense::Truth } else { sense };
        let decisive = asked.decisive(&comparison, sense, two_valued);
        let with = |condition: Expr| on.iter().cloned().chain([condition]).collect::<Vec<_>>();
        let unknown = (sense == Sense::Exact).then(|| with(tested(&comparison, BooleanTest::Unknown)));
        adopt(self.statement, index, self.frame);
        let decided = self.join(right.clone(), with(decisive), if asked.all { "all" } else { "any" });
        let decided = if asked.all { Expr::Not(Box::new(decided)) } else { decided };
        let Some(on) = unknown else { return Some(decided) };
        let unknown = self.join(right, on, "unknown");
        let null = Expr::null(SqlType::BOOL);
        Some(match asked.all {
            false => Expr::Or(vec![decided, Expr::And(vec![unknown, null])]),
            true => Expr::And(vec![decided, Expr::Or(vec![Expr::Not(Box::new(unknown)), null])]),
        })
    }

    /// Nothing may fail that the statement as written need not evaluate.
    fn check(&self, right: &Logical, on: &[Expr]) -> Option<()> {
        (plan_never_fails(right, &self.statement.ctes) && on.iter().all(never_fails)).then_some(())
    }

    /// Puts a join in; its answer is true or false.
    fn join(&mut self, right: Logical, on: Vec<Expr>, name: &str) -> Expr {
        let id = new_column(self.statement, name, SqlType::BOOL);
        let left = std::mem::replace(self.input, Logical::Dummy { row: false });
        let kind = JoinKind::Mark(id);
        *self.input = Logical::Join(Box::new(Join { kind, left, right, on, lateral: false }));
        // The mark is NULL where IN would be.
        let column = Expr::Column { index: id, ty: SqlType::BOOL };
        Expr::Coalesce { args: vec![column, Expr::bool(false)], ty: SqlType::BOOL }
    }
}

/// `left op ANY` or `left op ALL`.
pub(super) struct Compared<'e> {
    pub all: bool,
    left: &'e [Expr],
    functions: &'e [FunctionRef],
}

impl<'e> Compared<'e> {
    /// Rows are compared column by column only for equality.
    pub fn of(
        all: bool,
        left: &'e [Expr],
        functions: &'e [FunctionRef],
        op: Comparison,
    ) -> Option<Compared<'e>> {
        let equal = op == Comparison::Equal
            && functions.iter().all(|f| operation_of(f.oid) == Some(Operation::Equal));
        (functions.len() == 1 || equal).then_some(Compared { all, left, functions })
    }

    /// The comparison with what a row of the subquery gives.
    pub fn comparison(&self, output: &[Expr]) -> Expr {
        let columns = self.left.iter().zip(self.functions).zip(output);
        Expr::and(columns.map(|((part, function), value)| Expr::Call {
            function: function.clone(),
            args: vec![part.clone(), value.clone()],
            variadic_array: false,
            ty: SqlType::BOOL,
            pos: ochre_expr::SourcePos::NONE,
        }))
    }

    /// Whether no comparison of a row with one of the sub-query's is NULL.
    pub fn is_two_valued(
        &self,
        outer: &Logical,
        inner: &Logical,
        output: &[Expr],
        tables: &[TableUse],
    ) -> bool {
        let (known, inner_known) = (not_null_ids(outer, tables), not_null_ids(inner, tables));
        let is_known = |value: &Expr, known: &IdSet| match strip_relabel(value) {
            Expr::Column { index, .. } => known.contains(*index),
            Expr::Constant { value, .. } => !value.is_null(),
            _ => false,
        };
        // Comparisons that never fail are built in, and NULL of NULL alone.
        self.left.iter().all(|part| is_known(part, &known))
            && output.iter().all(|value| is_known(value, &inner_known))
    }

    /// What the rows satisfy that decide: for ANY those that make it true, for ALL those that make it false. NULL is with them where
    /// the place takes it for the same.
    pub fn decisive(&self, comparison: &Expr, sense: Sense, two_valued: bool) -> Expr {
        match (self.all, sense) {
            (false, Sense::Falsity) if !two_valued => tested(comparison, BooleanTest::NotFalse),
            (false, _) => comparison.clone(),
            (true, Sense::Truth) if !two_valued => tested(comparison, BooleanTest::NotTrue),
            (true, _) => negated(comparison),
        }
    }
}

/// What is true where a comparison is false.
fn negated(comparison: &Expr) -> Expr {
    if let Expr::Call { function, args, variadic_array, ty, pos } = comparison
        && let Some(opposite) = ochre_expr::operator_of_function(function.oid)
            .and_then(|operator| ochre_expr::operator(operator.negator))
    {
        let (args, function) = (args.clone(), opposite.function.into());
        return Expr::Call { function, args, variadic_array: *variadic_array, ty: *ty, pos: *pos };
    }
    tested(comparison, BooleanTest::False)
}

/// A test of a boolean.
fn tested(expr: &Expr, test: BooleanTest) -> Expr {
    Expr::BooleanTest { arg: Box::new(expr.clone()), test }
}
