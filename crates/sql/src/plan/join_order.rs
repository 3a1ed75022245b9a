//! In which order the relations of a cluster of inner joins are joined, and how each pair of sets.
//!
//! # How
//! Relations are bits of a mask. Equalities between plain columns form *classes*: within a set of relations all columns of
//! a class are equal, so two sets are joined by one equality per class that both have, whichever was written. Everything
//! else that spans relations is a *condition*, applied where all that it mentions is there.
//!
//! Up to [`MAX_EXHAUSTIVE`] relations every connected set is built from every pair of connected parts (dynamic programming
//! over subsets, bushy trees included), as long as the work stays under [`MAX_PAIRS`]. Beyond that the pair of parts with
//! the fewest resulting rows is joined first, again and again.
//!
//! # Rows
//! The rows of a set depend on the set alone: the product of its relations' rows, of one selectivity per class (one over
//! the product of its relations' distinct values, the smallest left out), of those of its conditions, and of one
//! correction for each relation whose unique key is covered by columns of another one: then the key's columns are not
//! independent, and the pair has no more rows than the other side.
//!
//! # References
//! Moerkotte and Neumann, "Analysis of Two Existing and One New Dynamic Programming Algorithm" (2006); Fegaras, "A New
//! Heuristic for Optimizing Large Queries" (1998).

use hashbrown::HashMap;
use ochre_base::{Error, Result};
use ochre_expr::{Expr, btree_comparison};
use ochre_types::SqlType;

use super::index_match::{Operation, comparison_of};
use super::join::{Relation, base_table};
use super::join_stream::Streams;
use super::node::pushed_into;
use super::prune::Verdict;
use super::scan::{ScanPath, expr_cost};
use super::{Node, PlanBuilder, PlannerSettings, Price, Wanted, cost};
use crate::idset::IdSet;
use crate::logical::{ColumnId, Logical, SetInputs};
use crate::physical::Estimate;

/// Clusters of more relations are ordered greedily.
const MAX_EXHAUSTIVE: usize = 12;
/// So many pairs of sets are looked at before the exhaustive search is given up.
const MAX_PAIRS: usize = 40_000;
/// A cluster has no more relations than a mask has bits.
pub(super) const MAX_RELATIONS: usize = 64;

/// A set of relations, one bit each.
pub(super) type Mask = u64;

/// A condition that spans relations.
pub(super) struct Condition {
    pub expr: Expr,
    /// The relations it mentions.
    pub mask: Mask,
    /// The columns that it and its subqueries mention.
    ids: IdSet,
    selectivity: f64,
    cost: f64,
    /// It equates an expression of one set of relations with one of another: a hash join can use it.
    equates: Option<(Mask, Mask)>,
}

/// Columns of several relations that are equal in every row of the result.
struct Class {
    /// The columns with their relations.
    members: Vec<(ColumnId, usize)>,
    ty: SqlType,
    mask: Mask,
    /// For each relation of the mask the distinct values of its member.
    distinct: Vec<(usize, f64)>,
}

/// A way to make a set: the two parts and how they are joined.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub outer: Mask,
    pub inner: Mask,
    pub method: Method,
    pub estimate: Estimate,
    /// Nodes of methods that are switched off.
    pub disabled: u32,
}

impl Step {
    /// A relation by itself.
    pub(super) fn single(estimate: Estimate, disabled: u32) -> Step {
        Step { outer: 0, inner: 0, method: Method::Single, estimate, disabled }
    }

    fn price(&self) -> Price {
        Price { disabled: self.disabled, cost: self.estimate.total_cost }
    }
}

/// Two sets that can be joined.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub a: Mask,
    pub b: Mask,
    /// How many equalities join them.
    pub keys: usize,
    /// What the other conditions cost.
    pub rest: f64,
}

