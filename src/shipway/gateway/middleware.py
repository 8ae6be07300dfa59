"""The gateway inside an app: the same admission, metrics and log around any ASGI application.

For a monolith or a function that has no process in front of it. It decides from the head of a request and passes everything
else through as it comes; models and other services are not its business.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipway.gateway.admission import Admission, Credential, Principal
from shipway.gateway.call import request_id_for
from shipway.gateway.compiling import admission_of
from shipway.gateway.refusals import (
    AMBIGUOUS_PATH,
    BODY_TOO_LARGE,
    MISSING_KEY,
    Refusal,
    Refused,
    as_problem,
    bad_field,
)
from shipway.gateway.routing import AmbiguousPath, Route, RouteTable, plain_path
from shipway.gateway.serve import keys_from
from shipway.gateway.snapshot import LiveLimits
from shipway.gateway.telemetry import Telemetry
from shipway.monitoring import metrics
from shipway.monitoring.background_writer import unbuffered
from shipway.monitoring.exposition import render
from shipway.monitoring.logging import AccessLog, AccessRecord, LogFormat
from shipway.monitoring.process import read_process_at_scrape
from shipway.spec.load import load_app

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_CREDENTIALS = frozenset((b"authorization", b"x-api-key"))
_TWO_CREDENTIALS = bad_field(None, "A credential was sent twice.")


class Gateway:
    """An ASGI application that admits requests to *app*.

    Keys come from `SHIPWAY_API_KEYS`, limits, open routes and the largest body from the app file. A path under no route
    needs a key. As behind the gateway's process, the app gets the request id in `x-request-id`, and the key of a closed route
    stays here.

    Args:
        folder: Where the app file is, or the file itself.
        log_format: Of the line that each request leaves on standard output; None for no log.
    """

    def __init__(
        self,
        app: AsgiApp,
        folder: str | Path = ".",
        *,
        environment: str = "dev",
        environ: Mapping[str, str] = os.environ,
        log_format: LogFormat | None = "json",
    ) -> None:
        """Raises: AppFileError."""
        described = load_app(Path(folder), environment)
        self._app = app
        self._admission: Admission = admission_of(described, keys_from(environ), LiveLimits())
        self._routes = RouteTable(
            Route(route.path.encode(), name, service.is_public(route))
            for name, service in described.services.items()
            for route in service.routes
        )
        self._max_body_bytes = described.gateway.max_body
        self._registry = metrics.gateway_registry()
        self._registry.allow(metrics.TARGET, described.services)
        read_process_at_scrape(self._registry, started_s=time.time())
        log = AccessLog(unbuffered(sys.stdout), log_format) if log_format else None
        if log is not None:
            weakref.finalize(self, log.close)  # at the latest when the interpreter ends: the last lines are not lost
        self._telemetry = Telemetry(self._registry, log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        headers = _by_name(scope["headers"])
        request_id = request_id_for(headers.get(b"x-request-id", (None,))[0])
        record = AccessRecord(scope.get("method", "GET").encode(), path, request_id)
        exchange = _Exchange(scope, receive, send, record, self._max_body_bytes)
        self._telemetry.in_flight.inc()
        try:
            await self._answer(exchange, headers, path)
        finally:
            self._telemetry.in_flight.dec()
            record.duration_s = time.perf_counter() - began_s
            exchange.close_record()
            self._telemetry.finished(record)

    def metrics(self) -> str:
        """Everything counted so far, in the Prometheus text format, for a route of the app's own."""
        return render(self._registry)

    async def _answer(self, exchange: _Exchange, headers: Mapping[bytes, list[bytes]], path: bytes) -> None:
        record = exchange.record
        try:
            public, exchange.fields = await self._admit(headers, path, record)
            if _announced_bytes(headers) > self._max_body_bytes:
                raise Refused(BODY_TOO_LARGE)
        except Refused as refused:
            await exchange.refuse(refused.refusal)
            return
        inside_s = time.perf_counter()
        try:
            await self._app(exchange.inner_scope(keep_credentials=public), exchange.receive, exchange.send)
        except asyncio.CancelledError:
            exchange.client_left = True
            raise
        except Exception:
            if exchange.refused:  # what the app makes of a body that was cut off here is nobody's concern
                return
            if not exchange.client_left:
                record.error = "app_failed"
            raise
        finally:
            record.waited_s = time.perf_counter() - inside_s

    async def _admit(
        self, headers: Mapping[bytes, list[bytes]], path: bytes, record: AccessRecord
    ) -> tuple[bool, bytes]:
        """Ask for admission; gives whether the path is open to all, and header lines for the response. Raises: Refused."""
        try:
            route = self._routes.find(plain_path(path))
        except AmbiguousPath:
            raise Refused(AMBIGUOUS_PATH) from None
        if any(len(headers.get(name, ())) > 1 for name in _CREDENTIALS):
            raise Refused(_TWO_CREDENTIALS)
        if route is not None:
            record.service = route.target
            if route.public:
                return True, b""
        credential = Credential(_first(headers, b"authorization"), _first(headers, b"x-api-key"))
        ticket = _Ticket(credential, time.monotonic())
        try:
            waiting = self._admission.admit(ticket)
            if waiting is not None:
                await waiting
            if ticket.caller is None:  # no link said who it is
                raise Refused(MISSING_KEY)
        except Refused as refused:
            raise Refused(refused.refusal.with_fields(ticket.fields)) from None
        finally:
            if ticket.caller is not None:
                record.principal = ticket.caller.id
        return False, ticket.fields


