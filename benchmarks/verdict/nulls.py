"""Rollouts whose canary is no worse than the baseline: every rollback of one is false."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.verdict.traffic import World, batches, both, constant, ramp, steady
from shipway.deploy.counts import Arms, Tally
from shipway.deploy.findings import Objective
from shipway.deploy.verdict import Declaration

ERRORS = Declaration((Objective("errors", max_bad_rate=0.02, guarded=True),))
"""What most simulations declare: alpha is 5%; good enough is surely below 2% bad or below twice the baseline's."""

Rollout = Iterator[tuple[float, dict[str, Arms]]]
"""Look by look: the share, and what came under it."""


@dataclass(frozen=True)
class Null:
    """Attributes:
    is_claimed: Whether the bound is stated for it; if not, it shows where the statement ends.
    """

    name: str
    rollout: Callable[[random.Random], Rollout]
    declaration: Declaration = ERRORS
    is_claimed: bool = True


def _errors(world: World) -> Callable[[random.Random], Rollout]:
    return lambda rng: ((share, {"errors": arms}) for share, arms in batches(rng, world))


def _at_times(rate: float, usual: float, *, every: int, length: int) -> Callable[[int], float]:
    """*rate* during the last *length* of *every* requests, else *usual*."""
    return lambda done: rate if done % every >= every - length else usual


def _five_objectives(rng: random.Random) -> Rollout:
    """Errors, and four more ways to be bad that mostly come with them."""

    def mostly(tally: Tally) -> Tally:
        spared = sum(rng.random() < 0.2 for _ in range(tally.bad))
        return Tally(tally.good + spared, tally.bad - spared)

    for share, arms in batches(rng, steady(0.02, 0.02, share=0.2, requests=6000)):
        more = {f"other-{number}": Arms(mostly(arms.canary), mostly(arms.baseline)) for number in range(4)}
        yield share, {"errors": arms, **more}


def _sessions(rng: random.Random, *, longest: int, fail_whole: bool) -> Rollout:
    """Sessions that stay on one side: most of a few requests, some of up to *longest*."""
    for _ in range(1500):
        length = min(longest, int(rng.paretovariate(1.2)))
        bad = length * (rng.random() < 0.01) if fail_whole else sum(rng.random() < 0.01 for _ in range(length))
        tally = Tally(length - bad, bad)
        yield 0.1, {"errors": Arms(canary=tally) if rng.random() < 0.1 else Arms(baseline=tally)}


def _failing_sessions(rng: random.Random) -> Rollout:
    return _sessions(rng, longest=20, fail_whole=True)


def _slow_answers(rng: random.Random) -> Rollout:
    """Errors come at once and answers after 10 s; at first they are those of requests from before the rollout."""
    ended = []
    for number in range(-100, 400):  # ten a second
        share = 0.0 if number < 0 else 0.5
        is_canary, is_bad = rng.random() < share, rng.random() < 0.05
        ended.append((number if is_bad else number + 100, is_canary, is_bad))
    for number, is_canary, is_bad in sorted(ended):
        if number >= 0:
            tally = Tally(not is_bad, is_bad)
            yield 0.5, {"errors": Arms(canary=tally) if is_canary else Arms(baseline=tally)}


_RAMP = ramp(0.05, 0.1, 0.25, 0.5, every=1000)
_MANY = Declaration((Objective("errors", guarded=True), *(Objective(f"other-{number}") for number in range(4))))
_TOGETHER = Declaration((Objective("errors", max_bad_rate=0.02, together=20, guarded=True),))

NULLS = (
    Null("1% errors, share 50%", _errors(steady(0.01, 0.01, share=0.5, requests=10_000))),
    Null("1% errors, share 5%", _errors(steady(0.01, 0.01, share=0.05, requests=10_000))),
    Null("20% errors, share 10%, only 300 requests", _errors(steady(0.2, 0.2, share=0.1, requests=300))),
    Null("ramp 5-10-25-50%, errors rise to 9%", _errors(World(_RAMP, both(lambda done: 0.01 + done / 50_000), 4000))),
    Null(
        "incidents, half of all fails, share 10%",
        _errors(World(constant(0.1), both(_at_times(0.5, 0.01, every=1000, length=100)), 5000)),
    ),
    Null(
        "ramp with an incident in its last step",
        _errors(World(_RAMP, both(_at_times(0.5, 0.01, every=4000, length=400)), 4000)),
    ),
    Null(
        "everything fails for the first 300 requests",
        _errors(World(constant(0.2), both(lambda done: 1.0 if done < 300 else 0.0), 600)),
    ),
    Null("5% errors at once, answers after 10 s", _slow_answers),
    Null("canary better: 0.5% instead of 1%", _errors(steady(0.01, 0.005, share=0.5, requests=10_000))),
    Null("5 objectives, mostly bad together", _five_objectives, _MANY),
    Null("sticky sessions of up to 1,000 requests", lambda rng: _sessions(rng, longest=1000, fail_whole=False)),
    Null("sessions that fail whole, declared: 20", _failing_sessions, _TOGETHER),
    Null("sessions that fail whole, undeclared", _failing_sessions, is_claimed=False),
)
