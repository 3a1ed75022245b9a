#!/bin/bash
# The time from the start of a server that was killed (kill -9) under TPC-B-like load until it answers, and whether the sums
# of accounts, tellers, branches and history are equal afterwards. Runs on OchreDB and on PostgreSQL alike.
#
#   recovery.sh START PIDFILE SECONDS ROUNDS -- psql options, such as -h /tmp/pg -p 5432 -U postgres
#
# START is a command that starts the server (it may end at once, as pg_ctl, or stay), PIDFILE the file whose first line is then
# its process id: LOCK of OchreDB's data directory, postmaster.pid of PostgreSQL's. Scale 20, 16 clients, prepared. For instance
#
#   recovery.sh "ochre serve -D d --listen 127.0.0.1:5444 --socket-dir /tmp -c shared_buffers=1GB -c max_wal_size=1GB" \
#       d/LOCK 40 3 -- -h /tmp -p 5444 -U postgres
#
# Needs psql and pgbench.
set -u
start=$1 pidfile=$2 seconds=$3 rounds=$4
shift 5
connection=("$@")
ask() { psql -X -q -A -t -c "$1" "${connection[@]}" postgres; }
start_and_wait() {
    $start >> recovery.log 2>&1 &
    for _ in $(seq 3000); do ask "SELECT 1" > /dev/null 2>&1 && return; sleep 0.02; done
    echo "the server does not answer; see recovery.log" >&2
    exit 1
}
start_and_wait
pgbench -i -q -s 20 "${connection[@]}" postgres 2> /dev/null
for _ in $(seq "$rounds"); do
    ask "CHECKPOINT"
    before=$(ask "SELECT count(*) FROM pgbench_history")
    pgbench -n -M prepared -c 16 -j 2 -T 600 "${connection[@]}" postgres > /dev/null 2>&1 &
    load=$!
    sleep "$seconds"
    server=$(head -1 "$pidfile")
    kill -9 "$server"
    kill "$load"
    wait "$load" 2> /dev/null
    # What is left of PostgreSQL's processes ends by itself.
    sleep 3
    began=$(date +%s.%N)
    start_and_wait
    ended=$(date +%s.%N)
    after=$(ask "SELECT count(*) FROM pgbench_history")
    equal=$(ask "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)
        AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)
        AND (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history)")
    echo "$began $ended" | awk '{ printf "%.2f s", $2 - $1 }'
    echo " after $((after - before)) transactions, sums equal: $equal"
done
kill "$(head -1 "$pidfile")"
