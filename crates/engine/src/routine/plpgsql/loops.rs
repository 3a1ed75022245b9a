//! Loops.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_parser::ast as sql;
use ochre_plpgsql::ast::{Fragment, RowSource, Statement, StatementKind, Target};
use ochre_sql::physical::PlannedStatement;
use ochre_types::{Datum, SqlType};

use super::run::{Flow, Run, in_statement, single};
use super::statement::PieceParameters;
use super::variables::{Scope, Variable};
use crate::routine::Host;
use crate::session::extended::Parameters;
use crate::session::is_plannable;
use crate::session::utility::statement_name;

/// What is done with a row of a query: false ends the query.
type EachRow<'r, R> = dyn FnMut(&mut R, Vec<Datum>) -> Result<bool> + 'r;

/// A query that gives rows.
pub(super) struct Rows {
    pub plan: Arc<PlannedStatement>,
    values: Vec<Datum>,
    text: String,
}

/// Refuses a utility that never gives rows.
fn check_gives_rows(statement: &sql::Statement) -> Result<()> {
    use sql::Statement as S;
    if is_plannable(statement) || matches!(statement, S::Show(_) | S::Fetch(_) | S::Call(_) | S::Execute(_)) {
        return Ok(());
    }
    let name = statement_name(statement);
    Err(Error::new(SqlState::INVALID_CURSOR_DEFINITION, format!("cannot open {name} query as cursor")))
}

