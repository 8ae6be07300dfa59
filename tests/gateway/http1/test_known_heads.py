"""Heads that came on another connection before: read once, and what they say is the same as when they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shipway.gateway.http1.exchange import Exchange
from shipway.gateway.http1.known_heads import KnownHeads
from shipway.gateway.http1.listener import Limits, Server
from shipway.gateway.http1.outbox import Outbox
from shipway.gateway.http1.request_head import BadMessage, RequestHead, read_request_head
from tests.gateway.http1.test_repeats import FULL, HEAD, meaning

MOST_BYTES = 400
TARGET_BYTES = 20


def heads() -> KnownHeads:
    return KnownHeads(max_target_bytes=TARGET_BYTES, max_header_bytes=MOST_BYTES)


Said = tuple[dict[str, object], int | None] | tuple[str, int]


def said(read: Callable[[bytes], tuple[RequestHead, int | None]], raw: bytes) -> Said:
    """What *read* makes of a head: its meaning and length, or why it is refused."""
    try:
        head, length = read(raw)
    except BadMessage as bad:
        return bad.reason, bad.status
    return meaning(head), length


def read_alone(raw: bytes) -> tuple[RequestHead, int | None]:
    """As when nothing was read before it."""
    head = read_request_head(raw, max_target_bytes=TARGET_BYTES, max_header_bytes=MOST_BYTES)
    return head, head.content_length


def test_same_head_is_read_once_whatever_its_length() -> None:
    known = heads()
    first, length = known.read(FULL)
    again, other = known.read(FULL.replace(b"Length: 12", b"Length: 98"))
    assert (again is first, length, other) == (True, 12, 98)


def test_another_key_is_another_head() -> None:
    known = heads()
    known.read(FULL)
    assert known.read(FULL.replace(b"Bearer k", b"Bearer l"))[0].authorization == b"Bearer l"


@pytest.mark.parametrize(
    "raw",
    [
        HEAD.replace(b": 5\r\n", b": 5\r\nContent-Length: 6\r\n"),
        HEAD.replace(b": 5\r\n", b": 0\r\nContent-Length: 5\r\n"),
        HEAD.replace(b": 5\r\n", b": 5, 5\r\n"),
        HEAD.replace(b": 5\r\n", b": +5\r\n"),
        HEAD.replace(b": 5\r\n", b":5 \r\n"),
        HEAD.replace(b": 5\r\n", b": \r\n"),
        HEAD.replace(b": 5\r\n", b": 5\r\nTransfer-Encoding: chunked\r\n"),
        HEAD.replace(b"Content-Length: 5\r\n", b""),
        HEAD.replace(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"),
        HEAD.replace(b" 5\r\n", b" 5\n"),
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HEAD.replace(b" / ", b" http://a/ "),
        HEAD.replace(b" / ", b" /%b " % (b"x" * TARGET_BYTES)),
        HEAD.replace(b"X: 1", b"X: %b" % (b"x" * MOST_BYTES)),
    ],
)
def test_what_is_unlike_is_read_for_itself(raw: bytes) -> None:
    known = heads()
    known.read(HEAD)
    assert said(known.read, raw) == said(read_alone, raw)
    assert said(known.read, raw) == said(read_alone, raw)  # once more: it may be remembered now
    assert said(known.read, HEAD) == said(read_alone, HEAD)


@given(st.lists(st.tuples(st.integers(0, len(HEAD) - 1), st.sampled_from(b"\r\n :;,0159aX\x00\xff")), max_size=3))
def test_a_head_says_the_same_after_any_other(changes: list[tuple[int, int]]) -> None:
    changed = bytearray(HEAD)
    for at, code in changes:
        changed[at] = code
    raw = bytes(changed)
    assume(raw.find(b"\r\n\r\n") + 4 == len(raw))  # whoever reads heads finds their ends first
    known = heads()
    known.read(HEAD)
    assert said(known.read, raw) == said(read_alone, raw)
    assert said(known.read, raw) == said(read_alone, raw)


def test_limits_hold_for_a_head_with_a_longer_length() -> None:
    """The digits count: a head at the limit is known, and one that is a digit longer is above it."""
    filled = HEAD.replace(b"X: 1", b"X: %b" % (b"x" * (MOST_BYTES - len(HEAD) + HEAD.find(b"\r\n") + 5)))
    known = heads()
    assert known.read(filled)[1] == 5
    with pytest.raises(BadMessage, match="larger than max_header"):
        known.read(filled.replace(b"Length: 5", b"Length: 55"))


def test_those_remembered_are_few() -> None:
    known = KnownHeads(max_target_bytes=9000, max_header_bytes=90_000)
    first: RequestHead = known.read(HEAD)[0]
    for number in range(200):
        known.read(HEAD.replace(b"X: 1", b"X: %d" % (number + 2)))
    assert known.read(HEAD)[0] is not first


def test_all_is_forgotten_in_a_minute() -> None:
    known = heads()
    first = known.read(HEAD)[0]
    known.tick(61)
    assert known.read(HEAD)[0] is not first
    second = known.read(HEAD)[0]
    known.tick(119)
    assert known.read(HEAD)[0] is second


def test_a_long_one_is_not_remembered() -> None:
    known = KnownHeads(max_target_bytes=9000, max_header_bytes=90_000)
    long = HEAD.replace(b"X: 1", b"X: %b" % (b"x" * 5000))
    assert known.read(long)[0] is not known.read(long)[0]


async def test_changed_limits_leave_no_head_with_the_connections_that_are_open() -> None:
    """They go on with the old limits, whose heads nobody would have forgotten any more, nor the credentials in them."""

    async def nothing(exchange: Exchange) -> None: ...

    server = Server(nothing, Limits(), Outbox(asyncio.get_running_loop()))
    before = server.heads
    first = before.read(HEAD)[0]
    server.limit(Limits(max_header_bytes=4096))
    second = before.read(HEAD)[0]
    assert second is not first
    assert before.read(HEAD)[0] is not second
    assert server.heads.read(HEAD)[0] is server.heads.read(HEAD)[0]
