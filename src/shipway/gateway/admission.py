"""Admission: who is calling and may they, decided from a request's head without touching a transport.

A chain of links looks at a `Ticket` in order. A link that can answer from memory does so at once; one that must ask somebody
returns an awaitable, and only then does the request wait. The proxy and the ASGI middleware use the same chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from shipway.gateway.refusals import INVALID_KEY, MISSING_KEY, Refused, rate_limited
from shipway.security.rate_limiting.fields import LimitFields, retry_after_s
from shipway.security.rate_limiting.gcra import GcraTable


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, as logs and limits name them; never the key itself.

    Attributes:
        partition: What keeps their data apart from anybody else's, where `id` is too short to be sure; b"" where it is not.
    """

    id: str
    partition: bytes = field(default=b"", repr=False)


class Credential:
    """What a request shows to be let in; made once for a head that is repeated.

    Attributes:
        key: The API key or token as it was sent; None without one.
        digest: `key_digest` of it.
    """

    __slots__ = ("digest", "key")

    def __init__(self, authorization: bytes | None, x_api_key: bytes | None) -> None:
        """*authorization*, where it is there, counts before *x_api_key*."""
        key = x_api_key
        if authorization is not None:
            scheme, _, rest = authorization.partition(b" ")
            key = rest.strip(b" \t") if scheme.lower() == b"bearer" else None
        self.key = key or None
        self.digest = key_digest(key or b"")


class Ticket(Protocol):
    """What admission knows of one request, and what its links find out.

    Attributes:
        now_s: Monotonic seconds.
        caller: Set by authentication.
        fields: Header lines to add to the response, whatever it is.
    """

    credential: Credential
    now_s: float
    caller: Principal | None
    fields: bytes


Link = Callable[[Ticket], Awaitable[None] | None]
"""Lets a ticket pass or raises `Refused`."""


class Admission:
    """The links of one snapshot, in order."""

    __slots__ = ("_links",)

    def __init__(self, *links: Link) -> None:
        self._links = links

    def admit(self, ticket: Ticket) -> Awaitable[None] | None:
        """Let *ticket* pass, at once (None) or when what is returned has been awaited.

        Raises:
            Refused: by the first link that does not let it pass.
        """
        for link in self._links:
            waiting = link(ticket)
            if waiting is not None:
                return self._go_on(ticket, waiting, self._links.index(link) + 1)
        return None

    async def _go_on(self, ticket: Ticket, waiting: Awaitable[None], at: int) -> None:
        await waiting
        for link in self._links[at:]:
            further = link(ticket)
            if further is not None:
                await further


def key_digest(key: bytes) -> bytes:
    """What a key is looked up by: a hash of the whole key, so neither memory nor timing holds the key itself."""
    return hashlib.sha256(key).digest()


class ApiKeys:
    """Authentication by an API key, in `Authorization: Bearer` or `x-api-key`."""

    __slots__ = ("_principals",)

    def __init__(self, principals: Mapping[bytes, Principal]) -> None:
        """*principals*: by `key_digest` of their keys."""
        self._principals = principals

    def authenticate(self, ticket: Ticket) -> None:
        """A link of the chain."""
        credential = ticket.credential
        if credential.key is None:
            raise Refused(MISSING_KEY)
        principal = self._principals.get(credential.digest)
        if principal is None:
            raise Refused(INVALID_KEY)
        ticket.caller = principal


class RequestLimit:
    """A limit of requests for each principal, exact within this process."""

    __slots__ = ("_fields", "table")

    def __init__(self, table: GcraTable) -> None:
        self.table = table
        self._fields = LimitFields("default", table.quota)

    def limit(self, ticket: Ticket) -> None:
        """A link of the chain."""
        if ticket.caller is None:
            return
        decision = self.table.take(ticket.caller.id, ticket.now_s)
        ticket.fields += self._fields.lines(decision)
        if not decision.allowed:
            raise Refused(rate_limited(retry_after_s(decision)))
