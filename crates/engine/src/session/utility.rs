//! Utility statements: everything that has no plan of its own.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::RelationKind;
use ochre_catalog::authority::Privileges;
use ochre_parser::ast::{
    self, DefElem, DefValue, DiscardTarget, ExecuteStmt, ExplainStmt, IntoClause, LockMode, LockStmt,
    ObjectKind, PrepareStmt, SelectBody, SelectStmt, Statement,
};
use ochre_sql::bind::{ParamTypes, bind_typed_expression};
use ochre_sql::explain::ExplainOptions;
use ochre_sql::physical::OutputColumn;
use ochre_txn::locks::RelationLockMode;
use ochre_types::{Batch, Column, Datum, SqlType, oids};

use super::Session;
use super::context::StatementSession;
use super::explain::query_within;
use super::extended::{Parameters, StatementShape};
use super::plan::QueryParameters;
use super::simple::is_plannable;
use crate::authority::Need;
use crate::routine::Host;
use crate::routine::procedure::{BoundCall, run_block};
use crate::sink::Sink;
use crate::tag::CommandTag;

/// Which protocol a utility runs in: in the extended one, Describe has told the rows' shape already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Simple,
    Extended,
}

/// The table that a `SELECT … INTO` makes; the first SELECT of a set operation says it.
pub(crate) fn into_of(select: &SelectStmt) -> Option<&IntoClause> {
    let mut first = select;
    loop {
        match &first.body {
            SelectBody::Select(core) => return core.into.as_deref(),
            SelectBody::SetOp(operation) => first = &operation.left,
            SelectBody::Values(_) => return None,
        }
    }
}

/// `SELECT … INTO`, which makes a table.
pub(crate) fn is_select_into(select: &SelectStmt) -> bool {
    into_of(select).is_some()
}

/// The query of a `SELECT … INTO`.
pub(crate) fn without_into(select: &SelectStmt) -> SelectStmt {
    let mut query = select.clone();
    let mut first = &mut query;
    loop {
        match &mut first.body {
            SelectBody::Select(core) => {
                core.into = None;
                return query;
            }
            SelectBody::SetOp(operation) => first = &mut operation.left,
            SelectBody::Values(_) => return query,
        }
    }
}

fn text_column(name: &str) -> OutputColumn {
    OutputColumn { name: name.into(), ty: SqlType::TEXT, origin: None }
}

fn explain_shape(explain: &ExplainStmt) -> Result<Arc<[OutputColumn]>> {
    let ty = super::explain::answer_type(explain)?;
    Ok(Arc::from([OutputColumn { ty, ..text_column("QUERY PLAN") }]))
}

impl Session {
    /// What a client may know of a utility before it runs: its parameters' types and the shape of its rows.
    pub(crate) fn utility_interface(
        &mut self,
        statement: &Statement,
        declared: &[Oid],
    ) -> Result<StatementShape> {
        let query = match statement {
            Statement::CreateTableAs(create) if create.materialized_view => None,
            Statement::DeclareCursor(_) | Statement::CreateTableAs(_) | Statement::Select(_) => {
                query_within(statement)
            }
            // That one knows no values.
            Statement::Explain(explain) if ExplainOptions::from_statement(explain)?.generic_plan => None,
            Statement::Explain(explain) => query_within(&explain.query),
            _ => None,
        };
        let mut parameters = Vec::new();
        if let Some(query) = query {
            self.begin_implicit()?;
            parameters.clone_from(&self.plan_parameterised(&query, declared)?.1.parameters);
        }
        let columns = match statement {
            Statement::Call(call) => {
                self.begin_implicit()?;
                // What a driver that knows no procedures gives for output parameters.
                let declared =
                    declared.iter().map(|oid| if *oid == oids::VOID { Oid::INVALID } else { *oid });
                let mut types = ParamTypes::new(&self.state.catalog(), &declared.collect::<Vec<Oid>>());
                let bound = BoundCall::new(self, call, &mut types)?;
                let columns = bound.outputs(self).into_iter().map(|(_, column)| column);
                parameters = types.decided()?;
                Some(columns.collect()).filter(|columns: &Arc<[OutputColumn]>| !columns.is_empty())
            }
            Statement::Show(show) => Some(show_shape(show)),
            Statement::Explain(explain) => Some(explain_shape(explain)?),
            Statement::Fetch(fetch) => self.fetch_shape(fetch),
            Statement::Execute(execute) => {
                let name: &str = &execute.name;
                self.statements.get(name).and_then(|prepared| prepared.shape.clone())
            }
            _ => None,
        };
        Ok(StatementShape { parameters, columns })
    }

