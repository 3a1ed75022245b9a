//! Tables and indexes that are built or written anew.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::{IndexDescriptor, RelationDescriptor, RelationKind};
use ochre_exec::{Execution, build_index, each_batch};
use ochre_expr::Expr;
use ochre_parser::ast::{self, CreateTableAsStmt, SelectStmt, Statement};
use ochre_txn::locks::RelationLockMode;
use ochre_types::{Batch, Datum};

use super::create_table::{check_column_name, columns_of_query};
use crate::errors;
use crate::session::Session;
use crate::session::plan::{PlanFor, QueryParameters, own_statement};
use crate::session::utility::{into_of, without_into};
use crate::tag::CommandTag;

/// A query that fills a table, and what it may mention as parameters.
pub(crate) struct Source<'a> {
    pub query: &'a Statement,
    pub parameters: &'a dyn QueryParameters,
}

impl Session {
    /// Fills a new index, whose tree is empty, from its table; notes its size in the descriptor.
    ///
    /// The build's snapshot stays registered until the entries are written, so the collector takes no row away whose entry
    /// is still to come; the table's lock keeps writers out.
    pub(crate) fn build_index(
        &self,
        relation: &Arc<RelationDescriptor>,
        index: &mut IndexDescriptor,
    ) -> Result<()> {
        index.file = self.new_tree()?;
        let memory = self.state.settings.borrow().integer("maintenance_work_mem") as usize * 1024;
        let database = Arc::clone(&self.state.database);
        let table = database.table_in(relation, || self.state.catalog())?;
        let tree = self.state.instance.btrees().open(database.file_key(false, index.file))?;
        let access =
            database.index_access(&self.state.catalog(), relation, &Arc::new(index.clone()), tree)?;
        self.txn().advance_command()?;
        let snapshot = self.txn().newest_snapshot()?;
        let report = self
            .with_context(&snapshot, &[], |_, context| build_index(context, &table, &access, memory))
            .inspect_err(|_| self.state.instance.btrees().forget(database.file_key(false, index.file)))?;
        // An older snapshot could miss rows whose versions it sees and the build did not. For others than this
        // transaction the index begins with its commit ([`Database::publish`]).
        index.usable_from = snapshot.lsn();
        database.note_index(index.usable_from);
        index.row_estimate = report.entries as f64;
        index.page_estimate = report.leaf_pages;
        Ok(())
    }

    /// Builds an index anew, in a new file.
    pub(crate) fn rebuild_index(&self, oid: Oid) -> Result<()> {
        self.lock_relation(oid, RelationLockMode::AccessExclusive)?;
        let own = self.relation(oid);
        let old = own.index.as_ref().expect("an index's relation has its descriptor");
        let relation = self.relation(old.table);
        let mut index = (**old).clone();
        self.adopt_key_types(&relation, &mut index)?;
        if own.kind == RelationKind::PartitionedIndex {
            return self.replace_index(index);
        }
        self.build_index(&relation, &mut index)?;
        self.transfer_predicate_locks(old.file, &relation);
        self.drop_file(old.file);
        self.replace_index(index)
    }

    /// Gives an index's keys the types that the table's columns have now.
    fn adopt_key_types(&self, relation: &RelationDescriptor, index: &mut IndexDescriptor) -> Result<()> {
        for key in &mut index.keys {
            if let Some(column) = relation.column(key.number) {
                if key.ty.oid != column.ty.oid {
                    key.operator_class = super::index::default_operator_class(
                        index.method,
                        column.ty,
                        &self.type_text(column.ty),
                    )?;
                    key.collation = column.collation;
                }
                key.ty = column.ty;
            }
        }
        Ok(())
    }

