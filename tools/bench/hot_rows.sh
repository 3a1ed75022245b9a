#!/bin/bash
# Updates of 1,000 hot rows among a million, with one REPEATABLE READ snapshot open all the time: how much the table and its
# indexes grow. Every tenth update changes an indexed column. Runs on OchreDB and on PostgreSQL alike.
#
#   hot_rows.sh SECONDS [RATE] -- psql options, such as -h /tmp/pg -p 5432 -U postgres -d postgres
#
# RATE is in transactions a second; without it as many as four clients manage. Needs psql and pgbench.
set -eu
seconds=$1; rate=${2:-}; [ "$rate" = "--" ] && rate=""
while [ "$1" != "--" ]; do shift; done
shift
work=$(mktemp -d)
trap 'kill $holder 2>/dev/null || true; rm -rf "$work"' EXIT
ask() { psql -X -q -A -t -c "$1" "${connection[@]}"; }
connection=("$@")
ask "DROP TABLE IF EXISTS hot" 2>/dev/null
ask "CREATE TABLE hot (id int PRIMARY KEY, n int, k int, filler char(84))"
ask "INSERT INTO hot SELECT g, 0, g, '' FROM generate_series(1, 1000000) g"
ask "CREATE INDEX hot_k ON hot (k)"
ask "VACUUM ANALYZE hot"
sizes="SELECT pg_table_size('hot'), pg_indexes_size('hot'), pg_total_relation_size('hot')"
before=$(ask "$sizes")
mkfifo "$work/holder"
psql -X -q "${connection[@]}" < "$work/holder" > "$work/held" 2>&1 &
holder=$!
exec 9> "$work/holder"
echo "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT sum(n) FROM hot;" >&9
cat > "$work/plain.sql" <<'SQL'
\set id 1000 * random(1, 1000)
UPDATE hot SET n = n + 1 WHERE id = :id;
SQL
cat > "$work/keys.sql" <<'SQL'
\set id 1000 * random(1, 1000)
UPDATE hot SET k = k + 1000000 WHERE id = :id;
SQL
pgbench -n -c 4 -j 1 -T "$seconds" ${rate:+-R "$rate"} -f "$work/plain.sql@9" -f "$work/keys.sql@1" \
    "${connection[@]}" 2>&1 | grep -E "^(tps|number of transactions actually|number of failed)" || true
after=$(ask "$sizes")
echo "SELECT sum(n) FROM hot;" >&9
sleep 1
echo "table, indexes, total before: $before"
echo "table, indexes, total after:  $after"
echo "growth: $(echo "$before $after" | tr '|' ' ' | awk '{ printf "%.3f", $6 / $3 }')"
echo "what the old snapshot sees: $(grep -Eo '[0-9]+' "$work/held" | sort -u | tr '\n' ' ')"
