#!/usr/bin/env python3
"""How good the chosen join orders are: many-way joins over skewed and correlated data, beside orders found by trying.

usage: join_order.py [--scale N] [--tries N] [--seed N] [--load]

Talks to the server that PGHOST, PGPORT, PGUSER and PGDATABASE name. Makes tables in the shape of a movie database (a schema
`join_order`): facts whose keys are Zipf-distributed, filters that are correlated. For each query it takes the time of the
planner's own order, and of random trees of joins (bushy ones too) that `join_collapse_limit = 1` holds the planner to;
each time is the best of three executions, without planning. Prints the times, and the planner's by the best.
"""

import argparse
import os
import random
import statistics
import sys

import psycopg

# Table: rows at scale 1.
SIZES = {
    "title": 100_000,
    "name": 80_000,
    "company": 10_000,
    "keyword": 8_000,
    "info_type": 100,
    "kind": 7,
    "role": 12,
    "cast_info": 600_000,
    "movie_info": 500_000,
    "movie_keyword": 250_000,
    "movie_company": 150_000,
}

# A power of a uniform number: small ids are common.
SKEWED = "1 + floor({rows} * power(random(), {power}))::int"


def load(connection, scale, seed):
    rows = {table: max(7, int(count * (scale if count > 1000 else 1))) for table, count in SIZES.items()}
    zipf = lambda table, power=3: SKEWED.format(rows=rows[table], power=power)
    execute = connection.execute
    execute("DROP SCHEMA IF EXISTS join_order CASCADE")
    execute("CREATE SCHEMA join_order")
    execute("SET search_path = join_order")
    execute("SELECT setseed(%s)", [seed / 1000])
    make = lambda table, columns: execute(
        f"CREATE TABLE {table} AS SELECT g AS id, {columns} FROM generate_series(1, {rows[table]}) AS g"
    )
    # New films have small ids, and are of the common kinds.
    make("title", f"1 + floor(7 * power(random(), 1 + g % 3))::int AS kind_id, 2025 - (g * 90 / {rows['title']})"
         " - (random() * 3)::int AS year, 'title ' || md5(g::text) AS title")
    make("name", "CASE WHEN random() < 0.6 THEN 'm' ELSE 'f' END AS gender, chr(65 + (g % 26)) || md5(g::text) AS name")
    make("company", "(ARRAY['us','us','us','gb','fr','de','jp','in'])[1 + floor(8 * random())::int] AS country,"
         " 'company ' || g AS name")
    make("keyword", "'keyword-' || g AS keyword")
    make("info_type", "'info ' || g AS info")
    make("kind", "'kind ' || g AS kind")
    make("role", "'role ' || g AS role")
    make("cast_info", f"{zipf('title', 1.4)} AS movie_id, {zipf('name')} AS person_id,"
         " 1 + floor(12 * power(random(), 2))::int AS role_id, (random() * 50)::int AS position")
    make("movie_info", f"{zipf('title', 1.4)} AS movie_id, {zipf('info_type')} AS info_type_id,"
         " (ARRAY['Drama','Drama','Comedy','Action','Horror','USA','German','2000'])[1 + floor(8 * power(random(), 1.5))::int] AS info")
    make("movie_keyword", f"{zipf('title', 1.4)} AS movie_id, {zipf('keyword')} AS keyword_id")
    make("movie_company", f"{zipf('title', 1.6)} AS movie_id, {zipf('company')} AS company_id, (random() * 3)::int AS company_type")
    for table in SIZES:
        execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
    for table, columns in {
        "title": ["kind_id", "year"],
        "cast_info": ["movie_id", "person_id"],
        "movie_info": ["movie_id", "info_type_id"],
        "movie_keyword": ["movie_id", "keyword_id"],
        "movie_company": ["movie_id", "company_id"],
    }.items():
        for column in columns:
            execute(f"CREATE INDEX ON {table} ({column})")
    execute("ANALYZE")


