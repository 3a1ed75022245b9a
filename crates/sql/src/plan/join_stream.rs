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
//! the cheapest way of all. What a step costs is what the wanted share of its rows costs.
//!
//! # Invariants
//! - JS1: nested loops and merge joins give their outer side's order, also with rows in several batches and in threads
//!   (tables that threads share are read in no order, so no driver is one). A hash join that spills does not: it is a step
//!   only where no order is wanted.
//! - JS2: an order by a column is one by any other that is equal to it in every row of the result, so an index on either will
//!   do; the join's own output says it has the wanted order.

use hashbrown::HashMap;

use super::join::{Relation, base_table};
use super::join_order::{Mask, Method, Search, Step, bits};
use super::scan::ScanPath;
use super::{Node, OrderKey, PlanBuilder, Wanted, agreeing, cost};
use crate::idset::IdSet;
use crate::physical::Estimate;

/// Pairs of sets that are looked at before the search is given up.
const MAX_PAIRS: usize = 20_000;

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
}

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

    /// Finds the streaming ways to make all relations; `drivers` are relations planned for the wanted order.
    pub(super) fn stream(&mut self, all: Mask, wanted: &Wanted, planned: HashMap<usize, Node>) -> Streams {
        let mut streams = Streams { steps: vec![None; all as usize + 1], drivers: HashMap::new() };
        let Some(whole) = self.memo.get(all).copied() else { return streams };
        let share = wanted.rows.map_or(1.0, |rows| (rows / whole.estimate.rows.max(1.0)).min(1.0));
        let rows_of = |rows: f64| wanted.rows.map(|_| (rows * share).max(1.0));
        let mut planned = planned;
        for (i, relation) in self.relations.iter().enumerate() {
            if relation.needs != 0 {
                continue;
            }
            let order = self.order_of(i, &wanted.order);
            if order.is_empty() && !wanted.order.is_empty() {
                continue;
            }
            let own = Wanted { order, rows: rows_of(relation.rows) };
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
            let estimate = Estimate { rows: relation.rows, ..driver.estimate() };
            let step = Step::single(estimate, disabled);
            streams.steps[1 << i] = Some(StreamStep { step, agrees, inner_by_index: false });
            streams.drivers.insert(i, driver);
        }
        if streams.drivers.is_empty() {
            return streams;
        }
        let mut pairs = 0;
        for set in 3..=all {
            if set & (set - 1) == 0 {
                continue;
            }
            let mut rows = None;
            let mut outer = set;
            loop {
                outer = outer.wrapping_sub(1) & set;
                if outer == 0 {
                    break;
                }
                let Some(before) = streams.steps[outer as usize] else { continue };
                let inner = set ^ outer;
                if !self.possible(outer, inner) {
                    continue;
                }
                pairs += 1;
                if pairs > MAX_PAIRS {
                    return Streams::default();
                }
                let rows = *rows.get_or_insert_with(|| self.graph.set_rows(set));
                self.extend(&mut streams, before, (outer, inner), rows, wanted, rows_of(rows));
            }
        }
        streams
    }

    /// Notes the cheapest way to join a streaming side with another set, if it is the cheapest for what is wanted.
    fn extend(
        &mut self,
        streams: &mut Streams,
        before: StreamStep,
        (outer, inner): (Mask, Mask),
        rows: f64,
        wanted: &Wanted,
        wanted_rows: Option<f64>,
    ) {
        let settings = self.builder.settings();
        let off = |on: bool| u32::from(!on);
        let (set, o) = (outer | inner, before.step.estimate);
        let width = bits(set).map(|i| self.graph.widths[i]).sum();
        let mut found: Vec<(Method, (f64, f64), u32, bool)> = Vec::new();
        let both = before.step.disabled;
        match self.memo.get(inner).copied() {
            Some(second) => {
                let (keys, rest) = self.graph.keys_between(outer, inner);
                let qual = (rest + keys as f64) * settings.cpu_operator_cost;
                let i = second.estimate;
                let both = both + second.disabled;
                let kept =
                    Estimate { total_cost: i.total_cost + 2.0 * settings.cpu_operator_cost * i.rows, ..i };
                // The first outer row has the inner side computed as a whole.
                let (_, total) =
                    cost::nested_loop(settings, o, kept, i.rows * settings.cpu_operator_cost, qual, rows);
                let startup = o.startup_cost + kept.total_cost;
                found.push((
                    Method::Loop,
                    (startup.min(total), total),
                    both + off(settings.enable_nestloop),
                    false,
                ));
                if keys > 0 && wanted.order.is_empty() {
                    let costs = cost::hash_join(settings, o, i, keys, rows, rows);
                    found.push((Method::Hash, costs, both + off(settings.enable_hashjoin), false));
                }
                if keys == 1 && !wanted.order.is_empty() && rest == 0.0 {
                    found.extend(self.merge_by_index(before, (outer, inner), rows, wanted));
                }
            }
            None => {
                let once = Estimate { startup_cost: 0.0, total_cost: 10.0, rows: 10.0, width: 32 };
                let costs = cost::nested_loop(settings, o, once, 10.0, settings.cpu_operator_cost, rows);
                found.push((Method::Lateral, costs, both + off(settings.enable_nestloop), false));
            }
        }
        if inner & (inner - 1) == 0 {
            let relation = inner.trailing_zeros() as usize;
            if self.graph.probed[relation]
                && let Some((path, of_path)) = self.probe(outer, relation, o.rows)
            {
                let costs = cost::nested_loop(settings, o, path, path.total_cost, 0.0, rows);
                found.push((Method::Index, costs, both + of_path + off(settings.enable_nestloop), false));
            }
        }
        let goal = Wanted { order: wanted.order.clone(), rows: wanted_rows };
        for (method, (startup_cost, total_cost), disabled, inner_by_index) in found {
            let estimate = Estimate { startup_cost, total_cost, rows, width };
            let step = Step { outer, inner, method, estimate, disabled };
            let price = |step: &StreamStep| {
                let have = &wanted.order[..step.agrees];
                let price = self.builder.price_of_wanted(step.step.estimate, have, &goal);
                super::Price { disabled: price.disabled + step.step.disabled, ..price }
            };
            let new = StreamStep { step, agrees: before.agrees, inner_by_index };
            let known = &mut streams.steps[set as usize];
            if known.as_ref().is_none_or(|known| price(&new).is_below(price(known))) {
                *known = Some(new);
            }
        }
    }

    /// A merge join of a side that comes in the order of the only key with a relation that an index gives in that order.
    fn merge_by_index(
        &self,
        before: StreamStep,
        (outer, inner): (Mask, Mask),
        rows: f64,
        wanted: &Wanted,
    ) -> Option<(Method, (f64, f64), u32, bool)> {
        let settings = self.builder.settings();
        let first = wanted.order.first()?;
        if inner & (inner - 1) != 0 || first.descending || first.nulls_first || before.agrees == 0 {
            return None;
        }
        let relation = inner.trailing_zeros() as usize;
        let key = self.graph.merge_key(outer, relation, first.id)?;
        let order = vec![OrderKey { id: key, ..*first }];
        let goal = Wanted { order, rows: None };
        let (path, agrees) = self.builder.ordered_path(&self.relations[relation], self.needed, &goal)?;
        if agrees == 0 {
            return None;
        }
        let costs = cost::merge_join(settings, before.step.estimate, path.estimate, 1, rows);
        let off = u32::from(!settings.enable_mergejoin);
        Some((Method::Merge, costs, before.step.disabled + path.disabled + off, true))
    }
}