    /// Runs a utility; `None` when it is a COPY that now waits for data.
    pub(crate) fn run_utility(
        &mut self,
        statement: &Statement,
        text: &str,
        parameters: Parameters<'_>,
        protocol: Protocol,
        sink: &mut dyn Sink,
    ) -> Result<Option<CommandTag>> {
        let is_short = matches!(
            statement,
            Statement::Set(_)
                | Statement::Show(_)
                | Statement::Prepare(_)
                | Statement::Execute(_)
                | Statement::Deallocate(_)
                | Statement::DeclareCursor(_)
                | Statement::Fetch(_)
                | Statement::ClosePortal(_)
                | Statement::Listen(_)
                | Statement::Unlisten(_)
                | Statement::Notify(_)
                | Statement::Discard(_)
        );
        if is_short {
            return self.run_utility_here(statement, text, parameters, protocol, sink);
        }
        let wait = self.waiting();
        wait.run(|| self.run_utility_here(statement, text, parameters, protocol, sink))
    }

    fn run_utility_here(
        &mut self,
        statement: &Statement,
        text: &str,
        parameters: Parameters<'_>,
        protocol: Protocol,
        sink: &mut dyn Sink,
    ) -> Result<Option<CommandTag>> {
        match statement {
            Statement::Set(set) => return self.set_statement(set).map(Some),
            Statement::Show(show) => {
                let rows = self.show_rows(show)?;
                self.send_text_rows(show_shape(show), &rows, protocol, sink)?;
                return Ok(Some(CommandTag::Plain("SHOW")));
            }
            Statement::Explain(explain) => {
                return self.explain(explain, parameters, protocol, sink).map(Some);
            }
            Statement::Prepare(prepare) => return self.prepare_statement(prepare, text).map(Some),
            Statement::Execute(execute) => return self.execute_statement(execute, protocol, sink),
            Statement::Deallocate(deallocate) => {
                return self.deallocate(deallocate.name.as_deref()).map(Some);
            }
            Statement::DeclareCursor(declare) => {
                return self.declare_cursor(declare, text, parameters).map(Some);
            }
            Statement::Fetch(fetch) => return self.fetch(fetch, protocol, sink).map(Some),
            Statement::ClosePortal(close) => return self.close_cursor(close.name.as_deref()).map(Some),
            Statement::Listen(channel) => return self.listen(channel).map(Some),
            Statement::Unlisten(channel) => return Ok(Some(self.unlisten(channel.as_deref()))),
            Statement::Notify(notify) => {
                return self.notify(&notify.channel, notify.payload.as_deref()).map(Some);
            }
            Statement::Do(block) => {
                self.statement_snapshot()?;
                run_block(self.routine_host(), block)?;
                return self.routine_done("DO").map(Some);
            }
            Statement::Call(call) => {
                self.statement_snapshot()?;
                let bound = BoundCall::new(self, call, &mut ParamTypes::of_types(parameters.types))?;
                let result = bound.carry_out(self.routine_host(), parameters.values)?;
                self.send_call_result(result, protocol, sink)?;
                return self.routine_done("CALL").map(Some);
            }
            Statement::Discard(target) => return self.discard(*target).map(Some),
            Statement::Copy(copy) => return self.copy_statement(copy, sink),
            Statement::Lock(lock) => return self.lock_statement(lock).map(Some),
            Statement::Checkpoint => {
                if !self.state.roles().has_role(ochre_catalog::oids::PG_CHECKPOINT) {
                    let detail =
                        "Only roles with privileges of the \"pg_checkpoint\" role may execute this command.";
                    return Err(crate::authority::forbidden(
                        "permission denied to execute CHECKPOINT command",
                    )
                    .detail(detail));
                }
                self.state.instance.checkpoint()?;
                return Ok(Some(CommandTag::Plain("CHECKPOINT")));
            }
            Statement::Vacuum(vacuum) => return self.vacuum(vacuum).map(Some),
            Statement::SetConstraints(set) => return self.set_constraints(set).map(Some),
            _ => {}
        }
        let name = statement_name(statement);
        let tag = self.changing_relations(&name, |session| match statement {
            Statement::CreateIndex(create) if create.concurrently => {
                session.create_index_concurrently(create)
            }
            Statement::Drop(drop) if drop.concurrently => session.drop_index_concurrently(drop),
            Statement::AlterTable(alter) => match crate::ddl::detached_concurrently(alter) {
                Some(partition) => session.detach_concurrently(alter, partition),
                None => session.run_ddl(statement, text, &parameters),
            },
            Statement::Reindex(reindex) => session.reindex(reindex),
            Statement::Cluster(cluster) => session.cluster(cluster),
            Statement::CreateDatabase(create) => session.create_database(create),
            Statement::DropDatabase(drop) => session.drop_database(drop),
            _ => session.run_ddl(statement, text, &parameters),
        })?;
        self.txn().advance_command()?;
        self.state.note_met(self.txn().gate_lsn());
        Ok(Some(tag))
    }

