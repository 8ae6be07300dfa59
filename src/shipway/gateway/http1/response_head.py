"""Response heads: read strictly, with what a proxy must not forward already taken out."""

from __future__ import annotations

import re
from collections.abc import Set
from copy import copy
from http import HTTPStatus
from typing import Self

import httptools
import msgspec

from shipway.gateway.http1.fields import HOP_BY_HOP, Fields, HeadFields, as_lines, without

MAX_FIELDS = 256
_USUAL_CONNECTION = frozenset((b"keep-alive", b"close", b"Keep-Alive", b"Close"))
"""Values of Connection that name no field."""
_SPACED_NAME = re.compile(rb"(?<=\r\n)([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]+:")
"""White space before the colon, which a proxy takes out of a response (RFC 9112 section 5.1)."""
_READ_HERE = HOP_BY_HOP | {b"content-length", b"x-request-id"}

_READ_TOO = frozenset((b"content-type", b"content-encoding", b"retry-after", b"retry-after-ms"))
# Plain numbers: looking a member up in an Enum costs a third of a microsecond on Python 3.11.
_SWITCHING_PROTOCOLS = HTTPStatus.SWITCHING_PROTOCOLS.value
_BODILESS = frozenset((HTTPStatus.NO_CONTENT.value, HTTPStatus.NOT_MODIFIED.value))


class BadResponse(ValueError):
    """What came is not the head of an HTTP/1 response that can be passed on."""


class ResponseHead(msgspec.Struct, eq=False):
    """Status and fields of a response. Never changed once it is read: responses that repeat it share it.

    Attributes:
        content_length: Of the response that it was read in; `ResponseReader.content_length` is each one's own.
        keep_alive: Whether the connection may be used again, if the response ends where its framing says.
        dated: Whether *lines* have a Date.
        named: Fields that Connection keeps from being passed on, in lower case; trailers too.
        request_id: As the upstream calls its request, in `x-request-id`.
        passed_on: The fields but for hop-by-hop ones, the length and the request id: each connection has its own framing,
            and the gateway names its requests itself.
        lines: The same as header lines.
    """

    status: int
    keep_alive: bool
    interim: bool
    bodiless: bool
    content_length: int | None = None
    content_type: bytes = b""
    content_encoding: bytes = b""
    retry_after: bytes | None = None
    retry_after_ms: bytes | None = None
    upgrade: bytes | None = None
    request_id: bytes | None = None
    chunked: bool = False
    named: Set[bytes] = frozenset()
    passed_on: Fields = []
    dated: bool = False
    lines: bytes = b""

    @classmethod
    def read(cls, status: int, fields: Fields, *, keep_alive: bool) -> Self:
        """Raises: BadResponse."""
        switches = status == _SWITCHING_PROTOCOLS  # whatever its length says, HTTP is over
        head = cls(status, keep_alive and not switches, status < 200 and not switches, status in _BODILESS)
        head._read(fields)
        return head

    @property
    def read_too(self) -> Set[bytes]:
        """See `repeats.Head`."""
        return _READ_TOO

    def with_values(self, passed_on: Fields, request_id: bytes | None) -> Self:
        """See `repeats.Head`."""
        head = copy(self)
        head.passed_on = passed_on
        head.lines = as_lines(passed_on)
        if request_id is not None:
            head.request_id = request_id
        return head

    def _read(self, fields: Fields) -> None:
        named: set[bytes] = set()
        passed_on: Fields = []
        for field in fields:
            lower, _, value = field
            if lower not in _READ_HERE:
                passed_on.append(field)
                if lower == b"content-type":
                    self.content_type = value.lower()
                elif lower == b"retry-after":
                    self.retry_after = value
                elif lower == b"retry-after-ms":
                    self.retry_after_ms = value
                elif lower == b"content-encoding":
                    self.content_encoding = value.lower()
            elif lower == b"content-length":
                self.content_length = int(value)
            elif lower == b"connection":
                if value not in _USUAL_CONNECTION:
                    named.update(option.strip(b" \t").lower() for option in value.split(b","))
            elif lower == b"transfer-encoding":
                if self.chunked or value.lower() != b"chunked":
                    raise BadResponse("a transfer coding other than chunked")
                self.chunked = True
            elif lower == b"upgrade":
                self.upgrade = value
            elif lower == b"x-request-id":
                self.request_id = value
        self.named = named - {b"close"}
        self.passed_on = passed_on = without(passed_on, self.named)
        self.dated = any(field[0] == b"date" for field in passed_on)
        self.lines = as_lines(passed_on)


class _Collected(HeadFields):
    """What `httptools` tells of one response head."""

    __slots__ = ("keep_alive", "parser")

    def __init__(self) -> None:
        super().__init__()
        self.parser = httptools.HttpResponseParser(self)
        self.keep_alive = False

    def on_headers_complete(self) -> None:
        self.complete = True
        self.keep_alive = self.parser.should_keep_alive()


def read_response_head(raw: bytes) -> ResponseHead:
    """Read a whole head, given with the empty line that ends it. Raises: BadResponse."""
    read = _Collected()
    parser = read.parser
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        mended = _SPACED_NAME.sub(rb"\1:", raw)
        if mended != raw:
            return read_response_head(mended)
        raise BadResponse("the response is not HTTP") from error
    finally:
        del read.parser  # the two refer to each other
    status = parser.get_status_code()
    if not read.complete or not 100 <= status < 600:
        raise BadResponse("the response is not HTTP")
    if len(read.fields) > MAX_FIELDS:
        raise BadResponse("too many fields")
    head = ResponseHead.read(status, read.fields, keep_alive=read.keep_alive)
    if head.chunked and parser.get_http_version() == "1.0":
        raise BadResponse("Transfer-Encoding in an HTTP/1.0 response")  # faulty framing: RFC 9112 section 6.1
    return head
