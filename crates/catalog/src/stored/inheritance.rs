//! Places in trees of inheritance as rows of `pg_inherits` and `pg_partitioned_table`, and back.

use std::collections::HashMap;
use std::sync::Arc;

use ochre_base::{Oid, Result};
use smallvec::smallvec;

use super::CatalogRow;
use super::decode::{Gathered, damaged};
use super::encode::{int2_vector, join_expressions, oid_vector, split_expressions};
use super::row::RowWriter;
use crate::descriptor::RelationDescriptor;
use crate::oids;
use crate::partition::{PartitionColumn, PartitionKey, PartitionStrategy};

/// A relation's rows.
pub(super) fn encode(relation: &RelationDescriptor) -> Vec<CatalogRow> {
    let mut rows = Vec::new();
    for (position, parent) in relation.inheritance.parents.iter().enumerate() {
        let number = position as i32 + 1;
        rows.push(
            RowWriter::new(oids::PG_INHERITS)
                .set("inhrelid", relation.oid)
                .set("inhparent", *parent)
                .set("inhseqno", number)
                .set("inhdetachpending", relation.inheritance.detaching.is_some())
                .row(smallvec![i64::from(relation.oid.0), i64::from(number)]),
        );
    }
    if let Some(key) = &relation.inheritance.key {
        let expressions: Vec<&str> =
            key.columns.iter().filter_map(|column| column.expression.as_deref()).collect();
        let expressions = (!expressions.is_empty()).then(|| join_expressions(expressions));
        rows.push(
            RowWriter::new(oids::PG_PARTITIONED_TABLE)
                .set("partrelid", relation.oid)
                .set("partstrat", key.strategy.letter())
                .set("partnatts", key.columns.len() as i16)
                .set("partdefid", key.default)
                .set("partattrs", int2_vector(key.columns.iter().map(|column| column.number)))
                .set("partclass", oid_vector(key.columns.iter().map(|column| column.operator_class)))
                .set("partcollation", oid_vector(key.columns.iter().map(|column| column.collation)))
                .set("partexprs", expressions.as_deref())
                .row(smallvec![i64::from(relation.oid.0)]),
        );
    }
    rows
}

/// The parents of each relation with their numbers, and whether it is being detached from them.
pub(super) fn parents(gathered: &Gathered<'_>) -> HashMap<Oid, Vec<(i64, Oid, bool)>> {
    let mut parents: HashMap<Oid, Vec<(i64, Oid, bool)>> = HashMap::new();
    for row in gathered.readers(oids::PG_INHERITS) {
        let entry = (row.integer("inhseqno"), row.oid("inhparent"), row.flag("inhdetachpending"));
        parents.entry(row.oid("inhrelid")).or_default().push(entry);
    }
    parents
}

/// The keys of partitioned tables.
///
/// # Errors
/// XX001 when a row contradicts itself.
pub(super) fn keys(gathered: &Gathered<'_>) -> Result<HashMap<Oid, Arc<PartitionKey>>> {
    let mut keys = HashMap::new();
    for row in gathered.readers(oids::PG_PARTITIONED_TABLE) {
        let oid = row.oid("partrelid");
        let damaged = || damaged("partitioned table", oid);
        let (numbers, classes, collations) =
            (row.numbers("partattrs"), row.numbers("partclass"), row.numbers("partcollation"));
        if numbers.len() != classes.len() || numbers.len() != collations.len() {
            return Err(damaged());
        }
        let texts = row.text("partexprs").unwrap_or_default();
        let mut texts = split_expressions(&texts).ok_or_else(damaged)?.into_iter();
        let mut columns = Vec::with_capacity(numbers.len());
        for ((number, class), collation) in numbers.iter().zip(&classes).zip(&collations) {
            columns.push(PartitionColumn {
                number: *number as i16,
                expression: match number {
                    0 => Some(texts.next().ok_or_else(damaged)?.into()),
                    _ => None,
                },
                collation: Oid(*collation as u32),
                operator_class: Oid(*class as u32),
            });
        }
        let strategy = PartitionStrategy::from_letter(row.letter("partstrat")).ok_or_else(damaged)?;
        keys.insert(oid, Arc::new(PartitionKey { strategy, columns, default: row.oid("partdefid") }));
    }
    Ok(keys)
}
