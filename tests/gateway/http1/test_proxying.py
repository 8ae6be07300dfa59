"""What is nobody's business but the client's and the service's passes as it is; what concerns one connection does not."""

# ruff: noqa: E501 -- a case is a line

from __future__ import annotations

import pytest

from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.http1.conftest import public_app
from tests.gateway.http1.recorder import Recorder
from tests.gateway.http1.test_conformance import exchange, statuses

HOST = "Host: a\r\n"


@pytest.fixture
async def gateway(start_gateway: StartGateway, service: Recorder) -> RunningGateway:
    return await start_gateway(public_app(service, timeouts='header = "400ms"\nbody = "400ms"\n'))


UNTOUCHED = {
    "range": "bytes=0-1, 5-",
    "if-range": '"a"',
    "if-match": '"a", W/"b"',
    "if-none-match": "*",
    "if-modified-since": "Tue, 15 Nov 1994 08:12:31 GMT",
    "if-unmodified-since": "whenever",
    "accept": "*/*;q=0.1",
    "accept-encoding": "br, gzip;q=0",
    "accept-language": "de",
    "cache-control": "no-transform",
    "content-digest": "sha-256=:x:",
    "content-encoding": "gzip",
    "content-location": "/a",
    "content-type": "text/x; a=b",
    "cookie": "a=1; b=2",
    "from": "a@b",
    "pragma": "no-cache",
    "priority": "u=1",
    "referer": "http://c/",
    "user-agent": "x/1 (y; z)",
    "x-unheard-of": "\xe4 \t b",
}


async def test_fields_of_a_request_pass_as_they_are(gateway: RunningGateway, service: Recorder) -> None:
    fields = "".join(f"{name}: {value}\r\n" for name, value in UNTOUCHED.items())
    await exchange(gateway, f"POST / HTTP/1.1\r\n{HOST}{fields}Content-Length: 3\r\n\r\nabc")
    (seen,) = service.requests
    assert {name: b"".join(seen.values(name)).decode("latin-1") for name in UNTOUCHED} == UNTOUCHED


async def test_white_space_behind_a_value_is_no_part_of_it(gateway: RunningGateway, service: Recorder) -> None:
    await exchange(gateway, f"GET / HTTP/1.1\r\n{HOST}X-Some: a b \t\r\nX-Other: \t \r\n\r\n")
    (seen,) = service.requests
    assert (seen.values("x-some"), seen.values("x-other")) == ([b"a b"], [b""])


@pytest.mark.parametrize("status", [200, 203, 206, 226, 300, 304, 401, 407, 412, 416, 418, 425, 451, 499, 511, 599])
async def test_fields_and_status_of_a_response_pass_as_they_are(
    gateway: RunningGateway, service: Recorder, status: int
) -> None:
    fields = (
        'Age: 1\r\nAllow: GET\r\nCache-Control: no-cache\r\nContent-Encoding: gzip\r\nContent-Range: bytes 0-1/4\r\nDate: then\r\nETag: W/"a"\r\nExpires: 0\r\n'
        "Last-Modified: then\r\nLocation: //x\r\nRetry-After: 3\r\nServer: s\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nVary: *\r\nWWW-Authenticate: Basic realm=a\r\nX: \r\n"
    )
    body = "" if status == 304 else "ok"
    service.answer("x", f"HTTP/1.1 {status} Whatever\r\n{fields}Content-Length: 2\r\n\r\n{body}".encode())
    answer, _ = await exchange(gateway, f"GET /x HTTP/1.1\r\n{HOST}\r\n")
    assert statuses(answer) == [status]
    assert f"\r\n{fields}".encode() in answer
    assert answer.endswith(f"\r\n\r\n{body}".encode())


