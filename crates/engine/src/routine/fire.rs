//! Firing triggers: their conditions and their functions.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::{IMPLICIT_NAMESPACES, RelationDescriptor, TriggerDescriptor};
use ochre_exec::{Firing, TriggerRow};
use ochre_expr::{EvalContext, Expr, Function, FunctionRef, Language, ParameterMode, Volatility, eval_const};
use ochre_parser::ast;
use ochre_sql::bind::{
    ParamTypes, RowSets, RowVariables, TriggerCondition, VariableUse, Variables, bind_trigger_condition,
};
use ochre_types::{Datum, PhysicalType, SqlType};
use parking_lot::Mutex;

use super::plpgsql::{PlCode, TriggerCall};
use super::{Code, Host, Invocation, Prepared, enter};
use crate::function_statistics::counted;
use crate::session::Session;
use crate::session::context::StatementSession;

/// A trigger's WHEN condition, bound; for the catalog of this number.
pub(crate) struct Condition {
    catalog: u64,
    expr: Expr,
    /// The parameters: of the new row or the old one, a column among the live ones or the whole row.
    uses: Vec<RowUse>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RowUse {
    is_new: bool,
    column: Option<usize>,
}

/// OLD and NEW as names of a condition.
#[derive(Debug)]
struct Rows {
    table: Arc<RelationDescriptor>,
    uses: Mutex<Vec<RowUse>>,
}

impl Rows {
    fn allot(&self, is_new: bool, column: Option<usize>, ty: SqlType) -> VariableUse {
        let used = RowUse { is_new, column };
        let mut uses = self.uses.lock();
        let index = uses.iter().position(|known| *known == used).unwrap_or_else(|| {
            uses.push(used);
            uses.len() - 1
        });
        VariableUse { index, ty }
    }

    fn row_type(&self) -> SqlType {
        SqlType::with_physical(self.table.row_type, -1, PhysicalType::Record)
    }
}

/// Whether a name is NEW's or OLD's.
fn is_new(name: &str) -> Option<bool> {
    match name {
        "new" => Some(true),
        "old" => Some(false),
        _ => None,
    }
}

impl Variables for Rows {
    fn resolve(&self, parts: &[&str]) -> Result<Option<(VariableUse, usize)>> {
        let Some(is_new) = parts.first().and_then(|name| is_new(name)) else { return Ok(None) };
        let Some(field) = parts.get(1) else {
            return Ok(Some((self.allot(is_new, None, self.row_type()), 1)));
        };
        let found = self.table.live_columns().enumerate().find(|(_, column)| *column.name == **field);
        let (position, column) = found.ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_COLUMN, format!("column {}.{field} does not exist", parts[0]))
        })?;
        Ok(Some((self.allot(is_new, Some(position), column.ty), 2)))
    }

    fn fields(&self, parts: &[&str]) -> Result<Option<RowVariables>> {
        let [name] = parts else { return Ok(None) };
        let Some(is_new) = is_new(name) else { return Ok(None) };
        let columns = self.table.live_columns().enumerate();
        let field = |(position, column): (usize, &ochre_catalog::ColumnDescriptor)| {
            (Arc::clone(&column.name), self.allot(is_new, Some(position), column.ty))
        };
        Ok(Some(columns.map(field).collect()))
    }

    fn columns_hide(&self) -> bool {
        true
    }
}

fn bind(
    session: &Session,
    table: &Arc<RelationDescriptor>,
    path: &[Oid],
    when: &ast::Expr,
) -> Result<(TriggerCondition, Vec<RowUse>)> {
    let rows = Arc::new(Rows { table: Arc::clone(table), uses: Mutex::default() });
    let context = StatementSession::new(session);
    let catalog = session.state.catalog();
    let mut parameters = ParamTypes::of_routine(&[], Arc::clone(&rows) as Arc<dyn Variables>);
    let bound = bind_trigger_condition(&catalog, path, &context, &mut parameters, when)?;
    let uses = rows.uses.lock().clone();
    Ok((bound, uses))
}

