-- What the rules of the optimizer leave as it was: answers, NULLs, duplicates, what volatile functions do.
-- Steps: for each rule the queries that it rewrites, and those beside them that it must leave alone.
create table o_a (id int primary key, k int, v int, t text);
create table o_b (id int primary key, k int not null, v int, u int unique);
create table o_c (x int, y int, z int);
create table o_d (p int, q int, r int, primary key (p, q));
insert into o_a select i, case when i % 7 = 0 then null else i % 5 end, case when i % 4 = 0 then null else (i * 7) % 11 end, case when i % 6 = 0 then null else chr(97 + i % 4) end from generate_series(1, 15) i;
insert into o_b select i * 2, i % 6, case when i % 3 = 0 then null else (i * 5) % 9 end, case when i % 4 = 0 then null else i end from generate_series(1, 10) i;
insert into o_c select case when i % 5 = 0 then null else i % 4 end, case when i % 3 = 0 then null else i % 6 end, i % 3 from generate_series(1, 12) i;
insert into o_c select * from o_c where x = 1;
insert into o_d select i % 4, i / 4, i % 5 from generate_series(0, 11) i;
create sequence o_s;

-- prune_projections: columns
select id from (select id, row_number() over (order by v, id) from o_a) s order by 1;
select id, n from (select id, count(*) over (partition by k) as n, rank() over (order by v) from o_a) s order by 1;
select k from (select k, sum(v), max(t) from o_a group by k) s order by 1;
select count(*) from (select k, sum(v) from o_a group by k) s;
select count(*) from (select sum(v), count(*) from o_a where false) s;
select count(*) from (select distinct k, v from o_a) s;
select k from (select distinct k, v from o_a) s order by 1;
select k from (select distinct on (k, v) k, v, t from o_a order by k, v, id) s order by 1;
select id from (select id, generate_series(1, k) from o_a) s order by 1;
select id from (select id, generate_series(1, k), v * 2 from o_a) s order by 1;
select k from (select id, k from o_a union all select u, v from o_b) s order by 1;
select k from (select id, k from o_a union select u, v from o_b) s order by 1;
select k from (select id, k from o_a except select id, v from o_b) s order by 1;
select count(*) from (select id, k from o_a union all select 1, 1 where false) s;
select id from (select id, 1 / (id - 3) from o_a) s order by 1;
select id from (select id, v from o_a order by v desc nulls last, id limit 3) s order by 1;
select id from (select id, sum(v) over w, avg(v) over w from o_a window w as (partition by k order by id rows between 1 preceding and current row)) s where id < 5 order by 1;
select s.k, (select max(v) from (select id, v, ntile(3) over (order by id) from o_a) i where i.id < s.k) from o_a s order by s.id;

-- prune_projections: WITH
with w as materialized (select id, k, v, t from o_a) select t from w where v > 3 order by 1;
with w as materialized (select id, k, v, t from o_a) select w.t, x.id from w, w x where x.v = w.id order by 1, 2;
with w as materialized (select k, id, rank() over (order by v, id) r, t from o_a), x as materialized (select t, id, k from w where r > 2) select x.id from x, w where w.id = x.id and w.t = 'a' order by 1;
with w as materialized (select id, k, v, t, lag(v) over (order by id) g from o_a), x as (select id, k, v, t, g, count(*) over () c from w) select k, v from w where g is not null order by 1, 2;
with w as materialized (select id, k from o_a) select count(*) from w, w x;
with w as materialized (select id, nextval('o_s') from o_a where id < 4) select id from w order by 1;
select nextval('o_s');
with recursive w as (select 1 as n, 1 as m union select n + 1, m * 2 from w where n < 5) select n from w order by 1;
with w as materialized (select id, k from o_a), x as (delete from o_b where id > 100 returning id) select k from w where id = 3;