# Edges by which tables may be joined: alias pairs are made of these.
EDGES = {
    ("cast_info", "title"): ("movie_id", "id"),
    ("movie_info", "title"): ("movie_id", "id"),
    ("movie_keyword", "title"): ("movie_id", "id"),
    ("movie_company", "title"): ("movie_id", "id"),
    ("title", "kind"): ("kind_id", "id"),
    ("cast_info", "name"): ("person_id", "id"),
    ("cast_info", "role"): ("role_id", "id"),
    ("movie_info", "info_type"): ("info_type_id", "id"),
    ("movie_keyword", "keyword"): ("keyword_id", "id"),
    ("movie_company", "company"): ("company_id", "id"),
}

FILTERS = {
    "title": ["year > 2015", "year BETWEEN 1990 AND 2000", "year < 1950", "title LIKE 'title 0%'"],
    "name": ["gender = 'f'", "name LIKE 'B%'", "name LIKE 'Ca%'"],
    "company": ["country = 'us'", "country = 'jp'", "name = 'company 17'"],
    "keyword": ["keyword = 'keyword-3'", "keyword IN ('keyword-1', 'keyword-40', 'keyword-500')", "keyword LIKE '%99'"],
    "info_type": ["info = 'info 1'", "info = 'info 40'", "info IN ('info 3', 'info 16')"],
    "kind": ["kind = 'kind 1'", "kind = 'kind 4'"],
    "role": ["role = 'role 2'", "role IN ('role 5', 'role 9')"],
    "cast_info": ["position < 5", "position = 7"],
    "movie_info": ["info = 'Horror'", "info IN ('Drama', 'Comedy')", "info = '2000'"],
    "movie_keyword": [],
    "movie_company": ["company_type = 2"],
}

# The facts that meet at a film, twice in some; each brings its dimensions.
SHAPES = [
    ["movie_keyword", "movie_info"],
    ["movie_company", "movie_info"],
    ["cast_info", "movie_keyword"],
    ["cast_info", "movie_company"],
    ["movie_keyword", "movie_company", "movie_info"],
    ["cast_info", "movie_keyword", "movie_company"],
    ["cast_info", "movie_info", "movie_company"],
    ["movie_info", "movie_info", "movie_keyword"],
    ["cast_info", "movie_info", "movie_keyword", "movie_company"],
    ["movie_info", "movie_info", "movie_company", "movie_keyword"],
]
DIMENSIONS = {
    "cast_info": ["name", "role"],
    "movie_info": ["info_type"],
    "movie_keyword": ["keyword"],
    "movie_company": ["company"],
}


def queries(seed):
    """Lists of tables by alias, conditions between two aliases, and filters by alias."""
    random.seed(seed)
    for number, facts in enumerate(SHAPES * 2):
        tables, edges, filters = {"t": "title"}, [], {}
        if number % 2:
            tables["k"] = "kind"
            edges.append(("t", "k", "t.kind_id = k.id"))
        for i, fact in enumerate(facts):
            alias = f"f{i}"
            tables[alias] = fact
            edges.append((alias, "t", f"{alias}.movie_id = t.id"))
            for dimension in DIMENSIONS[fact]:
                name = f"{alias}{dimension[0]}"
                tables[name] = dimension
                column = EDGES[(fact, dimension)][0]
                edges.append((alias, name, f"{alias}.{column} = {name}.id"))
        for alias, table in tables.items():
            wanted = 0.45 if table in ("title", "cast_info", "movie_info", "movie_company") else 0.75
            if FILTERS[table] and random.random() < wanted:
                filters[alias] = f"{alias}.{random.choice(FILTERS[table])}"
        # Two facts without a filter beyond their films would make billions of rows.
        for i, fact in enumerate(facts):
            dimension = DIMENSIONS[fact][0]
            name = f"f{i}{dimension[0]}"
            if f"f{i}" not in filters and name not in filters:
                filters[name] = f"{name}.{random.choice(FILTERS[dimension])}"
        yield tables, edges, filters


