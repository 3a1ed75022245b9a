-- WITH RECURSIVE: SEARCH and CYCLE, entries inside the recursive term, recursion in lateral items.

CREATE TABLE g (f int, t int, label text);
INSERT INTO g VALUES (1, 2, 'arc 1 -> 2'), (1, 3, 'arc 1 -> 3'), (2, 3, 'arc 2 -> 3'), (1, 4, 'arc 1 -> 4'), (4, 5, 'arc 4 -> 5');
-- SEARCH: an order by paths, and one by levels.
WITH RECURSIVE s(f, t, label) AS (SELECT * FROM g UNION ALL SELECT g.* FROM g, s WHERE g.f = s.t) SEARCH DEPTH FIRST BY f, t SET seq
SELECT * FROM s ORDER BY seq, label;
WITH RECURSIVE s(f, t, label) AS (SELECT * FROM g UNION SELECT g.* FROM g JOIN s AS before ON g.f = before.t) SEARCH DEPTH FIRST BY f, t SET seq
SELECT * FROM s ORDER BY seq, label;
WITH RECURSIVE s(f, t, label) AS (SELECT * FROM g UNION ALL SELECT g.* FROM g, s WHERE g.f = s.t) SEARCH BREADTH FIRST BY f, t SET seq
SELECT * FROM s ORDER BY seq, label;
WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n) SEARCH DEPTH FIRST BY x SET y SELECT * FROM n LIMIT 4;
WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n) SEARCH BREADTH FIRST BY x SET y SELECT * FROM n LIMIT 4;
WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 4) SEARCH DEPTH FIRST BY x SET y SELECT x, pg_typeof(y) FROM n ORDER BY y DESC;
-- CYCLE.
INSERT INTO g VALUES (5, 1, 'arc 5 -> 1');
WITH RECURSIVE s(f, t, label) AS (SELECT * FROM g UNION ALL SELECT g.* FROM g, s WHERE g.f = s.t) CYCLE f, t SET is_cycle USING path
SELECT * FROM s ORDER BY path, label;
WITH RECURSIVE s(f, t, label) AS (SELECT * FROM g UNION SELECT g.* FROM g, s WHERE g.f = s.t) CYCLE f, t SET is_cycle TO 'Y' DEFAULT 'N' USING path
SELECT * FROM s ORDER BY path, label;
WITH RECURSIVE n AS (SELECT 0 AS x UNION ALL SELECT (x + 1) % 5 FROM n) CYCLE x SET is_cycle USING path SELECT * FROM n;
WITH RECURSIVE n AS (SELECT 0 AS x UNION ALL SELECT (x + 1) % 5 FROM n WHERE NOT is_cycle) CYCLE x SET is_cycle USING path SELECT count(*), max(x) FROM n;
-- Both.
WITH RECURSIVE s(f, t, label) AS (SELECT * FROM g UNION ALL SELECT g.* FROM g, s WHERE g.f = s.t)
SEARCH BREADTH FIRST BY f, t SET seq CYCLE f, t SET is_cycle USING path
SELECT f, t, seq, is_cycle, path FROM s ORDER BY seq, path;
CREATE VIEW walked AS WITH RECURSIVE s(f, t) AS (SELECT f, t FROM g WHERE f = 1 UNION ALL SELECT g.f, g.t FROM g, s WHERE g.f = s.t) SEARCH DEPTH FIRST BY f, t SET seq CYCLE f, t SET again USING path SELECT f, t, again FROM s;
SELECT * FROM walked ORDER BY f, t, again;
-- Errors of the clauses.
WITH RECURSIVE s(f, t) AS (SELECT f, t FROM g UNION ALL SELECT g.f, g.t FROM g, s WHERE g.f = s.t) SEARCH DEPTH FIRST BY foo SET seq SELECT * FROM s;
WITH RECURSIVE s(f, t) AS (SELECT f, t FROM g UNION ALL SELECT g.f, g.t FROM g, s WHERE g.f = s.t) SEARCH DEPTH FIRST BY f, f SET seq SELECT * FROM s;
WITH RECURSIVE s(f, t) AS (SELECT f, t FROM g UNION ALL SELECT g.f, g.t FROM g, s WHERE g.f = s.t) CYCLE f SET m USING m SELECT * FROM s;
WITH RECURSIVE s(f, t) AS (SELECT f, t FROM g UNION ALL SELECT g.f, g.t FROM g, s WHERE g.f = s.t) CYCLE f SET m TO true DEFAULT 55 USING p SELECT * FROM s;
WITH RECURSIVE s(f, t) AS (SELECT f, t FROM g UNION ALL SELECT g.f, g.t FROM g, (SELECT * FROM s) s WHERE g.f = s.t) SEARCH DEPTH FIRST BY f SET p SELECT * FROM s;
WITH RECURSIVE s(f, t) AS (SELECT f, t FROM g) SEARCH DEPTH FIRST BY f SET p SELECT * FROM s;
-- An entry inside the recursive term is computed in each round.
WITH RECURSIVE x(a) AS ((VALUES ('a'), ('b')) UNION ALL (WITH z AS NOT MATERIALIZED (SELECT * FROM x) SELECT z.a || z1.a AS a FROM z CROSS JOIN z AS z1 WHERE length(z.a || z1.a) < 5))
SELECT * FROM x ORDER BY a;
WITH RECURSIVE x(a) AS ((VALUES ('a'), ('b')) UNION ALL (WITH z AS MATERIALIZED (SELECT * FROM x) SELECT z.a || z1.a AS a FROM z CROSS JOIN z AS z1 WHERE length(z.a || z1.a) < 5))
SELECT * FROM x ORDER BY a;
WITH RECURSIVE tab(id_key, link) AS (VALUES (1, 17), (2, 17), (3, 17), (4, 17), (6, 17), (5, 17)),
iter (id_key, row_type, link) AS (
SELECT 0, 'base', 17
UNION ALL (
WITH remaining(id_key, row_type, link, min) AS (
SELECT tab.id_key, 'true'::text, iter.link, MIN(tab.id_key) OVER ()
FROM tab INNER JOIN iter USING (link)
WHERE tab.id_key > iter.id_key
),
first_remaining AS (SELECT id_key, row_type, link FROM remaining WHERE id_key = min),
effect AS (
SELECT tab.id_key, 'new'::text, tab.link
FROM first_remaining e INNER JOIN tab ON e.id_key = tab.id_key
WHERE e.row_type = 'false'
)
SELECT * FROM first_remaining UNION ALL SELECT * FROM effect
))
SELECT * FROM iter;
-- Recursion that depends on a row to its left.
SELECT o.n, ss.a FROM (VALUES (8), (9), (7)) o(n) CROSS JOIN LATERAL (WITH RECURSIVE x(a) AS (SELECT o.n UNION SELECT a + 1 FROM x WHERE a < 10) SELECT * FROM x) ss ORDER BY o.n, ss.a;
SELECT sum(o.n), sum(ss.a) FROM generate_series(0, 3) o(n) CROSS JOIN LATERAL (WITH RECURSIVE x(a) AS (SELECT o.n AS a UNION SELECT a + 1 FROM x WHERE a < 10) SELECT * FROM x) ss;
SELECT n, (WITH RECURSIVE x(a) AS (SELECT n UNION ALL SELECT a * 2 FROM x WHERE a < 50) SELECT max(a) FROM x) FROM generate_series(1, 4) n;

-- Where a recursive reference must not stand.
with recursive x(n) as (with y as (select 1 from x) select 0 union select * from y) select * from x;
with recursive x(n) as (with y as (select * from x) delete from nowhere returning 1) select * from x;
with recursive x(n) as (select 1 union all select x.n + 1 from (values (1)) y(a) left join x on x.n = y.a where n < 10) select * from x;
with recursive x(n) as (select 1 union all select x.n + 1 from x right join (values (1)) y(a) on x.n = y.a where n < 10) select * from x;
with recursive x(n) as (select 1 union all select x.n + 1 from x full join (values (1)) y(a) on x.n = y.a where n < 10) select * from x;
with recursive x(n) as (select 1 union all select count(*) from x) select * from x;
with recursive x(n) as (select 1 union all select sum(n) from x) select * from x;
with recursive x(i) as (select i::numeric(3,0) from (values (1), (2)) t(i) union all select (i + 1)::numeric(10,0) from x where i < 10) select * from x;
