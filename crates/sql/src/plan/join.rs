//! Joins: in which order, and how each.
//!
//! Inner joins that stand next to each other form a *cluster*: a set of relations and a set of conditions. The order is
//! found by dynamic programming over subsets of relations (left-deep, either side as build side of a hash join) for up to
//! [`MAX_EXHAUSTIVE`] relations, greedily beyond. An outer, semi or anti join is a relation of the cluster around it.
//!
//! # Not done
//! Bushy orders, reordering across outer joins.

use std::sync::Arc;

use hashbrown::HashMap;
use ochre_base::{Error, Result, SqlState};
use ochre_expr::{CastKind, CastMethod, Expr};
use ochre_types::{SqlType, oids};

use super::index_match::{Operation, comparison_of, operation_of};
use super::scan::{ScanPath, expr_cost};
use super::settings::DISABLED_COST;
use super::{Node, PlanBuilder, Wanted, cost};
use crate::idset::IdSet;
use crate::logical::{ColumnId, Join, JoinKind, Logical, Ordering, TableId};
use crate::physical::{
    Estimate, HashJoinPlan, JoinType, MaterializePlan, MergeJoinPlan, NestedLoopJoin, PhysicalPlan, PlanNode,
    SlotAssignment,
};

/// Clusters of more relations are ordered greedily.
const MAX_EXHAUSTIVE: usize = 12;

/// A relation of a cluster.
struct Relation<'p> {
    plan: &'p Logical,
    /// Ids it produces.
    ids: IdSet,
    /// Conditions on it alone.
    local: Vec<Expr>,
    /// Relations that it mentions (LATERAL), as a bit mask.
    needs: u32,
    /// The relation planned by itself; none for one that needs others.
    node: Option<Node>,
    /// Rows after its own conditions.
    rows: f64,
    width: u32,
}

/// A condition that spans relations.
struct Condition {
    expr: Expr,
    /// The relations it mentions.
    mask: u32,
}

