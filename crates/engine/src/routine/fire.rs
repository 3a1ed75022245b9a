//! Firing triggers: their conditions and their functions.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_exec::{Firing, TriggerRow};
use ochre_expr::Language;
use ochre_types::{Datum, SqlType};

use super::plpgsql::{PlCode, TriggerCall, compilation};
use super::procedure::inline_function;
use super::{Code, Invocation, Prepared, enter};
use crate::session::Session;

fn call_of<'a>(session: &Session, firing: &'a Firing) -> TriggerCall<'a> {
    TriggerCall {
        trigger: &firing.trigger,
        table: &firing.table,
        schema: session.namespace_name(firing.table.namespace),
        event: firing.event.name(),
        old: firing.old.clone(),
        new: firing.new.clone(),
    }
}

/// Whether a trigger's WHEN condition holds: it is carried out as a body that returns it.
pub(crate) fn applies(session: &Session, firing: &Firing) -> Result<bool> {
    let Some(condition) = &firing.trigger.condition else { return Ok(true) };
    let mut function = inline_function();
    function.return_type = SqlType::BOOL.oid;
    let key = (firing.trigger.oid, vec![firing.table.oid]);
    let kept = session.state.routines.borrow().entries.get(&key).cloned();
    let kept = kept.filter(|kept| *kept.function.source == **condition);
    let prepared = match kept {
        Some(kept) => kept,
        None => {
            let code =
                PlCode::new(&format!("#variable_conflict use_column\nBEGIN RETURN ({condition}); END"))?;
            let mut source = inline_function();
            source.source = (**condition).into();
            let prepared = Arc::new(Prepared { function: Arc::new(source), code: Code::PlPgSql(code) });
            session.state.routines.borrow_mut().entries.insert(key, Arc::clone(&prepared));
            prepared
        }
    };
    let Code::PlPgSql(code) = &prepared.code else {
        return Err(Error::internal("a trigger's condition is no body"));
    };
    let invocation = Invocation {
        session,
        function: &function,
        arg_types: Vec::new(),
        result: SqlType::BOOL,
        snapshot: None,
    };
    let value = enter(session, || code.condition(&invocation, &call_of(session, firing)))?;
    Ok(value == Datum::Bool(true))
}

/// Fires a trigger: the row that its function returns, `None` for NULL.
pub(crate) fn fire(session: &Session, firing: &Firing) -> Result<Option<TriggerRow>> {
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
    // What is prepared depends on the table's columns.
    let key = (function.oid, vec![firing.table.oid]);
    let kept = session.state.routines.borrow().entries.get(&key).cloned();
    let kept = kept.filter(|kept| Arc::ptr_eq(&kept.function, function));
    let prepared = match kept {
        Some(kept) => kept,
        None => {
            let code = PlCode::new(&function.source).map_err(|error| compilation(function, error))?;
            let prepared = Arc::new(Prepared { function: Arc::clone(function), code: Code::PlPgSql(code) });
            session.state.routines.borrow_mut().entries.insert(key, Arc::clone(&prepared));
            prepared
        }
    };
    let Code::PlPgSql(code) = &prepared.code else {
        return Err(Error::internal("a trigger function is no body"));
    };
    let invocation =
        Invocation { session, function, arg_types: Vec::new(), result: SqlType::TRIGGER, snapshot: None };
    enter(session, || code.trigger(&invocation, &call_of(session, firing)))
}
