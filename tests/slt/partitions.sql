-- Partitioned tables: which rows go where, what is read, and what cannot be.

-- LIST.

CREATE TABLE l (k int, v text) PARTITION BY LIST (k);
INSERT INTO l VALUES (1, 'nowhere');
CREATE TABLE l12 PARTITION OF l FOR VALUES IN (1, 2, NULL);
CREATE TABLE l3 PARTITION OF l (v DEFAULT 'three', CHECK (v <> 'bad')) FOR VALUES IN (3);
INSERT INTO l VALUES (1, 'one'), (3, 'drei'), (2, 'two'), (NULL, 'null') RETURNING tableoid::regclass, k, v;
INSERT INTO l VALUES (4, 'four');
INSERT INTO l VALUES (3, 'bad');
INSERT INTO l (k) VALUES (3);
INSERT INTO l3 (k) VALUES (3);
INSERT INTO l3 VALUES (1, 'x');
CREATE TABLE ld PARTITION OF l DEFAULT;
INSERT INTO l VALUES (4, 'four'), (5, 'five');
SELECT tableoid::regclass, k, v FROM l ORDER BY k, v;
SELECT count(*) FROM ONLY l;
SELECT * FROM l WHERE k = 3 ORDER BY v;
SELECT * FROM l WHERE k IN (1, 4) ORDER BY k;
SELECT * FROM l WHERE k IS NULL;
SELECT * FROM l WHERE k > 3 ORDER BY k;
SELECT * FROM l WHERE k = 3 AND k = 4;
SELECT * FROM l WHERE k <> 1 OR k IS NULL ORDER BY k, v;
CREATE TABLE l4 PARTITION OF l FOR VALUES IN (4);
DELETE FROM l WHERE k = 4 RETURNING tableoid::regclass, v;
CREATE TABLE l4 PARTITION OF l FOR VALUES IN (4);
CREATE TABLE lx PARTITION OF l FOR VALUES IN (4, 6);
CREATE TABLE lx PARTITION OF l FOR VALUES FROM (1) TO (2);
CREATE TABLE lx PARTITION OF l FOR VALUES IN ('a');
CREATE TABLE lx PARTITION OF l DEFAULT;
SELECT relname, relkind, relispartition, pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname LIKE 'l%' AND relnamespace = 'public'::regnamespace ORDER BY relname;
SELECT pg_get_partkeydef('l'::regclass);
SELECT partstrat, partnatts, partattrs, partdefid::regclass FROM pg_partitioned_table WHERE partrelid = 'l'::regclass;
UPDATE l SET k = 4 WHERE k = 1 RETURNING tableoid::regclass, *;
UPDATE l SET k = 3 WHERE v = 'null' RETURNING *;
UPDATE l3 SET k = 1;
UPDATE l SET v = v || '!' WHERE k >= 3;
SELECT tableoid::regclass, * FROM l ORDER BY k, v;
TRUNCATE l;
SELECT count(*) FROM l;
DROP TABLE l12;
INSERT INTO l VALUES (1, 'default now') RETURNING tableoid::regclass;
DROP TABLE l;
SELECT count(*) FROM pg_class WHERE relname IN ('l', 'l3', 'l4', 'ld');

-- RANGE, over two columns.

