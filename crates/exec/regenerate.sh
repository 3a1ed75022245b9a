#!/bin/sh
# Runs testdata/queries.sql on a PostgreSQL given by the usual PG* variables, in a database that is dropped afterwards,
# and writes its answers to testdata/queries.out.
set -e
cd "$(dirname "$0")/testdata"
db=ochre_exec_golden
psql -q -d postgres -c "DROP DATABASE IF EXISTS $db" -c "CREATE DATABASE $db TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
psql -q -d $db -f setup.sql
: > queries.out
while IFS= read -r statement; do
    echo "> $statement" >> queries.out
    psql -q -X -A -t -F '|' -P null=NULL -d $db -c "$statement" >> queries.out 2>&1 || true
done < queries.sql
psql -q -d postgres -c "DROP DATABASE $db"
