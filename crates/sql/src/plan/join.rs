//! Joins: in which order, and how each.
//!
//! Inner joins that stand next to each other form a *cluster*: a set of relations and a set of conditions, whose order is
//! found by [`super::join_order`]. An outer, semi or anti join is a relation of the cluster around it.
//!
//! # Not done
//! Reordering across outer joins.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_expr::{CastKind, CastMethod, Expr};
use ochre_types::{Datum, SqlType, oids};

use super::index_match::{Operation, comparison_of, operation_of};
use super::join_order::{JoinGraph, MAX_RELATIONS, Mask, Memo, Method};
use super::scan::ScanPath;
use super::{Node, OrderKey, PlanBuilder, Price, Wanted, cost};
use crate::idset::IdSet;
use crate::logical::{ColumnId, Join, JoinKind, Logical, Ordering, TableId};
use crate::physical::{
    Estimate, HashJoinPlan, JoinType, MaterializePlan, MergeJoinPlan, NestedLoopJoin, PhysicalPlan, PlanNode,
    SlotAssignment,
};

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
    ) -> Result<Node> {
        if join.kind == JoinKind::Inner {
            return self.plan_cluster(plan, predicates, required);
        }
        let mut needed = required.clone();
        for predicate in predicates {
            crate::walk::mentioned(predicate, self.parts(), &mut needed);
        }
        let node = self.plan_two_sides(join, &needed)?;
        self.add_filter(node, predicates)
    }

    // Outer, semi and anti joins.

    fn plan_two_sides(&mut self, join: &Join, required: &IdSet) -> Result<Node> {
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
        let left_node = self.plan_node(left, &left_needed, &Wanted::default())?;
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
                let (_, loop_cost) = cost::nested_loop(
                    self.settings(),
                    left_node.plan.estimate,
                    path.estimate,
                    path.estimate.total_cost,
                    0.0,
                    rows,
                );
                let disabled = path.disabled + u32::from(!self.settings().enable_nestloop);
                let probing = Price { disabled, cost: loop_cost };
                let ways = self.ways(kind, &join.on, &keys, &left_node, plain.estimate, &[], rows);
                let other = ways
                    .first()
                    .map(|(price, _)| Price { disabled: price.disabled + plain.disabled, ..*price });
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
        let ways = self.ways(kind, &join.on, &keys, &left_node, right_node.plan.estimate, &right_order, rows);
        let width = self.join_width(kind, &left_node, &right_node);
        match ways.first() {
            Some((_, Way::Hash)) => {
                self.build_hash_of(kind, left_node, right_node, keys, residual, rows, required)
            }
            Some((price, Way::Merge)) => {
                let startup_cost = left_node.plan.estimate.startup_cost;
                let estimate = Estimate { startup_cost, total_cost: price.cost, rows, width };
                self.build_merge(kind, left_node, right_node, keys, residual, estimate)
            }
            Some((price, Way::Loop)) => {
                let inner = self.materialize(right_node);
                let condition =
                    if join.on.is_empty() { None } else { Some(Expr::and(join.on.iter().cloned())) };
                let startup_cost = left_node.plan.estimate.startup_cost + inner.plan.estimate.startup_cost;
                let estimate = Estimate { startup_cost, total_cost: price.cost, rows, width };
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
    ) -> Vec<(Price, Way)> {
        let settings = self.settings();
        let off = |on: bool| u32::from(!on);
        let l = left.plan.estimate;
        let mut ways = Vec::with_capacity(3);
        if !keys.is_empty() {
            let straight = cost::hash_join(settings, l, right, keys.len(), rows, rows).1;
            let swaps = matches!(kind, JoinKind::Left | JoinKind::Semi | JoinKind::Anti);
            let swapped = cost::hash_join(settings, right, l, keys.len(), rows, rows).1;
            let cost = if swaps { straight.min(swapped) } else { straight };
            ways.push((Price { disabled: off(settings.enable_hashjoin), cost }, Way::Hash));
        }
        if can_merge(kind, keys) {
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
            let (_, cost) = cost::merge_join(settings, outer, inner, keys.len(), rows);
            ways.push((Price { disabled, cost }, Way::Merge));
        }
        if !matches!(kind, JoinKind::Full | JoinKind::Right | JoinKind::AntiNullAware) {
            let kept = Estimate {
                total_cost: right.total_cost + 2.0 * settings.cpu_operator_cost * right.rows,
                ..right
            };
            let qual = on.iter().map(super::scan::expr_cost).sum::<f64>() * settings.cpu_operator_cost;
            let rescan = right.rows * settings.cpu_operator_cost;
            let (_, cost) =
                cost::nested_loop(settings, l, kept, rescan, qual.max(settings.cpu_operator_cost), rows);
            ways.push((Price { disabled: off(settings.enable_nestloop), cost }, Way::Loop));
        }
        ways.sort_by(|(a, _), (b, _)| a.disabled.cmp(&b.disabled).then(a.cost.total_cmp(&b.cost)));
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
        let mut both = outer.ids.clone();
        both.extend(&inner.ids);
        let condition = condition.map(|condition| self.resolve(&condition, &both)).transpose()?;
        let (join, ids) = join_output(kind, &outer.ids, both)?;
        let inner_unique = matches!(&inner.plan.node, PlanNode::IndexScan(scan) if scan.unique_match);
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
        let (straight, swapped) = match kind {
            JoinKind::Inner => (JoinType::Inner, Some(JoinType::Inner)),
            JoinKind::Left => (JoinType::Left, Some(JoinType::Right)),
            JoinKind::Right => (JoinType::Right, Some(JoinType::Left)),
            JoinKind::Full => (JoinType::Full, None),
            JoinKind::Semi => (JoinType::Semi, Some(JoinType::RightSemi)),
            JoinKind::Anti => (JoinType::Anti, Some(JoinType::RightAnti)),
            JoinKind::AntiNullAware => (JoinType::AntiNullAware, None),
            JoinKind::Mark(_) => (JoinType::Mark, None),
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

    fn plan_cluster(&mut self, plan: &Logical, predicates: &[Expr], required: &IdSet) -> Result<Node> {
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
        for expr in conditions {
            let mut ids = IdSet::default();
            crate::walk::mentioned(&expr, self.parts(), &mut ids);
            let mask = (0..relations.len())
                .filter(|i| ids.intersects(&relations[*i].ids))
                .fold(0, |mask: Mask, i| mask | 1 << i);
            if mask.count_ones() == 1 {
                relations[mask.trailing_zeros() as usize].local.push(expr);
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
            let node = self.plan_relation(relation.plan, &local, &needed)?;
            relation.local = local;
            relation.rows = node.rows();
            relation.width = node.plan.estimate.width;
            relation.node = Some(node);
        }
        if let [relation] = relations.as_mut_slice()
            && let Some(node) = relation.node.take()
        {
            return Ok(node);
        }
        let graph = self.join_graph(&relations, spanning);
        let memo = self.order_cluster(&relations, &graph, &needed)?;
        let mut above = required.clone();
        above.extend(&lateral);
        let all = (0..relations.len()).fold(0, |mask: Mask, i| mask | 1 << i);
        let mut cluster = Cluster { relations, graph, memo, needed, above };
        self.build_set(&mut cluster, all)
    }

    fn plan_relation(&mut self, plan: &Logical, local: &[Expr], needed: &IdSet) -> Result<Node> {
        if local.is_empty() {
            return self.plan_node(plan, needed, &Wanted::default());
        }
        let filtered = Logical::Filter { input: Box::new(plan.clone()), predicates: local.to_vec() };
        self.plan_node(&filtered, needed, &Wanted::default())
    }

    /// Builds the cheapest plan of a set of a cluster's relations.
    fn build_set(&mut self, cluster: &mut Cluster<'_>, set: Mask) -> Result<Node> {
        stacker::maybe_grow(
            ochre_base::limits::STACK_RED_ZONE_BYTES,
            ochre_base::limits::STACK_GROWTH_BYTES,
            || self.build_step(cluster, set),
        )
    }

    fn build_step(&mut self, cluster: &mut Cluster<'_>, set: Mask) -> Result<Node> {
        let Some(step) = cluster.memo.get(set).copied() else {
            return Err(Error::internal("a join was ordered but not planned"));
        };
        if step.method == Method::Single {
            let node = cluster.relations[set.trailing_zeros() as usize].node.take();
            return node.ok_or_else(|| Error::internal("a relation is joined twice"));
        }
        let outer = self.build_set(cluster, step.outer)?;
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
                let path = self.parameterised_path(relation, &exprs, &cluster.needed, outer.rows());
                let (Some(path), Some((table, mut all))) = (path, base_table(relation.plan)) else {
                    // With exactly so many runs the index is not worth it after all.
                    let inner = self.build_set(cluster, step.inner)?;
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
                let inner = self.build_set(cluster, step.inner)?;
                let inner = self.materialize(inner);
                let condition = if exprs.is_empty() { None } else { Some(Expr::and(exprs)) };
                self.build_loop(JoinKind::Inner, outer, inner, Vec::new(), condition, estimate)
            }
            Method::Hash => {
                let inner = self.build_set(cluster, step.inner)?;
                self.build_hash_or_loop(outer, inner, exprs, estimate, &needed)
            }
            Method::Merge => {
                let inner = self.build_set(cluster, step.inner)?;
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
