"""Header fields of HTTP/1.1: which are never passed on, and those that come late, as trailers.

`httptools` (llhttp) reads fields strictly: no bare CR or LF, no obsolete folding, no spaces before the colon, no
Content-Length that is repeated, signed or joined with Transfer-Encoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from itertools import product
from typing import Final

import httptools

Fields = list[tuple[bytes, bytes, bytes]]
"""Header fields as (lower-cased name, name as sent, value), in the order they came."""

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""Never forwarded in either direction (RFC 9110 section 7.6.1); messages are framed anew on each connection."""

OWN = frozenset(
    (
        b"host",
        b"content-length",
        b"x-request-id",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"forwarded",
    )
)
CREDENTIALS = frozenset((b"authorization", b"x-api-key"))


def spelled_with_underscores(names: Iterable[bytes]) -> Iterable[bytes]:
    """CGI, WSGI and their kin write fields with underscores, and would take `Transfer_Encoding` for the real one."""
    for name in names:
        first, *rest = name.split(b"-")
        for joints in product((b"-", b"_"), repeat=len(rest)):
            yield first + b"".join(joint + part for joint, part in zip(joints, rest, strict=True))


NOT_IN_TRAILERS = frozenset(
    spelled_with_underscores(
        HOP_BY_HOP
        | OWN
        | CREDENTIALS
        | {b"content-type", b"content-encoding", b"content-range", b"trailer", b"cookie", b"set-cookie", b"expect"}
        | {b"age", b"cache-control", b"date", b"expires", b"location", b"max-forwards", b"pragma", b"proxy", b"range"}
        | {b"retry-after", b"vary", b"via", b"warning", b"www-authenticate"}
    )
)
"""Fields that would change how a message is framed, routed or authorised if they came late (RFC 9110 section 6.5.1)."""


def trailer_lines(trailers: Fields) -> bytes:
    """Trailers as header lines, without those that have no business there."""
    return as_lines([field for field in trailers if field[0] not in NOT_IN_TRAILERS])


def as_lines(fields: Fields) -> bytes:
    """Fields as header lines, as they were sent."""
    return b"".join([part for _, name, value in fields for part in (name, b": ", value, b"\r\n")])


def without(fields: Fields, names: Set[bytes]) -> Fields:
    """*fields* but for those called *names* (in lower case)."""
    return [field for field in fields if field[0] not in names] if names else fields


CR: Final = 13
LF: Final = 10
"""Line ends as numbers: to look for bytes in bytes raises and catches an exception first."""

BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")
"""A line end that only some programs take for one. Looked for in a head that is not whole yet: it may never be."""


class HeadFields:
    """The callbacks of one `httptools` parser, which gets one head and nothing else."""

    __slots__ = ("complete", "fields")

    def __init__(self) -> None:
        self.fields: Fields = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # White space around a value is no part of it (RFC 9110 section 5.5), and llhttp leaves what is behind it.
        self.fields.append((name.lower(), name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


_FRAMING_LINE = re.compile(rb"^(?:content-length|transfer-encoding):[^\r\n]*\r\n", re.IGNORECASE | re.MULTILINE)


def read_trailers(section: bytes, *, of_response: bool = False) -> Fields:
    """The fields of a trailer section, given with the empty line that ends it.

    Args:
        of_response: Those that would frame the message are left out unread then, as they came too late to mean anything
            (RFC 9110 section 6.5.1). In a request they are a contradiction that another reader may see otherwise.

    Raises:
        ValueError: it is malformed.
    """
    if of_response:
        section = _FRAMING_LINE.sub(b"", section)
    read = HeadFields()
    try:
        # The coding makes a length among the trailers the contradiction that it is.
        httptools.HttpRequestParser(read).feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + section)
    except httptools.HttpParserError as error:
        raise ValueError("malformed trailers") from error
    return read.fields[1:]
