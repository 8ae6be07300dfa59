"""The heads of requests to models: what a provider adds, and what of the client's fields goes with it."""

from __future__ import annotations

import time
from typing import Final

from shipway.gateway.call import Call
from shipway.gateway.http1.fields import CREDENTIALS, Fields, as_lines, without
from shipway.gateway.providers.provider import Outgoing, Provider, Route
from shipway.gateway.snapshot import Candidate

_VIA_1_0: Final = b"Via: 1.0 shipway\r\n"
_VIA_1_1: Final = b"Via: 1.1 shipway\r\n"


class RequestHeads:
    """Writes the heads of requests to one route of an upstream."""

    __slots__ = ("_authority", "_beginning", "_default_names", "_defaults", "_own", "_plain", "_provider", "_target")

    def __init__(self, candidate: Candidate, route: Route) -> None:
        endpoint, provider = candidate.endpoint, candidate.upstream.provider
        self._provider: Provider | None = provider if provider.held is not None else None
        self._target = endpoint.address.base_path + route.target
        self._authority = endpoint.authority
        own = provider.fields + route.fields
        self._beginning = b"POST %b HTTP/1.1\r\nHost: %b\r\nAccept-Encoding: identity\r\n%b" % (
            self._target,
            endpoint.authority,
            own,
        )
        # Credentials of clients are not passed on anyway.
        self._own = _names(own) - CREDENTIALS
        self._defaults = provider.defaults
        self._default_names = _names(provider.defaults)
        self._plain = not (self._own or self._defaults or provider.held)

    def message(self, call: Call, body: bytes, fields: bytes | None = None) -> bytes:
        """A whole request, with *fields* in place of the client's where they are given. Raises: NoCredentialError."""
        head = call.exchange.head
        lines = head.lines if fields is None else fields
        if not self._plain:
            lines = self._with_own(lines, head.passed_on if fields is None else [], body)
        via = _VIA_1_0 if head.http_1_0 else _VIA_1_1
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        return b"".join((self._beginning, lines, via, call.id_field, length, body))

    def _with_own(self, lines: bytes, passed_on: Fields, body: bytes) -> bytes:
        """*lines* with what the provider adds; of the client's fields those give way that it has itself."""
        if passed_on:
            passed_on = without(passed_on, self._own)
            lines = as_lines(passed_on)
        if not self._default_names & {field[0] for field in passed_on}:
            lines += self._defaults
        return lines + self._signed(body)

    def _signed(self, body: bytes) -> bytes:
        if self._provider is None:
            return b""
        return self._provider.sign(
            Outgoing("POST", self._target.decode("ascii"), self._authority.decode("ascii"), body, time.time())
        )


def _names(lines: bytes) -> frozenset[bytes]:
    return frozenset(line.partition(b":")[0].lower() for line in lines.split(b"\r\n") if line)
