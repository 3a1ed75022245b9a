//! What is wrong with a body before any of it runs: names of variables, labels, conditions and types, and the forms of
//! RETURN that the function does not allow. Pieces of SQL are looked at when they run.

use ochre_base::{Error, Result, SqlState};
use ochre_expr::{Function, FunctionKind, ParameterMode as Mode};
use ochre_plpgsql::ast::{
    Block, Body, Condition, DeclarationKind, Into, OpenSource, RowSource, Statement, StatementKind, Target,
    VariableType,
};
use ochre_types::{PhysicalType, SqlType, oids};

use super::raise::condition_state;
use crate::routine::input_names;
use crate::session::Session;

/// What a name is.
#[derive(Clone, Copy)]
enum Kind {
    Scalar {
        constant: bool,
    },
    /// `refcursor`, unbound.
    Reference,
    /// A declared cursor and how many arguments it takes.
    Cursor(usize),
    /// A row or record.
    Row,
    /// An argument of a type that only the call tells.
    Unknown,
}

#[derive(Default)]
struct Scope {
    label: Option<String>,
    names: Vec<(String, Kind)>,
}

/// A block or loop that EXIT and CONTINUE may mean.
struct Enclosing {
    label: Option<String>,
    is_loop: bool,
}

struct Checker<'a> {
    session: &'a Session,
    function: &'a Function,
    scopes: Vec<Scope>,
    enclosing: Vec<Enclosing>,
    has_outputs: bool,
}

fn syntax(message: impl std::convert::Into<String>) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

fn mismatch(message: &str) -> Error {
    Error::new(SqlState::DATATYPE_MISMATCH, message)
}

/// The error of a name that no variable has.
pub(super) fn unknown_variable(parts: &[String]) -> Error {
    syntax(format!("\"{}\" is not a known variable", parts.join(".")))
}

/// The error of an assignment to a constant.
pub(super) fn is_constant(name: &str) -> Error {
    Error::new(SqlState::new("22005"), format!("variable \"{name}\" is declared CONSTANT"))
}

/// The error of a declaration of NOT NULL that gives no value.
pub(super) fn needs_default(name: &str) -> Error {
    let message = format!("variable \"{name}\" must have a default value, since it's declared NOT NULL");
    Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message)
}

/// Looks a function's body through.
///
/// # Errors
/// 42601, 42704, 42804, 22005, 22004 and those of types.
pub(super) fn check(session: &Session, function: &Function, body: &Body) -> Result<()> {
    let mut checker =
        Checker { session, function, scopes: Vec::new(), enclosing: Vec::new(), has_outputs: false };
    checker.arguments();
    checker.block(&body.block)
}

