//! Joins: in which order, and how each.
//!
//! Inner joins that stand next to each other form a *cluster*: a set of relations and a set of conditions, whose order is
//! found by [`super::join_order`]. An outer, semi or anti join is a relation of the cluster around it.
//!
//! # Not done
//! Reordering across outer joins.

use std::sync::Arc;

use hashbrown::HashMap;
use ochre_base::{Error, Result, SqlState};
use ochre_expr::{CastKind, CastMethod, Expr, Volatility};
use ochre_types::{Datum, SqlType, oids};

use super::index_match::{Operation, comparison_of, operation_of};
use super::join_order::{JoinGraph, MAX_RELATIONS, Mask, Memo, Method, Step, relation_set};
use super::join_stream::{Driver, Streams};
use super::node::pushed_into;
use super::scan::ScanPath;
use super::{Node, OrderKey, PlanBuilder, Price, Wanted, agreeing, cost};
use crate::idset::IdSet;
use crate::logical::{ColumnId, Join, JoinKind, Logical, Ordering, TableId};
use crate::physical::{
    Estimate, HashJoinPlan, JoinType, MaterializePlan, MemoizePlan, MergeJoinPlan, NestedLoopJoin,
    PhysicalPlan, PlanNode, SlotAssignment,
};

/// By how much a join with the distinct rows of the other side must be cheaper than a semi join.
const WORTH_DISTINCT: f64 = 2.0;

/// A relation of a cluster.
pub(super) struct Relation<'p> {
    pub plan: &'p Logical,
    /// Ids it produces.
    pub ids: IdSet,
    /// Conditions on it alone.
    pub local: Vec<Expr>,
    /// Relations that it mentions (LATERAL), as a bit mask.
    pub needs: Mask,
    /// The relation planned by itself; none for one that needs others.
    pub node: Option<Node>,
    /// Rows after its own conditions.
    pub rows: f64,
    pub width: u32,
}

/// A cluster whose joins are ordered.
struct Cluster<'p> {
    relations: Vec<Relation<'p>>,
    graph: JoinGraph,
    memo: Memo,
    streams: Streams,
    /// What any of its joins reads, or what stands above it.
    needed: IdSet,
    /// What comes out.
    above: IdSet,
}

/// The two sides of an equality that joins.
struct EquiKey {
    left: Expr,
    right: Expr,
    null_safe: bool,
}

