"""Admission: who is calling and may they, decided from a request's head without touching a transport.

A chain of links looks at a `Ticket` in order. A link that can answer from memory does so at once; one that must ask somebody
returns an awaitable, and only then does the request wait. The proxy and the ASGI middleware use the same chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from shipway.gateway.refusals import INVALID_KEY, MISSING_KEY, Refused, rate_limited
from shipway.security.rate_limiting.fields import openai_fields, policy_field, retry_after_s, state_field
from shipway.security.rate_limiting.gcra import GcraTable


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, as logs and limits name them; never the key itself."""

    id: str


class Ticket:
    """What admission knows of one request, and what its links find out.

    Attributes:
        now_s: Monotonic seconds.
        principal: Set by authentication.
        fields: Header lines to add to the response, whatever it is.
    """

    __slots__ = ("authorization", "fields", "now_s", "principal", "x_api_key")

    def __init__(self, authorization: bytes | None, x_api_key: bytes | None, now_s: float) -> None:
        self.authorization = authorization
        self.x_api_key = x_api_key
        self.now_s = now_s
        self.principal: Principal | None = None
        self.fields = b""


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
        for at, link in enumerate(self._links):
            waiting = link(ticket)
            if waiting is not None:
                return self._go_on(ticket, waiting, at + 1)
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

    def __call__(self, ticket: Ticket) -> None:
        key = _sent_key(ticket)
        if not key:
            raise Refused(MISSING_KEY)
        principal = self._principals.get(key_digest(key))
        if principal is None:
            raise Refused(INVALID_KEY)
        ticket.principal = principal


class RequestLimit:
    """A limit of requests for each principal, exact within this process."""

    __slots__ = ("_policy", "table")

    def __init__(self, table: GcraTable) -> None:
        self.table = table
        self._policy = policy_field("default", table.quota)

    def __call__(self, ticket: Ticket) -> None:
        if ticket.principal is None:
            return
        decision = self.table.take(ticket.principal.id, ticket.now_s)
        ticket.fields = self._policy + state_field(b"default", decision) + openai_fields(decision)
        if not decision.allowed:
            raise Refused(rate_limited(retry_after_s(decision)))


def _sent_key(ticket: Ticket) -> bytes | None:
    if ticket.authorization is None:
        return ticket.x_api_key
    scheme, _, credential = ticket.authorization.partition(b" ")
    return credential.strip(b" \t") if scheme.lower() == b"bearer" else None
