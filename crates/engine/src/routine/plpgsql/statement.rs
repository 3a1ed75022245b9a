//! Statements of SQL, EXECUTE, CALL, and what they leave for GET DIAGNOSTICS.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_parser::ast as sql;
use ochre_plpgsql::ast::{Fragment, Into, Target};
use ochre_sql::bind::ParamTypes;
use ochre_sql::physical::{CommandKind, PlannedStatement};
use ochre_types::{Datum, SqlType};

use super::piece::Piece;
use super::run::{Run, in_statement};
use crate::routine::Host;
use crate::routine::procedure::BoundCall;
use crate::session::extended::Parameters;
use crate::session::is_plannable;
use crate::session::plan::QueryParameters;

/// The variables as a query of a utility mentions them.
pub(super) struct PieceParameters<'r, 'a, 's> {
    pub run: &'r Run<'a, 's>,
    pub piece: Arc<Piece>,
}

impl QueryParameters for PieceParameters<'_, '_, '_> {
    fn types(&self) -> ParamTypes {
        self.piece.parameters()
    }

    fn values(&self) -> Vec<Datum> {
        self.run.values(&self.piece)
    }
}

impl<'a, 's> Run<'a, 's> {
    pub(super) fn set_count(&mut self, rows: u64) {
        self.row_count = rows;
        self.variables[self.found].value = Datum::Bool(rows > 0);
    }

    pub(super) fn sql(&mut self, fragment: &'a Fragment, into: Option<&'a Into>) -> Result<()> {
        if !is_plannable(&fragment.statement) {
            if into.is_some() {
                return Err(no_rows_for_into());
            }
            return self.utility(fragment).map_err(|error| in_statement(error, &fragment.text));
        }
        let piece = self.piece(fragment);
        let plan = self.plan(fragment, &piece).map_err(|error| in_statement(error, &fragment.text))?;
        let values = self.values(&piece);
        if into.is_none() && plan.returns_rows {
            let error = Error::new(SqlState::SYNTAX_ERROR, "query has no destination for result data");
            return Err(match plan.command {
                CommandKind::Select => {
                    error.hint("If you want to discard the results of a SELECT, use PERFORM instead.")
                }
                _ => error,
            });
        }
        self.run_into(&plan, &values, into, &fragment.text)
    }

    /// Runs a utility, whose query may mention the variables.
    fn utility(&self, fragment: &'a Fragment) -> Result<()> {
        self.refuse_utility(&fragment.statement)?;
        let parameters = PieceParameters { run: self, piece: self.piece(fragment) };
        self.session().run_inner_utility(&fragment.statement, &fragment.text, &parameters)
    }

    pub(super) fn refuse_utility(&self, statement: &sql::Statement) -> Result<()> {
        match statement {
            sql::Statement::Copy(_) => {
                let message = "COPY in PL/pgSQL is not implemented";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            sql::Statement::Transaction(_) => {
                let message = "unsupported transaction command in PL/pgSQL";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            _ => {}
        }
        if self.invocation.shared_snapshot().is_some() {
            let name = crate::session::utility::statement_name(statement);
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("{name} is not allowed in a non-volatile function"),
            ));
        }
        Ok(())
    }

