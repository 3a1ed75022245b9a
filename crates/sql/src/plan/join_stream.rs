//! Joins whose rows come in a wanted order, or of which only the first few are wanted.
//!
//! # Role
//! [`super::join_order`] finds the cheapest way to make all rows of a cluster. Where the operator above wants an order or
//! stops after some rows, this finds a way that *streams*: one relation, the *driver*, is read as it comes (in index order
//! for an order), and each join hands on its outer side's rows as they come. [`super::join`] takes it when it is cheaper for
//! what is wanted, the sort included that the other way would need.
//!
//! # How
//! For each set of relations that holds a driver: the cheapest step whose outer side streams and whose inner side is made in
//! the cheapest way of all. What a step costs is what the wanted share of its rows costs. The pairs of sets are those that
//! the search before has joined, so this is a second pass over its work and not a second search. What costs more already
//! than the cheapest way to make all rows is not followed: no join makes its outer side cheaper.
//!
//! # Invariants
//! - JS1: nested loops and merge joins give their outer side's order, also with rows in several batches and in threads
//!   (tables that threads share are read in no order, so no driver is one). A hash join that spills does not: it is a step
//!   only where no order is wanted.
//! - JS2: an order by a column is one by any other that is equal to it in every row of the result, so an index on either will
//!   do; the join's own output says it has the wanted order.

use hashbrown::HashMap;

use super::join::{Relation, base_table};
use super::join_order::{Mask, Method, Pair, Search, Step, lateral_costs, single};
use super::scan::ScanPath;
use super::{Node, OrderKey, PlanBuilder, Price, Wanted, agreeing, cost};
use crate::idset::IdSet;
use crate::logical::ColumnId;
use crate::physical::Estimate;

/// How a driver is read.
pub(super) enum Driver {
    /// Its table by a path of its own.
    Scan(Box<ScanPath>),
    /// As it was planned for the wanted order.
    Node(Box<Node>),
}

impl Driver {
    fn estimate(&self) -> Estimate {
        match self {
            Driver::Scan(path) => path.estimate,
            Driver::Node(node) => node.plan.estimate,
        }
    }
}

/// A way to make a set so that it streams.
#[derive(Clone, Copy)]
pub(super) struct StreamStep {
    pub step: Step,
    /// How many leading keys of the wanted order its rows have.
    pub agrees: usize,
    /// Of a merge join: the inner relation is read by an index.
    pub inner_by_index: bool,
    /// What the wanted share of its rows costs, with the sort that they still need.
    price: Price,
}

/// What is wanted of a cluster's rows.
struct StreamGoal<'w> {
    wanted: &'w Wanted,
    /// The share of the rows that will be read.
    share: f64,
    /// What the way costs that makes all rows.
    whole: Price,
}

impl StreamGoal<'_> {
    /// How many of a step's rows will be read, if not all.
    fn rows(&self, rows: f64) -> Option<f64> {
        self.wanted.rows.map(|_| (rows * self.share).max(1.0))
    }

    /// What anything costs at least that is made of a step's rows as they come.
    fn floor(&self, step: &Step) -> Price {
        let Estimate { startup_cost, total_cost, .. } = step.estimate;
        Price { disabled: step.disabled, cost: startup_cost + (total_cost - startup_cost) * self.share }
    }
}

/// A step to be: a side that streams and another one.
struct Extension<'p> {
    before: StreamStep,
    outer: Mask,
    inner: Mask,
    pair: &'p Pair,
    /// Of the cheapest way to make their set: any way has its rows and their width.
    estimate: Estimate,
}

/// Merge joins' inner sides by relation and key.
type MergeInputs = HashMap<(usize, ColumnId), Option<(Estimate, u32)>>;

/// The streaming ways of a cluster.
#[derive(Default)]
pub(super) struct Streams {
    /// By set; empty when there are none.
    steps: Vec<Option<StreamStep>>,
    pub drivers: HashMap<usize, Driver>,
}

impl Streams {
    /// The way to make a set, if one streams.
    pub(super) fn step(&self, set: Mask) -> Option<StreamStep> {
        *self.steps.get(set as usize)?
    }
}

