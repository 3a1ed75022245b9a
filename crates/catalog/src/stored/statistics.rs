//! Column statistics as rows of `pg_statistic`: kind 1 holds the most common values, 2 the histogram, 3 the correlation.

use crate::descriptor::{ColumnDescriptor, ColumnStatistics};
use crate::oids;
use ochre_base::Oid;
use ochre_types::{ArrayValue, Datum, SqlType};
use smallvec::smallvec;
use std::sync::Arc;

use super::decode::RowReader;
use super::encode::CatalogRow;
use super::row::RowWriter;

fn array(element: SqlType, values: Vec<Datum>) -> Datum {
    if values.is_empty() { Datum::Null } else { Datum::Array(Arc::new(ArrayValue::vector(element, values))) }
}

/// A column's row.
pub(super) fn encode(relation: Oid, column: &ColumnDescriptor, statistics: &ColumnStatistics) -> CatalogRow {
    let (values, shares): (Vec<Datum>, Vec<Datum>) = statistics
        .most_common
        .iter()
        .map(|(value, share)| (value.clone(), Datum::Float32(*share as f32)))
        .unzip();
    let kind = |present: bool, number: i16| if present { number } else { 0 };
    let mut row = RowWriter::new(oids::PG_STATISTIC)
        .set("starelid", relation)
        .set("staattnum", column.number)
        .set("stainherit", false)
        .set("stanullfrac", statistics.null_fraction as f32)
        .set("stawidth", statistics.average_width as i32)
        .set("stadistinct", statistics.distinct as f32)
        .set("stakind1", kind(!values.is_empty(), 1))
        .set("stakind2", kind(!statistics.histogram.is_empty(), 2))
        .set("stakind3", 3_i16)
        .set("stakind4", 0_i16)
        .set("stakind5", 0_i16)
        .set("stanumbers1", array(SqlType::FLOAT4, shares))
        .set("stanumbers3", array(SqlType::FLOAT4, vec![Datum::Float32(statistics.correlation as f32)]))
        .set("stavalues1", array(column.ty, values))
        .set("stavalues2", array(column.ty, statistics.histogram.clone()));
    for name in ["staop1", "staop2", "staop3", "staop4", "staop5"] {
        row = row.set(name, 0_u32);
    }
    for name in ["stacoll1", "stacoll2", "stacoll3", "stacoll4", "stacoll5"] {
        row = row.set(name, column.collation);
    }
    CatalogRow {
        catalog: oids::PG_STATISTIC,
        key: smallvec![i64::from(relation.0), i64::from(column.number)],
        values: row.values(),
    }
}

/// A row read back: relation, column, statistics.
pub(super) fn decode(row: &RowReader<'_>) -> (Oid, i16, ColumnStatistics) {
    let numbers = |column| row.array(column).into_iter().filter_map(|d| float(&d)).collect::<Vec<_>>();
    let most_common = row.array("stavalues1").into_iter().zip(numbers("stanumbers1")).collect();
    let statistics = ColumnStatistics {
        null_fraction: row.float("stanullfrac"),
        average_width: row.integer("stawidth") as f64,
        distinct: row.float("stadistinct"),
        most_common,
        histogram: row.array("stavalues2"),
        correlation: numbers("stanumbers3").first().copied().unwrap_or(0.0),
    };
    (row.oid("starelid"), row.integer("staattnum") as i16, statistics)
}

fn float(value: &Datum) -> Option<f64> {
    match value {
        Datum::Float32(value) => Some(f64::from(*value)),
        Datum::Float64(value) => Some(*value),
        _ => None,
    }
}
