-- Orders and limits through joins, groups and unions: rows that come in an order, or of which a few are enough
--
-- A limit reads what it needs from an index and joins as rows come; unions and partitions are merged, or read one after the
-- other; whatever is chosen, the answers are those of sorting everything.

CREATE TABLE t(id int PRIMARY KEY, a int, c text);
INSERT INTO t SELECT g, CASE WHEN g % 11 = 0 THEN NULL ELSE g % 7 END, 'x' || g % 3 FROM generate_series(1, 3000) g;
CREATE INDEX t_a ON t(a);
CREATE TABLE u(id int PRIMARY KEY, tid int, v int);
INSERT INTO u SELECT g, CASE WHEN g % 19 = 0 THEN NULL ELSE g * 31 % 3500 + 1 END, g % 10 FROM generate_series(1, 6000) g;
CREATE INDEX u_tid ON u(tid);
CREATE INDEX u_v ON u(v, id);
CREATE TABLE w(id bigint PRIMARY KEY, uid int, x int);
INSERT INTO w SELECT g, g * 7 % 6500, g % 4 FROM generate_series(1, 2000) g;
CREATE INDEX w_uid ON w(uid);
CREATE TABLE empty(id int PRIMARY KEY);
CREATE TABLE p(k int, v int, w text) PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000);
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (2000) TO (3000);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (2000);
INSERT INTO p SELECT g % 3000, g, 'w' || g % 5 FROM generate_series(0, 5999) g;
CREATE INDEX p_k ON p(k);
CREATE INDEX p_v ON p(v);
CREATE TABLE d(k int, v int) PARTITION BY RANGE (k);
CREATE TABLE d1 PARTITION OF d FOR VALUES FROM (0) TO (1000);
CREATE TABLE d2 PARTITION OF d DEFAULT;
INSERT INTO d SELECT CASE WHEN g % 50 = 0 THEN NULL ELSE g * 7 % 2000 - 300 END, g FROM generate_series(1, 2000) g;
CREATE INDEX d_k ON d(k);
CREATE TABLE l(k int, v int) PARTITION BY LIST (k);
CREATE TABLE l1 PARTITION OF l FOR VALUES IN (1, 3, 5);
CREATE TABLE l2 PARTITION OF l FOR VALUES IN (2, 4, NULL);
INSERT INTO l SELECT CASE WHEN g % 6 = 0 THEN NULL ELSE g % 6 END, g FROM generate_series(1, 600) g;
CREATE INDEX l_k ON l(k, v);
CREATE TABLE m(a int, b int, v int) PARTITION BY RANGE (a, b);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0, 0) TO (10, 5);
CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10, 5) TO (20, 0);
INSERT INTO m SELECT g % 20, g % 10, g FROM generate_series(0, 999) g;
CREATE INDEX m_a ON m(a, v);
ANALYZE;

