"""Which service a path belongs to: the longest prefix that ends at a segment, on the path as a service would read it.

Matching on the raw path would let `/%61dmin` or `//admin` reach a closed route through an open one, so escapes are
decoded and repeated slashes merged before matching (the path forwarded stays as sent), and paths that servers resolve
differently (dot segments, backslashes, parameters that hide a route) are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_DOT_SEGMENT = re.compile(rb"(?:^|/)\.{1,2}(?:;[^/]*)?(?=/|$)")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_NOT_PLAIN = re.compile(rb"[%\\\0]|/[/.]")
_PARAMETERS = re.compile(rb";[^/]*")
_SLASHES = re.compile(rb"//+")


class AmbiguousPath(ValueError):
    """Different servers would resolve this path differently."""


def plain_path(path: bytes) -> bytes:
    """The path that routes are matched against.

    Raises:
        AmbiguousPath: dot segments, backslashes, control characters or malformed escapes, plain or escaped.
    """
    if _NOT_PLAIN.search(path) is None:
        return path
    if b"%" in path:
        path = _ESCAPE.sub(_decode_escape, path)
    if b"\\" in path or b"\0" in path:
        raise AmbiguousPath
    if b"//" in path:
        path = _SLASHES.sub(b"/", path)
    if b"/." in path and _DOT_SEGMENT.search(path):
        raise AmbiguousPath
    return path


def _decode_escape(escape: re.Match[bytes]) -> bytes:
    if escape[1] is None:
        raise AmbiguousPath
    return bytes((int(escape[1], 16),))


@dataclass(frozen=True, slots=True)
class Route(Generic[T]):
    """A path prefix and what answers it."""

    prefix: bytes
    target: T
    public: bool


class RouteTable(Generic[T]):
    """Routes compiled for longest-prefix look-up: one dictionary probe per distinct prefix length."""

    def __init__(self, routes: Iterable[Route[T]]) -> None:
        self._routes = {_without_slash(route.prefix): route for route in routes}
        self._lengths = sorted({len(prefix) for prefix in self._routes}, reverse=True)

    def find(self, path: bytes) -> Route[T] | None:
        """The route for *path*, a result of `plain_path`.

        Raises:
            AmbiguousPath: servers that leave out parameters of segments (`/a;b/c`), as those of Java do, would find another.
        """
        route = self._longest(path)
        if b";" in path:
            other = self._longest(_SLASHES.sub(b"/", _PARAMETERS.sub(b"", path)))
            if (route and (route.target, route.public)) != (other and (other.target, other.public)):
                raise AmbiguousPath
        return route

    def _longest(self, path: bytes) -> Route[T] | None:
        for length in self._lengths:
            if len(path) == length or path[length : length + 1] == b"/":
                route = self._routes.get(path[:length])
                if route is not None:
                    return route
        return None


def _without_slash(prefix: bytes) -> bytes:
    return prefix.rstrip(b"/")