impl PlanBuilder<'_> {
    /// How a relation's table is read in an order that begins as the wanted one, in terms of its own columns.
    pub(super) fn ordered_path(
        &self,
        relation: &Relation<'_>,
        needed: &IdSet,
        wanted: &Wanted,
    ) -> Option<(ScanPath, usize)> {
        let (table, mut predicates) = base_table(relation.plan)?;
        predicates.extend(relation.local.iter().cloned());
        let path = self.choose_scan(table, &predicates, needed, wanted, 1.0);
        let agrees = agreeing(path.order(), &wanted.order);
        Some((path, agrees))
    }
}

impl Search<'_, '_> {
    /// The wanted order as far as a relation's own columns give it.
    fn order_of(&self, relation: usize, order: &[OrderKey]) -> Vec<OrderKey> {
        let own = |key: &OrderKey| {
            if self.relations[relation].ids.contains(key.id) {
                return Some(*key);
            }
            // JS2
            let equal = self.graph.equal_column(key.id, relation)?;
            Some(OrderKey { id: equal, ..*key })
        };
        order.iter().map_while(own).collect()
    }

    /// Finds the streaming ways to make all relations out of the pairs that the exhaustive search has joined; `planned` are
    /// relations planned for the wanted order.
    pub(super) fn stream(&mut self, all: Mask, wanted: &Wanted, planned: HashMap<usize, Node>) -> Streams {
        let mut streams = Streams { steps: vec![None; all as usize + 1], drivers: HashMap::new() };
        let Some(whole) = self.memo.get(all).copied() else { return streams };
        let goal = StreamGoal {
            wanted,
            share: wanted.rows.map_or(1.0, |rows| (rows / whole.estimate.rows.max(1.0)).min(1.0)),
            whole: self.builder.price_of_step(&whole, &[], wanted),
        };
        self.drivers(&mut streams, &goal, planned);
        if streams.drivers.is_empty() {
            return streams;
        }
        let mut merge_inputs = MergeInputs::new();
        let pairs = std::mem::take(&mut self.pairs);
        for of_set in pairs.chunk_by(|one, other| one.set() == other.set()) {
            let Some(whole) = of_set.first().and_then(|pair| self.memo.get(pair.set()).copied()) else {
                continue;
            };
            let own = Wanted { order: wanted.order.clone(), rows: goal.rows(whole.estimate.rows) };
            for pair in of_set {
                for (outer, inner) in [(pair.a, pair.b), (pair.b, pair.a)] {
                    let Some(before) = streams.steps[outer as usize] else { continue };
                    let floor = goal.floor(&before.step);
                    let known = streams.steps[pair.set() as usize];
                    let pays =
                        floor.is_below(goal.whole) && known.is_none_or(|known| floor.is_below(known.price));
                    if pays {
                        let join = Extension { before, outer, inner, pair, estimate: whole.estimate };
                        self.extend(&mut streams, &join, &own, &mut merge_inputs);
                    }
                }
            }
        }
        streams
    }

    /// The relations that can be read as they come.
    fn drivers(&mut self, streams: &mut Streams, goal: &StreamGoal<'_>, mut planned: HashMap<usize, Node>) {
        let wanted = goal.wanted;
        for (i, relation) in self.relations.iter().enumerate() {
            if relation.needs != 0 {
                continue;
            }
            let order = self.order_of(i, &wanted.order);
            if order.is_empty() && !wanted.order.is_empty() {
                continue;
            }
            let own = Wanted { order, rows: goal.rows(relation.rows) };
            let (driver, agrees) = match self.builder.ordered_path(relation, self.needed, &own) {
                Some((path, agrees)) => (Driver::Scan(Box::new(path)), agrees),
                None => match planned.remove(&i).or_else(|| relation.node.clone()) {
                    Some(node) => {
                        let agrees = agreeing(&node.order, &own.order);
                        (Driver::Node(Box::new(node)), agrees)
                    }
                    None => continue,
                },
            };
            if agrees == 0 && !wanted.order.is_empty() {
                continue;
            }
            let disabled = match &driver {
                Driver::Scan(path) => path.disabled,
                Driver::Node(node) => self.builder.disabled().count(&node.plan),
            };
            let step = Step::single(Estimate { rows: relation.rows, ..driver.estimate() }, disabled);
            let rest = Wanted { order: wanted.order.clone(), rows: own.rows };
            let price = self.builder.price_of_step(&step, &wanted.order[..agrees], &rest);
            streams.steps[1 << i] = Some(StreamStep { step, agrees, inner_by_index: false, price });
            streams.drivers.insert(i, driver);
        }
    }

