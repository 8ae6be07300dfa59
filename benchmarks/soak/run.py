"""The soak itself: a crew of clients works, rests while the gateway is looked at, and works again."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.soak.clients import CREW, EXPECTED_LATE, Visit, Wrong
from benchmarks.soak.process import Gateway, Sample
from benchmarks.soak.upstream import upstreams
from benchmarks.soak.verdict import Bounds

REST_S = 0.4
"""From the last client's end to the sample."""
LAST_S = 4.0
"""How long after that something may still be open: longer than the gateway listens to those it has refused."""
LEAST_VISITS = 5
MOST_LATE = 0.2
"""Share of visits that may meet a passed deadline where nothing is ill."""


@dataclass(frozen=True)
class Effort:
    """How long it is looked at, and what then counts as growth."""

    work_s: float
    """Between two rests."""
    rounds: int
    bounds: Bounds
    gives_back: bool = False
    """Whether the gateway's allocator returns large blocks at once. By itself it takes a minute to stop growing."""


FULL = Effort(9.0, 26, Bounds(slope_kib=4 * 1024, total_kib=10 * 1024))
"""At some 40,000 requests a minute this sees a leak of a hundred bytes a request; the allocator alone wanders by some MiB."""
QUICK = Effort(2.5, 10, Bounds(slope_kib=48 * 1024, total_kib=16 * 1024), gives_back=True)
"""All of it is warm-up, so it sees gross leaks alone: a kilobyte a request, or bodies that stay."""


@dataclass
class Outcome:
    """What a soak saw."""

    samples: list[Sample] = field(default_factory=list)
    visits: dict[str, Counter[str]] = field(default_factory=dict)
    """By kind of client, what its visits came to."""
    wrong: Counter[str] = field(default_factory=Counter)
    """What clients met that must not be."""
    reloads: int = 0

    def note(self, visit: Visit, what: str) -> None:
        self.visits.setdefault(visit.__name__, Counter())[what] += 1


async def soak(effort: Effort, cores: str, say: Callable[[str], None]) -> Outcome:
    """Run the gateway on *cores* under mixed traffic.

    Raises:
        RuntimeError: The gateway did not start.
    """
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="shipway-soak-") as folder:
        async with upstreams() as upstream_port:
            gateway = Gateway(Path(folder), upstream_port, cores, gives_back=effort.gives_back)
            try:
                await gateway.until_answering()
                await _rounds(gateway, effort, outcome, say)
                outcome.reloads = gateway.reloads
                if gateway.tracebacks():
                    outcome.wrong[f"{gateway.tracebacks()} tracebacks in the log"] += 1
            finally:
                gateway.stop()
    for visit, _ in CREW:
        count = sum(outcome.visits.get(visit.__name__, Counter()).values())
        if count < LEAST_VISITS:
            outcome.wrong[f"only {count} visits of {visit.__name__}"] += 1
        elif outcome.visits[visit.__name__]["Late"] > MOST_LATE * count:
            outcome.wrong[f"{outcome.visits[visit.__name__]['Late']} of {count} {visit.__name__} were late"] += 1
    return outcome


async def _rounds(gateway: Gateway, effort: Effort, outcome: Outcome, say: Callable[[str], None]) -> None:
    began_s = time.monotonic()
    for number in range(effort.rounds):
        until_s = time.monotonic() + effort.work_s
        crew = [
            _work(visit, gateway, outcome, random.Random(f"{visit.__name__} {one} {number}"), until_s)  # noqa: S311
            for visit, count in CREW
            for one in range(count)
        ]
        await asyncio.gather(*crew)
        await asyncio.sleep(REST_S)
        if not gateway.alive:
            outcome.wrong["the gateway ended"] += 1
            return
        sample = await _at_rest(gateway, began_s)
        outcome.samples.append(sample)
        say(f"{sample.at_s:4.0f} s  {sample.resident_kib / 1024:6.2f} MiB  {sample.files:4} files")


async def _at_rest(gateway: Gateway, began_s: float) -> Sample:
    until_s = time.monotonic() + LAST_S
    while True:
        sample = await gateway.look(time.monotonic() - began_s)
        if (sample.in_flight == 0 and sample.clients == 0) or time.monotonic() > until_s:
            return sample
        await asyncio.sleep(0.1)


async def _work(visit: Visit, gateway: Gateway, outcome: Outcome, rng: random.Random, until_s: float) -> None:
    while time.monotonic() < until_s:
        try:
            outcome.note(visit, await visit(gateway, rng))
        except EXPECTED_LATE as error:
            outcome.note(visit, type(error).__name__)
        except Wrong as wrong:
            outcome.wrong[f"{visit.__name__}: {wrong}"] += 1
        await asyncio.sleep(rng.random() * 0.02)
