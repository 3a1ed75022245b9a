#!/usr/bin/env python3
"""Opens many connections over a unix socket, half of them inside a transaction that holds a row lock and a snapshot, kills
them all at once, and measures how long locks and memory take to come back.

usage: connections.py SOCKET_DIRECTORY PORT SERVER_PID [CONNECTIONS]
The server wants max_connections and open files (ulimit -n) to match.
"""
import os
import signal
import socket
import struct
import sys
import time

directory, port, server = sys.argv[1], sys.argv[2], int(sys.argv[3])
count = int(sys.argv[4]) if len(sys.argv) > 4 else 10_000
path = f"{directory}/.s.PGSQL.{port}"


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


def read_until(sock, mark):
    answer = b""
    while mark not in answer:
        piece = sock.recv(65536)
        if not piece:
            raise SystemExit(f"closed: {answer!r}")
        answer += piece
    return answer


def connect():
    sock = socket.socket(socket.AF_UNIX)
    while True:
        try:
            sock.connect(path)
            break
        except BlockingIOError:
            time.sleep(0.001)
    body = struct.pack("!I", 196608) + b"user\0postgres\0database\0postgres\0\0"
    sock.sendall(struct.pack("!I", len(body) + 4) + body)
    read_until(sock, b"Z\0\0\0\x05I")
    return sock


def query(sock, text, status=b"I"):
    sock.sendall(message(b"Q", text.encode() + b"\0"))
    return read_until(sock, b"Z\0\0\0\x05" + status)


def number(answer):
    at = answer.index(b"D\0\0\0")
    length = struct.unpack("!I", answer[at + 7:at + 11])[0]
    return int(answer[at + 11:at + 11 + length])


def resident():
    with open(f"/proc/{server}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def main():
    watch = connect()
    query(watch, "drop table if exists held; create table held as select i, 0 as n from "
                 f"generate_series(1, {count}) as i; create unique index on held (i)")
    before = resident()
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        held = []
        for i in range(count - 1):
            sock = connect()
            if i % 2 == 0:
                query(sock, f"begin isolation level repeatable read; update held set n = 1 where i = {i + 1}", b"T")
            held.append(sock)
        os.write(told, b"x")
        time.sleep(3600)
    start = time.monotonic()
    os.read(ready, 1)
    print(f"connections,{count - 1},")
    print(f"opened_in,{time.monotonic() - start:.1f},s")
    print(f"memory_each,{(resident() - before) / (count - 1):.1f},KiB")
    locks = "select count(*) from pg_locks where pid <> pg_backend_pid()"
    print(f"locks_held,{number(query(watch, locks))},")
    start = time.monotonic()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while number(query(watch, locks)) > 0:
        pass
    print(f"locks_back_after,{time.monotonic() - start:.2f},s")
    sessions = "select count(*) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'"
    while number(query(watch, sessions)) > 0:
        pass
    print(f"sessions_gone_after,{time.monotonic() - start:.2f},s")
    query(watch, "update held set n = 2 where i <= 10")
    time.sleep(max(0, 1 - (time.monotonic() - start)))
    print(f"memory_left_after_1s,{(resident() - before) / 1024:.1f},MiB")


main()
