"""Request heads: validated once, with what a proxy must not forward already taken out.

`httptools` (llhttp) has refused malformed syntax before anything arrives here: bare CR or LF, obsolete folding,
spaces before the colon, Content-Length that is repeated, signed or joined with Transfer-Encoding. This module adds
what llhttp leaves to its caller (RFC 9110 section 7.2 for Host, RFC 9112 sections 3.2 and 6.1 for targets and
codings).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from itertools import product

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

ABOUT_THE_SITE = frozenset((b"cookie", b"accept-encoding", b"origin", b"referer"))
"""Fields for the app's own site: a service gets them, a provider does not (a compressed answer could not be read)."""

_OWN = frozenset(
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
_CREDENTIALS = frozenset((b"authorization", b"x-api-key"))


def _spelled_with_underscores(names: Iterable[bytes]) -> Iterable[bytes]:
    """CGI, WSGI and their kin write fields with underscores, and would take `Transfer_Encoding` for the real one."""
    for name in names:
        first, *rest = name.split(b"-")
        for joints in product((b"-", b"_"), repeat=len(rest)):
            yield first + b"".join(joint + part for joint, part in zip(joints, rest, strict=True))


_READ_HERE = ABOUT_THE_SITE | frozenset(
    # `Proxy` would become HTTP_PROXY there, and with it the service's way out. What no branch below reads is dropped.
    _spelled_with_underscores(HOP_BY_HOP | _OWN | _CREDENTIALS | {b"expect", b"proxy"})
)

# Narrower than the grammar, which allows `a,b`, `(a)` and escapes: no host is called so, and those who read it differ.
_PORT = rb"[0-9]{0,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_AUTHORITY = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::(?:" + _PORT + rb"))?")
_WITHOUT_CONTENT = frozenset((b"CONNECT", b"TRACE"))
_ABSOLUTE = re.compile(rb"(?i:http(s?))://([^/?#]*)([^#]*)")