    /// Runs a plan and assigns its row.
    fn run_into(
        &mut self,
        plan: &Arc<PlannedStatement>,
        values: &[Datum],
        into: Option<&'a Into>,
        text: &str,
    ) -> Result<()> {
        let session = self.session();
        let shared = self.invocation.shared_snapshot();
        let Some(into) = into else {
            let run = session.run_inner(plan, values, shared, usize::MAX, &mut |_| Ok(true));
            let rows = run.map_err(|error| in_statement(error, text))?;
            self.set_count(rows);
            return Ok(());
        };
        if !plan.returns_rows {
            return Err(no_rows_for_into());
        }
        let changes = plan.command != CommandKind::Select;
        let most = if into.strict || changes { 2 } else { 1 };
        let run = session.inner_rows(plan, values, shared, most);
        let (mut rows, changed) = run.map_err(|error| in_statement(error, text))?;
        if rows.len() > 1 {
            return Err(Error::new(SqlState::new("P0003"), "query returned more than one row")
                .hint("Make sure the query returns a single row, or use LIMIT 1."));
        }
        if rows.is_empty() && into.strict {
            return Err(Error::new(SqlState::new("P0002"), "query returned no rows"));
        }
        let count = if changes { changed } else { rows.len() as u64 };
        self.set_count(count);
        match rows.pop() {
            Some(row) => self.assign_row(&into.targets, row, &plan.row_shape),
            None => {
                let nulls = vec![Datum::Null; plan.row_shape.len()];
                self.assign_row(&into.targets, nulls, &plan.row_shape)
            }
        }
    }

    /// PERFORM.
    pub(super) fn perform(&mut self, fragment: &'a Fragment) -> Result<()> {
        let piece = self.piece(fragment);
        let text = || format!("SELECT {}", fragment.text);
        let rows = match piece.simple(self.session(), &fragment.statement) {
            Some(_) => self.eval(fragment).map(|_| 1),
            None => self.plan(fragment, &piece).and_then(|plan| {
                let values = self.values(&piece);
                let shared = self.invocation.shared_snapshot();
                self.session().run_inner(&plan, &values, shared, usize::MAX, &mut |_| Ok(true))
            }),
        };
        let rows = rows.map_err(|error| in_statement(error, &text()))?;
        self.set_count(rows);
        Ok(())
    }

