//! EXPLAIN: a plan as text, in PostgreSQL's form.
//!
//! # Differences
//! Filters and projections are operators of their own here and properties of the operator below in PostgreSQL: they are
//! printed as PostgreSQL prints them, with the estimates and counters of the uppermost.

mod names;

use std::fmt::Write;
use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_catalog::IndexDescriptor;
use ochre_expr::{Expr, SubPlanKind};
use ochre_parser::ast;

use crate::physical::{
    AggregateStage, AggregateStrategy, BitmapSource, ConflictAction, Estimate, IndexBounds, IndexScanPlan,
    JoinType, KeyCondition, PhysicalPlan, PlanNode, PlannedStatement, ScanDirection, ScanSource, SetOpKind,
    SortKey, each_expr,
};
use names::Names;

/// The options of EXPLAIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExplainOptions {
    /// The statement is run, and what each operator did is shown.
    pub analyze: bool,
    /// Output columns and qualified names.
    pub verbose: bool,
    /// Estimates.
    pub costs: bool,
    /// Times of each operator.
    pub timing: bool,
    /// Planning and execution time at the end.
    pub summary: bool,
}

impl Default for ExplainOptions {
    fn default() -> ExplainOptions {
        ExplainOptions { analyze: false, verbose: false, costs: true, timing: true, summary: false }
    }
}

impl ExplainOptions {
    /// Reads the options of a statement.
    ///
    /// # Errors
    /// 42601 for unknown options, 22023 for contradictory ones, 0A000 for formats other than text.
    pub fn from_statement(statement: &ast::ExplainStmt) -> Result<ExplainOptions> {
        let mut options = ExplainOptions::default();
        let (mut timing, mut summary) = (None, None);
        for option in &statement.options {
            let value = || flag(option);
            match option.name.as_str() {
                "analyze" => options.analyze = value()?,
                "verbose" => options.verbose = value()?,
                "costs" => options.costs = value()?,
                "timing" => timing = Some(value()?),
                "summary" => summary = Some(value()?),
                name @ ("buffers" | "wal" | "settings" | "memory" | "generic_plan") => {
                    if value()? {
                        return Err(Error::unsupported(format_args!(
                            "EXPLAIN option {}",
                            name.to_uppercase()
                        )));
                    }
                }
                "format" => {
                    match option.value.as_ref().map(|value| value.as_text().to_ascii_lowercase()).as_deref() {
                        Some("text") | None => {}
                        Some(other) => {
                            return Err(Error::unsupported(format_args!("EXPLAIN format {other}")));
                        }
                    }
                }
                other => {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("unrecognized EXPLAIN option \"{other}\""),
                    )
                    .at(option.pos.offset()));
                }
            }
        }
        if timing == Some(true) && !options.analyze {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "EXPLAIN option TIMING requires ANALYZE",
            ));
        }
        options.timing = timing.unwrap_or(options.analyze);
        options.summary = summary.unwrap_or(options.analyze);
        Ok(options)
    }
}

fn flag(option: &ast::DefElem) -> Result<bool> {
    let Some(value) = &option.value else { return Ok(true) };
    match value.as_text().to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, format!("{} requires a Boolean value", option.name))),
    }
}

/// What an operator did when the statement was run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Actual {
    /// How often it ran.
    pub loops: u64,
    /// Rows of all runs.
    pub rows: u64,
    /// Milliseconds until the first row, of all runs.
    pub startup_ms: f64,
    /// Milliseconds, of all runs.
    pub total_ms: f64,
    /// Threads that a gather had beside the calling one, in its best moment.
    pub workers: u64,
}

/// Where EXPLAIN ANALYZE finds what operators did.
pub type Actuals<'a> = &'a dyn Fn(&PhysicalPlan) -> Option<Actual>;

/// The lines of EXPLAIN, without times of planning and execution.
pub fn explain(
    plan: &PlannedStatement,
    options: &ExplainOptions,
    actuals: Option<Actuals<'_>>,
) -> Vec<String> {
    let mut printer = Printer {
        plan,
        options,
        actuals,
        lines: Vec::new(),
        slots: vec![None; plan.slots],
        qualify: options.verbose || scan_count(plan) > 1,
        shown_subplans: Vec::new(),
    };
    printer.root();
    printer.lines
}

