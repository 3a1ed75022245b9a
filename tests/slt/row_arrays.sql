-- Arrays of rows: of composite types, of tables, of views and of records
create type pt as (x int, label text);
create table tab (a int, b date);
create view vw as select 1 as one;

-- names
select typname, typtype, typcategory, typelem::regtype, typarray from pg_type where typname = '_pt';
select typarray::regtype from pg_type where typname = 'pt';
select 'pt[]'::regtype, '_pt'::regtype, '_tab'::regtype, 'public.tab[]'::regtype, to_regtype('nosuch[]');
select format_type('_pt'::regtype, -1), pg_typeof(null::pt[]), pg_typeof(null::_pt);
select null::nosuch[];
select null::_nosuch;

-- text
select '{}'::pt[], '{"(1,one)","(2,\"two words\")",NULL}'::pt[], '[0:1]={"(1,)","(,x)"}'::pt[];
select '{{"(1,a)","(2,b)"},{"(3,c)","(4,d)"}}'::pt[];
select '{"(1,one"}'::pt[];
select '{"(1)"}'::pt[];
select '{"(one,1)"}'::pt[];
select '{(1,one)}'::pt[];
select '{"(1,2020-01-01)"}'::tab[], '{"(1)"}'::vw[];

-- constructors
select array[row(1, 'a')::pt, row(2, 'b')::pt], array[(1, 'a'), (2, null)]::pt[], array[]::pt[];
select array[row(1, 'a')::pt, null], array[null::pt];
select pg_typeof(array[row(1, 'a')::pt]), pg_typeof(array[row(1, 'a')]), pg_typeof(array(select row(1, 'a')::pt));
select array[array[row(1, 'a')::pt], array[row(2, 'b')::pt]];
select array[row(1, 'a')::pt, row(1, 'a', 2)];
select array[row(1, 'a')::pt, 5];
select array[row('x', 'a')]::pt[];
select array[row(1)]::pt[];
select array[(1, 'a')::pt]::text[], array[(1, 'a')::pt]::text, '{"(1,a)"}'::text::pt[];
select array[(1, 'a')::pt]::record[];
select array[(1, 'a')::pt]::int[];
select array_agg(tab) from tab;
insert into tab values (1, '2020-01-01'), (2, '2020-02-02'), (null, null);
select array_agg(tab order by a) from tab;
select array(select tab from tab order by a desc);
select array(select vw from vw);
select array_agg(t) from (select 1 as p, 'q' as q) t;

-- parts
select (array[row(1, 'a')::pt, row(2, 'b')::pt])[2], ((array[row(1, 'a')::pt, row(2, 'b')::pt])[2]).label;
select (array[row(1, 'a')::pt, row(2, 'b')::pt])[3], ('{"(1,a)","(2,b)","(3,c)"}'::pt[])[2:];
select ((array_agg(tab order by a))[1]).* from tab;
select (array[row(1, 'a')::pt])[1].*;
select (array[row(1, 'a')::pt])[1].nosuch;

-- rows of them
select * from unnest(array[row(1, 'a')::pt, row(2, 'b')::pt]);
select u, u.x, (u).label from unnest(array[row(1, 'a')::pt, null, row(2, 'b')::pt]) u;
select * from unnest(array[row(1, 'a')::pt, row(2, 'b')::pt]) with ordinality as u (p, q, n) where p > 1;
select unnest(array[row(1, 'a')::pt, row(2, 'b')::pt]), (unnest(array[row(1, 'a')::pt])).label;
select * from unnest(array[row(1, 'a')::pt], array[1, 2]);
select * from unnest((select array_agg(tab order by a) from tab)) where b is not null;
select * from generate_subscripts('{"(1,a)","(2,b)"}'::pt[], 1);

-- comparisons
select array[row(1, 'a')::pt] = array[row(1, 'a')::pt], array[row(1, 'a')::pt] < array[row(1, 'b')::pt];
select array[row(1, 'a')::pt, row(2, 'b')::pt] @> array[row(2, 'b')::pt], array[row(1, 'a')::pt] && array[row(2, 'b')::pt];
select row(1, 'a')::pt = any (array[row(1, 'a')::pt, row(2, 'b')::pt]), row(3, 'a')::pt <> all (array[row(1, 'a')::pt]);
select row(1, 'a')::pt in (row(1, 'a')::pt, row(2, 'b')::pt);
select array[row(1, 'a')::pt] = array[row(1, 'a')];
select v from (values (array[row(2, 'a')::pt]), (array[row(1, 'z')::pt]), ('{}'), (null)) t (v) order by v;
select v, count(*) from (values (array[row(2, 'a')::pt]), (array[row(2, 'a')::pt]), (null)) t (v) group by v order by v;
select distinct v from (values (array[row(2, 'a')::pt]), (array[row(2, 'a')::pt])) t (v);
select max(v), min(v) from (values (array[row(2, 'a')::pt]), (array[row(1, 'a')::pt])) t (v);
select array[row(1, 'a')::pt] union select array[row(1, 'a')::pt];
select case when true then array[row(1, 'a')::pt] else '{}' end, coalesce(null, array[row(1, 'a')::pt]);

