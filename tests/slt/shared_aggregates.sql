-- Aggregates over the same values, and arguments with parts in common: each has the result that it has alone.

CREATE TABLE m (g int, n numeric, i int, b bigint, f float8, v interval, t text);
INSERT INTO m SELECT x % 5, CASE WHEN x % 7 = 0 THEN NULL ELSE (x % 100)::numeric / 4 END, x % 50 - 20, x::bigint * 1000000007, x / 8.0, x * interval '1 second', 't' || x % 3 FROM generate_series(1, 4000) x;
INSERT INTO m VALUES (5, NULL, NULL, NULL, NULL, NULL, NULL), (6, 'NaN', 1, 1, 'NaN', '1 mon', 'a'), (7, 'Infinity', 2, 2, 'Infinity', '1 day', 'b'), (8, 1e30, 3, 3, 1e300, '1 year', 'c'), (8, 0.000000000000000000001, 4, 4, 1, '1 us', 'd');
SELECT g, sum(n), avg(n), count(n), min(n), max(n) FROM m GROUP BY g ORDER BY g;
SELECT avg(n), sum(n) FROM m WHERE g < 5;
SELECT g, sum(i), avg(i), sum(b), avg(b), count(*), count(i) FROM m GROUP BY g ORDER BY g;
SELECT g, round(avg(f)::numeric, 6), round(stddev(f)::numeric, 6), round(var_pop(f)::numeric, 6), sum(f) FROM m WHERE g < 5 GROUP BY g ORDER BY g;
SELECT g, avg(f), sum(f), stddev(f), variance(f) FROM m WHERE g > 4 AND g < 8 GROUP BY g ORDER BY g;
SELECT g, stddev(n), variance(n), stddev_pop(i), var_samp(i), avg(v), sum(v) FROM m WHERE g <> 7 GROUP BY g ORDER BY g;
SELECT round(regr_slope(f, i)::numeric, 6), round(corr(f, i)::numeric, 6), regr_count(f, i), round(covar_pop(f, i)::numeric, 6), regr_count(i, f) FROM m WHERE g < 5;
-- No rows.
SELECT sum(n), avg(n), sum(i), avg(i), stddev(f), avg(v) FROM m WHERE g = 99;
SELECT g, sum(n), avg(n) FROM m WHERE g = 99 GROUP BY g;
-- The sum comes after the average, and twice.
SELECT avg(n) + sum(n), sum(n), avg(n) * 2, sum(n) - avg(n) FROM m WHERE g = 3;
-- Filters: the same, others, none.
SELECT g, sum(n) FILTER (WHERE i > 0), avg(n) FILTER (WHERE i > 0), avg(n) FILTER (WHERE i < 0), avg(n), sum(n) FROM m GROUP BY g ORDER BY g;
SELECT sum(n) FILTER (WHERE false), avg(n), avg(n) FILTER (WHERE false) FROM m WHERE g < 5;
-- DISTINCT and ORDER BY stay by themselves.
SELECT g, sum(DISTINCT i), avg(DISTINCT i), sum(i), avg(i), count(DISTINCT i) FROM m GROUP BY g ORDER BY g;
SELECT g, string_agg(t, ',' ORDER BY t) = string_agg(t, ',' ORDER BY t), length(string_agg(t, ',')), min(t), max(t) FROM m GROUP BY g ORDER BY g;
SELECT g, md5(string_agg(i::text, ',')), md5(array_agg(b)::text), sum(i), avg(i) FROM (SELECT * FROM m ORDER BY b, i) s WHERE g < 5 GROUP BY g ORDER BY g;
-- Parts in common.
SELECT g, sum(n * (1 - i)), sum(n * (1 - i) * (1 + i)), avg(n * (1 - i)), max(n * (1 - i)), count(1 - i) FROM m WHERE g < 5 GROUP BY g ORDER BY g;
SELECT sum((i + 1) * (i + 1)), sum((i + 1) * (i + 1) + (i + 1)), sum(i + 1), max(-(i + 1)) FROM m;
SELECT sum(i::numeric / 3), sum(i::numeric / 3 + n), sum(i::numeric) FROM m WHERE g < 5;
SELECT g, sum(length(t || 'x')), max(length(t || 'x') + 1), min(t || 'x') FROM m GROUP BY g ORDER BY g;
-- What fails only where a filter or a CASE does not keep it from being computed.
SELECT sum(100 / i) FILTER (WHERE i <> 0), count(100 / i) FILTER (WHERE i <> 0) FROM m;
SELECT sum(CASE WHEN i <> 0 THEN 100 / i END), max(CASE WHEN i <> 0 THEN 100 / i END) FROM m;
SELECT sum(CASE WHEN i <> 0 THEN 100 / i END), sum(CASE WHEN i <> 0 THEN 100 / i ELSE 0 END) FROM m;
SELECT sum(CASE i WHEN 0 THEN 0 ELSE 100 / i END), sum(CASE i WHEN 0 THEN 1 ELSE 100 / i END) FROM m;
SELECT sum(100 / i), max(100 / i) FROM m;
SELECT sum(100 / i) FILTER (WHERE i <> 0), max(100 / i) FROM m WHERE i IS NULL;
-- Volatile arguments have values of their own.
CREATE SEQUENCE q;
SELECT sum(nextval('q')), avg(nextval('q')) FROM generate_series(1, 3);
SELECT max(nextval('q') + 1), min(nextval('q') + 1) FROM generate_series(1, 3);
SELECT nextval('q');
-- Calls whose turn shows, in select lists.
SELECT x, nextval('q'), nextval('q') FROM generate_series(1, 3) x;
SELECT nextval('q') * 100 + nextval('q') FROM generate_series(1, 3);
SELECT nextval('q'), x, nextval('q') FROM generate_series(1, 9) x WHERE x % 4 = 1;
CREATE TABLE two (a int DEFAULT nextval('q'), x int, b int DEFAULT nextval('q'));
INSERT INTO two (x) SELECT x FROM generate_series(1, 3) x RETURNING *;
SELECT sum(nextval('q')), max(x), max(nextval('q')), count(nextval('q')) FROM generate_series(1, 3) x;
DROP TABLE two;
-- Sums that leave their type, beside averages that do not.
SELECT avg(x) FROM (VALUES (9223372036854775807), (9223372036854775807)) v(x);
SELECT sum(x), avg(x) FROM (VALUES (9223372036854775807), (9223372036854775807)) v(x);
SELECT sum(x), avg(x) FROM (VALUES (2147483647), (2147483647)) v(x);
-- Grouping sets, HAVING, many groups and few.
SELECT g, i, sum(n), avg(n), grouping(g, i) FROM m WHERE i IN (1, 2) GROUP BY GROUPING SETS ((g), (i), ()) ORDER BY grouping(g, i), g, i;
SELECT g, avg(n) FROM m GROUP BY g HAVING sum(n) > 10 AND avg(n) < 1000 ORDER BY g;
SELECT count(*), sum(s), sum(a), sum(c) FROM (SELECT b, sum(i) AS s, avg(i) AS a, count(i + 1) AS c, max(i + 1) FROM m WHERE g < 5 GROUP BY b) x;
SELECT g, t, sum(n), avg(n), sum(n + i), avg(n + i) FROM m WHERE g < 5 GROUP BY g, t ORDER BY g, t;
SELECT g, t, i % 3 AS r, sum(n), avg(n) FROM m WHERE g < 2 GROUP BY g, t, r ORDER BY g, t, r;
-- Scales that change on the way.
SELECT k, sum(n), avg(n) FROM (SELECT x % 2 AS k, CASE WHEN x < 1500 THEN x::numeric WHEN x < 2500 THEN x / 10.0 ELSE x::numeric(20, 5) END AS n FROM generate_series(1, 3000) x) s GROUP BY k ORDER BY k;
SELECT k, sum(n), avg(n) FROM (SELECT x % 2 AS k, CASE WHEN x % 1000 = 0 THEN 1e25 + x ELSE 9223372036854775807::numeric END AS n FROM generate_series(1, 3000) x) s GROUP BY k ORDER BY k;
-- Windows and sub-queries.
SELECT sum(sum(n)) OVER (ORDER BY g), avg(avg(n)) OVER (ORDER BY g) FROM m WHERE g < 5 GROUP BY g ORDER BY g;
SELECT x, (SELECT sum(i + x) FROM m WHERE g = x), (SELECT avg(i + x) FROM m WHERE g = x) FROM generate_series(0, 6) x;
SELECT s.* FROM generate_series(0, 5) x, LATERAL (SELECT sum(i + x), avg(i + x), max((i + x) * 2) FROM m WHERE g = x) s;
DROP TABLE m;
DROP SEQUENCE q;
