"""Runs a handler coroutine without a task.

An asyncio task costs two trips through the event loop for each request (its first step and each wake-up), and with them a
later first byte. A handler here runs inside the callback that brought what it waits for. It waits on `Waiter`s, and may also
await an asyncio future or task, for the few things that need one (opening a connection, asking a shared store).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Waiter(Generic[T]):
    """A result that arrives at most once; whoever awaits it continues inside `set` or `fail`."""

    __slots__ = ("_error", "_resume", "_value", "settled")

    def __init__(self) -> None:
        self.settled = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._resume: Callable[[], None] | None = None

    def set(self, value: T) -> None:
        """Settle with *value*; the first settlement counts."""
        if not self.settled:
            self.settled = True
            self._value = value
            if self._resume is not None:
                self._resume()

    def fail(self, error: BaseException) -> None:
        """Settle by raising *error* where it is awaited."""
        if not self.settled:
            self.settled = True
            self._error = error
            if self._resume is not None:
                self._resume()

    def __await__(self) -> Generator[Waiter[T], None, T]:
        if not self.settled:
            yield self
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # settled without error: it is a T


class Running:
    """One handler on its way. `stop` raises `asyncio.CancelledError` where it waits, once."""

    __slots__ = ("_active", "_coroutine", "_stopped", "finished")

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine = coroutine
        self._active = False
        self._stopped = False
        self.finished = False

    def stop(self) -> None:
        if self.finished or self._stopped:
            return
        self._stopped = True
        if self._active:  # it asked for its own end: it notices at its next wait
            return
        self.step(asyncio.CancelledError())

    def step(self, error: BaseException | None = None) -> None:
        """Go on until the next wait or the end; *error* is raised where it waits."""
        if self.finished or self._active:
            return
        self._active = True
        try:
            waited = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            while self._stopped and error is None:
                error = asyncio.CancelledError()
                waited = self._coroutine.throw(error)
        except StopIteration:
            self.finished = True
            return
        except BaseException:
            self.finished = True
            raise
        finally:
            self._active = False
        if type(waited) is Waiter:
            waited._resume = self.step
        elif waited is None:  # a bare yield, as asyncio.sleep(0) does
            asyncio.get_running_loop().call_soon(self.step)
        else:
            waited._asyncio_future_blocking = False
            waited.add_done_callback(self._woken)

    def _woken(self, future: asyncio.Future[Any]) -> None:
        self.step()
