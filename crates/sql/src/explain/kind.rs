//! What operators are called and work on.

use ochre_catalog::RelationDescriptor;
use ochre_expr::Expr;

use super::describe::Describer;
use super::names;
use super::properties::set_verb;
use super::tree::Entry;
use crate::physical::{
    AggregatePlan, AggregateStage, AggregateStrategy, FunctionInScan, IndexScanPlan, JoinType, PhysicalPlan,
    PlanNode, ScanDirection, ScanSource, SetOpKind,
};

/// What an operator is called and works on.
#[derive(Default)]
pub(super) struct Kind {
    /// PostgreSQL's name of the operator.
    pub node_type: &'static str,
    /// How the text form calls it, where that is not its name.
    pub text: Option<String>,
    pub strategy: Option<&'static str>,
    pub operation: Option<&'static str>,
    /// Several threads share its rows.
    pub parallel: bool,
    pub stage: &'static str,
    /// What stands behind its name in the text form.
    pub target: String,
    /// What it works on, as properties.
    pub entries: Vec<Entry>,
    /// Its method is switched off, and there was no other.
    pub disabled: bool,
}

impl Kind {
    pub(super) fn plain(node_type: &'static str) -> Kind {
        Kind { node_type, ..Kind::default() }
    }

    pub(super) fn property(mut self, label: &'static str, value: impl Into<String>) -> Kind {
        self.entries.push(Entry::hidden(label, value));
        self
    }
}

impl<'a> Describer<'a> {
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

    pub(super) fn modify(&self, operation: &'static str, table: &RelationDescriptor, alias: &str) -> Kind {
        let kind = Kind {
            text: Some(operation.to_owned()),
            operation: Some(operation),
            ..Kind::plain("ModifyTable")
        };
        self.on_table(kind, "", table, alias)
    }

    /// What an operator is called and works on.
    pub(super) fn kind(&mut self, plan: &PhysicalPlan) -> Kind {
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

/// `table alias`, or the name alone when both are the same.
fn with_alias(name: &str, alias: &str) -> String {
    let quoted = names::quote(name);
    if name == alias { quoted } else { format!("{quoted} {}", names::quote(alias)) }
}
