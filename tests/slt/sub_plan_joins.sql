-- Sub-queries that read the outer row, within expressions: run for each row or joined, the answers are the same.

CREATE TABLE sj_o (id int PRIMARY KEY, k int, v int);

CREATE TABLE sj_i (id int PRIMARY KEY, k int, v int, t text);

CREATE TABLE sj_e (k int, v int);

INSERT INTO sj_o SELECT i, CASE WHEN i % 7 = 0 THEN NULL ELSE i % 13 END, i % 5 FROM generate_series(1, 60) i;

INSERT INTO sj_i SELECT i, CASE WHEN i % 11 = 0 THEN NULL ELSE i % 9 END, CASE WHEN i % 6 = 0 THEN NULL ELSE i % 4 END, 't' || i % 3 FROM generate_series(1, 80) i;

ANALYZE sj_o, sj_i, sj_e;

-- EXISTS under OR, NOT and in the select list
SELECT id FROM sj_o o WHERE id = 5 OR EXISTS (SELECT FROM sj_i i WHERE i.k = o.k AND i.v = 3) ORDER BY id;

SELECT count(*), sum(id) FROM sj_o o WHERE id < 10 OR NOT EXISTS (SELECT FROM sj_i i WHERE i.k = o.k);

SELECT id, EXISTS (SELECT FROM sj_i i WHERE i.k = o.k) FROM sj_o o WHERE id < 25 ORDER BY id;

SELECT id, NOT EXISTS (SELECT FROM sj_i i WHERE i.k = o.k AND i.t = 't1' AND i.v > 2) AS none FROM sj_o o WHERE id < 25 ORDER BY id;

SELECT count(*) FROM sj_o o WHERE EXISTS (SELECT FROM sj_i i WHERE i.k = o.k) <> EXISTS (SELECT FROM sj_i i WHERE i.v = o.v AND i.k IS NULL);

SELECT count(*) FROM sj_o o WHERE (EXISTS (SELECT FROM sj_i i WHERE i.k = o.k AND i.v = o.v)) IS NOT NULL;

SELECT count(*) FROM sj_o o WHERE v = 1 OR EXISTS (SELECT FROM sj_e e WHERE e.k = o.k);

SELECT count(*) FROM sj_o o WHERE v = 1 OR NOT EXISTS (SELECT FROM sj_e e WHERE e.k = o.k);

SELECT EXISTS (SELECT FROM sj_i i WHERE i.k = o.k) AS e, count(*), sum(o.v) FROM sj_o o GROUP BY 1 ORDER BY 1;

SELECT id FROM sj_o o ORDER BY EXISTS (SELECT FROM sj_i i WHERE i.k = o.k), id LIMIT 12;

SELECT id, EXISTS (SELECT FROM sj_i i WHERE i.k = o.k ORDER BY i.v LIMIT 1), EXISTS (SELECT DISTINCT i.t FROM sj_i i WHERE i.k = o.k) FROM sj_o o WHERE id % 9 = 0 ORDER BY id;

SELECT id, EXISTS (SELECT count(*) FROM sj_i i WHERE i.k = o.k), EXISTS (SELECT FROM sj_i i WHERE i.k = o.k LIMIT 0) FROM sj_o o WHERE id < 4 ORDER BY id;

SELECT id, EXISTS (SELECT FROM sj_i i JOIN sj_i j ON i.id = j.id + 1 WHERE i.k = o.k AND j.v = o.v) FROM sj_o o WHERE id < 16 ORDER BY id;

SELECT id, CASE WHEN k IS NULL THEN 'none' WHEN EXISTS (SELECT FROM sj_i i WHERE i.k = o.k AND i.v = 1) THEN 'one' ELSE 'other' END FROM sj_o o WHERE id < 20 ORDER BY id;

SELECT count(*) FROM sj_o o WHERE k = 0 OR EXISTS (SELECT FROM sj_i i WHERE i.k = 10 / o.k);

SELECT count(*) FROM sj_o o WHERE id > 50 OR EXISTS (SELECT FROM sj_i i WHERE i.k < o.k AND i.v = 3);

SELECT o.id, p.id FROM sj_o o LEFT JOIN sj_o p ON p.id = o.id + 30 WHERE o.id < 33 AND (p.id IS NULL OR EXISTS (SELECT FROM sj_i i WHERE i.k = p.k AND i.v = o.v)) ORDER BY 1;

SELECT id FROM sj_o o WHERE id = 3 OR EXISTS (SELECT FROM sj_i i WHERE i.k = o.k AND EXISTS (SELECT FROM sj_e e WHERE e.k = i.k)) ORDER BY id;

SELECT id FROM sj_o o WHERE id = 3 OR EXISTS (SELECT FROM sj_i i WHERE i.k = o.k AND (i.v = 0 OR EXISTS (SELECT FROM sj_o p WHERE p.id = i.id AND p.v = 4))) ORDER BY id;

