-- Names of functions, relations and types as values.

CREATE SCHEMA other;
CREATE FUNCTION plain(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION twice(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION other.far(int, text) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION other.abs(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION "Odd Name"() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE rows_of (a int);
CREATE FUNCTION of_row(rows_of) RETURNS int LANGUAGE sql AS 'SELECT $1.a';
SELECT 'plain'::regproc, 'public.plain'::regproc, 'other.far'::regproc, '"Odd Name"'::regproc;
SELECT 'twice'::regproc;
SELECT 'nothing'::regproc;
SELECT 'nowhere.plain'::regproc;
SELECT 'other.abs'::regproc, 'now'::regproc, 'pg_catalog.now'::regproc;
SELECT 'plain(int)'::regprocedure, 'twice(text)'::regprocedure, 'other.far(integer, text)'::regprocedure, '"Odd Name"()'::regprocedure;
SELECT 'of_row(rows_of)'::regprocedure, 'rows_of'::regtype, 'abs(int8)'::regprocedure, 'other.abs(int)'::regprocedure;
SELECT 'plain(text)'::regprocedure;
SELECT 'plain'::regprocedure;
SELECT to_regproc('plain'), to_regproc('twice'), to_regproc('nothing'), to_regprocedure('twice(int)'), to_regprocedure('twice(bool)');
SELECT oid::regproc, oid::regprocedure FROM pg_proc WHERE proname IN ('plain', 'twice', 'far') ORDER BY oid::regprocedure::text;
SET search_path = other, public;
SELECT 'far'::regproc, 'far(int,text)'::regprocedure, 'public.plain'::regproc, 'abs(int)'::regprocedure;
SET search_path = other, pg_catalog;
SELECT 'abs(int)'::regprocedure, 'pg_catalog.abs(int)'::regprocedure, 'public.plain'::regproc;
RESET search_path;
SELECT DISTINCT v FROM (VALUES ('1 2'::int2vector), ('1 2'), ('3')) t(v) ORDER BY v;
SELECT '1 2'::int2vector = '1 2'::int2vector, '1 2'::oidvector = '1 3'::oidvector;