-- Joins
SELECT t.id, u.id FROM t JOIN u ON u.tid = t.id ORDER BY u.id LIMIT 5;
SELECT t.id, u.id FROM t JOIN u ON u.tid = t.id ORDER BY u.id DESC LIMIT 5;
SELECT t.id, u.id FROM t JOIN u ON u.tid = t.id ORDER BY u.id LIMIT 5 OFFSET 2700;
SELECT t.id, u.id FROM t JOIN u ON u.tid = t.id ORDER BY t.id, u.id LIMIT 5;
SELECT t.id, u.id FROM t JOIN u ON u.tid = t.id ORDER BY u.tid DESC, u.id LIMIT 5;
SELECT u.tid, u.id FROM t JOIN u ON u.tid = t.id ORDER BY u.tid, u.id LIMIT 3 OFFSET 4000;
SELECT count(*) FROM (SELECT 1 FROM u JOIN t ON u.tid = t.id LIMIT 5) q;
SELECT count(*) FROM (SELECT 1 FROM u JOIN t ON u.tid = t.id WHERE t.a = 3 AND u.v = 2 LIMIT 500) q;
SELECT t.id, u.id, w.id FROM t JOIN u ON u.tid = t.id JOIN w ON w.uid = u.id ORDER BY w.id LIMIT 4;
SELECT t.id, u.id, w.id FROM t JOIN u ON u.tid = t.id JOIN w ON w.uid = u.id ORDER BY w.uid, t.a, w.id LIMIT 4;
SELECT t.id, u.id, w.id FROM t JOIN u ON u.tid = t.id JOIN w ON w.uid = u.id WHERE w.x = 1 AND t.a > 4 ORDER BY u.id, w.id LIMIT 4;
SELECT t.id, u.id FROM t JOIN u ON u.tid = t.id AND u.v > t.a ORDER BY t.id, u.id LIMIT 5;
SELECT t.id, u.id FROM t, u WHERE u.v = t.a AND t.id < 40 ORDER BY t.id, u.id LIMIT 5;
SELECT x.id, y.id FROM t x JOIN t y ON y.id = x.a ORDER BY x.id LIMIT 5;
SELECT t.id, e.id FROM t JOIN empty e ON e.id = t.id ORDER BY t.id LIMIT 5;
SELECT t.id, s.n FROM t JOIN (SELECT tid, count(*) n FROM u GROUP BY tid) s ON s.tid = t.id ORDER BY t.id LIMIT 4;
SELECT t.id, s.n FROM t JOIN (SELECT tid, count(*) n FROM u GROUP BY tid) s ON s.tid = t.id ORDER BY s.tid LIMIT 4;
SELECT t.id, s.id FROM t CROSS JOIN LATERAL (SELECT id FROM u WHERE u.tid = t.id ORDER BY id DESC LIMIT 1) s ORDER BY t.id LIMIT 4;
SELECT t.id, u.id FROM t JOIN u ON u.tid = t.id ORDER BY t.id, u.id FETCH FIRST 2 ROWS WITH TIES;
SELECT t.id, u.id FROM t JOIN u ON u.tid = t.id ORDER BY u.id LIMIT 3 FOR UPDATE;
SELECT DISTINCT t.a FROM t JOIN u ON u.tid = t.id ORDER BY t.a LIMIT 4;
SELECT count(*) FROM (SELECT DISTINCT t.a, u.v FROM t JOIN u ON u.tid = t.id LIMIT 60) q;
SELECT t.a, count(*) FROM t JOIN u ON u.tid = t.id GROUP BY t.a ORDER BY t.a LIMIT 2;
SELECT u.id, t.id FROM t JOIN u ON u.tid = t.id WHERE t.id IN (5, 6, 7) ORDER BY u.id LIMIT 5;

-- Outer, semi and anti joins
SELECT t.id, u.id FROM t LEFT JOIN u ON u.tid = t.id ORDER BY t.id, u.id LIMIT 5;
SELECT t.id, u.id FROM t LEFT JOIN u ON u.tid = t.id ORDER BY t.id DESC, u.id LIMIT 5;
SELECT t.id, u.id FROM t LEFT JOIN u ON u.tid = t.id AND u.v = 3 ORDER BY t.id, u.id LIMIT 8;
SELECT t.id, u.id FROM t LEFT JOIN u ON u.tid = t.id ORDER BY u.id LIMIT 5;
SELECT t.id, u.id FROM t LEFT JOIN u ON u.tid = t.id ORDER BY u.id NULLS FIRST, t.id LIMIT 5;
SELECT t.id, u.id FROM t RIGHT JOIN u ON u.tid = t.id ORDER BY u.id LIMIT 5;
SELECT t.id, u.id FROM t FULL JOIN u ON u.tid = t.id ORDER BY t.id, u.id LIMIT 5;
SELECT t.id, u.id FROM t FULL JOIN u ON u.tid = t.id ORDER BY u.id NULLS FIRST, t.id LIMIT 3;
SELECT t.id, u.id, w.id FROM t LEFT JOIN u ON u.tid = t.id LEFT JOIN w ON w.uid = u.id ORDER BY t.id, u.id, w.id LIMIT 6;
SELECT t.id, u.id, w.id FROM t JOIN u ON u.tid = t.id LEFT JOIN w ON w.uid = u.id ORDER BY u.id, w.id LIMIT 6;
SELECT t.id, u.id FROM t LEFT JOIN u ON u.tid = t.id WHERE u.id IS NULL ORDER BY t.id LIMIT 5;
SELECT t.id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.tid = t.id) ORDER BY t.id LIMIT 5;
SELECT t.id FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.tid = t.id) ORDER BY t.id LIMIT 5;
SELECT t.id FROM t WHERE id NOT IN (SELECT tid FROM u WHERE tid IS NOT NULL) ORDER BY t.id LIMIT 5;
SELECT t.id FROM t WHERE id NOT IN (SELECT tid FROM u) ORDER BY t.id LIMIT 5;
SELECT t.id, t.id IN (SELECT tid FROM u WHERE v = 3) FROM t ORDER BY t.id LIMIT 5;
SELECT t.id FROM t LEFT JOIN empty e ON e.id = t.id ORDER BY t.id LIMIT 3;
SELECT count(*) FROM (SELECT 1 FROM t LEFT JOIN u ON u.tid = t.id LIMIT 5) q;

