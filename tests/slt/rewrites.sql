-- What the optimizer rewrites: subqueries to joins, ORs to restrictions, join orders.
-- Steps: tables with NULLs, duplicates and an empty one; each rewrite with the cases that it must not get wrong.
create table r_outer (id int primary key, k int, v int, d date);
create table r_inner (k int, v int, t text);
create table r_empty (k int, v int);
create table r_unique (k int primary key, v numeric);
insert into r_outer values (1, 1, 10, '2020-01-01'), (2, 1, 20, '2020-01-02'), (3, 2, null, '2020-01-03'), (4, null, 40, null), (5, 9, 50, '2020-01-05'), (6, 2, 0, '2020-02-01');
insert into r_inner values (1, 5, 'a'), (1, 15, 'b'), (1, null, 'c'), (2, null, 'd'), (null, 7, 'e'), (2, 0, 'f'), (1, 15, 'b'), (3, 3, null);
insert into r_unique values (1, 1.5), (2, 2.50), (3, null), (9, 0);
analyze r_outer; analyze r_inner; analyze r_unique;

-- correlated aggregates
select id from r_outer o where v > (select avg(v) from r_inner i where i.k = o.k) order by id;
select id from r_outer o where v >= (select min(i.v) from r_inner i where o.k = i.k) order by id;
select id from r_outer o where (select count(*) from r_inner i where i.k = o.k) = 0 order by id;
select id from r_outer o where (select count(i.v) from r_inner i where i.k = o.k) < 3 order by id;
select id from r_outer o where (select count(*) from r_inner i where i.k = o.k) > 1 and v is not null order by id;
select id from r_outer o where (select sum(v) from r_inner i where i.k = o.k) is null order by id;
select id from r_outer o where coalesce((select sum(v) from r_inner i where i.k = o.k), -1) = -1 order by id;
select id from r_outer o where (select sum(v) + count(*) from r_inner i where i.k = o.k) > 30 order by id;
select id from r_outer o where (select coalesce(max(v), 100) from r_inner i where i.k = o.k) >= 100 order by id;
select id from r_outer o where v > (select 0.5 * sum(v) from r_inner i where i.k = o.k and i.t <> 'b') order by id;
select id from r_outer o where v > (select max(v) from r_empty e where e.k = o.k) order by id;
select id from r_outer o where (select count(*) from r_empty e where e.k = o.k) = 0 order by id;
select id from r_outer o where v between (select min(v) from r_inner i where i.k = o.k) and (select 2 * max(v) from r_inner i where i.k = o.k) order by id;
select id from r_outer o where v > (select avg(v) from r_inner i where i.k + 1 = o.k + 1) order by id;
select id from r_outer o where v > (select avg(v) from r_inner i where i.k = o.k and i.v < o.v) order by id;
select id from r_outer o where v > (select avg(v) from r_inner i where i.k = o.k having count(*) > 2) order by id;
select id from r_outer o where v > (select sum(distinct v) from r_inner i where i.k = o.k) order by id;
select id from r_outer o where v = 20 or v > (select avg(v) from r_inner i where i.k = o.k) order by id;
select o.id, u.v from r_outer o, r_unique u where u.k = o.k and u.v < (select avg(x.v) from r_outer x where x.k = u.k) order by 1;
select id from r_outer o where (select max(u.v) from r_unique u, r_inner i where u.k = i.k and u.k = o.k) > 1 order by id;
select id from r_outer o where exists (select 1 from r_inner i where i.k = o.k and i.v > (select avg(v) from r_inner j where j.k = i.k)) order by id;
update r_outer o set v = v + 1 where v > (select avg(v) from r_inner i where i.k = o.k) returning id, v;
delete from r_outer o where (select count(*) from r_inner i where i.k = o.k) = 0 and id > 100 returning id;
select id, v from r_outer order by id;