-- functions
select array_length(array[row(1, 'a')::pt], 1), cardinality('{}'::pt[]), array_ndims(array[row(1, 'a')::pt]);
select array_append(array[row(1, 'a')::pt], row(2, 'b')::pt), array_prepend(row(0, 'z')::pt, array[row(1, 'a')::pt]);
select array[row(1, 'a')::pt] || row(2, 'b')::pt, row(0, 'z')::pt || array[row(1, 'a')::pt], array[row(1, 'a')::pt] || array[row(2, 'b')::pt];
select null::pt[] || row(2, 'b')::pt, array_cat('{}'::pt[], null);
select array_remove(array[row(1, 'a')::pt, row(2, 'b')::pt], row(1, 'a')::pt), array_replace(array[row(1, 'a')::pt], row(1, 'a')::pt, row(9, 'i')::pt);
select array_position(array[row(1, 'a')::pt, row(2, 'b')::pt], row(2, 'b')::pt), array_positions(array[row(1, 'a')::pt], row(2, 'b')::pt);
select array_to_string(array[row(1, 'a')::pt, row(2, 'b')::pt], ';'), array_fill(row(1, 'a')::pt, array[2]);
select to_json(array[row(1, 'a')::pt, null]), to_jsonb(array[row(1, 'a')::pt]), array_to_json(array[row(1, 'a')::pt]);
select array_agg(v) from (values (array[row(2, 'a')::pt]), (array[row(1, 'a')::pt])) t (v);
select trim_array(array[row(1, 'a')::pt, row(2, 'b')::pt], 1), array_upper(array[row(1, 'a')::pt], 1);

-- stored
create table defaults (k int, v pt default row(5, 'five'), w pt[] default array[row(1, 'one')::pt], x tab default row(1, '2020-01-02'), y tab[] default '{"(2,2020-01-03)"}');
insert into defaults values (1);
select * from defaults;
alter type pt rename to pt1;
insert into defaults (k) values (2);
select * from defaults order by k;
alter type pt1 rename to pt;
alter table defaults add check (v <> row(9, 'nine')::pt);
insert into defaults values (3, row(9, 'nine'));
create index defaults_v on defaults ((w || row(7, 'seven')::pt));
drop table defaults;
create table keeps (k int primary key, v pt[], t tab[], w pt[] default '{}');
insert into keeps values (1, array[row(1, 'one')::pt, row(2, 'two')::pt], null);
insert into keeps values (2, '{"(3,three)"}', array[row(1, '2020-01-01')::tab]), (3, '{}', '{}'), (4, null, null);
insert into keeps values (5, array[row(1, 'x')], null);
insert into keeps (k, v[1], v[3].x) values (6, row(7, 'seven'), 9);
insert into keeps (k, t[2].b) values (7, '2022-02-02');
select * from keeps order by k;
select k, v[1].label, v[2].x, (t[1]).b, array_length(v, 1) from keeps order by k;
update keeps set v[1] = row(10, 'ten') where k = 1;
update keeps set v[2].label = 'changed', v[1].x = v[1].x + 1 where k = 1 returning v;
update keeps set v[2:3] = array[row(5, 'five')::pt, row(6, 'six')::pt] where k = 2 returning v;
update keeps set v = v || row(8, 'eight')::pt where k = 3 returning v;
update keeps set v[1].nosuch = 1;
update keeps set v.x = 1;
select attname, atttypid::regtype, attndims from pg_attribute where attrelid = 'keeps'::regclass and attnum > 0 order by attnum;
select k from keeps where v = array[row(11, 'ten')::pt, row(2, 'changed')::pt];
select k from keeps where row(5, 'five')::pt = any (v);
create index keeps_v on keeps (v);
set enable_seqscan = off;
select k from keeps where v = '{"(11,ten)","(2,changed)"}';
select k from keeps where v > '{"(7,)"}' order by v;
reset enable_seqscan;
create unique index keeps_u on keeps (v);
insert into keeps values (8, '{"(11,ten)","(2,changed)"}');
analyze keeps;
select k, u.* from keeps, unnest(v) u where k < 3 order by 1, 2;
select k, (select count(*) from unnest(v) u where u.x > 5) from keeps order by k;
create table copied as select k, v from keeps where k < 3;
select * from copied order by k;
select a.k, b.k from keeps a join copied b using (v) order by 1;
create table parts (v pt[]) partition by list (v);
create temp table tmp (v pt[]);
insert into tmp select v from copied;
select count(*) from tmp;

