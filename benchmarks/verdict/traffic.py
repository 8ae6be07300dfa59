"""Simulated requests: two arms whose bad rates may change while the canary's share does. Plain Python, seeded."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shipway.deploy.counts import Arms, Tally

_DIGITS = 24

Rate = Callable[[int], float]
"""A chance by the number of requests that came before."""


@dataclass(frozen=True)
class World:
    """A rollout's traffic. `rates` gives (baseline's, canary's) bad rate; `share` the canary's part of the requests."""

    share: Rate
    rates: Callable[[int], tuple[float, float]]
    requests: int


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a simulation is to be the same each time


def constant(value: float) -> Rate:
    return lambda done: value


def ramp(*shares: float, every: int) -> Rate:
    """The shares one after the other, each for *every* requests, the last one from then on."""
    return lambda done: shares[min(done // every, len(shares) - 1)]


def both(rate: Rate) -> Callable[[int], tuple[float, float]]:
    """Arms that are alike at every time."""
    return lambda done: (rate(done), rate(done))


def steady(baseline: float, canary: float, *, share: float, requests: int) -> World:
    return World(constant(share), lambda done: (baseline, canary), requests)


def binomial(rng: random.Random, count: int, chance: float) -> int:
    """How many of *count* happen, in a few microseconds however many there are."""
    if count * min(chance, 1.0 - chance) < 2.0:
        return count - _few(rng, count, 1.0 - chance) if chance > 0.5 else _few(rng, count, chance)
    return _many(rng, count, chance)


def _few(rng: random.Random, count: int, chance: float) -> int:
    """Jumps from one that happens to the next."""
    if chance <= 0.0:
        return 0
    happened, position, log_rest = 0, 0, math.log1p(-chance)
    while True:
        position += 1 + int(math.log(1.0 - rng.random()) / log_rest)
        if position > count:
            return happened
        happened += 1


def _many(rng: random.Random, count: int, chance: float) -> int:
    """Compares *chance*, rounded to 24 binary digits, digit by digit with *count* random numbers at once."""
    below = 0
    for position in range(_DIGITS):
        if round(chance * 2**_DIGITS) >> position & 1:
            below |= rng.getrandbits(count)
        else:
            below &= rng.getrandbits(count)
    return below.bit_count()


def looks(requests: int, growth: float = 0.02) -> Iterator[int]:
    """Sizes of the batches between two looks: each request at first, later whenever there are 2% more."""
    done = 0
    while done < requests:
        size = min(max(1, int(done * growth)), requests - done)
        yield size
        done += size


def batch(rng: random.Random, size: int, share: float, rates: tuple[float, float]) -> Arms:
    """*size* requests, each of which goes to the canary with the chance *share* and is bad with its arm's rate."""
    canary = binomial(rng, size, share)
    baseline = size - canary
    bad, canary_bad = binomial(rng, baseline, rates[0]), binomial(rng, canary, rates[1])
    return Arms(Tally(canary - canary_bad, canary_bad), Tally(baseline - bad, bad))


def batches(rng: random.Random, world: World, growth: float = 0.02) -> Iterator[tuple[float, Arms]]:
    """The share and what came under it, look by look."""
    done = 0
    for size in looks(world.requests, growth):
        share = world.share(done)
        yield share, batch(rng, size, share, world.rates(done))
        done += size