-- prune_projections: what volatile functions do is done
select id from (select id, nextval('o_s') from o_a where id < 4) s order by 1;
select nextval('o_s');
select count(*) from (select nextval('o_s') from o_a where id < 4) s;
select nextval('o_s');
select k from (select k, sum(nextval('o_s')) from o_a where id < 4 group by k) s order by 1;
select nextval('o_s');
select k from (select k, sum(nextval('o_s')) over () from o_a where id < 4) s order by 1;
select nextval('o_s');
select x from (values (1, nextval('o_s')), (2, nextval('o_s'))) v(x, n) order by 1;
select nextval('o_s');

-- eliminate_joins
select a.id from o_a a left join o_b b on b.id = a.k order by 1;
select a.id from o_a a left join o_b b on b.u = a.k and b.v > 3 order by 1;
select a.id from o_a a left join o_b b on b.k = a.k order by 1;
select a.id, b.id from o_a a left join o_b b on b.id = a.k order by 1;
select c.x from o_b b right join o_c c on b.id = c.x order by 1;
select count(*) from o_c c left join o_d d on d.p = c.x and d.q = c.y;
select count(*) from o_c c left join o_d d on d.p = c.x;
select count(*) from o_c c left join o_d d on d.p = c.x and d.q = 1;
select a.id from o_a a left join (select k, count(*) from o_a group by k) g on g.k = a.v order by 1;
select a.id from o_a a left join (select distinct x, y from o_c) g on g.x = a.v order by 1;
select a.id from o_a a left join (select distinct x, y from o_c) g on g.x = a.v and g.y = a.k order by 1;
select a.id from o_a a left join (select x, y from o_c union select id, k from o_b) g on g.x = a.v and g.y = a.k order by 1;
select a.id from o_a a left join (select distinct on (x) x, y from o_c order by x, y) g on g.x = a.v order by 1;
select a.id from o_a a left join (select x, generate_series(1, 2) from o_c group by x) g on g.x = a.v order by 1;
select a.id from o_a a left join (select x, y from o_c group by grouping sets ((x), (y))) g on g.x = a.v order by 1;
select a.id from o_a a left join lateral (select count(*) from o_c c where c.x = a.k) n on true order by 1;
select a.id from o_a a left join lateral (select c.x from o_c c where c.x = a.k limit 1) n on true order by 1;
select a.id from o_a a left join lateral (select c.x from o_c c where c.x = a.k limit 2) n on true order by 1;
select a.id from o_a a left join (o_b b join o_d d on d.p = b.id and d.q = b.v) on b.id = a.k order by 1;
select a.id from o_a a left join (o_b b left join o_c c on c.x = b.k) on b.id = a.k order by 1;
select a.id from o_a a left join o_b b on b.id = a.k left join o_b b2 on b2.id = b.u order by 1;
select a.id from o_a a left join o_b b on b.id = a.k left join o_c c on c.x = b.u order by 1;
select a.id from o_a a left join o_b b on b.id = a.k where b.id is null order by 1;
select a.id from o_a a left join o_b b on b.id = a.k where (select max(x) from o_c where x < b.id) > 1 order by 1;
select a.id, (select count(*) from o_c where x = b.id) from o_a a left join o_b b on b.id = a.k order by 1;
select a.id from o_a a left join o_b b on b.id = a.k join lateral (select b.v as w) l on l.w is null order by 1;
select distinct a.k from o_a a left join o_b b on b.id = a.k order by 1;
select a.k, count(*) from o_a a left join o_b b on b.id = a.k group by a.k order by 1;
select a.id from o_a a full join o_b b on b.id = a.k order by 1;
select a.id from o_a a left join o_b b on b.id = a.k order by 1 for update of a;
update o_a set v = v from (select a.id from o_a a left join o_b b on b.id = a.k) s where s.id = o_a.id and s.id < 3 returning o_a.id;

