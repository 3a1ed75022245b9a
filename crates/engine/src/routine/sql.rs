//! Functions in SQL: a list of statements, the last of which gives the result.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::RoutineDescriptor;
use ochre_expr::{EvalContext, Expr, Function, eval_const};
use ochre_parser::ast::Statement;
use ochre_sql::bind::{ParamTypes, RowVariables, VariableUse, Variables, actual_type, bind_typed_expression};
use ochre_sql::physical::PlannedStatement;
use ochre_types::{Datum, PhysicalType, SqlType, is_self_describing, oids, record_fields};
use parking_lot::Mutex;

use super::inner::InnerPlan;
use super::{Invocation, with_context};
use crate::errors;
use crate::session::Session;
use crate::session::context::StatementSession;
use crate::session::is_plannable;
use crate::session::plan::QueryParameters;

/// A function in SQL, ready to run.
pub(crate) struct SqlCode {
    statements: Vec<SqlStatement>,
    names: Arc<ArgumentNames>,
    types: Vec<SqlType>,
    result: ResultShape,
    result_type: SqlType,
}

struct SqlStatement {
    statement: Statement,
    text: Box<str>,
    plan: InnerPlan,
    /// How the last statement's columns become the result, for the plan kept.
    conversion: Mutex<Arc<Conversion>>,
}

/// How the columns of a last statement become a function's result.
#[derive(Debug, Default)]
struct Conversion {
    /// The only column is the whole row already.
    whole: bool,
    /// One of each column, or of each field of the whole row; empty where nothing is converted.
    casts: Vec<Option<Expr>>,
}

impl Conversion {
    fn apply(&self, row: Vec<Datum>, context: &StatementSession<'_>) -> Result<Vec<Datum>> {
        let convert_all = |values: Vec<Datum>| {
            let converted = values.into_iter().zip(&self.casts);
            converted.map(|(value, cast)| convert(value, cast.as_ref(), context)).collect::<Result<Vec<_>>>()
        };
        match row.as_slice() {
            _ if self.casts.iter().all(Option::is_none) => Ok(row),
            [Datum::Record(fields)] if self.whole => {
                Ok(vec![Datum::Record(convert_all(fields.to_vec())?.into())])
            }
            _ if self.whole => Ok(row),
            _ => convert_all(row),
        }
    }

    /// A converted row of a function that returns rows, as one value.
    fn row(&self, row: Vec<Datum>) -> Datum {
        if self.whole { row.into_iter().next().unwrap_or(Datum::Null) } else { Datum::Record(row.into()) }
    }
}

/// What a function gives.
#[derive(Debug)]
enum ResultShape {
    Void,
    Value(SqlType),
    /// Several OUT columns, or the columns of a row type; `Vec` is empty for a record of any shape.
    Row(Vec<SqlType>),
}

/// The names of a function's arguments in its body.
#[derive(Debug)]
pub(crate) struct ArgumentNames {
    function: Box<str>,
    names: Vec<Box<str>>,
    types: Vec<SqlType>,
}

impl ArgumentNames {
    pub(crate) fn new(function: &Function, types: &[SqlType]) -> ArgumentNames {
        ArgumentNames { function: function.name.clone(), names: input_names(function), types: types.to_vec() }
    }

    fn named(&self, name: &str) -> Option<usize> {
        if let Some(number) = name.strip_prefix('$') {
            return number.parse::<usize>().ok()?.checked_sub(1).filter(|index| *index < self.types.len());
        }
        self.names.iter().position(|known| **known == *name)
    }
}

impl Variables for ArgumentNames {
    fn resolve(&self, parts: &[&str]) -> Result<Option<(VariableUse, usize)>> {
        let (index, used) = match parts {
            [function, name, ..] if **function == *self.function && self.named(name).is_some() => {
                (self.named(name), 2)
            }
            [name, ..] => (self.named(name), 1),
            [] => (None, 0),
        };
        Ok(index.map(|index| (VariableUse { index, ty: self.types[index] }, used)))
    }