@pytest.mark.parametrize(
    "name",
    [
        "Accept",
        "Accept-Encoding",
        "Cache-Control",
        "Content-Type",
        "Cookie",
        "If-Match",
        "Origin",
        "Referer",
        "Trailer",
        "User-Agent",
        "X",
    ],
)
async def test_field_named_in_connection_goes_no_further(gateway: RunningGateway, service: Recorder, name: str) -> None:
    service.answer(
        "x", f"HTTP/1.1 200 OK\r\nConnection: a, {name.upper()}\r\n{name}: 1\r\nContent-Length: 2\r\n\r\nok".encode()
    )
    answer, _ = await exchange(gateway, f"GET /x HTTP/1.1\r\n{HOST}{name}: 1\r\nConnection: {name.lower()} ,b\r\n\r\n")
    assert service.requests[0].values(name.lower()) == []
    assert f"\r\n{name}: ".encode() not in answer
    assert answer.endswith(b"\r\n\r\nok")


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Connection",
        "Content-Encoding",
        "Content-Range",
        "Content-Type",
        "Cookie",
        "Expect",
        "Host",
        "Keep-Alive",
        "Set-Cookie",
        "TE",
        "Trailer",
        "Upgrade",
        "Via",
        "X-Forwarded-For",
        "X_Forwarded_For",
    ],
)
async def test_trailer_that_comes_too_late_for_its_meaning_is_left_out(
    gateway: RunningGateway, service: Recorder, name: str
) -> None:
    chunks = f"3\r\nabc\r\n0\r\nX-Good: 1\r\n{name}: 5\r\n\r\n"
    service.answer("x", f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}".encode())
    answer, _ = await exchange(gateway, f"POST /x HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{chunks}")
    assert answer.endswith(b"3\r\nabc\r\n0\r\nX-Good: 1\r\n\r\n")
    assert service.requests[0].trailers == [(b"x-good", b"1")]


FRAMING = [
    "Content-Length: 5",
    "content-length: none",
    "Content-Length: 1\r\nContent-Length: 2",
    "Transfer-Encoding: x",
]


@pytest.mark.parametrize("lines", FRAMING)
async def test_framing_among_the_trailers_of_a_response_is_left_out(
    gateway: RunningGateway, service: Recorder, lines: str
) -> None:
    chunks = f"3\r\nabc\r\n0\r\n{lines}\r\nX-Good: 1\r\n\r\n"
    service.answer("x", f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}".encode())
    request = f"GET /x HTTP/1.1\r\n{HOST}\r\n"
    answer, _ = await exchange(gateway, request + request)
    assert answer.count(b"\r\n\r\n3\r\nabc\r\n0\r\nX-Good: 1\r\n\r\n") == 2


@pytest.mark.parametrize("lines", FRAMING)
async def test_framing_among_the_trailers_of_a_request_is_refused(
    gateway: RunningGateway, service: Recorder, lines: str
) -> None:
    """Another reader might frame what follows by it."""
    request = f"POST /x HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n{lines}\r\n\r\n"
    answer, closed = await exchange(gateway, request)
    assert (answer.startswith(b"HTTP/1.1 400 "), closed) == (True, True)


async def test_chunked_response_is_plain_for_an_old_client_that_would_keep_the_connection(
    gateway: RunningGateway, service: Recorder
) -> None:
    service.answer("x", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: 1\r\n\r\n")
    answer, closed = await exchange(gateway, f"GET /x HTTP/1.0\r\n{HOST}Connection: keep-alive\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (body, closed) == (b"ok", True)
    assert b"chunked" not in head.lower()


@pytest.mark.parametrize("target", ["/v1/nothing", "/v1/chat/completions", "/gone", "/a/../b"])
async def test_head_of_what_the_gateway_answers_itself_has_no_body(
    gateway: RunningGateway, service: Recorder, target: str
) -> None:
    service.answer("gone", "close")
    answer, _ = await exchange(gateway, f"HEAD {target} HTTP/1.1\r\n{HOST}\r\n")
    assert len(statuses(answer)) == 1
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "first", [b"\0" * 64, b"\xff" * 300, b"\x16\x03\x01\x02\0\x01\0" + b"a" * 200, b"SSH-2.0-x\r\n", b"A" * 100_000, b"\r\n" * 2000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 30_000]
)  # fmt: skip
async def test_what_is_no_request_is_refused_and_the_connection_closed(gateway: RunningGateway, first: bytes) -> None:
    answer, closed = await exchange(gateway, first)
    assert closed
    assert set(statuses(answer)) <= {400, 408, 414, 431, 501}


async def test_what_a_426_asks_to_upgrade_to_reaches_the_client(gateway: RunningGateway, service: Recorder) -> None:
    service.answer(
        "old",
        b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
    )
    answer = await gateway.ask(f"GET /old HTTP/1.1\r\n{HOST}\r\n")
    assert (answer.status, answer.headers["upgrade"], answer.headers["connection"]) == (426, "websocket", "Upgrade")
