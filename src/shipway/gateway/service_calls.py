"""Requests to services: any method, any body, upgrades included, streamed both ways and never read here."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from shipway.gateway import refusals
from shipway.gateway.attempt import Attempt
from shipway.gateway.balancing import least_in_flight
from shipway.gateway.call import Call
from shipway.gateway.http1.exchange import BodyTooLarge
from shipway.gateway.http1.fields import as_lines
from shipway.gateway.http1.request_head import RequestHead
from shipway.gateway.http1.upstream_connection import UpstreamFault
from shipway.gateway.refusals import Refused
from shipway.gateway.routing import AmbiguousPath, Route, plain_path
from shipway.gateway.snapshot import ServiceTarget
from shipway.gateway.telemetry import Telemetry
from shipway.gateway.upstreams import Endpoint
from shipway.monitoring import metrics

_SAFE_TO_REPEAT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"))
"""Idempotent methods (RFC 9110 section 9.2.2): sent again when a kept connection broke before any answer."""

_COUNTED: Final = frozenset((b"OPTIONS", b"TRACE"))
_MAX_FORWARDS: Final = 1_000_000_000
"""Counted down from here where a client asks for more."""
_SWITCHING_PROTOCOLS: Final = HTTPStatus.SWITCHING_PROTOCOLS.value
_NEVER_EXECUTED: Final = frozenset(("connect", "connect_timeout", "unsent"))


async def answer_service_call(call: Call, telemetry: Telemetry) -> None:
    """Forward the call to the service of its route. Raises: Refused, UpstreamFault, BodyTooLarge."""
    exchange = call.exchange
    head = exchange.head
    route = _route(call)
    call.service = route.target.name
    if not route.public:
        waiting = call.admit()
        if waiting is not None:
            await waiting
    if (exchange.content_length or 0) > call.snapshot.max_body_bytes:
        raise BodyTooLarge
    forwards = _forwards_left(head) if head.method in _COUNTED else None
    if forwards == 0:
        if head.method == b"TRACE":
            call.respond(HTTPStatus.OK, b"Content-Type: message/http\r\n", _as_received(head))
        else:
            call.respond(HTTPStatus.OK, b"", b"")
        return
    release = call.choose_release(f"services.{route.target.name}", lambda: call.exchange.connection.client_host)
    endpoints = route.target.releases[release]
    tried: set[Endpoint] = set()
    while True:
        now_s = call.exchange.connection.server.loop.time()
        endpoint = _choose(endpoints, tried, now_s)
        tried.add(endpoint)
        if not endpoint.breaker.closed:
            endpoint.breaker.allows(now_s)  # takes one of the probes, so that not everybody finds out at the same time
        try:
            await _forward(call, endpoint, telemetry, keep_credentials=route.public)
            return
        except UpstreamFault as fault:
            # Another replica is asked only where this one cannot have begun to act on the request.
            if fault.kind not in _NEVER_EXECUTED or exchange.has_body or len(tried) == len(endpoints):
                raise
            telemetry.retry("fault")


def _route(call: Call) -> Route[ServiceTarget]:
    try:
        route = call.snapshot.routes.find(plain_path(call.exchange.head.path))
    except AmbiguousPath:
        raise Refused(refusals.AMBIGUOUS_PATH) from None
    if route is None:
        raise Refused(refusals.NO_ROUTE)
    return route


def _forwards_left(head: RequestHead) -> int | None:
    """Max-Forwards; at zero the request goes no further (RFC 9110 section 7.6.2)."""
    value = (head.field(b"max-forwards") or b"").strip(b" \t")
    if not value.isdigit():
        return None
    return int(value) if len(value) < 10 else _MAX_FORWARDS


def _lines_counted_down(head: RequestHead) -> bytes:
    """The fields passed on, with one forward less left."""
    forwards = _forwards_left(head)
    if forwards is None:
        return head.lines
    return as_lines(
        [
            (lower, name, b"%d" % (forwards - 1) if lower == b"max-forwards" else value)
            for lower, name, value in head.passed_on
        ]
    )


def _as_received(head: RequestHead) -> bytes:
    """The request as it arrived, without what a script in a browser must not learn (RFC 9110 section 9.3.8)."""
    return b"TRACE %b HTTP/1.%d\r\nHost: %b\r\n%b\r\n" % (
        head.target,
        0 if head.http_1_0 else 1,
        head.host,
        head.lines,
    )


def _choose(endpoints: tuple[Endpoint, ...], tried: set[Endpoint], now_s: float) -> Endpoint:
    """The least busy replica that is willing; when none is, the least busy of all, since somebody has to find out."""
    if len(endpoints) == 1:
        return endpoints[0]
    left = [endpoint for endpoint in endpoints if endpoint not in tried]
    return least_in_flight([endpoint for endpoint in left if endpoint.willing(now_s)] or left)


async def _forward(call: Call, endpoint: Endpoint, telemetry: Telemetry, *, keep_credentials: bool) -> None:
    head = call.exchange.head
    message = _request_head(call, endpoint, keep_credentials=keep_credentials)
    has_body = call.exchange.has_body
    safe = not has_body and head.method in _SAFE_TO_REPEAT
    attempt = Attempt(call, endpoint)
    outcome = "client_left"
    try:
        answer = attempt.send(head.method, message, safe=safe, body_follows=has_body, inform=call.inform)
        try:
            response = await answer
        except UpstreamFault as fault:
            response = await attempt.send_again(fault)
        attempt.answered()
        if response.status == _SWITCHING_PROTOCOLS:
            if head.upgrade is None or response.upgrade is None or response.upgrade.strip().lower() != b"websocket":
                raise UpstreamFault("garbage", "an upgrade that nobody asked for")
            outcome = "answered"
            attempt.works()
            await attempt.tunnel(response)
            outcome = attempt.midway_fault or "answered"
        else:
            await attempt.relay(response)
            outcome = attempt.midway_fault or "answered"
    except UpstreamFault as fault:
        outcome = fault.kind
        raise
    finally:
        if outcome == "answered":
            attempt.works()
        elif outcome == "client_left":
            endpoint.breaker.probe_abandoned(attempt.began_s)
        else:
            endpoint.breaker.failed(attempt.now_s(), attempt.began_s)
            if 0 < call.exchange.status < HTTPStatus.INTERNAL_SERVER_ERROR:  # spent, and it says nothing of this
                telemetry.registry.child(metrics.SERVICE_CUT, call.service or "", call.release or "").inc()
        telemetry.attempt(call.service or "", outcome)
        attempt.end()


def _request_head(call: Call, endpoint: Endpoint, *, keep_credentials: bool) -> bytes:
    exchange = call.exchange
    head = exchange.head
    client = exchange.connection.client_host
    forwarded_for = b"%b, %b" % (head.forwarded_for, client) if head.forwarded_for else client
    lines = [
        b"%b %b%b HTTP/1.1\r\nHost: %b\r\n"
        % (head.method, endpoint.address.base_path, head.target, head.host or endpoint.authority),
        _lines_counted_down(head) if head.method in _COUNTED else head.lines,
        head.about_the_site,
        b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nVia: 1.%d shipway\r\n"
        % (forwarded_for, exchange.connection.scheme, head.host or endpoint.authority, 0 if head.http_1_0 else 1),
        call.id_field,
    ]
    if keep_credentials:
        lines += _credential_fields(head)
    if exchange.expects_continue:
        lines.append(b"Expect: 100-continue\r\n")
    if head.chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    elif exchange.content_length is not None:
        lines.append(b"Content-Length: %d\r\n" % exchange.content_length)
    if head.upgrade is not None:
        lines.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % head.upgrade)
    lines.append(b"\r\n")
    return b"".join(lines)


def _credential_fields(head: RequestHead) -> list[bytes]:
    """An open route's credentials are the app's own affair; a closed route's key was for the gateway and stays here."""
    fields: list[bytes] = []
    if head.authorization is not None and b"authorization" not in head.named:
        fields.append(b"Authorization: %b\r\n" % head.authorization)
    if head.x_api_key is not None and b"x-api-key" not in head.named:
        fields.append(b"x-api-key: %b\r\n" % head.x_api_key)
    return fields
