"""The generic cell rate algorithm: an exact limit of requests whose whole state is one float per key.

The float is the theoretical arrival time (TAT), at which the key will have all of its burst again. A take moves it on;
what would move it further than the burst's worth of time ahead of now is refused and moves nothing.

Source: ITU-T I.371 annex A.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Final

from shipway.security.rate_limiting.decision import Decision

_ROUNDING_S: Final = 1e-7
"""Monotonic clocks of long uptimes leave a float about this much; a hundred million requests a second would notice."""

EXAMINED: Final = 32
"""How many of the least recently used keys are looked at for one that is full again before an active one goes."""


@dataclass(frozen=True, slots=True)
class Quota:
    """*burst* at once, and *rate_per_s* in the long run.

    In any span of t seconds at most burst + rate_per_s·t are admitted.
    """

    rate_per_s: float
    burst: float
    interval_s: float = field(init=False, repr=False, compare=False)
    """From one request to the next at the long-run rate."""
    limit: int = field(init=False, repr=False, compare=False)
    """Whole requests at once."""

    def __post_init__(self) -> None:
        if not (0 < self.rate_per_s < inf and 1 <= self.burst < inf):
            raise ValueError("a rate is more than 0 and a burst at least 1")
        object.__setattr__(self, "interval_s", 1.0 / self.rate_per_s)
        object.__setattr__(self, "limit", int(self.burst))

    @property
    def window_s(self) -> float:
        """How long an empty burst takes to be full again."""
        return self.burst / self.rate_per_s


def take(quota: Quota, tat_s: float, now_s: float, cost: float = 1.0) -> tuple[float, Decision]:
    """Take *cost*, or say how long until that is possible.

    Args:
        tat_s: The key's theoretical arrival time; `-inf` or any past time for a key that has its whole burst.
        now_s: Monotonic seconds; wall time can go back.
        cost: More than 0; 1 is a request.

    Returns:
        The next theoretical arrival time (*tat_s* itself when refused) and the decision.

    Raises:
        ValueError: *cost* is not above 0, or above the burst, so waiting would never help.
    """
    interval_s = quota.interval_s
    burst_s = quota.burst * interval_s
    cost_s = cost * interval_s
    if not 0.0 < cost <= quota.burst:
        raise ValueError(f"a cost is more than 0 and at most the burst of {quota.burst:g}, found {cost:g}")
    ahead_s = tat_s - now_s if tat_s > now_s else 0.0
    left_s = burst_s - ahead_s - cost_s + _ROUNDING_S
    if left_s < 0.0:
        remaining = max(0, int((left_s + cost_s) * quota.rate_per_s))
        return tat_s, Decision(False, quota.limit, remaining, ahead_s, _ROUNDING_S - left_s)
    ahead_s += cost_s
    return now_s + ahead_s, Decision(True, quota.limit, int(left_s * quota.rate_per_s), ahead_s, 0.0)


class GcraTable:
    """One quota for many keys, in memory and bounded.

    At *max_keys* a new key takes the place of one that is full again, which loses nothing, of the `EXAMINED` least
    recently used ones; if all of these are active, of the least recently used one, whose next request then finds a whole
    burst. So with more active keys than the table holds the limit is not exact, which `evicted_active` shows.

    Attributes:
        evicted_active: Active keys that were forgotten since the table was made, for metrics.
    """

    __slots__ = ("_max_keys", "_tats", "evicted_active", "quota")

    def __init__(self, quota: Quota, max_keys: int = 100_000) -> None:
        if max_keys < 1:
            raise ValueError("a table holds at least one key")
        self.quota = quota
        self.evicted_active = 0
        self._max_keys = max_keys
        self._tats: OrderedDict[str, float] = OrderedDict()  # the least recently used first

    def __len__(self) -> int:
        return len(self._tats)

    def take(self, key: str, now_s: float, cost: float = 1.0) -> Decision:
        """As the function `take`, for *key*, whose state it keeps. Raises: ValueError likewise."""
        tats = self._tats
        tat_s = tats.get(key)
        if tat_s is None:
            next_tat_s, decision = take(self.quota, -inf, now_s, cost)
            if len(tats) >= self._max_keys:
                self._evict_one(now_s)
            tats[key] = next_tat_s
            return decision
        tats[key], decision = take(self.quota, tat_s, now_s, cost)
        tats.move_to_end(key)
        return decision

    def trim(self, now_s: float, at_most: int = 1000) -> int:
        """Forget keys that are full again among the *at_most* least recently used; gives how many. For a timer."""
        full = [key for key, tat_s in islice(self._tats.items(), at_most) if tat_s <= now_s]
        for key in full:
            del self._tats[key]
        return len(full)

    def _evict_one(self, now_s: float) -> None:
        for key, tat_s in islice(self._tats.items(), EXAMINED):
            if tat_s <= now_s:
                del self._tats[key]
                return
        self._tats.popitem(last=False)
        self.evicted_active += 1
