-- Joins of every kind and scans by bitmaps: whichever method the planner may take, the rows are the same.
-- Steps: tables with NULLs, duplicates and an empty one; each query by default, then with methods switched off.
create table m_l (id int primary key, k int, v int, t text);
create table m_r (id int primary key, k int, v int, t varchar);
create table m_e (k int, v int);
insert into m_l select i, case when i % 7 = 0 then null else i % 20 end, i % 5, 't' || i % 11 from generate_series(1, 120) i;
insert into m_r select i, case when i % 9 = 0 then null else i % 25 end, i % 4, 't' || i % 13 from generate_series(1, 90) i;
create index m_l_k on m_l (k);
create index m_l_v on m_l (v);
create index m_l_t on m_l (t);
create index m_r_k on m_r (k);
analyze m_l; analyze m_r; analyze m_e;

-- merge joins
set enable_hashjoin = off;
set enable_nestloop = off;
select count(*), sum(l.id), sum(r.id) from m_l l join m_r r on l.k = r.k;
select count(*), sum(l.id), sum(r.id), count(r.id) from m_l l left join m_r r on l.k = r.k;
select count(*), sum(l.id), sum(r.id), count(l.id) from m_l l right join m_r r on l.k = r.k;
select count(*), sum(l.id), sum(r.id), count(l.id), count(r.id) from m_l l full join m_r r on l.k = r.k;
select count(*), sum(l.id), sum(r.id), count(l.id), count(r.id) from m_l l full join m_r r on l.k = r.k and l.v = r.v;
select count(*), sum(l.id), sum(r.id), count(r.id) from m_l l left join m_r r on l.k = r.k and l.v < r.v;
select count(*), sum(l.id), sum(r.id), count(l.id) from m_l l right join m_r r on l.k = r.k and l.id + r.id > 60;
select count(*), sum(l.id), sum(r.id), count(l.id), count(r.id) from m_l l full join m_r r on l.k = r.k and l.v <> r.v;
select count(*), sum(id) from m_l l where exists (select 1 from m_r r where r.k = l.k);
select count(*), sum(id) from m_l l where exists (select 1 from m_r r where r.k = l.k and r.v > l.v);
select count(*), sum(id) from m_l l where not exists (select 1 from m_r r where r.k = l.k);
select count(*), sum(id) from m_l l where not exists (select 1 from m_r r where r.k = l.k and r.v > l.v);
select count(*), sum(id) from m_l l where k in (select k from m_r);
select count(*), sum(id) from m_l l where k not in (select k from m_r where k is not null);
select count(*), sum(id) from m_l l where k not in (select k from m_r);
select count(*), count(r.id) from m_l l left join m_r r on l.t = r.t;
select count(*), count(r.id) from m_l l left join m_r r on l.k = r.k and l.t = r.t;
select count(*), count(r.k) from m_l l left join m_e r on l.k = r.k;
select count(*), count(l.k), count(r.k) from m_l l full join m_e r on l.k = r.k;
select count(*) from m_e l full join m_e r on l.k = r.k;
select count(*) from m_l l where not exists (select 1 from m_e e where e.k = l.k);
select l.id, r.id from m_l l left join m_r r on l.k = r.k where l.id < 12 and r.id is null order by 1;
select l.id, r.id from m_l l left join m_r r on l.k = r.k and r.id < 10 where l.id < 12 order by 1, 2;
select l.id, r.id from m_r r right join m_l l on l.k = r.k and r.v = 3 where l.id between 10 and 20 order by 1, 2;
select coalesce(l.k, r.k) as k, count(*) from m_l l full join m_r r on l.k = r.k group by 1 order by 1;
select a.id, b.id, c.id from m_l a left join m_r b on a.k = b.k left join m_l c on b.v = c.id where a.id in (3, 4, 7) order by 1, 2, 3;
select count(*) from m_l a join m_r b on a.k = b.k join m_l c on b.k = c.k left join m_r d on c.id = d.id;
select count(*) from m_l l left join m_r r on l.k is not distinct from r.k;
select count(*) from m_l l, m_r r where l.v > r.v;
select count(*) from m_l l left join m_r r on l.v > r.v;

