#!/usr/bin/env python3
"""Writes tests/slt/NAME.slt from tests/slt/NAME.sql with the answers of a running PostgreSQL.

The server is found as psql finds it (PGHOST, PGPORT, PGUSER). Each file runs in a database of its own. Statements end
with a semicolon at the end of a line.

usage: record.py [NAME …]
"""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
PSQL = ["psql", "-X", "-q", "-A", "-t", "-F", "|", "-P", "null=NULL"]


def statements(text):
    current, result = [], []
    for line in text.splitlines():
        if not current and (not line.strip() or line.startswith("--")):
            if line.startswith("--"):
                result.append(("comment", line[2:].strip()))
            continue
        current.append(line)
        # A semicolon within a dollar-quoted body ends nothing.
        if line.rstrip().endswith(";") and "\n".join(current).count("$$") % 2 == 0:
            result.append(("sql", "\n".join(current)))
            current = []
    assert not current, f"a statement without an end: {current}"
    return result


def run(database, script):
    command = [*PSQL, "-d", database]
    return subprocess.run(command, input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def record(path):
    name = path.stem
    database = f"slt_{name}"
    items = statements(path.read_text())
    script = ["\\set VERBOSITY sqlstate", "SET client_min_messages = error;"]
    for number, (kind, text) in enumerate(items):
        if kind == "sql":
            script += [f"\\echo @@{number}", text]
    script.append("\\echo @@end")
    run("postgres", f"DROP DATABASE IF EXISTS {database};\nCREATE DATABASE {database};\n")
    output = run(database, "\n".join(script) + "\n")
    run("postgres", f"DROP DATABASE {database};\n")
    answers = {}
    for part in re.split(r"^@@", output, flags=re.M)[1:]:
        head, _, body = part.partition("\n")
        answers[head] = body.rstrip("\n")
    lines = []
    for number, (kind, text) in enumerate(items):
        if kind == "comment":
            lines += [f"# {text}", ""]
            continue
        answer = answers[str(number)]
        error = re.search(r"^ERROR:\s+(\S{5})$", answer, flags=re.M)
        if error:
            lines += [f"statement error {error.group(1)}", text, ""]
        elif answer or re.match(r"\s*(select|with|values|table|show|explain)\b", text, re.I) or "RETURNING" in text:
            lines += ["query", text, "----", *([answer] if answer else []), ""]
        else:
            lines += ["statement ok", text, ""]
    path.with_suffix(".slt").write_text("\n".join(lines))
    print(f"{name}: {sum(kind == 'sql' for kind, _ in items)} statements")


for path in sorted(HERE.glob("*.sql")):
    if not sys.argv[1:] or path.stem in sys.argv[1:]:
        record(path)