/// `Planning Time` and `Execution Time`.
pub fn summary_lines(planning_ms: f64, execution_ms: Option<f64>) -> Vec<String> {
    let mut lines = vec![format!("Planning Time: {planning_ms:.3} ms")];
    lines.extend(execution_ms.map(|time| format!("Execution Time: {time:.3} ms")));
    lines
}

fn scan_count(plan: &PlannedStatement) -> usize {
    fn count(plan: &PhysicalPlan) -> usize {
        let own = usize::from(matches!(
            plan.node,
            PlanNode::SeqScan(_)
                | PlanNode::IndexScan(_)
                | PlanNode::BitmapScan(_)
                | PlanNode::TidScan(_)
                | PlanNode::MinMaxIndex(_)
                | PlanNode::FunctionScan(_)
                | PlanNode::CteScan(_)
                | PlanNode::WorkTableScan(_)
                | PlanNode::Values(_)
        ));
        own + plan.children().into_iter().map(|child| count(child)).sum::<usize>()
    }
    count(&plan.plan)
        + plan.subplans.iter().map(|subplan| count(&subplan.plan)).sum::<usize>()
        + plan.ctes.iter().map(|cte| count(&cte.plan)).sum::<usize>()
}

struct Printer<'a> {
    plan: &'a PlannedStatement,
    options: &'a ExplainOptions,
    actuals: Option<Actuals<'a>>,
    lines: Vec<String>,
    /// What each slot of the frame holds, as text.
    slots: Vec<Option<String>>,
    qualify: bool,
    shown_subplans: Vec<usize>,
}

/// What was passed over on the way to an operator that PostgreSQL knows.
#[derive(Default)]
struct Folded<'a> {
    filters: Vec<&'a PhysicalPlan>,
}

impl<'a> Printer<'a> {
    fn root(&mut self) {
        let plan = &self.plan.plan;
        let ctes: Vec<usize> = (0..self.plan.ctes.len()).collect();
        self.node(plan, 0, &ctes);
    }

    /// Prints a node whose text begins at a column (0: the root), with WITH entries below it.
    fn node(&mut self, plan: &'a PhysicalPlan, at: usize, ctes: &[usize]) {
        let outermost = plan;
        let mut folded = Folded::default();
        let mut subplans: Vec<usize> = Vec::new();
        let mut plan = plan;
        // Projections and filters belong to the operator below them.
        loop {
            collect_subplans(plan, &mut subplans);
            match &plan.node {
                PlanNode::Project(project) => plan = &project.input,
                PlanNode::Filter(filter) => {
                    folded.filters.push(plan);
                    plan = &filter.input;
                }
                _ => break,
            }
        }
        let mut line = format!("{}{}", arrow(at), self.title(plan));
        self.numbers(&mut line, outermost, &outermost.estimate);
        self.lines.push(line);
        let margin = " ".repeat(at + 2);
        if self.options.verbose && !outermost.columns.is_empty() {
            let names = Names::new(self.plan, &self.slots, self.qualify);
            let texts: Vec<String> =
                (0..outermost.columns.len()).map(|i| names.output(outermost, i)).collect();
            self.lines.push(format!("{margin}Output: {}", texts.join(", ")));
        }
        self.properties(plan, &margin);
        for filter in folded.filters {
            if let PlanNode::Filter(node) = &filter.node {
                let text = self.expr(&node.predicate, &node.input);
                self.lines.push(format!("{margin}Filter: {text}"));
            }
        }
        for cte in ctes {
            let definition = &self.plan.ctes[*cte];
            self.lines.push(format!("{margin}CTE {}", definition.name));
            self.node(&definition.plan, at + 8, &[]);
        }
        let new: Vec<usize> =
            subplans.into_iter().filter(|number| !self.shown_subplans.contains(number)).collect();
        self.shown_subplans.extend(&new);
        for number in new.iter().filter(|number| self.plan.subplans[**number].run_once) {
            self.subplan(*number, outermost, at, &margin);
        }
        self.children(plan, at);
        for number in new.iter().filter(|number| !self.plan.subplans[**number].run_once) {
            self.subplan(*number, outermost, at, &margin);
        }
    }

