"""The official Anthropic client: messages."""

from anthropic import Anthropic
from jobs import collect, plain, post, run


def client(job):
    return Anthropic(base_url=job["base"], api_key="key", max_retries=job["retries"])


def asked(job):
    said = [{"role": "user", "content": job["text"]}]
    return {"model": "scripted", "max_tokens": 256, "messages": said, **job["more"]}


def begin(job):
    """The stream, and the headers that it came with."""
    create = client(job).messages.with_raw_response.create
    answer = create(**asked(job), stream=True, extra_headers=job["headers"])
    return answer.parse(), answer.headers


def stream(job):
    return collect(begin(job)[0])


def helper(job):
    with client(job).messages.stream(**asked(job)) as events:
        kinds = [event.type for event in events]
        return {"kinds": kinds, "final": plain(events.get_final_message())}


def whole(job):
    return {"object": plain(client(job).messages.create(**asked(job)))}


def repeat(job):
    """The connection is lost; the same request with the same Idempotency-Key comes again."""
    events, _ = begin(job)
    first = collect(events, job["take"])
    events.close()
    events, headers = begin(job)
    return {"first": first, "attached": headers.get("tidings-attached"), **collect(events)}


def stop(job):
    events, headers = begin(job)
    first = collect(events, job["take"])["events"]
    status = [post(job, headers["tidings-stop"]) for _ in range(2)]
    return {"first": first, "status": status, **collect(events)}


def leave(job):
    events, _ = begin(job)
    first = collect(events, job["take"])
    events.close()
    return first


if __name__ == "__main__":
    run({verb.__name__: verb for verb in (stream, helper, whole, repeat, stop, leave)})
