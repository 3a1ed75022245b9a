//! A plan as a tree of what EXPLAIN shows of it.

use std::fmt::Write;
use std::sync::Arc;

use ochre_base::{Oid, Usage, limits};
use ochre_catalog::{IndexDescriptor, RelationDescriptor};
use ochre_expr::{Expr, SubPlanKind};

use super::actual::{Actual, BitmapReport, NodeReport};
use super::names::{self, Names, Windows, window_name};
use super::tree::{Entry, Node, Value};
use super::{ExplainOptions, Explanation};
use crate::physical::{
    AggregatePlan, AggregateStage, AggregateStrategy, BitmapSource, CommandKind, ConflictAction, Estimate,
    FrameBound, FrameExclusion, FrameMode, FunctionInScan, HashJoinPlan, IndexBounds, IndexScanPlan,
    JoinType, KeyCondition, PhysicalPlan, PlanNode, PlannedStatement, ScanDirection, ScanSource, SetOpKind,
    SortKey, TargetTable, TidCondition, WindowPlan, each_expr,
};

/// The tree of a statement's plan.
pub(super) fn plan(explanation: &Explanation<'_>) -> Node {
    let plan = explanation.plan;
    let mut windows = Windows::new();
    let frames = plan.subplans.iter().map(|subplan| &subplan.plan);
    let ctes = plan.ctes.iter().map(|cte| &cte.plan);
    for root in frames.chain(ctes).chain([&plan.plan]) {
        name_windows(root, &mut windows);
    }
    let mut describer = Describer {
        explanation,
        plan,
        options: explanation.options,
        slots: vec![None; plan.slots],
        many: scan_count(plan) > 1,
        windows,
        described: Vec::new(),
    };
    let ctes: Vec<usize> = (0..plan.ctes.len()).collect();
    describer.node(&plan.plan, &ctes)
}

/// Pages, and temporary files: a line of the text form, and properties.
pub(super) fn buffers(entries: &mut Vec<Entry>, usage: Usage) {
    const BLOCK: u64 = limits::PAGE_SIZE as u64;
    let (temp_read, temp_written) =
        (usage.temp_read_bytes.div_ceil(BLOCK), usage.temp_written_bytes.div_ceil(BLOCK));
    let part = |name: &str, counts: &[(&str, u64)]| {
        let texts: Vec<String> = counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{what}={count}"))
            .collect();
        if texts.is_empty() { None } else { Some(format!("{name} {}", texts.join(" "))) }
    };
    let shared = part(
        "shared",
        &[
            ("hit", usage.pages_hit),
            ("read", usage.pages_read),
            ("dirtied", usage.pages_dirtied),
            ("written", usage.pages_written),
        ],
    );
    let temp = part("temp", &[("read", temp_read), ("written", temp_written)]);
    let parts: Vec<String> = shared.into_iter().chain(temp).collect();
    if !parts.is_empty() {
        entries.push(Entry::line(format!("Buffers: {}", parts.join(", "))));
    }
    for (label, count) in [
        ("Shared Hit Blocks", usage.pages_hit),
        ("Shared Read Blocks", usage.pages_read),
        ("Shared Dirtied Blocks", usage.pages_dirtied),
        ("Shared Written Blocks", usage.pages_written),
        ("Local Hit Blocks", 0),
        ("Local Read Blocks", 0),
        ("Local Dirtied Blocks", 0),
        ("Local Written Blocks", 0),
        ("Temp Read Blocks", temp_read),
        ("Temp Written Blocks", temp_written),
    ] {
        entries.push(Entry::hidden_count(label, count));
    }
}

fn wal(entries: &mut Vec<Entry>, usage: Usage) {
    let counts = [
        ("records", "WAL Records", usage.wal_records),
        ("fpi", "WAL FPI", usage.wal_images),
        ("bytes", "WAL Bytes", usage.wal_bytes),
        ("buffers full", "WAL Buffers Full", usage.wal_buffers_full),
    ];
    counted(entries, "WAL", &counts);
}

/// Counts by their short name and their property: one line of those that are not zero, and each as a property.
fn counted(entries: &mut Vec<Entry>, title: &str, counts: &[(&str, &'static str, u64)]) {
    let texts: Vec<String> = counts
        .iter()
        .filter(|(.., count)| *count > 0)
        .map(|(name, _, count)| format!("{name}={count}"))
        .collect();
    if !texts.is_empty() {
        entries.push(Entry::line(format!("{title}: {}", texts.join(" "))));
    }
    entries.extend(counts.iter().map(|(_, label, count)| Entry::hidden_count(label, *count)));
}

/// Names windows from the lowest up, those of inputs first.
fn name_windows(plan: &PhysicalPlan, windows: &mut Windows) {
    stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
        plan.children().into_iter().for_each(|child| name_windows(child, windows));
        if matches!(plan.node, PlanNode::Window(_)) {
            windows.insert(std::ptr::from_ref(plan).addr(), format!("w{}", windows.len() + 1));
        }
    });
}

fn scan_count(plan: &PlannedStatement) -> usize {
    fn count(plan: &PhysicalPlan) -> usize {
        let own = usize::from(
            matches!(
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
            ) || matches!(&plan.node, PlanNode::Filter(filter) if !takes_filter(&filter.input)),
        );
        stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            own + plan.children().into_iter().map(|child| count(child)).sum::<usize>()
        })
    }
    count(&plan.plan)
        + plan.subplans.iter().map(|subplan| count(&subplan.plan)).sum::<usize>()
        + plan.ctes.iter().map(|cte| count(&cte.plan)).sum::<usize>()
}

struct Describer<'a> {
    explanation: &'a Explanation<'a>,
    plan: &'a PlannedStatement,
    options: &'a ExplainOptions,
    /// What each slot of the frame holds, as text.
    slots: Vec<Option<String>>,
    /// Several tables are read: names of columns say whose they are.
    many: bool,
    windows: Windows,
    /// Sub-plans that were described already.
    described: Vec<usize>,
}

/// What an operator is called and works on.
#[derive(Default)]
struct Kind {
    /// PostgreSQL's name of the operator.
    node_type: &'static str,
    /// How the text form calls it, where that is not its name.
    text: Option<String>,
    strategy: Option<&'static str>,
    operation: Option<&'static str>,
    /// Several threads share its rows.
    parallel: bool,
    stage: &'static str,
    /// What stands behind its name in the text form.
    target: String,
    /// What it works on, as properties.
    entries: Vec<Entry>,
    /// Its method is switched off, and there was no other.
    disabled: bool,
}

impl Kind {
    fn plain(node_type: &'static str) -> Kind {
        Kind { node_type, ..Kind::default() }
    }

    fn property(mut self, label: &'static str, value: impl Into<String>) -> Kind {
        self.entries.push(Entry::hidden(label, value));
        self
    }
}

