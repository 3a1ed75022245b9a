# Which rules changed a statement, and what it has become. The answers to such queries are in tests/slt/optimizer_rules.sql.

SELECT 1; -- rules
----
Result
Rules: none

SELECT 1; -- rules -- json
----
[
  {
    "Plan": {
      "Node Type": "Result",
      "Parallel Aware": false,
      "Async Capable": false,
      "Disabled": false
    },
    "Rules": []
  }
]

SELECT 1; -- rules -- yaml
----
- Plan: 
    Node Type: "Result"
    Parallel Aware: false
    Async Capable: false
    Disabled: false
  Rules: 

SELECT name FROM emp WHERE id = 2 + 3; -- rules -- xml
----
<explain xmlns="http://www.postgresql.org/2009/explain">
  <Query>
    <Plan>
      <Node-Type>Index Scan</Node-Type>
      <Parallel-Aware>false</Parallel-Aware>
      <Async-Capable>false</Async-Capable>
      <Scan-Direction>Forward</Scan-Direction>
      <Index-Name>emp_pkey</Index-Name>
      <Relation-Name>emp</Relation-Name>
      <Alias>emp</Alias>
      <Disabled>false</Disabled>
      <Index-Cond>(id = 5)</Index-Cond>
    </Plan>
    <Rules>
      <Item>fold_constants</Item>
    </Rules>
  </Query>
</explain>

SELECT name FROM emp WHERE id = 2 + 3; -- rules -- json
----
[
  {
    "Plan": {
      "Node Type": "Index Scan",
      "Parallel Aware": false,
      "Async Capable": false,
      "Scan Direction": "Forward",
      "Index Name": "emp_pkey",
      "Relation Name": "emp",
      "Alias": "emp",
      "Disabled": false,
      "Index Cond": "(id = 5)"
    },
    "Rules": ["fold_constants"]
  }
]

# prune_projections

SELECT id FROM (SELECT id, row_number() OVER (ORDER BY salary) FROM emp) s; -- rules
----
Seq Scan on emp
Rules: prune_projections

SELECT id, n FROM (SELECT id, count(*) OVER (PARTITION BY dept) AS n, rank() OVER (ORDER BY salary) FROM emp) s; -- rules
----
WindowAgg
  Window: w1 AS (PARTITION BY dept)
  ->  Index Scan using emp_dept_idx on emp
Rules: prune_projections

SELECT dept FROM (SELECT dept, sum(salary), max(hired) FROM emp GROUP BY dept) s; -- rules -- verbose
----
HashAggregate
  Output: dept
  Group Key: emp.dept
  ->  Seq Scan on emp
        Output: dept
Rules: prune_projections

SELECT id FROM (SELECT id, random() FROM emp) s; -- rules -- verbose
----
Seq Scan on emp
  Output: id
Rules: none

SELECT id FROM (SELECT id, name || city, generate_series(1, 2) FROM dept) s; -- rules -- verbose
----
ProjectSet
  Output: id
  ->  Seq Scan on dept
        Output: id
Rules: prune_projections

SELECT id FROM (SELECT id, name FROM emp UNION ALL SELECT id, upper(name) FROM dept) s; -- rules -- verbose
----
Append
  ->  Seq Scan on emp
        Output: emp.id
  ->  Seq Scan on dept
        Output: dept.id
Rules: prune_projections

SELECT id FROM (SELECT id, name FROM emp UNION SELECT id, name FROM dept) s; -- rules -- verbose
----
HashAggregate
  Output: emp.id
  Group Key: emp.id, emp.name
  ->  Append
        ->  Seq Scan on emp
              Output: emp.id, emp.name
        ->  Seq Scan on dept
              Output: dept.id, dept.name
Rules: none

