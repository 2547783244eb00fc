"""Python clients, driven by ./python.mjs.

Each line of the standard input is a command: {"key", "client", "url"} begins to follow a URL,
{"key"} alone leaves it. Each line of the standard output says what came: {"key", "what", "event"}.
"""

import asyncio
import json
import sys
import threading

import aiohttp
import httpx
import requests
import sseclient
from aiohttp_sse_client import client as aiohttp_sse_client
from httpx_sse import aconnect_sse

lock = threading.Lock()


def tell(key, what, event=None):
    with lock:
        print(json.dumps({"key": key, "what": what, "event": event}), flush=True)


async def follow_httpx_sse(key, url):
    async with httpx.AsyncClient(timeout=None) as client:
        async with aconnect_sse(client, "GET", url) as source:
            async for event in source.aiter_sse():
                tell(key, "event", {"type": event.event, "data": event.data, "id": event.id})


async def follow_aiohttp(key, url):
    async with aiohttp.ClientSession() as session:
        forever = aiohttp.ClientTimeout()
        lost = lambda: tell(key, "lost")
        source = aiohttp_sse_client.EventSource(
            url, session=session, timeout=forever, on_error=lost
        )
        async with source:
            async for event in source:
                kind = event.type or "message"
                kept = {"type": kind, "data": event.data, "id": event.last_event_id}
                tell(key, "event", kept)


async def follow_sseclient(key, url):
    def read():
        with requests.get(url, stream=True, headers={"Accept": "text/event-stream"}) as response:
            for event in sseclient.SSEClient(response).events():
                # The id of its own block, or none.
                tell(key, "event", {"type": event.event, "data": event.data, "id": event.id})

    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def run():
        try:
            read()
        except Exception as error:
            print(error, file=sys.stderr)
        loop.call_soon_threadsafe(lambda: done.done() or done.set_result(None))

    threading.Thread(target=run, daemon=True).start()
    await done


FOLLOW = {
    "httpx-sse": follow_httpx_sse,
    "aiohttp-sse-client": follow_aiohttp,
    "sseclient-py": follow_sseclient,
}


async def follow(key, name, url):
    try:
        await FOLLOW[name](key, url)
    except Exception as error:
        print(name, type(error).__name__, error, file=sys.stderr)
    finally:
        tell(key, "closed")


async def main():
    loop = asyncio.get_running_loop()
    tasks = {}
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        key = command["key"]
        if "url" in command:
            tasks[key] = loop.create_task(follow(key, command["client"], command["url"]))
        elif key in tasks:
            tasks.pop(key).cancel()


asyncio.run(main())
