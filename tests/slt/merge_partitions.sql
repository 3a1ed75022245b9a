-- MERGE into partitioned tables, and into tables with children.
CREATE TABLE t (k int, v text, n int DEFAULT 5) PARTITION BY LIST (k);
CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1, 4);
CREATE TABLE t2 (n int, x int, v text, k int);
ALTER TABLE t2 DROP x;
ALTER TABLE t ATTACH PARTITION t2 FOR VALUES IN (2, 5, 6);
CREATE TABLE t3 PARTITION OF t FOR VALUES IN (3, 8, 9) DEFAULT 'x';
CREATE TABLE t3 PARTITION OF t FOR VALUES IN (3, 8, 9);
CREATE TABLE t4 PARTITION OF t DEFAULT PARTITION BY LIST (k);
CREATE TABLE t5 PARTITION OF t4 DEFAULT;
CREATE TABLE s (k int, w text);
INSERT INTO t SELECT i, 'old ' || i FROM generate_series(1, 15, 2) i;
INSERT INTO s SELECT i, 'new ' || i FROM generate_series(1, 14) i;
BEGIN;
MERGE INTO t USING s ON t.k = s.k
WHEN MATCHED AND s.k = 7 THEN DELETE
WHEN MATCHED THEN UPDATE SET v = t.v || ' ' || s.w, n = n + 1
WHEN NOT MATCHED AND s.k = 8 THEN DO NOTHING
WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.w);
SELECT tableoid::regclass, * FROM t ORDER BY k;
ROLLBACK;
BEGIN;
-- Rows that change their partition.
MERGE INTO t USING s ON t.k = s.k
WHEN MATCHED THEN UPDATE SET k = t.k + 1, v = t.v || '+'
WHEN NOT MATCHED BY SOURCE THEN UPDATE SET k = 1, v = 'alone';
SELECT tableoid::regclass, * FROM t ORDER BY k, v;
ROLLBACK;
BEGIN;
WITH merged AS (
MERGE INTO t USING s ON t.k = s.k
WHEN MATCHED AND t.k = 5 THEN DELETE
WHEN MATCHED THEN UPDATE SET k = t.k + 1, v = t.v || '+'
WHEN NOT MATCHED AND s.k % 4 = 0 THEN INSERT VALUES (s.k, s.w)
WHEN NOT MATCHED BY SOURCE THEN DELETE
RETURNING merge_action() AS action, s.k AS source, old.k AS old_k, new.k AS new_k, t.v, old.tableoid::regclass, t.tableoid::regclass)
SELECT action, source, old_k, new_k, v FROM merged ORDER BY 3, 2;
SELECT tableoid::regclass, * FROM t ORDER BY k, v;
ROLLBACK;
MERGE INTO t USING (VALUES (1), (1)) s(k) ON t.k = s.k WHEN MATCHED THEN UPDATE SET k = 2;
MERGE INTO t USING (VALUES (1), (1)) s(k) ON t.k = s.k WHEN MATCHED THEN UPDATE SET n = 2;
MERGE INTO t USING (VALUES (1)) s(k) ON t.k = s.k WHEN MATCHED THEN UPDATE SET n = 2 RETURNING t.tableoid::regclass, t.*;
MERGE INTO t USING (VALUES (2), (77)) s(k) ON t.k = s.k WHEN NOT MATCHED THEN INSERT (k) VALUES (s.k) RETURNING t.tableoid::regclass, t.*;
MERGE INTO ONLY t USING (VALUES (2), (78)) s(k) ON t.k = s.k WHEN NOT MATCHED THEN INSERT (k) VALUES (s.k) RETURNING t.tableoid::regclass, t.*;
MERGE INTO t1 USING (VALUES (1)) s(k) ON t1.k = s.k WHEN MATCHED THEN UPDATE SET k = 2;
MERGE INTO t1 USING (VALUES (1), (2)) s(k) ON t1.k = s.k WHEN NOT MATCHED THEN INSERT (k) VALUES (s.k);
DROP TABLE t5;
MERGE INTO t USING (VALUES (99)) s(k) ON t.k = s.k WHEN NOT MATCHED THEN INSERT (k) VALUES (s.k);
MERGE INTO t USING (VALUES (1)) s(k) ON t.k = s.k WHEN MATCHED THEN UPDATE SET k = 99;
-- Each value is computed once.
CREATE SEQUENCE seq;
MERGE INTO t USING (VALUES (1), (2), (3)) s(k) ON false WHEN NOT MATCHED THEN INSERT VALUES (nextval('seq'), 'seq') RETURNING t.k;
SELECT tableoid::regclass, k FROM t WHERE v = 'seq' ORDER BY k;
-- Constraints, keys and statement triggers.
ALTER TABLE t2 ADD CHECK (v <> 'bad');
MERGE INTO t USING (VALUES (5, 'bad')) s(k, v) ON false WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v);
CREATE TABLE keys (id int PRIMARY KEY);
INSERT INTO keys SELECT generate_series(1, 9);
ALTER TABLE t ADD COLUMN r int REFERENCES keys;
MERGE INTO t USING (VALUES (5, 3), (6, 30)) s(k, r) ON false WHEN NOT MATCHED THEN INSERT (k, r) VALUES (s.k, s.r);
MERGE INTO t USING (VALUES (5, 3), (6, 4)) s(k, r) ON false WHEN NOT MATCHED THEN INSERT (k, r) VALUES (s.k, s.r);
MERGE INTO t USING (VALUES (6, 40)) s(k, r) ON t.k = s.k WHEN MATCHED THEN UPDATE SET r = s.r, k = 1;
CREATE TABLE log (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO log (what) VALUES (TG_TABLE_NAME || ' ' || TG_WHEN || ' ' || TG_OP || ' ' || TG_LEVEL); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER b BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER r AFTER INSERT OR UPDATE OR DELETE ON t1 FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER br BEFORE INSERT OR UPDATE OR DELETE ON t1 FOR EACH ROW EXECUTE FUNCTION note();
MERGE INTO t USING (VALUES (1), (2), (4)) s(k) ON t.k = s.k WHEN MATCHED AND t.k = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET n = 0 WHEN NOT MATCHED THEN INSERT (k) VALUES (s.k);
SELECT what FROM log ORDER BY n;
DROP TABLE t, log;
-- Children.
CREATE TABLE m (id int, v text);
CREATE TABLE c1 (extra int DEFAULT 7) INHERITS (m);
CREATE TABLE c2 (CHECK (id >= 20)) INHERITS (m);
INSERT INTO m VALUES (1, 'm');
INSERT INTO c1 VALUES (11, 'c1', 11), (12, 'c1', 12);
INSERT INTO c2 VALUES (21, 'c2'), (22, 'c2');
MERGE INTO m USING (SELECT generate_series(1, 23, 2) AS id UNION SELECT 12 UNION SELECT 22) s ON m.id = s.id
WHEN MATCHED AND m.id IN (11, 22) THEN DELETE
WHEN MATCHED THEN UPDATE SET v = m.v || '!'
WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'new');
SELECT tableoid::regclass, * FROM m ORDER BY id;
SELECT * FROM c1 ORDER BY id;
MERGE INTO m USING (VALUES (21)) s(id) ON m.id = s.id WHEN MATCHED THEN UPDATE SET id = 1;
MERGE INTO ONLY m USING (VALUES (1), (21)) s(id) ON m.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'only') RETURNING merge_action(), m.*;
SELECT tableoid::regclass, * FROM m ORDER BY id, tableoid::regclass::text;
