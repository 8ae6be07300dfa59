"""How a rollout sees and moves traffic: the small protocol that the gateway's admin API fulfils."""

from collections.abc import Mapping
from typing import Protocol

from shipway.deploy.counts import Arms


class Traffic(Protocol):
    """The gateway, as a rollout needs it. Every method raises TrafficError when it cannot be asked."""

    def shares(self) -> Mapping[int, float]:
        """What each release has of all sessions; empty when nothing is shared out."""

    def shift(self, shares: Mapping[int, float]) -> None:
        """Give the releases these shares from the next request on, in everything that they share."""

    def counted(self, canary: int, baseline: int) -> Mapping[str, Arms]:
        """What both releases were sent since this was last asked, by objective; the first time nothing yet."""

    def in_flight(self, release: int) -> int:
        """How many requests are under way to *release*."""