    pub(super) fn query_text(&mut self, fragment: &'a Fragment) -> Result<String> {
        let (value, ty) = self.eval(fragment)?;
        if value.is_null() {
            return Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "query string argument of EXECUTE is null",
            ));
        }
        self.text_of(&value, ty)
    }

    pub(super) fn using(&mut self, using: &'a [Fragment]) -> Result<(Vec<Datum>, Vec<SqlType>)> {
        let mut values = Vec::with_capacity(using.len());
        let mut types = Vec::with_capacity(using.len());
        for fragment in using {
            let (value, ty) = self.eval(fragment)?;
            values.push(value);
            types.push(ty);
        }
        Ok((values, types))
    }

    pub(super) fn execute(
        &mut self,
        text: &'a Fragment,
        into: Option<&'a Into>,
        using: &'a [Fragment],
    ) -> Result<()> {
        let text = self.query_text(text)?;
        let (values, types) = self.using(using)?;
        let found = self.variables[self.found].value.clone();
        let result = self.execute_text(&text, into, &values, &types);
        // EXECUTE leaves FOUND alone, but not when FOUND is what it assigns to.
        let names_found = into.is_some_and(|into| into.targets.iter().any(|target| target.name == ["found"]));
        if !names_found {
            self.variables[self.found].value = found;
        }
        result
    }

    fn execute_text(
        &mut self,
        text: &str,
        into: Option<&'a Into>,
        values: &[Datum],
        types: &[SqlType],
    ) -> Result<()> {
        let within = |error| in_statement(error, text);
        for raw in ochre_parser::parse(text).map_err(within)? {
            if !is_plannable(&raw.stmt) {
                match &raw.stmt {
                    sql::Statement::Transaction(_) => {
                        let message = "EXECUTE of transaction commands is not implemented";
                        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                    }
                    sql::Statement::Select(_) => {
                        let message = "EXECUTE of SELECT ... INTO is not implemented";
                        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(
                            "You might want to use EXECUTE ... INTO or EXECUTE CREATE TABLE ... AS instead.",
                        ));
                    }
                    _ if into.is_some() => return Err(no_rows_for_into()),
                    _ => {}
                }
                self.refuse_utility(&raw.stmt)?;
                let own = &text[raw.start..raw.start + raw.len];
                let parameters = Parameters { types, values };
                self.session().run_inner_utility(&raw.stmt, own, &parameters).map_err(within)?;
                continue;
            }
            let planned = self.session().plan_inner(&raw.stmt, || self.dynamic_parameters(types));
            let (_, plan) = planned.map_err(within)?;
            self.run_into(&plan, values, into, text)?;
        }
        Ok(())
    }

    pub(super) fn call(&mut self, fragment: &'a Fragment) -> Result<()> {
        let sql::Statement::Call(call) = &*fragment.statement else {
            return self.utility(fragment);
        };
        let piece = self.piece(fragment);
        let within = |error| in_statement(error, &fragment.text);
        let bound = BoundCall::new(self.session(), call, &mut piece.parameters()).map_err(within)?;
        // Binding has told which variables there are.
        let values = self.values(&piece);
        let host = match self.guarded {
            0 => self.host.lend(),
            _ => Host::Within(self.host.session()),
        };
        let result = bound.carry_out(host, &values).map_err(within)?;
        for output in result.outputs {
            let Some(argument) = output.argument else { continue };
            let Some(sql::Expr::Column(column)) = call.args.get(argument).map(|argument| &argument.value)
            else {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!(
                        "procedure parameter \"{}\" is an output parameter but corresponding argument is not writable",
                        output.column.name
                    ),
                ));
            };
            let name: Vec<String> = column.parts.iter().map(|part| part.to_string()).collect();
            let place = self.place(&name)?;
            self.assign_place(&place, output.value, output.column.ty)?;
        }
        Ok(())
    }

    pub(super) fn diagnostics(&mut self, stacked: bool, items: &'a [(Target, String)]) -> Result<()> {
        let text = |value: Option<String>| (Datum::text(value.unwrap_or_default()), SqlType::TEXT);
        for (target, item) in items {
            let (value, ty) = if stacked {
                let Some(error) = self.handled.last() else {
                    return Err(Error::new(
                        SqlState::new("0Z002"),
                        "GET STACKED DIAGNOSTICS cannot be used outside an exception handler",
                    ));
                };
                let fields = error.fields();
                text(match item.as_str() {
                    "returned_sqlstate" => Some(fields.sqlstate.to_string()),
                    "message_text" => Some(fields.message.clone()),
                    "pg_exception_detail" => fields.detail.clone(),
                    "pg_exception_hint" => fields.hint.clone(),
                    "pg_exception_context" => fields.context.clone(),
                    "column_name" => fields.column.clone(),
                    "constraint_name" => fields.constraint.clone(),
                    "pg_datatype_name" => fields.datatype.clone(),
                    "table_name" => fields.table.clone(),
                    _ => fields.schema.clone(),
                })
            } else {
                match item.as_str() {
                    "row_count" => (Datum::Int64(self.row_count as i64), SqlType::INT8),
                    "pg_routine_oid" => (Datum::UInt32(self.invocation.function.oid.0), SqlType::OID),
                    _ => text(Some(self.context_line())),
                }
            };
            self.assign(target, value, ty)?;
        }
        Ok(())
    }

    pub(super) fn assert(&mut self, condition: &'a Fragment, message: Option<&'a Fragment>) -> Result<()> {
        if self.session().show("plpgsql.check_asserts").is_ok_and(|value| value == "off") {
            return Ok(());
        }
        if self.holds(condition)? {
            return Ok(());
        }
        let mut text = "assertion failed".to_owned();
        if let Some(message) = message {
            let (value, ty) = self.eval(message)?;
            if !value.is_null() {
                text = self.text_of(&value, ty)?;
            }
        }
        Err(Error::new(SqlState::new("P0004"), text))
    }
}

#[cold]
fn no_rows_for_into() -> Error {
    Error::new(SqlState::SYNTAX_ERROR, "INTO used with a command that cannot return data")
}
