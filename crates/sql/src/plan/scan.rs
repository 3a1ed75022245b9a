//! How a table is read: all of it, by an index, by bitmaps of indexes, or by row id.

use std::sync::Arc;

use ochre_base::Result;
use ochre_catalog::{IndexDescriptor, IndexMethod};
use ochre_expr::Expr;

use super::bitmap::{Bitmap, TableSize};
use super::cost::{self, IndexWork};
use super::index_match::{GinMatch, IndexMatch, KeyColumn, KeyMatch, Operation, RowMatch, comparison_of};
use super::selectivity::table_size;
use super::{Node, OrderKey, PlanBuilder, Price, Wanted};
use crate::idset::IdSet;
use crate::logical::{ColumnId, SampleGet, TableId};
use crate::physical::{
    BitmapScanPlan, Estimate, GinCondition, IndexBounds, IndexScanPlan, KeyBound, KeyCondition, KeyRange,
    KeyValue, PhysicalPlan, PlanNode, RowBound, SampleClause, SampleMethod, ScanColumn, ScanDirection,
    ScanSource, SeqScanPlan, TidCondition, TidScanPlan,
};

/// A way to read a table.
#[derive(Debug, Clone)]
pub(crate) struct ScanPath {
    /// Rows, width and costs.
    pub estimate: Estimate,
    /// Whether its method is switched off: 1 or 0.
    pub disabled: u32,
    method: Method,
}

#[derive(Debug, Clone)]
enum Method {
    Seq,
    Tid(Expr, usize),
    Index(Box<IndexPath>),
    Bitmap(Box<Bitmap>),
}

#[derive(Debug, Clone)]
struct IndexPath {
    index: Arc<IndexDescriptor>,
    matched: IndexMatch,
    direction: ScanDirection,
    index_only: bool,
    order: Vec<OrderKey>,
    unique_match: bool,
}

impl ScanPath {
    /// The order of the rows.
    pub fn order(&self) -> &[OrderKey] {
        match &self.method {
            Method::Index(path) => &path.order,
            _ => &[],
        }
    }

    /// Whether it is by an index that the predicates narrow.
    pub fn is_narrowed(&self) -> bool {
        match &self.method {
            Method::Index(path) => !path.matched.is_empty(),
            Method::Tid(..) | Method::Bitmap(_) => true,
            Method::Seq => false,
        }
    }
}

