-- Privileges: GRANT, REVOKE, and what statements need

CREATE ROLE slt_ann;
CREATE ROLE slt_ben;
CREATE TABLE priv (a int PRIMARY KEY, b int, c text);
INSERT INTO priv VALUES (1, 2, 'three');
CREATE SEQUENCE priv_sequence;

-- Nothing without a grant

SET ROLE slt_ann;
SELECT a FROM priv;
SELECT count(*) FROM priv;
SELECT 1 FROM priv WHERE false;
INSERT INTO priv VALUES (2, 2, 'two');
UPDATE priv SET b = 3;
DELETE FROM priv;
MERGE INTO priv USING (VALUES (1)) v(x) ON a = x WHEN MATCHED THEN DELETE;
SELECT * FROM priv FOR UPDATE;
COPY priv TO STDOUT;
COPY (SELECT a FROM priv) TO STDOUT;
EXPLAIN SELECT * FROM priv;
CREATE TABLE IF NOT EXISTS pg_temp.copy_of AS SELECT * FROM priv;
WITH gone AS (DELETE FROM priv RETURNING a) SELECT 1;
SELECT (SELECT max(b) FROM priv);
SELECT nextval('priv_sequence');
SELECT setval('priv_sequence', 5);
SELECT last_value FROM priv_sequence;
BEGIN;
LOCK TABLE priv IN ACCESS SHARE MODE;
ROLLBACK;
PREPARE get AS SELECT b FROM priv WHERE a = $1;
EXECUTE get(1);
DECLARE cur CURSOR WITH HOLD FOR SELECT * FROM priv;
DO $$ BEGIN PERFORM * FROM priv; END $$;
SELECT * FROM pg_authid;
SELECT count(*) > 0 FROM pg_roles;
RESET ROLE;

-- Whole tables

GRANT SELECT, INSERT ON priv TO slt_ann;
SELECT relacl IS NOT NULL, (SELECT count(*) FROM aclexplode(relacl) x WHERE x.grantee = 'slt_ann'::regrole) FROM pg_class WHERE relname = 'priv';
SET ROLE slt_ann;
SELECT a FROM priv;
EXECUTE get(1);
INSERT INTO priv VALUES (2, 2, 'two');
INSERT INTO priv VALUES (2, 2, 'two') ON CONFLICT (a) DO NOTHING;
INSERT INTO priv VALUES (2, 2, 'two') ON CONFLICT (a) DO UPDATE SET b = 3;
UPDATE priv SET b = 3;
SELECT * FROM priv FOR UPDATE;
MERGE INTO priv USING (VALUES (3)) v(x) ON a = x WHEN NOT MATCHED THEN INSERT VALUES (3, 3, 'three');
MERGE INTO priv USING (VALUES (3)) v(x) ON a = x WHEN MATCHED THEN UPDATE SET b = 4;
BEGIN;
LOCK TABLE priv IN ACCESS SHARE MODE;
LOCK TABLE priv IN ROW EXCLUSIVE MODE;
LOCK TABLE priv IN SHARE MODE;
ROLLBACK;
RESET ROLE;
REVOKE SELECT, INSERT ON priv FROM slt_ann;
SET ROLE slt_ann;
EXECUTE get(1);
RESET ROLE;

-- Columns

