-- Sub-queries that read the rows around them, made joins: LATERAL, scalar ones without aggregate, ANY and ALL, within CASE. Run for
-- each row or joined, the answers and the errors are the same.

CREATE TABLE cj_o (id int PRIMARY KEY, k int, v int, t text);

CREATE TABLE cj_i (id int PRIMARY KEY, k int, v int, n numeric, t text);

CREATE TABLE cj_u (k int PRIMARY KEY, v int NOT NULL, w int);

CREATE TABLE cj_e (k int, v int);

INSERT INTO cj_o SELECT i, CASE WHEN i % 7 = 0 THEN NULL ELSE i % 13 END, CASE WHEN i % 10 = 0 THEN NULL ELSE i % 5 END, 't' || i % 3 FROM generate_series(1, 60) i;

INSERT INTO cj_i SELECT i, CASE WHEN i % 11 = 0 THEN NULL ELSE i % 9 END, CASE WHEN i % 6 = 0 THEN NULL ELSE i % 4 END, (i % 5) * 1.50, 't' || i % 3 FROM generate_series(1, 80) i;

-- keys that no outer row has: what fails is there
INSERT INTO cj_i VALUES (101, 50, 0, 0, 'x'), (102, 50, 0, 0, 'x'), (103, 51, 0, 0, '2x');

INSERT INTO cj_u SELECT i, i * 3 % 7, CASE WHEN i % 3 = 0 THEN NULL ELSE i END FROM generate_series(0, 9) i;

INSERT INTO cj_u VALUES (50, 0, 0);

ANALYZE cj_o, cj_i, cj_u, cj_e;

-- LATERAL aggregates
SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT count(*), sum(i.v), max(i.t) FROM cj_i i WHERE i.k = o.k) s ORDER BY o.id;

SELECT o.id, s.* FROM cj_o o LEFT JOIN LATERAL (SELECT count(i.v) c, min(i.n) m FROM cj_i i WHERE i.k = o.k AND i.v > 1) s ON true WHERE o.id < 20 ORDER BY o.id;

SELECT o.id, s.* FROM cj_o o CROSS JOIN LATERAL (SELECT count(*) + o.v AS c, coalesce(sum(i.v), -1) AS s, 'c' || count(*) AS t, o.t AS own FROM cj_i i WHERE i.k = o.k) s WHERE o.id < 20 ORDER BY o.id;

SELECT o.id, s.c FROM cj_o o, LATERAL (SELECT count(*) c FROM cj_e e WHERE e.k = o.k) s WHERE o.id < 4 ORDER BY o.id;

SELECT o.id, s.c FROM cj_o o JOIN LATERAL (SELECT count(*) c FROM cj_i i WHERE i.k = o.k) s ON s.c > 8 ORDER BY o.id;

SELECT o.id, s.c FROM cj_o o LEFT JOIN LATERAL (SELECT count(*) c FROM cj_i i WHERE i.k = o.k) s ON s.c > 8 WHERE o.id < 15 ORDER BY o.id;

SELECT o.id, s.c FROM cj_o o LEFT JOIN LATERAL (SELECT count(*) c FROM cj_i i WHERE i.k = o.k) s ON o.v > 2 WHERE o.id < 15 ORDER BY o.id;

SELECT o.id, s.c FROM cj_o o, LATERAL (SELECT sum(i.v) c FROM cj_i i WHERE i.k = o.k HAVING count(*) < 9) s ORDER BY o.id;

SELECT o.id, s.c FROM cj_o o, LATERAL (SELECT sum(i.v) c FROM cj_i i WHERE i.k = o.k HAVING count(*) > o.v * 4) s ORDER BY o.id;

SELECT o.id, s.c FROM cj_o o LEFT JOIN LATERAL (SELECT count(*) c FROM cj_i i WHERE i.k = o.k HAVING count(*) < 9) s ON true WHERE o.id < 15 ORDER BY o.id;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT i.t, count(*), sum(i.v) FROM cj_i i WHERE i.k = o.k GROUP BY i.t) s WHERE o.id < 12 ORDER BY o.id, s.t;