-- semi and anti joins, whichever side is kept in memory
select id from r_outer o where exists (select 1 from r_inner i where i.k = o.k) order by id;
select id from r_outer o where not exists (select 1 from r_inner i where i.k = o.k) order by id;
select id from r_outer o where exists (select 1 from r_inner i where i.k = o.k and i.v <> o.v) order by id;
select id from r_outer o where not exists (select 1 from r_inner i where i.k = o.k and i.v <> o.v) order by id;
select id from r_outer o where exists (select 1 from r_empty e where e.k = o.k) order by id;
select id from r_outer o where not exists (select 1 from r_empty e where e.k = o.k) order by id;
select t from r_inner i where exists (select 1 from r_outer o where i.k = o.k) order by t, v;
select t from r_inner i where not exists (select 1 from r_outer o where i.k = o.k) order by t;
select t from r_inner i where exists (select 1 from r_outer o where i.k = o.k and o.v < i.v) order by t, v;
select id from r_outer where k in (select k from r_unique) order by id;
select id from r_outer where k in (select k from r_inner group by k having count(*) > 1) order by id;
select id from r_outer where k in (select distinct k from r_inner) order by id;
select id from r_outer where k not in (select k from r_unique) order by id;
select id from r_outer where k not in (select k from r_inner) order by id;
select id from r_outer where k not in (select k from r_empty) order by id;
select g.n from generate_series(1, 3000) g(n) where exists (select 1 from r_inner i where i.k = g.n) order by 1;
select count(*) from generate_series(1, 3000) g(n) where not exists (select 1 from r_inner i where i.k = g.n);
select i.k, count(*) from r_inner i where exists (select 1 from generate_series(1, 5000) g(n) where g.n % 4 = i.k) group by 1 order by 1;

-- outer joins, either side in memory
select o.id, i.t from r_outer o left join r_inner i on i.k = o.k order by 1, 2;
select i.t, o.id from r_inner i left join r_outer o on i.k = o.k and o.v > 10 order by 1, 2;
select g.n, o.id from r_outer o right join generate_series(0, 3) g(n) on g.n = o.k order by 1, 2;
select o.id, u.k from r_outer o full join r_unique u on u.k = o.k order by 1, 2;
select o.id, e.k from r_outer o left join r_empty e on e.k = o.k order by 1;
select count(*), count(g.n) from r_outer o left join generate_series(1, 5000) g(n) on g.n % 3 = o.k;
select count(*), count(o.id) from generate_series(1, 5000) g(n) left join r_outer o on g.n % 3 = o.k;

-- restrictions out of OR
select o.id, i.t from r_outer o, r_inner i where (o.k = i.k and o.v = 10 and i.v = 5) or (o.k = i.k and o.v = 20 and i.v = 15) order by 1, 2;
select o.id, i.t from r_outer o, r_inner i where (o.v = 10 and i.v = 5) or (o.v = 20 and i.v is null) order by 1, 2;
select o.id, i.t from r_outer o left join r_inner i on o.k = i.k where (o.v = 10 and i.v = 5) or (o.id = 4 and i.v is null) order by 1, 2;
select id from r_outer where (k = 1 and v > 5) or (k = 1 and v < 5) or (k = 1 and v is null) order by id;
select id from r_outer where (k = 1) or (k = 1 and v < 5) order by id;
select o.id, i.t from r_outer o join r_inner i on (o.k = i.k and o.v > i.v) or (o.k = i.k and i.t = 'f') order by 1, 2;

-- dates compared with moments
select id from r_outer where d < date '2020-01-01' + interval '2 days' order by id;
select id from r_outer where d <= date '2020-01-01' + interval '2 days' order by id;
select id from r_outer where d > date '2020-01-01' + interval '2 days' order by id;
select id from r_outer where d >= date '2020-01-01' + interval '2 days' order by id;
select id from r_outer where d = date '2020-01-01' + interval '2 days' order by id;
select id from r_outer where d <> date '2020-01-01' + interval '2 days' order by id;
select id from r_outer where d < timestamp '2020-01-03 12:00' order by id;
select id from r_outer where d <= timestamp '2020-01-03 12:00' order by id;
select id from r_outer where d > timestamp '2020-01-03 12:00' order by id;
select id from r_outer where d >= timestamp '2020-01-03 12:00' order by id;
select id from r_outer where d = timestamp '2020-01-03 12:00' order by id;
select id from r_outer where timestamp '2020-01-03' > d order by id;
select id from r_outer where d < timestamp 'infinity' order by id;

