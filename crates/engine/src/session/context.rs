//! What expressions and plans ask of the session: [`SessionContext`], the names of catalog objects, and open tables.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use ochre_base::{Error, Lsn, Oid, Result, SqlState};
use ochre_catalog::authority::Privileges;
use ochre_catalog::{CatalogSnapshot, ConstraintDescriptor, RelationDescriptor, RelationKind, builtin};
use ochre_exec::{
    DeferredChecks, Firing, ReferentialQuery, RelationSource, StatementContext, TableAccess, TriggerRow,
};
use ochre_expr::{CallContext, Function, FunctionRef, SessionContext, WorkerWatch};
use ochre_sql::bind::foreign_key_check;
use ochre_sql::physical::{ForeignKeyCheck, PlannedStatement};
use ochre_txn::locks::RelationLockMode;
use ochre_txn::{Interrupt, Snapshot, Transaction, WaitEvent};
use ochre_types::{Batch, Column, Datum, FormatContext, ObjectNames, SqlType, oids as type_oids};

use super::worker::WorkerSession;
use super::{Session, State};
use crate::ddl::quote_identifier;

/// Names of catalog objects as one session sees them.
pub(crate) struct CatalogNames {
    catalog: Arc<CatalogSnapshot>,
    path: Arc<[Oid]>,
    interrupt: Arc<Interrupt>,
}

impl CatalogNames {
    pub(crate) fn new(
        catalog: Arc<CatalogSnapshot>,
        path: Arc<[Oid]>,
        interrupt: Arc<Interrupt>,
    ) -> CatalogNames {
        CatalogNames { catalog, path, interrupt }
    }

    /// Whether these are the names of a catalog under a path.
    pub(crate) fn are_of(&self, catalog: &Arc<CatalogSnapshot>, path: &Arc<[Oid]>) -> bool {
        Arc::ptr_eq(&self.catalog, catalog) && Arc::ptr_eq(&self.path, path)
    }

    /// A relation's name, qualified where the path does not find it.
    pub(crate) fn relation(&self, relation: &RelationDescriptor) -> String {
        let found = self.catalog.find_relation(&self.path, &relation.name);
        if found.is_some_and(|found| found.oid == relation.oid) {
            return quote_identifier(&relation.name);
        }
        let namespace = self.catalog.namespace(relation.namespace).map(|n| n.name.to_string());
        format!("{}.{}", quote_identifier(&namespace.unwrap_or_default()), quote_identifier(&relation.name))
    }

    /// The name of a relation's row type, or of an array of it.
    pub(crate) fn user_type(&self, oid: Oid) -> Option<String> {
        let relation = self.catalog.relation_of_type(oid)?;
        let name = self.relation(relation);
        Some(if relation.row_type == oid { name } else { format!("{name}[]") })
    }

    /// The row type of a relation, or the type of arrays of such rows, by any of its names: `t`, `s.t`, `t[]`, `_t`.
    fn user_type_named(&self, text: &str) -> Option<Oid> {
        let name = ochre_parser::parse_type_name(text).ok()?;
        let relation = |last: &str| match name.schema() {
            Some(schema) => self.catalog.relation_in(self.catalog.namespace_named(schema)?.oid, last),
            None => self.catalog.find_relation(&self.path, last),
        };
        let row_type = |last: &str| Some(relation(last)?.row_type).filter(|row_type| row_type.is_valid());
        let array = |row_type| self.catalog.array_over(row_type);
        let last = name.name().as_str();
        let found = row_type(last).or_else(|| array(row_type(last.strip_prefix('_')?)?))?;
        if name.array_bounds.is_empty() { Some(found) } else { array(found) }
    }

    /// A role's name.
    pub(crate) fn role(&self, oid: Oid) -> Option<String> {
        self.catalog.role(oid).map(|role| role.name.to_string())
    }

    /// The functions that a name, qualified or not, means.
    fn functions(&self, parts: &[String]) -> Vec<FunctionRef> {
        match parts {
            [name] => self.catalog.functions_on_path(&self.path, name),
            [.., schema, name] => {
                let namespace = self.catalog.namespace_named(schema);
                namespace.map_or_else(Vec::new, |namespace| self.catalog.functions_in(namespace.oid, name))
            }
            [] => Vec::new(),
        }
    }

