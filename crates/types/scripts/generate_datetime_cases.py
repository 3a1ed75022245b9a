#!/usr/bin/env python3
"""Writes testdata/datetime.tsv: arithmetic on dates, times and intervals, and a reference server's answers.

Each line: the operation, its arguments as texts, and the answer's text (or ! with SQLSTATE and message). The server's
time zone is America/New_York.

usage: generate_datetime_cases.py PSQL_ARGUMENTS... > testdata/datetime.tsv
"""
import random
import subprocess
import sys

random.seed(7)

STAMPS = ["2000-01-01 00:00:00", "1999-12-31 23:59:59.999999", "2020-02-29 12:34:56.789", "2021-03-31 00:00:00", "1900-02-28 01:02:03", "0044-03-15 12:00:00 BC", "0001-01-01 00:00:00",
          "2024-12-30 10:11:12", "2016-01-03 00:00:00.000001", "2023-03-12 01:30:00", "2023-11-05 00:30:00", "294276-12-31 23:59:59", "4714-11-24 00:00:00 BC", "infinity", "-infinity", "1970-01-01 00:00:00", "2001-02-16 20:38:40.12", "2050-07-31 18:00:00"]
INTERVALS = ["1 month", "-1 month", "1 day", "1 year 2 mons 3 days 04:05:06.789", "-1 year -2 mons 3 days", "36:00:00", "00:00:00.000001", "0", "infinity", "-infinity", "178956970 years", "2147483647 days", "-00:00:01", "1 mon -30 days", "35 days -25:00:00", "-45 days 49:00:00", "13 months", "12 hours", "2 hours 20 minutes", "100 years", "1000 years 7 mons"]
FIELDS = ["microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade", "century", "millennium", "dow", "isodow", "doy", "isoyear", "epoch", "julian", "timezone", "timezone_hour", "timezone_minute", "bogus", "YEAR"]
TIMES = ["00:00:00", "12:34:56.789", "24:00:00", "23:59:59.999999"]
FACTORS = ["0", "1", "-1", "2", "0.5", "1.5", "-2.25", "0.1", "1e10", "NaN", "infinity", "3"]


