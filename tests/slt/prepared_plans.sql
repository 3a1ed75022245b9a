-- Plans of prepared statements: for their values first, for all values when those cost no less.

CREATE TABLE readings (id int PRIMARY KEY, kind int, value int);

INSERT INTO readings SELECT i, CASE WHEN i <= 9900 THEN 1 ELSE 2 END, i % 50 FROM generate_series(1, 10000) i;

CREATE INDEX readings_kind ON readings (kind);

ANALYZE readings;

-- No parameters: one plan for all.
PREPARE total AS SELECT count(*), min(value) FROM readings;

EXECUTE total;

EXECUTE total;

SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'total';

-- Values of a skewed column: five plans for the values, then whatever is cheaper.
PREPARE kinds(int) AS SELECT count(*) FROM readings WHERE kind = $1;

EXECUTE kinds(1);

EXECUTE kinds(2);

EXECUTE kinds(3);

EXECUTE kinds(NULL);

EXECUTE kinds(2);

SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'kinds';

EXECUTE kinds(2);

EXECUTE kinds(1);

SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE name = 'kinds';

SET plan_cache_mode = force_generic_plan;

EXECUTE kinds(2);

EXPLAIN (COSTS OFF) EXECUTE kinds(2);

SET plan_cache_mode = force_custom_plan;

EXPLAIN (COSTS OFF) EXECUTE kinds(2);

EXECUTE kinds(1);

PREPARE counted(int, int) AS SELECT id FROM readings WHERE id = $1 + $2;

EXECUTE counted(3, 4);

EXPLAIN (COSTS OFF) EXECUTE counted(3, 4);

SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'counted';

SET plan_cache_mode = force_generic_plan;

EXPLAIN (COSTS OFF) EXECUTE counted(3, 4);

SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'counted';

-- A value that an expression fails for fails when the statement runs, and only where it is reached.
SET plan_cache_mode = force_custom_plan;

PREPARE quotient(int) AS SELECT 10 / $1;

EXECUTE quotient(0);

EXECUTE quotient(5);

PREPARE guarded(int) AS SELECT CASE WHEN $1 = 0 THEN -1 ELSE 10 / $1 END;

EXECUTE guarded(0);

-- Limits, patterns, arrays, conditions that a value decides.
PREPARE limited(bigint, bigint) AS SELECT id FROM readings ORDER BY id LIMIT $1 OFFSET $2;

EXECUTE limited(2, 3);

EXECUTE limited(NULL, 9998);

PREPARE among(int[]) AS SELECT count(*) FROM readings WHERE id = ANY ($1);

EXECUTE among('{1,2,NULL,10001}');

EXECUTE among(NULL);

EXECUTE among('{}');

PREPARE optional(int) AS SELECT count(*) FROM readings WHERE $1 IS NULL OR value = $1;

EXECUTE optional(NULL);

EXECUTE optional(7);

-- Changes of rows.
PREPARE raise(int, int) AS UPDATE readings SET value = value + $2 WHERE id = $1 RETURNING id, value, $2;

EXECUTE raise(1, 100);

EXECUTE raise(1, NULL);

PREPARE add(int, int) AS INSERT INTO readings VALUES ($1, 9, $2) ON CONFLICT (id) DO UPDATE SET value = excluded.value + $2 RETURNING *;

EXECUTE add(1, 5);

EXECUTE add(20001, 6);

PREPARE merged(int) AS MERGE INTO readings r USING (SELECT $1 AS id) s ON r.id = s.id
  WHEN MATCHED AND r.value > $1 THEN DELETE WHEN MATCHED THEN UPDATE SET value = $1 WHEN NOT MATCHED THEN INSERT VALUES ($1, 8, $1);

EXECUTE merged(2);

EXECUTE merged(30000);

SELECT * FROM readings WHERE id IN (1, 2, 20001, 30000) ORDER BY id;

PREPARE gone(int) AS DELETE FROM readings WHERE id = $1 OR $1 < 0;

EXECUTE gone(30000);

-- Sub-queries, WITH entries, grouping by a parameter, views over them.
PREPARE nested(int) AS WITH w AS (SELECT kind, count(*) c FROM readings WHERE value = $1 GROUP BY kind)
  SELECT kind, c, (SELECT max(id) FROM readings r WHERE r.kind = w.kind AND r.value = $1) FROM w ORDER BY kind;

EXECUTE nested(3);

PREPARE grouped(text) AS SELECT $1 || kind, count(*) FROM readings GROUP BY $1 || kind ORDER BY 1;

EXECUTE grouped('k');

PREPARE constant(int, int) AS SELECT $1, $2, count(*) FROM readings GROUP BY 1, 2;

EXECUTE constant(1, 2);

CREATE TABLE copied AS EXECUTE nested(4);

SELECT * FROM copied ORDER BY kind;

-- The plan follows the tables.
SET plan_cache_mode = auto;

DROP INDEX readings_kind;

EXECUTE kinds(2);

ALTER TABLE readings ALTER COLUMN kind TYPE bigint;

EXECUTE kinds(2);

DROP TABLE readings CASCADE;

EXECUTE kinds(2);
