-- INSERT and UPDATE of parts of a column: elements, slices, fields.
create table t (a int[], b int[][][], c text[], n int);
insert into t (a[1:3], b[1:1][1:2][1:2], c) values ('{1,2,3}', '{{{0,0},{1,2}}}', '{}');
insert into t (a[2], n) values (5, 1), (6, 2);
insert into t (a[1], a[2], a[4]) values (1, 2, 4);
insert into t (a[1], c[1]) select 7, 'x';
insert into t (c[2]) select 'unknown';
select * from t order by 1, 2, 3, 4;
insert into t (a[1], a) values (1, '{2}');
insert into t (a, a[1]) values ('{2}', 1);
insert into t (a[1]) values (now());
insert into t (a[1:2]) values (now());
insert into t (n[1]) values (1);
insert into t (a[null]) values (1);
insert into t (a[1]) values (default);
insert into t (a[0:2147483647]) values ('{}');
insert into t (a[1:3]) values ('{1,2}');
insert into t (a[:3]) values ('{1,2,3}');
update t set b[1:1][1:1][1:2] = '{113, 117}', b[1:1][1:2][2:2] = '{142, 147}' where b is not null;
select b from t where b is not null;
update t set b[1:2][1:1][1:1] = '{1,2}' where b is not null;
update t set b[2:1][1:1][1:1] = '{1,2}' where b is not null;
update t set b[1:1] = '{1,2,3,4}' where b is not null;
select b from t where b is not null;
update t set a[2:] = '{20,30}', c[1] = 'first' where a = '{1,2,3}';
select a, c from t where a[1] = 1 and a[2] = 20;
select ('{}'::int[])[1][2][3][4][5][6][7];

create type pair as (x int, y text[]);
create table u (i int, p pair);
insert into u (i, p.x) values (1, 10);
insert into u (p.y[2], p.x) values ('two', 20);
update u set p.y[1] = 'one', p.x = (p).x + 1 returning *;
insert into u (p.z) values (1);
insert into u (i.z) values (1);
update u set p.x = now();
update u set p.x = default;
select * from u order by i;

-- Points have two numbers.
create table g (f point);
insert into g values ('(1,2)'), (null), ('3,4');
update g set f[0] = 10 where f is null returning *;
update g set f[0] = -10, f[1] = f[0] where f is not null returning *;
select f[0], f[1], f[2] from g order by f[1];
select f[0:1] from g;
update g set f[3] = 1 where f is not null;
insert into g (f[0]) values (0) returning *;

-- Whole rows among the cells of VALUES.
create table v (a int, b int);
create table w (a int, b int);
create function copy_row() returns trigger language plpgsql as
  $$ begin insert into w values (new.*); return new; end $$;
create trigger copies before insert on v for each row execute function copy_row();
insert into v values (1, 2), (3, 4);
select * from w order by a;
select * from v, lateral (values (v.*), (0, 0)) x(p, q) order by 1, 2, 3;
update v set (a, b) = row(w.*) from w where w.a = v.a returning v.*;

create table copied as select * from v;
prepare of_a(int) as select * from v where a = $1;
create table from_prepared (k) as execute of_a(3);
select * from from_prepared;
create table no_rows as execute of_a(3) with no data;
select count(*) from no_rows;
prepare changing as delete from v;
create table wrong as execute changing;
create table wrong as execute nothing;
