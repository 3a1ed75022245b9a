//! What the columns of operators are called, and expressions over them as text.

use std::sync::Arc;

use hashbrown::HashMap;
use ochre_expr::{ColumnNames, Expr};
use ochre_types::{FormatContext, SqlType, typmod};

use super::CatalogNames;
use super::describe::takes_filter;
use crate::physical::{
    AggregateCall, AggregateStage, FilterPlan, ItemNames, JoinType, OutputColumn, PhysicalPlan, PlanNode,
    PlannedStatement, ProjectItem, ScanColumn, ScanSource, WindowCall,
};

/// Names within one frame of a plan.
pub(super) struct Names<'a> {
    catalog: &'a dyn CatalogNames,
    plan: &'a PlannedStatement,
    slots: &'a [Option<String>],
    windows: &'a Windows,
    qualify: bool,
}

/// Where the value of a column comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// It is a table's column, or that of another item of FROM.
    Given,
    /// The operator computes it.
    Here,
    /// An operator below has computed it.
    Below,
}

/// The names of windows by the addresses of their nodes, which stay while a plan is printed.
pub(super) type Windows = HashMap<usize, String>;

/// How a window is called.
pub(super) fn window_name(windows: &Windows, plan: &PhysicalPlan) -> String {
    windows.get(&std::ptr::from_ref(plan).addr()).cloned().unwrap_or_else(|| "?".to_owned())
}

/// Answers the printer of expressions.
struct Resolver<'n> {
    catalog: &'n dyn CatalogNames,
    column: &'n dyn Fn(usize) -> String,
    plan: &'n PlannedStatement,
    slots: &'n [Option<String>],
}

impl ColumnNames for Resolver<'_> {
    fn column(&self, index: usize) -> String {
        (self.column)(index)
    }

    fn type_name(&self, ty: SqlType) -> String {
        self.catalog.user_type(ty.oid).unwrap_or_else(|| typmod::format_type(ty.oid, ty.typmod))
    }

    fn field(&self, record: SqlType, index: usize) -> Option<String> {
        self.catalog.field(record, index)
    }

    fn format(&self) -> FormatContext {
        self.catalog.format()
    }

    fn subplan(&self, plan: usize) -> (String, bool) {
        match self.plan.subplans.get(plan) {
            Some(subplan) if subplan.hashed => (format!("hashed {}", subplan.name), false),
            Some(subplan) => (subplan.name.clone(), subplan.run_once),
            None => (format!("SubPlan {}", plan + 1), false),
        }
    }

    fn correlated(&self, slot: usize) -> String {
        self.slots.get(slot).cloned().flatten().unwrap_or_else(|| format!("${slot}"))
    }
}

