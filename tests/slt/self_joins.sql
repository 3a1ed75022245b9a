-- Self-joins on a unique key: what the rule that takes one side out must keep.
-- Steps: keys of every kind, what is no key, NULLs, duplicates, what stands around the join; each with the rule and the
-- setting off elsewhere; the plans of joins that may go.
create table sj (id int primary key, k int unique, a int, b int, c text, unique (a, b));
insert into sj values (1, 10, 1, 1, 'one'), (2, 20, 1, 2, 'two'), (3, null, 2, 1, 'three'), (4, null, 2, null, null), (5, 50, null, 1, 'five'), (6, null, null, null, 'six'), (7, 70, 2, 2, 'one');
create table sj_other (x int, y int);
insert into sj_other values (1, 1), (2, 2), (2, 3), (null, 1), (7, 7), (10, 4);
analyze sj;
analyze sj_other;

-- a primary key
select s.*, t.* from sj s join sj t on s.id = t.id order by s.id;
select s.id, t.c from sj s, sj t where s.id = t.id and s.a = 1 order by 1;
select s.id, t.c from sj s, sj t where s.id = t.id and s.a = 1 and t.b = 2 order by 1;
select s.id, t.c from sj s, sj t where s.id = t.id and s.a < t.b order by 1;
select s.id, t.c from sj s, sj t where s.id = t.id and s.a = t.a order by 1;
select s.id, t.id from sj s, sj t where s.id = t.id and s.c = t.c order by 1;
select s.id, t.id from sj s, sj t where s.id = t.id and s.c <> t.c order by 1;
select count(*) from sj s join sj t using (id);
select * from sj s natural join sj t order by id;
select count(*) from sj s join sj t on t.id = s.id where t.c is null;
select s.id, t.id, c.id from sj s, sj t, sj c where s.id = t.id and t.id = c.id order by 1;
select s.id, t.id, c.id from sj s, sj t, sj c where s.id = t.id and s.id = c.id and t.a = 2 and c.b = 1 order by 1;
select s.id, t.id, c.id from sj s, sj t, sj c where s.id = t.id and t.k = c.k order by 1;

-- a nullable key: NULL is no partner of NULL
select s.id, t.id from sj s, sj t where s.k = t.k order by 1;
select s.id from sj s join sj t on s.k = t.k order by 1;
select count(*) from sj s, sj t where s.k = t.k and t.k > 15;
select s.id, t.id from sj s, sj t where s.k is not distinct from t.k order by 1, 2;
select s.id, t.id from sj s, sj t where s.k = t.k or s.k is null order by 1, 2;

-- a key of two columns, and parts of it
select s.id, t.id from sj s, sj t where s.a = t.a and s.b = t.b order by 1;
select s.id, t.id from sj s, sj t where (s.a, s.b) = (t.a, t.b) order by 1;
select s.id, t.id from sj s, sj t where s.a = t.a order by 1, 2;
select s.id, t.id from sj s, sj t where s.a = t.a and t.b = 1 order by 1, 2;
select s.id, t.id from sj s, sj t where s.a = t.a and s.b = 1 and t.b = 1 order by 1, 2;
select s.id, t.id from sj s, sj t where s.a = t.a and s.b = 1 and t.b = 2 order by 1, 2;
select s.id, t.id from sj s, sj t where s.a = t.b and s.b = t.a order by 1, 2;
select s.id, t.id from sj s, sj t where s.a = t.a and s.b = t.b and s.b is null order by 1, 2;

-- constants on both sides
select s.id, t.c from sj s, sj t where s.id = 3 and t.id = 3;
select s.id, t.c from sj s, sj t where s.id = 3 and t.id = 4;
select s.id, t.c from sj s, sj t where s.k = 20 and t.k = 20;
select s.id, t.c from sj s, sj t where s.id = 3 and t.id = 3::bigint;
select s.id, t.c from sj s, sj t where s.id = t.id and s.id = 3 and t.id = 4;
select s.id, t.c from sj s, sj t where s.id = null and t.id = null;
prepare sj_p (int) as select s.id, t.c from sj s, sj t where s.id = $1 and t.id = $1 and s.a = 2;
execute sj_p (3);
execute sj_p (1);
execute sj_p (null);

