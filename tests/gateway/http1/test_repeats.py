"""What is recognised as a head that repeats: the same bytes but for its length and values that are only passed on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from shipway.gateway.http1.repeats import KnownHead
from shipway.gateway.http1.request_head import RequestHead, read_request_head
from shipway.gateway.http1.response_head import ResponseHead, read_response_head
from tests.gateway.conftest import StartGateway
from tests.gateway.http1.recorder import recorder
from tests.gateway.http1.test_repeated_requests import app

LINE, HOST, REST = b"POST / HTTP/1.1\r\n", b"Host: a\r\n", b"X: 1\r\n\r\n"
HEAD = LINE + HOST + b"Content-Length: 5\r\n" + REST
MOST_BYTES = 400
FULL = (
    b"POST /v1/x?q=1 HTTP/1.1\r\nHost: a.test\r\nauthorization: Bearer k\r\nTraceParent: 00-aa-bb-01\r\nCookie: c=1\r\n"
    b"X-Request-Id: one\r\nConnection: keep-alive, secret\r\nSecret: s\r\nAccept: a/b\r\nAccept: c/d\r\n"
    b"Content-Length: 12\r\nx-forwarded-for: 10.0.0.1\r\nEmpty:\r\nTight:1\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nDate: Fri, 27 Nov 2026 07:00:00 GMT\r\nContent-Type: text/plain\r\nx-request-id: up-1\r\n"
    b"openai-processing-ms: 12\r\nretry-after: 7\r\nContent-Length: 12\r\nSet-Cookie: a=1\r\n\r\n"
)


def read(raw: bytes) -> RequestHead:
    return read_request_head(raw, max_target_bytes=1000, max_header_bytes=MOST_BYTES)


def known(raw: bytes = HEAD, length: int | None = 5) -> KnownHead[RequestHead]:
    found = KnownHead.of(raw, read(raw), length, MOST_BYTES)
    assert found is not None
    return found


def known_answer() -> KnownHead[ResponseHead]:
    found = KnownHead.of(ANSWER, read_response_head(ANSWER), 12, MOST_BYTES)
    assert found is not None
    return found


def meaning(head: RequestHead | ResponseHead) -> dict[str, object]:
    """All that a head says but for its length, which each message has of its own."""
    return {name: value for name, value in asdict(head).items() if name not in {"content_length", "notes"}}


@given(st.lists(st.integers(0, 10**14), min_size=1, max_size=4))
def test_same_head_with_any_length_is_recognised_and_its_length_read(lengths: list[int]) -> None:
    head = known()
    for length in lengths:
        raw = HEAD.replace(b" 5\r", b" %d\r" % length)
        assert (head.end_in(raw + b"body"), head.length) == (len(raw), length)


@pytest.mark.parametrize(
    "digits", [b"", b"-5", b"+5", b"5 ", b" 5", b"0x5", b"5,5", b"1_0", b"1" * 16, "\u0665".encode()]
)
def test_what_is_no_plain_number_is_not_recognised(digits: bytes) -> None:
    assert known().end_in(HEAD.replace(b" 5\r", b" %b\r" % digits) + b"hello") == 0


@given(st.integers(0, len(HEAD) - 1), st.binary(min_size=1, max_size=1))
def test_one_other_byte_is_another_head(at: int, byte: bytes) -> None:
    """But where X has another value, which is only passed on."""
    changed = HEAD[:at] + byte + HEAD[at + 1 :]
    end = known().end_in(changed + b"hello")
    may_change = (byte.isdigit() and HEAD[at : at + 1] == b"5") or (at == HEAD.index(b"1\r\n\r\n") and graphic(byte))
    assert end == (len(HEAD) if changed == HEAD or may_change else 0)


def graphic(byte: bytes) -> bool:
    return b"!" <= byte <= b"~" or byte >= b"\x80"


EDITS = st.lists(
    st.tuples(
        st.integers(0, max(len(FULL), len(ANSWER))),
        st.integers(0, 4),
        st.sampled_from(
            [
                b"",
                b"0",
                b"9",
                b"x",
                b" ",
                b"\t",
                b"\r\n",
                b"\n",
                b"\r",
                b":",
                b",",
                b"\0",
                b"\x7f",
                b"\xff",
                b"\r\nA: b",
            ]
        ),
    ),
    max_size=3,
)


def edited(raw: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, cut, put in edits:
        raw = raw[:at] + put + raw[at + cut :]
    return raw


@given(EDITS)
@settings(max_examples=1500)
def test_recognised_request_means_what_it_would_if_it_were_read(edits: list[tuple[int, int, bytes]]) -> None:
    data = edited(FULL, edits) + b"hello hello \r\n\r\n"
    head = known(FULL, 12)
    if end := head.end_in(data):
        fresh = read(data[:end])
        assert (meaning(head.head), head.length) == (meaning(fresh), fresh.content_length)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "cc"]), st.sampled_from([5, 7, 30])), max_size=6))
def test_length_is_the_one_of_this_message_whatever_the_ones_before_changed(messages: list[tuple[str, int]]) -> None:
    head = known()
    for value, length in messages:
        raw = LINE + HOST + b"Content-Length: %d\r\nX: %b\r\n\r\n" % (length, value.encode())
        for way in (raw, LINE + HOST + b"X: %b\r\nContent-Length: %d\r\n\r\n" % (value.encode(), length)):
            if end := head.end_in(way + b"hello"):
                assert (end, head.length, meaning(head.head)) == (len(way), length, meaning(read(way)))


@given(EDITS)
@settings(max_examples=1500)
def test_recognised_response_means_what_it_would_if_it_were_read(edits: list[tuple[int, int, bytes]]) -> None:
    data = edited(ANSWER, edits) + b"hello hello \r\n\r\n"
    head = known_answer()
    if end := head.end_in(data):
        fresh = read_response_head(data[:end])
        assert (meaning(head.head), head.length) == (meaning(fresh), fresh.content_length)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"00-aa-bb-01", b"00-cc-a longer one-00"),
        (b"X-Request-Id: one", b"X-Request-Id: another"),
        (b"Accept: c/d", b"Accept: e/f;q=0.5"),
        (b"Length: 12", b"Length: 1234"),
    ],
)
def test_other_values_of_what_is_only_passed_on_are_recognised(old: bytes, new: bytes) -> None:
    head = known(FULL, 12)
    other = FULL.replace(old, new)
    for raw in (other, FULL, other):
        assert head.end_in(raw + b"body") == len(raw)
        fresh = read(raw)
        assert (meaning(head.head), head.length) == (meaning(fresh), fresh.content_length)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Host: a.test", b"Host: b.test"),
        (b"Bearer k", b"Bearer l"),
        (b"c=1", b"c=2"),
        (b"keep-alive, secret", b"keep-alive, accept"),
        (b"Secret: s", b"Secret: t"),
        (b"10.0.0.1", b"10.0.0.2"),
        (b"Empty:", b"Empty: 1"),
        (b"Tight:1", b"Tight:2"),
        (b"00-aa-bb-01", b"  padded"),
        (b"00-aa-bb-01", b"a" * MOST_BYTES),
    ],
)
def test_other_values_of_what_is_read_are_not_recognised(old: bytes, new: bytes) -> None:
    assert known(FULL, 12).end_in(FULL.replace(old, new) + b"body") == 0


@pytest.mark.parametrize(
    ("old", "new", "same"), [(b":00 GMT", b":01 GMT", True), (b"up-1", b"up-2", True), (b": 7", b": 8", False)]
)
def test_response_with_other_values_is_recognised_where_they_are_only_passed_on(
    old: bytes, new: bytes, same: bool
) -> None:
    raw = ANSWER.replace(old, new)
    assert known_answer().end_in(raw + b"body") == (len(raw) if same else 0)


@given(st.integers(0, len(HEAD) - 1))
def test_head_that_is_not_whole_is_not_recognised(cut: int) -> None:
    assert known().end_in(HEAD[:cut]) == 0


def test_head_without_length_is_recognised_as_it_is() -> None:
    head = known(LINE + HOST + REST, None)
    assert (head.end_in(LINE + HOST + REST), head.length) == (len(LINE + HOST + REST), None)
    assert head.end_in(HEAD) == 0


@pytest.mark.parametrize("field", [b"Content-Length: 5 \r\n", b"Content-Length: 0000000000000005\r\n"])
def test_length_in_an_odd_way_is_never_recognised(field: bytes) -> None:
    assert KnownHead.of(LINE + HOST + field + REST, read(HEAD), 5, MOST_BYTES) is None


async def test_blank_lines_and_a_body_are_no_request(start_gateway: StartGateway) -> None:
    """As they were once taken for one, behind a head whose length is written in an odd way."""
    async with recorder() as service:
        gateway = await start_gateway(app(service))
        async with gateway.raw() as client:
            await client.send(LINE + HOST + b"Content-Length: 5 \r\n" + REST + b"hello")
            assert (await client.response()).status == 200
            await client.send(b"\r\n\r\nhe{lo")
            assert (await client.response()).status == 400
        assert len(service.requests) == 1


def test_response_that_was_mended_in_reading_is_recognised_only_as_it_is() -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-A : 1\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n"
    head = KnownHead.of(raw, read_response_head(raw), 0, MOST_BYTES)
    assert head is not None
    assert head.end_in(raw) == len(raw)
    assert head.end_in(raw.replace(b": 2", b": 3")) == 0
