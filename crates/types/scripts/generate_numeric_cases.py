#!/usr/bin/env python3
"""Writes testdata/numeric.tsv: operations on numeric and a reference server's answers.

usage: generate_numeric_cases.py PSQL_ARGUMENTS... > testdata/numeric.tsv
       generate_numeric_cases.py --long PSQL_ARGUMENTS... > testdata/numeric_long.tsv
"""
import decimal
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


def digits(count, scale):
    """A number of so many digits, so many of them behind the point."""
    text = str(random.randint(1, 9)) + "".join(random.choice("0123456789") for _ in range(count - 1))
    if scale:
        text = text.rjust(scale + 1, "0")
        text = text[:-scale] + "." + text[-scale:]
    return text


def long_cases():
    """Roots, logarithms and products of numbers of very different lengths, and roots next to where rounding turns."""
    decimal.getcontext().prec = 5000
    one = lambda op, a: (op, a, "", f"{op}('{a}'::numeric)")
    for count in [*range(1, 60, 3), 70, 90, 120, 150, 199, 200, 201, 300, 401, 500, 777, 1000]:
        for scale in sorted({0, 1, random.randint(0, count), min(count + random.randint(0, 30), 1500)}):
            yield one("sqrt", digits(count, scale))
    for count in [1, 2, 5, 17, 40, 100, 333]:
        root = decimal.Decimal(digits(count, 0))
        for square in (root * root, root * root + 1, root * root - 1):
            yield one("sqrt", format(square, "f"))
        root = decimal.Decimal(digits(count, min(count, 30)))
        yield one("sqrt", format(root * root, "f"))
    # The root of these lies in the middle between two that show, or next to it.
    for count in [1001, 1017]:
        root = decimal.Decimal(digits(count, 1000) + "5")
        last = decimal.Decimal(1).scaleb(-2002)
        for square in (root * root, root * root - last, root * root + last):
            yield one("sqrt", format(square, "f"))
    for count in [1, 2, 3, 5, 9, 16, 17, 30, 60, 100, 250, 600, 1500]:
        for scale in sorted({0, random.randint(0, count), min(count + 5, 900)}):
            yield one("ln", digits(count, scale))
            a, b = digits(random.randint(2, 40), random.choice([0, 0, 3])), digits(count, scale)
            yield "log", a, b, f"log('{a}'::numeric, '{b}'::numeric)"
    for a in ["0.9", "1.1", "0.99999999999999999999", "1.00000000000000000000000001", "0.5", "2", "10", "0." + "0" * 299 + "1",
              "1" + "0" * 300, "0." + "0" * 999 + "1", "33" + "0" * 1998]:
        yield one("ln", a)
        yield one("sqrt", a)
    for a in ["0.1", "1", "-1", "10", "-20.5", "123.456", "-345.6", "1000", "2500.25", digits(40, 39), digits(200, 199)]:
        yield one("exp", a)
    for a, b in [("1.0000001", "12345.5"), ("2", "0.5"), ("99999.99999", "300"), ("1.1", "1000"), ("0.999", "-2000"), ("7", "-33"),
                 ("10", "-40.25"), (digits(60, 20), "17"), (digits(30, 29), "2.75")]:
        yield "power", a, b, f"power('{a}'::numeric, '{b}'::numeric)"
    for one_count, other_count in [(190, 190), (192, 192), (193, 200), (400, 200), (400, 1000), (780, 780), (1000, 193), (2000, 2000)]:
        a, b = digits(one_count, 0), digits(other_count, 3)
        yield "mul", a, b, f"'{a}'::numeric * '{b}'::numeric"
        yield "div", a, b, f"'{a}'::numeric / '{b}'::numeric"


def main():
    chosen = cases
    if sys.argv[1:2] == ["--long"]:
        del sys.argv[1]
        chosen = long_cases
    rows = list(chosen())
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