-- eliminate_joins: constraints that hold later, or for some rows, or are gone
create table o_later (id int, n int, w int, unique (id) deferrable initially deferred);
create unique index on o_later (n) where w > 0;
begin;
insert into o_later values (1, 1, 0), (1, 1, 0), (2, 1, 1);
select a.id from o_a a left join o_later l on l.id = a.id where a.id < 3 order by 1;
select a.id from o_a a left join o_later l on l.n = a.id where a.id < 3 order by 1;
rollback;
prepare o_p as select a.id from o_a a left join o_b b on b.u = a.k where a.id < 5 order by 1;
execute o_p;
alter table o_b drop constraint o_b_u_key;
insert into o_b values (101, 1, 1, 1), (102, 1, 1, 1);
execute o_p;
deallocate o_p;

-- push_down_predicates: through window functions, DISTINCT ON, set operations and sets
select * from (select id, k, row_number() over (partition by k order by id) r from o_a) s where k = 2 order by 1;
select * from (select id, k, v, sum(v) over (partition by k, v order by id) r, count(*) over (partition by k) c from o_a) s where k = 2 and v > 3 order by 1;
select * from (select id, k, sum(id) over (partition by k + 1) r from o_a) s where k = 2 order by 1;
select * from (select id, k, sum(id) over (partition by k + 1) r from o_a) s where k is null order by 1;
select * from (select id, k, rank() over (order by k) r from o_a) s where k = 2 order by 1;
select * from (select id, k, r, lag(id) over (order by id) g from (select id, k, rank() over (partition by k order by id) r from o_a) i) s where k = 2 order by 1;
select * from (select distinct on (k) k, id, v from o_a order by k, id desc) s where k > 1 order by 1;
select * from (select distinct on (k) k, id, v from o_a order by k, id desc) s where v > 1 order by 1;
select * from (select k, v from o_a intersect select x, y from o_c) s where k = 1 order by 1, 2;
select * from (select k, v from o_a intersect all select x, y from o_c) s where k is null or v < 3 order by 1, 2;
select * from (select k, v from o_a except select x, y from o_c) s where v > 2 order by 1, 2;
select * from (select x, y from o_c except all select k, v from o_a) s where x > 0 order by 1, 2;
select n::text from (select n from (values (1.0), (1.00), (2.0)) v(n) except select 1.0) s where n::text = '1.00';
select count(*) from (select n from (values (1.0), (1.00), (2.0)) v(n) intersect select 1.0) s where n > 0;
select * from (select id, v + 1 as n, generate_series(1, k) g from o_a) s where id < 4 and n > 0 order by 1, 3;
select * from (select id, generate_series(1, k) g from o_a) s where g = 3 order by 1;
select * from (select k + 1 as k, count(*) c from o_a group by k) s where k = 2;
select * from (select nextval('o_s') % 1 as k, count(*) c from o_a where id < 4 group by 1) s where k = 0 and c > 0;
select nextval('o_s');

-- simplify_outer_joins: what false and NULL are within larger conditions
select count(*) from o_a a left join o_b b on b.id = a.id where (b.v is not null) = false;
select count(*) from o_a a left join o_b b on b.id = a.id where not (b.v = any ('{}'::int[]));
select count(*) from o_a a left join o_b b on b.id = a.id where (b.v > 1 and a.id > 100) = false;
select count(*) from o_a a left join o_b b on b.id = a.id where (b.v > 1 or a.id > 3) = true;
select count(*) from o_a a left join o_b b on b.id = a.id where (b.v > 1 and b.k > 1) is not null;
select count(*) from o_a a left join o_b b on b.id = a.id where (b.v > 1 and b.k > 1) is false;
select count(*) from o_a a left join o_b b on b.id = a.id where not (b.v > 1 and b.k > 1);
select count(*) from o_a a left join o_b b on b.id = a.id where not (b.v > 1 or b.k > 1);
select count(*) from o_a a left join (select id, v is not null as f from o_b) b on b.id = a.id where b.f = false;