impl PlanBuilder<'_> {
    /// Plans a join with the conditions above it.
    pub(crate) fn plan_join(
        &mut self,
        join: &Join,
        plan: &Logical,
        predicates: &[Expr],
        required: &IdSet,
        wanted: &Wanted,
    ) -> Result<Node> {
        if join.kind == JoinKind::Inner {
            return self.plan_cluster(plan, predicates, required, wanted);
        }
        let mut needed = required.clone();
        for predicate in predicates {
            crate::walk::mentioned(predicate, self.parts(), &mut needed);
        }
        let node = self.plan_two_sides(join, &needed, wanted)?;
        self.add_filter(node, predicates)
    }

    // Outer, semi and anti joins.

    fn plan_two_sides(&mut self, join: &Join, required: &IdSet, wanted: &Wanted) -> Result<Node> {
        let mark = self.outside.len();
        let mut node = self.plan_two_sides_for(join, required, None)?;
        if let Some(inner) = self.semi_as_inner(join) {
            let whole = self.outside.len();
            let other = self.plan_cluster(&inner, &[], required, wanted)?;
            // It is for few rows of the right side: where all of the left are read anyway, a semi join hashes as well.
            let other_price = self.price_of_node(&other, wanted);
            let least = Price { cost: other_price.cost * WORTH_DISTINCT, ..other_price };
            if least.is_below(self.price_of_node(&node, wanted)) {
                self.outside.drain(mark..whole);
                node = other;
            } else {
                self.outside.truncate(whole);
            }
        }
        let wants = !wanted.order.is_empty() || wanted.rows.is_some_and(|rows| rows < node.rows());
        // NOT IN is hashed, and a full join has rows of both sides in no order.
        let outer = match join.kind {
            JoinKind::Full => None,
            JoinKind::AntiNullAware if !wanted.order.is_empty() => None,
            JoinKind::Right if join.lateral => None,
            JoinKind::Right => Some(&join.right),
            _ => Some(&join.left),
        };
        let fits = outer.is_some_and(|outer| {
            let produced = crate::walk::produced(outer, &self.tables);
            wanted.order.first().is_none_or(|key| produced.contains(key.id))
        });
        if !wants || !fits {
            return Ok(node);
        }
        // The same join with the rows of its outer side as they come, in the wanted order or until there are enough.
        let whole = self.outside.len();
        let own = Wanted { order: wanted.order.clone(), rows: wanted.rows };
        let share = wanted.rows.map(|rows| (rows / node.rows().max(1.0)).min(1.0));
        let streaming = self.plan_two_sides_for(join, required, Some((&own, share)))?;
        if self.price_of_node(&streaming, wanted).is_below(self.price_of_node(&node, wanted)) {
            self.outside.drain(mark..whole);
            return Ok(streaming);
        }
        self.outside.truncate(whole);
        Ok(node)
    }

    /// A semi join as an inner join with the distinct rows of its right side, which can then be the one that is read first:
    /// each left row has at most one partner among them. That is so where the condition is nothing but equalities of
    /// columns of the right side with values of the left one of the same type: what is distinct there equals no two
    /// values here. NULLs match neither way.
    fn semi_as_inner(&self, join: &Join) -> Option<Logical> {
        if join.kind != JoinKind::Semi || join.lateral || join.on.is_empty() {
            return None;
        }
        let left = crate::walk::produced(&join.left, &self.tables);
        let right = crate::walk::produced(&join.right, &self.tables);
        if crate::walk::free_columns(&join.right, self.parts()).intersects(&left) {
            return None;
        }
        let mut columns: Vec<ColumnId> = Vec::with_capacity(join.on.len());
        for condition in &join.on {
            let (Operation::Equal, l, r) = comparison_of(condition)? else { return None };
            let own = |expr: &Expr| match expr {
                Expr::Column { index, .. } if right.contains(*index) => Some(*index),
                _ => None,
            };
            let (key, other) = match (own(l), own(r)) {
                (Some(key), None) => (key, r),
                (None, Some(key)) => (key, l),
                _ => return None,
            };
            let of_left = IdSet::of(other.columns());
            let plain = other.ty().oid == self.columns[key].ty.oid
                && !of_left.is_empty()
                && of_left.is_subset(&left)
                && !super::node::has_subplan(other)
                && other.volatility() != Volatility::Volatile
                && ochre_expr::btree_comparison(other.ty().oid).is_some();
            if !plain {
                return None;
            }
            if !columns.contains(&key) {
                columns.push(key);
            }
        }
        // Distinct rows are those of all columns that come in.
        let column = |id: &ColumnId| (*id, Expr::Column { index: *id, ty: self.columns[*id].ty });
        let items = columns.iter().map(column).collect();
        let input = Box::new(Logical::Project { input: Box::new(join.right.clone()), items });
        let right = Logical::Distinct { input, columns };
        Some(Logical::Join(Box::new(Join {
            kind: JoinKind::Inner,
            left: join.left.clone(),
            right,
            on: join.on.clone(),
            lateral: false,
        })))
    }

    /// As [`PlanBuilder::plan_two_sides`]; with a goal so that the outer side's rows are handed on as they come, of which
    /// that share is wanted.
    fn plan_two_sides_for(
        &mut self,
        join: &Join,
        required: &IdSet,
        goal: Option<(&Wanted, Option<f64>)>,
    ) -> Result<Node> {
        let mut needed = required.clone();
        for condition in &join.on {
            crate::walk::mentioned(condition, self.parts(), &mut needed);
        }
        // RIGHT is LEFT the other way round.
        let (kind, left, right) = match join.kind {
            JoinKind::Right if !join.lateral => (JoinKind::Left, &join.right, &join.left),
            kind => (kind, &join.left, &join.right),
        };
        let lateral = {
            let outer = crate::walk::produced(left, &self.tables);
            let free = crate::walk::free_columns(right, self.parts());
            free.intersects(&outer)
        };
        let mut left_needed = needed.clone();
        if lateral {
            left_needed.extend(&crate::walk::free_columns(right, self.parts()));
        }
        let left_wanted = match goal {
            None => Wanted::default(),
            Some((wanted, share)) => {
                let outer = crate::walk::produced(left, &self.tables);
                let own = wanted.order.iter().take_while(|key| outer.contains(key.id)).copied();
                // How many of the outer rows that is will be known when they are planned.
                Wanted { order: own.collect(), rows: share.and(wanted.rows) }
            }
        };
        let wanted_rows = |rows: f64| goal.and_then(|(_, share)| Some((rows * share?).max(1.0)));
        let left_node = self.plan_node(left, &left_needed, &left_wanted)?;
        if lateral {
            return self.build_lateral(kind, left_node, right, &needed, &join.on);
        }
        let (mut keys, residual) = self.equi_keys(&join.on, &left_node.ids, right)?;
        // Where no condition looks at a row, each row may match each: they have a key in common.
        if kind == JoinKind::Full && keys.is_empty() && residual.iter().all(|on| on.columns().is_empty()) {
            let one = || Expr::constant(Datum::Int32(1), SqlType::INT4);
            keys.push(EquiKey { left: one(), right: one(), null_safe: false });
        }
        // An index of the inner side, probed for each outer row.
        if matches!(kind, JoinKind::Left | JoinKind::Semi | JoinKind::Anti)
            && let Some((table, local)) = base_table(right)
        {
            let mut conditions = local.clone();
            conditions.extend(join.on.iter().cloned());
            let usable = !conditions.iter().any(|condition| self.has_row_subplan(condition));
            let path = usable
                .then(|| self.choose_scan(table, &conditions, &needed, &Wanted::default(), left_node.rows()));
            if let Some(path) = path.filter(ScanPath::is_narrowed) {
                let plain = self.choose_scan(table, &local, &needed, &Wanted::default(), 1.0);
                let rows = self.outer_rows(kind, left_node.plan.estimate, plain.estimate.rows, &join.on);
                let (loop_startup, loop_cost) = cost::nested_loop(
                    self.settings(),
                    left_node.plan.estimate,
                    path.estimate,
                    path.estimate.total_cost,
                    0.0,
                    rows,
                );
                let disabled = path.disabled + u32::from(!self.settings().enable_nestloop);
                let loop_estimate =
                    Estimate { startup_cost: loop_startup, total_cost: loop_cost, rows, width: 0 };
                let probing = Price { disabled, cost: cost::fraction(loop_estimate, wanted_rows(rows)) };
                let ways = self.ways(kind, &join.on, &keys, &left_node, plain.estimate, &[], rows, goal);
                let other = ways
                    .first()
                    .map(|(price, ..)| Price { disabled: price.disabled + plain.disabled, ..*price });
                if other.is_none_or(|other| probing.is_below(other)) {
                    let mark = self.outside.len();
                    let right_needed = if kind.keeps_right() { needed.clone() } else { IdSet::default() };
                    let inner = self.build_scan(table, &conditions, &right_needed, path)?;
                    let parameters = self.take_parameters(mark, &left_node.ids)?;
                    let estimate = Estimate {
                        startup_cost: left_node.plan.estimate.startup_cost,
                        total_cost: loop_cost,
                        rows,
                        width: self.join_width(kind, &left_node, &inner),
                    };
                    return self.build_loop(kind, left_node, inner, parameters, None, estimate);
                }
            }
        }
        let right_node = self.plan_node(right, &needed, &Wanted::default())?;
        let rows = self.outer_rows(kind, left_node.plan.estimate, right_node.rows(), &join.on);
        let right_order = right_node.order.clone();
        let right_estimate = right_node.plan.estimate;
        let ways = self.ways(kind, &join.on, &keys, &left_node, right_estimate, &right_order, rows, goal);
        let width = self.join_width(kind, &left_node, &right_node);
        match ways.first() {
            Some((.., Way::Hash)) if goal.is_some() => {
                let join = straight_hash(kind);
                let mark = if let JoinKind::Mark(id) = kind { Some(id) } else { None };
                self.build_hash(join, left_node, right_node, keys, residual, rows, mark, required)
            }
            Some((.., Way::Hash)) => {
                self.build_hash_of(kind, left_node, right_node, keys, residual, rows, required)
            }
            Some((_, total_cost, Way::Merge)) => {
                let startup_cost = left_node.plan.estimate.startup_cost;
                let estimate = Estimate { startup_cost, total_cost: *total_cost, rows, width };
                self.build_merge(kind, left_node, right_node, keys, residual, estimate)
            }
            Some((_, total_cost, Way::Loop)) => {
                let inner = self.materialize(right_node);
                let condition =
                    if join.on.is_empty() { None } else { Some(Expr::and(join.on.iter().cloned())) };
                let startup_cost = left_node.plan.estimate.startup_cost + inner.plan.estimate.startup_cost;
                let estimate = Estimate { startup_cost, total_cost: *total_cost, rows, width };
                self.build_loop(kind, left_node, inner, Vec::new(), condition, estimate)
            }
            None if kind == JoinKind::AntiNullAware => Err(Error::internal("NOT IN without a key")),
            None => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "FULL JOIN is only supported with merge-joinable or hash-joinable join conditions",
            )),
        }
    }

    /// The ways to join two sides in this order, the cheapest first. What the sides themselves have of methods that are
    /// switched off is not counted: it is the same for all.
    #[allow(clippy::too_many_arguments, reason = "what a join is and what is known of its sides")]
    fn ways(
        &self,
        kind: JoinKind,
        on: &[Expr],
        keys: &[EquiKey],
        left: &Node,
        right: Estimate,
        right_order: &[OrderKey],
        rows: f64,
        goal: Option<(&Wanted, Option<f64>)>,
    ) -> Vec<(Price, f64, Way)> {
        let settings = self.settings();
        let off = |on: bool| u32::from(!on);
        let l = left.plan.estimate;
        let mut ways = Vec::with_capacity(3);
        let ordered = goal.is_some_and(|(wanted, _)| !wanted.order.is_empty());
        let wanted_rows = goal.and_then(|(_, share)| Some((rows * share?).max(1.0)));
        let price = |disabled: u32, (startup_cost, total_cost): (f64, f64)| {
            let cost = cost::fraction(Estimate { startup_cost, total_cost, rows, width: 0 }, wanted_rows);
            (Price { disabled, cost }, total_cost)
        };
        // Spilled, a hash join has no order.
        if !keys.is_empty() && !ordered {
            let straight = cost::hash_join(settings, l, right, keys.len(), rows, rows);
            let swaps = goal.is_none() && matches!(kind, JoinKind::Left | JoinKind::Semi | JoinKind::Anti);
            let swapped = cost::hash_join(settings, right, l, keys.len(), rows, rows);
            let costs = if swaps && swapped.1 < straight.1 { swapped } else { straight };
            let (price, total) = price(off(settings.enable_hashjoin), costs);
            ways.push((price, total, Way::Hash));
        }
        let merges = !ordered || is_sorted_by_keys(&left.order, keys, &|key| &key.left);
        if can_merge(kind, keys) && merges {
            let mut disabled = off(settings.enable_mergejoin);
            let mut sorted = |estimate: Estimate, have: &[OrderKey], side: &dyn Fn(&EquiKey) -> &Expr| {
                if is_sorted_by_keys(have, keys, side) {
                    return estimate;
                }
                disabled += off(settings.enable_sort);
                Estimate { rows: estimate.rows, ..cost::sort(settings, estimate, None) }
            };
            let outer = sorted(l, &left.order, &|key| &key.left);
            let inner = sorted(right, right_order, &|key| &key.right);
            let (price, total) = price(disabled, cost::merge_join(settings, outer, inner, keys.len(), rows));
            ways.push((price, total, Way::Merge));
        }
        if !matches!(kind, JoinKind::Full | JoinKind::Right | JoinKind::AntiNullAware) {
            let kept = Estimate {
                total_cost: right.total_cost + 2.0 * settings.cpu_operator_cost * right.rows,
                ..right
            };
            let qual = on.iter().map(super::scan::expr_cost).sum::<f64>() * settings.cpu_operator_cost;
            let rescan = right.rows * settings.cpu_operator_cost;
            let qual = qual.max(settings.cpu_operator_cost);
            let (price, total) = price(
                off(settings.enable_nestloop),
                cost::nested_loop(settings, l, kept, rescan, qual, rows),
            );
            ways.push((price, total, Way::Loop));
        }
        ways.sort_by(|(a, ..), (b, ..)| a.disabled.cmp(&b.disabled).then(a.cost.total_cmp(&b.cost)));
        ways
    }

    /// Rows of an outer, semi or anti join.
    fn outer_rows(&self, kind: JoinKind, left: Estimate, right: f64, on: &[Expr]) -> f64 {
        let selectivity = self.selectivity_of_all(on, left.rows.max(right));
        let pairs = left.rows * right * selectivity;
        let rows = match kind {
            JoinKind::Inner => pairs,
            JoinKind::Left => pairs.max(left.rows),
            JoinKind::Right => pairs.max(right),
            JoinKind::Full => pairs.max(left.rows).max(right),
            JoinKind::Semi => left.rows * (right * selectivity).min(1.0),
            JoinKind::Anti | JoinKind::AntiNullAware => {
                left.rows * (1.0 - (right * selectivity).min(1.0)).max(0.1)
            }
            JoinKind::Mark(_) => left.rows,
        };
        rows.max(1.0).round()
    }

    fn join_width(&self, kind: JoinKind, left: &Node, right: &Node) -> u32 {
        left.plan.estimate.width + if kind.keeps_right() { right.plan.estimate.width } else { 0 }
    }

    /// Keeps a node's rows for rescans.
    fn materialize(&self, node: Node) -> Node {
        let keeps = matches!(node.plan.node, PlanNode::Materialize(_) | PlanNode::CteScan(_));
        if keeps || !self.settings().enable_material {
            return node;
        }
        let input = node.plan.estimate;
        let estimate = Estimate {
            total_cost: input.total_cost + 2.0 * self.settings().cpu_operator_cost * input.rows,
            ..input
        };
        let columns = node.plan.columns.clone();
        let plan = PhysicalPlan {
            node: PlanNode::Materialize(MaterializePlan { input: Arc::new(node.plan) }),
            columns,
            estimate,
        };
        Node { plan, ids: node.ids, order: node.order, unique: node.unique }
    }

    /// Keeps the rows of an inner side by the values that it takes from the outer one, where few of them come often. The
    /// choice of the join does not count on it: what a loop takes for each outer row stays.
    fn memoize(
        &self,
        kind: JoinKind,
        outer: &Node,
        inner: Node,
        parameters: &[SlotAssignment],
    ) -> Result<Node> {
        let settings = self.settings();
        let single_row = matches!(&inner.plan.node, PlanNode::IndexScan(scan) if scan.unique_match);
        // Other joins leave the inner side before its end, so that its rows would not be known as a whole.
        let reads_all = matches!(kind, JoinKind::Inner | JoinKind::Left) || single_row;
        if !settings.enable_memoize || parameters.is_empty() || !reads_all || !is_repeatable(&inner.plan) {
            return Ok(inner);
        }
        let calls = outer.rows();
        let mut distinct = 1.0;
        for parameter in parameters {
            let Expr::Column { index, .. } = &parameter.value else { return Ok(inner) };
            match self.known_distinct_values(outer.ids[*index], calls) {
                Some(values) => distinct *= values,
                None => return Ok(inner),
            }
        }
        let input = inner.plan.estimate;
        let (startup_cost, total_cost) = cost::memoize(settings, input, calls, distinct);
        if total_cost >= input.total_cost || calls < 2.0 {
            return Ok(inner);
        }
        let binary = !matches!(
            &inner.plan.node,
            PlanNode::IndexScan(_) | PlanNode::BitmapScan(_) | PlanNode::Append(_)
        );
        let keys = parameters
            .iter()
            .map(|parameter| Expr::Correlated { slot: parameter.slot, ty: parameter.value.ty() })
            .collect();
        let columns = inner.plan.columns.clone();
        let estimate = Estimate { startup_cost, total_cost, ..input };
        let node = PlanNode::Memoize(MemoizePlan { input: Arc::new(inner.plan), keys, single_row, binary });
        Ok(Node { plan: PhysicalPlan { node, columns, estimate }, ..inner })
    }

    /// What an inner side took from the outer one since `mark`.
    fn take_parameters(&mut self, mark: usize, outer: &[ColumnId]) -> Result<Vec<SlotAssignment>> {
        let mut parameters: Vec<SlotAssignment> = Vec::new();
        let used: Vec<ColumnId> = self.outside[mark..].to_vec();
        for id in used {
            let Some(index) = outer.iter().position(|known| *known == id) else { continue };
            let slot = self.slot_of(id)?;
            if !parameters.iter().any(|known| known.slot == slot) {
                let value = Expr::Column { index, ty: self.columns[id].ty };
                parameters.push(SlotAssignment { slot, value });
            }
        }
        Ok(parameters)
    }

    /// A join whose right side mentions columns of the left one.
    fn build_lateral(
        &mut self,
        kind: JoinKind,
        left: Node,
        right: &Logical,
        needed: &IdSet,
        on: &[Expr],
    ) -> Result<Node> {
        if matches!(kind, JoinKind::Right | JoinKind::Full) {
            return Err(Error::unsupported("LATERAL on the nullable side of this join"));
        }
        let mark = self.outside.len();
        let inner = self.plan_node(right, needed, &Wanted::default())?;
        let parameters = self.take_parameters(mark, &left.ids)?;
        let rows = self.outer_rows(kind, left.plan.estimate, inner.rows(), on);
        let (startup_cost, total_cost) = cost::nested_loop(
            self.settings(),
            left.plan.estimate,
            inner.plan.estimate,
            inner.cost(),
            self.settings().cpu_operator_cost,
            rows,
        );
        let estimate =
            Estimate { startup_cost, total_cost, rows, width: self.join_width(kind, &left, &inner) };
        let condition = if on.is_empty() { None } else { Some(Expr::and(on.iter().cloned())) };
        self.build_loop(kind, left, inner, parameters, condition, estimate)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of a join")]
    fn build_loop(
        &mut self,
        kind: JoinKind,
        outer: Node,
        inner: Node,
        parameters: Vec<SlotAssignment>,
        condition: Option<Expr>,
        estimate: Estimate,
    ) -> Result<Node> {
        let inner_unique = matches!(&inner.plan.node, PlanNode::IndexScan(scan) if scan.unique_match);
        let inner = self.memoize(kind, &outer, inner, &parameters)?;
        let mut both = outer.ids.clone();
        both.extend(&inner.ids);
        let condition = condition.map(|condition| self.resolve(&condition, &both)).transpose()?;
        let (join, ids) = join_output(kind, &outer.ids, both)?;
        let columns = self.output_columns(&ids);
        let unique = if inner_unique || !kind.keeps_right() { outer.unique } else { Vec::new() };
        let plan = PhysicalPlan {
            node: PlanNode::NestedLoop(NestedLoopJoin {
                join,
                outer: Arc::new(outer.plan),
                inner: Arc::new(inner.plan),
                parameters,
                condition,
                filter: None,
                inner_unique,
            }),
            columns,
            estimate,
        };
        Ok(Node { plan, ids, order: outer.order, unique })
    }

    /// An outer, semi or anti join by hashing, with the cheaper side as the build side.
    #[allow(clippy::too_many_arguments, reason = "the parts of a join")]
    fn build_hash_of(
        &mut self,
        kind: JoinKind,
        left: Node,
        right: Node,
        keys: Vec<EquiKey>,
        residual: Vec<Expr>,
        rows: f64,
        required: &IdSet,
    ) -> Result<Node> {
        let straight = straight_hash(kind);
        let swapped = match kind {
            JoinKind::Inner => Some(JoinType::Inner),
            JoinKind::Left => Some(JoinType::Right),
            JoinKind::Right => Some(JoinType::Left),
            JoinKind::Semi => Some(JoinType::RightSemi),
            JoinKind::Anti => Some(JoinType::RightAnti),
            JoinKind::Full | JoinKind::AntiNullAware | JoinKind::Mark(_) => None,
        };
        let mark = if let JoinKind::Mark(id) = kind { Some(id) } else { None };
        let (l, r) = (left.plan.estimate, right.plan.estimate);
        let cost_of = |outer, inner| cost::hash_join(self.settings(), outer, inner, keys.len(), rows, rows).1;
        match swapped {
            Some(join) if cost_of(r, l) < cost_of(l, r) => {
                let swap = |key: EquiKey| EquiKey { left: key.right, right: key.left, ..key };
                let keys = keys.into_iter().map(swap).collect();
                self.build_hash(join, right, left, keys, residual, rows, mark, required)
            }
            _ => self.build_hash(straight, left, right, keys, residual, rows, mark, required),
        }
    }

    /// A hash join of which the needed columns come out; `mark` is the id of a mark join's answer.
    #[allow(clippy::too_many_arguments, reason = "the parts of a join")]
    fn build_hash(
        &mut self,
        join: JoinType,
        outer: Node,
        inner: Node,
        keys: Vec<EquiKey>,
        residual: Vec<Expr>,
        rows: f64,
        mark: Option<ColumnId>,
        needed: &IdSet,
    ) -> Result<Node> {
        let settings = self.settings();
        let (startup_cost, total_cost) =
            cost::hash_join(settings, outer.plan.estimate, inner.plan.estimate, keys.len(), rows, rows);
        let mut outer_keys = Vec::with_capacity(keys.len());
        let mut inner_keys = Vec::with_capacity(keys.len());
        let mut null_safe = Vec::with_capacity(keys.len());
        let inner_unique = is_unique_by(&inner, &keys);
        for key in keys {
            outer_keys.push(self.resolve(&key.left, &outer.ids)?);
            inner_keys.push(self.resolve(&key.right, &inner.ids)?);
            null_safe.push(key.null_safe);
        }
        let mut both = outer.ids.clone();
        both.extend(&inner.ids);
        let residual =
            if residual.is_empty() { None } else { Some(self.resolve(&Expr::and(residual), &both)?) };
        let all = match join {
            JoinType::Semi | JoinType::Anti | JoinType::AntiNullAware => outer.ids.clone(),
            JoinType::RightSemi | JoinType::RightAnti => inner.ids.clone(),
            JoinType::Mark => outer.ids.iter().copied().chain(mark).collect(),
            _ => both,
        };
        let output: Vec<usize> =
            (0..all.len()).filter(|i| needed.contains(all[*i]) || Some(all[*i]) == mark).collect();
        let ids: Vec<ColumnId> = output.iter().map(|i| all[*i]).collect();
        let columns = self.output_columns(&ids);
        let unique = match join {
            JoinType::Semi | JoinType::Anti | JoinType::AntiNullAware => outer.unique,
            JoinType::RightSemi | JoinType::RightAnti => inner.unique,
            JoinType::Inner | JoinType::Left if inner_unique => outer.unique,
            _ => Vec::new(),
        };
        let unique = unique.into_iter().filter(|set| set.iter().all(|id| ids.contains(id))).collect();
        let estimate = Estimate { startup_cost, total_cost, rows, width: self.width_of(&ids) };
        let plan = PhysicalPlan {
            node: PlanNode::HashJoin(HashJoinPlan {
                join,
                outer: Arc::new(outer.plan),
                inner: Arc::new(inner.plan),
                outer_keys,
                inner_keys,
                null_safe,
                residual,
                output,
                inner_unique,
                null_aware_mark: mark.is_some(),
                shared: false,
                shares_inner: false,
            }),
            columns,
            estimate,
        };
        // A hash join that spills loses the outer order, so none is promised.
        Ok(Node { plan, ids, order: Vec::new(), unique })
    }

    /// The equalities between two sides among conditions, and the rest.
    fn equi_keys(
        &self,
        conditions: &[Expr],
        left: &[ColumnId],
        right: &Logical,
    ) -> Result<(Vec<EquiKey>, Vec<Expr>)> {
        let left = IdSet::of(left.iter().copied());
        let right = crate::walk::produced(right, &self.tables);
        Ok(self.split_keys(conditions, &left, &right))
    }

    fn split_keys(&self, conditions: &[Expr], left: &IdSet, right: &IdSet) -> (Vec<EquiKey>, Vec<Expr>) {
        let mut keys = Vec::new();
        let mut rest = Vec::new();
        for condition in conditions {
            let (pair, null_safe) = match condition {
                Expr::IsDistinct { equal, left, right, negated: true }
                    if operation_of(equal.oid) == Some(Operation::Equal) =>
                {
                    (Some((&**left, &**right)), true)
                }
                other => match comparison_of(other) {
                    Some((Operation::Equal, l, r)) => (Some((l, r)), false),
                    _ => (None, false),
                },
            };
            let key = pair.and_then(|(l, r)| {
                let side = |expr: &Expr| {
                    if super::node::has_subplan(expr) {
                        return None;
                    }
                    let ids = IdSet::of(expr.columns());
                    if ids.is_empty() {
                        return None;
                    }
                    if ids.is_subset(left) {
                        Some(false)
                    } else if ids.is_subset(right) {
                        Some(true)
                    } else {
                        None
                    }
                };
                match (side(l)?, side(r)?) {
                    (false, true) => same_type(l, r),
                    (true, false) => same_type(l, r).map(|(l, r)| (r, l)),
                    _ => None,
                }
            });
            match key {
                Some((left, right)) => keys.push(EquiKey { left, right, null_safe }),
                None => rest.push(condition.clone()),
            }
        }
        (keys, rest)
    }

    // Clusters of inner joins.

    fn plan_cluster(
        &mut self,
        plan: &Logical,
        predicates: &[Expr],
        required: &IdSet,
        wanted: &Wanted,
    ) -> Result<Node> {
        let mut leaves: Vec<&Logical> = Vec::new();
        let mut conditions: Vec<Expr> = predicates.to_vec();
        flatten(plan, &mut leaves, &mut conditions);
        if leaves.len() > MAX_RELATIONS {
            return Err(Error::unsupported("a join of more than 64 relations"));
        }
        let free: Vec<IdSet> =
            leaves.iter().map(|leaf| crate::walk::free_columns(leaf, self.parts())).collect();
        let mut relations: Vec<Relation<'_>> = leaves
            .iter()
            .zip(&free)
            .map(|(leaf, free)| {
                // A lateral item may hand on columns of others under their own ids: they are the others'.
                let mut ids = crate::walk::produced(leaf, &self.tables);
                ids.remove_all(free);
                Relation { plan: leaf, ids, local: Vec::new(), needs: 0, node: None, rows: 1.0, width: 0 }
            })
            .collect();
        let needs: Vec<Mask> = free
            .iter()
            .map(|free| {
                let others = relations.iter().enumerate().filter(|(_, other)| free.intersects(&other.ids));
                others.fold(0, |mask: Mask, (j, _)| mask | 1 << j)
            })
            .collect();
        for (relation, needs) in relations.iter_mut().zip(needs) {
            relation.needs = needs;
        }
        let mut spanning: Vec<(Expr, Mask, IdSet)> = Vec::new();
        let mut needed = required.clone();
        let mut gates = Vec::new();
        for expr in conditions {
            let mut ids = IdSet::default();
            crate::walk::mentioned(&expr, self.parts(), &mut ids);
            let mask = (0..relations.len())
                .filter(|i| ids.intersects(&relations[*i].ids))
                .fold(0, |mask: Mask, i| mask | 1 << i);
            if mask.count_ones() == 1 {
                relations[mask.trailing_zeros() as usize].local.push(expr);
            } else if mask == 0 && self.is_gate(&expr, &IdSet::default()) {
                gates.push(expr);
            } else if mask == 0 {
                relations[0].local.push(expr);
            } else {
                needed.extend(&ids);
                spanning.push((expr, mask, ids));
            }
        }
        // What laterals mention must come out of the others.
        let mut lateral = IdSet::default();
        for relation in relations.iter().filter(|relation| relation.needs != 0) {
            lateral.extend(&crate::walk::free_columns(relation.plan, self.parts()));
        }
        needed.extend(&lateral);
        for relation in &mut relations {
            if relation.needs != 0 {
                relation.rows = 10.0;
                relation.width = 32;
                continue;
            }
            let local = std::mem::take(&mut relation.local);
            let node = self.plan_relation(relation.plan, &local, &needed, &Wanted::default())?;
            relation.local = local;
            relation.rows = node.rows();
            relation.width = node.plan.estimate.width;
            relation.node = Some(node);
        }
        if let [relation] = relations.as_mut_slice()
            && let Some(node) = relation.node.take()
        {
            return self.add_gate(node, &gates);
        }
        let graph = self.join_graph(&relations, spanning);
        let planned = self.ordered_relations(&relations, &graph, &needed, wanted)?;
        let (memo, streams) = self.order_cluster(&relations, &graph, &needed, wanted, planned)?;
        let mut above = required.clone();
        above.extend(&lateral);
        let all = (0..relations.len()).fold(0, |mask: Mask, i| mask | 1 << i);
        let mut cluster = Cluster { relations, graph, memo, streams, needed, above };
        let agrees = self.streams_pay(&cluster, all, wanted);
        let mut node = self.build_set(&mut cluster, all, agrees.is_some())?;
        if let Some(agrees) = agrees.filter(|agrees| node.order.len() >= *agrees) {
            // The columns that the rows come sorted by are equal to these.
            node.order = wanted.order[..agrees].to_vec();
        }
        self.add_gate(node, &gates)
    }

    fn plan_relation(
        &mut self,
        plan: &Logical,
        local: &[Expr],
        needed: &IdSet,
        wanted: &Wanted,
    ) -> Result<Node> {
        if local.is_empty() {
            return self.plan_node(plan, needed, wanted);
        }
        let filtered = Logical::Filter { input: Box::new(plan.clone()), predicates: local.to_vec() };
        self.plan_node(&filtered, needed, wanted)
    }

    /// Relations that are no tables, planned once more so that their rows come in the wanted order.
    fn ordered_relations(
        &mut self,
        relations: &[Relation<'_>],
        graph: &JoinGraph,
        needed: &IdSet,
        wanted: &Wanted,
    ) -> Result<HashMap<usize, Node>> {
        let mut planned = HashMap::new();
        let Some(first) = wanted.order.first() else { return Ok(planned) };
        for (i, relation) in relations.iter().enumerate() {
            let own = if relation.ids.contains(first.id) {
                Some(first.id)
            } else {
                graph.equal_column(first.id, i)
            };
            let (Some(own), None, 0) = (own, base_table(relation.plan), relation.needs) else { continue };
            let goal = Wanted { order: vec![OrderKey { id: own, ..*first }], rows: wanted.rows };
            let mark = self.outside.len();
            let node = self.plan_relation(relation.plan, &relation.local, needed, &goal)?;
            if agreeing(&node.order, &goal.order) > 0 {
                planned.insert(i, node);
            } else {
                self.outside.truncate(mark);
            }
        }
        Ok(planned)
    }

    /// Whether a cluster's rows are better made as they come for what is wanted, and how many keys of the order they have.
    fn streams_pay(&self, cluster: &Cluster<'_>, all: Mask, wanted: &Wanted) -> Option<usize> {
        let (stream, whole) = (cluster.streams.step(all)?, cluster.memo.get(all)?);
        let streaming = self.price_of_step(&stream.step, &wanted.order[..stream.agrees], wanted);
        streaming.is_below(self.price_of_step(whole, &[], wanted)).then_some(stream.agrees)
    }

    /// Builds a plan of a set of a cluster's relations: the cheapest, or the one that streams.
    fn build_set(&mut self, cluster: &mut Cluster<'_>, set: Mask, streams: bool) -> Result<Node> {
        stacker::maybe_grow(
            ochre_base::limits::STACK_RED_ZONE_BYTES,
            ochre_base::limits::STACK_GROWTH_BYTES,
            || self.build_step(cluster, set, streams),
        )
    }

    /// A relation that the others are joined to as its rows come.
    fn build_driver(&mut self, cluster: &mut Cluster<'_>, relation: usize) -> Result<Node> {
        match cluster.streams.drivers.remove(&relation) {
            Some(Driver::Node(node)) => Ok(*node),
            Some(Driver::Scan(path)) => self.build_path(cluster, relation, *path),
            None => Err(Error::internal("a relation is joined twice")),
        }
    }

    /// A relation that is a table, read by a path.
    fn build_path(&mut self, cluster: &Cluster<'_>, relation: usize, path: ScanPath) -> Result<Node> {
        let relation = &cluster.relations[relation];
        let Some((table, mut predicates)) = base_table(relation.plan) else {
            return Err(Error::internal("a path of what is no table"));
        };
        predicates.extend(relation.local.iter().cloned());
        self.build_scan(table, &predicates, &cluster.needed, path)
    }

    /// A merge join of a side that comes in the order of a key with a relation that an index gives in that order.
    fn build_merge_by_index(
        &mut self,
        cluster: &Cluster<'_>,
        outer: Node,
        step: Step,
        exprs: Vec<Expr>,
    ) -> Result<Node> {
        let missing = || Error::internal("a merge join without an order");
        let first = *outer.order.first().ok_or_else(missing)?;
        let relation = step.inner.trailing_zeros() as usize;
        let key = cluster.graph.merge_key(step.outer, relation, first.id).ok_or_else(missing)?;
        let goal = Wanted { order: vec![OrderKey { id: key, ..first }], rows: None };
        let found = self.ordered_path(&cluster.relations[relation], &cluster.needed, &goal);
        let (path, _) = found.filter(|(_, agrees)| *agrees > 0).ok_or_else(missing)?;
        let inner = self.build_path(cluster, relation, path)?;
        let (left, right) = (IdSet::of(outer.ids.clone()), IdSet::of(inner.ids.clone()));
        let (_, residual) = self.split_keys(&exprs, &left, &right);
        let column = |id: ColumnId| Expr::Column { index: id, ty: self.columns[id].ty };
        let keys = vec![EquiKey { left: column(first.id), right: column(key), null_safe: false }];
        self.build_merge(JoinKind::Inner, outer, inner, keys, residual, step.estimate)
    }

    fn build_step(&mut self, cluster: &mut Cluster<'_>, set: Mask, streams: bool) -> Result<Node> {
        let stream = cluster.streams.step(set).filter(|_| streams);
        let Some(step) = stream.map(|stream| stream.step).or(cluster.memo.get(set).copied()) else {
            return Err(Error::internal("a join was ordered but not planned"));
        };
        if step.method == Method::Single {
            let single = set.trailing_zeros() as usize;
            if stream.is_some() {
                return self.build_driver(cluster, single);
            }
            let node = cluster.relations[single].node.take();
            return node.ok_or_else(|| Error::internal("a relation is joined twice"));
        }
        let outer = self.build_set(cluster, step.outer, streams)?;
        let exprs = cluster.graph.exprs_between(step.outer, step.inner);
        let estimate = step.estimate;
        let mut needed = cluster.above.clone();
        cluster.graph.needed_outside(set, &mut needed);
        let single = step.inner.trailing_zeros() as usize;
        match step.method {
            Method::Single => Err(Error::internal("a join of one relation")),
            Method::Lateral => {
                let relation = &mut cluster.relations[single];
                let local = std::mem::take(&mut relation.local);
                let right = if local.is_empty() {
                    relation.plan.clone()
                } else {
                    Logical::Filter { input: Box::new(relation.plan.clone()), predicates: local }
                };
                self.build_lateral(JoinKind::Inner, outer, &right, &cluster.needed, &exprs)
            }
            Method::Index => {
                let relation = &cluster.relations[single];
                if let Some((inputs, mut all)) = relation_set(relation.plan) {
                    all.extend(relation.local.iter().cloned());
                    all.extend(exprs);
                    let pushed = Logical::Append(Box::new(pushed_into(inputs, &all)));
                    let mark = self.outside.len();
                    let inner = self.plan_node(&pushed, &needed, &Wanted::default())?;
                    let parameters = self.take_parameters(mark, &outer.ids)?;
                    return self.build_loop(JoinKind::Inner, outer, inner, parameters, None, estimate);
                }
                let path = self.parameterised_path(relation, &exprs, &cluster.needed, outer.rows());
                let (Some(path), Some((table, mut all))) = (path, base_table(relation.plan)) else {
                    // With exactly so many runs the index is not worth it after all.
                    let inner = self.build_set(cluster, step.inner, false)?;
                    if stream.is_some() {
                        return self.build_kept_loop(outer, inner, exprs, estimate);
                    }
                    return self.build_hash_or_loop(outer, inner, exprs, estimate, &needed);
                };
                all.extend(relation.local.iter().cloned());
                all.extend(exprs);
                let mark = self.outside.len();
                let inner = self.build_scan(table, &all, &needed, path)?;
                let parameters = self.take_parameters(mark, &outer.ids)?;
                self.build_loop(JoinKind::Inner, outer, inner, parameters, None, estimate)
            }
            Method::Loop => {
                let inner = self.build_set(cluster, step.inner, false)?;
                self.build_kept_loop(outer, inner, exprs, estimate)
            }
            Method::Hash => {
                let inner = self.build_set(cluster, step.inner, false)?;
                self.build_hash_or_loop(outer, inner, exprs, estimate, &needed)
            }
            Method::Merge if stream.is_some_and(|stream| stream.inner_by_index) => {
                self.build_merge_by_index(cluster, outer, step, exprs)
            }
            Method::Merge => {
                let inner = self.build_set(cluster, step.inner, false)?;
                let (left, right) = (IdSet::of(outer.ids.clone()), IdSet::of(inner.ids.clone()));
                let (keys, residual) = self.split_keys(&exprs, &left, &right);
                if !can_merge(JoinKind::Inner, &keys) {
                    return self.build_hash_or_loop(outer, inner, exprs, estimate, &needed);
                }
                self.build_merge(JoinKind::Inner, outer, inner, keys, residual, estimate)
            }
        }
    }

    /// A hash join, or a nested loop where nothing can be hashed.
    fn build_hash_or_loop(
        &mut self,
        outer: Node,
        inner: Node,
        exprs: Vec<Expr>,
        estimate: Estimate,
        needed: &IdSet,
    ) -> Result<Node> {
        let (keys, residual) = self.split_keys(
            &exprs,
            &IdSet::of(outer.ids.iter().copied()),
            &IdSet::of(inner.ids.iter().copied()),
        );
        if !keys.is_empty() {
            let rows = estimate.rows;
            return self.build_hash(JoinType::Inner, outer, inner, keys, residual, rows, None, needed);
        }
        self.build_kept_loop(outer, inner, exprs, estimate)
    }

    /// A nested loop over the kept rows of the inner side.
    fn build_kept_loop(
        &mut self,
        outer: Node,
        inner: Node,
        exprs: Vec<Expr>,
        estimate: Estimate,
    ) -> Result<Node> {
        let inner = self.materialize(inner);
        let condition = if exprs.is_empty() { None } else { Some(Expr::and(exprs)) };
        self.build_loop(JoinKind::Inner, outer, inner, Vec::new(), condition, estimate)
    }

    /// A join of two sides that are brought into the order of the keys.
    fn build_merge(
        &mut self,
        kind: JoinKind,
        left: Node,
        right: Node,
        keys: Vec<EquiKey>,
        residual: Vec<Expr>,
        estimate: Estimate,
    ) -> Result<Node> {
        let sorted = |builder: &mut Self, node: Node, side: &dyn Fn(&EquiKey) -> &Expr| {
            if is_sorted_by_keys(&node.order, &keys, side) {
                return Ok(node);
            }
            let order: Vec<Ordering> = keys
                .iter()
                .map(|key| Ordering { expr: side(key).clone(), descending: false, nulls_first: false })
                .collect();
            builder.add_sort(node, &order, None)
        };
        let left = sorted(self, left, &|key| &key.left)?;
        let right = sorted(self, right, &|key| &key.right)?;
        let inner_unique = is_unique_by(&right, &keys);
        let mut outer_keys = Vec::with_capacity(keys.len());
        let mut inner_keys = Vec::with_capacity(keys.len());
        for key in &keys {
            outer_keys.push(self.resolve(&key.left, &left.ids)?);
            inner_keys.push(self.resolve(&key.right, &right.ids)?);
        }
        let mut both = left.ids.clone();
        both.extend(&right.ids);
        let residual =
            if residual.is_empty() { None } else { Some(self.resolve(&Expr::and(residual), &both)?) };
        let (join, ids) = join_output(kind, &left.ids, both)?;
        let columns = self.output_columns(&ids);
        let keeps_outer_order =
            matches!(join, JoinType::Inner | JoinType::Left | JoinType::Semi | JoinType::Anti);
        let unique = match join {
            JoinType::Semi | JoinType::Anti => left.unique,
            JoinType::Inner | JoinType::Left if inner_unique => left.unique,
            _ => Vec::new(),
        };
        let order = if keeps_outer_order { left.order } else { Vec::new() };
        let plan = PhysicalPlan {
            node: PlanNode::MergeJoin(MergeJoinPlan {
                join,
                outer: Arc::new(left.plan),
                inner: Arc::new(right.plan),
                order: vec![(false, false); keys.len()],
                outer_keys,
                inner_keys,
                residual,
                filter: None,
                inner_unique,
            }),
            columns,
            estimate,
        };
        Ok(Node { plan, ids, order, unique })
    }
}

/// Whether sides sorted by the keys can be merged: NULLs match nothing there, and the keys must have an order.
fn can_merge(kind: JoinKind, keys: &[EquiKey]) -> bool {
    let fits = matches!(
        kind,
        JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full | JoinKind::Semi | JoinKind::Anti
    );
    let ordered = |key: &EquiKey| {
        !key.null_safe
            && key.left.ty().order() == key.right.ty().order()
            && ochre_expr::btree_comparison(key.left.ty().oid).is_some()
    };
    fits && !keys.is_empty() && keys.iter().all(ordered)
}

/// Whether rows of an order come in that of the keys.
fn is_sorted_by_keys(have: &[OrderKey], keys: &[EquiKey], side: &dyn Fn(&EquiKey) -> &Expr) -> bool {
    have.len() >= keys.len()
        && keys.iter().zip(have).all(|(key, have)| {
            let is_column = matches!(side(key), Expr::Column { index, .. } if *index == have.id);
            is_column && !have.descending && !have.nulls_first
        })
}

/// Whether no two rows of the inner side have equal keys.
fn is_unique_by(inner: &Node, keys: &[EquiKey]) -> bool {
    let columns: Vec<ColumnId> = keys
        .iter()
        .filter_map(|key| match &key.right {
            Expr::Column { index, .. } => Some(*index),
            _ => None,
        })
        .collect();
    inner.unique.iter().any(|set| set.iter().all(|id| columns.contains(id)))
}

/// Whether a plan gives the same rows whenever it is run with the same values within a statement.
fn is_repeatable(plan: &PhysicalPlan) -> bool {
    let known = match &plan.node {
        PlanNode::SeqScan(scan) => scan.sample.is_none(),
        PlanNode::IndexScan(_)
        | PlanNode::BitmapScan(_)
        | PlanNode::MinMaxIndex(_)
        | PlanNode::Result(_)
        | PlanNode::Filter(_)
        | PlanNode::Gate(_)
        | PlanNode::Project(_)
        | PlanNode::Aggregate(_)
        | PlanNode::Sort(_)
        | PlanNode::Limit(_)
        | PlanNode::Append(_)
        | PlanNode::Unique(_)
        | PlanNode::Distinct(_)
        | PlanNode::NestedLoop(_)
        | PlanNode::HashJoin(_) => true,
        _ => false,
    };
    let mut repeats = known;
    crate::physical::each_expr(plan, &mut |expr| {
        repeats &= expr.volatility() != Volatility::Volatile && !super::node::has_subplan(expr);
    });
    repeats && plan.children().into_iter().all(|child| is_repeatable(child))
}

/// The hash join whose outer side is the left one.
fn straight_hash(kind: JoinKind) -> JoinType {
    match kind {
        JoinKind::Inner => JoinType::Inner,
        JoinKind::Left => JoinType::Left,
        JoinKind::Right => JoinType::Right,
        JoinKind::Full => JoinType::Full,
        JoinKind::Semi => JoinType::Semi,
        JoinKind::Anti => JoinType::Anti,
        JoinKind::AntiNullAware => JoinType::AntiNullAware,
        JoinKind::Mark(_) => JoinType::Mark,
    }
}

/// How two sides can be joined in one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Hash,
    Merge,
    /// A nested loop over the kept rows of the inner side.
    Loop,
}