    /// Runs DDL from outside of any routine.
    fn changing_relations(
        &mut self,
        name: &str,
        run: impl FnOnce(&mut Session) -> Result<CommandTag>,
    ) -> Result<CommandTag> {
        self.require_writable(name)?;
        if self.portals.is_empty() {
            return run(self);
        }
        // Relations that queries of this session have open must not change under them.
        let outer = self.state.ddl_command.replace(Some(name.to_owned()));
        let result = run(self);
        self.state.ddl_command.replace(outer);
        result
    }

    /// Runs a utility statement within a routine.
    ///
    /// # Errors
    /// 25001 for what ends transactions; 0A000 for what only clients do.
    pub(crate) fn run_inner_utility(
        &self,
        statement: &Statement,
        text: &str,
        parameters: &dyn QueryParameters,
    ) -> Result<()> {
        self.txn().forbid_suspension();
        let name = statement_name(statement);
        match statement {
            Statement::Do(block) => return run_block(Host::Within(self), block),
            Statement::Set(set) => return self.set_within(set),
            Statement::Lock(lock) => self.lock_statement(lock)?,
            Statement::SetConstraints(set) => self.set_constraints(set)?,
            Statement::Listen(channel) => self.listen(channel)?,
            Statement::Unlisten(channel) => self.unlisten(channel.as_deref()),
            Statement::Notify(notify) => self.notify(&notify.channel, notify.payload.as_deref())?,
            Statement::Vacuum(vacuum) if vacuum.analyze_only => {
                self.analyze_within(vacuum)?;
                CommandTag::Plain("ANALYZE")
            }
            Statement::CreateDatabase(_)
            | Statement::DropDatabase(_)
            | Statement::Vacuum(_)
            | Statement::Reindex(_)
            | Statement::Cluster(_)
            | Statement::Discard(_) => return Err(crate::errors::not_from_a_function(&name)),
            Statement::CreateTable(_)
            | Statement::CreateTableAs(_)
            | Statement::CreateView(_)
            | Statement::RefreshMaterializedView(_)
            | Statement::Select(_)
            | Statement::AlterTable(_)
            | Statement::CreateIndex(_)
            | Statement::CreateSequence(_)
            | Statement::AlterSequence(_)
            | Statement::Drop(_)
            | Statement::Rename(_)
            | Statement::AlterObjectSchema(_)
            | Statement::CreateTrigger(_)
            | Statement::CreateType(_)
            | Statement::CreateFunction(_)
            | Statement::Define(_)
            | Statement::AlterFunction(_)
            | Statement::CreateSchema(_)
            | Statement::CreateRole(_)
            | Statement::Grant(_)
            | Statement::GrantRole(_)
            | Statement::AlterDefaultPrivileges(_)
            | Statement::AlterOwner(_)
            | Statement::ReassignOwned(_)
            | Statement::DropOwned(_)
            | Statement::AlterGroup(_)
            | Statement::AlterRole(_)
            | Statement::DropRole(_)
            | Statement::Truncate(_)
            | Statement::Comment(_) => {
                self.require_writable(&name)?;
                self.txn().advance_command()?;
                let outer = self.state.ddl_command.replace(Some(name.clone()));
                let result = self.run_ddl(statement, text, parameters);
                self.state.ddl_command.replace(outer);
                result?
            }
            _ => return Err(Error::unsupported(format_args!("{name} in a function"))),
        };
        self.txn().advance_command()?;
        self.state.note_met(self.txn().gate_lsn());
        Ok(())
    }

