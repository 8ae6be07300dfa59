"""All children together: started stage by stage as each becomes ready, ended stage by stage within one budget."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from shipway.local.backoff import Backoff
from shipway.local.children import ChildSpec, Watcher
from shipway.local.keeper import Keeper
from shipway.local.reports import Event, Reporter

MARGIN_S = 5.0
"""The budget of the whole end beyond the longest drain, so that a gateway which needed all of its time leaves some."""
_EXIT_S = 1.0
"""From the end of a child's drain to its exit."""


@dataclass(frozen=True)
class Stage:
    """Children that start together, because they may refer to one another, once the stage before is ready.

    Attributes:
        title: What is waited for: "the models", "the gateway".
        leaves: Order in which stages end, lowest first.
    """

    title: str
    children: tuple[ChildSpec, ...]
    leaves: int


def stop_budget_s(stages: Sequence[Stage]) -> float:
    """How long the orderly end of all stages may take."""
    return max((child.drain_s for stage in stages for child in stage.children), default=0.0) + MARGIN_S


def stage_limit_s(child_drain_s: float, left_s: float, later_stages: int) -> float:
    """How long a child may take to end when *left_s* of the budget are left and so many stages come after its own.

    Its own drain and a moment to exit, and never what the later stages need at the least.
    """
    return max(0.0, min(child_drain_s + _EXIT_S, left_s - later_stages * _EXIT_S))


class Supervisor:
    """Runs stages of children.

    `run()` starts them and then watches; cancelling it leaves them as they are. `stop()` ends them in order, and
    `kill()`, also while `stop()` is waiting, at once.
    """

    def __init__(
        self, stages: Sequence[Stage], guardian: Watcher, reporter: Reporter, backoff: Backoff | None = None
    ) -> None:
        self.ready = asyncio.Event()
        """Set once every child was ready."""
        self._reporter = reporter
        self._stages = [
            (stage, [Keeper(spec, guardian, reporter, backoff) for spec in stage.children])
            for stage in stages
            if stage.children
        ]

    @property
    def keepers(self) -> tuple[Keeper, ...]:
        return tuple(keeper for _, keepers in self._stages for keeper in keepers)

    @property
    def budget_s(self) -> float:
        return stop_budget_s([stage for stage, _ in self._stages])

    async def run(self) -> None:
        """Start all, set `ready`, and keep them running.

        Raises:
            StartError: A child did not become ready; the others still run and are to be stopped.
        """
        running: list[asyncio.Task[None]] = []
        try:
            for stage, keepers in self._stages:
                self._announce(stage, keepers)
                running += [asyncio.create_task(keeper.run()) for keeper in keepers]
                await _all_ready(keepers, running)
            self.ready.set()
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                if task.done():
                    task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def stop(self) -> None:
        """End all children, in the order of their stages' `leaves`, within the budget."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self.budget_s
        leaving = sorted(self._stages, key=lambda one: one[0].leaves)
        for number, (_, keepers) in enumerate(leaving):
            later = len(leaving) - number - 1
            left_s = deadline_s - loop.time()
            await asyncio.gather(
                *(keeper.stop(stage_limit_s(keeper.spec.drain_s, left_s, later)) for keeper in keepers)
            )

    def kill(self) -> None:
        for keeper in self.keepers:
            keeper.kill()

    def _announce(self, stage: Stage, keepers: Sequence[Keeper]) -> None:
        names = [keeper.spec.name for keeper in keepers]
        message = f"waiting for {stage.title}"
        if names != [stage.title.removeprefix("the ")]:
            message += f": {', '.join(names)}"
        self._reporter.event(Event("waiting", message, fields={"for": names}))


async def _all_ready(keepers: Sequence[Keeper], running: Sequence["asyncio.Task[None]"]) -> None:
    """Wait until each of *keepers* was ready, or one of *running* (which never end by themselves) has failed."""
    ready = asyncio.create_task(_each_ready(keepers))
    try:
        await asyncio.wait({ready, *running}, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            if task.done():
                task.result()
    finally:
        ready.cancel()


async def _each_ready(keepers: Sequence[Keeper]) -> None:
    for keeper in keepers:
        await keeper.ready.wait()
