-- PL/pgSQL: statements, errors, results
create table pt(a int, b text);
create function p1(i int) returns int language plpgsql as $$
declare
  x int := i * 2;
  y text;
  r record;
  arr int[] := '{1,2,3}';
begin
  if x > 10 then
    return -1;
  elsif x = 4 then
    x := x + 100;
  else
    x := x + 1;
  end if;
  for k in 1..3 loop
    x := x + k;
  end loop;
  for r in select g, g*g as sq from generate_series(1,3) g loop
    x := x + r.sq;
    continue when r.g = 2;
  end loop;
  while x < 100 loop
    x := x + 50;
  end loop;
  arr[2] := 20;
  foreach y in array array['a','b'] loop
    raise notice 'y is % and arr %', y, arr;
  end loop;
  select count(*) into x from generate_series(1, x);
  return x;
end;
$$;
select p1(1), p1(2), p1(10);
create function p2() returns setof int language plpgsql as $$
begin
  return next 1;
  return query select g from generate_series(5,7) g;
  return;
end $$;
select * from p2();
create function p3(out a int, out b text) language plpgsql as $$ begin a := 1; b := 'x'; end $$;
select p3(), (p3()).b;
select * from p3();
create function p4() returns table(n int, t text) language plpgsql as $$
begin
  for n in 1..3 loop
    t := 'row ' || n;
    p4.n := n;
    return next;
  end loop;
end $$;
select * from p4();
create function p5(d int) returns text language plpgsql as $$
declare q int;
begin
  insert into pt values (d, 'before');
  begin
    insert into pt values (d, 'inside');
    q := 1 / d;
    return 'fine ' || q;
  exception
    when division_by_zero then
      raise notice 'caught % %', sqlstate, sqlerrm;
      return 'caught';
    when others then
      return 'other';
  end;
end $$;
select p5(0);
select p5(2);
select * from pt order by a, b;
create function p6(n int) returns void language plpgsql as $$
declare c int;
begin
  execute 'insert into pt select $1, $2' using n, 'dyn';
  get diagnostics c = row_count;
  raise notice 'rows %', c;
  execute format('select count(*) from pt where a = %s', n) into c;
  raise notice 'count % found %', c, found;
  perform 1 from pt where a = -5;
  if not found then raise notice 'not found'; end if;
  update pt set b = 'upd' where a = n;
  raise notice 'found %', found;
end $$;
select p6(42);
create function p7() returns int language plpgsql as $$
begin
  raise exception 'bad thing %', 42 using errcode = 'P1234', hint = 'do not', detail = 'some detail';
end $$;
select p7();
create function p8() returns int language plpgsql as $$
declare a int;
begin
  select 1/0 into a;
  return a;
end $$;
select p8();
create function p9() returns int language plpgsql as $$ begin end $$;
select p9();
create function p10() returns int language plpgsql as $$
declare v pt.a%type; w pt%rowtype; z pt;
begin
  select * into strict w from pt where a = 42;
  z := w;
  z.b := 'changed';
  v := z.a;
  raise notice '% % %', v, w, z;
  select * into strict w from pt where a = -1;
  return 1;
end $$;
select p10();
create function fact(n int) returns bigint language plpgsql as $$ begin if n <= 1 then return 1; end if; return n * fact(n - 1); end $$;
select fact(10);
do $$ declare i int; begin for i in reverse 3..1 loop raise notice '%', i; end loop; <<outer>> loop loop exit outer; end loop; end loop; end $$;
create procedure pr(a int, inout b int) language plpgsql as $$ begin b := a + b; end $$;
call pr(1, 2);
do $$ declare x int := 5; begin call pr(1, x); raise notice 'x %', x; end $$;
select pr(1,2);
call p9();
create function amb(a int) returns int language plpgsql as $$ begin return (select a from pt limit 1); end $$;
select amb(1);
create function lbl(a int) returns bigint language plpgsql as $$ begin return (select count(*) from pt where pt.a = lbl.a); end $$;
select lbl(42);
create function cur() returns text language plpgsql as $$
declare c cursor (lo int) for select a, b from pt where a > lo order by a; r record; out text := '';
begin
  open c(1);
  loop
    fetch c into r;
    exit when not found;
    out := out || r.a || ',';
  end loop;
  close c;
  for r in c(0) loop out := out || '<' || r.a || '>'; end loop;
  return out;
end $$;
select cur();
create function cs(i int) returns text language plpgsql as $$ begin case i when 1, 2 then return 'small'; when 3 then return 'three'; else return 'big'; end case; end $$;
select cs(1), cs(2), cs(3), cs(4);
create function syn() returns int language plpgsql as $$ begin foo bar; end $$;
create function syn2() returns int language plpgsql as $$ begin if then; end $$;
create function an(x anyelement) returns anyelement language plpgsql as $$ declare y x%type; begin y := x; return y; end $$;
select an(1), an('a'::text);
create function sd() returns text language plpgsql as $$ declare m text; s text; c text; begin perform 1/0; exception when others then get stacked diagnostics m = message_text, s = returned_sqlstate; return s || ' ' || m; end $$;
select sd();
do $$ begin raise notice '%', (select count(*) from pt); assert 1 = 2, 'no'; end $$;
do language plpgsql $$ declare r pt; begin for r in select * from pt order by a limit 1 loop raise notice '%', r; end loop; end $$;
create function upd() returns int language plpgsql as $$ declare n int; begin update pt set a = a + 1 where b = 'upd' returning a into n; return n; end $$;
select upd(), upd();
do $$ begin insert into pt values (1); insert into pt values ('x'); end $$;
do $$ begin begin raise unique_violation using message = 'mine'; exception when unique_violation then raise; end; end $$;
create function ret_rec() returns record language plpgsql as $$ declare r record; begin select 1 as a, 'b'::text as b into r; return r; end $$;
select ret_rec();
create function rowt() returns pt language plpgsql as $$ declare r pt; begin r.a := 7; return r; end $$;
select * from rowt(); select (rowt()).a;
create function setpt() returns setof pt language plpgsql as $$ declare r pt; begin for r in select * from pt order by a loop return next r; end loop; return query select * from pt where a = 42; end $$;
select count(*) from setpt();

-- plans as rows
create function explains(n int) returns setof text language plpgsql as $$
declare line text; whole json; r record;
begin
    for line in explain (costs off) select g from generate_series(1, n) g where g > n loop return next line; end loop;
    for line in execute 'explain (costs off, generic_plan) select $1::int + 1' loop return next '1 ' || line; end loop;
    for r in execute 'explain (costs off) select 1 where $1 > 2' using n loop return next '2 ' || r."QUERY PLAN"; end loop;
    for whole in explain (costs off, format json) select 1 loop return next '3 ' || (whole -> 0 -> 'Plan' ->> 'Node Type'); end loop;
    for line in explain (analyze, costs off, timing off, summary off, buffers off) insert into explained values (n) loop return next '4 ' || line; end loop;
    return query explain (costs off) select 7;
    return query execute 'explain (costs off) table explained';
end $$;
create table explained (a int);
select count(*) > 8, bool_or(l like '4 Insert on explained%'), bool_or(l = '3 Result') from explains(3) l;
select * from explained;
create function explains_nothing() returns void language plpgsql as $$ declare line text; begin for line in vacuum explained loop raise notice '%', line; end loop; end $$;
select explains_nothing();
drop function explains, explains_nothing;
drop table explained;
