#!/usr/bin/env python3
"""Random queries beside PostgreSQL: joins, orders, limits, groups, sub-queries, unions and partitions over small tables with
NULLs and duplicates. Each is run as it is and with some settings that ask for another plan; whatever differs is printed (57014
is a statement that took longer than items timeout).

Queries are ordered by all that they show, so that LIMIT leaves no choice. Both servers get a database random_SEED of their own.
Needs psycopg 3.

usage: random_queries.py --ours CONNINFO --reference CONNINFO [--seed N] [--seconds N]
"""

import argparse
import random
import time

import psycopg

SETUP = """
create table a(id int primary key, k int, v int, t text);
create table b(id int primary key, aid int, w int, u int);
create table c(id int primary key, k int not null, x int);
create table e(id int, k int);
create table p(id int, k int not null, v int) partition by range(k);
create table p1 partition of p for values from (0) to (10);
create table p2 partition of p for values from (10) to (25);
create table p3 partition of p for values from (25) to (1000);
insert into a select i, case when i%17=0 then null else (i*7919)%40 end, (i*31)%11, 't'||(i*13)%29 from generate_series(1,3000) i;
insert into b select i, case when i%23=0 then null else (i*7907)%3200 end, case when i%19=0 then null else (i*37)%50 end, i%7 from generate_series(1,5000) i;
insert into c select i, (i*11)%60, case when i%5=0 then null else i%9 end from generate_series(1,300) i;
insert into p select i, (i*7)%45, (i*3)%20 from generate_series(1,2000) i;
create index a_k on a(k); create index a_kv on a(k,v); create index a_t on a(t);
create index b_aid on b(aid); create index b_w on b(w desc nulls last); create index b_uw on b(u,w);
create index c_k on c(k); create index p_k on p(k); create index p_v on p(v);
analyze a; analyze b; analyze c; analyze e; analyze p"""
MODES = [
    "set enable_hashjoin=off",
    "set enable_seqscan=off",
    "set enable_sort=off",
    "set work_mem='64kB'",
    "set enable_mergejoin=off",
    "set ochre.batch_rows=3",
    "set enable_nestloop=off",
    "set max_parallel_workers_per_gather=0",
    "set enable_memoize=off",
    "set ochre.force_spill=on",
]

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--ours", required=True)
parser.add_argument("--reference", required=True)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--seconds", type=float, default=60)
OPTIONS = parser.parse_args()
RANDOM = random.Random(OPTIONS.seed)


def fresh(conninfo):
    """A connection to a new database."""
    name = f"random_{OPTIONS.seed}"
    with psycopg.connect(conninfo, autocommit=True) as first:
        first.execute(f"drop database if exists {name}")
        first.execute(f"create database {name}")
    connection = psycopg.connect(conninfo, dbname=name, autocommit=True)
    for statement in SETUP.split(";"):
        connection.execute(statement)
    return connection


INTEGERS = {
    "a": ["id", "k", "v"],
    "b": ["id", "aid", "w", "u"],
    "c": ["id", "k", "x"],
    "p": ["id", "k", "v"],
    "e": ["id", "k"],
}


def col(alias, table):
    """A column of integers."""
    return f"{alias}.{RANDOM.choice(INTEGERS[table])}"


def condition(alias, table, depth=0):
    """What a row of a table is asked, by a sub-query perhaps."""
    c = col(alias, table)
    n = RANDOM.choice([0, 1, 3, 5, 8, 12, 20, 33, 100, 1500])
    k = RANDOM.random()
    if k < 0.25:
        return f'{c} {RANDOM.choice(["=","<",">","<=",">=","<>"])} {n}'
    if k < 0.33:
        return f'{c} is {RANDOM.choice(["","not "])}null'
    if k < 0.43:
        return f'({alias}.{RANDOM.choice(INTEGERS[table])}, {alias}.id) {RANDOM.choice(["<",">","<=",">="])} ({n}, {RANDOM.choice([5,900])})'
    if k < 0.5:
        return f"{c} in ({n},{n+1},{n*2})"
    if k < 0.58:
        return f"{c} between {n} and {n+RANDOM.choice([1,10,50])}"
    if depth < 2:
        inner_table = RANDOM.choice(list(INTEGERS))
        inner = f"s{RANDOM.randrange(1000)}"
        correlated = f"{inner}.{RANDOM.choice(INTEGERS[inner_table])} = {col(alias,table)}"
        extra = f" and {condition(inner,inner_table,2)}" if RANDOM.random() < 0.5 else ""
        k = RANDOM.random()
        if k < 0.2:
            return f'{"not " if RANDOM.random()<.4 else ""}exists (select 1 from {inner_table} {inner} where {correlated}{extra})'
        if k < 0.35:
            return f"({condition(alias,table,2)} or exists (select 1 from {inner_table} {inner} where {correlated}{extra}))"
        if k < 0.5:
            return f'{c} {RANDOM.choice(["in","not in"])} (select {inner}.{RANDOM.choice(INTEGERS[inner_table])} from {inner_table} {inner} where {condition(inner,inner_table,2)})'
        if k < 0.65:
            return f'{c} {RANDOM.choice(["=",">","<"])} (select {RANDOM.choice(["max","min","count","sum"])}({inner}.{RANDOM.choice(INTEGERS[inner_table])}) from {inner_table} {inner} where {condition(inner,inner_table,2)})'
        if k < 0.8:
            return f'{c} {RANDOM.choice(["=",">","<="])} (select {RANDOM.choice(["max","min","count","sum"])}({inner}.{RANDOM.choice(INTEGERS[inner_table])}) from {inner_table} {inner} where {correlated}{extra})'
        if k < 0.9:
            return f'{c} {RANDOM.choice([">","<","="])} any (select {inner}.{RANDOM.choice(INTEGERS[inner_table])} from {inner_table} {inner} where {correlated}{extra})'
        return f"not ({condition(alias,table,2)} or {condition(alias,table,2)})"
    return f"{c} < {n}"