    /// Whether a routine is being carried out.
    pub(crate) fn in_routine(&self) -> bool {
        self.state.routine_depth.get() > 0
    }

    fn run_ddl(
        &self,
        statement: &Statement,
        text: &str,
        parameters: &dyn QueryParameters,
    ) -> Result<CommandTag> {
        let name = statement_name(statement);
        match statement {
            Statement::CreateTable(create) => self.create_table(create),
            Statement::CreateTableAs(create) if create.materialized_view => {
                self.create_materialized_view(create, text)
            }
            Statement::CreateTableAs(create) => self.create_table_as(create, parameters),
            Statement::CreateView(create) => self.create_view(create, text),
            Statement::RefreshMaterializedView(refresh) => self.refresh_materialized_view(refresh),
            Statement::Select(select) => self.select_into(select, parameters),
            Statement::AlterTable(alter) => self.alter_table(alter),
            Statement::CreateIndex(create) => self.create_index(create),
            Statement::CreateSequence(create) => self.create_sequence(create),
            Statement::AlterSequence(alter) => self.alter_sequence(alter),
            Statement::Drop(drop) => self.drop_objects(drop),
            Statement::Rename(rename) => self.rename(rename),
            Statement::AlterObjectSchema(alter) => self.set_schema(alter),
            Statement::CreateTrigger(create) => self.create_trigger(create),
            Statement::CreateType(create) => self.create_type(create),
            Statement::CreateFunction(create) => self.create_function(create),
            Statement::Define(define) if define.kind == ObjectKind::Aggregate => {
                self.create_aggregate(define)
            }
            Statement::AlterFunction(alter) => self.alter_function(alter),
            Statement::CreateSchema(create) => self.create_schema(create),
            Statement::Grant(grant) => self.grant(grant),
            Statement::GrantRole(grant) => self.grant_role(grant),
            Statement::AlterDefaultPrivileges(alter) => self.alter_default_privileges(alter),
            Statement::AlterOwner(alter) => self.alter_owner(alter),
            Statement::ReassignOwned(reassign) => self.reassign_owned(reassign),
            Statement::DropOwned(drop) => self.drop_owned(drop),
            Statement::AlterGroup(alter) => self.alter_group(alter),
            Statement::CreateRole(create) => self.create_role(create),
            Statement::AlterRole(alter) => self.alter_role(alter),
            Statement::DropRole(drop) => self.drop_role(drop),
            Statement::Truncate(truncate) => self.truncate(truncate),
            Statement::Comment(comment) => self.comment(comment),
            _ => Err(Error::unsupported(name)),
        }
    }

