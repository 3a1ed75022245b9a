//! One call of a routine in PL/pgSQL: a walk over its tree.

use std::sync::Arc;

use hashbrown::HashMap;
use ochre_base::{Error, Result, SqlState};
use ochre_catalog::TriggerDescriptor;
use ochre_expr::{EvalContext, Expr, FunctionKind, SourcePos, eval_const};
use ochre_parser::ast as sql;
use ochre_plpgsql::ast::{
    Block, DeclarationKind, Fragment, Into, Raise, RowSource, Statement, StatementKind, Target, VariableType,
};
use ochre_sql::bind::ParamTypes;
use ochre_sql::physical::{CommandKind, OutputColumn, PlannedStatement};
use ochre_types::{Datum, PhysicalType, SqlType, oids};

use super::cursor::Cursor;
use super::piece::Piece;
use super::raise::catches;
use super::variables::{BoundCursor, Scope, Shape, Variable, unassigned};
use super::{PlCode, with_context};
use crate::routine::sql::cast_to;
use crate::routine::{Invocation, input_names, signature};
use crate::session::Session;
use crate::session::context::StatementSession;
use crate::session::is_plannable;

/// Where a walk goes on.
enum Flow {
    Next,
    Exit(Option<String>),
    Continue(Option<String>),
    Return,
}

/// What a trigger function is called with.
pub(crate) struct TriggerCall<'a> {
    pub trigger: &'a TriggerDescriptor,
    pub table: &'a ochre_catalog::RelationDescriptor,
    pub schema: String,
    /// INSERT, UPDATE, DELETE or TRUNCATE.
    pub event: &'static str,
    pub old: Option<Arc<[Datum]>>,
    pub new: Option<Arc<[Datum]>>,
}

/// Where a value is put.
struct Place {
    slot: usize,
    field: Option<usize>,
}

/// What is done with a row of a query: false ends the query.
type EachRow<'r, R> = dyn FnMut(&mut R, &[OutputColumn], Vec<Datum>) -> Result<bool> + 'r;

/// A call.
pub(super) struct Run<'a, 'i> {
    code: &'a PlCode,
    invocation: &'a Invocation<'i>,
    scopes: Vec<Scope>,
    pub(super) variables: Vec<Variable>,
    /// Errors that handlers are at work on.
    pub(super) handled: Vec<Error>,
    /// The statement that runs, for CONTEXT.
    at: (u32, &'static str),
    found: usize,
    row_count: u64,
    returned: Option<(Datum, SqlType)>,
    rows: Vec<Vec<Datum>>,
    pub(super) cursors: HashMap<String, Cursor>,
}

impl<'a, 'i> Run<'a, 'i> {
    pub(super) fn new(code: &'a PlCode, invocation: &'a Invocation<'i>) -> Run<'a, 'i> {
        Run {
            code,
            invocation,
            scopes: Vec::new(),
            variables: Vec::new(),
            handled: Vec::new(),
            at: (0, ""),
            found: 0,
            row_count: 0,
            returned: None,
            rows: Vec::new(),
            cursors: HashMap::new(),
        }
    }

    pub(super) fn session(&self) -> &'i Session {
        self.invocation.session
    }

    pub(super) fn value(mut self, args: &[Datum]) -> Result<Datum> {
        self.arguments(args)?;
        self.body()?;
        let function = self.invocation.function;
        let outputs = self.outputs();
        if function.kind == FunctionKind::Procedure || outputs.len() > 1 {
            if outputs.is_empty() {
                return Ok(Datum::Null);
            }
            return Ok(Datum::Record(
                outputs.iter().map(|slot| self.variables[*slot].value.clone()).collect(),
            ));
        }
        if let [slot] = outputs.as_slice() {
            return Ok(self.variables[*slot].value.clone());
        }
        match self.returned.take() {
            Some((value, _)) => Ok(value),
            None if function.return_type == oids::VOID => Ok(Datum::text("")),
            None => Err(self.in_context(Error::new(
                SqlState::new("2F005"),
                "control reached end of function without RETURN",
            ))),
        }
    }

    pub(super) fn rows(mut self, args: &[Datum]) -> Result<Vec<Vec<Datum>>> {
        self.arguments(args)?;
        self.body()?;
        Ok(std::mem::take(&mut self.rows))
    }