    fn subplan(&mut self, number: usize, around: &'a PhysicalPlan, at: usize, margin: &str) {
        let subplan = &self.plan.subplans[number];
        self.lines.push(format!("{margin}{}", subplan.name));
        // Its slots hold the arguments of the call.
        let mut slots: Vec<Option<String>> = vec![None; subplan.slots];
        if let Some((holder, args)) = find_call(around, number) {
            for (slot, arg) in slots.iter_mut().zip(args) {
                *slot = Some(self.expr_of(arg, holder));
            }
        }
        let outer = std::mem::replace(&mut self.slots, slots);
        self.node(&subplan.plan, at + 8, &[]);
        self.slots = outer;
    }

    fn children(&mut self, plan: &'a PhysicalPlan, at: usize) {
        match &plan.node {
            PlanNode::NestedLoop(join) => {
                self.node(&join.outer, at + 6, &[]);
                let saved = self.slots.clone();
                for parameter in &join.parameters {
                    let text = self.expr(&parameter.value, &join.outer);
                    if self.slots.len() <= parameter.slot {
                        self.slots.resize(parameter.slot + 1, None);
                    }
                    self.slots[parameter.slot] = Some(text);
                }
                self.node(&join.inner, at + 6, &[]);
                self.slots = saved;
            }
            PlanNode::HashJoin(join) => {
                self.node(&join.outer, at + 6, &[]);
                let inner = join.inner.estimate;
                let mut line = format!("{}Hash", arrow(at + 6));
                let estimate = Estimate { startup_cost: inner.total_cost, ..inner };
                self.numbers(&mut line, &join.inner, &estimate);
                self.lines.push(line);
                self.node(&join.inner, at + 12, &[]);
            }
            PlanNode::BitmapScan(scan) => self.bitmap(&scan.bitmap, at + 6),
            _ => {
                for child in plan.children() {
                    self.node(child, at + 6, &[]);
                }
            }
        }
    }

    fn bitmap(&mut self, source: &'a BitmapSource, at: usize) {
        let indent = arrow(at);
        let margin = " ".repeat(at + 2);
        match source {
            BitmapSource::Index { index, bounds, rows, cost } => {
                let mut line = format!("{indent}Bitmap Index Scan on {}", index.name);
                if self.options.costs {
                    let _ = write!(line, "  (cost=0.00..{cost:.2} rows={rows:.0} width=0)");
                }
                self.lines.push(line);
                if let Some(text) = self.index_cond(index, bounds) {
                    self.lines.push(format!("{margin}Index Cond: {text}"));
                }
            }
            BitmapSource::And(parts) | BitmapSource::Or(parts) => {
                let name = if matches!(source, BitmapSource::And(_)) { "BitmapAnd" } else { "BitmapOr" };
                self.lines.push(format!("{indent}{name}"));
                for part in parts {
                    self.bitmap(part, at + 6);
                }
            }
        }
    }

    /// Estimates and what really happened.
    fn numbers(&self, line: &mut String, plan: &PhysicalPlan, estimate: &Estimate) {
        if self.options.costs {
            let _ = write!(
                line,
                "  (cost={:.2}..{:.2} rows={:.0} width={})",
                estimate.startup_cost, estimate.total_cost, estimate.rows, estimate.width
            );
        }
        let Some(actuals) = self.actuals else { return };
        match actuals(plan) {
            Some(actual) if actual.loops > 0 => {
                let loops = actual.loops as f64;
                let rows = actual.rows as f64 / loops;
                let rows = if actual.loops > 1 { format!("{rows:.2}") } else { format!("{rows:.0}") };
                if self.options.timing {
                    let _ = write!(
                        line,
                        " (actual time={:.3}..{:.3} rows={rows} loops={})",
                        actual.startup_ms / loops,
                        actual.total_ms / loops,
                        actual.loops
                    );
                } else {
                    let _ = write!(line, " (actual rows={rows} loops={})", actual.loops);
                }
            }
            _ => line.push_str(" (never executed)"),
        }
    }

    fn relation(&self, source: &ScanSource) -> String {
        named(&source.table.name, &source.alias)
    }

