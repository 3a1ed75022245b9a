-- Tables, constraints, defaults, and what ALTER TABLE does to them.
CREATE TABLE employees (
  id integer PRIMARY KEY,
  name varchar(100) NOT NULL,
  department varchar(50),
  salary integer CHECK (salary > 0),
  active boolean DEFAULT true);
INSERT INTO employees VALUES (1, 'Alice Johnson', 'Engineering', 95000, true), (2, 'Bob Smith', 'Sales', 65000, true), (3, 'Charlie Brown', 'Engineering', 85000, false);
SELECT name, salary FROM employees WHERE department = 'Engineering' AND active ORDER BY salary DESC;
INSERT INTO employees VALUES (1, 'Twice', NULL, 1);
INSERT INTO employees VALUES (4, NULL, NULL, 1);
INSERT INTO employees VALUES (4, 'Poor', NULL, 0);
INSERT INTO employees (id, name) VALUES (4, 'Dora') RETURNING id, active, salary;
INSERT INTO employees (id, name, nothing) VALUES (5, 'x', 1);
INSERT INTO nowhere VALUES (1);
INSERT INTO employees VALUES ('x', 'y');
UPDATE employees SET salary = salary * 2 WHERE id = 2 RETURNING id, salary;
DELETE FROM employees WHERE department IS NULL RETURNING name;
SELECT count(*), sum(salary), avg(salary), min(name), max(name) FROM employees;
ALTER TABLE employees ADD COLUMN grade smallint DEFAULT 3;
SELECT id, grade FROM employees ORDER BY id;
ALTER TABLE employees ALTER COLUMN grade SET DEFAULT 4;
INSERT INTO employees (id, name) VALUES (9, 'New');
SELECT id, grade FROM employees ORDER BY id;
ALTER TABLE employees ALTER COLUMN grade SET NOT NULL;
INSERT INTO employees (id, name, grade) VALUES (10, 'None', NULL);
ALTER TABLE employees ALTER COLUMN grade DROP NOT NULL;
INSERT INTO employees (id, name, grade) VALUES (10, 'None', NULL);
ALTER TABLE employees ALTER COLUMN grade SET NOT NULL;
ALTER TABLE employees RENAME COLUMN grade TO level;
SELECT level FROM employees ORDER BY id;
SELECT grade FROM employees;
ALTER TABLE employees DROP COLUMN department;
SELECT * FROM employees ORDER BY id;
ALTER TABLE employees ADD CONSTRAINT positive CHECK (level > 0 OR level IS NULL);
INSERT INTO employees (id, name, level) VALUES (11, 'Low', -1);
ALTER TABLE employees DROP CONSTRAINT positive;
INSERT INTO employees (id, name, level) VALUES (11, 'Low', -1);
ALTER TABLE employees ADD CONSTRAINT positive CHECK (level > 0);
ALTER TABLE employees DROP CONSTRAINT nothing;
ALTER TABLE employees DROP CONSTRAINT IF EXISTS nothing;
ALTER TABLE employees ADD CONSTRAINT names UNIQUE (name);
INSERT INTO employees (id, name) VALUES (12, 'Low');
ALTER TABLE employees ALTER COLUMN level TYPE bigint;
ALTER TABLE employees ALTER COLUMN level TYPE text USING 'L' || level::text;
SELECT id, level FROM employees ORDER BY id;
ALTER TABLE employees RENAME TO staff;
SELECT count(*) FROM staff;
SELECT count(*) FROM employees;
CREATE TABLE staff (a int);
CREATE TABLE IF NOT EXISTS staff (a int);
TRUNCATE staff;
SELECT count(*) FROM staff;
INSERT INTO staff (id, name) VALUES (1, 'Again');
DROP TABLE staff;
DROP TABLE staff;
DROP TABLE IF EXISTS staff;
-- Serial, identity and sequences.
CREATE TABLE things (id serial PRIMARY KEY, label text);
INSERT INTO things (label) VALUES ('a'), ('b') RETURNING id;
SELECT nextval('things_id_seq'), currval('things_id_seq');
CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY, v int);
INSERT INTO numbered (v) VALUES (10), (20);
INSERT INTO numbered (id, v) VALUES (5, 50);
INSERT INTO numbered (id, v) OVERRIDING SYSTEM VALUE VALUES (5, 50);
SELECT * FROM numbered ORDER BY id;
CREATE SEQUENCE countdown INCREMENT -1 MAXVALUE 3 MINVALUE 1;
SELECT nextval('countdown'), nextval('countdown'), nextval('countdown');
SELECT nextval('countdown');
SELECT setval('countdown', 3), nextval('countdown');
SELECT last_value, is_called FROM countdown;
ALTER SEQUENCE countdown CYCLE;
DROP SEQUENCE countdown;
DROP SEQUENCE things_id_seq;
-- Schemas and the search path.
CREATE SCHEMA other;
CREATE TABLE other.t (a int);
INSERT INTO other.t VALUES (42);
SELECT a FROM t;
SET search_path = other, public;
SELECT a FROM t;
SHOW search_path;
RESET search_path;
DROP SCHEMA other;
DROP SCHEMA other CASCADE;
SELECT a FROM other.t;
-- Generated columns.
CREATE TABLE gen (a int, b int GENERATED ALWAYS AS (a * 2) STORED);
INSERT INTO gen (a) VALUES (1), (21);
SELECT * FROM gen ORDER BY a;
UPDATE gen SET a = 5 WHERE a = 1;
SELECT b FROM gen ORDER BY b;
INSERT INTO gen VALUES (1, 1);
-- An index tells of the types that its columns have now, and finds what it found before.
CREATE TABLE retyped (a int PRIMARY KEY, b int, c varchar(5));
CREATE INDEX retyped_bc ON retyped (b, c) WHERE a > 0;
INSERT INTO retyped VALUES (1, 2, 'x'), (2, 3, 'y');
ALTER TABLE retyped ALTER COLUMN a TYPE bigint;
ALTER TABLE retyped ALTER COLUMN b TYPE text USING b::text;
ALTER TABLE retyped ALTER COLUMN c TYPE varchar(9);
SELECT attrelid::regclass::text, attname, atttypid::regtype::text, atttypmod FROM pg_attribute WHERE attrelid IN ('retyped_pkey'::regclass, 'retyped_bc'::regclass) ORDER BY attrelid::regclass::text, attnum;
SELECT c FROM retyped WHERE b = '3' AND a > 0;
