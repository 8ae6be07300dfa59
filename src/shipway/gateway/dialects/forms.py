"""Uploads to models: `multipart/form-data`, of which only the model's name is read and replaced, and whether a stream is
wanted is read.

Source: RFC 7578. The parts are cut out by their boundary and nothing of them is decoded, so a file passes as it was sent.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from shipway.gateway.dialects.model_request import ModelRequest, decode_text
from shipway.gateway.refusals import Refused, bad_field

MAX_PARTS: Final = 256

_BOUNDARY: Final = re.compile(
    rb"multipart/form-data; ?boundary=(?:\"([^\"\r\n]{1,70})\"|([^\s;\"]{1,70}))", re.IGNORECASE
)
_QUOTED: Final = rb'"[^"\r\n]*"'
_NAMED: Final = re.compile(
    rb"(?i:content-disposition): ?form-data; ?name=(?:\"([^\"\r\n]*)\"|([A-Za-z0-9_\[\]-]+))"
    rb"(?:; ?filename=(?:%b|[^\s;\"]+)|; ?filename\*=[^\s;\"]+)*" % _QUOTED
)
"""Narrower than the grammar: what readers could take for another name (`name*`, a second name) is refused."""
_FILE: Final = re.compile(rb"^content-disposition:[^\r\n]*; ?filename\*?=", re.IGNORECASE | re.MULTILINE)
_ENCODED: Final = re.compile(rb"content-transfer-encoding:(?!\s*(?:binary|7bit|8bit)\s*$)", re.IGNORECASE)
"""Some readers would decode what follows, and others would not."""


class FormRequest(ModelRequest):
    """A model call that is a form."""

    __slots__ = ("_after", "_before")

    def __init__(self, body: bytes, content_type: bytes | None) -> None:
        """Raises: Refused, when it is no form with one model."""
        boundary = _BOUNDARY.fullmatch(content_type or b"")
        if boundary is None:
            raise Refused(
                bad_field(None, "The body must be multipart/form-data, with a boundary and nothing else said.")
            )
        values: dict[bytes, tuple[int, int]] = {}
        for start, end in _parts(body, boundary[1] or boundary[2]):
            head_end = body.find(b"\r\n\r\n", start, end)
            name = _name(body[start:head_end]) if head_end >= 0 else None
            if name is None:
                raise Refused(bad_field(None, "A part of the form has no name, or not one that is plain."))
            if name in (b"model", b"stream"):
                if name in values:
                    raise Refused(bad_field(name.decode(), f"The field {name.decode()!r} is there twice."))
                values[name] = (head_end + 4, end)
        if b"model" not in values:
            raise Refused(bad_field("model", "The field 'model' is missing."))
        start, end = values[b"model"]
        try:
            self.model = body[start:end].decode()
        except UnicodeDecodeError:
            raise Refused(bad_field("model", "The field 'model' must be a string.")) from None
        stream_at, stream_end = values.get(b"stream", (0, 0))
        stream = body[stream_at:stream_end].strip().lower()
        if stream not in (b"", b"false", b"true"):  # others may be read one way or the other
            raise Refused(bad_field("stream", "The field 'stream' must be true or false."))
        self.stream = stream == b"true"
        self.body = body
        self.fields = {}
        self.read = None
        self._before, self._after = body[:start], body[end:]

    def texts(self) -> list[tuple[str, str | None]]:
        """Name and value of each part; None in place of a file that is no text. What is no file is text to whoever reads it."""
        texts: list[tuple[str, str | None]] = []
        for start, end in _parts(self.body, self.body[2 : self.body.find(b"\r\n")]):
            head_end = self.body.find(b"\r\n\r\n", start, end)
            head, value = self.body[start:head_end], self.body[head_end + 4 : end]
            text = _text_of_file(value) if _FILE.search(head) else value.decode("utf-8", "replace")
            texts.append(((_name(head) or b"").decode("latin-1"), text))
        return texts

    def beginning(self) -> bytes:
        """The model alone: uploads have no beginning that they share."""
        return self.model.encode()

    def body_for(self, model_json: msgspec.Raw) -> bytes:
        """The form to send upstream, with the string *model_json* in the model's place."""
        return self._before + decode_text(model_json).encode() + self._after


def _text_of_file(value: bytes) -> str | None:
    """What some readers take for the value of a field, whatever its head says."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _name(head: bytes) -> bytes | None:
    """The name of a part, if its head says one and no two readers could differ on it or on what follows."""
    found: bytes | None = None
    for line in head.split(b"\r\n"):
        if b"\n" in line or b"\r" in line or _ENCODED.match(line):
            return None
        if line.lower().startswith(b"content-disposition"):
            match = _NAMED.fullmatch(line)
            if match is None or found is not None:
                return None
            found = match[1] if match[1] is not None else match[2]
        elif line[:1] in (b" ", b"\t"):  # a line that is folded
            return None
    return found


def _parts(body: bytes, boundary: bytes) -> list[tuple[int, int]]:
    """Where each part begins and ends, its head included. Raises: Refused."""
    mark = b"--" + boundary
    if not body.startswith(mark):
        raise Refused(bad_field(None, "The body is not the form that it says it is."))
    at = 0
    found: list[tuple[int, int]] = []
    while True:
        start = at + len(mark)
        if body.startswith(b"--", start):
            return found
        if not body.startswith(b"\r\n", start):  # the boundary is the beginning of another one, or written oddly
            raise Refused(bad_field(None, "The boundary of the form is not clear."))
        end = body.find(b"\r\n" + mark, start)
        if end < 0 or len(found) == MAX_PARTS:
            raise Refused(bad_field(None, "The form does not end, or has too many parts."))
        found.append((start, end))
        at = end + 2