/// Binds a WHEN condition when its trigger is made; as it is stored, with functions named by their ids.
///
/// # Errors
/// Those of expressions; 42P17 for a row that the trigger's events have not, or a generated column that is not there yet.
pub(crate) fn bind_condition(
    session: &Session,
    table: &Arc<RelationDescriptor>,
    trigger: &TriggerDescriptor,
    when: &ast::Expr,
) -> Result<String> {
    let text = when.to_string();
    let again = ochre_parser::parse_expression(&text)?;
    let (bound, uses) = bind(session, table, &session.state.search_path(), &again)?;
    let invalid = |message: &str| Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message));
    let columns: Vec<_> = table.live_columns().collect();
    for RowUse { is_new, column } in uses {
        if !trigger.row {
            return invalid("statement trigger's WHEN condition cannot reference column values");
        }
        if trigger.insert && !is_new {
            return invalid("INSERT trigger's WHEN condition cannot reference OLD values");
        }
        if trigger.delete && is_new {
            return invalid("DELETE trigger's WHEN condition cannot reference NEW values");
        }
        let generated = match column {
            Some(column) => columns[column].generated.is_some(),
            None => columns.iter().any(|column| column.generated.is_some()),
        };
        if is_new && generated && trigger.timing == ochre_catalog::TriggerTiming::Before {
            return invalid("BEFORE trigger's WHEN condition cannot reference NEW generated columns");
        }
    }
    Ok(ochre_sql::bind::view::apply_edits(&text, &bound.edits))
}

/// Whether a trigger's WHEN condition holds.
pub(crate) fn applies(session: &Session, firing: &Firing) -> Result<bool> {
    let Some(text) = &firing.trigger.condition else { return Ok(true) };
    let version = session.state.catalog_version();
    let kept = session.state.routines.borrow().conditions.get(&firing.trigger.oid).cloned();
    let condition = match kept.filter(|kept| kept.catalog == version) {
        Some(kept) => kept,
        None => {
            let parsed = ochre_parser::parse_expression(text)?;
            let (bound, uses) = bind(session, &firing.table, &IMPLICIT_NAMESPACES, &parsed)?;
            let condition = Arc::new(Condition { catalog: version, expr: bound.expr, uses });
            let mut routines = session.state.routines.borrow_mut();
            routines.conditions.insert(firing.trigger.oid, Arc::clone(&condition));
            condition
        }
    };
    let value = |used: &RowUse| {
        let row = if used.is_new { &firing.new } else { &firing.old };
        match (row, used.column) {
            (Some(row), Some(column)) => row.get(column).cloned().unwrap_or(Datum::Null),
            (Some(row), None) => Datum::Record(Arc::clone(row)),
            (None, _) => Datum::Null,
        }
    };
    let values: Vec<Datum> = condition.uses.iter().map(value).collect();
    let context = StatementSession::new(session);
    let eval = EvalContext::new(&context).with_params(&values);
    Ok(eval_const(&condition.expr, &eval)? == Datum::Bool(true))
}

/// A trigger function, prepared for a table; for the catalog of this number.
pub(crate) struct TriggerCode {
    catalog: u64,
    prepared: Arc<Prepared>,
    shape: Arc<[(Arc<str>, SqlType)]>,
    row_sets: RowSets,
}

/// The function that stands for a transition table, which [`rows_of`] gives the rows of.
fn row_set(firing: &Firing, is_new: bool) -> FunctionRef {
    let columns: Vec<_> = firing.table.live_columns().collect();
    let source = format!("{}{}", firing.trigger.oid, if is_new { NEW_TABLE } else { OLD_TABLE });
    let mut function = super::procedure::inline_function(source.into());
    function.language = Language::Internal;
    function.volatility = Volatility::Stable;
    function.returns_set = true;
    function.return_type = match columns.as_slice() {
        [one] => one.ty.oid,
        _ => ochre_types::oids::RECORD,
    };
    function.all_arg_types = columns.iter().map(|column| column.ty.oid).collect();
    function.arg_modes = columns.iter().map(|_| ParameterMode::Table).collect();
    function.arg_names = columns.iter().map(|column| Box::from(&*column.name)).collect();
    function.rows = 1000.0;
    FunctionRef::User(Arc::new(function))
}

const OLD_TABLE: &str = " old";
const NEW_TABLE: &str = " new";

