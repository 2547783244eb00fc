"""The official OpenAI client: chat completions and responses."""

from jobs import collect, plain, post, run
from openai import OpenAI


def client(job):
    return OpenAI(base_url=job["base"] + "/v1", api_key="key", max_retries=job["retries"])


def resource(job, of):
    return of.chat.completions if job["api"] == "chat" else of.responses


def asked(job):
    said = [{"role": "user", "content": job["text"]}]
    what = {"messages": said} if job["api"] == "chat" else {"input": said}
    return {"model": "scripted", **what, **job["more"]}


def begin(job, of):
    """The stream, and the headers that it came with."""
    create = resource(job, of).with_raw_response.create
    answer = create(**asked(job), stream=True, extra_headers=job["headers"])
    return answer.parse(), answer.headers


def stream(job):
    events, _ = begin(job, client(job))
    return collect(events)


def helper(job):
    of = client(job)
    with resource(job, of).stream(**asked(job)) as events:
        kinds = [event.type for event in events]
        if job["api"] == "chat":
            return {"kinds": kinds, "final": plain(events.get_final_completion())}
        return {"kinds": kinds, "final": plain(events.get_final_response())}


def whole(job):
    return {"object": plain(resource(job, client(job)).create(**asked(job)))}


def repeat(job):
    """The connection is lost; the same request with the same Idempotency-Key comes again."""
    of = client(job)
    events, _ = begin(job, of)
    first = collect(events, job["take"])
    events.close()
    events, headers = begin(job, of)
    return {"first": first, "attached": headers.get("tidings-attached"), **collect(events)}


def retrieve(job):
    """The connection is lost; the rest is fetched by the number of the last event."""
    of = client(job)
    events, _ = begin(job, of)
    first = collect(events, job["take"])["events"]
    events.close()
    answer, last = first[0]["response"]["id"], first[-1]["sequence_number"]
    rest = collect(of.responses.retrieve(answer, stream=True, starting_after=last))
    state = plain(of.responses.retrieve(answer))["status"]
    return {"events": first + rest["events"], "raised": rest["raised"], "status": state}


def cancel(job):
    of = client(job)
    events, _ = begin(job, of)
    first = collect(events, job["take"])["events"]
    cancelled = of.responses.cancel(first[0]["response"]["id"])
    again = of.responses.cancel(first[0]["response"]["id"])
    rest = collect(events)
    return {"first": first, "status": [cancelled.status, again.status], **rest}


def stop(job):
    events, headers = begin(job, client(job))
    first = collect(events, job["take"])["events"]
    status = [post(job, headers["tidings-stop"]) for _ in range(2)]
    return {"first": first, "status": status, **collect(events)}


def leave(job):
    events, _ = begin(job, client(job))
    first = collect(events, job["take"])
    events.close()
    return first


if __name__ == "__main__":
    run({verb.__name__: verb for verb in
         (stream, helper, whole, repeat, retrieve, cancel, stop, leave)})
