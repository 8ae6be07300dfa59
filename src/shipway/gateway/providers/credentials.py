"""Credentials that expire: held ready for requests, fetched anew in the background.

A request takes `current()` and never waits. Whoever makes a `Held` runs its `keep_fresh` for as long as it is used. When
fetching fails, what is held stays in use until it expires, and fetching is tried again, ever less often.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

T = TypeVar("T")

EARLIEST_S = 900.0
"""How long before the end a credential that lives for hours is replaced; of shorter ones a quarter of their life is left."""
SHORTEST_WAIT_S = 10.0
"""Between two fetches, where what is fetched is about to expire itself."""
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0


class NoCredentialError(Exception):
    """There is none that could be sent: never fetched yet, or expired and not replaced. Holds no secret."""


class FetchError(Exception):
    """A source did not give a credential. The message names the source, never what it holds."""


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """A credential, and until when it may be used, in seconds since 1970; None is for ever."""

    value: T
    expires_at_s: float | None = None


class Held(Generic[T]):
    """One credential and how it is renewed.

    Args:
        what: How it is called in errors: "AWS credentials", "the Entra token".
        fetch: Gets a new one. Raises FetchError.
        now_s: Wall time in seconds since 1970, which is what expiry is given in.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        what: str,
        fetch: Callable[[], Awaitable[Fetched[T]]],
        *,
        now_s: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.what = what
        self.failure: str | None = None
        """Why the last fetch failed; None after one that did not."""
        self.tried = asyncio.Event()
        """Set once there was a fetch, whatever came of it."""
        self._fetch = fetch
        self._now_s = now_s
        self._sleep = sleep
        self._held: Fetched[T] | None = None
        self._failures = 0

    def current(self) -> T:
        """The credential, at once. Raises: NoCredentialError."""
        held = self._held
        if held is None:
            raise NoCredentialError(f"there are no {self.what} yet" + self._why())
        if held.expires_at_s is not None and held.expires_at_s <= self._now_s():
            raise NoCredentialError(f"{self.what} expired" + self._why())
        return held.value

    async def refresh(self) -> float:
        """Fetch once; gives the seconds until that is due again, infinite for what does not expire."""
        try:
            self._held = await self._fetch()
        except FetchError as error:
            self.failure = str(error)
            self.tried.set()
            wait_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(self._failures, 10))
            self._failures += 1
            return wait_s
        self.failure, self._failures = None, 0
        self.tried.set()
        if self._held.expires_at_s is None:
            return inf
        left_s = self._held.expires_at_s - self._now_s()
        return max(SHORTEST_WAIT_S, left_s - min(EARLIEST_S, left_s / 4))

    async def keep_fresh(self) -> None:
        """Fetch now and whenever it is due; returns when it is never due again. To be cancelled at the end."""
        while (wait_s := await self.refresh()) < inf:
            await self._sleep(wait_s)

    def _why(self) -> str:
        return f": {self.failure}" if self.failure else ""


def held_forever(what: str, value: T) -> Held[T]:
    """A credential that was given and does not expire, ready without a fetch."""

    async def fetch() -> Fetched[T]:
        return Fetched(value)

    held = Held(what, fetch)
    held._held = Fetched(value)
    held.tried.set()
    return held