impl<'a> Describer<'a> {
    /// An operator with what is below it; below it also WITH entries.
    fn node(&mut self, plan: &'a PhysicalPlan, ctes: &[usize]) -> Node {
        stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            self.node_here(plan, ctes)
        })
    }

    fn node_here(&mut self, outermost: &'a PhysicalPlan, ctes: &[usize]) -> Node {
        // Projections and filters belong to the operator below them.
        let mut filters: Vec<&'a PhysicalPlan> = Vec::new();
        let mut subplans: Vec<usize> = Vec::new();
        let mut plan = outermost;
        loop {
            collect_subplans(plan, &mut subplans);
            match &plan.node {
                PlanNode::Project(project) => plan = &project.input,
                PlanNode::Filter(filter) if takes_filter(&filter.input) => {
                    filters.push(plan);
                    plan = &filter.input;
                }
                _ => break,
            }
        }
        let actual = self.actual(outermost);
        let own = if std::ptr::eq(outermost, plan) { actual.clone() } else { self.actual(plan) };
        let kind = Kind { disabled: self.plan.disabled.forbid(&plan.node), ..self.kind(plan) };
        let mut node = self.begin(kind, &outermost.estimate, actual.as_ref());
        // As in PostgreSQL, where rows come from several inputs the inputs say what they are.
        let alike = matches!(plan.node, PlanNode::Append(_) | PlanNode::RecursiveUnion(_));
        if self.options.verbose && !outermost.columns.is_empty() && !alike {
            let names = self.output_names();
            let texts = (0..outermost.columns.len()).map(|i| names.output(outermost, i)).collect();
            node.entries.push(Entry::list("Output", texts));
        }
        let loops = actual.as_ref().map_or(0, |actual| actual.loops);
        let report = own.map(|actual| actual.report);
        self.properties(plan, &mut node.entries, report.as_ref(), loops);
        for filter in filters {
            if let PlanNode::Filter(predicate) = &filter.node {
                let text = self.names().output_text(&predicate.predicate, &predicate.input);
                node.entries.push(Entry::text("Filter", text));
                if let (Some(above), Some(below)) = (self.actual(filter), self.actual(&predicate.input)) {
                    let removed = below.rows.saturating_sub(above.rows);
                    node.entries.extend(removed_rows("Rows Removed by Filter", removed, loops));
                }
            }
        }
        self.add_usage(&mut node, actual.as_ref().map(|actual| actual.usage));
        for cte in ctes {
            let definition = &self.plan.ctes[*cte];
            let child = self.node(&definition.plan, &[]);
            node.children.push(named(child, "InitPlan", format!("CTE {}", definition.name)));
        }
        let new: Vec<usize> =
            subplans.into_iter().filter(|number| !self.described.contains(number)).collect();
        self.described.extend(&new);
        let (before, during): (Vec<usize>, Vec<usize>) =
            new.into_iter().partition(|number| self.is_init(*number));
        for number in before {
            node.children.push(self.subplan(number, outermost, "InitPlan"));
        }
        self.children(plan, report.as_ref(), &mut node.children);
        for number in during {
            node.children.push(self.subplan(number, outermost, "SubPlan"));
        }
        node
    }

    /// Whether a sub-plan runs before the operator that reads its result.
    fn is_init(&self, number: usize) -> bool {
        let subplan = &self.plan.subplans[number];
        subplan.run_once && !subplan.hashed
    }

    fn subplan(&mut self, number: usize, around: &'a PhysicalPlan, relationship: &'static str) -> Node {
        let subplan = &self.plan.subplans[number];
        // Its slots hold the arguments of the call.
        let mut slots: Vec<Option<String>> = vec![None; subplan.slots];
        if let Some((holder, args)) = find_call(around, number) {
            for (slot, arg) in slots.iter_mut().zip(args) {
                *slot = Some(self.names().node_text(arg, holder));
            }
        }
        let outer = std::mem::replace(&mut self.slots, slots);
        let node = self.node(&subplan.plan, &[]);
        self.slots = outer;
        named(node, relationship, subplan.name.clone())
    }

    fn children(&mut self, plan: &'a PhysicalPlan, report: Option<&NodeReport>, children: &mut Vec<Node>) {
        match &plan.node {
            PlanNode::NestedLoop(join) => {
                children.push(related(self.node(&join.outer, &[]), "Outer"));
                let saved = self.slots.clone();
                for parameter in &join.parameters {
                    let text = self.expr(&parameter.value, &join.outer);
                    if self.slots.len() <= parameter.slot {
                        self.slots.resize(parameter.slot + 1, None);
                    }
                    self.slots[parameter.slot] = Some(text);
                }
                children.push(related(self.node(&join.inner, &[]), "Inner"));
                self.slots = saved;
            }
            PlanNode::HashJoin(join) => {
                children.push(related(self.node(&join.outer, &[]), "Outer"));
                children.push(related(self.hash_table(join, report), "Inner"));
            }
            PlanNode::BitmapScan(scan) => {
                let mut reports = report.map(|report| report.bitmaps.iter());
                children.push(related(self.bitmap(&scan.bitmap, &scan.source, &mut reports), "Outer"));
            }
            PlanNode::Append(append) => {
                for input in &append.inputs {
                    children.push(related(self.node(input, &[]), "Member"));
                }
            }
            PlanNode::Filter(filter) => children.push(related(self.node(&filter.input, &[]), "Subquery")),
            _ => {
                for (child, relationship) in plan.children().into_iter().zip(["Outer", "Inner"]) {
                    children.push(related(self.node(child, &[]), relationship));
                }
            }
        }
    }

    /// The build side of a hash join, which PostgreSQL shows as an operator.
    fn hash_table(&mut self, join: &'a HashJoinPlan, report: Option<&NodeReport>) -> Node {
        let inner = &join.inner;
        let actual = self.actual(inner).map(|actual| Actual { startup_ms: actual.total_ms, ..actual });
        let estimate = Estimate { startup_cost: inner.estimate.total_cost, ..inner.estimate };
        let mut node = self.begin(
            Kind { parallel: join.shares_inner, ..Kind::plain("Hash") },
            &estimate,
            actual.as_ref(),
        );
        if self.options.verbose && !inner.columns.is_empty() {
            let names = self.output_names();
            let texts = (0..inner.columns.len()).map(|i| names.column(inner, i)).collect();
            node.entries.push(Entry::list("Output", texts));
        }
        if let Some(hash) = report.and_then(|report| report.hash) {
            let kilobytes = hash.memory_bytes.div_ceil(1024);
            node.entries.push(Entry::line(format!(
                "Buckets: {}  Batches: {}  Memory Usage: {kilobytes}kB",
                hash.buckets, hash.batches
            )));
            node.entries.push(Entry::hidden_count("Hash Buckets", hash.buckets));
            node.entries.push(Entry::hidden_count("Original Hash Buckets", hash.buckets));
            node.entries.push(Entry::hidden_count("Hash Batches", hash.batches));
            node.entries.push(Entry::hidden_count("Original Hash Batches", hash.batches));
            node.entries.push(Entry::hidden_count("Peak Memory Usage", kilobytes));
        }
        self.add_usage(&mut node, actual.map(|actual| actual.usage));
        node.children.push(related(self.node(inner, &[]), "Outer"));
        node
    }

    fn bitmap(
        &mut self,
        source: &'a BitmapSource,
        table: &ScanSource,
        reports: &mut Option<std::slice::Iter<'_, BitmapReport>>,
    ) -> Node {
        let report = reports.as_mut().map(|reports| reports.next().copied().unwrap_or_default());
        let actual = report.map(|report| Actual {
            loops: report.loops,
            rows: report.rows,
            startup_ms: report.total_ms,
            total_ms: report.total_ms,
            usage: report.usage,
            workers: 0,
            report: NodeReport::default(),
        });
        match source {
            BitmapSource::Index { index, bounds, rows, cost } => {
                let estimate = Estimate { total_cost: *cost, rows: *rows, ..Estimate::default() };
                let mut kind = Kind::plain("Bitmap Index Scan").property("Index Name", &*index.name);
                kind.target = format!(" on {}", names::quote(&index.name));
                let mut node = self.begin(kind, &estimate, actual.as_ref());
                let text = index_cond(&self.names(), table, index, bounds);
                node.entries.extend(text.map(|text| Entry::text("Index Cond", text)));
                if let Some(report) = report {
                    node.entries.push(Entry::count("Index Searches", report.searches, ""));
                }
                self.add_usage(&mut node, actual.map(|actual| actual.usage));
                node
            }
            BitmapSource::And(parts) | BitmapSource::Or(parts) => {
                let (kind, combined) = if matches!(source, BitmapSource::And(_)) {
                    (Kind::plain("BitmapAnd"), combined_rows(parts, f64::min))
                } else {
                    (Kind::plain("BitmapOr"), combined_rows(parts, |a, b| a + b))
                };
                let total_cost = bitmap_cost(source);
                let estimate = Estimate { startup_cost: total_cost, total_cost, rows: combined, width: 0 };
                let mut node = self.begin(kind, &estimate, actual.as_ref());
                self.add_usage(&mut node, actual.map(|actual| actual.usage));
                for part in parts {
                    node.children.push(related(self.bitmap(part, table, reports), "Member"));
                }
                node
            }
        }
    }

    /// A node with its headline, and the properties that say the same.
    fn begin(&self, kind: Kind, estimate: &Estimate, actual: Option<&Actual>) -> Node {
        let mut headline = if kind.parallel { "Parallel ".to_owned() } else { String::new() };
        headline.push_str(kind.text.as_deref().unwrap_or(kind.node_type));
        headline.push_str(&kind.target);
        let mut entries = vec![Entry::hidden("Node Type", kind.node_type)];
        if let Some(strategy) = kind.strategy {
            entries.push(Entry::hidden("Strategy", strategy));
            if kind.node_type == "Aggregate" {
                let stage = if kind.stage.is_empty() { "Simple" } else { kind.stage };
                entries.push(Entry::hidden("Partial Mode", stage));
            }
        }
        entries.extend(kind.operation.map(|operation| Entry::hidden("Operation", operation)));
        entries.push(Entry::hidden_flag("Parallel Aware", kind.parallel));
        entries.push(Entry::hidden_flag("Async Capable", false));
        entries.extend(kind.entries);
        if self.options.costs {
            let _ = write!(
                headline,
                "  (cost={:.2}..{:.2} rows={:.0} width={})",
                estimate.startup_cost, estimate.total_cost, estimate.rows, estimate.width
            );
            entries.push(Entry::hidden_number("Startup Cost", estimate.startup_cost, 2));
            entries.push(Entry::hidden_number("Total Cost", estimate.total_cost, 2));
            entries.push(Entry::hidden_number("Plan Rows", estimate.rows, 0));
            entries.push(Entry::hidden_count("Plan Width", u64::from(estimate.width)));
        }
        if let Some(actual) = actual {
            let loops = actual.loops.max(1) as f64;
            let rows = actual.rows as f64 / loops;
            let (startup, total) = (actual.startup_ms / loops, actual.total_ms / loops);
            if actual.loops == 0 {
                headline.push_str(" (never executed)");
            } else if self.options.timing {
                let _ = write!(
                    headline,
                    " (actual time={startup:.3}..{total:.3} rows={rows:.2} loops={})",
                    actual.loops
                );
            } else {
                let _ = write!(headline, " (actual rows={rows:.2} loops={})", actual.loops);
            }
            if self.options.timing {
                entries.push(Entry::hidden_number("Actual Startup Time", startup, 3));
                entries.push(Entry::hidden_number("Actual Total Time", total, 3));
            }
            entries.push(Entry::hidden_number("Actual Rows", rows, 2));
            entries.push(Entry::hidden_count("Actual Loops", actual.loops));
        }
        entries.push(if kind.disabled {
            Entry::flag("Disabled", true)
        } else {
            Entry::hidden_flag("Disabled", false)
        });
        Node { above: None, headline, entries, children: Vec::new() }
    }

    fn add_usage(&self, node: &mut Node, usage: Option<Usage>) {
        let usage = usage.unwrap_or_default();
        if self.options.buffers && (self.options.analyze || self.is_structured()) {
            buffers(&mut node.entries, usage);
        }
        if self.options.wal {
            wal(&mut node.entries, usage);
        }
    }

    fn is_structured(&self) -> bool {
        self.options.format != super::ExplainFormat::Text
    }

    fn actual(&self, plan: &PhysicalPlan) -> Option<Actual> {
        self.explanation.actuals.map(|actuals| actuals(plan).unwrap_or_default())
    }

    /// Names in conditions and keys.
    fn names(&self) -> Names<'_> {
        Names::new(
            self.explanation.catalog,
            self.plan,
            &self.slots,
            &self.windows,
            self.many || self.options.verbose,
        )
    }

    /// Names in a scan's own conditions: they are about its table.
    fn scan_names(&self) -> Names<'_> {
        Names::new(self.explanation.catalog, self.plan, &self.slots, &self.windows, self.options.verbose)
    }

    /// Names in output columns.
    fn output_names(&self) -> Names<'_> {
        Names::new(self.explanation.catalog, self.plan, &self.slots, &self.windows, self.many)
    }

    fn expr(&self, expr: &Expr, input: &'a Arc<PhysicalPlan>) -> String {
        self.names().text(expr, &[input])
    }

    /// `namespace.` where it is shown.
    fn namespace(&self, namespace: Oid) -> Option<String> {
        if self.options.verbose { self.explanation.catalog.namespace(namespace) } else { None }
    }

    // What an operator is.

    /// A table, with `before` in front of it in the text form.
    fn on_table(&self, mut kind: Kind, before: &str, table: &RelationDescriptor, alias: &str) -> Kind {
        let namespace = self.namespace(table.namespace);
        let prefix = namespace.as_ref().map_or_else(String::new, |name| format!("{}.", names::quote(name)));
        kind.target = format!("{before} on {prefix}{}", with_alias(&table.name, alias));
        kind = kind.property("Relation Name", &*table.name);
        if let Some(namespace) = namespace {
            kind = kind.property("Schema", namespace);
        }
        kind.property("Alias", alias)
    }

    fn on_source(&self, kind: Kind, source: &ScanSource) -> Kind {
        self.on_table(kind, "", &source.table, &source.alias)
    }

    fn index_scan(&self, scan: &IndexScanPlan) -> Kind {
        let backward = scan.direction == ScanDirection::Backward;
        let kind = Kind::plain(if scan.index_only { "Index Only Scan" } else { "Index Scan" })
            .property("Scan Direction", if backward { "Backward" } else { "Forward" })
            .property("Index Name", &*scan.index.name);
        let direction = if backward { " Backward" } else { "" };
        let before = format!("{direction} using {}", names::quote(&scan.index.name));
        self.on_table(kind, &before, &scan.source.table, &scan.source.alias)
    }

    fn modify(&self, operation: &'static str, table: &RelationDescriptor, alias: &str) -> Kind {
        let kind = Kind {
            text: Some(operation.to_owned()),
            operation: Some(operation),
            ..Kind::plain("ModifyTable")
        };
        self.on_table(kind, "", table, alias)
    }

    /// What an operator is called and works on.
    fn kind(&mut self, plan: &PhysicalPlan) -> Kind {
        match &plan.node {
            PlanNode::Result(_) | PlanNode::Gate(_) | PlanNode::Project(_) => Kind::plain("Result"),
            PlanNode::Filter(filter) => {
                let alias = filter.subquery.as_ref().map_or("unnamed_subquery", |names| &*names.alias);
                let target = format!(" on {}", names::quote(alias));
                Kind { target, ..Kind::plain("Subquery Scan") }.property("Alias", alias)
            }
            PlanNode::Values(values) => {
                let target = format!(" on {}", names::quote(&values.alias));
                Kind { target, ..Kind::plain("Values Scan") }.property("Alias", &*values.alias)
            }
            PlanNode::SeqScan(scan) => {
                let name = if scan.sample.is_some() { "Sample Scan" } else { "Seq Scan" };
                self.on_source(Kind { parallel: scan.parallel, ..Kind::plain(name) }, &scan.source)
            }
            PlanNode::IndexScan(scan) => self.index_scan(scan),
            PlanNode::MinMaxIndex(node) => self.index_scan(&node.scan),
            PlanNode::BitmapScan(scan) => self.on_source(Kind::plain("Bitmap Heap Scan"), &scan.source),
            PlanNode::TidScan(scan) => self.on_source(Kind::plain("Tid Scan"), &scan.source),
            PlanNode::FunctionScan(scan) => {
                let name = match scan.functions.as_slice() {
                    [FunctionInScan::Set { function, .. }] => Some(function.name.to_string()),
                    [FunctionInScan::Scalar { expr: Expr::Call { function, .. }, .. }] => {
                        Some(function.name.to_string())
                    }
                    _ => None,
                };
                let mut kind = Kind::plain("Function Scan");
                let alias = &*scan.alias;
                kind.target = match &name {
                    Some(name) if self.options.verbose => {
                        format!(" on pg_catalog.{}", with_alias(name, alias))
                    }
                    Some(name) => format!(" on {}", with_alias(name, alias)),
                    None => format!(" on {}", names::quote(alias)),
                };
                if let Some(name) = name {
                    kind = kind.property("Function Name", name);
                    if self.options.verbose {
                        kind = kind.property("Schema", "pg_catalog");
                    }
                }
                kind.property("Alias", alias)
            }
            PlanNode::CteScan(scan) => {
                let name = &self.plan.ctes[scan.cte].name;
                let target = format!(" on {}", with_alias(name, &scan.alias));
                Kind { target, ..Kind::plain("CTE Scan") }
                    .property("CTE Name", name)
                    .property("Alias", &*scan.alias)
            }
            PlanNode::WorkTableScan(scan) => {
                let target = format!(" on {}", names::quote(&scan.alias));
                Kind { target, ..Kind::plain("WorkTable Scan") }
                    .property("CTE Name", self.work_table_name(scan.work_table))
                    .property("Alias", &*scan.alias)
            }
            PlanNode::ProjectSet(_) => Kind::plain("ProjectSet"),
            PlanNode::NestedLoop(node) => join_kind("Nested Loop", "Nested Loop", node.join),
            PlanNode::HashJoin(node) => {
                Kind { parallel: node.shares_inner, ..join_kind("Hash Join", "Hash", node.join) }
            }
            PlanNode::MergeJoin(node) => join_kind("Merge Join", "Merge", node.join),
            PlanNode::Gather(gather) if gather.merge.is_some() => Kind::plain("Gather Merge"),
            PlanNode::Gather(_) => Kind::plain("Gather"),
            PlanNode::Materialize(_) => Kind::plain("Materialize"),
            PlanNode::Memoize(_) => Kind::plain("Memoize"),
            PlanNode::Sort(sort) if sort.presorted > 0 => Kind::plain("Incremental Sort"),
            PlanNode::Sort(_) => Kind::plain("Sort"),
            PlanNode::Limit(_) => Kind::plain("Limit"),
            PlanNode::Aggregate(aggregate) => aggregate_kind(aggregate),
            PlanNode::Window(_) => Kind::plain("WindowAgg"),
            PlanNode::Distinct(_) => hashed_groups(),
            PlanNode::Unique(_) => Kind::plain("Unique"),
            PlanNode::SetOp(node) => {
                let command = match node.kind {
                    SetOpKind::Intersect => "Intersect",
                    SetOpKind::IntersectAll => "Intersect All",
                    SetOpKind::Except => "Except",
                    SetOpKind::ExceptAll => "Except All",
                };
                Kind {
                    text: Some(format!("HashSetOp {command}")),
                    strategy: Some("Hashed"),
                    ..Kind::plain("SetOp")
                }
                .property("Command", command)
            }
            PlanNode::Append(append) if append.merge.is_some() => Kind::plain("Merge Append"),
            PlanNode::Append(_) => Kind::plain("Append"),
            PlanNode::RecursiveUnion(_) => Kind::plain("Recursive Union"),
            PlanNode::LockRows(_) => Kind::plain("LockRows"),
            PlanNode::Insert(node) => self.modify("Insert", &node.target.table, &node.target.alias),
            PlanNode::Update(node) => self.modify("Update", &node.target.table, &node.target.alias),
            PlanNode::Delete(node) => self.modify("Delete", &node.target.table, &node.target.alias),
            PlanNode::Merge(node) => self.modify("Merge", &node.target.table, &node.target.alias),
            PlanNode::ModifySet(set) => self.modify(set_verb(set.command), &set.table, &set.alias),
        }
    }

    /// The WITH entry whose rows a work table holds.
    fn work_table_name(&self, work_table: usize) -> String {
        fn fills(plan: &PhysicalPlan, work_table: usize) -> bool {
            match &plan.node {
                PlanNode::RecursiveUnion(node) => node.work_table == work_table,
                PlanNode::Project(node) => fills(&node.input, work_table),
                _ => false,
            }
        }
        let found = self.plan.ctes.iter().find(|cte| fills(&cte.plan, work_table));
        found.map_or_else(String::new, |cte| cte.name.clone())
    }

    // What an operator does.

    fn properties(
        &self,
        plan: &'a PhysicalPlan,
        entries: &mut Vec<Entry>,
        report: Option<&NodeReport>,
        loops: u64,
    ) {
        let names = self.names();
        let scan_names = self.scan_names();
        let filtered = |entries: &mut Vec<Entry>, text: Option<String>| {
            if let Some(text) = text {
                entries.push(Entry::text("Filter", text));
                if let Some(report) = report {
                    let removed = report.removed_by_filter;
                    entries.extend(removed_rows("Rows Removed by Filter", removed, loops));
                }
            }
        };
        let scan_filter =
            |source: &ScanSource| source.filter.as_ref().map(|filter| scan_names.scan_text(filter, source));
        let join_filter = |entries: &mut Vec<Entry>, text: Option<String>| {
            if let Some(text) = text {
                entries.push(Entry::text("Join Filter", text));
                if let Some(report) = report {
                    let removed = report.removed_by_join_filter;
                    entries.extend(removed_rows("Rows Removed by Join Filter", removed, loops));
                }
            }
        };
        match &plan.node {
            PlanNode::Result(result) => {
                if let Some(condition) = &result.condition {
                    entries.push(Entry::text("One-Time Filter", names.text(condition, &[])));
                }
            }
            PlanNode::Gate(gate) => {
                entries.push(Entry::text("One-Time Filter", names.text(&gate.condition, &[])));
            }
            PlanNode::Filter(filter) => {
                entries.push(Entry::text("Filter", names.subquery_text(filter)));
                if let (Some(above), Some(below)) = (self.actual(plan), self.actual(&filter.input)) {
                    let removed = below.rows.saturating_sub(above.rows);
                    entries.extend(removed_rows("Rows Removed by Filter", removed, loops));
                }
            }
            PlanNode::Memoize(memo) => {
                let keys: Vec<String> = memo.keys.iter().map(|key| names.text(key, &[])).collect();
                entries.push(Entry::text("Cache Key", keys.join(", ")));
                entries.push(Entry::text("Cache Mode", if memo.binary { "binary" } else { "logical" }));
                if let Some(memo) = report.and_then(|report| report.memo) {
                    let kilobytes = memo.memory_bytes.div_ceil(1024);
                    entries.push(Entry::line(format!(
                        "Hits: {}  Misses: {}  Evictions: {}  Overflows: {}  Memory Usage: {kilobytes}kB",
                        memo.hits, memo.misses, memo.evictions, memo.overflows
                    )));
                    entries.push(Entry::hidden_count("Cache Hits", memo.hits));
                    entries.push(Entry::hidden_count("Cache Misses", memo.misses));
                    entries.push(Entry::hidden_count("Cache Evictions", memo.evictions));
                    entries.push(Entry::hidden_count("Cache Overflows", memo.overflows));
                    entries.push(Entry::hidden_count("Peak Memory Usage", kilobytes));
                }
            }
            PlanNode::Append(append) => {
                if let Some(keys) = &append.merge {
                    let texts = keys.iter().map(|key| sort_key(names.output_text(&key.expr, plan), key));
                    entries.push(Entry::list("Sort Key", texts.collect()));
                }
                entries.push(Entry::hidden_count("Subplans Removed", 0));
            }
            PlanNode::Gather(gather) => {
                entries.push(Entry::count("Workers Planned", gather.workers as u64, ""));
                if let Some(actual) = self.actual(plan) {
                    entries.push(Entry::count("Workers Launched", actual.workers, ""));
                }
                entries.push(Entry::hidden_flag("Single Copy", false));
            }
            PlanNode::SeqScan(scan) => {
                if let Some(sample) = &scan.sample {
                    let percent = names.text(&sample.percent, &[]);
                    let seed = sample.seed.as_ref().map(|seed| names.text(seed, &[]));
                    let method = sample.method.name();
                    let repeatable =
                        seed.as_ref().map_or_else(String::new, |seed| format!(" REPEATABLE ({seed})"));
                    entries.push(Entry::line(format!("Sampling: {method} ({percent}){repeatable}")));
                    entries.push(Entry::hidden("Sampling Method", method));
                    entries.push(Entry::structured("Sampling Parameters", Value::List(vec![percent])));
                    entries.extend(seed.map(|seed| Entry::hidden("Repeatable Seed", seed)));
                }
                filtered(entries, scan_filter(&scan.source));
                if let Some(report) = report {
                    for (label, removed) in [
                        ("Rows Removed by Join Keys", report.removed_by_join_keys),
                        ("Rows Removed by Sort Bound", report.removed_by_sort_bound),
                    ] {
                        entries.extend(removed_rows(label, removed, loops).filter(|_| removed > 0));
                    }
                }
            }
            PlanNode::IndexScan(scan) => {
                self.index_properties(scan, entries, report, loops, &filtered, &scan_filter);
            }
            PlanNode::MinMaxIndex(node) => {
                self.index_properties(&node.scan, entries, report, loops, &filtered, &scan_filter);
            }
            PlanNode::BitmapScan(scan) => {
                if let Some(recheck) = &scan.recheck {
                    entries.push(Entry::text("Recheck Cond", scan_names.scan_text(recheck, &scan.source)));
                    if let Some(report) = report {
                        let removed = report.removed_by_recheck;
                        entries.extend(removed_rows("Rows Removed by Index Recheck", removed, loops));
                    }
                }
                filtered(entries, scan_filter(&scan.source));
                if let Some(report) = report {
                    let kinds = [("exact", report.exact_blocks), ("lossy", report.lossy_blocks)];
                    let texts: Vec<String> = kinds
                        .iter()
                        .filter(|(_, blocks)| *blocks > 0)
                        .map(|(kind, blocks)| format!("{kind}={blocks}"))
                        .collect();
                    if !texts.is_empty() {
                        entries.push(Entry::line(format!("Heap Blocks: {}", texts.join(" "))));
                    }
                    entries.push(Entry::hidden_count("Exact Heap Blocks", report.exact_blocks));
                    entries.push(Entry::hidden_count("Lossy Heap Blocks", report.lossy_blocks));
                }
            }
            PlanNode::TidScan(scan) => {
                let text = match &scan.condition {
                    TidCondition::Equal(value) => format!("(ctid = {})", names.text(value, &[])),
                    TidCondition::Any(value) => format!("(ctid = ANY ({}))", names.text(value, &[])),
                };
                entries.push(Entry::text("TID Cond", text));
                filtered(entries, scan_filter(&scan.source));
            }
            PlanNode::FunctionScan(scan) => {
                if self.options.verbose {
                    let calls: Vec<String> = scan
                        .functions
                        .iter()
                        .map(|function| match function {
                            FunctionInScan::Set { function, args, .. } => {
                                let args: Vec<String> = args.iter().map(|arg| names.text(arg, &[])).collect();
                                format!("{}({})", function.name, args.join(", "))
                            }
                            FunctionInScan::Scalar { expr, .. } => names.text(expr, &[]),
                        })
                        .collect();
                    entries.push(Entry::text("Function Call", calls.join(", ")));
                }
                filtered(entries, scan_names.filter_text(scan.filter.as_ref(), &scan.alias, &plan.columns));
            }
            PlanNode::CteScan(scan) => {
                let columns = &self.plan.ctes[scan.cte].plan.columns;
                filtered(entries, scan_names.filter_text(scan.filter.as_ref(), &scan.alias, columns));
            }
            PlanNode::WorkTableScan(scan) => {
                filtered(entries, scan_names.filter_text(scan.filter.as_ref(), &scan.alias, &plan.columns));
            }
            PlanNode::NestedLoop(join) => {
                self.inner_unique(join.inner_unique, entries);
                let inputs = [&join.outer, &join.inner];
                join_filter(entries, join.condition.as_ref().map(|c| names.text(c, &inputs)));
                filtered(entries, join.filter.as_ref().map(|filter| names.text(filter, &inputs)));
            }
            PlanNode::HashJoin(join) => {
                self.inner_unique(join.inner_unique, entries);
                let keys = (join.outer_keys.as_slice(), join.inner_keys.as_slice());
                entries.push(Entry::text("Hash Cond", join_cond(&names, keys, &join.outer, &join.inner)));
                let inputs = [&join.outer, &join.inner];
                join_filter(entries, join.residual.as_ref().map(|residual| names.text(residual, &inputs)));
            }
            PlanNode::MergeJoin(join) => {
                self.inner_unique(join.inner_unique, entries);
                let keys = (join.outer_keys.as_slice(), join.inner_keys.as_slice());
                entries.push(Entry::text("Merge Cond", join_cond(&names, keys, &join.outer, &join.inner)));
                let inputs = [&join.outer, &join.inner];
                join_filter(entries, join.residual.as_ref().map(|residual| names.text(residual, &inputs)));
                filtered(entries, join.filter.as_ref().map(|filter| names.text(filter, &inputs)));
            }
            PlanNode::Sort(sort) => {
                entries.push(Entry::list("Sort Key", sort_texts(&names, &sort.keys, &sort.input)));
                if sort.presorted > 0 {
                    let keys = &sort.keys[..sort.presorted];
                    entries.push(Entry::list("Presorted Key", sort_texts(&names, keys, &sort.input)));
                }
                if let Some(sorted) = report.and_then(|report| report.sort) {
                    let kilobytes = sorted.bytes.div_ceil(1024);
                    let space = if sorted.on_disk { "Disk" } else { "Memory" };
                    let method = sorted.method;
                    let line = match sorted.sorts {
                        0 => format!("Sort Method: {method}  {space}: {kilobytes}kB"),
                        sorts => format!(
                            "Full-sort Groups: {sorts}  Sort Method: {method}  Peak {space}: {kilobytes}kB"
                        ),
                    };
                    entries.push(Entry::line(line));
                    entries.push(Entry::hidden("Sort Method", sorted.method));
                    entries.push(Entry::hidden_count("Sort Space Used", kilobytes));
                    entries.push(Entry::hidden("Sort Space Type", space));
                }
            }
            PlanNode::Aggregate(aggregate) => {
                grouping(&names, aggregate, entries);
                filtered(entries, aggregate.having.as_ref().map(|having| names.output_text(having, plan)));
                groups(entries, report);
            }
            PlanNode::Distinct(distinct) => {
                let texts =
                    (0..distinct.input.columns.len()).map(|i| names.output(&distinct.input, i)).collect();
                entries.push(Entry::list("Group Key", texts));
                groups(entries, report);
            }
            PlanNode::Window(window) => {
                let text = format!(
                    "{} AS ({})",
                    window_name(&self.windows, plan),
                    window_definition(&names, window)
                );
                entries.push(Entry::text("Window", text));
                if let Some(run) = &window.run {
                    entries.push(Entry::text("Run Condition", names.output_text(run, plan)));
                }
            }
            PlanNode::Insert(insert) => {
                if let Some(conflict) = &insert.on_conflict {
                    let action = match conflict.action {
                        ConflictAction::Nothing => "NOTHING",
                        ConflictAction::Update { .. } => "UPDATE",
                    };
                    entries.push(Entry::text("Conflict Resolution", action));
                    let arbiters: Vec<String> = insert
                        .target
                        .indexes
                        .iter()
                        .filter(|index| conflict.arbiters.contains(&index.index.oid))
                        .map(|index| index.index.name.to_string())
                        .collect();
                    if !arbiters.is_empty() {
                        entries.push(Entry::list("Conflict Arbiter Indexes", arbiters));
                    }
                    let report = report.and_then(|report| report.conflicts);
                    if let ConflictAction::Update { filter: Some(filter), .. } = &conflict.action {
                        let text = names.named_text(filter, &conflict_columns(&insert.target));
                        entries.push(Entry::text("Conflict Filter", text));
                        if let Some(report) = report {
                            entries.extend(removed_rows(
                                "Rows Removed by Conflict Filter",
                                report.removed_by_filter,
                                1,
                            ));
                        }
                    }
                    if let Some(report) = report {
                        entries.push(Entry::count("Tuples Inserted", report.inserted, ""));
                        entries.push(Entry::count("Conflicting Tuples", report.conflicting, ""));
                    }
                }
            }
            PlanNode::ModifySet(set) => {
                let mut tables = Vec::with_capacity(set.parts.len());
                for part in &set.parts {
                    let target = part.plan.target();
                    let kind = self.modify(set_verb(set.command), &target.table, &target.alias);
                    entries.push(Entry::line(format!("{}{}", set_verb(set.command), kind.target)));
                    tables.push(kind.entries);
                }
                entries.push(Entry::structured("Target Tables", Value::Groups(tables, "Target Table")));
            }
            PlanNode::Merge(node) => {
                if let Some(set) = &node.set {
                    let mut tables = Vec::with_capacity(set.parts.len());
                    for part in &set.parts {
                        let target = &part.plan.target;
                        let kind = self.modify("Merge", &target.table, &target.alias);
                        entries.push(Entry::line(format!("Merge{}", kind.target)));
                        tables.push(kind.entries);
                    }
                    entries.push(Entry::structured("Target Tables", Value::Groups(tables, "Target Table")));
                }
                if let Some(merged) = report.and_then(|report| report.merged) {
                    let counts = [
                        ("inserted", "Tuples Inserted", merged.inserted),
                        ("updated", "Tuples Updated", merged.updated),
                        ("deleted", "Tuples Deleted", merged.deleted),
                        ("skipped", "Tuples Skipped", merged.skipped),
                    ];
                    counted(entries, "Tuples", &counts);
                }
            }
            _ => {}
        }
        if let Some(storage) = report.and_then(|report| report.storage) {
            let kilobytes = storage.bytes.div_ceil(1024);
            let kind = if storage.on_disk { "Disk" } else { "Memory" };
            entries.push(Entry::line(format!("Storage: {kind}  Maximum Storage: {kilobytes}kB")));
            entries.push(Entry::hidden("Storage", kind));
            entries.push(Entry::hidden_count("Maximum Storage", kilobytes));
        }
    }

    fn index_properties(
        &self,
        scan: &IndexScanPlan,
        entries: &mut Vec<Entry>,
        report: Option<&NodeReport>,
        loops: u64,
        filtered: &dyn Fn(&mut Vec<Entry>, Option<String>),
        scan_filter: &dyn Fn(&ScanSource) -> Option<String>,
    ) {
        if let Some(text) = index_cond(&self.scan_names(), &scan.source, &scan.index, &scan.bounds) {
            entries.push(Entry::text("Index Cond", text));
            if let Some(report) = report {
                let removed = report.removed_by_recheck;
                entries.extend(removed_rows("Rows Removed by Index Recheck", removed, loops));
            }
        }
        filtered(entries, scan_filter(&scan.source));
        if let Some(report) = report {
            if scan.index_only {
                entries.push(Entry::count("Heap Fetches", report.heap_fetches, ""));
            }
            entries.push(Entry::count("Index Searches", report.index_searches, ""));
        }
    }

    fn inner_unique(&self, unique: bool, entries: &mut Vec<Entry>) {
        entries.push(if self.options.verbose && unique {
            Entry::flag("Inner Unique", unique)
        } else {
            Entry::hidden_flag("Inner Unique", unique)
        });
    }
}

