-- Aggregates of users: what they are made of, what is refused, and calls in every place of a query.
create table p (a int, b int, c text);
insert into p values (1, 2, 'x'), (3, 4, 'y'), (1, 5, null), (null, 7, 'z');

create aggregate total (int4) (sfunc = int4pl, stype = int4, initcond = '0');
select total(a), total(b), total(distinct a), total(b) filter (where a = 1) from p;
select a, total(b) from p group by a order by a;
select total(a) from p where false;
select a, b, total(b) over (order by b) from p order by b;
select a, b, total(b) over (order by b rows between 1 preceding and current row) from p order by b;
select b from p where b < (select total(q.a) from p q where q.b <= p.b) order by b;

-- Without an initial state a strict function begins with the first value.
create aggregate greatest_of (int4) (sfunc = int4larger, stype = int4);
select greatest_of(a), greatest_of(b) from p;
select greatest_of(a) from p where false;

-- A state of another type, and a final function.
create aggregate mean (int4) (sfunc = int4_avg_accum, stype = int8[], finalfunc = int8_avg, initcond = '{0,0}');
select mean(a), mean(b) from p;
select mean(a) from p where false;

-- Functions of users; rows in an order.
create function append_text(text[], text) returns text[] language sql as 'select array_append($1, $2)';
create aggregate texts (text) (sfunc = append_text, stype = text[], initcond = '{}');
select texts(c order by b desc), texts(c order by c nulls first) from p;
select texts(distinct c) from p;
drop function append_text(text[], text);

-- Polymorphic ones.
create function keep(anyarray, anyelement) returns anyarray language sql as 'select $1 || $2';
create aggregate kept (anyelement) (sfunc = keep, stype = anyarray, initcond = '{}');
select kept(a order by b), kept(c order by b) from p;

-- Several arguments, none, and variadic ones.
create function add_product(int8, int8, int8) returns int8 language sql strict as 'select $1 + $2 * $3';
create aggregate products (int8, int8) (sfunc = add_product, stype = int8, initcond = '0');
select products(a, b) from p;
create aggregate counted (*) (sfunc = int8inc, stype = int8, initcond = '0');
select counted(*) from p;
create function smallest(int8, variadic int8[]) returns int8 language sql as 'select least($1, min(v)) from unnest($2) v';
create aggregate least_of (variadic items int8[]) (stype = int8, sfunc = smallest);
select least_of(a, b), least_of(b, b, 100) from p;

-- The older form.
create aggregate old_total (basetype = int4, sfunc1 = int4pl, stype1 = int4, initcond1 = '10');
select old_total(a) from p;

-- What is refused.
create aggregate bad (int4) (stype = int4);
create aggregate bad (int4) (sfunc = int4pl);
create aggregate bad (int4) (sfunc = no_such_function, stype = int4);
create aggregate bad (int4) (sfunc = int4pl, stype = int8);
create aggregate bad (int4) (sfunc = int4pl, stype = int4, initcond = 'x');
create aggregate bad (text) (sfunc = int4pl, stype = int4);
create aggregate bad (int4) (sfunc = int4_avg_accum, stype = int8[]);
create aggregate total (int4) (sfunc = int4pl, stype = int4);
create aggregate bad (int4) (sfunc = int4pl, stype = int4, msfunc = int4pl);
create aggregate bad (int4) (sfunc = int4pl, stype = int4, parallel = perhaps);
create or replace aggregate total (int4) (sfunc = int4pl, stype = int4, initcond = '100');
select total(a) from p;
drop function total(int4);
drop aggregate append_text(text[], text);

-- In the catalogs.
select aggfnoid::regproc, aggkind, aggtransfn, aggfinalfn, aggtranstype::regtype, agginitval
  from pg_aggregate where aggfnoid::oid > 16383 order by aggfnoid::regproc::text;
select proname, prokind, prosrc from pg_proc where proname in ('total', 'mean') order by 1;

-- Changes.
alter aggregate total(int4) rename to sum_of;
comment on aggregate sum_of(int4) is 'adds';
select sum_of(a) from p;
drop aggregate sum_of(int4), texts(text), kept(anyelement);
drop aggregate if exists sum_of(int4);
drop aggregate sum_of(int4);
select sum_of(a) from p;

-- An aggregate in a subquery that belongs to the query around it.
select (select max((select q.b from p q where q.b = p.b))) from p;
select a, (select sum(p.b)) from p group by a order by a;
select a, (select (select grouping(a, b))) as g from p group by grouping sets ((a), (b)) order by a nulls last, g;
select (select count(p.a) filter (where p.b > (select min(q.b) from p q))) from p;
select p.a from p group by p.a having (select max((select q.b from p q where q.b = p.b))) > 4 order by 1;
select (select sum((with w as (select p.b as v) select v from w))) from p;
select (select grouping(p.b)) from p group by p.a;