CREATE TABLE r (a int, b int, c text) PARTITION BY RANGE (a, b);
CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (MINVALUE, MINVALUE) TO (10, 0);
CREATE TABLE r2 PARTITION OF r FOR VALUES FROM (10, 0) TO (10, 100);
CREATE TABLE r3 (c text, b int, dropped int, a int);
ALTER TABLE r3 DROP COLUMN dropped;
ALTER TABLE r ATTACH PARTITION r3 FOR VALUES FROM (10, 100) TO (MAXVALUE, MAXVALUE);
INSERT INTO r SELECT i, i * 10, 'c' || i FROM generate_series(8, 12) i;
INSERT INTO r VALUES (10, -1, 'low'), (10, 50, 'mid');
SELECT tableoid::regclass, * FROM r ORDER BY a, b;
INSERT INTO r VALUES (NULL, 1);
INSERT INTO r VALUES (1, NULL);
SELECT tableoid::regclass, a FROM r WHERE a = 10 ORDER BY b;
SELECT a, b FROM r WHERE a = 10 AND b = 50;
SELECT a FROM r WHERE a < 9;
SELECT a FROM r WHERE a > 10 ORDER BY a;
SELECT a FROM r WHERE a >= 11 AND a < 12;
UPDATE r SET b = b - 100 WHERE a = 10 RETURNING tableoid::regclass, *;
UPDATE r SET a = 1, c = c || '<' WHERE a = 12 RETURNING *;
SELECT tableoid::regclass, * FROM r ORDER BY a, b;
CREATE TABLE rx PARTITION OF r FOR VALUES FROM (5, 5) TO (6, 6);
CREATE TABLE rx PARTITION OF r FOR VALUES FROM (5) TO (6);
CREATE TABLE rx PARTITION OF r FOR VALUES FROM (6, 6) TO (5, 5);
CREATE TABLE rx PARTITION OF r FOR VALUES FROM (MINVALUE, 1) TO (5, 5);
CREATE TABLE rx PARTITION OF r FOR VALUES FROM (NULL, 1) TO (5, 5);
SELECT relname, pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname ~ '^r[0-9]$' ORDER BY 1;
ALTER TABLE r DETACH PARTITION r2;
SELECT count(*) FROM r;
SELECT count(*) FROM r2;
ALTER TABLE r DETACH PARTITION r2;
ALTER TABLE r ATTACH PARTITION r2 FOR VALUES FROM (10, 0) TO (10, 100);
SELECT inhrelid::regclass, inhseqno FROM pg_inherits WHERE inhparent = 'r'::regclass ORDER BY 1;
SELECT attname, attislocal, attinhcount FROM pg_attribute WHERE attrelid = 'r3'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
ALTER TABLE r ADD COLUMN d int DEFAULT 9;
ALTER TABLE r3 ADD COLUMN e int;
ALTER TABLE r3 DROP COLUMN d;
ALTER TABLE r DROP COLUMN a;
ALTER TABLE r RENAME COLUMN c TO cc;
ALTER TABLE r ALTER COLUMN a TYPE bigint;
SELECT * FROM r3 ORDER BY a;
ALTER TABLE r ALTER COLUMN cc SET NOT NULL;
INSERT INTO r (a, b) VALUES (100, 100);
ALTER TABLE r ADD CONSTRAINT cpos CHECK (b > -1000);
INSERT INTO r VALUES (100, -5000, 'x');
INSERT INTO r3 (a, b, cc) VALUES (1, 1, 'x');

-- HASH: rows lie where PostgreSQL puts them.

