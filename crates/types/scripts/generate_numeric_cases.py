#!/usr/bin/env python3
"""Writes testdata/numeric.tsv: operations on numeric and a reference server's answers.

usage: generate_numeric_cases.py PSQL_ARGUMENTS... > testdata/numeric.tsv
"""
import random
import subprocess
import sys

random.seed(20261121)

EDGES = ["0", "0.0", "1", "-1", "1.00", "-1.5", "0.5", "2.5", "-2.5", "10", "100", "9999", "10000", "99999999", "0.0001", "0.00009999",
         "123456789.987654321", "-0.000000000000000000001", "99999999999999999999999999999999999999",
         "1234567890123456789012345678901234567890.12345", "1e50", "1e-50", "3.14159265358979323846", "2", "3", "7",
         "NaN", "Infinity", "-Infinity"]


def number():
    kind = random.random()
    if kind < 0.35:
        return random.choice(EDGES)
    digits = random.choice([1, 2, 4, 5, 9, 17, 30, 45])
    text = str(random.randrange(10 ** digits))
    if kind < 0.75:
        scale = random.choice([1, 2, 3, 4, 5, 8, 12, 20])
        text += "." + str(random.randrange(10 ** scale)).zfill(scale)
    return random.choice(["", "-"]) + text


BINARY = {"add": "{a} + {b}", "sub": "{a} - {b}", "mul": "{a} * {b}", "div": "{a} / {b}", "mod": "{a} % {b}",
          "divtrunc": "div({a}, {b})", "gcd": "gcd({a}, {b})", "lcm": "lcm({a}, {b})"}


def cases():
    for op, form in BINARY.items():
        for _ in range(150):
            a, b = number(), number()
            yield op, a, b, form.format(a=f"'{a}'::numeric", b=f"'{b}'::numeric")
    for _ in range(150):
        a, b = number(), number()
        yield "cmp", a, b, f"case when '{a}'::numeric > '{b}' then 1 when '{a}'::numeric < '{b}' then -1 else 0 end"
    for op in ["sqrt", "ln", "exp"]:
        for _ in range(60):
            a = number()
            if op == "exp" and random.random() < 0.7:
                a = str(round(random.uniform(-60, 60), random.choice([0, 2, 6])))
            if op != "exp" and random.random() < 0.8:
                a = a.lstrip("-")
            yield op, a, "", f"{op}('{a}'::numeric)"
    for _ in range(80):
        a, b = random.choice(["2", "10", "3.5", "0.5", "1.0001", "7"]), number().lstrip("-")
        yield "log", a, b, f"log('{a}'::numeric, '{b}'::numeric)"
    for _ in range(120):
        a = random.choice([number(), str(random.randrange(20)), "1.5", "0.5", "2", "10", "1.01", "-2", "0"])
        b = random.choice([str(random.randrange(-20, 60)), str(round(random.uniform(-4, 8), 3)), "0.5", "2", "0", "-1", "1"])
        yield "power", a, b, f"power('{a}'::numeric, '{b}'::numeric)"
    for op in ["round", "trunc"]:
        for _ in range(80):
            a, b = number(), random.choice([0, 1, 2, 5, 10, 40, -1, -2, -3, -5, -9])
            yield op, a, str(b), f"{op}('{a}'::numeric, {b})"
    for op, form in [("ceil", "ceil({})"), ("floor", "floor({})"), ("trim", "trim_scale({})"), ("int4", "{}::int4"), ("int8", "{}::int8")]:
        for _ in range(40):
            a = number()
            yield op, a, "", form.format(f"'{a}'::numeric")
    for _ in range(60):
        a = number()
        p = random.choice([1, 3, 5, 10, 20, 38, 50])
        s = random.choice([0, 2, p, -1, p + 2, 5])
        yield "typmod", a, str(((p << 16) | (s & 0x7FF)) + 4), f"'{a}'::numeric::numeric({p},{s})"


def main():
    rows = list(cases())
    script = ["create function pg_temp.try(q text) returns text language plpgsql as $$ declare r text; begin execute 'select (' || q || ')::text' into r; return r; "
              "exception when others then return '!' || sqlstate || ' ' || sqlerrm; end $$;"]
    for _, _, _, sql in rows:
        script.append("select pg_temp.try($q$" + sql + "$q$);")
    out = subprocess.run(["psql", "-XAtq", *sys.argv[1:]], input="\n".join(script), check=True, capture_output=True, text=True)
    answers = out.stdout.splitlines()
    assert len(answers) == len(rows), (len(answers), len(rows))
    for (op, a, b, _), answer in zip(rows, answers):
        print(op, a, b, answer, sep="\t")


main()
