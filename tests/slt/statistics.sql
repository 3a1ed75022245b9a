-- What ANALYZE finds, as pg_stats and pg_statistic show it.
-- Steps: columns of every kind of distribution; tables that are looked at in full, so that every figure is exact.
create table s_t (id int primary key, few int, skewed text, empty int, part numeric, unordered json, flag boolean, fixed char(3), day date);
insert into s_t select i, i % 4, case when i % 10 < 7 then 'common' when i % 10 < 9 then 'rarer' else 'v' || i end, null, case when i % 5 = 0 then null else i / 2 end, '{}', i % 3 = 0, 'ab', date '2020-01-01' + i % 30 from generate_series(1, 200) i;
select count(*) from pg_stats where tablename = 's_t';
analyze s_t;
select attname, inherited, null_frac, n_distinct, most_common_freqs, correlation is not null as correlated from pg_stats where tablename = 's_t' order by attname;
select attname, most_common_vals from pg_stats where tablename = 's_t' and attname <> 'skewed' order by attname;
select attname, array_length(most_common_vals::text::text[], 1) as common, array_length(histogram_bounds::text::text[], 1) as bounds from pg_stats where tablename = 's_t' order by attname;
select attname, histogram_bounds::text::text[] = (select array_agg(i::text order by i) from generate_series(1, 200, 2) i) as same from pg_stats where tablename = 's_t' and attname = 'part';
select attname, avg_width from pg_stats where tablename = 's_t' and attname in ('id', 'few', 'empty', 'flag', 'day', 'fixed') order by attname;
select round(correlation::numeric, 4) from pg_stats where tablename = 's_t' and attname in ('id', 'few', 'day') order by attname;
select schemaname, tablename, attname, most_common_elems, range_empty_frac from pg_stats where tablename = 's_t' and attname = 'id';
select a.attname, s.stainherit, s.stakind1, s.stakind2, s.stakind3, s.stakind4, s.stakind5, s.staop1, s.staop2, s.staop3, s.stacoll1, s.stacoll2 from pg_statistic s join pg_attribute a on a.attrelid = s.starelid and a.attnum = s.staattnum where s.starelid = 's_t'::regclass order by a.attnum;
select pg_typeof(most_common_vals), pg_typeof(most_common_freqs), pg_typeof(correlation), pg_typeof(avg_width), pg_typeof(n_distinct) from pg_stats limit 1;

-- one row, no row, after changes
create table s_one (a int, b text);
insert into s_one values (1, null);
analyze s_one;
select attname, null_frac, avg_width, n_distinct, most_common_vals, histogram_bounds, correlation from pg_stats where tablename = 's_one' order by 1;
create table s_none (a int);
analyze s_none;
select count(*) from pg_stats where tablename = 's_none';
insert into s_one select i, 'x' from generate_series(2, 10) i;
select n_distinct from pg_stats where tablename = 's_one' and attname = 'a';
analyze s_one;
select attname, null_frac, n_distinct, most_common_vals, histogram_bounds from pg_stats where tablename = 's_one' order by 1;
alter table s_one drop column a;
select count(*) from pg_stats where tablename = 's_one';
drop table s_one;
select count(*) from pg_statistic s where not exists (select 1 from pg_class c where c.oid = s.starelid);

-- few columns
truncate s_t;
insert into s_t (id, few) select i, 7 from generate_series(1, 50) i;
analyze s_t (few);
select attname, n_distinct, most_common_vals from pg_stats where tablename = 's_t' and attname in ('few', 'id') order by 1;

-- of a partitioned table: of all its rows, wherever their columns stand
create table s_p (k int, b text) partition by range (k);
create table s_p1 partition of s_p for values from (0) to (100);
create table s_p2 (b text, k int);
alter table s_p attach partition s_p2 for values from (100) to (1000);
insert into s_p select g, case when g % 5 = 0 then null else 'x' || g % 4 end from generate_series(0, 999) g;
analyze only s_p;
select relname, reltuples, relpages > 0 as pages from pg_class where relname like 's\_p%' order by 1;
select tablename, attname, inherited, n_distinct, null_frac, most_common_vals from pg_stats where tablename like 's\_p%' order by 1, 2;
analyze s_p;
select relname, reltuples, relpages > 0 as pages from pg_class where relname like 's\_p%' order by 1;
select tablename, attname, inherited, n_distinct, null_frac, round(correlation::numeric, 4) from pg_stats where tablename like 's\_p%' order by 1, 2;
select relname, n_live_tup, last_analyze is not null as analyzed, last_vacuum is not null as vacuumed from pg_stat_user_tables where relname like 's\_p%' order by 1;
vacuum only s_p;
vacuum s_p;
vacuum (full, analyze) s_p;
select relname, last_vacuum is not null as vacuumed from pg_stat_user_tables where relname like 's\_p%' order by 1;
do $$ begin insert into s_p values (1, 'within'); analyze s_p1; end $$;
select reltuples from pg_class where relname = 's_p1';
drop table s_p;
select count(*) from pg_statistic s where not exists (select 1 from pg_class c where c.oid = s.starelid);

-- maintenance changes no data: it may be done when transactions are read-only
create table s_ro (a int);
insert into s_ro select generate_series(1, 30);
set default_transaction_read_only = on;
vacuum s_ro;
select reltuples from pg_class where relname = 's_ro';
analyze s_ro;
vacuum full s_ro;
select count(*) from s_ro;
set default_transaction_read_only = off;
insert into s_ro select generate_series(1, 5);
vacuum s_ro;
select reltuples from pg_class where relname = 's_ro';
drop table s_ro;

-- a partitioned table whose index is in parts, too
create table s_pi (a int primary key, b text) partition by range (a);
create table s_pi1 partition of s_pi for values from (0) to (100);
create table s_pi2 partition of s_pi for values from (100) to (200) partition by range (a);
create table s_pi21 partition of s_pi2 for values from (100) to (200);
create index s_pi_b on s_pi (b);
insert into s_pi select i, 'b' || i % 10 from generate_series(1, 150) i;
analyze s_pi;
analyze s_pi2;
select relname, reltuples, relpages > 0 as has_pages from pg_class where relname in ('s_pi', 's_pi2', 's_pi1') order by 1;
select attname, n_distinct from pg_stats where tablename = 's_pi' order by 1;
select relname, reltuples from pg_class where relname in ('s_pi_b', 's_pi_pkey') order by 1;
drop table s_pi;
