//! ANALYZE: samples a table and keeps what it found with the columns.
//!
//! # How
//! In two stages, as PostgreSQL does: as many blocks as rows are wanted are chosen at random, and of the rows on them as
//! many by a reservoir. So a table of any size takes no more than so many reads. How many rows the table has is reckoned
//! from the blocks looked at. A partitioned table's sample is taken from all its partitions as if they were one table.
//!
//! # Differences
//! The choice is the same each time for a table of one size: equal tables have equal statistics.
//!
//! # Not done
//! Statistics of a table together with the tables that inherit from it: only its own rows are known.

use std::sync::Arc;

use ochre_base::{Oid, Result};
use ochre_catalog::{ColumnDescriptor, ColumnStatistics, RelationDescriptor, RelationKind};
use ochre_exec::{RowSampler, sample_blocks};
use ochre_parser::ast::Name;
use ochre_txn::locks::RelationLockMode;
use ochre_types::{Batch, Datum, KeyOrder, SqlType, key};

use crate::session::Session;

/// Rows looked at for each unit of `default_statistics_target`, as in PostgreSQL.
const ROWS_PER_TARGET: usize = 300;

/// One sampled value: its key form, its place in the table, and itself.
struct Sampled {
    key: Vec<u8>,
    position: usize,
    value: Datum,
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn new() -> Random {
        Random(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * u128::from(bound)) >> 64) as u64
    }
}

/// `wanted` of the blocks `0..total`, ascending: each set of so many is as likely as any other (Knuth's algorithm S).
fn choose_blocks(total: u32, wanted: usize, random: &mut Random) -> Vec<u32> {
    let mut left = (wanted as u64).min(u64::from(total));
    let mut chosen = Vec::with_capacity(left as usize);
    for block in 0..total {
        if random.below(u64::from(total - block)) < left {
            chosen.push(block);
            left -= 1;
        }
    }
    chosen
}

/// Keeps some of the rows that it is shown: each has the same chance to stay.
struct Reservoir {
    wanted: usize,
    /// The table whose rows are shown: its number, and where its rows have the columns that are kept.
    table: usize,
    columns: Vec<Option<usize>>,
    random: Random,
    seen: usize,
    /// Tables and row ids, which ascend with the rows' places, and values.
    rows: Vec<((usize, i64), Vec<Datum>)>,
    /// Where the rows go that were wanted and have not come yet.
    places: Vec<usize>,
}

impl Reservoir {
    fn new(wanted: usize) -> Reservoir {
        let (columns, rows, places) = (Vec::new(), Vec::new(), Vec::new());
        Reservoir { wanted, table: 0, columns, random: Random::new(), seen: 0, rows, places }
    }

    /// The rows of another table come next.
    fn go_to(&mut self, columns: Vec<Option<usize>>) {
        self.table += 1;
        self.columns = columns;
    }

    /// The sampled rows in their order in the table.
    fn into_rows(mut self) -> Vec<Vec<Datum>> {
        self.rows.sort_by_key(|(place, _)| *place);
        self.rows.into_iter().map(|(_, row)| row).collect()
    }
}

impl RowSampler for Reservoir {
    fn wants(&mut self) -> bool {
        self.seen += 1;
        let place = if self.seen <= self.wanted {
            self.seen - 1
        } else {
            self.random.below(self.seen as u64) as usize
        };
        if place < self.wanted {
            self.places.push(place);
        }
        place < self.wanted
    }

    fn take(&mut self, image: Batch) -> Result<()> {
        let ids = image.columns.last().expect("a target image ends with the row ids");
        for (row, place) in image.active().zip(std::mem::take(&mut self.places)) {
            let value = |column: &Option<usize>| {
                column.map_or(Datum::Null, |column| image.columns[column].datum(row).detached())
            };
            let id = (self.table, ids.datum(row).as_i64().unwrap_or(0));
            let sampled = (id, self.columns.iter().map(value).collect());
            match self.rows.get_mut(place) {
                Some(old) => *old = sampled,
                None => self.rows.push(sampled),
            }
        }
        Ok(())
    }
}