GRANT SELECT (a, b), UPDATE (b), INSERT (a, b) ON priv TO slt_ann;
SELECT attname, attacl IS NULL FROM pg_attribute WHERE attrelid = 'priv'::regclass AND attnum > 0 ORDER BY attnum;
SET ROLE slt_ann;
SELECT a, b FROM priv WHERE b > 0 ORDER BY a;
SELECT c FROM priv;
SELECT a FROM priv WHERE c = 'x';
SELECT a FROM priv ORDER BY c;
SELECT * FROM priv;
SELECT priv FROM priv;
SELECT p.a FROM priv p JOIN priv q USING (a) ORDER BY a;
SELECT p.a FROM priv p NATURAL JOIN priv q;
SELECT x FROM priv AS t(x, y, z) ORDER BY x;
SELECT z FROM priv AS t(x, y, z);
SELECT s.a FROM (SELECT a, c FROM priv) s;
SELECT count(*) FROM priv;
SELECT ctid IS NULL FROM priv;
UPDATE priv SET b = 5 WHERE a = 1;
UPDATE priv SET b = 5 WHERE c = 'three';
UPDATE priv SET a = 5;
UPDATE priv SET b = 6 WHERE a = 1 RETURNING b;
UPDATE priv SET b = 6 WHERE a = 1 RETURNING c;
INSERT INTO priv (a, b) VALUES (10, 10);
INSERT INTO priv (a, b) VALUES (11, 10) RETURNING a;
INSERT INTO priv (a, b) VALUES (12, 10) RETURNING c;
INSERT INTO priv VALUES (13, 10, 'x');
INSERT INTO priv VALUES (13, 10);
INSERT INTO priv (a) VALUES (13) ON CONFLICT (a) DO UPDATE SET b = excluded.b;
INSERT INTO priv (a) VALUES (13) ON CONFLICT (a) DO UPDATE SET b = excluded.c::int;
INSERT INTO priv (a) VALUES (13) ON CONFLICT (a) DO UPDATE SET c = 'x';
DELETE FROM priv WHERE a = 1;
COPY priv (c) TO STDOUT;
RESET ROLE;
REVOKE ALL ON priv FROM slt_ann;
SELECT count(*) FROM pg_attribute WHERE attrelid = 'priv'::regclass AND attacl IS NOT NULL;

-- has_…_privilege

GRANT SELECT (a) ON priv TO slt_ann;
GRANT UPDATE ON priv TO slt_ann WITH GRANT OPTION;
SELECT has_table_privilege('slt_ann', 'priv', 'select'), has_any_column_privilege('slt_ann', 'priv', 'select'), has_column_privilege('slt_ann', 'priv', 'a', 'select'), has_column_privilege('slt_ann', 'priv', 'b', 'select'), has_column_privilege('slt_ann', 'priv', 2::int2, 'update');
SELECT has_table_privilege('slt_ann', 'priv', 'update with grant option'), has_table_privilege('slt_ann', 'priv', 'select, update'), has_table_privilege('slt_ann', 'priv'::regclass, 'maintain');
SELECT has_table_privilege('slt_ann', 'priv', 'nothing');
SELECT has_table_privilege('slt_nobody', 'priv', 'select');
SELECT has_table_privilege('slt_ann', 'no_such_table', 'select');
SELECT has_table_privilege('slt_ann', 1::oid, 'select');
SELECT has_schema_privilege('slt_ann', 'public', 'usage'), has_schema_privilege('slt_ann', 'public', 'create'), has_database_privilege('slt_ann', current_database(), 'connect'), has_database_privilege('slt_ann', current_database(), 'create');
SELECT has_sequence_privilege('slt_ann', 'priv_sequence', 'usage'), has_function_privilege('slt_ann', 'lower(text)', 'execute');

-- Grant options: granting on, chains, circles

SET ROLE slt_ann;
GRANT UPDATE ON priv TO slt_ben WITH GRANT OPTION;
GRANT SELECT ON priv TO slt_ben;
SET ROLE slt_ben;
GRANT UPDATE ON priv TO slt_ann WITH GRANT OPTION;
GRANT DELETE ON priv TO slt_ann;
RESET ROLE;
REVOKE GRANT OPTION FOR UPDATE ON priv FROM slt_ann;
REVOKE GRANT OPTION FOR UPDATE ON priv FROM slt_ann CASCADE;
SELECT has_table_privilege('slt_ann', 'priv', 'update'), has_table_privilege('slt_ben', 'priv', 'update');
GRANT UPDATE ON priv TO PUBLIC WITH GRANT OPTION;
GRANT UPDATE ON priv TO slt_ben GRANTED BY slt_ann;
GRANT USAGE ON priv TO slt_ben;
GRANT EXECUTE ON TABLE priv TO slt_ben;
GRANT DELETE (a) ON priv TO slt_ben;
GRANT SELECT (nothing) ON priv TO slt_ben;
GRANT SELECT ON no_such_table TO slt_ben;
GRANT SELECT ON priv TO slt_nobody;
GRANT SELECT ON SEQUENCE priv TO slt_ben;
REVOKE ALL ON priv FROM slt_ann, slt_ben;

