//! What operators do: their conditions and keys, and what they say of their work.

use std::fmt::Write;

use super::actual::NodeReport;
use super::conditions::{index_cond, join_cond, sort_key, sort_texts, window_definition};
use super::describe::Describer;
use super::names::{self, Names, window_name};
use super::tree::{Entry, Value};
use super::usage::counted;
use crate::physical::{
    AggregatePlan, AggregateStrategy, CommandKind, ConflictAction, FunctionInScan, IndexScanPlan,
    PhysicalPlan, PlanNode, ScanSource, TargetTable, TidCondition,
};

impl<'a> Describer<'a> {
    pub(super) fn properties(
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

/// What is done to the tables of a set.
pub(super) fn set_verb(command: CommandKind) -> &'static str {
    match command {
        CommandKind::Delete => "Delete",
        CommandKind::Merge => "Merge",
        _ => "Update",
    }
}

/// How rows were removed: the text form says nothing of none.
pub(super) fn removed_rows(label: &'static str, removed: u64, loops: u64) -> Option<Entry> {
    let removed_each = removed as f64 / loops.max(1) as f64;
    Some(if removed > 0 {
        Entry::number(label, removed_each, 0, "")
    } else {
        Entry::hidden_number(label, removed_each, 0)
    })
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