-- anti_joins_from_outer
select a.id from o_a a left join o_b b on b.id = a.k where b.id is null order by 1;
select a.id, b.k from o_a a left join o_b b on b.id = a.k where b.id is null order by 1;
select a.id from o_a a left join o_b b on b.id = a.k where b.k is null order by 1;
select a.id from o_a a left join o_b b on b.id = a.k where b.v is null order by 1;
select a.id from o_a a left join o_b b on b.id = a.k and b.v > 2 where b.v is null order by 1;
select a.id from o_a a left join o_b b on b.id = a.k and coalesce(b.v, 3) > 2 where b.v is null order by 1;
select a.id from o_a a left join o_c c on c.x = a.k where c.x is null order by 1;
select a.id from o_a a left join o_c c on c.x = a.k where c.y is null order by 1;
select a.id from o_a a left join o_c c on c.x = a.k where c.x is null and c.y is null order by 1;
select a.id from o_a a left join o_c c on c.x = a.k where c.x is null and a.v > 3 and c.y is not null order by 1;
select a.id, c.y from o_a a left join o_c c on c.x = a.k where c.x is null and coalesce(c.y, 7) = 7 order by 1;
select a.id from o_c c right join o_a a on c.x = a.k where c.x is null order by 1;
select a.id from o_a a left join (o_b b join o_c c on c.x = b.k) on b.id = a.k where c.x is null order by 1;
select a.id from o_a a left join (o_b b left join o_c c on c.x = b.k) on b.id = a.k where c.x is null order by 1;
select a.id, d.r from o_a a left join o_b b on b.id = a.k left join o_d d on d.p = b.id where b.id is null order by 1, 2;
select a.id from o_a a left join o_b b on b.id = a.k where b is null order by 1;
select count(*) from o_a a left join o_b b on true where b.id is null;
select count(*) from o_a a left join o_b b on false where b.id is null;
select a.id from o_a a left join lateral (select c.x from o_c c where c.y = a.v) c on c.x = a.k where c.x is null order by 1;
delete from o_a using (select a.id from o_a a left join o_b b on b.id = a.k where b.id is null) s where s.id = o_a.id and s.id > 14 returning o_a.id;

-- find_contradictions
select count(*) from o_a where k = 1 and k = 2;
select count(*), sum(v) from o_a where k = 1 and v > 2 and k = 1;
select v, count(*) from o_a where k = 1 and k = 2 group by v;
select * from o_b where k is null;
select count(*) from o_b where k is not null and v is null;
select count(*) from o_a where v is null and v > 3;
select count(*) from o_a where v is null and (v > 3 or k = 1);
select count(*) from o_a a left join o_b b on b.id = a.k where b.id is null;
select count(*) from o_a a left join o_b b on b.id = a.k and b.k is null;
select count(*) from o_a a left join o_b b on b.id = a.k and b.v = 1 and b.v = 2;
select count(*) from o_a a join o_b b on b.id = a.k and b.v = 1 and b.v = 2;
select count(*) from o_a a full join (select * from o_b where k is null) b on b.id = a.k;
select count(*) from o_a where not exists (select 1 from o_b b where b.id = o_a.id and b.k is null);
select count(*) from o_a where id in (select id from o_b where v = 1 and v = 2);
select count(*) from o_a where id not in (select id from o_b where v = 1 and v = 2);
select k from o_a where k = 1 and k = 2 union all select 7;
select count(*) from (select grouping(k), count(*) from o_a where k = 1 and k = 2 group by rollup (k)) s;
select id from o_a where t = 'a' and t = 'b' or id = 3;
select count(*) from o_a where v = 1.0 and v = 1.00;
select count(*) from (values (1.0)) v(n) where n = 1.0 and n = 1.00;
update o_a set v = 1 where id is null returning id;
delete from o_a where k = 1 and k = 2 returning id;
select id from o_a where k = 1 and k = 2 for update;

