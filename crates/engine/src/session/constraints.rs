//! Constraints that are checked at the end of a transaction, SET CONSTRAINTS, and the plans of foreign keys' actions.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::{ConstraintDescriptor, RelationKind};
use ochre_exec::modify::errors::misfit_foreign_key;
use ochre_exec::{ReferentialQuery, run_deferred};
use ochre_parser::ast::SetConstraintsStmt;
use ochre_sql::bind::ParamTypes;
use ochre_sql::physical::{PlannedStatement, RelationLock};
use ochre_sql::{Planner, PlannerSettings};
use ochre_txn::locks::RelationLockMode;

use super::context::StatementSession;
use super::plan::own_statement;
use super::{Block, Session};
use crate::ddl::quote_identifier;
use crate::tag::CommandTag;

/// How often a plan is made again because the catalog changed while its locks were awaited.
const MAX_REPLANS: usize = 100;

/// A plan of a foreign key's action, kept for the next time.
pub(crate) struct ReferentialPlan {
    constraint: Oid,
    query: ReferentialQuery,
    catalog: u64,
    plan: Arc<PlannedStatement>,
}

impl Session {
    /// Checks what waited for the end of the transaction, as far as `due` says.
    ///
    /// # Errors
    /// 23503, 23505; errors of storage and of waiting.
    pub(crate) fn run_deferred_checks(&self, due: impl Fn(Oid) -> bool) -> Result<()> {
        let mut done = Vec::new();
        loop {
            let marks = self.state.deferred.borrow_mut().take(&due);
            if marks.is_empty() {
                let command = self.txn().current_cid();
                let firing = self.state.deferred.borrow_mut().next_firing(&due, command);
                let Some(firing) = firing else { break };
                self.state.interrupt.check()?;
                if let Err(error) = crate::routine::fire(self, &firing) {
                    self.state.deferred.borrow_mut().put_back(done);
                    return Err(error);
                }
                self.txn().advance_command()?;
                self.state.note_met(self.txn().gate_lsn());
                continue;
            }
            let transaction = self.txn();
            transaction.advance_command()?;
            let snapshot = transaction.current_snapshot()?;
            let result = self.with_context(&snapshot, &[], |_, context| run_deferred(context, &marks));
            drop(snapshot);
            done.extend(marks);
            if let Err(error) = result {
                self.state.deferred.borrow_mut().put_back(done);
                return Err(error);
            }
            let transaction = self.txn();
            transaction.advance_command()?;
            self.state.note_met(transaction.gate_lsn());
        }
        if self.txn().savepoint_count() > 0 {
            self.state.deferred.borrow_mut().put_back(done);
        }
        Ok(())
    }

    /// Checks everything that waited for the end of the transaction.
    ///
    /// # Errors
    /// As [`Session::run_deferred_checks`].
    pub(crate) fn run_all_deferred_checks(&self) -> Result<()> {
        if self.state.deferred.borrow().is_empty() {
            return Ok(());
        }
        self.run_deferred_checks(|_| true)
    }

    /// `SET CONSTRAINTS`.
    pub(crate) fn set_constraints(&self, statement: &SetConstraintsStmt) -> Result<CommandTag> {
        if matches!(self.block, Block::Idle | Block::Implicit) && !self.in_routine() {
            self.warn(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET CONSTRAINTS can only be used in transaction blocks",
            );
        }
        if statement.constraints.is_empty() {
            self.state.deferred.borrow_mut().timing.set_all(statement.deferred);
        }
        let mut named: Vec<Oid> = Vec::new();
        for name in &statement.constraints {
            for (oid, deferrable) in self.constraints_named(name)? {
                if deferrable {
                    named.push(oid);
                } else if statement.deferred {
                    return Err(Error::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!("constraint \"{}\" is not deferrable", name.name()),
                    ));
                }
            }
        }
        for constraint in &named {
            self.state.deferred.borrow_mut().timing.set(*constraint, statement.deferred);
        }
        if !statement.deferred {
            let all = statement.constraints.is_empty();
            self.run_deferred_checks(|oid| all || named.contains(&oid))?;
        }
        Ok(CommandTag::Plain("SET CONSTRAINTS"))
    }

    /// The constraints and constraint triggers of a name, and whether they can be deferred: in one schema, or in the first
    /// of the path that has one.
    fn constraints_named(&self, name: &ochre_parser::ast::ObjectName) -> Result<Vec<(Oid, bool)>> {
        let catalog = self.state.catalog();
        let namespaces: Vec<Oid> = match name.schema() {
            Some(schema) => vec![
                catalog.namespace_named(schema).ok_or_else(|| crate::errors::undefined_schema(schema))?.oid,
            ],
            None => self.state.search_path().to_vec(),
        };
        for namespace in namespaces {
            let mut found: Vec<(Oid, bool)> = Vec::new();
            for relation in catalog.relations().filter(|relation| relation.namespace == namespace) {
                let constraints = relation.constraints.iter().filter(|known| *known.name == **name.name());
                found.extend(constraints.map(|constraint| (constraint.oid, constraint.deferrable)));
                let triggers = relation.triggers.iter().filter(|known| *known.name == **name.name());
                let triggers = triggers.filter(|trigger| trigger.constraint.is_valid());
                found.extend(triggers.map(|trigger| (trigger.constraint, trigger.deferrable)));
            }
            if !found.is_empty() {
                // With what stands for them in partitions, or for references to partitions.
                let mut next = 0;
                while next < found.len() {
                    let parts = catalog.constraints().filter(|known| known.parent == found[next].0);
                    let parts: Vec<_> = parts.map(|part| (part.oid, part.deferrable)).collect();
                    found.extend(
                        parts
                            .into_iter()
                            .filter(|(oid, _)| found.iter().all(|(known, _)| known != oid))
                            .collect::<Vec<_>>(),
                    );
                    next += 1;
                }
                return Ok(found);
            }
        }
        Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("constraint \"{name}\" does not exist")))
    }
}

