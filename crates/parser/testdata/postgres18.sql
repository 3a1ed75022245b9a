-- Statements of PostgreSQL 18's grammar, one to a line: each is accepted by PostgreSQL 18.4, and here.
insert into t values (1) returning with (old as o, new as n) o.a, n.a
update t set a = 1 returning old.a, new.a
create table t (a int, b int generated always as (a*2) virtual)
create table t (a int, b int generated always as (a*2))
create table t (a int check (a > 0) not enforced)
create table t (a int, constraint c check (a>0) not enforced)
create table t (a int, constraint c not null a no inherit)
alter table t add constraint c not null a not valid
alter table t alter constraint c not enforced
alter table t alter constraint c enforced
alter table t alter constraint c inherit
alter table t alter constraint c no inherit
create table t (id int, v daterange, primary key (id, v without overlaps))
create table t (id int, v daterange, foreign key (id, period v) references p (id, period v))
copy t from stdin (on_error ignore, reject_limit 10, log_verbosity silent)
vacuum (only_database_stats)
vacuum only t
analyze only t
alter default privileges grant select on large objects to public
create foreign table ft (like t including all) server s
create index on only t (a)
create index on t (operator (a) collate "C", "operator"(b))
merge into t using s on true when not matched by source then delete returning merge_action(), t.*
select json_table.* from json_table('{}', '$' columns (a int path '$.a', nested path '$.b' columns (c int)))
select * from json_table(jsonb '1', '$' as p passing 1 as x columns (id for ordinality, a text path '$' keep quotes error on error) error on error) as jt
select json_value('{}', '$.a' returning int default 1 on empty error on error)
select json_query('{}', '$' with wrapper)
select json_exists('{}', '$.a' true on error)
select json('1'), json_scalar(1), json_serialize('1' returning bytea), json_array(), json_object(), json_object('a' value 1, 'b': 2 absent on null with unique keys returning jsonb)
select x is json array with unique keys, x is not json
select * from t tablesample bernoulli (1) repeatable (2)
create or replace trigger x before insert on t for each row execute function f()
create role x with login superuser bypassrls connection limit 3 valid until '2020' in role a, b role c admin d sysid 3
grant a, b to c with admin option, inherit false granted by current_user
revoke inherit option for a from b cascade
grant select (a, b), update on t to public with grant option
grant set, alter system on parameter a.b, c to d
create sequence if not exists s as bigint increment by -1 minvalue -5 no maxvalue start 1 cache 3 cycle owned by none
alter sequence s restart
alter sequence s set logged
create unlogged sequence s
alter table t alter column a set compression lz4, alter a set storage default, alter a set statistics default
alter table t set access method default
alter table t detach partition p concurrently
alter table t detach partition p finalize
alter table t cluster on x, set without cluster, set logged, inherit p, no inherit q
alter table if exists only t rename constraint a to b
alter index i attach partition p
alter table all in tablespace a owned by b set tablespace c nowait
create table p partition of t for values with (modulus 3, remainder 1)
create table p partition of t (a default 1, constraint x check (a>1)) default partition by list (a)
create table p partition of t for values from (minvalue, 1) to (maxvalue, 2)
create temp table t (a int) on commit drop
create table t of ty (a with options primary key)
create table t as execute p(1,2) with no data
create materialized view if not exists v (a) using heap with (fillfactor=3) tablespace x as select 1 with no data
refresh materialized view concurrently v with data
create recursive view v (n) as values (1) union all select n+1 from v
create view v with (security_barrier) as select 1 with local check option
declare c insensitive no scroll cursor without hold for select 1
fetch backward all in c
move absolute -3 from c
fetch prior c
fetch c
fetch forward 3 from c
begin isolation level serializable, read only, deferrable
start transaction read write
set transaction snapshot '00'
set session characteristics as transaction isolation level read uncommitted
set local time zone interval '1' hour to minute
set time zone local
set names 'x'
set names
set session authorization default
set xml option document
set schema 'x'
set a to default
set search_path = a, "B", 'c'
reset session authorization
show transaction isolation level
show time zone
explain (analyze, buffers off, format json, serialize text, memory) select 1
explain analyze verbose insert into t default values
explain create table a as select 1
vacuum full freeze verbose analyze t (a,b), u
cluster verbose t using i
reindex (verbose, concurrently) table t
reindex system
lock table only t, u in share row exclusive mode nowait
comment on function f(int, variadic text[]) is 'x'
comment on operator + (none, int) is null
comment on constraint c on domain d is 'x'
comment on large object 12345 is 'x'
comment on cast (int as text) is 'x'
comment on transform for hstore language plpython is 'x'
security label for 'a' on table t is 'x'
create function f(a int default 1, out b text, variadic c int[]) returns table (x int, y text) language sql immutable strict parallel safe cost 1 rows 2 set search_path = a as $$x$$
create function f() returns int return 1
create procedure p() begin atomic select 1; insert into t values (1); end
create function f(int) returns setof t.a%type as 'a','b' language c
alter function f(int) owner to x
alter function f called on null input security definer reset all restrict
alter procedure f(int) depends on extension x
drop function if exists f(int), g cascade
drop operator class x using btree
drop operator + (int,int), - (none,int)
create operator class o default for type int using btree family f as operator 1 < (int,int) for order by x, function 1 (int,int) f(int), storage int
alter operator family f using btree drop operator 1 (int,int), function 2 (int)
alter operator + (int,int) set (restrict = none, join = x)
create type t as (a int collate "C", b text)
create type t as enum ()
create type t as range (subtype = int)
create type t
create type t (input = a, output = b)
alter type t add value if not exists 'x' before 'y'
alter type t add attribute a int cascade, drop attribute if exists b, alter attribute c set data type text
create domain d as int collate "C" default 1 constraint x check (value > 1) not null
alter domain d add constraint x check (value > 1) not valid
create cast (int as text) with function f(int) as assignment
create conversion c for 'a' to 'b' from f
create aggregate a (int, text) (sfunc = f, stype = int)
create aggregate a (int order by text) (sfunc = f, stype = int, hypothetical)
create aggregate a (basetype = int, sfunc = f, stype = int)
create text search configuration c (parser = p)
alter text search configuration c alter mapping for a, b replace x with y
create extension if not exists x with schema s version '1' cascade
alter extension x add function f(int)
alter extension x update to '2'
create foreign data wrapper f handler h no validator options (a 'b')
alter server s version '1' options (set a 'b', drop c, add d 'e', f 'g')
import foreign schema a limit to (b, c) from server d into e options (x 'y')
create user mapping if not exists for public server s
create publication p for table only t (a,b) where (a > 1), u, tables in schema s, current_schema with (publish = 'insert')
alter publication p set table t
create subscription s connection 'x' publication a, b with (slot_name = none)
alter subscription s skip (lsn = '0/1')
alter subscription s refresh publication with (copy_data = false)
create policy p on t as restrictive for select to a, current_user using (true) with check (false)
create rule r as on insert to t where a do instead (select 1; delete from t)
create event trigger e on ddl_command_start when tag in ('a','b') execute function f()
alter event trigger e enable always
create statistics if not exists s (ndistinct, mcv) on a, (b+1), lower(c) from t
alter statistics s set statistics -1
create access method a type table handler h
create language l handler h inline i validator v
create transform for t language l (from sql with function f(internal), to sql with function g(internal))
alter system set a = 1
alter database d set tablespace x
alter database d with connection limit 3 allow_connections false
alter database d refresh collation version
create database d with owner = x template y encoding 'utf8' strategy wal_log
drop database if exists d with (force)
drop owned by current_user cascade
reassign owned by a to b
alter role all in database d set a to b
alter user u with password null nologin
alter group g add user a, b
prepare transaction 'x'
rollback to savepoint s
release s
commit and no chain
discard sequences
notify a, 'b'
load 'x'
do language plpgsql 'x'
call f(1, a => 2)
checkpoint
select a[1:2][3], a[:], a[1:], a[:2]
select * from a natural left join b cross join c join d using (x) as z
select distinct on (a, b) * from t group by distinct rollup (a, (b,c)), cube (d), grouping sets ((a), ()), ()
select 1 order by 1 fetch first row with ties
select (select 1) union all (select 2 order by 1 limit 1) except values (3)
select * from t for no key update of a, b skip locked for share
select sum(x) over (w rows unbounded preceding) from t window w as (partition by a), v as (w order by b groups between 1 preceding and 2 following exclude group)
select percentile_cont(0.5) within group (order by x desc) filter (where y) from t
with a as materialized (select 1), b as not materialized (delete from t returning *) select * from a
select xmlelement(name a, xmlattributes(b as c), d), xmlforest(e), xmlpi(name f, 'g'), xmlparse(document 'x' preserve whitespace), xmlroot(x, version no value, standalone no value), xmlserialize(content x as text indent), x is document, xmlexists('a' passing by ref b by value)
select * from xmltable(xmlnamespaces('a' as b, default 'c'), 'x' passing y columns a int path 'z' default 1 not null, b for ordinality)
select row(1,2) overlaps (3,4)
select a at local, a at time zone 'x' at time zone 'y'
select 'a' like any (array['b']), 'a' not ilike all (select 'b')
select a is nfc normalized, normalize(a, nfkd)
select collation for (a), treat(a as int), cast(a as int), extract('year' from a), position(a in b), overlay(a placing b from 1 for 2), substring(a similar b escape c), substring(a from 1 for 2), substring(a for 2), trim(both from a), trim(a, b)
select system_user, current_role, current_schema, current_schema(), localtime(3)
select interval '1' year to month, interval(3) '1', interval '1' second(2), timestamp(3) with time zone 'x', bit varying '1', national character varying(3) 'x', char 'x', n'x', float(3) '1', dec(3,2) '1', double precision '1', json '1'
select b'01', x'1f', e'\x41', u&'\0041' uescape '!', $a$x$a$, 0b1, 0o7, 1_000
create table t (a int, like b excluding all, exclude using gist (a with &&, (b||c) with operator(pg_catalog.=)) where (a > 1) deferrable initially deferred)
create unique index concurrently if not exists i on t using btree (a collate "C" text_ops (x = 1) desc nulls last, (b+1), lower(c)) include (d) nulls not distinct with (fillfactor = 1) tablespace x where a > 1
insert into t as x (a, b.c[1]) overriding user value select 1 on conflict (lower(a) collate "C" text_ops) where b do nothing
insert into t values (default, 1) on conflict on constraint c do update set (a, b) = row (1, 2) where x
update t x set (a, b[1]) = (select 1, 2), c.d = 3 from u, v where true
delete from t using u as x where t.a = x.a returning *
truncate table only t, u * restart identity cascade
copy t (a, b) from program 'x' with (format csv, header match, force_not_null (a, b), force_null *, delimiter ',') where a > 1
copy binary t to stdout using delimiters ',' with null as 'x'
copy (values (1)) to '/tmp/x' csv header quote '"' force quote a, b
copy (delete from t returning *) to stdout
unlisten *
deallocate prepare all
execute p(1, 2)
prepare p (int, text[]) as select $1
