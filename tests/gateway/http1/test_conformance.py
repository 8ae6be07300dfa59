"""RFC 9110 and 9112 as they concern a gateway, one line a case: what a client sends, its answers, what the service gets.

The service reads as strictly as the RFC allows (`recorder`): a request that it cannot read, or one more than expected,
fails the case. What a case says of the answer is the statuses, in order, and whether the connection is closed then.
"""

# ruff: noqa: E501 -- a case is a line

from __future__ import annotations

import asyncio
import re

import pytest

from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.http1.conftest import public_app
from tests.gateway.http1.recorder import OK, Recorder, Step

HOST = "Host: a\r\n"
SMUGGLED = f"GET /smuggled HTTP/1.1\r\n{HOST}\r\n"
LIMITS = 'max_header = "4KiB"\nmax_target = "1KiB"\nmax_body = "1MiB"\n'
DEADLINES = 'header = "400ms"\nbody = "400ms"\nfirst_byte = "2s"\nidle = "1s"\n'


@pytest.fixture
async def gateway(start_gateway: StartGateway, service: Recorder) -> RunningGateway:
    return await start_gateway(public_app(service, LIMITS, DEADLINES))


async def exchange(gateway: RunningGateway, *pieces: str | bytes, wait_s: float = 2.0) -> tuple[bytes, bool]:
    """Send *pieces*, each as a write of its own; what came back until a silence, and whether the connection was closed."""
    async with gateway.raw() as client:
        for piece in pieces:
            await client.send(piece)
            if len(pieces) > 1:
                await asyncio.sleep(0.001)
        got = b""
        while True:
            try:
                more = await asyncio.wait_for(client.reader.read(65536), 0.08 if got else wait_s)
            except TimeoutError:
                return got, False
            if not more:
                return got, True
            got += more


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answer)]


def line(text: str) -> str:
    return f"{text}\r\n{HOST}\r\n"


def fields(text: str) -> str:
    return f"GET / HTTP/1.1\r\n{HOST}{text}\r\n\r\n"


def framed(text: str, body: str) -> str:
    return f"POST / HTTP/1.1\r\n{HOST}{text}\r\n\r\n{body}{SMUGGLED}"


def chunks(body: str) -> str:
    return framed("Transfer-Encoding: chunked", body)


