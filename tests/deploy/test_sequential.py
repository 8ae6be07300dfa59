"""The evidence: its formula, what moves it, and how often it is there although nothing is wrong, counted exactly."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.deploy.counts import Arms, Step, Tally
from shipway.deploy.sequential import (
    BETTER,
    WORSE,
    highest_rate,
    highest_ratio,
    log_below,
    log_less_than,
    log_outright,
    log_stake,
    log_worse,
)

ALPHA = 0.05

_counts = st.integers(0, 10**12)
_tallies = st.builds(Tally, _counts, _counts)
_steps = st.lists(st.builds(Step, st.floats(0.001, 0.999), st.builds(Arms, _tallies, _tallies)), max_size=4)


def _step(share: float, canary_bad: int, baseline_bad: int, requests: int = 10**9) -> Step:
    """A step whose arms have had just their shares of many requests, so that only bad ones tell anything."""
    canary = round(requests * share)
    arms = Arms(Tally(canary - canary_bad, canary_bad), Tally(requests - canary - baseline_bad, baseline_bad))
    return Step(share, arms)


@pytest.mark.parametrize(
    ("canary", "baseline", "share", "expected"),
    # From SciPy: exp(betaln(c+1, b+1)) * betaincc(c+1, b+1, p) / ((1-p) * p**c * (1-p)**b)
    [
        (0, 0, 0.5, 1.0),
        (3, 0, 0.05, 2105.25),
        (5, 1, 0.5, 2.857142857),
        (12, 9, 0.5, 0.4788576748),
        (4, 20, 0.05, 1.755866742),
        (30, 70, 0.2, 2.367869934),
        (200, 100, 0.5, 3255003.418),
    ],
)
def test_the_mean_over_all_bets_is_the_published_closed_form(
    canary: int, baseline: int, share: float, expected: float
) -> None:
    parts = 20_000
    thetas = (share + (1 - share) * (part + 0.5) / parts for part in range(parts))
    bets = (theta / (1 - theta) * (1 - share) / share for theta in thetas)
    steps = [_step(share, canary, baseline)]
    mean = math.fsum(math.exp(log_stake(steps, 1.0, multiple)) for multiple in bets) / parts
    assert mean == pytest.approx(expected, rel=1e-3)


def _chance_to_reach(shares: list[float], ratio: float, threshold: float) -> float:
    """The exact chance that the evidence reaches *threshold* after any of the bad requests, one under each of *shares*.

    The state is the number of the canary's so far in each run of equal shares; it is left once the threshold is reached.
    """
    reached = 0.0
    states: dict[tuple[tuple[float, int, int], ...], float] = {(): 1.0}
    for share in shares:
        theta = share * ratio / (1 - share + share * ratio)
        following: dict[tuple[tuple[float, int, int], ...], float] = {}
        for state, chance in states.items():
            last = state[-1] if state and state[-1][0] == share else (share, 0, 0)
            rest = state[:-1] if last in state else state
            for is_canary, part in ((1, theta), (0, 1 - theta)):
                new = (*rest, (share, last[1] + is_canary, last[2] + 1 - is_canary))
                if log_worse([_step(*step) for step in new]) >= math.log(threshold):
                    reached += chance * part
                else:
                    following[new] = following.get(new, 0.0) + chance * part
        states = following
    return reached


@pytest.mark.parametrize(
    "shares",
    [[0.5] * 120, [0.05] * 120, [0.05] * 20 + [0.2] * 20 + [0.5] * 20],
    ids=["share 50%", "share 5%", "a ramp"],
)
def test_a_canary_that_is_no_worse_reaches_1_over_alpha_with_a_chance_of_alpha_at_most(shares: list[float]) -> None:
    same = _chance_to_reach(shares, 1.0, 1 / ALPHA)
    assert 0.0 < same <= ALPHA
    assert _chance_to_reach(shares, 0.7, 1 / ALPHA) < same
    assert _chance_to_reach(shares, 5.0, 1 / ALPHA) > 0.9


@given(_steps)
def test_evidence_is_a_number_for_any_counts(steps: list[Step]) -> None:
    values = [log_worse(steps), log_less_than(steps, 2.0), log_outright(steps), highest_ratio(steps, ALPHA)]
    assert not any(math.isnan(value) for value in values)
    assert all(value < math.inf for value in values[:3])


@given(st.floats(0.001, 0.999), _tallies, _tallies, st.integers(1, 10**6))
def test_more_bad_requests_of_the_canary_never_lower_the_evidence(
    share: float, canary: Tally, baseline: Tally, turned: int
) -> None:
    turned = min(turned, canary.good)
    worse = Tally(canary.good - turned, canary.bad + turned)
    before, after = [Step(share, Arms(canary, baseline))], [Step(share, Arms(worse, baseline))]
    slack = 1e-9 * (1 + canary.total + baseline.total)  # digits that are lost among so many requests
    assert log_worse(after) >= log_worse(before) - slack
    assert log_outright(after) >= log_outright(before) - slack
    assert log_less_than(after, 2.0) <= log_less_than(before, 2.0) + slack
    assert log_below(worse, 0.01) <= log_below(canary, 0.01) + slack


@given(st.floats(0.001, 0.999), _tallies, _tallies, st.integers(1, 10**6))
def test_more_bad_requests_of_the_baseline_never_raise_it(
    share: float, canary: Tally, baseline: Tally, turned: int
) -> None:
    turned = min(turned, baseline.good)
    worse = Tally(baseline.good - turned, baseline.bad + turned)
    before, after = [Step(share, Arms(canary, baseline))], [Step(share, Arms(canary, worse))]
    slack = 1e-9 * (1 + canary.total + baseline.total)
    assert log_worse(after) <= log_worse(before) + slack
    assert log_outright(after) <= log_outright(before) + slack


@given(st.floats(0.01, 0.99), st.integers(0, 1000), st.integers(0, 1000), st.sampled_from(WORSE))
def test_a_bet_on_one_arm_is_the_opposite_bet_on_the_other(share: float, bad: int, other: int, multiple: float) -> None:
    there = Step(share, Arms(Tally(5000, bad), Tally(4000, other)))
    back = Step(1 - share, Arms(there.arms.baseline, there.arms.canary))
    assert log_stake([there], 1.0, multiple) == pytest.approx(log_stake([back], 1.0, 1 / multiple), abs=1e-6)


def test_no_bad_request_is_no_evidence() -> None:
    steps = [Step(0.1, Arms(Tally(1000, 0), Tally(9000, 0)))]
    assert (log_worse([]), log_worse(steps), log_less_than(steps, 2.0)) == (0.0, 0.0, 0.0)
    assert log_outright([]) == 0.0


def test_with_all_traffic_or_none_at_the_canary_there_is_nothing_to_compare() -> None:
    steps = [Step(1.0, Arms(Tally(10, 90), Tally())), Step(0.0, Arms(Tally(), Tally(10, 90)))]
    assert (log_worse(steps), log_less_than(steps, 2.0)) == (0.0, 0.0)


def test_what_was_learned_is_kept_when_the_share_changes() -> None:
    steps = [_step(0.05, 3, 8), _step(0.2, 6, 8), _step(0.5, 10, 4)]
    began_anew = sum(log_worse([step]) for step in steps)
    assert log_worse(steps) > began_anew + 0.5


def test_an_incident_of_both_arms_is_no_evidence() -> None:
    assert log_worse([_step(0.1, 1000, 9000)]) < 0


def test_a_busy_session_is_not_held_against_its_side() -> None:
    """A fifth of the share, but two thirds of the requests and of the bad ones."""
    assert log_worse([Step(0.2, Arms(Tally(380, 20), Tally(190, 10)))]) < 0


def test_a_ratio_that_is_tolerated_is_no_evidence() -> None:
    steps = [_step(0.5, 150, 100)]
    assert log_worse(steps) > math.log(20)
    assert log_worse(steps, ratio=1.5) < 0


def test_bad_requests_that_come_together_count_as_one() -> None:
    clumps, single = [_step(0.1, 60, 40)], [_step(0.1, 6, 4)]
    assert log_worse(clumps, together=10) == pytest.approx(log_worse(single))
    assert log_less_than(clumps, 2.0, together=10) == pytest.approx(log_less_than(single, 2.0))


def test_a_canary_to_which_all_bad_requests_belong_is_seen_in_a_few() -> None:
    assert log_outright([_step(0.05, 2, 0)]) == pytest.approx(math.log(0.5 * 20**2 + 0.5))
    assert log_outright([_step(0.5, 8, 0)]) == pytest.approx(math.log(0.5 * 2**8 + 0.5))


def test_a_baseline_that_fails_as_well_ends_it_for_the_step() -> None:
    assert log_outright([_step(0.05, 40, 1)]) == pytest.approx(math.log(0.5))
    assert log_outright([_step(0.05, 40, 1), _step(0.1, 3, 0)]) == pytest.approx(math.log(0.25 * 10**3 + 0.25))


@given(_tallies, st.floats(0.001, 0.5), st.floats(0.01, 0.2))
def test_a_bound_is_below_a_limit_when_the_evidence_says_so(tally: Tally, limit: float, alpha: float) -> None:
    bound = highest_rate(tally, alpha)
    assert log_below(tally, min(1 - 1e-12, bound * 1.001)) >= -math.log(alpha) or bound == 1.0
    if not math.isclose(bound, limit, rel_tol=1e-3):
        assert (bound < limit) == (log_below(tally, limit) >= -math.log(alpha))


@given(_steps, st.floats(1.1, 5.0))
def test_the_same_of_ratios(steps: list[Step], limit: float) -> None:
    bound = highest_ratio(steps, ALPHA)
    if not math.isclose(bound, limit, rel_tol=1e-3):
        assert (bound < limit) == (log_less_than(steps, limit) >= -math.log(ALPHA))


def test_bounds_become_narrow_with_more_requests() -> None:
    bounds = [highest_rate(Tally(999 * n, n), ALPHA) for n in (0, 1, 10, 100, 10_000)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] == 1.0
    assert 0.001 < bounds[-1] < 0.0012
    ratios = [highest_ratio([_step(0.1, n, 9 * n)], ALPHA) for n in (0, 10, 100, 10_000)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] == math.inf
    assert 1.0 < ratios[-1] < 1.2


def test_bets_are_on_their_side() -> None:
    assert all(multiple > 1 for multiple in WORSE)
    assert all(0 <= multiple < 1 for multiple in BETTER)
