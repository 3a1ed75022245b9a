#!/bin/bash
# What an update costs a table with eight indexes: bytes of the log and growth of the indexes, by how many of the indexed
# columns it changes. Runs on OchreDB and on PostgreSQL alike.
#
#   eight_indexes.sh UPDATES -- psql options, such as -h /tmp/pg -p 5432 -U postgres -d postgres
#
# Each update is a transaction of one row. Before each series a checkpoint is made and each row is touched once, so that
# no images of whole pages are counted. Needs psql and pgbench.
set -eu
updates=$1
while [ "$1" != "--" ]; do shift; done
shift
connection=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ask() { psql -X -q -A -t -c "$1" "${connection[@]}"; }
position() {
    local lsn; lsn=$(ask "SELECT pg_current_wal_insert_lsn()")
    echo $(( (16#${lsn%/*} << 32) + 16#${lsn#*/} ))
}
indexes() { ask "SELECT pg_indexes_size('eight')"; }
series() {
    local name=$1 set=$2
    ask "DROP TABLE IF EXISTS eight" 2> /dev/null
    ask "CREATE TABLE eight (id int PRIMARY KEY, n int, c1 int, c2 int, c3 int, c4 int, c5 int, c6 int, c7 int, c8 int)"
    ask "INSERT INTO eight SELECT g, 0, g, g, g, g, g, g, g, g FROM generate_series(1, $updates) g"
    for i in 1 2 3 4 5 6 7 8; do ask "CREATE INDEX eight_c$i ON eight (c$i)"; done
    ask "VACUUM ANALYZE eight"
    ask "CHECKPOINT"
    # The images of the pages that the series changes.
    ask "UPDATE eight SET n = 1, c1 = c1, c2 = c2 WHERE id % 10 = 0"
    ask "UPDATE eight SET c1 = c1 + 1, c2 = c2 + 1, c3 = c3 + 1, c4 = c4 + 1, c5 = c5 + 1, c6 = c6 + 1, c7 = c7 + 1, c8 = c8 + 1 WHERE id % 10 = 0"
    printf '\\set id 1 + 10 * random(0, %d)\nUPDATE eight SET %s WHERE id = :id;\n' $(( updates / 10 - 1 )) "$set" > "$work/update.sql"
    local before size
    size=$(indexes); before=$(position)
    pgbench -n -c 1 -t "$updates" -f "$work/update.sql" "${connection[@]}" > "$work/out" 2>&1 || { cat "$work/out"; exit 1; }
    local now; now=$(position)
    ask "VACUUM eight"
    echo "$name: $(( (now - before) / updates )) bytes of the log an update, $(( ($(position) - before) / updates )) with VACUUM; indexes grew by $(( ($(indexes) - size) / 1024 )) KiB"
}
series "no key " "n = n + 1"
series "one key" "n = n + 1, c8 = c8 + 100000"
series "8 keys " "c1 = c1 + 100000, c2 = c2 + 100000, c3 = c3 + 100000, c4 = c4 + 100000, c5 = c5 + 100000, c6 = c6 + 100000, c7 = c7 + 100000, c8 = c8 + 100000"
ask "DROP TABLE eight"
