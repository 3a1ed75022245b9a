-- Aggregates: hypothetical sets, and the query that an aggregate belongs to.

SELECT rank(3) WITHIN GROUP (ORDER BY x), dense_rank(3) WITHIN GROUP (ORDER BY x), percent_rank(3) WITHIN GROUP (ORDER BY x), cume_dist(3) WITHIN GROUP (ORDER BY x) FROM (VALUES (1), (1), (2), (2), (3), (3), (4)) v(x);
SELECT rank(3) WITHIN GROUP (ORDER BY x DESC), dense_rank(3) WITHIN GROUP (ORDER BY x DESC), percent_rank(3) WITHIN GROUP (ORDER BY x DESC), cume_dist(3) WITHIN GROUP (ORDER BY x DESC) FROM (VALUES (1), (1), (2), (2), (3), (3), (4)) v(x);
-- NULLs, in the rows and of the row that is not there.
SELECT rank(2) WITHIN GROUP (ORDER BY x), rank(2) WITHIN GROUP (ORDER BY x NULLS FIRST), rank(NULL) WITHIN GROUP (ORDER BY x), rank(NULL) WITHIN GROUP (ORDER BY x NULLS FIRST), dense_rank(5) WITHIN GROUP (ORDER BY x NULLS FIRST), cume_dist(NULL) WITHIN GROUP (ORDER BY x) FROM (VALUES (1), (2), (NULL), (3), (NULL)) v(x);
-- Several keys, groups, filters, nothing at all.
SELECT rank(1, 'm') WITHIN GROUP (ORDER BY a, b DESC), dense_rank(2, 'b') WITHIN GROUP (ORDER BY a DESC, b) FROM (VALUES (1, 'z'), (1, 'm'), (1, 'a'), (2, 'b'), (2, 'b'), (2, 'a')) v(a, b);
SELECT a, rank(a) WITHIN GROUP (ORDER BY b), dense_rank(a) WITHIN GROUP (ORDER BY b DESC) FILTER (WHERE b <> 4), cume_dist(a + 1) WITHIN GROUP (ORDER BY b) FROM (VALUES (1, 1), (1, 4), (1, 5), (3, 1), (3, 2), (3, 4)) v(a, b) GROUP BY a ORDER BY a;
SELECT rank(0) WITHIN GROUP (ORDER BY x), dense_rank(0) WITHIN GROUP (ORDER BY x), percent_rank(0) WITHIN GROUP (ORDER BY x), cume_dist(0) WITHIN GROUP (ORDER BY x) FROM generate_series(1, 0) x;
SELECT rank('3') WITHIN GROUP (ORDER BY x), rank(2.5) WITHIN GROUP (ORDER BY x) FROM generate_series(1, 5) x;
SELECT rank('adam'::varchar) WITHIN GROUP (ORDER BY x) FROM (VALUES ('fred'), ('jim')) v(x);
SELECT rank(x) WITHIN GROUP (ORDER BY x) FROM generate_series(1, 5) x;
SELECT rank(sum(x)) WITHIN GROUP (ORDER BY x) FROM generate_series(1, 5) x;
SELECT rank(3) WITHIN GROUP (ORDER BY x) FROM (VALUES ('fred'), ('jim')) v(x);
SELECT rank(3) WITHIN GROUP (ORDER BY x, y) FROM (VALUES (1, 2)) v(x, y);
SELECT rank('fred') WITHIN GROUP (ORDER BY x) FROM generate_series(1, 5) x;
-- An aggregate belongs to the innermost query whose columns it mentions.
SELECT (SELECT count(*) FILTER (WHERE o <> 0) FROM (VALUES (1)) i(c)) FROM (VALUES (2), (3)) t(o);
SELECT (SELECT count(*) FILTER (WHERE c <> 0) FROM (VALUES (1)) i(c)) FROM (VALUES (2), (3)) t(o);
SELECT (SELECT max(o) FROM (VALUES (1)) i(c)) FROM (SELECT * FROM (VALUES (2), (3)) x) t(o);
SELECT (SELECT max(o + c) FROM (VALUES (1)) i(c)) FROM (VALUES (2), (3)) t(o);
SELECT (SELECT max(min(o)) FROM (VALUES (1)) i(c)) FROM (VALUES (2), (3)) t(o);
-- Columns of an item to the left are no columns of a grouped lateral query.
SELECT * FROM (VALUES (1), (2)) v(a) LEFT JOIN LATERAL (SELECT v.a, x % 2 AS odd, count(*) FROM generate_series(1, 4) x GROUP BY CUBE (x % 2)) s ON true ORDER BY v.a, odd;
SELECT v.c, (SELECT count(*) FROM generate_series(1, 3) GROUP BY () HAVING v.c) FROM (VALUES (false), (true)) v(c) ORDER BY v.c;
SELECT * FROM (SELECT 1 AS a) v, LATERAL (SELECT v.a, count(*) FROM generate_series(1, 3)) s;
-- A whole row as an argument.
SELECT count(t.*), count(t), min(t.a) FROM (VALUES (1, 2), (3, 4)) t(a, b);
CREATE TABLE w (a int, b text);
INSERT INTO w VALUES (1, 'x');
SELECT (w.*)::text FROM w;
