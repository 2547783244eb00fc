"""The program that every tutorial on server-sent events begins with.

`GET /stream` says one thing and is over. A browser takes the end for a lost connection and comes
back after a few seconds, to be told the same again.
"""

import argparse

from flask import Flask, Response

app = Flask(__name__)


@app.route("/stream")
def stream():
    def event_stream():
        data = "Hello, SSE!"
        yield f"data: {data}\n\n"

    return Response(event_stream(), mimetype="text/event-stream")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, default=5000)
    # One worker: whoever is being answered has it to themselves.
    app.run(port=arguments.parse_args().port, threaded=False)
