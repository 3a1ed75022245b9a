//! Cursors of PL/pgSQL: OPEN, FETCH, MOVE, CLOSE.

use ochre_base::{Error, Result, SqlState};
use ochre_plpgsql::ast::{FetchDirection, Fragment, Into, OpenSource, Target};
use ochre_sql::bind::ParamTypes;
use ochre_sql::physical::OutputColumn;
use ochre_types::{Datum, SqlType};

use super::run::{Run, in_statement, single};

/// An open cursor: its rows, computed when it was opened.
pub(super) struct Cursor {
    shape: Vec<OutputColumn>,
    rows: Vec<Vec<Datum>>,
    /// The current row, counted from 1; 0 before the first, one more than there are behind the last.
    position: usize,
}

impl Run<'_, '_> {
    pub(super) fn open(&mut self, cursor: &Target, source: &OpenSource) -> Result<()> {
        let slot = self.slot_of(cursor)?;
        let name = match &self.variables[slot].value {
            Datum::Null => {
                let number = (1..).find(|n| !self.cursors.contains_key(&unnamed(*n))).unwrap_or(1);
                let bound = self.variables[slot].cursor.is_some();
                if bound { self.variables[slot].name.clone() } else { unnamed(number) }
            }
            value => value.as_str().unwrap_or_default().to_owned(),
        };
        if self.cursors.contains_key(&name) {
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{name}\" already in use")));
        }
        let session = self.session();
        let (scopes, variables) = self.depth();
        let (plan, values, text) = match source {
            OpenSource::Bound(arguments) => {
                let Some(bound) = self.variables[slot].cursor.clone() else {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        "expected FOR to open a reference cursor",
                    ));
                };
                self.cursor_arguments(&bound, arguments)?;
                let piece = self.cursor_piece();
                let plan = piece.plan(session, &bound.query.statement);
                let values = piece.values(&self.variables);
                self.leave_scopes(scopes, variables);
                (plan?, values, bound.query.text.clone())
            }
            OpenSource::Query(fragment) => {
                let piece = self.prepared_piece(fragment);
                let plan = piece.plan(session, &fragment.statement)?;
                (plan, piece.values(&self.variables), fragment.text.clone())
            }
            OpenSource::Dynamic { text, using } => {
                let text = self.query_text(text)?;
                let (values, types) = self.using(using)?;
                let statement = single(&text)?;
                let (_, plan) = session.plan_inner(&statement, || ParamTypes::of_types(&types))?;
                (plan, values, text)
            }
        };
        if !plan.returns_rows {
            return Err(Error::new(SqlState::INVALID_CURSOR_DEFINITION, "cannot open this query as cursor"));
        }
        let rows = session.inner_rows(&plan, &values, self.shared(), usize::MAX);
        let (rows, _) = rows.map_err(|error| in_statement(error, &text))?;
        let open = Cursor { shape: plan.row_shape.clone(), rows, position: 0 };
        self.cursors.insert(name.clone(), open);
        self.variables[slot].value = Datum::text(name);
        Ok(())
    }

    fn cursor_name(&self, cursor: &Target) -> Result<String> {
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
        cursor: &Target,
        direction: &FetchDirection,
        into: Option<&Into>,
    ) -> Result<()> {
        let name = self.cursor_name(cursor)?;
        let missing =
            || Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"));
        let open = self.cursors.get(&name).ok_or_else(missing)?;
        let (count, position) = (open.rows.len() as i64, open.position as i64);
        let number = |run: &mut Self, fragment: &Fragment| -> Result<i64> {
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

    pub(super) fn close(&mut self, cursor: &Target) -> Result<()> {
        let name = self.cursor_name(cursor)?;
        self.cursors.remove(&name).map(|_| ()).ok_or_else(|| {
            Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
        })
    }
}

fn unnamed(number: u32) -> String {
    format!("<unnamed portal {number}>")
}
