-- CREATE TYPE … AS, and what keeps row types as their users know them
create type ct as (a int, b text);
select row(1, 'x')::ct, (row(1, 'x')::ct).b, '(2,"y z")'::ct, null::ct;
create type ct as (a int);
create table ct (a int);
create type dup as (a int, a int);
create type ps as (a anyelement);
create type ms as (a nosuch);
select relname, relkind, relnatts from pg_class where relname = 'ct';
select typname, typtype, typcategory from pg_type where typname = 'ct';
select attname, atttypid::regtype from pg_attribute where attrelid = 'ct'::regclass and attnum > 0 order by attnum;
select count(*) from information_schema.tables where table_name = 'ct';

-- it is no table
select * from ct;
insert into ct values (1, 'x');
update ct set a = 1;
delete from ct;
alter table ct add c int;
truncate ct;
begin;
lock table ct;
rollback;
create index on ct (a);
drop table ct;
drop view ct;
create view cv as select * from ct;
create table ci () inherits (ct);

-- values of it
create table uses (k int primary key, v ct);
insert into uses values (1, row(1, 'one')), (2, (2, 'two')), (3, null), (4, row(null, null));
select * from uses order by k;
select k, (v).a, (v).b, v is null from uses order by k;
select * from uses where v = row(2, 'two')::ct;
update uses set v = row((v).a + 10, (v).b)::ct where k = 1;
select v from uses order by v;
create function make(a int) returns ct language sql as $$ select a, 'made ' || a $$;
select make(5), (make(6)).b;
select * from make(7);
create function take(v ct) returns text language plpgsql as $$ declare w ct; begin w := v; w.a := w.a + 1; return w.a || w.b; end $$;
select take(row(1, 'z')), take(v) from uses where k = 2;
create type outside as (inner_row ct, n int);
create table nested (v outside);
insert into nested values (row(row(1, 'deep')::ct, 2));
select ((v).inner_row).b, (v).n from nested;

-- names
alter type ct rename to ct2;
select v from uses where k = 1;
create schema other;
alter type ct2 set schema other;
select pg_typeof(v) from uses where k = 1;
alter type other.ct2 set schema public;
alter type ct2 rename to ct;

-- what uses it
drop type ct;
drop type outside;
drop table nested;
drop type outside;
drop function make(int);
drop function take(ct);
drop type ct;
drop type ct cascade;
select * from uses order by k;
drop table uses;
drop type ct;
drop type if exists ct;
drop type int4;

-- row types of tables
create table ra (x int, y text);
create table rb (n int, r ra);
insert into rb values (1, row(1, 'z'));
create function rf(ra) returns int language sql as 'select ($1).x';
alter table ra alter x type bigint;
alter table ra rename x to xx;
select (r).xx from rb;
drop type ra;
drop table ra;
drop table ra cascade;
select * from rb;
select count(*) from pg_proc where proname = 'rf';
create table ra (x int);
create view va as select x, x + 1 as y from ra;
create table rv (v va);
insert into rv values (row(1, 2));
drop view va;
drop table ra;
drop table ra cascade;
drop table rb, rv;
drop schema other;

-- SET STORAGE
create table st (a int, b text, c text storage external, d numeric);
select attname, attstorage from pg_attribute where attrelid = 'st'::regclass and attnum > 0 order by attnum;
alter table st alter a set storage external;
alter table st alter b set storage nonsense;
alter table st alter nosuch set storage main;
alter table st alter b set storage external;
alter table st alter d set storage plain;
select attname, attstorage from pg_attribute where attrelid = 'st'::regclass and attnum > 0 order by attnum;
insert into st values (1, repeat('abc', 5000), repeat('x', 3000), 1);
alter table st alter b set storage plain, alter c set storage main;
insert into st values (2, 'short', repeat('long', 3000), 2);
insert into st values (3, repeat('abc', 5000), null, 3);
alter table st alter b set storage extended, alter c set storage default;
insert into st values (4, repeat('abc', 5000), repeat('long', 3000), 4);
select a, length(b), length(c), md5(b), md5(c), d from st order by a;
select attname, attstorage from pg_attribute where attrelid = 'st'::regclass and attnum > 0 order by attnum;
alter table st alter b type varchar;
update st set a = a + 10 where a < 3;
select a, length(b), length(c), md5(b), md5(c), d from st order by a;
drop table st;
create table sp (k int, t text) partition by list (k);
create table sp1 partition of sp for values in (1);
alter table sp alter t set storage external;
select attrelid::regclass, attstorage from pg_attribute where attname = 't' and attrelid in ('sp'::regclass, 'sp1'::regclass) order by 1;
drop table sp;

-- collations of attributes, and types of a session's own
create type cc as (a text collate "C", b text, n int);
select a.attname, c.collname from pg_attribute a left join pg_collation c on c.oid = a.attcollation where attrelid = 'cc'::regclass and attnum > 0 order by attnum;
create type bad as (n int collate "C");
create type bad as (a text collate nosuch);
drop type cc;
create type pg_temp.own as (a int);
select relpersistence from pg_class where relname = 'own';
select row(1)::own;
drop type pg_temp.own;

-- storage that LIKE hands down, or not
create table ls (a text storage external, b text);
create table ls_with (like ls including storage);
create table ls_without (like ls);
select attrelid::regclass, attname, attstorage from pg_attribute where attrelid in ('ls_with'::regclass, 'ls_without'::regclass) and attnum > 0 order by 1, 2;
drop table ls, ls_with, ls_without;