    /// The operator's name and what it works on.
    fn title(&self, plan: &PhysicalPlan) -> String {
        let joined = |method: &str, join: JoinType| {
            let word = match join {
                JoinType::Inner => "",
                JoinType::Left => " Left",
                JoinType::Right => " Right",
                JoinType::Full => " Full",
                JoinType::Semi => " Semi",
                JoinType::Anti => " Anti",
                JoinType::AntiNullAware => " Anti (NOT IN)",
                JoinType::Mark => " Mark",
                JoinType::RightSemi => " Right Semi",
                JoinType::RightAnti => " Right Anti",
            };
            match (method, join) {
                ("Nested Loop", JoinType::Inner) => "Nested Loop".to_owned(),
                _ => format!("{method}{word} Join"),
            }
        };
        match &plan.node {
            PlanNode::Result(_) => "Result".to_owned(),
            PlanNode::Values(values) => format!("Values Scan on \"{}\"", values.alias),
            PlanNode::SeqScan(scan) => {
                let parallel = if scan.parallel { "Parallel " } else { "" };
                format!("{parallel}Seq Scan on {}", self.relation(&scan.source))
            }
            PlanNode::Gather(gather) if gather.merge.is_some() => "Gather Merge".to_owned(),
            PlanNode::Gather(_) => "Gather".to_owned(),
            PlanNode::IndexScan(scan) => self.index_title(scan),
            PlanNode::BitmapScan(scan) => format!("Bitmap Heap Scan on {}", self.relation(&scan.source)),
            PlanNode::TidScan(scan) => format!("Tid Scan on {}", self.relation(&scan.source)),
            PlanNode::MinMaxIndex(node) => self.index_title(&node.scan),
            PlanNode::FunctionScan(scan) => {
                let name = scan.functions.iter().find_map(|function| match function {
                    crate::physical::FunctionInScan::Set { function, .. } => Some(function.name.to_string()),
                    crate::physical::FunctionInScan::Scalar { expr: Expr::Call { function, .. }, .. } => {
                        Some(function.name.to_string())
                    }
                    crate::physical::FunctionInScan::Scalar { .. } => None,
                });
                match name {
                    Some(name) => format!("Function Scan on {}", named(&name, &scan.alias)),
                    None => format!("Function Scan on {}", scan.alias),
                }
            }
            PlanNode::CteScan(scan) => {
                format!("CTE Scan on {}", named(&self.plan.ctes[scan.cte].name, &scan.alias))
            }
            PlanNode::WorkTableScan(scan) => format!("WorkTable Scan on {}", scan.alias),
            PlanNode::Filter(_) | PlanNode::Project(_) => "Result".to_owned(),
            PlanNode::ProjectSet(_) => "ProjectSet".to_owned(),
            PlanNode::NestedLoop(join) => joined("Nested Loop", join.join),
            PlanNode::HashJoin(join) => joined("Hash", join.join),
            PlanNode::MergeJoin(join) => joined("Merge", join.join),
            PlanNode::Materialize(_) => "Materialize".to_owned(),
            PlanNode::Sort(sort) if sort.presorted > 0 => "Incremental Sort".to_owned(),
            PlanNode::Sort(_) => "Sort".to_owned(),
            PlanNode::Limit(_) => "Limit".to_owned(),
            PlanNode::Aggregate(aggregate) => {
                let stage = match aggregate.stage {
                    AggregateStage::Complete => "",
                    AggregateStage::Partial => "Partial ",
                    AggregateStage::Final => "Finalize ",
                };
                let method = match aggregate.strategy {
                    AggregateStrategy::Plain => "Aggregate",
                    AggregateStrategy::Sorted if aggregate.aggregates.is_empty() => "Group",
                    AggregateStrategy::Sorted => "GroupAggregate",
                    AggregateStrategy::Hashed => "HashAggregate",
                };
                format!("{stage}{method}")
            }
            PlanNode::Window(_) => "WindowAgg".to_owned(),
            PlanNode::Distinct(_) => "HashAggregate".to_owned(),
            PlanNode::Unique(_) => "Unique".to_owned(),
            PlanNode::SetOp(node) => format!(
                "HashSetOp {}",
                match node.kind {
                    SetOpKind::Intersect => "Intersect",
                    SetOpKind::IntersectAll => "Intersect All",
                    SetOpKind::Except => "Except",
                    SetOpKind::ExceptAll => "Except All",
                }
            ),
            PlanNode::Append(_) => "Append".to_owned(),
            PlanNode::RecursiveUnion(_) => "Recursive Union".to_owned(),
            PlanNode::LockRows(_) => "LockRows".to_owned(),
            PlanNode::Insert(insert) => {
                format!("Insert on {}", named(&insert.target.table.name, &insert.target.alias))
            }
            PlanNode::Update(update) => {
                format!("Update on {}", named(&update.target.table.name, &update.target.alias))
            }
            PlanNode::Delete(delete) => {
                format!("Delete on {}", named(&delete.target.table.name, &delete.target.alias))
            }
            PlanNode::Merge(merge) => {
                format!("Merge on {}", named(&merge.target.table.name, &merge.target.alias))
            }
            PlanNode::ModifySet(set) => {
                format!("{} on {}", set_verb(set.command), named(&set.table.name, &set.alias))
            }
        }
    }