SELECT o.id, s.* FROM cj_o o LEFT JOIN LATERAL (SELECT i.t, count(*), sum(i.v) + o.v AS s, 1 AS one FROM cj_i i WHERE i.k = o.k GROUP BY i.t HAVING count(*) > 2) s ON true WHERE o.id < 15 ORDER BY o.id, s.t;

SELECT o.id, s.* FROM cj_o o LEFT JOIN LATERAL (SELECT i.t, count(*) c FROM cj_i i WHERE i.k = o.k GROUP BY i.t) s ON s.c > 3 AND o.v > 1 WHERE o.id < 15 ORDER BY o.id, s.t;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT i.k, i.t, count(*) FROM cj_i i WHERE i.k = o.k GROUP BY GROUPING SETS ((i.k, i.t), ())) s WHERE o.id < 5 ORDER BY 1, 2, 3;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT count(*), sum(i.v) FROM cj_i i WHERE i.k = o.k AND i.v = o.v) s WHERE o.id < 15 ORDER BY o.id;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT count(*) FROM cj_i i WHERE i.k = o.k AND o.v > 2) s WHERE o.id < 15 ORDER BY o.id;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT count(*) FROM cj_i i WHERE i.k < o.k) s WHERE o.id < 15 ORDER BY o.id;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT count(*) FROM cj_i i WHERE i.k = o.k OR o.k IS NULL) s WHERE o.id < 15 ORDER BY o.id;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT count(*) FROM cj_i i WHERE i.k IS NOT DISTINCT FROM o.k) s WHERE o.id < 15 ORDER BY o.id;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT count(*), max(u.w) FROM cj_i i JOIN cj_u u ON u.k = i.v WHERE i.k = o.k) s WHERE o.id < 15 ORDER BY o.id;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT count(DISTINCT i.v) d, array_agg(i.id ORDER BY i.id DESC) a, sum(i.v) FILTER (WHERE i.t = 't1') f, percentile_disc(0.5) WITHIN GROUP (ORDER BY i.n) p FROM cj_i i WHERE i.k = o.k AND i.id < 40) s WHERE o.id < 15 ORDER BY o.id;

SELECT o.id, s.r FROM cj_o o, LATERAL (SELECT rank(2) WITHIN GROUP (ORDER BY i.v) r FROM cj_i i WHERE i.k = o.k) s WHERE o.id < 15 ORDER BY o.id;

SELECT o.id, s.* FROM cj_o o LEFT JOIN cj_o p ON p.id = o.id * 7 LEFT JOIN LATERAL (SELECT count(*) c, p.id IS NULL AS none FROM cj_i i WHERE i.k = p.k) s ON true WHERE o.id < 14 ORDER BY o.id;

SELECT o.id, s.c, q.c FROM cj_o o, LATERAL (SELECT count(*) c FROM cj_i i WHERE i.k = o.k) s, LATERAL (SELECT count(*) c FROM cj_u u WHERE u.k = s.c) q WHERE o.id < 15 ORDER BY o.id;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT i.id, q.c FROM cj_i i, LATERAL (SELECT count(*) c FROM cj_u u WHERE u.v = i.v) q WHERE i.k = o.k) s WHERE o.id < 6 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT i.id, q.c FROM cj_i i, LATERAL (SELECT count(*) c FROM cj_u u WHERE u.v = i.v AND u.k = o.k) q WHERE i.k = o.k) s WHERE o.id < 6 ORDER BY 1, 2;

SELECT count(*), sum(s.c) FROM cj_o o, LATERAL (SELECT count(*) c FROM cj_i i WHERE i.k = o.k) s;

SELECT o.k, sum(s.c) FROM cj_o o LEFT JOIN LATERAL (SELECT count(*) c FROM cj_i i WHERE i.k = o.k) s ON true GROUP BY o.k ORDER BY 1;

SELECT u.k, x.* FROM cj_u u FULL JOIN (SELECT o.id, s.c FROM cj_o o, LATERAL (SELECT count(*) c FROM cj_i i WHERE i.k = o.k) s WHERE o.id < 5) x ON x.c = u.k ORDER BY 1, 2;

SELECT o.id, s.c FROM cj_o o, LATERAL (SELECT count(*) c FROM cj_i i WHERE i.k = o.k) s ORDER BY s.c DESC, o.id LIMIT 5;

