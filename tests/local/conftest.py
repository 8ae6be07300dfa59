"""What the runner's tests share: a reporter that remembers, a guardian that only listens, children to start."""

import asyncio
import os
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shipway.local.addresses import LOOPBACK, Address, free_port
from shipway.local.children import ChildSpec, HealthPolicy
from shipway.local.keeper import Keeper
from shipway.local.probes import AcceptsConnections, Probe
from shipway.local.reports import Event, Line
from shipway.local.run_lock import is_alive
from tests.waiting import until

MakeSpec = Callable[..., ChildSpec]


@dataclass
class Reports:
    """A reporter that keeps what it is told."""

    events: list[Event] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def event(self, event: Event) -> None:
        self.events.append(event)

    async def line(self, source: str, stream: str, text: str) -> None:
        self.lines.append(Line(source, stream, text))

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    async def until(self, kind: str, count: int = 1, within_s: float = 20.0) -> Event:
        """Wait for the *count*-th event of *kind*."""

        def found() -> bool:
            return self.kinds.count(kind) >= count

        await until(found, within_s)
        return [event for event in self.events if event.kind == kind][count - 1]


@dataclass
class Groups:
    """Stands where the guardian stands and remembers which process groups exist."""

    watched: set[int] = field(default_factory=set)
    ever: list[int] = field(default_factory=list)

    def watch(self, group: int) -> None:
        self.watched.add(group)
        self.ever.append(group)

    def forget(self, group: int) -> None:
        self.watched.discard(group)


def gone(pid: int) -> bool:
    return not is_alive(pid)


LISTENER = """
import os, signal, socket, sys, time
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(os.environ["PORT"])))
listener.listen()
print("listening", flush=True)
"""
"""A child that becomes ready; what it does then is appended."""


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def groups() -> Groups:
    return Groups()


@pytest.fixture
def make_spec(tmp_path: Path) -> MakeSpec:
    """Makes the spec of a Python child: `make_spec(code, ...)`; its PORT is its address."""

    def make(
        code: str,
        *,
        name: str = "child",
        probe: Probe | None = None,
        start_s: float = 20.0,
        interval_s: float = 5.0,
        drain_s: float = 5.0,
        before: str = LISTENER,
    ) -> ChildSpec:
        port = free_port(set())
        return ChildSpec(
            name=name,
            argv=(sys.executable, "-I", "-S", "-c", before + textwrap.dedent(code)),
            env={"PORT": str(port), "PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
            cwd=tmp_path,
            probe=probe or AcceptsConnections(),
            address=Address(LOOPBACK, port),
            health=HealthPolicy(interval_s=interval_s, timeout_s=0.5, start_s=start_s, failures=2),
            drain_s=drain_s,
        )

    return make


@dataclass
class Running:
    """A keeper whose `run()` is under way."""

    keeper: Keeper
    task: "asyncio.Task[None]"

    async def ready(self) -> None:
        """Wait until it is ready, or raise what ended it."""
        wait = asyncio.create_task(self.keeper.ready.wait())
        await asyncio.wait({wait, self.task}, return_when=asyncio.FIRST_COMPLETED)
        wait.cancel()
        if self.task.done():
            self.task.result()

    async def stop(self, within_s: float = 5.0) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.keeper.stop(within_s)


Run = Callable[[Keeper], Running]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Runs keepers, and ends them after the test."""
    all_running: list[Running] = []

    def start(keeper: Keeper) -> Running:
        running = Running(keeper, asyncio.create_task(keeper.run()))
        all_running.append(running)
        return running

    yield start
    for running in all_running:
        await running.stop(0.0)
