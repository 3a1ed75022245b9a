-- EXPLAIN: options, their errors, and the forms of plans that need no estimates.
-- Steps: every option right and wrong; the same small plan in each form; what is not a query.
create table x_t (a int primary key, b int);
insert into x_t select i, i % 10 from generate_series(1, 100) i;
analyze x_t;

-- forms
explain (costs off) select 1;
explain (costs off, format text) select 1 where now() > '2000-01-01';
explain (costs off, format json) select 1 as "one ""two""";
explain (costs off, format yaml) select 1;
explain (costs off, format xml) select 1;
explain (costs off, verbose) select 1 + 1, 'a<b'::text;
explain (costs off, verbose, format json) select 'a<b'::text, 'q"';
explain (costs off, verbose, format xml) select 'a<b'::text, 'q"';
explain (costs off, verbose, format yaml) select 'a<b'::text, 'q"';
explain (costs off) values (1), (2);
explain (costs off, verbose) values (1), (2);
explain (costs off) select * from x_t;
explain (costs off, verbose) select * from x_t;
explain (costs off, verbose, format json) select b from x_t as other where b = 3;
explain (costs off, format json) select count(*) from x_t;
explain (costs off, format yaml) select b, count(*) from x_t group by b;
explain (costs off) select b, count(*) from x_t group by b having count(*) > 3 order by 2;
explain (costs off, format xml) select * from generate_series(1, 3) limit 2;
explain (costs off, verbose) select * from generate_series(1, 3) g where g > 1;
explain (costs off) select * from x_t order by b, a desc nulls last limit 3;
explain (costs off) insert into x_t values (1000, 1);
explain (costs off, format json) delete from x_t where b = 3;
explain (costs off) select b, sum(a) over (partition by b order by a) from x_t;
explain (costs off) select b from x_t union all select 1;

-- names: sub-queries by their aliases, relations of a set by their parent, types of users
explain (costs off) select * from (select b, count(*) as n from x_t group by b limit 100) s where n > 1;
explain (costs off, format json) select * from (select b, count(*) as n from x_t group by b limit 100) s (x, y) where y > 1;
explain (costs off) select * from (select * from (select b, count(*) as n from x_t group by b limit 100) s where n > 1) t where b < 3;
explain (costs off) select b from x_t union all (select * from (select b from x_t limit 3) s where b > 1);
create view x_v as select b, max(a) as m from x_t group by b limit 5;
explain (costs off) select * from x_v where m > 1;
explain (costs off) select * from x_v as w (x, y) where y > 1 and x < 2;
explain (costs off, verbose) select b + 1 from (select b, a from x_t order by a limit 3) s where b > 1;
create table x_parent (k int, v int) partition by hash (k);
create table x_child1 partition of x_parent for values with (modulus 2, remainder 0);
create table x_child2 partition of x_parent for values with (modulus 2, remainder 1);
create index on x_parent (k);
insert into x_parent select i, i from generate_series(1, 1000) i;
analyze x_parent;
explain (costs off) select * from x_parent order by k limit 3;
explain (costs off, verbose) select v, k from x_parent order by k desc limit 3;
explain (costs off, format yaml) select k from x_parent order by k limit 3;
explain (costs off) select * from x_parent order by v;
create type x_pair as (n int, t text);
create table x_typed (p x_pair, ps x_pair[]);
explain (costs off, verbose) select p, (p).t, null::x_pair from x_typed where p > '(1,b)'::x_pair and ps = '{}'::x_pair[];
explain (costs off, verbose, format json) select ps from x_typed where p = '(1,"b c")'::x_pair;
explain (costs off, verbose, format xml) select ps from x_typed where p = '(1,<b>)'::x_pair;
explain (costs off) select max(b), count(*) from x_t group by a order by 1 limit 2;

-- what is run
explain (analyze, costs off, timing off, summary off, buffers off) select 1;
explain (analyze, costs off, timing off, summary off, buffers off, format json) select * from x_t where b = 3;
explain (analyze, costs off, timing off, summary off, buffers off) select * from x_t where b = 3;
explain (analyze, costs off, timing off, summary off, buffers off) select * from generate_series(1, 10) g where g > 7;
explain (analyze, costs off, timing off, summary off, buffers off) insert into x_t values (1, 1) on conflict (a) do update set b = 5 where x_t.b > 100;
explain (analyze, costs off, timing off, summary off, buffers off, format json) insert into x_t values (1, 1), (2000, 1) on conflict do nothing;
explain (analyze, costs off, timing off, summary off, buffers off) select * from x_t where false;
select count(*), sum(b) from x_t;

-- options
explain (nonsense) select 1;
explain (analyze nonsense) select 1;
explain (timing) select 1;
explain (timing off, costs off) select 1;
explain (wal) select 1;
explain (serialize) select 1;
explain (serialize none, costs off) select 1;
explain (analyze, serialize nonsense) select 1;
explain (analyze, generic_plan) select 1;
explain (format) select 1;
explain (format nonsense) select 1;
explain (costs 2) select 1;
explain (costs off, costs on, costs off) select 1;
explain (costs off, settings) select 1;
explain select $1;
explain (generic_plan, costs off) select * from x_t where b = $1;
set enable_sort = off;
explain (costs off, settings) select 1;
explain (costs off, settings, format json) select 1;
reset enable_sort;

-- what is explained
prepare x_p(int) as select * from x_t where b = $1;
explain (costs off) execute x_p;
explain (costs off) declare x_c cursor for select 1;
explain (costs off) create table x_new as select 1 as n;
select count(*) from pg_class where relname = 'x_new';
create materialized view x_m as select 1 as n;
explain refresh materialized view x_m;
explain (format json) refresh materialized view x_m;
explain (format yaml) refresh materialized view x_m;
explain (format xml) refresh materialized view x_m;