impl Session {
    /// Samples a table and puts what it finds of some columns, or of all when none is named, into its descriptor. A table
    /// without rows keeps what was known of its columns.
    pub(crate) fn analyze(&self, oid: Oid, only: &[Name]) -> Result<()> {
        let relation = self.relation(oid);
        let target = self.state.settings.borrow().integer("default_statistics_target") as usize;
        let wanted = target * ROWS_PER_TARGET;
        let mut tables = Vec::new();
        for member in self.sampled_tables(&relation)? {
            let table = self.state.database.table_in(&member, || self.state.catalog())?;
            let pages = table.heap.as_ref().map_or(Ok(0), |heap| heap.block_count())?;
            tables.push((member, table, pages));
        }
        let pages: u32 = tables.iter().map(|(.., pages)| pages).sum();
        let chosen = choose_blocks(pages, wanted, &mut Random::new());
        let mut reservoir = Reservoir::new(wanted);
        self.txn().advance_command()?;
        let snapshot = self.txn().newest_snapshot()?;
        self.with_context(&snapshot, &[], |_, context| {
            let (mut rest, mut before) = (chosen.as_slice(), 0);
            for (member, table, pages) in &tables {
                let (own, others) = rest.split_at(rest.partition_point(|block| *block < before + pages));
                let blocks: Vec<u32> = own.iter().map(|block| block - before).collect();
                (rest, before) = (others, before + pages);
                if !blocks.is_empty() {
                    reservoir.go_to(columns_in(&relation, member));
                    sample_blocks(context, table, &blocks, &mut reservoir)?;
                }
            }
            Ok(())
        })?;
        drop(snapshot);
        let rows = if chosen.len() == pages as usize {
            reservoir.seen
        } else {
            (reservoir.seen as f64 / chosen.len() as f64 * f64::from(pages)).round() as usize
        };
        let sample = reservoir.into_rows();
        let mut changed = (*relation).clone();
        let is_wanted = |column: &ColumnDescriptor| {
            !column.dropped && (only.is_empty() || only.iter().any(|name| name.as_str() == &*column.name))
        };
        for column in changed.columns.iter_mut().filter(|column| is_wanted(column) && !sample.is_empty()) {
            let values = sample.iter().map(|row| row[column.number as usize - 1].clone());
            column.statistics = Some(Arc::new(statistics(column.ty, values, rows, target)));
        }
        let pages = relation.file.map_or(changed.page_estimate, |_| pages);
        self.put_estimates(changed, rows as f64, pages)
    }

    /// Writes down how many rows and pages a relation has, and the same of its indexes if they have any.
    pub(crate) fn put_estimates(
        &self,
        mut relation: RelationDescriptor,
        rows: f64,
        pages: u32,
    ) -> Result<()> {
        (relation.row_estimate, relation.page_estimate) = (rows, pages);
        // Indexes of a table with partitions have no pages of their own.
        let indexes = relation.file.map_or_else(Vec::new, |_| relation.indexes.clone());
        self.put_relation(relation)?;
        for index in indexes {
            let tree = self.state.instance.btrees().open(self.state.database.file_key(false, index.file))?;
            let mut index = (*index).clone();
            index.row_estimate = rows;
            index.page_estimate = tree.stats()?.pages;
            self.replace_index(index)?;
        }
        Ok(())
    }

    /// The tables whose rows are a relation's, locked as for reading.
    fn sampled_tables(&self, relation: &Arc<RelationDescriptor>) -> Result<Vec<Arc<RelationDescriptor>>> {
        if relation.kind != RelationKind::PartitionedTable {
            return Ok(vec![Arc::clone(relation)]);
        }
        let members = self.lock_reachable_descendants(relation.oid, RelationLockMode::AccessShare)?;
        let members = members.into_iter().map(|oid| self.relation(oid));
        Ok(members.filter(|member| member.file.is_some()).collect())
    }
}

/// For each column of a relation its position in the rows of one of its tables.
fn columns_in(relation: &RelationDescriptor, member: &RelationDescriptor) -> Vec<Option<usize>> {
    if relation.oid == member.oid {
        return (0..relation.columns.len()).map(Some).collect();
    }
    let place = |column: &ColumnDescriptor| {
        let found = (!column.dropped).then(|| member.column_named(&column.name)).flatten();
        found.map(|found| found.number as usize - 1)
    };
    relation.columns.iter().map(place).collect()
}