    /// A function and its namespace.
    fn function(&self, oid: Oid) -> Option<(FunctionRef, Oid)> {
        if let Some(routine) = self.catalog.routine(oid) {
            return Some((FunctionRef::User(Arc::clone(&routine.function)), routine.namespace));
        }
        let builtin = ochre_expr::function(oid)?;
        Some((FunctionRef::Builtin(builtin), ochre_catalog::builtin::namespace_of(builtin)))
    }

    fn function_name(&self, function: &Function, namespace: Oid, alone: bool) -> String {
        let name = quote_identifier(&function.name);
        match self.catalog.namespace(namespace).filter(|_| !alone) {
            Some(namespace) => format!("{}.{name}", quote_identifier(&namespace.name)),
            None => name,
        }
    }

    /// The relation whose rows are of a type.
    fn relation_of(&self, row_type: Oid) -> Option<&Arc<RelationDescriptor>> {
        self.catalog.relation_of_row_type(row_type)
    }

    fn type_name(&self, oid: Oid) -> String {
        self.user_type(oid).unwrap_or_else(|| ochre_types::typmod::format_type(oid, -1))
    }
}

impl ObjectNames for CatalogNames {
    fn check_interrupts(&self) -> Result<()> {
        self.interrupt.check()
    }

    fn print(&self, reg_type: Oid, object: Oid) -> Option<String> {
        match reg_type {
            type_oids::REGCLASS => Some(self.relation(self.catalog.relation(object)?)),
            type_oids::REGNAMESPACE => self.catalog.namespace(object).map(|n| quote_identifier(&n.name)),
            type_oids::REGROLE => self.catalog.role(object).map(|role| quote_identifier(&role.name)),
            type_oids::REGTYPE => {
                let builtin =
                    || Some(ochre_types::typmod::format_type(ochre_types::type_info(object)?.oid, -1));
                self.user_type(object).or_else(builtin)
            }
            type_oids::REGPROC => {
                let (function, namespace) = self.function(object)?;
                // A name that alone would not say which function is qualified.
                let named = self.catalog.functions_on_path(&self.path, &function.name);
                let alone = matches!(named.as_slice(), [only] if only.oid == object);
                Some(self.function_name(&function, namespace, alone))
            }
            type_oids::REGPROCEDURE => {
                let (function, namespace) = self.function(object)?;
                let named = self.catalog.functions_on_path(&self.path, &function.name);
                let visible = named.iter().any(|found| found.oid == object);
                let args: Vec<String> = function.arg_types.iter().map(|ty| self.type_name(*ty)).collect();
                Some(format!("{}({})", self.function_name(&function, namespace, visible), args.join(",")))
            }
            type_oids::REGOPER => ochre_expr::operator(object).map(|operator| operator.name.to_string()),
            _ => None,
        }
    }

    fn role_name(&self, role: Oid) -> Option<String> {
        self.role(role)
    }

    fn record_fields(&self, ty: SqlType) -> Option<Arc<[SqlType]>> {
        let table = self.relation_of(ty.oid)?;
        Some(table.live_columns().map(|column| column.ty).collect())
    }

    fn record_names(&self, ty: SqlType) -> Option<ochre_types::FieldNames> {
        let table = self.catalog.relation_of_row_type(ty.oid)?;
        Some(table.live_columns().map(|column| Arc::clone(&column.name)).collect())
    }