    fn index_title(&self, scan: &IndexScanPlan) -> String {
        let method = if scan.index_only { "Index Only Scan" } else { "Index Scan" };
        let direction = if scan.direction == ScanDirection::Backward { " Backward" } else { "" };
        format!("{method}{direction} using {} on {}", scan.index.name, self.relation(&scan.source))
    }

    fn properties(&mut self, plan: &'a PhysicalPlan, margin: &str) {
        let mut add = |label: &str, text: String| self.lines.push(format!("{margin}{label}: {text}"));
        let names = Names::new(self.plan, &self.slots, self.qualify);
        match &plan.node {
            PlanNode::Result(result) => {
                if let Some(condition) = &result.condition {
                    add("One-Time Filter", names.text(condition, &[]));
                }
            }
            PlanNode::SeqScan(scan) => {
                if let Some(filter) = &scan.source.filter {
                    add("Filter", names.scan_text(filter, &scan.source));
                }
            }
            PlanNode::IndexScan(scan) => {
                if let Some(text) = index_cond(&names, &scan.source, &scan.index, &scan.bounds) {
                    add("Index Cond", text);
                }
                if let Some(filter) = &scan.source.filter {
                    add("Filter", names.scan_text(filter, &scan.source));
                }
            }
            PlanNode::BitmapScan(scan) => {
                if let Some(recheck) = &scan.recheck {
                    add("Recheck Cond", names.scan_text(recheck, &scan.source));
                }
                if let Some(filter) = &scan.source.filter {
                    add("Filter", names.scan_text(filter, &scan.source));
                }
            }
            PlanNode::TidScan(scan) => {
                let (crate::physical::TidCondition::Equal(value) | crate::physical::TidCondition::Any(value)) =
                    &scan.condition;
                add("TID Cond", format!("(ctid = {})", names.text(value, &[])));
                if let Some(filter) = &scan.source.filter {
                    add("Filter", names.scan_text(filter, &scan.source));
                }
            }
            PlanNode::MinMaxIndex(node) => {
                if let Some(text) = index_cond(&names, &node.scan.source, &node.scan.index, &node.scan.bounds)
                {
                    add("Index Cond", text);
                }
            }
            PlanNode::FunctionScan(scan) => {
                if let Some(filter) = &scan.filter {
                    let columns: Vec<String> = plan
                        .columns
                        .iter()
                        .map(|column| names.qualified(&scan.alias, &column.name))
                        .collect();
                    add("Filter", names.named_text(filter, &columns));
                }
            }
            PlanNode::CteScan(scan) => {
                if let Some(filter) = &scan.filter {
                    let columns: Vec<String> = self.plan.ctes[scan.cte]
                        .plan
                        .columns
                        .iter()
                        .map(|column| names.qualified(&scan.alias, &column.name))
                        .collect();
                    add("Filter", names.named_text(filter, &columns));
                }
            }
            PlanNode::NestedLoop(join) => {
                if let Some(condition) = &join.condition {
                    add("Join Filter", names.text(condition, &[&join.outer, &join.inner]));
                }
                if let Some(filter) = &join.filter {
                    add("Filter", names.text(filter, &[&join.outer, &join.inner]));
                }
            }
            PlanNode::HashJoin(join) => {
                let keys = (join.outer_keys.as_slice(), join.inner_keys.as_slice());
                add("Hash Cond", join_cond(&names, keys, &join.outer, &join.inner));
                if let Some(residual) = &join.residual {
                    add("Join Filter", names.text(residual, &[&join.outer, &join.inner]));
                }
            }
            PlanNode::MergeJoin(join) => {
                let keys = (join.outer_keys.as_slice(), join.inner_keys.as_slice());
                add("Merge Cond", join_cond(&names, keys, &join.outer, &join.inner));
                if let Some(residual) = &join.residual {
                    add("Join Filter", names.text(residual, &[&join.outer, &join.inner]));
                }
            }
            PlanNode::Sort(sort) => {
                add("Sort Key", sort_text(&names, &sort.keys, &sort.input));
                if sort.presorted > 0 {
                    add("Presorted Key", sort_text(&names, &sort.keys[..sort.presorted], &sort.input));
                }
            }
            PlanNode::Gather(gather) => {
                add("Workers Planned", gather.workers.to_string());
                if let Some(actual) = self.actuals.and_then(|actuals| actuals(plan)) {
                    add("Workers Launched", actual.workers.to_string());
                }
            }
            PlanNode::Aggregate(aggregate) => {
                if let Some(sets) = &aggregate.grouping_sets {
                    for set in sets {
                        let texts: Vec<String> = set
                            .iter()
                            .map(|key| names.text(&aggregate.keys[*key], &[aggregate.source()]))
                            .collect();
                        add("Group Key", if texts.is_empty() { "()".to_owned() } else { texts.join(", ") });
                    }
                } else if !aggregate.keys.is_empty() {
                    let texts: Vec<String> =
                        aggregate.keys.iter().map(|key| names.text(key, &[aggregate.source()])).collect();
                    add("Group Key", texts.join(", "));
                }
                if let Some(having) = &aggregate.having {
                    add("Filter", names.output_text(having, plan));
                }
            }
            PlanNode::Distinct(distinct) => {
                let texts: Vec<String> =
                    (0..distinct.input.columns.len()).map(|i| names.column(&distinct.input, i)).collect();
                add("Group Key", texts.join(", "));
            }
            PlanNode::Insert(insert) => {
                if let Some(conflict) = &insert.on_conflict {
                    let action = match conflict.action {
                        ConflictAction::Nothing => "NOTHING",
                        ConflictAction::Update { .. } => "UPDATE",
                    };
                    add("Conflict Resolution", action.to_owned());
                    let arbiters: Vec<&str> = insert
                        .target
                        .indexes
                        .iter()
                        .filter(|index| conflict.arbiters.contains(&index.index.oid))
                        .map(|index| &*index.index.name)
                        .collect();
                    if !arbiters.is_empty() {
                        add("Conflict Arbiter Indexes", arbiters.join(", "));
                    }
                }
            }
            PlanNode::ModifySet(set) => {
                for part in &set.parts {
                    let target = part.plan.target();
                    let name = named(&target.table.name, &target.alias);
                    self.lines.push(format!("{margin}{} on {name}", set_verb(set.command)));
                }
            }
            _ => {}
        }
    }