-- PUBLIC, the owner's own privileges, and lists as text

GRANT SELECT ON priv TO PUBLIC;
SET ROLE slt_ben;
SELECT a FROM priv WHERE a = 1;
RESET ROLE;
REVOKE SELECT ON priv FROM PUBLIC;
SELECT acldefault('d', 10), acldefault('f', 10), cardinality(acldefault('c', 10)), acldefault('n', 10);
SELECT acldefault('q', 10);
SELECT makeaclitem('slt_ann'::regrole, 'slt_ben'::regrole, 'SELECT, UPDATE', true);
SELECT 'slt_ann=r*w/slt_ben'::aclitem, '=X/slt_ben'::aclitem;
SELECT 'slt_nobody=r/slt_ben'::aclitem;
SELECT 'slt_ann=q/slt_ben'::aclitem;
SELECT privilege_type, is_grantable FROM aclexplode('{slt_ann=r*w/slt_ben}') ORDER BY 1;
ALTER TABLE priv OWNER TO slt_ann;
REVOKE INSERT ON priv FROM slt_ann;
SET ROLE slt_ann;
INSERT INTO priv VALUES (50, 1, 'x');
SELECT count(*) FROM priv;
GRANT INSERT ON priv TO slt_ann;
INSERT INTO priv VALUES (50, 1, 'x');
RESET ROLE;
ALTER TABLE priv OWNER TO CURRENT_USER;

-- Views are checked as their owners

CREATE TABLE secret (a int, b int);
INSERT INTO secret VALUES (1, 2), (3, 4);
CREATE VIEW shown AS SELECT a, b FROM secret WHERE a < 3;
CREATE VIEW asked WITH (security_invoker = true) AS SELECT a, b FROM secret;
GRANT SELECT ON shown, asked TO slt_ann;
SET ROLE slt_ann;
SELECT * FROM shown;
SELECT * FROM asked;
SELECT * FROM secret;
UPDATE shown SET b = 5;
INSERT INTO shown VALUES (1, 1);
DELETE FROM shown;
RESET ROLE;
GRANT UPDATE (b), INSERT (a) ON shown TO slt_ann;
SET ROLE slt_ann;
UPDATE shown SET b = 5;
UPDATE shown SET a = 5;
INSERT INTO shown (a) VALUES (1);
INSERT INTO shown VALUES (1, 1);
INSERT INTO shown (a) VALUES (2) RETURNING a;
RESET ROLE;
GRANT SELECT ON secret TO slt_ann;
SET ROLE slt_ann;
SELECT count(*) FROM asked;
RESET ROLE;
ALTER VIEW shown OWNER TO slt_ben;
SELECT * FROM shown;
SET ROLE slt_ann;
SELECT * FROM shown;
RESET ROLE;
GRANT SELECT (a) ON shown TO slt_ben;
REVOKE SELECT ON shown FROM slt_ann;
GRANT SELECT (a) ON shown TO slt_ann;
GRANT SELECT ON secret TO slt_ben;
SET ROLE slt_ann;
SELECT a FROM shown ORDER BY a;
SELECT b FROM shown;
SELECT * FROM shown;
RESET ROLE;

-- Sequences

