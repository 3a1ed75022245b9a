#!/bin/bash
# Times the bulk path of a running server by psql: COPY in and out, scans, index builds, changes of every row.
# usage: PGHOST=… PGPORT=… PGUSER=… tools/bench/bulk.sh [rows] > lines of metric,value,unit
# Two servers are compared by running it on both in turn; data is made once, in ${TMPDIR:-/tmp}. Rows are changed only
# when there are no more than a million.
set -euo pipefail
rows=${1:-1000000}
data=${TMPDIR:-/tmp}/ochre-bulk-$rows.tsv
[ -s "$data" ] || awk -v n="$rows" 'BEGIN {
    for (i = 1; i <= n; i++) {
        s = (s * 1103515 + 12345) % 2147483648
        printf "%d\t%d\t%.6f\tcustomer_%08x_%d\t2024-%02d-%02d %02d:%02d:%02d.%06d\n", i, s % 100000, s / 1000, s, i % 977,
            i % 12 + 1, i % 28 + 1, i % 24, i % 60, s % 60, s % 1000000
    }
}' > "$data"

run() { psql -X -q -v ON_ERROR_STOP=1 -c "$1"; }
timed() {
    local start end
    start=$(date +%s.%N)
    run "$2" > /dev/null
    end=$(date +%s.%N)
    awk -v m="$1" -v s="$start" -v e="$end" 'BEGIN { printf "%s,%.3f,s\n", m, e - s }'
}

columns="id bigint not null, grp int not null, val double precision, name text, created timestamp"
run "drop table if exists bulk_plain" 2> /dev/null
run "drop table if exists bulk_key" 2> /dev/null
run "create table bulk_plain ($columns)"
run "create table bulk_key ($columns, primary key (id))"
timed copy "\\copy bulk_plain from '$data'"
timed copy_primary_key "\\copy bulk_key from '$data'"
timed copy_out "\\copy bulk_plain to '/dev/null'"
timed count "select count(*) from bulk_plain"
timed group "select grp, count(*), sum(val) from bulk_plain group by grp order by 2 desc limit 5"
timed index_integer "create index on bulk_plain (grp)"
timed index_ascending "create index on bulk_plain (id)"
timed index_text "create index on bulk_plain (name)"
if [ "$rows" -le 1000000 ]; then
    timed update_all "update bulk_key set val = val + 1"
    timed update_again "update bulk_key set val = val + 1"
    timed delete_half "delete from bulk_key where id % 2 = 0"
fi
run "drop table bulk_plain"
run "drop table bulk_key"
