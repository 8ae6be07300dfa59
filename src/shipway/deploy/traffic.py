"""How a rollout sees and moves traffic: the small protocol that the gateway's admin API fulfils."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tally:
    """How many were good and how many bad."""

    good: int = 0
    bad: int = 0

    @property
    def total(self) -> int:
        return self.good + self.bad

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.good + other.good, self.bad + other.bad)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a release has answered since its gateway started.

    Attributes:
        requests: All answers.
        objectives: Good and bad by objective: `availability`, `first_token`, `latency`.
    """

    requests: int = 0
    objectives: Mapping[str, Tally] = field(default_factory=dict)


class Traffic(Protocol):
    """The gateway, as a rollout needs it. Every method raises TrafficError when it cannot be asked."""

    def shares(self) -> Mapping[int, float]:
        """What each release has of all sessions; empty when nothing is shared out."""

    def shift(self, shares: Mapping[int, float]) -> None:
        """Give the releases these shares from the next request on, in everything that they share."""

    def counts(self) -> Mapping[int, Counts]:
        """What each release has answered. Counts start anew when a gateway does."""

    def in_flight(self, release: int) -> int:
        """How many requests are under way to *release*."""
