SELECT abalance FROM pgbench_accounts WHERE aid = $1;

SELECT abalance FROM pgbench_accounts WHERE aid = 7; -- costs

UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2;

UPDATE pgbench_branches SET bbalance = bbalance + -17 WHERE bid = 1;

INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, 4, CURRENT_TIMESTAMP);

INSERT INTO pgbench_branches VALUES (1, 0), (2, 0) ON CONFLICT (bid) DO UPDATE SET bbalance = excluded.bbalance + pgbench_branches.bbalance RETURNING bid, bbalance * 2; -- verbose

DELETE FROM emp WHERE id = 3 RETURNING *;

SELECT count(*) FROM emp;

SELECT dept, count(*), avg(salary) FROM emp GROUP BY dept HAVING count(*) > 3 ORDER BY dept;

SELECT e.name, d.name FROM emp e JOIN dept d ON e.dept = d.id WHERE d.city = 'Oslo';

SELECT e.name, m.name FROM emp e LEFT JOIN emp m ON e.manager = m.id WHERE e.id = 5;

SELECT * FROM dept ORDER BY id DESC LIMIT 3;

SELECT name FROM emp WHERE dept IN (1, 2, 3) AND salary > 1000;

SELECT name FROM customer WHERE name LIKE 'Ab%';

SELECT DISTINCT city FROM dept ORDER BY city;

SELECT DISTINCT ON (dept) dept, name FROM emp ORDER BY dept, salary DESC;

SELECT id FROM emp UNION ALL SELECT id FROM dept;

SELECT id FROM emp UNION SELECT id FROM dept ORDER BY 1;

SELECT id FROM emp EXCEPT SELECT manager FROM emp;

SELECT name FROM dept d WHERE EXISTS (SELECT 1 FROM emp e WHERE e.dept = d.id);

SELECT name FROM dept d WHERE d.id NOT IN (SELECT dept FROM emp);

SELECT name, (SELECT count(*) FROM emp e WHERE e.dept = d.id) FROM dept d;

SELECT * FROM emp WHERE salary > (SELECT avg(salary) FROM emp);

WITH big AS (SELECT * FROM emp WHERE salary > 1000) SELECT * FROM big b1 JOIN big b2 ON b1.id = b2.manager;

WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 10) SELECT sum(n) FROM r;

SELECT * FROM generate_series(1, 10) g WHERE g > 5;

SELECT * FROM dept d, LATERAL (SELECT * FROM emp e WHERE e.dept = d.id ORDER BY salary DESC LIMIT 2) x;

SELECT max(id) FROM emp;

SELECT name, rank() OVER (PARTITION BY dept ORDER BY salary DESC) FROM emp;

VALUES (1, 'a'), (2, 'b');

SELECT 1 + 1 AS two, 'x' || 'y';

SELECT * FROM emp WHERE id = 1 FOR UPDATE;

SELECT o.id FROM customer c, orders o, item i WHERE c.id = o.customer AND o.id = i.order_id AND c.name = 'Smith' AND i.qty > 10;

SELECT a.id FROM emp a FULL JOIN dept b ON a.dept = b.id;

SELECT * FROM emp WHERE false;

SELECT b, c FROM t WHERE c AND NOT (a > 3 OR b IS NULL) AND e = 5 AND f = 1;

SELECT unnest(j), generate_series(1, 2) FROM t;

SELECT dept, name, sum(salary) FROM emp GROUP BY ROLLUP (dept, name);

INSERT INTO dept SELECT id, name, 'x' FROM emp WHERE id > 5;

DELETE FROM emp USING dept WHERE emp.dept = dept.id AND dept.name = 'x';

UPDATE emp SET salary = salary * 2, name = d.name FROM dept d WHERE emp.dept = d.id RETURNING emp.id, d.city;

SELECT relname FROM pg_class WHERE oid = 1259;

SELECT c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','') AND n.nspname <> 'pg_catalog' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1;