    fn index_cond(&self, index: &IndexDescriptor, bounds: &IndexBounds) -> Option<String> {
        let names = Names::new(self.plan, &self.slots, false);
        bounds_text(&names, index, bounds, |position| index.column_names[position].to_string())
    }

    fn expr(&self, expr: &Expr, input: &'a Arc<PhysicalPlan>) -> String {
        Names::new(self.plan, &self.slots, self.qualify).text(expr, &[input])
    }

    fn expr_of(&self, expr: &Expr, holder: &'a PhysicalPlan) -> String {
        Names::new(self.plan, &self.slots, self.qualify).node_text(expr, holder)
    }
}

fn set_verb(command: crate::physical::CommandKind) -> &'static str {
    match command {
        crate::physical::CommandKind::Delete => "Delete",
        crate::physical::CommandKind::Merge => "Merge",
        _ => "Update",
    }
}

/// What stands before a node's text.
fn arrow(at: usize) -> String {
    if at == 0 { String::new() } else { format!("{}->  ", " ".repeat(at - 4)) }
}

/// `table alias`, or the name alone when both are the same.
fn named(name: &str, alias: &str) -> String {
    let quoted = names::quote(name);
    if name == alias { quoted } else { format!("{quoted} {}", names::quote(alias)) }
}

fn join_cond(
    names: &Names<'_>,
    keys: (&[Expr], &[Expr]),
    outer: &Arc<PhysicalPlan>,
    inner: &Arc<PhysicalPlan>,
) -> String {
    let parts: Vec<String> = keys
        .0
        .iter()
        .zip(keys.1)
        .map(|(l, r)| format!("({} = {})", names.text(l, &[outer]), names.text(r, &[inner])))
        .collect();
    conjunction(parts)
}

