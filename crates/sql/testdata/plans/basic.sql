SELECT abalance FROM pgbench_accounts WHERE aid = $1;
----
Index Scan using pgbench_accounts_pkey on pgbench_accounts
  Index Cond: (aid = $1)

SELECT abalance FROM pgbench_accounts WHERE aid = 7; -- costs
----
Index Scan using pgbench_accounts_pkey on pgbench_accounts  (cost=0.18..8.19 rows=1 width=4)
  Index Cond: (aid = 7)

UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2;
----
Update on pgbench_accounts
  ->  Index Scan using pgbench_accounts_pkey on pgbench_accounts
        Index Cond: (aid = $2)

UPDATE pgbench_branches SET bbalance = bbalance + -17 WHERE bid = 1;
----
Update on pgbench_branches
  ->  Index Scan using pgbench_branches_pkey on pgbench_branches
        Index Cond: (bid = 1)

INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, 4, CURRENT_TIMESTAMP);
----
Insert on pgbench_history
  ->  Result

INSERT INTO pgbench_branches VALUES (1, 0), (2, 0) ON CONFLICT (bid) DO UPDATE SET bbalance = excluded.bbalance + pgbench_branches.bbalance RETURNING bid, bbalance * 2; -- verbose
----
Insert on pgbench_branches
  Output: bid, "?column?"
  Conflict Resolution: UPDATE
  Conflict Arbiter Indexes: pgbench_branches_pkey
  ->  Values Scan on "*VALUES*"
        Output: column1, column2, column3

DELETE FROM emp WHERE id = 3 RETURNING *;
----
Delete on emp
  ->  Index Scan using emp_pkey on emp
        Index Cond: (id = 3)

SELECT count(*) FROM emp;
----
Aggregate
  ->  Seq Scan on emp

SELECT dept, count(*), avg(salary) FROM emp GROUP BY dept HAVING count(*) > 3 ORDER BY dept;
----
Sort
  Sort Key: dept
  ->  HashAggregate
        Group Key: dept
        Filter: (count(*) > 3)
        ->  Seq Scan on emp

SELECT e.name, d.name FROM emp e JOIN dept d ON e.dept = d.id WHERE d.city = 'Oslo';
----
Hash Join
  Hash Cond: (e.dept = d.id)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
              Filter: (city = 'Oslo'::text)

SELECT e.name, m.name FROM emp e LEFT JOIN emp m ON e.manager = m.id WHERE e.id = 5;
----
Nested Loop Left Join
  ->  Index Scan using emp_pkey on emp e
        Index Cond: (id = 5)
  ->  Index Scan using emp_pkey on emp m
        Index Cond: (id = e.manager)

SELECT * FROM dept ORDER BY id DESC LIMIT 3;
----
Limit
  ->  Index Scan Backward using dept_pkey on dept

SELECT name FROM emp WHERE dept IN (1, 2, 3) AND salary > 1000;
----
Bitmap Heap Scan on emp
  Recheck Cond: (dept = ANY ('{1,2,3}'::integer[]))
  Filter: (salary > '1000'::numeric)
  ->  Bitmap Index Scan on emp_dept_idx
        Index Cond: (dept = ANY ('{1,2,3}'::integer[]))

SELECT name FROM customer WHERE name LIKE 'Ab%';
----
Index Only Scan using customer_name_idx on customer
  Index Cond: ((name >= 'Ab'::text) AND (name < 'Ac'::text))
  Filter: (name ~~ 'Ab%'::text)

SELECT DISTINCT city FROM dept ORDER BY city;
----
Sort
  Sort Key: city
  ->  HashAggregate
        Group Key: city
        ->  Seq Scan on dept

SELECT DISTINCT ON (dept) dept, name FROM emp ORDER BY dept, salary DESC;
----
Unique
  ->  Sort
        Sort Key: dept, salary DESC
        ->  Seq Scan on emp

SELECT id FROM emp UNION ALL SELECT id FROM dept;
----
Append
  ->  Seq Scan on emp
  ->  Seq Scan on dept

SELECT id FROM emp UNION SELECT id FROM dept ORDER BY 1;
----
Sort
  Sort Key: emp.id
  ->  HashAggregate
        Group Key: emp.id
        ->  Append
              ->  Seq Scan on emp
              ->  Seq Scan on dept

