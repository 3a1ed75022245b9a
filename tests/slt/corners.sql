-- Rare forms that once ended in an internal error or a missing check.
CREATE TABLE one_column (x int);
CREATE FUNCTION row_of_one(int) RETURNS one_column AS $$ SELECT ROW($1)::one_column $$ LANGUAGE sql;
SELECT * FROM row_of_one(42);
SELECT f, f.x FROM row_of_one(42) f;
DROP FUNCTION row_of_one;
-- A key goes with a column that its index includes.
CREATE TABLE including (c1 int, c2 int, c3 int, c4 int, UNIQUE (c1, c2) INCLUDE (c3, c4));
ALTER TABLE including DROP COLUMN c3;
SELECT count(*) FROM pg_indexes WHERE tablename = 'including';
SELECT count(*) FROM pg_constraint WHERE conrelid = 'including'::regclass;
ALTER TABLE including DROP COLUMN c1;
INSERT INTO including VALUES (1, 1), (1, 1);
DROP TABLE including;
-- Keys of a table with two levels of partitions.
CREATE TABLE level0 (a int PRIMARY KEY, b text) PARTITION BY LIST (a);
CREATE TABLE refers (a int REFERENCES level0);
CREATE TABLE level1 (a int NOT NULL, b text) PARTITION BY LIST (a);
CREATE TABLE level2 PARTITION OF level1 FOR VALUES IN (31);
ALTER TABLE level0 ATTACH PARTITION level1 FOR VALUES IN (31, 32);
CREATE TABLE level2_more PARTITION OF level1 FOR VALUES IN (32);
SELECT tablename, indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'level%' ORDER BY 1;
SELECT conrelid::regclass, contype, conname, coninhcount, conislocal FROM pg_constraint WHERE conrelid::regclass::text LIKE 'level%' AND contype = 'p' ORDER BY 1, 2;
INSERT INTO level0 VALUES (31, 'x'), (32, 'y');
INSERT INTO level0 VALUES (31, 'x');
INSERT INTO level2 VALUES (31, 'x');
INSERT INTO refers VALUES (31), (32);
INSERT INTO refers VALUES (33);
DELETE FROM level2 WHERE a = 31;
DROP TABLE refers, level0;
CREATE TABLE level0 (a int, b text) PARTITION BY LIST (a);
CREATE TABLE level1 PARTITION OF level0 FOR VALUES IN (31, 32) PARTITION BY LIST (a);
CREATE TABLE level2 PARTITION OF level1 FOR VALUES IN (31);
ALTER TABLE level0 ADD UNIQUE (a);
INSERT INTO level0 VALUES (31, 'x');
INSERT INTO level0 VALUES (31, 'x');
SELECT tablename, indexname FROM pg_indexes WHERE tablename LIKE 'level%' ORDER BY 1;
CREATE TABLE wrong PARTITION OF level1 FOR VALUES IN ((SELECT 32));
CREATE TABLE wrong PARTITION OF level1 FOR VALUES IN (sum(32));
DROP TABLE level0;
-- Results of polymorphic parameters have the types of the call.
CREATE FUNCTION both_of(INOUT a anyelement, INOUT b anyelement) LANGUAGE sql AS $$ SELECT $1, 1 $$;
SELECT * FROM both_of(1.1, NULL);
SELECT * FROM both_of(2, NULL);
SELECT * FROM both_of(2::bigint, 3::bigint);
DROP FUNCTION both_of;
DROP TABLE one_column;
-- A row that is refused for a key that is too long leaves nothing behind that cannot be collected.
CREATE TABLE long_keys (id int, t text PRIMARY KEY);
INSERT INTO long_keys SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 2000) i;
VACUUM long_keys;
SELECT count(*) FROM long_keys;
DROP TABLE long_keys;