GRANT USAGE ON SEQUENCE priv_sequence TO slt_ann;
SET ROLE slt_ann;
SELECT nextval('priv_sequence'), currval('priv_sequence'), lastval();
SELECT setval('priv_sequence', 5);
SELECT last_value FROM priv_sequence;
RESET ROLE;
REVOKE USAGE ON SEQUENCE priv_sequence FROM slt_ann;
GRANT SELECT, UPDATE ON SEQUENCE priv_sequence TO slt_ann;
SET ROLE slt_ann;
SELECT setval('priv_sequence', 5), nextval('priv_sequence');
SELECT last_value FROM priv_sequence;
RESET ROLE;
CREATE TABLE numbered (a serial, b int GENERATED ALWAYS AS IDENTITY, c int);
GRANT INSERT ON numbered TO slt_ann;
SET ROLE slt_ann;
INSERT INTO numbered (c) VALUES (1);
INSERT INTO numbered (a, c) VALUES (1, 1);
SELECT nextval('numbered_b_seq');
RESET ROLE;
GRANT USAGE ON SEQUENCE numbered_a_seq TO slt_ann;
SET ROLE slt_ann;
INSERT INTO numbered (c) VALUES (1);
RESET ROLE;

-- Schemas

CREATE SCHEMA hidden;
CREATE TABLE hidden.t (a int);
CREATE FUNCTION hidden.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
GRANT SELECT ON hidden.t TO slt_ann;
SET ROLE slt_ann;
SELECT * FROM hidden.t;
SELECT hidden.f();
SELECT 'hidden.t'::regclass;
CREATE TABLE hidden.u (a int);
DROP TABLE hidden.t;
SET search_path = hidden, public;
SELECT * FROM t;
SELECT current_schemas(false);
RESET search_path;
RESET ROLE;
GRANT USAGE ON SCHEMA hidden TO slt_ann;
SET ROLE slt_ann;
SELECT * FROM hidden.t;
SELECT hidden.f();
CREATE TABLE hidden.u (a int);
RESET ROLE;
GRANT ALL ON SCHEMA hidden TO slt_ann WITH GRANT OPTION;
SELECT nspacl IS NULL FROM pg_namespace WHERE nspname = 'hidden';
SET ROLE slt_ann;
CREATE TABLE hidden.u (a int);
GRANT USAGE ON SCHEMA hidden TO slt_ben;
DROP TABLE hidden.t;
RESET ROLE;

-- Functions

CREATE FUNCTION guarded(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION keyholder() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM secret';
CREATE FUNCTION acting() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN current_user; END $$;
CREATE PROCEDURE doing() LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION acting() OWNER TO slt_ben;
REVOKE SELECT ON secret FROM slt_ann;
SET ROLE slt_ann;
SELECT guarded(1), acting();
SELECT keyholder() > 0;
CALL doing();
RESET ROLE;
REVOKE EXECUTE ON FUNCTION guarded(int), keyholder() FROM PUBLIC;
REVOKE EXECUTE ON PROCEDURE doing() FROM PUBLIC;
SET ROLE slt_ann;
SELECT guarded(1);
SELECT keyholder();
CALL doing();
GRANT EXECUTE ON FUNCTION guarded(int) TO slt_ann;
RESET ROLE;
GRANT EXECUTE ON FUNCTION guarded TO slt_ann;
SET ROLE slt_ann;
SELECT guarded(1);
RESET ROLE;
GRANT SELECT ON FUNCTION guarded(int) TO slt_ann;
CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
REVOKE EXECUTE ON FUNCTION fires() FROM PUBLIC;
GRANT TRIGGER ON priv TO slt_ann;
SET ROLE slt_ann;
CREATE TRIGGER t BEFORE INSERT ON priv FOR EACH ROW EXECUTE FUNCTION fires();
RESET ROLE;
GRANT EXECUTE ON FUNCTION fires() TO slt_ann;
SET ROLE slt_ann;
CREATE TRIGGER t BEFORE INSERT ON priv FOR EACH ROW EXECUTE FUNCTION fires();
DROP TRIGGER t ON priv;
RESET ROLE;

-- REFERENCES, TRUNCATE, MAINTAIN, LIKE

GRANT CREATE ON SCHEMA public TO slt_ann;
SET ROLE slt_ann;
CREATE TABLE refers (a int REFERENCES priv);
TRUNCATE priv;
REINDEX TABLE priv;
CREATE TABLE alike (LIKE priv);
RESET ROLE;
GRANT REFERENCES (a), TRUNCATE, MAINTAIN ON priv TO slt_ann;
SET ROLE slt_ann;
CREATE TABLE refers (a int REFERENCES priv);
INSERT INTO refers VALUES (1);
INSERT INTO refers VALUES (99);
REINDEX TABLE priv;
CLUSTER priv USING priv_pkey;
DROP TABLE refers;
TRUNCATE priv;
RESET ROLE;

-- Databases

DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()); END $$;
SET ROLE slt_ann;
CREATE TEMP TABLE fleeting (a int);
CREATE SCHEMA more;
RESET ROLE;
DO $$ BEGIN EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO slt_ann', current_database()); END $$;
SET ROLE slt_ann;
CREATE TEMP TABLE fleeting (a int);
CREATE SCHEMA more;
DROP SCHEMA more;
DROP TABLE fleeting;
RESET ROLE;

