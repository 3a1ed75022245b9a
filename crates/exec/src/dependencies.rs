//! What the rows of a plan depend on besides tables: slots of its frame, and work tables.
//!
//! An operator that keeps rows of an input (Materialize, Sort, the build side of a hash join) may give them again after
//! a rescan if none of these has changed.

use std::ops::ControlFlow;

use ochre_base::limits;
use ochre_expr::Expr;
use ochre_sql::physical::{
    AggregateCall, BitmapSource, FrameBound, FunctionInScan, IndexBounds, KeyCondition, LimitPlan,
    PhysicalPlan, PlanNode, PlannedStatement, ProjectItem, TidCondition, WindowCall,
};
use ochre_types::Datum;

use crate::context::{ExecContext, Frame};

/// What a plan depends on. Slots that the plan's own nested loops write are among the slots: they only make rows be
/// computed again that could have been kept.
#[derive(Debug, Clone, Default)]
pub struct Dependencies {
    slots: Vec<usize>,
    /// Work tables of recursive queries around it.
    work_tables: Vec<usize>,
}

/// The values that dependencies had when rows were computed.
#[derive(Debug, Default, PartialEq)]
pub struct DependencyValues {
    slots: Vec<Datum>,
    /// The rounds of the work tables.
    rounds: Vec<u64>,
}

impl Dependencies {
    /// What a plan of a statement depends on.
    pub fn of(plan: &PhysicalPlan, statement: &PlannedStatement) -> Dependencies {
        let mut found = Dependencies::default();
        found.collect(plan, statement);
        found.slots.sort_unstable();
        found.slots.dedup();
        found.work_tables.sort_unstable();
        found.work_tables.dedup();
        found
    }

    /// As [`Dependencies::of`] without the slots that the plan's own nested loops write.
    pub fn from_outside(plan: &PhysicalPlan, statement: &PlannedStatement) -> Dependencies {
        fn written(plan: &PhysicalPlan, slots: &mut Vec<usize>) {
            if let PlanNode::NestedLoop(join) = &plan.node {
                slots.extend(join.parameters.iter().map(|parameter| parameter.slot));
            }
            plan.children().into_iter().for_each(|child| written(child, slots));
        }
        let mut found = Dependencies::of(plan, statement);
        let mut own = Vec::new();
        written(plan, &mut own);
        found.slots.retain(|slot| !own.contains(slot));
        found
    }

    /// The values of the slots at this moment.
    pub fn slot_values(&self, ctx: &ExecContext<'_>) -> Vec<Datum> {
        ctx.frame.values(&self.slots)
    }

    /// The values at this moment.
    pub fn values(&self, ctx: &ExecContext<'_>) -> DependencyValues {
        self.values_in(ctx, ctx.frame)
    }

    /// As [`Dependencies::values`], for the slots of a frame.
    pub fn values_in(&self, ctx: &ExecContext<'_>, frame: &Frame) -> DependencyValues {
        let slots = if self.slots.is_empty() { Vec::new() } else { frame.values(&self.slots) };
        let round = |number: &usize| ctx.run.work_table(*number).borrow().round;
        DependencyValues { slots, rounds: self.work_tables.iter().map(round).collect() }
    }

    /// Whether rows computed with `values` may be given again.
    pub fn unchanged(&self, ctx: &ExecContext<'_>, values: &DependencyValues) -> bool {
        self.is_empty() || self.values(ctx) == *values
    }

    /// Whether it depends on nothing.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.work_tables.is_empty()
    }

    fn collect(&mut self, plan: &PhysicalPlan, statement: &PlannedStatement) {
        stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            each_expr(plan, &mut |expr| {
                let _ = expr.walk(&mut |node| {
                    if let Expr::Correlated { slot, .. } = node {
                        self.slots.push(*slot);
                    }
                    ControlFlow::<()>::Continue(())
                });
            });
            match &plan.node {
                PlanNode::WorkTableScan(scan) => self.work_tables.push(scan.work_table),
                PlanNode::CteScan(scan) => {
                    if let Some(cte) = statement.ctes.get(scan.cte).filter(|cte| !cte.modifies) {
                        let slots = self.slots.len();
                        self.collect(&cte.plan, statement);
                        if !cte.correlated {
                            self.slots.truncate(slots);
                        }
                    }
                }
                _ => {}
            }
            for child in plan.children() {
                self.collect(child, statement);
            }
            // A recursive query's own work table is nothing that its rows depend on.
            if let PlanNode::RecursiveUnion(union) = &plan.node {
                self.work_tables.retain(|number| *number != union.work_table);
            }
        });
    }
}