    fn parse(&self, reg_type: Oid, text: &str) -> Result<Oid> {
        let is_name = matches!(
            reg_type,
            type_oids::REGCLASS | type_oids::REGNAMESPACE | type_oids::REGROLE | type_oids::REGPROC
        );
        let parts = match is_name {
            true => ochre_sql::bind::split_identifier(text).ok_or_else(invalid_name)?,
            false => Vec::new(),
        };
        let name = match parts.as_slice() {
            [name] => name.as_str(),
            _ if matches!(reg_type, type_oids::REGNAMESPACE | type_oids::REGROLE) => {
                return Err(invalid_name());
            }
            _ => "",
        };
        match reg_type {
            type_oids::REGCLASS => {
                let found = match parts.as_slice() {
                    [name] => self.catalog.find_relation(&self.path, name),
                    [.., schema, name] => {
                        let namespace = self.catalog.namespace_named(schema);
                        let namespace = namespace.ok_or_else(|| crate::errors::undefined_schema(schema))?;
                        self.catalog.relation_in(namespace.oid, name)
                    }
                    [] => None,
                };
                Ok(found.ok_or_else(|| crate::errors::undefined_table(text))?.oid)
            }
            type_oids::REGNAMESPACE => {
                let found = self.catalog.namespace_named(name);
                Ok(found.ok_or_else(|| crate::errors::undefined_schema(name))?.oid)
            }
            type_oids::REGROLE => {
                let found = self.catalog.role_named(name).ok_or_else(|| {
                    Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
                })?;
                Ok(found.oid)
            }
            type_oids::REGTYPE => {
                if let Some(oid) = builtin_type(text) {
                    return Ok(oid);
                }
                self.user_type_named(text).ok_or_else(|| {
                    Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{text}\" does not exist"))
                })
            }
            type_oids::REGPROC => match self.functions(&parts).as_slice() {
                [] => Err(undefined_function(text)),
                [function] => Ok(function.oid),
                _ => Err(Error::new(
                    SqlState::AMBIGUOUS_FUNCTION,
                    format!("more than one function named \"{text}\""),
                )),
            },
            type_oids::REGPROCEDURE => {
                let signature = text.trim().strip_suffix(')').and_then(|text| text.split_once('('));
                let (name, args) = signature.ok_or_else(|| {
                    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "expected a left parenthesis")
                })?;
                let args = args.split(',').filter(|arg| !arg.trim().is_empty());
                let args: Vec<Oid> =
                    args.map(|arg| self.parse(type_oids::REGTYPE, arg.trim())).collect::<Result<_>>()?;
                let named = self.functions(&super::settings::split_dotted(name.trim()));
                let found = named.iter().find(|function| *function.arg_types == *args);
                Ok(found.ok_or_else(|| undefined_function(text))?.oid)
            }
            _ => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("\"{text}\" does not exist"))),
        }
    }
}

/// A built-in type by any of its names: `int4`, `integer`, `pg_catalog.int4[]`.
fn builtin_type(text: &str) -> Option<Oid> {
    let name = ochre_parser::parse_type_name(text).ok()?;
    if name.schema().is_some_and(|schema| *schema != "pg_catalog") {
        return None;
    }
    let info = ochre_types::type_info_named(name.name())?;
    Some(if name.array_bounds.is_empty() { info.oid } else { info.array })
}

fn invalid_name() -> Error {
    Error::new(SqlState::INVALID_NAME, "invalid name syntax")
}

fn undefined_function(text: &str) -> Error {
    Error::new(SqlState::UNDEFINED_FUNCTION, format!("function \"{text}\" does not exist"))
}

/// The session during one statement.
pub(crate) struct StatementSession<'a> {
    pub(crate) state: &'a State,
    session: &'a Session,
    transaction: Option<&'a Transaction>,
    /// What the statement sees.
    snapshot: Option<&'a Snapshot>,
    format: OnceCell<FormatContext>,
    user: OnceCell<Arc<str>>,
    session_user: OnceCell<Arc<str>>,
    catalog: OnceCell<Arc<CatalogSnapshot>>,
}

impl<'a> StatementSession<'a> {
    pub(crate) fn new(session: &'a Session) -> StatementSession<'a> {
        StatementSession {
            state: &session.state,
            session,
            transaction: session.transaction.as_ref(),
            snapshot: None,
            format: OnceCell::new(),
            user: OnceCell::new(),
            session_user: OnceCell::new(),
            catalog: OnceCell::new(),
        }
    }

    /// The session.
    pub(crate) fn session(&self) -> &'a Session {
        self.session
    }