WITH w AS (SELECT id, name, rank() OVER (ORDER BY salary) FROM emp), v AS MATERIALIZED (SELECT id, name FROM w WHERE name > 'a') SELECT v.id FROM v, w WHERE v.id = w.id AND w.name = 'x'; -- rules -- verbose
----
Hash Join
  Output: v.id
  Hash Cond: (v.id = w.id)
  CTE w
    ->  Seq Scan on emp
          Output: emp.id, emp.name
  CTE v
    ->  CTE Scan on w
          Output: w.id
          Filter: (w.name > 'a'::text)
  ->  CTE Scan on v
        Output: v.id
  ->  Hash
        Output: w.id
        ->  CTE Scan on w
              Output: w.id
              Filter: (w.name = 'x'::text)
Rules: prune_projections, push_down_predicates

# eliminate_joins

SELECT e.name FROM emp e LEFT JOIN dept d ON d.id = e.dept; -- rules
----
Seq Scan on emp e
Rules: eliminate_joins

SELECT e.name FROM dept d RIGHT JOIN emp e ON d.name = e.name AND d.city > 'A'; -- rules
----
Seq Scan on emp e
Rules: eliminate_joins

SELECT e.name, d.city FROM emp e LEFT JOIN dept d ON d.id = e.dept; -- rules
----
Hash Left Join
  Hash Cond: (e.dept = d.id)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: none

SELECT e.name FROM emp e LEFT JOIN dept d ON d.id > e.dept; -- rules
----
Nested Loop Left Join
  ->  Seq Scan on emp e
  ->  Memoize
        Cache Key: e.dept
        Cache Mode: logical
        ->  Index Only Scan using dept_pkey on dept d
              Index Cond: (id > e.dept)
Rules: none

SELECT e.name FROM emp e LEFT JOIN (SELECT dept, count(*) FROM emp GROUP BY dept) g ON g.dept = e.dept LEFT JOIN (SELECT DISTINCT city FROM dept) c ON c.city = e.name; -- rules
----
Seq Scan on emp e
Rules: prune_projections, eliminate_joins

SELECT e.name FROM emp e LEFT JOIN LATERAL (SELECT count(*) FROM item i WHERE i.order_id = e.id) n ON true; -- rules
----
Seq Scan on emp e
Rules: unnest_laterals, prune_projections, eliminate_joins

SELECT e.name FROM emp e LEFT JOIN dept d ON d.id = e.dept AND random() > 0.5; -- rules
----
Hash Left Join
  Hash Cond: (e.dept = d.id)
  Join Filter: (random() > '0.5'::double precision)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: fold_constants

SELECT e.name FROM emp e LEFT JOIN dept d ON d.id = e.dept FOR UPDATE OF e; -- rules
----
LockRows
  ->  Hash Left Join
        Hash Cond: (e.dept = d.id)
        ->  Seq Scan on emp e
        ->  Hash
              ->  Seq Scan on dept d
Rules: none

SELECT count(*) FROM emp e LEFT JOIN (dept d JOIN emp m ON m.id = d.id) ON d.id = e.dept; -- rules
----
Aggregate
  ->  Seq Scan on emp e
Rules: eliminate_joins

# push_down_predicates

SELECT * FROM (SELECT id, dept, rank() OVER (PARTITION BY dept ORDER BY salary) FROM emp) s WHERE dept = 3; -- rules
----
WindowAgg
  Window: w1 AS (PARTITION BY dept ORDER BY salary)
  ->  Sort
        Sort Key: dept, salary
        ->  Index Scan using emp_dept_idx on emp
              Index Cond: (dept = 3)
Rules: push_down_predicates

SELECT * FROM (SELECT id, dept, rank() OVER (ORDER BY dept) FROM emp) s WHERE dept = 3; -- rules
----
Subquery Scan on s
  Filter: (s.dept = 3)
  ->  WindowAgg
        Window: w1 AS (ORDER BY emp.dept)
        ->  Index Scan using emp_dept_idx on emp
Rules: push_down_predicates

SELECT * FROM (SELECT DISTINCT ON (dept) dept, name FROM emp ORDER BY dept, salary) s WHERE dept = 3 AND name > 'a'; -- rules
----
Subquery Scan on s
  Filter: (s.name > 'a'::text)
  ->  Unique
        ->  Sort
              Sort Key: emp.dept, emp.salary
              ->  Index Scan using emp_dept_idx on emp
                    Index Cond: (dept = 3)