-- min_max_by_index: several in one query, and in subqueries
create index on o_a (v);
create index on o_c (x);
analyze o_a, o_c;
select min(id), max(id) from o_a;
select max(v), min(v), max(id) from o_a;
select max(v), min(v) from o_a where id < 5;
select max(v), min(v) from o_a where false;
select max(v), min(v), count(*) from o_a;
select max(x) - min(x) from o_c having max(x) > 1;
select min(x), max(x), min(x) from o_c where x > 100;
select id from o_a where v = (select max(v) from o_a) order by 1;
select id, (select min(x) from o_c) from o_a where id < 3 order by 1;
select id from o_a where v > (select min(x) from o_c) and v < (select max(v) from o_a where id < 9) order by 1;
select id, (select max(v) from o_a i where i.k = a.k) from o_a a order by 1;
select * from (select min(id) a, max(id) b from o_a) s, (select max(x) c from o_c) t;
with w as materialized (select min(v), max(v) from o_a) select * from w;

-- unnest_subqueries: other comparisons, LIMIT, conditions of joins, two levels
select id from o_a a where v > any (select v from o_b b where b.k = a.k) order by 1;
select id from o_a a where not v > any (select v from o_b b where b.k = a.k) order by 1;
select id from o_a a where v <> any (select v from o_b b where b.k = a.k) order by 1;
select id from o_a a where v <= any (select v from o_b b where b.k > a.k) order by 1;
select id from o_a a where v > any (select v from o_b b) order by 1;
select id from o_a a where (v, k) < any (select v, k from o_b b where b.k = a.k) order by 1;
select id from o_a a where exists (select 1 from o_b b where b.k = a.k limit 1) order by 1;
select id from o_a a where not exists (select 1 from o_b b where b.k = a.k order by b.v limit 5) order by 1;
select id from o_a a where exists (select 1 from o_b b where b.k = a.k limit 0) order by 1;
select id from o_a a where exists (select 1 from o_b b where b.k = a.k offset 1) order by 1;
select id from o_a a where k in (select b.k from o_b b where b.v > a.v limit 1) is not null order by 1;
select a.id, b.id from o_a a join o_b b on b.id = a.k and exists (select 1 from o_c c where c.x = a.v) order by 1, 2;
select a.id, b.id from o_a a join o_b b on b.id = a.k and exists (select 1 from o_c c where c.x = b.k and c.y = a.v) order by 1, 2;
select a.id, b.id from o_a a left join o_b b on b.id = a.k and exists (select 1 from o_c c where c.x = b.k) order by 1, 2;
select a.id, b.id from o_a a left join o_b b on b.id = a.k and exists (select 1 from o_c c where c.x = a.v) order by 1, 2;
select a.id, b.id from o_a a left join o_b b on b.id = a.k and b.k in (select x from o_c) order by 1, 2;
select a.id, b.id from o_a a left join o_b b on b.id = a.k and b.k not in (select x from o_c where x is not null) order by 1, 2;
select a.id, b.id from o_a a full join o_b b on b.id = a.k and exists (select 1 from o_c c where c.x = 1) order by 1, 2;
select id from o_a a where exists (select 1 from o_b b where b.k = a.k and exists (select 1 from o_c c where c.x = b.k and c.y = a.v)) order by 1;
select id from o_a a where exists (select 1 from o_b b where exists (select 1 from o_c c where c.x = b.k and c.y = a.v)) order by 1;
select id from o_a a where not exists (select 1 from o_b b where b.k = a.k and exists (select 1 from o_c c where c.x = b.k and c.y = a.v)) order by 1;
select id from o_a a where k in (select b.k from o_b b where exists (select 1 from o_c c where c.x = b.k and c.y = a.v)) order by 1;
select id from o_a a where exists (select 1 from o_b b where b.k = a.k and not exists (select 1 from o_c c where c.x = b.k and c.y = a.v)) order by 1;
select id from o_a a where exists (select 1 from o_b b where b.k = a.k and b.v in (select c.y from o_c c where c.x < a.v)) order by 1;

