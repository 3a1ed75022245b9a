//! EXPLAIN.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ochre_base::{Oid, Result};
use ochre_catalog::CatalogSnapshot;
use ochre_env::{memory, usage};
use ochre_exec::Execution;
use ochre_parser::ast::{ExplainStmt, Statement};
use ochre_sql::bind::ParamTypes;
use ochre_sql::explain::{
    Actual, CatalogNames, ExplainFormat, ExplainOptions, Explanation, Planning, Serialization,
    SerializationReport, explain, explain_utility,
};
use ochre_sql::physical::{OutputColumn, PhysicalPlan, PlannedStatement};
use ochre_types::{ArrayValue, Batch, Datum, FormatContext, SqlType, encode_binary_at, oids, print_text_at};

use super::Session;
use super::context;
use super::plan::{PlanFor, QueryParameters, own_statement};
use super::simple::is_plannable;
use super::utility::{is_select_into, without_into};
use crate::ddl::quote_identifier;

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The type of the column that an EXPLAIN gives.
pub(crate) fn answer_type(statement: &ExplainStmt) -> Result<SqlType> {
    Ok(match ExplainOptions::from_statement(statement)?.format {
        ExplainFormat::Text | ExplainFormat::Yaml => SqlType::TEXT,
        ExplainFormat::Json => SqlType::new(oids::JSON, -1),
        ExplainFormat::Xml => SqlType::new(oids::XML, -1),
    })
}

/// The query that a statement is or has within; `None` for other utilities and for EXECUTE.
pub(super) fn query_within(statement: &Statement) -> Option<Cow<'_, Statement>> {
    match statement {
        Statement::DeclareCursor(declare) => Some(Cow::Owned(Statement::Select(declare.query.clone()))),
        Statement::CreateTableAs(create) => query_within(&create.query),
        Statement::Select(select) if is_select_into(select) => {
            Some(Cow::Owned(Statement::Select(without_into(select).into())))
        }
        query => is_plannable(query).then_some(Cow::Borrowed(query)),
    }
}

/// The names of what a plan mentions, as the session sees them.
struct PlanNames<'a> {
    catalog: &'a CatalogSnapshot,
    names: Arc<context::CatalogNames>,
    format: FormatContext,
}

impl CatalogNames for PlanNames<'_> {
    fn namespace(&self, oid: Oid) -> Option<String> {
        self.catalog.namespace(oid).map(|namespace| namespace.name.to_string())
    }

    fn user_type(&self, oid: Oid) -> Option<String> {
        self.names.user_type(oid)
    }

    fn field(&self, record: SqlType, index: usize) -> Option<String> {
        let relation = self.catalog.relation_of_type(record.oid)?;
        relation.live_columns().nth(index).map(|column| quote_identifier(&column.name))
    }

    fn format(&self) -> FormatContext {
        self.format.clone()
    }
}

/// What planning gave.
struct Planned {
    plan: Arc<PlannedStatement>,
    values: Vec<Datum>,
}

impl Session {
    /// The rows of an EXPLAIN.
    pub(crate) fn explain_lines(
        &self,
        statement: &ExplainStmt,
        parameters: &dyn QueryParameters,
    ) -> Result<Vec<String>> {
        let options = ExplainOptions::from_statement(statement)?;
        let (started, taken, memory) = (Instant::now(), usage::now(), memory::taken());
        let Some(planned) = self.plan_to_explain(&statement.query, parameters, &options)? else {
            return Ok(vec![explain_utility(options.format)]);
        };
        let planning = Planning {
            time_ms: milliseconds(started.elapsed()),
            usage: usage::now().since(taken),
            memory_bytes: u64::try_from(memory::taken() - memory).unwrap_or(0),
        };
        let settings = if options.settings { self.state.settings.borrow().explained() } else { Vec::new() };
        let catalog = self.state.catalog();
        let names = PlanNames {
            catalog: &catalog,
            names: self.state.catalog_names(),
            format: self.state.format_context(),
        };
        self.state.check_plan(&planned.plan)?;
        let mut explanation = Explanation {
            plan: &planned.plan,
            options: &options,
            catalog: &names,
            actuals: None,
            settings: &settings,
            planning,
            triggers: &[],
            serialization: None,
            execution_ms: None,
        };
        if !options.analyze {
            return Ok(self.with_names(explain(&explanation)));
        }
        let started = Instant::now();
        let (execution, serialization) = self.run_instrumented(&planned, options.serialize)?;
        explanation.execution_ms = Some(milliseconds(started.elapsed()));
        explanation.serialization = serialization;
        let counters = execution.instrumentation().expect("it was made with instrumentation");
        let actual = |node: &PhysicalPlan| {
            let counters = counters.counters(node);
            Some(Actual {
                loops: counters.loops,
                rows: counters.rows + counters.report.rows_left,
                startup_ms: milliseconds(counters.startup),
                total_ms: milliseconds(counters.total),
                workers: counters.workers,
                usage: counters.usage,
                report: counters.report,
            })
        };
        explanation.actuals = Some(&actual);
        Ok(self.with_names(explain(&explanation)))
    }

