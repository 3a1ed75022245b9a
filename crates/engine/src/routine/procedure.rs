//! CALL and DO.

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_expr::{
    CallContext, EvalContext, Function, FunctionKind, Implementation, Language, ParameterMode as Mode,
    Volatility, eval_const,
};
use ochre_parser::ast::{DoStmt, FuncCall};
use ochre_sql::bind::{ParamTypes, actual_type, bind_procedure_call};
use ochre_types::{Datum, SqlType};

use super::plpgsql::PlCode;
use super::{Invocation, carry_out, enter};
use crate::session::Session;
use crate::session::context::StatementSession;

/// What a CALL came to: the output columns.
pub(crate) struct CallResult {
    pub outputs: Vec<CallOutput>,
}

/// An output column of a CALL.
pub(crate) struct CallOutput {
    pub name: String,
    pub value: Datum,
    pub ty: SqlType,
    /// The argument that stands for it, by its place in the call.
    pub argument: Option<usize>,
}

impl Session {
    /// Calls a procedure; `values` gives the parameters' values when all are known.
    ///
    /// # Errors
    /// 42883 and 42809 for the name; the procedure's own.
    pub(crate) fn call_procedure(
        &self,
        call: &FuncCall,
        mut parameters: ParamTypes,
        values: &dyn Fn() -> Vec<Datum>,
    ) -> Result<CallResult> {
        let arguments = &call.args;
        let catalog = self.state.catalog();
        let path = self.state.search_path();
        let context = StatementSession::new(self);
        let (function, args) = bind_procedure_call(&catalog, &path, &context, &mut parameters, call)?;
        let parameters = values();
        let eval = EvalContext::new(&context).with_params(&parameters);
        let values: Vec<Datum> = args.iter().map(|arg| eval_const(arg, &eval)).collect::<Result<_>>()?;
        let types: Vec<SqlType> = args.iter().map(ochre_expr::Expr::ty).collect();
        let result = self.sql_type(function.return_type);
        let call = CallContext {
            eval: &eval,
            function: &function,
            arg_types: &types,
            result,
            variadic_array: false,
        };
        let value = carry_out(self, None, &call, |invocation, code| code.value(invocation, &values))?;
        let fields: Vec<Datum> = match value {
            Datum::Record(fields) => fields.to_vec(),
            other => vec![other],
        };
        let actual: Vec<Oid> = types.iter().map(|ty| ty.oid).collect();
        let modes = function.arg_modes.iter().enumerate();
        let places = modes.filter(|(_, mode)| matches!(mode, Mode::Out | Mode::InOut)).map(|(i, _)| i);
        let output = |(place, value): (usize, Datum)| {
            let name = function.arg_names.get(place).map_or("", |name| name);
            let named = arguments.iter().position(|given| given.name.as_deref() == Some(name));
            let by_place = || arguments.get(place).is_some_and(|given| given.name.is_none()).then_some(place);
            CallOutput {
                argument: named.filter(|_| !name.is_empty()).or_else(by_place),
                name: if name.is_empty() { format!("column{}", place + 1) } else { name.to_owned() },
                value,
                ty: self.sql_type(actual_type(function.all_arg_types[place], &function.arg_types, &actual)),
            }
        };
        Ok(CallResult { outputs: places.zip(fields).map(output).collect() })
    }

    /// Runs a block of PL/pgSQL.
    ///
    /// # Errors
    /// 42704 for another language; 42601; the block's own.
    pub(crate) fn run_block(&self, statement: &DoStmt) -> Result<()> {
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
        let code = PlCode::new(self, &function)?;
        let invocation = Invocation {
            session: self,
            function: &function,
            arg_types: Vec::new(),
            result: SqlType::VOID,
            snapshot: None,
        };
        enter(self, || code.value(&invocation, &[]).map(|_| ()))
    }
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