CREATE TABLE h (i int, t text, n numeric) PARTITION BY HASH (i, t);
CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE h2 PARTITION OF h FOR VALUES WITH (MODULUS 4, REMAINDER 2);
CREATE TABLE h3 PARTITION OF h FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE h7 PARTITION OF h FOR VALUES WITH (MODULUS 8, REMAINDER 7);
INSERT INTO h SELECT i, 'text number ' || i, i / 7.0 FROM generate_series(-10, 30) i;
INSERT INTO h VALUES (NULL, NULL, 1), (5, NULL, 2), (NULL, 'x', 3);
SELECT tableoid::regclass, i, t FROM h ORDER BY 1, 2, 3;
SELECT tableoid::regclass, t FROM h WHERE i = 5 AND t = 'text number 5';
CREATE TABLE hx PARTITION OF h FOR VALUES WITH (MODULUS 6, REMAINDER 1);
CREATE TABLE hx PARTITION OF h FOR VALUES WITH (MODULUS 8, REMAINDER 1);
CREATE TABLE hx PARTITION OF h FOR VALUES WITH (MODULUS 4, REMAINDER 4);
CREATE TABLE hx PARTITION OF h DEFAULT;
SELECT satisfies_hash_partition('h'::regclass, 4, r, 1, 'a'::text) FROM generate_series(0, 3) r;
CREATE TABLE ht (b bool, s smallint, l bigint, f real, d float8, x numeric, dt date, ts timestamp, tz timestamptz, u uuid, c char(5), v varchar, by bytea, iv interval, nm name, o oid, tm time) PARTITION BY HASH (b, s, l, f, d, x, dt, ts, tz, u, c, v, by, iv, nm, o, tm);
CREATE TABLE ht0 PARTITION OF ht FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE ht1 PARTITION OF ht FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE ht2 PARTITION OF ht FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO ht (l) SELECT i * 10000000000 FROM generate_series(-4, 4) i;
INSERT INTO ht (s) SELECT i FROM generate_series(-4, 4) i;
INSERT INTO ht (b) VALUES (true), (false);
INSERT INTO ht (f) VALUES (0), (1.5), (-2.25), ('NaN'), ('Infinity');
INSERT INTO ht (d) VALUES (0), (1.5), (-2.25), ('NaN'), ('Infinity'), (1e300);
INSERT INTO ht (x) VALUES (0), (1), (10000), (123456.789), (-0.0001), (1e20), (0.00001), (100000000), ('NaN');
INSERT INTO ht (dt) SELECT '1999-12-28'::date + i FROM generate_series(1, 8) i;
INSERT INTO ht (ts) SELECT '1999-12-28'::timestamp + i * interval '1 day 7 seconds' FROM generate_series(1, 8) i;
INSERT INTO ht (u) VALUES ('00000000-0000-0000-0000-000000000001'), ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
INSERT INTO ht (c) VALUES ('a'), ('ab'), ('abcde'), ('');
INSERT INTO ht (v) VALUES ('a'), (''), ('twelve bytes'), ('a longer text than twelve bytes, and more'), ('exactly eleve');
INSERT INTO ht (by) VALUES ('\x00'), ('\x0102030405060708090a0b');
INSERT INTO ht (iv) VALUES ('1 day'), ('24 hours'), ('1 month 2 days'), ('-3 seconds');
INSERT INTO ht (nm) VALUES ('n'), ('a_long_name_indeed');
INSERT INTO ht (o) VALUES (0), (1), (4000000000);
INSERT INTO ht (tm) VALUES ('12:34:56.789'), ('00:00');
SELECT tableoid::regclass, b, s, l, f, d, x, dt, ts, u, c, v, by, iv, nm, o, tm FROM ht ORDER BY b, s, l, f, d, x, dt, ts, u, c, v, by, iv, nm, o, tm;

-- Expressions, dates, texts; partitions of partitions.

CREATE TABLE e (t text, d date) PARTITION BY LIST (lower(t));
CREATE TABLE e1 PARTITION OF e FOR VALUES IN ('a', 'b') PARTITION BY RANGE (d);
CREATE TABLE e1x PARTITION OF e1 FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE e1d PARTITION OF e1 DEFAULT;
CREATE TABLE e2 PARTITION OF e DEFAULT;
INSERT INTO e VALUES ('A', '2020-05-05'), ('b', '2021-01-01'), ('C', NULL), ('B', NULL);
SELECT tableoid::regclass, * FROM e ORDER BY t;
SELECT * FROM e1 ORDER BY t;
SELECT t FROM e WHERE lower(t) = 'a';
SELECT t FROM e WHERE d >= '2020-06-01' ORDER BY t;
INSERT INTO e1 VALUES ('x', '2020-05-05');
INSERT INTO e1x VALUES ('a', '2022-05-05');
UPDATE e SET t = 'z' WHERE t = 'b' RETURNING tableoid::regclass, *;
SELECT pg_get_partkeydef('e'::regclass), pg_get_partkeydef('e1'::regclass);
SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'e1x';
SELECT relid, parentrelid, isleaf, level FROM pg_partition_tree('e') ORDER BY level, relid::text;
SELECT pg_partition_root('e1x');
SELECT relid FROM pg_partition_ancestors('e1x') relid;
DROP TABLE e1;
SELECT * FROM e ORDER BY t;

-- Keys and indexes.