    /// Writes a table anew, in a new file, with one column, if one is given by its number, computed by an expression over
    /// the old columns; then its indexes. `old` is the table as it was. Unless a column changes, the rows are those that
    /// they were: every open snapshot has to see all of them, and goes on to do so.
    pub(crate) fn rewrite_table(
        &self,
        old: &Arc<RelationDescriptor>,
        conversion: Option<(i16, Expr)>,
    ) -> Result<()> {
        if old.kind == RelationKind::PartitionedTable {
            for index in self.relation(old.oid).indexes.clone() {
                self.rebuild_index(index.oid)?;
            }
            return Ok(());
        }
        let source = self.state.database.table_in(old, || self.state.catalog())?;
        // Indexes are built when the rows are there.
        let indexes = self.relation(old.oid).indexes.clone();
        self.new_table_file(old.oid)?;
        let table = self.relation(old.oid);
        if let Some(file) = old.file {
            self.transfer_predicate_locks(file, &table);
        }
        let kept: Vec<i16> = table
            .live_columns()
            .filter(|column| column.generated.is_none())
            .map(|column| column.number)
            .collect();
        let mut loader = self.table_rewriter(&table, &kept)?;
        self.txn().advance_command()?;
        let snapshot = self.txn().newest_snapshot()?;
        if conversion.is_none() {
            // Whoever reads them knows the new file, and waits for this commit to be durable.
            loader.freeze();
        }
        let mut rows = 0;
        self.with_context(&snapshot, &[], |_, context| {
            each_batch(context, &source, |ctx, image| {
                let converted = match &conversion {
                    Some((number, expr)) => Some((*number, ctx.eval(expr, &image)?)),
                    None => None,
                };
                let columns = kept
                    .iter()
                    .map(|number| match &converted {
                        Some((changed, column)) if changed == number => Arc::clone(column),
                        _ => Arc::clone(&image.columns[*number as usize - 1]),
                    })
                    .collect();
                let batch = Batch { columns, rows: image.rows, selection: image.selection.clone() };
                rows += loader.store(context, &batch)?;
                Ok(true)
            })
        })?;
        drop(snapshot);
        self.txn().note_moved(self.state.database.relation_key(&table)?, rows);
        for index in indexes {
            self.rebuild_index(index.oid)?;
        }
        Ok(())
    }

    /// Writes a new column's default into every row.
    pub(crate) fn rewrite_column(&self, relation: &Arc<RelationDescriptor>, number: i16) -> Result<()> {
        self.txn().advance_command()?;
        let column = relation.column(number).expect("the column was just added");
        let text = format!(
            "UPDATE ONLY {}.{} SET {} = DEFAULT",
            super::quote_identifier(&self.namespace_name(relation.namespace)),
            super::quote_identifier(&relation.name),
            super::quote_identifier(&column.name)
        );
        // Rows that are there have no value yet, which the column's own constraint would refuse.
        let mut loose = (**relation).clone();
        let not_null = std::mem::replace(&mut loose.columns[number as usize - 1].not_null, false);
        // Nor is it an UPDATE for triggers to see.
        let triggers = std::mem::take(&mut loose.triggers);
        self.put_relation(loose)?;
        let statement = own_statement(&text)?;
        let (_, plan) = self.plan_parameterised(&statement, &[])?;
        self.run_inner(&plan, &[], None, usize::MAX, &mut |_| Ok(true))?;
        let mut tight = (*self.relation(relation.oid)).clone();
        tight.columns[number as usize - 1].not_null = not_null;
        tight.triggers = triggers;
        self.put_relation(tight)?;
        Ok(())
    }