impl<'a> Names<'a> {
    pub fn new(
        catalog: &'a dyn CatalogNames,
        plan: &'a PlannedStatement,
        slots: &'a [Option<String>],
        windows: &'a Windows,
        qualify: bool,
    ) -> Names<'a> {
        Names { catalog, plan, slots, windows, qualify }
    }

    fn print(&self, expr: &Expr, column: &dyn Fn(usize) -> String) -> String {
        expr.to_sql(&Resolver { catalog: self.catalog, column, plan: self.plan, slots: self.slots })
    }

    /// An expression over the columns of inputs side by side.
    pub fn text(&self, expr: &Expr, inputs: &[&Arc<PhysicalPlan>]) -> String {
        self.print(expr, &|index| {
            let mut index = index;
            for input in inputs {
                if index < input.columns.len() {
                    return self.column(input, index);
                }
                index -= input.columns.len();
            }
            format!("#{index}")
        })
    }

    /// An expression of a node, over what the node's expressions read.
    pub fn node_text(&self, expr: &Expr, node: &PhysicalPlan) -> String {
        match &node.node {
            PlanNode::SeqScan(scan) => self.scan_text(expr, &scan.source),
            PlanNode::IndexScan(scan) => self.scan_text(expr, &scan.source),
            PlanNode::BitmapScan(scan) => self.scan_text(expr, &scan.source),
            PlanNode::TidScan(scan) => self.scan_text(expr, &scan.source),
            _ => self.text(expr, &node.children()),
        }
    }

    /// An expression over what a scan fetches.
    pub fn scan_text(&self, expr: &Expr, source: &ScanSource) -> String {
        self.print(expr, &|index| match source.fetch.get(index) {
            Some(column) => self.scan_column(source, *column),
            None => format!("#{index}"),
        })
    }

    /// An expression over columns with given names.
    pub fn named_text(&self, expr: &Expr, columns: &[String]) -> String {
        self.print(expr, &|index| columns.get(index).cloned().unwrap_or_else(|| format!("#{index}")))
    }

    /// The filter of a scan that has no table, only an alias and the columns it filters.
    pub fn filter_text(
        &self,
        filter: Option<&Expr>,
        alias: &str,
        columns: &[OutputColumn],
    ) -> Option<String> {
        let columns = || columns.iter().map(|column| self.qualified(alias, &column.name)).collect::<Vec<_>>();
        filter.map(|filter| self.named_text(filter, &columns()))
    }

    /// An expression over a node's own output, of the node itself or one that is shown as one with it.
    pub fn output_text(&self, expr: &Expr, plan: &PhysicalPlan) -> String {
        self.print(expr, &|index| self.output(plan, index))
    }

    /// `alias.column`, or the column alone when there is but one table.
    pub fn qualified(&self, alias: &str, column: &str) -> String {
        if self.qualify { format!("{}.{}", quote(alias), quote(column)) } else { quote(column) }
    }

    fn scan_column(&self, source: &ScanSource, column: ScanColumn) -> String {
        match column {
            ScanColumn::Table(position) => {
                self.qualified(&source.alias, &source.table.columns[position].name)
            }
            ScanColumn::WholeRow => format!("{}.*", quote(&source.alias)),
            system => self.qualified(&source.alias, crate::bind::system_column_type(system).0),
        }
    }

    /// The predicate of a filter that is shown as the scan of a sub-query.
    pub fn subquery_text(&self, filter: &FilterPlan) -> String {
        self.print(&filter.predicate, &|index| match self.item_column(filter.subquery.as_ref(), index) {
            Some(name) => name,
            None => self.column(&filter.input, index),
        })
    }

    fn item_column(&self, item: Option<&ItemNames>, index: usize) -> Option<String> {
        let item = item?;
        let name = item.columns.get(index)?.as_ref()?;
        Some(self.qualified(&item.alias, name))
    }

    /// A column of an input as the operator above mentions it: what is computed stands in parentheses.
    pub fn column(&self, plan: &PhysicalPlan, index: usize) -> String {
        match self.describe(plan, index) {
            (text, Made::Given) => text,
            (text, _) => format!("({text})"),
        }
    }

    /// A column of a node's own output: what was computed below stands in parentheses.
    pub fn output(&self, plan: &PhysicalPlan, index: usize) -> String {
        match self.describe(plan, index) {
            (text, Made::Below) => format!("({text})"),
            (text, _) => text,
        }
    }

    /// A column of an operator below.
    fn below(&self, plan: &PhysicalPlan, index: usize) -> (String, Made) {
        match self.describe(plan, index) {
            (text, Made::Here) => (text, Made::Below),
            other => other,
        }
    }

    /// The text, and where the value comes from.
    fn describe(&self, plan: &PhysicalPlan, index: usize) -> (String, Made) {
        let fallback =
            || (plan.columns.get(index).map_or_else(|| format!("#{index}"), |c| quote(&c.name)), Made::Given);
        let computed = |expr: &Expr, input: &Arc<PhysicalPlan>| match expr {
            Expr::Column { index, .. } => self.below(input, *index),
            other => (self.text(other, &[input]), Made::Here),
        };
        match &plan.node {
            PlanNode::Result(result) => match result.exprs.get(index) {
                Some(expr) => (self.text(expr, &[]), Made::Here),
                None => fallback(),
            },
            PlanNode::Values(values) => {
                (self.qualified(&values.alias, &format!("column{}", index + 1)), Made::Given)
            }
            PlanNode::SeqScan(scan) => {
                (self.scan_column(&scan.source, scan.source.fetch[index]), Made::Given)
            }
            PlanNode::IndexScan(scan) => {
                (self.scan_column(&scan.source, scan.source.fetch[index]), Made::Given)
            }
            PlanNode::BitmapScan(scan) => {
                (self.scan_column(&scan.source, scan.source.fetch[index]), Made::Given)
            }
            PlanNode::TidScan(scan) => {
                (self.scan_column(&scan.source, scan.source.fetch[index]), Made::Given)
            }
            PlanNode::MinMaxIndex(node) => {
                (self.scan_column(&node.scan.source, node.scan.source.fetch[index]), Made::Given)
            }
            PlanNode::FunctionScan(scan) => {
                (self.qualified(&scan.alias, &plan.columns[index].name), Made::Given)
            }
            PlanNode::CteScan(scan) => {
                let column = &self.plan.ctes[scan.cte].plan.columns[scan.columns[index]];
                (self.qualified(&scan.alias, &column.name), Made::Given)
            }
            PlanNode::WorkTableScan(scan) => {
                (self.qualified(&scan.alias, &plan.columns[index].name), Made::Given)
            }
            // It is shown as one with its input.
            PlanNode::Project(project) => match &project.exprs[index] {
                Expr::Column { index, .. } => self.describe(&project.input, *index),
                other => (self.output_text(other, &project.input), Made::Here),
            },
            PlanNode::ProjectSet(node) => match &node.items[index] {
                ProjectItem::Scalar(expr) => computed(expr, &node.input),
                ProjectItem::Set { function, args, .. } => {
                    let texts: Vec<String> = args.iter().map(|arg| self.text(arg, &[&node.input])).collect();
                    (format!("{}({})", function.name, texts.join(", ")), Made::Here)
                }
            },
            PlanNode::NestedLoop(join)
                if join.join == JoinType::Mark && index == join.outer.columns.len() =>
            {
                fallback()
            }
            PlanNode::NestedLoop(join) => self.joined(&join.outer, &join.inner, index, fallback),
            PlanNode::HashJoin(join) => {
                let position = join.output.get(index).copied().unwrap_or(index);
                match join.join {
                    JoinType::RightSemi | JoinType::RightAnti => self.below(&join.inner, position),
                    JoinType::Mark if position == join.outer.columns.len() => fallback(),
                    _ => self.joined(&join.outer, &join.inner, position, fallback),
                }
            }
            PlanNode::MergeJoin(join) => self.joined(&join.outer, &join.inner, index, fallback),
            PlanNode::Aggregate(aggregate) => {
                if let Some(key) = aggregate.keys.get(index) {
                    return computed(key, aggregate.source());
                }
                match aggregate.aggregates.get(index - aggregate.keys.len()) {
                    Some(call) => {
                        let text = self.aggregate(call, aggregate.source());
                        let partial = aggregate.stage == AggregateStage::Partial;
                        (if partial { format!("PARTIAL {text}") } else { text }, Made::Here)
                    }
                    None => ("GROUPING".to_owned(), Made::Here),
                }
            }
            PlanNode::Window(window) => {
                if index < window.input.columns.len() {
                    return self.below(&window.input, index);
                }
                let name = window_name(self.windows, plan);
                let call = match &window.calls[index - window.input.columns.len()] {
                    WindowCall::Function { function, args, .. } => {
                        let texts: Vec<String> =
                            args.iter().map(|arg| self.text(arg, &[&window.input])).collect();
                        format!("{}({})", function.name, texts.join(", "))
                    }
                    WindowCall::Aggregate(call) => self.aggregate(call, &window.input),
                };
                (format!("{call} OVER {name}"), Made::Here)
            }
            PlanNode::SetOp(node) => self.below(&node.left, index),
            PlanNode::Append(node) => match (self.item_column(node.parent.as_ref(), index), &*node.inputs) {
                (Some(name), _) => (name, Made::Given),
                (None, [first, ..]) => self.below(first, index),
                (None, []) => fallback(),
            },
            PlanNode::RecursiveUnion(node) => self.below(&node.initial, index),
            PlanNode::Filter(filter) if takes_filter(&filter.input) => self.describe(&filter.input, index),
            PlanNode::Filter(filter) => match self.item_column(filter.subquery.as_ref(), index) {
                Some(name) => (name, Made::Given),
                None => self.below(&filter.input, index),
            },
            PlanNode::Gate(_)
            | PlanNode::Materialize(_)
            | PlanNode::Memoize(_)
            | PlanNode::Gather(_)
            | PlanNode::Sort(_)
            | PlanNode::Limit(_)
            | PlanNode::Distinct(_)
            | PlanNode::Unique(_)
            | PlanNode::LockRows(_) => match plan.children().first() {
                Some(input) => self.below(input, index),
                None => fallback(),
            },
            PlanNode::Insert(_)
            | PlanNode::Update(_)
            | PlanNode::Delete(_)
            | PlanNode::Merge(_)
            | PlanNode::ModifySet(_) => fallback(),
        }
    }

    fn joined(
        &self,
        outer: &PhysicalPlan,
        inner: &PhysicalPlan,
        index: usize,
        fallback: impl Fn() -> (String, Made),
    ) -> (String, Made) {
        if index < outer.columns.len() {
            self.below(outer, index)
        } else if index - outer.columns.len() < inner.columns.len() {
            self.below(inner, index - outer.columns.len())
        } else {
            fallback()
        }
    }

    fn aggregate(&self, call: &AggregateCall, input: &Arc<PhysicalPlan>) -> String {
        let mut text = format!("{}(", call.function.function.name);
        if call.distinct {
            text.push_str("DISTINCT ");
        }
        if call.args.is_empty() {
            text.push('*');
        }
        let args: Vec<String> = call.args.iter().map(|arg| self.text(arg, &[input])).collect();
        text.push_str(&args.join(", "));
        if !call.order_by.is_empty() {
            text.push_str(" ORDER BY ");
            text.push_str(&super::conditions::sort_text(self, &call.order_by, input));
        }
        text.push(')');
        if let Some(filter) = &call.filter {
            text.push_str(&format!(" FILTER (WHERE {})", self.text(filter, &[input])));
        }
        text
    }
}

/// A name, quoted where SQL needs it.
pub(super) fn quote(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
