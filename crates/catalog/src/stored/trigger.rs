//! Triggers as rows of `pg_trigger`, and back.

use std::sync::Arc;

use ochre_types::Datum;
use smallvec::smallvec;

use super::CatalogRow;
use super::decode::RowReader;
use super::encode::{comment_row, int2_vector};
use super::row::RowWriter;
use crate::descriptor::{TriggerDescriptor, TriggerTiming};
use crate::oids;

/// A trigger's rows.
pub(super) fn encode(trigger: &TriggerDescriptor) -> Vec<CatalogRow> {
    // PostgreSQL's form: each argument ends with a zero byte.
    let mut arguments: Vec<u8> = Vec::new();
    for argument in &trigger.arguments {
        arguments.extend_from_slice(argument.as_bytes());
        arguments.push(0);
    }
    let mut rows = vec![
        RowWriter::new(oids::PG_TRIGGER)
            .set("oid", trigger.oid)
            .set("tgrelid", trigger.table)
            .set("tgparentid", trigger.parent)
            .set("tgname", &trigger.name)
            .set("tgfoid", trigger.function)
            .set("tgtype", trigger.type_bits())
            .set("tgenabled", trigger.enabled)
            .set("tgisinternal", false)
            .set("tgconstrrelid", 0_u32)
            .set("tgconstrindid", 0_u32)
            .set("tgconstraint", trigger.constraint)
            .set("tgdeferrable", trigger.deferrable)
            .set("tginitdeferred", trigger.initially_deferred)
            .set("tgnargs", trigger.arguments.len() as i16)
            .set("tgattr", int2_vector(trigger.columns.iter().copied()))
            .set("tgargs", Datum::Bytes(arguments.into()))
            .set("tgqual", trigger.condition.as_ref())
            .set("tgoldtable", trigger.old_table.as_ref())
            .set("tgnewtable", trigger.new_table.as_ref())
            .row(smallvec![i64::from(trigger.oid.0)]),
    ];
    if let Some(comment) = &trigger.comment {
        rows.push(comment_row(trigger.oid, oids::PG_TRIGGER, 0, comment));
    }
    rows
}

/// The trigger of a row; comments are added by the caller.
pub(super) fn decode(row: &RowReader<'_>) -> TriggerDescriptor {
    let bits = row.integer("tgtype");
    let bit = |bit: i64| bits & bit != 0;
    let arguments: Vec<Arc<str>> = match row.value("tgargs") {
        Datum::Bytes(bytes) => bytes
            .as_slice()
            .split_inclusive(|byte| *byte == 0)
            .map(|part| String::from_utf8_lossy(&part[..part.len() - 1]).into())
            .collect(),
        _ => Vec::new(),
    };
    TriggerDescriptor {
        oid: row.oid("oid"),
        table: row.oid("tgrelid"),
        name: row.name("tgname"),
        function: row.oid("tgfoid"),
        timing: if bit(64) {
            TriggerTiming::InsteadOf
        } else if bit(2) {
            TriggerTiming::Before
        } else {
            TriggerTiming::After
        },
        row: bit(1),
        insert: bit(4),
        update: bit(16),
        delete: bit(8),
        truncate: bit(32),
        enabled: row.letter("tgenabled"),
        columns: row.numbers("tgattr").into_iter().map(|number| number as i16).collect(),
        arguments,
        condition: row.text("tgqual"),
        constraint: row.oid("tgconstraint"),
        deferrable: row.flag("tgdeferrable"),
        initially_deferred: row.flag("tginitdeferred"),
        old_table: row.text("tgoldtable"),
        new_table: row.text("tgnewtable"),
        parent: row.oid("tgparentid"),
        comment: None,
    }
}
