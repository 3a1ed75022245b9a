//! CREATE AGGREGATE.
//!
//! # Role
//! An aggregate is a routine without a body of its own: a row of `pg_proc`, and one of `pg_aggregate` that names the functions
//! that it calls. It depends on them.
//!
//! # Not done
//! Ordered-set and hypothetical-set aggregates, and states of type `internal`. Functions for moving frames and those that join
//! states are kept and shown, and have the right types; frames are aggregated anew instead.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::{AggregateDescriptor, RoutineDescriptor};
use ochre_expr::{Function, FunctionKind, FunctionRef, Implementation, Language, ParameterMode, Volatility};
use ochre_parser::ast::{self, DefElem, DefValue, DefineName, DefineStmt, NumericValue, ObjectName};
use ochre_sql::bind::{fitting_result, is_polymorphic};
use ochre_types::{SqlType, oids, parse_text};

use crate::session::{Session, option_flag};
use crate::tag::CommandTag;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_FUNCTION_DEFINITION, message)
}

fn syntax(message: impl Into<String>) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

/// The clauses of a definition.
#[derive(Default)]
struct Clauses {
    /// As in [`AggregateDescriptor::functions`].
    functions: [Option<ObjectName>; 8],
    final_extra: bool,
    moving_final_extra: bool,
    final_modify: Option<u8>,
    moving_final_modify: Option<u8>,
    sort_operator: Option<ast::Operator>,
    base: Option<DefValue>,
    state: Option<ast::TypeName>,
    state_space: i32,
    moving_state: Option<ast::TypeName>,
    moving_state_space: i32,
    initial: Option<Arc<str>>,
    moving_initial: Option<Arc<str>>,
    parallel: Option<u8>,
}

/// The arguments of an aggregate.
#[derive(Default)]
struct Arguments {
    types: Vec<SqlType>,
    names: Vec<Box<str>>,
    modes: Vec<ParameterMode>,
    variadic: Oid,
}