@dataclass(slots=True)
class _Ticket:
    """What this request shows to admission."""

    credential: Credential
    now_s: float
    caller: Principal | None = None
    fields: bytes = b""


class _Exchange:
    """One request on its way in and its response on the way out: adds header lines, counts bytes, bounds the body.

    Attributes:
        fields: Header lines that the response gets.
        refused: The client has its answer from here; what the app says from then on is dropped.
        client_left: Before the end of its answer.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, record: AccessRecord, max_body_bytes: int) -> None:
        self.record = record
        self.fields = b""
        self.refused = False
        self.client_left = False
        self._scope = scope
        self._receive = receive
        self._send = send
        self._left_bytes = max_body_bytes
        self._is_websocket = scope["type"] == "websocket"
        self._ended = False

    def inner_scope(self, *, keep_credentials: bool) -> Scope:
        """The scope that the app gets."""
        dropped = {b"x-request-id"} if keep_credentials else {b"x-request-id", *_CREDENTIALS}
        headers: Headers = [pair for pair in self._scope["headers"] if pair[0] not in dropped]
        return {**self._scope, "headers": [*headers, (b"x-request-id", self.record.request_id)]}

    async def receive(self) -> Message:
        """The server's next message, until the body is too large: then the client is told so, and to the app it has left."""
        if self.refused:
            return {"type": "http.disconnect"}
        message = await self._receive()
        kind = message["type"]
        if kind == "http.request":
            length = len(message.get("body", b""))
            self.record.request_bytes += length
            self._left_bytes -= length
            if self._left_bytes < 0:
                await self.refuse(BODY_TOO_LARGE)
                return {"type": "http.disconnect"}
        elif kind == "http.disconnect":
            self.client_left = not self._ended
        return message

    async def send(self, message: Message) -> None:
        if self.refused:
            return
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start"}:
            self.record.status = 499 if self.client_left else message["status"]
            message = self._with_fields(message)
        elif kind in {"http.response.body", "websocket.http.response.body"}:
            self.record.response_bytes += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
        elif kind == "websocket.accept":
            self.record.status = 101
            message = self._with_fields(message)
        elif kind == "websocket.close" and not self.record.status:
            self.record.status = 403  # what servers answer for a handshake that was not accepted
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with *refusal*; where the app has begun an answer, what is missing of it stays missing."""
        self.refused = True
        self.record.error = refusal.code
        if self.record.status:
            return
        self.record.status = int(refusal.status)
        kind = "http.response"
        if self._is_websocket:
            if "websocket.http.response" not in self._scope.get("extensions", {}):
                await self._send({"type": "websocket.close", "code": 1008, "reason": refusal.code})
                return
            kind = "websocket.http.response"
        lines, body = as_problem(refusal, self.record.request_id.decode("ascii"))
        headers = [*_as_pairs(self._id_field + self.fields + lines), (b"content-length", b"%d" % len(body))]
        self.record.response_bytes = len(body)
        await self._send({"type": f"{kind}.start", "status": self.record.status, "headers": headers})
        await self._send({"type": f"{kind}.body", "body": body})

    def close_record(self) -> None:
        """Without any answer either the client left or the app failed, for which servers answer 500."""
        record = self.record
        record.status = record.status or (499 if self.client_left else 500)
        if self.client_left:
            record.error = record.error or "client_gone"

    def _with_fields(self, message: Message) -> Message:
        return {**message, "headers": [*message.get("headers", ()), *_as_pairs(self._id_field + self.fields)]}

    @property
    def _id_field(self) -> bytes:
        return b"x-request-id: %b\r\n" % self.record.request_id


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    return found


def _first(headers: Mapping[bytes, list[bytes]], name: bytes) -> bytes | None:
    return headers[name][0] if name in headers else None


def _announced_bytes(headers: Mapping[bytes, list[bytes]]) -> int:
    length = headers.get(b"content-length", [b""])[0]
    return int(length) if length.isdigit() else 0


def _as_pairs(lines: bytes) -> Headers:
    pairs = (line.partition(b": ") for line in lines.split(b"\r\n") if line)
    return [(name.lower(), value) for name, _, value in pairs]
