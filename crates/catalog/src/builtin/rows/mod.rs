//! The rows of built-in objects, derived from the tables of types, functions, operators and casts in the binary.
//!
//! A scan of a catalog returns these before the stored rows. They are made at the first scan and kept.

pub(crate) mod functions;
mod objects;
mod operators;
mod types;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use ochre_base::Oid;
use ochre_base::limits::BATCH_ROWS;
use ochre_types::{Batch, Column, Datum};

use super::relation;
use crate::oids;

type Rows = Vec<Vec<Datum>>;

static BATCHES: LazyLock<Mutex<HashMap<Oid, Arc<[Batch]>>>> = LazyLock::new(Mutex::default);

/// The built-in rows of a catalog, in batches of all its columns; none for a catalog without any.
pub fn batches(catalog: Oid) -> Arc<[Batch]> {
    let mut cache = BATCHES.lock().expect("making rows does not panic");
    Arc::clone(cache.entry(catalog).or_insert_with(|| to_batches(catalog, &rows(catalog))))
}

fn to_batches(catalog: Oid, rows: &Rows) -> Arc<[Batch]> {
    let Some(relation) = relation(catalog) else {
        return Arc::default();
    };
    rows.chunks(BATCH_ROWS)
        .map(|rows| {
            let columns = relation.columns.iter().enumerate().map(|(i, column)| {
                Arc::new(Column::from_datums(column.ty.physical, rows.iter().map(|row| &row[i])))
            });
            Batch::new(columns.collect(), rows.len())
        })
        .collect()
}

fn rows(catalog: Oid) -> Rows {
    match catalog {
        oids::PG_CLASS => objects::classes(),
        oids::PG_ATTRIBUTE => objects::attributes(),
        oids::PG_NAMESPACE => objects::namespaces(),
        oids::PG_AUTHID | oids::PG_AUTH_MEMBERS => objects::roles(catalog),
        oids::PG_DESCRIPTION => objects::descriptions(),
        oids::PG_REWRITE => objects::rewrites(),
        oids::PG_AM => objects::access_methods(),
        oids::PG_LANGUAGE => objects::languages(),
        oids::PG_TABLESPACE => objects::tablespaces(),
        oids::PG_COLLATION => objects::collations(),
        oids::PG_TYPE => types::types(),
        oids::PG_PROC => functions::functions(),
        oids::PG_AGGREGATE => functions::aggregates(),
        oids::PG_OPERATOR => operators::operators(),
        oids::PG_CAST => operators::casts(),
        oids::PG_OPCLASS => operators::classes(),
        oids::PG_OPFAMILY => operators::families(),
        oids::PG_AMOP => operators::members(),
        oids::PG_AMPROC => operators::support_functions(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(catalog: Oid) -> usize {
        batches(catalog).iter().map(|batch| batch.rows).sum()
    }

    #[test]
    fn catalogs_show_what_is_built_in() {
        assert!(count(oids::PG_TYPE) > 350);
        assert!(count(oids::PG_PROC) > 3000);
        assert!(count(oids::PG_OPERATOR) > 700);
        assert!(count(oids::PG_CAST) > 200);
        assert_eq!(count(oids::PG_CLASS), crate::builtin::relations().len());
        assert!(count(oids::PG_ATTRIBUTE) > 2000);
        assert_eq!(count(oids::PG_STATISTIC), 0);
    }

    #[test]
    fn columns_that_must_not_be_null_are_not() {
        for relation in crate::builtin::relations() {
            for batch in batches(relation.oid).iter() {
                for (column, values) in relation.columns.iter().zip(&batch.columns) {
                    assert!(!column.not_null || !values.has_nulls(), "{}.{}", relation.name, column.name);
                }
            }
        }
    }
}
