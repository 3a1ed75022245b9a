//! The stored catalogs against themselves: what a row names is there, and no name is there twice.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use ochre_base::Oid;
use ochre_catalog::stored::{self, CatalogRows};
use ochre_catalog::{builtin, oids};
use ochre_types::Datum;

use super::Check;
use crate::database::Database;
use crate::instance::Instance;
use crate::store::{CatalogStore, row_key};

/// Columns that name a row of another catalog; 0 names none. Column lists are not among them: those of a transaction that
/// was rolled back stay.
const REFERENCES: [(Oid, &str, Oid); 19] = [
    (oids::PG_CLASS, "relnamespace", oids::PG_NAMESPACE),
    (oids::PG_CLASS, "relowner", oids::PG_AUTHID),
    (oids::PG_NAMESPACE, "nspowner", oids::PG_AUTHID),
    (oids::PG_DATABASE, "datdba", oids::PG_AUTHID),
    (oids::PG_AUTH_MEMBERS, "roleid", oids::PG_AUTHID),
    (oids::PG_AUTH_MEMBERS, "member", oids::PG_AUTHID),
    (oids::PG_AUTH_MEMBERS, "grantor", oids::PG_AUTHID),
    (oids::PG_DEFAULT_ACL, "defaclrole", oids::PG_AUTHID),
    (oids::PG_ATTRIBUTE, "attrelid", oids::PG_CLASS),
    (oids::PG_INDEX, "indexrelid", oids::PG_CLASS),
    (oids::PG_INDEX, "indrelid", oids::PG_CLASS),
    (oids::PG_CONSTRAINT, "conrelid", oids::PG_CLASS),
    (oids::PG_CONSTRAINT, "conindid", oids::PG_CLASS),
    (oids::PG_ATTRDEF, "adrelid", oids::PG_CLASS),
    (oids::PG_SEQUENCE, "seqrelid", oids::PG_CLASS),
    (oids::PG_REWRITE, "ev_class", oids::PG_CLASS),
    (oids::PG_STATISTIC, "starelid", oids::PG_CLASS),
    (oids::OCHRE_RELATION, "relid", oids::PG_CLASS),
    (oids::PG_AGGREGATE, "aggfnoid", oids::PG_PROC),
];

/// Columns that together are given once.
const NAMES: [(Oid, &[&str]); 5] = [
    (oids::PG_CLASS, &["relnamespace", "relname"]),
    (oids::PG_TYPE, &["typnamespace", "typname"]),
    (oids::PG_NAMESPACE, &["nspname"]),
    (oids::PG_DATABASE, &["datname"]),
    (oids::PG_AUTHID, &["rolname"]),
];

impl Check<'_> {
    pub(super) fn catalog(&mut self, instance: &Arc<Instance>, database: &Arc<Database>) {
        let catalog = database.catalog();
        let name = catalog.database(database.oid()).map(|d| d.name.to_string()).unwrap_or_default();
        let Some((_, rows)) = self.attempt(&name, CatalogStore::load(instance, database.oid())) else {
            return;
        };
        for (catalog, relation) in rows.keys().map(|oid| (*oid, builtin::relation(*oid))) {
            let Some(relation) = relation else { continue };
            let mut seen = HashSet::new();
            for key in rows[&catalog].iter().map(|values| row_key(catalog, values)) {
                if let Some(twice) = seen.replace(key) {
                    self.problem(
                        format!("{name}: catalog {}", relation.name),
                        format!("two rows have the key {:?}", twice.as_slice()),
                    );
                }
            }
        }
        self.references(&name, &rows);
        self.names_given_once(&name, &rows);
        self.attribute_counts(&name, &rows);
        self.attempt(&name, stored::relations(&rows));
    }

    fn references(&mut self, name: &str, rows: &CatalogRows) {
        let mut known: HashMap<Oid, HashSet<i64>> = HashMap::new();
        known.insert(oids::PG_NAMESPACE, builtin::namespaces().iter().map(|n| i64::from(n.oid.0)).collect());
        known.insert(oids::PG_AUTHID, builtin::roles().iter().map(|r| i64::from(r.oid.0)).collect());
        for target in [oids::PG_CLASS, oids::PG_NAMESPACE, oids::PG_AUTHID] {
            let ids = rows.get(&target).into_iter().flatten().filter_map(|row| integer(target, row, "oid"));
            known.entry(target).or_default().extend(ids);
        }
        for (catalog, column, target) in REFERENCES {
            for row in rows.get(&catalog).into_iter().flatten() {
                let Some(value) = integer(catalog, row, column).filter(|value| *value != 0) else { continue };
                if !known[&target].contains(&value) {
                    let (catalog, target) = (relation_name(catalog), relation_name(target));
                    self.problem(
                        format!("{name}: catalog {catalog}"),
                        format!("{column} {value} is not in {target}"),
                    );
                }
            }
        }
    }

    fn names_given_once(&mut self, name: &str, rows: &CatalogRows) {
        for (catalog, columns) in NAMES {
            let mut seen = HashSet::new();
            for row in rows.get(&catalog).into_iter().flatten() {
                let key: Vec<String> =
                    columns.iter().map(|column| format!("{:?}", value(catalog, row, column))).collect();
                if !seen.insert(key) {
                    let what = value(catalog, row, columns[columns.len() - 1]);
                    self.problem(
                        format!("{name}: catalog {}", relation_name(catalog)),
                        format!("the name {what:?} is there twice"),
                    );
                }
            }
        }
    }

    /// `relnatts` counts the rows of `pg_attribute`.
    fn attribute_counts(&mut self, name: &str, rows: &CatalogRows) {
        let mut counts: HashMap<i64, i64> = HashMap::new();
        for row in rows.get(&oids::PG_ATTRIBUTE).into_iter().flatten() {
            let number = integer(oids::PG_ATTRIBUTE, row, "attnum").unwrap_or(0);
            if let Some(relation) = integer(oids::PG_ATTRIBUTE, row, "attrelid").filter(|_| number > 0) {
                *counts.entry(relation).or_default() += 1;
            }
        }
        for row in rows.get(&oids::PG_CLASS).into_iter().flatten() {
            let Some(oid) = integer(oids::PG_CLASS, row, "oid") else { continue };
            let (natts, found) = (integer(oids::PG_CLASS, row, "relnatts"), counts.get(&oid).copied());
            if natts.unwrap_or(0) != found.unwrap_or(0) {
                self.problem(
                    format!("{name}: catalog pg_class"),
                    format!(
                        "relation {oid} has relnatts {}, and {} rows in pg_attribute",
                        natts.unwrap_or(0),
                        found.unwrap_or(0)
                    ),
                );
            }
        }
    }
}

fn relation_name(catalog: Oid) -> &'static str {
    builtin::relation(catalog).map_or("?", |relation| &relation.name)
}

fn value<'a>(catalog: Oid, row: &'a [Datum], column: &str) -> &'a Datum {
    let column = builtin::relation(catalog).and_then(|relation| relation.column_named(column));
    &row[column.expect("catalog columns are known").number as usize - 1]
}

fn integer(catalog: Oid, row: &[Datum], column: &str) -> Option<i64> {
    value(catalog, row, column).as_i64()
}
