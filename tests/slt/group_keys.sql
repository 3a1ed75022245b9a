-- Groups by columns of which one table's key determines others: the rows are the same as if all were compared.
-- Steps: tables with a key of one and of two columns, a nullable unique column and an index that is partial; groups over
-- joins of every kind, over grouping sets, over children.
create table g_a (id int primary key, name text, size numeric, code int unique, note text);
create table g_b (x int, y bigint, a_id int, amount numeric(10, 2), label char(5), primary key (x, y));
create table g_n (code int unique, v int);
create table g_p (id int not null, state text not null, v int);
create unique index g_p_open on g_p (id) where state = 'open';
insert into g_a select i, 'name ' || i % 7, i % 5 + 0.50, case when i % 3 <> 0 then i end, repeat('wide ', i % 4) from generate_series(1, 40) i;
insert into g_b select i % 6, i * 10000000000, case when i % 11 <> 0 then i % 50 end, i * 1.25, 'l' || i % 3 from generate_series(1, 200) i;
insert into g_n values (1, 1), (null, 2), (null, 3), (2, 4), (null, 2);
insert into g_p values (1, 'open', 1), (1, 'done', 2), (1, 'done', 3), (2, 'open', 4), (2, 'gone', 5);
analyze g_a; analyze g_b;

select a.id, a.name, a.size, count(*), sum(b.amount) from g_a a join g_b b on b.a_id = a.id group by a.id, a.name, a.size order by 1 limit 5;
select a.name, a.id, sum(b.amount) from g_a a join g_b b on b.a_id = a.id group by a.name, a.id order by a.name, a.id limit 5;
select b.x, b.y, b.label, a.id, a.note, count(*) from g_a a join g_b b on b.a_id = a.id group by 1, 2, 3, 4, 5 order by 2 limit 4;
select a.id, a.name, b.x, count(*) from g_b b left join g_a a on b.a_id = a.id group by a.id, a.name, b.x order by 1 nulls first, 3 limit 8;
select a.id, a.name, a.note, b.label, count(b.x) from g_a a full join g_b b on b.a_id = a.id group by a.id, a.name, a.note, b.label order by 1 nulls first, 4 limit 9;
select count(*), sum(n) from (select a.id, a.name, a.code, count(*) as n from g_a a right join g_b b on b.a_id = a.id group by a.id, a.name, a.code) g;
select id, name, count(*) from (select id, name from g_a where id < 4 union all select id, 'other' from g_a where id < 3) u group by id, name order by 1, 2;
select id, name, n, count(*) from (select id, name, count(*) as n from g_a where id < 4 group by grouping sets ((id), (name), ())) s group by id, name, n order by 1, 2, 3;
select id, name, count(*) from g_a where id < 3 group by grouping sets ((id, name), (name)) order by 1, 2;
select id, name, count(*) from g_a where id < 3 group by rollup (id, name) order by 1, 2;
select code, name, count(*) from g_a where id < 10 group by code, name order by 1, 2;
select code, v, count(*) from g_n group by code, v order by 1, 2;
select id, state, v, count(*) from g_p group by id, state, v order by 1, 2, 3;
select id, v, count(*) from g_p where state = 'open' group by id, v order by 1;
select a.id, a.name, c.name, count(*) from g_a a, g_a c where a.id < 3 and c.id < 3 group by a.id, a.name, c.name order by 1, 2, 3;
select id, name || '!' as shout, count(*) from g_a where id < 3 group by id, name || '!', size order by 1;
select id, name, max(note) from g_a group by id, name having count(*) > 1;
select id, name from g_a where id < 4 group by id, name order by name desc, id;
select y, x, label, min(amount) from g_b group by label, y, x order by y limit 3;
select y, label, count(*) from g_b group by y, label order by y desc limit 3;

-- a unique column that may be NULL is not distinct
select distinct code from g_n order by 1;
select distinct code, v from g_n order by 1, 2;
select count(*) from (select distinct code from g_n) d;
select n.code, m.v from g_n n left join g_n m on n.code is not distinct from m.code order by 1, 2;
select distinct id from g_a where id < 4 order by 1;

-- a key that is deferred, and one of a parent
create table g_d (id int primary key deferrable initially deferred, v int);
insert into g_d values (1, 1), (2, 2);
begin;
insert into g_d values (1, 5);
select id, v, count(*) from g_d group by id, v order by 1, 2;
rollback;
create table g_c (primary key (id)) inherits (g_a);
insert into g_c values (1, 'child', 1, 1, 'x'), (2, 'name 2', 2.50, null, 'y');
select id, name, count(*) from g_a where id < 3 group by id, name order by 1, 2;
select id, name, count(*) from only g_a where id < 3 group by id, name order by 1, 2;
select distinct id from g_a where id < 3 order by 1;

-- groups that many rows make, in memory and not
create table g_m (id int primary key, a int, b text);
insert into g_m select i, i % 1000, 'b' || i % 1000 from generate_series(1, 3000) i;
select count(*), sum(n), count(distinct b) from (select m.id, m.a, m.b, count(*) as n from g_m m join g_m o on o.a = m.a group by m.id, m.a, m.b) s;
set enable_hashagg = off;
select count(*), sum(n), count(distinct b) from (select m.id, m.a, m.b, count(*) as n from g_m m join g_m o on o.a = m.a group by m.id, m.a, m.b) s;
reset enable_hashagg;
-- Only columns of tables depend on a key, not those of sub-queries and views.
CREATE TABLE keyed (pk int PRIMARY KEY, c text, d int);
CREATE VIEW keyed_view AS SELECT * FROM keyed;
INSERT INTO keyed VALUES (1, 'a', 1), (2, 'b', 2);
SELECT pk, c FROM keyed GROUP BY pk ORDER BY 1;
SELECT x, y FROM keyed AS k (x, y) GROUP BY x ORDER BY 1;
SELECT k.pk, k.c FROM (keyed JOIN keyed o USING (pk)) AS k (pk, c) GROUP BY k.pk ORDER BY 1;
SELECT pk, keyed.c FROM keyed LEFT JOIN (SELECT 1 AS pk) s USING (pk) GROUP BY keyed.pk ORDER BY 1;
SELECT pk, c FROM (SELECT * FROM keyed) s GROUP BY pk;
SELECT pk, c FROM keyed_view GROUP BY pk;
SELECT pk, c FROM (SELECT pk, c FROM keyed GROUP BY GROUPING SETS ((pk), (c))) s GROUP BY pk;
WITH s AS (SELECT * FROM keyed) SELECT pk, c FROM s GROUP BY pk;
SELECT pk, (SELECT c) FROM keyed GROUP BY pk ORDER BY 1;
DROP VIEW keyed_view;
DROP TABLE keyed;
