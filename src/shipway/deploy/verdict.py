"""Promote, roll back, or not enough evidence: what the counts of a rollout say by rules declared before it began.

To roll back and to promote are two claims, each with its own chance of being wrong. *Worse* is claimed when the evidence of
all objectives together reaches 1/alpha; *good enough* when each objective has a bound below its limit. In between there
is not enough evidence, and a deadline with a declared outcome ends the wait. Both may be asked at any time: the chances
hold for a whole rollout, however often it is looked at (`sequential`).

Evidence is averaged over the objectives, not held one by one against parts of alpha: a mean of e-values is one, whatever they
have to do with each other, and reaches 1/alpha whenever one of them reaches its part. Promotion needs no such care, as
every objective has to pass.

Pure: the rollout counts (`evidence`), asks here, and acts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

from shipway.deploy.counts import Counts
from shipway.deploy.findings import (
    Finding,
    Objective,
    finding,
    what_fails_outright,
    what_is_known,
    what_is_missing,
    what_is_worse,
)
from shipway.deploy.sequential import log_outright, log_sum, log_worse


@dataclass(frozen=True, slots=True)
class Declaration:
    """The rules of a rollout, fixed before its first request.

    Attributes:
        alpha: Chance, over the whole rollout, that a canary which is no worse is rolled back on evidence.
        promotion_alpha: Chance that a canary is promoted on evidence which is beyond the limits of an objective.
        minimum_requests: Canary requests that each objective needs before anything is promoted.
        deadline_s: When the wait for evidence ends, from the beginning of the rollout.
        at_deadline: What happens then. To promote needs `minimum_requests` even so; without them it is to hold.
        guard_part: Part of alpha that is kept for guarded objectives, if there are any.
    """

    objectives: tuple[Objective, ...]
    alpha: float = 0.05
    promotion_alpha: float = 0.05
    minimum_requests: int = 100
    deadline_s: float = 3600.0
    at_deadline: Literal["promote", "roll_back", "hold"] = "hold"
    guard_part: float = 0.2

    def __post_init__(self) -> None:
        names = [objective.name for objective in self.objectives]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"a verdict needs objectives, each with a name of its own: {names}")
        if not all(0.0 < part < 1.0 for part in (self.alpha, self.promotion_alpha, self.guard_part)):
            raise ValueError("alpha, promotion_alpha and guard_part are between 0 and 1")
        if self.minimum_requests < 1 or not self.deadline_s > 0:
            raise ValueError("minimum_requests and deadline_s are above 0")


class Outcome(StrEnum):
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and why.

    Attributes:
        reasons: Sentences for people, the one that decided first.
        log_e_value: Logarithm of the evidence of all objectives together that the canary is worse; it is rolled back
            when this reaches log(1/alpha).
        objective: Whose evidence it was rolled back on; None in any other case.
        deadline_passed: Whether the wait is over; with `not_enough_evidence` a person has to decide.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    log_e_value: float
    objective: str | None
    deadline_passed: bool
    findings: tuple[Finding, ...]

    @property
    def e_value(self) -> float:
        """The evidence as a number; what is above 1e300 is given as that."""
        return math.exp(min(self.log_e_value, math.log(1e300)))


def judge(declaration: Declaration, counts: Counts, elapsed_s: float) -> Verdict:
    """The verdict on *counts*, which are all of the rollout so far.

    `functools.partial(judge, declaration)` is what a rollout is given.

    Args:
        elapsed_s: Since the beginning of the rollout, by a monotonic clock.
    """
    findings = tuple(
        finding(objective, counts.of(objective.name), declaration.promotion_alpha)
        for objective in declaration.objectives
    )
    stakes = _stakes(declaration, counts)
    log_e_value = log_sum([stake.log_value for stake in stakes])
    passed = elapsed_s >= declaration.deadline_s

    def verdict(outcome: Outcome, reasons: list[str], objective: str | None = None) -> Verdict:
        return Verdict(outcome, tuple(reasons), log_e_value, objective, passed, findings)

    if log_e_value >= -math.log(declaration.alpha):
        best = max(stakes, key=lambda stake: stake.log_value)
        found = next(one for one in findings if one.objective is best.objective)
        said = what_fails_outright(found) if best.is_guard else what_is_worse(found)
        return verdict(Outcome.ROLL_BACK, [said, _chance(declaration.alpha)], best.objective.name)
    short = [one for one in findings if one.requests < declaration.minimum_requests]
    if not short and all(one.is_within_limits for one in findings):
        return verdict(Outcome.PROMOTE, [what_is_known(one) for one in findings])
    lacking = [what_is_missing(one, declaration.minimum_requests) for one in short]
    lacking += [what_is_known(one) for one in findings if one not in short and not one.is_within_limits]
    if not passed:
        return verdict(Outcome.NOT_ENOUGH_EVIDENCE, lacking)
    declared = f"the deadline of {declaration.deadline_s:g} s has passed, after which is declared: "
    if declaration.at_deadline == "roll_back":
        return verdict(Outcome.ROLL_BACK, [declared + "roll back", *lacking])
    if declaration.at_deadline == "promote" and not short:
        return verdict(Outcome.PROMOTE, [declared + "promote", *lacking])
    unless = "promote, but not with too little traffic" if declaration.at_deadline == "promote" else "hold"
    return verdict(Outcome.NOT_ENOUGH_EVIDENCE, [declared + unless, *lacking])


def log_evidence(declaration: Declaration, counts: Counts) -> float:
    """The verdict's `log_e_value` alone: cheap enough to simulate many rollouts."""
    return log_sum([stake.log_value for stake in _stakes(declaration, counts)])


class _Stake(NamedTuple):
    """One bet's part of the evidence: its e-value times its weight. The weights sum to 1."""

    log_value: float
    objective: Objective
    is_guard: bool


def _stakes(declaration: Declaration, counts: Counts) -> list[_Stake]:
    objectives = declaration.objectives
    guarded = [objective for objective in objectives if objective.guarded]
    for_guards = declaration.guard_part if guarded else 0.0
    log_weight = math.log((1.0 - for_guards) / len(objectives))
    stakes = [
        _Stake(log_weight + log_worse(counts.of(one.name), one.tolerated_ratio, one.together), one, is_guard=False)
        for one in objectives
    ]
    for one in guarded:
        log_weight = math.log(for_guards / len(guarded))
        stakes.append(_Stake(log_weight + log_outright(counts.of(one.name), one.together), one, is_guard=True))
    return stakes


def _chance(alpha: float) -> str:
    return f"evidence as strong as this is seen in at most {alpha:.2g} of the rollouts whose canary is no worse"