/// What a sample tells of a column of a table of `total` rows.
fn statistics(
    ty: SqlType,
    values: impl Iterator<Item = Datum>,
    total: usize,
    target: usize,
) -> ColumnStatistics {
    let order = KeyOrder::new(ty, false, false);
    let mut sampled = Vec::new();
    let (mut count, mut nulls, mut bytes) = (0_usize, 0_usize, 0_usize);
    for (position, value) in values.enumerate() {
        count += 1;
        if value.is_null() {
            nulls += 1;
            continue;
        }
        bytes += width(&value);
        let mut encoded = Vec::new();
        // A type without an order has no statistics but these.
        if ochre_expr::btree_comparison(ty.oid).is_some()
            && key::encode_key(&value, order, &mut encoded).is_ok()
        {
            sampled.push(Sampled { key: encoded, position, value });
        }
    }
    let mut result = ColumnStatistics::default();
    if count == 0 {
        return result;
    }
    result.null_fraction = nulls as f64 / count as f64;
    let present = count - nulls;
    result.average_width = match ochre_types::type_info(ty.oid).map(|info| info.length) {
        Some(length) if length > 0 => f64::from(length),
        _ if present > 0 => bytes as f64 / present as f64,
        _ => 0.0,
    };
    if sampled.is_empty() {
        return result;
    }
    sampled.sort_by(|a, b| a.key.cmp(&b.key).then(a.position.cmp(&b.position)));
    let groups = groups(&sampled);
    let distinct = groups.len();
    let repeated = groups.iter().filter(|(_, len)| *len > 1).count();
    // As in PostgreSQL: a number that seems to grow with the table is kept as a share of it.
    result.distinct = if repeated == 0 {
        -(1.0 - result.null_fraction)
    } else {
        let values_in_table = total as f64 * (1.0 - result.null_fraction);
        let estimate = distinct_values(sampled.len(), distinct, distinct - repeated, values_in_table);
        if estimate > 0.1 * total as f64 { -(estimate / total as f64) } else { estimate }
    };
    result.correlation = correlation(&sampled);
    let mut common: Vec<(usize, usize)> = groups.iter().copied().filter(|(_, len)| *len > 1).collect();
    common.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    common.truncate(target);
    let all = common.len() == distinct && result.distinct > 0.0;
    if !all {
        let distinct_in_table =
            if result.distinct < 0.0 { -result.distinct * total as f64 } else { result.distinct };
        common.truncate(worth_keeping(&common, distinct_in_table, result.null_fraction, count, total));
    }
    result.most_common = common
        .iter()
        .map(|(start, len)| (sampled[*start].value.clone(), *len as f64 / count as f64))
        .collect();
    result.histogram = histogram(&sampled, &common, target);
    result
}

/// Runs of equal keys: where each starts, and how long it is.
fn groups(sampled: &[Sampled]) -> Vec<(usize, usize)> {
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for (i, value) in sampled.iter().enumerate() {
        match groups.last_mut() {
            Some((start, len)) if sampled[*start].key == value.key => *len += 1,
            _ => groups.push((i, 1)),
        }
    }
    groups
}

/// Bytes of a value of a type without a fixed length, as PostgreSQL reckons them: with their number before them.
fn width(value: &Datum) -> usize {
    let bytes = ochre_types::store::encoded_len(value);
    bytes + if bytes < 127 { 1 } else { 4 }
}

/// Haas and Stokes' estimator, which PostgreSQL uses too: from a sample of `n` rows with `d` distinct values, `f1` of them
/// seen once, the distinct values of `total` rows.
fn distinct_values(n: usize, d: usize, f1: usize, total: f64) -> f64 {
    if f1 == 0 {
        return d as f64;
    }
    let (n, d, f1) = (n as f64, d as f64, f1 as f64);
    let estimate = n * d / (n - f1 + f1 * n / total);
    (estimate.clamp(d, total.max(d)) + 0.5).floor()
}

/// How many of the values seen more than once are so much commoner than the rest that knowing them helps: those whose
/// count is beyond what chance would give one of the others, by two standard deviations of a draw without replacement.
/// Of a table that was looked at in full all are kept, since their counts are exact.
fn worth_keeping(
    common: &[(usize, usize)],
    distinct: f64,
    null_fraction: f64,
    sampled: usize,
    total: usize,
) -> usize {
    if sampled >= total || total <= 1 {
        return common.len();
    }
    let (n, of) = (sampled as f64, total as f64);
    let mut before: f64 = common.iter().map(|(_, len)| *len as f64).sum();
    for kept in (1..=common.len()).rev() {
        let count = common[kept - 1].1 as f64;
        before -= count;
        let mut share = (1.0 - before / n - null_fraction).clamp(0.0, 1.0);
        let others = distinct - (kept as f64 - 1.0);
        if others > 1.0 {
            share /= others;
        }
        let successes = of * count / n;
        let variance = n * successes * (of - successes) * (of - n) / (of * of * (of - 1.0));
        if count > share * n + 2.0 * variance.sqrt() + 0.5 {
            return kept;
        }
    }
    0
}