    /// What a CALL or DO is carried out by: outside blocks it may end the transaction.
    fn routine_host(&mut self) -> Host<'_> {
        match self.prevent_in_block("CALL") {
            Ok(()) => Host::Alone(self),
            Err(_) => Host::Within(self),
        }
    }

    /// The end of a statement that ran routines.
    fn routine_done(&self, tag: &'static str) -> Result<CommandTag> {
        self.txn().advance_command()?;
        self.state.note_met(self.txn().gate_lsn());
        Ok(CommandTag::Plain(tag))
    }

    /// Sends the output columns of a procedure as a row.
    fn send_call_result(
        &mut self,
        result: crate::routine::CallResult,
        protocol: Protocol,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        if result.outputs.is_empty() {
            return Ok(());
        }
        let shape: Arc<[OutputColumn]> = result.outputs.iter().map(|output| output.column.clone()).collect();
        if protocol == Protocol::Simple {
            sink.row_shape(&shape)?;
        }
        let format = self.state.format_context();
        let columns = result
            .outputs
            .iter()
            .map(|output| Arc::new(Column::from_datums(output.column.ty.physical, [&output.value])))
            .collect();
        sink.rows(&Batch::new(columns, 1), &shape, &format)
    }

    /// Sends rows of texts.
    fn send_text_rows(
        &mut self,
        shape: Arc<[OutputColumn]>,
        rows: &[Vec<String>],
        protocol: Protocol,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        if protocol == Protocol::Simple {
            sink.row_shape(&shape)?;
        }
        let format = self.state.format_context();
        for chunk in rows.chunks(ochre_base::limits::BATCH_ROWS) {
            let columns = (0..shape.len()).map(|i| {
                let values: Vec<Datum> = chunk.iter().map(|row| Datum::text(row[i].as_str())).collect();
                Arc::new(Column::from_datums(SqlType::TEXT.physical, &values))
            });
            sink.rows(&Batch::new(columns.collect(), chunk.len()), &shape, &format)?;
        }
        Ok(())
    }

    fn explain(
        &mut self,
        explain: &ExplainStmt,
        parameters: Parameters<'_>,
        protocol: Protocol,
        sink: &mut dyn Sink,
    ) -> Result<CommandTag> {
        let lines = self.explain_lines(explain, &parameters)?;
        let rows: Vec<Vec<String>> = lines.into_iter().map(|line| vec![line]).collect();
        self.send_text_rows(explain_shape(explain)?, &rows, protocol, sink)?;
        Ok(CommandTag::Plain("EXPLAIN"))
    }

    fn prepare_statement(&mut self, prepare: &PrepareStmt, text: &str) -> Result<CommandTag> {
        let name: &str = &prepare.name;
        if self.statements.contains_key(name) {
            return Err(Error::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        if !is_plannable(&prepare.query) {
            return Err(Error::unsupported("PREPARE of a utility statement"));
        }
        let mut types = Vec::with_capacity(prepare.types.len());
        for ty in &prepare.types {
            types.push(self.bind_type(ty)?.oid);
        }
        let prepared = Arc::new(self.prepare(text, Some(prepare.query.clone()), &types)?);
        self.list_prepared(name, &prepared, self.source_text(text), true);
        self.statements.insert(name.into(), prepared);
        Ok(CommandTag::Plain("PREPARE"))
    }

    /// The parameters of an EXECUTE.
    pub(crate) fn execute_parameters(
        &self,
        execute: &ExecuteStmt,
    ) -> Result<(Arc<super::Prepared>, Vec<Datum>)> {
        let name: &str = &execute.name;
        let prepared = self.statements.get(name).cloned().ok_or_else(|| {
            Error::new(
                SqlState::INVALID_SQL_STATEMENT_NAME,
                format!("prepared statement \"{name}\" does not exist"),
            )
        })?;
        // Of a statement without parameters PostgreSQL does not even look at what is given.
        if prepared.parameters.is_empty() {
            return Ok((prepared, Vec::new()));
        }
        if execute.params.len() != prepared.parameters.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .detail(format!(
                "Expected {} parameters but got {}.",
                prepared.parameters.len(),
                execute.params.len()
            )));
        }
        let catalog = self.state.catalog();
        let path = self.state.search_path();
        let session = StatementSession::new(self);
        let mut values = Vec::with_capacity(execute.params.len());
        for (number, (expr, ty)) in execute.params.iter().zip(&prepared.parameters).enumerate() {
            let bind = |target| {
                bind_typed_expression(&catalog, &path, &session, &mut ParamTypes::none(), expr, target)
            };
            let bound = bind(Some(*ty)).map_err(|error| match bind(None) {
                Ok(given) if error.sqlstate() == SqlState::CANNOT_COERCE => {
                    let error = Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!(
                            "parameter ${} of type {} cannot be coerced to the expected type {}",
                            number + 1,
                            self.type_name_text(given.ty()),
                            self.type_name_text(*ty)
                        ),
                    )
                    .hint("You will need to rewrite or cast the expression.");
                    match expr.pos().get() {
                        Some(offset) => error.at(offset),
                        None => error,
                    }
                }
                _ => error,
            })?;
            let eval =
                ochre_expr::EvalContext { params: &[], correlated: &[], session: &session, subplans: None };
            values.push(ochre_expr::eval_const(&bound, &eval)?);
        }
        Ok((prepared, values))
    }

    fn execute_statement(
        &mut self,
        execute: &ExecuteStmt,
        protocol: Protocol,
        sink: &mut dyn Sink,
    ) -> Result<Option<CommandTag>> {
        let (prepared, values) = self.execute_parameters(execute)?;
        let plan = self.valid_plan(&prepared, &values)?;
        let tag = match protocol {
            Protocol::Simple => self.run_to_sink(&plan, &values, sink)?,
            Protocol::Extended => self.run_rows(&plan, &values, sink)?,
        };
        Ok(Some(tag))
    }

    fn deallocate(&mut self, name: Option<&str>) -> Result<CommandTag> {
        match name {
            None => {
                self.statements.clear();
                self.state.listings.borrow_mut().prepared.clear();
                Ok(CommandTag::Plain("DEALLOCATE ALL"))
            }
            Some(name) => match self.statements.remove(name) {
                Some(_) => {
                    self.state.listings.borrow_mut().prepared.remove(name);
                    Ok(CommandTag::Plain("DEALLOCATE"))
                }
                None => Err(Error::new(
                    SqlState::INVALID_SQL_STATEMENT_NAME,
                    format!("prepared statement \"{name}\" does not exist"),
                )),
            },
        }
    }

    fn discard(&mut self, target: DiscardTarget) -> Result<CommandTag> {
        Ok(CommandTag::Plain(match target {
            DiscardTarget::All => {
                self.prevent_in_block("DISCARD ALL")?;
                self.portals.clear();
                self.statements.clear();
                *self.state.listings.borrow_mut() = super::cursor::Listings::default();
                self.unlisten(None);
                self.state.reset_setting("session_authorization", false)?;
                self.state.settings.borrow_mut().reset_all();
                self.state.sequence_values.borrow_mut().clear();
                self.state.last_sequence.set(None);
                let owner = Arc::clone(&self.state.locks);
                self.state.instance.locks().unlock_all_advisory(&owner);
                self.discard_temporary()?;
                "DISCARD ALL"
            }
            DiscardTarget::Plans => "DISCARD PLANS",
            DiscardTarget::Sequences => {
                self.state.sequence_values.borrow_mut().clear();
                self.state.last_sequence.set(None);
                "DISCARD SEQUENCES"
            }
            DiscardTarget::Temp => {
                self.discard_temporary()?;
                "DISCARD TEMP"
            }
        }))
    }

    fn lock_statement(&self, lock: &LockStmt) -> Result<CommandTag> {
        if self.block != super::Block::Explicit && !self.in_routine() {
            return Err(Error::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "LOCK TABLE can only be used in transaction blocks",
            ));
        }
        let mode = match lock.mode {
            LockMode::AccessShare => RelationLockMode::AccessShare,
            LockMode::RowShare => RelationLockMode::RowShare,
            LockMode::RowExclusive => RelationLockMode::RowExclusive,
            LockMode::ShareUpdateExclusive => RelationLockMode::ShareUpdateExclusive,
            LockMode::Share => RelationLockMode::Share,
            LockMode::ShareRowExclusive => RelationLockMode::ShareRowExclusive,
            LockMode::Exclusive => RelationLockMode::Exclusive,
            LockMode::AccessExclusive => RelationLockMode::AccessExclusive,
        };
        let mut enough =
            Privileges::MAINTAIN.with(Privileges::UPDATE).with(Privileges::DELETE).with(Privileges::TRUNCATE);
        if mode <= RelationLockMode::RowExclusive {
            enough = enough.with(Privileges::INSERT);
        }
        if mode == RelationLockMode::AccessShare {
            enough = enough.with(Privileges::SELECT);
        }
        let need = Need::OneOf(enough);
        for relation in &lock.relations {
            if let Some(found) = self.state.find_relation(&relation.name)?
                && !(found.kind.is_table() || found.kind == RelationKind::View)
            {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("cannot lock relation \"{}\"", found.name),
                )
                .detail(format!("This operation is not supported for {}.", found.kind.plural())));
            }
            if !lock.nowait {
                let table = self.require_and_lock(&relation.name, mode, need)?;
                if !relation.only {
                    self.lock_descendants(table.oid, mode)?;
                }
                continue;
            }
            let found = self.state.find_relation(&relation.name)?;
            let found = found.ok_or_else(|| crate::ddl::undefined(&relation.name))?;
            self.state.require(&found, need)?;
            let all = match relation.only {
                true => vec![found.oid],
                false => self.state.catalog().descendants(found.oid),
            };
            for oid in all {
                if !self.state.try_lock_relation(self.txn(), oid, mode)? {
                    let catalog = self.state.catalog();
                    let name = catalog.relation(oid).map(|r| r.name.to_string()).unwrap_or_default();
                    return Err(Error::new(
                        SqlState::LOCK_NOT_AVAILABLE,
                        format!("could not obtain lock on relation \"{name}\""),
                    ));
                }
            }
        }
        Ok(CommandTag::Plain("LOCK TABLE"))
    }
}

