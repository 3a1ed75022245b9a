-- Expressions that are kept as text over row types of users: defaults, checks, keys, predicates, views
create schema other;
create type pair as (x int, y text);
create table kept (i int, a pair default '(1,z)', b pair default row(2, 'k')::pair, c pair default (3, 'l')::pair,
    d text default ('(4,q)'::pair).y, e int default ((5, 'q')::pair).x, f pair default null::pair);
insert into kept (i) values (1);
table kept;
select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'kept'::regclass order by adnum;
alter table kept add column g pair default '(8,new)', add column h int default ((6, 'q')::pair).x + 1;
select a, g, h from kept;
begin;
alter table kept add column j pair default '(9,"a b")';
insert into kept (i) values (2);
select i, a, g, j from kept order by i;
rollback;
alter table kept alter column b set default '(20,other)', alter column c drop default;
insert into kept (i) values (3);
select i, b, c from kept order by i;

-- checks
create table checked (i int, p pair, check ((p).x > 0), constraint not_nine check (p <> row(9, 'q')::pair));
insert into checked values (1, '(3,a)');
insert into checked values (1, '(-3,a)');
insert into checked values (1, '(9,q)');
alter table checked add constraint no_q check ((p).y is null or (p).y <> 'q'::text);
insert into checked values (2, '(7,q)');
alter table checked add constraint five check ((p).x < 5);
insert into checked values (2, '(7,r)');
update checked set p.x = 5;
select * from checked;
select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = 'checked'::regclass order by 1;
alter table checked rename column p to q;
insert into checked values (3, '(-1,a)');
insert into checked values (3, '(2,b)');

-- keys and predicates
create index on checked (((q).x));
create unique index on checked (((q).y), i) where (q).x > 0;
insert into checked values (3, '(4,b)');
select pg_get_indexdef(indexrelid) from pg_index where indrelid = 'checked'::regclass order by 1;
set enable_seqscan = off;
select * from checked where (q).x = 2;
reset enable_seqscan;

-- columns that come from them
create table made (i int, p pair, x int generated always as ((p).x * 2) stored);
insert into made values (1, '(21,a)');
update made set p.x = 4;
table made;

-- the type is who it is, not what it is called
create view shown as select (q).x, row(1, 'b')::pair as c, '(5,t)'::pair as d, cast(q as pair) as q from checked;
select * from shown order by x;
create function other.first_of(p pair, q pair default '(7,seven)') returns int language sql as 'select (p).x + (q).x';
select other.first_of('(1,a)');
create table other.pair (nothing bool);
set search_path = other, public;
insert into kept (i) values (4);
select a, e, g from kept where i = 4;
select * from shown order by x;
select first_of('(1,a)');
insert into checked values (5, '(9,q)');
drop table other.pair;
reset search_path;
alter type pair rename to twin;
insert into kept (i) values (5);
select i, a, b, d, e, g from kept where i = 5;
insert into checked values (5, '(9,q)');
select * from shown order by x;
insert into made values (5, '(6,b)');
select * from made order by i;
select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'kept'::regclass order by adnum;
alter type twin set schema other;
insert into kept (i) values (6);
select count(*) from shown;
select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'kept'::regclass order by adnum;
alter type other.twin set schema public;

-- what names it goes with it
create type lone as (n int);
create table user_of_lone (i int default ((3)::text || '')::int, k int default (row(4)::lone).n, check ((row(i)::lone).n > 0));
create view view_of_lone as select (row(1)::lone).n;
drop type lone;
drop type lone cascade;
insert into user_of_lone values (-1);
table user_of_lone;
select * from view_of_lone;

-- a table's row type
create table rows_of (i int, t text);
create table holds (r rows_of default row(1, 'one'), check ((r).i > 0));
insert into holds default values;
insert into holds values (row(0, 'zero'));
table holds;
