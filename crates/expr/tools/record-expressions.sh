#!/bin/sh
# Records what PostgreSQL answers to the expressions of testdata/*.txt: every line `expression ⇒ answer` gets the answer
# anew. Usage: tools/record-expressions.sh <psql options>. Add expressions by writing lines without an answer.
set -eu
cd "$(dirname "$0")/../testdata"
for file in *.txt *.agg; do
  sed 's/ ⇒ .*//' "$file" > "$file.new"
  {
    cat <<'SQL'
set client_min_messages = error;
set timezone = 'UTC';
create function pg_temp.outcome(e text) returns text language plpgsql as $$
declare r text; n boolean;
begin
  if e = '' or e like '#%' then return e; end if;
  execute 'select format(''%s'', x), num_nulls(x) > 0 from (select ' || e || ') t(x)' into r, n;
  return e || ' ⇒ ' || case when n then 'NULL' else replace(replace(replace(r, '\', '\\'), E'\n', '\n'), E'\r', '\r') end;
exception when others then return e || ' ⇒ ERROR ' || sqlstate || ' ' || replace(sqlerrm, E'\n', '\n');
end $$;
create temp table lines (n serial, e text);
SQL
    printf '%s\n' "\\copy lines(e) from '$file.new' with (format csv, delimiter E'\x01', quote E'\x02', escape E'\x02', null E'\x03')"
    echo 'select pg_temp.outcome(e) from lines order by n;'
  } | psql "$@" -X -q -At -d postgres > "$file.out"
  test "$(wc -l < "$file.out")" = "$(wc -l < "$file.new")"
  mv "$file.out" "$file"
  rm "$file.new"
done
