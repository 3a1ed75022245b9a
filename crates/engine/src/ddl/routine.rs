//! CREATE and DROP of functions and procedures.
//!
//! # Not done
//! TRANSFORM, WINDOW, SUPPORT. Names in a body in SQL's own
//! form are looked up when the function runs, not when it is made; so nothing depends on what it mentions.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::RoutineDescriptor;
use ochre_expr::{Function, FunctionKind, Implementation, Language, ParameterMode as Mode, Volatility};
use ochre_parser::ast::{
    self, Behavior, CreateFunctionStmt, DropStmt, FunctionOptionKind as Kind, NumericValue, ObjectKind,
    ObjectRef, ParameterMode, RoutineSignature, SignatureArgs, SqlBody, TypeName,
};
use ochre_sql::bind::{ParamTypes, bind_typed_expression, is_polymorphic};
use ochre_txn::locks::RelationLockMode;
use ochre_types::{SqlType, oids};

use super::expressions::constant_text;
use super::view::oid_text;
use crate::routine::{SqlCode, signature};
use crate::session::Session;
use crate::session::context::StatementSession;
use crate::tag::CommandTag;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_FUNCTION_DEFINITION, message)
}

/// The parameters of a definition.
#[derive(Default)]
struct Parameters {
    inputs: Vec<SqlType>,
    all: Vec<(Mode, SqlType, Box<str>)>,
    defaults: Vec<Box<str>>,
    variadic: Oid,
    outputs: Vec<SqlType>,
    table: bool,
}

/// The clauses of a definition.
struct Options {
    body: Option<Box<str>>,
    language: Option<Box<str>>,
    strict: bool,
    volatility: Volatility,
    security_definer: bool,
    leakproof: bool,
    cost: Option<f32>,
    rows: Option<f32>,
    parallel: u8,
    settings: Vec<Box<str>>,
}

