//! `pg_type`.

use ochre_base::Oid;
use ochre_types::{TypeInfo, row_array, type_infos};

use super::Rows;
use crate::builtin;
use crate::oids;
use crate::stored::RowWriter;

pub(super) fn types() -> Rows {
    let mut rows: Rows = type_infos().iter().map(type_row).collect();
    // Row types of built-in relations that the table of types does not list, and their arrays.
    for relation in builtin::relations() {
        if relation.row_type.is_valid() && ochre_types::type_info(relation.row_type).is_none() {
            let record = ochre_types::SqlType::RECORD.info().expect("record is built in");
            let row_info = TypeInfo {
                oid: relation.row_type,
                kind: b'c',
                category: b'C',
                array: row_array(relation.row_type),
                align: b'd',
                storage: b'x',
                ..*record
            };
            rows.push(row(&row_info, &relation.name, relation.namespace, relation.oid));
            let array = ochre_types::SqlType::TEXT_ARRAY.info().expect("text[] is built in");
            let array_info = TypeInfo {
                oid: row_array(relation.row_type),
                element: relation.row_type,
                align: b'd',
                collation: Oid::INVALID,
                ..*array
            };
            if array_info.oid.is_valid() {
                rows.push(row(&array_info, &format!("_{}", relation.name), relation.namespace, Oid::INVALID));
            }
        }
    }
    rows
}

fn type_row(info: &TypeInfo) -> Vec<ochre_types::Datum> {
    row(info, info.name, oids::PG_CATALOG, Oid::INVALID)
}

fn row(info: &TypeInfo, name: &str, namespace: Oid, relation: Oid) -> Vec<ochre_types::Datum> {
    RowWriter::new(oids::PG_TYPE)
        .set("oid", info.oid)
        .set("typname", name)
        .set("typnamespace", namespace)
        .set("typowner", oids::BOOTSTRAP_ROLE)
        .set("typlen", info.length)
        .set("typbyval", info.by_value)
        .set("typtype", info.kind)
        .set("typcategory", info.category)
        .set("typispreferred", info.preferred)
        .set("typisdefined", true)
        .set("typdelim", info.delimiter)
        .set("typrelid", relation)
        .set("typsubscript", info.subscript.0)
        .set("typelem", info.element)
        .set("typarray", info.array)
        .set("typinput", info.input.0)
        .set("typoutput", info.output.0)
        .set("typreceive", info.receive.0)
        .set("typsend", info.send.0)
        .set("typmodin", info.typmod_in.0)
        .set("typmodout", info.typmod_out.0)
        .set("typanalyze", info.analyze.0)
        .set("typalign", info.align)
        .set("typstorage", info.storage)
        .set("typnotnull", false)
        .set("typbasetype", Oid::INVALID)
        .set("typtypmod", -1)
        .set("typndims", 0)
        .set("typcollation", info.collation)
        .values()
}
