//! What the binder knows while it binds one query's clauses: which clause it is in, and the aggregates, window functions and
//! sets met so far.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_expr::Expr;
use ochre_parser::ast::{self, Pos};

use super::Binder;
use super::window::WindowDefinition;
use crate::logical::{AggregateExpr, ColumnId, SetItem, WindowExpr};

/// The clause that an expression stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clause {
    Select,
    Where,
    JoinCondition,
    GroupBy,
    Having,
    OrderBy,
    DistinctOn,
    Values,
    Limit,
    Offset,
    From,
    Window,
    Returning,
    UpdateSet,
    InsertValues,
    MergeWhen,
    Check,
    Default,
    Generated,
    IndexExpression,
    IndexPredicate,
    TriggerWhen,
    ConflictTarget,
    /// An expression of a statement without FROM: EXECUTE's arguments and their kind.
    Other,
}

impl Clause {
    /// The clause's name in `aggregate functions are not allowed in …`.
    fn text(self) -> &'static str {
        match self {
            Clause::Select => "SELECT",
            Clause::Where => "WHERE",
            Clause::JoinCondition => "JOIN conditions",
            Clause::GroupBy => "GROUP BY",
            Clause::Having => "HAVING",
            Clause::OrderBy => "ORDER BY",
            Clause::DistinctOn => "DISTINCT ON",
            Clause::Values | Clause::InsertValues => "VALUES",
            Clause::Limit => "LIMIT",
            Clause::Offset => "OFFSET",
            Clause::From => "functions in FROM",
            Clause::Window => "window definitions",
            Clause::Returning => "RETURNING",
            Clause::UpdateSet => "UPDATE",
            Clause::MergeWhen => "MERGE WHEN conditions",
            Clause::Check => "check constraints",
            Clause::Default => "DEFAULT expressions",
            Clause::Generated => "column generation expressions",
            Clause::IndexExpression => "index expressions",
            Clause::IndexPredicate => "index predicates",
            Clause::TriggerWhen => "trigger WHEN conditions",
            Clause::ConflictTarget => "ON CONFLICT",
            Clause::Other => "this context",
        }
    }
}

/// One query that is being bound.
#[derive(Debug)]
pub(crate) struct Level {
    /// The clause.
    pub clause: Clause,
    /// The query's nesting.
    pub depth: u32,
    /// Aggregates met.
    pub aggregates: Vec<(ColumnId, AggregateExpr)>,
    /// What hypothetical-set aggregates are asked about, which must be the same for all rows of a group.
    pub direct_args: Vec<Expr>,
    /// Windows met, with their calls.
    pub windows: Vec<(WindowDefinition, Vec<(ColumnId, WindowExpr)>)>,
    /// The WINDOW clause.
    pub named_windows: Vec<(ast::Name, WindowDefinition)>,
    /// Sets of the select list.
    pub sets: Vec<(ColumnId, SetItem)>,
    /// Columns mentioned outside aggregates, and whether that was in a subquery.
    pub mentions: Vec<(ColumnId, Pos, bool)>,
    /// GROUPING calls, resolved once the keys are known.
    pub groupings: Vec<GroupingCall>,
    /// Inside an aggregate's arguments.
    pub in_aggregate: bool,
    /// Inside a window function's arguments.
    pub in_window: bool,
    /// Inside a construct of a clause that takes sets where they cannot be, by its name.
    pub no_sets: Option<&'static str>,
    /// How many calls of set-returning functions were met, and where the last one stands.
    pub sets_met: (usize, Pos),
}

/// A GROUPING call.
#[derive(Debug)]
pub(crate) struct GroupingCall {
    /// The column that stands for it.
    pub id: ColumnId,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// Where it stands.
    pub pos: Pos,
    /// It stands in a subquery of the query that it belongs to.
    pub from_subquery: bool,
}

impl Level {
    pub(crate) fn new(clause: Clause, depth: u32) -> Level {
        Level {
            clause,
            depth,
            aggregates: Vec::new(),
            direct_args: Vec::new(),
            windows: Vec::new(),
            named_windows: Vec::new(),
            sets: Vec::new(),
            mentions: Vec::new(),
            groupings: Vec::new(),
            in_aggregate: false,
            in_window: false,
            no_sets: None,
            sets_met: (0, Pos::NONE),
        }
    }
}

