//! The views of `information_schema` about roles and privileges.

/// Their queries by their names.
pub(super) const VIEWS: &[(&str, &str)] = &[
    (
        "enabled_roles",
        "SELECT a.rolname AS role_name FROM pg_catalog.pg_authid a WHERE pg_catalog.pg_has_role(a.oid, 'USAGE')",
    ),
    (
        "applicable_roles",
        "SELECT a.rolname AS grantee, b.rolname AS role_name, \
         CASE WHEN m.admin_option THEN 'YES' ELSE 'NO' END::varchar AS is_grantable \
         FROM (SELECT member, roleid, admin_option FROM pg_catalog.pg_auth_members \
              UNION SELECT d.datdba, r.oid, false FROM pg_catalog.pg_database d, pg_catalog.pg_authid r \
              WHERE d.datname = pg_catalog.current_database() AND r.rolname = 'pg_database_owner') m \
         JOIN pg_catalog.pg_authid a ON m.member = a.oid JOIN pg_catalog.pg_authid b ON m.roleid = b.oid \
         WHERE pg_catalog.pg_has_role(a.oid, 'USAGE')",
    ),
    (
        "administrable_role_authorizations",
        "SELECT grantee, role_name, is_grantable FROM information_schema.applicable_roles WHERE is_grantable = 'YES'",
    ),
    (
        "table_privileges",
        "SELECT g.rolname AS grantor, e.rolname AS grantee, pg_catalog.current_database()::name AS table_catalog, \
         n.nspname AS table_schema, c.relname AS table_name, x.prtype::varchar AS privilege_type, \
         CASE WHEN pg_catalog.pg_has_role(e.oid, c.relowner, 'USAGE') OR x.grantable THEN 'YES' ELSE 'NO' \
              END::varchar AS is_grantable, \
         CASE WHEN x.prtype = 'SELECT' THEN 'YES' ELSE 'NO' END::varchar AS with_hierarchy \
         FROM pg_catalog.pg_class c CROSS JOIN LATERAL \
              pg_catalog.aclexplode(COALESCE(c.relacl, pg_catalog.acldefault('r', c.relowner))) \
              AS x(grantor, grantee, prtype, grantable) \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_authid g ON g.oid = x.grantor \
         JOIN (SELECT oid, rolname FROM pg_catalog.pg_authid UNION ALL SELECT 0::oid, 'PUBLIC'::name) \
              AS e(oid, rolname) ON e.oid = x.grantee \
         WHERE c.relkind IN ('r', 'v', 'f', 'p') \
         AND x.prtype IN ('INSERT', 'SELECT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER') \
         AND (pg_catalog.pg_has_role(g.oid, 'USAGE') OR pg_catalog.pg_has_role(e.oid, 'USAGE') OR e.rolname = 'PUBLIC')",
    ),
    (
        "role_table_grants",
        "SELECT grantor, grantee, table_catalog, table_schema, table_name, privilege_type, is_grantable, with_hierarchy \
         FROM information_schema.table_privileges \
         WHERE grantor IN (SELECT role_name FROM information_schema.enabled_roles) \
         OR grantee IN (SELECT role_name FROM information_schema.enabled_roles)",
    ),
    (
        "column_privileges",
        "SELECT g.rolname AS grantor, e.rolname AS grantee, pg_catalog.current_database()::name AS table_catalog, \
         n.nspname AS table_schema, x.relname AS table_name, x.attname AS column_name, \
         x.prtype::varchar AS privilege_type, \
         CASE WHEN pg_catalog.pg_has_role(e.oid, x.relowner, 'USAGE') OR x.grantable THEN 'YES' ELSE 'NO' \
              END::varchar AS is_grantable \
         FROM (SELECT t.grantor, t.grantee, a.attname, c.relname, c.relnamespace, t.prtype, t.grantable, c.relowner \
              FROM pg_catalog.pg_class c CROSS JOIN LATERAL \
                   pg_catalog.aclexplode(COALESCE(c.relacl, pg_catalog.acldefault('r', c.relowner))) \
                   AS t(grantor, grantee, prtype, grantable) \
              JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
              WHERE c.relkind IN ('r', 'v', 'f', 'p') \
              UNION SELECT t.grantor, t.grantee, a.attname, c.relname, c.relnamespace, t.prtype, t.grantable, c.relowner \
              FROM pg_catalog.pg_class c \
              JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
              CROSS JOIN LATERAL \
                   pg_catalog.aclexplode(COALESCE(a.attacl, pg_catalog.acldefault('c', c.relowner))) \
                   AS t(grantor, grantee, prtype, grantable) \
              WHERE c.relkind IN ('r', 'v', 'f', 'p')) x \
         JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace \
         JOIN pg_catalog.pg_authid g ON g.oid = x.grantor \
         JOIN (SELECT oid, rolname FROM pg_catalog.pg_authid UNION ALL SELECT 0::oid, 'PUBLIC'::name) \
              AS e(oid, rolname) ON e.oid = x.grantee \
         WHERE x.prtype IN ('INSERT', 'SELECT', 'UPDATE', 'REFERENCES') \
         AND (pg_catalog.pg_has_role(g.oid, 'USAGE') OR pg_catalog.pg_has_role(e.oid, 'USAGE') OR e.rolname = 'PUBLIC')",
    ),
    (
        "role_column_grants",
        "SELECT grantor, grantee, table_catalog, table_schema, table_name, column_name, privilege_type, is_grantable \
         FROM information_schema.column_privileges \
         WHERE grantor IN (SELECT role_name FROM information_schema.enabled_roles) \
         OR grantee IN (SELECT role_name FROM information_schema.enabled_roles)",
    ),
    (
        "routine_privileges",
        "SELECT g.rolname AS grantor, e.rolname AS grantee, pg_catalog.current_database()::name AS specific_catalog, \
         n.nspname AS specific_schema, (p.proname || '_' || p.oid::text)::name AS specific_name, \
         pg_catalog.current_database()::name AS routine_catalog, n.nspname AS routine_schema, \
         p.proname AS routine_name, 'EXECUTE'::varchar AS privilege_type, \
         CASE WHEN pg_catalog.pg_has_role(e.oid, p.proowner, 'USAGE') OR x.grantable THEN 'YES' ELSE 'NO' \
              END::varchar AS is_grantable \
         FROM pg_catalog.pg_proc p CROSS JOIN LATERAL \
              pg_catalog.aclexplode(COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner))) \
              AS x(grantor, grantee, prtype, grantable) \
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         JOIN pg_catalog.pg_authid g ON g.oid = x.grantor \
         JOIN (SELECT oid, rolname FROM pg_catalog.pg_authid UNION ALL SELECT 0::oid, 'PUBLIC'::name) \
              AS e(oid, rolname) ON e.oid = x.grantee \
         WHERE x.prtype = 'EXECUTE' \
         AND (pg_catalog.pg_has_role(g.oid, 'USAGE') OR pg_catalog.pg_has_role(e.oid, 'USAGE') OR e.rolname = 'PUBLIC')",
    ),
    (
        "role_routine_grants",
        "SELECT grantor, grantee, specific_catalog, specific_schema, specific_name, routine_catalog, routine_schema, \
         routine_name, privilege_type, is_grantable FROM information_schema.routine_privileges \
         WHERE grantor IN (SELECT role_name FROM information_schema.enabled_roles) \
         OR grantee IN (SELECT role_name FROM information_schema.enabled_roles)",
    ),
    (
        "usage_privileges",
        "SELECT g.rolname AS grantor, e.rolname AS grantee, pg_catalog.current_database()::name AS object_catalog, \
         n.nspname AS object_schema, c.relname AS object_name, 'SEQUENCE'::varchar AS object_type, \
         'USAGE'::varchar AS privilege_type, \
         CASE WHEN pg_catalog.pg_has_role(e.oid, c.relowner, 'USAGE') OR x.grantable THEN 'YES' ELSE 'NO' \
              END::varchar AS is_grantable \
         FROM pg_catalog.pg_class c CROSS JOIN LATERAL \
              pg_catalog.aclexplode(COALESCE(c.relacl, pg_catalog.acldefault('s', c.relowner))) \
              AS x(grantor, grantee, prtype, grantable) \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_authid g ON g.oid = x.grantor \
         JOIN (SELECT oid, rolname FROM pg_catalog.pg_authid UNION ALL SELECT 0::oid, 'PUBLIC'::name) \
              AS e(oid, rolname) ON e.oid = x.grantee \
         WHERE c.relkind = 'S' AND x.prtype = 'USAGE' \
         AND (pg_catalog.pg_has_role(g.oid, 'USAGE') OR pg_catalog.pg_has_role(e.oid, 'USAGE') OR e.rolname = 'PUBLIC')",
    ),
    (
        "role_usage_grants",
        "SELECT grantor, grantee, object_catalog, object_schema, object_name, object_type, privilege_type, is_grantable \
         FROM information_schema.usage_privileges \
         WHERE grantor IN (SELECT role_name FROM information_schema.enabled_roles) \
         OR grantee IN (SELECT role_name FROM information_schema.enabled_roles)",
    ),
];
