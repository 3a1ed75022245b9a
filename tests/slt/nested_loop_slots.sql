-- Two nested loops that read one column of the same rows: the one below is in the midst of a row when the one above looks at rows
-- of before. Steps: batches of several sizes, so that they end within a row.

CREATE TABLE ns_o (id int, k int);

CREATE TABLE ns_i (k int, x int, t text);

CREATE TABLE ns_u (k int PRIMARY KEY, y int);

INSERT INTO ns_o SELECT i, (i * 7) % 23 FROM generate_series(1, 100) i;

INSERT INTO ns_i SELECT (i * 13) % 23, i, repeat('x', 50) FROM generate_series(1, 4500) i;

INSERT INTO ns_u SELECT i, i FROM generate_series(0, 30) i;

ANALYZE ns_o, ns_i, ns_u;

SET ochre.batch_rows = 1000;

SELECT count(*), sum(x), sum(y) FROM ns_o o LEFT JOIN LATERAL (SELECT x FROM ns_i WHERE ns_i.k IS NOT DISTINCT FROM o.k OFFSET 0) s ON true LEFT JOIN LATERAL (SELECT y FROM ns_u WHERE ns_u.k IS NOT DISTINCT FROM o.k OFFSET 0) u ON true;

SELECT count(*), count(x), sum(y) FROM ns_o o LEFT JOIN LATERAL (SELECT DISTINCT x % 5 AS x FROM ns_i WHERE ns_i.k IS NOT DISTINCT FROM o.k) s ON true LEFT JOIN LATERAL (SELECT y FROM ns_u WHERE ns_u.k IS NOT DISTINCT FROM o.k OFFSET 0) u ON true;

SET ochre.batch_rows = 3;

SELECT count(*), sum(x), sum(y) FROM ns_o o LEFT JOIN LATERAL (SELECT x FROM ns_i WHERE ns_i.k IS NOT DISTINCT FROM o.k AND x < 400 OFFSET 0) s ON true LEFT JOIN LATERAL (SELECT y FROM ns_u WHERE ns_u.k IS NOT DISTINCT FROM o.k OFFSET 0) u ON true;

SELECT count(*), count(x), sum(y) FROM ns_o o LEFT JOIN LATERAL (SELECT DISTINCT x % 5 AS x FROM ns_i WHERE ns_i.k IS NOT DISTINCT FROM o.k AND x < 400) s ON true LEFT JOIN LATERAL (SELECT y FROM ns_u WHERE ns_u.k IS NOT DISTINCT FROM o.k OFFSET 0) u ON true;

RESET ochre.batch_rows;

SELECT count(*), sum(x), sum(y) FROM ns_o o LEFT JOIN LATERAL (SELECT x FROM ns_i WHERE ns_i.k IS NOT DISTINCT FROM o.k OFFSET 0) s ON true LEFT JOIN LATERAL (SELECT y FROM ns_u WHERE ns_u.k IS NOT DISTINCT FROM o.k OFFSET 0) u ON true;
