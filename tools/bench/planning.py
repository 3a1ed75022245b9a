#!/usr/bin/env python3
"""How long joins of many tables take to plan: the median of five EXPLAIN (SUMMARY) for each shape of joins and each thing that is
wanted of their rows. Makes tables join_0 ... in the database that PGHOST, PGPORT, PGUSER and PGDATABASE name, and drops them.

usage: planning.py [tables ...]   (12 and 30 if none are given)"""

import os
import random
import re
import statistics
import sys

import psycopg

COUNTS = [int(count) for count in sys.argv[1:]] or [12, 30]
RUNS = 5

connection = psycopg.connect(
    host=os.environ.get("PGHOST", "127.0.0.1"),
    port=os.environ.get("PGPORT", "5432"),
    user=os.environ.get("PGUSER", "postgres"),
    dbname=os.environ.get("PGDATABASE", "postgres"),
    autocommit=True,
)


def planning_ms(query):
    times = []
    for _ in range(RUNS):
        plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN (SUMMARY) {query}"))
        times.append(float(re.search(r"Planning Time: ([\d.]+)", plan).group(1)))
    return statistics.median(times)


def shapes(count):
    """The joins that follow join_0, by name."""
    chance = random.Random(1)
    before = {i: [chance.randrange(i) for _ in range(3)] for i in range(1, count)}
    column = {i: chance.choice("fg") for i in range(1, count)}
    on = {
        "chain": lambda i: f"join_{i}.id = join_{i - 1}.f",
        "star": lambda i: f"join_{i}.id = join_0.{'fg'[i % 2]}",
        "all keys equal": lambda i: f"join_{i}.id = join_0.id",
        "tree": lambda i: f"join_{i}.id = join_{before[i][0]}.{column[i]}",
        "two keys": lambda i: f"join_{i}.id = join_{before[i][0]}.f AND join_{i}.f = join_{before[i][1]}.g",
        "three tables a condition": lambda i: f"join_{i}.id + join_{before[i][0]}.f = join_{before[i][1]}.g",
    }
    for name, condition in on.items():
        yield name, " ".join(f"JOIN join_{i} ON {condition(i)}" for i in range(1, count))
    yield "left joins", " ".join(f"LEFT JOIN join_{i} ON {on['tree'](i)}" for i in range(1, count))


def main():
    for i in range(max(COUNTS)):
        connection.execute(f"DROP TABLE IF EXISTS join_{i}")
        connection.execute(f"CREATE TABLE join_{i} (id int PRIMARY KEY, f int, g int)")
        connection.execute(f"INSERT INTO join_{i} SELECT x, x * 7 % 1000 + 1, x % 50 FROM generate_series(1, 1000) x")
        connection.execute(f"CREATE INDEX ON join_{i} (f)")
        connection.execute(f"ANALYZE join_{i}")
    for count in COUNTS:
        wanted = ["", "ORDER BY join_0.id LIMIT 5", f"ORDER BY join_{count - 1}.f LIMIT 5", "LIMIT 5", "ORDER BY join_0.f"]
        print(f"{count} tables, milliseconds: all rows; {'; '.join(wanted[1:])}")
        for name, joins in shapes(count):
            times = [planning_ms(f"SELECT * FROM join_0 {joins} {tail}") for tail in wanted]
            print(f"  {name}: {' '.join(f'{time:.2f}' for time in times)}", flush=True)
    for i in range(max(COUNTS)):
        connection.execute(f"DROP TABLE join_{i}")


if __name__ == "__main__":
    main()