-- A few rows of another table first
SELECT count(*), sum(id) FROM t WHERE id IN (SELECT tid FROM u WHERE v = 3);
SELECT count(*), sum(id) FROM t WHERE id IN (SELECT tid FROM u WHERE id < 100);
SELECT count(*), sum(id) FROM t WHERE id IN (SELECT w.uid FROM w WHERE w.x = 1 AND w.id < 30);
SELECT count(*), sum(id) FROM t WHERE a IN (SELECT v FROM u WHERE id < 100);
SELECT count(*), sum(id) FROM t WHERE (id, a) IN (SELECT tid, v FROM u);
SELECT count(*), sum(id) FROM t WHERE id IN (SELECT tid + 1 FROM u WHERE id < 100);
SELECT count(*), sum(id) FROM w WHERE id IN (SELECT tid FROM u WHERE id < 100);
SELECT count(*), sum(t.id) FROM t WHERE id IN (SELECT tid FROM u WHERE u.id < 50 AND u.v > t.a);
SELECT count(*), sum(t.id) FROM t JOIN w ON w.uid = t.id WHERE t.id IN (SELECT tid FROM u WHERE v = 3) AND w.id IN (SELECT id FROM u WHERE v < 5);
SELECT id FROM t WHERE id IN (SELECT tid FROM u WHERE id < 100) ORDER BY id LIMIT 5;
BEGIN;
DELETE FROM t WHERE id IN (SELECT tid FROM u WHERE id < 10) RETURNING id;
SELECT count(*) FROM t;
ROLLBACK;

-- Merge joins in index order
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT t.id, u.id FROM t JOIN u ON u.tid = t.id ORDER BY t.id, u.id LIMIT 5;
SELECT t.id, u.id FROM t JOIN u ON u.tid = t.id AND u.v > 4 ORDER BY u.tid, u.id LIMIT 5;
SELECT t.id, u.id FROM t LEFT JOIN u ON u.tid = t.id ORDER BY t.id, u.id LIMIT 5;
SELECT t.id, u.id, w.id FROM t JOIN u ON u.tid = t.id JOIN w ON w.uid = t.id ORDER BY t.id, u.id, w.id LIMIT 5;
SELECT count(*), sum(t.id) FROM t JOIN u ON u.tid = t.id;
RESET enable_hashjoin;
RESET enable_nestloop;

-- Groups
SELECT id, count(*) FROM t GROUP BY id ORDER BY id LIMIT 5;
SELECT id, count(*) FROM t GROUP BY id ORDER BY id DESC LIMIT 3;
SELECT a, count(*), max(id) FROM t GROUP BY a ORDER BY a LIMIT 3;
SELECT a, count(*), max(id) FROM t GROUP BY a ORDER BY a DESC NULLS LAST LIMIT 3;
SELECT a, count(*), max(id) FROM t GROUP BY a ORDER BY a NULLS FIRST LIMIT 3;
SELECT a, count(*) FROM t GROUP BY a HAVING count(*) > 385 ORDER BY a LIMIT 3;
SELECT v, count(*), min(id) FROM u WHERE v > 6 GROUP BY v ORDER BY v LIMIT 2;
SELECT tid, array_agg(id ORDER BY id) FROM u GROUP BY tid ORDER BY tid LIMIT 3;
SELECT count(*) FROM (SELECT tid FROM u GROUP BY tid LIMIT 7) q;
SELECT v, id, count(*) FROM u GROUP BY v, id ORDER BY v, id LIMIT 3;
SELECT v, id, count(*) FROM u GROUP BY v, id ORDER BY id, v LIMIT 3;
SELECT DISTINCT tid FROM u ORDER BY tid LIMIT 3;
SELECT DISTINCT tid FROM u ORDER BY tid DESC NULLS LAST LIMIT 3;
SELECT DISTINCT v, id FROM u ORDER BY v DESC, id DESC LIMIT 3;
SELECT t.id, count(u.id) FROM t LEFT JOIN u ON u.tid = t.id GROUP BY t.id ORDER BY t.id LIMIT 4;

