"""The gateway inside an app: the same admission, metrics and log around any ASGI application.

For a monolith or a function that has no process in front of it. It decides from the head of a request and passes everything
else through untouched; models and other services are not its business.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from shipway.gateway.admission import Admission, Ticket
from shipway.gateway.call import request_id_for
from shipway.gateway.refusals import AMBIGUOUS_PATH, MISSING_KEY, Refusal, Refused, as_problem
from shipway.gateway.routing import AmbiguousPath, Route, RouteTable, plain_path
from shipway.gateway.serve import keys_from
from shipway.gateway.snapshot import LiveLimits, admission_of
from shipway.gateway.telemetry import Telemetry
from shipway.monitoring import metrics
from shipway.monitoring.exposition import render
from shipway.monitoring.logging import AccessLog, AccessRecord, LogFormat
from shipway.spec.load import load_app

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gateway:
    """An ASGI application that admits requests to *app*.

    Keys come from `SHIPWAY_API_KEYS`, limits and open routes from the app file. A path under no route needs a key.

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
        self._registry = metrics.gateway_registry()
        self._registry.allow(metrics.TARGET, described.services)
        self._log = AccessLog(sys.stdout.buffer, log_format) if log_format else None
        self._telemetry = Telemetry(self._registry, self._log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        headers = _single(scope["headers"])
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        record = AccessRecord(scope.get("method", "GET").encode(), path, request_id_for(headers.get(b"x-request-id")))
        answer = _Answer(scope, send, record)
        try:
            answer.fields = await self._admit(headers, path, record)
        except Refused as refused:
            record.error = refused.refusal.code
            self._telemetry.refused(refused.refusal.code)
            await answer.refuse(refused.refusal)
        else:
            inside_s = time.perf_counter()
            try:
                await self._app(scope, receive, answer.send)
            finally:
                record.waited_s = time.perf_counter() - inside_s
        finally:
            record.duration_s = time.perf_counter() - began_s
            record.status = record.status or 500
            self._telemetry.finished(record)

    def metrics(self) -> str:
        """Everything counted so far, in the Prometheus text format, for a route of the app's own."""
        return render(self._registry)

    async def _admit(self, headers: Mapping[bytes, bytes], path: bytes, record: AccessRecord) -> bytes:
        """Ask for admission; gives the header lines that the response gets. Raises: Refused."""
        try:
            route = self._routes.find(plain_path(path))
        except AmbiguousPath:
            raise Refused(AMBIGUOUS_PATH) from None
        if route is not None:
            record.service = route.target
            if route.public:
                return b""
        ticket = Ticket(headers.get(b"authorization"), headers.get(b"x-api-key"), time.monotonic())
        try:
            waiting = self._admission.admit(ticket)
            if waiting is not None:
                await waiting
        except Refused as refused:
            raise Refused(refused.refusal.with_fields(ticket.fields)) from None
        finally:
            if ticket.principal is not None:
                record.principal = ticket.principal.id
        if ticket.principal is None:
            raise Refused(MISSING_KEY)
        return ticket.fields


class _Answer:
    """The response on its way out: gets its header lines, and leaves its size in the record."""

    def __init__(self, scope: Scope, send: Send, record: AccessRecord) -> None:
        self.fields = b""
        self._websocket = scope["type"] == "websocket"
        self._send = send
        self._record = record

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._record.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *_as_pairs(self._id_field + self.fields)]
        elif kind == "http.response.body":
            self._record.response_bytes += len(message.get("body", b""))
        elif kind == "websocket.accept":
            self._record.status = 101
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        self._record.status = refusal.status
        if self._websocket:
            await self._send({"type": "websocket.close", "code": 1008, "reason": refusal.code})
            return
        fields, body = as_problem(refusal, self._record.request_id.decode("ascii"))
        headers = _as_pairs(self._id_field + fields + b"content-length: %d\r\n" % len(body))
        await self._send({"type": "http.response.start", "status": int(refusal.status), "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    @property
    def _id_field(self) -> bytes:
        return b"x-request-id: %b\r\n" % self._record.request_id


def _single(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; a credential that is sent twice is nobody's."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        found[name] = b"" if name in found and name == b"authorization" else value
    return found


def _as_pairs(lines: bytes) -> list[tuple[bytes, bytes]]:
    pairs = (line.partition(b": ") for line in lines.split(b"\r\n") if line)
    return [(name.lower(), value) for name, _, value in pairs]
