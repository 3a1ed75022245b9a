-- Index conditions whose values are known only when the scan begins, comparisons of rows, and sorts by groups
--
-- The value of a sub-query that reads nothing of the row is an index condition and rules out partitions; a comparison of rows
-- is a place in an index of several columns, whatever is null and whichever columns descend.

CREATE TABLE t(id int PRIMARY KEY, a int, b smallint, c text, d bigint NOT NULL);
INSERT INTO t SELECT g, CASE WHEN g % 11 = 0 THEN NULL ELSE g % 7 END, CASE WHEN g % 13 = 0 THEN NULL ELSE g % 5 END,
  CASE WHEN g % 17 = 0 THEN NULL ELSE 'x' || g % 3 END, g % 9 FROM generate_series(1, 3000) g;
CREATE INDEX t_ab ON t(a, b, id);
CREATE INDEX t_ba ON t(b DESC, a);
CREATE INDEX t_ca ON t(c DESC NULLS LAST, a NULLS FIRST, b DESC);
CREATE TABLE u(id int PRIMARY KEY, tid int, v int);
INSERT INTO u SELECT g, g * 3, g % 10 FROM generate_series(1, 400) g;
CREATE TABLE empty(id int);
CREATE TABLE p(k int, v int) PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (2000);
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (2000) TO (3000);
INSERT INTO p SELECT g % 3000, g FROM generate_series(0, 5999) g;
CREATE INDEX p_k ON p(k);
ANALYZE;

-- Sub-queries that read no row
SELECT * FROM t WHERE id = (SELECT 5);
SELECT * FROM t WHERE id = (SELECT max(tid) FROM u WHERE v = 3);
SELECT * FROM t WHERE id = (SELECT NULL::int);
SELECT * FROM t WHERE id = (SELECT id FROM empty);
SELECT id FROM t WHERE id = ANY (ARRAY(SELECT tid FROM u WHERE id < 5)) ORDER BY id;
SELECT count(*) FROM t WHERE id = ANY (ARRAY(SELECT id FROM empty));
SELECT count(*) FROM t WHERE id > (SELECT 2990) AND id <= (SELECT max(id) - 5 FROM t);
SELECT count(*) FROM t WHERE a = (SELECT 3) AND b = (SELECT 2);
SELECT count(*) FROM t WHERE id = (SELECT id FROM u);
SELECT count(*) FROM t WHERE id = (SELECT 1 / (SELECT count(*) - 400 FROM u));
SELECT u.id, t.a FROM u JOIN t ON t.id = u.tid WHERE u.id = (SELECT min(id) FROM u) + 1;
SELECT u.id, t.id FROM u LEFT JOIN t ON t.id = u.tid AND t.id <> (SELECT 6) WHERE u.id < 4 ORDER BY 1;
SELECT x.id, (SELECT t.a FROM t WHERE t.id = (SELECT max(x.id) FROM u)) FROM u x WHERE x.id < 4 ORDER BY 1;
SELECT x.id, (SELECT t.a FROM t WHERE t.id = x.id + (SELECT count(*) FROM empty)) FROM u x WHERE x.id < 4 ORDER BY 1;
SELECT id, ctid = (SELECT ctid FROM t WHERE id = 7) FROM t WHERE ctid = (SELECT ctid FROM t WHERE id = 7);
BEGIN;
DELETE FROM t WHERE id = (SELECT max(id) FROM u) RETURNING id;
UPDATE t SET a = -1 WHERE id = (SELECT min(tid) FROM u) RETURNING id, a;
UPDATE t SET a = -2 WHERE (id, d) > (SELECT 2998, 0) AND id = ANY (ARRAY(SELECT 2999)) RETURNING id, a;
ROLLBACK;
PREPARE q(int) AS SELECT id FROM t WHERE id = (SELECT max(tid) FROM u WHERE tid < $1);
EXECUTE q(10);
EXECUTE q(100);
EXECUTE q(NULL);

-- Partitions
SELECT tableoid::regclass, k, v FROM p WHERE k = (SELECT 1500) ORDER BY v;
SELECT count(*), min(k), max(k) FROM p WHERE k >= (SELECT 1990) AND k < (SELECT 2010);
SELECT count(*) FROM p WHERE k = (SELECT NULL::int);
SELECT count(*) FROM p WHERE k = (SELECT max(tid) FROM u) OR k = (SELECT 4);
SELECT count(*) FROM p WHERE k = ANY (ARRAY(SELECT tid FROM u WHERE id IN (1, 390)));
UPDATE p SET v = -v WHERE k = (SELECT 2500) RETURNING tableoid::regclass, k, v;
UPDATE p SET v = -v WHERE k = (SELECT 2500);

