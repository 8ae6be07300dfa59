"""What a canary is judged on: good and bad requests of both arms, objective by objective, step by step of the rollout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests of one arm, by whether they met an objective."""

    good: int = 0
    bad: int = 0

    def __post_init__(self) -> None:
        if self.good < 0 or self.bad < 0:
            raise ValueError(f"counts are not negative: {self}")

    @property
    def total(self) -> int:
        return self.good + self.bad

    @property
    def bad_rate(self) -> float:
        """Part of the requests that is bad; 0 where there are none."""
        return self.bad / self.total if self.total else 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.good + other.good, self.bad + other.bad)


@dataclass(frozen=True, slots=True)
class Arms:
    """Both sides of a comparison over the same time."""

    canary: Tally = Tally()
    baseline: Tally = Tally()

    def __add__(self, other: Arms) -> Arms:
        return Arms(self.canary + other.canary, self.baseline + other.baseline)


@dataclass(frozen=True, slots=True)
class Step:
    """Both arms while the canary had one share of the traffic.

    Attributes:
        share: Part of the requests that were sent to the canary, from 0 to 1: the weight, not what was observed.
        settled: Whether what ended was also begun under this share. Soon after a change of it much was not: of slow errors
            the first ones are the baseline's, from before. That is no proof of a canary that has few.
    """

    share: float
    arms: Arms
    settled: bool = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"a share is from 0 to 1, not {self.share}")


@dataclass(frozen=True, slots=True)
class Counts:
    """All steps of a rollout so far, by the name of the objective."""

    steps: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)

    def of(self, objective: str) -> tuple[Step, ...]:
        """The steps of *objective*; none where nothing was counted."""
        return self.steps.get(objective, ())

    def plus(self, share: float, more: Mapping[str, Arms], *, settled: bool = True) -> Counts:
        """These and *more*, which was counted since the last time, all of it while the canary had *share*.

        What comes under another share than before begins a new step.

        Args:
            settled: Whether the share has been the same for longer than answers take. What comes before that counts
                towards rolling back only, under the larger of the shares, which needs more evidence.
        """
        names = dict.fromkeys((*self.steps, *more))
        return Counts({name: _continued(self.of(name), Step(share, more.get(name, Arms()), settled)) for name in names})


@dataclass(frozen=True, slots=True)
class Watched:
    """What a rollout has counted so far, and for how many seconds. It is kept, so that a resumed rollout can go on from it."""

    counts: Counts = field(default_factory=Counts)
    elapsed_s: float = 0.0


def whole(steps: tuple[Step, ...]) -> Arms:
    """All steps in one: for the rate of one arm alone. Arms must not be compared so, as shares and times differ."""
    return sum((step.arms for step in steps), Arms())


def _continued(steps: tuple[Step, ...], more: Step) -> tuple[Step, ...]:
    if not steps:
        return (more,)
    last = steps[-1]
    if not more.settled:
        more = replace(more, share=max(last.share, more.share))
    if (last.share, last.settled) == (more.share, more.settled):
        return (*steps[:-1], replace(last, arms=last.arms + more.arms))
    return (*steps, more)
