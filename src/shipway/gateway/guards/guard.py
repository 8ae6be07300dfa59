"""One guard: asked within its deadline, only so often at once, and left alone for a while when it does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from shipway.gateway.breaker import Breaker
from shipway.gateway.guards.check import Check, GuardFault, Outcome, Verdict, When, read_verdict
from shipway.gateway.upstreams import Endpoint


class Asker(Protocol):
    """How a guard is asked."""

    def ask(self, check: Check, freed: Callable[[], None]) -> asyncio.Future[object]:
        """Begin to ask; gives what the guard will say, or fails with GuardFault.

        Who cancels it does not wait for it any more. *freed* is called once, when the work is over in truth: a thread cannot be
        stopped, so that may be much later.
        """

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What the app file says of a guard, whatever it is. *window* is in characters."""

    name: str
    deadline_s: float
    passes_on_failure: bool
    window: int
    hold_s: float
    concurrency: int
    reasons: Collection[str]


class Guard:
    """Kept for as long as its settings stay the same, so that a reload forgets neither its breaker nor what is under way."""

    def __init__(self, terms: Terms, asker: Asker, endpoint: Endpoint | None = None) -> None:
        """*endpoint*: where it is, if it is one; its connections are kept as long as the guard."""
        self.terms = terms
        self.name = terms.name
        self.endpoint = endpoint
        self.breaker = Breaker() if endpoint is None else endpoint.breaker
        self._asker = asker
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(terms.concurrency)

    async def check(self, check: Check) -> Outcome:
        """Ask; never raises but where it is cancelled, and takes no longer than the deadline."""
        began_s, started_s = self._loop.time(), perf_counter()  # the loop's clock is coarse
        if not self.breaker.allows(began_s):
            return self._ended(check, "resting", started_s)
        try:
            verdict = read_verdict(await self._said(check, began_s + self.terms.deadline_s), self.terms.reasons)
        except TimeoutError:
            kind = "timeout"
        except GuardFault as fault:
            kind = fault.kind
        except BaseException:  # cancelled: it tells nothing of the guard
            self.breaker.probe_abandoned(began_s)
            raise
        else:
            self.breaker.succeeded(self._loop.time(), began_s)
            return self._ended(check, "allowed" if verdict.verdict == "allow" else "refused", started_s, verdict)
        self.breaker.failed(self._loop.time(), began_s)
        return self._ended(check, kind, started_s)

    def unreadable(self, when: When) -> Outcome:
        """What it would have to see cannot be read."""
        return Outcome(self.name, when, "unreadable", self.terms.passes_on_failure)

    def close(self) -> None:
        self._asker.close()

    async def _said(self, check: Check, until_s: float) -> object:
        """Raises: TimeoutError, GuardFault."""
        if self._places.locked():
            async with asyncio.timeout_at(until_s):
                await self._places.acquire()
        else:
            await self._places.acquire()  # does not wait
        try:
            said = self._asker.ask(check, self._places.release)
        except BaseException:
            self._places.release()
            raise
        said.add_done_callback(_retrieved)
        try:
            # Not `timeout`: that would wait until what is cancelled has ended, which a guard may refuse to.
            await asyncio.wait((said,), timeout=until_s - self._loop.time())
            if not said.done():
                raise TimeoutError
            if said.cancelled():
                raise GuardFault("raised", "CancelledError")
            return said.result()
        finally:
            said.cancel()

    def _ended(self, check: Check, kind: str, started_s: float, verdict: Verdict | None = None) -> Outcome:
        passes = kind == "allowed" or (kind != "refused" and self.terms.passes_on_failure)
        duration_s = perf_counter() - started_s
        if verdict is None:
            return Outcome(self.name, check.when, kind, passes, duration_s)
        return Outcome(self.name, check.when, kind, passes, duration_s, verdict.reason, verdict.message)


class ModelGuards:
    """The guards of one model, in the order of the app file."""

    __slots__ = ("after", "before", "hold_s", "window")

    def __init__(self, before: tuple[Guard, ...], after: tuple[Guard, ...]) -> None:
        self.before = before
        self.after = after
        self.window = max((guard.terms.window for guard in after), default=1)
        self.hold_s = min((guard.terms.hold_s for guard in after), default=0.0)

    def all(self) -> set[Guard]:
        return {*self.before, *self.after}


def _retrieved(said: asyncio.Future[object]) -> None:
    """Nobody may wait any more for what a guard says late."""
    if not said.cancelled():
        said.exception()
