//! SQL definitions of built-in views, in the words of our own catalogs.
//!
//! A view of PostgreSQL's that is not here exists with its columns and reads as empty.

use ochre_base::Oid;

use crate::oids;

/// The query of a built-in view.
pub fn query(namespace: Oid, name: &str) -> Option<&'static str> {
    let lists = match namespace {
        oids::PG_CATALOG => [PG_CATALOG, &[]],
        _ => [INFORMATION_SCHEMA, super::privilege_views::VIEWS],
    };
    lists.into_iter().flatten().find(|(view, _)| *view == name).map(|(_, query)| *query)
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
    (
        "pg_stats",
        "SELECT n.nspname AS schemaname, c.relname AS tablename, a.attname, s.stainherit AS inherited, \
         s.stanullfrac AS null_frac, s.stawidth AS avg_width, s.stadistinct AS n_distinct, CASE WHEN \
         s.stakind1 = 1 THEN s.stavalues1 WHEN s.stakind2 = 1 THEN s.stavalues2 WHEN s.stakind3 = 1 THEN \
         s.stavalues3 WHEN s.stakind4 = 1 THEN s.stavalues4 WHEN s.stakind5 = 1 THEN s.stavalues5 END AS \
         most_common_vals, CASE WHEN s.stakind1 = 1 THEN s.stanumbers1 WHEN s.stakind2 = 1 THEN s.stanumbers2 \
         WHEN s.stakind3 = 1 THEN s.stanumbers3 WHEN s.stakind4 = 1 THEN s.stanumbers4 WHEN s.stakind5 = 1 \
         THEN s.stanumbers5 END AS most_common_freqs, CASE WHEN s.stakind1 = 2 THEN s.stavalues1 WHEN \
         s.stakind2 = 2 THEN s.stavalues2 WHEN s.stakind3 = 2 THEN s.stavalues3 WHEN s.stakind4 = 2 THEN \
         s.stavalues4 WHEN s.stakind5 = 2 THEN s.stavalues5 END AS histogram_bounds, CASE WHEN s.stakind1 = 3 \
         THEN s.stanumbers1[1] WHEN s.stakind2 = 3 THEN s.stanumbers2[1] WHEN s.stakind3 = 3 THEN \
         s.stanumbers3[1] WHEN s.stakind4 = 3 THEN s.stanumbers4[1] WHEN s.stakind5 = 3 THEN s.stanumbers5[1] \
         END AS correlation, CASE WHEN s.stakind1 = 4 THEN s.stavalues1 WHEN s.stakind2 = 4 THEN s.stavalues2 \
         WHEN s.stakind3 = 4 THEN s.stavalues3 WHEN s.stakind4 = 4 THEN s.stavalues4 WHEN s.stakind5 = 4 THEN \
         s.stavalues5 END AS most_common_elems, CASE WHEN s.stakind1 = 4 THEN s.stanumbers1 WHEN s.stakind2 = \
         4 THEN s.stanumbers2 WHEN s.stakind3 = 4 THEN s.stanumbers3 WHEN s.stakind4 = 4 THEN s.stanumbers4 \
         WHEN s.stakind5 = 4 THEN s.stanumbers5 END AS most_common_elem_freqs, CASE WHEN s.stakind1 = 5 THEN \
         s.stanumbers1 WHEN s.stakind2 = 5 THEN s.stanumbers2 WHEN s.stakind3 = 5 THEN s.stanumbers3 WHEN \
         s.stakind4 = 5 THEN s.stanumbers4 WHEN s.stakind5 = 5 THEN s.stanumbers5 END AS \
         elem_count_histogram, CASE WHEN s.stakind1 = 6 THEN s.stavalues1 WHEN s.stakind2 = 6 THEN \
         s.stavalues2 WHEN s.stakind3 = 6 THEN s.stavalues3 WHEN s.stakind4 = 6 THEN s.stavalues4 WHEN \
         s.stakind5 = 6 THEN s.stavalues5 END AS range_length_histogram, CASE WHEN s.stakind1 = 6 THEN \
         s.stanumbers1[1] WHEN s.stakind2 = 6 THEN s.stanumbers2[1] WHEN s.stakind3 = 6 THEN s.stanumbers3[1] \
         WHEN s.stakind4 = 6 THEN s.stanumbers4[1] WHEN s.stakind5 = 6 THEN s.stanumbers5[1] END AS \
         range_empty_frac, CASE WHEN s.stakind1 = 7 THEN s.stavalues1 WHEN s.stakind2 = 7 THEN s.stavalues2 \
         WHEN s.stakind3 = 7 THEN s.stavalues3 WHEN s.stakind4 = 7 THEN s.stavalues4 WHEN s.stakind5 = 7 THEN \
         s.stavalues5 END AS range_bounds_histogram FROM pg_catalog.pg_statistic s JOIN pg_catalog.pg_class c \
         ON c.oid = s.starelid JOIN pg_catalog.pg_attribute a ON c.oid = a.attrelid AND a.attnum = \
         s.staattnum LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE NOT a.attisdropped \
         AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'select')",
    ),
    ("pg_settings", "SELECT * FROM pg_catalog.pg_show_all_settings()"),
    (
        "pg_prepared_xacts",
        "SELECT p.transaction, p.gid, p.prepared, u.rolname AS owner, d.datname AS database \
         FROM pg_catalog.pg_prepared_xact() p LEFT JOIN pg_catalog.pg_authid u ON p.ownerid = u.oid \
         LEFT JOIN pg_catalog.pg_database d ON p.dbid = d.oid",
    ),
    (
        "pg_cursors",
        "SELECT name, statement, is_holdable, is_binary, is_scrollable, creation_time FROM pg_catalog.pg_cursor()",
    ),
    (
        "pg_prepared_statements",
        "SELECT name, statement, prepare_time, parameter_types, result_types, from_sql, generic_plans, custom_plans \
         FROM pg_catalog.pg_prepared_statement()",
    ),
    ("pg_locks", "SELECT * FROM pg_catalog.pg_lock_status()"),
    (
        "pg_stat_activity",
        "SELECT s.datid, d.datname, s.pid, s.leader_pid, s.usesysid, u.rolname AS usename, s.application_name, \
         s.client_addr, s.client_hostname, s.client_port, s.backend_start, s.xact_start, s.query_start, s.state_change, \
         s.wait_event_type, s.wait_event, s.state, s.backend_xid, s.backend_xmin, s.query_id, s.query, s.backend_type \
         FROM pg_catalog.pg_stat_get_activity(NULL::integer) s \
         LEFT JOIN pg_catalog.pg_database d ON s.datid = d.oid LEFT JOIN pg_catalog.pg_authid u ON s.usesysid = u.oid",
    ),
    (
        "pg_stat_all_tables",
        "SELECT c.oid AS relid, n.nspname AS schemaname, c.relname, pg_catalog.pg_stat_get_numscans(c.oid) AS seq_scan, \
         pg_catalog.pg_stat_get_lastscan(c.oid) AS last_seq_scan, \
         pg_catalog.pg_stat_get_tuples_returned(c.oid) AS seq_tup_read, \
         (SELECT sum(pg_catalog.pg_stat_get_numscans(i.indexrelid))::bigint FROM pg_catalog.pg_index i \
          WHERE i.indrelid = c.oid) AS idx_scan, \
         NULL::timestamptz AS last_idx_scan, \
         (SELECT CASE WHEN count(*) > 0 THEN pg_catalog.pg_stat_get_tuples_fetched(c.oid) END FROM pg_catalog.pg_index i \
          WHERE i.indrelid = c.oid) AS idx_tup_fetch, \
         pg_catalog.pg_stat_get_tuples_inserted(c.oid) AS n_tup_ins, \
         pg_catalog.pg_stat_get_tuples_updated(c.oid) AS n_tup_upd, \
         pg_catalog.pg_stat_get_tuples_deleted(c.oid) AS n_tup_del, \
         pg_catalog.pg_stat_get_tuples_hot_updated(c.oid) AS n_tup_hot_upd, \
         pg_catalog.pg_stat_get_tuples_newpage_updated(c.oid) AS n_tup_newpage_upd, \
         pg_catalog.pg_stat_get_live_tuples(c.oid) AS n_live_tup, \
         pg_catalog.pg_stat_get_dead_tuples(c.oid) AS n_dead_tup, \
         pg_catalog.pg_stat_get_mod_since_analyze(c.oid) AS n_mod_since_analyze, \
         pg_catalog.pg_stat_get_ins_since_vacuum(c.oid) AS n_ins_since_vacuum, \
         pg_catalog.pg_stat_get_last_vacuum_time(c.oid) AS last_vacuum, \
         pg_catalog.pg_stat_get_last_autovacuum_time(c.oid) AS last_autovacuum, \
         pg_catalog.pg_stat_get_last_analyze_time(c.oid) AS last_analyze, \
         pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid) AS last_autoanalyze, \
         pg_catalog.pg_stat_get_vacuum_count(c.oid) AS vacuum_count, \
         pg_catalog.pg_stat_get_autovacuum_count(c.oid) AS autovacuum_count, \
         pg_catalog.pg_stat_get_analyze_count(c.oid) AS analyze_count, \
         pg_catalog.pg_stat_get_autoanalyze_count(c.oid) AS autoanalyze_count, \
         pg_catalog.pg_stat_get_total_vacuum_time(c.oid) AS total_vacuum_time, \
         pg_catalog.pg_stat_get_total_autovacuum_time(c.oid) AS total_autovacuum_time, \
         pg_catalog.pg_stat_get_total_analyze_time(c.oid) AS total_analyze_time, \
         pg_catalog.pg_stat_get_total_autoanalyze_time(c.oid) AS total_autoanalyze_time \
         FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 't', 'm', 'p')",
    ),
    (
        "pg_stat_user_tables",
        "SELECT * FROM pg_catalog.pg_stat_all_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND schemaname !~ '^pg_toast'",
    ),
    (
        "pg_stat_user_indexes",
        "SELECT * FROM pg_catalog.pg_stat_all_indexes WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND schemaname !~ '^pg_toast'",
    ),
    (
        "pg_stat_user_functions",
        "SELECT p.oid AS funcid, n.nspname AS schemaname, p.proname AS funcname, \
         pg_catalog.pg_stat_get_function_calls(p.oid) AS calls, \
         pg_catalog.pg_stat_get_function_total_time(p.oid) AS total_time, \
         pg_catalog.pg_stat_get_function_self_time(p.oid) AS self_time \
         FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         WHERE p.prolang <> 12::oid AND pg_catalog.pg_stat_get_function_calls(p.oid) IS NOT NULL",
    ),
    (
        "pg_stat_xact_user_functions",
        "SELECT p.oid AS funcid, n.nspname AS schemaname, p.proname AS funcname, \
         pg_catalog.pg_stat_get_xact_function_calls(p.oid) AS calls, \
         pg_catalog.pg_stat_get_xact_function_total_time(p.oid) AS total_time, \
         pg_catalog.pg_stat_get_xact_function_self_time(p.oid) AS self_time \
         FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         WHERE p.prolang <> 12::oid AND pg_catalog.pg_stat_get_xact_function_calls(p.oid) IS NOT NULL",
    ),
    (
        "pg_stat_sys_tables",
        "SELECT * FROM pg_catalog.pg_stat_all_tables WHERE (schemaname IN ('pg_catalog', 'information_schema') OR schemaname ~ '^pg_toast')",
    ),
    (
        "pg_stat_sys_indexes",
        "SELECT * FROM pg_catalog.pg_stat_all_indexes WHERE (schemaname IN ('pg_catalog', 'information_schema') OR schemaname ~ '^pg_toast')",
    ),
    (
        "pg_stat_all_indexes",
        "SELECT c.oid AS relid, i.oid AS indexrelid, n.nspname AS schemaname, c.relname, i.relname AS indexrelname, \
         pg_catalog.pg_stat_get_numscans(i.oid) AS idx_scan, pg_catalog.pg_stat_get_lastscan(i.oid) AS last_idx_scan, \
         pg_catalog.pg_stat_get_tuples_returned(i.oid) AS idx_tup_read, \
         pg_catalog.pg_stat_get_tuples_fetched(i.oid) AS idx_tup_fetch \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index x ON c.oid = x.indrelid \
         JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
         LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 't', 'm')",
    ),
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
    (
        "table_constraints",
        "SELECT pg_catalog.current_database()::name AS constraint_catalog, nc.nspname AS constraint_schema, \
         c.conname AS constraint_name, pg_catalog.current_database()::name AS table_catalog, \
         nr.nspname AS table_schema, r.relname AS table_name, \
         CASE c.contype WHEN 'c' THEN 'CHECK' WHEN 'n' THEN 'CHECK' WHEN 'f' THEN 'FOREIGN KEY' \
              WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' END::varchar AS constraint_type, \
         CASE WHEN c.condeferrable THEN 'YES' ELSE 'NO' END::varchar AS is_deferrable, \
         CASE WHEN c.condeferred THEN 'YES' ELSE 'NO' END::varchar AS initially_deferred, \
         CASE WHEN c.conenforced THEN 'YES' ELSE 'NO' END::varchar AS enforced, \
         CASE WHEN c.contype = 'u' THEN CASE WHEN i.indnullsnotdistinct THEN 'NO' ELSE 'YES' END END::varchar \
              AS nulls_distinct \
         FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace nc ON nc.oid = c.connamespace \
         JOIN pg_catalog.pg_class r ON r.oid = c.conrelid \
         JOIN pg_catalog.pg_namespace nr ON nr.oid = r.relnamespace \
         LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.conindid \
         WHERE c.contype NOT IN ('t', 'x') AND r.relkind IN ('r', 'p')",
    ),
    (
        "referential_constraints",
        "SELECT pg_catalog.current_database()::name AS constraint_catalog, nc.nspname AS constraint_schema, \
         c.conname AS constraint_name, \
         CASE WHEN np.nspname IS NOT NULL THEN pg_catalog.current_database()::name END \
              AS unique_constraint_catalog, \
         np.nspname AS unique_constraint_schema, p.conname AS unique_constraint_name, \
         CASE c.confmatchtype WHEN 'f' THEN 'FULL' WHEN 'p' THEN 'PARTIAL' WHEN 's' THEN 'NONE' END::varchar \
              AS match_option, \
         CASE c.confupdtype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' \
              WHEN 'r' THEN 'RESTRICT' WHEN 'a' THEN 'NO ACTION' END::varchar AS update_rule, \
         CASE c.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' \
              WHEN 'r' THEN 'RESTRICT' WHEN 'a' THEN 'NO ACTION' END::varchar AS delete_rule \
         FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace nc ON nc.oid = c.connamespace \
         LEFT JOIN pg_catalog.pg_constraint p ON p.conindid = c.conindid AND p.conrelid = c.confrelid \
              AND p.contype IN ('p', 'u') \
         LEFT JOIN pg_catalog.pg_namespace np ON np.oid = p.connamespace WHERE c.contype = 'f'",
    ),
    (
        "key_column_usage",
        "SELECT pg_catalog.current_database()::name AS constraint_catalog, nc.nspname AS constraint_schema, \
         c.conname AS constraint_name, pg_catalog.current_database()::name AS table_catalog, \
         nr.nspname AS table_schema, r.relname AS table_name, a.attname AS column_name, \
         k.n::int4 AS ordinal_position, \
         CASE WHEN c.contype = 'f' THEN (SELECT p.n FROM pg_catalog.generate_series(1, i.indnkeyatts::int4) AS p(n) \
              WHERE i.indkey[p.n - 1] = c.confkey[k.n]) END::int4 AS position_in_unique_constraint \
         FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace nc ON nc.oid = c.connamespace \
         JOIN pg_catalog.pg_class r ON r.oid = c.conrelid \
         JOIN pg_catalog.pg_namespace nr ON nr.oid = r.relnamespace \
         JOIN pg_catalog.pg_index i ON i.indexrelid = c.conindid \
         JOIN pg_catalog.generate_series(1, 32) AS k(n) ON k.n <= pg_catalog.array_length(c.conkey, 1) \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = c.conkey[k.n] AND NOT a.attisdropped \
         WHERE c.contype IN ('p', 'u', 'f') AND r.relkind IN ('r', 'p')",
    ),
    (
        "constraint_column_usage",
        "SELECT pg_catalog.current_database()::name AS table_catalog, nr.nspname AS table_schema, \
         r.relname AS table_name, a.attname AS column_name, \
         pg_catalog.current_database()::name AS constraint_catalog, nc.nspname AS constraint_schema, \
         c.conname AS constraint_name \
         FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace nc ON nc.oid = c.connamespace \
         JOIN pg_catalog.pg_class r ON r.oid = CASE WHEN c.contype = 'f' THEN c.confrelid ELSE c.conrelid END \
         JOIN pg_catalog.pg_namespace nr ON nr.oid = r.relnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND NOT a.attisdropped \
              AND a.attnum = ANY (CASE WHEN c.contype = 'f' THEN c.confkey ELSE c.conkey END) \
         WHERE c.contype IN ('c', 'n', 'p', 'u', 'f') AND r.relkind IN ('r', 'p')",
    ),
    (
        "check_constraints",
        "SELECT pg_catalog.current_database()::name AS constraint_catalog, n.nspname AS constraint_schema, \
         c.conname AS constraint_name, \
         CASE WHEN c.contype = 'c' THEN pg_catalog.pg_get_expr(c.conbin, c.conrelid) \
              ELSE a.attname || ' IS NOT NULL' END::varchar AS check_clause \
         FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace \
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] \
         WHERE c.contype IN ('c', 'n')",
    ),
    (
        "columns",
        "SELECT pg_catalog.current_database()::name AS table_catalog, n.nspname AS table_schema, \
         c.relname AS table_name, a.attname AS column_name, a.attnum::int4 AS ordinal_position, \
         CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END::varchar AS column_default, \
         CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END::varchar AS is_nullable, \
         CASE WHEN t.typelem <> 0 AND t.typlen = -1 AND t.typcategory = 'A' THEN 'ARRAY' \
              WHEN tn.nspname = 'pg_catalog' THEN pg_catalog.format_type(a.atttypid, NULL) \
              ELSE 'USER-DEFINED' END::varchar AS data_type, \
         CASE WHEN a.atttypid IN (1042, 1043) AND a.atttypmod <> -1 THEN a.atttypmod - 4 \
              WHEN a.atttypid IN (1560, 1562) AND a.atttypmod <> -1 THEN a.atttypmod END::int4 \
              AS character_maximum_length, \
         CASE WHEN a.atttypid IN (25, 1042, 1043) THEN \
              CASE WHEN a.atttypmod = -1 THEN 1073741824 ELSE (a.atttypmod - 4) * 4 END END::int4 \
              AS character_octet_length, \
         CASE a.atttypid WHEN 21 THEN 16 WHEN 23 THEN 32 WHEN 20 THEN 64 WHEN 700 THEN 24 WHEN 701 THEN 53 \
              WHEN 1700 THEN CASE WHEN a.atttypmod = -1 THEN NULL ELSE ((a.atttypmod - 4) >> 16) & 65535 END END::int4 \
              AS numeric_precision, \
         CASE WHEN a.atttypid IN (21, 23, 20, 700, 701) THEN 2 WHEN a.atttypid = 1700 THEN 10 END::int4 \
              AS numeric_precision_radix, \
         CASE WHEN a.atttypid IN (21, 23, 20) THEN 0 \
              WHEN a.atttypid = 1700 AND a.atttypmod <> -1 THEN (a.atttypmod - 4) & 2047 END::int4 AS numeric_scale, \
         CASE WHEN a.atttypid = 1082 THEN 0 \
              WHEN a.atttypid IN (1083, 1114, 1184, 1266) THEN CASE WHEN a.atttypmod < 0 THEN 6 ELSE a.atttypmod END \
              WHEN a.atttypid = 1186 THEN CASE WHEN a.atttypmod < 0 OR (a.atttypmod & 65535) = 65535 THEN 6 \
                   ELSE a.atttypmod & 65535 END END::int4 AS datetime_precision, \
         NULL::varchar AS interval_type, NULL::int4 AS interval_precision, \
         NULL::name AS character_set_catalog, NULL::name AS character_set_schema, NULL::name AS character_set_name, \
         NULL::name AS collation_catalog, NULL::name AS collation_schema, NULL::name AS collation_name, \
         NULL::name AS domain_catalog, NULL::name AS domain_schema, NULL::name AS domain_name, \
         pg_catalog.current_database()::name AS udt_catalog, tn.nspname AS udt_schema, t.typname AS udt_name, \
         NULL::name AS scope_catalog, NULL::name AS scope_schema, NULL::name AS scope_name, \
         NULL::int4 AS maximum_cardinality, a.attnum::text::name AS dtd_identifier, \
         'NO'::varchar AS is_self_referencing, \
         CASE WHEN a.attidentity IN ('a', 'd') THEN 'YES' ELSE 'NO' END::varchar AS is_identity, \
         CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END::varchar AS identity_generation, \
         s.seqstart::text::varchar AS identity_start, s.seqincrement::text::varchar AS identity_increment, \
         s.seqmax::text::varchar AS identity_maximum, s.seqmin::text::varchar AS identity_minimum, \
         CASE WHEN s.seqcycle THEN 'YES' ELSE 'NO' END::varchar AS identity_cycle, \
         CASE WHEN a.attgenerated <> '' THEN 'ALWAYS' ELSE 'NEVER' END::varchar AS is_generated, \
         CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END::varchar \
              AS generation_expression, \
         CASE WHEN c.relkind IN ('r', 'p') THEN 'YES' ELSE 'NO' END::varchar AS is_updatable \
         FROM pg_catalog.pg_attribute a \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
         JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace \
         LEFT JOIN pg_catalog.pg_depend p ON p.refclassid = 1259 AND p.refobjid = c.oid \
              AND p.refobjsubid = a.attnum AND p.deptype = 'i' AND p.classid = 1259 \
         LEFT JOIN pg_catalog.pg_sequence s ON s.seqrelid = p.objid \
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'f', 'p')",
    ),
];
