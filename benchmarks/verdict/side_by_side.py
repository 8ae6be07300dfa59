"""The same rollouts decided by the verdict and by threshold rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.verdict.rates import Share, middle
from benchmarks.verdict.rules import TICK_S, ArgoLike, FlaggerLike, Rule, VerdictRule
from benchmarks.verdict.traffic import batch, seeded

LONGEST_S = 3600

RULES: Mapping[str, Callable[[], Rule]] = {
    "verdict": VerdictRule,
    "Flagger-like 99%": FlaggerLike,
    "Argo-like 95%": ArgoLike,
}


@dataclass(frozen=True)
class Case:
    """Traffic by the second. `rates` gives (baseline's, canary's) error rate at a second."""

    name: str
    is_bad: bool
    per_s: float
    rates: Callable[[int], tuple[float, float]]


def _always(baseline: float, canary: float) -> Callable[[int], tuple[float, float]]:
    return lambda second: (baseline, canary)


CASES = (
    Case("same: 0.1% errors", False, 10, _always(0.001, 0.001)),
    Case("same: 1% errors", False, 10, _always(0.01, 0.01)),
    Case("same: 6% errors", False, 10, _always(0.06, 0.06)),
    Case("same: 0.1%, 12 min of 30%", False, 10, lambda second: (0.3, 0.3) if 120 <= second < 840 else (0.001, 0.001)),
    Case("same: 1%, 1 request in 10 s", False, 0.1, _always(0.01, 0.01)),
    Case("worse: 0.1% to 0.8%", True, 10, _always(0.001, 0.008)),
    Case("worse: 1% to 4%", True, 10, _always(0.01, 0.04)),
    Case("worse: 1% to 10%", True, 10, _always(0.01, 0.1)),
    Case("worse: 1% to 100%", True, 10, _always(0.01, 1.0)),
    Case("worse: 1% to 50%, 1 in 10 s", True, 0.1, _always(0.01, 0.5)),
)


@dataclass(frozen=True)
class Decided:
    """What became of the rollouts of one case under one rule; the rest is undecided after an hour.

    Attributes:
        minutes: Until the decision (median).
        failed: Requests that failed at the canary until then (median).
    """

    rolled_back: Share
    promoted: Share
    minutes: float
    failed: float


def decided(case: Case, rule: Callable[[], Rule], runs: int, seed: int) -> Decided:
    found = [_rollout(case, rule(), seed + run) for run in range(runs)]
    return Decided(
        Share(sum(decision == "roll_back" for decision, _, _ in found), runs),
        Share(sum(decision == "promote" for decision, _, _ in found), runs),
        middle([second / 60 for _, second, _ in found]),
        middle([float(failed) for _, _, failed in found]),
    )


def _rollout(case: Case, rule: Rule, seed: int) -> tuple[str | None, int, int]:
    """The decision, when it was made, and the canary's failed requests until then."""
    rng, failed, owed = seeded(seed), 0, 0.0
    for second in range(0, LONGEST_S, TICK_S):
        owed += case.per_s * TICK_S
        arms = batch(rng, int(owed), rule.share, case.rates(second))
        owed -= int(owed)
        failed += arms.canary.bad
        if (decision := rule.tick(arms, second + TICK_S)) is not None:
            return decision, second + TICK_S, failed
    return None, LONGEST_S, failed
