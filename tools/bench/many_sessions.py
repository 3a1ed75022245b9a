#!/usr/bin/env python3
"""What sessions that do nothing cost those that work: pgbench with 32 clients alone, and beside 1,000 sessions with open
savepoints and 10,000 idle ones.

usage: many_sessions.py SOCKET_DIR PORT [--idle N] [--savepoints N] [--seconds S] [--rounds N]

Rounds with and without alternate. The server's max_connections must allow for all of them, and `ulimit -n` on both sides.
Needs psql and pgbench; tables of pgbench are made at scale 10.
"""
import argparse
import re
import resource
import socket
import statistics
import struct
import subprocess

SAVEPOINTS_EACH = 5


class Session:
    """A connection that says as little as it can."""

    def __init__(self, path, user, database):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        parameters = b"user\0" + user.encode() + b"\0database\0" + database.encode() + b"\0\0"
        self.socket.sendall(struct.pack("!ii", 8 + len(parameters), 196608) + parameters)
        self.until_ready()

    def until_ready(self):
        received = b""
        while True:
            while len(received) >= 5:
                kind, length = received[:1], struct.unpack("!i", received[1:5])[0]
                if len(received) < 1 + length:
                    break
                body, received = received[5 : 1 + length], received[1 + length :]
                if kind == b"E":
                    raise RuntimeError(body)
                if kind == b"Z":
                    return
            received += self.socket.recv(65536)

    def ask(self, sql):
        body = sql.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack("!i", 4 + len(body)) + body)
        self.until_ready()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("socket_dir")
    parser.add_argument("port")
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--savepoints", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    a = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    at = ["-h", a.socket_dir, "-p", a.port, "-U", "postgres"]
    path = f"{a.socket_dir}/.s.PGSQL.{a.port}"
    subprocess.run(["pgbench", "-i", "-q", "-s", "10", *at, "postgres"], check=True, capture_output=True)
    setup = "DROP TABLE IF EXISTS held; CREATE TABLE held (session int, n int)"
    subprocess.run(["psql", "-X", "-q", *at, "-c", setup, "postgres"], check=True, capture_output=True)

    def measure(options):
        run = ["pgbench", "-n", "-c", "32", "-j", "2", "-T", str(a.seconds), *options, *at, "postgres"]
        out = subprocess.run(run, check=True, capture_output=True, text=True).stdout
        return float(re.search(r"tps = ([\d.]+)", out).group(1))

    def crowd():
        sessions = []
        for number in range(a.savepoints):
            session = Session(path, "postgres", "postgres")
            session.ask("BEGIN")
            for n in range(SAVEPOINTS_EACH):
                session.ask(f"SAVEPOINT s{n}")
                session.ask(f"INSERT INTO held VALUES ({number}, {n})")
            sessions.append(session)
        sessions.extend(Session(path, "postgres", "postgres") for _ in range(a.idle))
        return sessions

    loads = {"select-only": ["-S", "-M", "prepared"], "simple-update": ["-N", "-M", "prepared"]}
    alone = {name: [] for name in loads}
    beside = {name: [] for name in loads}
    for _ in range(a.rounds):
        for name, options in loads.items():
            alone[name].append(measure(options))
        sessions = crowd()
        for name, options in loads.items():
            beside[name].append(measure(options))
        for session in sessions:
            session.socket.close()
    for name in loads:
        before, after = statistics.median(alone[name]), statistics.median(beside[name])
        print(f"{name}: {before:.0f} a second alone, {after:.0f} beside them ({after / before:.3f})")


main()