/// Whether PostgreSQL has the operator apply a filter to its rows itself.
pub(super) fn takes_filter(plan: &PhysicalPlan) -> bool {
    match &plan.node {
        PlanNode::Project(project) => takes_filter(&project.input),
        PlanNode::Filter(filter) => takes_filter(&filter.input),
        PlanNode::Limit(_)
        | PlanNode::Sort(_)
        | PlanNode::Unique(_)
        | PlanNode::Distinct(_)
        | PlanNode::Window(_)
        | PlanNode::SetOp(_)
        | PlanNode::Append(_)
        | PlanNode::RecursiveUnion(_)
        | PlanNode::ProjectSet(_)
        | PlanNode::Gate(_)
        | PlanNode::LockRows(_) => false,
        _ => true,
    }
}

/// What is done to the tables of a set.
fn set_verb(command: CommandKind) -> &'static str {
    match command {
        CommandKind::Delete => "Delete",
        CommandKind::Merge => "Merge",
        _ => "Update",
    }
}

/// How rows were removed: the text form says nothing of none.
fn removed_rows(label: &'static str, removed: u64, loops: u64) -> Option<Entry> {
    let removed_each = removed as f64 / loops.max(1) as f64;
    Some(if removed > 0 {
        Entry::number(label, removed_each, 0, "")
    } else {
        Entry::hidden_number(label, removed_each, 0)
    })
}

