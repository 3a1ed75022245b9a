//! Cursors of PL/pgSQL: OPEN, FETCH, MOVE, CLOSE.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_parser::ast as sql;
use ochre_plpgsql::ast::{FetchDirection, Fragment, Into, OpenSource, Target};
use ochre_sql::physical::{OutputColumn, PlannedStatement};
use ochre_types::{Datum, SqlType};

use super::run::{Run, in_statement, single};
use super::variables::{BoundCursor, Scope, Variable};

/// An open cursor: its rows, computed when it was opened.
pub(super) struct Cursor {
    shape: Vec<OutputColumn>,
    rows: Vec<Vec<Datum>>,
    /// The current row, counted from 1; 0 before the first, one more than there are behind the last.
    position: usize,
}

impl<'a> Run<'a, '_> {
    pub(super) fn open(&mut self, cursor: &'a Target, source: &'a OpenSource) -> Result<()> {
        let slot = self.slot_of(cursor)?;
        let name = match &self.variables[slot].value {
            Datum::Null => {
                let number = (1..).find(|n| !self.cursors.contains_key(&unnamed(*n))).unwrap_or(1);
                unnamed(number)
            }
            value => value.as_str().unwrap_or_default().to_owned(),
        };
        if self.cursors.contains_key(&name) {
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{name}\" already in use")));
        }
        let (plan, values, text) = match source {
            OpenSource::Bound(arguments) => {
                let Some(bound) = self.variables[slot].cursor else {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        "expected FOR to open a reference cursor",
                    ));
                };
                let (plan, values) = self.bound_query(bound, arguments)?;
                (plan, values, bound.query.text.clone())
            }
            OpenSource::Query(fragment) => {
                let piece = self.piece(fragment);
                let plan = piece.plan(self.session(), &fragment.statement)?;
                (plan, self.values(&piece), fragment.text.clone())
            }
            OpenSource::Dynamic { text, using } => {
                let text = self.query_text(text)?;
                let (values, types) = self.using(using)?;
                let statement = single(&text)?;
                if let sql::Statement::Explain(_) = statement {
                    return Err(Error::unsupported("EXPLAIN as the query of a cursor"));
                }
                let (_, plan) = self.session().plan_inner(&statement, || self.dynamic_parameters(&types))?;
                (plan, values, text)
            }
        };
        if !plan.returns_rows {
            return Err(Error::new(SqlState::INVALID_CURSOR_DEFINITION, "cannot open this query as cursor"));
        }
        let rows = self.session().inner_rows(&plan, &values, self.shared(), usize::MAX);
        let (rows, _) = rows.map_err(|error| in_statement(error, &text))?;
        let open = Cursor { shape: plan.row_shape.clone(), rows, position: 0 };
        self.cursors.insert(name.clone(), open);
        self.variables[slot].value = Datum::text(name);
        Ok(())
    }

    /// The query of a bound cursor with its arguments, which names may mean besides what is declared before the cursor.
    pub(super) fn bound_query(
        &mut self,
        bound: BoundCursor<'a>,
        given: &'a [(Option<String>, Fragment)],
    ) -> Result<(Arc<PlannedStatement>, Vec<Datum>)> {
        let (scopes, variables) = self.depth();
        let found = self.bound_query_here(bound, given);
        self.leave_scopes(scopes, variables);
        found
    }

    fn bound_query_here(
        &mut self,
        bound: BoundCursor<'a>,
        given: &'a [(Option<String>, Fragment)],
    ) -> Result<(Arc<PlannedStatement>, Vec<Datum>)> {
        let mut values: Vec<Option<(Datum, SqlType)>> = vec![None; bound.arguments.len()];
        let wrong = |message: String| Error::new(SqlState::SYNTAX_ERROR, message);
        for (i, (name, fragment)) in given.iter().enumerate() {
            let index = match name {
                Some(name) => {
                    let index = bound.arguments.iter().position(|(known, _)| known == name);
                    index.ok_or_else(|| wrong(format!("cursor has no argument named \"{name}\"")))?
                }
                None => i,
            };
            let value = self.eval(fragment)?;
            let twice = values.get_mut(index).is_none_or(|place| place.replace(value).is_some());
            if twice {
                let name = bound.arguments.get(index).map_or("", |(name, _)| name);
                return Err(wrong(format!(
                    "value for parameter \"{name}\" of cursor specified more than once"
                )));
            }
        }
        let first = self.variables.len();
        self.scopes.push(Scope::default());
        for ((name, ty), value) in bound.arguments.iter().zip(values) {
            let (value, from) = value.ok_or_else(|| wrong("not enough arguments for cursor".to_owned()))?;
            let (ty, shape) = self.declared_type(ty)?;
            let mut variable = Variable::plain(name.as_str(), ty, Datum::Null);
            variable.shape = shape;
            let slot = self.declare(variable);
            self.store(slot, value, from)?;
        }
        // The scopes that were open where the cursor was declared, and the arguments.
        let arguments = self.scopes.pop().unwrap_or_default();
        let mut visible = self.scopes[..bound.scopes].to_vec();
        visible.push(arguments);
        let piece = self.piece_among(bound.query, first, &visible);
        let plan = piece.plan(self.session(), &bound.query.statement)?;
        Ok((plan, self.values(&piece)))
    }

    fn cursor_name(&self, cursor: &'a Target) -> Result<String> {
        let slot = self.slot_of(cursor)?;
        match &self.variables[slot].value {
            Datum::Null => Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                format!("cursor variable \"{}\" is null", self.variables[slot].name),
            )),
            value => Ok(value.as_str().unwrap_or_default().to_owned()),
        }
    }

    pub(super) fn fetch(
        &mut self,
        cursor: &'a Target,
        direction: &'a FetchDirection,
        into: Option<&'a Into>,
    ) -> Result<()> {
        let name = self.cursor_name(cursor)?;
        let missing =
            || Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"));
        let open = self.cursors.get(&name).ok_or_else(missing)?;
        let (count, position) = (open.rows.len() as i64, open.position as i64);
        let number = |run: &mut Self, fragment: &'a Fragment| -> Result<i64> {
            let (value, ty) = run.eval(fragment)?;
            Ok(run.cast(value, ty, SqlType::INT8)?.as_i64().unwrap_or(0))
        };
        let target = match direction {
            FetchDirection::Next => position + 1,
            FetchDirection::Prior => position - 1,
            FetchDirection::First => 1,
            FetchDirection::Last => count,
            FetchDirection::Absolute(n) => match number(self, n)? {
                n if n < 0 => count + 1 + n,
                n => n,
            },
            FetchDirection::Relative(n) | FetchDirection::Forward(Some(n)) => {
                position.saturating_add(number(self, n)?)
            }
            FetchDirection::Backward(Some(n)) => position.saturating_sub(number(self, n)?),
            FetchDirection::Forward(None) => count + 1,
            FetchDirection::Backward(None) => 0,
        };
        let target = target.clamp(0, count + 1) as usize;
        let open = self.cursors.get_mut(&name).ok_or_else(missing)?;
        open.position = target;
        let row = target.checked_sub(1).and_then(|i| open.rows.get(i)).cloned();
        let shape = open.shape.clone();
        self.set_found(row.is_some());
        if let Some(into) = into {
            let row = row.unwrap_or_else(|| vec![Datum::Null; shape.len()]);
            self.assign_row(&into.targets, row, &shape)?;
        }
        Ok(())
    }

    pub(super) fn close(&mut self, cursor: &'a Target) -> Result<()> {
        let name = self.cursor_name(cursor)?;
        self.cursors.remove(&name).map(|_| ()).ok_or_else(|| {
            Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
        })
    }
}

fn unnamed(number: u32) -> String {
    format!("<unnamed portal {number}>")
}
