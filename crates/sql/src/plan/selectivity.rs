//! How many rows: statistics of columns, and what share of rows satisfies a predicate.

use std::cmp::Ordering;

use ochre_catalog::ColumnStatistics;
use ochre_expr::{BooleanTest, Comparison, Expr};
use ochre_types::compare::compare_datums;
use ochre_types::datetime::USECS_PER_DAY;
use ochre_types::{Datum, Numeric, PhysicalType, SqlType, oids};

use super::PlanBuilder;
use super::index_match::{Operation, comparison_of, strip_relabel};
use crate::logical::{ColumnId, TableUse};
use crate::physical::ScanColumn;

/// PostgreSQL's guesses where nothing is known.
const DEFAULT_EQUAL: f64 = 0.005;
const DEFAULT_INEQUAL: f64 = 1.0 / 3.0;
const DEFAULT_RANGE: f64 = 0.005;
const DEFAULT_MATCH: f64 = 0.005;
const DEFAULT_CONTAIN: f64 = 0.005;
const DEFAULT_OVERLAP: f64 = 0.01;
const DEFAULT_JSON: f64 = 0.01;
const DEFAULT_DISTINCT: f64 = 200.0;

/// Pages and rows of a table as the planner takes them.
pub(crate) fn table_size(used: &TableUse) -> (f64, f64) {
    let table = &used.table;
    let width: u32 = table.live_columns().map(|column| type_width(column.ty)).sum();
    if table.row_estimate < 0.0 {
        // Never counted: PostgreSQL takes ten pages.
        let pages = f64::from(table.page_estimate.max(10));
        let density = (8192.0 - 24.0) / (f64::from(width) + 28.0);
        return (pages, (pages * density).floor().max(1.0));
    }
    let rows = table.row_estimate.max(1.0);
    let pages = f64::from(table.page_estimate)
        .max((rows * (f64::from(width) + 28.0) / 8168.0).ceil().min(1.0))
        .max(1.0);
    (pages, rows)
}

/// The average width of a type without statistics.
pub(crate) fn type_width(ty: SqlType) -> u32 {
    if let Some(info) = ty.info()
        && info.length > 0
    {
        return u32::from(info.length.unsigned_abs());
    }
    match ty.physical.stored_width() {
        Some(width) => u32::from(width),
        None if ty.typmod > 4 && ty.oid != SqlType::NUMERIC.oid => {
            let limit = u32::try_from(ty.typmod - 4).unwrap_or(32);
            limit.min(1000).div_ceil(2).max(8).min(limit + 4)
        }
        None => 32,
    }
}