impl PlanBuilder<'_> {
    /// The cheapest way to read a table's rows that satisfy the predicates.
    ///
    /// `required` are ids that must come out; `loops` is how often the scan will be run.
    pub(crate) fn choose_scan(
        &self,
        table: TableId,
        predicates: &[Expr],
        required: &IdSet,
        wanted: &Wanted,
        loops: f64,
    ) -> ScanPath {
        let settings = self.settings();
        let used = &self.tables[table];
        let own = IdSet::of(used.columns.iter().map(|(_, id)| *id));
        let (pages, tuples) = table_size(used);
        let mut fetched = IdSet::default();
        for (_, id) in &used.columns {
            if required.contains(*id) {
                fetched.insert(*id);
            }
        }
        let width = self.width_of(&fetched.iter().collect::<smallvec::SmallVec<[ColumnId; 16]>>());

        // One row by a unique key needs no look at costs.
        if settings.enable_indexscan {
            for index in &used.table.indexes {
                if !index.unique
                    || !index.immediate
                    || !settings.may_use(index)
                    || index.predicate.is_some()
                    || index.keys.len() > predicates.len()
                {
                    continue;
                }
                let Some(keys) = self.key_columns(table, index) else { continue };
                let matched = self.match_index(index, &keys, predicates, &own);
                if matched.is_full_equality(index) {
                    return self.index_path(
                        table, index, &keys, matched, predicates, &fetched, wanted, loops, pages, tuples,
                        width,
                    );
                }
            }
        }

        let selectivity = self.selectivity_of_all(predicates, tuples);
        let rows = (tuples * selectivity).max(1.0).round();
        let qual_cost = predicates.iter().map(expr_cost).sum::<f64>() * settings.cpu_operator_cost;
        let off = |on: bool| u32::from(!on);
        let mut best = ScanPath {
            estimate: cost::seq_scan(settings, pages, tuples, qual_cost, rows, width),
            disabled: off(settings.enable_seqscan),
            method: Method::Seq,
        };
        let price = |path: &ScanPath| -> Price {
            let price = self.price_of_wanted(path.estimate, path.order(), wanted);
            Price { disabled: path.disabled + price.disabled, ..price }
        };
        if let Some((expr, number)) = self.tid_condition(table, predicates) {
            let mut estimate = best.estimate;
            estimate.startup_cost = 0.0;
            estimate.total_cost = settings.random_page_cost + settings.cpu_tuple_cost;
            estimate.rows = 1.0;
            let disabled = off(settings.enable_tidscan);
            let path = ScanPath { estimate, disabled, method: Method::Tid(expr, number) };
            if disabled == 0 {
                return path;
            }
            if price(&path).is_below(price(&best)) {
                best = path;
            }
        }
        if used.table.file.is_none() {
            return best;
        }
        let mut matches = Vec::new();
        for index in &used.table.indexes {
            if !settings.may_use(index) || !self.implies_index_predicate(table, index, predicates) {
                continue;
            }
            let Some(keys) = self.key_columns(table, index) else { continue };
            let matched = self.match_index(index, &keys, predicates, &own);
            if matched.is_empty() && !index.is_ordered() {
                continue;
            }
            if !matched.is_empty() {
                matches.push((Arc::clone(index), matched.clone()));
            }
            if index.method == IndexMethod::Gin {
                continue;
            }
            let path = self.index_path(
                table, index, &keys, matched, predicates, &fetched, wanted, loops, pages, tuples, width,
            );
            let Method::Index(found) = &path.method else { continue };
            let useful = !found.matched.is_empty()
                || found.index_only
                || !wanted.order.is_empty() && path.order().starts_with(&wanted.order[..1])
                || index.predicate.is_some();
            if useful && price(&path).is_below(price(&best)) {
                best = path;
            }
        }
        if !matches.is_empty() || predicates.iter().any(|predicate| matches!(predicate, Expr::Or(_))) {
            let size = TableSize { pages, tuples, loops };
            if let Some((bitmap, startup_cost, total_cost)) =
                self.bitmap(table, predicates, &own, &matches, size)
            {
                let path = ScanPath {
                    estimate: Estimate { startup_cost, total_cost, rows, width },
                    disabled: off(settings.enable_bitmapscan),
                    method: Method::Bitmap(Box::new(bitmap)),
                };
                if price(&path).is_below(price(&best)) {
                    best = path;
                }
            }
        }
        best
    }

    fn tid_condition(&self, table: TableId, predicates: &[Expr]) -> Option<(Expr, usize)> {
        let used = &self.tables[table];
        let (_, row_id) = used.columns.iter().find(|(column, _)| *column == ScanColumn::RowId)?;
        for (number, predicate) in predicates.iter().enumerate() {
            let Some((Operation::Equal, left, right)) = comparison_of(predicate) else { continue };
            let is_row_id = |expr: &Expr| matches!(expr, Expr::Column { index, .. } if index == row_id);
            let own = |expr: &Expr| {
                expr.any(|node| matches!(node, Expr::Column { index, .. } if used.columns.iter().any(|(_, id)| id == index)))
            };
            if is_row_id(left) && !own(right) {
                return Some((right.clone(), number));
            }
            if is_row_id(right) && !own(left) {
                return Some((left.clone(), number));
            }
        }
        None
    }

    #[allow(clippy::too_many_arguments, reason = "what is known of an index and of the query")]
    fn index_path(
        &self,
        table: TableId,
        index: &Arc<IndexDescriptor>,
        keys: &[KeyColumn],
        matched: IndexMatch,
        predicates: &[Expr],
        fetched: &IdSet,
        wanted: &Wanted,
        loops: f64,
        pages: f64,
        tuples: f64,
        width: u32,
    ) -> ScanPath {
        let settings = self.settings();
        let used = &self.tables[table];
        let unique_match = index.unique && index.immediate && matched.is_full_equality(index);
        // Columns that are fetched: what comes out and what remaining predicates read.
        let mut needed = fetched.clone();
        for (number, predicate) in predicates.iter().enumerate() {
            if !matched.exact.contains(&number) {
                for id in predicate.columns() {
                    if self.columns[id].table == Some(table) {
                        needed.insert(id);
                    }
                }
            }
        }
        let index_only = settings.enable_indexonlyscan
            && index.is_ordered()
            && index.predicate.is_none()
            && used.columns.iter().filter(|(_, id)| needed.contains(*id)).all(|(column, _)| match column {
                ScanColumn::Table(position) => {
                    let number = i16::try_from(position + 1).unwrap_or(0);
                    index.keys.iter().any(|key| key.number == number) || index.included.contains(&number)
                }
                ScanColumn::TableOid => true,
                _ => false,
            });
        let (order, direction) = self.index_order(index, keys, &matched, wanted);
        let used_predicates: Vec<Expr> = matched.used.iter().map(|i| predicates[*i].clone()).collect();
        let index_selectivity = if unique_match {
            1.0 / tuples.max(1.0)
        } else {
            self.selectivity_of_all(&used_predicates, tuples)
        };
        let rest: Vec<&Expr> = predicates
            .iter()
            .enumerate()
            .filter(|(i, _)| !matched.exact.contains(i))
            .map(|(_, p)| p)
            .collect();
        let rest_selectivity: f64 = predicates
            .iter()
            .enumerate()
            .filter(|(number, _)| !matched.exact.contains(number) && !matched.used.contains(number))
            .map(|(_, predicate)| self.selectivity(predicate, tuples))
            .product();
        let rows = if unique_match {
            1.0
        } else {
            (tuples
                * self
                    .selectivity_of_all(predicates, tuples)
                    .min(index_selectivity * rest_selectivity.max(1e-12)))
            .max(1.0)
            .round()
        };
        let index_pages = if index.page_estimate > 0 {
            f64::from(index.page_estimate)
        } else {
            (tuples / 250.0).ceil().max(1.0)
        };
        let correlation = match keys.first() {
            Some(KeyColumn::Column(id)) => {
                self.statistics(*id).map_or(0.0, |statistics| statistics.correlation.unwrap_or(0.0))
            }
            _ => 0.0,
        };
        let (startup_cost, total_cost) = cost::index_scan(
            settings,
            IndexWork {
                index_selectivity,
                index_tuples: tuples,
                index_pages,
                table_pages: pages,
                correlation,
                index_only,
                searches: matched.searches(),
                loops,
                qual_cost: rest.iter().map(|p| expr_cost(p)).sum::<f64>() * settings.cpu_operator_cost,
            },
        );
        ScanPath {
            estimate: Estimate { startup_cost, total_cost, rows, width },
            disabled: u32::from(!settings.enable_indexscan),
            method: Method::Index(Box::new(IndexPath {
                index: Arc::clone(index),
                matched,
                direction,
                index_only,
                order,
                unique_match,
            })),
        }
    }

    /// The order that an index scan yields, in the direction that suits the wanted one.
    fn index_order(
        &self,
        index: &IndexDescriptor,
        keys: &[KeyColumn],
        matched: &IndexMatch,
        wanted: &Wanted,
    ) -> (Vec<OrderKey>, ScanDirection) {
        if !index.is_ordered() {
            return (Vec::new(), ScanDirection::Forward);
        }
        let fixed = |position: usize| {
            matches!(matched.keys.get(position), Some(KeyMatch::Equal(..) | KeyMatch::IsNull))
        };
        let walk = |backward: bool| {
            let mut order = Vec::new();
            for (position, key) in keys.iter().enumerate() {
                let KeyColumn::Column(id) = key else {
                    if fixed(position) {
                        continue;
                    }
                    break;
                };
                let descriptor = &index.keys[position];
                let descending = descriptor.descending != backward;
                let nulls_first = descriptor.nulls_first != backward;
                if fixed(position) {
                    // One value only: it has every order, and takes the wanted one.
                    if let Some(key) = wanted.order.get(order.len()).filter(|key| key.id == *id) {
                        order.push(*key);
                    }
                    continue;
                }
                order.push(OrderKey { id: *id, descending, nulls_first });
            }
            order
        };
        let forward = walk(false);
        if wanted.order.is_empty() {
            return (forward, ScanDirection::Forward);
        }
        let agreement = |order: &[OrderKey]| {
            order.iter().zip(&wanted.order).take_while(|(have, want)| have == want).count()
        };
        let backward = walk(true);
        if agreement(&backward) > agreement(&forward) {
            (backward, ScanDirection::Backward)
        } else {
            (forward, ScanDirection::Forward)
        }
    }

    /// Reads a table.
    pub(crate) fn plan_scan(
        &mut self,
        table: TableId,
        predicates: &[Expr],
        required: &IdSet,
        wanted: &Wanted,
    ) -> Result<Node> {
        let path = self.choose_scan(table, predicates, required, wanted, 1.0);
        self.build_scan(table, predicates, required, path)
    }

    /// Reads some rows of a table, chosen by chance: all of it is looked at, or all of some blocks.
    pub(crate) fn plan_sample(
        &mut self,
        sample: &SampleGet,
        predicates: &[Expr],
        required: &IdSet,
    ) -> Result<Node> {
        let settings = self.settings();
        let used = &self.tables[sample.table];
        let (pages, tuples) = table_size(used);
        let share = match &sample.percent {
            Expr::Constant { value: ochre_types::Datum::Float32(percent), .. } => {
                (f64::from(*percent) / 100.0).clamp(0.0, 1.0)
            }
            _ => 0.1,
        };
        let qual_cost = predicates.iter().map(expr_cost).sum::<f64>() * settings.cpu_operator_cost;
        let rows = tuples * share;
        let pages = match sample.method {
            SampleMethod::Bernoulli => pages,
            SampleMethod::System => (pages * share).ceil(),
        };
        let selected = (rows * self.selectivity_of_all(predicates, tuples)).max(1.0).round();
        let estimate = cost::seq_scan(settings, pages, rows, qual_cost, selected, 0);
        let width = self.width_of(
            &used.columns.iter().map(|(_, id)| *id).filter(|id| required.contains(*id)).collect::<Vec<_>>(),
        );
        let estimate = Estimate { width, ..estimate };
        let path = ScanPath { estimate, disabled: 0, method: Method::Seq };
        let mut node = self.build_scan(sample.table, predicates, required, path)?;
        let percent = self.resolve(&sample.percent, &[])?;
        let seed = sample.seed.as_ref().map(|seed| self.resolve(seed, &[])).transpose()?;
        if let PlanNode::SeqScan(scan) = &mut node.plan.node {
            scan.sample = Some(Box::new(SampleClause { method: sample.method, percent, seed }));
        }
        Ok(node)
    }

    /// Makes the operator of a path.
    pub(crate) fn build_scan(
        &mut self,
        table: TableId,
        predicates: &[Expr],
        required: &IdSet,
        path: ScanPath,
    ) -> Result<Node> {
        let ScanPath { estimate, method, .. } = path;
        let descriptor = Arc::clone(&self.tables[table].table);
        let alias = Arc::clone(&self.tables[table].alias);
        let exact: &[usize] = match &method {
            Method::Index(path) => &path.matched.exact,
            Method::Tid(_, number) => std::slice::from_ref(number),
            Method::Bitmap(bitmap) => &bitmap.exact,
            Method::Seq => &[],
        };
        // A row that is in a bitmap by the key of another version is asked again.
        let again: Vec<Expr> = match &method {
            Method::Bitmap(bitmap) => bitmap.used.iter().map(|number| predicates[*number].clone()).collect(),
            _ => Vec::new(),
        };
        let mut fetch = Vec::new();
        let mut ids: Vec<ColumnId> = Vec::new();
        for (column, id) in &self.tables[table].columns {
            if required.contains(*id) {
                fetch.push(*column);
                ids.push(*id);
            }
        }
        let visible = ids.len();
        let rest: Vec<Expr> = predicates
            .iter()
            .enumerate()
            .filter(|(number, _)| !exact.contains(number))
            .map(|(_, predicate)| predicate.clone())
            .collect();
        if !rest.is_empty() || !again.is_empty() {
            let mut read = IdSet::default();
            for predicate in rest.iter().chain(&again) {
                crate::walk::mentioned(predicate, self.parts(), &mut read);
            }
            for (column, id) in &self.tables[table].columns {
                if read.contains(*id) && !required.contains(*id) {
                    fetch.push(*column);
                    ids.push(*id);
                }
            }
        }
        let filter = if rest.is_empty() {
            None
        } else {
            let predicate = Expr::and(rest);
            Some(self.resolve(&predicate, &ids)?)
        };
        let recheck = if again.is_empty() { None } else { Some(self.resolve(&Expr::and(again), &ids)?) };
        ids.truncate(visible);
        let columns = self.output_columns(&ids);
        let source = ScanSource { table: descriptor, alias, fetch, filter };
        let (node, order) = match method {
            Method::Seq => {
                (PlanNode::SeqScan(SeqScanPlan { source, parallel: false, sample: None }), Vec::new())
            }
            Method::Tid(expr, _) => {
                let value = self.resolve(&expr, &[])?;
                (PlanNode::TidScan(TidScanPlan { source, condition: TidCondition::Equal(value) }), Vec::new())
            }
            Method::Bitmap(bitmap) => {
                let bitmap = self.bitmap_source(*bitmap)?;
                (PlanNode::BitmapScan(BitmapScanPlan { source, bitmap, recheck }), Vec::new())
            }
            Method::Index(path) => {
                let bounds = self.bounds(path.matched)?;
                let scan = IndexScanPlan {
                    source,
                    index: path.index,
                    bounds,
                    direction: path.direction,
                    index_only: path.index_only,
                    unique_match: path.unique_match,
                };
                (PlanNode::IndexScan(scan), path.order)
            }
        };
        let unique = self.unique_sets(table, &ids);
        Ok(Node { plan: PhysicalPlan { node, columns, estimate }, ids, order, unique })
    }

    /// Sets of a table's columns that are unique.
    fn unique_sets(&self, table: TableId, ids: &[ColumnId]) -> Vec<Vec<ColumnId>> {
        let used = &self.tables[table];
        let mut sets = Vec::new();
        for index in &used.table.indexes {
            if !index.unique || !index.immediate || index.predicate.is_some() || !index.valid {
                continue;
            }
            let columns: Option<Vec<ColumnId>> = index
                .keys
                .iter()
                .map(|key| {
                    let position = usize::try_from(key.number - 1).ok()?;
                    // Many rows may have NULL.
                    used.table.columns[position].not_null.then_some(())?;
                    let (_, id) =
                        used.columns.iter().find(|(column, _)| *column == ScanColumn::Table(position))?;
                    ids.contains(id).then_some(*id)
                })
                .collect();
            sets.extend(columns);
        }
        sets
    }

    pub(super) fn bounds(&mut self, matched: IndexMatch) -> Result<IndexBounds> {
        let mut keys = Vec::with_capacity(matched.keys.len());
        for key in matched.keys {
            keys.push(match key {
                KeyMatch::Equal(expr, conversion) => {
                    KeyCondition::Equal(KeyValue { expr: self.resolve(&expr, &[])?, conversion })
                }
                KeyMatch::Any(expr, conversion) => {
                    KeyCondition::Any(KeyValue { expr: self.resolve(&expr, &[])?, conversion })
                }
                KeyMatch::IsNull => KeyCondition::IsNull,
            });
        }
        let mut gin = Vec::with_capacity(matched.gin.len());
        for GinMatch { column, strategy, value } in &matched.gin {
            let value = self.resolve(value, &[])?;
            gin.push(GinCondition { column: *column, strategy: *strategy, value });
        }
        let row = match matched.row {
            Some(RowMatch { values, upper, inclusive }) => {
                let mut resolved = Vec::with_capacity(values.len());
                for (expr, conversion) in values {
                    resolved.push(KeyValue { expr: self.resolve(&expr, &[])?, conversion });
                }
                Some(RowBound { values: resolved, upper, inclusive })
            }
            None => None,
        };
        if matched.lower.is_none() && matched.upper.is_none() && !matched.not_null {
            return Ok(IndexBounds { keys, range: None, row, gin });
        }
        let mut bound = |side: Option<super::index_match::BoundMatch>| -> Result<Option<KeyBound>> {
            match side {
                Some((expr, conversion, inclusive)) => Ok(Some(KeyBound {
                    value: KeyValue { expr: self.resolve(&expr, &[])?, conversion },
                    inclusive,
                })),
                None => Ok(None),
            }
        };
        let lower = bound(matched.lower)?;
        let upper = bound(matched.upper)?;
        let range = KeyRange { lower, upper, not_null: matched.not_null };
        Ok(IndexBounds { keys, range: Some(range), row, gin })
    }
}

/// How many operators an expression runs, roughly.
pub(crate) fn expr_cost(expr: &Expr) -> f64 {
    let mut cost = 0.0;
    let _ = expr.walk(&mut |node| {
        cost += match node {
            Expr::Call { function, .. } => f64::from(function.cost).max(1.0),
            Expr::ScalarArrayOp { array, .. } => match &**array {
                Expr::Constant { value: ochre_types::Datum::Array(array), .. } => array.len() as f64 * 0.5,
                _ => 5.0,
            },
            Expr::SubPlan { .. } => 100.0,
            _ => 0.0,
        };
        std::ops::ControlFlow::<()>::Continue(())
    });
    cost
}