SELECT o.id, s.c FROM (SELECT * FROM cj_o ORDER BY id DESC LIMIT 3) o, LATERAL (SELECT count(*) c FROM cj_i i WHERE i.k = o.k) s ORDER BY 1;

-- volatile functions, errors of rows that nobody asks for
SELECT o.id, s.c, s.r FROM cj_o o, LATERAL (SELECT count(*) c, random() < 2 r FROM cj_i i WHERE i.k = o.k) s WHERE o.id < 4 ORDER BY 1;

SELECT count(*) FROM cj_o o, LATERAL (SELECT sum(100 / i.v) s FROM cj_i i WHERE i.k = o.k AND i.v > 0) s;

SELECT o.id, s.s FROM cj_o o, LATERAL (SELECT sum(100 / (i.v + i.id - i.id)) s FROM cj_i i WHERE i.k = o.k + 49) s WHERE o.k > 5 AND o.id < 20 ORDER BY 1;

SELECT count(*) FROM cj_o o, LATERAL (SELECT sum(100 / i.v) s FROM cj_i i WHERE i.k = o.k + 49) s WHERE o.id < 3;

SELECT id, (SELECT sum(100 / i.v) FROM cj_i i WHERE i.k = o.k * 100) FROM cj_o o WHERE id < 3 ORDER BY id;

SELECT id, (SELECT sum(i.t::int) FROM cj_i i WHERE i.k = o.k * 100) FROM cj_o o WHERE id < 3 ORDER BY id;

SELECT id FROM cj_o o WHERE 10 / (SELECT sum(n) FROM cj_i i WHERE i.k = o.k) < 1 ORDER BY id;

SELECT o.id FROM cj_o o, LATERAL (SELECT sum(n) n FROM cj_i i WHERE i.k = o.k) s WHERE 10 / s.n < 1 ORDER BY id;

SELECT id, 10 / (SELECT sum(n) FROM cj_i i WHERE i.k = o.k) > 1 FROM cj_o o WHERE id < 12 ORDER BY id;

SELECT id, (SELECT count(*) FROM cj_i i WHERE i.k = o.k AND 100 / i.v > 1 AND i.v > 0) FROM cj_o o WHERE k = 20;

SELECT id, (SELECT 10 / u.v FROM cj_u u WHERE u.k = o.k) FROM cj_o o WHERE o.k IN (1, 2, 3) ORDER BY id;

SELECT id, (SELECT 10 / u.v FROM cj_u u WHERE u.k = o.k) FROM cj_o o ORDER BY id;

SELECT id FROM cj_o o WHERE 10 / (SELECT u.v FROM cj_u u WHERE u.k = o.k AND u.v > 0) > 2 ORDER BY id;

SELECT id, CASE WHEN k > 20 THEN (SELECT 1 / i.v FROM cj_i i WHERE i.k = o.k + 30) ELSE 0 END FROM cj_o o WHERE id < 4 ORDER BY id;

SELECT * FROM (SELECT id, (SELECT 10 / u.v FROM cj_u u WHERE u.k = o.k AND u.k <> 7 AND u.k > 0) AS s FROM cj_o o) q WHERE s > 2 ORDER BY id;

SELECT * FROM (SELECT id, (SELECT u.v FROM cj_u u WHERE u.k = o.k AND u.k <> 7 AND u.k > 0) AS s FROM cj_o o) q WHERE 10 / s > 2 ORDER BY id;

SELECT * FROM (SELECT id, (SELECT sum(i.v) FROM cj_i i WHERE i.k = o.k) AS s FROM cj_o o) q WHERE 100 / s > 7 ORDER BY id;

SELECT * FROM (SELECT id, (SELECT 100 / sum(i.v) FROM cj_i i WHERE i.k = o.k) AS s FROM cj_o o) q WHERE s > 7 ORDER BY id;

SELECT o.id, s.r FROM cj_o o, LATERAL (SELECT 100 / sum(i.v) AS r FROM cj_i i WHERE i.k = o.k) s WHERE s.r > 7 ORDER BY id;