impl Pair {
    pub(super) fn set(&self) -> Mask {
        self.a | self.b
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    /// A single relation.
    Single,
    /// Hash join; the inner side is the build side.
    Hash,
    /// Merge join of sorted sides.
    Merge,
    /// Nested loop over the kept rows of the inner side.
    Loop,
    /// Nested loop with an index scan of the inner relation for each outer row.
    Index,
    /// Nested loop over a relation that mentions outer columns.
    Lateral,
}

/// The relations of a cluster and what joins them.
pub(super) struct JoinGraph {
    pub conditions: Vec<Condition>,
    classes: Vec<Class>,
    /// For each relation those that it mentions.
    needs: Vec<Mask>,
    /// The relations that mention any.
    needy: Mask,
    rows: Vec<f64>,
    widths: Vec<u32>,
    /// Pairs of relations and by what their rows are more than the product of selectivities says.
    corrections: Vec<(Mask, f64)>,
    /// Sets of relations that nothing connects with others.
    components: Vec<Mask>,
    /// Relations of the cluster that an index scan by values of others may read.
    pub probed: Vec<bool>,
}

/// The steps found so far.
#[derive(Default)]
pub(super) struct Memo {
    dense: Vec<Option<Step>>,
    /// The sets that `dense` has: what is asked most often lies close together.
    made: Vec<bool>,
    sparse: HashMap<Mask, Step>,
}

impl Memo {
    /// For all sets of so many relations.
    fn dense(relations: usize) -> Memo {
        Memo { dense: vec![None; 1 << relations], made: vec![false; 1 << relations], ..Memo::default() }
    }

    #[inline]
    fn has(&self, set: Mask) -> bool {
        if self.dense.is_empty() { self.sparse.contains_key(&set) } else { self.made[set as usize] }
    }

    pub(super) fn get(&self, set: Mask) -> Option<&Step> {
        if self.dense.is_empty() { self.sparse.get(&set) } else { self.dense[set as usize].as_ref() }
    }

    fn put(&mut self, set: Mask, step: Step) {
        if self.dense.is_empty() {
            self.sparse.insert(set, step);
        } else {
            self.dense[set as usize] = Some(step);
            self.made[set as usize] = true;
        }
    }
}

/// The relations of a mask.
pub(super) fn bits(mut mask: Mask) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(bit)
    })
}

/// The only relation of a set.
pub(super) fn single(set: Mask) -> Option<usize> {
    set.is_power_of_two().then(|| set.trailing_zeros() as usize)
}

/// What a nested loop over a relation costs that mentions columns of the outer side: it is planned only when it is built.
pub(super) fn lateral_costs(settings: &PlannerSettings, outer: Estimate, rows: f64) -> (f64, f64) {
    let once = Estimate { startup_cost: 0.0, total_cost: 10.0, rows: 10.0, width: 32 };
    cost::nested_loop(settings, outer, once, once.total_cost, settings.cpu_operator_cost, rows)
}

impl JoinGraph {
    /// What joins the two sets: equalities of classes first, then conditions.
    pub(super) fn exprs_between(&self, outer: Mask, inner: Mask) -> Vec<Expr> {
        let mut exprs: Vec<Expr> = Vec::new();
        for class in &self.classes {
            let of = |set: Mask| class.members.iter().find(|(_, relation)| set & (1 << relation) != 0);
            if let (Some((left, _)), Some((right, _))) = (of(outer), of(inner)) {
                exprs.extend(equality(*left, *right, class.ty));
            }
        }
        exprs.extend(self.conditions.iter().filter(|c| spans(c.mask, outer, inner)).map(|c| c.expr.clone()));
        exprs
    }

    /// The columns of a set that joins with others will read.
    pub(super) fn needed_outside(&self, set: Mask, needed: &mut IdSet) {
        for class in self.classes.iter().filter(|class| class.mask & !set != 0 && class.mask & set != 0) {
            if let Some((id, _)) = class.members.iter().find(|(_, relation)| set & (1 << relation) != 0) {
                needed.insert(*id);
            }
        }
        for condition in self.conditions.iter().filter(|c| c.mask & !set != 0 && c.mask & set != 0) {
            needed.extend(&condition.ids);
        }
    }

    fn connected(&self, a: Mask, b: Mask) -> bool {
        self.classes.iter().any(|class| class.mask & a != 0 && class.mask & b != 0)
            || self.conditions.iter().any(|c| spans(c.mask, a, b))
            || self.needy & a != 0 && bits(a).any(|i| self.needs[i] & b != 0)
            || self.needy & b != 0 && bits(b).any(|i| self.needs[i] & a != 0)
            || self.is_whole(a) && self.is_whole(b)
    }

