"""An ASGI app without a framework that the end-to-end tests run: it starts at once and does what the path says."""

import asyncio
import os
from typing import Any

VERSION = "one"
PARTS = 15


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    match scope["path"].rpartition("/")[2]:
        case "slow":  # some 1.5 s in parts
            for number in range(PARTS):
                await send({"type": "http.response.body", "body": b"part %d\n" % number, "more_body": True})
                await asyncio.sleep(0.1)
            await send({"type": "http.response.body", "body": b"end\n"})
        case "endless":
            while True:
                await send({"type": "http.response.body", "body": b"more\n", "more_body": True})
                await asyncio.sleep(0.1)
        case _:
            await send({"type": "http.response.body", "body": f"{VERSION} {os.getpid()}\n".encode()})
