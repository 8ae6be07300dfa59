"""Credentials are there when asked for, renewed in time, and kept while their source is down."""

import asyncio
from math import inf

import pytest

from shipway.gateway.providers.credentials import Fetched, FetchError, Held, NoCredentialError, held_forever

HOUR = 3600.0


class Source:
    """Gives what is put into `answers`, one a fetch, on a clock that only sleeping moves."""

    def __init__(self, *answers: Fetched[str] | str) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []
        self.answers = list(answers)
        self.held = Held("keys", self._fetch, now_s=lambda: self.now_s, sleep=self._sleep)

    async def _fetch(self) -> Fetched[str]:
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            raise FetchError(answer)
        return answer

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


async def test_nothing_is_there_before_the_first_fetch() -> None:
    source = Source("source is down")
    with pytest.raises(NoCredentialError, match=r"^there are no keys yet$"):
        source.held.current()
    await source.held.refresh()
    with pytest.raises(NoCredentialError, match="yet: source is down"):
        source.held.current()


async def test_renewed_before_it_expires() -> None:
    source = Source(Fetched("first", 1000 + HOUR), Fetched("second", 1000 + 2 * HOUR), Fetched("last"))
    await source.held.keep_fresh()
    assert source.slept == [HOUR - 900, HOUR]  # the second lives for 75 minutes when it comes
    assert source.held.current() == "last"


async def test_one_that_lives_shortly_is_renewed_when_a_quarter_of_its_life_is_left() -> None:
    source = Source(Fetched("short", 1000 + 200), Fetched("nearly over", 1000 + 155), Fetched("last"))
    await source.held.keep_fresh()
    assert source.slept == [150, 10]


async def test_source_that_is_down_is_asked_less_and_less_and_what_is_held_is_used_until_it_expires() -> None:
    source = Source(Fetched("old", 1000 + 400), *["down"] * 9, Fetched("new"))
    await source.held.refresh()
    waits = [await source.held.refresh() for _ in range(9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert source.held.current() == "old"
    source.now_s += 400
    with pytest.raises(NoCredentialError, match="keys expired: down"):
        source.held.current()
    assert await source.held.refresh() == inf
    assert source.held.current() == "new"
    assert source.held.failure is None


async def test_given_ones_are_there_at_once_and_need_no_renewal() -> None:
    held = held_forever("keys", "given")
    assert held.current() == "given"
    await asyncio.wait_for(held.keep_fresh(), 1)


async def test_nobody_waits_for_a_source_that_hangs() -> None:
    asked, now_s = asyncio.Event(), [1000.0]
    first = [Fetched("old", 1100.0)]

    async def fetch() -> Fetched[str]:
        if first:
            return first.pop()
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    held = Held("keys", fetch, now_s=lambda: now_s[0], sleep=lambda _: asyncio.sleep(0))
    renewal = asyncio.ensure_future(held.keep_fresh())
    await asyncio.wait_for(asked.wait(), 1)
    assert held.current() == "old"
    now_s[0] = 1100.0
    with pytest.raises(NoCredentialError, match=r"^keys expired$"):
        held.current()
    renewal.cancel()