SELECT id FROM emp EXCEPT SELECT manager FROM emp;
----
HashSetOp Except
  ->  Seq Scan on emp
  ->  Seq Scan on emp emp_1

SELECT name FROM dept d WHERE EXISTS (SELECT 1 FROM emp e WHERE e.dept = d.id);
----
Nested Loop Semi Join
  ->  Seq Scan on dept d
  ->  Index Only Scan using emp_dept_idx on emp e
        Index Cond: (dept = d.id)

SELECT name FROM dept d WHERE d.id NOT IN (SELECT dept FROM emp);
----
Hash Anti (NOT IN) Join
  Hash Cond: (d.id = emp.dept)
  ->  Seq Scan on dept d
  ->  Hash
        ->  Seq Scan on emp

SELECT name, (SELECT count(*) FROM emp e WHERE e.dept = d.id) FROM dept d;
----
Hash Right Join
  Hash Cond: (e.dept = d.id)
  ->  HashAggregate
        Group Key: e.dept
        ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d

SELECT * FROM emp WHERE salary > (SELECT avg(salary) FROM emp);
----
Seq Scan on emp
  Filter: (salary > (InitPlan 1).col1)
  InitPlan 1
    ->  Aggregate
          ->  Seq Scan on emp emp_1

WITH big AS (SELECT * FROM emp WHERE salary > 1000) SELECT * FROM big b1 JOIN big b2 ON b1.id = b2.manager;
----
Hash Join
  Hash Cond: (b1.id = b2.manager)
  CTE big
    ->  Seq Scan on emp
          Filter: (salary > '1000'::numeric)
  ->  CTE Scan on big b1
  ->  Hash
        ->  CTE Scan on big b2

WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 10) SELECT sum(n) FROM r;
----
Aggregate
  CTE r
    ->  Recursive Union
          ->  Result
          ->  WorkTable Scan on r
                Filter: (n < 10)
  ->  CTE Scan on r

SELECT * FROM generate_series(1, 10) g WHERE g > 5;
----
Function Scan on generate_series g
  Filter: (g > 5)

SELECT * FROM dept d, LATERAL (SELECT * FROM emp e WHERE e.dept = d.id ORDER BY salary DESC LIMIT 2) x;
----
Nested Loop
  ->  Seq Scan on dept d
  ->  Limit
        ->  Sort
              Sort Key: e.salary DESC
              ->  Index Scan using emp_dept_idx on emp e
                    Index Cond: (dept = d.id)

SELECT max(id) FROM emp;
----
Result
  InitPlan 1
    ->  Limit
          ->  Index Only Scan Backward using emp_pkey on emp
                Index Cond: (id IS NOT NULL)

SELECT name, rank() OVER (PARTITION BY dept ORDER BY salary DESC) FROM emp;
----
WindowAgg
  Window: w1 AS (PARTITION BY dept ORDER BY salary DESC)
  ->  Sort
        Sort Key: dept, salary DESC
        ->  Seq Scan on emp

VALUES (1, 'a'), (2, 'b');
----
Values Scan on "*VALUES*"

SELECT 1 + 1 AS two, 'x' || 'y';
----
Result

SELECT * FROM emp WHERE id = 1 FOR UPDATE;
----
LockRows
  ->  Index Scan using emp_pkey on emp
        Index Cond: (id = 1)

SELECT o.id FROM customer c, orders o, item i WHERE c.id = o.customer AND o.id = i.order_id AND c.name = 'Smith' AND i.qty > 10;
----
Nested Loop
  ->  Nested Loop
        ->  Index Scan using customer_name_idx on customer c
              Index Cond: (name = 'Smith'::text)
        ->  Index Scan using orders_customer_idx on orders o
              Index Cond: (customer = c.id)
  ->  Index Scan using item_order_id_idx on item i
        Index Cond: (order_id = o.id)
        Filter: (qty > 10)

SELECT a.id FROM emp a FULL JOIN dept b ON a.dept = b.id;
----
Hash Full Join
  Hash Cond: (a.dept = b.id)
  ->  Seq Scan on emp a
  ->  Hash
        ->  Seq Scan on dept b

SELECT * FROM emp WHERE false;
----
Result
  One-Time Filter: false

SELECT b, c FROM t WHERE c AND NOT (a > 3 OR b IS NULL) AND e = 5 AND f = 1;
----
Seq Scan on t
  Filter: (c AND (a <= 3) AND (b IS NOT NULL) AND (e = 5) AND (f = 1))