Rules: push_down_predicates

SELECT * FROM (SELECT id, name FROM emp INTERSECT SELECT id, name FROM dept) s WHERE id = 3; -- rules
----
HashSetOp Intersect
  ->  Index Scan using emp_pkey on emp
        Index Cond: (id = 3)
  ->  Index Scan using dept_pkey on dept
        Index Cond: (id = 3)
Rules: push_down_predicates

SELECT * FROM (SELECT salary FROM emp EXCEPT SELECT total FROM orders) s WHERE salary > 3; -- rules
----
Subquery Scan on s
  Filter: (s.salary > '3'::numeric)
  ->  HashSetOp Except
        ->  Seq Scan on emp
        ->  Seq Scan on orders
Rules: fold_constants

SELECT * FROM (SELECT id, generate_series(1, dept) AS g FROM emp) s WHERE id = 3 AND g = 2; -- rules
----
Subquery Scan on s
  Filter: (s.g = 2)
  ->  ProjectSet
        ->  Index Scan using emp_pkey on emp
              Index Cond: (id = 3)
Rules: push_down_predicates

SELECT * FROM (SELECT random() AS r, count(*) FROM emp GROUP BY 1) s WHERE r > 0.5; -- rules
----
HashAggregate
  Group Key: random()
  Filter: (random() > '0.5'::double precision)
  ->  Seq Scan on emp
Rules: fold_constants, push_down_predicates

# anti_joins_from_outer

SELECT e.name FROM emp e LEFT JOIN dept d ON d.id = e.dept WHERE d.id IS NULL; -- rules
----
Hash Anti Join
  Hash Cond: (e.dept = d.id)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: anti_joins_from_outer

SELECT e.name, d.city FROM emp e LEFT JOIN dept d ON d.id = e.dept WHERE d.id IS NULL; -- rules
----
Hash Anti Join
  Hash Cond: (e.dept = d.id)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: anti_joins_from_outer, prune_projections

SELECT e.name FROM emp e LEFT JOIN dept d ON d.id = e.dept WHERE d.city IS NULL; -- rules
----
Hash Left Join
  Hash Cond: (e.dept = d.id)
  Filter: (d.city IS NULL)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: none

SELECT e.name FROM emp e LEFT JOIN dept d ON d.id = e.dept AND d.city > 'a' WHERE d.city IS NULL; -- rules
----
Hash Anti Join
  Hash Cond: (e.dept = d.id)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
              Filter: (city > 'a'::text)
Rules: anti_joins_from_outer, push_down_predicates

# find_contradictions

SELECT count(*) FROM emp e JOIN dept d ON d.id = e.dept WHERE e.dept = 3 AND e.dept = 4; -- rules
----
Aggregate
  ->  Result
        One-Time Filter: false
Rules: derive_equalities, push_down_predicates, find_contradictions

SELECT name FROM emp WHERE id IS NULL OR name IS NULL; -- rules
----
Seq Scan on emp
  Filter: ((id IS NULL) OR (name IS NULL))
Rules: none

SELECT name FROM emp WHERE id IS NULL; -- rules
----
Result
  One-Time Filter: false
Rules: find_contradictions

SELECT name FROM emp WHERE id IS NOT NULL AND dept IS NOT NULL; -- rules
----
Seq Scan on emp
  Filter: (dept IS NOT NULL)
Rules: find_contradictions

SELECT name FROM emp WHERE NOT (dept < 5 OR dept >= 7 OR salary IS NULL); -- rules
----
Bitmap Heap Scan on emp
  Recheck Cond: ((dept >= 5) AND (dept < 7))
  Filter: (salary IS NOT NULL)
  ->  Bitmap Index Scan on emp_dept_idx
        Index Cond: ((dept >= 5) AND (dept < 7))
Rules: fold_constants

# window_run_conditions