    pub(super) fn trigger(mut self, call: &TriggerCall<'_>) -> Result<Option<Arc<[Datum]>>> {
        self.arguments(&[])?;
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

    /// The value of a trigger's condition.
    pub(super) fn condition(mut self, call: &TriggerCall<'_>) -> Result<Datum> {
        self.arguments(&[])?;
        self.trigger_variables(call);
        self.body()?;
        Ok(self.returned.take().map_or(Datum::Null, |(value, _)| value))
    }

    fn trigger_variables(&mut self, call: &TriggerCall<'_>) {
        let fields: Shape =
            call.table.live_columns().map(|column| (Arc::clone(&column.name), column.ty)).collect();
        for (name, row) in [("new", &call.new), ("old", &call.old)] {
            let value = row.as_ref().map_or(Datum::Null, |row| Datum::Record(Arc::clone(row)));
            let shape = row.as_ref().map(|_| Arc::clone(&fields));
            // Without a row the record is unassigned where the statement has none of its kind.
            let shape = shape.or_else(|| call.trigger.row.then(|| Arc::clone(&fields)));
            self.declare(Variable {
                name: name.to_owned(),
                ty: SqlType::RECORD,
                constant: false,
                not_null: false,
                value,
                shape,
                cursor: None,
            });
        }
        use ochre_catalog::TriggerTiming as Timing;
        let when = match call.trigger.timing {
            Timing::Before => "BEFORE",
            Timing::After => "AFTER",
            Timing::InsteadOf => "INSTEAD OF",
        };
        let texts = [
            ("tg_name", SqlType::NAME, call.trigger.name.to_string()),
            ("tg_when", SqlType::TEXT, when.to_owned()),
            ("tg_level", SqlType::TEXT, if call.trigger.row { "ROW" } else { "STATEMENT" }.to_owned()),
            ("tg_op", SqlType::TEXT, call.event.to_owned()),
            ("tg_relname", SqlType::NAME, call.table.name.to_string()),
            ("tg_table_name", SqlType::NAME, call.table.name.to_string()),
            ("tg_table_schema", SqlType::NAME, call.schema.clone()),
        ];
        for (name, ty, text) in texts {
            self.declare(Variable::plain(name, ty, Datum::text(text)));
        }
        self.declare(Variable::plain("tg_relid", SqlType::OID, Datum::UInt32(call.table.oid.0)));
        let count = call.trigger.arguments.len() as i32;
        self.declare(Variable::plain("tg_nargs", SqlType::INT4, Datum::Int32(count)));
        let arguments: Vec<Datum> =
            call.trigger.arguments.iter().map(|argument| Datum::text(&**argument)).collect();
        let mut array = ochre_types::ArrayValue::vector(SqlType::TEXT, arguments);
        if let [dimension] = array.dimensions.as_mut_slice() {
            dimension.lower = 0;
        }
        self.declare(Variable::plain("tg_argv", SqlType::TEXT_ARRAY, Datum::Array(Arc::new(array))));
    }

    /// The outermost scope: arguments, output columns, FOUND.
    fn arguments(&mut self, args: &[Datum]) -> Result<()> {
        let function = self.invocation.function;
        self.scopes.push(Scope { label: Some(function.name.to_string()), names: Vec::new() });
        let names = input_names(function);
        for (i, value) in args.iter().enumerate() {
            let ty = self.invocation.arg_types.get(i).copied().unwrap_or(SqlType::TEXT);
            let name = names.get(i).map_or("", |name| name);
            let shown = if name.is_empty() { format!("${}", i + 1) } else { name.to_owned() };
            let slot = self.new_variable(&shown, ty, value.clone());
            self.name(&format!("${}", i + 1), slot);
            if !name.is_empty() {
                self.name(name, slot);
            }
        }
        use ochre_expr::ParameterMode as Mode;
        let modes = function.arg_modes.iter().enumerate();
        for (i, _) in modes.filter(|(_, mode)| matches!(mode, Mode::Out | Mode::Table)) {
            let declared = self.session().sql_type(function.all_arg_types[i]);
            let ty = if declared.info().is_some_and(|info| info.kind == b'p') && declared.oid != oids::RECORD
            {
                self.invocation.result
            } else {
                declared
            };
            let name = function.arg_names.get(i).map_or("", |name| name);
            let number = format!("${}", i + 1);
            let slot = self.new_variable(if name.is_empty() { &number } else { name }, ty, Datum::Null);
            self.name(&number, slot);
            if !name.is_empty() {
                self.name(name, slot);
            }
        }
        self.found = self.variables.len();
        self.declare(Variable::plain("found", SqlType::BOOL, Datum::Bool(false)));
        Ok(())
    }

    /// The slots of the output columns.
    fn outputs(&self) -> Vec<usize> {
        use ochre_expr::ParameterMode as Mode;
        let modes = self.invocation.function.arg_modes.iter().enumerate();
        let outputs = modes.filter(|(_, mode)| matches!(mode, Mode::Out | Mode::InOut | Mode::Table));
        let scope = &self.scopes[0];
        let input = |i: usize| {
            self.invocation.function.arg_modes[..i]
                .iter()
                .filter(|mode| !matches!(mode, Mode::Out | Mode::Table))
                .count()
        };
        outputs
            .filter_map(|(i, mode)| {
                // Input arguments are numbered among themselves.
                let number = if *mode == Mode::InOut { input(i) + 1 } else { i + 1 };
                let name = self.invocation.function.arg_names.get(i).map_or("", |name| name);
                let named = scope.names.iter().find(|(known, _)| !name.is_empty() && known == name);
                let found = named
                    .or_else(|| scope.names.iter().rev().find(|(known, _)| *known == format!("${number}")));
                found.map(|(_, slot)| *slot)
            })
            .collect()
    }

    fn new_variable(&mut self, name: &str, ty: SqlType, value: Datum) -> usize {
        let mut variable = Variable::plain(name, ty, value);
        variable.shape = self.shape_of(ty);
        self.variables.push(variable);
        self.variables.len() - 1
    }

    fn name(&mut self, name: &str, slot: usize) {
        let scope = self.scopes.last_mut().expect("a call has its outermost scope");
        scope.names.push((name.to_owned(), slot));
    }

    fn declare(&mut self, variable: Variable) -> usize {
        let slot = self.variables.len();
        self.name(&variable.name.clone(), slot);
        self.variables.push(variable);
        slot
    }

    /// The fields of a row type.
    pub(super) fn shape_of(&self, ty: SqlType) -> Option<Shape> {
        if ty.physical != PhysicalType::Record {
            return None;
        }
        if let Some(fields) = self.session().row_fields(ty) {
            return Some(fields.into());
        }
        let types = ochre_types::record_fields(ty)?;
        let field = |(i, ty): (usize, &SqlType)| (Arc::from(format!("f{}", i + 1).as_str()), *ty);
        Some(types.iter().enumerate().map(field).collect())
    }

    fn body(&mut self) -> Result<()> {
        let code = self.code;
        match self.block(&code.body.block) {
            Ok(Flow::Next | Flow::Return) => Ok(()),
            Ok(Flow::Exit(_)) => Err(self.in_context(Error::new(
                SqlState::SYNTAX_ERROR,
                "EXIT cannot be used outside a loop, unless it has a label",
            ))),
            Ok(Flow::Continue(_)) => {
                Err(self
                    .in_context(Error::new(SqlState::SYNTAX_ERROR, "CONTINUE cannot be used outside a loop")))
            }
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

    fn in_context(&self, mut error: Error) -> Error {
        error.fields_mut().position = None;
        with_context(error, self.context_line())
    }

    fn block(&mut self, block: &Block) -> Result<Flow> {
        let (scopes, variables) = (self.scopes.len(), self.variables.len());
        self.scopes.push(Scope { label: block.label.clone(), names: Vec::new() });
        let result = self.block_inner(block);
        self.scopes.truncate(scopes);
        self.variables.truncate(variables);
        match result {
            Ok(Flow::Exit(Some(label))) if block.label.as_deref() == Some(&*label) => Ok(Flow::Next),
            other => other,
        }
    }

    fn block_inner(&mut self, block: &Block) -> Result<Flow> {
        for declaration in &block.declarations {
            self.at = (declaration.line, "during statement block local variable initialization");
            self.declaration(&declaration.name, &declaration.kind)?;
        }
        if block.handlers.is_empty() {
            return self.statements(&block.body);
        }
        let session = self.session();
        let mark = session.mark()?;
        let (scopes, variables) = (self.scopes.len(), self.variables.len());
        let error = match self.statements(&block.body) {
            Ok(flow) => {
                session.keep_since(&mark);
                return Ok(flow);
            }
            Err(error) => error,
        };
        session.undo_since(&mark)?;
        self.scopes.truncate(scopes);
        self.variables.truncate(variables);
        let state = error.sqlstate();
        let handler =
            block.handlers.iter().find(|handler| handler.conditions.iter().any(|c| catches(c, state)));
        let Some(handler) = handler else { return Err(error) };
        let context = self.context_line();
        let mut handled = error.clone();
        let fields = handled.fields_mut();
        fields.position = None;
        fields.context = Some(match fields.context.take() {
            Some(inner) => format!("{inner}\n{context}"),
            None => context,
        });
        self.scopes.push(Scope::default());
        self.declare(Variable::plain("sqlstate", SqlType::TEXT, Datum::text(state.as_str())));
        self.declare(Variable::plain("sqlerrm", SqlType::TEXT, Datum::text(error.message())));
        self.handled.push(handled);
        let result = self.statements(&handler.body);
        self.handled.pop();
        self.scopes.truncate(scopes);
        self.variables.truncate(variables);
        result
    }

    fn declaration(&mut self, name: &str, kind: &DeclarationKind) -> Result<()> {
        match kind {
            DeclarationKind::Alias(parts) => {
                let place = self.place(parts)?;
                self.name(name, place.slot);
            }
            DeclarationKind::Cursor { arguments, query, .. } => {
                let cursor = BoundCursor { arguments: arguments.clone(), query: query.clone() };
                let mut variable = Variable::plain(name, SqlType::TEXT, Datum::Null);
                variable.cursor = Some(Arc::new(cursor));
                self.declare(variable);
            }
            DeclarationKind::Variable { constant, ty, not_null, default } => {
                let (ty, shape) = self.declared_type(ty)?;
                let value = match default {
                    Some(default) => Some(self.eval(default)?),
                    None => None,
                };
                let mut variable = Variable::plain(name, ty, Datum::Null);
                variable.shape = shape;
                let slot = self.declare(variable);
                if let Some((value, from)) = value {
                    self.store(slot, value, from)?;
                }
                if *not_null && self.variables[slot].value.is_null() {
                    return Err(Error::new(
                        SqlState::NULL_VALUE_NOT_ALLOWED,
                        match default {
                            Some(_) => format!(
                                "null value cannot be assigned to variable \"{name}\" declared NOT NULL"
                            ),
                            None => format!(
                                "variable \"{name}\" must have a default value, since it's declared NOT NULL"
                            ),
                        },
                    ));
                }
                self.variables[slot].constant = *constant;
                self.variables[slot].not_null = *not_null;
            }
        }
        Ok(())
    }

    fn declared_type(&mut self, ty: &VariableType) -> Result<(SqlType, Option<Shape>)> {
        let session = self.session();
        let version = session.state.catalog_version();
        let key = std::ptr::from_ref(ty) as usize;
        if let Some((known, ty, shape)) = self.code.types.lock().get(&key)
            && *known == version
        {
            return Ok((*ty, shape.clone()));
        }
        let found = match ty {
            VariableType::Record => SqlType::RECORD,
            VariableType::Named(name) => session.bind_type(name)?,
            VariableType::TypeOf(parts, array) => {
                // What a variable's type is may differ from call to call.
                let (ty, shape) = self.type_of(parts)?;
                if !*array {
                    return Ok((ty, shape));
                }
                ty.array_of().ok_or_else(|| Error::unsupported("%TYPE[] of this type"))?
            }
            VariableType::RowOf(parts) => {
                let relation = session.state.find_by_parts(parts)?;
                let relation = relation.ok_or_else(|| crate::errors::undefined_table(parts.join(".")))?;
                SqlType::with_physical(relation.row_type, -1, PhysicalType::Record)
            }
        };
        let shape = self.shape_of(found);
        self.code.types.lock().insert(key, (version, found, shape.clone()));
        Ok((found, shape))
    }

    fn type_of(&self, parts: &[String]) -> Result<(SqlType, Option<Shape>)> {
        if let Ok(place) = self.place(parts) {
            let variable = &self.variables[place.slot];
            return Ok(match (place.field, &variable.shape) {
                (Some(field), Some(shape)) => (shape[field].1, self.shape_of(shape[field].1)),
                _ => (variable.ty, variable.shape.clone()),
            });
        }
        let unknown = || {
            Error::new(SqlState::UNDEFINED_OBJECT, format!("variable \"{}\" does not exist", parts.join(".")))
        };
        let (column, table) = parts.split_last().ok_or_else(unknown)?;
        if table.is_empty() {
            return Err(unknown());
        }
        let relation = self.session().state.find_by_parts(table)?;
        let relation = relation.ok_or_else(|| crate::errors::undefined_table(table.join(".")))?;
        let column = relation.column_named(column).ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{column}\" of relation \"{}\" does not exist", relation.name),
            )
        })?;
        Ok((column.ty, self.shape_of(column.ty)))
    }

    fn statements(&mut self, list: &[Statement]) -> Result<Flow> {
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

    fn statement(&mut self, statement: &Statement) -> Result<Flow> {
        match &statement.kind {
            StatementKind::Block(block) => return self.block(block),
            StatementKind::Assign { target, value } => {
                let (value, ty) = self.eval(value)?;
                self.assign(target, value, ty)?;
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
                let operand = match operand {
                    Some(operand) => Some(self.eval(operand)?),
                    None => None,
                };
                for branch in branches {
                    for value in &branch.values {
                        let matches = match &operand {
                            None => self.holds(value)?,
                            Some((operand, ty)) => self.case_matches(operand, *ty, value)?,
                        };
                        if matches {
                            return self.statements(&branch.body);
                        }
                    }
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
                    true => Flow::Continue(label.clone()),
                    false => Flow::Exit(label.clone()),
                });
            }
            StatementKind::Return(value) => {
                self.return_value(value.as_ref())?;
                return Ok(Flow::Return);
            }
            StatementKind::ReturnNext(value) => self.return_next(value.as_ref())?,
            StatementKind::ReturnQuery(source) => self.return_query(source)?,
            StatementKind::Raise(raise) => self.raise_statement(raise)?,
            StatementKind::Assert { condition, message } => self.assert(condition, message.as_ref())?,
            StatementKind::Sql { fragment, into } => self.sql(fragment, into.as_ref())?,
            StatementKind::Perform(fragment) => {
                let piece = self.piece(fragment);
                let rows = match piece.simple(self.session(), &fragment.statement) {
                    Some(_) => {
                        self.eval(fragment)?;
                        1
                    }
                    None => {
                        let plan = self.plan(fragment, &piece)?;
                        let values = piece.values(&self.variables);
                        let mut none = |_: &ochre_types::Batch| Ok(true);
                        let shared = self.invocation.shared_snapshot();
                        let run = self.session().run_inner(&plan, &values, shared, &mut none);
                        run.map_err(|error| in_statement(error, &format!("SELECT {}", fragment.text)))?
                    }
                };
                self.set_count(rows);
            }
            StatementKind::Call(fragment) => self.call(fragment)?,
            StatementKind::Execute { text, into, using } => self.execute(text, into.as_ref(), using)?,
            StatementKind::GetDiagnostics { stacked, items } => self.diagnostics(*stacked, items)?,
            StatementKind::Open { cursor, source, .. } => self.open(cursor, source)?,
            StatementKind::Fetch { cursor, direction, into } => {
                self.fetch(cursor, direction, into.as_ref())?;
            }
            StatementKind::Close(cursor) => self.close(cursor)?,
            StatementKind::Null => {}
            StatementKind::Commit { .. } | StatementKind::Rollback { .. } => {
                let function = self.invocation.function;
                if function.kind == FunctionKind::Function && function.oid.is_valid() {
                    return Err(Error::new(SqlState::new("2D000"), "invalid transaction termination"));
                }
                return Err(Error::unsupported("COMMIT and ROLLBACK in PL/pgSQL"));
            }
        }
        Ok(Flow::Next)
    }

    fn raise_statement(&mut self, raise: &Raise) -> Result<()> {
        self.raise(raise)
    }

    /// One round of a loop: `None` to go on.
    fn round(&mut self, label: Option<&str>, body: &[Statement]) -> Result<Option<Flow>> {
        self.session().state.interrupt.check()?;
        Ok(match self.statements(body)? {
            Flow::Next => None,
            Flow::Return => Some(Flow::Return),
            Flow::Exit(None) => Some(Flow::Next),
            Flow::Exit(Some(wanted)) if label == Some(&*wanted) => Some(Flow::Next),
            Flow::Continue(None) => None,
            Flow::Continue(Some(wanted)) if label == Some(&*wanted) => None,
            flow => Some(flow),
        })
    }

    fn for_integer(
        &mut self,
        label: Option<&str>,
        variable: &str,
        reverse: bool,
        (lower, upper, step): (&Fragment, &Fragment, Option<&Fragment>),
        body: &[Statement],
    ) -> Result<Flow> {
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
        self.scopes.push(Scope { label: label.map(str::to_owned), names: Vec::new() });
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
        self.scopes.truncate(scopes);
        self.variables.truncate(variables);
        self.variables[self.found].value = Datum::Bool(found);
        result
    }

    fn integer(&mut self, fragment: &Fragment, null: &str) -> Result<i32> {
        let (value, ty) = self.eval(fragment)?;
        match self.cast(value, ty, SqlType::INT4)? {
            Datum::Int32(value) => Ok(value),
            _ => Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, null)),
        }
    }

    /// Runs `each` for the rows of a query, with their shape; false from it ends the query.
    fn each_row(&mut self, source: &RowSource, each: &mut EachRow<'_, Self>) -> Result<()> {
        let session = self.session();
        let (plan, values, text) = match source {
            RowSource::Query(fragment) => {
                let piece = self.piece(fragment);
                let plan = self.plan(fragment, &piece)?;
                (plan, piece.values(&self.variables), fragment.text.clone())
            }
            RowSource::Dynamic { text, using } => {
                let text = self.query_text(text)?;
                let (values, types) = self.using(using)?;
                let statement = single(&text)?;
                let (_, plan) = session.plan_inner(&statement, || ParamTypes::of_types(&types))?;
                (plan, values, text)
            }
            RowSource::Cursor { name, arguments } => {
                let slot = self.place(std::slice::from_ref(name))?.slot;
                let Some(bound) = self.variables[slot].cursor.clone() else {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        "cursor FOR loop must use a bound cursor variable",
                    ));
                };
                let (scopes, variables) = (self.scopes.len(), self.variables.len());
                self.cursor_arguments(&bound, arguments)?;
                let piece = Piece::new(&self.scopes, &self.variables, self.code.body.conflict);
                let plan = self.plan(&bound.query, &piece)?;
                let values = piece.values(&self.variables);
                self.scopes.truncate(scopes);
                self.variables.truncate(variables);
                (plan, values, bound.query.text.clone())
            }
        };
        if !plan.returns_rows {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "query does not return rows"));
        }
        let shared = self.invocation.shared_snapshot();
        let visible = plan.row_shape.len();
        let mut failed_within = false;
        let shape = Arc::clone(&plan);
        let result = session.run_inner(&plan, &values, shared, &mut |batch| {
            for position in batch.active() {
                let row = batch.columns[..visible].iter().map(|column| column.datum(position)).collect();
                match each(self, &shape.row_shape, row) {
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
            Err(error) => Err(in_statement(error, &text)),
        }
    }

    fn for_query(
        &mut self,
        label: Option<&str>,
        targets: &[Target],
        source: &RowSource,
        body: &[Statement],
    ) -> Result<Flow> {
        let (scopes, variables) = (self.scopes.len(), self.variables.len());
        if let (RowSource::Cursor { .. }, [target]) = (source, targets) {
            // The loop over a cursor declares its record.
            self.scopes.push(Scope { label: label.map(str::to_owned), names: Vec::new() });
            self.declare(Variable::plain(&target.name[0], SqlType::RECORD, Datum::Null));
        }
        let at = self.at;
        let mut flow = Flow::Next;
        let mut found = false;
        let result = self.each_row(source, &mut |run, shape, row| {
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
        });
        if result.is_ok() {
            self.at = at;
            if !found {
                for target in targets {
                    let place = self.place(&target.name)?;
                    if place.field.is_none() && !self.variables[place.slot].is_row() {
                        continue;
                    }
                    if place.field.is_none() {
                        self.variables[place.slot].value = Datum::Null;
                    }
                }
            }
        }
        self.scopes.truncate(scopes);
        self.variables.truncate(variables);
        result?;
        self.variables[self.found].value = Datum::Bool(found);
        Ok(flow)
    }

    fn foreach(
        &mut self,
        label: Option<&str>,
        targets: &[Target],
        slice: i32,
        array: &Fragment,
        body: &[Statement],
    ) -> Result<Flow> {
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
        let found = !items.is_empty();
        let mut flow = Flow::Next;
        for (value, ty) in items {
            match targets {
                [target] => self.assign(target, value, ty)?,
                _ => return Err(Error::unsupported("FOREACH over rows into several variables")),
            }
            if let Some(end) = self.round(label, body)? {
                flow = end;
                break;
            }
        }
        self.variables[self.found].value = Datum::Bool(found);
        Ok(flow)
    }

    // Values.

    /// What was prepared of a piece at this place of the text.
    fn piece(&self, fragment: &Fragment) -> Arc<Piece> {
        let key = std::ptr::from_ref(fragment) as usize;
        let mut pieces = self.code.pieces.lock();
        if let Some(piece) = pieces.get(&key)
            && piece.fits(&self.variables)
        {
            return Arc::clone(piece);
        }
        let piece = Arc::new(Piece::new(&self.scopes, &self.variables, self.code.body.conflict));
        pieces.insert(key, Arc::clone(&piece));
        piece
    }

    fn plan(&self, fragment: &Fragment, piece: &Piece) -> Result<Arc<PlannedStatement>> {
        piece.plan(self.session(), &fragment.statement)
    }

    /// The value of an expression.
    pub(super) fn eval(&mut self, fragment: &Fragment) -> Result<(Datum, SqlType)> {
        let session = self.session();
        let piece = self.piece(fragment);
        if let Some(expr) = piece.simple(session, &fragment.statement) {
            let values = piece.values(&self.variables);
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
        let values = piece.values(&self.variables);
        let (mut rows, _) = session.inner_rows(&plan, &values, self.invocation.shared_snapshot(), 2)?;
        if rows.len() > 1 {
            return Err(Error::new(SqlState::CARDINALITY_VIOLATION, "query returned more than one row"));
        }
        let value = rows.pop().and_then(|row| row.into_iter().next()).unwrap_or(Datum::Null);
        Ok((value, ty))
    }

    fn holds(&mut self, fragment: &Fragment) -> Result<bool> {
        let (value, ty) = self.eval(fragment)?;
        Ok(self.cast(value, ty, SqlType::BOOL)? == Datum::Bool(true))
    }

    /// `operand = value`, by a comparison over two parameters.
    fn case_matches(&mut self, operand: &Datum, ty: SqlType, value: &Fragment) -> Result<bool> {
        let (value, value_ty) = self.eval(value)?;
        let session = self.session();
        let expr = ochre_parser::parse_expression("$1 = $2")?;
        let mut parameters = ParamTypes::of_types(&[ty, value_ty]);
        let context = StatementSession::new(session);
        let catalog = session.state.catalog();
        let path = session.state.search_path();
        let bound = ochre_sql::bind::bind_typed_expression(
            &catalog,
            &path,
            &context,
            &mut parameters,
            &expr,
            Some(SqlType::BOOL),
        )?;
        let values = [operand.clone(), value];
        Ok(eval_const(&bound, &EvalContext::new(&context).with_params(&values))? == Datum::Bool(true))
    }

    /// A value's text form.
    pub(super) fn text_of(&self, value: &Datum, ty: SqlType) -> String {
        let format = self.session().state.format_context();
        ochre_types::to_text(ty, value, &format)
    }

    /// A value of one type as one of another, as an assignment converts it, or through its text.
    pub(super) fn cast(&self, value: Datum, from: SqlType, to: SqlType) -> Result<Datum> {
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

    // Assignment.

    fn find_variable(&self, parts: &[String]) -> Option<(usize, usize)> {
        let first = parts.first()?;
        for scope in self.scopes.iter().rev() {
            if let Some((_, slot)) = scope.names.iter().rev().find(|(name, _)| name == first) {
                return Some((*slot, 1));
            }
            if scope.label.as_deref() == Some(first)
                && let Some(second) = parts.get(1)
                && let Some((_, slot)) = scope.names.iter().rev().find(|(name, _)| name == second)
            {
                return Some((*slot, 2));
            }
        }
        None
    }

    fn place(&self, parts: &[String]) -> Result<Place> {
        let unknown =
            || Error::new(SqlState::SYNTAX_ERROR, format!("\"{}\" is not a known variable", parts.join(".")));
        let (slot, used) = self.find_variable(parts).ok_or_else(unknown)?;
        match &parts[used..] {
            [] => Ok(Place { slot, field: None }),
            [field] if self.variables[slot].is_row() => {
                let variable = &self.variables[slot];
                let shape = variable.shape.as_ref().ok_or_else(|| unassigned(&variable.name))?;
                let index = shape.iter().position(|(name, _)| **name == **field).ok_or_else(|| {
                    Error::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("record \"{}\" has no field \"{field}\"", variable.name),
                    )
                })?;
                Ok(Place { slot, field: Some(index) })
            }
            _ => Err(unknown()),
        }
    }

    /// Assigns a value to a target.
    pub(super) fn assign(&mut self, target: &Target, value: Datum, ty: SqlType) -> Result<()> {
        let place = self.place(&target.name)?;
        self.refuse_constant(place.slot)?;
        let (value, ty) = match target.subscripts.is_empty() {
            true => (value, ty),
            false => self.with_element(&place, target, value, ty)?,
        };
        match place.field {
            None => self.store(place.slot, value, ty),
            Some(field) => {
                let wanted = self.variables[place.slot].shape.as_ref().map_or(ty, |shape| shape[field].1);
                let value = self.cast(value, ty, wanted)?;
                let variable = &mut self.variables[place.slot];
                let count = variable.shape.as_ref().map_or(0, |shape| shape.len());
                let mut fields: Vec<Datum> = match &variable.value {
                    Datum::Record(fields) => fields.to_vec(),
                    _ => vec![Datum::Null; count],
                };
                fields[field] = value;
                variable.value = Datum::Record(fields.into());
                Ok(())
            }
        }
    }

    fn refuse_constant(&self, slot: usize) -> Result<()> {
        let variable = &self.variables[slot];
        if variable.constant {
            return Err(Error::new(
                SqlState::new("22005"),
                format!("variable \"{}\" is declared CONSTANT", variable.name),
            ));
        }
        Ok(())
    }

    /// The array of a place with one element or slice replaced.
    fn with_element(
        &mut self,
        place: &Place,
        target: &Target,
        value: Datum,
        ty: SqlType,
    ) -> Result<(Datum, SqlType)> {
        let variable = &self.variables[place.slot];
        let (old, array) = match (place.field, &variable.shape) {
            (Some(field), Some(shape)) => (variable.field(field), shape[field].1),
            _ => (variable.value.clone(), variable.ty),
        };
        let element = array.element().ok_or_else(|| {
            let text = self.session().type_name_text(array);
            Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("cannot subscript type {text} because it does not support subscripting"),
            )
        })?;
        let slice = target.subscripts.iter().any(|subscript| subscript.slice);
        let value = self.cast(value, ty, if slice { array } else { element })?;
        let mut indexes = Vec::with_capacity(target.subscripts.len());
        for subscript in &target.subscripts {
            let mut bound = |fragment: &Option<Fragment>| -> Result<Option<Expr>> {
                let Some(fragment) = fragment else { return Ok(None) };
                let (value, ty) = self.eval(fragment)?;
                let value = self.cast(value, ty, SqlType::INT4)?;
                Ok(Some(Expr::constant(value, SqlType::INT4)))
            };
            indexes.push((bound(&subscript.lower)?, bound(&subscript.upper)?));
        }
        let expr = Expr::SubscriptAssign {
            array: Box::new(Expr::constant(old, array)),
            indexes,
            slice,
            value: Box::new(Expr::constant(value, if slice { array } else { element })),
            ty: array,
        };
        let context = StatementSession::new(self.session());
        Ok((eval_const(&expr, &EvalContext::new(&context))?, array))
    }

    /// Puts a value into a variable.
    pub(super) fn store(&mut self, slot: usize, value: Datum, ty: SqlType) -> Result<()> {
        self.refuse_constant(slot)?;
        let variable = &self.variables[slot];
        if variable.is_row() {
            return self.store_row_value(slot, value, ty);
        }
        let value = self.cast(value, ty, variable.ty)?;
        let variable = &mut self.variables[slot];
        if variable.not_null && value.is_null() {
            return Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                format!("null value cannot be assigned to variable \"{}\" declared NOT NULL", variable.name),
            ));
        }
        variable.value = value.detached();
        Ok(())
    }

    /// Puts a row value into a row or record.
    fn store_row_value(&mut self, slot: usize, value: Datum, ty: SqlType) -> Result<()> {
        match value {
            Datum::Null => {
                let shape = self.shape_of(ty);
                let variable = &mut self.variables[slot];
                if variable.is_record() && shape.is_some() {
                    variable.shape = shape;
                }
                variable.value = Datum::Null;
                Ok(())
            }
            Datum::Record(fields) => {
                let known = self.shape_of(ty);
                let shape: Vec<(Arc<str>, SqlType)> = match known {
                    Some(shape) if shape.len() == fields.len() => shape.to_vec(),
                    _ => match &self.variables[slot].shape {
                        Some(shape) if shape.len() == fields.len() => shape.to_vec(),
                        _ => return Err(Error::unsupported("a record whose fields are not known")),
                    },
                };
                self.store_fields(slot, fields.to_vec(), &shape)
            }
            _ => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "cannot assign non-composite value to a record variable",
            )),
        }
    }

    /// Puts columns into a row or record.
    fn store_fields(&mut self, slot: usize, values: Vec<Datum>, given: &[(Arc<str>, SqlType)]) -> Result<()> {
        self.refuse_constant(slot)?;
        if self.variables[slot].is_record() {
            let same = self.variables[slot].shape.as_ref().is_some_and(|shape| **shape == *given);
            let variable = &mut self.variables[slot];
            if !same {
                variable.shape = Some(given.into());
            }
            variable.value = Datum::Record(values.into_iter().map(Datum::detached).collect());
            return Ok(());
        }
        let shape = self.variables[slot].shape.clone().unwrap_or_else(|| Arc::from([]));
        let mut fields = Vec::with_capacity(shape.len());
        let mut values = values.into_iter().zip(given);
        for (_, wanted) in shape.iter() {
            fields.push(match values.next() {
                Some((value, (_, ty))) => self.cast(value, *ty, *wanted)?.detached(),
                None => Datum::Null,
            });
        }
        self.variables[slot].value = Datum::Record(fields.into());
        Ok(())
    }

    /// Assigns a row of a query to targets; no row is all NULLs.
    pub(super) fn assign_row(
        &mut self,
        targets: &[Target],
        row: Vec<Datum>,
        shape: &[OutputColumn],
    ) -> Result<()> {
        if let [target] = targets
            && target.subscripts.is_empty()
        {
            let place = self.place(&target.name)?;
            if place.field.is_none() && self.variables[place.slot].is_row() {
                let given: Vec<(Arc<str>, SqlType)> =
                    shape.iter().map(|column| (Arc::from(&*column.name), column.ty)).collect();
                // One column that is a row of the variable's type is the row.
                if let ([column], [Datum::Record(_) | Datum::Null]) = (shape, row.as_slice())
                    && column.ty.physical == PhysicalType::Record
                    && column.ty.oid == self.variables[place.slot].ty.oid
                    && !self.variables[place.slot].is_record()
                {
                    let value = row.into_iter().next().unwrap_or(Datum::Null);
                    return self.store_row_value(place.slot, value, column.ty);
                }
                return self.store_fields(place.slot, row, &given);
            }
        }
        let mut values = row.into_iter().zip(shape);
        for target in targets {
            match values.next() {
                Some((value, column)) => self.assign(target, value, column.ty)?,
                None => self.assign(target, Datum::Null, SqlType::TEXT)?,
            }
        }
        Ok(())
    }

    // Statements of SQL.

    fn set_count(&mut self, rows: u64) {
        self.row_count = rows;
        self.variables[self.found].value = Datum::Bool(rows > 0);
    }

    fn sql(&mut self, fragment: &Fragment, into: Option<&Into>) -> Result<()> {
        let session = self.session();
        if !is_plannable(&fragment.statement) {
            if into.is_some() {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "INTO used with a command that cannot return data",
                ));
            }
            self.refuse_utility(&fragment.statement)?;
            let run = session.run_inner_utility(&fragment.statement);
            return run.map_err(|error| in_statement(error, &fragment.text));
        }
        let piece = self.piece(fragment);
        let plan = self.plan(fragment, &piece).map_err(|error| in_statement(error, &fragment.text))?;
        let values = piece.values(&self.variables);
        if into.is_none() && plan.returns_rows {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "query has no destination for result data")
                .hint("If you want to discard the results of a SELECT, use PERFORM instead."));
        }
        let run = self.run_into(&plan, &values, into);
        run.map_err(|error| match error.sqlstate().as_str() {
            "P0002" | "P0003" => error,
            _ => in_statement(error, &fragment.text),
        })
    }

    fn refuse_utility(&self, statement: &sql::Statement) -> Result<()> {
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
        into: Option<&Into>,
    ) -> Result<()> {
        let session = self.session();
        let shared = self.invocation.shared_snapshot();
        if shared.is_some() && !plan.read_only {
            return Err(crate::routine::sql::not_allowed(plan));
        }
        let Some(into) = into else {
            let rows = session.run_inner(plan, values, shared, &mut |_| Ok(true))?;
            self.set_count(rows);
            return Ok(());
        };
        if !plan.returns_rows {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "INTO used with a command that cannot return data",
            ));
        }
        let changes = plan.command != CommandKind::Select;
        let most = if into.strict || changes { 2 } else { 1 };
        let (mut rows, changed) = session.inner_rows(plan, values, shared, most)?;
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

    pub(super) fn query_text(&mut self, fragment: &Fragment) -> Result<String> {
        let (value, ty) = self.eval(fragment)?;
        if value.is_null() {
            return Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "query string argument of EXECUTE is null",
            ));
        }
        Ok(self.text_of(&value, ty))
    }

    pub(super) fn using(&mut self, using: &[Fragment]) -> Result<(Vec<Datum>, Vec<SqlType>)> {
        let mut values = Vec::with_capacity(using.len());
        let mut types = Vec::with_capacity(using.len());
        for fragment in using {
            let (value, ty) = self.eval(fragment)?;
            values.push(value);
            types.push(ty);
        }
        Ok((values, types))
    }

    fn execute(&mut self, text: &Fragment, into: Option<&Into>, using: &[Fragment]) -> Result<()> {
        let text = self.query_text(text)?;
        let (values, types) = self.using(using)?;
        let found = self.variables[self.found].value.clone();
        let result = self.execute_text(&text, into, &values, &types);
        // EXECUTE leaves FOUND alone.
        self.variables[self.found].value = found;
        result.map_err(|error| match error.sqlstate().as_str() {
            "P0002" | "P0003" => error,
            _ => in_statement(error, &text),
        })
    }

    fn execute_text(
        &mut self,
        text: &str,
        into: Option<&Into>,
        values: &[Datum],
        types: &[SqlType],
    ) -> Result<()> {
        let session = self.session();
        for raw in ochre_parser::parse(text)? {
            if !is_plannable(&raw.stmt) {
                if matches!(raw.stmt, sql::Statement::Transaction(_)) {
                    return Err(Error::unsupported("EXECUTE of transaction commands"));
                }
                self.refuse_utility(&raw.stmt)?;
                session.run_inner_utility(&raw.stmt)?;
                continue;
            }
            let (_, plan) = session.plan_inner(&raw.stmt, || ParamTypes::of_types(types))?;
            let wants = into.filter(|_| plan.returns_rows);
            if into.is_some() && wants.is_none() {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "INTO used with a command that cannot return data",
                ));
            }
            self.run_into(&plan, values, wants)?;
        }
        Ok(())
    }

    fn call(&mut self, fragment: &Fragment) -> Result<()> {
        let session = self.session();
        let sql::Statement::Call(call) = &*fragment.statement else {
            self.refuse_utility(&fragment.statement)?;
            return session.run_inner_utility(&fragment.statement);
        };
        let piece = self.piece(fragment);
        let parameters = || piece.parameters();
        let values = || piece.values(&self.variables);
        let result = session.call_procedure(call, parameters(), &values);
        let result = result.map_err(|error| in_statement(error, &fragment.text))?;
        for (argument, (value, ty)) in result.outputs {
            let Some(sql::Expr::Column(column)) = call.args.get(argument).map(|argument| &argument.value)
            else {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!(
                        "procedure parameter {} is an output parameter but corresponding argument is not writable",
                        argument + 1
                    ),
                ));
            };
            let name = column.parts.iter().map(|part| part.to_string()).collect();
            let target = Target { name, subscripts: Vec::new(), line: fragment.line };
            self.assign(&target, value, ty)?;
        }
        Ok(())
    }

    fn diagnostics(&mut self, stacked: bool, items: &[(Target, String)]) -> Result<()> {
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

    fn assert(&mut self, condition: &Fragment, message: Option<&Fragment>) -> Result<()> {
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
                text = self.text_of(&value, ty);
            }
        }
        Err(Error::new(SqlState::new("P0004"), text))
    }

    // Results.

    fn return_value(&mut self, value: Option<&Fragment>) -> Result<()> {
        let function = self.invocation.function;
        let wrong = |message: &str| Err(Error::new(SqlState::SYNTAX_ERROR, message.to_owned()));
        let Some(value) = value else {
            if function.returns_set || function.return_type == oids::VOID || !self.outputs().is_empty() {
                return Ok(());
            }
            return wrong("missing expression at or near \";\"");
        };
        if function.returns_set {
            return wrong("RETURN cannot have a parameter in function returning set");
        }
        if function.kind == FunctionKind::Procedure {
            return wrong("RETURN cannot have a parameter in a procedure");
        }
        if function.return_type == oids::VOID {
            return wrong("RETURN cannot have a parameter in function returning void");
        }
        if !self.outputs().is_empty() {
            return wrong("RETURN cannot have a parameter in function with OUT parameters");
        }
        // A record that nothing was assigned to is returned as NULL; trigger functions return rows as they are.
        if let Some(slot) = self.lone_variable(value)
            && self.variables[slot].is_row()
        {
            let variable = &self.variables[slot];
            let result = match variable.shape.clone() {
                None => (Datum::Null, variable.ty),
                Some(shape) => {
                    let wanted = self.shape_of(self.invocation.result);
                    (self.fit_row(variable.value.clone(), &shape, wanted)?, variable.ty)
                }
            };
            self.returned = Some(result);
            return Ok(());
        }
        let (value, ty) = self.eval(value)?;
        let result = self.invocation.result;
        let value = if function.return_type == oids::TRIGGER || result.oid == oids::RECORD && value.is_null()
        {
            value
        } else if result.physical == PhysicalType::Record {
            match (self.shape_of(ty), &value) {
                (_, Datum::Null) => Datum::Null,
                (Some(shape), Datum::Record(_)) => {
                    let wanted = self.shape_of(result);
                    self.fit_row(value, &shape, wanted)?
                }
                (None, Datum::Record(_)) => value,
                _ => {
                    return Err(Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        "cannot return non-composite value from function returning composite type",
                    ));
                }
            }
        } else {
            self.cast(value, ty, result)?
        };
        self.returned = Some((value, result));
        Ok(())
    }

    /// A row with its fields converted to those of the wanted shape.
    fn fit_row(&self, value: Datum, given: &Shape, wanted: Option<Shape>) -> Result<Datum> {
        let (Datum::Record(fields), Some(wanted)) = (&value, wanted) else { return Ok(value) };
        if fields.len() != wanted.len() {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "returned record type does not match expected record type",
            )
            .detail(format!(
                "Number of returned columns ({}) does not match expected column count ({}).",
                fields.len(),
                wanted.len()
            )));
        }
        let pairs = fields.iter().zip(given.iter()).zip(wanted.iter());
        let converted: Vec<Datum> = pairs
            .map(|((value, (_, from)), (_, to))| self.cast(value.clone(), *from, *to))
            .collect::<Result<_>>()?;
        Ok(Datum::Record(converted.into()))
    }

    /// The variable that an expression is, when it is no more than a name.
    fn lone_variable(&self, fragment: &Fragment) -> Option<usize> {
        let sql::Statement::Select(select) = &*fragment.statement else { return None };
        let sql::SelectBody::Select(core) = &select.body else { return None };
        match core.targets.as_slice() {
            [sql::Target { expr: sql::Expr::Column(column), .. }] if !column.star => {
                let parts: Vec<String> = column.parts.iter().map(|part| part.to_string()).collect();
                let (slot, used) = self.find_variable(&parts)?;
                (used == parts.len()).then_some(slot)
            }
            _ => None,
        }
    }

    fn return_next(&mut self, value: Option<&Fragment>) -> Result<()> {
        let function = self.invocation.function;
        if !function.returns_set {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "cannot use RETURN NEXT in a non-SETOF function",
            ));
        }
        let outputs = self.outputs();
        let Some(value) = value else {
            let row = outputs.iter().map(|slot| self.variables[*slot].value.clone()).collect();
            self.rows.push(row);
            return Ok(());
        };
        if !outputs.is_empty() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "RETURN NEXT cannot have a parameter in function with OUT parameters",
            ));
        }
        let result = self.invocation.result;
        if let Some(slot) = self.lone_variable(value)
            && self.variables[slot].is_row()
        {
            let variable = &self.variables[slot];
            let shape = variable.shape.clone().ok_or_else(|| unassigned(&variable.name))?;
            let wanted = self.shape_of(result);
            let value = match variable.value.clone() {
                Datum::Null => Datum::Record(vec![Datum::Null; shape.len()].into()),
                value => value,
            };
            let value = self.fit_row(value, &shape, wanted)?;
            self.rows.push(vec![value]);
            return Ok(());
        }
        let (value, ty) = self.eval(value)?;
        let value = match (result.physical, self.shape_of(ty)) {
            (PhysicalType::Record, Some(shape)) => {
                let wanted = self.shape_of(result);
                self.fit_row(value, &shape, wanted)?
            }
            (PhysicalType::Record, None) => value,
            _ => self.cast(value, ty, result)?,
        };
        self.rows.push(vec![value]);
        Ok(())
    }

    fn return_query(&mut self, source: &RowSource) -> Result<()> {
        let function = self.invocation.function;
        if !function.returns_set {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "cannot use RETURN QUERY in a non-SETOF function",
            ));
        }
        let outputs = self.outputs();
        let result = self.invocation.result;
        let wanted: Option<Vec<SqlType>> = if !outputs.is_empty() {
            Some(outputs.iter().map(|slot| self.variables[*slot].ty).collect())
        } else if let Some(shape) = self.shape_of(result) {
            Some(shape.iter().map(|(_, ty)| *ty).collect())
        } else if result.physical == PhysicalType::Record {
            None
        } else {
            Some(vec![result])
        };
        let as_record = outputs.is_empty() && result.physical == PhysicalType::Record;
        let before = self.rows.len();
        let mut checked = false;
        self.each_row(source, &mut |run, shape, mut row| {
            if let Some(wanted) = &wanted {
                if !checked {
                    run.check_structure(shape, wanted)?;
                    checked = true;
                }
                for ((value, column), wanted) in row.iter_mut().zip(shape).zip(wanted) {
                    *value = run.cast(std::mem::replace(value, Datum::Null), column.ty, *wanted)?.detached();
                }
            }
            run.rows.push(if as_record { vec![Datum::Record(row.into())] } else { row });
            Ok(true)
        })?;
        let count = (self.rows.len() - before) as u64;
        self.set_count(count);
        Ok(())
    }

    fn check_structure(&self, given: &[OutputColumn], wanted: &[SqlType]) -> Result<()> {
        let mismatch = |detail: String| {
            let message = "structure of query does not match function result type";
            Err(Error::new(SqlState::DATATYPE_MISMATCH, message).detail(detail))
        };
        if given.len() != wanted.len() {
            return mismatch(format!(
                "Number of returned columns ({}) does not match expected column count ({}).",
                given.len(),
                wanted.len()
            ));
        }
        for (i, (column, wanted)) in given.iter().zip(wanted).enumerate() {
            if column.ty.oid != wanted.oid {
                return mismatch(format!(
                    "Returned type {} does not match expected type {} in column \"{}\" (position {}).",
                    self.session().type_name_text(column.ty),
                    self.session().type_name_text(*wanted),
                    column.name,
                    i + 1
                ));
            }
        }
        Ok(())
    }

    /// Brings a cursor's arguments into scope.
    pub(super) fn cursor_arguments(
        &mut self,
        bound: &BoundCursor,
        given: &[(Option<String>, Fragment)],
    ) -> Result<()> {
        let mut values: Vec<Option<(Datum, SqlType)>> = vec![None; bound.arguments.len()];
        for (i, (name, fragment)) in given.iter().enumerate() {
            let index = match name {
                Some(name) => bound.arguments.iter().position(|(known, _)| known == name),
                None => (i < bound.arguments.len()).then_some(i),
            };
            let index = index.ok_or_else(|| {
                Error::new(SqlState::SYNTAX_ERROR, "too many arguments for cursor".to_owned())
            })?;
            values[index] = Some(self.eval(fragment)?);
        }
        self.scopes.push(Scope::default());
        for ((name, ty), value) in bound.arguments.iter().zip(values) {
            let (value, from) = value.ok_or_else(|| {
                Error::new(SqlState::SYNTAX_ERROR, "not enough arguments for cursor".to_owned())
            })?;
            let (ty, shape) = self.declared_type(ty)?;
            let mut variable = Variable::plain(name, ty, Datum::Null);
            variable.shape = shape;
            let slot = self.declare(variable);
            self.store(slot, value, from)?;
        }
        Ok(())
    }

    pub(super) fn cursor_piece(&self) -> Piece {
        Piece::new(&self.scopes, &self.variables, self.code.body.conflict)
    }

    pub(super) fn prepared_piece(&self, fragment: &Fragment) -> Arc<Piece> {
        self.piece(fragment)
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

/// The only statement of a text.
pub(super) fn single(text: &str) -> Result<sql::Statement> {
    let mut parsed = ochre_parser::parse(text)?;
    match (parsed.pop(), parsed.is_empty()) {
        (Some(raw), true) if is_plannable(&raw.stmt) => Ok(raw.stmt),
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
