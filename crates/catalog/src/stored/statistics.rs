//! Column statistics as rows of `pg_statistic`.

use crate::descriptor::{ColumnDescriptor, ColumnStatistics, RelationDescriptor, RelationKind};
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

/// What the entries of a row are about: PostgreSQL's numbers.
mod kind {
    pub const MOST_COMMON: i16 = 1;
    pub const HISTOGRAM: i16 = 2;
    pub const CORRELATION: i16 = 3;
}

/// Kind, operator, numbers and values of an entry.
type Slot = (i16, Oid, Datum, Datum);

fn slots(column: &ColumnDescriptor, statistics: &ColumnStatistics) -> Vec<Slot> {
    let comparison = ochre_expr::btree_comparison(column.ty.oid);
    let equal = comparison.map_or(Oid::default(), |comparison| comparison.equal.oid);
    let less = comparison.map_or(Oid::default(), |comparison| comparison.less.oid);
    let mut slots = Vec::new();
    if !statistics.most_common.is_empty() {
        let (values, shares) = statistics
            .most_common
            .iter()
            .map(|(value, share)| (value.clone(), Datum::Float32(*share as f32)))
            .unzip();
        slots.push((kind::MOST_COMMON, equal, array(SqlType::FLOAT4, shares), array(column.ty, values)));
    }
    if !statistics.histogram.is_empty() {
        let values = array(column.ty, statistics.histogram.clone());
        slots.push((kind::HISTOGRAM, less, Datum::Null, values));
    }
    if let Some(correlation) = statistics.correlation {
        let numbers = array(SqlType::FLOAT4, vec![Datum::Float32(correlation as f32)]);
        slots.push((kind::CORRELATION, less, numbers, Datum::Null));
    }
    slots
}

/// A column's row: its entries stand one after the other, whatever they are about.
pub(super) fn encode(
    relation: &RelationDescriptor,
    column: &ColumnDescriptor,
    statistics: &ColumnStatistics,
) -> CatalogRow {
    let mut row = RowWriter::new(oids::PG_STATISTIC)
        .set("starelid", relation.oid)
        .set("staattnum", column.number)
        .set("stainherit", relation.kind == RelationKind::PartitionedTable)
        .set("stanullfrac", statistics.null_fraction as f32)
        .set("stawidth", statistics.average_width.round() as i32)
        .set("stadistinct", statistics.distinct as f32);
    let mut slots = slots(column, statistics).into_iter();
    for [kind, operator, collation, numbers, values] in SLOTS {
        let (what, by, counts, of) = slots.next().unwrap_or((0, Oid::default(), Datum::Null, Datum::Null));
        row = row
            .set(kind, what)
            .set(operator, by.0)
            .set(collation, if what == 0 { Oid::default() } else { column.collation })
            .set(numbers, counts)
            .set(values, of);
    }
    CatalogRow {
        catalog: oids::PG_STATISTIC,
        key: smallvec![i64::from(relation.oid.0), i64::from(column.number)],
        values: row.values(),
    }
}

/// The columns of each entry: kind, operator, collation, numbers, values.
const SLOTS: [[&str; 5]; 5] = [
    ["stakind1", "staop1", "stacoll1", "stanumbers1", "stavalues1"],
    ["stakind2", "staop2", "stacoll2", "stanumbers2", "stavalues2"],
    ["stakind3", "staop3", "stacoll3", "stanumbers3", "stavalues3"],
    ["stakind4", "staop4", "stacoll4", "stanumbers4", "stavalues4"],
    ["stakind5", "staop5", "stacoll5", "stanumbers5", "stavalues5"],
];

/// A row read back: relation, column, statistics.
pub(super) fn decode(row: &RowReader<'_>) -> (Oid, i16, ColumnStatistics) {
    let mut statistics = ColumnStatistics {
        null_fraction: row.float("stanullfrac"),
        average_width: row.integer("stawidth") as f64,
        distinct: row.float("stadistinct"),
        ..ColumnStatistics::default()
    };
    for [kind, _, _, numbers, values] in SLOTS {
        let numbers = || row.array(numbers).into_iter().filter_map(|number| float(&number));
        match row.integer(kind) as i16 {
            kind::MOST_COMMON => {
                statistics.most_common = row.array(values).into_iter().zip(numbers()).collect()
            }
            kind::HISTOGRAM => statistics.histogram = row.array(values),
            kind::CORRELATION => statistics.correlation = numbers().next(),
            _ => {}
        }
    }
    (row.oid("starelid"), row.integer("staattnum") as i16, statistics)
}

fn float(value: &Datum) -> Option<f64> {
    match value {
        Datum::Float32(value) => Some(f64::from(*value)),
        Datum::Float64(value) => Some(*value),
        _ => None,
    }
}
