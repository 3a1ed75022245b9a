-- Joins of tables that are large enough for several threads to share both sides: every join type, keys of one and of several
-- columns, NULL keys, many rows of one key, empty sides, conditions beside the keys. The settings ask for parallel hash joins.
set max_parallel_workers_per_gather = 3;
set parallel_setup_cost = 0;
set parallel_tuple_cost = 0;
set min_parallel_table_scan_size = 0;
set enable_mergejoin = off;
set enable_nestloop = off;

create table pj_a (id int, k int, s text, d int, e bigint);
create table pj_b (id int, k int, s text, d int, e bigint);
create table pj_none (id int, k int, s text);
insert into pj_a select i, case when i % 50 = 0 then null else i % 601 end, 'key ' || i % 141, i % 7, i * 1000003::bigint from generate_series(1, 4000) i;
insert into pj_b select i, case when i % 45 = 0 then null else i % 801 + 300 end, 'key ' || (case i % 3 when 0 then i % 182 + 60 else i % 141 end), i % 5, i * 1000003::bigint from generate_series(1, 9000, 2) i;
analyze pj_a; analyze pj_b; analyze pj_none;

-- the plans
explain (costs off) select count(*) from pj_a a join pj_b b using (k);
explain (costs off) select count(*) from pj_b b full join pj_a a using (k);

-- one integer key, values close together
select count(*), sum(a.id), sum(b.id) from pj_a a join pj_b b using (k);
select count(*), sum(a.id), sum(b.id) from pj_a a left join pj_b b using (k);
select count(*), sum(a.id), sum(b.id) from pj_a a right join pj_b b using (k);
select count(*), sum(a.id), sum(b.id) from pj_a a full join pj_b b using (k);
select count(*), sum(id) from pj_a a where exists (select from pj_b b where a.k = b.k);
select count(*), sum(id) from pj_a a where not exists (select from pj_b b where a.k = b.k);
select count(*), sum(id) from pj_b b where exists (select from pj_a a where a.k = b.k);
select count(*), sum(id) from pj_b b where not exists (select from pj_a a where a.k = b.k);
select count(*), sum(id) from pj_a where k in (select k from pj_b);
select count(*), sum(id) from pj_a where k not in (select k from pj_b);
select count(*), sum(id) from pj_a where k not in (select k from pj_b where k is not null);
select count(*), sum(id) from pj_b where k not in (select k from pj_a where k is not null);
select count(*), count(m), sum(m::int) from (select k in (select k from pj_b where k > 400) as m from pj_a) x;

-- keys far apart
select count(*), sum(a.id), sum(b.d) from pj_a a join pj_b b using (e);
select count(*), sum(a.id), sum(b.d) from pj_a a left join pj_b b using (e);
select count(*), sum(a.id), sum(b.d) from pj_a a full join pj_b b using (e);
select count(*), sum(id) from pj_b b where not exists (select from pj_a a where a.e = b.e);

-- texts, and several columns
select count(*), sum(a.id), sum(b.id) from pj_a a join pj_b b on a.s = b.s and a.d = b.d;
select count(*), sum(a.id), sum(b.id) from pj_a a left join pj_b b on a.s = b.s and a.e = b.e;
select count(*), sum(a.id), sum(b.id) from pj_a a full join pj_b b on a.s = b.s and a.e = b.e;
select count(*), count(distinct s), min(s), max(s) from pj_a a where not exists (select from pj_b b where a.s = b.s);
select count(*), sum(id) from pj_b b where exists (select from pj_a a where a.s = b.s and a.e = b.e);
select count(*), sum(a.id), sum(b.id) from pj_a a join pj_b b on a.k = b.k and a.d = b.d;

-- conditions beside the keys
select count(*), sum(a.id), sum(b.id) from pj_a a join pj_b b on a.k = b.k and a.id < b.id;
select count(*), sum(a.id), sum(b.id) from pj_a a left join pj_b b on a.k = b.k and a.id < b.d * 800;
select count(*), sum(a.id), sum(b.id) from pj_a a right join pj_b b on a.k = b.k and a.id < b.d * 800;
select count(*), sum(a.id), sum(b.id) from pj_a a full join pj_b b on a.k = b.k and a.d <> b.d;
select count(*), sum(id) from pj_b b where exists (select from pj_a a where a.k = b.k and a.id > b.id);
select count(*), sum(id) from pj_a a where not exists (select from pj_b b where a.k = b.k and a.d > b.d);
select count(*), sum(id) from pj_b b where not exists (select from pj_a a where a.k = b.k and a.d > b.d);

-- empty sides
select count(*) from pj_a a join pj_none n using (k);
select count(*), count(n.id) from pj_a a left join pj_none n using (k);
select count(*), count(a.id) from pj_a a right join pj_none n using (k);
select count(*), count(a.id), count(n.id) from pj_a a full join pj_none n using (k);
select count(*), count(a.id), count(n.id) from pj_none n full join pj_a a using (k);
select count(*) from pj_a where k not in (select k from pj_none);
select count(*) from pj_none where k not in (select k from pj_a);
select count(*), sum(a.id) from pj_a a full join (select * from pj_b where id < 0) b using (k);
select count(*), sum(b.id) from (select * from pj_a where id < 0) a full join pj_b b using (k);