SELECT * FROM (SELECT id, row_number() OVER (ORDER BY salary) AS n FROM emp) s WHERE n <= 5; -- rules
----
Subquery Scan on s
  Filter: (s.n <= 5)
  ->  WindowAgg
        Window: w1 AS (ORDER BY emp.salary)
        Run Condition: (row_number() OVER w1 <= 5)
        ->  Sort
              Sort Key: emp.salary
              ->  Seq Scan on emp
Rules: push_down_predicates, window_run_conditions

SELECT * FROM (SELECT id, rank() OVER (PARTITION BY dept ORDER BY salary) AS n FROM emp) s WHERE 5 = n; -- rules
----
Subquery Scan on s
  Filter: (5 = s.n)
  ->  WindowAgg
        Window: w1 AS (PARTITION BY emp.dept ORDER BY emp.salary)
        Run Condition: (5 >= rank() OVER w1)
        ->  Sort
              Sort Key: emp.dept, emp.salary
              ->  Seq Scan on emp
Rules: push_down_predicates, window_run_conditions

SELECT * FROM (SELECT id, count(*) OVER (ORDER BY salary) AS n FROM emp) s WHERE n < $1; -- rules
----
Subquery Scan on s
  Filter: (s.n < $1)
  ->  WindowAgg
        Window: w1 AS (ORDER BY emp.salary)
        Run Condition: (count(*) OVER w1 < $1)
        ->  Sort
              Sort Key: emp.salary
              ->  Seq Scan on emp
Rules: push_down_predicates, window_run_conditions

