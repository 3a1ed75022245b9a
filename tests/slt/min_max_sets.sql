-- min and max over partitions, children and UNION ALL: by the indexes of the parts.
-- Steps: ranges, lists and hashes; parts without an index, without rows, with NULLs only; conditions that leave parts out;
-- several aggregates; orders of indexes; what is no case for it; the plans of some.
create table mm (k int, v int, t text) partition by range (k);
create table mm1 partition of mm for values from (0) to (1000);
create table mm2 partition of mm for values from (1000) to (2000);
create table mm3 partition of mm for values from (2000) to (3000);
create table mm_rest partition of mm default;
create index on mm (k);
create index mm1_v on mm1 (v desc);
create index mm2_v on mm2 (v nulls first);
insert into mm select i, i % 977, 't' || i from generate_series(1, 1999) i;
insert into mm values (null, null, 'none'), (null, 5000, 'null'), (-5, null, 'less'), (99999, -3, null);
analyze mm;

select min(k), max(k) from mm;
select max(k) from mm;
select min(k) from mm where k > 1500;
select max(k) from mm where k < 1500;
select max(k) from mm where k < 0;
select max(k), min(k) from mm where k between 2000 and 2500;
select min(k) from mm where k is null;
select max(k) from mm where k > 1500 and v < 10;
select max(k) from mm where v is null;
select max(k) from mm where false;
select max(k) from only mm;
select max(v), min(v) from mm;
select max(v) from mm where k < 2000;
select min(v) from mm where k >= 1000 and k < 2000;
select max(t), min(t) from mm;
select max(k), max(t) from mm;
select max(k), count(*) from mm;
select max(k) + min(k), max(k) from mm having max(k) > 10;
select max(distinct k), min(k) from mm;
select max(k) filter (where v > 3) from mm;
select max(k) from mm group by v % 2 order by 1;
select max(k + 1), min(-k) from mm;
select (select max(k) from mm), (select min(k) from mm where k > 10);
select count(*) from mm where k = (select max(k) from mm where k < 1000);
select v, (select max(k) from mm i where i.v = o.v) from mm o where k < 4 order by 1;
select max(k) from mm where k < (select 100);
select min(tableoid::regclass::text), max(k) from mm where k < 2000;
prepare mm_p (int, int) as select min(k), max(k) from mm where k >= $1 and k < $2;
execute mm_p (0, 1000);
execute mm_p (500, 1500);
execute mm_p (2000, 3000);
execute mm_p (null, 3000);
with w as (select max(k) as m from mm) select * from w, mm where mm.k = w.m order by 1;
select max(k) from mm where k < 2000 limit 0;
delete from mm where k in (1, 1999);
select min(k), max(k) from mm where k between 0 and 2000;
select * from (select max(k) as k from mm where k < 2000) s join mm using (k);

-- lists and hashes, partitions of partitions
create table mm_list (k int, v int) partition by list (v);
create table mm_list1 partition of mm_list for values in (1, null);
create table mm_list2 partition of mm_list for values in (2) partition by hash (k);
create table mm_list2a partition of mm_list2 for values with (modulus 2, remainder 0);
create table mm_list2b partition of mm_list2 for values with (modulus 2, remainder 1);
create index on mm_list (k);
insert into mm_list select i, 1 + i % 2 from generate_series(1, 500) i;
insert into mm_list values (1000, null), (null, 1), (null, 2);
analyze mm_list;
select min(k), max(k) from mm_list;
select min(k), max(k) from mm_list where v = 2;
select min(k), max(k) from mm_list where v is null;
select min(v), max(v) from mm_list;
select min(k) from mm_list where v = 1 and k > 400;

-- children
create table mm_parent (a int primary key, b text);
create table mm_child (extra int) inherits (mm_parent);
create table mm_grand () inherits (mm_child);
create index on mm_grand (a);
select max(a) from mm_parent;
insert into mm_parent select i, 'p' from generate_series(1, 300) i;
insert into mm_child select i, 'c', i from generate_series(200, 600) i;
insert into mm_grand select i, 'g', i from generate_series(-100, 100) i;
analyze;
select min(a), max(a) from mm_parent;
select min(a), max(a) from only mm_parent;
select min(a), max(a) from mm_child;
select min(a), max(b) from mm_parent;
select max(a) from mm_parent where b = 'g';
alter table mm_child drop column extra;
alter table mm_parent add column late int default 7;
select min(a), max(a), min(late) from mm_parent where a > 50;

-- UNION ALL
create table mm_other (x int, y bigint);
create index on mm_other (x);
create index on mm_other (y);
insert into mm_other select i, -i from generate_series(5000, 5100) i;
analyze mm_other;
select min(k), max(k) from (select k from mm union all select x from mm_other) s;
select max(k) from (select k from mm1 union all select x from mm_other) s where k < 5050;
select max(k) from (select k, v from mm1 where v < 5 union all select x, x from mm_other where x < 5002) s;
select max(k), min(k) from (select k from mm1 union all select y from mm_other) s;
select max(k) from (select k from mm1 union all select 100000) s;
select max(k) from (select k from mm1 union all values (null), (7)) s;
select max(k) from (select k from mm1 union select x from mm_other) s;
select max(k) from (select k from mm1 limit 3) s where k is not null;
select max(k) from (select k, random() as r from mm1 union all select x, random() from mm_other) s;
select max(k) from (select k, generate_series(1, 2) from mm1) s;
select max(k) from (select distinct k from mm1) s;
select max(k) from (select k from mm1 union all (select x from mm_other order by x limit 1)) s;
create view mm_all as select k as n, 'mm' as what from mm union all select x, 'other' from mm_other;
select min(n), max(n) from mm_all;
select max(n) from mm_all where what = 'mm';
select max(n), max(what) from mm_all;

-- the second column of an index, where the first is fixed
create table mm_two (a int, b int, c int);
create index on mm_two (a, b);
insert into mm_two select i % 10, i, i % 3 from generate_series(1, 1000) i;
insert into mm_two values (3, null, 1), (null, 7, 1);
analyze mm_two;
select min(b), max(b) from mm_two where a = 3;
select max(b) from mm_two where a = 3 and c = 1;
select max(b) from mm_two where a = 11;
select max(b) from mm_two where a is null;
select max(b) from mm_two where a in (3, 4);
select max(b) from mm_two where a = c;
prepare mm_q (int) as select max(b) from mm_two where a = $1;
execute mm_q (4);
execute mm_q (null);

-- plans
explain (costs off) select max(k) from mm_list;
explain (costs off) select max(b) from mm_two where a = 3;
