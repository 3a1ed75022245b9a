//! Which bitmaps of which indexes answer the conditions on a table.
//!
//! # How
//! Each index that answers some conditions is a candidate, and so is each OR of which every arm is answered by some index.
//! The cheapest candidate is taken; others that answer other conditions join it (BitmapAnd) as long as the scan becomes
//! cheaper by it.
//!
//! # Differences
//! PostgreSQL tries each candidate as the first one; an arm of an OR is matched with its own conditions alone.

use std::sync::Arc;

use ochre_base::Result;
use ochre_catalog::IndexDescriptor;
use ochre_expr::Expr;

use super::PlanBuilder;
use super::cost::{self, IndexWork};
use super::index_match::IndexMatch;
use super::scan::expr_cost;
use crate::idset::IdSet;
use crate::logical::TableId;
use crate::physical::BitmapSource;

/// A set of rows that indexes give.
#[derive(Debug, Clone)]
pub(crate) struct Bitmap {
    source: Source,
    /// Predicates that hold of every row of the set.
    pub exact: Vec<usize>,
    /// Predicates that narrowed it, exactly or not.
    pub used: Vec<usize>,
    /// Share of the table's rows.
    selectivity: f64,
    /// Cost of making the set.
    cost: f64,
}

#[derive(Debug, Clone)]
enum Source {
    Index { index: Arc<IndexDescriptor>, matched: Box<IndexMatch>, rows: f64, cost: f64 },
    And(Vec<Source>),
    Or(Vec<Source>),
}

/// The table that is read.
#[derive(Clone, Copy)]
pub(super) struct TableSize {
    pub pages: f64,
    pub tuples: f64,
    /// How often the scan will be run.
    pub loops: f64,
}

impl Bitmap {
    /// Start-up and total cost of a scan by the set.
    fn scan_cost(&self, builder: &PlanBuilder<'_>, size: TableSize, predicates: &[Expr]) -> (f64, f64) {
        let settings = builder.settings();
        let qual_cost = predicates.iter().map(expr_cost).sum::<f64>() * settings.cpu_operator_cost;
        cost::bitmap_heap(
            settings,
            self.cost,
            self.selectivity,
            size.pages,
            size.tuples,
            size.loops,
            qual_cost,
        )
    }
}

