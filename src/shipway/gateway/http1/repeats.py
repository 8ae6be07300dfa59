"""Heads that repeat: on a kept connection most messages begin with nearly the same bytes as the one before.

Reading such a head again would come to the same result, so it is recognised by its bytes and not read. What is recognised
is exact: the same bytes but for the digits of Content-Length and the values of fields that are only passed on, such as
a trace id, of which nothing follows but themselves.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Generic, Protocol, Self, TypeVar

from shipway.gateway.http1.fields import Fields

_LENGTH = re.compile(rb"\r\n(?i:content-length):[ \t]*([0-9]{1,15})\r\n")
_MAX_DIGITS = 15
_VALUE = re.compile(rb"[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?")
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
        head: Of the message that `end_in` recognised last.
        length: Content-Length of that message; None where the head has none.
    """

    __slots__ = (
        "_after",
        "_at",
        "_before",
        "_digits",
        "_end",
        "_first",
        "_form",
        "_most_bytes",
        "_stop",
        "head",
        "length",
    )

    def __init__(self, before: bytes, digits: bytes, after: bytes, head: H, most_bytes: int) -> None:
        """*digits*: those of Content-Length; empty, as is *after*, where the head has none."""
        self.head = self._first = head
        self.length = int(digits) if digits else None
        self._before = before
        self._digits = digits
        self._after = after
        self._at = len(before)
        self._stop = self._at + len(digits)
        self._end = self._stop + len(after)
        self._most_bytes = most_bytes
        self._form: _Form | None = None

    @classmethod
    def of(cls, raw: bytes, head: H, length: int | None, most_bytes: int) -> KnownHead[H] | None:
        """*head*, read from *raw* with a Content-Length of *length*; None where that is written in an odd way.

        Args:
            most_bytes: A head that is longer is not recognised.
        """
        if length is None:
            return cls(raw, b"", b"", head, most_bytes)
        digits = _LENGTH.search(raw)
        if digits is None:
            return None
        return cls(raw[: digits.start(1)], digits[1], raw[digits.end(1) :], head, most_bytes)

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
            self._take_length(digits)
            self._stop, self._end = stop, end
        self.head = self._first
        return end

    def _end_with_other_values(self, data: bytes) -> int:
        end = data.find(b"\r\n\r\n") + 4
        if not 4 <= end <= self._most_bytes:
            return 0
        form = self._form
        if form is None:
            form = self._form = _Form(self._before + self._digits + self._after, self._first)
        lines = data[: end - 4].split(b"\r\n")
        if len(lines) != len(form.lines):
            return 0
        passed_on: Fields | None = None
        request_id = digits = None
        for line, known, slot in zip(lines, form.lines, form.slots, strict=True):
            if line == known:
                continue
            if slot is None or not line.startswith(slot.beginning):
                return 0
            value = line[len(slot.beginning) :]
            if slot.place == _LENGTH_PLACE:
                if not (value.isdigit() and len(value) <= _MAX_DIGITS):
                    return 0
                digits = value
            elif _VALUE.fullmatch(value) is None:
                return 0
            elif slot.place == _REQUEST_ID_PLACE:
                request_id = value
            else:
                if passed_on is None:
                    passed_on = self._first.passed_on.copy()
                lower, name, _ = passed_on[slot.place]
                passed_on[slot.place] = (lower, name, value)
        self._take_length(digits or form.digits)
        self._stop = self._at + len(self._digits)
        self._end = self._stop + len(self._after)
        self.head = self._first.with_values(passed_on or self._first.passed_on, request_id)
        return end

    def _take_length(self, digits: bytes) -> None:
        if digits:
            self.length = int(digits)
            self._digits = digits


_LENGTH_PLACE, _REQUEST_ID_PLACE = -1, -2


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
        lines: As they were.
        slots: For each line what may change in it; None where it must be the same.
        digits: Of Content-Length.
    """

    __slots__ = ("digits", "lines", "slots")

    def __init__(self, raw: bytes, head: Head) -> None:
        length = _LENGTH.search(raw)
        self.digits = length[1] if length else b""
        self.lines = raw[:-4].split(b"\r\n")
        self.slots: list[_Slot | None] = [None]
        names = [line.partition(b":")[0].lower() for line in self.lines]
        passed_on = {lower for lower, _, _ in head.passed_on}
        place = 0
        for lower, line in zip(names[1:], self.lines[1:], strict=True):
            beginning = line[: len(lower)] + b": "
            slot: _Slot | None = None
            if lower == b"content-length":
                slot = _Slot(line.removesuffix(self.digits), _LENGTH_PLACE)
            elif lower == b"x-request-id" and names.count(lower) == 1:
                slot = _Slot(beginning, _REQUEST_ID_PLACE)
            elif lower in passed_on:
                if lower not in head.read_too:
                    slot = _Slot(beginning, place)
                place += 1
            # A value that was empty, or set apart in a way of its own, is read each time.
            self.slots.append(slot if slot and line.startswith(slot.beginning) and line != slot.beginning else None)