impl Session {
    pub(crate) fn create_aggregate(&self, statement: &DefineStmt) -> Result<CommandTag> {
        let DefineName::Name(full_name) = &statement.name else {
            return Err(Error::internal("an aggregate is named like a function"));
        };
        let namespace = self.creation_namespace(full_name)?;
        let name = full_name.name();
        let clauses = self.aggregate_clauses(statement.definition.as_deref().unwrap_or_default())?;
        let arguments = self.aggregate_arguments(statement, &clauses)?;
        let state = clauses.state.as_ref().ok_or_else(|| invalid("aggregate stype must be specified"))?;
        let state = self.routine_type(state)?;
        if clauses.functions[0].is_none() {
            return Err(invalid("aggregate sfunc must be specified"));
        }
        let moving_state = clauses.moving_state.as_ref().map(|ty| self.routine_type(ty)).transpose()?;
        self.check_moving(&clauses, moving_state)?;
        for ty in [Some(state), moving_state].into_iter().flatten() {
            if ty.oid == oids::INTERNAL {
                return Err(Error::unsupported("an aggregate with a state of type internal"));
            }
            let pseudo = ty.info().is_some_and(|info| info.kind == b'p');
            if pseudo && !is_polymorphic(ty.oid) {
                let text = self.type_name_text(ty);
                return Err(invalid(format!("aggregate transition data type cannot be {text}")));
            }
        }
        let args: Vec<Oid> = arguments.types.iter().map(|ty| ty.oid).collect();
        if is_polymorphic(state.oid) && !args.iter().any(|ty| is_polymorphic(*ty)) {
            return Err(invalid("cannot determine transition data type").detail(format!(
                "A result of type {} requires at least one input of type anyelement, anyarray, anynonarray, anyenum, anyrange, or anymultirange.",
                self.type_name_text(state)
            )));
        }
        let (functions, result) = self.aggregate_functions(&clauses, state, moving_state, &args)?;
        for (ty, text) in [(Some(state), &clauses.initial), (moving_state, &clauses.moving_initial)] {
            if let (Some(ty), Some(text)) = (ty, text)
                && !is_polymorphic(ty.oid)
            {
                parse_text(ty, text, &self.state.format_context())?;
            }
        }
        let sort_operator = match &clauses.sort_operator {
            None => Oid::INVALID,
            Some(operator) => self.aggregate_sort_operator(operator, &args)?,
        };
        self.lock_routine_name(namespace, name)?;
        let old = self.state.catalog().routine_in(namespace, name, &args).cloned();
        let oid = old.as_ref().map_or_else(|| self.new_oid(), |old| old.oid);
        let plain = arguments.modes.iter().all(|mode| *mode == ParameterMode::In);
        let named = arguments.names.iter().any(|name| !name.is_empty());
        let function = Function {
            oid,
            name: name.as_str().into(),
            kind: FunctionKind::Aggregate,
            language: Language::Internal,
            strict: false,
            returns_set: false,
            volatility: Volatility::Immutable,
            parallel: clauses.parallel.unwrap_or(b'u'),
            leakproof: false,
            security_definer: false,
            arg_types: args.clone().into(),
            default_count: 0,
            defaults: Box::default(),
            return_type: result,
            all_arg_types: if plain { Box::default() } else { args.into() },
            arg_modes: if plain { Box::default() } else { arguments.modes.into() },
            arg_names: if named { arguments.names.into() } else { Box::default() },
            variadic: arguments.variadic,
            support: "-".into(),
            cost: 1.0,
            rows: 0.0,
            source: "aggregate_dummy".into(),
            implementation: Implementation::Aggregate,
        };
        if let Some(old) = &old {
            self.check_aggregate_replacement(statement.or_replace, old, &function)?;
        }
        let aggregate = AggregateDescriptor {
            functions,
            final_extra: clauses.final_extra,
            moving_final_extra: clauses.moving_final_extra,
            final_modify: clauses.final_modify.unwrap_or(b'r'),
            moving_final_modify: clauses.moving_final_modify.unwrap_or(b'r'),
            sort_operator,
            state: state.oid,
            state_space: clauses.state_space,
            moving_state: moving_state.map_or(Oid::INVALID, |ty| ty.oid),
            moving_state_space: clauses.moving_state_space,
            initial: clauses.initial,
            moving_initial: clauses.moving_initial,
        };
        self.put_routine(RoutineDescriptor {
            oid,
            namespace,
            owner: old.as_ref().map_or_else(|| self.state.user_oid(), |old| old.owner),
            function: Arc::new(function),
            sql_body: None,
            settings: Arc::default(),
            acl: match &old {
                Some(old) => old.acl.clone(),
                None => self.initial_acl(ochre_catalog::authority::AclKind::Function, namespace),
            },
            comment: old.and_then(|old| old.comment.clone()),
            aggregate: Some(Arc::new(aggregate)),
        })?;
        Ok(CommandTag::Plain("CREATE AGGREGATE"))
    }