-- through another table
select s.id, t.id, o.y from sj s, sj t, sj_other o where s.id = o.x and t.id = o.x order by 1, 2, 3;
select s.id, t.id, o.y, p.y from sj s, sj t, sj_other o, sj_other p where s.id = o.x and t.id = p.x and o.x = p.x order by 1, 2, 3, 4;
select s.id, t.id, o.y from sj s join sj t on s.id = t.id join sj_other o on o.x = t.k order by 1, 2, 3;
select s.id, t.id, o.y from sj s join sj_other o on o.x = s.id join sj t on s.id = t.id and t.b = o.y order by 1, 2, 3;
select s.id, t.id from sj s, sj t where s.id = t.id + 0 order by 1;
select s.id, t.id from sj s, sj t where s.id + 1 = t.id + 1 order by 1;
select s.id, t.id from sj s, sj t where s.id >= t.id and s.id <= t.id order by 1;

-- outer, semi and anti joins stay what they are
select s.id, t.id from sj s left join sj t on s.k = t.k order by 1, 2;
select s.id, t.id from sj s left join sj t on s.k = t.k where t.a = 1 order by 1, 2;
select s.id, t.id from sj s full join sj t on s.k = t.k and s.a = 1 order by 1, 2;
select s.id, t.id, o.y from (sj s join sj t on s.id = t.id) left join sj_other o on o.x = t.a order by 1, 2, 3;
select o.x, s.id, t.c from sj_other o left join (sj s join sj t on s.id = t.id and s.b = 1) on o.x = t.a order by 1, 2, 3;
select o.x, s.id, t.c from (sj s join sj t on s.id = t.id and s.b = 1) right join sj_other o on o.x = t.a where t.c is not null or o.x is null order by 1, 2, 3;
select id from sj s where exists (select from sj t where t.id = s.id and t.b = 1) order by 1;
select id from sj s where exists (select from sj t where t.k = s.k) order by 1;
select id from sj s where not exists (select from sj t where t.k = s.k) order by 1;
select id from sj s where id in (select id from sj where b = 1) order by 1;
select id from sj s where id not in (select id from sj where b = 1) order by 1;

-- what reads the sides
select s, t from sj s join sj t on s.id = t.id where s.id < 3 order by s.id;
select s.ctid = t.ctid, s.tableoid = t.tableoid, s.xmin = t.xmin from sj s, sj t where s.id = t.id and s.id = 1;
select (s).c, (t).c from sj s, sj t where s.id = t.id order by s.id;
select to_json(t) from sj s, sj t where s.id = t.id and s.a = 1 order by s.id;
select s.id, t.id, count(*) from sj s, sj t where s.id = t.id group by s.id, t.id order by 1;
select s.a, t.a, count(*), sum(s.id + t.id) from sj s, sj t where s.id = t.id group by s.a, t.a order by 1;
select s.a, t.b, grouping(s.a, t.b), count(*) from sj s, sj t where s.id = t.id group by rollup (s.a, t.b) order by 1, 2, 3;
select distinct s.a, t.a from sj s, sj t where s.id = t.id order by 1;
select distinct on (t.a) t.a, s.id from sj s, sj t where s.id = t.id order by t.a, s.id desc;
select s.id, t.id, row_number() over (partition by t.a order by s.id) from sj s, sj t where s.id = t.id order by 1;
select s.id, (select count(*) from sj_other o where o.x = t.a) from sj s, sj t where s.id = t.id order by 1;
select s.id, t.id from sj s, sj t where s.id = t.id and exists (select from sj_other o where o.x = t.a and o.y > s.b) order by 1;
select s.id, t.id from sj s, sj t where s.id = t.id and (s.id = 1 or exists (select from sj_other o where o.x = t.a and o.y > s.b)) order by 1;
select s.id, t.id from sj s, sj t where s.id = t.id and t.a = (select max(o.x) from sj_other o where o.y = t.b) order by 1;
select s.id, l.y from sj s join sj t on s.id = t.id, lateral (select o.y from sj_other o where o.x = t.a order by o.y limit 1) l order by 1;
select s.id, t.id, l.n from sj t, lateral (select t.a + 1 as n) l, sj s where s.id = t.id and s.b < l.n order by 1;
select s.id, g from sj s, sj t, generate_series(1, t.a) g where s.id = t.id order by 1, 2;
select t.id from sj s, sj t where s.id = t.id union all select t.k from sj s, sj t where s.id = t.id and s.a = 1 order by 1;
select s.id from sj s, sj t where s.id = t.id intersect select t.a from sj s, sj t where s.id = t.id order by 1;
select * from (select s.id, t.c from sj s, sj t where s.id = t.id) s join sj c on c.id = s.id where c.a = 2 order by 1;
with w as (select s.id as i, t.k as j from sj s, sj t where s.id = t.id) select * from w x join w y on x.i = y.i where y.j > 10 order by 1;
select max(s.id), min(t.id) from sj s, sj t where s.id = t.id;
select s.id, random() < 2 from sj s, sj t where s.id = t.id and random() < 2 order by 1;
select s.id, t.c from sj s, sj t where s.id = t.id order by t.a nulls first, t.b desc, s.id limit 3;