impl Binder<'_> {
    /// Starts a query or a lone expression.
    pub(crate) fn enter_level(&mut self, clause: Clause, depth: u32) {
        self.levels.push(Level::new(clause, depth));
    }

    /// Ends it. What it mentioned of the queries around it is noted there.
    pub(crate) fn leave_level(&mut self) -> Result<Level> {
        let level = self.levels.pop().ok_or_else(|| Error::internal("no query is being bound"))?;
        if let Some(outer) = self.levels.last_mut()
            && outer.depth < level.depth
            && !outer.in_aggregate
        {
            let columns = &self.columns;
            // In WHERE and FROM the outer query's own columns are free of GROUP BY.
            let grouped = matches!(
                outer.clause,
                Clause::Select | Clause::Having | Clause::OrderBy | Clause::DistinctOn | Clause::Window
            );
            let outer_depth = outer.depth;
            let outside = |id: &ColumnId| {
                let depth = columns[*id].depth;
                depth < level.depth && (grouped || depth < outer_depth)
            };
            outer.mentions.extend(
                level.mentions.iter().filter(|(id, ..)| outside(id)).map(|(id, pos, _)| (*id, *pos, true)),
            );
        }
        Ok(level)
    }

    /// Binds within a clause of its own.
    pub(crate) fn in_level<T>(
        &mut self,
        clause: Clause,
        depth: u32,
        run: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.enter_level(clause, depth);
        let result = run(self);
        let left = self.leave_level();
        let value = result?;
        left?;
        Ok(value)
    }

    /// Goes on to another clause of the query.
    pub(crate) fn set_clause(&mut self, clause: Clause) {
        if let Some(level) = self.levels.last_mut() {
            level.clause = clause;
        }
    }

    /// The query being bound.
    pub(crate) fn level(&mut self) -> Result<&mut Level> {
        self.levels.last_mut().ok_or_else(|| Error::internal("no query is being bound"))
    }

    fn clause(&self) -> Clause {
        self.levels.last().map_or(Clause::Other, |level| level.clause)
    }

    /// Notes a column for the check of GROUP BY.
    pub(crate) fn note_column(&mut self, expr: &Expr, pos: Pos) {
        let Some(level) = self.levels.last_mut() else { return };
        if level.in_aggregate
            || !matches!(
                level.clause,
                Clause::Select | Clause::Having | Clause::OrderBy | Clause::DistinctOn | Clause::Window
            )
        {
            // Only what is outside this query matters then.
            if let Expr::Column { index, .. } = expr
                && self.columns[*index].depth < level.depth
            {
                level.mentions.push((*index, pos, false));
            }
            return;
        }
        match expr {
            Expr::Column { index, .. } => level.mentions.push((*index, pos, false)),
            other => {
                let _ = other.walk(&mut |node| {
                    if let Expr::Column { index, .. } = node {
                        level.mentions.push((*index, pos, false));
                    }
                    std::ops::ControlFlow::<()>::Continue(())
                });
            }
        }
    }

    /// 42803 where an aggregate of the query with this index in `levels` cannot be.
    pub(crate) fn check_aggregate_allowed(&self, owner: usize, pos: Pos) -> Result<()> {
        let level = &self.levels[owner];
        let clause = level.clause;
        if level.in_aggregate {
            let error = Error::new(SqlState::GROUPING_ERROR, "aggregate function calls cannot be nested");
            return Err(self.at(error, pos));
        }
        match clause {
            Clause::Select | Clause::Having | Clause::OrderBy | Clause::DistinctOn | Clause::Window => Ok(()),
            other => Err(self.at(aggregate_not_allowed(other), pos)),
        }
    }

    /// 42P20 where a window function cannot be.
    pub(crate) fn check_window_allowed(&self, pos: Pos) -> Result<()> {
        let clause = self.clause();
        let fail = |message: String| Err(self.at(Error::new(SqlState::WINDOWING_ERROR, message), pos));
        if let Some(level) = self.levels.last() {
            if level.in_aggregate {
                let error = Error::new(
                    SqlState::GROUPING_ERROR,
                    "aggregate function calls cannot contain window function calls",
                );
                return Err(self.at(error, pos));
            }
            if level.in_window {
                return fail("window function calls cannot be nested".to_owned());
            }
        }
        match clause {
            Clause::Select | Clause::OrderBy | Clause::DistinctOn => Ok(()),
            other => fail(format!("window functions are not allowed in {}", other.text())),
        }
    }

    /// 0A000 where a set cannot be.
    pub(crate) fn check_set_allowed(&self, pos: Pos) -> Result<()> {
        let fail = |text: &str| {
            let error = Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("set-returning functions are not allowed in {text}"),
            );
            Err(self.at(error, pos))
        };
        if let Some(construct) = self.levels.last().and_then(|level| level.no_sets) {
            return fail(construct);
        }
        match self.clause() {
            // PARTITION BY and ORDER BY of a window are, in effect, further items of the select list.
            Clause::Select | Clause::GroupBy | Clause::OrderBy | Clause::DistinctOn | Clause::Window => {
                Ok(())
            }
            Clause::InsertValues => Ok(()),
            Clause::From => {
                let message = "set-returning functions must appear at top level of FROM";
                Err(self.at(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message), pos))
            }
            other => fail(other.text()),
        }
    }

    /// Notes a call of a set-returning function: the column that stands for its elements.
    ///
    /// Equal calls are one set, as they are expanded side by side. A volatile one is not another of the select list, but what
    /// ORDER BY, GROUP BY and the like say again is the select list's.
    pub(crate) fn add_set_call(&mut self, item: SetItem, depth: u32, pos: Pos) -> Result<Expr> {
        let in_list = matches!(self.clause(), Clause::Select | Clause::InsertValues);
        let SetItem::Set { function, ty, .. } = &item else {
            return Err(Error::internal("a set-returning function makes a set"));
        };
        let (name, ty) = (Arc::<str>::from(&*function.name), *ty);
        let level = self.level()?;
        level.sets_met = (level.sets_met.0 + 1, pos);
        let known = level.sets.iter().find(|(_, known)| *known == item);
        if let Some((id, _)) = known.filter(|_| !in_list || !item.is_volatile()) {
            return Ok(Expr::Column { index: *id, ty });
        }
        let id = self.new_column(name, ty, depth);
        self.level()?.sets.push((id, item));
        Ok(self.column_expr(id))
    }

    /// How many sets the query at hand has met; for [`Binder::refuse_sets_since`].
    pub(crate) fn sets_met(&self) -> usize {
        self.levels.last().map_or(0, |level| level.sets_met.0)
    }

    /// 0A000 if sets have been met since, in a construct that cannot have them within it.
    pub(crate) fn refuse_sets_since(&self, met: usize, message: &str) -> Result<()> {
        let Some(level) = self.levels.last().filter(|level| level.sets_met.0 > met) else { return Ok(()) };
        let error = Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            .hint("You might be able to move the set-returning function into a LATERAL FROM item.");
        Err(self.at(error, level.sets_met.1))
    }

    /// Whether an expression of the query at hand has a value for each element of a set.
    pub(crate) fn returns_set(&self, expr: &Expr) -> bool {
        let Some(level) = self.levels.last().filter(|level| !level.sets.is_empty()) else { return false };
        expr.columns().iter().any(|id| level.sets.iter().any(|(set, _)| set == id))
    }

    /// 0A000 where a subquery cannot be.
    pub(crate) fn check_subquery_allowed(&self, pos: Pos) -> Result<()> {
        let what = match self.clause() {
            Clause::Check => "check constraint",
            Clause::Default => "DEFAULT expression",
            Clause::Generated => "column generation expression",
            Clause::IndexExpression => "index expression",
            Clause::IndexPredicate => "index predicate",
            Clause::TriggerWhen => "trigger WHEN condition",
            _ => return Ok(()),
        };
        let error = Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("cannot use subquery in {what}"));
        Err(self.at(error, pos))
    }
}

fn aggregate_not_allowed(clause: Clause) -> Error {
    let text = if clause == Clause::ConflictTarget { "ON CONFLICT" } else { clause.text() };
    Error::new(SqlState::GROUPING_ERROR, format!("aggregate functions are not allowed in {text}"))
}
