"""An ASGI app without dependencies whose behaviour is chosen in behaviour.json, which makes another release of it.

good; errors (each tenth answer is 500); ill (its health check fails); broken (it cannot be imported).
"""

import asyncio
import json
import os
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

CHOSEN = json.loads(Path(__file__).with_name("behaviour.json").read_text())
BEHAVIOUR, VERSION = CHOSEN["behaviour"], CHOSEN["version"]
EVENTS = 20
EVENT_EVERY_S = 0.1

if BEHAVIOUR == "broken":
    sys.stderr.write("the reason why it cannot start\n")
    raise SystemExit(3)

_asked = count(1)


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    path = scope["path"]
    if path == "/healthz":
        await _answer(send, 503 if BEHAVIOUR == "ill" else 200, "health")
    elif path == "/stream":
        await _stream(send)
    elif path == "/environment":
        names = ("TOKEN", "SHIPWAY_RELEASE", "SHIPWAY_SERVICE", "PORT")
        await _answer(send, 200, json.dumps({name: os.environ.get(name) for name in names}))
    elif path == "/models":
        await _answer(send, 200, await asyncio.to_thread(_fetched, f"{os.environ['OPENAI_BASE_URL']}/models"))
    elif path == "/other":
        await _answer(send, 200, await asyncio.to_thread(_fetched, f"{os.environ['SHIPWAY_URL_BACK_END']}/environment"))
    elif path == "/slow":
        await asyncio.sleep(1.0)
        await _answer(send, 200, "ok slow")
    elif BEHAVIOUR == "errors" and next(_asked) % 10 == 0:
        await _answer(send, 500, "an error")
    else:
        await _answer(send, 200, f"ok {VERSION} {os.getpid()}")


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _fetched(url: str) -> str:
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {os.environ.get('OPENAI_API_KEY')}"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(answer.read().decode())


async def _answer(send: Send, status: int, body: str) -> None:
    data = body.encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def _stream(send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(EVENTS):
        await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
        await asyncio.sleep(EVENT_EVERY_S)
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
