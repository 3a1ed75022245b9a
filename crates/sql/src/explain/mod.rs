//! EXPLAIN: a plan in PostgreSQL's form and with its property names, as text, JSON, YAML or XML.
//!
//! # Role
//! [`Explanation`] gathers what the engine knows of a statement: its plan, what operators did, what planning took. One
//! tree of labelled values ([`tree`]) is made of it by [`describe`], with what operators are called ([`kind`]) and do
//! ([`properties`]), which each form writes in its own way ([`render`]).
//!
//! # Differences
//! Filters and projections are operators of their own here and properties of the operator below in PostgreSQL: they are
//! shown as PostgreSQL shows them, with the estimates and counters of the uppermost. Rows that a scan leaves out because a
//! hash join above has no such key, or because they come behind the first rows that a sort keeps, are `Rows Removed by Join
//! Keys` and `Rows Removed by Sort Bound`, not among those that its filter removed. What partial aggregates leave in memory
//! counts as rows of them and of the gather above. Pages that helping threads read are shown at the nodes that they run, not
//! above the gather. `RULES` is an option of our own: the rules of the optimizer that changed the statement, in order.

mod actual;
mod bitmap;
mod conditions;
mod describe;
mod kind;
mod names;
mod options;
mod properties;
mod render;
mod tree;
mod usage;

use ochre_base::{Oid, Usage};
use ochre_types::{FormatContext, SqlType};

use crate::physical::PlannedStatement;
pub use actual::{
    Actual, Actuals, BitmapReport, ConflictReport, GroupReport, HashReport, MemoReport, MergeReport,
    NodeReport, SortReport, StorageReport,
};
pub use options::{ExplainFormat, ExplainOptions, Serialization};
use tree::{Entry, Value};

/// What EXPLAIN knows of a statement.
pub struct Explanation<'a> {
    /// The plan.
    pub plan: &'a PlannedStatement,
    /// What to show of it.
    pub options: &'a ExplainOptions,
    /// The names of what the plan tells by ids.
    pub catalog: &'a dyn CatalogNames,
    /// What operators did, when the statement was run.
    pub actuals: Option<Actuals<'a>>,
    /// Settings that are not at their defaults.
    pub settings: &'a [(String, String)],
    /// What planning took.
    pub planning: Planning,
    /// Triggers that fired.
    pub triggers: &'a [TriggerReport],
    /// What making rows into bytes took.
    pub serialization: Option<SerializationReport>,
    /// Milliseconds of the execution.
    pub execution_ms: Option<f64>,
}

/// What EXPLAIN asks of the catalog and the session.
pub trait CatalogNames {
    /// The name of a namespace.
    fn namespace(&self, oid: Oid) -> Option<String>;

    /// The name, as SQL needs it, of a type that is not built in.
    fn user_type(&self, _oid: Oid) -> Option<String> {
        None
    }

    /// The name, as SQL needs it, of a field of a row type.
    fn field(&self, _record: SqlType, _index: usize) -> Option<String> {
        None
    }

    /// What the texts of constants depend on.
    fn format(&self) -> FormatContext {
        FormatContext::default()
    }
}

/// What planning took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Planning {
    /// Milliseconds.
    pub time_ms: f64,
    /// Pages.
    pub usage: Usage,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// What a trigger, or the check of a constraint, did.
#[derive(Debug, Clone)]
pub struct TriggerReport {
    /// Its name.
    pub name: String,
    /// The constraint that it belongs to.
    pub constraint: Option<String>,
    /// The table.
    pub relation: String,
    /// Milliseconds.
    pub time_ms: f64,
    /// How often it fired.
    pub calls: u64,
}

/// What making rows into what a client would be sent took.
#[derive(Debug, Clone, Copy, Default)]
pub struct SerializationReport {
    /// Milliseconds.
    pub time_ms: f64,
    /// Bytes.
    pub bytes: u64,
    /// Pages.
    pub usage: Usage,
}