-- row locks and samples: both sides count
select s.id, t.c from sj s, sj t where s.id = t.id and s.id < 3 order by 1 for update;
select s.id, t.c from sj s, sj t where s.id = t.id and s.id < 3 order by 1 for share of t;
select s.id from sj s tablesample bernoulli (100) join sj t on s.id = t.id order by 1;
select count(*) from sj s tablesample bernoulli (0) join sj t on s.id = t.id;
select s.id from (select * from sj where a = 1 for update) s join sj t on s.id = t.id order by 1;
select s.id, t.id from (select id, k from sj order by id limit 2) s join sj t on s.id = t.id order by 1;

-- changes
begin;
update sj s set c = t.c || '!' from sj t where s.id = t.id and t.a = 1;
update sj set c = x.c || '?' from sj x join sj y on x.id = y.id where sj.id = y.id and x.b = 2;
select id, c from sj order by 1;
delete from sj s using sj t where s.id = t.id and t.b is null;
delete from sj using sj x join sj y on x.id = y.id where sj.id = x.id and y.a = 2 and x.b = 1;
select id, c from sj order by 1;
merge into sj t using (select s.id, t.c from sj s join sj t on s.id = t.id) s on t.id = s.id when matched then update set c = s.c || '.' when not matched then do nothing;
insert into sj (id, c) select s.id + 100, t.c from sj s join sj t on s.id = t.id where t.a = 1;
select id, c from sj order by 1;
rollback;

-- keys that are none
create table sj_late (id int, p int, n int, v text, unique (id) deferrable, unique nulls not distinct (n));
create unique index on sj_late (p) where v = 'in';
create unique index on sj_late ((id + n));
begin;
set constraints all deferred;
insert into sj_late values (1, 1, 1, 'in'), (2, 2, null, 'in'), (1, 1, 2, 'out'), (3, 2, 3, 'out');
select s.id, s.n, t.n from sj_late s, sj_late t where s.id = t.id order by 1, 2, 3;
select s.p, s.n, t.n from sj_late s, sj_late t where s.p = t.p order by 1, 2, 3;
select s.p, s.n, t.n from sj_late s, sj_late t where s.p = t.p and s.v = 'in' order by 1, 2, 3;
select s.p, s.n, t.n from sj_late s, sj_late t where s.p = t.p and s.v = 'in' and t.v = 'in' order by 1, 2, 3;
select s.id, s.n, t.n from sj_late s, sj_late t where s.id + s.n = t.id + t.n order by 1, 2, 3;
select s.id, s.n, t.n from sj_late s, sj_late t where s.n = t.n order by 1, 2, 3;
select s.id, s.n, t.n from sj_late s, sj_late t where s.n is not distinct from t.n order by 1, 2, 3;
rollback;

-- texts and numbers: equal values that print otherwise are of one row
create table sj_types (n numeric unique, v varchar(10) unique, f float8 unique, d date unique, t char(5) unique);
insert into sj_types values (1.0, 'a', 'nan', '2020-01-01', 'x'), (1.00001, 'b', '-0', '2020-01-02', 'y '), (null, null, null, null, null);
select s.n, t.n from sj_types s, sj_types t where s.n = t.n order by 1;
select s.v, t.v from sj_types s, sj_types t where s.v = t.v order by 1;
select s.f, t.f from sj_types s, sj_types t where s.f = t.f order by 1;
select s.d, t.d from sj_types s, sj_types t where s.d = t.d order by 1;
select s.t, t.t from sj_types s, sj_types t where s.t = t.t order by 1;
select s.v, t.v from sj_types s, sj_types t where s.v = 'a' and t.v = 'a';