SELECT o.id, s.r FROM cj_o o, LATERAL (SELECT 100 / sum(i.v) AS r FROM cj_i i WHERE i.k = o.k GROUP BY i.t) s WHERE s.r > 7 ORDER BY id;

SELECT id FROM cj_o o WHERE 100 / (SELECT sum(i.v) FROM cj_i i WHERE i.k = o.k) = 7 ORDER BY id;

-- grouped and sorted by sub-queries
SELECT (SELECT count(*) FROM cj_i i WHERE i.k = o.k) AS c, sum((SELECT u.v FROM cj_u u WHERE u.k = o.k)), count((SELECT max(i.v) FROM cj_i i WHERE i.k = o.k)) FILTER (WHERE o.id IN (SELECT i.id FROM cj_i i WHERE i.k = o.k)) FROM cj_o o GROUP BY 1 ORDER BY 1;

SELECT sum(CASE WHEN o.v > 2 THEN (SELECT count(*) FROM cj_i i WHERE i.k = o.k) ELSE 0 END), bool_or(o.v IN (SELECT i.v FROM cj_i i WHERE i.k = o.k)) FROM cj_o o;

SELECT id FROM cj_o o WHERE id < 30 ORDER BY (SELECT count(*) FROM cj_i i WHERE i.k = o.k), (SELECT u.w FROM cj_u u WHERE u.k = o.k) DESC, id;

SELECT id, (SELECT o.t || (SELECT count(*) FROM cj_i i WHERE i.k = o.k)) FROM cj_o o ORDER BY id;

SELECT id, (SELECT (SELECT u.w FROM cj_u u WHERE u.k = i.v) FROM cj_i i WHERE i.id = o.id) FROM cj_o o ORDER BY id;

SELECT id FROM cj_o o WHERE EXISTS (SELECT FROM cj_i i WHERE i.k = o.k AND (i.v = 3 OR EXISTS (SELECT FROM cj_u u WHERE u.k = i.v AND u.w > 1))) ORDER BY id;

SELECT o.id, s.c, s.m FROM cj_o o LEFT JOIN LATERAL (SELECT count(*) c, max(i.v) m, o.v AS own FROM cj_i i WHERE i.k = o.k HAVING count(*) > 8) s ON s.own > 1 AND s.m > 2 ORDER BY o.id;

-- LATERAL rows
SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT i.id AS i, i.v + o.v AS s, o.t AS own, 7 AS c FROM cj_i i WHERE i.k = o.k AND i.v > 1) s WHERE o.id < 6 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o LEFT JOIN LATERAL (SELECT i.id AS i, i.v + o.v AS s, o.t AS own, 7 AS c, i.v IS NULL AS n FROM cj_i i WHERE i.k = o.k AND i.v > 1) s ON true WHERE o.id < 15 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o LEFT JOIN LATERAL (SELECT i.id AS i, i.v + o.v AS s FROM cj_i i WHERE i.k = o.k) s ON s.s > 6 WHERE o.id < 15 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o JOIN LATERAL (SELECT i.id AS i, i.v + o.v AS s FROM cj_i i WHERE i.k = o.k) s ON s.s > 6 WHERE o.id < 15 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT o.v + 1 AS n, o.t || 'x' AS t) s WHERE s.n > 4 ORDER BY 1 LIMIT 5;

SELECT o.id, s.* FROM cj_o o LEFT JOIN LATERAL (SELECT o.v + 1 AS n) s ON true WHERE o.id < 4 ORDER BY 1;

SELECT o.id, s.* FROM cj_o o LEFT JOIN LATERAL (SELECT o.v + 1 AS n WHERE o.v > 2) s ON true WHERE o.id < 7 ORDER BY 1;

SELECT o.id, s.* FROM cj_o o LEFT JOIN LATERAL (SELECT o.v + 1 AS n) s ON o.v > 2 WHERE o.id < 7 ORDER BY 1;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT DISTINCT i.v, i.t FROM cj_i i WHERE i.k = o.k) s WHERE o.id < 6 ORDER BY 1, 2, 3;