/// Splits a tree of inner joins (and filters between them) into relations and conditions.
fn flatten<'p>(plan: &'p Logical, leaves: &mut Vec<&'p Logical>, conditions: &mut Vec<Expr>) {
    match plan {
        Logical::Join(join) if join.kind == JoinKind::Inner => {
            conditions.extend(join.on.iter().cloned());
            flatten(&join.left, leaves, conditions);
            flatten(&join.right, leaves, conditions);
        }
        Logical::Filter { input, predicates } if matches!(&**input, Logical::Join(join) if join.kind == JoinKind::Inner) =>
        {
            conditions.extend(predicates.iter().cloned());
            flatten(input, leaves, conditions);
        }
        other => leaves.push(other),
    }
}

/// A table with the conditions on it.
pub(super) fn base_table(plan: &Logical) -> Option<(TableId, Vec<Expr>)> {
    match plan {
        Logical::Get(table) => Some((*table, Vec::new())),
        Logical::Filter { input, predicates } => {
            let (table, mut all) = base_table(input)?;
            all.extend(predicates.iter().cloned());
            Some((table, all))
        }
        _ => None,
    }
}

fn join_output(kind: JoinKind, outer: &[ColumnId], both: Vec<ColumnId>) -> Result<(JoinType, Vec<ColumnId>)> {
    let left_only = || outer.to_vec();
    Ok(match kind {
        JoinKind::Inner => (JoinType::Inner, both),
        JoinKind::Left => (JoinType::Left, both),
        JoinKind::Right => (JoinType::Right, both),
        JoinKind::Full => (JoinType::Full, both),
        JoinKind::Semi => (JoinType::Semi, left_only()),
        JoinKind::Anti => (JoinType::Anti, left_only()),
        JoinKind::AntiNullAware => (JoinType::AntiNullAware, left_only()),
        JoinKind::Mark(id) => {
            let mut ids = left_only();
            ids.push(id);
            (JoinType::Mark, ids)
        }
    })
}