fn conjunction(mut parts: Vec<String>) -> String {
    if parts.len() == 1 { parts.remove(0) } else { format!("({})", parts.join(" AND ")) }
}

fn sort_text(names: &Names<'_>, keys: &[SortKey], input: &Arc<PhysicalPlan>) -> String {
    let parts: Vec<String> = keys
        .iter()
        .map(|key| {
            let mut text = names.text(&key.expr, &[input]);
            if key.descending {
                text.push_str(" DESC");
            }
            if key.nulls_first != key.descending {
                text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
            }
            text
        })
        .collect();
    parts.join(", ")
}

fn index_cond(
    names: &Names<'_>,
    source: &ScanSource,
    index: &IndexDescriptor,
    bounds: &IndexBounds,
) -> Option<String> {
    bounds_text(names, index, bounds, |position| {
        let key = &index.keys[position];
        match &key.expression {
            Some(text) => format!("({text})"),
            None => match source.table.column(key.number) {
                Some(column) => names.qualified_if_many(&source.alias, &column.name),
                None => index.column_names[position].to_string(),
            },
        }
    })
}

fn bounds_text(
    names: &Names<'_>,
    index: &IndexDescriptor,
    bounds: &IndexBounds,
    key_name: impl Fn(usize) -> String,
) -> Option<String> {
    let mut parts = Vec::new();
    for (position, key) in bounds.keys.iter().enumerate() {
        let name = key_name(position);
        parts.push(match key {
            KeyCondition::Equal(value) => format!("({name} = {})", names.text(&value.expr, &[])),
            KeyCondition::Any(value) => format!("({name} = ANY ({}))", names.text(&value.expr, &[])),
            KeyCondition::IsNull => format!("({name} IS NULL)"),
        });
    }
    if let Some(range) = &bounds.range {
        let name = key_name(bounds.keys.len().min(index.keys.len().saturating_sub(1)));
        if let Some(lower) = &range.lower {
            let op = if lower.inclusive { ">=" } else { ">" };
            parts.push(format!("({name} {op} {})", names.text(&lower.value.expr, &[])));
        }
        if let Some(upper) = &range.upper {
            let op = if upper.inclusive { "<=" } else { "<" };
            parts.push(format!("({name} {op} {})", names.text(&upper.value.expr, &[])));
        }
        if range.not_null && range.lower.is_none() && range.upper.is_none() {
            parts.push(format!("({name} IS NOT NULL)"));
        }
    }
    if parts.is_empty() { None } else { Some(conjunction(parts)) }
}

/// Numbers of the subqueries in a node's expressions.
fn collect_subplans(plan: &PhysicalPlan, found: &mut Vec<usize>) {
    each_expr(plan, &mut |expr| {
        let _ = expr.walk(&mut |node| {
            if let Expr::SubPlan { plan, .. } = node
                && !found.contains(plan)
            {
                found.push(*plan);
            }
            std::ops::ControlFlow::<()>::Continue(())
        });
    });
}

/// The node among a node and what is folded into it that calls a subquery, and the call's arguments.
fn find_call(plan: &PhysicalPlan, number: usize) -> Option<(&PhysicalPlan, &[Expr])> {
    fn search(expr: &Expr, number: usize) -> Option<&[Expr]> {
        if let Expr::SubPlan { plan, args, kind, .. } = expr {
            if *plan == number {
                return Some(args);
            }
            if let SubPlanKind::AnyAll { left, .. } = kind
                && let Some(found) = left.iter().find_map(|part| search(part, number))
            {
                return Some(found);
            }
        }
        expr.children().into_iter().find_map(|child| search(child, number))
    }
    let mut plan = plan;
    loop {
        let mut found = None;
        each_expr(plan, &mut |expr| {
            if found.is_none() {
                found = search(expr, number);
            }
        });
        if let Some(args) = found {
            return Some((plan, args));
        }
        match &plan.node {
            PlanNode::Project(project) => plan = &project.input,
            PlanNode::Filter(filter) => plan = &filter.input,
            _ => return None,
        }
    }
}
