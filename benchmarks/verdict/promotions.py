"""How often, and how soon, the verdict promotes: canaries that are good enough, and others that are not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.verdict.nulls import ERRORS
from benchmarks.verdict.rates import Share, middle
from benchmarks.verdict.traffic import World, batches, seeded, steady
from shipway.deploy.counts import Arms, Counts, Tally
from shipway.deploy.findings import Objective
from shipway.deploy.sequential import log_below, log_less_than

Rollout = Iterator[tuple[float, Arms, bool]]
"""Look by look: the share, what came under it, and whether that is settled."""


@dataclass(frozen=True)
class Candidate:
    """Attributes:
    is_false: Whether its promotion is a mistake.
    is_claimed: Whether a bound is stated for that; if not, it shows why things are done as they are.
    """

    name: str
    is_false: bool
    rollout: Callable[[random.Random], Rollout]
    objective: Objective = ERRORS.objectives[0]
    is_claimed: bool = True


@dataclass(frozen=True)
class Promotion:
    """Attributes:
    requests: Of the canary until then (median).
    """

    name: str
    is_false: bool
    is_claimed: bool
    promoted: Share
    requests: float


def promotion(candidate: Candidate, runs: int, seed: int) -> Promotion:
    found = [_promoted(candidate, seeded(seed + run)) for run in range(runs)]
    times = [float(one) for one in found if one is not None]
    return Promotion(
        candidate.name,
        candidate.is_false,
        candidate.is_claimed,
        Share(len(times), runs),
        middle(times + [math.inf] * (runs - len(times))),
    )


def _promoted(candidate: Candidate, rng: random.Random) -> int | None:
    """The number of canary requests when a limit's evidence says so: the same as a bound below it, and cheaper."""
    limits, counts, canary = candidate.objective, Counts(), Tally()
    limits_given = 2 if limits.max_bad_rate is not None and limits.max_ratio is not None else 1
    threshold = math.log(limits_given / ERRORS.promotion_alpha)
    for share, arms, settled in candidate.rollout(rng):
        counts = counts.plus(share, {"errors": arms}, settled=settled)
        canary += arms.canary if settled else Tally()
        if not settled or canary.total < ERRORS.minimum_requests:
            continue
        steps = [step for step in counts.of("errors") if step.settled]
        if limits.max_bad_rate is not None and log_below(canary, limits.max_bad_rate) >= threshold:
            return canary.total
        if limits.max_ratio is not None and log_less_than(steps, limits.max_ratio) >= threshold:
            return canary.total
    return None


def _errors(world: World) -> Callable[[random.Random], Rollout]:
    return lambda rng: ((share, arms, True) for share, arms in batches(rng, world))


def _slow_errors(rng: random.Random, settles_s: int) -> Rollout:
    """Ten requests a second, 2% errors of the baseline and 4% of the canary that take half a minute, a ramp by the minute."""

    def share_at(second: float) -> float:
        return 0.0 if second < 0 else min(0.1 * (1 + second // 60), 0.5)

    ended = []
    for number in range(-300, 6000):
        is_canary = rng.random() < share_at(number / 10)
        is_bad = rng.random() < (0.04 if is_canary else 0.02)
        ended.append(((number + 300 * is_bad) / 10, is_canary, is_bad))
    looks: dict[int, Arms] = {}
    for second, is_canary, is_bad in ended:
        tally = Tally(not is_bad, is_bad)
        looks[int(second)] = looks.get(int(second), Arms()) + (Arms(tally) if is_canary else Arms(baseline=tally))
    for second in range(600):
        since_change_s = second % 60 if second < 300 else second - 240
        yield share_at(second), looks.get(second, Arms()), since_change_s >= settles_s


_RATIO = Objective("errors", max_ratio=2.0)

CANDIDATES = (
    Candidate(
        "2% errors, baseline 1%: at both limits; share 50%",
        True,
        _errors(steady(0.01, 0.02, share=0.5, requests=20_000)),
    ),
    Candidate(
        "2% errors, baseline 1%: at both limits; share 10%",
        True,
        _errors(steady(0.01, 0.02, share=0.1, requests=50_000)),
    ),
    Candidate(
        "4% errors, baseline 2%: at one; share 50%", True, _errors(steady(0.02, 0.04, share=0.5, requests=20_000))
    ),
    Candidate("4%, baseline 2%; errors take 30 s, settled", True, lambda rng: _slow_errors(rng, 30), _RATIO),
    Candidate("the same, not settled", True, lambda rng: _slow_errors(rng, 0), _RATIO, is_claimed=False),
    Candidate("0.1% errors of both; share 10%", False, _errors(steady(0.001, 0.001, share=0.1, requests=100_000))),
    Candidate("1% errors of both; share 10%", False, _errors(steady(0.01, 0.01, share=0.1, requests=100_000))),
    Candidate("1% errors of both; share 50%", False, _errors(steady(0.01, 0.01, share=0.5, requests=100_000))),
    Candidate(
        "5% errors of both: beyond one; share 50%", False, _errors(steady(0.05, 0.05, share=0.5, requests=100_000))
    ),
)