impl Session {
    pub(crate) fn create_function(&self, statement: &CreateFunctionStmt) -> Result<CommandTag> {
        let tag = if statement.procedure { "CREATE PROCEDURE" } else { "CREATE FUNCTION" };
        let namespace = self.creation_namespace(&statement.name)?;
        let name = statement.name.name();
        let mut options = self.function_options(statement)?;
        let language = match options.language.as_deref().unwrap_or("") {
            "" if statement.sql_body.is_some() => Language::Sql,
            "" => return Err(invalid("no language specified")),
            "sql" => Language::Sql,
            "plpgsql" => Language::PlPgSql,
            known @ ("c" | "internal") => {
                return Err(Error::unsupported(format!("CREATE FUNCTION … LANGUAGE {known}")));
            }
            other => {
                return Err(Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("language \"{other}\" does not exist"),
                ));
            }
        };
        let parameters = self.function_parameters(statement, language)?;
        let (result, returns_set) = self.function_result(statement, &parameters)?;
        if language == Language::Sql && result.oid == oids::TRIGGER {
            return Err(invalid("SQL functions cannot return type trigger"));
        }
        let sql_body = match &statement.sql_body {
            Some(_) if language != Language::Sql => {
                return Err(invalid("inline SQL function body only valid for language SQL"));
            }
            Some(_) if options.body.is_some() => return Err(invalid("duplicate function body specified")),
            Some(SqlBody::Return(expr)) => Some(format!("SELECT {expr}")),
            Some(SqlBody::Atomic(statements)) => {
                let texts: Vec<String> = statements.iter().map(|statement| format!("{statement};")).collect();
                Some(texts.join("\n"))
            }
            None if options.body.is_none() => return Err(invalid("no function body specified")),
            None => None,
        };
        if options.rows.is_some() && !returns_set {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "ROWS is not applicable when function does not return a set",
            ));
        }
        let arg_types: Vec<Oid> = parameters.inputs.iter().map(|ty| ty.oid).collect();
        self.lock_routine_name(namespace, name)?;
        let old = self.state.catalog().routine_in(namespace, name, &arg_types).cloned();
        self.require_for_leakproof(options.leakproof)?;
        let oid = old.as_ref().map_or_else(|| self.new_oid(), |old| old.oid);
        let plain = parameters.all.iter().all(|(mode, _, _)| *mode == Mode::In);
        let named = parameters.all.iter().any(|(_, _, name)| !name.is_empty());
        let function = Function {
            oid,
            name: name.as_str().into(),
            kind: if statement.procedure { FunctionKind::Procedure } else { FunctionKind::Function },
            language,
            strict: options.strict,
            returns_set,
            volatility: options.volatility,
            parallel: options.parallel,
            leakproof: options.leakproof,
            security_definer: options.security_definer,
            arg_types: arg_types.into(),
            default_count: parameters.defaults.len(),
            defaults: parameters.defaults.into(),
            return_type: result.oid,
            all_arg_types: match plain {
                true => Box::default(),
                false => parameters.all.iter().map(|(_, ty, _)| ty.oid).collect(),
            },
            arg_modes: match plain {
                true => Box::default(),
                false => parameters.all.iter().map(|(mode, _, _)| *mode).collect(),
            },
            arg_names: match named {
                true => parameters.all.iter().map(|(_, _, name)| name.clone()).collect(),
                false => Box::default(),
            },
            variadic: parameters.variadic,
            support: "-".into(),
            cost: options.cost.unwrap_or(100.0),
            rows: options.rows.unwrap_or(if returns_set { 1000.0 } else { 0.0 }),
            source: options.body.take().unwrap_or_default(),
            implementation: Implementation::Routine,
        };
        if let Some(old) = &old {
            self.require_owner_of_routine(old, false)?;
            self.check_replacement(statement, old, &function)?;
        }
        let routine = RoutineDescriptor {
            oid,
            namespace,
            owner: old.as_ref().map_or_else(|| self.state.user_oid(), |old| old.owner),
            function: Arc::new(function),
            sql_body: sql_body.map(Into::into),
            settings: options.settings.into(),
            acl: match &old {
                Some(old) => old.acl.clone(),
                None => self.initial_acl(ochre_catalog::authority::AclKind::Function, namespace),
            },
            comment: old.and_then(|old| old.comment.clone()),
            aggregate: None,
        };
        self.put_routine(routine.clone())?;
        self.txn().advance_command()?;
        if self.state.settings.borrow().show("check_function_bodies").is_ok_and(|value| value == "on") {
            self.check_body(&routine)?;
        }
        Ok(CommandTag::Plain(tag))
    }

    /// What a function is trusted with not to tell is for superusers to say.
    fn require_for_leakproof(&self, leakproof: bool) -> Result<()> {
        if !leakproof || self.state.is_superuser() {
            return Ok(());
        }
        Err(crate::authority::forbidden("only superuser can define a leakproof function"))
    }

    /// Looks a body through.
    fn check_body(&self, routine: &RoutineDescriptor) -> Result<()> {
        let function = &routine.function;
        match function.language {
            Language::PlPgSql => crate::routine::PlCode::new(self, function).map(|_| ()),
            _ => {
                let types: Vec<SqlType> = function.arg_types.iter().map(|oid| self.sql_type(*oid)).collect();
                let result = self.sql_type(function.return_type);
                let polymorphic = |ty: &SqlType| ty.info().is_some_and(|info| info.kind == b'p');
                let code = SqlCode::new(self, routine, &types, result);
                let skip = types.iter().any(polymorphic);
                let checked = code.and_then(|code| if skip { Ok(()) } else { code.check(self, function) });
                checked.map_err(|mut error| {
                    error.fields_mut().position = None;
                    let name = &function.name;
                    if error.sqlstate() == SqlState::SYNTAX_ERROR {
                        return error;
                    }
                    crate::routine::with_context(error, format!("SQL function \"{name}\""))
                })
            }
        }
    }

    pub(super) fn lock_routine_name(&self, namespace: Oid, name: &str) -> Result<()> {
        let process = self.state.process_id;
        let name = format!("{name}()");
        self.state.instance.locks().lock_name(&self.txn().waiter(), process, namespace, &name)
    }

    pub(crate) fn put_routine(&self, routine: RoutineDescriptor) -> Result<()> {
        let transaction = self.transaction.as_ref().expect("N1: a statement runs in a transaction");
        self.state.catalog.borrow_mut().put_routine(&self.state.database, transaction, routine)
    }

    fn function_options(&self, statement: &CreateFunctionStmt) -> Result<Options> {
        let mut options = Options {
            body: None,
            language: None,
            strict: false,
            volatility: Volatility::Volatile,
            security_definer: false,
            leakproof: false,
            cost: None,
            rows: None,
            parallel: b'u',
            settings: Vec::new(),
        };
        let mut seen = Vec::new();
        for option in &statement.options {
            let kind = std::mem::discriminant(&option.kind);
            let at = |error: Error| match option.pos.get() {
                Some(offset) => error.at(offset),
                None => error,
            };
            if seen.contains(&kind) && !matches!(option.kind, Kind::Set(_)) {
                return Err(at(Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options")));
            }
            seen.push(kind);
            let for_procedures = matches!(
                option.kind,
                Kind::As(..)
                    | Kind::Language(_)
                    | Kind::Transform(_)
                    | Kind::SecurityDefiner(_)
                    | Kind::Set(_)
            );
            if statement.procedure && !for_procedures {
                return Err(at(invalid("invalid attribute in procedure definition")));
            }
            match &option.kind {
                Kind::As(body, None) => options.body = Some(body.clone()),
                Kind::As(_, Some(_)) => return Err(invalid("only one AS item needed for language \"sql\"")),
                Kind::Language(name) => options.language = Some(name.as_str().into()),
                Kind::Strict(strict) => options.strict = *strict,
                Kind::Volatility(volatility) => {
                    options.volatility = volatility_of(*volatility);
                }
                Kind::SecurityDefiner(definer) => options.security_definer = *definer,
                Kind::Leakproof(leakproof) => options.leakproof = *leakproof,
                Kind::Cost(cost) => options.cost = Some(positive(cost, "COST")?),
                Kind::Rows(rows) => options.rows = Some(positive(rows, "ROWS")?),
                Kind::Parallel(name) => {
                    options.parallel = parallel_letter(name)?;
                }
                Kind::Transform(_) => return Err(Error::unsupported("TRANSFORM of functions")),
                Kind::Window => return Err(Error::unsupported("WINDOW functions of users")),
                Kind::Support(_) => return Err(Error::unsupported("SUPPORT of functions")),
                Kind::Set(set) => self.apply_setting(&mut options.settings, set)?,
            }
        }
        Ok(options)
    }

    /// Adds a SET clause to a routine's settings, or takes one away.
    fn apply_setting(&self, settings: &mut Vec<Box<str>>, set: &ast::SetStmt) -> Result<()> {
        let (name, value) = match &set.action {
            ast::SetAction::Value { name, values } => {
                (name, Some(crate::session::setting_text(name, values)?))
            }
            ast::SetAction::FromCurrent { name } => (name, Some(self.show(name)?)),
            ast::SetAction::Default { name } | ast::SetAction::Reset { name } => (name, None),
            ast::SetAction::ResetAll => {
                settings.clear();
                return Ok(());
            }
            _ => return Err(Error::unsupported("SET of a transaction's modes in a function's definition")),
        };
        let is_mode = |name: &str| name.starts_with("transaction_") || name == "session_authorization";
        if is_mode(name) {
            return Err(Error::unsupported(format!("SET {name} in a function's definition")));
        }
        let known = crate::settings::find(name).map(|index| crate::settings::SETTINGS[index].name);
        let name: &str = known.unwrap_or(name);
        settings.retain(|setting| setting.split_once('=').is_none_or(|(known, _)| known != name));
        if let Some(value) = value {
            self.state.settings.borrow().check(name, &value)?;
            settings.push(format!("{name}={value}").into());
        }
        Ok(())
    }

    /// ALTER FUNCTION, PROCEDURE and ROUTINE, of options.
    pub(crate) fn alter_function(&self, statement: &ast::AlterFunctionStmt) -> Result<CommandTag> {
        let Some(routine) = self.find_routine(statement.kind, &statement.signature, false)? else {
            return Err(Error::internal("a routine that must be there is not"));
        };
        self.require_owner_of_routine(&routine, false)?;
        self.lock_routine_name(routine.namespace, routine.name())?;
        let mut function = copy_function(&routine.function);
        let mut settings = routine.settings.to_vec();
        for option in &statement.options {
            let for_procedures = matches!(option.kind, Kind::SecurityDefiner(_) | Kind::Set(_));
            if function.kind == FunctionKind::Procedure && !for_procedures {
                return Err(invalid("invalid attribute in procedure definition"));
            }
            match &option.kind {
                Kind::Strict(strict) => function.strict = *strict,
                Kind::Volatility(volatility) => function.volatility = volatility_of(*volatility),
                Kind::SecurityDefiner(definer) => function.security_definer = *definer,
                Kind::Leakproof(leakproof) => {
                    self.require_for_leakproof(*leakproof)?;
                    function.leakproof = *leakproof;
                }
                Kind::Cost(cost) => function.cost = positive(cost, "COST")?,
                Kind::Rows(_) if !function.returns_set => {
                    return Err(Error::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        "ROWS is not applicable when function does not return a set",
                    ));
                }
                Kind::Rows(rows) => function.rows = positive(rows, "ROWS")?,
                Kind::Parallel(name) => function.parallel = parallel_letter(name)?,
                Kind::Set(set) => self.apply_setting(&mut settings, set)?,
                _ => return Err(Error::unsupported("this option of ALTER FUNCTION")),
            }
        }
        let mut changed = (*routine).clone();
        changed.function = Arc::new(function);
        changed.settings = settings.into();
        self.put_routine(changed)?;
        Ok(altered(statement.kind))
    }

    /// A parameter's or result's type; `table.column%TYPE` is the column's.
    pub(crate) fn routine_type(&self, name: &TypeName) -> Result<SqlType> {
        let mut plain = name.clone();
        plain.setof = false;
        if !name.percent_type {
            return self.bind_type(&plain);
        }
        let parts: Vec<String> = name.parts.iter().map(|part| part.to_string()).collect();
        let ty = self.type_of_column(&parts)?;
        self.state.notice(Error::with_severity(
            Severity::Notice,
            SqlState::SUCCESSFUL_COMPLETION,
            format!("type reference {}%TYPE converted to {}", parts.join("."), self.type_name_text(ty)),
        ));
        Ok(ty.with_typmod(-1))
    }

    /// The type of `table.column`, for `%TYPE`.
    ///
    /// # Errors
    /// 42P01, 42703; 42704 for a name alone.
    pub(crate) fn type_of_column(&self, parts: &[String]) -> Result<SqlType> {
        let Some((column, table)) = parts.split_last().filter(|(_, table)| !table.is_empty()) else {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("variable \"{}\" does not exist", parts.join(".")),
            ));
        };
        let relation = self.state.find_by_parts(table)?;
        let relation = relation.ok_or_else(|| crate::errors::undefined_table(table.join(".")))?;
        let found = relation.column_named(column);
        Ok(found.ok_or_else(|| crate::errors::undefined_column(column, &relation.name))?.ty)
    }

    fn function_parameters(&self, statement: &CreateFunctionStmt, language: Language) -> Result<Parameters> {
        let mut found = Parameters::default();
        for parameter in &statement.params {
            let at = |error: Error| match parameter.pos.get() {
                Some(offset) => error.at(offset),
                None => error,
            };
            if parameter.type_name.setof {
                return Err(at(invalid("functions cannot accept set arguments")));
            }
            let ty = self.routine_type(&parameter.type_name)?;
            let mode = match parameter.mode {
                ParameterMode::Default | ParameterMode::In => Mode::In,
                ParameterMode::Out => Mode::Out,
                ParameterMode::InOut => Mode::InOut,
                ParameterMode::Variadic => Mode::Variadic,
                ParameterMode::Table => Mode::Table,
            };
            let is_input = matches!(mode, Mode::In | Mode::InOut | Mode::Variadic);
            let pseudo = ty.info().is_some_and(|info| info.kind == b'p');
            if pseudo && !allowed_pseudo(ty, is_input, language) {
                let what = if language == Language::Sql { "SQL" } else { "PL/pgSQL" };
                let text = self.type_name_text(ty);
                return Err(match language {
                    Language::Sql => {
                        at(invalid(format!("{what} functions cannot have arguments of type {text}")))
                    }
                    _ => at(Error::unsupported(format!("{what} functions cannot accept type {text}"))),
                });
            }
            if is_input {
                if found.variadic.is_valid() {
                    return Err(at(invalid("VARIADIC parameter must be the last input parameter")));
                }
                found.inputs.push(ty);
            }
            if matches!(mode, Mode::Out | Mode::InOut | Mode::Table) {
                found.outputs.push(ty);
            }
            found.table |= mode == Mode::Table;
            if mode == Mode::Variadic {
                found.variadic = match ty.oid {
                    oids::ANY => oids::ANY,
                    oids::ANYARRAY => oids::ANYELEMENT,
                    oids::ANYCOMPATIBLEARRAY => oids::ANYCOMPATIBLE,
                    _ => ty.element().ok_or_else(|| at(invalid("VARIADIC parameter must be an array")))?.oid,
                };
            }
            let name: Box<str> = parameter.name.as_ref().map(|name| name.as_str().into()).unwrap_or_default();
            let clashes = |(other, _, known): &(Mode, SqlType, Box<str>)| {
                // An input and an output column of one name live together only in RETURNS TABLE's absence.
                let other_input = matches!(other, Mode::In | Mode::Variadic);
                let pure = matches!(mode, Mode::Out | Mode::Table);
                *known == name && !(other_input && pure && mode == Mode::Out && statement.procedure)
            };
            if !name.is_empty() && found.all.iter().any(clashes) {
                return Err(at(invalid(format!("parameter name \"{name}\" used more than once"))));
            }
            found.all.push((mode, ty, name));
            match &parameter.default {
                Some(_) if !is_input => {
                    return Err(at(invalid("only input parameters can have default values")));
                }
                Some(default) => found.defaults.push(self.default_text(default, ty)?),
                None if is_input && !found.defaults.is_empty() => {
                    return Err(at(invalid(
                        "input parameters after one with a default value must also have defaults",
                    )));
                }
                None => {}
            }
        }
        Ok(found)
    }

    fn default_text(&self, default: &ast::Expr, ty: SqlType) -> Result<Box<str>> {
        let context = StatementSession::new(self);
        let catalog = self.state.catalog();
        let path = self.state.search_path();
        let mut none = ParamTypes::none();
        let target = ty.info().is_none_or(|info| info.kind != b'p').then_some(ty);
        let bound = bind_typed_expression(&catalog, &path, &context, &mut none, default, target)?;
        Ok(constant_text(&catalog, &bound).into())
    }

    /// What the function returns, and whether a set.
    fn function_result(
        &self,
        statement: &CreateFunctionStmt,
        parameters: &Parameters,
    ) -> Result<(SqlType, bool)> {
        let from_outputs = match parameters.outputs.as_slice() {
            [] => None,
            [one] if !parameters.table || parameters.outputs.len() == 1 => Some(*one),
            _ => Some(SqlType::RECORD),
        };
        if statement.procedure {
            let record = if parameters.outputs.is_empty() { SqlType::VOID } else { SqlType::RECORD };
            return Ok((record, false));
        }
        let Some(returns) = &statement.returns else {
            let result = from_outputs.ok_or_else(|| invalid("function result type must be specified"))?;
            return Ok((result, parameters.table));
        };
        let mut declared = self.routine_type(returns)?;
        if let Some(wanted) = from_outputs
            && wanted.oid != declared.oid
        {
            return Err(invalid(format!(
                "function result type must be {} because of OUT parameters",
                self.type_name_text(wanted)
            )));
        }
        let polymorphic = |ty: &SqlType| {
            matches!(ty.oid, oids::ANYELEMENT | oids::ANYARRAY | oids::ANYNONARRAY | oids::ANYENUM)
        };
        if polymorphic(&declared) && !parameters.inputs.iter().any(polymorphic) {
            let text = self.type_name_text(declared);
            return Err(invalid("cannot determine result data type").detail(format!(
                "A result of type {text} requires at least one input of type anyelement, anyarray, anynonarray, anyenum, anyrange, or anymultirange."
            )));
        }
        declared = declared.with_typmod(-1);
        Ok((declared, returns.setof))
    }

    fn check_replacement(
        &self,
        statement: &CreateFunctionStmt,
        old: &RoutineDescriptor,
        new: &Function,
    ) -> Result<()> {
        let before = &old.function;
        if !statement.or_replace {
            return Err(Error::new(
                SqlState::DUPLICATE_FUNCTION,
                format!("function \"{}\" already exists with same argument types", new.name),
            ));
        }
        if before.kind != new.kind {
            let what = if before.kind == FunctionKind::Procedure { "procedure" } else { "function" };
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, "cannot change routine kind")
                .detail(format!("\"{}\" is a {what}.", new.name)));
        }
        let word = if new.kind == FunctionKind::Procedure { "PROCEDURE" } else { "FUNCTION" };
        let hint = format!("Use DROP {word} {} first.", signature(self, before));
        if before.return_type != new.return_type || before.returns_set != new.returns_set {
            return Err(invalid("cannot change return type of existing function").hint(hint));
        }
        let rows = |function: &Function| -> Vec<(String, Oid)> {
            function.output_columns().into_iter().map(|(name, oid)| (name.to_owned(), oid)).collect()
        };
        if new.return_type == oids::RECORD && rows(before) != rows(new) {
            return Err(invalid("cannot change return type of existing function")
                .detail("Row type defined by OUT parameters is different.")
                .hint(hint));
        }
        let names = crate::routine::input_names;
        for (was, is) in names(before).iter().zip(&names(new)) {
            if !was.is_empty() && was != is {
                return Err(invalid(format!("cannot change name of input parameter \"{was}\"")).hint(hint));
            }
        }
        if new.default_count < before.default_count {
            return Err(invalid("cannot remove parameter defaults from existing function").hint(hint));
        }
        Ok(())
    }

    /// DROP FUNCTION, PROCEDURE and ROUTINE.
    pub(crate) fn drop_routines(&self, statement: &DropStmt) -> Result<CommandTag> {
        let tag = match statement.kind {
            ObjectKind::Procedure => "DROP PROCEDURE",
            ObjectKind::Routine => "DROP ROUTINE",
            ObjectKind::Aggregate => "DROP AGGREGATE",
            _ => "DROP FUNCTION",
        };
        let mut doomed = Vec::new();
        for object in &statement.objects {
            let ObjectRef::Routine { kind, signature } = object else {
                return Err(Error::internal("a routine is dropped by its signature"));
            };
            if let Some(routine) = self.find_routine(*kind, signature, statement.if_exists)? {
                self.require_owner_of_routine(&routine, true)?;
                doomed.push(routine.oid);
            }
        }
        for oid in doomed {
            self.drop_routine(oid, statement.behavior)?;
        }
        Ok(CommandTag::Plain(tag))
    }

    /// The routine that a signature means.
    pub(crate) fn find_routine(
        &self,
        kind: ObjectKind,
        wanted: &RoutineSignature,
        if_exists: bool,
    ) -> Result<Option<Arc<RoutineDescriptor>>> {
        let catalog = self.state.catalog();
        let word = match kind {
            ObjectKind::Procedure => "procedure",
            ObjectKind::Routine => "routine",
            ObjectKind::Aggregate => "aggregate",
            _ => "function",
        };
        let name = wanted.name.name();
        let namespaces: Vec<Oid> = match wanted.name.schema() {
            Some(schema) => match self.state.namespace_named(&catalog, schema) {
                Some(namespace) => {
                    self.state.require_namespace(namespace)?;
                    vec![namespace]
                }
                None if if_exists => Vec::new(),
                None => return Err(crate::errors::undefined_schema(schema)),
            },
            None => self.state.search_path().to_vec(),
        };
        let mut types: Option<Vec<Oid>> = None;
        let mut shown = wanted.name.to_string();
        let params = wanted.args.as_ref().map(|args| match args {
            SignatureArgs::Params(params) => (params.iter().collect::<Vec<_>>(), false),
            SignatureArgs::Aggregate(args) => {
                (args.direct.iter().chain(args.ordered.iter().flatten()).collect(), args.star)
            }
        });
        if let Some((params, star)) = params {
            let mut list = Vec::new();
            for param in params {
                if matches!(param.mode, ParameterMode::Out | ParameterMode::Table) {
                    continue;
                }
                list.push(self.routine_type(&param.type_name)?);
            }
            let texts: Vec<String> = list.iter().map(|ty| self.type_name_text(*ty)).collect();
            shown = format!("{shown}({})", if star { "*".to_owned() } else { texts.join(",") });
            types = Some(list.iter().map(|ty| ty.oid).collect());
        }
        let mut found: Vec<Arc<RoutineDescriptor>> = Vec::new();
        for namespace in namespaces {
            let own = catalog.routines_named(name).iter().filter(|routine| routine.namespace == namespace);
            for routine in own {
                let fits = types.as_ref().is_none_or(|types| *routine.function.arg_types == **types);
                let is_kind = match kind {
                    ObjectKind::Routine => true,
                    ObjectKind::Procedure => routine.function.kind == FunctionKind::Procedure,
                    ObjectKind::Aggregate => routine.function.kind == FunctionKind::Aggregate,
                    _ => routine.function.kind == FunctionKind::Function,
                };
                if fits && is_kind && (types.is_none() || found.is_empty()) {
                    found.push(Arc::clone(routine));
                } else if fits && !is_kind && types.is_some() {
                    let signature = signature(self, &routine.function);
                    return Err(Error::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!("{signature} is not a {word}"),
                    ));
                }
            }
        }
        match found.as_slice() {
            [one] => Ok(Some(Arc::clone(one))),
            [] => {
                let builtin = ochre_expr::functions_named(name)
                    .iter()
                    .any(|function| types.as_ref().is_none_or(|types| *function.arg_types == **types));
                if builtin && wanted.name.schema().is_none_or(|schema| schema.as_str() == "pg_catalog") {
                    return Err(Error::new(
                        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                        format!("cannot drop function {shown} because it is required by the database system"),
                    ));
                }
                if if_exists {
                    self.state.notice(Error::with_severity(
                        Severity::Notice,
                        SqlState::SUCCESSFUL_COMPLETION,
                        format!(
                            "{word} {shown}{} does not exist, skipping",
                            if types.is_none() { "()" } else { "" }
                        ),
                    ));
                    return Ok(None);
                }
                Err(Error::new(
                    SqlState::UNDEFINED_FUNCTION,
                    match types {
                        Some(_) => format!("{word} {shown} does not exist"),
                        None => format!("could not find a {word} named \"{shown}\""),
                    },
                ))
            }
            _ => Err(Error::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("{word} name \"{shown}\" is not unique"),
            )
            .hint(format!("Specify the argument list to select the {word} unambiguously."))),
        }
    }

    pub(crate) fn routine_shown(&self, routine: &RoutineDescriptor) -> String {
        let word = if routine.function.kind == FunctionKind::Procedure { "procedure" } else { "function" };
        let hidden = !self.state.search_path().contains(&routine.namespace);
        let schema = match hidden {
            true => format!("{}.", self.namespace_name(routine.namespace)),
            false => String::new(),
        };
        format!("{word} {schema}{}", signature(self, &routine.function))
    }

    /// Drops a routine, and with CASCADE what uses it.
    pub(crate) fn drop_routine(&self, oid: Oid, behavior: Behavior) -> Result<()> {
        let Some(routine) = self.routine(oid) else { return Ok(()) };
        self.lock_routine_name(routine.namespace, routine.name())?;
        let shown = self.routine_shown(&routine);
        let dependents = self.dependents_by_text(oid);
        if !dependents.is_empty() {
            if behavior == Behavior::Restrict {
                let lines: Vec<String> =
                    dependents.iter().map(|(what, _)| format!("{what} depends on {shown}")).collect();
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!("cannot drop {shown} because other objects depend on it"),
                )
                .detail(lines.join("\n"))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
            }
            let told: Vec<String> =
                dependents.iter().map(|(what, _)| format!("drop cascades to {what}")).collect();
            let notice = |message: String| {
                Error::with_severity(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message)
            };
            self.state.notice(match told.as_slice() {
                [one] => notice(one.clone()),
                more => {
                    notice(format!("drop cascades to {} other objects", more.len())).detail(more.join("\n"))
                }
            });
            for (_, dependent) in dependents {
                self.drop_dependent(dependent)?;
            }
        }
        let transaction = self.transaction.as_ref().expect("N1: a statement runs in a transaction");
        self.state.catalog.borrow_mut().drop_routine(&self.state.database, transaction, oid)
    }

    /// What uses a routine, or a relation's row type in its texts, each with its name in messages.
    pub(super) fn dependents_by_text(&self, oid: Oid) -> Vec<(String, Dependent)> {
        let wanted = oid_text(oid);
        let catalog = self.state.catalog();
        let mut found = Vec::new();
        let mut relations: Vec<_> =
            catalog.relations().filter(|relation| !relation.builtin).cloned().collect();
        relations.sort_by_key(|relation| relation.oid);
        for relation in relations {
            let table = self.relation_text(&relation);
            if relation.view_query.as_ref().is_some_and(|text| text.contains(&wanted)) {
                found.push((format!("{} {table}", relation.kind.word()), Dependent::Relation(relation.oid)));
            }
            for column in relation.live_columns() {
                if column.default.as_ref().is_some_and(|(_, text)| text.contains(&wanted)) {
                    let what = match column.generated {
                        Some(_) => format!("column {} of table {table}", column.name),
                        None => format!(
                            "default value for column {} of {} {table}",
                            column.name,
                            relation.kind.word()
                        ),
                    };
                    found.push((what, Dependent::Default(relation.oid, column.number)));
                }
            }
            for constraint in &relation.constraints {
                if constraint.expression.as_ref().is_some_and(|text| text.contains(&wanted)) {
                    let what = format!("constraint {} on table {table}", constraint.name);
                    found.push((what, Dependent::Constraint(relation.oid, constraint.oid)));
                }
            }
            for trigger in &relation.triggers {
                let uses = trigger.condition.as_ref().is_some_and(|text| text.contains(&wanted));
                if trigger.function == oid || uses {
                    let kind = relation.kind.word();
                    let what = format!("trigger {} on {kind} {table}", trigger.name);
                    found.push((what, Dependent::Trigger(relation.oid, trigger.oid)));
                }
            }
            if let Some(index) = &relation.index {
                let keys = index.keys.iter().filter_map(|key| key.expression.as_ref());
                if keys.chain(&index.predicate).any(|text| text.contains(&wanted)) {
                    found.push((format!("index {table}"), Dependent::Relation(relation.oid)));
                }
            }
        }
        let mut routines: Vec<_> = catalog.routines().filter(|routine| routine.oid != oid).cloned().collect();
        routines.sort_by_key(|routine| routine.oid);
        for routine in routines {
            let calls =
                routine.aggregate.as_ref().is_some_and(|aggregate| aggregate.functions.contains(&oid));
            if calls || routine.function.defaults.iter().any(|text| text.contains(&wanted)) {
                found.push((self.routine_shown(&routine), Dependent::Routine(routine.oid)));
            }
        }
        found
    }

    pub(super) fn drop_dependent(&self, dependent: Dependent) -> Result<()> {
        match dependent {
            Dependent::Relation(oid) => {
                if self.state.catalog().relation(oid).is_some() {
                    self.drop_relations(&[oid], Behavior::Cascade)?;
                }
            }
            Dependent::Default(table, column) => {
                self.lock_relation(table, RelationLockMode::AccessExclusive)?;
                let mut changed = (*self.relation(table)).clone();
                let place = &mut changed.columns[column as usize - 1];
                if place.generated.is_some() {
                    return Err(Error::unsupported("dropping a generated column with its function"));
                }
                place.default = None;
                self.put_relation(changed)?;
            }
            Dependent::Constraint(table, constraint) => {
                self.lock_relation(table, RelationLockMode::AccessExclusive)?;
                let mut changed = (*self.relation(table)).clone();
                changed.constraints.retain(|known| known.oid != constraint);
                self.put_relation(changed)?;
            }
            Dependent::Trigger(table, trigger) => {
                self.lock_relation(table, RelationLockMode::AccessExclusive)?;
                let mut changed = (*self.relation(table)).clone();
                changed.triggers.retain(|known| known.oid != trigger);
                self.put_relation(changed)?;
            }
            Dependent::Routine(oid) => self.drop_routine(oid, Behavior::Cascade)?,
        }
        Ok(())
    }

    /// The routines of a namespace, in the order of their ids.
    pub(crate) fn routines_in(&self, namespace: Oid) -> Vec<(String, Oid)> {
        let catalog = self.state.catalog();
        let mut inside: Vec<_> =
            catalog.routines().filter(|routine| routine.namespace == namespace).cloned().collect();
        inside.sort_by_key(|routine| routine.oid);
        inside.iter().map(|routine| (self.routine_shown(routine), routine.oid)).collect()
    }

    /// Renames a routine.
    pub(crate) fn rename_routine(
        &self,
        kind: ObjectKind,
        wanted: &RoutineSignature,
        new_name: &str,
    ) -> Result<CommandTag> {
        let Some(routine) = self.find_routine(kind, wanted, false)? else {
            return Err(Error::internal("a routine that must be there is not"));
        };
        self.require_owner_of_routine(&routine, false)?;
        self.state.require_creation(routine.namespace)?;
        self.lock_routine_name(routine.namespace, new_name)?;
        self.refuse_twin(routine.namespace, new_name, &routine.function)?;
        let mut changed = (*routine).clone();
        let mut function = copy_function(&routine.function);
        function.name = new_name.into();
        changed.function = Arc::new(function);
        self.put_routine(changed)?;
        Ok(altered(kind))
    }

    fn refuse_twin(&self, namespace: Oid, name: &str, function: &Function) -> Result<()> {
        if self.state.catalog().routine_in(namespace, name, &function.arg_types).is_none() {
            return Ok(());
        }
        let types: Vec<String> =
            function.arg_types.iter().map(|oid| self.type_name_text(self.sql_type(*oid))).collect();
        Err(Error::new(
            SqlState::DUPLICATE_FUNCTION,
            format!(
                "function {name}({}) already exists in schema \"{}\"",
                types.join(", "),
                self.namespace_name(namespace)
            ),
        ))
    }

    /// Moves a routine to another namespace.
    pub(crate) fn move_routine(
        &self,
        kind: ObjectKind,
        wanted: &RoutineSignature,
        namespace: Oid,
    ) -> Result<CommandTag> {
        let Some(routine) = self.find_routine(kind, wanted, false)? else {
            return Err(Error::internal("a routine that must be there is not"));
        };
        self.require_owner_of_routine(&routine, false)?;
        self.state.require_creation(namespace)?;
        self.lock_routine_name(namespace, routine.name())?;
        self.refuse_twin(namespace, routine.name(), &routine.function)?;
        let mut changed = (*routine).clone();
        changed.namespace = namespace;
        self.put_routine(changed)?;
        Ok(altered(kind))
    }
}