    fn check_aggregate_replacement(
        &self,
        or_replace: bool,
        old: &RoutineDescriptor,
        function: &Function,
    ) -> Result<()> {
        if !or_replace {
            return Err(Error::new(
                SqlState::DUPLICATE_FUNCTION,
                format!("function \"{}\" already exists with same argument types", function.name),
            ));
        }
        self.require_owner_of_routine(old, false)?;
        if old.function.kind != FunctionKind::Aggregate {
            let kind = if old.function.kind == FunctionKind::Procedure { "procedure" } else { "function" };
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, "cannot change routine kind")
                .detail(format!("\"{}\" is a {kind}.", function.name)));
        }
        if old.function.return_type != function.return_type {
            return Err(invalid("cannot change return type of existing function").hint(format!(
                "Use DROP AGGREGATE {} first.",
                crate::routine::signature(self, &old.function)
            )));
        }
        if !old.function.arg_names.is_empty() && old.function.arg_names != function.arg_names {
            return Err(invalid("cannot change name of input parameter of an aggregate"));
        }
        Ok(())
    }

    fn aggregate_clauses(&self, definition: &[DefElem]) -> Result<Clauses> {
        let mut clauses = Clauses::default();
        for elem in definition {
            let function =
                |at: usize| -> Result<(usize, Option<ObjectName>)> { Ok((at, Some(qualified_name(elem)?))) };
            let named = match elem.name.as_str() {
                "sfunc" | "sfunc1" => Some(function(0)?),
                "finalfunc" => Some(function(1)?),
                "combinefunc" => Some(function(2)?),
                "serialfunc" => Some(function(3)?),
                "deserialfunc" => Some(function(4)?),
                "msfunc" => Some(function(5)?),
                "minvfunc" => Some(function(6)?),
                "mfinalfunc" => Some(function(7)?),
                _ => None,
            };
            if let Some((at, name)) = named {
                clauses.functions[at] = name;
                continue;
            }
            match elem.name.as_str() {
                "finalfunc_extra" => clauses.final_extra = option_flag(elem)?,
                "mfinalfunc_extra" => clauses.moving_final_extra = option_flag(elem)?,
                "finalfunc_modify" => clauses.final_modify = Some(modify(elem)?),
                "mfinalfunc_modify" => clauses.moving_final_modify = Some(modify(elem)?),
                "sortop" => {
                    clauses.sort_operator = match &elem.value {
                        Some(DefValue::Operator(operator)) => Some(operator.clone()),
                        _ => return Err(syntax(format!("argument of {} must be a name", elem.name))),
                    }
                }
                "basetype" => clauses.base = elem.value.clone(),
                "hypothetical" if !option_flag(elem)? => {}
                "hypothetical" => return Err(Error::unsupported("a hypothetical-set aggregate of users")),
                "stype" | "stype1" => clauses.state = Some(type_of(elem)?),
                "sspace" => clauses.state_space = number(elem)?,
                "mstype" => clauses.moving_state = Some(type_of(elem)?),
                "msspace" => clauses.moving_state_space = number(elem)?,
                "initcond" | "initcond1" => clauses.initial = Some(text_of(elem)?),
                "minitcond" => clauses.moving_initial = Some(text_of(elem)?),
                "parallel" => {
                    clauses.parallel = Some(match &*text_of(elem)? {
                        "safe" => b's',
                        "restricted" => b'r',
                        "unsafe" => b'u',
                        _ => {
                            return Err(syntax("parameter \"parallel\" must be SAFE, RESTRICTED, or UNSAFE"));
                        }
                    });
                }
                other => self.state.notice(Error::with_severity(
                    Severity::Warning,
                    SqlState::SYNTAX_ERROR,
                    format!("aggregate attribute \"{other}\" not recognized"),
                )),
            }
        }
        Ok(clauses)
    }

    fn aggregate_arguments(&self, statement: &DefineStmt, clauses: &Clauses) -> Result<Arguments> {
        let mut found = Arguments::default();
        let Some(args) = &statement.args else {
            let Some(base) = &clauses.base else {
                return Err(invalid("aggregate input type must be specified"));
            };
            match base {
                DefValue::Star => {}
                DefValue::String(text) if text.eq_ignore_ascii_case("any") => {}
                DefValue::Type(name) if name.parts.len() == 1 && name.name().eq_ignore_ascii_case("any") => {}
                DefValue::Type(name) => found.types.push(self.routine_type(name)?),
                _ => return Err(syntax("argument of basetype must be a type name")),
            }
            found.names.resize(found.types.len(), Box::default());
            found.modes.resize(found.types.len(), ParameterMode::In);
            return Ok(found);
        };
        if clauses.base.is_some() {
            return Err(invalid("basetype is redundant with aggregate input type specification"));
        }
        if args.ordered.is_some() {
            return Err(Error::unsupported("an ordered-set aggregate of users"));
        }
        for parameter in &args.direct {
            if found.variadic.is_valid() {
                return Err(invalid("VARIADIC parameter must be the last input parameter"));
            }
            let ty = self.routine_type(&parameter.type_name)?;
            let mode = match parameter.mode {
                ast::ParameterMode::Default | ast::ParameterMode::In => ParameterMode::In,
                ast::ParameterMode::Variadic => ParameterMode::Variadic,
                _ => return Err(invalid("aggregates cannot have output arguments")),
            };
            if parameter.default.is_some() {
                return Err(invalid("aggregates cannot have default arguments"));
            }
            if mode == ParameterMode::Variadic {
                found.variadic = match ty.oid {
                    oids::ANY => oids::ANY,
                    oids::ANYARRAY => oids::ANYELEMENT,
                    oids::ANYCOMPATIBLEARRAY => oids::ANYCOMPATIBLE,
                    _ => ty.element().ok_or_else(|| invalid("VARIADIC parameter must be an array"))?.oid,
                };
            }
            let name = parameter.name.as_ref().map(|name| Box::from(name.as_str()));
            found.names.push(name.unwrap_or_default());
            found.types.push(ty);
            found.modes.push(mode);
        }
        Ok(found)
    }

    fn check_moving(&self, clauses: &Clauses, moving_state: Option<SqlType>) -> Result<()> {
        let [.., forward, inverse, finish] = &clauses.functions;
        if moving_state.is_some() {
            return match (forward, inverse) {
                (None, _) => Err(invalid("aggregate msfunc must be specified when mstype is specified")),
                (_, None) => Err(invalid("aggregate minvfunc must be specified when mstype is specified")),
                _ => Ok(()),
            };
        }
        let alone = [
            (forward.is_some(), "msfunc"),
            (inverse.is_some(), "minvfunc"),
            (finish.is_some(), "mfinalfunc"),
            (clauses.moving_state_space != 0, "msspace"),
            (clauses.moving_initial.is_some(), "minitcond"),
        ];
        match alone.iter().find(|(given, _)| *given) {
            Some((_, what)) => Err(invalid(format!("aggregate {what} must not be specified without mstype"))),
            None => Ok(()),
        }
    }

    /// The functions' ids and the aggregate's result type.
    fn aggregate_functions(
        &self,
        clauses: &Clauses,
        state: SqlType,
        moving_state: Option<SqlType>,
        args: &[Oid],
    ) -> Result<([Oid; 8], Oid)> {
        let mut functions = [Oid::INVALID; 8];
        let with = |state: SqlType, rest: &[Oid]| -> Vec<Oid> {
            std::iter::once(state.oid).chain(rest.iter().copied()).collect()
        };
        let returns = |what: &str, name: &ObjectName, found: Oid, wanted: SqlType| match found == wanted.oid {
            true => Ok(()),
            false => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("return type of {what} function {name} is not {}", self.type_name_text(wanted)),
            )),
        };
        let [transition, finish, combine, serialize, deserialize, forward, inverse, moving_finish] =
            &clauses.functions;
        if serialize.is_some() || deserialize.is_some() {
            return Err(invalid(
                "serialization functions may be specified only when the aggregate transition data type is internal",
            ));
        }
        let needs_initial = |function: &Function, initial: bool, state: SqlType| {
            let fits = args.first().is_some_and(|first| *first == state.oid);
            match function.strict && !initial && !fits {
                true => Err(invalid(
                    "must not omit initial value when transition function is strict and transition type is not compatible with input type",
                )),
                false => Ok(()),
            }
        };
        let mut result = state.oid;
        if let Some(name) = transition {
            let (function, returned) = self.aggregate_function(name, &with(state, args))?;
            returns("transition", name, returned, state)?;
            needs_initial(&function, clauses.initial.is_some(), state)?;
            functions[0] = function.oid;
        }
        let extra = |given: bool| if given { args } else { &[][..] };
        if let Some(name) = finish {
            let (function, returned) =
                self.aggregate_function(name, &with(state, extra(clauses.final_extra)))?;
            if clauses.final_extra && function.strict {
                return Err(invalid("final function with extra arguments must not be declared STRICT"));
            }
            functions[1] = function.oid;
            result = returned;
        }
        if is_polymorphic(result) && !args.iter().any(|ty| is_polymorphic(*ty)) {
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, "cannot determine result data type"));
        }
        if let Some(name) = combine {
            let (function, returned) = self.aggregate_function(name, &[state.oid, state.oid])?;
            returns("combine", name, returned, state)?;
            functions[2] = function.oid;
        }
        let Some(moving) = moving_state else { return Ok((functions, result)) };
        let (mut moving_result, mut strict) = (moving.oid, [false; 2]);
        for (at, what, name) in [(5, "transition", forward), (6, "inverse transition", inverse)] {
            let Some(name) = name else { continue };
            let (function, returned) = self.aggregate_function(name, &with(moving, args))?;
            returns(what, name, returned, moving)?;
            if at == 5 {
                needs_initial(&function, clauses.moving_initial.is_some(), moving)?;
            }
            strict[at - 5] = function.strict;
            functions[at] = function.oid;
        }
        if strict[0] != strict[1] {
            return Err(invalid(
                "strictness of aggregate's forward and inverse transition functions must match",
            ));
        }
        if let Some(name) = moving_finish {
            let rest = extra(clauses.moving_final_extra);
            let (function, returned) = self.aggregate_function(name, &with(moving, rest))?;
            functions[7] = function.oid;
            moving_result = returned;
        }
        if moving_result != result {
            return Err(invalid(format!(
                "moving-aggregate implementation returns type {}, but plain implementation returns type {}",
                self.type_name_text(self.sql_type(moving_result)),
                self.type_name_text(self.sql_type(result))
            )));
        }
        Ok((functions, result))
    }

    /// A function that takes exactly these types, or types that mean the same in memory, and what it returns for them.
    fn aggregate_function(&self, name: &ObjectName, args: &[Oid]) -> Result<(FunctionRef, Oid)> {
        let catalog = self.state.catalog();
        let functions = match name.schema() {
            Some(schema) => match self.state.namespace_named(&catalog, schema) {
                Some(namespace) => catalog.functions_in(namespace, name.name()),
                None => return Err(crate::errors::undefined_schema(schema)),
            },
            None => catalog.functions_on_path(&self.state.search_path(), name.name()),
        };
        let plain =
            |function: &&FunctionRef| function.kind == FunctionKind::Function && !function.returns_set;
        let exact = functions.iter().filter(plain).find(|function| *function.arg_types == *args);
        if let Some(function) = exact {
            return Ok((function.clone(), function.return_type));
        }
        let fitting = functions.iter().filter(plain).find_map(|function| {
            fitting_result(&catalog, function, args).map(|result| (function.clone(), result))
        });
        fitting.ok_or_else(|| {
            let texts: Vec<String> =
                args.iter().map(|oid| self.type_name_text(self.sql_type(*oid))).collect();
            Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name}({}) does not exist", texts.join(", ")),
            )
        })
    }

    fn aggregate_sort_operator(&self, operator: &ast::Operator, args: &[Oid]) -> Result<Oid> {
        let [arg] = args else {
            return Err(invalid("sort operator can only be specified for single-argument aggregates"));
        };
        let symbol = operator.name.as_str();
        let found = ochre_expr::operators_named(symbol)
            .iter()
            .find(|operator| operator.left == *arg && operator.right == *arg);
        found.map(|operator| operator.oid).ok_or_else(|| {
            let text = self.type_name_text(self.sql_type(*arg));
            Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("operator does not exist: {text} {symbol} {text}"),
            )
        })
    }
}

