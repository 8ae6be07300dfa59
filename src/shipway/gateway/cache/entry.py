"""One kept answer, in memory and as the bytes that a shared store keeps."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Entry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A whole answer as it went to the client that asked first.

    Attributes:
        stream: Whether *body* is a whole stream of events, to be given again as a stream.
        body: Bytes of the body, without framing.
        dropped: The header line that names what of the request its upstream was not told, where there was any.
        stored_s: When it was kept, in seconds since 1970, which gateways that share a store agree on.
        input_tokens: What it used, as reported; None is unknown, never zero.
        cost_pico_usd: What that cost when it was made; None is unknown.
    """

    stream: bool
    body: bytes
    dropped: bytes
    stored_s: float
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_pico_usd: int | None = None

    def age_s(self, wall_s: float) -> float:
        """How old it is; clocks of several machines differ, so never less than nothing."""
        return max(0.0, wall_s - self.stored_s)


class Found(NamedTuple):
    """An entry for a request.

    Attributes:
        similarity: The cosine between what is asked and what the entry was an answer to; None where they are the same.
    """

    entry: Entry
    similarity: float | None = None


class _Kept(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An entry with the key that it was kept under, which is looked at when it is read."""

    key: bytes
    entry: Entry


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


def packed(key: bytes, entry: Entry) -> bytes:
    return _encode(_Kept(key, entry))


def unpacked(key: bytes, data: bytes) -> Entry:
    """Raises: ValueError, when *data* is no entry, or that of another key: a store that mixes up answers is not believed."""
    try:
        kept = _decode(data)
    except msgspec.DecodeError as error:
        raise ValueError("not an entry") from error
    if kept.key != key:
        raise ValueError("the entry of another key")
    return kept.entry