-- equalities across many relations
select a.id, b.id, c.k from r_outer a, r_outer b, r_unique c where a.k = b.k and b.k = c.k and a.id < b.id order by 1, 2;
select a.id, b.k, c.t from r_outer a, r_unique b, r_inner c where a.k = b.k and c.k = a.k and c.v = a.v order by 1, 3;
select a.id from r_outer a, r_unique b, r_inner c where a.k = b.k and a.id = b.k and c.k = b.k order by 1;
select count(*) from r_outer a, r_outer b, r_outer c where a.k = b.k and a.id = c.id and b.id = c.k;
select count(*) from r_outer a, r_inner b, r_unique c;
select count(*) from r_outer a, r_inner b, r_unique c, r_unique d where a.k = b.k and c.k = d.k;
select a.id, x.s from r_outer a, r_unique b, lateral (select sum(i.v) as s from r_inner i where i.k = a.k and i.k = b.k) x where a.k = b.k order by 1;
select a.id, x.n, y.m from r_outer a cross join lateral (select a.k + 1 as n) x cross join lateral (select x.n * 2 as m) y order by 1;
select a.id from r_outer a join r_inner b on a.k + b.v = 6 join r_unique c on c.k = a.k + b.k - 1 order by 1;
select count(*) from r_outer a left join r_inner b on a.k = b.k, r_unique c where c.k = a.id and coalesce(b.v, 0) >= 0;
with w as (with x as materialized (select k, v from r_inner where v > 3) select k, sum(v) as s from x group by k) select o.id, w.s from r_outer o join w on w.k = o.k order by 1;
with w as materialized (with x as materialized (select k, v from r_inner where v > 3) select k, sum(v) as s from x group by k) select o.id, w.s from r_outer o join w on w.k = o.k order by 1;

-- scans that look at fields in place
create table r_wide (id int, c char(5), t text, n numeric(10,2), b bigint, s smallint);
insert into r_wide select i, case i % 4 when 0 then 'ab' when 1 then 'ab ' when 2 then null else 'x' end, case i % 3 when 0 then repeat('long ', 20) || i else 't' || i % 7 end, case when i % 5 = 0 then null else i / 4.0 end, i::bigint * 1000000000, i % 100 from generate_series(1, 2000) i;
insert into r_wide values (2001, 'ab', repeat('z', 3000), 'NaN', -1, -1), (2002, null, null, null, null, null);
select count(*) from r_wide where c = 'ab';
select count(*) from r_wide where c in ('ab', 'x  ');
select count(*) from r_wide where c <> 'ab';
select count(*) from r_wide where t = 't3' and n > 100.5;
select count(*), sum(n) from r_wide where n < 100.125;
select count(*) from r_wide where n >= 250;
select count(*) from r_wide where n = 25.00;
select count(*) from r_wide where b > 1500000000000 and s < 50;
select count(*) from r_wide where b <= -1;
select count(*) from r_wide where s = id;
select count(*) from r_wide where s < id and id between 50 and 150;
select count(*) from r_wide where s in (1, 2, 3, null);
select count(*) from r_wide where id > 1990 and 10 / (id - 1990) > 1;
select count(*) from r_wide where id <> 7 and t like 'long%';
select length(t), id from r_wide where t > 'y';
alter table r_wide add column e int default 7;
insert into r_wide values (2003, 'ab', 't', 1, 1, 1, 8);
select count(*) from r_wide where e = 7;
select count(*), min(id) from r_wide where e > 7;
alter table r_wide alter column s type int;
select count(*) from r_wide where s = 99;
delete from r_wide where id % 2 = 0;
update r_wide set n = n + 1 where id % 5 = 1;
select count(*), sum(n) from r_wide where n < 100 and c = 'ab';
select w.id, u.v from r_wide w join r_unique u on u.k = w.id order by 1;
select count(*), sum(w.id) from r_wide w join (select k from r_outer) o on o.k = w.s and o.k = w.id % 100;