/// The rows of a transition table, if a function stands for one.
pub(super) fn rows_of(session: &Session, function: &Function) -> Option<Vec<Vec<Datum>>> {
    if function.oid.is_valid() || function.language != Language::Internal {
        return None;
    }
    let is_new = function.source.ends_with(NEW_TABLE);
    let trigger = function.source.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok().map(Oid)?;
    let all = session.state.transitions.borrow();
    let (_, rows) = all.iter().rev().find(|(oid, _)| *oid == trigger)?;
    let rows = rows.lock();
    let rows = if is_new { &rows.new } else { &rows.old };
    Some(rows.iter().map(|row| row.to_vec()).collect())
}

/// What is kept of a trigger's function; what is prepared depends on the table's columns.
fn code_of(session: &Session, firing: &Firing) -> Result<Arc<TriggerCode>> {
    let transitions = [(&firing.trigger.old_table, false), (&firing.trigger.new_table, true)];
    // The names of transition tables are the trigger's.
    let own = transitions.iter().any(|(name, _)| name.is_some());
    let key = (firing.trigger.function, if own { firing.trigger.oid } else { firing.table.oid });
    let version = session.state.catalog_version();
    let kept = session.state.routines.borrow().triggers.get(&key).cloned();
    if let Some(kept) = &kept
        && kept.catalog == version
    {
        return Ok(Arc::clone(kept));
    }
    let catalog = session.state.catalog();
    let routine = catalog.routine(firing.trigger.function).cloned().ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function with OID {} does not exist", firing.trigger.function),
        )
    })?;
    let function = &routine.function;
    if function.language != Language::PlPgSql {
        return Err(Error::unsupported("a trigger function in another language than plpgsql"));
    }
    let kept = kept.map(|kept| Arc::clone(&kept.prepared));
    let prepared = match kept.filter(|kept| Arc::ptr_eq(&kept.function, function)) {
        Some(prepared) => prepared,
        None => {
            let code = Code::PlPgSql(PlCode::new(session, function)?);
            Arc::new(Prepared::new(&routine, code))
        }
    };
    let shape = firing.table.live_columns().map(|column| (Arc::clone(&column.name), column.ty)).collect();
    let named =
        transitions.into_iter().filter_map(|(name, is_new)| Some((Arc::clone(name.as_ref()?), is_new)));
    let row_sets = named.map(|(name, is_new)| (name, row_set(firing, is_new))).collect();
    let code = Arc::new(TriggerCode { catalog: version, prepared, shape, row_sets });
    session.state.routines.borrow_mut().triggers.insert(key, Arc::clone(&code));
    Ok(code)
}

/// Fires a trigger: the row that its function returns, `None` for NULL.
pub(crate) fn fire(session: &Session, firing: &Firing) -> Result<Option<TriggerRow>> {
    let found = code_of(session, firing)?;
    let function = &found.prepared.function;
    let Code::PlPgSql(code) = &found.prepared.code else {
        return Err(Error::internal("a trigger function is no body"));
    };
    // One that is not volatile sees what is there when it is called.
    let snapshot = match function.volatility {
        Volatility::Volatile => None,
        _ => Some(session.inner_snapshot()?),
    };
    let invocation =
        Invocation { function, arg_types: Vec::new(), result: SqlType::TRIGGER, snapshot: snapshot.as_ref() };
    let call = TriggerCall {
        trigger: &firing.trigger,
        table: &firing.table,
        shape: Arc::clone(&found.shape),
        row_sets: Arc::clone(&found.row_sets),
        event: firing.event.name(),
        old: firing.old.clone(),
        new: firing.new.clone(),
    };
    let run = |host: Host<'_>| {
        let prepared = &found.prepared;
        counted(host, function, |host| {
            prepared.surrounded(host, |host| code.trigger(host, &invocation, &call))
        })
    };
    let host = Host::Within(session);
    let Some(transitions) = &firing.transitions else { return enter(host, run) };
    session.state.transitions.borrow_mut().push((firing.trigger.oid, Arc::clone(transitions)));
    let result = enter(host, run);
    session.state.transitions.borrow_mut().pop();
    result
}
