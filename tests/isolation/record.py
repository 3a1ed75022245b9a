#!/usr/bin/env python3
"""Writes tests/isolation/NAME.out from tests/isolation/NAME.spec with the answers of a running PostgreSQL 18.

The server is found as psql finds it (PGHOST, PGPORT, PGUSER). Each scenario runs in a database of its own, each of its
sessions in a psql of its own. A file's `setup` lines run first; a scenario's lines are `SESSION SQL`, or `SESSION … SQL`
for a statement that waits and comes to its end by itself, by a timeout or a deadlock.

usage: record.py [NAME …]
"""
import pathlib
import queue
import re
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).parent
PSQL = ["psql", "-X", "-q", "-A", "-t", "-F", "|", "-P", "null=NULL", "-P", "footer=off"]
DATABASE = "isolation_scenario"


class Session:
    """A psql whose statements run in the background."""

    def __init__(self):
        self.process = subprocess.Popen(
            [*PSQL, "-d", DATABASE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.waiting = False
        self.send("\\set VERBOSITY verbose\n")
        self.pid = int(self.ask("SELECT pg_backend_pid();")[0])

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put("@@done")

    def send(self, text):
        try:
            self.process.stdin.write(text)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def start(self, sql):
        self.send(f"{sql}\n\\echo @@done\n")
        self.answer = []

    def poll(self, seconds):
        """Whether the statement has ended."""
        until = time.time() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, until - time.time()))
            except queue.Empty:
                return False
            if line == "@@done":
                return True
            self.answer.append(line)

    def ask(self, sql):
        self.start(sql)
        assert self.poll(10)
        return self.answer


def outcome(lines):
    """A statement's answer in the form of the files."""
    result = []
    for line in lines:
        error = re.match(r"(ERROR|FATAL|WARNING|NOTICE):\s+(\w{5}): (.*)", line)
        if error and error.group(1) in ("ERROR", "FATAL"):
            return [f"error {error.group(2)} {error.group(3)}"]
        if not error and not re.match(r"(LOCATION|DETAIL|HINT|CONTEXT|LINE \d+):|\s+\^", line):
            result.append(line)
    return result or ["ok"]


def run(lines, setup):
    admin = subprocess.run
    admin([*PSQL, "-d", "postgres"], input=f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE);\nCREATE DATABASE {DATABASE};\n", text=True)
    control = Session()
    for sql in setup:
        answer = control.ask(sql)
        assert "ERROR" not in "".join(answer), answer
    sessions, out = {}, []

    def is_blocked(session):
        return control.ask(f"SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = {session.pid};") != ["0"]

    def settle(name, session):
        """Waits until a session's statement has ended or is blocked; whether it has ended."""
        until = time.time() + 20
        while time.time() < until:
            if session.poll(0.02):
                return True
            if is_blocked(session) and not session.poll(0.05) and is_blocked(session):
                return False
        raise SystemExit(f"{name} neither ends nor waits")

    def tell(name, session):
        session.waiting = False
        out.extend(f"{name}> {line}" for line in outcome(session.answer))

    for line in lines:
        name, sql = line.split(" ", 1)
        session = sessions.setdefault(name, None) or Session()
        sessions[name] = session
        out.append(line)
        assert not session.waiting, f"{name} waits still: {line}"
        alone = sql.removeprefix("… ")
        session.start(alone)
        if alone != sql:
            assert session.poll(20), f"{name} does not end"
            tell(name, session)
        elif settle(name, session):
            tell(name, session)
        else:
            session.waiting = True
            out.append(f"{name} waits")
        for other, waiter in sorted(sessions.items()):
            if waiter.waiting and other != name and settle(other, waiter):
                tell(other, waiter)
    for session in [*sessions.values(), control]:
        session.process.kill()
    return out


def record(path):
    setup, scenarios = [], []
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("setup "):
            setup.append(line[6:])
        elif line.startswith("scenario "):
            scenarios.append((line, []))
        else:
            scenarios[-1][1].append(line)
    out = []
    for title, lines in scenarios:
        out += [title, *run(lines, setup), ""]
    path.with_suffix(".out").write_text("\n".join(out))
    print(f"{path.stem}: {len(scenarios)} scenarios")


for path in sorted(HERE.glob("*.spec")):
    if not sys.argv[1:] or path.stem in sys.argv[1:]:
        record(path)
