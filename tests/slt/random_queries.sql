-- Random queries: what generated statements broke.
-- Each statement here once ended in an internal error or found no plan.

CREATE TABLE numbers (id int PRIMARY KEY, i2 int2, i8 int8, f4 float4, n numeric, d date, ts timestamp);
INSERT INTO numbers SELECT i, i, i * 10, i / 2.0, i * 1.5, date '2020-01-01' + i, timestamp '2020-01-01' + i * interval '1 day' FROM generate_series(1, 100) AS i;
CREATE TABLE names (id int PRIMARY KEY, t text);
INSERT INTO names SELECT i, 'name ' || i FROM generate_series(1, 10) AS i;
ANALYZE numbers;

-- Statistics of one type beside a value of another.
SELECT count(*) FROM numbers WHERE i2 > 71;
SELECT count(*) FROM numbers WHERE i2 > 71::int8 AND i2 < 80::int4;
SELECT count(*) FROM numbers WHERE i8 = 70::int2;
SELECT count(*) FROM numbers WHERE f4 > 10::float8;
SELECT count(*) FROM numbers WHERE d > timestamp '2020-03-01' AND ts < date '2020-03-10';
SELECT count(*) FROM numbers WHERE d = timestamptz '2020-03-01';
SELECT count(*) FROM numbers WHERE 1e300 > n;

-- A column of an item beside, handed on by a lateral item.
SELECT a.id, b.id, c.* FROM numbers AS a, LATERAL (SELECT a.id, a.i2 FROM names WHERE names.id = 1) AS b, LATERAL (SELECT a.id AS one, b.id AS two, b.i2 FROM names WHERE names.id < 3) AS c WHERE a.id < 3 ORDER BY 1, 2, 3;
SELECT id FROM numbers AS n WHERE EXISTS (SELECT FROM (SELECT n.id AS x, t FROM names LIMIT 3) AS a JOIN (SELECT n.id AS y, n.i8 AS z FROM names LIMIT 2) AS b ON a.t IS NOT NULL WHERE x = y) AND id < 4 ORDER BY id;
SELECT (SELECT count(*) FROM (SELECT n.id FROM names WHERE names.id = n.id) AS x) FROM numbers AS n WHERE id IN (9, 10, 11) ORDER BY id;
-- A lateral item that a condition ties to a part of what it needs.
SELECT count(*) FROM names AS a, numbers AS b, LATERAL (SELECT a.id + b.id AS s) AS c WHERE c.s = a.id + 1 AND b.id < 5;

-- Sums of dates and times beyond the calendar.
SELECT date '294276-12-31' + time '23:59';
SELECT date '294277-01-01' + time '00:00';
SELECT date 'infinity' + time '23:00', date '-infinity' + timetz '23:00+02', time '01:00' + date 'infinity';
SELECT (date '294276-12-31' + timetz '23:59:59-12') > now();

-- Records of different shapes.
SELECT (SELECT row(1, 2)) < (SELECT row(1::int8, 2));
SELECT (SELECT row(1, 2)) < (SELECT row(1, 2, 3)), (SELECT row(1, 2)) < (SELECT row(2, 2, 3));
SELECT (SELECT row(1, 2)) = (SELECT row(1, 2, 3));
SELECT (SELECT row(0, 2)) = (SELECT row(1, 2::int8));
SELECT (SELECT array[row(1, 2)]) = (SELECT array[row(1::int8, 2)]);

-- Sums that pass 128 bits.
SELECT 90000000000000000000000000000000000000 + 90000000000000000000000000000000000000.0;
SELECT sum(x), avg(x), max(x) - min(x), variance(x) FROM (VALUES (99999999999999999999999999999999999999), (99999999999999999999999999999999999998), (-99999999999999999999999999999999999999)) AS v (x);
SELECT -99999999999999999999999999999999999999 - 99999999999999999999999999999999999999, 99999999999999999999999999999999999999 * 99999999999999999999999999999999999999;

-- Operators that share a function's name.
SELECT '5'::xid = 5, '5'::xid <> 5, '5'::xid = x FROM (VALUES (1), (5)) AS v (x) ORDER BY x;