/// A node with its place below another one.
fn related(mut node: Node, relationship: &'static str) -> Node {
    let at = node
        .entries
        .iter()
        .position(|entry| entry.label == "Parallel Aware")
        .expect("every node says whether it is parallel");
    node.entries.insert(at, Entry::hidden("Parent Relationship", relationship));
    node
}

/// A node with its place below another one, and its name.
fn named(node: Node, relationship: &'static str, name: String) -> Node {
    let mut node = related(node, relationship);
    let at = node
        .entries
        .iter()
        .position(|entry| entry.label == "Parallel Aware")
        .expect("every node says whether it is parallel");
    node.entries.insert(at, Entry::hidden("Subplan Name", name.clone()));
    node.above = Some(name);
    node
}

fn combined_rows(parts: &[BitmapSource], with: impl Fn(f64, f64) -> f64 + Copy) -> f64 {
    parts.iter().map(bitmap_rows).reduce(with).unwrap_or(0.0)
}

fn bitmap_rows(source: &BitmapSource) -> f64 {
    match source {
        BitmapSource::Index { rows, .. } => *rows,
        BitmapSource::And(parts) => combined_rows(parts, f64::min),
        BitmapSource::Or(parts) => combined_rows(parts, |a, b| a + b),
    }
}

fn bitmap_cost(source: &BitmapSource) -> f64 {
    match source {
        BitmapSource::Index { cost, .. } => *cost,
        BitmapSource::And(parts) | BitmapSource::Or(parts) => parts.iter().map(bitmap_cost).sum(),
    }
}

