"""What a response's bytes mean, however they are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.http1.chunked import BadChunks
from shipway.gateway.http1.response_head import BadResponse
from shipway.gateway.http1.response_reader import MAX_HEAD_BYTES, ResponseReader

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 7\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nhello"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def read(reader: ResponseReader, *reads: bytes) -> tuple[bytes, list[int], bytes]:
    """The body, the statuses of interim responses and what is left over."""
    informed: list[int] = []
    left = b"".join([reader.feed(data, lambda head: informed.append(head.status)) for data in reads])
    return reader.take(), informed, left


@given(
    st.sampled_from((LENGTH, CHUNKED, UNTIL_CLOSE)),
    st.integers(0, 2),
    st.lists(st.integers(1, 200), max_size=8).map(sorted),
)
def test_a_response_means_the_same_however_it_is_cut(response: bytes, hints: int, cuts: list[int]) -> None:
    message = EARLY * hints + response
    reads = [message[a:b] for a, b in itertools.pairwise([0, *cuts, len(message)]) if message[a:b]]
    reader = ResponseReader()
    reader.expect(b"POST")
    assert read(reader, *reads) == (b"hello", [103] * hints, b"")
    assert reader.done is (response is not UNTIL_CLOSE)
    assert reader.end_of_input() is (response is UNTIL_CLOSE)
    assert [(name, value) for _, name, value in reader.trailers()] == (
        [(b"X-Sum", b"7")] if response is CHUNKED else []
    )


@pytest.mark.parametrize("response", [LENGTH, CHUNKED])
def test_what_follows_a_response_belongs_to_nothing(response: bytes) -> None:
    reader = ResponseReader()
    reader.expect(b"POST")
    assert read(reader, response + b"HTTP/1.1 200") == (b"hello", [], b"HTTP/1.1 200")


def test_a_response_to_head_has_no_body_whatever_it_announces() -> None:
    reader = ResponseReader()
    reader.expect(b"HEAD")
    assert read(reader, LENGTH.removesuffix(b"hello")) == (b"", [], b"")
    assert (reader.done, reader.content_length) == (True, 5)


def test_a_whole_response_with_the_head_of_the_last_is_recognised_with_a_length_of_its_own() -> None:
    reader = ResponseReader()
    reader.expect(b"POST")
    assert reader.recognise(LENGTH) is None
    read(reader, LENGTH)
    reader.expect(b"POST")
    longer = LENGTH.replace(b"5", b"12") + b" people"
    assert reader.recognise(longer[:-1]) is None
    head = reader.recognise(longer)
    assert head is not None
    assert head is reader.head
    assert (reader.take(), reader.done, reader.content_length, head.status) == (b"hello people", True, 12, 200)


def test_to_head_nothing_is_recognised() -> None:
    reader = ResponseReader()
    reader.expect(b"POST")
    read(reader, LENGTH)
    reader.expect(b"HEAD")
    assert reader.recognise(LENGTH) is None


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"<html>", BadResponse),
        (b"HTTP/1.1 200 OK\nA: b", BadResponse),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * MAX_HEAD_BYTES, BadResponse),
        (CHUNKED.replace(b"2\r\nhe", b"2\r\nhel"), BadChunks),
    ],
)
def test_what_is_no_response_is_refused_as_soon_as_that_is_certain(data: bytes, fault: type[Exception]) -> None:
    reader = ResponseReader()
    reader.expect(b"POST")
    with pytest.raises(fault):
        reader.feed(data, None)
