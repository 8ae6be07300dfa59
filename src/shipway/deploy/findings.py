"""What is asked of a canary in one objective, what is known of it, and how that is said to people."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shipway.deploy.counts import Arms, Step, Tally, whole
from shipway.deploy.sequential import highest_rate, highest_ratio, log_worse


@dataclass(frozen=True, slots=True)
class Objective:
    """One way in which a request is good or bad, and what is asked of the canary in it.

    Attributes:
        max_bad_rate: The canary may be promoted when its bad rate is surely below this: 0.005 for "99.5%".
        max_ratio: It may as well be promoted when its bad rate is surely below this multiple of the baseline's, which is
            what can be shown when an incident has hit both. None: only `max_bad_rate` counts.
        tolerated_ratio: Up to this multiple of the baseline's bad rate is no reason to roll back.
        together: How many bad requests of one session may have one cause, where sessions stay on one side.
        guarded: Whether a part of the evidence bets on all bad requests of a step being the canary's, which finds a release
            that fails outright at once, in any step; meant for errors.
    """

    name: str
    max_bad_rate: float | None = None
    max_ratio: float | None = 2.0
    tolerated_ratio: float = 1.0
    together: float = 1.0
    guarded: bool = False

    def __post_init__(self) -> None:
        if self.max_bad_rate is None and self.max_ratio is None:
            raise ValueError(f"{self.name}: without max_bad_rate or max_ratio nothing could ever be promoted")
        if self.max_bad_rate is not None and not 0.0 < self.max_bad_rate < 1.0:
            raise ValueError(f"{self.name}: max_bad_rate is between 0 and 1, not {self.max_bad_rate}")
        if not 1.0 <= self.tolerated_ratio < math.inf:
            raise ValueError(f"{self.name}: tolerated_ratio is at least 1, not {self.tolerated_ratio}")
        if not 1.0 <= self.together < math.inf:
            raise ValueError(f"{self.name}: together is at least 1, not {self.together}")
        if self.max_ratio is not None and not self.tolerated_ratio < self.max_ratio < math.inf:
            raise ValueError(f"{self.name}: max_ratio is above tolerated_ratio, not {self.max_ratio}")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one objective.

    Attributes:
        arms: Requests of all steps. To be read, not to be compared: shares and times differ between steps.
        log_e_value: Logarithm of the evidence that the canary is worse than tolerated.
        requests: The canary's in settled steps: those that can be a reason to promote.
        highest_rate: The canary's bad rate is surely below this; 1 while nothing is known.
        highest_ratio: It is surely below this multiple of the baseline's; infinite while nothing is known.
    """

    objective: Objective
    arms: Arms
    log_e_value: float
    requests: int
    highest_rate: float
    highest_ratio: float

    @property
    def is_within_limits(self) -> bool:
        limits = self.objective
        return (limits.max_bad_rate is not None and self.highest_rate < limits.max_bad_rate) or (
            limits.max_ratio is not None and self.highest_ratio < limits.max_ratio
        )

    def __str__(self) -> str:
        canary, baseline = self.arms.canary, self.arms.baseline
        return f"{self.objective.name}: {_bad(canary)} of the canary, {_bad(baseline)} of the baseline"


def finding(objective: Objective, steps: tuple[Step, ...], alpha: float) -> Finding:
    """What *steps* say of *objective*; that it is within its limits is wrong with a chance of at most *alpha*."""
    settled = tuple(step for step in steps if step.settled)
    canary = whole(settled).canary
    # Either bound will do for a promotion, so where there are two each has a half of the chance to be wrong.
    part = alpha / 2 if objective.max_bad_rate is not None and objective.max_ratio is not None else alpha
    return Finding(
        objective,
        whole(steps),
        log_worse(steps, objective.tolerated_ratio, objective.together),
        canary.total,
        highest_rate(canary, part, objective.together),
        highest_ratio(settled, part, objective.together),
    )


def what_is_worse(found: Finding) -> str:
    tolerated = found.objective.tolerated_ratio
    than = "the baseline" if tolerated == 1.0 else f"{tolerated:g} times the baseline"
    return f"{found}; that is worse than {than}"


def what_fails_outright(found: Finding) -> str:
    return f"{found}; all bad ones since the share was last changed are the canary's"


def what_is_known(found: Finding) -> str:
    """What the canary's bad rate is surely below: what meets a limit, or else all that does not yet."""
    limits = found.objective
    bounds = []
    if (limit := limits.max_bad_rate) is not None:
        bounds.append((found.highest_rate < limit, f"{found.highest_rate:.2%} (limit {limit:.2%})"))
    if (limit := limits.max_ratio) is not None:
        times = f"{found.highest_ratio:.3g} times" if found.highest_ratio < math.inf else "any multiple of"
        bounds.append((found.highest_ratio < limit, f"{times} the baseline's (limit {limit:g})"))
    met = [text for is_met, text in bounds if is_met]
    if met:
        return f"{found}; the canary's bad rate is at most {' and '.join(met)}"
    return f"{found}; the canary's bad rate may yet be {' and '.join(text for _, text in bounds)}"


def what_is_missing(found: Finding, minimum_requests: int) -> str:
    return f"{found.objective.name}: too little traffic, {found.requests:,} canary requests of at least {minimum_requests:,}"


def _bad(tally: Tally) -> str:
    rate = f" ({tally.bad_rate:.2%})" if tally.total else ""
    return f"{tally.bad:,} bad of {tally.total:,}{rate}"
