#!/bin/bash
# A table of many times shared_buffers: COPY, scans, an index build, two updates of every row; prints seconds and the
# server's memory after each step.
# usage: tools/bench/beyond-memory.sh OCHRE DIRECTORY [million rows, 40] [shared_buffers, 64MB]
set -euo pipefail
ochre=$1 directory=$2 millions=${3:-40} buffers=${4:-64MB}
mkdir -p "$directory"
"$ochre" serve -D "$directory/data" --listen 127.0.0.1:5498 --socket-dir "$directory" -c shared_buffers="$buffers" \
    2> "$directory/server.log" &
server=$!
trap 'kill $server; wait $server || true' EXIT
until [ -S "$directory/.s.PGSQL.5498" ]; do sleep 0.1; done

query() { psql -X -q -At -h "$directory" -p 5498 -U postgres -v ON_ERROR_STOP=1 "$@"; }
step() {
    local start end
    start=$(date +%s.%N)
    "${@:2}"
    end=$(date +%s.%N)
    awk -v what="$1" -v s="$start" -v e="$end" '
        /VmHWM|VmRSS|RssAnon/ { memory = memory " " $1 int($2 / 1024) " MiB" }
        END { printf "%-12s %7.1f s %s\n", what, e - s, memory }' "/proc/$server/status"
}
rows() {
    awk -v from="$1" -v n=1000000 'BEGIN {
        for (i = from; i < from + n; i++) {
            s = (i * 7919 + 17) % 1000003
            printf "%d\t%d\t%.3f\tcustomer_%d_%d\t2024-%02d-%02d 12:34:56.%06d\n", i, s, s / 7, s, i, i % 12 + 1, i % 28 + 1, s
        }
    }'
}
load() { for ((m = 0; m < millions; m++)); do rows $((m * 1000000)); done | query -c "\\copy big from stdin"; }

query -c "create table big (id bigint, grp int, val double precision, name text, created timestamp)"
step load load
step scan query -c "select count(*), sum(grp), pg_relation_size('big') / 1048576 || ' MiB' from big"
step index query -c "create index big_grp on big (grp)"
step lookup query -c "select count(*), sum(val) from big where grp = 4711"
step update query -c "update big set val = val + 1"
step scan query -c "select count(*), sum(grp), pg_relation_size('big') / 1048576 || ' MiB' from big"
step update query -c "update big set val = val + 1"
step lookup query -c "select count(*), sum(val) from big where grp = 4711"