    fn fields(&self, _parts: &[&str]) -> Result<Option<RowVariables>> {
        Ok(None)
    }

    fn columns_hide(&self) -> bool {
        true
    }
}

/// The names of the input arguments; empty ones for those without.
pub(crate) fn input_names(function: &Function) -> Vec<Box<str>> {
    use ochre_expr::ParameterMode as Mode;
    let count = function.arg_types.len();
    if function.arg_names.is_empty() {
        return vec![Box::default(); count];
    }
    if function.arg_modes.is_empty() {
        return function.arg_names.to_vec();
    }
    let is_input = |mode: &Mode| matches!(mode, Mode::In | Mode::InOut | Mode::Variadic);
    let pairs = function.arg_names.iter().zip(function.arg_modes.iter());
    pairs.filter(|(_, mode)| is_input(mode)).map(|(name, _)| name.clone()).collect()
}

/// A function's arguments as a query of a utility mentions them.
struct Arguments<'a> {
    code: &'a SqlCode,
    args: &'a [Datum],
}

impl QueryParameters for Arguments<'_> {
    fn types(&self) -> ParamTypes {
        self.code.parameters()
    }

    fn values(&self) -> Vec<Datum> {
        self.args.to_vec()
    }
}

impl SqlCode {
    /// Parses a function's body.
    pub(crate) fn new(
        session: &Session,
        routine: &RoutineDescriptor,
        types: &[SqlType],
        result: SqlType,
    ) -> Result<SqlCode> {
        let function = &routine.function;
        let text = routine.sql_body.as_deref().unwrap_or(&function.source);
        let parsed = ochre_parser::parse(text)?;
        let statements = parsed
            .into_iter()
            .map(|raw| SqlStatement {
                text: text[raw.start..raw.start + raw.len].into(),
                statement: raw.stmt,
                plan: InnerPlan::default(),
                conversion: Mutex::default(),
            })
            .collect();
        Ok(SqlCode {
            statements,
            names: Arc::new(ArgumentNames::new(function, types)),
            types: types.to_vec(),
            result: result_shape(session, function, types, result),
            result_type: result,
        })
    }

    /// Binds all statements, and checks that the last gives the declared result.
    ///
    /// # Errors
    /// Those of the statements; 42P13.
    pub(crate) fn check(&self, session: &Session, function: &Function) -> Result<()> {
        let mut last = None;
        for statement in &self.statements {
            if is_plannable(&statement.statement) {
                let (_, plan) = session.plan_inner(&statement.statement, || self.parameters())?;
                last = Some(plan);
            } else {
                last = None;
            }
        }
        if !matches!(self.result, ResultShape::Void) {
            let plan =
                last.filter(|plan| plan.returns_rows).ok_or_else(|| self.no_final(session, function))?;
            self.conversion(session, function, &plan)?;
        }
        Ok(())
    }

    fn parameters(&self) -> ParamTypes {
        ParamTypes::of_routine(&self.types, Arc::clone(&self.names) as Arc<dyn Variables>)
    }

    /// Runs the function for its value.
    pub(crate) fn value(
        &self,
        session: &Session,
        invocation: &Invocation<'_>,
        args: &[Datum],
    ) -> Result<Datum> {
        let (rows, conversion) = self.run(session, invocation, args, 1)?;
        Ok(match (&self.result, rows.into_iter().next()) {
            (ResultShape::Void, _) => Datum::Null,
            (_, None) => Datum::Null,
            (ResultShape::Value(_), Some(row)) => row.into_iter().next().unwrap_or(Datum::Null),
            (ResultShape::Row(_), Some(row)) => conversion.row(row),
        })
    }