class BadMessage(Exception):
    """The peer's message cannot be served: answer *status* and close, because where it ends is no longer certain."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class RequestHead:
    """One request's line and fields, split into what the gateway reads and what it forwards unchanged."""

    __slots__ = (
        "about_the_site",
        "authorization",
        "chunked",
        "claims_tls",
        "content_length",
        "expect_continue",
        "forwarded_for",
        "has_body",
        "host",
        "http_1_0",
        "keep_alive",
        "method",
        "passed_on",
        "path",
        "request_id",
        "target",
        "upgrade",
        "x_api_key",
    )

    def __init__(self, method: bytes, target: bytes, version: str, fields: Fields) -> None:
        """Read *fields* in one pass.

        Raises:
            BadMessage: a Host, target, coding or expectation that must be refused.
        """
        if version not in {"1.1", "1.0"}:
            raise BadMessage(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        self.http_1_0 = version == "1.0"
        self.method = method
        self.authorization: bytes | None = None
        self.x_api_key: bytes | None = None
        self.request_id: bytes | None = None
        self.forwarded_for: bytes | None = None
        self.content_length: int | None = None
        self.chunked = False
        self.expect_continue = False
        self.upgrade: bytes | None = None
        host: bytes | None = None
        connection = b""
        passed_on: list[bytes] = []
        about_the_site: list[bytes] = []
        for lower, name, value in fields:
            if lower not in _READ_HERE:
                passed_on += (name, b": ", value, b"\r\n")
            elif lower == b"host":
                if host is not None:
                    raise BadMessage(HTTPStatus.BAD_REQUEST, "more than one Host field")
                host = value.strip(b" \t")
            elif lower == b"content-length":
                self.content_length = int(value)
            elif lower == b"authorization":
                if self.authorization is not None:
                    raise BadMessage(HTTPStatus.BAD_REQUEST, "more than one Authorization field")
                self.authorization = value.rstrip(b" \t")
            elif lower == b"x-api-key":
                self.x_api_key = value.strip(b" \t")
            elif lower == b"connection":
                connection = connection + b"," + value if connection else value
            elif lower == b"transfer-encoding":
                self._accept_coding(value)
            elif lower == b"expect":
                if value.strip(b" \t").lower() != b"100-continue":
                    raise BadMessage(HTTPStatus.EXPECTATION_FAILED, "the only expectation known is 100-continue")
                self.expect_continue = not self.http_1_0
            elif lower == b"upgrade":
                # Other protocols are not offered on: an upgrade to HTTP/2 would carry requests past every check.
                self.upgrade = value if value.strip(b" \t").lower() == b"websocket" else None
            elif lower == b"x-request-id":
                self.request_id = value.rstrip(b" \t")
            elif lower == b"x-forwarded-for":
                self.forwarded_for = value if self.forwarded_for is None else b"%b, %b" % (self.forwarded_for, value)
            elif lower in ABOUT_THE_SITE:
                about_the_site += (name, b": ", value, b"\r\n")
        self.has_body = self.chunked or bool(self.content_length)
        if method in _WITHOUT_CONTENT:
            self._refuse_what_cannot_be_served()
        if self.expect_continue:
            self.expect_continue = self.has_body  # nothing to wait for otherwise
        self.keep_alive = not self.http_1_0
        if connection:
            passed_on, about_the_site = self._apply_connection(connection, passed_on, about_the_site)
        elif self.upgrade is not None:
            self.upgrade = None
        self.passed_on = passed_on
        self.about_the_site = about_the_site
        self._accept_target(target, host)

    def field(self, lower: bytes) -> bytes | None:
        """The value of a field that is passed on, by its lower-case name; the first of several. Not for hot paths."""
        fields = self.passed_on
        for at in range(0, len(fields), 4):
            if fields[at].lower() == lower:
                return fields[at + 2]
        return None

    def replace_field(self, lower: bytes, value: bytes) -> None:
        """Pass *value* on in place of the field's own."""
        fields = self.passed_on
        for at in range(0, len(fields), 4):
            if fields[at].lower() == lower:
                fields[at + 2] = value

    def _refuse_what_cannot_be_served(self) -> None:
        if self.method == b"CONNECT":
            raise BadMessage(HTTPStatus.NOT_IMPLEMENTED, "no tunnels are opened here")
        if self.has_body:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "TRACE with a body")

    def _accept_coding(self, value: bytes) -> None:
        if self.http_1_0:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "Transfer-Encoding in an HTTP/1.0 request")
        if value.strip(b" \t").lower() != b"chunked":
            raise BadMessage(HTTPStatus.NOT_IMPLEMENTED, "the only transfer coding known is chunked")
        self.chunked = True

    def _apply_connection(self, connection: bytes, *kinds: list[bytes]) -> list[list[bytes]]:
        """Honour the options of Connection; gives *kinds* of fields back without those that it names."""
        options = {option.strip(b" \t").lower() for option in connection.split(b",")}
        if b"close" in options:
            self.keep_alive = False
        elif b"keep-alive" in options:
            self.keep_alive = True
        if b"upgrade" not in options or self.http_1_0 or self.has_body:
            self.upgrade = None
        options -= HOP_BY_HOP | {b"close", b"max-forwards"}  # a client must not lift the limit of its own request
        return [without(fields, options) for fields in kinds]

    def _accept_target(self, target: bytes, host: bytes | None) -> None:
        """Set `host`, `target` (origin form) and `path`; an absolute target's authority replaces Host (RFC 9112
        section 3.2.2)."""
        if host is None and not self.http_1_0:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "no Host field")
        if host is not None and _AUTHORITY.fullmatch(host) is None:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "Host is not a host and port")
        self.claims_tls = False
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


NOT_IN_TRAILERS = frozenset(
    _spelled_with_underscores(
        HOP_BY_HOP
        | _OWN
        | _CREDENTIALS
        | {b"content-type", b"content-encoding", b"content-range", b"trailer", b"cookie", b"set-cookie", b"expect"}
        | {b"age", b"cache-control", b"date", b"expires", b"location", b"max-forwards", b"pragma", b"proxy", b"range"}
        | {b"retry-after", b"vary", b"via", b"warning", b"www-authenticate"}
    )
)
"""Fields that would change how a message is framed, routed or authorised if they came late (RFC 9110 section 6.5.1)."""


def trailer_lines(trailers: Sequence[tuple[bytes, bytes, bytes]]) -> bytes:
    """Trailers as header lines, without those that have no business there."""
    return b"".join([b"%b: %b\r\n" % (name, value) for lower, name, value in trailers if lower not in NOT_IN_TRAILERS])


def without(fields: list[bytes], names: set[bytes]) -> list[bytes]:
    """Fields in pieces of four (name, separator, value, line end), without those called *names*."""
    if not names:
        return fields
    kept: list[bytes] = []
    for at in range(0, len(fields), 4):
        if fields[at].lower() not in names:
            kept += fields[at : at + 4]
    return kept
