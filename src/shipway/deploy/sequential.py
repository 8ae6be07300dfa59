"""Tests that may be read at any time: is the canary worse than the baseline, and is it surely not much worse?

Each gives an *e-value* as its logarithm: a number that starts at 1 and of which, if what it tests against is true, the
chance to reach 1/alpha at any time at all is at most alpha (Ville's inequality). So it may be looked at after each request.

**Arms compared.** A request goes to the canary with a known chance p (its share), whatever else happens. When a request
turns out bad, it is the canary's with the chance

    theta(R) = p R / (1 - p + p R)          R = the canary's bad rate / the baseline's, at that moment

in which the rates themselves, and so every incident that hits both arms, have cancelled out. Against "R is at most R0"
bet on m R0 with m > 1. One bad request multiplies the stake by theta(m R0)/theta(R0) if it is the canary's and by
(1 - theta(m R0))/(1 - theta(R0)) if not, which is 1 on average where R = R0 and less where R is lower; so for c bad
requests of the canary and b of the baseline in each step with its share p the stake has become

    product over steps of   m^c ((1 - p + p R0) / (1 - p + p m R0))^(c + b)

and stays an e-value however p changes between the steps: m is the same in each, which is what makes them add up. The
mean over several m is an e-value as well. Betting on m < 1 tests in the same way against "R is at least R0".

With one share and R0 = 1, the mean over all theta from p to 1 has the closed form (B is the beta function, I its
regularised incomplete form)

    E = B(c+1, b+1) (1 - I_p(c+1, b+1)) / ((1 - p) p^c (1 - p)^b)

of the time-inhomogeneous Bernoulli test. A few fixed m keep its power, keep what was learned when the share changes
(a mean over theta would have to begin anew), and need no special functions.

**One arm alone.** Against "the canary's bad rate is at least r0" the same bets are made with bad rates m r0, m < 1.

**Bad requests that come together.** All this takes each request to be sent to an arm by itself. Where sessions stay on one
side and up to *together* requests of one turn bad from one cause, each counts as a part of one: the stake's root of that
degree grows no faster than a bet on the session would (x^(k/n) is concave in x for k <= n).

Source: M. Lindon, A. Malek, "Anytime-valid inference for multinomial count data", arXiv:2011.03567.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from shipway.deploy.counts import Step, Tally

WORSE = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
"""Bets on a worse canary, as multiples of the ratio that is tested. What is worse by less than about an eighth is never
found, however many requests there are: no reason to roll back."""

BETTER = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
"""Bets on a better one."""


def log_worse(steps: Sequence[Step], ratio: float = 1.0, together: float = 1.0) -> float:
    """Logarithm of the e-value against "the canary's bad rate is at most *ratio* times the baseline's"."""
    return _log_mean(log_stake(steps, ratio, multiple) / together for multiple in WORSE)


def log_less_than(steps: Sequence[Step], ratio: float, together: float = 1.0) -> float:
    """Logarithm of the e-value against "the canary's bad rate is at least *ratio* times the baseline's"."""
    return _log_mean(log_stake(steps, ratio, multiple) / together for multiple in BETTER)


def log_stake(steps: Sequence[Step], ratio: float, multiple: float) -> float:
    """Logarithm of what one bet has become: that the ratio of the bad rates is *multiple* times *ratio*."""
    total = 0.0
    for step in steps:
        share = _larger_share(step) if multiple > 1.0 else _smaller_share(step)
        canary, baseline, rest = step.arms.canary.bad, step.arms.baseline.bad, 1.0 - share
        if rest > 0.0 and canary + baseline > 0:  # with all traffic on the canary there is nothing to compare with
            before, after = math.log(rest + share * ratio), math.log(rest + share * ratio * multiple)
            total += _times(canary, _log(multiple)) + (canary + baseline) * (before - after)
    return total


def log_below(tally: Tally, rate: float, together: float = 1.0) -> float:
    """Logarithm of the e-value against "the canary's bad rate is at least *rate*"; *rate* is above 0 and below 1."""
    return _log_mean(
        (_times(tally.bad, _log(multiple)) + tally.good * (math.log1p(-multiple * rate) - math.log1p(-rate))) / together
        for multiple in BETTER
    )


def log_outright(steps: Sequence[Step], together: float = 1.0) -> float:
    """Logarithm of the e-value of a bet that all bad requests of a step are the canary's; the first other one loses it.

    It begins anew with each step, on a half, a fourth, ... of the stake, so that many good requests of earlier steps do
    not protect a release that fails under its larger share. Where the baseline fails as well nothing is left.
    """
    left, stakes = 0.0, []
    for step in steps:
        left -= math.log(2)
        canary, baseline = step.arms.canary.bad, step.arms.baseline.bad
        if baseline == 0:
            stakes.append(left - _times(canary, _log(_larger_share(step))) / together)
    return log_sum([*stakes, left])


def highest_ratio(steps: Sequence[Step], alpha: float, together: float = 1.0) -> float:
    """What the canary's bad rate divided by the baseline's is below, but for a chance of *alpha* over the whole time.

    Infinite while nothing can be said.
    """
    enough = -math.log(alpha)
    return _smallest(lambda ratio: log_less_than(steps, ratio, together) >= enough, 1e-6, 1e6, otherwise=math.inf)


def highest_rate(tally: Tally, alpha: float, together: float = 1.0) -> float:
    """What the canary's bad rate is below, but for a chance of *alpha* over the whole time."""
    enough = -math.log(alpha)
    return _smallest(lambda rate: log_below(tally, rate, together) >= enough, 1e-12, 1.0 - 1e-12, otherwise=1.0)


def _larger_share(step: Step) -> float:
    """The share, or what the canary had of the requests if that was more.

    A larger share needs more evidence. Sessions that stay on one side bring it more than its share when a busy one is
    among them; by this that is not held against the canary.
    """
    return max(step.share, _observed_share(step))


def _smaller_share(step: Step) -> float:
    """The share, or what the canary had if that was less: on the safe side for bets on a better canary."""
    return min(step.share, _observed_share(step))


def _observed_share(step: Step) -> float:
    canary, baseline = step.arms.canary.total, step.arms.baseline.total
    return canary / (canary + baseline) if canary + baseline else step.share


def _smallest(holds: Callable[[float], bool], low: float, high: float, *, otherwise: float) -> float:
    """The smallest value for which *holds*, which does so from some value on; halves the logarithm."""
    if not holds(high):
        return otherwise
    for _ in range(50):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _log(value: float) -> float:
    return math.log(value) if value > 0.0 else -math.inf


def _times(count: int, log_value: float) -> float:
    """*count* times the logarithm; no requests are worth nothing even where it is infinite."""
    return count * log_value if count else 0.0


def log_sum(logs: Sequence[float]) -> float:
    """Logarithm of the sum of numbers that are given, and may be too large for a float, by their logarithms."""
    largest = max(logs)
    if math.isinf(largest):
        return largest
    return largest + math.log(sum(math.exp(value - largest) for value in logs))


def _log_mean(logs: Iterable[float]) -> float:
    values = list(logs)
    return log_sum(values) - math.log(len(values))