    /// Runs the function for its rows.
    pub(crate) fn rows(
        &self,
        session: &Session,
        invocation: &Invocation<'_>,
        args: &[Datum],
    ) -> Result<Vec<Vec<Datum>>> {
        let (rows, conversion) = self.run(session, invocation, args, usize::MAX)?;
        Ok(match &self.result {
            ResultShape::Void => rows.iter().map(|_| vec![Datum::text("")]).collect(),
            ResultShape::Row(_) if invocation.function.output_columns().is_empty() => {
                rows.into_iter().map(|row| vec![conversion.row(row)]).collect()
            }
            _ => rows,
        })
    }

    fn run(
        &self,
        session: &Session,
        invocation: &Invocation<'_>,
        args: &[Datum],
        most: usize,
    ) -> Result<(Vec<Vec<Datum>>, Arc<Conversion>)> {
        let mut result = (Vec::new(), Arc::default());
        let last = self.statements.len().saturating_sub(1);
        for (number, statement) in self.statements.iter().enumerate() {
            let most = match self.result {
                ResultShape::Void if !invocation.function.returns_set => 0,
                _ if number == last => most,
                _ => 0,
            };
            let rows = self.run_one(session, invocation, statement, args, number == last, most);
            result = rows.map_err(|error| {
                let name = &invocation.function.name;
                with_context(bare(error), format!("SQL function \"{name}\" statement {}", number + 1))
            })?;
        }
        Ok(result)
    }