def cases():
    for s in STAMPS:
        for i in INTERVALS:
            yield "timestamp_add", [s, i], f"timestamp '{s}' + interval '{i}'"
            yield "timestamptz_add", [s, i], f"timestamptz '{s}' + interval '{i}'"
        for f in FIELDS:
            yield "extract_timestamp", [f, s], f"extract({f} from timestamp '{s}')" if f != "bogus" else f"extract('bogus' from timestamp '{s}')"
            yield "extract_timestamptz", [f, s], f"extract('{f}' from timestamptz '{s}')"
            yield "trunc_timestamp", [f, s], f"date_trunc('{f}', timestamp '{s}')"
            yield "trunc_timestamptz", [f, s], f"date_trunc('{f}', timestamptz '{s}')"
        d = s if "infinity" in s else (s.split(" ")[0] + (" BC" if "BC" in s else ""))
        for f in FIELDS:
            yield "extract_date", [f, d], f"extract('{f}' from date '{d}')"
        for t in STAMPS:
            yield "timestamp_diff", [s, t], f"timestamp '{s}' - timestamp '{t}'"
            yield "timestamp_age", [s, t], f"age(timestamp '{s}', timestamp '{t}')"
            yield "timestamptz_age", [s, t], f"age(timestamptz '{s}', timestamptz '{t}')"
        for i in ["15 minutes", "1 day", "7 days 01:00:00", "1 month", "0", "-1 day"]:
            yield "timestamp_bin", [i, s, "2001-01-01 00:00:00"], f"date_bin('{i}', timestamp '{s}', timestamp '2001-01-01')"
        yield "timestamp_to_timestamptz", [s], f"timestamp '{s}' at time zone 'Europe/Berlin'"
        yield "timestamptz_to_timestamp", [s], f"timestamptz '{s}' at time zone 'Europe/Berlin'"
    for i in INTERVALS:
        for f in FIELDS:
            yield "extract_interval", [f, i], f"extract('{f}' from interval '{i}')"
            yield "trunc_interval", [f, i], f"date_trunc('{f}', interval '{i}')"
        for j in INTERVALS:
            yield "interval_add", [i, j], f"interval '{i}' + interval '{j}'"
            yield "interval_sub", [i, j], f"interval '{i}' - interval '{j}'"
        for f in FACTORS:
            yield "interval_mul", [i, f], f"interval '{i}' * float8 '{f}'"
            yield "interval_div", [i, f], f"interval '{i}' / float8 '{f}'"
        for g in ["justify_hours", "justify_days", "justify_interval"]:
            yield g, [i], f"{g}(interval '{i}')"
        yield "interval_neg", [i], f"- interval '{i}'"
        for t in TIMES:
            yield "time_add", [t, i], f"time '{t}' + interval '{i}'"
            yield "time_sub", [t, i], f"time '{t}' - interval '{i}'"
    for t in TIMES:
        for f in FIELDS:
            yield "extract_time", [f, t], f"extract('{f}' from time '{t}')"
            yield "extract_timetz", [f, t + "-05:30"], f"extract('{f}' from timetz '{t}-05:30')"
    for a in [(2013, 7, 15), (-44, 3, 15), (0, 1, 1), (2013, 2, 30), (2013, 13, 1), (5874897, 12, 31), (5874898, 1, 1), (-4714, 11, 24), (-4714, 11, 23), (2000, 2, 29)]:
        yield "make_date", list(map(str, a)), f"make_date({a[0]}, {a[1]}, {a[2]})"
    for a in [(8, 15, "23.5"), (24, 0, "0"), (24, 0, "0.1"), (25, 0, "0"), (0, 60, "0"), (0, 0, "60"), (0, 0, "59.9999999"), (23, 59, "60"), (-1, 0, "0")]:
        yield "make_time", list(map(str, a)), f"make_time({a[0]}, {a[1]}, {a[2]})"
    for a in [(2014, 12, 28, 6, 30, "45.887"), (-44, 3, 15, 12, 30, "15"), (294277, 1, 1, 0, 0, "0"), (2014, 2, 29, 0, 0, "0")]:
        yield "make_timestamp", list(map(str, a)), "make_timestamp(" + ", ".join(map(str, a)) + ")"
    for a in [(1, 2, 3, 4, 5, 6, "7.8"), (0, 0, 0, 0, 0, 0, "-0.1"), (178956970, 8, 0, 0, 0, 0, "0"), (0, 0, 306783378, 8, 0, 0, "0"), (0, 0, 0, 0, 2147483647, 2147483647, "1e10"), (0, 0, 0, 0, 0, 0, "'NaN'"), (0, 0, 0, 0, 0, 0, "'infinity'")]:
        yield "make_interval", [x.strip("'") if isinstance(x, str) else str(x) for x in a], "make_interval(" + ", ".join(map(str, a)) + ")"
    for a in ["0", "1284352323.5", "-1", "1e20", "NaN", "infinity", "-infinity", "0.0000005"]:
        yield "to_timestamp", [a], f"to_timestamp(float8 '{a}')"
    for s in STAMPS:
        d = s if "infinity" in s else (s.split(" ")[0] + (" BC" if "BC" in s else ""))
        yield "date_to_timestamptz", [d], f"date '{d}'::timestamptz"
        for n in [1, -1, 400, 2147483647, -2147483648]:
            yield "date_add", [d, str(n)], f"date '{d}' + ({n})"
    yield "date_to_timestamp", ["5874897-12-31"], "date '5874897-12-31'::timestamp"
    yield "date_to_timestamptz", ["5874897-12-31"], "date '5874897-12-31'::timestamptz"


def main():
    rows = list(cases())
    script = ["set timezone = 'America/New_York';",
              "create function pg_temp.try(q text) returns text language plpgsql as $$ declare r text; begin execute 'select (' || q || ')::text' into r; return coalesce(r, 'NULL'); "
              "exception when others then return '!' || sqlstate || ' ' || sqlerrm; end $$;"]
    script += ["select pg_temp.try($q$" + sql + "$q$);" for _, _, sql in rows]
    out = subprocess.run(["psql", "-XAtq", *sys.argv[1:]], input="\n".join(script), check=True, capture_output=True, text=True)
    answers = out.stdout.splitlines()
    assert len(answers) == len(rows), (len(answers), len(rows), out.stderr[:500])
    for (op, args, _), answer in zip(rows, answers):
        print(op, *args, answer, sep="\t")


main()
