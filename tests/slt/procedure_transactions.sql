-- COMMIT and ROLLBACK in procedures and DO blocks that are statements by themselves
create table pt (a int primary key, b text);
create table pt_log (n serial, t text);
create procedure pt_fill(n int) language plpgsql as $$
begin
  for i in 1..n loop
    insert into pt values (i, 'row ' || i);
    if i % 2 = 0 then commit; else rollback; end if;
  end loop;
end $$;
call pt_fill(5);
select * from pt order by a;
do $$ begin insert into pt values (10, 'kept'); commit; insert into pt values (11, 'lost'); perform 1 / 0; end $$;
select * from pt order by a;
do $$ begin insert into pt values (12, 'lost'); rollback; insert into pt values (13, 'kept'); end $$;
select * from pt order by a;

-- not within a block, a function, or beside other statements
begin;
call pt_fill(2);
rollback;
begin;
do $$ begin commit; end $$;
rollback;
create function pt_f() returns int language plpgsql as $$ begin commit; return 1; end $$;
select pt_f();
do $$ begin perform pt_f(); end $$;
create function pt_caller() returns int language plpgsql as $$ begin call pt_fill(1); return 1; end $$;
select pt_caller();
do $$ begin execute 'commit'; end $$;
do $$ begin start transaction; end $$;
do $$ begin savepoint s; end $$;
create procedure pt_sql() language sql as $$ commit $$;
call pt_sql();

-- nor where something would outlive the transaction
do $$ begin begin insert into pt values (20, ''); commit; exception when others then raise notice '%: %', sqlstate, sqlerrm; end; end $$;
do $$ begin begin rollback; exception when division_by_zero then null; end; end $$;
do $$ begin begin perform 1 / 0; exception when others then commit; raise notice 'in the handler'; end; end $$;
create procedure pt_set() language plpgsql set work_mem = '1MB' as $$ begin commit; end $$;
call pt_set();
create procedure pt_definer() language plpgsql security definer as $$ begin commit; end $$;
call pt_definer();

-- procedures that call procedures
truncate pt;
create procedure pt_outer() language plpgsql as $$
begin
  insert into pt values (1, 'outer');
  call pt_inner(2);
  insert into pt values (3, 'outer again');
  rollback;
  insert into pt values (4, 'at the end');
end $$;
create procedure pt_inner(k int) language plpgsql as $$ begin insert into pt values (k, 'inner'); commit; end $$;
call pt_outer();
select * from pt order by a;
do $$ begin call pt_inner(5); begin call pt_inner(6); exception when others then raise notice '%', sqlstate; end; end $$;
select * from pt order by a;
create procedure pt_out(inout n int, out t text) language plpgsql as $$ begin commit; n := n + 1; t := 'x' || n; rollback; end $$;
call pt_out(4, null);
do $$ declare n int := 7; t text; begin call pt_out(n, t); insert into pt_log (t) values (format('%s %s', n, t)); commit; end $$;
select t from pt_log order by n;
truncate pt_log;

-- loops over rows go on
truncate pt;
insert into pt select g, 'r' || g from generate_series(1, 6) g;
do $$ declare r record; begin for r in select * from pt order by a loop update pt set b = b || '!' where a = r.a; if r.a % 3 = 0 then commit; else rollback; end if; end loop; end $$;
select * from pt order by a;
do $$ declare r record; begin for r in execute 'select a from pt where a < $1 order by a' using 3 loop delete from pt where a = r.a; commit; end loop; end $$;
select a from pt order by a;
do $$ declare c cursor for select a from pt order by a; begin for r in c loop delete from pt where a = r.a; commit; exit when r.a = 4; end loop; end $$;
select a from pt order by a;
do $$ declare x int; begin foreach x in array array[7, 8, 9] loop insert into pt values (x, 'f'); commit; end loop; end $$;
select a from pt order by a;
do $$ declare c refcursor; x int; begin open c for select a from pt order by a; fetch c into x; commit; fetch c into x; end $$;

-- variables keep their values, large ones too
do $$ declare t text; r pt; begin insert into pt values (100, repeat('large', 50000)); select b into t from pt where a = 100; select * into r from pt where a = 100; delete from pt where a = 100; commit; insert into pt_log (t) values (format('%s %s', length(t), length(r.b))); commit; end $$;
select t from pt_log order by n;
truncate pt_log;
do $$ declare t text := 'x'; begin t := t || 'y'; rollback; insert into pt_log (t) values (format('%s', t)); commit; end $$;
select t from pt_log order by n;
truncate pt_log;

-- modes
do $$ declare m text[]; begin set default_transaction_isolation = 'repeatable read'; commit; m := m || current_setting('transaction_isolation'); set default_transaction_isolation = 'read committed'; commit and chain; m := m || current_setting('transaction_isolation'); rollback and chain; m := m || current_setting('transaction_isolation'); commit; m := m || current_setting('transaction_isolation'); insert into pt_log (t) values (m::text); end $$;
select t from pt_log order by n;
truncate pt_log;
do $$ begin set local work_mem = '3MB'; commit; insert into pt_log (t) values (format('%s', current_setting('work_mem'))); commit; set work_mem = '5MB'; rollback; insert into pt_log (t) values (format('%s', current_setting('work_mem'))); commit; end $$;
select t from pt_log order by n;
truncate pt_log;
do $$ declare x timestamptz := now(); begin commit; insert into pt_log (t) values (format('%s', now() > x)); commit; end $$;
select t from pt_log order by n;
truncate pt_log;

-- what is deferred happens at each COMMIT
create table pt_child (a int references pt deferrable initially deferred);
do $$ begin insert into pt_child values (9); commit; insert into pt_child values (999); commit; raise notice 'not reached'; end $$;
select * from pt_child;
create function pt_trigger() returns trigger language plpgsql as $$ begin raise notice 'deferred %', new.a; return null; end $$;
create constraint trigger pt_late after insert on pt deferrable initially deferred for each row execute function pt_trigger();
do $$ begin insert into pt values (50, ''); raise notice 'before'; commit; raise notice 'after'; end $$;
create function pt_commits() returns trigger language plpgsql as $$ begin commit; return null; end $$;
create trigger pt_bad after insert on pt for each row execute function pt_commits();
do $$ begin insert into pt values (51, ''); end $$;
drop trigger pt_bad on pt;

-- DDL
do $$ begin create table pt_made (x int); commit; insert into pt_made values (1); rollback; insert into pt_made values (2); end $$;
select * from pt_made;
do $$ begin drop table pt_made; rollback; perform * from pt_made; alter table pt_made add y int; commit; update pt_made set y = 3; end $$;
select * from pt_made;
drop table pt_made, pt_child, pt, pt_log;