/// A way to join a set of relations: the last step, and the set before it.
#[derive(Clone, Copy)]
struct Step {
    /// The set without the relation that came last.
    before: u32,
    /// The relation that came last.
    last: usize,
    method: Method,
    estimate: Estimate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Method {
    /// The first relation.
    First,
    /// Hash join; the new relation is the build side, or with `swapped` the probe side.
    Hash { swapped: bool },
    /// Merge join of sorted sides.
    Merge,
    /// Nested loop over the kept rows of the new relation.
    Loop,
    /// Nested loop with an index scan of the new relation for each outer row.
    Index,
    /// Nested loop over a relation that mentions outer columns.
    Lateral,
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
        let (keys, residual) = self.equi_keys(&join.on, &left_node.ids, right)?;
        // An index of the inner side, probed for each outer row.
        if matches!(kind, JoinKind::Left | JoinKind::Semi | JoinKind::Anti)
            && let Some((table, local)) = base_table(right)
        {
            let mut conditions = local.clone();
            conditions.extend(join.on.iter().cloned());
            let usable = !conditions.iter().any(super::node::has_subplan);
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
                let (_, hash_cost) = if keys.is_empty() {
                    let (_, scan) = cost::nested_loop(
                        self.settings(),
                        left_node.plan.estimate,
                        plain.estimate,
                        plain.estimate.rows * self.settings().cpu_operator_cost,
                        self.settings().cpu_operator_cost,
                        rows,
                    );
                    (0.0, scan)
                } else {
                    cost::hash_join(
                        self.settings(),
                        left_node.plan.estimate,
                        plain.estimate,
                        keys.len(),
                        rows,
                        rows,
                    )
                };
                if loop_cost < hash_cost
                    || !self.settings().enable_hashjoin && self.settings().enable_nestloop
                {
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
                    return self.build_loop(kind, left_node, inner, parameters, None, estimate, required);
                }
            }
        }
        let right_node = self.plan_node(right, &needed, &Wanted::default())?;
        let rows = self.outer_rows(kind, left_node.plan.estimate, right_node.rows(), &join.on);
        if !keys.is_empty() {
            return self.build_hash(kind, left_node, right_node, keys, residual, rows, required);
        }
        match kind {
            JoinKind::Full | JoinKind::Right => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "FULL JOIN is only supported with merge-joinable or hash-joinable join conditions",
            )),
            JoinKind::AntiNullAware => Err(Error::internal("NOT IN without a key")),
            _ => {
                let inner = self.materialize(right_node);
                let condition =
                    if join.on.is_empty() { None } else { Some(Expr::and(join.on.iter().cloned())) };
                let (startup_cost, total_cost) = cost::nested_loop(
                    self.settings(),
                    left_node.plan.estimate,
                    inner.plan.estimate,
                    inner.rows() * self.settings().cpu_operator_cost,
                    self.settings().cpu_operator_cost,
                    rows,
                );
                let estimate = Estimate {
                    startup_cost,
                    total_cost,
                    rows,
                    width: self.join_width(kind, &left_node, &inner),
                };
                self.build_loop(kind, left_node, inner, Vec::new(), condition, estimate, required)
            }
        }
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
        if matches!(node.plan.node, PlanNode::Materialize(_) | PlanNode::CteScan(_)) {
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
        self.build_loop(kind, left, inner, parameters, condition, estimate, needed)
    }

    #[allow(clippy::too_many_arguments)]
    fn build_loop(
        &mut self,
        kind: JoinKind,
        outer: Node,
        inner: Node,
        parameters: Vec<SlotAssignment>,
        condition: Option<Expr>,
        estimate: Estimate,
        _required: &IdSet,
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

    #[allow(clippy::too_many_arguments)]
    fn build_hash(
        &mut self,
        kind: JoinKind,
        outer: Node,
        inner: Node,
        keys: Vec<EquiKey>,
        residual: Vec<Expr>,
        rows: f64,
        _required: &IdSet,
    ) -> Result<Node> {
        let settings = self.settings();
        let (startup_cost, total_cost) =
            cost::hash_join(settings, outer.plan.estimate, inner.plan.estimate, keys.len(), rows, rows);
        let estimate =
            Estimate { startup_cost, total_cost, rows, width: self.join_width(kind, &outer, &inner) };
        let mut outer_keys = Vec::with_capacity(keys.len());
        let mut inner_keys = Vec::with_capacity(keys.len());
        let mut null_safe = Vec::with_capacity(keys.len());
        let inner_unique = {
            let columns: Vec<ColumnId> = keys
                .iter()
                .filter_map(|key| match &key.right {
                    Expr::Column { index, .. } => Some(*index),
                    _ => None,
                })
                .collect();
            inner.unique.iter().any(|set| set.iter().all(|id| columns.contains(id)))
        };
        for key in keys {
            outer_keys.push(self.resolve(&key.left, &outer.ids)?);
            inner_keys.push(self.resolve(&key.right, &inner.ids)?);
            null_safe.push(key.null_safe);
        }
        let mut both = outer.ids.clone();
        both.extend(&inner.ids);
        let residual =
            if residual.is_empty() { None } else { Some(self.resolve(&Expr::and(residual), &both)?) };
        let (join, ids) = join_output(kind, &outer.ids, both)?;
        let columns = self.output_columns(&ids);
        let keeps_order = !matches!(join, JoinType::Right | JoinType::Full);
        let unique = if inner_unique && kind == JoinKind::Inner || !kind.keeps_right() {
            outer.unique
        } else {
            Vec::new()
        };
        let _ = keeps_order;
        let plan = PhysicalPlan {
            node: PlanNode::HashJoin(HashJoinPlan {
                join,
                outer: Arc::new(outer.plan),
                inner: Arc::new(inner.plan),
                outer_keys,
                inner_keys,
                null_safe,
                residual,
                filter: None,
                inner_unique,
                null_aware_mark: matches!(kind, JoinKind::Mark(_)),
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
        if leaves.len() > 31 {
            return Err(Error::unsupported("a join of more than 31 relations"));
        }
        let mut relations: Vec<Relation<'_>> = leaves
            .iter()
            .map(|leaf| Relation {
                plan: leaf,
                ids: crate::walk::produced(leaf, &self.tables),
                local: Vec::new(),
                needs: 0,
                node: None,
                rows: 1.0,
                width: 0,
            })
            .collect();
        let needs: Vec<u32> = relations
            .iter()
            .enumerate()
            .map(|(i, relation)| {
                let free = crate::walk::free_columns(relation.plan, self.parts());
                let others =
                    relations.iter().enumerate().filter(|(j, other)| *j != i && free.intersects(&other.ids));
                others.fold(0u32, |mask, (j, _)| mask | 1 << j)
            })
            .collect();
        for (relation, needs) in relations.iter_mut().zip(needs) {
            relation.needs = needs;
        }
        let mut spanning: Vec<Condition> = Vec::new();
        let mut needed = required.clone();
        for expr in conditions {
            let mut ids = IdSet::default();
            crate::walk::mentioned(&expr, self.parts(), &mut ids);
            let mask = (0..relations.len())
                .filter(|i| ids.intersects(&relations[*i].ids))
                .fold(0u32, |mask, i| mask | 1 << i);
            if mask.count_ones() == 1 {
                relations[mask.trailing_zeros() as usize].local.push(expr);
            } else if mask == 0 {
                relations[0].local.push(expr);
            } else {
                needed.extend(&ids);
                spanning.push(Condition { expr, mask });
            }
        }
        // What laterals mention must come out of the others.
        for relation in relations.iter().filter(|relation| relation.needs != 0) {
            needed.extend(&crate::walk::free_columns(relation.plan, self.parts()));
        }
        for relation in &mut relations {
            if relation.needs != 0 {
                continue;
            }
            let local = std::mem::take(&mut relation.local);
            let node = self.plan_relation(relation.plan, &local, &needed)?;
            relation.local = local;
            relation.rows = node.rows();
            relation.width = node.plan.estimate.width;
            relation.node = Some(node);
        }
        let order = self.order_cluster(&relations, &spanning, &needed)?;
        self.build_cluster(relations, spanning, order, &needed, wanted)
    }

    fn plan_relation(&mut self, plan: &Logical, local: &[Expr], needed: &IdSet) -> Result<Node> {
        if local.is_empty() {
            return self.plan_node(plan, needed, &Wanted::default());
        }
        let filtered = Logical::Filter { input: Box::new(plan.clone()), predicates: local.to_vec() };
        self.plan_node(&filtered, needed, &Wanted::default())
    }

    /// The best sequence of steps.
    fn order_cluster(
        &self,
        relations: &[Relation<'_>],
        conditions: &[Condition],
        needed: &IdSet,
    ) -> Result<Vec<Step>> {
        let count = relations.len();
        let all = if count == 32 { u32::MAX } else { (1u32 << count) - 1 };
        let mut best: HashMap<u32, Step> = HashMap::new();
        for (i, relation) in relations.iter().enumerate() {
            if let Some(node) = &relation.node {
                let mask = 1 << i;
                let step = Step { before: 0, last: i, method: Method::First, estimate: node.plan.estimate };
                best.insert(mask, step);
            }
        }
        let exhaustive = count <= MAX_EXHAUSTIVE;
        let mut frontier: Vec<u32> = best.keys().copied().collect();
        frontier.sort_unstable();
        if !exhaustive {
            // Greedy: start with the smallest relation, always take the cheapest next step.
            let start = frontier
                .iter()
                .copied()
                .min_by(|a, b| best[a].estimate.rows.total_cmp(&best[b].estimate.rows));
            frontier = start.into_iter().collect();
        }
        for _ in 1..count {
            let mut next: Vec<u32> = Vec::new();
            for set in &frontier {
                let so_far = best[set].estimate;
                let mut cheapest: Option<(u32, Step)> = None;
                let connected = (0..count).any(|i| {
                    set & (1 << i) == 0
                        && conditions.iter().any(|c| c.mask & (1 << i) != 0 && c.mask & set != 0)
                });
                for i in 0..count {
                    let bit = 1u32 << i;
                    if set & bit != 0 || relations[i].needs & !set != 0 {
                        continue;
                    }
                    let joined = conditions.iter().any(|c| c.mask & bit != 0 && c.mask & set != 0)
                        || relations[i].needs != 0;
                    // Cross products only where nothing else is left.
                    if connected && !joined {
                        continue;
                    }
                    let step = self.best_step(relations, conditions, *set, so_far, i, needed);
                    let target = set | bit;
                    if exhaustive {
                        let better = best
                            .get(&target)
                            .is_none_or(|known| step.estimate.total_cost < known.estimate.total_cost);
                        if better {
                            if !next.contains(&target) {
                                next.push(target);
                            }
                            best.insert(target, step);
                        }
                    } else if cheapest.is_none_or(|(_, known)| {
                        (step.estimate.rows, step.estimate.total_cost)
                            < (known.estimate.rows, known.estimate.total_cost)
                    }) {
                        cheapest = Some((target, step));
                    }
                }
                if let Some((target, step)) = cheapest {
                    best.insert(target, step);
                    next.push(target);
                }
            }
            frontier = next;
        }
        let mut steps = Vec::with_capacity(count);
        let mut set = all;
        while set != 0 {
            let Some(step) = best.get(&set) else {
                return Err(Error::internal("no order for a join was found"));
            };
            steps.push(*step);
            set = step.before;
        }
        steps.reverse();
        Ok(steps)
    }

    /// The cheapest way to add a relation to a set.
    fn best_step(
        &self,
        relations: &[Relation<'_>],
        conditions: &[Condition],
        set: u32,
        so_far: Estimate,
        last: usize,
        needed: &IdSet,
    ) -> Step {
        let settings = self.settings();
        let relation = &relations[last];
        let applicable: Vec<Expr> = applicable(conditions, set, last);
        let selectivity = self.selectivity_of_all(&applicable, so_far.rows.max(relation.rows));
        let rows = (so_far.rows * relation.rows * selectivity).max(1.0).round();
        let width = so_far.width + relation.width;
        let with = |(startup_cost, total_cost): (f64, f64), disabled: bool| Estimate {
            startup_cost,
            total_cost: total_cost + if disabled { DISABLED_COST } else { 0.0 },
            rows,
            width,
        };
        let Some(node) = &relation.node else {
            let inner = Estimate { startup_cost: 0.0, total_cost: 10.0, rows: 10.0, width: 32 };
            let estimate = with(
                cost::nested_loop(
                    settings,
                    so_far,
                    inner,
                    inner.total_cost,
                    settings.cpu_operator_cost,
                    rows,
                ),
                false,
            );
            return Step { before: set, last, method: Method::Lateral, estimate };
        };
        let inner = node.plan.estimate;
        let qual = applicable.iter().map(expr_cost).sum::<f64>() * settings.cpu_operator_cost;
        let kept = Estimate {
            total_cost: inner.total_cost + 2.0 * settings.cpu_operator_cost * inner.rows,
            ..inner
        };
        let rescan = inner.rows * settings.cpu_operator_cost;
        let mut best = Step {
            before: set,
            last,
            method: Method::Loop,
            estimate: with(
                cost::nested_loop(settings, so_far, kept, rescan, qual, rows),
                !settings.enable_nestloop,
            ),
        };
        let mut consider = |method: Method, estimate: Estimate| {
            if estimate.total_cost < best.estimate.total_cost {
                best = Step { before: set, last, method, estimate };
            }
        };
        let mut left = IdSet::default();
        for (i, other) in relations.iter().enumerate() {
            if set & (1 << i) != 0 {
                left.extend(&other.ids);
            }
        }
        let (keys, _) = self.split_keys(&applicable, &left, &relation.ids);
        if !keys.is_empty() {
            let off = !settings.enable_hashjoin;
            consider(
                Method::Hash { swapped: false },
                with(cost::hash_join(settings, so_far, inner, keys.len(), rows, rows), off),
            );
            consider(
                Method::Hash { swapped: true },
                with(cost::hash_join(settings, inner, so_far, keys.len(), rows, rows), off),
            );
            if settings.enable_mergejoin && keys.iter().all(|key| !key.null_safe) {
                let l = cost::sort(settings, so_far, None);
                let r = cost::sort(settings, inner, None);
                consider(
                    Method::Merge,
                    with(
                        cost::merge_join(
                            settings,
                            Estimate { rows: so_far.rows, ..l },
                            Estimate { rows: inner.rows, ..r },
                            keys.len(),
                            rows,
                        ),
                        false,
                    ),
                );
            }
        }
        if let Some(path) = self.parameterised_path(relation, &applicable, needed, so_far.rows) {
            let estimate = with(
                cost::nested_loop(settings, so_far, path.estimate, path.estimate.total_cost, 0.0, rows),
                !settings.enable_nestloop,
            );
            consider(Method::Index, estimate);
        }
        best
    }

    /// An index scan of a relation by values of the relations before it.
    fn parameterised_path(
        &self,
        relation: &Relation<'_>,
        applicable: &[Expr],
        needed: &IdSet,
        loops: f64,
    ) -> Option<ScanPath> {
        let (table, mut all) = base_table(relation.plan)?;
        if !self.settings().enable_indexscan {
            return None;
        }
        all.extend(relation.local.iter().cloned());
        let local = all.len();
        all.extend(applicable.iter().cloned());
        if all[local..].iter().any(super::node::has_subplan) {
            return None;
        }
        let path = self.choose_scan(table, &all, needed, &Wanted::default(), loops.max(2.0));
        path.is_narrowed().then_some(path)
    }

    fn build_cluster(
        &mut self,
        mut relations: Vec<Relation<'_>>,
        mut conditions: Vec<Condition>,
        steps: Vec<Step>,
        needed: &IdSet,
        _wanted: &Wanted,
    ) -> Result<Node> {
        let mut steps = steps.into_iter();
        let Some(first) = steps.next() else { return Err(Error::internal("a join of nothing")) };
        let mut node = relations[first.last]
            .node
            .take()
            .ok_or_else(|| Error::internal("a join starts with a lateral item"))?;
        let mut set = 1u32 << first.last;
        for step in steps {
            let exprs = applicable(&conditions, set, step.last);
            conditions.retain(|condition| {
                let bit = 1u32 << step.last;
                !(condition.mask & bit != 0 && condition.mask & !(set | bit) == 0)
            });
            let relation = &mut relations[step.last];
            let estimate = step.estimate;
            node = match step.method {
                Method::First => return Err(Error::internal("a join starts twice")),
                Method::Lateral => {
                    let local = std::mem::take(&mut relation.local);
                    let right = if local.is_empty() {
                        relation.plan.clone()
                    } else {
                        Logical::Filter { input: Box::new(relation.plan.clone()), predicates: local }
                    };
                    let right_needed = needed.clone();
                    self.build_lateral(JoinKind::Inner, node, &right, &right_needed, &exprs)?
                }
                Method::Index => {
                    let path = self.parameterised_path(relation, &exprs, needed, node.rows());
                    let (Some(path), Some((table, mut all))) = (path, base_table(relation.plan)) else {
                        return Err(Error::internal("an index scan that was planned is gone"));
                    };
                    all.extend(relation.local.iter().cloned());
                    all.extend(exprs);
                    let mark = self.outside.len();
                    let inner = self.build_scan(table, &all, needed, path)?;
                    let parameters = self.take_parameters(mark, &node.ids)?;
                    self.build_loop(JoinKind::Inner, node, inner, parameters, None, estimate, needed)?
                }
                Method::Loop => {
                    let inner =
                        relation.node.take().ok_or_else(|| Error::internal("a relation is joined twice"))?;
                    let inner = self.materialize(inner);
                    let condition = if exprs.is_empty() { None } else { Some(Expr::and(exprs)) };
                    self.build_loop(JoinKind::Inner, node, inner, Vec::new(), condition, estimate, needed)?
                }
                Method::Hash { swapped } => {
                    let other =
                        relation.node.take().ok_or_else(|| Error::internal("a relation is joined twice"))?;
                    let (outer, inner) = if swapped { (other, node) } else { (node, other) };
                    let (keys, residual) = self.split_keys(
                        &exprs,
                        &IdSet::of(outer.ids.iter().copied()),
                        &IdSet::of(inner.ids.iter().copied()),
                    );
                    self.build_hash(JoinKind::Inner, outer, inner, keys, residual, estimate.rows, needed)?
                }
                Method::Merge => {
                    let other =
                        relation.node.take().ok_or_else(|| Error::internal("a relation is joined twice"))?;
                    self.build_merge(node, other, &exprs, estimate)?
                }
            };
            set |= 1 << step.last;
            if !conditions.is_empty() {
                node = self.drop_unused(node, needed);
            }
        }
        let rest: Vec<Expr> = conditions.into_iter().map(|condition| condition.expr).collect();
        self.add_filter(node, &rest)
    }

    /// Columns that nothing above needs stay in joins' output: they cost nothing there.
    fn drop_unused(&self, node: Node, _needed: &IdSet) -> Node {
        node
    }

    fn build_merge(&mut self, left: Node, right: Node, exprs: &[Expr], estimate: Estimate) -> Result<Node> {
        let (keys, residual) = self.split_keys(
            exprs,
            &IdSet::of(left.ids.iter().copied()),
            &IdSet::of(right.ids.iter().copied()),
        );
        let sorted = |builder: &mut Self, node: Node, side: &dyn Fn(&EquiKey) -> Expr| {
            let order: Vec<Ordering> = keys
                .iter()
                .map(|key| Ordering { expr: side(key), descending: false, nulls_first: false })
                .collect();
            builder.add_sort(node, &order, None)
        };
        let left = sorted(self, left, &|key| key.left.clone())?;
        let right = sorted(self, right, &|key| key.right.clone())?;
        let mut outer_keys = Vec::with_capacity(keys.len());
        let mut inner_keys = Vec::with_capacity(keys.len());
        for key in &keys {
            outer_keys.push(self.resolve(&key.left, &left.ids)?);
            inner_keys.push(self.resolve(&key.right, &right.ids)?);
        }
        let mut ids = left.ids.clone();
        ids.extend(&right.ids);
        let residual =
            if residual.is_empty() { None } else { Some(self.resolve(&Expr::and(residual), &ids)?) };
        let columns = self.output_columns(&ids);
        let plan = PhysicalPlan {
            node: PlanNode::MergeJoin(MergeJoinPlan {
                join: JoinType::Inner,
                outer: Arc::new(left.plan),
                inner: Arc::new(right.plan),
                order: vec![(false, false); keys.len()],
                outer_keys,
                inner_keys,
                residual,
                filter: None,
                inner_unique: false,
            }),
            columns,
            estimate,
        };
        Ok(Node { plan, ids, order: left.order, unique: Vec::new() })
    }
}

/// The conditions that become applicable when a relation joins a set.
fn applicable(conditions: &[Condition], set: u32, last: usize) -> Vec<Expr> {
    let bit = 1u32 << last;
    conditions
        .iter()
        .filter(|condition| condition.mask & bit != 0 && condition.mask & !(set | bit) == 0)
        .map(|condition| condition.expr.clone())
        .collect()
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
fn base_table(plan: &Logical) -> Option<(TableId, Vec<Expr>)> {
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