-- Conditions that are the same for all rows
SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM u);
SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM empty);
SELECT count(*) FROM t WHERE NOT EXISTS (SELECT 1 FROM empty) AND id < 10;
SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM empty) OR id < 10;
SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE v = 3) ORDER BY id LIMIT 2;
SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM empty) AND 1 / (id - id) = 1;
SELECT count(*) FROM empty WHERE 1 / (SELECT 0) = 1;
SELECT count(*) FROM t HAVING EXISTS (SELECT 1 FROM empty);
SELECT count(*) FROM t HAVING EXISTS (SELECT 1 FROM u);
SELECT a, count(*) FROM t GROUP BY a HAVING EXISTS (SELECT 1 FROM u) AND a > 4 ORDER BY a;
SELECT count(*) FROM t JOIN u ON t.id = u.tid WHERE EXISTS (SELECT 1 FROM empty);
SELECT count(*) FROM t JOIN u ON t.id = u.tid WHERE EXISTS (SELECT 1 FROM u WHERE v = 9) AND u.v < 5;
SELECT count(*), count(u.id) FROM t LEFT JOIN u ON t.id = u.tid AND EXISTS (SELECT 1 FROM empty);
SELECT count(*), count(u.id) FROM t LEFT JOIN u ON t.id = u.tid WHERE EXISTS (SELECT 1 FROM u WHERE v = 11);
SELECT count(*), count(u.id), count(t.id) FROM t FULL JOIN u ON t.id = u.tid WHERE (SELECT true);
SELECT x.id, (SELECT count(*) FROM t WHERE x.v = 3) FROM u x WHERE x.id BETWEEN 2 AND 4 ORDER BY 1;
SELECT x.id, y.n FROM u x, LATERAL (SELECT count(*) n FROM t WHERE x.v = 3 AND t.id < 50) y WHERE x.id BETWEEN 2 AND 4 ORDER BY 1;
SELECT count(*) FROM (SELECT 1 FROM t WHERE (SELECT v FROM u WHERE id = 3) = 3 UNION ALL SELECT 1 FROM u WHERE (SELECT v FROM u WHERE id = 3) = 4) q;
SELECT count(*) FROM t WHERE (SELECT NULL::boolean);
BEGIN;
DELETE FROM t WHERE EXISTS (SELECT 1 FROM empty);
SELECT count(*) FROM t;
SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u) AND id < 3 ORDER BY id FOR UPDATE;
ROLLBACK;
PREPARE g(bool) AS SELECT count(*) FROM t WHERE $1 AND id < 10;
EXECUTE g(true);
EXECUTE g(false);
EXECUTE g(NULL);
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5 AND EXISTS (SELECT 1 FROM u)) SELECT count(*) FROM r;

