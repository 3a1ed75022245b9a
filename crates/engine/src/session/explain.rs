//! EXPLAIN.

use std::sync::Arc;
use std::time::Instant;

use ochre_base::{Error, Result, SqlState};
use ochre_exec::Execution;
use ochre_parser::ast::{ExplainStmt, Statement};
use ochre_sql::explain::{ExplainActuals, ExplainOptions, NodeActuals, explain_text};
use ochre_sql::physical::{PhysicalPlan, PlannedStatement};
use ochre_types::Datum;

use super::Session;
use super::simple::is_plannable;
use super::utility::option_flag;

/// What each node did, from the executor's counters.
struct Actuals<'a>(&'a ochre_exec::explain::Instrumentation);

impl ExplainActuals for Actuals<'_> {
    fn node(&self, plan: &PhysicalPlan) -> Option<NodeActuals> {
        let counters = self.0.counters(plan);
        Some(NodeActuals {
            loops: counters.loops,
            rows: counters.rows,
            startup_ms: counters.startup.as_secs_f64() * 1000.0,
            total_ms: counters.total.as_secs_f64() * 1000.0,
        })
    }
}

impl Session {
    /// The lines of an EXPLAIN.
    pub(crate) fn explain_lines(
        &mut self,
        explain: &ExplainStmt,
        text: &str,
        parameters: &[Datum],
    ) -> Result<Vec<String>> {
        let mut options = ExplainOptions::default();
        let (mut analyze, mut timing, mut summary) = (false, None, None);
        for option in &explain.options {
            match option.name.as_str() {
                "analyze" => analyze = option_flag(option)?,
                "verbose" => options.verbose = option_flag(option)?,
                "costs" => options.costs = option_flag(option)?,
                "timing" => timing = Some(option_flag(option)?),
                "summary" => summary = Some(option_flag(option)?),
                "format" => {
                    let format = option.value.as_ref().map(ochre_parser::ast::DefValue::as_text);
                    if !format.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("text")) {
                        return Err(Error::unsupported("EXPLAIN FORMAT other than TEXT"));
                    }
                }
                // Buffers are not counted by node; PostgreSQL 18 switches them on with ANALYZE by itself.
                "buffers" if !option_flag(option)? => {}
                name @ ("buffers" | "settings" | "wal" | "generic_plan" | "memory" | "serialize") => {
                    return Err(Error::unsupported(format!("EXPLAIN ({})", name.to_uppercase())));
                }
                other => {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("unrecognized EXPLAIN option \"{other}\""),
                    ));
                }
            }
        }
        if !analyze && timing == Some(true) {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "EXPLAIN option TIMING requires ANALYZE",
            ));
        }
        options.timing = timing.unwrap_or(true);
        let summary = summary.unwrap_or(analyze);
        let started = Instant::now();
        let (plan, values) = self.plan_to_explain(&explain.query, text, parameters)?;
        let planning = started.elapsed();
        let mut lines;
        if analyze {
            let started = Instant::now();
            let execution = self.run_instrumented(&plan, &values)?;
            let elapsed = started.elapsed();
            let counters = execution.instrumentation().expect("it was made with instrumentation");
            lines = explain_text(&plan, &options, Some(&Actuals(counters)));
            if summary {
                lines.push(format!("Planning Time: {:.3} ms", planning.as_secs_f64() * 1000.0));
                lines.push(format!("Execution Time: {:.3} ms", elapsed.as_secs_f64() * 1000.0));
            }
        } else {
            lines = explain_text(&plan, &options, None);
            if summary {
                lines.push(format!("Planning Time: {:.3} ms", planning.as_secs_f64() * 1000.0));
            }
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
        let snapshot = self.transaction.as_mut().expect("N1: a statement runs in a transaction").snapshot()?;
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
