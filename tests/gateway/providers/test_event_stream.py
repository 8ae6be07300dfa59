"""The decoder reads what AWS's framing can say, as botocore does, and nothing that is damaged."""

import struct
import uuid
from binascii import crc32

import botocore.eventstream
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.providers.event_stream import BadFrame, EventStreamDecoder, HeaderValue, Message
from shipway.testing.bedrock_frames import frame

_names = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=20)
_messages = st.lists(
    st.tuples(st.dictionaries(_names, st.text(max_size=40), max_size=4), st.binary(max_size=300)), max_size=5
)


@given(messages=_messages, cuts=st.lists(st.integers(1, 60), max_size=30))
def test_messages_come_out_as_they_went_in_wherever_the_stream_is_cut(
    messages: list[tuple[dict[str, str], bytes]], cuts: list[int]
) -> None:
    stream = b"".join(frame(headers, payload) for headers, payload in messages)
    decoder = EventStreamDecoder()
    got: list[Message] = []
    for size in [*cuts, len(stream)]:
        got += decoder.feed(stream[:size])
        stream = stream[size:]
    assert got == [Message(dict(headers), payload) for headers, payload in messages]
    assert decoder.whole


@given(messages=_messages)
def test_botocore_reads_the_same(messages: list[tuple[dict[str, str], bytes]]) -> None:
    stream = b"".join(frame(headers, payload) for headers, payload in messages)
    buffer = botocore.eventstream.EventStreamBuffer()
    buffer.add_data(stream)
    theirs = [Message(event.headers, event.payload) for event in buffer]
    assert EventStreamDecoder().feed(stream) == theirs


HEADERS: list[tuple[int, bytes, HeaderValue]] = [
    (0, b"", True),
    (1, b"", False),
    (2, b"\xff", -1),
    (3, b"\x01\x00", 256),
    (4, b"\x00\x01\x00\x00", 65536),
    (5, b"\x00" * 7 + b"\x07", 7),
    (6, b"\x00\x02\xff\xfe", b"\xff\xfe"),
    (7, b"\x00\x03abc", "abc"),
    (8, b"\x00" * 6 + b"\x03\xe8", 1000),
    (9, bytes(range(16)), uuid.UUID(bytes=bytes(range(16)))),
]


@pytest.mark.parametrize(("kind", "value", "expected"), HEADERS)
def test_every_type_of_header_is_read(kind: int, value: bytes, expected: HeaderValue) -> None:
    (message,) = EventStreamDecoder().feed(_framed(b"\x01n" + bytes([kind]) + value, b"p"))
    assert message == Message({"n": expected}, b"p")


def test_a_bit_that_flips_anywhere_is_noticed() -> None:
    good = frame({":event-type": "x"}, b'{"text":"hello"}')
    for place in range(len(good)):
        broken = bytearray(good)
        broken[place] ^= 0x10
        decoder = EventStreamDecoder()
        with pytest.raises(BadFrame):
            decoder.feed(bytes(broken) + good)


def test_message_that_is_too_large_is_refused_before_it_is_there() -> None:
    decoder = EventStreamDecoder(max_message_bytes=100)
    decoder.feed(frame({}, b"x" * 84))
    with pytest.raises(BadFrame, match="101 bytes"):
        decoder.feed(frame({}, b"x" * 85)[:12])


@pytest.mark.parametrize(
    "block",
    [
        b"\x05ab",
        b"\x01n\x0a",
        b"\x01n\x07\x00\x09abc",
        b"\x01n\x09short",
        b"\x01n",
        b"\x01\xff\x00",
        b"\x01n\x07\x00\x01\xff",
    ],
)
def test_malformed_headers_are_refused(block: bytes) -> None:
    with pytest.raises(BadFrame):
        EventStreamDecoder().feed(_framed(block, b""))


@given(block=st.binary(max_size=60))
def test_headers_of_any_bytes_are_read_or_refused(block: bytes) -> None:
    try:
        (message,) = EventStreamDecoder().feed(_framed(block, b"p"))
    except BadFrame:
        return
    assert message.payload == b"p"


@given(noise=st.binary(max_size=200))
def test_noise_is_refused_or_waited_on_but_never_another_exception(noise: bytes) -> None:
    try:
        EventStreamDecoder().feed(noise)
    except BadFrame:
        pass


def test_stream_cut_inside_a_message_is_not_whole() -> None:
    decoder = EventStreamDecoder()
    decoder.feed(frame({"a": "b"}, b"payload")[:-1])
    assert not decoder.whole


def _framed(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack(">I", crc32(prelude))
    body = prelude + headers + payload
    return body + struct.pack(">I", crc32(body))
