#!/usr/bin/env python3
"""What permessage-deflate (RFC 7692) would buy and cost: bytes and microseconds per message, beside
the cost of sending the message as it is, in one run.

Needs Python 3 alone. Usage: bench/deflate.py [MESSAGES]   (20,000 unless given)
"""

import json
import random
import socket
import statistics
import sys
import threading
import time
import zlib

MESSAGES = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
RUNS = 5
# What a flush appends and permessage-deflate leaves out (RFC 7692, section 7.2.1).
TAIL = 4
WORDS = "the sea is never quite the same twice and nobody who has seen it says so".split()


def ticks(random_):
    price = 100.0
    for number in range(MESSAGES):
        price = max(1.0, price + random_.gauss(0, 0.05))
        symbol = f"SYM{random_.randrange(500):03}"
        volume = random_.randrange(900)
        yield json.dumps({"s": symbol, "p": round(price, 2), "v": volume, "n": number})


def chunks(random_):
    for _ in range(MESSAGES):
        delta = {"content": " " + random_.choice(WORDS)}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        yield json.dumps({"id": "chatcmpl-8f3kq", "object": "chat.completion.chunk",
                          "created": 1_795_000_000, "model": "smollm2", "choices": [choice]})


def deltas(random_):
    for _ in range(MESSAGES):
        yield json.dumps({"type": "text-delta", "id": "0", "delta": " " + random_.choice(WORDS)})


def deflated(messages, bits, keep):
    """Bytes and seconds per message. `keep`: the context lives on from message to message."""
    made, begin = 0, time.perf_counter()
    compressor = zlib.compressobj(6, zlib.DEFLATED, -bits)
    for message in messages:
        if not keep:
            compressor = zlib.compressobj(6, zlib.DEFLATED, -bits)
        out = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
        made += len(out) - TAIL
    return made / len(messages), (time.perf_counter() - begin) / len(messages)


def sent(messages):
    """Seconds per message for one send on the loopback, which is what there is to be saved."""
    near, far = socket.socketpair()
    reader = threading.Thread(target=lambda: [None for _ in iter(lambda: far.recv(1 << 20), b"")])
    reader.start()
    begin = time.perf_counter()
    for message in messages:
        near.sendall(message)
    took = (time.perf_counter() - begin) / len(messages)
    near.close()
    reader.join()
    return took


def main():
    print(f"{MESSAGES:,} messages each, level 6, medians of {RUNS} runs; zlib {zlib.ZLIB_VERSION}")
    print(f"{'':16}{'as it is':>18}{'context kept':>20}{'512 B window':>20}{'no context':>20}")
    for name, make in (("stock tick", ticks), ("LLM chunk", chunks), ("LLM delta", deltas)):
        messages = [text.encode() for text in make(random.Random(7))]
        size = statistics.mean(map(len, messages))
        send = statistics.median(sent(messages) for _ in range(RUNS)) * 1e6
        cells = [f"{size:7.0f} B {send:5.1f} µs"]
        for bits, keep in ((15, True), (9, True), (15, False)):
            runs = [deflated(messages, bits, keep) for _ in range(RUNS)]
            took = statistics.median(seconds for _, seconds in runs) * 1e6
            cells.append(f"{runs[0][0]:7.0f} B {took:5.1f} µs")
        print(f"{name:16}{cells[0]:>18}" + "".join(f"{cell:>20}" for cell in cells[1:]))
    # zlib.h: (1 << (windowBits + 2)) + (1 << (memLevel + 9)), memLevel 8.
    print("memory of one compressor: 256 KiB, with a window of 512 B 130 KiB")


if __name__ == "__main__":
    main()
