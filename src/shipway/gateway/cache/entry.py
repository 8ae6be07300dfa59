"""One kept answer, in memory and as the bytes that a shared store keeps."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

import msgspec

MOST = 2**63 - 1
"""Of what is counted; larger numbers have no place in a shared store."""
Counted = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Moment = Annotated[float, msgspec.Meta(ge=0.0, le=1e11)]


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
    stored_s: Moment
    input_tokens: Counted | None = None
    output_tokens: Counted | None = None
    cost_pico_usd: Counted | None = None

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
_DROPPED = re.compile(rb"(?:x-shipway-dropped: [\x20-\x7e]*\r\n)?")


def packed(key: bytes, entry: Entry) -> bytes:
    """A cost that is beyond what a store can keep is unknown there."""
    if entry.cost_pico_usd is not None and entry.cost_pico_usd > MOST:
        entry = msgspec.structs.replace(entry, cost_pico_usd=None)
    return _encode(_Kept(key, entry))


def unpacked(key: bytes, data: bytes) -> Entry:
    """The entry in *data*, which others can write to: a store that mixes up answers is not believed, nor one whose line for the
    response's head is another than ours.

    Raises:
        ValueError: *data* is no entry that the gateway would have kept, or that of another key.
    """
    try:
        kept = _decode(data)
    except msgspec.DecodeError as error:
        raise ValueError("not an entry") from error
    if kept.key != key:
        raise ValueError("the entry of another key")
    entry = kept.entry
    whole = entry.body.endswith((b"\n", b"\r")) if entry.stream else entry.body.startswith(b"{")
    if not whole or _DROPPED.fullmatch(entry.dropped) is None:
        raise ValueError("an entry that nobody here has kept")
    return entry