def text(tables, edges, filters, tree=None):
    where = [condition for _, _, condition in edges] if tree is None else []
    where += filters.values()
    source = ", ".join(f"{table} AS {alias}" for alias, table in tables.items()) if tree is None else tree
    return f"SELECT count(*), min(t.title) FROM {source} WHERE {' AND '.join(where)}"


def random_tree(tables, edges):
    """A random tree of joins without cross products."""
    parts = [({alias}, f"{table} AS {alias}") for alias, table in tables.items()]
    while len(parts) > 1:
        pairs = []
        for i, (left, _) in enumerate(parts):
            for j, (right, _) in enumerate(parts):
                on = [c for a, b, c in edges if (a in left and b in right) or (b in left and a in right)]
                if i != j and on:
                    pairs.append((i, j, on))
        # Mostly go on with what is joined already, as good plans do; sometimes join two others.
        grown = [pair for pair in pairs if len(parts[pair[0]][0]) > 1]
        i, j, on = random.choice(grown if grown and random.random() < 0.7 else pairs)
        joined = (parts[i][0] | parts[j][0], f"({parts[i][1]} JOIN {parts[j][1]} ON {' AND '.join(on)})")
        parts = [part for n, part in enumerate(parts) if n not in (i, j)] + [joined]
    return parts[0][1]


def run(connection, sql, limit):
    """The best of three times of execution in seconds; `None` when it takes longer than `limit`."""
    best = None
    connection.execute(f"SET statement_timeout = {max(20, int(limit * 1000))}")
    for _ in range(3):
        try:
            plan = connection.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}").fetchone()[0]
        except psycopg.errors.QueryCanceled:
            break
        taken = plan[0]["Execution Time"] / 1000
        best = min(best or taken, taken)
        if taken > limit / 2:
            break
    return best


def answer(connection, sql):
    connection.execute("SET statement_timeout = 0")
    return connection.execute(sql).fetchone()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--tries", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--load", action="store_true", help="make the tables anew")
    arguments = parser.parse_args()
    connection = psycopg.connect(os.environ.get("PGDSN", ""), autocommit=True)
    if arguments.load:
        load(connection, arguments.scale, arguments.seed)
    connection.execute("SET search_path = join_order")
    connection.execute("SET max_parallel_workers_per_gather = 0")
    print("query  tables   planner ms   best found ms   ratio   tries within the limit")
    ratios = []
    for number, (tables, edges, filters) in enumerate(queries(arguments.seed), 1):
        connection.execute("SET join_collapse_limit = 30; SET from_collapse_limit = 30; SET geqo = off")
        own = run(connection, text(tables, edges, filters), 120)
        if own is None:
            print(f"{number:5}  {len(tables):6}   took longer than two minutes")
            ratios.append(float("inf"))
            continue
        expected = answer(connection, text(tables, edges, filters))
        connection.execute("SET join_collapse_limit = 1")
        best, finished = own, 0
        for _ in range(arguments.tries):
            sql = text(tables, edges, filters, random_tree(tables, edges))
            taken = run(connection, sql, best * 1.1 + 0.002)
            if taken is None:
                continue
            if (row := answer(connection, sql)) != expected:
                sys.exit(f"query {number}: {row} instead of {expected}\n{sql}")
            finished += 1
            best = min(best, taken)
        ratios.append(own / best)
        print(f"{number:5}  {len(tables):6}   {own * 1000:10.1f}   {best * 1000:13.1f}   {own / best:5.2f}   {finished}", flush=True)
    within = sum(ratio <= 2 for ratio in ratios)
    print(f"{within} of {len(ratios)} within twice the best; median {statistics.median(ratios):.2f}, worst {max(ratios):.2f}")


main()