def from_clause():
    """Up to three tables joined: the text, and the tables by their names."""
    n = RANDOM.choice([1, 1, 2, 2, 2, 3])
    items = []
    text = ""
    for i in range(n):
        t = RANDOM.choice(["a", "a", "b", "b", "c", "p", "e"] if i else ["a", "b", "c", "p", "a", "b"])
        alias = "xyz"[i]
        if i == 0:
            text = f"{t} {alias}"
        else:
            other, other_table = RANDOM.choice(items)
            j = RANDOM.choice(["join", "join", "left join", "right join", "full join"])
            on = f"{alias}.{RANDOM.choice(INTEGERS[t])} = {other}.{RANDOM.choice(INTEGERS[other_table])}"
            if RANDOM.random() < 0.3 and j != "full join":
                on += f" and {condition(alias,t,2)}"
            text += f" {j} {t} {alias} on {on}"
        items.append((alias, t))
    return text, items


def order(keys):
    """ORDER BY some keys, each its own way."""
    return ", ".join(k + RANDOM.choice(["", " desc", "", " nulls first", " desc nulls last"]) for k in keys)


def query():
    """A query whose order leaves no choice."""
    text, items = from_clause()
    w = []
    for alias, t in items:
        if RANDOM.random() < 0.55:
            w.append(condition(alias, t))
    where = " where " + " and ".join(w) if w else ""
    if len(items) == 3 and not w:
        where = f" where {items[0][0]}.id < 200"
    limit = RANDOM.choice(["", " limit 1", " limit 5", " limit 7 offset 3", " limit 50", " limit 5"])
    k = RANDOM.random()
    keys = [col(*RANDOM.choice(items)) for _ in range(RANDOM.choice([1, 1, 2, 2, 3]))]
    if k < 0.5:
        return f'select {", ".join(keys)} from {text}{where} order by {order(keys)}{limit or " limit 300"}'
    if k < 0.7:
        return f'select {", ".join(keys)}, count(*), max({col(*RANDOM.choice(items))}), sum({col(*RANDOM.choice(items))}) from {text}{where} group by {", ".join(keys)} order by {order(keys)}{limit or " limit 300"}'
    if k < 0.8:
        return f'select distinct {", ".join(keys)} from {text}{where} order by {order(keys)}{limit or " limit 300"}'
    if k < 0.88:
        t1, i1 = from_clause()
        c1 = col(*RANDOM.choice(i1))
        return f'select q.k from (select {keys[0]} as k from {text}{where or " where x.id<500"} union all select {c1} from {t1} where x.id < 300) q order by {order(["q.k"])}{limit or " limit 300"}'
    if k < 0.94:
        alias, t = items[0]
        inner_table = RANDOM.choice(["a", "b", "c", "p"])
        return f'select {", ".join(keys)}, l.m from {text}, lateral (select {RANDOM.choice(["max","count","sum"])}(s.id) as m from {inner_table} s where s.{RANDOM.choice(INTEGERS[inner_table])} = {col(alias,t)}) l {where or " where x.id<300"} order by {order(keys+["l.m"])}{limit or " limit 300"}'
    return f'select {", ".join(keys)}, (select count(*) from b s where s.aid = {items[0][0]}.id), exists (select 1 from c s where s.k = {col(*RANDOM.choice(items))}) from {text}{where or " where x.id<300"} order by {", ".join(str(i+1) for i in range(len(keys)))}, {len(keys)+1}, {len(keys)+2}{limit or " limit 300"}'


def answer(connection, text):
    """Rows, or the SQLSTATE of an error."""
    try:
        return connection.execute(text).fetchall()
    except psycopg.Error as error:
        return error.sqlstate


def main():
    ours, reference = fresh(OPTIONS.ours), fresh(OPTIONS.reference)
    reference.execute("set statement_timeout = '3s'")
    ours.execute("set statement_timeout = '10s'")
    asked = with_rows = slow = different = 0
    end = time.time() + OPTIONS.seconds
    while time.time() < end:
        text = query()
        wanted = answer(reference, text)
        if wanted == "57014":
            slow += 1
            continue
        asked += 1
        with_rows += not isinstance(wanted, str) and len(wanted) > 0
        for mode in [""] + RANDOM.sample(MODES, 2):
            if mode:
                ours.execute(mode)
            got = answer(ours, text)
            if mode:
                ours.execute("reset " + mode.split()[1].split("=")[0])
            if got != wanted:
                different += 1
                print(f"{mode or 'as it is'}: {text}\n  {str(wanted)[:300]}\n  {str(got)[:300]}", flush=True)
                break
    print(
        f"seed {OPTIONS.seed}: {asked} queries, {with_rows} with rows, {different} different; {slow} too slow to compare"
    )


main()