-- joins of many relations: by trying all orders, and by rules beyond
select count(*), sum(u0.k) from r_unique u0, r_unique u1, r_unique u2, r_unique u3, r_unique u4, r_unique u5 where u0.k = u1.k and u1.k = u2.k and u2.k = u3.k and u3.k = u4.k and u4.k = u5.k;
select count(*), sum(f.id) from r_outer f, r_unique d0, r_unique d1, r_unique d2, r_unique d3, r_unique d4, r_unique d5, r_unique d6 where d0.k = f.k + 0 and d1.k = f.k + 1 and d2.k = f.k + 0 and d3.k = f.k + 1 and d4.k = f.k + 0 and d5.k = f.k + 1 and d6.k = f.k + 0;
select count(*), sum(u0.k) from r_unique u0, r_unique u1, r_unique u2, r_unique u3, r_unique u4, r_unique u5, r_unique u6, r_unique u7, r_unique u8, r_unique u9, r_unique u10, r_unique u11 where u0.k = u1.k and u1.k = u2.k and u2.k = u3.k and u3.k = u4.k and u4.k = u5.k and u5.k = u6.k and u6.k = u7.k and u7.k = u8.k and u8.k = u9.k and u9.k = u10.k and u10.k = u11.k;
select count(*), sum(f.id) from r_outer f, r_unique d0, r_unique d1, r_unique d2, r_unique d3, r_unique d4, r_unique d5, r_unique d6, r_unique d7, r_unique d8, r_unique d9, r_unique d10 where d0.k = f.k + 0 and d1.k = f.k + 1 and d2.k = f.k + 0 and d3.k = f.k + 1 and d4.k = f.k + 0 and d5.k = f.k + 1 and d6.k = f.k + 0 and d7.k = f.k + 1 and d8.k = f.k + 0 and d9.k = f.k + 1 and d10.k = f.k + 0;
select count(*), sum(u0.k) from r_unique u0, r_unique u1, r_unique u2, r_unique u3, r_unique u4, r_unique u5, r_unique u6, r_unique u7, r_unique u8, r_unique u9, r_unique u10, r_unique u11, r_unique u12 where u0.k = u1.k and u1.k = u2.k and u2.k = u3.k and u3.k = u4.k and u4.k = u5.k and u5.k = u6.k and u6.k = u7.k and u7.k = u8.k and u8.k = u9.k and u9.k = u10.k and u10.k = u11.k and u11.k = u12.k;
select count(*), sum(u0.k) from r_unique u0, r_unique u1, r_unique u2, r_unique u3, r_unique u4, r_unique u5, r_unique u6, r_unique u7, r_unique u8, r_unique u9, r_unique u10, r_unique u11, r_unique u12, r_unique u13, r_unique u14, r_unique u15, r_unique u16, r_unique u17, r_unique u18, r_unique u19, r_unique u20, r_unique u21, r_unique u22, r_unique u23, r_unique u24, r_unique u25, r_unique u26, r_unique u27, r_unique u28, r_unique u29 where u0.k = u1.k and u1.k = u2.k and u2.k = u3.k and u3.k = u4.k and u4.k = u5.k and u5.k = u6.k and u6.k = u7.k and u7.k = u8.k and u8.k = u9.k and u9.k = u10.k and u10.k = u11.k and u11.k = u12.k and u12.k = u13.k and u13.k = u14.k and u14.k = u15.k and u15.k = u16.k and u16.k = u17.k and u17.k = u18.k and u18.k = u19.k and u19.k = u20.k and u20.k = u21.k and u21.k = u22.k and u22.k = u23.k and u23.k = u24.k and u24.k = u25.k and u25.k = u26.k and u26.k = u27.k and u27.k = u28.k and u28.k = u29.k;
select count(*), sum(f.id) from r_outer f, r_unique d0, r_unique d1, r_unique d2, r_unique d3, r_unique d4, r_unique d5, r_unique d6, r_unique d7, r_unique d8, r_unique d9, r_unique d10, r_unique d11, r_unique d12, r_unique d13, r_unique d14, r_unique d15, r_unique d16, r_unique d17, r_unique d18, r_unique d19, r_unique d20, r_unique d21, r_unique d22, r_unique d23, r_unique d24, r_unique d25, r_unique d26, r_unique d27, r_unique d28 where d0.k = f.k + 0 and d1.k = f.k + 1 and d2.k = f.k + 0 and d3.k = f.k + 1 and d4.k = f.k + 0 and d5.k = f.k + 1 and d6.k = f.k + 0 and d7.k = f.k + 1 and d8.k = f.k + 0 and d9.k = f.k + 1 and d10.k = f.k + 0 and d11.k = f.k + 1 and d12.k = f.k + 0 and d13.k = f.k + 1 and d14.k = f.k + 0 and d15.k = f.k + 1 and d16.k = f.k + 0 and d17.k = f.k + 1 and d18.k = f.k + 0 and d19.k = f.k + 1 and d20.k = f.k + 0 and d21.k = f.k + 1 and d22.k = f.k + 0 and d23.k = f.k + 1 and d24.k = f.k + 0 and d25.k = f.k + 1 and d26.k = f.k + 0 and d27.k = f.k + 1 and d28.k = f.k + 0;
select count(*) from r_outer a, lateral (select i.v from r_inner i where i.k = a.k) b, lateral (select b.v + c.v as w from r_unique c where c.k = a.k) d, r_unique e where e.k = a.id and d.w is not null;
select v.x, s2.* from (values (1), (2)) v(x) left join r_unique u on u.k = 3, lateral (select u.k, w.y from (values (5)) w(y) limit 1) s1, lateral (select s1.* from r_outer limit 1) s2 where v.x = s2.y - 4 or v.x = 2 order by 1;
select a.id, s.k from r_outer a left join lateral (select a.k from r_inner i limit 1) s on a.id = 1 order by 1;