-- Unions
SELECT id, c FROM (SELECT * FROM t UNION ALL SELECT * FROM t) q ORDER BY id LIMIT 5;
SELECT id FROM (SELECT id FROM t UNION ALL SELECT id FROM u) q ORDER BY id DESC LIMIT 5;
SELECT id, s FROM (SELECT id, 1 AS s FROM t UNION ALL SELECT tid, 2 FROM u UNION ALL SELECT id, 3 FROM empty) q ORDER BY id DESC NULLS LAST, s LIMIT 5;
SELECT id FROM (SELECT id FROM t WHERE a = 3 UNION ALL SELECT id FROM u WHERE v = 3) q ORDER BY id LIMIT 5 OFFSET 3;
SELECT id FROM (SELECT id FROM t UNION ALL SELECT generate_series(1, 3)) q ORDER BY id LIMIT 5;
SELECT id FROM (SELECT id FROM t UNION ALL SELECT id FROM u) q ORDER BY id FETCH FIRST 3 ROWS WITH TIES;
SELECT id FROM (SELECT id FROM t UNION SELECT id FROM u) q ORDER BY id LIMIT 3;
SELECT x.id, (SELECT id FROM (SELECT id FROM t WHERE id > x.id UNION ALL SELECT tid FROM u WHERE tid > x.id) q ORDER BY id LIMIT 1) FROM w x WHERE x.id < 4 ORDER BY 1;
SELECT count(*), sum(id) FROM (SELECT id FROM (SELECT id FROM t UNION ALL SELECT id FROM u) q ORDER BY id LIMIT 4000) r;

-- Partitions
SELECT tableoid::regclass, k, v FROM p ORDER BY k, v LIMIT 5;
SELECT k FROM p ORDER BY k LIMIT 3;
SELECT k FROM p ORDER BY k DESC LIMIT 3;
SELECT k, v FROM p ORDER BY k DESC, v LIMIT 3;
SELECT v, k FROM p ORDER BY v LIMIT 3;
SELECT v, k FROM p ORDER BY v DESC LIMIT 3;
SELECT k FROM p WHERE k >= 998 ORDER BY k LIMIT 6;
SELECT k FROM p WHERE k < (SELECT 1002) ORDER BY k DESC LIMIT 6;
SELECT k FROM p WHERE k BETWEEN 1500 AND 1502 ORDER BY k LIMIT 3;
SELECT count(*), min(k), max(k) FROM (SELECT k FROM p ORDER BY k LIMIT 3500) q;
SELECT k FROM d ORDER BY k LIMIT 3;
SELECT k FROM d ORDER BY k DESC LIMIT 3;
SELECT k FROM d ORDER BY k DESC NULLS LAST LIMIT 3;
SELECT k FROM d WHERE k >= 0 AND k < 1000 ORDER BY k LIMIT 3;
SELECT k, v FROM l ORDER BY k, v LIMIT 3;
SELECT k, v FROM l ORDER BY k DESC, v DESC LIMIT 3;
SELECT a, v FROM m ORDER BY a, v LIMIT 3 OFFSET 510;
SELECT a, v FROM m ORDER BY a DESC, v DESC LIMIT 3 OFFSET 460;
SELECT k, count(*) FROM p GROUP BY k ORDER BY k LIMIT 3;
SELECT DISTINCT k FROM p ORDER BY k DESC LIMIT 3;
SELECT k, v FROM p ORDER BY k, v LIMIT 2 FOR UPDATE;

-- Partitions for each row of another table
SELECT k, v FROM p WHERE v IN (SELECT id FROM u WHERE tid = 63) ORDER BY v;
SELECT u.id, p.k, p.v FROM u JOIN p ON p.v = u.id WHERE u.tid = 63 ORDER BY 1;
SELECT u.id, p.k, p.v FROM u JOIN p ON p.k = u.id WHERE u.tid IN (63, 94) ORDER BY 1, 3;
SELECT t.id, p.tableoid::regclass, p.v FROM t JOIN p ON p.k = t.id WHERE t.id IN (1, 1500, 2999) ORDER BY 1, 3;
SELECT u.id, p.k, p.v FROM u LEFT JOIN p ON p.k = u.id AND p.w = 'w1' WHERE u.tid = 63 ORDER BY 1, 3;
SELECT u.id, p.k FROM u JOIN p ON p.k > u.id AND p.k < u.id + 3 WHERE u.tid = 63 ORDER BY 1, 2;
SELECT u.id, (SELECT sum(p.v) FROM p WHERE p.k = u.id) FROM u WHERE u.tid IN (63, 94) ORDER BY 1;
SELECT u.id, q.v FROM u CROSS JOIN LATERAL (SELECT v FROM p WHERE p.k <= u.id ORDER BY k DESC, v LIMIT 1) q WHERE u.tid IN (63, 94) ORDER BY 1;
SELECT u.id, d.v FROM u JOIN d ON d.k = u.id WHERE u.tid = 63 ORDER BY 1, 2;
SELECT t.id, l.v FROM t JOIN l ON l.k = t.id WHERE t.id < 7 AND l.v < 20 ORDER BY 1, 2;
SELECT t.id, m.v FROM t JOIN m ON m.a = t.id AND m.b = t.a WHERE t.id IN (3, 10, 19) ORDER BY 1, 2;
UPDATE p SET w = 'new' FROM u WHERE p.k = u.id AND u.tid = 63 RETURNING p.k, p.v;
DELETE FROM p USING u WHERE p.v = u.id AND u.tid = 94 RETURNING p.k, p.v;
SELECT count(*) FROM p;

