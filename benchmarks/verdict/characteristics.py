"""What a verdict states of itself, counted over many simulated rollouts that are looked at all the time."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from benchmarks.verdict.nulls import ERRORS, Null
from benchmarks.verdict.rates import Share, middle
from benchmarks.verdict.traffic import World, batch, batches, seeded, steady
from shipway.deploy.counts import Arms, Counts, Step, Tally, whole
from shipway.deploy.sequential import log_worse
from shipway.deploy.verdict import log_evidence

SHARES = (0.05, 0.1, 0.5)
LATE = ((0.05, 0.05), (0.5, 0.5), (0.05, 0.5), (0.1, 0.25))
BAD_RATES = (0.02, 0.05, 0.1, 0.5, 1.0)


@dataclass(frozen=True)
class FalseRollbacks:
    """Of rollouts of one kind: how many are rolled back by the verdict, and by two tests that are not sound.

    Attributes:
        pooled: The same evidence with all steps counted as one.
        peeked: A z-test of 5% on the two rates, read at each look.
    """

    name: str
    is_claimed: bool
    verdict: Share
    pooled: Share
    peeked: Share


def false_rollbacks(null: Null, runs: int, seed: int) -> FalseRollbacks:
    hits = [_false_rollbacks(null, seeded(seed + run)) for run in range(runs)]
    shares = [Share(sum(column), runs) for column in zip(*hits, strict=True)]
    return FalseRollbacks(null.name, null.is_claimed, *shares)


def _false_rollbacks(null: Null, rng: random.Random) -> tuple[bool, bool, bool]:
    threshold = -math.log(null.declaration.alpha)
    counts, by_verdict, by_pool, by_peek = Counts(), False, False, False
    for share, more in null.rollout(rng):
        counts = counts.plus(share, more)
        arms = whole(counts.of("errors"))
        if not any(one.canary.bad for one in more.values()) and arms.canary.good:
            continue  # nothing that could make any of them rise
        by_verdict = by_verdict or log_evidence(null.declaration, counts) >= threshold
        by_pool = by_pool or log_worse([Step(_observed_share(arms), arms)]) >= threshold
        by_peek = by_peek or _z(arms) > 1.645
    return by_verdict, by_pool, by_peek


def _observed_share(arms: Arms) -> float:
    return arms.canary.total / (arms.canary.total + arms.baseline.total)


def _z(arms: Arms) -> float:
    """The difference of the rates in standard errors; 0 below 30 requests of the canary, as such a test would have it."""
    canary, baseline = arms.canary, arms.baseline
    if canary.total < 30 or baseline.total < 30:
        return 0.0
    rate = (canary.bad + baseline.bad) / (canary.total + baseline.total)
    error = math.sqrt(rate * (1 - rate) * (1 / canary.total + 1 / baseline.total))
    return (canary.bad_rate - baseline.bad_rate) / error if error else 0.0


@dataclass(frozen=True)
class Detection:
    """How soon a canary with a higher error rate is rolled back: canary requests, and those of them that failed."""

    share: float
    bad_rate: float
    detected: Share
    requests: float
    requests_90: float
    failed: float


def detection(share: float, bad_rate: float, runs: int, seed: int) -> Detection:
    world = steady(0.01, bad_rate, share=share, requests=round(12_000 / share))
    found = [_rolled_back(world, seeded(seed + run)) for run in range(runs)]
    tallies = [tally for tally in found if tally is not None]
    totals = [float(tally.total) for tally in tallies] + [math.inf] * (runs - len(tallies))
    failed = [float(tally.bad) for tally in tallies] + [math.inf] * (runs - len(tallies))
    return Detection(share, bad_rate, Share(len(tallies), runs), middle(totals), middle(totals, 0.9), middle(failed))


def late_failure(share: float, then: float, runs: int, seed: int) -> float:
    """Requests that fail (median) when a canary that was as good as its baseline for 1,000 requests fails altogether.

    Args:
        then: Its share from that moment on; another one is a new step.
    """

    def failed(rng: random.Random) -> float:
        counts = Counts().plus(share, {"errors": batch(rng, round(1000 / share), share, (0.01, 0.01))})
        before = whole(counts.of("errors")).canary.bad
        while log_evidence(ERRORS, counts) < -math.log(ERRORS.alpha):
            counts = counts.plus(then, {"errors": batch(rng, 1, then, (0.01, 1.0))})
        return float(whole(counts.of("errors")).canary.bad - before)

    return middle([failed(seeded(seed + run)) for run in range(runs)])


def _rolled_back(world: World, rng: random.Random) -> Tally | None:
    """What the canary had been sent when the verdict was to roll back; None if it never was."""
    counts = Counts()
    for share, arms in batches(rng, world):
        counts = counts.plus(share, {"errors": arms})
        canary = whole(counts.of("errors")).canary
        if (arms.canary.bad or not canary.good) and log_evidence(ERRORS, counts) >= -math.log(ERRORS.alpha):
            return canary
    return None