SELECT unnest(j), generate_series(1, 2) FROM t;
----
ProjectSet
  ->  Seq Scan on t

SELECT dept, name, sum(salary) FROM emp GROUP BY ROLLUP (dept, name);
----
MixedAggregate
  Hash Key: dept, name
  Hash Key: dept
  Group Key: ()
  ->  Seq Scan on emp

INSERT INTO dept SELECT id, name, 'x' FROM emp WHERE id > 5;
----
Insert on dept
  ->  Seq Scan on emp
        Filter: (id > 5)

DELETE FROM emp USING dept WHERE emp.dept = dept.id AND dept.name = 'x';
----
Delete on emp
  ->  Nested Loop
        ->  Index Scan using dept_name_idx on dept
              Index Cond: (name = 'x'::text)
        ->  Index Scan using emp_dept_idx on emp
              Index Cond: (dept = dept.id)

UPDATE emp SET salary = salary * 2, name = d.name FROM dept d WHERE emp.dept = d.id RETURNING emp.id, d.city;
----
Update on emp
  ->  Hash Join
        Hash Cond: (emp.dept = d.id)
        ->  Seq Scan on emp
        ->  Hash
              ->  Seq Scan on dept d

SELECT relname FROM pg_class WHERE oid = 1259;
----
Seq Scan on pg_class
  Filter: (oid = '1259'::oid)

SELECT c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','') AND n.nspname <> 'pg_catalog' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1;
----
Sort
  Sort Key: c.relname
  ->  Hash Join
        Hash Cond: (n.oid = c.relnamespace)
        ->  Seq Scan on pg_namespace n
              Filter: (nspname <> 'pg_catalog'::name)
        ->  Hash
              ->  Seq Scan on pg_class c
                    Filter: ((relkind = ANY ('{r,p,""}'::"char"[])) AND pg_table_is_visible(oid))

SELECT * FROM emp e WHERE e.dept IN (SELECT id FROM dept WHERE city = 'Oslo');
----
Hash Join
  Hash Cond: (e.dept = dept.id)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept
              Filter: (city = 'Oslo'::text)

SELECT * FROM emp e WHERE NOT EXISTS (SELECT * FROM orders o, customer c WHERE o.customer = c.id AND c.id = e.id);
----
Hash Right Anti Join
  Hash Cond: (c.id = e.id)
  ->  Hash Join
        Hash Cond: (o.customer = c.id)
        ->  Seq Scan on orders o
        ->  Hash
              ->  Seq Scan on customer c
  ->  Hash
        ->  Seq Scan on emp e

SELECT min(id), max(id) FROM emp;
----
Result
  InitPlan 1
    ->  Limit
          ->  Index Only Scan using emp_pkey on emp
                Index Cond: (id IS NOT NULL)
  InitPlan 2
    ->  Limit
          ->  Index Only Scan Backward using emp_pkey on emp
                Index Cond: (id IS NOT NULL)

SELECT min(placed) FROM orders WHERE status = 'x';
----
Result
  InitPlan 1
    ->  Limit
          ->  Index Scan using orders_placed_idx on orders
                Index Cond: (placed IS NOT NULL)
                Filter: ((status)::text = 'x'::text)

SELECT * FROM emp e JOIN dept d ON e.id = d.id WHERE e.id = 5;
----
Nested Loop
  ->  Index Scan using emp_pkey on emp e
        Index Cond: (id = 5)
  ->  Index Scan using dept_pkey on dept d
        Index Cond: (id = 5)
        Filter: (e.id = id)

SELECT * FROM emp e LEFT JOIN dept d ON e.dept = d.id WHERE d.city = 'Oslo';
----
Hash Join
  Hash Cond: (e.dept = d.id)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
              Filter: (city = 'Oslo'::text)

WITH x AS (SELECT * FROM emp) SELECT * FROM x WHERE id = 4;
----
Index Scan using emp_pkey on emp
  Index Cond: (id = 4)

SELECT * FROM emp WHERE id > 3 AND id < 9 ORDER BY id;
----
Sort
  Sort Key: id
  ->  Bitmap Heap Scan on emp
        Recheck Cond: ((id > 3) AND (id < 9))
        ->  Bitmap Index Scan on emp_pkey
              Index Cond: ((id > 3) AND (id < 9))

