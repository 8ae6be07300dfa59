"""The life of one child: started, watched, restarted when it ends or turns unhealthy, replaced on request, stopped."""

import asyncio
from collections.abc import Iterable
from enum import Enum

from shipway.errors import StartError
from shipway.local.backoff import Backoff
from shipway.local.children import Child, ChildSpec, Watcher
from shipway.local.probes import ProbeError
from shipway.local.reports import Event, Reporter, Severity

_SHOWN_LINES = 20
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25
_SWITCH_S = 1.0
"""After this, a process that was told to end gets no new request, even if it still works on old ones."""
_HANGS_S = 1.0
"""A probe that has waited so long when the time to start is over is why the child was not ready."""
_NOTHING_LISTENS = "nothing listens on"
PROBE_FAILURES = (ProbeError, OSError, EOFError, ValueError, KeyError, TypeError, asyncio.LimitOverrunError)
"""What a probe raises when a child cannot answer; TimeoutError is an OSError."""


class _End(Enum):
    """Why a ready child has to be replaced."""

    EXITED = "exited"
    UNHEALTHY = "unhealthy"
    REPLACE = "replace"


class NotReadyError(Exception):
    """A child that was started did not become ready, and why."""


class Keeper:
    """Keeps one child running.

    `run()` goes on until it is cancelled, which leaves the child as it is; `stop()` or `kill()` then end it.
    """

    def __init__(self, spec: ChildSpec, guardian: Watcher, reporter: Reporter, backoff: Backoff | None = None) -> None:
        self.spec = spec
        self.ready = asyncio.Event()
        """Set from the first time the child was ready."""
        self._guardian = guardian
        self._reporter = reporter
        self._backoff = backoff or Backoff()
        self._failures = 0
        self._wanted = asyncio.Event()
        self._living: set[Child] = set()
        self._leaving: set[asyncio.Task[int]] = set()

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the processes that live now: one, or two during a hand-over."""
        return tuple(sorted(child.pid for child in self._living))

    def replace(self) -> None:
        """Ask for a fresh process: its files have changed."""
        self._wanted.set()

    async def run(self) -> None:
        """Start the child and keep it running.

        Raises:
            StartError: It did not become ready the first time.
        """
        child = await self._first_start()
        self.ready.set()
        while True:
            child = await self._successor(child)

    async def stop(self, within_s: float) -> None:
        """End the child in order: SIGTERM, and SIGKILL after *within_s*."""
        await asyncio.gather(*(child.stop(within_s) for child in tuple(self._living)))

    def kill(self) -> None:
        """End the child at once. What waits for it in `stop()` then returns."""
        for child in tuple(self._living):
            child.kill()

    async def _first_start(self) -> Child:
        try:
            return await self._start()
        except NotReadyError as error:
            raise StartError(f"{self.spec.name} {error}", self._hint(str(error))) from error

    def _hint(self, problem: str) -> str | None:
        if _NOTHING_LISTENS not in problem or "PORT" not in self.spec.env:
            return None
        return "it has to listen on 127.0.0.1, on the port in the environment variable PORT"

    async def _start(self) -> Child:
        """A child that is ready. Raises: NotReadyError; then nothing is left of it."""
        try:
            child = await Child.start(self.spec, self._guardian, self._reporter)
        except OSError as error:
            where = f": {error.filename}" if error.filename is not None else ""  # the folder, when that is gone
            raise NotReadyError(f"could not be started: {error.strerror or error}{where}") from error
        self._living.add(child)
        try:
            await self._until_ready(child)
        except NotReadyError as error:
            await child.stop(2.0)
            self._living.discard(child)
            raise NotReadyError(f"{error}{_last_words(child.tail)}") from error
        return child

    async def _until_ready(self, child: Child) -> None:
        end = asyncio.create_task(child.ended())
        answer = asyncio.create_task(self._until_answer(child))
        limit_s = self.spec.health.start_s
        try:
            done, _ = await asyncio.wait({end, answer}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if end in done:
                raise NotReadyError(f"{child.explain_end(end.result())} before it was ready")
            if answer not in done:
                raise NotReadyError(f"was not ready within {limit_s:g} s{self._last_failure(child)}")
            answer.result()
        finally:
            end.cancel()
            answer.cancel()

    async def _until_answer(self, child: Child) -> None:
        await child.said_ready.wait()
        pause_s = _FIRST_PAUSE_S
        # A first answer may take long (a model's first token): only the deadline of the start limits it.
        while (failure := await _first_failure(child, self.spec.health.start_s)) is not None:
            child.last_failure = failure
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 1.5)

    def _last_failure(self, child: Child) -> str:
        if child.asked_at_s is not None:
            waited_s = asyncio.get_running_loop().time() - child.asked_at_s
            if waited_s >= _HANGS_S:
                return f" (no answer for {waited_s:.0f} s: {self.spec.probe})"
        return f" ({child.last_failure})" if child.last_failure else ""

    async def _successor(self, child: Child) -> Child:
        """Watch over *child* until it has to be replaced; returns the next one, ready."""
        loop = asyncio.get_running_loop()
        ready_at_s = loop.time()
        end = await self._watch(child)
        if end is _End.REPLACE:
            self._wanted.clear()
            return await self._hand_over(child) if self.spec.sockets else await self._stop_and_start(child)
        if end is _End.UNHEALTHY:
            self._say("unhealthy", f"{self.spec.name} failed {self.spec.health.failures} health checks: restarting it")
        status = await (child.stop(self.spec.drain_s) if end is _End.UNHEALTHY else child.ended())
        self._living.discard(child)
        self._failures = self._backoff.failures_after(self._failures, loop.time() - ready_at_s)
        why = child.explain_end(status) if end is _End.EXITED else "was unhealthy"
        return await self._restart(f"{self.spec.name} {why}")

    async def _watch(self, child: Child) -> _End:
        waits = {
            asyncio.create_task(child.ended()): _End.EXITED,
            asyncio.create_task(self._until_unhealthy(child)): _End.UNHEALTHY,
            asyncio.create_task(self._wanted.wait()): _End.REPLACE,
        }
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        return next(end for task, end in waits.items() if task in done)

    async def _until_unhealthy(self, child: Child) -> None:
        health = self.spec.health
        failures = 0
        while failures < health.failures:
            await asyncio.sleep(health.interval_s)
            failure = await _failure(child, health.timeout_s)
            failures = failures + 1 if failure else 0

    async def _hand_over(self, child: Child) -> Child:
        """Start a successor beside *child*, which ends its requests once the successor is ready; else it stays."""
        self._say("reloading", f"{self.spec.name}: files changed, starting it again", "info")
        try:
            successor = await self._start()
        except NotReadyError as error:
            self._say("reload-failed", f"{self.spec.name} {error}\nthe running one stays", "error")
            return child
        leaving = asyncio.create_task(child.stop(self.spec.drain_s))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        leaving.add_done_callback(lambda _: self._living.discard(child))
        # Until the old one has stopped accepting, either may get a request; then it can be said.
        await asyncio.wait({leaving}, timeout=_SWITCH_S)
        self._say("reloaded", f"{self.spec.name} runs with the change", "good")
        return successor

    async def _stop_and_start(self, child: Child) -> Child:
        self._say("reloading", f"{self.spec.name}: files changed, restarting it", "info")
        await child.stop(self.spec.drain_s)
        self._living.discard(child)
        self._failures = 0
        return await self._restart(None)

    async def _restart(self, why: str | None) -> Child:
        """Start again, as often as it takes; sooner when the files change meanwhile."""
        while True:
            delay_s = self._backoff.delay_s(self._failures)
            if why is not None:
                message = f"{why}; starting it again in {delay_s:g} s"
                self._say("restarting", message, failures=self._failures, delay_s=delay_s)
            try:
                await asyncio.wait_for(self._wanted.wait(), delay_s)
            except TimeoutError:
                pass
            self._wanted.clear()
            try:
                child = await self._start()
            except NotReadyError as error:
                self._failures = self._backoff.failures_after(self._failures, 0.0)
                why = f"{self.spec.name} {error}"
            else:
                self._say("restarted", f"{self.spec.name} runs again", "good")
                return child

    def _say(self, kind: str, message: str, severity: Severity = "warning", **fields: object) -> None:
        self._reporter.event(Event(kind, message, severity, {"child": self.spec.name, **fields}))


async def _first_failure(child: Child, timeout_s: float) -> str | None:
    """As `_failure`, and *child* knows meanwhile since when it is asked."""
    child.asked_at_s = asyncio.get_running_loop().time()
    failure = await _failure(child, timeout_s)
    child.asked_at_s = None
    return failure


async def _failure(child: Child, timeout_s: float) -> str | None:
    """Probe *child* once; returns what is wrong."""
    try:
        async with asyncio.timeout(timeout_s):
            await child.spec.probe(child.address)
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except ConnectionRefusedError:
        return f"{_NOTHING_LISTENS} {child.address}"
    except PROBE_FAILURES as error:
        return str(error) or type(error).__name__
    return None


def _last_words(tail: Iterable[str]) -> str:
    lines = list(tail)[-_SHOWN_LINES:]
    return "".join(f"\n  {line}" for line in lines) if lines else " (it wrote nothing)"
