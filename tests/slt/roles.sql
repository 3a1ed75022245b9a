-- Roles: who acts, who is a member of whom, and who owns what

CREATE ROLE slt_alice LOGIN;
CREATE ROLE slt_bob LOGIN CREATEROLE;
CREATE ROLE slt_staff NOLOGIN;
CREATE ROLE slt_alice;
CREATE ROLE pg_mine;
CREATE ROLE public;
CREATE ROLE "none";

-- SET ROLE changes who acts, not whose session it is

SET ROLE slt_alice;
SELECT current_user, session_user = current_user, current_setting('role'), current_setting('is_superuser');
SET ROLE slt_nobody;
CREATE ROLE slt_other;
ALTER ROLE slt_bob CREATEDB;
ALTER ROLE slt_alice SUPERUSER;
DROP ROLE slt_bob;
RESET ROLE;
SELECT current_setting('role'), current_setting('is_superuser');

-- A rollback takes SET ROLE back, SET LOCAL ends with the transaction

BEGIN;
SET ROLE slt_alice;
SELECT current_user;
ROLLBACK;
SELECT current_setting('role');
BEGIN;
SET LOCAL ROLE slt_bob;
SELECT current_user;
SAVEPOINT s;
SET ROLE slt_alice;
ROLLBACK TO s;
SELECT current_user;
COMMIT;
SELECT current_setting('role');

-- SET SESSION AUTHORIZATION, which takes the role back, too

SET ROLE slt_bob;
SET SESSION AUTHORIZATION slt_alice;
SELECT current_user, session_user, current_setting('role');
SET ROLE slt_bob;
SET ROLE slt_alice;
SET ROLE NONE;
SET SESSION AUTHORIZATION slt_bob;
SELECT session_user;
RESET SESSION AUTHORIZATION;
SELECT session_user = current_user, current_setting('role');

-- Membership: with its privileges, without them, to become the role, to grant it

GRANT slt_staff TO slt_alice;
SELECT pg_has_role('slt_alice', 'slt_staff', 'USAGE'), pg_has_role('slt_alice', 'slt_staff', 'SET'), pg_has_role('slt_alice', 'slt_staff', 'MEMBER'), pg_has_role('slt_alice', 'slt_staff', 'MEMBER WITH ADMIN OPTION');
GRANT slt_staff TO slt_alice WITH INHERIT FALSE, ADMIN TRUE;
SELECT admin_option, inherit_option, set_option FROM pg_auth_members WHERE member = 'slt_alice'::regrole;
SELECT pg_has_role('slt_alice', 'slt_staff', 'USAGE'), pg_has_role('slt_alice', 'slt_staff', 'SET'), pg_has_role('slt_alice', 'slt_staff', 'MEMBER WITH ADMIN OPTION');
GRANT slt_alice TO slt_staff;
GRANT slt_alice TO slt_alice;
GRANT slt_staff TO slt_alice WITH SET FALSE;
SET SESSION AUTHORIZATION slt_alice;
SET ROLE slt_staff;
GRANT slt_staff TO slt_bob;
RESET SESSION AUTHORIZATION;
SELECT member::regrole, grantor::regrole, admin_option FROM pg_auth_members WHERE roleid = 'slt_staff'::regrole AND member = 'slt_bob'::regrole;
REVOKE ADMIN OPTION FOR slt_staff FROM slt_alice;
REVOKE slt_staff FROM slt_alice CASCADE;
SELECT count(*) FROM pg_auth_members WHERE roleid = 'slt_staff'::regrole;
REVOKE slt_staff FROM slt_alice;
SET SESSION AUTHORIZATION slt_alice;
GRANT slt_staff TO slt_bob;
RESET SESSION AUTHORIZATION;
SELECT pg_has_role('slt_nobody', 'slt_staff', 'USAGE');
SELECT pg_has_role('slt_alice', 'slt_staff', 'NOTHING');

-- CREATEROLE makes roles and may grant those

SET SESSION AUTHORIZATION slt_bob;
CREATE ROLE slt_carol;
CREATE ROLE slt_super SUPERUSER;
CREATE ROLE slt_rep REPLICATION;
ALTER ROLE slt_carol LOGIN;
ALTER ROLE slt_carol CREATEDB;
ALTER ROLE slt_alice NOLOGIN;
GRANT slt_carol TO slt_alice;
DROP ROLE slt_alice;
ALTER ROLE slt_carol RENAME TO slt_caroline;
DROP ROLE slt_caroline;
DROP ROLE slt_bob;
RESET SESSION AUTHORIZATION;