/// The rows of the answer: one for each line of the text form, one in all for the others.
pub fn explain(explanation: &Explanation<'_>) -> Vec<String> {
    let options = explanation.options;
    let mut entries = vec![Entry::plan(describe::plan(explanation))];
    if !explanation.settings.is_empty() {
        let texts: Vec<String> =
            explanation.settings.iter().map(|(name, value)| format!("{name} = '{value}'")).collect();
        let group = explanation
            .settings
            .iter()
            .map(|(name, value)| Entry::structured(name.clone(), Value::Text(value.clone())))
            .collect();
        let line = format!("Settings: {}", texts.join(", "));
        entries.push(Entry::group("Settings", group, Some(line)));
    }
    if options.rules {
        let rules: Vec<String> = explanation.plan.rules.iter().map(|rule| (*rule).to_owned()).collect();
        let text = if rules.is_empty() { "none".to_owned() } else { rules.join(", ") };
        entries.push(Entry::line(format!("Rules: {text}")));
        entries.push(Entry::structured("Rules", Value::List(rules)));
    }
    planning(&mut entries, explanation);
    if options.summary {
        entries.push(Entry::number("Planning Time", explanation.planning.time_ms, 3, " ms"));
    }
    if options.analyze {
        triggers(&mut entries, explanation);
        serialization(&mut entries, explanation);
    }
    if options.summary
        && let Some(time_ms) = explanation.execution_ms
    {
        entries.push(Entry::number("Execution Time", time_ms, 3, " ms"));
    }
    render::query(&entries, options.format)
}

/// The answer for a statement that has no plan.
pub fn explain_utility(format: ExplainFormat) -> String {
    render::utility(format)
}

fn planning(entries: &mut Vec<Entry>, explanation: &Explanation<'_>) {
    let options = explanation.options;
    let mut group = Vec::new();
    if options.buffers {
        usage::buffers(&mut group, explanation.planning.usage);
    }
    if options.memory {
        let kilobytes = explanation.planning.memory_bytes.div_ceil(1024);
        group.push(Entry::line(format!("Memory: used={kilobytes}kB  allocated={kilobytes}kB")));
        group.push(Entry::hidden_count("Memory Used", kilobytes));
        group.push(Entry::hidden_count("Memory Allocated", kilobytes));
    }
    if !group.is_empty() {
        entries.push(Entry::group("Planning", group, None));
    }
}

fn triggers(entries: &mut Vec<Entry>, explanation: &Explanation<'_>) {
    let timing = explanation.options.timing;
    let mut groups = Vec::new();
    for trigger in explanation.triggers {
        let name = match &trigger.constraint {
            Some(constraint) => format!("for constraint {constraint}"),
            None => trigger.name.clone(),
        };
        let time = if timing { format!(" time={:.3}", trigger.time_ms) } else { String::new() };
        entries.push(Entry::line(format!("Trigger {name}:{time} calls={}", trigger.calls)));
        let mut group = vec![Entry::text("Trigger Name", trigger.name.clone())];
        group.extend(trigger.constraint.iter().map(|name| Entry::text("Constraint Name", name.clone())));
        group.push(Entry::text("Relation", trigger.relation.clone()));
        if timing {
            group.push(Entry::hidden_number("Time", trigger.time_ms, 3));
        }
        group.push(Entry::hidden_count("Calls", trigger.calls));
        groups.push(group);
    }
    entries.push(Entry::structured("Triggers", Value::Groups(groups, "Trigger")));
}

fn serialization(entries: &mut Vec<Entry>, explanation: &Explanation<'_>) {
    let options = explanation.options;
    let Some(report) = explanation.serialization else { return };
    let format = options.serialize.name();
    let kilobytes = report.bytes.div_ceil(1024);
    let time = if options.timing { format!("time={:.3} ms  ", report.time_ms) } else { String::new() };
    let line = format!("Serialization: {time}output={kilobytes}kB  format={format}");
    let mut group = Vec::new();
    if options.timing {
        group.push(Entry::hidden_number("Time", report.time_ms, 3));
    }
    group.push(Entry::hidden_count("Output Volume", kilobytes));
    group.push(Entry::hidden("Format", format));
    if options.buffers {
        usage::buffers(&mut group, report.usage);
    }
    entries.push(Entry::group("Serialization", group, Some(line)));
}