-- inheritance and partitions
create table sj_p (id int primary key, v text);
create table sj_c () inherits (sj_p);
insert into sj_p values (1, 'p'), (2, 'p');
insert into sj_c values (1, 'c'), (3, 'c');
select s.id, s.v, t.v from sj_p s, sj_p t where s.id = t.id order by 1, 2, 3;
select s.id, s.v, t.v from only sj_p s, sj_p t where s.id = t.id order by 1, 2, 3;
select s.id, s.v, t.v from only sj_p s, only sj_p t where s.id = t.id order by 1, 2, 3;
select s.id, s.v, t.v from sj_c s, sj_c t where s.id = t.id order by 1, 2, 3;
create table sj_part (id int primary key, v text) partition by range (id);
create table sj_part1 partition of sj_part for values from (0) to (10);
create table sj_part2 partition of sj_part for values from (10) to (20);
insert into sj_part values (1, 'a'), (2, 'b'), (11, 'c');
select s.id, s.v, t.v from sj_part s, sj_part t where s.id = t.id order by 1;
select s.id, s.v, t.v from sj_part1 s, sj_part1 t where s.id = t.id order by 1;
select s.id, s.v, t.v from sj_part1 s, sj_part t where s.id = t.id order by 1;

-- views of the table
create view sj_v as select id as i, k, c as text from sj where a = 1;
create view sj_w as select id as i, b, c || '!' as text from sj where b = 1;
select v.i, v.text, w.text from sj_v v join sj_w w on v.i = w.i order by 1;
select v.i, v.text, s.c from sj_v v join sj s on v.i = s.id order by 1;
select x.k, y.k from sj_v x, sj_v y where x.k = y.k order by 1;
select s from sj s join sj_v v on s.id = v.i order by s.id;

select v.i, w.text from sj_v v join (select id, c as text from sj where b is not null limit 10) w on v.i = w.id order by 1;
select x.i, x.n, y.n from (select id as i, a + b as n from sj) x join (select id as i, a * b as n from sj where a is not null) y using (i) order by 1;
select x.i, x.n, y.n from (select id as i, a + b as n from sj) x join (select id as i, a * b as n from sj) y using (i) where x.n = y.n order by 1;
select x.i, y.j from (select s.i as i from (select id as i, k from sj where k > 5) s where s.k < 60) x, (select id + 0 as j, id from sj) y where x.i = y.id order by 1;
select x.i, y.j from (select id as i from sj) x, (select id + 1 as j from sj) y where x.i = y.j order by 1;
select x.i, x.r < 2 from (select id as i, random() as r from sj) x join sj y on x.i = y.id order by 1;
select x.i, x.m from (select id as i, (select max(o.y) from sj_other o where o.x = sj.a) as m from sj) x join sj y on x.i = y.id order by 1;
select x.i, y.text, z.c from sj_v x join sj_w y on x.i = y.i join sj z on z.id = y.i where z.a = 1 order by 1;
select x.i, l.y from sj_v x join sj_v z on x.i = z.i, lateral (select o.y from sj_other o where o.x = x.k / 10 order by o.y limit 1) l order by 1;
select x, z from sj_v x join sj_v z on x.i = z.i order by x.i;
select o.x, v.i, s.c from sj_other o left join (sj_v v join sj s on v.i = s.id) on o.x = v.i order by 1, 2;
select v.i, count(*) from sj_v v join sj s on v.i = s.id group by v.i having count(*) = 1 order by 1;

-- other relations' rows are not the table's
select count(*) from sj s, sj_other t where s.id = t.x;
select s.relname, t.relkind from pg_class s join pg_class t on s.oid = t.oid where s.relname in ('sj', 'sj_pkey') order by 1;

-- plans: one scan, conditions together
explain (costs off) select s.* from sj s join sj t on s.id = t.id where t.a > 1;
explain (costs off) select t.* from sj s, sj t where s.k = t.k;
explain (costs off) select s.id from sj s, sj t, sj c where s.id = t.id and t.id = c.id;
set enable_self_join_elimination = off;
set enable_mergejoin = off;
set enable_nestloop = off;
explain (costs off) select s.*, t.* from sj s join sj t on s.id = t.id;
reset enable_mergejoin;
reset enable_nestloop;
select s.id, t.c from sj s, sj t where s.id = t.id order by 1;
reset enable_self_join_elimination;