SELECT o.id, s.* FROM cj_o o LEFT JOIN LATERAL (SELECT DISTINCT i.v + 1 AS v FROM cj_i i WHERE i.k = o.k) s ON true WHERE o.id < 12 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT DISTINCT ON (i.t) i.t, i.id FROM cj_i i WHERE i.k = o.k ORDER BY i.t, i.id DESC) s WHERE o.id < 6 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o LEFT JOIN LATERAL (SELECT i.id, i.v FROM cj_i i WHERE i.k = o.k ORDER BY i.v DESC NULLS LAST, i.id LIMIT 1) s ON true WHERE o.id < 15 ORDER BY 1;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT i.id + o.id AS n, i.t FROM cj_i i WHERE i.k = o.k ORDER BY i.t DESC, i.id DESC LIMIT 1) s WHERE o.id < 15 ORDER BY 1;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT q.id FROM (SELECT * FROM cj_i ORDER BY id DESC) q WHERE q.k = o.k LIMIT 1) s WHERE o.id < 6 ORDER BY 1;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT i.id FROM cj_i i WHERE i.k = o.k ORDER BY i.id LIMIT 2) s WHERE o.id < 6 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT i.id FROM cj_i i WHERE i.k = o.k ORDER BY i.id LIMIT 1 OFFSET 1) s WHERE o.id < 6 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT i.id, row_number() OVER (ORDER BY i.id) r FROM cj_i i WHERE i.k = o.k) s WHERE o.id < 4 AND s.r < 3 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT i.id FROM cj_i i WHERE i.k = o.k UNION ALL SELECT u.v FROM cj_u u WHERE u.k = o.k) s WHERE o.id < 4 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o, LATERAL (SELECT i.id, (SELECT count(*) FROM cj_u u WHERE u.v = i.v) n FROM cj_i i WHERE i.k = o.k) s WHERE o.id < 4 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o LEFT JOIN LATERAL (SELECT i.id, (SELECT count(*) FROM cj_u u WHERE u.v = i.v) n FROM cj_i i WHERE i.k = o.k AND EXISTS (SELECT FROM cj_u u WHERE u.k = i.v)) s ON true WHERE o.id < 9 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o LEFT JOIN LATERAL (SELECT i.id, j.id AS j FROM cj_i i LEFT JOIN cj_i j ON j.id = i.id + 40 WHERE i.k = o.k) s ON true WHERE o.id < 5 ORDER BY 1, 2;

SELECT o.id, s.* FROM cj_o o LEFT JOIN LATERAL (SELECT i.id, j.id AS j FROM cj_i i LEFT JOIN cj_i j ON j.id = i.id + 40 AND j.v = o.v WHERE i.k = o.k) s ON true WHERE o.id < 5 ORDER BY 1, 2;

SELECT o.id, s.id FROM cj_o o, LATERAL (SELECT i.* FROM cj_i i WHERE i.k = o.k AND i.v = o.v) s WHERE o.id < 9 ORDER BY 1, 2 FOR UPDATE OF o;

WITH w AS MATERIALIZED (SELECT * FROM cj_i WHERE v > 0) SELECT o.id, s.c FROM cj_o o, LATERAL (SELECT count(*) c FROM w WHERE w.k = o.k) s WHERE o.id < 8 ORDER BY 1;

-- scalar sub-queries without aggregate
SELECT id, (SELECT u.w FROM cj_u u WHERE u.k = o.k), (SELECT u.v FROM cj_u u WHERE u.k = o.k AND u.w > 2) FROM cj_o o WHERE id < 25 ORDER BY id;

SELECT id, (SELECT 5 FROM cj_u u WHERE u.k = o.k), (SELECT o.t FROM cj_u u WHERE u.k = o.k), (SELECT u.w IS NULL FROM cj_u u WHERE u.k = o.k), (SELECT coalesce(u.w, o.v) FROM cj_u u WHERE u.k = o.k) FROM cj_o o WHERE id < 25 ORDER BY id;

SELECT id, (SELECT i.v FROM cj_i i WHERE i.k = o.k) FROM cj_o o WHERE id < 3 ORDER BY id;

SELECT id, (SELECT i.t FROM cj_i i WHERE i.k = o.k AND i.id < 10) FROM cj_o o WHERE id < 25 ORDER BY id;

SELECT id, (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id BETWEEN 2 AND 7) + 1 AS s FROM cj_o o WHERE id < 15 ORDER BY id;

