"""A response behind others that resemble it, on one kept connection, means what it would mean as the first one there."""

# ruff: noqa: E501 -- a case is a line

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.http1.conftest import public_app
from tests.gateway.http1.recorder import Recorder, Step
from tests.gateway.http1.test_mutations import Mutation, mutated, mutations

NUMBER = b"NNNNNN"
_CHANGING = re.compile(rb"(x-request-id|Date): [^\r]*\r\n", re.IGNORECASE)


@pytest.fixture
async def gateway(start_gateway: StartGateway, service: Recorder) -> RunningGateway:
    return await start_gateway(public_app(service, timeouts='first_byte = "200ms"\nidle = "200ms"\n'))


@dataclass(frozen=True)
class Seen:
    """What the client got, whether the gateway closed its connection, and whether it kept the service's."""

    answer: bytes
    closed: bool
    kept: bool


class Service:
    """Has the service answer with given bytes, on a connection where it has or has not answered alike before."""

    def __init__(self, gateway: RunningGateway, service: Recorder) -> None:
        self._gateway = gateway
        self._service = service
        self._number = 100_000

    async def answer(
        self, *pieces: bytes, after: Sequence[bytes] = (), method: str = "GET", before_method: str = "GET"
    ) -> Seen:
        """Give *after*, one answer a request, then *pieces* to one more, each a write of its own."""
        self._number += 1
        number = b"%d" % self._number
        await self._close_kept_ones()
        for earlier in after:
            await self._ask(before_method, [earlier.replace(NUMBER, number)])
        opened = self._service.connections
        steps: list[Step] = [piece.replace(NUMBER, number) for piece in pieces]
        for at in range(len(steps) - 1, 0, -1):
            steps.insert(at, 0.0008)
        given = self._service.answered
        data, closed = await self._ask(method, steps)
        assert self._service.connections == opened + (not after), "the warm connection was not the one in use"
        for _ in range(50):  # what comes late belongs to this answer, not to the next request
            if self._service.answered > given:
                break
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.003)
        opened = self._service.connections
        await self._ask("GET", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])
        kept = self._service.connections == opened
        return Seen(_in_one_chunk(_CHANGING.sub(b"", data)).replace(number, NUMBER), closed, kept)

    async def _close_kept_ones(self) -> None:
        data, _ = await self._ask("GET", [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"])
        assert data.endswith(b"ok")

    async def _ask(self, method: str, steps: Sequence[Step]) -> tuple[bytes, bool]:
        self._service.answer("x", *steps)
        async with self._gateway.raw() as client:
            await client.send(f"{method} /x HTTP/1.1\r\nHost: a\r\nX-Request-Id: {self._number}\r\n\r\n")
            data = b""
            try:
                while not _is_whole(data, method):
                    more = await asyncio.wait_for(client.reader.read(65536), 3)
                    if not more:
                        return data, True
                    data += more
            except ConnectionError:
                return data, True
            return data, False


def _is_whole(data: bytes, method: str) -> bool:
    """Whether *data*, as the gateway frames it, is a whole final response."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    if head.startswith(b"HTTP/1.1 1"):
        return _is_whole(body, method)
    if method == "HEAD" or head[9:12] in {b"204", b"304"}:
        return True
    length = re.search(rb"\r\ncontent-length: ([0-9]+)", head, re.IGNORECASE)
    return len(body) >= int(length[1]) if length else re.search(rb"(^|\r\n)0\r\n([^\r]+\r\n)*\r\n$", body) is not None


def _in_one_chunk(data: bytes) -> bytes:
    """*data* as if its body had come in one chunk: how it was cut says nothing."""
    head, _, body = data.rpartition(b"Transfer-Encoding: chunked\r\n\r\n")
    if not head:
        return data
    content = b""
    while (size := re.match(rb"([1-9a-f][0-9a-f]*)\r\n", body)) is not None:
        end = size.end() + int(size[1], 16)
        content += body[size.end() : end]
        body = body[end + 2 :]
    return b"%b, chunked\r\n\r\n%b, %b" % (head, content, body)


def response(fields: bytes, body: bytes = b"", line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"%b\r\nX: NNNNNN\r\n%b\r\n%b" % (line, fields, body)


OK = response(b"Content-Length: 2\r\n", b"ok")
CHUNKED = response(b"Transfer-Encoding: chunked\r\n", b"2\r\nok\r\n0\r\n\r\n")
BODILESS = response(b"Content-Length: 2\r\n")
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
HINTS = response(b"Link: a\r\n", b"", b"HTTP/1.1 103 Early")

ALIKE = {
    "the same": (OK, OK),
    "another body": (OK, OK[:-2] + b"ko"),
    "another length": (OK, response(b"Content-Length: 5\r\n", b"hello")),
    "no body": (OK, response(b"Content-Length: 0\r\n")),
    "a length longer than the body": (OK, response(b"Content-Length: 3\r\n", b"ok")),
    "a length shorter than the body": (OK, response(b"Content-Length: 2\r\n", b"ok" + EVIL)),
    "a length with zeros before it": (OK, response(b"Content-Length: 002\r\n", b"ok")),
    "a length twice": (OK, response(b"Content-Length: 2\r\nContent-Length: 2\r\n", b"ok")),
    "a length twice, differently": (OK, response(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"okk")),
    "a length listed": (OK, response(b"Content-Length: 2, 2\r\n", b"ok")),
    "a signed length": (OK, response(b"Content-Length: +2\r\n", b"ok")),
    "chunks in place of a length": (OK, CHUNKED),
    "a length in place of chunks": (CHUNKED, OK),
    "other chunks": (CHUNKED, response(b"Transfer-Encoding: chunked\r\n", b"1;a\r\no\r\n1\r\nk\r\n0\r\nT: 1\r\n\r\n")),
    "chunks that are cut": (CHUNKED, response(b"Transfer-Encoding: chunked\r\n", b"2\r\nok\r\n")),
    "malformed chunks": (CHUNKED, response(b"Transfer-Encoding: chunked\r\n", b"3\r\nok\r\n0\r\n\r\n")),
    "chunks followed by more": (CHUNKED, CHUNKED + EVIL),
    "both framings": (OK, response(b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"2\r\nok\r\n0\r\n\r\n")),
    "another coding": (CHUNKED, response(b"Transfer-Encoding: gzip, chunked\r\n", b"2\r\nok\r\n0\r\n\r\n")),
    "another status": (OK, response(b"Content-Length: 2\r\n", b"ok", b"HTTP/1.1 404 Not Found")),
    "a status longer by a digit": (OK, response(b"Content-Length: 2\r\n", b"ok", b"HTTP/1.1 2000 OK")),
    "another version": (OK, response(b"Content-Length: 2\r\n", b"ok", b"HTTP/1.0 200 OK")),
    "a version unknown": (OK, response(b"Content-Length: 2\r\n", b"ok", b"HTTP/1.2 200 OK")),
    "no content": (OK, response(b"", b"", b"HTTP/1.1 204 No Content")),
    "no content, but a length": (OK, response(b"Content-Length: 2\r\n", b"", b"HTTP/1.1 204 No Content")),
    "not modified": (OK, response(b"Content-Length: 2\r\n", b"", b"HTTP/1.1 304 Not Modified")),
    "not modified, but a body": (OK, response(b"Content-Length: 2\r\n", b"ok", b"HTTP/1.1 304 Not Modified")),
    "hints before it": (OK, HINTS + OK),
    "no hints before it": (HINTS + OK, OK),
    "a switch of protocols": (OK, response(b"Upgrade: websocket\r\n", b"", b"HTTP/1.1 101 Switching")),
    "Connection: close": (OK, response(b"Connection: close\r\nContent-Length: 2\r\n", b"ok")),
    "a field named in Connection": (response(b"Y: 1\r\nContent-Length: 2\r\n", b"ok"), response(b"Connection: y\r\nY: 1\r\nContent-Length: 2\r\n", b"ok")),
    "a field changed by a byte": (response(b"Y: 1\r\nContent-Length: 2\r\n", b"ok"), response(b"Y: 2\r\nContent-Length: 2\r\n", b"ok")),
    "a cookie of another": (response(b"Set-Cookie: a\r\nContent-Length: 2\r\n", b"ok"), response(b"Set-Cookie: b\r\nContent-Length: 2\r\n", b"ok")),
    "no cookie": (response(b"Set-Cookie: a\r\nContent-Length: 2\r\n", b"ok"), OK),
    "its own Date": (OK, response(b"Date: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Length: 2\r\n", b"ok")),
    "a line end without CR": (OK, OK.replace(b"OK\r\n", b"OK\n")),
    "a CR in a value": (OK, OK.replace(b"NNNNNN", b"N\rN")),
    "a NUL in a value": (OK, OK.replace(b"NNNNNN", b"N\0N")),
    "a folded field": (OK, OK.replace(b"X: ", b"X:\r\n ")),
    "a space before the colon": (OK, OK.replace(b"X: ", b"X : ")),
    "an empty line before it": (OK, b"\r\n" + OK),
    "no end of the head": (OK, OK[:-4]),
    "garbage": (OK, b"garbage\r\n\r\n"),
}  # fmt: skip


async def test_response_behind_others_like_it_is_the_response_it_would_be_alone(
    gateway: RunningGateway, service: Recorder
) -> None:
    talking = Service(gateway, service)
    unlike = []
    for name, (before, message) in ALIKE.items():
        alone = await talking.answer(message)
        for times in (1, 3):
            seen = await talking.answer(message, after=[before] * times)
            if seen != alone:
                unlike.append((name, times, seen, alone))
    assert unlike == []


async def test_response_behind_others_like_it_may_come_in_two_reads(gateway: RunningGateway, service: Recorder) -> None:
    talking = Service(gateway, service)
    unlike = []
    for name, (before, message) in ALIKE.items():
        step = 24 if "longer" in name or "cut" in name or "no end" in name else 6  # each waits for a deadline
        alone = await talking.answer(message)
        for cut in range(1 + len(name) % step, len(message), step):
            seen = await talking.answer(message[:cut], message[cut:], after=[before] * 2)
            if _outcome(seen, alone) != alone:
                unlike.append((name, message[:cut], seen, alone))
    assert unlike == []


@pytest.mark.parametrize(("first", "then"), [("GET", "HEAD"), ("HEAD", "GET"), ("HEAD", "HEAD"), ("POST", "GET")])
async def test_equal_heads_have_a_body_or_none_by_the_method_that_asked(
    gateway: RunningGateway, service: Recorder, first: str, then: str
) -> None:
    talking = Service(gateway, service)
    answers = {"HEAD": BODILESS}
    alone = await talking.answer(answers.get(then, OK), method=then)
    again = await talking.answer(
        answers.get(then, OK), after=[answers.get(first, OK)] * 2, method=then, before_method=first
    )
    assert again == alone
    assert again.answer.endswith(b"\r\n\r\n" if then == "HEAD" else b"ok")


SEEDS = (OK, CHUNKED, HINTS + OK, response(b"Connection: y\r\nY: 1\r\nContent-Length: 2\r\n", b"ok"))


async def test_mutated_response_behind_its_original_means_what_it_means_alone(
    gateway: RunningGateway, service: Recorder
) -> None:
    loop = asyncio.get_running_loop()
    talking = Service(gateway, service)

    async def check(seed: bytes, changes: list[Mutation], cut: int) -> None:
        message = mutated(seed, changes)
        alone = await talking.answer(message)
        assert await talking.answer(message, after=[seed] * 2) == alone, message
        cut %= max(1, len(message))
        halves = await talking.answer(message[:cut], message[cut:], after=[seed])
        assert _outcome(halves, alone) == alone, (message, cut)

    def run_one(seed: bytes, changes: list[Mutation], cut: int) -> None:
        asyncio.run_coroutine_threadsafe(check(seed, changes, cut), loop).result(20)

    fuzz = settings(max_examples=60, suppress_health_check=list(HealthCheck), derandomize=True, database=None)(
        given(st.sampled_from(SEEDS), mutations, st.integers(1, 300))(run_one)
    )
    await asyncio.to_thread(fuzz)


def _outcome(seen: Seen, alone: Seen) -> Seen:
    """*seen*, or *alone* where both differ only in what a fault behind the head allows: a cut in place of a 502.

    A body that comes with its head in one read may show its fault before anything was passed on.
    """
    faulty = alone.answer.startswith(b"HTTP/1.1 502") or alone.closed
    if faulty and not seen.kept and (seen.closed or seen.answer.startswith(b"HTTP/1.1 502")):
        return alone
    return seen