-- nested loops
set enable_nestloop = on;
set enable_mergejoin = off;
select count(*), sum(l.id), sum(r.id), count(r.id) from m_l l left join m_r r on l.k = r.k;
select count(*), sum(id) from m_l l where exists (select 1 from m_r r where r.k = l.k and r.v > l.v);
select count(*), sum(id) from m_l l where not exists (select 1 from m_r r where r.t = l.t);
select count(*), sum(l.id), sum(r.id), count(l.id), count(r.id) from m_l l full join m_r r on l.k = r.k;
select count(*), sum(id) from m_l l where k not in (select k from m_r where k is not null);
set enable_material = off;
select count(*), sum(l.id), sum(r.id), count(r.id) from m_l l left join m_r r on l.t = r.t and l.v < r.v;
reset enable_material;
reset enable_hashjoin;
reset enable_mergejoin;

-- bitmaps
set enable_seqscan = off;
set enable_indexscan = off;
select count(*), sum(id) from m_l where k = 3;
select count(*), sum(id) from m_l where k between 3 and 5;
select count(*), sum(id) from m_l where k = 3 or v = 2;
select count(*), sum(id) from m_l where k = 3 and v = 2;
select count(*), sum(id) from m_l where (k = 3 or v = 2) and t = 't5';
select count(*), sum(id) from m_l where (k = 3 and v = 2) or (t = 't5' and id < 50);
select count(*), sum(id) from m_l where k is null or v = 1;
select count(*), sum(id) from m_l where k in (1, 2, 3) or t in ('t1', 't2');
select count(*), sum(id) from m_l where (k = 3 or t = 't4') and (v = 2 or v = 3);
select count(*), sum(id) from m_l where k = 3 or t like 't1%';
select count(*), sum(id) from m_l where k < 3 or k > 17;
select count(*), sum(id) from m_l where (k = 3 or v = 2) and id % 2 = 0;
select id, k, v from m_l where k = 3 or v = 2 order by id limit 5;
select id from m_l where k = 3 or k = null order by id;
select count(*) from m_l l join m_r r on r.k = l.k or r.id = l.id;
select l.id, r.id from m_l l join m_r r on r.k = l.v where l.id < 6 order by 1, 2;
select count(*), sum(id) from m_l where not (k <> 3) or v = 2;

-- rows that move from key to key
begin;
update m_l set k = 100, t = 'moved' where id in (3, 23);
select count(*), sum(id) from m_l where k = 3 or v = 2;
select count(*), sum(id) from m_l where k = 100 or t = 't3';
select count(*), sum(id) from m_l where k = 100 and t = 'moved';
savepoint a;
update m_l set k = 3 where id = 3;
select count(*), sum(id) from m_l where k = 3 or k = 100;
rollback to a;
delete from m_l where k = 100 or v = 4;
select count(*), sum(id) from m_l where k = 3 or v = 4 or t = 'moved';
rollback;
with u as (update m_l set v = v + 1 where k = 3 or v = 2 returning id, v) select id, v from u order by id;
select count(*), sum(id), sum(v) from m_l where k = 3 or v = 3;
with d as (delete from m_l where k = 5 or t = 't7' returning id) select id from d order by id;
select count(*), sum(id) from m_l where k = 5 or t = 't7' or k = 6;
declare m_c cursor with hold for select id from m_l where k = 3 or v = 1 order by id;
update m_l set v = 1 where v = 0;
fetch 3 from m_c;
close m_c;
select id from m_l where k = 6 or v = 9 order by id for update;
reset enable_seqscan;
reset enable_indexscan;

