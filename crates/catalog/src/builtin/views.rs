//! SQL definitions of built-in views, in the words of our own catalogs.
//!
//! A view of PostgreSQL's that is not here exists with its columns and reads as empty.

use ochre_base::Oid;

use crate::oids;

/// The query of a built-in view.
pub fn query(namespace: Oid, name: &str) -> Option<&'static str> {
    let list = if namespace == oids::PG_CATALOG { PG_CATALOG } else { INFORMATION_SCHEMA };
    list.iter().find(|(view, _)| *view == name).map(|(_, query)| *query)
}

/// Views in `pg_catalog`.
const PG_CATALOG: &[(&str, &str)] = &[
    (
        "pg_roles",
        "SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, \
         rolconnlimit, '********'::text AS rolpassword, rolvaliduntil, rolbypassrls, NULL::text[] AS rolconfig, oid \
         FROM pg_catalog.pg_authid",
    ),
    (
        "pg_user",
        "SELECT rolname AS usename, oid AS usesysid, rolcreatedb AS usecreatedb, rolsuper AS usesuper, \
         rolreplication AS userepl, rolbypassrls AS usebypassrls, '********'::text AS passwd, \
         rolvaliduntil AS valuntil, NULL::text[] AS useconfig FROM pg_catalog.pg_authid WHERE rolcanlogin",
    ),
    (
        "pg_tables",
        "SELECT n.nspname AS schemaname, c.relname AS tablename, pg_catalog.pg_get_userbyid(c.relowner) AS tableowner, \
         NULL::name AS tablespace, c.relhasindex AS hasindexes, c.relhasrules AS hasrules, \
         c.relhastriggers AS hastriggers, c.relrowsecurity AS rowsecurity \
         FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p')",
    ),
    (
        "pg_views",
        "SELECT n.nspname AS schemaname, c.relname AS viewname, pg_catalog.pg_get_userbyid(c.relowner) AS viewowner, \
         pg_catalog.pg_get_viewdef(c.oid) AS definition \
         FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'v'",
    ),
    (
        "pg_indexes",
        "SELECT n.nspname AS schemaname, c.relname AS tablename, i.relname AS indexname, NULL::name AS tablespace, \
         pg_catalog.pg_get_indexdef(i.oid) AS indexdef \
         FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indrelid \
         JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
         LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'm', 'p') AND i.relkind IN ('i', 'I')",
    ),
    (
        "pg_sequences",
        "SELECT n.nspname AS schemaname, c.relname AS sequencename, \
         pg_catalog.pg_get_userbyid(c.relowner) AS sequenceowner, s.seqtypid::pg_catalog.regtype AS data_type, \
         s.seqstart AS start_value, s.seqmin AS min_value, s.seqmax AS max_value, s.seqincrement AS increment_by, \
         s.seqcycle AS cycle, s.seqcache AS cache_size, pg_catalog.pg_sequence_last_value(c.oid) AS last_value \
         FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid \
         LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace",
    ),
    ("pg_settings", "SELECT * FROM pg_catalog.pg_show_all_settings()"),
];

/// Views in `information_schema`.
const INFORMATION_SCHEMA: &[(&str, &str)] = &[
    (
        "schemata",
        "SELECT pg_catalog.current_database()::name AS catalog_name, n.nspname AS schema_name, \
         pg_catalog.pg_get_userbyid(n.nspowner) AS schema_owner, NULL::name AS default_character_set_catalog, \
         NULL::name AS default_character_set_schema, NULL::name AS default_character_set_name, \
         NULL::varchar AS sql_path FROM pg_catalog.pg_namespace n",
    ),
    (
        "tables",
        "SELECT pg_catalog.current_database()::name AS table_catalog, n.nspname AS table_schema, \
         c.relname AS table_name, \
         CASE WHEN c.relpersistence = 't' THEN 'LOCAL TEMPORARY' WHEN c.relkind IN ('r', 'p') THEN 'BASE TABLE' \
         WHEN c.relkind = 'v' THEN 'VIEW' WHEN c.relkind = 'f' THEN 'FOREIGN' END::varchar AS table_type, \
         NULL::name AS self_referencing_column_name, NULL::varchar AS reference_generation, \
         NULL::name AS user_defined_type_catalog, NULL::name AS user_defined_type_schema, \
         NULL::name AS user_defined_type_name, \
         CASE WHEN c.relkind IN ('r', 'p') THEN 'YES' ELSE 'NO' END::varchar AS is_insertable_into, \
         'NO'::varchar AS is_typed, NULL::varchar AS commit_action \
         FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'v', 'f', 'p')",
    ),
];