    /// The same for a statement that sees this.
    pub(crate) fn seeing(self, snapshot: &'a Snapshot) -> StatementSession<'a> {
        StatementSession { snapshot: Some(snapshot), ..self }
    }

    /// The catalog as the statement sees it.
    pub(crate) fn catalog(&self) -> &Arc<CatalogSnapshot> {
        self.catalog.get_or_init(|| self.state.catalog())
    }

    /// The statement's transaction.
    pub(crate) fn transaction(&self) -> Result<&'a Transaction> {
        self.transaction.ok_or_else(|| Error::internal("a statement outside a transaction asks for one"))
    }

    fn sequence(&self, oid: Oid) -> Result<Arc<RelationDescriptor>> {
        let relation = self.catalog().relation(oid).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_TABLE, format!("relation with OID {oid} does not exist"))
        })?;
        if relation.kind != RelationKind::Sequence {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a sequence", relation.name),
            ));
        }
        Ok(Arc::clone(relation))
    }

    /// Notes that the statement has told, or may tell, what a crash takes back before the log is durable up to there (N2).
    fn note_met(&self, lsn: Lsn) {
        match self.transaction {
            Some(transaction) => transaction.note_met(lsn),
            None => self.state.note_met(lsn),
        }
    }

    /// A sequence, which ALTER SEQUENCE leaves alone from now to the transaction's end, as it is now: what the statement
    /// knew of it may have changed while the lock was awaited.
    fn locked_sequence(&self, oid: Oid) -> Result<Arc<RelationDescriptor>> {
        let known = self.sequence(oid)?;
        self.state.lock_relation(self.transaction()?, oid, RelationLockMode::RowExclusive)?;
        let now = self.state.catalog().relation(oid).cloned();
        now.filter(|now| now.kind == RelationKind::Sequence)
            .ok_or_else(|| crate::errors::undefined_table(&known.name))
    }

    /// A name for what the statement's transaction sees.
    pub(crate) fn export_snapshot(&self) -> Result<String> {
        let transaction = self.transaction()?;
        if transaction.savepoint_count() > 0 {
            return Err(Error::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "cannot export a snapshot from a subtransaction",
            ));
        }
        transaction.export_snapshot()
    }

    fn require_writable(&self, function: &str) -> Result<()> {
        if self.transaction.is_some_and(Transaction::is_read_only) {
            return Err(Error::new(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                format!("cannot execute {function} in a read-only transaction"),
            ));
        }
        Ok(())
    }
}