-- other methods
set enable_hashagg = off;
select k, count(*) from m_l group by k order by k limit 3;
select count(*) from (select distinct k, v from m_l) d;
select k from m_l where id < 10 union select k from m_r where id < 10 order by 1;
select k from m_l intersect select k from m_r order by 1 limit 3;
reset enable_hashagg;
set enable_sort = off;
select k, count(*) from m_l group by k order by k limit 3;
select id from m_l order by v desc, id limit 3;
reset enable_sort;
set enable_incremental_sort = off;
select id, t from m_l order by id, t limit 3;
reset enable_incremental_sort;
set enable_tidscan = off;
select count(*) from m_l where ctid = (select ctid from m_l where id = 9);
reset enable_tidscan;

-- values of a sort and of DISTINCT that an implicit cast makes equal
select string_agg(distinct t, ',' order by t) from m_r where id < 5;
select string_agg(distinct t, ',' order by t desc) from m_r where id < 5;
select string_agg(distinct t::text, ',' order by t) from m_r;
select string_agg(distinct t::text, ',' order by t::text) from m_r where id < 5;
select string_agg(distinct t, ',' order by v) from m_r;

-- names of rows in JSON
select row_to_json(s) from (select id, t as name, date '2020-01-02' as day, null as nothing from m_r where id < 3) s order by s.id;
select to_jsonb(s) from (select 1 as one, 'x' as two, array[1, 2] as three) s;
select json_agg(s order by s.id) from (select id, v from m_r where id < 3) s;
select row_to_json(m_r) from m_r where id = 1;
select row_to_json(row(1, 'x', date '2020-01-01'));
with w as (select 1 as a, timestamp '2020-01-01 10:00' as b) select row_to_json(w) from w;
select row_to_json(x) from (values (1, 'a'), (2, 'b')) x(number, letter) order by x.number;
select jsonb_agg(to_jsonb(s)) from (select 1 as a, row(1, 2) as b) s;
select row_to_json(s) from (select 1 as a, m_r as whole from m_r where id = 1) s;

-- rows whose fields have other names are of one type
select case when n = 1 then s else t end from (values (1), (2)) v(n), (select 1 as a, date '2020-01-02' as d) s, (select 2 as b, date '2020-01-03' as e) t order by n;
select array_agg(r order by r) from (select s as r from (select 1 as a, 'x' as d) s union all select t from (select 2 as b, 'y' as e) t) u;
select coalesce(s, t) = t from (select 1 as a) s, (select 1 as b) t;

-- many pages, of which the set knows some as wholes
create table m_big (id int primary key, a int, b int, filler text);
insert into m_big select i, i % 100, i % 37, repeat('x', 200) from generate_series(1, 4000) i;
create index m_big_a on m_big (a);
create index m_big_b on m_big (b);
create index m_big_part on m_big (b) where a < 10;
analyze m_big;
set enable_seqscan = off;
set enable_indexscan = off;
select count(*), sum(id) from m_big where a = 7;
select count(*), sum(id) from m_big where a between 5 and 20 and b = 3;
select count(*), sum(id) from m_big where a = 7 or b = 3;
select count(*), sum(id) from m_big where (a = 7 or b = 3) and (a < 50 or b > 30);
select count(*), sum(id) from m_big where b = 5 and a < 10;
select count(*), sum(id) from m_big where a in (1, 2, 3) and b in (4, 5, 6) or id < 10;
set work_mem = '64kB';
select count(*), sum(id) from m_big where a < 60 or b < 20;
select count(*), sum(id) from m_big where a < 60 and b < 20;
reset work_mem;
update m_big set a = a + 1 where a = 7;
select count(*), sum(id) from m_big where a = 7 or b = 40;
select count(*), sum(id) from m_big where a = 8 or b = 40;
begin;
update m_big set b = 40, filler = repeat('y', 700) where a = 8;
select count(*), sum(id) from m_big where b = 40;
select count(*), sum(id) from m_big where a = 8 and b = 40;
rollback;
select count(*), sum(id) from m_big where b = 40 or a = 8;
select x.id, count(y.id) from m_big x left join m_big y on y.a = x.b and y.b = x.a where x.id < 5 group by x.id order by 1;
select id from m_big where a = 8 or b = 3 order by id desc limit 3;
reset enable_seqscan;
reset enable_indexscan;
