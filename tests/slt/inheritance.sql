-- Tables that inherit from others: columns and constraints handed down, rows read and changed with those of the children.

CREATE TABLE city (name text NOT NULL, people int CHECK (people >= 0), note text DEFAULT 'none');
CREATE TABLE capital (state text) INHERITS (city);
CREATE TABLE village (people int DEFAULT 5, mayor text, CONSTRAINT small CHECK (people < 1000)) INHERITS (city);
INSERT INTO city VALUES ('Lyon', 500), ('Graz', 300);
INSERT INTO capital VALUES ('Paris', 2000, 'big', 'IDF'), ('Wien', 1900, DEFAULT, 'W');
INSERT INTO village (name, mayor) VALUES ('Au', 'Anna'), ('Ober', NULL);
INSERT INTO capital VALUES ('Bad', -1);
INSERT INTO village VALUES ('Big', 1000);
INSERT INTO capital (people) VALUES (1);

SELECT * FROM city ORDER BY name;
SELECT * FROM city * ORDER BY name;
SELECT * FROM ONLY city ORDER BY name;
SELECT * FROM ONLY (city) ORDER BY name;
SELECT tableoid::regclass, name FROM city ORDER BY 2;
SELECT tableoid::regclass, count(*), sum(people) FROM city GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM city;
SELECT c.name, v.mayor FROM city c JOIN village v ON v.people < c.people ORDER BY 1, 2;
SELECT c FROM city c WHERE c.people < 400 ORDER BY c.name;
SELECT name FROM city WHERE people = (SELECT max(people) FROM city);
SELECT name FROM city x WHERE EXISTS (SELECT 1 FROM capital k WHERE k.name = x.name) ORDER BY 1;
SELECT max(people), min(people) FROM city;
SELECT name FROM city WHERE people > 400 ORDER BY people DESC LIMIT 2;

-- Columns of the catalogs.

SELECT attrelid::regclass, attname, attnum, attislocal, attinhcount FROM pg_attribute WHERE attrelid IN ('city'::regclass, 'capital'::regclass, 'village'::regclass) AND attnum > 0 ORDER BY attrelid::regclass::text, attnum;
SELECT conrelid::regclass, conname, contype, conislocal, coninhcount FROM pg_constraint WHERE conrelid IN ('city'::regclass, 'capital'::regclass, 'village'::regclass) ORDER BY conrelid::regclass::text, conname;
SELECT inhrelid::regclass, inhparent::regclass, inhseqno FROM pg_inherits WHERE inhparent = 'city'::regclass ORDER BY 1;
SELECT relname, relhassubclass FROM pg_class WHERE relname IN ('city', 'capital') ORDER BY 1;

-- Changes of rows.

UPDATE city SET people = people + 1 WHERE name IN ('Lyon', 'Wien', 'Au') RETURNING tableoid::regclass, name, people;
SELECT * FROM capital ORDER BY name;
SELECT * FROM village ORDER BY name;
UPDATE ONLY city SET note = 'own';
SELECT name, note FROM city ORDER BY name;
UPDATE city SET people = 5000 WHERE name = 'Au';
UPDATE city SET people = -5 WHERE name = 'Wien';
WITH changed AS (UPDATE city c SET note = v.mayor FROM village v WHERE v.name = c.name RETURNING c.name, c.note, v.tableoid::regclass) SELECT * FROM changed ORDER BY 1;
UPDATE city SET note = 'k' WHERE name IN (SELECT name FROM capital);
SELECT * FROM capital ORDER BY name;
DELETE FROM city WHERE name IN ('Graz', 'Ober') RETURNING tableoid::regclass, name, people, note;
DELETE FROM ONLY city WHERE name = 'Paris';
SELECT name FROM city ORDER BY 1;
WITH moved AS (DELETE FROM city WHERE people > 1950 RETURNING *) INSERT INTO village SELECT name, 7, note FROM moved RETURNING *;
SELECT tableoid::regclass, * FROM city ORDER BY name;
SELECT name FROM city ORDER BY name FOR UPDATE;
SELECT name, tableoid::regclass FROM city WHERE people < 10 ORDER BY name FOR SHARE;

-- Several parents, and several levels.

