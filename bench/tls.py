#!/usr/bin/env python3
"""What a subscriber costs over TLS and over HTTP/2: memory while it is idle, CPU for each delivery.
Beside them the same over plain HTTP, and nginx with nchan over TLS if it is installed, in one run.

Needs Python 3, openssl and target/release/tidings.
Usage: bench/tls.py [SUBSCRIBERS] [RUNS]   (1,000 and 3 unless given)
What it prints is kept in bench/results/tls.md, which `tidings bench` puts below its own results.
"""

import collections
import os
import pathlib
import selectors
import signal
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

SUBSCRIBERS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
RUNS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
# Events published one after the other, so many in a second.
EVENTS, PER_SECOND = 50, 10
DATA = b"x" * 100
STREAMS = 100
PATIENCE_S = 30
# Memory has settled when so many looks in a row, so far apart, lie so close together.
SETTLED_LOOKS, SETTLED_PAUSE_S, SETTLED_BYTES = 10, 0.1, 32 << 10
SERVER_CPU, LOAD_CPU = 0, 1
NCHAN = pathlib.Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Contender:
    """A server in a process of its own."""

    def __init__(self, folder, name, protocol):
        self.name, self.protocol, self.folder = name, protocol, folder
        self.port, self.tls = free_port(), protocol != "plain"
        command = self.nchan() if name == "nchan" else self.tidings()
        self.process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CPU), *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                assert time.monotonic() < deadline, f"{name} does not listen"
                time.sleep(0.05)

    def tidings(self):
        files = ["--tls-certificate", f"{self.folder}/cert.pem", "--tls-key", f"{self.folder}/key.pem"]
        return [
            "target/release/tidings", "serve", "--anonymous", "subscribe,publish",
            "--listen", f"127.0.0.1:{self.port}", "--heartbeat", "5m",
            "--data-dir", f"{self.folder}/data-{self.port}", *(files if self.tls else []),
        ]

    def nchan(self):
        configuration = pathlib.Path(self.folder, "nginx.conf")
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration.write_text(
            f"load_module {NCHAN};daemon off;worker_processes 1;worker_rlimit_nofile 20000;"
            f"pid {self.folder}/nginx.pid;error_log {self.folder}/error.log;"
            "events { worker_connections 19000; multi_accept on; }"
            f"http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; {temporary}"
            "nchan_shared_memory_size 512M;"
            f"server {{ listen 127.0.0.1:{self.port} ssl backlog=4096;"
            f"ssl_certificate {self.folder}/cert.pem; ssl_certificate_key {self.folder}/key.pem;"
            "location ~ ^/topics/(.+)$ { nchan_pubsub; nchan_channel_id $1;"
            "nchan_message_buffer_length 1000; nchan_subscriber_first_message newest; } } }"
        )
        return ["nginx", "-c", str(configuration), "-e", f"{self.folder}/error.log"]

    def processes(self):
        own = self.process.pid
        listed = pathlib.Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return [own, *map(int, listed)]

    def memory(self):
        """Proportional set size of all its processes, in bytes."""
        total = 0
        for pid in self.processes():
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total

    def settled_memory(self):
        """The same, once it stays as it is: what setting up has left over is given back by then."""
        looks, deadline = [], time.monotonic() + PATIENCE_S
        while len(looks) < SETTLED_LOOKS or max(looks) - min(looks) > SETTLED_BYTES:
            assert time.monotonic() < deadline, f"{self.name}: memory does not settle: {looks}"
            time.sleep(SETTLED_PAUSE_S)
            looks = [*looks, self.memory()][-SETTLED_LOOKS:]
        return looks[-1]

    def cpu(self):
        """What the scheduler has given its threads, in seconds."""
        total = 0
        for pid in self.processes():
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def connect(self, alpn="http/1.1"):
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.tls:
            return connection
        context = ssl._create_unverified_context()
        context.set_alpn_protocols([alpn])
        return context.wrap_socket(connection)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


