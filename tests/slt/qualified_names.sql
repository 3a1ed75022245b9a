-- Columns named with their relation and its namespace, as programs write them, wherever a relation may be named.

CREATE SCHEMA s1;
CREATE SCHEMA s2;
CREATE TABLE s1.t (a int PRIMARY KEY, b int);
CREATE TABLE s2.t (a int, b int);
INSERT INTO s1.t VALUES (1, 10), (2, 20);
INSERT INTO s2.t VALUES (1, 100), (2, 200);
SELECT s1.t.a, s1.t.b, s2.t.b FROM s1.t, s2.t WHERE s1.t.a = s2.t.a ORDER BY s1.t.a;
SELECT t.a FROM s1.t, s2.t;
SELECT s1.t.a FROM s1.t, s1.t;
INSERT INTO s1.t VALUES (1, 11) ON CONFLICT (a) DO UPDATE SET b = s1.t.b + excluded.b WHERE s1.t.a > 0 RETURNING s1.t.a, t.b;
INSERT INTO s1.t VALUES (3, 30) RETURNING s1.t.*;
INSERT INTO s1.t AS x VALUES (1, 0) ON CONFLICT (a) DO UPDATE SET b = s1.t.b;
UPDATE s1.t SET b = s1.t.b + 1 WHERE s1.t.a = 2 RETURNING s1.t.a, s1.t.b;
UPDATE s1.t SET b = s1.t.b + s2.t.b FROM s2.t WHERE s1.t.a = s2.t.a AND s1.t.a = 1 RETURNING s1.t.b, s2.t.b;
UPDATE s1.t SET b = 0 FROM s1.t;
UPDATE s1.t AS x SET b = s1.t.b;
UPDATE s1.t SET b = s2.t.b;
DELETE FROM s1.t USING s2.t WHERE s1.t.a = s2.t.a AND s1.t.a = 2 RETURNING s1.t.a, s2.t.b;
DELETE FROM s1.t WHERE EXISTS (SELECT 1 FROM s2.t WHERE s2.t.a = s1.t.a - 2) RETURNING s1.t.*;
MERGE INTO s1.t USING s2.t ON s1.t.a = s2.t.a WHEN MATCHED THEN UPDATE SET b = s1.t.b - s2.t.b WHEN NOT MATCHED THEN INSERT VALUES (s2.t.a, s2.t.b) RETURNING s1.t.a, s1.t.b, s2.t.b;
CREATE VIEW s1.v AS SELECT a, b FROM s1.t;
SELECT s1.v.b FROM s1.v ORDER BY s1.v.a;
SELECT s1.v.b, s2.v.b FROM s1.v, s1.v;
UPDATE s1.v SET b = s1.v.b + 1 WHERE s1.v.a = 1 RETURNING s1.v.*;
DELETE FROM s1.v WHERE s1.v.a = 1 RETURNING v.a, s1.v.b;