CREATE TABLE a (aa text);
CREATE TABLE b (bb text) INHERITS (a);
CREATE TABLE c (cc text) INHERITS (a);
CREATE TABLE d (dd text) INHERITS (b, c, a);
INSERT INTO a VALUES ('a1');
INSERT INTO b VALUES ('b1', 'bb1');
INSERT INTO c VALUES ('c1', 'cc1');
INSERT INTO d VALUES ('d1', 'dbb', 'dcc', 'ddd');
SELECT tableoid::regclass, * FROM a ORDER BY aa;
SELECT tableoid::regclass, * FROM b ORDER BY aa;
SELECT * FROM d;
UPDATE a SET aa = aa || '!' WHERE aa LIKE '%1' RETURNING tableoid::regclass, aa;
SELECT attname, attislocal, attinhcount FROM pg_attribute WHERE attrelid = 'd'::regclass AND attnum > 0 ORDER BY attnum;
SELECT inhparent::regclass, inhseqno FROM pg_inherits WHERE inhrelid = 'd'::regclass ORDER BY 2;
ALTER TABLE a ADD COLUMN x int DEFAULT 7;
SELECT tableoid::regclass, aa, x FROM a ORDER BY aa;
SELECT attname, attislocal, attinhcount FROM pg_attribute WHERE attrelid = 'd'::regclass AND attname = 'x';
ALTER TABLE d DROP COLUMN x;
ALTER TABLE b DROP COLUMN x;
ALTER TABLE ONLY a ADD COLUMN y int;
ALTER TABLE a RENAME COLUMN x TO z;
ALTER TABLE b RENAME COLUMN z TO q;
ALTER TABLE ONLY a RENAME COLUMN z TO q;
SELECT * FROM d;
ALTER TABLE a ALTER COLUMN z TYPE bigint;
ALTER TABLE b ALTER COLUMN z TYPE text;
ALTER TABLE ONLY a ALTER COLUMN z TYPE text;
SELECT pg_typeof(z) FROM d;
ALTER TABLE a ALTER COLUMN z SET DEFAULT 8;
INSERT INTO d (aa) VALUES ('new');
SELECT aa, z FROM d ORDER BY aa;
ALTER TABLE a DROP COLUMN z;
SELECT * FROM a ORDER BY aa;
SELECT * FROM d ORDER BY aa;

-- Constraints.

ALTER TABLE a ADD CONSTRAINT short CHECK (length(aa) < 10);
INSERT INTO d (aa) VALUES ('much too long');
SELECT conrelid::regclass, conislocal, coninhcount FROM pg_constraint WHERE conname = 'short' ORDER BY conrelid::regclass::text;
ALTER TABLE b DROP CONSTRAINT short;
ALTER TABLE b RENAME CONSTRAINT short TO shorter;
ALTER TABLE a RENAME CONSTRAINT short TO shorter;
ALTER TABLE a ADD CONSTRAINT own CHECK (aa <> 'x') NO INHERIT;
INSERT INTO b (aa) VALUES ('x');
INSERT INTO a (aa) VALUES ('x');
ALTER TABLE ONLY a ADD CONSTRAINT other CHECK (aa <> 'y');
ALTER TABLE a DROP CONSTRAINT shorter;
INSERT INTO d (aa) VALUES ('much too long');
ALTER TABLE a ALTER COLUMN aa SET NOT NULL;
INSERT INTO d (bb) VALUES ('null');
ALTER TABLE d ALTER COLUMN aa DROP NOT NULL;
ALTER TABLE a ALTER COLUMN aa DROP NOT NULL;
INSERT INTO d (bb) VALUES ('null');
ALTER TABLE a ADD CONSTRAINT never CHECK (aa IS NOT NULL);

-- INHERIT and NO INHERIT.

CREATE TABLE p (i int NOT NULL, t text, CONSTRAINT pos CHECK (i > 0));
CREATE TABLE q (t text, i int);
ALTER TABLE q INHERIT p;
ALTER TABLE q ALTER COLUMN i SET NOT NULL;
ALTER TABLE q INHERIT p;
ALTER TABLE q ADD CONSTRAINT pos CHECK (i > 0);
ALTER TABLE q INHERIT p;
ALTER TABLE q INHERIT p;
ALTER TABLE p INHERIT q;
INSERT INTO q VALUES ('q', 1);
INSERT INTO p VALUES (2, 'p');
SELECT tableoid::regclass, * FROM p ORDER BY i;
UPDATE p SET t = t || i, i = i + 10 RETURNING *;
SELECT * FROM q;
ALTER TABLE q NO INHERIT p;
ALTER TABLE q NO INHERIT p;
SELECT * FROM p;
SELECT attname, attislocal, attinhcount FROM pg_attribute WHERE attrelid = 'q'::regclass AND attnum > 0 ORDER BY attnum;
CREATE TABLE r (i bigint);
ALTER TABLE r INHERIT p;
CREATE TABLE s (i int NOT NULL);
ALTER TABLE s INHERIT p;
ALTER TABLE q INHERIT p;