SELECT * FROM orders ORDER BY placed DESC LIMIT 10;
----
Limit
  ->  Index Scan Backward using orders_placed_idx on orders

SELECT c.name, count(*) FROM customer c JOIN orders o ON o.customer = c.id GROUP BY c.id ORDER BY 2 DESC LIMIT 5;
----
Limit
  ->  Sort
        Sort Key: (count(*)) DESC
        ->  HashAggregate
              Group Key: c.id
              ->  Hash Join
                    Hash Cond: (o.customer = c.id)
                    ->  Seq Scan on orders o
                    ->  Hash
                          ->  Seq Scan on customer c

SELECT * FROM emp WHERE dept = 3 OR dept = 4;
----
Bitmap Heap Scan on emp
  Recheck Cond: (dept = ANY ('{3,4}'::integer[]))
  ->  Bitmap Index Scan on emp_dept_idx
        Index Cond: (dept = ANY ('{3,4}'::integer[]))

SELECT name FROM emp WHERE id = 3 AND name = 'x';
----
Index Scan using emp_pkey on emp
  Index Cond: (id = 3)
  Filter: (name = 'x'::text)

SELECT t.e FROM t WHERE t.e = ALL (ARRAY[1,2]) AND t.a BETWEEN 1 AND 3 AND b IN ('x');
----
Seq Scan on t
  Filter: ((e = ALL ('{1,2}'::integer[])) AND (a >= 1) AND (a <= 3) AND (b = 'x'::text))

SELECT name FROM emp WHERE salary > ANY (SELECT salary FROM emp WHERE dept = 2);
----
Seq Scan on emp
  Filter: (ANY (salary > (InitPlan 1).col1))
  InitPlan 1
    ->  Index Scan using emp_dept_idx on emp emp_1
          Index Cond: (dept = 2)

SELECT name FROM emp WHERE (dept = 3 OR dept IN (4, 5)) AND (id = 1 OR name = 'x');
----
Bitmap Heap Scan on emp
  Recheck Cond: (dept = ANY ('{3,4,5}'::integer[]))
  Filter: ((id = 1) OR (name = 'x'::text))
  ->  Bitmap Index Scan on emp_dept_idx
        Index Cond: (dept = ANY ('{3,4,5}'::integer[]))

SELECT * FROM emp WHERE id = (SELECT 5);
----
Index Scan using emp_pkey on emp
  Index Cond: (id = (InitPlan 1).col1)
  InitPlan 1
    ->  Result

SELECT * FROM emp WHERE id = (SELECT max(id) FROM dept WHERE city = 'Oslo');
----
Index Scan using emp_pkey on emp
  Index Cond: (id = (InitPlan 2).col1)
  InitPlan 2
    ->  Result
          InitPlan 1
            ->  Limit
                  ->  Index Scan Backward using dept_pkey on dept
                        Index Cond: (id IS NOT NULL)
                        Filter: (city = 'Oslo'::text)

SELECT * FROM emp WHERE id = ANY (ARRAY(SELECT id FROM dept));
----
Index Scan using emp_pkey on emp
  Index Cond: (id = ANY ((InitPlan 1).col1))
  InitPlan 1
    ->  Seq Scan on dept

DELETE FROM emp WHERE id = (SELECT max(id) FROM dept);
----
Delete on emp
  ->  Index Scan using emp_pkey on emp
        Index Cond: (id = (InitPlan 2).col1)
        InitPlan 2
          ->  Result
                InitPlan 1
                  ->  Limit
                        ->  Index Only Scan Backward using dept_pkey on dept
                              Index Cond: (id IS NOT NULL)

SELECT * FROM emp WHERE EXISTS (SELECT 1 FROM dept) AND id < 10;
----
Result
  One-Time Filter: (InitPlan 1).col1
  InitPlan 1
    ->  Seq Scan on dept
  ->  Seq Scan on emp
        Filter: (id < 10)

SELECT e.name FROM emp e JOIN dept d ON e.dept = d.id WHERE EXISTS (SELECT 1 FROM orders);
----
Result
  One-Time Filter: (InitPlan 1).col1
  InitPlan 1
    ->  Seq Scan on orders
  ->  Hash Join
        Hash Cond: (e.dept = d.id)
        ->  Seq Scan on emp e
        ->  Hash
              ->  Seq Scan on dept d