-- window_run_conditions
select * from (select id, row_number() over (order by v, id) n from o_a) s where n <= 3 order by n;
select * from (select id, row_number() over (order by v, id) n from o_a) s where n = 3 order by n;
select * from (select id, row_number() over (order by v, id) n from o_a) s where 3 > n order by n;
select * from (select id, row_number() over (order by v, id) n from o_a) s where n > 10 order by n;
select * from (select id, row_number() over (order by v, id) n from o_a) s where n <= 0;
select * from (select id, row_number() over (order by v, id) n from o_a) s where n <= null;
select * from (select id, k, row_number() over (partition by k order by id) n from o_a) s where n <= 2 order by k, n;
select * from (select id, k, rank() over (partition by k order by v) n from o_a) s where n < 2 order by k, id;
select * from (select id, k, rank() over (order by k) n, dense_rank() over (order by k) d from o_a) s where n <= 4 and d < 3 order by id;
select * from (select id, dense_rank() over (order by k) d from o_a) s where d = 2 order by id;
select * from (select id, count(*) over (order by k) d from o_a) s where d <= 4 order by id;
select * from (select id, count(v) over (order by id rows between unbounded preceding and 1 following) d from o_a) s where d <= 4 order by id;
select * from (select id, count(v) over (order by id rows between current row and unbounded following) d from o_a) s where d >= 6 order by id;
select * from (select id, count(v) over (order by id rows between current row and unbounded following) d from o_a) s where d = 6 order by id;
select * from (select id, count(*) over (order by id rows between unbounded preceding and current row exclude current row) d from o_a) s where d < 2 order by id;
select * from (select id, count(*) over (order by id rows between 1 preceding and current row) d from o_a) s where d < 2 order by id;
select * from (select id, ntile(4) over (order by id) d, percent_rank() over (order by id) p, cume_dist() over (order by id) c from o_a) s where d < 3 and p < 0.3 and c <= 0.2 order by id;
select * from (select id, k, row_number() over (partition by k order by id) n, count(*) over () c from o_a) s where n = 1 order by id;
select * from (select id, n, row_number() over (order by id) m from (select id, row_number() over (partition by k order by id) n from o_a) i where n <= 2) s where m <= 4 order by id;
select * from (select id, k, row_number() over (order by id) n from o_a) s where n <= k order by id;
select a.id, s.id from o_a a, lateral (select id, row_number() over (order by id desc) n from o_a) s where s.n <= a.k and a.id < 4 order by 1, 2;
select count(*) from (select g, row_number() over (partition by g % 3 order by g) n from generate_series(1, 10000) g) s where n <= 100;
select sum(g) from (select g, row_number() over (order by g desc) n from generate_series(1, 10000) g) s where n <= 100;
select sum(g) from (select g, g % 2000 as p, count(*) over (partition by g % 2000 order by g) n from generate_series(1, 10000) g) s where n <= 2;
prepare o_q as select id from (select id, row_number() over (order by id) n from o_a) s where n < $1 order by 1;
execute o_q (3);
execute o_q (5);
execute o_q (null);
deallocate o_q;

-- fold_constants: NOT of comparisons
select id from o_a where not (v < 5 or v >= 7) order by 1;
select id from o_a where not (v < 5 and k = 2) order by 1;
select id from o_a where not (v is null or not k > 2) order by 1;
select id from o_a where not (v is distinct from 5) order by 1;
select id from o_a where not (t like 'a%' or t > 'c') order by 1;
select count(*) from o_a where not ((k, v) = (1, 2)) is null;
select id from o_a where not (row(v, k) is null) order by 1;
select not ('nan'::float8 < 5), not (null::int < 5), not ('a' ~ 'b' or 1 <> 2);