impl PlanBuilder<'_> {
    /// The cheapest set of rows for the predicates, with the start-up and total cost of its scan; `matches` are the
    /// indexes that answer some of them.
    pub(super) fn bitmap(
        &self,
        table: TableId,
        predicates: &[Expr],
        own: &IdSet,
        matches: &[(Arc<IndexDescriptor>, IndexMatch)],
        size: TableSize,
    ) -> Option<(Bitmap, f64, f64)> {
        let mut candidates: Vec<Bitmap> = matches
            .iter()
            .map(|(index, matched)| self.bitmap_of_index(index, matched.clone(), predicates, size))
            .collect();
        for (number, predicate) in predicates.iter().enumerate() {
            if let Expr::Or(arms) = predicate {
                candidates.extend(self.bitmap_of_arms(table, number, arms, predicates, own, size));
            }
        }
        let total = |bitmap: &Bitmap| bitmap.scan_cost(self, size, predicates).1;
        candidates.sort_by(|a, b| total(a).total_cmp(&total(b)));
        let mut candidates = candidates.into_iter();
        let mut best = candidates.next()?;
        for other in candidates {
            if other.used.iter().any(|number| best.used.contains(number)) {
                continue;
            }
            let both = best.clone().and(other);
            if total(&both) < total(&best) {
                best = both;
            }
        }
        let (startup_cost, total_cost) = best.scan_cost(self, size, predicates);
        Some((best, startup_cost, total_cost))
    }

    fn bitmap_of_index(
        &self,
        index: &Arc<IndexDescriptor>,
        matched: IndexMatch,
        predicates: &[Expr],
        size: TableSize,
    ) -> Bitmap {
        let used: Vec<Expr> = matched.used.iter().map(|number| predicates[*number].clone()).collect();
        let selectivity = self.selectivity_of_all(&used, size.tuples);
        let rows = (selectivity * size.tuples).max(1.0).round();
        let index_pages = if index.page_estimate > 0 {
            f64::from(index.page_estimate)
        } else {
            (size.tuples / 250.0).ceil().max(1.0)
        };
        let cost = cost::bitmap_index(
            self.settings(),
            IndexWork {
                index_selectivity: selectivity,
                index_tuples: size.tuples,
                index_pages,
                table_pages: size.pages,
                correlation: 0.0,
                index_only: true,
                searches: matched.searches(),
                loops: size.loops,
                qual_cost: 0.0,
            },
        );
        Bitmap {
            exact: matched.exact.clone(),
            used: matched.used.clone(),
            selectivity,
            cost,
            source: Source::Index { index: Arc::clone(index), matched: Box::new(matched), rows, cost },
        }
    }

    /// The union of what answers each arm of an OR.
    fn bitmap_of_arms(
        &self,
        table: TableId,
        number: usize,
        arms: &[Expr],
        predicates: &[Expr],
        own: &IdSet,
        size: TableSize,
    ) -> Option<Bitmap> {
        let mut sources = Vec::with_capacity(arms.len());
        let (mut all_exact, mut cost, mut others) = (true, 0.0, 1.0);
        for arm in arms {
            let conditions: Vec<Expr> = arm.clone().conjuncts();
            let mut known = conditions.clone();
            known.extend(predicates.iter().cloned());
            let mut best: Option<Bitmap> = None;
            for index in &self.tables[table].table.indexes {
                if !self.settings().may_use(index) || !self.implies_index_predicate(table, index, &known) {
                    continue;
                }
                let Some(keys) = self.key_columns(table, index) else { continue };
                let matched = self.match_index(index, &keys, &conditions, own);
                if matched.is_empty() {
                    continue;
                }
                let bitmap = self.bitmap_of_index(index, matched, &conditions, size);
                if best.as_ref().is_none_or(|best| {
                    bitmap.cost + bitmap.selectivity * size.tuples
                        < best.cost + best.selectivity * size.tuples
                }) {
                    best = Some(bitmap);
                }
            }
            let best = best?;
            all_exact &= best.exact.len() == conditions.len();
            cost += best.cost;
            others *= 1.0 - best.selectivity.min(1.0);
            sources.push(best.source);
        }
        Some(Bitmap {
            source: Source::Or(sources),
            exact: if all_exact { vec![number] } else { Vec::new() },
            used: vec![number],
            selectivity: 1.0 - others,
            cost,
        })
    }

    /// Makes the operator's source.
    pub(super) fn bitmap_source(&mut self, bitmap: Bitmap) -> Result<BitmapSource> {
        self.source_of(bitmap.source)
    }

    fn source_of(&mut self, source: Source) -> Result<BitmapSource> {
        Ok(match source {
            Source::Index { index, matched, rows, cost } => {
                BitmapSource::Index { index, bounds: self.bounds(*matched)?, rows, cost }
            }
            Source::And(parts) => BitmapSource::And(self.sources_of(parts)?),
            Source::Or(parts) => BitmapSource::Or(self.sources_of(parts)?),
        })
    }

    fn sources_of(&mut self, parts: Vec<Source>) -> Result<Vec<BitmapSource>> {
        parts.into_iter().map(|part| self.source_of(part)).collect()
    }
}

impl Bitmap {
    /// The rows of both.
    fn and(mut self, other: Bitmap) -> Bitmap {
        let mut parts = match self.source {
            Source::And(parts) => parts,
            one => vec![one],
        };
        parts.push(other.source);
        self.exact.extend(other.exact);
        self.used.extend(other.used);
        Bitmap {
            source: Source::And(parts),
            selectivity: self.selectivity * other.selectivity,
            cost: self.cost + other.cost,
            ..self
        }
    }
}