/// How far the order of values is the order of rows, from -1 to 1.
fn correlation(sampled: &[Sampled]) -> Option<f64> {
    let n = sampled.len() as f64;
    if sampled.len() < 2 {
        return None;
    }
    let mut places: Vec<usize> = sampled.iter().map(|value| value.position).collect();
    // Positions among the values that are there, as NULLs have none.
    let mut sorted = places.clone();
    sorted.sort_unstable();
    for place in &mut places {
        *place = sorted.partition_point(|other| other < place);
    }
    let sum: f64 = places.iter().enumerate().map(|(i, place)| i as f64 * *place as f64).sum();
    let mean = (n - 1.0) / 2.0;
    let variance = (n * n - 1.0) / 12.0;
    Some((sum / n - mean * mean) / variance)
}

/// Bounds of equally filled buckets over the values that are not among the common ones.
fn histogram(sampled: &[Sampled], common: &[(usize, usize)], target: usize) -> Vec<Datum> {
    let is_common = |i: usize| common.iter().any(|(start, len)| (*start..*start + *len).contains(&i));
    let rest: Vec<&Sampled> =
        sampled.iter().enumerate().filter(|(i, _)| !is_common(*i)).map(|(_, value)| value).collect();
    let mut distinct = rest.len().min(1);
    distinct += rest.windows(2).filter(|pair| pair[0].key != pair[1].key).count();
    if distinct < 2 {
        return Vec::new();
    }
    let bounds = distinct.min(target + 1);
    (0..bounds).map(|i| rest[i * (rest.len() - 1) / (bounds - 1)].value.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[i32]) -> ColumnStatistics {
        statistics(SqlType::INT4, values.iter().map(|value| Datum::Int32(*value)), values.len(), 100)
    }

    #[test]
    fn a_key_is_distinct_and_correlated() {
        let found = of(&(0..1000).collect::<Vec<_>>());
        assert!((found.distinct + 1.0).abs() < 1e-9 && (found.correlation.unwrap() - 1.0).abs() < 1e-6);
        assert!(found.most_common.is_empty());
        assert_eq!(found.histogram.len(), 101);
        assert_eq!((&found.histogram[0], &found.histogram[100]), (&Datum::Int32(0), &Datum::Int32(999)));
    }

    #[test]
    fn blocks_are_chosen_evenly() {
        let mut random = Random::new();
        assert_eq!(choose_blocks(7, 10, &mut random), [0, 1, 2, 3, 4, 5, 6]);
        assert!(choose_blocks(0, 10, &mut random).is_empty());
        let chosen = choose_blocks(100_000, 20_000, &mut random);
        assert_eq!(chosen.len(), 20_000);
        assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
        for tenth in 0..10u32 {
            let within = chosen.iter().filter(|block| **block / 10_000 == tenth).count();
            assert!((1800..2200).contains(&within), "{within} of 2,000 in the part {tenth}");
        }
    }

    #[test]
    fn a_reservoir_keeps_rows_from_everywhere_in_their_order() {
        let mut reservoir = Reservoir::new(1000);
        reservoir.go_to(vec![Some(0)]);
        for start in (0..100_000i64).step_by(500) {
            let wanted: Vec<i64> = (start..start + 500).filter(|_| reservoir.wants()).collect();
            let column = Arc::new(ochre_types::Column::from(wanted.clone()));
            reservoir.take(Batch::new(vec![Arc::clone(&column), column], wanted.len())).unwrap();
        }
        assert_eq!(reservoir.seen, 100_000);
        let rows = reservoir.into_rows();
        assert_eq!(rows.len(), 1000);
        let values: Vec<i64> = rows.iter().map(|row| row[0].as_i64().unwrap()).collect();
        assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
        for tenth in 0..10 {
            let within = values.iter().filter(|value| **value / 10_000 == tenth).count();
            assert!((60..140).contains(&within), "{within} of 100 in the part {tenth}");
        }
        // The order of a sample is that of the table.
        let found = statistics(SqlType::INT8, rows.into_iter().map(|mut row| row.remove(0)), 100_000, 100);
        assert!((found.correlation.unwrap() - 1.0).abs() < 1e-6);
        assert!((found.distinct + 1.0).abs() < 1e-9);
    }

    #[test]
    fn few_values_are_all_common() {
        let found = of(&(0..1000).map(|i| i % 4).collect::<Vec<_>>());
        assert_eq!(found.distinct, 4.0);
        assert_eq!(found.most_common.len(), 4);
        assert!((found.most_common[0].1 - 0.25).abs() < 1e-9);
        assert!(found.histogram.is_empty());
    }
}
