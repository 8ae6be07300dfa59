"""Request heads: read strictly, with what a proxy must not forward already taken out.

`httptools` (llhttp) refuses malformed fields. This module adds what llhttp leaves to its caller or forgives (RFC 9112
section 3 for the request line, sections 3.2 and 6.1 for targets and codings, RFC 9110 section 7.2 for Host).
"""

from __future__ import annotations

import re
from collections.abc import Set
from copy import copy
from http import HTTPStatus
from typing import Self

import httptools
import msgspec

from shipway.gateway.http1.fields import (
    BARE_LINE_END,
    CREDENTIALS,
    HOP_BY_HOP,
    OWN,
    Fields,
    HeadFields,
    as_lines,
    spelled_with_underscores,
    without,
)

_KEYS_OF_PROVIDERS = frozenset((b"api-key", b"ocp-apim-subscription-key", b"x-amz-security-token", b"x-goog-api-key"))
"""Where Azure, AWS and Google look for a key. A client's own may be for one of them and must not reach another."""
ABOUT_THE_SITE = _KEYS_OF_PROVIDERS | {b"cookie", b"accept-encoding", b"origin", b"referer"}
"""Fields for the app's own site: a service gets them, a provider does not (a compressed answer could not be read)."""

_READ_HERE = ABOUT_THE_SITE | frozenset(
    # `Proxy` would become HTTP_PROXY there, and with it the service's way out. What no branch below reads is dropped.
    spelled_with_underscores(HOP_BY_HOP | OWN | CREDENTIALS | {b"expect", b"proxy"})
)

# Narrower than the grammar, which allows `a,b`, `(a)` and escapes: no host is called so, and those who read it differ.
_PORT = rb"[0-9]{0,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_AUTHORITY = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::(?:" + _PORT + rb"))?")
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) HTTP/([0-9]\.[0-9])")
_LINE_BEGUN = re.compile(
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: (?:[!-~\x80-\xff]+(?: (?:H(?:T(?:T(?:P(?:/(?:[0-9](?:\.(?:[0-9]\r?)?)?)?)?)?)?)?)?)?)?)?"
)
_WITHOUT_CONTENT = frozenset((b"CONNECT", b"TRACE"))
_ABSOLUTE = re.compile(rb"(?i:http(s?))://([^/?#]*)([^#]*)")