/// What goes with a routine.
pub(super) enum Dependent {
    Relation(Oid),
    Default(Oid, i16),
    Constraint(Oid, Oid),
    Trigger(Oid, Oid),
    Routine(Oid),
}

fn altered(kind: ObjectKind) -> CommandTag {
    CommandTag::Plain(match kind {
        ObjectKind::Procedure => "ALTER PROCEDURE",
        ObjectKind::Routine => "ALTER ROUTINE",
        ObjectKind::Aggregate => "ALTER AGGREGATE",
        _ => "ALTER FUNCTION",
    })
}

/// A function that can be changed.
fn copy_function(function: &Function) -> Function {
    Function {
        oid: function.oid,
        name: function.name.clone(),
        kind: function.kind,
        language: function.language,
        strict: function.strict,
        returns_set: function.returns_set,
        volatility: function.volatility,
        parallel: function.parallel,
        leakproof: function.leakproof,
        security_definer: function.security_definer,
        arg_types: function.arg_types.clone(),
        default_count: function.default_count,
        defaults: function.defaults.clone(),
        return_type: function.return_type,
        all_arg_types: function.all_arg_types.clone(),
        arg_modes: function.arg_modes.clone(),
        arg_names: function.arg_names.clone(),
        variadic: function.variadic,
        support: function.support.clone(),
        cost: function.cost,
        rows: function.rows,
        source: function.source.clone(),
        implementation: Implementation::Routine,
    }
}

fn volatility_of(volatility: ast::Volatility) -> Volatility {
    match volatility {
        ast::Volatility::Immutable => Volatility::Immutable,
        ast::Volatility::Stable => Volatility::Stable,
        ast::Volatility::Volatile => Volatility::Volatile,
    }
}

fn parallel_letter(name: &str) -> Result<u8> {
    match name {
        "safe" => Ok(b's'),
        "restricted" => Ok(b'r'),
        "unsafe" => Ok(b'u'),
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "parameter \"parallel\" must be SAFE, RESTRICTED, or UNSAFE",
        )),
    }
}

fn positive(value: &NumericValue, what: &str) -> Result<f32> {
    let number = match value {
        NumericValue::Integer(value) => *value as f32,
        NumericValue::Other(text) => text.parse().unwrap_or(0.0),
    };
    if number > 0.0 {
        return Ok(number);
    }
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("{what} must be positive")))
}

/// Whether a pseudo-type may be a parameter's.
fn allowed_pseudo(ty: SqlType, input: bool, language: Language) -> bool {
    match ty.oid {
        oid if is_polymorphic(oid) => true,
        oids::RECORD => input || language == Language::PlPgSql,
        _ => false,
    }
}
