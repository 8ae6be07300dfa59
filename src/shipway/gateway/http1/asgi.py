"""An ordinary ASGI application behind a listener of this package: the admin API and whatever else is not proxied."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from shipway.gateway.http1.exchange import BodyTooLarge, ClientGone, Exchange

Message = MutableMapping[str, Any]
AsgiApp = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

MAX_BODY_BYTES = 1024 * 1024
_BODY_TOO_LARGE = b"the request body is larger than this API takes\n"


async def serve_asgi(app: AsgiApp, exchange: Exchange, fields: bytes = b"") -> None:
    """Answer *exchange* with *app*; the request body is read whole, at most `MAX_BODY_BYTES`.

    Args:
        fields: Complete header lines that every response gets.
    """
    try:
        body = await exchange.read_body(MAX_BODY_BYTES)
    except BodyTooLarge:
        exchange.respond(413, b"Content-Type: text/plain\r\n" + fields, _BODY_TOO_LARGE)
        return
    except (ClientGone, asyncio.CancelledError):
        return
    head = exchange.head
    path, _, query = head.target.partition(b"?")
    headers = [(lower, value) for lower, _, value in head.passed_on]
    headers.append((b"host", head.host))
    if head.authorization is not None:
        headers.append((b"authorization", head.authorization))
    if body:
        headers.append((b"content-length", str(len(body)).encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.0" if head.http_1_0 else "1.1",
        "method": head.method.decode("ascii"),
        "scheme": exchange.connection.scheme.decode(),
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": (exchange.connection.client_host.decode(), 0),
        "server": None,
    }
    received = False

    async def receive() -> Message:
        nonlocal received
        if received:
            await asyncio.Event().wait()  # until the client leaves and this task is cancelled
        received = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", ())]
            length = next((int(value) for name, value in sent if name == b"content-length"), None)
            lines = b"".join(b"%b: %b\r\n" % field for field in sent if field[0] != b"content-length")
            exchange.begin(int(message["status"]), lines + fields, length)
        elif message["type"] == "http.response.body":
            if head.method != b"HEAD":
                exchange.write(bytes(message.get("body", b"")))
            if not message.get("more_body", False):
                exchange.end()

    await app(scope, receive, send)
