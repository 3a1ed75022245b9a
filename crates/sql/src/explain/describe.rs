//! A plan as a tree of what EXPLAIN shows of it.

use std::fmt::Write;
use std::sync::Arc;

use ochre_base::{Oid, Usage, limits};
use ochre_expr::{Expr, SubPlanKind};

use super::actual::{Actual, NodeReport};
use super::kind::Kind;
use super::names::{Names, Windows};
use super::properties::removed_rows;
use super::tree::{Entry, Node};
use super::usage::{buffers, wal};
use super::{ExplainOptions, Explanation};
use crate::physical::{Estimate, HashJoinPlan, PhysicalPlan, PlanNode, PlannedStatement, each_expr};

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

pub(super) struct Describer<'a> {
    pub explanation: &'a Explanation<'a>,
    pub plan: &'a PlannedStatement,
    pub options: &'a ExplainOptions,
    /// What each slot of the frame holds, as text.
    pub slots: Vec<Option<String>>,
    /// Several tables are read: names of columns say whose they are.
    pub many: bool,
    pub windows: Windows,
    /// Sub-plans that were described already.
    pub described: Vec<usize>,
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

    /// A node with its headline, and the properties that say the same.
    pub(super) fn begin(&self, kind: Kind, estimate: &Estimate, actual: Option<&Actual>) -> Node {
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

    pub(super) fn add_usage(&self, node: &mut Node, usage: Option<Usage>) {
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

    pub(super) fn actual(&self, plan: &PhysicalPlan) -> Option<Actual> {
        self.explanation.actuals.map(|actuals| actuals(plan).unwrap_or_default())
    }

    /// Names in conditions and keys.
    pub(super) fn names(&self) -> Names<'_> {
        Names::new(
            self.explanation.catalog,
            self.plan,
            &self.slots,
            &self.windows,
            self.many || self.options.verbose,
        )
    }

    /// Names in a scan's own conditions: they are about its table.
    pub(super) fn scan_names(&self) -> Names<'_> {
        Names::new(self.explanation.catalog, self.plan, &self.slots, &self.windows, self.options.verbose)
    }

    /// Names in output columns.
    fn output_names(&self) -> Names<'_> {
        Names::new(self.explanation.catalog, self.plan, &self.slots, &self.windows, self.many)
    }

    pub(super) fn expr(&self, expr: &Expr, input: &'a Arc<PhysicalPlan>) -> String {
        self.names().text(expr, &[input])
    }

    /// `namespace.` where it is shown.
    pub(super) fn namespace(&self, namespace: Oid) -> Option<String> {
        if self.options.verbose { self.explanation.catalog.namespace(namespace) } else { None }
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

/// A node with its place below another one.
pub(super) fn related(mut node: Node, relationship: &'static str) -> Node {
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
