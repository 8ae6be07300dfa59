"""From `[objectives]` and the rollout's settings to the rules of its verdict. Pure."""

import functools
from collections.abc import Collection

from shipway.deploy.findings import Objective
from shipway.deploy.rollout import Judge
from shipway.deploy.verdict import Declaration, judge
from shipway.spec.objectives import Objectives
from shipway.spec.rollout import Rollout

TOLERATED_RATIO = 1.2
"""Of times and cost alone: caches, those of providers too, are cold for a canary, so it may be late or dear a little more often
before that is a reason to roll back."""

OF_MODELS = ("first_token", "cost")
"""What only calls of models have."""


def declaration(objectives: Objectives, rollout: Rollout, shared: Collection[str] | None = None) -> Declaration:
    """The rules of a canary, fixed before its first request.

    Args:
        shared: What both releases take part in, as `front.shared` has it. Where that is services alone, nothing will ever be
            counted of what only models have, and nothing is asked in it. None: everything.
    """
    counted = objectives
    if shared is not None and not any(target.startswith("models.") for target in shared):
        counted = objectives.model_copy(update=dict.fromkeys(OF_MODELS))
    return Declaration(
        objectives=tuple(_objectives(counted, rollout.together)),
        minimum_requests=rollout.min_requests,
        deadline_s=rollout.deadline,
        at_deadline="promote" if rollout.on_deadline == "promote" else "roll_back",
    )


def judge_of(objectives: Objectives, rollout: Rollout, shared: Collection[str] | None = None) -> Judge:
    return functools.partial(judge, declaration(objectives, rollout, shared))


def _objectives(objectives: Objectives, together: float) -> list[Objective]:
    found = [Objective("availability", max_bad_rate=_rest(objectives.availability), together=together, guarded=True)]
    for name in ("first_token", "latency", "cost"):
        within = getattr(objectives, name)
        if within is not None:
            rate = _rest(within.share)
            found.append(Objective(name, max_bad_rate=rate, tolerated_ratio=TOLERATED_RATIO, together=together))
    if objectives.quality is not None:
        # Labels come late and from few: that the share of traffic explains them is good for doubt, not for a promotion.
        rate = _rest(objectives.quality.share)
        found.append(Objective("quality", max_bad_rate=rate, max_ratio=None, together=together))
    return found


def _rest(share: float) -> float:
    return round(1.0 - share, 9)