-- Dropping.

DROP TABLE p;
DROP TABLE p, q;
DROP TABLE a;
DROP TABLE a CASCADE;
SELECT relname FROM pg_class WHERE relname IN ('a', 'b', 'c', 'd') ORDER BY 1;
SELECT count(*) FROM pg_inherits;

-- What cannot be inherited.

CREATE VIEW vw AS SELECT 1 AS i;
CREATE TABLE e1 () INHERITS (vw);
CREATE TABLE e2 () INHERITS (city, city);
CREATE TABLE e3 (name int) INHERITS (city);
CREATE TABLE t1 (v int DEFAULT 1);
CREATE TABLE t2 (v int DEFAULT 2);
CREATE TABLE e4 () INHERITS (t1, t2);
CREATE TABLE t3 (v int DEFAULT 3) INHERITS (t1, t2);
INSERT INTO t3 DEFAULT VALUES;
SELECT * FROM t1;
CREATE TABLE t4 (v text);
CREATE TABLE e5 () INHERITS (t1, t4);
CREATE TABLE e6 () INHERITS (missing);

-- Keys are each table's own.

CREATE TABLE keyed (id int PRIMARY KEY, v int UNIQUE);
CREATE TABLE unkeyed () INHERITS (keyed);
INSERT INTO keyed VALUES (1, 1);
INSERT INTO unkeyed VALUES (1, 1), (1, 1);
SELECT count(*) FROM keyed WHERE id = 1;
INSERT INTO unkeyed (v) VALUES (2);
INSERT INTO keyed VALUES (1, 2);
SELECT * FROM keyed WHERE id = 1 AND v = 1;
UPDATE keyed SET id = 2 WHERE id = 1;
SELECT tableoid::regclass, * FROM keyed;

-- Serial columns and generated ones.

CREATE TABLE gen (id serial, a int, b int GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE genchild (c int) INHERITS (gen);
INSERT INTO gen (a) VALUES (1);
INSERT INTO genchild (a, c) VALUES (2, 3);
SELECT * FROM gen ORDER BY id;
UPDATE gen SET a = a + 10;
SELECT tableoid::regclass, * FROM gen ORDER BY id;
SELECT * FROM genchild;
CREATE TABLE genbad (b int DEFAULT 5) INHERITS (gen);

-- TRUNCATE, COPY, LOCK, views.

TRUNCATE ONLY gen;
SELECT tableoid::regclass, a FROM gen;
TRUNCATE gen;
SELECT count(*) FROM gen;
CREATE VIEW cities AS SELECT name, people FROM city WHERE people < 100;
UPDATE cities SET people = 9 WHERE name = 'Au' RETURNING *;
DELETE FROM cities WHERE name = 'Au' RETURNING *;
DROP TABLE village;
DROP TABLE city CASCADE;

-- Triggers: those of the statement are the named table's, those of rows each table's own.

CREATE TABLE heard (what text);
CREATE TABLE tp (i int);
CREATE TABLE tc (j int) INHERITS (tp);
CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO heard VALUES (TG_TABLE_NAME || ' ' || TG_OP || ' ' || TG_LEVEL || ' ' || TG_WHEN); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER s1 BEFORE UPDATE OR DELETE ON tp FOR EACH STATEMENT EXECUTE FUNCTION hear();
CREATE TRIGGER s2 AFTER UPDATE OR DELETE ON tc FOR EACH STATEMENT EXECUTE FUNCTION hear();
CREATE TRIGGER r1 BEFORE UPDATE OR DELETE ON tc FOR EACH ROW EXECUTE FUNCTION hear();
CREATE TRIGGER r2 AFTER UPDATE OR DELETE ON tp FOR EACH ROW EXECUTE FUNCTION hear();
INSERT INTO tp VALUES (1);
INSERT INTO tc VALUES (2, 3);
UPDATE tp SET i = i + 1;
SELECT * FROM heard;
DELETE FROM tp;
SELECT * FROM heard;
