"""How slow an endpoint is at the moment: a moving average that jumps up at once and comes down slowly.

Source: Finagle's `PeakEwma` and tower's `load::PeakEwma`. Unlike theirs it forgets only while nothing is under way: an
idle endpoint's bad memory fades so that somebody tries it again, and it is one request that tries, not all that come
until the first answer.
"""

from __future__ import annotations

from math import exp
from typing import Final

DECAY_S: Final = 10.0
"""Time in which what was seen loses all but 37% of its weight, as in Finagle."""

UNKNOWN_S: Final = 1e6
"""What an endpoint costs that is busy with its first requests: more than any known one."""


class PeakEwma:
    """Observe answers as they should be only: one that fails fast would look like the best of all.

    For models, observe the time to the first token; the whole answer says how much was asked, not how busy it is.
    """

    __slots__ = ("_average_s", "_decay_s", "_observed_s")

    def __init__(self, decay_s: float = DECAY_S) -> None:
        self._decay_s = decay_s
        self._average_s = 0.0
        self._observed_s = 0.0

    def observe(self, now_s: float, latency_s: float) -> None:
        """Take in one answer's *latency_s*, more than 0."""
        if latency_s >= self._average_s:
            self._average_s = latency_s
        else:
            share = exp(min(0.0, self._observed_s - now_s) / self._decay_s)
            self._average_s = self._average_s * share + latency_s * (1.0 - share)
        self._observed_s = now_s

    def estimate_s(self, now_s: float) -> float:
        """The average, faded by the time since the last answer; 0.0 when nothing was observed."""
        return self._average_s * exp(min(0.0, self._observed_s - now_s) / self._decay_s)

    def cost_s(self, now_s: float, in_flight: int) -> float:
        """What one more request would have to expect, with *in_flight* of them there already."""
        if in_flight == 0:
            return self.estimate_s(now_s)
        return (self._average_s or UNKNOWN_S) * (in_flight + 1)
