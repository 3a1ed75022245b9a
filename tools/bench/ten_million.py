#!/usr/bin/env python3
"""Ten million rows: sums, groups, a join, sorts, windows, on several servers and DuckDB in one run, query by query.

usage: ten_million.py --server NAME=HOST:PORT:DATABASE… [--duckdb FILE] [--load] [--runs 3] [--threads 1] [--rows 10000000]
`--load` makes the tables everywhere, from one CSV of DuckDB's. Prints seconds, medians of the runs, and each system's time by
the first server's. Wants the Python packages psycopg and duckdb.
"""
import argparse
import pathlib
import statistics
import tempfile
import time

import duckdb
import psycopg

QUERIES = {
    "count and sum": "select count(*), sum(amount) from facts",
    "10 groups": "select ten, count(*), sum(amount) from facts group by ten",
    "10^4 groups": "select count(*), sum(s) from (select thousands, sum(amount) s from facts group by thousands) x",
    "10^6 groups": "select count(*), sum(s) from (select million, sum(amount) s from facts group by million) x",
    "join with 10^6": "select count(*), sum(f.amount + p.weight) from facts f join parts p on f.million = p.id",
    "sort": "select amount, id from facts order by amount, id offset {last}",
    "top ten": "select id, amount from facts order by amount desc, id limit 10",
    "row numbers": "select count(*) from (select row_number() over (partition by million order by amount, id) n from facts) x"
    " where n = 1",
    "running sums": "select max(s) from (select sum(amount) over (partition by million order by id) s from facts) x",
}


def load(servers, duck, rows):
    with tempfile.TemporaryDirectory() as directory:
        facts, parts = pathlib.Path(directory, "facts.csv"), pathlib.Path(directory, "parts.csv")
        duck.execute("drop table if exists facts; drop table if exists parts")
        duck.execute(
            f"create table facts as select i::int id, (hash(i) % 10)::int ten, (hash(i + 1) % 10000)::int thousands,"
            f" (hash(i * 3) % 1000000)::int million, (hash(i * 7) % 100000)::int amount, 'name ' || i % 5000 as name"
            f" from range({rows}) t(i)"
        )
        duck.execute("create table parts as select i::int id, (hash(i) % 100)::int weight from range(1000000) t(i)")
        duck.execute(f"copy facts to '{facts}' (header false); copy parts to '{parts}' (header false)")
        for server in servers.values():
            server.execute("drop table if exists facts, parts")
            server.execute(
                "create table facts (id int, ten int, thousands int, million int, amount int, name text);"
                "create table parts (id int primary key, weight int)"
            )
            for table, path in (("facts", facts), ("parts", parts)):
                with server.cursor().copy(f"copy {table} from stdin (format csv)") as copy, open(path, "rb") as file:
                    while block := file.read(1 << 20):
                        copy.write(block)
            server.execute("vacuum analyze facts")
            server.execute("vacuum analyze parts")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", required=True)
    parser.add_argument("--duckdb")
    parser.add_argument("--load", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--work_mem", default="64MB")
    options = parser.parse_args()
    servers = {}
    for server in options.server:
        name, address = server.split("=", 1)
        host, port, database = address.split(":")
        servers[name] = psycopg.connect(host=host, port=port, dbname=database, user="postgres", autocommit=True)
        servers[name].execute(f"set work_mem = '{options.work_mem}'")
        servers[name].execute(f"set max_parallel_workers_per_gather = {options.threads - 1}")
    duck = duckdb.connect(options.duckdb or ":memory:")
    duck.execute(f"set threads = {options.threads}")
    if options.load:
        load(servers, duck, options.rows)
    systems = dict(servers, duckdb=duck) if options.duckdb or options.load else servers
    first = next(iter(systems))
    print(f"seconds with {options.threads} threads, work_mem {options.work_mem}: " + ", ".join(systems))
    for name, query in QUERIES.items():
        query = query.format(last=options.rows - 1)
        seconds, answers = {system: [] for system in systems}, {}
        # Twice for nothing: what is read often may be kept in another form.
        for run in range(options.runs + 2):
            for system, connection in systems.items():
                began = time.monotonic()
                answers[system] = sorted(tuple(map(int, row)) for row in connection.execute(query).fetchall())
                if run >= 2:
                    seconds[system].append(time.monotonic() - began)
        medians = {system: statistics.median(values) for system, values in seconds.items()}
        same = len({tuple(answer) for answer in answers.values()}) == 1
        figures = " ".join(f"{medians[system]:8.3f}" for system in systems)
        ratios = " ".join(f"{system} {medians[system] / medians[first]:.2f}" for system in systems if system != first)
        print(f"{name:16} {figures}   by {first}: {ratios}{'' if same else '  ANSWERS DIFFER'}", flush=True)


if __name__ == "__main__":
    main()
