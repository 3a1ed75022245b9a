#!/bin/sh
# Writes testdata/format_type.tsv: the SQL name of each built-in type with a few modifiers.
# usage: generate_format_types.sh PSQL_ARGUMENTS... > testdata/format_type.tsv
exec psql -XAtq -F "$(printf '\t')" "$@" -c "
select oid, m, format_type(oid, m)
from pg_type, (values (-1), (0), (3), (14), (65540), (655366), (327679), (470286338), (2147418115)) v(m)
where typnamespace = 'pg_catalog'::regnamespace and typrelid = 0
  and typelem not in (select oid from pg_type where typrelid <> 0)
  and (m = -1 or typmodin <> 0 or typname in ('int4', 'text'))
  and (typname !~ 'interval' or m in (-1, 327679, 470286338, 2147418115))
  and (typname !~ 'interval|numeric|varchar|bpchar|bit' or m <> 0)
order by oid, m"
