//! Storing many rows in a table from outside a plan: COPY, CREATE TABLE AS, and tables that are written anew.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_catalog::RelationDescriptor;
use ochre_exec::{BulkInsert, StatementContext};
use ochre_expr::{EvalContext, Expr};
use ochre_sql::physical::{InsertPlan, PlanNode};
use ochre_types::{Batch, Column};

use crate::ddl::quote_identifier;
use crate::session::Session;
use crate::session::plan::own_statement;

/// A table that takes batches of some of its columns; the others get their defaults.
pub(crate) struct TableLoader {
    insert: BulkInsert,
    /// For each column of the table its value, over the columns given.
    exprs: Vec<Expr>,
}

impl Session {
    /// What an INSERT into the given columns of a table does, as the planner sees it.
    pub(crate) fn insert_plan(&self, table: &RelationDescriptor, columns: &[i16]) -> Result<InsertPlan> {
        let name = |number: i16| {
            let column = table.column(number).expect("the columns were looked up");
            quote_identifier(&column.name)
        };
        let names: Vec<String> = columns.iter().map(|number| name(*number)).collect();
        let places: Vec<String> = (1..=columns.len()).map(|i| format!("${i}")).collect();
        let target = format!(
            "{}.{}",
            quote_identifier(&self.namespace_name(table.namespace)),
            quote_identifier(&table.name)
        );
        let text = if columns.is_empty() {
            format!("INSERT INTO {target} DEFAULT VALUES")
        } else {
            format!(
                "INSERT INTO {target} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
                names.join(", "),
                places.join(", ")
            )
        };
        let statement = own_statement(&text)?;
        let (_, plan) = self.plan_parameterised(&statement, &[])?;
        match &plan.plan.node {
            PlanNode::Insert(insert) => Ok((**insert).clone()),
            _ => Err(Error::internal("an INSERT has another plan than an INSERT's")),
        }
    }

    /// A loader for the rows of a table that is written anew: what they refer to was checked before, and its indexes are
    /// built when they are there.
    pub(crate) fn table_rewriter(&self, table: &RelationDescriptor, columns: &[i16]) -> Result<TableLoader> {
        let mut insert = self.insert_plan(table, columns)?;
        insert.target.foreign_keys.clear();
        insert.target.indexes.clear();
        insert.target.partition = None;
        let bare = RelationDescriptor {
            indexes: Vec::new(),
            triggers: Vec::new(),
            ..(*insert.target.table).clone()
        };
        insert.target.table = Arc::new(bare);
        self.loader_of(&insert)
    }

    /// A loader of the given columns of a table.
    pub(crate) fn table_loader(&self, table: &RelationDescriptor, columns: &[i16]) -> Result<TableLoader> {
        let insert = self.insert_plan(table, columns)?;
        self.loader_of(&insert)
    }

    fn loader_of(&self, insert: &InsertPlan) -> Result<TableLoader> {
        let exprs = match &insert.source.node {
            PlanNode::Result(result) => result.exprs.clone(),
            PlanNode::Values(values) => values.rows.first().cloned().unwrap_or_default(),
            _ => return Err(Error::internal("an INSERT of one row has no row")),
        };
        let exprs = exprs.into_iter().map(parameters_to_columns).collect();
        TableLoader::new(self, insert, exprs)
    }
}

/// Reads the n-th column where the plan read the n-th parameter.
fn parameters_to_columns(expr: Expr) -> Expr {
    expr.transform(&mut |expr| match expr {
        Expr::Parameter { index, ty } => Expr::Column { index, ty },
        other => other,
    })
}

impl TableLoader {
    fn new(session: &Session, insert: &InsertPlan, exprs: Vec<Expr>) -> Result<TableLoader> {
        let statement = crate::session::context::StatementSession::new(session);
        Ok(TableLoader { insert: BulkInsert::new(insert, &statement)?, exprs })
    }

    /// Makes the rows count as written long ago, for every snapshot to see: see [`BulkInsert::freeze`].
    pub(crate) fn freeze(&mut self) {
        self.insert.freeze();
    }

    /// Stores a batch of the columns given; how many rows were stored, since triggers can turn some down.
    ///
    /// # Errors
    /// 23502, 23514, 23505; those of defaults; errors of storage.
    pub(crate) fn store(&mut self, context: &StatementContext<'_>, batch: &Batch) -> Result<u64> {
        let eval =
            EvalContext { params: context.params, correlated: &[], session: context.session, subplans: None };
        let columns: Vec<Arc<Column>> = self
            .exprs
            .iter()
            .map(|expr| ochre_expr::eval(expr, batch, batch.selection.as_ref(), &eval))
            .collect::<Result<_>>()?;
        let full = Batch { columns, rows: batch.rows, selection: batch.selection.clone() };
        self.insert.insert(context, full)
    }

    /// Checks what waits for all rows to be there. Call it after the last batch.
    ///
    /// # Errors
    /// 23503, 23505; errors of storage and of waiting.
    pub(crate) fn finish(&mut self, context: &StatementContext<'_>) -> Result<()> {
        self.insert.finish(context)
    }
}