impl StatementSession<'_> {
    /// The plan of a query over the table that has a foreign key, with its locks taken.
    pub(super) fn plan_referential(
        &self,
        constraint: &ConstraintDescriptor,
        query: ReferentialQuery,
    ) -> Result<Arc<PlannedStatement>> {
        for _ in 0..MAX_REPLANS {
            let version = self.state.catalog_version();
            let plan = self.referential_plan_of(constraint, query, version)?;
            let transaction = self.transaction()?;
            for relation in &plan.relations {
                let mode = match relation.lock {
                    RelationLock::AccessShare => RelationLockMode::AccessShare,
                    RelationLock::RowShare => RelationLockMode::RowShare,
                    RelationLock::RowExclusive => RelationLockMode::RowExclusive,
                };
                self.state.lock_relation(transaction, relation.oid, mode)?;
            }
            if self.state.catalog_version() == version {
                return Ok(plan);
            }
        }
        Err(Error::internal("the catalog changes faster than a foreign key can be planned"))
    }

    fn referential_plan_of(
        &self,
        constraint: &ConstraintDescriptor,
        query: ReferentialQuery,
        version: u64,
    ) -> Result<Arc<PlannedStatement>> {
        {
            let mut kept = self.state.referential_plans.borrow_mut();
            kept.retain(|plan| plan.catalog == version);
            let found = kept.iter().find(|plan| plan.constraint == constraint.oid && plan.query == query);
            if let Some(found) = found {
                return Ok(Arc::clone(&found.plan));
            }
        }
        let catalog = self.state.catalog();
        let (text, types) =
            referential_text(&catalog, constraint, query).ok_or_else(|| misfit_foreign_key(constraint))?;
        let statement = own_statement(&text)?;
        // The key is looked for by an index wherever there is one.
        let settings = PlannerSettings { enable_seqscan: false, ..PlannerSettings::default() };
        let mut parameters = ParamTypes::new(&catalog, &types);
        let path = ochre_catalog::IMPLICIT_NAMESPACES;
        let planner = Planner::new(&catalog, &path, self, &settings);
        let plan = Arc::new(planner.plan(&statement, &mut parameters)?);
        self.state.referential_plans.borrow_mut().push(ReferentialPlan {
            constraint: constraint.oid,
            query,
            catalog: version,
            plan: Arc::clone(&plan),
        });
        Ok(plan)
    }
}

/// The statement of an action, and the types of its parameters.
fn referential_text(
    catalog: &ochre_catalog::CatalogSnapshot,
    constraint: &ConstraintDescriptor,
    query: ReferentialQuery,
) -> Option<(String, Vec<Oid>)> {
    let foreign = constraint.foreign.as_ref()?;
    let (table, parent) = (catalog.relation(constraint.table)?, catalog.relation(foreign.table)?);
    let namespace = catalog.namespace(table.namespace)?;
    let name = format!("{}.{}", quote_identifier(&namespace.name), quote_identifier(&table.name));
    // A partitioned table's rows are in its partitions.
    let only = if table.kind == RelationKind::PartitionedTable { "" } else { "ONLY " };
    let column = |number: &i16| Some(quote_identifier(&table.column(*number)?.name));
    let columns: Vec<String> = constraint.columns.iter().map(column).collect::<Option<_>>()?;
    let mut types: Vec<Oid> =
        foreign.columns.iter().map(|number| Some(parent.column(*number)?.ty.oid)).collect::<Option<_>>()?;
    let count = columns.len();
    let terms: Vec<String> =
        columns.iter().enumerate().map(|(i, column)| format!("{column} = ${}", i + 1)).collect();
    let condition = terms.join(" AND ");
    let some = |on_delete: bool| -> Option<Vec<String>> {
        if on_delete && !foreign.delete_columns.is_empty() {
            return foreign.delete_columns.iter().map(column).collect();
        }
        Some(columns.clone())
    };
    let set = |columns: Vec<String>, value: &str| {
        let settings: Vec<String> = columns.iter().map(|column| format!("{column} = {value}")).collect();
        format!("UPDATE {only}{name} SET {} WHERE {condition}", settings.join(", "))
    };
    let text = match query {
        ReferentialQuery::Find => {
            format!("SELECT 1 FROM {only}{name} WHERE {condition} LIMIT 1 FOR KEY SHARE")
        }
        ReferentialQuery::Delete => format!("DELETE FROM {only}{name} WHERE {condition}"),
        ReferentialQuery::UpdateKey => {
            types.extend_from_within(..);
            let settings: Vec<String> = columns
                .iter()
                .enumerate()
                .map(|(i, column)| format!("{column} = ${}", count + i + 1))
                .collect();
            format!("UPDATE {only}{name} SET {} WHERE {condition}", settings.join(", "))
        }
        ReferentialQuery::SetNull { on_delete } => set(some(on_delete)?, "NULL"),
        ReferentialQuery::SetDefault { on_delete } => set(some(on_delete)?, "DEFAULT"),
    };
    Some((text, types))
}