    /// Notes the cheapest way to join a streaming side with another set, if it is the cheapest for what is wanted.
    fn extend(
        &mut self,
        streams: &mut Streams,
        join: &Extension<'_>,
        goal: &Wanted,
        merge_inputs: &mut MergeInputs,
    ) {
        let builder = self.builder;
        let settings = builder.settings();
        let off = |on: bool| u32::from(!on);
        let Extension { before, outer, inner, pair, estimate: Estimate { rows, width, .. } } = *join;
        let o = before.step.estimate;
        let mut offer = |method: Method, (startup_cost, total_cost): (f64, f64), disabled: u32| {
            let estimate = Estimate { startup_cost, total_cost, rows, width };
            let step = Step { outer, inner, method, estimate, disabled: before.step.disabled + disabled };
            let price = builder.price_of_step(&step, &goal.order[..before.agrees], goal);
            let known = &mut streams.steps[pair.set() as usize];
            if known.is_none_or(|known| price.is_below(known.price)) {
                let inner_by_index = method == Method::Merge;
                *known = Some(StreamStep { step, agrees: before.agrees, inner_by_index, price });
            }
        };
        match self.memo.get(inner) {
            Some(second) => {
                let i = second.estimate;
                let qual = (pair.rest + pair.keys as f64) * settings.cpu_operator_cost;
                let kept =
                    Estimate { total_cost: i.total_cost + 2.0 * settings.cpu_operator_cost * i.rows, ..i };
                // The first outer row has the inner side computed as a whole.
                let (_, total) =
                    cost::nested_loop(settings, o, kept, i.rows * settings.cpu_operator_cost, qual, rows);
                let startup = (o.startup_cost + kept.total_cost).min(total);
                offer(Method::Loop, (startup, total), second.disabled + off(settings.enable_nestloop));
                if pair.keys > 0 && goal.order.is_empty() {
                    let costs = cost::hash_join(settings, o, i, pair.keys, rows, rows);
                    offer(Method::Hash, costs, second.disabled + off(settings.enable_hashjoin));
                }
                if pair.keys == 1
                    && pair.rest == 0.0
                    && let Some((path, disabled)) = self.merge_input(join, goal, merge_inputs)
                {
                    let costs = cost::merge_join(settings, o, path, 1, rows);
                    offer(Method::Merge, costs, disabled + off(settings.enable_mergejoin));
                }
            }
            None => {
                offer(Method::Lateral, lateral_costs(settings, o, rows), off(settings.enable_nestloop));
            }
        }
        if let Some(relation) = single(inner)
            && self.graph.probed[relation]
            && let Some((path, disabled)) = self.probe(outer, relation, o.rows)
        {
            let costs = cost::nested_loop(settings, o, path, path.total_cost, 0.0, rows);
            offer(Method::Index, costs, disabled + off(settings.enable_nestloop));
        }
    }
    /// Where rows come in the order of the only key of a join: the inner relation read by an index in that order, and what of
    /// it is switched off.
    fn merge_input(
        &self,
        join: &Extension<'_>,
        goal: &Wanted,
        known: &mut MergeInputs,
    ) -> Option<(Estimate, u32)> {
        let first = goal.order.first()?;
        let relation = single(join.inner)?;
        if first.descending || first.nulls_first || join.before.agrees == 0 {
            return None;
        }
        let key = self.graph.merge_key(join.outer, relation, first.id)?;
        let read = || {
            let own = Wanted { order: vec![OrderKey { id: key, ..*first }], rows: None };
            let (path, agrees) = self.builder.ordered_path(&self.relations[relation], self.needed, &own)?;
            (agrees > 0).then_some((path.estimate, path.disabled))
        };
        *known.entry((relation, key)).or_insert_with(read)
    }
}
