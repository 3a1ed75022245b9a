//! One call of a routine in PL/pgSQL: a walk over its tree.

use std::mem::take;
use std::sync::Arc;

use hashbrown::HashMap;
use ochre_base::{Error, Result, Severity, SqlState};
use ochre_expr::FunctionKind;
use ochre_parser::ast as sql;
use ochre_plpgsql::ast::{Block, CASE_VARIABLE, RowSource, Statement, StatementKind, Target};
use ochre_types::{Datum, SqlType, oids};

use super::cursor::Cursor;
use super::frame::TriggerCall;
use super::raise::catches;
use super::variables::{Scope, Variable};
use super::{PlCode, with_context};
use crate::routine::{Host, Invocation, signature};
use crate::session::Session;
use crate::session::is_plannable;

/// Where a walk goes on.
pub(super) enum Flow<'a> {
    Next,
    Exit(Option<&'a str>),
    Continue(Option<&'a str>),
    Return,
}

/// A call.
pub(super) struct Run<'a, 's> {
    pub(super) code: &'a PlCode,
    pub(super) host: Host<'s>,
    pub(super) invocation: &'a Invocation<'a>,
    pub(super) scopes: Vec<Scope<'a>>,
    pub(super) variables: Vec<Variable<'a>>,
    /// Of a trigger function.
    pub(super) trigger: Option<&'a TriggerCall<'a>>,
    /// Errors that handlers are at work on.
    pub(super) handled: Vec<Error>,
    /// The statement that runs, for CONTEXT.
    pub(super) at: (u32, &'static str),
    pub(super) found: usize,
    pub(super) row_count: u64,
    pub(super) returned: Option<(Datum, SqlType)>,
    pub(super) rows: Vec<Vec<Datum>>,
    pub(super) cursors: HashMap<String, Cursor>,
    /// Blocks with handlers that are open.
    pub(super) guarded: usize,
}

impl<'a, 's> Run<'a, 's> {
    pub(super) fn new(code: &'a PlCode, host: Host<'s>, invocation: &'a Invocation<'a>) -> Run<'a, 's> {
        Run {
            code,
            host,
            invocation,
            scopes: Vec::new(),
            variables: Vec::new(),
            trigger: None,
            handled: Vec::new(),
            at: (0, ""),
            found: 0,
            row_count: 0,
            returned: None,
            rows: Vec::new(),
            cursors: HashMap::new(),
            guarded: 0,
        }
    }

    pub(super) fn session(&self) -> &Session {
        self.host.session()
    }

    /// Goes on as a part of one statement, which may keep the session borrowed.
    pub(super) fn within<R>(&mut self, work: impl FnOnce(&mut Run<'a, '_>) -> R) -> R {
        let mut run = Run {
            code: self.code,
            host: Host::Within(self.host.session()),
            invocation: self.invocation,
            scopes: take(&mut self.scopes),
            variables: take(&mut self.variables),
            trigger: self.trigger,
            handled: take(&mut self.handled),
            at: self.at,
            found: self.found,
            row_count: self.row_count,
            returned: self.returned.take(),
            rows: take(&mut self.rows),
            cursors: take(&mut self.cursors),
            guarded: self.guarded,
        };
        let result = work(&mut run);
        let Run { scopes, variables, handled, at, row_count, returned, rows, cursors, .. } = run;
        (self.scopes, self.variables, self.handled, self.at) = (scopes, variables, handled, at);
        (self.row_count, self.returned, self.rows, self.cursors) = (row_count, returned, rows, cursors);
        result
    }

    pub(super) fn value(mut self, args: &[Datum]) -> Result<Datum> {
        self.arguments(args);
        self.body()?;
        let function = self.invocation.function;
        let mut outputs = self.outputs().map(|slot| self.variables[slot].value.clone());
        match (outputs.next(), outputs.next()) {
            (Some(first), Some(second)) => {
                return Ok(Datum::Record([first, second].into_iter().chain(outputs).collect()));
            }
            (Some(only), None) if function.kind == FunctionKind::Procedure => {
                return Ok(Datum::Record([only].into()));
            }
            (Some(only), None) => return Ok(only),
            (None, _) if function.kind == FunctionKind::Procedure => return Ok(Datum::Null),
            (None, _) => {}
        }
        match self.returned.take() {
            Some((value, _)) => Ok(value),
            None if function.return_type == oids::VOID => Ok(Datum::text("")),
            None => {
                self.at = (0, "");
                Err(self.in_context(Error::new(
                    SqlState::new("2F005"),
                    "control reached end of function without RETURN",
                )))
            }
        }
    }

    pub(super) fn rows(mut self, args: &[Datum]) -> Result<Vec<Vec<Datum>>> {
        self.arguments(args);
        self.body()?;
        Ok(std::mem::take(&mut self.rows))
    }

    pub(super) fn fire(mut self, call: &'a TriggerCall<'a>) -> Result<Option<Arc<[Datum]>>> {
        self.arguments(&[]);
        self.trigger = Some(call);
        self.trigger_variables(call);
        self.body()?;
        match self.returned.take() {
            Some((Datum::Record(fields), _)) => Ok(Some(fields)),
            Some(_) => Ok(None),
            None => Err(self.in_context(Error::new(
                SqlState::new("2F005"),
                "control reached end of trigger procedure without RETURN",
            ))),
        }
    }

    fn body(&mut self) -> Result<()> {
        let code = self.code;
        match self.block(&code.body.block) {
            Ok(Flow::Next | Flow::Return) => Ok(()),
            // A label that nothing has was found when the body was looked through.
            Ok(Flow::Exit(_) | Flow::Continue(_)) => Err(Error::internal("a jump leaves its function")),
            Err(error) => Err(self.in_context(error)),
        }
    }

    /// `PL/pgSQL function f(integer) line 3 at RAISE`.
    pub(super) fn context_line(&self) -> String {
        let name = match self.invocation.function.oid.is_valid() {
            true => format!("function {}", signature(self.session(), self.invocation.function)),
            false => "function inline_code_block".to_owned(),
        };
        match self.at {
            (0, _) => format!("PL/pgSQL {name}"),
            (line, what) => format!("PL/pgSQL {name} line {line} at {what}"),
        }
    }

    pub(super) fn in_context(&self, mut error: Error) -> Error {
        error.fields_mut().position = None;
        with_context(error, self.context_line())
    }

    fn block(&mut self, block: &'a Block) -> Result<Flow<'a>> {
        let (scopes, variables) = (self.scopes.len(), self.variables.len());
        self.scopes.push(Scope::labelled(block.label.as_deref()));
        let result = self.block_inner(block);
        self.scopes.truncate(scopes);
        self.variables.truncate(variables);
        match result {
            Ok(Flow::Exit(Some(label))) if block.label.as_deref() == Some(label) => Ok(Flow::Next),
            other => other,
        }
    }

    fn block_inner(&mut self, block: &'a Block) -> Result<Flow<'a>> {
        for declaration in &block.declarations {
            self.at = (declaration.line, "during statement block local variable initialization");
            self.declaration(&declaration.name, &declaration.kind)?;
        }
        if block.handlers.is_empty() {
            return self.statements(&block.body);
        }
        let mark = self.session().mark()?;
        let (scopes, variables) = (self.scopes.len(), self.variables.len());
        self.guarded += 1;
        let result = self.statements(&block.body);
        self.guarded -= 1;
        let error = match result {
            Ok(flow) => {
                self.session().keep_since(&mark);
                return Ok(flow);
            }
            Err(error) => error,
        };
        self.session().undo_since(&mark)?;
        self.scopes.truncate(scopes);
        self.variables.truncate(variables);
        let state = error.sqlstate();
        if error.fields().severity > Severity::Error {
            // The session ends.
            return Err(error);
        }
        let handler =
            block.handlers.iter().find(|handler| handler.conditions.iter().any(|c| catches(c, state)));
        let Some(handler) = handler else { return Err(error) };
        if state == SqlState::QUERY_CANCELED {
            self.session().state.interrupt.clear();
        }
        let context = self.context_line();
        let mut handled = error.clone();
        let fields = handled.fields_mut();
        fields.position = None;
        fields.context = Some(match fields.context.take() {
            Some(inner) => format!("{inner}\n{context}"),
            None => context,
        });
        self.scopes.push(Scope::default());
        for (name, text) in [("sqlstate", state.as_str()), ("sqlerrm", error.message())] {
            let mut variable = Variable::plain(name, SqlType::TEXT, Datum::text(text));
            variable.constant = true;
            self.declare(variable);
        }
        self.handled.push(handled);
        let result = self.statements(&handler.body);
        self.handled.pop();
        self.scopes.truncate(scopes);
        self.variables.truncate(variables);
        result
    }

    pub(super) fn statements(&mut self, list: &'a [Statement]) -> Result<Flow<'a>> {
        for statement in list {
            self.session().state.interrupt.check()?;
            let outer = self.at;
            self.at = (statement.line, statement_name(&statement.kind));
            match self.statement(statement)? {
                Flow::Next => self.at = outer,
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &'a Statement) -> Result<Flow<'a>> {
        match &statement.kind {
            StatementKind::Block(block) => return self.block(block),
            StatementKind::Assign { target, value } => {
                if !self.assign_record(target, value)? {
                    let (value, ty) = self.eval(value)?;
                    self.assign(target, value, ty)?;
                }
            }
            StatementKind::If { branches, otherwise } => {
                for (condition, body) in branches {
                    if self.holds(condition)? {
                        return self.statements(body);
                    }
                }
                return self.statements(otherwise);
            }
            StatementKind::Case { operand, branches, otherwise } => {
                let (scopes, variables) = self.depth();
                if let Some(operand) = operand {
                    let (value, ty) = self.eval(operand)?;
                    self.scopes.push(Scope::default());
                    let slot = self.new_variable(CASE_VARIABLE, ty, value);
                    self.name(CASE_VARIABLE, slot);
                }
                let mut chosen = None;
                for branch in branches {
                    if self.holds(&branch.condition)? {
                        chosen = Some(&branch.body);
                        break;
                    }
                }
                self.leave_scopes(scopes, variables);
                if let Some(body) = chosen {
                    return self.statements(body);
                }
                return match otherwise {
                    Some(body) => self.statements(body),
                    None => Err(Error::new(SqlState::new("20000"), "case not found")
                        .hint("CASE statement is missing ELSE part.")),
                };
            }
            StatementKind::Loop { label, body } => loop {
                if let Some(flow) = self.round(label.as_deref(), body)? {
                    return Ok(flow);
                }
            },
            StatementKind::While { label, condition, body } => {
                while self.holds(condition)? {
                    if let Some(flow) = self.round(label.as_deref(), body)? {
                        return Ok(flow);
                    }
                }
            }
            StatementKind::ForInteger { label, variable, reverse, lower, upper, step, body } => {
                let bounds = (lower, upper, step.as_ref());
                return self.for_integer(label.as_deref(), variable, *reverse, bounds, body);
            }
            StatementKind::ForQuery { label, targets, source, body } => {
                return self.for_query(label.as_deref(), targets, source, body);
            }
            StatementKind::Foreach { label, targets, slice, array, body } => {
                return self.foreach(label.as_deref(), targets, *slice, array, body);
            }
            StatementKind::Exit { is_continue, label, condition } => {
                if let Some(condition) = condition
                    && !self.holds(condition)?
                {
                    return Ok(Flow::Next);
                }
                return Ok(match is_continue {
                    true => Flow::Continue(label.as_deref()),
                    false => Flow::Exit(label.as_deref()),
                });
            }
            StatementKind::Return(value) => {
                self.return_value(value.as_ref())?;
                return Ok(Flow::Return);
            }
            StatementKind::ReturnNext(value) => self.return_next(value.as_ref())?,
            StatementKind::ReturnQuery(source) => self.return_query(source)?,
            StatementKind::Raise(raise) => self.raise(raise)?,
            StatementKind::Assert { condition, message } => self.assert(condition, message.as_ref())?,
            StatementKind::Sql { fragment, into } => self.sql(fragment, into.as_ref())?,
            StatementKind::Perform(fragment) => self.perform(fragment)?,
            StatementKind::Call(fragment) => self.call(fragment)?,
            StatementKind::Execute { text, into, using } => self.execute(text, into.as_ref(), using)?,
            StatementKind::GetDiagnostics { stacked, items } => self.diagnostics(*stacked, items)?,
            StatementKind::Open { cursor, source, .. } => self.open(cursor, source)?,
            StatementKind::Fetch { cursor, direction, into } => {
                self.fetch(cursor, direction, into.as_ref())?;
            }
            StatementKind::Close(cursor) => self.close(cursor)?,
            StatementKind::Null => {}
            StatementKind::Commit { chain } => self.end_transaction(true, *chain)?,
            StatementKind::Rollback { chain } => self.end_transaction(false, *chain)?,
        }
        Ok(Flow::Next)
    }

    /// COMMIT and ROLLBACK.
    fn end_transaction(&mut self, commit: bool, chain: bool) -> Result<()> {
        let refused = |message| Err(Error::new(SqlState::new("2D000"), message));
        let Host::Alone(session) = &mut self.host else {
            return refused("invalid transaction termination");
        };
        if self.guarded > 0 {
            return refused(match commit {
                true => "cannot commit while a subtransaction is active",
                false => "cannot roll back while a subtransaction is active",
            });
        }
        self.cursors.clear();
        session.end_within_routine(commit, chain)
    }

    pub(super) fn leave_scopes(&mut self, scopes: usize, variables: usize) {
        self.scopes.truncate(scopes);
        self.variables.truncate(variables);
    }

    pub(super) fn depth(&self) -> (usize, usize) {
        (self.scopes.len(), self.variables.len())
    }

    pub(super) fn slot_of(&self, target: &Target) -> Result<usize> {
        Ok(self.place(&target.name)?.slot)
    }

    pub(super) fn set_found(&mut self, found: bool) {
        self.variables[self.found].value = Datum::Bool(found);
    }

    pub(super) fn shared(&self) -> Option<&ochre_txn::Snapshot> {
        self.invocation.shared_snapshot()
    }
}

/// The only statement of a text: a query or an EXPLAIN.
pub(super) fn single(text: &str) -> Result<sql::Statement> {
    let mut parsed = ochre_parser::parse(text)?;
    match (parsed.pop(), parsed.is_empty()) {
        (Some(raw), true) if is_plannable(&raw.stmt) || matches!(raw.stmt, sql::Statement::Explain(_)) => {
            Ok(raw.stmt)
        }
        _ => Err(Error::unsupported("this statement as a query of PL/pgSQL")),
    }
}

/// An error of a statement of SQL within a body.
pub(super) fn in_statement(mut error: Error, text: &str) -> Error {
    error.fields_mut().position = None;
    with_context(error, format!("SQL statement \"{text}\""))
}

fn statement_name(kind: &StatementKind) -> &'static str {
    match kind {
        StatementKind::Block(_) => "statement block",
        StatementKind::Assign { .. } => "assignment",
        StatementKind::If { .. } => "IF",
        StatementKind::Case { .. } => "CASE",
        StatementKind::Loop { .. } => "LOOP",
        StatementKind::While { .. } => "WHILE",
        StatementKind::ForInteger { .. } => "FOR with integer loop variable",
        StatementKind::ForQuery { source: RowSource::Query(_), .. } => "FOR over SELECT rows",
        StatementKind::ForQuery { source: RowSource::Dynamic { .. }, .. } => "FOR over EXECUTE statement",
        StatementKind::ForQuery { .. } => "FOR over cursor",
        StatementKind::Foreach { .. } => "FOREACH over array",
        StatementKind::Exit { is_continue: false, .. } => "EXIT",
        StatementKind::Exit { .. } => "CONTINUE",
        StatementKind::Return(_) => "RETURN",
        StatementKind::ReturnNext(_) => "RETURN NEXT",
        StatementKind::ReturnQuery(_) => "RETURN QUERY",
        StatementKind::Raise(_) => "RAISE",
        StatementKind::Assert { .. } => "ASSERT",
        StatementKind::Sql { .. } => "SQL statement",
        StatementKind::Perform(_) => "PERFORM",
        StatementKind::Call(_) => "CALL",
        StatementKind::Execute { .. } => "EXECUTE",
        StatementKind::GetDiagnostics { stacked: false, .. } => "GET DIAGNOSTICS",
        StatementKind::GetDiagnostics { .. } => "GET STACKED DIAGNOSTICS",
        StatementKind::Open { .. } => "OPEN",
        StatementKind::Fetch { into: Some(_), .. } => "FETCH",
        StatementKind::Fetch { .. } => "MOVE",
        StatementKind::Close(_) => "CLOSE",
        StatementKind::Null => "NULL",
        StatementKind::Commit { .. } => "COMMIT",
        StatementKind::Rollback { .. } => "ROLLBACK",
    }
}