REFUSED = [
    # the request line (RFC 9112 sections 2.2, 3)
    *((line(text), 400) for text in ("GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET\t/ HTTP/1.1", "GET /\tHTTP/1.1")),
    *((line(text), 400) for text in ("GET / HTTP/1.1 ", "GET / HTTP/1.1\t", " GET / HTTP/1.1", "\tGET / HTTP/1.1")),
    *(
        (line(text), 400)
        for text in ("GET", "GET /", "/ HTTP/1.1", "GET HTTP/1.1", "GET  HTTP/1.1", "GET / HTTP/1.1 x")
    ),
    *(
        (line(text), 400)
        for text in ("GET /a b HTTP/1.1", "GET /\0 HTTP/1.1", "GET /\x01 HTTP/1.1", "GET /\x7f HTTP/1.1")
    ),
    *(
        (line(text), 400)
        for text in ("GET /a\rb HTTP/1.1", "GET /\x0b HTTP/1.1", "GET /\xe4 HTTP/1.1", "GET /#a HTTP/1.1")
    ),
    *((line(text), 400) for text in ("G(T / HTTP/1.1", "GE\0T / HTTP/1.1", "G\xe4T / HTTP/1.1", "\x16\x03\x01\x02")),
    *((line(text), 501) for text in ("BREW / HTTP/1.1", "get / HTTP/1.1", "Get / HTTP/1.1", "DESCRIBE / HTTP/1.1")),
    *((line(text), 501) for text in ("CONNECT a:80 HTTP/1.1", "CONNECT / HTTP/1.1", "CONNECT a HTTP/1.1")),
    *((line(f"GET / HTTP/{text}"), 505) for text in ("0.9", "1.2", "2.0", "3.0", "9.9")),
    *((line(f"GET / HTTP/{text}"), 400) for text in ("1.10", "1.", "1", "01.1", "1.01", " 1.1", "1,1", "A.B")),
    *((line(f"GET / {text}"), 400) for text in ("http/1.1", "HTTP /1.1", "HTTPS/1.1", "RTSP/1.0", "ICE/1.0")),
    *((line(text), 400) for text in ("SOURCE / ICE/1.0", "DESCRIBE / RTSP/1.0")),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    # targets (RFC 9112 section 3.2)
    *(
        (line(f"GET {text} HTTP/1.1"), 400)
        for text in ("*", "a", "a:80", "?x", "ftp://b/", "http:///x", "http://", "http:b")
    ),
    *((line(f"GET {text} HTTP/1.1"), 400) for text in ("http://u@b/", "http://b:99999/", "http://b:x/", "http://a,b/")),
    (line("GET https://b/x HTTP/1.1"), 421),
    (line(f"GET /{'a' * 1030} HTTP/1.1"), 414),
    # empty lines before it
    *((lead + fields("A: b"), 400) for lead in ("\n", "\r", "\n\r\n", "\r\n\n", "\r\n \r\n", "\r\r\n")),
    # line ends
    *(
        (text, 400)
        for text in (
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
        )
    ),
    *(
        (text, 400)
        for text in (
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\rHost: a\r\r",
            "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        )
    ),
    *((text, 400) for text in ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", f"GET / HTTP/1.1\r\n\tX: b\r\n{HOST}\r\n")),
    # Host (RFC 9110 section 7.2, RFC 9112 section 3.2)
    *((f"GET / HTTP/1.1\r\n{text}\r\n", 400) for text in ("", "Host:\r\n", "Host: \r\n", "Host: a\r\nHost: a\r\n")),
    *(
        (f"GET / HTTP/1.1\r\n{text}\r\n", 400)
        for text in ("Host: a\r\nhost: b\r\n", "Host : a\r\n", "Host: a\r\n b\r\n")
    ),
    *((f"GET / HTTP/1.0\r\n{text}\r\n", 400) for text in ("Host: a\r\nHost: b\r\n", "Host: a b\r\n", "Host:\r\n")),
    *(
        (f"GET / HTTP/1.1\r\nHost: {text}\r\n\r\n", 400)
        for text in ("a, b", "a,b", "a b", "u@a", "a/b", "http://a", ":80")
    ),
    *(
        (f"GET / HTTP/1.1\r\nHost: {text}\r\n\r\n", 400)
        for text in ("a:b", "a:99999", "a:-1", "a:1:2", "[::1", "::1", "[x]")
    ),
    *(
        (f"GET / HTTP/1.1\r\nHost: {text}\r\n\r\n", 400)
        for text in ("a?b", "a#b", "a\\b", "a%41", "\xe4", "a\0", '"a"', "(a)", "*")
    ),
    # fields (RFC 9110 section 5, RFC 9112 section 5)
    *(
        (fields(text), 400)
        for text in ("X : a", "X\t: a", ": a", "X", "X a", "X\0Y: a", "X Y: a", "X(Y: a", "X\xe4: a", "X@: a")
    ),
    *(
        (fields(text), 400)
        for text in ("X: a\0b", "X: a\x01b", "X: a\x7fb", "X: a\x08", "X: a\x0b", "\x0bX: a", "\xef\xbb\xbfX: a")
    ),
    *(
        (fields(text), 400)
        for text in ("X: a\r\n b", "X: a\r\n\tb", "X: a\r\n ", "X: a\rb", "X: a\r", "X: a\nY: b", "X{}: a", 'X"Y: a')
    ),
    *((fields(text), 417) for text in ("Expect: 200-ok", "Expect:", "Expect: 100-continue, x", "Expect: 100")),
    (fields(f"X: {'a' * 5000}"), 431),
    (fields("X: a\r\n" * 800 + "Y: b"), 431),
    (fields("a" * 5000 + ": b"), 431),
    # Content-Length (RFC 9110 section 8.6, RFC 9112 section 6.3)
    *(
        (framed(f"Content-Length: {text}", "abcde"), 400)
        for text in ("+5", "-5", "0x5", "5, 5", "5,5", "5,6", "5;5", "5 5", "5.0", "5e0")
    ),
    *(
        (framed(f"Content-Length: {text}", "abcde"), 400)
        for text in ("", "\xb25", "5\0", "5\x0b", '"5"', "0o5", "5_0", "five")
    ),
    *(
        (framed(f"Content-Length: {text}", "abcde"), 400)
        for text in ("5\r\nContent-Length: 5", "5\r\nContent-Length: 6", "5\r\ncontent-length:5")
    ),
    *(
        (framed(f"Content-Length: {text}", "abcde"), 400)
        for text in ("9" * 23, "18446744073709551616", "18446744073709551621")
    ),
    *((framed(f"Content-Length: {text}", "abcde"), 413) for text in ("9223372036854775808", "1048577")),
    # Transfer-Encoding (RFC 9112 sections 6.1, 6.3)
    *(
        (framed(f"Content-Length: {text}", "0\r\n\r\n"), 400)
        for text in ("5\r\nTransfer-Encoding: chunked", "0\r\nTransfer-Encoding: chunked")
    ),
    *(
        (framed(f"Content-Length: {text}", "0\r\n\r\n"), 400)
        for text in ("5\r\nTransfer-Encoding: identity", "5\r\nTransfer-Encoding : chunked")
    ),
    *(
        (framed(f"Content-Length: {text}", "0\r\n\r\n"), 400)
        for text in ("5\r\nX: a\r\n Transfer-Encoding: chunked", "5\r\nTransfer-Encoding:\x0bchunked")
    ),
    *(
        (framed(f"Transfer-Encoding: {text}", "0\r\n\r\n"), 400)
        for text in ("chunked\r\nContent-Length: 5", "", "chunked,", "\x0bchunked", "chunked\0")
    ),
    *(
        (framed(f"Transfer-Encoding: {text}", "0\r\n\r\n"), 400)
        for text in ("\0chunked", "chunked, identity", "chunked, gzip", "chunked, chunked")
    ),
    *(
        (framed(f"Transfer-Encoding: chunked\r\nTransfer-Encoding: {text}", "0\r\n\r\n"), 400)
        for text in ("chunked", "identity", "gzip")
    ),
    *((framed(f"Transfer-Encoding: {text}", "0\r\n\r\n"), 400) for text in ("chun\r\n ked", "\r\n chunked")),
    *(
        (framed(f"Transfer-Encoding: {text}", "0\r\n\r\n"), 400)
        for text in ("xchunked", "chunkedx", "chunked;q=1", '"chunked"', "cow", "identity", "gzip", "chunked cow")
    ),
    *(
        (framed(f"Transfer-Encoding: {text}", "0\r\n\r\n"), 501)
        for text in (",chunked", "identity, chunked", "gzip, chunked", "gzip,\tx, Chunked")
    ),
    *(
        (framed(f"Transfer-Encoding: {text}\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), 501)
        for text in ("gzip", "identity")
    ),
    (f"POST / HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}", 400),
    (f"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}", 400),
    (f"TRACE / HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc{SMUGGLED}", 400),
    # chunked bodies (RFC 9112 section 7.1)
    *(
        (chunks(f"{text}\r\nabc\r\n0\r\n\r\n"), 400)
        for text in ("3;", "3;a\nb", "3;a\rb", "3;a\0", "3;a\x01", "3;a=\x7f", "3 a", "3,a")
    ),
    *(
        (chunks(f"{text}\r\nabc\r\n0\r\n\r\n"), 400)
        for text in ("3 ", " 3", "\t3", "+3", "-3", "0x3", "3\r", "3_0", "g", "", "f" * 17, '3;a="')
    ),
    *(
        (chunks(text), 400)
        for text in (
            "3\nabc\r\n0\r\n\r\n",
            "3\rabc\r\n0\r\n\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "3\r\nabc\r0\r\n\r\n",
            "3\r\nabc0\r\n\r\n",
        )
    ),
    *(
        (chunks(text), 400)
        for text in (
            "3\r\nabcXX0\r\n\r\n",
            "3\r\nab\r\n0\r\n\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\n",
            "3\r\nabc\r\n0\n\r\n",
        )
    ),
    *(
        (chunks(f"3\r\nabc\r\n0\r\n{text}\r\n\r\n"), 400)
        for text in ("X : y", " X: y", "X: y\r\n z", "X: a\0", "X: a\rb", "X: a\nY: b", ": y", "X")
    ),
    *(
        (chunks(f"3\r\nabc\r\n0\r\n{text}\r\n\r\n"), 400)
        for text in ("GET /smuggled HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked\r\nContent-Length: 1")
    ),
    (chunks(f"3\r\nabc\r\n0\r\nX: {'y' * 5000}\r\n\r\n"), 431),
    (chunks("3\r\nabc\r\n0\r\n" + "X: y\r\n" * 1000 + "\r\n"), 431),
]


@pytest.mark.parametrize(("request_text", "status"), REFUSED)
async def test_refused_and_closed_with_nothing_behind_it_served(
    gateway: RunningGateway, service: Recorder, request_text: str, status: int
) -> None:
    answer, closed = await exchange(gateway, request_text)
    assert (statuses(answer), closed) == ([status], True)
    assert b"smuggled" not in b"".join(service.raw)


FORWARDED = [
    # what is sent; the request line, fields that the service must have, and must not have; body
    (line("GET /%41%2f%7e?%20 HTTP/1.1"), "GET /%41%2f%7e?%20 HTTP/1.1", {"host": "a"}, "connection", ""),
    (line("GET /a%0d%0ab HTTP/1.1"), "GET /a%0d%0ab HTTP/1.1", {}, "", ""),
    (line("GET //b/x HTTP/1.1"), "GET //b/x HTTP/1.1", {"host": "a"}, "", ""),
    (line("GET http://b/x?y HTTP/1.1"), "GET /x?y HTTP/1.1", {"host": "b"}, "", ""),
    (line("GET HTTP://B:81 HTTP/1.1"), "GET / HTTP/1.1", {"host": "B:81"}, "", ""),
    (line("GET http://b?x HTTP/1.1"), "GET /?x HTTP/1.1", {"host": "b"}, "", ""),
    (line("OPTIONS http://b/ HTTP/1.1"), "OPTIONS / HTTP/1.1", {"host": "b"}, "", ""),
    *((line(f"{name} / HTTP/1.1"), f"{name} / HTTP/1.1", {}, "", "") for name in ("PATCH", "PUT", "DELETE", "QUERY", "PROPFIND", "PURGE")),
    ("\r\n" + line("GET / HTTP/1.1"), "GET / HTTP/1.1", {}, "", ""),
    ("\r\n" * 9 + line("GET / HTTP/1.1"), "GET / HTTP/1.1", {}, "", ""),
    ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET / HTTP/1.1", {"host": "[::1]:80"}, "", ""),
    ("GET / HTTP/1.1\r\nHost: a_b.c-d:8080 \t\r\n\r\n", "GET / HTTP/1.1", {"host": "a_b.c-d:8080"}, "", ""),
    (fields("X: \xe4\xff\tb"), "GET / HTTP/1.1", {"x": "\xe4\xff\tb"}, "", ""),
    (fields("X:a\r\nY:"), "GET / HTTP/1.1", {"x": "a", "y": ""}, "", ""),
    (fields("Via: 1.0 x"), "GET / HTTP/1.1", {"via": "1.0 x, 1.1 shipway"}, "", ""),
    ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / HTTP/1.1", {"via": "1.0 shipway"}, "", ""),
    # hop by hop (RFC 9110 section 7.6.1)
    *((fields(f"{name}: 1"), "GET / HTTP/1.1", {}, name.lower(), "") for name in ("Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "TE", "Proxy")),
    (fields("Connection: X, y ,,close\r\nX: 1\r\nY: 2\r\nZ: 3"), "GET / HTTP/1.1", {"z": "3"}, "x", ""),
    (fields("Connection: X\r\nConnection: Y\r\nX: 1\r\nY: 2\r\nZ: 3"), "GET / HTTP/1.1", {"z": "3"}, "y", ""),
    (fields("Connection: host, via, x-forwarded-for, max-forwards\r\nMax-Forwards: 3"), "GET / HTTP/1.1", {"host": "a", "via": "1.1 shipway", "x-forwarded-for": "127.0.0.1", "max-forwards": "3"}, "", ""),
    (fields("Upgrade: h2c\r\nHTTP2-Settings: AA\r\nConnection: Upgrade, HTTP2-Settings"), "GET / HTTP/1.1", {}, "http2-settings", ""),
    *((fields(f"{text}"), "GET / HTTP/1.1", {}, "upgrade", "") for text in ("Upgrade: h2c", "Upgrade: websocket", "Upgrade: foo\r\nConnection: upgrade")),
    ("GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "GET / HTTP/1.1", {}, "upgrade", ""),
    # names that others would read as ours
    *((fields(f"{name}: 5"), "GET / HTTP/1.1", {}, name.lower(), "") for name in ("Content_Length", "Transfer_Encoding", "X_Forwarded-For", "X-Api_Key")),
    (fields("X_Y: a"), "GET / HTTP/1.1", {"x_y": "a"}, "", ""),
    (fields("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2"), "GET / HTTP/1.1", {"x-forwarded-for": "1.1.1.1, 2.2.2.2, 127.0.0.1"}, "", ""),
    (fields("X-Forwarded-Host: z\r\nX-Forwarded-Proto: https\r\nForwarded: host=z"), "GET / HTTP/1.1", {"x-forwarded-host": "a", "x-forwarded-proto": "http"}, "forwarded", ""),
    (fields("Expect: 100-continue"), "GET / HTTP/1.1", {}, "expect", ""),
    # bodies
    *((f"{name} / HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc", f"{name} / HTTP/1.1", {"content-length": "3"}, "", "abc") for name in ("GET", "HEAD", "DELETE", "OPTIONS", "POST")),
    *((f"POST / HTTP/1.1\r\n{HOST}Content-Length:{text}\r\n\r\nabc", "POST / HTTP/1.1", {"content-length": "3"}, "", "abc") for text in (" 3", "3", " 03", "\t3\t", " 0000000003")),
    (f"POST / HTTP/1.1\r\n{HOST}Connection: close, content-length\r\nContent-Length: 3\r\n\r\nabc", "POST / HTTP/1.1", {"content-length": "3"}, "connection", "abc"),
    (f"POST / HTTP/1.1\r\n{HOST}Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "POST / HTTP/1.1", {"transfer-encoding": "chunked"}, "", "abc"),
    *((f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: {text}\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "POST / HTTP/1.1", {"transfer-encoding": "chunked"}, "content-length", "abc") for text in ("chunked", "Chunked", "CHUNKED", "\tchunked", "chunked ")),
    *((f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{text}", "POST / HTTP/1.1", {}, "", "abc") for text in ("3;a\r\nabc\r\n0;b=c\r\n\r\n", "3 ;\ta = b\r\nabc\r\n0\r\n\r\n", '3;a="b"\r\nabc\r\n0\r\n\r\n', "03\r\nabc\r\n000\r\n\r\n", f"{'0' * 30}3\r\nabc\r\n{'0' * 30}\r\n\r\n", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")),
    *((f"POST / HTTP/1.1\r\n{HOST}Upgrade: {text}\r\nConnection: upgrade\r\nContent-Length: 37\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nab", "POST / HTTP/1.1", {}, "upgrade", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nab") for text in ("h2c", "websocket")),
    (f"POST / HTTP/1.1\r\n{HOST}Upgrade: h2c\r\nConnection: upgrade\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "POST / HTTP/1.1", {}, "upgrade", "abc"),
    *((f"{name} / HTTP/1.1\r\n{HOST}Max-Forwards: {sent}\r\n\r\n", f"{name} / HTTP/1.1", {"max-forwards": kept}, "", "") for name, sent, kept in (("OPTIONS", "1", "0"), ("TRACE", "7", "6"), ("OPTIONS", "7 \t", "6"), ("TRACE", "x", "x"), ("OPTIONS", "9" * 20, "999999999"), ("GET", "0", "0"))),
]  # fmt: skip


@pytest.mark.parametrize(("request_text", "request_line", "has", "lacks", "body"), FORWARDED)
async def test_forwarded_as_the_service_should_see_it(
    gateway: RunningGateway,
    service: Recorder,
    request_text: str,
    request_line: str,
    has: dict[str, str],
    lacks: str,
    body: str,
) -> None:
    answer, _ = await exchange(gateway, request_text)
    assert statuses(answer) == [200]
    (seen,) = service.requests
    assert (seen.line, seen.body) == (request_line.encode(), body.encode())
    assert {name: b", ".join(seen.values(name)).decode("latin-1") for name in has} == has
    assert not lacks or seen.values(lacks) == []
    assert len(seen.values("via")) >= 1


ANSWERED_HERE = [
    (line("OPTIONS * HTTP/1.1"), [204], False),
    (line("OPTIONS http://b HTTP/1.1"), [204], False),
    (f"OPTIONS / HTTP/1.1\r\n{HOST}Max-Forwards: 0\r\n\r\n", [200], False),
    (f"OPTIONS / HTTP/1.1\r\n{HOST}Max-Forwards: 0 \t\r\n\r\n", [200], False),
    (f"TRACE / HTTP/1.1\r\n{HOST}Max-Forwards: 00\r\nCookie: s\r\n\r\n", [200], False),
    *((line(f"GET {path} HTTP/1.1"), [400], False) for path in ("/a/../b", "/%2e%2e/b", "/a\\b", "/%zz", "/%00", "/%")),
    ("GET / HT", [408], True),
    ("\r\n\r\n", [], True),
    (f"POST /x HTTP/1.1\r\n{HOST}Content-Length: 9\r\n\r\nabc", [408], True),
    (f"POST /x HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nab", [408], True),
    (f"POST /x HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y", [408], True),
]


@pytest.mark.parametrize(("request_text", "answers", "closes"), ANSWERED_HERE)
async def test_answered_without_the_service(
    gateway: RunningGateway, service: Recorder, request_text: str, answers: list[int], closes: bool
) -> None:
    answer, closed = await exchange(gateway, request_text)
    assert (statuses(answer), closed) == (answers, closes)
    assert b"Cookie" not in answer
    assert service.requests == []


GOOD = f"GET /good HTTP/1.1\r\n{HOST}\r\n"
POSTED = f"POST /up HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc"
CHUNKED = f"POST /up HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n"
OFFER = f"POST /up HTTP/1.1\r\n{HOST}Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 3\r\n\r\nabc"
WEBSOCKET = f"GET /ws HTTP/1.1\r\n{HOST}Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"


@pytest.mark.parametrize(
    ("request_text", "answers", "closes"),
    [
        (GOOD * 30, [200] * 30, False),
        (GOOD + POSTED + CHUNKED + OFFER + WEBSOCKET + GOOD, [200] * 6, False),
        (GOOD + "garbage\r\n\r\n" + GOOD, [200, 400], True),
        (GOOD + "BREW / HTTP/1.1\r\n\r\n" + GOOD, [200, 501], True),
        (GOOD + GOOD.replace("GET ", "GET  ") + GOOD, [200, 400], True),
        (POSTED + "GET / HTTP/1.1\r\n\r\n" + GOOD, [200, 400], True),
        (GOOD + chunks("3\r\nabcd\r\n0\r\n\r\n"), [200, 400], True),
        (GOOD.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n") + GOOD, [200], True),
        (GOOD.replace("HTTP/1.1", "HTTP/1.0") + GOOD, [200], True),
        (GOOD.replace("1.1\r\n", "1.0\r\nConnection: keep-alive\r\n") + GOOD, [200], True),
        (f"POST / HTTP/1.0\r\n{HOST}\r\n{GOOD}", [200], True),
        (WEBSOCKET + GOOD + GOOD, [200] * 3, False),
    ],
)
async def test_requests_on_one_connection_are_answered_in_order_up_to_the_first_fault(
    gateway: RunningGateway, request_text: str, answers: list[int], closes: bool
) -> None:
    answer, closed = await exchange(gateway, request_text)
    assert (statuses(answer), closed) == (answers, closes)


@pytest.mark.parametrize("request_text", [GOOD + POSTED, CHUNKED + GOOD, "\r\n" + OFFER + WEBSOCKET + GOOD])
async def test_requests_cut_anywhere_are_the_same_requests(
    gateway: RunningGateway, service: Recorder, request_text: str
) -> None:
    async def seen(*pieces: str) -> tuple[list[int], list[tuple[bytes, bytes, object]]]:
        service.requests.clear()
        answer, _ = await exchange(gateway, *pieces)
        return statuses(answer), [(one.line, one.body, one.trailers) for one in service.requests]

    whole = await seen(request_text)
    assert whole == await seen(*request_text)
    cuts = range(1, len(request_text), 7)
    for cut in cuts:
        assert await seen(request_text[:cut], request_text[cut:]) == whole


def response(*lines: str, body: str = "", status: str = "HTTP/1.1 200 OK") -> bytes:
    return "".join(f"{text}\r\n" for text in (status, *lines, "")).encode("latin-1") + body.encode("latin-1")


EVIL = response("Content-Length: 4", body="EVIL")
BAD_RESPONSES: list[tuple[Step, ...]] = [
    *((response(f"Content-Length: {text}", body="abcde"), "close") for text in ("5, 5", "5,6", "-5", "+5", "0x5", "", "9" * 20, "5 5", "a")),
    *((response(f"Content-Length: 5\r\n{text}", body="abcde"), "close") for text in ("Content-Length: 5", "Content-Length: 6", "Content-Length : 5", "Transfer-Encoding : chunked")),
    *((response(*both, body="3\r\nabc\r\n0\r\n\r\n"), "close") for both in (("Content-Length: 3", "Transfer-Encoding: chunked"), ("Transfer-Encoding: chunked", "Content-Length: 3"))),
    *((response(f"Transfer-Encoding: {text}", body="3\r\nabc\r\n0\r\n\r\n"), "close") for text in ("gzip", "gzip, chunked", "identity", "chunked, chunked", "", "xchunked", "chunked, gzip", "\x0bchunked")),
    (response("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body="0\r\n\r\n"), "close"),
    (response("Transfer-Encoding: chunked", body="3\r\nabc\r\n0\r\n\r\n", status="HTTP/1.0 200 OK"), "close"),
    *((response("Transfer-Encoding: chunked", body=text), "close") for text in ("3\nabc\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "-3\r\nabc\r\n", "3 \r\nabc\r\n", "f" * 17 + "\r\nabc")),
    *((response(text, "Content-Length: 2", body="ok"), "close") for text in ("X: a\r\n b", "X: a\rb", "X: a\0b", " X : a", "X\0: a", "X : a\r\n b", "X: a\nY: b", "X: a\x01", "X", ": a", "X Y: a")),
    *((response("Content-Length: 2", body="ok", status=text), "close") for text in ("HTTP/1.1  200 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 20 OK", "HTTP/1.1 099 OK", "HTTP/1.1 000 OK", "HTTP/1.1 -20 OK", "HTTP/1.1 2x0 OK")),
    *((response("Content-Length: 2", body="ok", status=text), "close") for text in ("HTTP/1.2 200 OK", "HTTP/2.0 200 OK", "HTTP/0.9 200 OK", "http/1.1 200 OK", "ICY 200 OK", "RTSP/1.0 200 OK", "garbage", "HTTP/1.1 200 O\rK")),
    (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "close"),
    (b"HTTP/1.1 200 OK\r\nContent-", "close"),
    (b"hello", "close"),
    (b"H", 0.01, b"TTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    (response(*["X: 1"] * 300, "Content-Length: 2", body="ok"),),
    (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + EVIL,),
    (b"HTTP/1.1 101 Switching\r\n\r\n" + EVIL,),
]  # fmt: skip


@pytest.mark.parametrize("steps", BAD_RESPONSES)
async def test_response_that_cannot_be_trusted_is_502_and_the_next_one_unharmed(
    gateway: RunningGateway, service: Recorder, steps: tuple[Step, ...]
) -> None:
    service.answer("bad", *steps)
    answer, closed = await exchange(gateway, f"GET /bad HTTP/1.1\r\n{HOST}\r\n{GOOD}")
    assert (statuses(answer), closed) == ([502, 200], False)
    assert b"EVIL" not in answer
    assert answer.endswith(b"\r\n\r\nok")


CHUNKED_OK = response("Transfer-Encoding: chunked", body="2\r\nok\r\n0\r\n\r\n")
GOOD_RESPONSES: list[tuple[str, tuple[Step, ...], str, list[int]]] = [
    ("GET", (OK + EVIL,), "Content-Length: 2\r\n\r\nok", [200]),
    ("GET", (OK, 0.02, EVIL), "Content-Length: 2\r\n\r\nok", [200]),
    ("GET", (response("Content-Length: 02", body="ok"),), "Content-Length: 2\r\n\r\nok", [200]),
    ("GET", (*(bytes((byte,)) for byte in OK),), "Content-Length: 2\r\n\r\nok", [200]),
    ("GET", (response(body="ok"), "close"), "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", [200]),
    ("GET", (response(body="ok", status="HTTP/1.0 200 OK"), "close"), "chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", [200]),
    ("GET", (response("Content-Length: 2", body="ok", status="HTTP/1.0 200 OK"),), "Content-Length: 2\r\n\r\nok", [200]),
    ("GET", (CHUNKED_OK,), "2\r\nok\r\n0\r\n\r\n", [200]),
    ("GET", (CHUNKED_OK.replace(b"\n2", b"\n" + b"0" * 30 + b"2"),), "2\r\nok\r\n0\r\n\r\n", [200]),
    ("GET", (response("X : a", "Y\t :b", "Content-Length : 2", body="ok"),), "X: a\r\nY: b\r\nContent-Length: 2\r\n\r\nok", [200]),
    ("GET", (CHUNKED_OK.replace(b"chunked", b"Chunked"),), "2\r\nok\r\n0\r\n\r\n", [200]),
    ("GET", (response("Transfer-Encoding: chunked", body="1;a=b\r\no\r\n1\r\nk\r\n0\r\nT: 1\r\nSet-Cookie: b\r\nVia: c\r\n\r\n"),), "0\r\nT: 1\r\n\r\n", [200]),
    ("GET", (response("Content-Length: 2", body="ok", status="HTTP/1.1 299 Fine"),), "Content-Length: 2\r\n\r\nok", [299]),
    ("GET", (response("Content-Length: 2", body="ok", status="HTTP/1.1 200"),), "Content-Length: 2\r\n\r\nok", [200]),
    ("GET", (response("Connection: close", "Content-Length: 2", body="ok"),), "Content-Length: 2\r\n\r\nok", [200]),
    *(("HEAD", (response(text),), f"{kept}\r\n\r\n", [200]) for text, kept in (("Content-Length: 2", "Content-Length: 2"), ("Transfer-Encoding: chunked", ""), ("X: 1", "X: 1"))),
    ("HEAD", (OK,), "Content-Length: 2\r\n\r\n", [200]),
    ("HEAD", (CHUNKED_OK,), "\r\n\r\n", [200]),
    ("HEAD", (response("Content-Length: 2"), 0.02, EVIL), "Content-Length: 2\r\n\r\n", [200]),
    *(("GET", (response(*text, status="HTTP/1.1 204 No"),), "\r\n\r\n", [204]) for text in ((), ("Content-Length: 5",), ("Content-Length: 0",), ("Transfer-Encoding: chunked",))),
    ("GET", (response("Content-Length: 4", body="EVIL", status="HTTP/1.1 204 No"),), "\r\n\r\n", [204]),
    ("GET", (response("Transfer-Encoding: chunked", body="0\r\n\r\n", status="HTTP/1.1 204 No"),), "\r\n\r\n", [204]),
    *(("GET", (response(*text, status="HTTP/1.1 304 No"),), "\r\n\r\n", [304]) for text in ((), ("Content-Length: 5",), ("Transfer-Encoding: chunked",))),
    ("GET", (response("Content-Length: 5", status="HTTP/1.1 304 No") + EVIL,), "Content-Length: 5\r\n\r\n", [304]),
    ("GET", (response("Content-Length: 0", status="HTTP/1.1 205 Reset"),), "Content-Length: 0\r\n\r\n", [205]),
    ("GET", (response(status="HTTP/1.1 102 P") * 3 + OK,), "\r\n\r\nok", [102, 102, 102, 200]),
    ("GET", (response(status="HTTP/1.1 100 C") + OK,), "\r\n\r\nok", [100, 200]),
    ("GET", (response("Content-Length: 5", status="HTTP/1.1 103 E"), 0.01, OK), "\r\n\r\nok", [103, 200]),
    ("GET", (response("Link: a", status="HTTP/1.1 103 E"), "close"), "", [103, 502]),
    ("GET", (response(status="HTTP/1.1 199 O") + OK,), "\r\n\r\nok", [199, 200]),
    *(("GET", (response(text, "Content-Length: 2", body="ok"),), "1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", [200]) for text in ("Keep-Alive: 5", "Connection: X\r\nX: 1", "Proxy-Authenticate: x", "Upgrade: h2c\r\nConnection: upgrade", "TE: x", "Connection: content-length")),
    *(("GET", (response(text, "Content-Length: 2", body="ok"),), f"{text}\r\nContent-Length: 2\r\n\r\nok", [200]) for text in ("Set-Cookie: a\r\nSet-Cookie: b", "Via: 1.0 q", "Server: s", "X: \xe4")),
]  # fmt: skip


@pytest.mark.parametrize(("method", "steps", "ends", "answers"), GOOD_RESPONSES)
async def test_response_is_passed_on_in_its_own_bounds(
    gateway: RunningGateway, service: Recorder, method: str, steps: tuple[Step, ...], ends: str, answers: list[int]
) -> None:
    service.answer("asked", *steps)
    async with gateway.raw() as client:
        await client.send(f"{method} /asked HTTP/1.1\r\n{HOST}\r\n")
        await asyncio.sleep(0.1)
        await client.send(GOOD)
        answer = b""
        while not answer.endswith(OK[-6:]) or len(statuses(answer)) <= len(answers):
            answer += await asyncio.wait_for(client.reader.read(65536), 2)
    answer = re.sub(rb"(x-request-id|Date): [^\r]*\r\n", b"", answer)
    assert statuses(answer) == [*answers, 200]
    assert answer.removesuffix(OK).endswith(ends.encode("latin-1"))
    assert b"EVIL" not in answer


CUT: list[tuple[Step, ...]] = [
    (response("Content-Length: 5", body="ok"), 0.02, "close"),
    (response("Content-Length: 5", body="ok"), 0.02, "reset"),
    (response("Transfer-Encoding: chunked", body="2\r\nok\r\n"), 0.02, "close"),
    (response("Transfer-Encoding: chunked", body="2\r\nok\r\n0\r\n"), 0.02, "close"),
    (response("Transfer-Encoding: chunked", body="2\r\nok\r\n"), 0.02, b"garbage\r\n"),
    (response(body="ok"), 0.02, "reset"),
]


@pytest.mark.parametrize("steps", CUT)
async def test_response_that_is_cut_is_cut_for_the_client_too(
    gateway: RunningGateway, service: Recorder, steps: tuple[Step, ...]
) -> None:
    service.answer("cut", *steps)
    answer, closed = await exchange(gateway, f"GET /cut HTTP/1.1\r\n{HOST}\r\n{GOOD}")
    assert (statuses(answer), closed) == ([200], True)
    assert not answer.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("steps", CUT)
async def test_response_that_is_cut_is_a_reset_for_a_client_that_knows_no_chunks(
    gateway: RunningGateway, service: Recorder, steps: tuple[Step, ...]
) -> None:
    service.answer("cut", *steps)
    with pytest.raises(ConnectionResetError):
        await exchange(gateway, f"GET /cut HTTP/1.0\r\n{HOST}\r\n")
