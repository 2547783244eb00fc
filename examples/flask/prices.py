"""The same program with a stream that goes on: a price a second, each with an id.

The id is the number of the price. Whoever comes back says the last one it had (`Last-Event-ID`) and
gets those that it has missed, also if this program was restarted meanwhile: a price can be worked
out again from its number, as it would be read from a database.
"""

import argparse
import hashlib
import time

from flask import Flask, Response, request

# Prices that somebody who comes back can have missed.
MISSED_MAX = 10_000

app = Flask(__name__)


def price(number):
    """Between 90.00 and 110.00, by chance, and always the same for the same number."""
    drawn = int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:4], "big")
    return 90 + 20 * drawn / 2**32


def current(every):
    """The number of the price that holds now."""
    return int(time.time() / every)


@app.route("/stream")
def stream():
    every = app.config["EVERY"]
    # What a generator needs of the request must be taken out of it before the answer begins.
    last = request.headers.get("Last-Event-ID", "")

    def event_stream():
        number = current(every)
        if last.isdecimal():
            number = max(int(last) + 1, number - MISSED_MAX)
        while True:
            # The one that is to come, when its time has come.
            time.sleep(max(0, number * every - time.time()))
            yield f"id: {number}\ndata: {number} {price(number):.2f}\n\n"
            number += 1

    return Response(event_stream(), mimetype="text/event-stream")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two prices")
    arguments = parser.parse_args()
    app.config["EVERY"] = arguments.every
    # One worker: a viewer who is watching has it to themselves, and everybody else waits.
    app.run(port=arguments.port, threaded=False)