impl PlanBuilder<'_> {
    /// The table column behind an id.
    pub(crate) fn column_of(&self, id: ColumnId) -> Option<(&TableUse, usize)> {
        let table = self.columns[id].table?;
        let used = &self.tables[table];
        let (column, _) = used.columns.iter().find(|(_, known)| *known == id)?;
        match column {
            ScanColumn::Table(position) => Some((used, *position)),
            _ => None,
        }
    }

    pub(crate) fn column_width(&self, id: ColumnId) -> u32 {
        if let Some(statistics) = self.statistics(id)
            && statistics.average_width > 0.0
        {
            return statistics.average_width.round() as u32;
        }
        type_width(self.columns[id].ty)
    }

    pub(crate) fn statistics(&self, id: ColumnId) -> Option<&ColumnStatistics> {
        let (used, position) = self.column_of(id)?;
        used.table.columns[position].statistics.as_deref()
    }

    /// Distinct values of a column of a relation with so many rows.
    pub(crate) fn distinct_values(&self, id: ColumnId, rows: f64) -> f64 {
        let Some((used, position)) = self.column_of(id) else { return rows.clamp(1.0, DEFAULT_DISTINCT) };
        let (_, tuples) = table_size(used);
        let number = used.table.columns[position].number;
        let unique = used.table.indexes.iter().any(|index| {
            index.unique
                && index.predicate.is_none()
                && index.keys.len() == 1
                && index.keys[0].number == number
        });
        let distinct = match used.table.columns[position].statistics.as_deref() {
            _ if unique => tuples,
            Some(statistics) if statistics.distinct > 0.0 => statistics.distinct,
            Some(statistics) if statistics.distinct < 0.0 => -statistics.distinct * tuples,
            _ if used.table.columns[position].ty == SqlType::BOOL => 2.0,
            _ => DEFAULT_DISTINCT,
        };
        distinct.min(rows.max(1.0)).max(1.0)
    }

    /// As [`PlanBuilder::distinct_values`], where something is known of the column.
    pub(crate) fn known_distinct_values(&self, id: ColumnId, rows: f64) -> Option<f64> {
        let (used, position) = self.column_of(id)?;
        let column = &used.table.columns[position];
        let is_known = column.statistics.as_deref().is_some_and(|statistics| statistics.distinct != 0.0)
            || column.ty == SqlType::BOOL;
        is_known.then(|| self.distinct_values(id, rows))
    }

    /// The share of rows that satisfies all predicates.
    pub(crate) fn selectivity_of_all(&self, predicates: &[Expr], rows: f64) -> f64 {
        // Two bounds of one column are one range.
        let mut product = 1.0;
        let mut ranges: Vec<(ColumnId, Option<f64>, Option<f64>)> = Vec::new();
        for predicate in predicates {
            if let Some((id, operation, _)) = self.column_comparison(predicate)
                && matches!(
                    operation,
                    Operation::Less | Operation::LessOrEqual | Operation::Greater | Operation::GreaterOrEqual
                )
            {
                let selectivity = self.selectivity(predicate, rows);
                let upper = matches!(operation, Operation::Less | Operation::LessOrEqual);
                let entry = match ranges.iter_mut().position(|(known, ..)| *known == id) {
                    Some(index) => &mut ranges[index],
                    None => {
                        ranges.push((id, None, None));
                        let last = ranges.len() - 1;
                        &mut ranges[last]
                    }
                };
                let side = if upper { &mut entry.2 } else { &mut entry.1 };
                *side = Some(side.map_or(selectivity, |known: f64| known.min(selectivity)));
                continue;
            }
            product *= self.selectivity(predicate, rows);
        }
        for (_, lower, upper) in ranges {
            product *= match (lower, upper) {
                (Some(lower), Some(upper)) => {
                    if lower == DEFAULT_INEQUAL || upper == DEFAULT_INEQUAL {
                        DEFAULT_RANGE
                    } else {
                        (lower + upper - 1.0).max(1.0e-10)
                    }
                }
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => 1.0,
            };
        }
        product.clamp(0.0, 1.0)
    }

    /// `column op value`, whichever way round.
    fn column_comparison<'e>(&self, predicate: &'e Expr) -> Option<(ColumnId, Operation, &'e Expr)> {
        let (operation, left, right) = comparison_of(predicate)?;
        match (strip_relabel(left), strip_relabel(right)) {
            (Expr::Column { .. }, Expr::Column { .. }) => None,
            (Expr::Column { index, .. }, _) => Some((*index, operation, right)),
            (_, Expr::Column { index, .. }) => Some((*index, operation.commuted(), left)),
            _ => None,
        }
    }

    /// The share of rows that satisfies a predicate.
    pub(crate) fn selectivity(&self, predicate: &Expr, rows: f64) -> f64 {
        let share = match predicate {
            Expr::Constant { value, .. } => match value {
                Datum::Bool(true) => 1.0,
                _ => 0.0,
            },
            Expr::And(parts) => self.selectivity_of_all(parts, rows),
            Expr::Or(parts) => parts.iter().fold(0.0, |sum, part| {
                let share = self.selectivity(part, rows);
                sum + share - sum * share
            }),
            Expr::Not(inner) => 1.0 - self.selectivity(inner, rows),
            Expr::IsNull { arg, negated, .. } => {
                let nulls = match strip_relabel(arg) {
                    Expr::Column { index, .. } => {
                        self.statistics(*index).map_or(0.005, |statistics| statistics.null_fraction)
                    }
                    _ => 0.005,
                };
                if *negated { 1.0 - nulls } else { nulls }
            }
            Expr::BooleanTest { arg, test } => {
                let share = self.selectivity(arg, rows);
                match test {
                    BooleanTest::True | BooleanTest::NotFalse => share,
                    BooleanTest::False | BooleanTest::NotTrue => 1.0 - share,
                    BooleanTest::Unknown => 0.005,
                    BooleanTest::NotUnknown => 0.995,
                }
            }
            Expr::Column { index, .. } => match self.statistics(*index) {
                Some(statistics) => statistics
                    .most_common
                    .iter()
                    .find(|(value, _)| *value == Datum::Bool(true))
                    .map_or(0.5, |(_, share)| *share),
                None => 0.5,
            },
            Expr::ScalarArrayOp { left, array, all, .. } => {
                let count = match &**array {
                    Expr::Constant { value: Datum::Array(array), .. } => array.len() as f64,
                    Expr::ArrayLiteral { elements, .. } => elements.len() as f64,
                    _ => 10.0,
                };
                let one = match strip_relabel(left) {
                    Expr::Column { index, .. } => 1.0 / self.distinct_values(*index, f64::MAX),
                    _ => DEFAULT_EQUAL,
                };
                if *all { (1.0 - one).powf(count) } else { (one * count).min(1.0) }
            }
            Expr::IsDistinct { negated, .. } => {
                if *negated {
                    DEFAULT_EQUAL
                } else {
                    1.0 - DEFAULT_EQUAL
                }
            }
            // As PostgreSQL takes it: the first column decides.
            Expr::RowCompare { op, functions, left, right }
                if !matches!(op, Comparison::Equal | Comparison::NotEqual) =>
            {
                let args = vec![left[0].clone(), right[0].clone()];
                self.selectivity(&Expr::call(functions[0].clone(), args, SqlType::BOOL), rows)
            }
            Expr::SubPlan { .. } => 0.5,
            Expr::Call { function, args, .. } => {
                self.call_selectivity(&function.source, args, predicate, rows)
            }
            _ => DEFAULT_INEQUAL,
        };
        share.clamp(0.0, 1.0)
    }

    fn call_selectivity(&self, source: &str, args: &[Expr], predicate: &Expr, rows: f64) -> f64 {
        match source {
            "textlike" | "bpcharlike" | "namelike" | "texticlike" | "textregexeq" | "texticregexeq" => {
                return match args.get(1) {
                    Some(Expr::Constant { value, .. }) => match value.as_str() {
                        Some(pattern) if pattern.starts_with('%') => 0.05,
                        _ => DEFAULT_MATCH,
                    },
                    _ => DEFAULT_MATCH,
                };
            }
            "text_starts_with" => return DEFAULT_MATCH,
            "arraycontains" | "arraycontained" => return DEFAULT_CONTAIN,
            "arrayoverlap" => return DEFAULT_OVERLAP,
            "jsonb_contains" | "jsonb_contained" | "jsonb_exists" | "jsonb_exists_any"
            | "jsonb_exists_all" => {
                return DEFAULT_JSON;
            }
            "textnlike" | "bpcharnlike" | "texticnlike" | "textregexne" => return 1.0 - DEFAULT_MATCH,
            _ => {}
        }
        let Some((operation, left, right)) = comparison_of(predicate) else { return DEFAULT_INEQUAL };
        if let (Expr::Column { index: l, .. }, Expr::Column { index: r, .. }) =
            (strip_relabel(left), strip_relabel(right))
        {
            return match operation {
                Operation::Equal => {
                    1.0 / self.distinct_values(*l, f64::MAX).max(self.distinct_values(*r, f64::MAX))
                }
                Operation::NotEqual => 1.0 - DEFAULT_EQUAL,
                _ => DEFAULT_INEQUAL,
            };
        }
        let Some((id, operation, value)) = self.column_comparison(predicate) else {
            return match operation {
                Operation::Equal => DEFAULT_EQUAL,
                Operation::NotEqual => 1.0 - DEFAULT_EQUAL,
                _ => DEFAULT_INEQUAL,
            };
        };
        let equal = |value: &Expr| self.equal_selectivity(id, value, rows);
        match operation {
            Operation::Equal => equal(value),
            Operation::NotEqual => {
                let nulls = self.statistics(id).map_or(0.0, |statistics| statistics.null_fraction);
                (1.0 - equal(value) - nulls).max(0.0)
            }
            other => self.range_selectivity(id, other, value),
        }
    }

    /// `column = value`.
    fn equal_selectivity(&self, id: ColumnId, value: &Expr, _rows: f64) -> f64 {
        let distinct = self.distinct_values(id, f64::MAX);
        let Some(statistics) = self.statistics(id) else { return 1.0 / distinct };
        let common: f64 = statistics.most_common.iter().map(|(_, share)| share).sum();
        if let Expr::Constant { value, ty } = value
            && let Some(value) = &as_column_value(self.columns[id].ty, value, *ty)
        {
            let order = self.columns[id].ty.order();
            if let Some((_, share)) = statistics
                .most_common
                .iter()
                .find(|(known, _)| compare_datums(known, value, order) == Ordering::Equal)
            {
                return *share;
            }
            let others = (distinct - statistics.most_common.len() as f64).max(1.0);
            return ((1.0 - common - statistics.null_fraction) / others).max(0.0);
        }
        ((1.0 - statistics.null_fraction) / distinct).max(0.0)
    }

    /// `column < value` and its like, by the histogram.
    fn range_selectivity(&self, id: ColumnId, operation: Operation, value: &Expr) -> f64 {
        let (Some(statistics), Expr::Constant { value, ty }) = (self.statistics(id), value) else {
            return DEFAULT_INEQUAL;
        };
        if value.is_null() {
            return 0.0;
        }
        let Some(value) = &as_column_value(self.columns[id].ty, value, *ty) else { return DEFAULT_INEQUAL };
        let order = self.columns[id].ty.order();
        let below = |known: &Datum| {
            let comparison = compare_datums(known, value, order);
            match operation {
                Operation::Less => comparison == Ordering::Less,
                Operation::LessOrEqual => comparison != Ordering::Greater,
                Operation::Greater => comparison == Ordering::Greater,
                _ => comparison != Ordering::Less,
            }
        };
        let common: f64 =
            statistics.most_common.iter().filter(|(known, _)| below(known)).map(|(_, share)| share).sum();
        let all_common: f64 = statistics.most_common.iter().map(|(_, share)| share).sum();
        let rest = (1.0 - all_common - statistics.null_fraction).max(0.0);
        let histogram = &statistics.histogram;
        if histogram.len() < 2 {
            return if statistics.most_common.is_empty() {
                DEFAULT_INEQUAL
            } else {
                common + rest * DEFAULT_INEQUAL
            };
        }
        let buckets = (histogram.len() - 1) as f64;
        let position =
            histogram.partition_point(|bound| compare_datums(bound, value, order) == Ordering::Less);
        let under = if position == 0 {
            0.0
        } else if position == histogram.len() {
            1.0
        } else {
            let inside = interpolate(&histogram[position - 1], &histogram[position], value);
            (position as f64 - 1.0 + inside) / buckets
        };
        let share = match operation {
            Operation::Less | Operation::LessOrEqual => under,
            _ => 1.0 - under,
        };
        (common + rest * share).clamp(1.0e-6, 1.0)
    }
}