SELECT id, (SELECT i.v + o.v FROM cj_i i WHERE i.k = o.k AND i.id < 10 AND i.v = o.v) FROM cj_o o WHERE id < 25 ORDER BY id;

SELECT id, CASE WHEN o.k < 5 THEN -1 ELSE (SELECT i.v FROM cj_i i WHERE i.k = o.k AND (i.id < 10 OR i.k < 5)) END FROM cj_o o WHERE id < 15 ORDER BY id;

SELECT id, CASE WHEN o.k > 5 THEN -1 ELSE (SELECT i.v FROM cj_i i WHERE i.k = o.k AND (i.id < 10 OR i.k < 5)) END FROM cj_o o WHERE id < 15 ORDER BY id;

SELECT count(*) FROM (SELECT id, (SELECT i.v FROM cj_i i WHERE i.k = o.k) FROM cj_o o) q;

SELECT id FROM cj_o o WHERE v = (SELECT u.v FROM cj_u u WHERE u.k = o.k) ORDER BY id;

SELECT id FROM cj_o o WHERE (SELECT u.w FROM cj_u u WHERE u.k = o.k) IS NULL ORDER BY id;

SELECT id FROM cj_o o WHERE v > 3 OR (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 10) = 2 ORDER BY id;

SELECT id, (SELECT i.id FROM cj_i i WHERE i.k = o.k ORDER BY i.v DESC NULLS LAST, i.id DESC LIMIT 1) AS f FROM cj_o o WHERE id < 25 ORDER BY id;

SELECT id, (SELECT i.v FROM cj_i i WHERE i.k = o.k ORDER BY i.id LIMIT 1) AS a, (SELECT i.t || i.id FROM cj_i i WHERE i.k = o.k AND i.v > 2 ORDER BY i.id DESC LIMIT 1) AS b FROM cj_o o WHERE id < 25 ORDER BY id;

SELECT id, (SELECT DISTINCT i.k FROM cj_i i WHERE i.k = o.k) FROM cj_o o WHERE id < 15 ORDER BY id;

SELECT id, (SELECT sum(i.v) FROM cj_i i WHERE i.k = o.k GROUP BY i.k) FROM cj_o o WHERE id < 15 ORDER BY id;

SELECT id, (SELECT sum(i.v) FROM cj_i i WHERE i.k = o.k GROUP BY i.t) FROM cj_o o WHERE id < 15 ORDER BY id;

SELECT id, (SELECT o.v + 1), (SELECT o.v WHERE o.k > 5), (SELECT o.t || (SELECT count(*) FROM cj_i i WHERE i.k = o.k)) FROM cj_o o WHERE id < 12 ORDER BY id;

SELECT id, (SELECT u.v FROM cj_u u WHERE u.k > o.k) FROM cj_o o WHERE id < 12 AND o.k > 8 ORDER BY id;

SELECT id, (SELECT u.w FROM cj_u u JOIN cj_i i ON i.id = u.k WHERE i.id = o.k) FROM cj_o o WHERE id < 15 ORDER BY id;

SELECT id, (SELECT (SELECT u.w FROM cj_u u WHERE u.k = i.v) FROM cj_i i WHERE i.id = o.id) FROM cj_o o WHERE id < 15 ORDER BY id;

SELECT id, (SELECT u.v FROM cj_u u WHERE u.k = o.k AND random() < 2) FROM cj_o o WHERE id < 5 ORDER BY id;

SELECT id, (SELECT u.v FROM cj_u u WHERE u.k = o.k FOR UPDATE) FROM cj_o o WHERE id < 5 ORDER BY id;

SELECT o.id, (SELECT u.v FROM cj_u u WHERE u.k = p.k) FROM cj_o o LEFT JOIN cj_o p ON p.id = o.id * 7 WHERE o.id < 14 ORDER BY 1;

SELECT * FROM (SELECT id, (SELECT u.v FROM cj_u u WHERE u.k = o.k) AS s FROM cj_o o) q WHERE s > 4 ORDER BY id;

SELECT id, (SELECT u.v FROM cj_u u WHERE u.k = o.k) AS s FROM cj_o o ORDER BY s NULLS FIRST, id LIMIT 12;