/// An option's value as a flag; one without a value is on.
pub(crate) fn option_flag(option: &DefElem) -> Result<bool> {
    match &option.value {
        None => Ok(true),
        Some(DefValue::Bool(value)) => Ok(*value),
        Some(value) => match value.as_text().to_ascii_lowercase().as_str() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => {
                let message = format!("{} requires a Boolean value", option.name);
                Err(Error::new(SqlState::SYNTAX_ERROR, message))
            }
        },
    }
}

fn show_shape(show: &ast::ShowStmt) -> Arc<[OutputColumn]> {
    match show {
        ast::ShowStmt::Name(name, _) => {
            let canonical = crate::settings::find(name).map(|index| crate::settings::SETTINGS[index].name);
            Arc::from([text_column(canonical.unwrap_or(name))])
        }
        ast::ShowStmt::All => {
            Arc::from([text_column("name"), text_column("setting"), text_column("description")])
        }
    }
}

/// A statement's name for messages, from the name of its variant.
pub(crate) fn statement_name(statement: &Statement) -> String {
    match statement {
        Statement::Drop(drop) => return format!("DROP {}", drop.kind.as_sql()),
        Statement::AlterTable(alter) => return format!("ALTER {}", alter.kind.as_sql()),
        Statement::Select(_) => return "SELECT INTO".to_string(),
        _ => {}
    }
    let debug = format!("{statement:?}");
    let end = debug.find(|c: char| !c.is_alphanumeric()).unwrap_or(debug.len());
    let mut name = String::new();
    for c in debug[..end].chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push(' ');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}
