//! CALL and DO.

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_expr::{
    EvalContext, Expr, Function, FunctionKind, FunctionRef, Implementation, Language, ParameterMode as Mode,
    Volatility, eval_const,
};
use ochre_parser::ast::{DoStmt, FuncCall};
use ochre_sql::bind::{ParamTypes, actual_type, bind_procedure_call};
use ochre_sql::physical::OutputColumn;
use ochre_types::{Datum, SqlType};

use super::plpgsql::PlCode;
use super::{Callee, Host, Invocation, carry_out, enter};
use crate::session::Session;
use crate::session::context::StatementSession;

/// What a CALL came to: the output columns.
pub(crate) struct CallResult {
    pub outputs: Vec<CallOutput>,
}

/// An output column of a CALL.
pub(crate) struct CallOutput {
    pub column: OutputColumn,
    pub value: Datum,
    /// The argument that stands for it, by its place in the call.
    pub argument: Option<usize>,
}

/// A CALL whose procedure is known.
pub(crate) struct BoundCall<'a> {
    call: &'a FuncCall,
    function: FunctionRef,
    args: Vec<Expr>,
}

impl<'a> BoundCall<'a> {
    /// Finds the procedure of a CALL.
    ///
    /// # Errors
    /// 42883 and 42809 for the name; those of the arguments.
    pub(crate) fn new(session: &Session, call: &'a FuncCall, parameters: &mut ParamTypes) -> Result<Self> {
        let catalog = session.state.catalog();
        let path = session.state.search_path();
        let context = StatementSession::new(session);
        let (function, args) = bind_procedure_call(&catalog, &path, &context, parameters, call)?;
        Ok(BoundCall { call, function, args })
    }

    /// Calls the procedure with the statement's parameters.
    ///
    /// # Errors
    /// The procedure's own.
    pub(crate) fn carry_out(&self, host: Host<'_>, parameters: &[Datum]) -> Result<CallResult> {
        let BoundCall { call, function, args } = self;
        let session = host.session();
        let values: Vec<Datum> = {
            let context = StatementSession::new(session);
            let eval = EvalContext::new(&context).with_params(parameters);
            args.iter().map(|arg| eval_const(arg, &eval)).collect::<Result<_>>()?
        };
        let types: Vec<SqlType> = args.iter().map(Expr::ty).collect();
        let result = session.sql_type(function.return_type);
        let callee = Callee { function, arg_types: &types, result };
        // By the end the transaction may be another one, and the catalog with it.
        let outputs = self.outputs(session);
        let value =
            carry_out(host, None, &callee, |host, invocation, code| code.value(host, invocation, &values))?;
        let fields: Vec<Datum> = match value {
            Datum::Record(fields) => fields.to_vec(),
            other => vec![other],
        };
        let output = |((place, column), value): ((usize, OutputColumn), Datum)| {
            let name = function.arg_names.get(place).map_or("", |name| name);
            let named = call.args.iter().position(|given| given.name.as_deref() == Some(name));
            let by_place = || call.args.get(place).is_some_and(|given| given.name.is_none()).then_some(place);
            CallOutput { argument: named.filter(|_| !name.is_empty()).or_else(by_place), column, value }
        };
        Ok(CallResult { outputs: outputs.into_iter().zip(fields).map(output).collect() })
    }

    /// The output parameters, by their places, as columns of the row that the call gives.
    pub(crate) fn outputs(&self, session: &Session) -> Vec<(usize, OutputColumn)> {
        let function = &self.function;
        let actual: Vec<Oid> = self.args.iter().map(|arg| arg.ty().oid).collect();
        let modes = function.arg_modes.iter().enumerate();
        modes
            .filter(|(_, mode)| matches!(mode, Mode::Out | Mode::InOut))
            .map(|(place, _)| {
                let declared = function.all_arg_types[place];
                let name = match function.arg_names.get(place).filter(|name| !name.is_empty()) {
                    Some(name) => name.as_ref().into(),
                    None => format!("column{}", place + 1).into(),
                };
                let ty = session.sql_type(actual_type(
                    &session.state.catalog(),
                    declared,
                    &function.arg_types,
                    &actual,
                ));
                (place, OutputColumn { name, ty, origin: None })
            })
            .collect()
    }
}

/// Runs a block of PL/pgSQL.
///
/// # Errors
/// 42704 for another language; 42601; the block's own.
pub(crate) fn run_block(host: Host<'_>, statement: &DoStmt) -> Result<()> {
    let language = statement.language.as_ref().map_or("plpgsql", |name| name.as_str());
    if language != "plpgsql" {
        let known = matches!(language, "sql" | "c" | "internal");
        return Err(match known {
            true => Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("language \"{language}\" does not support inline code execution"),
            ),
            false => {
                Error::new(SqlState::UNDEFINED_OBJECT, format!("language \"{language}\" does not exist"))
            }
        });
    }
    let function = inline_function((*statement.body).into());
    let code = PlCode::new(host.session(), &function)?;
    let invocation =
        Invocation { function: &function, arg_types: Vec::new(), result: SqlType::VOID, snapshot: None };
    enter(host, |host| code.value(host, &invocation, &[]).map(|_| ()))
}

/// What a DO block is carried out as.
pub(super) fn inline_function(source: Box<str>) -> Function {
    Function {
        oid: Oid::INVALID,
        name: "inline_code_block".into(),
        kind: FunctionKind::Function,
        language: Language::PlPgSql,
        strict: false,
        returns_set: false,
        volatility: Volatility::Volatile,
        parallel: b'u',
        leakproof: false,
        security_definer: false,
        arg_types: Box::default(),
        default_count: 0,
        defaults: Box::default(),
        return_type: ochre_types::oids::VOID,
        all_arg_types: Box::default(),
        arg_modes: Box::default(),
        arg_names: Box::default(),
        variadic: Oid::INVALID,
        support: "-".into(),
        cost: 100.0,
        rows: 0.0,
        source,
        implementation: Implementation::Routine,
    }
}