class BadMessage(Exception):
    """The peer's message cannot be served: answer *status* and close, because where it ends is no longer certain."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class RequestHead(msgspec.Struct, eq=False):
    """One request's line and fields, split into what the gateway reads and what it forwards unchanged.

    Never changed once it is read: requests that repeat it share it, whatever their lengths.

    Attributes:
        content_length: Of the request that it was read in; `Exchange.content_length` is each request's own.
        repeatable: Whether nothing of it depends on the length of the body.
        passed_on: Fields for whoever the request is forwarded to.
        lines: The same as header lines.
        about_the_site: Header lines of fields for services alone.
        named: Fields that Connection keeps from being passed on, in lower case; trailers too.
        notes: What the gateway has worked out from this head alone, to be found again when it is repeated.
    """

    method: bytes
    http_1_0: bool
    target: bytes = b""
    path: bytes = b""
    host: bytes = b""
    claims_tls: bool = False
    authorization: bytes | None = None
    x_api_key: bytes | None = None
    request_id: bytes | None = None
    forwarded_for: bytes | None = None
    content_length: int | None = None
    chunked: bool = False
    keep_alive: bool = True
    expect_continue: bool = False
    upgrade: bytes | None = None
    repeatable: bool = True
    named: Set[bytes] = frozenset()
    passed_on: Fields = []
    lines: bytes = b""
    about_the_site: bytes = b""
    notes: object = None

    @classmethod
    def read(cls, method: bytes, target: bytes, version: bytes, fields: Fields) -> Self:
        """Read *fields* in one pass.

        Raises:
            BadMessage: a Host, target, coding or expectation that must be refused.
        """
        head = cls(method, version == b"1.0")
        head._read(target, fields)
        return head

    @property
    def read_too(self) -> Set[bytes]:
        """Of the fields that are passed on nothing else is read, see `repeats.Head`."""
        return frozenset()

    def with_values(self, passed_on: Fields, request_id: bytes | None) -> Self:
        """See `repeats.Head`."""
        head = copy(self)
        head.passed_on = passed_on
        head.lines = as_lines(passed_on)
        if request_id is not None:
            head.request_id = request_id
        return head

    def _read(self, target: bytes, fields: Fields) -> None:
        host: bytes | None = None
        connection = b""
        codings: bytes | None = None
        passed_on: Fields = []
        about_the_site: Fields = []
        for field in fields:
            lower, _, value = field
            if lower not in _READ_HERE:
                passed_on.append(field)
            elif lower == b"host":
                if host is not None:
                    raise BadMessage(HTTPStatus.BAD_REQUEST, "more than one Host field")
                host = value
            elif lower == b"content-length":
                self.content_length = int(value)
            elif lower == b"authorization":
                if self.authorization is not None:
                    raise BadMessage(HTTPStatus.BAD_REQUEST, "more than one Authorization field")
                self.authorization = value
            elif lower == b"x-api-key":
                if self.x_api_key is not None:
                    raise BadMessage(HTTPStatus.BAD_REQUEST, "more than one x-api-key field")
                self.x_api_key = value
            elif lower == b"connection":
                connection = connection + b"," + value if connection else value
            elif lower == b"transfer-encoding":
                codings = value if codings is None else codings + b"," + value
            elif lower == b"expect":
                if value.lower() != b"100-continue":
                    raise BadMessage(HTTPStatus.EXPECTATION_FAILED, "the only expectation known is 100-continue")
                self.expect_continue = not self.http_1_0
                self.repeatable = False
            elif lower == b"upgrade":
                # Other protocols are not offered on: an upgrade to HTTP/2 would carry requests past every check.
                self.upgrade = value if value.lower() == b"websocket" else None
                self.repeatable = False
            elif lower == b"x-request-id":
                self.request_id = value
            elif lower == b"x-forwarded-for":
                self.forwarded_for = value if self.forwarded_for is None else b"%b, %b" % (self.forwarded_for, value)
            elif lower in ABOUT_THE_SITE:
                about_the_site.append(field)
        if codings is not None:
            self._accept_codings(codings)
        has_body = self.chunked or bool(self.content_length)
        if self.method in _WITHOUT_CONTENT:
            self._refuse_what_cannot_be_served(has_body)
        if self.expect_continue:
            self.expect_continue = has_body  # nothing to wait for otherwise
        self.keep_alive = not self.http_1_0  # whose keep-alive a proxy must not follow: RFC 9112 section 9.3
        if connection:
            options = self._follow_connection(connection, has_body)
            self.named = options
            passed_on, about_the_site = without(passed_on, options), without(about_the_site, options)
        else:
            self.upgrade = None
        self.passed_on = passed_on
        self.lines = as_lines(passed_on)
        self.about_the_site = as_lines(about_the_site)
        self._accept_target(target, host)

    def field(self, lower: bytes) -> bytes | None:
        """The value of a field that is passed on, by its lower-case name; the first of several. Not for hot paths."""
        return next((value for name, _, value in self.passed_on if name == lower), None)

    def _refuse_what_cannot_be_served(self, has_body: bool) -> None:
        self.repeatable = False
        if self.method == b"CONNECT":
            raise BadMessage(HTTPStatus.NOT_IMPLEMENTED, "no tunnels are opened here")
        if has_body:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "TRACE with a body")

    def _accept_codings(self, value: bytes) -> None:
        if self.http_1_0:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "Transfer-Encoding in an HTTP/1.0 request")
        *others, last = [coding.strip(b" \t").lower() for coding in value.split(b",")]
        if last != b"chunked" or b"chunked" in others:
            # Where the body ends is unknown, which weighs more than an unknown coding (RFC 9112 section 6.3).
            raise BadMessage(HTTPStatus.BAD_REQUEST, "chunked is not the last transfer coding, or not once")
        if others:
            raise BadMessage(HTTPStatus.NOT_IMPLEMENTED, "the only transfer coding known is chunked")
        self.chunked = True

    def _follow_connection(self, connection: bytes, has_body: bool) -> set[bytes]:
        """Honour the options of Connection; gives the names of fields that it keeps from being passed on."""
        options = {option.strip(b" \t").lower() for option in connection.split(b",")}
        if b"close" in options:
            self.keep_alive = False
        if b"upgrade" not in options or self.http_1_0 or has_body:
            self.upgrade = None
        # A client must not lift the limit of its own request.
        return options - HOP_BY_HOP - {b"close", b"max-forwards"}

    def _accept_target(self, target: bytes, host: bytes | None) -> None:
        """Set `host`, `target` (origin form) and `path`; an absolute target's authority replaces Host (RFC 9112
        section 3.2.2)."""
        if host is None and not self.http_1_0:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "no Host field")
        if host is not None and _AUTHORITY.fullmatch(host) is None:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "Host is not a host and port")
        if not target.startswith(b"/"):
            if target == b"*" and self.method == b"OPTIONS":
                pass
            else:
                absolute = _ABSOLUTE.fullmatch(target)
                if absolute is None:
                    raise BadMessage(HTTPStatus.BAD_REQUEST, "the request target is neither a path nor an http URL")
                self.claims_tls = bool(absolute[1])
                host = absolute[2]
                if _AUTHORITY.fullmatch(host) is None:
                    raise BadMessage(HTTPStatus.BAD_REQUEST, "the target's authority is not a host and port")
                target = absolute[3]
                if not target and self.method == b"OPTIONS":
                    target = b"*"  # RFC 9112 section 3.2.4
                elif not target.startswith(b"/"):
                    target = b"/" + target
        elif b"#" in target:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "a fragment is never sent in a request target")
        self.host = host or b""
        self.target = target
        self.path = target.partition(b"?")[0]


def read_request_head(raw: bytes, *, max_target_bytes: int, max_header_bytes: int) -> RequestHead:
    """Read a whole head, given with the empty line that ends it.

    Raises:
        BadMessage: it is malformed, too large, or asks for what must be refused.
    """
    line_end = raw.find(b"\r\n")
    line = _LINE.fullmatch(raw, 0, line_end)
    if line is None:
        raise BadMessage(HTTPStatus.BAD_REQUEST, "malformed request line")
    method, target, version = line.groups()
    if version not in {b"1.1", b"1.0"}:
        raise BadMessage(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if len(target) > max_target_bytes:
        raise _target_too_long()
    if len(raw) - line_end - 4 > max_header_bytes:
        raise _fields_too_large()
    read = HeadFields()
    fault = ""
    try:
        httptools.HttpRequestParser(read).feed_data(raw)
    except httptools.HttpParserUpgrade:  # what it would be upgraded to is decided elsewhere
        pass
    except httptools.HttpParserError as error:
        fault = str(error)
        if isinstance(error, httptools.HttpParserInvalidMethodError) or "Invalid method" in fault:
            raise BadMessage(HTTPStatus.NOT_IMPLEMENTED, "unknown method") from None
    if not read.complete:
        raise BadMessage(HTTPStatus.BAD_REQUEST, "malformed HTTP")
    head = RequestHead.read(method, target, version, read.fields)
    if fault:  # of the framing, for which there was no better word
        raise BadMessage(HTTPStatus.BAD_REQUEST, "malformed HTTP")
    return head


def refuse_hopeless(begun: bytes, *, max_target_bytes: int, max_header_bytes: int) -> None:
    """Refuse the beginning of a head that no rest can make a good one, as far as that is easily told.

    Raises:
        BadMessage: likewise.
    """
    line_end = begun.find(b"\r\n")
    if BARE_LINE_END.search(begun):
        raise BadMessage(HTTPStatus.BAD_REQUEST, "malformed HTTP")
    line = begun if line_end < 0 else begun[:line_end]
    if (_LINE_BEGUN if line_end < 0 else _LINE).fullmatch(line) is None:
        raise BadMessage(HTTPStatus.BAD_REQUEST, "malformed request line")
    if len(line) > max_target_bytes and len(line.partition(b" ")[2].partition(b" ")[0]) > max_target_bytes:
        raise _target_too_long()
    if len(begun) > max_header_bytes + max_target_bytes or (
        line_end > 0 and len(begun) - line_end > max_header_bytes + 4
    ):
        raise _fields_too_large()


def behind_blank_lines(data: bytes) -> tuple[bytes, bytes, int]:
    """Pass over the empty lines that old clients send before a request line (RFC 9112 section 2.2).

    Returns:
        What follows them; where nothing does, what may be the beginning of another; how many bytes they were.

    Raises:
        BadMessage: they are no lines.
    """
    rest = data.lstrip(b"\r\n")
    blanks = data[: len(data) - len(rest)]
    lines = blanks if rest else blanks.removesuffix(b"\r")
    if lines != b"\r\n" * (len(lines) // 2):
        raise BadMessage(HTTPStatus.BAD_REQUEST, "neither an empty line nor a request line")
    return rest, blanks[len(lines) :], len(blanks)


def _target_too_long() -> BadMessage:
    return BadMessage(HTTPStatus.REQUEST_URI_TOO_LONG, "the request target is longer than max_target")


def _fields_too_large() -> BadMessage:
    return BadMessage(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the fields are larger than max_header")
