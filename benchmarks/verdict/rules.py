"""Who decides on a canary: the verdict, and threshold rules in the manner of two tools that are widely used.

They are modelled on their documentation, with the numbers of its examples, and see the same simulated requests. They are
not those tools.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol

from benchmarks.verdict.nulls import ERRORS
from shipway.deploy.counts import Arms, Counts, Tally
from shipway.deploy.verdict import Declaration, Outcome, judge, log_evidence

TICK_S = 10
"""The rules are asked this often; those of the tools answer at their own intervals."""

Decision = Literal["promote", "roll_back"] | None


class Rule(Protocol):
    share: float

    def tick(self, arms: Arms, elapsed_s: int) -> Decision:
        """What follows from *arms*, which are the requests of the last tick."""


@dataclass
class FlaggerLike:
    """Every minute the canary's success rate of that minute is checked; ten checks that fail, in all, roll back.

    A minute without requests fails. Each check that passes moves 5% more traffic, and the one at 50% promotes.
    Source: the example of "How it works" in Flagger's documentation.
    """

    minimum: float = 0.99
    threshold: int = 10
    step: float = 0.05
    share: float = 0.05
    failed: int = 0
    minute: Tally = field(default_factory=Tally)

    def tick(self, arms: Arms, elapsed_s: int) -> Decision:
        self.minute += arms.canary
        if elapsed_s % 60:
            return None
        passes = self.minute.total > 0 and 1 - self.minute.bad_rate >= self.minimum
        self.minute = Tally()
        if not passes:
            self.failed += 1
            return "roll_back" if self.failed >= self.threshold else None
        if self.share >= 0.5:
            return "promote"
        self.share = round(self.share + self.step, 6)
        return None


@dataclass
class ArgoLike:
    """Every five minutes the success rate of these is measured, beside steps of 20% for ten minutes each.

    More than three measurements below 95% roll back; a measurement without requests is one of them. After the last step
    the canary is promoted. Source: the background analysis in the documentation of Argo Rollouts.
    """

    minimum: float = 0.95
    failure_limit: int = 3
    share: float = 0.2
    failed: int = 0
    window: Tally = field(default_factory=Tally)

    def tick(self, arms: Arms, elapsed_s: int) -> Decision:
        self.window += arms.canary
        if elapsed_s % 300:
            return None
        self.failed += not (self.window.total > 0 and 1 - self.window.bad_rate >= self.minimum)
        self.window = Tally()
        if self.failed > self.failure_limit:
            return "roll_back"
        if elapsed_s % 600 == 0:
            if self.share >= 0.8:
                return "promote"
            self.share = round(self.share + 0.2, 6)
        return None


@dataclass
class VerdictRule:
    """The verdict, with Flagger's steps of traffic: one a minute unless it is to roll back."""

    declaration: Declaration = ERRORS
    share: float = 0.05
    counts: Counts = field(default_factory=Counts)

    def tick(self, arms: Arms, elapsed_s: int) -> Decision:
        self.counts = self.counts.plus(self.share, {"errors": arms})
        if elapsed_s % 60:  # evidence alone is cheap: the verdict itself would say the same
            return (
                "roll_back"
                if log_evidence(self.declaration, self.counts) >= -math.log(self.declaration.alpha)
                else None
            )
        outcome = judge(self.declaration, self.counts, elapsed_s).outcome
        if outcome is Outcome.ROLL_BACK:
            return "roll_back"
        if outcome is Outcome.PROMOTE and self.share >= 0.5:
            return "promote"
        self.share = min(0.5, round(self.share + 0.05, 6))
        return None