SELECT * FROM emp WHERE (id, dept) > (9000, 3) ORDER BY id, dept LIMIT 5;
----
Limit
  ->  Incremental Sort
        Sort Key: id, dept
        Presorted Key: id
        ->  Index Scan using emp_pkey on emp
              Index Cond: (id >= 9000)
              Filter: (ROW(id, dept) > ROW(9000, 3))

SELECT * FROM emp ORDER BY dept, salary LIMIT 3;
----
Limit
  ->  Incremental Sort
        Sort Key: dept, salary
        Presorted Key: dept
        ->  Index Scan using emp_dept_idx on emp

SELECT * FROM emp ORDER BY id, name LIMIT 3;
----
Limit
  ->  Incremental Sort
        Sort Key: id, name
        Presorted Key: id
        ->  Index Scan using emp_pkey on emp

SELECT * FROM customer c JOIN orders o ON o.customer = c.id ORDER BY o.id LIMIT 5;
----
Limit
  ->  Nested Loop
        ->  Index Scan using orders_pkey on orders o
        ->  Memoize
              Cache Key: o.customer
              Cache Mode: logical
              ->  Index Scan using customer_pkey on customer c
                    Index Cond: (id = o.customer)

SELECT * FROM customer c LEFT JOIN orders o ON o.customer = c.id ORDER BY c.id LIMIT 5;
----
Limit
  ->  Nested Loop Left Join
        ->  Index Scan using customer_pkey on customer c
        ->  Index Scan using orders_customer_idx on orders o
              Index Cond: (customer = c.id)

SELECT * FROM orders o JOIN customer c ON o.customer = c.id LIMIT 5;
----
Limit
  ->  Nested Loop
        ->  Seq Scan on customer c
        ->  Index Scan using orders_customer_idx on orders o
              Index Cond: (customer = c.id)

SELECT c.id, o.id FROM customer c JOIN orders o ON o.customer = c.id JOIN item i ON i.order_id = o.id ORDER BY c.id LIMIT 5;
----
Limit
  ->  Nested Loop
        ->  Merge Join
              Merge Cond: (c.id = o.customer)
              ->  Index Only Scan using customer_pkey on customer c
              ->  Index Scan using orders_customer_idx on orders o
        ->  Index Only Scan using item_order_id_idx on item i
              Index Cond: (order_id = o.id)

SELECT id, count(*) FROM orders GROUP BY id ORDER BY id LIMIT 5;
----
Limit
  ->  GroupAggregate
        Group Key: id
        ->  Index Only Scan using orders_pkey on orders

SELECT DISTINCT customer FROM orders ORDER BY customer LIMIT 5;
----
Limit
  ->  Unique
        ->  Index Only Scan using orders_customer_idx on orders

SELECT * FROM (SELECT * FROM emp UNION ALL SELECT * FROM emp) q ORDER BY id LIMIT 5;
----
Limit
  ->  Merge Append
        Sort Key: emp.id
        ->  Index Scan using emp_pkey on emp
        ->  Index Scan using emp_pkey on emp emp_1

SELECT * FROM customer WHERE id IN (SELECT customer FROM orders WHERE id < 100);
----
Hash Right Semi Join
  Hash Cond: (orders.customer = customer.id)
  ->  Seq Scan on orders
        Filter: (id < 100)
  ->  Hash
        ->  Seq Scan on customer

SELECT d.name, q.n FROM emp e JOIN dept d ON d.id = e.dept, LATERAL (SELECT count(*) AS n FROM orders o WHERE o.customer = e.dept) q;
----
Nested Loop
  ->  Nested Loop
        ->  Seq Scan on dept d
        ->  Index Only Scan using emp_dept_idx on emp e
              Index Cond: (dept = d.id)
  ->  Memoize
        Cache Key: e.dept
        Cache Mode: binary
        ->  Aggregate
              ->  Index Only Scan using orders_customer_idx on orders o
                    Index Cond: (customer = e.dept)

SELECT name FROM customer WHERE name ^@ 'Ab';
----
Index Only Scan using customer_name_idx on customer
  Index Cond: ((name >= 'Ab'::text) AND (name < 'Ac'::text))
  Filter: (name ^@ 'Ab'::text)

SELECT name FROM customer WHERE name SIMILAR TO 'Ab%';
----
Index Only Scan using customer_name_idx on customer
  Index Cond: ((name >= 'Ab'::text) AND (name < 'Ac'::text))
  Filter: (name ~ '^(?:Ab.*)$'::text)