SELECT * FROM (SELECT id, count(*) OVER (ORDER BY salary ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS n FROM emp) s WHERE n > 5; -- rules
----
Subquery Scan on s
  Filter: (s.n > 5)
  ->  WindowAgg
        Window: w1 AS (ORDER BY emp.salary ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
        Run Condition: (count(*) OVER w1 > 5)
        ->  Sort
              Sort Key: emp.salary
              ->  Seq Scan on emp
Rules: push_down_predicates, window_run_conditions

SELECT * FROM (SELECT id, row_number() OVER (ORDER BY salary) AS n FROM emp) s WHERE n > 5; -- rules
----
Subquery Scan on s
  Filter: (s.n > 5)
  ->  WindowAgg
        Window: w1 AS (ORDER BY emp.salary)
        ->  Sort
              Sort Key: emp.salary
              ->  Seq Scan on emp
Rules: push_down_predicates

SELECT * FROM (SELECT id, dept, row_number() OVER (ORDER BY salary) AS n FROM emp) s WHERE n < dept; -- rules
----
Subquery Scan on s
  Filter: (s.n < s.dept)
  ->  WindowAgg
        Window: w1 AS (ORDER BY emp.salary)
        ->  Sort
              Sort Key: emp.salary
              ->  Seq Scan on emp
Rules: push_down_predicates

SELECT * FROM (SELECT id, row_number() OVER (ORDER BY salary) AS n, sum(random()) OVER (ORDER BY salary) FROM emp) s WHERE n < 5; -- rules
----
Subquery Scan on s
  Filter: (s.n < 5)
  ->  WindowAgg
        Window: w1 AS (ORDER BY emp.salary)
        ->  Sort
              Sort Key: emp.salary
              ->  Seq Scan on emp
Rules: push_down_predicates

# min_max_by_index

SELECT min(id), max(id) FROM emp; -- rules
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
Rules: min_max_by_index

SELECT min(id), max(name) FROM emp; -- rules
----
Aggregate
  ->  Seq Scan on emp
Rules: none

SELECT name FROM emp WHERE id = (SELECT max(id) FROM emp); -- rules
----
Index Scan using emp_pkey on emp
  Index Cond: (id = (InitPlan 2).col1)
  InitPlan 2
    ->  Result
          InitPlan 1
            ->  Limit
                  ->  Index Only Scan Backward using emp_pkey on emp emp_1
                        Index Cond: (id IS NOT NULL)
Rules: min_max_by_index

SELECT max(id), min(id) FROM (SELECT id FROM emp UNION ALL SELECT id FROM customer WHERE city = 'x') s; -- rules
----
Result
  InitPlan 1
    ->  Limit
          ->  Merge Append
                Sort Key: emp.id DESC
                ->  Index Only Scan Backward using emp_pkey on emp
                      Index Cond: (id IS NOT NULL)
                ->  Index Scan Backward using customer_pkey on customer
                      Index Cond: (id IS NOT NULL)
                      Filter: (city = 'x'::text)
  InitPlan 2
    ->  Limit
          ->  Merge Append
                Sort Key: emp.id
                ->  Index Only Scan using emp_pkey on emp
                      Index Cond: (id IS NOT NULL)
                ->  Index Scan using customer_pkey on customer
                      Index Cond: (id IS NOT NULL)
                      Filter: (city = 'x'::text)
Rules: min_max_by_index

SELECT max(id) FROM (SELECT id FROM emp UNION ALL SELECT a FROM t) s; -- rules
----
Result
  InitPlan 1
    ->  Limit
          ->  Merge Append
                Sort Key: emp.id DESC
                ->  Index Only Scan Backward using emp_pkey on emp
                      Index Cond: (id IS NOT NULL)
                ->  Sort
                      Sort Key: t.a DESC
                      ->  Seq Scan on t
                            Filter: (a IS NOT NULL)
Rules: min_max_by_index

SELECT max(id), min(id) FROM (SELECT id FROM dept UNION ALL SELECT a FROM t) s; -- rules
----
Aggregate
  ->  Append
        ->  Seq Scan on dept
        ->  Seq Scan on t
Rules: none

SELECT max(id) FROM (SELECT id FROM emp UNION ALL SELECT 7) s; -- rules
----
Aggregate
  ->  Append
        ->  Seq Scan on emp
        ->  Result
Rules: none

# eliminate_self_joins

SELECT a.name, b.dept FROM emp a JOIN emp b ON a.id = b.id WHERE a.salary > 3 AND b.salary > 3; -- rules -- verbose
----
Seq Scan on emp b
  Output: name, dept
  Filter: (b.salary > '3'::numeric)
Rules: fold_constants, eliminate_self_joins, push_down_predicates, find_contradictions

SELECT a.id FROM dept a, dept b WHERE a.name = b.name AND b.city = 'x'; -- rules
----
Seq Scan on dept b
  Filter: ((city = 'x'::text) AND (name IS NOT NULL))
Rules: eliminate_self_joins, push_down_predicates

SELECT a.name, c.city FROM emp a, emp b, dept c WHERE a.id = c.id AND b.id = c.id AND b.dept = 3; -- rules
----
Hash Join
  Hash Cond: (c.id = b.id)
  ->  Seq Scan on dept c
  ->  Hash
        ->  Index Scan using emp_dept_idx on emp b
              Index Cond: (dept = 3)
Rules: eliminate_self_joins, push_down_predicates

SELECT a.name FROM emp a, emp b WHERE a.id = 5 AND b.id = 5; -- rules
----
Index Scan using emp_pkey on emp b
  Index Cond: (id = 5)
Rules: eliminate_self_joins

SELECT a.name FROM emp a, emp b WHERE a.dept = b.dept; -- rules
----
Hash Join
  Hash Cond: (a.dept = b.dept)
  ->  Seq Scan on emp a
  ->  Hash
        ->  Seq Scan on emp b
Rules: push_down_predicates

SELECT a.name FROM emp a LEFT JOIN emp b ON a.id = b.id WHERE b.dept = 3; -- rules
----
Index Scan using emp_dept_idx on emp b
  Index Cond: (dept = 3)
Rules: simplify_outer_joins, eliminate_self_joins, push_down_predicates, find_contradictions

SELECT a.name FROM emp a, emp b WHERE a.id = b.id FOR UPDATE; -- rules
----
LockRows
  ->  Hash Join
        Hash Cond: (a.id = b.id)
        ->  Seq Scan on emp a
        ->  Hash
              ->  Seq Scan on emp b
Rules: push_down_predicates

SELECT a, b FROM emp a, emp b WHERE a.id = b.id; -- rules -- verbose
----
Seq Scan on emp b
  Output: b.*, b.*
Rules: eliminate_self_joins, find_contradictions

SELECT a.id, b.id FROM emp a, emp b, LATERAL (SELECT b.id + 1 AS n) l WHERE a.id = b.id AND a.dept = l.n; -- rules
----
Hash Join
  Hash Cond: ((a.id = b.id) AND (a.dept = (b.id + 1)))
  ->  Seq Scan on emp a
  ->  Hash
        ->  Seq Scan on emp b
Rules: pull_up_laterals, push_down_predicates

SELECT a.name, (SELECT city FROM dept WHERE dept.id = b.dept) FROM emp a, emp b WHERE a.id = b.id ORDER BY b.id LIMIT 3; -- rules
----
Limit
  ->  Nested Loop Left Join
        ->  Index Scan using emp_pkey on emp b
        ->  Memoize
              Cache Key: b.dept
              Cache Mode: logical
              ->  Index Scan using dept_pkey on dept
                    Index Cond: (id = b.dept)
Rules: unnest_scalars, eliminate_self_joins, find_contradictions

SELECT v.n, w.up FROM (SELECT id AS i, name AS n FROM emp WHERE dept = 3) v JOIN (SELECT id AS j, upper(name) AS up FROM emp WHERE salary > 5) w ON v.i = w.j; -- rules -- verbose
----
Index Scan using emp_dept_idx on emp emp_1
  Output: name, upper(name)
  Index Cond: (emp_1.dept = 3)
  Filter: (emp_1.salary > '5'::numeric)
Rules: fold_constants, eliminate_self_joins, push_down_predicates, find_contradictions

SELECT e.name, v.i FROM (SELECT id AS i, id + 1 AS n FROM emp) v, dept d, emp e WHERE e.id = v.i AND v.n = d.id; -- rules
----
Hash Join
  Hash Cond: ((e.id + 1) = d.id)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: eliminate_self_joins, push_down_predicates, find_contradictions

SELECT v.i, v.r FROM (SELECT id AS i, random() AS r FROM emp) v JOIN emp e ON v.i = e.id; -- rules
----
Hash Join
  Hash Cond: (emp.id = e.id)
  ->  Seq Scan on emp
  ->  Hash
        ->  Seq Scan on emp e
Rules: none

UPDATE emp SET name = b.name FROM emp b WHERE emp.id = b.id; -- rules
----
Update on emp
  ->  Hash Join
        Hash Cond: (emp.id = b.id)
        ->  Seq Scan on emp
        ->  Hash
              ->  Seq Scan on emp b
Rules: push_down_predicates

# unnest_subqueries

SELECT name FROM emp e WHERE id > ANY (SELECT d.id FROM dept d WHERE d.city = e.name); -- rules
----
Hash Semi Join
  Hash Cond: (e.name = d.city)
  Join Filter: (e.id > d.id)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: unnest_subqueries

SELECT name FROM emp e WHERE id > ANY (SELECT d.id FROM dept d); -- rules
----
Seq Scan on emp e
  Filter: (ANY (id > (InitPlan 1).col1))
  InitPlan 1
    ->  Seq Scan on dept d
Rules: none

SELECT name FROM emp e WHERE EXISTS (SELECT 1 FROM dept d WHERE d.city = e.name ORDER BY d.name LIMIT 1); -- rules
----
Hash Semi Join
  Hash Cond: (e.name = d.city)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: unnest_subqueries

SELECT e.name FROM emp e JOIN dept d ON d.id = e.dept AND EXISTS (SELECT 1 FROM item i WHERE i.order_id = e.id AND i.line = d.id); -- rules
----
Hash Right Semi Join
  Hash Cond: ((i.order_id = (e.id)::bigint) AND (i.line = d.id))
  ->  Seq Scan on item i
  ->  Hash
        ->  Hash Join
              Hash Cond: (e.dept = d.id)
              ->  Seq Scan on emp e
              ->  Hash
                    ->  Seq Scan on dept d
Rules: unnest_subqueries

SELECT e.name, d.name FROM emp e LEFT JOIN dept d ON d.id = e.dept AND EXISTS (SELECT 1 FROM item i WHERE i.line = d.id); -- rules
----
Hash Left Join
  Hash Cond: (e.dept = d.id)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Hash Right Semi Join
              Hash Cond: (i.line = d.id)
              ->  Seq Scan on item i
              ->  Hash
                    ->  Seq Scan on dept d
Rules: unnest_subqueries

SELECT name FROM emp e WHERE EXISTS (SELECT 1 FROM dept d WHERE d.id = e.dept AND EXISTS (SELECT 1 FROM item i WHERE i.line = d.id AND i.qty = e.manager)); -- rules
----
Hash Right Semi Join
  Hash Cond: ((d.id = e.dept) AND (i.qty = e.manager))
  ->  Hash Join
        Hash Cond: (i.line = d.id)
        ->  Seq Scan on item i
        ->  Hash
              ->  Seq Scan on dept d
  ->  Hash
        ->  Seq Scan on emp e
Rules: unnest_subqueries, push_down_predicates

SELECT * FROM emp e WHERE e.id = 5 OR EXISTS (SELECT FROM dept d WHERE d.id = e.dept AND d.city = 'Oslo'); -- rules
----
Hash Mark Join
  Hash Cond: (e.dept = d.id)
  Filter: ((e.id = 5) OR COALESCE(exists, false))
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
              Filter: (city = 'Oslo'::text)
Rules: mark_joins

SELECT e.name, NOT EXISTS (SELECT FROM dept d WHERE d.id = e.dept) FROM emp e; -- rules
----
Hash Mark Join
  Hash Cond: (e.dept = d.id)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: mark_joins

SELECT e.name, EXISTS (SELECT FROM dept d WHERE d.id = e.dept) FROM emp e WHERE e.id = 7; -- rules
----
Hash Mark Join
  Hash Cond: (e.dept = d.id)
  ->  Index Scan using emp_pkey on emp e
        Index Cond: (id = 7)
  ->  Hash
        ->  Seq Scan on dept d
Rules: mark_joins

SELECT d.name, s.* FROM dept d, LATERAL (SELECT count(*), max(e.salary) FROM emp e WHERE e.dept = d.id) s; -- rules
----
Hash Right Join
  Hash Cond: (e.dept = d.id)
  ->  HashAggregate
        Group Key: e.dept
        ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: unnest_laterals, prune_projections

SELECT d.name, s.* FROM dept d LEFT JOIN LATERAL (SELECT e.manager, count(*) AS c FROM emp e WHERE e.dept = d.id GROUP BY e.manager HAVING count(*) > 1) s ON s.c < 9; -- rules
----
Hash Left Join
  Hash Cond: (d.id = e.dept)
  ->  Seq Scan on dept d
  ->  Hash
        ->  HashAggregate
              Group Key: e.manager, e.dept
              Filter: ((count(*) > 1) AND (count(*) < 9))
              ->  Seq Scan on emp e
Rules: unnest_laterals, push_down_predicates

SELECT d.name, s.* FROM dept d, LATERAL (SELECT e.name AS who, e.salary * 2 AS twice FROM emp e WHERE e.dept = d.id AND e.salary > 100) s; -- rules
----
Hash Join
  Hash Cond: (e.dept = d.id)
  ->  Seq Scan on emp e
        Filter: (salary > '100'::numeric)
  ->  Hash
        ->  Seq Scan on dept d
Rules: fold_constants, pull_up_laterals, prune_projections

SELECT d.name, s.* FROM dept d LEFT JOIN LATERAL (SELECT e.name AS who, d.city FROM emp e WHERE e.dept = d.id) s ON true; -- rules
----
Hash Right Join
  Hash Cond: (e.dept = d.id)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: pull_up_laterals, prune_projections

SELECT d.name, s.id FROM dept d, LATERAL (SELECT e.id FROM emp e WHERE e.dept = d.id ORDER BY e.salary DESC LIMIT 1) s; -- rules
----
Hash Join
  Hash Cond: (e.dept = d.id)
  ->  Unique
        ->  Sort
              Sort Key: e.dept, e.salary DESC
              ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: unnest_laterals

SELECT d.name, s.m FROM dept d, LATERAL (SELECT sum(1 / e.id) AS m FROM emp e WHERE e.dept = d.id) s; -- rules
----
Nested Loop
  ->  Seq Scan on dept d
  ->  Aggregate
        ->  Index Scan using emp_dept_idx on emp e
              Index Cond: (dept = d.id)
Rules: none

SELECT e.name, (SELECT d.name FROM dept d WHERE d.id = e.dept) FROM emp e; -- rules
----
Hash Left Join
  Hash Cond: (e.dept = d.id)
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: unnest_scalars

SELECT e.name, (SELECT i.qty FROM item i WHERE i.qty = e.dept) FROM emp e; -- rules
----
Hash Left Join
  Hash Cond: (e.dept = i.qty)
  ->  Seq Scan on emp e
  ->  Hash
        ->  HashAggregate
              Group Key: i.qty
              ->  Seq Scan on item i
Rules: unnest_scalars

SELECT e.name FROM emp e WHERE e.name = (SELECT d.name FROM dept d WHERE d.id = e.dept); -- rules
----
Hash Join
  Hash Cond: ((e.dept = d.id) AND (e.name = d.name))
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: unnest_scalars, simplify_outer_joins, push_down_predicates

SELECT e.name, (SELECT upper(e.name)) FROM emp e; -- rules
----
Seq Scan on emp e
Rules: unnest_scalars

SELECT e.name FROM emp e WHERE e.id = 5 OR e.name NOT IN (SELECT d.name FROM dept d WHERE d.id = e.dept); -- rules
----
Hash Mark Join
  Hash Cond: (e.dept = d.id)
  Join Filter: ((e.name = d.name) IS NOT FALSE)
  Filter: ((e.id = 5) OR (NOT COALESCE(any, false)))
  ->  Seq Scan on emp e
  ->  Hash
        ->  Seq Scan on dept d
Rules: mark_joins

SELECT e.name, e.manager IN (SELECT i.qty FROM item i WHERE i.line = e.dept) FROM emp e; -- rules
----
Hash Mark Join
  Hash Cond: (e.dept = i.line)
  Join Filter: ((e.manager = i.qty) IS UNKNOWN)
  ->  Hash Mark Join
        Hash Cond: ((e.dept = i.line) AND (e.manager = i.qty))
        ->  Seq Scan on emp e
        ->  Hash
              ->  Seq Scan on item i
  ->  Hash
        ->  Seq Scan on item i
Rules: mark_joins

SELECT e.name FROM emp e WHERE e.manager > ALL (SELECT i.qty FROM item i WHERE i.line = e.dept); -- rules
----
Hash Right Anti Join
  Hash Cond: (i.line = e.dept)
  Join Filter: ((e.manager > i.qty) IS NOT TRUE)
  ->  Seq Scan on item i
  ->  Hash
        ->  Seq Scan on emp e
Rules: unnest_subqueries

SELECT e.name FROM emp e WHERE e.manager NOT IN (SELECT i.qty FROM item i WHERE i.line = e.dept); -- rules
----
Hash Right Anti Join
  Hash Cond: (i.line = e.dept)
  Join Filter: ((e.manager = i.qty) IS NOT FALSE)
  ->  Seq Scan on item i
  ->  Hash
        ->  Seq Scan on emp e
Rules: unnest_subqueries

SELECT e.name, CASE WHEN e.id > 5 THEN (SELECT max(i.qty) FROM item i WHERE i.line = e.dept) END FROM emp e; -- rules
----
Hash Left Join
  Hash Cond: (e.dept = i.line)
  ->  Seq Scan on emp e
  ->  Hash
        ->  HashAggregate
              Group Key: i.line
              ->  Seq Scan on item i
Rules: unnest_aggregates
