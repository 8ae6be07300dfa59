"""Polls with a deadline, for what nothing announces. A wait that ends in vain fails the test."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

_PAUSE_S = 0.02


async def until(condition: Callable[[], bool | Awaitable[object]], within_s: float = 20.0) -> None:
    """Wait until *condition* holds; what it gives may have to be awaited."""
    deadline_s = time.monotonic() + within_s
    while True:
        holds = condition()
        if await holds if inspect.isawaitable(holds) else holds:
            return
        assert time.monotonic() < deadline_s, "waited in vain"
        await asyncio.sleep(_PAUSE_S)


def wait_until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """The same for tests without an event loop."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(_PAUSE_S)
