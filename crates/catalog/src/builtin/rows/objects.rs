//! Relations, columns, namespaces, and the few objects of other kinds.

use ochre_base::Oid;
use ochre_types::Datum;

use super::Rows;
use crate::builtin;
use crate::descriptor::RelationKind;
use crate::oids;
use crate::stored::{RowWriter, attribute_row, class_row, namespace_rows, role_rows};

pub(super) fn classes() -> Rows {
    builtin::relations().iter().map(|relation| class_row(relation).values).collect()
}

pub(super) fn attributes() -> Rows {
    builtin::relations()
        .iter()
        .flat_map(|relation| relation.columns.iter().map(|column| attribute_row(relation, column).values))
        .collect()
}

fn namespace_catalog_rows(catalog: Oid) -> Rows {
    builtin::namespaces()
        .iter()
        .flat_map(|namespace| namespace_rows(namespace))
        .filter(|row| row.catalog == catalog)
        .map(|row| row.values)
        .collect()
}

pub(super) fn namespaces() -> Rows {
    namespace_catalog_rows(oids::PG_NAMESPACE)
}

/// The rows of roles that are not stored.
pub(super) fn roles(catalog: Oid) -> Rows {
    let roles = builtin::roles();
    let predefined = roles.iter().filter(|role| role.oid != oids::BOOTSTRAP_ROLE);
    let rows = predefined.flat_map(|role| role_rows(role));
    rows.filter(|row| row.catalog == catalog).map(|row| row.values).collect()
}

pub(super) fn descriptions() -> Rows {
    let mut rows = namespace_catalog_rows(oids::PG_DESCRIPTION);
    for (object, class, text) in [
        (oids::HEAP_AM, oids::PG_AM, "heap table access method"),
        (oids::BTREE_AM, oids::PG_AM, "b-tree index access method"),
        (oids::HASH_AM, oids::PG_AM, "hash index access method"),
        (oids::GIN_AM, oids::PG_AM, "GIN index access method"),
        (Oid(12), oids::PG_LANGUAGE, "built-in functions"),
        (Oid(14), oids::PG_LANGUAGE, "SQL-language functions"),
    ] {
        rows.push(
            RowWriter::new(oids::PG_DESCRIPTION)
                .set("objoid", object)
                .set("classoid", class)
                .set("objsubid", 0)
                .set("description", text)
                .values(),
        );
    }
    rows
}

pub(super) fn rewrites() -> Rows {
    builtin::relations()
        .iter()
        .filter(|relation| relation.kind == RelationKind::View)
        .map(|relation| {
            RowWriter::new(oids::PG_REWRITE)
                .set("oid", relation.oid)
                .set("rulename", "_RETURN")
                .set("ev_class", relation.oid)
                .set("ev_type", b'1')
                .set("ev_enabled", b'O')
                .set("is_instead", true)
                .set("ev_qual", "<>")
                .set("ev_action", relation.view_query.as_deref().unwrap_or_default())
                .values()
        })
        .collect()
}

pub(super) fn access_methods() -> Rows {
    // Only what exists here: tools offer what they find.
    [
        (oids::HEAP_AM, "heap", 3, b't'),
        (oids::BTREE_AM, "btree", 330, b'i'),
        (oids::HASH_AM, "hash", 331, b'i'),
        (oids::GIN_AM, "gin", 333, b'i'),
    ]
    .into_iter()
    .map(|(oid, name, handler, kind)| {
        RowWriter::new(oids::PG_AM)
            .set("oid", oid)
            .set("amname", name)
            .set("amhandler", Oid(handler))
            .set("amtype", kind)
            .values()
    })
    .collect()
}

pub(super) fn languages() -> Rows {
    [
        (12, "internal", false, 2246),
        (13, "c", false, 2247),
        (14, "sql", true, 2248),
        (oids::PLPGSQL_LANGUAGE.0, "plpgsql", true, 0),
    ]
    .into_iter()
    .map(|(oid, name, trusted, validator)| {
        RowWriter::new(oids::PG_LANGUAGE)
            .set("oid", Oid(oid))
            .set("lanname", name)
            .set("lanowner", oids::BOOTSTRAP_ROLE)
            .set("lanispl", name == "plpgsql")
            .set("lanpltrusted", trusted)
            .set("lanplcallfoid", Oid::INVALID)
            .set("laninline", Oid::INVALID)
            .set("lanvalidator", Oid(validator))
            .values()
    })
    .collect()
}

pub(super) fn tablespaces() -> Rows {
    [(oids::PG_DEFAULT_TABLESPACE, "pg_default"), (oids::PG_GLOBAL_TABLESPACE, "pg_global")]
        .into_iter()
        .map(|(oid, name)| {
            RowWriter::new(oids::PG_TABLESPACE)
                .set("oid", oid)
                .set("spcname", name)
                .set("spcowner", oids::BOOTSTRAP_ROLE)
                .values()
        })
        .collect()
}

pub(super) fn collations() -> Rows {
    // Object id, name, provider, encoding, libc locale, locale.
    [
        (100, "default", b'd', -1, None, None),
        (811, "pg_c_utf8", b'b', 6, None, Some("C.UTF-8")),
        (950, "C", b'c', -1, Some("C"), None),
        (951, "POSIX", b'c', -1, Some("POSIX"), None),
        (962, "ucs_basic", b'b', 6, None, Some("C")),
    ]
    .into_iter()
    .map(|(oid, name, provider, encoding, libc, locale)| {
        RowWriter::new(oids::PG_COLLATION)
            .set("oid", Oid(oid))
            .set("collname", name)
            .set("collnamespace", oids::PG_CATALOG)
            .set("collowner", oids::BOOTSTRAP_ROLE)
            .set("collprovider", provider)
            .set("collisdeterministic", true)
            .set("collencoding", encoding)
            .set("collcollate", libc)
            .set("collctype", libc)
            .set("colllocale", locale)
            .set("collversion", Datum::Null)
            .values()
    })
    .collect()
}