    fn run_one(
        &self,
        session: &Session,
        invocation: &Invocation<'_>,
        statement: &SqlStatement,
        args: &[Datum],
        last: bool,
        most: usize,
    ) -> Result<(Vec<Vec<Datum>>, Arc<Conversion>)> {
        if !is_plannable(&statement.statement) {
            if invocation.shared_snapshot().is_some() {
                let name = crate::session::utility::statement_name(&statement.statement);
                let message = format!("{name} is not allowed in a non-volatile function");
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            session.run_inner_utility(
                &statement.statement,
                &statement.text,
                &Arguments { code: self, args },
            )?;
            return Ok(Default::default());
        }
        let (plan, fresh) = statement.plan.get(session, &statement.statement, || self.parameters())?;
        let wants_rows = last && !matches!(self.result, ResultShape::Void);
        if wants_rows && fresh {
            *statement.conversion.lock() = self.conversion(session, invocation.function, &plan)?;
        }
        // Statements whose rows nobody wants run to their end all the same.
        let read = if wants_rows || plan.read_only { most } else { usize::MAX };
        let (rows, _) = session.inner_rows(&plan, args, invocation.shared_snapshot(), read.max(1))?;
        if !wants_rows {
            let rows = if last && most > 0 { rows } else { Vec::new() };
            return Ok((rows, Arc::default()));
        }
        let conversion = Arc::clone(&statement.conversion.lock());
        let context = StatementSession::new(session);
        let rows = rows.into_iter().map(|row| conversion.apply(row, &context)).collect::<Result<_>>()?;
        Ok((rows, conversion))
    }

    /// How the columns of the last statement become the result's.
    fn conversion(
        &self,
        session: &Session,
        function: &Function,
        plan: &PlannedStatement,
    ) -> Result<Arc<Conversion>> {
        let mut given: Vec<SqlType> = plan.row_shape.iter().map(|column| column.ty).collect();
        let mismatch = |detail: String| {
            let error = Error::new(
                SqlState::INVALID_FUNCTION_DEFINITION,
                format!(
                    "return type mismatch in function declared to return {}",
                    session.type_name_text(session.sql_type(function.return_type))
                ),
            );
            Err(error.detail(detail))
        };
        let wanted = match &self.result {
            ResultShape::Void => return Ok(Arc::default()),
            ResultShape::Value(ty) => {
                if given.len() != 1 {
                    return mismatch("Final statement must return exactly one column.".to_owned());
                }
                return match cast_to(session, given[0], *ty)? {
                    Some(cast) => Ok(Arc::new(Conversion { whole: false, casts: vec![cast] })),
                    None => {
                        let actual = session.type_name_text(given[0]);
                        mismatch(format!("Actual return type is {actual}."))
                    }
                };
            }
            ResultShape::Row(types) => types,
        };
        let whole = match given.as_slice() {
            [one] if one.physical == PhysicalType::Record => {
                one.oid == oids::RECORD || one.oid == self.result_type.oid
            }
            _ => false,
        };
        if wanted.is_empty() && function.return_type == oids::RECORD {
            check_self_describing(&given)?;
        }
        if wanted.is_empty() || whole && given[0].oid != oids::RECORD {
            return Ok(Arc::new(Conversion { whole, casts: Vec::new() }));
        }
        if whole {
            given = match record_fields(given[0]) {
                Some(fields) => fields.to_vec(),
                None => return Err(errors::rows_of_unknown_columns()),
            };
            if function.return_type == oids::RECORD {
                check_defined_row(session, &given, wanted)?;
            }
        }
        if given.len() < wanted.len() {
            return mismatch("Final statement returns too few columns.".to_owned());
        }
        if given.len() > wanted.len() {
            return mismatch("Final statement returns too many columns.".to_owned());
        }
        let mut casts = Vec::with_capacity(wanted.len());
        for (i, (given, wanted)) in given.iter().zip(wanted).enumerate() {
            match cast_to(session, *given, *wanted)? {
                Some(cast) => casts.push(cast),
                None => {
                    return mismatch(format!(
                        "Final statement returns {} instead of {} at column {}.",
                        session.type_name_text(*given),
                        session.type_name_text(*wanted),
                        i + 1
                    ));
                }
            }
        }
        Ok(Arc::new(Conversion { whole, casts }))
    }

    fn no_final(&self, session: &Session, function: &Function) -> Error {
        Error::new(
            SqlState::INVALID_FUNCTION_DEFINITION,
            format!(
                "return type mismatch in function declared to return {}",
                session.type_name_text(session.sql_type(function.return_type))
            ),
        )
        .detail("Function's final statement must be SELECT or INSERT/UPDATE/DELETE/MERGE RETURNING.")
    }
}

/// An error of a body's text has no place in the client's.
fn bare(mut error: Error) -> Error {
    error.fields_mut().position = None;
    error
}

pub(crate) fn not_allowed(plan: &PlannedStatement) -> Error {
    use ochre_sql::physical::CommandKind;
    let name = match plan.command {
        CommandKind::Select => "SELECT FOR UPDATE/SHARE",
        CommandKind::Insert => "INSERT",
        CommandKind::Update => "UPDATE",
        CommandKind::Delete => "DELETE",
        CommandKind::Merge => "MERGE",
    };
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{name} is not allowed in a non-volatile function"))
}

/// Refuses columns of a row that nobody downstream knows the shape of, where their values do not say what they are.
pub(super) fn check_self_describing(columns: &[SqlType]) -> Result<()> {
    match columns.iter().all(|ty| is_self_describing(*ty)) {
        true => Ok(()),
        false => Err(errors::rows_of_unknown_columns()),
    }
}

/// Refuses a record that is not what a column definition list, or a function's output parameters, say.
fn check_defined_row(session: &Session, given: &[SqlType], wanted: &[SqlType]) -> Result<()> {
    let mismatch = |detail: String| {
        let message = "function return row and query-specified return row do not match";
        Err(Error::new(SqlState::DATATYPE_MISMATCH, message).detail(detail))
    };
    if given.len() != wanted.len() {
        let plural = if given.len() == 1 { "" } else { "s" };
        return mismatch(format!(
            "Returned row contains {} attribute{plural}, but query expects {}.",
            given.len(),
            wanted.len()
        ));
    }
    match given.iter().zip(wanted).position(|(given, wanted)| given.oid != wanted.oid) {
        None => Ok(()),
        Some(i) => mismatch(format!(
            "Returned type {} at ordinal position {}, but query expects {}.",
            session.type_name_text(given[i]),
            i + 1,
            session.type_name_text(wanted[i])
        )),
    }
}

/// A value through a cast over `$1`.
pub(crate) fn convert(value: Datum, cast: Option<&Expr>, session: &StatementSession<'_>) -> Result<Datum> {
    let Some(cast) = cast else { return Ok(value) };
    let params = [value];
    let eval = EvalContext::new(session).with_params(&params);
    eval_const(cast, &eval)
}

/// The cast from one type to another as an assignment does it, over `$1`: `Some(None)` when none is needed, `None` when there
/// is none.
pub(crate) fn cast_to(session: &Session, given: SqlType, wanted: SqlType) -> Result<Option<Option<Expr>>> {
    if given.oid == wanted.oid && (wanted.typmod < 0 || given.typmod == wanted.typmod) {
        return Ok(Some(None));
    }
    if wanted.oid == oids::VOID || wanted.oid == oids::RECORD && given.physical == PhysicalType::Record {
        return Ok(Some(None));
    }
    let context = StatementSession::new(session);
    let catalog = session.state.catalog();
    let mut parameters = ParamTypes::new(&catalog, &[given.oid]);
    if given.physical == PhysicalType::Record {
        parameters = ParamTypes::of_types(&[given]);
    }
    let expr = ochre_parser::parse_expression("$1")?;
    let path = session.state.search_path();
    match bind_typed_expression(&catalog, &path, &context, &mut parameters, &expr, Some(wanted)) {
        Ok(bound) => Ok(Some(Some(bound))),
        Err(error) if error.sqlstate() == SqlState::CANNOT_COERCE => Ok(None),
        Err(error) => Err(error),
    }
}

fn result_shape(session: &Session, function: &Function, types: &[SqlType], result: SqlType) -> ResultShape {
    let outputs = function.output_columns();
    if outputs.len() > 1 {
        let actual: Vec<Oid> = types.iter().map(|ty| ty.oid).collect();
        let own = |declared: Oid| {
            session.sql_type(actual_type(&session.state.catalog(), declared, &function.arg_types, &actual))
        };
        return ResultShape::Row(outputs.iter().map(|(_, oid)| own(*oid)).collect());
    }
    if function.return_type == oids::VOID {
        return ResultShape::Void;
    }
    match session.row_fields(result) {
        Some(fields) => ResultShape::Row(fields.into_iter().map(|(_, ty)| ty).collect()),
        None if result.oid == oids::RECORD => {
            ResultShape::Row(record_fields(result).map_or_else(Vec::new, |fields| fields.to_vec()))
        }
        None => ResultShape::Value(result),
    }
}

impl Session {
    /// Names and types of the fields of a row type.
    pub(crate) fn row_fields(&self, ty: SqlType) -> Option<Vec<(Arc<str>, SqlType)>> {
        if ty.physical != PhysicalType::Record || ty.oid == oids::RECORD {
            return None;
        }
        let catalog = self.state.catalog();
        let table = catalog.relation_of_row_type(ty.oid)?;
        Some(table.live_columns().map(|column| (Arc::clone(&column.name), column.ty)).collect())
    }

    /// A type's name in messages, that of a row type included.
    pub(crate) fn type_name_text(&self, ty: SqlType) -> String {
        let context = StatementSession::new(self);
        match ochre_types::type_info(ty.oid) {
            Some(_) => ochre_types::typmod::format_type(ty.oid, -1),
            None => ochre_expr::SessionContext::user_type_name(&context, ty.oid, -1)
                .unwrap_or_else(|| ty.oid.to_string()),
        }
    }

    /// The routine with this id in the transaction's catalog.
    pub(crate) fn routine(&self, oid: Oid) -> Option<Arc<RoutineDescriptor>> {
        self.state.catalog().routine(oid).cloned()
    }
}
