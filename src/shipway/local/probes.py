"""How to see that a child can answer. A probe returns when it can, and raises when it cannot."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Protocol

from shipway.local.addresses import Address

_MAX_ANSWER_BYTES = 1024 * 1024


class ProbeError(Exception):
    """The child cannot answer, and why."""


class Probe(Protocol):
    """Raises ProbeError, OSError or asyncio's errors of reading when the child at *address* cannot answer."""

    async def __call__(self, address: Address) -> None: ...


@dataclass(frozen=True, slots=True)
class AcceptsConnections:
    """The port accepts a connection."""

    def __str__(self) -> str:
        return "a connection"

    async def __call__(self, address: Address) -> None:
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.close()


@dataclass(frozen=True, slots=True)
class AnswersHttp:
    """GET *path* is answered with 2xx."""

    path: str

    def __str__(self) -> str:
        return f"GET {self.path}"

    async def __call__(self, address: Address) -> None:
        await _ask(address, "GET", self.path)


@dataclass(frozen=True, slots=True)
class GeneratesToken:
    """The model server generates one token, or is busy generating for others.

    `/slots` is answered by the loop that also generates, so it tells a live server with all slots taken from a stuck
    one. Asking such a server for a token would wait behind long answers and restart a server that does its work.
    """

    def __str__(self) -> str:
        return "one token"

    async def __call__(self, address: Address) -> None:
        await _ask(address, "GET", "/health")
        slots = json.loads(await _ask(address, "GET", "/slots"))
        if any(slot["is_processing"] for slot in slots):
            return
        answer = json.loads(await _ask(address, "POST", "/v1/completions", {"prompt": "Hi", "max_tokens": 1}))
        if answer["usage"]["completion_tokens"] != 1:
            raise ProbeError("the model server generated nothing")


async def _ask(address: Address, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
    """The body of a 2xx answer. A client of our own: the app's environment need not have any, and this is all of it."""
    content = json.dumps(body).encode() if body is not None else b""
    head = (
        f"{method} {path} HTTP/1.0\r\nHost: {address}\r\nUser-Agent: shipway-probe\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(head.encode() + content)
        status_line = await reader.readline()
        status = int(status_line.split(None, 2)[1])
        if not 200 <= status < 300:
            raise ProbeError(f"{method} {path} was answered with {status}")
        while (await reader.readline()).strip():
            pass
        return await _read_body(reader) if body is not None or path == "/slots" else b""
    except (ValueError, IndexError) as error:
        raise ProbeError(f"{method} {path} was not answered in HTTP") from error
    finally:
        writer.close()


async def _read_body(reader: asyncio.StreamReader) -> bytes:
    """All up to the end of the connection, however many pieces it comes in."""
    body = b""
    while (piece := await reader.read(_MAX_ANSWER_BYTES)) and len(body) < _MAX_ANSWER_BYTES:
        body += piece
    return body