    /// Whether a set takes no part of a component without the rest: then only a cross product is left.
    fn is_whole(&self, set: Mask) -> bool {
        self.components.len() > 1 && self.components.iter().all(|part| part & set == 0 || part & !set == 0)
    }

    /// The column of a relation that is equal to another one in every row of the result.
    pub(super) fn equal_column(&self, id: ColumnId, relation: usize) -> Option<ColumnId> {
        let class =
            self.classes.iter().find(|class| class.members.iter().any(|(member, _)| *member == id))?;
        class.members.iter().find(|(_, of)| *of == relation).map(|(member, _)| *member)
    }

    /// The column of a relation that the only equality between it and a set compares, if that is one with a column that is
    /// equal to `id`.
    pub(super) fn merge_key(&self, outer: Mask, relation: usize, id: ColumnId) -> Option<ColumnId> {
        let inner = 1 << relation;
        let mut joining = self.classes.iter().filter(|c| c.mask & outer != 0 && c.mask & inner != 0);
        let class = joining.next()?;
        let fits = joining.next().is_none() && class.members.iter().any(|(member, _)| *member == id);
        if !fits {
            return None;
        }
        class.members.iter().find(|(_, of)| *of == relation).map(|(member, _)| *member)
    }

    /// The rows of a set, and how wide they are.
    fn size(&self, set: Mask) -> (f64, u32) {
        (self.set_rows(set), self.width(set))
    }

    fn width(&self, set: Mask) -> u32 {
        bits(set).map(|i| self.widths[i]).sum()
    }

    fn set_rows(&self, set: Mask) -> f64 {
        let mut rows: f64 = bits(set).map(|i| self.rows[i]).product();
        for class in &self.classes {
            if (class.mask & set).count_ones() < 2 {
                continue;
            }
            let (mut product, mut smallest) = (1.0f64, f64::MAX);
            for (_, distinct) in class.distinct.iter().filter(|(i, _)| set & (1 << i) != 0) {
                product *= distinct;
                smallest = smallest.min(*distinct);
            }
            rows *= smallest / product;
        }
        for condition in self.conditions.iter().filter(|c| c.mask & !set == 0) {
            rows *= condition.selectivity;
        }
        for (_, factor) in self.corrections.iter().filter(|(pair, _)| pair & !set == 0) {
            rows *= factor;
        }
        rows.max(1.0).round()
    }

    /// What joins two sets.
    fn pair(&self, a: Mask, b: Mask) -> Pair {
        let mut keys = self.classes.iter().filter(|class| class.mask & a != 0 && class.mask & b != 0).count();
        let mut rest = 0.0;
        for condition in self.conditions.iter().filter(|c| spans(c.mask, a, b)) {
            match condition.equates {
                Some((l, r)) if l & !a == 0 && r & !b == 0 || l & !b == 0 && r & !a == 0 => keys += 1,
                _ => rest += condition.cost,
            }
        }
        Pair { a, b, keys, rest }
    }
}

/// Whether a condition on `mask` becomes applicable when two sets are joined.
fn spans(mask: Mask, a: Mask, b: Mask) -> bool {
    mask & a != 0 && mask & b != 0 && mask & !(a | b) == 0
}

fn equality(left: ColumnId, right: ColumnId, ty: SqlType) -> Option<Expr> {
    let comparison = btree_comparison(ty.oid)?;
    let args = vec![Expr::Column { index: left, ty }, Expr::Column { index: right, ty }];
    Some(Expr::call(comparison.equal.function, args, SqlType::BOOL))
}

