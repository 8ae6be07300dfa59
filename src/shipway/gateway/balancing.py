"""Choosing among equals: which of several endpoints gets the next request. Pure; randomness and time are arguments.

Candidates are those that may be asked (breakers, health and zero weights are looked at before), at least one, and all
weights are above zero. An endpoint in several places of the app has one `in_flight` and one latency everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import inf, log
from typing import Final, Protocol, TypeVar

from shipway.gateway.latency import PeakEwma

Random = Callable[[], float]
"""Gives uniform numbers in [0, 1)."""

LOAD_BOUND: Final = 1.25
"""With affinity, how far above its share of what is under way an endpoint may go. Source: Mirrokni, Thorup and
Zadimoghaddam, "Consistent Hashing with Bounded Loads" (2018), and HAProxy's advice for `hash-balance-factor`: nearer to 1
moves conversations for little, far above 2 lets one replica run hot."""


class Weighted(Protocol):
    @property
    def weight(self) -> float:
        """Its share beside the others; more than 0."""


class Busy(Weighted, Protocol):
    @property
    def in_flight(self) -> int:
        """Requests under way on it, from this gateway."""


class Timed(Busy, Protocol):
    @property
    def latency(self) -> PeakEwma: ...


class Placed(Busy, Protocol):
    @property
    def affinity_seed(self) -> int:
        """`affinity.seed_of` its address, so that all gateways agree on the replica."""


W = TypeVar("W", bound=Weighted)
B = TypeVar("B", bound=Busy)
T = TypeVar("T", bound=Timed)
P = TypeVar("P", bound=Placed)


def by_weight(candidates: Sequence[W], random: Random = random.random) -> W:
    """Any of *candidates*, each with its weight's share of the chance; weights may be zero here, but not all."""
    if len(candidates) == 1:
        return candidates[0]
    total = 0.0
    for one in candidates:
        total += one.weight
    left = random() * total
    chosen = None
    for one in candidates:
        weight = one.weight
        if weight > 0.0:
            chosen = one
            left -= weight
            if left < 0.0:
                break
    if chosen is None:
        raise ValueError("all weights are zero")
    return chosen


def least_in_flight(candidates: Sequence[B], random: Random = random.random) -> B:
    """The one with the fewest requests under way for its weight; among equals, any by weight (nginx's `least_conn`)."""
    best = candidates[0]
    if len(candidates) == 1:
        return best
    in_flight, weight = best.in_flight, best.weight
    tied = weight
    for index in range(1, len(candidates)):
        one = candidates[index]
        here, beside = one.in_flight * weight, in_flight * one.weight
        if here < beside:
            best, in_flight, weight = one, one.in_flight, one.weight
            tied = weight
        elif here == beside:
            # A reservoir of one: in the end each of the equals was kept with its weight's share of the chance.
            tied += one.weight
            if random() * tied < one.weight:
                best, in_flight, weight = one, one.in_flight, one.weight
    return best


def lowest_latency(candidates: Sequence[T], now_s: float, random: Random = random.random) -> T:
    """Of two candidates taken at random the one that promises the sooner answer.

    Two choices are nearly as good as the best of all and do not send everybody to the same one (Mitzenmacher, "The
    Power of Two Choices in Randomized Load Balancing", 2001).
    """
    count = len(candidates)
    if count == 1:
        return candidates[0]
    at = int(random() * count)
    other = int(random() * (count - 1)) if count > 2 else 0
    one, two = candidates[at], candidates[other if other < at else other + 1]
    cost = one.latency.cost_s(now_s, one.in_flight) * two.weight
    return one if cost <= two.latency.cost_s(now_s, two.in_flight) * one.weight else two


def by_affinity(candidates: Sequence[P], key: int, bound: float = LOAD_BOUND) -> P:
    """The candidate that ranks highest for *key*, passing over those that have too much under way.

    None gets above *bound* times its weight's share of all that is under way, this request included, rounded up; there
    is always one below that. Load aside, a candidate that comes or goes changes the choice of its own keys only.

    Source: weighted rendezvous hashing, Thaler and Ravishankar (1998), with the logarithmic score of Schindelhauer and
    Schomaker (2005).

    Args:
        key: From `affinity.affinity_key`.
        bound: More than 1.
    """
    if len(candidates) == 1:
        return candidates[0]
    under_way, weights, weight = 1, 0.0, candidates[0].weight
    equal = True
    for one in candidates:
        under_way += one.in_flight
        weights += one.weight
        if one.weight != weight:
            equal = False
    per_weight = bound * under_way / weights
    best, best_score = candidates[0], -inf
    for one in candidates:
        weight = one.weight
        # in_flight + 1 <= ceil(share), without the ceil
        if one.in_flight < per_weight * weight:
            # Fibonacci hashing (Knuth, volume 3, section 6.4): of seeds and keys that are digests already, one
            # multiplication makes ranks as good as independent; a test holds it to that.
            score: int | float = ((key ^ one.affinity_seed) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
            if not equal:
                score = log((score + 1.0) * 2.0**-64) / weight
            if score > best_score:
                best, best_score = one, score
    return best