fn join_kind(node_type: &'static str, method: &str, join: JoinType) -> Kind {
    let (word, property) = match join {
        JoinType::Inner => ("", "Inner"),
        JoinType::Left => (" Left", "Left"),
        JoinType::Right => (" Right", "Right"),
        JoinType::Full => (" Full", "Full"),
        JoinType::Semi => (" Semi", "Semi"),
        JoinType::Anti => (" Anti", "Anti"),
        JoinType::AntiNullAware => (" Anti (NOT IN)", "Anti"),
        JoinType::Mark => (" Mark", "Mark"),
        JoinType::RightSemi => (" Right Semi", "Right Semi"),
        JoinType::RightAnti => (" Right Anti", "Right Anti"),
    };
    let text = match join {
        JoinType::Inner => node_type.to_owned(),
        _ => format!("{method}{word} Join"),
    };
    Kind { text: Some(text), ..Kind::plain(node_type) }.property("Join Type", property)
}

fn aggregate_kind(aggregate: &AggregatePlan) -> Kind {
    let (prefix, stage) = match aggregate.stage {
        AggregateStage::Complete => ("", ""),
        AggregateStage::Partial => ("Partial ", "Partial"),
        AggregateStage::Final => ("Finalize ", "Finalize"),
    };
    let (text, strategy) = match aggregate.strategy {
        AggregateStrategy::Plain => ("Aggregate", "Plain"),
        AggregateStrategy::Sorted if aggregate.aggregates.is_empty() => {
            return Kind { text: Some(format!("{prefix}Group")), ..Kind::plain("Group") };
        }
        AggregateStrategy::Sorted => ("GroupAggregate", "Sorted"),
        AggregateStrategy::Hashed => {
            let sets = aggregate.grouping_sets.iter().flatten();
            match sets.map(Vec::is_empty).fold((false, false), |(all, some), one| (all | one, some | !one)) {
                (true, true) => ("MixedAggregate", "Mixed"),
                _ => ("HashAggregate", "Hashed"),
            }
        }
    };
    let text = Some(format!("{prefix}{text}"));
    Kind { text, strategy: Some(strategy), stage, ..Kind::plain("Aggregate") }
}