-- ALL … IN SCHEMA, and what new objects begin with

GRANT SELECT ON ALL TABLES IN SCHEMA public TO slt_ben;
SELECT has_table_privilege('slt_ben', 'secret', 'select'), has_table_privilege('slt_ben', 'shown', 'select'), has_sequence_privilege('slt_ben', 'priv_sequence', 'select');
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM slt_ben;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO slt_ben;
SELECT has_function_privilege('slt_ben', 'guarded(int)', 'execute');
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO slt_ben;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
CREATE TABLE later (a int);
CREATE FUNCTION later() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT has_table_privilege('slt_ben', 'later', 'select'), has_table_privilege('slt_ben', 'later', 'insert'), has_function_privilege('slt_ben', 'later()', 'execute');
SELECT defaclobjtype, defaclnamespace::regnamespace FROM pg_default_acl ORDER BY 1;
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT ON TABLES FROM slt_ben;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
SELECT count(*) FROM pg_default_acl;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON TABLES TO slt_ben;
SET ROLE slt_ann;
ALTER DEFAULT PRIVILEGES FOR ROLE slt_ben GRANT SELECT ON TABLES TO slt_ann;
RESET ROLE;

-- Roles that stand for privileges

GRANT pg_read_all_data TO slt_ann;
SET ROLE slt_ann;
SELECT count(*) FROM secret;
INSERT INTO secret VALUES (1, 1);
RESET ROLE;
REVOKE pg_read_all_data FROM slt_ann;
DROP OWNED BY slt_ann;
DROP OWNED BY slt_ben CASCADE;
DROP ROLE slt_ann, slt_ben;

-- information_schema, and what is there for all

CREATE ROLE slt_cat;
CREATE TABLE listed (a int, b int);
GRANT SELECT, UPDATE (b) ON listed TO slt_cat WITH GRANT OPTION;
SELECT grantee, privilege_type, is_grantable FROM information_schema.table_privileges WHERE table_name = 'listed' AND grantee = 'slt_cat';
SELECT grantee, column_name, privilege_type, is_grantable FROM information_schema.column_privileges WHERE table_name = 'listed' AND grantee = 'slt_cat' ORDER BY 2, 3;
SET ROLE slt_cat;
SELECT grantee, privilege_type FROM information_schema.role_table_grants WHERE table_name = 'listed';
SELECT role_name FROM information_schema.enabled_roles;
SELECT count(*) FROM pg_stats WHERE tablename = 'listed';
RESET ROLE;
COMMENT ON ROLE slt_cat IS 'meows';
SELECT shobj_description('slt_cat'::regrole, 'pg_authid');
DROP OWNED BY slt_cat;
DROP ROLE slt_cat;