impl Checker<'_> {
    fn arguments(&mut self) {
        let function = self.function;
        let mut names: Vec<(String, Kind)> = Vec::new();
        let inputs = function.arg_types.iter().zip(input_names(function));
        for (i, (oid, name)) in inputs.enumerate() {
            let kind = self.kind_of(self.session.sql_type(*oid));
            names.push((format!("${}", i + 1), kind));
            names.push((name.into_string(), kind));
        }
        for (i, mode) in function.arg_modes.iter().enumerate() {
            if matches!(mode, Mode::Out | Mode::Table) {
                let kind = self.kind_of(self.session.sql_type(function.all_arg_types[i]));
                names.push((format!("${}", i + 1), kind));
                let name = function.arg_names.get(i).map_or("", |name| name);
                names.push((name.to_owned(), kind));
            }
            self.has_outputs |= matches!(mode, Mode::Out | Mode::InOut | Mode::Table);
        }
        names.retain(|(name, _)| !name.is_empty());
        if function.return_type == oids::TRIGGER {
            names.extend(["new", "old"].map(|name| (name.to_owned(), Kind::Row)));
            const TOLD: [&str; 10] = [
                "tg_name",
                "tg_when",
                "tg_level",
                "tg_op",
                "tg_relid",
                "tg_relname",
                "tg_table_name",
                "tg_table_schema",
                "tg_nargs",
                "tg_argv",
            ];
            names.extend(TOLD.map(|name| (name.to_owned(), Kind::Scalar { constant: false })));
        }
        names.push(("found".to_owned(), Kind::Scalar { constant: false }));
        self.scopes.push(Scope { label: Some(function.name.to_string()), names });
    }

    fn kind_of(&self, ty: SqlType) -> Kind {
        match ty.physical {
            PhysicalType::Record => Kind::Row,
            _ if ty.oid == oids::REFCURSOR => Kind::Reference,
            _ if ty.info().is_some_and(|info| info.kind == b'p') => Kind::Unknown,
            _ => Kind::Scalar { constant: false },
        }
    }

    /// What a name is, and how many of its parts name it.
    fn find(&self, parts: &[String]) -> Option<(Kind, usize)> {
        let first = parts.first()?;
        for scope in self.scopes.iter().rev() {
            if let Some((_, kind)) = scope.names.iter().rev().find(|(name, _)| name == first)
                && (parts.len() == 1 || matches!(kind, Kind::Row | Kind::Unknown))
            {
                return Some((*kind, 1));
            }
            if scope.label.as_deref() == Some(first)
                && let Some(second) = parts.get(1)
                && let Some((_, kind)) = scope.names.iter().rev().find(|(name, _)| name == second)
            {
                return Some((*kind, 2));
            }
        }
        None
    }

    fn require(&self, parts: &[String]) -> Result<Kind> {
        match self.find(parts) {
            Some((kind, used)) if used == parts.len() => Ok(kind),
            Some((Kind::Row | Kind::Unknown, used)) if used + 1 == parts.len() => Ok(Kind::Unknown),
            _ => Err(unknown_variable(parts)),
        }
    }

    fn target(&self, target: &Target) -> Result<Kind> {
        let kind = self.require(&target.name)?;
        if let Kind::Scalar { constant: true } = kind {
            return Err(is_constant(target.name.last().map_or("", |name| name)));
        }
        Ok(kind)
    }

    /// Targets of a row: one row or record, or scalars.
    fn row_targets(&self, targets: &[Target]) -> Result<()> {
        for target in targets {
            if let (Kind::Row, true) = (self.target(target)?, targets.len() > 1) {
                return Err(syntax("record variable cannot be part of multiple-item INTO list"));
            }
        }
        Ok(())
    }

    fn row_into(&self, into: Option<&Into>) -> Result<()> {
        into.map_or(Ok(()), |into| self.row_targets(&into.targets))
    }

    fn block(&mut self, block: &Block) -> Result<()> {
        self.scopes.push(Scope { label: block.label.clone(), names: Vec::new() });
        for declaration in &block.declarations {
            let name = &declaration.name;
            let scope = self.scopes.last().expect("pushed above");
            if scope.names.iter().any(|(known, _)| known == name) {
                return Err(syntax(format!("duplicate declaration at or near \"{name}\"")));
            }
            let kind = self.declaration(name, &declaration.kind)?;
            let scope = self.scopes.last_mut().expect("pushed above");
            scope.names.push((name.clone(), kind));
        }
        self.enclosing.push(Enclosing { label: block.label.clone(), is_loop: false });
        self.statements(&block.body)?;
        for handler in &block.handlers {
            for condition in &handler.conditions {
                if let Condition::Name(name) = condition {
                    condition_state(name)?;
                }
            }
            let constant = Kind::Scalar { constant: true };
            let names = ["sqlstate", "sqlerrm"].map(|name| (name.to_owned(), constant)).to_vec();
            self.scopes.push(Scope { label: None, names });
            self.statements(&handler.body)?;
            self.scopes.pop();
        }
        self.enclosing.pop();
        self.scopes.pop();
        Ok(())
    }

    fn declaration(&self, name: &str, kind: &DeclarationKind) -> Result<Kind> {
        match kind {
            DeclarationKind::Alias(parts) => match self.find(parts) {
                Some((kind, used)) if used == parts.len() => Ok(kind),
                _ => Err(Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("variable \"{}\" does not exist", parts.join(".")),
                )),
            },
            DeclarationKind::Cursor { arguments, .. } => {
                for (_, ty) in arguments {
                    self.variable_type(ty)?;
                }
                Ok(Kind::Cursor(arguments.len()))
            }
            DeclarationKind::Variable { constant, ty, not_null, default } => {
                let kind = self.variable_type(ty)?;
                if *not_null && default.is_none() {
                    return Err(needs_default(name));
                }
                Ok(match kind {
                    Kind::Scalar { .. } => Kind::Scalar { constant: *constant },
                    kind => kind,
                })
            }
        }
    }

    fn variable_type(&self, ty: &VariableType) -> Result<Kind> {
        match ty {
            VariableType::Record => Ok(Kind::Row),
            VariableType::Named(name) => Ok(self.kind_of(self.session.bind_type(name)?)),
            VariableType::TypeOf(parts, array) => {
                let kind = match self.find(parts) {
                    Some((Kind::Scalar { .. }, _)) => Kind::Scalar { constant: false },
                    Some((kind, used)) if used == parts.len() => kind,
                    Some(_) => Kind::Unknown,
                    None => self.kind_of(self.session.type_of_column(parts)?),
                };
                Ok(if *array { Kind::Scalar { constant: false } } else { kind })
            }
            VariableType::RowOf(parts) => {
                let found = self.session.state.find_by_parts(parts)?;
                found.ok_or_else(|| crate::errors::undefined_table(parts.join(".")))?;
                Ok(Kind::Row)
            }
        }
    }

    fn statements(&mut self, list: &[Statement]) -> Result<()> {
        list.iter().try_for_each(|statement| self.statement(&statement.kind))
    }

    fn loop_body(&mut self, label: Option<&String>, body: &[Statement]) -> Result<()> {
        self.enclosing.push(Enclosing { label: label.cloned(), is_loop: true });
        self.statements(body)?;
        self.enclosing.pop();
        Ok(())
    }

    /// A loop's body with a variable of the loop's own.
    fn loop_with(
        &mut self,
        label: Option<&String>,
        name: &str,
        kind: Kind,
        body: &[Statement],
    ) -> Result<()> {
        self.scopes.push(Scope { label: label.cloned(), names: vec![(name.to_owned(), kind)] });
        self.loop_body(label, body)?;
        self.scopes.pop();
        Ok(())
    }

    fn statement(&mut self, kind: &StatementKind) -> Result<()> {
        match kind {
            StatementKind::Block(block) => self.block(block),
            StatementKind::Assign { target, .. } => self.target(target).map(|_| ()),
            StatementKind::If { branches, otherwise } => {
                branches.iter().try_for_each(|(_, body)| self.statements(body))?;
                self.statements(otherwise)
            }
            StatementKind::Case { branches, otherwise, .. } => {
                branches.iter().try_for_each(|branch| self.statements(&branch.body))?;
                otherwise.as_ref().map_or(Ok(()), |body| self.statements(body))
            }
            StatementKind::Loop { label, body } | StatementKind::While { label, body, .. } => {
                self.loop_body(label.as_ref(), body)
            }
            StatementKind::ForInteger { label, variable, body, .. } => {
                self.loop_with(label.as_ref(), variable, Kind::Scalar { constant: false }, body)
            }
            StatementKind::ForQuery { label, targets, source, body } => {
                self.for_query(label.as_ref(), targets, source, body)
            }
            StatementKind::Foreach { label, targets, body, .. } => {
                self.row_targets(targets)?;
                self.loop_body(label.as_ref(), body)
            }
            StatementKind::Exit { is_continue, label, .. } => self.exit(*is_continue, label.as_ref()),
            StatementKind::Return(value) => self.return_value(value.is_some()),
            StatementKind::ReturnNext(value) => {
                if !self.function.returns_set {
                    return Err(mismatch("cannot use RETURN NEXT in a non-SETOF function"));
                }
                match (value.is_some(), self.has_outputs) {
                    (true, true) => {
                        Err(mismatch("RETURN NEXT cannot have a parameter in function with OUT parameters"))
                    }
                    (false, false) => Err(missing_expression()),
                    _ => Ok(()),
                }
            }
            StatementKind::ReturnQuery(_) if !self.function.returns_set => {
                Err(mismatch("cannot use RETURN QUERY in a non-SETOF function"))
            }
            StatementKind::Raise(raise) => match &raise.condition {
                Some(Condition::Name(name)) => condition_state(name).map(|_| ()),
                _ => Ok(()),
            },
            StatementKind::Sql { into, .. } | StatementKind::Execute { into, .. } => {
                self.row_into(into.as_ref())
            }
            StatementKind::GetDiagnostics { items, .. } => {
                items.iter().try_for_each(|(target, _)| self.target(target).map(|_| ()))
            }
            StatementKind::Open { cursor, source, .. } => self.open(cursor, source),
            StatementKind::Fetch { cursor, into, .. } => {
                self.cursor(cursor)?;
                self.row_into(into.as_ref())
            }
            StatementKind::Close(cursor) => self.cursor(cursor).map(|_| ()),
            StatementKind::ReturnQuery(_)
            | StatementKind::Assert { .. }
            | StatementKind::Perform(_)
            | StatementKind::Call(_)
            | StatementKind::Null
            | StatementKind::Commit { .. }
            | StatementKind::Rollback { .. } => Ok(()),
        }
    }

    fn for_query(
        &mut self,
        label: Option<&String>,
        targets: &[Target],
        source: &RowSource,
        body: &[Statement],
    ) -> Result<()> {
        if let RowSource::Cursor { name, arguments } = source {
            let Kind::Cursor(count) = self.require(std::slice::from_ref(name))? else {
                return Err(syntax("cursor FOR loop must use a bound cursor variable"));
            };
            check_arguments(name, count, arguments.len())?;
            let variable = targets.first().and_then(|target| target.name.first());
            return self.loop_with(label, variable.map_or("", |name| name), Kind::Row, body);
        }
        if let [target] = targets
            && self.find(&target.name).is_none()
        {
            return Err(syntax(
                "loop variable of loop over rows must be a record variable or list of scalar variables",
            ));
        }
        self.row_targets(targets)?;
        self.loop_body(label, body)
    }

    fn exit(&self, is_continue: bool, label: Option<&String>) -> Result<()> {
        let Some(label) = label else {
            if self.enclosing.iter().any(|around| around.is_loop) {
                return Ok(());
            }
            return Err(syntax(match is_continue {
                true => "CONTINUE cannot be used outside a loop",
                false => "EXIT cannot be used outside a loop, unless it has a label",
            }));
        };
        match self.enclosing.iter().rev().find(|around| around.label.as_ref() == Some(label)) {
            None => Err(syntax(format!(
                "there is no label \"{label}\" attached to any block or loop enclosing this statement"
            ))),
            Some(around) if is_continue && !around.is_loop => {
                Err(syntax(format!("block label \"{label}\" cannot be used in CONTINUE")))
            }
            Some(_) => Ok(()),
        }
    }

    fn return_value(&self, has_value: bool) -> Result<()> {
        let function = self.function;
        let nothing_wanted = function.returns_set || function.return_type == oids::VOID || self.has_outputs;
        if !has_value {
            return if nothing_wanted { Ok(()) } else { Err(missing_expression()) };
        }
        if function.returns_set {
            return Err(mismatch("RETURN cannot have a parameter in function returning set")
                .hint("Use RETURN NEXT or RETURN QUERY."));
        }
        if function.kind == FunctionKind::Procedure {
            return Err(mismatch("RETURN cannot have a parameter in a procedure"));
        }
        if function.return_type == oids::VOID {
            return Err(mismatch("RETURN cannot have a parameter in function returning void"));
        }
        if self.has_outputs {
            return Err(mismatch("RETURN cannot have a parameter in function with OUT parameters"));
        }
        Ok(())
    }

    fn cursor(&self, cursor: &Target) -> Result<Kind> {
        match self.require(&cursor.name)? {
            Kind::Scalar { .. } | Kind::Row => {
                let name = cursor.name.last().map_or("", |name| name);
                Err(mismatch(&format!("variable \"{name}\" must be of type cursor or refcursor")))
            }
            kind => Ok(kind),
        }
    }

    fn open(&self, cursor: &Target, source: &OpenSource) -> Result<()> {
        let kind = self.cursor(cursor)?;
        match (kind, source) {
            (Kind::Cursor(count), OpenSource::Bound(arguments)) => {
                check_arguments(cursor.name.last().map_or("", |name| name), count, arguments.len())
            }
            (Kind::Cursor(_), _) => Err(syntax("syntax error at or near \"for\"")),
            (_, OpenSource::Bound(_)) => Err(syntax("syntax error, expected \"FOR\"")),
            _ => Ok(()),
        }
    }
}

fn missing_expression() -> Error {
    syntax("missing expression at or near \";\"")
}

/// Compares the arguments that a cursor is given with those that it takes.
fn check_arguments(cursor: &str, wanted: usize, given: usize) -> Result<()> {
    match (wanted, given) {
        (0, 0) => Ok(()),
        (0, _) => Err(syntax(format!("cursor \"{cursor}\" has no arguments"))),
        (_, 0) => Err(syntax(format!("cursor \"{cursor}\" has arguments"))),
        _ if given > wanted => Err(syntax(format!("too many arguments for cursor \"{cursor}\""))),
        _ if given < wanted => Err(syntax(format!("not enough arguments for cursor \"{cursor}\""))),
        _ => Ok(()),
    }
}