fn hashed_groups() -> Kind {
    Kind { text: Some("HashAggregate".to_owned()), strategy: Some("Hashed"), ..Kind::plain("Aggregate") }
}

fn grouping(names: &Names<'_>, aggregate: &AggregatePlan, entries: &mut Vec<Entry>) {
    let text = |key: &usize| names.output_text(&aggregate.keys[*key], aggregate.source());
    match &aggregate.grouping_sets {
        Some(sets) => {
            let hashed = aggregate.strategy == AggregateStrategy::Hashed;
            let mut groups = Vec::with_capacity(sets.len());
            for set in sets {
                let texts: Vec<String> = set.iter().map(text).collect();
                let by_hash = hashed && !texts.is_empty();
                let (key, keys) =
                    if by_hash { ("Hash Key", "Hash Keys") } else { ("Group Key", "Group Keys") };
                let line = if texts.is_empty() { "()".to_owned() } else { texts.join(", ") };
                entries.push(Entry::line(format!("{key}: {line}")));
                groups.push(vec![Entry::structured(keys, Value::Lists(vec![texts], key))]);
            }
            entries.push(Entry::structured("Grouping Sets", Value::Groups(groups, "Grouping Set")));
        }
        None if aggregate.keys.is_empty() => {}
        None => {
            entries.push(Entry::list("Group Key", aggregate.telling.iter().map(text).collect()));
        }
    }
}

