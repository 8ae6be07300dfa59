"""The proxy: what becomes of each request on the listener.

Own paths are answered here; `/v1` calls go to a model's upstreams, everything else to the service of its route. One
handler coroutine runs per request; it is cancelled when the client leaves, and whatever it holds then is closed on
the way out.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import sys
import time
import traceback
from collections.abc import Callable
from http import HTTPStatus

from shipway.gateway import refusals
from shipway.gateway.admission import authenticate
from shipway.gateway.dialects import openai
from shipway.gateway.dialects.openai_stream import StreamReader
from shipway.gateway.http1.client import ResponseHead, UpstreamConnection, UpstreamFault
from shipway.gateway.http1.exchange import BodyTooLarge, ClientGone, Exchange
from shipway.gateway.http1.head import RequestHead
from shipway.gateway.http1.running import Waiter
from shipway.gateway.refusals import Refusal, Refused, Writer, as_problem
from shipway.gateway.relay import Download, StreamWatch, Tunnel, Upload
from shipway.gateway.routing import AmbiguousPath, plain_path
from shipway.gateway.snapshot import ModelTarget, Snapshot, UpstreamTarget
from shipway.gateway.upstreams import Endpoint, least_busy
from shipway.monitoring.logging import AccessLog, AccessRecord

MAX_HELD_ANSWER_BYTES = 8 * 1024 * 1024
"""A model's unstreamed answer is held whole up to this size, so that one cut short never reaches a client as a
success."""

_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"))


class Proxy:
    """Serves exchanges from the current snapshot, which may be replaced between any two requests."""

    def __init__(self, snapshot: Snapshot, log: AccessLog, *, ready: Callable[[], bool]) -> None:
        self.snapshot = snapshot
        self._log = log
        self._ready = ready
        self._started_s = int(time.time())

    async def handle(self, exchange: Exchange) -> None:
        """Answer one exchange; every outcome ends here, none escapes."""
        call = Call(exchange, self.snapshot)
        try:
            await self._answer(call)
        except Refused as refused:
            call.refuse(refused.refusal)
        except UpstreamFault as fault:
            call.refuse(refusals.upstream_failed(fault.kind))
            call.record.error = fault.kind
        except BodyTooLarge:
            call.refuse(refusals.BODY_TOO_LARGE)
        except (ClientGone, asyncio.CancelledError):
            call.record.error = "client_gone"
        except Exception:  # a bug of ours costs this one request, and is seen in the log
            traceback.print_exc(file=sys.stderr)
            call.refuse(refusals.INTERNAL)
            call.record.error = "internal"
        finally:
            call.finish(self._log)

    async def _answer(self, call: Call) -> None:
        path = call.exchange.head.path
        operation = openai.OPERATIONS.get(path)
        if operation is not None:
            call.write_refusal = openai.as_openai_error
            await self._model_call(call, operation)
        elif path.startswith(b"/v1/") or path == b"/v1":
            call.write_refusal = openai.as_openai_error
            self._other_model_path(call, path)
        elif path in {b"/healthz", b"/readyz"}:
            self._probe(call, path)
        else:
            await self._service_call(call)

    # -- the gateway's own paths

    def _probe(self, call: Call, path: bytes) -> None:
        healthy = path == b"/healthz" or self._ready()
        status = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
        call.respond(status, refusals.JSON_FIELD, b'{"status":"ok"}' if healthy else b'{"status":"draining"}')

    def _other_model_path(self, call: Call, path: bytes) -> None:
        call.authenticate()
        if path != b"/v1/models" and not path.startswith(b"/v1/models/"):
            raise Refused(refusals.NO_ROUTE)
        if call.exchange.head.method not in {b"GET", b"HEAD"}:
            raise Refused(refusals.method_not_allowed("GET, HEAD"))
        models = call.snapshot.models
        if path == b"/v1/models":
            body = openai.model_list(tuple(models), self._started_s)
        else:
            name = plain_path(path).decode("utf-8", "replace").removeprefix("/v1/models/")
            if name not in models:
                raise Refused(refusals.unknown_model(name))
            body = openai.model_entry(name, self._started_s)
        call.respond(HTTPStatus.OK, refusals.JSON_FIELD, body)

    # -- models

    async def _model_call(self, call: Call, operation: bytes) -> None:
        exchange = call.exchange
        if exchange.head.method != b"POST":
            raise Refused(refusals.method_not_allowed("POST"))
        call.authenticate()
        request = openai.ModelRequest(await exchange.read_body(call.snapshot.max_body_bytes))
        model = call.snapshot.models.get(request.model)
        if model is None:
            raise Refused(refusals.unknown_model(request.model))
        call.record.model = model.name
        await self._first_that_answers(call, operation, request, model)

    async def _first_that_answers(
        self, call: Call, operation: bytes, request: openai.ModelRequest, model: ModelTarget
    ) -> None:
        """Try the upstreams in order until one gives a response; nothing has reached the client before that."""
        last = model.upstreams[-1]
        for upstream in model.upstreams:
            endpoint = least_busy(upstream.endpoints)
            call.record.upstream = upstream.label
            body = request.body_for(upstream.model_json)
            head = call.provider_head(endpoint, upstream, operation, len(body))
            try:
                await self._ask_model(call, endpoint, head + body)
            except UpstreamFault:
                if upstream is last or call.exchange.started:
                    raise
            else:
                return

    async def _ask_model(self, call: Call, endpoint: Endpoint, message: bytes) -> None:
        attempt = Attempt(call, endpoint)
        try:
            response = await attempt.send(b"POST", message, again_if_stale=True)
            if response.content_type.startswith(openai.STREAM_CONTENT_TYPE):
                await attempt.relay(response, StreamReader())
                return
            pieces = await attempt.connection.read(MAX_HELD_ANSWER_BYTES)
            if pieces is None:
                await attempt.relay(response)
            else:
                call.respond(response.status, response.lines, b"".join(pieces))
        finally:
            attempt.end()

    # -- services

    async def _service_call(self, call: Call) -> None:
        exchange = call.exchange
        head = exchange.head
        try:
            route = call.snapshot.routes.find(plain_path(head.path))
        except AmbiguousPath:
            raise Refused(refusals.AMBIGUOUS_PATH) from None
        if route is None:
            raise Refused(refusals.NO_ROUTE)
        call.record.service = route.target.name
        if not route.public:
            call.authenticate()
        if (head.content_length or 0) > call.snapshot.max_body_bytes:
            raise BodyTooLarge
        endpoint = least_busy(route.target.endpoints)
        await self._ask_service(call, endpoint, keep_credentials=route.public)

    async def _ask_service(self, call: Call, endpoint: Endpoint, *, keep_credentials: bool) -> None:
        head = call.exchange.head
        message = call.service_head(endpoint, keep_credentials=keep_credentials)
        again_if_stale = not head.has_body and head.method in _IDEMPOTENT
        attempt = Attempt(call, endpoint)
        try:
            response = await attempt.send(
                head.method, message, again_if_stale=again_if_stale, body_follows=head.has_body
            )
            if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
                await attempt.tunnel(response)
            else:
                await attempt.relay(response)
        finally:
            attempt.end()


_process = secrets.token_hex(8).encode()
_count = itertools.count()


def _new_request_id() -> bytes:
    """Unique without asking the kernel for randomness each time: 64 random bits a process, then a count."""
    return b"req-%b-%x" % (_process, next(_count))


class Call:
    """One exchange with what the gateway has found out about it so far."""

    __slots__ = ("exchange", "record", "request_id", "snapshot", "started_s", "write_refusal")

    def __init__(self, exchange: Exchange, snapshot: Snapshot) -> None:
        head = exchange.head
        self.exchange = exchange
        self.snapshot = snapshot
        self.request_id = head.request_id or _new_request_id()
        self.write_refusal: Writer = as_problem
        self.started_s = time.perf_counter()
        self.record = AccessRecord(head.method, head.path, self.request_id)

    @property
    def id_field(self) -> bytes:
        return b"x-request-id: %b\r\n" % self.request_id

    def authenticate(self) -> None:
        self.record.principal = authenticate(self.snapshot, self.exchange.head).id

    def respond(self, status: int, fields: bytes, body: bytes) -> None:
        self.exchange.respond(status, fields + self.id_field, body)

    def refuse(self, refusal: Refusal) -> None:
        """Answer with *refusal*, unless a response has begun: then the connection is cut, as its status is spent."""
        self.record.error = refusal.code
        if self.exchange.gone or self.exchange.ended:
            return
        if self.exchange.started:
            self.exchange.abort()
            return
        fields, body = self.write_refusal(refusal, self.request_id.decode())
        self.respond(refusal.status.value, fields, body)

    def finish(self, log: AccessLog) -> None:
        self.record.status = self.exchange.status or 499  # nginx's code for a client that left before any answer
        self.record.duration_s = time.perf_counter() - self.started_s
        self.record.response_bytes = self.exchange.response_bytes
        log.write(self.record)

    def provider_head(self, endpoint: Endpoint, upstream: UpstreamTarget, operation: bytes, length: int) -> bytes:
        address = endpoint.address
        lines = [b"POST %b%b HTTP/1.1\r\nHost: %b\r\n" % (address.base_path, operation, endpoint.authority)]
        lines += self.exchange.head.passed_on
        lines.append(upstream.fields)
        lines.append(b"%bVia: 1.1 shipway\r\nContent-Length: %d\r\n\r\n" % (self.id_field, length))
        return b"".join(lines)

    def service_head(self, endpoint: Endpoint, *, keep_credentials: bool) -> bytes:
        exchange = self.exchange
        head = exchange.head
        client = exchange.connection.client_host
        forwarded_for = b"%b, %b" % (head.forwarded_for, client) if head.forwarded_for else client
        lines = [
            b"%b %b%b HTTP/1.1\r\nHost: %b\r\n"
            % (head.method, endpoint.address.base_path, head.target, head.host or endpoint.authority),
            *head.passed_on,
            *head.about_the_site,
            b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nVia: 1.%d shipway\r\n"
            % (forwarded_for, exchange.connection.scheme, head.host, 0 if head.http_1_0 else 1),
            self.id_field,
        ]
        if keep_credentials:
            lines += _credential_fields(head)
        if head.expect_continue:
            lines.append(b"Expect: 100-continue\r\n")
        if head.chunked:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        elif head.content_length is not None:
            lines.append(b"Content-Length: %d\r\n" % head.content_length)
        if head.upgrade is not None:
            lines.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % head.upgrade)
        lines.append(b"\r\n")
        return b"".join(lines)


class Attempt:
    """One try at one endpoint: a connection for as long as it is needed. Whoever makes one must `end` it."""

    __slots__ = ("_call", "_deadlines", "_endpoint", "_exchange", "_held", "_loop", "_phase", "_total_deadline_s")

    def __init__(self, call: Call, endpoint: Endpoint) -> None:
        self._call = call
        self._exchange = call.exchange
        self._endpoint = endpoint
        self._deadlines = call.snapshot.deadlines
        self._loop = call.exchange.connection.server.loop
        self._total_deadline_s = self._loop.time() + self._deadlines.total_s
        self._phase = "first_byte_timeout"
        self._held: UpstreamConnection | None = None
        endpoint.in_flight += 1

    def end(self) -> None:
        """Give the connection back, or close it if its response was not read to the end."""
        self._endpoint.in_flight -= 1
        exchange = self._exchange
        exchange.on_slow = exchange.on_expire = None
        connection, self._held = self._held, None
        if connection is not None:
            self._endpoint.pool.release(connection)

    @property
    def connection(self) -> UpstreamConnection:
        if self._held is None:
            raise RuntimeError("no connection is held between attempts")
        return self._held

    async def send(
        self, method: bytes, message: bytes, *, again_if_stale: bool, body_follows: bool = False
    ) -> ResponseHead:
        """Send and wait for the response's head; a reused connection that turns out closed is replaced once."""
        pool = self._endpoint.pool
        self._exchange.on_expire = self._expired
        while True:
            self._held = pool.take_idle()
            if self._held is None:
                self._held = await pool.connect(self._deadlines.connect_s)
            connection = self._held
            self._exchange.deadline_s = min(self._loop.time() + self._deadlines.first_byte_s, self._total_deadline_s)
            connection.on_inform = self._inform
            answer = connection.send(method, message, complete=not body_follows)
            if body_follows:
                upload = Upload(
                    self._exchange,
                    connection,
                    max_bytes=self._call.snapshot.max_body_bytes,
                    too_large=self._too_large,
                )
                self._exchange.pipe_body(upload)
            try:
                return await answer
            except UpstreamFault as fault:
                if fault.kind != "reset" or connection.used == 1 or not again_if_stale:
                    raise
                self._held = None
                pool.discard(connection)

    async def relay(self, response: ResponseHead, watch: StreamWatch | None = None) -> None:
        """Pass the response's body on as it comes, to its end or the client's; *watch* reads it on the way."""
        exchange = self._exchange
        connection = self.connection
        self._phase = "idle_timeout"
        exchange.deadline_s = min(self._loop.time() + self._deadlines.idle_s, self._total_deadline_s)
        length = response.content_length if watch is None else None  # the watch may add an in-band error
        exchange.begin(response.status, response.lines + self._call.id_field, length)
        download = Download(
            exchange, connection, watch=watch, idle_s=self._deadlines.idle_s, total_deadline_s=self._total_deadline_s
        )
        connection.relay(download)
        exchange.flush()
        await download.done
        if download.fault is not None:
            self._call.record.error = getattr(download.fault, "kind", type(download.fault).__name__)

    async def tunnel(self, response: ResponseHead) -> None:
        """Join both connections until either side closes."""
        exchange = self._exchange
        connection = self.connection
        client = exchange.connection
        exchange.deadline_s = float("inf")
        closed: Waiter[None] = Waiter()

        def ended() -> None:
            closed.set(None)

        early = connection.become_tunnel(Tunnel(connection.transport, client.transport, ended))
        exchange.status = HTTPStatus.SWITCHING_PROTOCOLS.value
        exchange.keep_alive = False
        upgrade = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % (response.upgrade or b"")
        fields = response.lines + self._call.id_field
        client.server.outbox.flush()
        client.transport.write(b"".join((b"HTTP/1.1 101 Switching Protocols\r\n", fields, upgrade, b"\r\n", *early)))
        client.become_tunnel(Tunnel(client.transport, connection.transport, ended))
        if exchange.after_upgrade:
            connection.transport.write(exchange.after_upgrade)
        await closed
        client.transport.close()

    def _inform(self, head: ResponseHead) -> None:
        self._exchange.inform(head.status, head.lines)

    def _expired(self) -> None:
        self.connection.fail(UpstreamFault(self._phase, "no answer in time"))

    def _too_large(self) -> None:
        self.connection.fail(BodyTooLarge())


def _credential_fields(head: RequestHead) -> list[bytes]:
    fields: list[bytes] = []
    if head.authorization is not None:
        fields.append(b"Authorization: %b\r\n" % head.authorization)
    if head.x_api_key is not None:
        fields.append(b"x-api-key: %b\r\n" % head.x_api_key)
    return fields