SELECT * FROM (SELECT id, EXISTS (SELECT FROM sj_i i WHERE i.k = o.k) AS e FROM sj_o o) q WHERE e AND id < 12 ORDER BY id;

SELECT count(*) FROM (SELECT id, EXISTS (SELECT FROM sj_i i WHERE i.k = o.k) AS e FROM sj_o o) q;

WITH w AS (SELECT id, k, EXISTS (SELECT FROM sj_i i WHERE i.k = o.k) AS e FROM sj_o o) SELECT w.e, count(*) FROM w JOIN sj_i i USING (k) GROUP BY 1 ORDER BY 1;

-- aggregates in the select list
SELECT id, (SELECT count(*) FROM sj_i i WHERE i.k = o.k), (SELECT sum(v) FROM sj_i i WHERE i.k = o.k) FROM sj_o o WHERE id < 25 ORDER BY id;

SELECT id, (SELECT count(*) + coalesce(sum(v), -1) FROM sj_i i WHERE i.k = o.k AND i.t = 't2') AS s FROM sj_o o ORDER BY s, id LIMIT 15;

SELECT id, (SELECT max(v) FROM sj_i i WHERE i.k = o.k AND i.v = o.v) FROM sj_o o WHERE id < 20 ORDER BY id;

SELECT id, (SELECT count(*) FROM sj_e e WHERE e.k = o.k), (SELECT max(v) FROM sj_e e WHERE e.k = o.k) FROM sj_o o WHERE id < 4 ORDER BY id;

SELECT id, (SELECT array_agg(i.id ORDER BY i.id) FROM sj_i i WHERE i.k = o.k AND i.id < 30) FROM sj_o o WHERE id < 12 ORDER BY id;

SELECT id, 100 + (SELECT count(DISTINCT i.v) FROM sj_i i WHERE i.k = o.k) * 2 AS c FROM sj_o o WHERE id < 12 ORDER BY c DESC, id;

SELECT sum((SELECT count(*) FROM sj_i i WHERE i.k = o.k)) FROM sj_o o;

SELECT (SELECT count(*) FROM sj_i i WHERE i.k = o.k) AS c, count(*) FROM sj_o o GROUP BY 1 ORDER BY 1;

SELECT id, (SELECT sum(i.v) FROM sj_i i WHERE i.k = o.k HAVING sum(i.v) > 5) FROM sj_o o WHERE id < 12 ORDER BY id;

SELECT id, (SELECT sum(i.v) FROM sj_i i WHERE i.k = o.k AND i.id > o.id) FROM sj_o o WHERE id < 12 ORDER BY id;

SELECT id, CASE WHEN id > 5 THEN (SELECT sum(i.v) FROM sj_i i WHERE i.k = o.k) END FROM sj_o o WHERE id < 12 ORDER BY id;

SELECT o.id, (SELECT count(*) FROM sj_i i WHERE i.k = p.k) FROM sj_o o LEFT JOIN sj_o p ON p.id = o.id * 7 WHERE o.id < 14 ORDER BY 1;

SELECT count(*) FROM (SELECT id, (SELECT sum(v) FROM sj_i i WHERE i.k = o.k) AS s FROM sj_o o) q WHERE s IS NULL;

SELECT id, (SELECT sum(v) FROM sj_i i WHERE i.k = o.k) AS s, EXISTS (SELECT FROM sj_i i WHERE i.k = o.k AND i.v = 2) AS e FROM sj_o o WHERE (SELECT count(*) FROM sj_i i WHERE i.k = o.k) > 8 ORDER BY id;

SELECT DISTINCT (SELECT min(t) FROM sj_i i WHERE i.v = o.v) FROM sj_o o ORDER BY 1;

SELECT id, random() < 2, (SELECT count(*) FROM sj_i i WHERE i.k = o.k) FROM sj_o o WHERE id < 12 ORDER BY v, id DESC;

SELECT id, random() < 2, EXISTS (SELECT FROM sj_i i WHERE i.k = o.k) FROM sj_o o ORDER BY v DESC, id LIMIT 7;

SELECT id, (SELECT count(*) FROM sj_i i WHERE i.k = o.k) FROM (SELECT * FROM sj_o ORDER BY v, id LIMIT 9) o;

-- rows that are locked or changed
SELECT id, (SELECT count(*) FROM sj_i i WHERE i.k = o.k) FROM sj_o o WHERE id < 4 OR EXISTS (SELECT FROM sj_e e WHERE e.k = o.k) ORDER BY id FOR UPDATE;

UPDATE sj_o o SET v = (SELECT count(*) FROM sj_i i WHERE i.k = o.k) WHERE id = 1 OR EXISTS (SELECT FROM sj_i i WHERE i.k = o.k AND i.v = 3 AND i.id < 12) RETURNING id, v;

DELETE FROM sj_o o WHERE id > 55 OR NOT EXISTS (SELECT FROM sj_i i WHERE i.k = o.k) RETURNING id > 55;

SELECT count(*), sum(v) FROM sj_o;