fn groups(entries: &mut Vec<Entry>, report: Option<&NodeReport>) {
    let Some(groups) = report.and_then(|report| report.groups) else { return };
    let kilobytes = groups.memory_bytes.div_ceil(1024);
    let disk = groups.disk_bytes.div_ceil(1024);
    let mut line = format!("Batches: {}  Memory Usage: {kilobytes}kB", groups.batches);
    if disk > 0 {
        let _ = write!(line, "  Disk Usage: {disk}kB");
    }
    entries.push(Entry::line(line));
    entries.push(Entry::hidden_count("Planned Partitions", 0));
    entries.push(Entry::hidden_count("HashAgg Batches", groups.batches));
    entries.push(Entry::hidden_count("Peak Memory Usage", kilobytes));
    entries.push(Entry::hidden_count("Disk Usage", disk));
}

/// What the expressions of ON CONFLICT DO UPDATE read: the row that is there, and the one proposed.
fn conflict_columns(target: &TargetTable) -> Vec<String> {
    let table = names::quote(&target.alias);
    let own = target.table.columns.iter().map(|column| format!("{table}.{}", names::quote(&column.name)));
    let proposed =
        target.table.columns.iter().map(|column| format!("excluded.{}", names::quote(&column.name)));
    own.chain([format!("{table}.ctid")]).chain(proposed).collect()
}