/// A value as a column's type has it, near enough for an estimate: an operator may compare different types, a histogram
/// holds values of one. `None` where the two cannot be brought together.
fn as_column_value(column: SqlType, value: &Datum, ty: SqlType) -> Option<Datum> {
    let days = |ty: SqlType| match ty.oid {
        oids::DATE => Some(true),
        oids::TIMESTAMP | oids::TIMESTAMPTZ => Some(false),
        _ => None,
    };
    match (days(column), days(ty)) {
        (Some(true), Some(false)) => {
            let day = value.as_i64()?.div_euclid(USECS_PER_DAY);
            return Some(Datum::Int32(day.clamp(i32::MIN.into(), i32::MAX.into()) as i32));
        }
        (Some(false), Some(true)) => {
            return Some(Datum::Int64(value.as_i64()?.saturating_mul(USECS_PER_DAY)));
        }
        _ => {}
    }
    if value.physical().is_none_or(|physical| physical == column.physical) {
        return Some(value.clone());
    }
    let number = match value {
        Datum::Float32(number) => f64::from(*number),
        Datum::Float64(number) => *number,
        Datum::Numeric(number) => number.to_f64_lossy(),
        other => other.as_i64()? as f64,
    };
    // Casts from floats stop at the type's bounds.
    Some(match column.physical {
        PhysicalType::Int16 => Datum::Int16(number as i16),
        PhysicalType::Int32 => Datum::Int32(number as i32),
        PhysicalType::UInt32 => Datum::UInt32(number as u32),
        PhysicalType::Int64 => Datum::Int64(number as i64),
        PhysicalType::Float32 => Datum::Float32(number as f32),
        PhysicalType::Float64 => Datum::Float64(number),
        PhysicalType::Numeric => Datum::Numeric(Numeric::from_f64(number)),
        _ => return None,
    })
}

/// Where a value lies between two bounds, 0 to 1.
fn interpolate(low: &Datum, high: &Datum, value: &Datum) -> f64 {
    let number = |datum: &Datum| match datum {
        Datum::Float32(value) => Some(f64::from(*value)),
        Datum::Float64(value) => Some(*value),
        other => other.as_i64().map(|value| value as f64),
    };
    match (number(low), number(high), number(value)) {
        (Some(low), Some(high), Some(value)) if high > low => ((value - low) / (high - low)).clamp(0.0, 1.0),
        _ => 0.5,
    }
}
