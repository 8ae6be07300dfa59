"""Heads that repeat: on a kept connection most messages begin with nearly the same bytes as the one before.

Reading such a head again would come to the same result, so it is recognised by its bytes and not read. What is recognised
is exact: the same bytes but for the digits of Content-Length and the values of fields that are only passed on, such as
a trace id, of which nothing follows but themselves.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Final, Generic, Protocol, Self, TypeVar

from shipway.gateway.http1.fields import Fields

CONTENT_LENGTH: Final = re.compile(rb"\r\n(?i:content-length):[ \t]*([0-9]{1,15})\r\n")
_MAX_DIGITS: Final = 15
_VALUE: Final = re.compile(rb"[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?")
"""A value as llhttp would give it, without white space around it and not empty."""


class Head(Protocol):
    """A head that was read.

    Attributes:
        passed_on: Its fields that are forwarded, in order.
        read_too: Names of those of them from whose values something else follows.
    """

    passed_on: Fields

    @property
    def read_too(self) -> Set[bytes]: ...

    def with_values(self, passed_on: Fields, request_id: bytes | None) -> Self:
        """The same head with other values of fields. *request_id*: None where it is the same, or not there."""


H = TypeVar("H", bound=Head)


class KnownHead(Generic[H]):
    """A head that was read, to be recognised when it comes again.

    Attributes:
        head: As it came last.
        length: Content-Length of the message that it came with; None where it has none.
    """

    __slots__ = ("_after", "_at", "_before", "_digits", "_end", "_form", "_most_bytes", "_stop", "head", "length")

    def __init__(self, raw: bytes, head: H, digits: re.Match[bytes] | None, most_bytes: int) -> None:
        """*digits*: those of Content-Length in *raw*; None where there is none."""
        self.head = head
        self.length: int | None = None
        self._most_bytes = most_bytes
        self._form: _Form | None = None
        start, stop = digits.span(1) if digits else (len(raw), len(raw))
        self._remember(raw, start, raw[start:stop])

    @classmethod
    def of(cls, raw: bytes, head: H, length: int | None, most_bytes: int) -> KnownHead[H] | None:
        """*head*, read from *raw* with a Content-Length of *length*; None where that is written in an odd way.

        Args:
            most_bytes: A head that is longer is not recognised.
        """
        digits = None
        if length is not None:
            digits = CONTENT_LENGTH.search(raw)
            if digits is None:
                return None
        return cls(raw, head, digits, most_bytes)

    def _remember(self, raw: bytes, at: int, digits: bytes) -> None:
        """Recognise *raw* at once when it comes again; *digits* of its length are at *at*."""
        self._before = raw[:at]
        self._digits = digits
        self._at = at
        self._stop = at + len(digits)
        self._after = raw[self._stop :]
        self._end = len(raw)
        if digits:
            self.length = int(digits)

    def end_in(self, data: bytes) -> int:
        """Where this head ends in *data*, which begins with a message; 0 if that begins otherwise."""
        at, stop, end = self._at, self._stop, self._end
        # Comparing slices costs half of `startswith`.
        if data[:at] != self._before:
            return self._end_with_other_values(data)
        if data[stop:end] != self._after:  # more digits than last time, or fewer
            stop = data.find(b"\r", at, at + _MAX_DIGITS + 1)
            if stop < 0 or not data.startswith(self._after, stop):
                return self._end_with_other_values(data)
            end = stop + len(self._after)
        digits = data[at:stop]
        if digits != self._digits:
            if not digits.isdigit():
                return 0
            self.length = int(digits)
            self._digits, self._stop, self._end = digits, stop, end
        return end

    def _end_with_other_values(self, data: bytes) -> int:
        end = data.find(b"\r\n\r\n") + 4
        if not 4 <= end <= self._most_bytes:
            return 0
        form = self._form
        if form is None:
            form = self._form = _Form(self._before + self._digits + self._after, self.head)
        raw = data[:end]
        lines = raw.split(b"\r\n")
        if len(lines) != len(form.lines):
            return 0
        passed_on: Fields | None = None
        request_id = None
        for line, known, slot in zip(lines, form.lines, form.slots, strict=True):
            if line == known:
                continue
            if slot is None or not line.startswith(slot.beginning):
                return 0
            value = line[len(slot.beginning) :]
            if slot.place == _LENGTH_PLACE:
                if not (value.isdigit() and len(value) <= _MAX_DIGITS):
                    return 0
            elif _VALUE.fullmatch(value) is None:
                return 0
            elif slot.place == _REQUEST_ID_PLACE:
                request_id = value
            else:
                if passed_on is None:
                    passed_on = self.head.passed_on.copy()
                lower, name, _ = passed_on[slot.place]
                passed_on[slot.place] = (lower, name, value)
        self.head = self.head.with_values(passed_on or self.head.passed_on, request_id)
        form.lines = lines
        mark = form.length_mark
        if mark:
            at = raw.find(mark) + len(mark)
            # The digits from the message itself: its line may be the one in the form, and the last message have had another.
            self._remember(raw, at, raw[at : raw.find(b"\r", at)])
        else:
            self._remember(raw, end, b"")
        return end


_LENGTH_PLACE: Final = -1
_REQUEST_ID_PLACE: Final = -2


class _Slot:
    """A line of a head whose value may be another one.

    Attributes:
        beginning: Of the line, up to the value.
        place: Which of the head's fields that are passed on it is; or one of the two above.
    """

    __slots__ = ("beginning", "place")

    def __init__(self, beginning: bytes, place: int) -> None:
        self.beginning = beginning
        self.place = place


class _Form:
    """A head line by line; made when one comes that is not quite the same.

    Attributes:
        lines: As they came last; two empty ones at the end.
        slots: For each line what may change in it; None where it must be the same.
        length_mark: What the digits of Content-Length stand behind; empty where there are none.
    """

    __slots__ = ("length_mark", "lines", "slots")

    def __init__(self, raw: bytes, head: Head) -> None:
        self.length_mark = b""
        self.lines = raw.split(b"\r\n")
        self.slots: list[_Slot | None] = []
        names = [line.partition(b":")[0].lower() for line in self.lines]
        passed_on = {lower for lower, _, _ in head.passed_on}
        place = 0
        for lower, line in zip(names, self.lines, strict=True):
            beginning = line[: len(lower)] + b": "
            slot: _Slot | None = None
            if lower == b"content-length":
                slot = _Slot(line.rstrip(b"0123456789"), _LENGTH_PLACE)
                self.length_mark = b"\r\n" + slot.beginning
            elif lower == b"x-request-id" and names.count(lower) == 1:
                slot = _Slot(beginning, _REQUEST_ID_PLACE)
            elif lower in passed_on:
                if lower not in head.read_too:
                    slot = _Slot(beginning, place)
                place += 1
            # A value that was empty, or set apart in a way of its own, is read each time.
            self.slots.append(slot if slot and line.startswith(slot.beginning) and line != slot.beginning else None)
        if place != len(head.passed_on):  # a name was mended in reading: which line is which field is uncertain
            self.slots = [None] * len(self.lines)