impl<'a, 's> Run<'a, 's> {
    /// One round of a loop: `None` to go on.
    pub(super) fn round(
        &mut self,
        label: Option<&'a str>,
        body: &'a [Statement],
    ) -> Result<Option<Flow<'a>>> {
        self.session().state.interrupt.check()?;
        Ok(match self.statements(body)? {
            Flow::Next => None,
            Flow::Return => Some(Flow::Return),
            Flow::Exit(None) => Some(Flow::Next),
            Flow::Exit(Some(wanted)) if label == Some(wanted) => Some(Flow::Next),
            Flow::Continue(None) => None,
            Flow::Continue(Some(wanted)) if label == Some(wanted) => None,
            flow => Some(flow),
        })
    }

    pub(super) fn for_integer(
        &mut self,
        label: Option<&'a str>,
        variable: &'a str,
        reverse: bool,
        (lower, upper, step): (&'a Fragment, &'a Fragment, Option<&'a Fragment>),
        body: &'a [Statement],
    ) -> Result<Flow<'a>> {
        let lower = self.integer(lower, "lower bound of FOR loop cannot be null")?;
        let upper = self.integer(upper, "upper bound of FOR loop cannot be null")?;
        let step = match step {
            Some(step) => self.integer(step, "BY value of FOR loop cannot be null")?,
            None => 1,
        };
        if step <= 0 {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "BY value of FOR loop must be greater than zero",
            ));
        }
        let (scopes, variables) = (self.scopes.len(), self.variables.len());
        self.scopes.push(Scope::labelled(label));
        let slot = self.declare(Variable::plain(variable, SqlType::INT4, Datum::Null));
        let mut value = lower;
        let mut result = Ok(Flow::Next);
        let mut found = false;
        while if reverse { value >= upper } else { value <= upper } {
            found = true;
            self.variables[slot].value = Datum::Int32(value);
            match self.round(label, body) {
                Ok(None) => {}
                Ok(Some(flow)) => {
                    result = Ok(flow);
                    break;
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
            let next = if reverse { value.checked_sub(step) } else { value.checked_add(step) };
            match next {
                Some(next) => value = next,
                None => break,
            }
        }
        self.leave_scopes(scopes, variables);
        if result.is_ok() {
            self.set_found(found);
        }
        result
    }

    pub(super) fn integer(&mut self, fragment: &'a Fragment, null: &str) -> Result<i32> {
        let (value, ty) = self.eval(fragment)?;
        match self.cast(value, ty, SqlType::INT4)? {
            Datum::Int32(value) => Ok(value),
            _ => Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, null)),
        }
    }

    /// The plan of what gives rows, with the values of its parameters.
    pub(super) fn rows_of(&mut self, source: &'a RowSource) -> Result<Rows> {
        let (plan, values, text) = match source {
            RowSource::Query(fragment) if let sql::Statement::Explain(explain) = &*fragment.statement => {
                self.refuse_utility(&fragment.statement)?;
                let parameters = PieceParameters { run: self, piece: self.piece(fragment) };
                let explained = self.session().explained_rows(explain, &parameters);
                let (plan, values) = explained.map_err(|error| in_statement(error, &fragment.text))?;
                (plan, values, fragment.text.clone())
            }
            RowSource::Query(fragment) => {
                check_gives_rows(&fragment.statement)?;
                let piece = self.piece(fragment);
                let plan =
                    self.plan(fragment, &piece).map_err(|error| in_statement(error, &fragment.text))?;
                (plan, self.values(&piece), fragment.text.clone())
            }
            RowSource::Dynamic { text, using } => {
                let text = self.query_text(text)?;
                let (values, types) = self.using(using)?;
                let within = |error| in_statement(error, &text);
                let statement = single(&text).map_err(within)?;
                let (plan, values) = match &statement {
                    sql::Statement::Explain(explain) => {
                        self.refuse_utility(&statement)?;
                        let parameters = Parameters { types: &types, values: &values };
                        self.session().explained_rows(explain, &parameters).map_err(within)?
                    }
                    _ => {
                        let parameters = || self.dynamic_parameters(&types);
                        (self.session().plan_inner(&statement, parameters).map_err(within)?.1, values)
                    }
                };
                (plan, values, text)
            }
            RowSource::Cursor { name, arguments } => {
                let slot = self.place(std::slice::from_ref(name))?.slot;
                let Some(bound) = self.variables[slot].cursor else {
                    return Err(Error::internal("a loop over a cursor that was looked through has none"));
                };
                let (plan, values) = self.bound_query(bound, arguments)?;
                (plan, values, bound.query.text.clone())
            }
        };
        if !plan.returns_rows {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "query does not return rows"));
        }
        Ok(Rows { plan, values, text })
    }

    /// Runs `each` for rows; false from it ends the query.
    pub(super) fn each_row(&mut self, rows: &Rows, each: &mut EachRow<'_, Self>) -> Result<()> {
        let Rows { plan, values, text } = rows;
        let shared = self.invocation.shared_snapshot();
        let visible = plan.row_shape.len();
        let mut failed_within = false;
        let Host::Within(session) = self.host else {
            // What `each` does may end the transaction, and with it the query.
            let rows = self.session().inner_rows(plan, values, shared, usize::MAX);
            let (rows, _) = rows.map_err(|error| in_statement(error, text))?;
            for row in rows {
                if !each(self, row)? {
                    break;
                }
            }
            return Ok(());
        };
        let result = session.run_inner(plan, values, shared, usize::MAX, &mut |batch| {
            for position in batch.active() {
                let row = batch.columns[..visible].iter().map(|column| column.datum(position)).collect();
                match each(self, row) {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(error) => {
                        failed_within = true;
                        return Err(error);
                    }
                }
            }
            Ok(true)
        });
        match result {
            Ok(_) => Ok(()),
            Err(error) if failed_within => Err(error),
            Err(error) => Err(in_statement(error, text)),
        }
    }

    pub(super) fn for_query(
        &mut self,
        label: Option<&'a str>,
        targets: &'a [Target],
        source: &'a RowSource,
        body: &'a [Statement],
    ) -> Result<Flow<'a>> {
        let (scopes, variables) = (self.scopes.len(), self.variables.len());
        if let (RowSource::Cursor { .. }, [target]) = (source, targets) {
            // The loop over a cursor declares its record.
            self.scopes.push(Scope::labelled(label));
            self.declare(Variable::plain(target.name[0].as_str(), SqlType::RECORD, Datum::Null));
        }
        let result = match may_end_transaction(body) {
            true => self.query_rounds(label, targets, source, body),
            false => self.within(|run| run.query_rounds(label, targets, source, body)),
        };
        self.leave_scopes(scopes, variables);
        let (found, flow) = result?;
        self.set_found(found);
        Ok(flow)
    }

    /// The rounds of a loop over rows: whether there were any, and where it goes on.
    fn query_rounds(
        &mut self,
        label: Option<&'a str>,
        targets: &'a [Target],
        source: &'a RowSource,
        body: &'a [Statement],
    ) -> Result<(bool, Flow<'a>)> {
        let at = self.at;
        let (mut found, mut flow) = (false, Flow::Next);
        let rows = self.rows_of(source)?;
        let shape = &rows.plan.row_shape;
        self.each_row(&rows, &mut |run, row| {
            found = true;
            run.at = at;
            run.assign_row(targets, row, shape)?;
            match run.round(label, body)? {
                None => Ok(true),
                Some(end) => {
                    flow = end;
                    Ok(false)
                }
            }
        })?;
        self.at = at;
        if !found {
            // Without any row the targets are NULL.
            self.assign_row(targets, vec![Datum::Null; shape.len()], shape)?;
        }
        Ok((found, flow))
    }

    pub(super) fn foreach(
        &mut self,
        label: Option<&'a str>,
        targets: &'a [Target],
        slice: i32,
        array: &'a Fragment,
        body: &'a [Statement],
    ) -> Result<Flow<'a>> {
        let (value, ty) = self.eval(array)?;
        let mismatch = |message: String| Error::new(SqlState::DATATYPE_MISMATCH, message);
        let array = match value {
            Datum::Array(array) => array,
            Datum::Null => {
                return Err(Error::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "FOREACH expression must not be null",
                ));
            }
            _ => {
                let text = self.session().type_name_text(ty);
                return Err(mismatch(format!("FOREACH expression must yield an array, not type {text}")));
            }
        };
        let dimensions = array.dimensions.len();
        if slice < 0 || slice as usize > dimensions {
            return Err(Error::new(
                SqlState::new("2202E"),
                format!("slice dimension ({slice}) is out of the valid range 0..{dimensions}"),
            ));
        }
        let element = array.element;
        let mut items: Vec<(Datum, SqlType)> = Vec::new();
        if slice == 0 {
            items.extend(array.elements.iter().map(|element_value| (element_value.clone(), element)));
        } else {
            let inner = &array.dimensions[dimensions - slice as usize..];
            let size: usize = inner.iter().map(|dimension| dimension.length as usize).product();
            for chunk in array.elements.chunks(size.max(1)) {
                let mut part = ochre_types::ArrayValue::vector(element, chunk.to_vec());
                part.dimensions = inner.iter().copied().collect();
                items.push((Datum::Array(Arc::new(part)), ty));
            }
        }
        if let [target] = targets {
            let place = self.place(&target.name)?;
            let variable = &self.variables[place.slot];
            let is_array = place.field.is_none() && variable.ty.element().is_some();
            let wrong = match slice {
                0 if is_array && element.element().is_none() => {
                    Some("FOREACH loop variable must not be of an array type")
                }
                1.. if !is_array => Some("FOREACH ... SLICE loop variable must be of an array type"),
                _ => None,
            };
            if let Some(message) = wrong {
                return Err(mismatch(message.to_owned()));
            }
        }
        let found = !items.is_empty();
        let mut flow = Flow::Next;
        for (value, ty) in items {
            match (targets, value) {
                ([target], value) => self.assign(target, value, ty)?,
                (targets, Datum::Record(fields)) => {
                    let shape = self.shape_of(ty);
                    for (i, target) in targets.iter().enumerate() {
                        let value = fields.get(i).cloned().unwrap_or(Datum::Null);
                        let ty = shape.as_ref().and_then(|shape| shape.get(i)).map_or(SqlType::TEXT, |f| f.1);
                        self.assign(target, value, ty)?;
                    }
                }
                (targets, _) => {
                    for target in targets {
                        self.assign(target, Datum::Null, SqlType::TEXT)?;
                    }
                }
            }
            if let Some(end) = self.round(label, body)? {
                flow = end;
                break;
            }
        }
        self.set_found(found);
        Ok(flow)
    }
}

/// Whether statements are there that end the transaction where that is allowed.
fn may_end_transaction(statements: &[Statement]) -> bool {
    statements.iter().any(|statement| match &statement.kind {
        StatementKind::Commit { .. } | StatementKind::Rollback { .. } | StatementKind::Call(_) => true,
        StatementKind::Block(block) => {
            let mut bodies = block.handlers.iter().map(|handler| &handler.body).chain([&block.body]);
            bodies.any(|body| may_end_transaction(body))
        }
        StatementKind::If { branches, otherwise } => {
            let mut bodies = branches.iter().map(|(_, body)| body).chain([otherwise]);
            bodies.any(|body| may_end_transaction(body))
        }
        StatementKind::Case { branches, otherwise, .. } => {
            let mut bodies = branches.iter().map(|branch| &branch.body).chain(otherwise);
            bodies.any(|body| may_end_transaction(body))
        }
        StatementKind::Loop { body, .. }
        | StatementKind::While { body, .. }
        | StatementKind::ForInteger { body, .. }
        | StatementKind::ForQuery { body, .. }
        | StatementKind::Foreach { body, .. } => may_end_transaction(body),
        _ => false,
    })
}
