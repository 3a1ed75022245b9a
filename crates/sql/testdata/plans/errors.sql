SELECT nme FROM emp;

SELECT x FROM nowhere;

SELECT emp.id FROM emp e;

SELECT 1 + 'a'::text;

SELECT foo(1);

SELECT id, count(*) FROM emp GROUP BY dept;

SELECT * FROM emp WHERE count(*) > 1;

SELECT id FROM emp, dept;

SELECT 'abc'::integer;

INSERT INTO emp (id, nosuch) VALUES (1, 2);

INSERT INTO emp (id) VALUES (1, 2);

SELECT * FROM emp ORDER BY 99;

SELECT id FROM emp UNION SELECT id, name FROM dept;

SELECT CASE WHEN true THEN 1 ELSE 'x'::text END;

SELECT $1;

SELECT $1 + $2;

UPDATE emp SET salary = 'x'::date;

SELECT * FROM emp a JOIN emp a ON true;

SELECT sum(sum(salary)) FROM emp;

SELECT name FROM emp GROUP BY id;

INSERT INTO emp VALUES (1) ON CONFLICT (name) DO NOTHING;

SELECT (SELECT id, name FROM emp);

SELECT * FROM emp WHERE id;

SELECT upper(1);

SELECT now() - 1;