    /// Names the functions of users in the texts of indexes, which tell them by their ids.
    fn with_names(&self, lines: Vec<String>) -> Vec<String> {
        let (catalog, path) = (self.state.catalog(), self.state.search_path());
        lines.iter().map(|line| crate::ddl::named_text(&catalog, &path, line)).collect()
    }

    /// The plan of what is to be explained; `None` when it is a utility.
    fn plan_to_explain(
        &self,
        query: &Statement,
        parameters: &dyn QueryParameters,
        options: &ExplainOptions,
    ) -> Result<Option<Planned>> {
        match query {
            Statement::Execute(execute) => {
                let (prepared, values) = self.execute_parameters(execute)?;
                let wanted = PlanFor { trace_rules: options.rules, ..PlanFor::ALL_ROWS };
                let plan = self.plan_prepared(&prepared, &values, wanted)?;
                return Ok(Some(Planned { plan, values }));
            }
            Statement::CreateTableAs(create) => {
                return self.plan_to_explain(&create.query, parameters, options);
            }
            _ => {}
        }
        let Some(query) = query_within(query) else { return Ok(None) };
        let types = || {
            if options.generic_plan {
                ParamTypes::new(&self.state.catalog(), &[])
            } else {
                parameters.types()
            }
        };
        let wanted = PlanFor { trace_rules: options.rules, ..PlanFor::ALL_ROWS };
        let (_, plan) = self.plan_and_lock(&query, &types, wanted)?;
        Ok(Some(Planned { plan, values: parameters.values() }))
    }

    /// The rows of an EXPLAIN as those of a query, with its parameters.
    ///
    /// # Errors
    /// Those of EXPLAIN.
    pub(crate) fn explained_rows(
        &self,
        statement: &ExplainStmt,
        parameters: &dyn QueryParameters,
    ) -> Result<(Arc<PlannedStatement>, Vec<Datum>)> {
        let lines = self.explain_lines(statement, parameters)?;
        let ty = match answer_type(statement)?.oid {
            oids::JSON => "json",
            oids::XML => "xml",
            _ => "text",
        };
        let text =
            format!("SELECT line::pg_catalog.{ty} AS \"QUERY PLAN\" FROM pg_catalog.unnest($1) AS line");
        let query = own_statement(&text)?;
        let types = [SqlType::new(oids::TEXT_ARRAY, -1)];
        let (_, plan) = self.plan_inner(&query, || ParamTypes::of_types(&types))?;
        let lines = lines.into_iter().map(Datum::text).collect();
        Ok((plan, vec![Datum::Array(Arc::new(ArrayValue::vector(SqlType::TEXT, lines)))]))
    }

    /// Runs a plan, counting; rows are thrown away, after they were made into bytes if that is asked for.
    fn run_instrumented(
        &self,
        planned: &Planned,
        serialize: Serialization,
    ) -> Result<(Execution, Option<SerializationReport>)> {
        let Planned { plan, values } = planned;
        if !plan.read_only {
            self.require_writable("EXPLAIN ANALYZE")?;
        }
        let snapshot = if self.in_routine() { self.inner_snapshot()? } else { self.statement_snapshot()? };
        let format = self.state.format_context();
        let mut report = SerializationReport::default();
        let execution = self.with_context(&snapshot, values, |_, context| {
            let mut execution = Execution::instrumented(plan, context.relations)?;
            while let Some(batch) = execution.next(context)? {
                if serialize != Serialization::None {
                    let (started, taken) = (Instant::now(), usage::now());
                    let binary = serialize == Serialization::Binary;
                    report.bytes += row_bytes(&batch, &plan.row_shape, binary, &format)?;
                    report.time_ms += milliseconds(started.elapsed());
                    report.usage = report.usage.and(usage::now().since(taken));
                }
            }
            Ok(execution)
        })?;
        drop(snapshot);
        self.end_plan(plan)?;
        Ok((execution, (serialize != Serialization::None).then_some(report)))
    }
}

/// How many bytes the DataRow messages of a batch hold.
fn row_bytes(batch: &Batch, shape: &[OutputColumn], binary: bool, format: &FormatContext) -> Result<u64> {
    let mut bytes = 0;
    let mut value = Vec::new();
    for row in batch.active() {
        bytes += 2;
        for (column, described) in batch.columns.iter().zip(shape) {
            bytes += 4;
            if column.is_null(row) {
                continue;
            }
            value.clear();
            if binary {
                encode_binary_at(described.ty, column, row, format, &mut value)?;
            } else {
                print_text_at(described.ty, column, row, format, &mut value)?;
            }
            bytes += value.len() as u64;
        }
    }
    Ok(bytes)
}