-- Rows that are remembered
CREATE TABLE few(id int PRIMARY KEY, k int, z text);
INSERT INTO few SELECT g, CASE WHEN g % 41 = 0 THEN NULL ELSE g % 20 END, 'z' || g % 4 FROM generate_series(1, 2500) g;
ANALYZE few;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT count(*), sum(few.id), sum(t.id) FROM few JOIN t ON t.id = few.k;
SELECT count(*), count(t.id), sum(t.id) FROM few LEFT JOIN t ON t.id = few.k;
SELECT count(*), count(t.id), sum(t.id) FROM few LEFT JOIN t ON t.a = few.k AND t.id < 100;
SELECT count(*), sum(u.id) FROM few JOIN u ON u.v = few.k AND u.id < 200;
SELECT count(*) FROM few WHERE EXISTS (SELECT 1 FROM t WHERE t.id = few.k AND t.a > 3);
SELECT count(*) FROM few WHERE NOT EXISTS (SELECT 1 FROM t WHERE t.id = few.k AND t.a > 3);
SELECT count(*), sum(q.n) FROM few, LATERAL (SELECT count(*) n FROM u WHERE u.v = few.k) q;
SELECT count(*), sum(q.n) FROM few, LATERAL (SELECT few.id + count(*) n FROM u WHERE u.v = few.k) q;
SELECT count(*), sum(q.id) FROM few LEFT JOIN LATERAL (SELECT id FROM u WHERE u.v = few.k ORDER BY id DESC LIMIT 2) q ON true;
SELECT count(*), sum(q.id), max(q.z) FROM few LEFT JOIN LATERAL (SELECT id, few.z FROM u WHERE u.v = few.k ORDER BY id DESC LIMIT 2) q ON q.id % 2 = 0;
SELECT count(*), sum(q.id) FROM few JOIN LATERAL (SELECT u.id FROM u JOIN t ON t.id = u.tid WHERE u.v = few.k AND t.a = 3) q ON true;
SELECT w.id, q.s FROM w, LATERAL (SELECT sum(t.id) s FROM few JOIN t ON t.id = few.k AND t.id <> w.x) q WHERE w.id < 6 ORDER BY 1;
SELECT count(DISTINCT q.r) > 2 FROM few, LATERAL (SELECT random() + few.k r) q WHERE few.k = 3;
SET work_mem = '64kB';
SELECT count(*), sum(q.id) FROM few JOIN LATERAL (SELECT id FROM u WHERE u.v = few.k) q ON true;
RESET work_mem;
SET enable_memoize = off;
SELECT count(*), sum(few.id), sum(t.id) FROM few JOIN t ON t.id = few.k;
RESET enable_memoize;
RESET enable_hashjoin;
RESET enable_mergejoin;

-- Texts by how they begin
CREATE INDEX t_c ON t(c);
SELECT count(*) FROM t WHERE c ^@ 'x1';
SELECT count(*) FROM t WHERE c ^@ '';
SELECT count(*) FROM t WHERE c SIMILAR TO 'x1%';
SELECT count(*) FROM t WHERE c SIMILAR TO 'x(1|2)';
SELECT count(*) FROM t WHERE c SIMILAR TO 'x1|y%';
SELECT count(*) FROM t WHERE c SIMILAR TO 'x1?';
SELECT count(*) FROM t WHERE c SIMILAR TO 'x\_1';
SELECT count(*) FROM t WHERE c SIMILAR TO 'x[12]';
SELECT count(*) FROM t WHERE c ~ '^(?:x1)$';
SELECT count(*) FROM t WHERE c ~ '^(?:x1|x2)$';
SELECT count(*) FROM t WHERE c ~ '^(?:x1)(?:)$';
