"""Admission: who is calling and may they, decided from a request's head without touching a transport.

The links run in order (authenticate, then as they come: authorize, limit, reserve) and each answers from memory.
"""

from __future__ import annotations

from shipway.gateway.http1.head import RequestHead
from shipway.gateway.refusals import INVALID_KEY, MISSING_KEY, Refused
from shipway.gateway.snapshot import Principal, Snapshot, key_digest


def authenticate(snapshot: Snapshot, head: RequestHead) -> Principal:
    """The principal whose key the request carries, in `Authorization: Bearer` or `x-api-key`.

    Raises:
        Refused: no key, or one that is not known.
    """
    key = _sent_key(head)
    if key is None:
        raise Refused(MISSING_KEY)
    principal = snapshot.keys.get(key_digest(key))
    if principal is None:
        raise Refused(INVALID_KEY)
    return principal


def _sent_key(head: RequestHead) -> str | None:
    if head.authorization is not None:
        scheme, _, credential = head.authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        return credential.strip(b" \t").decode("latin-1") or None
    if head.x_api_key:
        return head.x_api_key.decode("latin-1")
    return None