impl PlanBuilder<'_> {
    /// Sorts the conditions of a cluster whose relations are planned.
    pub(super) fn join_graph(
        &self,
        relations: &[Relation<'_>],
        spanning: Vec<(Expr, Mask, IdSet)>,
    ) -> JoinGraph {
        let mut classes: Vec<Class> = Vec::new();
        let mut conditions: Vec<Condition> = Vec::new();
        let of = |id: ColumnId| relations.iter().position(|relation| relation.ids.contains(id));
        for (expr, mask, ids) in spanning {
            if let Some((left, right, ty)) = class_equality(&expr)
                && let (Some(l), Some(r)) = (of(left), of(right))
                && relations[l].needs == 0
                && relations[r].needs == 0
                && add_equality(&mut classes, (left, l), (right, r), ty)
            {
                continue;
            }
            let rows = bits(mask).map(|i| relations[i].rows).fold(1.0, f64::max);
            let equates = match comparison_of(&expr) {
                Some((Operation::Equal, l, r)) => {
                    let side = |expr: &Expr| {
                        expr.columns().into_iter().filter_map(of).fold(0, |mask: Mask, i| mask | 1 << i)
                    };
                    let (l, r) = (side(l), side(r));
                    (l != 0 && r != 0 && l & r == 0).then_some((l, r))
                }
                _ => None,
            };
            let mut selectivity = self.selectivity(&expr, rows);
            // What each relation's share of an OR has already left out is not left out again.
            if let Expr::Or(_) = &expr {
                for i in bits(mask) {
                    if let Some(part) =
                        crate::optimize::or_restriction(&expr, &|id| relations[i].ids.contains(id))
                    {
                        selectivity /= self.selectivity(&part, rows).max(1e-6);
                    }
                }
                selectivity = selectivity.min(1.0);
            }
            conditions.push(Condition { selectivity, cost: expr_cost(&expr), equates, expr, mask, ids });
        }
        for class in &mut classes {
            for (id, relation) in &class.members {
                // Of a table whose conditions leave few rows, the rows that went had their share of partners.
                let of_table = self.column_of(*id).is_some();
                let rows = if of_table { f64::MAX } else { relations[*relation].rows };
                let distinct = self.distinct_values(*id, rows);
                match class.distinct.iter_mut().find(|(known, _)| known == relation) {
                    Some((_, known)) => *known = known.max(distinct),
                    None => class.distinct.push((*relation, distinct)),
                }
            }
        }
        let corrections = self.key_corrections(relations, &classes);
        let needs: Vec<Mask> = relations.iter().map(|relation| relation.needs).collect();
        let probed = relations
            .iter()
            .map(|relation| {
                relation.needs == 0
                    && (relation_set(relation.plan).is_some()
                        || base_table(relation.plan).is_some_and(|(table, _)| {
                            self.tables[table].table.indexes.iter().any(|index| {
                                index.keys.first().is_some_and(|key| {
                                    key.number <= 0 || self.joins_on(table, key.number, &classes, &conditions)
                                })
                            })
                        }))
            })
            .collect();
        let mut graph = JoinGraph {
            conditions,
            classes,
            needy: needs
                .iter()
                .enumerate()
                .filter(|(_, needs)| **needs != 0)
                .fold(0, |all, (i, _)| all | 1 << i),
            needs,
            rows: relations.iter().map(|relation| relation.rows).collect(),
            widths: relations.iter().map(|relation| relation.width).collect(),
            corrections,
            components: Vec::new(),
            probed,
        };
        graph.components = components(&graph, relations.len());
        graph
    }

    /// Whether a column of a table is joined with anything.
    fn joins_on(&self, table: usize, number: i16, classes: &[Class], conditions: &[Condition]) -> bool {
        let position = number as usize - 1;
        let column = self.tables[table]
            .columns
            .iter()
            .find(|(column, _)| matches!(column, crate::physical::ScanColumn::Table(at) if *at == position));
        let Some((_, id)) = column else { return false };
        classes.iter().any(|class| class.members.iter().any(|(member, _)| member == id))
            || conditions.iter().any(|condition| condition.expr.columns().contains(id))
    }

    /// Pairs of relations of which one's unique key of several columns is equal to columns of the other.
    fn key_corrections(&self, relations: &[Relation<'_>], classes: &[Class]) -> Vec<(Mask, f64)> {
        let mut corrections = Vec::new();
        for (j, relation) in relations.iter().enumerate() {
            let Some((table, _)) = base_table(relation.plan) else { continue };
            let used = &self.tables[table];
            for index in used.table.indexes.iter().filter(|index| index.unique && index.predicate.is_none()) {
                if index.keys.len() < 2 {
                    continue;
                }
                let of_key: Option<Vec<&Class>> = index
                    .keys
                    .iter()
                    .map(|key| {
                        let position = usize::try_from(key.number).ok()?.checked_sub(1)?;
                        let (_, id) = used.columns.iter().find(|(column, _)| {
                            matches!(column, crate::physical::ScanColumn::Table(at) if *at == position)
                        })?;
                        classes.iter().find(|class| class.members.iter().any(|(member, _)| member == id))
                    })
                    .collect();
                let Some(of_key) = of_key else { continue };
                let (_, tuples) = super::selectivity::table_size(used);
                for i in (0..relations.len()).filter(|i| *i != j) {
                    let mut selectivity = 1.0;
                    let all = of_key.iter().all(|class| {
                        let of = |relation| {
                            class.distinct.iter().find(|(known, _)| *known == relation).map(|(_, d)| *d)
                        };
                        let (Some(a), Some(b)) = (of(i), of(j)) else { return false };
                        selectivity /= a.max(b);
                        true
                    });
                    let factor = 1.0 / tuples.max(1.0) / selectivity;
                    if all && factor > 1.0 {
                        corrections.push((1 << i | 1 << j, factor));
                    }
                }
            }
        }
        corrections
    }

    /// The cheapest way to join all relations: for each set on the way its last step. Where an order or only some rows are
    /// wanted also ways that stream; `planned` are relations that are no tables, planned for the wanted order.
    pub(super) fn order_cluster(
        &self,
        relations: &[Relation<'_>],
        graph: &JoinGraph,
        needed: &IdSet,
        wanted: &Wanted,
        planned: HashMap<usize, Node>,
    ) -> Result<(Memo, Streams)> {
        let count = relations.len();
        let all = if count == MAX_RELATIONS { Mask::MAX } else { (1 << count) - 1 };
        let mut search = Search {
            builder: self,
            relations,
            graph,
            needed,
            paths: HashMap::new(),
            memo: Memo::default(),
            pairs: Vec::new(),
        };
        if count <= MAX_EXHAUSTIVE {
            search.memo = Memo::dense(count);
            search.singles();
            if search.exhaustive(all) {
                let streams = match wanted.order.is_empty() && wanted.rows.is_none() {
                    true => Streams::default(),
                    false => search.stream(all, wanted, planned),
                };
                return Ok((search.memo, streams));
            }
        }
        search.memo = Memo::default();
        search.singles();
        search.greedy(all)?;
        Ok((search.memo, Streams::default()))
    }
}

/// The columns and the type of an equality that can be one of a class.
fn class_equality(expr: &Expr) -> Option<(ColumnId, ColumnId, SqlType)> {
    let (Operation::Equal, Expr::Column { index: left, ty }, Expr::Column { index: right, ty: other }) =
        comparison_of(expr)?
    else {
        return None;
    };
    let comparison = btree_comparison(ty.oid)?;
    let own = comparison.equal.left == ty.oid && comparison.equal.right == ty.oid;
    (ty.oid == other.oid && own).then_some((*left, *right, ty.with_typmod(-1)))
}

/// Makes two columns members of one class. Not when it would have two columns of one relation: those need not be equal in
/// the relation's own rows.
fn add_equality(
    classes: &mut Vec<Class>,
    left: (ColumnId, usize),
    right: (ColumnId, usize),
    ty: SqlType,
) -> bool {
    let find = |classes: &[Class], id: ColumnId| {
        classes.iter().position(|class| class.members.iter().any(|(member, _)| *member == id))
    };
    let at = match (find(classes, left.0), find(classes, right.0)) {
        (None, None) => {
            classes.push(Class { members: Vec::new(), ty, mask: 0, distinct: Vec::new() });
            classes.len() - 1
        }
        (Some(at), None) if classes[at].mask & 1 << right.1 == 0 => at,
        (None, Some(at)) if classes[at].mask & 1 << left.1 == 0 => at,
        (Some(a), Some(b)) if a == b => return true,
        (Some(a), Some(b)) if classes[a].mask & classes[b].mask == 0 => {
            let (keep, gone) = (a.min(b), a.max(b));
            let merged = classes.remove(gone);
            classes[keep].mask |= merged.mask;
            classes[keep].members.extend(merged.members);
            keep
        }
        _ => return false,
    };
    let class = &mut classes[at];
    for member in [left, right] {
        if !class.members.contains(&member) {
            class.members.push(member);
            class.mask |= 1 << member.1;
        }
    }
    true
}

/// The sets of relations that are connected in any way.
fn components(graph: &JoinGraph, count: usize) -> Vec<Mask> {
    let mut parts: Vec<Mask> = (0..count).map(|i| 1 << i).collect();
    let edges = graph
        .classes
        .iter()
        .map(|class| class.mask)
        .chain(graph.conditions.iter().map(|condition| condition.mask))
        .chain(graph.needs.iter().enumerate().map(|(i, needs)| needs | 1 << i));
    for edge in edges {
        let (touched, mut others): (Vec<Mask>, Vec<Mask>) = parts.iter().partition(|part| *part & edge != 0);
        others.push(touched.into_iter().fold(0, |all, part| all | part));
        parts = others;
    }
    parts
}

pub(super) struct Search<'s, 'p> {
    pub builder: &'s PlanBuilder<'p>,
    pub relations: &'s [Relation<'s>],
    pub graph: &'s JoinGraph,
    pub needed: &'s IdSet,
    /// Index scans of relations by the conditions that they use and the order of magnitude of their runs.
    paths: HashMap<(usize, u64, i32), Option<(Estimate, u32)>>,
    pub memo: Memo,
    /// What the exhaustive search has joined, set by set.
    pub pairs: Vec<Pair>,
}

impl Search<'_, '_> {
    fn singles(&mut self) {
        for (i, relation) in self.relations.iter().enumerate() {
            if let Some(node) = &relation.node {
                let estimate = node.plan.estimate;
                let disabled = self.builder.disabled().count(&node.plan);
                let step = Step::single(estimate, disabled);
                self.memo.put(1 << i, step);
            }
        }
    }

    /// Every set from every pair of its parts; false when that is too much work.
    fn exhaustive(&mut self, all: Mask) -> bool {
        for set in 3..=all {
            if single(set).is_some() {
                continue;
            }
            let mut size = None;
            // Each pair once: the first part has the lowest relation.
            let lowest = set & set.wrapping_neg();
            let rest = set ^ lowest;
            let mut part = rest;
            loop {
                part = part.wrapping_sub(1) & rest;
                // `part` runs through the proper subsets of `rest`, the empty one last.
                let (a, b) = (part | lowest, rest ^ part);
                if self.possible(a, b) {
                    let size = *size.get_or_insert_with(|| self.graph.size(set));
                    if self.pairs.len() == MAX_PAIRS {
                        return false;
                    }
                    let pair = self.graph.pair(a, b);
                    self.consider(&pair, size);
                    self.pairs.push(pair);
                }
                if part == 0 {
                    break;
                }
            }
        }
        single(all).is_some() || self.memo.has(all)
    }

    /// Joins the two parts with the fewest resulting rows until one is left.
    fn greedy(&mut self, all: Mask) -> Result<()> {
        let mut parts: Vec<Mask> = (0..self.relations.len()).map(|i| 1 << i).collect();
        let mut cross = false;
        while parts.len() > 1 {
            let mut best: Option<(f64, usize, usize)> = None;
            for i in 0..parts.len() {
                for j in i + 1..parts.len() {
                    let (a, b) = (parts[i], parts[j]);
                    if !self.complete(a, b) || !(cross || self.graph.connected(a, b)) {
                        continue;
                    }
                    let rows = self.graph.set_rows(a | b);
                    if best.is_none_or(|(fewest, ..)| rows < fewest) {
                        best = Some((rows, i, j));
                    }
                }
            }
            let Some((rows, i, j)) = best else {
                if cross {
                    return Err(Error::internal("no order for a join was found"));
                }
                // Conditions over three and more relations may leave nothing but cross products.
                cross = true;
                continue;
            };
            cross = false;
            let pair = self.graph.pair(parts[i], parts[j]);
            self.consider(&pair, (rows, self.graph.width(pair.set())));
            parts.remove(j);
            parts[i] = pair.set();
        }
        match self.memo.get(all) {
            Some(_) => Ok(()),
            None => Err(Error::internal("no order for a join was found")),
        }
    }

    /// Whether both parts can be made, or one is a lateral relation that has what it mentions in the other.
    #[inline]
    fn complete(&self, a: Mask, b: Mask) -> bool {
        let lateral = |inner: Mask, outer: Mask| {
            let needs = single(inner).map_or(0, |relation| self.graph.needs[relation]);
            needs != 0 && needs & !outer == 0
        };
        match (self.memo.has(a), self.memo.has(b)) {
            (true, true) => true,
            (true, false) => lateral(b, a),
            (false, true) => lateral(a, b),
            (false, false) => false,
        }
    }

    fn possible(&self, a: Mask, b: Mask) -> bool {
        self.complete(a, b) && self.graph.connected(a, b)
    }

    /// Notes the cheapest way to join two parts, either way round, if it is the cheapest for their set.
    fn consider(&mut self, pair: &Pair, (rows, width): (f64, u32)) {
        let settings = self.builder.settings();
        let (set, Pair { a, b, keys, rest }) = (pair.set(), *pair);
        let (Some(first), Some(second)) = (self.memo.get(a).copied(), self.memo.get(b).copied()) else {
            let (outer, inner) = if self.memo.has(a) { (a, b) } else { (b, a) };
            let Some(before) = self.memo.get(outer).copied() else { return };
            let so_far = before.estimate;
            let disabled = before.disabled + u32::from(!settings.enable_nestloop);
            let (startup_cost, total_cost) = lateral_costs(settings, so_far, rows);
            let estimate = Estimate { startup_cost, total_cost, rows, width };
            self.offer(set, Step { outer, inner, method: Method::Lateral, estimate, disabled });
            return;
        };
        let estimate =
            |(startup_cost, total_cost): (f64, f64)| Estimate { startup_cost, total_cost, rows, width };
        let both = first.disabled + second.disabled;
        let off = |on: bool| u32::from(!on);
        let qual = (rest + keys as f64) * settings.cpu_operator_cost;
        for (outer, inner, before, i) in [(a, b, first, second.estimate), (b, a, second, first.estimate)] {
            let o = before.estimate;
            let kept = Estimate { total_cost: i.total_cost + 2.0 * settings.cpu_operator_cost * i.rows, ..i };
            let rescan = i.rows * settings.cpu_operator_cost;
            let looped = estimate(cost::nested_loop(settings, o, kept, rescan, qual, rows));
            let disabled = both + off(settings.enable_nestloop);
            self.offer(set, Step { outer, inner, method: Method::Loop, estimate: looped, disabled });
            if keys > 0 {
                let hashed = estimate(cost::hash_join(settings, o, i, keys, rows, rows));
                let disabled = both + off(settings.enable_hashjoin);
                self.offer(set, Step { outer, inner, method: Method::Hash, estimate: hashed, disabled });
            }
            if let Some(relation) = single(inner)
                && self.graph.probed[relation]
                && let Some((path, of_path)) = self.probe(outer, relation, o.rows)
            {
                let probed = estimate(cost::nested_loop(settings, o, path, path.total_cost, 0.0, rows));
                let disabled = before.disabled + of_path + off(settings.enable_nestloop);
                self.offer(set, Step { outer, inner, method: Method::Index, estimate: probed, disabled });
            }
        }
        let least = first.estimate.total_cost
            + second.estimate.total_cost
            + cost::least_of_sort(settings, first.estimate.rows)
            + cost::least_of_sort(settings, second.estimate.rows);
        if keys > 0 && self.would_take(set, Price { disabled: both, cost: least }) {
            let l = cost::sort(settings, first.estimate, None);
            let r = cost::sort(settings, second.estimate, None);
            let merged = cost::merge_join(
                settings,
                Estimate { rows: first.estimate.rows, ..l },
                Estimate { rows: second.estimate.rows, ..r },
                keys,
                rows,
            );
            let disabled = both + off(settings.enable_mergejoin) + 2 * off(settings.enable_sort);
            let estimate = estimate(merged);
            self.offer(set, Step { outer: a, inner: b, method: Method::Merge, estimate, disabled });
        }
    }

    fn offer(&mut self, set: Mask, step: Step) {
        if self.would_take(set, step.price()) {
            self.memo.put(set, step);
        }
    }

    /// Whether a step of that price would be the cheapest for a set.
    fn would_take(&self, set: Mask, price: Price) -> bool {
        self.memo.get(set).is_none_or(|known| price.is_below(known.price()))
    }

    /// What an index scan of a relation by values of a set takes, and how many of its nodes are switched off.
    pub(super) fn probe(&mut self, outer: Mask, relation: usize, loops: f64) -> Option<(Estimate, u32)> {
        let graph = self.graph;
        let inner = 1 << relation;
        let mut used = 0u64;
        for (number, class) in graph.classes.iter().enumerate() {
            if class.mask & outer != 0 && class.mask & inner != 0 {
                used |= 1 << (number % 64);
            }
        }
        for (number, condition) in graph.conditions.iter().enumerate() {
            if spans(condition.mask, outer, inner) {
                used ^= (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            }
        }
        let magnitude = loops.max(1.0).log2().round() as i32;
        let key = (relation, used, magnitude);
        if let Some(path) = self.paths.get(&key) {
            return *path;
        }
        let applicable = graph.exprs_between(outer, inner);
        let found = self.builder.parameterised(&self.relations[relation], &applicable, self.needed, loops);
        self.paths.insert(key, found);
        found
    }
}

/// The relations of a set, with the conditions on its rows.
pub(super) fn relation_set(plan: &Logical) -> Option<(&SetInputs, Vec<Expr>)> {
    match plan {
        Logical::Append(inputs) if inputs.set.is_some() => Some((inputs, Vec::new())),
        Logical::Filter { input, predicates } => {
            let (inputs, mut all) = relation_set(input)?;
            all.extend(predicates.iter().cloned());
            Some((inputs, all))
        }
        _ => None,
    }
}

impl PlanBuilder<'_> {
    /// What it takes to read a relation by values of the relations before it, and how many of the nodes are switched off: an
    /// index scan of a table, or one of each relation of a set.
    pub(super) fn parameterised(
        &self,
        relation: &Relation<'_>,
        applicable: &[Expr],
        needed: &IdSet,
        loops: f64,
    ) -> Option<(Estimate, u32)> {
        let Some((inputs, mut all)) = relation_set(relation.plan) else {
            let path = self.parameterised_path(relation, applicable, needed, loops)?;
            return Some((path.estimate, path.disabled));
        };
        all.extend(relation.local.iter().cloned());
        all.extend(applicable.iter().cloned());
        if all.iter().any(|condition| self.has_row_subplan(condition)) {
            return None;
        }
        let mut sum = Estimate { width: relation.width, ..Estimate::default() };
        let mut disabled = 0;
        for (plan, ids) in pushed_into(inputs, &all).inputs {
            let (table, predicates) = base_table(&plan)?;
            if matches!(self.verdict(&plan, table), Verdict::Skip) {
                continue;
            }
            let pairs = inputs.columns.iter().zip(&ids).filter(|(id, _)| needed.contains(**id));
            let own = IdSet::of(pairs.map(|(_, own)| *own));
            let path = self.choose_scan(table, &predicates, &own, &Wanted::default(), loops.max(2.0));
            if !path.is_narrowed() {
                return None;
            }
            sum.startup_cost += path.estimate.startup_cost;
            sum.total_cost +=
                path.estimate.total_cost + path.estimate.rows * self.settings().cpu_tuple_cost * 0.5;
            sum.rows += path.estimate.rows;
            disabled += path.disabled;
        }
        Some((sum, disabled))
    }

    /// An index scan of a relation by values of the relations before it.
    pub(super) fn parameterised_path(
        &self,
        relation: &Relation<'_>,
        applicable: &[Expr],
        needed: &IdSet,
        loops: f64,
    ) -> Option<ScanPath> {
        let (table, mut all) = base_table(relation.plan)?;
        all.extend(relation.local.iter().cloned());
        let local = all.len();
        all.extend(applicable.iter().cloned());
        if all[local..].iter().any(|condition| self.has_row_subplan(condition)) {
            return None;
        }
        let path = self.choose_scan(table, &all, needed, &Wanted::default(), loops.max(2.0));
        path.is_narrowed().then_some(path)
    }
}
