-- TABLESAMPLE: what does not depend on which rows are chosen.
-- Steps: all and none of the rows, the same seed twice, arguments from elsewhere, every error.
create table p_t (id int primary key, name text);
insert into p_t select i, repeat('x', 200) from generate_series(1, 1000) i;
select count(*) from p_t tablesample system (100);
select count(*) from p_t tablesample bernoulli (100);
select count(*) from p_t tablesample system (0);
select count(*) from p_t tablesample bernoulli (0) repeatable (3);
select count(*) between 300 and 700 from p_t tablesample bernoulli (50) repeatable (1);
select count(*) between 50 and 950 from p_t tablesample system (50) repeatable (5);
select (select array_agg(id order by id) from p_t tablesample bernoulli (30) repeatable (7)) = (select array_agg(id order by id) from p_t tablesample bernoulli (30) repeatable (7)) as same;
select (select array_agg(id order by id) from p_t tablesample bernoulli (30) repeatable (7)) = (select array_agg(id order by id) from p_t tablesample bernoulli (30) repeatable (8)) as same;
select (select array_agg(id order by id) from p_t tablesample system (30) repeatable (0.5)) = (select array_agg(id order by id) from p_t tablesample system (30) repeatable (0.5)) as same;
select count(*) from (select id from p_t tablesample bernoulli (10) repeatable (2) except select id from p_t tablesample bernoulli (20) repeatable (2)) d;
select count(*) from p_t as x (p) tablesample pg_catalog.bernoulli (100) where p <= 10;
select count(*) from p_t tablesample bernoulli (100) where id = 3;
select a.id from p_t a tablesample system (100) join p_t b on a.id = b.id where b.id < 4 order by 1;
select s.p, l.c from (values (0), (100)) s(p), lateral (select count(*) c from p_t tablesample bernoulli (s.p)) l order by 1;
select s.p, l.c from (values (0), (100)) s(p) left join lateral (select count(*) c from p_t tablesample system (s.p) repeatable (s.p)) l on true order by 1;
select (select count(*) from p_t tablesample bernoulli (g * 100)) from generate_series(0, 1) g;
prepare p_q(real, float8) as select count(*) from p_t tablesample bernoulli ($1) repeatable ($2);
execute p_q(100, 1);
execute p_q(0, 1);
create view p_v as select id from p_t tablesample system (100) repeatable (3);
select count(*) from p_v;
insert into p_v values (5);
create materialized view p_m as select id from p_t where id <= 20;
select count(*) from p_m tablesample bernoulli (100);
select count(*) > 100 from pg_type tablesample system (100);
explain (costs off) select * from p_t tablesample bernoulli (10) repeatable (1);
explain (costs off) select * from p_t tablesample system (5 * 2);
begin;
select count(*) from (select id from p_t tablesample bernoulli (100) for update) x;
rollback;

-- errors
select * from p_t tablesample nonsense (10);
select * from p_t tablesample bernoulli (10, 20);
select * from p_t tablesample bernoulli (null);
select * from p_t tablesample bernoulli (101);
select * from p_t tablesample system (-1);
select * from p_t tablesample bernoulli (10) repeatable (null);
select * from p_v tablesample system (10);
with w as (select 1) select * from w tablesample system (10);
select * from p_t tablesample bernoulli ('a');
select * from p_t tablesample bernoulli (id);
select * from p_t tablesample bernoulli (count(*));
select * from p_t tablesample bernoulli (10) repeatable (id);
select * from p_t tablesample bernoulli ('NaN');