impl SessionContext for StatementSession<'_> {
    fn format(&self) -> &FormatContext {
        self.format.get_or_init(|| self.state.format_context())
    }

    fn transaction_timestamp(&self) -> i64 {
        self.state.transaction_time.get()
    }

    fn statement_timestamp(&self) -> i64 {
        self.state.statement_time.get()
    }

    fn clock_timestamp(&self) -> i64 {
        self.state.instance.now()
    }

    fn current_user(&self) -> &str {
        self.user.get_or_init(|| self.state.name_of_role(self.state.user_oid()))
    }

    fn session_user(&self) -> &str {
        self.session_user.get_or_init(|| self.state.name_of_role(self.state.session_role()))
    }

    fn database(&self) -> &str {
        &self.state.activity.database_name
    }

    fn may_use_namespace(&self, namespace: Oid) -> bool {
        self.state.may_use_namespace(namespace)
    }

    fn search_path(&self, implicit: bool) -> Vec<String> {
        let path = if implicit { self.state.search_path().to_vec() } else { self.state.explicit_path() };
        let catalog = self.catalog();
        path.iter().filter_map(|oid| catalog.namespace(*oid)).map(|n| n.name.to_string()).collect()
    }

    fn version(&self) -> String {
        crate::version()
    }

    fn setting(&self, name: &str) -> Result<Option<String>> {
        self.state.refresh_settings();
        match self.state.settings.borrow().show(name) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.sqlstate() == SqlState::UNDEFINED_OBJECT => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set_setting(&self, name: &str, value: Option<&str>, local: bool) -> Result<String> {
        match value {
            _ if crate::authority::is_role_setting(name) && self.state.acting.get().is_some() => {
                let message = format!("cannot set parameter \"{name}\" within security-definer function");
                return Err(crate::authority::forbidden(message));
            }
            Some(value) => self.state.set_setting(name, value, local)?,
            None => self.state.reset_setting(name, local)?,
        }
        self.state.settings.borrow().show(name)
    }

    fn nextval(&self, sequence: Oid) -> Result<i64> {
        let needed = Privileges::USAGE.with(Privileges::UPDATE);
        self.state.require_sequence(&*self.sequence(sequence)?, needed)?;
        self.next_identity(sequence)
    }

    fn next_identity(&self, sequence: Oid) -> Result<i64> {
        self.require_writable("nextval()")?;
        let relation = self.locked_sequence(sequence)?;
        let descriptor = relation.sequence.as_ref().expect("a sequence has its descriptor");
        let open = self.state.database.sequence(&relation)?;
        let rules = ochre_access::sequence::SequenceRules {
            increment: descriptor.increment,
            minimum: descriptor.minimum,
            maximum: descriptor.maximum,
            cycle: descriptor.cycle,
        };
        let taken = open.next(&relation.name, rules)?;
        self.note_met(taken.lsn);
        self.state.sequence_values.borrow_mut().insert(sequence, taken.value);
        self.state.last_sequence.set(Some(sequence));
        Ok(taken.value)
    }

    fn currval(&self, sequence: Oid) -> Result<i64> {
        let relation = self.sequence(sequence)?;
        self.state.require_sequence(&relation, Privileges::USAGE.with(Privileges::SELECT))?;
        self.state.sequence_values.borrow().get(&sequence).copied().ok_or_else(|| {
            Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("currval of sequence \"{}\" is not yet defined in this session", relation.name),
            )
        })
    }

    fn setval(&self, sequence: Oid, value: i64, is_called: bool) -> Result<i64> {
        self.require_writable("setval()")?;
        self.state.require_sequence(&*self.sequence(sequence)?, Privileges::UPDATE)?;
        let relation = self.locked_sequence(sequence)?;
        let descriptor = relation.sequence.as_ref().expect("a sequence has its descriptor");
        if value < descriptor.minimum || value > descriptor.maximum {
            return Err(Error::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!(
                    "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
                    relation.name, descriptor.minimum, descriptor.maximum
                ),
            ));
        }
        let lsn = self.state.database.sequence(&relation)?.set(value, is_called)?;
        self.note_met(lsn);
        if is_called {
            self.state.sequence_values.borrow_mut().insert(sequence, value);
        }
        Ok(value)
    }

    fn lastval(&self) -> Result<i64> {
        let last = self.state.last_sequence.get();
        if let Some(sequence) = last.and_then(|oid| self.catalog().relation(oid)) {
            self.state.require_sequence(sequence, Privileges::USAGE.with(Privileges::SELECT))?;
        }
        let value = last.and_then(|oid| self.state.sequence_values.borrow().get(&oid).copied());
        value.ok_or_else(|| {
            Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "lastval is not yet defined in this session",
            )
        })
    }

    fn user_type_name(&self, oid: Oid, _typmod: i32) -> Option<String> {
        self.state.catalog_names().user_type(oid)
    }

    fn role_name(&self, oid: Oid) -> Option<String> {
        self.catalog().role(oid).map(|role| role.name.to_string())
    }

    fn call(&self, function: &Function, args: &[Datum]) -> Result<Datum> {
        crate::functions::call(self, function, args)
    }

    fn call_set(&self, function: &Function, args: &[Datum]) -> Result<Vec<Vec<Datum>>> {
        crate::functions::call_set(self, function, args)
    }

    fn call_routine(&self, call: &CallContext<'_, '_>, args: &[Datum]) -> Result<Datum> {
        crate::routine::call(self.session, self.snapshot, call, args)
    }

    fn call_routine_set(&self, call: &CallContext<'_, '_>, args: &[Datum]) -> Result<Vec<Vec<Datum>>> {
        crate::routine::call_set(self.session, self.snapshot, call, args)
    }

    fn check_interrupts(&self) -> Result<()> {
        self.state.interrupt.check()
    }

    fn random_bits(&self) -> u64 {
        let mut bytes = [0; 8];
        self.state.instance.storage().env().random.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn random(&self) -> f64 {
        let seed = self.state.random_seed.get().unwrap_or_else(|| self.random_bits());
        // SplitMix64: good enough for random(), and a seed gives the same series again.
        let next = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.random_seed.set(Some(next));
        let mut mixed = next;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn set_random_seed(&self, seed: f64) -> Result<()> {
        self.state.random_seed.set(Some(seed.to_bits()));
        Ok(())
    }

    fn sleep(&self, micros: i64) -> Result<()> {
        let micros = u64::try_from(micros).unwrap_or(0);
        let deadline = std::time::Instant::now() + Duration::from_micros(micros);
        let waiting = &self.state.instance.storage().env().wait;
        self.state.interrupt.prepare_wait();
        let _note = self.state.interrupt.waits_for(WaitEvent::Sleep);
        while std::time::Instant::now() < deadline {
            self.state.interrupt.check()?;
            self.state.interrupt.wait_until(waiting, Some(deadline));
        }
        self.state.interrupt.check()
    }

    fn backend_pid(&self) -> i32 {
        self.state.process_id
    }

    fn transaction_id(&self) -> Result<u64> {
        Ok(self.transaction()?.assign_xid()?.0)
    }

    fn transaction_id_if_assigned(&self) -> Option<u64> {
        self.transaction.map(Transaction::xid).filter(|xid| xid.is_valid()).map(|xid| xid.0)
    }

    fn for_worker(&self, watch: Arc<dyn WorkerWatch>) -> Option<Box<dyn SessionContext + Send>> {
        Some(Box::new(WorkerSession::new(self, watch)))
    }
}

impl RelationSource for StatementSession<'_> {
    fn table(&self, descriptor: &Arc<RelationDescriptor>) -> Result<Arc<TableAccess>> {
        self.state.database.table_in(descriptor, || Arc::clone(self.catalog()))
    }

    fn table_by_oid(&self, oid: Oid) -> Result<Arc<TableAccess>> {
        let relation = self.catalog().relation(oid).ok_or_else(|| crate::errors::undefined_table(oid))?;
        self.state.database.table_in(relation, || Arc::clone(self.catalog()))
    }

    fn namespace_name(&self, namespace: Oid) -> String {
        self.catalog().namespace(namespace).map(|n| n.name.to_string()).unwrap_or_default()
    }

    fn deferred(&self) -> Option<&RefCell<DeferredChecks>> {
        Some(&self.state.deferred)
    }

    fn constraint(&self, oid: Oid) -> Option<Arc<ConstraintDescriptor>> {
        self.catalog().constraint(oid).cloned()
    }

    fn foreign_key(&self, constraint: &Arc<ConstraintDescriptor>) -> Result<Option<Arc<ForeignKeyCheck>>> {
        Ok(foreign_key_check(self.catalog(), self, constraint)?.map(Arc::new))
    }

    fn trigger_applies(&self, firing: &Firing) -> Result<bool> {
        crate::routine::applies(self.session, firing)
    }

    fn fire_trigger(&self, firing: &Firing) -> Result<Option<TriggerRow>> {
        crate::routine::fire(self.session, firing)
    }

    fn referential_plan(
        &self,
        constraint: &ConstraintDescriptor,
        query: ReferentialQuery,
    ) -> Result<Arc<PlannedStatement>> {
        self.plan_referential(constraint, query)
    }

    fn builtin_rows(&self, table: &TableAccess, _statement: &StatementContext<'_>) -> Result<Vec<Batch>> {
        let descriptor = &table.descriptor;
        if descriptor.sequence.is_some() {
            let (last_value, is_called, covered, lsn) = self.state.database.sequence(descriptor)?.state();
            self.note_met(lsn);
            let values = [Datum::Int64(last_value), Datum::Int64(covered), Datum::Bool(is_called)];
            let columns = descriptor
                .columns
                .iter()
                .zip(&values)
                .map(|(column, value)| Arc::new(Column::constant(column.ty.physical, value, 1)));
            return Ok(vec![Batch::new(columns.collect(), 1)]);
        }
        if !descriptor.builtin {
            return Ok(Vec::new());
        }
        Ok(builtin::rows::batches(descriptor.oid).to_vec())
    }
}