-- ANY and ALL
SELECT id FROM cj_o o WHERE id = 5 OR v IN (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 30) ORDER BY id;

SELECT id FROM cj_o o WHERE id = 5 OR v NOT IN (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 30) ORDER BY id;

SELECT id, v IN (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 30) AS a, v NOT IN (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.t = 't1') AS b, id IN (SELECT u.v FROM cj_u u WHERE u.k = o.k) AS c FROM cj_o o ORDER BY id;

SELECT id, v < ANY (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 20) AS a, v >= ALL (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 20) AS b, v <> ALL (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 20) AS c, id > ALL (SELECT u.v FROM cj_u u WHERE u.k = o.k) AS d FROM cj_o o ORDER BY id;

SELECT id FROM cj_o o WHERE v NOT IN (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 30) ORDER BY id;

SELECT id FROM cj_o o WHERE v >= ALL (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 20) ORDER BY id;

SELECT id FROM cj_o o WHERE NOT v >= ALL (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 20) ORDER BY id;

SELECT id FROM cj_o o WHERE NOT v < ANY (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 20) ORDER BY id;

SELECT id FROM cj_o o WHERE id <> ALL (SELECT u.v FROM cj_u u WHERE u.k = o.k) ORDER BY id;

SELECT id FROM cj_o o WHERE v NOT IN (SELECT e.v FROM cj_e e WHERE e.k = o.k) AND id < 25 ORDER BY id;

SELECT id FROM cj_o o WHERE v > ALL (SELECT e.v FROM cj_e e WHERE e.k = o.k) AND id < 25 ORDER BY id;

SELECT id, v IN (SELECT e.v FROM cj_e e WHERE e.k = o.k) FROM cj_o o WHERE id < 12 ORDER BY id;

SELECT id FROM cj_o o WHERE (v IN (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 30)) IS NULL ORDER BY id;

SELECT id FROM cj_o o WHERE (v IN (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 30)) IS NOT TRUE AND (v > 2) ORDER BY id;

SELECT id FROM cj_o o WHERE (v IN (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 30)) IS FALSE ORDER BY id;

SELECT id, CASE WHEN v IN (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 30) THEN 'in' WHEN v NOT IN (SELECT i.v FROM cj_i i WHERE i.k = o.k) THEN 'not' ELSE 'unknown' END FROM cj_o o ORDER BY id;

SELECT id, coalesce(v IN (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 30), id > 30) FROM cj_o o ORDER BY id;

SELECT id, (v, t) IN (SELECT i.v, i.t FROM cj_i i WHERE i.k = o.k) AS a, (v, t) NOT IN (SELECT i.v, i.t FROM cj_i i WHERE i.k = o.k AND i.id < 30) AS b FROM cj_o o ORDER BY id;

SELECT id, 2 IN (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 20) AS a, NULL::int IN (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 20) AS b FROM cj_o o ORDER BY id;

SELECT id, v = ANY (SELECT i.v FROM cj_i i WHERE i.k < o.k AND i.id < 20) FROM cj_o o WHERE id < 25 ORDER BY id;

SELECT id FROM cj_o o WHERE id > 50 OR v NOT IN (SELECT 10 / i.v FROM cj_i i WHERE i.k = o.k AND i.v > 1) ORDER BY id;

SELECT id, 3 IN (SELECT 100 / i.v FROM cj_i i WHERE i.k = o.k AND i.k > 8) FROM cj_o o WHERE id < 8 ORDER BY id;

SELECT id FROM cj_o o WHERE v NOT IN (SELECT 100 / i.v FROM cj_i i WHERE i.k = o.k AND i.k > 8) AND id < 8 ORDER BY id;

SELECT id FROM cj_o o WHERE v NOT IN (SELECT i.v FROM cj_i i WHERE i.k = o.k LIMIT 0) AND id < 8 ORDER BY id;

SELECT id, v IN (SELECT max(i.v) FROM cj_i i WHERE i.k = o.k) FROM cj_o o WHERE id < 12 ORDER BY id;

SELECT o.id, p.v NOT IN (SELECT i.v FROM cj_i i WHERE i.k = o.k AND i.id < 30) FROM cj_o o LEFT JOIN cj_o p ON p.id = o.id * 7 WHERE o.id < 25 ORDER BY 1;

