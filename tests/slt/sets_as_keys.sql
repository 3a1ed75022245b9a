-- Set-returning functions as keys of groups, windows and DISTINCT ON, and where they cannot be.
CREATE TABLE g (a int, b int);
INSERT INTO g VALUES (1, 10), (1, 20), (2, 5);
-- A key is expanded before the rows are grouped: each element is a value of its own.
SELECT generate_series(1, 2) s, count(*) FROM g GROUP BY 1 ORDER BY 1;
SELECT generate_series(1, 2) s, count(*) FROM g GROUP BY s ORDER BY s;
SELECT generate_series(1, 2) s, count(*) FROM g GROUP BY generate_series(1, 2) ORDER BY 1;
SELECT a, generate_series(1, 2) s, count(*) FROM g GROUP BY a, s ORDER BY 1, 2;
WITH q AS (SELECT generate_series(1, 2) g, count(*) c FROM g GROUP BY 1) SELECT sum(g), sum(c) FROM q;
SELECT unnest(ARRAY[a, b]) x, count(*) FROM g GROUP BY x ORDER BY x;
SELECT a, count(*) FROM g GROUP BY a, generate_series(1, a) ORDER BY 1;
SELECT count(*) FROM g GROUP BY generate_series(1, a) ORDER BY 1;
SELECT a FROM g GROUP BY a, generate_series(1, 2) ORDER BY 1;
SELECT generate_series(1, a) FROM g GROUP BY 1 HAVING count(*) > 1 ORDER BY 1;
SELECT generate_series(1, 0), count(*) FROM g GROUP BY 1;
SELECT generate_series(1, 2), count(*) FROM g WHERE false GROUP BY 1;
-- Two keys are expanded side by side, and the shorter one is filled with NULLs.
SELECT generate_series(1, 2), generate_series(1, 3), count(*) FROM g GROUP BY 1, 2 ORDER BY 1, 2;
-- What is no key is expanded after grouping.
SELECT generate_series(1, 2), generate_series(1, 3), count(*) FROM g GROUP BY 1 ORDER BY 1, 2;
SELECT a, generate_series(1, 2), count(*) FROM g GROUP BY a ORDER BY 1, 2;
-- A call in a key and the same call outside of it: the key is read, another call is expanded on its own.
SELECT a, generate_series(1, 2) + 1, count(*), generate_series(1, 2) * 2, generate_series(1, 2) FROM g GROUP BY a, generate_series(1, 2) + 1 ORDER BY 1, 2, 4;
SELECT a, generate_series(1, 2) + 1, count(*), generate_series(1, 2) * 2, generate_series(1, 2) FROM g GROUP BY a, generate_series(1, 2) ORDER BY 1, 2, 4;
SELECT a, generate_series(1, 2) x, generate_series(1, generate_series(1, 2)), count(*) FROM g GROUP BY a, x ORDER BY 1, 2, 3;
SELECT generate_series(1, generate_series(1, 2)) x, count(*) FROM g GROUP BY x ORDER BY x;
SELECT generate_series(1, 3) + a, count(*) FROM g GROUP BY 1 ORDER BY 1;
SELECT generate_series(1, 3) + a, generate_series(1, 3), count(*) FROM g GROUP BY 1 ORDER BY 1, 2;
-- Grouping sets.
SELECT a, generate_series(1, 2), sum(b) FROM g GROUP BY ROLLUP (1, 2) ORDER BY 1, 2, 3;
SELECT a, generate_series(1, 2) s, sum(b), grouping(a, generate_series(1, 2)) FROM g GROUP BY GROUPING SETS ((a), (s), ()) ORDER BY 1, 2, 3;
SELECT generate_series(1, 2) s, generate_series(1, a) t, count(*) FROM g GROUP BY CUBE (1, 2) ORDER BY 1, 2, 3;
-- Rows of composite types.
SELECT (json_each_text('{"x": "1", "y": "2"}')).key, count(*) FROM g GROUP BY 1 ORDER BY 1;
-- What the arguments mention need not be grouped by, unless the call is expanded after grouping.
SELECT generate_series(1, b), count(*) FROM g GROUP BY a;
SELECT unnest(ARRAY[a, b]), a FROM g GROUP BY 1;
SELECT a, generate_series(1, sum(b)::int) x FROM g GROUP BY a, x;
SELECT a, generate_series(1, rank() OVER ()) x FROM g GROUP BY a, x;
SELECT a FROM g GROUP BY a HAVING generate_series(1, 2) = 1;
SELECT generate_series(1, (SELECT max(g2.a) FROM g g2 WHERE g2.a <= g.a)) x, count(*) FROM g GROUP BY x ORDER BY x;
-- Conditions on keys from outside, joins, and volatile arguments.
SELECT * FROM (SELECT generate_series(1, 3) s, count(*) c FROM g GROUP BY 1) q WHERE s > 1 ORDER BY 1;
SELECT * FROM (SELECT generate_series(1, a) s, a, count(*) c FROM g GROUP BY 1, 2) q WHERE s = a AND c > 0 ORDER BY 1;
SELECT q.s, q.c, h.b FROM (SELECT generate_series(1, 3) s, count(*) c FROM g GROUP BY 1) q JOIN g h ON h.a = q.s ORDER BY 1, 3;
SELECT a, (SELECT sum(c) FROM (SELECT generate_series(1, o.a) s, count(*) c FROM g GROUP BY 1) q WHERE s <= o.a) FROM g o ORDER BY 1, 2;
SELECT a, (SELECT count(*) FROM g i WHERE i.a = o.a GROUP BY generate_series(1, 1)) FROM g o ORDER BY 1, 2;
SELECT count(*) FROM (SELECT generate_series(1, 2 + (random() * 0)::int) s, count(*) FROM g GROUP BY 1) q;
SELECT generate_series(1, 2 + (random() * 0)::int) s, count(*) FROM g GROUP BY s ORDER BY s;
-- DISTINCT and DISTINCT ON.
SELECT DISTINCT ON (generate_series(1, 2)) a FROM g ORDER BY generate_series(1, 2), a;
SELECT DISTINCT ON (generate_series(1, 2)) a, generate_series(1, 2) FROM g ORDER BY generate_series(1, 2), a DESC;
SELECT DISTINCT generate_series(1, 2), a FROM g ORDER BY 1, 2;
SELECT DISTINCT generate_series(1, 2), a FROM g ORDER BY generate_series(1, 2), a;
SELECT DISTINCT a FROM g ORDER BY generate_series(1, 2), a;
SELECT DISTINCT ON (a) a, generate_series(1, 2) FROM g ORDER BY generate_series(1, 2), a;
SELECT generate_series(1, 3) ORDER BY generate_series(1, 3) DESC;
SELECT generate_series(1, 3) * 10 ORDER BY generate_series(1, 3) DESC;
SELECT generate_series(1, 2), generate_series(1, generate_series(1, 2)) ORDER BY 1, 2;
SELECT generate_series(1, 2), generate_series(1, generate_series(1, 3)) ORDER BY 1, 2;
-- Windows: the sets of PARTITION BY and ORDER BY are expanded before them.
SELECT row_number() OVER (ORDER BY generate_series(1, 2));
SELECT row_number() OVER (ORDER BY generate_series(1, 2) DESC), generate_series(1, 2) ORDER BY 1;
SELECT count(*) OVER (PARTITION BY generate_series(1, 2)) FROM g;
SELECT a, generate_series(1, 2) + 1, count(*) OVER (ORDER BY generate_series(1, 2)) FROM g ORDER BY 1, 2, 3;
SELECT generate_series(1, 2) x, generate_series(1, 3) y, count(*) OVER w FROM g WINDOW w AS (ORDER BY generate_series(1, 2)) ORDER BY 1, 2, 3;
SELECT a, generate_series(1, 2) * 2, sum(b) OVER (ORDER BY a, generate_series(1, 2) + 1), generate_series(1, 2) + 1 FROM g ORDER BY 1, 2, 3, 4;
SELECT a, sum(count(*)) OVER (ORDER BY a, generate_series(1, 2)) FROM g GROUP BY a ORDER BY 1, 2;
SELECT a, generate_series(1, 2) s, sum(count(*)) OVER (PARTITION BY generate_series(1, 2) ORDER BY a) FROM g GROUP BY 1, 2 ORDER BY 1, 2, 3;
SELECT 1 FROM g WINDOW w AS (ORDER BY generate_series(1, 2));
SELECT count(*) OVER (ROWS generate_series(1, 2) PRECEDING) FROM g;
SELECT sum(generate_series(1, 2)) OVER () FROM g;
SELECT lag(generate_series(1, 2)) OVER () FROM g;
SELECT sum(a) FILTER (WHERE generate_series(1, 2) = 1) OVER () FROM g;
-- Aggregates, CASE, COALESCE and boolean operators have no sets within them.
SELECT sum(generate_series(1, 2)) FROM g;
SELECT count(*) FILTER (WHERE generate_series(1, 2) = 1) FROM g;
SELECT percentile_cont(generate_series(0, 1)) WITHIN GROUP (ORDER BY a) FROM g;
SELECT rank(generate_series(0, 1)) WITHIN GROUP (ORDER BY a) FROM g;
SELECT array_agg(a ORDER BY generate_series(1, 2)) FROM g;
SELECT CASE WHEN true THEN generate_series(1, 2) END;
SELECT CASE generate_series(1, 2) WHEN 1 THEN 2 END;
SELECT COALESCE(generate_series(1, 2), 0);
SELECT COALESCE(1, abs(generate_series(1, 2)));
SELECT CASE WHEN EXISTS (SELECT generate_series(1, 2)) THEN 1 END;
SELECT CASE WHEN true THEN (SELECT max(x) FROM (SELECT generate_series(1, 2) x) q) END, generate_series(1, 2);
SELECT generate_series(1, 3) BETWEEN 1 AND 2;
SELECT generate_series(1, 3) NOT BETWEEN 1 AND 2;
SELECT generate_series(1, 3) BETWEEN SYMMETRIC 1 AND 2;
SELECT generate_series(1, 3) NOT BETWEEN SYMMETRIC 1 AND 2;
SELECT NOT (generate_series(1, 2) = 1);
SELECT generate_series(1, 2) = 1 OR true;
SELECT generate_series(1, 2) = 1 AND true;
SELECT (generate_series(1, 2) = 1) IS TRUE;
SELECT (generate_series(1, 2) = 1) IS NOT UNKNOWN;
SELECT generate_series(1, 2) IN (1);
SELECT generate_series(1, 2) IN (1, a) FROM g;
SELECT generate_series(1, 3) IN (1, 3);
SELECT generate_series(1, 3) NOT IN (1, 3);
SELECT (generate_series(1, 2), 1) = (1, 1);
SELECT (generate_series(1, 2), 1) < (1, 1);
-- These have a value for each element.
SELECT generate_series(1, 2) = 1;
SELECT generate_series(1, 2) IS NULL, generate_series(1, 2) IS DISTINCT FROM 1, NULLIF(generate_series(1, 2), 1), greatest(generate_series(1, 2), 2);
SELECT 1 = ANY (ARRAY[generate_series(1, 2)]), ARRAY[generate_series(1, 2), 9];
SELECT * FROM generate_series(1, generate_series(1, 2));
SELECT * FROM g WHERE generate_series(1, 2) = 1;
SELECT 1 LIMIT generate_series(1, 2);
VALUES (generate_series(1, 2));
-- A single row of INSERT is a select list; several are not.
CREATE TABLE n (a int, b int DEFAULT 7, c text);
INSERT INTO n VALUES (generate_series(1, 2), 5);
INSERT INTO n (a) VALUES (generate_series(3, 4)) RETURNING a, b, c;
INSERT INTO n VALUES (generate_series(5, 6), generate_series(5, 7) * 10, 'x' || generate_series(1, 1)) RETURNING *;
INSERT INTO n VALUES (generate_series(1, 2), 5), (3, 4);
INSERT INTO n VALUES (CASE WHEN true THEN generate_series(1, 2) END);
INSERT INTO n (c) VALUES (generate_series(1, 2)::text) ON CONFLICT DO NOTHING;
SELECT * FROM n ORDER BY a, b, c;
MERGE INTO n USING (VALUES (9)) v(x) ON false WHEN NOT MATCHED THEN INSERT VALUES (generate_series(1, 2), 5);
UPDATE n SET a = generate_series(1, 2);
DELETE FROM n WHERE a = generate_series(1, 2);
UPDATE n SET a = a RETURNING generate_series(1, 2);
