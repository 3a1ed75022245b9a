-- queries within utilities that mention a routine's variables and arguments

create function up_table(lowest int) returns bigint language plpgsql as $$
declare highest int := 5; r record; n bigint;
begin
    select 7 as a, 'x' as b into r;
    create temp table up_made as select g, highest as h, r.a, lowest from generate_series(lowest, highest) g;
    execute 'create temp table up_more as select $1 + g as v from up_made where g > $2' using 100, lowest;
    select sum(g + h + up_made.a) into n from up_made;
    return n + (select sum(v) from up_more);
end $$;
select up_table(2);
select * from up_made order by g;
select * from up_more order by v;
drop table up_made, up_more;
select up_table(4);
select * from up_made order by g;
drop table up_made, up_more;

create function up_sql(lowest int) returns void language sql as $$
create table up_made as select g from generate_series(lowest, $1 + 2) g;
$$;
select up_sql(3);
select * from up_made order by g;
drop table up_made;

create function up_none() returns void language plpgsql as $$
declare a int := 1;
begin
    create table up_made as select a, nothing from generate_series(1, 2);
end $$;
select up_none();
create function up_loop() returns setof text language plpgsql as $$
declare n int;
begin
    for n in 1..3 loop
        execute format('create temp table up_%s as select $1 as v', n) using n * 10;
        drop table if exists up_loop_table;
        create temp table up_loop_table as select n as x, n::text || '!' as y;
        return query select y from up_loop_table;
    end loop;
end $$;
select * from up_loop();
select * from up_1, up_2, up_3, up_loop_table;
create table up_bad as select $1;
create table up_bad as select $1::int where $2 > 1;
explain (costs off) select 1 into up_into;
explain (costs off) create table up_into as select 1;

-- CALL: arguments for output parameters are checked, and never computed
create procedure up_out(a int, out b int, inout c text default 'z') language plpgsql as $$ begin b := a + 1; c := c || 'c'; end $$;
call up_out(1, null);
call up_out(1, 1 / 0, 'x');
call up_out(1, nothing);
call up_out(1, 'x'::text);
call up_out(1, true);
call up_out(b => null, a => 4);
call up_out(c => 'k', b => 5, a => 4);
do $$ declare v int; w text := 'w'; begin call up_out(5, v, w); raise notice '% %', v, w; end $$;
drop procedure up_out;
drop function up_table, up_sql, up_none, up_loop;
drop table up_1, up_2, up_3, up_loop_table;