/// Visits the expressions of one node, those of its inputs excepted.
pub fn each_expr<'p>(plan: &'p PhysicalPlan, visit: &mut dyn FnMut(&'p Expr)) {
    match &plan.node {
        PlanNode::Result(node) => node.exprs.iter().chain(&node.condition).for_each(visit),
        PlanNode::Values(node) => node.rows.iter().flatten().for_each(visit),
        PlanNode::SeqScan(node) => {
            if let Some(sample) = &node.sample {
                visit(&sample.percent);
                sample.seed.iter().for_each(&mut *visit);
            }
            node.source.filter.iter().for_each(visit);
        }
        PlanNode::IndexScan(node) => {
            node.source.filter.iter().for_each(&mut *visit);
            each_bound(&node.bounds, visit);
        }
        PlanNode::BitmapScan(node) => {
            node.source.filter.iter().chain(&node.recheck).for_each(&mut *visit);
            each_bitmap_expr(&node.bitmap, visit);
        }
        PlanNode::TidScan(node) => {
            node.source.filter.iter().for_each(&mut *visit);
            match &node.condition {
                TidCondition::Equal(expr) | TidCondition::Any(expr) => visit(expr),
            }
        }
        PlanNode::MinMaxIndex(node) => {
            node.scan.source.filter.iter().for_each(&mut *visit);
            each_bound(&node.scan.bounds, visit);
        }
        PlanNode::FunctionScan(node) => {
            node.filter.iter().for_each(&mut *visit);
            for function in &node.functions {
                match function {
                    FunctionInScan::Set { args, .. } => args.iter().for_each(&mut *visit),
                    FunctionInScan::Scalar { expr, .. } => visit(expr),
                }
            }
        }
        PlanNode::CteScan(node) => node.filter.iter().for_each(visit),
        PlanNode::WorkTableScan(node) => node.filter.iter().for_each(visit),
        PlanNode::Filter(node) => visit(&node.predicate),
        PlanNode::Gate(node) => visit(&node.condition),
        PlanNode::Project(node) => node.exprs.iter().for_each(visit),
        PlanNode::ProjectSet(node) => {
            for item in &node.items {
                match item {
                    ProjectItem::Scalar(expr) => visit(expr),
                    ProjectItem::Set { args, .. } => args.iter().for_each(&mut *visit),
                }
            }
        }
        PlanNode::NestedLoop(node) => {
            let parameters = node.parameters.iter().map(|parameter| &parameter.value);
            parameters.chain(&node.condition).chain(&node.filter).for_each(visit);
        }
        PlanNode::HashJoin(node) => {
            let keys = node.outer_keys.iter().chain(&node.inner_keys);
            keys.chain(&node.residual).for_each(visit);
        }
        PlanNode::MergeJoin(node) => {
            let keys = node.outer_keys.iter().chain(&node.inner_keys);
            keys.chain(&node.residual).chain(&node.filter).for_each(visit);
        }
        PlanNode::Sort(node) => node.keys.iter().map(|key| &key.expr).chain(&node.limit).for_each(visit),
        PlanNode::Gather(node) => {
            node.merge.iter().flatten().map(|key| &key.expr).chain(&node.limit).for_each(visit);
        }
        PlanNode::Limit(LimitPlan { limit, offset, ties, .. }) => {
            let ties = ties.iter().flatten().map(|key| &key.expr);
            limit.iter().chain(offset).chain(ties).for_each(visit);
        }
        PlanNode::Aggregate(node) => {
            node.keys.iter().chain(&node.having).for_each(&mut *visit);
            node.aggregates.iter().for_each(|call| each_call_expr(call, visit));
        }
        PlanNode::Window(node) => {
            let order = node.order.iter().map(|key| &key.expr);
            node.partition.iter().chain(order).chain(&node.run).for_each(&mut *visit);
            for bound in [&node.frame.start, &node.frame.end] {
                if let FrameBound::Preceding(expr) | FrameBound::Following(expr) = bound {
                    visit(expr);
                }
            }
            for call in &node.calls {
                match call {
                    WindowCall::Function { args, .. } => args.iter().for_each(&mut *visit),
                    WindowCall::Aggregate(call) => each_call_expr(call, visit),
                }
            }
        }
        PlanNode::Insert(node) => node.returning.iter().flatten().for_each(visit),
        PlanNode::Update(node) => {
            let values = node.assignments.iter().map(|assignment| &assignment.value);
            values.chain(node.returning.iter().flatten()).for_each(visit);
        }
        PlanNode::Delete(node) => node.returning.iter().flatten().for_each(visit),
        PlanNode::Merge(node) => {
            node.exprs().into_iter().for_each(visit);
        }
        PlanNode::Memoize(node) => node.keys.iter().for_each(visit),
        PlanNode::Append(node) => {
            let keys = node.merge.iter().flatten().map(|key| &key.expr);
            node.guards.iter().flatten().chain(keys).for_each(visit);
        }
        PlanNode::ModifySet(node) => node.exprs().into_iter().for_each(visit),
        PlanNode::Materialize(_)
        | PlanNode::Distinct(_)
        | PlanNode::Unique(_)
        | PlanNode::SetOp(_)
        | PlanNode::RecursiveUnion(_)
        | PlanNode::LockRows(_) => {}
    }
}

fn each_call_expr<'p>(call: &'p AggregateCall, visit: &mut dyn FnMut(&'p Expr)) {
    let order = call.order_by.iter().map(|key| &key.expr);
    call.args.iter().chain(&call.direct_args).chain(order).chain(&call.filter).for_each(visit);
}

fn each_bound<'p>(bounds: &'p IndexBounds, visit: &mut dyn FnMut(&'p Expr)) {
    bounds.gin.iter().for_each(|condition| visit(&condition.value));
    for key in &bounds.keys {
        match key {
            KeyCondition::Equal(value) | KeyCondition::Any(value) => visit(&value.expr),
            KeyCondition::IsNull => {}
        }
    }
    if let Some(range) = &bounds.range {
        range.lower.iter().chain(&range.upper).for_each(|bound| visit(&bound.value.expr));
    }
    bounds.row.iter().flat_map(|row| &row.values).for_each(|value| visit(&value.expr));
}

fn each_bitmap_expr<'p>(source: &'p BitmapSource, visit: &mut dyn FnMut(&'p Expr)) {
    match source {
        BitmapSource::Index { bounds, .. } => each_bound(bounds, visit),
        BitmapSource::And(parts) | BitmapSource::Or(parts) => {
            parts.iter().for_each(|part| each_bitmap_expr(part, visit));
        }
    }
}