/// Both sides of an equality in one type, where that changes no answer.
fn same_type(left: &Expr, right: &Expr) -> Option<(Expr, Expr)> {
    let (l, r) = (left.ty(), right.ty());
    if l.oid == r.oid {
        return Some((left.clone(), right.clone()));
    }
    let is_text = |ty: SqlType| matches!(ty.oid, oids::TEXT | oids::VARCHAR | oids::NAME);
    if is_text(l) && is_text(r) {
        return Some((left.clone(), right.clone()));
    }
    let rank = |ty: SqlType| match ty.oid {
        oids::INT2 => Some((0, 1)),
        oids::INT4 => Some((0, 2)),
        oids::INT8 => Some((0, 3)),
        oids::FLOAT4 => Some((1, 1)),
        oids::FLOAT8 => Some((1, 2)),
        _ => None,
    };
    let ((a, x), (b, y)) = (rank(l)?, rank(r)?);
    if a != b {
        return None;
    }
    let widen = |expr: &Expr, ty: SqlType| -> Option<Expr> {
        let info = ochre_expr::cast(expr.ty().oid, ty.oid)?;
        let CastMethod::Function(function) = info.method else { return None };
        Some(Expr::Cast {
            arg: Box::new(expr.clone()),
            kind: CastKind::Function { function: function.into(), explicit: false },
            ty: ty.with_typmod(-1),
            pos: ochre_expr::SourcePos::NONE,
        })
    };
    if x < y { Some((widen(left, r)?, right.clone())) } else { Some((left.clone(), widen(right, l)?)) }
}
