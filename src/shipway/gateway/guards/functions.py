"""Guards that are Python functions: found by import string, run in threads of their own or, where async, in the event loop."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from shipway.errors import GuardError
from shipway.gateway.guards.check import Check, GuardFault


def load_function(name: str, target: str, root: Path) -> Callable[[Check], Any]:
    """The function at *target* (`package.module:function`), which guard *name* is; *root* is searched first.

    Raises:
        GuardError: there is none, or its module fails.
    """
    _search_first(root)
    module, _, attribute = target.partition(":")
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever the module does when it is imported
        raise GuardError(
            f"guards.{name}.call: cannot import {target}: {type(error).__name__}: {error}",
            "the module is looked for in the folder of the app file and among what is installed",
        ) from error
    if not callable(found):
        raise GuardError(f"guards.{name}.call: {target} is no function")
    function: Callable[[Check], Any] = found
    return function


class Threads:
    """Daemon threads that do one piece of work at a time; made as needed, at most *most*.

    Not a ThreadPoolExecutor: the interpreter waits for its threads at exit, so one guard that hangs would keep the gateway.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._made = 0

    def run(self, work: Callable[[], None], busy: int) -> None:
        """Do *work*, beside which *busy* others are under way."""
        if self._made <= busy and self._made < self._most:
            self._made += 1
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        self._work.put(work)

    def close(self) -> None:
        """End them, each when its work is done."""
        for _ in range(self._made):
            self._work.put(None)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()


class FunctionAsker:
    """Asks a function. Whatever it raises, `SystemExit` too, is a fault of the guard alone."""

    def __init__(self, name: str, function: Callable[[Check], Any], most: int) -> None:
        self._name = name
        self._function = function
        self._loop = asyncio.get_running_loop()
        call = getattr(function, "__call__", None)  # noqa: B004  # of an object whose call is async
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
        self._threads = Threads(f"guard {name}", most)
        self._busy = 0

    def ask(self, check: Check, freed: Callable[[], None]) -> asyncio.Future[object]:
        """What the function returns; see `Asker`."""
        if self._is_async:
            task = self._loop.create_task(self._called(check))
            task.add_done_callback(lambda _: freed())
            return task
        future: asyncio.Future[object] = self._loop.create_future()

        def ended(result: object, fault: GuardFault | None) -> None:
            self._busy -= 1
            freed()
            if not future.done():
                if fault is None:
                    future.set_result(result)
                else:
                    future.set_exception(fault)

        def work() -> None:
            result, fault = None, None
            try:
                if not future.cancelled():
                    result = self._function(check)
            except BaseException as error:
                fault = self._fault(error)
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(ended, result, fault)

        self._threads.run(work, self._busy)
        self._busy += 1
        return future

    def close(self) -> None:
        self._threads.close()

    async def _called(self, check: Check) -> object:
        try:
            return await self._function(check)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            raise self._fault(error) from error

    def _fault(self, error: BaseException) -> GuardFault:
        """Say where it was raised, but not its message: that may hold what a client said."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(frame.filename)}:{frame.lineno}"
        with suppress(OSError, ValueError):
            sys.stderr.write(f"warning: guard {self._name} raised {type(error).__name__} at {place}\n")
        return GuardFault("raised", type(error).__name__)


def import_modules(targets: Iterable[str], root: Path) -> None:
    """Import what *targets* name ahead of time, in a thread of the caller's; what fails is said by `load_function`."""
    _search_first(root)
    for target in targets:
        with suppress(Exception):
            import_module(target.partition(":")[0])


def _search_first(root: Path) -> None:
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
