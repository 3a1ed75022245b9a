-- MERGE: a join, and what to do with each kind of its rows.

CREATE TABLE t (id int PRIMARY KEY, v int, note text DEFAULT 'new');
CREATE TABLE s (id int, v int);
INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c');
INSERT INTO s VALUES (2, 200), (3, NULL), (4, 400), (5, 500);
-- Every kind of action; the first that fits counts.
MERGE INTO t USING s ON t.id = s.id
WHEN MATCHED AND s.v IS NULL THEN DELETE
WHEN MATCHED THEN UPDATE SET v = s.v, note = t.note || '+'
WHEN NOT MATCHED AND s.id = 5 THEN DO NOTHING
WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)
WHEN NOT MATCHED BY SOURCE THEN UPDATE SET note = 'alone';
SELECT * FROM t ORDER BY id;
-- RETURNING: the action, the old and the new row, the row that is, the source.
WITH merged AS (
MERGE INTO t USING s ON t.id = s.id
WHEN MATCHED AND t.id = 2 THEN DELETE
WHEN MATCHED THEN UPDATE SET v = t.v + 1
WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v, DEFAULT)
WHEN NOT MATCHED BY SOURCE THEN DELETE
RETURNING merge_action() AS action, s.id AS source, old.id AS old_id, old.v AS old_v, new.id AS new_id, new.v AS new_v, t.id, t.note, old, new, t, old.tableoid = new.tableoid AS same)
SELECT * FROM merged ORDER BY coalesce(old_id, new_id);
SELECT * FROM t ORDER BY id;
-- The source's columns come first.
MERGE INTO t AS x USING (VALUES (9, 'nine')) AS y(k, w) ON x.id = y.k WHEN NOT MATCHED THEN INSERT VALUES (k, 90, w) RETURNING *;
MERGE INTO t USING (SELECT 9 AS k) y ON id = k WHEN MATCHED THEN UPDATE SET v = 91 RETURNING WITH (OLD AS before, NEW AS after) before.v, after.v, (SELECT merge_action() || k);
-- A row is changed once.
MERGE INTO t USING (VALUES (9), (9)) y(k) ON id = k WHEN MATCHED THEN UPDATE SET v = 92;
MERGE INTO t USING (VALUES (9), (9)) y(k) ON id = k WHEN MATCHED THEN DELETE;
MERGE INTO t USING (VALUES (9), (9)) y(k) ON id = k WHEN MATCHED THEN DO NOTHING;
MERGE INTO t USING (VALUES (50), (50)) y(k) ON id = k WHEN NOT MATCHED THEN INSERT (id) VALUES (k);
-- The order of the source's rows.
MERGE INTO t USING (SELECT k, k = 9 AS found FROM (VALUES (9), (60), (61)) v(k) ORDER BY k) y ON id = k AND found WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, v) VALUES (k, k);
SELECT * FROM t ORDER BY id;
-- Joins: on nothing, on an inequality, against a query.
MERGE INTO t USING s ON false WHEN NOT MATCHED BY SOURCE AND t.id = 60 THEN DELETE WHEN MATCHED THEN DO NOTHING;
MERGE INTO t USING (SELECT max(id) AS top FROM t) q ON t.id < q.top WHEN MATCHED THEN UPDATE SET note = 'low' WHEN NOT MATCHED BY SOURCE THEN UPDATE SET note = 'top';
SELECT * FROM t ORDER BY id;
MERGE INTO t USING t AS other ON t.id = other.id + 1 WHEN MATCHED THEN UPDATE SET note = t.note || other.id WHEN NOT MATCHED THEN INSERT VALUES (other.id + 1, 0, 'next') WHEN NOT MATCHED BY SOURCE THEN UPDATE SET note = 'first';
SELECT * FROM t ORDER BY id;
MERGE INTO t USING s JOIN (VALUES (2, 'two'), (4, 'four')) n(id, name) USING (id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET note = n.name WHEN NOT MATCHED THEN INSERT VALUES (n.id, v, name);
SELECT * FROM t ORDER BY id;
-- Subqueries and DEFAULT in actions.
MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND EXISTS (SELECT FROM s x WHERE x.id = t.id + 1) THEN UPDATE SET (v, note) = (SELECT count(*), max(note) FROM t y WHERE y.id <= s.id) WHEN MATCHED THEN UPDATE SET note = DEFAULT, v = DEFAULT;
SELECT * FROM t ORDER BY id;
MERGE INTO t USING (VALUES (70)) q(k) ON id = k WHEN NOT MATCHED THEN INSERT DEFAULT VALUES;
-- Only some kinds of actions.
MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED BY TARGET THEN INSERT VALUES (s.id, s.v, 'i');
MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE;
MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.v > 300 THEN DELETE;
SELECT * FROM t ORDER BY id;
MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DO NOTHING;
-- Many rows.
CREATE TABLE big (id int PRIMARY KEY, v int, kind text);
CREATE INDEX ON big (v);
INSERT INTO big SELECT g, g, 'old' FROM generate_series(1, 6000, 2) g;
MERGE INTO big USING generate_series(1, 6000) g ON big.id = g
WHEN MATCHED AND g % 3 = 0 THEN DELETE
WHEN MATCHED AND g % 5 = 0 THEN UPDATE SET v = -g, kind = 'updated'
WHEN NOT MATCHED AND g % 4 <> 0 THEN INSERT VALUES (g, g, 'inserted');
SELECT kind, count(*), sum(id), sum(v) FROM big GROUP BY kind ORDER BY kind;
SELECT count(*) FROM big WHERE v < 0;
WITH m AS (MERGE INTO big USING (SELECT g FROM generate_series(5000, 7000) g) q ON id = g WHEN MATCHED THEN DELETE WHEN NOT MATCHED AND g > 6000 THEN INSERT VALUES (g, g, 'late') WHEN NOT MATCHED BY SOURCE AND id % 7 = 0 THEN UPDATE SET kind = 'seven' RETURNING merge_action() AS a, big.kind, id)
SELECT a, kind, count(*), sum(id) FROM m GROUP BY a, kind ORDER BY a, kind;
SELECT kind, count(*), sum(id), sum(v) FROM big GROUP BY kind ORDER BY kind;
-- Constraints, foreign keys, generated and identity columns.
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int GENERATED ALWAYS AS IDENTITY, p int REFERENCES parent ON DELETE CASCADE, d int GENERATED ALWAYS AS (p * 2) STORED, CHECK (p < 100));
INSERT INTO parent VALUES (1), (2), (3);
MERGE INTO child USING parent ON child.p = parent.id WHEN NOT MATCHED THEN INSERT (p) VALUES (parent.id) RETURNING child.*;
MERGE INTO child USING parent ON child.p = parent.id WHEN MATCHED THEN UPDATE SET p = 50;
MERGE INTO child USING parent ON child.p = parent.id WHEN MATCHED THEN UPDATE SET p = 200;
MERGE INTO child USING parent ON child.p = parent.id WHEN MATCHED AND p < 3 THEN UPDATE SET p = p + 1;
SELECT * FROM child ORDER BY id;
MERGE INTO parent USING (VALUES (3), (4)) v(k) ON id = k WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (k);
SELECT * FROM child ORDER BY id;
MERGE INTO parent USING (VALUES (2)) v(k) ON id = k WHEN MATCHED THEN UPDATE SET id = 20;
MERGE INTO child USING (VALUES (7)) v(k) ON false WHEN NOT MATCHED THEN INSERT VALUES (k, 1);
MERGE INTO child USING (VALUES (7)) v(k) ON false WHEN NOT MATCHED THEN INSERT (id, p) OVERRIDING SYSTEM VALUE VALUES (k, 1) RETURNING *;
MERGE INTO child USING (VALUES (7)) v(k) ON false WHEN NOT MATCHED THEN INSERT (p) VALUES (NULL);
-- Views as targets.
CREATE VIEW low AS SELECT id AS key, v + 1 AS w, v FROM t WHERE id < 10 WITH CHECK OPTION;
DELETE FROM t;
INSERT INTO t VALUES (1, 10, 'a'), (20, 200, 'b');
MERGE INTO low USING (VALUES (1), (2), (20)) q(k) ON key = k WHEN MATCHED THEN UPDATE SET v = low.v + 1 WHEN NOT MATCHED AND k < 10 THEN INSERT (key, v) VALUES (k, 0) WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING merge_action(), k, low.*;
MERGE INTO low USING (VALUES (30)) q(k) ON key = k WHEN NOT MATCHED THEN INSERT (key, v) VALUES (k, 0);
MERGE INTO low USING (VALUES (1)) q(k) ON key = k WHEN MATCHED THEN UPDATE SET w = 5;
SELECT * FROM t ORDER BY id;
CREATE VIEW grouped AS SELECT count(*) AS n FROM t;
MERGE INTO grouped USING s ON n = s.id WHEN MATCHED THEN DELETE;
-- COPY and prepared statements.
PREPARE m (int, text) AS MERGE INTO t USING (SELECT $1 AS k) q ON id = k WHEN MATCHED THEN UPDATE SET note = $2 WHEN NOT MATCHED THEN INSERT VALUES (k, 0, $2) RETURNING merge_action(), t.*;
EXECUTE m (1, 'one');
EXECUTE m (77, 'many');
-- Errors.
MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE WHEN MATCHED THEN DO NOTHING;
MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (t.id);
MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED BY SOURCE AND s.id = 1 THEN DELETE;
MERGE INTO t USING t ON true WHEN MATCHED THEN DELETE;
MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND t.xmin = '1' THEN DELETE;
MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND max(s.id) = 1 THEN DELETE;
MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = 1, v = 2;
MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, v) VALUES (1);
MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (1, 2);
MERGE INTO t USING (SELECT t.id) q ON true WHEN MATCHED THEN DELETE;
WITH RECURSIVE r AS (SELECT 1 AS k) MERGE INTO t USING r ON id = k WHEN MATCHED THEN DELETE;
SELECT merge_action();
UPDATE t SET v = 1 RETURNING merge_action();
WITH m AS (MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE) SELECT * FROM m;
WITH m AS (UPDATE t SET v = v) SELECT * FROM m;
MERGE INTO missing USING s ON true WHEN MATCHED THEN DELETE;
MERGE INTO t USING s ON t.id > s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id) WHEN NOT MATCHED BY SOURCE THEN DELETE;
BEGIN READ ONLY;
MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE;
ROLLBACK;
-- OLD and NEW of the other statements.
INSERT INTO t VALUES (100, 1, 'x') RETURNING old.id, new.id, old, new, old IS NULL, new.ctid IS NULL;
INSERT INTO t VALUES (100, 2, 'y'), (101, 3, 'z') ON CONFLICT (id) DO UPDATE SET v = excluded.v RETURNING old.id, old.v, new.v, old, new, old.tableoid = new.tableoid;
UPDATE t SET v = 5 WHERE id = 100 RETURNING old, new, old.v + new.v;
DELETE FROM t WHERE id = 100 RETURNING old.v, new.v, old, new, new.tableoid;
DELETE FROM low WHERE key = 1 RETURNING old.key, new.key, old.w;
DELETE FROM t USING s WHERE t.id = 101 AND s.id = 2 RETURNING t, s, new.id, old.note;
INSERT INTO t VALUES (102, 1, 'x') ON CONFLICT DO NOTHING RETURNING old.note, new.note, t;
INSERT INTO t VALUES (99, 1, 'x') RETURNING WITH (OLD AS o, OLD AS n) o.id;