CREATE TABLE k (a int, b int, c int) PARTITION BY RANGE (a);
CREATE TABLE k1 PARTITION OF k FOR VALUES FROM (0) TO (10);
CREATE UNIQUE INDEX ON k (b);
ALTER TABLE k ADD PRIMARY KEY (b);
ALTER TABLE k ADD PRIMARY KEY (a, b);
CREATE TABLE k2 PARTITION OF k FOR VALUES FROM (10) TO (20);
CREATE INDEX kc ON k (c);
INSERT INTO k VALUES (1, 1, 1), (11, 1, 1);
INSERT INTO k VALUES (1, 1, 2);
INSERT INTO k VALUES (1, 1, 2) ON CONFLICT DO NOTHING;
INSERT INTO k VALUES (1, 1, 2), (12, 1, 1) ON CONFLICT (a, b) DO UPDATE SET c = excluded.c + k.c RETURNING tableoid::regclass, *;
INSERT INTO k VALUES (1, 1, 2) ON CONFLICT (a, b) DO UPDATE SET a = 15;
INSERT INTO k VALUES (1, 1, 2) ON CONFLICT (c) DO NOTHING;
INSERT INTO k (b) VALUES (1);
SELECT * FROM k WHERE a = 11 AND b = 1;
SELECT * FROM k ORDER BY a;
SELECT c.relname, c.relkind, c.relispartition, i.inhparent::regclass FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.relname ~ '^k' AND c.relkind IN ('i', 'I') ORDER BY 1;
SELECT conrelid::regclass, conname, contype, conislocal, coninhcount FROM pg_constraint WHERE conrelid IN ('k'::regclass, 'k2'::regclass) ORDER BY 1, 2;
DROP INDEX k2_c_idx;
DROP INDEX kc;
ALTER TABLE k1 DROP CONSTRAINT k1_pkey;
CREATE TABLE k3 (a int NOT NULL, b int NOT NULL, c int, CONSTRAINT own PRIMARY KEY (a, b));
ALTER TABLE k ATTACH PARTITION k3 FOR VALUES FROM (20) TO (30);
SELECT conname, conislocal, coninhcount FROM pg_constraint WHERE conrelid = 'k3'::regclass AND contype = 'p';
ALTER TABLE k DROP CONSTRAINT k_pkey;
SELECT count(*) FROM pg_index WHERE indrelid IN ('k'::regclass, 'k1'::regclass, 'k2'::regclass);

-- Foreign keys of partitioned tables.

CREATE TABLE par (id int PRIMARY KEY);
INSERT INTO par VALUES (1), (2), (11);
CREATE TABLE ch (id int, p int REFERENCES par ON DELETE CASCADE) PARTITION BY RANGE (id);
CREATE TABLE ch1 PARTITION OF ch FOR VALUES FROM (0) TO (10);
CREATE TABLE ch2 PARTITION OF ch FOR VALUES FROM (10) TO (20);
INSERT INTO ch VALUES (1, 1), (11, 1), (12, 2);
INSERT INTO ch VALUES (2, 3);
UPDATE ch SET p = 4 WHERE id = 1;
DELETE FROM par WHERE id = 1;
SELECT tableoid::regclass, * FROM ch ORDER BY id;
ALTER TABLE ch DROP CONSTRAINT ch_p_fkey;
INSERT INTO ch VALUES (3, 99);
ALTER TABLE ch ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES par;
DELETE FROM ch WHERE p = 99;
ALTER TABLE ch ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES par;
DELETE FROM par WHERE id = 2;
SELECT conrelid::regclass, conname, conislocal, coninhcount FROM pg_constraint WHERE contype = 'f' ORDER BY 1::text, 2;

-- Triggers.

CREATE TABLE told (n serial, what text);
CREATE TABLE tt (a int, b text) PARTITION BY LIST (a);
CREATE TABLE tt1 PARTITION OF tt FOR VALUES IN (1);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO told (what) VALUES (TG_TABLE_NAME || ' ' || TG_WHEN || ' ' || TG_OP || ' ' || TG_LEVEL); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER row_before BEFORE INSERT OR UPDATE ON tt FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER row_after AFTER INSERT OR UPDATE OR DELETE ON tt FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER whole AFTER INSERT OR UPDATE OR DELETE ON tt FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TABLE tt2 PARTITION OF tt FOR VALUES IN (2);
INSERT INTO tt VALUES (1, 'x'), (2, 'y');
UPDATE tt SET b = b || b WHERE a = 2;
DELETE FROM tt WHERE a = 1;
SELECT what FROM told ORDER BY n;
DROP TRIGGER row_after ON tt2;
DROP TRIGGER row_after ON tt;
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgrelid IN ('tt'::regclass, 'tt1'::regclass, 'tt2'::regclass) ORDER BY 1::text, 2;