-- indexes on rows themselves
create table keyed (k int, v pt);
insert into keyed select i, row(i % 50, 'l' || i)::pt from generate_series(1, 500) i;
insert into keyed values (501, null), (502, row(null, 'n')), (503, row(null, null));
create index keyed_v on keyed (v);
analyze keyed;
set enable_seqscan = off;
select k from keyed where v = row(7, 'l57')::pt;
select k from keyed where v > row(49, 'l450')::pt order by v, k;
select k from keyed where v is null;
select v from keyed order by v desc nulls last limit 3;
reset enable_seqscan;
create unique index on keyed (v);
insert into keyed values (504, row(7, 'l57'));
drop table keyed;

-- types within types
create type poly as (name text, points pt[]);
select row('tri', array[row(1, 'a')::pt, row(2, 'b')::pt])::poly;
select ((row('tri', array[row(1, 'a')::pt, row(2, 'b')::pt])::poly).points)[2].label;
select '(tri,"{""(1,a)"",""(2,\\""b c\\"")""}")'::poly;
create table shapes (s poly[]);
insert into shapes values (array[row('tri', array[row(1, 'a')]::pt[])::poly]);
update shapes set s[1].points[2].x = 5 returning s, s[1].points[2];
select (u).name, p.x from shapes, unnest(s) u, unnest(u.points) p order by 2;

-- routines
create function first_of(v pt[]) returns pt language sql as $$ select v[1] $$;
select first_of(array[row(1, 'a')::pt, row(2, 'b')::pt]), (first_of('{"(4,d)"}')).label;
create function all_of(v pt[]) returns setof pt language sql as $$ select * from unnest(v) $$;
select * from all_of(array[row(1, 'a')::pt, row(2, 'b')::pt]);
create function make_them(n int) returns pt[] language sql as $$ select array_agg(row(i, 'n' || i)::pt) from generate_series(1, n) i $$;
select make_them(2), (make_them(3))[3].label;
create function spread(variadic v pt[]) returns int language sql as $$ select sum(x)::int from unnest(v) $$;
select spread(row(1, 'a')::pt, row(2, 'b')::pt), spread(variadic array[row(5, 'a')::pt]);
create function pl(v pt[]) returns text language plpgsql as $$
declare p pt; ps pt[]; own pt[] := '{}'; res text := '';
begin
  foreach p in array v loop
    res := res || p.x || p.label || ' ';
    own := own || p;
  end loop;
  ps := v;
  ps[1] := row(100, 'a');
  ps[4] := row(4, 'four');
  own[1] := ps[4];
  return res || ps::text || own::text || array_length(own, 1);
end $$;
select pl(array[row(1, 'a')::pt, row(2, 'b')::pt]);
create function poly_id(anyarray) returns anyarray language sql as $$ select $1 $$;
create function poly_el(anyarray) returns anyelement language sql as $$ select $1[1] $$;
create function poly_arr(anyelement) returns anyarray language sql as $$ select array[$1] $$;
select poly_id(array[row(1, 'a')::pt]), poly_el(array[row(1, 'a')::pt]), poly_arr(row(1, 'a')::pt), pg_typeof(poly_arr(row(1, 'a')::pt));
create function over(pt[]) returns text language sql as $$ select 'array' $$;
create function over(pt) returns text language sql as $$ select 'row' $$;
create function over(text) returns text language sql as $$ select 'text' $$;
select over(array[row(1, 'a')::pt]), over(row(1, 'a')::pt), over('{"(1,a)"}');
create function gather(pt[], int, text) returns pt[] language sql as $$ select array_append($1, row($2, $3)::pt) $$;
create aggregate gathered(int, text) (sfunc = gather, stype = pt[], initcond = '{}');
select gathered(a, b::text order by a desc) from tab;
select gathered(distinct a, 'x') from tab;
prepare p(pt[]) as select $1[1].label, cardinality($1);
execute p('{"(1,a)"}');
execute p(array[row(1, 'b')::pt, null]);

-- recursion over paths of rows
with recursive g (f, t) as (values (1, 2), (2, 3), (3, 1)),
  s as (select f, t, array[row(f, t)] as path, false as cyc from g where f = 1
    union all
    select g.f, g.t, path || row(g.f, g.t), row(g.f, g.t) = any (path) from g, s where g.f = s.t and not cyc)
select * from s;

-- what is kept from changing, and from going
alter type pt rename to pt2;
select pg_typeof(v), v from keeps where k = 2;
alter type pt2 rename to pt;
drop type pt;
drop table tab;
create type loop_type as (a int);
drop function first_of, all_of, make_them, spread, pl, over(pt[]), over(pt), poly_id, poly_el, poly_arr;
drop aggregate gathered(int, text);
drop function gather;
drop table keeps, copied, tmp, shapes, parts;
drop type poly;
drop type pt;
select null::pt[];
select count(*) from pg_type where typname in ('pt', '_pt');
drop table tab cascade;