HEAD = b"".join(
    literal(name, value)
    for name, value in (
        (b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/topics/t"),
        (b":authority", b"bench"), (b"accept", b"text/event-stream"),
    )
)


def await_heads(connection, count):
    """Reads until so many streams of HTTP/2 are answered."""
    came = b""
    while count > 0:
        while len(came) < 9 or len(came) < 9 + int.from_bytes(came[:3], "big"):
            part = connection.recv(1 << 16)
            assert part, "the connection ended"
            came += part
        count -= came[3] == 1
        came = came[9 + int.from_bytes(came[:3], "big"):]


def subscribe(server):
    """The connections of all subscribers, each with its head read."""
    connections = []
    if server.protocol == "h2":
        for _ in range(SUBSCRIBERS // STREAMS):
            connection = server.connect("h2")
            settings = struct.pack(">HI", 4, 1 << 30)
            window = frame(8, 0, 0, struct.pack(">I", 1 << 30))
            connection.sendall(PREFACE + frame(4, 0, 0, settings) + window + frame(4, 1, 0))
            for number in range(STREAMS):
                connection.sendall(frame(1, 5, number * 2 + 1, HEAD))
            await_heads(connection, STREAMS)
            connections.append(connection)
        return connections
    request = b"GET /topics/t HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n"
    for _ in range(SUBSCRIBERS):
        connection = server.connect()
        connection.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        assert head.startswith(b"HTTP/1.1 200"), head
        connections.append(connection)
    return connections


class Readers(threading.Thread):
    """Counts the events that come, wherever the bytes are cut."""

    def __init__(self, connections):
        super().__init__(daemon=True)
        self.selector, self.events, self.over = selectors.DefaultSelector(), 0, False
        self.tails = collections.defaultdict(bytes)
        for connection in connections:
            connection.setblocking(False)
            self.selector.register(connection, selectors.EVENT_READ)

    def run(self):
        while not self.over:
            for key, _ in self.selector.select(0.1):
                connection = key.fileobj
                while True:
                    try:
                        data = connection.recv(1 << 16)
                    except (ssl.SSLWantReadError, BlockingIOError):
                        break
                    assert data, "a subscriber was let go"
                    whole = self.tails[connection] + data
                    self.events += whole.count(DATA)
                    at = whole.rfind(DATA)
                    rest = whole[at + len(DATA):] if at >= 0 else whole
                    self.tails[connection] = rest[-len(DATA) - 8:]


def publish(connection):
    connection.sendall(
        b"POST /topics/t HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n" % len(DATA) + DATA
    )
    answer = connection.recv(4096)
    assert answer[9:10] == b"2", answer


def until(events, readers):
    deadline = time.monotonic() + PATIENCE_S
    while readers.events < events:
        assert time.monotonic() < deadline, f"{readers.events} of {events} events came"
        time.sleep(0.005)


def measure(folder, name, protocol):
    server = Contender(folder, name, protocol)
    try:
        publisher = server.connect()
        publish(publisher)
        before = server.settled_memory()
        connections = subscribe(server)
        readers = Readers(connections)
        readers.start()
        memory = (server.settled_memory() - before) / SUBSCRIBERS
        already = readers.events
        began = server.cpu()
        due = time.monotonic()
        for _ in range(EVENTS):
            publish(publisher)
            due += 1 / PER_SECOND
            time.sleep(max(0, due - time.monotonic()))
        until(already + EVENTS * SUBSCRIBERS, readers)
        cpu = (server.cpu() - began) / (EVENTS * SUBSCRIBERS)
        assert readers.events == already + EVENTS * SUBSCRIBERS, "an event came twice"
        readers.over = True
        readers.join()
        return memory, cpu
    finally:
        server.stop()


def main():
    os.sched_setaffinity(0, {LOAD_CPU})
    for key in [key for key in os.environ if key.startswith("TIDINGS_")]:
        del os.environ[key]
    contenders = [("tidings", "plain"), ("tidings", "tls"), ("tidings", "h2")]
    if NCHAN.exists():
        contenders.append(("nchan", "tls"))
    results, began = collections.defaultdict(list), time.time()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=bench",
             "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
            check=True, stderr=subprocess.DEVNULL,
        )
        for _ in range(RUNS):
            for contender in contenders:
                results[contender].append(measure(folder, *contender))
    print("## tls\n")
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(began))}, ", end="")
    print(f"`bench/tls.py {SUBSCRIBERS} {RUNS}`, the server on one core, the readers on another\n")
    print(f"{SUBSCRIBERS} subscribers, {EVENTS} events of {len(DATA)} B at {PER_SECOND}/s, ", end="")
    print(f"medians of {RUNS} runs (lowest–highest)\n")
    print("| server | over | memory, idle subscriber | CPU, delivery |")
    print("|---|---|---:|---:|")
    for (name, protocol), runs in results.items():
        texts = []
        for values, scale, unit in ((0, 1 / 1024, "KiB"), (1, 1e6, "µs")):
            values = sorted(run[values] * scale for run in runs)
            middle = statistics.median(values)
            texts.append(f"{middle:.2f} {unit} ({values[0]:.2f}–{values[-1]:.2f})")
        print(f"| {name} | {protocol} | {texts[0]} | {texts[1]} |")


if __name__ == "__main__":
    main()
