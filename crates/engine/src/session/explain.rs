//! EXPLAIN.

use std::sync::Arc;
use std::time::Instant;

use ochre_base::{Error, Result};
use ochre_exec::Execution;
use ochre_parser::ast::{ExplainStmt, Statement};
use ochre_sql::explain::{Actual, ExplainOptions, explain, summary_lines};
use ochre_sql::physical::{PhysicalPlan, PlannedStatement};
use ochre_types::Datum;

use super::Session;
use super::simple::is_plannable;

fn milliseconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl Session {
    /// The lines of an EXPLAIN.
    pub(crate) fn explain_lines(
        &mut self,
        statement: &ExplainStmt,
        text: &str,
        parameters: &[Datum],
    ) -> Result<Vec<String>> {
        let options = ExplainOptions::from_statement(statement)?;
        let started = Instant::now();
        let (plan, values) = self.plan_to_explain(&statement.query, text, parameters)?;
        let planning = milliseconds(started.elapsed());
        if !options.analyze {
            let mut lines = explain(&plan, &options, None);
            if options.summary {
                lines.extend(summary_lines(planning, None));
            }
            return Ok(lines);
        }
        let started = Instant::now();
        let execution = self.run_instrumented(&plan, &values)?;
        let elapsed = milliseconds(started.elapsed());
        let counters = execution.instrumentation().expect("it was made with instrumentation");
        let actual = |node: &PhysicalPlan| {
            let counters = counters.counters(node);
            Some(Actual {
                loops: counters.loops,
                rows: counters.rows,
                startup_ms: milliseconds(counters.startup),
                total_ms: milliseconds(counters.total),
                workers: counters.workers,
            })
        };
        let mut lines = explain(&plan, &options, Some(&actual));
        if options.summary {
            lines.extend(summary_lines(planning, Some(elapsed)));
        }
        Ok(lines)
    }

    fn plan_to_explain(
        &mut self,
        query: &Statement,
        text: &str,
        parameters: &[Datum],
    ) -> Result<(Arc<PlannedStatement>, Vec<Datum>)> {
        match query {
            Statement::Execute(execute) => {
                let (prepared, values) = self.execute_parameters(execute)?;
                Ok((self.valid_plan(&prepared)?, values))
            }
            Statement::CreateTableAs(create) => self.plan_to_explain(&create.query, text, parameters),
            query if is_plannable(query) => {
                let (_, plan) = self.plan_parameterised(query, text, &[])?;
                Ok((plan, parameters.to_vec()))
            }
            _ => Err(Error::unsupported("EXPLAIN of a utility statement")),
        }
    }

    fn run_instrumented(&mut self, plan: &Arc<PlannedStatement>, values: &[Datum]) -> Result<Execution> {
        if !plan.read_only {
            self.require_writable("EXPLAIN ANALYZE")?;
        }
        let snapshot = self.statement_snapshot()?;
        let execution = self.with_context(&snapshot, values, |_, context| {
            let mut execution = Execution::instrumented(plan, context.relations)?;
            execution.run(context)?;
            Ok(execution)
        })?;
        drop(snapshot);
        self.end_plan(plan)?;
        Ok(execution)
    }
}