-- joins of joins
select count(*), sum(a.id), sum(b.id), sum(c.id) from pj_a a join pj_b b using (k) join pj_a c on c.id = b.id;
select count(*), sum(a.id), sum(x.id), sum(x.other) from pj_a a left join (select b.id, b.k, c.id as other from pj_b b join pj_a c on c.e = b.e) x on x.k = a.k;
select count(*), sum(a.id), sum(b.id), sum(c.id) from pj_a a full join pj_b b using (e) full join pj_a c on c.id = b.id + 3;
select count(*), sum(u.id) from (select id, k from pj_a union all select id, k from pj_b) u where k in (select k from pj_a where d = 2);
select count(*), sum(a.id) from pj_a a join (select id, k from pj_b where d = 1 union all select id, k from pj_a where d = 2) u using (k);

-- rows in an order, and some of them
select a.id, b.id from pj_a a join pj_b b using (e) order by a.id desc limit 4;
select a.id, b.id from pj_a a full join pj_b b using (e) order by a.id nulls first, b.id limit 4;
select count(*) from (select a.id from pj_a a right join pj_b b using (k) limit 777) x;
select count(*) from (select a.id from pj_a a join pj_b b using (k) offset 100 limit 10) x;
select a.d, count(*), sum(b.id) from pj_a a left join pj_b b using (k) group by a.d order by a.d;
select distinct a.d, b.d from pj_a a join pj_b b using (k) where a.id < 400 order by 1, 2 limit 9;

-- errors of any thread
select sum(1 / (b.id - 8001)) from pj_a a join (select id, k from pj_b where 1 / (id - 8001) >= 0) b using (k);
select count(*) from pj_a a join pj_b b on a.k = b.k and 1 / (b.id - 401) < 5;

-- many rows of one key, with and without room
create table pj_skew (id int, k int, s text);
insert into pj_skew select i, case when i % 10 = 0 then i else 5 end, repeat('x', i % 30) from generate_series(1, 8000) i;
insert into pj_skew select i, null, 'null' from generate_series(1, 100) i;
analyze pj_skew;
select count(*), sum(a.id), sum(b.id) from (select id, k from pj_a where id < 100) a join pj_skew b using (k);
select count(*), sum(a.id), sum(length(b.s)) from (select id, k from pj_a where id < 600) a right join pj_skew b using (k);
select count(*), sum(id) from pj_skew b where not exists (select from pj_a a where a.k = b.k);
select count(*), sum(a.id), sum(b.id) from pj_skew a full join (select id, k from pj_a where id between 10 and 60) b on a.k = b.k and a.id <> b.id;

-- the same where little memory is to be had
set work_mem = '64kB';
set hash_mem_multiplier = 1;
select count(*), sum(a.id), sum(b.id) from pj_a a join pj_b b using (k);
select count(*), sum(a.id), sum(b.id) from pj_a a left join pj_b b using (k);
select count(*), sum(a.id), sum(b.id) from pj_a a right join pj_b b using (k);
select count(*), sum(a.id), sum(b.id) from pj_a a full join pj_b b using (k);
select count(*), sum(id) from pj_a a where exists (select from pj_b b where a.k = b.k);
select count(*), sum(id) from pj_a a where not exists (select from pj_b b where a.k = b.k);
select count(*), sum(id) from pj_b b where exists (select from pj_a a where a.k = b.k);
select count(*), sum(id) from pj_b b where not exists (select from pj_a a where a.k = b.k);
select count(*), sum(id) from pj_a where k not in (select k from pj_b);
select count(*), sum(id) from pj_a where k not in (select k from pj_b where k is not null);
select count(*), sum(a.id), sum(b.id) from pj_a a join pj_b b on a.s = b.s and a.d = b.d;
select count(*), sum(a.id), sum(b.id) from pj_a a full join pj_b b on a.s = b.s and a.e = b.e;
select count(*), sum(a.id), sum(b.id) from pj_a a full join pj_b b on a.k = b.k and a.d <> b.d;
select count(*), sum(id) from pj_b b where not exists (select from pj_a a where a.k = b.k and a.d > b.d);
select count(*), sum(a.id), sum(b.id), sum(c.id) from pj_a a full join pj_b b using (e) full join pj_a c on c.id = b.id + 3;
select count(*), sum(a.id), sum(b.id) from (select id, k from pj_a where id < 100) a join pj_skew b using (k);
select count(*), sum(a.id), sum(length(b.s)) from (select id, k from pj_a where id < 600) a right join pj_skew b using (k);
select count(*), sum(a.id), sum(b.id) from pj_skew a full join (select id, k from pj_a where id between 10 and 60) b on a.k = b.k and a.id <> b.id;
select count(*), sum(id) from pj_skew b where not exists (select from pj_a a where a.k = b.k);
select a.id, b.id from pj_a a full join pj_b b using (e) order by a.id nulls first, b.id limit 4;
select count(*) from (select a.id from pj_a a right join pj_b b using (k) limit 777) x;
select count(*) from pj_a a join pj_b b on a.k = b.k and 1 / (b.id - 401) < 5;

-- a table that one thread reads for all
set enable_parallel_hash = off;
select count(*), sum(a.id), sum(b.id) from pj_a a full join pj_b b using (k);
reset work_mem;
select count(*), sum(a.id), sum(b.id) from pj_a a join pj_b b using (k);
select count(*), sum(a.id), sum(b.id) from pj_a a right join pj_b b using (k);
select count(*), sum(a.id), sum(b.id) from pj_a a full join pj_b b using (k);
select count(*), sum(id) from pj_b b where exists (select from pj_a a where a.k = b.k);
select count(*), sum(id) from pj_b b where not exists (select from pj_a a where a.k = b.k);
