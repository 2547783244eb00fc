#!/usr/bin/env python3
"""Whether the time of a refusal tells that a topic exists which the caller may not know.

Asks about topics that exist and topics that do not, by turns in a random order, with a token that
grants neither, over one connection and over eight. For each kind of request: the quantiles of both,
the difference of the medians with its 95 % interval (bootstrap), and beside it the noise: the same
difference between two halves of the answers about topics that do not exist. The last kind is a
control, with a token that may know: there a difference is expected, and shows that one is seen.

Needs Python 3 and a binary. Usage: bench/timing.py [BINARY] [REQUESTS]
(target/release/tidings and 20,000 of each kind unless given)
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BINARY = sys.argv[1] if len(sys.argv) > 1 else "target/release/tidings"
REQUESTS = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
SECRET = b"a secret of forty letters, for tests only"
CONNECTIONS = 8
# Topics of each sort: the same few would be in every cache.
NAMES = 200
DRAWS = 4_000
PATIENCE_S = 30
SERVER_CPU, LOAD_CPU = 0, 1


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(grants):
    claims = {"sub": "ada", "exp": int(time.time()) + 3_600, "tidings": grants}
    parts = [base64url(json.dumps(part).encode()) for part in ({"alg": "HS256"}, claims)]
    signed = b".".join(parts)
    return (signed + b"." + base64url(hmac.digest(SECRET, signed, hashlib.sha256))).decode()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    def __init__(self, folder):
        self.port = free_port()
        (folder / "secret").write_bytes(SECRET)
        (folder / "tidings.toml").write_text(
            f'[[issuer]]\nalgorithms = ["HS256"]\nsecret_file = "{folder}/secret"\n'
        )
        listen = f"127.0.0.1:{self.port}"
        command = [BINARY, "serve", "--config", "tidings.toml", "--listen", listen]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TIDINGS_")}
        self.process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CPU), *command, "--data-dir", f"{folder}/data"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment,
        )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "the server does not listen"
                time.sleep(0.02)

    def connect(self):
        conn = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return conn


def http(method, query, headers, body=b""):
    """Asks about a name over a connection; the time until the answer is there, in µs."""
    length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""

    def ask(conn, name):
        head = f"{method} /topics/{name}{query} HTTP/1.1\r\nHost: x\r\n{headers}{length}\r\n"
        request = head.encode() + body
        begin = time.perf_counter_ns()
        conn.sendall(request)
        answer = conn.recv(65_536)
        while not is_whole(answer, method):
            answer += conn.recv(65_536)
        took = time.perf_counter_ns() - begin
        return took / 1_000, answer[9:12].decode()

    return ask


def is_whole(answer, method):
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    length = int(lower[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return method == "HEAD" or len(body) >= length


def websocket(conn, name):
    message = json.dumps({"op": "subscribe", "sub": "s", "topics": [name]}).encode()
    # A mask of nothing changes nothing (RFC 6455, section 5.3).
    frame = bytes([0x81, 0x80 | len(message)]) + bytes(4) + message
    begin = time.perf_counter_ns()
    conn.sendall(frame)
    answer = conn.recv(65_536)
    while len(answer) < 4 or len(answer) < 4 + int.from_bytes(answer[2:4], "big"):
        answer += conn.recv(65_536)
    took = time.perf_counter_ns() - begin
    return took / 1_000, str(json.loads(answer[4:])["problem"]["status"])


def upgrade(conn, bearer):
    conn.sendall(
        f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n{bearer}"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Protocol: tidings.v1.json\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += conn.recv(1)
    assert answer.startswith(b"HTTP/1.1 101"), answer


def measure(ask, conns, exists, absent, wanted):
    """The times of both sorts, each asked about in turn with the other."""
    times = ([], [])
    warm = REQUESTS // 20
    for number in range(REQUESTS + warm):
        pair = [(0, random.choice(exists)), (1, random.choice(absent))]
        random.shuffle(pair)
        for sort, name in pair:
            took, status = ask(random.choice(conns), name)
            assert status == wanted[sort], f"{name}: {status}"
            if number >= warm:
                times[sort].append(took)
    return times


def difference(one, other):
    """Of the medians, and its 95 % interval. The median of a sample drawn anew from n values is the
    one at a rank that is distributed as Beta(n/2, n/2)."""
    one, other = sorted(one), sorted(other)

    def drawn(values):
        half = len(values) / 2
        return values[min(int(random.betavariate(half, half) * len(values)), len(values) - 1)]

    draws = sorted(drawn(one) - drawn(other) for _ in range(DRAWS))
    middle = statistics.median(one) - statistics.median(other)
    return middle, draws[int(DRAWS * 0.025)], draws[int(DRAWS * 0.975)]


def row(kind, connections, times):
    exists, absent = times
    cells = [kind, str(connections)]
    for values in times:
        cut = statistics.quantiles(values, n=100)
        cells.append(" / ".join(f"{cut[at - 1]:.1f}" for at in (10, 50, 90, 99)))
    halves = list(absent)
    random.shuffle(halves)
    middle = len(halves) // 2
    for middle, low, high in (
        difference(exists, absent),
        difference(halves[:middle], halves[middle:]),
    ):
        cells.append(f"{middle:+.2f} ({low:+.2f} to {high:+.2f})")
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    os.sched_setaffinity(0, {LOAD_CPU})
    with tempfile.TemporaryDirectory(prefix="tidings-timing-") as folder:
        server = Server(pathlib.Path(folder))
        try:
            run(server)
        finally:
            server.process.terminate()
            server.process.wait(PATIENCE_S)


def run(server):
    names = random.sample(range(10**9, 10**10), 2 * NAMES)
    exists = [f"secret/{name}" for name in names[:NAMES]]
    absent = [f"secret/{name}" for name in names[NAMES:]]
    bearer = lambda grants: f"Authorization: Bearer {token(grants)}\r\n"
    publisher = bearer({"publish": ["**"]})
    make = http("POST", "", publisher, b"x")
    conn = server.connect()
    for name in exists:
        assert make(conn, name)[1] == "200"
    stranger = bearer({"publish": ["chat/*"], "subscribe": ["chat/*"]})
    reader = bearer({"subscribe": ["secret/*"]})
    stream, page = "Accept: text/event-stream\r\n", "Accept: application/json\r\n"
    refused = ("403", "403")
    kinds = [
        ("GET, a stream", http("GET", "", stream + stranger), refused),
        ("GET, history", http("GET", "?earliest", page + stranger), refused),
        ("GET, long poll", http("GET", "?poll=0", page + stranger), refused),
        ("HEAD", http("HEAD", "", stranger), refused),
        ("POST", http("POST", "", stranger, b"x"), refused),
        ("WebSocket `subscribe`", websocket, refused),
        ("HEAD, who may know (control)", http("HEAD", "", reader), ("200", "404")),
    ]
    print(f"{REQUESTS} requests of each sort; µs; p10 / median / p90 / p99\n")
    print("| request | connections | exists | does not | difference | noise |")
    print("|---|---|---|---|---|---|")
    for kind, ask, wanted in kinds:
        for connections in (1, CONNECTIONS):
            conns = [server.connect() for _ in range(connections)]
            if ask is websocket:
                for conn in conns:
                    upgrade(conn, stranger)
            row(kind, connections, measure(ask, conns, exists, absent, wanted))
            for conn in conns:
                conn.close()


if __name__ == "__main__":
    main()