-- Conditions with parameters, joins, sub-queries.

CREATE TABLE big (i int, s text) PARTITION BY RANGE (i);
CREATE TABLE big1 PARTITION OF big FOR VALUES FROM (0) TO (100);
CREATE TABLE big2 PARTITION OF big FOR VALUES FROM (100) TO (200);
CREATE TABLE big3 PARTITION OF big FOR VALUES FROM (200) TO (300);
INSERT INTO big SELECT i, 's' || i % 7 FROM generate_series(0, 299) i;
PREPARE one (int) AS SELECT count(*), min(i), max(i) FROM big WHERE i = $1;
EXECUTE one (5);
EXECUTE one (150);
EXECUTE one (500);
PREPARE span (int, int) AS SELECT count(*) FROM big WHERE i >= $1 AND i < $2;
EXECUTE span (50, 250);
EXECUTE span (250, 50);
EXECUTE span (NULL, 50);
SELECT count(*) FROM big a JOIN big b ON a.i = b.i + 100;
SELECT s, count(*), max(i) FROM big GROUP BY s ORDER BY s;
SELECT i FROM big WHERE i = (SELECT 123);
SELECT i FROM big WHERE i IN (SELECT generate_series(98, 101)) ORDER BY i;
SELECT i FROM big ORDER BY i DESC LIMIT 3;
SELECT x.i FROM (VALUES (7), (107)) AS x (i), LATERAL (SELECT count(*) AS n FROM big WHERE big.i < x.i) AS c WHERE c.n = x.i ORDER BY 1;
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE i = 150;
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE i < 100;
EXPLAIN (COSTS OFF) SELECT * FROM big;
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE i IN (1, 2);
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE i = 1000;
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE i IS NULL;
UPDATE big SET s = 'u' WHERE i BETWEEN 99 AND 100 RETURNING tableoid::regclass, i;
DELETE FROM big USING (VALUES (1), (101)) AS d (i) WHERE big.i = d.i RETURNING big.tableoid::regclass, big.i;
SELECT i FROM big WHERE i < 3 ORDER BY i FOR UPDATE;
WITH gone AS (DELETE FROM big WHERE i > 297 RETURNING i) INSERT INTO big SELECT i - 290 + 1000 FROM gone;
COPY big (i) TO STDOUT;
ANALYZE big;
SELECT count(*) FROM big;

-- What cannot be.

CREATE TABLE x (a int) PARTITION BY LIST (a, a);
CREATE TABLE x (a int) PARTITION BY RANGE (b);
CREATE TABLE x (a int) PARTITION BY RANGE (xmin);
CREATE TABLE x (a int) PARTITION BY RANGE (random());
CREATE TABLE x (a int) PARTITION BY RANGE ((1));
CREATE TABLE x (a int) PARTITION BY WRONG (a);
CREATE TABLE x (a int, b int GENERATED ALWAYS AS (a) STORED) PARTITION BY RANGE (b);
CREATE TABLE plain (i int, s text);
CREATE TABLE x PARTITION OF plain FOR VALUES IN (1);
CREATE TABLE x () INHERITS (big);
CREATE TABLE x () INHERITS (big1);
ALTER TABLE plain INHERIT big;
ALTER TABLE big1 INHERIT plain;
ALTER TABLE big1 NO INHERIT big;
ALTER TABLE big INHERIT plain;
ALTER TABLE plain ATTACH PARTITION big FOR VALUES IN (1);
ALTER TABLE big ATTACH PARTITION big1 FOR VALUES FROM (500) TO (600);
ALTER TABLE plain ADD COLUMN more int;
ALTER TABLE big ATTACH PARTITION plain FOR VALUES FROM (500) TO (600);
ALTER TABLE plain DROP COLUMN more;
INSERT INTO plain VALUES (1);
ALTER TABLE big ATTACH PARTITION plain FOR VALUES FROM (500) TO (600);
DELETE FROM plain;
ALTER TABLE big ATTACH PARTITION plain FOR VALUES FROM (500) TO (600);
ALTER TABLE big ATTACH PARTITION plain FOR VALUES FROM (700) TO (800);
ALTER TABLE big DETACH PARTITION told;
TRUNCATE ONLY big;
CREATE INDEX CONCURRENTLY ON big (i);
