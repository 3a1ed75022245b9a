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
  Output: emp.id
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
        Output: emp.id, emp.name
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
Rules: prune_projections, eliminate_joins

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
