#!/bin/bash
# Mixed load at a steady rate for some minutes: transfers, lookups, a queue of small and large values that comes and goes,
# tables made and dropped, scans. Prints memory, file sizes and latency every minute, and the last third beside the first.
# usage: tools/bench/soak.sh OCHRE DIRECTORY [minutes, 30]
set -euo pipefail
ochre=$1 directory=$2 minutes=${3:-30} port=5497
mkdir -p "$directory"
export PGHOST=$directory PGPORT=$port PGUSER=postgres PGDATABASE=postgres
"$ochre" serve -D "$directory/data" --listen 127.0.0.1:$port --socket-dir "$directory" -c shared_buffers=128MB \
    -c max_wal_size=256MB 2> "$directory/server.log" &
server=$!
loads=()
trap 'kill "${loads[@]}" 2>/dev/null || true; kill $server; wait $server || true' EXIT
until [ -S "$directory/.s.PGSQL.$port" ]; do sleep 0.1; done
pgbench -i -s 5 -q 2> /dev/null
psql -X -q -c "create table queue (id bigserial primary key, at timestamptz default now(), payload text)" \
    -c "create index on queue (at)"

cat > "$directory/transfer.sql" <<'SQL'
\set a random(1, 500000)
\set t random(1, 50)
\set b random(1, 5)
\set d random(-5000, 5000)
begin;
update pgbench_accounts set abalance = abalance + :d where aid = :a;
update pgbench_tellers set tbalance = tbalance + :d where tid = :t;
update pgbench_branches set bbalance = bbalance + :d where bid = :b;
commit;
SQL
cat > "$directory/queue.sql" <<'SQL'
\set n random(1, 100)
insert into queue (payload) select string_agg(md5(random()::text), '') from generate_series(1, case when :n = 1 then 2000 else 4 end);
delete from queue where id in (select id from queue order by id limit greatest((select count(*) from queue) - 500, 0));
SQL
cat > "$directory/tables.sql" <<'SQL'
create table made_:client_id (a int primary key, b text);
insert into made_:client_id select g, repeat('x', g) from generate_series(1, 200) g;
create index on made_:client_id (b);
drop table made_:client_id;
SQL
cat > "$directory/scan.sql" <<'SQL'
select count(*), sum(abalance), max(filler) from pgbench_accounts where bid > 1;
SQL
run() { # name clients rate arguments…
    pgbench -n -c "$2" -j 1 -R "$3" -T $((minutes * 60)) -P 60 "${@:4}" > "$directory/$1.out" 2> "$directory/$1.progress" &
    loads+=($!)
}
run transfer 4 300 -M prepared -f "$directory/transfer.sql"
run lookup 4 1500 -M prepared -S -s 5
run queue 2 40 -f "$directory/queue.sql"
run tables 2 2 -f "$directory/tables.sql"
run scan 1 1 -f "$directory/scan.sql"

samples=$directory/samples
: > "$samples"
printf '%6s %10s %10s %10s   latency ms: %s\n' minute 'rss MiB' 'base MiB' 'wal MiB' 'transfer lookup queue tables scan'
latency() { awk -F'lat ' '/^progress/ { split($2, at, " "); last = at[1] } END { print last + 0 }' "$directory/$1.progress"; }
for ((minute = 1; minute <= minutes; minute++)); do
    sleep 60
    rss=$(awk '/^VmRSS/ { print int($2 / 1024) }' /proc/$server/status)
    base=$(du -sm "$directory/data/base" | cut -f1)
    wal=$(du -sm "$directory/data/wal" | cut -f1)
    line="$minute $rss $base $wal $(latency transfer) $(latency lookup) $(latency queue) $(latency tables) $(latency scan)"
    echo "$line" >> "$samples"
    # shellcheck disable=SC2086
    printf '%6s %10s %10s %10s               %s %s %s %s %s\n' $line
done
wait "${loads[@]}" || true
loads=()
awk '{ for (i = 2; i <= NF; i++) value[NR, i] = $i; fields = NF }
    END {
        split("- rss base wal transfer lookup queue tables scan", name, " ")
        third = int(NR / 3)
        for (i = 2; i <= fields; i++) {
            first = last = 0
            for (row = 1; row <= third; row++) { first += value[row, i]; last += value[NR - third + row, i] }
            printf "%-9s first third %10.2f   last third %10.2f   ratio %.3f\n", name[i], first / third, last / third, last / first
        }
    }' "$samples"
grep -h 'number of failed' "$directory"/*.out
psql -X -At -c "select sum(abalance) = sum(tbalance) and sum(tbalance) = (select sum(bbalance) from pgbench_branches)
    from (select sum(abalance) abalance from pgbench_accounts) a, (select sum(tbalance) tbalance from pgbench_tellers) t"
