"""An answer on its way to the client that asked, written down to be kept once it is whole and good.

An answer whose recording is never told that it is whole is not kept: an error, a stream that was cut or said an error, one
whose client left, one that a guard refused.
"""

from __future__ import annotations

from shipway.gateway.cache.entry import Entry, Found
from shipway.gateway.cache.flights import Flight
from shipway.gateway.cache.model_cache import ModelCache
from shipway.gateway.cache.semantic import Placed
from shipway.gateway.call import Call
from shipway.gateway.model_api import AnswerReader, Usage


class Recording:
    """Of one call's answer. Whoever began it must `end` it; until then others wait for it in *flight*.

    Attributes:
        placed: The question that it answers, where it is to be found by what that means.
    """

    __slots__ = ("_bytes", "_cache", "_call", "_flight", "_key", "_pieces", "_stream", "_whole", "placed")

    def __init__(self, call: Call, cache: ModelCache, key: bytes, flight: Flight | None, *, stream: bool) -> None:
        self._call = call
        self._cache = cache
        self._key = key
        self._flight = flight
        self._stream = stream
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._whole = False
        self.placed: Placed | None = None

    def begin(self) -> None:
        """An attempt's stream begins; nothing that an earlier one said counts."""
        self._pieces.clear()
        self._bytes = 0

    def piece(self, data: bytes) -> None:
        """A part of a stream, in whole events."""
        if not data or self._bytes > self._cache.max_answer_bytes:
            return
        self._pieces.append(data)
        self._bytes += len(data)
        if self._bytes > self._cache.max_answer_bytes:  # nobody should wait for it any longer
            self._pieces.clear()
            self._let_go()

    def stream_ended(self) -> None:
        """The stream was whole."""
        self._whole = self._bytes <= self._cache.max_answer_bytes

    def whole(self, body: bytes) -> None:
        """The answer, all of it: a JSON object, as any that can be kept is."""
        if not self._stream and body.startswith(b"{"):
            self.begin()
            self.piece(body)
            self.stream_ended()

    def end(self) -> None:
        """Keep the answer if it is whole, and tell those who wait."""
        self._call.recording = None  # or the two would keep each other until the garbage collector came
        call = self._call
        unchecked = call.watch is not None and call.watch.passed_unchecked
        # A guard may have refused what its upstream had ended well, or not have looked at it.
        if not self._whole or call.error is not None or unchecked:
            self._let_go()
            return
        self._whole = False
        entry = Entry(
            self._stream,
            b"".join(self._pieces),
            call.dropped_field,
            self._cache.wall_s(),
            call.input_tokens,
            call.output_tokens,
            call.cost_pico_usd,
        )
        self._cache.store.put(self._key, entry, self._cache.ttl_s)
        if self.placed is not None and self._cache.semantic is not None:
            self._cache.semantic.index.add(self.placed, self._key)
        self.found(Found(entry))

    def found(self, found: Found) -> None:
        """Those who wait have their answer, be it this one or one that was kept."""
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.landed(found)

    def _let_go(self) -> None:
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.failed()


class RecordedReader:
    """Follows a stream as the reader that it is given, and writes down what goes to the client."""

    repeated = None
    """What is written down is read."""

    def __init__(self, reader: AnswerReader, recording: Recording) -> None:
        self._reader = reader
        self._recording = recording
        recording.begin()

    @property
    def begun(self) -> bool:
        return self._reader.begun

    @property
    def pieces(self) -> int:
        return self._reader.pieces

    @property
    def done(self) -> bool:
        return self._reader.done

    @property
    def failed(self) -> str:
        return self._reader.failed

    @property
    def error_kind(self) -> str:
        return self._reader.error_kind

    @property
    def error_wait_s(self) -> float | None:
        return self._reader.error_wait_s

    @property
    def over(self) -> bool:
        return self._reader.over

    @property
    def usage(self) -> Usage | None:
        return self._reader.usage

    def pass_on(self, data: bytes) -> bytes:
        said = self._reader.pass_on(data)
        self._recording.piece(said)
        return said

    def finish(self) -> bytes | None:
        rest = self._reader.finish()
        if rest is not None:
            self._recording.piece(rest)
            self._recording.stream_ended()
        return rest