SELECT v IN (SELECT i.v FROM cj_i i WHERE i.k = o.k) AS a, count(*) FROM cj_o o GROUP BY 1 ORDER BY 1;

SELECT o.id FROM cj_o o JOIN cj_u u ON u.k = o.k AND o.v NOT IN (SELECT i.v FROM cj_i i WHERE i.k = u.k AND i.v > 2) ORDER BY 1;

SELECT o.id, u.v FROM cj_o o LEFT JOIN cj_u u ON u.k = o.k AND u.v NOT IN (SELECT i.v FROM cj_i i WHERE i.k = u.k AND i.v IS NOT NULL) WHERE o.id < 25 ORDER BY 1;

SELECT o.id, u.v FROM cj_o o LEFT JOIN cj_u u ON u.k = o.k AND o.v >= ALL (SELECT i.v FROM cj_i i WHERE i.k = u.k AND i.v IS NOT NULL) WHERE o.id < 25 ORDER BY 1;

-- within CASE and COALESCE
SELECT id, CASE WHEN v > 2 THEN (SELECT count(*) FROM cj_i i WHERE i.k = o.k) ELSE (SELECT max(w) FROM cj_u u WHERE u.v = o.v) END FROM cj_o o WHERE id < 25 ORDER BY id;

SELECT id, coalesce((SELECT sum(i.v) FROM cj_i i WHERE i.k = o.k), (SELECT max(u.w) FROM cj_u u), -1) FROM cj_o o WHERE id < 25 ORDER BY id;

SELECT id, CASE (SELECT count(*) FROM cj_i i WHERE i.k = o.k) WHEN 0 THEN 'none' WHEN 9 THEN 'nine' ELSE 'some' END FROM cj_o o WHERE id < 25 ORDER BY id;

SELECT id, CASE WHEN EXISTS (SELECT FROM cj_u u WHERE u.k = o.k AND u.w > 4) THEN 1 WHEN (SELECT max(i.v) FROM cj_i i WHERE i.k = o.k) = 3 THEN 2 END FROM cj_o o WHERE id < 25 ORDER BY id;

SELECT id, CASE WHEN k < 100 THEN 0 ELSE (SELECT count(*) FROM cj_i i WHERE i.k = 1 / (o.k - o.k)) END FROM cj_o o WHERE id < 4 ORDER BY id;

SELECT id, greatest((SELECT max(i.v) FROM cj_i i WHERE i.k = o.k), v), nullif((SELECT count(*) FROM cj_i i WHERE i.k = o.k), 0) FROM cj_o o WHERE id < 15 ORDER BY id;

SELECT count(*) FROM cj_o o WHERE v = 3 OR k < (SELECT avg(i.v) FROM cj_i i WHERE i.k = o.k);

SELECT id, (SELECT count(*) FROM cj_i i WHERE i.k = o.k HAVING count(*) > 8), (SELECT sum(v) FROM cj_i i WHERE i.k = o.k HAVING count(*) = 0) IS NULL FROM cj_o o WHERE id < 15 ORDER BY id;

-- rows that are changed
UPDATE cj_o o SET v = s.c FROM LATERAL (SELECT count(*) c FROM cj_i i WHERE i.k = 3) s WHERE o.id = 1 RETURNING o.id, o.v;

WITH d AS (UPDATE cj_o o SET v = (SELECT u.v FROM cj_u u WHERE u.k = o.k) WHERE o.v NOT IN (SELECT i.v FROM cj_i i WHERE i.k = o.k) RETURNING o.id, o.v) SELECT * FROM d ORDER BY id;

WITH d AS (DELETE FROM cj_o o WHERE o.v > ALL (SELECT i.v FROM cj_i i WHERE i.k = o.k) RETURNING o.id) SELECT * FROM d ORDER BY id;

INSERT INTO cj_e SELECT o.id, s.c FROM cj_o o, LATERAL (SELECT count(*) c FROM cj_i i WHERE i.k = o.k) s WHERE o.id < 6 ORDER BY o.id RETURNING *;

SELECT count(*), sum(v) FROM cj_o;
