SELECT nme FROM emp;
----
ERROR 42703: column "nme" does not exist @7
HINT: Perhaps you meant to reference the column "emp.name".

SELECT x FROM nowhere;
----
ERROR 42P01: relation "nowhere" does not exist @14

SELECT emp.id FROM emp e;
----
ERROR 42P01: invalid reference to FROM-clause entry for table "emp" @7
HINT: Perhaps you meant to reference the table alias "e".

SELECT 1 + 'a'::text;
----
ERROR 42883: operator does not exist: integer + text @9
HINT: No operator matches the given name and argument types. You might need to add explicit type casts.

SELECT foo(1);
----
ERROR 42883: function foo(integer) does not exist @7
HINT: No function matches the given name and argument types. You might need to add explicit type casts.

SELECT id, count(*) FROM emp GROUP BY dept;
----
ERROR 42803: column "emp.id" must appear in the GROUP BY clause or be used in an aggregate function @7

SELECT * FROM emp WHERE count(*) > 1;
----
ERROR 42803: aggregate functions are not allowed in WHERE @24

SELECT id FROM emp, dept;
----
ERROR 42702: column reference "id" is ambiguous @7

SELECT 'abc'::integer;
----
ERROR 22P02: invalid input syntax for type integer: "abc" @7

INSERT INTO emp (id, nosuch) VALUES (1, 2);
----
ERROR 42703: column "nosuch" of relation "emp" does not exist @21

INSERT INTO emp (id) VALUES (1, 2);
----
ERROR 42601: INSERT has more expressions than target columns @32

SELECT * FROM emp ORDER BY 99;
----
ERROR 42P10: ORDER BY position 99 is not in select list @27

SELECT id FROM emp UNION SELECT id, name FROM dept;
----
ERROR 42601: each UNION query must have the same number of columns @32

SELECT CASE WHEN true THEN 1 ELSE 'x'::text END;
----
ERROR 42804: CASE types text and integer cannot be matched @27

SELECT $1;
----
Result

SELECT $1 + $2;
----
ERROR 42725: operator is not unique: unknown + unknown @10
HINT: Could not choose a best candidate operator. You might need to add explicit type casts.

UPDATE emp SET salary = 'x'::date;
----
ERROR 22007: invalid input syntax for type date: "x" @24

SELECT * FROM emp a JOIN emp a ON true;
----
ERROR 42712: table name "a" specified more than once

SELECT sum(sum(salary)) FROM emp;
----
ERROR 42803: aggregate function calls cannot be nested @11

SELECT name FROM emp GROUP BY id;
----
HashAggregate
  Group Key: id
  ->  Seq Scan on emp

INSERT INTO emp VALUES (1) ON CONFLICT (name) DO NOTHING;
----
ERROR 42P10: there is no unique or exclusion constraint matching the ON CONFLICT specification

SELECT (SELECT id, name FROM emp);
----
ERROR 42601: subquery must return only one column @7

SELECT * FROM emp WHERE id;
----
ERROR 42804: argument of WHERE must be type boolean, not type integer @24

SELECT upper(1);
----
ERROR 42883: function upper(integer) does not exist @7
HINT: No function matches the given name and argument types. You might need to add explicit type casts.

SELECT now() - 1;
----
ERROR 42883: operator does not exist: timestamp with time zone - integer @13
HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