-- Comparisons of rows
SELECT id, a FROM t WHERE (id, a) > (2990, 3) ORDER BY id, a LIMIT 5;
SELECT id, a FROM t WHERE (id, a) > (2990, 0) ORDER BY id, a LIMIT 3;
SELECT id, a FROM t WHERE (id, a) <= (4, 3) ORDER BY id;
SELECT id, a FROM t WHERE (4, 3) >= (id, a) ORDER BY id;
SELECT a, b, id FROM t WHERE (a, b, id) > (5, 3, 2980) ORDER BY a, b, id LIMIT 6;
SELECT a, b, id FROM t WHERE (a, b, id) >= (5, 3, 2983) AND a < 6 ORDER BY a, b, id LIMIT 6;
SELECT count(*), sum(id) FROM t WHERE (a, b, id) > (5, 3, 2980);
SELECT count(*), sum(id) FROM t WHERE (a, b, id) >= (5, 3, 2983);
SELECT count(*), sum(id) FROM t WHERE (a, b, id) < (5, 3, 2983);
SELECT count(*), sum(id) FROM t WHERE (a, b, id) <= (5, 3, 2983);
SELECT count(*), sum(id) FROM t WHERE (a, b) > (5, 3);
SELECT count(*), sum(id) FROM t WHERE (a, b) >= (5, NULL);
SELECT count(*), sum(id) FROM t WHERE (a, b) < (NULL, 4);
SELECT count(*), sum(id) FROM t WHERE (a, b) < (4, NULL);
SELECT count(*), sum(id) FROM t WHERE (a, b) > (2, 3) AND (a, b) < (5, 1);
SELECT count(*), sum(id) FROM t WHERE (a, b) > (2, 3) AND (a, b, id) <= (5, 1, 700);
SELECT count(*), sum(id) FROM t WHERE (a, b) > (2, 3) AND a <= 2;
SELECT count(*), sum(id) FROM t WHERE (a, b) > (2, 3) AND a < 2;
SELECT count(*), sum(id) FROM t WHERE (a, b) < (2, 3) AND a >= 2;
SELECT count(*), sum(id) FROM t WHERE (a, b) < (2, 3) AND a > 2;
SELECT count(*), sum(id) FROM t WHERE (a, b, d) > (2, 3, 4);
SELECT count(*), sum(id) FROM t WHERE (a, d, b) > (2, 3, 4);
SELECT count(*), sum(id) FROM t WHERE (a, b) > (2::bigint, 3::bigint);
SELECT count(*), sum(id) FROM t WHERE (a, b) > (2, 100000);
SELECT count(*), sum(id) FROM t WHERE (a, b) > (2, -100000);
SELECT count(*), sum(id) FROM t WHERE (a, b) <= (2, 100000);
SELECT count(*), sum(id) FROM t WHERE (a, b) > (3000000000, 1);
SELECT count(*), sum(id) FROM t WHERE (a, b) < (3000000000, 1);
SELECT count(*), sum(id) FROM t WHERE (a, b) > (2.5, 1);
SELECT count(*), sum(id) FROM t WHERE a = 3 AND (b, id) > (2, 1500);
SELECT count(*), sum(id) FROM t WHERE a IN (2, 3) AND (b, id) <= (2, 1500);
SELECT b, a, id FROM t WHERE (b, a) > (3, 5) ORDER BY b DESC, a, id LIMIT 4;
SELECT count(*), sum(id) FROM t WHERE (b, a) > (3, 5);
SELECT count(*), sum(id) FROM t WHERE (b, a) < (3, 5);
SELECT count(*), sum(id) FROM t WHERE (b, a) >= (3, 5) AND b < 4;
SELECT count(*), sum(id) FROM t WHERE (b, a) <= (3, 5) AND b >= 3;
SELECT count(*), sum(id) FROM t WHERE (b, a) <= (3, 5) AND b > 3;
SELECT count(*), sum(id) FROM t WHERE (c, a) > ('x1', 3);
SELECT count(*), sum(id) FROM t WHERE (c, a) < ('x1', 3);
SELECT count(*), sum(id) FROM t WHERE (c, a, b) <= ('x1', 3, 2);
SELECT count(*), sum(id) FROM t WHERE (c, a, b) > ('x1', 3, 2) AND c <= 'x2';
SELECT count(*), sum(id) FROM t WHERE (c, a, b) > ('x1'::varchar, 3, 2) AND c < 'x2';
SELECT c, a, id FROM t WHERE (c, a) < ('x1', 3) ORDER BY c DESC NULLS LAST, a NULLS FIRST, id LIMIT 4;
SELECT count(*), sum(id) FROM t WHERE (c, a) > ('x1', 3) OR (a, b) < (1, 2);
SELECT count(*) FROM t x JOIN t y ON (y.a, y.b) > (x.a, x.b) WHERE x.id < 20;
SELECT x.id, y.id FROM u x CROSS JOIN LATERAL (SELECT id FROM t WHERE (t.id, t.a) > (x.tid, x.v) ORDER BY id LIMIT 1) y WHERE x.id < 5 ORDER BY 1;
PREPARE k(int, int) AS SELECT id, a FROM t WHERE (id, a) > ($1, $2) ORDER BY id, a LIMIT 2;
EXECUTE k(10, 3);
EXECUTE k(10, NULL);
EXECUTE k(NULL, 3);

-- Sorts by groups
SELECT a, c, id FROM t ORDER BY a, c, id LIMIT 3;
SELECT a, c, id FROM t ORDER BY a DESC, c, id LIMIT 3;
SELECT a, c, id FROM t ORDER BY a DESC NULLS LAST, c, id LIMIT 3;
SELECT a, b, id FROM t ORDER BY a, b, c, id DESC LIMIT 5 OFFSET 430;
SELECT a, b, id FROM t WHERE a = 3 ORDER BY b, c, id DESC LIMIT 5;
SELECT id, a FROM t ORDER BY id, a LIMIT 3;
SELECT id, a FROM t ORDER BY id DESC, a LIMIT 3;
SELECT a, length(c), id FROM t ORDER BY a, length(c) DESC, id DESC LIMIT 3;
SELECT sum(id) FROM (SELECT id FROM t ORDER BY a, c, id LIMIT 1000) q;
SELECT a, id FROM t ORDER BY a, c, id FETCH FIRST 2 ROWS WITH TIES;
SELECT a, c FROM t WHERE id < 60 ORDER BY a, c FETCH FIRST 2 ROWS WITH TIES;
SELECT array_agg(id) FROM (SELECT id FROM t ORDER BY a, d, id LIMIT 7 OFFSET 270) q;
SELECT id FROM t ORDER BY a, c, id LIMIT 0;
SELECT id FROM t ORDER BY a, c, id LIMIT -1;
SELECT x.v, q.id FROM u x, LATERAL (SELECT id FROM t WHERE t.a = x.v ORDER BY t.b, t.c, t.id LIMIT 2) q WHERE x.id < 4 ORDER BY 1, 2;
SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY a, c, id) r, id FROM t ORDER BY a, c, id) q WHERE r > 100;
SELECT a, max(c), count(*) FROM t GROUP BY a ORDER BY a, max(c) LIMIT 3;
BEGIN;
DECLARE k CURSOR FOR SELECT a, c, id FROM t ORDER BY a, c, id;
FETCH 2 FROM k;
MOVE 400 FROM k;
FETCH 2 FROM k;
ROLLBACK;