fn qualified_name(elem: &DefElem) -> Result<ObjectName> {
    match &elem.value {
        Some(DefValue::Type(name)) => Ok(ObjectName { parts: name.parts.clone(), pos: name.pos }),
        Some(DefValue::Word(name)) => Ok(ObjectName::unqualified(name.clone(), elem.pos)),
        Some(DefValue::String(text)) => Ok(ObjectName::unqualified(ast::Name::from(&**text), elem.pos)),
        _ => Err(syntax(format!("argument of {} must be a name", elem.name))),
    }
}

fn type_of(elem: &DefElem) -> Result<ast::TypeName> {
    match &elem.value {
        Some(DefValue::Type(name)) => Ok((**name).clone()),
        _ => Err(syntax(format!("argument of {} must be a type name", elem.name))),
    }
}

fn text_of(elem: &DefElem) -> Result<Arc<str>> {
    Ok(match &elem.value {
        Some(DefValue::String(text)) => Arc::from(&**text),
        Some(DefValue::Word(name)) => Arc::from(name.as_str()),
        Some(DefValue::Type(name)) => Arc::from(name.name().as_str()),
        Some(DefValue::Number(NumericValue::Integer(value))) => Arc::from(value.to_string()),
        Some(DefValue::Number(NumericValue::Other(text))) => Arc::from(&**text),
        Some(DefValue::Bool(value)) => Arc::from(if *value { "true" } else { "false" }),
        _ => return Err(syntax(format!("{} requires a parameter", elem.name))),
    })
}

fn number(elem: &DefElem) -> Result<i32> {
    match &elem.value {
        Some(DefValue::Number(NumericValue::Integer(value))) if i32::try_from(*value).is_ok() => {
            Ok(*value as i32)
        }
        _ => Err(syntax(format!("{} requires an integer value", elem.name))),
    }
}

fn modify(elem: &DefElem) -> Result<u8> {
    match &*text_of(elem)? {
        "read_only" => Ok(b'r'),
        "shareable" => Ok(b's'),
        "read_write" => Ok(b'w'),
        _ => Err(syntax(format!("parameter \"{}\" must be READ_ONLY, SHAREABLE, or READ_WRITE", elem.name))),
    }
}
