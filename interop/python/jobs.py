"""What both clients share: jobs come in on standard input, one line of JSON goes out for each."""

import json
import sys
import urllib.request


def run(verbs):
    """Does each job; what it comes to is printed under the name of the job."""
    for job in json.load(sys.stdin):
        result = {"case": job["case"]}
        try:
            result |= verbs[job["do"]](job)
        except Exception as error:
            result["failed"] = raised(error)
        print(json.dumps(result), flush=True)


def raised(error):
    """An exception as the program that called the client sees it."""
    return {
        "class": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "message": str(error),
    }


def plain(event):
    """An event or an object as JSON, without what the client only made up."""
    return event.model_dump(mode="json", exclude_unset=True)


def collect(stream, most=None):
    """The events of a stream, at most so many, and what it raised."""
    events = []
    try:
        for event in stream:
            events.append(plain(event))
            if len(events) == most:
                break
    except Exception as error:
        return {"events": events, "raised": raised(error)}
    return {"events": events, "raised": None}


def post(job, path):
    """What any HTTP client does to stop an answer."""
    request = urllib.request.Request(job["base"] + path, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status