fn window_definition(names: &Names<'_>, window: &WindowPlan) -> String {
    let mut parts = Vec::new();
    if !window.partition.is_empty() {
        let texts: Vec<String> =
            window.partition.iter().map(|expr| names.text(expr, &[&window.input])).collect();
        parts.push(format!("PARTITION BY {}", texts.join(", ")));
    }
    if !window.order.is_empty() {
        parts.push(format!("ORDER BY {}", sort_text(names, &window.order, &window.input)));
    }
    let bound = |bound: &FrameBound| match bound {
        FrameBound::UnboundedPreceding => "UNBOUNDED PRECEDING".to_owned(),
        FrameBound::Preceding(expr) => format!("{} PRECEDING", names.text(expr, &[])),
        FrameBound::CurrentRow => "CURRENT ROW".to_owned(),
        FrameBound::Following(expr) => format!("{} FOLLOWING", names.text(expr, &[])),
        FrameBound::UnboundedFollowing => "UNBOUNDED FOLLOWING".to_owned(),
    };
    let frame = &window.frame;
    let mode = match frame.mode {
        FrameMode::Rows => "ROWS",
        FrameMode::Range => "RANGE",
        FrameMode::Groups => "GROUPS",
    };
    let usual = frame.mode == FrameMode::Range && matches!(frame.start, FrameBound::UnboundedPreceding);
    match &frame.end {
        FrameBound::CurrentRow if usual => {}
        FrameBound::CurrentRow => parts.push(format!("{mode} {}", bound(&frame.start))),
        end => parts.push(format!("{mode} BETWEEN {} AND {}", bound(&frame.start), bound(end))),
    }
    match frame.exclusion {
        FrameExclusion::NoOthers => {}
        FrameExclusion::CurrentRow => parts.push("EXCLUDE CURRENT ROW".to_owned()),
        FrameExclusion::Group => parts.push("EXCLUDE GROUP".to_owned()),
        FrameExclusion::Ties => parts.push("EXCLUDE TIES".to_owned()),
    }
    parts.join(" ")
}

/// `table alias`, or the name alone when both are the same.
fn with_alias(name: &str, alias: &str) -> String {
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

/// The keys of a sort: what one computes stands in parentheses.
fn sort_texts(names: &Names<'_>, keys: &[SortKey], input: &Arc<PhysicalPlan>) -> Vec<String> {
    keys.iter()
        .map(|key| match &key.expr {
            Expr::Column { .. } => sort_key(names.text(&key.expr, &[input]), key),
            computed => sort_key(format!("({})", names.text(computed, &[input])), key),
        })
        .collect()
}

/// A key with its order.
fn sort_key(mut text: String, key: &SortKey) -> String {
    if key.descending {
        text.push_str(" DESC");
    }
    if key.nulls_first != key.descending {
        text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
    }
    text
}

/// ORDER BY of an aggregate or a window.
pub(super) fn sort_text(names: &Names<'_>, keys: &[SortKey], input: &Arc<PhysicalPlan>) -> String {
    let texts: Vec<String> = keys.iter().map(|key| sort_key(names.text(&key.expr, &[input]), key)).collect();
    texts.join(", ")
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
            // A call of a user's function.
            Some(text) if text.starts_with(crate::bind::view::OID_NAMESPACE) && text.ends_with(')') => {
                text.to_string()
            }
            Some(text) => format!("({text})"),
            None => match source.table.column(key.number) {
                Some(column) => names.qualified(&source.alias, &column.name),
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
    for condition in &bounds.gin {
        let (name, operator) = (key_name(condition.column), condition.strategy.operator());
        parts.push(format!("({name} {operator} {})", names.text(&condition.value, &[])));
    }
    if let Some(row) = &bounds.row {
        let first = bounds.keys.len();
        let columns: Vec<String> = (first..first + row.values.len()).map(&key_name).collect();
        let values: Vec<String> = row.values.iter().map(|value| names.text(&value.expr, &[])).collect();
        let op = match (row.upper, row.inclusive) {
            (false, false) => ">",
            (false, true) => ">=",
            (true, false) => "<",
            (true, true) => "<=",
        };
        parts.push(format!("(ROW({}) {op} ROW({}))", columns.join(", "), values.join(", ")));
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