-- Who made an object owns it; only owners change it

GRANT CREATE ON SCHEMA public TO slt_alice;
SET ROLE slt_alice;
CREATE TABLE owned (a int PRIMARY KEY, b serial);
CREATE VIEW owned_view AS SELECT a FROM owned;
CREATE SEQUENCE owned_sequence;
CREATE FUNCTION owned_function() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE SCHEMA owned_schema;
RESET ROLE;
SELECT relname, relowner::regrole FROM pg_class WHERE relname LIKE 'owned%' ORDER BY 1;
SET ROLE slt_bob;
ALTER TABLE owned ADD COLUMN c int;
ALTER TABLE owned RENAME TO mine;
ALTER TABLE owned RENAME COLUMN a TO c;
ALTER TABLE owned SET SCHEMA pg_temp;
ALTER TABLE owned OWNER TO slt_bob;
ALTER INDEX owned_pkey RENAME TO mine;
ALTER VIEW owned_view RENAME TO mine;
ALTER SEQUENCE owned_sequence RESTART;
ALTER FUNCTION owned_function() STRICT;
ALTER FUNCTION owned_function() RENAME TO mine;
ALTER FUNCTION owned_function() OWNER TO slt_bob;
CREATE OR REPLACE FUNCTION owned_function() RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE OR REPLACE VIEW owned_view AS SELECT 1 AS a;
CREATE INDEX ON owned (b);
CREATE TRIGGER x BEFORE INSERT ON owned FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
COMMENT ON TABLE owned IS 'mine';
COMMENT ON COLUMN owned.a IS 'mine';
COMMENT ON FUNCTION owned_function() IS 'mine';
DROP TABLE owned;
DROP INDEX owned_pkey;
DROP VIEW owned_view;
DROP SEQUENCE owned_sequence;
DROP FUNCTION owned_function();
TRUNCATE owned;
REINDEX TABLE owned;
REINDEX INDEX owned_pkey;
CLUSTER owned USING owned_pkey;
CREATE TABLE heir () INHERITS (owned);
CREATE TABLE referring (a int REFERENCES owned);
CREATE TABLE in_public (a int);
CREATE VIEW in_public AS SELECT 1;
CREATE SEQUENCE in_public;
CREATE FUNCTION in_public() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE SCHEMA another;
CREATE DATABASE slt_roles_database;
DROP SCHEMA public;
ALTER SCHEMA public RENAME TO mine;
ALTER SCHEMA public OWNER TO slt_bob;
CHECKPOINT;
COPY owned FROM '/tmp/none';
COPY owned TO '/tmp/none';
SET session_replication_role = origin;
RESET ROLE;

-- A new owner gets what the old one had

GRANT SELECT ON owned TO slt_bob;
ALTER TABLE owned OWNER TO slt_bob;
SELECT relname, relowner::regrole FROM pg_class WHERE relname LIKE 'owned%' ORDER BY 1;
SELECT relacl FROM pg_class WHERE relname = 'owned';
ALTER SEQUENCE owned_b_seq OWNER TO slt_alice;
SET ROLE slt_alice;
ALTER VIEW owned_view OWNER TO slt_bob;
RESET ROLE;
ALTER FUNCTION owned_function() OWNER TO slt_bob;
SELECT proowner::regrole FROM pg_proc WHERE proname = 'owned_function';

-- What hangs on a role keeps it

DROP ROLE slt_alice;
REASSIGN OWNED BY slt_alice TO slt_bob;
SELECT relname, relowner::regrole FROM pg_class WHERE relname LIKE 'owned%' ORDER BY 1;
DROP ROLE slt_alice;
DROP OWNED BY slt_alice;
DROP ROLE slt_alice;
DROP OWNED BY slt_bob;
SELECT count(*) FROM pg_class WHERE relname LIKE 'owned%';
DROP ROLE slt_bob, slt_staff;
DROP ROLE IF EXISTS slt_bob;
DROP ROLE slt_bob;
DROP ROLE pg_monitor;
DROP ROLE current_user;