    pub(crate) fn create_table_as(
        &self,
        statement: &CreateTableAsStmt,
        parameters: &dyn QueryParameters,
    ) -> Result<CommandTag> {
        if statement.into.persistence == ast::Persistence::Unlogged {
            return Err(Error::unsupported("CREATE UNLOGGED TABLE AS"));
        }
        super::index::check_options(&statement.options)?;
        let namespace = self.namespace_for(&statement.into.name, statement.into.persistence)?;
        if statement.on_commit != ast::OnCommit::Noop && !self.is_temporary(namespace) {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                "ON COMMIT can only be used on temporary tables",
            ));
        }
        let name = statement.into.name.name();
        if !self.take_relation_name(namespace, name, statement.if_not_exists)? {
            return Ok(CommandTag::Plain("CREATE TABLE AS"));
        }
        let (table, tag) = self.create_from_query(
            namespace,
            name,
            &Source { query: &statement.query, parameters },
            &statement.columns,
            statement.with_data,
            None,
        )?;
        self.note_on_commit(table, statement.on_commit);
        Ok(tag)
    }

    pub(crate) fn select_into(
        &self,
        select: &SelectStmt,
        parameters: &dyn QueryParameters,
    ) -> Result<CommandTag> {
        let into = into_of(select).ok_or_else(|| Error::internal("a SELECT INTO without INTO"))?;
        if into.persistence == ast::Persistence::Unlogged {
            return Err(Error::unsupported("SELECT INTO UNLOGGED"));
        }
        let namespace = self.namespace_for(&into.name, into.persistence)?;
        if !self.reserve_relation_name(namespace, into.name.name())? {
            return Err(errors::duplicate_relation(into.name.name()));
        }
        let source = Source { query: &Statement::Select(without_into(select).into()), parameters };
        let (_, tag) = self.create_from_query(namespace, into.name.name(), &source, &[], true, None)?;
        Ok(tag)
    }

    /// Makes a table, or a materialized view when there is a text to store, and fills it.
    pub(crate) fn create_from_query(
        &self,
        namespace: Oid,
        name: &str,
        source: &Source<'_>,
        names: &[ast::Name],
        with_data: bool,
        view_query: Option<Arc<str>>,
    ) -> Result<(Oid, CommandTag)> {
        let Source { query, parameters } = source;
        let (plan, values) = match query {
            Statement::Execute(execute) => {
                let (prepared, values) = self.execute_parameters(execute)?;
                let not_a_query =
                    || Error::new(SqlState::WRONG_OBJECT_TYPE, "prepared statement is not a SELECT");
                let statement = prepared.statement.as_ref().ok_or_else(not_a_query)?;
                if !matches!(statement, Statement::Select(_)) {
                    return Err(not_a_query());
                }
                (self.valid_plan(&prepared, &values)?, values)
            }
            query if crate::session::is_plannable(query) => {
                (self.plan_and_lock(query, &|| parameters.types(), PlanFor::ALL_ROWS)?.1, parameters.values())
            }
            Statement::Select(_) => {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "SELECT ... INTO is not allowed here"));
            }
            _ => return Err(Error::unsupported("CREATE TABLE AS of this statement")),
        };
        self.state.check_plan(&plan)?;
        if names.len() > plan.row_shape.len() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "too many column names were specified"));
        }
        let columns = plan.row_shape.iter().map(|column| (&*column.name, column.ty));
        let new = columns_of_query(columns, names)?;
        new.columns.iter().try_for_each(|column| check_column_name(&column.name))?;
        let table = self.create_table_from(namespace, name, new, RelationKind::Table)?;
        let rows = if with_data { self.fill_from_plan(&table, &plan, &values, false)? } else { 0 };
        if view_query.is_some() {
            // Only its own statements may write it, so it becomes what it is when its rows are there.
            let mut view = (*self.relation(table.oid)).clone();
            view.kind = RelationKind::MaterializedView;
            view.populated = with_data;
            view.view_query = view_query;
            self.put_relation(view)?;
        }
        // PostgreSQL runs a prepared statement even for no rows.
        let tag = match with_data || matches!(query, Statement::Execute(_)) {
            true => CommandTag::Rows("SELECT", rows),
            false => CommandTag::Plain("CREATE TABLE AS"),
        };
        Ok((table.oid, tag))
    }

    /// Puts a plan's rows into a table, whose file is new; how many they were. With `frozen` every snapshot sees them.
    pub(crate) fn fill_from_plan(
        &self,
        table: &Arc<RelationDescriptor>,
        plan: &Arc<ochre_sql::physical::PlannedStatement>,
        parameters: &[Datum],
        frozen: bool,
    ) -> Result<u64> {
        let numbers: Vec<i16> = table.columns.iter().map(|column| column.number).collect();
        let mut loader = self.table_rewriter(table, &numbers)?;
        if frozen {
            loader.freeze();
        }
        let snapshot = self.statement_snapshot()?;
        let width = numbers.len();
        self.with_context(&snapshot, parameters, |_, context| {
            let mut execution = Execution::new(plan, context.relations)?;
            let mut rows = 0;
            while let Some(mut batch) = execution.next(context)? {
                rows += batch.active_rows() as u64;
                batch.columns.truncate(width);
                loader.store(context, &batch)?;
            }
            Ok(rows)
        })
    }
}
